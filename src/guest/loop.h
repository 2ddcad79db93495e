/* loop.h - PID 1's event loop: descriptors and timers, one thread */
#pragma once

#include "base/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/epoll.h>

/** struct watch - a descriptor and what is wanted of it; embedded in its owner. Zeroed, with
 *  fd and ready set, it is valid and idle. */
struct watch {
	int fd;
	uint32_t events;	/* EPOLLIN, EPOLLOUT; 0: not watched at all, hang-ups included */
	void (*ready)(struct watch *w, uint32_t events);
};

/** struct timer - a deadline; embedded in its owner. Zeroed, with fire set, it is idle. */
struct timer {
	uint64_t due_ms;	/* CLOCK_MONOTONIC */
	void (*fire)(struct timer *t);
	struct timer *next;
	bool armed;
};

struct loop {
	int epoll;
	struct timer *timers;
	struct epoll_event batch[16];
	int batch_count;
};

/** loop_init() - ERR_LOCAL with errno */
must_use enum err loop_init(struct loop *l);
/** loop_watch() - @w->events becomes @events. A failure to add is ERR_LOCAL with errno. */
must_use enum err loop_watch(struct loop *l, struct watch *w, uint32_t events);
/** loop_forget() - @w is watched no more, and no event that already came reaches it; before
 *  its descriptor is closed. Idempotent. */
void loop_forget(struct loop *l, struct watch *w);
/** loop_arm(), loop_disarm() - idempotent; arming again moves the deadline */
void loop_arm(struct loop *l, struct timer *t, uint64_t after_ms);
void loop_disarm(struct loop *l, struct timer *t);
/** loop_once() - waits for the next event or deadline and handles what is due */
must_use enum err loop_once(struct loop *l);
