/* proxy_head_test.c - an explicit proxy's client: where to, and who asks; each doubt is a refusal of its own
 * kind */
#include "assert_str.h"
#include "base/auto.h"
#include "wire/proxy_head.h"

#define CONNECT "CONNECT api.example:443 HTTP/1.1\r\n"
#define GET "GET http://api.example/ HTTP/1.1\r\n"

static struct buf storage;

static int set_up(void **state)
{
	(void)state;
	buf_init(&storage, PROXY_TOKEN_MAX);
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	buf_free(&storage);
	return 0;
}

/* What is refused leaves *ret alone. */
static enum err parse(struct str text, struct proxy_head *ret)
{
	const struct proxy_head before = { .port = 9, .host = "before", .token = STR_INIT("before") };
	size_t scanned = 0, end;
	enum err e;

	*ret = before;
	assert_int_equal(http1_head_end(text, &scanned, &end), ERR_OK);
	e = proxy_head_parse(str_head(text, end), &storage, ret);
	if (e) {
		assert_true(ret->port == 9 && !ret->connect);
		assert_string_equal(ret->host, "before");
		assert_str(ret->token, "before");
	}
	return e;
}

static void places_are_read(void **state)
{
	(void)state;
	static const struct {
		const char *head;
		bool connect;
		const char *host;
		uint16_t port;
	} good[] = {
		{ CONNECT "\r\n", true, "api.example", 443 },
		{ CONNECT "Host: api.example:443\r\n\r\n", true, "api.example", 443 },
		{ CONNECT "Host:API.example.\r\nUser-Agent: curl/7\r\n\r\n", true, "api.example", 443 },
		{ "CONNECT API.Example.:22 HTTP/1.0\r\n\r\n", true, "api.example", 22 },
		{ "CONNECT 192.0.2.1:65535 HTTP/1.1\r\n\r\n", true, "192.0.2.1", 65535 },
		{ "CONNECT [2001:DB8:0::1]:443 HTTP/1.1\r\nhost: [2001:db8::1]\r\n\r\n", true, "2001:db8::1",
		  443 },
		{ GET "\r\n", false, "api.example", 80 },
		{ "POST HTTP://API.example:8080?q=http://b.example HTTP/1.0\r\n\r\n", false, "api.example",
		  8080 },
		{ "GET http://[::1]:81/a HTTP/1.1\r\n\r\n", false, "::1", 81 },
		/* http1.c looks at the rest of such a head */
		{ GET "Host: other.example\r\nContent-Length: 1\r\nX : y\r\n\r\n", false, "api.example", 80 },
	};

	for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
		struct proxy_head h;

		if (parse(str_of(good[i].head), &h))
			fail_msg("refused: %s", good[i].head);
		assert_true(h.connect == good[i].connect && h.port == good[i].port && h.token.n == 0);
		assert_string_equal(h.host, good[i].host);
	}
}

struct refusal {
	const char *head;
	enum err result;
};

static void each_is_refused(const struct refusal *bad, size_t count)
{
	struct proxy_head h;

	for (size_t i = 0; i < count; i++) {
		enum err e = parse(str_of(bad[i].head), &h);

		if (e != bad[i].result)
			fail_msg("%s, not %s: %s", err_name(e), err_name(bad[i].result), bad[i].head);
	}
}
#define EACH_IS_REFUSED(bad) each_is_refused(bad, sizeof(bad) / sizeof *(bad))

static void doubtful_request_lines_are_refused(void **state)
{
	(void)state;
	static const struct refusal bad[] = {
		{ "CONNECT\r\n\r\n", ERR_HEAD_MALFORMED },
		{ "CONNECT api.example:443\r\n\r\n", ERR_HEAD_MALFORMED },
		{ "CONNECT  HTTP/1.1\r\n\r\n", ERR_HEAD_MALFORMED },
		{ "CONNECT  api.example:443 HTTP/1.1\r\n\r\n", ERR_HEAD_MALFORMED },
		{ " CONNECT api.example:443 HTTP/1.1\r\n\r\n", ERR_HEAD_MALFORMED },
		{ "CONNECT api.example:443  HTTP/1.1\r\n\r\n", ERR_HEAD_MALFORMED },
		{ "CONNECT api.example:443 HTTP/1.1 \r\n\r\n", ERR_HEAD_VERSION },
		{ "CONNECT api.example:443 HTTP/2.0\r\n\r\n", ERR_HEAD_VERSION },
		{ "CONNECT api.example:443 http/1.1\r\n\r\n", ERR_HEAD_MALFORMED },
		{ "connect api.example:443 HTTP/1.1\r\n\r\n", ERR_HEAD_MALFORMED },
		{ "GET /a HTTP/1.1\r\nHost: api.example\r\n\r\n", ERR_HEAD_MALFORMED },
		{ "OPTIONS * HTTP/1.1\r\nHost: api.example\r\n\r\n", ERR_HEAD_MALFORMED },
		{ "GET https://api.example/ HTTP/1.1\r\n\r\n", ERR_PROTOCOL_UNKNOWN },
		{ "GET ftp://api.example/ HTTP/1.1\r\n\r\n", ERR_PROTOCOL_UNKNOWN },
	};

	EACH_IS_REFUSED(bad);
}

static void doubtful_authorities_are_refused(void **state)
{
	(void)state;
	static const struct refusal bad[] = {
		{ "CONNECT api.example HTTP/1.1\r\n\r\n", ERR_HEAD_MALFORMED },
		{ "CONNECT api.example: HTTP/1.1\r\n\r\n", ERR_HEAD_MALFORMED },
		{ "CONNECT :443 HTTP/1.1\r\n\r\n", ERR_HEAD_MALFORMED },
		{ "CONNECT api.example:0 HTTP/1.1\r\n\r\n", ERR_HEAD_MALFORMED },
		{ "CONNECT api.example:0443 HTTP/1.1\r\n\r\n", ERR_HEAD_MALFORMED },
		{ "CONNECT api.example:+443 HTTP/1.1\r\n\r\n", ERR_HEAD_MALFORMED },
		{ "CONNECT api.example:65536 HTTP/1.1\r\n\r\n", ERR_HEAD_MALFORMED },
		{ "CONNECT api.example:443:443 HTTP/1.1\r\n\r\n", ERR_HEAD_MALFORMED },
		{ "CONNECT user:pass@api.example:443 HTTP/1.1\r\n\r\n", ERR_HEAD_MALFORMED },
		{ "CONNECT user@api.example:443 HTTP/1.1\r\n\r\n", ERR_HEAD_MALFORMED },
		{ "CONNECT https://api.example:443 HTTP/1.1\r\n\r\n", ERR_HEAD_MALFORMED },
		{ "CONNECT api.example:443/ HTTP/1.1\r\n\r\n", ERR_HEAD_MALFORMED },
		{ "CONNECT 127.1:443 HTTP/1.1\r\n\r\n", ERR_HEAD_MALFORMED },
		{ "CONNECT 0x7f000001:443 HTTP/1.1\r\n\r\n", ERR_HEAD_MALFORMED },
		{ "CONNECT b\xc3\xbc" "cher.example:443 HTTP/1.1\r\n\r\n", ERR_HEAD_MALFORMED },
		/* without brackets: where does the address end? */
		{ "CONNECT 2001:db8::1:443 HTTP/1.1\r\n\r\n", ERR_HEAD_MALFORMED },
		{ "CONNECT [::1] HTTP/1.1\r\n\r\n", ERR_HEAD_MALFORMED },
		{ "CONNECT [::1:443 HTTP/1.1\r\n\r\n", ERR_HEAD_MALFORMED },
		{ "CONNECT ::1]:443 HTTP/1.1\r\n\r\n", ERR_HEAD_MALFORMED },
		{ "CONNECT [fe80::1%25eth0]:443 HTTP/1.1\r\n\r\n", ERR_HEAD_MALFORMED },
		{ "GET http://user@api.example/ HTTP/1.1\r\n\r\n", ERR_HEAD_MALFORMED },
		{ "GET http://api.example#@b.example/ HTTP/1.1\r\n\r\n", ERR_HEAD_MALFORMED },
		{ "GET http://api.example\\@b.example/ HTTP/1.1\r\n\r\n", ERR_HEAD_MALFORMED },
		{ "GET http://api.example:080/ HTTP/1.1\r\n\r\n", ERR_HEAD_MALFORMED },
		{ "GET http:///a HTTP/1.1\r\n\r\n", ERR_HEAD_MALFORMED },
		{ "GET http:api.example/ HTTP/1.1\r\n\r\n", ERR_HEAD_MALFORMED },
	};

	EACH_IS_REFUSED(bad);
}

static void doubtful_fields_of_a_connect_are_refused(void **state)
{
	(void)state;
	static const struct refusal bad[] = {
		{ CONNECT "Host: other.example:443\r\n\r\n", ERR_NAME_MISMATCH },
		{ CONNECT "Host: api.example:8443\r\n\r\n", ERR_NAME_MISMATCH },
		{ CONNECT "Host: api.example:443\r\nHost: api.example:443\r\n\r\n", ERR_HEAD_MALFORMED },
		{ CONNECT "Host: api.example\r\nHost: other.example\r\n\r\n", ERR_HEAD_MALFORMED },
		{ CONNECT "Host: api.example, other.example\r\n\r\n", ERR_HEAD_MALFORMED },
		{ CONNECT "Host:\r\n\r\n", ERR_HEAD_MALFORMED },
		{ CONNECT "Host : api.example\r\n\r\n", ERR_HEAD_MALFORMED },
		{ CONNECT "Host\r\n\r\n", ERR_HEAD_MALFORMED },
		{ CONNECT ": api.example\r\n\r\n", ERR_HEAD_MALFORMED },
		{ CONNECT "X-A: b\r\n c\r\n\r\n", ERR_HEAD_MALFORMED },
		{ CONNECT " X-A: b\r\n\r\n", ERR_HEAD_MALFORMED },
		{ CONNECT "Proxy-Authorization : Bearer t\r\n\r\n", ERR_HEAD_MALFORMED },
		{ CONNECT "Content-Length: 0\r\n\r\n", ERR_BODY_FRAMING },
		{ CONNECT "Transfer-Encoding: chunked\r\n\r\n", ERR_BODY_FRAMING },
	};

	EACH_IS_REFUSED(bad);
}

/* http1_head_end() lets none of these come so far: they are refused without it too. */
static void what_no_head_has_is_refused(void **state)
{
	(void)state;
	static const struct str bad[] = {
		STR_INIT(CONNECT "X: a\x01" "b\r\n\r\n"), STR_INIT(CONNECT "X: a\nb\r\n\r\n"),
		STR_INIT(CONNECT "X: a\rb\r\n\r\n"), STR_INIT(CONNECT "X: a\0b\r\n\r\n"),
		STR_INIT(CONNECT "X: a\r\n"), STR_INIT(CONNECT "X: a"), STR_INIT(CONNECT),
		STR_INIT("CONNECT a:1 HTTP/1.1\r"), STR_INIT("CONNECT a:1 HTTP/1.1"), STR_INIT("\r\n"),
		STR_INIT(""), STR_INIT("CONNECT a\0:1 HTTP/1.1\r\n\r\n"),
		STR_INIT("CONNECT a:1\0 HTTP/1.1\r\n\r\n"),
	};
	struct proxy_head h;

	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
		if (proxy_head_parse(bad[i], &storage, &h) != ERR_HEAD_MALFORMED)
			fail_msg("taken: %zu", i);
}

static void tokens_are_read(void **state)
{
	(void)state;
	static const struct {
		const char *head, *token;
	} good[] = {
		{ CONNECT "Proxy-Authorization: Bearer pdk_01\r\n\r\n", "pdk_01" },
		{ CONNECT "proxy-AUTHORIZATION:bearer pdk_01 \t\r\nHost: api.example\r\n\r\n", "pdk_01" },
		{ CONNECT "Proxy-Authorization: Basic dXNlcjpwZGtfMDE=\r\n\r\n", "pdk_01" }, /* user:pdk_01 */
		{ CONNECT "Proxy-Authorization: BASIC OmE6Yg==\r\n\r\n", "a:b" },	     /* :a:b */
		{ GET "Proxy-Authorization: Basic dXNlcjpwZGtfMDE=\r\n\r\n", "pdk_01" },
	};
	struct proxy_head h;

	for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
		assert_int_equal(parse(str_of(good[i].head), &h), ERR_OK);
		assert_str(h.token, good[i].token);
	}
	/* what an earlier head said is no token of this one */
	assert_int_equal(parse(STR(CONNECT "\r\n"), &h), ERR_OK);
	assert_true(h.token.n == 0 && storage.len == 0);
}

static void doubtful_tokens_are_refused(void **state)
{
	(void)state;
	static const struct refusal bad[] = {
		{ CONNECT "Proxy-Authorization: Bearer a\r\nProxy-Authorization: Bearer a\r\n\r\n",
		  ERR_HEAD_MALFORMED },
		{ CONNECT "Proxy-Authorization: Basic OmE=\r\nproxy-authorization: Bearer a\r\n\r\n",
		  ERR_HEAD_MALFORMED },
		{ CONNECT "Proxy-Authorization:\r\n\r\n", ERR_HEAD_MALFORMED },
		{ CONNECT "Proxy-Authorization: Bearer\r\n\r\n", ERR_HEAD_MALFORMED },
		{ CONNECT "Proxy-Authorization: pdk_01\r\n\r\n", ERR_HEAD_MALFORMED },
		{ CONNECT "Proxy-Authorization: Negotiate YII=\r\n\r\n", ERR_HEAD_MALFORMED },
		{ CONNECT "Proxy-Authorization: Basic\r\n\r\n", ERR_HEAD_MALFORMED },
		{ CONNECT "Proxy-Authorization: Basic dXNlcg==\r\n\r\n", ERR_HEAD_MALFORMED }, /* user */
		{ CONNECT "Proxy-Authorization: Basic dXNlcjo=\r\n\r\n", ERR_HEAD_MALFORMED }, /* user: */
		{ CONNECT "Proxy-Authorization: Basic dXNlcjpw!\r\n\r\n", ERR_HEAD_MALFORMED },
		{ CONNECT "Proxy-Authorization: Basic OmF\r\n\r\n", ERR_HEAD_MALFORMED },
		{ CONNECT "Proxy-Authorization: Basic OmE=, Bearer a\r\n\r\n", ERR_HEAD_MALFORMED },
		{ GET "Proxy-Authorization: Digest x\r\n\r\n", ERR_HEAD_MALFORMED },
		{ GET "Proxy-Authorization: Bearer a\r\nProxy-Authorization: Bearer b\r\n\r\n",
		  ERR_HEAD_MALFORMED },
	};

	EACH_IS_REFUSED(bad);
}

static void tokens_have_a_limit(void **state)
{
	(void)state;
	for (size_t n = PROXY_TOKEN_MAX - 1; n <= PROXY_TOKEN_MAX + 1; n++) {
		const enum err bearer = n <= PROXY_TOKEN_MAX ? ERR_OK : ERR_HEAD_MALFORMED;
		const enum err basic = n < PROXY_TOKEN_MAX ? ERR_OK : ERR_HEAD_MALFORMED; /* with its colon */
		auto_buf head = BUF_EMPTY, text = BUF_EMPTY;
		struct proxy_head h;

		buf_init(&head, 4096);
		buf_init(&text, 4096);
		buf_put_z(&text, ":");
		buf_put_z(&head, CONNECT "Proxy-Authorization: Bearer ");
		for (size_t i = 0; i < n; i++) {
			buf_put_byte(&head, 't');
			buf_put_byte(&text, 't');
		}
		buf_put_z(&head, "\r\n\r\n");
		assert_int_equal(parse(buf_str(&head), &h), bearer);
		assert_int_equal(h.token.n, bearer ? strlen("before") : n);
		buf_clear(&head);
		buf_put_z(&head, CONNECT "Proxy-Authorization: Basic ");
		buf_put_base64(&head, buf_str(&text));
		buf_put_z(&head, "\r\n\r\n");
		assert_int_equal(parse(buf_str(&head), &h), basic);
		assert_int_equal(h.token.n, basic ? strlen("before") : n);
	}
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		T(places_are_read), T(doubtful_request_lines_are_refused),
		T(doubtful_authorities_are_refused), T(doubtful_fields_of_a_connect_are_refused),
		T(what_no_head_has_is_refused), T(tokens_are_read), T(doubtful_tokens_are_refused),
		T(tokens_have_a_limit),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
