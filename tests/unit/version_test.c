/* version_test.c - each ecosystem's order and ranges, as its own tools have them */
#include "policy/version.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

/* Ascending; every pair is compared. */
static void check_order(enum version_scheme scheme, const char *const *ascending)
{
	for (size_t i = 0; ascending[i]; i++)
		for (size_t k = 0; ascending[k]; k++) {
			int order = 99;

			if (!version_compare(scheme, str_of(ascending[i]), str_of(ascending[k]), &order) ||
			    (order < 0) != (i < k) || (order > 0) != (i > k))
				fail_msg("%s and %s: %d", ascending[i], ascending[k], order);
		}
}

struct range_case {
	const char *range, *in, *out;	/* space-separated versions */
};

static void check_versions(enum version_scheme scheme, struct str range, const char *versions, bool expected)
{
	struct str rest = str_of(versions);

	while (rest.n) {
		struct str v = str_head(rest, str_find(rest, ' '));

		if (version_in_range(scheme, range, v) != expected)
			fail_msg("%.*s: %.*s %s", STR_FMT(range), STR_FMT(v), expected ? "is out" : "is in");
		rest = str_from(rest, v.n + 1);
	}
}

static void check_ranges(enum version_scheme scheme, const struct range_case *c)
{
	for (; c->range; c++) {
		if (!version_range_valid(scheme, str_of(c->range)))
			fail_msg("%s is no range", c->range);
		check_versions(scheme, str_of(c->range), c->in, true);
		check_versions(scheme, str_of(c->range), c->out, false);
	}
}

static void check_invalid(enum version_scheme scheme, const char *const *versions, const char *const *ranges)
{
	for (; *versions; versions++)
		if (version_valid(scheme, str_of(*versions)))
			fail_msg("%s is a version", *versions);
	for (; *ranges; ranges++)
		if (version_range_valid(scheme, str_of(*ranges)))
			fail_msg("%s is a range", *ranges);
}

static void npm(void **state)
{
	static const char *const order[] = {
		"0.0.1", "0.9.0", "1.0.0-0", "1.0.0-alpha", "1.0.0-alpha.1", "1.0.0-alpha.beta", "1.0.0-beta",
		"1.0.0-beta.2", "1.0.0-beta.11", "1.0.0-rc.1", "1.0.0", "1.2.3", "1.10.0", "2.0.0", NULL,
	};
	static const struct range_case ranges[] = {
		{ "", "1.0.0 0.0.0", "1.0.0-a" },
		{ "*", "1.0.0", "1.0.0-a" },
		{ "1.2.3", "1.2.3 1.2.3+build", "1.2.4 1.2.3-a" },
		{ "=1.2", "1.2.0 1.2.9", "1.3.0 1.1.9" },
		{ "^1.2.3", "1.2.3 1.9.0", "1.2.2 2.0.0 2.0.0-a 1.3.0-a" },
		{ "^0.2.3", "0.2.3 0.2.9", "0.3.0 0.2.2" },
		{ "^0.0.3", "0.0.3", "0.0.4 0.1.0" },
		{ "^0.0", "0.0.0 0.0.9", "0.1.0" },
		{ "^0", "0.0.0 0.9.9", "1.0.0" },
		{ "^1.2.3-beta.2", "1.2.3-beta.2 1.2.3-beta.4 1.2.3 1.4.0", "1.2.3-beta.1 1.2.4-beta.2" },
		{ "^1.x", "1.0.0 1.9.9", "2.0.0" },
		{ "~1.2.3", "1.2.3 1.2.9", "1.3.0" },
		{ "~>1.2", "1.2.0 1.2.9", "1.3.0" },
		{ "~1", "1.0.0 1.9.0", "2.0.0" },
		{ "1.x", "1.0.0 1.9.0", "2.0.0" },
		{ "1.2.*", "1.2.0 1.2.9", "1.3.0" },
		{ "1.2 - 2.3", "1.2.0 2.3.9", "2.4.0 1.1.9" },
		{ "1.2.3 - 2.3.4", "1.2.3 2.3.4", "2.3.5 1.2.2" },
		{ ">=1.2.7 <1.3.0", "1.2.7 1.2.99", "1.2.6 1.3.0" },
		{ ">= 1.2.7  < 1.3.0", "1.2.7 1.2.99", "1.2.6 1.3.0" },
		{ ">1.2", "1.3.0", "1.2.9" },
		{ "<=1.2", "1.2.9", "1.3.0" },
		{ "1.2.7 || >=1.2.9 <2.0.0", "1.2.7 1.2.9 1.4.6", "1.2.8 2.0.0" },
		{ "v1.2.3", "1.2.3", "1.2.4" },
		{ ">1.2.3-alpha.3", "1.2.3-alpha.7 3.4.5", "3.4.5-alpha.9" },
		{ NULL, NULL, NULL },
	};
	static const char *const versions[] = { "", "1", "1.2", "v1.2.3", "1.2.3.4", "01.2.3", "1.2.3-",
						"1.2.3-01", "1.2.3-a..b",
						"1.2.x", "1.2.3+", "latest", "1.2.9999999999999999999",
						NULL };
	static const char *const bad_ranges[] = { "latest", "^", ">=", "1.2.3.4", "a || b", "1 -", "x.1",
						  "git://a", NULL };

	(void)state;
	check_order(VERSION_NPM, order);
	check_ranges(VERSION_NPM, ranges);
	check_invalid(VERSION_NPM, versions, bad_ranges);
}

static void cargo(void **state)
{
	static const struct range_case ranges[] = {
		{ "1.2.3", "1.2.3 1.9.0", "1.2.2 2.0.0" },
		{ "0.2", "0.2.0 0.2.9", "0.3.0" },
		{ "=1.2.3", "1.2.3", "1.2.4" },
		{ "1.*", "1.0.0 1.9.0", "2.0.0" },
		{ "*", "0.0.1 9.9.9", "1.0.0-a" },
		{ ">=1.2, <1.5", "1.2.0 1.4.9", "1.1.0 1.5.0" },
		{ "~1.2", "1.2.9", "1.3.0" },
		{ "1.0.0-rc.1", "1.0.0-rc.1 1.0.0-rc.2 1.0.0", "1.0.1-rc.1 0.9.0" },
		{ NULL, NULL, NULL },
	};
	static const char *const bad_ranges[] = { "", "1 || 2", "1 2", "v1.2.3", NULL };

	(void)state;
	check_ranges(VERSION_CARGO, ranges);
	check_invalid(VERSION_CARGO, bad_ranges + 4, bad_ranges);
}

static void pypi(void **state)
{
	static const char *const order[] = {
		"1.dev0", "1.0.dev456", "1.0a1", "1.0a2.dev456", "1.0a12.dev456", "1.0a12", "1.0b1.dev456",
		"1.0b2",
		"1.0b2.post345.dev456", "1.0b2.post345", "1.0rc1.dev456", "1.0rc1", "1.0", "1.0+abc.5",
		"1.0+abc.7",
		"1.0+5", "1.0.post456.dev34", "1.0.post456", "1.0.15", "1.1.dev1", "1.10", "1!0.1", NULL,
	};
	static const struct range_case ranges[] = {
		{ "==1.0", "1.0 1.0.0 1.0+local v1.0", "1.0.1 1.0a1 1.0.post1" },
		{ "==1.1.*", "1.1 1.1.9 1.1.post1", "1.2 1.10" },
		{ "!=1.1.*", "1.2", "1.1.3" },
		{ "~=1.4.5", "1.4.5 1.4.9", "1.5 1.4.4" },
		{ "~=2.2", "2.2 2.9", "3.0 2.1" },
		{ ">=1.0,<2", "1.0 1.9", "2.0 0.9 2.0a1 1.5a1" },
		{ ">1.7", "1.7.1 1.8", "1.7 1.7.0.post1 1.7+l" },
		{ "<2.0", "1.9", "2.0 2.0rc1 2.0.dev1" },
		{ ">=1.0a1", "1.0a2 1.0", "0.9" },
		{ "===1.0", "1.0", "1.0.0" },
		{ NULL, NULL, NULL },
	};
	static const char *const versions[] = { "", "a", "1.0-x", "1..0", "1.0+", "1.0+a..b", "1.0 ",
						"1.0foo", "!1", NULL };
	static const char *const bad_ranges[] = { "1.0", ">", "~=1", "==1.0a1.*", ">=1.0+local", ">=1.0 <2",
						  NULL };
	static const char *const same[][2] = {
		{ "1.0", "1.0.0" }, { "1.0alpha1", "1.0a1" }, { "1.0-1", "1.0.post1" },
		{ "1.0_RC.1", "1.0c1" },
		{ "V1.0", "1" }, { "1.0.DEV", "1.0dev0" }, { "1.0.rev4", "1.0.post4" },
		{ "1.0+ubuntu-1", "1.0+ubuntu.1" },
	};

	(void)state;
	check_order(VERSION_PYPI, order);
	check_invalid(VERSION_PYPI, versions, bad_ranges);
	for (size_t i = 0; i < sizeof same / sizeof *same; i++) {
		int order_of = 99;

		if (!version_compare(VERSION_PYPI, str_of(same[i][0]), str_of(same[i][1]), &order_of) ||
		    order_of)
			fail_msg("%s and %s: %d", same[i][0], same[i][1], order_of);
	}
	check_ranges(VERSION_PYPI, ranges + 0);
}

static void debian(void **state)
{
	static const char *const order[] = {
		"0~~", "0~", "0", "0+b1", "1.0~rc1-1", "1.0-1", "1.0-1+b1", "1.0-1.1", "1.0-2", "1.0a",
		"1.0+dfsg-1", "1.2", "1.10", "2.0-1~bpo12+1", "2.0-1", "1:0.1", NULL,
	};
	static const struct range_case ranges[] = {
		{ ">= 1.2, << 2", "1.2 1.9-1 1.2+b1", "2 1.1 1:1.5" },
		{ "= 1.2-1", "1.2-1", "1.2-1+b1" },
		{ ">>1.0", "1.0-1 1.0a", "1.0~rc1" },
		{ NULL, NULL, NULL },
	};
	static const char *const versions[] = { "", "1_0", "a:1", "1-", ":1", "1 2", NULL };
	static const char *const bad_ranges[] = { "", "1.0", ">= ", "~1", NULL };

	(void)state;
	check_order(VERSION_DEBIAN, order);
	check_ranges(VERSION_DEBIAN, ranges);
	check_invalid(VERSION_DEBIAN, versions, bad_ranges);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(npm), cmocka_unit_test(cargo), cmocka_unit_test(pypi),
		cmocka_unit_test(debian),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
