/* keeper.h - what the courier may ask of paddock-keeper, over one SOCK_SEQPACKET pair
 *
 * The keeper holds the sandbox's CA key and the installation's checkpoint key, and runs
 * credential sources. It reads no byte of guest or upstream: requests have a fixed size and
 * carry a host name, a public key, a digest to sign, or a credential's index; nothing else.
 *
 *   request  offset size  field
 *            0      4     op (enum keeper_op)
 *            4      4     credential index (SECRET), else 0
 *            8      4     bytes of `text`
 *            12     4     sequence: the asker's number, returned with the answer
 *            16     65    P-256 point (LEAF), else 0
 *            81     3     0
 *            84     512   text: canonical host (LEAF); note body (SIGN); else 0
 *   reply    0      4     enum err
 *            4      4     bytes of `data`
 *            8      4     sequence of the request
 *            12     ...   data, 0..KEEPER_DATA_MAX bytes: DER certificate, 64-byte signature, secret
 *
 * Integers are in the host's order: both ends are on one host, from one build.
 */
#pragma once

#include "base/buf.h"
#include "base/secret.h"

#define KEEPER_TEXT_MAX 512
#define KEEPER_DATA_MAX SECRET_MAX_BYTES
#define KEEPER_POINT_BYTES 65
#define KEEPER_SIGNATURE_BYTES 64

enum keeper_op { KEEPER_LEAF = 1, KEEPER_SIGN = 2, KEEPER_SECRET = 3 };

struct keeper_request {
	uint32_t op, credential, text_bytes, sequence;
	uint8_t point[KEEPER_POINT_BYTES], pad[3];
	char text[KEEPER_TEXT_MAX];
};
_Static_assert(sizeof(struct keeper_request) == 596, "the table above");

struct keeper_reply {
	uint32_t result, data_bytes, sequence;
	uint8_t data[KEEPER_DATA_MAX];
};
#define KEEPER_REPLY_HEAD offsetof(struct keeper_reply, data)

/** keeper_leaf(), keeper_sign(), keeper_secret() - the courier's side: one request, one reply,
 *  at most @timeout_ms; synchronous (leafs are cached by the courier, signatures are per
 *  checkpoint, secrets are cached until told otherwise). After a timeout the next request
 *  is fine: an answer that comes too late is dropped by its sequence.
 * Return: ERR_OK; ERR_CREDENTIAL (source failed; the keeper's log says why), ERR_TIMEOUT,
 * ERR_CLOSED, ERR_INPUT (refused: host, key or body is not what this sandbox may have),
 * ERR_LOCAL, ERR_MEMORY */
must_use enum err keeper_leaf(int fd, struct str host, const uint8_t point[65], uint64_t timeout_ms,
			      struct buf *ret_der);
must_use enum err keeper_sign(int fd, struct str body, uint64_t timeout_ms, uint8_t ret_signature[64]);
must_use enum err keeper_secret(int fd, uint32_t credential, uint64_t timeout_ms,
				struct secret **ret_secret);
