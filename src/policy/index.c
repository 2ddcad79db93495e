/* index.c - hash of host patterns; see index.h
 *
 * The hash runs over a host from its last byte to its first, so that one pass yields the
 * hash of every parent on the way. The keys are the policy's own; a host that is looked up
 * comes from the agent and can at worst walk one run of the table's used entries.
 */
#include "policy/index.h"

#define HASH_START 0xcbf29ce484222325u

static uint64_t hash_step(uint64_t h, char c)
{
	return (h ^ (uint8_t)c) * 0x100000001b3u;
}

static size_t home(const struct index *x, uint64_t hash, bool suffix)
{
	return (size_t)(hash ^ (hash >> 32) ^ suffix) & x->mask;
}

static bool is_host(const struct index_entry *e, struct str host)
{
	if (e->host_bytes != host.n || !host.p)
		return false;
	if (host.n <= INDEX_BEGINNING)
		return memcmp(e->beginning, host.p, host.n) == 0;
	return memcmp(e->host, host.p, host.n) == 0;
}

static struct index_entry *slot(const struct index *x, struct str host, uint64_t hash, bool suffix)
{
	for (size_t i = home(x, hash, suffix);; i = (i + 1) & x->mask) {
		struct index_entry *e = &x->entries[i];

		if (!e->used || (e->hash == hash && e->suffix == suffix && is_host(e, host)))
			return e;
	}
}

static struct index_entry *pattern_slot(const struct index *x, struct str pattern, struct str *ret_host,
					uint64_t *ret_hash, bool *ret_suffix)
{
	uint64_t hash = HASH_START;

	*ret_suffix = pattern.n > 0 && pattern.p[0] == '*';
	*ret_host = *ret_suffix ? str_from(pattern, 2) : pattern;	/* "*" is the suffix "" */
	for (size_t i = ret_host->n; i-- > 0;)
		hash = hash_step(hash, ret_host->p[i]);
	*ret_hash = hash;
	return slot(x, *ret_host, hash, *ret_suffix);
}

enum err index_init(struct index *x, struct arena *a, size_t patterns)
{
	size_t size = 16;

	while (size < patterns * 2)
		size *= 2;
	x->entries = arena_array(a, size, sizeof *x->entries);
	x->items = arena_array(a, patterns, sizeof *x->items);
	x->mask = size - 1;
	return x->entries && x->items ? ERR_OK : ERR_MEMORY;
}

enum err index_count(struct index *x, struct str pattern)
{
	struct str host;
	uint64_t hash;
	bool suffix;
	struct index_entry *e = pattern_slot(x, pattern, &host, &hash, &suffix);

	if (!e->used) {
		*e = (struct index_entry){ .host = host.p, .host_bytes = (uint16_t)host.n, .hash = hash,
					   .suffix = suffix, .used = true };
		memcpy(e->beginning, host.p, host.n < INDEX_BEGINNING ? host.n : INDEX_BEGINNING);
	}
	if (e->count == INDEX_RULES_MAX)
		return ERR_LIMIT;
	e->count++;
	return ERR_OK;
}

void index_place(struct index *x)
{
	uint32_t first = 0;

	for (size_t i = 0; i <= x->mask; i++) {
		x->entries[i].first = first;
		first += x->entries[i].count;
		x->entries[i].count = 0;	/* index_add() counts again */
	}
}

void index_add(struct index *x, struct str pattern, struct index_item item)
{
	struct str host;
	uint64_t hash;
	bool suffix;
	struct index_entry *e = pattern_slot(x, pattern, &host, &hash, &suffix);

	x->items[e->first + e->count++] = item;
}

static void take(const struct index *x, struct str host, uint64_t hash, bool suffix, struct index_walk *w)
{
	const struct index_entry *e = slot(x, host, hash, suffix);

	if (!e->used || w->count == INDEX_LISTS_MAX)
		return;
	__builtin_prefetch(x->items + e->first);
	w->lists[w->count].next = x->items + e->first;
	w->lists[w->count++].end = x->items + e->first + e->count;
}

/* Where take() will look, asked for all at once: the memory's answers then come together. */
static void prefetch(const struct index *x, struct str host, bool suffix)
{
	uint64_t hash = HASH_START;

	for (size_t i = host.n; i-- > 0;) {
		hash = hash_step(hash, host.p[i]);
		if (i > 0 && host.p[i - 1] == '.')
			__builtin_prefetch(&x->entries[home(x, hash, true)]);
	}
	__builtin_prefetch(&x->entries[home(x, hash, suffix)]);
}

/* The lists of @host's parents, and its own: as an exact host or as a suffix. */
static void collect(const struct index *x, struct str host, bool suffix, struct index_walk *w)
{
	uint64_t hash = HASH_START;

	prefetch(x, host, suffix);
	take(x, STR(""), hash, true, w);
	for (size_t i = host.n; i-- > 0;) {
		hash = hash_step(hash, host.p[i]);
		if (i > 0 && host.p[i - 1] == '.')
			take(x, str_from(host, i), hash, true, w);
	}
	take(x, host, hash, suffix, w);
}

static void begin(struct index_walk *w)
{
	w->count = 0;
	w->started = false;
}

void index_find(const struct index *x, struct str host, struct index_walk *ret)
{
	uint64_t hash = HASH_START;

	begin(ret);
	if (!host_is_literal(host)) {
		collect(x, host, false, ret);
		return;
	}
	for (size_t i = host.n; i-- > 0;)
		hash = hash_step(hash, host.p[i]);
	take(x, host, hash, false, ret);
}

void index_find_pattern(const struct index *x, struct str pattern, struct index_walk *ret)
{
	if (pattern.n == 0 || pattern.p[0] != '*') {
		index_find(x, pattern, ret);
		return;
	}
	begin(ret);
	if (pattern.n == 1)
		take(x, STR(""), HASH_START, true, ret);
	else
		collect(x, str_from(pattern, 2), true, ret);
}

const struct index_item *index_step(struct index_walk *w)
{
	for (;;) {
		uint32_t best = UINT32_MAX, which = 0;

		for (uint32_t i = 0; i < w->count; i++)
			if (w->lists[i].next < w->lists[i].end && w->lists[i].next->rule < best) {
				best = w->lists[i].next->rule;
				which = i;
			}
		if (best == UINT32_MAX)
			return NULL;
		const struct index_item *item = w->lists[which].next++;

		if (w->started && best == w->last)
			continue;	/* the same rule, by another of its hosts */
		w->started = true;
		w->last = best;
		return item;
	}
}

bool index_next(struct index_walk *w, uint32_t *ret_rule)
{
	const struct index_item *item = index_step(w);

	if (item)
		*ret_rule = item->rule;
	return item != NULL;
}

bool host_is_literal(struct str host)
{
	size_t i = host.n;

	if (str_find(host, ':') < host.n)
		return true;
	while (i > 0 && ascii_digit(host.p[i - 1]))
		i--;
	return i < host.n && (i == 0 || host.p[i - 1] == '.');
}
