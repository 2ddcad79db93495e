/* http1_messages.c - a WebSocket over HTTP/1.1, after 101
 *
 * Theory of operation: the connection is the WebSocket's now, and ends with it. The client's bytes are taken
 * as the courier takes messages, frames go out as the output has room (messages.h); who breaks a rule, or is
 * refused by the courier, is told by a close frame.
 */
#include "inspector/connection.h"
#include "inspector/messages.h"

static enum step leave(struct connection *c, enum err why, uint16_t code)
{
	struct messages *m = c->http1.messages;

	c->result = why;
	messages_close(m, &c->out, why, code);
	if (m->down_left) {	/* within a frame nothing else can be said */
		c->transport.ops->reset(&c->transport, why);
		return STEP_OVER;
	}
	exchange_close(&c->http1.exchange, why);
	connection_enter(c, PHASE_finish, c->inspector->limits.linger_ms);
	return STEP_AGAIN;
}

static enum step refuse(struct connection *c, enum err why, uint16_t code)
{
	connection_claim(c, why, "");
	return leave(c, why, code);
}

/* The client's frames, as far as they are taken, and more of them
 * decrypted as there is room; *ret_dry: all that came was taken. */
static enum err up(struct connection *c, bool *ret_dry, uint16_t *ret_close)
{
	struct str text, input;
	enum err e;

	do {
		e = connection_text(c, &text);
		if (e)
			return e;
		input = text;
		e = messages_up(c->http1.messages, &input, ret_close);
		if (input.n < text.n)
			connection_deadline(c, c->inspector->limits.stall_ms);
		connection_take(c, text.n - input.n);
	} while (!e && text.n && input.n == 0);
	*ret_dry = input.n == 0;
	return e;
}

enum step http1_messages_begin(struct connection *c)
{
	c->http1.messages = messages_new(&c->http1.exchange);
	if (!c->http1.messages)
		return connection_refuse(c, ERR_MEMORY, "no memory for a WebSocket");
	connection_enter(c, PHASE_messages, c->inspector->limits.stall_ms);
	return STEP_AGAIN;
}

enum step step_messages(struct connection *c)
{
	struct exchange *x = &c->http1.exchange;
	struct messages *m = c->http1.messages;
	uint16_t code = 0;
	bool dry = false;
	enum err e = messages_down(m, &c->out, CONNECTION_OUT_LOW);

	if (!e)
		e = x->reset;
	if (e)
		return leave(c, e, 0);
	e = up(c, &dry, &code);
	if (e)
		return refuse(c, e, code);
	if (messages_over(m))
		return leave(c, m->down_left ? ERR_UPSTREAM_CLOSED : ERR_OK, 0);
	if (!connection_has_left(c) || !dry)
		return STEP_WAIT;
	c->result = ERR_CANCELLED;
	c->transport.ops->reset(&c->transport, ERR_CANCELLED);
	return STEP_OVER;
}
