/* exchange.h - one request and its answer
 *
 * The struct is visible to the parts of one exchange (exchange.c,
 * relay_*.c, answer.c, binding.c, protocol_*.c, journal.c) alone.
 */
#pragma once

#include "courier/carrier.h"
#include "courier/courier.h"
#include "courier/queue.h"

/* Every wait has an end (I7). The upstream's own dialling deadlines are in upstream.h. */
#define EXCHANGE_HEAD_MS 30000			/* the inspector's HEAD after its OPEN */
#define EXCHANGE_ANSWER_MS (10 * 60 * 1000)	/* an answer's head: LLMs think */
#define EXCHANGE_IDLE_MS (5 * 60 * 1000)	/* no byte of a body, in either direction */
#define EXCHANGE_CREDENTIAL_MS (2 * KEEPER_CLIENT_SOURCE_MS)	/* the keeper's own deadlines are shorter */
#define EXCHANGE_WEBSOCKET_MS (60 * 60 * 1000)	/* no message, in either direction */
#define EXCHANGE_INFORMATIONAL_MAX 16		/* 1xx heads before the answer */
#define EXCHANGE_REQUEST_ID_BYTES 96
#define REFUSAL_MAX 32768			/* an error answer's body: under a link window with its head */

/* what is held back because it may be the beginning of a secret, at most:
 * the longest form of the longest, and more; and what filters may leave here */
#define RELAY_CLEAR_MAX ((size_t)8 * SECRET_MAX_BYTES + 4 * (size_t)LINK_PAYLOAD_MAX)

#define STAGES(X) X(admit) X(decide) X(intent) X(examine) X(credential) X(dial) X(send) X(reply) X(outcome)
enum stage {
#define STAGE_ENUM(name) STAGE_##name,
	STAGES(STAGE_ENUM)
#undef STAGE_ENUM
	STAGE_COUNT
};

/** STEP_NEXT: on to the next stage; STEP_WAIT: run again when something changed; STEP_END: go to
 *  outcome with x->result; STEP_DONE: the exchange is over and may be freed */
enum step { STEP_NEXT, STEP_WAIT, STEP_END, STEP_DONE };

/** struct filter_ops - what an answer's body passes through, chosen by answer_begin(). All are called from
 *  relay_down(); what a filter lets pass it gives to relay_pass(), also later, from the loop. */
struct filter_ops {
	/** bytes that input() takes now; 0: exchange_run() is called when there is room again */
	size_t (*room)(struct exchange *x, void *filter);
	enum err (*input)(struct exchange *x, void *filter, struct str bytes);
	/** no more comes, before end(): may it all count? May be NULL */
	enum err (*verify)(struct exchange *x, void *filter);
	/** no more comes: x->down.filtered is set when all has passed */
	void (*end)(struct exchange *x, void *filter);
	void (*free)(void *filter);
};

/** the request's body, from the link to the upstream */
struct relay_up {
	struct queue body;		/* from the link, not yet with the carrier */
	size_t clear;			/* of body: searched, and no part of a placeholder */
	struct scrub *scrub;		/* for foreign placeholders; NULL: there are none */
	struct request_encoded *encoded;	/* their search in a body in a content
						   coding; NULL: it is in none */
	struct request_chunked *chunked;	/* its payload goes, not its signed
						   chunks; NULL: it has none */
	struct buf trailers;		/* encoded, checked; go when the body is gone */
	size_t uncredited;		/* received, and its credit not yet given back */
	size_t collect_max;		/* 0, or relay_collect() */
	bool replaced;			/* body is not what came: relay_replace_body() */
	bool ended;			/* the inspector's END is here */
	bool complete;			/* all of the body is here, also if END is still to come */
	bool framed;			/* the end of the body is with the carrier */
	bool done;			/* all of it is with the upstream */
	bool broken;			/* the upstream takes no more; its answer may still come */
	uint64_t bytes, taken;		/* received; given to the carrier */
	size_t kept;			/* of the courier's `bodies`, on
					   behalf of this exchange, either way */
};

/** the answer, from the upstream to the link */
struct relay_down {
	struct vault_set *set;		/* secrets to search for */
	struct scrub *scrub;
	const struct filter_ops *filter;	/* NULL: none */
	void *filter_of;
	struct buf head, trailers;	/* encoded, wait for credit */
	struct queue clear;		/* body for the link; the last `held` bytes may not go yet */
	size_t held;
	bool head_parsed, head_sent;	/* sent: the agent has a status, and can only be cut off */
	bool head_held;			/* a filter is not sure yet that there will be such an answer */
	bool whole;			/* the upstream's message is complete */
	bool filtered;			/* and all of it that passes is in clear */
	unsigned informational;
	uint16_t status;
	uint64_t bytes;			/* of body, that passed */
};

struct binding;
struct protocol_run;
struct relay_websocket;

struct exchange {
	struct courier_stream owner;	/* first */
	struct courier *courier;
	struct exchange *next, **at;
	struct link *link;
	uint32_t stream;
	enum stage stage;
	bool beyond_limit;		/* opened when limits.requests or limits.bytes was used up */
	bool over;			/* the stream is reset or was never answerable: say nothing */

	struct buf open_bytes, head_bytes;	/* copies of the peer's messages: copied once, then checked */
	bool head_received;
	struct msg_connect asked;
	const struct config_client *client;	/* of an explicit proxy, by its
						   token, once it is counted; or NULL */
	char request_id[EXCHANGE_REQUEST_ID_BYTES];

	struct snapshot *snapshot;
	const struct policy_rule *rule;	/* NULL: none matched */
	const struct policy_credential *credential;
	bool credential_attached;	/* the rule's credential went with the request */
	struct str foreign;		/* credential whose placeholder was blocked */
	int32_t reflected;		/* vault_number() of the one whose secret the answer held; -1: none */
	struct binding *binding;	/* NULL: none, or not yet */
	bool local;			/* answered here, and relayed to nobody */
	struct carrier *carrier;
	bool retried;			/* the second and last attempt, on a connection of its own */
	bool dialled;			/* bytes may have left */

	struct buf refusal;		/* what the head of a protocol's refusal points into */
	struct protocol_run *protocol;	/* of a rule that understands what
					   passes; NULL: it does not, or not yet */

	struct relay_up up;
	struct relay_down down;
	struct relay_websocket *websocket;	/* once the answer granted one: relay_websocket.c */

	enum err result;
	const char *reason;		/* our own words, beside the result's; or "" */
	bool intent_stored, recorded;
	struct address address;		/* dialled */
	bool has_address;
	const char *spoken;		/* with the upstream: carrier_protocol(); NULL: nothing yet */
	uint64_t started_ms, deadline_ms;

	struct head head;		/* canonical; what was decided on. Last,
					   for it is large: see exchange_open() */
};

/** exchange_open() - an EXCHANGE stream begins; resets it if there is no room */
void exchange_open(struct courier *c, struct link *link, const struct link_frame *f);
/** exchange_run() - runs the stages until one waits; frees @x when it is done */
void exchange_run(struct exchange *x);
/** exchange_end() - from outside: ends it with @why, recorded; @silent: the stream is gone. Frees @x. */
void exchange_end(struct exchange *x, enum err why, bool silent);
/** exchange_list_add() - @x is one of its courier's; exchange_list_drop(): no more */
void exchange_list_add(struct exchange *x);
void exchange_list_drop(struct exchange *x);
/** exchange_each() - @f for each that runs; it may end that one, and any other */
void exchange_each(struct courier *c, void (*f)(struct exchange *x, void *user), void *user);
/** exchange_tick() - deadlines. May free @x. */
void exchange_tick(struct exchange *x, uint64_t now_ms);

/** exchange_fail() - notes why, and returns STEP_END */
enum step exchange_fail(struct exchange *x, enum err why, const char *reason);
/** exchange_progress() - bytes moved: the deadline begins anew */
void exchange_progress(struct exchange *x);
/** exchange_count() - @n bytes of a body, against the sandbox's limit; ERR_LIMIT */
must_use enum err exchange_count(struct exchange *x, size_t n);
/** exchange_carries() - does any part of @h hold one of @placeholders? x->foreign then names whose. */
bool exchange_carries(struct exchange *x, const struct scrub_set *placeholders, const struct head *h);
/** exchange_plain_head() - the head as it is sent, but for the credential; ERR_HEAD_TOO_LARGE */
must_use enum err exchange_plain_head(const struct exchange *x, struct head *ret);

/** refusal_make() - the error answer for x->result, encoded into the
 *  places of the upstream's answer (refusal.c). buf_err(), ERR_MEMORY */
must_use enum err refusal_make(struct exchange *x);
