/* loop.c - see loop.h
 *
 * Theory of operation: level-triggered epoll. Events are taken in small batches; an owner
 * that is freed while its event waits in the batch takes it out through loop_forget(), so
 * that no handler runs on freed memory. Timers are few (a DNS query or a command each), so
 * a list is searched.
 */
#include "guest/loop.h"

#include "base/clock.h"

#include <errno.h>

enum err loop_init(struct loop *l)
{
	*l = (struct loop){ .epoll = epoll_create1(EPOLL_CLOEXEC) };
	return l->epoll < 0 ? ERR_LOCAL : ERR_OK;
}

enum err loop_watch(struct loop *l, struct watch *w, uint32_t events)
{
	struct epoll_event event = { .events = events, .data.ptr = w };
	int operation = EPOLL_CTL_MOD;

	if (w->events == events)
		return ERR_OK;
	if (!w->events)
		operation = EPOLL_CTL_ADD;
	else if (!events)
		operation = EPOLL_CTL_DEL;
	if (epoll_ctl(l->epoll, operation, w->fd, &event))
		return ERR_LOCAL;
	w->events = events;
	return ERR_OK;
}

void loop_forget(struct loop *l, struct watch *w)
{
	if (w->events)
		epoll_ctl(l->epoll, EPOLL_CTL_DEL, w->fd, NULL);
	w->events = 0;
	for (int i = 0; i < l->batch_count; i++)
		if (l->batch[i].data.ptr == w)
			l->batch[i].data.ptr = NULL;
}

void loop_disarm(struct loop *l, struct timer *t)
{
	struct timer **at = &l->timers;

	if (!t->armed)
		return;
	while (*at != t)
		at = &(*at)->next;
	*at = t->next;
	t->armed = false;
}

void loop_arm(struct loop *l, struct timer *t, uint64_t after_ms)
{
	struct timer **at = &l->timers;

	loop_disarm(l, t);
	t->due_ms = clock_ms() + after_ms;
	while (*at && (*at)->due_ms <= t->due_ms)
		at = &(*at)->next;
	t->next = *at;
	*at = t;
	t->armed = true;
}

static int wait_ms(const struct loop *l)
{
	uint64_t now = clock_ms();

	if (!l->timers)
		return -1;
	if (l->timers->due_ms <= now)
		return 0;
	return l->timers->due_ms - now > 60000 ? 60000 : (int)(l->timers->due_ms - now);
}

enum err loop_once(struct loop *l)
{
	int n = epoll_wait(l->epoll, l->batch, (int)(sizeof l->batch / sizeof l->batch[0]), wait_ms(l));

	if (n < 0)
		return errno == EINTR ? ERR_OK : ERR_LOCAL;
	l->batch_count = n;
	for (int i = 0; i < n; i++) {
		struct watch *w = l->batch[i].data.ptr;

		if (w)
			w->ready(w, l->batch[i].events);
	}
	l->batch_count = 0;
	while (l->timers && l->timers->due_ms <= clock_ms()) {
		struct timer *t = l->timers;

		loop_disarm(l, t);
		t->fire(t);
	}
	return ERR_OK;
}
