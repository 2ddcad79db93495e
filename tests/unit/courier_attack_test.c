/* courier_attack_test.c - attacks on what the gate promises (I1 to I4, I6), each by a rogue inspector
 * or a rogue upstream: requests that mean another thing to a server than to the policy, secrets that
 * come back by a side door, connections and records that are shared where they must not be.
 */
#include "../path/courier_world.h"

#include "base/buf.h"

static struct rig rig;

static void start(const char *policy)
{
	memset(&rig, 0, sizeof rig);
	world.log_bytes = 0;
	world.log[0] = '\0';
	world.requests = world.connections = world.unrecorded = 0;
	rig_start(&rig, policy, 0);
	rig_hello(&rig);
}

static int setup(void **state)
{
	(void)state;
	start(usual_policy);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	rig_free(&rig);
	return 0;
}

static bool refused(const struct reply *p)
{
	return !rig.broken && (p->reset || (p->ended && p->head.status >= 400));
}

static void body_is(const struct reply *p, const char *text)
{
	assert_true(str_eq(buf_str(&p->body), str_of(text)));
}

/* ---- requests that a server could read as another ---- */

/* Not canonical: head_encode() refuses them, so their bytes are made from those of a head of the
 * same length that it takes. */
static struct reply *ask_path(const char *path)
{
	char plain[512];
	struct ask a = { .path = plain };
	struct head h;
	struct msg_connect m = { .port = 443, .scheme = HEAD_HTTPS };
	auto_buf head = BUF_EMPTY;
	uint32_t s;

	buf_init(&head, HEAD_MAX_BYTES);
	memset(plain, 'x', sizeof plain);
	plain[0] = '/';
	plain[strlen(path)] = '\0';
	h = ask_head(&a);
	m.host = h.host;
	assert_int_equal(head_encode(&h, &head), ERR_OK);
	memcpy(memmem(head.p, head.len, plain, strlen(plain)), path, strlen(path));
	s = ask_open(&rig, LINK_KIND_EXCHANGE, &m);
	assert_int_equal(link_head(rig.link, s, buf_str(&head)), ERR_OK);
	link_end(rig.link, s);
	return rig_wait(&rig, s);
}

static void no_spelling_of_a_denied_path_passes(void **state)
{
	(void)state;
	static const char *const paths[] = {
		"/admin/x", "/%61dmin/x", "//admin/x", "///admin//x", "/admin;v=1/x", "/;a/admin/x",
		"/%2Fadmin/x", "/%5Cadmin/x", "/admin%2Fx", "/admin%5Cx", "/admin%3Bv/x", "/a/..%2Fadmin/x",
		"/a/%2E%2E%2Fadmin/x", "/a%2F..%2Fadmin/x", "/a%5C..%5Cadmin/x", "/a%2F..%2f..%2Fadmin/x",
		"/a/..%3Bx/admin/x", "/a/..;/admin/x", "/a/../admin/x", "/a/.%2E/admin/x", "/.%2Fadmin/x",
		"/a\\..\\admin\\x", "/%2e%2e/admin/x",
	};

	for (size_t i = 0; i < sizeof paths / sizeof *paths; i++)
		if (!refused(ask_path(paths[i])))
			fail_msg("%s", paths[i]);
	assert_int_equal(world.connections, 0);
	assert_int_equal(ask_wait(&rig, &(struct ask){ .path = "/a%2Fb;c=1//d" })->head.status, 200);
	rig_arrived(&rig, 1);
	assert_non_null(strstr(world.log, "GET /a%2Fb;c=1//d HTTP/1.1\r\n"));
	rig_stop(&rig);
}

static void nothing_leads_out_of_an_allowed_path(void **state)
{
	(void)state;
	static const char *const paths[] = {
		"/public/..%2Fprivate", "/public/%2E%2E%2Fprivate", "/public/a%2F..%2F..%2Fprivate",
		"/public/..%5Cprivate", "/public%2F..%2Fprivate", "/public/..%3B/private", "/Public/a",
		"/public", "/x/public/a", "//public/a", "/%70ublic/a",
	};

	rig_free(&rig);
	start("version: 1\nnetwork:\n  - {hosts: [api.test], methods: [GET], paths: [/public/**]}\n");
	for (size_t i = 0; i < sizeof paths / sizeof *paths; i++)
		if (!refused(ask_path(paths[i])))
			fail_msg("%s", paths[i]);
	assert_int_equal(world.connections, 0);
	rig_stop(&rig);
}

static void a_field_cannot_pretend_to_frame(void **state)
{
	(void)state;
	static const char *const names[] = { "content_length", "transfer_encoding" };

	for (size_t i = 0; i < 2; i++) {
		struct head h = ask_head(&(struct ask){ .name = "x", .value = "chunked" });
		auto_buf head = BUF_EMPTY;

		buf_init(&head, HEAD_MAX_BYTES);
		h.fields[1].name = str_of(names[i]);
		assert_int_equal(head_encode(&h, &head), ERR_HEAD_MALFORMED);
	}
	rig_stop(&rig);
}

static struct reply *ask_trailers(bool announced, const char *name, const char *value)
{
	struct head h = ask_head(&(struct ask){ .method = "POST", .framing = HEAD_BODY_STREAMED,
						.trailers = announced, .path = "/late" });
	struct head late = { .kind = HEAD_TRAILERS };
	struct msg_connect m = { .host = h.host, .port = 443, .scheme = HEAD_HTTPS };
	auto_buf head = BUF_EMPTY, trailers = BUF_EMPTY;
	uint32_t s;

	buf_init(&head, HEAD_MAX_BYTES);
	buf_init(&trailers, HEAD_MAX_BYTES);
	assert_int_equal(head_add(&late, str_of(name), str_of(value)), ERR_OK);
	assert_int_equal(head_encode(&h, &head), ERR_OK);
	assert_int_equal(head_encode(&late, &trailers), ERR_OK);
	s = ask_open(&rig, LINK_KIND_EXCHANGE, &m);
	assert_int_equal(link_head(rig.link, s, buf_str(&head)), ERR_OK);
	assert_int_equal(link_data(rig.link, s, 0, STR("body")), ERR_OK);
	assert_int_equal(link_head(rig.link, s, buf_str(&trailers)), ERR_OK);
	link_end(rig.link, s);
	return rig_wait(&rig, s);
}

/* Fields behind the body: none that a rule looks for in
 * heads, none that was not announced, no placeholder. */
static void trailers_of_a_request_decide_nothing(void **state)
{
	(void)state;
	rig_free(&rig);
	start("version: 1\nnetwork:\n"
	      "  - {hosts: [api.test], methods: [POST], headers: {x-http-method-override: DELETE}, verdict: "
	      "deny}\n"
	      "  - {hosts: [api.test], methods: [POST]}\n");
	assert_true(refused(ask_trailers(true, "x-http-method-override", "DELETE")));
	assert_true(refused(ask_trailers(false, "x-checksum", "1")));
	assert_true(refused(ask_trailers(true, "x-checksum", PLACEHOLDER)));
	assert_null(strstr(world.log, "override"));
	assert_int_equal(ask_trailers(true, "x-checksum", "12")->head.status, 200);
	rig_stop(&rig);
}

static void no_spelling_of_a_query_passes(void **state)
{
	(void)state;
	static const char *const allowed[] = { "do=read", "do=read&x=1;y=2", "x;y&do=read" };
	static const char *const denied[] = {
		"do=delete", "do=read&do=delete", "do=read;do=delete", "x=1;do=delete&do=read",
		"do=delete;&do=read", "%64o=delete&do=read", "d%6F=delete&do=read", "do", "do;do=read", "x=1",
		"DO=read",
	};

	rig_free(&rig);
	start("version: 1\nnetwork:\n  - {hosts: [api.test], methods: [GET], query: {do: \"re*\"}}\n");
	for (size_t i = 0; i < sizeof allowed / sizeof *allowed + sizeof denied / sizeof *denied; i++) {
		bool good = i < sizeof allowed / sizeof *allowed;
		const char *query = good ? allowed[i] : denied[i - sizeof allowed / sizeof *allowed];
		struct head h = ask_head(&(struct ask){ .path = "/q" });
		struct msg_connect m = { .host = h.host, .port = 443, .scheme = HEAD_HTTPS };
		auto_buf head = BUF_EMPTY;

		buf_init(&head, HEAD_MAX_BYTES);
		h.has_query = true;
		h.query = str_of(query);
		assert_int_equal(head_encode(&h, &head), ERR_OK);
		uint32_t s = ask_open(&rig, LINK_KIND_EXCHANGE, &m);

		assert_int_equal(link_head(rig.link, s, buf_str(&head)), ERR_OK);
		link_end(rig.link, s);
		if (refused(rig_wait(&rig, s)) == good)
			fail_msg("%s", query);
	}
	assert_int_equal(world.requests, sizeof allowed / sizeof *allowed);
	rig_stop(&rig);
}

static void an_address_that_is_not_public_is_not_dialled(void **state)
{
	(void)state;
	static const char *const hosts[] = {
		"127.0.0.1", "0.0.0.0", "10.0.0.1", "169.254.169.254", "168.63.129.16", "100.100.100.200",
		"192.0.0.192", "198.18.0.16", "224.0.0.1", "255.255.255.255", "::1", "::", "::ffff:127.0.0.1",
		"::ffff:169.254.169.254", "64:ff9b::7f00:1", "64:ff9b::a9fe:a9fe", "2002:7f00:1::", "2001::1",
		"fd00:ec2::254", "fe80::1", "ff02::1", "::127.0.0.1", "64:ff9b:1::7f00:1", "fec0::1",
	};
	auto_buf policy = BUF_EMPTY;

	buf_init(&policy, 8192);
	buf_put_z(&policy,
		  "version: 1\nnetwork:\n  - {methods: [GET], schemes: [http, https], hosts: [x.test");
	for (size_t i = 0; i < sizeof hosts / sizeof *hosts; i++)
		if (host_type(str_of(hosts[i])) != HOST_INVALID) /* the policy takes canonical ones alone */
			buf_printf(&policy, ", \"%s\"", hosts[i]);
	buf_put_z(&policy, "]}\n");
	rig_free(&rig);
	start(buf_z(&policy));
	for (size_t i = 0; i < sizeof hosts / sizeof *hosts; i++) {
		struct head h = { .kind = HEAD_REQUEST, .scheme = HEAD_HTTPS, .port = 443,
				  .method = STR_INIT("GET"),
				  .path = STR_INIT("/") };
		bool bracket = strchr(hosts[i], ':') != NULL;
		char authority[64];
		auto_buf head = BUF_EMPTY;

		buf_init(&head, HEAD_MAX_BYTES);
		h.host = str_of(hosts[i]);
		snprintf(authority, sizeof authority, bracket ? "[%s]" : "%s", hosts[i]);
		assert_int_equal(head_add(&h, STR("host"), str_of(authority)), ERR_OK);
		if (head_encode(&h, &head) != ERR_OK)
			continue;	/* has another canonical spelling */
		struct msg_connect m = { .host = h.host, .port = 443, .scheme = HEAD_HTTPS };
		uint32_t s = ask_open(&rig, LINK_KIND_EXCHANGE, &m);

		assert_int_equal(link_head(rig.link, s, buf_str(&head)), ERR_OK);
		link_end(rig.link, s);
		struct reply *p = rig_wait(&rig, s);

		if (!refused(p) || !memmem(p->body.p, p->body.len, "ADDRESS_REFUSED", 15))
			fail_msg("%s: %u %.*s", hosts[i], p->head.status, STR_FMT(buf_str(&p->body)));
	}
	rig_stop(&rig);
}

/* ---- secrets that come back ---- */

static void no_answer_brings_the_secret_back(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof world_echoes / sizeof *world_echoes; i++) {
		const char *path = world_echoes[i].path;
		struct reply *p = ask_wait(&rig, &(struct ask){ .path = path, .name = "authorization",
								 .value = "Bearer " PLACEHOLDER });

		if (memmem(p->head_bytes.p, p->head_bytes.len, "fSECRET", 7) ||
		    (p->body.len && memmem(p->body.p, p->body.len, "fSECRET", 7)) ||
		    (p->body.len && memmem(p->body.p, p->body.len, "sk-test", 7)))
			fail_msg("%s", path);
		if (!strncmp(path, "/quiet/", 7)) {
			assert_true(p->ended);
			assert_int_equal(p->head.status, 200);
			body_is(p, "ok");
		} else if (!p->reset && p->head.status < 400) {
			fail_msg("%s: %u", path, p->head.status);
		}
	}
	rig_stop(&rig);
	assert_int_equal(trail(&rig, SECRET, NULL, NULL), 0);
}

/* The host's own placeholder where it is not to be replaced:
 * in a head it goes to nobody, in a body it stays. */
static void a_placeholder_stands_where_it_is_replaced_or_nowhere(void **state)
{
	(void)state;
	static const struct ask places[] = {
		{ .path = "/p/" PLACEHOLDER },
		{ .path = "/p", .name = "x-part", .value = "a" PLACEHOLDER "b" },
		{ .path = "/p", .name = "x-amz-meta-note", .value = PLACEHOLDER },
		{ .path = "/p", .name = "referer", .value = "http://evil.test/" PLACEHOLDER },
		{ .path = "/p", .name = "x-hex",
		  .value = "706b2d706c616365686f6c6465722d41414141414141414141414141414141" },
	};

	for (size_t i = 0; i < sizeof places / sizeof *places; i++)
		if (!refused(ask_wait(&rig, &places[i])))
			fail_msg("place %zu", i);
	assert_int_equal(trail(&rig, "PLACEHOLDER_BLOCKED", "\"placeholder_of\":\"api\"", NULL), 5);
	assert_int_equal(world.requests, 0);
	ask_wait(&rig, &(struct ask){ .path = "/p", .method = "POST", .framing = HEAD_BODY_LENGTH,
				      .length = sizeof PLACEHOLDER - 1, .body = PLACEHOLDER });
	rig_arrived(&rig, 1);
	assert_null(strstr(world.log, SECRET));
	rig_stop(&rig);
}

/* A keeper that fell over: whatever it says, no request goes without its credential. */
static void a_keeper_that_lies_opens_nothing(void **state)
{
	(void)state;
	for (unsigned lie = LIE_EMPTY; lie <= LIE_STALE; lie++) {
		rig_free(&rig);
		start(usual_policy);
		keeper.lie = lie;
		assert_true(refused(ask_wait(&rig, &(struct ask){ .path = "/", .name = "authorization",
								  .value = "Bearer " PLACEHOLDER })));
		assert_int_equal(world.requests, 0);
		assert_int_equal(ask_wait(&rig, &(struct ask){ .host = "other.test" })->head.status, 200);
		rig_stop(&rig);
		assert_int_equal(trail(&rig, "\"result\":\"CREDENTIAL\"", NULL, NULL), 1);
	}
}

/* Without a keeper there is no secret, no leaf, and soon no signature; what needs none goes on being refused
 * or allowed by policy. */
static void without_a_keeper_nothing_opens(void **state)
{
	(void)state;
	static const char point[65] = { 4 };
	struct msg_connect m = { .host = STR_INIT("api.test"), .public_key = { point, sizeof point } };

	keeper.lie = LIE_GONE;
	assert_true(refused(ask_wait(&rig, &(struct ask){ .path = "/" })));
	assert_true(rig_wait(&rig, ask_open(&rig, LINK_KIND_LEAF, &m))->reset);
	assert_true(refused(ask_wait(&rig, &(struct ask){ .host = "other.test", .method = "PUT" })));
	assert_int_equal(world.requests, 0);
	assert_false(rig.broken);
}

/* ---- what is kept and shared ---- */

static void an_answer_that_nobody_asked_for_is_no_answer(void **state)
{
	(void)state;
	body_is(ask_wait(&rig, &(struct ask){ .path = "/double" }), "first");
	struct reply *p = ask_wait(&rig, &(struct ask){ .path = "/second" });

	assert_int_equal(p->head.status, 200);
	body_is(p, "hello 0 identity");
	assert_int_equal(world.connections, 2);
	rig_stop(&rig);
}

/* Whoever came next on a connection that NTLM has authenticated would be who came first. */
static void an_authenticated_connection_is_nobody_elses(void **state)
{
	(void)state;
	static const char *const schemes[] = { "NTLM TlRMTVNTUAAB", "ntlm TlRM", "Negotiate YIIC" };

	for (int i = 0; i < 3; i++) {
		ask_wait(&rig, &(struct ask){ .path = "/a", .name = "authorization", .value = schemes[i] });
		assert_int_equal(world.connections, i + 1);
	}
	ask_wait(&rig, &(struct ask){ .path = "/a", .name = "authorization", .value = "Basic TlRMTQ==" });
	assert_int_equal(world.connections, 4);
	ask_wait(&rig, &(struct ask){ .path = "/b" });
	assert_int_equal(world.connections, 4);
	rig_stop(&rig);
}

#define CREDENTIAL(name) "  " name ":\n    source: {environment: " name "}\n    hosts: [api.test]\n" \
			 "    header: {name: x-key-" name "}\n"
#define RULE(name) "  - {hosts: [api.test], methods: [GET], paths: [/" name "], credential: " name "}\n"

static void a_reload_does_not_mix_the_connections_of_credentials(void **state)
{
	(void)state;
	static const char reload[] = "{\"op\":\"reload\",\"policy\":\"version: 1\\ncredentials:\\n"
		"  b:\\n    source: {environment: b}\\n    hosts: [api.test]\\n    header: {name: x-key-b}\\n"
		"  a:\\n    source: {environment: a}\\n    hosts: [api.test]\\n    header: {name: x-key-a}\\n"
		"network:\\n  - {hosts: [api.test], methods: [GET], paths: [/a], credential: a}\\n"
		"  - {hosts: [api.test], methods: [GET], paths: [/b], credential: b}\\n\"}";
	char answer[256] = "";

	rig_free(&rig);
	start("version: 1\ncredentials:\n" CREDENTIAL("a") CREDENTIAL("b") "network:\n" RULE("a") RULE("b"));
	assert_int_equal(ask_wait(&rig, &(struct ask){ .path = "/a" })->head.status, 200);
	assert_int_equal(send(rig.control, reload, sizeof reload - 1, MSG_NOSIGNAL),
			 (ssize_t)sizeof reload - 1);
	assert_true(recv(rig.control, answer, sizeof answer - 1, 0) > 0);
	assert_non_null(strstr(answer, "\"reloaded\""));
	assert_int_equal(ask_wait(&rig, &(struct ask){ .path = "/b" })->head.status, 200);
	assert_int_equal(world.connections, 2);
	assert_int_equal(ask_wait(&rig, &(struct ask){ .path = "/a" })->head.status, 200);
	assert_int_equal(world.connections, 2);
	rig_stop(&rig);
}

/* ---- the trail ---- */

static void streams_without_a_request_do_not_fill_the_disk(void **state)
{
	(void)state;
	uint32_t s;

	rig_free(&rig);
	start("version: 1\nlimits: {requests: 20}\nnetwork:\n  - {hosts: [api.test], methods: [GET]}\n");
	for (int i = 0; i < 500; i++) {
		assert_int_equal(link_open(rig.link, LINK_KIND_EXCHANGE, STR("\xff\xff\xff"), &s), ERR_OK);
		rig_wait(&rig, s);
	}
	for (int i = 0; i < 500; i++) {
		s = ask_open(&rig, LINK_KIND_EXCHANGE, &(struct msg_connect){ .host = STR_INIT("api.test") });
		rig_turn(&rig, 5);
		link_reset(rig.link, s, ERR_CANCELLED);
		rig_turn(&rig, 5);
	}
	assert_true(refused(ask_wait(&rig, &(struct ask){ .path = "/" })));
	rig_stop(&rig);
	assert_int_equal(world.connections, 0);
	assert_int_equal(trail(&rig, "\"kind\":\"denial\"", NULL, NULL), 20);
	assert_int_equal(trail(&rig, "\"kind\":\"limit\"", "limits.requests", NULL), 1);
}

/* The longest of everything that a rogue may say: the intent is stored, cut, and the request goes. */
static void a_record_that_is_too_long_is_cut_and_stored(void **state)
{
	(void)state;
	static char path[HEAD_PATH_MAX + 1], query[HEAD_QUERY_MAX + 1], exe[3000], names[126][80];
	struct head h = ask_head(&(struct ask){ .path = "/" });
	struct msg_connect m = { .host = h.host, .port = 443, .scheme = HEAD_HTTPS, .connection = UINT64_MAX,
				 .process = { .pid = UINT32_MAX, .uid = UINT32_MAX } };
	auto_buf head = BUF_EMPTY;

	buf_init(&head, HEAD_MAX_BYTES);
	memset(path, 'p', HEAD_PATH_MAX);
	memset(query, 'q', HEAD_QUERY_MAX);
	memset(exe, 0xff, sizeof exe);
	path[0] = '/';
	h.path = str_of(path);
	h.has_query = true;
	h.query = str_of(query);
	for (size_t i = 0; i < 126; i++) {
		snprintf(names[i], sizeof names[i], "%078zu", i);
		assert_int_equal(head_add(&h, str_of(names[i]), STR("v")), ERR_OK);
	}
	m.process.exe = str_make(exe, sizeof exe);
	for (int i = 0; i < 3; i++)
		m.process.ancestors[m.process.ancestor_count++] = str_make(exe, 1200);
	assert_int_equal(head_encode(&h, &head), ERR_OK);
	uint32_t s = ask_open(&rig, LINK_KIND_EXCHANGE, &m);

	assert_int_equal(link_head(rig.link, s, buf_str(&head)), ERR_OK);
	link_end(rig.link, s);
	struct reply *p = rig_wait(&rig, s);

	assert_true(p->ended || p->reset);
	rig_stop(&rig);
	assert_int_equal(trail(&rig, "\"kind\":\"intent\"", "header_names_cut", "url_cut"), 1);
	assert_int_equal(trail(&rig, "\"kind\":\"outcome\"", NULL, NULL), 1);
}

static void a_claim_cannot_be_made_to_look_like_anothers(void **state)
{
	(void)state;
	static const char *const texts[] = {
		"\"}\n{\"kind\":\"stop\",\"process\":\"courier\"}", ("\xe2\x80\xae" "courier"),
		"\x1b]0;courier\a", "\n",
	};
	uint32_t s;

	assert_int_equal(link_open(rig.link, LINK_KIND_CLAIMS, STR(""), &s), ERR_OK);
	for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
		for (unsigned kind = CLAIM_DNS; kind <= CLAIM_LIMIT; kind++) {
			struct msg_claim c = { .kind = (enum claim_kind)kind, .text = str_of(texts[i]),
					       .path = str_of(texts[i]), .host = STR_INIT("\"api.test"),
					       .process = { .exe = str_of(texts[i]) } };
			auto_buf b = BUF_EMPTY;

			buf_init(&b, LINK_PAYLOAD_MAX);
			msg_put_claim(&b, &c);
			assert_int_equal(link_head(rig.link, s, buf_str(&b)), ERR_OK);
			rig_turn(&rig, 5);
		}
	assert_int_equal(ask_wait(&rig, &(struct ask){ .path = "/" })->head.status, 200);
	rig_until(&rig, "\"kind\":\"outcome\"", NULL, NULL);
	rig_stop(&rig);
	assert_int_equal(trail(&rig, "\"claim\":", "\"process\":\"courier\"}", NULL), 0);
	assert_int_equal(trail(&rig, "\"claim\":", "\"process\":\"inspector\"", NULL),
			 sizeof texts / sizeof *texts * (CLAIM_LIMIT - CLAIM_DNS + 1));
	assert_int_equal(trail(&rig, "\"kind\":\"start\"", NULL, NULL), 1);
	assert_int_equal(trail(&rig, "\"kind\":\"stop\"", NULL, NULL), 1);
	assert_int_equal(trail(&rig, "\x1b", NULL, NULL), 0);
}

/* ---- certificates ---- */

static void leaves_are_for_listed_names_alone(void **state)
{
	(void)state;
	static const char *const never[] = {
		"evil.test", "api.test.evil.test", "xapi.test", "wild.test", "test", "1.2.3.4", "::1",
		"paddock.test",
	};
	static const char point[65] = { 4 };
	struct msg_connect m = { .public_key = { point, sizeof point } };
	char host[64];

	for (size_t i = 0; i < sizeof never / sizeof *never; i++) {
		m.host = str_of(never[i]);
		assert_true(rig_wait(&rig, ask_open(&rig, LINK_KIND_LEAF, &m))->reset);
	}
	assert_int_equal(keeper.leaves, 0);
	/* a flood of names under a wildcard: more than are kept, and the courier still answers */
	for (unsigned i = 0; i < 600; i++) {
		snprintf(host, sizeof host, "n%u.wild.test", i);
		m.host = str_of(host);
		uint32_t s = ask_open(&rig, LINK_KIND_LEAF, &m);

		link_end(rig.link, s);
		assert_true(rig_wait(&rig, s)->has_head);
	}
	assert_int_equal(keeper.leaves, 600);
	assert_int_equal(ask_wait(&rig, &(struct ask){ .path = "/" })->head.status, 200);
	rig_stop(&rig);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		T(no_spelling_of_a_denied_path_passes),
		T(nothing_leads_out_of_an_allowed_path),
		T(a_field_cannot_pretend_to_frame),
		T(trailers_of_a_request_decide_nothing),
		T(no_spelling_of_a_query_passes),
		T(an_address_that_is_not_public_is_not_dialled),
		T(no_answer_brings_the_secret_back),
		T(a_placeholder_stands_where_it_is_replaced_or_nowhere),
		T(a_keeper_that_lies_opens_nothing),
		T(without_a_keeper_nothing_opens),
		T(an_answer_that_nobody_asked_for_is_no_answer),
		T(an_authenticated_connection_is_nobody_elses),
		T(a_reload_does_not_mix_the_connections_of_credentials),
		T(streams_without_a_request_do_not_fill_the_disk),
		T(a_record_that_is_too_long_is_cut_and_stored),
		T(a_claim_cannot_be_made_to_look_like_anothers),
		T(leaves_are_for_listed_names_alone),
	};

	world_start();
	return world_end(cmocka_run_group_tests(tests, NULL, NULL));
}
