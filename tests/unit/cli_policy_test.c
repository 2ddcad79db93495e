/* cli_policy_test.c - the command line's policy verbs, trust, templates, completion */
#include "cli/cli.h"
#include "cli/request.h"
#include "cli/templates.h"
#include "cli/trust.h"
#include "policy/policy.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
#include <sys/stat.h>

#include <cmocka.h>

#define COUNT(a)      (sizeof(a) / sizeof(*(a)))
#define ARGUMENTS_MAX 16

/* Each test in an empty directory with a home of its own. */
static int into_directory(void **state)
{
	static char path[64];

	snprintf(path, sizeof path, "/tmp/paddock-cli-test-XXXXXX");
	if (!mkdtemp(path) || chdir(path) != 0 || setenv("HOME", path, 1) != 0)
		return -1;
	unsetenv("XDG_CONFIG_HOME");
	*state = path;
	return 0;
}

static int out_of_directory(void **state)
{
	char command[128];

	snprintf(command, sizeof command, "rm -rf '%s'", (const char *)*state);
	return chdir("/") == 0 && system(command) == 0 ? 0 : -1;
}

/* Runs `paddock WORDS...`; what it prints goes to @out (may be NULL). */
static int run(struct buf *out, const char *words)
{
	static char copy[1024];
	char *argv[ARGUMENTS_MAX + 2] = { NULL };
	int argc = 0, status, saved[2] = { dup(1), dup(2) };
	FILE *f;

	snprintf(copy, sizeof copy, "paddock %s", words);
	for (char *rest = copy, *word; (word = strsep(&rest, " ")) && argc < ARGUMENTS_MAX;)
		argv[argc++] = word;
	fflush(stdout);
	assert_non_null(f = fopen("out", "w+e"));
	dup2(fileno(f), 1);
	dup2(fileno(f), 2);
	status = cli_main(argc, argv);
	fflush(stdout);
	dup2(saved[0], 1);
	dup2(saved[1], 2);
	close(saved[0]);
	close(saved[1]);
	if (out) {
		buf_clear(out);
		rewind(f);
		assert_int_equal(buf_reserve(out, 16384), ERR_OK);
		out->len += fread(buf_tail(out), 1, 16384, f);
	}
	fclose(f);
	return status;
}

static void write_file(const char *name, const char *text)
{
	FILE *f = fopen(name, "we");

	assert_non_null(f);
	fputs(text, f);
	assert_int_equal(fclose(f), 0);
}

static void says(struct buf *out, const char *what)
{
	if (!buf_z(out) || !strstr(buf_z(out), what))
		fail_msg("'%s' is not in: %s", what, buf_z(out));
}

static void verbs_are_found_or_suggested(void **state)
{
	(void)state;
	auto_buf out = BUF_EMPTY;
	size_t count;
	const struct verb *v = cli_verbs(&count);

	buf_init(&out, 65536);
	assert_int_equal(run(&out, "help"), 0);
	for (size_t i = 0; i < count; i++)
		says(&out, v[i].name);
	for (size_t i = 0; i < count; i++) {
		char words[64];

		snprintf(words, sizeof words, "help %s", v[i].name);
		assert_int_equal(run(&out, words), 0);
		says(&out, "usage: paddock ");
		says(&out, v[i].name);
		snprintf(words, sizeof words, "%s --help", v[i].name);
		assert_int_equal(run(&out, words), 0);
		says(&out, "usage: paddock ");
	}
	assert_int_equal(run(&out, "polcy check"), CLI_EXIT_USAGE);
	says(&out, "did you mean 'policy'?");
	assert_int_equal(run(&out, "help zzz"), CLI_EXIT_USAGE);
	assert_int_equal(run(&out, "policy chekc"), CLI_EXIT_USAGE);
	says(&out, "did you mean 'check'?");
	assert_int_equal(run(&out, "version --json"), 0);
	says(&out, "\"policy_versions\": [1]");
	assert_int_equal(run(&out, "version x"), CLI_EXIT_USAGE);
}

static void templates_load(void **state)
{
	(void)state;
	static const char *const names[] = { "claude", "codex", "generic" };
	static const char *const texts[] = { template_claude, template_codex, template_generic };
	auto_buf out = BUF_EMPTY;

	buf_init(&out, 65536);
	for (size_t i = 0; i < COUNT(names); i++) {
		struct policy_error e;
		struct policy *p;
		char words[64];

		if (policy_load(str_of(texts[i]), names[i], "/home/ann", &p, &e) != ERR_OK)
			fail_msg("%s:%u:%u: %s", names[i], e.line, e.column, e.text);
		assert_true(str_eq(policy_name(p), str_of(names[i])));
		assert_true(policy_rule_count(p) > 0);
		policy_free(p);
		snprintf(words, sizeof words, "init %s%s", names[i], i ? " --force" : "");
		assert_int_equal(run(&out, words), 0);
		says(&out, "paddock policy trust");
		assert_int_equal(run(&out, "policy check"), 0);
		assert_int_equal(run(&out, "init claude"), CLI_EXIT_FAILURE);
		says(&out, "--force");
	}
	assert_int_equal(run(&out, "init gnereic"), CLI_EXIT_USAGE);
	says(&out, "did you mean 'generic'?");
	assert_int_equal(run(&out, "init"), CLI_EXIT_USAGE);
}

static void a_link_is_not_written_through(void **state)
{
	(void)state;
	struct stat st;

	assert_int_equal(symlink("elsewhere", "paddock.yaml"), 0);
	assert_int_equal(run(NULL, "init claude --force"), CLI_EXIT_FAILURE);
	assert_int_not_equal(stat("elsewhere", &st), 0);
}

static void trust_is_of_the_very_text(void **state)
{
	(void)state;
	auto_buf out = BUF_EMPTY;

	buf_init(&out, 65536);
	assert_false(trust_is_trusted(STR("version: 1\n")));
	write_file("paddock.yaml", "version: 1\n");
	assert_int_equal(run(&out, "policy trusted"), 0);
	says(&out, "no policy is trusted");
	assert_int_equal(run(&out, "policy untrust"), CLI_EXIT_FAILURE);
	assert_int_equal(run(&out, "policy trust"), 0);
	assert_int_equal(run(&out, "policy trust"), 0);
	assert_true(trust_is_trusted(STR("version: 1\n")));
	assert_false(trust_is_trusted(STR("version: 1")));
	assert_int_equal(run(&out, "policy trusted"), 0);
	says(&out, "09bfcc6a14b83e2192b8673677725c84883ee9cd0c70e45c9ec09daa8f2b2847  /tmp/");
	write_file("other.yaml", "version: 1\nname: other\n");
	assert_int_equal(run(&out, "policy trust other.yaml"), 0);
	write_file("paddock.yaml", "version: 1\n# changed\n");
	assert_int_equal(run(&out, "policy check"), 0);
	says(&out, "trusted: no");
	assert_int_equal(
		run(&out, "policy untrust 09bfcc6a14b83e2192b8673677725c84883ee9cd0c70e45c9ec09daa8f2b2847"),
		0);
	assert_false(trust_is_trusted(STR("version: 1\n")));
	assert_true(trust_is_trusted(STR("version: 1\nname: other\n")));
	assert_int_equal(run(&out, "policy trusted --json"), 0);
	says(&out, "other.yaml\"}");
}

static void what_cannot_be_read_is_not_trusted(void **state)
{
	(void)state;
	auto_buf out = BUF_EMPTY;

	buf_init(&out, 65536);
	write_file("paddock.yaml", "version: 1\nnetwrk: []\n");
	assert_int_equal(run(&out, "policy trust"), CLI_EXIT_FAILURE);
	says(&out, "paddock.yaml:2:1: unknown key 'netwrk' in a policy: did you mean 'network'?");
	write_file("paddock.yaml", "version: 1\n");
	assert_int_equal(run(&out, "policy trust"), 0);
	write_file(".config/paddock/trusted-policies",
		   "09bfcc6a14b83e2192b8673677725c84883ee9cd0c70e45c9ec09daa8f2b2847\n");
	assert_false(trust_is_trusted(STR("version: 1\n"))); /* a line that is not ours */
	write_file(".config/paddock/trusted-policies",
		   "junk\n09bfcc6a14b83e2192b8673677725c84883ee9cd0c70e45c9ec09daa8f2b2847  /x\n");
	assert_true(trust_is_trusted(STR("version: 1\n")));
	setenv("XDG_CONFIG_HOME", "relative", 1);
	assert_false(trust_is_trusted(STR("version: 1\n")));
	assert_int_equal(run(&out, "policy trust"), CLI_EXIT_FAILURE);
	unsetenv("XDG_CONFIG_HOME");
}

static void trusting_says_what_reaches_the_host(void **state)
{
	(void)state;
	auto_buf out = BUF_EMPTY;

	buf_init(&out, 65536);
	write_file("paddock.yaml",
		   "version: 1\nnetwork: [{hosts: [a.b], methods: [GET], credential: k}]\n"
		   "credentials: {k: {source: {command: [rm, -rf, x]}, hosts: [a.b], header: {name: k}}}\n"
		   "filesystem: {visible: [{path: /opt/tools, mode: write}]}\n");
	assert_int_equal(run(&out, "policy trust"), 0);
	says(&out, "credential k, from the command: rm -rf x, for a.b");
	says(&out, "can write /opt/tools");
}

static void explain_answers_by_its_exit_status(void **state)
{
	(void)state;
	static const struct {
		const char *words;
		int status;
		const char *says;
	} cases[] = {
		{ "p.yaml GET https://a.b", 0, "allow  GET https://a.b/" },
		{ "p.yaml GET https://A.B./#x", 0, "allow  GET https://a.b/" },
		{ "p.yaml GET https://a.b/ --header X-A:1", 0, "by rule 'get'" },
		{ "p.yaml --json POST https://a.b:444/x", 1, "\"verdict\":\"deny\"" },
		{ "p.yaml GET https://c.d/", 1, "no rule of p.yaml names this host" },
		{ "p.yaml GET ftp://a.b/", 2, "begins with https://" },
		{ "p.yaml GET https://u@a.b/", 2, "user name" },
		{ "p.yaml GET https://0x7f.1/", 2, "no valid host" },
		{ "p.yaml GET https://a.b:0/", 2, "port" }, { "p.yaml GET https://a.b:0443/", 2, "port" },
		{ "p.yaml GET https://a.b:/", 2, "port" },
		{ "p.yaml GET https://a.b/../c", 2, "this path would be refused" },
		{ "p.yaml CONNECT https://a.b/", 2, "expected CONNECT HOST:PORT" },
		{ "p.yaml GET https://a.b/ --header connection:x", 2, "this header would be refused" },
		{ "p.yaml GET https://a.b/ --header", 2, "--header needs" },
		{ "p.yaml GET", 2, "expected FILE METHOD URL" },
		{ "none.yaml GET https://a.b/", 125, "none.yaml: No such file" },
		{ "p.yaml GET https://a.b/ --age 3", 2, "neither 'git' nor 'registry'" },
		{ "p.yaml CONNECT a.b:443 --age 3", 2, "nothing is told of what a connection carries" },
		{ "p.yaml GET https://a.b/ --age x", 2, "expected --age DAYS" },
		{ "p.yaml GET https://a.b/ --ref", 2, "--ref needs NAME[:create|update|delete|force]" },
		{ "p.yaml GET https://a.b/ --ref x:y", 2, "expected --ref NAME" },
		{ "p.yaml GET https://a.b/ --ref x --ref y", 2, "--ref is given twice" },
		{ "p.yaml GET https://a.b/ --package-version", 2, "--package-version needs VERSION" },
	};
	auto_buf out = BUF_EMPTY;

	buf_init(&out, 65536);
	write_file("p.yaml", "version: 1\nnetwork: [{name: get, hosts: [a.b], methods: [GET]}]\n");
	for (size_t i = 0; i < COUNT(cases); i++) {
		char words[256];

		snprintf(words, sizeof words, "policy explain %s", cases[i].words);
		if (run(&out, words) != cases[i].status)
			fail_msg("%s: %s", words, buf_z(&out));
		says(&out, cases[i].says);
	}
}

/* What a body or a registry's metadata would tell: the request
 * as far as it is known is allowed, denied, or neither. */
static void explain_is_told_what_the_request_does_not_say(void **state)
{
	(void)state;
	static const struct {
		const char *words;
		int status;
		const char *says;
	} cases[] = {
		{ "POST https://g.h/a/b.git/git-receive-pack", 3, "undecided  POST" },
		{ "POST https://g.h/a/b.git/git-receive-pack --json", 3, "{\"verdict\":\"undecided\"" },
		{ "POST https://g.h/a/b.git/git-receive-pack --ref main", 1, "refs/heads/main is not among" },
		{ "POST https://g.h/a/b.git/git-receive-pack --ref refs/tags/v1:create", 1,
		  "refs/tags/v1 is not among" },
		{ "--ref agent/x POST https://g.h/a/b.git/git-receive-pack", 3,
		  "'delete', 'force': what the push does" },
		{ "--ref agent/x:create POST https://g.h/a/b.git/git-receive-pack", 0, "allow  POST" },
		{ "--ref agent/x:update POST https://g.h/a/b.git/git-receive-pack", 0, "allow  POST" },
		{ "--ref agent/x:force POST https://g.h/a/b.git/git-receive-pack", 1, "would lose commits" },
		{ "--ref agent/x:delete POST https://g.h/a/b.git/git-receive-pack", 1, "may not be deleted" },
		{ "GET https://r.h/hay", 3, "may still be refused by: 'min_age'" },
		{ "GET https://r.h/hay --header accept:x --package-version 1.0.0 --age 8", 0, "allow  GET" },
		{ "GET https://r.h/hay --age 6", 1, "hay was published 6 days ago" },
		{ "GET https://r.h/hay/-/hay-1.0.0.tgz --json --age 6", 1,
		  "\"refusal\":\"hay 1.0.0 was published 6 days ago" },
		{ "GET https://r.h/-/ping --age 6", 2, "nothing else" },
	};
	auto_buf out = BUF_EMPTY;

	buf_init(&out, 65536);
	write_file("p.yaml",
		   "version: 1\nnetwork:\n"
		   "  - {hosts: [g.h], git: {repositories: [a/b], access: push, refs: [\"agent/*\"]}}\n"
		   "  - {hosts: [r.h], registry: {type: npm, min_age: 7d}}\n");
	for (size_t i = 0; i < COUNT(cases); i++) {
		char words[256];

		snprintf(words, sizeof words, "policy explain p.yaml %s", cases[i].words);
		if (run(&out, words) != cases[i].status)
			fail_msg("%s: %s", words, buf_z(&out));
		says(&out, cases[i].says);
	}
}

static void completion_knows_every_verb(void **state)
{
	(void)state;
	static const char *const shells[] = { "completion bash", "completion zsh", "completion fish" };
	auto_buf out = BUF_EMPTY;
	size_t count;
	const struct verb *v = cli_verbs(&count);

	buf_init(&out, 65536);
	for (size_t i = 0; i < COUNT(shells); i++) {
		assert_int_equal(run(&out, shells[i]), 0);
		for (size_t k = 0; k < count; k++)
			says(&out, v[k].name);
		says(&out, "--upstream-ca");
		says(&out, "--package-version");
	}
	assert_int_equal(run(&out, "completion tcsh"), CLI_EXIT_USAGE);
	assert_int_equal(run(&out, "completion bash"), 0);
	write_file("script", buf_z(&out));
	assert_int_equal(system("bash -n script"), 0);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, into_directory, out_of_directory)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(verbs_are_found_or_suggested),	  TEST(templates_load),
		TEST(a_link_is_not_written_through),	  TEST(trust_is_of_the_very_text),
		TEST(what_cannot_be_read_is_not_trusted), TEST(trusting_says_what_reaches_the_host),
		TEST(explain_answers_by_its_exit_status), TEST(explain_is_told_what_the_request_does_not_say),
		TEST(completion_knows_every_verb),
	};

	return cmocka_run_group_tests_name("cli_policy", tests, NULL, NULL);
}
