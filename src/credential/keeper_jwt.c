/* keeper_jwt.c - assertions signed with a service account's or an App's key, and client certificates
 *
 * The key never leaves: what is signed has the form of an assertion of this very issuer, is short-lived, and
 * names the key's own algorithm.
 * Source: RFC 7515 s5.1, RFC 7518 s3.3, s3.4, RFC 7523; Google, "Using OAuth 2.0 for server to server
 * applications"; GitHub, "Generating a JSON Web Token (JWT) for a GitHub App".
 */
#include "credential/keeper_ops.h"

#include "base/clock.h"

#include <jansson.h>
#define ERR_STATE OPENSSL_ERR_STATE	/* OpenSSL has a type of that name, which nobody needs */
#include <openssl/ecdsa.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#undef ERR_STATE

#define RSA_BITS_MIN 2048
#define SIGNATURE_MAX 1024
#define P256_BYTES 32

static struct str member(json_t *o, const char *name)
{
	json_t *v = json_object_get(o, name);

	return str_make(json_string_value(v), json_string_length(v));
}

/* ---- the key ---- */

struct account {
	EVP_PKEY *key;
	const char *algorithm;
	json_t *json;			/* NULL: a PEM key alone */
};

static void account_free(struct account *a)
{
	EVP_PKEY_free(a->key);
	json_decref(a->json);
}

/* no passphrase is asked for: there is nobody to ask */
static int no_passphrase(char *buffer, int size, int writing, void *user)
{
	(void)buffer, (void)size, (void)writing, (void)user;
	return -1;
}

static EVP_PKEY *read_pem(struct str pem)
{
	BIO *bio = pem.n ? BIO_new_mem_buf(pem.p, (int)pem.n) : NULL;
	EVP_PKEY *key = bio ? PEM_read_bio_PrivateKey(bio, NULL, no_passphrase, NULL) : NULL;

	BIO_free(bio);
	ERR_clear_error();
	return key;
}

static const char *algorithm_of(const EVP_PKEY *key)
{
	char group[32] = "";
	size_t n = 0;

	if (EVP_PKEY_is_a(key, "RSA") && EVP_PKEY_get_bits(key) >= RSA_BITS_MIN)
		return "RS256";
	if (EVP_PKEY_is_a(key, "EC") && EVP_PKEY_get_group_name(key, group, sizeof group, &n) == 1 &&
	    strcmp(group, "prime256v1") == 0)
		return "ES256";
	return NULL;
}

static enum err account_read(struct str text, struct account *ret, const char **ret_reason)
{
	struct account a = { .key = NULL };
	struct str pem = text;

	if (text.n && text.p[0] == '{') {
		a.json = json_loadb(text.p, text.n, JSON_REJECT_DUPLICATES, NULL);
		pem = member(a.json, "private_key");
	}
	a.key = read_pem(pem);
	a.algorithm = a.key ? algorithm_of(a.key) : NULL;
	if (!a.algorithm) {
		*ret_reason = a.key ? "its key is neither RSA of 2048 bits or more nor P-256"
				    : "it holds no private key, or one with a passphrase";
		account_free(&a);
		return ERR_CREDENTIAL;
	}
	*ret = a;
	return ERR_OK;
}

enum err keeper_op_account(const struct keeper_credential *c, struct str text, struct buf *out,
			   const char **ret_reason)
{
	static const char *const names[] = { "client_email", "private_key_id", "token_uri", "project_id" };
	struct account a;
	enum err e = account_read(text, &a, ret_reason);

	(void)c;
	if (e)
		return e;
	keeper_put_field(out, str_of(a.algorithm));
	for (size_t i = 0; i < sizeof names / sizeof *names; i++)
		keeper_put_field(out, member(a.json, names[i]));
	account_free(&a);
	return buf_err(out);
}

/* ---- assertions ---- */

static json_t *read_part(struct str base64url)
{
	auto_buf b = BUF_EMPTY;

	buf_init(&b, KEEPER_JWT_MAX);
	if (base64url.n == 0 || base64url_decode(&b, base64url))
		return NULL;
	return json_loadb(b.p, b.len, JSON_REJECT_DUPLICATES, NULL);
}

static bool is_short_lived(json_t *claims, uint64_t now_s)
{
	json_int_t from = json_integer_value(json_object_get(claims, "iat"));
	json_int_t until = json_integer_value(json_object_get(claims, "exp"));

	/* GitHub wants "iat" a minute early, against clocks that differ */
	return from > 0 && until > from && until - from <= KEEPER_JWT_LIFE_S + KEEPER_JWT_SKEW_S &&
	       (uint64_t)until > now_s && (uint64_t)until <= now_s + KEEPER_JWT_LIFE_S + KEEPER_JWT_SKEW_S;
}

static const char *judge(const struct keeper_credential *c, const struct account *a, struct str asked)
{
	struct str header = str_head(asked, str_find(asked, '.')), claims = str_from(asked, header.n + 1);
	struct str issuer = c->issuer ? str_of(c->issuer) : member(a->json, "client_email");
	json_t *h = read_part(header), *k = read_part(claims);
	const char *reason = NULL;

	if (asked.n > KEEPER_JWT_MAX || !json_is_object(h) || !json_is_object(k))
		reason = "what was to be signed is no JSON Web Token";
	else if (!str_eq(member(h, "alg"), str_of(a->algorithm)))
		reason = "an assertion was asked for with another algorithm than the key's";
	else if (issuer.n == 0 || !str_eq(member(k, "iss"), issuer))
		reason = "an assertion was asked for another issuer";
	else if (!is_short_lived(k, clock_unix_ns() / 1000000000))
		reason = "an assertion was asked for that is over or lives too long";
	json_decref(h);
	json_decref(k);
	return reason;
}

/* JOSE has r and s side by side, OpenSSL a DER sequence of them */
static bool der_to_raw(uint8_t *signature, size_t *n)
{
	const uint8_t *p = signature;
	ECDSA_SIG *s = d2i_ECDSA_SIG(NULL, &p, (long)*n);
	bool ok = s && BN_bn2binpad(ECDSA_SIG_get0_r(s), signature, P256_BYTES) == P256_BYTES &&
		  BN_bn2binpad(ECDSA_SIG_get0_s(s), signature + P256_BYTES, P256_BYTES) == P256_BYTES;

	ECDSA_SIG_free(s);
	*n = (size_t)2 * P256_BYTES;
	return ok;
}

static enum err sign(const struct account *a, struct str asked, struct buf *out)
{
	EVP_MD_CTX *context = EVP_MD_CTX_new();
	uint8_t signature[SIGNATURE_MAX];
	size_t n = sizeof signature;
	bool ok = context && EVP_DigestSignInit(context, NULL, EVP_sha256(), NULL, a->key) == 1 &&
		  EVP_DigestSign(context, signature, &n, (const uint8_t *)asked.p, asked.n) == 1 &&
		  (a->algorithm[0] != 'E' || der_to_raw(signature, &n));

	EVP_MD_CTX_free(context);
	ERR_clear_error();
	if (!ok)
		return ERR_MEMORY;
	buf_put_base64url(out, str_make(signature, n));
	return buf_err(out);
}

enum err keeper_op_jwt(const struct keeper_credential *c, struct str text, struct str asked, struct buf *out,
		       const char **ret_reason)
{
	struct account a;
	const char *reason;
	enum err e = account_read(text, &a, ret_reason);

	if (e)
		return e;
	reason = judge(c, &a, asked);
	*ret_reason = reason ? reason : "OpenSSL could not sign";
	e = reason ? ERR_INPUT : sign(&a, asked, out);
	account_free(&a);
	return e;
}

/* ---- client certificates ---- */

enum err keeper_op_certificate(struct str text, struct buf *out, const char **ret_reason)
{
	BIO *bio = BIO_new_mem_buf(text.p, (int)text.n);
	X509 *certificate = bio ? PEM_read_bio_X509(bio, NULL, no_passphrase, NULL) : NULL;
	EVP_PKEY *key = read_pem(text);
	bool ok = certificate && key && X509_check_private_key(certificate, key) == 1;

	BIO_free(bio);
	X509_free(certificate);
	EVP_PKEY_free(key);
	ERR_clear_error();
	*ret_reason = "it is not PEM of a certificate and its private key";
	if (!ok)
		return ERR_CREDENTIAL;
	buf_put(out, text);
	return buf_err(out);
}
