/* dns_test.c - queries as resolvers send them, what is refused, and the answers byte for byte */
#include "wire/dns.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#define HEADER "\x12\x34\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00"
#define NAME "\x03" "ApI" "\x07" "example" "\x00"
#define EDNS "\x00\x00\x29\x10\x00\x00\x00\x00\x00\x00\x00"

static struct dns_query query;
static enum dns_rcode rcode;

static void queries_are_read(void **state)
{
	(void)state;
	assert_int_equal(dns_parse_query(STR(HEADER NAME "\x00\x1c\x00\x01"), &query, &rcode), ERR_OK);
	assert_int_equal(rcode, DNS_OK);
	assert_int_equal(query.id, 0x1234);
	assert_int_equal(query.type, DNS_TYPE_AAAA);
	assert_string_equal(query.host, "api.example");
	assert_true(query.recursion_desired);
	assert_false(query.edns);
	assert_true(str_eq(query.question, STR(NAME "\x00\x1c\x00\x01")));
	assert_int_equal(dns_parse_query(STR("\x12\x34\x01\x20\x00\x01\x00\x00\x00\x00\x00\x01" NAME
					     "\x00\x01\x00\x01" EDNS),
					 &query, &rcode),
			 ERR_OK);
	assert_true(query.edns);
}

static void names_that_are_no_hosts_have_none(void **state)
{
	(void)state;
	static const struct str packet[] = {
		STR_INIT(HEADER "\x00\x00\x01\x00\x01"),			/* the root */
		STR_INIT(HEADER "\x03" "a.b" "\x00\x00\x01\x00\x01"),		/* a dot inside */
		STR_INIT(HEADER "\x03" "a\x00" "b" "\x00\x00\x01\x00\x01"),	/* a NUL inside */
		STR_INIT(HEADER "\x02" "\xc3\xa9" "\x00\x00\x01\x00\x01"),
		STR_INIT(HEADER "\x01" "1" "\x01" "2" "\x01" "3" "\x01" "4" "\x00\x00\x01\x00\x01"),
	};

	for (size_t i = 0; i < sizeof packet / sizeof *packet; i++) {
		assert_int_equal(dns_parse_query(packet[i], &query, &rcode), ERR_OK);
		assert_string_equal(query.host, "");
	}
}

static void what_is_no_query_is_refused(void **state)
{
	(void)state;
	static const struct {
		struct str packet;
		enum dns_rcode rcode;
	} bad[] = {
		{ STR_INIT(""), DNS_OK },
		{ STR_INIT("\x12\x34\x01\x00\x00\x01\x00\x00\x00\x00\x00"), DNS_OK },
		{ STR_INIT("\x12\x34\x81\x80\x00\x01\x00\x00\x00\x00\x00\x00" NAME "\x00\x01\x00\x01"),
		  DNS_OK },
		{ STR_INIT("\x12\x34\x28\x00\x00\x01\x00\x00\x00\x00\x00\x00" NAME "\x00\x01\x00\x01"),
		  DNS_NOTIMP },
		{ STR_INIT("\x12\x34\x03\x00\x00\x01\x00\x00\x00\x00\x00\x00" NAME "\x00\x01\x00\x01"),
		  DNS_FORMERR },
		{ STR_INIT("\x12\x34\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00"), DNS_FORMERR },
		{ STR_INIT("\x12\x34\x01\x00\x00\x02\x00\x00\x00\x00\x00\x00" NAME "\x00\x01\x00\x01"),
		  DNS_FORMERR },
		{ STR_INIT("\x12\x34\x01\x00\x00\x01\x00\x01\x00\x00\x00\x00" NAME "\x00\x01\x00\x01"),
		  DNS_FORMERR },
		{ STR_INIT(HEADER NAME "\x00\x01\x00\x03"), DNS_FORMERR },		/* class CHAOS */
		{ STR_INIT(HEADER NAME "\x00\x01\x00\x01x"), DNS_FORMERR },		/* a byte left over */
		{ STR_INIT(HEADER NAME "\x00\x01\x00"), DNS_FORMERR },
		{ STR_INIT(HEADER "\xc0\x0c\x00\x01\x00\x01"), DNS_FORMERR },		/* points at itself */
		{ STR_INIT(HEADER "\x09" "short" "\x00\x00\x01\x00\x01"), DNS_FORMERR },
		{ STR_INIT(HEADER "\x40"), DNS_FORMERR },
		{ STR_INIT("\x12\x34\x01\x00\x00\x01\x00\x00\x00\x00\x00\x01" NAME "\x00\x01\x00\x01" NAME),
		  DNS_FORMERR },
		{ STR_INIT("\x12\x34\x01\x00\x00\x01\x00\x00\x00\x00\x00\x01" NAME "\x00\x01\x00\x01"
			   "\x00\x00\x29\x10\x00\x00\x01\x00\x00\x00\x00"),
			   DNS_FORMERR },	/* EDNS version 1 */
	};

	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
		if (dns_parse_query(bad[i].packet, &query, &rcode) != ERR_DNS_MALFORMED ||
		    rcode != bad[i].rcode)
			fail_msg("packet %zu: rcode %d", i, (int)rcode);
		assert_int_equal(query.question.n, 0);
	}
}

static void a_name_has_a_limit(void **state)
{
	(void)state;
	auto_buf b = BUF_EMPTY;

	buf_init(&b, 1000);
	buf_put(&b, STR(HEADER));
	for (unsigned i = 0; i < 4; i++)
		buf_put(&b, STR("\x3f" "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"));
	buf_put(&b, STR("\x00\x00\x01\x00\x01"));
	assert_int_equal(dns_parse_query(buf_str(&b), &query, &rcode), ERR_DNS_MALFORMED);
	assert_int_equal(rcode, DNS_FORMERR);
}

static void answer(struct buf *b, enum dns_rcode code, struct str address)
{
	buf_init(b, DNS_ANSWER_MAX);
	assert_int_equal(dns_parse_query(STR(HEADER NAME "\x00\x01\x00\x01"), &query, &rcode), ERR_OK);
	assert_int_equal(dns_put_answer(b, &query, code, address), ERR_OK);
}

static void an_address_is_answered(void **state)
{
	(void)state;
	auto_buf b = BUF_EMPTY;

	answer(&b, DNS_OK, STR("\xc6\x12\x00\x05"));
	assert_true(str_eq(buf_str(&b),
			   STR("\x12\x34\x81\x80\x00\x01\x00\x01\x00\x00\x00\x00" NAME "\x00\x01\x00\x01"
			       "\xc0\x0c\x00\x01\x00\x01\x00\x00\x00\x3c\x00\x04\xc6\x12\x00\x05")));
}

#define SOA "\x00\x00\x06\x00\x01\x00\x00\x00\x3c\x00\x16\x00\x00\x00\x00\x00\x01" \
	    "\x00\x00\x00\x3c\x00\x00\x00\x3c\x00\x00\x00\x3c\x00\x00\x00\x3c"

static void a_name_that_is_not_is_answered(void **state)
{
	(void)state;
	auto_buf b = BUF_EMPTY, c = BUF_EMPTY;

	answer(&b, DNS_NXDOMAIN, STR(""));
	assert_true(str_eq(buf_str(&b), STR("\x12\x34\x81\x83\x00\x01\x00\x00\x00\x01\x00\x00" NAME
					    "\x00\x01\x00\x01" SOA)));
	answer(&c, DNS_OK, STR(""));
	assert_true(str_eq(buf_str(&c), STR("\x12\x34\x81\x80\x00\x01\x00\x00\x00\x01\x00\x00" NAME
					    "\x00\x01\x00\x01" SOA)));
}

static void an_error_is_answered_without_a_question(void **state)
{
	(void)state;
	auto_buf b = BUF_EMPTY;

	buf_init(&b, DNS_ANSWER_MAX);
	assert_int_equal(dns_parse_query(STR("\x12\x34\x28\x00\x00\x00\x00\x00\x00\x00\x00\x00"), &query,
					 &rcode),
			 ERR_DNS_MALFORMED);
	assert_int_equal(dns_put_answer(&b, &query, rcode, STR("")), ERR_OK);
	assert_true(str_eq(buf_str(&b), STR("\x12\x34\x80\x84\x00\x00\x00\x00\x00\x00\x00\x00")));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(queries_are_read),
		cmocka_unit_test(names_that_are_no_hosts_have_none),
		cmocka_unit_test(what_is_no_query_is_refused),
		cmocka_unit_test(a_name_has_a_limit),
		cmocka_unit_test(an_address_is_answered),
		cmocka_unit_test(a_name_that_is_not_is_answered),
		cmocka_unit_test(an_error_is_answered_without_a_question),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
