/* chunked_fuzz.c - chunked bodies against a reader of whole buffers, cut anywhere
 *
 * Input: byte 0 the sizes of the pieces; the rest is what the peer sent. The reader here knows the grammar of
 * RFC 9112 s7.1 and the limits of http1_body.h, and nothing else. Both must come to the same: malformed, or
 * not whole, or whole with the same body, the same trailers and the same bytes left behind it. Then the body
 * is written in chunks of our own and must be read as itself.
 */
#include "wire/http1_body.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum verdict { WHOLE, SHORT, BAD };

struct outcome {
	enum verdict verdict;
	struct buf body;
	size_t used;		/* WHOLE: of the input */
};

static void check(bool holds)
{
	if (!holds)
		abort();
}

/* -- the reader of whole buffers ---------------------------------------------------------- */

struct cursor {
	struct str s;
	size_t at;
};

static int peek(const struct cursor *c) { return c->at < c->s.n ? (uint8_t)c->s.p[c->at] : -1; }

/* The next byte must be @want. */
static enum verdict expect(struct cursor *c, int want)
{
	int b = peek(c);

	if (b < 0)
		return SHORT;
	c->at++;
	return b == want ? WHOLE : BAD;
}

static enum verdict read_size(struct cursor *c, uint64_t *ret)
{
	unsigned digits = 0;
	uint64_t v = 0;

	for (; peek(c) >= 0 && ascii_hex((char)peek(c)) >= 0; c->at++) {
		v = v << 4 | (uint64_t)ascii_hex((char)peek(c));
		if (++digits > HTTP1_CHUNK_DIGITS_MAX || v > HTTP1_LENGTH_MAX)
			return BAD;
	}
	if (peek(c) < 0)
		return SHORT;
	*ret = v;
	return digits ? WHOLE : BAD;
}

static enum verdict read_extension(struct cursor *c, size_t *total)
{
	if (peek(c) != ';')
		return WHOLE;
	for (c->at++; peek(c) >= 0; c->at++) {
		int b = peek(c);

		if (++*total > HTTP1_EXTENSIONS_MAX)
			return BAD;
		if (b == '\r')
			return WHOLE;
		if ((b < 0x20 && b != '\t') || b == 0x7f)
			return BAD;
	}
	return SHORT;
}

/* Lines up to an empty one. What they say is http1_body_trailers()' to
 * judge; here only how they end, and that the end comes within the limit. */
static enum verdict read_trailers(struct cursor *c)
{
	size_t start = c->at, line = start, room = HTTP1_TRAILERS_MAX - (sizeof "trailers\r\n" - 1);
	bool cr = false;

	while (peek(c) >= 0 && c->at - start < room) {
		int b = peek(c);

		c->at++;
		if (cr && b != '\n')
			return BAD;
		if (cr && c->at - line == 2)
			return WHOLE;
		if (cr)
			line = c->at;
		else if (b != '\r' && ((b < 0x20 && b != '\t') || b == 0x7f))
			return BAD;
		cr = b == '\r';
	}
	return c->at - start < room ? SHORT : BAD;
}

static enum verdict read_whole(struct cursor *c, struct buf *body)
{
	size_t extensions = 0;

	for (;;) {
		uint64_t n = 0;
		enum verdict v = read_size(c, &n);

		if (v == WHOLE)
			v = read_extension(c, &extensions);
		if (v == WHOLE)
			v = expect(c, '\r');
		if (v == WHOLE)
			v = expect(c, '\n');
		if (v != WHOLE)
			return v;
		if (n == 0)
			return read_trailers(c);
		if (n > c->s.n - c->at) {
			buf_put(body, str_from(c->s, c->at));
			return SHORT;
		}
		buf_put(body, str_make(c->s.p + c->at, (size_t)n));
		c->at += (size_t)n;
		v = expect(c, '\r');
		if (v == WHOLE)
			v = expect(c, '\n');
		if (v != WHOLE)
			return v;
	}
}

/* -- the reader that is tested ------------------------------------------------------------ */

static enum verdict read_pieces(struct str bytes, unsigned pieces, struct http1_body *b, struct buf *body,
				size_t *ret_used)
{
	size_t used = 0;

	http1_body_init(b, HTTP1_CHUNKED, 0);
	while (used < bytes.n) {
		struct str piece, input;
		enum err e;

		pieces = pieces * 7 + 3;
		input = str_head(str_from(bytes, used), 1 + pieces % 37);
		piece = input;
		for (;;) {
			struct str data = { NULL, 0 };

			e = http1_body_next(b, &input, &data);
			if (e == ERR_MORE)
				break;
			if (e)
				return BAD;
			if (data.n == 0) {
				*ret_used = used + piece.n - input.n;
				return WHOLE;
			}
			buf_put(body, data);
		}
		check(input.n == 0);
		used += piece.n;
	}
	return SHORT;
}

static void write_again(struct str body, unsigned pieces)
{
	auto_buf wire = BUF_EMPTY, again = BUF_EMPTY;
	struct cursor c;

	buf_init(&wire, 16 * body.n + 64);
	buf_init(&again, body.n);
	for (size_t at = 0, n; at < body.n; at += n) {
		pieces = pieces * 7 + 3;
		n = 1 + pieces % 53;
		http1_put_chunk(&wire, str_head(str_from(body, at), n));
	}
	check(http1_put_last_chunk(&wire, NULL) == ERR_OK);
	c = (struct cursor){ buf_str(&wire), 0 };
	check(read_whole(&c, &again) == WHOLE && c.at == wire.len && str_eq(buf_str(&again), body));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	auto_buf expected = BUF_EMPTY, got = BUF_EMPTY;
	struct cursor c = { .at = 0 };
	struct http1_body b;
	static struct head trailers;
	enum verdict want, have;
	size_t used = 0;

	if (size < 1)
		return 0;
	c.s = str_make(data + 1, size - 1);
	buf_init(&expected, size);
	buf_init(&got, size);
	want = read_whole(&c, &expected);
	have = read_pieces(c.s, data[0], &b, &got, &used);
	check(have == want);
	check(str_eq(buf_str(&got), buf_str(&expected)) || want == BAD);
	if (have == WHOLE) {
		check(used == c.at && b.done && http1_body_eof(&b) == ERR_OK);
		if (http1_body_trailers(&b, &trailers) == ERR_OK)
			check(head_check(&trailers) == ERR_OK);
		write_again(buf_str(&got), data[0]);
	} else {
		check(!b.done && http1_body_eof(&b) != ERR_OK);
	}
	http1_body_free(&b);
	return 0;
}
