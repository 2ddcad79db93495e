/* session_guard.h - what an HTTP/2 client may cost us beyond what it asks for
 *
 * Frames that carry no request and no byte cost the reader more than the sender: floods of them have brought
 * servers down (CVE-2019-9511 to 9518, CVE-2023-44487, CVE-2024-27316). Each kind draws on a bucket that time
 * fills, and so do requests and data: who really talks never notices, who only floods is told to calm down.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Control frames (SETTINGS, PING, PRIORITY, WINDOW_UPDATE, RST_STREAM, empty DATA, unknown ones). */
#define GUARD_FRAMES_BURST 2000u
#define GUARD_FRAMES_PER_SECOND 200u
/* A response's frame is worth this many of the client's WINDOW_UPDATEs and PINGs; a request too. */
#define GUARD_FRAMES_PER_DATA 8u
/* Streams that were reset, by the client or by us for its mistakes: of many requests, some are cancelled. */
#define GUARD_RESETS_BURST 200u
#define GUARD_RESETS_PER_SECOND 20u
/* One header block: HPACK needs each of its bytes, so the raw block is bounded too, and its frames. */
#define GUARD_BLOCK_BYTES (80u * 1024)
#define GUARD_CONTINUATIONS 7u

struct bucket {
	uint64_t level, burst, per_second, at_ms;	/* level in thousandths */
};

struct guard {
	struct bucket frames, resets;
	size_t block_bytes;
	unsigned continuations;
};

void guard_init(struct guard *g, uint64_t now_ms);
/** guard_frame(), guard_reset() - one more; false: too many */
bool guard_frame(struct guard *g, uint64_t now_ms);
bool guard_reset(struct guard *g, uint64_t now_ms);
/** guard_earn() - a frame of data or a request, either way */
void guard_earn(struct guard *g);
/** guard_block() - a HEADERS frame (@first) or CONTINUATION of @bytes; false: the block is too large */
bool guard_block(struct guard *g, bool first, size_t bytes);
