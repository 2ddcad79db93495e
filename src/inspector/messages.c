/* messages.c - a WebSocket between a client's frames and the courier's link
 *
 * Theory of operation: one joined message at a time. It stays in the reader until the courier has taken all
 * of it, and meanwhile no further frame is read: so a courier that stops, stops the client. The memory of
 * joined messages is counted over the whole inspector; whoever would go over the sum is told 1009 and closed
 * (I7). Down there is nothing to join: the link's form says the length, one frame of that length follows.
 *
 * Closes are passed on, with code and reason, in both directions, and each side answers the other's by
 * itself. What ends without a close, ends without one on the other side too, but for our own verdicts: 1002,
 * 1007, 1009 for a client's mistakes, 1008 where policy ends it, 1011 for what failed behind us.
 *
 * Trust: every byte of the client's is hostile; the courier's are checked by length and kind.
 * Source: RFC 6455 s5, s7; RFC 8441 s5.
 */
#include "inspector/messages.h"

#include <stdlib.h>

#define CLOSE_GOING_AWAY 1001
#define CLOSE_POLICY 1008
#define CLOSE_TOO_LARGE 1009
#define CLOSE_INTERNAL 1011

struct messages *messages_new(struct exchange *x)
{
	struct messages *m = calloc(1, sizeof *m);

	if (!m)
		return NULL;
	m->exchange = x;
	websocket_reader_init(&m->reader, true, WEBSOCKET_MESSAGE_MAX);
	return m;
}

void messages_free(struct messages *m)
{
	if (!m)
		return;
	m->exchange->inspector->message_bytes -= m->counted;
	websocket_reader_free(&m->reader);
	free(m);
}

/* Keeps the sum of all; false if it is over the limit, and this one not small. */
static bool count(struct messages *m)
{
	struct inspector *i = m->exchange->inspector;

	i->message_bytes += m->reader.message.cap - m->counted;
	m->counted = m->reader.message.cap;
	return i->message_bytes <= MESSAGES_WAITING_MAX || m->counted <= LINK_PAYLOAD_MAX;
}

/* Sends what waits; false if the courier takes no more now. */
static bool send_waiting(struct messages *m, enum err *ret)
{
	size_t room;

	for (size_t i = 0; i < 2; i++) {
		while (m->waiting[i].n) {
			struct str piece;

			room = exchange_room(m->exchange);
			if (room == 0)
				return false;
			piece = str_head(m->waiting[i], room);
			*ret = exchange_send(m->exchange, piece);
			if (*ret)
				return false;
			m->waiting[i] = str_from(m->waiting[i], piece.n);
		}
	}
	return true;
}

bool messages_ready(struct messages *m)
{
	enum err e = ERR_OK;

	return send_waiting(m, &e) && !m->closing;
}

static void put_link_header(struct messages *m, const struct websocket_message *message)
{
	uint32_t words[2] = { (uint32_t)message->opcode, (uint32_t)message->payload.n };

	for (size_t i = 0; i < sizeof m->head; i++)
		m->head[i] = (char)(words[i / 4] >> (8 * (i % 4)));
	m->waiting[0] = str_make(m->head, sizeof m->head);
	m->waiting[1] = message->payload;
}

enum err messages_up(struct messages *m, struct str *input, uint16_t *ret_close)
{
	struct websocket_message message;
	enum err e = ERR_OK;

	*ret_close = CLOSE_INTERNAL;
	while (send_waiting(m, &e)) {
		if (m->closing && !m->exchange->upload_ended)
			return exchange_send_end(m->exchange, NULL);
		e = websocket_read(&m->reader, input, &message, ret_close);
		if (!count(m)) {
			websocket_reader_free(&m->reader);
			(void)count(m);
			*ret_close = CLOSE_TOO_LARGE;
			return ERR_LIMIT;
		}
		if (e)
			return e == ERR_MORE ? ERR_OK : e;
		put_link_header(m, &message);
		m->closing = message.opcode == WEBSOCKET_CLOSE;
	}
	return e;
}

/* The link's header in front of the next message, over whatever pieces it comes in. */
static enum err begin_down(struct messages *m, struct buf *out)
{
	struct exchange *x = m->exchange;
	struct str piece = str_head(exchange_body(x), sizeof m->down_head - m->down_head_bytes);
	uint32_t length;
	enum err e;

	memcpy(m->down_head + m->down_head_bytes, piece.p, piece.n);
	m->down_head_bytes += piece.n;
	exchange_take(x, piece.n);
	e = websocket_message_head(str_make(m->down_head, m->down_head_bytes), WEBSOCKET_MESSAGE_MAX,
				   &m->down_opcode, &length);
	if (e)
		return e == ERR_MORE ? ERR_OK : ERR_UPSTREAM_MALFORMED;
	if (m->closed)
		return ERR_UPSTREAM_MALFORMED;
	m->down_head_bytes = 0;
	m->down_left = length;
	m->closed = m->down_opcode == WEBSOCKET_CLOSE;
	websocket_put_frame_head(out, m->down_opcode, NULL, length);
	return buf_err(out);
}

enum err messages_down(struct messages *m, struct buf *out, size_t full)
{
	struct exchange *x = m->exchange;
	enum err e = ERR_OK;

	while (exchange_body(x).n && out->len < full && !e) {
		struct str piece = str_head(exchange_body(x), full - out->len);

		if (m->down_left == 0) {
			e = begin_down(m, out);
			continue;
		}
		piece = str_head(piece, m->down_left > SIZE_MAX ? SIZE_MAX : (size_t)m->down_left);
		buf_put(out, piece);
		e = buf_err(out);
		m->down_left -= piece.n;
		exchange_take(x, piece.n);
	}
	return e;
}

bool messages_over(const struct messages *m)
{
	return exchange_drained(m->exchange);
}

static uint16_t code_of(enum err why)
{
	if (why == ERR_CANCELLED || why == ERR_CLOSED)
		return CLOSE_GOING_AWAY;
	if (why == ERR_BODY_TOO_LARGE || why == ERR_LIMIT)
		return CLOSE_TOO_LARGE;
	return err_fault(why) == FAULT_AGENT ? CLOSE_POLICY : CLOSE_INTERNAL;
}

void messages_close(struct messages *m, struct buf *out, enum err why, uint16_t code)
{
	char room[125];
	struct buf payload = { .p = room, .cap = sizeof room, .max = sizeof room };

	if (m->closed || m->down_left)
		return;
	m->closed = true;
	websocket_put_close(&payload, code ? code : code_of(why), str_head(str_of(err_text(why)), 100));
	websocket_put_frame_head(out, WEBSOCKET_CLOSE, NULL, payload.len);
	buf_put(out, buf_str(&payload));
}
