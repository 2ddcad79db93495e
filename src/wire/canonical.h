/* canonical.h - the steps to a canonical request head that HTTP/1.1 and HTTP/2 have in common
 *
 * Both codecs end here, so that the same request gives the same head whichever way it came (I4). Pure; every
 * view that is made points into the caller's storage, whose room the caller has reserved: nothing moves.
 */
#pragma once

#include "wire/head.h"

/** canonical_port() - of the scheme */
uint16_t canonical_port(enum head_scheme scheme);
/** canonical_authority() - host, [IPv6], host:port or [IPv6]:port; no user information, no empty port
 * @port_default: where none is named; 0: one must be
 * Return: ERR_OK with the canonical host and the port, ERR_HEAD_MALFORMED */
must_use enum err canonical_authority(struct str s, uint16_t port_default, char ret_host[HEAD_HOST_MAX + 1],
				      uint16_t *ret_port);
/** canonical_target() - origin-form or "*" to h->path and h->query; head_check() judges what comes out
 * @storage: at most 3 * target.n more bytes. ERR_HEAD_TOO_LARGE, buf_err(storage) */
#define CANONICAL_TARGET_MAX (HEAD_PATH_MAX + HEAD_QUERY_MAX)
must_use enum err canonical_target(struct str target, struct buf *storage, struct head *h);
/** canonical_host() - h->host, and the host field in front of the others; h->port and h->scheme are there
 * @storage: at most CANONICAL_HOST_MAX more bytes. ERR_HEAD_TOO_LARGE, buf_err(storage) */
#define CANONICAL_HOST_MAX (2 * HEAD_HOST_MAX + 8)
must_use enum err canonical_host(struct head *h, const char *host, struct buf *storage);
/** canonical_cookies() - cookie fields become one, joined by "; " where the first stood (RFC 9113 s8.2.3)
 * @storage: at most the values' bytes and two for each more. buf_err(storage) */
must_use enum err canonical_cookies(struct head *h, struct buf *storage);
/** canonical_is_handshake() - is this field one of the WebSocket handshake's own, made anew by each hop? */
bool canonical_is_handshake(struct str lower_name);
