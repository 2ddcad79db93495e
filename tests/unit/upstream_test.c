/* upstream_test.c - TLS towards an upstream: what is verified, and how it ends; a server in memory */
#include "tls/upstream.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#define ERR_STATE OPENSSL_ERR_STATE
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#undef ERR_STATE

#include <cmocka.h>

struct authority {
	EVP_PKEY *key;
	X509 *certificate;
	char pem[4096];
	size_t pem_bytes;
};

static struct authority trusted, stranger;

static X509 *certificate(EVP_PKEY *key, const struct authority *by, const char *name, const char *alt,
			 long days)
{
	X509 *x = X509_new();
	X509V3_CTX ctx;

	X509_set_version(x, 2);
	ASN1_INTEGER_set(X509_get_serialNumber(x), by ? 2 : 1);
	X509_gmtime_adj(X509_getm_notBefore(x), days < 0 ? -172800 : -60);
	X509_gmtime_adj(X509_getm_notAfter(x), days * 86400);
	X509_set_pubkey(x, key);
	X509_NAME_add_entry_by_txt(X509_get_subject_name(x), "CN", MBSTRING_ASC, (const unsigned char *)name,
				   -1, -1, 0);
	X509_set_issuer_name(x, X509_get_subject_name(by ? by->certificate : x));
	X509V3_set_ctx(&ctx, by ? by->certificate : x, x, NULL, NULL, 0);
	X509_EXTENSION *e = by ? (alt ? X509V3_EXT_conf_nid(NULL, &ctx, NID_subject_alt_name, alt) : NULL)
			       : X509V3_EXT_conf_nid(NULL, &ctx, NID_basic_constraints, "critical,CA:TRUE");

	if (e)
		X509_add_ext(x, e, -1);
	X509_EXTENSION_free(e);
	assert_true(X509_sign(x, by ? by->key : key, EVP_sha256()) > 0);
	return x;
}

static void authority_make(struct authority *a, const char *name)
{
	BIO *bio = BIO_new(BIO_s_mem());

	a->key = EVP_EC_gen("P-256");
	a->certificate = certificate(a->key, NULL, name, NULL, 1);
	PEM_write_bio_X509(bio, a->certificate);
	int n = BIO_read(bio, a->pem, sizeof a->pem);

	a->pem_bytes = (size_t)n;
	BIO_free(bio);
}

struct pair {
	struct upstream_tls_context *context;
	struct upstream_tls *client;
	SSL_CTX *server_context;
	SSL *server;
	BIO *to_server, *from_server;
};

struct server {
	const struct authority *by;	/* NULL: trusted */
	const char *name, *alt;
	long days;
	int version_max;
};

static void pair_make(struct pair *p, const char *host, const struct server *s)
{
	EVP_PKEY *key = EVP_EC_gen("P-256");
	X509 *leaf = certificate(key, s->by ? s->by : &trusted, s->name ? s->name : "x", s->alt,
				 s->days ? s->days : 1);
	bool system_ca;

	assert_int_equal(upstream_tls_context_new(str_make(trusted.pem, trusted.pem_bytes), &p->context,
						  &system_ca), ERR_OK);
	assert_int_equal(upstream_tls_new(p->context, &(struct upstream_tls_options){ .host = str_of(host) },
					  &p->client), ERR_OK);
	p->server_context = SSL_CTX_new(TLS_server_method());
	if (s->version_max) {
		SSL_CTX_set_security_level(p->server_context, 0);
		SSL_CTX_set_min_proto_version(p->server_context, TLS1_VERSION);
		SSL_CTX_set_max_proto_version(p->server_context, s->version_max);
	}
	SSL_CTX_use_certificate(p->server_context, leaf);
	SSL_CTX_use_PrivateKey(p->server_context, key);
	p->server = SSL_new(p->server_context);
	p->to_server = BIO_new(BIO_s_mem());
	p->from_server = BIO_new(BIO_s_mem());
	SSL_set_bio(p->server, p->to_server, p->from_server);
	SSL_set_accept_state(p->server);
	X509_free(leaf);
	EVP_PKEY_free(key);
}

static void pair_free(struct pair *p)
{
	upstream_tls_free(p->client);
	upstream_tls_context_free(p->context);
	SSL_free(p->server);
	SSL_CTX_free(p->server_context);
}

/* All that waits, in both directions, @piece bytes at a time. */
static void carry(struct pair *p, size_t piece)
{
	struct str out;
	char bytes[UPSTREAM_TLS_CHUNK];
	int n;

	while ((out = str_head(upstream_tls_output(p->client), piece)).n) {
		assert_int_equal(BIO_write(p->to_server, out.p, (int)out.n), (int)out.n);
		upstream_tls_sent(p->client, out.n);
	}
	while ((n = BIO_read(p->from_server, bytes, (int)piece)) > 0)
		assert_int_equal(upstream_tls_input(p->client, str_make(bytes, (size_t)n)), ERR_OK);
}

static enum err shake(struct pair *p, size_t piece)
{
	for (int i = 0; i < 20; i++) {
		enum err e = upstream_tls_handshake(p->client);

		if (e != ERR_MORE) {
			carry(p, piece);
			SSL_do_handshake(p->server);
			return e;
		}
		carry(p, piece);
		SSL_do_handshake(p->server);
		carry(p, piece);
	}
	return ERR_MORE;
}

static void check(const char *host, const struct server *s, enum err expected)
{
	struct pair p = { .client = NULL };

	pair_make(&p, host, s);
	if (shake(&p, 16384) != expected)
		fail_msg("%s with %s", host, s->alt ? s->alt : "no name");
	if (expected != ERR_OK)
		assert_true(upstream_tls_reason(p.client)[0] != '\0');
	pair_free(&p);
}

static void names_are_verified(void **state)
{
	(void)state;
	const enum err no = ERR_UPSTREAM_TLS;

	check("api.test", &(struct server){ .alt = "DNS:api.test" }, ERR_OK);
	check("a.wild.test", &(struct server){ .alt = "DNS:*.wild.test" }, ERR_OK);
	check("a.b.wild.test", &(struct server){ .alt = "DNS:*.wild.test" }, no);
	check("wild.test", &(struct server){ .alt = "DNS:*.wild.test" }, no);
	check("api.wild.test", &(struct server){ .alt = "DNS:a*.wild.test" }, no);
	check("api.test", &(struct server){ .alt = "DNS:other.test" }, no);
	check("api.test", &(struct server){ .name = "api.test" }, no);	/* the subject says nothing */
	check("api.test", &(struct server){ .name = "api.test", .alt = "DNS:other.test" }, no);
	check("127.0.0.1", &(struct server){ .alt = "IP:127.0.0.1" }, ERR_OK);
	check("127.0.0.1", &(struct server){ .alt = "DNS:127.0.0.1" }, no);
	check("2001:db8::1", &(struct server){ .alt = "IP:2001:db8::1" }, ERR_OK);
	check("2001:db8::1", &(struct server){ .alt = "IP:2001:db8::2" }, no);
}

static void chains_dates_and_versions_are_verified(void **state)
{
	(void)state;
	check("api.test", &(struct server){ .alt = "DNS:api.test", .by = &stranger }, ERR_UPSTREAM_TLS);
	check("api.test", &(struct server){ .alt = "DNS:api.test", .days = -1 }, ERR_UPSTREAM_TLS);
	check("api.test", &(struct server){ .alt = "DNS:api.test", .version_max = TLS1_1_VERSION },
	     ERR_UPSTREAM_TLS);
	check("api.test", &(struct server){ .alt = "DNS:api.test", .version_max = TLS1_2_VERSION }, ERR_OK);
}

static void bytes_pass_both_ways_and_the_end_is_told(void **state)
{
	(void)state;
	static char block[200000], back[200000];
	struct pair p = { .client = NULL };
	size_t done = 0, n;

	for (size_t i = 0; i < sizeof block; i++)
		block[i] = (char)(i * 31);
	pair_make(&p, "api.test", &(struct server){ .alt = "DNS:api.test" });
	assert_int_equal(shake(&p, 7), ERR_OK);
	while (done < sizeof block) {
		enum err e = upstream_tls_write(p.client, str_make(block + done, sizeof block - done), &n);

		assert_int_equal(e, ERR_OK);
		assert_true(n <= UPSTREAM_TLS_WRITE);
		assert_int_equal(upstream_tls_write(p.client, STR("x"), &n), ERR_MORE);	/* one at a time */
		carry(&p, 16384);
		for (size_t end = done + n; done < end;) {
			int got = SSL_read(p.server, back + done, (int)(sizeof back - done));

			assert_true(got > 0);
			done += (size_t)got;
		}
	}
	assert_memory_equal(block, back, sizeof block);
	carry(&p, 16384);
	assert_int_equal(upstream_tls_read(p.client, back, sizeof back, &n), ERR_MORE);
	SSL_write(p.server, "hello", 5);
	SSL_shutdown(p.server);
	carry(&p, 5);
	assert_int_equal(upstream_tls_read(p.client, back, sizeof back, &n), ERR_OK);
	assert_true(str_eq(str_make(back, n), STR("hello")));
	assert_int_equal(upstream_tls_read(p.client, back, sizeof back, &n), ERR_CLOSED);
	pair_free(&p);
}

/* The server asks for a certificate and will have none but ours; the context knows it the second time. */
static void a_client_certificate_is_shown(void **state)
{
	(void)state;
	EVP_PKEY *key = EVP_EC_gen("P-256");
	X509 *leaf = certificate(key, &trusted, "client", "DNS:client.test", 1);
	BIO *bio = BIO_new(BIO_s_mem());
	char pem[8192];

	PEM_write_bio_X509(bio, leaf);
	PEM_write_bio_PrivateKey(bio, key, NULL, NULL, 0, NULL, NULL);
	size_t pem_bytes = (size_t)BIO_read(bio, pem, sizeof pem);
	struct upstream_tls_options o = { .host = STR_INIT("api.test"), .certificate = { pem, pem_bytes } };

	for (int i = 0; i < 3; i++) {
		struct pair p = { .client = NULL };
		X509_STORE *store;

		pair_make(&p, "api.test", &(struct server){ .alt = "DNS:api.test" });
		store = SSL_CTX_get_cert_store(p.server_context);
		X509_STORE_add_cert(store, trusted.certificate);
		SSL_set_verify(p.server, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, NULL);
		for (int j = 0; i && j < i; j++) {	/* the same context, and the same PEM */
			upstream_tls_free(p.client);
			assert_int_equal(upstream_tls_new(p.context, &o, &p.client), ERR_OK);
		}
		enum err e = shake(&p, 16384);
		char byte;
		size_t n;

		carry(&p, 16384);
		if (i) {
			X509 *shown = SSL_get1_peer_certificate(p.server);

			assert_int_equal(e, ERR_OK);
			assert_non_null(shown);
			assert_int_equal(X509_cmp(shown, leaf), 0);
			X509_free(shown);
		} else {
			assert_true(e != ERR_OK ||
				    upstream_tls_read(p.client, &byte, 1, &n) == ERR_UPSTREAM_TLS);
		}
		pair_free(&p);
	}
	struct pair p = { .client = NULL };
	struct upstream_tls *t;

	pair_make(&p, "api.test", &(struct server){ .alt = "DNS:api.test" });
	o.certificate.n = pem_bytes / 2;
	assert_int_equal(upstream_tls_new(p.context, &o, &t), ERR_CREDENTIAL);
	pair_free(&p);
	BIO_free(bio);
	X509_free(leaf);
	EVP_PKEY_free(key);
}

static void noise_is_a_failure(void **state)
{
	(void)state;
	struct pair p = { .client = NULL };
	char byte;
	size_t n;

	pair_make(&p, "api.test", &(struct server){ .alt = "DNS:api.test" });
	assert_int_equal(upstream_tls_handshake(p.client), ERR_MORE);
	assert_int_equal(upstream_tls_input(p.client, STR("HTTP/1.1 400 Bad Request\r\n\r\n")), ERR_OK);
	assert_int_equal(upstream_tls_handshake(p.client), ERR_UPSTREAM_TLS);
	pair_free(&p);
	pair_make(&p, "api.test", &(struct server){ .alt = "DNS:api.test" });
	assert_int_equal(shake(&p, 16384), ERR_OK);
	carry(&p, 16384);
	assert_int_equal(upstream_tls_input(p.client, STR("\x17\3\3\0\x20"
							  "0123456789abcdef0123456789abcdef")),
			 ERR_OK);
	assert_int_equal(upstream_tls_read(p.client, &byte, 1, &n), ERR_UPSTREAM_TLS);
	pair_free(&p);
}

static void extra_authorities_must_be_certificates(void **state)
{
	(void)state;
	struct upstream_tls_context *c = NULL;
	bool system_ca;
	static const char *const wrong[] = {
		"nothing", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
		"-----BEGIN CERTIFICATE-----\nMIIB\n",
	};

	for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
		assert_int_equal(upstream_tls_context_new(str_of(wrong[i]), &c, &system_ca), ERR_INPUT);
	assert_int_equal(upstream_tls_context_new(STR(""), &c, &system_ca), ERR_OK);
	struct upstream_tls *t = NULL;

	assert_int_equal(upstream_tls_new(c,
					  &(struct upstream_tls_options){ .host = STR_INIT("Not Canonical") },
					  &t), ERR_INPUT);
	assert_null(t);
	upstream_tls_context_free(c);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(names_are_verified),
		cmocka_unit_test(chains_dates_and_versions_are_verified),
		cmocka_unit_test(bytes_pass_both_ways_and_the_end_is_told),
		cmocka_unit_test(a_client_certificate_is_shown),
		cmocka_unit_test(noise_is_a_failure),
		cmocka_unit_test(extra_authorities_must_be_certificates),
	};

	authority_make(&trusted, "trusted");
	authority_make(&stranger, "stranger");
	int failed = cmocka_run_group_tests(tests, NULL, NULL);

	X509_free(trusted.certificate);
	X509_free(stranger.certificate);
	EVP_PKEY_free(trusted.key);
	EVP_PKEY_free(stranger.key);
	return failed;
}
