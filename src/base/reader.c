/* reader.c - bounds-checked reading; see reader.h */
#include "base/reader.h"

bool reader_take(struct reader *r, size_t n, struct str *ret)
{
	if (n > reader_left(r))
		return false;
	*ret = (struct str){ r->p, n };
	r->p += n;
	return true;
}

static bool take_little(struct reader *r, size_t n, uint64_t *ret)
{
	struct str s;
	uint64_t v = 0;

	if (!reader_take(r, n, &s))
		return false;
	for (size_t i = 0; i < n; i++)
		v |= (uint64_t)(uint8_t)s.p[i] << (8 * i);
	*ret = v;
	return true;
}

static bool take_big(struct reader *r, size_t n, uint64_t *ret)
{
	struct str s;
	uint64_t v = 0;

	if (!reader_take(r, n, &s))
		return false;
	for (size_t i = 0; i < n; i++)
		v = v << 8 | (uint8_t)s.p[i];
	*ret = v;
	return true;
}

#define READER_INTEGER(name, type, take, width) \
	bool name(struct reader *r, type *ret) \
	{ \
		uint64_t v; \
		bool ok = take(r, width, &v); \
\
		if (ok) \
			*ret = (type)v; \
		return ok; \
	}

READER_INTEGER(reader_u8, uint8_t, take_little, 1)
READER_INTEGER(reader_u16le, uint16_t, take_little, 2)
READER_INTEGER(reader_u32le, uint32_t, take_little, 4)
READER_INTEGER(reader_u64le, uint64_t, take_little, 8)
READER_INTEGER(reader_u16be, uint16_t, take_big, 2)
READER_INTEGER(reader_u32be, uint32_t, take_big, 4)

bool reader_literal(struct reader *r, struct str s)
{
	if (!str_starts(reader_rest(r), s))
		return false;
	r->p += s.n;
	return true;
}

bool reader_until(struct reader *r, char c, struct str *ret)
{
	size_t i = str_find(reader_rest(r), c);

	if (i == reader_left(r))
		return false;
	*ret = (struct str){ r->p, i };
	r->p += i + 1;
	return true;
}
