/* relay.h - the bodies of one exchange, both ways, searched as they pass */
#pragma once

#include "courier/exchange.h"

void relay_init(struct exchange *x);
/** relay_free() - also gives the credit back of what was received and not used */
void relay_free(struct exchange *x);
/** relay_again() - forgets an attempt of which nothing was answered, for another one */
void relay_again(struct exchange *x);

/** relay_admitted() - the head is known: is there a body to wait for? */
void relay_admitted(struct exchange *x);
/** relay_receive() - the inspector's next bytes of body. ERR_LINK_STATE before a HEAD,
 *  ERR_BODY_FRAMING, ERR_BODY_TOO_LARGE, ERR_LIMIT, ERR_PLACEHOLDER_BLOCKED (x->foreign names whose), ERR_MEMORY */
must_use enum err relay_receive(struct exchange *x, struct str bytes);
/** relay_receive_end() - the request is whole; ERR_BODY_FRAMING if it is not as long as it said */
must_use enum err relay_receive_end(struct exchange *x);

/** relay_up() - writes what the upstream takes: STEP_WAIT, or STEP_END on failure */
enum step relay_up(struct exchange *x);
/** relay_down() - passes the answer on: STEP_WAIT; STEP_NEXT when all of it, and END, is on the
 *  link; STEP_END on failure */
enum step relay_down(struct exchange *x);
