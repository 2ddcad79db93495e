/* keeper_ops.h - what the keeper makes of a source's text, by op; the answers are in keeper.h's table
 *
 * Each: @text is the source's, @asked the request's text, which is judged here: the courier made it, but
 * might be captured. @out is secret memory, empty. *ret_reason: for the log, static text, written on failure.
 * Return: ERR_OK; ERR_INPUT: such a thing may not be asked; ERR_CREDENTIAL: the source is not what it should
 * be; ERR_LOCAL, ERR_MEMORY; buf_err(@out).
 */
#pragma once

#include "credential/keeper_config.h"

#include <sys/types.h>
#include <time.h>

/** keeper_op_sigv4() - AWS access keys: an INI file's profile, what a credential_process prints, or
 *  "ID:SECRET" or "ID:SECRET:TOKEN". Signs strings of AWS4-HMAC-SHA256
 *  (-PAYLOAD, -TRAILER) for the services and regions that the credential names. */
must_use enum err keeper_op_sigv4(const struct keeper_credential *c, struct str text, struct str asked,
				  struct buf *out, const char **ret_reason);
/** keeper_op_account(), keeper_op_jwt() - a GCP service account's JSON, or a PEM private key: RSA of at least
 *  2048 bits (RS256) or P-256 (ES256). An assertion is signed if its header's "alg" is the key's,
 *  its "iss" the credential's issuer, and its life at most KEEPER_JWT_LIFE_S and not over. */
#define KEEPER_JWT_LIFE_S 3600
#define KEEPER_JWT_SKEW_S 300
must_use enum err keeper_op_account(const struct keeper_credential *c, struct str text, struct buf *out,
				    const char **ret_reason);
must_use enum err keeper_op_jwt(const struct keeper_credential *c, struct str text, struct str asked,
				struct buf *out, const char **ret_reason);
/** keeper_op_certificate() - PEM with at least one certificate and the first one's private key */
must_use enum err keeper_op_certificate(struct str text, struct buf *out, const char **ret_reason);
/** keeper_op_login() - the login file of Claude Code or Codex */
must_use enum err keeper_op_login(const struct keeper_credential *c, struct str text, struct buf *out,
				  const char **ret_reason);
/** keeper_op_replace() - the file with what a refresh gave; see keeper_login.c */
must_use enum err keeper_op_replace(const struct keeper_credential *c, struct str asked, struct buf *out,
				    const char **ret_reason);

/** struct keeper_lease - the right to refresh what is in a file; { .directory = -1, .lock = -1 }: none */
struct keeper_lease {
	int directory, lock;
	const char *made;		/* name of the directory that is the lock; NULL: `lock` is */
	ino_t inode;			/* that one, and since when: who found it stale has made another */
	struct timespec since;
};
/** keeper_op_lease() - takes it, without waiting, and appends
 * "taken" or "busy" and the fields of REPLACE's reply */
must_use enum err keeper_op_lease(const struct keeper_credential *c, struct keeper_lease *lease,
				  struct buf *out, const char **ret_reason);
/** keeper_lease_leave() - idempotent */
void keeper_lease_leave(struct keeper_lease *lease);

/** keeper_text_expires_s() - until when a command's output is good, since 1970: what
 *  it says itself ("Expiration" of a credential_process), or an hour after @now_s */
uint64_t keeper_text_expires_s(const struct keeper_credential *c, struct str text, uint64_t now_s);
