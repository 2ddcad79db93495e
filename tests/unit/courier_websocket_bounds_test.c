/* courier_websocket_bounds_test.c - what a WebSocket may cost, and what its control messages may carry out */
#include "../path/courier_world.h"
#include "../path/world_messages.h"

#define RULES \
	"version: 1\n" \
	"network:\n" \
	"  - {hosts: [other.test], methods: [GET], paths: [/bytes], websocket: {binary: true, deny: [\"*forbidden*\"]}}\n" \
	"  - {hosts: [other.test], methods: [GET], paths: [/text], websocket: true}\n" \
	"  - {hosts: [other.test], methods: [GET], paths: [/chosen],\n" \
	"     websocket: {allow: [\"*ok*\", \"say*\"], deny: [\"*forbidden*\"]}}\n"

static bool held;	/* until then, an upstream reads nothing */

/* Grants one, and does not read. */
static void deaf_socket(SSL *s, const char *head)
{
	const int few = 65536;

	setsockopt(SSL_get_fd(s), SOL_SOCKET, SO_RCVBUF, &few, sizeof few);
	world_socket_begin(s, head);
	while (__atomic_load_n(&held, __ATOMIC_SEQ_CST))
		usleep(10000);
}

static void begin(const char *policy)
{
	socket_log[0] = '\0';
	world.log_bytes = 0;
	world.requests = world.connections = world.unrecorded = 0;
	world.socket = world_socket;
	rig_start(&rig, policy, 0);
	rig_hello(&rig);
}

static int setup(void **state)
{
	(void)state;
	begin(RULES);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	__atomic_store_n(&held, false, __ATOMIC_SEQ_CST);
	rig_free(&rig);
	return 0;
}

static uint32_t open_socket(const char *path)
{
	uint32_t s = ask(&rig, &(struct ask){ .host = "other.test", .path = path, .websocket = true,
					      .unfinished = true });

	assert_int_equal(answered(s)->head.status, 200);
	return s;
}

static void close_socket(uint32_t s, size_t *at, const char *said, const char *back)
{
	say(s, WEBSOCKET_CLOSE, str_of(said));
	heard(s, at, WEBSOCKET_CLOSE, back);
	link_end(rig.link, s);
	assert_true(rig_wait(&rig, s)->ended);
}

/* ---- control messages ---- */

static void a_rule_that_chooses_lets_no_payload_out_unseen(void **state)
{
	(void)state;
	uint32_t s = open_socket("/chosen");
	size_t at = 0;

	say(s, WEBSOCKET_PING, STR("stolen"));		/* answered as the client wants it */
	heard(s, &at, WEBSOCKET_PONG, "stolen");
	say(s, WEBSOCKET_PING, STR(""));
	heard(s, &at, WEBSOCKET_PONG, "");
	say(s, WEBSOCKET_PONG, STR("stolen"));
	say_text(s, "say it in parts");
	heard(s, &at, WEBSOCKET_PING, "between");
	heard(s, &at, WEBSOCKET_TEXT, "hello again");
	say(s, WEBSOCKET_PONG, STR("stolen"));
	say(s, WEBSOCKET_PONG, STR("between"));
	say(s, WEBSOCKET_PONG, STR("between"));		/* once */
	close_socket(s, &at, "\x03\xe8" "stolen", "\x03\xe8");
	assert_string_equal(socket_log, "9:\n9:\n1:say it in parts\n10:between\n8:\x03\xe8\n");
	rig_until(&rig, "\"kind\":\"outcome\"", "\"control_bytes_out\":9,\"control_out\":2", "\"result\":\"OK\"");
	s = open_socket("/chosen");
	at = 0;
	close_socket(s, &at, "\x03\xe8" "ok, forbidden", "\x03\xe8");
	s = open_socket("/chosen");
	at = 0;
	close_socket(s, &at, "\x03\xe8" "ok", "\x03\xe8" "ok");
	rig_until(&rig, "\"kind\":\"outcome\"", "\"control_bytes_out\":4,\"control_out\":1", "\"result\":\"OK\"");
	rig_stop(&rig);
}

static void payloads_that_any_message_could_have_pass_and_are_counted(void **state)
{
	(void)state;
	static const char *const paths[] = { "/bytes", "/text" };

	for (size_t i = 0; i < 2; i++) {
		uint32_t s = open_socket(paths[i]);
		size_t at = 0;

		say(s, WEBSOCKET_PING, STR("you"));
		heard(s, &at, WEBSOCKET_PONG, "you");
		say(s, WEBSOCKET_PONG, STR("me"));
		close_socket(s, &at, "\x03\xe8" "done", "\x03\xe8" "done");
	}
	assert_string_equal(socket_log, "9:you\n10:me\n8:\x03\xe8" "done\n9:you\n10:me\n8:\x03\xe8" "done\n");
	rig_until(&rig, "\"kind\":\"outcome\"", "\"control_bytes_out\":11,\"control_out\":3", NULL);
	rig_stop(&rig);
}

/* ---- messages ---- */

static void messages_count_as_requests_do(void **state)
{
	(void)state;
	rig_free(&rig);
	begin(RULES "limits: {requests: 6}\n");
	uint32_t s = open_socket("/text");
	size_t at = 0;

	for (unsigned i = 0; i < 5; i++) {
		say_text(s, "one");
		heard(s, &at, WEBSOCKET_TEXT, "one");
		say(s, WEBSOCKET_PING, STR(""));	/* no record, and no request */
		heard(s, &at, WEBSOCKET_PONG, "");
	}
	say_text(s, "one too many");
	assert_true(rig_wait(&rig, s)->reset);
	assert_int_equal(rig_reply(&rig, s)->reason, ERR_LIMIT);
	rig_until(&rig, "\"kind\":\"outcome\"", "\"result\":\"LIMIT\"", "limits.requests");
	assert_int_equal(trail(&rig, "\"kind\":\"message\"", NULL, NULL), 5);
	assert_int_equal(trail(&rig, "\"kind\":\"limit\"", "limits.requests", NULL), 1);
	assert_null(strstr(socket_log, "too many"));
	s = ask(&rig, &(struct ask){ .host = "other.test", .path = "/text", .websocket = true,
				     .unfinished = true });
	assert_int_equal(answered(s)->head.status, 429);
	rig_stop(&rig);
}

/** struct order - of the messages on record, those that stand before a name's question */
struct order {
	unsigned before, all;
	bool asked;
};

static bool order_line(void *ctx, struct str line)
{
	struct order *o = ctx;

	o->asked |= memmem(line.p, line.n, "\"kind\":\"dns\"", 12) != NULL;
	if (memmem(line.p, line.n, "\"kind\":\"message\"", 16)) {
		o->all++;
		o->before += !o->asked;
	}
	return true;
}

static struct order order(void)
{
	struct order o = { 0, 0, false };

	assert_int_equal(audit_each(rig.trail, order_line, &o), ERR_OK);
	return o;
}

#define FLOOD 2000u

/* As fast as they come, in one frame or each in one. */
static void flood(uint32_t s, bool joined)
{
	auto_buf all = BUF_EMPTY;

	buf_init(&all, FLOOD * WEBSOCKET_HEADER_BYTES);
	for (unsigned i = 0; i < FLOOD; i++) {
		assert_int_equal(websocket_put_message(&all, WEBSOCKET_TEXT, STR("")), ERR_OK);
		if (joined && i + 1 < FLOOD)
			continue;
		assert_int_equal(link_data(rig.link, s, 0, buf_str(&all)), ERR_OK);
		buf_clear(&all);
	}
}

static void a_flood_of_messages_lets_others_be_served(void **state)
{
	(void)state;
	const struct msg_connect name = { .host = STR_INIT("other.test"), .query_type = 1 };

	for (int joined = 0; joined < 2; joined++) {
		uint32_t s = open_socket("/text");
		uint64_t until = clock_ms() + 20000;

		flood(s, joined);
		assert_true(rig_wait(&rig, ask_open(&rig, LINK_KIND_NAME, &name))->ended);
		while (order().all < FLOOD && clock_ms() < until)
			rig_turn(&rig, 20);
		assert_int_equal(order().all, FLOOD);
		assert_true(order().asked);
		assert_in_range(order().before, 0, FLOOD / 4);
		rig_stop(&rig);
		rig_free(&rig);
		begin(RULES);
	}
}

/* Those that wait for a later turn are not forgotten when the client has said its last. */
static void what_came_before_the_end_goes(void **state)
{
	(void)state;
	uint32_t s = open_socket("/text");
	auto_buf close = BUF_EMPTY;

	flood(s, true);
	buf_init(&close, 64);
	assert_int_equal(websocket_put_message(&close, WEBSOCKET_CLOSE, STR("\x03\xe8")), ERR_OK);
	assert_int_equal(link_data(rig.link, s, 0, buf_str(&close)), ERR_OK);
	link_end(rig.link, s);
	assert_true(rig_wait(&rig, s)->ended);
	rig_until(&rig, "\"kind\":\"outcome\"", "\"result\":\"OK\"", NULL);
	assert_int_equal(order().all, FLOOD);
	rig_stop(&rig);
}

/* ---- what waits ---- */

#define SOCKETS_MAX 24u

/* Sockets, each with one large message for an upstream that does
 * not read, until one is refused: how many are there beside it? */
static size_t fill(uint32_t *sockets)
{
	static char message[WEBSOCKET_HEADER_BYTES + WEBSOCKET_MESSAGE_MAX];
	const struct buf init = { .p = message, .cap = sizeof message, .max = sizeof message };
	const unsigned before = trail(&rig, "\"kind\":\"message\"", NULL, NULL);
	struct buf b = init;

	buf_put_u32le(&b, WEBSOCKET_BINARY);
	buf_put_u32le(&b, WEBSOCKET_MESSAGE_MAX);
	for (size_t i = 0; i < SOCKETS_MAX; i++) {
		uint32_t s = sockets[i] = open_socket("/bytes");
		struct reply *p = rig_reply(&rig, s);

		for (struct str rest = str_make(message, sizeof message); rest.n && !p->reset;) {
			struct str piece = str_head(rest, link_sendable(rig.link, s));

			if (piece.n)
				assert_int_equal(link_data(rig.link, s, 0, piece), ERR_OK);
			rest = str_from(rest, piece.n);
			rig_turn(&rig, 20);
		}
		while (!p->reset && trail(&rig, "\"kind\":\"message\"", NULL, NULL) == before + i)
			rig_turn(&rig, 20);
		if (p->reset) {
			assert_int_equal(p->reason, ERR_LIMIT);
			return i;
		}
	}
	return SOCKETS_MAX;
}

static void what_waits_for_slow_upstreams_is_bounded(void **state)
{
	(void)state;
	uint32_t sockets[SOCKETS_MAX];

	world.socket = deaf_socket;
	for (unsigned round = 1; round <= 2; round++) {		/* the second finds nothing of the first */
		held = true;
		size_t n = fill(sockets);

		assert_int_equal(n, 15);	/* 256 MiB, but for their headers */
		assert_int_equal(trail(&rig, "\"kind\":\"outcome\"", "\"result\":\"LIMIT\"", NULL), round);
		__atomic_store_n(&held, false, __ATOMIC_SEQ_CST);
		for (size_t i = 0; i < n; i++)
			assert_true(rig_wait(&rig, sockets[i])->reset);
	}
	rig_stop(&rig);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		T(a_rule_that_chooses_lets_no_payload_out_unseen),
		T(payloads_that_any_message_could_have_pass_and_are_counted),
		T(messages_count_as_requests_do),
		T(a_flood_of_messages_lets_others_be_served),
		T(what_came_before_the_end_goes),
		T(what_waits_for_slow_upstreams_is_bounded),
	};

	world_start();
	return world_end(cmocka_run_group_tests(tests, NULL, NULL));
}
