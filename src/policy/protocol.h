/* protocol.h - rules that understand what passes; a file per protocol, a table of them
 *
 * A protocol says what a request is from its head alone (repository and service; package, version and
 * action): its facts. A rule with a protocol part matches if its other conditions do and these facts agree; a
 * request to its host that the protocol does not recognise is denied by that rule (I5). What only the body
 * tells (a ref, a digest) narrows later: protocol_judge(), over facts that paddock-decoder found, can deny
 * and nothing else (I2). To add one: protocol_<name>.c, a line in the table of protocol.c, a schema in
 * document.c, and what its bodies need in courier/protocol_<name>.c and decoder/<name>.c.
 */
#pragma once

#include "policy/policy.h"

#define PROTOCOL_FACTS_MAX 24

struct protocol_fact {
	struct str name, value;		/* "git.repository", "acme/site" */
};
struct protocol_facts {
	uint32_t count;
	struct protocol_fact items[PROTOCOL_FACTS_MAX];
	struct buf storage;		/* values that are no views into the head; protocol_facts_init() */
};
void protocol_facts_init(struct protocol_facts *f);
void protocol_facts_free(struct protocol_facts *f);
/** protocol_facts_add() - ERR_LIMIT when full; both views are copied into the storage */
must_use enum err protocol_facts_add(struct protocol_facts *f, struct str name, struct str value);
/** protocol_fact_find() - its value, or an empty view */
struct str protocol_fact_find(const struct protocol_facts *f, struct str name);

enum protocol_match { PROTOCOL_NO, PROTOCOL_YES, PROTOCOL_UNRECOGNISED };
enum protocol_answer {
	PROTOCOL_PASSES,		/* whatever the body or the metadata
					   says, or by what was told of them */
	PROTOCOL_REFUSES,
	PROTOCOL_OPEN,			/* it depends on what was not told */
	PROTOCOL_FOREIGN,		/* something was told that is not of such a request */
};

struct protocol {
	const char *name;			/* the key in a rule: "git" */
	/** facts of a head, whatever the rule: UNRECOGNISED, or YES */
	enum protocol_match (*facts)(const void *data, const struct head *head, struct protocol_facts *ret);
	/** does the rule's part agree with them? allocation-free */
	enum protocol_match (*match)(const void *data, const struct head *head);
	/** does a rule with @wide certainly match every request that one with @narrow does, or end the
	 *  walk at it? May be NULL: not known. Of what match() sees: two rules that differ in what only
	 *  judge() sees cover each other, for the first of them is the one that judges */
	bool (*covers)(const void *wide, const void *narrow);
	/** over facts of head and body: ERR_OK, or ERR_POLICY_DENIED with words for the agent in @reason */
	enum err (*judge)(const void *data, const struct protocol_facts *facts, struct buf *reason);
	/** what judge() would say of a request that match() takes, by what is @told
	 *  of its body or its metadata; to @out, but for PASSES, why, in words */
	enum protocol_answer (*ask)(const void *data, const struct head *head,
				    const struct protocol_facts *told, struct buf *out);
	/** why match() says no, in words, to @out; false: nothing to say. May be NULL */
	bool (*why)(const void *data, const struct head *head, struct buf *out);
	/** what the rule asks for, in words, for explanations */
	void (*describe)(const void *data, struct buf *out);
};
/** protocol_of() - NULL for a rule without one */
const struct protocol *protocol_of(const struct policy_rule *rule);
