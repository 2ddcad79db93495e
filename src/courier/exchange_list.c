/* exchange_list.c - all exchanges that run
 *
 * Theory of operation: running one may end another, by way of what they both wait for. So whoever goes through
 * all of them stands in the courier's list of cursors, and an exchange that leaves moves the cursors that are
 * about to come to it.
 */
#include "courier/exchange.h"

struct exchange_cursor {
	struct exchange *next;
	struct exchange_cursor *outer;
};

void exchange_list_add(struct exchange *x)
{
	x->at = &x->courier->exchanges;
	x->next = *x->at;
	if (x->next)
		x->next->at = &x->next;
	*x->at = x;
}

void exchange_list_drop(struct exchange *x)
{
	for (struct exchange_cursor *k = x->courier->cursor; k; k = k->outer)
		if (k->next == x)
			k->next = x->next;
	*x->at = x->next;
	if (x->next)
		x->next->at = x->at;
}

void exchange_each(struct courier *c, void (*f)(struct exchange *x, void *user), void *user)
{
	struct exchange_cursor cursor = { c->exchanges, c->cursor };

	c->cursor = &cursor;
	for (struct exchange *x; (x = cursor.next);) {
		cursor.next = x->next;
		f(x, user);
	}
	c->cursor = cursor.outer;
}
