/* carrier.h - one exchange's way to its upstream, whatever the wire format
 *
 * A carrier is a whole HTTP/1.1 connection (carrier_http1.c) or one stream of an HTTP/2 connection that
 * others share (carrier_http2.c); its owner cannot tell. The owner is told by `changed` that something
 * happened, and then asks again whatever had said ERR_MORE. `changed` is never called from within a
 * function of this header. Heads are canonical, bodies are without framing; what a credential made of
 * a head lives only as long as it takes to write it.
 */
#pragma once

#include "courier/upstream.h"

#define CARRIER_PIECE_BYTES ((size_t)16384)

struct carriers;		/* all of the courier: connections to be had, HTTP/2 sessions, who waits */
struct carrier;

enum carrier_event_type {
	CARRIER_HEAD,		/* interim or final */
	CARRIER_DATA,
	CARRIER_END,
};

/** struct carrier_event - what comes next of the answer; borrowed until the next call on the carrier */
struct carrier_event {
	enum carrier_event_type type;
	struct head *head;	/* HEAD; END: the trailers, or NULL. The taker may change it. */
	bool body;		/* HEAD: a body may follow */
	struct str data;	/* DATA: not empty; the same until carrier_taken() */
};

/* May the request be sent again on another connection, if the body can be had again? */
enum carrier_again {
	CARRIER_AGAIN_NO,
	CARRIER_AGAIN_IF_SAFE,	/* it may have arrived: only if doing it twice is as good as once */
	CARRIER_AGAIN_YES,	/* the upstream said that it has not looked at it */
};

/** carriers_new() - over @u, which is borrowed. NULL without memory. */
struct carriers *carriers_new(uv_loop_t *loop, struct upstream *u);
/** carriers_free() - every carrier must have been released; run the loop once more */
void carriers_free(struct carriers *p);
/** carriers_tick() - deadlines; at least once a second */
void carriers_tick(struct carriers *p, uint64_t now_ms);
/** carriers_drop() - no connection with @credential (upstream.h) is used for anything that begins
 *  later; those that nobody uses are closed. Exchanges that run on one are the caller's to end. */
void carriers_drop(struct carriers *p, uint32_t credential);

/** carrier_dial() - a way to the target: a kept connection, a stream, or a new connection
 * Return: ERR_OK and *ret (see carrier_status()); ERR_LIMIT, ERR_MEMORY, ERR_LOCAL */
must_use enum err carrier_dial(struct carriers *p, const struct upstream_target *t,
			       void (*changed)(void *user), void *user, struct carrier **ret);
/** carrier_status() - as upstream_status() */
must_use enum err carrier_status(struct carrier *c);
/** carrier_reason() - static words for the last failure, without bytes of the peer's; maybe empty */
const char *carrier_reason(const struct carrier *c);
/** carrier_address() - what was dialled, once the status is ERR_OK */
const struct address *carrier_address(const struct carrier *c);
/** carrier_protocol() - "http/1.1" or "h2", once the status is ERR_OK; static. For the record. */
const char *carrier_protocol(const struct carrier *c);

/** carrier_send_head() - once, first; @h as it is to be sent, with its credential
 * Return: ERR_OK (it is on its way, together with what follows), ERR_UPGRADE_REFUSED (a WebSocket, and the
 * upstream does not take those this way), ERR_HEAD_*, ERR_MEMORY */
must_use enum err carrier_send_head(struct carrier *c, const struct head *h);
/** carrier_send() - body; also pushes on what waits, so it is called when `changed` tells
 * @last:  with all of @bytes the body ends, without trailers
 * *ret_n: bytes of the front that were taken, maybe 0; @last counts when all were
 * Return: ERR_OK; ERR_UPSTREAM_CLOSED, ERR_UPSTREAM_TLS: no more is taken, though an answer may still
 * come; ERR_MEMORY */
must_use enum err carrier_send(struct carrier *c, struct str bytes, bool last, size_t *ret_n);
/** carrier_send_trailers() - the end of a streamed body, with these. As carrier_send(), and ERR_HEAD_* */
must_use enum err carrier_send_trailers(struct carrier *c, const struct head *trailers);
/** carrier_sent() - is all that was taken with the upstream's socket? */
bool carrier_sent(const struct carrier *c);

/** carrier_next() - the next event
 * Return: ERR_OK; ERR_MORE; ERR_UPSTREAM_MALFORMED, ERR_UPSTREAM_CLOSED, ERR_UPSTREAM_TLS, ERR_MEMORY,
 * for which carrier_reason() may have words. After END it is not called again. */
must_use enum err carrier_next(struct carrier *c, struct carrier_event *ret);
/** carrier_taken() - the first @n bytes of the DATA are used up */
void carrier_taken(struct carrier *c, size_t n);
/** carrier_again() - after a failure, before any event */
enum carrier_again carrier_again(const struct carrier *c);
/** carrier_release() - the owner is done; @clean: the request was sent and the answer was taken, both to
 *  the end. Otherwise the exchange is called off, as far as the format knows how. */
void carrier_release(struct carrier *c, bool clean);
