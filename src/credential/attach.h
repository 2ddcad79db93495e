/* attach.h - a credential into a canonical head, and what stands for it in the guest
 *
 * Pure functions: no I/O but getrandom(). Only the courier calls attach_apply(); the
 * supervisor makes the placeholders.
 */
#pragma once

#include "base/buf.h"
#include "policy/policy.h"
#include "wire/head.h"

#define ATTACH_BYTES_MAX HEAD_MAX_BYTES		/* all values that carry a secret, of one head */
#define CREDENTIAL_SECRET_MIN 16		/* shorter only with "scrub: false" */
#define CREDENTIAL_PLACEHOLDER_MIN 8		/* bytes of one that the policy fixes */
#define CREDENTIAL_PLACEHOLDER_RANDOM 40	/* letters and digits after the prefix */
#define CREDENTIAL_PLACEHOLDER_MAX 512

/** credential_allowed_host() - may @c ever go to @host (canonical)? By the credential's own
 *  list; whatever a rule says, the courier asks this too. */
bool credential_allowed_host(const struct policy_credential *c, struct str host);

/** credential_check_secret() - is @secret fit for use as @c? It must be at least
 *  CREDENTIAL_SECRET_MIN bytes (unless c->scrub is false), and what a field's value may hold.
 * @ret_reason:  static text for the operator ("it is shorter than 16 bytes ..."); untouched on ERR_OK
 * Return: ERR_OK or ERR_CREDENTIAL */
must_use enum err credential_check_secret(const struct policy_credential *c, struct str secret,
					  const char **ret_reason);

/** credential_placeholder() - appends to @out what stands for @c in the guest: the policy's
 *  own, or its prefix followed by CREDENTIAL_PLACEHOLDER_RANDOM random letters and digits
 *  (nothing that any encoding has to escape)
 * Return: ERR_OK; ERR_INPUT (a fixed one, or a prefix, of bad length or bytes); ERR_LOCAL; buf_err() */
must_use enum err credential_placeholder(const struct policy_credential *c, struct buf *out);

/** attach_apply() - makes the head that is sent from the one that was decided on
 * @secret:       passed credential_check_secret()
 * @placeholder:  this run's; may be empty for the header strategy. Strategy placeholder
 *                substitutes every place where it stands whole: in field values (POLICY_IN_HEADER),
 *                and as user name or password of "Basic" credentials in authorization
 *                (POLICY_IN_BASIC). Never in host, path, or query, nor in fields that are stored with
 *                an object or speak of the way (x-amz-meta-*, referer, ...).
 * @in:           canonical request head; unchanged
 * @out:          made by buf_init_secret(out, ATTACH_BYTES_MAX), empty; values that carry the
 *                secret live in it, so it must outlive *ret_head; the caller frees it, which wipes it
 * @ret_head:     its other views are those of @in. It passes head_check().
 * @ret_attached: false: nothing was substituted, *ret_head means the same as @in
 * Return: ERR_OK; ERR_HEAD_TOO_LARGE; ERR_CREDENTIAL (@secret, or the policy's format, cannot
 * stand in a field); ERR_MEMORY */
must_use enum err attach_apply(const struct policy_credential *c, struct str secret,
			       struct str placeholder, const struct head *in, struct buf *out,
			       struct head *ret_head, bool *ret_attached);
