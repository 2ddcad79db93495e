/* tunnel.c - how a connection passes, and those that pass unopened
 *
 * Theory of operation: the courier says of a name whether a rule lets some port of it pass unopened; only
 * then (and for literals, which nobody asked about) it is asked about the connection, before its first byte,
 * as in many protocols the server speaks first. Such a connection is a TUNNEL stream of the courier's link;
 * nothing of it is read here. Whatever is answered, the courier judges again when the stream is opened (I2).
 * The courier looks after the deadlines of a tunnel while it has any part in it; once all
 * that the server said is here, a client that does not take it is our own matter: drained().
 */
#include "inspector/tunnel.h"

#include "inspector/connection.h"

#include <stdlib.h>

#define PIECE 16384u

struct tunnel {
	struct stream stream;		/* first; of the courier's link */
	struct connection *connection;
	uint32_t number;		/* 0: not open */
	bool up_ended, down_ended;
	size_t left;			/* for the client, when that was last looked at after the end */
	enum err reset;
	struct buf body;		/* from the courier, not yet in the output */
};

/* -- route ------------------------------------------------------------------------------ */

static void answered(void *context, enum err e, const struct msg_status *status)
{
	struct connection *c = context;

	c->ask = NULL;
	c->routed = true;
	if (e)
		c->result = e;
	else if (status->has_result && status->result)
		c->result = status->result;
	else if (status->has_tunnel)
		c->passes = (enum msg_tunnel)status->tunnel;
	c->named = status && status->has_verdict && status->verdict;
	connection_wake(c);
}

enum step step_route(struct connection *c)
{
	const struct msg_connect m = { .host = str_of(c->host), .port = c->asked.port, .connection = c->id,
				       .process = c->asked.process, .token = connection_token(c) };
	enum err e;

	if (c->ask)
		return STEP_WAIT;
	if (!c->routed) {
		e = ask_start(c->inspector, LINK_KIND_NAME, &m, answered, c, &c->ask);
		if (e && c->proxy)
			return http1_refuse(c, e, 0, "the courier cannot be asked");
		return e ? connection_refuse(c, e, "the courier cannot be asked") : STEP_WAIT;
	}
	if (c->proxy)
		return proxy_routed(c);
	if (c->result)
		return connection_refuse(c, c->result, "the courier cannot be asked");
	return connection_pass(c);
}

enum step connection_pass(struct connection *c)
{
	if (c->passes == MSG_TUNNEL_OPENED)
		connection_enter(c, PHASE_sniff, c->inspector->limits.sniff_ms);
	else
		connection_enter(c, PHASE_tunnel, 0);	/* the courier has its own deadlines */
	return STEP_AGAIN;
}

/* -- tunnel ----------------------------------------------------------------------------- */

static void frame(struct stream *s, const struct link_frame *f)
{
	struct tunnel *t = (struct tunnel *)s;

	if (f->type == LINK_DATA && !t->down_ended)
		buf_put(&t->body, f->payload);
	else if (f->type == LINK_END)
		t->down_ended = true;
	else if (f->type == LINK_RESET)
		t->reset = f->reason ? f->reason : ERR_CANCELLED;
	else if (f->type != LINK_CREDIT)
		t->reset = ERR_LINK_STATE;
	if (buf_err(&t->body))
		t->reset = ERR_LINK_CREDIT;
	connection_wake(t->connection);
}

static enum err begin(struct connection *c)
{
	struct link *l = courier_link(c->inspector);
	struct tunnel *t = calloc(1, sizeof *t);
	struct str fields;
	enum err e;

	if (!t)
		return ERR_MEMORY;
	*t = (struct tunnel){ .stream = { frame }, .connection = c };
	buf_init(&t->body, INSPECTOR_COURIER_WINDOW);
	c->tunnel = t;
	e = connection_fields(c, &fields);
	if (!e)
		e = link_open(l, LINK_KIND_TUNNEL, fields, &t->number);
	if (!e)
		link_set_user(l, t->number, t);
	return e;
}

void tunnel_free(struct tunnel *t)
{
	if (!t)
		return;
	if (t->number) {
		link_set_user(courier_link(t->connection->inspector), t->number, NULL);
		link_reset(courier_link(t->connection->inspector), t->number, ERR_CANCELLED);
	}
	buf_free(&t->body);
	free(t);
}

static enum err upwards(struct connection *c)
{
	struct link *l = courier_link(c->inspector);
	struct tunnel *t = c->tunnel;

	while (c->in.len) {
		struct str piece = str_head(buf_str(&c->in), link_sendable(l, t->number));
		enum err e = piece.n ? link_data(l, t->number, 0, piece) : ERR_MORE;

		if (e)
			return e == ERR_MORE ? ERR_OK : e;
		connection_take(c, piece.n);
	}
	if (c->ended && !t->up_ended) {
		t->up_ended = true;
		link_end(l, t->number);
	}
	return ERR_OK;
}

static void downwards(struct connection *c)
{
	struct tunnel *t = c->tunnel;

	while (t->body.len && c->out.len < CONNECTION_OUT_LOW) {
		struct str piece = str_head(buf_str(&t->body), PIECE);

		buf_put(&c->out, piece);
		link_consumed(courier_link(c->inspector), t->number, piece.n);
		buf_drop(&t->body, piece.n);
	}
}

/* Has the client all of what the server said? Until then, once that has ended, it must go on taking some. */
static bool drained(struct connection *c)
{
	struct tunnel *t = c->tunnel;
	size_t left = t->body.len + c->out.len;

	if (!t->down_ended)
		return false;
	if (left == 0 && c->transport.ops->flushed(&c->transport)) {
		connection_deadline(c, 0);
		return true;
	}
	if (left != t->left || !wait_is_set(&c->wait))
		connection_deadline(c, c->inspector->limits.stall_ms);
	t->left = left;
	return false;
}

enum step step_tunnel(struct connection *c)
{
	struct tunnel *t = c->tunnel;
	enum err e = ERR_OK;

	if (!t) {
		e = begin(c);
		if (e)
			return connection_refuse(c, e, "no tunnel could be opened");
		t = c->tunnel;
	}
	if (!t->reset)
		e = upwards(c);
	if (!e && !t->reset) {
		downwards(c);
		e = buf_err(&c->out);	/* what got lost there may not look like the end */
	}
	if (e || t->reset) {
		c->result = e ? e : t->reset;
		c->transport.ops->reset(&c->transport, c->result);	/* the courier has it on record */
		return STEP_OVER;
	}
	if (!drained(c))
		return STEP_WAIT;
	c->transport.ops->end(&c->transport);
	return t->up_ended ? STEP_OVER : STEP_WAIT;
}
