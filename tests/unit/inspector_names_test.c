/* inspector_names_test.c - synthetic addresses: stable, distinct, and nothing else is one */
#include "inspector/names.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include "base/buf.h"

static void every_name_has_its_own(void **state)
{
	struct names *n = names_new();
	uint32_t number, again;

	(void)state;
	assert_non_null(n);
	for (uint32_t i = 0; i < NAMES_MAX; i++) {
		uint8_t four[NAMES_IPV4_BYTES], six[NAMES_IPV6_BYTES];
		auto_buf name = BUF_EMPTY;

		buf_init(&name, 64);
		buf_printf(&name, "n%u.example", i);
		assert_int_equal(names_give(n, buf_str(&name), &number), ERR_OK);
		assert_int_equal(number, i);
		assert_int_equal(names_give(n, buf_str(&name), &again), ERR_OK);
		assert_int_equal(again, i);
		names_ipv4(number, four);
		names_ipv6(number, six);
		assert_true(str_eq(names_host(n, str_make(four, sizeof four)), buf_str(&name)));
		assert_true(str_eq(names_host(n, str_make(six, sizeof six)), buf_str(&name)));
	}
	assert_int_equal(names_give(n, STR("one-more.example"), &number), ERR_LIMIT);
	assert_int_equal(names_give(n, STR("n7.example"), &number), ERR_OK);
	assert_int_equal(number, 7);
	names_free(n);
}

static void other_addresses_stand_for_nothing(void **state)
{
	static const struct str addresses[] = {
		STR_INIT(""), STR_INIT("\xc6\x12\x00\x00"), STR_INIT("\xc6\x12\x00\x11"),
		STR_INIT("\xc6\x13\xff\xff"),
		STR_INIT("\xc6\x14\x00\x10"), STR_INIT("\x0a\x00\x00\x10"),
		STR_INIT("\xfd\0padd\0\0\0\0\0\0\0\0\0\x11"),
		STR_INIT("\xfd\0padd\0\0\0\0\0\1\0\0\0\x10"), STR_INIT("\xc6\x12"),
	};
	struct names *n = names_new();
	uint32_t number;

	(void)state;
	assert_int_equal(names_give(n, STR("a.example"), &number), ERR_OK);	/* 198.18.0.16 */
	for (unsigned i = 0; i < sizeof addresses / sizeof *addresses; i++)
		assert_int_equal(names_host(n, addresses[i]).n, 0);
	assert_int_equal(names_give(n, STR("10.0.0.1"), &number), ERR_INPUT);
	assert_int_equal(names_give(n, STR("A.example"), &number), ERR_INPUT);
	assert_true(names_is_synthetic(STR("\xc6\x13\xff\xff")));
	assert_false(names_is_synthetic(STR("\xc6\x14\x00\x00")));
	names_free(n);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_name_has_its_own),
		cmocka_unit_test(other_addresses_stand_for_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
