/* courier_test.c - the way of one request, with the real courier, confined, and a TLS upstream */
#include "../path/courier_world.h"

#include "os/fd.h"

static struct rig rig;

static int setup(void **state)
{
	(void)state;
	memset(&rig, 0, sizeof rig);
	world.log_bytes = 0;
	world.requests = world.connections = world.unrecorded = 0;
	world.body_bytes = 0;
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

static void an_allowed_request_carries_the_secret_and_leaves_a_record_first(void **state)
{
	(void)state;
	struct reply *p = ask_wait(&rig, &(struct ask){ .path = "/first", .name = "x-api-key",
							.value = PLACEHOLDER });

	assert_true(p->ended && p->has_head);
	assert_int_equal(p->head.status, 200);
	assert_true(str_eq(buf_str(&p->body), STR("hello 0 identity")));
	assert_non_null(strstr(world.log, "x-api-key: " SECRET));
	assert_null(strstr(world.log, PLACEHOLDER));
	assert_int_equal(world.unrecorded, 0);
	assert_int_equal(trail(&rig, "\"kind\":\"intent\"", "https://api.test/first",
			       "\"credential\":\"api\""), 1);
	assert_int_equal(trail(&rig, "\"kind\":\"outcome\"", "\"result\":\"OK\"", "\"status\":200"), 1);
	assert_int_equal(trail(&rig, SECRET, NULL, NULL), 0);
	rig_stop(&rig);
}

static void a_kept_connection_is_used_again_and_a_dead_one_is_replaced(void **state)
{
	(void)state;
	for (int i = 0; i < 5; i++)
		assert_int_equal(ask_wait(&rig, &(struct ask){ .path = "/again" })->head.status, 200);
	assert_int_equal(world.connections, 1);
	assert_true(str_eq(buf_str(&ask_wait(&rig, &(struct ask){ .path = "/last" })->body), STR("last")));
	assert_int_equal(ask_wait(&rig, &(struct ask){ .path = "/again" })->head.status, 200);
	assert_int_equal(keeper.secrets, 1);
	rig_stop(&rig);
}

static void a_denial_names_the_rule(void **state)
{
	(void)state;
	struct reply *p = ask_wait(&rig, &(struct ask){ .path = "/admin/users" });

	assert_int_equal(p->head.status, 403);
	buf_put_byte(&p->body, 0);
	assert_non_null(strstr(p->body.p, "\"type\":\"permission_error\""));
	assert_non_null(strstr(p->body.p, "\"rule\":\"no-admin\""));
	assert_non_null(strstr(p->body.p, "\"line\":10"));
	assert_non_null(strstr(p->body.p, "/w/paddock.yaml"));
	p = ask_wait(&rig, &(struct ask){ .method = "DELETE" });
	assert_int_equal(p->head.status, 403);
	p = ask_wait(&rig, &(struct ask){ .host = "unlisted.test" });
	assert_int_equal(p->head.status, 403);
	assert_int_equal(trail(&rig, "\"kind\":\"denial\"", "POLICY_DENIED", "/usr/bin/agent"), 3);
	assert_int_equal(trail(&rig, "\"kind\":\"intent\"", NULL, NULL), 0);
	assert_int_equal(world.connections, 0);
	rig_stop(&rig);
}

static void a_private_address_is_refused_unless_named(void **state)
{
	(void)state;
	struct reply *p = ask_wait(&rig, &(struct ask){ .host = "localhost", .port = world.port });

	assert_int_equal(p->head.status, 403);
	assert_int_equal(trail(&rig, "\"kind\":\"outcome\"", "ADDRESS_REFUSED", NULL), 1);
	p = ask_wait(&rig, &(struct ask){ .host = "127.0.0.1", .port = world.port });
	assert_int_equal(p->head.status, 403);
	assert_int_equal(trail(&rig, "\"kind\":\"outcome\"", "ADDRESS_REFUSED", NULL), 2);
	assert_int_equal(world.connections, 0);
	rig_stop(&rig);
}

static void a_wrong_certificate_is_refused(void **state)
{
	(void)state;
	struct reply *p = ask_wait(&rig, &(struct ask){ .host = "wrong.test" });

	assert_int_equal(p->head.status, 502);
	assert_int_equal(world.requests, 0);
	assert_int_equal(trail(&rig, "\"kind\":\"outcome\"", "UPSTREAM_TLS", NULL), 1);
	rig_stop(&rig);
}

static void a_reflected_secret_is_cut_off(void **state)
{
	(void)state;
	static const char *const paths[] = { "/reflect-body", "/reflect-split", "/reflect-base64" };

	for (size_t i = 0; i < sizeof paths / sizeof *paths; i++) {
		struct reply *p = ask_wait(&rig, &(struct ask){ .path = paths[i], .name = "x-api-key",
								.value = PLACEHOLDER });

		assert_true(p->reset || p->head.status == 502);
		buf_put_byte(&p->body, 0);
		assert_null(strstr(p->body.p, "sk-test"));
		assert_null(strstr(p->body.p, "c2stdGVzd"));
	}
	struct reply *p = ask_wait(&rig, &(struct ask){ .path = "/reflect-header" });

	assert_int_equal(p->head.status, 502);
	assert_int_equal(trail(&rig, "\"kind\":\"outcome\"", "SECRET_REFLECTED", NULL), 4);
	rig_stop(&rig);
}

/* By default after three answers that held it; what is under way with it ends too. */
static void a_secret_that_comes_back_often_is_detached(void **state)
{
	(void)state;
	char policy[sizeof usual_policy];
	char *key = strstr(memcpy(policy, usual_policy, sizeof policy), "    detach_after: 0\n");

	memmove(key, key + 20, strlen(key + 20) + 1);
	rig_free(&rig);
	memset(&rig, 0, sizeof rig);
	rig_start(&rig, policy, 0);
	rig_hello(&rig);
	uint32_t running =
		ask(&rig, &(struct ask){ .path = "/hang", .name = "x-api-key", .value = PLACEHOLDER });

	rig_arrived(&rig, 1);
	for (int i = 0; i < 3; i++)
		assert_int_equal(ask_wait(&rig, &(struct ask){ .path = "/reflect-header" })->head.status,
				502);
	struct reply *p = ask_wait(&rig, &(struct ask){ .path = "/first" });

	assert_int_equal(p->head.status, 503);
	assert_int_equal(rig_wait(&rig, running)->head.status, 503);
	assert_int_equal(world.requests, 4);
	assert_int_equal(trail(&rig, "\"kind\":\"outcome\"", "SECRET_REFLECTED", "\"secret_of\":\"api\""), 3);
	assert_int_equal(trail(&rig, "\"kind\":\"limit\"", "credential api is detached", NULL), 1);
	assert_int_equal(ask_wait(&rig, &(struct ask){ .host = "other.test" })->head.status, 200);
	rig_stop(&rig);
}

/* Also from a host that was never given the secret by us, once there is one to look for. */
static void a_secret_is_searched_for_in_every_answer(void **state)
{
	(void)state;
	assert_int_equal(ask_wait(&rig, &(struct ask){ .path = "/first" })->head.status, 200);
	struct reply *p = ask_wait(&rig, &(struct ask){ .host = "other.test", .path = "/reflect-header" });

	assert_int_equal(p->head.status, 502);
	rig_stop(&rig);
}

static void an_encoded_answer_that_does_not_decode_is_refused(void **state)
{
	(void)state;
	struct reply *p = ask_wait(&rig, &(struct ask){ .path = "/gzip", .name = "accept-encoding",
							.value = "gzip, br" });

	assert_int_equal(p->head.status, 502);
	assert_null(strstr(world.log, "gzip, br"));
	assert_int_equal(trail(&rig, "\"kind\":\"outcome\"", "CANNOT_SCRUB", NULL), 1);
	/* where none went too: what is known is searched for in every answer */
	p = ask_wait(&rig, &(struct ask){ .host = "other.test", .path = "/gzip" });
	assert_int_equal(p->head.status, 502);
	rig_stop(&rig);
}

static void a_placeholder_on_its_way_elsewhere_is_blocked(void **state)
{
	(void)state;
	struct reply *p = ask_wait(&rig, &(struct ask){ .host = "other.test", .name = "authorization",
							.value = "Bearer " PLACEHOLDER });

	assert_int_equal(p->head.status, 403);
	p = ask_wait(&rig, &(struct ask){ .host = "other.test", .path = "/" PLACEHOLDER });
	assert_int_equal(p->head.status, 403);
	assert_int_equal(world.connections, 0);
	p = ask_wait(&rig, &(struct ask){ .host = "other.test", .method = "POST",
					  .framing = HEAD_BODY_STREAMED, .body = "k=" PLACEHOLDER });
	assert_int_equal(p->head.status, 403);
	assert_int_equal(trail(&rig, "PLACEHOLDER_BLOCKED", "\"placeholder_of\":\"api\"", NULL), 3);
	assert_null(strstr(world.log, PLACEHOLDER));
	rig_stop(&rig);
}

/* Cut across frames: the part that came first must not have left. */
static void a_placeholder_across_frames_does_not_leave_in_part(void **state)
{
	(void)state;
	uint32_t s = ask(&rig, &(struct ask){ .host = "other.test", .method = "POST", .unfinished = true,
					      .framing = HEAD_BODY_STREAMED, .body = "pk-placeholder-AAAA" });

	for (int i = 0; i < 20; i++)
		rig_turn(&rig, 20);
	assert_int_equal(link_data(rig.link, s, 0, STR("AAAAAAAAAAAA")), ERR_OK);
	assert_int_equal(rig_wait(&rig, s)->head.status, 403);
	assert_int_equal(world.body_bytes, 0);
	assert_int_equal(trail(&rig, "\"kind\":\"outcome\"", "PLACEHOLDER_BLOCKED", NULL), 1);
	rig_stop(&rig);
}

static uint64_t resident_kib(pid_t pid)
{
	char path[64], line[256];
	uint64_t kib = 0;

	snprintf(path, sizeof path, "/proc/%d/statm", (int)pid);
	FILE *f = fopen(path, "re");

	assert_non_null(f);
	if (fgets(line, sizeof line, f)) {
		char *resident = strchr(line, ' ') + 1;

		*strchr(resident, ' ') = '\0';
		assert_true(str_decimal(str_of(resident), 1u << 30, &kib));
	}
	fclose(f);
	return kib * 4;
}

static void a_slow_reader_is_waited_for(void **state)
{
	(void)state;
	uint64_t before = resident_kib(rig.courier);

	rig.slow = true;
	uint32_t s = ask(&rig, &(struct ask){ .path = "/big" });

	for (int i = 0; i < 60; i++)
		rig_turn(&rig, 20);
	struct reply *p = rig_reply(&rig, s);

	assert_true(p->body_bytes > 0 && p->body_bytes <= LINK_WINDOW_BYTES);
	assert_true(resident_kib(rig.courier) < before + 4096);
	rig.slow = false;
	link_consumed(rig.link, s, p->body_bytes + p->head_bytes.len);
	p = rig_wait(&rig, s);
	assert_true(p->ended);
	assert_int_equal(p->body_bytes, BIG_BYTES);
	rig_stop(&rig);
}

static void ten_megabytes_go_up(void **state)
{
	(void)state;
	static char block[65536];
	uint32_t s = ask(&rig, &(struct ask){ .method = "PUT", .path = "/up", .unfinished = true,
					      .framing = HEAD_BODY_LENGTH, .length = BIG_BYTES });
	uint64_t sent = 0, until = clock_ms() + 10000;

	while (sent < BIG_BYTES && clock_ms() < until) {
		size_t room = link_sendable(rig.link, s);

		if (room > sizeof block)
			room = sizeof block;
		if (room > BIG_BYTES - sent)
			room = BIG_BYTES - sent;
		if (room) {
			assert_int_equal(link_data(rig.link, s, 0, str_make(block, room)), ERR_OK);
			sent += room;
		}
		rig_turn(&rig, 50);
	}
	link_end(rig.link, s);
	struct reply *p = rig_wait(&rig, s);

	assert_true(str_eq(buf_str(&p->body), STR("hello 10485760 identity")));
	rig_stop(&rig);
}

static void events_come_one_by_one(void **state)
{
	(void)state;
	struct reply *p = ask_wait(&rig, &(struct ask){ .path = "/events" });

	assert_true(p->ended);
	assert_int_equal(p->data_frames, 3);
	assert_null(head_find(&p->head, STR("alt-svc")));
	rig_stop(&rig);
}

static void what_the_upstream_breaks_is_named(void **state)
{
	(void)state;
	struct reply *p = ask_wait(&rig, &(struct ask){ .path = "/cut" });

	assert_true(p->reset);
	assert_int_equal(p->reason, ERR_UPSTREAM_CLOSED);
	p = ask_wait(&rig, &(struct ask){ .path = "/bad" });
	assert_int_equal(p->head.status, 502);
	assert_int_equal(trail(&rig, "\"kind\":\"outcome\"", "UPSTREAM_MALFORMED", NULL), 1);
	assert_int_equal(trail(&rig, "\"kind\":\"outcome\"", "UPSTREAM_CLOSED", "\"cut_off\":true"), 1);
	rig_stop(&rig);
}

static void a_reset_has_an_outcome(void **state)
{
	(void)state;
	uint32_t s = ask(&rig, &(struct ask){ .path = "/hang" });

	rig_arrived(&rig, 1);
	link_reset(rig.link, s, ERR_CANCELLED);
	rig_until(&rig, "\"kind\":\"outcome\"", "CANCELLED", NULL);
	ask(&rig, &(struct ask){ .path = "/second" });
	rig_arrived(&rig, 2);
	rig_stop(&rig);	/* which also ends what runs, on record */
}

static void a_body_over_its_limit_is_refused(void **state)
{
	(void)state;
	struct reply *p = ask_wait(&rig,
				   &(struct ask){ .method = "POST", .path = "/small", .unfinished = true,
							.framing = HEAD_BODY_LENGTH, .length = 2000 });

	assert_int_equal(p->head.status, 413);
	assert_int_equal(world.connections, 0);
	rig_stop(&rig);
}

static void without_a_secret_nothing_leaves(void **state)
{
	(void)state;
	keeper.fails = true;
	struct reply *p = ask_wait(&rig, &(struct ask){ .path = "/first" });

	assert_int_equal(p->head.status, 503);
	assert_int_equal(world.connections, 0);
	assert_int_equal(trail(&rig, "\"kind\":\"outcome\"", "\"result\":\"CREDENTIAL\"", NULL), 1);
	keeper.fails = false;
	rig_stop(&rig);
}

static void names_and_leaves_are_for_listed_hosts(void **state)
{
	(void)state;
	struct msg_connect m = { .host = STR_INIT("api.test"), .query_type = 1 };
	struct msg_status status;
	char point[65] = { 4 };
	struct reply *p = rig_wait(&rig, ask_open(&rig, LINK_KIND_NAME, &m));

	assert_int_equal(msg_get_status(buf_str(&p->head_bytes), &status), ERR_OK);
	assert_true(status.has_verdict && status.verdict);
	m.host = STR("evil.test");
	p = rig_wait(&rig, ask_open(&rig, LINK_KIND_NAME, &m));
	assert_int_equal(msg_get_status(buf_str(&p->head_bytes), &status), ERR_OK);
	assert_true(status.has_verdict && !status.verdict);
	assert_int_equal(trail(&rig, "\"kind\":\"dns\"", "evil.test", "\"verdict\":\"no\""), 1);
	m = (struct msg_connect){ .host = STR_INIT("evil.test"), .public_key = { point, sizeof point } };
	p = rig_wait(&rig, ask_open(&rig, LINK_KIND_LEAF, &m));
	assert_true(p->reset);
	assert_int_equal(keeper.leaves, 0);
	m.host = STR("api.test");
	for (int i = 0; i < 2; i++) {
		p = rig_wait(&rig, ask_open(&rig, LINK_KIND_LEAF, &m));
		assert_int_equal(msg_get_status(buf_str(&p->head_bytes), &status), ERR_OK);
		assert_true(str_eq(status.certificate, STR("leaf of api.test")));
	}
	assert_int_equal(keeper.leaves, 1);
	rig_stop(&rig);
}

static void control_tell(const char *text)
{
	assert_int_equal(send(rig.control, text, strlen(text), MSG_NOSIGNAL), (ssize_t)strlen(text));
}

static void control_says(const char *part)
{
	char text[2048] = "";

	assert_true(recv(rig.control, text, sizeof text - 1, 0) > 0);
	if (!strstr(text, part))
		fail_msg("%s", text);
}

static void a_reload_replaces_the_policy_or_leaves_it(void **state)
{
	(void)state;
	control_tell("{\"op\":\"reload\",\"policy\":\"version: 2\"}");
	control_says("reload-refused");
	assert_int_equal(ask_wait(&rig, &(struct ask){ .path = "/first" })->head.status, 200);
	control_tell("{\"op\":\"reload\",\"policy\":\"version: 1\\nnetwork:\\n"
		     "  - {hosts: [other.test], methods: [GET]}\\n\"}");
	control_says("\"reloaded\"");
	assert_int_equal(ask_wait(&rig, &(struct ask){ .path = "/first" })->head.status, 403);
	assert_int_equal(ask_wait(&rig, &(struct ask){ .host = "other.test" })->head.status, 200);
	assert_int_equal(ask_wait(&rig, &(struct ask){ .host = "other.test", .name = "x-api-key",
						       .value = PLACEHOLDER })->head.status, 403);
	assert_int_equal(trail(&rig, "\"kind\":\"reload\"", NULL, NULL), 2);
	rig_stop(&rig);
}

static void control_tell_with(const char *text, struct str file)
{
	int fd = memfd_create("policy", MFD_CLOEXEC);

	assert_true(fd >= 0 && write(fd, file.p, file.n) == (ssize_t)file.n && lseek(fd, 0, SEEK_SET) == 0);
	assert_int_equal(fd_send(rig.control, str_of(text), fd), ERR_OK);
	close(fd);
}

static void a_policy_of_any_length_can_be_reloaded(void **state)
{
	(void)state;
	auto_buf text = BUF_EMPTY;

	buf_init(&text, 4u << 20);
	buf_put_z(&text, "version: 1\nnetwork:\n");
	for (int i = 0; i < 40000; i++)
		buf_printf(&text, "  - {hosts: [h%d.test], methods: [GET], paths: [\"/a/**\"]}\n", i);
	buf_put_z(&text, "  - {hosts: [other.test], methods: [GET]}\n");
	assert_true(text.len > 2000000 && buf_err(&text) == ERR_OK);
	control_tell_with("{\"op\":\"reload\"}", buf_str(&text));
	control_says("\"reloaded\"");
	assert_int_equal(ask_wait(&rig, &(struct ask){ .path = "/first" })->head.status, 403);
	assert_int_equal(ask_wait(&rig, &(struct ask){ .host = "other.test" })->head.status, 200);
	control_tell_with("{\"op\":\"reload\"}", STR("version: 2"));
	control_says("reload-refused");
	assert_int_equal(ask_wait(&rig, &(struct ask){ .host = "other.test" })->head.status, 200);
	rig_stop(&rig);
}

/* Where a secret comes from is the keeper's business, who was told at the start. */
static void a_reload_cannot_change_where_a_secret_comes_from(void **state)
{
	(void)state;
	control_tell("{\"op\":\"reload\",\"policy\":\"version: 1\\ncredentials:\\n  api:\\n"
		     "    source: {file: /etc/passwd}\\n    hosts: [api.test]\\n    strategy: header\\n"
		     "    header: {name: x-api-key, format: \\\"{secret}\\\"}\\nnetwork:\\n"
		     "  - {hosts: [api.test], methods: [GET], credential: api}\\n\"}");
	control_says("its source is new or has changed");
	assert_int_equal(ask_wait(&rig, &(struct ask){ .path = "/first" })->head.status, 200);
	rig_stop(&rig);
}

static void limits_hold_and_are_recorded_once(void **state)
{
	(void)state;
	struct reply *p;

	control_tell("{\"op\":\"reload\",\"policy\":\"version: 1\\nlimits: {requests: 3}\\nnetwork:\\n"
		     "  - {hosts: [other.test], methods: [GET]}\\n\"}");
	control_says("\"reloaded\"");
	for (int i = 0; i < 3; i++)
		assert_int_equal(ask_wait(&rig, &(struct ask){ .host = "other.test" })->head.status, 200);
	for (int i = 0; i < 5; i++) {
		p = ask_wait(&rig, &(struct ask){ .host = "other.test" });
		assert_int_equal(p->head.status, 429);
		assert_true(str_eq(head_find(&p->head, STR("x-should-retry"))->value, STR("false")));
	}
	assert_int_equal(world.requests, 3);
	assert_int_equal(trail(&rig, "\"kind\":\"limit\"", "limits.requests", NULL), 1);
	rig_stop(&rig);
	assert_int_equal(trail(&rig, "\"kind\":\"stop\"", "\"limited\":5", NULL), 1);
}

/* What is only observed gets no credential: the placeholder arrives as it was sent. */
static void observe_attaches_no_credential(void **state)
{
	(void)state;
	control_tell("{\"op\":\"reload\",\"policy\":\"version: 1\\nnetwork:\\n"
		     "  - {hosts: [other.test], methods: [GET], verdict: observe}\\n\"}");
	control_says("\"reloaded\"");
	assert_int_equal(ask_wait(&rig, &(struct ask){ .host = "other.test", .path = "/seen" })->head.status,
			200);
	assert_int_equal(keeper.secrets, 0);
	assert_int_equal(trail(&rig, "\"kind\":\"intent\"", "\"verdict\":\"observe\"", NULL), 1);
	rig_stop(&rig);
}

static void an_answer_to_head_has_no_body(void **state)
{
	(void)state;
	struct reply *p = ask_wait(&rig, &(struct ask){ .method = "HEAD", .path = "/admin/x" });

	assert_int_equal(p->head.status, 403);
	assert_int_equal(p->body_bytes, 0);
	rig_stop(&rig);
}

/* The supervisor's end is the courier's. */
static void without_a_supervisor_it_stops(void **state)
{
	(void)state;
	int status = -1;

	shutdown(rig.control, SHUT_RDWR);
	assert_int_equal(waitpid(rig.courier, &status, 0), rig.courier);
	assert_true(WIFEXITED(status));
	assert_int_equal(trail(&rig, "\"kind\":\"stop\"", "supervisor has gone", NULL), 1);
}

/* I3: when the trail can take no more, requests are refused, and none arrived without its intent. */
static void a_full_trail_closes_the_gate(void **state)
{
	(void)state;
	unsigned refused = 0, allowed = 0;

	rig_free(&rig);
	memset(&rig, 0, sizeof rig);
	rig_start(&rig, usual_policy, 200 * 1024);
	rig_hello(&rig);
	for (int i = 0; i < 600 && refused < 5; i++) {
		struct reply *p = ask_wait(&rig, &(struct ask){ .host = "other.test", .path = "/fill" });

		assert_true(p->has_head);
		allowed += p->head.status == 200;
		refused += p->head.status == 503;
	}
	assert_true(allowed > 0);
	assert_int_equal(refused, 5);
	assert_int_equal(world.requests, allowed);
	assert_int_equal(world.unrecorded, 0);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		T(an_allowed_request_carries_the_secret_and_leaves_a_record_first),
		T(a_kept_connection_is_used_again_and_a_dead_one_is_replaced),
		T(a_denial_names_the_rule),
		T(a_private_address_is_refused_unless_named),
		T(a_wrong_certificate_is_refused),
		T(a_reflected_secret_is_cut_off),
		T(a_secret_that_comes_back_often_is_detached),
		T(a_secret_is_searched_for_in_every_answer),
		T(an_encoded_answer_that_does_not_decode_is_refused),
		T(a_placeholder_on_its_way_elsewhere_is_blocked),
		T(a_placeholder_across_frames_does_not_leave_in_part),
		T(a_slow_reader_is_waited_for),
		T(ten_megabytes_go_up),
		T(events_come_one_by_one),
		T(what_the_upstream_breaks_is_named),
		T(a_reset_has_an_outcome),
		T(a_body_over_its_limit_is_refused),
		T(without_a_secret_nothing_leaves),
		T(names_and_leaves_are_for_listed_hosts),
		T(a_reload_replaces_the_policy_or_leaves_it),
		T(a_policy_of_any_length_can_be_reloaded),
		T(a_reload_cannot_change_where_a_secret_comes_from),
		T(limits_hold_and_are_recorded_once),
		T(observe_attaches_no_credential),
		T(an_answer_to_head_has_no_body),
		T(without_a_supervisor_it_stops),
		T(a_full_trail_closes_the_gate),
	};

	world_start();
	return world_end(cmocka_run_group_tests(tests, NULL, NULL));
}
