/* decode.h - the courier's side of paddock-decoder: one job at a time per exchange and direction
 *
 * Bounded both ways (I7): at most one payload of input and one of output wait here. Never blocks.
 */
#pragma once

#include "courier/courier.h"
#include "decoder/decoder.h"

struct decode;

/** struct decode_ops - called from the loop, never from within a function of this header; @done is last */
struct decode_ops {
	void (*output)(void *user, struct str bytes);
	void (*fact)(void *user, struct str name, struct str value);
	void (*mark)(void *user, uint64_t input_bytes);
	void (*room)(void *user);				/* decode_room() is no longer 0 */
	void (*done)(void *user, enum err e, const char *reason);	/* ERR_OK: whole and good */
};

/** decode_start() - a fresh decoder for @job. ERR_LIMIT (too many at once), ERR_LOCAL (it cannot be had), ERR_MEMORY */
must_use enum err decode_start(struct courier *c, enum decoder_job job, struct str parameters,
			       const struct decode_ops *ops, void *user, struct decode **ret);
/** decode_room() - bytes that decode_input() takes now */
size_t decode_room(const struct decode *d);
must_use enum err decode_input(struct decode *d, struct str bytes);
void decode_end(struct decode *d);
/** decode_pause() - no output is read while paused: who cannot pass it on is not flooded */
void decode_pause(struct decode *d, bool paused);
void decode_free(struct decode *d);
