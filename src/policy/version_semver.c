/* version_semver.c - Semantic Versioning, and the ranges that npm and Cargo make of it
 *
 * Theory of operation: a range is alternatives ("||", npm only) of comparators that must all hold. Each
 * notation (^, ~, x-ranges, hyphens, bare versions) becomes at most two bounds, from the lowest version that
 * a partial one stands for up to below another. A pre-release is in a range only if a bound is a pre-release
 * of the very same major.minor.patch.
 * Source: semver.org 2.0.0; node-semver's README; Cargo's "Specifying Dependencies".
 */
#include "policy/version_parts.h"

#include <limits.h>

struct semver {
	uint64_t number[3];
	struct str pre;			/* without '-' */
};
enum bound_op { BOUND_LESS, BOUND_AT_MOST, BOUND_MORE, BOUND_AT_LEAST, BOUND_EQUAL };

/* ---- versions ---- */

static bool identifier_byte(char c) { return ascii_alpha(c) || ascii_digit(c) || c == '-'; }

/* Dot-separated, none empty; of a pre-release numbers without leading zeros. */
static bool identifiers(struct str s, bool pre)
{
	struct str part;

	while (version_token(&s, '.', &part)) {
		bool digits = true;

		for (size_t i = 0; i < part.n; i++) {
			if (!identifier_byte(part.p[i]))
				return false;
			digits = digits && ascii_digit(part.p[i]);
		}
		if (part.n == 0 || (pre && digits && part.n > 1 && part.p[0] == '0'))
			return false;
	}
	return true;
}

static bool number(struct str s, uint64_t *ret)
{
	return (s.n == 1 || (s.n > 1 && s.p[0] != '0')) && str_decimal(s, INT64_MAX, ret);
}

static bool wildcard(struct str s) { return s.n == 1 && (s.p[0] == 'x' || s.p[0] == 'X' || s.p[0] == '*'); }

/* "1.2.3-pre+build", or fewer numbers if @ret_count is there to say how many. */
static bool parse(struct str s, struct semver *ret, unsigned *ret_count)
{
	struct str rest = str_head(s, str_find(s, '+')), numbers = str_head(rest, str_find(rest, '-')), part;
	struct semver v = { .pre = str_from(rest, numbers.n + 1) };
	bool build = rest.n < s.n, pre = numbers.n < rest.n, any = false;
	unsigned count = 0;

	if ((build && !identifiers(str_from(s, rest.n + 1), false)) || (pre && !identifiers(v.pre, true)))
		return false;
	for (unsigned i = 0; version_token(&numbers, '.', &part); i++) {
		if (i == 3)
			return false;
		if (wildcard(part) && ret_count) {
			any = true;
			continue;
		}
		if (any || !number(part, &v.number[i]))
			return false;
		count++;
	}
	if ((count < 3 && (!ret_count || pre || build)) || (count == 0 && !any))
		return false;
	if (ret_count)
		*ret_count = count;
	*ret = v;
	return true;
}

static int compare_identifier(struct str a, struct str b)
{
	uint64_t x, y;
	bool numeric_a = str_decimal(a, UINT64_MAX, &x), numeric_b = str_decimal(b, UINT64_MAX, &y);

	if (numeric_a && numeric_b)
		return version_order(x, y);
	return numeric_a ? -1 : numeric_b ? 1 : str_compare(a, b);
}

static int compare_pre(struct str a, struct str b)
{
	struct str x, y;

	if (a.n == 0 || b.n == 0)
		return (a.n == 0) - (b.n == 0);
	for (;;) {
		bool more_a = version_token(&a, '.', &x), more_b = version_token(&b, '.', &y);
		int order;

		if (!more_a || !more_b)
			return more_a - more_b;
		order = compare_identifier(x, y);
		if (order)
			return order;
	}
}

static int order_of(const struct semver *a, const struct semver *b)
{
	for (int i = 0; i < 3; i++)
		if (a->number[i] != b->number[i])
			return version_order(a->number[i], b->number[i]);
	return compare_pre(a->pre, b->pre);
}

/* ---- ranges ---- */

/* What the walk of one alternative has found of @v, or only that it is well-formed (@v NULL). */
struct walk {
	const struct semver *v;
	bool holds, pre_named;
};

static bool same_numbers(const struct semver *a, const struct semver *b)
{
	return memcmp(a->number, b->number, sizeof a->number) == 0;
}

static void bound(struct walk *w, enum bound_op op, const struct semver *limit)
{
	int order;

	if (!w->v)
		return;
	order = order_of(w->v, limit);
	w->pre_named |= limit->pre.n && same_numbers(w->v, limit);
	w->holds &= op == BOUND_LESS ? order < 0 : op == BOUND_AT_MOST ? order <= 0 : op == BOUND_MORE ? order > 0
		  : op == BOUND_AT_LEAST ? order >= 0 : order == 0;
}

/* The first version after all that begin with the first
 * @count numbers. Nothing is after the largest number. */
static struct semver after(const struct semver *v, unsigned count)
{
	struct semver next = { { 0, 0, 0 }, { NULL, 0 } };

	for (unsigned i = 0; i < count && i < 3; i++)
		next.number[i] = v->number[i];
	if (count)
		next.number[count - 1]++;	/* <= INT64_MAX before */
	return next;
}

static void from_to(struct walk *w, const struct semver *low, unsigned count)
{
	struct semver high = after(low, count);

	bound(w, BOUND_AT_LEAST, low);
	if (count)
		bound(w, BOUND_LESS, &high);
}

/* ^1.2.3: up to the next change of the leftmost number that is not zero. */
static void caret(struct walk *w, const struct semver *low, unsigned count)
{
	unsigned keep = 0;

	while (keep + 1 < count && low->number[keep] == 0)
		keep++;
	from_to(w, low, count ? keep + 1 : 0);
}

static void nothing(struct walk *w) { w->holds = false; }

static void compared(struct walk *w, enum bound_op op, const struct semver *v, unsigned count)
{
	struct semver next = after(v, count);
	bool partial = count < 3;

	if (op == BOUND_EQUAL && partial)
		from_to(w, v, count);
	else if (count == 0 && (op == BOUND_LESS || op == BOUND_MORE))
		nothing(w);
	else if (count == 0)
		bound(w, BOUND_AT_LEAST, v);
	else if (partial && op == BOUND_MORE)
		bound(w, BOUND_AT_LEAST, &next);
	else if (partial && op == BOUND_AT_MOST)
		bound(w, BOUND_LESS, &next);
	else
		bound(w, op, v);
}

struct op {
	struct str text;
	char kind;			/* '^', '~', or 0 */
	enum bound_op bound;
};

static bool comparator(struct walk *w, struct str s, bool bare_is_caret)
{
	static const struct op ops[] = {
		{ STR_INIT("<="), 0, BOUND_AT_MOST }, { STR_INIT(">="), 0, BOUND_AT_LEAST },
		{ STR_INIT("~>"), '~', 0 },
		{ STR_INIT("<"), 0, BOUND_LESS }, { STR_INIT(">"), 0, BOUND_MORE },
		{ STR_INIT("="), 0, BOUND_EQUAL }, { STR_INIT("^"), '^', 0 }, { STR_INIT("~"), '~', 0 },
	};
	struct op op = { { NULL, 0 }, 0, BOUND_EQUAL };
	struct semver v;
	unsigned count;
	bool star;

	for (size_t i = 0; i < sizeof ops / sizeof *ops && !op.text.n; i++)
		if (str_starts(s, ops[i].text))
			op = ops[i];
	s = str_trim(str_from(s, op.text.n));
	star = memchr(s.p ? s.p : "", '*', s.n) || memchr(s.p ? s.p : "", 'x', s.n);
	if (s.n && s.p[0] == 'v' && !bare_is_caret)
		s = str_from(s, 1);
	if (!parse(s, &v, &count))
		return false;
	if (op.kind == '^' || (bare_is_caret && op.text.n == 0 && !(star && count < 3)))
		caret(w, &v, count);
	else if (op.kind == '~')
		from_to(w, &v, count > 2 ? 2 : count);
	else
		compared(w, op.bound, &v, count);
	return true;
}

/* "1.2 - 2.3" */
static bool hyphen(struct walk *w, struct str low_text, struct str high_text)
{
	struct semver low, high;
	unsigned low_count, high_count;

	if (!parse(low_text, &low, &low_count) || !parse(high_text, &high, &high_count))
		return false;
	bound(w, BOUND_AT_LEAST, &low);
	compared(w, BOUND_AT_MOST, &high, high_count);
	return true;
}

static bool operator_alone(struct str s)
{
	for (size_t i = 0; i < s.n; i++)
		if (!strchr("<>=^~", s.p[i]))
			return false;
	return s.n > 0;
}

/* Comparators with spaces between; "> 1" is one of them. */
static bool alternative(struct walk *w, struct str s)
{
	const char *dash = s.n ? memmem(s.p, s.n, " - ", 3) : NULL;
	struct str part;

	if (dash) {
		size_t at = (size_t)(dash - s.p);

		return hyphen(w, str_trim(str_head(s, at)), str_trim(str_from(s, at + 3)));
	}
	if (s.n == 0) {
		struct semver zero = { { 0, 0, 0 }, { NULL, 0 } };

		bound(w, BOUND_AT_LEAST, &zero);
		return true;
	}
	while (s.n) {
		size_t n = str_find(s, ' ');

		part = str_head(s, n);
		while (operator_alone(part) && n < s.n) {
			while (n < s.n && s.p[n] == ' ')
				n++;
			n += str_find(str_from(s, n), ' ');
			part = str_head(s, n);
		}
		if (!comparator(w, part, false))
			return false;
		s = str_trim(str_from(s, n));
	}
	return true;
}

static bool in(const struct walk *w) { return w->holds && (!w->v->pre.n || w->pre_named); }

static bool npm_range(struct str range, const struct str *text)
{
	struct semver v;
	bool any = false;

	if (text && !parse(*text, &v, NULL))
		return false;
	for (bool last = false; !last;) {
		const char *bars = range.n ? memmem(range.p, range.n, "||", 2) : NULL;
		size_t n = bars ? (size_t)(bars - range.p) : range.n;
		struct walk w = { .v = text ? &v : NULL, .holds = true };

		if (!alternative(&w, str_trim(str_head(range, n))))
			return false;
		any = any || (text && in(&w));
		last = !bars;
		range = str_from(range, n + 2);
	}
	return !text || any;
}

static bool cargo_range(struct str range, const struct str *text)
{
	struct semver v;
	struct str part;

	if (text && !parse(*text, &v, NULL))
		return false;
	struct walk w = { .v = text ? &v : NULL, .holds = true };

	while (version_token(&range, ',', &part))
		if (!comparator(&w, part, true))
			return false;
	return !text || in(&w);
}

/* ---- the interface ---- */

static bool valid(struct str v)
{
	struct semver parsed;

	return parse(v, &parsed, NULL);
}

static bool compare(struct str a, struct str b, int *ret)
{
	struct semver x, y;

	if (!parse(a, &x, NULL) || !parse(b, &y, NULL))
		return false;
	*ret = order_of(&x, &y);
	return true;
}

static bool prerelease(struct str v)
{
	struct semver parsed;

	return parse(v, &parsed, NULL) && parsed.pre.n;
}

const struct version_ops version_npm = { valid, compare, prerelease, npm_range };
const struct version_ops version_cargo = { valid, compare, prerelease, cargo_range };
