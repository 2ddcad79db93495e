/* claims.h - what was seen here, and by the guest's PID 1, on its way to the courier's trail */
#pragma once

#include "os/channel.h"
#include "wire/msg.h"
#include "wire/queue.h"

#define CLAIMS_QUEUE_MAX ((size_t)1024 * 1024)

struct claims {
	struct channel *courier;	/* NULL: gone; what comes is dropped */
	struct channel *guest;		/* NULL: gone */
	uint32_t stream;		/* 0: not open yet */
	struct queue waiting;
	uint64_t told_ms[8];		/* per kind of filtered sequence, when it was last claimed */
};

/** claims_forward() - a HEAD of the guest's EVENTS stream @stream: checked, written anew and
 *  queued; its bytes are consumed when it has gone on. ERR_LINK_MALFORMED if it is none, or
 *  of a kind that is not the guest's to claim. */
must_use enum err claims_forward(struct claims *c, uint32_t stream, struct str payload);
/** claims_filtered() - sequences of the kinds in @drops (filter.h) were dropped; each kind is
 *  claimed at most once in ten seconds */
void claims_filtered(struct claims *c, unsigned drops);
/** claims_run() - sends what the courier has room for */
void claims_run(struct claims *c);
void claims_free(struct claims *c);
