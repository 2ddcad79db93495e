/* courier_credential_test.c - what a credential takes from a request, who may see its placeholder,
 * and how it is taken away from what uses it; with the real courier and a TLS upstream */
#include "../path/courier_world.h"

#define FIXED "    placeholder: {environment: API_KEY, value: " PLACEHOLDER "}\n"
#define START "version: 1\ncredentials:\n  api:\n    source: {environment: API_KEY}\n    detach_after: 3\n"
#define OTHER "  - {hosts: [other.test], methods: [GET, POST]}\n"
#define RULE "network:\n  - {hosts: [api.test], methods: [GET, POST], credential: api}\n" OTHER

static const char substituting[] = START "    hosts: [api.test]\n    strategy: placeholder\n" FIXED RULE;

static struct rig rig;
static volatile bool stream_stopped;

/* /stream: an event now and then, for as long as somebody
 * reads; /slow: after a while, so that connections are many */
static bool answer(SSL *s, const char *path)
{
	if (!strcmp(path, "/slow")) {
		usleep(300000);
		world_say(s, "HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nslow");
		return true;
	}
	if (strcmp(path, "/stream"))
		return false;
	world_say(s,
		  "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n");
	for (int i = 0; i < 400 && !stream_stopped; i++) {
		if (SSL_write(s, "10\r\ndata: event ..\n\n\r\n", 22) <= 0)
			break;
		usleep(20000);
	}
	world_say(s, "0\r\n\r\n");
	return true;
}

static void start(const char *policy)
{
	memset(&rig, 0, sizeof rig);
	world.log_bytes = 0;
	world.log[0] = '\0';
	world.requests = world.connections = world.unrecorded = 0;
	world.answer = answer;
	stream_stopped = false;
	rig_start(&rig, policy, 0);
	rig_hello(&rig);
}

static int teardown(void **state)
{
	(void)state;
	stream_stopped = true;
	rig_free(&rig);
	return world_end(0);
}

static int status_of(const struct ask *a) { return ask_wait(&rig, a)->head.status; }

static bool living(unsigned count)
{
	uint64_t until = clock_ms() + 4000;

	while (__atomic_load_n(&world.living, __ATOMIC_SEQ_CST) != count && clock_ms() < until)
		rig_turn(&rig, 20);
	return world.living == count;
}

/* ---- parts of a body ---- */

/* The secret could be asked for in parts, none of which is one. */
static void no_parts_are_asked_for_with_a_secret(void **state)
{
	(void)state;
	static const char *const policies[] = {
		substituting,
		START "    hosts: [api.test]\n    header: {name: x-key}\n" FIXED RULE,
	};

	for (size_t i = 0; i < sizeof policies / sizeof *policies; i++) {
		if (i)
			rig_free(&rig);
		start(policies[i]);
		assert_int_equal(status_of(&(struct ask){ .path = "/a", .name = "range",
							  .value = "bytes=0-9" }), 200);
		assert_int_equal(status_of(&(struct ask){ .path = "/b", .name = "if-range",
							  .value = "\"tag\"" }), 200);
		assert_non_null(strstr(world.log, "GET /b "));
		assert_null(strstr(world.log, "range: "));
		assert_int_equal(status_of(&(struct ask){ .host = "other.test", .name = "range",
							  .value = "bytes=0-9" }), 200);
		assert_non_null(strstr(world.log, "\r\nrange: bytes=0-9\r\n"));
		assert_int_equal(status_of(&(struct ask){ .host = "other.test", .name = "if-range",
							  .value = "\"t\"" }), 200);
		assert_non_null(strstr(world.log, "\r\nif-range: \"t\"\r\n"));
		rig_stop(&rig);
	}
}

/* Where it is never sent there is nothing to be had in parts, and downloads come in them. */
static void parts_are_asked_for_where_no_secret_is_sent(void **state)
{
	(void)state;
	start(START "    hosts: [api.test]\n    strategy: sigv4\n    sigv4: {services: [s3], regions: "
		    "[eu-west-1]}\n"
		    "    placeholder: {environment: API_KEY}\n" RULE);
	assert_int_equal(status_of(&(struct ask){ .path = "/a", .name = "range", .value = "bytes=0-9" }),
			200);
	assert_int_equal(status_of(&(struct ask){ .path = "/b", .name = "if-range", .value = "\"tag\"" }),
			200);
	assert_non_null(strstr(world.log, "\r\nrange: bytes=0-9\r\n"));
	assert_non_null(strstr(world.log, "\r\nif-range: \"tag\"\r\n"));
	assert_non_null(strstr(world.log, "\r\naccept-encoding: identity\r\n"));
	rig_stop(&rig);
}

/* ---- the three lists ---- */

/* Who may see the placeholder as it is: no list of the two others opens that, and it closes their default. */
static void the_third_list_is_of_who_sees_the_placeholder(void **state)
{
	(void)state;
	static const struct ask to_other = { .host = "other.test", .path = "/seen", .name = "x-note",
					     .value = PLACEHOLDER },
		in_body = { .method = "POST", .path = "/body", .framing = HEAD_BODY_LENGTH,
			    .length = sizeof PLACEHOLDER - 1, .body = PLACEHOLDER };
	struct ask body_to_other = in_body;

	body_to_other.host = "other.test";
	start(substituting);
	assert_int_equal(status_of(&to_other), 403);
	assert_int_equal(status_of(&body_to_other), 403);
	assert_int_equal(status_of(&in_body), 200);	/* an agent that shows its model the environment */
	assert_int_equal(trail(&rig, "PLACEHOLDER_BLOCKED", "\"placeholder_of\":\"api\"", NULL), 2);
	rig_stop(&rig);
	rig_free(&rig);

	start(START "    hosts: [api.test]\n    strategy: placeholder\n"
	      "    placeholder: {value: " PLACEHOLDER ", hosts: [other.test]}\n" RULE);
	assert_int_equal(status_of(&to_other), 200);
	assert_non_null(strstr(world.log, "x-note: " PLACEHOLDER));
	assert_int_equal(status_of(&body_to_other), 200);
	assert_int_equal(status_of(&in_body), 403);
	assert_null(strstr(world.log, SECRET));
	assert_int_equal(status_of(&(struct ask){ .path = "/mine", .name = "x-note", .value = PLACEHOLDER }),
			200);
	assert_non_null(strstr(world.log, "x-note: " SECRET));
	rig_stop(&rig);
}

/* ---- marked as not to be searched for ---- */

static void what_is_marked_is_not_searched_for(void **state)
{
	(void)state;
	struct reply *p;

	start(START "    hosts: [api.test]\n    strategy: placeholder\n    scrub: false\n" FIXED RULE);
	p = ask_wait(&rig,
		     &(struct ask){ .path = "/reflect-body", .name = "x-api-key", .value = PLACEHOLDER });
	assert_true(p->ended && p->head.status == 200);
	buf_put_byte(&p->body, 0);
	assert_non_null(strstr(p->body.p, SECRET));
	assert_non_null(strstr(world.log, "x-api-key: " SECRET));
	assert_int_equal(trail(&rig, "SECRET_REFLECTED", NULL, NULL), 0);
	rig_stop(&rig);
}

/* ---- taken away ---- */

/* Connections that are kept, and used by nobody, have authenticated with it all the same. */
static void a_detached_credential_leaves_no_connection(void **state)
{
	(void)state;
	uint32_t streams[5];

	start(substituting);
	for (int i = 0; i < 5; i++)
		streams[i] =
			ask(&rig, &(struct ask){ .path = "/slow", .host = i ? "api.test" : "other.test" });
	for (int i = 0; i < 5; i++)
		assert_int_equal(rig_wait(&rig, streams[i])->head.status, 200);
	assert_int_equal(world.connections, 5);
	assert_true(living(5));
	for (int i = 0; i < 2; i++)
		assert_int_equal(status_of(&(struct ask){ .path = "/reflect-header" }), 502);
	assert_true(living(3));		/* those that a secret came back on are not kept */
	usleep(700000);			/* more than a tick */
	assert_int_equal(world.living, 3);
	assert_int_equal(status_of(&(struct ask){ .path = "/reflect-header" }), 502);
	assert_true(living(1));
	assert_int_equal(world.connections, 5);
	assert_int_equal(status_of(&(struct ask){ .path = "/first" }), 503);
	assert_int_equal(status_of(&(struct ask){ .host = "other.test", .path = "/first" }), 200);
	assert_int_equal(world.connections, 5);
	rig_stop(&rig);
}

static bool comes(const struct reply *p)
{
	uint64_t before = p->body_bytes, until = clock_ms() + 4000;

	while (p->body_bytes == before && !p->reset && !p->ended && clock_ms() < until)
		rig_turn(&rig, 20);
	return p->body_bytes > before;
}

/* What a reload takes away or changes ends with it: streams,
 * and connections that nobody uses; nothing else does. */
static void a_reload_takes_a_credential_away(void **state)
{
	(void)state;
	static const char *const changed[] = {
		"version: 1\nnetwork:\n  - {hosts: [api.test], methods: [GET]}\n" OTHER,	/* it has none */
		START "    hosts: [api.test]\n    strategy: placeholder\n" FIXED		/* nor for this rule */
		"network:\n  - {hosts: [api.test], methods: [GET], paths: [/stream, /slow]}\n"
		"  - {hosts: [api.test], methods: [GET], credential: api}\n" OTHER,
		START "    hosts: [api.test, another.test]\n    strategy: placeholder\n" FIXED RULE,	/* other hosts */
		START "    hosts: [api.test]\n    strategy: placeholder\n"	/* another form */
		"    placeholder: {value: " PLACEHOLDER ", in: [query]}\n" RULE,
	};

	for (size_t i = 0; i < sizeof changed / sizeof *changed; i++) {
		if (i) {
			stream_stopped = true;
			rig_free(&rig);
			world_end(0);
		}
		start(substituting);
		uint32_t idle = ask(&rig, &(struct ask){ .path = "/slow" });
		struct reply *with = rig_reply(&rig, ask(&rig, &(struct ask){ .path = "/stream" }));
		struct reply *without =
			rig_reply(&rig, ask(&rig, &(struct ask){ .path = "/stream", .host = "other.test" }));

		assert_int_equal(rig_wait(&rig, idle)->head.status, 200);
		assert_true(comes(with) && comes(without));
		assert_true(living(3));
		rig_reload(&rig, substituting);			/* the same once more: nothing ends */
		assert_true(comes(with) && comes(without));
		assert_int_equal(world.living, 3);
		rig_reload(&rig, changed[i]);
		uint64_t until = clock_ms() + 4000;

		while (!with->reset && clock_ms() < until)
			rig_turn(&rig, 20);
		assert_true(with->reset && with->reason == ERR_CREDENTIAL);
		assert_true(comes(without));
		/* by another rule the next request has no credential:
		 * it does not get a connection that had one */
		assert_true(living(i == 1 ? 2 : 1));
		assert_int_equal(status_of(&(struct ask){ .path = "/slow" }), 200);
		assert_int_equal(world.connections, 4);
		assert_int_equal(trail(&rig, "\"kind\":\"outcome\"", "\"result\":\"CREDENTIAL\"", NULL), 1);
		stream_stopped = true;
		rig_stop(&rig);
	}
}

int main(void)
{
#define T(f) cmocka_unit_test_teardown(f, teardown)
	const struct CMUnitTest tests[] = {
		T(no_parts_are_asked_for_with_a_secret),
		T(parts_are_asked_for_where_no_secret_is_sent),
		T(the_third_list_is_of_who_sees_the_placeholder),
		T(what_is_marked_is_not_searched_for),
		T(a_detached_credential_leaves_no_connection),
		T(a_reload_takes_a_credential_away),
	};

	world_start();
	return world_end(cmocka_run_group_tests(tests, NULL, NULL));
}
