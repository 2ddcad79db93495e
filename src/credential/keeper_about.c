/* keeper_about.c - see keeper_about.h
 *
 * An ID token's claims name a person and an account; without the signature they open nothing.
 */
#include "credential/keeper_about.h"

#include "credential/keeper_login.h"
#include "credential/keeper_ops.h"

#define CLAIMS_MAX 4096		/* of an ID token; a longer one is left out */

static void put(json_t *o, const char *name, struct str value)
{
	if (value.n)
		json_object_set_new(o, name, json_stringn(value.p, value.n));
}

static void about_login(enum keeper_use use, struct str text, json_t *o)
{
	struct keeper_login_file f;
	const char *reason;
	auto_buf claims = BUF_EMPTY;

	if (keeper_login_parse(use, text, &f, &reason))
		return;
	buf_init(&claims, CLAIMS_MAX);
	put(o, "scopes", f.login.scopes);
	put(o, "subscription", f.login.subscription);
	put(o, "account_id", f.login.account_id);
	if (f.login.id_token.n && keeper_login_claims(f.login.id_token, &claims) == ERR_OK)
		put(o, "id_claims", buf_str(&claims));
	keeper_login_close(&f);
}

static void about_account(const struct keeper_credential *c, struct str text, json_t *o)
{
	static const char *const names[] = { NULL, "client_email", "private_key_id", "token_uri",
					     "project_id" };
	struct str fields[5];
	const char *reason;
	auto_buf out = BUF_EMPTY;

	buf_init(&out, KEEPER_DATA_MAX);
	if (keeper_op_account(c, text, &out, &reason) || !keeper_fields(buf_str(&out), fields, 5))
		return;
	for (size_t i = 1; i < 5; i++)
		put(o, names[i], fields[i]);
}

static void about_one(const struct keeper_credential *c, json_t *o)
{
	auto_buf text = BUF_EMPTY;
	const char *reason;
	uint64_t stamp;

	buf_init_secret(&text, KEEPER_SOURCE_MAX);
	if (c->source.kind == KEEPER_COMMAND || keeper_source_read(&c->source, &text, &stamp, &reason))
		return;
	if (c->use == KEEPER_USE_JWT)
		about_account(c, buf_str(&text), o);
	else
		about_login(c->use, buf_str(&text), o);
}

json_t *keeper_about(const struct keeper_config *c)
{
	json_t *list = json_array();

	for (size_t i = 0; list && i < c->credential_count; i++) {
		enum keeper_use use = c->credentials[i].use;
		json_t *o = use == KEEPER_USE_JWT || use == KEEPER_USE_CLAUDE || use == KEEPER_USE_CODEX
				    ? json_object() : NULL;

		if (!o)
			continue;
		json_object_set_new(o, "credential", json_integer((json_int_t)i));
		about_one(&c->credentials[i], o);
		json_array_append_new(list, o);
	}
	return list;
}
