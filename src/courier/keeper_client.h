/* keeper_client.h - the courier's questions to its keeper, many at a time
 *
 * A call is answered by its sequence number, in whatever order the keeper is done. Nothing here
 * blocks but keeper_client_wait(). Replies are received into secret memory, which is wiped.
 */
#pragma once

#include "credential/keeper.h"

#include <uv.h>

/* deadlines of calls: what only computes or reads a file; and what may run a credential command
 * (whose own time limit the keeper keeps: the policy's, at most five minutes) */
#define KEEPER_CLIENT_MS 10000
#define KEEPER_CLIENT_SOURCE_MS 305000

struct keeper_client;
struct keeper_call;

/** struct keeper_question - a request but for its sequence; @text is copied (and wiped) */
struct keeper_question {
	enum keeper_op op;
	uint32_t credential;		/* vault_number() */
	enum keeper_part part;
	uint8_t flags;
	struct str text;
	uint64_t timeout_ms;		/* 0: by the op */
};

/** keeper_answered - once, from the loop, never from within a function of this header
 * @e:     ERR_OK; what the keeper said (ERR_CREDENTIAL: its log says why; ERR_INPUT: it refuses such a
 *         question; ERR_LIMIT); ERR_TIMEOUT; ERR_CLOSED (it has gone, or its answer is none)
 * @reply: keeper.h's table; borrowed for the call, empty unless ERR_OK */
typedef void keeper_answered(void *user, enum err e, struct str reply);

/** keeper_client_new() - @fd: SOCK_SEQPACKET, borrowed, made non-blocking; NULL without memory */
struct keeper_client *keeper_client_new(uv_loop_t *loop, int fd);
/** keeper_client_free() - no call is answered any more; run the loop once more. NULL is fine. */
void keeper_client_free(struct keeper_client *c);

/** keeper_call() - asks
 * @ret: for keeper_cancel(); invalid once the answer has come. May be NULL.
 * Return: ERR_OK; ERR_INPUT (text too long); ERR_LIMIT
 * (KEEPER_CALLS_MAX outstanding); ERR_CLOSED; ERR_MEMORY */
must_use enum err keeper_call(struct keeper_client *c, const struct keeper_question *question,
			      keeper_answered *answered, void *user, struct keeper_call **ret);
/** keeper_cancel() - it will not be answered; NULL is fine */
void keeper_cancel(struct keeper_call *call);

/** keeper_client_wait() - asks and waits: for checkpoints, which the keeper signs at once whatever else it
 *  does. Answers to other calls that come meanwhile are kept for the loop.
 * @reply: appended to
 * Return: as keeper_answered's @e, or as keeper_call() */
must_use enum err keeper_client_wait(struct keeper_client *c, const struct keeper_question *question,
				     struct buf *reply);
