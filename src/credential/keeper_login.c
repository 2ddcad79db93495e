/* keeper_login.c - see keeper_login.h
 *
 * The files are the agents' own and have members that are none of our business: a change keeps them, in their
 * order. A file that is not as expected is refused, never repaired.
 */
#include "credential/keeper_login.h"

#include "base/clock.h"

#include <stdlib.h>

#define MADE_MAX 4096
#define CLAIMS_MAX 8192

static struct str text_of(json_t *v) { return str_make(json_string_value(v), json_string_length(v)); }
static struct str member(json_t *o, const char *name) { return text_of(json_object_get(o, name)); }

/* what the courier and the guest's file take: no control bytes, no quotes */
static bool is_token(struct str s)
{
	for (size_t i = 0; i < s.n; i++)
		if (s.p[i] <= ' ' || s.p[i] > '~' || s.p[i] == '"' || s.p[i] == '\\')
			return false;
	return s.n <= SECRET_MAX_BYTES;
}

enum err keeper_login_claims(struct str jwt, struct buf *out)
{
	struct str rest = str_from(jwt, str_find(jwt, '.') + 1);

	if (str_find(rest, '.') == rest.n)
		return ERR_INPUT;
	return base64url_decode(out, str_head(rest, str_find(rest, '.')));
}

/* a view of what @b got since @from */
static struct str since(const struct buf *b, size_t from) { return str_from(buf_str(b), from); }

static void read_claude(json_t *o, struct keeper_login *ret, struct buf *made)
{
	json_t *scopes = json_object_get(o, "scopes"), *expires = json_object_get(o, "expiresAt");
	size_t from = made->len;

	ret->access = member(o, "accessToken");
	ret->refresh = member(o, "refreshToken");
	ret->subscription = member(o, "subscriptionType");
	if (json_is_integer(expires) && json_integer_value(expires) > 0)
		buf_put_decimal(made, (uint64_t)json_integer_value(expires));
	ret->expires_ms = since(made, from);
	from = made->len;
	for (size_t i = 0; i < json_array_size(scopes); i++) {
		buf_put_z(made, i ? " " : "");
		buf_put(made, text_of(json_array_get(scopes, i)));
	}
	ret->scopes = since(made, from);
}

static void read_codex(json_t *o, struct keeper_login *ret, struct buf *made)
{
	auto_buf claims = BUF_EMPTY;
	json_t *json = NULL;

	buf_init_secret(&claims, CLAIMS_MAX);
	ret->access = member(o, "access_token");
	ret->refresh = member(o, "refresh_token");
	ret->id_token = member(o, "id_token");
	ret->account_id = member(o, "account_id");
	if (keeper_login_claims(ret->access, &claims) == ERR_OK)
		json = json_loadb(claims.p ? claims.p : "", claims.len, JSON_REJECT_DUPLICATES, NULL);
	if (json_integer_value(json_object_get(json, "exp")) > 0) {
		buf_put_decimal(made, (uint64_t)json_integer_value(json_object_get(json, "exp")));
		buf_put_z(made, "000");
	}
	json_decref(json);
	ret->expires_ms = buf_str(made);
}

enum err keeper_login_parse(enum keeper_use use, struct str text, struct keeper_login_file *ret,
			    const char **ret_reason)
{
	struct keeper_login_file f = { .root = json_loadb(text.p ? text.p : "", text.n,
							  JSON_REJECT_DUPLICATES, NULL) };
	json_t *o = json_object_get(f.root, use == KEEPER_USE_CODEX ? "tokens" : "claudeAiOauth");
	bool good;

	/* views stay where they are: it does not grow */
	buf_init(&f.made, MADE_MAX);
	if (buf_reserve(&f.made, MADE_MAX)) {
		keeper_login_close(&f);
		return ERR_MEMORY;
	}
	if (use == KEEPER_USE_CODEX)
		read_codex(o, &f.login, &f.made);
	else
		read_claude(o, &f.login, &f.made);
	good = !buf_err(&f.made) && f.login.access.n && f.login.refresh.n && is_token(f.login.access) &&
	       is_token(f.login.refresh) && is_token(f.login.id_token) && is_token(f.login.account_id) &&
	       is_token(f.login.subscription) && str_find(f.login.scopes, 0) == f.login.scopes.n;
	if (!good) {
		*ret_reason = f.root ? "its file holds no login: log in again, outside of Paddock"
				     : "its file is not JSON";
		keeper_login_close(&f);
		return ERR_CREDENTIAL;
	}
	*ret = f;
	return ERR_OK;
}

void keeper_login_close(struct keeper_login_file *f)
{
	json_decref(f->root);
	f->root = NULL;
	buf_free(&f->made);
}

static bool set(json_t *o, const char *name, struct str value)
{
	return value.n == 0 || json_object_set_new(o, name, json_stringn(value.p, value.n)) == 0;
}

static bool change_claude(json_t *o, const struct keeper_login *login)
{
	uint64_t expires;

	return set(o, "accessToken", login->access) && set(o, "refreshToken", login->refresh) &&
	       (!str_decimal(login->expires_ms, INT64_MAX, &expires) ||
		json_object_set_new(o, "expiresAt", json_integer((json_int_t)expires)) == 0);
}

static bool change_codex(json_t *root, json_t *o, const struct keeper_login *login)
{
	char now[CLOCK_RFC3339_BYTES];

	clock_rfc3339(clock_unix_ns(), now);
	return set(o, "access_token", login->access) && set(o, "refresh_token", login->refresh) &&
	       set(o, "id_token", login->id_token) && set(root, "last_refresh", str_of(now));
}

static int put_dumped(const char *bytes, size_t n, void *user)
{
	buf_put(user, str_make(bytes, n));
	return buf_err(user) ? -1 : 0;
}

enum err keeper_login_change(enum keeper_use use, struct keeper_login_file *f,
			     const struct keeper_login *login, struct buf *text)
{
	json_t *root = f->root;
	bool ok = use == KEEPER_USE_CODEX ? change_codex(root, json_object_get(root, "tokens"), login)
					  : change_claude(json_object_get(root, "claudeAiOauth"), login);

	if (!ok)
		return ERR_MEMORY;
	/* as each of them writes its own */
	ok = json_dump_callback(root, put_dumped, text,
				use == KEEPER_USE_CODEX ? JSON_INDENT(2) : JSON_COMPACT) == 0;
	if (buf_err(text))
		return buf_err(text);
	return ok ? ERR_OK : ERR_MEMORY;
}
