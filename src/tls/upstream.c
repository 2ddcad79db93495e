/* upstream.c - the client's side of TLS towards an upstream
 *
 * Theory of operation: one SSL_CTX for the process, because loading the CA bundle costs more than
 * a hundred milliseconds and reads files, which ends with confinement. Each connection reads from
 * and writes to queues (bio.h): what is received lands where it is read. `out` grows by one write at most,
 * since a write is taken only when it is empty, and by what a read answers (a KeyUpdate). A client
 * certificate is parsed once and kept by the digest of its PEM.
 * Trusts: nothing of the peer before SSL_do_handshake() has verified chain and name.
 * The name is checked against subjectAltName alone; the subject's common name says nothing.
 * Sources: RFC 9325 (TLS 1.2 and up), RFC 9525 (names), SSL_set_verify(3), X509_VERIFY_PARAM(3).
 */
#include "tls/upstream.h"

#include "tls/bio.h"

#define ERR_STATE OPENSSL_ERR_STATE	/* OpenSSL has a type of that name, which nobody needs */
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#undef ERR_STATE
#include <stdlib.h>

#define OUTPUT_MAX ((size_t)256 * 1024)	/* a handshake flight or one write, with room */
#define INPUT_MAX ((size_t)128 * 1024)
#define RECEIVE_BYTES ((size_t)16640)	/* a record, and */
#define RECEIVE_MORE_BYTES ((size_t)65536) /* of what comes without a pause */
#define CERTIFICATES_MAX 8

/* a client certificate, parsed */
struct certificate {
	unsigned char digest[32];	/* SHA-256 of the PEM */
	X509 *leaf;			/* NULL: the place is free */
	EVP_PKEY *key;
	STACK_OF(X509) *chain;
};

struct upstream_tls_context {
	SSL_CTX *ssl;
	BIO_METHOD *method;
	struct certificate certificates[CERTIFICATES_MAX];
	unsigned certificate_next;	/* the place that the next one takes */
};

struct upstream_tls {
	SSL *ssl;
	struct tls_bio bio;
	bool flows;			/* all the room of the last input was used */
	const char *reason;
	bool no_protocol;		/* the alert no_application_protocol came (RFC 7301 s3.2) */
};

static const char *const system_bundles[] = {
	"/etc/ssl/certs/ca-certificates.crt",			/* Debian, Ubuntu, Alpine, Arch */
	"/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",	/* Fedora, RHEL */
	"/etc/ssl/ca-bundle.pem",				/* SUSE */
	"/etc/ssl/cert.pem",
};

static bool load_system(SSL_CTX *ssl)
{
	for (size_t i = 0; i < sizeof system_bundles / sizeof *system_bundles; i++)
		if (SSL_CTX_load_verify_file(ssl, system_bundles[i]) == 1)
			return true;
	tls_errors_clear();
	return false;
}

static enum err load_extra(SSL_CTX *ssl, struct str pem)
{
	BIO *bio = pem.n <= INT32_MAX ? BIO_new_mem_buf(pem.p, (int)pem.n) : NULL;
	X509_STORE *store = SSL_CTX_get_cert_store(ssl);
	enum err e = ERR_OK;
	unsigned count = 0;

	if (!bio)
		return ERR_MEMORY;
	for (X509 *x; e == ERR_OK && (x = PEM_read_bio_X509(bio, NULL, NULL, NULL)); X509_free(x), count++)
		if (X509_STORE_add_cert(store, x) != 1)
			e = ERR_INPUT;
	/* The end of the file shows as "no start line"; anything else is a malformed certificate. */
	if (ERR_GET_REASON(ERR_peek_last_error()) != PEM_R_NO_START_LINE || count == 0)
		e = ERR_INPUT;
	tls_errors_clear();
	BIO_free(bio);
	return e;
}

/* ---- the context ---- */

static enum err configure(SSL_CTX *ssl)
{
	static const unsigned char alpn[] = "\x02h2\x08http/1.1";

	SSL_CTX_set_verify(ssl, SSL_VERIFY_PEER, NULL);
	SSL_CTX_set_options(ssl, SSL_OP_NO_COMPRESSION | SSL_OP_NO_RENEGOTIATION);
	SSL_CTX_set_mode(ssl, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER |
				      SSL_MODE_RELEASE_BUFFERS);
	SSL_CTX_set_session_cache_mode(ssl, SSL_SESS_CACHE_OFF);
	if (SSL_CTX_set_min_proto_version(ssl, TLS1_2_VERSION) != 1 ||
	    SSL_CTX_set_alpn_protos(ssl, alpn, sizeof alpn - 1) != 0)
		return ERR_MEMORY;
	return ERR_OK;
}

static void certificate_clear(struct certificate *c)
{
	X509_free(c->leaf);
	EVP_PKEY_free(c->key);
	sk_X509_pop_free(c->chain, X509_free);
	*c = (struct certificate){ .leaf = NULL };
}

/* The first certificate is the leaf, the others its chain; the key may stand anywhere among them. */
static bool certificate_parse(struct str pem, struct certificate *ret)
{
	BIO *bio = pem.n <= INT32_MAX ? BIO_new_mem_buf(pem.p, (int)pem.n) : NULL;
	X509 *x;

	ret->chain = sk_X509_new_null();
	if (bio && ret->chain)
		ret->leaf = PEM_read_bio_X509(bio, NULL, NULL, NULL);
	while (ret->leaf && (x = PEM_read_bio_X509(bio, NULL, NULL, NULL)))
		if (!sk_X509_push(ret->chain, x))
			X509_free(x);
	if (ret->leaf && BIO_seek(bio, 0) == 0)
		ret->key = PEM_read_bio_PrivateKey(bio, NULL, NULL, NULL);
	BIO_free(bio);
	tls_errors_clear();
	return ret->key && X509_check_private_key(ret->leaf, ret->key) == 1;
}

static enum err show_certificate(struct upstream_tls_context *c, SSL *ssl, struct str pem)
{
	struct certificate fresh = { .leaf = NULL }, *found = NULL;

	if (EVP_Digest(pem.p, pem.n, fresh.digest, NULL, EVP_sha256(), NULL) != 1)
		return ERR_MEMORY;
	for (unsigned i = 0; i < CERTIFICATES_MAX && !found; i++)
		if (c->certificates[i].leaf &&
		    !memcmp(c->certificates[i].digest, fresh.digest, sizeof fresh.digest))
			found = &c->certificates[i];
	if (!found) {
		if (!certificate_parse(pem, &fresh)) {
			certificate_clear(&fresh);
			tls_errors_clear();
			return ERR_CREDENTIAL;
		}
		found = &c->certificates[c->certificate_next++ % CERTIFICATES_MAX];
		certificate_clear(found);
		*found = fresh;
	}
	bool shown = SSL_use_cert_and_key(ssl, found->leaf, found->key, found->chain, 1) == 1;

	tls_errors_clear();
	return shown ? ERR_OK : ERR_CREDENTIAL;
}

enum err upstream_tls_context_new(struct str extra_pem, struct upstream_tls_context **ret,
				  bool *ret_system_ca)
{
	struct upstream_tls_context *c = calloc(1, sizeof *c);
	enum err e = ERR_MEMORY;
	bool system_ca = false;

	if (!c)
		return ERR_MEMORY;
	c->ssl = SSL_CTX_new(TLS_client_method());
	c->method = tls_bio_method();
	if (c->ssl && c->method)
		e = configure(c->ssl);
	if (e == ERR_OK) {
		system_ca = load_system(c->ssl);
		if (extra_pem.n)
			e = load_extra(c->ssl, extra_pem);
	}
	if (e != ERR_OK) {
		upstream_tls_context_free(c);
		return e;
	}
	*ret = c;
	*ret_system_ca = system_ca;
	return ERR_OK;
}

void upstream_tls_context_free(struct upstream_tls_context *c)
{
	if (!c)
		return;
	for (unsigned i = 0; i < CERTIFICATES_MAX; i++)
		certificate_clear(&c->certificates[i]);
	SSL_CTX_free(c->ssl);
	BIO_meth_free(c->method);
	free(c);
}

/* The name that the certificate must bear, and the SNI that asks for it (a literal has none). */
static bool expect_name(SSL *ssl, struct str host)
{
	X509_VERIFY_PARAM *param = SSL_get0_param(ssl);
	char z[HEAD_HOST_MAX + 1];

	if (host.n > HEAD_HOST_MAX)
		return false;
	memcpy(z, host.p, host.n);
	z[host.n] = '\0';
	X509_VERIFY_PARAM_set_hostflags(param, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS |
						       X509_CHECK_FLAG_NEVER_CHECK_SUBJECT);
	switch (host_type(host)) {
	case HOST_NAME:
		return X509_VERIFY_PARAM_set1_host(param, z, host.n) == 1 &&
		       SSL_set_tlsext_host_name(ssl, z) == 1;
	case HOST_IPV4:
	case HOST_IPV6:
		return X509_VERIFY_PARAM_set1_ip_asc(param, z) == 1;
	case HOST_INVALID:
		break;
	}
	return false;
}

static enum err set_up(struct upstream_tls_context *c, struct upstream_tls *t,
		       const struct upstream_tls_options *o)
{
	static const unsigned char alpn[] = "\x08http/1.1";

	if (!tls_bio_attach(t->ssl, c->method, &t->bio))
		return ERR_MEMORY;
	SSL_set_connect_state(t->ssl);
	if (o->http1_only && SSL_set_alpn_protos(t->ssl, alpn, sizeof alpn - 1) != 0)
		return ERR_MEMORY;
	if (!expect_name(t->ssl, o->host)) {
		tls_errors_clear();
		return ERR_INPUT;
	}
	return o->certificate.n ? show_certificate(c, t->ssl, o->certificate) : ERR_OK;
}

enum err upstream_tls_new(struct upstream_tls_context *c, const struct upstream_tls_options *o,
			  struct upstream_tls **ret)
{
	struct upstream_tls *t = calloc(1, sizeof *t);
	enum err e = ERR_MEMORY;

	if (!t)
		return ERR_MEMORY;
	t->bio.out_max = OUTPUT_MAX;
	t->ssl = SSL_new(c->ssl);
	if (t->ssl)
		e = set_up(c, t, o);
	if (e != ERR_OK) {
		upstream_tls_free(t);
		return e;
	}
	*ret = t;
	return ERR_OK;
}

void upstream_tls_free(struct upstream_tls *t)
{
	if (!t)
		return;
	SSL_free(t->ssl);
	tls_bio_free(&t->bio);
	free(t);
}

char *upstream_tls_room(struct upstream_tls *t, size_t *ret_n)
{
	if (queue_bytes(&t->bio.in).n > INPUT_MAX ||
	    !queue_reserve(&t->bio.in, t->flows ? RECEIVE_MORE_BYTES : RECEIVE_BYTES))
		return NULL;
	return queue_tail(&t->bio.in, ret_n);
}

void upstream_tls_received(struct upstream_tls *t, size_t n)
{
	size_t room;

	(void)queue_tail(&t->bio.in, &room);
	t->flows = n == room;
	queue_filled(&t->bio.in, n);
}

enum err upstream_tls_input(struct upstream_tls *t, struct str ciphertext)
{
	size_t room;
	char *p = ciphertext.n <= UPSTREAM_TLS_CHUNK ? upstream_tls_room(t, &room) : NULL;

	if (!p || room < ciphertext.n)
		return ciphertext.n <= UPSTREAM_TLS_CHUNK && !p ? ERR_MEMORY : ERR_LIMIT;
	memcpy(p, ciphertext.p, ciphertext.n);
	upstream_tls_received(t, ciphertext.n);
	return ERR_OK;
}

struct str upstream_tls_output(const struct upstream_tls *t) { return queue_bytes(&t->bio.out); }

void upstream_tls_sent(struct upstream_tls *t, size_t n) { tls_bio_sent(&t->bio, n); }

/* Words of our own: an alert's or certificate's text would be the peer's. */
static const char *reason_of(SSL *ssl)
{
	long verify = SSL_get_verify_result(ssl);

	if (verify != X509_V_OK)
		return X509_verify_cert_error_string(verify);
	const char *reason = ERR_reason_error_string(ERR_peek_last_error());

	return reason ? reason : "the handshake was broken off";
}

enum err upstream_tls_handshake(struct upstream_tls *t)
{
	tls_errors_clear();
	int r = SSL_do_handshake(t->ssl);
	int why = r == 1 ? SSL_ERROR_NONE : SSL_get_error(t->ssl, r);

	if (why != SSL_ERROR_NONE && why != SSL_ERROR_WANT_READ) {
		t->reason = reason_of(t->ssl);
		t->no_protocol =
			ERR_GET_REASON(ERR_peek_last_error()) == SSL_R_TLSV1_ALERT_NO_APPLICATION_PROTOCOL;
	}
	tls_errors_clear();
	if (t->bio.full)
		return ERR_MEMORY;
	if (why == SSL_ERROR_WANT_READ)
		return ERR_MORE;
	if (why != SSL_ERROR_NONE)
		return ERR_UPSTREAM_TLS;
	if (SSL_get_verify_result(t->ssl) != X509_V_OK || !SSL_get0_peer_certificate(t->ssl)) {
		t->reason = "the upstream showed no certificate that verifies";
		return ERR_UPSTREAM_TLS;
	}
	return ERR_OK;
}

enum err upstream_tls_read(struct upstream_tls *t, char *p, size_t n, size_t *ret_n)
{
	size_t got = 0;

	if (tls_bio_dry(&t->bio, t->ssl))
		return ERR_MORE;
	tls_errors_clear();
	int r = SSL_read_ex(t->ssl, p, n, &got);
	int why = r == 1 ? SSL_ERROR_NONE : SSL_get_error(t->ssl, r);

	tls_errors_clear();
	if (t->bio.full)
		return ERR_MEMORY;
	if (why == SSL_ERROR_NONE) {
		*ret_n = got;
		return ERR_OK;
	}
	if (why == SSL_ERROR_WANT_READ)
		return ERR_MORE;
	return why == SSL_ERROR_ZERO_RETURN ? ERR_CLOSED : ERR_UPSTREAM_TLS;
}

enum err upstream_tls_write(struct upstream_tls *t, struct str plain, size_t *ret_n)
{
	size_t took = 0, n = 0;
	int r = 1;

	if (queue_bytes(&t->bio.out).n > 0)
		return ERR_MORE;
	tls_errors_clear();
	for (plain = str_head(plain, UPSTREAM_TLS_WRITE); plain.n && r == 1; plain = str_from(plain, n)) {
		r = SSL_write_ex(t->ssl, plain.p, plain.n, &n);
		took += r == 1 ? n : 0;
	}
	tls_errors_clear();
	if (t->bio.full)
		return ERR_MEMORY;
	if (r != 1)
		return ERR_UPSTREAM_TLS;
	*ret_n = took;
	return ERR_OK;
}

bool upstream_tls_pending(const struct upstream_tls *t)
{
	return SSL_has_pending(t->ssl) || queue_bytes(&t->bio.in).n > 0;
}

bool upstream_tls_http2(const struct upstream_tls *t)
{
	const unsigned char *name;
	unsigned n;

	SSL_get0_alpn_selected(t->ssl, &name, &n);
	return n == 2 && !memcmp(name, "h2", 2);
}

bool upstream_tls_no_protocol(const struct upstream_tls *t) { return t->no_protocol; }

const char *upstream_tls_reason(const struct upstream_tls *t) { return t->reason ? t->reason : ""; }
