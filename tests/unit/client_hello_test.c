/* client_hello_test.c - the name in a ClientHello: whole, in pieces, over records, hidden, malformed */
#include "wire/client_hello.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#define EXAMPLE "\x00\x00\x00\x10\x00\x0e\x00\x00\x0b" "API.Example"	/* the server_name extension */
#define ALPN "\x00\x10\x00\x05\x00\x03\x02" "h2"
#define ECH "\xfe\x0d\x00\x01\x01"

static void put_u16(struct buf *b, size_t n)
{
	buf_put_byte(b, (uint8_t)(n >> 8));
	buf_put_byte(b, (uint8_t)n);
}

/* A ClientHello in records of at most @record bytes each. */
static void make(struct buf *out, struct str extensions, size_t record)
{
	static const char random[32] = { 7 };
	auto_buf body = BUF_EMPTY, message = BUF_EMPTY;

	buf_init(&body, 65536);
	buf_init(&message, 65536);
	buf_init(out, 131072);
	put_u16(&body, 0x0303);
	buf_put(&body, str_make(random, sizeof random));
	buf_put(&body, STR("\x00\x00\x02\x13\x01\x01\x00"));	/* no session, one suite, no compression */
	put_u16(&body, extensions.n);
	buf_put(&body, extensions);
	buf_put(&message, STR("\x01\x00"));
	put_u16(&message, body.len);
	buf_put(&message, buf_str(&body));
	for (struct str rest = buf_str(&message), part; rest.n; rest = str_from(rest, part.n)) {
		part = str_head(rest, record);
		buf_put(out, STR("\x16\x03\x01"));
		put_u16(out, part.n);
		buf_put(out, part);
	}
}

static enum err parse(struct str bytes, struct client_hello *ret)
{
	auto_buf storage = BUF_EMPTY;

	buf_init(&storage, CLIENT_HELLO_MAX);
	return client_hello_parse(bytes, &storage, ret);
}

static void a_name_is_read_in_canonical_form(void **state)
{
	(void)state;
	auto_buf hello = BUF_EMPTY;
	struct client_hello h;

	make(&hello, STR(ALPN EXAMPLE), 16384);
	assert_int_equal(parse(buf_str(&hello), &h), ERR_OK);
	assert_string_equal(h.host, "api.example");
	assert_false(h.encrypted);
	buf_put(&hello, STR("\x14\x03\x03\x00\x01\x01"));	/* what may follow at once is not looked at */
	assert_int_equal(parse(buf_str(&hello), &h), ERR_OK);
}

static void any_split_waits_for_more(void **state)
{
	(void)state;
	for (size_t record = 1; record < 90; record += 11) {
		auto_buf hello = BUF_EMPTY;
		struct client_hello h;

		make(&hello, STR(EXAMPLE), record);
		for (size_t n = 0; n < hello.len; n++)
			assert_int_equal(parse(str_head(buf_str(&hello), n), &h), ERR_MORE);
		assert_int_equal(parse(buf_str(&hello), &h), ERR_OK);
		assert_string_equal(h.host, "api.example");
	}
}

static void no_name_and_a_hidden_name_are_told(void **state)
{
	(void)state;
	auto_buf bare = BUF_EMPTY, hidden = BUF_EMPTY;
	struct client_hello h;

	make(&bare, STR(ALPN), 16384);
	assert_int_equal(parse(buf_str(&bare), &h), ERR_OK);
	assert_string_equal(h.host, "");
	make(&hidden, STR(EXAMPLE ECH), 16384);
	assert_int_equal(parse(buf_str(&hidden), &h), ERR_OK);
	assert_true(h.encrypted);
}

static void doubtful_extensions_are_refused(void **state)
{
	(void)state;
	static const struct str cases[] = {
		STR_INIT(EXAMPLE EXAMPLE),						/* twice */
		STR_INIT("\x00\x00\x00\x10\x00\x0e\x00\x00\x0c" "API.Example"),	/* the name is longer than its list */
		STR_INIT("\x00\x00\x00\x10\x00\x0d\x00\x00\x0b" "API.Example"),	/* a byte after the list */
		STR_INIT("\x00\x00\x00\x0a\x00\x08\x00\x00\x01" "a\x00\x00\x01" "b"),	/* two names */
		STR_INIT("\x00\x00\x00\x06\x00\x04\x01\x00\x01" "a"),			/* another type of name */
		STR_INIT("\x00\x00\x00\x08\x00\x06\x00\x00\x03" "a\x00" "b"),		/* a NUL in it */
		STR_INIT("\x00\x00\x00\x00"),						/* an answer's empty one */
		STR_INIT("\x00\x10\x00\x05\x00\x03\x02"),				/* cut off */
	};

	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		auto_buf hello = BUF_EMPTY;
		struct client_hello h;

		make(&hello, cases[i], 16384);
		if (parse(buf_str(&hello), &h) != ERR_TLS)
			fail_msg("case %zu", i);
	}
}

static void what_is_no_client_hello_is_refused(void **state)
{
	(void)state;
	static const struct str cases[] = {
		STR_INIT("GET / HTTP/1.1\r\n"),
		STR_INIT("\x15\x03\x01\x00\x02\x01\x00"),		/* an alert */
		STR_INIT("\x16\x02\x00\x00\x02\x01\x00"),		/* not 3.x */
		STR_INIT("\x16\x03\x01\x00\x00"),			/* an empty record */
		STR_INIT("\x16\x03\x01\x40\x01"),			/* one too long */
		STR_INIT("\x16\x03\x01\x00\x04\x02\x00\x00\x00"),	/* a ServerHello */
		STR_INIT("\x16\x03\x01\x00\x04\x01\xff\xff\xff"),	/* of 16 MiB */
		STR_INIT("\x16\x03\x01\x00\x06\x01\x00\x00\x01\x00\x00"),	/* more in the record than in the message */
	};
	auto_buf large = BUF_EMPTY, padding = BUF_EMPTY;
	struct client_hello h;

	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
		if (parse(cases[i], &h) != ERR_TLS)
			fail_msg("case %zu", i);
	buf_init(&padding, 65536);
	buf_put(&padding, STR("\x00\x15\x50\x00"));
	for (int i = 0; i < 0x5000; i++)
		buf_put_byte(&padding, 0);
	make(&large, buf_str(&padding), 16384);
	assert_int_equal(parse(buf_str(&large), &h), ERR_TLS);
}

/* They are put together anew each time that more comes: what they cost is bounded by their number. */
static void small_records_count_whole(void **state)
{
	(void)state;
	auto_buf hello = BUF_EMPTY, padding = BUF_EMPTY;
	struct client_hello h;

	buf_init(&padding, 16384);
	buf_put(&padding, STR("\x00\x15"));
	put_u16(&padding, 4000);
	for (int i = 0; i < 4000; i++)
		buf_put_byte(&padding, 0);
	make(&hello, buf_str(&padding), 1);
	assert_int_equal(parse(str_head(buf_str(&hello), CLIENT_HELLO_MAX), &h), ERR_MORE);
	assert_int_equal(parse(str_head(buf_str(&hello), CLIENT_HELLO_MAX + 7), &h), ERR_TLS);
	for (size_t n = CLIENT_HELLO_MAX + 1; n < CLIENT_HELLO_MAX + 14; n++)
		assert_int_equal(parse(str_head(buf_str(&hello), n), &h), ERR_TLS);
	buf_free(&hello);
	make(&hello, buf_str(&padding), 512);
	assert_int_equal(parse(buf_str(&hello), &h), ERR_OK);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_name_is_read_in_canonical_form),
		cmocka_unit_test(any_split_waits_for_more),
		cmocka_unit_test(no_name_and_a_hidden_name_are_told),
		cmocka_unit_test(doubtful_extensions_are_refused),
		cmocka_unit_test(what_is_no_client_hello_is_refused),
		cmocka_unit_test(small_records_count_whole),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
