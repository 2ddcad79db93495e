/* relay_up.c - the body of a request, from the link to the upstream
 *
 * Theory of operation: link -> body -> (search for foreign placeholders) -> carrier. Credit goes back to the
 * inspector only for what the carrier has taken, so that the upstream's pace is the agent's (I7); where the
 * whole body is waited for (relay_collect()) it goes back at once, up to that bound. What could still become
 * a needle is held back: not even a part of a placeholder passes.
 * Bytes: bodies are searched and counted, never interpreted (I1).
 */
#include "courier/relay.h"

#include "courier/protocol.h"
#include "courier/request_chunked.h"
#include "courier/request_encoded.h"
#include "wire/websocket.h"

#define TRAILERS_MAX 16		/* fields of a request's trailers: each is looked for in the policy */

void relay_init(struct exchange *x)
{
	queue_init(&x->up.body, 2 * (size_t)LINK_WINDOW_BYTES);
	buf_init(&x->up.trailers, HEAD_MAX_BYTES);
	queue_init(&x->down.clear, RELAY_CLEAR_MAX);
	buf_init(&x->down.head, HEAD_MAX_BYTES);
	buf_init(&x->down.trailers, HEAD_MAX_BYTES);
}

static void give_credit(struct exchange *x, size_t n)
{
	n = n < x->up.uncredited ? n : x->up.uncredited;
	x->up.uncredited -= n;
	link_consumed(x->link, x->stream, n);
}

void relay_stop(struct exchange *x)
{
	request_encoded_free(x->up.encoded);
	x->up.encoded = NULL;
	request_chunked_free(x->up.chunked);
	x->up.chunked = NULL;
	if (x->down.filter)
		x->down.filter->free(x->down.filter_of);
	x->down.filter = NULL;
}

void relay_free(struct exchange *x)
{
	give_credit(x, x->up.uncredited);
	relay_unkeep(x, x->up.kept);
	relay_stop(x);
	queue_free(&x->up.body);
	buf_free(&x->up.trailers);
	scrub_free(x->up.scrub);
	queue_free(&x->down.clear);
	buf_free(&x->down.head);
	buf_free(&x->down.trailers);
	scrub_free(x->down.scrub);
	vault_release(x->down.set);
	relay_websocket_free(x->websocket);
}

bool relay_again(struct exchange *x)
{
	if (x->up.taken)
		return false;
	x->up.framed = x->up.done = x->up.broken = false;
	return true;
}

/* ---- from the link ---- */

void relay_recount(struct exchange *x)
{
	struct relay_up *up = &x->up;
	size_t there = queue_bytes(&up->body), held = up->scrub && !up->complete ? scrub_held(up->scrub) : 0;

	up->clear = there - (held < there ? held : there);
	if (up->encoded && request_encoded_clear(x) < up->clear)
		up->clear = request_encoded_clear(x);
	if (protocol_clear(x) < up->clear)
		up->clear = protocol_clear(x);
}

/* No more can come: what was begun was no placeholder after all. */
static enum err complete(struct exchange *x)
{
	x->up.complete = true;
	enum err e = x->up.encoded ? request_encoded_feed(x) : ERR_OK;

	if (e == ERR_OK && x->up.chunked)
		e = request_chunked_feed(x);
	if (e == ERR_OK)
		e = protocol_feed(x);
	relay_recount(x);
	return e;
}

void relay_admitted(struct exchange *x)
{
	if (x->head.websocket)
		return;		/* messages follow */
	if (x->head.framing == HEAD_BODY_NONE || (x->head.framing == HEAD_BODY_LENGTH && x->head.length == 0))
		(void)!complete(x);	/* of nothing: it cannot fail */
}

/* A message must be here as a whole, whatever the window; more than one need not. */
static enum err take_part(struct exchange *x)
{
	size_t most = x->rule && x->rule->websocket ? (size_t)x->rule->websocket->message_max : 0;

	if (most + WEBSOCKET_HEADER_BYTES + 2 * (size_t)LINK_WINDOW_BYTES > x->up.body.b.max)
		x->up.body.b.max = most + WEBSOCKET_HEADER_BYTES + 2 * (size_t)LINK_WINDOW_BYTES;
	if (queue_bytes(&x->up.body) < most + WEBSOCKET_HEADER_BYTES)
		give_credit(x, x->up.uncredited);
	return ERR_OK;
}

enum err relay_receive(struct exchange *x, struct str bytes)
{
	struct relay_up *up = &x->up;
	uint32_t hit;

	up->uncredited += bytes.n;
	up->bytes += bytes.n;
	if (!x->head_received)
		return ERR_LINK_STATE;
	if (up->ended || up->trailers.len || (x->head.framing == HEAD_BODY_NONE && !x->head.websocket) ||
	    (x->head.framing == HEAD_BODY_LENGTH && up->bytes > x->head.length))
		return ERR_BODY_FRAMING;
	if ((x->rule && up->bytes > x->rule->request_body_max) ||
	    (up->collect_max && up->bytes > up->collect_max))
		return ERR_BODY_TOO_LARGE;
	enum err e = queue_put(&up->body, bytes);

	if (e == ERR_OK)
		e = relay_keep(x, bytes.n);
	if (e == ERR_OK)
		e = exchange_count(x, bytes.n);
	if (e != ERR_OK)
		return e;
	if (up->collect_max)
		give_credit(x, bytes.n);
	if (x->head.websocket)
		return take_part(x);
	if (up->scrub && scrub_feed(up->scrub, bytes, &hit)) {
		x->foreign = snapshot_placeholder_name(x->snapshot, hit);
		return ERR_PLACEHOLDER_BLOCKED;
	}
	if (x->head.framing == HEAD_BODY_LENGTH && up->bytes == x->head.length)
		return complete(x);
	e = up->encoded ? request_encoded_feed(x) : up->chunked ? request_chunked_feed(x) : ERR_OK;
	if (e == ERR_OK)
		e = protocol_feed(x);
	relay_recount(x);
	return e;
}

/* Names that policy looks for in heads have no place here: what was decided would be decided otherwise. */
static enum err judge_trailers(struct exchange *x, const struct head *t)
{
	const struct scrub_set *foreign;

	if (t->kind != HEAD_TRAILERS || t->field_count > TRAILERS_MAX)
		return ERR_HEAD_MALFORMED;
	for (uint32_t i = 0; i < t->field_count; i++) {
		if (policy_names_header(snapshot_policy(x->snapshot), t->fields[i].name))
			return ERR_POLICY_DENIED;
		if (x->credential && str_eq(x->credential->header_name, t->fields[i].name))
			return ERR_CREDENTIAL_FOREIGN;
	}
	enum err e = snapshot_foreign(x->snapshot, x->head.host, x->credential, SNAPSHOT_BODY, &foreign);

	if (e != ERR_OK)
		return e;
	return foreign && exchange_carries(x, foreign, t) ? ERR_PLACEHOLDER_BLOCKED : ERR_OK;
}

enum err relay_receive_trailers(struct exchange *x, struct str message)
{
	struct relay_up *up = &x->up;
	struct head trailers;

	if (!x->head_received || !x->snapshot)
		return ERR_LINK_STATE;
	if (up->ended || up->trailers.len || x->head.framing != HEAD_BODY_STREAMED || !x->head.trailers)
		return ERR_BODY_FRAMING;
	buf_put(&up->trailers, message);
	enum err e = buf_err(&up->trailers);

	if (e == ERR_OK)
		e = head_decode(buf_str(&up->trailers), &trailers);
	return e == ERR_OK ? judge_trailers(x, &trailers) : e;
}

enum err relay_receive_end(struct exchange *x)
{
	if (!x->head_received)
		return ERR_LINK_STATE;
	if (x->up.ended || (x->head.framing == HEAD_BODY_LENGTH && x->up.bytes != x->head.length))
		return ERR_BODY_FRAMING;
	x->up.ended = true;
	return complete(x);
}

/* ---- for those who must see it first ---- */

enum err relay_keep(struct exchange *x, size_t n)
{
	x->up.kept += n;
	x->courier->bodies += n;
	return x->courier->bodies > COURIER_BODIES_MAX ? ERR_LIMIT : ERR_OK;
}

void relay_unkeep(struct exchange *x, size_t n)
{
	n = n < x->up.kept ? n : x->up.kept;
	x->up.kept -= n;
	x->courier->bodies -= n;
}

void relay_drop(struct exchange *x, size_t n)
{
	queue_drop(&x->up.body, n);
	if (queue_bytes(&x->up.body) == 0 && x->up.body.b.cap > LINK_WINDOW_BYTES)
		queue_free(&x->up.body);	/* a large message was, another need not be */
	relay_unkeep(x, n);
	x->up.taken += n;
	give_credit(x, n);
}

struct str relay_body(const struct exchange *x) { return queue_str(&x->up.body); }

void relay_collect(struct exchange *x, size_t max)
{
	if (max <= x->up.collect_max)
		return;
	x->up.collect_max = max;
	if (x->up.body.b.max < max + LINK_WINDOW_BYTES)
		x->up.body.b.max = max + LINK_WINDOW_BYTES;
	give_credit(x, x->up.uncredited);
}

void relay_replace_body(struct exchange *x, struct buf *body)
{
	request_encoded_free(x->up.encoded);	/* what goes instead was made by whoever saw all of it */
	x->up.encoded = NULL;
	queue_free(&x->up.body);
	x->up.body.b = *body;
	x->up.body.at = 0;
	*body = (struct buf)BUF_EMPTY;
	x->up.replaced = true;
	x->up.clear = queue_bytes(&x->up.body);
}

/* ---- to the upstream ---- */

/* The end of the body, if nothing of it waits any more. */
static enum err put_end(struct exchange *x)
{
	struct head trailers;

	x->up.framed = true;
	if (!x->up.trailers.len || x->up.chunked)
		return ERR_OK;
	enum err e = head_decode(buf_str(&x->up.trailers), &trailers);

	return e == ERR_OK ? carrier_send_trailers(x->carrier, &trailers) : e;
}

/* What may go of the body, or of what it decodes to; *ret_all: and that is the end of it. Messages are no
 * body: they wait for the answer that grants a WebSocket, and go by way of relay_websocket.c, or nowhere. */
static struct str front(const struct exchange *x, bool *ret_all)
{
	*ret_all = false;
	if (x->head.websocket)
		return (struct str){ NULL, 0 };
	if (x->up.chunked)
		return request_chunked_front(x, ret_all);
	struct str out = str_head(queue_str(&x->up.body), x->up.clear);

	*ret_all = x->up.complete && out.n == queue_bytes(&x->up.body);
	return out;
}

static void drop(struct exchange *x, size_t n)
{
	if (x->up.chunked) {
		request_chunked_drop(x, n);
		return;
	}
	x->up.clear -= n;
	relay_drop(x, n);
}

enum step relay_up(struct exchange *x)
{
	struct relay_up *up = &x->up;

	while (!up->done && !up->broken) {
		bool all;
		struct str out = front(x, &all);
		size_t n;
		enum err e = carrier_send(x->carrier, out, all && (!up->trailers.len || up->chunked), &n);

		if (e == ERR_OK && all && n == out.n && !up->framed)
			e = put_end(x);
		if (e == ERR_MEMORY)
			return exchange_fail(x, e, "");
		up->broken = e != ERR_OK;	/* what it has answered may say why */
		if (up->broken)
			break;
		drop(x, n);
		if (n)
			exchange_progress(x);
		if (up->framed && carrier_sent(x->carrier)) {
			up->done = true;
			exchange_progress(x);
		} else if (n == 0 || n < out.n || up->framed || !front(x, &all).n) {
			break;
		}
	}
	return STEP_WAIT;
}
