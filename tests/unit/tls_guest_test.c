/* tls_guest_test.c - the guest's side of TLS against OpenSSL's own client, with leaves of the mint */
#include "tls/guest.h"
#include "tls/mint.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#define ERR_STATE OPENSSL_ERR_STATE
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#undef ERR_STATE
#include <stdio.h>

#define NOW 1790000000u

static struct guest_tls_context *context;
static struct mint *mint;
static SSL_CTX *client_ctx;

struct pair {
	struct guest_tls *server;
	SSL *client;
	BIO *in, *out;
};

static void trust(SSL_CTX *ctx)
{
	auto_buf pem = BUF_EMPTY;
	BIO *bio;
	X509 *ca;

	buf_init(&pem, 8192);
	assert_int_equal(mint_ca_pem(mint, &pem), ERR_OK);
	bio = BIO_new_mem_buf(pem.p, (int)pem.len);
	ca = PEM_read_bio_X509(bio, NULL, NULL, NULL);
	assert_non_null(ca);
	assert_int_equal(X509_STORE_add_cert(SSL_CTX_get_cert_store(ctx), ca), 1);
	X509_VERIFY_PARAM_set_time(SSL_CTX_get0_param(ctx), NOW);
	X509_free(ca);
	BIO_free(bio);
}

static int setup(void **state)
{
	(void)state;
	assert_int_equal(guest_tls_context_new(&context), ERR_OK);
	assert_int_equal(mint_new(STR("test"), NOW, 7, &mint), ERR_OK);
	client_ctx = SSL_CTX_new(TLS_client_method());
	assert_non_null(client_ctx);
	SSL_CTX_set_verify(client_ctx, SSL_VERIFY_PEER, NULL);
	trust(client_ctx);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	guest_tls_context_free(context);
	mint_free(mint);
	SSL_CTX_free(client_ctx);
	return 0;
}

static void put_leaf(struct str host)
{
	auto_buf der = BUF_EMPTY;

	buf_init(&der, MINT_LEAF_MAX_BYTES);
	assert_int_equal(mint_leaf(mint, host, (const uint8_t *)guest_tls_public_key(context).p, &der),
			 ERR_OK);
	assert_int_equal(guest_tls_put_leaf(context, host, buf_str(&der)), ERR_OK);
	assert_true(guest_tls_has_leaf(context, host));
}

static void pair_open(struct pair *p, const char *name, int version)
{
	assert_int_equal(guest_tls_new(context, &p->server), ERR_OK);
	p->client = SSL_new(client_ctx);
	p->in = BIO_new(BIO_s_mem());
	p->out = BIO_new(BIO_s_mem());
	SSL_set_bio(p->client, p->in, p->out);
	SSL_set_connect_state(p->client);
	if (name) {
		char sni[64];	/* OpenSSL's macro casts const away */

		(void)snprintf(sni, sizeof sni, "%s", name);
		assert_int_equal(SSL_set_tlsext_host_name(p->client, sni), 1);
		assert_int_equal(SSL_set1_host(p->client, name), 1);
	}
	if (version)
		assert_int_equal(SSL_set_max_proto_version(p->client, version), 1);
}

static void pair_close(struct pair *p)
{
	guest_tls_free(p->server);
	SSL_free(p->client);
}

/* Ciphertext both ways, @step bytes at a time towards the server; true if anything moved. */
static bool move(struct pair *p, size_t step)
{
	struct str output = guest_tls_output(p->server);
	char bytes[GUEST_TLS_CHUNK];
	bool moved = output.n > 0;
	int got;

	if (moved)
		assert_int_equal(BIO_write(p->in, output.p, (int)output.n), (int)output.n);
	guest_tls_sent(p->server, output.n);
	got = BIO_read(p->out, bytes, (int)step);
	if (got > 0) {
		assert_int_equal(guest_tls_input(p->server, str_make(bytes, (size_t)got)), ERR_OK);
		moved = true;
	}
	return moved;
}

/* Until the server asks, is done, or has failed. */
static enum err shake(struct pair *p, size_t step)
{
	for (;;) {
		enum err e;

		(void)SSL_do_handshake(p->client);
		e = guest_tls_handshake(p->server);
		if (e != ERR_MORE || guest_tls_asks(p->server))
			return e;
		if (!move(p, step))
			return ERR_MORE;
	}
}

static void finish(struct pair *p)
{
	while (move(p, 4096))
		(void)SSL_do_handshake(p->client);
}

static unsigned client_alert(struct pair *p)
{
	ERR_clear_error();
	finish(p);
	(void)SSL_do_handshake(p->client);
	return (unsigned)ERR_GET_REASON(ERR_peek_last_error());
}

static void talk(int version, size_t step)
{
	struct pair p;
	char bytes[100];
	size_t n;

	put_leaf(STR("api.example"));
	pair_open(&p, "api.example", version);
	assert_int_equal(shake(&p, step), ERR_MORE);
	assert_true(guest_tls_asks(p.server));
	assert_int_equal(guest_tls_handshake(p.server), ERR_MORE);	/* still asks */
	assert_true(str_eq(guest_tls_server_name(p.server), STR("api.example")));
	assert_int_equal(guest_tls_accept(p.server, STR("api.example")), ERR_OK);
	assert_int_equal(shake(&p, step), ERR_OK);
	finish(&p);
	assert_true(SSL_is_init_finished(p.client));
	assert_int_equal(SSL_get_verify_result(p.client), X509_V_OK);
	assert_int_equal(guest_tls_read(p.server, bytes, sizeof bytes, &n), ERR_MORE);
	assert_int_equal(SSL_write(p.client, "hello", 5), 5);
	finish(&p);
	assert_int_equal(guest_tls_read(p.server, bytes, sizeof bytes, &n), ERR_OK);
	assert_int_equal(n, 5);
	assert_int_equal(guest_tls_write(p.server, STR("good day")), ERR_OK);
	guest_tls_close(p.server);
	guest_tls_close(p.server);
	finish(&p);
	assert_int_equal(SSL_read(p.client, bytes, sizeof bytes), 8);
	assert_int_equal(SSL_read(p.client, bytes, sizeof bytes), 0);
	assert_int_equal(SSL_get_error(p.client, 0), SSL_ERROR_ZERO_RETURN);
	SSL_shutdown(p.client);
	finish(&p);
	assert_int_equal(guest_tls_read(p.server, bytes, sizeof bytes, &n), ERR_CLOSED);
	pair_close(&p);
}

static void both_versions_talk(void **state)
{
	(void)state;
	talk(0, 4096);
	talk(TLS1_2_VERSION, 4096);
	talk(0, 1);
}

static void a_refusal_is_an_alert(void **state)
{
	(void)state;
	static const struct {
		enum err why;
		unsigned reason;
	} refusals[] = {
		{ ERR_POLICY_DENIED, SSL_R_TLSV1_ALERT_ACCESS_DENIED },
		{ ERR_NAME_MISMATCH, SSL_R_TLSV1_UNRECOGNIZED_NAME },
		{ ERR_LOCAL, SSL_R_TLSV1_ALERT_INTERNAL_ERROR },
	};

	for (size_t i = 0; i < sizeof refusals / sizeof *refusals; i++) {
		struct pair p;

		pair_open(&p, "api.example", 0);
		assert_int_equal(shake(&p, 4096), ERR_MORE);
		guest_tls_refuse(p.server, refusals[i].why);
		assert_int_equal(shake(&p, 4096), ERR_TLS);
		assert_int_equal(client_alert(&p), refusals[i].reason);
		assert_int_equal(guest_tls_handshake(p.server), ERR_TLS);
		pair_close(&p);
	}
}

static void http2_and_http1_are_agreed_on(void **state)
{
	(void)state;
	static const struct {
		struct str offer, taken;	/* taken empty: refused */
	} offers[] = {
		{ STR_INIT("\x02" "h2" "\x08" "http/1.1"), STR_INIT("h2") },
		{ STR_INIT("\x08" "http/1.1" "\x02" "h2"), STR_INIT("h2") },
		{ STR_INIT("\x08" "http/1.1"), STR_INIT("http/1.1") },
		{ STR_INIT("\x02" "h2"), STR_INIT("h2") },
		{ STR_INIT("\x08" "http/1.0"), STR_INIT("") },
	};

	put_leaf(STR("api.example"));
	for (size_t i = 0; i < sizeof offers / sizeof *offers; i++) {
		const unsigned char *chosen;
		struct pair p;
		unsigned n;

		pair_open(&p, "api.example", 0);
		SSL_set_alpn_protos(p.client, (const unsigned char *)offers[i].offer.p,
				    (unsigned)offers[i].offer.n);
		assert_int_equal(shake(&p, 4096), ERR_MORE);
		assert_int_equal(guest_tls_accept(p.server, STR("api.example")), ERR_OK);
		assert_int_equal(shake(&p, 4096), offers[i].taken.n ? ERR_OK : ERR_TLS);
		if (offers[i].taken.n) {
			finish(&p);
			SSL_get0_alpn_selected(p.client, &chosen, &n);
			assert_true(str_eq(str_make(chosen, n), offers[i].taken));
		} else {
			assert_int_equal(client_alert(&p), SSL_R_TLSV1_ALERT_NO_APPLICATION_PROTOCOL);
		}
		pair_close(&p);
	}
}

static void without_a_name_there_is_none(void **state)
{
	(void)state;
	struct pair p;

	pair_open(&p, NULL, 0);
	assert_int_equal(shake(&p, 4096), ERR_MORE);
	assert_true(guest_tls_asks(p.server));
	assert_int_equal(guest_tls_server_name(p.server).n, 0);
	assert_int_equal(guest_tls_accept(p.server, STR("10.9.8.7")), ERR_INPUT);	/* no leaf yet */
	put_leaf(STR("10.9.8.7"));
	assert_int_equal(guest_tls_accept(p.server, STR("10.9.8.7")), ERR_OK);
	assert_int_equal(shake(&p, 4096), ERR_OK);
	pair_close(&p);
}

static void garbage_fails(void **state)
{
	(void)state;
	struct guest_tls *t;

	assert_int_equal(guest_tls_new(context, &t), ERR_OK);
	assert_int_equal(guest_tls_input(t, STR("\x16\x03\x01\x00\x05garbage and more of it")), ERR_OK);
	assert_int_equal(guest_tls_handshake(t), ERR_TLS);
	assert_true(guest_tls_output(t).n > 0);	/* an alert */
	guest_tls_close(t);
	guest_tls_free(t);
}

static void leaves_must_fit(void **state)
{
	(void)state;
	uint8_t other[MINT_POINT_BYTES];
	EVP_PKEY *key = EVP_EC_gen("P-256");
	unsigned char *point;
	auto_buf der = BUF_EMPTY;

	assert_int_equal(EVP_PKEY_get1_encoded_public_key(key, &point), sizeof other);
	memcpy(other, point, sizeof other);
	OPENSSL_free(point);
	EVP_PKEY_free(key);
	buf_init(&der, 2 * MINT_LEAF_MAX_BYTES);
	assert_int_equal(mint_leaf(mint, STR("x.example"), other, &der), ERR_OK);
	assert_int_equal(guest_tls_put_leaf(context, STR("x.example"), buf_str(&der)), ERR_INPUT);
	buf_clear(&der);
	assert_int_equal(mint_leaf(mint, STR("x.example"), (const uint8_t *)guest_tls_public_key(context).p,
				   &der),
			 ERR_OK);
	buf_put_byte(&der, 0);
	assert_int_equal(guest_tls_put_leaf(context, STR("x.example"), buf_str(&der)), ERR_INPUT);
	assert_int_equal(guest_tls_put_leaf(context, STR("X.example"), str_head(buf_str(&der), der.len - 1)),
			 ERR_INPUT);
	assert_int_equal(guest_tls_put_leaf(context, STR("x.example"), STR("")), ERR_INPUT);
	assert_false(guest_tls_has_leaf(context, STR("x.example")));
}

static void the_oldest_leaf_makes_room(void **state)
{
	(void)state;
	auto_buf der = BUF_EMPTY;

	put_leaf(STR("first.example"));
	buf_init(&der, MINT_LEAF_MAX_BYTES);
	assert_int_equal(mint_leaf(mint, STR("many.example"),
				   (const uint8_t *)guest_tls_public_key(context).p, &der),
			 ERR_OK);
	for (unsigned i = 0; i < GUEST_TLS_LEAVES_MAX; i++) {
		auto_buf name = BUF_EMPTY;

		buf_init(&name, 64);
		buf_printf(&name, "n%u.example", i);
		assert_int_equal(guest_tls_put_leaf(context, buf_str(&name), buf_str(&der)), ERR_OK);
	}
	assert_false(guest_tls_has_leaf(context, STR("first.example")));
	assert_true(guest_tls_has_leaf(context, STR("n1023.example")));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(both_versions_talk),
		cmocka_unit_test(a_refusal_is_an_alert),
		cmocka_unit_test(http2_and_http1_are_agreed_on),
		cmocka_unit_test(without_a_name_there_is_none),
		cmocka_unit_test(garbage_fails),
		cmocka_unit_test(leaves_must_fit),
		cmocka_unit_test(the_oldest_leaf_makes_room),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
