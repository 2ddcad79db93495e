/* client_hello.h - the name that a TLS client asks for, read without opening anything
 *
 * For connections that pass unopened: pure codec over the first bytes of the client's, strict in what it has
 * to read and indifferent to the rest. Source: RFC 8446 s4.1.2, s5.1; RFC 6066 s3; draft-ietf-tls-esni-18 s5.
 */
#pragma once

#include "wire/head.h"

#define CLIENT_HELLO_MAX (16u * 1024)	/* with its record headers; post-quantum key shares are some 2 KiB */

struct client_hello {
	char host[HEAD_HOST_MAX + 1];	/* canonical; empty: no server_name */
	bool encrypted;			/* an encrypted_client_hello extension:
					   this name may not be the one meant */
};

/** client_hello_parse() - @bytes from the start of the connection
 * @storage: cleared, then holds the handshake message without record headers; limit >= CLIENT_HELLO_MAX
 * Return: ERR_OK; ERR_MORE; ERR_TLS (not a ClientHello, malformed, longer than CLIENT_HELLO_MAX, a name that
 * is not canonical, an extension twice); ERR_MEMORY */
must_use enum err client_hello_parse(struct str bytes, struct buf *storage, struct client_hello *ret);
