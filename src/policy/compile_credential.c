/* compile_credential.c - what a policy says of credentials, judged
 *
 * What every credential has is judged here, and which keys suit which strategy; sources, tokens and
 * placeholders have files of their own. No secret is read.
 */
#include "policy/compile.h"

#define BIT(strategy)	 (1u << POLICY_STRATEGY_##strategy)
#define DETACH_AFTER	 3
#define DETACH_AFTER_MAX 1000

static const char *const strategies[] = {
	[POLICY_STRATEGY_HEADER] = "header", [POLICY_STRATEGY_PLACEHOLDER] = "placeholder",
	[POLICY_STRATEGY_SIGV4] = "sigv4",   [POLICY_STRATEGY_TOKEN] = "token",
	[POLICY_STRATEGY_LOGIN] = "login",   [POLICY_STRATEGY_CERTIFICATE] = "certificate",
};
static const char *const logins[] = { [POLICY_LOGIN_CLAUDE] = "claude", [POLICY_LOGIN_CODEX] = "codex" };

/* Of the agents' own logins: where they send their tokens, and where they refresh them. */
static const struct str claude_hosts[] = { STR_INIT("api.anthropic.com"), STR_INIT("console.anthropic.com"),
					   STR_INIT("platform.claude.com") };
static const struct str codex_hosts[] = { STR_INIT("chatgpt.com"), STR_INIT("api.openai.com"),
					  STR_INIT("auth.openai.com") };
static const struct {
	const char *file;
	uint32_t host_count;
	const struct str *hosts;
} login_defaults[] = {
	[POLICY_LOGIN_CLAUDE] = { "~/.claude/.credentials.json", 3, claude_hosts },
	[POLICY_LOGIN_CODEX] = { "~/.codex/auth.json", 3, codex_hosts },
};

/* "{secret}" exactly once in what may be a header's value. */
static bool format_is_good(struct str format)
{
	static const struct str mark = STR_INIT("{secret}");
	unsigned count = 0;

	for (struct str rest = format; rest.n >= mark.n; rest = str_from(rest, 1))
		count += str_starts(rest, mark);
	return count == 1 && format.n <= 1024 && field_value_check(format);
}

static enum err header_name(struct compile *c, const struct document_text *t, struct policy_credential *out)
{
	char name[64];
	struct str lower = { name, t->text.n };

	if (lower.n >= sizeof name)
		return compile_fail(c, t->at, "a header's name of more than 63 bytes");
	for (size_t i = 0; i < lower.n; i++)
		name[i] = ascii_lower(t->text.p[i]);
	if (!field_name_check(lower) || field_is_hop_by_hop(lower) || str_eq(lower, STR("host")) ||
	    str_eq(lower, STR("content-length")))
		return compile_fail(c, t->at, "'%.*s' is not a header that a credential can be put into",
				    STR_FMT(node_quote(t->text)));
	return compile_text(c, lower, &out->header_name);
}

/* Strategy header says which; a token goes where tokens go unless the policy says otherwise. */
static enum err compile_header(struct compile *c, const struct document_credential *d,
			       struct policy_credential *out)
{
	const struct document_header *in = &d->header;
	bool bearer = !in->at.line && out->strategy != POLICY_STRATEGY_HEADER;
	enum err err = ERR_OK;

	if (bearer) {
		out->header_name = STR("authorization");
		out->header_format = STR("Bearer {secret}");
		return ERR_OK;
	}
	if (!in->name.at.line)
		return compile_fail(c, in->at.line ? in->at : d->at,
				    "strategy %s needs 'header' with 'name', "
				    "such as header: {name: authorization, format: \"Bearer {secret}\"}",
				    strategies[out->strategy]);
	err = header_name(c, &in->name, out);
	if (err == ERR_OK && in->format.at.line && !format_is_good(in->format.text))
		return compile_fail(c, in->format.at,
				    "'format': expected the text of a header with {secret} in it "
				    "once, such as \"Bearer {secret}\"");
	if (err == ERR_OK && in->user.at.line && in->format.at.line)
		return compile_fail(c, in->format.at,
				    "'format' and 'user' exclude each other: with 'user' the header is "
				    "\"Basic \" and user and secret in base64");
	if (err == ERR_OK && in->user.at.line)
		err = compile_name(c, &in->user, "a user in a header", &out->header_user);
	if (err == ERR_OK)
		err = compile_text(c,
				   in->format.at.line ? in->format.text
				   : in->user.at.line ? STR("Basic {secret}")
						      : STR("{secret}"),
				   &out->header_format);
	return err;
}

static enum err check_word(struct compile *c, const struct document_text *t)
{
	for (size_t i = 0; i < t->text.n; i++)
		if (t->text.p[i] >= 'A' && t->text.p[i] <= 'Z')
			return compile_fail(c, t->at,
					    "'%.*s': expected lower case, such as s3 or eu-central-1",
					    STR_FMT(node_quote(t->text)));
	if (!value_name(t->text))
		return compile_fail(c, t->at, "'%.*s': expected a name such as s3 or eu-central-1",
				    STR_FMT(node_quote(t->text)));
	return ERR_OK;
}

static enum err compile_sigv4(struct compile *c, const struct document_credential *d,
			      struct policy_credential *out)
{
	const struct document_sigv4 *in = &d->sigv4;
	enum err err = ERR_OK;

	if (in->profile.at.line)
		err = compile_name(c, &in->profile, "the name of a profile", &out->aws_profile);
	if (err == ERR_OK && in->services.at.line)
		err = compile_texts(c, &in->services, "services", check_word, &out->aws_service_count,
				    &out->aws_services);
	if (err == ERR_OK && in->regions.at.line)
		err = compile_texts(c, &in->regions, "regions", check_word, &out->aws_region_count,
				    &out->aws_regions);
	return err;
}

static enum err choose_login(struct compile *c, const struct document_credential *d,
			     struct policy_credential *out)
{
	unsigned login;
	enum err err;

	if (!d->login.at.line)
		return compile_fail(c, d->at, "strategy login needs 'login': expected one of claude, codex");
	err = compile_choice(c, &d->login, "login", logins, 2, 0, &login);
	if (err == ERR_OK)
		out->login = (enum policy_login)login;
	return err;
}

static enum err credential_host(struct compile *c, const struct document_text *t)
{
	if (str_eq(t->text, STR("*")))
		return compile_fail(c, t->at, "a credential may not go to every host: name its hosts");
	return compile_host(c, t);
}

static enum err compile_hosts(struct compile *c, const struct document_credential *in,
			      struct policy_credential *out)
{
	if (in->hosts.at.line)
		return compile_texts(c, &in->hosts, "hosts", credential_host, &out->host_count, &out->hosts);
	if (out->strategy != POLICY_STRATEGY_LOGIN)
		return compile_fail(c, in->at,
				    "this credential needs 'hosts': the hosts that may receive it");
	out->hosts = login_defaults[out->login].hosts;
	out->host_count = login_defaults[out->login].host_count;
	return ERR_OK;
}

/* A login is a file that its agent writes, too; no other source could be replaced after a refresh. */
static enum err login_source(struct compile *c, const struct document_credential *in,
			     struct policy_credential *out)
{
	struct document_text file = { in->at, str_of(login_defaults[out->login].file) };

	if (!in->source.at.line) {
		out->source = POLICY_SOURCE_FILE;
		return compile_path(c, &file, &out->file);
	}
	if (!in->source.file.at.line)
		return compile_fail(c, in->source.at,
				    "a login is read from its file, and written to it when it was refreshed: "
				    "expected {file: %s}, or no 'source'",
				    login_defaults[out->login].file);
	return compile_source(c, in, out);
}

/* Keys that some strategies have no use for. */
static enum err check_keys(struct compile *c, const struct document_credential *in, enum policy_strategy s)
{
	const unsigned all = BIT(HEADER) | BIT(PLACEHOLDER) | BIT(SIGV4) | BIT(TOKEN) | BIT(LOGIN);
	const struct {
		const char *name, *whose;
		struct place at;
		unsigned taken;
	} keys[] = {
		{ "header", "strategies header and token", in->header.at, BIT(HEADER) | BIT(TOKEN) },
		{ "sigv4", "strategy sigv4", in->sigv4.at, BIT(SIGV4) },
		{ "token", "strategy token", in->token.at, BIT(TOKEN) },
		{ "login", "strategy login", in->login.at, BIT(LOGIN) },
		{ "placeholder", "what stands in a request", in->placeholder.at, all },
		{ "own", "what stands in a request", in->own.at, all },
	};

	for (size_t i = 0; i < sizeof keys / sizeof *keys; i++)
		if (keys[i].at.line && !(keys[i].taken & (1u << s)))
			return compile_fail(c, keys[i].at, "'%s' is for %s; the strategy here is %s",
					    keys[i].name, keys[i].whose, strategies[s]);
	return ERR_OK;
}

static enum err choose_strategy(struct compile *c, const struct document_credential *in,
				struct policy_credential *out)
{
	unsigned strategy;
	enum err err =
		compile_choice(c, &in->strategy, "strategy", strategies,
			       sizeof strategies / sizeof *strategies, POLICY_STRATEGY_HEADER, &strategy);

	if (err != ERR_OK)
		return err;
	out->strategy = (enum policy_strategy)strategy;
	err = check_keys(c, in, out->strategy);
	if (err == ERR_OK && out->strategy == POLICY_STRATEGY_LOGIN)
		err = choose_login(c, in, out);
	return err;
}

static enum err compile_strategy(struct compile *c, const struct document_credential *in,
				 struct policy_credential *out)
{
	enum err err;

	switch (out->strategy) {
	case POLICY_STRATEGY_HEADER:
	case POLICY_STRATEGY_LOGIN:
		return compile_header(c, in, out);
	case POLICY_STRATEGY_SIGV4:
		return compile_sigv4(c, in, out);
	case POLICY_STRATEGY_TOKEN:
		err = compile_token(c, in, out);
		return err == ERR_OK ? compile_header(c, in, out) : err;
	case POLICY_STRATEGY_PLACEHOLDER:
	case POLICY_STRATEGY_CERTIFICATE:
		break;
	}
	return ERR_OK;
}

static enum err compile_rest(struct compile *c, const struct document_credential *in,
			     struct policy_credential *out)
{
	static const char *const owns[] = {
		[POLICY_OWN_REFUSE] = "refuse",
		[POLICY_OWN_REPLACE] = "replace",
		[POLICY_OWN_PASS] = "pass",
	};
	unsigned own;
	enum err err = compile_choice(c, &in->own, "own", owns, 3, POLICY_OWN_REFUSE, &own);

	if (err == ERR_OK && in->detach_after.value > DETACH_AFTER_MAX)
		return compile_fail(
			c, in->detach_after.at,
			"'detach_after' is out of range: expected 1 to %d answers, or 0 for never",
			DETACH_AFTER_MAX);
	if (err != ERR_OK)
		return err;
	out->own = (enum policy_own)own;
	out->scrub = !in->scrub.at.line || in->scrub.value;
	out->detach_after = in->detach_after.at.line ? (uint32_t)in->detach_after.value : DETACH_AFTER;
	return ERR_OK;
}

/* A view that a strategy has no use for is empty, never NULL: it is followed by a NUL like the rest. */
static const struct policy_credential nothing = {
	.environment = STR_INIT(""),
	.file = STR_INIT(""),
	.sealed = STR_INIT(""),
	.header_name = STR_INIT(""),
	.header_format = STR_INIT(""),
	.header_user = STR_INIT(""),
	.placeholder_environment = STR_INIT(""),
	.placeholder = STR_INIT(""),
	.placeholder_prefix = STR_INIT(""),
	.aws_profile = STR_INIT(""),
};

static enum err compile_one(struct compile *c, const struct document_credential *in,
			    struct policy_credential *out)
{
	enum err err;

	*out = nothing;
	out->line = in->at.line;
	err = compile_name(c, &in->key, "the name of a credential", &out->name);
	if (err == ERR_OK)
		err = choose_strategy(c, in, out);
	if (err == ERR_OK)
		err = out->strategy == POLICY_STRATEGY_LOGIN ? login_source(c, in, out)
							     : compile_source(c, in, out);
	if (err == ERR_OK)
		err = compile_hosts(c, in, out);
	if (err == ERR_OK)
		err = compile_strategy(c, in, out);
	if (err == ERR_OK)
		err = compile_placeholder(c, in, out);
	return err == ERR_OK ? compile_rest(c, in, out) : err;
}

enum err compile_credentials(struct compile *c)
{
	const struct document_objects *in = &c->d->credentials;
	const struct document_credential *items = in->items;
	enum err err = ERR_OK;

	if (in->count > POLICY_CREDENTIALS_MAX)
		return compile_fail(c, in->at, "more than %d credentials", POLICY_CREDENTIALS_MAX);
	c->p->credentials = arena_array(c->a, in->count, sizeof *c->p->credentials);
	c->credential_used = arena_array(c->a, in->count, sizeof *c->credential_used);
	if (!c->p->credentials || !c->credential_used)
		return ERR_MEMORY;
	for (uint32_t i = 0; i < in->count && err == ERR_OK; i++) {
		err = compile_one(c, &items[i], &c->p->credentials[i]);
		if (err == ERR_OK)
			err = compile_refuse_shared(c, &items[i], i);
	}
	c->p->credential_count = in->count;
	return err;
}
