/* decode.h - the courier's side of paddock-decoder: one job at a time per exchange and direction
 *
 * Bounded both ways (I7): at most one payload of input and one of output wait here. Never blocks.
 * What the decoder says is checked for its form alone (I2): a captured one can misjudge the
 * exchange that it was started for, and neither crash the courier nor see another exchange.
 */
#pragma once

#include "courier/courier.h"
#include "decoder/decoder.h"

struct decode;

/** struct decode_ops - called from the loop, never from within a function of this header; @done
 *  is last. Each may call decode_free(); what is NULL is not called, and output then is dropped. */
struct decode_ops {
	void (*output)(void *user, struct str bytes);
	void (*fact)(void *user, struct str name, struct str value);
	void (*mark)(void *user, uint64_t input_bytes);		/* rises, and is never more than was put in */
	void (*room)(void *user);				/* decode_room() is no longer 0 */
	/** ERR_OK: whole and good. Else ERR_DECODER, or what the job found (ERR_BODY_TOO_LARGE, ERR_LIMIT,
	 *  ERR_MEMORY, ERR_INPUT, ERR_PROTOCOL_UNRECOGNISED, ERR_CONTENT_DENIED). @reason: printable
	 *  words, valid for the call. */
	void (*done)(void *user, enum err e, const char *reason);
};

/** decode_start() - a fresh decoder for @job. ERR_LIMIT (too many at once), ERR_DECODER
 *  (it cannot be had), ERR_INPUT (parameters over DECODER_JOB_MAX), ERR_LOCAL, ERR_MEMORY */
must_use enum err decode_start(struct courier *c, enum decoder_job job, struct str parameters,
			       const struct decode_ops *ops, void *user, struct decode **ret);
/** decode_room() - bytes that decode_input() takes now */
size_t decode_room(const struct decode *d);
/** decode_input() - 1..decode_room() bytes of the body.
 * ERR_STATE (more than that, or after the end), ERR_MEMORY */
must_use enum err decode_input(struct decode *d, struct str bytes);
/** decode_end() - the body is complete; idempotent */
void decode_end(struct decode *d);
/** decode_pause() - no output is read while paused: who cannot pass it on is not flooded */
void decode_pause(struct decode *d, bool paused);
/** decode_free() - at any time; a job that runs is called off. NULL is fine. */
void decode_free(struct decode *d);
