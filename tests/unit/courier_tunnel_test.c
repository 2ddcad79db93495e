/* courier_tunnel_test.c - tunnels through the courier, with the ClientHello of a real TLS client */
#include "../path/courier_world.h"

#define ECH_TYPE 0xfe0d		/* encrypted_client_hello, RFC 9849 */

static struct rig rig;

static const char policy[] =
	"version: 1\n"
	"limits: {bytes: 16KiB}\n"
	"network:\n"
	"  - {name: pinned, hosts: [api.test], passthrough: true}\n"
	"  - {name: raw, hosts: [other.test], tcp: true, ports: [443]}\n";

/* A TLS client over a stream of the link. */
struct pinned {
	SSL_CTX *context;
	SSL *tls;
	BIO *in, *out;
	uint32_t stream;
	size_t at;		/* of what the stream brought */
};

static int setup(void **state)
{
	(void)state;
	memset(&rig, 0, sizeof rig);
	world.log_bytes = 0;
	world.requests = world.connections = world.unrecorded = 0;
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

static int add_ech(SSL *s, unsigned type, unsigned context, const unsigned char **ret, size_t *ret_n, X509 *x,
		   size_t index, int *alert, void *user)
{
	(void)s, (void)type, (void)context, (void)x, (void)index, (void)alert, (void)user;
	/* outer, HKDF-SHA256 and AES-128-GCM, a config's number,
	 * an encapsulated key, a payload: as GREASE is, too */
	static const unsigned char ech[] = "\0\0\1\0\1\x2a\0\x20" "0123456789abcdef0123456789abcdef\0\x10" "0123456789abcdef";

	*ret = ech;
	*ret_n = sizeof ech - 1;
	return 1;
}

static uint32_t open_tunnel(const char *host)
{
	return ask_open(&rig, LINK_KIND_TUNNEL,
			&(struct msg_connect){ .host = str_of(host), .port = 443, .connection = 7,
					       .process = { .pid = 42, .uid = 0,
							    .exe = STR_INIT("/usr/bin/agent") } });
}

static void pinned_open(struct pinned *p, const char *host, const char *name, bool ech)
{
	*p = (struct pinned){ .context = SSL_CTX_new(TLS_client_method()), .stream = open_tunnel(host) };
	if (ech)
		assert_int_equal(SSL_CTX_add_custom_ext(p->context, ECH_TYPE, SSL_EXT_CLIENT_HELLO, add_ech,
							NULL, NULL, NULL, NULL),
				 1);
	p->tls = SSL_new(p->context);
	p->in = BIO_new(BIO_s_mem());
	p->out = BIO_new(BIO_s_mem());
	SSL_set_bio(p->tls, p->in, p->out);
	SSL_set_connect_state(p->tls);
	if (name)
		assert_int_equal(SSL_set_tlsext_host_name(p->tls, (char *)(uintptr_t)name), 1);
}

static void pinned_free(struct pinned *p)
{
	SSL_free(p->tls);
	SSL_CTX_free(p->context);
}

/* What TLS has to say goes up, in pieces of @most bytes; what came goes to TLS. */
static void pinned_turn(struct pinned *p, size_t most)
{
	struct reply *r = rig_reply(&rig, p->stream);
	char bytes[16384];
	int n;

	while (!r->reset &&
	       (n = BIO_read(p->out, bytes, most < sizeof bytes ? (int)most : (int)sizeof bytes)) > 0)
		assert_int_equal(link_data(rig.link, p->stream, 0, str_make(bytes, (size_t)n)), ERR_OK);
	rig_turn(&rig, 20);
	struct str came = str_from(buf_str(&r->body), p->at);

	if (came.n)
		assert_int_equal(BIO_write(p->in, came.p, (int)came.n), (int)came.n);
	p->at += came.n;
}

/* Until the handshake is done, or the tunnel is no more. */
static bool pinned_handshake(struct pinned *p, size_t most)
{
	int r = 0;

	for (int i = 0; i < 300 && r != 1 && !rig_reply(&rig, p->stream)->reset; i++) {
		r = SSL_do_handshake(p->tls);
		pinned_turn(p, most);
	}
	return r == 1;
}

static void a_pinned_client_reaches_its_server(void **state)
{
	(void)state;
	static const char get[] = "GET /inside HTTP/1.1\r\nhost: api.test\r\n\r\n";
	static const size_t sizes[] = { 16384, 7 };
	char answer[256] = "";

	for (size_t i = 0; i < 2; i++) {	/* whole, and in small pieces */
		struct pinned p;
		int n = 0;

		pinned_open(&p, "api.test", "api.test", false);
		assert_true(pinned_handshake(&p, sizes[i]));
		assert_int_equal(SSL_write(p.tls, get, sizeof get - 1), (int)sizeof get - 1);
		for (int k = 0; k < 200 && n <= 0; k++) {
			pinned_turn(&p, sizes[i]);
			n = SSL_read(p.tls, answer, sizeof answer - 1);
		}
		assert_true(n > 0);
		assert_non_null(strstr(answer, "hello 0"));
		link_end(rig.link, p.stream);
		assert_true(rig_wait(&rig, p.stream)->ended);
		pinned_free(&p);
	}
	assert_int_equal(world.requests, 2);
	assert_int_equal(trail(&rig, "\"kind\":\"intent\"", "tls://api.test:443", "\"opened\":false"), 2);
	assert_int_equal(trail(&rig, "\"kind\":\"outcome\"", "\"result\":\"OK\"", NULL), 2);
	rig_stop(&rig);
}

/* The name in the open need not be the one that is meant: the same client, and one extension more. */
static void an_encrypted_client_hello_is_refused(void **state)
{
	(void)state;
	static const size_t sizes[] = { 16384, 7 };

	for (size_t i = 0; i < 2; i++) {
		struct pinned p;

		pinned_open(&p, "api.test", "api.test", true);
		assert_false(pinned_handshake(&p, sizes[i]));
		assert_true(rig_reply(&rig, p.stream)->reset);
		assert_int_equal(rig_reply(&rig, p.stream)->reason, ERR_ECH);
		assert_int_equal(p.at, 0);
		pinned_free(&p);
	}
	assert_int_equal(world.connections, 0);
	assert_int_equal(trail(&rig, "\"kind\":\"denial\"", "\"result\":\"ECH\"", "tls://api.test:443"), 2);
	assert_int_equal(trail(&rig, "\"kind\":\"intent\"", NULL, NULL), 0);
	rig_stop(&rig);
}

static void another_name_or_none_is_refused(void **state)
{
	(void)state;
	static const char *const names[] = { "other.test", "evil.test", NULL };

	for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
		struct pinned p;

		pinned_open(&p, "api.test", names[i], false);
		assert_false(pinned_handshake(&p, 16384));
		assert_int_equal(rig_reply(&rig, p.stream)->reason, ERR_NAME_MISMATCH);
		pinned_free(&p);
	}
	assert_int_equal(world.connections, 0);
	rig_stop(&rig);
}

/* In raw TCP anything passes, and is counted. */
static void a_tunnel_ends_at_the_sandboxs_bytes(void **state)
{
	(void)state;
	static const char block[8192];
	uint32_t s = open_tunnel("other.test");

	assert_int_equal(link_data(rig.link, s, 0, str_make(block, sizeof block)), ERR_OK);
	for (int i = 0; i < 10; i++)
		rig_turn(&rig, 10);
	s = open_tunnel("other.test");
	assert_int_equal(link_data(rig.link, s, 0, str_make(block, sizeof block)), ERR_OK);
	assert_int_equal(link_data(rig.link, s, 0, str_make(block, 1)), ERR_OK);
	struct reply *p = rig_wait(&rig, s);

	assert_true(p->reset && p->reason == ERR_LIMIT);
	assert_int_equal(trail(&rig, "\"kind\":\"limit\"", "limits.bytes", NULL), 1);
	rig_stop(&rig);
}

/* The user's --resolve chose its address: no rule names it, under whichever policy. */
static void a_reload_leaves_what_it_would_open(void **state)
{
	(void)state;
	const struct msg_connect m = { .host = STR_INIT("other.test"), .port = 443 };

	rig_free(&rig);
	rig_start(&rig, "version: 1\nnetwork:\n  - {hosts: [other.test], ports: [443], tcp: true}\n", 0);
	rig_hello(&rig);
	world.connections = 0;
	uint32_t s = ask_open(&rig, LINK_KIND_TUNNEL, &m);

	for (int i = 0; i < 100 && !world.connections; i++)
		rig_turn(&rig, 20);
	for (int i = 0; i < 5; i++)
		rig_turn(&rig, 20);
	assert_int_equal(trail(&rig, "\"kind\":\"intent\"", "tcp://other.test:443", NULL), 1);
	rig_reload(&rig, "version: 1\nnetwork:\n  - {hosts: [other.test, api.test], ports: [443], tcp: true}\n");
	assert_false(rig_reply(&rig, s)->reset);
	rig_reload(&rig, "version: 1\nnetwork:\n  - {hosts: [api.test], ports: [443], tcp: true}\n");
	assert_true(rig_wait(&rig, s)->reset);
	rig_stop(&rig);
}

/* One that the upstream has not answered yet would live without an end, once it has. */
static void a_websocket_that_is_asked_for_is_judged_again(void **state)
{
	(void)state;
	rig_free(&rig);
	rig_start(&rig, "version: 1\nnetwork:\n  - {hosts: [api.test], methods: [GET], websocket: true}\n", 0);
	rig_hello(&rig);
	world.requests = 0;
	uint32_t s = ask(&rig, &(struct ask){ .path = "/hang", .websocket = true, .unfinished = true });

	for (int i = 0; i < 100 && !world.requests; i++)
		rig_turn(&rig, 20);
	rig_reload(&rig, "version: 1\nnetwork:\n  - {hosts: [api.test], methods: [GET], websocket: true}\n");
	assert_int_equal(rig_reply(&rig, s)->head.status, 0);
	rig_reload(&rig, "version: 1\nnetwork:\n  - {hosts: [api.test], methods: [GET]}\n");
	assert_int_equal(rig_wait(&rig, s)->head.status, 403);
	assert_int_equal(trail(&rig, "\"kind\":\"outcome\"", "POLICY_DENIED", NULL), 1);
	rig_stop(&rig);
}

/* What comes after the last one is counted, not stored one by one. */
static void tunnels_beyond_the_limit_leave_no_records(void **state)
{
	(void)state;
	const struct msg_connect denied = { .host = STR_INIT("api.test"), .port = 443 };

	rig_free(&rig);
	rig_start(&rig, "version: 1\nlimits: {requests: 2}\nnetwork:\n  - {hosts: [other.test], ports: [443], tcp: true}\n", 0);
	rig_hello(&rig);
	for (int i = 0; i < 20; i++)
		assert_true(rig_wait(&rig, ask_open(&rig, LINK_KIND_TUNNEL, &denied))->reset);
	assert_int_equal(trail(&rig, "\"kind\":\"denial\"", "api.test", NULL), 2);
	assert_int_equal(trail(&rig, "\"kind\":\"limit\"", "limits.requests", NULL), 1);
	rig_stop(&rig);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		T(a_pinned_client_reaches_its_server),
		T(an_encrypted_client_hello_is_refused),
		T(another_name_or_none_is_refused),
		T(a_tunnel_ends_at_the_sandboxs_bytes),
		T(a_reload_leaves_what_it_would_open),
		T(a_websocket_that_is_asked_for_is_judged_again),
		T(tunnels_beyond_the_limit_leave_no_records),
	};

	world_start();
	return world_end(cmocka_run_group_tests(tests, NULL, NULL));
}
