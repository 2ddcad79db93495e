/* registry_table.h - what a registry's own metadata says
 * of a package: when what was published, and its digests
 *
 * Asked for by the courier itself (fetch.h), read by paddock-decoder, kept for a while: one
 * table a package, shared by all exchanges that need it, and one request in flight for it.
 */
#pragma once

#include "courier/courier.h"
#include "policy/registry.h"

#define REGISTRY_TABLE_MS (5 * 60 * 1000)	/* how long one is good */
#define REGISTRY_TABLES_MAX 512
#define REGISTRY_TABLES_BYTES_MAX (48ull * 1024 * 1024)	/* of all of them */
#define REGISTRY_ITEMS_MAX 60000

struct registry_entry {
	struct str item;		/* version, or file (pypi) */
	int64_t published;		/* seconds since 1970, or -1 */
	struct str algorithm, digest;	/* empty: not said */
	bool yanked;
};
struct registry_table;
/** registry_table_find() - NULL: the metadata does not have it */
const struct registry_entry *registry_table_find(const struct registry_table *t, struct str item);
/** registry_table_missing() - the registry does not know the package */
bool registry_table_missing(const struct registry_table *t);
uint32_t registry_table_count(const struct registry_table *t);
const struct registry_entry *registry_table_entry(const struct registry_table *t, uint32_t i);

/** struct registry_origin - where the metadata of a package is asked for */
struct registry_origin {
	enum head_scheme scheme;
	struct str host, path;		/* canonical */
	uint16_t port;
	bool ages;			/* ages are needed: of npm the whole document */
};
/** registry_table_ask() - the table of @package under @rule; @fields (credentials among them) go with the
 *  request if one is made. An origin that was asked before (by a request for the package's metadata) is asked
 *  rather than @origin unless @known.
 * Return: ERR_OK and *ret, good until the loop runs; ERR_MORE: @wait is called;
 * ERR_RESOLVE ..: it cannot be had (*ret_reason: static words); ERR_LIMIT, ERR_MEMORY */
must_use enum err registry_table_ask(struct courier *c, const struct policy_rule *rule, struct str package,
				     const struct registry_origin *origin, bool known, struct str parent,
				     struct str credential, const struct head_field *fields,
				     uint32_t field_count, struct waiter *wait,
				     const struct registry_table **ret, const char **ret_reason);
#define REGISTRY_FETCHES_MAX 12			/* that are fetched or read at once, FETCH_ANSWER_MAX each; fewer than
						   FETCH_AT_ONCE: a token is always to be had */
#define REGISTRY_FILTERS_MAX 64			/* of the decoder's DECODER_CHILDREN_MAX */
/** registry_reserve() - a place among the answers that are filtered at once:
 *  ERR_OK, or ERR_MORE: @wait is called. registry_release() gives it back. */
must_use enum err registry_reserve(struct courier *c, struct waiter *wait);
void registry_release(struct courier *c);
/** registry_tick() - those who wait for room, if there is some again; at least once a second */
void registry_tick(struct courier *c);
/** registry_tables_free() - all of them; nobody waits any more */
void registry_tables_free(struct courier *c);
