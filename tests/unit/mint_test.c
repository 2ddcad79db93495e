/* mint_test.c - OpenSSL's own verifier accepts the leaves, for their host only */
#include "tls/mint.h"

#include <setjmp.h>
#include <stdarg.h>
#include <time.h>

#include <cmocka.h>
#define ERR_STATE OPENSSL_ERR_STATE	/* OpenSSL has a type of that name, which nobody needs */
#include <openssl/core_names.h>
#include <openssl/ec.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#undef ERR_STATE

static EVP_PKEY *inspector_key;
static uint8_t point[MINT_POINT_BYTES];

static int make_point(void **state)
{
	size_t n = 0;

	(void)state;
	inspector_key = EVP_EC_gen("P-256");
	return !inspector_key ||
	       EVP_PKEY_get_octet_string_param(inspector_key, OSSL_PKEY_PARAM_PUB_KEY, point, sizeof point,
					       &n) != 1 ||
	       n != sizeof point;
}

static int free_point(void **state)
{
	(void)state;
	EVP_PKEY_free(inspector_key);
	return 0;
}

static X509 *parse_ca(const struct mint *m)
{
	auto_buf pem = BUF_EMPTY;
	BIO *bio;
	X509 *x;

	buf_init(&pem, 8192);
	assert_int_equal(mint_ca_pem(m, &pem), ERR_OK);
	bio = BIO_new_mem_buf(pem.p, (int)pem.len);
	x = PEM_read_bio_X509(bio, NULL, NULL, NULL);
	assert_non_null(x);
	BIO_free(bio);
	return x;
}

static X509 *leaf(const struct mint *m, const char *host)
{
	const uint8_t *p;
	auto_buf der = BUF_EMPTY;
	X509 *x;

	buf_init(&der, 8192);
	assert_int_equal(mint_leaf(m, str_of(host), point, &der), ERR_OK);
	assert_true(der.len <= MINT_LEAF_MAX_BYTES);
	p = (const uint8_t *)der.p;
	x = d2i_X509(NULL, &p, (long)der.len);
	assert_non_null(x);
	assert_ptr_equal(p, der.p + der.len);
	return x;
}

static bool verifies(X509 *ca, X509 *x, const char *host, time_t at)
{
	X509_STORE *store = X509_STORE_new();
	X509_STORE_CTX *context = X509_STORE_CTX_new();
	X509_VERIFY_PARAM *parameters;
	bool ok;

	assert_true(X509_STORE_add_cert(store, ca) && X509_STORE_CTX_init(context, store, x, NULL));
	parameters = X509_STORE_CTX_get0_param(context);
	X509_VERIFY_PARAM_set_flags(parameters, X509_V_FLAG_X509_STRICT | X509_V_FLAG_CHECK_SS_SIGNATURE);
	X509_VERIFY_PARAM_set_time(parameters, at);
	X509_STORE_CTX_set_default(context, "ssl_server");
	if (strspn(host, "0123456789abcdef.:") == strlen(host))
		X509_VERIFY_PARAM_set1_ip_asc(parameters, host);
	else
		X509_VERIFY_PARAM_set1_host(parameters, host, 0);
	ok = X509_verify_cert(context) == 1;
	X509_STORE_CTX_free(context);
	X509_STORE_free(store);
	return ok;
}

static void leaves_verify_for_their_host_only(void **state)
{
	(void)state;
	static const char long_name[] =
		"a23456789012345678901234567890123456789012345678901234567890123."
		"b23456789012345678901234567890."
		"c2345678901234567890123456789012345678901234567890123456789012.example";
	static const char *const hosts[] = { "api.example.com", "192.0.2.7", "2001:db8::1", long_name };
	time_t now = time(NULL);
	auto_mint m = NULL;
	X509 *ca;

	assert_int_equal(mint_new(STR("quiet-otter-1234"), (uint64_t)now, 3, &m), ERR_OK);
	ca = parse_ca(m);
	for (size_t i = 0; i < 4; i++) {
		X509 *x = leaf(m, hosts[i]);

		for (size_t k = 0; k < 4; k++)
			assert_int_equal(verifies(ca, x, hosts[k], now), i == k);
		assert_false(verifies(ca, x, "other.example.com", now));
		assert_true(verifies(ca, x, hosts[i], now - 3500));
		assert_false(verifies(ca, x, hosts[i], now - 3700));
		assert_true(verifies(ca, x, hosts[i], now + 3 * 86400 - 10));
		assert_false(verifies(ca, x, hosts[i], now + 3 * 86400 + 10));
		assert_true(EVP_PKEY_eq(X509_get0_pubkey(x), inspector_key));
		X509_free(x);
	}
	X509_free(ca);
}

static void a_leaf_is_no_authority(void **state)
{
	(void)state;
	time_t now = time(NULL);
	auto_mint one = NULL;
	auto_mint two = NULL;
	X509 *ca, *x, *again;

	assert_int_equal(mint_new(STR("one"), (uint64_t)now, 1, &one), ERR_OK);
	assert_int_equal(mint_new(STR("one"), (uint64_t)now, 1, &two), ERR_OK);
	ca = parse_ca(two);
	x = leaf(one, "a.example");
	again = leaf(one, "a.example");
	assert_false(verifies(ca, x, "a.example", now));	/* another sandbox's, of the same name */
	assert_int_equal(X509_check_ca(x), 0);
	assert_int_equal(X509_check_ca(ca), 1);
	assert_int_equal(X509_get_pathlen(ca), 0);
	assert_int_equal(X509_get_extended_key_usage(x), XKU_SSL_SERVER);
	assert_int_not_equal(ASN1_INTEGER_cmp(X509_get0_serialNumber(x), X509_get0_serialNumber(again)), 0);
	X509_free(again);
	X509_free(x);
	X509_free(ca);
}

static void bad_input_is_refused(void **state)
{
	(void)state;
	static const char *const hosts[] = { "", "A.example", "a.example.", "a.example,DNS:b.example",
					     "*.example",
		"a b", "[::1]", "1.2.3", "a..b", "-a.example" };
	uint8_t off_curve[MINT_POINT_BYTES];
	auto_mint m = NULL;
	auto_buf out = BUF_EMPTY;

	buf_init(&out, 8192);
	assert_int_equal(mint_new(STR("x"), 1795312800, 0, &m), ERR_INPUT);
	assert_int_equal(mint_new(STR("x"), 1795312800, MINT_DAYS_MAX + 1, &m), ERR_INPUT);
	assert_int_equal(mint_new(STR("\xff"), 1795312800, 1, &m), ERR_INPUT);
	assert_int_equal(mint_new(STR("a name of a sandbox that is longer than a common name may ever be, by far"),
				  1795312800, 1, &m), ERR_OK);
	for (size_t i = 0; i < sizeof hosts / sizeof *hosts; i++)
		assert_int_equal(mint_leaf(m, str_of(hosts[i]), point, &out), ERR_INPUT);
	memcpy(off_curve, point, sizeof point);
	off_curve[64] ^= 1;
	assert_int_equal(mint_leaf(m, STR("a.example"), off_curve, &out), ERR_INPUT);
	memcpy(off_curve, point, sizeof point);
	off_curve[0] = 2;
	assert_int_equal(mint_leaf(m, STR("a.example"), off_curve, &out), ERR_INPUT);
	assert_int_equal(out.len, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(leaves_verify_for_their_host_only),
		cmocka_unit_test(a_leaf_is_no_authority),
		cmocka_unit_test(bad_input_is_refused),
	};

	return cmocka_run_group_tests(tests, make_point, free_point);
}
