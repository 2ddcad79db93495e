/* index.h - from a host to the rules that may match it
 *
 * A hash of exact hosts and of suffixes, each with the ascending list of the rules that
 * name it. A look-up finds the few lists that a host is on (its own, one for each of its
 * parents, "*") and walks them merged, so that first match still wins.
 */
#pragma once

#include "base/arena.h"
#include "policy/sieve.h"

#define INDEX_RULES_MAX 4096	/* of one host pattern: what is beyond makes matching slow */
#define INDEX_LISTS_MAX 130	/* a host of 253 bytes has at most 126 parents */

/* One line of a processor's cache: with many hosts each look-up is a miss, and should be no more than one. */
#define INDEX_BEGINNING 28
struct index_entry {
	uint64_t hash;
	uint32_t first, count;	/* in items */
	const char *host;	/* without "*." */
	uint16_t host_bytes;
	bool suffix, used;
	char beginning[INDEX_BEGINNING];	/* of the host: all of most */
};
/** struct index_item - a rule in the list of one of its hosts */
struct index_item {
	struct sieve sieve;
	uint32_t rule;
};
struct index {
	struct index_entry *entries;
	size_t mask;		/* entries: a power of two, at most half full */
	struct index_item *items;
};

struct index_walk {
	uint32_t count, last;
	bool started;
	struct { const struct index_item *next, *end; } lists[INDEX_LISTS_MAX];
};

/** index_init() - room for @patterns patterns in all; ERR_MEMORY */
must_use enum err index_init(struct index *x, struct arena *a, size_t patterns);
/** index_count(), then index_place() once, then index_add() for the same calls again: item.rule
 *  ascends. ERR_LIMIT if one pattern has INDEX_RULES_MAX rules already. */
must_use enum err index_count(struct index *x, struct str pattern);
void index_place(struct index *x);
void index_add(struct index *x, struct str pattern, struct index_item item);

/** index_find() - begins a walk over the rules that name @host, a canonical host */
void index_find(const struct index *x, struct str host, struct index_walk *ret);
/** index_find_pattern() - over those that name @pattern or a pattern wider than it */
void index_find_pattern(const struct index *x, struct str pattern, struct index_walk *ret);
/** index_step() - the next rule, ascending and each once; NULL at the end. index_next() - its number alone */
const struct index_item *index_step(struct index_walk *w);
bool index_next(struct index_walk *w, uint32_t *ret_rule);
/** host_is_literal() - is a canonical host an IP address? */
bool host_is_literal(struct str host);
