/* registry_table.h - what a registry's own metadata says
 * of a package: when what was published, and its digests
 *
 * Asked for by the courier itself (fetch.h), read by paddock-decoder, kept for a while. One table is
 * shared by all exchanges that would ask the same, and has one request in flight: by the same policy,
 * rule and client, of the same package, at the same address, with the same credentials.
 */
#pragma once

#include "courier/courier.h"
#include "policy/digest.h"
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
};
/** struct registry_question - what is asked, by whom, and with what; all borrowed for the call */
struct registry_question {
	struct str policy;		/* digest of the one that the request was decided by */
	const struct policy_rule *rule;
	struct str package;
	struct str client;		/* of an explicit proxy, or empty */
	struct registry_origin origin;
	bool known;			/* the request says itself that it is there */
	bool ages;			/* they are needed: of npm the whole document */
	struct str parent, credential;	/* as in fetch.h */
	const struct head_field *fields;	/* credentials, for @origin's host and no other */
	uint32_t field_count;
	const struct head *own;		/* with those fields as the agent sent them, */
	uint64_t secret;		/* and what stands for the secret that takes its place in them; or 0 */
};
/** registry_table_ask() - the table that answers @q. Unless @q->known, the metadata is asked for where an
 *  earlier request for it was sent by the same client under the same rule: at the same host if
 *  there was one, else at the last. The fields go along if that is at @q->origin's host.
 * Return: ERR_OK and *ret, good until the loop runs; ERR_MORE: @wait is called;
 * ERR_RESOLVE ..: it cannot be had (*ret_reason: static words); ERR_LIMIT, ERR_MEMORY */
must_use enum err registry_table_ask(struct courier *c, const struct registry_question *q,
				     struct waiter *wait, const struct registry_table **ret,
				     const char **ret_reason);
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
