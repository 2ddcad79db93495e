/* mint.c - signs leaf certificates for the inspector's key; see mint.h
 *
 * Theory of operation: a sandbox's CA is made when it starts, trusted in its guest alone,
 * and forgotten when it ends; so there is no revocation and no list of serials. The inspector
 * shows the public half of its one key, and gets it back certified for a host at a time. The
 * private half of the CA's key never leaves this file, nor this process: there is no function
 * that writes it.
 * Input: a host that host_type() accepts and a point that OpenSSL finds on the curve;
 * extensions are built as structures, never from text, so that a name cannot become syntax.
 * Failure: nothing is appended.
 * Source: RFC 5280 s4.1, s4.2.
 */
#include "tls/mint.h"

#include "wire/head.h"

#include <arpa/inet.h>
#define ERR_STATE OPENSSL_ERR_STATE	/* OpenSSL has a type of that name, which nobody needs */
#include <openssl/core_names.h>
#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/param_build.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/x509v3.h>
#undef ERR_STATE
#include <stdlib.h>

#define DAY_SECONDS 86400
#define COMMON_NAME_MAX 64	/* RFC 5280 appendix A, ub-common-name */
#define SERIAL_BYTES 16

struct mint {
	EVP_PKEY *key;
	X509 *certificate;
};

#define AUTO_FREE(type, name) \
	static void name##_freep(type **p) { name##_free(*p); }
AUTO_FREE(X509, X509)
AUTO_FREE(EVP_PKEY, EVP_PKEY)
AUTO_FREE(EVP_PKEY_CTX, EVP_PKEY_CTX)
AUTO_FREE(X509_NAME, X509_NAME)
AUTO_FREE(GENERAL_NAMES, GENERAL_NAMES)
AUTO_FREE(BIO, BIO)
#define auto_free(type) __attribute__((cleanup(type##_freep))) type *

void mint_free(struct mint *m)
{
	if (!m)
		return;
	EVP_PKEY_free(m->key);
	X509_free(m->certificate);
	free(m);
}

static bool set_serial(X509 *x)
{
	uint8_t bytes[SERIAL_BYTES];
	BIGNUM *n;
	bool ok;

	if (RAND_bytes(bytes, sizeof bytes) != 1)
		return false;
	bytes[0] = (bytes[0] & 0x7f) | 0x40;	/* positive, never zero, always of one length */
	n = BN_bin2bn(bytes, sizeof bytes, NULL);
	ok = n && BN_to_ASN1_INTEGER(n, X509_get_serialNumber(x));
	BN_free(n);
	return ok;
}

static bool set_subject(X509 *x, struct str common_name)
{
	auto_free(X509_NAME) name = X509_NAME_new();

	return name &&
	       (common_name.n == 0 ||
		X509_NAME_add_entry_by_NID(name, NID_commonName, MBSTRING_UTF8,
					   (const uint8_t *)common_name.p, (int)common_name.n, -1, 0)) &&
	       X509_set_subject_name(x, name);
}

/* an extension whose value is one of our own literals */
static bool add_literal(X509 *x, X509 *issuer, int nid, const char *value)
{
	X509_EXTENSION *extension;
	X509V3_CTX context;
	bool ok;

	X509V3_set_ctx(&context, issuer, x, NULL, NULL, 0);
	extension = X509V3_EXT_conf_nid(NULL, &context, nid, value);
	ok = extension && X509_add_ext(x, extension, -1);
	X509_EXTENSION_free(extension);
	return ok;
}

static bool add_name(GENERAL_NAMES *names, int type, const void *bytes, size_t n)
{
	ASN1_STRING *value = type == GEN_DNS ? ASN1_IA5STRING_new() : ASN1_OCTET_STRING_new();
	GENERAL_NAME *name = GENERAL_NAME_new();

	if (!value || !name || !ASN1_STRING_set(value, bytes, (int)n)) {
		ASN1_STRING_free(value);
		GENERAL_NAME_free(name);
		return false;
	}
	GENERAL_NAME_set0_value(name, type, value);
	if (sk_GENERAL_NAME_push(names, name))
		return true;
	GENERAL_NAME_free(name);
	return false;
}

static bool add_host(X509 *x, struct str host, bool critical)
{
	auto_free(GENERAL_NAMES) names = GENERAL_NAMES_new();
	char text[HEAD_HOST_MAX + 1] = "";
	uint8_t address[16];
	bool ok = false;

	if (!names)
		return false;
	memcpy(text, host.p, host.n);
	switch (host_type(host)) {
	case HOST_NAME:
		ok = add_name(names, GEN_DNS, host.p, host.n);
		break;
	case HOST_IPV4:
		ok = inet_pton(AF_INET, text, address) == 1 && add_name(names, GEN_IPADD, address, 4);
		break;
	case HOST_IPV6:
		ok = inet_pton(AF_INET6, text, address) == 1 && add_name(names, GEN_IPADD, address, 16);
		break;
	case HOST_INVALID:
		break;
	}
	return ok && X509_add1_ext_i2d(x, NID_subject_alt_name, names, critical, X509V3_ADD_DEFAULT) == 1;
}

static X509 *self_signed(EVP_PKEY *key, struct str sandbox, uint64_t now, unsigned days)
{
	auto_free(X509) x = X509_new();
	auto_buf name = BUF_EMPTY;

	buf_init(&name, COMMON_NAME_MAX);
	buf_put_z(&name, "Paddock sandbox ");
	buf_put(&name, str_head(sandbox, buf_room(&name)));
	if (!x || buf_err(&name) || !X509_set_version(x, X509_VERSION_3) || !set_serial(x) ||
	    !set_subject(x, buf_str(&name)) || !X509_set_issuer_name(x, X509_get_subject_name(x)) ||
	    !ASN1_TIME_set(X509_getm_notBefore(x), (time_t)now - MINT_BACKDATE_SECONDS) ||
	    !ASN1_TIME_set(X509_getm_notAfter(x), (time_t)now + (time_t)days * DAY_SECONDS) ||
	    !X509_set_pubkey(x, key) ||
	    !add_literal(x, x, NID_basic_constraints, "critical,CA:TRUE,pathlen:0") ||
	    !add_literal(x, x, NID_key_usage, "critical,keyCertSign,cRLSign") ||
	    !add_literal(x, x, NID_subject_key_identifier, "hash") || !X509_sign(x, key, EVP_sha256()))
		return NULL;
	X509 *taken = x;

	x = NULL;
	return taken;
}

enum err mint_new(struct str sandbox, uint64_t now, unsigned days, struct mint **ret)
{
	struct mint *m;

	if (days == 0 || days > MINT_DAYS_MAX || !str_is_utf8(sandbox) || now > INT64_MAX / 2)
		return ERR_INPUT;
	m = calloc(1, sizeof *m);
	if (!m)
		return ERR_MEMORY;
	ERR_clear_error();
	m->key = EVP_EC_gen("P-256");
	if (m->key)
		m->certificate = self_signed(m->key, sandbox, now, days);
	if (!m->certificate) {
		mint_free(m);
		return ERR_MEMORY;
	}
	*ret = m;
	return ERR_OK;
}

enum err mint_ca_pem(const struct mint *m, struct buf *out)
{
	auto_free(BIO) bio = BIO_new(BIO_s_mem());
	char *bytes;
	long n;

	if (!bio || !PEM_write_bio_X509(bio, m->certificate))
		return ERR_MEMORY;
	n = BIO_get_mem_data(bio, &bytes);
	buf_put(out, str_make(bytes, (size_t)n));
	return buf_err(out);
}

/* fails, too, for a point that is not on the curve */
static EVP_PKEY *public_key(const uint8_t point[MINT_POINT_BYTES])
{
	auto_free(EVP_PKEY_CTX) context = EVP_PKEY_CTX_new_from_name(NULL, "EC", NULL);
	char group[] = "P-256";
	uint8_t copy[MINT_POINT_BYTES];
	EVP_PKEY *key = NULL;
	OSSL_PARAM parameters[] = {
		OSSL_PARAM_construct_utf8_string(OSSL_PKEY_PARAM_GROUP_NAME, group, 0),
		OSSL_PARAM_construct_octet_string(OSSL_PKEY_PARAM_PUB_KEY, copy, sizeof copy),
		OSSL_PARAM_construct_end(),
	};

	memcpy(copy, point, sizeof copy);
	if (copy[0] != 4 || !context || EVP_PKEY_fromdata_init(context) != 1 ||
	    EVP_PKEY_fromdata(context, &key, EVP_PKEY_PUBLIC_KEY, parameters) != 1)
		return NULL;
	return key;
}

static bool leaf_fill(X509 *x, const struct mint *m, struct str host, EVP_PKEY *key)
{
	/* a name too long for a common name is in the alternative name alone, which is then critical */
	struct str common_name = host.n <= COMMON_NAME_MAX ? host : (struct str){ 0 };

	return X509_set_version(x, X509_VERSION_3) && set_serial(x) && set_subject(x, common_name) &&
	       X509_set_issuer_name(x, X509_get_subject_name(m->certificate)) &&
	       X509_set1_notBefore(x, X509_get0_notBefore(m->certificate)) &&
	       X509_set1_notAfter(x, X509_get0_notAfter(m->certificate)) && X509_set_pubkey(x, key) &&
	       add_literal(x, m->certificate, NID_basic_constraints, "critical,CA:FALSE") &&
	       add_literal(x, m->certificate, NID_key_usage, "critical,digitalSignature") &&
	       add_literal(x, m->certificate, NID_ext_key_usage, "serverAuth") &&
	       add_literal(x, m->certificate, NID_authority_key_identifier, "keyid") &&
	       add_literal(x, m->certificate, NID_subject_key_identifier, "hash") &&
	       add_host(x, host, common_name.n == 0) && X509_sign(x, m->key, EVP_sha256());
}

enum err mint_leaf(const struct mint *m, struct str host, const uint8_t point[MINT_POINT_BYTES],
		   struct buf *out)
{
	auto_free(EVP_PKEY) key = NULL;
	auto_free(X509) x = NULL;
	uint8_t *der = NULL;
	int n;

	if (host_type(host) == HOST_INVALID || host.n > HEAD_HOST_MAX)
		return ERR_INPUT;
	ERR_clear_error();
	key = public_key(point);
	ERR_clear_error();
	if (!key)
		return ERR_INPUT;
	x = X509_new();
	if (!x || !leaf_fill(x, m, host, key))
		return ERR_MEMORY;
	n = i2d_X509(x, &der);
	if (n > 0 && n <= MINT_LEAF_MAX_BYTES)
		buf_put(out, str_make(der, (size_t)n));
	OPENSSL_free(der);
	return n > 0 && n <= MINT_LEAF_MAX_BYTES ? buf_err(out) : ERR_MEMORY;
}
