/* inspector_http2_attack_test.c - HTTP/2 from a guest that
 * attacks: floods, bombs, stalls, raw frames of any kind */
#include "inspector_http2_world.h"

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
		bool room = link_sendable(guest_link(), s) >= frames->len;

		if (room)
			assert_int_equal(link_data(guest_link(), s, 0, buf_str(frames)), ERR_OK);
		channel_flush(w.guest);
		/* without room the inspector, perhaps another process, must read first */
		(void)uv_run(&w.loop, room ? UV_RUN_NOWAIT : UV_RUN_ONCE);
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

/* What is all padding is empty too: with nothing but the length of none, and with as much as there can be. */
static void a_flood_of_paddings_lengths(void **state)
{
	(void)state;
	flood_of(NGHTTP2_DATA, NGHTTP2_FLAG_PADDED, 1, STR("\0"));
}

static void a_flood_of_padding(void **state)
{
	static char padding[256] = "\377";

	(void)state;
	flood_of(NGHTTP2_DATA, NGHTTP2_FLAG_PADDED, 1, str_make(padding, sizeof padding));
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
			put_frame(&b, NGHTTP2_HEADERS, NGHTTP2_FLAG_END_HEADERS | NGHTTP2_FLAG_END_STREAM, id,
				  STR(BLOCK));
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
	buf_put(&block,
		STR(BLOCK "\x40\x01x\x7f\xf1\x16")); /* literal, indexed; value 127 + 0x71 + 0x16 * 128 */
	for (unsigned i = 0; i < 127 + 0x71 + 0x16 * 128; i++)
		buf_put_byte(&block, 'a');
	for (unsigned i = 0; i < 5000; i++)
		buf_put_byte(&block, 0xbe);			/* 62: the newest */
	put_frame(&b, NGHTTP2_HEADERS, NGHTTP2_FLAG_END_HEADERS | NGHTTP2_FLAG_END_STREAM, 1,
		  buf_str(&block));
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

/* As much of an answer as the courier has credit for; true once it is told to stop. */
static bool answer_is_stopped(void)
{
	static const char zeros[LINK_PAYLOAD_MAX];
	size_t n = link_sendable(upper_link(), w.last_exchange);

	if (n)
		courier_data(w.last_exchange, str_make(zeros, n));
	channel_flush(w.courier);
	return courier_stream(w.last_exchange)->reset;
}

/* Not even its streams' resets go to a client that never reads: then the connection ends. */
static void a_client_that_never_reads(void **state)
{
	auto_buf b = BUF_EMPTY;
	uint32_t s = attack_begin();

	(void)state;
	guest(s)->keep_credit = true;
	buf_init(&b, 1024);
	put_frame(&b, NGHTTP2_WINDOW_UPDATE, 0, 0, STR("\x00\x10\x00\x00"));
	put_frame(&b, NGHTTP2_HEADERS, NGHTTP2_FLAG_END_HEADERS | NGHTTP2_FLAG_END_STREAM, 1,
		  STR("\x82\x86\x04\x05/open\x41\x0b" "api.example"));
	put_frame(&b, NGHTTP2_WINDOW_UPDATE, 0, 1, STR("\x00\x10\x00\x00"));
	guest_send(s, buf_str(&b));
	RUN_UNTIL(w.last_exchange);
	RUN_UNTIL(answer_is_stopped());
	assert_int_equal(courier_stream(w.last_exchange)->reason, ERR_TIMEOUT);
	RUN_UNTIL(guest(s)->reset);
	assert_true(claimed(CLAIM_REFUSED, ERR_TIMEOUT));
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
		put_frame(&b, NGHTTP2_HEADERS, NGHTTP2_FLAG_END_HEADERS | NGHTTP2_FLAG_END_STREAM, 2 * i + 1,
			  STR(BLOCK));
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

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, begin, end_all)
#define IMPATIENT(f) cmocka_unit_test_setup_teardown(f, begin_impatient, end_all)
	const struct CMUnitTest tests[] = {
		T(a_settings_flood), T(a_ping_flood), T(a_flood_of_empty_data),
		T(a_flood_of_paddings_lengths), T(a_flood_of_padding), T(a_window_update_flood),
		T(a_priority_flood), T(unknown_frames_are_ignored), T(a_rapid_reset), T(a_flood_of_mistakes),
		T(a_continuation_flood), T(an_hpack_bomb), T(acknowledgements_do_not_pile_up),
		T(what_is_not_http2_is_refused), T(a_hostile_client_harms_itself),
	};
	const struct CMUnitTest limits[] = {
		IMPATIENT(a_head_that_never_ends), IMPATIENT(a_client_that_never_reads),
	};
	int failed = cmocka_run_group_tests(tests, NULL, NULL) + cmocka_run_group_tests(limits, NULL, NULL);

	if (!SANITIZED) {
		inspector_program = program_beside();
		failed += cmocka_run_group_tests_name("confined", tests, NULL, NULL);
	}
	return failed != 0;
}
