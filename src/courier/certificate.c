/* certificate.c - client certificates; see certificate.h
 *
 * Theory of operation: read when first needed and looked at again now and then, so that a renewed certificate is
 * used by the next connection; one that is the same stays the same generation, and connections are kept. Their
 * keys are in this process, since it is the one that speaks TLS to the upstream.
 * Failure: kept for a moment; what is held serves on if a later look fails.
 */
#include "courier/certificate.h"

#include "base/clock.h"

#include <stdlib.h>

struct entry {
	struct certificates *owner;
	struct certificate *current;
	struct keeper_call *call;
	struct vault_wait *waits;
	uint64_t looked_ms, failed_until_ms;
};

struct certificates {
	struct courier *courier;
	struct entry *all[POLICY_CREDENTIALS_MAX];
	uint64_t generation;
};

struct certificates *certificates_new(struct courier *c)
{
	struct certificates *t = calloc(1, sizeof *t);

	if (t)
		t->courier = c;
	return t;
}

void certificate_release(struct certificate *c)
{
	if (!c || --c->references)
		return;
	buf_free(&c->pem);
	free(c);
}

void certificates_free(struct certificates *t)
{
	if (!t)
		return;
	for (int i = 0; i < POLICY_CREDENTIALS_MAX; i++)
		if (t->all[i]) {
			keeper_cancel(t->all[i]->call);
			certificate_release(t->all[i]->current);
			free(t->all[i]);
		}
	free(t);
}

static void take(struct entry *k, struct str pem)
{
	struct certificate *fresh;

	if (k->current && str_eq(buf_str(&k->current->pem), pem))
		return;
	fresh = calloc(1, sizeof *fresh);
	if (!fresh)
		return;
	fresh->references = 1;
	fresh->generation = ++k->owner->generation;
	buf_init_secret(&fresh->pem, KEEPER_DATA_MAX);
	buf_put(&fresh->pem, pem);
	if (buf_err(&fresh->pem)) {
		certificate_release(fresh);
		return;
	}
	certificate_release(k->current);
	k->current = fresh;
}

static void answered(void *user, enum err e, struct str reply)
{
	struct entry *k = user;

	k->call = NULL;
	k->looked_ms = clock_ms();
	if (e == ERR_OK)
		take(k, reply);
	if (e != ERR_OK || !k->current)
		k->failed_until_ms = clock_ms() + VAULT_FAILURE_MS;
	while (k->waits) {
		struct vault_wait *w = k->waits;

		vault_wait_end(w);
		w->changed(w->user);
	}
}

static struct entry *entry_of(struct certificates *t, int32_t number)
{
	if (number < 0 || number >= POLICY_CREDENTIALS_MAX)
		return NULL;
	if (!t->all[number])
		t->all[number] = calloc(1, sizeof *t->all[number]);
	if (t->all[number])
		t->all[number]->owner = t;
	return t->all[number];
}

enum err certificate_ask(struct certificates *t, const struct policy_credential *c, struct vault_wait *w,
			 void (*changed)(void *user), void *user, struct certificate **ret, const char **ret_reason)
{
	int32_t number = vault_number(t->courier->vault, c);
	struct entry *k = entry_of(t, number);
	const struct keeper_question question = { .op = KEEPER_CERTIFICATE, .credential = (uint32_t)number };
	uint64_t now = clock_ms();

	vault_wait_end(w);
	*ret_reason = "its certificate and key cannot be read (the operator's log says why)";
	if (!k)
		return ERR_CREDENTIAL;
	if (!k->call && now >= k->failed_until_ms && (!k->current || now - k->looked_ms >= CERTIFICATE_CHECK_MS) &&
	    keeper_call(t->courier->keeper, &question, answered, k, &k->call) != ERR_OK)
		k->failed_until_ms = now + VAULT_FAILURE_MS;
	if (k->current && !k->call) {
		k->current->references++;
		*ret = k->current;
		return ERR_OK;
	}
	if (!k->call)
		return ERR_CREDENTIAL;
	w->changed = changed;
	w->user = user;
	w->next = k->waits;
	w->at = &k->waits;
	if (w->next)
		w->next->at = &w->next;
	k->waits = w;
	return ERR_MORE;
}
