/* http2_session.h - one HTTP/2 connection to an upstream, which many exchanges share; for carrier*.c alone
 *
 * What the upstream can make us hold, do or wait for is bounded (I7): a window for each stream, a bound on
 * header lists, a budget of frames that carry nothing. Each stream's owner is told through its carrier's
 * `changed`, always from the loop.
 */
#pragma once

#include "courier/carrier_format.h"
#include "courier/queue.h"
#include "wire/http2.h"

#include <nghttp2/nghttp2.h>

#define HTTP2_WINDOW_BYTES (256 * 1024)			/* of one stream: what its owner may leave untaken */
#define HTTP2_CONNECTION_WINDOW_BYTES (16 * 1024 * 1024)	/* given back at once: streams do not block each other */
#define HTTP2_STREAMS_MAX 128				/* of one connection, whatever more the upstream allows */
#define HTTP2_OUTPUT_MAX ((size_t)65536)		/* framed, and not yet with TLS; and one frame more */
#define HTTP2_IDLE_MS 60000				/* without a stream */
#define HTTP2_SETTINGS_MS 10000				/* for a WebSocket, which must know them, to begin */
#define HTTP2_SILENT_MS 10000				/* an exchange that ends badly after so long without a byte: */
							/* nothing new on that connection */
/* Frames that carry no piece of an answer: SETTINGS, PING, WINDOW_UPDATE, empty DATA ...; and bytes that
 * belong to no frame of use (unknown frames, CONTINUATION, closed streams), of which so many count as one
 * frame. */
#define HTTP2_GLITCHES_BURST 2000
#define HTTP2_GLITCHES_PER_SECOND 500
#define HTTP2_GLITCH_BYTES 64
/* Heads of one answer that wait for the owner, encoded */
#define HTTP2_HEADS_MAX ((size_t)2 * HEAD_MAX_BYTES)

/** struct http2_stream - one exchange; the fields are carrier_http2.c's and http2_session.c's */
struct http2_stream {
	struct http2_session *session;		/* NULL: the connection is over */
	struct carrier *carrier;
	struct http2_stream *next, **at;	/* of the session's streams */
	struct http2_stream *ready_next, **ready_at;	/* of those to be told */
	int32_t id;				/* 0: not yet opened */
	char method[HEAD_METHOD_MAX];
	size_t method_bytes;

	/* the request */
	struct str offered;			/* what nghttp2 may take, during carrier_send() alone */
	bool last;				/* the body ends with it */
	bool deferred;				/* nghttp2 waits to be told of more */
	bool blocked;				/* something was offered and not taken */
	bool ended;				/* its end is with nghttp2 */
	struct buf trailers;			/* encoded; go with the end */

	/* the answer */
	struct buf heads;			/* uint32_t length and encoded head, one after the other */
	size_t heads_at;
	struct head head;			/* the one that was handed out */
	struct queue data;
	struct buf trailer;			/* encoded */
	bool final;				/* the final head is or was in heads */
	bool answered;				/* anything came */
	bool end_stream;			/* the answer is whole */
	bool closed;				/* no frame of it goes either way any more */
	bool refused;				/* and the upstream says that it did not look at it */
	enum err failed;
	const char *reason;
};

struct http2_session {
	struct carriers *pool;
	struct http2_session *next, **at;
	struct http2_session *due_next, **due_at;
	struct upstream_connection *connection;
	uint32_t credential;			/* as in its target */
	nghttp2_session *ng;
	struct queue out;			/* framed for the upstream; carries secrets */
	struct http2_fields fields;		/* of the header block that is being received */
	struct http2_stream *streams, *ready;
	uint32_t count;
	bool draining;				/* nothing new begins on it */
	bool over;				/* it is of no more use; freed when
						   the last stream is released */
	bool busy;				/* its streams are being told: not freed meanwhile */
	bool settled;				/* the upstream's SETTINGS are here */
	bool more;				/* the last read was cut short: there is more to read */
	uint64_t made_ms;
	uint64_t heard_ms, idle_ms;		/* last byte from the upstream; since when without a stream */
	uint64_t glitches, glitches_ms;		/* thousandths that are left, as of when */
	int64_t useful;				/* bytes of frames of use that began, less those received */
};

/** http2_session_new() - over a READY connection that
 * chose h2, which is the session's on ERR_OK. ERR_MEMORY */
must_use enum err http2_session_new(struct carriers *p, struct upstream_connection *connection,
				    uint32_t credential, struct http2_session **ret);
/** http2_session_find() - one that has room for a stream to @t, or NULL
 * @websocket: it must take those (RFC 8441) */
struct http2_session *http2_session_find(struct carriers *p, const struct upstream_target *t, bool websocket);
/** http2_session_websocket() - does it take those? Known once it is settled. */
bool http2_session_websocket(const struct http2_session *s);
/** http2_session_drain() - nothing new begins; closed when the last stream is released, or at once */
void http2_session_drain(struct http2_session *s);
/** http2_session_free() - at once, also with streams, which then fail */
void http2_session_free(struct http2_session *s);
/** http2_session_tick() - may free @s */
void http2_session_tick(struct http2_session *s, uint64_t now_ms);

/** http2_session_due() - something was submitted to nghttp2: framed and sent before the loop waits */
void http2_session_due(struct http2_session *s);
/** http2_session_pump() - lets nghttp2 frame what it has now, as far as there is room; sent as above */
void http2_session_pump(struct http2_session *s);
/** http2_session_ready() - the stream's owner is to be told, from the loop */
void http2_session_ready(struct http2_stream *st);
/** http2_session_join(), http2_session_leave() - a stream is of the session; no more
 * @clean: false: it ended badly, which on a silent connection may be the connection's fault */
void http2_session_join(struct http2_session *s, struct http2_stream *st);
void http2_session_leave(struct http2_stream *st, bool clean);

/** http2_memory() - for nghttp2, which sees secrets: wiped when it is freed */
nghttp2_mem http2_memory(void);

/** http2_earn() - something of use came or went; http2_pay()
 *  - a frame that carries nothing came; http2_pay_bytes() -
 *  @n bytes came, and nghttp2 has told what of them were
 *  frames. False: it is too much, end the connection. */
void http2_earn(struct http2_session *s, uint64_t glitches);
must_use bool http2_pay(struct http2_session *s);
must_use bool http2_pay_bytes(struct http2_session *s, size_t n);
