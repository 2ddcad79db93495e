/* binding.h - the credential of one exchange, from its source into the request as it is sent
 *
 * One interface for every strategy. The exchange starts a binding once it has decided and put its intent on
 * record, runs it until it is ready, dials with its pool number (and client certificate), and has it make the
 * head that is sent. What a source or a token endpoint takes long for never blocks another exchange.
 */
#pragma once

#include "courier/exchange.h"

struct binding;

/* of a body that must be whole before its head can be sent; all that wait: COURIER_BODIES_MAX */
#define BINDING_BODY_MAX (16u * 1024 * 1024)

/** binding_examine() - before the intent: what @x's request brings of its own where its credential
 * would stand May end x->credential (policy lets the agent's own pass: nothing is attached).
 * Return: STEP_NEXT, or what exchange_fail() returned
 * (ERR_CREDENTIAL_FOREIGN, ERR_HEAD_MALFORMED, ERR_POLICY_DENIED) */
must_use enum step binding_examine(struct exchange *x);
/** binding_foreign() - which placeholders may not stand
 *  in @x's body: that, as it comes, or as it is replaced;
 *  *ret as snapshot_foreign()'s */
must_use enum err binding_foreign(struct exchange *x, const struct scrub_set **ret);

/** binding_start() - for x->credential, which is not NULL. ERR_MEMORY */
must_use enum err binding_start(struct exchange *x, struct binding **ret);
void binding_free(struct binding *b);
/** binding_run() - makes it ready: asks the source, waits for what must be here of the body and replaces it,
 *  has it signed. Called again whenever the exchange runs; exchange_run() is called from the loop when it may
 *  have come further.
 * Return: ERR_OK: ready; ERR_MORE; else why not, with
 * words in *ret_reason that live as long as the courier */
must_use enum err binding_run(struct binding *b, const char **ret_reason);
/** binding_apply() - the head as it will be sent: @in, which is what exchange_plain_head() makes, with the
 *  credential in its place. Values live in @out (buf_init_secret(), ATTACH_BYTES_MAX).
 *  ERR_CREDENTIAL, ERR_HEAD_TOO_LARGE, ERR_PLACEHOLDER_BLOCKED (x->foreign names whose), ERR_MEMORY */
must_use enum err binding_apply(struct binding *b, const struct head *in, struct buf *out,
				struct head *ret_head);
/** binding_replaces_messages() - are placeholders in WebSocket text messages replaced? */
bool binding_replaces_messages(const struct binding *b);
/** binding_message() - a WebSocket text message with placeholders replaced, into @out (buf_init_secret());
 *  ERR_OK and *ret_changed; buf_err(out) */
must_use enum err binding_message(struct binding *b, struct str message, struct buf *out, bool *ret_changed);
/** binding_pool() - connections are shared only among exchanges of one number: it
 *  differs by credential and by each rotation of it; 0: those without a credential */
uint64_t binding_pool(const struct binding *b);
/** binding_certificate() - PEM of a client certificate and key for the upstream, or empty; borrowed */
struct str binding_certificate(const struct binding *b);
/** binding_generation() - of what went out, for the record; 0: it has none */
uint64_t binding_generation(const struct binding *b);
/** binding_refused() - the upstream answered with @status (4xx, 5xx): if that may
 *  be for the credential, the next request gets it anew from its source, once */
void binding_refused(struct binding *b, uint16_t status);

/** binding_is_local() - is @x's request one for the token endpoint of a credential
 *  of the policy's? Such a one is never relayed. True: x->credential is that one. */
bool binding_is_local(struct exchange *x);
/** binding_local_answer() - to such a request, once the binding is ready: placeholders, as JSON
 * Return: buf_err(body); ERR_CREDENTIAL if it has no placeholder */
must_use enum err binding_local_answer(struct binding *b, uint16_t *ret_status, struct buf *body);
