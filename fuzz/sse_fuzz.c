/* sse_fuzz.c - server-sent events as they pass: unchunked, searched for a secret, chunked again
 *
 * Whatever the chunks and reads were, the client gets the same bytes, in order; an event that has ended is
 * with the client at once, nothing of it held back for more to come; and no event with the secret ever
 * arrives whole.
 *
 * Input: byte 0 the sizes of the pieces; then the needle, SCRUB_NEEDLE_MIN + 8 bytes (line
 * ends in it become '-'); then the stream, in which byte 0xff stands for the needle.
 */
#include "credential/scrub.h"
#include "wire/http1_body.h"

#include <stdlib.h>

#define NEEDLE_BYTES (SCRUB_NEEDLE_MIN + 8u)
#define STREAM_MAX ((size_t)16384)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(bool holds)
{
	if (!holds)
		abort();
}

static bool ends_event(struct str s)
{
	return str_ends(s, STR("\n\n")) || str_ends(s, STR("\r\n\r\n")) || str_ends(s, STR("\r\r"));
}

/* What a client reads from chunks. */
static void read_client(struct str wire, struct buf *out)
{
	struct http1_body b;
	struct str data;

	http1_body_init(&b, HTTP1_CHUNKED, 0);
	while (http1_body_next(&b, &wire, &data) == ERR_OK && data.n)
		buf_put(out, data);
	check(wire.n == 0);
	http1_body_free(&b);
}

struct pass {
	struct http1_body from;		/* the upstream's framing */
	struct scrub *scrub;
	struct buf all, held, plain, to;	/* all that came; held back; passed; the same in chunks */
	bool hit;
};

static void take(struct pass *p, struct str data)
{
	uint32_t id;
	size_t n;

	p->hit = scrub_feed(p->scrub, data, &id);
	if (p->hit)
		return;
	buf_put(&p->all, data);
	buf_put(&p->held, data);
	check(!ends_event(buf_str(&p->all)) || scrub_held(p->scrub) == 0);
	n = p->held.len - scrub_held(p->scrub);
	buf_put(&p->plain, str_head(buf_str(&p->held), n));
	http1_put_chunk(&p->to, str_head(buf_str(&p->held), n));
	buf_drop(&p->held, n);
}

static void feed(struct pass *p, struct str wire, unsigned pieces)
{
	while (wire.n && !p->hit) {
		struct str input, data;
		size_t n;

		pieces = pieces * 7 + 3;
		input = str_head(wire, 1 + pieces % 67);
		n = input.n;
		while (!p->hit && http1_body_next(&p->from, &input, &data) == ERR_OK && data.n)
			take(p, data);
		wire = str_from(wire, n);
	}
}

static void put_stream(struct buf *out, struct str needle, struct str raw)
{
	for (size_t i = 0; i < raw.n && out->len < STREAM_MAX - NEEDLE_BYTES; i++) {
		if ((uint8_t)raw.p[i] == 0xff)
			buf_put(out, needle);
		else
			buf_put_byte(out, (uint8_t)raw.p[i]);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char needle[NEEDLE_BYTES];
	struct scrub_set *set;
	struct pass p = { .hit = false };
	auto_buf stream = BUF_EMPTY, wire = BUF_EMPTY, client = BUF_EMPTY;
	struct str secret = { needle, NEEDLE_BYTES };

	if (size < 1 + NEEDLE_BYTES)
		return 0;
	for (size_t i = 0; i < NEEDLE_BYTES; i++)
		needle[i] = data[1 + i] == '\n' || data[1 + i] == '\r' ? '-' : (char)data[1 + i];
	buf_init(&stream, STREAM_MAX);
	buf_init(&wire, 16 * STREAM_MAX);
	buf_init(&client, STREAM_MAX);
	buf_init(&p.all, STREAM_MAX);
	buf_init(&p.held, STREAM_MAX);
	buf_init(&p.plain, STREAM_MAX);
	buf_init(&p.to, 16 * STREAM_MAX);
	put_stream(&stream, secret, str_make(data + 1 + NEEDLE_BYTES, size - 1 - NEEDLE_BYTES));
	for (size_t at = 0, n = data[0] % 29u + 1; at < stream.len; at += n, n = n * 5 % 97 + 1)
		http1_put_chunk(&wire, str_head(str_from(buf_str(&stream), at), n));
	check(http1_put_last_chunk(&wire, NULL) == ERR_OK);
	set = scrub_set_new();
	check(set && !scrub_set_add(set, secret, 1) && !scrub_set_build(set));
	p.scrub = scrub_new(set);
	check(p.scrub);
	http1_body_init(&p.from, HTTP1_CHUNKED, 0);
	feed(&p, buf_str(&wire), data[0]);
	check(p.hit || p.from.done);
	if (!p.hit) {	/* what is held at the end was no secret after all */
		buf_put(&p.plain, buf_str(&p.held));
		http1_put_chunk(&p.to, buf_str(&p.held));
	}
	read_client(buf_str(&p.to), &client);
	check(str_eq(buf_str(&client), buf_str(&p.plain)) && str_starts(buf_str(&stream), buf_str(&client)));
	check(p.hit || client.len == stream.len);
	check(client.len == 0 || memmem(client.p, client.len, needle, NEEDLE_BYTES) == NULL);
	http1_body_free(&p.from);
	scrub_free(p.scrub);
	scrub_set_free(set);
	buf_free(&p.all);
	buf_free(&p.held);
	buf_free(&p.plain);
	buf_free(&p.to);
	return 0;
}
