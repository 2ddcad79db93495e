/* load_http2.c - HTTP/2's side of the load generator */
#include "load.h"

#include <err.h>
#include <stdio.h>
#include <string.h>

#define NV(n, v) { (uint8_t *)(uintptr_t)(n), (uint8_t *)(uintptr_t)(v), sizeof(n) - 1, strlen(v), 0 }

static void request_h2(struct client *c, unsigned slot)
{
	const nghttp2_nv nv[] = { NV(":method", "GET"), NV(":scheme", "https"),
				  NV(":authority", c->authority),
				  NV(":path", options.path), NV("user-agent", "load"), NV("accept", "*/*") };

	c->since[slot] = now_ns();
	c->stream[slot] = nghttp2_submit_request(c->session, NULL, nv, 6, NULL, NULL);
	if (c->stream[slot] < 0)
		errx(1, "submit: %s", nghttp2_strerror(c->stream[slot]));
	c->active++;
}

static int on_data(nghttp2_session *s, uint8_t flags, int32_t id, const uint8_t *p, size_t n, void *user)
{
	(void)s, (void)flags, (void)id, (void)p, (void)user;
	bytes_down += n;
	return 0;
}

static int on_header(nghttp2_session *s, const nghttp2_frame *f, const uint8_t *name, size_t nn,
		     const uint8_t *v, size_t vn, uint8_t flags, void *user)
{
	(void)s, (void)f, (void)flags, (void)user;
	if (nn == 7 && memcmp(name, ":status", 7) == 0 && (vn != 3 || memcmp(v, "200", 3)))
		errors++;
	return 0;
}

static int on_close(nghttp2_session *s, int32_t id, uint32_t code, void *user)
{
	struct client *c = user;

	(void)s;
	for (unsigned i = 0; i < (unsigned)options.streams; i++) {
		if (c->stream[i] != id)
			continue;
		c->active--;
		c->stream[i] = 0;
		if (code)
			errors++;
		sample(c->since[i]);
		if (is("keep") && now_ns() < end_ns)
			request_h2(c, i);
	}
	return 0;
}

static ssize_t on_send(nghttp2_session *s, const uint8_t *p, size_t n, int flags, void *user)
{
	struct client *c = user;
	int w = SSL_write(c->ssl, p, (int)n);

	(void)s, (void)flags;
	return w > 0 ? w : NGHTTP2_ERR_WOULDBLOCK;
}

void http2_begin(struct client *c)
{
	nghttp2_session_callbacks *cb;
	const nghttp2_settings_entry settings[] = { { NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, 1u << 20 } };

	nghttp2_session_callbacks_new(&cb);
	nghttp2_session_callbacks_set_on_data_chunk_recv_callback(cb, on_data);
	nghttp2_session_callbacks_set_on_header_callback(cb, on_header);
	nghttp2_session_callbacks_set_on_stream_close_callback(cb, on_close);
	nghttp2_session_callbacks_set_send_callback(cb, on_send);
	nghttp2_session_client_new(&c->session, cb, c);
	nghttp2_session_callbacks_del(cb);
	nghttp2_submit_settings(c->session, NGHTTP2_FLAG_NONE, settings, 1);
	nghttp2_session_set_local_window_size(c->session, NGHTTP2_FLAG_NONE, 0, 1 << 24);
	for (unsigned i = 0; i < (unsigned)options.streams; i++)
		request_h2(c, i);
	nghttp2_session_send(c->session);
}

void http2_read(struct client *c)
{
	int n;

	while ((n = SSL_read(c->ssl, piece, sizeof piece)) > 0)
		if (nghttp2_session_mem_recv(c->session, (const uint8_t *)piece, (size_t)n) < 0) {
			client_failed(c, "HTTP/2");
			return;
		}
	if (SSL_get_error(c->ssl, n) != SSL_ERROR_WANT_READ) {
		client_failed(c, "closed");
		return;
	}
	nghttp2_session_send(c->session);
}
