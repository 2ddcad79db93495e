/* wait.c - deadlines: many waits on one timer of the loop
 *
 * Theory of operation: waits stand in a ring, unordered, as there are some hundreds at most and they
 * are set far more often than they fire. The timer is armed for the earliest; a wait that moves
 * later leaves it armed, and the timer then finds nothing due and arms itself anew.
 */
#include "inspector/wait.h"

#include "base/clock.h"

static void due(uv_timer_t *timer);

static void arm(struct waits *ws, uint64_t at_ms, uint64_t now_ms)
{
	if (ws->armed_ms && ws->armed_ms <= at_ms)
		return;
	ws->armed_ms = at_ms;
	uv_update_time(ws->timer.loop);
	(void)uv_timer_start(&ws->timer, due, at_ms > now_ms ? at_ms - now_ms : 0, 0);
}

/* One that is due, or NULL and the timer armed for the earliest. */
static struct wait *next_due(struct waits *ws, uint64_t now_ms)
{
	uint64_t earliest = UINT64_MAX;

	for (struct wait *w = ws->list.next; w != &ws->list; w = w->next) {
		if (w->at_ms <= now_ms)
			return w;
		if (w->at_ms < earliest)
			earliest = w->at_ms;
	}
	if (earliest != UINT64_MAX)
		arm(ws, earliest, now_ms);
	return NULL;
}

static void due(uv_timer_t *timer)
{
	struct waits *ws = timer->data;
	uint64_t now_ms = clock_ms();
	struct wait *w;

	ws->armed_ms = 0;
	while ((w = next_due(ws, now_ms))) {
		void (*fire)(struct wait *w) = w->fire;

		wait_clear(w);
		fire(w);
	}
}

void waits_init(struct waits *w, uv_loop_t *loop)
{
	*w = (struct waits){ .list = { .next = &w->list, .prev = &w->list } };
	(void)uv_timer_init(loop, &w->timer);
	w->timer.data = w;
}

void waits_close(struct waits *w)
{
	while (w->list.next != &w->list)
		wait_clear(w->list.next);
	uv_close((uv_handle_t *)&w->timer, NULL);
}

void wait_set(struct waits *ws, struct wait *w, uint64_t ms, void (*fire)(struct wait *w))
{
	uint64_t now_ms = clock_ms();

	wait_clear(w);
	w->at_ms = now_ms + ms;
	w->fire = fire;
	w->next = &ws->list;
	w->prev = ws->list.prev;
	w->prev->next = w;
	ws->list.prev = w;
	arm(ws, w->at_ms, now_ms);
}

void wait_clear(struct wait *w)
{
	if (!w->next)
		return;
	w->prev->next = w->next;
	w->next->prev = w->prev;
	w->next = w->prev = NULL;
}
