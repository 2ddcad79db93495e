/* inspector_http2_test.c - HTTP/2 with a guest's client: what a real peer (nghttp2) sees, and what attackers get */
#include "inspector_world.h"

#include <nghttp2/nghttp2.h>

#define ERR_STATE OPENSSL_ERR_STATE
#include <openssl/err.h>
#include <openssl/ssl.h>
#undef ERR_STATE

#define ANSWERS_MAX 256
#define STR_NONE ((struct str){ NULL, 0 })

/** struct answer - what came on one of the client's streams */
struct answer {
	unsigned status, interim;
	struct buf body, fields;	/* "name: value\n" of all blocks */
	bool closed, ended;
	uint32_t code;
};

/** struct peer - an HTTP/2 client on one stream of the guest's link, on a plain connection or inside of TLS */
struct peer {
	uint32_t stream;
	size_t fed;
	nghttp2_session *nghttp2;
	struct answer answers[ANSWERS_MAX];	/* by stream id / 2 */
	struct str upload[ANSWERS_MAX];
	bool upload_open[ANSWERS_MAX], with_trailers[ANSWERS_MAX];
	bool goaway;
	uint32_t goaway_code;
	SSL_CTX *ctx;
	SSL *ssl;
	BIO *in, *out;
};

static struct peer p;

static struct answer *answer(int32_t id) { return &p.answers[id / 2 % ANSWERS_MAX]; }

static int on_header(nghttp2_session *s, const nghttp2_frame *frame, const uint8_t *name, size_t name_bytes,
		     const uint8_t *value, size_t value_bytes, uint8_t flags, void *user)
{
	struct answer *a = answer(frame->hd.stream_id);
	struct str n = str_make(name, name_bytes), v = str_make(value, value_bytes);
	uint64_t status;

	(void)s;
	(void)flags;
	(void)user;
	buf_put(&a->fields, n);
	buf_put(&a->fields, STR(": "));
	buf_put(&a->fields, v);
	buf_put_byte(&a->fields, '\n');
	if (str_eq(n, STR(":status")) && str_decimal(v, 599, &status)) {
		a->interim += status < 200;
		a->status = (unsigned)status;
	}
	return 0;
}

static int on_data(nghttp2_session *s, uint8_t flags, int32_t id, const uint8_t *bytes, size_t n, void *user)
{
	(void)s;
	(void)flags;
	(void)user;
	buf_put(&answer(id)->body, str_make(bytes, n));
	return 0;
}

static int on_frame(nghttp2_session *s, const nghttp2_frame *frame, void *user)
{
	(void)s;
	(void)user;
	if (frame->hd.type == NGHTTP2_GOAWAY) {
		p.goaway = true;
		p.goaway_code = frame->goaway.error_code;
	}
	if ((frame->hd.type == NGHTTP2_HEADERS || frame->hd.type == NGHTTP2_DATA) &&
	    (frame->hd.flags & NGHTTP2_FLAG_END_STREAM))
		answer(frame->hd.stream_id)->ended = true;
	return 0;
}

static int on_close(nghttp2_session *s, int32_t id, uint32_t code, void *user)
{
	(void)s;
	(void)user;
	answer(id)->closed = true;
	answer(id)->code = code;
	return 0;
}

static void peer_begin(uint32_t stream)
{
	nghttp2_session_callbacks *callbacks;

	p = (struct peer){ .stream = stream };
	for (unsigned i = 0; i < ANSWERS_MAX; i++) {
		buf_init(&p.answers[i].body, 8 * 1024 * 1024);
		buf_init(&p.answers[i].fields, 65536);
	}
	assert_int_equal(nghttp2_session_callbacks_new(&callbacks), 0);
	nghttp2_session_callbacks_set_on_header_callback(callbacks, on_header);
	nghttp2_session_callbacks_set_on_data_chunk_recv_callback(callbacks, on_data);
	nghttp2_session_callbacks_set_on_frame_recv_callback(callbacks, on_frame);
	nghttp2_session_callbacks_set_on_stream_close_callback(callbacks, on_close);
	assert_int_equal(nghttp2_session_client_new(&p.nghttp2, callbacks, NULL), 0);
	nghttp2_session_callbacks_del(callbacks);
	assert_int_equal(nghttp2_submit_settings(p.nghttp2, NGHTTP2_FLAG_NONE, NULL, 0), 0);
}

static void peer_end(void)
{
	nghttp2_session_del(p.nghttp2);
	for (unsigned i = 0; i < ANSWERS_MAX; i++) {
		buf_free(&p.answers[i].body);
		buf_free(&p.answers[i].fields);
	}
	SSL_free(p.ssl);
	SSL_CTX_free(p.ctx);
	p = (struct peer){ 0 };
}

static void peer_plain(void) { peer_begin(connect_to("api.example", 80)); }

/* Bytes of the session to the inspector, through TLS if there is one. */
static void peer_write(const uint8_t *bytes, size_t n)
{
	char record[16384];
	int got;

	if (!p.ssl) {
		guest_send(p.stream, str_make(bytes, n));
		return;
	}
	if (n)
		assert_int_equal(SSL_write(p.ssl, bytes, (int)n), (int)n);
	while ((got = BIO_read(p.out, record, sizeof record)) > 0)
		guest_send(p.stream, str_make(record, (size_t)got));
}

static void peer_read(struct str bytes)
{
	static char text[65536];
	int n;

	if (!p.ssl) {
		assert_int_equal(nghttp2_session_mem_recv(p.nghttp2, (const uint8_t *)bytes.p, bytes.n), (ssize_t)bytes.n);
		return;
	}
	if (bytes.n)
		assert_int_equal(BIO_write(p.in, bytes.p, (int)bytes.n), (int)bytes.n);
	while ((n = SSL_read(p.ssl, text, sizeof text)) > 0)
		assert_int_equal(nghttp2_session_mem_recv(p.nghttp2, (const uint8_t *)text, (size_t)n), n);
}

/* One turn: what came goes in, what nghttp2 makes goes out. Always true, for RUN_UNTIL. */
static bool turn(void)
{
	struct buf *got = &guest(p.stream)->got;
	const uint8_t *bytes;
	ssize_t n;

	if (got->len > p.fed || p.ssl)
		peer_read(str_from(buf_str(got), p.fed));
	p.fed = got->len;
	while (link_is_open(guest_link(), p.stream) && (!p.ssl || SSL_is_init_finished(p.ssl)) &&
	       (n = nghttp2_session_mem_send(p.nghttp2, &bytes)) > 0)
		peer_write(bytes, (size_t)n);
	if (p.ssl)
		peer_write(NULL, 0);
	(void)uv_run(&w.loop, UV_RUN_NOWAIT);
	return true;
}

static ssize_t read_upload(nghttp2_session *s, int32_t id, uint8_t *to, size_t n, uint32_t *flags,
			   nghttp2_data_source *source, void *user)
{
	struct str *rest = source->ptr, piece = str_head(*rest, n);
	size_t at = (size_t)(rest - p.upload);

	(void)user;
	if (piece.n)
		memcpy(to, piece.p, piece.n);
	*rest = str_from(*rest, piece.n);
	if (rest->n == 0 && p.upload_open[at])
		return piece.n ? (ssize_t)piece.n : NGHTTP2_ERR_DEFERRED;
	if (rest->n == 0) {
		*flags |= NGHTTP2_DATA_FLAG_EOF;
		if (p.with_trailers[at]) {
			nghttp2_nv nv = { (uint8_t *)(uintptr_t)"x-sum", (uint8_t *)(uintptr_t)"9", 5, 1, 0 };

			*flags |= NGHTTP2_DATA_FLAG_NO_END_STREAM;
			assert_int_equal(nghttp2_submit_trailer(s, id, &nv, 1), 0);
		}
	}
	return (ssize_t)piece.n;
}

struct extra {
	const char *name, *value;
};

/* Submits; @upload {NULL, 0}: none. Extra fields may replace nothing, they follow. */
static int32_t ask(const char *method, const char *path, const char *authority, struct str upload, bool more,
		   const struct extra *extra, size_t extra_count)
{
	const struct extra base[] = { { ":method", method }, { ":scheme", p.ssl ? "https" : "http" },
				      { ":authority", authority }, { ":path", path } };
	int32_t next = nghttp2_session_get_next_stream_id(p.nghttp2) > 0
			       ? (int32_t)nghttp2_session_get_next_stream_id(p.nghttp2) : 0;
	size_t at = (size_t)next / 2 % ANSWERS_MAX, count = 0;
	nghttp2_data_provider provider = { .source.ptr = &p.upload[at], .read_callback = read_upload };
	nghttp2_nv nv[32];

	p.upload[at] = upload;
	p.upload_open[at] = more;
	for (size_t i = 0; i < 4 + extra_count; i++) {
		const struct extra *e = i < 4 ? &base[i] : &extra[i - 4];

		nv[count++] = (nghttp2_nv){ (uint8_t *)(uintptr_t)e->name, (uint8_t *)(uintptr_t)e->value,
					    strlen(e->name), strlen(e->value), 0 };
	}
	assert_int_equal(nghttp2_submit_request(p.nghttp2, NULL, nv, count, upload.p || more ? &provider : NULL, NULL), next);
	return next;
}

static int32_t get(const char *path) { return ask("GET", path, "api.example", STR_NONE, false, NULL, 0); }

static int begin(void **state)
{
	(void)state;
	world_begin(&inspector_limits_default);
	return 0;
}

static int begin_impatient(void **state)
{
	struct inspector_limits limits = inspector_limits_default;

	(void)state;
	limits.head_ms = limits.idle_ms = 300;
	limits.continue_ms = 20;
	limits.stall_ms = 500;
	limits.linger_ms = 100;
	limits.exchanges_max = 2;
	world_begin(&limits);
	return 0;
}

static int end_all(void **state)
{
	peer_end();
	return end(state);
}

static bool body_is(int32_t id, const char *text)
{
	return answer(id)->ended && str_eq(buf_str(&answer(id)->body), str_of(text));
}

static bool has_field(int32_t id, const char *line)
{
	const struct buf *b = &answer(id)->fields;

	return b->len && memmem(b->p, b->len, line, strlen(line));
}

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
	id = ask("POST", "/", "api.example", STR("12345"), false, (struct extra[]){ { "content-length", "5" } }, 1);
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
	id = ask("POST", "/", "api.example", STR("123456"), false, (struct extra[]){ { "content-length", "5" } }, 1);
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
	id = ask("GET", "/", "api.example", STR_NONE, false, (struct extra[]){ { "host", "other.example" } }, 1);
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
		{ "te", "gzip" }, { "connection", "close" }, { "transfer-encoding", "chunked" }, { "a b", "c" },
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

static void one_tls_connection(void **state)
{
	static const unsigned char offer[] = "\x02h2\x08http/1.1";
	static char name[] = "api.example";	/* OpenSSL's macro casts const away */
	int32_t id;

	(void)state;
	peer_begin(connect_to("api.example", 443));
	p.ctx = SSL_CTX_new(TLS_client_method());
	assert_int_equal(SSL_CTX_set_alpn_protos(p.ctx, offer, sizeof offer - 1), 0);
	p.ssl = SSL_new(p.ctx);
	p.in = BIO_new(BIO_s_mem());
	p.out = BIO_new(BIO_s_mem());
	SSL_set_bio(p.ssl, p.in, p.out);
	SSL_set_connect_state(p.ssl);
	assert_int_equal(SSL_set_tlsext_host_name(p.ssl, name), 1);
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
	id = ask("POST", "/", "api.example", STR_NONE, true, (struct extra[]){ { "expect", "100-continue" } }, 1);
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

/* -- attackers: raw frames --------------------------------------------------------------- */

#define SETTINGS_NONE "\0\0\0\x04\0\0\0\0\0"
#define BLOCK "\x82\x86\x84\x41\x0b" "api.example"	/* GET http / */

static uint32_t attack_begin(void)
{
	uint32_t s = connect_to("api.example", 80);

	guest_send(s, STR("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" SETTINGS_NONE));
	return s;
}

static void put_frame(struct buf *b, uint8_t type, uint8_t flags, uint32_t id, struct str payload)
{
	buf_put_byte(b, (uint8_t)(payload.n >> 16));
	buf_put_byte(b, (uint8_t)(payload.n >> 8));
	buf_put_byte(b, (uint8_t)payload.n);
	buf_put_byte(b, type);
	buf_put_byte(b, flags);
	buf_put_u32be(b, id);
	buf_put(b, payload);
}

/* The error of the GOAWAY in what came, or -1. */
static int64_t goaway_in(uint32_t s)
{
	struct str rest = buf_str(&guest(s)->got);

	while (rest.n >= 9) {
		const uint8_t *f = (const uint8_t *)rest.p;
		size_t n = (size_t)f[0] << 16 | (size_t)f[1] << 8 | f[2];

		if (f[3] == NGHTTP2_GOAWAY && rest.n >= 17)
			return (int64_t)f[13] << 24 | f[14] << 16 | f[15] << 8 | f[16];
		rest = str_from(rest, 9 + n);
	}
	return -1;
}

/* Sends @frames again and again until the inspector has had enough; the reads go on as it likes. */
static void flood(uint32_t s, const struct buf *frames, unsigned times)
{
	for (unsigned i = 0; i < times && goaway_in(s) < 0 && link_is_open(guest_link(), s); i++) {
		if (link_sendable(guest_link(), s) >= frames->len)
			assert_int_equal(link_data(guest_link(), s, 0, buf_str(frames)), ERR_OK);
		channel_flush(w.guest);
		(void)uv_run(&w.loop, UV_RUN_NOWAIT);
	}
}

static void is_told_to_calm_down(uint32_t s)
{
	RUN_UNTIL(guest(s)->ended || guest(s)->reset);
	assert_int_equal(goaway_in(s), NGHTTP2_ENHANCE_YOUR_CALM);
	RUN_UNTIL(claimed(CLAIM_REFUSED, ERR_LIMIT));
	guest_end(s);
	peer_plain();
	RUN_UNTIL(turn() && nghttp2_session_want_read(p.nghttp2));
	{
		int32_t id = get("/");

		RUN_UNTIL(turn() && body_is(id, "hello"));
	}
}

static void flood_of(uint8_t type, uint8_t flags, uint32_t id, struct str payload)
{
	auto_buf b = BUF_EMPTY;
	uint32_t s = attack_begin();

	buf_init(&b, 65536);
	if (id)	/* a stream that is open */
		put_frame(&b, NGHTTP2_HEADERS, NGHTTP2_FLAG_END_HEADERS, id, STR(BLOCK));
	guest_send(s, buf_str(&b));
	buf_clear(&b);
	for (unsigned i = 0; i < 100; i++)
		put_frame(&b, type, flags, id, payload);
	flood(s, &b, 1000);
	is_told_to_calm_down(s);
}

static void a_settings_flood(void **state)
{
	(void)state;
	flood_of(NGHTTP2_SETTINGS, 0, 0, STR(""));
}

static void a_ping_flood(void **state)
{
	(void)state;
	flood_of(NGHTTP2_PING, 0, 0, STR("12345678"));
}

static void a_flood_of_empty_data(void **state)
{
	(void)state;
	flood_of(NGHTTP2_DATA, 0, 1, STR(""));
}

static void a_window_update_flood(void **state)
{
	(void)state;
	flood_of(NGHTTP2_WINDOW_UPDATE, 0, 1, STR("\0\0\0\1"));
}

static void a_priority_flood(void **state)
{
	(void)state;
	flood_of(NGHTTP2_PRIORITY, 0, 1, STR("\0\0\0\0\1"));
}

/* They cost nothing, and RFC 9113 s5.5 wants them ignored. */
static void unknown_frames_are_ignored(void **state)
{
	auto_buf b = BUF_EMPTY;
	uint32_t s = attack_begin();

	(void)state;
	buf_init(&b, 65536);
	for (unsigned i = 0; i < 1000; i++)
		put_frame(&b, 0xbe, 0xff, i, STR("x"));
	put_frame(&b, NGHTTP2_HEADERS, NGHTTP2_FLAG_END_HEADERS | NGHTTP2_FLAG_END_STREAM, 1, STR(BLOCK));
	guest_send(s, buf_str(&b));
	RUN_UNTIL(guest_got(s, "hello"));
	peer_plain();
}

/* CVE-2023-44487 */
static void a_rapid_reset(void **state)
{
	auto_buf b = BUF_EMPTY;
	uint32_t s = attack_begin(), id = 1;

	(void)state;
	buf_init(&b, 65536);
	for (unsigned i = 0; i < 200 && goaway_in(s) < 0; i++) {
		buf_clear(&b);
		for (unsigned k = 0; k < 10; k++, id += 2) {
			put_frame(&b, NGHTTP2_HEADERS, NGHTTP2_FLAG_END_HEADERS | NGHTTP2_FLAG_END_STREAM, id, STR(BLOCK));
			put_frame(&b, NGHTTP2_RST_STREAM, 0, id, STR("\0\0\0\x08"));
		}
		if (link_is_open(guest_link(), s))
			guest_send(s, buf_str(&b));
		(void)uv_run(&w.loop, UV_RUN_NOWAIT);
	}
	is_told_to_calm_down(s);
	assert_true(w.exchanges < 400);
}

/* CVE-2025-8671: the client makes us reset. */
static void a_flood_of_mistakes(void **state)
{
	auto_buf b = BUF_EMPTY;
	uint32_t s = attack_begin(), id = 1;

	(void)state;
	buf_init(&b, 65536);
	for (unsigned i = 0; i < 200 && goaway_in(s) < 0; i++) {
		buf_clear(&b);
		for (unsigned k = 0; k < 10; k++, id += 2) {
			put_frame(&b, NGHTTP2_HEADERS, NGHTTP2_FLAG_END_HEADERS, id, STR(BLOCK));
			put_frame(&b, NGHTTP2_WINDOW_UPDATE, 0, id, STR("\0\0\0\0"));
		}
		if (link_is_open(guest_link(), s))
			guest_send(s, buf_str(&b));
		(void)uv_run(&w.loop, UV_RUN_NOWAIT);
	}
	RUN_UNTIL(guest(s)->ended || guest(s)->reset);
	assert_true(goaway_in(s) > 0);
	assert_true(w.exchanges < 400);
	guest_end(s);
	peer_plain();
}

/* CVE-2024-27316 and its kin */
static void a_continuation_flood(void **state)
{
	auto_buf b = BUF_EMPTY;
	uint32_t s = attack_begin();

	(void)state;
	buf_init(&b, 65536);
	put_frame(&b, NGHTTP2_HEADERS, 0, 1, STR(BLOCK));
	for (unsigned i = 0; i < 100; i++)
		put_frame(&b, NGHTTP2_CONTINUATION, 0, 1, i % 2 ? STR("") : STR("\0\1x\1y"));
	guest_send(s, buf_str(&b));
	RUN_UNTIL(guest(s)->ended || guest(s)->reset);
	assert_int_equal(w.exchanges, 0);
	if (!guest(s)->reset)
		assert_true(goaway_in(s) > 0);
	RUN_UNTIL(claimed(CLAIM_REFUSED, ERR_LIMIT));
	guest_end(s);
	peer_plain();
}

/* One field of 3 KiB enters the table, and is then named 5,000 times by a byte. */
static void an_hpack_bomb(void **state)
{
	auto_buf block = BUF_EMPTY, b = BUF_EMPTY;
	uint32_t s = attack_begin();

	(void)state;
	buf_init(&b, 65536);
	buf_init(&block, 16384);
	buf_put(&block, STR(BLOCK "\x40\x01x\x7f\xf1\x16"));	/* literal, indexed; value 127 + 0x71 + 0x16 * 128 */
	for (unsigned i = 0; i < 127 + 0x71 + 0x16 * 128; i++)
		buf_put_byte(&block, 'a');
	for (unsigned i = 0; i < 5000; i++)
		buf_put_byte(&block, 0xbe);			/* 62: the newest */
	put_frame(&b, NGHTTP2_HEADERS, NGHTTP2_FLAG_END_HEADERS | NGHTTP2_FLAG_END_STREAM, 1, buf_str(&block));
	guest_send(s, buf_str(&b));
	RUN_UNTIL(guest_got(s, "HEAD_TOO_LARGE"));
	assert_int_equal(w.exchanges, 0);
	buf_clear(&b);
	put_frame(&b, NGHTTP2_HEADERS, NGHTTP2_FLAG_END_HEADERS | NGHTTP2_FLAG_END_STREAM, 3, STR(BLOCK));
	guest_send(s, buf_str(&b));
	RUN_UNTIL(guest_got(s, "hello"));
	peer_plain();
}

static void a_head_that_never_ends(void **state)
{
	auto_buf b = BUF_EMPTY;
	uint32_t s = attack_begin(), silent = connect_to("api.example", 80);

	(void)state;
	buf_init(&b, 1024);
	put_frame(&b, NGHTTP2_HEADERS, 0, 1, STR(BLOCK));
	guest_send(s, buf_str(&b));
	guest_send(silent, STR("PRI * HTTP/2.0\r\n\r\nSM"));
	RUN_UNTIL(guest(s)->reset);
	assert_int_equal(guest(s)->reason, ERR_TIMEOUT);
	RUN_UNTIL(guest(silent)->reset || guest(silent)->ended);
	peer_plain();
}

/* Nothing is read of a client that does not read, and nothing piles up. */
static void acknowledgements_do_not_pile_up(void **state)
{
	auto_buf b = BUF_EMPTY;
	uint32_t s = attack_begin();
	size_t sent = 0;

	(void)state;
	guest(s)->keep_credit = true;
	buf_init(&b, 65536);
	for (unsigned i = 0; i < 30; i++)
		put_frame(&b, NGHTTP2_HEADERS, NGHTTP2_FLAG_END_HEADERS | NGHTTP2_FLAG_END_STREAM, 2 * i + 1, STR(BLOCK));
	guest_send(s, buf_str(&b));
	buf_clear(&b);
	put_frame(&b, NGHTTP2_PING, 0, 0, STR("12345678"));
	for (unsigned i = 0; i < 200000 && link_is_open(guest_link(), s) && !guest(s)->ended; i++) {
		if (link_sendable(guest_link(), s) >= b.len) {
			assert_int_equal(link_data(guest_link(), s, 0, buf_str(&b)), ERR_OK);
			sent += b.len;
		}
		if (i % 64 == 0) {
			channel_flush(w.guest);
			(void)uv_run(&w.loop, UV_RUN_NOWAIT);
		}
	}
	assert_true(sent < 1024 * 1024);
	peer_plain();
}

static void what_is_not_http2_is_refused(void **state)
{
	uint32_t s = connect_to("api.example", 80);

	(void)state;
	guest_send(s, STR("PRI * HTTP/2.0\r\n\r\nXX\r\n\r\n"));
	RUN_UNTIL(guest_got(s, "505") || guest(s)->reset || guest(s)->ended);
	s = attack_begin();
	guest_send(s, STR("GET / HTTP/1.1\r\n" HOST "\r\n"));
	RUN_UNTIL(guest(s)->ended || guest(s)->reset);
	assert_int_equal(w.exchanges, 0);
	peer_plain();
}

/* Numbers that are the same in every run: frames cut, repeated and mixed. */
static void a_hostile_client_harms_itself(void **state)
{
	auto_buf b = BUF_EMPTY;
	uint32_t seed = 11, s = 0;
	int32_t id;

	(void)state;
	buf_init(&b, 65536);
	for (unsigned i = 0; i < 1500; i++) {
		seed = seed * 1664525u + 1013904223u;
		if (!s || !link_is_open(guest_link(), s) || guest(s)->ended || (seed >> 8) % 50 == 0) {
			if (s)
				link_reset(guest_link(), s, ERR_CANCELLED);
			s = attack_begin();
			guest(s)->keep_credit = (seed >> 9) % 4 == 0;
		}
		buf_clear(&b);
		put_frame(&b, (uint8_t)((seed >> 10) % 11), (uint8_t)((seed >> 14) & 0x2d), (seed >> 20) % 12,
			  str_head(STR(BLOCK "\0\0\0\1"), (seed >> 24) % 21));
		if (link_sendable(guest_link(), s) > b.len)
			assert_int_equal(link_data(guest_link(), s, 0, buf_str(&b)), ERR_OK);
		channel_flush(w.guest);
		(void)uv_run(&w.loop, UV_RUN_NOWAIT);
	}
	link_reset(guest_link(), s, ERR_CANCELLED);
	peer_plain();
	id = get("/");
	RUN_UNTIL(turn() && body_is(id, "hello"));
}

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SANITIZED true
#elif defined(__has_feature)
#define SANITIZED (__has_feature(address_sanitizer) || __has_feature(memory_sanitizer))
#else
#define SANITIZED false
#endif

static const char *program_beside(void)
{
	static char path[4096];
	ssize_t n = readlink("/proc/self/exe", path, sizeof path - sizeof "paddock-inspector");
	char *slash = n > 0 ? strrchr(path, '/') : NULL;

	assert_non_null(slash);
	memcpy(slash + 1, "paddock-inspector", sizeof "paddock-inspector");
	return path;
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, begin, end_all)
#define IMPATIENT(f) cmocka_unit_test_setup_teardown(f, begin_impatient, end_all)
	const struct CMUnitTest tests[] = {
		T(a_request_becomes_an_exchange), T(a_hundred_at_once), T(heads_before_and_after_the_body), T(bodies_go_up), T(trailers_go_up),
		T(a_length_that_lies_is_a_reset), T(an_early_answer_ends_the_upload), T(resets_pass_both_ways),
		T(other_hosts_must_move), T(doubtful_requests_are_refused_with_words), T(events_pass_one_by_one),
		T(a_window_that_is_shut_stops_the_courier), T(a_courier_that_does_not_read_stops_the_client),
		T(one_tls_connection), T(more_streams_than_allowed_are_refused), T(a_settings_flood), T(a_ping_flood),
		T(a_flood_of_empty_data), T(a_window_update_flood), T(a_priority_flood), T(unknown_frames_are_ignored),
		T(a_rapid_reset), T(a_flood_of_mistakes), T(a_continuation_flood), T(an_hpack_bomb),
		T(acknowledgements_do_not_pile_up), T(what_is_not_http2_is_refused), T(a_hostile_client_harms_itself),
	};
	const struct CMUnitTest limits[] = {
		IMPATIENT(an_idle_session_is_told_to_go), IMPATIENT(a_stalled_stream_is_reset),
		IMPATIENT(exchanges_are_bounded), IMPATIENT(a_client_is_told_to_continue), IMPATIENT(a_head_that_never_ends),
	};
	int failed = cmocka_run_group_tests(tests, NULL, NULL) + cmocka_run_group_tests(limits, NULL, NULL);

	if (!SANITIZED) {
		inspector_program = program_beside();
		failed += cmocka_run_group_tests_name("confined", tests, NULL, NULL);
	}
	return failed != 0;
}
