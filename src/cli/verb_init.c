/* verb_init.c - `paddock init`: a policy to start from, and what comes next */
#include "base/auto.h"
#include "base/nearest.h"
#include "cli/cli.h"
#include "cli/policy_file.h"
#include "cli/templates.h"
#include "os/fd.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>

static const struct template { const char *name, *text, *command, *needs; }
templates[] = {
	{ "claude", template_claude, "claude", "ANTHROPIC_API_KEY" },
	{ "codex", template_codex, "codex", "OPENAI_API_KEY" },
	{ "generic", template_generic, "COMMAND", NULL },
};

#define COUNT (sizeof templates / sizeof *templates)

static bool write_file(const char *text, bool force)
{
	int how = O_WRONLY | O_CREAT | O_CLOEXEC | O_NOFOLLOW | (force ? O_TRUNC : O_EXCL);
	auto_fd fd = open(POLICY_FILE_DEFAULT, how, 0644);

	if (fd >= 0 && fd_write(fd, str_of(text)) == ERR_OK)
		return true;
	fprintf(stderr, "paddock init: ./%s: %s%s\n", POLICY_FILE_DEFAULT, strerror(errno),
		errno == EEXIST ? "; --force replaces it" : "");
	return false;
}

static void say_next(const struct template *t)
{
	printf("wrote ./%s\n"
	       "next:\n"
	       "  1. read it, and change it to your needs\n"
	       "  2. paddock policy trust\n",
	       POLICY_FILE_DEFAULT);
	if (t->needs)
		printf("  3. export %s=...        the key stays outside of the sandbox\n"
		       "  4. paddock run -- %s\n",
		       t->needs, t->command);
	else
		printf("  3. paddock run -- %s\n", t->command);
}

static const struct template *find(const char *name)
{
	for (size_t i = 0; i < COUNT; i++)
		if (strcmp(templates[i].name, name) == 0)
			return &templates[i];
	return NULL;
}

int verb_init(int argc, char **argv)
{
	const char *words[COUNT], *name = NULL, *near;
	const struct template *t;
	bool force = false;

	for (int i = 1; i < argc; i++) {
		if (strcmp(argv[i], "--force") == 0)
			force = true;
		else if (argv[i][0] == '-' || name)
			return cli_usage("init",
					 "expected one of claude, codex, generic, and perhaps --force");
		else
			name = argv[i];
	}
	if (!name)
		return cli_usage("init", "expected one of claude, codex, generic");
	t = find(name);
	for (size_t i = 0; i < COUNT; i++)
		words[i] = templates[i].name;
	near = t ? NULL : nearest(str_of(name), words, COUNT);
	if (!t)
		return cli_usage("init",
				 near ? "there is no template '%.40s': did you mean '%s'?"
				      : "there is no template '%.40s': expected claude, codex or generic%s",
				 name, near ? near : "");
	if (!write_file(t->text, force))
		return CLI_EXIT_FAILURE;
	say_next(t);
	return 0;
}
