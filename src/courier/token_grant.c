/* token_grant.c - the way to a token by a grant; see token.h and credential/grant.h
 *
 * Theory of operation: gather the secrets that the grant needs, or have the keeper sign an assertion (its key
 * stays there); send one request to the endpoint; take the token. A refresh token that the endpoint replaced
 * is written to the file that the first came from by the keeper, with compare and swap; if it came from
 * elsewhere, or that fails, it is kept in memory and used as long as the source stays the same.
 * Two sandboxes with the same refresh token in a file take turns: the keeper's lease is held from before the
 * token is read until its successor is written, since a provider takes a token that is used twice for theft.
 */
#include "courier/token_internal.h"

#include "base/clock.h"
#include "base/log.h"

static bool signs(const struct policy_token *t)
{
	return t->grant == POLICY_GRANT_JWT_BEARER || t->grant == POLICY_GRANT_GITHUB_APP;
}

/* Refresh tokens of a file are taken under the keeper's lease, which tells what is in it. */
static bool leases(const struct token *k)
{
	return k->credential->token->grant == POLICY_GRANT_REFRESH_TOKEN &&
	       k->credential->source == POLICY_SOURCE_FILE;
}

static uint64_t now_s(void) { return clock_unix_ns() / 1000000000; }

static void go_on(void *k) { token_step(k); }

/* ---- secrets ---- */

static enum err gather_one(struct token *k, enum keeper_part part)
{
	const char *reason = "";
	enum err e;

	if (k->parts[part])
		return ERR_OK;
	e = vault_ask(k->owner->courier->vault, k->credential, part, &k->part_waits[part], go_on, k,
		      &k->parts[part], &reason);
	if (e != ERR_OK && e != ERR_MORE)
		token_bad(k, "%s: %s", part == KEEPER_PART_SOURCE ? "its source" : "a secret of its token",
			  reason);
	return e;
}

static enum err gather(struct token *k)
{
	const struct policy_token *t = k->credential->token;
	enum err e = signs(t) || leases(k) ? ERR_OK : gather_one(k, KEEPER_PART_SOURCE);

	if (e == ERR_OK && t->client_secret_environment.n)
		e = gather_one(k, KEEPER_PART_CLIENT_SECRET);
	if (e == ERR_OK && t->actor_token_environment.n)
		e = gather_one(k, KEEPER_PART_ACTOR_TOKEN);
	return e;
}

static struct str part(const struct token *k, enum keeper_part i)
{
	return k->parts[i] ? secret_str(k->parts[i]->secret) : STR("");
}

/* ---- assertions ---- */

static void assertion_signed(void *user, enum err e, struct str reply)
{
	struct token *k = user;

	k->call = NULL;
	if (e != ERR_OK) {
		token_bad(k, "its key did not sign: the operator's log says why");
		return;
	}
	buf_put_byte(&k->assertion, '.');
	buf_put(&k->assertion, reply);
	token_step(k);
}

static void account_known(void *user, enum err e, struct str reply)
{
	struct token *k = user;

	k->call = NULL;
	if (e != ERR_OK) {
		token_bad(k, "its key cannot be had: the operator's log says why");
		return;
	}
	buf_put(&k->account, reply);
	token_step(k);
}

/* "https://host[:port]/path" of a service account's JSON; it is the user's own file */
static bool split_endpoint(struct str url, struct token_endpoint *ret)
{
	struct str rest = str_from(url, 8), authority = str_head(rest, str_find(rest, '/'));
	size_t colon = str_find(authority, ':');
	uint64_t port = 443;

	if (!str_starts(url, STR("https://")) ||
	    (colon < authority.n && !str_decimal(str_from(authority, colon + 1), 65535, &port)))
		return false;
	ret->scheme = HEAD_HTTPS;
	ret->host = str_head(authority, colon);
	ret->path = authority.n < rest.n ? str_from(rest, authority.n) : STR("/");
	ret->port = (uint16_t)port;
	return host_type(ret->host) != HOST_INVALID && path_check(ret->path) && port > 0;
}

/* The policy's endpoint, or the service account's. */
static bool endpoint_of(const struct token *k, struct str url, struct token_endpoint *ret)
{
	const struct policy_token *t = k->credential->token;

	*ret = (struct token_endpoint){
		.scheme = t->scheme, .host = t->host, .path = t->path, .port = t->port,
		.address_count = t->address_count, .addresses = t->addresses,
	};
	return t->host.n || split_endpoint(url, ret);
}

static void put_endpoint(const struct token_endpoint *at, struct str url, struct buf *out)
{
	if (url.n) {
		buf_put(out, url);
		return;
	}
	buf_put_z(out, at->scheme == HEAD_HTTPS ? "https://" : "http://");
	buf_put(out, at->host);
	if (at->port != (at->scheme == HEAD_HTTPS ? 443 : 80)) {
		buf_put_byte(out, ':');
		buf_put_decimal(out, at->port);
	}
	buf_put(out, at->path);
}

enum { ACCOUNT_ALGORITHM, ACCOUNT_EMAIL, ACCOUNT_KEY_ID, ACCOUNT_ENDPOINT, ACCOUNT_PROJECT, ACCOUNT_FIELDS };

static bool account_fields(const struct token *k, struct str field[ACCOUNT_FIELDS])
{
	memset(field, 0, ACCOUNT_FIELDS * sizeof *field);
	return !signs(k->credential->token) || keeper_fields(buf_str(&k->account), field, ACCOUNT_FIELDS);
}

static void ask_assertion(struct token *k)
{
	struct str field[ACCOUNT_FIELDS];
	struct token_endpoint at;
	auto_buf audience = BUF_EMPTY;
	bool good = account_fields(k, field) && endpoint_of(k, field[ACCOUNT_ENDPOINT], &at);
	const struct grant_account a = { field[ACCOUNT_ALGORITHM], field[ACCOUNT_EMAIL],
					 field[ACCOUNT_KEY_ID], field[ACCOUNT_ENDPOINT] };

	buf_init(&audience, HEAD_PATH_MAX + HEAD_HOST_MAX + 32);
	if (good)
		put_endpoint(&at, k->credential->token->host.n ? STR("") : field[ACCOUNT_ENDPOINT],
			     &audience);
	if (!good || buf_err(&audience) ||
	    grant_claims(k->credential->token, &a, buf_str(&audience), now_s(), &k->assertion) != ERR_OK) {
		token_bad(k, "an assertion cannot be made: issuer or token endpoint are missing");
		return;
	}
	token_call(k, KEEPER_JWT, buf_str(&k->assertion), assertion_signed);
}

/* ERR_OK: k->assertion is whole */
static enum err assert_it(struct token *k)
{
	size_t dots = 0;

	for (size_t i = 0; i < k->assertion.len; i++)
		dots += k->assertion.p[i] == '.';
	if (!signs(k->credential->token) || dots == 2)
		return ERR_OK;
	if (k->account.len == 0)
		token_call(k, KEEPER_ACCOUNT, STR(""), account_known);
	else
		ask_assertion(k);
	return ERR_MORE;
}

/* ---- refresh tokens ---- */

static void lease_answered(void *user, enum err e, struct str reply)
{
	struct token *k = user;
	struct str word = str_head(reply, str_find(reply, 0));

	k->call = NULL;
	if (e != ERR_OK) {
		token_bad(k, "the file of its refresh token cannot be locked (the operator's log says why)");
		return;
	}
	k->leased = str_eq(word, STR("taken"));
	if (k->leased) {
		buf_put(&k->account, str_from(reply, word.n + 1));
		token_step(k);
	} else if (++k->busy > TOKEN_BUSY_MAX) {
		token_bad(k, "another program has been refreshing this token for long");
	} else {
		k->again_ms = clock_ms() + TOKEN_BUSY_MS;
	}
}

/* ERR_OK: k->used is the refresh token to send */
static enum err take_refresh(struct token *k)
{
	struct keeper_login file = { .refresh = part(k, KEEPER_PART_SOURCE) };

	if (k->credential->token->grant != POLICY_GRANT_REFRESH_TOKEN || k->used.len)
		return ERR_OK;
	if (leases(k) && !k->leased) {
		token_call(k, KEEPER_LEASE, STR("take"), lease_answered);
		return ERR_MORE;
	}
	if (leases(k) &&
	    (!keeper_login_fields(buf_str(&k->account), &file) || file.refresh.n == 0 ||
	     vault_learn(k->owner->courier->vault, k->credential, file.refresh, NULL) != ERR_OK)) {
		token_bad(k, "its refresh token cannot be read");
		return ERR_CREDENTIAL;
	}
	buf_put(&k->used, token_unrotated(k, file.refresh));
	return ERR_OK;
}

static void written(void *user, enum err e, struct str reply)
{
	struct token *k = user;

	(void)reply;
	k->call = NULL;
	if (e == ERR_OK)
		buf_clear(&k->rotated);	/* the file has it, or a newer one */
	else
		log_error("credential %.*s: its refresh token was replaced, and could not be written to its file: it is kept "
			  "until this sandbox ends, and lost then", STR_FMT(k->credential->name));
	token_over(k);
}

/* The endpoint gave another refresh token: nobody may use the old one any more. */
static void write_rotated(struct token *k, struct str refresh)
{
	auto_buf text = BUF_EMPTY;

	token_rotated(k, refresh);
	if (vault_learn(k->owner->courier->vault, k->credential, refresh, NULL) != ERR_OK || !leases(k)) {
		token_over(k);
		return;
	}
	buf_init_secret(&text, 4 * (size_t)GRANT_TOKEN_MAX);
	buf_put(&text, str_of(k->rotated_hash));
	buf_put_byte(&text, 0);
	keeper_put_field(&text, STR(""));
	keeper_put_field(&text, refresh);
	keeper_put_field(&text, STR(""));
	keeper_put_field(&text, STR(""));
	if (buf_err(&text))
		token_over(k);
	else
		token_call(k, KEEPER_REPLACE, buf_str(&text), written);
}

/* ---- the request ---- */

static void fetched(void *user, enum err e, const char *reason, const struct head *head, struct str body)
{
	struct token *k = user;
	const struct policy_token *t = k->credential->token;
	bool good = e == ERR_OK && (head->status == 200 || head->status == 201);
	struct grant_answer a;

	k->fetch = NULL;
	if (!good || grant_parse(body, t->grant == POLICY_GRANT_GITHUB_APP, now_s(), &a) != ERR_OK) {
		if (e == ERR_OK && (head->status == 400 || head->status == 401) &&
		    k->parts[KEEPER_PART_SOURCE])
			vault_invalidate(k->owner->courier->vault, k->credential,
					 k->parts[KEEPER_PART_SOURCE]->generation);
		token_bad_answer(k, e, reason, head, body);
		return;
	}
	bool rotated = t->grant == POLICY_GRANT_REFRESH_TOKEN && a.refresh.n &&
		       !str_eq(a.refresh, buf_str(&k->used));

	token_good(k, a.access, a.expires_s, TOKEN_EARLY_S, rotated);
	if (rotated && k->snapshot)
		write_rotated(k, a.refresh);
	grant_answer_free(&a);
}

static void request(struct token *k)
{
	const struct policy_token *t = k->credential->token;
	const struct grant_material m = {
		.source = k->used.len ? buf_str(&k->used) : part(k, KEEPER_PART_SOURCE),
		.client_secret = part(k, KEEPER_PART_CLIENT_SECRET),
		.actor_token = part(k, KEEPER_PART_ACTOR_TOKEN),
		.assertion = buf_str(&k->assertion),
	};
	auto_buf body = BUF_EMPTY, authorization = BUF_EMPTY;
	struct str field[ACCOUNT_FIELDS];
	struct token_endpoint at;

	buf_init_secret(&body, GRANT_BODY_MAX);
	buf_init_secret(&authorization, GRANT_BODY_MAX);
	if (!account_fields(k, field) || !endpoint_of(k, field[ACCOUNT_ENDPOINT], &at) ||
	    grant_body(t, &m, &body) != ERR_OK || grant_authorization(t, &m, &authorization) != ERR_OK) {
		token_bad(k, "a request for a token cannot be made");
		return;
	}
	token_post(k, &at, false, buf_str(&authorization), buf_str(&body), fetched);
}

void token_step(struct token *k)
{
	if (k->call || k->fetch)
		return;
	enum err e = gather(k);

	if (e == ERR_OK)
		e = assert_it(k);
	if (e == ERR_OK)
		e = take_refresh(k);
	if (e == ERR_OK)
		request(k);
}
