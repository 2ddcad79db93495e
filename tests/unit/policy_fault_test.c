/* policy_fault_test.c - a load in which each allocation fails in turn
 *
 * Whichever allocation fails, libyaml's and OpenSSL's too, the
 * load says ERR_MEMORY, keeps nothing, and the next load works.
 */
#include "fail_alloc.h"
#include "policy/policy.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

static struct str read_policy(const char *name)
{
	static char text[65536];
	char path[512];
	size_t n;
	FILE *f;

	snprintf(path, sizeof path, TEST_SOURCE_ROOT "/fuzz/corpus/policy/%s.yaml", name);
	assert_non_null(f = fopen(path, "re"));
	n = fread(text, 1, sizeof text, f);
	fclose(f);
	return str_make(text, n);
}

static void load_well(struct str text)
{
	struct policy_error error;
	struct policy *p;

	assert_int_equal(policy_load(text, "f", "/home/ann", &p, &error), ERR_OK);
	policy_free(p);
}

static void fail_each_of(struct str text)
{
	unsigned refused = 0;

	load_well(text); /* what OpenSSL makes once for all must be there: it would not try again */

	for (long n = 1; n < 100000; n++) {
		struct policy_error error;
		struct policy *p = NULL;
		enum err err;
		bool over;

		calls = 0;
		fail_at = n;
		err = policy_load(text, "f", "/home/ann", &p, &error);
		over = calls < n;
		fail_at = 0;
		if (err == ERR_OK) {
			policy_free(p);
		} else {
			assert_int_equal(err, ERR_MEMORY);
			assert_null(p);
			refused++;
		}
		if (over)
			break;
	}
	load_well(text);
	assert_true(!FAULTS || refused > 50);
	assert_true(FAULTS || refused == 0);
}

static void every_allocation_may_fail(void **state)
{
	(void)state;
	static const char *const names[] = { "whole", "strategies", "tokens", "tunnels", "websocket", "git",
					     "registry" };

	for (size_t i = 0; i < sizeof names / sizeof *names; i++)
		fail_each_of(read_policy(names[i]));
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(every_allocation_may_fail) };

	return cmocka_run_group_tests_name("policy_fault", tests, NULL, NULL);
}
