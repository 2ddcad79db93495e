/* base_test.c - buffers, readers, views, arenas, secrets */
#include "base/arena.h"
#include "base/buf.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/reader.h"
#include "base/secret.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static void buf_keeps_its_limit(void **state)
{
	(void)state;
	auto_buf b = BUF_EMPTY;

	buf_init(&b, 10);
	buf_put_z(&b, "12345");
	assert_int_equal(buf_err(&b), ERR_OK);
	buf_put_z(&b, "678901");
	assert_int_equal(buf_err(&b), ERR_LIMIT);
	buf_put_z(&b, "6");
	assert_true(str_eq(buf_str(&b), STR("12345")));	/* failure is sticky */
	buf_clear(&b);
	buf_put_z(&b, "1234567890");
	assert_int_equal(buf_err(&b), ERR_OK);
	assert_null(buf_z(&b));				/* no room for the NUL */
}

static void buf_encodes(void **state)
{
	(void)state;
	auto_buf b = BUF_EMPTY;

	buf_init(&b, 1000);
	buf_put_base64(&b, STR("f"));
	buf_put_base64(&b, STR("fo"));
	buf_put_base64(&b, STR("foo"));
	buf_put_base64url(&b, STR("\xff\xfe"));
	buf_put_hex(&b, STR("\x01\xab"));
	buf_put_decimal(&b, UINT64_MAX);
	buf_put_u16be(&b, 0x4142);
	buf_put_u32le(&b, 0x44434241);
	assert_true(str_eq(buf_str(&b), STR("Zg==Zm8=Zm9v__401ab18446744073709551615ABABCD")));
}

static void base64_is_strict(void **state)
{
	(void)state;
	static const char *const bad[] = { "Zg=", "Zg", "Zh==", "Zm9=", "Z===", "Zm 9", "Zg==Zg==", "Z\n==" };
	auto_buf b = BUF_EMPTY;

	buf_init(&b, 100);
	assert_int_equal(base64_decode(&b, STR("Zm9vZg==")), ERR_OK);
	assert_true(str_eq(buf_str(&b), STR("foof")));
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
		buf_clear(&b);
		assert_int_equal(base64_decode(&b, str_of(bad[i])), ERR_INPUT);
	}
}

static void base64url_is_strict(void **state)
{
	(void)state;
	static const char *const bad[] = { "Z", "Zh", "Zm9", "Zg==", "Zm9vZ", "Zm 9", "-+", "/w", "_x",
					   "Zm9v\n" };
	auto_buf b = BUF_EMPTY, again = BUF_EMPTY;

	buf_init(&b, 100);
	buf_init(&again, 100);
	assert_int_equal(base64url_decode(&b, STR("Zm9vZg")), ERR_OK);
	assert_int_equal(base64url_decode(&b, STR("-_8")), ERR_OK);
	assert_true(str_eq(buf_str(&b), STR("foof\xfb\xff")));
	buf_put_base64url(&again, str_from(buf_str(&b), 4));
	assert_true(str_eq(buf_str(&again), STR("-_8")));
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
		buf_clear(&b);
		assert_int_equal(base64url_decode(&b, str_of(bad[i])), ERR_INPUT);
	}
}

static void blanks_at_the_ends_are_trimmed(void **state)
{
	(void)state;
	assert_true(str_eq(str_trim(STR(" \t a \t b\t ")), STR("a \t b")));
	assert_true(str_eq(str_trim(STR("a")), STR("a")));
	assert_true(str_eq(str_trim(STR("\ra\n")), STR("\ra\n")));
	assert_int_equal(str_trim(STR(" \t ")).n, 0);
	assert_int_equal(str_trim(STR("")).n, 0);
	assert_int_equal(str_trim((struct str){ NULL, 0 }).n, 0);
}

static void decimal_takes_digits_only(void **state)
{
	(void)state;
	static const char *const bad[] = { "", "+1", "-1", " 1", "1 ", "1x", "0x1", "18446744073709551616",
					   "101" };
	uint64_t v = 7;

	assert_true(str_decimal(STR("100"), 100, &v));
	assert_int_equal(v, 100);
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
		assert_false(str_decimal(str_of(bad[i]), 100, &v));
	assert_int_equal(v, 100);
	assert_true(str_decimal(STR("18446744073709551615"), UINT64_MAX, &v));
}

static void utf8_is_strict(void **state)
{
	(void)state;
	static const char *const bad[] = { "\x80", "\xc0\x80", "\xe0\x80\x80", "\xed\xa0\x80",
					   "\xf4\x90\x80\x80",
		"\xf5\x80\x80\x80", "\xc3", "\xe2\x82", "\xff" };

	assert_true(str_is_utf8(STR("plain \xc3\xa9 \xe2\x82\xac \xf0\x9f\x90\x8e")));
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
		assert_false(str_is_utf8(str_of(bad[i])));
}

static void reader_never_passes_the_end(void **state)
{
	(void)state;
	struct reader r = reader_of(STR("\x01\x02\x03\x04\x05"));
	uint32_t v32 = 9;
	uint16_t v16;
	struct str s;

	assert_true(reader_u16be(&r, &v16));
	assert_int_equal(v16, 0x0102);
	assert_false(reader_u32le(&r, &v32));
	assert_int_equal(v32, 9);
	assert_false(reader_take(&r, 4, &s));
	assert_true(reader_take(&r, 3, &s));
	assert_true(reader_done(&r));
}

static void arena_keeps_its_cap(void **state)
{
	(void)state;
	auto_arena a = arena_new(1000);
	struct str s = arena_copy(a, STR("abc"));

	assert_true(str_eq(s, STR("abc")));
	assert_int_equal(s.p[3], 0);
	assert_null(arena_alloc(a, 1000));
	assert_non_null(arena_alloc(a, 900));
	assert_null(arena_alloc(a, 100));
	assert_null(arena_array(a, SIZE_MAX / 2, 3));
	assert_null(arena_alloc(a, SIZE_MAX));
	auto_arena large = arena_new_large(64u << 20);
	char *last = NULL;
	for (size_t n = 1; n < 20000000; n = n * 3 / 2 + 7) {
		char *p = arena_alloc(large, n);

		assert_true(p && p[0] == 0 && p[n - 1] == 0 && (uintptr_t)p % 16 == 0);
		memset(p, 'x', n);
		assert_true(!last || *last == 'x');
		last = p + n - 1;
	}
	assert_null(arena_alloc(large, 64u << 20));
}

static void secret_compares_and_bounds(void **state)
{
	(void)state;
	auto_secret s = NULL;
	struct secret *none = NULL;
	static const char big[SECRET_MAX_BYTES + 1];

	assert_int_equal(secret_new("hunter2!", 8, &s), ERR_OK);
	assert_true(secret_eq(secret_str(s), STR("hunter2!")));
	assert_false(secret_eq(secret_str(s), STR("hunter2?")));
	assert_false(secret_eq(secret_str(s), STR("hunter2")));
	assert_int_equal(secret_new("", 0, &none), ERR_LIMIT);
	assert_int_equal(secret_new(big, sizeof big, &none), ERR_LIMIT);
	assert_null(secret_map(0));
	assert_null(secret_map(SIZE_MAX));
	char *table = secret_map(10000);

	assert_non_null(table);
	assert_int_equal(table[9999], 0);
	secret_unmap(table, 10000);
	secret_unmap(NULL, 1);
}

static void time_is_rfc3339(void **state)
{
	(void)state;
	char text[CLOCK_RFC3339_BYTES];

	clock_rfc3339(1795312800123456789u, text);
	assert_string_equal(text, "2026-11-22T02:00:00.123456Z");
}

static void log_escapes_a_peer(void **state)
{
	(void)state;
	char out[32];

	assert_string_equal(log_escape(STR("a\x1b[2J\\"), out, sizeof out), "a\\x1b[2J\\x5c");
	assert_string_equal(log_escape(STR("0123456789012345678901234567890123"), out, sizeof out),
			    "0123456789012345678901234...");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(buf_keeps_its_limit), cmocka_unit_test(buf_encodes),
		cmocka_unit_test(base64_is_strict), cmocka_unit_test(base64url_is_strict),
		cmocka_unit_test(blanks_at_the_ends_are_trimmed), cmocka_unit_test(decimal_takes_digits_only),
		cmocka_unit_test(utf8_is_strict), cmocka_unit_test(reader_never_passes_the_end),
		cmocka_unit_test(arena_keeps_its_cap), cmocka_unit_test(secret_compares_and_bounds),
		cmocka_unit_test(time_is_rfc3339), cmocka_unit_test(log_escapes_a_peer),
	};

	return cmocka_run_group_tests_name("base", tests, NULL, NULL);
}
