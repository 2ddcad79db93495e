/* job_zlib.c - the content codings gzip and deflate
 *
 * gzip: one member after the other (RFC 1952 s2.2), each with its CRC and length right; what is no
 * further member is refused, not skipped as some readers do: it would pass to the agent unread.
 * deflate: the zlib format, as RFC 9110 s8.4.1.2 says, or a bare deflate stream, as some servers send and
 * every browser takes. The two header bytes tell; nothing may follow the stream. Preset dictionaries are
 * refused.
 *
 * Marks: inflate() puts out every symbol that its input completes, so that with its input used up and room
 * left in the output, the input is wholly in the output, but for bits of one symbol that is not complete:
 * less than a byte of what comes next.
 * Source: RFC 1950, 1951, 1952; zlib.h.
 */
#include "decoder/kinds.h"

#include <zlib.h>

#define PIECE_BYTES 32768u
#define HEADER_BYTES 2

struct inflate {
	z_stream z;
	bool ready;		/* z is initialised */
	bool within;		/* a stream has begun and not ended */
	bool done;		/* at least one has ended */
	char header[HEADER_BYTES];	/* deflate: until both are here */
	size_t header_n;
	char out[PIECE_BYTES];
};

static enum err begin(struct job *j, int window_bits)
{
	struct inflate *f = job_state(j);
	int rc = f->ready ? inflateReset2(&f->z, window_bits) : inflateInit2(&f->z, window_bits);

	if (rc != Z_OK)
		return job_fail(j, ERR_MEMORY, "no memory");
	f->ready = true;
	return ERR_OK;
}

static void inflate_free(struct job *j)
{
	struct inflate *f = job_state(j);

	if (f->ready)
		inflateEnd(&f->z);
}

/* Inflates @in to the end of a stream (*ret_ended) or of the input; returns what is left of it by @in. */
static enum err run(struct job *j, struct str *in, bool *ret_ended)
{
	struct inflate *f = job_state(j);

	*ret_ended = false;
	f->z.next_in = (Bytef *)(uintptr_t)in->p;
	f->z.avail_in = (uInt)in->n;
	do {
		f->z.next_out = (Bytef *)f->out;
		f->z.avail_out = PIECE_BYTES;
		int rc = inflate(&f->z, Z_NO_FLUSH);

		if (rc == Z_NEED_DICT)
			return job_fail(j, ERR_DECODER, "it needs a dictionary");
		if (rc == Z_MEM_ERROR)
			return job_fail(j, ERR_MEMORY, "no memory");
		if (rc != Z_OK && rc != Z_STREAM_END && rc != Z_BUF_ERROR)
			return job_fail(j, ERR_DECODER, "it is not what its encoding says");
		enum err e = job_output(j, str_make(f->out, PIECE_BYTES - f->z.avail_out));

		if (e)
			return e;
		*ret_ended = rc == Z_STREAM_END;
	} while (!*ret_ended && (f->z.avail_in || f->z.avail_out == 0));
	*in = str_from(*in, in->n - f->z.avail_in);
	return ERR_OK;
}

/* ---- gzip ---- */

#define GZIP_WINDOW_BITS (15 + 16)

static enum err gzip_start(struct job *j, struct str parameters)
{
	(void)parameters;
	return begin(j, GZIP_WINDOW_BITS);
}

static enum err gzip_input(struct job *j, struct str bytes)
{
	struct inflate *f = job_state(j);

	while (bytes.n) {
		bool ended;
		enum err e = ERR_OK;

		if (!f->within && f->done)
			e = begin(j, GZIP_WINDOW_BITS);
		if (!e)
			e = run(j, &bytes, &ended);
		if (e)
			return e;
		f->within = !ended;
		f->done |= ended;
	}
	return job_mark(j, job_taken(j));
}

static enum err inflate_end(struct job *j)
{
	struct inflate *f = job_state(j);

	/* not a byte at all: an empty body has no encoding to be in */
	if (f->within || f->header_n || (!f->done && job_taken(j)))
		return job_fail(j, ERR_DECODER, "it is cut off");
	return ERR_OK;
}

const struct job_kind job_gzip = {
	.name = "gzip", .state_bytes = sizeof(struct inflate),
	.start = gzip_start, .input = gzip_input, .end = inflate_end, .free = inflate_free,
};

/* ---- deflate ---- */

static bool zlib_header(const char h[HEADER_BYTES])
{
	uint8_t method = (uint8_t)h[0];

	return (method & 15) == 8 && method >> 4 <= 7 && (method * 256u + (uint8_t)h[1]) % 31 == 0;
}

static enum err deflate_part(struct job *j, struct str bytes)
{
	struct inflate *f = job_state(j);
	bool ended;
	enum err e;

	if (f->done && bytes.n)
		return job_fail(j, ERR_DECODER, "something follows its end");
	if (bytes.n == 0)
		return ERR_OK;
	e = run(j, &bytes, &ended);
	if (e)
		return e;
	f->within = !ended;
	f->done = ended;
	return ended && bytes.n ? job_fail(j, ERR_DECODER, "something follows its end") : ERR_OK;
}

static enum err deflate_input(struct job *j, struct str bytes)
{
	struct inflate *f = job_state(j);
	enum err e = ERR_OK;

	while (!f->ready && f->header_n < HEADER_BYTES && bytes.n) {
		f->header[f->header_n++] = bytes.p[0];
		bytes = str_from(bytes, 1);
	}
	if (!f->ready && f->header_n < HEADER_BYTES)
		return ERR_OK;
	if (!f->ready) {
		f->header_n = 0;
		e = begin(j, zlib_header(f->header) ? 15 : -15);
		if (!e)
			e = deflate_part(j, str_make(f->header, HEADER_BYTES));
	}
	if (!e)
		e = deflate_part(j, bytes);
	return e ? e : job_mark(j, job_taken(j));
}

const struct job_kind job_deflate = {
	.name = "deflate", .state_bytes = sizeof(struct inflate),
	.input = deflate_input, .end = inflate_end, .free = inflate_free,
};
