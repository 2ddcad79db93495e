/* verb_completion.c - `paddock completion`: scripts made from the table of verbs
 *
 * Nothing is asked of `paddock` while the user types: the words are in the script. */
#include "cli/cli.h"

#include <stdio.h>

static void print_verb_names(void)
{
	size_t count;
	const struct verb *v = cli_verbs(&count);

	for (size_t i = 0; i < count; i++)
		printf("%s%s", i ? " " : "", v[i].name);
}

static void print_bash(void)
{
	size_t count;
	const struct verb *v = cli_verbs(&count);

	fputs("# bash completion of paddock\n"
	      "_paddock()\n{\n"
	      "\tlocal current=${COMP_WORDS[COMP_CWORD]} words=\n"
	      "\tif [ \"$COMP_CWORD\" -eq 1 ]; then\n"
	      "\t\tCOMPREPLY=($(compgen -W '",
	      stdout);
	print_verb_names();
	fputs("' -- \"$current\"))\n\t\treturn\n\tfi\n\tcase ${COMP_WORDS[1]} in\n", stdout);
	for (size_t i = 0; i < count; i++) {
		printf("\t%s) words='", v[i].name);
		if (v[i].run == verb_help)
			print_verb_names();
		else
			printf("%s%s--help", v[i].words, v[i].words[0] ? " " : "");
		fputs("' ;;\n", stdout);
	}
	fputs("\tesac\n"
	      "\tCOMPREPLY=($(compgen -W \"$words\" -- \"$current\") $(compgen -f -- \"$current\"))\n"
	      "}\n"
	      "complete -o filenames -F _paddock paddock\n",
	      stdout);
}

static void print_zsh(void)
{
	size_t count;
	const struct verb *v = cli_verbs(&count);

	fputs("#compdef paddock\n"
	      "_paddock() {\n"
	      "\tif (( CURRENT == 2 )); then\n"
	      "\t\tlocal -a verbs=(\n",
	      stdout);
	for (size_t i = 0; i < count; i++)
		printf("\t\t\t'%s:%s'\n", v[i].name, v[i].summary);
	fputs("\t\t)\n\t\t_describe verb verbs\n\t\treturn\n\tfi\n\tcase ${words[2]} in\n", stdout);
	for (size_t i = 0; i < count; i++) {
		printf("\t%s) compadd -- ", v[i].name);
		if (v[i].run == verb_help)
			print_verb_names();
		else
			printf("%s --help", v[i].words);
		fputs("; _files ;;\n", stdout);
	}
	fputs("\tesac\n}\n_paddock \"$@\"\n", stdout);
}

static void print_fish(void)
{
	size_t count;
	const struct verb *v = cli_verbs(&count);

	fputs("# fish completion of paddock\n", stdout);
	for (size_t i = 0; i < count; i++) {
		printf("complete -c paddock -n __fish_use_subcommand -f -a %s -d '%s'\n", v[i].name,
		       v[i].summary);
		printf("complete -c paddock -n '__fish_seen_subcommand_from %s' -a '", v[i].name);
		if (v[i].run == verb_help)
			print_verb_names();
		else
			printf("%s --help", v[i].words);
		fputs("'\n", stdout);
	}
}

int verb_completion(int argc, char **argv)
{
	static const struct {
		const char *shell;
		void (*print)(void);
	} shells[] = {
		{ "bash", print_bash },
		{ "zsh", print_zsh },
		{ "fish", print_fish },
	};

	for (size_t i = 0; argc == 2 && i < sizeof shells / sizeof *shells; i++)
		if (strcmp(argv[1], shells[i].shell) == 0) {
			shells[i].print();
			return 0;
		}
	return cli_usage("completion", "expected one of bash, zsh, fish");
}
