/* buf.c - bounded growable buffer; see buf.h. Compare by subtraction: len <= max. */
#include "base/buf.h"

#include <stdio.h>
#include <stdlib.h>

void buf_init(struct buf *b, size_t max)
{
	*b = (struct buf){ .max = max };
}

void buf_init_secret(struct buf *b, size_t max)
{
	*b = (struct buf){ .max = max, .wipe = true };
}

void buf_free(struct buf *b)
{
	if (b->wipe && b->p)
		explicit_bzero(b->p, b->cap);
	free(b->p);
	b->p = NULL;
	b->len = b->cap = 0;
	b->err = ERR_OK;
}

void buf_clear(struct buf *b)
{
	if (b->wipe && b->p)
		explicit_bzero(b->p, b->len);
	b->len = 0;
	b->err = ERR_OK;
}

void buf_drop(struct buf *b, size_t n)
{
	if (n > b->len)
		n = b->len;
	if (n == 0)
		return;
	memmove(b->p, b->p + n, b->len - n);
	if (b->wipe)
		explicit_bzero(b->p + (b->len - n), n);
	b->len -= n;
}

/* malloc and copy, never realloc: a secret must not stay behind in a freed block */
static enum err grow(struct buf *b, size_t cap)
{
	char *p = malloc(cap);

	if (!p)
		return ERR_MEMORY;
	if (b->p)
		memcpy(p, b->p, b->len);
	if (b->wipe && b->p)
		explicit_bzero(b->p, b->cap);
	free(b->p);
	b->p = p;
	b->cap = cap;
	return ERR_OK;
}

enum err buf_reserve(struct buf *b, size_t n)
{
	size_t cap;

	if (b->err)
		return b->err;
	if (n > b->max - b->len)
		return b->err = ERR_LIMIT;
	if (b->p && n <= b->cap - b->len)
		return ERR_OK;
	cap = b->cap > b->max / 2 ? b->max : b->cap * 2;
	if (cap < b->len + n)
		cap = b->len + n;
	if (cap < 64)
		cap = b->max < 64 ? b->max : 64;
	if (cap == 0)
		cap = 1;
	return b->err = grow(b, cap);
}

void buf_put_slowly(struct buf *b, struct str s)
{
	if (buf_reserve(b, s.n) || s.n == 0)
		return;
	memcpy(b->p + b->len, s.p, s.n);
	b->len += s.n;
}

static void put_little(struct buf *b, uint64_t v, size_t n)
{
	uint8_t x[8];

	for (size_t i = 0; i < n; i++)
		x[i] = (uint8_t)(v >> (8 * i));
	buf_put(b, str_make(x, n));
}

static void put_big(struct buf *b, uint64_t v, size_t n)
{
	uint8_t x[8];

	for (size_t i = 0; i < n; i++)
		x[i] = (uint8_t)(v >> (8 * (n - 1 - i)));
	buf_put(b, str_make(x, n));
}

void buf_put_u16le(struct buf *b, uint16_t v) { put_little(b, v, 2); }
void buf_put_u32le(struct buf *b, uint32_t v) { put_little(b, v, 4); }
void buf_put_u64le(struct buf *b, uint64_t v) { put_little(b, v, 8); }
void buf_put_u16be(struct buf *b, uint16_t v) { put_big(b, v, 2); }
void buf_put_u32be(struct buf *b, uint32_t v) { put_big(b, v, 4); }

void buf_put_decimal(struct buf *b, uint64_t v)
{
	char text[20];
	size_t i = sizeof text;

	do
		text[--i] = (char)('0' + v % 10);
	while (v /= 10);
	buf_put(b, str_make(text + i, sizeof text - i));
}

void buf_put_hex(struct buf *b, struct str s)
{
	static const char digit[] = "0123456789abcdef";

	for (size_t i = 0; i < s.n; i++) {
		uint8_t v = (uint8_t)s.p[i];
		char pair[2] = { digit[v >> 4], digit[v & 15] };

		buf_put(b, str_make(pair, 2));
	}
}

static void put_base64(struct buf *b, struct str s, const char *alphabet, bool pad)
{
	for (size_t i = 0; i < s.n; i += 3) {
		size_t have = s.n - i < 3 ? s.n - i : 3;
		uint32_t v = (uint32_t)(uint8_t)s.p[i] << 16;
		char quad[4] = { '=', '=', '=', '=' };

		if (have > 1)
			v |= (uint32_t)(uint8_t)s.p[i + 1] << 8;
		if (have > 2)
			v |= (uint8_t)s.p[i + 2];
		for (size_t k = 0; k <= have; k++)
			quad[k] = alphabet[(v >> (18 - 6 * k)) & 63];
		buf_put(b, str_make(quad, pad ? 4 : have + 1));
	}
}

#define BASE64_LETTERS "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"

void buf_put_base64(struct buf *b, struct str s) { put_base64(b, s, BASE64_LETTERS "+/", true); }

void buf_put_base64url(struct buf *b, struct str s)
{
	put_base64(b, s, BASE64_LETTERS "-_", false);
}

static int base64_value(char c)
{
	const char *hit = c ? strchr(BASE64_LETTERS "+/", c) : NULL;

	return hit ? (int)(hit - (BASE64_LETTERS "+/")) : -1;
}

/* 2 to 4 letters; what is left of the last one's bits must be zero */
static bool put_quantum(struct buf *b, const char *letters, size_t n, bool url)
{
	uint8_t out[3];
	uint32_t v = 0;

	for (size_t k = 0; k < n; k++) {
		char c = letters[k];
		int d = url && (c == '-' || c == '_') ? (c == '-' ? 62 : 63)
						      : url && (c == '+' || c == '/') ? -1 : base64_value(c);

		if (d < 0)
			return false;
		v |= (uint32_t)d << (18 - 6 * k);
	}
	out[0] = (uint8_t)(v >> 16);
	out[1] = (uint8_t)(v >> 8);
	out[2] = (uint8_t)v;
	if ((n == 3 && out[2]) || (n == 2 && (out[1] || out[2])))
		return false;
	buf_put(b, str_make(out, n - 1));
	return true;
}

enum err base64_decode(struct buf *b, struct str text)
{
	if (text.n % 4)
		return ERR_INPUT;
	for (size_t i = 0; i < text.n; i += 4) {
		const char *q = text.p + i;
		bool last = i + 4 == text.n;
		size_t pad = last && q[3] == '=' ? (q[2] == '=' ? 2 : 1) : 0;

		if (!put_quantum(b, q, 4 - pad, false))
			return ERR_INPUT;
	}
	return buf_err(b);
}

enum err base64url_decode(struct buf *b, struct str text)
{
	if (text.n % 4 == 1)
		return ERR_INPUT;
	for (size_t i = 0; i < text.n; i += 4)
		if (!put_quantum(b, text.p + i, text.n - i < 4 ? text.n - i : 4, true))
			return ERR_INPUT;
	return buf_err(b);
}

void buf_printf(struct buf *b, const char *format, ...)
{
	char text[1024];
	va_list ap;
	int n;

	va_start(ap, format);
	n = vsnprintf(text, sizeof text, format, ap);
	va_end(ap);
	if (n < 0 || (size_t)n >= sizeof text) {
		if (!b->err)
			b->err = ERR_LIMIT;
		return;
	}
	buf_put(b, str_make(text, (size_t)n));
}

const char *buf_z(struct buf *b)
{
	if (b->len && memchr(b->p, 0, b->len))
		return NULL;
	if (buf_reserve(b, 1))
		return NULL;
	b->p[b->len] = 0;
	return b->p;
}
