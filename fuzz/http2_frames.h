/* http2_frames.h - HTTP/2's frames, as a fuzz target reads those that it gets and makes those that it sends
 *
 * What is read is held to RFC 9113's form: our own code wrote it, and the first mistake aborts. What is sent
 * is the input's: a header is made here, so that a mutation need not find the length, and nothing more.
 */
#pragma once

#include "base/reader.h"

#include <nghttp2/nghttp2.h>

#include <stdlib.h>

#define FRAME_MAX 16384u
#define FRAME_HEADER 9u
#define FILLED_MAX 20480u	/* of a payload that is zeros: larger than a frame may be */
#define HISTORY 4u

static void check(bool holds)
{
	if (!holds)
		abort();
}

/* -- what is read ------------------------------------------------------------------------- */

/** struct ear - reads frames, and tells of each that is whole; HEADERS once, after its fields */
struct ear {
	void (*frame)(uint8_t type, uint8_t flags, uint32_t stream, struct str payload);
	void (*field)(uint32_t stream, bool first, struct str name, struct str value);
	nghttp2_hd_inflater *inflater;
	uint8_t bytes[FRAME_HEADER + FRAME_MAX];
	size_t count;
	uint32_t block_stream;		/* 0: no header block is open */
	uint8_t block_flags;
	unsigned block_fields;
};

static void ear_begin(struct ear *e)
{
	e->count = 0;
	e->block_stream = 0;
	check(nghttp2_hd_inflate_new(&e->inflater) == 0);
}

static void ear_end(struct ear *e) { nghttp2_hd_inflate_del(e->inflater); }

static uint32_t big_endian(const void *from)
{
	const uint8_t *p = from;

	return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

static void block_heard(struct ear *e, uint32_t stream, struct str block, bool whole)
{
	int flags = 0;

	while (block.n || (whole && !(flags & NGHTTP2_HD_INFLATE_FINAL))) {
		nghttp2_nv nv;
		ssize_t n = nghttp2_hd_inflate_hd2(e->inflater, &nv, &flags, (const uint8_t *)block.p,
						   block.n, whole);

		check(n >= 0 && (n > 0 || whole));
		block = str_from(block, (size_t)n);
		if (flags & NGHTTP2_HD_INFLATE_EMIT)
			e->field(stream, e->block_fields++ == 0, str_make(nv.name, nv.namelen),
				 str_make(nv.value, nv.valuelen));
	}
	if (!whole)
		return;
	nghttp2_hd_inflate_end_headers(e->inflater);
	check(e->block_fields > 0);
	e->block_stream = 0;
	e->frame(NGHTTP2_HEADERS, e->block_flags, stream, STR(""));
}

static void frame_heard(struct ear *e, uint8_t type, uint8_t flags, uint32_t stream, struct str payload)
{
	bool of_block = type == NGHTTP2_HEADERS || type == NGHTTP2_CONTINUATION;

	check(type == NGHTTP2_CONTINUATION ? stream && stream == e->block_stream : !e->block_stream);
	check(stream >> 31 == 0);
	if (!of_block) {
		e->frame(type, flags, stream, payload);
		return;
	}
	check(stream % 2 == 1 && (flags & (NGHTTP2_FLAG_PADDED | NGHTTP2_FLAG_PRIORITY)) == 0);
	if (type == NGHTTP2_HEADERS) {
		e->block_stream = stream;
		e->block_flags = flags;
		e->block_fields = 0;
	}
	block_heard(e, stream, payload, flags & NGHTTP2_FLAG_END_HEADERS);
}

/* Of the frame that has begun: as much as is known of it. */
static size_t frame_length(const struct ear *e)
{
	const uint8_t *p = e->bytes;

	if (e->count < FRAME_HEADER)
		return FRAME_HEADER;
	return FRAME_HEADER + ((size_t)p[0] << 16 | (size_t)p[1] << 8 | p[2]);
}

static void ear_hears(struct ear *e, struct str bytes)
{
	while (bytes.n) {
		struct str piece = str_head(bytes, frame_length(e) - e->count);
		const uint8_t *p = e->bytes;

		memcpy(e->bytes + e->count, piece.p, piece.n);
		e->count += piece.n;
		bytes = str_from(bytes, piece.n);
		check(frame_length(e) <= sizeof e->bytes);
		if (e->count < FRAME_HEADER || e->count < frame_length(e))
			continue;
		piece = str_make(p + FRAME_HEADER, e->count - FRAME_HEADER);
		e->count = 0;
		frame_heard(e, p[3], p[4], big_endian(p + 5), piece);
	}
}

/* -- what is sent ------------------------------------------------------------------------- */

/** struct mouth - the last frames that were sent, to be repeated */
struct mouth {
	bool (*say)(struct str bytes);	/* false: there is no room */
	void (*wait)(void);		/* for room */
	struct { uint8_t header[FRAME_HEADER]; struct str payload; } frames[HISTORY];
	unsigned count;
};

/* u16 n, and n bytes, or what is left of them; or zeros */
static struct str payload_of(struct reader *r, bool filled)
{
	static const char zeros[FILLED_MAX];
	struct str s = STR("");
	uint16_t n;

	if (!reader_u16le(r, &n))
		return s;
	if (filled)
		return str_make(zeros, n % (FILLED_MAX + 1));
	if (!reader_take(r, n < reader_left(r) ? n : reader_left(r), &s))
		return STR("");
	return str_head(s, FILLED_MAX);
}

static bool mouth_says(struct mouth *m, unsigned at)
{
	static char frame[FRAME_HEADER + FILLED_MAX];
	struct str payload = m->frames[at].payload;

	memcpy(frame, m->frames[at].header, FRAME_HEADER);
	if (payload.n)
		memcpy(frame + FRAME_HEADER, payload.p, payload.n);
	return m->say(str_make(frame, FRAME_HEADER + payload.n));
}

/* u8 type, u8 flags, u8 stream, then payload_of() */
static void mouth_frame(struct mouth *m, struct reader *r, bool filled)
{
	unsigned at = m->count % HISTORY;
	uint8_t *h = m->frames[at].header, type, flags, stream;
	struct str payload;

	if (!reader_u8(r, &type) || !reader_u8(r, &flags) || !reader_u8(r, &stream))
		return;
	payload = payload_of(r, filled);
	m->frames[at].payload = payload;
	memset(h, 0, FRAME_HEADER);
	h[1] = (uint8_t)(payload.n >> 8);
	h[2] = (uint8_t)payload.n;
	h[3] = type;
	h[4] = flags;
	h[8] = stream;
	m->count++;
	(void)mouth_says(m, at);
}

/* u8 times / 8, u8 how many of the last frames, u8 by which their streams rise */
static void mouth_repeat(struct mouth *m, struct reader *r)
{
	uint8_t times, count, rise;

	if (!reader_u8(r, &times) || !reader_u8(r, &count) || !reader_u8(r, &rise))
		return;
	count = (uint8_t)(count % HISTORY + 1);
	for (unsigned i = 0; i < 8u * times * count && m->count >= count; i++) {
		unsigned at = (m->count - count + i % count) % HISTORY;
		uint8_t *h = m->frames[at].header;
		unsigned stream = ((unsigned)h[7] << 8 | h[8]) + rise;

		h[7] = (uint8_t)(stream >> 8);
		h[8] = (uint8_t)stream;
		if (mouth_says(m, at))
			continue;
		m->wait();
		if (!mouth_says(m, at))
			return;
	}
}
