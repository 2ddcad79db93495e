/* job_table.c - every kind of job, by its number in decoder.h; one without a row is refused */
#include "decoder/kinds.h"

const struct job_kind *const job_kinds[DECODER_JOBS] = {
	[DECODER_GZIP] = &job_gzip,
	[DECODER_DEFLATE] = &job_deflate,
	[DECODER_BROTLI] = &job_brotli,
	[DECODER_ZSTD] = &job_zstd,
	[DECODER_AWS_CHUNKED] = &job_aws_chunked,
};
