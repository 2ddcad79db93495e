/* progress.h - one line on the user's terminal while a start takes longer than a second */
#pragma once

#include <stdbool.h>
#include <uv.h>

struct progress;

/** progress_new() - NULL (which every function takes) if @quiet or standard error is no terminal */
struct progress *progress_new(uv_loop_t *loop, bool quiet);
/** progress_step() - what is being done now; a static string */
void progress_step(struct progress *p, const char *what);
/** progress_end() - removes the line; nothing is shown any more; idempotent */
void progress_end(struct progress *p);
/** progress_free() - ends it and closes its timer; the loop must turn once more */
void progress_free(struct progress *p);
