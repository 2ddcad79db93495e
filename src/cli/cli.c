/* cli.c - the table of verbs, and how one is chosen
 *
 * To add a verb: its function in verb_<name>.c, its text in help.c, its line here, its section
 * in docs/paddock.1. Completion and `paddock help` follow from the table.
 */
#include "cli/cli.h"

#include "base/log.h"
#include "base/nearest.h"
#include "cli/help.h"

#include <stdarg.h>
#include <stdio.h>

/* clang-format off: a table */
static const struct verb verbs[] = {
	{ "run", "run a command in a sandbox", help_run,
	  "--policy --workspace --image --machine --memory --cpus --env --name --timeout --quiet --resolve "
	  "--upstream-ca --",
	  verb_run },
	{ "gate", "an explicit proxy, for agents outside of a sandbox", help_gate,
	  "--listen --policy --clients --env-file --name --resolve --upstream-ca --quiet --new-token",
	  verb_gate },
	{ "ps", "list the runs that are alive", help_ps, "--json", verb_ps },
	{ "stop", "end a run", help_stop, "", verb_stop },
	{ "audit", "what happened: show, follow, verify, export", NULL,
	  "show follow verify export --json --all --strict --name --public-key --output", verb_audit },
	{ "policy", "check, explain, trust policies", help_policy,
	  "check explain trust untrust trusted --json --header --ref --age --package-version", verb_policy },
	{ "credential", "seal secrets for policies to use", help_credential,
	  "seal list remove rotate-key --file --keyring --json", verb_credential },
	{ "init", "write a policy to start from", help_init, "claude codex generic --force", verb_init },
	{ "doctor", "what this host lacks, and how to mend it", help_doctor, "--json", verb_doctor },
	{ "completion", "completion for a shell", help_completion, "bash zsh fish", verb_completion },
	{ "version", "which Paddock this is", help_version, "--json", verb_version },
	{ "help", "help for a verb", help_help, "", verb_help },
};
/* clang-format on */

#define COUNT (sizeof verbs / sizeof *verbs)

const struct verb *cli_verbs(size_t *ret_count)
{
	*ret_count = COUNT;
	return verbs;
}

const struct verb *cli_verb(const char *name)
{
	for (size_t i = 0; i < COUNT; i++)
		if (strcmp(verbs[i].name, name) == 0)
			return &verbs[i];
	return NULL;
}

int cli_usage(const char *verb, const char *format, ...)
{
	va_list ap;

	fprintf(stderr, "paddock %s: ", verb);
	va_start(ap, format);
	vfprintf(stderr, format, ap);
	va_end(ap);
	fprintf(stderr, "; see `paddock help %s`\n", verb);
	return CLI_EXIT_USAGE;
}

static void print_verbs(FILE *to)
{
	fputs("usage: paddock VERB [ARGUMENT...]\n"
	      "\n"
	      "Runs AI agents, unchanged, in sandboxes whose every request is supervised.\n"
	      "\n",
	      to);
	for (size_t i = 0; i < COUNT; i++)
		fprintf(to, "  %-12s%s\n", verbs[i].name, verbs[i].summary);
	fputs("\n"
	      "first use:\n"
	      "  paddock doctor\n"
	      "  paddock init claude && paddock policy trust\n"
	      "  paddock run -- claude\n"
	      "\n"
	      "`paddock help VERB` says more; paddock(1) says all.\n",
	      to);
}

static int unknown_verb(const char *name)
{
	const char *words[COUNT], *near;
	char shown[80];

	for (size_t i = 0; i < COUNT; i++)
		words[i] = verbs[i].name;
	near = nearest(str_of(name), words, COUNT);
	log_escape(str_of(name), shown, sizeof shown);
	if (near)
		fprintf(stderr, "paddock: there is no verb '%s': did you mean '%s'?\n", shown, near);
	else
		fprintf(stderr, "paddock: there is no verb '%s': `paddock help` lists them\n", shown);
	return CLI_EXIT_USAGE;
}

int cli_help(const char *name)
{
	const struct verb *v = cli_verb(name);
	char own[16], ask[] = "--help";
	char *argv[] = { own, ask, NULL };

	if (!v)
		return unknown_verb(name);
	if (v->help) {
		fputs(v->help, stdout);
		return 0;
	}
	snprintf(own, sizeof own, "%s", v->name);
	return v->run(2, argv);
}

int verb_help(int argc, char **argv)
{
	if (argc > 2)
		return cli_usage("help", "expected at most one verb");
	if (argc == 2)
		return cli_help(argv[1]);
	print_verbs(stdout);
	return 0;
}

static bool is_help(const char *word) { return strcmp(word, "--help") == 0 || strcmp(word, "-h") == 0; }

/* What was printed must have arrived: `paddock policy trusted > /dev/full` has failed. */
static int flushed(int status)
{
	if (fflush(stdout) == 0 && !ferror(stdout))
		return status;
	fputs("paddock: standard output cannot be written\n", stderr);
	return status ? status : CLI_EXIT_FAILURE;
}

int cli_main(int argc, char **argv)
{
	const struct verb *v;

	log_init("paddock");
	if (argc < 2) {
		print_verbs(stderr);
		return CLI_EXIT_USAGE;
	}
	if (is_help(argv[1]))
		return flushed(verb_help(1, argv));
	v = cli_verb(strcmp(argv[1], "--version") == 0 ? "version" : argv[1]);
	if (!v)
		return unknown_verb(argv[1]);
	if (argc > 2 && is_help(argv[2]))
		return flushed(cli_help(v->name));
	return flushed(v->run(argc - 1, argv + 1));
}
