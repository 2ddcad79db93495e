/* digest.c - SHA-256 by libcrypto; see digest.h. Apart from the rest of the layer because
 * OpenSSL and base/err.h both claim names that begin with ERR_. */
#include "policy/digest.h"

#include <openssl/evp.h>

bool digest_bytes(const void *p, size_t n, unsigned char ret[DIGEST_BYTES])
{
	return EVP_Digest(n ? p : "", n, ret, NULL, EVP_sha256(), NULL) == 1;
}

bool digest_hex(const void *p, size_t n, char ret[DIGEST_HEX_BYTES])
{
	static const char hex[] = "0123456789abcdef";
	unsigned char hash[DIGEST_BYTES];

	if (!digest_bytes(p, n, hash))
		return false;
	for (size_t i = 0; i < sizeof hash; i++) {
		ret[2 * i] = hex[hash[i] >> 4];
		ret[2 * i + 1] = hex[hash[i] & 15];
	}
	ret[DIGEST_HEX_BYTES - 1] = '\0';
	return true;
}
