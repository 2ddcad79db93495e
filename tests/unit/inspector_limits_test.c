/* inspector_limits_test.c - the inspector's deadlines and limits, and a guest that keeps to nothing */
#include "inspector_world.h"

#include "inspector/connection.h"

static unsigned refused(const uint32_t *streams, unsigned n)
{
	unsigned count = 0;

	for (unsigned i = 0; i < n; i++)
		count += guest(streams[i])->reset && guest(streams[i])->reason == ERR_LIMIT;
	return count;
}

static int begin_impatient(void **state)
{
	struct inspector_limits limits = inspector_limits_default;

	(void)state;
	limits.sniff_ms = limits.head_ms = limits.idle_ms = 300;
	limits.ask_ms = 500;
	limits.continue_ms = 20;
	limits.stall_ms = 500;
	limits.linger_ms = 100;
	limits.connections_max = 8;
	limits.lookups_max = 8;
	world_begin(&limits);
	return 0;
}

/* Whose guest gives credit back byte by byte. */
static int begin_narrow(void **state)
{
	int failed;

	guest_window = LINK_PAYLOAD_MAX + 1;
	failed = begin_impatient(state);
	guest_window = LINK_WINDOW_BYTES;
	return failed;
}

static int begin_few(void **state)
{
	struct inspector_limits limits = inspector_limits_default;

	(void)state;
	limits.connections_max = 8;
	limits.slow_ms = 50;
	world_begin(&limits);
	return 0;
}

static int begin_patient(void **state)
{
	(void)state;
	world_begin(&inspector_limits_default);
	return 0;
}

static void a_courier_that_is_silent_says_no(void **state)
{
	uint32_t s;

	(void)state;
	w.mute_names = true;
	s = ask_dns("a.example", DNS_TYPE_A);
	RUN_UNTIL(guest(s)->ended);
	assert_int_equal(rcode(s), DNS_SERVFAIL);
}

/* Addresses are for names that may be spoken to: asking for others uses up none. */
static void a_denied_name_gets_no_number(void **state)
{
	char address[4];

	(void)state;
	for (unsigned i = 0; i < 3; i++) {
		char name[16];
		uint32_t s;

		(void)snprintf(name, sizeof name, "n%u.test", i);
		s = ask_dns(name, DNS_TYPE_A);
		RUN_UNTIL(guest(s)->ended);
		assert_int_equal(rcode(s), DNS_NXDOMAIN);
	}
	resolve("api.example", DNS_TYPE_A, address, 4);
	assert_memory_equal(address, "\xc6\x12\x00\x10", 4);	/* the first of all */
}

static void slow_clients_are_not_waited_for(void **state)
{
	uint32_t silent = connect_to("api.example", 80), slow, idle, shaking;

	(void)state;
	slow = fetch("GET / HTTP/1.1\r\nHost");
	shaking = fetch("\x16\x03\x01");
	idle = fetch("GET / HTTP/1.1\r\n" HOST "\r\n");
	RUN_UNTIL(guest_got(idle, "hello"));
	RUN_UNTIL(guest(silent)->reset && guest(slow)->ended && guest(idle)->ended);
	assert_int_equal(guest(silent)->reason, ERR_PROTOCOL_UNKNOWN);
	assert_got(slow, "HTTP/1.1 408 Request Timeout\r\n");
	guest_end(shaking);
	RUN_UNTIL(guest(shaking)->reset);
	assert_int_equal(guest(shaking)->reason, ERR_TLS);
}

static void a_stalled_exchange_ends(void **state)
{
	uint32_t s = fetch("GET /silent HTTP/1.1\r\n" HOST "\r\n");

	(void)state;
	RUN_UNTIL(guest(s)->reset);
	assert_int_equal(guest(s)->reason, ERR_TIMEOUT);
	RUN_UNTIL(courier_stream(w.last_exchange)->reset);
}

/* The last of an answer: who takes it slowly gets it, who takes nothing for too long does not. */
static void the_rest_waits_while_it_is_taken(void **state)
{
	static const char zeros[48 * 1024];
	uint32_t s = fetch("GET /open HTTP/1.1\r\n" HOST "Connection: close\r\n\r\n");
	size_t got;

	(void)state;
	RUN_UNTIL(guest_got(s, "data: 1\n\n"));
	guest(s)->keep_credit = true;
	for (unsigned i = 0; i < 2; i++)
		courier_data(w.last_exchange, str_make(zeros, sizeof zeros));
	link_end(upper_link(), w.last_exchange);
	channel_flush(w.courier);
	RUN_UNTIL(guest(s)->got.len > LINK_PAYLOAD_MAX);
	got = guest(s)->got.len;
	for (unsigned i = 1; i <= 8; i++) {
		uint64_t until = clock_ms() + 200;

		RUN_UNTIL(clock_ms() > until);
		assert_false(guest(s)->reset);
		link_consumed(guest_link(), s, 1000);
		channel_flush(w.guest);
		RUN_UNTIL(guest(s)->got.len >= got + 1000 * i);
	}
	RUN_UNTIL(guest(s)->reset);
	assert_int_equal(guest(s)->reason, ERR_TIMEOUT);
	assert_true(guest(s)->got.len < sizeof zeros * 2);
}

static void a_client_is_told_to_continue(void **state)
{
	uint32_t s = fetch("POST /x HTTP/1.1\r\n" HOST "Expect: 100-continue\r\nContent-Length: 4\r\n\r\n");

	(void)state;
	RUN_UNTIL(guest_got(s, "HTTP/1.1 100 Continue\r\n\r\n"));
	guest_send(s, STR("body"));
	RUN_UNTIL(guest_got(s, "content-length: 4\r\n\r\nbody"));
	s = fetch("POST /early HTTP/1.1\r\n" HOST "Expect: 100-continue\r\nContent-Length: 4\r\n\r\n");
	RUN_UNTIL(guest(s)->ended);
	assert_false(guest_got(s, "100 Continue"));
}

static void a_flood_is_refused_not_queued(void **state)
{
	uint32_t s[40];
	char address[4];

	(void)state;
	resolve("api.example", DNS_TYPE_A, address, 4);
	for (unsigned i = 0; i < 40; i++)
		s[i] = guest_open(LINK_KIND_TCP, str_make(address, 4), 80);
	RUN_UNTIL(refused(s, 40) == 32);
	RUN_UNTIL(claimed(CLAIM_LIMIT, ERR_LIMIT));
	for (unsigned i = 0; i < 40; i++)
		RUN_UNTIL(guest(s[i])->reset);	/* the others said nothing in time */
	s[0] = fetch("GET / HTTP/1.1\r\n" HOST "\r\n");
	RUN_UNTIL(guest_got(s[0], "hello"));
}

static void an_idle_connection_makes_room(void **state)
{
	uint32_t s[9];

	(void)state;
	for (unsigned i = 0; i < 9; i++) {
		s[i] = fetch("GET / HTTP/1.1\r\n" HOST "\r\n");
		RUN_UNTIL(guest_got(s[i], "hello"));
	}
	assert_true(guest(s[0])->ended && !guest(s[0])->reset);
	for (unsigned i = 1; i < 9; i++)
		assert_false(guest(s[i])->ended);
}

/* Eight that say nothing, or not enough, hold all there
 * is: each honest client takes the place of the slowest. */
static void the_slow_make_room(void **state)
{
	static const char *const words[] = { "", "GET / HTTP/1.1\r\nHost", "\x16\x03\x01", "P" };
	uint32_t slow[8], early, honest;

	(void)state;
	for (unsigned i = 0; i < 8; i++)
		slow[i] = fetch(words[i % 4]);
	early = fetch("GET / HTTP/1.1\r\n" HOST "\r\n");
	RUN_UNTIL(guest(early)->reset);		/* none of them has been slow for long enough yet */
	usleep(60 * 1000);
	for (unsigned i = 0; i < 4; i++) {
		honest = fetch("GET / HTTP/1.1\r\n" HOST "Connection: close\r\n\r\n");
		RUN_UNTIL(guest_got(honest, "hello") && guest(honest)->ended);
	}
	assert_int_equal(refused(slow, 4), 4);		/* the honest ones linger until they have read all */
	assert_int_equal(refused(slow + 4, 4), 0);
	assert_true(claimed(CLAIM_REFUSED, ERR_LIMIT));
}

static void hundreds_of_clients_are_served(void **state)
{
	static uint32_t s[200];
	char address[4];

	(void)state;
	resolve("api.example", DNS_TYPE_A, address, 4);
	for (unsigned i = 0; i < 200; i++) {
		s[i] = guest_open(LINK_KIND_TCP, str_make(address, 4), 80);
		guest_send(s[i], STR("GET / HTTP/1.1\r\n" HOST "\r\nGET /stream HTTP/1.1\r\n" HOST
				     "Connection: close\r\n\r\n"));
	}
	for (unsigned i = 0; i < 200; i++)
		RUN_UNTIL(guest(s[i])->ended && guest_got(s[i], "x-sum: 7"));
	assert_int_equal(w.exchanges, 400);
}

/* Numbers that are the same in every run. */
static uint32_t next_number(uint32_t *seed)
{
	*seed = *seed * 1664525u + 1013904223u;
	return *seed >> 8;
}

static void one_hostile_act(uint32_t stream, uint32_t number)
{
	static const char *const bytes[] = {
		"GET /stream HTTP/1.1\r\n" HOST "\r\n", "GET /midway HTTP/1.1\r\n" HOST "\r\n",
		"POST /x HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\n\r\n", "5\r\nhello\r\n",
		"0\r\n\r\n",
		"GET /reset HTTP/1.1\r\n" HOST "\r\nGET / HTTP/1.0\r\n" HOST "\r\n",
		"HEAD /long HTTP/1.1\r\n",
		"POST /early HTTP/1.1\r\n" HOST "Expect: 100-continue\r\nContent-Length: 9\r\n\r\n",
		"\x16\x03\x01\x00\x05\x01", "GET /silent HTTP/1.1\r\n" HOST "\r\n", "\r\n", "\x12\x34\x01",
	};

	if (!link_is_open(guest_link(), stream))
		return;
	if (number % 16 == 0)
		link_reset(guest_link(), stream, ERR_CANCELLED);
	else if (number % 16 == 1)
		link_end(guest_link(), stream);
	else if (link_sendable(guest_link(), stream) > 200)
		assert_int_equal(link_data(guest_link(), stream, 0, str_of(bytes[number % 12])), ERR_OK);
	channel_flush(w.guest);
}

/* Whatever the guest does, in whatever order: it is answered or refused, and others are served. */
static void a_hostile_guest_harms_itself(void **state)
{
	uint32_t seed = 7, streams[32] = { 0 }, s;
	char address[4];

	(void)state;
	resolve("api.example", DNS_TYPE_A, address, 4);
	for (unsigned i = 0; i < 3000; i++) {
		uint32_t number = next_number(&seed);
		uint32_t *stream = &streams[number % 32];

		if (*stream == 0 || (number >> 5) % 8 == 0) {
			if (*stream)
				link_reset(guest_link(), *stream, ERR_CANCELLED);
			*stream = (number >> 8) % 4 ? guest_open(LINK_KIND_TCP, str_make(address, 4), 80)
						    : guest_open(LINK_KIND_DNS, STR(""), 0);
			guest(*stream)->keep_credit = (number >> 10) % 4 == 0;
		}
		one_hostile_act(*stream, number >> 12);
		if (number % 3 == 0)
			(void)uv_run(&w.loop, UV_RUN_NOWAIT);
	}
	for (unsigned i = 0; i < 32; i++)
		link_reset(guest_link(), streams[i], ERR_CANCELLED);
	s = fetch("GET / HTTP/1.1\r\n" HOST "\r\n");
	RUN_UNTIL(guest_got(s, "hello"));
}

static bool has_come(size_t bytes)
{
	return w.inspector.connections && w.inspector.connections->in.len == bytes;
}

/* A first line that comes in many pieces costs its length, not its square: what
 * was looked at once could become anything. */
static void a_first_line_is_looked_at_once(void **state)
{
	uint32_t s = fetch("GET /");

	(void)state;
	for (size_t n = 5; n < 20; n++) {
		RUN_UNTIL(has_come(n));
		guest_send(s, STR("x"));
	}
	RUN_UNTIL(has_come(20));
	w.inspector.connections->in.p[7] = '\n';
	for (size_t n = 21; n < 23; n++) {
		guest_send(s, STR("x"));
		RUN_UNTIL(has_come(n));
	}
	guest_send(s, STR(" no HTTP\r\n"));
	RUN_UNTIL(guest(s)->reset);
	assert_int_equal(guest(s)->reason, ERR_PROTOCOL_UNKNOWN);
}

/* Bytes of a tunnel for which there is no memory: its client may not take what it has for all there was. */
static void a_tunnel_without_memory_is_reset(void **state)
{
	uint32_t s = connect_to("raw.example", 22);

	(void)state;
	RUN_UNTIL(w.last_exchange);
	courier_data(w.last_exchange, STR("one"));
	channel_flush(w.courier);
	RUN_UNTIL(guest_got(s, "one"));
	w.inspector.connections->out.err = ERR_MEMORY;
	courier_data(w.last_exchange, STR("two"));
	link_end(upper_link(), w.last_exchange);
	channel_flush(w.courier);
	RUN_UNTIL(guest(s)->reset || guest(s)->ended);
	assert_true(guest(s)->reset && guest(s)->reason == ERR_MEMORY);
	RUN_UNTIL(courier_stream(w.last_exchange)->reset);
}

/* The courier's side of a WebSocket ends first, as after a message that policy denies: were
 * our half of its stream to stay, a client could use up the link that all the others need. */
static void a_socket_that_the_courier_ends_leaves_no_stream(void **state)
{
	uint32_t s =
		fetch("GET /socket HTTP/1.1\r\n" HOST "Upgrade: websocket\r\nConnection: Upgrade\r\n"
		      "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n");

	(void)state;
	RUN_UNTIL(guest_got(s, "\r\n\r\n"));
	courier_data(w.last_exchange, STR("\10\0\0\0\2\0\0\0\x03\xf0"));	/* a close, 1008 */
	link_end(upper_link(), w.last_exchange);
	channel_flush(w.courier);
	RUN_UNTIL(guest(s)->ended);
	RUN_UNTIL(!link_is_open(upper_link(), w.last_exchange));
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, begin_impatient, end)
#define FEW(f) cmocka_unit_test_setup_teardown(f, begin_few, end)
#define PATIENT(f) cmocka_unit_test_setup_teardown(f, begin_patient, end)
	const struct CMUnitTest tests[] = {
		T(a_courier_that_is_silent_says_no), T(a_denied_name_gets_no_number),
		T(slow_clients_are_not_waited_for),
		T(a_stalled_exchange_ends),
		cmocka_unit_test_setup_teardown(the_rest_waits_while_it_is_taken, begin_narrow, end),
		FEW(an_idle_connection_makes_room), FEW(the_slow_make_room), T(a_client_is_told_to_continue),
		T(a_flood_is_refused_not_queued),
		PATIENT(hundreds_of_clients_are_served), PATIENT(a_hostile_guest_harms_itself),
		PATIENT(a_first_line_is_looked_at_once), PATIENT(a_tunnel_without_memory_is_reset),
		PATIENT(a_socket_that_the_courier_ends_leaves_no_stream),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
