/* cli.h - the verbs of `paddock`, one line each in cli.c
 *
 * A verb is a function of its arguments: argv[0] is the verb itself. `--help` as the first
 * argument is answered by cli.c from the table.
 *
 *   exit status   run: the command's own; 125 Paddock's own failure, 126, 127 as shells have it
 *                 others: 0 done, 1 failed, 2 not understood; 125 where a verb answers
 *                 a question and could not tell (policy explain, audit verify);
 *                 3 policy explain: it depends on what was not told
 */
#pragma once

#include "base/buf.h"

#define CLI_EXIT_FAILURE 1
#define CLI_EXIT_USAGE 2
#define CLI_EXIT_UNDECIDED 3
#define CLI_EXIT_OURS 125

struct verb {
	const char *name, *summary;
	const char *help;	/* whole text; NULL: the function answers --help itself */
	const char *words;	/* sub-verbs and options, for completion; separated by spaces */
	int (*run)(int argc, char **argv);
};

/** cli_verbs() - the table; *ret_count its length. cli_verb() - one of it, or NULL */
const struct verb *cli_verbs(size_t *ret_count);
const struct verb *cli_verb(const char *name);
/** cli_main() - what main() does */
int cli_main(int argc, char **argv);
/** cli_help() - prints the help of one verb */
int cli_help(const char *verb);
/** cli_usage() - one line about arguments that were not understood, and where help is, to
 *  standard error; returns CLI_EXIT_USAGE */
int cli_usage(const char *verb, const char *format, ...) __attribute__((format(printf, 2, 3)));

int verb_run(int argc, char **argv);
int verb_gate(int argc, char **argv);
int verb_ps(int argc, char **argv);
int verb_stop(int argc, char **argv);
int verb_doctor(int argc, char **argv);
int verb_audit(int argc, char **argv);
int verb_policy(int argc, char **argv);
int verb_policy_explain(int argc, char **argv);
int verb_credential(int argc, char **argv);
int verb_init(int argc, char **argv);
int verb_version(int argc, char **argv);
int verb_completion(int argc, char **argv);
int verb_help(int argc, char **argv);
