/* kinds.h - the kinds of job that there are, for the table alone; each is described in its own file */
#pragma once

#include "decoder/job.h"

extern const struct job_kind job_gzip, job_deflate;	/* job_zlib.c */
extern const struct job_kind job_brotli;		/* job_brotli.c */
extern const struct job_kind job_zstd;			/* job_zstd.c */
extern const struct job_kind job_aws_chunked;		/* job_aws_chunked.c */
extern const struct job_kind job_git_push, job_git_fetch, job_git_lfs;	/* job_git.c */
extern const struct job_kind job_npm, job_pypi_html, job_pypi_json, job_crates, job_metadata;	/* job_registry.c */
