/* courier_http2_test.c - exchanges over HTTP/2 with an
 * upstream: shared connections, resets, windows, trailers */
#include "../path/courier_world.h"
#include "../path/world_http2.h"

static struct rig rig;

static int setup(void **state)
{
	(void)state;
	memset(&rig, 0, sizeof rig);
	world.log_bytes = 0;
	world.log[0] = '\0';
	world.requests = world.connections = world.unrecorded = 0;
	world.body_bytes = 0;
	world.http2 = world_http2;
	world.socket = world_socket;
	http2 = (struct http2_world){ .raw = NULL };
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

static bool body_is(struct reply *p, const char *text) { return str_eq(buf_str(&p->body), str_of(text)); }

static void one_connection_carries_many_exchanges(void **state)
{
	(void)state;
	uint32_t streams[40];

	for (size_t i = 0; i < 40; i++)
		streams[i] = ask(&rig, &(struct ask){ .path = "/many" });
	for (size_t i = 0; i < 40; i++) {
		struct reply *p = rig_wait(&rig, streams[i]);

		assert_true(p->ended);
		assert_int_equal(p->head.status, 200);
		assert_true(body_is(p, "hello 0 "));
	}
	assert_int_equal(world.connections, 1);
	assert_int_equal(world.unrecorded, 0);
	assert_int_equal(trail(&rig, "\"kind\":\"outcome\"", "\"result\":\"OK\"", NULL), 40);
	rig_stop(&rig);
}

/* Who dials for others and gives up leaves them the connection. */
static void a_connection_that_others_wait_for_outlives_who_dialled(void **state)
{
	(void)state;
	uint32_t first = ask(&rig, &(struct ask){ .path = "/first" });
	uint32_t second = ask(&rig, &(struct ask){ .path = "/second" });
	uint32_t third = ask(&rig, &(struct ask){ .path = "/third" });

	link_reset(rig.link, first, ERR_CANCELLED);
	assert_int_equal(rig_wait(&rig, second)->head.status, 200);
	assert_int_equal(rig_wait(&rig, third)->head.status, 200);
	assert_int_equal(world.connections, 1);
	assert_null(strstr(world.log, "/first"));
	rig_stop(&rig);
}

/* All that wait fail with it. */
static void a_connection_that_fails_fails_for_all(void **state)
{
	(void)state;
	uint32_t streams[5];

	for (size_t i = 0; i < 5; i++)
		streams[i] = ask(&rig, &(struct ask){ .host = "wrong.test" });
	for (size_t i = 0; i < 5; i++)
		assert_int_equal(rig_wait(&rig, streams[i])->head.status, 502);
	assert_int_equal(world.connections, 1);
	assert_int_equal(trail(&rig, "\"kind\":\"outcome\"", "UPSTREAM_TLS", NULL), 5);
	rig_stop(&rig);
}

static void the_upstreams_bound_on_streams_is_kept(void **state)
{
	(void)state;
	uint32_t streams[20];

	http2.concurrent = 4;
	assert_int_equal(ask_wait(&rig, &(struct ask){ .path = "/first" })->head.status, 200);
	for (size_t i = 0; i < 20; i++)
		streams[i] = ask(&rig, &(struct ask){ .path = "/many" });
	for (size_t i = 0; i < 20; i++)
		assert_int_equal(rig_wait(&rig, streams[i])->head.status, 200);
	assert_true(world.connections > 1);
	rig_stop(&rig);
}

static void a_credential_is_attached_and_never_indexed(void **state)
{
	(void)state;
	struct reply *p =
		ask_wait(&rig, &(struct ask){ .path = "/first", .name = "x-api-key", .value = PLACEHOLDER });

	assert_int_equal(p->head.status, 200);
	assert_non_null(strstr(world.log, "x-api-key: " SECRET " (never indexed)"));
	assert_null(strstr(world.log, PLACEHOLDER));
	assert_int_equal(ask_wait(&rig, &(struct ask){ .host = "other.test", .path = "/other" })->head.status,
			 200);
	assert_int_equal(world.connections, 2);
	rig_stop(&rig);
}

static void no_answer_brings_the_secret_back(void **state)
{
	(void)state;
	static const char *const paths[] = { "/head-secret", "/body-secret", "/trailer-secret",
					     "/interim-secret" };

	for (size_t i = 0; i < sizeof paths / sizeof *paths; i++) {
		struct reply *p = ask_wait(&rig, &(struct ask){ .path = paths[i], .name = "x-api-key",
								.value = PLACEHOLDER });

		assert_true(p->reset || p->head.status == 502);
		assert_null(memmem(p->head_bytes.p, p->head_bytes.len, SECRET, strlen(SECRET)));
		assert_true(p->body.len == 0 || !memmem(p->body.p, p->body.len, "sk-test", 7));
		assert_int_equal(p->trailer_bytes.len, 0);
	}
	assert_int_equal(trail(&rig, "\"kind\":\"outcome\"", "SECRET_REFLECTED", NULL), 4);
	struct reply *p = ask_wait(&rig, &(struct ask){ .path = "/alt-svc" });

	assert_int_equal(p->head.status, 200);
	assert_null(head_find(&p->head, STR("alt-svc")));
	rig_stop(&rig);
}

static void send_bytes(uint32_t s, const char *text)
{
	assert_int_equal(link_data(rig.link, s, 0, str_of(text)), ERR_OK);
}

/* gRPC's way: the answer's head and data come while the request still goes up; trailers end it. */
static void both_directions_flow_at_once(void **state)
{
	(void)state;
	uint32_t s = ask(&rig, &(struct ask){ .method = "POST", .path = "/echo",
					      .framing = HEAD_BODY_STREAMED,
					      .name = "te", .value = "trailers", .unfinished = true });
	struct reply *p = rig_reply(&rig, s);

	for (int i = 0; i < 100 && !p->has_head; i++)
		rig_turn(&rig, 20);
	assert_true(p->has_head);
	for (unsigned round = 1; round <= 5; round++) {
		send_bytes(s, "ping ");
		for (int i = 0; i < 100 && p->body_bytes < 5 * round; i++)
			rig_turn(&rig, 20);
		assert_int_equal(p->body_bytes, 5 * round);
	}
	assert_false(p->ended);
	link_end(rig.link, s);
	rig_wait(&rig, s);
	assert_true(p->ended);
	assert_true(body_is(p, "ping ping ping ping ping "));
	assert_int_equal(p->trailers.kind, HEAD_TRAILERS);
	assert_true(str_eq(head_find(&p->trailers, STR("x-end"))->value, STR("done")));
	assert_non_null(strstr(world.log, "te: trailers"));
	rig_stop(&rig);
}

static void trailers_go_up_behind_the_body(void **state)
{
	(void)state;
	uint32_t s = ask(&rig, &(struct ask){ .method = "POST", .path = "/trailers",
					      .framing = HEAD_BODY_STREAMED,
					      .trailers = true, .body = "12345", .unfinished = true });
	struct head late = { .kind = HEAD_TRAILERS };
	auto_buf encoded = BUF_EMPTY;

	buf_init(&encoded, HEAD_MAX_BYTES);
	assert_int_equal(head_add(&late, STR("x-checksum"), STR("77")), ERR_OK);
	assert_int_equal(head_encode(&late, &encoded), ERR_OK);
	assert_int_equal(link_head(rig.link, s, buf_str(&encoded)), ERR_OK);
	link_end(rig.link, s);
	assert_true(body_is(rig_wait(&rig, s), "hello 5 x-checksum=77"));
	rig_stop(&rig);
}

static void hints_pass_and_too_many_end_it(void **state)
{
	(void)state;
	struct reply *p = ask_wait(&rig, &(struct ask){ .path = "/hints" });

	assert_int_equal(p->head.status, 200);
	assert_int_equal(p->interim, 2);
	p = ask_wait(&rig, &(struct ask){ .path = "/many-hints" });
	assert_int_equal(p->head.status, 502);
	assert_int_equal(ask_wait(&rig, &(struct ask){ .path = "/after" })->head.status, 200);
	assert_int_equal(world.connections, 1);
	rig_stop(&rig);
}

static void an_early_answer_stops_the_upload(void **state)
{
	(void)state;
	uint32_t s = ask(&rig, &(struct ask){ .method = "PUT", .path = "/early", .framing = HEAD_BODY_LENGTH,
					      .length = 1000000, .body = "beginning", .unfinished = true });
	struct reply *p = rig_wait(&rig, s);

	assert_true(p->ended && body_is(p, "early"));
	for (int i = 0; i < 100 && !http2.resets; i++)
		rig_turn(&rig, 20);
	assert_int_equal(http2.resets, 1);
	assert_int_equal(trail(&rig, "\"kind\":\"outcome\"", "\"result\":\"OK\"", "request_incomplete"), 1);
	rig_stop(&rig);
}

static void resets_pass_both_ways(void **state)
{
	(void)state;
	struct reply *p = ask_wait(&rig, &(struct ask){ .path = "/reset" });

	assert_int_equal(p->head.status, 502);
	p = ask_wait(&rig, &(struct ask){ .path = "/reset-later" });
	assert_true(p->reset || p->head.status == 502);
	uint32_t s = ask(&rig, &(struct ask){ .path = "/hang" });

	rig_arrived(&rig, 3);
	link_reset(rig.link, s, ERR_CANCELLED);
	for (int i = 0; i < 100 && !__atomic_load_n(&http2.cancels, __ATOMIC_SEQ_CST); i++)
		rig_turn(&rig, 20);
	assert_int_equal(http2.cancels, 1);
	rig_until(&rig, "\"kind\":\"outcome\"", "CANCELLED", NULL);
	assert_int_equal(ask_wait(&rig, &(struct ask){ .path = "/after" })->head.status, 200);
	assert_int_equal(world.connections, 1);
	rig_stop(&rig);
}

/* What runs when the sandbox stops is called off, and then the connection ends in order. */
static void the_end_of_the_sandbox_is_told(void **state)
{
	(void)state;
	assert_int_equal(ask_wait(&rig, &(struct ask){ .path = "/first" })->head.status, 200);
	ask(&rig, &(struct ask){ .path = "/hang" });
	rig_arrived(&rig, 2);
	rig_stop(&rig);
	for (int i = 0; i < 500 && !__atomic_load_n(&http2.goodbyes, __ATOMIC_SEQ_CST); i++)
		usleep(10000);
	assert_int_equal(http2.goodbyes, 1);
	assert_int_equal(http2.cancels, 1);
	assert_int_equal(trail(&rig, "\"kind\":\"outcome\"", "\"result\":\"CANCELLED\"", NULL), 1);
}

static void what_was_not_looked_at_is_sent_again(void **state)
{
	(void)state;
	http2.refuse = 1;
	assert_int_equal(ask_wait(&rig, &(struct ask){ .path = "/refused" })->head.status, 200);
	assert_int_equal(world.requests, 2);
	http2.goaway = true;
	assert_int_equal(ask_wait(&rig, &(struct ask){ .path = "/gone" })->head.status, 200);
	assert_int_equal(world.requests, 4);
	http2.refuse = 1;	/* even what could do harm when done twice */
	assert_int_equal(ask_wait(&rig, &(struct ask){ .method = "POST", .path = "/post" })->head.status,
			200);
	http2.refuse = 2;	/* once */
	assert_int_equal(ask_wait(&rig, &(struct ask){ .path = "/refused" })->head.status, 502);
	rig_stop(&rig);
}

static void a_slow_reader_is_waited_for_and_stops_nobody_else(void **state)
{
	(void)state;
	rig.slow = true;
	uint32_t s = ask(&rig, &(struct ask){ .path = "/big" });
	struct reply *p = rig_reply(&rig, s);

	for (int i = 0; i < 60; i++)
		rig_turn(&rig, 20);
	assert_true(p->body_bytes > 0 && p->body_bytes <= LINK_WINDOW_BYTES);
	rig.slow = false;
	assert_int_equal(ask_wait(&rig, &(struct ask){ .path = "/other" })->head.status, 200);
	assert_int_equal(world.connections, 1);
	link_consumed(rig.link, s, p->body_bytes + p->head_bytes.len);
	rig_wait(&rig, s);
	assert_true(p->ended);
	assert_int_equal(p->body_bytes, BIG_BYTES);
	rig_stop(&rig);
}

static void ten_megabytes_go_up_through_small_windows(void **state)
{
	(void)state;
	static char block[65536];
	uint64_t sent = 0, until = clock_ms() + 20000;

	http2.window = 20000;
	uint32_t s = ask(&rig, &(struct ask){ .method = "PUT", .path = "/up", .unfinished = true,
					      .framing = HEAD_BODY_LENGTH, .length = BIG_BYTES });

	while (sent < BIG_BYTES && clock_ms() < until) {
		size_t room = link_sendable(rig.link, s);

		room = room < sizeof block ? room : sizeof block;
		room = room < BIG_BYTES - sent ? room : BIG_BYTES - sent;
		if (room) {
			assert_int_equal(link_data(rig.link, s, 0, str_make(block, room)), ERR_OK);
			sent += room;
		}
		rig_turn(&rig, 50);
	}
	link_end(rig.link, s);
	assert_true(body_is(rig_wait(&rig, s), "hello 10485760 "));
	rig_stop(&rig);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		T(one_connection_carries_many_exchanges),
		T(a_connection_that_others_wait_for_outlives_who_dialled),
		T(a_connection_that_fails_fails_for_all),
		T(the_upstreams_bound_on_streams_is_kept),
		T(a_credential_is_attached_and_never_indexed),
		T(no_answer_brings_the_secret_back),
		T(both_directions_flow_at_once),
		T(trailers_go_up_behind_the_body),
		T(hints_pass_and_too_many_end_it),
		T(an_early_answer_stops_the_upload),
		T(resets_pass_both_ways),
		T(the_end_of_the_sandbox_is_told),
		T(what_was_not_looked_at_is_sent_again),
		T(a_slow_reader_is_waited_for_and_stops_nobody_else),
		T(ten_megabytes_go_up_through_small_windows),
	};

	world_start();
	return world_end(cmocka_run_group_tests(tests, NULL, NULL));
}
