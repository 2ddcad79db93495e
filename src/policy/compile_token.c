/* compile_token.c - how the courier gets a token from a secret, judged
 *
 * One table says which grant wants and takes which key. Sources: RFC 6749 s4.4 and s6, RFC 8693 s2.1,
 * RFC 7523 s2.1, and the REST API of GitHub Apps.
 */
#include "policy/compile.h"

#define TEXT_MAX 2048 /* of one parameter: a scope lists many words */
#define GITHUB	 STR("https://api.github.com")
#define ANY	 (~0u)

enum {
	CLIENT = 1u << POLICY_GRANT_CLIENT_CREDENTIALS,
	REFRESH = 1u << POLICY_GRANT_REFRESH_TOKEN,
	EXCHANGE = 1u << POLICY_GRANT_TOKEN_EXCHANGE,
	JWT = 1u << POLICY_GRANT_JWT_BEARER,
	GITHUB_APP = 1u << POLICY_GRANT_GITHUB_APP,
};

static const char *const grants[] = {
	[POLICY_GRANT_CLIENT_CREDENTIALS] = "client_credentials",
	[POLICY_GRANT_REFRESH_TOKEN] = "refresh_token",
	[POLICY_GRANT_TOKEN_EXCHANGE] = "token_exchange",
	[POLICY_GRANT_JWT_BEARER] = "jwt_bearer",
	[POLICY_GRANT_GITHUB_APP] = "github_app",
};

/* The keys that the grant needs are there, and no others. */
static enum err check_keys(struct compile *c, const struct document_token *in, enum policy_grant grant)
{
	const struct {
		const char *name;
		struct place at;
		unsigned needed, taken; /* by grants */
	} keys[] = {
		{ "endpoint", in->endpoint.at, CLIENT | REFRESH | EXCHANGE, ANY },
		{ "client_id", in->client_id.at, CLIENT | REFRESH, CLIENT | REFRESH | EXCHANGE },
		{ "client_auth", in->client_auth.at, 0, CLIENT | REFRESH | EXCHANGE },
		{ "client_secret", in->client_secret.at, 0, REFRESH | EXCHANGE },
		{ "scope", in->scope.at, 0, CLIENT | REFRESH | EXCHANGE | JWT },
		{ "audience", in->audience.at, 0, CLIENT | REFRESH | EXCHANGE | JWT },
		{ "resource", in->resource.at, 0, CLIENT | REFRESH | EXCHANGE },
		{ "subject", in->subject.at, 0, JWT },
		{ "subject_token_type", in->subject_token_type.at, 0, EXCHANGE },
		{ "actor_token", in->actor_token.at, 0, EXCHANGE },
		{ "issuer", in->issuer.at, 0, JWT },
		{ "key_id", in->key_id.at, 0, JWT },
		{ "app_id", in->app_id.at, GITHUB_APP, GITHUB_APP },
		{ "installation_id", in->installation_id.at, GITHUB_APP, GITHUB_APP },
	};
	unsigned bit = 1u << grant;

	for (size_t i = 0; i < sizeof keys / sizeof *keys; i++) {
		if (!keys[i].at.line && (keys[i].needed & bit))
			return compile_fail(c, in->at, "grant %s needs '%s'", grants[grant], keys[i].name);
		if (keys[i].at.line && !(keys[i].taken & bit))
			return compile_fail(
				c, keys[i].at,
				grant == POLICY_GRANT_CLIENT_CREDENTIALS &&
						str_eq(str_of(keys[i].name), STR("client_secret"))
					? "grant %s takes the client's secret from 'source': leave "
					  "'%s' away"
					: "grant %s has no use for '%s'",
				grants[grant], keys[i].name);
	}
	if (grant == POLICY_GRANT_TOKEN_EXCHANGE && !in->client_id.at.line &&
	    (in->client_secret.at.line || in->client_auth.at.line))
		return compile_fail(
			c, in->at,
			"'client_secret' and 'client_auth' speak of a client: 'client_id' is missing");
	return ERR_OK;
}

/* What goes into a form, a JSON text or a header: visible, with single blanks at most. */
static enum err parameter(struct compile *c, const struct document_text *t, const char *what, struct str *ret)
{
	bool good = t->text.n > 0 && t->text.n <= TEXT_MAX;

	if (!t->at.line) {
		*ret = STR("");
		return ERR_OK;
	}
	for (size_t i = 0; i < t->text.n && good; i++)
		good = t->text.p[i] >= ' ' && t->text.p[i] <= '~' && t->text.p[i] != '"' &&
		       t->text.p[i] != '\\';
	if (!good || t->text.p[0] == ' ' || t->text.p[t->text.n - 1] == ' ')
		return compile_fail(c, t->at,
				    "'%s': expected 1 to %d visible ASCII characters, no quote or backslash",
				    what, TEXT_MAX);
	return compile_text(c, t->text, ret);
}

/* https://host[:port][/path]; @ret_path is empty if it has none. */
static bool split_url(struct str url, struct policy_token *out, struct str *ret_path)
{
	struct str rest, authority, host;
	uint64_t port;
	size_t close, colon;

	out->scheme = str_starts(url, STR("http://")) ? HEAD_HTTP : HEAD_HTTPS;
	if (!str_starts(url, out->scheme == HEAD_HTTP ? STR("http://") : STR("https://")))
		return false;
	rest = str_from(url, out->scheme == HEAD_HTTP ? 7 : 8);
	authority = str_head(rest, str_find(rest, '/'));
	*ret_path = str_from(rest, authority.n);
	close = authority.n && authority.p[0] == '[' ? str_find(authority, ']') : 0;
	colon = close + str_find(str_from(authority, close), ':');
	host = str_head(authority, colon);
	if (close == authority.n)
		return false; /* of nothing, or a bracket that is not closed */
	if (close)
		host = str_make(host.p + 1, host.n - 2);
	port = out->scheme == HEAD_HTTP ? 80 : 443;
	if (colon < authority.n && (!str_decimal(str_from(authority, colon + 1), 65535, &port) || port == 0))
		return false;
	/* a path_check() path has neither a query nor a fragment; a host no user name */
	if (host_type(host) == HOST_INVALID || (close > 0) != (host_type(host) == HOST_IPV6) ||
	    (ret_path->n && !path_check(*ret_path)))
		return false;
	out->port = (uint16_t)port;
	out->host = host; /* the document's own bytes: they outlive this function, and are copied */
	return true;
}

/* GitHub's path is made here; elsewhere the endpoint's own is sent. */
static enum err endpoint_path(struct compile *c, const struct document_token *in, struct str path,
			      struct policy_token *out)
{
	auto_buf made = BUF_EMPTY;

	if (out->grant != POLICY_GRANT_GITHUB_APP)
		return compile_text(c, path.n ? path : STR("/"), &out->path);
	buf_init(&made, HEAD_PATH_MAX);
	while (path.n && path.p[path.n - 1] == '/')
		path.n--;
	buf_put(&made, path);
	buf_put_z(&made, "/app/installations/");
	buf_put(&made, out->installation_id);
	buf_put_z(&made, "/access_tokens");
	if (buf_err(&made) == ERR_LIMIT)
		return compile_fail(c, in->endpoint.at, "'endpoint' is too long");
	return buf_err(&made) == ERR_OK ? compile_text(c, buf_str(&made), &out->path) : ERR_MEMORY;
}

static enum err token_endpoint(struct compile *c, const struct document_token *in, struct policy_token *out)
{
	bool given = in->endpoint.at.line;
	struct str path, url = given ? in->endpoint.text : GITHUB;
	enum err err;

	if (!given && out->grant == POLICY_GRANT_JWT_BEARER) {
		out->scheme = HEAD_HTTPS; /* a service account's JSON says the rest */
		out->host = out->path = STR("");
		return ERR_OK;
	}
	if (!split_url(url, out, &path))
		return compile_fail(
			c, in->endpoint.at,
			"'%.*s' is not an endpoint: expected https://host/path, the host in lower case, "
			"without user name, query or fragment",
			STR_FMT(node_quote(url)));
	if (out->scheme == HEAD_HTTP && out->address_count == 0)
		return compile_fail(
			c, in->endpoint.at,
			"a secret does not cross the public network in clear text: expected https://, "
			"or private 'addresses'");
	err = compile_text(c, out->host, &out->host);
	return err == ERR_OK ? endpoint_path(c, in, path, out) : err;
}

static enum err number_id(struct compile *c, const struct document_text *t, const char *what, struct str *ret)
{
	uint64_t ignored;

	if (t->at.line && (!str_decimal(t->text, INT64_MAX, &ignored) || t->text.n > 19))
		return compile_fail(c, t->at, "'%s' is '%.*s': expected a number", what,
				    STR_FMT(node_quote(t->text)));
	return parameter(c, t, what, ret);
}

static enum err parameters(struct compile *c, const struct document_token *in, struct policy_token *out)
{
	const struct {
		const struct document_text *from;
		const char *what;
		struct str *to;
	} texts[] = {
		{ &in->client_id, "client_id", &out->client_id },
		{ &in->scope, "scope", &out->scope },
		{ &in->audience, "audience", &out->audience },
		{ &in->resource, "resource", &out->resource },
		{ &in->subject, "subject", &out->subject },
		{ &in->subject_token_type, "subject_token_type", &out->subject_token_type },
		{ &in->issuer, "issuer", &out->issuer },
		{ &in->key_id, "key_id", &out->key_id },
		{ &in->app_id, "app_id", &out->app_id },
	};
	enum err err = number_id(c, &in->installation_id, "installation_id", &out->installation_id);

	for (size_t i = 0; i < sizeof texts / sizeof *texts && err == ERR_OK; i++)
		err = parameter(c, texts[i].from, texts[i].what, texts[i].to);
	if (err == ERR_OK && out->grant == POLICY_GRANT_TOKEN_EXCHANGE && !in->subject_token_type.at.line)
		out->subject_token_type = STR("urn:ietf:params:oauth:token-type:access_token");
	return err;
}

static enum err secret_variable(struct compile *c, const struct document_variable *in, const char *what,
				struct str *ret)
{
	*ret = STR("");
	if (!in->at.line)
		return ERR_OK;
	if (!in->environment.at.line)
		return compile_fail(c, in->at, "'%s': expected {environment: NAME}", what);
	return compile_variable(c, &in->environment, ret);
}

enum err compile_token(struct compile *c, const struct document_credential *d, struct policy_credential *out)
{
	static const char *const ways[] = { "basic", "body" };
	const struct document_token *in = &d->token;
	struct policy_token *token = arena_alloc(c->a, sizeof *token);
	unsigned grant, way;
	enum err err;

	if (!token)
		return ERR_MEMORY;
	if (!in->at.line || !in->grant.at.line)
		return compile_fail(
			c, in->at.line ? in->at : d->at,
			"strategy token needs 'token' with 'grant', such as token: {grant: "
			"client_credentials, endpoint: \"https://id.example.com/token\", client_id: me}");
	err = compile_choice(c, &in->grant, "grant", grants, sizeof grants / sizeof *grants, 0, &grant);
	if (err == ERR_OK)
		err = check_keys(c, in, (enum policy_grant)grant);
	if (err == ERR_OK)
		err = compile_choice(c, &in->client_auth, "client_auth", ways, 2, 0, &way);
	if (err != ERR_OK)
		return err;
	token->grant = (enum policy_grant)grant;
	token->client_basic = way == 0;
	err = parameters(c, in, token);
	if (err == ERR_OK)
		err = secret_variable(c, &in->client_secret, "client_secret",
				      &token->client_secret_environment);
	if (err == ERR_OK)
		err = secret_variable(c, &in->actor_token, "actor_token", &token->actor_token_environment);
	if (err == ERR_OK)
		err = compile_addresses(c, &in->addresses, &token->address_count, &token->addresses);
	if (err == ERR_OK)
		err = token_endpoint(c, in, token);
	out->token = token;
	return err;
}
