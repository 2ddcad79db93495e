/* link_world.h - raw frames, and an end of a link to feed them to */
#pragma once

#include "wire/link.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#define SMALL ((struct link_limits){ 8, LINK_PAYLOAD_MAX, 2 * LINK_PAYLOAD_MAX })

static void put_frame(struct buf *b, uint32_t stream, uint8_t type, uint8_t flags, struct str payload)
{
	buf_put_u32le(b, stream);
	buf_put_byte(b, type);
	buf_put_byte(b, flags);
	buf_put_u16le(b, 0);
	buf_put_u32le(b, (uint32_t)payload.n);
	buf_put(b, payload);
}

static void put_hello(struct buf *b, uint32_t window, uint32_t streams)
{
	auto_buf p = BUF_EMPTY;

	buf_init(&p, 64);
	buf_put_z(&p, "PDLK");
	buf_put_u16le(&p, LINK_VERSION);
	buf_put_u16le(&p, 0);
	buf_put_u32le(&p, window);
	buf_put_u32le(&p, streams);
	put_frame(b, 0, LINK_HELLO, 0, buf_str(&p));
}

#define TCP STR("\x01")

/* Feeds @bytes to an upper end in pieces of @piece bytes; the end of it, and frames handed out */
static enum err feed(struct link *l, struct str bytes, size_t piece, unsigned *frames)
{
	struct link_frame f;
	enum err e = ERR_MORE;

	while (bytes.n && e == ERR_MORE) {
		struct str part = str_head(bytes, piece);

		bytes = str_from(bytes, part.n);
		while (!(e = link_receive(l, &part, &f)))
			++*frames;
	}
	return e;
}
