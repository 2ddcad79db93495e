/* http.c - request heads of the guest's, and the answers that the inspector gives itself
 *
 * Theory of operation: a head is read whole, made canonical, and only that form goes on; its host and
 * port must be those of the connection, which DNS gave and TLS named (I4). Requests are handled one
 * after another; pipelined ones wait in the input. What is refused here is refused with words that
 * an agent can read, claimed for the trail, and ends the connection: after a doubt about framing the
 * next byte means nothing.
 */
#include "inspector/connection.h"

/* Could this be HTTP? Its first line, once it is there, ends with the version. */
static bool plausible(struct str text)
{
	size_t end = 0;

	while (end < text.n && text.p[end] != '\r' && text.p[end] != '\n')
		end++;
	return end == text.n || (end >= 9 && str_starts(str_make(text.p + end - 9, 9), STR(" HTTP/")));
}

static const char *error_type(enum err why, uint16_t status)
{
	if (status == 403 || status == 421 || status == 426)
		return "permission_error";
	return err_fault(why) == FAULT_AGENT ? "invalid_request_error" : "api_error";
}

/* Everything in it is from tables of ours: nothing needs escaping. */
static void put_error(struct buf *out, enum err why, uint16_t status, const char *text)
{
	auto_buf body = BUF_EMPTY;

	buf_init(&body, 4096);
	buf_printf(&body, "{\"type\":\"error\",\"error\":{\"type\":\"%s\",\"message\":\"Paddock: %s%s%s\"},"
			  "\"paddock\":{\"error\":\"%s\"}}\n",
		   error_type(why, status), err_text(why), *text ? ": " : "", text, err_name(why));
	buf_printf(out, "HTTP/1.1 %u %.*s\r\ncontent-type: application/json\r\ncontent-length: %zu\r\n", status,
		   STR_FMT(http1_reason(status)), body.len);
	if (status == 426)	/* RFC 9110 s15.5.22 wants to hear what would be spoken */
		buf_put_z(out, "upgrade: HTTP/1.1\r\nconnection: upgrade, close\r\n\r\n");
	else
		buf_put_z(out, "connection: close\r\n\r\n");
	buf_put(out, buf_str(&body));
}

enum step http_fail(struct connection *c, enum err why, uint16_t status, const char *text)
{
	bool head_request = str_eq(str_make(c->exchange.method, c->exchange.method_bytes), STR("HEAD"));
	bool begun = c->exchange.head_written;
	size_t before = c->out.len;

	c->result = why;
	exchange_close(c, why);
	if (!begun)
		put_error(&c->out, why, status ? status : (uint16_t)err_http_status(why), text);
	if (begun || buf_err(&c->out)) {	/* no second answer: the client sees it cut off */
		link_reset(net_link(c->inspector), c->number, why);
		return STEP_OVER;
	}
	if (head_request) {
		const char *end = memmem(c->out.p + before, c->out.len - before, "\r\n\r\n", 4);

		c->out.len = (size_t)(end + 4 - c->out.p);
	}
	connection_enter(c, PHASE_finish, c->inspector->limits.stall_ms);
	return STEP_AGAIN;
}

enum step http_refuse(struct connection *c, enum err why, uint16_t status, const char *text)
{
	connection_claim(c, why, text);
	return http_fail(c, why, status, text);
}

enum step http_next(struct connection *c)
{
	bool close = c->exchange.close || !c->exchange.upload_ended;

	exchange_close(c, ERR_CANCELLED);
	exchange_open(&c->exchange);
	c->head_begun = false;
	c->scanned = 0;
	if (close)
		connection_enter(c, PHASE_finish, c->inspector->limits.stall_ms);
	else
		connection_enter(c, PHASE_head, c->inspector->limits.idle_ms);
	return STEP_AGAIN;
}

/* The canonical head becomes an exchange. Trailers of requests end here: no rule can see them before
 * the body has gone, and RFC 9110 s6.5.1 lets an intermediary drop them. */
static enum err begin_exchange(struct connection *c, struct http1_request *r)
{
	struct exchange *x = &c->exchange;

	r->head.trailers = false;
	memcpy(x->method, r->head.method.p, r->head.method.n);
	x->method_bytes = r->head.method.n;
	x->version_10 = r->version_10;
	x->close = r->close;
	x->expect_continue = r->expect_continue && r->head.framing != HEAD_BODY_NONE;
	http1_body_of_request(&x->upload, &r->head);
	return head_encode(&r->head, &x->head);
}

static enum step take_head(struct connection *c, struct str bytes)
{
	struct http1_request r;
	enum err e = http1_parse_request(bytes, c->scheme, &c->inspector->storage, &r);

	if (e)
		return http_refuse(c, e, 0, "");
	if (!str_eq(r.head.host, str_of(c->host)) || r.head.port != c->asked.port)
		return http_refuse(c, ERR_NAME_MISMATCH, 0, "Host is not the name and port of the connection");
	if (r.upgrade)
		return http_refuse(c, ERR_UPGRADE_REFUSED, 0, "");
	e = begin_exchange(c, &r);
	if (e)
		return http_refuse(c, e, 0, "");
	connection_take(c, bytes.n);
	c->requests++;
	connection_enter(c, PHASE_open, c->inspector->limits.stall_ms);
	return STEP_AGAIN;
}

enum step step_head(struct connection *c)
{
	struct str text;
	size_t bytes;
	enum err e = connection_text(c, &text);

	if (e)
		return connection_refuse(c, e, "malformed TLS record");
	if (text.n && !c->head_begun) {
		c->head_begun = true;
		connection_deadline(c, c->inspector->limits.head_ms);
	}
	if (c->requests == 0 && text.n && !plausible(text))
		return connection_refuse(c, ERR_PROTOCOL_UNKNOWN, "the first line is not HTTP's");
	e = http1_head_end(text, &c->scanned, &bytes);
	if (e == ERR_OK)
		return take_head(c, str_head(text, bytes));
	if (e != ERR_MORE)
		return http_refuse(c, e, 0, "");
	if (!c->guest_ended && !c->notified)
		return STEP_WAIT;
	if (text.n)
		return connection_refuse(c, ERR_HEAD_MALFORMED, "the request head was cut off");
	connection_enter(c, PHASE_finish, c->inspector->limits.stall_ms);
	return STEP_AGAIN;
}

static enum err open_stream(struct connection *c)
{
	struct msg_connect m = { .host = str_of(c->host), .port = c->asked.port, .scheme = (uint8_t)c->scheme,
				 .connection = c->id, .process = c->asked.process };
	struct link *l = courier_link(c->inspector);
	auto_buf fields = BUF_EMPTY;
	enum err e;

	buf_init(&fields, LINK_OPEN_MAX - 1);
	e = put_connect(&fields, &m);
	if (!e)
		e = link_open(l, LINK_KIND_EXCHANGE, buf_str(&fields), &c->exchange.number);
	if (!e)
		link_set_user(l, c->exchange.number, &c->exchange);
	return e;
}

enum step step_open(struct connection *c)
{
	struct exchange *x = &c->exchange;
	struct link *l = courier_link(c->inspector);
	enum err e = x->number ? ERR_OK : open_stream(c);

	if (e)
		return http_refuse(c, e, 0, "no exchange could be opened");
	if (x->reset)
		return http_fail(c, x->reset, 0, "");
	if (link_sendable(l, x->number) < x->head.len)
		return STEP_WAIT;
	e = link_head(l, x->number, buf_str(&x->head));
	if (e)
		return http_refuse(c, e, 0, "");
	buf_free(&x->head);
	connection_enter(c, PHASE_relay,
			 x->expect_continue ? c->inspector->limits.continue_ms : c->inspector->limits.stall_ms);
	return STEP_AGAIN;
}
