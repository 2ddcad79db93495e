/* keeper_ops_test.c - what the keeper signs and replaces, and what it will not */
#include "base/clock.h"
#include "credential/keeper_login.h"
#include "credential/keeper_ops.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>
#define ERR_STATE OPENSSL_ERR_STATE	/* OpenSSL has a type of that name, which nobody needs */
#include <openssl/ecdsa.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/sha.h>
#include <openssl/x509.h>
#undef ERR_STATE

static struct buf out;
static const char *reason;

static int set_up(void **state)
{
	(void)state;
	buf_init_secret(&out, KEEPER_DATA_MAX);
	reason = NULL;
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	buf_free(&out);
	return 0;
}

static struct str field(size_t i, size_t count)
{
	static struct str fields[16];

	assert_true(count <= 16 && keeper_fields(buf_str(&out), fields, count));
	return fields[i];
}

static void field_is(size_t i, size_t count, const char *wanted)
{
	struct str got = field(i, count);

	if (!str_eq(got, str_of(wanted)))
		fail_msg("field %zu: '%.*s', not '%s'", i, STR_FMT(got), wanted);
}

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
	char *with[] = { s3, iam, NULL }, *without[] = { s3, NULL }, *here[] = { east, NULL }, *there[] = { west, NULL };
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
	json_t *o = json_pack("{s:s, s:s, s:s, s:s, s:s#, s:s}", "type", "service_account", "project_id", "p-1",
			      "private_key_id", "kid", "client_email", "me@p-1.iam.test", "private_key", pem.p,
			      (int)pem.n, "token_uri", "https://oauth2.test/token");
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

	snprintf(text, sizeof text, "{\"iss\":\"%s\",\"aud\":\"x\",\"iat\":%ld,\"exp\":%ld}", issuer, now + from, now + until);
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
	assert_int_equal(EVP_DigestVerify(context, signature, n, (const unsigned char *)asked, strlen(asked)), 1);
	EVP_MD_CTX_free(context);
}

static void assertions_are_signed_for_their_issuer(void **state)
{
	(void)state;
	EVP_PKEY *rsa = EVP_RSA_gen(2048), *ec = EVP_EC_gen("P-256");
	struct keeper_credential c = { .use = KEEPER_USE_JWT }, app = { .use = KEEPER_USE_JWT, .issuer = "12345" };
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
	assert_int_equal(jwt(&c, buf_str(&json), unsigned_token(rs256, claims("you@p-1.iam.test", 0, 60))), ERR_INPUT);
	assert_int_equal(jwt(&c, buf_str(&pem), unsigned_token(rs256, claims("", 0, 60))), ERR_INPUT);
	assert_int_equal(jwt(&app, buf_str(&pem), unsigned_token(es256, claims("12345", 0, 60))), ERR_INPUT);
	assert_int_equal(jwt(&app, buf_str(&pem), unsigned_token("{\"alg\":\"none\"}", claims("12345", 0, 60))), ERR_INPUT);
	assert_int_equal(jwt(&app, buf_str(&pem), unsigned_token(rs256, claims("12345", 0, 100000))), ERR_INPUT);
	assert_int_equal(jwt(&app, buf_str(&pem), unsigned_token(rs256, claims("12345", -3600, -1))), ERR_INPUT);
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
	EVP_PKEY *keys[] = { EVP_RSA_gen(1024), EVP_EC_gen("P-384"), EVP_PKEY_Q_keygen(NULL, NULL, "ED25519") };
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

/* ---- logins ---- */

#define CLAUDE "{\"mcpOAuth\":{\"x\":1},\"claudeAiOauth\":{\"accessToken\":\"sk-ant-oat01-old\",\"refreshToken\":" \
	       "\"sk-ant-ort01-old\",\"expiresAt\":1795323600123,\"scopes\":[\"user:inference\",\"user:profile\"]," \
	       "\"subscriptionType\":\"max\",\"rateLimitTier\":\"tier\"},\"last\":[1.5,null]}"
/* {"exp":1795323600} */
#define CODEX "{\n  \"OPENAI_API_KEY\": null,\n  \"tokens\": {\n    \"id_token\": \"h.eyJlbWFpbCI6Im1lQHgudGVzdCJ9.s\",\n" \
	      "    \"access_token\": \"h.eyJleHAiOjE3OTUzMjM2MDB9.s\",\n    \"refresh_token\": \"rt-old\",\n" \
	      "    \"account_id\": \"acc\"\n  },\n  \"last_refresh\": \"2026-01-01T00:00:00Z\"\n}"

static char directory[64], path[96];

static void put_file(const char *name, const char *text, mode_t mode)
{
	snprintf(path, sizeof path, "%s/%s", directory, name);
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, mode);

	assert_true(fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text) && fchmod(fd, mode) == 0);
	close(fd);
}

static const char *file_text(void)
{
	static char text[8192];
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n = read(fd, text, sizeof text - 1);

	assert_true(fd >= 0 && n >= 0);
	close(fd);
	text[n] = 0;
	return text;
}

static int make_directory(void **state)
{
	snprintf(directory, sizeof directory, "/tmp/keeper-ops-XXXXXX");
	return mkdtemp(directory) ? set_up(state) : 1;
}

static int remove_directory(void **state)
{
	char command[128];

	snprintf(command, sizeof command, "rm -rf %s", directory);
	return system(command) || tear_down(state);
}

static struct keeper_credential login_of(enum keeper_use use)
{
	return (struct keeper_credential){
		.use = use, .source = { .kind = KEEPER_FILE, .path = path, .real = path } };
}

static enum err replace(enum keeper_use use, const char *read, const char *access, const char *refresh, const char *id,
			const char *expires)
{
	const struct keeper_credential c = login_of(use);
	uint8_t digest[SHA256_DIGEST_LENGTH];
	auto_buf asked = BUF_EMPTY, hex = BUF_EMPTY;

	SHA256((const uint8_t *)read, strlen(read), digest);
	buf_init(&hex, 64);
	buf_init(&asked, KEEPER_TEXT_MAX);
	buf_put_hex(&hex, str_make(digest, sizeof digest));
	keeper_put_field(&asked, buf_str(&hex));
	keeper_put_field(&asked, str_of(access));
	keeper_put_field(&asked, str_of(refresh));
	keeper_put_field(&asked, str_of(id));
	keeper_put_field(&asked, str_of(expires));
	buf_clear(&out);
	return keeper_op_replace(&c, buf_str(&asked), &out, &reason);
}

static void logins_are_read(void **state)
{
	(void)state;
	struct keeper_credential c = login_of(KEEPER_USE_CLAUDE);
	static const char *const bad[] = {
		"", "{}", "[]", "{\"claudeAiOauth\":null}", "{\"claudeAiOauth\":{\"accessToken\":\"\",\"refreshToken\":\"\"}}",
		"{\"claudeAiOauth\":{\"accessToken\":\"a b\",\"refreshToken\":\"c\"}}",
		"{\"claudeAiOauth\":{\"accessToken\":\"a\\u0000b\",\"refreshToken\":\"c\"}}", "{\"claudeAiOauth\":{}",
	};

	assert_int_equal(keeper_op_login(&c, STR(CLAUDE), &out, &reason), ERR_OK);
	field_is(0, 7, "sk-ant-oat01-old");
	field_is(1, 7, "sk-ant-ort01-old");
	field_is(3, 7, "1795323600123");
	field_is(5, 7, "user:inference user:profile");
	field_is(6, 7, "max");
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
		assert_int_equal(keeper_op_login(&c, str_of(bad[i]), &out, &reason), ERR_CREDENTIAL);
	c.use = KEEPER_USE_CODEX;
	buf_clear(&out);
	assert_int_equal(keeper_op_login(&c, STR(CODEX), &out, &reason), ERR_OK);
	field_is(0, 7, "h.eyJleHAiOjE3OTUzMjM2MDB9.s");
	field_is(1, 7, "rt-old");
	field_is(2, 7, "h.eyJlbWFpbCI6Im1lQHgudGVzdCJ9.s");
	field_is(3, 7, "1795323600000");
	field_is(4, 7, "acc");
}

static void a_login_is_replaced_if_it_is_the_one_that_was_read(void **state)
{
	(void)state;
	struct stat before, after;

	put_file(".credentials.json", CLAUDE, 0640);
	assert_int_equal(stat(path, &before), 0);
	assert_int_equal(replace(KEEPER_USE_CLAUDE, "sk-ant-ort01-old", "oat-new", "ort-new", "", "1800000000000"), ERR_OK);
	field_is(0, 8, "replaced");
	field_is(1, 8, "oat-new");
	field_is(2, 8, "ort-new");
	field_is(4, 8, "1800000000000");
	assert_string_equal(file_text(), "{\"mcpOAuth\":{\"x\":1},\"claudeAiOauth\":{\"accessToken\":\"oat-new\","
			    "\"refreshToken\":\"ort-new\",\"expiresAt\":1800000000000,\"scopes\":[\"user:inference\","
			    "\"user:profile\"],\"subscriptionType\":\"max\",\"rateLimitTier\":\"tier\"},\"last\":[1.5,null]}");
	assert_int_equal(stat(path, &after), 0);
	assert_true(after.st_ino != before.st_ino && after.st_mode == before.st_mode);

	/* somebody else was first: their tokens are the answer, and stay */
	assert_int_equal(replace(KEEPER_USE_CLAUDE, "sk-ant-ort01-old", "oat-late", "ort-late", "", ""), ERR_OK);
	field_is(0, 8, "other");
	field_is(1, 8, "oat-new");
	field_is(2, 8, "ort-new");
	assert_null(strstr(file_text(), "late"));

	/* the refresh token may stay the same */
	assert_int_equal(replace(KEEPER_USE_CLAUDE, "ort-new", "oat-newer", "", "", ""), ERR_OK);
	field_is(1, 8, "oat-newer");
	field_is(2, 8, "ort-new");

	put_file("auth.json", CODEX, 0600);
	assert_int_equal(replace(KEEPER_USE_CODEX, "rt-old", "h.e30.s", "rt-new", "h.e30.i", ""), ERR_OK);
	field_is(0, 8, "replaced");
	field_is(3, 8, "h.e30.i");
	assert_non_null(strstr(file_text(), "\"OPENAI_API_KEY\": null"));
	assert_non_null(strstr(file_text(), "\"refresh_token\": \"rt-new\""));
	assert_non_null(strstr(file_text(), "\"account_id\": \"acc\""));
	assert_null(strstr(file_text(), "2026-01-01"));
}

static void a_refresh_token_alone_is_replaced(void **state)
{
	(void)state;
	put_file("token", "old-refresh\n", 0600);
	assert_int_equal(replace(KEEPER_USE_REFRESH, "old-refresh", "", "new-refresh", "", ""), ERR_OK);
	field_is(0, 8, "replaced");
	field_is(2, 8, "new-refresh");
	assert_string_equal(file_text(), "new-refresh\n");
	assert_int_equal(replace(KEEPER_USE_REFRESH, "old-refresh", "", "newer", "", ""), ERR_OK);
	field_is(0, 8, "other");
	field_is(2, 8, "new-refresh");
	assert_int_equal(replace(KEEPER_USE_REFRESH, "new-refresh", "access", "newer", "", ""), ERR_INPUT);
	assert_int_equal(replace(KEEPER_USE_REFRESH, "new-refresh", "", "", "", ""), ERR_INPUT);
}

static void a_locked_file_is_not_touched(void **state)
{
	(void)state;
	char lock[128];
	const struct timespec old[2] = { { .tv_sec = time(NULL) - 60 }, { .tv_sec = time(NULL) - 60 } };

	put_file(".credentials.json", CLAUDE, 0600);
	snprintf(lock, sizeof lock, "%s/.storage-write.lock", directory);
	assert_int_equal(mkdir(lock, 0700), 0);
	assert_int_equal(replace(KEEPER_USE_CLAUDE, "sk-ant-ort01-old", "a", "b", "", ""), ERR_MORE);
	assert_string_equal(file_text(), CLAUDE);
	assert_int_equal(utimensat(AT_FDCWD, lock, old, 0), 0);	/* its owner is gone */
	assert_int_equal(replace(KEEPER_USE_CLAUDE, "sk-ant-ort01-old", "a", "b", "", ""), ERR_OK);
	assert_int_equal(access(lock, F_OK), -1);

	put_file("auth.json", CODEX, 0600);
	snprintf(lock, sizeof lock, "%s/.auth.json.lock", directory);
	int fd = open(lock, O_RDWR | O_CREAT | O_CLOEXEC, 0600);

	assert_int_equal(flock(fd, LOCK_EX), 0);
	assert_int_equal(replace(KEEPER_USE_CODEX, "rt-old", "h.e30.s", "b", "", ""), ERR_MORE);
	assert_string_equal(file_text(), CODEX);
	close(fd);
	assert_int_equal(replace(KEEPER_USE_CODEX, "rt-old", "h.e30.s", "b", "", ""), ERR_OK);
}

/* Of two sandboxes one refreshes at a time; Claude Code outside of them takes the same lock. */
static void a_lease_is_one_askers(void **state)
{
	(void)state;
	static const struct { enum keeper_use use; const char *name, *text, *lock; } cases[] = {
		{ KEEPER_USE_CLAUDE, ".credentials.json", CLAUDE, ".oauth_refresh.lock" },
		{ KEEPER_USE_CODEX, "auth.json", CODEX, NULL },
		{ KEEPER_USE_REFRESH, "token", "old-refresh\n", NULL },
	};

	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct keeper_lease one = { -1, -1, NULL }, two = { -1, -1, NULL };
		char lock[128];

		put_file(cases[i].name, cases[i].text, 0600);
		snprintf(lock, sizeof lock, "%s/%s", directory, cases[i].lock ? cases[i].lock : "none");
		const struct keeper_credential c = login_of(cases[i].use);

		buf_clear(&out);
		assert_int_equal(keeper_op_lease(&c, &one, &out, &reason), ERR_OK);
		field_is(0, 8, "taken");
		assert_int_equal(access(lock, F_OK), cases[i].lock ? 0 : -1);
		buf_clear(&out);
		assert_int_equal(keeper_op_lease(&c, &two, &out, &reason), ERR_OK);
		field_is(0, 8, "busy");
		field_is(2, 8, i == 0 ? "sk-ant-ort01-old" : i == 1 ? "rt-old" : "old-refresh");
		assert_int_equal(two.directory, -1);
		keeper_lease_leave(&one);
		keeper_lease_leave(&one);
		assert_int_equal(access(lock, F_OK), -1);
		buf_clear(&out);
		assert_int_equal(keeper_op_lease(&c, &two, &out, &reason), ERR_OK);
		field_is(0, 8, "taken");
		keeper_lease_leave(&two);
	}
}

static void bad_replacements_are_refused(void **state)
{
	(void)state;
	static const char *const bad[][4] = {
		{ "a b", "c", "", "" }, { "a\"", "c", "", "" }, { "a\\", "c", "", "" }, { "a\n", "c", "", "" },
		{ "", "c", "", "" }, { "a", "c\x7f", "", "" }, { "a", "c", " ", "" }, { "a", "c", "", "-1" },
		{ "a", "c", "", "1.5" }, { "a", "c", "", "99999999999999999999" },
	};
	const struct keeper_credential c = login_of(KEEPER_USE_CLAUDE);
	struct keeper_credential value = c;

	put_file(".credentials.json", CLAUDE, 0600);
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
		assert_int_equal(replace(KEEPER_USE_CLAUDE, "sk-ant-ort01-old", bad[i][0], bad[i][1], bad[i][2], bad[i][3]),
				 ERR_INPUT);
	assert_int_equal(keeper_op_replace(&c, STR("a\0b\0"), &out, &reason), ERR_INPUT);
	assert_int_equal(keeper_op_replace(&c, STR(""), &out, &reason), ERR_INPUT);
	value.source.kind = KEEPER_VALUE;
	assert_int_equal(keeper_op_replace(&value, STR("a\0b\0c\0d\0e\0"), &out, &reason), ERR_INPUT);
	assert_string_equal(file_text(), CLAUDE);
	put_file(".credentials.json", "{\"claudeAiOauth\":{\"accessToken\":", 0600);
	assert_int_equal(replace(KEEPER_USE_CLAUDE, "x", "a", "b", "", ""), ERR_CREDENTIAL);
	put_file(".credentials.json", "{\"claudeAiOauth\":{\"accessToken\":\"a\",\"refreshToken\":\"b\",\"x\":123456789012345678901234}}",
		 0600);	/* a number that would not come back as it was */
	assert_int_equal(replace(KEEPER_USE_CLAUDE, "b", "c", "d", "", ""), ERR_CREDENTIAL);
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
#define D(f) cmocka_unit_test_setup_teardown(f, make_directory, remove_directory)
	const struct CMUnitTest tests[] = {
		T(aws_keys_are_read_in_every_form), T(what_holds_no_aws_key_is_said), T(only_aws_strings_are_signed),
		T(aws_keys_sign_for_their_services_alone), T(assertions_are_signed_for_their_issuer),
		T(weak_and_other_keys_are_refused), T(a_client_certificate_has_its_key), T(logins_are_read),
		D(a_login_is_replaced_if_it_is_the_one_that_was_read), D(a_refresh_token_alone_is_replaced),
		D(a_locked_file_is_not_touched), D(a_lease_is_one_askers),
		D(bad_replacements_are_refused), T(fields_are_counted),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
