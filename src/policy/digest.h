/* digest.h - SHA-256 in lower-case hex, for policies and their trust */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#define DIGEST_HEX_BYTES 65	/* with the NUL */

#define DIGEST_BYTES 32

/** digest_bytes() - SHA-256 of @n bytes at @p; false without memory, *ret is then untouched */
bool digest_bytes(const void *p, size_t n, unsigned char ret[DIGEST_BYTES]);
/** digest_hex() - of @n bytes at @p; false without memory, *ret is then untouched */
bool digest_hex(const void *p, size_t n, char ret[DIGEST_HEX_BYTES]);
