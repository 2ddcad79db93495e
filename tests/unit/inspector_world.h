/* inspector_world.h - a guest and a courier around an inspector, for its tests
 *
 * Both are links in the test's own loop. The courier answers by the path that is asked for; the guest
 * keeps what comes on each of its streams. The inspector runs in the same loop, or, if the test was
 * given the program's path, as the confined process that it is.
 */
#pragma once

#include "inspector/inspector.h"
#include "tls/mint.h"
#include "wire/dns.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include "base/clock.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#define STREAMS_MAX 4096
#define CLAIMS_MAX 64
#define PATIENCE_MS 10000

struct guest_stream {
	struct buf got;
	bool ended, reset, keep_credit;
	enum err reason;
};

struct courier_stream {
	enum link_kind kind;
	struct buf opened, head, body, trailers;
	bool ended, answered, reset;
	enum err reason;
};

struct seen_claim {
	enum claim_kind kind;
	enum err result;
	char host[64], text[128], exe[64];
};

struct world {
	uv_loop_t loop;
	uv_timer_t tick;
	struct channel *guest, *courier;
	struct inspector inspector;
	struct guest_tls_context *tls;
	struct mint *mint;
	pid_t child;
	bool ready, over, mute_names;
	bool keep_uploads;	/* no credit for request bodies */
	enum err why, ends_with;	/* how it ended; how the test has it end */
	unsigned exchanges, names, leaves, claim_count;
	struct seen_claim claims[CLAIMS_MAX];
	struct guest_stream guest_streams[STREAMS_MAX];
	struct courier_stream courier_streams[STREAMS_MAX];
	uint32_t last_exchange;
};

static struct world w;
static uint32_t guest_window = LINK_WINDOW_BYTES;	/* a test's own, before world_begin() */
static const char *inspector_program;	/* NULL: in this process */

static struct link *guest_link(void) { return channel_link(w.guest); }
static struct link *upper_link(void) { return channel_link(w.courier); }

static void ignore_tick(uv_timer_t *t) { (void)t; }

/* Turns the loop until @condition holds; fails after PATIENCE_MS. */
#define RUN_UNTIL(condition)                                                        \
	do {                                                                        \
		uint64_t end_ = clock_ms() + PATIENCE_MS;                           \
		while (!(condition)) {                                              \
			(void)uv_run(&w.loop, UV_RUN_ONCE);                         \
			if (clock_ms() > end_)                                      \
				fail_msg("this never came: %s", #condition);        \
		}                                                                   \
	} while (0)

/* -- the courier ------------------------------------------------------------------------ */

static void courier_head(uint32_t stream, uint16_t status, enum head_framing framing, uint64_t length)
{
	struct head h = { .kind = HEAD_RESPONSE, .status = status, .final = status >= 200, .framing = framing,
			  .length = length, .trailers = framing == HEAD_BODY_STREAMED };
	auto_buf b = BUF_EMPTY;

	buf_init(&b, HEAD_MAX_BYTES);
	assert_int_equal(head_add(&h, STR("x-from"), STR("courier")), ERR_OK);
	assert_int_equal(head_encode(&h, &b), ERR_OK);
	assert_int_equal(link_head(upper_link(), stream, buf_str(&b)), ERR_OK);
}

static void courier_trailers(uint32_t stream)
{
	struct head h = { .kind = HEAD_TRAILERS };
	auto_buf b = BUF_EMPTY;

	buf_init(&b, HEAD_MAX_BYTES);
	assert_int_equal(head_add(&h, STR("x-sum"), STR("7")), ERR_OK);
	assert_int_equal(head_encode(&h, &b), ERR_OK);
	assert_int_equal(link_head(upper_link(), stream, buf_str(&b)), ERR_OK);
}

static void courier_data(uint32_t stream, struct str s)
{
	assert_int_equal(link_data(upper_link(), stream, 0, s), ERR_OK);
}

static void courier_status(uint32_t stream, const struct msg_status *s)
{
	auto_buf b = BUF_EMPTY;

	buf_init(&b, 8192);
	msg_put_status(&b, s);
	assert_int_equal(buf_err(&b), ERR_OK);
	assert_int_equal(link_head(upper_link(), stream, buf_str(&b)), ERR_OK);
	link_end(upper_link(), stream);
}

static struct courier_stream *courier_stream(uint32_t stream)
{
	assert_true(stream < STREAMS_MAX);
	return &w.courier_streams[stream];
}

static void courier_name(uint32_t stream, const struct msg_connect *m)
{
	bool yes = str_ends(m->host, STR(".example")), raw = str_starts(m->host, STR("raw."));

	w.names++;
	if (!w.mute_names)
		courier_status(stream, &(struct msg_status){ .has_verdict = true, .verdict = yes,
							     .has_tunnel = true,
							     .tunnel = raw ? MSG_TUNNEL_TCP : MSG_TUNNEL_OPENED });
}

static void courier_leaf(uint32_t stream, const struct msg_connect *m)
{
	auto_buf der = BUF_EMPTY;

	w.leaves++;
	buf_init(&der, MINT_LEAF_MAX_BYTES);
	assert_int_equal(m->public_key.n, MINT_POINT_BYTES);
	assert_int_equal(mint_leaf(w.mint, m->host, (const uint8_t *)m->public_key.p, &der), ERR_OK);
	courier_status(stream, &(struct msg_status){ .certificate = buf_str(&der) });
}

/* A WebSocket: granted, and then the test's. */
static void courier_grant(uint32_t stream)
{
	struct head h = { .kind = HEAD_RESPONSE, .status = 200, .final = true, .websocket = true };
	auto_buf b = BUF_EMPTY;

	buf_init(&b, HEAD_MAX_BYTES);
	assert_int_equal(head_add(&h, STR("sec-websocket-protocol"), STR("chat")), ERR_OK);
	assert_int_equal(head_encode(&h, &b), ERR_OK);
	assert_int_equal(link_head(upper_link(), stream, buf_str(&b)), ERR_OK);
}

/* What is answered as soon as the head is there. */
static void courier_at_head(uint32_t stream, struct courier_stream *x, const struct head *h)
{
	if (str_eq(h->path, STR("/early"))) {
		courier_head(stream, 403, HEAD_BODY_LENGTH, 3);
		courier_data(stream, STR("no\n"));
		link_end(upper_link(), stream);
	} else if (str_eq(h->path, STR("/reset"))) {
		link_reset(upper_link(), stream, ERR_RESOLVE);
	} else if (h->websocket && str_eq(h->path, STR("/socket"))) {
		courier_grant(stream);
	} else if (str_eq(h->path, STR("/silent"))) {
		;
	} else {
		return;
	}
	x->answered = true;
}

static void courier_at_end(uint32_t stream, struct courier_stream *x, const struct head *h)
{
	if (str_eq(h->path, STR("/stream"))) {
		courier_head(stream, 103, HEAD_BODY_NONE, 0);
		courier_head(stream, 200, HEAD_BODY_STREAMED, 0);
		courier_data(stream, STR("one,"));
		courier_data(stream, STR("two"));
		courier_trailers(stream);
	} else if (str_eq(h->path, STR("/open"))) {	/* the test goes on by itself */
		courier_head(stream, 200, HEAD_BODY_STREAMED, 0);
		courier_data(stream, STR("data: 1\n\n"));
		return;
	} else if (str_eq(h->path, STR("/midway"))) {
		courier_head(stream, 200, HEAD_BODY_LENGTH, 100);
		courier_data(stream, STR("some"));
		link_reset(upper_link(), stream, ERR_UPSTREAM_CLOSED);
	} else if (str_eq(h->path, STR("/short"))) {
		courier_head(stream, 200, HEAD_BODY_LENGTH, 100);
		courier_data(stream, STR("some"));
	} else if (str_eq(h->path, STR("/long"))) {
		courier_head(stream, 200, HEAD_BODY_LENGTH, 1);
		courier_data(stream, STR("some"));
	} else if (str_eq(h->path, STR("/nothing"))) {
		courier_head(stream, 204, HEAD_BODY_NONE, 0);
	} else if (str_eq(h->method, STR("HEAD"))) {
		courier_head(stream, 200, HEAD_BODY_LENGTH, 1234);
	} else if (x->body.len) {
		courier_head(stream, 200, HEAD_BODY_LENGTH, x->body.len);
		courier_data(stream, str_head(buf_str(&x->body), LINK_PAYLOAD_MAX));
	} else {
		courier_head(stream, 200, HEAD_BODY_LENGTH, 5);
		courier_data(stream, STR("hello"));
	}
	link_end(upper_link(), stream);
}

static void courier_exchange(uint32_t stream, struct courier_stream *x)
{
	struct head h;

	if (x->answered || x->head.len == 0)
		return;
	assert_int_equal(head_decode(buf_str(&x->head), &h), ERR_OK);
	courier_at_head(stream, x, &h);
	if (x->answered || !x->ended)
		return;
	x->answered = true;
	courier_at_end(stream, x, &h);
}

static void courier_claim(struct str payload)
{
	struct seen_claim *s = &w.claims[w.claim_count % CLAIMS_MAX];
	struct msg_claim m;

	assert_int_equal(msg_get_claim(payload, &m), ERR_OK);
	*s = (struct seen_claim){ .kind = m.kind, .result = m.result };
	(void)snprintf(s->host, sizeof s->host, "%.*s", STR_FMT(m.host));
	(void)snprintf(s->text, sizeof s->text, "%.*s", STR_FMT(m.text));
	(void)snprintf(s->exe, sizeof s->exe, "%.*s", STR_FMT(m.process.exe));
	w.claim_count++;
}

static void courier_open(const struct link_frame *f)
{
	struct courier_stream *x = courier_stream(f->stream);
	struct msg_connect m;

	x->kind = f->kind;
	buf_init(&x->opened, LINK_OPEN_MAX);
	buf_init(&x->head, HEAD_MAX_BYTES);
	buf_init(&x->trailers, HEAD_MAX_BYTES);
	buf_init(&x->body, 16 * 1024 * 1024);
	buf_put(&x->opened, f->payload);
	if (f->kind == LINK_KIND_CLAIMS)
		return;
	assert_int_equal(msg_get_connect(buf_str(&x->opened), &m), ERR_OK);
	if (f->kind == LINK_KIND_NAME) {
		courier_name(f->stream, &m);
	} else if (f->kind == LINK_KIND_LEAF) {
		courier_leaf(f->stream, &m);
	} else {
		assert_true(f->kind == LINK_KIND_EXCHANGE || f->kind == LINK_KIND_TUNNEL);
		w.exchanges++;
		w.last_exchange = f->stream;
	}
}

static void courier_frame(void *user, const struct link_frame *f)
{
	struct courier_stream *x = courier_stream(f->stream);

	(void)user;
	if (f->type == LINK_OPEN)
		courier_open(f);
	if (f->type == LINK_HEAD || (f->type == LINK_DATA && !w.keep_uploads))
		link_consumed(upper_link(), f->stream, f->payload.n);
	if (f->type == LINK_HEAD && x->kind == LINK_KIND_CLAIMS)
		courier_claim(f->payload);
	else if (f->type == LINK_HEAD)
		buf_put(x->head.len ? &x->trailers : &x->head, f->payload);
	if (f->type == LINK_DATA)
		buf_put(&x->body, f->payload);
	if (f->type == LINK_END)
		x->ended = true;
	if (f->type == LINK_RESET) {
		x->reset = x->answered = true;
		x->reason = f->reason;
	}
	if (f->type != LINK_HELLO && f->type != LINK_CREDIT && x->kind == LINK_KIND_EXCHANGE)
		courier_exchange(f->stream, x);
	channel_flush(w.courier);
}

/* -- the guest -------------------------------------------------------------------------- */

static void guest_frame(void *user, const struct link_frame *f)
{
	struct guest_stream *g = &w.guest_streams[f->stream % STREAMS_MAX];

	(void)user;
	w.ready |= f->type == LINK_HELLO;
	if (f->type == LINK_DATA) {
		buf_put(&g->got, f->payload);
		if (!g->keep_credit)
			link_consumed(guest_link(), f->stream, f->payload.n);
	}
	g->ended |= f->type == LINK_END;
	if (f->type == LINK_RESET) {
		g->reset = true;
		g->reason = f->reason;
	}
	channel_flush(w.guest);
}

static uint32_t guest_open(enum link_kind kind, struct str address, uint16_t port)
{
	struct msg_connect m = { .address = address, .port = port,
				 .process = { .pid = 7, .uid = 1000, .exe = STR("/usr/bin/curl") } };
	auto_buf b = BUF_EMPTY;
	uint32_t stream;

	buf_init(&b, LINK_OPEN_MAX);
	msg_put_connect(&b, &m);
	assert_int_equal(link_open(guest_link(), kind, buf_str(&b), &stream), ERR_OK);
	assert_true(stream < STREAMS_MAX);
	buf_init(&w.guest_streams[stream].got, 16 * 1024 * 1024);
	channel_flush(w.guest);
	return stream;
}

static void guest_send(uint32_t stream, struct str s)
{
	while (s.n) {
		size_t n = link_sendable(guest_link(), stream);

		if (n == 0) {
			channel_flush(w.guest);
			(void)uv_run(&w.loop, UV_RUN_ONCE);
			if (!link_is_open(guest_link(), stream))
				return;		/* reset meanwhile: the test sees it */
			continue;
		}
		assert_int_equal(link_data(guest_link(), stream, 0, str_head(s, n)), ERR_OK);
		s = str_from(s, n);
	}
	channel_flush(w.guest);
}

static void guest_end(uint32_t stream)
{
	link_end(guest_link(), stream);
	channel_flush(w.guest);
}

static struct guest_stream *guest(uint32_t stream) { return &w.guest_streams[stream]; }

static bool guest_got(uint32_t stream, const char *text)
{
	const struct buf *b = &guest(stream)->got;

	return b->len && memmem(b->p, b->len, text, strlen(text));
}

static bool claimed(enum claim_kind kind, enum err result)
{
	for (unsigned i = 0; i < w.claim_count && i < CLAIMS_MAX; i++)
		if (w.claims[i].kind == kind && w.claims[i].result == result)
			return true;
	return false;
}

/* -- beginning and end ------------------------------------------------------------------- */

static void peer_closed(void *user, enum err why)
{
	(void)user;
	(void)why;
}

static void inspector_over(void *context, enum err why)
{
	(void)context;
	w.over = true;
	w.why = why;
}

static void start_program(int net, int courier)
{
	w.child = fork();
	assert_true(w.child >= 0);
	if (w.child > 0) {
		close(net);
		close(courier);
		return;
	}
	if (dup2(net, 30) < 0 || dup2(courier, 31) < 0 || dup2(30, 3) < 0 || dup2(31, 4) < 0)
		_exit(99);
	(void)close_range(5, ~0u, 0);
	execl(inspector_program, inspector_program, (char *)NULL);
	_exit(98);
}

/* @net: what the inspector's clients come by */
static void world_start(int net, const struct inspector_limits *limits)
{
	static const struct channel_ops upper_ops = { .frame = courier_frame, .closed = peer_closed };
	int inner[2];

	w = (struct world){ 0 };
	assert_int_equal(uv_loop_init(&w.loop), 0);
	assert_int_equal(uv_timer_init(&w.loop, &w.tick), 0);
	assert_int_equal(uv_timer_start(&w.tick, ignore_tick, 5, 5), 0);
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, inner), 0);
	assert_int_equal(mint_new(STR("test"), clock_unix_ns() / 1000000000u, 7, &w.mint), ERR_OK);
	if (inspector_program) {
		start_program(net, inner[1]);
	} else {
		assert_int_equal(guest_tls_context_new(&w.tls), ERR_OK);
		assert_int_equal(inspector_start(&w.inspector, &w.loop, net, inner[1], w.tls, limits,
						 inspector_over, NULL), ERR_OK);
	}
	w.courier =
		channel_new(&w.loop, inner[0], link_new(LINK_UPPER, &LINK_LIMITS_DEFAULT), &upper_ops, NULL);
	assert_non_null(w.courier);
}

static inline void world_begin(const struct inspector_limits *limits)
{
	static const struct channel_ops guest_ops = { .frame = guest_frame, .closed = peer_closed };
	struct link_limits guest_limits = LINK_LIMITS_DEFAULT;
	int net[2];

	guest_limits.window_bytes = guest_window;

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, net), 0);
	world_start(net[1], limits);
	w.guest = channel_new(&w.loop, net[0], link_new(LINK_LOWER, &guest_limits), &guest_ops, NULL);
	assert_non_null(w.guest);
	RUN_UNTIL(w.ready);
}

static void world_end(void)
{
	int status = 0;

	if (w.guest)
		channel_close(w.guest);
	if (w.child) {
		RUN_UNTIL(waitpid(w.child, &status, WNOHANG) == w.child);
		assert_true(WIFEXITED(status) && WEXITSTATUS(status) == (w.ends_with != ERR_OK));
	} else {
		RUN_UNTIL(w.over);
		assert_int_equal(w.why, w.ends_with);
	}
	channel_close(w.courier);
	uv_close((uv_handle_t *)&w.tick, NULL);
	while (uv_run(&w.loop, UV_RUN_DEFAULT))
		;
	assert_int_equal(uv_loop_close(&w.loop), 0);
	if (!w.child)
		inspector_free(&w.inspector);
	guest_tls_context_free(w.tls);
	mint_free(w.mint);
	for (unsigned i = 0; i < STREAMS_MAX; i++) {
		buf_free(&w.guest_streams[i].got);
		buf_free(&w.courier_streams[i].opened);
		buf_free(&w.courier_streams[i].head);
		buf_free(&w.courier_streams[i].body);
		buf_free(&w.courier_streams[i].trailers);
	}
}

static int end(void **state)
{
	(void)state;
	world_end();
	return 0;
}

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SANITIZED true
#elif defined(__has_feature)
#define SANITIZED (__has_feature(address_sanitizer) || __has_feature(memory_sanitizer))
#else
#define SANITIZED false
#endif

/* The confined process, which lies beside the test. A
 * sanitizer's own system calls do not pass the confinement. */
static inline const char *program_beside(void)
{
	static char path[4096];
	ssize_t n = readlink("/proc/self/exe", path, sizeof path - sizeof "paddock-inspector");
	char *slash = n > 0 ? strrchr(path, '/') : NULL;

	assert_non_null(slash);
	memcpy(slash + 1, "paddock-inspector", sizeof "paddock-inspector");
	return path;
}

/* -- what a guest does ------------------------------------------------------------------- */

static uint32_t ask_dns(const char *name, uint16_t type)
{
	uint32_t stream = guest_open(LINK_KIND_DNS, STR(""), 0);
	auto_buf b = BUF_EMPTY;

	buf_init(&b, 1024);
	buf_put(&b, STR("\x12\x34\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00"));
	for (struct str rest = str_of(name); rest.n;) {
		size_t dot = str_find(rest, '.');

		buf_put_byte(&b, (uint8_t)dot);
		buf_put(&b, str_head(rest, dot));
		rest = str_from(rest, dot + 1);
	}
	buf_put_byte(&b, 0);
	buf_put_u16be(&b, type);
	buf_put_u16be(&b, 1);
	guest_send(stream, buf_str(&b));
	guest_end(stream);
	return stream;
}

static unsigned rcode(uint32_t stream) { return guest(stream)->got.p[3] & 15; }

/* The synthetic address of @name, @n bytes. */
static void resolve(const char *name, uint16_t type, char *ret, size_t n)
{
	uint32_t s = ask_dns(name, type);

	RUN_UNTIL(guest(s)->ended);
	assert_int_equal(rcode(s), 0);
	assert_true(guest(s)->got.len > n);
	memcpy(ret, guest(s)->got.p + guest(s)->got.len - n, n);
}

static uint32_t connect_to(const char *name, uint16_t port)
{
	char address[4];

	resolve(name, DNS_TYPE_A, address, 4);
	return guest_open(LINK_KIND_TCP, str_make(address, 4), port);
}

static inline uint32_t fetch(const char *request)
{
	uint32_t s = connect_to("api.example", 80);

	guest_send(s, str_of(request));
	return s;
}

#define HOST "Host: api.example\r\n"

static inline void assert_got(uint32_t s, const char *text)
{
	if (!guest_got(s, text))
		fail_msg("\"%s\" is not in: %.*s", text, (int)guest(s)->got.len, guest(s)->got.p);
}
