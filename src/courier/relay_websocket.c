/* relay_websocket.c - the messages of a WebSocket, both ways, once both sides have agreed on one
 *
 * Theory of operation: over the link go whole messages (wire/websocket.h), over the carrier frames.
 *  up    link -> message -> judged by the rule, searched for foreign placeholders -> on record (I3) -> its own
 *        placeholders replaced -> one masked frame -> carrier
 *  down  carrier -> frames, joined to a message -> searched for secrets -> link
 * A message that the rule denies is on record, goes nowhere, and both sides get a close with 1008. A secret on
 * its way down, or frames that are none, end the exchange at once.
 * Control messages pass as they are, searched too. Under a rule that chooses among messages their payloads
 * must not carry out what it does not see: that of the agent's ping stays here until the upstream has answered
 * an empty one, a pong passes as the answer to the upstream's ping, a close's reason is judged as text.
 * Payloads that leave are counted for the outcome.
 * Bounds (I7): one message each way (the rule's message_max), and what the windows hold, all of it counted
 * with the other bodies; the next message of the upstream is read when the one before is on the link, and of
 * the agent when the one before is with the upstream. Messages of the agent's count as requests do, since
 * each is a record, and a turn of the loop takes TURN_MESSAGES of them.
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
#define CONTROL_PAYLOAD_MAX 125
#define TURN_MESSAGES 16		/* each may be a write to disk, and others wait */

/** struct control_payload - of a ping that waits for its pong; n 0: none */
struct control_payload {
	char p[CONTROL_PAYLOAD_MAX];
	size_t n;
};

struct relay_websocket {
	uv_idle_t turn;				/* runs while any were taken in this turn of the loop */
	struct exchange *exchange;
	unsigned taken;				/* of TURN_MESSAGES */
	bool more;				/* it stopped there: the next turn goes on */
	const struct scrub_set *foreign;	/* placeholders that must not stand in a message; or NULL */
	struct websocket_reader reader;		/* the upstream's frames */
	struct queue out;			/* frames for the upstream; may carry secrets */
	struct queue in;			/* messages for the link */
	struct control_payload asked;		/* of the upstream's latest ping */
	struct control_payload withheld;	/* of the agent's latest ping, which went without it */
	uint64_t messages;			/* of the agent's, judged */
	uint64_t controls, control_bytes;	/* payloads of its control messages that left */
	size_t kept;				/* what is counted of reader, out and in */
	const char *reason;			/* of a failure, our own words; or "" */
	bool closed_up, closed_down;		/* a close went this way */
	bool gone;				/* the upstream's bytes have ended */
	bool denied;
};

static bool is_data(const struct websocket_message *m)
{
	return m->opcode == WEBSOCKET_TEXT || m->opcode == WEBSOCKET_BINARY;
}

/* What is held here counts among all that waits, to its last byte: memory goes as a whole. */
static enum err keep_held(struct exchange *x)
{
	struct relay_websocket *w = x->websocket;
	size_t held = w->reader.message.len + w->out.b.len + w->in.b.len;

	relay_unkeep(x, w->kept);
	w->kept = held;
	return relay_keep(x, held);
}

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
	w->reason = "";
	w->exchange = x;
	w->turn.data = w;
	uv_idle_init(x->courier->options.loop, &w->turn);
	x->websocket = w;
	return ERR_OK;
}

void relay_websocket_journal(const struct exchange *x, struct record *r)
{
	const struct relay_websocket *w = x->websocket;

	if (!w || w->controls == 0)
		return;
	record_integer(r, "control_out", w->controls);
	record_integer(r, "control_bytes_out", w->control_bytes);
}

static void turn_closed(uv_handle_t *turn) { free(turn->data); }

void relay_websocket_free(struct relay_websocket *w)
{
	if (!w)
		return;
	websocket_reader_free(&w->reader);
	queue_free(&w->out);
	queue_free(&w->in);
	uv_close((uv_handle_t *)&w->turn, turn_closed);
}

static void turn_over(uv_idle_t *turn)
{
	struct relay_websocket *w = turn->data;

	uv_idle_stop(turn);
	w->taken = 0;
	if (w->more)
		exchange_run(w->exchange);	/* may free it */
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

static bool text_allowed(const struct policy_websocket *rule, struct str text)
{
	return (rule->allow_count == 0 || any_matches(rule->allow, rule->allow_count, text)) &&
	       !any_matches(rule->deny, rule->deny_count, text);
}

static bool allowed(const struct policy_websocket *rule, const struct websocket_message *m)
{
	return m->opcode == WEBSOCKET_BINARY ? rule->binary : text_allowed(rule, m->payload);
}

/* May bytes leave that no rule looks into? */
static bool any_bytes(const struct policy_websocket *rule)
{
	return rule->binary || (rule->allow_count == 0 && rule->deny_count == 0);
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

static void note(struct control_payload *c, struct str payload)
{
	c->n = str_head(payload, sizeof c->p).n;
	if (c->n)
		memcpy(c->p, payload.p, c->n);
}

/* A pong that nobody asked for goes nowhere. */
static enum err take_control(struct exchange *x, const struct websocket_message *m)
{
	const struct policy_websocket *rule = x->rule->websocket;
	struct relay_websocket *w = x->websocket;
	struct str payload = m->payload;

	if (m->opcode == WEBSOCKET_CLOSE && payload.n > 2 && !text_allowed(rule, str_from(payload, 2)))
		payload = str_head(payload, 2);
	if (m->opcode == WEBSOCKET_PING && payload.n && !any_bytes(rule)) {
		note(&w->withheld, payload);
		payload = STR("");
	}
	if (m->opcode == WEBSOCKET_PONG && payload.n && !any_bytes(rule)) {
		if (!str_eq(payload, str_make(w->asked.p, w->asked.n)))
			return ERR_OK;
		w->asked.n = 0;
	}
	w->controls += payload.n > 0;
	w->control_bytes += payload.n;
	return put_frame(w, m->opcode, payload);
}

static enum err count_message(struct exchange *x)
{
	struct courier *c = x->courier;

	if (++c->request_number <= courier_limit_requests(c))
		return ERR_OK;
	x->websocket->reason = "limits.requests";
	courier_limit_reached(c, x->websocket->reason);
	return ERR_LIMIT;
}

static enum err take_message(struct exchange *x, const struct websocket_message *m)
{
	struct relay_websocket *w = x->websocket;
	uint32_t hit;

	if (w->foreign && scrub_search(w->foreign, m->payload, &hit)) {
		x->foreign = snapshot_placeholder_name(x->snapshot, hit);
		return ERR_PLACEHOLDER_BLOCKED;
	}
	if (!is_data(m))
		return take_control(x, m);
	bool may = allowed(x->rule->websocket, m);
	enum err e = count_message(x);

	if (e == ERR_OK)
		e = journal_message(x, ++w->messages, m, may);
	if (e != ERR_OK)
		return e;
	if (!may)
		return deny(x);
	return m->opcode == WEBSOCKET_TEXT ? put_text(x, m->payload) : put_frame(w, m->opcode, m->payload);
}

/* What was used up of a large queue is given back before its end comes: it is not counted any more. */
static enum err trim(struct queue *q)
{
	struct queue rest;

	if (q->at <= LINK_WINDOW_BYTES || q->at < queue_bytes(q))
		return ERR_OK;
	queue_init(&rest, q->b.max);
	enum err e = queue_put(&rest, queue_str(q));

	if (e != ERR_OK)
		return e;
	queue_free(q);
	*q = rest;
	return ERR_OK;
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

	if (e != ERR_OK)
		return e;
	if (w->taken++ == 0)
		uv_idle_start(&w->turn, turn_over);
	e = take_message(x, &m);
	if (e != ERR_OK)
		return e;
	relay_drop(x, before - input.n);
	e = keep_held(x);
	return e == ERR_OK ? trim(&x->up.body) : e;
}

static enum step up(struct exchange *x)
{
	struct relay_websocket *w = x->websocket;

	for (w->more = false;;) {
		size_t n;
		bool over = (x->up.ended || w->gone) && w->closed_up;
		enum err e = x->up.broken ? ERR_UPSTREAM_CLOSED
					  : carrier_send(x->carrier, queue_str(&w->out), over, &n);

		x->up.broken = e != ERR_OK;
		if (x->up.broken) {	/* what came down before may still pass, a close above all */
			relay_drop(x, queue_bytes(&x->up.body));
			queue_free(&w->out);
			(void)!keep_held(x);	/* less than before */
			return STEP_NEXT;
		}
		queue_drop(&w->out, n);
		if (n)
			exchange_progress(x);
		if (queue_bytes(&w->out))
			return STEP_WAIT;
		if (w->out.b.cap > LINK_WINDOW_BYTES)
			queue_free(&w->out);
		(void)!keep_held(x);
		w->more = w->taken == TURN_MESSAGES;
		if (w->more)
			return STEP_WAIT;
		e = next_message(x);
		if (e == ERR_MORE)
			return carrier_sent(x->carrier) ? STEP_NEXT : STEP_WAIT;
		if (e != ERR_OK)
			return exchange_fail(x, e, w->reason);
	}
}

/* ---- down ---- */

static enum err pass_message(struct exchange *x, const struct websocket_message *m)
{
	struct relay_websocket *w = x->websocket;
	struct str payload = m->payload;

	if (relay_reveals(x, payload))
		return ERR_SECRET_REFLECTED;
	w->closed_down |= m->opcode == WEBSOCKET_CLOSE;
	if (m->opcode == WEBSOCKET_PING && payload.n)
		note(&w->asked, payload);
	if (m->opcode == WEBSOCKET_PONG && payload.n == 0) {
		payload = str_make(w->withheld.p, w->withheld.n);
		w->withheld.n = 0;
	}
	queue_compact(&w->in);
	enum err e = websocket_put_message(&w->in.b, m->opcode, payload);

	if (is_data(m) && w->reader.message.cap > LINK_WINDOW_BYTES)
		buf_free(&w->reader.message);	/* it is in `in` now */
	return e;
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
	if ((e == ERR_OK || e == ERR_MORE) && keep_held(x) != ERR_OK)
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
	(void)!keep_held(x);
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

/* Nothing more comes of the agent's, and nothing whole waits: it has ended without a close. */
static bool cut_short(const struct exchange *x)
{
	const struct relay_websocket *w = x->websocket;

	return x->up.ended && !w->more && !queue_bytes(&w->out) && !w->closed_up && !w->gone;
}

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
		return cut_short(x) ? exchange_fail(x, ERR_CANCELLED, "") : STEP_WAIT;
	if (!w->closed_down)
		return exchange_fail(x, ERR_UPSTREAM_CLOSED, "without a close frame");
	link_end(x->link, x->stream);
	x->up.complete = x->up.done = agreed;
	return STEP_NEXT;
}
