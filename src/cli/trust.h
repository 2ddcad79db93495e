/* trust.h - policies whose very text the user has trusted
 *
 * $XDG_CONFIG_HOME/paddock/trusted-policies: one line for each, the SHA-256 of the text in hex,
 * two spaces, where it was then (for people). It is outside of every sandbox. What cannot be
 * read or parsed is not trusted.
 */
#pragma once

#include "base/buf.h"
#include "policy/digest.h"

#define TRUST_ENTRIES_MAX 4096

/** trust_is_trusted() - has the user trusted this text? */
bool trust_is_trusted(struct str text);
/** trust_add() - @digest from digest_hex(), @path absolute, without a line break
 *  trust_remove() - *ret_removed says if it was there
 * Return: ERR_OK; ERR_LOCAL (errno), ERR_INPUT (no home), ERR_LIMIT, ERR_MEMORY, with one
 * line in @why */
must_use enum err trust_add(const char *digest, const char *path, struct buf *why);
must_use enum err trust_remove(const char *digest, bool *ret_removed, struct buf *why);
/** trust_each() - calls @f for each, oldest first */
must_use enum err trust_each(void (*f)(void *ctx, struct str digest, struct str path), void *ctx,
			     struct buf *why);
/** trust_is_digest() - 64 lower-case hex digits? */
bool trust_is_digest(struct str s);
