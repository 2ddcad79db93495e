/* http2_test.c - HTTP/2 fields to canonical heads and back: what is taken, what is refused */
#include "assert_str.h"
#include "wire/http1.h"
#include "wire/http2.h"

static struct http2_fields fields;
static struct head head;
static struct http2_nv nv[HTTP2_NV_MAX];
static struct buf storage;

static int setup(void **state)
{
	(void)state;
	http2_fields_init(&fields);
	buf_init(&storage, HTTP2_PUT_STORAGE_MAX);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	http2_fields_free(&fields);
	buf_free(&storage);
	return 0;
}

/* "name value" lines; the name ends at the first space */
static void collect(const char *lines)
{
	struct str rest = str_of(lines);

	http2_fields_clear(&fields);
	while (rest.n) {
		struct str line = str_head(rest, str_find(rest, '\n'));
		size_t space = str_find(line, ' ');

		http2_fields_add(&fields, str_head(line, space), str_from(line, space + 1));
		rest = str_from(rest, line.n + 1);
	}
}

static enum err request(const char *lines, bool end_stream)
{
	collect(lines);
	return http2_request(&fields, HEAD_HTTPS, end_stream, &head);
}

static enum err response(const char *lines, const char *method, bool end_stream)
{
	collect(lines);
	return http2_response(&fields, str_of(method), end_stream, &head);
}

#define GET_A ":method GET\n:scheme https\n:authority a.example\n:path /\n"
#define POST_A ":method POST\n:scheme https\n:authority a.example\n:path /\n"

static void request_becomes_canonical(void **state)
{
	(void)state;
	assert_int_equal(request(":method GET\n:scheme https\n:authority A.Example:443\n"
				 ":path /@scope%2fname;v=1?a=b&c[]=%2f|x\nuser-agent x/1\nte trailers\n"
				 "cookie a=1\nempty \ncookie b=2\ncookie \ncookie c=3\naccept */*\nhost a.example\n", true),
			 ERR_OK);
	assert_str(head.method, "GET");
	assert_str(head.host, "a.example");
	assert_int_equal(head.port, 443);
	assert_str(head.path, "/@scope%2Fname;v=1");
	assert_str(head.query, "a=b&c%5B%5D=%2f%7Cx");
	assert_int_equal(head.framing, HEAD_BODY_NONE);
	assert_int_equal(head.field_count, 6);
	assert_str(head.fields[0].name, "host");
	assert_str(head.fields[0].value, "a.example");
	assert_str(head.fields[1].value, "x/1");
	assert_str(head.fields[2].name, "te");
	assert_str(head.fields[3].name, "cookie");
	assert_str(head.fields[3].value, "a=1; b=2; c=3");
	assert_str(head.fields[4].name, "empty");
	assert_str(head.fields[5].value, "*/*");
}

static void request_framing(void **state)
{
	(void)state;
	assert_int_equal(request(POST_A, false), ERR_OK);
	assert_int_equal(head.framing, HEAD_BODY_STREAMED);
	assert_true(head.trailers);
	assert_int_equal(request(POST_A "content-length 5\nexpect 100-continue\n", false), ERR_OK);
	assert_int_equal(head.framing, HEAD_BODY_LENGTH);
	assert_int_equal(head.length, 5);
	assert_true(fields.expect_continue);
	assert_int_equal(request(POST_A "content-length 0\n", true), ERR_OK);
	assert_int_equal(head.framing, HEAD_BODY_LENGTH);
	assert_int_equal(request(POST_A "content-length 5\n", true), ERR_BODY_FRAMING);
	assert_int_equal(request(POST_A "content-length 5\ncontent-length 5\n", false), ERR_BODY_FRAMING);
	assert_int_equal(request(POST_A "content-length +5\n", false), ERR_BODY_FRAMING);
	assert_int_equal(request(POST_A "content-length 5, 5\n", false), ERR_BODY_FRAMING);
	assert_int_equal(request(POST_A "content-length 99999999999999999\n", false), ERR_BODY_TOO_LARGE);
}

static void request_targets(void **state)
{
	(void)state;
	assert_int_equal(request(":method OPTIONS\n:scheme https\n:authority a.example\n:path *\n", true),
			 ERR_OK);
	assert_str(head.path, "*");
	assert_int_equal(request(":method GET\n:scheme HTTPS\n:path /\nhost [::1]:8443\n", true), ERR_OK);
	assert_str(head.host, "::1");
	assert_int_equal(head.port, 8443);
	assert_str(head.fields[0].value, "[::1]:8443");
}

static void malformed_requests_are_refused(void **state)
{
	(void)state;
	static const char *const bad[] = {
		":method GET\n:scheme https\n:authority a.example\n",			/* no path */
		":method GET\n:authority a.example\n:path /\n",				/* no scheme */
		":scheme https\n:authority a.example\n:path /\n",			/* no method */
		":method GET\n:scheme https\n:path /\n",				/* no authority, no host */
		":method GET\n:scheme http\n:authority a.example\n:path /\n",		/* another scheme */
		":method GET\n:scheme https\n:authority a.example\n:path \n",
		":method GET\n:scheme https\n:authority a.example\n:path x\n",
		":method GET\n:scheme https\n:authority a.example\n:path *\n",
		":method GET\n:scheme https\n:authority a.example\n:path https://b.example/\n",
		":method GET\n:scheme https\n:authority a.example\n:path /a/../b\n",
		":method GET\n:scheme https\n:authority a.example\n:path /a#b\n",
		":method GET\n:scheme https\n:authority a.example\n:path /a b\n",
		":method GET\n:scheme https\n:authority a.example\n:path /\r\nx: y\n",	/* a CR in the path */
		":method GE T\n:scheme https\n:authority a.example\n:path /\n",
		":method GET\n:scheme https\n:authority u@a.example\n:path /\n",
		":method GET\n:scheme https\n:authority \n:path /\n",
		":method GET\n:scheme https\n:authority a.example:\n:path /\n",
		":method GET\n:scheme https\n:authority a.example:0443\n:path /\n",
		":method GET\n:scheme https\n:authority 127.1\n:path /\n",
		GET_A ":method POST\n", GET_A ":path /x\n", GET_A ":authority a.example\n",
		GET_A ":status 200\n",
		GET_A ":protocol websocket\n", GET_A ":unknown x\n", GET_A ": x\n", GET_A "x 1\n:path /\n",
		GET_A "X-Upper 1\n", GET_A "a:b 1\n", GET_A "x\ty 1\n", GET_A " 1\n", GET_A "x  1\n",
		GET_A "x 1 \n",
		GET_A "x a\rb\n", GET_A "connection close\n", GET_A "keep-alive 5\n",
		GET_A "proxy-connection x\n",
		GET_A "transfer-encoding chunked\n", GET_A "upgrade h2c\n", GET_A "te gzip\n",
		GET_A "expect 200\n",
		GET_A "host a.example\nhost a.example\n", GET_A "content_length 5\n",
		GET_A "transfer_encoding x\n",
	};

	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
		if (request(bad[i], true) != ERR_HEAD_MALFORMED)
			fail_msg("taken: %s", bad[i]);
	http2_fields_clear(&fields);
	assert_int_equal(http2_request(&fields, HEAD_HTTPS, true, &head), ERR_HEAD_MALFORMED);
	collect(GET_A);
	http2_fields_add(&fields, STR("x"), STR("a\0b"));
	assert_int_equal(http2_request(&fields, HEAD_HTTPS, true, &head), ERR_HEAD_MALFORMED);
	collect(GET_A);
	http2_fields_add(&fields, STR("x"), STR("a\nhost: b"));
	assert_int_equal(http2_request(&fields, HEAD_HTTPS, true, &head), ERR_HEAD_MALFORMED);
}

static void authority_and_host_agree(void **state)
{
	(void)state;
	assert_int_equal(request(GET_A "host b.example\n", true), ERR_NAME_MISMATCH);
	assert_int_equal(request(GET_A "host a.example:444\n", true), ERR_NAME_MISMATCH);
	assert_int_equal(request(GET_A "host A.EXAMPLE:443\n", true), ERR_OK);
	assert_int_equal(request(GET_A "host a.example:\n", true), ERR_HEAD_MALFORMED);
}

static void connect_is_for_websockets(void **state)
{
	(void)state;
#define CONNECT_A ":method CONNECT\n:scheme https\n:authority a.example\n:path /chat?x=1\n"
	assert_int_equal(request(CONNECT_A ":protocol websocket\nsec-websocket-version 13\nsec-websocket-key x\n"
				 "sec-websocket-extensions permessage-deflate\nsec-websocket-protocol chat\n"
				 "origin https://a.example\n", false),
			 ERR_OK);
	assert_true(head.websocket);
	assert_str(head.method, "GET");
	assert_str(head.path, "/chat");
	assert_int_equal(head.framing, HEAD_BODY_NONE);
	assert_int_equal(head.field_count, 3);
	assert_non_null(head_find(&head, STR("sec-websocket-protocol")));
	assert_int_equal(request(CONNECT_A ":protocol websocket\n", true), ERR_BODY_FRAMING);
	assert_int_equal(request(CONNECT_A ":protocol websocket\ncontent-length 0\n", false),
			 ERR_BODY_FRAMING);
	assert_int_equal(request(CONNECT_A ":protocol connect-udp\n", false), ERR_UPGRADE_REFUSED);
	assert_int_equal(request(CONNECT_A ":protocol websocket\nsec-websocket-version 8\n", false),
			 ERR_UPGRADE_REFUSED);
	assert_int_equal(request(CONNECT_A, false), ERR_UPGRADE_REFUSED);
	assert_int_equal(request(":method CONNECT\n:authority a.example:443\n", false), ERR_UPGRADE_REFUSED);
}

static void lists_are_bounded(void **state)
{
	(void)state;
	static char big[HTTP2_HEADER_LIST_MAX];

	memset(big, 'a', sizeof big);
	collect(GET_A);
	http2_fields_add(&fields, STR("x"), str_make(big, sizeof big));
	assert_int_equal(fields.failure, ERR_HEAD_TOO_LARGE);
	assert_int_equal(http2_request(&fields, HEAD_HTTPS, true, &head), ERR_HEAD_TOO_LARGE);
	collect(GET_A);
	http2_fields_add(&fields, STR("x"), str_make(big, 50000));
	assert_int_equal(http2_request(&fields, HEAD_HTTPS, true, &head), ERR_OK);
	collect(GET_A);
	for (unsigned i = 0; i < HEAD_FIELDS_MAX + 8; i++)
		http2_fields_add(&fields, STR("x"), STR("y"));
	assert_int_equal(http2_request(&fields, HEAD_HTTPS, true, &head), ERR_HEAD_TOO_LARGE);
	collect(":method GET\n:scheme https\n:authority a.example\n");
	http2_fields_add(&fields, STR(":path"), str_make(big, 40000));
	assert_int_equal(http2_request(&fields, HEAD_HTTPS, true, &head), ERR_HEAD_TOO_LARGE);
}

static void answers(void **state)
{
	(void)state;
	assert_int_equal(response(":status 200\ncontent-type x\n", "GET", false), ERR_OK);
	assert_true(head.final && head.trailers && head.framing == HEAD_BODY_STREAMED &&
		    head.field_count == 1);
	assert_int_equal(response(":status 200\n", "GET", true), ERR_OK);
	assert_int_equal(head.framing, HEAD_BODY_NONE);
	assert_int_equal(response(":status 200\ncontent-length 7\n", "GET", false), ERR_OK);
	assert_true(head.framing == HEAD_BODY_LENGTH && head.length == 7);
	assert_int_equal(response(":status 200\ncontent-length 7\n", "HEAD", true), ERR_OK);
	assert_true(head.framing == HEAD_BODY_LENGTH && head.length == 7);
	assert_int_equal(response(":status 304\ncontent-length 7\n", "GET", true), ERR_OK);
	assert_int_equal(response(":status 204\ncontent-length 0\n", "GET", true), ERR_OK);
	assert_int_equal(head.framing, HEAD_BODY_NONE);
	assert_int_equal(response(":status 103\nlink x\n", "GET", false), ERR_OK);
	assert_false(head.final);
	assert_int_equal(response(":status 200\nsec-websocket-accept x\n", "CONNECT", false), ERR_OK);
	assert_true(head.websocket && head.field_count == 0);
	assert_int_equal(response(":status 403\ncontent-length 2\n", "CONNECT", false), ERR_OK);
	assert_false(head.websocket);
}

static void malformed_answers_are_refused(void **state)
{
	(void)state;
	static const char *const bad[] = {
		"x y\n", ":status 101\n", ":status 099\n", ":status 600\n", ":status 20\n", ":status 2000\n",
		":status +20\n",
		":status 200\n:status 200\n", ":status 200\n:path /\n", ":status 200\nx y\n:status 200\n",
		":status 200\nconnection close\n", ":status 200\ntransfer-encoding chunked\n",
		":status 200\ncontent-length 1\ncontent-length 1\n", ":status 200\ncontent-length x\n",
		":status 200\ncontent-length 1\n", ":status 204\ncontent-length 1\n", ":status 100\n",
	};

	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
		if (response(bad[i], "GET", true) != ERR_UPSTREAM_MALFORMED)
			fail_msg("taken: %s", bad[i]);
	assert_int_equal(response(":status 201\n", "CONNECT", false), ERR_UPSTREAM_MALFORMED);
	assert_int_equal(response(":status 200\nsec-websocket-extensions x\n", "CONNECT", false),
			 ERR_UPSTREAM_MALFORMED);
}

static void trailers(void **state)
{
	(void)state;
	size_t count;

	collect("grpc-status 0\ngrpc-message \n");
	assert_int_equal(http2_trailers(&fields, &head), ERR_OK);
	assert_int_equal(head.kind, HEAD_TRAILERS);
	assert_int_equal(http2_put_trailers(&head, nv, &count), ERR_OK);
	assert_int_equal(count, 2);
	assert_str(nv[0].name, "grpc-status");
	collect(":status 200\n");
	assert_int_equal(http2_trailers(&fields, &head), ERR_HEAD_MALFORMED);
	collect("content-length 3\n");
	assert_int_equal(http2_trailers(&fields, &head), ERR_HEAD_MALFORMED);
	collect("set-cookie a=b\n");
	assert_int_equal(http2_trailers(&fields, &head), ERR_HEAD_MALFORMED);
	collect("Upper b\n");
	assert_int_equal(http2_trailers(&fields, &head), ERR_HEAD_MALFORMED);
}

static const struct http2_nv *find(size_t count, const char *name)
{
	for (size_t i = 0; i < count; i++)
		if (str_eq(nv[i].name, str_of(name)))
			return &nv[i];
	return NULL;
}

static void requests_are_written(void **state)
{
	(void)state;
	size_t count;

	assert_int_equal(request(POST_A "content-length 5\nauthorization Bearer x\nx y\n", false), ERR_OK);
	assert_int_equal(http2_put_request(&head, &storage, nv, &count), ERR_OK);
	assert_int_equal(count, 7);
	assert_str(nv[0].name, ":method");
	assert_str(find(count, ":authority")->value, "a.example");
	assert_str(find(count, "content-length")->value, "5");
	assert_true(find(count, "authorization")->never_index);
	assert_false(find(count, "x")->never_index);
	assert_null(find(count, "host"));
	assert_int_equal(request(CONNECT_A ":protocol websocket\n", false), ERR_OK);
	assert_int_equal(http2_put_request(&head, &storage, nv, &count), ERR_OK);
	assert_str(nv[0].value, "CONNECT");
	assert_str(find(count, ":protocol")->value, "websocket");
	assert_str(find(count, ":path")->value, "/chat?x=1");
	assert_str(find(count, "sec-websocket-version")->value, "13");
	head.fields[0].value = STR("b.example");
	assert_int_equal(http2_put_request(&head, &storage, nv, &count), ERR_HEAD_MALFORMED);
	assert_int_equal(http2_put_response(&head, &storage, nv, &count), ERR_HEAD_MALFORMED);
	assert_int_equal(http2_put_trailers(&head, nv, &count), ERR_HEAD_MALFORMED);
}

static void answers_are_written(void **state)
{
	(void)state;
	size_t count;

	assert_int_equal(response(":status 200\ncontent-length 70\nset-cookie a\nset-cookie b\n", "GET",
				  false), ERR_OK);
	assert_int_equal(http2_put_response(&head, &storage, nv, &count), ERR_OK);
	assert_int_equal(count, 4);
	assert_str(nv[0].value, "200");
	assert_str(find(count, "content-length")->value, "70");
	assert_int_equal(response(":status 103\nlink x\n", "GET", false), ERR_OK);
	assert_int_equal(http2_put_response(&head, &storage, nv, &count), ERR_OK);
	assert_int_equal(count, 2);
}

/* The handshake by HTTP/1.1 and by HTTP/2 is one request to the courier. */
static void handshakes_agree(void **state)
{
	(void)state;
	static struct http1_request parsed;
	struct str text = STR("GET /chat?x=1 HTTP/1.1\r\nHost: a.example\r\nUpgrade: WebSocket\r\n"
			      "Connection: keep-alive, Upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
			      "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Extensions: permessage-deflate\r\n"
			      "Sec-WebSocket-Protocol: chat\r\n\r\n");
	auto_buf one = BUF_EMPTY, two = BUF_EMPTY, s = BUF_EMPTY;

	buf_init(&s, HTTP1_STORAGE_MAX);
	buf_init(&one, HEAD_MAX_BYTES);
	buf_init(&two, HEAD_MAX_BYTES);
	assert_int_equal(http1_parse_request(text, HEAD_HTTPS, &s, &parsed), ERR_OK);
	assert_false(parsed.upgrade);
	assert_str(parsed.websocket_key, "dGhlIHNhbXBsZSBub25jZQ==");
	assert_int_equal(request(CONNECT_A ":protocol websocket\nsec-websocket-protocol chat\n", false),
			 ERR_OK);
	assert_int_equal(head_encode(&parsed.head, &one), ERR_OK);
	assert_int_equal(head_encode(&head, &two), ERR_OK);
	assert_true(str_eq(buf_str(&one), buf_str(&two)));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(request_becomes_canonical),
		cmocka_unit_test(request_framing),
		cmocka_unit_test(request_targets),
		cmocka_unit_test(malformed_requests_are_refused),
		cmocka_unit_test(authority_and_host_agree),
		cmocka_unit_test(connect_is_for_websockets),
		cmocka_unit_test(lists_are_bounded),
		cmocka_unit_test(answers),
		cmocka_unit_test(malformed_answers_are_refused),
		cmocka_unit_test(trailers),
		cmocka_unit_test(requests_are_written),
		cmocka_unit_test(answers_are_written),
		cmocka_unit_test(handshakes_agree),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
