/* courier_http2_attack_test.c - an upstream that speaks HTTP/2 against its rules, frame by frame */
#include "../path/courier_world.h"
#include "../path/world_http2.h"

#include <semaphore.h>

static struct rig rig;

static void raw(SSL *s);

/* A sanitizer keeps what was freed. */
#ifdef __SANITIZE_ADDRESS__
#define MEMORY_TOLD false
#else
#define MEMORY_TOLD true
#endif

static int setup(void **state)
{
	(void)state;
	memset(&rig, 0, sizeof rig);
	world.log_bytes = 0;
	world.log[0] = '\0';
	world.requests = world.connections = world.unrecorded = 0;
	world.http2 = world_http2;
	world.socket = world_socket;
	http2 = (struct http2_world){ .raw = raw };
	rig_start(&rig, usual_policy, 0);
	rig_hello(&rig);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	rig_free(&rig);
	return 0;
}

/* ---- the upstream ---- */

enum { DATA, HEADERS, PRIORITY, RST_STREAM, SETTINGS, PUSH_PROMISE, PING, GOAWAY, WINDOW_UPDATE,
       CONTINUATION };
enum { END_STREAM = 1, ACK = 1, END_HEADERS = 4 };

static bool frame(SSL *s, unsigned type, unsigned flags, uint32_t stream, const void *p, size_t n)
{
	static __thread uint8_t bytes[9 + 70000];
	const uint8_t header[9] = { (uint8_t)(n >> 16), (uint8_t)(n >> 8), (uint8_t)n, (uint8_t)type,
				    (uint8_t)flags,
				    (uint8_t)(stream >> 24), (uint8_t)(stream >> 16), (uint8_t)(stream >> 8),
				    (uint8_t)stream };

	assert_true(n <= 70000);
	memcpy(bytes, header, 9);
	if (n)
		memcpy(bytes + 9, p, n);
	return SSL_write(s, bytes, (int)(9 + n)) > 0;
}

#define LITERAL(name_length, name, value_length, value) "\x00" name_length name value_length value
static const char status_200[] = "\x88";

static bool headers(SSL *s, unsigned flags, uint32_t stream, const char *block, size_t n)
{
	return frame(s, HEADERS, flags | END_HEADERS, stream, block, n);
}

static void good_answer(SSL *s)
{
	headers(s, 0, 1, status_200, 1);
	frame(s, DATA, END_STREAM, 1, "good", 4);
}

/* what the next connection does once it has its request */
static void (*attack)(SSL *s);
static bool stopped;		/* the courier closed before the attack was over */

static void endless(SSL *s, unsigned type, unsigned flags, uint32_t stream, const void *p, size_t n)
{
	for (unsigned i = 0; i < 300000; i++)
		if (!frame(s, type, flags, stream, p, n)) {
			stopped = true;
			return;
		}
}

static void settings_flood(SSL *s) { endless(s, SETTINGS, 0, 0, "\0\3\0\0\0\x64", 6); }
static void ping_flood(SSL *s) { endless(s, PING, 0, 0, "12345678", 8); }
static void unknown_flood(SSL *s) { endless(s, 0x42, 0, 0, "x", 1); }
static void priority_flood(SSL *s) { endless(s, PRIORITY, 0, 1, "\0\0\0\3\x10", 5); }
static void window_flood(SSL *s) { endless(s, WINDOW_UPDATE, 0, 0, "\0\0\0\1", 4); }
static void reset_flood(SSL *s) { endless(s, RST_STREAM, 0, 1, "\0\0\0\x8", 4); }

static void empty_flood(SSL *s)
{
	headers(s, 0, 1, status_200, 1);
	endless(s, DATA, 0, 1, "", 0);
}

static void continuation_flood(SSL *s)
{
	frame(s, HEADERS, 0, 1, status_200, 1);
	endless(s, CONTINUATION, 0, 1, LITERAL("\x01", "a", "\x01", "b"), 5);
}

static void empty_continuation_flood(SSL *s)
{
	frame(s, HEADERS, 0, 1, status_200, 1);
	endless(s, CONTINUATION, 0, 1, "", 0);
}

/* One field of 4000 bytes, kept by the table, then named 16000 times. */
static void header_bomb(SSL *s)
{
	static char block[20000];
	size_t n = 0;

	block[n++] = (char)0x88;
	memcpy(block + n, "\x40\x01x\x7f\xa1\x1e", 6);	/* literal, indexed; 127 + 0xf21 = 4000 bytes */
	n += 6;
	memset(block + n, 'v', 4000);
	n += 4000;
	memset(block + n, 0xbe, 12000);		/* index 62: the newest */
	n += 12000;
	headers(s, END_STREAM, 1, block, n);
}

static void many_fields(SSL *s)
{
	static char block[16000];
	size_t n = 1;

	block[0] = (char)0x88;
	for (unsigned i = 0; i < 3000; i++, n += 5)
		memcpy(block + n, LITERAL("\x01", "a", "\x01", "b"), 5);
	headers(s, END_STREAM, 1, block, n);
}

static void large_frame(SSL *s)
{
	static char zeros[70000];

	headers(s, 0, 1, status_200, 1);
	frame(s, DATA, 0, 1, zeros, 70000);
}

/* More than the window of a stream: nobody gave it back, since the agent does not read. */
static void beyond_the_window(SSL *s)
{
	static char zeros[16000];

	headers(s, 0, 1, status_200, 1);
	for (unsigned i = 0; i < 200; i++)
		if (!frame(s, DATA, 0, 1, zeros, sizeof zeros)) {
			stopped = true;
			return;
		}
}

static void window_overflow(SSL *s)
{
	frame(s, WINDOW_UPDATE, 0, 0, "\x7f\xff\xff\xff", 4);
	frame(s, WINDOW_UPDATE, 0, 0, "\x7f\xff\xff\xff", 4);
}

static void push(SSL *s) { frame(s, PUSH_PROMISE, END_HEADERS, 1, "\0\0\0\2\x82\x84\x87", 7); }
static void data_first(SSL *s) { frame(s, DATA, END_STREAM, 1, "what", 4); }
static void other_stream(SSL *s) { headers(s, END_STREAM, 99, status_200, 1); }
static void even_stream(SSL *s) { headers(s, END_STREAM, 2, status_200, 1); }
static void zero_increment(SSL *s) { frame(s, WINDOW_UPDATE, 0, 0, "\0\0\0\0", 4); }
static void half_a_frame(SSL *s) { SSL_write(s, "\0\0\x10\1", 4); }
static void nothing_but_noise(SSL *s) { world_say(s, "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"); }
static void two_answers(SSL *s) { good_answer(s), headers(s, END_STREAM, 1, status_200, 1); }

static void longer_than_said(SSL *s)
{
	headers(s, 0, 1, "\x88\x0f\x0d\x01" "2", 5);	/* content-length: 2 */
	frame(s, DATA, END_STREAM, 1, "three", 5);
}

static void shorter_than_said(SSL *s)
{
	headers(s, 0, 1, "\x88\x0f\x0d\x02" "20", 6);
	frame(s, DATA, END_STREAM, 1, "three", 5);
}

static const struct {
	const char *name, *block;
	size_t n;
} bad_heads[] = {
#define HEAD(name, block) { name, block, sizeof block - 1 }
	HEAD("no status", LITERAL("\x01", "a", "\x01", "b")),
	HEAD("an empty block", ""),
	HEAD("status twice", "\x88\x88"),
	HEAD("status late", LITERAL("\x01", "a", "\x01", "b") "\x88"),
	HEAD("status of two digits", "\x08\x02" "99"),
	HEAD("status of four digits", "\x08\x04" "2000"),
	HEAD("status 101", "\x08\x03" "101"),
	HEAD("status with a sign", "\x08\x03" "+20"),
	HEAD("a pseudo-header of requests", "\x88\x84"),
	HEAD("an unknown pseudo-header", "\x88" LITERAL("\x02", ":x", "\x01", "b")),
	HEAD("upper case", "\x88" LITERAL("\x01", "A", "\x01", "b")),
	HEAD("an empty name", "\x88" LITERAL("\x00", "", "\x01", "b")),
	HEAD("CR LF in a value", "\x88" LITERAL("\x01", "a", "\x0a", "b\r\nx-evil: ")),
	HEAD("NUL in a value", "\x88" LITERAL("\x01", "a", "\x03", "b\0c")),
	HEAD("a space in a name", "\x88" LITERAL("\x03", "a b", "\x01", "c")),
	HEAD("a colon in a name", "\x88" LITERAL("\x03", "a:b", "\x01", "c")),
	HEAD("connection", "\x88" LITERAL("\x0a", "connection", "\x05", "close")),
	HEAD("transfer-encoding", "\x88" LITERAL("\x11", "transfer-encoding", "\x07", "chunked")),
	HEAD("content-length twice", "\x88\x0f\x0d\x01" "4\x0f\x0d\x01" "5"),
	HEAD("content-length with a sign", "\x88\x0f\x0d\x02" "+4"),
	HEAD("an index that is none", "\x88\xff\x7f"),
	HEAD("index 0", "\x88\x80"),
	HEAD("a table larger than allowed", "\x3f\xff\xff\x7f\x88"),
	HEAD("Huffman with end of string", "\x88\x00\x84\xff\xff\xff\xff\x01" "b"),
#undef HEAD
};

static size_t bad_head;

static void say_bad_head(SSL *s) { headers(s, END_STREAM, 1, bad_heads[bad_head].block, bad_heads[bad_head].n); }

/* A connection: the preface, the client's frames up to its first HEADERS, then the attack. */
static void raw(SSL *s)
{
	static __thread uint8_t in[65536];
	size_t n = 0, at = 24;

	frame(s, SETTINGS, 0, 0, "", 0);
	for (;;) {
		int got = SSL_read(s, in + n, (int)(sizeof in - n));

		if (got <= 0)
			return;
		n += (size_t)got;
		while (n >= at + 9) {
			size_t length = (size_t)in[at] << 16 | (size_t)in[at + 1] << 8 | in[at + 2];

			if (n < at + 9 + length)
				break;
			if (in[at + 3] == HEADERS)
				goto asked;
			at += 9 + length;
		}
	}
asked:
	__atomic_fetch_add(&world.requests, 1, __ATOMIC_SEQ_CST);
	attack(s);
	usleep(100000);		/* the next request shall have a connection of its own */
}

/* The next of these that comes: its length; or -1 at the end. */
static int next_frame(SSL *s, unsigned type, unsigned flags)
{
	uint8_t header[9], payload[65536];
	size_t n, length;

	for (;;) {
		for (n = 0; n < 9; n++)
			if (SSL_read(s, header + n, 1) != 1)
				return -1;
		length = (size_t)header[0] << 16 | (size_t)header[1] << 8 | header[2];
		assert_true(length <= sizeof payload);
		for (n = 0; n < length;) {
			int got = SSL_read(s, payload + n, (int)(length - n));

			if (got <= 0)
				return -1;
			n += (size_t)got;
		}
		if (header[3] == type && (header[4] & flags) == flags)
			return (int)length;
	}
}

static sem_t narrowed;		/* the upstream's windows are of five bytes */

/* The window is used up when the request ends; a hint comes before there is room again. */
static void narrow(SSL *s)
{
	int got = 0;

	frame(s, SETTINGS, 0, 0, "\0\4\0\0\0\5", 6);
	frame(s, PING, 0, 0, "12345678", 8);
	next_frame(s, PING, ACK);
	sem_post(&narrowed);
	for (int n; got < 5; got += n)
		if ((n = next_frame(s, DATA, 0)) < 0)
			return;
	usleep(200000);		/* the request's end is there by now, and waits */
	headers(s, 0, 1, "\x08\x03" "103", 5);
	usleep(200000);
	frame(s, WINDOW_UPDATE, 0, 1, "\0\0\0\5", 4);
	if (next_frame(s, HEADERS, END_STREAM) > 0)	/* the trailers */
		good_answer(s);
}

/* ---- the tests ---- */

static struct reply *under(void (*what)(SSL *s))
{
	attack = what;
	stopped = false;
	for (int i = 0; i < 500 && __atomic_load_n(&world.living, __ATOMIC_SEQ_CST); i++)
		usleep(10000);
	return ask_wait(&rig, &(struct ask){ .path = "/attack", .host = "other.test" });
}

static uint64_t resident_kib(void)
{
	char path[64], line[256];
	uint64_t pages = 0;

	snprintf(path, sizeof path, "/proc/%d/statm", (int)rig.courier);
	FILE *f = fopen(path, "re");

	assert_non_null(f);
	if (fgets(line, sizeof line, f)) {
		char *resident = strchr(line, ' ') + 1;

		*strchr(resident, ' ') = '\0';
		assert_true(str_decimal(str_of(resident), 1u << 30, &pages));
	}
	fclose(f);
	return pages * 4;
}

static void a_good_one_is_taken(void **state)
{
	(void)state;
	struct reply *p = under(good_answer);

	assert_int_equal(p->head.status, 200);
	assert_true(str_eq(buf_str(&p->body), STR("good")));
	p = under(two_answers);
	assert_true(str_eq(buf_str(&p->body), STR("good")));
	rig_stop(&rig);
}

static void floods_end_the_connection(void **state)
{
	(void)state;
	void (*const floods[])(SSL *s) = {
		settings_flood, ping_flood, unknown_flood, priority_flood, window_flood, empty_flood,
		continuation_flood, empty_continuation_flood, reset_flood,
	};
	uint64_t before = resident_kib();

	for (size_t i = 0; i < sizeof floods / sizeof *floods; i++) {
		struct reply *p = under(floods[i]);

		if (!(p->reset || p->head.status == 502))
			fail_msg("flood %zu: %u", i, p->head.status);
		for (int j = 0; j < 500 && !stopped; j++)
			usleep(10000);
		assert_true(stopped);
	}
	if (MEMORY_TOLD)
		assert_true(resident_kib() < before + 8192);
	rig_stop(&rig);
}

static void what_is_no_answer_is_refused(void **state)
{
	(void)state;
	void (*const attacks[])(SSL *s) = {
		header_bomb, many_fields, large_frame, window_overflow, push, data_first, other_stream,
		even_stream,
		zero_increment, nothing_but_noise, longer_than_said, shorter_than_said,
	};

	for (size_t i = 0; i < sizeof attacks / sizeof *attacks; i++) {
		struct reply *p = under(attacks[i]);

		if (!(p->reset || p->head.status == 502))
			fail_msg("attack %zu", i);
	}
	for (bad_head = 0; bad_head < sizeof bad_heads / sizeof *bad_heads; bad_head++) {
		struct reply *p = under(say_bad_head);

		if (p->head.status != 502)
			fail_msg("%s: %u", bad_heads[bad_head].name, p->head.status);
	}
	assert_int_equal(trail(&rig, "\"kind\":\"outcome\"", "\"result\":\"OK\"", NULL), 0);
	rig_stop(&rig);
}

static void the_window_is_kept_by_force(void **state)
{
	(void)state;
	rig.slow = true;
	attack = beyond_the_window;
	stopped = false;
	uint64_t before = resident_kib();
	uint32_t s = ask(&rig, &(struct ask){ .path = "/attack", .host = "other.test" });
	struct reply *p = rig_reply(&rig, s);

	for (int i = 0; i < 100 && !p->reset; i++)
		rig_turn(&rig, 20);
	if (MEMORY_TOLD)
		assert_true(resident_kib() < before + 4096);
	rig.slow = false;
	link_consumed(rig.link, s, p->body_bytes + p->head_bytes.len);
	assert_true(rig_wait(&rig, s)->reset);
	rig_stop(&rig);
}

/* An end in the middle of a frame is an end, and the next request has another connection. */
static void a_half_frame_waits_for_the_rest(void **state)
{
	(void)state;
	attack = half_a_frame;
	uint32_t s = ask(&rig, &(struct ask){ .path = "/attack", .host = "other.test" });

	rig_arrived(&rig, 1);
	link_reset(rig.link, s, ERR_CANCELLED);
	rig_until(&rig, "\"kind\":\"outcome\"", "CANCELLED", NULL);
	rig_stop(&rig);
}

static void the_end_of_a_request_outlasts_a_hint(void **state)
{
	(void)state;
	struct head trailers = { .kind = HEAD_TRAILERS };
	auto_buf encoded = BUF_EMPTY;

	attack = narrow;
	uint32_t s = ask(&rig, &(struct ask){ .method = "POST", .path = "/attack", .host = "other.test",
					      .framing = HEAD_BODY_STREAMED, .trailers = true,
					      .unfinished = true });

	rig_arrived(&rig, 1);
	sem_wait(&narrowed);
	buf_init(&encoded, HEAD_MAX_BYTES);
	assert_int_equal(head_add(&trailers, STR("x-checksum"), STR("77")), ERR_OK);
	assert_int_equal(head_encode(&trailers, &encoded), ERR_OK);
	assert_int_equal(link_data(rig.link, s, 0, STR("12345")), ERR_OK);
	assert_int_equal(link_head(rig.link, s, buf_str(&encoded)), ERR_OK);
	link_end(rig.link, s);
	struct reply *p = rig_wait(&rig, s);

	assert_int_equal(p->interim, 1);
	assert_true(p->ended && str_eq(buf_str(&p->body), STR("good")));
	rig_stop(&rig);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		T(a_good_one_is_taken),
		T(floods_end_the_connection),
		T(what_is_no_answer_is_refused),
		T(the_window_is_kept_by_force),
		T(a_half_frame_waits_for_the_rest),
		T(the_end_of_a_request_outlasts_a_hint),
	};

	sem_init(&narrowed, 0, 0);
	world_start();
	return world_end(cmocka_run_group_tests(tests, NULL, NULL));
}
