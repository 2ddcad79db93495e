/* courier_rogue_test.c - an inspector that was taken over (I2): it sends what it likes on the link.
 * No request passes the policy, no secret is learned, the courier lives on.
 */
#include "../path/courier_world.h"

#include "courier/questions.h"

static struct rig rig;

static int setup(void **state)
{
	(void)state;
	memset(&rig, 0, sizeof rig);
	world.log_bytes = 0;
	world.requests = world.connections = world.unrecorded = 0;
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

/* Nothing reached the world; an honest request still does; the trail verifies. */
static void nothing_passed(void)
{
	assert_int_equal(world.connections, 0);
	assert_int_equal(ask_wait(&rig, &(struct ask){ .path = "/honest" })->head.status, 200);
	assert_int_equal(world.requests, 1);
	rig_stop(&rig);
}

static const struct msg_connect usual_open = { .host = STR_INIT("api.test"), .port = 443,
					       .scheme = HEAD_HTTPS };

static void put_field(struct buf *b, const char *name, const char *value)
{
	buf_put_u16le(b, (uint16_t)strlen(name));
	buf_put_u16le(b, (uint16_t)strlen(value));
	buf_put_z(b, name);
	buf_put_z(b, value);
}

struct raw {
	const char *method, *host, *path, *field, *value;
	uint16_t port;
	uint8_t version, kind, scheme, framing, extra;
};

/* The encoded form, by hand: head_encode() would refuse most of these. */
static void raw_head(struct buf *b, const struct raw *r)
{
	const char *host = r->host ? r->host : "api.test", *method = r->method ? r->method : "GET";
	const char *path = r->path ? r->path : "/";

	buf_put_byte(b, r->version ? r->version : 1);
	buf_put_byte(b, r->kind ? r->kind : HEAD_REQUEST);
	buf_put_byte(b, r->scheme ? r->scheme : HEAD_HTTPS);
	buf_put_byte(b, r->framing);
	buf_put_u16le(b, r->port ? r->port : 443);
	buf_put_u16le(b, 0);
	buf_put_u64le(b, 0);
	buf_put_u16le(b, 0);
	buf_put_u16le(b, (uint16_t)strlen(method));
	buf_put_u16le(b, (uint16_t)strlen(host));
	buf_put_u16le(b, (uint16_t)strlen(path));
	buf_put_u16le(b, 0);
	buf_put_u16le(b, (uint16_t)(r->field ? 2 : 1));
	buf_put_z(b, method);
	buf_put_z(b, host);
	buf_put_z(b, path);
	put_field(b, "host", host);
	if (r->field)
		put_field(b, r->field, r->value);
	if (r->extra)
		buf_put_byte(b, r->extra);
}

static struct reply *send_raw(const struct msg_connect *open, struct str head)
{
	uint32_t s = ask_open(&rig, LINK_KIND_EXCHANGE, open);

	assert_int_equal(link_head(rig.link, s, head), ERR_OK);
	link_end(rig.link, s);
	return rig_wait(&rig, s);
}

static void refused(const struct reply *p)
{
	assert_false(rig.broken);
	assert_true(p->reset || (p->ended && p->head.status >= 400 && p->head.status < 600));
}

static void heads_that_are_not_canonical_are_refused(void **state)
{
	(void)state;
	static const struct raw raws[] = {
		{ .path = "/a/../admin/x" }, { .path = "/a/%2e%2e/admin" }, { .path = "/./admin/x" },
		{ .path = "/a%00b" }, { .path = "/a%2fb%2f" }, { .path = "/a b" }, { .path = "/a\r\nx: y" },
		{ .path = "a" }, { .path = "*" }, { .path = "http://evil.test/" }, { .path = "/a?b" },
		{ .path = "/a#b" }, { .path = "/%" }, { .path = "/%4" }, { .path = "/\\..\\admin" },
		{ .method = "GET /x" }, { .method = "CONNECT" }, { .method = "G\r\nT" }, { .method = "" },
		{ .host = "API.test" }, { .host = "api.test." }, { .host = "api.test:443" },
		{ .host = "api.test/" }, { .host = "user@api.test" }, { .host = "0x7f.1" },
		{ .host = "127.1" }, { .host = "[::1]" }, { .host = "api..test" }, { .host = "" },
		{ .field = "transfer-encoding", .value = "chunked" },
		{ .field = "content-length", .value = "5" },
		{ .field = "connection", .value = "close" }, { .field = "upgrade", .value = "websocket" },
		{ .field = "host", .value = "evil.test" }, { .field = "X-Upper", .value = "a" },
		{ .field = "x", .value = "a\r\nhost: evil.test" }, { .field = "x", .value = " a" },
		{ .field = "", .value = "a" }, { .field = "x y", .value = "a" },
		{ .version = 2 }, { .kind = HEAD_RESPONSE }, { .kind = HEAD_TRAILERS }, { .kind = 9 },
		{ .scheme = 3 }, { .framing = 3 }, { .extra = 1 },
	};

	for (size_t i = 0; i < sizeof raws / sizeof *raws; i++) {
		struct msg_connect open = usual_open;
		auto_buf head = BUF_EMPTY;

		buf_init(&head, HEAD_MAX_BYTES);
		raw_head(&head, &raws[i]);
		if (raws[i].host && raws[i].host[0])
			open.host = str_of(raws[i].host);
		refused(send_raw(&open, buf_str(&head)));
	}
	nothing_passed();
}

static void heads_of_noise_are_refused(void **state)
{
	(void)state;
	const struct msg_connect open = { .host = STR_INIT("unlisted.test"), .port = 443,
					  .scheme = HEAD_HTTPS };
	uint32_t seed = 1;
	auto_buf good = BUF_EMPTY;

	buf_init(&good, HEAD_MAX_BYTES);
	raw_head(&good, &(struct raw){ .host = "unlisted.test", .field = "x", .value = "y" });
	for (int i = 0; i < 400; i++) {
		char noise[512];
		size_t n = good.len;

		memcpy(noise, good.p, n);
		for (int j = 0; j <= i % 3; j++) {
			seed = seed * 1664525 + 1013904223;
			noise[(seed >> 8) % n] = (char)(seed >> 24);
		}
		if (i % 5 == 0)
			n = (seed >> 4) % n + 1;
		refused(send_raw(&open, str_make(noise, n)));
	}
	nothing_passed();
}

static void what_open_and_head_say_must_agree(void **state)
{
	(void)state;
	refused(ask_wait(&rig, &(struct ask){ .open_host = "other.test" }));
	refused(ask_wait(&rig, &(struct ask){ .open_host = "evil.test" }));
	struct msg_connect open = usual_open;
	auto_buf head = BUF_EMPTY;

	buf_init(&head, HEAD_MAX_BYTES);
	raw_head(&head, &(struct raw){ .path = "/" });
	open.port = 8443;
	refused(send_raw(&open, buf_str(&head)));
	open = usual_open;
	open.scheme = HEAD_HTTP;
	refused(send_raw(&open, buf_str(&head)));
	assert_int_equal(trail(&rig, "\"kind\":\"denial\"", "NAME_MISMATCH", NULL), 4);
	nothing_passed();
}

static void frames_out_of_order_end_their_stream_alone(void **state)
{
	(void)state;
	auto_buf head = BUF_EMPTY;
	uint32_t s;

	buf_init(&head, HEAD_MAX_BYTES);
	raw_head(&head, &(struct raw){ .path = "/admin/x" });
	s = ask_open(&rig, LINK_KIND_EXCHANGE, &usual_open);
	assert_int_equal(link_data(rig.link, s, 0, STR("body first")), ERR_OK);
	refused(rig_wait(&rig, s));
	s = ask_open(&rig, LINK_KIND_EXCHANGE, &usual_open);
	link_end(rig.link, s);
	refused(rig_wait(&rig, s));
	s = ask_open(&rig, LINK_KIND_EXCHANGE, &usual_open);
	assert_int_equal(link_head(rig.link, s, buf_str(&head)), ERR_OK);
	assert_int_equal(link_head(rig.link, s, buf_str(&head)), ERR_OK);
	assert_int_equal(link_data(rig.link, s, 0, STR("more")), ERR_OK);
	refused(rig_wait(&rig, s));
	s = ask_open(&rig, LINK_KIND_TCP, &usual_open);
	refused(rig_wait(&rig, s));
	s = ask_open(&rig, LINK_KIND_FUSE, &usual_open);
	refused(rig_wait(&rig, s));
	assert_int_equal(link_open(rig.link, LINK_KIND_EXCHANGE, STR("\xff\xff\xff"), &s), ERR_OK);
	refused(rig_wait(&rig, s));
	assert_int_equal(link_open(rig.link, LINK_KIND_LEAF, STR("\x07\0\xff\xff"), &s), ERR_OK);
	refused(rig_wait(&rig, s));
	nothing_passed();
}

/* A second head cannot replace the one that was decided on: while that one is under way. */
static void a_second_head_ends_the_exchange(void **state)
{
	(void)state;
	auto_buf head = BUF_EMPTY;
	uint32_t s = ask(&rig, &(struct ask){ .method = "POST", .host = "other.test", .unfinished = true,
					      .framing = HEAD_BODY_STREAMED });

	buf_init(&head, HEAD_MAX_BYTES);
	raw_head(&head, &(struct raw){ .path = "/admin/x" });
	rig_arrived(&rig, 1);
	assert_int_equal(link_head(rig.link, s, buf_str(&head)), ERR_OK);
	refused(rig_wait(&rig, s));
	assert_null(strstr(world.log, "admin"));
	rig_stop(&rig);
}

static void a_body_that_is_not_as_long_as_it_said_is_cut_off(void **state)
{
	(void)state;
	refused(ask_wait(&rig, &(struct ask){ .method = "POST", .framing = HEAD_BODY_LENGTH, .length = 5,
					      .body = "123456GET /admin/x HTTP/1.1\r\n" }));
	refused(ask_wait(&rig, &(struct ask){ .method = "POST", .framing = HEAD_BODY_LENGTH, .length = 500,
					      .body = "short" }));
	refused(ask_wait(&rig, &(struct ask){ .method = "GET", .body = "none was announced" }));
	assert_null(strstr(world.log, "admin"));
	rig_stop(&rig);
}

static uint32_t claims_open(void)
{
	uint32_t s;

	assert_int_equal(link_open(rig.link, LINK_KIND_CLAIMS, STR(""), &s), ERR_OK);
	return s;
}

static void claim(uint32_t stream, const struct msg_claim *c)
{
	auto_buf b = BUF_EMPTY;

	buf_init(&b, LINK_PAYLOAD_MAX);
	msg_put_claim(&b, c);
	while (link_sendable(rig.link, stream) < b.len && !rig.broken)
		rig_turn(&rig, 20);
	assert_int_equal(link_head(rig.link, stream, buf_str(&b)), ERR_OK);
}

static void a_claim_is_its_senders_word_and_no_more(void **state)
{
	(void)state;
	uint32_t s = claims_open();

	claim(s, &(struct msg_claim){ .kind = CLAIM_STOP, .text = STR_INIT("forged") });
	claim(s, &(struct msg_claim){ .kind = CLAIM_DNS, .host = STR_INIT("api.test"), .has_verdict = true,
				      .verdict = true });
	claim(s, &(struct msg_claim){ .kind = CLAIM_REFUSED, .text = STR_INIT("\",\"process\":\"courier"),
				      .result = ERR_TLS });
	nothing_passed();
	assert_int_equal(trail(&rig, "forged", "\"kind\":\"claim\"", "\"process\":\"inspector\""), 1);
	assert_int_equal(trail(&rig, "\"kind\":\"stop\"", NULL, NULL), 1);
	assert_int_equal(trail(&rig, "\"kind\":\"denial\"", "\"process\":\"inspector\"", NULL), 1);
}

static void a_flood_of_claims_is_counted(void **state)
{
	(void)state;
	uint32_t s = claims_open();

	for (int i = 0; i < 6000; i++)
		claim(s, &(struct msg_claim){ .kind = CLAIM_CONNECTION, .text = STR_INIT("flood") });
	nothing_passed();
	unsigned stored = trail(&rig, "flood", "\"kind\":\"connection\"", NULL);

	assert_in_range(stored, 2000, 3500);
	assert_true(trail(&rig, "\"kind\":\"limit\"", "too fast", NULL) >= 1);
	assert_int_equal(trail(&rig, "\"kind\":\"stop\"", "claims_dropped", NULL), 1);
}

static void malformed_claims_end_their_stream(void **state)
{
	(void)state;
	uint32_t s = claims_open();

	assert_int_equal(link_head(rig.link, s, STR("\x01\0\xff")), ERR_OK);
	refused(rig_wait(&rig, s));
	s = claims_open();
	assert_int_equal(link_data(rig.link, s, 0, STR("data")), ERR_OK);
	refused(rig_wait(&rig, s));
	nothing_passed();
}

static void too_many_streams_are_refused(void **state)
{
	(void)state;
	uint32_t first = 0, s = 0;
	unsigned opened = 0;

	for (int i = 0; i < 1900; i++) {
		enum err e = link_open(rig.link, LINK_KIND_EXCHANGE, STR(""), &s);

		if (e == ERR_OK && !first)
			first = s;
		opened += e == ERR_OK;
		if (i % 50 == 0)
			rig_turn(&rig, 20);
	}
	assert_true(opened >= 512);
	for (int i = 0; i < 50; i++)
		rig_turn(&rig, 10);
	for (uint32_t i = first; i <= s; i += 2)
		link_reset(rig.link, i, ERR_CANCELLED);
	nothing_passed();
}

/* Questions that are taken back keep neither the keeper busy nor a place here. */
static void questions_that_are_reset_wait_no_more(void **state)
{
	(void)state;
	uint8_t point[KEEPER_POINT_BYTES] = { 4 };
	struct msg_connect m = { .host = STR_INIT("api.test"), .port = 443, .public_key = str_make(point, sizeof point) };

	keeper.silent = true;
	keeper.leaves = 0;
	for (int i = 0; i < 1200; i++) {
		memcpy(point + 1, &i, sizeof i);
		link_reset(rig.link, ask_open(&rig, LINK_KIND_LEAF, &m), ERR_CANCELLED);
		if (i % 50 == 0)
			rig_turn(&rig, 20);
	}
	uint32_t s = ask_open(&rig, LINK_KIND_LEAF, &m);
	struct reply *p = rig_wait(&rig, s);

	assert_true(p->reset && p->reason == ERR_LIMIT);
	assert_int_equal(keeper.leaves, QUESTION_CALLS_MAX);
	/* others have their calls */
	assert_int_equal(ask_wait(&rig, &(struct ask){ .path = "/ok" })->head.status, 200);
	keeper.silent = false;
	rig_stop(&rig);
}

/* An OPEN alone, waiting: each stream takes little, and they all end with the link. */
static void a_link_that_breaks_ends_its_exchanges_on_record(void **state)
{
	(void)state;
	ask(&rig, &(struct ask){ .path = "/hang" });
	rig_arrived(&rig, 1);
	static const char junk[64] = "\xff\xff\xff\xff\xff\xff\xff\xff this is no frame";

	assert_int_equal(send(rig.link_fd, junk, sizeof junk, MSG_NOSIGNAL), (ssize_t)sizeof junk);
	for (int i = 0; i < 20 && !rig.broken; i++)
		rig_turn(&rig, 50);
	assert_true(rig.broken);
	rig_until(&rig, "\"kind\":\"outcome\"", "\"result\":\"CLOSED\"", NULL);
	rig_stop(&rig);
}

/* Another process' link is for its claims: nothing else can be asked on it. */
static void a_claims_link_opens_no_exchange(void **state)
{
	(void)state;
	struct rig other = rig;
	struct link_limits limits = LINK_LIMITS_DEFAULT;

	memset(other.replies, 0, sizeof other.replies);
	other.link_fd = rig.claims_fd;
	other.link = link_new(LINK_LOWER, &limits);
	rig_hello(&other);
	struct reply *p = ask_wait(&other, &(struct ask){ .path = "/" });

	assert_true(p->reset);
	struct msg_connect m = { .host = STR_INIT("api.test") };

	p = rig_wait(&other, ask_open(&other, LINK_KIND_NAME, &m));
	assert_true(p->reset);
	for (int i = 0; i < STREAM_MAX; i++)
		if (other.replies[i]) {
			buf_free(&other.replies[i]->head_bytes);
			buf_free(&other.replies[i]->body);
			free(other.replies[i]);
		}
	link_free(other.link);
	nothing_passed();
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		T(heads_that_are_not_canonical_are_refused),
		T(heads_of_noise_are_refused),
		T(what_open_and_head_say_must_agree),
		T(frames_out_of_order_end_their_stream_alone),
		T(a_second_head_ends_the_exchange),
		T(a_body_that_is_not_as_long_as_it_said_is_cut_off),
		T(a_claim_is_its_senders_word_and_no_more),
		T(a_flood_of_claims_is_counted),
		T(malformed_claims_end_their_stream),
		T(too_many_streams_are_refused), T(questions_that_are_reset_wait_no_more),
		T(a_link_that_breaks_ends_its_exchanges_on_record),
		T(a_claims_link_opens_no_exchange),
	};

	world_start();
	return world_end(cmocka_run_group_tests(tests, NULL, NULL));
}
