/* journal.h - what the courier puts on record of its own doing */
#pragma once

#include "courier/exchange.h"
#include "wire/websocket.h"

/** journal_start() - the first record. ERR_AUDIT */
must_use enum err journal_start(struct courier *c);
/** journal_stop() - the last record, for spool_close(); NULL without memory */
struct record *journal_stop(const struct courier *c, struct str result, int exit_code);
/** journal_reload() - @text: why it was refused, with @result */
void journal_reload(struct courier *c, enum err result, const char *digest, struct str text);
/** journal_limit() - a limit was reached */
void journal_limit(struct courier *c, const char *text);
/** journal_dns() - a name was asked for and judged. ERR_AUDIT: not stored, so the answer is no */
must_use enum err journal_dns(struct courier *c, const struct msg_connect *asked, bool verdict);
/** journal_claim() - what @peer says it saw */
void journal_claim(struct courier *c, enum courier_peer peer, const struct msg_claim *claim);
/** journal_dropped() - @count claims of @peer came too fast to be recorded one by one */
void journal_dropped(struct courier *c, enum courier_peer peer, uint64_t count);
/** journal_peer() - the name under which a peer's claims stand */
struct str journal_peer(enum courier_peer peer);

/** journal_intent() - before the first byte leaves; ERR_AUDIT: nothing may leave */
must_use enum err journal_intent(struct exchange *x);
/** journal_message() - a WebSocket message of the agent's, number @number, before it goes; or, with @allowed
 *  false, that it goes nowhere. ERR_AUDIT: it may not leave */
must_use enum err journal_message(struct exchange *x, uint64_t number, const struct websocket_message *m,
				  bool allowed);
/** journal_end() - the outcome of an exchange with an intent, the denial of one without */
void journal_end(struct exchange *x);
/** journal_url() - scheme://host[:port]path[?query] of the head */
void journal_url(const struct head *h, struct buf *out);
