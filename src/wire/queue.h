/* queue.h - bytes appended at the end and taken from the front, without moving the rest each
 * time. The owner bounds what it puts in. A zeroed struct queue is empty. */
#pragma once

#include "base/str.h"

struct queue {
	char *p;
	size_t start, end, cap;		/* bytes [start, end) wait; end <= cap */
};

/** queue_reserve() - room for @n more bytes (n and all that waits <= SIZE_MAX / 4); false
 *  without memory */
bool queue_reserve(struct queue *q, size_t n);
/** queue_put() - appends @s, for which queue_reserve() made room */
void queue_put(struct queue *q, struct str s);
/** queue_tail() - where bytes may be written after queue_reserve(), *ret_n of them; queue_filled(): @n were */
char *queue_tail(struct queue *q, size_t *ret_n);
void queue_filled(struct queue *q, size_t n);
/** queue_bytes() - all that waits; valid until the next queue_reserve() */
struct str queue_bytes(const struct queue *q);
/** queue_take() - the first @n bytes (of those that wait) are done with */
void queue_take(struct queue *q, size_t n);
void queue_free(struct queue *q);
