/* wait.h - deadlines: many waits on one timer of the loop */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <uv.h>

/** struct wait - one deadline of one object; zeroed, it is not set. @fire is called once, with the
 *  wait already cleared, and may free the object that holds it. */
struct wait {
	struct wait *next, *prev;
	uint64_t at_ms;
	void (*fire)(struct wait *w);
};

struct waits {
	uv_timer_t timer;
	struct wait list;	/* head of a ring */
	uint64_t armed_ms;	/* when the timer will fire; 0: it is not armed */
};

/** waits_init() - @w must stay where it is until the loop has closed it */
void waits_init(struct waits *w, uv_loop_t *loop);
/** waits_close() - nothing fires any more; libuv lets go of the timer in its next turn */
void waits_close(struct waits *w);
/** wait_set() - @fire in @ms milliseconds, instead of what was set before */
void wait_set(struct waits *ws, struct wait *w, uint64_t ms, void (*fire)(struct wait *w));
/** wait_clear() - idempotent */
void wait_clear(struct wait *w);
static inline bool wait_is_set(const struct wait *w) { return w->next; }
