/* sieve.c - see sieve.h. Pure. */
#include "policy/sieve.h"

#include "base/glob.h"
#include "policy/compiled.h"

#define EVERY UINT32_MAX

static uint32_t method_bit(struct str method)
{
	static const struct str known[] = {
		STR_INIT("GET"),   STR_INIT("HEAD"),   STR_INIT("POST"),    STR_INIT("PUT"),
		STR_INIT("PATCH"), STR_INIT("DELETE"), STR_INIT("OPTIONS"),
	};

	for (unsigned i = 0; i < sizeof known / sizeof *known; i++)
		if (str_eq(method, known[i]))
			return 1u << i;
	return SIEVE_OTHER;
}

/* Up to eight bytes, the first lowest. */
static uint64_t first_bytes(struct str s)
{
	uint64_t v = 0;

	for (size_t i = 0; i < s.n && i < 8; i++)
		v |= (uint64_t)(uint8_t)s.p[i] << (8 * i);
	return v;
}

/* The literal bytes with which each of the rule's paths begins. */
static struct str common_beginning(const struct compiled_rule *r)
{
	struct str common;

	if (r->path_count == 0)
		return STR("");
	common = str_head(r->paths[0], glob_literal(r->paths[0]));
	for (uint32_t i = 1; i < r->path_count; i++) {
		struct str other = str_head(r->paths[i], glob_literal(r->paths[i]));
		size_t same = 0;

		while (same < common.n && same < other.n && common.p[same] == other.p[same])
			same++;
		common.n = same;
	}
	return str_head(common, 8);
}

struct sieve sieve_of_rule(const struct compiled_rule *r)
{
	struct str path = common_beginning(r);
	struct sieve s = { .path = first_bytes(path),
			   .path_bytes = (uint8_t)path.n,
			   .methods = r->method_count ? 0 : EVERY,
			   .denies = r->rule.verdict == POLICY_DENY };

	if (r->rule.kind == POLICY_KIND_HTTP)
		s.schemes = (uint8_t)r->schemes;
	for (uint32_t i = 0; i < r->method_count; i++)
		s.methods |= method_bit(r->methods[i]);
	return s;
}

struct sieve_key sieve_of_head(const struct head *head, bool ambiguous)
{
	return (struct sieve_key) { .path = first_bytes(head->path),
				    .method = method_bit(head->method),
				    .scheme = (uint8_t)(1u << head->scheme),
				    .ambiguous = ambiguous };
}
