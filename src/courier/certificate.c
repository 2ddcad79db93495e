/* certificate.c - client certificates; see certificate.h
 *
 * Theory of operation: read when first needed and looked at again for each request, by its stamp, so that a
 * renewed certificate is used by the next one; one that is the same stays the same generation, and
 * connections are kept. Their keys are in this process, since it is the one that speaks TLS to the upstream.
 * Failure: kept for a moment; what is held serves for a moment more if a later look fails, as in the vault.
 */
#include "courier/certificate.h"

#include "base/clock.h"

#include <stdlib.h>

struct entry {
	struct certificates *owner;
	struct certificate *current;
	struct keeper_call *call;
	struct waiter *waits;
	struct vault_look look;
	uint8_t stamp[KEEPER_STAMP_BYTES];
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

/* Nothing after the stamp: it is as it was. */
static bool take(struct entry *k, struct str reply)
{
	struct str pem = str_from(reply, KEEPER_STAMP_BYTES);
	struct certificate *fresh;

	if (reply.n < KEEPER_STAMP_BYTES || (pem.n == 0 && !k->current))
		return false;
	memcpy(k->stamp, reply.p, KEEPER_STAMP_BYTES);
	if (pem.n == 0 || (k->current && str_eq(buf_str(&k->current->pem), pem)))
		return true;
	fresh = calloc(1, sizeof *fresh);
	if (!fresh)
		return false;
	fresh->references = 1;
	fresh->generation = ++k->owner->generation;
	buf_init_secret(&fresh->pem, KEEPER_DATA_MAX);
	buf_put(&fresh->pem, pem);
	if (buf_err(&fresh->pem)) {
		certificate_release(fresh);
		return false;
	}
	certificate_release(k->current);
	k->current = fresh;
	return true;
}

static void answered(void *user, enum err e, struct str reply)
{
	struct entry *k = user;
	bool held = k->current != NULL;

	k->call = NULL;
	(void)vault_look_over(&k->look, e == ERR_OK && take(k, reply), held && e == ERR_CREDENTIAL);
	waiter_wake(&k->waits);
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

static enum err look(struct entry *k, uint32_t number)
{
	const struct keeper_question question = { .op = KEEPER_CERTIFICATE, .credential = number,
						  .text = str_make(k->stamp,
								   k->current ? sizeof k->stamp : 0) };
	enum err e = keeper_call(k->owner->courier->keeper, &question, answered, k, &k->call);

	k->look.begun += e == ERR_OK;
	return e;
}

enum err certificate_ask(struct certificates *t, const struct policy_credential *c, struct waiter *w,
			 void (*changed)(void *user), void *user, struct certificate **ret,
			 const char **ret_reason)
{
	int32_t number = vault_number(t->courier->vault, c);
	struct entry *k = entry_of(t, number);
	bool changes = c->source == POLICY_SOURCE_FILE || c->source == POLICY_SOURCE_COMMAND;
	enum err e = ERR_CREDENTIAL;

	*ret_reason = "its certificate and key cannot be read (the operator's log says why)";
	if (k && clock_ms() >= k->look.failed_until_ms) {
		if ((changes && vault_look_due(&k->look, w)) || !k->current || k->look.failed_until_ms ||
		    k->call) {
			e = k->call ? ERR_OK : look(k, (uint32_t)number);
			if (e == ERR_OK) {
				waiter_join(w, &k->waits, changed, user);
				return ERR_MORE;
			}
			e = e == ERR_MEMORY ? e : ERR_CREDENTIAL;
		} else {
			k->current->references++;
			*ret = k->current;
			e = ERR_OK;
		}
	}
	waiter_end(w);
	return e;
}
