/* vault.c - the secrets of one sandbox
 *
 * Theory of operation: the keeper knows a credential by its place in the policy that it was
 * given at the start; policies that are loaded later are mapped to that by name, and may not
 * change where a secret comes from or what it is for. A slot is one secret of a credential (its
 * source, or what its token block names beside it): asked for once however many wait, kept, and
 * for a file asked for each time, with the stamp of what is known, so that the keeper looks at
 * the file and mostly says "the same". A new secret is a new generation.
 * What was a secret stays among the needles for some generations more, since an upstream may
 * still reflect it. Each new secret makes a new set of needles; exchanges that run move over to
 * it (relay.c). A secret that cannot be searched for is not used.
 * Failure: kept for a moment, or each request of an agent would run a failing credential command
 * again. A file that fails while a secret is held was perhaps caught half written: what is held
 * serves for a moment, and then no more.
 */
#include "courier/vault.h"

#include "base/clock.h"
#include "credential/attach.h"

#include <stdlib.h>

#define LEARNT_MAX (VAULT_OLD_MAX * 4)

struct slot {
	struct vault *vault;
	struct vault_secret *current, *old[VAULT_OLD_MAX];
	struct waiter *waits;
	struct keeper_call *call;
	uint8_t stamp[KEEPER_STAMP_BYTES];
	struct vault_look look;
	uint64_t invalidated_ms;
	const char *reason;
	bool again;
};

struct entry {
	struct str name, origin;	/* copies, in the arena; origin: all that the keeper goes by */
	enum policy_source source;
	bool scrub, detached;
	struct slot slots[KEEPER_PARTS];
	struct vault_secret *learnt[LEARNT_MAX];	/* what was learnt last, anew or again, is first */
};

struct vault {
	struct keeper_client *client;
	struct arena *arena;
	uint32_t count;
	struct entry *entries;
	struct vault_set *current;
	uint64_t generation;
	void (*detached)(void *user, int32_t number);
	void *detached_user;
};

/* ---- secrets ---- */

static enum err secret_make(struct vault *v, struct str bytes, struct vault_secret **ret)
{
	struct vault_secret *s = calloc(1, sizeof *s);
	enum err e = s ? secret_new(bytes.p, bytes.n, &s->secret) : ERR_MEMORY;

	if (e) {
		free(s);
		return e;
	}
	s->references = 1;
	s->generation = ++v->generation;
	*ret = s;
	return ERR_OK;
}

static void secret_drop(struct vault_secret *s)
{
	if (!s || --s->references > 0)
		return;
	secret_free(s->secret);
	free(s);
}

/* the count alone is ours to change in what others see as constant */
static struct vault_secret *counted(const struct vault_secret *s) { return (struct vault_secret *)(uintptr_t)s; }

const struct vault_secret *vault_secret_hold(const struct vault_secret *s)
{
	counted(s)->references++;
	return s;
}

void vault_secret_release(const struct vault_secret *s) { secret_drop(counted(s)); }

/* ---- the policy's credentials ---- */

static void put_part(struct buf *b, struct str s)
{
	buf_put(b, s);
	buf_put_byte(b, 0);
}

/* Where a secret comes from and what it is for, as one text that differs if anything in it does. */
static void put_origin(const struct policy_credential *c, struct buf *b)
{
	buf_put_decimal(b, (uint64_t)c->source);
	buf_put_byte(b, ' ');
	buf_put_decimal(b, (uint64_t)c->strategy);
	buf_put_byte(b, ' ');
	buf_put_decimal(b, c->token ? (uint64_t)c->token->grant : (uint64_t)c->login);
	put_part(b, STR(""));
	put_part(b, c->environment);
	put_part(b, c->file);
	put_part(b, c->sealed);
	put_part(b, c->aws_profile);
	if (c->token) {
		put_part(b, c->token->client_secret_environment);
		put_part(b, c->token->actor_token_environment);
		put_part(b, c->token->issuer);
		put_part(b, c->token->app_id);
	}
	for (uint32_t i = 0; i < c->aws_service_count; i++)
		put_part(b, c->aws_services[i]);
	put_part(b, STR(""));
	for (uint32_t i = 0; i < c->aws_region_count; i++)
		put_part(b, c->aws_regions[i]);
	put_part(b, STR(""));
	for (uint32_t i = 0; i < c->command_count; i++)
		put_part(b, c->command[i]);
}

static bool fill(struct vault *v, const struct policy *p)
{
	v->entries = calloc(v->count ? v->count : 1, sizeof *v->entries);
	if (!v->entries)
		return false;
	for (uint32_t i = 0; i < v->count; i++) {
		const struct policy_credential *c = policy_credential(p, i);
		struct entry *e = &v->entries[i];
		auto_buf origin = BUF_EMPTY;

		buf_init(&origin, (size_t)POLICY_BYTES_MAX);
		put_origin(c, &origin);
		e->name = arena_copy(v->arena, c->name);
		e->origin = arena_copy(v->arena, buf_str(&origin));
		e->source = c->source;
		e->scrub = c->scrub;
		for (int part = 0; part < KEEPER_PARTS; part++)
			e->slots[part].vault = v;
		if (buf_err(&origin) != ERR_OK || !e->name.p || !e->origin.p)
			return false;
	}
	return true;
}

struct vault *vault_new(struct keeper_client *client, const struct policy *first)
{
	struct vault *v = calloc(1, sizeof *v);

	if (!v)
		return NULL;
	v->client = client;
	v->count = policy_credential_count(first);
	v->arena = arena_new(2 * (size_t)POLICY_BYTES_MAX);
	if (!v->arena || !fill(v, first)) {
		if (!v->entries)
			v->count = 0;
		vault_free(v);
		return NULL;
	}
	return v;
}

static void slot_free(struct slot *s)
{
	keeper_cancel(s->call);
	while (s->waits)
		waiter_end(s->waits);
	secret_drop(s->current);
	for (int i = 0; i < VAULT_OLD_MAX; i++)
		secret_drop(s->old[i]);
}

void vault_free(struct vault *v)
{
	if (!v)
		return;
	for (uint32_t i = 0; i < v->count; i++) {
		for (int part = 0; part < KEEPER_PARTS; part++)
			slot_free(&v->entries[i].slots[part]);
		for (int k = 0; k < LEARNT_MAX; k++)
			secret_drop(v->entries[i].learnt[k]);
	}
	vault_release(v->current);
	free(v->entries);
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

/* ---- needles ---- */

/* The same secret may be held twice: as one that was learnt, and as a source's. */
static enum err add_needle(struct scrub_set *set, const struct vault_secret *s, uint32_t number)
{
	return s ? scrub_set_add(set, secret_str(s->secret), number) : ERR_OK;
}

static enum err add_needles(struct scrub_set *set, const struct entry *entry, uint32_t number)
{
	enum err e = ERR_OK;

	for (int part = 0; part < KEEPER_PARTS && e == ERR_OK; part++) {
		e = add_needle(set, entry->slots[part].current, number);
		for (int i = 0; i < VAULT_OLD_MAX && e == ERR_OK; i++)
			e = add_needle(set, entry->slots[part].old[i], number);
	}
	for (int i = 0; i < LEARNT_MAX && e == ERR_OK; i++)
		e = add_needle(set, entry->learnt[i], number);
	return e;
}

struct held {
	size_t count, bytes;
};

static void hold(struct held *h, const struct vault_secret *s)
{
	if (!s)
		return;
	h->count++;
	h->bytes += secret_str(s->secret).n;
}

static struct held held(const struct vault *v)
{
	struct held h = { 0 };

	for (uint32_t i = 0; i < v->count; i++) {
		if (!v->entries[i].scrub)
			continue;
		for (int part = 0; part < KEEPER_PARTS; part++) {
			hold(&h, v->entries[i].slots[part].current);
			for (int k = 0; k < VAULT_OLD_MAX; k++)
				hold(&h, v->entries[i].slots[part].old[k]);
		}
		for (int k = 0; k < LEARNT_MAX; k++)
			hold(&h, v->entries[i].learnt[k]);
	}
	return h;
}

static void older(struct vault_secret **at, struct vault_secret ***oldest)
{
	if (*at && (*at)->references == 1 && (!*oldest || (*at)->generation < (**oldest)->generation))
		*oldest = at;
}

/* Forgets what is longest in nobody's use; false if there is no such. */
static bool drop_oldest(struct vault *v)
{
	struct vault_secret **oldest = NULL;

	for (uint32_t i = 0; i < v->count; i++) {
		if (!v->entries[i].scrub)
			continue;
		for (int part = 0; part < KEEPER_PARTS; part++)
			for (int k = 0; k < VAULT_OLD_MAX; k++)
				older(&v->entries[i].slots[part].old[k], &oldest);
		for (int k = 0; k < LEARNT_MAX; k++)
			older(&v->entries[i].learnt[k], &oldest);
	}
	if (!oldest)
		return false;
	secret_drop(*oldest);
	*oldest = NULL;
	return true;
}

/* Room for one needle more. Before anything is moved: what goes may be anybody's. */
static void make_room(struct vault *v, const struct vault_secret *fresh)
{
	size_t bytes = secret_str(fresh->secret).n;
	struct held h;

	do
		h = held(v);
	while ((h.count >= SCRUB_NEEDLES_MAX || h.bytes + bytes > SCRUB_BYTES_MAX) && drop_oldest(v));
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
		if (v->entries[i].scrub)
			e = add_needles(s->set, &v->entries[i], i);
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

/* ---- one source, asked ---- */

static struct entry *entry_of_slot(const struct slot *s)
{
	for (uint32_t i = 0; i < s->vault->count; i++)
		for (int part = 0; part < KEEPER_PARTS; part++)
			if (&s->vault->entries[i].slots[part] == s)
				return &s->vault->entries[i];
	return NULL;
}

/* @fresh takes the place of the present one, which is searched for as the youngest of the old; of the old
 * the oldest goes. Without memory for the new needles all stays as it is. */
static enum err exchange_current(struct slot *s, struct vault_secret *fresh)
{
	struct vault_secret *oldest, *before = s->current;
	enum err e;

	make_room(s->vault, fresh);
	oldest = s->old[VAULT_OLD_MAX - 1];
	if (before) {
		memmove(&s->old[1], &s->old[0], (VAULT_OLD_MAX - 1) * sizeof s->old[0]);
		s->old[0] = before;
	}
	s->current = fresh;
	e = entry_of_slot(s)->scrub ? rebuild(s->vault) : ERR_OK;
	if (e == ERR_OK) {
		if (before)
			secret_drop(oldest);
		return ERR_OK;
	}
	s->current = before;
	if (before) {
		memmove(&s->old[0], &s->old[1], (VAULT_OLD_MAX - 1) * sizeof s->old[0]);
		s->old[VAULT_OLD_MAX - 1] = oldest;
	}
	secret_drop(fresh);
	return e;
}

static const char *take_secret(struct slot *s, struct str reply)
{
	struct str bytes = str_from(reply, KEEPER_STAMP_BYTES);
	struct vault_secret *fresh = NULL;
	enum err e = ERR_OK;

	if (reply.n < KEEPER_STAMP_BYTES || (bytes.n == 0 && !s->current))
		return "the keeper's answer is not valid";
	if (bytes.n && !(s->current && secret_eq(secret_str(s->current->secret), bytes))) {
		e = secret_make(s->vault, bytes, &fresh);
		if (e == ERR_OK)
			e = exchange_current(s, fresh);
	}
	if (e == ERR_MEMORY)
		return "there is no memory for it";
	if (e != ERR_OK)
		return "it cannot be searched for in answers";
	memcpy(s->stamp, reply.p, KEEPER_STAMP_BYTES);
	return NULL;
}

static void source_answered(void *user, enum err e, struct str reply)
{
	struct slot *s = user;
	bool held = s->current != NULL;
	const char *reason = e ? "its source gave no secret" : take_secret(s, reply);

	s->call = NULL;
	s->again = false;
	if (!vault_look_over(&s->look, !reason, held && e == ERR_CREDENTIAL))
		s->reason = reason;
	waiter_wake(&s->waits);
}

/* What a file holds is looked at for each that asks; the rest does not change by itself. */
static bool is_due(const struct entry *e, const struct slot *s, struct waiter *w)
{
	bool file = s == &e->slots[KEEPER_PART_SOURCE] && e->source == POLICY_SOURCE_FILE;

	return (file && vault_look_due(&s->look, w)) || !s->current || s->again || s->look.failed_until_ms;
}

static enum err ask_source(struct vault *v, struct entry *entry, struct slot *s, enum keeper_part part)
{
	const struct keeper_question q = {
		.op = KEEPER_SECRET, .credential = (uint32_t)(entry - v->entries), .part = part,
		.flags = s->again ? KEEPER_AGAIN : 0,
		.text = str_make(s->stamp, s->current && !s->again ? sizeof s->stamp : 0),
	};
	enum err e = keeper_call(v->client, &q, source_answered, s, &s->call);

	s->look.begun += e == ERR_OK;
	return e;
}

enum err vault_ask(struct vault *v, const struct policy_credential *c, enum keeper_part part,
		   struct waiter *w, void (*changed)(void *user), void *user,
		   const struct vault_secret **ret, const char **ret_reason)
{
	struct entry *entry = entry_of(v, c);
	struct slot *s = entry ? &entry->slots[part] : NULL;
	enum err e = ERR_CREDENTIAL;

	if (!entry || entry->detached) {
		*ret_reason = entry ? "it was detached" : "the run's keeper does not know it";
	} else if (clock_ms() < s->look.failed_until_ms) {
		*ret_reason = s->reason;
	} else if (is_due(entry, s, w) || s->call) {
		e = s->call ? ERR_OK : ask_source(v, entry, s, part);
		if (e == ERR_OK) {
			waiter_join(w, &s->waits, changed, user);
			return ERR_MORE;
		}
		*ret_reason = "the keeper cannot be asked";
		e = e == ERR_MEMORY ? e : ERR_CREDENTIAL;
	} else {
		e = credential_check_secret(c, secret_str(s->current->secret), ret_reason);
		if (e == ERR_OK)
			*ret = vault_secret_hold(s->current);
	}
	waiter_end(w);
	return e;
}

void vault_invalidate(struct vault *v, const struct policy_credential *c, uint64_t generation)
{
	struct entry *entry = entry_of(v, c);
	uint64_t now = clock_ms();

	for (int part = 0; entry && part < KEEPER_PARTS; part++) {
		struct slot *s = &entry->slots[part];

		if (!s->current || s->current->generation != generation || s->call ||
		    (s->invalidated_ms && now - s->invalidated_ms < VAULT_FAILURE_MS))
			continue;
		s->again = true;
		s->invalidated_ms = now;
	}
}

static void put_first(struct entry *e, int i)
{
	struct vault_secret *s = e->learnt[i];

	memmove(&e->learnt[1], &e->learnt[0], (size_t)i * sizeof e->learnt[0]);
	e->learnt[0] = s;
}

enum err vault_learn(struct vault *v, const struct policy_credential *c, struct str secret,
		     const struct vault_secret **ret)
{
	struct entry *entry = entry_of(v, c);
	struct vault_secret *fresh = NULL, *oldest;
	enum err e;

	if (!entry)
		return ERR_CREDENTIAL;
	for (int i = 0; i < LEARNT_MAX; i++)
		if (entry->learnt[i] && secret_eq(secret_str(entry->learnt[i]->secret), secret)) {
			put_first(entry, i);
			if (ret)
				*ret = vault_secret_hold(entry->learnt[0]);
			return ERR_OK;
		}
	e = secret_make(v, secret, &fresh);
	if (e != ERR_OK)
		return e == ERR_LIMIT ? ERR_CREDENTIAL : e;
	make_room(v, fresh);
	oldest = entry->learnt[LEARNT_MAX - 1];
	entry->learnt[LEARNT_MAX - 1] = fresh;
	e = entry->scrub ? rebuild(v) : ERR_OK;
	if (e != ERR_OK) {
		entry->learnt[LEARNT_MAX - 1] = oldest;
		secret_drop(fresh);
		return e == ERR_MEMORY ? e : ERR_CREDENTIAL;
	}
	secret_drop(oldest);
	put_first(entry, LEARNT_MAX - 1);
	if (ret)
		*ret = vault_secret_hold(fresh);
	return ERR_OK;
}

/* ---- detaching ---- */

void vault_on_detach(struct vault *v, void (*detached)(void *user, int32_t number), void *user)
{
	v->detached = detached;
	v->detached_user = user;
}

void vault_detach(struct vault *v, const struct policy_credential *c)
{
	struct entry *entry = entry_of(v, c);

	if (!entry || entry->detached)
		return;
	entry->detached = true;
	if (v->detached)
		v->detached(v->detached_user, (int32_t)(entry - v->entries));
}

bool vault_detached(const struct vault *v, const struct policy_credential *c)
{
	const struct entry *e = entry_of(v, c);

	return e && e->detached;
}

/* ---- sets ---- */

struct vault_set *vault_acquire(struct vault *v)
{
	if (v->current)
		v->current->references++;
	return v->current;
}

const struct vault_set *vault_current(const struct vault *v) { return v->current; }

bool vault_reveals(const struct vault *v, struct str s)
{
	uint32_t hit;

	return v->current && scrub_search(v->current->set, s, &hit);
}

void vault_release(struct vault_set *s)
{
	if (!s || --s->references)
		return;
	scrub_set_free(s->set);
	free(s);
}
