/* compile_placeholder.c - what stands for a secret in the guest, judged
 *
 * Where it is put (a variable, files that tools insist on), where in a request it is replaced, and
 * which hosts may see it as it is.
 */
#include "policy/compile.h"

#define PLACEHOLDER_MIN 16 /* a shorter one would be found where none is */
#define PLACEHOLDER_MAX 256

#define BIT(strategy) (1u << POLICY_STRATEGY_##strategy)
#define TOOLS	      (BIT(HEADER) | BIT(PLACEHOLDER) | BIT(TOKEN)) /* files with a token or password in them */

static const struct render {
	const char *name, *path;
	unsigned strategies;
	bool user;   /* has a place for one */
	bool shared; /* several credentials may stand in one file */
} renders[] = {
	[POLICY_RENDER_AWS] = { "aws", "~/.aws/credentials", BIT(SIGV4), false, true },
	[POLICY_RENDER_NETRC] = { "netrc", "~/.netrc", TOOLS, true, true },
	[POLICY_RENDER_GH] = { "gh", "~/.config/gh/hosts.yml", TOOLS, true, true },
	[POLICY_RENDER_NPMRC] = { "npmrc", "~/.npmrc", TOOLS, false, true },
	[POLICY_RENDER_DOCKER] = { "docker", "~/.docker/config.json", TOOLS, true, true },
	[POLICY_RENDER_KUBECONFIG] = { "kubeconfig", "~/.kube/config", TOOLS, true, false },
	[POLICY_RENDER_SERVICE_ACCOUNT] = { "service_account",
					    "~/.config/gcloud/application_default_credentials.json",
					    BIT(TOKEN), false, false },
	[POLICY_RENDER_CLAUDE] = { "claude", "~/.claude/.credentials.json", BIT(LOGIN), false, false },
	[POLICY_RENDER_CODEX] = { "codex", "~/.codex/auth.json", BIT(LOGIN), false, false },
};
#define RENDERS (sizeof renders / sizeof *renders)

static bool visible_ascii(struct str s)
{
	for (size_t i = 0; i < s.n; i++)
		if (s.p[i] <= ' ' || s.p[i] > '~')
			return false;
	return true;
}

/* Stands in INI, JSON, YAML and netrc files alike without being escaped. */
static bool plain_everywhere(struct str s)
{
	for (size_t i = 0; i < s.n; i++)
		if (!ascii_alpha(s.p[i]) && !ascii_digit(s.p[i]) && !memchr("._~+/=-", s.p[i], 7))
			return false;
	return true;
}

/* Where the placeholder strategy substitutes; header and Basic unless the policy says. */
static enum err compile_in(struct compile *c, const struct document_texts *in, struct policy_credential *out)
{
	static const char *const places[] = { "header", "basic", "query", "path", "body", "websocket" };

	out->parts = in->at.line ? 0 : POLICY_IN_HEADER | POLICY_IN_BASIC;
	if (in->at.line && in->count == 0)
		return compile_fail(
			c, in->at,
			"'in' is an empty list: expected header, basic, query, path, body, websocket");
	for (uint32_t i = 0; i < in->count; i++) {
		unsigned place;
		enum err err = compile_choice(c, &in->items[i], "in", places, sizeof places / sizeof *places,
					      0, &place);

		if (err != ERR_OK)
			return err;
		if (out->parts & (1u << place))
			return compile_fail(c, in->items[i].at, "'%s' is in 'in' twice", places[place]);
		out->parts |= 1u << place; /* the order of enum policy_part */
	}
	return ERR_OK;
}

static enum err check_field(struct compile *c, const struct document_text *t)
{
	struct str name = t->text;

	if (!field_name_check(name) || field_is_hop_by_hop(name) || str_eq(name, STR("host")) ||
	    str_eq(name, STR("content-length")))
		return compile_fail(
			c, t->at,
			"'%.*s' is not a header that a placeholder can stand in: expected a name in "
			"lower case, such as authorization",
			STR_FMT(node_quote(name)));
	return ERR_OK;
}

static enum err check_host(struct compile *c, const struct document_text *t)
{
	if (str_eq(t->text, STR("*")))
		return compile_fail(c, t->at, "a placeholder is not shown to every host: name its hosts");
	return compile_host(c, t);
}

static enum err compile_places(struct compile *c, const struct document_placeholder *in,
			       struct policy_credential *out)
{
	enum err err = ERR_OK;

	if (out->strategy == POLICY_STRATEGY_PLACEHOLDER)
		err = compile_in(c, &in->in, out);
	else if (in->in.at.line || in->fields.at.line)
		return compile_fail(
			c, in->in.at.line ? in->in.at : in->fields.at,
			"'%s' is for strategy placeholder: the others put the secret where it belongs",
			in->in.at.line ? "in" : "fields");
	if (err == ERR_OK && in->fields.at.line && !(out->parts & POLICY_IN_HEADER))
		return compile_fail(c, in->fields.at, "'fields' names headers: add header to 'in'");
	if (err == ERR_OK && in->fields.at.line)
		err = compile_texts(c, &in->fields, "fields", check_field, &out->placeholder_field_count,
				    &out->placeholder_fields);
	if (err == ERR_OK && in->hosts.at.line)
		err = compile_texts(c, &in->hosts, "hosts", check_host, &out->placeholder_host_count,
				    &out->placeholder_hosts);
	return err;
}

/* Does the file suit the credential? */
static enum err check_kind(struct compile *c, const struct document_file *in, enum policy_render kind,
			   const struct policy_credential *k)
{
	const struct render *r = &renders[kind];
	bool own_login = (kind == POLICY_RENDER_CLAUDE) == (k->login == POLICY_LOGIN_CLAUDE);

	if (!(r->strategies & (1u << k->strategy)))
		return compile_fail(c, in->kind.at, "kind '%s' is for %s", r->name,
				    r->strategies == BIT(SIGV4)	  ? "strategy sigv4"
				    : r->strategies == BIT(TOKEN) ? "strategy token"
				    : r->strategies == BIT(LOGIN)
					    ? "strategy login"
					    : "strategies header, placeholder and token");
	if (k->strategy == POLICY_STRATEGY_LOGIN && !own_login)
		return compile_fail(c, in->kind.at, "kind '%s' is for 'login: %s'", r->name, r->name);
	if (kind == POLICY_RENDER_SERVICE_ACCOUNT && k->token->grant != POLICY_GRANT_JWT_BEARER)
		return compile_fail(c, in->kind.at, "kind 'service_account' is for grant jwt_bearer");
	if (in->user.at.line && !r->user)
		return compile_fail(c, in->user.at, "kind '%s' has no place for 'user'", r->name);
	return ERR_OK;
}

static enum err compile_file(struct compile *c, const struct document_file *in,
			     const struct policy_credential *k, struct policy_file *out)
{
	const char *words[RENDERS];
	unsigned kind;
	enum err err;

	for (size_t i = 0; i < RENDERS; i++)
		words[i] = renders[i].name;
	if (!in->kind.at.line)
		return compile_fail(c, in->at, "a credential file needs 'kind', such as {kind: netrc}");
	err = compile_choice(c, &in->kind, "kind", words, RENDERS, 0, &kind);
	if (err == ERR_OK)
		err = check_kind(c, in, (enum policy_render)kind, k);
	if (err != ERR_OK)
		return err;
	out->kind = (enum policy_render)kind;
	out->user = STR("");
	if (in->user.at.line)
		err = compile_name(c, &in->user, "a user in a credential file", &out->user);
	if (err == ERR_OK && in->path.at.line)
		return compile_guest_path(c, &in->path, &out->path);
	return err == ERR_OK ? compile_text(c, str_of(renders[kind].path), &out->path) : err;
}

static enum err compile_files(struct compile *c, const struct document_placeholder *in,
			      struct policy_credential *out)
{
	const struct document_file *items = in->files.items;
	uint32_t count = in->files.count;
	struct policy_file *files;
	enum err err = ERR_OK;

	if (in->files.at.line && count == 0)
		return compile_fail(c, in->files.at, "'files' is an empty list: expected at least one entry");
	if (count && (!plain_everywhere(in->value.text) || !plain_everywhere(in->prefix.text)))
		return compile_fail(c, in->value.at.line ? in->value.at : in->prefix.at,
				    "a placeholder that stands in files has A-Z a-z 0-9 . _ ~ + / = - only");
	if (out->strategy == POLICY_STRATEGY_LOGIN && !count)
		count = 1; /* the agent's own */
	files = arena_array(c->a, count, sizeof *files);
	if (!files)
		return ERR_MEMORY;
	for (uint32_t i = 0; i < in->files.count && err == ERR_OK; i++)
		err = compile_file(c, &items[i], out, &files[i]);
	if (out->strategy == POLICY_STRATEGY_LOGIN && !in->files.count) {
		files->kind = out->login == POLICY_LOGIN_CLAUDE ? POLICY_RENDER_CLAUDE : POLICY_RENDER_CODEX;
		files->user = STR("");
		err = compile_text(c, str_of(renders[files->kind].path), &files->path);
	}
	for (uint32_t i = 1; i < in->files.count && err == ERR_OK; i++)
		for (uint32_t k = 0; k < i && err == ERR_OK; k++)
			if (str_eq(files[i].path, files[k].path))
				err = compile_fail(c, items[i].at, "the file %.*s is in 'files' twice",
						   STR_FMT(files[i].path));
	out->files = files;
	out->file_count = count;
	return err;
}

static enum err compile_value(struct compile *c, const struct document_placeholder *in,
			      struct policy_credential *out)
{
	enum err err = ERR_OK;

	if (in->value.at.line && in->prefix.at.line)
		return compile_fail(c, in->prefix.at,
				    "'prefix' is for a placeholder that is made up: "
				    "'value' says the whole of it");
	if (in->value.at.line && (in->value.text.n < PLACEHOLDER_MIN || in->value.text.n > PLACEHOLDER_MAX ||
				  !visible_ascii(in->value.text)))
		return compile_fail(c, in->value.at, "'value': expected %d to %d visible ASCII characters",
				    PLACEHOLDER_MIN, PLACEHOLDER_MAX);
	if (in->prefix.at.line && (in->prefix.text.n > 64 || !visible_ascii(in->prefix.text)))
		return compile_fail(c, in->prefix.at,
				    "'prefix': expected at most 64 visible ASCII characters");
	if (in->environment.at.line)
		err = compile_variable(c, &in->environment, &out->placeholder_environment);
	if (err == ERR_OK && in->value.at.line)
		err = compile_text(c, in->value.text, &out->placeholder);
	return err == ERR_OK ? compile_text(c, in->prefix.text, &out->placeholder_prefix) : err;
}

enum err compile_placeholder(struct compile *c, const struct document_credential *d,
			     struct policy_credential *out)
{
	const struct document_placeholder *in = &d->placeholder;
	bool held = in->environment.at.line || in->value.at.line || in->files.at.line ||
		    out->strategy == POLICY_STRATEGY_LOGIN; /* whose file there always is */
	enum err err;

	if (out->strategy == POLICY_STRATEGY_PLACEHOLDER && !held)
		return compile_fail(c, in->at.line ? in->at : d->at,
				    "strategy placeholder needs 'placeholder' with "
				    "'environment' (the guest's variable that holds it), 'files' or 'value'");
	if (in->at.line && !held)
		return compile_fail(c, in->at, "'placeholder' needs 'environment', 'files' or 'value'");
	err = compile_value(c, in, out);
	if (err == ERR_OK)
		err = compile_places(c, in, out);
	return err == ERR_OK ? compile_files(c, in, out) : err;
}

/* Which of @one's files stands where one of @other's does, and cannot? */
static bool same_file(const struct policy_credential *one, const struct policy_credential *other,
		      uint32_t *ret_file)
{
	for (uint32_t i = 0; i < one->file_count; i++)
		for (uint32_t k = 0; k < other->file_count; k++)
			if (str_eq(one->files[i].path, other->files[k].path) &&
			    (one->files[i].kind != other->files[k].kind ||
			     !renders[one->files[i].kind].shared)) {
				*ret_file = i;
				return true;
			}
	return false;
}

enum err compile_refuse_shared(struct compile *c, const struct document_credential *in, uint32_t i)
{
	const struct policy_credential *all = c->p->credentials, *one = &all[i];
	const struct document_file *files = in->placeholder.files.items;
	uint32_t file;

	for (uint32_t k = 0; k < i; k++) {
		if (one->placeholder_environment.n &&
		    str_eq(all[k].placeholder_environment, one->placeholder_environment))
			return compile_fail(c, in->placeholder.environment.at,
					    "credential '%.*s' has this variable "
					    "already",
					    STR_FMT(node_quote(all[k].name)));
		if (one->placeholder.n && str_eq(all[k].placeholder, one->placeholder))
			return compile_fail(c, in->placeholder.value.at,
					    "credential '%.*s' has this placeholder "
					    "already",
					    STR_FMT(node_quote(all[k].name)));
		if (same_file(one, &all[k], &file))
			return compile_fail(c, in->placeholder.files.count ? files[file].at : in->at,
					    "credential '%.*s' has the file %.*s already",
					    STR_FMT(node_quote(all[k].name)), STR_FMT(one->files[file].path));
	}
	return ERR_OK;
}
