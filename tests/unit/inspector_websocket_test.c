/* inspector_websocket_test.c - guests' WebSockets over HTTP/1.1 and HTTP/2: frames to messages and back */
#include "inspector_world.h"

#include "inspector/messages.h"

#include <nghttp2/nghttp2.h>

#define KEY "dGhlIHNhbXBsZSBub25jZQ=="
#define HANDSHAKE(path) "GET " path " HTTP/1.1\r\n" HOST "Upgrade: websocket\r\nConnection: Upgrade\r\n" \
	"Sec-WebSocket-Key: " KEY "\r\nSec-WebSocket-Version: 13\r\n" \
	"Sec-WebSocket-Extensions: permessage-deflate\r\nSec-WebSocket-Protocol: chat\r\n\r\n"

/* What the client reads: after its handshake, the server's frames. */
static struct websocket_reader reader;
static size_t read_at;

static int begin(void **state)
{
	(void)state;
	read_at = 0;
	websocket_reader_init(&reader, false, WEBSOCKET_MESSAGE_MAX);
	world_begin(&inspector_limits_default);
	return 0;
}

static int begin_impatient(void **state)
{
	struct inspector_limits limits = inspector_limits_default;

	(void)state;
	limits.stall_ms = 300;
	limits.linger_ms = 100;
	world_begin(&limits);
	return 0;
}

static int end_all(void **state)
{
	websocket_reader_free(&reader);
	return end(state);
}

/* A client's frame, masked. */
static void put_frame(struct buf *b, uint8_t first, struct str payload)
{
	static const uint8_t mask[4] = { 1, 2, 3, 4 };
	size_t at = b->len;

	assert_int_equal(websocket_put_frame(b, WEBSOCKET_TEXT, mask, payload), ERR_OK);
	b->p[at] = (char)first;
}

static void send_frame(uint32_t s, uint8_t first, struct str payload)
{
	auto_buf b = BUF_EMPTY;

	buf_init(&b, WEBSOCKET_MESSAGE_MAX + 64);
	put_frame(&b, first, payload);
	guest_send(s, buf_str(&b));
}

/* The next message that came to the client on @s, or false. */
static bool next_frame(uint32_t s, struct websocket_message *ret)
{
	struct str input = str_from(buf_str(&guest(s)->got), read_at);
	size_t before = input.n;
	uint16_t code;
	enum err e = websocket_read(&reader, &input, ret, &code);

	read_at += before - input.n;
	assert_true(e == ERR_OK || e == ERR_MORE);
	return e == ERR_OK;
}

/* The messages that the courier has, as one text: "<opcode>:<payload>;" */
static bool courier_got(uint32_t stream, const char *text)
{
	struct str input = buf_str(&courier_stream(stream)->body);
	struct websocket_message m;
	auto_buf b = BUF_EMPTY;

	buf_init(&b, 65536);
	while (websocket_next_message(&input, WEBSOCKET_MESSAGE_MAX, &m) == ERR_OK) {
		buf_put_decimal(&b, (uint64_t)m.opcode);
		buf_put_byte(&b, ':');
		buf_put(&b, m.payload);
		buf_put_byte(&b, ';');
	}
	return str_eq(buf_str(&b), str_of(text));
}

static void courier_message(uint32_t stream, enum websocket_opcode opcode, struct str payload)
{
	auto_buf b = BUF_EMPTY;

	buf_init(&b, 65536);
	assert_int_equal(websocket_put_message(&b, opcode, payload), ERR_OK);
	courier_data(stream, buf_str(&b));
	channel_flush(w.courier);
}

static void assert_close(uint32_t s, unsigned code)
{
	struct websocket_message m = { 0 };

	RUN_UNTIL(next_frame(s, &m));
	assert_int_equal(m.opcode, WEBSOCKET_CLOSE);
	assert_true(m.payload.n >= 2);
	assert_int_equal((uint8_t)m.payload.p[0] << 8 | (uint8_t)m.payload.p[1], code);
}

static uint32_t open_socket(void)
{
	uint32_t s = fetch(HANDSHAKE("/socket"));

	RUN_UNTIL(guest_got(s, "\r\n\r\n"));
	assert_got(s, "HTTP/1.1 101 Switching Protocols\r\n");
	assert_got(s, "sec-websocket-accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n");
	assert_got(s, "sec-websocket-protocol: chat\r\n");
	read_at = guest(s)->got.len;
	return s;
}

static void a_handshake_becomes_an_exchange(void **state)
{
	static struct head h;
	uint32_t s = open_socket();

	(void)state;
	assert_int_equal(head_decode(buf_str(&courier_stream(w.last_exchange)->head), &h), ERR_OK);
	assert_true(h.websocket && str_eq(h.method, STR("GET")) && h.framing == HEAD_BODY_NONE);
	assert_int_equal(h.field_count, 2);
	assert_non_null(head_find(&h, STR("sec-websocket-protocol")));
	assert_false(courier_stream(w.last_exchange)->ended);
	guest_end(s);
	RUN_UNTIL(courier_stream(w.last_exchange)->reset);
	assert_int_equal(courier_stream(w.last_exchange)->reason, ERR_CANCELLED);
}

static void messages_pass_both_ways(void **state)
{
	uint32_t s = open_socket(), x = w.last_exchange;
	struct websocket_message m = { 0 };

	(void)state;
	send_frame(s, 0x81, STR("hello"));
	send_frame(s, 0x02, STR("bin"));		/* a message in three parts, a ping in between */
	send_frame(s, 0x89, STR("p"));
	send_frame(s, 0x00, STR("a"));
	send_frame(s, 0x80, STR("ry"));
	send_frame(s, 0x8a, STR(""));
	RUN_UNTIL(courier_got(x, "1:hello;9:p;2:binary;10:;"));
	courier_message(x, WEBSOCKET_TEXT, STR("good day"));
	courier_message(x, WEBSOCKET_PONG, STR("p"));
	RUN_UNTIL(next_frame(s, &m));
	assert_true(m.opcode == WEBSOCKET_TEXT && str_eq(m.payload, STR("good day")));
	RUN_UNTIL(next_frame(s, &m));
	assert_true(m.opcode == WEBSOCKET_PONG && str_eq(m.payload, STR("p")));
	send_frame(s, 0x88, STR("\x0f\xa1" "bye"));	/* 4001 */
	RUN_UNTIL(courier_stream(x)->ended);
	assert_true(courier_got(x, "1:hello;9:p;2:binary;10:;8:\x0f\xa1" "bye;"));
	courier_message(x, WEBSOCKET_CLOSE, STR("\x0f\xa1"));
	link_end(upper_link(), x);
	channel_flush(w.courier);
	assert_close(s, 4001);
	RUN_UNTIL(guest(s)->ended);
	assert_false(guest(s)->reset);
}

/* Larger than every window on the way, and in pieces that fit nowhere. */
static void large_messages_pass(void **state)
{
	static char big[700 * 1000 + 7];
	uint32_t s = open_socket(), x = w.last_exchange;
	struct websocket_message m = { 0 };
	struct str input, rest;
	auto_buf b = BUF_EMPTY;

	(void)state;
	for (size_t i = 0; i < sizeof big; i++)
		big[i] = (char)('a' + i % 23);
	send_frame(s, 0x81, str_make(big, sizeof big));
	RUN_UNTIL(courier_stream(x)->body.len == sizeof big + WEBSOCKET_HEADER_BYTES);
	input = buf_str(&courier_stream(x)->body);
	assert_int_equal(websocket_next_message(&input, WEBSOCKET_MESSAGE_MAX, &m), ERR_OK);
	assert_true(str_eq(m.payload, str_make(big, sizeof big)));
	buf_init(&b, sizeof big + 64);
	assert_int_equal(websocket_put_message(&b, WEBSOCKET_BINARY, str_make(big, sizeof big)), ERR_OK);
	for (rest = buf_str(&b); rest.n;) {
		size_t n = link_sendable(upper_link(), x);

		n = n > 4099 ? 4099 : n;
		if (n)
			courier_data(x, str_head(rest, n));
		rest = str_from(rest, n);
		channel_flush(w.courier);
		(void)uv_run(&w.loop, UV_RUN_NOWAIT);
	}
	RUN_UNTIL(next_frame(s, &m));
	assert_true(m.opcode == WEBSOCKET_BINARY && str_eq(m.payload, str_make(big, sizeof big)));
}

static void mistakes_are_closed_with_their_code(void **state)
{
	static const struct {
		uint8_t first;
		struct str payload;
		unsigned code;
	} cases[] = {
		{ 0xc1, STR_INIT("x"), 1002 },		/* a reserved bit: compression was not agreed */
		{ 0x80, STR_INIT("x"), 1002 },		/* a continuation of nothing */
		{ 0x83, STR_INIT("x"), 1002 },		/* an unknown opcode */
		{ 0x09, STR_INIT("x"), 1002 },		/* a fragmented ping */
		{ 0x88, STR_INIT("x"), 1002 },		/* half a close code */
		{ 0x88, STR_INIT("\x03\xed"), 1002 },	/* 1005, which nobody sends */
		{ 0x81, STR_INIT("\xff\xfe"), 1007 },	/* not UTF-8 */
	};

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		uint32_t s = open_socket();

		websocket_reader_free(&reader);
		websocket_reader_init(&reader, false, WEBSOCKET_MESSAGE_MAX);
		send_frame(s, cases[i].first, cases[i].payload);
		assert_close(s, cases[i].code);
		RUN_UNTIL(guest(s)->ended && courier_stream(w.last_exchange)->reset);
		assert_int_equal(courier_stream(w.last_exchange)->reason, ERR_WEBSOCKET);
		assert_true(courier_got(w.last_exchange, ""));
	}
	RUN_UNTIL(claimed(CLAIM_REFUSED, ERR_WEBSOCKET));
}

static void an_unmasked_frame_is_a_mistake(void **state)
{
	uint32_t s = open_socket();

	(void)state;
	guest_send(s, STR("\x81\x01x"));
	assert_close(s, 1002);
}

static void too_large_is_told_by_the_header(void **state)
{
	uint32_t s = open_socket();

	(void)state;
	guest_send(s, STR("\x82\xff\0\0\0\0\x01\0\0\1\1\2\3\4"));	/* 16 MiB and one byte */
	assert_close(s, 1009);
}

static void refusals_of_the_courier_are_told(void **state)
{
	uint32_t s = open_socket();

	(void)state;
	send_frame(s, 0x81, STR("forbidden"));
	RUN_UNTIL(courier_got(w.last_exchange, "1:forbidden;"));
	courier_message(w.last_exchange, WEBSOCKET_TEXT, STR("before"));
	link_reset(upper_link(), w.last_exchange, ERR_MESSAGE_DENIED);
	channel_flush(w.courier);
	{
		struct websocket_message m = { 0 };

		RUN_UNTIL(next_frame(s, &m));
		assert_true(str_eq(m.payload, STR("before")));
	}
	assert_close(s, 1008);
	RUN_UNTIL(guest(s)->ended);
}

/* Cut off within a message: no frame may follow that would seem to end it. */
static void half_a_message_is_cut_off(void **state)
{
	uint32_t s = open_socket();

	(void)state;
	courier_data(w.last_exchange, STR("\1\0\0\0\x0a\0\0\0hal"));
	channel_flush(w.courier);
	RUN_UNTIL(guest(s)->got.len > read_at + 2);
	link_reset(upper_link(), w.last_exchange, ERR_UPSTREAM_CLOSED);
	channel_flush(w.courier);
	RUN_UNTIL(guest(s)->reset);
}

static void a_courier_that_breaks_the_form_is_not_passed_on(void **state)
{
	uint32_t s = open_socket();

	(void)state;
	courier_data(w.last_exchange, STR("\3\0\0\0\x02\0\0\0hi"));
	channel_flush(w.courier);
	assert_close(s, 1011);
	RUN_UNTIL(guest(s)->ended);
}

static void what_is_not_granted_is_an_answer(void **state)
{
	uint32_t s = fetch(HANDSHAKE("/early"));

	(void)state;
	RUN_UNTIL(guest_got(s, "no\n"));
	assert_got(s, "HTTP/1.1 403 Forbidden\r\n");
	RUN_UNTIL(courier_stream(w.last_exchange)->ended);
	guest_send(s, STR("GET / HTTP/1.1\r\n" HOST "\r\n"));	/* the connection goes on */
	RUN_UNTIL(guest_got(s, "hello"));
	s = fetch(HANDSHAKE("/reset"));
	RUN_UNTIL(guest_got(s, "\"RESOLVE\""));
}

static void handshakes_that_are_not_whole_are_refused(void **state)
{
	static const char *const bad[] = {
		"Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n\r\n",
		"Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: x\r\n\r\n",
		"Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 8\r\nSec-WebSocket-Key: " KEY "\r\n\r\n",
		"Upgrade: tls/1.0\r\nConnection: Upgrade\r\n\r\n",
	};

	(void)state;
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
		uint32_t s = fetch("GET /socket HTTP/1.1\r\n" HOST);

		guest_send(s, str_of(bad[i]));
		RUN_UNTIL(guest(s)->ended);
		assert_got(s, "HTTP/1.1 426 Upgrade Required\r\n");
		assert_got(s, "sec-websocket-version: 13\r\n");
	}
	assert_int_equal(w.exchanges, 0);
}

static void a_courier_that_does_not_read_stops_the_client(void **state)
{
	static char piece[60000];
	uint32_t s;
	size_t sent = 0;
	auto_buf b = BUF_EMPTY;

	(void)state;
	w.keep_uploads = true;
	s = open_socket();
	buf_init(&b, 65536);
	put_frame(&b, 0x82, str_make(piece, sizeof piece));
	for (unsigned i = 0; i < 2000; i++) {
		if (link_sendable(guest_link(), s) >= b.len) {
			assert_int_equal(link_data(guest_link(), s, 0, buf_str(&b)), ERR_OK);
			sent += b.len;
			channel_flush(w.guest);
		}
		(void)uv_run(&w.loop, UV_RUN_NOWAIT);
	}
	assert_true(sent >= 2 * b.len && sent < 1024 * 1024);
}

/* Each client begins a message of the largest size: together they would hold 160 MiB. */
static void joined_messages_are_bounded_together(void **state)
{
	static char piece[1024 * 1024];
	static uint32_t s[10];
	unsigned closed = 0;

	(void)state;
	for (unsigned i = 0; i < 10; i++) {
		s[i] = open_socket();
		guest_send(s[i], STR("\x82\xff\0\0\0\0\0\xff\xff\xff\0\0\0\0"));
	}
	for (unsigned k = 0; k < 15; k++)
		for (unsigned i = 0; i < 10; i++)
			if (link_is_open(guest_link(), s[i]) && !guest(s[i])->ended)
				guest_send(s[i], str_make(piece, sizeof piece));
	for (unsigned i = 0; i < 10; i++)
		closed += guest(s[i])->ended;
	assert_true(closed > 0 && closed < 10);
	assert_true(w.inspector.message_bytes > 0 && w.inspector.message_bytes <= MESSAGES_WAITING_MAX);
	RUN_UNTIL(claimed(CLAIM_REFUSED, ERR_LIMIT));
}

static void a_silent_socket_ends(void **state)
{
	uint32_t s = fetch(HANDSHAKE("/socket"));

	(void)state;
	RUN_UNTIL(guest(s)->reset);
	assert_int_equal(guest(s)->reason, ERR_TIMEOUT);
}

/* -- over HTTP/2 ------------------------------------------------------------------------- */

static struct {
	nghttp2_session *nghttp2;
	uint32_t stream;
	size_t fed;
	unsigned status;
	struct buf got, out;
	bool ended, finish, deferred, closed;
	uint32_t code;
} p;

static int on_header(nghttp2_session *s, const nghttp2_frame *frame, const uint8_t *name, size_t name_bytes,
		     const uint8_t *value, size_t value_bytes, uint8_t flags, void *user)
{
	uint64_t status;

	(void)s;
	(void)frame;
	(void)flags;
	(void)user;
	if (str_eq(str_make(name, name_bytes), STR(":status")) &&
	    str_decimal(str_make(value, value_bytes), 599, &status))
		p.status = (unsigned)status;
	return 0;
}

static int on_data(nghttp2_session *s, uint8_t flags, int32_t id, const uint8_t *bytes, size_t n, void *user)
{
	(void)s;
	(void)flags;
	(void)id;
	(void)user;
	buf_put(&p.got, str_make(bytes, n));
	return 0;
}

static int on_close(nghttp2_session *s, int32_t id, uint32_t code, void *user)
{
	(void)s;
	(void)id;
	(void)user;
	p.closed = true;
	p.code = code;
	return 0;
}

static ssize_t read_out(nghttp2_session *s, int32_t id, uint8_t *to, size_t n, uint32_t *flags,
			nghttp2_data_source *source, void *user)
{
	struct str piece = str_head(buf_str(&p.out), n);

	(void)s;
	(void)id;
	(void)source;
	(void)user;
	if (piece.n) {
		memcpy(to, piece.p, piece.n);
		buf_drop(&p.out, piece.n);
	} else if (p.finish) {
		*flags |= NGHTTP2_DATA_FLAG_EOF;
	} else {
		p.deferred = true;
		return NGHTTP2_ERR_DEFERRED;
	}
	return (ssize_t)piece.n;
}

static bool turn(void)
{
	struct str in = str_from(buf_str(&guest(p.stream)->got), p.fed);
	const uint8_t *bytes;
	ssize_t n;

	if (in.n)
		assert_int_equal(nghttp2_session_mem_recv(p.nghttp2, (const uint8_t *)in.p, in.n),
				 (ssize_t)in.n);
	p.fed += in.n;
	if (p.deferred && (p.out.len || p.finish)) {
		p.deferred = false;
		(void)nghttp2_session_resume_data(p.nghttp2, 1);
	}
	while (link_is_open(guest_link(), p.stream) && (n = nghttp2_session_mem_send(p.nghttp2, &bytes)) > 0)
		guest_send(p.stream, str_make(bytes, (size_t)n));
	(void)uv_run(&w.loop, UV_RUN_NOWAIT);
	return true;
}

static void peer_begin(const char *path)
{
	static const char *const names[] = { ":method", ":protocol", ":scheme", ":authority", ":path",
					     "sec-websocket-version" };
	const char *values[] = { "CONNECT", "websocket", "http", "api.example", path, "13" };
	nghttp2_data_provider provider = { .read_callback = read_out };
	nghttp2_session_callbacks *callbacks;
	nghttp2_nv nv[6];

	memset(&p, 0, sizeof p);
	buf_init(&p.got, 65536);
	buf_init(&p.out, 65536);
	p.stream = connect_to("api.example", 80);
	assert_int_equal(nghttp2_session_callbacks_new(&callbacks), 0);
	nghttp2_session_callbacks_set_on_header_callback(callbacks, on_header);
	nghttp2_session_callbacks_set_on_data_chunk_recv_callback(callbacks, on_data);
	nghttp2_session_callbacks_set_on_stream_close_callback(callbacks, on_close);
	assert_int_equal(nghttp2_session_client_new(&p.nghttp2, callbacks, NULL), 0);
	nghttp2_session_callbacks_del(callbacks);
	assert_int_equal(nghttp2_submit_settings(p.nghttp2, 0, NULL, 0), 0);
	RUN_UNTIL(turn() && nghttp2_session_get_remote_settings(p.nghttp2,
								NGHTTP2_SETTINGS_ENABLE_CONNECT_PROTOCOL) == 1);
	for (size_t i = 0; i < 6; i++)
		nv[i] = (nghttp2_nv){ (uint8_t *)(uintptr_t)names[i], (uint8_t *)(uintptr_t)values[i],
				      strlen(names[i]), strlen(values[i]), 0 };
	assert_int_equal(nghttp2_submit_request(p.nghttp2, NULL, nv, 6, &provider, NULL), 1);
}

static void peer_end(void)
{
	nghttp2_session_del(p.nghttp2);
	buf_free(&p.got);
	buf_free(&p.out);
}

static void messages_pass_over_http2(void **state)
{
	static struct head h;
	uint32_t x;

	(void)state;
	peer_begin("/socket");
	RUN_UNTIL(turn() && p.status);
	assert_int_equal(p.status, 200);
	x = w.last_exchange;
	assert_int_equal(head_decode(buf_str(&courier_stream(x)->head), &h), ERR_OK);
	assert_true(h.websocket && str_eq(h.method, STR("GET")));
	put_frame(&p.out, 0x01, STR("hel"));
	put_frame(&p.out, 0x80, STR("lo"));
	RUN_UNTIL(turn() && courier_got(x, "1:hello;"));
	courier_message(x, WEBSOCKET_TEXT, STR("good day"));
	RUN_UNTIL(turn() && p.got.len == 10);
	assert_memory_equal(p.got.p, "\x81\x08good day", 10);
	put_frame(&p.out, 0x88, STR("\x03\xe8"));
	RUN_UNTIL(turn() && courier_stream(x)->ended);
	courier_message(x, WEBSOCKET_CLOSE, STR("\x03\xe8"));
	link_end(upper_link(), x);
	channel_flush(w.courier);
	RUN_UNTIL(turn() && p.got.len == 14);
	p.finish = true;
	RUN_UNTIL(turn() && p.closed);
	assert_int_equal(p.code, NGHTTP2_NO_ERROR);
	assert_false(courier_stream(x)->reset);
	peer_end();
}

static void mistakes_over_http2(void **state)
{
	(void)state;
	peer_begin("/socket");
	RUN_UNTIL(turn() && p.status == 200);
	put_frame(&p.out, 0xc1, STR("x"));
	RUN_UNTIL(turn() && p.closed);
	assert_true(p.got.len > 4);
	assert_memory_equal(p.got.p, "\x88", 1);
	assert_memory_equal(p.got.p + 2, "\x03\xea", 2);	/* 1002 */
	assert_int_equal(p.code, NGHTTP2_NO_ERROR);
	RUN_UNTIL(courier_stream(w.last_exchange)->reset);
	peer_end();
}

static void refusals_over_http2(void **state)
{
	(void)state;
	peer_begin("/early");
	RUN_UNTIL(turn() && p.closed);
	assert_int_equal(p.status, 403);
	assert_memory_equal(p.got.p, "no\n", 3);
	peer_end();
	peer_begin("/socket");
	RUN_UNTIL(turn() && p.status == 200);
	link_reset(upper_link(), w.last_exchange, ERR_MESSAGE_DENIED);
	channel_flush(w.courier);
	RUN_UNTIL(turn() && p.closed);
	assert_memory_equal(p.got.p + 2, "\x03\xf0", 2);	/* 1008 */
	peer_end();
}

static void a_client_that_goes_over_http2(void **state)
{
	(void)state;
	peer_begin("/socket");
	RUN_UNTIL(turn() && p.status == 200);
	p.finish = true;
	RUN_UNTIL(turn() && courier_stream(w.last_exchange)->reset && p.closed);
	assert_int_equal(courier_stream(w.last_exchange)->reason, ERR_CANCELLED);
	peer_end();
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, begin, end_all)
	const struct CMUnitTest tests[] = {
		T(a_handshake_becomes_an_exchange), T(messages_pass_both_ways), T(large_messages_pass),
		T(mistakes_are_closed_with_their_code), T(an_unmasked_frame_is_a_mistake),
		T(too_large_is_told_by_the_header), T(refusals_of_the_courier_are_told),
		T(half_a_message_is_cut_off), T(a_courier_that_breaks_the_form_is_not_passed_on),
		T(what_is_not_granted_is_an_answer), T(handshakes_that_are_not_whole_are_refused),
		T(a_courier_that_does_not_read_stops_the_client), T(joined_messages_are_bounded_together),
		T(messages_pass_over_http2), T(mistakes_over_http2), T(refusals_over_http2),
		T(a_client_that_goes_over_http2),
		cmocka_unit_test_setup_teardown(a_silent_socket_ends, begin_impatient, end_all),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
