/* binding_token.c - strategies whose secret the agent never had: tokens, logins, client certificates; and the
 * requests that are answered here, since they ask for such a one; see binding.h */
#include "courier/binding_internal.h"

#include "base/clock.h"
#include "courier/certificate.h"
#include "courier/token.h"
#include "credential/grant.h"

#include <jansson.h>
#include <stdlib.h>

#define ANSWER_LIFE_S 3600		/* of a placeholder, as its answer says; it is good for the run */
#define CERTIFICATE_POOL (1ull << 62)

static enum err token_run(struct binding *b, const char **ret_reason)
{
	struct exchange *x = b->exchange;
	const struct vault_secret *secret;
	enum err e = token_ask(x->courier->tokens, b->credential, str_of(x->request_id), &b->wait,
			       binding_changed, b, &secret, ret_reason);

	if (e == ERR_OK)
		binding_take(b, secret);
	return e;
}

static void token_again(struct binding *b, uint16_t status)
{
	if (status == 401)
		token_refused(b->exchange->courier->tokens, b->credential, b->secret->generation);
}

const struct binding_ops binding_token = { .run = token_run, .refused = token_again };

/* ---- certificates ---- */

static enum err certificate_run(struct binding *b, const char **ret_reason)
{
	struct certificate *c;
	enum err e = certificate_ask(b->exchange->courier->certificates, b->credential, &b->wait,
				     binding_changed, b, &c, ret_reason);

	if (e != ERR_OK)
		return e;
	certificate_release(b->own);
	b->own = c;
	b->pool = CERTIFICATE_POOL | c->generation;
	return ERR_OK;
}

static enum err certificate_apply(struct binding *b, const struct head *in, struct buf *out,
				  struct head *ret_head)
{
	(void)out;
	if (b->exchange->head.scheme != HEAD_HTTPS)
		return ERR_CREDENTIAL;
	*ret_head = *in;
	return ERR_OK;
}

static void certificate_end(struct binding *b) { certificate_release(b->own); }

static struct str certificate_pem(const struct binding *b)
{
	const struct certificate *c = b->own;

	return c ? buf_str(&c->pem) : STR("");
}

const struct binding_ops binding_client_certificate = {
	.run = certificate_run, .apply = certificate_apply, .free = certificate_end,
	.certificate = certificate_pem,
};

/* ---- token endpoints ---- */

static bool is_at(const struct head *h, struct str host, uint16_t port, struct str path)
{
	return str_eq(h->host, host) && h->port == port && str_eq(h->path, path);
}

static bool is_endpoint(const struct policy_credential *c, const struct head *h)
{
	const struct policy_token *t = c->token;
	const struct str *hosts;
	size_t count;

	if (c->strategy == POLICY_STRATEGY_TOKEN)	/* a service account's JSON has Google's, if the policy none */
		return t->host.n ? is_at(h, t->host, t->port, t->path)
				 : is_at(h, STR("oauth2.googleapis.com"), 443, STR("/token"));
	if (c->strategy != POLICY_STRATEGY_LOGIN)
		return false;
	hosts = grant_login_hosts(c->login, &count);
	for (size_t i = 0; i < count; i++)
		if (is_at(h, hosts[i], 443, grant_login_path(c->login)))
			return true;
	return false;
}

bool binding_is_local(struct exchange *x)
{
	const struct policy *p = snapshot_policy(x->snapshot);
	const struct policy_credential *found = NULL;

	for (uint32_t i = 0; i < policy_credential_count(p); i++) {
		const struct policy_credential *c = policy_credential(p, i);

		/* several may have one endpoint: the rule's own, if it is among them */
		if (is_endpoint(c, &x->head) && (!found || (int64_t)i == x->rule->credential))
			found = c;
	}
	if (found)
		x->credential = found;
	return found != NULL;
}

static void set(json_t *o, const char *name, struct str s)
{
	if (s.n)
		json_object_set_new(o, name, json_stringn(s.p, s.n));
}

static struct str second(const struct binding *b, const char *tail)
{
	auto_buf name = BUF_EMPTY;

	buf_init(&name, 256);
	buf_put(&name, b->credential->name);
	buf_put_z(&name, tail);
	return config_placeholder(b->exchange->courier->options.config, buf_str(&name));
}

static json_t *github_answer(const struct binding *b)
{
	json_t *o = json_object();
	char until[CLOCK_RFC3339_BYTES];

	clock_rfc3339(clock_unix_ns() + ANSWER_LIFE_S * 1000000000ull, until);
	set(o, "token", b->placeholder);
	until[19] = 'Z';	/* GitHub's has no fraction */
	set(o, "expires_at", str_make(until, 20));
	json_object_set_new(o, "permissions", json_object());
	return o;
}

static json_t *oauth_answer(const struct binding *b)
{
	json_t *o = json_object();

	set(o, "access_token", b->placeholder);
	set(o, "token_type", STR("Bearer"));
	json_object_set_new(o, "expires_in", json_integer(ANSWER_LIFE_S));
	if (b->credential->strategy == POLICY_STRATEGY_LOGIN) {
		set(o, "refresh_token", second(b, ".refresh"));
		set(o, "id_token", second(b, ".id"));
	} else {
		set(o, "scope", b->credential->token->scope);
	}
	return o;
}

enum err binding_local_answer(struct binding *b, uint16_t *ret_status, struct buf *body)
{
	bool github = b->credential->strategy == POLICY_STRATEGY_TOKEN &&
		      b->credential->token->grant == POLICY_GRANT_GITHUB_APP;

	if (b->placeholder.n == 0)
		return ERR_CREDENTIAL;
	json_t *o = github ? github_answer(b) : oauth_answer(b);
	char *text = o ? json_dumps(o, JSON_COMPACT) : NULL;

	json_decref(o);
	if (!text)
		return ERR_MEMORY;
	buf_put_z(body, text);
	free(text);
	*ret_status = github ? 201 : 200;
	return buf_err(body);
}
