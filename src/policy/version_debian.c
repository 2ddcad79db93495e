/* version_debian.c - Debian's versions: [epoch:]upstream[-revision]
 *
 * Theory of operation: the three parts in turn; the last two by alternating
 * runs of anything (letters before all else, '~' before the end) and of digits.
 * Source: deb-version(7).
 */
#include "policy/version_parts.h"

struct debian {
	uint64_t epoch;
	struct str upstream, revision;
};

static bool bytes_valid(struct str s, const char *marks)
{
	for (size_t i = 0; i < s.n; i++)
		if (!ascii_alpha(s.p[i]) && !ascii_digit(s.p[i]) && !strchr(marks, s.p[i]))
			return false;
	return true;
}

static bool parse(struct str s, struct debian *ret)
{
	size_t colon = str_find(s, ':'), dash;
	struct debian v = { 0, s, { NULL, 0 } };

	if (colon < s.n) {
		if (!str_decimal(str_head(s, colon), INT32_MAX, &v.epoch))
			return false;
		v.upstream = str_from(s, colon + 1);
	}
	dash = v.upstream.n;
	while (dash && v.upstream.p[dash - 1] != '-')
		dash--;
	if (dash) {
		v.revision = str_from(v.upstream, dash);
		v.upstream.n = dash - 1;
		if (v.revision.n == 0)
			return false;
	}
	if (v.upstream.n == 0 || memchr(s.p, 0, s.n) ||
	    !bytes_valid(v.upstream, colon < s.n ? ".+-~:" : ".+-~") || !bytes_valid(v.revision, ".+~"))
		return false;
	*ret = v;
	return true;
}

static int weight(struct str s, size_t i)
{
	char c = (char)(i < s.n ? s.p[i] : '0');

	if (ascii_digit(c))
		return 0;
	return c == '~' ? -1 : ascii_alpha(c) ? (uint8_t)c : (uint8_t)c + 256;
}

static bool other_at(struct str s, size_t i) { return i < s.n && !ascii_digit(s.p[i]); }
static bool digit_at(struct str s, size_t i) { return i < s.n && ascii_digit(s.p[i]); }

static int compare_part(struct str a, struct str b)
{
	size_t i = 0, k = 0;

	while (i < a.n || k < b.n) {
		int first = 0;

		while (other_at(a, i) || other_at(b, k)) {
			int order = weight(a, i) - weight(b, k);

			if (order)
				return order;
			i++;
			k++;
		}
		while (digit_at(a, i) && a.p[i] == '0')
			i++;
		while (digit_at(b, k) && b.p[k] == '0')
			k++;
		while (digit_at(a, i) && digit_at(b, k)) {
			first = first ? first : a.p[i] - b.p[k];
			i++;
			k++;
		}
		if (digit_at(a, i) || digit_at(b, k))
			return digit_at(a, i) ? 1 : -1;
		if (first)
			return first;
	}
	return 0;
}

static int order_of(const struct debian *a, const struct debian *b)
{
	int order = version_order(a->epoch, b->epoch);

	if (!order)
		order = compare_part(a->upstream, b->upstream);
	return order ? order : compare_part(a->revision, b->revision);
}

static bool valid(struct str v)
{
	struct debian parsed;

	return parse(v, &parsed);
}

static bool compare(struct str a, struct str b, int *ret)
{
	struct debian x, y;

	if (!parse(a, &x) || !parse(b, &y))
		return false;
	*ret = order_of(&x, &y);
	return true;
}

static bool prerelease(struct str v)
{
	(void)v;
	return false;
}

static bool range(struct str s, const struct str *text)
{
	static const struct { struct str text; bool less, equal, more; } ops[] = {
		{ STR_INIT("<<"), true, false, false }, { STR_INIT("<="), true, true, false },
		{ STR_INIT(">>"), false, false, true }, { STR_INIT(">="), false, true, true },
		{ STR_INIT("="), false, true, false }, { STR_INIT("<"), true, false, false },
		{ STR_INIT(">"), false, false, true },
	};
	struct debian v = { 0 }, limit;
	bool holds = true;
	struct str part;

	if (text && !parse(*text, &v))
		return false;
	while (version_token(&s, ',', &part)) {
		size_t i = 0;
		int order;

		while (i < sizeof ops / sizeof *ops && !str_starts(part, ops[i].text))
			i++;
		if (i == sizeof ops / sizeof *ops || !parse(str_trim(str_from(part, ops[i].text.n)), &limit))
			return false;
		order = text ? order_of(&v, &limit) : 0;
		holds &= (order < 0 && ops[i].less) || (order == 0 && ops[i].equal) ||
			 (order > 0 && ops[i].more);
	}
	return !text || holds;
}

const struct version_ops version_debian = { valid, compare, prerelease, range };
