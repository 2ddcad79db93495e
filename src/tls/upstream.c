/* upstream.c - the client's side of TLS towards an upstream
 *
 * Theory of operation: one SSL_CTX for the process, because loading the CA bundle costs more than
 * a hundred milliseconds and reads files, which ends with confinement. Each connection has two
 * memory BIOs; what OpenSSL writes is moved to `out` after every call, reads included (a read can
 * answer a KeyUpdate). `out` is bounded because a write is taken only when it is empty.
 * Trusts: nothing of the peer before SSL_do_handshake() has verified chain and name.
 * The name is checked against subjectAltName alone; the subject's common name says nothing.
 * Sources: RFC 9325 (TLS 1.2 and up), RFC 9525 (names), SSL_set_verify(3), X509_VERIFY_PARAM(3).
 */
#include "tls/upstream.h"

#define ERR_STATE OPENSSL_ERR_STATE	/* OpenSSL has a type of that name, which nobody needs */
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#undef ERR_STATE
#include <stdlib.h>

#define OUTPUT_MAX ((size_t)128 * 1024)	/* a handshake flight or one written chunk, with room */
#define INPUT_MAX ((size_t)64 * 1024)

struct upstream_tls_context {
	SSL_CTX *ssl;
};

struct upstream_tls {
	SSL *ssl;
	BIO *in, *wire;		/* owned by ssl */
	struct buf out;
	const char *reason;
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
	ERR_clear_error();
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
	ERR_clear_error();
	BIO_free(bio);
	return e;
}

static enum err configure(SSL_CTX *ssl)
{
	static const unsigned char alpn[] = "\x08http/1.1";

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

enum err upstream_tls_context_new(struct str extra_pem, struct upstream_tls_context **ret, bool *ret_system_ca)
{
	struct upstream_tls_context *c = calloc(1, sizeof *c);
	enum err e = ERR_MEMORY;
	bool system_ca = false;

	if (!c)
		return ERR_MEMORY;
	c->ssl = SSL_CTX_new(TLS_client_method());
	if (c->ssl)
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
	SSL_CTX_free(c->ssl);
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

enum err upstream_tls_new(struct upstream_tls_context *c, struct str host, struct upstream_tls **ret)
{
	struct upstream_tls *t = calloc(1, sizeof *t);

	if (!t)
		return ERR_MEMORY;
	buf_init(&t->out, OUTPUT_MAX);
	t->ssl = SSL_new(c->ssl);
	t->in = BIO_new(BIO_s_mem());
	t->wire = BIO_new(BIO_s_mem());
	if (!t->ssl || !t->in || !t->wire) {
		BIO_free(t->in);
		BIO_free(t->wire);
		SSL_free(t->ssl);
		free(t);
		return ERR_MEMORY;
	}
	BIO_set_mem_eof_return(t->in, -1);
	SSL_set_bio(t->ssl, t->in, t->wire);
	SSL_set_connect_state(t->ssl);
	if (!expect_name(t->ssl, host)) {
		ERR_clear_error();
		upstream_tls_free(t);
		return ERR_INPUT;
	}
	*ret = t;
	return ERR_OK;
}

void upstream_tls_free(struct upstream_tls *t)
{
	if (!t)
		return;
	SSL_free(t->ssl);
	buf_free(&t->out);
	free(t);
}

enum err upstream_tls_input(struct upstream_tls *t, struct str ciphertext)
{
	size_t written;

	if (ciphertext.n > UPSTREAM_TLS_CHUNK || BIO_ctrl_pending(t->in) > INPUT_MAX)
		return ERR_LIMIT;
	if (BIO_write_ex(t->in, ciphertext.p, ciphertext.n, &written) != 1 || written != ciphertext.n)
		return ERR_MEMORY;
	return ERR_OK;
}

static enum err drain(struct upstream_tls *t)
{
	for (size_t n; (n = BIO_ctrl_pending(t->wire)) > 0;) {
		size_t got = 0;

		if (buf_reserve(&t->out, n) != ERR_OK)
			return ERR_MEMORY;
		if (BIO_read_ex(t->wire, buf_tail(&t->out), n, &got) != 1)
			return ERR_MEMORY;
		t->out.len += got;
	}
	return ERR_OK;
}

struct str upstream_tls_output(struct upstream_tls *t) { return buf_str(&t->out); }

void upstream_tls_sent(struct upstream_tls *t, size_t n) { buf_drop(&t->out, n); }

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
	ERR_clear_error();
	int r = SSL_do_handshake(t->ssl);
	int why = r == 1 ? SSL_ERROR_NONE : SSL_get_error(t->ssl, r);

	if (why != SSL_ERROR_NONE && why != SSL_ERROR_WANT_READ)
		t->reason = reason_of(t->ssl);
	ERR_clear_error();
	if (drain(t) != ERR_OK)		/* also on failure: the alert tells the upstream why */
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

	ERR_clear_error();
	int r = SSL_read_ex(t->ssl, p, n, &got);
	int why = r == 1 ? SSL_ERROR_NONE : SSL_get_error(t->ssl, r);

	ERR_clear_error();
	if (drain(t) != ERR_OK)
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
	size_t took = 0;

	if (t->out.len > 0)
		return ERR_MORE;
	ERR_clear_error();
	plain = str_head(plain, UPSTREAM_TLS_CHUNK);
	int r = SSL_write_ex(t->ssl, plain.p, plain.n, &took);

	ERR_clear_error();
	if (drain(t) != ERR_OK)
		return ERR_MEMORY;
	if (r != 1)
		return ERR_UPSTREAM_TLS;
	*ret_n = took;
	return ERR_OK;
}

bool upstream_tls_pending(const struct upstream_tls *t)
{
	return SSL_has_pending(t->ssl) || BIO_ctrl_pending(t->in) > 0;
}

const char *upstream_tls_reason(const struct upstream_tls *t) { return t->reason ? t->reason : ""; }
