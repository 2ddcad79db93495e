/* relay.c - the bodies of one exchange, both ways, searched as they pass
 *
 * Theory of operation:
 *  up    link -> body -> (search for foreign placeholders) -> wire -> upstream. Credit goes back to
 *        the inspector only for what the upstream's socket has taken.
 *  down  upstream -> raw -> HTTP/1.1 parser -> (search for secrets) -> clear -> link. The upstream
 *        is read only when everything that came before is on the link.
 * So that each side's pace is the other's (I7), and nothing here holds more than a window.
 * What could still become a needle is held back: not even a part of a secret passes. A stream
 * that pauses (server-sent events) is held back by no byte more than that.
 * Bytes: bodies are searched and counted, never interpreted (I1). The answer's head goes through
 * the strict parser; framing that can be read in two ways ends the exchange.
 */
#include "courier/relay.h"

#define PIECE_BYTES ((size_t)16384)
#define WIRE_MAX (HEAD_MAX_BYTES + 2 * PIECE_BYTES)
#define RAW_MAX ((size_t)HTTP1_HEAD_MAX + 2 * PIECE_BYTES)
#define HELD_MAX ((size_t)8 * SECRET_MAX_BYTES)	/* the longest form of the longest secret, and more */

void relay_init(struct exchange *x)
{
	queue_init(&x->up.body, 2 * (size_t)LINK_WINDOW_BYTES);
	queue_init_secret(&x->up.wire, WIRE_MAX);
	queue_init(&x->down.raw, RAW_MAX);
	queue_init(&x->down.clear, HELD_MAX + RAW_MAX);
	buf_init(&x->down.storage, (size_t)HTTP1_STORAGE_MAX);
	buf_init(&x->down.head, HEAD_MAX_BYTES);
	buf_init(&x->down.trailers, HEAD_MAX_BYTES);
}

void relay_free(struct exchange *x)
{
	link_consumed(x->link, x->stream, queue_bytes(&x->up.body) + x->up.wire_body);
	queue_free(&x->up.body);
	queue_free(&x->up.wire);
	scrub_free(x->up.scrub);
	queue_free(&x->down.raw);
	queue_free(&x->down.clear);
	buf_free(&x->down.storage);
	buf_free(&x->down.head);
	buf_free(&x->down.trailers);
	http1_body_free(&x->down.body);
	scrub_free(x->down.scrub);
	vault_release(x->down.set);
}

void relay_again(struct exchange *x)
{
	queue_free(&x->up.wire);
	x->up.framed = x->up.done = x->up.broken = false;
	queue_free(&x->down.raw);
	x->down.scanned = 0;
}

/* ---- up ---- */

/* No more can come: what was begun was no placeholder after all. */
static void complete(struct exchange *x)
{
	x->up.complete = true;
	x->up.clear = queue_bytes(&x->up.body);
}

void relay_admitted(struct exchange *x)
{
	if (x->head.framing == HEAD_BODY_NONE || (x->head.framing == HEAD_BODY_LENGTH && x->head.length == 0))
		complete(x);
}

enum err relay_receive(struct exchange *x, struct str bytes)
{
	struct relay_up *up = &x->up;
	uint32_t hit;
	enum err e = queue_put(&up->body, bytes);	/* first: its credit is given back with the rest */

	if (e != ERR_OK)
		return e;
	up->bytes += bytes.n;
	if (!x->head_received)
		return ERR_LINK_STATE;
	if (up->ended || x->head.framing == HEAD_BODY_NONE ||
	    (x->head.framing == HEAD_BODY_LENGTH && up->bytes > x->head.length))
		return ERR_BODY_FRAMING;
	if (x->rule && up->bytes > x->rule->request_body_max)
		return ERR_BODY_TOO_LARGE;
	e = exchange_count(x, bytes.n);
	if (e != ERR_OK)
		return e;
	if (up->scrub && scrub_feed(up->scrub, bytes, &hit)) {
		x->foreign = snapshot_placeholder_name(x->snapshot, hit);
		return ERR_PLACEHOLDER_BLOCKED;
	}
	size_t held = up->scrub ? scrub_held(up->scrub) : 0, there = queue_bytes(&up->body);

	up->clear = there - (held < there ? held : there);
	if (x->head.framing == HEAD_BODY_LENGTH && up->bytes == x->head.length)
		complete(x);
	return ERR_OK;
}

enum err relay_receive_end(struct exchange *x)
{
	if (!x->head_received)
		return ERR_LINK_STATE;
	if (x->up.ended || (x->head.framing == HEAD_BODY_LENGTH && x->up.bytes != x->head.length))
		return ERR_BODY_FRAMING;
	x->up.ended = true;
	complete(x);
	return ERR_OK;
}

/* The next piece of body, or the end of it, as HTTP/1.1 frames it. */
static enum err frame(struct exchange *x)
{
	struct relay_up *up = &x->up;
	struct str piece = str_head(str_head(queue_str(&up->body), up->clear), PIECE_BYTES);

	queue_compact(&up->wire);
	if (piece.n && x->head.framing == HEAD_BODY_STREAMED)
		http1_put_chunk(&up->wire.b, piece);
	else if (piece.n)
		buf_put(&up->wire.b, piece);
	if (piece.n) {
		queue_drop(&up->body, piece.n);
		up->clear -= piece.n;
		up->wire_body += piece.n;
		return buf_err(&up->wire.b);
	}
	up->framed = true;
	return x->head.framing == HEAD_BODY_STREAMED ? http1_put_last_chunk(&up->wire.b, NULL) : ERR_OK;
}

enum step relay_up(struct exchange *x)
{
	struct relay_up *up = &x->up;

	while (!up->done && !up->broken) {
		struct str out = queue_str(&up->wire);
		enum err e;
		size_t n;

		if (out.n) {
			e = upstream_write(x->connection, out, &n);
			if (e == ERR_MORE)
				return STEP_WAIT;
			up->broken = e != ERR_OK;	/* what it has answered may say why */
			if (up->broken)
				break;
			queue_drop(&up->wire, n);
			exchange_progress(x);
		} else if (up->wire_body) {
			link_consumed(x->link, x->stream, up->wire_body);
			up->wire_body = 0;
		} else if (up->framed) {
			up->done = true;
			exchange_progress(x);
		} else if (up->clear || up->complete) {
			e = frame(x);
			if (e != ERR_OK)
				return exchange_fail(x, e, "");
		} else {
			break;
		}
	}
	return STEP_WAIT;
}

/* ---- down ---- */

/* A secret that was fetched while this answer runs is searched for from here on; what is held
 * back under the old set may be the beginning of one of its needles, so it is looked at again. */
static enum err follow_vault(struct exchange *x)
{
	struct relay_down *down = &x->down;
	uint32_t hit;

	if (vault_current(x->courier->vault) == down->set)
		return ERR_OK;
	vault_release(down->set);
	scrub_free(down->scrub);
	down->set = vault_acquire(x->courier->vault);
	down->scrub = scrub_new(down->set->set);
	if (!down->scrub)
		return ERR_MEMORY;
	struct str held = str_from(queue_str(&down->clear), queue_bytes(&down->clear) - down->held);

	return scrub_feed(down->scrub, held, &hit) ? ERR_SECRET_REFLECTED : ERR_OK;
}

static bool head_reveals(const struct exchange *x, const struct head *h)
{
	const struct scrub_set *set = x->down.set ? x->down.set->set : NULL;
	uint32_t hit;

	for (uint32_t i = 0; set && i < h->field_count; i++)
		if (scrub_search(set, h->fields[i].name, &hit) || scrub_search(set, h->fields[i].value, &hit))
			return true;
	return false;
}

static bool encoded(const struct head *h)
{
	for (uint32_t i = 0; i < h->field_count; i++)
		if (str_eq(h->fields[i].name, STR("content-encoding")) &&
		    !str_eq_nocase(h->fields[i].value, STR("identity")))
			return true;
	return false;
}

static enum step take_head(struct exchange *x, struct http1_response *r)
{
	struct relay_down *down = &x->down;
	enum err e = follow_vault(x);

	if (e != ERR_OK)
		return exchange_fail(x, e, "");
	if (head_reveals(x, &r->head))
		return exchange_fail(x, ERR_SECRET_REFLECTED, "in a header field");
	if (x->credential_attached && encoded(&r->head))
		return exchange_fail(x, ERR_CANNOT_SCRUB, "");
	if (r->head.framing == HEAD_BODY_LENGTH && r->framing != HTTP1_NONE &&
	    r->head.length > x->rule->response_body_max)
		return exchange_fail(x, ERR_BODY_TOO_LARGE, "the answer's, by its length");
	head_remove(&r->head, STR("alt-svc"));	/* it names ways around the gate */
	e = head_encode(&r->head, &down->head);
	if (e != ERR_OK)
		return exchange_fail(x, e == ERR_MEMORY ? e : ERR_UPSTREAM_MALFORMED, "");
	http1_body_init(&down->body, r->framing, r->head.length);
	down->whole = r->framing == HTTP1_NONE;
	down->keep = !r->close;
	down->status = r->head.status;
	down->head_parsed = true;
	exchange_progress(x);
	return STEP_NEXT;
}

static enum step parse_head(struct exchange *x)
{
	struct relay_down *down = &x->down;
	struct http1_response r;
	size_t n;
	enum err e = http1_head_end(queue_str(&down->raw), &down->scanned, &n);

	if (e == ERR_MORE)
		return STEP_WAIT;
	if (e == ERR_OK)
		e = http1_parse_response(str_head(queue_str(&down->raw), n), x->head.method, &down->storage, &r);
	if (e != ERR_OK)
		return exchange_fail(x, e == ERR_MEMORY ? e : ERR_UPSTREAM_MALFORMED, "");
	if (!r.head.final && ++down->informational > EXCHANGE_INFORMATIONAL_MAX)
		return exchange_fail(x, ERR_UPSTREAM_MALFORMED, "too many informational answers");
	enum step s = r.head.final ? take_head(x, &r) : STEP_NEXT;

	queue_drop(&down->raw, n);
	down->scanned = 0;
	return s;
}

static enum step take_body(struct exchange *x, struct str data)
{
	struct relay_down *down = &x->down;
	enum err e = follow_vault(x);
	uint32_t hit;

	down->bytes += data.n;
	if (e == ERR_OK && down->bytes > x->rule->response_body_max)
		return exchange_fail(x, ERR_BODY_TOO_LARGE, "the answer's");
	if (e == ERR_OK)
		e = exchange_count(x, data.n);
	if (e == ERR_OK && down->scrub && scrub_feed(down->scrub, data, &hit))
		e = ERR_SECRET_REFLECTED;
	if (e == ERR_OK)
		e = queue_put(&down->clear, data);
	if (e != ERR_OK)
		return exchange_fail(x, e, "");
	size_t held = down->scrub ? scrub_held(down->scrub) : 0, there = queue_bytes(&down->clear);

	down->held = held < there ? held : there;
	exchange_progress(x);
	return STEP_NEXT;
}

static enum step take_end(struct exchange *x)
{
	struct head trailers;
	enum err e = follow_vault(x);

	if (e != ERR_OK)
		return exchange_fail(x, e, "");
	x->down.whole = true;
	x->down.held = 0;
	if (http1_body_trailers(&x->down.body, &trailers) != ERR_OK)
		return exchange_fail(x, ERR_UPSTREAM_MALFORMED, "its trailers");
	if (trailers.field_count == 0)
		return STEP_NEXT;
	if (head_reveals(x, &trailers))
		return exchange_fail(x, ERR_SECRET_REFLECTED, "in a trailer");
	if (head_encode(&trailers, &x->down.trailers) != ERR_OK)
		return exchange_fail(x, ERR_UPSTREAM_MALFORMED, "its trailers");
	return STEP_NEXT;
}

static enum step parse_body(struct exchange *x)
{
	struct relay_down *down = &x->down;
	struct str input = queue_str(&down->raw), data;
	size_t before = input.n;
	enum err e = http1_body_next(&down->body, &input, &data);
	enum step s = STEP_NEXT;

	if (e == ERR_MORE)
		s = STEP_WAIT;
	else if (e != ERR_OK)
		return exchange_fail(x, e == ERR_MEMORY ? e : ERR_UPSTREAM_MALFORMED, "");
	else if (data.n)
		s = take_body(x, data);
	else
		s = take_end(x);
	queue_drop(&down->raw, before - input.n);
	return s;
}

/* More bytes of the upstream. */
static enum step fill(struct exchange *x)
{
	struct relay_down *down = &x->down;
	size_t n;

	if (queue_room(&down->raw) < PIECE_BYTES)
		return exchange_fail(x, ERR_UPSTREAM_MALFORMED, "a head without an end");
	if (buf_room(&down->raw.b) < PIECE_BYTES)
		queue_compact(&down->raw);
	if (buf_reserve(&down->raw.b, PIECE_BYTES) != ERR_OK)
		return exchange_fail(x, ERR_MEMORY, "");
	enum err e = upstream_read(x->connection, buf_tail(&down->raw.b), PIECE_BYTES, &n);

	if (e == ERR_MORE)
		return STEP_WAIT;
	if (e == ERR_OK) {
		down->raw.b.len += n;
		exchange_progress(x);
		return STEP_NEXT;
	}
	down->keep = false;
	if (e == ERR_CLOSED && down->head_parsed && http1_body_eof(&down->body) == ERR_OK)
		return take_end(x);
	return exchange_fail(x, e == ERR_CLOSED ? ERR_UPSTREAM_CLOSED : e, "");
}

/* To the link, as far as it has credit: STEP_NEXT when nothing that may go waits. */
static enum step push(struct exchange *x)
{
	struct relay_down *down = &x->down;

	if (down->head_parsed && !down->head_sent) {
		if (link_sendable(x->link, x->stream) < down->head.len)
			return STEP_WAIT;
		if (link_head(x->link, x->stream, buf_str(&down->head)) != ERR_OK)
			return exchange_fail(x, ERR_MEMORY, "");
		down->head_sent = true;
		buf_free(&down->head);
	}
	for (;;) {
		struct str out = str_head(queue_str(&down->clear), queue_bytes(&down->clear) - down->held);

		if (out.n == 0)
			break;
		out = str_head(out, link_sendable(x->link, x->stream));
		if (out.n == 0)
			return STEP_WAIT;
		if (link_data(x->link, x->stream, 0, out) != ERR_OK)
			return exchange_fail(x, ERR_MEMORY, "");
		queue_drop(&down->clear, out.n);
		exchange_progress(x);
	}
	if (!down->trailers.len)
		return STEP_NEXT;
	if (link_sendable(x->link, x->stream) < down->trailers.len)
		return STEP_WAIT;
	if (link_head(x->link, x->stream, buf_str(&down->trailers)) != ERR_OK)
		return exchange_fail(x, ERR_MEMORY, "");
	buf_free(&down->trailers);
	return STEP_NEXT;
}

enum step relay_down(struct exchange *x)
{
	for (;;) {
		enum step s = push(x);

		if (s != STEP_NEXT)
			return s;
		if (x->down.whole) {
			link_end(x->link, x->stream);
			return STEP_NEXT;
		}
		s = x->down.head_parsed ? parse_body(x) : parse_head(x);
		if (s == STEP_WAIT)
			s = fill(x);
		if (s != STEP_NEXT)
			return s;
	}
}
