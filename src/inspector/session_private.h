/* session_private.h - what session.c and session_stream.c share */
#pragma once

#include "inspector/messages.h"
#include "inspector/session.h"
#include "inspector/session_guard.h"
#include "wire/http2.h"

#include <nghttp2/nghttp2.h>

#define SESSION_STREAMS_MAX 100u		/* what browsers and gRPC clients expect */
#define SESSION_WINDOW (256 * 1024)		/* of the whole connection; a stream's is the usual 65,535 */

/** struct session_stream - one request and its answer */
struct session_stream {
	struct exchange exchange;	/* first */
	struct session *session;
	struct session_stream *next, **link;
	int32_t id;
	struct wait wait;
	struct buf upload; /* DATA that the courier has not yet taken; at most the stream's window */
	struct buf trailers;		/* of the request, encoded */
	bool upload_done;		/* END_STREAM came */
	bool submitted;			/* the answer's final head is nghttp2's */
	bool deferred;			/* nghttp2 waits to be told that there is data */
	bool is_head;
	bool expect_continue;
	bool answered;			/* whole, before the request was: session_stream_linger() */
	bool cut_off;			/* by a deadline; goes once the client has taken its reset */
	size_t unwanted;		/* bytes of the request that came since */
	struct messages *messages;	/* a WebSocket that was granted */
	struct buf frames;		/* for its client */
	bool messages_over;		/* what is in frames is the last */
};

struct session {
	struct connection *connection;
	nghttp2_session *nghttp2;
	struct http2_fields fields;	/* the header block that is coming */
	bool in_block, block_timed;
	bool over;			/* nothing more is read */
	bool retry;			/* streams may have waited for room on the courier's link */
	bool failing;			/* a stream was cut off after its head */
	const char *calm;		/* what there was too much of */
	struct guard guard;
	struct session_stream *streams;
	uint32_t stream_count;
};

/* session_stream.c */

/** session_stream_begin() - a whole request head is in s->fields */
void session_stream_begin(struct session *s, int32_t id, bool end_stream);
/** session_stream_data(), session_stream_trailers(), session_stream_done() - what follows it */
void session_stream_data(struct session_stream *t, struct str bytes);
void session_stream_trailers(struct session_stream *t);
void session_stream_done(struct session_stream *t);
/** session_stream_linger() - the answer is whole and the request is not: a short rest of it is let come,
 *  as clients take a reset then for a failure (curl does); who goes on is told NO_ERROR (RFC 9113 s8.1) */
void session_stream_linger(struct session_stream *t);
/** session_stream_moved() - as far as it goes: up and down */
void session_stream_moved(struct session_stream *t);
/** session_stream_fail() - RST_STREAM, if the courier has cut it off */
void session_stream_fail(struct session_stream *t);
/** session_stream_free() - the exchange is reset if it is not over */
void session_stream_free(struct session_stream *t, enum err why);

/* session_messages.c */

/** session_messages_up() - the client's frames, as far as it goes */
void session_messages_up(struct session_stream *t);
/** session_messages_read() - what read_body() is for other answers */
ssize_t session_messages_read(struct session_stream *t, uint8_t *p, size_t n, uint32_t *flags);
/** session_messages_end() - a close frame, then the end; @code 0: as befits @why */
void session_messages_end(struct session_stream *t, enum err why, uint16_t code);
