/* waiter.h - who waits for an answer that many may share; and which look at a source answers them */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#define VAULT_CHECK_MS 250	/* a source that fails while something of it is held is in doubt for so long, and then
				   looked at no more often */
#define VAULT_FAILURE_MS 5000	/* one that fails with nothing held is not asked again before */

/** struct waiter - one asker, a member of its own struct, zero at first. Over when what was asked did not
 *  return ERR_MORE, or by waiter_end(), which must come before its memory goes. */
struct waiter {
	struct waiter *next, **at;
	void (*changed)(void *user);
	void *user;
	uint64_t look;		/* the first look at the source that answers it; 0: any does */
};

/** waiter_join() - @w waits in @list, unless it does already */
void waiter_join(struct waiter *w, struct waiter **list, void (*changed)(void *user), void *user);
/** waiter_end() - idempotent, also on one that was never used */
void waiter_end(struct waiter *w);
/** waiter_wake() - all of @list leave it and are told; they may ask, and wait, anew */
void waiter_wake(struct waiter **list);

/** struct vault_look - looks at one source, of which one runs at a time; zero at first */
struct vault_look {
	uint64_t begun, done;		/* how many */
	uint64_t doubtful_ms;		/* since when it fails, with something of it held; 0: it does not */
	uint64_t failed_until_ms;	/* nobody gets anything before */
};

/** vault_look_due() - must the source be looked at for @w? Until a look is
 *  over that began after @w asked: what was changed before that is then seen. */
bool vault_look_due(const struct vault_look *l, struct waiter *w);
/** vault_look_over() - a look has ended: @good; @held: something from before is held,
 *  which serves on while the source is in doubt (a file that is caught half written)
 * Return: what is held may be given away */
bool vault_look_over(struct vault_look *l, bool good, bool held);
