/* proxy_head.h - what a client of an explicit proxy says of the way: CONNECT, and who it is
 *
 * Pure codec, strict as http1.h. A head was measured by http1_head_end().
 * Source: RFC 9110 s9.3.6, s11.7; RFC 9112 s3.2.2, s3.2.3; RFC 7617.
 */
#pragma once

#include "wire/http1.h"

#define PROXY_TOKEN_MAX 512

struct proxy_head {
	bool connect;			/* a CONNECT; else an ordinary request in absolute form */
	char host[HEAD_HOST_MAX + 1];	/* canonical */
	uint16_t port;
	struct str token;		/* of Proxy-Authorization (Bearer, or Basic's password); empty: none; points
					   into the head's bytes or the storage */
};

/** proxy_head_parse() - where the request of this whole head is to go
 * @storage: cleared, then may hold the token; limit >= PROXY_TOKEN_MAX
 * A CONNECT has an authority with a port as its target, which Host, if there is one, must repeat, and no
 * body. For other requests only target, host and Proxy-Authorization are read: http1_parse_request() judges
 * the rest.
 * Return: ERR_OK; ERR_HEAD_MALFORMED (also a target in origin form: this is a proxy), ERR_HEAD_VERSION,
 * ERR_BODY_FRAMING, ERR_NAME_MISMATCH, ERR_PROTOCOL_UNKNOWN
 * (absolute form of another scheme than http), ERR_MEMORY */
must_use enum err proxy_head_parse(struct str bytes, struct buf *storage, struct proxy_head *ret);
