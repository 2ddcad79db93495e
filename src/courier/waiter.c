/* waiter.c - who waits for an answer that many may share; see waiter.h
 *
 * Theory of operation: askers stand in a list of the answer's owner, and leave it when they are told, or give up;
 * each is told once, and may ask, and wait, anew while the others are told.
 * A source that may have changed is looked at for each asker, so that a secret that was
 * replaced is not used once more. However many ask, one look runs at a time, and answers those
 * that asked before it began; who asks while it runs waits for the next one, which they share.
 * Failure: what is held serves while a source has failed for no longer than VAULT_CHECK_MS.
 */
#include "courier/waiter.h"

#include "base/clock.h"

#include <stddef.h>

void waiter_join(struct waiter *w, struct waiter **list, void (*changed)(void *user), void *user)
{
	if (w->at)
		return;
	w->changed = changed;
	w->user = user;
	w->next = *list;
	w->at = list;
	if (w->next)
		w->next->at = &w->next;
	*list = w;
}

static void leave(struct waiter *w)
{
	if (!w->at)
		return;
	*w->at = w->next;
	if (w->next)
		w->next->at = w->at;
	w->at = NULL;
	w->next = NULL;
}

void waiter_end(struct waiter *w)
{
	leave(w);
	w->look = 0;
}

void waiter_wake(struct waiter **list)
{
	struct waiter *waits = *list;

	*list = NULL;
	if (waits)
		waits->at = &waits;	/* they may leave the list while it is gone through */
	while (waits) {
		struct waiter *w = waits;

		leave(w);
		w->changed(w->user);
	}
}

bool vault_look_due(const struct vault_look *l, struct waiter *w)
{
	if (!w->look)
		w->look = l->begun + 1;
	return l->done < w->look;
}

bool vault_look_over(struct vault_look *l, bool good, bool held)
{
	uint64_t now = clock_ms();

	l->done = l->begun;
	if (good) {
		l->doubtful_ms = l->failed_until_ms = 0;
		return true;
	}
	if (held && !l->doubtful_ms)
		l->doubtful_ms = now;
	if (held && now - l->doubtful_ms < VAULT_CHECK_MS)
		return true;
	l->failed_until_ms = now + (held ? VAULT_CHECK_MS : VAULT_FAILURE_MS);
	return false;
}
