/* glob.c - wildcard matching by walking all positions of the pattern at once
 *
 * Theory of operation: the set of positions in the pattern that the text read so far can
 * have led to is kept as an ascending list, and each byte of text maps it to the next. So
 * nothing is ever tried twice, and a pattern of many stars costs no more than its length
 * for each byte. Each position adds a run of positions that starts at itself or just after,
 * and positions are taken in ascending order: whatever is not beyond the last one added is
 * in the list already, which is how duplicates are told.
 * Both pattern and text may be hostile; no allocation, no recursion.
 */
#include "base/glob.h"

struct positions {
	uint16_t at[GLOB_MAX + 1];
	size_t count;
};

/* Bytes of the star at @i ("*" or "**"), or 0. */
static size_t star(struct str p, size_t i)
{
	if (i >= p.n || p.p[i] != '*')
		return 0;
	return i + 1 < p.n && p.p[i + 1] == '*' ? 2 : 1;
}

/* Adds @i, and what follows each star that may match nothing. */
static void add(struct positions *s, struct str pattern, size_t i)
{
	for (;;) {
		size_t n = star(pattern, i);

		if (s->count == 0 || i > s->at[s->count - 1])
			s->at[s->count++] = (uint16_t)i;
		if (n == 0)
			return;
		i += n;
	}
}

/* Does a segment end at the front of @text? */
static bool ends_segment(struct str text, enum glob_mode mode)
{
	if (mode == GLOB_TEXT)
		return false;
	return text.p[0] == '/' ||
	       (mode == GLOB_URL && (str_starts(text, STR("%2F")) || str_starts(text, STR("%5C"))));
}

static void advance(const struct positions *from, struct str pattern, char c, bool stops,
		    struct positions *ret_to)
{
	ret_to->count = 0;
	for (size_t k = 0; k < from->count; k++) {
		size_t i = from->at[k];
		size_t n = star(pattern, i);

		if (n == 2 || (n == 1 && !stops))
			add(ret_to, pattern, i);
		else if (n == 0 && i < pattern.n && (pattern.p[i] == c || (pattern.p[i] == '?' && !stops)))
			add(ret_to, pattern, i + 1);
	}
}

static bool
walk(struct str pattern, struct str text, enum glob_mode mode, uint64_t *steps)
{
	/* 4 KiB that nobody reads before count says so: clearing them would cost more than most walks */
	struct positions even __attribute__((uninitialized)), odd __attribute__((uninitialized));
	struct positions *now = &even, *next = &odd;

	now->count = 0;
	add(now, pattern, 0);
	for (size_t i = 0; i < text.n; i++) {
		struct positions *swap = now;

		*steps += now->count;
		advance(now, pattern, text.p[i], ends_segment(str_from(text, i), mode), next);
		if (next->count == 0)
			return false;
		now = next;
		next = swap;
	}
	return now->at[now->count - 1] == pattern.n;
}

bool glob_match_steps(struct str pattern, struct str text, enum glob_mode mode, uint64_t *steps)
{
	size_t literal = glob_literal(pattern);

	if (pattern.n > GLOB_MAX || !str_starts(text, str_head(pattern, literal)))
		return false;
	pattern = str_from(pattern, literal);
	text = str_from(text, literal);
	if (pattern.n == 0)
		return text.n == 0;
	if (str_eq(pattern, STR("**")))
		return true;
	if (str_eq(pattern, STR("*"))) {
		while (mode != GLOB_TEXT && text.n && !ends_segment(text, mode))
			text = str_from(text, 1);
		return mode == GLOB_TEXT || text.n == 0;
	}
	return walk(pattern, text, mode, steps);
}

bool glob_match(struct str pattern, struct str text, enum glob_mode mode)
{
	uint64_t steps = 0;

	return glob_match_steps(pattern, text, mode, &steps);
}

size_t glob_literal(struct str pattern)
{
	size_t i = 0;

	while (i < pattern.n && pattern.p[i] != '*' && pattern.p[i] != '?')
		i++;
	return i;
}

bool glob_covers(struct str wide, struct str narrow, enum glob_mode mode)
{
	size_t literal = glob_literal(wide);
	struct str rest = str_from(wide, literal);

	if (str_eq(wide, narrow))
		return true;
	if (glob_literal(narrow) == narrow.n)
		return glob_match(wide, narrow, mode);
	if (str_eq(rest, STR("**")) || (mode == GLOB_TEXT && str_eq(rest, STR("*"))))
		return glob_literal(narrow) >= literal && str_starts(narrow, str_head(wide, literal));
	return false;
}
