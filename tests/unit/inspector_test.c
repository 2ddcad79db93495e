/* inspector_test.c - the inspector between a guest and a courier that the test plays
 *
 * The tests run twice: with the inspector in this process, and with paddock-inspector, which lies
 * beside this program, as the confined process that it is. A sanitizer's own system calls do not pass
 * the confinement: no process then.
 */
#include "inspector_world.h"

#include "wire/http1.h"

#define ERR_STATE OPENSSL_ERR_STATE
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#undef ERR_STATE

static int begin(void **state)
{
	(void)state;
	world_begin(&inspector_limits_default);
	return 0;
}

/* -- DNS ---------------------------------------------------------------------------------- */

static void names_get_addresses_of_their_own(void **state)
{
	char a[4], b[4], again[4], six[16];

	(void)state;
	resolve("a.example", DNS_TYPE_A, a, 4);
	resolve("b.example", DNS_TYPE_A, b, 4);
	resolve("A.example", DNS_TYPE_A, again, 4);
	resolve("a.example", DNS_TYPE_AAAA, six, 16);
	assert_memory_equal(a, again, 4);
	assert_memory_not_equal(a, b, 4);
	assert_true((uint8_t)a[0] == 198 && (uint8_t)a[1] == 18);
	assert_memory_equal(six, "\xfd\x00padd", 6);
	assert_memory_equal(six + 14, a + 2, 2);
	assert_int_equal(w.names, 4);
}

static void other_names_do_not_exist(void **state)
{
	uint32_t s[5];

	(void)state;
	s[0] = ask_dns("no.such", DNS_TYPE_A);
	s[1] = ask_dns("localhost", DNS_TYPE_A);
	s[2] = ask_dns("bad name.example", DNS_TYPE_A);
	s[3] = ask_dns("a.example", 65);	/* HTTPS: the name is, a record of that type is not */
	s[4] = ask_dns("_8443._https.a.example", 64);	/* SVCB: neither can advertise QUIC or an ECH key */
	for (unsigned i = 0; i < 5; i++) {
		RUN_UNTIL(guest(s[i])->ended);
		assert_int_equal(rcode(s[i]), i >= 3 ? DNS_OK : DNS_NXDOMAIN);
		assert_int_equal(guest(s[i])->got.p[7], 0);	/* no answer */
	}
	assert_int_equal(w.names, 3);	/* only what can be a host elsewhere was asked for */
	assert_true(claimed(CLAIM_DNS, ERR_DNS_MALFORMED));
}

static void malformed_queries_are_answered_or_dropped(void **state)
{
	uint32_t s = guest_open(LINK_KIND_DNS, STR(""), 0), t = guest_open(LINK_KIND_DNS, STR(""), 0);

	(void)state;
	guest_send(s, STR("\x12\x34\x28\x00\x00\x00\x00\x00\x00\x00\x00\x00"));
	guest_end(s);
	guest_send(t, STR("\x12"));
	guest_end(t);
	RUN_UNTIL(guest(s)->ended && guest(t)->reset);
	assert_int_equal(rcode(s), DNS_NOTIMP);
	assert_int_equal(guest(t)->reason, ERR_DNS_MALFORMED);
}

/* -- plain HTTP --------------------------------------------------------------------------- */

static void a_request_becomes_an_exchange(void **state)
{
	struct courier_stream *x;
	struct msg_connect m;
	struct head h;
	uint32_t s = fetch("GET /@a%2fb?q HTTP/1.1\r\n" HOST "X-Y: z\r\nConnection: x-y\r\n\r\n");

	(void)state;
	RUN_UNTIL(guest_got(s, "hello"));
	assert_got(s, "HTTP/1.1 200 OK\r\nx-from: courier\r\ncontent-length: 5\r\n\r\nhello");
	x = courier_stream(w.last_exchange);
	assert_int_equal(msg_get_connect(buf_str(&x->opened), &m), ERR_OK);
	assert_true(str_eq(m.host, STR("api.example")) && m.port == 80 && m.scheme == HEAD_HTTP &&
		    m.connection == 1);
	assert_true(str_eq(m.process.exe, STR("/usr/bin/curl")) && m.process.pid == 7);
	assert_int_equal(head_decode(buf_str(&x->head), &h), ERR_OK);
	assert_true(str_eq(h.path, STR("/@a%2Fb")) && str_eq(h.query, STR("q")));
	assert_int_equal(h.field_count, 1);
	guest_end(s);
	RUN_UNTIL(guest(s)->ended);
	RUN_UNTIL(claimed(CLAIM_CONNECTION_END, ERR_OK));
	assert_true(claimed(CLAIM_CONNECTION, ERR_OK));
	assert_string_equal(w.claims[0].host, "api.example");
	assert_string_equal(w.claims[0].exe, "/usr/bin/curl");
}

static void pipelined_requests_are_answered_in_order(void **state)
{
	uint32_t s = fetch("POST /1 HTTP/1.1\r\n" HOST "Content-Length: 3\r\n\r\none"
			   "GET /stream HTTP/1.1\r\n" HOST "\r\n"
			   "HEAD /3 HTTP/1.1\r\n" HOST "\r\n"
			   "GET /nothing HTTP/1.1\r\n" HOST "\r\n"
			   "GET /5 HTTP/1.1\r\n" HOST "Connection: close\r\n\r\nGET /never");

	(void)state;
	RUN_UNTIL(guest(s)->ended);
	assert_got(s, "content-length: 3\r\n\r\noneHTTP/1.1 103 Early Hints\r\n");
	assert_got(s, "transfer-encoding: chunked\r\n\r\n");
	assert_got(s, "\r\n0\r\nx-sum: 7\r\n\r\nHTTP/1.1 200 OK\r\nx-from: courier\r\ncontent-length: 1234\r\n\r\n"
		      "HTTP/1.1 204 No Content\r\nx-from: courier\r\n\r\nHTTP/1.1 200 OK");
	assert_got(s, "connection: close\r\n\r\nhello");
	assert_int_equal(w.exchanges, 5);
}

static void chunked_uploads_arrive_whole(void **state)
{
	static char big[0x1000];
	static struct head trailers;
	uint32_t s = connect_to("api.example", 80);
	auto_buf b = BUF_EMPTY;

	(void)state;
	memset(big, 'x', sizeof big);
	buf_init(&b, 400000);
	buf_put_z(&b, "POST /up HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\n\r\n");
	for (size_t i = 0; i < 30; i++)
		http1_put_chunk(&b, str_make(big, 0x1000));
	buf_put_z(&b, "0\r\nX-Trailer: kept\r\n\r\n");
	guest_send(s, buf_str(&b));
	RUN_UNTIL(guest_got(s, "content-length: 122880\r\n"));
	RUN_UNTIL(courier_stream(w.last_exchange)->ended);
	assert_int_equal(courier_stream(w.last_exchange)->body.len, 30 * 0x1000);
	assert_int_equal(head_decode(buf_str(&courier_stream(w.last_exchange)->trailers), &trailers), ERR_OK);
	assert_true(trailers.kind == HEAD_TRAILERS && str_eq(trailers.fields[0].value, STR("kept")));
}

static void http10_gets_no_chunks(void **state)
{
	uint32_t s = fetch("GET /stream HTTP/1.0\r\n" HOST "\r\n");

	(void)state;
	RUN_UNTIL(guest(s)->ended);
	assert_got(s, "HTTP/1.1 200 OK\r\nx-from: courier\r\nconnection: close\r\n\r\none,two");
}

static void events_pass_one_by_one(void **state)
{
	uint32_t s = fetch("GET /open HTTP/1.1\r\n" HOST "\r\n");

	(void)state;
	RUN_UNTIL(guest_got(s, "9\r\ndata: 1\n\n\r\n"));
	courier_data(w.last_exchange, STR("data: 2\n\n"));
	channel_flush(w.courier);
	RUN_UNTIL(guest_got(s, "9\r\ndata: 2\n\n\r\n"));
	link_end(upper_link(), w.last_exchange);
	channel_flush(w.courier);
	RUN_UNTIL(guest_got(s, "\r\n0\r\n\r\n"));
	assert_false(guest(s)->ended);
}

static void a_guest_that_does_not_read_stops_the_courier(void **state)
{
	static char block[60000];
	uint32_t s = connect_to("api.example", 80);
	size_t sent = 0, taken = 0;

	(void)state;
	guest(s)->keep_credit = true;
	guest_send(s, STR("GET /open HTTP/1.1\r\n" HOST "\r\n"));
	RUN_UNTIL(guest_got(s, "data: 1"));
	for (unsigned i = 0; i < 200; i++) {
		size_t n = link_sendable(upper_link(), w.last_exchange);

		n = n < sizeof block ? n : sizeof block;
		if (n)
			courier_data(w.last_exchange, str_make(block, n));
		sent += n;
		channel_flush(w.courier);
		(void)uv_run(&w.loop, UV_RUN_ONCE);
	}
	assert_true(sent > LINK_WINDOW_BYTES && sent < 4 * LINK_WINDOW_BYTES);
	taken = guest(s)->got.len;
	assert_true(taken <= LINK_WINDOW_BYTES);
	link_end(upper_link(), w.last_exchange);
	channel_flush(w.courier);
	guest(s)->keep_credit = false;
	link_consumed(guest_link(), s, taken);
	channel_flush(w.guest);
	RUN_UNTIL(guest_got(s, "\r\n0\r\n\r\n"));
	assert_true(guest(s)->got.len > sent);
}

static void cut_off_answers_are_cut_off(void **state)
{
	static const char *const paths[] = { "/midway", "/short", "/long" };

	(void)state;
	for (unsigned i = 0; i < 3; i++) {
		uint32_t s = connect_to("api.example", 80);
		auto_buf b = BUF_EMPTY;

		buf_init(&b, 200);
		buf_printf(&b, "GET %s HTTP/1.1\r\n" HOST "\r\n", paths[i]);
		guest_send(s, buf_str(&b));
		RUN_UNTIL(guest(s)->reset);
		assert_false(guest(s)->ended);
		assert_true(guest(s)->reason == ERR_UPSTREAM_CLOSED ||
			    guest(s)->reason == ERR_UPSTREAM_MALFORMED);
	}
}

static void a_refused_exchange_is_an_error_to_read(void **state)
{
	uint32_t s = fetch("GET /reset HTTP/1.1\r\n" HOST "\r\n");

	(void)state;
	RUN_UNTIL(guest(s)->ended);
	assert_got(s, "HTTP/1.1 502 Bad Gateway\r\ncontent-type: application/json\r\n");
	assert_got(s, "{\"type\":\"error\",\"error\":{\"type\":\"api_error\",\"message\":\"Paddock: the "
		      "upstream's name");
	assert_got(s, "\"paddock\":{\"error\":\"RESOLVE\"}}\n");
}

static void a_denial_does_not_wait_for_the_body(void **state)
{
	uint32_t s = fetch("POST /early HTTP/1.1\r\n" HOST "Content-Length: 100000000\r\n\r\nsome of it");

	(void)state;
	RUN_UNTIL(guest(s)->ended);
	assert_got(s, "HTTP/1.1 403 Forbidden\r\nx-from: courier\r\ncontent-length: 3\r\nconnection: "
		      "close\r\n\r\nno\n");
	RUN_UNTIL(courier_stream(w.last_exchange)->reset);
	guest_end(s);
	RUN_UNTIL(claimed(CLAIM_CONNECTION_END, ERR_OK));
}

static void doubtful_requests_are_refused_with_words(void **state)
{
	static const struct {
		const char *request, *status, *words;
		enum err e;
	} bad[] = {
		{ "GET / HTTP/1.1\r\nHost: other.example\r\n\r\n", "421 Misdirected", "permission_error",
		  ERR_NAME_MISMATCH },
		{ "GET / HTTP/1.1\r\nHost: api.example:81\r\n\r\n", "421 Misdirected", "NAME_MISMATCH",
		  ERR_NAME_MISMATCH },
		{ "GET / HTTP/1.1\r\n" HOST "Connection: upgrade\r\nUpgrade: websocket\r\n\r\n",
		  "426 Upgrade Required",
		  "upgrade: websocket\r\n", ERR_UPGRADE_REFUSED },
		{ "GET /../x HTTP/1.1\r\n" HOST "\r\n", "400 Bad Request", "invalid_request_error",
		  ERR_HEAD_MALFORMED },
		{ "POST / HTTP/1.1\r\n" HOST "Content-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
		  "400 Bad", "BODY_FRAMING",
		  ERR_BODY_FRAMING },
		{ "GET / HTTP/1.1\r\n" HOST "X: \x01\r\n\r\n", "400 Bad", "HEAD_MALFORMED",
		  ERR_HEAD_MALFORMED },
		{ "GET / HTTP/3.0\r\n" HOST "\r\n", "505 HTTP", "HEAD_VERSION", ERR_HEAD_VERSION },
		{ "POST /x HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\n\r\nzz\r\n", "400 Bad",
		  "BODY_FRAMING",
		  ERR_BODY_FRAMING },
	};

	(void)state;
	for (unsigned i = 0; i < sizeof bad / sizeof *bad; i++) {
		uint32_t s = fetch(bad[i].request);

		w.claim_count = 0;
		RUN_UNTIL(guest(s)->ended);
		assert_got(s, bad[i].status);
		assert_got(s, bad[i].words);
		RUN_UNTIL(claimed(CLAIM_REFUSED, bad[i].e));
	}
}

static void what_is_not_http_is_refused(void **state)
{
	static const char *const bad[] = { "\x05\x01", "SSH-2.0-OpenSSH_9.2\r\n", "EHLO x\r\n",
					   " GET / HTTP/1.1\r\n" };

	(void)state;
	for (unsigned i = 0; i < sizeof bad / sizeof *bad; i++) {
		uint32_t s = fetch(bad[i]);

		RUN_UNTIL(guest(s)->reset);
		assert_int_equal(guest(s)->reason, ERR_PROTOCOL_UNKNOWN);
		assert_int_equal(guest(s)->got.len, 0);
		RUN_UNTIL(claimed(CLAIM_REFUSED, ERR_PROTOCOL_UNKNOWN));
	}
	assert_int_equal(w.exchanges, 0);
}

static void addresses_that_were_never_given_are_refused(void **state)
{
	static const struct str bad[] = {
		STR_INIT("\x7f\x00\x00\x01"), STR_INIT("\xc6\x13\xff\xfe"), STR_INIT("\x00\x00\x00\x00"),
		STR_INIT("\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\1"),
		STR_INIT("\0\0\0\0\0\0\0\0\0\0\xff\xff\x7f\0\0\1"),
		STR_INIT("\xfd\0padd\0\0\0\0\0\0\0\0\0\x20"),
	};

	(void)state;
	for (unsigned i = 0; i < sizeof bad / sizeof *bad; i++) {
		uint32_t s = guest_open(LINK_KIND_TCP, bad[i], 15001);

		RUN_UNTIL(guest(s)->reset);
		assert_int_equal(guest(s)->reason, ERR_ADDRESS_REFUSED);
	}
	RUN_UNTIL(claimed(CLAIM_REFUSED, ERR_ADDRESS_REFUSED));
}

static void a_bare_address_is_the_couriers_to_judge(void **state)
{
	uint32_t s = guest_open(LINK_KIND_TCP, STR("\x5d\xb8\xd8\x22"), 8080);

	(void)state;
	guest_send(s, STR("GET / HTTP/1.1\r\nHost: 93.184.216.34:8080\r\n\r\n"));
	RUN_UNTIL(guest_got(s, "hello"));
	assert_int_equal(w.exchanges, 1);
}

static void a_client_that_goes_cancels(void **state)
{
	uint32_t s = fetch("GET /silent HTTP/1.1\r\n" HOST "\r\n");

	(void)state;
	RUN_UNTIL(w.exchanges == 1 && courier_stream(w.last_exchange)->ended);
	link_reset(guest_link(), s, ERR_CANCELLED);
	channel_flush(w.guest);
	RUN_UNTIL(courier_stream(w.last_exchange)->reset);
	s = fetch("POST /x HTTP/1.1\r\n" HOST "Content-Length: 9\r\n\r\nhalf");
	RUN_UNTIL(w.exchanges == 2 && courier_stream(w.last_exchange)->body.len == 4);
	guest_end(s);
	RUN_UNTIL(courier_stream(w.last_exchange)->reset && guest(s)->reset);
}

/* -- TLS ---------------------------------------------------------------------------------- */

struct client {
	SSL_CTX *ctx;
	SSL *ssl;
	BIO *in, *out;
	uint32_t stream;
	struct buf text;
	size_t fed;
	int error;	/* last SSL_ERROR_* */
};

static void client_open(struct client *c, uint32_t stream, const char *sni)
{
	auto_buf pem = BUF_EMPTY;
	BIO *bio;
	X509 *ca;

	*c = (struct client){ .stream = stream };
	buf_init(&c->text, 65536);
	buf_init(&pem, 8192);
	assert_int_equal(mint_ca_pem(w.mint, &pem), ERR_OK);
	bio = BIO_new_mem_buf(pem.p, (int)pem.len);
	ca = PEM_read_bio_X509(bio, NULL, NULL, NULL);
	c->ctx = SSL_CTX_new(TLS_client_method());
	assert_int_equal(X509_STORE_add_cert(SSL_CTX_get_cert_store(c->ctx), ca), 1);
	X509_free(ca);
	BIO_free(bio);
	SSL_CTX_set_verify(c->ctx, SSL_VERIFY_PEER, NULL);
	c->ssl = SSL_new(c->ctx);
	c->in = BIO_new(BIO_s_mem());
	c->out = BIO_new(BIO_s_mem());
	SSL_set_bio(c->ssl, c->in, c->out);
	SSL_set_connect_state(c->ssl);
	if (sni) {
		char name[64];	/* OpenSSL's macro casts const away */

		(void)snprintf(name, sizeof name, "%s", sni);
		assert_int_equal(SSL_set_tlsext_host_name(c->ssl, name), 1);
	}
}

static void client_close(struct client *c)
{
	SSL_free(c->ssl);
	SSL_CTX_free(c->ctx);
	buf_free(&c->text);
}

/* One turn: what came goes in, what OpenSSL makes goes out; true while the session lives. */
static bool client_turn(struct client *c)
{
	struct guest_stream *g = guest(c->stream);
	char bytes[16384];
	int n;

	if (g->got.len > c->fed)
		assert_true(BIO_write(c->in, g->got.p + c->fed, (int)(g->got.len - c->fed)) > 0);
	c->fed = g->got.len;
	ERR_clear_error();
	n = SSL_read(c->ssl, bytes, sizeof bytes);
	if (n > 0)
		buf_put(&c->text, str_make(bytes, (size_t)n));
	c->error = n > 0 ? 0 : SSL_get_error(c->ssl, n);
	while ((n = BIO_read(c->out, bytes, sizeof bytes)) > 0 && link_is_open(guest_link(), c->stream))
		guest_send(c->stream, str_make(bytes, (size_t)n));
	(void)uv_run(&w.loop, UV_RUN_NOWAIT);
	return c->error == 0 || c->error == SSL_ERROR_WANT_READ;
}

static bool client_got(struct client *c, const char *text)
{
	(void)client_turn(c);
	return c->text.len && memmem(c->text.p, c->text.len, text, strlen(text));
}

static void https_becomes_an_exchange(void **state)
{
	struct client c;
	struct msg_connect m;

	(void)state;
	for (unsigned i = 1; i <= 2; i++) {
		client_open(&c, connect_to("api.example", 443), "api.example");
		assert_int_equal(SSL_set1_host(c.ssl, "api.example"), 1);
		RUN_UNTIL(client_turn(&c) && SSL_is_init_finished(c.ssl));
		assert_true(SSL_write(c.ssl, "GET / HTTP/1.1\r\n" HOST "\r\n", 37) == 37);
		RUN_UNTIL(client_got(&c, "content-length: 5\r\n\r\nhello"));
		assert_true(SSL_write(c.ssl, "GET /stream HTTP/1.1\r\n" HOST "Connection: close\r\n\r\n",
				      62) == 62);
		RUN_UNTIL(client_got(&c, "\r\n0\r\nx-sum: 7\r\n\r\n"));
		RUN_UNTIL(!client_turn(&c));
		assert_int_equal(c.error, SSL_ERROR_ZERO_RETURN);	/* an orderly end */
		assert_int_equal(w.leaves, 1);				/* one leaf a name */
		client_close(&c);
	}
	assert_int_equal(msg_get_connect(buf_str(&courier_stream(w.last_exchange)->opened), &m), ERR_OK);
	assert_true(m.scheme == HEAD_HTTPS && m.port == 443);
}

static unsigned refused_with(struct client *c)
{
	unsigned reason;

	RUN_UNTIL(!client_turn(c));
	assert_int_equal(c->error, SSL_ERROR_SSL);
	reason = (unsigned)ERR_GET_REASON(ERR_peek_last_error());
	client_close(c);
	return reason;
}

static void tls_names_must_agree(void **state)
{
	struct client c;

	(void)state;
	client_open(&c, connect_to("api.example", 443), "other.example");
	assert_int_equal(refused_with(&c), SSL_R_TLSV1_UNRECOGNIZED_NAME);
	client_open(&c, connect_to("api.example", 443), NULL);
	assert_int_equal(refused_with(&c), SSL_R_TLSV1_UNRECOGNIZED_NAME);
	client_open(&c, guest_open(LINK_KIND_TCP, STR("\x5d\xb8\xd8\x22"), 443), NULL);
	assert_int_equal(refused_with(&c), SSL_R_TLSV1_ALERT_ACCESS_DENIED);
	assert_int_equal(w.leaves, 0);
	client_open(&c, connect_to("api.example", 443), "api.example");
	RUN_UNTIL(client_turn(&c) && SSL_is_init_finished(c.ssl));
	assert_true(SSL_write(c.ssl, "GET / HTTP/1.1\r\nHost: b.example\r\n\r\n", 35) == 35);
	RUN_UNTIL(client_got(&c, "421 Misdirected"));
	client_close(&c);
	assert_int_equal(w.exchanges, 0);
}

static void a_cut_off_answer_has_no_close_notify(void **state)
{
	struct client c;

	(void)state;
	client_open(&c, connect_to("api.example", 443), "api.example");
	RUN_UNTIL(client_turn(&c) && SSL_is_init_finished(c.ssl));
	assert_true(SSL_write(c.ssl, "GET /midway HTTP/1.0\r\n" HOST "\r\n", 43) == 43);
	RUN_UNTIL(client_turn(&c) && guest(c.stream)->reset);
	(void)client_turn(&c);
	assert_int_equal(SSL_get_shutdown(c.ssl), 0);
	client_close(&c);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, begin, end)
	const struct CMUnitTest tests[] = {
		T(names_get_addresses_of_their_own), T(other_names_do_not_exist),
		T(malformed_queries_are_answered_or_dropped), T(a_request_becomes_an_exchange),
		T(pipelined_requests_are_answered_in_order), T(chunked_uploads_arrive_whole),
		T(http10_gets_no_chunks), T(events_pass_one_by_one),
		T(a_guest_that_does_not_read_stops_the_courier),
		T(cut_off_answers_are_cut_off), T(a_refused_exchange_is_an_error_to_read),
		T(a_denial_does_not_wait_for_the_body), T(doubtful_requests_are_refused_with_words),
		T(what_is_not_http_is_refused), T(addresses_that_were_never_given_are_refused),
		T(a_bare_address_is_the_couriers_to_judge), T(a_client_that_goes_cancels),
		T(https_becomes_an_exchange), T(tls_names_must_agree),
		T(a_cut_off_answer_has_no_close_notify),
	};
	int failed = cmocka_run_group_tests(tests, NULL, NULL);

	if (!SANITIZED) {
		inspector_program = program_beside();
		failed += cmocka_run_group_tests_name("confined", tests, NULL, NULL);
	}
	return failed != 0;
}
