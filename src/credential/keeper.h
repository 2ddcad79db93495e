/* keeper.h - what the courier may ask of paddock-keeper, over one SOCK_SEQPACKET pair
 *
 * The keeper holds the sandbox's CA key, the installation's checkpoint key and every key that
 * signs, and runs credential sources. It reads no byte of guest or upstream but in the fields
 * below, each of which it checks; what a credential may be used for it takes from its own
 * configuration, not from who asks. Requests may be answered in another order than they came
 * in: a credential command takes its time, and nothing waits behind it.
 *
 *   request  offset size  field
 *            0      4     op (enum keeper_op)
 *            4      4     credential: its index in the policy of the run's start; else 0
 *            8      4     sequence: the asker's number, returned with the answer
 *            12     1     part (enum keeper_part): SECRET; else 0
 *            13     1     flags (KEEPER_AGAIN): SECRET, SIGV4, ACCOUNT, JWT, CERTIFICATE; else 0
 *            14     2     0
 *            16     ...   text, 0..KEEPER_TEXT_MAX bytes: to the packet's end
 *   reply    0      4     enum err
 *            4      4     sequence of the request
 *            8      ...   data, 0..KEEPER_DATA_MAX bytes: to the packet's end; none on failure
 *
 *   op           text                                       data of the reply
 *   LEAF         P-256 point, 65 bytes; canonical host      DER certificate
 *   SIGN         a checkpoint's note body                   Ed25519 signature, 64 bytes
 *   SECRET       KEEPER_STAMP_BYTES of an earlier reply,    a stamp; then the secret, or nothing
 *                or nothing                                 if the stamp is the one that was sent
 *   SIGV4        the string to sign, or nothing             access key id, session token (may be empty),
 *                                                           signature (64 hex digits; empty if nothing
 *                                                           was to be signed)
 *   ACCOUNT      nothing                                    algorithm ("RS256", "ES256"), client_email,
 *                                                           private_key_id, token_uri, project_id (of a
 *                                                           GCP service account; empty for a PEM key)
 *   JWT          signing input, base64url(header) "."       signature, base64url
 *                base64url(claims), <= KEEPER_JWT_MAX
 *   LOGIN        nothing                                    the fields of struct keeper_login
 *   REPLACE      SHA-256 of the refresh token that was      "replaced", or "other" if the file holds
 *                read (64 hex digits), access token,        another refresh token by now; then the
 *                refresh token, id token, expiry in ms      fields of struct keeper_login as they are
 *                since 1970 (the last three may be          in the file now (but the first two, for a
 *                empty: kept as they are)                   credential that is one refresh token: access
 *                                                           token empty, refresh token)
 *   CERTIFICATE  as SECRET's                                a stamp; then PEM: certificates and key, or
 *                                                           nothing if the stamp is the one that was sent
 *   LEASE        "take", before a refresh, until after its  "taken", or "busy" if another program or sandbox
 *                REPLACE; or "leave"                        refreshes this file now; then as REPLACE's. "left"
 *
 * From SIGV4 on several values in one text are each followed by a NUL. A field holds visible
 * ASCII and spaces (SIGV4: and newlines). Which credential takes which ops: keeper_use below.
 * Integers are in the host's order: both ends are on one host, from one build.
 */
#pragma once

#include "base/buf.h"
#include "base/secret.h"

#define KEEPER_TEXT_MAX 32768
#define KEEPER_DATA_MAX 32768
#define KEEPER_JWT_MAX 4096
#define KEEPER_POINT_BYTES 65
#define KEEPER_SIGNATURE_BYTES 64
#define KEEPER_STAMP_BYTES 8
#define KEEPER_CALLS_MAX 1024	/* that the keeper holds unanswered; more are ERR_LIMIT */

enum keeper_op {
	KEEPER_LEAF = 1, KEEPER_SIGN, KEEPER_SECRET, KEEPER_SIGV4, KEEPER_ACCOUNT, KEEPER_JWT, KEEPER_LOGIN,
	KEEPER_REPLACE, KEEPER_CERTIFICATE, KEEPER_LEASE, KEEPER_OP_END
};
/* the secrets of one credential: its source, and what the policy's token block names beside it */
enum keeper_part { KEEPER_PART_SOURCE, KEEPER_PART_CLIENT_SECRET, KEEPER_PART_ACTOR_TOKEN, KEEPER_PARTS };
/* the source is to be asked again, although what it gave is still kept (an upstream refused that);
 * files are looked at each time anyhow */
#define KEEPER_AGAIN 0x01

/* What a credential is for, from its strategy in the policy; it takes these ops and no others:
 *   SECRET       SECRET                      header, placeholder; token by client secret or token exchange
 *   REFRESH      SECRET, LEASE, REPLACE      token by a refresh token
 *   SIGV4        SIGV4                       the secret access key stays in the keeper
 *   JWT          ACCOUNT, JWT, and SECRET of the parts beside the source: the private key stays
 *   CLAUDE, CODEX  LOGIN, LEASE, REPLACE
 *   CERTIFICATE  CERTIFICATE */
enum keeper_use {
	KEEPER_USE_SECRET, KEEPER_USE_REFRESH, KEEPER_USE_SIGV4, KEEPER_USE_JWT, KEEPER_USE_CLAUDE,
	KEEPER_USE_CODEX, KEEPER_USE_CERTIFICATE, KEEPER_USES
};

/** keeper_use_name() - "secret", "refresh", "sigv4", "jwt", "claude", "codex", "certificate" */
const char *keeper_use_name(enum keeper_use use);

struct keeper_request {
	uint32_t op, credential, sequence;
	uint8_t part, flags, zero[2];
	char text[KEEPER_TEXT_MAX];
};
#define KEEPER_REQUEST_HEAD offsetof(struct keeper_request, text)
_Static_assert(KEEPER_REQUEST_HEAD == 16, "the table above");

struct keeper_reply {
	uint32_t result, sequence;
	uint8_t data[KEEPER_DATA_MAX];
};
#define KEEPER_REPLY_HEAD offsetof(struct keeper_reply, data)

/** struct keeper_login - an agent's own OAuth file in its parts; each is empty if the file has none.
 *  Codex's expiry is that of its access token, a JWT. Views. */
struct keeper_login {
	struct str access, refresh, id_token;
	struct str expires_ms;			/* since 1970, decimal */
	struct str account_id;			/* codex */
	struct str scopes, subscription;	/* claude: separated by spaces; subscriptionType */
};

/** keeper_fields() - takes @text apart, each part followed by a NUL, into exactly @count views
 * Return: false if there are more or fewer */
must_use bool keeper_fields(struct str text, struct str *ret, size_t count);
/** keeper_put_field() - appends @field and a NUL; a NUL in it fails @b (ERR_INPUT) */
void keeper_put_field(struct buf *b, struct str field);
/** keeper_login_fields(), keeper_put_login() - @text as struct keeper_login, and back */
must_use bool keeper_login_fields(struct str text, struct keeper_login *ret);
void keeper_put_login(struct buf *b, const struct keeper_login *login);
