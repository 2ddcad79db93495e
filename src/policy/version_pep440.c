/* version_pep440.c - Python's versions and specifiers
 *
 * Theory of operation: one version is read into numbers, in every spelling that PEP 440 normalises; two are
 * compared as `packaging` does: epoch, release without trailing zeros, then pre, post, dev (a dev release
 * without pre or post stands before every pre-release), then the local part. Specifiers in a list must all
 * hold; a pre-release is admitted only if one of them names one.
 * Source: PEP 440; the specification "Version specifiers" of packaging.python.org.
 */
#include "policy/version_parts.h"

#define RELEASE_MAX 16

struct pep440 {
	uint64_t epoch, release[RELEASE_MAX];
	unsigned count;			/* of release */
	int pre;			/* 0: none; 'a', 'b', 'c' */
	bool has_post, has_dev;
	uint64_t pre_number, post, dev;
	struct str local;
};

/* ---- versions ---- */

static struct str digits(struct str *s)
{
	size_t n = 0;

	while (n < s->n && ascii_digit(s->p[n]))
		n++;
	struct str run = str_head(*s, n);

	*s = str_from(*s, n);
	return run;
}

static bool is_separator(char c) { return c == '.' || c == '-' || c == '_'; }

static bool take_word(struct str *s, const char *word)
{
	size_t n = strlen(word);

	if (!str_eq_nocase(str_head(*s, n), str_of(word)))
		return false;
	*s = str_from(*s, n);
	return true;
}

/* An optional separator and a number, 0 if there is none. */
static bool take_number(struct str *s, uint64_t *ret)
{
	struct str at = *s, run;

	if (at.n && is_separator(at.p[0]))
		at = str_from(at, 1);
	run = digits(&at);
	*ret = 0;
	if (run.n == 0)
		return true;
	*s = at;
	return str_decimal(run, INT64_MAX, ret);
}

/* "[.-_]word[.-_]N"; false only for a number that is too large */
static bool take_part(struct str *s, const char *const *words, int *ret_which, uint64_t *ret_number)
{
	struct str at = *s;

	*ret_which = -1;
	if (at.n && is_separator(at.p[0]))
		at = str_from(at, 1);
	for (int i = 0; words[i]; i++)
		if (take_word(&at, words[i])) {
			*ret_which = i;
			*s = at;
			return take_number(s, ret_number);
		}
	return true;
}

static bool take_release(struct str *s, struct pep440 *v)
{
	struct str run = digits(s);

	if (s->n && s->p[0] == '!') {
		if (!str_decimal(run, INT64_MAX, &v->epoch))
			return false;
		*s = str_from(*s, 1);
		run = digits(s);
	}
	for (;;) {
		if (v->count == RELEASE_MAX || !str_decimal(run, INT64_MAX, &v->release[v->count++]))
			return false;
		if (s->n < 2 || s->p[0] != '.' || !ascii_digit(s->p[1]))
			return true;
		*s = str_from(*s, 1);
		run = digits(s);
	}
}

static bool local_valid(struct str s)
{
	for (size_t i = 0; i < s.n; i++) {
		bool mark = is_separator(s.p[i]);

		if (!mark && !ascii_alpha(s.p[i]) && !ascii_digit(s.p[i]))
			return false;
		if (mark && (i == 0 || i + 1 == s.n || is_separator(s.p[i - 1])))
			return false;
	}
	return s.n > 0;
}

static bool take_post(struct str *s, struct pep440 *v)
{
	static const char *const words[] = { "post", "rev", "r", NULL };
	int which;

	if (s->n > 1 && s->p[0] == '-' && ascii_digit(s->p[1])) {
		*s = str_from(*s, 1);
		v->has_post = true;
		return str_decimal(digits(s), INT64_MAX, &v->post);
	}
	if (!take_part(s, words, &which, &v->post))
		return false;
	v->has_post = which >= 0;
	return true;
}

static bool parse(struct str s, struct pep440 *ret)
{
	static const char *const pre[] = { "alpha", "a", "beta", "b", "preview", "pre", "rc", "c", NULL };
	static const char *const dev[] = { "dev", NULL };
	struct pep440 v = { 0 };
	int which;

	if (s.n && (s.p[0] == 'v' || s.p[0] == 'V'))
		s = str_from(s, 1);
	if (!take_release(&s, &v) || !take_part(&s, pre, &which, &v.pre_number))
		return false;
	v.pre = which < 0 ? 0 : which < 2 ? 'a' : which < 4 ? 'b' : 'c';
	if (!take_post(&s, &v) || !take_part(&s, dev, &which, &v.dev))
		return false;
	v.has_dev = which >= 0;
	if (s.n && s.p[0] == '+') {
		v.local = str_from(s, 1);
		if (!local_valid(v.local))
			return false;
		s.n = 0;
	}
	*ret = v;
	return s.n == 0;
}

static int compare_release(const struct pep440 *a, const struct pep440 *b, unsigned count)
{
	int order = version_order(a->epoch, b->epoch);

	for (unsigned i = 0; i < count && !order; i++)
		order = version_order(i < a->count ? a->release[i] : 0, i < b->count ? b->release[i] : 0);
	return order;
}

/* Where it stands beside the final release: a dev release of it before its pre-releases, these before it. */
static int pre_rank(const struct pep440 *v)
{
	return v->pre ? v->pre : v->has_dev && !v->has_post ? 0 : 'z';
}

static int compare_local(struct str a, struct str b)
{
	if (a.n == 0 || b.n == 0)
		return (a.n != 0) - (b.n != 0);
	while (a.n && b.n) {
		size_t i = 0, k = 0;
		uint64_t x, y;
		int order;

		while (i < a.n && !is_separator(a.p[i]))
			i++;
		while (k < b.n && !is_separator(b.p[k]))
			k++;
		bool number_a = str_decimal(str_head(a, i), UINT64_MAX, &x);
		bool number_b = str_decimal(str_head(b, k), UINT64_MAX, &y);

		if (number_a && number_b)
			order = version_order(x, y);
		else if (number_a || number_b)
			order = number_a - number_b;
		else
			order = str_eq_nocase(str_head(a, i), str_head(b, k)) ? 0
				: str_compare(str_head(a, i), str_head(b, k));
		if (order)
			return order;
		a = str_from(a, i + 1);
		b = str_from(b, k + 1);
	}
	return (a.n != 0) - (b.n != 0);
}

static int compare_public(const struct pep440 *a, const struct pep440 *b)
{
	int order = compare_release(a, b, RELEASE_MAX);

	if (!order)
		order = pre_rank(a) - pre_rank(b);
	if (!order)
		order = version_order(a->pre_number, b->pre_number);
	if (!order)
		order = a->has_post - b->has_post;
	if (!order)
		order = version_order(a->post, b->post);
	if (!order)
		order = b->has_dev - a->has_dev;
	return order ? order : version_order(a->dev, b->dev);
}

static int order_of(const struct pep440 *a, const struct pep440 *b)
{
	int order = compare_public(a, b);

	return order ? order : compare_local(a->local, b->local);
}

static bool is_pre(const struct pep440 *v) { return v->pre || v->has_dev; }

/* ---- specifiers ---- */

enum spec { SPEC_ARBITRARY, SPEC_COMPATIBLE, SPEC_EQUAL, SPEC_NOT, SPEC_AT_MOST, SPEC_AT_LEAST, SPEC_LESS,
	    SPEC_MORE };

static bool equal(const struct pep440 *v, const struct pep440 *limit)
{
	return compare_public(v, limit) == 0 &&
	       (limit->local.n == 0 || compare_local(v->local, limit->local) == 0);
}

/* "<V" takes no pre-release of V, ">V" no post-release and no local version of it, unless V is one. */
static bool less(const struct pep440 *v, const struct pep440 *limit)
{
	return compare_public(v, limit) < 0 &&
	       !(is_pre(v) && !is_pre(limit) && compare_release(v, limit, RELEASE_MAX) == 0);
}

static bool more(const struct pep440 *v, const struct pep440 *limit)
{
	return compare_public(v, limit) > 0 &&
	       !(v->has_post && !limit->has_post && compare_release(v, limit, RELEASE_MAX) == 0);
}

static bool agrees(enum spec spec, const struct pep440 *v, const struct pep440 *limit, bool prefix)
{
	bool begins = prefix && compare_release(v, limit, limit->count) == 0;

	switch (spec) {
	case SPEC_COMPATIBLE:
		return compare_public(v, limit) >= 0 && compare_release(v, limit, limit->count - 1) == 0;
	case SPEC_EQUAL:
		return prefix ? begins : equal(v, limit);
	case SPEC_NOT:
		return prefix ? !begins : !equal(v, limit);
	case SPEC_AT_MOST:
		return compare_public(v, limit) <= 0;
	case SPEC_AT_LEAST:
		return compare_public(v, limit) >= 0;
	case SPEC_LESS:
		return less(v, limit);
	case SPEC_MORE:
		return more(v, limit);
	case SPEC_ARBITRARY:
		break;
	}
	return false;
}

static bool specifier(struct str s, const struct pep440 *v, struct str text, bool *holds, bool *pre_named)
{
	static const struct { struct str text; enum spec spec; } ops[] = {
		{ STR_INIT("==="), SPEC_ARBITRARY }, { STR_INIT("~="), SPEC_COMPATIBLE },
		{ STR_INIT("=="), SPEC_EQUAL },
		{ STR_INIT("!="), SPEC_NOT }, { STR_INIT("<="), SPEC_AT_MOST },
		{ STR_INIT(">="), SPEC_AT_LEAST }, { STR_INIT("<"), SPEC_LESS }, { STR_INIT(">"), SPEC_MORE },
	};
	size_t i = 0;
	struct pep440 limit;
	bool prefix;

	while (i < sizeof ops / sizeof *ops && !str_starts(s, ops[i].text))
		i++;
	if (i == sizeof ops / sizeof *ops)
		return false;
	s = str_trim(str_from(s, ops[i].text.n));
	if (ops[i].spec == SPEC_ARBITRARY) {
		*holds &= !v || str_eq_nocase(s, text);
		*pre_named |= parse(s, &limit) && is_pre(&limit);
		return s.n > 0;
	}
	prefix = (ops[i].spec == SPEC_EQUAL || ops[i].spec == SPEC_NOT) && str_ends(s, STR(".*"));
	if (prefix)
		s.n -= 2;
	if (!parse(s, &limit) || (prefix && (is_pre(&limit) || limit.has_post || limit.local.n)) ||
	    (limit.local.n && ops[i].spec != SPEC_EQUAL && ops[i].spec != SPEC_NOT) ||
	    (ops[i].spec == SPEC_COMPATIBLE && limit.count < 2))
		return false;
	*pre_named |= is_pre(&limit) && ops[i].spec != SPEC_NOT && ops[i].spec != SPEC_LESS &&
		      ops[i].spec != SPEC_MORE;
	*holds &= !v || agrees(ops[i].spec, v, &limit, prefix);
	return true;
}

static bool range(struct str s, const struct str *text)
{
	struct pep440 v = { 0 };
	bool holds = true, pre_named = false;
	struct str part;

	if (text && !parse(*text, &v))
		return false;
	while (version_token(&s, ',', &part))
		if (!specifier(part, text ? &v : NULL, text ? *text : part, &holds, &pre_named))
			return false;
	return !text || (holds && (pre_named || !is_pre(&v)));
}

/* ---- the interface ---- */

static bool valid(struct str v)
{
	struct pep440 parsed;

	return parse(v, &parsed);
}

static bool compare(struct str a, struct str b, int *ret)
{
	struct pep440 x, y;

	if (!parse(a, &x) || !parse(b, &y))
		return false;
	*ret = order_of(&x, &y);
	return true;
}

static bool prerelease(struct str v)
{
	struct pep440 parsed;

	return parse(v, &parsed) && is_pre(&parsed);
}

const struct version_ops version_pypi = { valid, compare, prerelease, range };
