/* vault.c - the secrets of one sandbox
 *
 * Theory of operation: the keeper knows a credential by its place in the policy that it was
 * given at the start; policies that are loaded later are mapped to that by name, and may not
 * change where a secret comes from. Each new secret makes a new set of needles; exchanges that
 * run move over to it (relay.c). Failures are kept for a moment, or each request of an agent
 * would run a failing credential command again.
 */
#include "courier/vault.h"

#include "base/clock.h"
#include "credential/attach.h"

#include <stdlib.h>

#define FAILURE_MS 5000

struct entry {
	struct str name, origin;	/* copies, in the arena; origin: source and its argument */
	bool scrub;
	struct secret *secret;
	uint64_t failed_until_ms;
	const char *reason;
};

struct vault {
	int keeper;
	struct arena *arena;
	uint32_t count;
	struct entry *entries;
	struct vault_set *current;
};

/* Where a secret comes from, as one text that differs if anything in it does. */
static void put_origin(const struct policy_credential *c, struct buf *b)
{
	buf_put_decimal(b, (uint64_t)c->source);
	buf_put_byte(b, 0);
	buf_put(b, c->environment);
	buf_put_byte(b, 0);
	buf_put(b, c->file);
	for (uint32_t i = 0; i < c->command_count; i++) {
		buf_put_byte(b, 0);
		buf_put(b, c->command[i]);
	}
}

static bool fill(struct vault *v, const struct policy *p)
{
	v->entries = arena_array(v->arena, v->count ? v->count : 1, sizeof *v->entries);
	if (!v->entries)
		return false;
	for (uint32_t i = 0; i < v->count; i++) {
		const struct policy_credential *c = policy_credential(p, i);
		auto_buf origin = BUF_EMPTY;

		buf_init(&origin, (size_t)POLICY_BYTES_MAX);
		put_origin(c, &origin);
		v->entries[i].name = arena_copy(v->arena, c->name);
		v->entries[i].origin = arena_copy(v->arena, buf_str(&origin));
		v->entries[i].scrub = c->scrub;
		if (buf_err(&origin) != ERR_OK || !v->entries[i].name.p || !v->entries[i].origin.p)
			return false;
	}
	return true;
}

struct vault *vault_new(int keeper, const struct policy *first)
{
	struct vault *v = calloc(1, sizeof *v);

	if (!v)
		return NULL;
	v->keeper = keeper;
	v->count = policy_credential_count(first);
	v->arena = arena_new(2 * (size_t)POLICY_BYTES_MAX);
	if (!v->arena || !fill(v, first)) {
		v->count = 0;
		vault_free(v);
		return NULL;
	}
	return v;
}

void vault_free(struct vault *v)
{
	if (!v)
		return;
	for (uint32_t i = 0; i < v->count; i++)
		secret_free(v->entries[i].secret);
	vault_release(v->current);
	arena_free(v->arena);
	free(v);
}

static struct entry *entry_of(const struct vault *v, const struct policy_credential *c)
{
	for (uint32_t i = 0; i < v->count; i++)
		if (str_eq(v->entries[i].name, c->name))
			return &v->entries[i];
	return NULL;
}

int32_t vault_number(const struct vault *v, const struct policy_credential *c)
{
	const struct entry *e = entry_of(v, c);

	return e ? (int32_t)(e - v->entries) : -1;
}

bool vault_knows(const struct vault *v, const struct policy_credential *c)
{
	const struct entry *e = entry_of(v, c);
	auto_buf origin = BUF_EMPTY;

	buf_init(&origin, (size_t)POLICY_BYTES_MAX);
	put_origin(c, &origin);
	return e && buf_err(&origin) == ERR_OK && e->scrub == c->scrub &&
	       str_eq(e->origin, buf_str(&origin));
}

/* The set of needles anew, with every secret that is held now. */
static enum err rebuild(struct vault *v)
{
	struct vault_set *s = calloc(1, sizeof *s);
	enum err e = ERR_OK;

	if (!s)
		return ERR_MEMORY;
	s->references = 1;
	s->set = scrub_set_new();
	if (!s->set)
		e = ERR_MEMORY;
	for (uint32_t i = 0; e == ERR_OK && i < v->count; i++)
		if (v->entries[i].secret && v->entries[i].scrub)
			e = scrub_set_add(s->set, secret_str(v->entries[i].secret), i);
	if (e == ERR_OK)
		e = scrub_set_build(s->set);
	if (e != ERR_OK) {
		vault_release(s);
		return e;
	}
	vault_release(v->current);
	v->current = s;
	return ERR_OK;
}

static enum err fetch(struct vault *v, struct entry *entry, const struct policy_credential *c,
		      const char **ret_reason)
{
	enum err e = keeper_secret(v->keeper, (uint32_t)(entry - v->entries), VAULT_KEEPER_MS, &entry->secret);

	if (e != ERR_OK) {
		*ret_reason = "its source gave no secret";
		return ERR_CREDENTIAL;
	}
	e = credential_check_secret(c, secret_str(entry->secret), ret_reason);
	if (e == ERR_OK && entry->scrub) {
		*ret_reason = "it cannot be searched for in answers";
		e = rebuild(v);
	}
	if (e == ERR_OK)
		return ERR_OK;
	secret_free(entry->secret);	/* what cannot be scrubbed is not used */
	entry->secret = NULL;
	return e == ERR_MEMORY ? e : ERR_CREDENTIAL;
}

enum err vault_secret(struct vault *v, const struct policy_credential *c, struct str *ret_secret,
		      const char **ret_reason)
{
	struct entry *entry = entry_of(v, c);
	const char *reason = "the run's keeper does not know it";

	if (!entry || (!entry->secret && clock_ms() < entry->failed_until_ms)) {
		*ret_reason = entry ? entry->reason : reason;
		return ERR_CREDENTIAL;
	}
	if (!entry->secret) {
		enum err e = fetch(v, entry, c, &reason);

		if (e != ERR_OK) {
			entry->failed_until_ms = clock_ms() + FAILURE_MS;
			entry->reason = reason;
			*ret_reason = reason;
			return e;
		}
	}
	*ret_secret = secret_str(entry->secret);
	return ERR_OK;
}

struct vault_set *vault_acquire(struct vault *v)
{
	if (v->current)
		v->current->references++;
	return v->current;
}

const struct vault_set *vault_current(const struct vault *v) { return v->current; }

void vault_release(struct vault_set *s)
{
	if (!s || --s->references)
		return;
	scrub_set_free(s->set);
	free(s);
}
