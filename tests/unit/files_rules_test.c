/* files_rules_test.c - hidden, read-only and protected paths, and the folding of names */
#include "files/config.h"
#include "files/marks.h"
#include "files/rules.h"
#include "files/slots.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <unistd.h>

#include <cmocka.h>

/* The rule of @path; a component that begins with '+' was made from inside. */
static enum rule rule_of(const struct rules *r, const char *path)
{
	static char folded[64][RULES_FOLD_BYTES];
	struct rules_component c[64];
	struct str rest = str_of(path);
	size_t n = 0;

	while (rest.n) {
		struct str name = str_head(rest, str_find(rest, '/'));
		bool made = str_starts(name, STR("+"));

		rest = str_from(rest, name.n + 1);
		if (made)
			name = str_from(name, 1);
		c[n] = (struct rules_component){ str_make(folded[n], rules_fold(name, folded[n])), made };
		n++;
	}
	return rules_match(r, c, n);
}

static struct rules *rules_with(const char *hidden, const char *read_only, bool git)
{
	static const struct str names[] = { STR_INIT("paddock.yaml") };
	struct str h = str_of(hidden), o = str_of(read_only);
	struct rules_options options = { .hidden = &h, .hidden_count = hidden ? 1 : 0, .read_only = &o,
					 .read_only_count = read_only ? 1 : 0, .names = names,
					 .name_count = 1,
					 .protect_git = git };
	struct rules *r = NULL;

	assert_int_equal(rules_new(&options, &r), ERR_OK);
	return r;
}

static void patterns(void **state)
{
	(void)state;
	struct rules *r = rules_with("**/.env*", "build/**/gen", false);

	assert_int_equal(rule_of(r, ""), RULE_NONE);
	assert_int_equal(rule_of(r, "a"), RULE_NONE);
	assert_int_equal(rule_of(r, ".env"), RULE_NONE);	/* "**" and "/": not at the root */
	assert_int_equal(rule_of(r, "a/b/.env.local"), RULE_HIDDEN);
	assert_int_equal(rule_of(r, "a/.envdir/x/y"), RULE_HIDDEN);	/* what matches covers its subtree */
	assert_int_equal(rule_of(r, "a/.ENV"), RULE_HIDDEN);
	assert_int_equal(rule_of(r, "a/x.env"), RULE_NONE);
	assert_int_equal(rule_of(r, "build/a/b/gen"), RULE_READ_ONLY);
	assert_int_equal(rule_of(r, "build/a/gen/z"), RULE_READ_ONLY);
	assert_int_equal(rule_of(r, "x/build/a/gen"), RULE_NONE);	/* a path begins at the root */
	assert_int_equal(rule_of(r, "paddock.yaml"), RULE_PROTECTED);
	assert_int_equal(rule_of(r, "a/Paddock.YAML"), RULE_PROTECTED);
	assert_int_equal(rule_of(r, "paddock.yaml.txt"), RULE_NONE);
	assert_int_equal(rule_of(r, ".git/hooks"), RULE_NONE);
	rules_free(r);
	r = rules_with("secret*", "/top/", false);
	assert_int_equal(rule_of(r, "secret"), RULE_HIDDEN);
	assert_int_equal(rule_of(r, "secrets/b/c"), RULE_HIDDEN);
	assert_int_equal(rule_of(r, "a/b/secret"), RULE_NONE);
	assert_int_equal(rule_of(r, "top/x"), RULE_READ_ONLY);
	assert_int_equal(rule_of(r, "a/top"), RULE_NONE);
	rules_free(r);
	r = rules_with("**/a**b", "**", false);
	assert_int_equal(rule_of(r, "x"), RULE_READ_ONLY);
	assert_int_equal(rule_of(r, "x/a1/2/3b/y"), RULE_HIDDEN);
	rules_free(r);
}

static void git(void **state)
{
	(void)state;
	struct rules *r = rules_with(NULL, NULL, true);

	assert_int_equal(rule_of(r, "p/.git"), RULE_ANCHOR);
	assert_int_equal(rule_of(r, "p/.git/index"), RULE_NONE);
	assert_int_equal(rule_of(r, "p/.git/refs/heads/config"), RULE_NONE);
	assert_int_equal(rule_of(r, "p/.git/config"), RULE_PROTECTED);
	assert_int_equal(rule_of(r, "p/.GIT/CONFIG"), RULE_PROTECTED);
	assert_int_equal(rule_of(r, "p/.git/config.lock"), RULE_NONE);
	assert_int_equal(rule_of(r, "p/.git/hooks/pre-commit"), RULE_PROTECTED);
	assert_int_equal(rule_of(r, "p/.git/commondir"), RULE_PROTECTED);
	assert_int_equal(rule_of(r, "p/.git/modules/a/b/hooks/x"), RULE_PROTECTED);
	assert_int_equal(rule_of(r, "p/.git/modules/a/config"), RULE_PROTECTED);
	assert_int_equal(rule_of(r, "p/.git/modules/a/refs/heads/config"), RULE_NONE);
	assert_int_equal(rule_of(r, "p/.git/modules/+a/config"), RULE_NONE);
	assert_int_equal(rule_of(r, "p/.git/worktrees/w/commondir"), RULE_PROTECTED);
	assert_int_equal(rule_of(r, "p/.git/worktrees/+w/commondir"), RULE_NONE);
	assert_int_equal(rule_of(r, "p/+.git"), RULE_NONE);
	assert_int_equal(rule_of(r, "p/+.git/hooks/x"), RULE_NONE);
	assert_int_equal(rule_of(r, "p/+.git/sub/.git/hooks"), RULE_PROTECTED);	/* one that was there */
	rules_free(r);
}

static void folding(void **state)
{
	(void)state;
	static const struct { const char *from, *to; } cases[] = {
		{ "ABC", "abc" },
		{ "paddoc\xe2\x84\xaa.yaml", "paddock.yaml" },		/* KELVIN SIGN */
		{ "hook\xc5\xbf", "hooks" },				/* LONG S */
		{ "con\xef\xac\x81g", "config" },			/* FI LIGATURE */
		{ ".g\xe2\x80\x8bit", ".git" },				/* ZERO WIDTH SPACE */
		{ "\xef\xbb\xbf.git", ".git" },				/* BYTE ORDER MARK */
		{ "caf\xc3\xa9", "caf\xc3\xa9" },
		{ "\xff\xfe", "\xff\xfe" },				/* not UTF-8: as it is */
		{ "\xe2\x84", "\xe2\x84" },
	};
	char out[RULES_FOLD_BYTES];

	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
		assert_true(str_eq(str_make(out, rules_fold(str_of(cases[i].from), out)),
				   str_of(cases[i].to)));
}

static void bad_patterns_are_refused(void **state)
{
	(void)state;
	struct str bad[] = { STR_INIT(""), STR_INIT("/"), { NULL, 0 } };
	struct rules *r;
	char text[1200];

	memset(text, 'a', sizeof text);
	bad[2] = str_make(text, sizeof text);
	for (size_t i = 0; i < 3; i++) {
		struct rules_options o = { .hidden = &bad[i], .hidden_count = 1 };

		assert_int_equal(rules_new(&o, &r), ERR_INPUT);
	}
}

static void a_path_that_is_too_long_is_protected(void **state)
{
	(void)state;
	struct rules *r = rules_with(NULL, NULL, true);
	static char name[255];
	struct rules_component path[20];

	memset(name, 'a', sizeof name);
	for (size_t i = 0; i < 20; i++)
		path[i] = (struct rules_component){ .name = str_make(name, sizeof name) };
	assert_int_equal(rules_match(r, path, 10), RULE_NONE);
	assert_int_equal(rules_match(r, path, 20), RULE_PROTECTED);
	rules_free(r);
}

static void numbers_are_never_used_twice(void **state)
{
	(void)state;
	struct slots s = { .max = 3 };
	int a, b;
	bool full;
	uint64_t first = slots_add(&s, &a, &full), second = slots_add(&s, &b, &full);

	assert_ptr_equal(slots_get(&s, first), &a);
	slots_remove(&s, first);
	assert_null(slots_get(&s, first));
	uint64_t third = slots_add(&s, &b, &full);
	assert_int_not_equal(first, third);
	assert_int_equal((uint32_t)first, (uint32_t)third);
	assert_null(slots_get(&s, first));
	assert_int_not_equal(slots_add(&s, &a, &full), 0);
	assert_int_equal(slots_add(&s, &a, &full), 0);
	assert_true(full);
	assert_null(slots_get(&s, 0));
	assert_null(slots_get(&s, 1));
	assert_null(slots_get(&s, UINT64_MAX));
	slots_remove(&s, second);
	slots_remove(&s, second);
	slots_free(&s);
}

static void marks(void **state)
{
	(void)state;
	struct marks *m = marks_new();
	struct stat st = { .st_dev = 1 };

	for (ino_t i = 1; i <= 5000; i++) {
		st.st_ino = i;
		assert_int_equal(marks_add(m, &st, i % 2 ? RULE_HIDDEN : RULE_PROTECTED), ERR_OK);
	}
	st.st_ino = 7;
	assert_int_equal(marks_add(m, &st, RULE_READ_ONLY), ERR_OK);
	assert_int_equal(marks_rule(m, &st), RULE_HIDDEN);	/* the strictest stays */
	st.st_ino = 8;
	assert_int_equal(marks_rule(m, &st), RULE_PROTECTED);
	st.st_dev = 2;
	assert_int_equal(marks_rule(m, &st), RULE_NONE);
	int fd = open("/", O_PATH | O_CLOEXEC);
	assert_int_equal(fstat(fd, &st), 0);
	assert_false(marks_is_made(m, &st));
	assert_int_equal(marks_make(m, fd), ERR_OK);
	assert_true(marks_is_made(m, &st));
	marks_unmake(m, &st);
	assert_false(marks_is_made(m, &st));
	for (int i = 0; i < MARKS_MADE_MAX; i++)
		assert_int_equal(marks_make(m, open("/", O_PATH | O_CLOEXEC)), ERR_OK);
	assert_true(marks_full(m));
	fd = open("/", O_PATH | O_CLOEXEC);
	assert_int_equal(marks_make(m, fd), ERR_LIMIT);
	close(fd);
	marks_free(m);
}

static void configuration(void **state)
{
	(void)state;
	static const char *const bad[] = {
		"", "[]", "{}", "{\"mounts\":[]}", "{\"mounts\":[{}]}",
		"{\"mounts\":[{\"path\":\"relative\"}]}",
		"{\"mounts\":[{\"path\":\"/a\",\"x\":1}]}",
		"{\"mounts\":[{\"path\":\"/a\",\"hidden\":\"x\"}]}",
		"{\"mounts\":[{\"path\":\"/a\",\"hidden\":[1]}]}",
		"{\"mounts\":[{\"path\":\"/a\"}],\"uid\":-1}",
		"{\"mounts\":[{\"path\":\"/a\",\"read_only\":1}]}",
		"{\"mounts\":[{\"path\":\"/a\"}],\"more\":1}",
		"{\"mounts\":[{\"path\":\"/a\"}]} x", "{\"mounts\":[{\"path\":\"/a\",\"hidden\":[\"\"]}]}",
	};
	struct config c;
	char text[160];

	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
		assert_int_equal(config_parse(str_of(bad[i]), &c, text), ERR_INPUT);
	assert_int_equal(config_parse(STR("{\"mounts\":[{\"path\":\"/a\",\"read_only\":true,\"hidden\":[\".env*\"]}],"
					  "\"uid\":1000,\"gid\":5,\"protected_files\":[\"paddock.yaml\"]}"),
				      &c, text), ERR_OK);
	assert_int_equal(c.mount_count, 1);
	assert_true(c.mounts[0].read_only && c.mounts[0].protect_git && !c.mounts[0].file);
	assert_true(str_eq(c.mounts[0].hidden.items[0], STR(".env*")));
	assert_int_equal(c.uid, 1000);
	config_free(&c);
	config_free(&c);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(patterns),
		cmocka_unit_test(git),
		cmocka_unit_test(folding),
		cmocka_unit_test(bad_patterns_are_refused),
		cmocka_unit_test(a_path_that_is_too_long_is_protected),
		cmocka_unit_test(numbers_are_never_used_twice),
		cmocka_unit_test(marks),
		cmocka_unit_test(configuration),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
