/* carrier.c - one exchange's way to its upstream: had, dialled, or waited for
 *
 * Theory of operation: a carrier begins with a stream of an HTTP/2 connection that is there, or with a
 * connection of its own that is being dialled, or waits for what becomes of another's (its lead): many
 * requests at once to one place then make one connection if the place speaks HTTP/2. Places that chose
 * HTTP/1.1 are remembered for a while, and not waited for. When a connection is ready, what the upstream
 * chose in its handshake says which format the carrier gets.
 * A WebSocket takes a stream of a connection that is there and offers that (RFC 8441), or else dials for
 * HTTP/1.1 alone, since few that choose h2 take WebSockets over it. A place that refuses this in the
 * handshake, because it speaks nothing but h2, is dialled again and asked over that.
 * Only carriers of the same rule wait for each other: the addresses were judged by it.
 * Failure: carrier_status() says why; the owner releases. A lead that
 * is released leaves its connection to one of those that wait for it.
 */
#include "courier/http2_session.h"

#include "base/clock.h"

#include <stdlib.h>

static void later_closed(uv_handle_t *h) { free(h); }

struct carriers *carriers_new(uv_loop_t *loop, struct upstream *u)
{
	struct carriers *p = calloc(1, sizeof *p);

	if (!p)
		return NULL;
	p->loop = loop;
	p->upstream = u;
	p->later = calloc(1, sizeof *p->later);
	if (!p->later) {
		free(p);
		return NULL;
	}
	uv_idle_init(loop, p->later);
	p->later->data = p;
	return p;
}

void carriers_free(struct carriers *p)
{
	if (!p)
		return;
	while (p->sessions)
		http2_session_free(p->sessions);
	uv_close((uv_handle_t *)p->later, later_closed);
	free(p);
}

void carriers_tick(struct carriers *p, uint64_t now_ms)
{
	for (struct http2_session *s = p->sessions, *next; s; s = next) {
		next = s->next;
		http2_session_tick(s, now_ms);
	}
	upstream_tick(p->upstream, now_ms);
}

void carriers_drop(struct carriers *p, uint32_t credential)
{
	for (struct http2_session *s = p->sessions; s; s = s->next)
		if (s->credential == credential)
			http2_session_drain(s);
	upstream_drop(p->upstream, credential);
}

/* ---- places that speak HTTP/1.1 ---- */

static uint64_t place_of(const struct upstream_target *t)
{
	return str_hash(t->host) * 31 + t->port;
}

static bool speaks_http1(const struct carriers *p, const struct upstream_target *t)
{
	uint64_t place = place_of(t);

	return t->scheme == HEAD_HTTP || t->http1_only ||
	       p->http1_known[place % CARRIER_HTTP1_KNOWN] == place;
}

/* ---- from a wish to a way ---- */

static void list_add(struct carrier *c)
{
	c->next = c->pool->dialling;
	c->at = &c->pool->dialling;
	if (c->next)
		c->next->at = &c->next;
	c->pool->dialling = c;
}

static void list_remove(struct carrier *c)
{
	if (!c->at)
		return;
	*c->at = c->next;
	if (c->next)
		c->next->at = c->at;
	c->at = NULL;
}

/* One that dials what @t would, and has not yet got there. */
static struct carrier *find_lead(const struct carriers *p, const struct upstream_target *t)
{
	if (speaks_http1(p, t) || t->certificate.n)
		return NULL;
	for (struct carrier *c = p->dialling; c; c = c->next)
		if (c->connection && !c->target.http1_only && c->target.scheme == t->scheme &&
		    c->target.port == t->port && c->target.pool == t->pool && c->target.client == t->client &&
		    c->target.rule == t->rule && upstream_status(c->connection) == ERR_MORE &&
		    str_eq(c->target.host, t->host))
			return c;
	return NULL;
}

static void connection_changed(void *user);

static enum err obtain(struct carrier *c)
{
	struct upstream_target *t = &c->target;
	struct http2_session *s = NULL;

	if (!t->fresh && t->scheme == HEAD_HTTPS && (!t->http1_only || t->websocket))
		s = http2_session_find(c->pool, t, t->websocket);
	if (s) {
		list_remove(c);
		return carrier_http2_new(c, s);
	}
	c->lead = t->fresh ? NULL : find_lead(c->pool, t);
	return c->lead ? ERR_OK : upstream_dial(c->pool->upstream, t, connection_changed, c, &c->connection);
}

enum err carrier_dial(struct carriers *p, const struct upstream_target *t, void (*changed)(void *user),
		      void *user, struct carrier **ret)
{
	struct carrier *c = calloc(1, sizeof *c);

	if (!c)
		return ERR_MEMORY;
	*c = (struct carrier){ .pool = p, .changed = changed, .user = user, .reason = "", .target = *t };
	c->target.http1_only |= t->websocket;	/* a connection that is made for one */
	list_add(c);
	enum err e = obtain(c);

	if (e != ERR_OK) {
		list_remove(c);
		free(c);
		return e;
	}
	*ret = c;
	return ERR_OK;
}

/* A place that speaks HTTP/2 alone, and was asked for a WebSocket: once more, over that. */
static enum err dial_http2(struct carrier *c)
{
	upstream_release(c->connection, false);
	c->connection = NULL;
	c->target.http1_only = false;
	c->failed = obtain(c);
	if (c->failed != ERR_OK)
		list_remove(c);
	return carrier_status(c);
}

/* What the connection that was dialled has become. */
static enum err settle(struct carrier *c)
{
	enum err e = upstream_status(c->connection);
	struct http2_session *s;

	if (e == ERR_UPSTREAM_TLS && c->target.websocket && c->target.http1_only &&
	    upstream_no_protocol(c->connection))
		return dial_http2(c);
	if (e == ERR_MORE)
		return e;
	list_remove(c);
	if (e != ERR_OK) {
		c->reason = upstream_reason(c->connection);
	} else if (upstream_http2(c->connection)) {
		e = http2_session_new(c->pool, c->connection, c->target.credential, &s);
		if (e == ERR_OK) {
			c->connection = NULL;
			e = carrier_http2_new(c, s);
		}
	} else {
		uint64_t place = place_of(&c->target);

		c->pool->http1_known[place % CARRIER_HTTP1_KNOWN] = c->target.http1_only ? 0 : place;
		c->address = *upstream_address(c->connection);
		e = carrier_http1_new(c, c->connection);
		if (e == ERR_OK)
			c->connection = NULL;
	}
	c->failed = e;
	return e;
}

/* Those that waited for @lead: for a stream of what it dialled, or to fail with it, or to dial themselves. */
static void release_waiting(struct carrier *lead)
{
	for (struct carrier *c = lead->pool->dialling; c;) {
		if (c->lead != lead) {
			c = c->next;
			continue;
		}
		c->lead = NULL;
		enum err e = lead->failed == ERR_OK ? obtain(c) : lead->failed;

		if (e != ERR_OK) {
			list_remove(c);
			c->failed = e;
			c->reason = lead->reason;
		}
		if (e != ERR_OK || c->ops || (c->connection && upstream_status(c->connection) != ERR_MORE))
			c->changed(c->user);
		c = lead->pool->dialling;	/* it may be another list now */
	}
}

static void connection_changed(void *user)
{
	struct carrier *c = user;

	if (!c->at || settle(c) == ERR_MORE)
		return c->changed(c->user);
	release_waiting(c);
	c->changed(c->user);
}

enum err carrier_status(struct carrier *c)
{
	enum err e = c->failed;

	if (!c->ops && e == ERR_OK)
		e = c->connection ? settle(c) : ERR_MORE;
	return e == ERR_OK && c->ops->status ? c->ops->status(c) : e;
}

const char *carrier_reason(const struct carrier *c) { return c->reason; }
const struct address *carrier_address(const struct carrier *c) { return &c->address; }
const char *carrier_protocol(const struct carrier *c) { return c->ops ? c->ops->name : ""; }

enum err carrier_send_head(struct carrier *c, const struct head *h) { return c->ops->send_head(c, h); }

enum err carrier_send(struct carrier *c, struct str bytes, bool last, size_t *ret_n)
{
	return c->ops->send(c, bytes, last, ret_n);
}

enum err carrier_send_trailers(struct carrier *c, const struct head *trailers)
{
	return c->ops->send_trailers(c, trailers);
}

bool carrier_sent(const struct carrier *c) { return c->ops->sent(c); }
enum err carrier_next(struct carrier *c, struct carrier_event *ret) { return c->ops->next(c, ret); }
void carrier_taken(struct carrier *c, size_t n) { c->ops->taken(c, n); }
enum carrier_again carrier_again(const struct carrier *c) { return c->ops->again(c); }

/* Somebody else waits for what @c dials: the connection becomes that one's. */
static void leave_connection(struct carrier *c)
{
	struct carrier *heir = NULL;

	for (struct carrier *w = c->pool->dialling; w; w = w->next) {
		if (w->lead != c)
			continue;
		w->lead = heir;
		if (!heir) {
			heir = w;
			w->connection = c->connection;
			upstream_own(w->connection, connection_changed, w);
		}
	}
	if (heir)
		c->connection = NULL;
}

void carrier_release(struct carrier *c, bool clean)
{
	if (!c->ops && c->connection && upstream_status(c->connection) == ERR_MORE)
		leave_connection(c);
	list_remove(c);
	if (c->ops)
		c->ops->release(c, clean);
	else if (c->connection)
		upstream_release(c->connection, false);
	free(c);
}
