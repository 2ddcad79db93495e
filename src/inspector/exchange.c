/* exchange.c - one request and its answer on the courier's link
 *
 * Theory of operation: the head goes out with the OPEN if there is room, else as soon as there is. The
 * courier is believed in what it says, but its bytes have been an upstream's: heads are checked again,
 * lengths are held to, the order of heads, data and trailers too; an answer that breaks a rule counts as
 * reset. Body bytes stand in x->body (a window of them at most) until the front takes them.
 */
#include "inspector/exchange.h"

#define KEPT_BYTES 16384	/* that a closed exchange's body buffer may keep for the next */

static struct link *link_of(const struct exchange *x) { return courier_link(x->inspector); }

static void frame(struct stream *s, const struct link_frame *f);

void exchange_init(struct exchange *x, struct inspector *i, const struct exchange_ops *ops)
{
	*x = (struct exchange){ .stream = { frame }, .ops = ops, .inspector = i };
	buf_init(&x->waiting, HEAD_MAX_BYTES);
	buf_init(&x->trailers, HEAD_MAX_BYTES);
}

void exchange_close(struct exchange *x, enum err why)
{
	struct queue body = x->body;

	if (x->number) {
		bool half = !x->upload_ended || x->waiting.len;	/* the courier's END alone would not end it */

		link_set_user(link_of(x), x->number, NULL);
		if (why || half)
			link_reset(link_of(x), x->number, why ? why : ERR_CANCELLED);
		x->inspector->exchange_count--;
	}
	buf_free(&x->waiting);
	buf_free(&x->trailers);
	if (body.cap > KEPT_BYTES)
		queue_free(&body);
	queue_take(&body, queue_bytes(&body).n);
	exchange_init(x, x->inspector, x->ops);
	x->body = body;
}

void exchange_free(struct exchange *x, enum err why)
{
	exchange_close(x, why);
	queue_free(&x->body);
}

/* -- the request ------------------------------------------------------------------------ */

/* Sends a HEAD, or keeps it until there is room. Both directions end with the stream: no order is lost. */
static enum err put_head(struct exchange *x, const struct head *h)
{
	struct buf *scratch = &x->inspector->scratch;
	enum err e;

	buf_clear(scratch);
	e = head_encode(h, scratch);
	if (e)
		return e;
	if (link_sendable(link_of(x), x->number) >= scratch->len)
		return link_head(link_of(x), x->number, buf_str(scratch));
	buf_clear(&x->waiting);
	buf_put(&x->waiting, buf_str(scratch));
	return buf_err(&x->waiting);
}

/* The head that waits, if there is room now. */
static void put_waiting(struct exchange *x)
{
	if (!x->waiting.len || !x->number || link_sendable(link_of(x), x->number) < x->waiting.len)
		return;
	if (link_head(link_of(x), x->number, buf_str(&x->waiting)))
		x->reset = ERR_MEMORY;
	buf_free(&x->waiting);
	if (x->upload_ended)
		link_end(link_of(x), x->number);
}

enum err exchange_begin(struct exchange *x, struct str fields, const struct head *h)
{
	enum err e = ERR_LIMIT;

	if (x->inspector->exchange_count < x->inspector->limits.exchanges_max)
		e = link_open(link_of(x), LINK_KIND_EXCHANGE, fields, &x->number);
	if (e)
		return e;
	x->inspector->exchange_count++;
	link_set_user(link_of(x), x->number, x);
	memcpy(x->method, h->method.p, h->method.n);
	x->method_bytes = h->method.n;
	x->websocket = h->websocket;
	x->takes_trailers = h->trailers;
	return put_head(x, h);
}

size_t exchange_room(struct exchange *x)
{
	put_waiting(x);
	return x->number && !x->waiting.len && !x->upload_ended ? link_sendable(link_of(x), x->number) : 0;
}

enum err exchange_send(struct exchange *x, struct str bytes)
{
	return link_data(link_of(x), x->number, 0, bytes);
}

enum err exchange_send_end(struct exchange *x, const struct head *trailers)
{
	enum err e = ERR_OK;

	if (x->number && trailers && trailers->field_count && x->takes_trailers) {
		if (x->waiting.len)
			return ERR_MORE;
		e = put_head(x, trailers);
	}
	x->upload_ended = true;
	if (x->number && !x->waiting.len)
		link_end(link_of(x), x->number);
	return e;
}

/* -- the answer ------------------------------------------------------------------------- */

void exchange_take(struct exchange *x, size_t n)
{
	queue_take(&x->body, n);
	if (x->number)
		link_consumed(link_of(x), x->number, n);
}

static enum err take_final(struct exchange *x, const struct head *h)
{
	if (h->websocket && !x->websocket)
		return ERR_UPSTREAM_MALFORMED;
	x->answered = true;
	x->granted = h->websocket;
	/* NONE: the head is all of it, as gRPC's answers of trailers alone need it to be */
	x->has_body = x->granted || (h->framing != HEAD_BODY_NONE && h->status != 204 && h->status != 304 &&
				     !str_eq(exchange_method(x), STR("HEAD")));
	x->framing = x->granted ? HEAD_BODY_STREAMED : h->framing;
	x->left = x->has_body && h->framing == HEAD_BODY_LENGTH ? h->length : 0;
	if (x->websocket && !x->granted) {	/* nothing of the client's follows */
		enum err e = exchange_send_end(x, NULL);

		if (e)
			return e;
	}
	return x->ops->head(x, h);
}

static enum err take_head(struct exchange *x, struct str payload)
{
	static struct head h;

	if (head_decode(payload, &h) || x->ended)
		return ERR_UPSTREAM_MALFORMED;
	if (h.kind == HEAD_TRAILERS) {
		if (!x->answered || x->granted || x->trailers.len)
			return ERR_UPSTREAM_MALFORMED;
		buf_put(&x->trailers, payload);
		return buf_err(&x->trailers);
	}
	if (h.kind != HEAD_RESPONSE || x->answered)
		return ERR_UPSTREAM_MALFORMED;
	if (h.final)
		return take_final(x, &h);
	if (++x->interim > EXCHANGE_INTERIM_MAX || h.status == 101)
		return ERR_UPSTREAM_MALFORMED;
	return x->ops->head(x, &h);
}

/* A window at most: the courier has no credit for more. */
static enum err put_body(struct exchange *x, struct str bytes)
{
	if (bytes.n > INSPECTOR_COURIER_WINDOW - exchange_body(x).n)
		return ERR_LIMIT;
	if (!queue_reserve(&x->body, bytes.n))
		return ERR_MEMORY;
	queue_put(&x->body, bytes);
	return ERR_OK;
}

static size_t take_at_once(struct exchange *x, struct str bytes)
{
	size_t n = x->ops->data && exchange_body(x).n == 0 ? x->ops->data(x, bytes) : 0;

	link_consumed(link_of(x), x->number, n);
	return n;
}

static enum err take_data(struct exchange *x, struct str payload)
{
	if (!x->answered || !x->has_body || x->framing == HEAD_BODY_NONE || x->ended || x->trailers.len)
		return ERR_UPSTREAM_MALFORMED;
	if (x->framing == HEAD_BODY_LENGTH) {
		if (payload.n > x->left)
			return ERR_UPSTREAM_MALFORMED;
		x->left -= payload.n;
	}
	return put_body(x, str_from(payload, take_at_once(x, payload)));
}

static void frame(struct stream *s, const struct link_frame *f)
{
	struct exchange *x = (struct exchange *)s;
	enum err e = ERR_OK;

	if (f->type == LINK_HEAD) {
		link_consumed(link_of(x), x->number, f->payload.n);
		e = take_head(x, f->payload);
	} else if (f->type == LINK_DATA) {
		e = take_data(x, f->payload);
	} else if (f->type == LINK_END) {
		x->ended = true;
	} else if (f->type == LINK_RESET) {
		e = f->reason ? f->reason : ERR_CANCELLED;
	} else if (f->type == LINK_CREDIT) {
		put_waiting(x);
	}
	if (e && !x->reset)
		x->reset = e;
	x->ops->moved(x);
}

enum err exchange_whole(const struct exchange *x)
{
	return x->answered && x->left == 0 ? ERR_OK : ERR_UPSTREAM_CLOSED;
}

void exchange_answer(struct exchange *x, struct str body)
{
	x->answered = x->ended = x->has_body = true;
	x->reset = ERR_OK;
	if (put_body(x, body))
		x->reset = ERR_MEMORY;
}
