/* binding.h - the credential of one exchange, from its source into the request as it is sent
 *
 * One interface for every strategy. The exchange asks for a binding once it has decided, waits until it is
 * ready, dials with its pool number (and client certificate), applies it to the head, and lets it rewrite the
 * body or messages where the strategy says so. What a source or a token endpoint takes long for never blocks
 * another exchange.
 */
#pragma once

#include "courier/courier.h"

struct binding;
struct exchange;

/** binding_start() - begins to make @x's credential ready; @changed(x) is called, never from within a function
 *  of this header, when binding_status() may have changed. ERR_CREDENTIAL, ERR_MEMORY */
must_use enum err binding_start(struct exchange *x, void (*changed)(struct exchange *x), struct binding **ret);
void binding_free(struct binding *b);
/** binding_status() - ERR_OK: ready; ERR_MORE: not yet; else why not, with static words in *ret_reason */
must_use enum err binding_status(const struct binding *b, const char **ret_reason);
/** binding_needs_body() - must the whole body be here (bounded by BINDING_BODY_MAX) before the head can be
 *  sent? SigV4 over a payload, and substitution in a body of known length. */
bool binding_needs_body(const struct binding *b);
#define BINDING_BODY_MAX (1024u * 1024)
/** binding_body() - the body as it will be sent, made from all of @body; into secret memory */
must_use enum err binding_body(struct binding *b, struct str body, struct buf *out);
/** binding_apply() - the head as it will be sent: @in with the credential in its place. Values live in @out
 *  (buf_init_secret(), ATTACH_BYTES_MAX). @body: as it will be sent, for signatures; empty if it is streamed.
 *  *ret_attached: false: nothing was there to be substituted. ERR_CREDENTIAL, ERR_HEAD_TOO_LARGE, ERR_MEMORY */
must_use enum err binding_apply(struct binding *b, const struct head *in, struct str body, struct buf *out,
				struct head *ret_head, bool *ret_attached);
/** binding_message() - a WebSocket text message with placeholders replaced; ERR_OK and *ret_changed */
must_use enum err binding_message(struct binding *b, struct str message, struct buf *out, bool *ret_changed);
/** binding_pool() - connections are shared only among exchanges of one number: it differs by credential and by
 *  each rotation of it */
uint64_t binding_pool(const struct binding *b);
/** binding_certificate() - PEM of a client certificate and key for the upstream, or empty; borrowed */
struct str binding_certificate(const struct binding *b);
/** binding_local_answer() - some requests are answered here and never relayed (a token endpoint of a bound
 *  credential): true if @x is one; then *ret_status and @body (JSON) are the answer, once status is ERR_OK */
bool binding_local_answer(struct binding *b, uint16_t *ret_status, struct buf *body);
