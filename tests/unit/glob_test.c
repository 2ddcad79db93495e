/* glob_test.c - wildcard patterns, and the nearest word */
#include "base/glob.h"
#include "base/nearest.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#define COUNT(a) (sizeof(a) / sizeof(*(a)))

static void globs_match(void **state)
{
	(void)state;
	static const struct {
		const char *pattern, *text;
		bool path, plain;
	} cases[] = {
		{ "", "", true, true },
		{ "", "a", false, false },
		{ "a", "", false, false },
		{ "/v1/messages", "/v1/messages", true, true },
		{ "/v1/messages", "/v1/messages/", false, false },
		{ "/v1/**", "/v1/", true, true },
		{ "/v1/**", "/v1", false, false },
		{ "/v1/**", "/v1/a/b/c", true, true },
		{ "/v1/*", "/v1/a", true, true },
		{ "/v1/*", "/v1/a/b", false, true },
		{ "/v1/*", "/v1/", true, true },
		{ "/*/b", "/a/b", true, true },
		{ "/*/b", "/a/c/b", false, true },
		{ "/**/b", "/a/c/b", true, true },
		{ "/**/b", "/b", false, false },
		{ "**/b", "/b", true, true },
		{ "**", "", true, true },
		{ "*", "", true, true },
		{ "*", "*", true, true },
		{ "/a?c", "/abc", true, true },
		{ "/a?c", "/a/c", false, true },
		{ "/a?", "/a", false, false },
		{ "/***", "/a/b", true, true },
		{ "/*a*b*c", "/xaybzc", true, true },
		{ "/*a*b*c", "/xaybzcd", false, false },
		{ "/**a*", "/b/a/a", true, true },
		{ "/**a*", "/b/a/c", false, true },
		{ "2023-*", "2023-06-01", true, true },
		{ "/**/x/*/y", "/a/x/b/x/c/y", true, true },
		{ "/**/x/*/y", "/a/x/b/c/y", false, true },
		{ "**/.env*", ".env", false, false },
		{ "**/.env*", "a/.env.local", true, true },
	};

	for (size_t i = 0; i < COUNT(cases); i++) {
		struct str p = str_of(cases[i].pattern), t = str_of(cases[i].text);

		if (glob_match(p, t, GLOB_PATH) != cases[i].path ||
		    glob_match(p, t, GLOB_TEXT) != cases[i].plain)
			fail_msg("'%s' against '%s'", cases[i].pattern, cases[i].text);
	}
}

static void globs_stop_at_encoded_slashes_in_urls(void **state)
{
	(void)state;
	static const struct {
		const char *pattern, *text;
		bool url;
	} cases[] = {
		{ "/v1/*", "/v1/a", true },		 { "/v1/*", "/v1/a%20b", true },
		{ "/v1/*", "/v1/a%2Fb", false },	 { "/v1/*", "/v1/a%5Cb", false },
		{ "/v1/*", "/v1/%2F", false },		 { "/v1/*%2F*", "/v1/a%2Fb", true },
		{ "/v1/*%2F*", "/v1/a%2Fb%2Fc", false }, { "/v1/**", "/v1/a%2Fb", true },
		{ "/v1/a?b", "/v1/a%2Fb", false },	 { "/v1/a???b", "/v1/a%2Fb", false },
		{ "/v1/a???b", "/v1/a%20b", true },	 { "/v1/a%2Fb", "/v1/a%2Fb", true },
		{ "/@*%2F*", "/@scope%2Fname", true },	 { "*", "a%2F", false },
	};

	for (size_t i = 0; i < COUNT(cases); i++)
		if (glob_match(str_of(cases[i].pattern), str_of(cases[i].text), GLOB_URL) != cases[i].url)
			fail_msg("'%s' against '%s'", cases[i].pattern, cases[i].text);
}

static bool ends_segment(struct str t, enum glob_mode mode)
{
	return (mode != GLOB_TEXT && t.p[0] == '/') ||
	       (mode == GLOB_URL && (str_starts(t, STR("%2F")) || str_starts(t, STR("%5C"))));
}

/* The plain meaning, exponential: what the quick one must agree with. */
static bool plain(struct str p, struct str t, enum glob_mode mode)
{
	if (p.n == 0)
		return t.n == 0;
	if (p.p[0] == '*') {
		bool twice = p.n > 1 && p.p[1] == '*';

		if (plain(str_from(p, twice ? 2 : 1), t, mode))
			return true;
		return t.n && (twice || !ends_segment(t, mode)) && plain(p, str_from(t, 1), mode);
	}
	if (t.n == 0 || (p.p[0] != t.p[0] && (p.p[0] != '?' || ends_segment(t, mode))))
		return false;
	return plain(str_from(p, 1), str_from(t, 1), mode);
}

#define WORDS_MAX 8
#define WORD_MAX 3

static struct str random_of(char *out, const char *const *words, size_t count)
{
	size_t n = 0;

	for (size_t left = (size_t)random() % (WORDS_MAX + 1); left; left--) {
		const char *word = words[(size_t)random() % count];

		memcpy(out + n, word, strlen(word));
		n += strlen(word);
	}
	return str_make(out, n);
}

static void globs_mean_what_they_say(void **state)
{
	(void)state;
	static const char *const patterns[] = { "a", "b", "/", "*", "*", "?", "%2F" };
	static const char *const texts[] = { "a", "b", "a", "/", "%2F", "%5C" };
	char a[WORDS_MAX * WORD_MAX], b[WORDS_MAX * WORD_MAX], c[WORDS_MAX * WORD_MAX];
	unsigned matched = 0, covered = 0;

	srandom(1);
	for (int i = 0; i < 200000; i++) {
		struct str p = random_of(a, patterns, COUNT(patterns)), t = random_of(b, texts, COUNT(texts));
		struct str q = random_of(c, patterns, COUNT(patterns));

		for (int mode = GLOB_PATH; mode <= GLOB_URL; mode++) {
			bool want = plain(p, t, (enum glob_mode)mode);

			if (glob_match(p, t, (enum glob_mode)mode) != want)
				fail_msg("'%.*s' against '%.*s'", STR_FMT(p), STR_FMT(t));
			matched += want;
			if (want && glob_covers(q, p, (enum glob_mode)mode)) {
				covered++;
				if (!plain(q, t, (enum glob_mode)mode))
					fail_msg("'%.*s' does not cover '%.*s'", STR_FMT(q), STR_FMT(p));
			}
		}
	}
	assert_true(matched > 10000 && covered > 1000);
}

static void time_is_linear(void **state)
{
	(void)state;
	static char pattern[GLOB_MAX], text[16384];
	uint64_t steps = 0;

	for (size_t i = 0; i < sizeof pattern; i++)
		pattern[i] = i % 3 == 2 ? 'a' : '*';
	pattern[sizeof pattern - 1] = 'b';
	memset(text, 'a', sizeof text);
	assert_false(glob_match_steps(str_make(pattern, sizeof pattern), str_make(text, sizeof text),
				      GLOB_PATH, &steps));
	assert_true(steps > sizeof text);
	assert_true(steps <= (sizeof text + 1) * (sizeof pattern + 1));
}

static void a_long_pattern_matches_nothing(void **state)
{
	(void)state;
	static char pattern[GLOB_MAX + 1];

	memset(pattern, '*', sizeof pattern);
	assert_false(glob_match(str_make(pattern, GLOB_MAX + 1), STR("/"), GLOB_PATH));
	assert_true(glob_match(str_make(pattern, GLOB_MAX), STR("/"), GLOB_PATH));
}

static void the_nearest_word_is_found(void **state)
{
	(void)state;
	static const char *const words[] = { "hosts", "methods", "paths", "ports" };

	assert_string_equal(nearest(STR("host"), words, COUNT(words)), "hosts");
	assert_string_equal(nearest(STR("mehtods"), words, COUNT(words)), "methods");
	assert_string_equal(nearest(STR("prots"), words, COUNT(words)), "ports");
	assert_null(nearest(STR("credential"), words, COUNT(words)));
	assert_null(nearest(STR(""), words, COUNT(words)));
	assert_int_equal(nearest_distance(STR("kitten"), STR("sitting")), 3);
	assert_int_equal(nearest_distance(STR("ab"), STR("ba")), 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(globs_match),
		cmocka_unit_test(globs_stop_at_encoded_slashes_in_urls),
		cmocka_unit_test(globs_mean_what_they_say),
		cmocka_unit_test(time_is_linear),
		cmocka_unit_test(a_long_pattern_matches_nothing),
		cmocka_unit_test(the_nearest_word_is_found),
	};

	return cmocka_run_group_tests_name("glob", tests, NULL, NULL);
}
