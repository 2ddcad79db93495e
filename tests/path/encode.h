/* encode.h - bodies in every content coding, made with the libraries themselves
 *
 * Included by the tests that need it. Each encoder takes a body in parts and flushes after each, as a server
 * does that streams events; a part's end so ends a block that can be decoded.
 */
#pragma once

#include "base/buf.h"
#include "decoder/decoder.h"

#include <setjmp.h>
#include <stdarg.h>

#include <brotli/encode.h>
#include <cmocka.h>
#include <zlib.h>
#include <zstd.h>

/* @window_bits: 31 gzip, 15 zlib, -15 bare deflate */
static void encode_zlib(struct buf *out, int window_bits, int level, const struct str *parts, size_t count)
{
	z_stream z = { 0 };

	assert_int_equal(deflateInit2(&z, level, Z_DEFLATED, window_bits, 8, Z_DEFAULT_STRATEGY), Z_OK);
	for (size_t i = 0; i < count; i++) {
		z.next_in = (Bytef *)(uintptr_t)parts[i].p;
		z.avail_in = (uInt)parts[i].n;
		do {
			assert_int_equal(buf_reserve(out, 4096), ERR_OK);
			z.next_out = (Bytef *)buf_tail(out);
			z.avail_out = 4096;
			(void)!deflate(&z, i + 1 == count ? Z_FINISH : Z_SYNC_FLUSH);
			out->len += 4096 - z.avail_out;
		} while (z.avail_out == 0);
	}
	deflateEnd(&z);
}

static void encode_brotli(struct buf *out, const struct str *parts, size_t count)
{
	BrotliEncoderState *e = BrotliEncoderCreateInstance(NULL, NULL, NULL);

	assert_non_null(e);
	BrotliEncoderSetParameter(e, BROTLI_PARAM_QUALITY, 5);
	for (size_t i = 0; i < count; i++) {
		const uint8_t *in = (const uint8_t *)parts[i].p;
		size_t left = parts[i].n, none = 0;

		do {
			size_t n = 0;
			const uint8_t *p;

			assert_true(BrotliEncoderCompressStream(e, i + 1 == count ? BROTLI_OPERATION_FINISH
						: BROTLI_OPERATION_FLUSH, &left, &in, &none, NULL, NULL));
			p = BrotliEncoderTakeOutput(e, &n);
			buf_put(out, str_make(p, n));
		} while (left || BrotliEncoderHasMoreOutput(e));
	}
	BrotliEncoderDestroyInstance(e);
}

static void encode_zstd(struct buf *out, int level, const struct str *parts, size_t count)
{
	ZSTD_CCtx *c = ZSTD_createCCtx();

	assert_non_null(c);
	ZSTD_CCtx_setParameter(c, ZSTD_c_compressionLevel, level);
	ZSTD_CCtx_setParameter(c, ZSTD_c_checksumFlag, 1);
	for (size_t i = 0; i < count; i++) {
		ZSTD_inBuffer in = { parts[i].p, parts[i].n, 0 };
		size_t left;

		do {
			char piece[4096];
			ZSTD_outBuffer o = { piece, sizeof piece, 0 };

			left = ZSTD_compressStream2(c, &o, &in, i + 1 == count ? ZSTD_e_end : ZSTD_e_flush);
			assert_false(ZSTD_isError(left));
			buf_put(out, str_make(piece, o.pos));
		} while (left || in.pos < in.size);
	}
	ZSTD_freeCCtx(c);
}

/* The codings by name, as in Content-Encoding; "raw-deflate"
 * and the "stored" ones are variants of their own. */
static const struct encoding {
	const char *name, *coding;
	enum decoder_job job;
} encodings[] = {
	{ "gzip", "gzip", DECODER_GZIP }, { "gzip-stored", "gzip", DECODER_GZIP },
	{ "deflate", "deflate", DECODER_DEFLATE }, { "raw-deflate", "deflate", DECODER_DEFLATE },
	{ "br", "br", DECODER_BROTLI }, { "zstd", "zstd", DECODER_ZSTD },
};
#define ENCODINGS (sizeof encodings / sizeof *encodings)

static void encode(struct buf *out, const struct encoding *as, const struct str *parts, size_t count)
{
	struct str name = str_of(as->name);

	if (str_starts(name, STR("gzip")))
		encode_zlib(out, 31, str_eq(name, STR("gzip")) ? 6 : 0, parts, count);
	else if (as->job == DECODER_DEFLATE)
		encode_zlib(out, str_eq(name, STR("deflate")) ? 15 : -15, 6, parts, count);
	else if (as->job == DECODER_BROTLI)
		encode_brotli(out, parts, count);
	else
		encode_zstd(out, 3, parts, count);
	assert_int_equal(buf_err(out), ERR_OK);
}
