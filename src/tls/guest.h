/* guest.h - the server's side of TLS towards the agent's clients, on memory
 *
 * No socket here: ciphertext goes in by guest_tls_input() and out by guest_tls_output(). The key is
 * made in this process and is worth nothing outside its sandbox (I1): the certificates for it are
 * signed elsewhere and given to guest_tls_put_leaf(). TLS 1.2 and 1.3; ALPN h2, http/1.1 or none; no
 * tickets, no resumption, no renegotiation, no early data.
 */
#pragma once

#include "base/buf.h"
#include "wire/head.h"

#define GUEST_TLS_POINT_BYTES 65	/* uncompressed P-256: 0x04, X, Y */
#define GUEST_TLS_CHUNK 16384		/* most ciphertext of one input, most plaintext of one write */
#define GUEST_TLS_LEAVES_MAX 1024	/* names with a certificate at hand; then the oldest goes */

struct guest_tls_context;	/* settings, key, leaves: one a process, made before confinement */
struct guest_tls;		/* one connection */

/** guest_tls_context_new() - makes the key. ERR_MEMORY (also if OpenSSL fails) */
must_use enum err guest_tls_context_new(struct guest_tls_context **ret);
void guest_tls_context_free(struct guest_tls_context *c);
/** guest_tls_public_key() - the point that leaves are to be signed for; GUEST_TLS_POINT_BYTES */
struct str guest_tls_public_key(const struct guest_tls_context *c);
/** guest_tls_put_leaf() - the certificate (DER) for @host, a canonical host
 * Return: ERR_OK; ERR_INPUT (not one certificate, or for another key); ERR_MEMORY */
must_use enum err guest_tls_put_leaf(struct guest_tls_context *c, struct str host, struct str der);
bool guest_tls_has_leaf(const struct guest_tls_context *c, struct str host);

/** guest_tls_new() - a connection, whose first byte is still to come. ERR_MEMORY */
must_use enum err guest_tls_new(struct guest_tls_context *c, struct guest_tls **ret);
void guest_tls_free(struct guest_tls *t);

/** guest_tls_input() - ciphertext, at most GUEST_TLS_CHUNK bytes a call, and only when handshake or
 *  read said ERR_MORE. ERR_LIMIT, ERR_MEMORY */
must_use enum err guest_tls_input(struct guest_tls *t, struct str ciphertext);
/** guest_tls_output() - ciphertext that waits to be sent; valid until the next call with @t */
struct str guest_tls_output(const struct guest_tls *t);
/** guest_tls_sent() - the first @n bytes of it are gone */
void guest_tls_sent(struct guest_tls *t, size_t n);

/** guest_tls_handshake() - as far as it goes
 * Return: ERR_OK: done. ERR_MORE: if guest_tls_asks(), the ClientHello was read and the caller is to
 * say guest_tls_accept() or guest_tls_refuse(), then to call again; otherwise input is needed.
 * ERR_TLS: failed, final; an alert may be in the output. */
must_use enum err guest_tls_handshake(struct guest_tls *t);
bool guest_tls_asks(const struct guest_tls *t);
/** guest_tls_server_name() - while it asks: the SNI as sent; empty if there was none */
struct str guest_tls_server_name(const struct guest_tls *t);
/** guest_tls_protocol() - after the handshake: what ALPN chose, "h2" or "http/1.1"; empty if nothing was
 * offered */
struct str guest_tls_protocol(const struct guest_tls *t);
/** guest_tls_accept() - go on as @host, which has a leaf. ERR_INPUT (it has none), ERR_MEMORY */
must_use enum err guest_tls_accept(struct guest_tls *t, struct str host);
/** guest_tls_refuse() - end with an alert: ERR_NAME_MISMATCH unrecognized_name, ERR_POLICY_DENIED and
 *  ERR_ADDRESS_REFUSED access_denied, others internal_error. guest_tls_handshake() then says ERR_TLS. */
void guest_tls_refuse(struct guest_tls *t, enum err why);

/** guest_tls_read() - up to @n bytes of plaintext. ERR_OK with *ret_n > 0; ERR_MORE: input is needed;
 *  ERR_CLOSED: the client said close_notify; ERR_TLS: final */
must_use enum err guest_tls_read(struct guest_tls *t, char *p, size_t n, size_t *ret_n);
/** guest_tls_write() - @plain, at most GUEST_TLS_CHUNK bytes, becomes output,
 *  of which no more than 128 KiB may wait before. ERR_LIMIT, ERR_TLS (final) */
must_use enum err guest_tls_write(struct guest_tls *t, struct str plain);
/** guest_tls_close() - close_notify becomes output; idempotent */
void guest_tls_close(struct guest_tls *t);
