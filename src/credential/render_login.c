/* render_login.c - placeholders by their shape, the agents' login files, a service account; see render.h
 *
 * Claude Code's tokens are opaque; Codex looks into its own: an ID token with the claims of the real one
 * (name, account and plan are shown), an access token with a time of expiry. Both expire long after the run:
 * the real ones are refreshed by the courier, and nothing is gained by the agent's asking for it.
 */
#include "base/clock.h"
#include "credential/attach.h"
#include "credential/render.h"

#include <jansson.h>
#define ERR_STATE OPENSSL_ERR_STATE	/* OpenSSL has a type of that name, which nobody needs */
#include <openssl/evp.h>
#include <openssl/pem.h>
#undef ERR_STATE
#include <stdio.h>
#include <stdlib.h>
#include <sys/random.h>

#define EXPIRES_S (30u * 24 * 3600)
#define AWS_SECRET_CHARACTERS 40
#define RSA_BITS 2048

/* ---- placeholders ---- */

/* @count letters of @alphabet, which has @letters (a divisor of 256, or bytes above are thrown away) */
static enum err put_random(struct buf *out, const char *alphabet, size_t count)
{
	size_t letters = strlen(alphabet), limit = 256 / letters * letters;
	uint8_t byte;

	while (count) {
		if (getrandom(&byte, 1, 0) != 1)
			return ERR_LOCAL;
		if (byte >= limit)
			continue;
		buf_put_byte(out, (uint8_t)alphabet[byte % letters]);
		count--;
	}
	return buf_err(out);
}

#define ALPHANUMERIC "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
#define BASE32 "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"

/* well-formed, and signed by nobody */
static enum err put_jwt(struct buf *out, struct str claims)
{
	uint8_t signature[256];

	if (getrandom(signature, sizeof signature, 0) != sizeof signature)
		return ERR_LOCAL;
	buf_put_base64url(out, STR("{\"alg\":\"RS256\",\"typ\":\"JWT\",\"kid\":\"paddock\"}"));
	buf_put_byte(out, '.');
	buf_put_base64url(out, claims);
	buf_put_byte(out, '.');
	/* an access token is searched for in every request: what makes it its own need not be long */
	buf_put_base64url(out, str_make(signature, claims.n > 200 ? sizeof signature : 32));
	return buf_err(out);
}

static enum err put_codex(const struct keeper_public *about, struct buf *access, struct buf *refresh,
			  struct buf *id)
{
	static const char anyone[] =
		"{\"email\":\"agent@paddock.invalid\",\"https://api.openai.com/auth\":{}}";
	uint64_t now = clock_unix_ns() / 1000000000;
	auto_buf claims = BUF_EMPTY;
	enum err e;

	buf_init(&claims, 256);
	buf_printf(&claims, "{\"iat\":%llu,\"exp\":%llu}", (unsigned long long)now,
		   (unsigned long long)now + EXPIRES_S);
	e = put_jwt(access, buf_str(&claims));
	if (!e)
		e = put_jwt(id, about->id_claims.n ? about->id_claims : str_of(anyone));
	buf_put_z(refresh, "rt_");
	return e ? e : put_random(refresh, ALPHANUMERIC, CREDENTIAL_PLACEHOLDER_RANDOM);
}

static enum err put_claude(struct buf *access, struct buf *refresh)
{
	enum err e;

	buf_put_z(access, "sk-ant-oat01-");
	e = put_random(access, ALPHANUMERIC, 2 * CREDENTIAL_PLACEHOLDER_RANDOM);
	buf_put_z(refresh, "sk-ant-ort01-");
	return e ? e : put_random(refresh, ALPHANUMERIC, 2 * CREDENTIAL_PLACEHOLDER_RANDOM);
}

enum err render_placeholders(const struct policy_credential *c, const struct keeper_public *about,
			     struct buf *placeholder, struct buf *second, struct buf *id)
{
	bool own = c->placeholder.n || c->placeholder_prefix.n;
	enum err e = ERR_OK;

	if (c->strategy == POLICY_STRATEGY_SIGV4)
		e = put_random(second, ALPHANUMERIC, AWS_SECRET_CHARACTERS);
	if (e)
		return e;
	if (c->strategy == POLICY_STRATEGY_LOGIN && c->login == POLICY_LOGIN_CODEX)
		return put_codex(about, placeholder, second, id);
	if (c->strategy == POLICY_STRATEGY_LOGIN)
		return put_claude(placeholder, second);
	if (c->strategy == POLICY_STRATEGY_SIGV4 && !own) {
		buf_put_z(placeholder, "AKIA");
		return put_random(placeholder, BASE32, 16);
	}
	return credential_placeholder(c, placeholder);
}

/* ---- files ---- */

static json_t *text(struct str s) { return json_stringn(s.p ? s.p : "", s.n); }

static enum err put_json(json_t *root, size_t flags, struct buf *out)
{
	char *z = root ? json_dumps(root, flags) : NULL;

	json_decref(root);
	if (!z)
		return ERR_MEMORY;
	buf_put_z(out, z);
	free(z);
	return buf_err(out);
}

static json_t *words(struct str s)
{
	json_t *list = json_array();

	while (s.n) {
		struct str word = str_head(s, str_find(s, ' '));

		json_array_append_new(list, text(word));
		s = str_from(s, word.n + 1);
	}
	return list;
}

static enum err put_claude_file(const struct render_item *item, struct buf *out)
{
	struct str scopes = item->about->scopes.n ? item->about->scopes : STR("user:inference user:profile");
	struct str plan = item->about->subscription;
	json_t *o = json_pack("{s:o, s:o, s:I, s:o, s:o}", "accessToken", text(item->placeholder),
			      "refreshToken",
			      text(item->second), "expiresAt",
			      (json_int_t)(clock_unix_ns() / 1000000 + EXPIRES_S * 1000ull), "scopes",
			      words(scopes),
			      "subscriptionType", plan.n ? text(plan) : json_null());

	return put_json(json_pack("{s:o}", "claudeAiOauth", o), JSON_COMPACT, out);
}

static enum err put_codex_file(const struct render_item *item, struct buf *out)
{
	char now[CLOCK_RFC3339_BYTES];
	json_t *tokens = json_pack("{s:o, s:o, s:o, s:o}", "id_token", text(item->id), "access_token",
				   text(item->placeholder), "refresh_token", text(item->second), "account_id",
				   item->about->account_id.n ? text(item->about->account_id) : json_null());

	clock_rfc3339(clock_unix_ns(), now);
	return put_json(json_pack("{s:n, s:o, s:s}", "OPENAI_API_KEY", "tokens", tokens, "last_refresh", now),
			JSON_INDENT(2), out);
}

enum err render_login(const struct render_item *item, struct buf *out)
{
	return item->file->kind == POLICY_RENDER_CODEX ? put_codex_file(item, out)
						       : put_claude_file(item, out);
}

/* a key that client libraries can sign with; whatever they sign is thrown away by the courier */
static enum err put_throw_away_key(struct buf *pem)
{
	EVP_PKEY *key = EVP_RSA_gen(RSA_BITS);
	BIO *bio = BIO_new(BIO_s_mem());
	bool ok = key && bio && PEM_write_bio_PrivateKey(bio, key, NULL, NULL, 0, NULL, NULL) == 1;

	if (ok) {
		char *p;
		long n = BIO_get_mem_data(bio, &p);

		buf_put(pem, str_make(p, (size_t)n));
	}
	BIO_free(bio);
	EVP_PKEY_free(key);
	return ok ? buf_err(pem) : ERR_MEMORY;
}

/* The policy's endpoint, else the account's own. */
static struct str token_uri(const struct render_item *item, struct buf *storage)
{
	const struct policy_token *t = item->credential->token;

	if (t && t->host.n) {
		buf_put_z(storage, t->scheme == HEAD_HTTP ? "http://" : "https://");
		buf_put(storage, t->host);
		if (t->port != (t->scheme == HEAD_HTTP ? 80 : 443))
			buf_printf(storage, ":%u", (unsigned)t->port);
		buf_put(storage, t->path);
		return buf_str(storage);
	}
	return item->about->token_uri.n ? item->about->token_uri : STR("https://oauth2.googleapis.com/token");
}

enum err render_account(const struct render_item *item, struct buf *out)
{
	const struct keeper_public *about = item->about;
	struct str email =
		about->client_email.n ? about->client_email : STR("agent@paddock.iam.gserviceaccount.com");
	struct str project = about->project_id.n ? about->project_id : STR("paddock");
	struct str key_id = about->private_key_id.n ? about->private_key_id : STR("paddock");
	auto_buf pem = BUF_EMPTY, uri = BUF_EMPTY;
	enum err e;

	buf_init(&pem, 8192);
	buf_init(&uri, 4096);
	e = put_throw_away_key(&pem);
	if (e)
		return e;
	return put_json(json_pack("{s:s, s:o, s:o, s:o, s:o, s:s, s:o, s:s}", "type", "service_account",
				  "project_id",
				  text(project), "private_key_id", text(key_id), "private_key",
				  text(buf_str(&pem)),
				  "client_email", text(email), "client_id", "100000000000000000000",
				  "token_uri",
				  text(token_uri(item, &uri)), "universe_domain", "googleapis.com"),
			JSON_INDENT(2), out);
}
