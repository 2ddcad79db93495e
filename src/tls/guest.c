/* guest.c - TLS towards the agent's clients
 *
 * Theory of operation: one SSL_CTX and one P-256 key serve every connection (making either per
 * connection costs more than a handshake). The ClientHello callback suspends the handshake: the
 * owner reads the server name, has a leaf signed if there is none at hand, and says accept or
 * refuse; only then does the handshake go on, or end with an alert that says why. Ciphertext stays
 * in queues (bio.h), whose growth the caller bounds: input comes in chunks and only when it is asked
 * for, output is sent before much more is written.
 *
 * Every byte from the client is hostile and is OpenSSL's to parse, but for the server name, which is
 * read here. No ticket is sent (a write of the server's after the handshake can deadlock clients
 * that do not read), so no session is resumed and every connection names itself.
 * Sources: RFC 8446; RFC 6066 s3; RFC 7301.
 */
#include "tls/guest.h"

#include "base/reader.h"
#include "tls/bio.h"

#define ERR_STATE OPENSSL_ERR_STATE	/* OpenSSL has a type of that name, which nobody needs */
#include <openssl/err.h>
#include <openssl/ssl.h>
#undef ERR_STATE
#include <stdlib.h>

#define OUTPUT_MAX ((size_t)256 * 1024)	/* what an owner lets wait, a flight of the handshake's, and room */

struct leaf {
	char host[HEAD_HOST_MAX + 1];
	uint64_t hash;
	X509 *certificate;
};

struct guest_tls_context {
	SSL_CTX *ctx;
	BIO_METHOD *method;
	EVP_PKEY *key;
	unsigned char *point;
	uint32_t leaf_count, oldest;
	struct leaf leaves[GUEST_TLS_LEAVES_MAX];
};

enum verdict { UNASKED, ASKED, ACCEPTED, REFUSED };

struct guest_tls {
	SSL *ssl;
	struct tls_bio bio;
	struct guest_tls_context *context;
	enum verdict verdict;
	int alert;
	bool failed, closed;
	size_t name_bytes;
	char name[HEAD_HOST_MAX + 2];	/* as sent; one too long is kept too long, and matches nothing */
};

/* RFC 6066: a list, of which only one host_name is ever sent. Anything else counts as no name that
 * could match (I4): a NUL byte, which no canonical host has. */
static void read_server_name(struct guest_tls *t, struct str extension)
{
	struct reader r = reader_of(extension);
	uint16_t list, bytes;
	uint8_t type;
	struct str name;

	t->name[0] = 0;
	t->name_bytes = 1;
	if (!reader_u16be(&r, &list) || list != reader_left(&r) || !reader_u8(&r, &type) || type != 0 ||
	    !reader_u16be(&r, &bytes) || bytes != reader_left(&r) || bytes == 0 || bytes > sizeof t->name ||
	    !reader_take(&r, bytes, &name))
		return;
	memcpy(t->name, name.p, name.n);
	t->name_bytes = name.n;
}

static int client_hello(SSL *ssl, int *alert, void *context)
{
	struct guest_tls *t = SSL_get_app_data(ssl);
	const unsigned char *extension;
	size_t n;

	(void)context;
	switch (t->verdict) {
	case UNASKED:
		if (SSL_client_hello_get0_ext(ssl, TLSEXT_TYPE_server_name, &extension, &n))
			read_server_name(t, str_make(extension, n));
		t->verdict = ASKED;
		return SSL_CLIENT_HELLO_RETRY;
	case ASKED:
		return SSL_CLIENT_HELLO_RETRY;
	case ACCEPTED:
		return SSL_CLIENT_HELLO_SUCCESS;
	case REFUSED:
		break;
	}
	*alert = t->alert;
	return SSL_CLIENT_HELLO_ERROR;
}

/* h2 if it is offered, else http/1.1; if only others are, no connection. A client that offers nothing speaks
 * HTTP/1.1, and this is not called for it. */
static int select_protocol(SSL *ssl, const unsigned char **out, unsigned char *out_bytes,
			   const unsigned char *in, unsigned in_bytes, void *context)
{
	struct reader r = reader_of(str_make(in, in_bytes));
	struct str protocol, best = { NULL, 0 };
	uint8_t n;

	(void)ssl;
	(void)context;
	while (reader_u8(&r, &n) && reader_take(&r, n, &protocol)) {
		if (str_eq(protocol, STR("h2")) || (!best.n && str_eq(protocol, STR("http/1.1"))))
			best = protocol;
	}
	if (!best.n)
		return SSL_TLSEXT_ERR_ALERT_FATAL;
	*out = (const unsigned char *)best.p;
	*out_bytes = (unsigned char)best.n;
	return SSL_TLSEXT_ERR_OK;
}

static bool configure(SSL_CTX *ctx)
{
	static char groups[] = "X25519:P-256";	/* OpenSSL's macro casts const away */

	SSL_CTX_set_options(ctx, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_TICKET | SSL_OP_NO_COMPRESSION);
	SSL_CTX_set_mode(ctx, SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
	SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_OFF);
	SSL_CTX_set_client_hello_cb(ctx, client_hello, NULL);
	SSL_CTX_set_alpn_select_cb(ctx, select_protocol, NULL);
	return SSL_CTX_set_min_proto_version(ctx, TLS1_2_VERSION) && SSL_CTX_set_num_tickets(ctx, 0) &&
	       SSL_CTX_set1_groups_list(ctx, groups) &&
	       SSL_CTX_set_cipher_list(ctx, "ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-ECDSA-AES256-GCM-SHA384:"
					    "ECDHE-ECDSA-CHACHA20-POLY1305");
}

enum err guest_tls_context_new(struct guest_tls_context **ret)
{
	struct guest_tls_context *c = calloc(1, sizeof *c);

	if (!c)
		return ERR_MEMORY;
	c->ctx = SSL_CTX_new(TLS_server_method());
	c->method = tls_bio_method();
	c->key = EVP_EC_gen("P-256");
	if (!c->ctx || !c->method || !c->key || !configure(c->ctx) ||
	    EVP_PKEY_get1_encoded_public_key(c->key, &c->point) != GUEST_TLS_POINT_BYTES) {
		guest_tls_context_free(c);
		return ERR_MEMORY;
	}
	*ret = c;
	return ERR_OK;
}

void guest_tls_context_free(struct guest_tls_context *c)
{
	if (!c)
		return;
	for (uint32_t i = 0; i < c->leaf_count; i++)
		X509_free(c->leaves[i].certificate);
	OPENSSL_free(c->point);
	EVP_PKEY_free(c->key);
	SSL_CTX_free(c->ctx);
	BIO_meth_free(c->method);
	free(c);
}

struct str guest_tls_public_key(const struct guest_tls_context *c)
{
	return str_make(c->point, GUEST_TLS_POINT_BYTES);
}

static X509 *find_leaf(const struct guest_tls_context *c, struct str host)
{
	uint64_t hash = str_hash(host);

	for (uint32_t i = 0; i < c->leaf_count; i++)
		if (c->leaves[i].hash == hash && str_eq(str_of(c->leaves[i].host), host))
			return c->leaves[i].certificate;
	return NULL;
}

bool guest_tls_has_leaf(const struct guest_tls_context *c, struct str host)
{
	return find_leaf(c, host);
}

static X509 *read_certificate(struct str der)
{
	const unsigned char *p = (const unsigned char *)der.p;
	X509 *x;

	if (der.n == 0 || der.n > 65536)
		return NULL;
	x = d2i_X509(NULL, &p, (long)der.n);
	if (x && p != (const unsigned char *)der.p + der.n) {
		X509_free(x);
		x = NULL;
	}
	return x;
}

enum err guest_tls_put_leaf(struct guest_tls_context *c, struct str host, struct str der)
{
	struct leaf *l;
	X509 *x;

	tls_errors_clear();
	if (host.n > HEAD_HOST_MAX || host_type(host) == HOST_INVALID)
		return ERR_INPUT;
	x = read_certificate(der);
	if (!x || !X509_get0_pubkey(x) || EVP_PKEY_eq(X509_get0_pubkey(x), c->key) != 1) {
		X509_free(x);
		return ERR_INPUT;
	}
	if (find_leaf(c, host)) {	/* two connections waited for the same one */
		X509_free(x);
		return ERR_OK;
	}
	if (c->leaf_count < GUEST_TLS_LEAVES_MAX) {
		l = &c->leaves[c->leaf_count++];
	} else {
		l = &c->leaves[c->oldest];
		c->oldest = (c->oldest + 1) % GUEST_TLS_LEAVES_MAX;
		X509_free(l->certificate);
	}
	*l = (struct leaf){ .hash = str_hash(host), .certificate = x };
	memcpy(l->host, host.p, host.n);
	return ERR_OK;
}

enum err guest_tls_new(struct guest_tls_context *c, struct guest_tls **ret)
{
	struct guest_tls *t = calloc(1, sizeof *t);

	if (!t)
		return ERR_MEMORY;
	t->context = c;
	t->ssl = SSL_new(c->ctx);
	t->bio.out_max = OUTPUT_MAX;
	if (!t->ssl || !tls_bio_attach(t->ssl, c->method, &t->bio)) {
		SSL_free(t->ssl);
		free(t);
		return ERR_MEMORY;
	}
	SSL_set_app_data(t->ssl, t);
	SSL_set_accept_state(t->ssl);
	*ret = t;
	return ERR_OK;
}

void guest_tls_free(struct guest_tls *t)
{
	if (!t)
		return;
	SSL_free(t->ssl);
	tls_bio_free(&t->bio);
	free(t);
}

enum err guest_tls_input(struct guest_tls *t, struct str ciphertext)
{
	if (ciphertext.n == 0)
		return ERR_OK;
	if (ciphertext.n > GUEST_TLS_CHUNK)
		return ERR_LIMIT;
	if (!queue_reserve(&t->bio.in, ciphertext.n))
		return ERR_MEMORY;
	queue_put(&t->bio.in, ciphertext);
	return ERR_OK;
}

struct str guest_tls_output(const struct guest_tls *t) { return queue_bytes(&t->bio.out); }

void guest_tls_sent(struct guest_tls *t, size_t n) { tls_bio_sent(&t->bio, n); }

enum err guest_tls_handshake(struct guest_tls *t)
{
	int r, why;

	if (t->failed)
		return ERR_TLS;
	tls_errors_clear();
	r = SSL_do_handshake(t->ssl);
	if (r == 1)
		return ERR_OK;
	why = SSL_get_error(t->ssl, r);
	if (why == SSL_ERROR_WANT_READ || why == SSL_ERROR_WANT_CLIENT_HELLO_CB)
		return ERR_MORE;
	t->failed = true;
	return ERR_TLS;
}

bool guest_tls_asks(const struct guest_tls *t)
{
	return t->verdict == ASKED;
}

struct str guest_tls_server_name(const struct guest_tls *t)
{
	return str_make(t->name, t->name_bytes);
}

struct str guest_tls_protocol(const struct guest_tls *t)
{
	const unsigned char *protocol = NULL;
	unsigned n = 0;

	SSL_get0_alpn_selected(t->ssl, &protocol, &n);
	return str_make(protocol, n);
}

enum err guest_tls_accept(struct guest_tls *t, struct str host)
{
	X509 *leaf = find_leaf(t->context, host);

	if (!leaf)
		return ERR_INPUT;
	tls_errors_clear();
	if (SSL_use_certificate(t->ssl, leaf) != 1 || SSL_use_PrivateKey(t->ssl, t->context->key) != 1)
		return ERR_MEMORY;
	t->verdict = ACCEPTED;
	return ERR_OK;
}

void guest_tls_refuse(struct guest_tls *t, enum err why)
{
	t->verdict = REFUSED;
	if (why == ERR_NAME_MISMATCH)
		t->alert = SSL_AD_UNRECOGNIZED_NAME;
	else if (why == ERR_POLICY_DENIED || why == ERR_ADDRESS_REFUSED)
		t->alert = SSL_AD_ACCESS_DENIED;
	else
		t->alert = SSL_AD_INTERNAL_ERROR;
}

enum err guest_tls_read(struct guest_tls *t, char *p, size_t n, size_t *ret_n)
{
	size_t got;
	int r, why;

	if (t->failed)
		return ERR_TLS;
	if (tls_bio_dry(&t->bio, t->ssl))
		return ERR_MORE;
	tls_errors_clear();
	r = SSL_read_ex(t->ssl, p, n, &got);
	if (r == 1) {
		*ret_n = got;
		return ERR_OK;
	}
	why = SSL_get_error(t->ssl, r);
	if (why == SSL_ERROR_WANT_READ)
		return ERR_MORE;
	if (why == SSL_ERROR_ZERO_RETURN)
		return ERR_CLOSED;
	t->failed = true;
	return ERR_TLS;
}

enum err guest_tls_write(struct guest_tls *t, struct str plain)
{
	size_t written;

	if (plain.n > GUEST_TLS_CHUNK)
		return ERR_LIMIT;
	if (t->failed || t->closed)
		return ERR_TLS;
	if (plain.n == 0)
		return ERR_OK;
	tls_errors_clear();
	if (SSL_write_ex(t->ssl, plain.p, plain.n, &written) == 1)
		return ERR_OK;
	t->failed = true;	/* the queue takes what owners let wait: the
				   state is at fault, or there is no memory */
	return ERR_TLS;
}

void guest_tls_close(struct guest_tls *t)
{
	if (t->failed || t->closed || !SSL_is_init_finished(t->ssl))
		return;
	tls_errors_clear();
	t->closed = true;
	(void)SSL_shutdown(t->ssl);
}
