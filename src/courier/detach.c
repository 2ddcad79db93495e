/* detach.c - credentials that are taken away from a sandbox while it runs
 *
 * Theory of operation: the vault refuses a detached credential to whoever asks. What is under way is ended
 * from the tick and not at once, since whoever detaches may stand in the middle of an exchange. Counts are of
 * the run, under whatever policy; a credential that a reload brings back stays detached. A reload takes a
 * credential away from what the policy in force would not give it to, or not in the same way.
 */
#include "courier/detach.h"

#include "courier/journal.h"
#include "courier/token.h"

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

static void end_detached(struct exchange *x, void *user)
{
	(void)user;
	if (x->credential && vault_detached(x->courier->vault, x->credential))
		exchange_end(x, ERR_CREDENTIAL, false);
}

void detach_tick(struct courier *c)
{
	if (!c->detach_due)
		return;
	c->detach_due = false;
	exchange_each(c, end_detached, NULL);
	for (uint32_t i = 0; i < POLICY_CREDENTIALS_MAX; i++)
		if (c->detached[i / 64] >> (i % 64) & 1)
			carriers_drop(c->carriers, i + 1);
}

/* ---- reloads ---- */

static void put_list(const struct str *list, uint32_t count, struct buf *b)
{
	buf_printf(b, "%u ", count);
	for (uint32_t i = 0; i < count; i++)
		keeper_put_field(b, list[i]);
}

/* Where it goes, and as what; where it comes from cannot change (vault_knows()). */
static void put_use(const struct policy_credential *c, struct buf *b)
{
	put_list(c->hosts, c->host_count, b);
	put_list(c->placeholder_fields, c->placeholder_field_count, b);
	put_list((struct str[]){ c->header_name, c->header_format, c->header_user }, 3, b);
	buf_printf(b, "%u ", c->parts);
	token_put_terms(c, b);
}

static bool same_use(const struct policy_credential *a, const struct policy_credential *b)
{
	auto_buf one = BUF_EMPTY, other = BUF_EMPTY;

	buf_init(&one, (size_t)POLICY_BYTES_MAX);
	buf_init(&other, (size_t)POLICY_BYTES_MAX);
	put_use(a, &one);
	put_use(b, &other);
	return !buf_err(&one) && !buf_err(&other) && str_eq(buf_str(&one), buf_str(&other));
}

/* Would the policy in force give @x its credential? */
static bool still_given(const struct exchange *x)
{
	const struct policy *p = snapshot_policy(x->courier->snapshot);
	const struct policy_credential *now = snapshot_credential(x->courier->snapshot, x->credential->name);
	const struct policy_rule *rule;

	if (!now || !same_use(x->credential, now))
		return false;
	return x->local || (policy_match(p, &x->head, &rule) == ERR_OK && rule->credential >= 0 &&
			    policy_credential(p, (uint32_t)rule->credential) == now);
}

static void end_not_given(struct exchange *x, void *user)
{
	(void)user;
	if (x->credential && !still_given(x))
		exchange_end(x, ERR_CREDENTIAL, false);
}

void detach_reloaded(struct courier *c, const struct policy *before)
{
	exchange_each(c, end_not_given, NULL);
	for (uint32_t i = 0; i < policy_credential_count(before); i++) {
		const struct policy_credential *was = policy_credential(before, i);
		const struct policy_credential *now = snapshot_credential(c->snapshot, was->name);

		if (!now || !same_use(was, now))
			carriers_drop(c->carriers, (uint32_t)(vault_number(c->vault, was) + 1));
	}
}
