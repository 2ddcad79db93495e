/* claims.c - what the inspector saw, to the courier's trail
 *
 * Theory of operation: one CLAIMS stream on the courier's link, a HEAD per claim. A queue of encoded
 * claims (u32 length, bytes) stands between, because a claim can come up at any time and credit
 * cannot. The queue is bounded; a guest that makes claims faster than they are recorded loses the
 * claims, not the courier, and the loss is itself a claim. No decision rests on a claim.
 */
#include "inspector/claims.h"

#include "base/reader.h"

#include <stdlib.h>

struct claims {
	struct stream stream;	/* first */
	struct inspector *inspector;
	uint32_t number;	/* of the link's stream; 0: not open */
	uint64_t dropped;
	struct buf queue;
};

/* The courier has nothing to say on this stream; if it ends it, the next claim opens another. */
static void frame(struct stream *s, const struct link_frame *f)
{
	struct claims *c = (struct claims *)s;

	if (f->type == LINK_RESET || f->type == LINK_END) {
		link_end(courier_link(c->inspector), c->number);
		c->number = 0;
	} else if (f->type == LINK_CREDIT) {
		claims_run(c);
	}
}

struct claims *claims_new(struct inspector *i)
{
	struct claims *c = calloc(1, sizeof *c);

	if (!c)
		return NULL;
	c->stream.frame = frame;
	c->inspector = i;
	buf_init(&c->queue, CLAIMS_QUEUE_BYTES);
	return c;
}

void claims_free(struct claims *c)
{
	if (!c)
		return;
	buf_free(&c->queue);
	free(c);
}

static void enqueue(struct claims *c, const struct msg_claim *m)
{
	auto_buf one = BUF_EMPTY;

	buf_init(&one, LINK_PAYLOAD_MAX);
	msg_put_claim(&one, m);
	if (buf_err(&one) || one.len + 4 > buf_room(&c->queue)) {
		c->dropped++;
		return;
	}
	buf_put_u32le(&c->queue, (uint32_t)one.len);
	buf_put(&c->queue, buf_str(&one));
	if (buf_err(&c->queue)) {	/* without memory: half a claim must not stay */
		c->dropped++;
		buf_clear(&c->queue);
	}
}

static void enqueue_dropped(struct claims *c)
{
	char text[64];
	struct buf words;
	uint64_t dropped = c->dropped;

	if (!dropped || buf_room(&c->queue) < sizeof text + 64)
		return;
	buf_init(&words, sizeof text);
	buf_put_decimal(&words, dropped);
	buf_put_z(&words, " claims of the inspector were lost");
	c->dropped = 0;
	enqueue(c, &(struct msg_claim){ .kind = CLAIM_LIMIT, .result = ERR_LIMIT, .text = buf_str(&words) });
	buf_free(&words);
}

/* Sends the first of the queue; false if it must wait. */
static bool send_first(struct claims *c)
{
	struct reader r = reader_of(buf_str(&c->queue));
	struct link *l = courier_link(c->inspector);
	struct str claim;
	uint32_t n;

	if (!reader_u32le(&r, &n) || !reader_take(&r, n, &claim))
		return false;
	if (c->number == 0) {
		if (link_open(l, LINK_KIND_CLAIMS, STR(""), &c->number))
			return false;
		link_set_user(l, c->number, c);
	}
	if (link_sendable(l, c->number) < n || link_head(l, c->number, claim))
		return false;
	buf_drop(&c->queue, 4 + n);
	return true;
}

void claims_run(struct claims *c)
{
	if (!c->inspector->courier)
		return;
	enqueue_dropped(c);
	while (c->queue.len && send_first(c))
		;
}

void claims_put(struct claims *c, const struct msg_claim *m)
{
	enqueue(c, m);
	claims_run(c);
}
