/* chain.h - the hash chain of a trail: where it stands, and one step */
#pragma once

#include "base/err.h"
#include "base/str.h"

#define CHAIN_HASH_BYTES 32

struct chain {
	uint64_t seq;				/* of the last record; 0: none yet */
	uint8_t hash[CHAIN_HASH_BYTES];		/* of the last record's line; of the sandbox id at first */
	struct evp_md_ctx_st *context;
	struct evp_md_st *sha256;
};

/** chain_init() - the chain of @sandbox before its first record; chain_free() in any case
 * Return: ERR_OK, ERR_MEMORY */
must_use enum err chain_init(struct chain *c, struct str sandbox);
void chain_free(struct chain *c);
/** chain_hash() - SHA-256 of @line; the chain does not move */
must_use enum err chain_hash(struct chain *c, struct str line, uint8_t ret[CHAIN_HASH_BYTES]);
/** chain_step() - the record with this hash is stored: it is the last now */
void chain_step(struct chain *c, const uint8_t hash[CHAIN_HASH_BYTES]);
/** chain_prev() - "prev" of the next record: lower-case hex, 64 bytes */
void chain_prev(const struct chain *c, char ret[2 * CHAIN_HASH_BYTES]);
