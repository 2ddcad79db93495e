/* job_table.c - every kind of job, by its number in decoder.h; one without a row is refused */
#include "decoder/kinds.h"

#include <jansson.h>

const struct job_kind *const job_kinds[DECODER_JOBS] = {
	[DECODER_GZIP] = &job_gzip,
	[DECODER_DEFLATE] = &job_deflate,
	[DECODER_BROTLI] = &job_brotli,
	[DECODER_ZSTD] = &job_zstd,
	[DECODER_AWS_CHUNKED] = &job_aws_chunked,
	[DECODER_GIT_PUSH] = &job_git_push,
	[DECODER_GIT_FETCH] = &job_git_fetch,
	[DECODER_GIT_LFS] = &job_git_lfs,
	[DECODER_NPM] = &job_npm,
	[DECODER_PYPI_HTML] = &job_pypi_html,
	[DECODER_PYPI_JSON] = &job_pypi_json,
	[DECODER_CRATES] = &job_crates,
	[DECODER_METADATA] = &job_metadata,
};

enum err job_prepare(void)
{
	json_object_seed(0);
	for (size_t i = 0; i < DECODER_JOBS; i++) {
		enum err e = job_kinds[i] && job_kinds[i]->prepare ? job_kinds[i]->prepare() : ERR_OK;

		if (e)
			return e;
	}
	return ERR_OK;
}
