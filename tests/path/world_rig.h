/* world_rig.h - the courier of courier_world.h, the client at its link, and its trail */
#pragma once

#include "decoder_process.h"

#include <openssl/sha.h>

/* ---- the courier and its client ---- */

struct reply {
	bool has_head, ended, reset;
	enum err reason;
	struct buf head_bytes, trailer_bytes, body;
	struct head head, trailers;	/* trailers.kind 0: none */
	unsigned interim;		/* heads before the final one */
	unsigned data_frames;
	uint64_t body_bytes;
};

#define STREAM_MAX 4096

/* What stands at the courier's decoder socket: the real program, or what a test puts there (-1: nothing) */
static struct {
	bool given;
	int fd;
} rig_decoder;

struct rig {
	pid_t courier, decoder;
	int link_fd, claims_fd, control, trail;
	char trail_path[64];
	struct link *link;
	bool slow;			/* gives no credit back */
	bool broken;			/* the courier closed the link */
	struct reply *replies[STREAM_MAX];
};

static const char usual_policy[] =
	"version: 1\n"
	"credentials:\n"
	"  api:\n"
	"    source: {environment: API_KEY}\n"
	"    hosts: [api.test]\n"
	"    strategy: placeholder\n"
	"    detach_after: 0\n"
	"    placeholder: {environment: API_KEY, value: " PLACEHOLDER "}\n"
	"network:\n"
	"  - {name: no-admin, hosts: [api.test], methods: [\"*\"], paths: [/admin/**], verdict: deny}\n"
	"  - {name: small, hosts: [api.test], methods: [POST], paths: [/small], credential: api,"
	" request_body_max: 1KiB}\n"
	"  - {name: api, hosts: [api.test], methods: [GET, POST, HEAD, PUT], credential: api}\n"
	"  - {name: other, hosts: [other.test, \"*.wild.test\", wrong.test, localhost, 127.0.0.1], "
	"methods: [GET, POST], ports: [\"*\"]}\n";

/* Members of the configuration beside the usual ones: ",\"name\":..." */
static const char *rig_more;

static void rig_json_text(struct buf *b, const char *name, const char *p, size_t n)
{
	buf_printf(b, ",\"%s\":\"", name);
	for (size_t i = 0; i < n; i++)
		if (p[i] == '\n')
			buf_put(b, STR("\\n"));
		else if (p[i] == '"' || p[i] == '\\')
			buf_printf(b, "\\%c", p[i]);
		else
			buf_put_byte(b, (uint8_t)p[i]);
	buf_put(b, STR("\""));
}

static int rig_config(const char *policy)
{
	static const char *const overridden[] = { "api.test", "other.test", "a.wild.test", "wrong.test" };
	int fd = memfd_create("config", MFD_CLOEXEC);
	auto_buf b = BUF_EMPTY;

	buf_init(&b, 1 << 20);
	buf_put(&b, STR("{\"version\":1,\"sandbox\":\"test-sandbox\",\"policy_file\":\"/w/paddock.yaml\","
			"\"person\":\"ann\",\"home\":\"/home/ann\",\"command\":[\"true\"],"
			"\"key_name\":\"paddock/test\",\"placeholders\":{\"api\":\"" PLACEHOLDER "\"}"));
	rig_json_text(&b, "policy", policy, strlen(policy));
	rig_json_text(&b, "upstream_ca", world.ca_pem, world.ca_pem_bytes);
	buf_put(&b, STR(",\"public_key\":\""));
	buf_put_hex(&b, str_make(keeper.public_key, 32));
	buf_put(&b, STR("\",\"resolve\":["));
	for (size_t i = 0; i < sizeof overridden / sizeof *overridden; i++)
		buf_printf(&b, "%s{\"host\":\"%s\",\"port\":443,\"address\":\"127.0.0.1\",\"to_port\":%u}",
			   i ? "," : "", overridden[i], world.port);
	buf_put_z(&b, "]");
	buf_put_z(&b, rig_more ? rig_more : "");
	buf_put_z(&b, "}");
	assert_int_equal(buf_err(&b), ERR_OK);
	assert_int_equal(write(fd, b.p, b.len), (ssize_t)b.len);
	lseek(fd, 0, SEEK_SET);
	return fd;
}

static const char *rig_program(void)
{
	static char path[4200];
	ssize_t n = readlink("/proc/self/exe", path, 4096);
	char *slash = n > 0 ? memrchr(path, '/', (size_t)n) : NULL;

	assert_non_null(slash);
	snprintf(slash + 1, sizeof path - (size_t)(slash + 1 - path), "paddock-courier");
	return path;
}

/* Runs in the child: descriptors from 3 up, nothing else. */
static void rig_exec(const int *fds, int count, uint64_t file_bytes_max)
{
	struct rlimit limit = { file_bytes_max, file_bytes_max };
	char *const argv[] = { (char[]){ "paddock-courier" }, NULL };
	char *const env[] = { getenv("COURIER_LOG") ? (char[]){ "PADDOCK_LOG=debug" }
						    : (char[]){ "PADDOCK_LOG=error" },
			      /* a sanitizer's search for leaks at exit needs what confinement forbids */
			      (char[]){ "ASAN_OPTIONS=detect_leaks=0:abort_on_error=1" }, NULL };

	for (int i = 0; i < count; i++)
		if (fds[i] >= 0)
			dup2(fds[i], 100 + i);
	for (int i = 0; i < count; i++)
		if (fds[i] >= 0)
			dup2(100 + i, 3 + i);
		else
			close(3 + i);
	close_range(3 + (unsigned)count, ~0u, 0);
	if (file_bytes_max)
		setrlimit(RLIMIT_FSIZE, &limit);
	execve(rig_program(), argv, env);
	_exit(127);
}

static void rig_keeper(int fd)
{
	pthread_t thread;
	size_t n = 32;

	keeper = (struct keeper_world){ .key = keeper.key };
	if (!keeper.key)
		keeper.key = EVP_PKEY_Q_keygen(NULL, NULL, "ED25519");
	assert_int_equal(EVP_PKEY_get_raw_public_key(keeper.key, keeper.public_key, &n), 1);
	pthread_create(&thread, NULL, keeper_serve, (void *)(intptr_t)fd);
	pthread_detach(thread);
}

static void rig_start(struct rig *r, const char *policy, uint64_t file_bytes_max)
{
	int net[2], keep[2], claims[2], control[2];
	struct link_limits limits = LINK_LIMITS_DEFAULT;
	char ready[64] = "";

	*r = (struct rig){ .trail_path = "/tmp/courier-test-XXXXXX" };
	assert_non_null(mkdtemp(r->trail_path));
	r->trail = open(r->trail_path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	world.trail = r->trail;
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, net), 0);
	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, keep), 0);
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, claims), 0);
	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, control), 0);
	rig_keeper(keep[0]);
	const int config = rig_config(policy);
	int decoder = rig_decoder.fd;

	if (!rig_decoder.given)
		r->decoder = decoder_start(&decoder);
	const int fds[] = { net[1], keep[1], claims[1], -1, -1, r->trail, config, control[1], decoder };

	r->courier = fork();
	if (r->courier == 0)
		rig_exec(fds, 9, file_bytes_max);
	close(net[1]);
	close(keep[1]);
	close(claims[1]);
	close(control[1]);
	close(config);
	if (!rig_decoder.given)
		close(decoder);
	r->link_fd = net[0];
	r->claims_fd = claims[0];
	r->control = control[0];
	r->link = link_new(LINK_LOWER, &limits);
	assert_true(recv(r->control, ready, sizeof ready - 1, 0) > 0);
	assert_string_equal(ready, "{\"op\":\"ready\"}");
}

static struct reply *rig_reply(struct rig *r, uint32_t stream)
{
	assert_true(stream < STREAM_MAX);
	if (!r->replies[stream]) {
		r->replies[stream] = calloc(1, sizeof(struct reply));
		buf_init(&r->replies[stream]->head_bytes, 2 * HEAD_MAX_BYTES);
		buf_init(&r->replies[stream]->trailer_bytes, HEAD_MAX_BYTES);
		buf_init(&r->replies[stream]->body, 1 << 20);
	}
	return r->replies[stream];
}

static void rig_frame(struct rig *r, const struct link_frame *f)
{
	struct reply *p = f->stream ? rig_reply(r, f->stream) : NULL;

	if (f->type == LINK_HEAD && p->has_head) {
		buf_put(&p->trailer_bytes, f->payload);
		(void)!head_decode(buf_str(&p->trailer_bytes), &p->trailers);
	} else if (f->type == LINK_HEAD) {
		buf_clear(&p->head_bytes);
		buf_put(&p->head_bytes, f->payload);
		bool canonical = head_decode(buf_str(&p->head_bytes), &p->head) == ERR_OK;

		p->interim += canonical && !p->head.final;
		p->has_head = !canonical || p->head.final;
	} else if (f->type == LINK_DATA) {
		p->data_frames++;
		p->body_bytes += f->payload.n;
		if (p->body.len < 65536)
			buf_put(&p->body, str_head(f->payload, 65536));
	} else if (f->type == LINK_END) {
		p->ended = true;
	} else if (f->type == LINK_RESET) {
		p->reset = true;
		p->reason = f->reason;
	}
	if (!r->slow && (f->type == LINK_HEAD || f->type == LINK_DATA))
		link_consumed(r->link, f->stream, f->payload.n);
}

/* One turn of the client: writes what waits, reads what is there within @ms. */
static void rig_turn(struct rig *r, int ms)
{
	static char in[128 * 1024];
	struct str out = link_output(r->link);
	struct pollfd p = { r->link_fd, (short)(POLLIN | (out.n ? POLLOUT : 0)), 0 };

	if (r->broken || poll(&p, 1, ms) <= 0)
		return;
	if (p.revents & POLLOUT) {
		ssize_t n = send(r->link_fd, out.p, out.n, MSG_DONTWAIT | MSG_NOSIGNAL);

		if (n > 0)
			link_sent(r->link, (size_t)n);
	}
	if (!(p.revents & (POLLIN | POLLHUP | POLLERR)))
		return;
	ssize_t n = recv(r->link_fd, in, sizeof in, MSG_DONTWAIT);

	if (n == 0 || (n < 0 && errno != EAGAIN)) {
		r->broken = true;
		return;
	}
	struct str input = { in, n > 0 ? (size_t)n : 0 };
	struct link_frame f;

	while (link_receive(r->link, &input, &f) == ERR_OK)
		rig_frame(r, &f);
}

static struct reply *rig_wait(struct rig *r, uint32_t stream)
{
	uint64_t until = clock_ms() + 8000;
	struct reply *p = rig_reply(r, stream);

	while (!p->ended && !p->reset && !r->broken && clock_ms() < until)
		rig_turn(r, 100);
	return p;
}

static void rig_hello(struct rig *r)
{
	for (int i = 0; i < 20 && !r->broken; i++)
		rig_turn(r, 10);
}

struct ask {
	const char *method, *host, *path;	/* NULL: GET, api.test, / */
	const char *open_host;			/* NULL: as host */
	uint16_t port;				/* 0: 443 */
	enum head_scheme scheme;		/* 0: https */
	enum head_framing framing;
	uint64_t length;
	const char *name, *value;		/* one more field */
	bool trailers;				/* announced */
	bool websocket;
	const char *body;
	bool unfinished;			/* no END */
	const char *token;			/* of a client of an explicit proxy */
};

static struct head ask_head(const struct ask *a)
{
	static char authority[HEAD_HOST_MAX + 8];
	struct head h = { .kind = HEAD_REQUEST, .scheme = a->scheme ? a->scheme : HEAD_HTTPS,
			  .port = a->port ? a->port : 443, .framing = a->framing, .length = a->length,
			  .trailers = a->trailers, .websocket = a->websocket };

	h.method = str_of(a->method ? a->method : "GET");
	h.host = str_of(a->host ? a->host : "api.test");
	h.path = str_of(a->path ? a->path : "/");
	if (h.port == (h.scheme == HEAD_HTTPS ? 443 : 80))
		snprintf(authority, sizeof authority, "%.*s", STR_FMT(h.host));
	else
		snprintf(authority, sizeof authority, "%.*s:%u", STR_FMT(h.host), h.port);
	assert_int_equal(head_add(&h, STR("host"), str_of(authority)), ERR_OK);
	if (a->name)
		assert_int_equal(head_add(&h, str_of(a->name), str_of(a->value)), ERR_OK);
	return h;
}

static uint32_t ask_open(struct rig *r, enum link_kind kind, const struct msg_connect *m)
{
	uint32_t stream = 0;
	auto_buf open = BUF_EMPTY;

	buf_init(&open, LINK_OPEN_MAX);
	msg_put_connect(&open, m);
	assert_int_equal(link_open(r->link, kind, buf_str(&open), &stream), ERR_OK);
	return stream;
}

static uint32_t ask(struct rig *r, const struct ask *a)
{
	struct head h = ask_head(a);
	struct msg_connect m = { .host = a->open_host ? str_of(a->open_host) : h.host, .port = h.port,
				 .scheme = (uint8_t)h.scheme, .connection = 7,
				 .process = { .pid = 42, .uid = 0, .exe = STR_INIT("/usr/bin/agent") } };
	if (a->token)
		m.token = str_of(a->token);
	uint32_t stream = ask_open(r, LINK_KIND_EXCHANGE, &m);
	auto_buf head = BUF_EMPTY;

	buf_init(&head, HEAD_MAX_BYTES);
	assert_int_equal(head_encode(&h, &head), ERR_OK);
	assert_int_equal(link_head(r->link, stream, buf_str(&head)), ERR_OK);
	if (a->body)
		assert_int_equal(link_data(r->link, stream, 0, str_of(a->body)), ERR_OK);
	if (!a->unfinished)
		link_end(r->link, stream);
	return stream;
}

/* Another policy, put in force; what it ends has ended then. */
static inline void rig_reload(struct rig *r, const char *policy)
{
	auto_buf b = BUF_EMPTY;
	char said[512] = "";

	buf_init(&b, 65536);
	buf_put_z(&b, "{\"op\":\"reload\"");
	rig_json_text(&b, "policy", policy, strlen(policy));
	buf_put_z(&b, "}");
	assert_int_equal(send(r->control, b.p, b.len, MSG_NOSIGNAL), (ssize_t)b.len);
	assert_true(recv(r->control, said, sizeof said - 1, 0) > 0);
	if (!strstr(said, "\"reloaded\""))
		fail_msg("%s", said);
	for (int i = 0; i < 10; i++)
		rig_turn(r, 20);
}

static inline void rig_put_client(struct buf *b, const char *name)
{
	uint8_t digest[SHA256_DIGEST_LENGTH];
	char token[64];

	snprintf(token, sizeof token, "token-of-%s", name);
	SHA256((const uint8_t *)token, strlen(token), digest);
	buf_printf(b, "\"%s\":\"", name);
	buf_put_hex(b, str_make(digest, sizeof digest));
	buf_put_z(b, "\"");
}

/* As rig_start(), for a gate with two clients: "ann" by "token-of-ann", and "bob". */
static inline void rig_start_clients(struct rig *r, const char *policy, uint64_t file_bytes_max)
{
	auto_buf clients = BUF_EMPTY;

	buf_init(&clients, 1024);
	buf_put_z(&clients, ",\"clients\":{");
	rig_put_client(&clients, "ann");
	buf_put_z(&clients, ",");
	rig_put_client(&clients, "bob");
	buf_put_z(&clients, "}");
	rig_more = buf_z(&clients);
	rig_start(r, policy, file_bytes_max);
	rig_more = NULL;
}

static inline struct reply *ask_wait(struct rig *r, const struct ask *a) { return rig_wait(r, ask(r, a)); }

/* ---- the trail ---- */

struct trail_search {
	const char *needles[4];
	unsigned count;
};

static bool trail_line(void *ctx, struct str line)
{
	struct trail_search *s = ctx;
	char z[AUDIT_RECORD_MAX + 1];

	snprintf(z, sizeof z, "%.*s", (int)line.n, line.p);
	for (int i = 0; i < 4 && s->needles[i]; i++)
		if (!strstr(z, s->needles[i]))
			return true;
	s->count++;
	return true;
}

/* How many records hold all of these texts. */
static inline unsigned trail(struct rig *r, const char *a, const char *b, const char *c)
{
	struct trail_search s = { { a, b, c, NULL }, 0 };

	assert_int_equal(audit_each(r->trail, trail_line, &s), ERR_OK);
	return s.count;
}

/* Turns until that many requests have arrived: none of them can then reach the next test. */
static inline void rig_arrived(struct rig *r, unsigned requests)
{
	uint64_t until = clock_ms() + 8000;

	while (__atomic_load_n(&world.requests, __ATOMIC_SEQ_CST) < requests && clock_ms() < until)
		rig_turn(r, 20);
	assert_int_equal(world.requests, requests);
}

/* Turns until a record holds all of these texts, for some seconds at most. */
static inline void rig_until(struct rig *r, const char *a, const char *b, const char *c)
{
	uint64_t until = clock_ms() + 8000;

	while (!trail(r, a, b, c) && clock_ms() < until) {
		rig_turn(r, 20);
		usleep(5000);
	}
	assert_true(trail(r, a, b, c) > 0);
}

static void rig_stop(struct rig *r)
{
	static const char stop[] = "{\"op\":\"stop\",\"result\":\"OK\",\"exit_code\":0}";
	struct audit_report report;
	int status = -1;

	assert_int_equal(send(r->control, stop, sizeof stop - 1, MSG_NOSIGNAL), (ssize_t)sizeof stop - 1);
	assert_int_equal(waitpid(r->courier, &status, 0), r->courier);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 0);
	assert_int_equal(audit_verify(r->trail, STR("test-sandbox"), keeper.public_key, &report), ERR_OK);
	assert_true(report.stopped);
	assert_int_equal(report.open_intents, 0);
	assert_int_equal(report.intents, report.outcomes);
}

static void rig_free(struct rig *r)
{
	DIR *d = fdopendir(dup(r->trail));
	struct dirent *e;
	int status;

	kill(r->courier, SIGKILL);
	while (waitpid(r->courier, NULL, 0) > 0)
		;
	if (r->decoder) {	/* the courier's end is its end */
		assert_int_equal(waitpid(r->decoder, &status, 0), r->decoder);
		assert_true(WIFSIGNALED(status) || (WIFEXITED(status) && WEXITSTATUS(status) == 0));
	}
	while ((e = readdir(d)))
		if (e->d_name[0] != '.')
			unlinkat(r->trail, e->d_name, 0);
	closedir(d);
	rmdir(r->trail_path);
	for (int i = 0; i < STREAM_MAX; i++)
		if (r->replies[i]) {
			buf_free(&r->replies[i]->head_bytes);
			buf_free(&r->replies[i]->trailer_bytes);
			buf_free(&r->replies[i]->body);
			free(r->replies[i]);
		}
	link_free(r->link);
	close(r->link_fd);
	close(r->claims_fd);
	close(r->control);
	close(r->trail);
}
