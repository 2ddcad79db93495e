/* chain.c - SHA-256 from line to line; one digest object for all, fetched once */
#include "audit/chain.h"

#include "audit/openssl.h"

enum err chain_init(struct chain *c, struct str sandbox)
{
	*c = (struct chain){ .context = EVP_MD_CTX_new(), .sha256 = EVP_MD_fetch(NULL, "SHA256", NULL) };
	if (!c->context || !c->sha256)
		return ERR_MEMORY;
	return chain_hash(c, sandbox, c->hash);
}

void chain_free(struct chain *c)
{
	EVP_MD_CTX_free(c->context);
	EVP_MD_free(c->sha256);
	c->context = NULL;
	c->sha256 = NULL;
}

enum err chain_hash(struct chain *c, struct str line, uint8_t ret[CHAIN_HASH_BYTES])
{
	if (!EVP_DigestInit_ex2(c->context, c->sha256, NULL) ||
	    !EVP_DigestUpdate(c->context, line.p, line.n) || !EVP_DigestFinal_ex(c->context, ret, NULL))
		return ERR_MEMORY;
	return ERR_OK;
}

void chain_step(struct chain *c, const uint8_t hash[CHAIN_HASH_BYTES])
{
	memcpy(c->hash, hash, CHAIN_HASH_BYTES);
	c->seq++;
}

void chain_prev(const struct chain *c, char ret[2 * CHAIN_HASH_BYTES])
{
	static const char digits[] = "0123456789abcdef";

	for (size_t i = 0; i < CHAIN_HASH_BYTES; i++) {
		ret[2 * i] = digits[c->hash[i] >> 4];
		ret[2 * i + 1] = digits[c->hash[i] & 15];
	}
}
