/* keeper_key.h - the installation's checkpoint key (Ed25519)
 *
 * STATE/checkpoint.key (0600) holds one line, the signer's key in the form of Go's
 * sumdb/note: "PRIVATE+KEY+<name>+<id>+<base64(0x01 || seed)>"; STATE/checkpoint.pub the
 * verifier's, as C2SP signed-note has it: "<name>+<id>+<base64(0x01 || public key)>". The
 * name is "paddock/" and 16 random hex digits, made once.
 */
#pragma once

#include "base/buf.h"

#define KEEPER_KEY_NAME_MAX 200
#define KEEPER_KEY_FILE "checkpoint.key"
#define KEEPER_PUBLIC_FILE "checkpoint.pub"

struct keeper_key;

/** keeper_installation_key() - the supervisor's side: opens the key's file in @directory (0700,
 *  the user's), after making both files if there are none yet. The key is generated here, once
 *  in an installation's life, and wiped; after that the file is only opened and handed over.
 * Return: ERR_OK and *ret_fd (O_RDONLY, close-on-exec); ERR_LOCAL with errno (EPERM: the file
 * is not the user's alone, or not a regular file); ERR_MEMORY */
must_use enum err keeper_installation_key(int directory, int *ret_fd);

/** keeper_key_read() - reads the file on @fd from its start, strictly
 * Return: ERR_OK and *ret (keeper_key_free()); ERR_INPUT; ERR_LOCAL; ERR_MEMORY */
must_use enum err keeper_key_read(int fd, struct keeper_key **ret);
void keeper_key_free(struct keeper_key *k);
/** keeper_key_sign() - Ed25519 over @body; ERR_MEMORY */
must_use enum err keeper_key_sign(const struct keeper_key *k, struct str body, uint8_t ret_signature[64]);
struct str keeper_key_name(const struct keeper_key *k);
const uint8_t *keeper_key_public(const struct keeper_key *k);	/* 32 bytes */
/** keeper_key_put_verifier() - appends the verifier's key, without a newline */
must_use enum err keeper_key_put_verifier(const struct keeper_key *k, struct buf *out);
