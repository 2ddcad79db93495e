/* detach.h - credentials that are taken away from a sandbox while it runs
 *
 * A credential that answers reflected too often (policy: detach_after), or that was revoked (vault_detach()),
 * is given to no request any more; exchanges that used it are ended and its connections closed, within a
 * tick. So they are, at once, by a reload after which they would not have it.
 */
#pragma once

#include "courier/exchange.h"

/** detach_begin() - @c->vault tells of what is detached from now on */
void detach_begin(struct courier *c);
/** detach_reflected() - @x's answer held the secret of the credential with
 *  vault_number() x->reflected: counted, and detached when it has happened often enough */
void detach_reflected(struct exchange *x);
/** detach_credential() - which of the policy's credentials was reflected; NULL: none, or not of this policy */
const struct policy_credential *detach_credential(const struct exchange *x);
/** detach_tick() - ends what uses a detached credential. May free exchanges. */
void detach_tick(struct courier *c);
/** detach_reloaded() - @c->snapshot is another one, after @before: exchanges whose credential that does
 *  not give them, or to other hosts or in another form, are ended; its idle connections are closed. May
 *  free exchanges. */
void detach_reloaded(struct courier *c, const struct policy *before);
