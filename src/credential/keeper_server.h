/* keeper_server.h - what the keeper answers, and when */
#pragma once

#include "credential/keeper.h"
#include "credential/keeper_config.h"
#include "credential/keeper_key.h"
#include "credential/keeper_ops.h"
#include "credential/keeper_run.h"
#include "tls/mint.h"

#include <poll.h>

struct keeper_wait;

/** struct keeper_desk - one credential at work */
struct keeper_desk {
	struct keeper_run run;		/* its command, while it runs */
	struct keeper_wait *waits;	/* requests that its output answers */
	struct buf kept;		/* output of an earlier run, for ops that sign */
	uint64_t kept_until_s;		/* since 1970; 0: none is kept */
	uint64_t started_ms, runs;
	struct keeper_lease lease;
	bool leased;
};

struct keeper {
	const struct keeper_config *config;
	const struct keeper_key *key;
	const struct mint *mint;
	/** an answer is ready: @reply of result, sequence and @data; @reason: for the
	 *  log, static text, NULL on success; @name: of a credential, or "request" */
	void (*answer)(void *user, enum err result, uint32_t sequence, struct str data, const char *name,
		       const char *reason);
	void *user;
	bool pinned;				/* the first key certified is the only one */
	uint8_t point[KEEPER_POINT_BYTES];
	unsigned waiting;			/* requests unanswered */
	struct keeper_wait *locked;		/* replacements that wait for a file's lock */
	uint64_t retry_ms;			/* when they try again */
	struct keeper_desk desks[KEEPER_SOURCES_MAX];
};

/** keeper_take() - one request of @n bytes, answered now or by keeper_step(). ERR_INPUT: it is no request,
 *  and who sends such is not to be listened to any longer */
must_use enum err keeper_take(struct keeper *k, const struct keeper_request *request, size_t n);
/** keeper_wants() - what to poll for: at most KEEPER_SOURCES_MAX; the earliest deadline, UINT64_MAX: none */
size_t keeper_wants(const struct keeper *k, struct pollfd *fds, uint64_t *ret_deadline_ms);
/** keeper_step() - goes on with commands, without waiting */
void keeper_step(struct keeper *k);
/** keeper_end() - ends all commands; who waits gets no answer */
void keeper_end(struct keeper *k);
