/* upstream.h - the client's side of TLS towards an upstream, on memory
 *
 * No socket here: ciphertext goes in by upstream_tls_input() and out by upstream_tls_output().
 * Nothing passes before the chain and the name of the upstream's certificate are verified.
 */
#pragma once

#include "base/buf.h"
#include "wire/head.h"

struct upstream_tls_context;	/* trust store and settings: made once, before confinement */
struct upstream_tls;		/* one connection */

#define UPSTREAM_TLS_CHUNK 16384	/* most ciphertext of one upstream_tls_input() */
#define UPSTREAM_TLS_WRITE 65536	/* most plaintext that one write takes */

/** upstream_tls_context_new() - the system's CA bundle, and the CAs in @extra_pem (may be empty)
 * *ret_system_ca: was a bundle of the system found?
 * Return: ERR_OK; ERR_INPUT (@extra_pem holds no certificate or a malformed one), ERR_MEMORY */
must_use enum err upstream_tls_context_new(struct str extra_pem, struct upstream_tls_context **ret,
					   bool *ret_system_ca);
void upstream_tls_context_free(struct upstream_tls_context *c);

struct upstream_tls_options {
	struct str host;		/* a canonical name or address literal */
	bool http1_only;		/* offer http/1.1 alone; else h2 as well */
	struct str certificate;		/* PEM: a client certificate, maybe with
					   its chain, and the key; or empty */
};
/** upstream_tls_new() - a connection to o->host; nothing of @o is kept. The last few client certificates are
 *  kept parsed by the context: a PEM that it has seen costs nothing.
 * Return: ERR_OK; ERR_INPUT (host not canonical), ERR_CREDENTIAL (the PEM cannot be used), ERR_MEMORY */
must_use enum err upstream_tls_new(struct upstream_tls_context *c, const struct upstream_tls_options *o,
				   struct upstream_tls **ret);
void upstream_tls_free(struct upstream_tls *t);

/** upstream_tls_room() - where ciphertext from the upstream may be received, only when handshake or read said
 *  ERR_MORE; upstream_tls_received(): @n bytes are there. NULL without memory. */
char *upstream_tls_room(struct upstream_tls *t, size_t *ret_n);
void upstream_tls_received(struct upstream_tls *t, size_t n);
/** upstream_tls_input() - the same, for bytes that are somewhere else; at most UPSTREAM_TLS_CHUNK bytes.
 *  ERR_LIMIT, ERR_MEMORY */
must_use enum err upstream_tls_input(struct upstream_tls *t, struct str ciphertext);
/** upstream_tls_output() - ciphertext to write now, maybe empty; _sent(): @n of it are written */
struct str upstream_tls_output(const struct upstream_tls *t);
void upstream_tls_sent(struct upstream_tls *t, size_t n);

/** upstream_tls_handshake() - ERR_OK when it is done and the certificate verified; ERR_MORE: input
 *  is needed (after the output is written); ERR_UPSTREAM_TLS, for which upstream_tls_reason() has
 *  words; ERR_MEMORY */
must_use enum err upstream_tls_handshake(struct upstream_tls *t);
/** upstream_tls_http2() - did the upstream choose h2? After the handshake. */
bool upstream_tls_http2(const struct upstream_tls *t);
/** upstream_tls_no_protocol() - did the handshake fail
 * because the upstream speaks none of what was offered? */
bool upstream_tls_no_protocol(const struct upstream_tls *t);
/** upstream_tls_read() - up to @n bytes of plaintext; ERR_OK with *ret_n > 0; ERR_MORE: input is
 *  needed; ERR_CLOSED: the upstream said close_notify; ERR_UPSTREAM_TLS */
must_use enum err upstream_tls_read(struct upstream_tls *t, char *p, size_t n, size_t *ret_n);
/** upstream_tls_write() - takes the front of @plain; ERR_MORE while earlier output is not written */
must_use enum err upstream_tls_write(struct upstream_tls *t, struct str plain, size_t *ret_n);
/** upstream_tls_pending() - has something come that no read has taken yet? */
bool upstream_tls_pending(const struct upstream_tls *t);
/** upstream_tls_reason() - why the handshake failed; static or owned by @t, never a peer's bytes */
const char *upstream_tls_reason(const struct upstream_tls *t);
