/* bio.h - what an SSL reads and writes, as two byte queues
 *
 * OpenSSL's own memory BIO hands its bytes out by copying them; from here they can be sent where they stand.
 */
#pragma once

#include "wire/queue.h"

#define ERR_STATE OPENSSL_ERR_STATE	/* OpenSSL has a type of that name, which nobody needs */
#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#undef ERR_STATE

struct tls_bio {
	struct queue in, out;	/* ciphertext of the peer's, and for it */
	size_t out_max;		/* a write past that fails, and sets */
	bool full;		/* that; without memory too */
};

/** tls_bio_method() - for tls_bio_attach(), one a process; NULL without memory. BIO_meth_free() ends it. */
BIO_METHOD *tls_bio_method(void);
/** tls_bio_attach() - @ssl reads from and writes to @b, which outlives it. False without memory. */
bool tls_bio_attach(SSL *ssl, BIO_METHOD *m, struct tls_bio *b);
/** tls_bio_sent() - the first @n bytes of b->out are gone */
void tls_bio_sent(struct tls_bio *b, size_t n);
void tls_bio_free(struct tls_bio *b);
/** tls_bio_dry() - has @ssl, whose handshake is done, nothing to read? SSL_read() would say so too, but
 *  only after it took memory for a whole record. */
static inline bool tls_bio_dry(const struct tls_bio *b, const SSL *ssl)
{
	return queue_bytes(&b->in).n == 0 && !SSL_has_pending(ssl) &&
	       !(SSL_get_shutdown(ssl) & SSL_RECEIVED_SHUTDOWN);
}

/** tls_errors_clear() - as ERR_clear_error(), which touches all of the queue also when it is empty */
static inline void tls_errors_clear(void)
{
	if (ERR_peek_error())
		ERR_clear_error();
}
