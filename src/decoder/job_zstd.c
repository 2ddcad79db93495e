/* job_zstd.c - the content coding zstd
 *
 * Frames, one after the other, skippable ones among them. Windows up to 8 MiB (RFC 9659 s3; browsers take no
 * more); a frame that names a dictionary is refused.
 * Marks: the library decodes whole blocks, but the input of a partial block says much of what the block holds
 * (raw blocks and literals stand in it as they are), so that only what ends with a block may be passed on.
 * Where blocks end is told by their headers, which this file follows beside the library: frame header, blocks
 * of (last, type, size), checksum. The walk reads lengths alone; what is malformed the library says.
 * Source: RFC 8878 s3.1; RFC 9659; zstd.h.
 */
#include "decoder/kinds.h"

#include <zstd.h>
#include <zstd_errors.h>

#define MAGIC 0xfd2fb528u
#define MAGIC_SKIPPABLE 0x184d2a50u	/* and the fifteen after it */
#define BLOCK_RLE 1
#define BLOCK_RESERVED 3
#define PIECE_BYTES 65536u

enum walk_state { WALK_MAGIC, WALK_SKIP_SIZE, WALK_DESCRIPTOR, WALK_FRAME_HEADER, WALK_BLOCK_HEADER,
		  WALK_CONTENT };

struct walk {
	enum walk_state state;
	uint8_t head[16];	/* of what is being read: its first head_n bytes of head_want */
	unsigned head_n, head_want;
	uint8_t descriptor;
	uint64_t left;		/* of a block, a checksum, a skippable frame */
	bool last;		/* the present block is the frame's last */
	bool tail;		/* what is being passed over ends the frame */
	uint64_t at, boundary;	/* of the input: seen, and up to the last end of a block */
};

struct zstd {
	ZSTD_DCtx *decoder;
	struct walk walk;
	char out[PIECE_BYTES];
};

/* ---- where blocks end ---- */

static uint64_t little(const uint8_t *p, unsigned n)
{
	uint64_t v = 0;

	while (n--)
		v = v << 8 | p[n];
	return v;
}

static void expect(struct walk *w, enum walk_state state, unsigned bytes)
{
	w->state = state;
	w->head_n = 0;
	w->head_want = bytes;
}

static void begin_content(struct walk *w, uint64_t bytes, bool tail)
{
	w->state = WALK_CONTENT;
	w->left = bytes;
	w->tail = tail;
}

static unsigned dictionary_bytes(uint8_t descriptor)
{
	static const unsigned bytes[] = { 0, 1, 2, 4 };

	return bytes[descriptor & 3];
}

/* The rest of a frame's header: window (but of a single segment), dictionary id, content size. */
static unsigned frame_header_bytes(uint8_t descriptor)
{
	bool single = descriptor & 0x20;
	unsigned size_flag = descriptor >> 6;
	unsigned size = size_flag ? 1u << size_flag : single ? 1 : 0;

	return (single ? 0 : 1) + dictionary_bytes(descriptor) + size;
}

/* What was passed over is at its end: a block, a checksum or a skippable frame. */
static void end_content(struct walk *w)
{
	w->boundary = w->at;
	if (w->tail)
		expect(w, WALK_MAGIC, 4);
	else if (w->last && w->descriptor & 4)
		begin_content(w, 4, true);
	else if (w->last)
		expect(w, WALK_MAGIC, 4);
	else
		expect(w, WALK_BLOCK_HEADER, 3);
}

/* head holds all of what it should. NULL, or why the input is refused */
static const char *step(struct walk *w)
{
	uint32_t v = (uint32_t)little(w->head, w->head_want < 4 ? w->head_want : 4);
	bool single = w->descriptor & 0x20;

	switch (w->state) {
	case WALK_MAGIC:
		if (v == MAGIC)
			expect(w, WALK_DESCRIPTOR, 1);
		else if ((v & 0xfffffff0u) == MAGIC_SKIPPABLE)
			expect(w, WALK_SKIP_SIZE, 4);
		else
			return "it is not what its encoding says";
		return NULL;
	case WALK_SKIP_SIZE:
		begin_content(w, v, true);
		return NULL;
	case WALK_DESCRIPTOR:
		w->descriptor = w->head[0];
		expect(w, WALK_FRAME_HEADER, frame_header_bytes(w->descriptor));
		return NULL;
	case WALK_FRAME_HEADER:
		if (little(w->head + (single ? 0 : 1), dictionary_bytes(w->descriptor)))
			return "it needs a dictionary";
		expect(w, WALK_BLOCK_HEADER, 3);
		return NULL;
	case WALK_BLOCK_HEADER:
		w->last = v & 1;
		if ((v >> 1 & 3) == BLOCK_RESERVED)
			return "it is not what its encoding says";
		begin_content(w, (v >> 1 & 3) == BLOCK_RLE ? 1 : v >> 3, false);
		return NULL;
	case WALK_CONTENT:
		break;
	}
	return NULL;
}

static const char *walk(struct walk *w, struct str bytes)
{
	while (true) {
		while (w->state == WALK_CONTENT) {
			size_t n = w->left < bytes.n ? (size_t)w->left : bytes.n;

			w->left -= n;
			w->at += n;
			bytes = str_from(bytes, n);
			if (w->left)
				return NULL;
			end_content(w);
		}
		while (w->head_n < w->head_want && bytes.n) {
			w->head[w->head_n++] = (uint8_t)bytes.p[0];
			w->at++;
			bytes = str_from(bytes, 1);
		}
		if (w->head_n < w->head_want)
			return NULL;
		const char *refused = step(w);

		if (refused)
			return refused;
	}
}

/* ---- the job ---- */

static enum err zstd_start(struct job *j, struct str parameters)
{
	struct zstd *z = job_state(j);

	(void)parameters;
	expect(&z->walk, WALK_MAGIC, 4);
	z->decoder = ZSTD_createDCtx();
	if (!z->decoder ||
	    ZSTD_isError(ZSTD_DCtx_setParameter(z->decoder, ZSTD_d_windowLogMax, DECODER_WINDOW_LOG_MAX)))
		return job_fail(j, ERR_MEMORY, "no memory");
	return ERR_OK;
}

static enum err failure(struct job *j, size_t code)
{
	switch ((int)ZSTD_getErrorCode(code)) {
	case ZSTD_error_memory_allocation:
		return job_fail(j, ERR_MEMORY, "no memory");
	case ZSTD_error_frameParameter_windowTooLarge:
		return job_fail(j, ERR_DECODER, "its window is over 8 MiB");
	default:
		return job_fail(j, ERR_DECODER, "it is not what its encoding says");
	}
}

static enum err zstd_input(struct job *j, struct str bytes)
{
	struct zstd *z = job_state(j);
	const char *refused = walk(&z->walk, bytes);
	ZSTD_inBuffer in = { bytes.p, bytes.n, 0 };
	ZSTD_outBuffer out = { z->out, PIECE_BYTES, 0 };

	if (refused)
		return job_fail(j, ERR_DECODER, refused);
	do {
		out.pos = 0;
		size_t rc = ZSTD_decompressStream(z->decoder, &out, &in);

		if (ZSTD_isError(rc))
			return failure(j, rc);
		enum err e = job_output(j, str_make(z->out, out.pos));

		if (e)
			return e;
	} while (in.pos < in.size || out.pos == out.size);
	return job_mark(j, z->walk.boundary);
}

static enum err zstd_end(struct job *j)
{
	struct zstd *z = job_state(j);

	if (z->walk.state != WALK_MAGIC || z->walk.head_n)
		return job_fail(j, ERR_DECODER, "it is cut off");
	return ERR_OK;
}

static void zstd_free(struct job *j)
{
	struct zstd *z = job_state(j);

	ZSTD_freeDCtx(z->decoder);
}

const struct job_kind job_zstd = {
	.name = "zstd", .state_bytes = sizeof(struct zstd),
	.start = zstd_start, .input = zstd_input, .end = zstd_end, .free = zstd_free,
};
