/* decoder_git_test.c - what is found in the bodies that git sends: pushes made by git
 * itself (fuzz/corpus/git_push), in one piece and byte by byte, and what no git sends */
#include "decoder/git.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

struct found {
	struct buf text;		/* "name=value\n" for each fact */
	struct git_sink sink;
	uint64_t passable;		/* most that could go before the end */
};

static void fact(void *user, struct str name, struct str value)
{
	struct found *f = user;

	buf_put(&f->text, name);
	buf_put_z(&f->text, "=");
	buf_put(&f->text, value);
	buf_put_z(&f->text, "\n");
}

static void found_init(struct found *f)
{
	*f = (struct found){ .sink = { .fact = fact, .user = f } };
	buf_init(&f->text, 65536);
}

static struct str corpus(const char *directory, const char *name, char *bytes, size_t cap)
{
	char path[512];
	FILE *file;
	size_t n;

	snprintf(path, sizeof path, "%s/fuzz/corpus/%s/%s", TEST_SOURCE_ROOT, directory, name);
	file = fopen(path, "rb");
	assert_non_null(file);
	n = fread(bytes, 1, cap, file);
	fclose(file);
	assert_true(n > 0 && n < cap);
	return str_make(bytes, n);
}

static enum err push(struct str body, bool history, size_t piece, struct found *f)
{
	struct git_push *p = git_push_new(history, &f->sink);
	enum err e = ERR_OK;

	assert_non_null(p);
	while (body.n && e == ERR_OK) {
		e = git_push_feed(p, str_head(body, piece));
		body = str_from(body, piece);
	}
	f->passable = git_push_passable(p);
	if (e == ERR_OK)
		e = git_push_end(p);
	git_push_free(p);
	return e;
}

static bool says(const struct found *f, const char *text)
{
	return f->text.len && memmem(f->text.p, f->text.len, text, strlen(text));
}

static void check_push(const char *name, const char *expected)
{
	static char bytes[65536];
	struct str body = corpus("git_push", name, bytes, sizeof bytes);

	for (size_t piece = 1; piece < 100000; piece = piece * 7 + 1) {
		struct found f;

		found_init(&f);
		assert_int_equal(push(body, true, piece, &f), ERR_OK);
		assert_true(says(&f, expected));
		if (says(&f, "git.history"))
			assert_int_equal(f.passable, body.n - 20);
		buf_free(&f.text);
	}
}

static void forced_told_apart(void **state)
{
	(void)state;
	check_push("forward", "git.history=0 no\n");
	check_push("forced", "git.history=0 yes\n");
	check_push("unknown", "git.history=0 unknown\n");
	check_push("merge", "git.history=0 no\ngit.history=1 no\n");
	check_push("create", "git.commands=1\n");
	check_push("delete", "git.command=delete ");
	check_push("empty", "git.commands=0\n");
	check_push("two", "git.commands=2\ngit.history=0 no\n");
	check_push("two", "git.option=ci.skip\n");
	check_push("two", " refs/tags/v1\n");
}

static void commits_as_deltas(void **state)
{
	(void)state;
	check_push("deltas", "git.history=0 no\n");
	check_push("deltas_by_id", "git.history=0 no\n");
	check_push("many", "git.history=0 no\n");
}

/* Every cut, and a flipped byte anywhere in the pack: an
 * error or the same answer, never "no" for a forced push. */
static void damaged(void **state)
{
	static char bytes[65536];
	struct str body = corpus("git_push", "forced", bytes, sizeof bytes);

	(void)state;
	for (size_t i = 5; i < body.n; i++) {
		struct found f;

		found_init(&f);
		assert_int_not_equal(push(str_head(body, i), true, 4096, &f), ERR_OK);
		buf_free(&f.text);
		found_init(&f);
		bytes[i] ^= 0x41;
		if (i > 170 && push(body, true, 4096, &f) == ERR_OK)
			assert_false(says(&f, "git.history=0 no"));
		bytes[i] ^= 0x41;
		buf_free(&f.text);
	}
}

static void after_the_pack(void **state)
{
	static char bytes[65536];
	struct str body = corpus("git_push", "forward", bytes, sizeof bytes - 1);
	struct found f;

	(void)state;
	found_init(&f);
	body.n++;		/* one byte more */
	assert_int_equal(push(body, true, 4096, &f), ERR_DECODER);
	assert_string_equal(f.sink.reason, "bytes after the pack");
	assert_true(f.passable <= body.n - 21);
	buf_free(&f.text);
}

static void refused_pushes(void **state)
{
	static const char *const bodies[] = {
		"", "000", "xxxx", "0003", "0001", "0005a0000",
		"0077" "1111111111111111111111111111111111111111 2222222222222222222222222222222222222222 refs/heads/a\0x"
			"xxxxxxxxxxxxxxxxxxxxxx",
		"000epush-cert\n0000",
		"006a" "0000000000000000000000000000000000000000 0000000000000000000000000000000000000000 refs/heads/master1\n0000",
		"0066" "1111111111111111111111111111111111111111 2222222222222222222222222222222222222222 refs/heads/a..b0000",
		"0060" "1111111111111111111111111111111111111111 2222222222222222222222222222222222222222 HEAD_of_it0000",
		"0066" "1111111111111111111111111111111111111111 222222222222222222222222222222222222222g refs/heads/aaaa0000",
		"0000PACK",
	};

	(void)state;
	for (size_t i = 0; i < sizeof bodies / sizeof *bodies; i++) {
		struct found f;

		found_init(&f);
		assert_int_equal(push(str_of(bodies[i]), true, 4096, &f), ERR_DECODER);
		assert_non_null(f.sink.reason);
		buf_free(&f.text);
	}
}

/* git takes any white space between capabilities: what it would read as
 * another word is refused, or a push could have options that nobody told of. */
static void capabilities_have_spaces_between(void **state)
{
	static const struct { struct str words; enum err expected; } cases[] = {
		{ STR_INIT("report-status push-options\n"), ERR_OK },
		{ STR_INIT(" report-status  x"), ERR_OK },
		{ STR_INIT("report-status\tpush-options"), ERR_DECODER },
		{ STR_INIT("x\npush-options\n"), ERR_DECODER },
		{ STR_INIT("x\vpush-options"), ERR_DECODER }, { STR_INIT("push-options\0x"), ERR_DECODER },
	};

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct found f;
		auto_buf body = BUF_EMPTY;

		buf_init(&body, 4096);
		buf_printf(&body, "%04zx%s", 4 + 95 + cases[i].words.n,
			   "1111111111111111111111111111111111111111 "
			   "2222222222222222222222222222222222222222 refs/heads");
		buf_put(&body, STR("/a\0"));
		buf_put(&body, cases[i].words);
		buf_put_z(&body, i == 0 ? "00000008x=y\n0000PACK" : "0000PACK");
		found_init(&f);
		assert_int_equal(push(buf_str(&body), false, 4096, &f), cases[i].expected);
		assert_int_equal(says(&f, "git.option="), i == 0);
		buf_free(&f.text);
	}
}

static enum err fetch(struct str body, bool gzip, size_t piece, struct found *f)
{
	struct git_fetch *p = git_fetch_new(gzip, &f->sink);
	enum err e = ERR_OK;

	assert_non_null(p);
	while (body.n && e == ERR_OK) {
		e = git_fetch_feed(p, str_head(body, piece));
		body = str_from(body, piece);
	}
	if (e == ERR_OK)
		e = git_fetch_end(p);
	git_fetch_free(p);
	return e;
}

static void check_fetch(const char *name, enum err expected, const char *text)
{
	static char bytes[65536];
	struct str body = corpus("git_fetch", name, bytes, sizeof bytes);

	for (size_t piece = 1; piece < 100000; piece = piece * 7 + 1) {
		struct found f;

		found_init(&f);
		assert_int_equal(fetch(str_from(body, 1), body.p[0] == '1', piece, &f), expected);
		assert_true(!text || says(&f, text));
		buf_free(&f.text);
	}
}

static void fetches(void **state)
{
	(void)state;
	check_fetch("ls_refs", ERR_OK, "git.command=ls-refs\n");
	check_fetch("fetch", ERR_OK, "git.command=fetch\n");
	check_fetch("v0", ERR_OK, "git.command=want\n");
	check_fetch("gzip", ERR_OK, "git.command=fetch\n");
	check_fetch("unknown", ERR_DECODER, NULL);
}

static void batches(void **state)
{
	static const struct { const char *json; enum err e; } cases[] = {
		{ "{\"operation\":\"upload\",\"objects\":[{\"oid\":\"1\",\"size\":1}]}", ERR_OK },
		{ "{\"operation\":\"download\",\"objects\":[]}", ERR_OK },
		{ "{\"operation\":\"download\",\"operation\":\"upload\",\"objects\":[]}", ERR_DECODER },
		{ "{\"operation\":\"download\",\"Operation\":\"upload\",\"objects\":[]}", ERR_DECODER },
		{ "{\"operation\":\"verify\",\"objects\":[]}", ERR_DECODER },
		{ "{\"operation\":\"upload\"}", ERR_DECODER },
		{ "[]", ERR_DECODER }, { "", ERR_DECODER },
	};

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct found f;

		found_init(&f);
		assert_int_equal(git_lfs_batch(str_of(cases[i].json), &f.sink), cases[i].e);
		assert_int_equal(says(&f, "git.operation="), cases[i].e == ERR_OK);
		buf_free(&f.text);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(forced_told_apart), cmocka_unit_test(commits_as_deltas),
		cmocka_unit_test(damaged), cmocka_unit_test(after_the_pack), cmocka_unit_test(refused_pushes),
		cmocka_unit_test(capabilities_have_spaces_between), cmocka_unit_test(fetches),
		cmocka_unit_test(batches),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
