/* carrier.c - one exchange's way to its upstream: had, dialled, or waited for
 *
 * Theory of operation: a carrier begins with a connection of its own that is being dialled, and becomes
 * one of a wire format when that is ready: what the upstream chose in its handshake says which.
 * Failure: carrier_status() says why; the owner releases.
 */
#include "courier/carrier_format.h"

#include "base/clock.h"

#include <stdlib.h>

struct carriers {
	uv_loop_t *loop;
	struct upstream *upstream;
};

struct carriers *carriers_new(uv_loop_t *loop, struct upstream *u)
{
	struct carriers *p = calloc(1, sizeof *p);

	if (!p)
		return NULL;
	p->loop = loop;
	p->upstream = u;
	return p;
}

void carriers_free(struct carriers *p) { free(p); }

void carriers_tick(struct carriers *p, uint64_t now_ms) { upstream_tick(p->upstream, now_ms); }

void carriers_drop(struct carriers *p, uint64_t number) { upstream_drop(p->upstream, number); }

static void connection_changed(void *user)
{
	struct carrier *c = user;

	c->changed(c->user);
}

enum err carrier_dial(struct carriers *p, const struct upstream_target *t, void (*changed)(void *user),
		      void *user, struct carrier **ret)
{
	struct carrier *c = calloc(1, sizeof *c);
	struct upstream_target target = *t;

	if (!c)
		return ERR_MEMORY;
	target.http1_only = true;
	*c = (struct carrier){ .pool = p, .changed = changed, .user = user, .reason = "" };
	enum err e = upstream_dial(p->upstream, &target, connection_changed, c, &c->connection);

	if (e != ERR_OK) {
		free(c);
		return e;
	}
	*ret = c;
	return ERR_OK;
}

enum err carrier_status(struct carrier *c)
{
	if (c->ops)
		return ERR_OK;
	enum err e = upstream_status(c->connection);

	if (e == ERR_OK) {
		c->address = *upstream_address(c->connection);
		e = carrier_http1_new(c, c->connection);
	} else if (e != ERR_MORE) {
		c->reason = upstream_reason(c->connection);
	}
	return e;
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

void carrier_release(struct carrier *c, bool clean)
{
	if (c->ops)
		c->ops->release(c, clean);
	else if (c->connection)
		upstream_release(c->connection, false);
	free(c);
}
