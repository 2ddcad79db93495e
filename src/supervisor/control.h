/* control.h - RUN/control.sock: how another `paddock` command speaks to a supervisor
 *
 * One line in, one line out: "stop\n" -> "ok\n"; anything else -> "error: ...\n". The
 * directory is 0700 and the peer's uid is checked.
 */
#pragma once

#include "supervisor/rundir.h"

#include <uv.h>

struct control;

/** control_new() - listens; @stop is called for each "stop". NULL if it cannot: the run goes on
 *  without, and `paddock stop` says so. */
struct control *control_new(uv_loop_t *loop, const struct rundir *run, void (*stop)(void *ctx), void *ctx);
void control_free(struct control *c);

/** control_request() - the other side: sends @line to the run at @path, reads the answer
 * Return: ERR_OK; ERR_LOCAL with errno; ERR_STATE (the answer was an error, in @ret_answer) */
must_use enum err control_request(const char *path, struct str line, struct buf *ret_answer);
