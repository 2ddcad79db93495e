/* exchange.h - one request and its answer on the courier's link, whatever the framing in front of it
 *
 * The front (HTTP/1.1, or a stream of an HTTP/2 session) makes the canonical head, feeds the body in as the
 * courier takes it, and takes the answer out as its client does. Credit goes back to the courier for what was
 * taken out, so that backpressure runs through (I7).
 *
 *   exchange_begin() > exchange_room(), exchange_send().. > exchange_send_end()
 *   head() (interim).. head() (final) > exchange_body(), exchange_take()..
 *     > exchange_drained(), exchange_whole()
 */
#pragma once

#include "inspector/inspector.h"
#include "wire/head.h"
#include "wire/queue.h"

/* Interim answers (1xx) that one request may have. */
#define EXCHANGE_INTERIM_MAX 16

struct exchange;

struct exchange_ops {
	/** a head of the answer, checked: interim ones, then a final one; its views are borrowed. An error
	 * ends the exchange, as x->reset. */
	enum err (*head)(struct exchange *x, const struct head *h);
	/** bytes of the body, before which none wait: returns how many were taken at once. May be NULL. */
	size_t (*data)(struct exchange *x, struct str bytes);
	/** something changed: bytes, the end or a reset came, or there is room to send */
	void (*moved)(struct exchange *x);
};

struct exchange {
	struct stream stream;		/* first; of the courier's link */
	const struct exchange_ops *ops;
	struct inspector *inspector;
	uint32_t number;		/* of the courier's stream; 0: not open */
	char method[HEAD_METHOD_MAX];
	size_t method_bytes;
	bool websocket;			/* what is asked for */
	bool takes_trailers;		/* the head said that they may follow */
	bool upload_ended;		/* the whole request is with the courier */
	struct buf waiting;		/* an encoded head that waits for room */
	/* the answer */
	bool answered;			/* its final head has come */
	bool granted;			/* and it grants the WebSocket */
	bool has_body, ended;
	enum err reset;			/* why it will not be whole; ERR_OK: so far it can be */
	unsigned interim;
	uint64_t left;			/* of a body of known length */
	enum head_framing framing;
	struct queue body;		/* came from the courier, not yet taken */
	struct buf trailers;		/* encoded HEAD_TRAILERS */
};

void exchange_init(struct exchange *x, struct inspector *i, const struct exchange_ops *ops);
/** exchange_begin() - opens the stream and sends @h
 * @fields: OPEN's, by put_connect(). ERR_HEAD_*, ERR_LIMIT, ERR_MEMORY */
must_use enum err exchange_begin(struct exchange *x, struct str fields, const struct head *h);
/** exchange_room() - bytes of the request's body that exchange_send() takes now */
size_t exchange_room(struct exchange *x);
must_use enum err exchange_send(struct exchange *x, struct str bytes);
/** exchange_send_end() - the request is whole; @trailers may be NULL or empty, and are dropped where the
 *  head said that none would follow. ERR_MORE: nothing was done, call again when exchange_room() */
must_use enum err exchange_send_end(struct exchange *x, const struct head *trailers);
/** exchange_body() - of the answer, as far as it has come; exchange_take(): @n bytes of it are used up */
static inline struct str exchange_body(const struct exchange *x) { return queue_bytes(&x->body); }
void exchange_take(struct exchange *x, size_t n);
/** exchange_drained() - the answer has ended and all of it was taken */
static inline bool exchange_drained(const struct exchange *x) { return x->ended && exchange_body(x).n == 0; }
/** exchange_whole() - what has ended was an answer: ERR_OK, or ERR_UPSTREAM_CLOSED */
must_use enum err exchange_whole(const struct exchange *x);
/** exchange_answer() - in the courier's place: an answer with this body, whose head the front makes */
void exchange_answer(struct exchange *x, struct str body);
/** exchange_complete() - every byte of the answer has come and was taken: only the courier's END is left */
static inline bool exchange_complete(const struct exchange *x)
{
	bool more = x->has_body && (x->framing == HEAD_BODY_STREAMED || x->left);

	return exchange_body(x).n == 0 && (x->ended || (x->answered && !more));
}
/** exchange_close() - idempotent; what is still open is reset, or with ERR_OK, once the whole request
 * is with the courier, left to end by itself. Buffers keep little memory: exchange_free() frees all */
void exchange_close(struct exchange *x, enum err why);
void exchange_free(struct exchange *x, enum err why);
static inline struct str exchange_method(const struct exchange *x)
{
	return str_make(x->method, x->method_bytes);
}
