/* compile_credential.c - what a policy says of credentials, judged
 *
 * No secret is read here: a policy names where one comes from, and where it may go.
 */
#include "policy/compile.h"

#include "base/glob.h"
#include "wire/head.h"

#define COMMAND_TIMEOUT_MS    10000
#define COMMAND_ARGUMENTS_MAX 64
#define PLACEHOLDER_MIN	      16 /* a shorter one would be found where none is */
#define PLACEHOLDER_MAX	      256

static enum err check_argument(struct compile *c, const struct document_text *t)
{
	return t->text.n <= 4096 ? ERR_OK : compile_fail(c, t->at, "an argument of more than 4096 bytes");
}

/* Unlike other lists, a command may say the same word twice. */
static enum err source_command(struct compile *c, const struct document_source *in,
			       struct policy_credential *out)
{
	const struct document_texts *words = &in->command;
	struct str *argv = arena_array(c->a, words->count, sizeof *argv);
	enum err err = ERR_OK;

	if (!argv)
		return ERR_MEMORY;
	if (words->count == 0 || words->count > COMMAND_ARGUMENTS_MAX || words->items[0].text.n == 0)
		return compile_fail(c, words->at,
				    "'command': expected a program and its arguments, at most %d words",
				    COMMAND_ARGUMENTS_MAX);
	if (words->items[0].text.p[0] != '/' && str_find(words->items[0].text, '/') < words->items[0].text.n)
		return compile_fail(c, words->items[0].at,
				    "expected a program by absolute path or by plain name");
	for (uint32_t i = 0; i < words->count && err == ERR_OK; i++) {
		err = check_argument(c, &words->items[i]);
		if (err == ERR_OK)
			err = compile_text(c, words->items[i].text, &argv[i]);
	}
	if (err != ERR_OK)
		return err;
	if (in->timeout.at.line && (in->timeout.value < 100 || in->timeout.value > 300000))
		return compile_fail(c, in->timeout.at, "'timeout' is out of range: expected 100ms to 5m");
	out->source = POLICY_SOURCE_COMMAND;
	out->command = argv;
	out->command_count = words->count;
	out->command_timeout_ms = in->timeout.at.line ? in->timeout.value : COMMAND_TIMEOUT_MS;
	return ERR_OK;
}

static enum err variable(struct compile *c, const struct document_text *t, struct str *ret)
{
	if (!value_variable(t->text))
		return compile_fail(c, t->at,
				    "'%.*s' is not a name for an environment variable: expected "
				    "letters, digits and '_'",
				    STR_FMT(node_quote(t->text)));
	return compile_text(c, t->text, ret);
}

static enum err compile_source(struct compile *c, const struct document_credential *d,
			       struct policy_credential *out)
{
	const struct document_source *in = &d->source;
	int given = !!in->environment.at.line + !!in->file.at.line + !!in->command.at.line;

	if (!in->at.line)
		return compile_fail(c, d->at, "this credential needs 'source', such as {environment: NAME}");
	if (given != 1)
		return compile_fail(c, in->at,
				    "'source': expected exactly one of environment, file, command");
	if (in->timeout.at.line && !in->command.at.line)
		return compile_fail(c, in->timeout.at, "'timeout' is for a source that is a command");
	if (in->command.at.line)
		return source_command(c, in, out);
	if (in->file.at.line) {
		out->source = POLICY_SOURCE_FILE;
		return compile_path(c, &in->file, &out->file);
	}
	out->source = POLICY_SOURCE_ENVIRONMENT;
	return variable(c, &in->environment, &out->environment);
}

/* "{secret}" exactly once in what may be a header's value. */
static bool format_is_good(struct str format)
{
	static const struct str mark = STR_INIT("{secret}");
	unsigned count = 0;

	for (struct str rest = format; rest.n >= mark.n; rest = str_from(rest, 1))
		count += str_starts(rest, mark);
	return count == 1 && format.n <= 1024 && field_value_check(format);
}

static enum err compile_header(struct compile *c, const struct document_credential *d,
			       struct policy_credential *out)
{
	const struct document_header *in = &d->header;
	char name[64];
	struct str lower = { name, in->name.text.n };

	if (!in->name.at.line)
		return compile_fail(c, in->at.line ? in->at : d->at,
				    "strategy header needs 'header' with 'name', "
				    "such as header: {name: authorization, format: \"Bearer {secret}\"}");
	if (lower.n >= sizeof name)
		return compile_fail(c, in->name.at, "a header's name of more than 63 bytes");
	for (size_t i = 0; i < lower.n; i++)
		name[i] = ascii_lower(in->name.text.p[i]);
	if (!field_name_check(lower) || field_is_hop_by_hop(lower) || str_eq(lower, STR("host")) ||
	    str_eq(lower, STR("content-length")))
		return compile_fail(c, in->name.at,
				    "'%.*s' is not a header that a credential can be put into",
				    STR_FMT(node_quote(in->name.text)));
	if (in->format.at.line && !format_is_good(in->format.text))
		return compile_fail(c, in->format.at,
				    "'format': expected the text of a header with {secret} in it "
				    "once, such as \"Bearer {secret}\"");
	enum err err = compile_text(c, lower, &out->header_name);

	if (err == ERR_OK)
		err = compile_text(c, in->format.at.line ? in->format.text : STR("{secret}"),
				   &out->header_format);
	return err;
}

static bool visible_ascii(struct str s)
{
	for (size_t i = 0; i < s.n; i++)
		if (s.p[i] <= ' ' || s.p[i] > '~')
			return false;
	return true;
}

/* Where the placeholder strategy substitutes; both places unless the policy says. */
static enum err compile_in(struct compile *c, const struct document_placeholder *in,
			   struct policy_credential *out)
{
	static const char *const places[] = { "header", "basic" };

	if (out->strategy != POLICY_STRATEGY_PLACEHOLDER) {
		if (in->in.at.line)
			return compile_fail(c, in->in.at,
					    "'in' is for strategy placeholder; strategy header sets "
					    "the one header that it names");
		return ERR_OK;
	}
	out->parts = in->in.at.line ? 0 : POLICY_IN_HEADER | POLICY_IN_BASIC;
	if (in->in.at.line && in->in.count == 0)
		return compile_fail(c, in->in.at, "'in' is an empty list: expected header, basic");
	for (uint32_t i = 0; i < in->in.count; i++) {
		unsigned place;
		enum err err = compile_choice(c, &in->in.items[i], "in", places, 2, 0, &place);

		if (err != ERR_OK)
			return err;
		out->parts |= place ? POLICY_IN_BASIC : POLICY_IN_HEADER;
	}
	return ERR_OK;
}

static enum err compile_placeholder(struct compile *c, const struct document_credential *d,
				    struct policy_credential *out)
{
	const struct document_placeholder *in = &d->placeholder;
	enum err err = ERR_OK;

	if (out->strategy == POLICY_STRATEGY_PLACEHOLDER && !in->environment.at.line && !in->value.at.line)
		return compile_fail(c, in->at.line ? in->at : d->at,
				    "strategy placeholder needs 'placeholder' with "
				    "'environment' (the guest's variable that holds it) or 'value'");
	if (in->at.line && !in->environment.at.line && !in->value.at.line)
		return compile_fail(c, in->at, "'placeholder' needs 'environment' or 'value'");
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
		err = variable(c, &in->environment, &out->placeholder_environment);
	if (err == ERR_OK && in->value.at.line)
		err = compile_text(c, in->value.text, &out->placeholder);
	if (err == ERR_OK)
		err = compile_text(c, in->prefix.text, &out->placeholder_prefix);
	return err == ERR_OK ? compile_in(c, in, out) : err;
}

static enum err credential_host(struct compile *c, const struct document_text *t)
{
	if (str_eq(t->text, STR("*")))
		return compile_fail(c, t->at, "a credential may not go to every host: name its hosts");
	return compile_host(c, t);
}

static enum err compile_one(struct compile *c, const struct document_credential *in,
			    struct policy_credential *out)
{
	static const char *const strategies[] = {
		[POLICY_STRATEGY_HEADER] = "header",
		[POLICY_STRATEGY_PLACEHOLDER] = "placeholder",
	};
	unsigned strategy;
	enum err err = compile_name(c, &in->key, "the name of a credential", &out->name);

	if (err == ERR_OK)
		err = compile_source(c, in, out);
	if (err == ERR_OK && !in->hosts.at.line)
		return compile_fail(c, in->at,
				    "this credential needs 'hosts': the hosts that may receive it");
	if (err == ERR_OK)
		err = compile_texts(c, &in->hosts, "hosts", credential_host, &out->host_count, &out->hosts);
	if (err == ERR_OK)
		err = compile_choice(c, &in->strategy, "strategy", strategies, 2, POLICY_STRATEGY_HEADER,
				     &strategy);
	if (err != ERR_OK)
		return err;
	out->strategy = (enum policy_strategy)strategy;
	if (out->strategy == POLICY_STRATEGY_HEADER)
		err = compile_header(c, in, out);
	else if (in->header.at.line)
		return compile_fail(c, in->header.at, "'header' is for strategy header");
	if (err == ERR_OK)
		err = compile_placeholder(c, in, out);
	out->scrub = !in->scrub.at.line || in->scrub.value;
	return err;
}

/* Two credentials cannot share what tells them apart in the guest. */
static enum err refuse_shared(struct compile *c, const struct document_credential *in, uint32_t i)
{
	const struct policy_credential *all = c->p->credentials, *one = &all[i];

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
	}
	return ERR_OK;
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
			err = refuse_shared(c, &items[i], i);
	}
	c->p->credential_count = in->count;
	return err;
}
