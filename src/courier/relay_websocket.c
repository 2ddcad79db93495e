/* relay_websocket.c - the messages of a WebSocket, both ways, once both sides have agreed on one
 *
 * Theory of operation: over the link go whole messages (wire/websocket.h), over the carrier frames.
 *  up    link -> message -> judged by the rule, searched for foreign placeholders -> on record (I3) -> its own
 *        placeholders replaced -> one masked frame -> carrier
 *  down  carrier -> frames, joined to a message -> searched for secrets -> link
 * Control messages pass as they are, searched too. A message that the rule denies is on record, goes nowhere,
 * and both sides get a close with 1008. A secret on its way down, or frames that are none, end the exchange
 * at once. Bounds (I7): one message each way (the rule's message_max), and what the windows hold; the next
 * message of the upstream is read when the one before is on the link, and of the agent when the one before is
 * with the upstream.
 * Source: RFC 6455, RFC 8441.
 */
#include "courier/relay.h"

#include "base/glob.h"
#include "courier/binding.h"
#include "courier/journal.h"
#include "wire/websocket.h"

#include <stdlib.h>
#include <sys/random.h>

#define FRAME_EXTRA 16			/* header and mask of a frame */
#define CONTROL_MAX 1024		/* close frames of ours on top */
#define POLICY_VIOLATION 1008

struct relay_websocket {
	const struct scrub_set *foreign;	/* placeholders that must not stand in a message; or NULL */
	struct websocket_reader reader;		/* the upstream's frames */
	struct queue out;			/* frames for the upstream; may carry secrets */
	struct queue in;			/* messages for the link */
	uint64_t messages;			/* of the agent's, judged */
	size_t joined;				/* bytes of a message that the reader has, and we keep */
	bool closed_up, closed_down;		/* a close went this way */
	bool gone;				/* the upstream's bytes have ended */
	bool denied;
};

/* ---- the handshake ---- */

bool relay_websocket_offered(const struct exchange *x, const struct head *answer)
{
	const struct head_field *chosen = head_find(answer, STR("sec-websocket-protocol"));
	const struct head_field *offered = head_find(&x->head, STR("sec-websocket-protocol"));

	if (!chosen)
		return true;
	for (struct str rest = offered ? offered->value : STR(""); rest.n;) {
		struct str one = str_head(rest, str_find(rest, ','));

		rest = str_from(rest, one.n + 1);
		if (str_eq(str_trim(one), chosen->value))
			return true;
	}
	return false;
}

enum err relay_websocket_begin(struct exchange *x)
{
	struct relay_websocket *w = calloc(1, sizeof *w);
	size_t most = (size_t)x->rule->websocket->message_max;

	if (!w)
		return ERR_MEMORY;
	enum err e = binding_foreign(x, &w->foreign);

	if (e != ERR_OK) {
		free(w);
		return e;
	}
	websocket_reader_init(&w->reader, false, most);
	queue_init_secret(&w->out, 2 * most + FRAME_EXTRA + CONTROL_MAX + LINK_WINDOW_BYTES);
	queue_init(&w->in, most + WEBSOCKET_HEADER_BYTES + CONTROL_MAX);
	x->websocket = w;
	return ERR_OK;
}

void relay_websocket_free(struct relay_websocket *w)
{
	if (!w)
		return;
	websocket_reader_free(&w->reader);
	queue_free(&w->out);
	queue_free(&w->in);
	free(w);
}

/* ---- up ---- */

static enum err put_frame(struct relay_websocket *w, enum websocket_opcode opcode, struct str payload)
{
	uint8_t mask[4];

	if (getrandom(mask, sizeof mask, 0) != sizeof mask)
		return ERR_LOCAL;
	queue_compact(&w->out);
	w->closed_up |= opcode == WEBSOCKET_CLOSE;
	return websocket_put_frame(&w->out.b, opcode, mask, payload);
}

static bool any_matches(const struct str *globs, uint32_t count, struct str text)
{
	for (uint32_t i = 0; i < count; i++)
		if (glob_match(globs[i], text, GLOB_TEXT))
			return true;
	return false;
}

static bool allowed(const struct policy_websocket *rule, const struct websocket_message *m)
{
	if (m->opcode == WEBSOCKET_BINARY)
		return rule->binary;
	return (rule->allow_count == 0 || any_matches(rule->allow, rule->allow_count, m->payload)) &&
	       !any_matches(rule->deny, rule->deny_count, m->payload);
}

/* Both sides are told; what is still to come of either is dropped. */
static enum err deny(struct exchange *x)
{
	struct relay_websocket *w = x->websocket;
	auto_buf close = BUF_EMPTY;

	buf_init(&close, 125);
	websocket_put_close(&close, POLICY_VIOLATION, STR("denied by policy"));
	w->denied = true;
	w->closed_down = true;
	queue_compact(&w->in);
	enum err e = put_frame(w, WEBSOCKET_CLOSE, buf_str(&close));

	return e == ERR_OK ? websocket_put_message(&w->in.b, WEBSOCKET_CLOSE, buf_str(&close)) : e;
}

static enum err put_text(struct exchange *x, struct str text)
{
	struct relay_websocket *w = x->websocket;
	auto_buf replaced = BUF_EMPTY;
	bool changed = false;

	if (!x->binding || !binding_replaces_messages(x->binding))
		return put_frame(w, WEBSOCKET_TEXT, text);
	buf_init_secret(&replaced, 2 * (size_t)x->rule->websocket->message_max);
	enum err e = binding_message(x->binding, text, &replaced, &changed);

	if (e != ERR_OK)
		return e == ERR_LIMIT ? ERR_BODY_TOO_LARGE : e;
	return put_frame(w, WEBSOCKET_TEXT, changed ? buf_str(&replaced) : text);
}

static enum err take_message(struct exchange *x, const struct websocket_message *m)
{
	struct relay_websocket *w = x->websocket;
	bool data = m->opcode == WEBSOCKET_TEXT || m->opcode == WEBSOCKET_BINARY;
	uint32_t hit;

	if (w->foreign && scrub_search(w->foreign, m->payload, &hit)) {
		x->foreign = snapshot_placeholder_name(x->snapshot, hit);
		return ERR_PLACEHOLDER_BLOCKED;
	}
	if (!data)
		return put_frame(w, m->opcode, m->payload);
	bool may = allowed(x->rule->websocket, m);
	enum err e = journal_message(x, ++w->messages, m, may);

	if (e != ERR_OK)
		return e;
	if (!may)
		return deny(x);
	return m->opcode == WEBSOCKET_TEXT ? put_text(x, m->payload) : put_frame(w, m->opcode, m->payload);
}

/* The next message that is whole, once what came before it is with the upstream. */
static enum err next_message(struct exchange *x)
{
	struct relay_websocket *w = x->websocket;
	struct str input = queue_str(&x->up.body);
	struct websocket_message m;
	size_t before = input.n;

	if (w->closed_up) {	/* nothing follows a close */
		relay_drop(x, input.n);
		return ERR_MORE;
	}
	enum err e = websocket_next_message(&input, (size_t)x->rule->websocket->message_max, &m);

	if (e == ERR_OK)
		e = take_message(x, &m);
	if (e == ERR_OK)
		relay_drop(x, before - input.n);
	return e;
}

static enum step up(struct exchange *x)
{
	struct relay_websocket *w = x->websocket;

	for (;;) {
		size_t n;
		bool over = (x->up.ended || w->gone) && w->closed_up;
		enum err e = x->up.broken ? ERR_UPSTREAM_CLOSED
					  : carrier_send(x->carrier, queue_str(&w->out), over, &n);

		x->up.broken = e != ERR_OK;
		if (x->up.broken) {	/* what came down before may still pass, a close above all */
			relay_drop(x, queue_bytes(&x->up.body));
			queue_free(&w->out);
			return STEP_NEXT;
		}
		queue_drop(&w->out, n);
		if (n)
			exchange_progress(x);
		if (queue_bytes(&w->out))
			return STEP_WAIT;
		if (w->out.b.cap > LINK_WINDOW_BYTES)
			queue_free(&w->out);
		e = next_message(x);
		if (e == ERR_MORE)
			return carrier_sent(x->carrier) ? STEP_NEXT : STEP_WAIT;
		if (e != ERR_OK)
			return exchange_fail(x, e, "");
	}
}

/* ---- down ---- */

static enum err pass_message(struct exchange *x, const struct websocket_message *m)
{
	struct relay_websocket *w = x->websocket;

	if (relay_reveals(x, m->payload))
		return ERR_SECRET_REFLECTED;
	w->closed_down |= m->opcode == WEBSOCKET_CLOSE;
	queue_compact(&w->in);
	return websocket_put_message(&w->in.b, m->opcode, m->payload);
}

/* What the reader has of a message counts among all that waits here. */
static enum err keep_joined(struct exchange *x)
{
	struct relay_websocket *w = x->websocket;
	size_t joined = w->reader.message.len;

	relay_unkeep(x, w->joined);
	w->joined = joined;
	return relay_keep(x, joined);
}

static enum step take_frames(struct exchange *x, struct str data)
{
	struct relay_websocket *w = x->websocket;
	struct websocket_message m;
	struct str rest = data;
	uint16_t close;
	enum err e = websocket_read(&w->reader, &rest, &m, &close);

	if (e == ERR_OK && !w->closed_down)
		e = pass_message(x, &m);
	if ((e == ERR_OK || e == ERR_MORE) && keep_joined(x) != ERR_OK)
		e = ERR_LIMIT;
	if (e == ERR_OK || e == ERR_MORE) {
		e = relay_count(x, data.n - rest.n);
		carrier_taken(x->carrier, data.n - rest.n);
		exchange_progress(x);
	}
	if (e == ERR_OK)
		return STEP_NEXT;
	if (e == ERR_WEBSOCKET)
		return exchange_fail(x, ERR_UPSTREAM_MALFORMED, "its WebSocket frames");
	return exchange_fail(x, e, e == ERR_BODY_TOO_LARGE ? "the answer's" : "");
}

/* What waits for the link: STEP_NEXT when it is there. */
static enum step push(struct exchange *x)
{
	struct relay_websocket *w = x->websocket;

	while (queue_bytes(&w->in)) {
		struct str out = str_head(queue_str(&w->in), link_sendable(x->link, x->stream));

		if (out.n == 0)
			return STEP_WAIT;
		if (link_data(x->link, x->stream, 0, out) != ERR_OK)
			return exchange_fail(x, ERR_MEMORY, "");
		queue_drop(&w->in, out.n);
		exchange_progress(x);
	}
	if (w->in.b.cap > LINK_WINDOW_BYTES)
		queue_free(&w->in);
	return STEP_NEXT;
}

static enum step down(struct exchange *x)
{
	struct relay_websocket *w = x->websocket;

	for (;;) {
		struct carrier_event event;
		enum step s = push(x);

		if (s != STEP_NEXT || w->gone || w->denied)
			return s;
		enum err e = carrier_next(x->carrier, &event);

		if (e == ERR_MORE)
			return STEP_WAIT;
		if ((e == ERR_OK && event.type == CARRIER_END) || (e != ERR_OK && w->closed_down)) {
			w->gone = true;
			continue;
		}
		if (e != ERR_OK || event.type != CARRIER_DATA)
			return exchange_fail(x, e != ERR_OK ? e : ERR_UPSTREAM_MALFORMED,
					     carrier_reason(x->carrier));
		s = take_frames(x, event.data);
		if (s != STEP_NEXT)
			return s;
	}
}

/* ---- both ---- */

enum step relay_websocket(struct exchange *x)
{
	struct relay_websocket *w = x->websocket;
	enum step sent = up(x), told;

	if (sent == STEP_END)
		return sent;
	told = down(x);
	if (told == STEP_END)
		return told;
	bool agreed = w->closed_up && w->closed_down;

	if (w->denied && told == STEP_NEXT && (sent == STEP_NEXT || x->up.broken)) {
		link_end(x->link, x->stream);
		x->over = true;		/* it has been told, by the close */
		return exchange_fail(x, ERR_MESSAGE_DENIED, "");
	}
	if (w->denied || !(w->gone || (agreed && x->up.ended)) || told != STEP_NEXT)
		return x->up.ended && !w->closed_up && !w->gone ? exchange_fail(x, ERR_CANCELLED, "")
								: STEP_WAIT;
	if (!w->closed_down)
		return exchange_fail(x, ERR_UPSTREAM_CLOSED, "without a close frame");
	link_end(x->link, x->stream);
	x->up.complete = x->up.done = agreed;
	return STEP_NEXT;
}
