/* detach.c - credentials that are taken away from a sandbox while it runs
 *
 * Theory of operation: the vault refuses a detached credential to whoever asks. What is under way is ended from the
 * tick and not at once, since whoever detaches may stand in the middle of an exchange. Counts are of the run, under
 * whatever policy; a credential that a reload brings back stays detached.
 */
#include "courier/detach.h"

#include "courier/journal.h"

#include <stdio.h>

static void detached(void *user, int32_t number)
{
	struct courier *c = user;

	if (number >= 0 && number < POLICY_CREDENTIALS_MAX)
		c->detached[number / 64] |= UINT64_C(1) << (number % 64);
	c->detach_due = true;
}

void detach_begin(struct courier *c) { vault_on_detach(c->vault, detached, c); }

const struct policy_credential *detach_credential(const struct exchange *x)
{
	const struct policy *p = x->snapshot ? snapshot_policy(x->snapshot) : NULL;

	for (uint32_t i = 0; p && x->reflected >= 0 && i < policy_credential_count(p); i++)
		if (vault_number(x->courier->vault, policy_credential(p, i)) == x->reflected)
			return policy_credential(p, i);
	return NULL;
}

void detach_reflected(struct exchange *x)
{
	const struct policy_credential *c = detach_credential(x);
	char text[256];

	if (!c || x->reflected >= POLICY_CREDENTIALS_MAX)
		return;
	if (++x->courier->reflections[x->reflected] < c->detach_after || c->detach_after == 0 ||
	    vault_detached(x->courier->vault, c))
		return;
	snprintf(text, sizeof text, "credential %.128s is detached: %u answers held it", c->name.p,
		 x->courier->reflections[x->reflected]);
	journal_limit(x->courier, text);
	vault_detach(x->courier->vault, c);
}

void detach_tick(struct courier *c)
{
	if (!c->detach_due)
		return;
	c->detach_due = false;
	for (struct exchange *x = c->exchanges, *next; x; x = next) {
		next = x->next;
		if (x->credential && vault_detached(c->vault, x->credential))
			exchange_end(x, ERR_CREDENTIAL, false);
	}
	for (uint32_t i = 0; i < POLICY_CREDENTIALS_MAX; i++)
		if (c->detached[i / 64] >> (i % 64) & 1)
			carriers_drop(c->carriers, i + 1);
}
