/* inspector_http2_test.c - HTTP/2 with a guest's client: what a real peer (nghttp2) sees */
#include "inspector_http2_world.h"

/* -- a real peer ------------------------------------------------------------------------- */

static void a_request_becomes_an_exchange(void **state)
{
	static struct head h;
	int32_t id;

	(void)state;
	peer_plain();
	id = ask("GET", "/a%2fb?q=1", "API.example", STR_NONE, false,
		 (struct extra[]){ { "te", "trailers" }, { "cookie", "a=1" }, { "cookie", "b=2" } }, 3);
	RUN_UNTIL(turn() && body_is(id, "hello"));
	assert_int_equal(answer(id)->status, 200);
	assert_true(has_field(id, "x-from: courier\n") && has_field(id, "content-length: 5\n"));
	assert_int_equal(head_decode(buf_str(&courier_stream(w.last_exchange)->head), &h), ERR_OK);
	assert_true(str_eq(h.path, STR("/a%2Fb")) && str_eq(h.host, STR("api.example")) && h.port == 80);
	assert_int_equal(h.framing, HEAD_BODY_NONE);
	assert_int_equal(h.field_count, 3);
	assert_true(str_eq(h.fields[2].value, STR("a=1; b=2")));
	RUN_UNTIL(turn() && answer(id)->closed);
	assert_false(courier_stream(w.last_exchange)->reset);
}

static void a_hundred_at_once(void **state)
{
	int32_t id[100];

	(void)state;
	peer_plain();
	for (unsigned round = 0; round < 2; round++) {
		for (unsigned i = 0; i < 100; i++)
			id[i] = get(i % 3 ? "/" : "/stream");
		for (unsigned i = 0; i < 100; i++) {
			RUN_UNTIL(turn() && answer(id[i])->closed);
			assert_true(body_is(id[i], i % 3 ? "hello" : "one,two"));
		}
	}
	assert_int_equal(w.exchanges, 200);
}

static void heads_before_and_after_the_body(void **state)
{
	int32_t id;

	(void)state;
	peer_plain();
	id = get("/stream");
	RUN_UNTIL(turn() && answer(id)->closed);
	assert_int_equal(answer(id)->interim, 1);
	assert_int_equal(answer(id)->code, NGHTTP2_NO_ERROR);
	assert_true(body_is(id, "one,two") && has_field(id, ":status: 103\n") && has_field(id, "x-sum: 7\n"));
	id = get("/nothing");
	RUN_UNTIL(turn() && answer(id)->closed);
	assert_int_equal(answer(id)->status, 204);
	id = ask("HEAD", "/", "api.example", STR_NONE, false, NULL, 0);
	RUN_UNTIL(turn() && answer(id)->closed);
	assert_true(has_field(id, "content-length: 1234\n"));
	assert_int_equal(answer(id)->code, NGHTTP2_NO_ERROR);
	assert_int_equal(answer(id)->body.len, 0);
}

static void bodies_go_up(void **state)
{
	static char big[3 * 1024 * 1024];
	struct courier_stream *x;
	static struct head h;
	int32_t id;

	(void)state;
	memset(big, 'b', sizeof big);
	peer_plain();
	id = ask("POST", "/nothing", "api.example", str_make(big, sizeof big), false, NULL, 0);
	RUN_UNTIL(turn() && answer(id)->closed);
	assert_int_equal(answer(id)->status, 204);
	x = courier_stream(w.last_exchange);
	assert_int_equal(head_decode(buf_str(&x->head), &h), ERR_OK);
	assert_int_equal(h.framing, HEAD_BODY_STREAMED);
	assert_int_equal(x->body.len, sizeof big);
	assert_int_equal(memcmp(x->body.p, big, sizeof big), 0);
	id = ask("POST", "/", "api.example", STR("12345"), false,
		 (struct extra[]){ { "content-length", "5" } }, 1);
	RUN_UNTIL(turn() && body_is(id, "12345"));
	assert_int_equal(head_decode(buf_str(&courier_stream(w.last_exchange)->head), &h), ERR_OK);
	assert_true(h.framing == HEAD_BODY_LENGTH && h.length == 5);
}

static void trailers_go_up(void **state)
{
	static struct head h;
	struct courier_stream *x;
	int32_t id;

	(void)state;
	peer_plain();
	p.with_trailers[0] = true;
	id = ask("POST", "/", "api.example", STR("12345"), false, NULL, 0);
	RUN_UNTIL(turn() && body_is(id, "12345"));
	x = courier_stream(w.last_exchange);
	assert_int_equal(head_decode(buf_str(&x->head), &h), ERR_OK);
	assert_true(h.trailers);
	assert_int_equal(head_decode(buf_str(&x->trailers), &h), ERR_OK);
	assert_true(h.kind == HEAD_TRAILERS && str_eq(h.fields[0].name, STR("x-sum")));
}

static void a_length_that_lies_is_a_reset(void **state)
{
	int32_t id;

	(void)state;
	peer_plain();
	id = ask("POST", "/", "api.example", STR("123456"), false,
		 (struct extra[]){ { "content-length", "5" } }, 1);
	RUN_UNTIL(turn() && answer(id)->closed);
	assert_int_equal(answer(id)->code, NGHTTP2_PROTOCOL_ERROR);
	RUN_UNTIL(courier_stream(w.last_exchange)->reset);
	assert_false(courier_stream(w.last_exchange)->ended);
	RUN_UNTIL(claimed(CLAIM_REFUSED, ERR_BODY_FRAMING));
	id = get("/");
	RUN_UNTIL(turn() && body_is(id, "hello"));
}

static void an_early_answer_ends_the_upload(void **state)
{
	int32_t id;

	(void)state;
	peer_plain();
	id = ask("POST", "/early", "api.example", STR("some"), true, NULL, 0);
	RUN_UNTIL(turn() && answer(id)->closed);
	assert_int_equal(answer(id)->status, 403);
	assert_true(body_is(id, "no\n"));
	assert_int_equal(answer(id)->code, NGHTTP2_NO_ERROR);
	id = get("/");
	RUN_UNTIL(turn() && body_is(id, "hello"));
}

static void resets_pass_both_ways(void **state)
{
	int32_t id;

	(void)state;
	peer_plain();
	id = get("/reset");
	RUN_UNTIL(turn() && answer(id)->closed);
	assert_int_equal(answer(id)->status, 502);
	assert_non_null(memmem(answer(id)->body.p, answer(id)->body.len, "\"RESOLVE\"", 9));
	id = get("/midway");
	RUN_UNTIL(turn() && answer(id)->closed);
	assert_int_equal(answer(id)->status, 200);
	assert_int_equal(answer(id)->code, NGHTTP2_INTERNAL_ERROR);
	id = get("/short");
	RUN_UNTIL(turn() && answer(id)->closed);
	assert_int_equal(answer(id)->code, NGHTTP2_INTERNAL_ERROR);
	id = get("/silent");
	RUN_UNTIL(turn() && w.exchanges == 4 && courier_stream(w.last_exchange)->head.len);
	assert_int_equal(nghttp2_submit_rst_stream(p.nghttp2, 0, id, NGHTTP2_CANCEL), 0);
	RUN_UNTIL(turn() && courier_stream(w.last_exchange)->reset);
	assert_int_equal(courier_stream(w.last_exchange)->reason, ERR_CANCELLED);
	assert_false(p.goaway);
}

static void other_hosts_must_move(void **state)
{
	int32_t id;

	(void)state;
	peer_plain();
	id = ask("GET", "/", "other.example", STR_NONE, false, NULL, 0);
	RUN_UNTIL(turn() && answer(id)->closed);
	assert_int_equal(answer(id)->status, 421);
	RUN_UNTIL(claimed(CLAIM_REFUSED, ERR_NAME_MISMATCH));
	id = ask("GET", "/", "api.example:8080", STR_NONE, false, NULL, 0);
	RUN_UNTIL(turn() && answer(id)->closed);
	assert_int_equal(answer(id)->status, 421);
	id = ask("GET", "/", "api.example", STR_NONE, false, (struct extra[]){ { "host", "other.example" } },
		1);
	RUN_UNTIL(turn() && answer(id)->closed);
	assert_int_equal(answer(id)->status, 421);
	id = get("/");
	RUN_UNTIL(turn() && body_is(id, "hello"));
	assert_int_equal(w.exchanges, 1);
}

static void doubtful_requests_are_refused_with_words(void **state)
{
	static const struct extra bad[] = {
		{ "x-bytes", "a\x01" "b" }, { "content_length", "5" }, { "expect", "more" },
		{ "te", "gzip" }, { "connection", "close" }, { "transfer-encoding", "chunked" },
		{ "a b", "c" },
	};

	(void)state;
	peer_plain();
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
		int32_t id = ask("GET", "/", "api.example", STR_NONE, false, &bad[i], 1);

		RUN_UNTIL(turn() && answer(id)->closed);
		if (answer(id)->status != 400 && answer(id)->code != NGHTTP2_PROTOCOL_ERROR)
			fail_msg("taken: %s", bad[i].name);
	}
	for (size_t i = 0; i < 2; i++) {
		int32_t id = get(i ? "/a/../b" : "/%zz");

		RUN_UNTIL(turn() && answer(id)->closed);
		assert_int_equal(answer(id)->status, 400);
	}
	RUN_UNTIL(claimed(CLAIM_REFUSED, ERR_HEAD_MALFORMED));
	assert_int_equal(w.exchanges, 0);
	assert_false(p.goaway);
}

static void events_pass_one_by_one(void **state)
{
	int32_t id;

	(void)state;
	peer_plain();
	id = get("/open");
	RUN_UNTIL(turn() && answer(id)->body.len == 9);
	for (unsigned i = 2; i < 5; i++) {
		courier_data(w.last_exchange, STR("data: x\n\n"));
		channel_flush(w.courier);
		RUN_UNTIL(turn() && answer(id)->body.len == 9 * i);
	}
	assert_false(answer(id)->ended);
	link_end(upper_link(), w.last_exchange);
	channel_flush(w.courier);
	RUN_UNTIL(turn() && answer(id)->closed);
}

/* As many bytes as the courier may send while the guest's window stays shut. */
static size_t send_until_stopped(uint32_t exchange)
{
	static char bytes[LINK_PAYLOAD_MAX];
	size_t sent = 0, n, idle = 0;

	while (idle < 20) {
		n = link_sendable(upper_link(), exchange);
		idle = n ? 0 : idle + 1;
		if (n && link_data(upper_link(), exchange, 0, str_make(bytes, n)) == ERR_OK)
			sent += n;
		channel_flush(w.courier);
		(void)turn();
	}
	return sent;
}

static void a_window_that_is_shut_stops_the_courier(void **state)
{
	nghttp2_settings_entry none = { NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, 0 };
	int32_t id;

	(void)state;
	peer_plain();
	assert_int_equal(nghttp2_submit_settings(p.nghttp2, NGHTTP2_FLAG_NONE, &none, 1), 0);
	id = get("/open");
	RUN_UNTIL(turn() && answer(id)->status == 200);
	assert_true(send_until_stopped(w.last_exchange) <= INSPECTOR_COURIER_WINDOW);
	assert_int_equal(answer(id)->body.len, 0);
	none.value = 1 << 20;
	assert_int_equal(nghttp2_submit_settings(p.nghttp2, NGHTTP2_FLAG_NONE, &none, 1), 0);
	RUN_UNTIL(turn() && answer(id)->body.len > 60000);
}

static void a_courier_that_does_not_read_stops_the_client(void **state)
{
	static char big[1024 * 1024];
	int32_t id;

	(void)state;
	w.keep_uploads = true;
	peer_plain();
	id = ask("POST", "/silent", "api.example", str_make(big, sizeof big), false, NULL, 0);
	for (unsigned i = 0; i < 500; i++)
		(void)turn();
	assert_true(sizeof big - p.upload[id / 2].n <= LINK_WINDOW_BYTES + 2 * 65536);
	assert_true(p.upload[id / 2].n > 0);
	id = get("/");		/* others are served meanwhile */
	RUN_UNTIL(turn() && body_is(id, "hello"));
}

/* A client that wants no more, in the middle of an answer: it has the rest, and then the connection ends. */
static void a_client_that_says_goodbye_has_its_answers(void **state)
{
	int32_t id, upload;

	(void)state;
	peer_plain();
	id = get("/open");
	upload = ask("POST", "/", "api.example", STR("123"), true, NULL, 0);
	RUN_UNTIL(turn() && answer(id)->body.len == 9 && w.exchanges == 2);
	const uint32_t open_exchange =
		w.last_exchange - 2; /* the guest's side of the link opens odd or even ones */

	assert_int_equal(nghttp2_submit_goaway(p.nghttp2, NGHTTP2_FLAG_NONE, 0, NGHTTP2_NO_ERROR, NULL, 0),
			 0);
	for (unsigned i = 0; i < 20; i++)
		(void)turn();
	assert_false(answer(id)->closed || guest(p.stream)->ended || courier_stream(open_exchange)->reset);
	p.upload[upload / 2] = STR("45");
	p.upload_open[upload / 2] = false;
	assert_int_equal(nghttp2_session_resume_data(p.nghttp2, upload), 0);
	RUN_UNTIL(turn() && body_is(upload, "12345"));
	courier_data(open_exchange, STR("data: 2\n\n"));
	link_end(upper_link(), open_exchange);
	channel_flush(w.courier);
	RUN_UNTIL(turn() && answer(id)->closed);
	assert_true(body_is(id, "data: 1\n\ndata: 2\n\n"));
	assert_int_equal(answer(id)->code, NGHTTP2_NO_ERROR);
	RUN_UNTIL(turn() && guest(p.stream)->ended);
	assert_true(p.goaway && p.goaway_code == NGHTTP2_NO_ERROR && !guest(p.stream)->reset);
}

static void secure(void)
{
	static const unsigned char offer[] = "\x02h2\x08http/1.1";
	static char name[] = "api.example";	/* OpenSSL's macro casts const away */

	peer_begin(connect_to("api.example", 443));
	p.ctx = SSL_CTX_new(TLS_client_method());
	assert_int_equal(SSL_CTX_set_alpn_protos(p.ctx, offer, sizeof offer - 1), 0);
	p.ssl = SSL_new(p.ctx);
	p.in = BIO_new(BIO_s_mem());
	p.out = BIO_new(BIO_s_mem());
	SSL_set_bio(p.ssl, p.in, p.out);
	SSL_set_connect_state(p.ssl);
	assert_int_equal(SSL_set_tlsext_host_name(p.ssl, name), 1);
}

/* The sandbox stops: whoever is connected is told so, in its own words. */
static void say_goodbye(bool tls)
{
	int32_t id;

	if (tls)
		secure();
	else
		peer_plain();
	id = get("/");
	RUN_UNTIL(turn() && body_is(id, "hello"));
	id = get("/open");
	RUN_UNTIL(turn() && answer(id)->body.len == 9);
	assert_false(p.goaway);
	channel_close(w.courier);
	w.courier = NULL;
	w.ends_with = ERR_CLOSED;
	RUN_UNTIL(turn() && (tls ? SSL_get_shutdown(p.ssl) & SSL_RECEIVED_SHUTDOWN : p.goaway));
	assert_true(p.goaway);
	assert_int_equal(p.goaway_code, NGHTTP2_NO_ERROR);
	assert_false(answer(id)->ended);	/* nobody can take it for a whole one */
}

static void the_end_of_the_sandbox_is_told(void **state)
{
	(void)state;
	say_goodbye(false);
}

static void the_end_of_the_sandbox_is_told_inside_tls(void **state)
{
	(void)state;
	say_goodbye(true);
}

static void one_tls_connection(void **state)
{
	int32_t id;

	(void)state;
	secure();
	id = get("/stream");
	RUN_UNTIL(turn() && answer(id)->closed);
	assert_true(body_is(id, "one,two") && has_field(id, "x-sum: 7\n"));
	id = ask("POST", "/", "api.example", STR("12345"), false, NULL, 0);
	RUN_UNTIL(turn() && body_is(id, "12345"));
	(void)SSL_shutdown(p.ssl);
	RUN_UNTIL(turn() && guest(p.stream)->ended);
}

/* -- limits ------------------------------------------------------------------------------ */

static void an_idle_session_is_told_to_go(void **state)
{
	int32_t id;

	(void)state;
	peer_plain();
	id = get("/");
	RUN_UNTIL(turn() && body_is(id, "hello"));
	RUN_UNTIL(turn() && p.goaway && guest(p.stream)->ended);
	assert_int_equal(p.goaway_code, NGHTTP2_NO_ERROR);
	assert_false(guest(p.stream)->reset);
}

static void a_stalled_stream_is_reset(void **state)
{
	nghttp2_settings_entry none = { NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, 0 };
	int32_t silent, shut;

	(void)state;
	peer_plain();
	assert_int_equal(nghttp2_submit_settings(p.nghttp2, NGHTTP2_FLAG_NONE, &none, 1), 0);
	silent = get("/silent");
	shut = get("/");
	RUN_UNTIL(turn() && answer(silent)->closed && answer(shut)->closed);
	assert_int_equal(answer(silent)->code, NGHTTP2_CANCEL);
	assert_int_equal(answer(shut)->code, NGHTTP2_CANCEL);
	RUN_UNTIL(claimed(CLAIM_REFUSED, ERR_TIMEOUT));
}

static void exchanges_are_bounded(void **state)
{
	int32_t id[3];

	(void)state;
	peer_plain();
	for (unsigned i = 0; i < 3; i++)
		id[i] = get("/silent");
	RUN_UNTIL(turn() && answer(id[2])->closed);
	assert_int_equal(answer(id[2])->status, 429);
}

static void a_client_is_told_to_continue(void **state)
{
	int32_t id;

	(void)state;
	peer_plain();
	id = ask("POST", "/", "api.example", STR_NONE, true,
		 (struct extra[]){ { "expect", "100-continue" } }, 1);
	RUN_UNTIL(turn() && answer(id)->interim == 1);
	p.upload[id / 2] = STR("body");
	p.upload_open[id / 2] = false;
	assert_int_equal(nghttp2_session_resume_data(p.nghttp2, id), 0);
	RUN_UNTIL(turn() && body_is(id, "body"));
}

static void more_streams_than_allowed_are_refused(void **state)
{
	int32_t id[120];
	unsigned refused = 0;

	(void)state;
	peer_plain();
	for (unsigned i = 0; i < 120; i++)	/* before our SETTINGS have come */
		id[i] = get("/silent");
	RUN_UNTIL(turn() && w.exchanges == 100);
	for (unsigned i = 0; i < 100; i++)
		(void)turn();
	for (unsigned i = 0; i < 120; i++)
		refused += answer(id[i])->closed;
	assert_true(w.exchanges == 100);
	assert_true(refused <= 20);
	assert_false(p.goaway);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, begin, end_all)
#define IMPATIENT(f) cmocka_unit_test_setup_teardown(f, begin_impatient, end_all)
	const struct CMUnitTest tests[] = {
		T(a_request_becomes_an_exchange), T(a_hundred_at_once), T(heads_before_and_after_the_body),
		T(bodies_go_up), T(trailers_go_up), T(a_length_that_lies_is_a_reset),
		T(an_early_answer_ends_the_upload), T(resets_pass_both_ways), T(other_hosts_must_move),
		T(doubtful_requests_are_refused_with_words), T(events_pass_one_by_one),
		T(a_window_that_is_shut_stops_the_courier), T(a_courier_that_does_not_read_stops_the_client),
		T(a_client_that_says_goodbye_has_its_answers), T(one_tls_connection),
		T(the_end_of_the_sandbox_is_told),
		T(the_end_of_the_sandbox_is_told_inside_tls), T(more_streams_than_allowed_are_refused),
	};
	const struct CMUnitTest limits[] = {
		IMPATIENT(an_idle_session_is_told_to_go), IMPATIENT(a_stalled_stream_is_reset),
		IMPATIENT(exchanges_are_bounded), IMPATIENT(a_client_is_told_to_continue),
	};
	int failed = cmocka_run_group_tests(tests, NULL, NULL) + cmocka_run_group_tests(limits, NULL, NULL);

	if (!SANITIZED) {
		inspector_program = program_beside();
		failed += cmocka_run_group_tests_name("confined", tests, NULL, NULL);
	}
	return failed != 0;
}
