/* upstream.c - connections to upstreams
 *
 * Theory of operation: RESOLVE -> CONNECT (address after address) -> HANDSHAKE -> READY -> kept or
 * gone. Which addresses may be dialled is decided when they are known, by the rule of the exchange
 * that asks, and the bytes that were judged are the bytes that go to connect(): nothing is looked
 * up twice. A kept connection is judged again by the rule of the exchange that would reuse it.
 * Interest in events is derived from state in upstream_interest() alone: reading stops when the owner
 * does not ask for more, so that backpressure reaches the upstream (I7). To be deaf costs a system call, and
 * to listen again two: so that is done only when something came that nobody had asked for yet. What was found
 * empty is not read again before the loop says that there is something.
 * Failure: the status says why; the owner releases. Every state but READY has a deadline here;
 * READY's are the owner's.
 */
#include "courier/upstream_connection.h"

#include "base/clock.h"

#include <errno.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <unistd.h>

struct upstream {
	struct upstream_options options;
	struct resolver *resolver;
	struct upstream_connection *all;
	uint32_t idle;
};

static void advance(struct upstream_connection *c);

enum err upstream_new(const struct upstream_options *o, struct upstream **ret)
{
	struct upstream *u = calloc(1, sizeof *u);

	if (!u)
		return ERR_MEMORY;
	u->options = *o;
	enum err e = resolver_new(o->loop, &u->resolver);

	if (e != ERR_OK) {
		free(u);
		return e;
	}
	*ret = u;
	return ERR_OK;
}

/* ---- a connection's socket and memory ---- */

static void poll_closed(uv_handle_t *h) { free(h); }

static void socket_close(struct upstream_connection *c)
{
	if (c->poll)
		uv_close((uv_handle_t *)c->poll, poll_closed);
	c->poll = NULL;
	c->events = 0;
	if (c->fd >= 0)
		close(c->fd);
	c->fd = -1;
}

static void destroy(struct upstream_connection *c)
{
	if (c->state == IDLE)
		c->upstream->idle--;
	resolve_cancel(c->query);
	socket_close(c);
	upstream_tls_free(c->tls);
	*c->at = c->next;
	if (c->next)
		c->next->at = c->at;
	free(c);
}

void upstream_free(struct upstream *u)
{
	if (!u)
		return;
	for (struct upstream_connection *c = u->all, *next; c; c = next) {
		next = c->next;
		destroy(c);
	}
	resolver_free(u->resolver);
	free(u);
}

static void fail(struct upstream_connection *c, enum err why, const char *reason)
{
	c->state = FAILED;
	c->error = why;
	c->reason = reason;
	c->deadline_ms = UINT64_MAX;
	resolve_cancel(c->query);
	c->query = NULL;
	socket_close(c);
}

static void poll_ready(uv_poll_t *poll, int status, int events);

/* What this connection wants to hear of, from its state: the only place that says so. */
void upstream_interest(struct upstream_connection *c)
{
	int events = 0;

	if (!c->poll)
		return;
	if (c->state == CONNECT)
		events = UV_WRITABLE;
	else if (c->state == HANDSHAKE || c->state == IDLE)
		events = UV_READABLE;
	else if (c->state == READY)
		events = (c->quiet ? 0 : UV_READABLE) | (c->blocked ? UV_WRITABLE : 0);
	if (c->tls && c->state != IDLE && upstream_tls_output(c->tls).n)
		events |= UV_WRITABLE;
	if (events == c->events)
		return;
	c->events = events;
	if (events)
		uv_poll_start(c->poll, events, poll_ready);
	else
		uv_poll_stop(c->poll);
}

/* ---- dialling ---- */

static bool connect_next(struct upstream_connection *c)
{
	const struct address *a = &c->addresses[c->address_next++];
	struct sockaddr_storage to;
	socklen_t to_bytes = address_socket(a, c->dial_port, &to);
	int one = 1;

	c->fd = socket(to.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (c->fd < 0)
		return false;
	setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
	if (connect(c->fd, (struct sockaddr *)&to, to_bytes) && errno != EINPROGRESS)
		return false;
	c->poll = calloc(1, sizeof *c->poll);
	if (!c->poll)
		return false;
	if (uv_poll_init(c->upstream->options.loop, c->poll, c->fd)) {
		free(c->poll);
		c->poll = NULL;
		return false;
	}
	c->poll->data = c;
	c->attempt_deadline_ms = clock_ms() + UPSTREAM_ATTEMPT_MS;
	return true;
}

static void connect_any(struct upstream_connection *c)
{
	c->state = CONNECT;
	while (c->address_next < c->address_count) {
		socket_close(c);
		if (connect_next(c)) {
			upstream_interest(c);
			return;
		}
	}
	fail(c, ERR_DIAL, "no address of the upstream accepts a connection");
}

static void resolved(void *user, enum err result, const struct address *addresses, uint32_t count)
{
	struct upstream_connection *c = user;

	c->query = NULL;
	if (result != ERR_OK) {
		fail(c, result, "");
		return advance(c);
	}
	for (uint32_t i = 0; i < count; i++)
		if (address_admit(&addresses[i], c->rule) == ERR_OK)
			c->addresses[c->address_count++] = addresses[i];
	if (c->address_count == 0)
		fail(c, ERR_ADDRESS_REFUSED, "");
	else
		connect_any(c);
	if (c->state == FAILED)
		advance(c);
}

/* Tells the owner, unless it is still inside upstream_dial(). May free @c. */
static void advance(struct upstream_connection *c)
{
	if (c->changed)
		c->changed(c->user);
}

static const struct resolve_override *override_of(const struct upstream *u, struct str host, uint16_t port)
{
	for (uint32_t i = 0; i < u->options.override_count; i++)
		if (u->options.overrides[i].port == port && str_eq(u->options.overrides[i].host, host))
			return &u->options.overrides[i];
	return NULL;
}

static enum err locate(struct upstream_connection *c)
{
	struct str host = { c->host, c->host_bytes };
	const struct resolve_override *o = override_of(c->upstream, host, c->port);
	struct address literal;

	c->dial_port = c->port;
	if (o) {
		c->overridden = true;
		c->dial_port = o->to_port;
		c->addresses[c->address_count++] = o->address;
		connect_any(c);
	} else if (host_type(host) == HOST_NAME) {
		return resolve_start(c->upstream->resolver, host, c->client, resolved, c, &c->query);
	} else if (!address_parse(host, &literal) || address_admit(&literal, c->rule) != ERR_OK) {
		fail(c, ERR_ADDRESS_REFUSED, "");
	} else {
		c->addresses[c->address_count++] = literal;
		connect_any(c);
	}
	return ERR_OK;
}

/* ---- reuse ---- */

/* Nothing may have come on a kept connection: neither an end nor an answer to no question. */
static bool quiet(const struct upstream_connection *c)
{
	char byte;

	return recv(c->fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT) < 0 &&
	       (errno == EAGAIN || errno == EWOULDBLOCK);
}

bool upstream_matches(const struct upstream_connection *c, const struct upstream_target *t)
{
	return c->scheme == t->scheme && c->port == t->port && c->pool == t->pool && c->client == t->client &&
	       str_eq(str_make(c->host, c->host_bytes), t->host) &&
	       (c->overridden || address_admit(&c->addresses[c->address_next - 1], t->rule) == ERR_OK);
}

void upstream_own(struct upstream_connection *c, void (*changed)(void *user), void *user)
{
	c->changed = changed;
	c->user = user;
}

static struct upstream_connection *kept(struct upstream *u, const struct upstream_target *t)
{
	uint64_t now = clock_ms();

	for (struct upstream_connection *c = u->all; c; c = c->next) {
		if (c->state != IDLE || !upstream_matches(c, t))
			continue;
		if (!t->repeatable && c->deadline_ms - now < UPSTREAM_IDLE_MS - UPSTREAM_IDLE_BODY_MS)
			continue;
		if (quiet(c))
			return c;
	}
	return NULL;
}

void upstream_drop(struct upstream *u, uint32_t credential)
{
	for (struct upstream_connection *c = u->all, *next; c; c = next) {
		next = c->next;
		if (c->state == IDLE && c->credential == credential)
			destroy(c);
	}
}

enum err upstream_dial(struct upstream *u, const struct upstream_target *t, void (*changed)(void *user),
		       void *user, struct upstream_connection **ret)
{
	struct upstream_connection *c = t->fresh ? NULL : kept(u, t);

	if (c) {
		u->idle--;
		c->state = READY;
		c->reused = true;
		c->starved = true;	/* had it more, it would have been told while it was kept */
		c->deadline_ms = UINT64_MAX;
		c->changed = changed;
		c->user = user;
		upstream_interest(c);
		*ret = c;
		return ERR_OK;
	}
	c = calloc(1, sizeof *c);
	if (!c || t->host.n > HEAD_HOST_MAX) {
		free(c);
		return ERR_MEMORY;
	}
	*c = (struct upstream_connection){ .upstream = u, .scheme = t->scheme, .port = t->port, .fd = -1,
					   .pool = t->pool, .client = t->client, .credential = t->credential,
					   .certificate = t->certificate, .http1_only = t->http1_only,
					   .rule = t->rule,
					   .host_bytes = t->host.n, .reason = "" };
	memcpy(c->host, t->host.p, t->host.n);
	c->deadline_ms = clock_ms() + UPSTREAM_CONNECT_MS;
	c->next = u->all;
	c->at = &u->all;
	if (c->next)
		c->next->at = &c->next;
	u->all = c;
	enum err e = locate(c);

	if (e != ERR_OK) {
		destroy(c);
		return e;
	}
	c->changed = changed;
	c->user = user;
	*ret = c;
	return ERR_OK;
}

void upstream_release(struct upstream_connection *c, bool keep)
{
	/* What has come already and was not asked for would be the answer to the next question. */
	if (!keep || c->state != READY || c->upstream->idle >= UPSTREAM_IDLE_MAX || c->eof ||
	    (c->tls && (upstream_tls_output(c->tls).n || upstream_tls_pending(c->tls)))) {
		destroy(c);
		return;
	}
	c->state = IDLE;
	c->upstream->idle++;
	c->changed = NULL;
	c->user = NULL;
	c->rule = NULL;
	c->starved = c->blocked = c->quiet = false;
	c->deadline_ms = clock_ms() + UPSTREAM_IDLE_MS;
	upstream_interest(c);
}

/* ---- events ---- */

static void handshake(struct upstream_connection *c)
{
	for (;;) {
		enum err e = upstream_tls_handshake(c->tls), f = upstream_flush(c);

		if (e == ERR_OK) {
			c->state = READY;
			c->deadline_ms = UINT64_MAX;
			c->rule = NULL;
			return;
		}
		if (e == ERR_MORE && f != ERR_OK && f != ERR_MORE)
			e = f;
		if (e == ERR_MORE)
			e = upstream_feed(c);
		if (e == ERR_MORE)
			return;
		if (e == ERR_UPSTREAM_TLS)
			return fail(c, e, upstream_tls_reason(c->tls));
		if (e != ERR_OK)
			return fail(c, e == ERR_UPSTREAM_CLOSED ? ERR_DIAL : e,
				    "the upstream closed during the TLS handshake");
	}
}

static void connected(struct upstream_connection *c)
{
	int error = 0;
	socklen_t size = sizeof error;

	if (getsockopt(c->fd, SOL_SOCKET, SO_ERROR, &error, &size) || error)
		return connect_any(c);
	if (c->scheme != HEAD_HTTPS) {
		c->state = READY;
		c->deadline_ms = UINT64_MAX;
		c->rule = NULL;
		return;
	}
	const struct upstream_tls_options o = { .host = { c->host, c->host_bytes },
						.http1_only = c->http1_only,
						.certificate = c->certificate };
	enum err e = upstream_tls_new(c->upstream->options.tls, &o, &c->tls);

	c->certificate = (struct str){ NULL, 0 };
	if (e != ERR_OK)
		return fail(c, e, e == ERR_CREDENTIAL ? "its client certificate cannot be used" : "");
	c->state = HANDSHAKE;
	c->deadline_ms = clock_ms() + UPSTREAM_TLS_MS;
	handshake(c);
}

/* A READY connection: what the owner waited for is here, or some of our output went out. */
static bool ready(struct upstream_connection *c, int status, int events)
{
	enum err e = upstream_flush(c);

	if (status < 0 || (e != ERR_OK && e != ERR_MORE))
		events = UV_READABLE | UV_WRITABLE;	/* the owner's next call meets the failure */
	bool told = (c->starved && (events & UV_READABLE)) ||
		    (c->blocked && (events & UV_WRITABLE) && e != ERR_MORE);

	if ((events & UV_READABLE) && !c->starved)
		c->quiet = true;
	if (events & UV_READABLE)
		c->starved = false;
	if ((events & UV_WRITABLE) && e != ERR_MORE)
		c->blocked = false;
	return told;
}

static void poll_ready(uv_poll_t *poll, int status, int events)
{
	struct upstream_connection *c = poll->data;
	bool told = true;

	c->drained = false;
	if (c->state == IDLE) {
		destroy(c);	/* closed by the upstream, or it speaks unasked */
		return;
	}
	enum upstream_state before = c->state;

	if (before == CONNECT)
		connected(c);
	else if (before == HANDSHAKE)
		handshake(c);
	else
		told = ready(c, status, events);
	upstream_interest(c);
	if (told && (before == READY || c->state == READY || c->state == FAILED))
		advance(c);
}

void upstream_tick(struct upstream *u, uint64_t now_ms)
{
	for (struct upstream_connection *c = u->all, *next; c; c = next) {
		next = c->next;
		if (c->state == IDLE && now_ms >= c->deadline_ms) {
			destroy(c);
		} else if (c->state == CONNECT && now_ms >= c->attempt_deadline_ms &&
			   now_ms < c->deadline_ms && c->address_next < c->address_count) {
			connect_any(c);
			if (c->state == FAILED) {
				advance(c);
				next = u->all;
			}
		} else if (c->state < READY && now_ms >= c->deadline_ms) {
			fail(c, ERR_UPSTREAM_TIMEOUT, "");
			advance(c);	/* the owner releases it, and may dial: begin anew */
			next = u->all;
		}
	}
}

/* ---- questions ---- */

enum err upstream_status(const struct upstream_connection *c)
{
	return c->state == READY ? ERR_OK : c->state == FAILED ? c->error : ERR_MORE;
}

const char *upstream_reason(const struct upstream_connection *c) { return c->reason ? c->reason : ""; }
bool upstream_reused(const struct upstream_connection *c) { return c->reused; }
bool upstream_overridden(const struct upstream_connection *c) { return c->overridden; }

bool upstream_http2(const struct upstream_connection *c) { return c->tls && upstream_tls_http2(c->tls); }

bool upstream_no_protocol(const struct upstream_connection *c)
{
	return c->state == FAILED && c->tls && upstream_tls_no_protocol(c->tls);
}

const struct address *upstream_address(const struct upstream_connection *c)
{
	return &c->addresses[c->address_next ? c->address_next - 1 : 0];
}
