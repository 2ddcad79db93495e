/* inspector_front_test.c - clients of an explicit proxy: sockets that the supervisor hands
 * over, where they want to go, who they say they are, and those that keep to nothing */
#include "inspector_world.h"

#include "inspector/connection.h"

#include <fcntl.h>

#define CLIENTS_MAX 64
#define ABSOLUTE(method, host, path, more) method " http://" host path " HTTP/1.1\r\nHost: " host "\r\n" more "\r\n"

static int front;			/* the supervisor's end */
static struct client {
	int fd;
	bool ended;
	struct buf got;
} clients[CLIENTS_MAX];

static void begin_with(const struct inspector_limits *limits)
{
	int net[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK, 0, net), 0);
	world_start(net[1], limits);
	front = net[0];
	for (size_t i = 0; i < CLIENTS_MAX; i++)
		clients[i].fd = -1;
	RUN_UNTIL(w.inspector.front);
}

static int begin(void **state)
{
	(void)state;
	begin_with(&inspector_limits_default);
	return 0;
}

static int begin_few(void **state)
{
	struct inspector_limits limits = inspector_limits_default;

	(void)state;
	limits.connections_max = 4;
	limits.slow_ms = 50;
	begin_with(&limits);
	return 0;
}

static int begin_short(void **state)
{
	struct inspector_limits limits = inspector_limits_default;

	(void)state;
	limits.linger_ms = 50;
	begin_with(&limits);
	return 0;
}

static void leave(unsigned n)
{
	if (clients[n].fd >= 0)
		close(clients[n].fd);
	buf_free(&clients[n].got);
	clients[n] = (struct client){ .fd = -1 };
}

static int finish(void **state)
{
	for (unsigned i = 0; i < CLIENTS_MAX; i++)
		leave(i);
	close(front);
	return end(state);
}

/* As supervisor/gate.c hands one over; each has room for @buffer bytes in the kernel, 0: as usual. */
static void arrive(unsigned n, int buffer)
{
	union { struct cmsghdr align; char bytes[CMSG_SPACE(sizeof(int))]; } space = { .bytes = { 0 } };
	struct iovec iov = { (char[]){ 'c' }, 1 };
	struct msghdr m = { .msg_iov = &iov, .msg_iovlen = 1, .msg_control = space.bytes,
			    .msg_controllen = sizeof space.bytes };
	struct cmsghdr *c = CMSG_FIRSTHDR(&m);
	int pair[2];

	leave(n);
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, pair), 0);
	for (int i = 0; buffer && i < 2; i++)
		assert_int_equal(setsockopt(pair[i], SOL_SOCKET, SO_SNDBUF, &buffer, sizeof buffer), 0);
	c->cmsg_level = SOL_SOCKET;
	c->cmsg_type = SCM_RIGHTS;
	c->cmsg_len = CMSG_LEN(sizeof(int));
	memcpy(CMSG_DATA(c), &pair[1], sizeof(int));
	assert_int_equal(sendmsg(front, &m, MSG_NOSIGNAL), 1);
	close(pair[1]);
	clients[n].fd = pair[0];
	buf_init(&clients[n].got, 16 * 1024 * 1024);
}

static void say(unsigned n, struct str s)
{
	uint64_t until = clock_ms() + PATIENCE_MS;

	while (s.n && clock_ms() < until) {
		ssize_t sent = send(clients[n].fd, s.p, s.n, MSG_NOSIGNAL);

		if (sent < 0 && errno != EAGAIN)
			return;		/* it was closed: the test sees it */
		s = str_from(s, sent < 0 ? 0 : (size_t)sent);
		(void)uv_run(&w.loop, UV_RUN_NOWAIT);
	}
}

static void hear(unsigned n)
{
	char bytes[65536];
	ssize_t got;

	while (clients[n].fd >= 0 && (got = recv(clients[n].fd, bytes, sizeof bytes, 0)) >= 0) {
		if (got == 0) {
			clients[n].ended = true;
			return;
		}
		buf_put(&clients[n].got, str_make(bytes, (size_t)got));
	}
	clients[n].ended |= clients[n].fd >= 0 && errno != EAGAIN;
}

static bool heard(unsigned n, const char *text)
{
	hear(n);
	return clients[n].got.len && memmem(clients[n].got.p, clients[n].got.len, text, strlen(text));
}

static bool is_over(unsigned n)
{
	hear(n);
	return clients[n].ended;
}

/* What the last exchange's OPEN says. */
static struct msg_connect asked(void)
{
	struct msg_connect m;

	assert_int_equal(msg_get_connect(buf_str(&courier_stream(w.last_exchange)->opened), &m), ERR_OK);
	return m;
}

/* What still runs is cut off, as by the courier's deadlines. */
static void courier_gives_up(void)
{
	for (uint32_t i = 1; i <= w.last_exchange; i++)
		if (courier_stream(i)->kind == LINK_KIND_EXCHANGE)
			link_reset(upper_link(), i, ERR_UPSTREAM_TIMEOUT);
	channel_flush(w.courier);
}

/* -- where to, and who ------------------------------------------------------------------- */

static void each_request_names_its_place(void **state)
{
	(void)state;
	arrive(0, 0);
	say(0, STR(ABSOLUTE("GET", "api.example", "/", "")));
	RUN_UNTIL(heard(0, "hello"));
	assert_true(str_eq(asked().host, STR("api.example")) && asked().port == 80 && w.names == 1);
	say(0, STR(ABSOLUTE("GET", "api.example", "/nothing", "")));
	RUN_UNTIL(heard(0, "HTTP/1.1 204"));
	assert_int_equal(w.names, 1);		/* the place is known */
	say(0, STR(ABSOLUTE("GET", "b.example:8080", "/nothing", "")));
	RUN_UNTIL(w.exchanges == 3);
	assert_true(str_eq(asked().host, STR("b.example")) && asked().port == 8080 && w.names == 2);
	say(0, STR(ABSOLUTE("GET", "other.test", "/", "")));
	RUN_UNTIL(is_over(0));
	assert_true(heard(0, "HTTP/1.1 403"));
	assert_int_equal(w.exchanges, 3);
}

static void connect_gives_a_connection(void **state)
{
	(void)state;
	arrive(0, 0);
	say(0, STR(ABSOLUTE("GET", "b.example", "/", "")));
	RUN_UNTIL(heard(0, "hello"));
	say(0, STR("CONNECT api.example:81 HTTP/1.1\r\nHost: api.example:81\r\n\r\n"));
	RUN_UNTIL(heard(0, "HTTP/1.1 200 Connection established\r\n\r\n"));
	say(0, STR("GET /nothing HTTP/1.1\r\nHost: api.example:81\r\n\r\n"));
	RUN_UNTIL(heard(0, "HTTP/1.1 204"));
	assert_true(str_eq(asked().host, STR("api.example")) && asked().port == 81);
	say(0, STR("GET / HTTP/1.1\r\nHost: b.example\r\n\r\n"));	/* not where it was let through to */
	RUN_UNTIL(is_over(0));
	assert_true(heard(0, "HTTP/1.1 421"));
	assert_int_equal(w.exchanges, 2);
}

/* Who asks is said anew with each request; nothing of one
 * client's stays for the next that shares its connection. */
static void a_token_is_for_its_request_alone(void **state)
{
	(void)state;
	arrive(0, 0);
	say(0, STR(ABSOLUTE("GET", "api.example", "/nothing", "Proxy-Authorization: Bearer first\r\n")));
	RUN_UNTIL(w.exchanges == 1 && courier_stream(w.last_exchange)->answered);
	assert_true(str_eq(asked().token, STR("first")) && w.names == 1);
	assert_null(memmem(courier_stream(w.last_exchange)->head.p, courier_stream(w.last_exchange)->head.len,
			   "first", 5));
	say(0,
	    STR(ABSOLUTE("GET", "api.example", "/nothing", "Proxy-Authorization: Basic eDpzZWNvbmQ=\r\n")));
	RUN_UNTIL(w.exchanges == 2 && courier_stream(w.last_exchange)->answered);
	assert_true(str_eq(asked().token, STR("second")) && w.names == 2);
	say(0, STR(ABSOLUTE("GET", "api.example", "/nothing", "")));
	RUN_UNTIL(w.exchanges == 3 && courier_stream(w.last_exchange)->answered);
	assert_true(asked().token.n == 0 && w.names == 3);
	arrive(1, 0);
	say(1, STR("CONNECT api.example:80 HTTP/1.1\r\nProxy-Authorization: Bearer third\r\n\r\n"));
	RUN_UNTIL(heard(1, "established"));
	say(1,
	    STR("GET /nothing HTTP/1.1\r\nHost: api.example\r\nProxy-Authorization: Bearer fourth\r\n\r\n"));
	RUN_UNTIL(w.exchanges == 4 && courier_stream(w.last_exchange)->answered);
	assert_true(str_eq(asked().token, STR("third")));
	assert_null(memmem(courier_stream(w.last_exchange)->head.p, courier_stream(w.last_exchange)->head.len,
			   "fourth", 6));
}

static void who_is_not_known_is_told_so(void **state)
{
	uint32_t question = 0;

	(void)state;
	w.mute_names = true;
	arrive(0, 0);
	say(0,
	    STR("CONNECT api.example:443 HTTP/1.1\r\nProxy-Authorization: Bearer wrong\r\n\r\n\x16\x03\x01"));
	RUN_UNTIL(w.names == 1);
	for (uint32_t i = 1; i < 64; i++)
		if (courier_stream(i)->kind == LINK_KIND_NAME)
			question = i;
	assert_false(heard(0, "established"));
	courier_status(question, &(struct msg_status){ .has_verdict = true, .has_result = true,
						       .result = ERR_UNAUTHORIZED });
	channel_flush(w.courier);
	RUN_UNTIL(is_over(0));
	assert_true(heard(0, "HTTP/1.1 407") && heard(0, "proxy-authenticate: Basic"));
	assert_false(heard(0, "wrong"));
	for (unsigned i = 0; i < w.claim_count && i < CLAIMS_MAX; i++)
		assert_null(strstr(w.claims[i].text, "wrong"));
}

static void what_is_no_request_to_a_proxy_is_refused(void **state)
{
	static const struct { const char *text, *status; } cases[] = {
		{ "GET / HTTP/1.1\r\nHost: api.example\r\n\r\n", "400" },
		{ "GET https://api.example/ HTTP/1.1\r\nHost: api.example\r\n\r\n", "400" },
		{ "GET http://api.example/ HTTP/1.1\r\nHost: b.example\r\n\r\n", "421" },
		{ "CONNECT api.example HTTP/1.1\r\n\r\n", "400" },
		{ "CONNECT ::1:443 HTTP/1.1\r\n\r\n", "400" },
		{ "CONNECT api.example:443 HTTP/1.1\r\nHost: b.example:443\r\n\r\n", "421" },
		{ "CONNECT api.example:443 HTTP/1.1\r\nContent-Length: 1\r\n\r\nx", "400" },
		{ "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "505" },
		{ "\x16\x03\x01\x02", "400" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		arrive(0, 0);
		say(0, str_of(cases[i].text));
		RUN_UNTIL(is_over(0));
		if (!heard(0, "HTTP/1.1 ") || memcmp(clients[0].got.p + 9, cases[i].status, 3) != 0)
			fail_msg("%s: %.*s", cases[i].text, (int)clients[0].got.len, clients[0].got.p);
	}
	assert_int_equal(w.exchanges, 0);
}

/* -- limits ------------------------------------------------------------------------------ */

/* A pooled connection that is idle goes in good order; it was not slow. */
static void an_idle_client_makes_room(void **state)
{
	(void)state;
	for (unsigned i = 0; i < 4; i++) {
		arrive(i, 0);
		say(i, STR(ABSOLUTE("GET", "api.example", "/", "")));
		RUN_UNTIL(heard(i, "hello"));
	}
	usleep(60 * 1000);
	arrive(4, 0);
	say(4, STR(ABSOLUTE("GET", "api.example", "/", "")));
	RUN_UNTIL(heard(4, "hello") && is_over(0));
	assert_false(claimed(CLAIM_REFUSED, ERR_LIMIT));
	for (unsigned i = 1; i < 4; i++)
		assert_false(is_over(i));
}

/* An answer that is whole for the courier, and that its client does not read. */
static void leave_unread(unsigned n)
{
	static const char zeros[32 * 1024];

	arrive(n, 4096);
	say(n, STR(ABSOLUTE("GET", "api.example", "/open", "Connection: close\r\n")));
	RUN_UNTIL(heard(n, "data: 1\n\n"));
	courier_data(w.last_exchange, str_make(zeros, sizeof zeros));
	link_end(upper_link(), w.last_exchange);
	channel_flush(w.courier);
	RUN_UNTIL(w.inspector.connections->phase == PHASE_finish);
}

/* It holds a place that nothing else bounds: not
 * for as long as an answer may take, and not at others' expense. */
static void an_unread_answer_makes_room(void **state)
{
	uint64_t at_ms;

	(void)state;
	for (unsigned i = 0; i < 4; i++) {
		leave_unread(i);
		at_ms = w.inspector.connections->wait.at_ms;
		assert_true(at_ms && at_ms <= clock_ms() + 60 * 1000);
	}
	usleep(60 * 1000);
	arrive(4, 0);
	say(4, STR(ABSOLUTE("GET", "api.example", "/", "")));
	RUN_UNTIL(heard(4, "hello"));
	RUN_UNTIL(claimed(CLAIM_REFUSED, ERR_LIMIT));
	RUN_UNTIL(is_over(0));
	for (unsigned i = 1; i < 4; i++)
		assert_false(clients[i].ended);
}

/* All is with the kernel, which a reset would empty: who only listens has time, who still talks has not. */
static void a_silent_client_has_time_for_the_end(void **state)
{
	(void)state;
	for (unsigned i = 0; i < 2; i++) {
		arrive(i, 0);
		say(i, STR(ABSOLUTE("GET", "api.example", "/", "Connection: close\r\n")));
		RUN_UNTIL(w.inspector.connection_count == 1 && w.inspector.connections->patient);
		if (i)
			leave(i);
		else
			say(i, STR("more"));
		RUN_UNTIL(w.inspector.connection_count == 0);
	}
}

/* The courier takes nothing: neither does the socket, beyond a window. */
static void a_courier_that_does_not_read_stops_the_client(void **state)
{
	static char piece[65536];
	size_t sent = 0;

	(void)state;
	w.keep_uploads = true;
	arrive(0, 4096);
	say(0, STR(ABSOLUTE("POST", "api.example", "/up", "Content-Length: 100000000\r\n")));
	for (unsigned i = 0; i < 3000; i++) {
		ssize_t n = send(clients[0].fd, piece, sizeof piece, MSG_NOSIGNAL);

		sent += n > 0 ? (size_t)n : 0;
		(void)uv_run(&w.loop, UV_RUN_NOWAIT);
	}
	assert_true(sent > INSPECTOR_GUEST_WINDOW && sent < 1024 * 1024);
	assert_true(w.inspector.connections->in.len <= INSPECTOR_GUEST_WINDOW);
	leave(0);
	courier_gives_up();		/* it has the deadline; a socket that is not read says nothing */
	RUN_UNTIL(w.inspector.connection_count == 0);
}

/* A client that does not read, and then goes. */
static void a_client_that_does_not_read_stops_the_courier(void **state)
{
	static char piece[16384];
	size_t sent = 0;

	(void)state;
	arrive(0, 4096);
	say(0, STR(ABSOLUTE("GET", "api.example", "/open", "")));
	RUN_UNTIL(w.exchanges == 1 && courier_stream(w.last_exchange)->ended);
	for (unsigned i = 0; i < 1000; i++) {
		size_t n = link_sendable(upper_link(), w.last_exchange);

		n = n < sizeof piece ? n : sizeof piece;
		if (n)
			courier_data(w.last_exchange, str_make(piece, n));
		sent += n;
		channel_flush(w.courier);
		(void)uv_run(&w.loop, UV_RUN_NOWAIT);
	}
	assert_true(sent < 1024 * 1024);
	leave(0);
	RUN_UNTIL(courier_stream(w.last_exchange)->reset && w.inspector.connection_count == 0);
}

static uint32_t next_number(uint32_t *seed) { return *seed = *seed * 1664525u + 1013904223u; }

/* Sockets that come, say some of what a client could, end their side or vanish, in any order. */
static void hostile_clients_harm_themselves(void **state)
{
	static const char *const words[] = {
		ABSOLUTE("GET", "api.example", "/", ""), ABSOLUTE("GET", "b.example", "/open", ""),
		ABSOLUTE("POST", "api.example", "/x", "Content-Length: 9\r\n"), "body", "\r\n", "GET ",
		"CONNECT api.example:443 HTTP/1.1\r\n\r\n", "\x16\x03\x01\x00\x05hello",
		ABSOLUTE("GET", "c.example", "/midway", ""),
		"CONNECT api.example:80 HTTP/1.1\r\n\r\n", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
		"\0\0\0\4\0\0\0\0\0",
		"GET / HTTP/1.1\r\nHost: api.example\r\n\r\n", ABSOLUTE("GET", "api.example", "/silent", ""),
	};
	uint32_t seed = 11;

	(void)state;
	for (unsigned i = 0; i < 4000; i++) {
		uint32_t number = next_number(&seed) >> 4;
		unsigned n = number % 32;
		const char *word = words[(number >> 8) % (sizeof words / sizeof *words)];

		if (clients[n].fd < 0 || (number >> 5) % 16 == 0)
			arrive(n, (number >> 20) % 2 ? 4096 : 0);
		else if ((number >> 5) % 16 == 1)
			leave(n);
		else if ((number >> 5) % 16 == 2)
			(void)shutdown(clients[n].fd, SHUT_WR);
		else
			say(n, str_make(word, strlen(word) + (*word == 0 ? 9 : 0)));
		if ((number >> 16) % 4 == 0)
			hear(n);
		if (number % 3 == 0)
			(void)uv_run(&w.loop, UV_RUN_NOWAIT);
		if (w.last_exchange > STREAMS_MAX - 200)
			break;		/* all that the world can hold */
	}
	for (unsigned i = 0; i < 32; i++)
		leave(i);
	courier_gives_up();
	RUN_UNTIL(w.inspector.connection_count == 0);
	arrive(0, 0);
	say(0, STR(ABSOLUTE("GET", "api.example", "/", "")));
	RUN_UNTIL(heard(0, "hello"));
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, begin, finish)
	const struct CMUnitTest tests[] = {
		T(each_request_names_its_place), T(connect_gives_a_connection),
		T(a_token_is_for_its_request_alone), T(who_is_not_known_is_told_so),
		T(what_is_no_request_to_a_proxy_is_refused),
		cmocka_unit_test_setup_teardown(an_idle_client_makes_room, begin_few, finish),
		cmocka_unit_test_setup_teardown(an_unread_answer_makes_room, begin_few, finish),
		cmocka_unit_test_setup_teardown(a_silent_client_has_time_for_the_end, begin_short, finish),
		T(a_courier_that_does_not_read_stops_the_client),
		T(a_client_that_does_not_read_stops_the_courier),
		T(hostile_clients_harm_themselves),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
