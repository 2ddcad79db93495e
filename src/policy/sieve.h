/* sieve.h - 16 bytes of a rule that turn most requests away
 *
 * What a head must have at least to match a rule: one of some methods, one of some schemes, the first bytes
 * of its path. The sieves of a host's rules lie side by side in the index, so that a walk over them touches
 * the memory of those alone that are likely to match. A sieve only ever says no for certain; match.c compares
 * what passes.
 */
#pragma once

#include "policy/policy.h"

struct compiled_rule;

struct sieve {
	uint64_t path;		/* the first bytes of every path that could match, the first of them lowest */
	uint32_t methods;	/* bits, see sieve.c */
	uint8_t path_bytes;	/* how many: 0..8 */
	uint8_t schemes;	/* bits 1 << enum head_scheme; none: no request can match */
	bool denies;		/* then a path that can be read in two ways passes */
};

/** struct sieve_key - what of a head is compared */
struct sieve_key {
	uint64_t path;
	uint32_t method;	/* one bit */
	uint8_t scheme;		/* one bit */
	bool ambiguous;		/* the path can be read in more than one way */
};

struct sieve sieve_of_rule(const struct compiled_rule *r);
struct sieve_key sieve_of_head(const struct head *head, bool ambiguous);

/** sieve_knows_method() - does a sieve that passes prove that the rule takes the method? */
#define SIEVE_OTHER (1u << 31)	/* a method that has no bit of its own */
static inline bool sieve_knows_method(const struct sieve_key *k) { return k->method != SIEVE_OTHER; }

/** sieve_passes() - false: the rule does not match */
static inline bool sieve_passes(const struct sieve *s, const struct sieve_key *k)
{
	uint64_t mask = s->path_bytes == 8 ? UINT64_MAX : ((uint64_t)1 << (8 * s->path_bytes)) - 1;

	return (s->methods & k->method) && (s->schemes & k->scheme) &&
	       (((s->path ^ k->path) & mask) == 0 || (s->denies && k->ambiguous));
}
