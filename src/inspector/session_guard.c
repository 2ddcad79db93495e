/* session_guard.c - token buckets for an HTTP/2 client; pure */
#include "inspector/session_guard.h"

static void fill(struct bucket *b, uint64_t now_ms)
{
	uint64_t ms = now_ms - b->at_ms;

	b->at_ms = now_ms;
	if (ms > 1000 * 1000)
		ms = 1000 * 1000;
	b->level += ms * b->per_second;
	if (b->level > b->burst * 1000)
		b->level = b->burst * 1000;
}

static bool draw(struct bucket *b, uint64_t now_ms)
{
	fill(b, now_ms);
	if (b->level < 1000)
		return false;
	b->level -= 1000;
	return true;
}

void guard_init(struct guard *g, uint64_t now_ms)
{
	*g = (struct guard) {
		.frames = { GUARD_FRAMES_BURST * 1000ul, GUARD_FRAMES_BURST, GUARD_FRAMES_PER_SECOND,
			    now_ms },
		.resets = { GUARD_RESETS_BURST * 1000ul, GUARD_RESETS_BURST, GUARD_RESETS_PER_SECOND,
			    now_ms },
	};
}

bool guard_frame(struct guard *g, uint64_t now_ms) { return draw(&g->frames, now_ms); }
bool guard_reset(struct guard *g, uint64_t now_ms) { return draw(&g->resets, now_ms); }

void guard_earn(struct guard *g)
{
	g->frames.level += GUARD_FRAMES_PER_DATA * 1000ul;
	if (g->frames.level > GUARD_FRAMES_BURST * 1000ul)
		g->frames.level = GUARD_FRAMES_BURST * 1000ul;
}

bool guard_block(struct guard *g, bool first, size_t bytes)
{
	if (first) {
		g->block_bytes = 0;
		g->continuations = 0;
	} else if (++g->continuations > GUARD_CONTINUATIONS) {
		return false;
	}
	g->block_bytes += bytes;
	return g->block_bytes <= GUARD_BLOCK_BYTES;
}
