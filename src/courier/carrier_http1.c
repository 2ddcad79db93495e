/* carrier_http1.c - one exchange over one HTTP/1.1 connection
 *
 * Theory of operation: what is sent gathers in `wire`, so that a head and the beginning of its body leave
 * together; a body of known length that comes in large pieces goes past it. What is received lands in
 * `raw`, is parsed in place, and is read on only when all of it is used up: the upstream's pace is the
 * owner's (I7).
 * Bytes: the answer's head goes through the strict parser; framing that can be read in two ways ends the
 * exchange. A message that is followed by bytes that nobody asked for ends the connection.
 * Source: RFC 9112.
 */
#include "courier/carrier_format.h"
#include "courier/queue.h"
#include "wire/http1_body.h"
#include "wire/websocket.h"

#include <stdlib.h>
#include <sys/random.h>

#define WIRE_FIRST ((size_t)1024)
#define WIRE_MAX (HEAD_MAX_BYTES + 3 * CARRIER_PIECE_BYTES)
#define READ_FIRST ((size_t)16384)		/* one go: a TLS record, and of what comes without a pause */
#define READ_BYTES ((size_t)65536)		/* four, if they are here already */
#define RAW_MAX ((size_t)HTTP1_HEAD_MAX + READ_BYTES)

struct http1_carrier {
	struct upstream_connection *connection;
	struct queue wire;		/* framed for the upstream; carries the secret with the head */
	char method[HEAD_METHOD_MAX];
	size_t method_bytes;
	bool streamed;			/* the request's body is chunked */
	bool websocket;			/* it asks for one; then, without framing, frames go both ways */
	char accept[WEBSOCKET_ACCEPT_BYTES + 1];	/* what the answer must say */
	bool ended;			/* its end is in wire */
	bool personal;			/* it authenticates the connection:
					   nobody else's request may follow */

	struct queue raw;		/* not yet used up */
	size_t scanned;			/* of raw, for the end of a head */
	size_t view_raw;		/* bytes of raw that go with the view that is out */
	struct str view;		/* body that was handed out, or what is left of it */
	struct buf storage;		/* what the parsed head points into */
	struct http1_body body;
	bool answered;			/* a byte of an answer is or was here */
	bool flows;			/* all the room of the last read was used */
	bool head_parsed, whole, keep;

	struct http1_response response;	/* these two are large, and each is written before it is read */
	struct head trailers;
};

static enum err flush(struct http1_carrier *h)
{
	while (queue_bytes(&h->wire)) {
		size_t n;
		enum err e = upstream_write(h->connection, queue_str(&h->wire), &n);

		if (e != ERR_OK)
			return e;
		queue_drop(&h->wire, n);
	}
	return ERR_OK;
}

static enum err put_handshake(struct http1_carrier *h, const struct head *head)
{
	uint8_t random[16];
	auto_buf key = BUF_EMPTY;

	buf_init(&key, WEBSOCKET_KEY_BYTES);
	if (getrandom(random, sizeof random, 0) != sizeof random)
		return ERR_LOCAL;
	buf_put_base64(&key, str_make(random, sizeof random));
	websocket_accept(buf_str(&key), h->accept);
	h->websocket = true;
	return http1_put_handshake(&h->wire.b, head, buf_str(&key));
}

/* NTLM, alone or inside Negotiate, holds for the connection: who comes next would be who came first. */
static bool authenticates_connection(const struct head *head)
{
	for (uint32_t i = 0; i < head->field_count; i++) {
		const struct head_field *f = &head->fields[i];

		if (str_eq(f->name, STR("authorization")) &&
		    (str_eq_nocase(str_head(f->value, 4), STR("NTLM")) ||
		     str_eq_nocase(str_head(f->value, 9), STR("Negotiate"))))
			return true;
	}
	return false;
}

static enum err http1_send_head(struct carrier *c, const struct head *head)
{
	struct http1_carrier *h = c->format;

	if (head->method.n > sizeof h->method)
		return ERR_HEAD_MALFORMED;
	memcpy(h->method, head->method.p, head->method.n);
	h->method_bytes = head->method.n;
	h->streamed = head->framing == HEAD_BODY_STREAMED;
	h->personal = authenticates_connection(head);
	if (buf_reserve(&h->wire.b, WIRE_FIRST) != ERR_OK)	/* growing would mean wiping */
		return ERR_MEMORY;
	return head->websocket ? put_handshake(h, head) : http1_put_request(&h->wire.b, head, false);
}

/* One piece of body into the wire, or past it. *ret_n is 0 if nothing can be taken now. */
static enum err put_piece(struct http1_carrier *h, struct str bytes, size_t *ret_n)
{
	enum err e = ERR_OK;

	*ret_n = 0;
	if (queue_bytes(&h->wire) >= CARRIER_PIECE_BYTES) {
		e = flush(h);
		if (e != ERR_OK)
			return e == ERR_MORE ? ERR_OK : e;
	}
	if (!h->streamed && bytes.n >= CARRIER_PIECE_BYTES && queue_bytes(&h->wire) == 0) {
		e = upstream_write(h->connection, bytes, ret_n);
		return e == ERR_MORE ? ERR_OK : e;
	}
	bytes = str_head(bytes, CARRIER_PIECE_BYTES);
	queue_compact(&h->wire);
	if (h->streamed)
		http1_put_chunk(&h->wire.b, bytes);
	else
		buf_put(&h->wire.b, bytes);
	*ret_n = bytes.n;
	return buf_err(&h->wire.b);
}

static enum err http1_send(struct carrier *c, struct str bytes, bool last, size_t *ret_n)
{
	struct http1_carrier *h = c->format;
	enum err e = ERR_OK;
	size_t taken = 0;

	while (taken < bytes.n) {
		size_t n;

		e = put_piece(h, str_from(bytes, taken), &n);
		if (e != ERR_OK)
			return e;
		if (n == 0)
			break;
		taken += n;
	}
	if (last && taken == bytes.n && !h->ended) {
		h->ended = true;
		if (h->streamed) {
			queue_compact(&h->wire);
			e = http1_put_last_chunk(&h->wire.b, NULL);
		}
	}
	if (e == ERR_OK)
		e = flush(h);
	if (e != ERR_OK && e != ERR_MORE)
		return e;
	*ret_n = taken;
	return ERR_OK;
}

static enum err http1_send_trailers(struct carrier *c, const struct head *trailers)
{
	struct http1_carrier *h = c->format;

	h->ended = true;
	queue_compact(&h->wire);
	enum err e = http1_put_last_chunk(&h->wire.b, trailers);

	if (e == ERR_OK)
		e = flush(h);
	return e == ERR_MORE ? ERR_OK : e;
}

static bool http1_sent(const struct carrier *c)
{
	const struct http1_carrier *h = c->format;

	return queue_bytes(&h->wire) == 0;
}

/* ---- the answer ---- */

static enum err malformed(struct carrier *c, const char *reason)
{
	c->reason = reason;
	return ERR_UPSTREAM_MALFORMED;
}

static enum err parse_head(struct carrier *c, struct carrier_event *ret)
{
	struct http1_carrier *h = c->format;
	struct http1_response *r = &h->response;
	size_t n;
	enum err e = http1_head_end(queue_str(&h->raw), &h->scanned, &n);

	if (e == ERR_MORE)
		return e;
	if (e == ERR_OK && h->websocket)
		e = http1_parse_handshake(str_head(queue_str(&h->raw), n), str_of(h->accept), &h->storage, r);
	else if (e == ERR_OK)
		e = http1_parse_response(str_head(queue_str(&h->raw), n),
					 str_make(h->method, h->method_bytes), &h->storage, r);
	if (e != ERR_OK)
		return e == ERR_MEMORY ? e : malformed(c, "");
	queue_drop(&h->raw, n);
	h->scanned = 0;
	h->head_parsed = r->head.final;
	if (r->head.final) {
		if (r->head.websocket)
			r->framing = HTTP1_UNTIL_CLOSE;
		http1_body_init(&h->body, r->framing, r->head.length);
		h->whole = r->framing == HTTP1_NONE;
		h->keep = !r->close && !h->websocket;
	}
	*ret = (struct carrier_event){ .type = CARRIER_HEAD, .head = &r->head, .body = !h->whole };
	return ERR_OK;
}

static enum err end(struct carrier *c, struct carrier_event *ret)
{
	struct http1_carrier *h = c->format;

	h->whole = true;
	if (http1_body_trailers(&h->body, &h->trailers) != ERR_OK)
		return malformed(c, "its trailers");
	*ret = (struct carrier_event){ .type = CARRIER_END,
				       .head = h->trailers.field_count ? &h->trailers : NULL };
	return ERR_OK;
}

static enum err parse_body(struct carrier *c, struct carrier_event *ret)
{
	struct http1_carrier *h = c->format;
	struct str input = queue_str(&h->raw), data;
	size_t before = input.n;
	enum err e = http1_body_next(&h->body, &input, &data);

	if (e != ERR_OK && e != ERR_MORE)
		return e == ERR_MEMORY ? e : malformed(c, "its body's framing");
	if (e == ERR_OK && data.n) {
		h->view = data;
		h->view_raw = before - input.n;
		*ret = (struct carrier_event){ .type = CARRIER_DATA, .data = data };
		return ERR_OK;
	}
	queue_drop(&h->raw, before - input.n);
	return e == ERR_OK ? end(c, ret) : e;
}

/* More bytes of the upstream, into what is then used up before more is read. */
static enum err fill(struct carrier *c)
{
	struct http1_carrier *h = c->format;
	size_t room = h->flows ? READ_BYTES : READ_FIRST, n;

	if (queue_room(&h->raw) < room)
		return malformed(c, "a head without an end");
	if (buf_room(&h->raw.b) < room)
		queue_compact(&h->raw);
	if (buf_reserve(&h->raw.b, room) != ERR_OK)
		return ERR_MEMORY;
	enum err e = upstream_read(h->connection, buf_tail(&h->raw.b), room, &n);

	if (e != ERR_OK)
		return e;
	h->answered = true;
	h->raw.b.len += n;
	for (room -= n; e == ERR_OK && room && upstream_pending(h->connection); room -= n) {
		e = upstream_read(h->connection, buf_tail(&h->raw.b), room, &n);
		n = e == ERR_OK ? n : 0;
		h->raw.b.len += n;
	}
	h->flows = room == 0;
	return ERR_OK;		/* what stopped it is met again, behind what is here */
}

static enum err http1_next(struct carrier *c, struct carrier_event *ret)
{
	struct http1_carrier *h = c->format;

	if (h->view.n) {
		*ret = (struct carrier_event){ .type = CARRIER_DATA, .data = h->view };
		return ERR_OK;
	}
	if (h->whole) {
		*ret = (struct carrier_event){ .type = CARRIER_END };
		return ERR_OK;
	}
	for (;;) {
		enum err e = h->head_parsed ? parse_body(c, ret) : parse_head(c, ret);

		if (e != ERR_MORE)
			return e;
		e = fill(c);
		if (e == ERR_OK)
			continue;
		if (e == ERR_MORE)
			return e;
		h->keep = false;
		if (e == ERR_CLOSED && h->head_parsed && http1_body_eof(&h->body) == ERR_OK)
			return end(c, ret);
		return e == ERR_CLOSED ? ERR_UPSTREAM_CLOSED : e;
	}
}

static void http1_taken(struct carrier *c, size_t n)
{
	struct http1_carrier *h = c->format;

	h->view = str_from(h->view, n);
	if (h->view.n == 0) {
		queue_drop(&h->raw, h->view_raw);
		h->view_raw = 0;
	}
}

static enum carrier_again http1_again(const struct carrier *c)
{
	const struct http1_carrier *h = c->format;

	/* Its end may have crossed our request. */
	return upstream_reused(h->connection) && !h->answered ? CARRIER_AGAIN_IF_SAFE : CARRIER_AGAIN_NO;
}

static void http1_release(struct carrier *c, bool clean)
{
	struct http1_carrier *h = c->format;

	upstream_release(h->connection, clean && h->whole && h->keep && !h->personal && h->ended &&
						queue_bytes(&h->wire) == 0 && queue_bytes(&h->raw) == 0);
	queue_free(&h->wire);
	queue_free(&h->raw);
	buf_free(&h->storage);
	http1_body_free(&h->body);
	free(h);
}

enum err carrier_http1_new(struct carrier *c, struct upstream_connection *connection)
{
	static const struct carrier_ops ops = {
		.name = "http/1.1", .send_head = http1_send_head, .send = http1_send,
		.send_trailers = http1_send_trailers, .sent = http1_sent, .next = http1_next,
		.taken = http1_taken, .again = http1_again, .release = http1_release,
	};
	struct http1_carrier *h = malloc(sizeof *h);

	if (!h)
		return ERR_MEMORY;
	memset(h, 0, offsetof(struct http1_carrier, response));
	h->connection = connection;
	queue_init_secret(&h->wire, WIRE_MAX);
	queue_init(&h->raw, RAW_MAX);
	buf_init(&h->storage, (size_t)HTTP1_STORAGE_MAX);
	h->raw.b.wipe = h->storage.wipe = c->target.secret;
	c->ops = &ops;
	c->format = h;
	return ERR_OK;
}
