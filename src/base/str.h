/* str.h - a view of bytes that somebody else owns */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

/** struct str - @n bytes at @p, not NUL-terminated; {NULL, 0} is the empty view */
struct str {
	const char *p;
	size_t n;
};

#define STR(literal) ((struct str){ "" literal, sizeof(literal) - 1 })
#define STR_INIT(literal) { "" literal, sizeof(literal) - 1 }
#define STR_FMT(s) (int)(s).n, (s).p	/* for "%.*s": only where n is known to be small */

static inline struct str str_of(const char *z)
{
	return (struct str){ z, z ? strlen(z) : 0 };
}

static inline struct str str_make(const void *p, size_t n)
{
	return (struct str){ p, n };
}

static inline bool str_eq(struct str a, struct str b)
{
	return a.n == b.n && (a.n == 0 || memcmp(a.p, b.p, a.n) == 0);
}

static inline bool str_starts(struct str s, struct str prefix)
{
	return s.n >= prefix.n && (prefix.n == 0 || memcmp(s.p, prefix.p, prefix.n) == 0);
}

static inline bool str_ends(struct str s, struct str suffix)
{
	return s.n >= suffix.n &&
	       (suffix.n == 0 || memcmp(s.p + (s.n - suffix.n), suffix.p, suffix.n) == 0);
}

/** str_from() - @s without its first @skip bytes; empty if there are fewer */
static inline struct str str_from(struct str s, size_t skip)
{
	if (skip >= s.n)
		return (struct str){ s.p ? s.p + s.n : NULL, 0 };
	return (struct str){ s.p + skip, s.n - skip };
}

/** str_head() - at most the first @n bytes of @s */
static inline struct str str_head(struct str s, size_t n)
{
	return (struct str){ s.p, s.n < n ? s.n : n };
}

/** str_find() - index of the first byte @c in @s, or @s.n if there is none */
static inline size_t str_find(struct str s, char c)
{
	const char *hit = s.n ? memchr(s.p, c, s.n) : NULL;

	return hit ? (size_t)(hit - s.p) : s.n;
}

/** str_trim() - @s without the spaces and tabs at its ends (HTTP's OWS, RFC 9110 s5.6.3) */
static inline struct str str_trim(struct str s)
{
	while (s.n && (s.p[0] == ' ' || s.p[0] == '\t'))
		s = str_from(s, 1);
	while (s.n && (s.p[s.n - 1] == ' ' || s.p[s.n - 1] == '\t'))
		s.n--;
	return s;
}

/** str_eq_nocase() - equality with ASCII letters folded; no locale */
bool str_eq_nocase(struct str a, struct str b);

/** str_compare() - order by bytes, shorter first on a tie; <0, 0, >0 as memcmp */
int str_compare(struct str a, struct str b);

/** str_hash() - FNV-1a folded to 64 bits; for tables keyed on trusted names only */
uint64_t str_hash(struct str s);

/** str_is_utf8() - true if @s is well-formed UTF-8 (RFC 3629: no surrogates, no
 *  overlong forms, at most U+10FFFF) */
bool str_is_utf8(struct str s);

/** str_decimal() - digits only, whole of @s, at most @max
 * Return: true and *ret_value written, or false (empty, other bytes, too large) */
bool str_decimal(struct str s, uint64_t max, uint64_t *ret_value);

/** ascii_* - locale-free byte classes and folding */
static inline char ascii_lower(char c) { return c >= 'A' && c <= 'Z' ? (char)(c + 32) : c; }
static inline bool ascii_digit(char c) { return c >= '0' && c <= '9'; }
static inline bool ascii_alpha(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}
/** ascii_hex() - value of a hex digit, or -1 */
static inline int ascii_hex(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	if (c >= 'A' && c <= 'F')
		return c - 'A' + 10;
	return -1;
}
