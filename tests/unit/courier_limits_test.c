/* courier_limits_test.c - limits of bytes: of a rule's bodies, both ways, and of the sandbox as a whole; and
 * what else a policy says of all that passes */
#include "../path/courier_world.h"

#define PIECE 1000
#define PIECES 4

static struct rig rig;
static bool by_length;		/* the answer says how long it will be */

static const char policy[] =
	"version: 1\n"
	"limits: {bytes: 16KiB}\n"
	"network:\n"
	"  - {name: small, hosts: [api.test], methods: [POST], request_body_max: 1KiB}\n"
	"  - {name: short, hosts: [api.test], methods: [GET], paths: [/short/*], response_body_max: 2KiB}\n"
	"  - {name: any, hosts: [api.test, other.test], methods: [GET, PUT]}\n";

/* PIECES pieces, one after the other. */
static bool answer_in_pieces(SSL *s, const char *path)
{
	char piece[PIECE + 1];

	if (!strstr(path, "/pieces"))
		return false;
	memset(piece, 'a', PIECE);
	piece[PIECE] = '\0';
	world_say(s, by_length ? "HTTP/1.1 200 OK\r\ncontent-length: 4000\r\n\r\n"
			       : "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n");
	for (int i = 0; i < PIECES; i++) {
		world_say(s, by_length ? "" : "3e8\r\n");
		world_say(s, piece);
		world_say(s, by_length ? "" : "\r\n");
		usleep(20000);
	}
	world_say(s, by_length ? "" : "0\r\n\r\n");
	return true;
}

static int setup(void **state)
{
	(void)state;
	memset(&rig, 0, sizeof rig);
	world.log_bytes = 0;
	world.requests = world.connections = world.unrecorded = 0;
	world.body_bytes = 0;
	world.answer = answer_in_pieces;
	by_length = false;
	rig_start(&rig, policy, 0);
	rig_hello(&rig);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	rig_free(&rig);
	return 0;
}

static void put_bytes(uint32_t s, size_t n)
{
	static const char block[8192];

	assert_true(n <= sizeof block && n <= link_sendable(rig.link, s));
	assert_int_equal(link_data(rig.link, s, 0, str_make(block, n)), ERR_OK);
}

/* A body whose length is not known beforehand is counted as it comes. */
static void a_streamed_request_ends_at_its_limit(void **state)
{
	(void)state;
	uint32_t s = ask(&rig, &(struct ask){ .method = "POST", .path = "/up", .framing = HEAD_BODY_STREAMED,
					      .unfinished = true });

	put_bytes(s, 1024);	/* as much as it may have */
	rig_arrived(&rig, 1);
	put_bytes(s, 1);
	struct reply *p = rig_wait(&rig, s);

	assert_int_equal(p->head.status, 413);
	rig_until(&rig, "\"kind\":\"outcome\"", "BODY_TOO_LARGE", NULL);
	assert_true(__atomic_load_n(&world.body_bytes, __ATOMIC_SEQ_CST) <=
		    1024 + 32); /* with its chunks' sizes */
	s = ask(&rig, &(struct ask){ .method = "POST", .path = "/up", .framing = HEAD_BODY_STREAMED,
				     .unfinished = true });
	put_bytes(s, 1024);
	link_end(rig.link, s);
	assert_int_equal(rig_wait(&rig, s)->head.status, 200);
	rig_stop(&rig);
}

static void an_answer_is_cut_off_at_its_limit(void **state)
{
	(void)state;
	struct reply *p = ask_wait(&rig, &(struct ask){ .path = "/short/pieces" });

	assert_true(p->has_head && p->reset);
	assert_int_equal(p->reason, ERR_BODY_TOO_LARGE);
	assert_true(p->body_bytes >= PIECE && p->body_bytes <= 2048);
	assert_int_equal(trail(&rig, "\"kind\":\"outcome\"", "BODY_TOO_LARGE", "\"cut_off\":true"), 1);
	by_length = true;	/* known before anything of it passes */
	p = ask_wait(&rig, &(struct ask){ .path = "/short/pieces" });
	assert_int_equal(p->head.status, 413);
	assert_int_equal(trail(&rig, "\"kind\":\"outcome\"", "BODY_TOO_LARGE", "by its length"), 1);
	assert_int_equal(ask_wait(&rig, &(struct ask){ .path = "/short/other" })->head.status, 200);
	p = ask_wait(&rig, &(struct ask){ .path = "/pieces" });	/* another rule's */
	assert_true(p->ended);
	assert_int_equal(p->body_bytes, PIECE * PIECES);
	rig_stop(&rig);
}

/* Both directions of all exchanges together, and nothing more once it is reached. */
static void the_sandboxs_bytes_are_counted_over_all(void **state)
{
	(void)state;
	for (int i = 0; i < 2; i++)
		assert_true(ask_wait(&rig, &(struct ask){ .path = "/pieces" })->ended);
	uint32_t s = ask(&rig, &(struct ask){ .method = "PUT", .path = "/up", .framing = HEAD_BODY_LENGTH,
					      .length = 6000, .unfinished = true });

	put_bytes(s, 6000);	/* 14,000 and the answer's few */
	assert_int_equal(rig_wait(&rig, s)->head.status, 200);
	struct reply *p = ask_wait(&rig, &(struct ask){ .host = "other.test", .path = "/pieces" });

	assert_true(p->has_head && p->reset);
	assert_int_equal(p->reason, ERR_LIMIT);
	assert_true(p->body_bytes <= 16384 - 14000);
	const unsigned before = world.requests;

	for (int i = 0; i < 3; i++) {
		p = ask_wait(&rig, &(struct ask){ .path = "/anything" });
		assert_int_equal(p->head.status, 429);
		buf_put_byte(&p->body, 0);
		assert_non_null(strstr(p->body.p, "limits.bytes"));
	}
	assert_int_equal(world.requests, before);
	assert_int_equal(trail(&rig, "\"kind\":\"limit\"", "limits.bytes", NULL), 1);
	rig_stop(&rig);
}

static void an_upload_ends_at_the_sandboxs_bytes(void **state)
{
	(void)state;
	uint32_t s = ask(&rig, &(struct ask){ .method = "PUT", .path = "/up", .framing = HEAD_BODY_LENGTH,
					      .length = 20000, .unfinished = true });

	put_bytes(s, 8192);
	rig_arrived(&rig, 1);
	put_bytes(s, 8192);
	rig_turn(&rig, 20);
	assert_false(rig_reply(&rig, s)->has_head);	/* 16 KiB: all that there are */
	put_bytes(s, 1);
	assert_int_equal(rig_wait(&rig, s)->head.status, 429);
	rig_until(&rig, "\"kind\":\"outcome\"", "\"result\":\"LIMIT\"", NULL);
	assert_true(__atomic_load_n(&world.body_bytes, __ATOMIC_SEQ_CST) <= 16384);
	assert_int_equal(trail(&rig, "\"kind\":\"limit\"", "limits.bytes", NULL), 1);
	rig_stop(&rig);
}

/* The confined process brings records to disk where the policy says so, from then on. */
static void a_durable_trail_is_a_matter_of_the_policy(void **state)
{
	(void)state;
	assert_int_equal(trail(&rig, "\"kind\":\"start\"", "\"durable\":false", NULL), 1);
	rig_free(&rig);
	memset(&rig, 0, sizeof rig);
	rig_start(&rig, "version: 1\nnetwork:\n  - {hosts: [other.test], methods: [GET]}\naudit: {durable: true}\n", 0);
	rig_hello(&rig);
	assert_int_equal(trail(&rig, "\"kind\":\"start\"", "\"durable\":true", NULL), 1);
	assert_int_equal(ask_wait(&rig, &(struct ask){ .host = "other.test" })->head.status, 200);
	rig_reload(&rig, "version: 1");
	assert_int_equal(trail(&rig, "\"kind\":\"reload\"", "\"durable\":false", NULL), 1);
	rig_reload(&rig, "version: 1\naudit: {durable: true}");
	assert_int_equal(trail(&rig, "\"kind\":\"reload\"", "\"durable\":true", NULL), 1);
	rig_stop(&rig);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		T(a_streamed_request_ends_at_its_limit),
		T(an_answer_is_cut_off_at_its_limit),
		T(the_sandboxs_bytes_are_counted_over_all),
		T(an_upload_ends_at_the_sandboxs_bytes),
		T(a_durable_trail_is_a_matter_of_the_policy),
	};

	world_start();
	return world_end(cmocka_run_group_tests(tests, NULL, NULL));
}
