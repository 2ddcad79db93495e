/* protocol.h - what rules that understand what passes do in an exchange
 *
 * A protocol's part in the courier is a file, courier/protocol_<name>.c, and a row in the table of
 * protocol.c. It sees the exchange at these points, and may at each of them deny, and nothing else (I2):
 *
 *   examine   before the credential: the body, read by paddock-decoder; the head is made to ask for what can be read
 *   prepare   with the credential: what the courier itself has to ask for (package metadata)
 *   answer    the head of the answer is here: a filter for its body
 *   refusal   the request ends in words: how its client wants to read them
 *   journal   the outcome is recorded
 *
 * Under a rule that observes nothing is denied: what would have been is noted, for the record,
 * and the exchange goes on (protocol_denied()). What cannot be read is refused all the same.
 */
#pragma once

#include "audit/audit.h"
#include "courier/decode.h"
#include "courier/exchange.h"
#include "policy/protocol.h"

#define PROTOCOL_REASON_MAX 1024

struct protocol_run;

struct protocol_steps {
	size_t state_bytes;		/* of run->state, zeroed */
	enum step (*examine)(struct protocol_run *run);
	enum step (*prepare)(struct protocol_run *run);
	enum err (*answer)(struct protocol_run *run, struct head *head, bool body);
	/** true: @head (status, content-type) and @body are the
	 * refusal; @head is filled with the usual one before */
	bool (*refusal)(struct protocol_run *run, struct head *head, struct buf *body);
	void (*journal)(const struct protocol_run *run, struct record *r);
	void (*free)(struct protocol_run *run);
	/** of the body's decoder; ERR_OK, or why the exchange ends (run->reason) */
	enum err (*fact)(struct protocol_run *run, struct str name, struct str value);
	enum err (*read)(struct protocol_run *run);	/* the body was whole and good */
};

struct protocol_run {
	struct exchange *x;
	const struct protocol_steps *steps;
	const struct protocol *protocol;
	const void *data;			/* the rule's part */
	void *state;
	struct buf reason;			/* words; x->reason points here */
	struct buf would_deny;			/* words; of a rule that observes, the first of them */
	struct decode *decode;			/* reads the request's body; NULL: nobody does (any more) */
	bool reading, read;			/* the body has, or had, a reader; it is done */
	uint64_t fed, passable;			/* bytes of the body: given to it; that may go on */
	uint64_t body_max;			/* a longer one ends the exchange */
};

/* from the exchange: */
/** protocol_examine(), protocol_prepare() - stages of x->rule's protocol; STEP_NEXT if it has none */
enum step protocol_examine(struct exchange *x);
enum step protocol_prepare(struct exchange *x);
/** protocol_feed() - more of the body is here, or its end. ERR_MEMORY, ERR_BODY_TOO_LARGE */
must_use enum err protocol_feed(struct exchange *x);
/** protocol_clear() - bytes at the front of x->up.body that may go on as far as the protocol goes */
size_t protocol_clear(const struct exchange *x);
/** protocol_answer() - may set a filter. ERR_OK, or why the answer cannot pass (*ret_reason: words) */
must_use enum err protocol_answer(struct exchange *x, struct head *head, bool body, const char **ret_reason);
/** protocol_refusal() - the words as the protocol's clients
 * read them; also for a rule whose protocol refused */
void protocol_refusal(struct exchange *x, struct head *head, struct buf *body);
/** protocol_journal() - facts of the head; in an outcome what came to light since */
void protocol_journal(const struct exchange *x, struct record *r, bool outcome);
void protocol_free(struct exchange *x);

/* for the protocols: */
/** protocol_read_body() - the body goes through @job; `fact` and `read` are called from the loop.
 *  @collect: it is waited for as a whole, up to so many bytes; 0: it goes on as the job's marks allow */
must_use enum err protocol_read_body(struct protocol_run *run, enum decoder_job job, struct str parameters,
				     size_t collect);
/** protocol_observes() - is nothing to be denied? */
bool protocol_observes(const struct protocol_run *run);
/** protocol_denied() - @words into run->reason, and ERR_CONTENT_DENIED; noted, and ERR_OK, by a rule that
 *  observes. protocol_deny() - the same for a step: STEP_END, or STEP_NEXT. protocol_judge() - the same,
 *  if the rule's judge() has something against @facts */
must_use enum err protocol_denied(struct protocol_run *run, const char *words);
enum step protocol_deny(struct protocol_run *run, const char *words);
must_use enum err protocol_judge(struct protocol_run *run, const struct protocol_facts *facts);
/** protocol_end() - from the loop: ends the exchange, which may be gone afterwards */
void protocol_end(struct exchange *x, enum err why, const char *reason);
/** protocol_filter_answer() - the answer's body passes through @job */
must_use enum err protocol_filter_answer(struct protocol_run *run, enum decoder_job job,
					 struct str parameters);

extern const struct protocol_steps protocol_steps_git, protocol_steps_registry;
