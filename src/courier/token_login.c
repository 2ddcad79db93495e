/* token_login.c - the way to a token of an agent's own login; see token.h and credential/keeper_replace.c
 *
 * Theory of operation: the keeper reads the login's file. Its access token is good until shortly before its
 * end, or until an upstream refuses it. Then: the keeper's lease, so that nobody else refreshes this file
 * (another sandbox, the agent outside); the file again, since somebody may just have; the provider; and
 * before anybody gets the new token it is in the file, with compare and swap on the refresh token that was
 * read, since the old one is worth nothing from now on and its second use is taken for theft.
 * Failure: what could not be written is kept in memory, and the operator is told.
 */
#include "courier/token_internal.h"

#include "base/clock.h"
#include "base/log.h"

#define UNKNOWN_LIFE_S 3600	/* of a token whose end is not said */

/* ---- what the file says ---- */

static uint64_t life_of(const struct keeper_login *login)
{
	uint64_t expires_ms = 0, now_ms = clock_unix_ns() / 1000000;

	if (!str_decimal(login->expires_ms, INT64_MAX, &expires_ms))
		return UNKNOWN_LIFE_S;
	return expires_ms > now_ms ? (expires_ms - now_ms) / 1000 : 0;
}

static bool learn(struct token *k, struct str secret)
{
	return secret.n == 0 ||
	       vault_learn(k->owner->courier->vault, k->credential, secret, NULL) == ERR_OK;
}

static bool is_current(const struct token *k, struct str access)
{
	return k->current && str_eq(secret_str(k->current->secret), access);
}

static void know(struct token *k, struct str fields)
{
	buf_clear(&k->account);
	buf_put(&k->account, fields);
	token_step_login(k);
}

static void login_read(void *user, enum err e, struct str reply)
{
	struct token *k = user;

	k->call = NULL;
	if (e != ERR_OK)
		token_bad(k, "its login cannot be read: log in on the host (the operator's log says more)");
	else
		know(k, reply);
}

/* ---- the lease ---- */

static void lease_answered(void *user, enum err e, struct str reply)
{
	struct token *k = user;
	struct str word = str_head(reply, str_find(reply, 0));

	k->call = NULL;
	if (e != ERR_OK) {
		token_bad(k, "its login file cannot be locked (the operator's log says why)");
		return;
	}
	k->leased = str_eq(word, STR("taken"));
	if (k->leased) {
		know(k, str_from(reply, word.n + 1));
	} else if (++k->busy > TOKEN_BUSY_MAX) {
		token_bad(k, "another program has been refreshing this login for long");
	} else {	/* what it writes is looked for then */
		buf_clear(&k->account);
		k->again_ms = clock_ms() + TOKEN_BUSY_MS;
	}
}

/* ---- the refresh ---- */

enum { GOT_ACCESS, GOT_LIFE, GOT_FIELDS };	/* in k->assertion, until it is written */

static void written(void *user, enum err e, struct str reply)
{
	struct token *k = user;
	struct str got[GOT_FIELDS], word = str_head(reply, str_find(reply, 0));
	struct keeper_login login;
	uint64_t life_s;

	k->call = NULL;
	if (!keeper_fields(buf_str(&k->assertion), got, GOT_FIELDS) ||
	    !str_decimal(got[GOT_LIFE], INT64_MAX, &life_s)) {
		token_bad(k, "its token was lost");
		return;
	}
	if (e == ERR_OK)
		buf_clear(&k->rotated);
	else
		log_error("credential %.*s: its login was refreshed, and its file could not be replaced: it is kept until this "
			  "sandbox ends; then log in anew", STR_FMT(k->credential->name));
	if (k->unsearched) {
		token_bad(k, "its token cannot be searched for in answers");
		return;
	}
	if (e == ERR_OK && str_eq(word, STR("replaced")) &&
	    keeper_login_fields(str_from(reply, word.n + 1), &login))
		life_s = life_of(&login);
	token_good(k, got[GOT_ACCESS], life_s, TOKEN_LOGIN_EARLY_S, false);
}

static void write_it(struct token *k, const struct grant_answer *a)
{
	uint64_t until_ms = clock_unix_ns() / 1000000 + a->expires_s * 1000;
	bool said = a->expires_s != GRANT_EXPIRES_DEFAULT_S;	/* Codex's says it itself */
	auto_buf text = BUF_EMPTY, number = BUF_EMPTY;

	buf_init_secret(&text, KEEPER_TEXT_MAX);
	buf_init(&number, 24);
	buf_put_decimal(&number, said ? a->expires_s : UNKNOWN_LIFE_S);
	buf_clear(&k->assertion);
	keeper_put_field(&k->assertion, a->access);
	keeper_put_field(&k->assertion, buf_str(&number));
	buf_clear(&number);
	if (said)
		buf_put_decimal(&number, until_ms);
	if (k->rotated.len)
		buf_put(&text, str_of(k->rotated_hash));	/* the file is behind */
	else
		token_put_hash(buf_str(&k->used), &text);
	buf_put_byte(&text, 0);
	keeper_put_field(&text, a->access);
	keeper_put_field(&text, a->refresh);
	keeper_put_field(&text, a->id_token);
	keeper_put_field(&text, buf_str(&number));
	if (a->refresh.n)
		token_rotated(k, a->refresh);
	if (buf_err(&text) || buf_err(&k->assertion))
		token_bad(k, "its token is too long");
	else
		token_call(k, KEEPER_REPLACE, buf_str(&text), written);
}

static void refreshed(void *user, enum err e, const char *reason, const struct head *head, struct str body)
{
	struct token *k = user;
	struct grant_answer a;

	k->fetch = NULL;
	if (e != ERR_OK || head->status != 200 || grant_parse(body, false, 0, &a) != ERR_OK) {
		token_bad_answer(k, e, reason, head, body);
		return;
	}
	/* used or not, it is written: the former one is worth nothing any more */
	k->unsearched = !learn(k, a.access) || !learn(k, a.refresh) || !learn(k, a.id_token);
	write_it(k, &a);
	grant_answer_free(&a);
}

static void refresh(struct token *k, struct str token)
{
	enum policy_login login = k->credential->login;
	size_t count;
	const struct str *hosts = grant_login_hosts(login, &count);
	const struct token_endpoint at = {
		.scheme = HEAD_HTTPS, .host = hosts[0], .path = grant_login_path(login), .port = 443
	};
	auto_buf body = BUF_EMPTY;

	buf_init_secret(&body, GRANT_BODY_MAX);
	buf_clear(&k->used);
	buf_put(&k->used, token);
	if (grant_login_body(login, token, &body) != ERR_OK || buf_err(&k->used))
		token_bad(k, "a request for a token cannot be made");
	else
		token_post(k, &at, true, STR(""), buf_str(&body), refreshed);
}

/* ---- the way ---- */

void token_step_login(struct token *k)
{
	struct keeper_login login;

	if (k->call || k->fetch)
		return;
	if (k->account.len == 0) {
		token_call(k, KEEPER_LOGIN, STR(""), login_read);
		return;
	}
	if (!keeper_login_fields(buf_str(&k->account), &login) || !learn(k, login.refresh) ||
	    !learn(k, login.id_token)) {
		token_bad(k, "its login cannot be read");
		return;
	}
	struct str token = token_unrotated(k, login.refresh);
	bool behind = k->rotated.len > 0, refused = k->stale && is_current(k, login.access);
	uint64_t life_s = life_of(&login);

	/* due, but good for a while yet: nobody waits for the refresh */
	if (!behind && !refused && login.access.n && life_s && !is_current(k, login.access) && token.n) {
		token_good(k, login.access, life_s, TOKEN_LOGIN_EARLY_S, true);
		if (!k->snapshot)
			return;
	}
	if (!behind && !refused && login.access.n && life_s > TOKEN_LOGIN_EARLY_S)
		token_good(k, login.access, life_s, TOKEN_LOGIN_EARLY_S, false);
	else if (token.n == 0)
		token_bad(k, "its login has no refresh token: log in on the host");
	else if (!k->leased)
		token_call(k, KEEPER_LEASE, STR("take"), lease_answered);
	else
		refresh(k, token);
}
