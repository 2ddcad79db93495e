/* head_test.c - one form of each head and host, and nothing but it */
#include "wire/head.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

static struct head request(void)
{
	struct head h = {
		.kind = HEAD_REQUEST, .scheme = HEAD_HTTPS, .framing = HEAD_BODY_LENGTH, .port = 443,
		.length = 7,
		.method = STR_INIT("POST"), .host = STR_INIT("api.example.com"),
		.path = STR_INIT("/v1/%2F/x"), .query = STR_INIT("a=%2f&b"), .has_query = true,
		.field_count = 2,
		.fields = { { STR_INIT("host"), STR_INIT("api.example.com") },
			    { STR_INIT("te"), STR_INIT("trailers") } },
	};

	return h;
}

static void set_field(struct head *h, const char *name, const char *value)
{
	h->fields[1] = (struct head_field){ str_of(name), str_of(value) };
}

static void a_head_survives(void **state)
{
	(void)state;
	struct head in = request(), out;
	auto_buf b = BUF_EMPTY, again = BUF_EMPTY;

	buf_init(&b, HEAD_MAX_BYTES);
	buf_init(&again, HEAD_MAX_BYTES);
	assert_int_equal(head_encode(&in, &b), ERR_OK);
	assert_int_equal(head_decode(buf_str(&b), &out), ERR_OK);
	assert_int_equal(head_encode(&out, &again), ERR_OK);
	assert_true(str_eq(buf_str(&b), buf_str(&again)));
	assert_true(str_eq(out.path, in.path) && str_eq(out.query, in.query) && out.length == 7);
	for (size_t n = 0; n < b.len; n++)
		assert_int_equal(head_decode(str_head(buf_str(&b), n), &out), ERR_HEAD_MALFORMED);
	buf_put_byte(&b, 0);
	assert_int_equal(head_decode(buf_str(&b), &out), ERR_HEAD_MALFORMED);
}

#define REFUSED(change) do { \
		struct head h = request(); \
		change; \
		assert_int_equal(head_check(&h), ERR_HEAD_MALFORMED); \
	} while (0)
#define ACCEPTED(change) do { \
		struct head h = request(); \
		change; \
		assert_int_equal(head_check(&h), ERR_OK); \
	} while (0)

static void request_rules(void **state)
{
	(void)state;
	REFUSED(h.kind = (enum head_kind)0);
	REFUSED(h.kind = (enum head_kind)4);
	REFUSED(h.scheme = (enum head_scheme)0);
	REFUSED(h.scheme = (enum head_scheme)3);
	REFUSED(h.framing = (enum head_framing)3);
	REFUSED(h.framing = HEAD_BODY_NONE);		/* and a length */
	REFUSED(h.port = 0);
	REFUSED(h.port = 8443);				/* Host says the default */
	ACCEPTED(h.port = 8443; h.fields[0].value = STR("api.example.com:8443"));
	REFUSED(h.fields[0].value = STR("api.example.com:443"));
	ACCEPTED(h.scheme = HEAD_HTTP; h.port = 80);
	REFUSED(h.status = 200);
	REFUSED(h.final = true);
	REFUSED(h.trailers = true);			/* only after a streamed body */
	ACCEPTED(h.trailers = true; h.framing = HEAD_BODY_STREAMED; h.length = 0);
	REFUSED(h.method = STR("CONNECT"));
	REFUSED(h.method = STR(""));
	REFUSED(h.method = STR("A B"));
	REFUSED(h.host = STR("API.example.com"));
	REFUSED(h.fields[0].value = STR("other.example.com"));
	REFUSED(h.has_query = false);
	ACCEPTED(h.has_query = false; h.query = STR(""));
	ACCEPTED(h.query = STR(""));
	REFUSED(h.path = STR("*"));
	ACCEPTED(h.path = STR("*"); h.method = STR("OPTIONS"); h.has_query = false; h.query = STR(""));
	ACCEPTED(h.host = STR("::1"); h.fields[0].value = STR("[::1]"));
	REFUSED(h.host = STR("::1"); h.fields[0].value = STR("::1"));
	REFUSED(h.field_count = 0);			/* no Host */
	REFUSED(set_field(&h, "host", "api.example.com"));
}

static void field_rules(void **state)
{
	(void)state;
	static const char *const refused[][2] = {
		{ "Accept", "x" }, { "", "x" }, { "a b", "x" }, { "a:", "x" }, { "x", " y" }, { "x", "y\t" },
		{ "x", "a\rb" }, { "x", "a\nb" }, { "x", "\x7f" }, { "connection", "close" },
		{ "keep-alive", "x" },
		{ "proxy-connection", "x" }, { "transfer-encoding", "chunked" }, { "te", "gzip" },
		{ "upgrade", "h2c" }, { "trailer", "x" }, { "expect", "100-continue" },
		{ "content-length", "7" }, { "proxy-authorization", "x" }, { "x\xc3\xa9", "x" },
		{ "content_length", "7" }, { "transfer_encoding", "chunked" },
	};
	static const char *const accepted[][2] = {
		{ "accept", "x" }, { "x", "" }, { "x", "a b\tc" }, { "x", "caf\xc3\xa9" }, { "x_y!#", "z" },
	};

	for (size_t i = 0; i < sizeof refused / sizeof *refused; i++)
		REFUSED(set_field(&h, refused[i][0], refused[i][1]));
	for (size_t i = 0; i < sizeof accepted / sizeof *accepted; i++)
		ACCEPTED(set_field(&h, accepted[i][0], accepted[i][1]));
}

static void answers_and_trailers(void **state)
{
	(void)state;
	struct head h = { .kind = HEAD_RESPONSE, .status = 200, .final = true,
			  .framing = HEAD_BODY_STREAMED };

	assert_int_equal(head_check(&h), ERR_OK);
	h.final = false;
	assert_int_equal(head_check(&h), ERR_HEAD_MALFORMED);
	h.status = 103;
	assert_int_equal(head_check(&h), ERR_HEAD_MALFORMED);	/* and a body */
	h.framing = HEAD_BODY_NONE;
	assert_int_equal(head_check(&h), ERR_OK);
	h.status = 99;
	assert_int_equal(head_check(&h), ERR_HEAD_MALFORMED);
	h.status = 600;
	h.final = true;
	assert_int_equal(head_check(&h), ERR_HEAD_MALFORMED);
	h.status = 200;
	h.path = STR("/");
	assert_int_equal(head_check(&h), ERR_HEAD_MALFORMED);
	h = (struct head){ .kind = HEAD_TRAILERS };
	assert_int_equal(head_add(&h, STR("grpc-status"), STR("0")), ERR_OK);
	assert_int_equal(head_check(&h), ERR_OK);
	assert_int_equal(head_add(&h, STR("authorization"), STR("x")), ERR_OK);
	assert_int_equal(head_check(&h), ERR_HEAD_MALFORMED);
	assert_int_equal(head_remove(&h, STR("authorization")), 1);
	assert_int_equal(head_check(&h), ERR_OK);
	h.status = 200;
	assert_int_equal(head_check(&h), ERR_HEAD_MALFORMED);
}

static void paths(void **state)
{
	(void)state;
	static const char *const good[] = {
		"/", "//", "/a/b", "/a%2Fb", "/%C3%A9", "/...", "/.a", "/a.", "/a;b=c", "/:@!$&'()*+,=~_-",
		"/%252E",
		"/.%2E.", "/%5C", "/a;.", "/%20", "/a%2F...", "/a%2F.b", "/@a%2Fb", "/a%2F%2Fb", "/a..%2Fb",
		"/%2F",
	};
	static const char *const bad[] = {
		"", "a", "/.", "/..", "/./", "/a/../b", "/a/..", "/%2E", "/%2E%2E/x", "/.%2E", "/%2e%2e",
		"/%2f",
		"/%00", "/%1F", "/%7F", "/%", "/%2", "/%GG", "/a b", "/a?b", "/a#b", "/\x80", "/a\\b", "/\"",
		"/<", "/[", "/..;/x", "/.;a", "/^", "/|", "/{", "*",
		"/a/%2E%2E%2Fb", "/a/..%2Fb", "/a%2F..", "/a%2F../b", "/a%2F%2E%2E%2Fb", "/a%2F.%2Fb",
		"/a%5C..%5Cb", "/..%5Cb", "/a%2F..;x/b", "/a%2F..%3Bx/b", "/..%3B/b", "/%2F..",
		"/a%2Fb%5C.%2E",
	};

	for (size_t i = 0; i < sizeof good / sizeof *good; i++)
		if (!path_check(str_of(good[i])))
			fail_msg("%s", good[i]);
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
		if (path_check(str_of(bad[i])))
			fail_msg("%s", bad[i]);
	assert_false(path_check(STR("/a\0b")));
	assert_true(query_check(STR("a=/?:@%2f%00")));
	assert_false(query_check(STR("a b")));
	assert_false(query_check(STR("a%2")));
	assert_false(query_check(STR("a#")));
	assert_false(query_check(STR("[")));
}

static void hosts(void **state)
{
	(void)state;
	static const struct {
		const char *raw, *want;
		enum host_type type;
	} good[] = {
		{ "Example.COM", "example.com", HOST_NAME }, { "example.com.", "example.com", HOST_NAME },
		{ "localhost", "localhost", HOST_NAME }, { "_dmarc.x-y.z", "_dmarc.x-y.z", HOST_NAME },
		{ "1.example", "1.example", HOST_NAME }, { "0xg", "0xg", HOST_NAME },
		{ "1.2.3.a4", "1.2.3.a4", HOST_NAME },
		{ "127.0.0.1", "127.0.0.1", HOST_IPV4 }, { "255.255.255.255.", "255.255.255.255", HOST_IPV4 },
		{ "[::1]", "::1", HOST_IPV6 }, { "::", "::", HOST_IPV6 },
		{ "2001:DB8:0:0:1:0:0:1", "2001:db8::1:0:0:1", HOST_IPV6 },
		{ "2001:db8:0:1:1:1:1:1", "2001:db8:0:1:1:1:1:1", HOST_IPV6 },
		{ "[FE80:0::0001]", "fe80::1", HOST_IPV6 },
		{ "1:0:0:0:0:0:0:0", "1::", HOST_IPV6 }, { "::ffff:7f00:1", "::ffff:127.0.0.1", HOST_IPV6 },
		{ "0:0:1::", "0:0:1::", HOST_IPV6 },
	};
	static const char *const bad[] = {
		"", ".", "..", "a..b", ".a", "a.b..", "-a", "a-", "a.-b", "a b", "a/b", "a@b", "a:1", "127.1",
		"2130706433",
		"0177.0.0.1", "127.0.0.01", "127.0.0.256", "0x7f.0.0.1", "0x7f000001", "1.2.3.0x4", "0x",
		"1.2.3.4.5",
		"a.1", "[127.0.0.1]", "[example.com]", "[::1", "::1]", "::1%eth0", "[fe80::1%25lo]", ":::",
		"1::2::3", "caf\xc3\xa9.fr", "a\x01", "%61", "12345::", "[]", "[[::1]]", "a%00b",
	};
	char out[HEAD_HOST_MAX + 1];

	for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
		if (host_canonical(str_of(good[i].raw), out))
			fail_msg("%s", good[i].raw);
		assert_string_equal(out, good[i].want);
		assert_int_equal(host_type(str_of(out)), good[i].type);
		if (strcmp(good[i].raw, good[i].want) != 0)
			assert_int_equal(host_type(str_of(good[i].raw)), HOST_INVALID);
	}
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
		if (!host_canonical(str_of(bad[i]), out))
			fail_msg("%s", bad[i]);
		assert_int_equal(host_type(str_of(bad[i])), HOST_INVALID);
	}
	assert_int_equal(host_canonical(STR("a\0b"), out), ERR_HEAD_MALFORMED);
	assert_int_equal(host_canonical(STR("::1\0"), out), ERR_HEAD_MALFORMED);
}

static void lengths(void **state)
{
	(void)state;
	static char letters[70000];
	struct head h = request();
	char out[HEAD_HOST_MAX + 1], name[300];
	auto_buf b = BUF_EMPTY;

	memset(letters, 'a', sizeof letters);
	letters[0] = '/';
	h.path = str_make(letters, HEAD_PATH_MAX);
	assert_int_equal(head_check(&h), ERR_OK);
	h.path.n++;
	assert_int_equal(head_check(&h), ERR_HEAD_TOO_LARGE);
	h = request();
	h.fields[1] = (struct head_field){ STR("x"), str_make(letters, 65000) };
	assert_int_equal(head_check(&h), ERR_OK);
	buf_init(&b, 100);
	assert_int_equal(head_encode(&h, &b), ERR_LIMIT);
	h.fields[1].value.n = 65535;
	assert_int_equal(head_check(&h), ERR_HEAD_TOO_LARGE);
	h = request();
	while (h.field_count < HEAD_FIELDS_MAX)
		assert_int_equal(head_add(&h, STR("x"), STR("")), ERR_OK);
	assert_int_equal(head_add(&h, STR("x"), STR("")), ERR_HEAD_TOO_LARGE);
	assert_int_equal(head_check(&h), ERR_OK);
	assert_non_null(head_find(&h, STR("x")));
	assert_null(head_find(&h, STR("y")));
	assert_int_equal(head_remove(&h, STR("x")), HEAD_FIELDS_MAX - 2);
	assert_int_equal(h.field_count, 2);
	h = request();
	h.method = STR("ABCDEFGHIJKLMNOPQRSTUVWXYZABCDEF");	/* 32 */
	assert_int_equal(head_check(&h), ERR_OK);
	h.method = STR("ABCDEFGHIJKLMNOPQRSTUVWXYZABCDEFG");
	assert_int_equal(head_check(&h), ERR_HEAD_MALFORMED);
	memset(name, 'a', sizeof name);
	for (size_t i = 63; i < sizeof name; i += 64)
		name[i] = '.';
	assert_int_equal(host_canonical(str_make(name, 253), out), ERR_OK);
	assert_int_equal(host_canonical(str_make(name, 254), out), ERR_HEAD_MALFORMED);
	name[63] = 'a';		/* a label of 64 and more */
	assert_int_equal(host_canonical(str_make(name, 100), out), ERR_HEAD_MALFORMED);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_head_survives),
		cmocka_unit_test(request_rules),
		cmocka_unit_test(field_rules),
		cmocka_unit_test(answers_and_trailers),
		cmocka_unit_test(paths),
		cmocka_unit_test(hosts),
		cmocka_unit_test(lengths),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
