/* attach.h - a credential into a canonical head or a body, and what stands for it in the guest
 *
 * Pure functions: no I/O but getrandom(). Only the courier calls attach_*(); the supervisor makes the
 * placeholders.
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
 *  CREDENTIAL_SECRET_MIN bytes (unless c->scrub is false), and, where it goes into a request as it is
 *  (strategies header and placeholder), what a field's value may hold.
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
 * @secret:       what goes out: the secret, or the token that was fetched for it
 * @placeholder:  this run's; may be empty for the strategies header and token
 *   header, token   one field, c->header_name, set whatever the agent had there; the placeholder alone in
 *                   another field that services take credentials from (x-api-key beside authorization) goes,
 *                   and whatever else is there if c->own is REPLACE
 *   login           the same field, but only where the agent sent one
 *   placeholder     every place of c->parts where it stands whole: in field values (POLICY_IN_HEADER: those of
 *                   c->placeholder_fields, or of all that are not stored with an object or speak of the way,
 *                   such as x-amz-meta-* or referer), as user name or password of "Basic" credentials in
 *                   authorization (POLICY_IN_BASIC), in the query (POLICY_IN_QUERY), and in the path
 *                   (POLICY_IN_PATH), where letters before it in its segment do not matter ("/bot<token>/").
 *                   Never in host or method. Rules match the path with the placeholder; what is sent differs
 *                   from it there and nowhere else.
 *   sigv4, certificate   nothing: see sigv4.h
 * @in:           canonical request head; unchanged
 * @out:          made by buf_init_secret(out, ATTACH_BYTES_MAX), empty; values that carry the
 *                secret live in it, so it must outlive *ret_head; the caller frees it, which wipes it
 * @ret_head:     its other views are those of @in. It passes head_check().
 * @ret_attached: false: nothing was substituted, *ret_head means the same as @in
 * Return: ERR_OK; ERR_HEAD_TOO_LARGE; ERR_CREDENTIAL (@secret, or the policy's format, cannot
 * stand there); ERR_MEMORY */
must_use enum err attach_apply(const struct policy_credential *c, struct str secret,
			       struct str placeholder, const struct head *in, struct buf *out,
			       struct head *ret_head, bool *ret_attached);

/** attach_sends_secret() - does what the strategy takes from the source, or gets with it, stand in a
 *  request so that an answer could give it away? Not with sigv4 (a signature, and a session token that
 *  signs nothing) and certificate. */
bool attach_sends_secret(const struct policy_credential *c);

/** enum attach_body - how a body of the agent's is read when a placeholder is to be replaced in it */
enum attach_body { ATTACH_BODY_NOT, ATTACH_BODY_JSON, ATTACH_BODY_FORM };
/** attach_body_kind() - by its content-type; NOT: nothing is replaced there (another type, an encoding, no
 *  POLICY_IN_BODY, no body), and a placeholder in it is one that stands where it may not */
enum attach_body attach_body_kind(const struct policy_credential *c, const struct head *h);
/** attach_text() - appends @text with each whole @placeholder replaced by @secret, escaped as @kind has it
 *  (JSON: also a WebSocket's text message, whatever it is). @out: made by buf_init_secret()
 * Return: ERR_OK and *ret_changed; buf_err(out) */
must_use enum err attach_text(enum attach_body kind, struct str secret, struct str placeholder,
			      struct str text, struct buf *out, bool *ret_changed);

/** enum attach_own - does a request bring a credential of its own where @c's would stand, or beside it? */
enum attach_own {
	ATTACH_OWN_NONE,	/* nothing there, or the placeholder */
	ATTACH_OWN_DUMMY,	/* something that is no secret: "x", "dummy", "none" */
	ATTACH_OWN_REAL,	/* 16 bytes or more that are not all alike, or 8 of letters and digits */
	ATTACH_OWN_BESIDE,	/* the like where ours would not stand, so that it cannot take its place */
};
/** attach_own() - looks where attach_apply() would put the secret: the header of strategies header, token
 *  and login; for placeholders authorization and its like (or c->placeholder_fields), the password of Basic,
 *  the parameters that services take keys from. Of strategy sigv4 it is for requests that are not signed (a
 *  signature names its key: sigv4.h), and all is beside it. Beside it: the others of those fields (of strategies header
 *  and token not if c->own is REPLACE: they go with attach_apply()) and parameters; with the placeholder in
 *  the head, all of them (none if c->own is PASS: the placeholder is replaced all the same)
 * @ret_own:  REAL, DUMMY: the credential, appended: made by buf_init_secret(own, ATTACH_OWN_MAX). With
 *            it as placeholder, attach_apply() replaces it. */
#define ATTACH_OWN_MAX HEAD_MAX_BYTES
enum attach_own attach_own(const struct policy_credential *c, struct str placeholder, const struct head *h,
			   struct buf *ret_own);
/** attach_judge() - what a text that stands where a credential would is */
enum attach_own attach_judge(struct str s);
