/* session.c - HTTP/2 with a client: frames in and out, and what a client may cost
 *
 * Theory of operation: a turn feeds nghttp2 the client's plaintext, lets streams that waited go on, and takes
 * nghttp2's output as far as the connection has room. Nothing is read while the client does not read: neither
 * answers nor acknowledgements pile up (I7). Header blocks are collected field by field under wire/http2.h's
 * cap; their raw frames are counted too, and so is every frame that asks for nothing (session_guard.h). A
 * client that has used up its patience gets GOAWAY with ENHANCE_YOUR_CALM, and a claim says of what there was
 * too much.
 *
 * Stream errors end a stream, connection errors the connection; both by nghttp2's judgement, which is RFC
 * 9113's, but for the meaning of a request, which is wire/http2.c's and answered in words.
 *
 * Trust: every byte is the client's. Source: RFC 9113; RFC 8441; RFC 9218 s2.1.
 */
#include "inspector/session_private.h"

#include "base/clock.h"

#include <stdlib.h>

#define CHUNK 16384u		/* plaintext handed to nghttp2 at once */
#define OUT_LAST (CONNECTION_OUT_MAX / 2)	/* for the last words, behind whatever waits */
#define QUEUE_MAX 1000u		/* frames that wait in nghttp2, above which nothing is read */

/* -- what comes ------------------------------------------------------------------------- */

/* Ends mem_recv(); feed() then says GOAWAY. */
static int calm_down(struct session *s, const char *what)
{
	s->calm = what;
	return NGHTTP2_ERR_CALLBACK_FAILURE;
}

static int on_begin_frame(nghttp2_session *nghttp2, const nghttp2_frame_hd *hd, void *user)
{
	struct session *s = user;

	(void)nghttp2;
	switch (hd->type) {
	case NGHTTP2_HEADERS:
	case NGHTTP2_CONTINUATION:
		if (!guard_block(&s->guard, hd->type == NGHTTP2_HEADERS, hd->length))
			return calm_down(s, "header block");
		s->in_block = true;
		return 0;
	case NGHTTP2_DATA:
		if (hd->length || (hd->flags & NGHTTP2_FLAG_END_STREAM))
			return 0;
		break;
	default:
		break;
	}
	return guard_frame(&s->guard, clock_ms()) ? 0 : calm_down(s, "frames that ask for nothing");
}

static int on_begin_headers(nghttp2_session *nghttp2, const nghttp2_frame *frame, void *user)
{
	struct session *s = user;

	(void)nghttp2;
	(void)frame;
	http2_fields_clear(&s->fields);
	return 0;
}

static int on_header(nghttp2_session *nghttp2, const nghttp2_frame *frame, const uint8_t *name,
		     size_t name_bytes, const uint8_t *value, size_t value_bytes, uint8_t flags, void *user)
{
	struct session *s = user;

	(void)nghttp2;
	(void)frame;
	(void)flags;
	http2_fields_add(&s->fields, str_make(name, name_bytes), str_make(value, value_bytes));
	return 0;
}

/* nghttp2 would leave such a field out: nothing is repaired here (I4). */
static int on_invalid_header(nghttp2_session *nghttp2, const nghttp2_frame *frame, const uint8_t *name,
			     size_t name_bytes, const uint8_t *value, size_t value_bytes, uint8_t flags,
			     void *user)
{
	struct session *s = user;

	(void)nghttp2;
	(void)frame;
	(void)name;
	(void)name_bytes;
	(void)value;
	(void)value_bytes;
	(void)flags;
	if (!s->fields.failure)
		s->fields.failure = ERR_HEAD_MALFORMED;
	return 0;
}

/* A block is whole, or a stream gone: the connection's own deadline is for having no request at all. */
static void set_deadline(struct session *s)
{
	s->in_block = s->block_timed = false;
	connection_deadline(s->connection, s->stream_count ? 0 : s->connection->inspector->limits.idle_ms);
}

/* A block that did not come whole in one turn has its own. */
static void time_block(struct session *s)
{
	if (!s->in_block || s->block_timed)
		return;
	s->block_timed = true;
	connection_deadline(s->connection, s->connection->inspector->limits.head_ms);
}

static int on_frame_recv(nghttp2_session *nghttp2, const nghttp2_frame *frame, void *user)
{
	struct session *s = user;
	struct session_stream *t = nghttp2_session_get_stream_user_data(nghttp2, frame->hd.stream_id);
	bool end = frame->hd.flags & NGHTTP2_FLAG_END_STREAM;

	switch (frame->hd.type) {
	case NGHTTP2_HEADERS:
		if (frame->headers.cat == NGHTTP2_HCAT_REQUEST) {
			guard_earn(&s->guard);
			session_stream_begin(s, frame->hd.stream_id, end);
		} else if (t) {
			session_stream_trailers(t);
			session_stream_done(t);
		}
		set_deadline(s);
		break;
	case NGHTTP2_DATA:
		if (end && t)
			session_stream_done(t);
		else if (frame->hd.length && frame->hd.length == frame->data.padlen &&
			 !guard_frame(&s->guard, clock_ms()))
			return calm_down(s, "frames that ask for nothing");	/* all of it is padding */
		break;
	case NGHTTP2_RST_STREAM:
		if (!guard_reset(&s->guard, clock_ms()))
			return calm_down(s, "streams that were reset");
		break;
	case NGHTTP2_SETTINGS:
		if (s->connection->requests == 0)
			set_deadline(s);
		break;
	default:
		break;
	}
	return 0;
}

static int on_data_chunk(nghttp2_session *nghttp2, uint8_t flags, int32_t id, const uint8_t *p, size_t n,
			 void *user)
{
	struct session_stream *t = nghttp2_session_get_stream_user_data(nghttp2, id);

	(void)flags;
	(void)user;
	if (t)
		session_stream_data(t, str_make(p, n));
	else
		(void)nghttp2_session_consume(nghttp2, id, n);
	return 0;
}

static int on_invalid_frame(nghttp2_session *nghttp2, const nghttp2_frame *frame, int why, void *user)
{
	(void)nghttp2;
	(void)why;
	if (frame->hd.type == NGHTTP2_HEADERS)
		set_deadline(user);
	return 0;
}

/* -- what goes -------------------------------------------------------------------------- */

/* nghttp2 resets a stream for a mistake of the client's, which costs as much as a reset of its own
 * (CVE-2025-8671). */
static void count_mistake(struct session *s, uint32_t code, bool begun)
{
	bool refused = code == NGHTTP2_REFUSED_STREAM;

	if (!refused && code != NGHTTP2_PROTOCOL_ERROR && code != NGHTTP2_FLOW_CONTROL_ERROR &&
	    code != NGHTTP2_STREAM_CLOSED)
		return;
	connection_claim(s->connection, refused ? ERR_LIMIT : begun ? ERR_BODY_FRAMING : ERR_HEAD_MALFORMED,
			 refused ? "too many streams at once" : "a stream broke a rule of HTTP/2");
	if (!guard_reset(&s->guard, clock_ms()))
		s->calm = "mistakes";
}

static int on_frame_send(nghttp2_session *nghttp2, const nghttp2_frame *frame, void *user)
{
	struct session *s = user;
	struct session_stream *t = nghttp2_session_get_stream_user_data(nghttp2, frame->hd.stream_id);

	if (frame->hd.type == NGHTTP2_DATA)
		guard_earn(&s->guard);
	if ((frame->hd.type == NGHTTP2_DATA || frame->hd.type == NGHTTP2_HEADERS) &&
	    (frame->hd.flags & NGHTTP2_FLAG_END_STREAM) && t && !t->upload_done)
		session_stream_linger(t);
	if (frame->hd.type == NGHTTP2_RST_STREAM)
		count_mistake(s, frame->rst_stream.error_code, t);
	if (frame->hd.type == NGHTTP2_GOAWAY && frame->goaway.error_code != NGHTTP2_NO_ERROR && !s->calm)
		connection_claim(s->connection, ERR_BODY_FRAMING, "the connection broke a rule of HTTP/2");
	return 0;
}

static int on_stream_close(nghttp2_session *nghttp2, int32_t id, uint32_t code, void *user)
{
	struct session *s = user;
	struct session_stream *t = nghttp2_session_get_stream_user_data(nghttp2, id);
	bool whole;

	if (!t)
		return 0;
	whole = code == NGHTTP2_NO_ERROR && t->exchange.upload_ended && exchange_complete(&t->exchange);
	(void)nghttp2_session_consume_connection(nghttp2, t->upload.len);
	session_stream_free(t, whole ? ERR_OK : ERR_CANCELLED);
	if (s->stream_count == 0 && !s->in_block)
		set_deadline(s);
	return 0;
}

/* nghttp2's output, until the connection's is @full. */
static void produce(struct session *s, size_t full)
{
	struct buf *out = &s->connection->out;
	const uint8_t *p;
	ssize_t n;

	while (out->len < full && (n = nghttp2_session_mem_send(s->nghttp2, &p)) > 0)
		buf_put(out, str_make(p, (size_t)n));
}

/* -- turns ------------------------------------------------------------------------------ */

static void end_streams(struct session *s, enum err why)
{
	s->over = true;
	while (s->streams) {
		(void)nghttp2_session_set_stream_user_data(s->nghttp2, s->streams->id, NULL);
		session_stream_free(s->streams, why);
	}
}

/* Says why, if there is a reason, and ends. */
static enum step leave(struct session *s, uint32_t code, uint64_t ms)
{
	(void)nghttp2_session_terminate_session(s->nghttp2, code);
	end_streams(s, ERR_CANCELLED);
	produce(s, OUT_LAST);
	connection_enter(s->connection, PHASE_finish, ms);
	return STEP_AGAIN;
}

static enum step leave_in_anger(struct session *s)
{
	connection_claim(s->connection, ERR_LIMIT, s->calm);
	return leave(s, NGHTTP2_ENHANCE_YOUR_CALM, s->connection->inspector->limits.linger_ms);
}

static enum step failed(struct session *s, ssize_t why)
{
	if (!s->calm && why == NGHTTP2_ERR_BAD_CLIENT_MAGIC)
		return connection_refuse(s->connection, ERR_PROTOCOL_UNKNOWN,
					 "the first bytes are not HTTP/2's");
	if (!s->calm && why == NGHTTP2_ERR_NOMEM)
		return connection_refuse(s->connection, ERR_MEMORY, "no memory for HTTP/2");
	if (!s->calm)	/* the library's own limits: acknowledgements that wait, CONTINUATION frames */
		s->calm = "frames that ask for nothing";
	return leave_in_anger(s);
}

/* One piece of the client's plaintext; STEP_WAIT: there is none, or no room for what it could cause. */
static enum step feed(struct session *s)
{
	struct connection *c = s->connection;
	struct str text;
	ssize_t n;

	if (c->out.len >= CONNECTION_OUT_LOW &&
	    nghttp2_session_get_outbound_queue_size(s->nghttp2) >= QUEUE_MAX)
		return STEP_WAIT;
	if (connection_text(c, &text)) {
		end_streams(s, ERR_CANCELLED);
		return connection_refuse(c, ERR_TLS, "malformed TLS record");
	}
	if (text.n == 0)
		return STEP_WAIT;
	text = str_head(text, CHUNK);
	n = nghttp2_session_mem_recv(s->nghttp2, (const uint8_t *)text.p, text.n);
	if (n < 0)
		return failed(s, n);
	connection_take(c, (size_t)n);
	return STEP_AGAIN;
}

/* The client has gone: what it began is cancelled. */
static enum step left(struct session *s)
{
	struct connection *c = s->connection;

	if (s->stream_count == 0)
		return leave(s, NGHTTP2_NO_ERROR, c->inspector->limits.linger_ms);
	c->result = ERR_CANCELLED;
	end_streams(s, ERR_CANCELLED);
	c->transport.ops->reset(&c->transport, ERR_CANCELLED);
	return STEP_OVER;
}

enum step step_session(struct connection *c)
{
	struct session *s = c->session;
	enum step step = STEP_AGAIN;

	if (s->retry) {
		s->retry = false;
		for (struct session_stream *t = s->streams; t; t = t->next)
			session_stream_moved(t);
	}
	while (step == STEP_AGAIN && c->phase == PHASE_session) {
		step = feed(s);
		if (c->phase == PHASE_session && step != STEP_OVER)
			produce(s, CONNECTION_OUT_LOW);
	}
	if (step == STEP_OVER || c->phase != PHASE_session)
		return step;
	if (s->failing) {	/* what had come before is with the client now */
		s->failing = false;
		for (struct session_stream *t = s->streams; t; t = t->next)
			session_stream_fail(t);
		produce(s, CONNECTION_OUT_LOW);
	}
	if (buf_err(&c->out))
		return connection_refuse(c, buf_err(&c->out), "no memory for the answer");
	if (s->calm)
		return leave_in_anger(s);
	if (connection_has_left(c) && (c->tls ? c->text.len : c->in.len) == 0)
		return left(s);
	if (!nghttp2_session_want_read(s->nghttp2) && !nghttp2_session_want_write(s->nghttp2))
		return leave(s, NGHTTP2_NO_ERROR, c->inspector->limits.linger_ms);
	time_block(s);
	return STEP_WAIT;
}

enum step session_late(struct session *s)
{
	if (s->in_block) {
		end_streams(s, ERR_CANCELLED);
		return connection_refuse(s->connection, ERR_TIMEOUT, "the request head took too long");
	}
	return leave(s, NGHTTP2_NO_ERROR, s->connection->inspector->limits.linger_ms);
}

void session_room(struct session *s)
{
	if (s)
		s->retry = true;
}

bool session_idle(const struct session *s)
{
	return s->stream_count == 0 && !s->in_block && s->connection->requests;
}

void session_say_goodbye(struct session *s)
{
	if (!s || s->over)
		return;
	(void)nghttp2_session_terminate_session(s->nghttp2, NGHTTP2_NO_ERROR);
	produce(s, OUT_LAST);
}

/* -- beginning and end ------------------------------------------------------------------ */

#define FRAME_TYPE_UNKNOWN_FIRST 0x0au	/* those below are RFC 9113's; of extensions nghttp2 reads none */

/* Frames of types that nobody asked for are passed over, as RFC 9113 s5.5 has it; but nghttp2 tells of the
 * beginning of only those that it is to hand on, and a flood of them must be counted too. */
static int on_unknown_frame(nghttp2_session *nghttp2, void **payload, const nghttp2_frame_hd *hd, void *user)
{
	(void)nghttp2;
	(void)payload;
	(void)hd;
	(void)user;
	return NGHTTP2_ERR_CANCEL;
}

static bool configure(struct session *s, nghttp2_session_callbacks *callbacks, nghttp2_option *option)
{
	static const nghttp2_settings_entry settings[] = {
		{ NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS, SESSION_STREAMS_MAX },
		{ NGHTTP2_SETTINGS_MAX_HEADER_LIST_SIZE, HTTP2_HEADER_LIST_MAX },
		{ NGHTTP2_SETTINGS_ENABLE_CONNECT_PROTOCOL, 1 },
		{ NGHTTP2_SETTINGS_NO_RFC7540_PRIORITIES, 1 },
	};

	nghttp2_session_callbacks_set_on_begin_frame_callback(callbacks, on_begin_frame);
	nghttp2_session_callbacks_set_on_begin_headers_callback(callbacks, on_begin_headers);
	nghttp2_session_callbacks_set_on_header_callback(callbacks, on_header);
	nghttp2_session_callbacks_set_on_invalid_header_callback(callbacks, on_invalid_header);
	nghttp2_session_callbacks_set_on_frame_recv_callback(callbacks, on_frame_recv);
	nghttp2_session_callbacks_set_on_data_chunk_recv_callback(callbacks, on_data_chunk);
	nghttp2_session_callbacks_set_on_invalid_frame_recv_callback(callbacks, on_invalid_frame);
	nghttp2_session_callbacks_set_on_frame_send_callback(callbacks, on_frame_send);
	nghttp2_session_callbacks_set_on_stream_close_callback(callbacks, on_stream_close);
	nghttp2_session_callbacks_set_unpack_extension_callback(callbacks, on_unknown_frame);
	for (unsigned type = FRAME_TYPE_UNKNOWN_FIRST; type <= UINT8_MAX; type++)
		nghttp2_option_set_user_recv_extension_type(option, (uint8_t)type);
	nghttp2_option_set_no_auto_window_update(option, 1);
	nghttp2_option_set_no_closed_streams(option, 1);
	return nghttp2_session_server_new2(&s->nghttp2, callbacks, s, option) == 0 &&
	       nghttp2_submit_settings(s->nghttp2, NGHTTP2_FLAG_NONE, settings,
				       sizeof settings / sizeof *settings) == 0 &&
	       nghttp2_session_set_local_window_size(s->nghttp2, NGHTTP2_FLAG_NONE, 0, SESSION_WINDOW) == 0;
}

static struct session *session_new(struct connection *c)
{
	struct session *s = calloc(1, sizeof *s);
	nghttp2_session_callbacks *callbacks = NULL;
	nghttp2_option *option = NULL;
	bool ok;

	if (!s)
		return NULL;
	s->connection = c;
	http2_fields_init(&s->fields);
	guard_init(&s->guard, clock_ms());
	ok = nghttp2_session_callbacks_new(&callbacks) == 0 && nghttp2_option_new(&option) == 0 &&
	     configure(s, callbacks, option);
	nghttp2_session_callbacks_del(callbacks);
	nghttp2_option_del(option);
	if (ok)
		return s;
	session_free(s);
	return NULL;
}

void session_free(struct session *s)
{
	if (!s)
		return;
	if (s->nghttp2)
		end_streams(s, ERR_CANCELLED);
	nghttp2_session_del(s->nghttp2);
	http2_fields_free(&s->fields);
	free(s);
}

enum step session_begin(struct connection *c)
{
	c->session = session_new(c);
	if (!c->session)
		return connection_refuse(c, ERR_MEMORY, "no memory for HTTP/2");
	connection_enter(c, PHASE_session, c->inspector->limits.head_ms);
	return STEP_AGAIN;
}
