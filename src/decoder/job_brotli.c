/* job_brotli.c - the content coding br
 *
 * One stream, after which nothing may follow. Windows up to the format's 16 MiB; "large window" is
 * an extension that no browser offers, and shared dictionaries are another coding: both are refused.
 * Marks: the library decodes every symbol that its input completes and hands out all that it decoded when
 * asked, so that used-up input is wholly in the output, but for bits of one symbol that is not complete.
 * Source: RFC 7932; brotli/decode.h.
 */
#include "decoder/kinds.h"

#include <brotli/decode.h>

struct brotli {
	BrotliDecoderState *decoder;
	bool done;
};

static enum err brotli_start(struct job *j, struct str parameters)
{
	struct brotli *b = job_state(j);

	(void)parameters;
	b->decoder = BrotliDecoderCreateInstance(NULL, NULL, NULL);
	return b->decoder ? ERR_OK : job_fail(j, ERR_MEMORY, "no memory");
}

static enum err failure(struct job *j, const struct brotli *b)
{
	BrotliDecoderErrorCode code = BrotliDecoderGetErrorCode(b->decoder);

	if (code <= BROTLI_DECODER_ERROR_ALLOC_CONTEXT_MODES &&
	    code >= BROTLI_DECODER_ERROR_ALLOC_BLOCK_TYPE_TREES)
		return job_fail(j, ERR_MEMORY, "no memory");
	return job_fail(j, ERR_DECODER, "it is not what its encoding says");
}

static enum err brotli_input(struct job *j, struct str bytes)
{
	struct brotli *b = job_state(j);
	const uint8_t *in = (const uint8_t *)bytes.p;
	size_t left = bytes.n, no_room = 0;
	BrotliDecoderResult r;

	if (b->done)
		return job_fail(j, ERR_DECODER, "something follows its end");
	do {
		r = BrotliDecoderDecompressStream(b->decoder, &left, &in, &no_room, NULL, NULL);
		if (r == BROTLI_DECODER_RESULT_ERROR)
			return failure(j, b);
		while (BrotliDecoderHasMoreOutput(b->decoder)) {
			size_t n = 0;
			const uint8_t *p = BrotliDecoderTakeOutput(b->decoder, &n);
			enum err e = job_output(j, str_make(p, n));

			if (e)
				return e;
		}
	} while (r == BROTLI_DECODER_RESULT_NEEDS_MORE_OUTPUT);
	b->done = r == BROTLI_DECODER_RESULT_SUCCESS;
	if (left)
		return job_fail(j, ERR_DECODER, "something follows its end");
	return job_mark(j, job_taken(j));
}

static enum err brotli_end(struct job *j)
{
	struct brotli *b = job_state(j);

	return b->done || !job_taken(j) ? ERR_OK : job_fail(j, ERR_DECODER, "it is cut off");
}

static void brotli_free(struct job *j)
{
	struct brotli *b = job_state(j);

	BrotliDecoderDestroyInstance(b->decoder);
}

const struct job_kind job_brotli = {
	.name = "br", .state_bytes = sizeof(struct brotli),
	.start = brotli_start, .input = brotli_input, .end = brotli_end, .free = brotli_free,
};
