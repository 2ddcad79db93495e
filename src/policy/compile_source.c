/* compile_source.c - where a credential's secret comes from, judged
 *
 * No secret is read here: a policy names where one comes from, and where it may go.
 */
#include "policy/compile.h"

#define COMMAND_TIMEOUT_MS    10000
#define COMMAND_ARGUMENTS_MAX 64

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

enum err compile_variable(struct compile *c, const struct document_text *t, struct str *ret)
{
	if (!value_variable(t->text))
		return compile_fail(c, t->at,
				    "'%.*s' is not a name for an environment variable: expected "
				    "letters, digits and '_'",
				    STR_FMT(node_quote(t->text)));
	return compile_text(c, t->text, ret);
}

enum err compile_source(struct compile *c, const struct document_credential *d, struct policy_credential *out)
{
	const struct document_source *in = &d->source;
	int given =
		!!in->environment.at.line + !!in->file.at.line + !!in->command.at.line + !!in->sealed.at.line;

	if (!in->at.line)
		return compile_fail(c, d->at, "this credential needs 'source', such as {environment: NAME}");
	if (given != 1)
		return compile_fail(c, in->at,
				    "'source': expected exactly one of environment, file, command, sealed");
	if (in->timeout.at.line && !in->command.at.line)
		return compile_fail(c, in->timeout.at, "'timeout' is for a source that is a command");
	if (in->command.at.line)
		return source_command(c, in, out);
	if (in->file.at.line) {
		out->source = POLICY_SOURCE_FILE;
		return compile_path(c, &in->file, &out->file);
	}
	if (in->sealed.at.line) {
		out->source = POLICY_SOURCE_SEALED;
		return compile_name(c, &in->sealed, "the name of a sealed secret", &out->sealed);
	}
	out->source = POLICY_SOURCE_ENVIRONMENT;
	return compile_variable(c, &in->environment, &out->environment);
}
