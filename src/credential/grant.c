/* grant.c - requests for tokens, and their answers; see grant.h */
#include "credential/grant.h"

#include "base/clock.h"

#include <jansson.h>
#include <malloc.h>
#include <stdlib.h>

#define ASSERTION_LIFE_S 3600
#define GITHUB_LIFE_S 540	/* GitHub takes ten minutes at most, by its own clock */
#define GITHUB_SKEW_S 60
#define EXPIRES_MAX_S (366ull * 86400)

static void wiping_free(void *p)
{
	if (p)
		explicit_bzero(p, malloc_usable_size(p));
	free(p);
}

void grant_wipe_json(void) { json_set_alloc_funcs(malloc, wiping_free); }

/* ---- forms ---- */

static void put_encoded(struct str s, struct buf *out)
{
	static const char digit[] = "0123456789ABCDEF";

	for (size_t i = 0; i < s.n; i++) {
		char c = s.p[i];
		uint8_t v = (uint8_t)c;
		char escaped[3] = { '%', digit[v >> 4], digit[v & 15] };

		if (ascii_alpha(c) || ascii_digit(c) || (c && strchr("-._~", c)))
			buf_put_byte(out, v);
		else
			buf_put(out, str_make(escaped, 3));
	}
}

static void put_parameter(const char *name, struct str value, struct buf *out)
{
	if (value.n == 0)
		return;
	buf_put(out, out->len ? STR("&") : STR(""));
	buf_put_z(out, name);
	buf_put_byte(out, '=');
	put_encoded(value, out);
}

/* The client's own secret: the source itself, where it authenticates for itself. */
static struct str client_secret(const struct policy_token *t, const struct grant_material *m)
{
	return t->grant == POLICY_GRANT_CLIENT_CREDENTIALS ? m->source : m->client_secret;
}

static bool client_by_basic(const struct policy_token *t, const struct grant_material *m)
{
	return t->client_basic && t->client_id.n && client_secret(t, m).n;
}

enum err grant_body(const struct policy_token *t, const struct grant_material *m, struct buf *out)
{
	static const char *const types[] = {
		[POLICY_GRANT_CLIENT_CREDENTIALS] = "client_credentials",
		[POLICY_GRANT_REFRESH_TOKEN] = "refresh_token",
		[POLICY_GRANT_TOKEN_EXCHANGE] = "urn:ietf:params:oauth:grant-type:token-exchange",
		[POLICY_GRANT_JWT_BEARER] = "urn:ietf:params:oauth:grant-type:jwt-bearer",
	};

	if (t->grant == POLICY_GRANT_GITHUB_APP)
		return ERR_OK;
	put_parameter("grant_type", str_of(types[t->grant]), out);
	if (t->grant == POLICY_GRANT_REFRESH_TOKEN)
		put_parameter("refresh_token", m->source, out);
	if (t->grant == POLICY_GRANT_JWT_BEARER)
		put_parameter("assertion", m->assertion, out);
	if (t->grant == POLICY_GRANT_TOKEN_EXCHANGE) {
		put_parameter("subject_token", m->source, out);
		put_parameter("subject_token_type", t->subject_token_type, out);
		put_parameter("actor_token", m->actor_token, out);
		if (m->actor_token.n)
			put_parameter("actor_token_type",
				      STR("urn:ietf:params:oauth:token-type:access_token"), out);
	}
	if (!client_by_basic(t, m)) {
		put_parameter("client_id", t->client_id, out);
		put_parameter("client_secret", client_secret(t, m), out);
	}
	if (t->grant != POLICY_GRANT_JWT_BEARER) {	/* there, they are claims */
		put_parameter("scope", t->scope, out);
		put_parameter("audience", t->audience, out);
		put_parameter("resource", t->resource, out);
	}
	return buf_err(out);
}

enum err grant_authorization(const struct policy_token *t, const struct grant_material *m, struct buf *out)
{
	auto_buf both = BUF_EMPTY;

	if (t->grant == POLICY_GRANT_GITHUB_APP) {
		buf_put_z(out, "Bearer ");
		buf_put(out, m->assertion);
	} else if (client_by_basic(t, m)) {
		buf_init_secret(&both, GRANT_BODY_MAX);
		put_encoded(t->client_id, &both);
		buf_put_byte(&both, ':');
		put_encoded(client_secret(t, m), &both);
		buf_put_z(out, "Basic ");
		buf_put_base64(out, buf_str(&both));
		if (buf_err(&both))
			return buf_err(&both);
	}
	return buf_err(out);
}

/* ---- assertions ---- */

static void set(json_t *o, const char *name, struct str value)
{
	if (value.n)
		json_object_set_new(o, name, json_stringn(value.p, value.n));
}

static enum err put_json_base64(json_t *o, struct buf *out)
{
	char *text = json_dumps(o, JSON_COMPACT | JSON_SORT_KEYS);

	json_decref(o);
	if (!text)
		return ERR_MEMORY;
	buf_put_base64url(out, str_of(text));
	free(text);
	return buf_err(out);
}

static json_t *make_claims(const struct policy_token *t, const struct grant_account *a, struct str audience,
			   uint64_t now_s)
{
	bool github = t->grant == POLICY_GRANT_GITHUB_APP;
	struct str issuer = github ? t->app_id : t->issuer.n ? t->issuer : a->email;
	json_t *o = issuer.n ? json_object() : NULL;

	if (!o)
		return NULL;
	set(o, "iss", issuer);
	json_object_set_new(o, "iat", json_integer((json_int_t)now_s - (github ? GITHUB_SKEW_S : 0)));
	json_object_set_new(o, "exp",
			    json_integer((json_int_t)now_s + (github ? GITHUB_LIFE_S : ASSERTION_LIFE_S)));
	if (github)
		return o;
	set(o, "aud", t->audience.n ? t->audience : audience);
	set(o, "scope", t->scope);
	/* a service account is the subject unless it stands for somebody; others name one (RFC 7523 s3) */
	set(o, "sub", t->subject.n ? t->subject : a->email.n ? STR("") : issuer);
	return o;
}

enum err grant_claims(const struct policy_token *t, const struct grant_account *a, struct str audience,
		      uint64_t now_s, struct buf *out)
{
	json_t *header = json_object(), *claims = make_claims(t, a, audience, now_s);

	if (!header || !claims) {
		json_decref(header);
		json_decref(claims);
		return header ? ERR_INPUT : ERR_MEMORY;
	}
	set(header, "alg", a->algorithm);
	set(header, "typ", STR("JWT"));
	if (t->grant == POLICY_GRANT_JWT_BEARER)
		set(header, "kid", t->key_id.n ? t->key_id : a->key_id);
	enum err e = put_json_base64(header, out);

	buf_put_byte(out, '.');
	if (e != ERR_OK) {
		json_decref(claims);
		return e;
	}
	return put_json_base64(claims, out);
}

/* ---- answers ---- */

static struct str member(json_t *o, const char *name)
{
	json_t *v = json_object_get(o, name);

	return json_is_string(v) ? str_make(json_string_value(v), json_string_length(v)) : STR("");
}

static bool is_token(struct str s)
{
	for (size_t i = 0; i < s.n; i++)
		if (s.p[i] <= ' ' || s.p[i] > '~')
			return false;
	return s.n >= GRANT_TOKEN_MIN && s.n <= GRANT_TOKEN_MAX;
}

static struct str keep(struct buf *storage, struct str s)
{
	size_t from = storage->len;

	buf_put(storage, s);
	return storage->err ? STR("") : str_from(buf_str(storage), from);
}

/* "2026-11-22T06:00:00Z"; 0 if it is not of that form */
static uint64_t parse_time(struct str s)
{
	uint64_t y, m, d, h, min, sec;

	if (s.n != 20 || s.p[19] != 'Z' || s.p[10] != 'T' || !str_decimal(str_make(s.p, 4), 9999, &y) ||
	    !str_decimal(str_make(s.p + 5, 2), 12, &m) || !str_decimal(str_make(s.p + 8, 2), 31, &d) ||
	    !str_decimal(str_make(s.p + 11, 2), 23, &h) || !str_decimal(str_make(s.p + 14, 2), 59, &min) ||
	    !str_decimal(str_make(s.p + 17, 2), 60, &sec) || y < 1970 || m == 0 || d == 0)
		return 0;
	return clock_civil_s(y, m, d, h, min, sec);
}

static uint64_t life(json_t *root, bool github, uint64_t now_s)
{
	uint64_t until, s = GRANT_EXPIRES_DEFAULT_S;
	json_t *in = json_object_get(root, "expires_in");

	if (github) {
		until = parse_time(member(root, "expires_at"));
		s = until > now_s ? until - now_s : s;
	} else if (json_is_number(in) && json_number_value(in) >= 0) {
		s = json_number_value(in) > (double)EXPIRES_MAX_S ? EXPIRES_MAX_S
								  : (uint64_t)json_number_value(in);
	} else if (json_is_string(in) && !str_decimal(member(root, "expires_in"), EXPIRES_MAX_S, &until)) {
		return s;
	} else if (json_is_string(in)) {
		s = until;
	}
	return s < EXPIRES_MAX_S ? s : EXPIRES_MAX_S;
}

static enum err take(json_t *root, bool github, uint64_t now_s, struct grant_answer *ret)
{
	struct grant_answer a = { .expires_s = life(root, github, now_s) };
	struct str access = member(root, github ? "token" : "access_token"),
		   refresh = member(root, "refresh_token");
	struct str id_token = member(root, "id_token");

	if (!is_token(access) || (refresh.n && !is_token(refresh)) || (id_token.n && !is_token(id_token)))
		return ERR_UPSTREAM_MALFORMED;
	buf_init_secret(&a.storage, 3 * (size_t)GRANT_TOKEN_MAX);
	enum err e = buf_reserve(&a.storage, access.n + refresh.n + id_token.n);	/* views must not move */

	if (e != ERR_OK)
		return e;
	a.access = keep(&a.storage, access);
	a.refresh = keep(&a.storage, refresh);
	a.id_token = keep(&a.storage, id_token);
	*ret = a;
	return ERR_OK;
}

enum err grant_parse(struct str body, bool github, uint64_t now_s, struct grant_answer *ret)
{
	json_t *root = json_loadb(body.p, body.n, JSON_REJECT_DUPLICATES, NULL);
	enum err e = json_is_object(root) ? take(root, github, now_s, ret) : ERR_UPSTREAM_MALFORMED;

	json_decref(root);
	return e;
}

void grant_answer_free(struct grant_answer *a) { buf_free(&a->storage); }

void grant_error(struct str body, char ret[GRANT_ERROR_MAX + 1])
{
	json_t *root = json_loadb(body.p, body.n, JSON_REJECT_DUPLICATES, NULL);
	struct str error = member(root, "error");
	bool good = error.n > 0 && error.n <= GRANT_ERROR_MAX;

	if (json_is_object(json_object_get(root, "error"))) {	/* {"error":{"type":"..."}},
								   as some have it */
		error = member(json_object_get(root, "error"), "type");
		good = error.n > 0 && error.n <= GRANT_ERROR_MAX;
	}
	for (size_t i = 0; good && i < error.n; i++)
		good = (error.p[i] >= 'a' && error.p[i] <= 'z') || error.p[i] == '_';
	memcpy(ret, good ? error.p : "", good ? error.n : 0);
	ret[good ? error.n : 0] = 0;
	json_decref(root);
}

/* ---- logins ---- */

static const struct str claude_hosts[] = { STR_INIT("platform.claude.com"),
					   STR_INIT("console.anthropic.com") };
static const struct str codex_hosts[] = { STR_INIT("auth.openai.com") };
static const struct {
	const struct str *hosts;
	size_t host_count;
	struct str path;
	const char *client_id, *scope;
} logins[] = {
	[POLICY_LOGIN_CLAUDE] = { claude_hosts, 2, STR_INIT("/v1/oauth/token"),
				  "9d1c250a-e61b-44d9-88ed-5944d1962f5e", NULL },
	[POLICY_LOGIN_CODEX] = { codex_hosts, 1, STR_INIT("/oauth/token"), "app_EMoamEEZ73f0CkXaXp7hrann",
				 "openid profile email" },
};

const struct str *grant_login_hosts(enum policy_login login, size_t *ret_count)
{
	*ret_count = logins[login].host_count;
	return logins[login].hosts;
}

struct str grant_login_path(enum policy_login login) { return logins[login].path; }

enum err grant_login_body(enum policy_login login, struct str refresh, struct buf *out)
{
	json_t *o = json_object();
	char *text = NULL;

	json_object_set_new(o, "grant_type", json_string("refresh_token"));
	json_object_set_new(o, "client_id", json_string(logins[login].client_id));
	set(o, "refresh_token", refresh);
	if (logins[login].scope)
		json_object_set_new(o, "scope", json_string(logins[login].scope));
	text = json_dumps(o, JSON_COMPACT);
	json_decref(o);
	if (!text)
		return ERR_MEMORY;
	buf_put_z(out, text);
	explicit_bzero(text, strlen(text));
	free(text);
	return buf_err(out);
}
