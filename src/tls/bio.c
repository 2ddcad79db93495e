/* bio.c - what an SSL reads and writes, as two byte queues                    (see bio.h)
 *
 * Theory of operation: a queue that is empty gives memory back if it has
 * more than a little, so that a connection that rests costs next to nothing.
 */
#include "tls/bio.h"

#define RESTING_BYTES 4096

static void rest(struct queue *q)
{
	if (queue_bytes(q).n == 0 && q->cap > RESTING_BYTES)
		queue_free(q);
}

static int bio_write(BIO *bio, const char *p, int n)
{
	struct tls_bio *b = BIO_get_data(bio);
	size_t waiting = queue_bytes(&b->out).n;

	if (n <= 0)
		return 0;
	b->full |= waiting > b->out_max || (size_t)n > b->out_max - waiting || !queue_reserve(&b->out, (size_t)n);
	if (b->full)
		return -1;
	queue_put(&b->out, str_make(p, (size_t)n));
	return n;
}

static int bio_read(BIO *bio, char *p, int n)
{
	struct tls_bio *b = BIO_get_data(bio);
	struct str there = queue_bytes(&b->in);

	BIO_clear_retry_flags(bio);
	if (n <= 0)
		return 0;
	if (there.n == 0) {
		BIO_set_retry_read(bio);
		return -1;
	}
	there = str_head(there, (size_t)n);
	memcpy(p, there.p, there.n);
	queue_take(&b->in, there.n);
	rest(&b->in);
	return (int)there.n;
}

static long bio_control(BIO *bio, int command, long number, void *pointer)
{
	(void)bio, (void)number, (void)pointer;
	return command == BIO_CTRL_FLUSH;
}

BIO_METHOD *tls_bio_method(void)
{
	BIO_METHOD *m = BIO_meth_new(BIO_TYPE_SOURCE_SINK | BIO_get_new_index(), "paddock");

	if (m && BIO_meth_set_write(m, bio_write) == 1 && BIO_meth_set_read(m, bio_read) == 1 &&
	    BIO_meth_set_ctrl(m, bio_control) == 1)
		return m;
	BIO_meth_free(m);
	return NULL;
}

bool tls_bio_attach(SSL *ssl, BIO_METHOD *m, struct tls_bio *b)
{
	BIO *bio = BIO_new(m);

	if (!bio)
		return false;
	BIO_set_data(bio, b);
	BIO_set_init(bio, 1);
	SSL_set_bio(ssl, bio, bio);
	return true;
}

void tls_bio_sent(struct tls_bio *b, size_t n)
{
	queue_take(&b->out, n);
	rest(&b->out);
}

void tls_bio_free(struct tls_bio *b)
{
	queue_free(&b->in);
	queue_free(&b->out);
}
