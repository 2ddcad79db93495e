/* reader.h - reads a view from front to back; nothing is ever read past its end */
#pragma once

#include "base/err.h"
#include "base/str.h"

struct reader {
	const char *p, *end;
};

static inline struct reader reader_of(struct str s)
{
	return (struct reader){ s.p, s.p ? s.p + s.n : NULL };
}

static inline size_t reader_left(const struct reader *r) { return (size_t)(r->end - r->p); }
static inline bool reader_done(const struct reader *r) { return r->p == r->end; }
static inline struct str reader_rest(const struct reader *r)
{
	return (struct str){ r->p, reader_left(r) };
}

/** reader_take() - the next @n bytes as a view; false (and nothing moved) if fewer are left */
must_use bool reader_take(struct reader *r, size_t n, struct str *ret);
must_use bool reader_u8(struct reader *r, uint8_t *ret);
must_use bool reader_u16le(struct reader *r, uint16_t *ret);
must_use bool reader_u32le(struct reader *r, uint32_t *ret);
must_use bool reader_u64le(struct reader *r, uint64_t *ret);
must_use bool reader_u16be(struct reader *r, uint16_t *ret);
must_use bool reader_u32be(struct reader *r, uint32_t *ret);
/** reader_literal() - consumes exactly @s, or nothing and false */
must_use bool reader_literal(struct reader *r, struct str s);
/** reader_until() - the bytes before the next @c, which is consumed too; false if there is none */
must_use bool reader_until(struct reader *r, char c, struct str *ret);
