/* world_http2.h - the upstream of courier_world.h, over
 * HTTP/2: nghttp2's server side, one thread a connection
 *
 * What a path does is in http2_begin() and http2_finish().
 * Set world.http2 = world_http2 before requests come.
 */
#pragma once

#include "world_websocket.h"

#include <nghttp2/nghttp2.h>

struct http2_world {
	unsigned resets, cancels;	/* RST_STREAM that came; with CANCEL */
	unsigned goodbyes;		/* GOAWAY that came with NO_ERROR */
	unsigned refuse;		/* so many requests are refused, unprocessed */
	unsigned streams, streams_most;	/* open at once */
	bool goaway;			/* the next request is answered by a GOAWAY that leaves it out */
	uint32_t concurrent;		/* SETTINGS_MAX_CONCURRENT_STREAMS, or 0 */
	bool connect;			/* SETTINGS_ENABLE_CONNECT_PROTOCOL */
	uint32_t window;		/* SETTINGS_INITIAL_WINDOW_SIZE, or 0 */
	void (*raw)(SSL *s);		/* instead of nghttp2: after the preface has come */
};

static struct http2_world http2;

struct http2_peer {			/* one connection */
	SSL *tls;
	nghttp2_session *session;
};

struct http2_exchange {			/* one stream */
	char head[16384], path[256];
	size_t head_bytes;
	char trailer[256];
	bool in_trailers;
	uint64_t body;
	char *out;			/* what is left to be sent of the body */
	size_t out_bytes;
	uint64_t out_zeros;		/* and so many bytes more */
	bool out_ended, deferred;
	const char *out_trailer;	/* its value; NULL: none */
	struct socket_peer *socket;	/* of an extended CONNECT */
};

static nghttp2_nv http2_nv(const char *name, const char *value)
{
	return (nghttp2_nv){ (uint8_t *)(uintptr_t)name, (uint8_t *)(uintptr_t)value, strlen(name),
			     strlen(value), 0 };
}

static ssize_t http2_body(nghttp2_session *session, int32_t id, uint8_t *p, size_t n, uint32_t *flags,
			  nghttp2_data_source *source, void *user)
{
	struct http2_exchange *x = source->ptr;
	size_t take = n < x->out_bytes ? n : x->out_bytes;

	(void)user;
	if (take) {
		memcpy(p, x->out, take);
		memmove(x->out, x->out + take, x->out_bytes - take);
		x->out_bytes -= take;
	} else if (x->out_zeros) {
		take = n < x->out_zeros ? n : (size_t)x->out_zeros;
		memset(p, 0, take);
		x->out_zeros -= take;
	}
	if (x->out_bytes || x->out_zeros)
		return (ssize_t)take;
	if (!x->out_ended) {
		x->deferred = take == 0;
		return take ? (ssize_t)take : NGHTTP2_ERR_DEFERRED;
	}
	*flags |= NGHTTP2_DATA_FLAG_EOF;
	if (x->out_trailer) {
		nghttp2_nv trailer = http2_nv("x-end", x->out_trailer);

		*flags |= NGHTTP2_DATA_FLAG_NO_END_STREAM;
		nghttp2_submit_trailer(session, id, &trailer, 1);
	}
	return (ssize_t)take;
}

static void http2_put(nghttp2_session *session, int32_t id, struct http2_exchange *x, const void *p, size_t n)
{
	x->out = realloc(x->out, x->out_bytes + n + 1);
	assert_non_null(x->out);
	memcpy(x->out + x->out_bytes, p, n);
	x->out_bytes += n;
	if (x->deferred)
		nghttp2_session_resume_data(session, id);
	x->deferred = false;
}

static void http2_answer(nghttp2_session *session, int32_t id, struct http2_exchange *x, const char *status,
			 const char *name, const char *value)
{
	nghttp2_nv fields[2] = { http2_nv(":status", status),
				 http2_nv(name ? name : "server", name ? value : "world") };
	nghttp2_data_provider body = { .source.ptr = x, .read_callback = http2_body };

	nghttp2_submit_response(session, id, fields, 2, &body);
}

static void http2_interim(nghttp2_session *session, int32_t id, const char *status, const char *value)
{
	nghttp2_nv fields[2] = { http2_nv(":status", status), http2_nv("link", value) };

	nghttp2_submit_headers(session, NGHTTP2_FLAG_NONE, id, NULL, fields, 2, NULL);
}

/* At the head of a request. */
static void http2_begin(struct http2_peer *peer, int32_t id, struct http2_exchange *x)
{
	nghttp2_session *s = peer->session;

	world_note(x->head, x->path);
	if (http2.refuse) {
		http2.refuse--;
		nghttp2_submit_rst_stream(s, NGHTTP2_FLAG_NONE, id, NGHTTP2_REFUSED_STREAM);
	} else if (http2.goaway) {
		http2.goaway = false;
		nghttp2_submit_goaway(s, NGHTTP2_FLAG_NONE, id - 2, NGHTTP2_NO_ERROR, NULL, 0);
	} else if (!strcmp(x->path, "/echo")) {
		http2_answer(s, id, x, "200", NULL, NULL);
	} else if (!strcmp(x->path, "/socket")) {
		x->socket = calloc(1, sizeof *x->socket);
		socket_peer_init(x->socket);
		http2_answer(s, id, x, "200", NULL, NULL);
	} else if (!strcmp(x->path, "/early")) {
		x->out_ended = true;
		http2_put(s, id, x, "early", 5);
		http2_answer(s, id, x, "200", NULL, NULL);
	} else if (!strcmp(x->path, "/hints")) {
		http2_interim(s, id, "103", "</a.css>; rel=preload");
		http2_interim(s, id, "103", "</b.css>; rel=preload");
	} else if (!strcmp(x->path, "/interim-secret")) {
		http2_interim(s, id, "103", SECRET);
	} else if (!strcmp(x->path, "/many-hints")) {
		for (int i = 0; i < 40; i++)
			http2_interim(s, id, "103", "</a.css>; rel=preload");
	} else if (!strcmp(x->path, "/reset")) {
		nghttp2_submit_rst_stream(s, NGHTTP2_FLAG_NONE, id, NGHTTP2_INTERNAL_ERROR);
	} else if (!strcmp(x->path, "/reset-later")) {
		http2_put(s, id, x, "some", 4);
		http2_answer(s, id, x, "200", NULL, NULL);
	}
}

/* When all of a request is here. */
static void http2_finish(struct http2_peer *peer, int32_t id, struct http2_exchange *x)
{
	nghttp2_session *s = peer->session;
	char text[512];

	x->out_ended = true;
	if (!strcmp(x->path, "/socket")) {
		http2_put(s, id, x, "", 0);
	} else if (!strcmp(x->path, "/echo")) {
		x->out_trailer = "done";
		http2_put(s, id, x, "", 0);
	} else if (!strcmp(x->path, "/early") || !strcmp(x->path, "/reset") || !strcmp(x->path, "/hang")) {
		return;
	} else if (!strcmp(x->path, "/reset-later")) {
		x->out_ended = false;
		nghttp2_submit_rst_stream(s, NGHTTP2_FLAG_NONE, id, NGHTTP2_INTERNAL_ERROR);
	} else if (!strcmp(x->path, "/big")) {
		x->out_zeros = BIG_BYTES;
		http2_answer(s, id, x, "200", NULL, NULL);
	} else if (!strcmp(x->path, "/head-secret")) {
		http2_answer(s, id, x, "200", "location", "https://evil.test/?k=" SECRET);
	} else if (!strcmp(x->path, "/body-secret")) {
		http2_put(s, id, x, "before " SECRET " after", strlen("before " SECRET " after"));
		http2_answer(s, id, x, "200", NULL, NULL);
	} else if (!strcmp(x->path, "/trailer-secret")) {
		x->out_trailer = SECRET;
		http2_put(s, id, x, "ok", 2);
		http2_answer(s, id, x, "200", NULL, NULL);
	} else if (!strcmp(x->path, "/alt-svc")) {
		nghttp2_submit_altsvc(s, NGHTTP2_FLAG_NONE, id, NULL, 0, (const uint8_t *)"h3=\":443\"", 9);
		http2_answer(s, id, x, "200", "alt-svc", "h3=\":443\"");
	} else {
		int n = snprintf(text, sizeof text, "hello %llu %s%s", (unsigned long long)x->body,
				 x->trailer, strstr(x->head, "te: trailers") ? " te" : "");

		http2_put(s, id, x, text, (size_t)n);
		http2_answer(s, id, x, "200", NULL, NULL);
	}
}

static int http2_on_begin(nghttp2_session *session, const nghttp2_frame *frame, void *user)
{
	struct http2_exchange *x;

	(void)user;
	if (frame->headers.cat != NGHTTP2_HCAT_REQUEST) {
		x = nghttp2_session_get_stream_user_data(session, frame->hd.stream_id);
		if (x)
			x->in_trailers = true;
		return 0;
	}
	x = calloc(1, sizeof *x);
	assert_non_null(x);
	nghttp2_session_set_stream_user_data(session, frame->hd.stream_id, x);
	unsigned now = __atomic_add_fetch(&http2.streams, 1, __ATOMIC_SEQ_CST);

	if (now > http2.streams_most)
		http2.streams_most = now;
	return 0;
}

static int http2_on_header(nghttp2_session *session, const nghttp2_frame *frame, const uint8_t *name,
			   size_t name_n, const uint8_t *value, size_t value_n, uint8_t flags, void *user)
{
	struct http2_exchange *x = nghttp2_session_get_stream_user_data(session, frame->hd.stream_id);

	(void)user;
	if (x && x->in_trailers) {
		snprintf(x->trailer, sizeof x->trailer, "%.*s=%.*s", (int)name_n, name, (int)value_n, value);
	} else if (x) {
		x->head_bytes += (size_t)snprintf(x->head + x->head_bytes, sizeof x->head - x->head_bytes,
						  "%.*s: %.*s%s\n", (int)name_n, name, (int)value_n, value,
						  flags & NGHTTP2_NV_FLAG_NO_INDEX ? " (never indexed)" : "");
		assert_true(x->head_bytes < sizeof x->head);
		if (name_n == 5 && !memcmp(name, ":path", 5))
			snprintf(x->path, sizeof x->path, "%.*s", (int)value_n, value);
	}
	return 0;
}

static int http2_on_frame(nghttp2_session *session, const nghttp2_frame *frame, void *user)
{
	struct http2_exchange *x =
		frame->hd.stream_id ? nghttp2_session_get_stream_user_data(session, frame->hd.stream_id)
				    : NULL;

	if (frame->hd.type == NGHTTP2_RST_STREAM) {
		__atomic_fetch_add(&http2.resets, 1, __ATOMIC_SEQ_CST);
		if (frame->rst_stream.error_code == NGHTTP2_CANCEL)
			__atomic_fetch_add(&http2.cancels, 1, __ATOMIC_SEQ_CST);
	}
	if (frame->hd.type == NGHTTP2_GOAWAY && frame->goaway.error_code == NGHTTP2_NO_ERROR)
		__atomic_fetch_add(&http2.goodbyes, 1, __ATOMIC_SEQ_CST);
	if (!x)
		return 0;
	if (frame->hd.type == NGHTTP2_HEADERS && frame->headers.cat == NGHTTP2_HCAT_REQUEST)
		http2_begin(user, frame->hd.stream_id, x);
	if ((frame->hd.type == NGHTTP2_HEADERS || frame->hd.type == NGHTTP2_DATA) &&
	    frame->hd.flags & NGHTTP2_FLAG_END_STREAM)
		http2_finish(user, frame->hd.stream_id, x);
	return 0;
}

static int http2_on_data(nghttp2_session *session, uint8_t flags, int32_t id, const uint8_t *p, size_t n,
			 void *user)
{
	struct http2_exchange *x = nghttp2_session_get_stream_user_data(session, id);

	(void)flags, (void)user;
	if (!x)
		return 0;
	x->body += n;
	__atomic_fetch_add(&world.body_bytes, n, __ATOMIC_SEQ_CST);
	if (!strcmp(x->path, "/echo"))
		http2_put(session, id, x, p, n);
	if (x->socket) {
		socket_peer_take(x->socket, str_make(p, n));
		x->out_ended = x->socket->over;
		http2_put(session, id, x, x->socket->out.p, x->socket->out.len);
		buf_clear(&x->socket->out);
	}
	return 0;
}

static int http2_on_close(nghttp2_session *session, int32_t id, uint32_t error, void *user)
{
	struct http2_exchange *x = nghttp2_session_get_stream_user_data(session, id);

	(void)error, (void)user;
	if (x) {
		if (x->socket)
			socket_peer_free(x->socket);
		free(x->socket);
		free(x->out);
		free(x);
		__atomic_fetch_sub(&http2.streams, 1, __ATOMIC_SEQ_CST);
	}
	return 0;
}

static void http2_flush(struct http2_peer *peer)
{
	const uint8_t *p;
	ssize_t n;

	while ((n = nghttp2_session_mem_send(peer->session, &p)) > 0)
		world_send(peer->tls, (const char *)p, (size_t)n);
}

static void world_http2(SSL *tls)
{
	struct http2_peer peer = { .tls = tls };
	nghttp2_session_callbacks *c;
	nghttp2_settings_entry settings[3];
	size_t count = 0;
	char in[16384];
	int n;

	if (http2.raw) {
		http2.raw(tls);
		return;
	}
	nghttp2_session_callbacks_new(&c);
	nghttp2_session_callbacks_set_on_begin_headers_callback(c, http2_on_begin);
	nghttp2_session_callbacks_set_on_header_callback(c, http2_on_header);
	nghttp2_session_callbacks_set_on_frame_recv_callback(c, http2_on_frame);
	nghttp2_session_callbacks_set_on_data_chunk_recv_callback(c, http2_on_data);
	nghttp2_session_callbacks_set_on_stream_close_callback(c, http2_on_close);
	assert_int_equal(nghttp2_session_server_new(&peer.session, c, &peer), 0);
	nghttp2_session_callbacks_del(c);
	if (http2.concurrent)
		settings[count++] = (nghttp2_settings_entry){ NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS,
							      http2.concurrent };
	if (http2.connect)
		settings[count++] = (nghttp2_settings_entry){ NGHTTP2_SETTINGS_ENABLE_CONNECT_PROTOCOL, 1 };
	if (http2.window)
		settings[count++] =
			(nghttp2_settings_entry){ NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, http2.window };
	nghttp2_submit_settings(peer.session, NGHTTP2_FLAG_NONE, settings, count);
	http2_flush(&peer);
	while ((n = SSL_read(tls, in, sizeof in)) > 0 &&
	       nghttp2_session_mem_recv(peer.session, (const uint8_t *)in, (size_t)n) == n)
		http2_flush(&peer);
	nghttp2_session_del(peer.session);
}
