/* websocket_fuzz.c - frames: what a reader says does not depend on how the bytes were cut; what it accepts,
 * written again and passed over the link, is the same message; nothing is over its cap. A handshake's key
 * has one spelling.
 * The first byte chooses: bit 0 the peer masks, bits 1..7 the size of the pieces. */
#include "wire/websocket.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define MAX ((size_t)4096)

static void check(bool holds)
{
	if (!holds)
		abort();
}

static void same(struct websocket_message a, struct websocket_message b)
{
	check(a.opcode == b.opcode && str_eq(a.payload, b.payload));
}

static void written_again(struct websocket_message m, bool masked)
{
	static const uint8_t mask[4] = { 0x12, 0x00, 0xff, 0x80 };
	struct websocket_reader r;
	struct websocket_message again;
	uint16_t close;
	auto_buf frame = BUF_EMPTY, message = BUF_EMPTY;

	check(m.payload.n <= MAX && (m.opcode < WEBSOCKET_CLOSE || m.payload.n <= 125));
	check(m.opcode != WEBSOCKET_TEXT || str_is_utf8(m.payload));
	buf_init(&frame, MAX + 14);
	check(websocket_put_frame(&frame, m.opcode, masked ? mask : NULL, m.payload) == ERR_OK);
	struct str input = buf_str(&frame);

	websocket_reader_init(&r, masked, MAX);
	check(websocket_read(&r, &input, &again, &close) == ERR_OK && input.n == 0);
	same(m, again);
	websocket_reader_free(&r);
	buf_init(&message, MAX + WEBSOCKET_HEADER_BYTES);
	check(websocket_put_message(&message, m.opcode, m.payload) == ERR_OK);
	input = buf_str(&message);
	check(websocket_next_message(&input, MAX, &again) == ERR_OK && input.n == 0);
	same(m, again);
}

/* Each message's opcode, length and bytes, and the end's error and code, one after the other. */
static void transcript(bool masked, struct str bytes, size_t step, bool again, struct buf *ret)
{
	struct websocket_reader r;
	struct websocket_message m;
	uint16_t close = 0;
	enum err e = ERR_MORE;

	websocket_reader_init(&r, masked, MAX);
	for (size_t at = 0; at < bytes.n && e == ERR_MORE; at += step) {
		struct str piece = str_head(str_from(bytes, at), step);

		while ((e = websocket_read(&r, &piece, &m, &close)) == ERR_OK) {
			if (again)
				written_again(m, masked);
			buf_put_u32le(ret, (uint32_t)m.opcode);
			buf_put_u32le(ret, (uint32_t)m.payload.n);
			buf_put(ret, m.payload);
		}
		check(e != ERR_MORE || piece.n == 0);
	}
	buf_put_u32le(ret, (uint32_t)e);
	buf_put_u16le(ret, close);
	check(e == ERR_MORE || close == 1002 || close == 1007 || close == 1009);
	websocket_reader_free(&r);
}

/* The same bytes as the link's form. */
static void over_the_link(struct str input)
{
	struct websocket_message m;

	while (websocket_next_message(&input, MAX, &m) == ERR_OK) {
		check(m.payload.n <= MAX);
		written_again(m, false);
	}
}

/* A key is 16 bytes in the one way to write them, and its answer another 20. */
static void as_a_key(struct str key)
{
	char accept[WEBSOCKET_ACCEPT_BYTES + 1];
	auto_buf raw = BUF_EMPTY, again = BUF_EMPTY;

	buf_init(&raw, 64);
	buf_init(&again, 64);
	if (websocket_key_check(key)) {
		check(base64_decode(&raw, key) == ERR_OK && raw.len == 16);
		buf_put_base64(&again, buf_str(&raw));
		check(str_eq(buf_str(&again), key));
	}
	buf_clear(&raw);
	websocket_accept(key, accept);
	check(base64_decode(&raw, str_of(accept)) == ERR_OK && raw.len == 20);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	auto_buf whole = BUF_EMPTY, cut = BUF_EMPTY;

	if (size < 2)
		return 0;
	struct str bytes = str_make(data + 1, size - 1);
	bool masked = data[0] & 1;

	buf_init(&whole, 16 * size + 64);
	buf_init(&cut, 16 * size + 64);
	transcript(masked, bytes, bytes.n, true, &whole);
	transcript(masked, bytes, data[0] / 2 + 1u, false, &cut);
	check(!buf_err(&whole) && str_eq(buf_str(&whole), buf_str(&cut)));
	over_the_link(bytes);
	as_a_key(bytes);
	return 0;
}
