/* relay.h - the bodies of one exchange, both ways, searched as they pass
 *
 * Up is relay_up.c, down is relay_down.c; what an answer's body passes through is chosen in answer.c. The
 * wire format is the carrier's business.
 */
#pragma once

#include "courier/exchange.h"

void relay_init(struct exchange *x);
/** relay_free() - also gives the credit back of what was received and not used */
void relay_free(struct exchange *x);
/** relay_stop() - nothing more of the bodies is asked of a decoder, or taken from one */
void relay_stop(struct exchange *x);
/** relay_again() - may the attempt, of which nothing was answered, be made once more? Forgets it if so;
 *  false if a part of the body is gone. */
bool relay_again(struct exchange *x);

/** relay_admitted() - the head is known: is there a body to wait for? */
void relay_admitted(struct exchange *x);
/** relay_receive() - the inspector's next bytes of body. ERR_LINK_STATE before a HEAD,
 *  ERR_BODY_FRAMING, ERR_BODY_TOO_LARGE, ERR_LIMIT,
 *  ERR_PLACEHOLDER_BLOCKED (x->foreign names whose), ERR_MEMORY */
must_use enum err relay_receive(struct exchange *x, struct str bytes);
/** relay_receive_trailers() - a HEAD after the body. ERR_HEAD_MALFORMED, ERR_BODY_FRAMING (not announced),
 *  ERR_PLACEHOLDER_BLOCKED, ERR_POLICY_DENIED (a field that policy looks for in heads), ERR_MEMORY */
must_use enum err relay_receive_trailers(struct exchange *x, struct str message);
/** relay_receive_end() - the request is whole; ERR_BODY_FRAMING if it is not as long as it said */
must_use enum err relay_receive_end(struct exchange *x);

/** relay_recount() - how much of the body may go, when something else was searched */
void relay_recount(struct exchange *x);

/* For those who must see the body before the request is sent (examine, credential): */
/** relay_body() - what is here of the body, from its beginning; x->up.complete: that is all. Valid until the
 *  next frame, and only before relay_up(). */
struct str relay_body(const struct exchange *x);
/** relay_collect() - up to @max bytes of body are waited for, whatever the link's window: a
 *  longer body ends the exchange (ERR_BODY_TOO_LARGE). Idempotent; the largest @max counts. */
void relay_collect(struct exchange *x, size_t max);
/** relay_replace_body() - all of the body is here, and this goes instead of it;
 *  takes @body, which may be secret. The head that is sent then has its length. */
void relay_replace_body(struct exchange *x, struct buf *body);

/** relay_up() - writes what the upstream takes: STEP_WAIT, or STEP_END on failure */
enum step relay_up(struct exchange *x);
/** relay_down() - passes the answer on: STEP_WAIT; STEP_NEXT when all of it, and END, is on the
 *  link; STEP_END on failure */
enum step relay_down(struct exchange *x);

/* For filters (exchange.h), from within their functions
 * or from the loop, followed by exchange_run() there: */
/** relay_pass() - bytes for the agent; searched for secrets here unless @searched. ERR_SECRET_REFLECTED,
 *  ERR_BODY_TOO_LARGE, ERR_MEMORY */
must_use enum err relay_pass(struct exchange *x, struct str bytes, bool searched);
/** relay_search() - bytes that are only searched: the plain form of what passes in another one */
must_use enum err relay_search(struct exchange *x, struct str bytes);
/** relay_count() - @n bytes of the answer passed: ERR_BODY_TOO_LARGE, ERR_LIMIT */
must_use enum err relay_count(struct exchange *x, size_t n);
/** relay_reveals() - does @bytes, which stands alone, hold a secret? */
bool relay_reveals(struct exchange *x, struct str bytes);
/** relay_keep() - @n bytes more wait in memory, on behalf
 * of @x; ERR_LIMIT: too many do (and count all the same) */
must_use enum err relay_keep(struct exchange *x, size_t n);
void relay_unkeep(struct exchange *x, size_t n);
/** relay_drop() - the first @n bytes of the request's body are used up */
void relay_drop(struct exchange *x, size_t n);
/** relay_pending() - bytes that were passed and are not on the link yet: who finds many waits */
size_t relay_pending(const struct exchange *x);

/* relay_websocket.c: instead of the two, once the answer granted a WebSocket */
/** relay_websocket_offered() - is the subprotocol of @answer, if there is one, among those asked for? */
bool relay_websocket_offered(const struct exchange *x, const struct head *answer);
/** relay_websocket_begin() - ERR_LIMIT, ERR_MEMORY */
must_use enum err relay_websocket_begin(struct exchange *x);
/** relay_websocket() - as relay_down(): STEP_NEXT when both sides are done */
enum step relay_websocket(struct exchange *x);
/** relay_websocket_journal() - members of the outcome, if it became one */
void relay_websocket_journal(const struct exchange *x, struct record *r);
void relay_websocket_free(struct relay_websocket *w);
