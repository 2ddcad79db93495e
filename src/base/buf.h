/* buf.h - a growable byte buffer that cannot be made without a limit
 *
 * Failure is sticky: after an append that did not fit, or for which there was no
 * memory, every further append is dropped and buf_err() says why. A caller may so
 * append many times and check once. Invariant: len <= cap <= max.
 */
#pragma once

#include "base/err.h"
#include "base/str.h"

#include <stdarg.h>

struct buf {
	char *p;
	size_t len, cap, max;
	enum err err;
	bool wipe;	/* carried a secret: wiped on growth and on free */
};

/** buf_init() - an empty buffer that will never hold more than @max bytes */
void buf_init(struct buf *b, size_t max);
/** buf_init_secret() - as buf_init(); every copy is wiped before it is freed */
void buf_init_secret(struct buf *b, size_t max);
/** buf_free() - releases (and wipes, if secret); idempotent; the limit stays */
void buf_free(struct buf *b);
/** buf_clear() - length and error to zero; memory is kept (wiped if secret) */
void buf_clear(struct buf *b);
/** buf_drop() - removes the first @n bytes (n <= len) */
void buf_drop(struct buf *b, size_t n);
/** buf_reserve() - room for @n more bytes at buf_tail(); ERR_LIMIT, ERR_MEMORY */
must_use enum err buf_reserve(struct buf *b, size_t n);

/** buf_put_slowly() - buf_put() where memory is to be had first */
void buf_put_slowly(struct buf *b, struct str s);
/* Inline, since heads and records are made of hundreds of short pieces. cap is 0 while p is NULL. */
static inline void buf_put(struct buf *b, struct str s)
{
	if (b->err || !s.p || s.n == 0 || s.n > b->cap - b->len) {
		buf_put_slowly(b, s);
		return;
	}
	memcpy(b->p + b->len, s.p, s.n);
	b->len += s.n;
}
static inline void buf_put_z(struct buf *b, const char *z) { buf_put(b, str_of(z)); }
static inline void buf_put_byte(struct buf *b, uint8_t v) { buf_put(b, str_make(&v, 1)); }
void buf_put_u16le(struct buf *b, uint16_t v);
void buf_put_u32le(struct buf *b, uint32_t v);
void buf_put_u64le(struct buf *b, uint64_t v);
void buf_put_u16be(struct buf *b, uint16_t v);
void buf_put_u32be(struct buf *b, uint32_t v);
void buf_put_decimal(struct buf *b, uint64_t v);
void buf_put_hex(struct buf *b, struct str s);
/** buf_put_base64() - RFC 4648 s4, padded; buf_put_base64url() - s5, unpadded */
void buf_put_base64(struct buf *b, struct str s);
void buf_put_base64url(struct buf *b, struct str s);
void buf_printf(struct buf *b, const char *format, ...) __attribute__((format(printf, 2, 3)));

static inline struct str buf_str(const struct buf *b) { return (struct str){ b->p, b->len }; }
static inline char *buf_tail(struct buf *b) { return b->p + b->len; }
static inline enum err buf_err(const struct buf *b) { return b->err; }
static inline size_t buf_room(const struct buf *b) { return b->max - b->len; }

/** buf_z() - the contents as a NUL-terminated string, or NULL if the buffer has
 *  failed, is full, or holds a NUL; valid until the next change */
const char *buf_z(struct buf *b);

/** auto_buf - freed at the end of its scope. Always declared as `auto_buf b = BUF_EMPTY;` (a
 *  buffer that holds nothing and takes nothing) since the scope may be left before buf_init(). */
#define auto_buf __attribute__((cleanup(buf_free))) struct buf
#define BUF_EMPTY { .p = NULL }

/** base64_decode() - RFC 4648 s4, strict: padding required, no other bytes, no
 *  bits left over. Appends to @b. ERR_INPUT if malformed, else buf_err(b). */
must_use enum err base64_decode(struct buf *b, struct str text);
/** base64url_decode() - RFC 4648 s5, strict: without padding; as base64_decode() */
must_use enum err base64url_decode(struct buf *b, struct str text);
