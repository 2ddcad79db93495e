/* address_test.c - which addresses may be dialled (I6) */
#include "courier/address.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#define COUNT(a) (sizeof(a) / sizeof(*(a)))

static struct address parsed(const char *text)
{
	struct address a;

	if (!address_parse(str_of(text), &a))
		fail_msg("%s is no address", text);
	return a;
}

static void special_addresses_are_refused(void **state)
{
	(void)state;
	static const char *const special[] = {
		"0.0.0.0", "0.1.2.3", "10.0.0.1", "10.255.255.255", "100.64.0.1", "100.100.100.200",
		"100.127.255.255",
		"127.0.0.1", "127.255.255.255", "168.63.129.16", "169.254.169.254", "169.254.0.1",
		"172.16.0.1",
		"172.31.255.255", "192.0.0.192", "192.0.2.1", "192.88.99.1", "192.168.0.1", "198.18.0.1",
		"198.19.255.255", "198.51.100.1", "203.0.113.1", "224.0.0.1", "239.255.255.250", "240.0.0.1",
		"255.255.255.255", "::", "::1", "::127.0.0.1", "::8.8.8.8", "::ffff:127.0.0.1",
		"::ffff:169.254.169.254", "::ffff:10.1.2.3", "64:ff9b::127.0.0.1", "64:ff9b::a9fe:a9fe",
		"64:ff9b:1::1", "100::1", "2001::1", "2001:db8::1", "2001:20::1", "2002:7f00:1::",
		"2002:808:808::1",
		"3fff::1", "4000::1", "fc00::1", "fd00:ec2::254", "fd12:3456::1", "fe80::1", "fec0::1",
		"ff02::1", "5f00::1",
	};

	for (size_t i = 0; i < COUNT(special); i++) {
		struct address a = parsed(special[i]);

		if (address_is_public(&a) || address_admit(&a, NULL) != ERR_ADDRESS_REFUSED)
			fail_msg("%s passes", special[i]);
	}
}

static void public_addresses_pass(void **state)
{
	(void)state;
	static const char *const everybodys[] = {
		"1.1.1.1", "8.8.8.8", "9.255.255.255", "11.0.0.0", "100.63.255.255", "100.128.0.0",
		"126.255.255.255",
		"128.0.0.0", "168.63.129.15", "169.253.255.255", "169.255.0.0", "172.15.255.255",
		"172.32.0.0",
		"192.0.1.0", "192.167.255.255", "192.169.0.0", "198.17.255.255", "198.20.0.0",
		"223.255.255.255", "2001:200::1", "2001:4860:4860::8888", "2606:4700::1111", "2a00::1",
		"3ffe::1", "::ffff:8.8.8.8", "64:ff9b::8.8.8.8",
	};

	for (size_t i = 0; i < COUNT(everybodys); i++) {
		struct address a = parsed(everybodys[i]);

		if (address_admit(&a, NULL) != ERR_OK)
			fail_msg("%s is refused", everybodys[i]);
	}
}

static void a_rule_can_name_an_address(void **state)
{
	(void)state;
	struct policy_cidr cidrs[2] = { { .prefix = 96 + 30 }, { .prefix = 7 } };
	struct policy_rule rule = { .address_count = 2, .addresses = cidrs };
	struct address a = parsed("10.1.2.4"), b = parsed("fc00::");

	memcpy(cidrs[0].address, a.bytes, 16);
	memcpy(cidrs[1].address, b.bytes, 16);
	static const struct { const char *text; enum err is; } cases[] = {
		{ "10.1.2.3", ERR_ADDRESS_REFUSED }, { "10.1.2.4", ERR_OK }, { "10.1.2.7", ERR_OK },
		{ "10.1.2.8", ERR_ADDRESS_REFUSED }, { "127.0.0.1", ERR_ADDRESS_REFUSED },
		{ "64:ff9b::10.1.2.4", ERR_ADDRESS_REFUSED }, { "fdff::1", ERR_OK },
		{ "fe80::1", ERR_ADDRESS_REFUSED }, { "8.8.8.8", ERR_OK },
	};

	for (size_t i = 0; i < COUNT(cases); i++) {
		struct address at = parsed(cases[i].text);

		if (address_admit(&at, &rule) != cases[i].is)
			fail_msg("%s", cases[i].text);
	}
	cidrs[0].prefix = 200;	/* no such prefix: names nothing */
	assert_int_equal(address_admit(&a, &rule), ERR_ADDRESS_REFUSED);
}

static void text_and_sockets_are_of_the_same_bytes(void **state)
{
	(void)state;
	struct sockaddr_storage to;
	struct sockaddr_in in;
	struct sockaddr_in6 in6;
	char text[ADDRESS_TEXT_BYTES];
	struct address a = parsed("192.0.2.7");

	assert_string_equal(address_text(&a, text), "192.0.2.7");
	assert_int_equal(address_socket(&a, 443, &to), sizeof in);
	memcpy(&in, &to, sizeof in);
	assert_int_equal(ntohs(in.sin_port), 443);
	assert_int_equal(ntohl(in.sin_addr.s_addr), 0xc0000207);
	a = parsed("2001:db8::7");
	assert_string_equal(address_text(&a, text), "2001:db8::7");
	assert_int_equal(address_socket(&a, 80, &to), sizeof in6);
	memcpy(&in6, &to, sizeof in6);
	assert_memory_equal(&in6.sin6_addr, a.bytes, 16);
	static const char *const none[] = { "", "a", "1.2.3", "1.2.3.4.5", "0x7f.0.0.1", "fe80::1%lo",
					    "[::1]" };

	for (size_t i = 0; i < COUNT(none); i++)
		assert_false(address_parse(str_of(none[i]), &a));
	assert_false(address_parse(STR("1.2.3.4\0"), &a));
	assert_false(address_of(STR("12345"), &a));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(special_addresses_are_refused),
		cmocka_unit_test(public_addresses_pass),
		cmocka_unit_test(a_rule_can_name_an_address),
		cmocka_unit_test(text_and_sockets_are_of_the_same_bytes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
