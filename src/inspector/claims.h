/* claims.h - what the inspector saw, to the courier's trail, under the inspector's name */
#pragma once

#include "inspector/inspector.h"

#define CLAIMS_QUEUE_BYTES (256u * 1024)

struct claims;

struct claims *claims_new(struct inspector *i);	/* NULL without memory */
void claims_free(struct claims *c);
/** claims_put() - sends it, or queues it while the courier takes no more; what does not fit into
 *  the queue is counted, and the number told with the next claim that is sent */
void claims_put(struct claims *c, const struct msg_claim *m);
/** claims_run() - after credit or room came back */
void claims_run(struct claims *c);
