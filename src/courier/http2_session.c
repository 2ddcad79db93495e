/* http2_session.c - one HTTP/2 connection to an upstream, which many exchanges share
 *
 * Theory of operation: nghttp2 parses and frames, without I/O. A turn is: read what is there, let nghttp2
 * have it (its callbacks below put heads and bodies into streams and mark these as ready), frame what it
 * answers, write, then tell the owners of ready streams. A turn runs when the connection has something to
 * say, or before the loop waits again for sessions that became `due` by a call of an owner's: what many
 * owners do in one go leaves in few TLS records.
 * Flow control: a stream's window is given back as its owner takes bytes, the connection's at once, so that
 * one slow agent does not stop another; each stream so holds one window at most (I7). Towards the upstream
 * nothing is
 * queued: nghttp2 takes a body from its owner at the moment it frames it.
 * Trust: none in the upstream. What nghttp2 refuses, ends the stream or the connection; on top of its own
 * bounds, frames that carry nothing are paid for from a budget which answers refill. ALTSVC and ORIGIN frames
 * are ignored, pushes are refused by SETTINGS.
 * Secrets: heads that carry one pass through nghttp2's memory, which is wiped when it is freed.
 * Source: RFC 9113; CVE-2019-9511 to -9518, CVE-2023-44487, CVE-2024-28182 for what to bound.
 */
#include "courier/http2_session.h"

#include "base/clock.h"

#include <stdlib.h>

#define READS_MAX 16		/* in one turn */
#define TELLS_MAX 4096
#define FRAME_HEADER 9

/* ---- who is due, who is ready ---- */

static void later_run(uv_idle_t *idle);

void http2_session_due(struct http2_session *s)
{
	struct carriers *p = s->pool;

	if (s->due_at)
		return;
	s->due_next = p->due;
	s->due_at = &p->due;
	if (s->due_next)
		s->due_next->due_at = &s->due_next;
	p->due = s;
	uv_idle_start(p->later, later_run);
}

static void not_due(struct http2_session *s)
{
	if (!s->due_at)
		return;
	*s->due_at = s->due_next;
	if (s->due_next)
		s->due_next->due_at = s->due_at;
	s->due_at = NULL;
}

void http2_session_ready(struct http2_stream *st)
{
	struct http2_session *s = st->session;

	if (st->ready_at || !s)
		return;
	st->ready_next = s->ready;
	st->ready_at = &s->ready;
	if (st->ready_next)
		st->ready_next->ready_at = &st->ready_next;
	s->ready = st;
	http2_session_due(s);
}

static void not_ready(struct http2_stream *st)
{
	if (!st->ready_at)
		return;
	*st->ready_at = st->ready_next;
	if (st->ready_next)
		st->ready_next->ready_at = st->ready_at;
	st->ready_at = NULL;
}

static void stream_fail(struct http2_stream *st, enum err why, const char *reason)
{
	if (!st->end_stream && st->failed == ERR_OK) {
		st->failed = why;
		st->reason = reason;
	}
	http2_session_ready(st);
}

static void session_fail(struct http2_session *s, enum err why, const char *reason)
{
	if (s->over)
		return;
	s->over = s->draining = true;
	for (struct http2_stream *st = s->streams; st; st = st->next) {
		stream_fail(st, why, reason);
		st->closed = true;
	}
	upstream_release(s->connection, false);
	s->connection = NULL;
	http2_session_due(s);
}

/* ---- what nghttp2 tells ---- */

static struct http2_stream *stream_of(struct http2_session *s, int32_t id)
{
	return id > 0 ? nghttp2_session_get_stream_user_data(s->ng, id) : NULL;
}

static int on_begin_frame(nghttp2_session *ng, const nghttp2_frame_hd *hd, void *user)
{
	struct http2_session *s = user;

	(void)ng;
	s->useful += (int64_t)hd->length + FRAME_HEADER;
	if (hd->type == NGHTTP2_DATA && hd->length > 0) {
		http2_earn(s, hd->length >= 512);
		return 0;
	}
	return http2_pay(s) ? 0 : NGHTTP2_ERR_CALLBACK_FAILURE;
}

static int on_begin_headers(nghttp2_session *ng, const nghttp2_frame *frame, void *user)
{
	struct http2_session *s = user;

	(void)ng, (void)frame;
	http2_fields_clear(&s->fields);
	return 0;
}

static int on_header(nghttp2_session *ng, const nghttp2_frame *frame, const uint8_t *name, size_t name_bytes,
		     const uint8_t *value, size_t value_bytes, uint8_t flags, void *user)
{
	struct http2_session *s = user;

	(void)ng, (void)frame, (void)flags;
	http2_fields_add(&s->fields, str_make(name, name_bytes), str_make(value, value_bytes));
	return 0;
}

static void reject(struct http2_stream *st, enum err why, const char *reason)
{
	stream_fail(st, why, reason);
	nghttp2_submit_rst_stream(st->session->ng, NGHTTP2_FLAG_NONE, st->id,
				  why == ERR_MEMORY ? NGHTTP2_INTERNAL_ERROR : NGHTTP2_PROTOCOL_ERROR);
}

static enum err keep_head(struct http2_stream *st, const struct head *h)
{
	auto_buf encoded = BUF_EMPTY;

	buf_init(&encoded, HEAD_MAX_BYTES);
	enum err e = head_encode(h, &encoded);

	if (e != ERR_OK)
		return e;
	const uint32_t n = (uint32_t)encoded.len;

	buf_put(&st->heads, str_make(&n, sizeof n));
	buf_put(&st->heads, buf_str(&encoded));
	return buf_err(&st->heads);
}

/* A whole header block: an interim or the final head, or trailers. */
static void take_block(struct http2_stream *st, bool end_stream)
{
	struct http2_fields *f = &st->session->fields;
	struct head h;
	enum err e;

	if (!st->final) {
		e = http2_response(f, str_make(st->method, st->method_bytes), end_stream, &h);
		if (e == ERR_OK && !h.final && end_stream)
			e = ERR_UPSTREAM_MALFORMED;
		if (e == ERR_OK)
			e = keep_head(st, &h);
		st->final = e == ERR_OK && h.final;
	} else {
		e = end_stream ? http2_trailers(f, &h) : ERR_UPSTREAM_MALFORMED;
		if (e == ERR_OK && h.field_count)
			e = head_encode(&h, &st->trailer);
	}
	st->answered = true;
	if (e != ERR_OK)
		reject(st, e == ERR_MEMORY ? e : ERR_UPSTREAM_MALFORMED, "");
	else
		http2_session_ready(st);
}

/* Who had to know the upstream's SETTINGS before it could begin goes on. */
static void settled(struct http2_session *s)
{
	s->settled = true;
	for (struct http2_stream *st = s->streams; st; st = st->next)
		if (st->id == 0)
			http2_session_ready(st);
}

static int on_frame(nghttp2_session *ng, const nghttp2_frame *frame, void *user)
{
	struct http2_session *s = user;
	struct http2_stream *st = stream_of(s, frame->hd.stream_id);

	(void)ng;
	if (frame->hd.type == NGHTTP2_SETTINGS && !s->settled)
		settled(s);
	if (frame->hd.type == NGHTTP2_GOAWAY)
		s->draining = true;	/* streams that it leaves out are closed by nghttp2, as refused */
	if (!st)
		return 0;
	if (frame->hd.type == NGHTTP2_HEADERS)
		take_block(st, frame->hd.flags & NGHTTP2_FLAG_END_STREAM);
	if (frame->hd.type == NGHTTP2_RST_STREAM && frame->rst_stream.error_code != NGHTTP2_REFUSED_STREAM)
		stream_fail(st, ERR_UPSTREAM_CLOSED, "the upstream reset the stream");
	if ((frame->hd.type == NGHTTP2_HEADERS || frame->hd.type == NGHTTP2_DATA) &&
	    frame->hd.flags & NGHTTP2_FLAG_END_STREAM && st->failed == ERR_OK) {
		st->end_stream = true;
		http2_session_ready(st);
	}
	return 0;
}

static int on_invalid_frame(nghttp2_session *ng, const nghttp2_frame *frame, int error, void *user)
{
	struct http2_session *s = user;
	struct http2_stream *st = stream_of(s, frame->hd.stream_id);

	(void)ng, (void)error;
	if (st)
		stream_fail(st, ERR_UPSTREAM_MALFORMED, "");
	return http2_pay(s) ? 0 : NGHTTP2_ERR_CALLBACK_FAILURE;
}

static int on_data(nghttp2_session *ng, uint8_t flags, int32_t id, const uint8_t *p, size_t n, void *user)
{
	struct http2_session *s = user;
	struct http2_stream *st = stream_of(s, id);

	(void)flags;
	if (nghttp2_session_consume_connection(ng, n))
		return NGHTTP2_ERR_CALLBACK_FAILURE;
	if (!st || st->failed != ERR_OK)
		return 0;
	st->answered = true;
	enum err e = queue_put(&st->data, str_make(p, n));

	if (e != ERR_OK)
		reject(st, e == ERR_MEMORY ? e : ERR_UPSTREAM_MALFORMED, "");
	http2_session_ready(st);
	return 0;
}

static int on_close(nghttp2_session *ng, int32_t id, uint32_t error, void *user)
{
	struct http2_stream *st = stream_of(user, id);

	(void)ng;
	if (!st)
		return 0;
	st->closed = true;
	st->refused = error == NGHTTP2_REFUSED_STREAM;
	if (st->refused)
		stream_fail(st, ERR_UPSTREAM_CLOSED, "the upstream refused the stream");
	else
		stream_fail(st, ERR_UPSTREAM_MALFORMED, "");	/* by nghttp2, for a reason */
	return 0;
}

static int on_sent(nghttp2_session *ng, const nghttp2_frame *frame, void *user)
{
	(void)ng;
	struct http2_session *s = user;

	if (frame->hd.type == NGHTTP2_DATA || frame->hd.type == NGHTTP2_HEADERS)
		http2_earn(s, 4);		/* it will be answered by WINDOW_UPDATE, for one */
	if (frame->hd.type == NGHTTP2_RST_STREAM)
		s->useful += 2 * HTTP2_WINDOW_BYTES;	/* what may be on the way to
							   a stream that is no more */
	return 0;
}

/* ---- a turn ---- */

static bool wants_room(const struct http2_session *s) { return queue_bytes(&s->out) >= HTTP2_OUTPUT_MAX; }

static void pump(struct http2_session *s)
{
	while (!s->over && !wants_room(s)) {
		const uint8_t *p;
		ssize_t n = nghttp2_session_mem_send(s->ng, &p);

		if (n == 0)
			break;
		if (n < 0 || queue_put(&s->out, str_make(p, (size_t)n)) != ERR_OK) {
			session_fail(s, ERR_MEMORY, "");
			return;
		}
	}
}

void http2_session_pump(struct http2_session *s)
{
	pump(s);
	http2_session_due(s);
}

static void unblock(struct http2_session *s)
{
	for (struct http2_stream *st = s->streams; st; st = st->next)
		if (st->blocked && st->deferred)
			http2_session_ready(st);
}

static void flush(struct http2_session *s)
{
	while (!s->over && queue_bytes(&s->out)) {
		bool full = wants_room(s);
		size_t n;
		enum err e = upstream_write(s->connection, queue_str(&s->out), &n);

		if (e == ERR_MORE)
			return;
		if (e != ERR_OK) {
			session_fail(s, e, "");
			return;
		}
		queue_drop(&s->out, n);
		if (full && !wants_room(s)) {
			pump(s);
			unblock(s);
		}
	}
}

static void receive(struct http2_session *s)
{
	s->more = false;
	for (unsigned i = 0; !s->over; i++) {
		size_t n;

		if (i == READS_MAX) {
			s->more = true;
			http2_session_due(s);
			return;
		}
		enum err e = upstream_read(s->connection, s->pool->input, sizeof s->pool->input, &n);

		if (e == ERR_MORE)
			return;
		if (e != ERR_OK) {
			session_fail(s, e == ERR_CLOSED ? ERR_UPSTREAM_CLOSED : e, "");
			return;
		}
		s->heard_ms = clock_ms();
		ssize_t took = nghttp2_session_mem_recv(s->ng, (const uint8_t *)s->pool->input, n);

		if (took < 0 || !http2_pay_bytes(s, n))
			session_fail(s, took == NGHTTP2_ERR_NOMEM ? ERR_MEMORY : ERR_UPSTREAM_MALFORMED, "");
		pump(s);
	}
}

static void tell(struct http2_session *s)
{
	for (unsigned i = 0; s->ready && i < TELLS_MAX; i++) {
		struct http2_stream *st = s->ready;

		not_ready(st);
		st->carrier->changed(st->carrier->user);
	}
}

/* One turn, at the end of which a session that is of no more use goes. */
static void turn(struct http2_session *s, bool read)
{
	s->busy = true;
	if (read || s->more)
		receive(s);
	pump(s);
	flush(s);
	not_due(s);
	if (s->more)
		http2_session_due(s);
	tell(s);
	s->busy = false;
	if (!s->over && !nghttp2_session_want_read(s->ng) && !nghttp2_session_want_write(s->ng) &&
	    queue_bytes(&s->out) == 0)
		session_fail(s, ERR_UPSTREAM_MALFORMED, "");
	if (s->draining && s->count == 0)
		http2_session_free(s);
}

static void later_run(uv_idle_t *idle)
{
	struct carriers *p = idle->data;

	for (unsigned i = 0; p->due && i < TELLS_MAX; i++)
		turn(p->due, false);
	if (!p->due)
		uv_idle_stop(idle);
}

static void connection_changed(void *user) { turn(user, true); }

/* ---- beginning and end ---- */

static int set_options(nghttp2_option *o)
{
	nghttp2_option_set_no_auto_window_update(o, 1);
	nghttp2_option_set_peer_max_concurrent_streams(o, HTTP2_STREAMS_MAX);
	nghttp2_option_set_max_send_header_block_length(o, 2 * HEAD_MAX_BYTES);
	nghttp2_option_set_no_closed_streams(o, 1);
	return 0;
}

static int open_session(struct http2_session *s)
{
	nghttp2_mem memory = http2_memory();
	nghttp2_session_callbacks *c = NULL;
	nghttp2_option *o = NULL;
	int r = nghttp2_session_callbacks_new(&c);

	if (!r)
		r = nghttp2_option_new(&o);
	if (!r)
		r = set_options(o);
	if (!r) {
		nghttp2_session_callbacks_set_on_begin_frame_callback(c, on_begin_frame);
		nghttp2_session_callbacks_set_on_begin_headers_callback(c, on_begin_headers);
		nghttp2_session_callbacks_set_on_header_callback(c, on_header);
		nghttp2_session_callbacks_set_on_frame_recv_callback(c, on_frame);
		nghttp2_session_callbacks_set_on_invalid_frame_recv_callback(c, on_invalid_frame);
		nghttp2_session_callbacks_set_on_data_chunk_recv_callback(c, on_data);
		nghttp2_session_callbacks_set_on_stream_close_callback(c, on_close);
		nghttp2_session_callbacks_set_on_frame_send_callback(c, on_sent);
		r = nghttp2_session_client_new3(&s->ng, c, s, o, &memory);
	}
	nghttp2_option_del(o);
	nghttp2_session_callbacks_del(c);
	return r;
}

static int greet(struct http2_session *s)
{
	static const nghttp2_settings_entry settings[] = {
		{ NGHTTP2_SETTINGS_ENABLE_PUSH, 0 },
		{ NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, HTTP2_WINDOW_BYTES },
		{ NGHTTP2_SETTINGS_MAX_HEADER_LIST_SIZE, HTTP2_HEADER_LIST_MAX },
	};
	int r = nghttp2_submit_settings(s->ng, NGHTTP2_FLAG_NONE, settings,
					sizeof settings / sizeof *settings);

	return r ? r : nghttp2_session_set_local_window_size(s->ng, NGHTTP2_FLAG_NONE, 0,
							     HTTP2_CONNECTION_WINDOW_BYTES);
}

/* Of too many that nobody uses, the one that has waited longest goes. */
static void make_room(struct carriers *p)
{
	struct http2_session *oldest = NULL;
	unsigned idle = 0;

	for (struct http2_session *s = p->sessions; s; s = s->next) {
		if (s->count || s->draining)
			continue;
		idle++;
		if (!oldest || s->idle_ms < oldest->idle_ms)
			oldest = s;
	}
	if (oldest && idle >= UPSTREAM_IDLE_MAX)
		http2_session_drain(oldest);
}

enum err http2_session_new(struct carriers *p, struct upstream_connection *connection, uint32_t credential,
			   struct http2_session **ret)
{
	struct http2_session *s = calloc(1, sizeof *s);

	if (!s)
		return ERR_MEMORY;
	if (open_session(s) || greet(s)) {
		nghttp2_session_del(s->ng);
		free(s);
		return ERR_MEMORY;
	}
	make_room(p);
	s->pool = p;
	s->connection = connection;
	s->credential = credential;
	queue_init_secret(&s->out, 2 * HTTP2_OUTPUT_MAX);
	http2_fields_init(&s->fields);
	s->made_ms = s->idle_ms = s->heard_ms = s->glitches_ms = clock_ms();
	http2_earn(s, HTTP2_GLITCHES_BURST);
	s->next = p->sessions;
	s->at = &p->sessions;
	if (s->next)
		s->next->at = &s->next;
	p->sessions = s;
	upstream_own(connection, connection_changed, s);
	s->more = true;		/* bytes may have come with the handshake's end */
	http2_session_due(s);
	*ret = s;
	return ERR_OK;
}

void http2_session_free(struct http2_session *s)
{
	if (!s->over) {	/* as friendly as it can be done without waiting:
			   resets first, none goes behind GOAWAY */
		pump(s);
		(void)!nghttp2_session_terminate_session(s->ng, NGHTTP2_NO_ERROR);
		pump(s);
		flush(s);
		session_fail(s, ERR_CLOSED, "");
	}
	for (struct http2_stream *st = s->streams; st; st = st->next) {
		not_ready(st);
		st->session = NULL;
	}
	not_due(s);
	nghttp2_session_del(s->ng);
	queue_free(&s->out);
	http2_fields_free(&s->fields);
	*s->at = s->next;
	if (s->next)
		s->next->at = s->at;
	free(s);
}

void http2_session_drain(struct http2_session *s)
{
	s->draining = true;
	http2_session_due(s);
}

void http2_session_tick(struct http2_session *s, uint64_t now_ms)
{
	if (!s->settled && now_ms - s->made_ms >= HTTP2_SETTINGS_MS)
		for (struct http2_stream *st = s->streams; st; st = st->next)
			if (st->id == 0)
				stream_fail(st, ERR_UPSTREAM_TIMEOUT, "the upstream sent no SETTINGS");
	if (s->count == 0 && now_ms - s->idle_ms >= HTTP2_IDLE_MS)
		http2_session_free(s);
}

static bool has_room(const struct http2_session *s)
{
	uint32_t most = nghttp2_session_get_remote_settings(s->ng, NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS);

	return !s->draining && s->count < most && s->count < HTTP2_STREAMS_MAX &&
	       nghttp2_session_check_request_allowed(s->ng);
}

bool http2_session_websocket(const struct http2_session *s)
{
	return nghttp2_session_get_remote_settings(s->ng, NGHTTP2_SETTINGS_ENABLE_CONNECT_PROTOCOL) == 1;
}

struct http2_session *http2_session_find(struct carriers *p, const struct upstream_target *t, bool websocket)
{
	for (struct http2_session *s = p->sessions; s; s = s->next)
		if (has_room(s) && upstream_matches(s->connection, t) &&
		    (!websocket || http2_session_websocket(s)))
			return s;
	return NULL;
}

void http2_session_join(struct http2_session *s, struct http2_stream *st)
{
	st->session = s;
	st->next = s->streams;
	st->at = &s->streams;
	if (st->next)
		st->next->at = &st->next;
	s->streams = st;
	s->count++;
}

void http2_session_leave(struct http2_stream *st, bool clean)
{
	struct http2_session *s = st->session;

	not_ready(st);
	if (!s)
		return;
	if (st->id > 0)
		(void)!nghttp2_session_set_stream_user_data(s->ng, st->id, NULL);
	*st->at = st->next;
	if (st->next)
		st->next->at = st->at;
	st->session = NULL;
	s->count--;
	s->idle_ms = clock_ms();
	if (!clean && s->idle_ms - s->heard_ms >= HTTP2_SILENT_MS)
		s->draining = true;
	http2_session_due(s);
}
