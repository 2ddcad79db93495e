/* words.h - what a sandbox's processes complain of, printed for them
 *
 * None of them but paddock-terminal has the user's terminal (what can be written to can be read from, or told what to
 * type): their standard error is a pipe, and what comes out of it is printed here, line by line, escaped.
 */
#pragma once

#include "base/err.h"

#include <uv.h>

struct words;

/** words_new() - makes the pipe; on @loop lines are printed as they come. ERR_LOCAL, ERR_MEMORY */
must_use enum err words_new(uv_loop_t *loop, struct words **ret);
/** words_fd() - the end that is written to, for children; borrowed. Writing to it never waits: what
 *  does not fit is lost. -1 for NULL */
int words_fd(const struct words *w);
/** words_print() - whatever has come by now; NULL is fine */
void words_print(struct words *w);
/** words_free() - prints what is left; the loop must turn once more. NULL is fine */
void words_free(struct words *w);
