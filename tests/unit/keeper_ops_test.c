/* keeper_ops_test.c - what the keeper signs, and what it will not */
#include "keeper_ops_world.h"

#include "base/clock.h"

#include <jansson.h>
#define ERR_STATE OPENSSL_ERR_STATE	/* OpenSSL has a type of that name, which nobody needs */
#include <openssl/ecdsa.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/sha.h>
#include <openssl/x509.h>
#undef ERR_STATE

/* ---- AWS ---- */

#define ID "AKIDEXAMPLE"
#define KEY "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"
#define HASH "f536975d06c0309214f805bb90ccff089219ecd68b2577efef23edd43b7e1a59"
/* the example of AWS's own documentation */
#define TO_SIGN "AWS4-HMAC-SHA256\n20150830T123600Z\n20150830/us-east-1/iam/aws4_request\n" HASH
#define SIGNED "5d672d79c15b13162d9279b0855cfba6789a8edb4c82c400e06b5924a6f2b5d7"

static enum err aws(const struct keeper_credential *c, const char *text, const char *asked)
{
	buf_clear(&out);
	return keeper_op_sigv4(c, str_of(text), str_of(asked), &out, &reason);
}

static void aws_keys_are_read_in_every_form(void **state)
{
	(void)state;
	const struct keeper_credential plain = { .use = KEEPER_USE_SIGV4 };
	const struct keeper_credential other = { .use = KEEPER_USE_SIGV4, .profile = "other" };
	static const char ini[] = "# comment\n[default]\r\naws_access_key_id = " ID "\r\naws_secret_access_key=" KEY
		"\r\n[other]\nAWS_ACCESS_KEY_ID=AKIDOTHER\naws_secret_access_key = abc\naws_session_token = tok=en\n"
		"[profile third]\naws_access_key_id=AKIDTHIRD\naws_secret_access_key=x\n";
	static const char json[] = "{\"Version\":1,\"AccessKeyId\":\"" ID "\",\"SecretAccessKey\":\"" KEY
		"\",\"SessionToken\":\"token\",\"Expiration\":\"2026-11-22T05:00:00Z\"}";
	const struct keeper_credential third = { .use = KEEPER_USE_SIGV4, .profile = "third" };

	assert_int_equal(aws(&plain, ID ":" KEY "\n", TO_SIGN), ERR_OK);
	field_is(0, 3, ID);
	field_is(1, 3, "");
	field_is(2, 3, SIGNED);
	assert_int_equal(aws(&plain, ID ":" KEY ":token", TO_SIGN), ERR_OK);
	field_is(1, 3, "token");
	field_is(2, 3, SIGNED);
	assert_int_equal(aws(&plain, ini, TO_SIGN), ERR_OK);
	field_is(0, 3, ID);
	field_is(2, 3, SIGNED);
	assert_int_equal(aws(&other, ini, ""), ERR_OK);
	field_is(0, 3, "AKIDOTHER");
	field_is(1, 3, "tok=en");
	field_is(2, 3, "");
	assert_int_equal(aws(&third, ini, ""), ERR_OK);
	field_is(0, 3, "AKIDTHIRD");
	assert_int_equal(aws(&plain, json, TO_SIGN), ERR_OK);
	field_is(1, 3, "token");
	field_is(2, 3, SIGNED);
	assert_int_equal(keeper_text_expires_s(&plain, str_of(json), 5), 1795323600 - 60);
	assert_int_equal(keeper_text_expires_s(&plain, STR(ID ":" KEY), 5), 3605);
	assert_int_equal(keeper_text_expires_s(&plain, STR("{\"Expiration\":\"2026-11-22T05:00:00.25+00:00\"}"), 5),
			 1795323600 - 60);
	/* another place's time is none that is read: an hour */
	assert_int_equal(keeper_text_expires_s(&plain, STR("{\"Expiration\":\"2026-11-22T05:00:00+09:00\"}"), 5), 3605);
	assert_int_equal(keeper_text_expires_s(&plain, STR("{\"Expiration\":\"2026-11-22T05:00:00Zulu\"}"), 5), 3605);
	assert_null(memmem(out.p, out.len, KEY, strlen(KEY)));
}

static void what_holds_no_aws_key_is_said(void **state)
{
	(void)state;
	const struct keeper_credential c = { .use = KEEPER_USE_SIGV4, .profile = "absent" };
	static const char *const bad[] = {
		"", "x", ":", ID ":", ":" KEY, ID ": ", "{", "{}", "{\"AccessKeyId\":\"" ID "\"}",
		"[default]\naws_access_key_id=" ID "\naws_secret_access_key=" KEY "\n",
		"[absent]\naws_access_key_id=" ID "\n", ID " x:" KEY, ID ":" KEY ":to\x01ken",
	};

	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
		if (aws(&c, bad[i], "") != ERR_CREDENTIAL)
			fail_msg("%zu: %s", i, bad[i]);
}

static void only_aws_strings_are_signed(void **state)
{
	(void)state;
	const struct keeper_credential c = { .use = KEEPER_USE_SIGV4 };
	static const char *const good[] = {
		TO_SIGN,
		"AWS4-HMAC-SHA256-PAYLOAD\n20150830T123600Z\n20150830/us-east-1/s3/aws4_request\n" HASH "\n" HASH "\n" HASH,
		"AWS4-HMAC-SHA256-TRAILER\n20150830T123600Z\n20150830/us-east-1/s3/aws4_request\n" HASH "\n" HASH,
	};
	static const char *const bad[] = {
		"x", "AWS4-HMAC-SHA256\n", TO_SIGN "\n", TO_SIGN "a", " " TO_SIGN, TO_SIGN "\n" HASH,
		"AWS4-HMAC-SHA1\n20150830T123600Z\n20150830/us-east-1/iam/aws4_request\n" HASH,
		"AWS4-HMAC-SHA256\n20150831T123600Z\n20150830/us-east-1/iam/aws4_request\n" HASH,
		"AWS4-HMAC-SHA256\n20150830T123600Z\n20150830/us-east-1/iam/aws4_requests\n" HASH,
		"AWS4-HMAC-SHA256\n20150830T123600Z\n20150830/us-east-1/iam\n" HASH,
		"AWS4-HMAC-SHA256\n20150830T123600Z\n20150830//iam/aws4_request\n" HASH,
		"AWS4-HMAC-SHA256\n20150830T123600Z\n20150830/us east/iam/aws4_request\n" HASH,
		"AWS4-HMAC-SHA256\n20150830T123600Z\n20150830/us-east-1/iam/aws4_request\nF536975d06c0309214f805bb90ccff0"
		"89219ecd68b2577efef23edd43b7e1a59",
		"AWS4-HMAC-SHA256\n20150830T1236000\n20150830/us-east-1/iam/aws4_request\n" HASH,
	};

	for (size_t i = 0; i < sizeof good / sizeof *good; i++)
		assert_int_equal(aws(&c, ID ":" KEY, good[i]), ERR_OK);
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
		if (aws(&c, ID ":" KEY, bad[i]) != ERR_INPUT)
			fail_msg("%zu: %s", i, bad[i]);
}

static void aws_keys_sign_for_their_services_alone(void **state)
{
	(void)state;
	char s3[] = "s3", iam[] = "iam", east[] = "us-east-1", west[] = "us-west-2";
	char *with[] = { s3, iam, NULL }, *without[] = { s3, NULL }, *here[] = { east, NULL },
	     *there[] = { west, NULL };
	struct keeper_credential c = { .use = KEEPER_USE_SIGV4, .services = with, .regions = here };

	assert_int_equal(aws(&c, ID ":" KEY, TO_SIGN), ERR_OK);
	c.services = without;
	assert_int_equal(aws(&c, ID ":" KEY, TO_SIGN), ERR_INPUT);
	assert_int_equal(aws(&c, ID ":" KEY, ""), ERR_OK);
	c.services = with;
	c.regions = there;
	assert_int_equal(aws(&c, ID ":" KEY, TO_SIGN), ERR_INPUT);
}

/* ---- assertions ---- */

static void pem_of(EVP_PKEY *key, struct buf *pem)
{
	BIO *bio = BIO_new(BIO_s_mem());
	char *p;
	long n;

	assert_int_equal(PEM_write_bio_PrivateKey(bio, key, NULL, NULL, 0, NULL, NULL), 1);
	n = BIO_get_mem_data(bio, &p);
	buf_init(pem, 8192);
	buf_put(pem, str_make(p, (size_t)n));
	BIO_free(bio);
}

static void account_of(struct str pem, struct buf *json)
{
	json_t *o = json_pack("{s:s, s:s, s:s, s:s, s:s#, s:s}", "type", "service_account", "project_id",
			      "p-1", "private_key_id", "kid", "client_email", "me@p-1.iam.test",
			      "private_key", pem.p, (int)pem.n, "token_uri", "https://oauth2.test/token");
	char *z = json_dumps(o, 0);

	buf_init(json, 16384);
	buf_put_z(json, z);
	free(z);
	json_decref(o);
}

static const char *unsigned_token(const char *header, const char *claims)
{
	static char text[2 * KEEPER_JWT_MAX];	/* until the next */
	auto_buf b = BUF_EMPTY;

	buf_init(&b, sizeof text - 1);
	buf_put_base64url(&b, str_of(header));
	buf_put_z(&b, ".");
	buf_put_base64url(&b, str_of(claims));
	assert_non_null(buf_z(&b));
	memcpy(text, buf_z(&b), b.len + 1);
	return text;
}

static const char *claims(const char *issuer, long from, long until)
{
	static char text[512];
	long now = (long)time(NULL);

	snprintf(text, sizeof text, "{\"iss\":\"%s\",\"aud\":\"x\",\"iat\":%ld,\"exp\":%ld}", issuer,
		 now + from, now + until);
	return text;
}

static enum err jwt(const struct keeper_credential *c, struct str text, const char *asked)
{
	buf_clear(&out);
	return keeper_op_jwt(c, text, str_of(asked), &out, &reason);
}

static void verify(EVP_PKEY *key, const char *asked, bool ec)
{
	EVP_MD_CTX *context = EVP_MD_CTX_new();
	auto_buf raw = BUF_EMPTY;
	unsigned char der[128], *p = der;
	const unsigned char *signature;
	size_t n;

	buf_init(&raw, 1024);
	assert_int_equal(base64url_decode(&raw, buf_str(&out)), ERR_OK);
	signature = (const unsigned char *)raw.p;
	n = raw.len;
	if (ec) {
		ECDSA_SIG *s = ECDSA_SIG_new();

		assert_int_equal(n, 64);
		ECDSA_SIG_set0(s, BN_bin2bn(signature, 32, NULL), BN_bin2bn(signature + 32, 32, NULL));
		n = (size_t)i2d_ECDSA_SIG(s, &p);
		signature = der;
		ECDSA_SIG_free(s);
	}
	assert_int_equal(EVP_DigestVerifyInit(context, NULL, EVP_sha256(), NULL, key), 1);
	assert_int_equal(EVP_DigestVerify(context, signature, n, (const unsigned char *)asked, strlen(asked)),
			 1);
	EVP_MD_CTX_free(context);
}

static void assertions_are_signed_for_their_issuer(void **state)
{
	(void)state;
	EVP_PKEY *rsa = EVP_RSA_gen(2048), *ec = EVP_EC_gen("P-256");
	struct keeper_credential c = { .use = KEEPER_USE_JWT },
				 app = { .use = KEEPER_USE_JWT, .issuer = "12345" };
	static const char rs256[] = "{\"alg\":\"RS256\",\"typ\":\"JWT\"}", es256[] = "{\"alg\":\"ES256\"}";
	auto_buf pem = BUF_EMPTY, json = BUF_EMPTY, ec_pem = BUF_EMPTY;
	const char *asked;

	pem_of(rsa, &pem);
	pem_of(ec, &ec_pem);
	account_of(buf_str(&pem), &json);
	assert_int_equal(keeper_op_account(&c, buf_str(&json), &out, &reason), ERR_OK);
	field_is(0, 5, "RS256");
	field_is(1, 5, "me@p-1.iam.test");
	field_is(2, 5, "kid");
	field_is(3, 5, "https://oauth2.test/token");
	field_is(4, 5, "p-1");
	asked = unsigned_token(rs256, claims("me@p-1.iam.test", 0, 3600));
	assert_int_equal(jwt(&c, buf_str(&json), asked), ERR_OK);
	verify(rsa, asked, false);
	asked = unsigned_token(rs256, claims("12345", -60, 540));
	assert_int_equal(jwt(&app, buf_str(&pem), asked), ERR_OK);
	verify(rsa, asked, false);
	asked = unsigned_token(es256, claims("12345", 0, 600));
	for (int i = 0; i < 20; i++) {	/* short r and s too */
		assert_int_equal(jwt(&app, buf_str(&ec_pem), asked), ERR_OK);
		verify(ec, asked, true);
	}

	/* another issuer, none, another algorithm, too long, over, no token */
	assert_int_equal(jwt(&c, buf_str(&json), unsigned_token(rs256, claims("you@p-1.iam.test", 0, 60))),
			 ERR_INPUT);
	assert_int_equal(jwt(&c, buf_str(&pem), unsigned_token(rs256, claims("", 0, 60))), ERR_INPUT);
	assert_int_equal(jwt(&app, buf_str(&pem), unsigned_token(es256, claims("12345", 0, 60))), ERR_INPUT);
	assert_int_equal(jwt(&app, buf_str(&pem),
			     unsigned_token("{\"alg\":\"none\"}", claims("12345", 0, 60))), ERR_INPUT);
	assert_int_equal(jwt(&app, buf_str(&pem), unsigned_token(rs256, claims("12345", 0, 100000))),
			 ERR_INPUT);
	assert_int_equal(jwt(&app, buf_str(&pem), unsigned_token(rs256, claims("12345", -3600, -1))),
			 ERR_INPUT);
	assert_int_equal(jwt(&app, buf_str(&pem), unsigned_token(rs256, "{\"iss\":\"12345\"}")), ERR_INPUT);
	assert_int_equal(jwt(&app, buf_str(&pem), "anything"), ERR_INPUT);
	assert_int_equal(jwt(&app, buf_str(&pem), ""), ERR_INPUT);
	assert_int_equal(jwt(&app, STR("-----BEGIN"), asked), ERR_CREDENTIAL);
	EVP_PKEY_free(rsa);
	EVP_PKEY_free(ec);
}

static void weak_and_other_keys_are_refused(void **state)
{
	(void)state;
	EVP_PKEY *keys[] = { EVP_RSA_gen(1024), EVP_EC_gen("P-384"),
			     EVP_PKEY_Q_keygen(NULL, NULL, "ED25519") };
	const struct keeper_credential c = { .use = KEEPER_USE_JWT };

	for (size_t i = 0; i < 3; i++) {
		auto_buf pem = BUF_EMPTY;

		pem_of(keys[i], &pem);
		assert_int_equal(keeper_op_account(&c, buf_str(&pem), &out, &reason), ERR_CREDENTIAL);
		assert_non_null(strstr(reason, "2048"));
		EVP_PKEY_free(keys[i]);
	}
}

static void a_client_certificate_has_its_key(void **state)
{
	(void)state;
	EVP_PKEY *key = EVP_EC_gen("P-256"), *other = EVP_EC_gen("P-256");
	X509 *x = X509_new();
	BIO *bio = BIO_new(BIO_s_mem());
	auto_buf pem = BUF_EMPTY, wrong = BUF_EMPTY;
	char *p;

	X509_gmtime_adj(X509_getm_notBefore(x), 0);
	X509_gmtime_adj(X509_getm_notAfter(x), 1000);
	X509_set_pubkey(x, key);
	assert_true(X509_sign(x, key, EVP_sha256()) > 0);
	PEM_write_bio_X509(bio, x);
	long n = BIO_get_mem_data(bio, &p);

	pem_of(key, &pem);
	pem_of(other, &wrong);
	assert_int_equal(keeper_op_certificate(buf_str(&pem), &out, &reason), ERR_CREDENTIAL);
	buf_put(&pem, str_make(p, (size_t)n));
	buf_put(&wrong, str_make(p, (size_t)n));
	assert_int_equal(keeper_op_certificate(buf_str(&wrong), &out, &reason), ERR_CREDENTIAL);
	assert_int_equal(keeper_op_certificate(buf_str(&pem), &out, &reason), ERR_OK);
	assert_true(str_eq(buf_str(&out), buf_str(&pem)));
	BIO_free(bio);
	X509_free(x);
	EVP_PKEY_free(key);
	EVP_PKEY_free(other);
}
/* ---- fields ---- */

static void fields_are_counted(void **state)
{
	(void)state;
	struct str f[2];

	assert_true(keeper_fields(STR("a\0b\0"), f, 2));
	assert_true(str_eq(f[1], STR("b")));
	assert_true(keeper_fields(STR("\0\0"), f, 2));
	assert_false(keeper_fields(STR("a\0"), f, 2));
	assert_false(keeper_fields(STR("a\0b"), f, 2));
	assert_false(keeper_fields(STR("a\0b\0c\0"), f, 2));
	assert_false(keeper_fields(STR(""), f, 1));
	keeper_put_field(&out, STR("a\0b"));
	assert_int_equal(buf_err(&out), ERR_INPUT);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		T(aws_keys_are_read_in_every_form), T(what_holds_no_aws_key_is_said),
		T(only_aws_strings_are_signed),
		T(aws_keys_sign_for_their_services_alone), T(assertions_are_signed_for_their_issuer),
		T(weak_and_other_keys_are_refused), T(a_client_certificate_has_its_key),
		T(fields_are_counted),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
