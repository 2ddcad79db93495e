/* token.c - one token a credential: kept, shared, renewed; see token.h
 *
 * Theory of operation: who asks gets the present token while it is good. Shortly before its end the first to
 * ask begins an attempt, and the old one serves while that runs; without a good one everybody waits for the
 * same attempt. An attempt is a walk of token_step() (grants) or token_step_login(), which go on when
 * something was answered and end in token_good() or token_bad(): there, who waits is told. A failure is kept
 * for a while, longer each time, so that an agent's retries do not become a flood at the endpoint.
 * Trust: of what an endpoint answers nobody sees more than a status and an error code (grant_error()).
 * Invariant: tokens are in the vault's needles before anybody gets them.
 */
#include "courier/token_internal.h"

#include "base/clock.h"
#include "base/log.h"

#include <stdio.h>
#include <stdlib.h>
#define ERR_STATE OPENSSL_ERR_STATE	/* OpenSSL has a type of that name, which nobody needs */
#include <openssl/evp.h>
#undef ERR_STATE

struct tokens *tokens_new(struct courier *c)
{
	struct tokens *t = calloc(1, sizeof *t);

	grant_wipe_json();
	if (t)
		t->courier = c;
	return t;
}

static void ignored(void *user, enum err e, struct str reply)
{
	(void)user;
	(void)e;
	(void)reply;
}

/* The lease of its file, to the next; a keeper that cannot be asked has none any more. */
static void leave(struct token *k)
{
	const struct keeper_question question = { .op = KEEPER_LEASE, .credential = (uint32_t)k->number,
						  .text = STR("leave") };

	if (k->leased && keeper_call(k->owner->courier->keeper, &question, ignored, NULL, NULL) != ERR_OK)
		log_note("the keeper cannot be asked to leave a lease");
	k->leased = false;
}

/* What an attempt has gathered goes with it. */
static void forget(struct token *k)
{
	for (int i = 0; i < KEEPER_PARTS; i++) {
		waiter_end(&k->part_waits[i]);
		vault_secret_release(k->parts[i]);
		k->parts[i] = NULL;
	}
	keeper_cancel(k->call);
	k->call = NULL;
	fetch_cancel(k->fetch);
	k->fetch = NULL;
	buf_free(&k->account);
	buf_free(&k->assertion);
	buf_free(&k->used);
	k->again_ms = 0;
	k->busy = 0;
	leave(k);
}

void tokens_stop(struct tokens *t)
{
	if (!t)
		return;
	t->stopped = true;
	for (int i = 0; i < POLICY_CREDENTIALS_MAX; i++)
		if (t->all[i]) {
			forget(t->all[i]);
			snapshot_release(t->all[i]->snapshot);
			t->all[i]->snapshot = NULL;
		}
}

bool tokens_spent(const struct tokens *t)
{
	for (int i = 0; i < POLICY_CREDENTIALS_MAX; i++)
		if (t->all[i] && t->all[i]->leased && t->all[i]->used.len)
			return true;
	return false;
}

void tokens_free(struct tokens *t)
{
	if (!t)
		return;
	tokens_stop(t);
	for (int i = 0; i < POLICY_CREDENTIALS_MAX; i++) {
		struct token *k = t->all[i];

		if (!k)
			continue;
		vault_secret_release(k->current);
		buf_free(&k->rotated);
		free(k);
	}
	free(t);
}

static struct token *token_of(struct tokens *t, const struct policy_credential *c)
{
	int32_t number = vault_number(t->courier->vault, c);

	if (number < 0 || number >= POLICY_CREDENTIALS_MAX)
		return NULL;
	if (!t->all[number]) {
		struct token *k = calloc(1, sizeof *k);

		if (!k)
			return NULL;
		k->owner = t;
		k->number = number;
		buf_init_secret(&k->rotated, GRANT_TOKEN_MAX);
		t->all[number] = k;
	}
	return t->all[number];
}

/* ---- the end of an attempt ---- */

void token_over(struct token *k)
{
	struct snapshot *snapshot = k->snapshot;

	forget(k);
	k->snapshot = NULL;
	k->credential = NULL;
	snapshot_release(snapshot);
	waiter_wake(&k->waits);		/* who asked since waits for no attempt any more */
}

void token_bad(struct token *k, const char *format, ...)
{
	unsigned doublings = k->failures < 6 ? k->failures : 6;
	uint64_t pause = (uint64_t)TOKEN_BACKOFF_MS << doublings;
	va_list ap;

	va_start(ap, format);
	vsnprintf(k->reason, sizeof k->reason, format, ap);
	va_end(ap);
	log_note("credential %.*s: %s", STR_FMT(k->credential->name), k->reason);
	k->failures++;
	k->failed_until_ms = clock_ms() + (pause < TOKEN_BACKOFF_MAX_MS ? pause : TOKEN_BACKOFF_MAX_MS);
	token_over(k);
}

void token_good(struct token *k, struct str access, uint64_t life_s, uint64_t early_s, bool more)
{
	const struct vault_secret *fresh;
	uint64_t now = clock_boot_ms(), early;
	enum err e = vault_learn(k->owner->courier->vault, k->credential, access, &fresh);

	if (e != ERR_OK) {
		token_bad(k, "its token cannot be searched for in answers");
		return;
	}
	life_s = life_s ? life_s : TOKEN_OVER_S;
	early = life_s / 10 < early_s ? life_s / 10 : early_s;
	vault_secret_release(k->current);
	k->current = fresh;
	k->expires_ms = now + life_s * 1000;
	k->renew_ms = k->expires_ms - early * 1000;
	k->stale = false;
	k->failures = 0;
	k->failed_until_ms = 0;
	if (more)
		waiter_wake(&k->waits);
	else
		token_over(k);
}

void token_bad_answer(struct token *k, enum err e, const char *reason, const struct head *head,
		      struct str body)
{
	char code[GRANT_ERROR_MAX + 1] = "";

	if (e != ERR_OK) {
		token_bad(k, "the token endpoint: %s%s%s", err_text(e), reason[0] ? ": " : "", reason);
		return;
	}
	if (head->status == 200 || head->status == 201) {
		token_bad(k, "the token endpoint's answer has no token in it");
		return;
	}
	grant_error(body, code);
	if (vault_reveals(k->owner->courier->vault, str_of(code)))
		code[0] = '\0';
	token_bad(k, "the token endpoint answered %u%s%s", head->status, code[0] ? " " : "", code);
}

/* ---- refresh tokens that the source does not have ---- */

void token_rotated(struct token *k, struct str refresh)
{
	auto_buf hash = BUF_EMPTY;

	buf_init(&hash, sizeof k->rotated_hash - 1);
	token_put_hash(buf_str(&k->used), &hash);
	if (k->rotated.len == 0 && buf_err(&hash) == ERR_OK)	/* the source has the first of them */
		memcpy(k->rotated_hash, hash.p, hash.len);
	buf_clear(&k->rotated);
	buf_put(&k->rotated, refresh);
}

struct str token_unrotated(struct token *k, struct str source)
{
	auto_buf hash = BUF_EMPTY;

	if (k->rotated.len == 0)
		return source;
	buf_init(&hash, sizeof k->rotated_hash - 1);
	token_put_hash(source, &hash);
	if (str_eq(buf_str(&hash), str_of(k->rotated_hash)))
		return buf_str(&k->rotated);
	buf_clear(&k->rotated);		/* the source has come further */
	return source;
}

/* ---- asking ---- */

void token_call(struct token *k, enum keeper_op op, struct str text, keeper_answered *answered)
{
	const struct keeper_question question = { .op = op, .credential = (uint32_t)k->number, .text = text };
	enum err e = keeper_call(k->owner->courier->keeper, &question, answered, k, &k->call);

	if (e != ERR_OK)
		token_bad(k, "the keeper cannot be asked");
}

void token_post(struct token *k, const struct token_endpoint *to, bool json, struct str authorization,
		struct str body, fetch_done *done)
{
	struct head_field fields[4] = {
		{ STR("content-type"),
		  json ? STR("application/json") : STR("application/x-www-form-urlencoded") },
		{ STR("accept"), STR("application/json") },
		{ STR("user-agent"), STR("paddock") },
		{ STR("authorization"), authorization },
	};
	const struct fetch_request r = {
		.purpose = "token", .parent = str_of(k->parent), .credential = k->credential->name,
		.scheme = to->scheme, .host = to->host, .port = to->port, .method = STR("POST"),
		.path = to->path, .field_count = authorization.n ? 4 : 3, .fields = fields, .body = body,
		.address_count = to->address_count, .addresses = to->addresses,
		.answer_max = GRANT_ANSWER_MAX,
	};
	enum err e = fetch_start(k->owner->courier, &r, done, k, &k->fetch);

	if (e != ERR_OK)
		token_bad(k, "the token endpoint cannot be asked: %s", err_text(e));
}

void token_put_hash(struct str s, struct buf *out)
{
	uint8_t digest[32];

	if (!EVP_Digest(s.p ? s.p : "", s.n, digest, NULL, EVP_sha256(), NULL) && !out->err)
		out->err = ERR_MEMORY;
	else
		buf_put_hex(out, str_make(digest, sizeof digest));
}

/* ---- being asked ---- */

static void step(struct token *k)
{
	if (k->credential->strategy == POLICY_STRATEGY_LOGIN)
		token_step_login(k);
	else
		token_step(k);
}

static void begin(struct token *k, const struct policy_credential *c, struct str parent)
{
	k->snapshot = snapshot_acquire(k->owner->courier->snapshot);
	k->credential = c;
	snprintf(k->parent, sizeof k->parent, "%.*s", STR_FMT(parent));
	buf_init_secret(&k->account, KEEPER_DATA_MAX);
	buf_init_secret(&k->assertion, KEEPER_DATA_MAX);
	buf_init_secret(&k->used, GRANT_TOKEN_MAX);
	step(k);
}

void token_put_terms(const struct policy_credential *c, struct buf *out)
{
	const struct policy_token *t = c->token;

	if (!t)
		return;
	const struct str parts[] = { t->host, t->path, t->client_id, t->scope, t->audience, t->resource,
				     t->subject,
				     t->subject_token_type, t->key_id, t->installation_id };

	buf_printf(out, "%d %u %d ", (int)t->scheme, t->port, t->client_basic);
	for (size_t i = 0; i < sizeof parts / sizeof *parts; i++)
		keeper_put_field(out, parts[i]);
}

/* A policy that was loaded since may ask for less: another scope, another endpoint. */
static void keep_to_terms(struct token *k, const struct policy_credential *c)
{
	auto_buf all = BUF_EMPTY, hash = BUF_EMPTY;

	buf_init(&all, HEAD_MAX_BYTES);
	buf_init(&hash, sizeof k->terms - 1);
	token_put_terms(c, &all);
	token_put_hash(buf_str(&all), &hash);
	if (buf_err(&all) || buf_err(&hash) || memcmp(k->terms, hash.p, hash.len) == 0)
		return;
	memcpy(k->terms, hash.p, hash.len);
	vault_secret_release(k->current);
	k->current = NULL;
	k->failed_until_ms = 0;
}

/* Of the policy in force, also for a request that an earlier one decided. */
static const struct policy_credential *in_force(const struct tokens *t, const struct policy_credential *c)
{
	const struct policy_credential *now = snapshot_credential(t->courier->snapshot, c->name);

	return now && now->strategy == c->strategy ? now : NULL;
}

static bool is_good(const struct token *k) { return k->current && !k->stale && clock_boot_ms() < k->expires_ms; }

static enum err answer(struct token *k, struct waiter *w, void (*changed)(void *user), void *user,
		       const struct vault_secret **ret, const char **ret_reason)
{
	if (is_good(k)) {
		*ret = vault_secret_hold(k->current);
		return ERR_OK;
	}
	if (!k->snapshot) {
		*ret_reason = k->reason;
		return ERR_CREDENTIAL;
	}
	waiter_join(w, &k->waits, changed, user);
	return ERR_MORE;
}

enum err token_ask(struct tokens *t, const struct policy_credential *c, struct str parent,
		   struct waiter *w, void (*changed)(void *user), void *user,
		   const struct vault_secret **ret, const char **ret_reason)
{
	const struct policy_credential *now = in_force(t, c);
	struct token *k = now ? token_of(t, now) : NULL;

	waiter_end(w);
	*ret_reason = "the policy in force, or the run's keeper, does not know it";
	if (!k || t->stopped)
		return ERR_CREDENTIAL;
	if (!k->snapshot)
		keep_to_terms(k, now);
	bool wanted = !is_good(k) || clock_boot_ms() >= k->renew_ms;

	if (wanted && !k->snapshot && clock_ms() >= k->failed_until_ms)
		begin(k, now, parent);
	return answer(k, w, changed, user, ret, ret_reason);
}

void token_refused(struct tokens *t, const struct policy_credential *c, uint64_t generation)
{
	struct token *k = token_of(t, c);
	uint64_t now = clock_ms();

	if (!k || !k->current || k->current->generation != generation ||
	    (k->refused_ms && now - k->refused_ms < TOKEN_REFUSED_MS))
		return;
	k->refused_ms = now;
	k->stale = true;
}

void tokens_tick(struct tokens *t, uint64_t now_ms)
{
	for (int i = 0; !t->stopped && i < POLICY_CREDENTIALS_MAX; i++) {
		struct token *k = t->all[i];

		if (!k || !k->again_ms || now_ms < k->again_ms)
			continue;
		k->again_ms = 0;
		step(k);
	}
}
