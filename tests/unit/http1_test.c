/* http1_test.c - heads of HTTP/1.1: what is taken, what is refused, and that it comes back the same */
#include "assert_str.h"
#include "wire/http1_body.h"

#include <stdio.h>
#include <stdlib.h>

static struct buf storage;
static struct http1_request request;
static struct http1_response response;

static int setup(void **state)
{
	(void)state;
	buf_init(&storage, HTTP1_STORAGE_MAX);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	buf_free(&storage);
	return 0;
}

static enum err parse(struct str text)
{
	size_t scanned = 0, n = 0;
	enum err e = http1_head_end(text, &scanned, &n);

	return e ? e : http1_parse_request(str_head(text, n), HEAD_HTTPS, &storage, &request);
}

static enum err parse_answer(struct str text, struct str method)
{
	size_t scanned = 0, n = 0;
	enum err e = http1_head_end(text, &scanned, &n);

	return e ? e : http1_parse_response(str_head(text, n), method, &storage, &response);
}

static void head_end_is_found_byte_by_byte(void **state)
{
	(void)state;
	struct str text = STR("GET / HTTP/1.1\r\nHost: a.example\r\n\r\nGET");
	size_t scanned = 0, n = 0;

	for (size_t i = 0; i < text.n - 3; i++)
		assert_int_equal(http1_head_end(str_head(text, i), &scanned, &n), ERR_MORE);
	assert_int_equal(http1_head_end(text, &scanned, &n), ERR_OK);
	assert_int_equal(n, text.n - 3);
}

static void head_end_refuses_what_no_head_has(void **state)
{
	(void)state;
	static const struct str bad[] = {
		STR_INIT("GET / HTTP/1.1\nHost: a\n\n"), STR_INIT("GET / HTTP/1.1\rX"),
		STR_INIT("\r\nGET / "), STR_INIT("GET /\0 "), STR_INIT("GET /\x7f "),
		STR_INIT("\x16\x03\x01"),
	};
	size_t n;

	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
		size_t scanned = 0;

		assert_int_equal(http1_head_end(bad[i], &scanned, &n), ERR_HEAD_MALFORMED);
	}
}

static void head_end_has_a_limit(void **state)
{
	(void)state;
	size_t scanned = 0, n = 0;
	char *big = malloc(HTTP1_HEAD_MAX);

	assert_non_null(big);
	memset(big, 'a', HTTP1_HEAD_MAX);
	assert_int_equal(http1_head_end(str_make(big, HTTP1_HEAD_MAX - 1), &scanned, &n), ERR_MORE);
	assert_int_equal(http1_head_end(str_make(big, HTTP1_HEAD_MAX), &scanned, &n), ERR_HEAD_TOO_LARGE);
	free(big);
}

static void request_becomes_canonical(void **state)
{
	(void)state;
	const struct head *h = &request.head;

	assert_int_equal(parse(STR("GET /@scope%2fname;v=1?a=b&c[]=%2f|x HTTP/1.1\r\nUser-Agent: x/1 \r\n"
				   "HOST: API.Example:443\r\nConnection: keep-alive, X-Hop\r\nx-hop: 1\r\n"
				   "Keep-Alive: 5\r\nTE: trailers\r\nEmpty:\r\nAccept:\t*/*\r\n\r\n")),
			 ERR_OK);
	assert_str(h->method, "GET");
	assert_str(h->host, "api.example");
	assert_int_equal(h->port, 443);
	assert_str(h->path, "/@scope%2Fname;v=1");
	assert_true(h->has_query);
	assert_str(h->query, "a=b&c%5B%5D=%2f%7Cx");
	assert_int_equal(h->framing, HEAD_BODY_NONE);
	assert_int_equal(h->field_count, 5);
	assert_str(h->fields[0].name, "host");
	assert_str(h->fields[0].value, "api.example");
	assert_str(h->fields[1].name, "user-agent");
	assert_str(h->fields[1].value, "x/1");
	assert_str(h->fields[2].value, "trailers");
	assert_str(h->fields[3].name, "empty");
	assert_str(h->fields[4].value, "*/*");
	assert_false(request.close || request.upgrade || request.expect_continue || request.version_10);
}

static void request_framing_and_options(void **state)
{
	(void)state;
	assert_int_equal(parse(STR("POST / HTTP/1.1\r\nHost: a.example:8443\r\nContent-Length: 0\r\n"
				   "Expect: 100-Continue\r\nConnection: close\r\n\r\n")),
			 ERR_OK);
	assert_int_equal(request.head.framing, HEAD_BODY_LENGTH);
	assert_int_equal(request.head.length, 0);
	assert_int_equal(request.head.port, 8443);
	assert_str(request.head.fields[0].value, "a.example:8443");
	assert_true(request.expect_continue && request.close);
	assert_int_equal(parse(STR("PUT /x HTTP/1.1\r\nHost: a.example\r\nTransfer-Encoding: Chunked\r\n\r\n")), ERR_OK);
	assert_int_equal(request.head.framing, HEAD_BODY_STREAMED);
	assert_true(request.head.trailers);
	assert_int_equal(parse(STR("GET / HTTP/1.1\r\nHost: a.example\r\nConnection: Upgrade\r\n"
				   "Upgrade: websocket\r\n\r\n")),
			 ERR_OK);
	assert_true(request.upgrade);
	assert_int_equal(parse(STR("GET / HTTP/1.1\r\nHost: a.example\r\nConnection: Upgrade, HTTP2-Settings\r\n"
				   "Upgrade: h2c\r\nHTTP2-Settings: AAMAAABk\r\n\r\n")),
			 ERR_OK);
	assert_false(request.upgrade);
	assert_int_equal(request.head.field_count, 1);
	assert_int_equal(parse(STR("GET / HTTP/1.0\r\nHost: a.example\r\nConnection: keep-alive\r\n\r\n")),
			 ERR_OK);
	assert_true(request.close && request.version_10);
}

#define HANDSHAKE "GET /c HTTP/1.1\r\nHost: a.example\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
#define KEY "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"

static void request_handshakes(void **state)
{
	(void)state;
	static const struct str bad[] = {
		STR_INIT(HANDSHAKE "Sec-WebSocket-Version: 13\r\n\r\n"),
		STR_INIT(HANDSHAKE KEY "\r\n"), STR_INIT(HANDSHAKE KEY "Sec-WebSocket-Version: 8\r\n\r\n"),
		STR_INIT(HANDSHAKE KEY KEY "Sec-WebSocket-Version: 13\r\n\r\n"),
		STR_INIT(HANDSHAKE KEY "Sec-WebSocket-Version: 13\r\nContent-Length: 0\r\n\r\n"),
		STR_INIT(HANDSHAKE KEY "Sec-WebSocket-Version: 13\r\nUpgrade: TLS/1.0\r\n\r\n"),
		STR_INIT("GET / HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\n" KEY "Sec-WebSocket-Version: 13\r\n\r\n"),
		STR_INIT("PUT / HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: upgrade\r\n" KEY
			 "Sec-WebSocket-Version: 13\r\n\r\n"),
	};
	auto_buf b = BUF_EMPTY;

	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
		assert_int_equal(parse(bad[i]), ERR_OK);
		assert_true(request.upgrade);
		assert_false(request.head.websocket);
	}
	assert_int_equal(parse(STR(HANDSHAKE KEY "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Protocol: x\r\n\r\n")), ERR_OK);
	assert_true(request.head.websocket && !request.upgrade);
	assert_int_equal(request.head.field_count, 2);
	buf_init(&b, 4096);
	assert_int_equal(http1_put_request(&b, &request.head, false), ERR_HEAD_MALFORMED);
	assert_int_equal(http1_put_handshake(&b, &request.head, request.websocket_key), ERR_OK);
	assert_str(buf_str(&b), "GET /c HTTP/1.1\r\nhost: a.example\r\nsec-websocket-protocol: x\r\n"
				"connection: upgrade\r\nupgrade: websocket\r\nsec-websocket-version: 13\r\n"
				"sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n");
}

#define SWITCHING "HTTP/1.1 101 Switching Protocols\r\nUpgrade: WebSocket\r\nConnection: Upgrade\r\n"

static enum err parse_handshake(struct str text)
{
	return http1_parse_handshake(text, STR("abc="), &storage, &response);
}

static void answers_to_handshakes(void **state)
{
	(void)state;
	auto_buf b = BUF_EMPTY;

	assert_int_equal(parse_handshake(STR(SWITCHING "Sec-WebSocket-Accept: abc=\r\nX: y\r\n\r\n")),
			 ERR_OK);
	assert_true(response.head.websocket && response.head.final);
	assert_int_equal(response.head.status, 200);
	assert_int_equal(response.head.field_count, 1);
	buf_init(&b, 4096);
	assert_int_equal(http1_put_switching(&b, &response.head, STR("def=")), ERR_OK);
	assert_str(buf_str(&b),
		   "HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\nconnection: upgrade\r\n"
		   "sec-websocket-accept: def=\r\nx: y\r\n\r\n");
	assert_int_equal(http1_put_response(&b, &response.head, STR("GET"), false, false),
			 ERR_HEAD_MALFORMED);
	assert_int_equal(parse_handshake(STR("HTTP/1.1 403 No\r\nContent-Length: 0\r\n\r\n")), ERR_OK);
	assert_false(response.head.websocket);
	assert_int_equal(parse_handshake(STR(SWITCHING "\r\n")), ERR_UPSTREAM_MALFORMED);
	assert_int_equal(parse_handshake(STR(SWITCHING "Sec-WebSocket-Accept: xyz=\r\n\r\n")),
			 ERR_UPSTREAM_MALFORMED);
	assert_int_equal(parse_handshake(STR(SWITCHING "Sec-WebSocket-Accept: abc=\r\n"
						       "Sec-WebSocket-Extensions: permessage-deflate\r\n\r\n")),
			 ERR_UPSTREAM_MALFORMED);
	assert_int_equal(parse_handshake(STR(SWITCHING "Sec-WebSocket-Accept: abc=\r\nContent-Length: 1\r\n\r\n")),
			 ERR_UPSTREAM_MALFORMED);
	assert_int_equal(parse_answer(STR(SWITCHING "Sec-WebSocket-Accept: abc=\r\n\r\n"), STR("GET")),
			 ERR_UPSTREAM_MALFORMED);
}

static void request_hop_and_cookies(void **state)
{
	(void)state;
	auto_buf b = BUF_EMPTY;

	assert_int_equal(parse(STR("GET / HTTP/1.1\r\nHost: a.example\r\nCookie: a=1\r\nTE: trailers\r\nX: y\r\n"
				   "Cookie: b=2\r\nConnection: TE\r\n\r\n")),
			 ERR_OK);
	assert_int_equal(request.head.field_count, 4);
	assert_str(request.head.fields[1].value, "a=1; b=2");
	buf_init(&b, 4096);
	assert_int_equal(http1_put_request(&b, &request.head, true), ERR_OK);
	assert_str(buf_str(&b),
		   "GET / HTTP/1.1\r\nhost: a.example\r\ncookie: a=1; b=2\r\nte: trailers\r\nx: y\r\n"
		   "connection: close, te\r\n\r\n");
	assert_int_equal(parse(STR("GET / HTTP/1.1\r\nHost: a.example\r\nTE: trailers, gzip\r\n\r\n")),
			 ERR_OK);
	assert_int_equal(request.head.field_count, 1);
}

static void request_targets(void **state)
{
	(void)state;
	assert_int_equal(parse(STR("GET https://A.example/x?y HTTP/1.1\r\nHost: a.example\r\n\r\n")), ERR_OK);
	assert_str(request.head.path, "/x");
	assert_str(request.head.query, "y");
	assert_int_equal(parse(STR("GET https://a.example:443 HTTP/1.1\r\nHost: a.example\r\n\r\n")), ERR_OK);
	assert_str(request.head.path, "/");
	assert_int_equal(parse(STR("OPTIONS * HTTP/1.1\r\nHost: a.example\r\n\r\n")), ERR_OK);
	assert_str(request.head.path, "*");
	assert_int_equal(parse(STR("GET /? HTTP/1.1\r\nHost: [::1]:9\r\n\r\n")), ERR_OK);
	assert_true(request.head.has_query);
	assert_int_equal(request.head.query.n, 0);
	assert_str(request.head.host, "::1");
	assert_str(request.head.fields[0].value, "[::1]:9");
	assert_int_equal(parse(STR("GET https://b.example/ HTTP/1.1\r\nHost: a.example\r\n\r\n")),
			 ERR_NAME_MISMATCH);
	assert_int_equal(parse(STR("GET https://a.example:1/ HTTP/1.1\r\nHost: a.example\r\n\r\n")),
			 ERR_NAME_MISMATCH);
	assert_int_equal(parse(STR("GET http://a.example/ HTTP/1.1\r\nHost: a.example\r\n\r\n")),
			 ERR_HEAD_MALFORMED);
}

#define HOST "Host: a.example\r\n"

static void doubtful_requests_are_refused(void **state)
{
	(void)state;
	static const struct {
		const char *text;
		enum err e;
	} bad[] = {
		{ "GET / HTTP/1.1\r\n\r\n", ERR_HEAD_MALFORMED },
		{ "GET / HTTP/1.0\r\n\r\n", ERR_HEAD_MALFORMED },
		{ "GET / HTTP/1.1\r\n" HOST HOST "\r\n", ERR_HEAD_MALFORMED },
		{ "GET / HTTP/1.1\r\nHost:\r\n\r\n", ERR_HEAD_MALFORMED },
		{ "GET / HTTP/1.1\r\nHost: u@a.example\r\n\r\n", ERR_HEAD_MALFORMED },
		{ "GET / HTTP/1.1\r\nHost: a.example:\r\n\r\n", ERR_HEAD_MALFORMED },
		{ "GET / HTTP/1.1\r\nHost: a.example:0\r\n\r\n", ERR_HEAD_MALFORMED },
		{ "GET / HTTP/1.1\r\nHost: a.example:0443\r\n\r\n", ERR_HEAD_MALFORMED },
		{ "GET / HTTP/1.1\r\nHost: a.example:65536\r\n\r\n", ERR_HEAD_MALFORMED },
		{ "GET / HTTP/1.1\r\nHost: a.example, b.example\r\n\r\n", ERR_HEAD_MALFORMED },
		{ "GET / HTTP/1.1\r\nHost: [::1\r\n\r\n", ERR_HEAD_MALFORMED },
		{ "GET / HTTP/2.0\r\n" HOST "\r\n", ERR_HEAD_VERSION },
		{ "GET / HTTP/1.2\r\n" HOST "\r\n", ERR_HEAD_VERSION },
		{ "GET / HTTP/1.1 \r\n" HOST "\r\n", ERR_HEAD_MALFORMED },
		{ "GET  / HTTP/1.1\r\n" HOST "\r\n", ERR_HEAD_MALFORMED },
		{ "GET /a b HTTP/1.1\r\n" HOST "\r\n", ERR_HEAD_MALFORMED },
		{ "GET / http/1.1\r\n" HOST "\r\n", ERR_HEAD_MALFORMED },
		{ "GET /\r\n" HOST "\r\n", ERR_HEAD_MALFORMED },
		{ "GET x HTTP/1.1\r\n" HOST "\r\n", ERR_HEAD_MALFORMED },
		{ "GET * HTTP/1.1\r\n" HOST "\r\n", ERR_HEAD_MALFORMED },
		{ "CONNECT a.example:443 HTTP/1.1\r\n" HOST "\r\n", ERR_HEAD_MALFORMED },
		{ "GET /../x HTTP/1.1\r\n" HOST "\r\n", ERR_HEAD_MALFORMED },
		{ "GET /%2e%2e/x HTTP/1.1\r\n" HOST "\r\n", ERR_HEAD_MALFORMED },
		{ "GET /%00 HTTP/1.1\r\n" HOST "\r\n", ERR_HEAD_MALFORMED },
		{ "GET /%zz HTTP/1.1\r\n" HOST "\r\n", ERR_HEAD_MALFORMED },
		{ "GET /a\\b HTTP/1.1\r\n" HOST "\r\n", ERR_HEAD_MALFORMED },
		{ "GET /a#b HTTP/1.1\r\n" HOST "\r\n", ERR_HEAD_MALFORMED },
		{ "GET /?a#b HTTP/1.1\r\n" HOST "\r\n", ERR_HEAD_MALFORMED },
		{ "G(T / HTTP/1.1\r\n" HOST "\r\n", ERR_HEAD_MALFORMED },
		{ "GET / HTTP/1.1\r\n" HOST "X : 1\r\n\r\n", ERR_HEAD_MALFORMED },
		{ "GET / HTTP/1.1\r\n" HOST " folded\r\n\r\n", ERR_HEAD_MALFORMED },
		{ "GET / HTTP/1.1\r\n" HOST "X\r\n\r\n", ERR_HEAD_MALFORMED },
		{ "GET / HTTP/1.1\r\n" HOST ": x\r\n\r\n", ERR_HEAD_MALFORMED },
		{ "POST / HTTP/1.1\r\n" HOST "Content-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
		  ERR_BODY_FRAMING },
		{ "POST / HTTP/1.1\r\n" HOST "Content-Length: 1\r\nContent-Length: 1\r\n\r\n",
		  ERR_BODY_FRAMING },
		{ "POST / HTTP/1.1\r\n" HOST "Content-Length: 1, 1\r\n\r\n", ERR_BODY_FRAMING },
		{ "POST / HTTP/1.1\r\n" HOST "Content-Length: +1\r\n\r\n", ERR_BODY_FRAMING },
		{ "POST / HTTP/1.1\r\n" HOST "Content-Length: 0x1\r\n\r\n", ERR_BODY_FRAMING },
		{ "POST / HTTP/1.1\r\n" HOST "Content-Length:\r\n\r\n", ERR_BODY_FRAMING },
		{ "POST / HTTP/1.1\r\n" HOST "Content-Length: 18446744073709551616\r\n\r\n",
		  ERR_BODY_FRAMING },
		{ "POST / HTTP/1.1\r\n" HOST "Content-Length: 18446744073709551615\r\n\r\n",
		  ERR_BODY_TOO_LARGE },
		{ "POST / HTTP/1.1\r\n" HOST "Transfer-Encoding: gzip, chunked\r\n\r\n", ERR_BODY_FRAMING },
		{ "POST / HTTP/1.1\r\n" HOST "Transfer-Encoding: identity\r\n\r\n", ERR_BODY_FRAMING },
		{ "POST / HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n",
		  ERR_BODY_FRAMING },
		{ "POST / HTTP/1.0\r\n" HOST "Transfer-Encoding: chunked\r\n\r\n", ERR_BODY_FRAMING },
		{ "POST / HTTP/1.1\r\n" HOST "Transfer-Encoding : chunked\r\n\r\n", ERR_HEAD_MALFORMED },
		{ "GET / HTTP/1.1\r\n" HOST "Connection: host\r\n\r\n", ERR_BODY_FRAMING },
		{ "GET / HTTP/1.1\r\n" HOST "Connection: Content-Length\r\n\r\n", ERR_BODY_FRAMING },
		{ "GET / HTTP/1.1\r\n" HOST "Connection: a,b,c,d,e,f,g,h,i,j,k,l,m,n,o,p,q\r\n\r\n",
		  ERR_HEAD_TOO_LARGE },
		{ "GET / HTTP/1.1\r\n" HOST "Expect: x\r\n\r\n", ERR_HEAD_MALFORMED },
	};

	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
		enum err e = parse(str_of(bad[i].text));

		if (e != bad[i].e)
			fail_msg("%s for %s", err_name(e), bad[i].text);
	}
}

static void a_request_without_its_end_is_refused(void **state)
{
	(void)state;
	assert_int_equal(http1_parse_request(STR("GET / HTTP/1.1\r\nHost: a\r\n"), HEAD_HTTP, &storage,
					     &request),
			 ERR_HEAD_MALFORMED);
	assert_int_equal(http1_parse_request(STR("GET / HTTP/1.1\r\n\r\nHost: a\r\n\r\n"), HEAD_HTTP,
					     &storage, &request),
			 ERR_HEAD_MALFORMED);
	assert_int_equal(http1_parse_request(STR(""), HEAD_HTTP, &storage, &request), ERR_HEAD_MALFORMED);
}

static void too_many_fields_are_refused(void **state)
{
	(void)state;
	auto_buf text = BUF_EMPTY;

	buf_init(&text, HTTP1_HEAD_MAX);
	buf_put_z(&text, "GET / HTTP/1.1\r\nHost: a.example\r\n");
	for (unsigned i = 1; i < HEAD_FIELDS_MAX; i++)
		buf_printf(&text, "x-%u: y\r\n", i);
	buf_put_z(&text, "\r\n");
	assert_int_equal(parse(buf_str(&text)), ERR_OK);
	assert_int_equal(request.head.field_count, HEAD_FIELDS_MAX);
	text.len -= 2;
	buf_put_z(&text, "x: y\r\n\r\n");
	assert_int_equal(parse(buf_str(&text)), ERR_HEAD_TOO_LARGE);
}

static void request_is_written_and_read_back(void **state)
{
	(void)state;
	auto_buf out = BUF_EMPTY;

	buf_init(&out, 4096);
	assert_int_equal(parse(STR("POST /a%2fb?q HTTP/1.1\r\nX-A: 1\r\nHost: A.example:8080\r\n"
				   "Content-Length: 12\r\nX-B: 2\r\n\r\n")),
			 ERR_OK);
	assert_int_equal(http1_put_request(&out, &request.head, true), ERR_OK);
	assert_str(buf_str(&out), "POST /a%2Fb?q HTTP/1.1\r\nhost: a.example:8080\r\nx-a: 1\r\nx-b: 2\r\n"
				  "content-length: 12\r\nconnection: close\r\n\r\n");
	assert_int_equal(parse(buf_str(&out)), ERR_OK);
	assert_true(request.close);
}

static void no_head_with_a_line_break_is_written(void **state)
{
	(void)state;
	auto_buf out = BUF_EMPTY;

	buf_init(&out, 4096);
	assert_int_equal(parse(STR("GET / HTTP/1.1\r\nHost: a.example\r\nX: 1\r\n\r\n")), ERR_OK);
	request.head.fields[1].value = STR("1\r\nInjected: yes");
	assert_int_equal(http1_put_request(&out, &request.head, false), ERR_HEAD_MALFORMED);
	assert_int_equal(out.len, 0);
	assert_int_equal(http1_put_response(&out, &request.head, STR("GET"), false, false),
			 ERR_HEAD_MALFORMED);
	assert_int_equal(http1_put_last_chunk(&out, &request.head), ERR_HEAD_MALFORMED);
}

static void answers_frame_themselves(void **state)
{
	(void)state;
	static const struct {
		const char *text, *method;
		enum http1_framing on_wire;
		enum head_framing framing;
		bool close;
	} good[] = {
		{ "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", "GET", HTTP1_LENGTH, HEAD_BODY_LENGTH,
		  false },
		{ "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", "HEAD", HTTP1_NONE, HEAD_BODY_LENGTH,
		  false },
		{ "HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n", "GET", HTTP1_NONE,
		  HEAD_BODY_LENGTH, false },
		{ "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", "GET", HTTP1_CHUNKED,
		  HEAD_BODY_STREAMED, false },
		{ "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", "HEAD", HTTP1_NONE, HEAD_BODY_NONE,
		  false },
		{ "HTTP/1.1 200\r\n\r\n", "GET", HTTP1_UNTIL_CLOSE, HEAD_BODY_STREAMED, true },
		{ "HTTP/1.1 200 \r\n\r\n", "HEAD", HTTP1_NONE, HEAD_BODY_NONE, false },
		{ "HTTP/1.0 200 OK\r\nContent-Length: 5\r\n\r\n", "GET", HTTP1_LENGTH, HEAD_BODY_LENGTH,
		  true },
		{ "HTTP/1.1 204 No Content\r\nContent-Length: 0\r\n\r\n", "GET", HTTP1_NONE, HEAD_BODY_NONE,
		  false },
		{ "HTTP/1.1 100 Continue\r\n\r\n", "POST", HTTP1_NONE, HEAD_BODY_NONE, false },
		{ "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 0\r\n\r\n", "GET", HTTP1_LENGTH,
		  HEAD_BODY_LENGTH, true },
		{ "HTTP/1.1 200 Na\xc3\xafve\r\nUpgrade: h2,h2c\r\nContent-Length: 0\r\n\r\n", "GET",
		  HTTP1_LENGTH, HEAD_BODY_LENGTH, false },
	};

	for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
		if (parse_answer(str_of(good[i].text), str_of(good[i].method)) ||
		    response.framing != good[i].on_wire || response.head.framing != good[i].framing ||
		    response.close != good[i].close ||
		    response.head.final != (response.head.status >= 200))
			fail_msg("%s", good[i].text);
		assert_null(head_find(&response.head, STR("upgrade")));
	}
}

static void doubtful_answers_are_refused(void **state)
{
	(void)state;
	static const char *const bad[] = {
		"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\n", "HTTP/2 200\r\n\r\n",
		"ICY 200 OK\r\n\r\n", "HTTP/1.1  200 OK\r\n\r\n", "HTTP/1.1 20 OK\r\n\r\n",
		"HTTP/1.1 2000 OK\r\n\r\n", "HTTP/1.1 099 OK\r\n\r\n", "HTTP/1.1 600 OK\r\n\r\n",
		"HTTP/1.1 +20 OK\r\n\r\n",
		"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\n",
		"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n",
		"HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
		"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n", "HTTP/1.1 200 OK\r\nA : b\r\n\r\n",
		"HTTP/1.1 200 OK\r\nA: b\r\n c\r\n\r\n", "HTTP/1.1 204 No\r\nContent-Length: 1\r\n\r\n",
		"HTTP/1.1 204 No\r\nTransfer-Encoding: chunked\r\n\r\n",
	};

	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
		if (parse_answer(str_of(bad[i]), STR("GET")) != ERR_UPSTREAM_MALFORMED)
			fail_msg("%s", bad[i]);
}

static void answers_are_written_for_their_reader(void **state)
{
	(void)state;
	struct head h = { .kind = HEAD_RESPONSE, .status = 200, .final = true,
			  .framing = HEAD_BODY_STREAMED };
	auto_buf out = BUF_EMPTY;

	buf_init(&out, 4096);
	assert_int_equal(http1_put_response(&out, &h, STR("GET"), false, false), ERR_OK);
	assert_str(buf_str(&out), "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n");
	buf_clear(&out);
	assert_int_equal(http1_put_response(&out, &h, STR("GET"), true, true), ERR_OK);
	assert_str(buf_str(&out), "HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n");
	buf_clear(&out);
	h.framing = HEAD_BODY_NONE;
	assert_int_equal(http1_put_response(&out, &h, STR("GET"), false, false), ERR_OK);
	assert_str(buf_str(&out), "HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n");
	buf_clear(&out);
	h.framing = HEAD_BODY_LENGTH;
	h.length = 7;
	assert_int_equal(http1_put_response(&out, &h, STR("HEAD"), false, false), ERR_OK);
	assert_str(buf_str(&out), "HTTP/1.1 200 OK\r\ncontent-length: 7\r\n\r\n");
	buf_clear(&out);
	h = (struct head){ .kind = HEAD_RESPONSE, .status = 100 };
	assert_int_equal(http1_put_response(&out, &h, STR("POST"), false, true), ERR_OK);
	assert_str(buf_str(&out), "HTTP/1.1 100 Continue\r\n\r\n");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(head_end_is_found_byte_by_byte),
		cmocka_unit_test(head_end_refuses_what_no_head_has),
		cmocka_unit_test(head_end_has_a_limit),
		cmocka_unit_test(request_becomes_canonical),
		cmocka_unit_test(request_framing_and_options),
		cmocka_unit_test(request_handshakes),
		cmocka_unit_test(answers_to_handshakes),
		cmocka_unit_test(request_hop_and_cookies),
		cmocka_unit_test(request_targets),
		cmocka_unit_test(doubtful_requests_are_refused),
		cmocka_unit_test(a_request_without_its_end_is_refused),
		cmocka_unit_test(too_many_fields_are_refused),
		cmocka_unit_test(request_is_written_and_read_back),
		cmocka_unit_test(no_head_with_a_line_break_is_written),
		cmocka_unit_test(answers_frame_themselves),
		cmocka_unit_test(doubtful_answers_are_refused),
		cmocka_unit_test(answers_are_written_for_their_reader),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
