/* cli_audit_test.c - paddock audit, as its users see it: what is printed, and the exit status */
#include "audit_world.h"

#include "cli/cli.h"

#include <sys/stat.h>

static char root[] = "/tmp/cli-audit-XXXXXX";
static char output[65536];

static void write_trail(struct world *w, const char *id, const char *name, bool killed)
{
	char path[128];
	struct spool *s;
	auto_record r = record_new(STR("start"), STR("courier"));

	(void)snprintf(path, sizeof path, "%s/paddock/trails/%s", root, id);
	assert_int_equal(mkdir(path, 0700), 0);
	w->options.directory = open(path, O_DIRECTORY | O_RDONLY | O_CLOEXEC);
	w->options.sandbox = str_of(id);
	assert_int_equal(spool_open(&w->options, &s), ERR_OK);
	record_text(r, "name", str_of(name), 64);
	assert_int_equal(spool_append(s, r, NULL), ERR_OK);
	assert_int_equal(world_put(s, "intent", "r1"), ERR_OK);
	assert_int_equal(world_put(s, "outcome", "r1"), ERR_OK);
	assert_int_equal(world_put(s, "intent", "r2"), ERR_OK);
	record_free(r);
	r = record_new(STR("denial"), STR("courier"));
	record_text(r, "url", STR("https://evil.example/\x1b[2J"), 100);
	record_text(r, "result", STR("POLICY_DENIED"), 100);
	assert_int_equal(spool_append(s, r, NULL), ERR_OK);
	w->signer_fails = killed;	/* then neither stop record nor last checkpoint, as after kill -9 */
	if (killed)
		assert_int_equal(spool_close(s, NULL), ERR_AUDIT);
	else
		assert_int_equal(world_stop(s), ERR_OK);
	w->signer_fails = false;
	close(w->options.directory);
}

static int setup(void **state)
{
	static struct world w;
	char path[128];
	auto_buf key = BUF_EMPTY;
	FILE *f;

	assert_non_null(mkdtemp(root));
	assert_int_equal(setenv("XDG_STATE_HOME", root, 1), 0);
	(void)snprintf(path, sizeof path, "%s/paddock", root);
	assert_int_equal(mkdir(path, 0700), 0);
	(void)snprintf(path, sizeof path, "%s/paddock/trails", root);
	assert_int_equal(mkdir(path, 0700), 0);
	world_make(&w, root);
	write_trail(&w, "sb-first", "hay", false);
	write_trail(&w, "sb-second", "oats", false);
	write_trail(&w, "sb-third", "hay", true);
	buf_init(&key, 400);
	assert_int_equal(note_put_verifier(&key, w.options.key_name, w.options.public_key), ERR_OK);
	(void)snprintf(path, sizeof path, "%s/paddock/checkpoint.pub", root);
	f = fopen(path, "we");
	assert_non_null(f);
	assert_true(fprintf(f, "%s\n", buf_z(&key)) > 0);
	assert_int_equal(fclose(f), 0);
	*state = &w;
	return 0;
}

static int teardown(void **state)
{
	char command[128];

	world_unmake(*state);
	(void)snprintf(command, sizeof command, "rm -r %s", root);
	return system(command);
}

/* Runs `paddock audit ARGUMENTS`; what it prints, to either, is in `output`. */
static int audit(const char *arguments)
{
	char words[256], *argv[16];
	int argc = 1, status, saved_out = dup(1), saved_err = dup(2);
	FILE *into = tmpfile();
	size_t n;

	(void)snprintf(words, sizeof words, "%s", arguments);
	argv[0] = words + strlen(words);
	for (char *word = words, *end; word; word = end) {
		end = strchr(word, ' ');
		if (end)
			*end++ = 0;
		argv[argc++] = word;
	}
	argv[argc] = NULL;
	assert_non_null(into);
	fflush(NULL);
	dup2(fileno(into), 1);
	dup2(fileno(into), 2);
	status = verb_audit(argc, argv);
	fflush(NULL);
	dup2(saved_out, 1);
	dup2(saved_err, 2);
	close(saved_out);
	close(saved_err);
	rewind(into);
	n = fread(output, 1, sizeof output - 1, into);
	output[n] = 0;
	fclose(into);
	return status;
}

static void expect(const char *arguments, int status, const char *text)
{
	int got = audit(arguments);

	if (got != status || !strstr(output, text))
		fail_msg("audit %s: %d, expected %d and \"%s\":\n%s", arguments, got, status, text, output);
}

static unsigned lines(void)
{
	unsigned n = 0;

	for (const char *p = output; (p = strchr(p, '\n')); p++)
		n++;
	return n;
}

static void the_table_has_a_row_for_each_request(void **state)
{
	(void)state;
	expect("show sb-first", 0, "https://api.example.test/items");
	assert_non_null(strstr(output, "evil.example/\\x1b[2J"));	/* no byte of it moves the cursor */
	assert_null(strchr(output, '\x1b'));
	assert_non_null(strstr(output, "no end"));			/* r2 */
	assert_null(strstr(output, "checkpoint"));
	assert_int_equal(lines(), 6);	/* heading, start, r1, denial, stop, r2 */
	expect("show sb-first --all", 0, "checkpoint");
}

static void trails_are_found(void **state)
{
	(void)state;
	expect("show --json", 0, "paddock/trail/sb-third");	/* the newest, by its first checkpoint */
	expect("export --name oats", 0, "sb-second");
	expect("export --name=hay", 0, "sb-third");
	expect("export sb-f", 0, "sb-first");
	assert_int_equal(lines(), 8);
	expect("export sb-", CLI_EXIT_FAILURE, "more than one id: sb-first, sb-second");
	expect("export sb-x", CLI_EXIT_FAILURE, "no trail has an id that begins with \"sb-x\"");
	expect("export ../x", CLI_EXIT_FAILURE, "is not a sandbox id");
	expect("export --name straw", CLI_EXIT_FAILURE, "no sandbox named \"straw\"");
}

static void follow_ends_when_nobody_writes(void **state)
{
	(void)state;
	expect("follow --json sb-first", 0, "\"kind\":\"stop\"");
	assert_int_equal(lines(), 8);
	expect("follow sb-third", 0, "ends without a stop record");
}

static void verify_judges(void **state)
{
	struct world *w = *state;
	char path[128], other[400];
	FILE *f;

	(void)w;
	expect("verify sb-first", 0, "sb-first: verified: 8 records, 2 requests, 2 checkpoints; missing: "
		"1 request has no outcome: r2 (record 5)\n");
	expect("verify sb-first --strict", 1, "verified");
	expect("verify sb-third --json", 0, "\"stopped\":false");
	expect("verify --all", 0, "no stop record: the courier was killed");
	assert_int_equal(lines(), 3);

	(void)snprintf(path, sizeof path, "%s/other.pub", root);
	f = fopen(path, "we");
	fputs("PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW\n", f);
	fclose(f);
	(void)snprintf(other, sizeof other, "verify sb-first --public-key %s", path);
	expect(other, 1, "BROKEN: record 2: the checkpoint is not signed by this key");
	(void)snprintf(other, sizeof other, "verify sb-first --public-key %s/none", root);
	expect(other, CLI_EXIT_OURS, "cannot be read (No such file or directory)");
	expect("verify --public-key /etc/hosts", CLI_EXIT_OURS, "holds no verifier key");
}

static void a_changed_trail_is_broken(void **state)
{
	(void)state;
	char path[128], line[AUDIT_RECORD_MAX];
	FILE *f;
	long at;

	(void)snprintf(path, sizeof path, "%s/paddock/trails/sb-second/000001.jsonl", root);
	f = fopen(path, "r+e");
	do
		at = ftell(f);
	while (fgets(line, sizeof line, f) && !strstr(line, "\"outcome\""));
	fseek(f, at + (strstr(line, "200") - line), SEEK_SET);
	fputs("404", f);
	fclose(f);
	expect("verify sb-second", 1, "sb-second: BROKEN: record 5: does not follow record 4 (prev)");
	expect("verify --all", 1, "sb-first: verified");
	expect("verify sb-second --json", 1, "\"verified\":false");
}

static void export_writes_a_file(void **state)
{
	(void)state;
	char arguments[200], path[128];
	struct stat st;

	(void)snprintf(path, sizeof path, "%s/exported", root);
	(void)snprintf(arguments, sizeof arguments, "export sb-first --output %s", path);
	expect(arguments, 0, "");
	assert_int_equal(stat(path, &st), 0);
	assert_true(st.st_size > 1000);
	assert_int_equal(st.st_mode & 0777, 0600);
	expect("export sb-first --output /nowhere/x", CLI_EXIT_FAILURE, "/nowhere/x: No such file");
}

static void what_is_not_understood_is_said(void **state)
{
	(void)state;
	expect("--help", 0, "examples:");
	expect("", CLI_EXIT_USAGE, "show, follow, verify or export");
	expect("shew", CLI_EXIT_USAGE, "not shew");
	expect("show --strict", CLI_EXIT_USAGE, "show has no option \"--strict\"");
	expect("show --name", CLI_EXIT_USAGE, "--name needs a value");
	expect("show --json=yes", CLI_EXIT_USAGE, "--json takes no value");
	expect("show a b", CLI_EXIT_USAGE, "more than one trail");
	expect("show a --name b", CLI_EXIT_USAGE, "exclude each other");
	expect("verify --all a", CLI_EXIT_USAGE, "exclude each other");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_table_has_a_row_for_each_request), cmocka_unit_test(trails_are_found),
		cmocka_unit_test(follow_ends_when_nobody_writes), cmocka_unit_test(verify_judges),
		cmocka_unit_test(a_changed_trail_is_broken), cmocka_unit_test(export_writes_a_file),
		cmocka_unit_test(what_is_not_understood_is_said),
	};

	return cmocka_run_group_tests_name("cli_audit", tests, setup, teardown);
}
