/* http1_relay.c - HTTP/1.1: the body of a request up, the answer down
 *
 * Theory of operation: both directions at once, each as far as credit goes. Up: body bytes are taken
 * out of their framing and go to the courier; a byte is taken from the client only when the courier
 * has room for it. Down: the courier's heads are written at once, its body bytes stand in the exchange
 * until the output has room, and only then does their credit go back. Each
 * turn writes what there is: an event stream passes unbuffered.
 *
 * An answer that was cut off is cut off for the client too, never given an end that it did not have.
 */
#include "inspector/connection.h"

#define PIECE GUEST_TLS_CHUNK

static struct connection *connection_of(struct exchange *x)
{
	return (struct connection *)((char *)x - offsetof(struct connection, http1.exchange));
}

/* Something moved: the wait begins anew. */
static void progress(struct connection *c)
{
	if ((c->phase == PHASE_relay || c->phase == PHASE_messages) && !c->http1.expect_continue)
		connection_deadline(c, c->inspector->limits.stall_ms);
}

enum step http1_continue(struct connection *c)
{
	c->http1.expect_continue = false;
	buf_put(&c->out, STR("HTTP/1.1 100 Continue\r\n\r\n"));
	connection_deadline(c, c->inspector->limits.stall_ms);
	return STEP_AGAIN;
}

/* -- up --------------------------------------------------------------------------------- */

/* As much of the body as there is and as the courier takes. */
static enum err upload_some(struct connection *c, bool *ret_dry)
{
	struct http1 *h = &c->http1;

	while (!h->upload.done) {
		size_t room = exchange_room(&h->exchange), before;
		struct str text, input, data = { NULL, 0 };
		enum err e = connection_text(c, &text);

		if (e)
			return e;
		*ret_dry = text.n == 0;
		if (room == 0 || text.n == 0)
			return ERR_OK;
		h->expect_continue = false;	/* it did not wait, or has waited enough */
		input = str_head(text, room);
		before = input.n;
		e = http1_body_next(&h->upload, &input, &data);
		if (!e && data.n)
			e = exchange_send(&h->exchange, data);
		connection_take(c, before - input.n);
		if (e && e != ERR_MORE)
			return e == ERR_LIMIT ? ERR_BODY_FRAMING : e;
		progress(c);
	}
	return ERR_OK;
}

static enum err upload(struct connection *c)
{
	static struct head trailers;
	struct http1 *h = &c->http1;
	struct exchange *x = &h->exchange;
	bool dry = false;
	enum err e;

	if (x->upload_ended || x->ended || x->websocket)
		return ERR_OK;
	e = upload_some(c, &dry);
	if (e)
		return e;
	if (!h->upload.done)
		return dry && connection_has_left(c) ? ERR_CANCELLED : ERR_OK;
	if (h->upload.framing == HTTP1_CHUNKED && http1_body_trailers(&h->upload, &trailers))
		return ERR_BODY_FRAMING;
	e = exchange_send_end(x, h->upload.framing == HTTP1_CHUNKED ? &trailers : NULL);
	if (e)
		return e == ERR_MORE ? ERR_OK : e;
	h->expect_continue = false;
	return ERR_OK;
}

/* -- down ------------------------------------------------------------------------------- */

static enum err take_interim(struct connection *c, const struct head *head)
{
	struct http1 *h = &c->http1;
	bool awaited = head->status != 100 || h->expect_continue;

	if (head->status == 100)
		h->expect_continue = false;
	if (!awaited || h->version_10)
		return ERR_OK;
	return http1_put_response(&c->out, head, exchange_method(&h->exchange), false, false);
}

static enum err take_head(struct exchange *x, const struct head *head)
{
	struct connection *c = connection_of(x);
	struct http1 *h = &c->http1;
	enum err e;

	progress(c);
	if (!head->final)
		return take_interim(c, head);
	if (head->websocket) {
		h->head_written = true;
		return http1_put_switching(&c->out, head, str_of(h->accept));
	}
	h->chunked = x->has_body && head->framing == HEAD_BODY_STREAMED && !h->version_10;
	h->close |= !x->upload_ended && !x->websocket;	/* what is left of the request will not be read */
	e = http1_put_response(&c->out, head, exchange_method(x), h->version_10, h->close);
	if (e)
		return e;
	h->head_written = true;
	h->expect_continue = false;
	return ERR_OK;
}

static void moved(struct exchange *x)
{
	progress(connection_of(x));
	connection_wake(connection_of(x));
}

/* A plain body goes to the output from where it came, while little waits there. */
static size_t take_data(struct exchange *x, struct str bytes)
{
	struct connection *c = connection_of(x);
	size_t waiting = connection_waiting(c);
	struct str now =
		str_head(bytes, waiting < CONNECTION_OUT_LOW ? CONNECTION_SEND_BYTES + PIECE - waiting : 0);

	if (c->http1.chunked || x->granted || c->phase != PHASE_relay)
		return 0;
	connection_put(c, now);
	return now.n;
}

const struct exchange_ops http1_exchange_ops = { .head = take_head, .data = take_data, .moved = moved };

/* Body bytes to the output, while that is low. */
static void download(struct connection *c)
{
	struct exchange *x = &c->http1.exchange;

	while (exchange_body(x).n && connection_waiting(c) < CONNECTION_OUT_LOW) {
		struct str piece = str_head(exchange_body(x), PIECE);

		if (c->http1.chunked)
			http1_put_chunk(&c->out, piece);
		else
			connection_put(c, piece);
		exchange_take(x, piece.n);
		progress(c);
	}
}

/* The answer is whole: its last chunk, with trailers if there were any. */
static enum err finish_answer(struct connection *c)
{
	struct exchange *x = &c->http1.exchange;
	static struct head trailers;
	enum err e = exchange_whole(x);

	if (e || !c->http1.chunked)
		return e;
	if (x->trailers.len)
		e = head_decode(buf_str(&x->trailers), &trailers);
	return e ? e : http1_put_last_chunk(&c->out, x->trailers.len ? &trailers : NULL);
}

enum step step_relay(struct connection *c)
{
	struct exchange *x = &c->http1.exchange;
	enum err e = x->reset;

	if (x->granted)
		return http1_messages_begin(c);
	if (e)
		return http1_fail(c, e, 0, "");
	e = upload(c);
	if (e == ERR_TLS || e == ERR_CANCELLED)
		return connection_refuse(c, e, "the request body was cut off");
	if (e)
		return http1_refuse(c, e, 0, "");
	if (c->tls && x->upload_ended && connection_has_left(c)) {
		c->result = ERR_CANCELLED;	/* a TLS client that closes has gone, and waits for nothing */
		c->transport.ops->reset(&c->transport, ERR_CANCELLED);
		return STEP_OVER;
	}
	download(c);
	if (buf_err(&c->out))
		return http1_fail(c, buf_err(&c->out), 0, "");
	if (!exchange_drained(x))
		return STEP_WAIT;
	e = finish_answer(c);
	return e ? http1_fail(c, e, 0, "") : http1_next(c);
}
