/* session_stream.c - a stream of an HTTP/2 session: an exchange, with nghttp2's flow control in front
 *
 * Theory of operation: DATA goes to the courier as its link takes it, and only what went is consumed, so that
 * the client's window opens no sooner; the rest waits here, at most a stream's window. The answer's body
 * waits in the exchange; nghttp2 asks for it when the client's window and the output have room, and is
 * deferred while there is none. Resets pass both ways: what the client resets is reset towards the courier
 * when nghttp2 closes the stream; what the courier resets is answered in words before the head, and by
 * RST_STREAM after it.
 * Source: RFC 9113 s5.1, s5.4.2, s8.1; RFC 9110 s15.2.
 */
#include "inspector/session_private.h"

#include "inspector/answer.h"

#include <stdlib.h>

static struct head head;			/* a request's: one block is handled at a time */
static struct http2_nv fields_out[HTTP2_NV_MAX];
static nghttp2_nv nv_out[HTTP2_NV_MAX];

static void late(struct wait *w);

/* Something moved: the wait begins anew. */
#define UNWANTED_MAX 65536u	/* of a request that is already answered */

static void progress(struct session_stream *t)
{
	struct inspector *i = t->exchange.inspector;

	if (t->answered || t->cut_off)
		return;		/* a time of its own */
	wait_set(&i->waits, &t->wait, t->expect_continue ? i->limits.continue_ms : i->limits.stall_ms, late);
}

static nghttp2_nv *nvs(size_t count)
{
	for (size_t i = 0; i < count; i++) {
		const struct http2_nv *f = &fields_out[i];

		/* nghttp2 copies, and its type has no const */
		nv_out[i] = (nghttp2_nv) { (uint8_t *)(uintptr_t)f->name.p, (uint8_t *)(uintptr_t)f->value.p,
					   f->name.n, f->value.n,
					   f->never_index ? NGHTTP2_NV_FLAG_NO_INDEX : NGHTTP2_NV_FLAG_NONE };
	}
	return nv_out;
}

static uint32_t reset_code(enum err why)
{
	if (why == ERR_CANCELLED || why == ERR_TIMEOUT)
		return NGHTTP2_CANCEL;
	return why == ERR_LIMIT ? NGHTTP2_ENHANCE_YOUR_CALM : NGHTTP2_INTERNAL_ERROR;
}

static void reset(struct session_stream *t, uint32_t code)
{
	(void)nghttp2_submit_rst_stream(t->session->nghttp2, NGHTTP2_FLAG_NONE, t->id, code);
}

/* -- down ------------------------------------------------------------------------------- */

/* The answer's trailers, after its last DATA. */
static void submit_trailers(struct session_stream *t)
{
	static struct head trailers;
	size_t count;

	if (head_decode(buf_str(&t->exchange.trailers), &trailers) ||
	    http2_put_trailers(&trailers, fields_out, &count) ||
	    nghttp2_submit_trailer(t->session->nghttp2, t->id, nvs(count), count))
		reset(t, NGHTTP2_INTERNAL_ERROR);
}

/* nghttp2 wants @n bytes of the answer at most. */
static ssize_t read_body(nghttp2_session *nghttp2, int32_t id, uint8_t *p, size_t n, uint32_t *flags,
			 nghttp2_data_source *source, void *user)
{
	struct session_stream *t = source->ptr;
	struct exchange *x = &t->exchange;
	struct str piece = str_head(exchange_body(x), n);

	(void)nghttp2;
	(void)id;
	(void)user;
	if (t->messages) {
		progress(t);
		return session_messages_read(t, p, n, flags);
	}
	if (piece.n) {
		memcpy(p, piece.p, piece.n);
		exchange_take(x, piece.n);
		progress(t);
	}
	if (exchange_complete(x)) {
		if (exchange_whole(x))
			return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;	/* RST_STREAM: it was cut off */
		*flags |= NGHTTP2_DATA_FLAG_EOF;
		if (x->trailers.len) {
			*flags |= NGHTTP2_DATA_FLAG_NO_END_STREAM;
			submit_trailers(t);
		}
	} else if (piece.n == 0) {
		t->deferred = true;
		return NGHTTP2_ERR_DEFERRED;
	}
	return (ssize_t)piece.n;
}

static bool submit(struct session_stream *t, size_t count, bool with_body)
{
	nghttp2_data_provider body = { .source.ptr = t, .read_callback = read_body };

	t->submitted = true;
	return nghttp2_submit_response(t->session->nghttp2, t->id, nvs(count), count,
				       with_body ? &body : NULL) == 0;
}

/* An error of the inspector's or the courier's, in words. */
static void answer_error(struct session_stream *t, enum err why, uint16_t status, const char *text)
{
	char room[ANSWER_MAX], digits[2][8];
	struct buf body = { .p = room, .cap = sizeof room, .max = sizeof room };
	struct buf number = { .p = digits[0], .cap = 8, .max = 8 },
		   length = { .p = digits[1], .cap = 8, .max = 8 };

	status = answer_status(why, status);
	answer_put(&body, why, status, text);
	exchange_answer(&t->exchange, t->is_head ? STR("") : buf_str(&body));
	buf_put_decimal(&number, status);
	buf_put_decimal(&length, body.len);
	fields_out[0] = (struct http2_nv){ STR(":status"), buf_str(&number), false };
	fields_out[1] = (struct http2_nv){ STR("content-type"), STR("application/json"), false };
	fields_out[2] = (struct http2_nv){ STR("content-length"), buf_str(&length), false };
	if (!submit(t, 3, !t->is_head))
		reset(t, NGHTTP2_INTERNAL_ERROR);
}

static void fail(struct session_stream *t, enum err why, uint16_t status, const char *text)
{
	if (t->messages) {
		session_messages_end(t, why, 0);
		return;
	}
	exchange_close(&t->exchange, why);
	t->session->connection->result = why;
	if (t->submitted)
		reset(t, reset_code(why));
	else
		answer_error(t, why, status, text);
	progress(t);
}

static void refuse(struct session_stream *t, enum err why, uint16_t status, const char *text)
{
	connection_claim(t->session->connection, why, text);
	fail(t, why, status, text);
}

static enum err take_head(struct exchange *x, const struct head *h)
{
	struct session_stream *t = (struct session_stream *)x;
	struct buf *scratch = &x->inspector->scratch;
	size_t count;
	enum err e;

	if (h->status == 100 && !t->expect_continue)
		return ERR_OK;
	t->expect_continue = false;
	e = http2_put_response(h, scratch, fields_out, &count);
	if (e)
		return e;
	if (h->websocket) {
		t->messages = messages_new(x);
		if (!t->messages)
			return ERR_MEMORY;
	}
	if (h->final)
		return submit(t, count, x->has_body) ? ERR_OK : ERR_MEMORY;
	return nghttp2_submit_headers(t->session->nghttp2, NGHTTP2_FLAG_NONE, t->id, NULL, nvs(count), count,
				      NULL) < 0
		       ? ERR_MEMORY
		       : ERR_OK;
}

static void moved(struct exchange *x)
{
	session_stream_moved((struct session_stream *)x);
}

static const struct exchange_ops ops = { .head = take_head, .moved = moved };

/* -- up --------------------------------------------------------------------------------- */

static enum err send_upload(struct session_stream *t)
{
	static struct head trailers;
	struct exchange *x = &t->exchange;
	size_t room;
	enum err e;

	if (t->messages)
		session_messages_up(t);
	if (x->websocket)
		return ERR_OK;
	while (t->upload.len && (room = exchange_room(x))) {
		struct str piece = str_head(buf_str(&t->upload), room);

		e = exchange_send(x, piece);
		if (e)
			return e;
		(void)nghttp2_session_consume(t->session->nghttp2, t->id, piece.n);
		buf_drop(&t->upload, piece.n);
		progress(t);
	}
	if (!t->upload_done || t->upload.len || x->upload_ended)
		return ERR_OK;
	if (t->trailers.len && head_decode(buf_str(&t->trailers), &trailers))
		return ERR_BODY_FRAMING;
	e = exchange_send_end(x, t->trailers.len ? &trailers : NULL);
	return e == ERR_MORE ? ERR_OK : e;
}

void session_stream_data(struct session_stream *t, struct str bytes)
{
	struct exchange *x = &t->exchange;

	t->expect_continue = false;
	if (x->number && t->upload.len == 0 && !x->websocket && exchange_room(x) >= bytes.n &&
	    exchange_send(x, bytes) == ERR_OK) {
		(void)nghttp2_session_consume(t->session->nghttp2, t->id, bytes.n);
	} else if (x->number && !x->ended) {
		buf_put(&t->upload, bytes);
		if (buf_err(&t->upload))
			refuse(t, buf_err(&t->upload), 0, "");
		else
			session_stream_moved(t);
	} else { /* already answered: nobody wants it, but the connection goes on */
		(void)nghttp2_session_consume(t->session->nghttp2, t->id, bytes.n);
		t->unwanted += bytes.n;
		if (t->answered && t->unwanted > UNWANTED_MAX)
			reset(t, NGHTTP2_NO_ERROR);
	}
	progress(t);
}

void session_stream_linger(struct session_stream *t)
{
	struct inspector *i = t->exchange.inspector;

	t->answered = true;
	t->expect_continue = false;
	wait_set(&i->waits, &t->wait, i->limits.linger_ms, late);
}

void session_stream_trailers(struct session_stream *t)
{
	enum err e = http2_trailers(&t->session->fields, &head);

	if (!e)
		e = head_encode(&head, &t->trailers);
	if (e && t->exchange.number)
		refuse(t, e == ERR_MEMORY ? e : ERR_BODY_FRAMING, 0, "trailers that have no place there");
}

void session_stream_done(struct session_stream *t)
{
	t->upload_done = true;
	session_stream_moved(t);
}

void session_stream_moved(struct session_stream *t)
{
	struct exchange *x = &t->exchange;
	enum err e = x->reset;

	if (!e && x->number && !x->ended)
		e = send_upload(t);
	if (e && t->submitted && x->reset)
		t->session->failing = true;	/* but what came before it may still go */
	else if (e)
		fail(t, e, 0, "");
	if (t->deferred && (exchange_body(x).n || x->ended)) {
		t->deferred = false;
		(void)nghttp2_session_resume_data(t->session->nghttp2, t->id);
	}
	progress(t);
	connection_wake(t->session->connection);
}

void session_stream_fail(struct session_stream *t)
{
	if (t->exchange.reset)
		fail(t, t->exchange.reset, 0, "");
}

/* Where the client does not even take that, its connection ends: late() again. */
static void cut_off(struct session_stream *t, uint32_t code)
{
	struct inspector *i = t->exchange.inspector;

	reset(t, code);
	t->cut_off = true;
	wait_set(&i->waits, &t->wait, i->limits.stall_ms, late);
}

static void late(struct wait *w)
{
	struct session_stream *t =
		(struct session_stream *)((char *)w - offsetof(struct session_stream, wait));
	struct connection *c = t->session->connection;

	if (t->cut_off) {
		connection_deadline(c, 1);
	} else if (t->answered) {
		cut_off(t, NGHTTP2_NO_ERROR);
	} else if (t->expect_continue) {
		t->expect_continue = false;
		fields_out[0] = (struct http2_nv){ STR(":status"), STR("100"), false };
		(void)nghttp2_submit_headers(t->session->nghttp2, NGHTTP2_FLAG_NONE, t->id, NULL, nvs(1), 1,
					     NULL);
		progress(t);
	} else {
		connection_claim(c, ERR_TIMEOUT, "neither side moved");
		exchange_close(&t->exchange, ERR_TIMEOUT);
		cut_off(t, NGHTTP2_CANCEL);
	}
	connection_wake(c);
}

/* -- beginning and end ------------------------------------------------------------------ */

static struct session_stream *stream_new(struct session *s, int32_t id)
{
	struct session_stream *t = calloc(1, sizeof *t);

	if (!t)
		return NULL;
	*t = (struct session_stream){ .session = s, .id = id, .next = s->streams, .link = &s->streams };
	if (t->next)
		t->next->link = &t->next;
	s->streams = t;
	s->stream_count++;
	exchange_init(&t->exchange, s->connection->inspector, &ops);
	buf_init(&t->upload, NGHTTP2_INITIAL_WINDOW_SIZE);
	buf_init(&t->trailers, HEAD_MAX_BYTES);
	buf_init(&t->frames, 65536);
	return t;
}

void session_stream_free(struct session_stream *t, enum err why)
{
	*t->link = t->next;
	if (t->next)
		t->next->link = t->link;
	t->session->stream_count--;
	wait_clear(&t->wait);
	messages_free(t->messages);
	exchange_free(&t->exchange, why);
	buf_free(&t->frames);
	buf_free(&t->upload);
	buf_free(&t->trailers);
	free(t);
}

/* The canonical head, and that it is for this connection's name and port. */
static enum err read_head(struct session *s, bool end_stream, const char **ret_text)
{
	struct connection *c = s->connection;
	enum err e;

	head.method = STR("");
	e = http2_request(&s->fields, c->scheme, end_stream, &head);
	if (e)
		return e;
	if (!str_eq(head.host, str_of(c->host)) || head.port != c->asked.port) {
		*ret_text = ":authority is not the name and port of the connection";
		return ERR_NAME_MISMATCH;
	}
	return ERR_OK;
}

void session_stream_begin(struct session *s, int32_t id, bool end_stream)
{
	struct session_stream *t = stream_new(s, id);
	const char *text = "";
	struct str fields;
	enum err e;

	if (!t || nghttp2_session_set_stream_user_data(s->nghttp2, id, t)) {
		if (t)
			session_stream_free(t, ERR_MEMORY);
		(void)nghttp2_submit_rst_stream(s->nghttp2, NGHTTP2_FLAG_NONE, id, NGHTTP2_REFUSED_STREAM);
		return;
	}
	s->connection->requests++;
	t->upload_done = end_stream;
	e = read_head(s, end_stream, &text);
	t->is_head = str_eq(head.method, STR("HEAD"));
	t->expect_continue = s->fields.expect_continue && !end_stream;
	progress(t);
	if (!e)
		e = connection_fields(s->connection, &fields);
	if (e) {
		refuse(t, e, e == ERR_UPGRADE_REFUSED ? 501 : 0, text);
		return;
	}
	e = exchange_begin(&t->exchange, fields, &head);
	if (e)
		refuse(t, e, 0, "no exchange could be opened");
	else if (end_stream)
		session_stream_moved(t);
}
