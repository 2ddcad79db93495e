/* questions.h - what is asked of the courier beside requests: may this name be spoken to, and a
 * leaf certificate for it; and the claims of every process
 */
#pragma once

#include "courier/courier.h"

#define QUESTION_LEAVES_MAX 256		/* certificates kept */
#define QUESTION_CALLS_MAX 256		/* certificates that the keeper is asked for at once; of KEEPER_CALLS_MAX */
#define CLAIMS_BURST 2000		/* records that a sender may cause at once, */
#define CLAIMS_PER_SECOND 50		/* and in the long run; what is above is counted */

struct leaves;
struct leaves *leaves_new(void);
void leaves_free(struct leaves *l);

/** question_name(), question_leaf() - answer an OPEN of NAME or LEAF on @link: at once, or a leaf
 *  when the keeper has made it */
void question_name(struct courier_link *link, const struct link_frame *f);
void question_leaf(struct courier_link *link, const struct link_frame *f);
/** question_claim() - one HEAD on a CLAIMS stream: recorded under the sender's name, or counted.
 *  ERR_LINK_MALFORMED ends the stream */
must_use enum err question_claim(struct courier_link *link, struct str message);
/** question_reset() - whoever asked on @stream does not wait any more */
void question_reset(struct courier_link *link, uint32_t stream);
/** question_writable() - sends the answers that waited; question_closed() - drops them */
void question_writable(struct courier_link *link);
void question_closed(struct courier_link *link);
/** question_dropped() - puts on record how many were counted since the last time */
void question_dropped(struct courier_link *link);
