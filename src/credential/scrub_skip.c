/* scrub_skip.c - over bytes in which nothing that is searched for begins        (see scrub_skip.h)
 *
 * Theory of operation: a byte that can begin something is a candidate. It counts if the two bytes from it on
 * begin a form, the second of which may be written as an escape; or if it begins an escape that stands for
 * the first byte of a form, or in which one could begin: that is then of the plain lane alone. One that does not count moves the automaton's lanes away from the root and
 * straight back, so that it can be passed over. An escaped backslash always counts: what follows it depends
 * on where the pair began. Candidates are looked for 32 bytes at a time where there is AVX2: a byte's low
 * four bits choose, from a table for each half of the bytes, the set of high bits that are wanted with them
 * ("truffle"); the byte behind must be one that can follow. Elsewhere, and in what is left over, eight table
 * look-ups are or-ed.
 * Source: Wang et al., Hyperscan, NSDI 2019, and its truffle.c for the idea.
 */
#include "credential/scrub_skip.h"

#ifdef __x86_64__
#include <immintrin.h>
#endif

static const char names[] = "\"\\/bfnrt", values[] = "\"\\/\b\f\n\r\t";	/* RFC 8259 s7 */

static void class_add(struct byte_class *set, unsigned c)
{
	(c < 128 ? set->low : set->high)[c & 15] |= (uint8_t)(1u << (c >> 4 & 7));
}

static void put_pair(struct scrub_skip *s, unsigned first, unsigned second)
{
	s->pairs[(first << 8 | second) / 64] |= UINT64_C(1) << (first << 8 | second) % 64;
	class_add(&s->second, second);
}

void scrub_skip_pair(struct scrub_skip *s, uint8_t first, uint8_t second)
{
	s->starts[first] = s->begins[first] = true;
	put_pair(s, first, second);
}

void scrub_skip_ready(struct scrub_skip *s)
{
	for (unsigned c = 0; c < 256; c++)
		if (s->starts[c]) {
			put_pair(s, c, '%');
			put_pair(s, c, '\\');
		}
	s->begins['%'] = s->begins['\\'] = true;
	for (unsigned c = 0; c < 256; c++) {
		if (s->begins[c])
			class_add(&s->first, c);
		if (ascii_hex((char)c) >= 0 || memchr(names, (int)c, sizeof names - 1) || c == 'u')
			class_add(&s->second, c);
	}
#ifdef __x86_64__
	s->wide = __builtin_cpu_supports("avx2");
#endif
}

static bool percent_counts(const struct scrub_skip *s, const char *p, size_t left)
{
	if (left < 3)
		return true;
	return ascii_hex(p[1]) >= 0 && ascii_hex(p[2]) >= 0 &&
	       (s->starts[ascii_hex(p[1]) * 16 + ascii_hex(p[2])] || s->starts[(uint8_t)p[1]] ||
		s->starts[(uint8_t)p[2]]);
}

static bool backslash_counts(const struct scrub_skip *s, const char *p, size_t left)
{
	const char *name = left < 2 ? NULL : memchr(names, p[1], sizeof names - 1);

	return left < 2 || p[1] == '\\' || p[1] == 'u' ||
	       (name && (s->starts[(uint8_t)values[name - names]] || s->starts[(uint8_t)p[1]]));
}

/* @left: bytes from the candidate on */
static inline bool counts(const struct scrub_skip *s, const char *p, size_t left)
{
	unsigned pair;

	if (left < 2)
		return true;
	pair = (unsigned)(uint8_t)p[0] << 8 | (uint8_t)p[1];
	if (s->pairs[pair / 64] >> pair % 64 & 1)
		return true;
	return (p[0] == '%' && percent_counts(s, p, left)) || (p[0] == '\\' && backslash_counts(s, p, left));
}

static size_t skip_narrow(const struct scrub_skip *s, struct str bytes, size_t i)
{
	const uint8_t *p = (const uint8_t *)bytes.p;
	const bool *begins = s->begins;

	for (;; i++) {
		while (bytes.n - i >= 8 &&
		       !(begins[p[i]] | begins[p[i + 1]] | begins[p[i + 2]] | begins[p[i + 3]] |
			 begins[p[i + 4]] | begins[p[i + 5]] | begins[p[i + 6]] | begins[p[i + 7]]))
			i += 8;
		while (i < bytes.n && !begins[p[i]])
			i++;
		if (i == bytes.n || counts(s, bytes.p + i, bytes.n - i))
			return i;
	}
}

#ifdef __x86_64__
#define AVX2 __attribute__((target("avx2")))

AVX2 static inline __m256i table(const uint8_t bytes[16])
{
	return _mm256_broadcastsi128_si256(_mm_loadu_si128((const __m128i_u *)bytes));
}

/* Of 32 bytes @v: bit k if byte k is in the set of @low and @high. @other: v with its top bits turned; @bit:
 * 1 << (v >> 4 & 7). A shuffle gives 0 where the top bit
 * is set: each table answers for its half of the bytes. */
AVX2 static inline uint32_t members(__m256i low, __m256i high, __m256i v, __m256i other, __m256i bit)
{
	__m256i wanted = _mm256_or_si256(_mm256_shuffle_epi8(low, v), _mm256_shuffle_epi8(high, other));
	__m256i none = _mm256_cmpeq_epi8(_mm256_and_si256(wanted, bit), _mm256_setzero_si256());

	return ~(uint32_t)_mm256_movemask_epi8(none);
}

AVX2 static size_t skip_wide(const struct scrub_skip *s, struct str bytes, size_t i)
{
	const __m256i bits = _mm256_set1_epi64x((long long)0x8040201008040201);
	const __m256i seven = _mm256_set1_epi8(7), top = _mm256_set1_epi8(-128);
	const __m256i low1 = table(s->first.low), high1 = table(s->first.high);
	const __m256i low2 = table(s->second.low), high2 = table(s->second.high);

	for (; bytes.n - i > 32; i += 32) {
		__m256i v = _mm256_loadu_si256((const __m256i_u *)(bytes.p + i)),
			other = _mm256_xor_si256(v, top);
		__m256i bit = _mm256_shuffle_epi8(bits, _mm256_and_si256(_mm256_srli_epi16(v, 4), seven));
		uint32_t follows = members(low2, high2, v, other, bit) >> 1 | 0x80000000;	/* the last's is not seen */
		uint32_t at = members(low1, high1, v, other, bit) & follows;

		for (; at; at &= at - 1) {
			size_t here = i + (size_t)__builtin_ctz(at);

			if (counts(s, bytes.p + here, bytes.n - here))
				return here;
		}
	}
	return skip_narrow(s, bytes, i);
}
#endif

size_t scrub_skip(const struct scrub_skip *s, struct str bytes, size_t i)
{
#ifdef __x86_64__
	if (s->wide)
		return skip_wide(s, bytes, i);
#endif
	return skip_narrow(s, bytes, i);
}
