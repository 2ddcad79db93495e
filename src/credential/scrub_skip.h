/* scrub_skip.h - over bytes in which nothing that is searched for begins
 *
 * What scrub.c does while its automaton is at the root, which is nearly always.
 * Spells the first two bytes of every form, so that it lives in secret memory.
 */
#pragma once

#include "base/str.h"

/* A set of byte values: @c is in it if bit (c >> 4 & 7)
 * of low[c & 15] is set, or of high[c & 15] from 128 on. */
struct byte_class {
	uint8_t low[16], high[16];
};

struct scrub_skip {
	bool starts[256];		/* the first byte of a form */
	bool begins[256];		/* that, or the first of an escape */
	uint64_t pairs[1024];		/* bit [first << 8 | second]: a form begins
					   so, or may, if second begins an escape */
	struct byte_class first, second; /* of what begins; of what can follow */
	bool wide;			/* the processor has AVX2 */
};

/** scrub_skip_pair() - a form begins with these two bytes.
 * scrub_skip_ready(): that was the last. It began zeroed. */
void scrub_skip_pair(struct scrub_skip *s, uint8_t first, uint8_t second);
void scrub_skip_ready(struct scrub_skip *s);
/** scrub_skip() - index of the next byte, from @i on, at which a form begins, plain or escaped,
 *  or could, as bytes ends too soon to know; bytes.n without any. bytes.n - i is positive. */
size_t scrub_skip(const struct scrub_skip *s, struct str bytes, size_t i);
