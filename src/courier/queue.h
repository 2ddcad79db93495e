/* queue.h - a bounded buffer that is filled at its end and emptied at its front
 *
 * A front offset instead of a memmove at each drop: what is left moves only when room is needed.
 */
#pragma once

#include "base/buf.h"

struct queue {
	struct buf b;
	size_t at;
};

static inline void queue_init(struct queue *q, size_t max)
{
	buf_init(&q->b, max);
	q->at = 0;
}

static inline void queue_init_secret(struct queue *q, size_t max)
{
	buf_init_secret(&q->b, max);
	q->at = 0;
}

static inline void queue_free(struct queue *q)
{
	buf_free(&q->b);
	q->at = 0;
}

static inline struct str queue_str(const struct queue *q) { return str_from(buf_str(&q->b), q->at); }
static inline size_t queue_bytes(const struct queue *q) { return q->b.len - q->at; }
static inline size_t queue_room(const struct queue *q) { return buf_room(&q->b) + q->at; }

static inline void queue_drop(struct queue *q, size_t n)
{
	q->at += n;
	if (q->at >= q->b.len) {
		buf_clear(&q->b);
		q->at = 0;
	}
}

static inline void queue_compact(struct queue *q)
{
	buf_drop(&q->b, q->at);
	q->at = 0;
}

/** queue_put() - ERR_LIMIT, ERR_MEMORY */
must_use static inline enum err queue_put(struct queue *q, struct str s)
{
	if (s.n > buf_room(&q->b))
		queue_compact(q);
	buf_put(&q->b, s);
	return buf_err(&q->b);
}
