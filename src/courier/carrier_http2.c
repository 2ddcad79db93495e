/* carrier_http2.c - one exchange as a stream of an HTTP/2 connection
 *
 * Theory of operation: towards the upstream, what the owner offers is taken by nghttp2 at the moment it
 * frames it (read_body()), as far as the windows and the session's output have room; the owner is told when
 * there is room again. From the upstream, http2_session.c leaves heads, body and trailers here, and the
 * window opens again by what the owner has taken.
 * An answer that is whole before the request is stops the
 * request: RST_STREAM. So does an owner who leaves early.
 * Secrets: where a credential may stand in a field (the target has a pool), HPACK keeps no field whose value
 * differs between requests.
 * Source: RFC 9113 s5, s8.
 */
#include "courier/http2_session.h"

#include <stdlib.h>

/* May HPACK keep it? What is the same for every request that a client makes. */
static bool common(struct str name)
{
	static const struct str names[] = {
		STR_INIT(":method"), STR_INIT(":scheme"), STR_INIT(":authority"), STR_INIT(":protocol"),
		STR_INIT("accept"), STR_INIT("accept-encoding"), STR_INIT("content-type"),
		STR_INIT("user-agent"), STR_INIT("te"),
	};

	for (size_t i = 0; i < sizeof names / sizeof *names; i++)
		if (str_eq(name, names[i]))
			return true;
	return false;
}

static uint8_t *bytes_of(struct str s)
{
	static const char none[1];

	return (uint8_t *)(uintptr_t)(s.p ? s.p : none);	/* nghttp2 copies it, and takes no const */
}

static size_t make_fields(const struct http2_nv *from, size_t count, bool careful, nghttp2_nv *to)
{
	for (size_t i = 0; i < count; i++) {
		bool never = from[i].never_index || (careful && !common(from[i].name));

		to[i] = (nghttp2_nv){ bytes_of(from[i].name), bytes_of(from[i].value), from[i].name.n,
				      from[i].value.n,
				      never ? NGHTTP2_NV_FLAG_NO_INDEX : NGHTTP2_NV_FLAG_NONE };
	}
	return count;
}

/* The end of the body with its trailers, which nghttp2 wants at this moment and no earlier. */
static int put_trailers(nghttp2_session *ng, struct http2_stream *st)
{
	struct http2_nv fields[HTTP2_NV_MAX];
	nghttp2_nv block[HTTP2_NV_MAX];
	struct head trailers;
	size_t count;

	if (head_decode(buf_str(&st->trailers), &trailers) != ERR_OK ||
	    http2_put_trailers(&trailers, fields, &count) != ERR_OK)
		return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
	make_fields(fields, count, true, block);
	return nghttp2_submit_trailer(ng, st->id, block, count);
}

static ssize_t read_body(nghttp2_session *ng, int32_t id, uint8_t *p, size_t n, uint32_t *flags,
			 nghttp2_data_source *source, void *user)
{
	struct http2_stream *st = nghttp2_session_get_stream_user_data(ng, id);

	(void)source, (void)user;
	if (!st)
		return NGHTTP2_ERR_DEFERRED;	/* released: its RST_STREAM is on the way */
	struct str take = str_head(st->offered, n);

	if (take.n)
		memcpy(p, take.p, take.n);
	st->offered = str_from(st->offered, take.n);
	if (st->last && st->offered.n == 0) {
		st->ended = true;
		*flags |= NGHTTP2_DATA_FLAG_EOF;
		if (st->trailers.len) {
			*flags |= NGHTTP2_DATA_FLAG_NO_END_STREAM;
			int r = put_trailers(ng, st);

			if (r)
				return r == NGHTTP2_ERR_NOMEM ? NGHTTP2_ERR_CALLBACK_FAILURE
							      : NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
		}
		return (ssize_t)take.n;
	}
	if (take.n)
		return (ssize_t)take.n;
	st->deferred = true;
	if (st->blocked)
		http2_session_ready(st);
	return NGHTTP2_ERR_DEFERRED;
}

/* A WebSocket waits until the upstream has said whether it takes those. */
static enum err http2_status(struct carrier *c)
{
	const struct http2_stream *st = c->format;

	if (!c->target.websocket || st->id > 0)
		return ERR_OK;
	c->reason = st->reason;
	if (st->failed != ERR_OK)
		return st->failed;
	if (!st->session || st->session->over)
		return ERR_UPSTREAM_CLOSED;
	if (!st->session->settled)
		return ERR_MORE;
	if (http2_session_websocket(st->session))
		return ERR_OK;
	c->reason = "the upstream speaks HTTP/2 alone, and takes no WebSocket over it";
	return ERR_UPGRADE_REFUSED;
}

static enum err http2_send_head(struct carrier *c, const struct head *h)
{
	struct http2_stream *st = c->format;
	nghttp2_data_provider body = { .source.ptr = NULL, .read_callback = read_body };
	struct http2_nv fields[HTTP2_NV_MAX];
	nghttp2_nv block[HTTP2_NV_MAX];
	auto_buf storage = BUF_EMPTY;
	size_t count;

	if (!st->session || st->session->over)
		return ERR_UPSTREAM_CLOSED;
	buf_init_secret(&storage, HTTP2_PUT_STORAGE_MAX);
	enum err e = http2_put_request(h, &storage, fields, &count);

	if (e != ERR_OK)
		return e;
	const struct str method = h->websocket ? STR("CONNECT") : h->method;
	bool none = h->framing == HEAD_BODY_NONE || (h->framing == HEAD_BODY_LENGTH && h->length == 0);

	memcpy(st->method, method.p, method.n);		/* HEAD_METHOD_MAX: it passed head_check() */
	st->method_bytes = method.n;
	make_fields(fields, count, c->target.pool != 0, block);
	none = none && !h->websocket;
	st->ended = none;
	st->id = nghttp2_submit_request(st->session->ng, NULL, block, count, none ? NULL : &body, st);
	if (st->id < 0)
		return st->id == NGHTTP2_ERR_NOMEM ? ERR_MEMORY : ERR_UPSTREAM_CLOSED;
	http2_session_due(st->session);
	return ERR_OK;
}

/* Lets nghttp2 have what is offered. */
static enum err offer(struct http2_stream *st, struct str bytes, bool last, size_t *ret_n)
{
	if (!st->session || st->closed || st->failed != ERR_OK)
		return st->end_stream ? ERR_UPSTREAM_CLOSED : st->failed != ERR_OK ? st->failed : ERR_UPSTREAM_CLOSED;
	*ret_n = 0;
	if (st->ended)
		return ERR_OK;
	st->offered = bytes;
	st->last |= last;	/* once said it stays, also when somebody looks for room again meanwhile */
	if (st->deferred && (bytes.n || last)) {
		st->deferred = false;
		if (nghttp2_session_resume_data(st->session->ng, st->id) == NGHTTP2_ERR_NOMEM)
			return ERR_MEMORY;
	}
	if (bytes.n || last)
		http2_session_pump(st->session);
	*ret_n = bytes.n - st->offered.n;
	st->blocked = st->offered.n > 0;
	st->last &= !st->blocked;	/* if only the end is left, it goes when it can */
	st->offered = (struct str){ NULL, 0 };
	return ERR_OK;
}

static enum err http2_send(struct carrier *c, struct str bytes, bool last, size_t *ret_n)
{
	return offer(c->format, bytes, last, ret_n);
}

static enum err http2_send_trailers(struct carrier *c, const struct head *trailers)
{
	struct http2_stream *st = c->format;
	size_t none;
	enum err e = head_encode(trailers, &st->trailers);

	return e == ERR_OK ? offer(st, (struct str){ NULL, 0 }, true, &none) : e;
}

static bool http2_sent(const struct carrier *c)
{
	const struct http2_stream *st = c->format;

	return st->ended;
}

/* ---- the answer ---- */

static enum err next_head(struct http2_stream *st, struct carrier_event *ret)
{
	struct str encoded = str_from(buf_str(&st->heads), st->heads_at);
	uint32_t n;

	memcpy(&n, encoded.p, sizeof n);	/* as http2_session.c put it */
	st->heads_at += sizeof n + n;
	enum err e = head_decode(str_head(str_from(encoded, sizeof n), n), &st->head);

	*ret = (struct carrier_event){ .type = CARRIER_HEAD, .head = &st->head,
				       .body = queue_bytes(&st->data) > 0 || !st->end_stream };
	return e;
}

static enum err http2_next(struct carrier *c, struct carrier_event *ret)
{
	struct http2_stream *st = c->format;

	c->reason = st->reason;
	if (st->heads_at < st->heads.len)
		return next_head(st, ret);
	if (queue_bytes(&st->data)) {
		*ret = (struct carrier_event){ .type = CARRIER_DATA, .data = queue_str(&st->data) };
		return ERR_OK;
	}
	if (!st->end_stream)
		return st->failed != ERR_OK ? st->failed : ERR_MORE;
	*ret = (struct carrier_event){ .type = CARRIER_END };
	if (!st->trailer.len)
		return ERR_OK;
	ret->head = &st->head;
	return head_decode(buf_str(&st->trailer), &st->head);
}

static void http2_taken(struct carrier *c, size_t n)
{
	struct http2_stream *st = c->format;

	queue_drop(&st->data, n);
	if (!st->session || st->closed || st->end_stream)
		return;
	(void)!nghttp2_session_consume_stream(st->session->ng, st->id, n);
	http2_session_due(st->session);
}

static enum carrier_again http2_again(const struct carrier *c)
{
	const struct http2_stream *st = c->format;

	if (st->answered)
		return CARRIER_AGAIN_NO;
	if (st->refused)
		return CARRIER_AGAIN_YES;
	/* The connection's end may have crossed our request. A reset was meant. */
	return !st->session || st->session->over ? CARRIER_AGAIN_IF_SAFE : CARRIER_AGAIN_NO;
}

static void http2_release(struct carrier *c, bool clean)
{
	struct http2_stream *st = c->format;
	struct http2_session *s = st->session;

	if (s && !s->over && st->id > 0 && !st->closed && !(clean && st->end_stream && st->ended))
		(void)!nghttp2_submit_rst_stream(s->ng, NGHTTP2_FLAG_NONE, st->id,
						 st->end_stream ? NGHTTP2_NO_ERROR : NGHTTP2_CANCEL);
	http2_session_leave(st, clean);
	buf_free(&st->heads);
	buf_free(&st->trailer);
	buf_free(&st->trailers);
	queue_free(&st->data);
	free(st);
}

enum err carrier_http2_new(struct carrier *c, struct http2_session *s)
{
	static const struct carrier_ops ops = {
		.name = "h2", .status = http2_status, .send_head = http2_send_head, .send = http2_send,
		.send_trailers = http2_send_trailers, .sent = http2_sent, .next = http2_next,
		.taken = http2_taken, .again = http2_again, .release = http2_release,
	};
	struct http2_stream *st = calloc(1, sizeof *st);

	if (!st)
		return ERR_MEMORY;
	st->carrier = c;
	st->reason = "";
	buf_init(&st->heads, HTTP2_HEADS_MAX);
	buf_init(&st->trailer, HEAD_MAX_BYTES);
	buf_init(&st->trailers, HEAD_MAX_BYTES);
	queue_init(&st->data, 2 * (size_t)HTTP2_WINDOW_BYTES);
	http2_session_join(s, st);
	c->address = *upstream_address(s->connection);
	c->ops = &ops;
	c->format = st;
	return ERR_OK;
}
