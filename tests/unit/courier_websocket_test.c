/* courier_websocket_test.c - WebSockets with an upstream, over HTTP/1.1 and HTTP/2 */
#include "../path/courier_world.h"
#include "../path/world_http2.h"
#include "../path/world_messages.h"

static const char socket_policy[] =
	"version: 1\n"
	"credentials:\n"
	"  api:\n"
	"    source: {environment: API_KEY}\n"
	"    hosts: [api.test]\n"
	"    strategy: placeholder\n"
	"    placeholder: {environment: API_KEY, value: " PLACEHOLDER ", in: [header, websocket]}\n"
	"network:\n"
	"  - {hosts: [api.test], methods: [GET], paths: [/socket, /plain, /socket/*], credential: api,\n"
	"     websocket: {deny: [\"*forbidden*\"], message_max: 1MiB}}\n"
	"  - {hosts: [api.test], methods: [GET], credential: api}\n"
	"  - {hosts: [other.test], methods: [GET], websocket: {allow: [\"*ok*\"], binary: true}}\n";

static int start(bool with_http2)
{
	memset(&rig, 0, sizeof rig);
	world.log_bytes = 0;
	world.log[0] = socket_log[0] = '\0';
	world.requests = world.connections = world.unrecorded = 0;
	world.body_bytes = 0;
	world.socket = world_socket;
	world.http2 = with_http2 ? world_http2 : NULL;
	world.http2_alone = false;
	http2 = (struct http2_world){ .connect = with_http2 };
	rig_start(&rig, socket_policy, 0);
	rig_hello(&rig);
	return 0;
}

static int setup(void **state) { return (void)state, start(false); }

static int teardown(void **state)
{
	(void)state;
	rig_free(&rig);
	return 0;
}

static uint32_t open_socket(const char *host, const char *path)
{
	return ask(&rig, &(struct ask){ .host = host, .path = path, .websocket = true, .unfinished = true,
					.name = "x-api-key", .value = !strcmp(host,
									      "api.test") ? PLACEHOLDER : "none" });
}

/* The upstream is a thread of its own, and may hear later than the trail says. */
static void upstream_heard(const char *text)
{
	for (int i = 0; i < 1000 && !strstr(socket_log, text); i++)
		usleep(10000);
	assert_non_null(strstr(socket_log, text));
}

static void messages_pass_and_are_on_record_first(void **state)
{
	(void)state;
	uint32_t s = open_socket("api.test", "/socket");
	struct reply *p = answered(s);
	size_t at = 0;

	assert_int_equal(p->head.status, 200);
	assert_true(p->head.websocket);
	rig_arrived(&rig, 1);
	assert_non_null(strstr(world.log, "x-api-key: " SECRET));
	say_text(s, "hello");
	heard(s, &at, WEBSOCKET_TEXT, "hello");
	assert_int_equal(trail(&rig, "\"kind\":\"message\"", "\"message\":1", "\"verdict\":\"allow\""), 1);
	say_text(s, "say it in parts");
	heard(s, &at, WEBSOCKET_PING, "between");
	heard(s, &at, WEBSOCKET_TEXT, "hello again");
	say(s, WEBSOCKET_PONG, STR("between"));
	say(s, WEBSOCKET_PING, STR("you"));
	heard(s, &at, WEBSOCKET_PONG, "you");
	say(s, WEBSOCKET_CLOSE, STR("\x03\xe8" "done"));
	heard(s, &at, WEBSOCKET_CLOSE, "\x03\xe8" "done");
	link_end(rig.link, s);
	assert_true(rig_wait(&rig, s)->ended);
	rig_until(&rig, "\"kind\":\"outcome\"", "\"result\":\"OK\"", "\"status\":200");
	assert_int_equal(world.unrecorded, 0);
	rig_stop(&rig);
}

static void a_placeholder_in_a_message_is_replaced_or_blocked(void **state)
{
	(void)state;
	uint32_t s = open_socket("api.test", "/socket");

	assert_int_equal(answered(s)->head.status, 200);
	say_text(s, "{\"type\":\"auth\",\"key\":\"" PLACEHOLDER "\"}");
	for (int i = 0; i < 200 && !rig_reply(&rig, s)->reset; i++)
		rig_turn(&rig, 20);
	assert_non_null(strstr(socket_log, "\"key\":\"" SECRET "\""));
	assert_null(strstr(socket_log, PLACEHOLDER));
	/* and what comes back with it is cut off */
	assert_true(rig_reply(&rig, s)->reset);
	rig_until(&rig, "\"kind\":\"outcome\"", "SECRET_REFLECTED", NULL);
	s = open_socket("other.test", "/socket");
	assert_int_equal(answered(s)->head.status, 200);
	say_text(s, "ok " PLACEHOLDER);
	assert_true(rig_wait(&rig, s)->reset);
	rig_until(&rig, "\"kind\":\"outcome\"", "PLACEHOLDER_BLOCKED", "\"placeholder_of\":\"api\"");
	assert_null(strstr(socket_log, PLACEHOLDER));
	rig_stop(&rig);
}

static void a_denied_message_closes_both_sides(void **state)
{
	(void)state;
	uint32_t s = open_socket("api.test", "/socket");
	size_t at = 0;

	assert_int_equal(answered(s)->head.status, 200);
	say_text(s, "this is forbidden");
	heard(s, &at, WEBSOCKET_CLOSE, "\x03\xf0" "denied by policy");
	assert_true(rig_wait(&rig, s)->ended);
	rig_until(&rig, "\"kind\":\"message\"", "\"verdict\":\"deny\"", NULL);
	rig_until(&rig, "\"kind\":\"outcome\"", "MESSAGE_DENIED", NULL);
	upstream_heard("8:\x03\xf0");
	assert_null(strstr(socket_log, "forbidden"));
	s = open_socket("other.test", "/socket");
	at = 0;
	assert_int_equal(answered(s)->head.status, 200);
	say(s, WEBSOCKET_BINARY, STR("\x01\x02"));
	heard(s, &at, WEBSOCKET_BINARY, "\x01\x02");
	say_text(s, "ok");
	heard(s, &at, WEBSOCKET_TEXT, "ok");
	say_text(s, "not in the list");
	heard(s, &at, WEBSOCKET_CLOSE, "\x03\xf0" "denied by policy");
	rig_stop(&rig);
}

static void no_message_brings_the_secret_back(void **state)
{
	(void)state;
	static const char *const texts[] = { "say secret", "say secret in parts" };

	for (size_t i = 0; i < 2; i++) {
		uint32_t s = open_socket("api.test", "/socket");

		assert_int_equal(answered(s)->head.status, 200);
		say_text(s, texts[i]);
		struct reply *p = rig_wait(&rig, s);

		assert_true(p->reset);
		assert_true(p->body.len == 0 || !memmem(p->body.p, p->body.len, "sk-test", 7));
	}
	assert_int_equal(trail(&rig, "\"kind\":\"outcome\"", "SECRET_REFLECTED", NULL), 2);
	rig_stop(&rig);
}

static void the_upstreams_close_and_its_faults_are_told(void **state)
{
	(void)state;
	uint32_t s = open_socket("api.test", "/socket");
	size_t at = 0;

	assert_int_equal(answered(s)->head.status, 200);
	say_text(s, "go away");
	heard(s, &at, WEBSOCKET_CLOSE, "\x03\xe9" "bye");
	say(s, WEBSOCKET_CLOSE, STR("\x03\xe9"));
	link_end(rig.link, s);
	assert_true(rig_wait(&rig, s)->ended);
	s = open_socket("api.test", "/socket");
	assert_int_equal(answered(s)->head.status, 200);
	say_text(s, "be masked");
	assert_true(rig_wait(&rig, s)->reset);
	s = open_socket("api.test", "/socket");
	assert_int_equal(answered(s)->head.status, 200);
	say_text(s, "vanish");
	assert_true(rig_wait(&rig, s)->reset);
	assert_int_equal(trail(&rig, "\"kind\":\"outcome\"", "UPSTREAM_MALFORMED", "WebSocket frames"), 1);
	assert_int_equal(trail(&rig, "\"kind\":\"outcome\"", "UPSTREAM_CLOSED", NULL), 1);
	rig_stop(&rig);
}

static void a_handshake_is_refused_where_it_must_be(void **state)
{
	(void)state;
	uint32_t s = open_socket("api.test", "/elsewhere");

	assert_int_equal(answered(s)->head.status, 426);
	assert_int_equal(world.connections, 0);
	assert_int_equal(answered(open_socket("api.test", "/socket/wrong"))->head.status, 502);
	assert_int_equal(answered(open_socket("api.test", "/socket/chat"))->head.status, 502);
	assert_int_equal(answered(open_socket("api.test", "/socket/deflate"))->head.status, 502);
	/* an answer of another kind is an answer */
	s = open_socket("api.test", "/plain");
	assert_int_equal(answered(s)->head.status, 200);
	assert_false(rig_reply(&rig, s)->head.websocket);
	rig_stop(&rig);
}

static void a_large_message_passes_and_a_larger_one_does_not(void **state)
{
	(void)state;
	static char large[1024 * 1024 + 1];
	uint32_t s = open_socket("api.test", "/socket");
	struct reply *p = answered(s);

	assert_int_equal(p->head.status, 200);
	memset(large, 'a', sizeof large);
	say(s, WEBSOCKET_TEXT, str_make(large, sizeof large - 1));
	for (int i = 0; i < 300 && p->body_bytes < sizeof large - 1 + WEBSOCKET_HEADER_BYTES; i++)
		rig_turn(&rig, 20);
	assert_int_equal(p->body_bytes, sizeof large - 1 + WEBSOCKET_HEADER_BYTES);
	s = open_socket("api.test", "/socket");
	assert_int_equal(answered(s)->head.status, 200);
	say(s, WEBSOCKET_TEXT, str_make(large, 2 * LINK_WINDOW_BYTES));	/* warm */
	uint32_t t = open_socket("api.test", "/socket");
	auto_buf header = BUF_EMPTY;

	assert_int_equal(answered(t)->head.status, 200);
	buf_init(&header, 8);
	buf_put_u32le(&header, WEBSOCKET_TEXT);
	buf_put_u32le(&header, sizeof large);
	assert_int_equal(link_data(rig.link, t, 0, buf_str(&header)), ERR_OK);
	assert_true(rig_wait(&rig, t)->reset);
	rig_stop(&rig);
}

/* RFC 8441, on a connection that is there and takes them. */
static void over_http2_where_it_is_offered(void **state)
{
	(void)state;
	rig_free(&rig);
	start(true);
	assert_int_equal(ask_wait(&rig, &(struct ask){ .path = "/first" })->head.status, 200);
	uint32_t s = open_socket("api.test", "/socket");
	size_t at = 0;

	assert_int_equal(answered(s)->head.status, 200);
	assert_int_equal(world.connections, 1);
	assert_non_null(strstr(world.log, ":protocol: websocket"));
	say_text(s, "hello {\"key\":\"" PLACEHOLDER "x\"}");
	say_text(s, "hello");
	heard(s, &at, WEBSOCKET_TEXT, "hello {\"key\":\"" PLACEHOLDER "x\"}");
	heard(s, &at, WEBSOCKET_TEXT, "hello");
	say(s, WEBSOCKET_CLOSE, STR("\x03\xe8"));
	heard(s, &at, WEBSOCKET_CLOSE, "\x03\xe8");
	link_end(rig.link, s);
	assert_true(rig_wait(&rig, s)->ended);
	rig_stop(&rig);
}

static void start_http2_alone(void)
{
	rig_free(&rig);
	start(true);
	world.http2_alone = true;
}

/* The first thing that is asked of it is a WebSocket, and it speaks nothing but h2. */
static void to_an_upstream_of_http2_alone(void **state)
{
	(void)state;
	uint32_t sockets[3];

	start_http2_alone();
	for (size_t i = 0; i < 3; i++)
		sockets[i] = open_socket("api.test", "/socket");
	for (size_t i = 0; i < 3; i++) {
		size_t at = 0;

		assert_int_equal(answered(sockets[i])->head.status, 200);
		say_text(sockets[i], "hello");
		heard(sockets[i], &at, WEBSOCKET_TEXT, "hello");
		say(sockets[i], WEBSOCKET_CLOSE, STR("\x03\xe8"));
		heard(sockets[i], &at, WEBSOCKET_CLOSE, "\x03\xe8");
		link_end(rig.link, sockets[i]);
		assert_true(rig_wait(&rig, sockets[i])->ended);
	}
	assert_non_null(strstr(world.log, ":protocol: websocket"));
	assert_non_null(strstr(world.log, "x-api-key: " SECRET " (never indexed)"));
	assert_int_equal(trail(&rig, "\"kind\":\"outcome\"", "\"result\":\"OK\"", "\"status\":200"), 3);
	const unsigned before = world.connections;

	assert_int_equal(answered(open_socket("api.test", "/socket"))->head.status, 200);
	assert_int_equal(world.connections, before);	/* the one that is there */
	rig_stop(&rig);
}

/* It says nothing, or goes. */
static void mute_http2(SSL *s)
{
	char in[4096];

	while (http2.goaway && SSL_read(s, in, sizeof in) > 0)
		;
}

static void an_upstream_of_http2_alone_that_takes_none(void **state)
{
	(void)state;
	start_http2_alone();
	http2.connect = false;
	assert_int_equal(answered(open_socket("api.test", "/socket"))->head.status, 426);
	assert_int_equal(trail(&rig, "\"kind\":\"outcome\"", "UPGRADE_REFUSED", "no WebSocket over it"), 1);
	assert_int_equal(world.requests, 0);
	/* what asks for no socket has the connection that was made */
	assert_int_equal(ask_wait(&rig, &(struct ask){ .path = "/plain" })->head.status, 200);
	assert_int_equal(world.connections, 2);
	http2.raw = mute_http2;
	assert_int_equal(answered(open_socket("other.test", "/socket"))->head.status, 502);
	http2.goaway = true;	/* stays, and is waited for until its time is over */
	uint32_t s = open_socket("other.test", "/socket");
	uint64_t until = clock_ms() + 20000;

	while (!rig_reply(&rig, s)->has_head && clock_ms() < until)
		rig_turn(&rig, 100);
	assert_int_equal(rig_reply(&rig, s)->head.status, 504);
	assert_int_equal(trail(&rig, "\"kind\":\"outcome\"", "UPSTREAM_TIMEOUT", "no SETTINGS"), 1);
	assert_int_equal(world.requests, 1);
	rig_stop(&rig);
}

/* It has no end of its own: the policy that comes is for what is open, too. */
static void a_reload_ends_what_it_would_not_open(void **state)
{
	(void)state;
	static const char reload[] = "{\"op\":\"reload\",\"policy\":\"version: 1\\nnetwork:\\n"
				     "  - {hosts: [other.test], methods: [GET], paths: [/socket], websocket: "
				     "{binary: true}}\\n\"}";
	uint32_t stays = open_socket("other.test", "/socket"), goes;
	char answer[256] = "";
	size_t at = 0;

	assert_int_equal(answered(stays)->head.status, 200);
	goes = open_socket("other.test", "/other");
	assert_int_equal(answered(goes)->head.status, 200);
	assert_int_equal(send(rig.control, reload, sizeof reload - 1, MSG_NOSIGNAL),
			 (ssize_t)sizeof reload - 1);
	assert_true(recv(rig.control, answer, sizeof answer - 1, 0) > 0);
	assert_non_null(strstr(answer, "\"reloaded\""));
	assert_true(rig_wait(&rig, goes)->reset);
	rig_until(&rig, "\"kind\":\"outcome\"", "POLICY_DENIED", NULL);
	say_text(stays, "ok");
	heard(stays, &at, WEBSOCKET_TEXT, "ok");
	rig_stop(&rig);
}

/* Answers late, and notes what came until then. */
static void late_socket(SSL *s, const char *head)
{
	char in[4096];
	int fd = SSL_get_fd(s);
	struct timeval soon = { .tv_usec = 500000 };

	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &soon, sizeof soon);
	int n = SSL_read(s, in, sizeof in);

	if (n > 0)
		socket_note(&(struct websocket_message){ WEBSOCKET_BINARY, str_make(in, (size_t)n) });
	soon.tv_usec = 0;
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &soon, sizeof soon);
	world_socket(s, head);
}

/* Whoever asks for a WebSocket and says everything at once:
 * nothing of it goes before it is one, and is judged. */
static void no_message_goes_before_the_handshake(void **state)
{
	(void)state;
	world.socket = late_socket;
	uint32_t s = open_socket("api.test", "/socket");
	size_t at = 0;

	rig_arrived(&rig, 1);
	say_text(s, "first");
	say_text(s, "this is forbidden");
	link_end(rig.link, s);
	heard(s, &at, WEBSOCKET_CLOSE, "\x03\xf0" "denied by policy");
	assert_true(rig_wait(&rig, s)->ended);
	rig_until(&rig, "\"kind\":\"outcome\"", "MESSAGE_DENIED", NULL);
	upstream_heard("8:\x03\xf0" "denied by policy\n");
	assert_string_equal(socket_log, "1:first\n8:\x03\xf0" "denied by policy\n");
	assert_int_equal(trail(&rig, "\"kind\":\"message\"", NULL, NULL), 2);
	rig_stop(&rig);
}

/* Says so much before the answer that the client's credit is used up but for a few bytes. */
static void wordy_socket(SSL *s, const char *head)
{
	static const size_t sizes[] = { 60000, 60000, 60000, 60000, LINK_WINDOW_BYTES - 4 * 60036 - 36 - 10 };
	static char value[60001];

	memset(value, 'a', sizeof value - 1);
	for (size_t i = 0; i < 5; i++) {
		world_say(s, "HTTP/1.1 103 Early Hints\r\nlink: ");
		world_send(s, value, sizes[i]);
		world_say(s, "\r\n\r\n");
	}
	world_socket(s, head);
}

/* The client takes its time over what came before: the
 * answer waits for it, and the WebSocket for the answer. */
static void a_handshake_waits_for_credit(void **state)
{
	(void)state;
	world.socket = wordy_socket;
	rig.slow = true;
	uint32_t s = open_socket("api.test", "/socket");
	struct reply *p = rig_reply(&rig, s);
	size_t at = 0;

	for (int i = 0; i < 200 && p->interim < 5; i++)
		rig_turn(&rig, 20);
	for (int i = 0; i < 10; i++)
		rig_turn(&rig, 20);
	assert_int_equal(p->interim, 5);
	assert_false(p->has_head);
	rig.slow = false;
	link_consumed(rig.link, s, LINK_WINDOW_BYTES - 10);
	assert_true(answered(s)->head.websocket);
	say_text(s, "hello");
	heard(s, &at, WEBSOCKET_TEXT, "hello");
	rig_stop(&rig);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		T(messages_pass_and_are_on_record_first),
		T(a_placeholder_in_a_message_is_replaced_or_blocked),
		T(a_denied_message_closes_both_sides),
		T(no_message_brings_the_secret_back),
		T(the_upstreams_close_and_its_faults_are_told),
		T(a_handshake_is_refused_where_it_must_be),
		T(a_large_message_passes_and_a_larger_one_does_not),
		T(over_http2_where_it_is_offered),
		T(to_an_upstream_of_http2_alone),
		T(an_upstream_of_http2_alone_that_takes_none),
		T(a_reload_ends_what_it_would_not_open),
		T(no_message_goes_before_the_handshake),
		T(a_handshake_waits_for_credit),
	};

	world_start();
	return world_end(cmocka_run_group_tests(tests, NULL, NULL));
}
