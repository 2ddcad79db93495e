/* relay.c - the body of a request up, the answer down
 *
 * Theory of operation: both directions at once, each as far as credit goes. Up: body bytes are taken
 * out of their framing and go to the courier; a byte is taken from the guest only when the courier
 * has room for it. Down: the courier's heads are written at once, its body bytes stand in x->body (a
 * window of them at most) until the output has room, and only then does their credit go back. Each
 * turn writes what there is: an event stream passes unbuffered.
 *
 * The courier is believed in what it says, but its bytes have been an upstream's: heads are checked
 * again, lengths are held to, and an answer that was cut off is cut off for the client too, never
 * given an end that it did not have.
 */
#include "inspector/connection.h"

#define PIECE GUEST_TLS_CHUNK

void exchange_open(struct exchange *x)
{
	*x = (struct exchange){ .stream = { exchange_frame } };
	buf_init(&x->head, HEAD_MAX_BYTES);
	buf_init(&x->body, INSPECTOR_COURIER_WINDOW);
	buf_init(&x->trailers, HEAD_MAX_BYTES);
	http1_body_init(&x->upload, HTTP1_NONE, 0);
}

void exchange_close(struct connection *c, enum err why)
{
	struct exchange *x = &c->exchange;

	if (x->number) {
		link_set_user(courier_link(c->inspector), x->number, NULL);
		link_reset(courier_link(c->inspector), x->number, why);
	}
	buf_free(&x->head);
	buf_free(&x->body);
	buf_free(&x->trailers);
	http1_body_free(&x->upload);
	*x = (struct exchange){ .stream = { exchange_frame } };
}

/* Something moved: the wait begins anew. */
static void progress(struct connection *c)
{
	if (!c->exchange.expect_continue)
		connection_deadline(c, c->inspector->limits.stall_ms);
}

enum step relay_continue(struct connection *c)
{
	c->exchange.expect_continue = false;
	buf_put(&c->out, STR("HTTP/1.1 100 Continue\r\n\r\n"));
	connection_deadline(c, c->inspector->limits.stall_ms);
	return STEP_AGAIN;
}

/* -- up --------------------------------------------------------------------------------- */

/* As much of the body as there is and as the courier takes. */
static enum err upload_some(struct connection *c, bool *ret_dry)
{
	struct exchange *x = &c->exchange;
	struct link *l = courier_link(c->inspector);

	while (!x->upload.done) {
		size_t room = link_sendable(l, x->number), before;
		struct str text, input, data = { NULL, 0 };
		enum err e = connection_text(c, &text);

		if (e)
			return e;
		*ret_dry = text.n == 0;
		if (room == 0 || text.n == 0)
			return ERR_OK;
		x->expect_continue = false;	/* it did not wait, or has waited enough */
		input = str_head(text, room);
		before = input.n;
		e = http1_body_next(&x->upload, &input, &data);
		if (!e && data.n)
			e = link_data(l, x->number, 0, data);
		connection_take(c, before - input.n);
		if (e && e != ERR_MORE)
			return e == ERR_LIMIT ? ERR_BODY_FRAMING : e;
		progress(c);
	}
	return ERR_OK;
}

static enum err upload(struct connection *c)
{
	struct exchange *x = &c->exchange;
	struct head trailers;
	bool dry = false;
	enum err e;

	if (x->upload_ended || x->ended)
		return ERR_OK;
	e = upload_some(c, &dry);
	if (e)
		return e;
	if (!x->upload.done)
		return dry && (c->guest_ended || c->notified) ? ERR_CANCELLED : ERR_OK;
	e = http1_body_trailers(&x->upload, &trailers);
	if (e)
		return ERR_BODY_FRAMING;
	link_end(courier_link(c->inspector), x->number);
	x->upload_ended = true;
	x->expect_continue = false;
	return ERR_OK;
}

/* -- down ------------------------------------------------------------------------------- */

static enum err take_interim(struct connection *c, const struct head *h)
{
	struct exchange *x = &c->exchange;
	bool awaited = h->status != 100 || x->expect_continue;

	if (++x->interim > EXCHANGE_INTERIM_MAX || h->status == 101)
		return ERR_UPSTREAM_MALFORMED;
	if (h->status == 100)
		x->expect_continue = false;
	if (!awaited || x->version_10)
		return ERR_OK;
	return http1_put_response(&c->out, h, str_make(x->method, x->method_bytes), false, false);
}

static enum err take_final(struct connection *c, const struct head *h)
{
	struct exchange *x = &c->exchange;
	struct str method = str_make(x->method, x->method_bytes);
	enum err e;

	x->has_body = http1_status_has_body(method, h->status);
	x->framing = h->framing;
	x->left = x->has_body && h->framing == HEAD_BODY_LENGTH ? h->length : 0;
	x->chunked = x->has_body && h->framing == HEAD_BODY_STREAMED && !x->version_10;
	x->close |= !x->upload_ended;	/* what is left of the request will not be read */
	e = http1_put_response(&c->out, h, method, x->version_10, x->close);
	if (e)
		return e;
	x->head_written = true;
	x->expect_continue = false;
	return ERR_OK;
}

static enum err take_answer_head(struct connection *c, struct str payload)
{
	struct exchange *x = &c->exchange;
	struct head h;

	if (head_decode(payload, &h) || x->ended)
		return ERR_UPSTREAM_MALFORMED;
	if (h.kind == HEAD_TRAILERS) {
		if (!x->head_written || x->trailers.len)
			return ERR_UPSTREAM_MALFORMED;
		if (x->chunked)
			buf_put(&x->trailers, payload);
		return buf_err(&x->trailers);
	}
	if (h.kind != HEAD_RESPONSE || x->head_written)
		return ERR_UPSTREAM_MALFORMED;
	return h.final ? take_final(c, &h) : take_interim(c, &h);
}

static enum err take_answer_data(struct exchange *x, struct str payload)
{
	if (!x->head_written || !x->has_body || x->framing == HEAD_BODY_NONE || x->ended || x->trailers.len)
		return ERR_UPSTREAM_MALFORMED;
	if (x->framing == HEAD_BODY_LENGTH) {
		if (payload.n > x->left)
			return ERR_UPSTREAM_MALFORMED;
		x->left -= payload.n;
	}
	buf_put(&x->body, payload);
	return buf_err(&x->body);
}

void exchange_frame(struct stream *s, const struct link_frame *f)
{
	struct exchange *x = (struct exchange *)s;
	struct connection *c = (struct connection *)((char *)x - offsetof(struct connection, exchange));
	enum err e = ERR_OK;

	if (f->type == LINK_HEAD) {
		link_consumed(courier_link(c->inspector), x->number, f->payload.n);
		e = take_answer_head(c, f->payload);
	} else if (f->type == LINK_DATA) {
		e = take_answer_data(x, f->payload);
	} else if (f->type == LINK_END) {
		x->ended = true;
	} else if (f->type == LINK_RESET) {
		e = f->reason ? f->reason : ERR_CANCELLED;
	}
	if (e && !x->reset)
		x->reset = e;
	if (f->type != LINK_CREDIT)
		progress(c);
	connection_run(c);
}

/* Body bytes to the output, while that is low. */
static void download(struct connection *c)
{
	struct exchange *x = &c->exchange;

	while (x->body.len && c->out.len < CONNECTION_OUT_LOW) {
		struct str piece = str_head(buf_str(&x->body), PIECE);

		if (x->chunked)
			http1_put_chunk(&c->out, piece);
		else
			buf_put(&c->out, piece);
		link_consumed(courier_link(c->inspector), x->number, piece.n);
		buf_drop(&x->body, piece.n);
		progress(c);
	}
}

/* The answer is whole: its last chunk, with trailers if there were any. */
static enum err finish_answer(struct connection *c)
{
	struct exchange *x = &c->exchange;
	struct head trailers;
	enum err e = ERR_OK;

	if (!x->head_written || x->left)
		return ERR_UPSTREAM_CLOSED;
	if (!x->chunked)
		return ERR_OK;
	if (x->trailers.len)
		e = head_decode(buf_str(&x->trailers), &trailers);
	return e ? e : http1_put_last_chunk(&c->out, x->trailers.len ? &trailers : NULL);
}

enum step step_relay(struct connection *c)
{
	struct exchange *x = &c->exchange;
	enum err e = x->reset;

	if (e)
		return http_fail(c, e, 0, "");
	e = upload(c);
	if (e == ERR_TLS || e == ERR_CANCELLED)
		return connection_refuse(c, e, "the request body was cut off");
	if (e)
		return http_refuse(c, e, 0, "");
	if (c->tls && x->upload_ended && (c->guest_ended || c->notified)) {
		c->result = ERR_CANCELLED;	/* a TLS client that closes has gone, and waits for nothing */
		link_reset(net_link(c->inspector), c->number, ERR_CANCELLED);
		return STEP_OVER;
	}
	download(c);
	if (buf_err(&c->out))
		return http_fail(c, buf_err(&c->out), 0, "");
	if (!x->ended || x->body.len)
		return STEP_WAIT;
	e = finish_answer(c);
	return e ? http_fail(c, e, 0, "") : http_next(c);
}
