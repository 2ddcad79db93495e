/* seal.h - secrets at rest: the envelope, and the keys that open it (docs/credentials.md has the format)
 *
 *   key       "PADDOCK-SEAL-KEY-1 <id> <base64 of 32 bytes>\n"; several lines, the first seals, all open
 *   id        16 hex digits: of SHA-256("paddock-seal-key\n" || key), its first 8 bytes
 *   envelope  "PADDOCK-SEALED-1 <id> <base64 of nonce (12) || ciphertext || tag (16)>\n"
 *   AES-256-GCM; additional data: "PADDOCK-SEALED-1\n<id>\n<name>"
 *
 * Pure but for randomness. An envelope that was sealed for another name does not open.
 */
#pragma once

#include "base/buf.h"
#include "base/secret.h"

#define SEAL_NAME_MAX 64
#define SEAL_KEYS_MAX 8
#define SEAL_KEY_BYTES 32
#define SEAL_ID_BYTES 16		/* hex digits */
#define SEAL_ENVELOPE_MAX 24576		/* of a value of SECRET_MAX_BYTES */
#define SEAL_KEYS_TEXT_MAX 1024

struct seal_key {
	char id[SEAL_ID_BYTES + 1];
	uint8_t key[SEAL_KEY_BYTES];
};
/** struct seal_keys - seal_keys_wipe() when done */
struct seal_keys {
	size_t count;
	struct seal_key key[SEAL_KEYS_MAX];
};

/** seal_name() - may an entry be called so? 1 to SEAL_NAME_MAX of A-Z a-z 0-9 . _ -, not '.' first */
bool seal_name(struct str name);

/** seal_key_new() - random; ERR_LOCAL */
must_use enum err seal_key_new(struct seal_key *ret);
/** seal_keys_parse() - lines of keys, added to @keys but for those that it has
 * Return: ERR_OK; ERR_INPUT (anything else in @text, or an id that is not its key's); ERR_LIMIT */
must_use enum err seal_keys_parse(struct str text, struct seal_keys *keys);
void seal_key_put(const struct seal_key *key, struct buf *out);
void seal_keys_wipe(struct seal_keys *keys);

/** seal_value() - appends the envelope of @value (1..SECRET_MAX_BYTES) as entry @name
 * Return: ERR_OK; ERR_INPUT (@name, or the length); ERR_LOCAL; ERR_MEMORY; buf_err() */
must_use enum err seal_value(const struct seal_key *key, struct str name, struct str value, struct buf *out);
/** seal_open() - appends what is in @envelope to @value, made by buf_init_secret()
 * @ret_reason: static words on failure
 * Return: ERR_OK; ERR_CREDENTIAL (malformed, changed, another name's, or its key is not here); ERR_MEMORY */
must_use enum err seal_open(const struct seal_keys *keys, struct str name, struct str envelope,
			    struct buf *value, const char **ret_reason);
/** seal_envelope_id() - the id of the key that an envelope names; empty if it is none */
struct str seal_envelope_id(struct str envelope);
