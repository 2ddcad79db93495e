/* inspector_http2_world.h - an HTTP/2 client (nghttp2) in
 * inspector_world.h's guest, for the tests of the inspector */
#pragma once

#include "inspector_world.h"

#include <nghttp2/nghttp2.h>

#define ERR_STATE OPENSSL_ERR_STATE
#include <openssl/err.h>
#include <openssl/ssl.h>
#undef ERR_STATE

#define ANSWERS_MAX 256
#define STR_NONE ((struct str){ NULL, 0 })

/** struct answer - what came on one of the client's streams */
struct answer {
	unsigned status, interim;
	struct buf body, fields;	/* "name: value\n" of all blocks */
	bool closed, ended;
	uint32_t code;
};

/** struct peer - an HTTP/2 client on one stream of the guest's link, on a plain connection or inside of TLS */
struct peer {
	uint32_t stream;
	size_t fed;
	nghttp2_session *nghttp2;
	struct answer answers[ANSWERS_MAX];	/* by stream id / 2 */
	struct str upload[ANSWERS_MAX];
	bool upload_open[ANSWERS_MAX], with_trailers[ANSWERS_MAX];
	bool goaway;
	uint32_t goaway_code;
	SSL_CTX *ctx;
	SSL *ssl;
	BIO *in, *out;
};

static struct peer p;

static struct answer *answer(int32_t id) { return &p.answers[id / 2 % ANSWERS_MAX]; }

static int on_header(nghttp2_session *s, const nghttp2_frame *frame, const uint8_t *name, size_t name_bytes,
		     const uint8_t *value, size_t value_bytes, uint8_t flags, void *user)
{
	struct answer *a = answer(frame->hd.stream_id);
	struct str n = str_make(name, name_bytes), v = str_make(value, value_bytes);
	uint64_t status;

	(void)s;
	(void)flags;
	(void)user;
	buf_put(&a->fields, n);
	buf_put(&a->fields, STR(": "));
	buf_put(&a->fields, v);
	buf_put_byte(&a->fields, '\n');
	if (str_eq(n, STR(":status")) && str_decimal(v, 599, &status)) {
		a->interim += status < 200;
		a->status = (unsigned)status;
	}
	return 0;
}

static int on_data(nghttp2_session *s, uint8_t flags, int32_t id, const uint8_t *bytes, size_t n, void *user)
{
	(void)s;
	(void)flags;
	(void)user;
	buf_put(&answer(id)->body, str_make(bytes, n));
	return 0;
}

static int on_frame(nghttp2_session *s, const nghttp2_frame *frame, void *user)
{
	(void)s;
	(void)user;
	if (frame->hd.type == NGHTTP2_GOAWAY) {
		p.goaway = true;
		p.goaway_code = frame->goaway.error_code;
	}
	if ((frame->hd.type == NGHTTP2_HEADERS || frame->hd.type == NGHTTP2_DATA) &&
	    (frame->hd.flags & NGHTTP2_FLAG_END_STREAM))
		answer(frame->hd.stream_id)->ended = true;
	return 0;
}

static int on_close(nghttp2_session *s, int32_t id, uint32_t code, void *user)
{
	(void)s;
	(void)user;
	answer(id)->closed = true;
	answer(id)->code = code;
	return 0;
}

static void peer_begin(uint32_t stream)
{
	nghttp2_session_callbacks *callbacks;

	p = (struct peer){ .stream = stream };
	for (unsigned i = 0; i < ANSWERS_MAX; i++) {
		buf_init(&p.answers[i].body, 8 * 1024 * 1024);
		buf_init(&p.answers[i].fields, 65536);
	}
	assert_int_equal(nghttp2_session_callbacks_new(&callbacks), 0);
	nghttp2_session_callbacks_set_on_header_callback(callbacks, on_header);
	nghttp2_session_callbacks_set_on_data_chunk_recv_callback(callbacks, on_data);
	nghttp2_session_callbacks_set_on_frame_recv_callback(callbacks, on_frame);
	nghttp2_session_callbacks_set_on_stream_close_callback(callbacks, on_close);
	assert_int_equal(nghttp2_session_client_new(&p.nghttp2, callbacks, NULL), 0);
	nghttp2_session_callbacks_del(callbacks);
	assert_int_equal(nghttp2_submit_settings(p.nghttp2, NGHTTP2_FLAG_NONE, NULL, 0), 0);
}

static void peer_end(void)
{
	nghttp2_session_del(p.nghttp2);
	for (unsigned i = 0; i < ANSWERS_MAX; i++) {
		buf_free(&p.answers[i].body);
		buf_free(&p.answers[i].fields);
	}
	SSL_free(p.ssl);
	SSL_CTX_free(p.ctx);
	p = (struct peer){ 0 };
}

static void peer_plain(void) { peer_begin(connect_to("api.example", 80)); }

/* Bytes of the session to the inspector, through TLS if there is one. */
static void peer_write(const uint8_t *bytes, size_t n)
{
	char record[16384];
	int got;

	if (!p.ssl) {
		guest_send(p.stream, str_make(bytes, n));
		return;
	}
	if (n)
		assert_int_equal(SSL_write(p.ssl, bytes, (int)n), (int)n);
	while ((got = BIO_read(p.out, record, sizeof record)) > 0)
		guest_send(p.stream, str_make(record, (size_t)got));
}

static void peer_read(struct str bytes)
{
	static char text[65536];
	int n;

	if (!p.ssl) {
		assert_int_equal(nghttp2_session_mem_recv(p.nghttp2, (const uint8_t *)bytes.p, bytes.n),
				 (ssize_t)bytes.n);
		return;
	}
	if (bytes.n)
		assert_int_equal(BIO_write(p.in, bytes.p, (int)bytes.n), (int)bytes.n);
	while ((n = SSL_read(p.ssl, text, sizeof text)) > 0)
		assert_int_equal(nghttp2_session_mem_recv(p.nghttp2, (const uint8_t *)text, (size_t)n), n);
}

/* One turn: what came goes in, what nghttp2 makes goes out. Always true, for RUN_UNTIL. */
static bool turn(void)
{
	struct buf *got = &guest(p.stream)->got;
	const uint8_t *bytes;
	ssize_t n;

	if (got->len > p.fed || p.ssl)
		peer_read(str_from(buf_str(got), p.fed));
	p.fed = got->len;
	while (link_is_open(guest_link(), p.stream) && (!p.ssl || SSL_is_init_finished(p.ssl)) &&
	       (n = nghttp2_session_mem_send(p.nghttp2, &bytes)) > 0)
		peer_write(bytes, (size_t)n);
	if (p.ssl)
		peer_write(NULL, 0);
	(void)uv_run(&w.loop, UV_RUN_NOWAIT);
	return true;
}

static ssize_t read_upload(nghttp2_session *s, int32_t id, uint8_t *to, size_t n, uint32_t *flags,
			   nghttp2_data_source *source, void *user)
{
	struct str *rest = source->ptr, piece = str_head(*rest, n);
	size_t at = (size_t)(rest - p.upload);

	(void)user;
	if (piece.n)
		memcpy(to, piece.p, piece.n);
	*rest = str_from(*rest, piece.n);
	if (rest->n == 0 && p.upload_open[at])
		return piece.n ? (ssize_t)piece.n : NGHTTP2_ERR_DEFERRED;
	if (rest->n == 0) {
		*flags |= NGHTTP2_DATA_FLAG_EOF;
		if (p.with_trailers[at]) {
			nghttp2_nv nv = { (uint8_t *)(uintptr_t)"x-sum", (uint8_t *)(uintptr_t)"9", 5, 1, 0 };

			*flags |= NGHTTP2_DATA_FLAG_NO_END_STREAM;
			assert_int_equal(nghttp2_submit_trailer(s, id, &nv, 1), 0);
		}
	}
	return (ssize_t)piece.n;
}

struct extra {
	const char *name, *value;
};

/* Submits; @upload {NULL, 0}: none. Extra fields may replace nothing, they follow. */
static int32_t ask(const char *method, const char *path, const char *authority, struct str upload, bool more,
		   const struct extra *extra, size_t extra_count)
{
	const struct extra base[] = { { ":method", method }, { ":scheme", p.ssl ? "https" : "http" },
				      { ":authority", authority }, { ":path", path } };
	int32_t next = nghttp2_session_get_next_stream_id(p.nghttp2) > 0
			       ? (int32_t)nghttp2_session_get_next_stream_id(p.nghttp2) : 0;
	size_t at = (size_t)next / 2 % ANSWERS_MAX, count = 0;
	nghttp2_data_provider provider = { .source.ptr = &p.upload[at], .read_callback = read_upload };
	nghttp2_nv nv[32];

	p.upload[at] = upload;
	p.upload_open[at] = more;
	for (size_t i = 0; i < 4 + extra_count; i++) {
		const struct extra *e = i < 4 ? &base[i] : &extra[i - 4];

		nv[count++] = (nghttp2_nv){ (uint8_t *)(uintptr_t)e->name, (uint8_t *)(uintptr_t)e->value,
					    strlen(e->name), strlen(e->value), 0 };
	}
	assert_int_equal(nghttp2_submit_request(p.nghttp2, NULL, nv, count, upload.p ||
						more ? &provider : NULL, NULL), next);
	return next;
}

static int32_t get(const char *path) { return ask("GET", path, "api.example", STR_NONE, false, NULL, 0); }

static int begin(void **state)
{
	(void)state;
	world_begin(&inspector_limits_default);
	return 0;
}

static int begin_impatient(void **state)
{
	struct inspector_limits limits = inspector_limits_default;

	(void)state;
	limits.head_ms = limits.idle_ms = 300;
	limits.continue_ms = 20;
	limits.stall_ms = 500;
	limits.linger_ms = 100;
	limits.exchanges_max = 2;
	world_begin(&limits);
	return 0;
}

static int end_all(void **state)
{
	peer_end();
	return end(state);
}

static bool body_is(int32_t id, const char *text)
{
	return answer(id)->ended && str_eq(buf_str(&answer(id)->body), str_of(text));
}

static inline bool has_field(int32_t id, const char *line)
{
	const struct buf *b = &answer(id)->fields;

	return b->len && memmem(b->p, b->len, line, strlen(line));
}
