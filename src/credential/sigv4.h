/* sigv4.h - AWS Signature Version 4: what an agent has
 * signed with worthless keys, made ready to be signed anew
 *
 * Pure: no I/O, no key. The agent's client signs with the placeholder keys of its credentials file; here its
 * signature is read (which key, when, which region and service, header or presigned query), the request as it
 * will be sent is brought to canonical form, and a signature that the keeper made is put where the agent's
 * was. Not spoken: Signature Version 2, SigV4A (ECDSA), signed event streams: refused, with words.
 * Source: AWS, "Create a signed AWS API request"; for S3,
 * "Authenticating Requests (AWS Signature Version 4)".
 */
#pragma once

#include "base/buf.h"
#include "policy/policy.h"
#include "wire/head.h"

#define SIGV4_SKEW_S 900			/* how far a signature's time may be from ours; AWS takes no more */
#define SIGV4_EXPIRES_MAX_S 604800		/* of a presigned request */
#define SIGV4_NAME_MAX 64			/* region, service */
#define SIGV4_KEY_ID_MAX 512			/* a placeholder may stand there */
#define SIGV4_CANONICAL_MAX (4 * HEAD_MAX_BYTES)
#define SIGV4_SIGNATURE_BYTES 64		/* hex digits */

enum sigv4_form { SIGV4_UNSIGNED, SIGV4_HEADER, SIGV4_QUERY };
enum sigv4_payload {
	SIGV4_OF_BODY,		/* the hash of the body that is sent has to be taken */
	SIGV4_STATED,		/* x-amz-content-sha256 says it, and stays: a hash, or words for none */
	SIGV4_CHUNKED,		/* aws-chunked, each chunk signed with a key that is nobody's: the body is to
				   be decoded, and goes unsigned */
};

/** struct sigv4 - a signature of the agent's; views into its head, or into `storage` */
struct sigv4 {
	enum sigv4_form form;
	enum sigv4_payload payload;
	struct str key_id, region, service, signed_headers;
	char time[17];				/* "20150830T123600Z" and NUL */
	uint64_t at_s, expires_s;		/* since 1970; presigned: how long it is good */
	uint64_t decoded_length;		/* CHUNKED: bytes of the payload */
	struct buf storage;			/* sigv4_free() */
};
void sigv4_free(struct sigv4 *s);

/** sigv4_parse() - what @h is signed with
 * @ret:        form UNSIGNED if it bears no AWS signature; sigv4_free() it on ERR_OK
 * @ret_reason: static words on failure
 * Return: ERR_OK; ERR_HEAD_MALFORMED (a signature that cannot be read, or of a kind that is not spoken);
 * ERR_MEMORY */
must_use enum err sigv4_parse(const struct head *h, struct sigv4 *ret, const char **ret_reason);
/** sigv4_check() - may @c sign what @s asks for, now? Its services and regions, https, the time.
 * Return: ERR_OK; ERR_POLICY_DENIED (service, region), ERR_HEAD_MALFORMED (time), ERR_CREDENTIAL (http) */
must_use enum err sigv4_check(const struct sigv4 *s, const struct policy_credential *c, const struct head *h,
			      uint64_t now_s, const char **ret_reason);

/** sigv4_prepare() - @in without the agent's signature, with our key's name: what is to be signed
 * @token: session token, or empty
 * @out:   as attach_apply()'s, empty; the views of *ret_head that are not @in's are in it
 * A CHUNKED body becomes one of decoded_length bytes, UNSIGNED-PAYLOAD.
 * Return: ERR_OK; ERR_HEAD_TOO_LARGE; ERR_CREDENTIAL (@key_id, @token cannot stand there); ERR_MEMORY */
must_use enum err sigv4_prepare(const struct sigv4 *s, const struct head *in, struct str key_id,
				struct str token, struct buf *out, struct head *ret_head);
/** sigv4_payload_hash() - appends what stands for the payload in the canonical request of a prepared head:
 *  what x-amz-content-sha256 says, UNSIGNED-PAYLOAD for a presigned S3 request, or the SHA-256 of @body */
must_use enum err sigv4_payload_hash(const struct sigv4 *s, const struct head *prepared, struct str body,
				     struct buf *out);
/** sigv4_canonical() - appends the canonical request of a prepared head
 * Return: ERR_OK; ERR_HEAD_TOO_LARGE; buf_err(out) */
must_use enum err sigv4_canonical(const struct sigv4 *s, const struct head *prepared, struct str payload_hash,
				  struct buf *out);
/** sigv4_string_to_sign() - appends it; under KEEPER_TEXT_MAX bytes */
must_use enum err sigv4_string_to_sign(const struct sigv4 *s, struct str canonical, struct buf *out);
/** sigv4_finish() - puts @signature (hex) into a prepared
 * head; @out as of sigv4_prepare(), which it extends */
must_use enum err sigv4_finish(const struct sigv4 *s, struct str key_id, struct str signature,
			       struct buf *out, struct head *head);

/** sigv4_put_path(), sigv4_put_query() - canonical forms, appended. S3 decodes a path and encodes it once;
 *  all others encode what is sent, once more. A query: decoded, encoded, sorted, without X-Amz-Signature. */
void sigv4_put_path(struct str path, bool s3, struct buf *out);
must_use enum err sigv4_put_query(struct str query, struct buf *out);
