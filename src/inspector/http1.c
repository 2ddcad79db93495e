/* http1.c - HTTP/1.1 request heads, and the answers that the inspector gives itself
 *
 * Theory of operation: a head is read whole, made canonical, and only that form goes on; its host and
 * port must be those of the connection, which DNS gave and TLS named (I4). Requests are handled one
 * after another; pipelined ones wait in the input. What is refused here is refused with words that
 * an agent can read, claimed for the trail, and ends the connection: after a doubt about framing the
 * next byte means nothing. HTTP/2's preface on a plain connection (prior knowledge) hands over to a session.
 */
#include "inspector/answer.h"
#include "inspector/connection.h"
#include "inspector/messages.h"
#include "inspector/session.h"

#define KEPT_BYTES 4096		/* that an idle connection's buffers may keep */

void http1_init(struct connection *c)
{
	exchange_init(&c->http1.exchange, c->inspector, &http1_exchange_ops);
	http1_body_init(&c->http1.upload, HTTP1_NONE, 0);
}

void http1_free(struct connection *c)
{
	messages_free(c->http1.messages);
	exchange_free(&c->http1.exchange, ERR_CANCELLED);
	http1_body_free(&c->http1.upload);
}

bool http1_idle(const struct connection *c)
{
	return (c->phase == PHASE_head || c->phase == PHASE_proxy) && c->requests && !c->http1.head_begun;
}

/* Could this be HTTP? Its first line, once it is there, ends with the version. Each byte is looked at once. */
static bool plausible(struct http1 *h, struct str text)
{
	size_t end = h->first_line;

	while (end < text.n && text.p[end] != '\r' && text.p[end] != '\n')
		end++;
	h->first_line = end;
	return end == text.n || (end >= 9 && str_starts(str_make(text.p + end - 9, 9), STR(" HTTP/")));
}

static void put_error(struct connection *c, enum err why, uint16_t status, const char *text, bool with_body)
{
	char room[ANSWER_MAX];
	struct buf body = { .p = room, .cap = sizeof room, .max = sizeof room }, *out = &c->out;

	answer_put(&body, why, status, text);
	buf_printf(out, "HTTP/1.1 %u %.*s\r\ncontent-type: application/json\r\ncontent-length: %zu\r\n",
		   status, STR_FMT(http1_reason(status)), body.len);
	if (status == 426)	/* RFC 9110 s15.5.22 wants to hear what would be spoken */
		buf_put_z(out, "upgrade: websocket\r\nsec-websocket-version: 13\r\nconnection: upgrade, "
			       "close\r\n\r\n");
	else if (status == 407)
		buf_put_z(out, "proxy-authenticate: Basic realm=\"Paddock\"\r\nconnection: close\r\n\r\n");
	else
		buf_put_z(out, "connection: close\r\n\r\n");
	if (with_body)
		buf_put(out, buf_str(&body));
}

enum step http1_fail(struct connection *c, enum err why, uint16_t status, const char *text)
{
	struct exchange *x = &c->http1.exchange;
	bool head_request = str_eq(exchange_method(x), STR("HEAD"));

	c->result = why;
	exchange_close(x, why);
	if (!c->http1.head_written)
		put_error(c, why, answer_status(why, status), text, !head_request);
	if (c->http1.head_written || buf_err(&c->out)) { /* no second answer: the client sees it cut off */
		c->transport.ops->reset(&c->transport, why);
		return STEP_OVER;
	}
	connection_enter(c, PHASE_finish, c->inspector->limits.stall_ms);
	return STEP_AGAIN;
}

enum step http1_refuse(struct connection *c, enum err why, uint16_t status, const char *text)
{
	connection_claim(c, why, text);
	return http1_fail(c, why, status, text);
}

/* Idle connections are many: what a large message left goes back. */
static void shrink(struct buf *b)
{
	if (b->len == 0 && b->cap > KEPT_BYTES)
		buf_free(b);
}

enum step http1_next(struct connection *c)
{
	struct http1 *h = &c->http1;
	bool close = h->close || !h->exchange.upload_ended;

	exchange_close(&h->exchange, ERR_CANCELLED);
	http1_body_free(&h->upload);
	h->version_10 = h->close = h->expect_continue = false;
	h->head_written = h->chunked = h->head_begun = false;
	h->scanned = 0;
	if (close)
		connection_enter(c, PHASE_finish, c->inspector->limits.stall_ms);
	else
		connection_enter(c, c->proxy == PROXY_ABSOLUTE ? PHASE_proxy : PHASE_head,
				 c->inspector->limits.idle_ms);
	return STEP_AGAIN;
}

static enum err begin_exchange(struct connection *c, const struct http1_request *r)
{
	struct http1 *h = &c->http1;
	struct str fields;
	enum err e = connection_fields(c, &fields);

	if (e)
		return e;
	h->version_10 = r->version_10;
	h->close = r->close;
	h->expect_continue = r->expect_continue && r->head.framing != HEAD_BODY_NONE;
	http1_body_of_request(&h->upload, &r->head);
	return exchange_begin(&h->exchange, fields, &r->head);
}

static enum step take_head(struct connection *c, struct str bytes)
{
	static struct http1_request r;
	const struct inspector_limits *limits = &c->inspector->limits;
	enum err e = http1_parse_request(bytes, c->scheme, &c->inspector->storage, &r);

	if (e)
		return http1_refuse(c, e, 0, "");
	if (!str_eq(r.head.host, str_of(c->host)) || r.head.port != c->asked.port)
		return http1_refuse(c, ERR_NAME_MISMATCH, 0,
				    "Host is not the name and port of the connection");
	if (r.upgrade || (r.head.websocket && !websocket_key_check(r.websocket_key)))
		return http1_refuse(c, ERR_UPGRADE_REFUSED, 0, "");
	if (r.head.websocket)
		websocket_accept(r.websocket_key, c->http1.accept);
	e = begin_exchange(c, &r);
	if (e)
		return http1_refuse(c, e, 0, "no exchange could be opened");
	connection_take(c, bytes.n);
	c->requests++;
	connection_enter(c, PHASE_relay, c->http1.expect_continue ? limits->continue_ms : limits->stall_ms);
	return STEP_AGAIN;
}

/* RFC 9113 s3.3: on a plain connection a client may just begin; the first letters alone could still be
 * others'. */
static bool is_preface(const struct connection *c, struct str text)
{
	struct str preface = STR(SESSION_PREFACE);

	return !c->tls && c->requests == 0 && text.n >= 4 && str_starts(preface, str_head(text, preface.n));
}

/* Without a whole head: something is wrong, the client has gone, or more will come. */
static enum step lack_head(struct connection *c, struct str text)
{
	if (!connection_has_left(c)) {
		shrink(&c->text);
		shrink(&c->in);
		shrink(&c->out);
		return STEP_WAIT;
	}
	if (text.n)
		return connection_refuse(c, ERR_HEAD_MALFORMED, "the request head was cut off");
	connection_enter(c, PHASE_finish, c->inspector->limits.stall_ms);
	return STEP_AGAIN;
}

enum step step_head(struct connection *c)
{
	struct http1 *h = &c->http1;
	struct str text;
	size_t bytes;
	enum err e = connection_text(c, &text);

	if (e)
		return connection_refuse(c, e, "malformed TLS record");
	if (text.n && !h->head_begun) {
		h->head_begun = true;
		connection_deadline(c, c->inspector->limits.head_ms);
	}
	if (is_preface(c, text))
		return text.n < sizeof SESSION_PREFACE - 1 ? lack_head(c, text) : session_begin(c);
	if (c->requests == 0 && text.n && !plausible(h, text))
		return connection_refuse(c, ERR_PROTOCOL_UNKNOWN, "the first line is not HTTP's");
	e = http1_head_end(text, &h->scanned, &bytes);
	if (e == ERR_OK)
		return take_head(c, str_head(text, bytes));
	return e == ERR_MORE ? lack_head(c, text) : http1_refuse(c, e, 0, "");
}
