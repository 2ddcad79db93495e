/* token.h - tokens that the courier gets for the agent: by a grant, or from an agent's own login
 *
 * One a credential and sandbox, whoever asks: kept until shortly before it expires, asked for once however
 * many wait, and not again at once after a failure. What it takes (secrets, signatures, a request to the
 * token endpoint) is asked for without blocking anybody.
 */
#pragma once

#include "courier/courier.h"

#define TOKEN_EARLY_S 60		/* before its end, or a tenth of its life, whichever is less, another is got */
#define TOKEN_LOGIN_EARLY_S 300		/* of a login's */
#define TOKEN_BACKOFF_MS 5000		/* after a failure, twice as long each time, until */
#define TOKEN_BACKOFF_MAX_MS 300000
#define TOKEN_OVER_S 5			/* one that is over when it comes serves so long: who waits for it gets it, and it
					   is not asked for again and again */
#define TOKEN_REFUSED_MS 30000		/* an upstream's 401 makes for another token once in this time */
#define TOKEN_REASON_BYTES 160

struct tokens;

/** tokens_new() - of @c; NULL without memory */
struct tokens *tokens_new(struct courier *c);
/** tokens_stop() - nothing is asked for any more: before the vault, the keeper's client and the spool go */
void tokens_stop(struct tokens *t);
void tokens_free(struct tokens *t);
/** tokens_spent() - is a refresh token of a file spent, and
 * its successor not there yet? Who ends now loses the login. */
bool tokens_spent(const struct tokens *t);
/** tokens_tick() - at least once a second */
void tokens_tick(struct tokens *t, uint64_t now_ms);

/** token_ask() - the present token of @c (strategy token or login), as the policy in force has it by that name
 * @parent: id of the request that it is for
 * @w, @changed, @user: as vault_ask(); end the wait with waiter_end()
 * *ret:    counted: vault_secret_release()
 * *ret_reason: words for the agent; they live as long as @t, or until the next failure
 * Return: ERR_OK; ERR_MORE; ERR_CREDENTIAL; ERR_MEMORY */
must_use enum err token_ask(struct tokens *t, const struct policy_credential *c, struct str parent,
			    struct waiter *w, void (*changed)(void *user), void *user,
			    const struct vault_secret **ret, const char **ret_reason);
/** token_refused() - an upstream answered 401 to @generation of @c's */
void token_refused(struct tokens *t, const struct policy_credential *c, uint64_t generation);
/** token_put_terms() - what @c's policy has its token be, as a text that differs
 *  if that does; nothing for other strategies. Failures are in buf_err(out). */
void token_put_terms(const struct policy_credential *c, struct buf *out);
