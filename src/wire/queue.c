/* queue.c - a byte queue: room at the end is made by moving what waits to the front when at
 * least half of the memory is used up, so that each byte is moved at most once on average,
 * and by doubling otherwise. Memory is kept until queue_free(). */
#include "wire/queue.h"

#include <assert.h>
#include <stdlib.h>

#define QUEUE_FIRST_BYTES 4096

bool queue_reserve(struct queue *q, size_t n)
{
	size_t waiting = q->end - q->start, cap = q->cap ? q->cap : QUEUE_FIRST_BYTES;
	char *p;

	assert(n <= SIZE_MAX / 4 && waiting <= SIZE_MAX / 4);
	if (n <= q->cap - q->end)
		return true;
	if (q->start >= q->cap / 2 && n <= q->cap - waiting) {
		memmove(q->p, q->p + q->start, waiting);
	} else {
		while (cap - waiting < n)
			cap *= 2;
		p = malloc(cap);
		if (!p)
			return false;
		if (waiting)
			memcpy(p, q->p + q->start, waiting);
		free(q->p);
		q->p = p;
		q->cap = cap;
	}
	q->start = 0;
	q->end = waiting;
	return true;
}

void queue_put(struct queue *q, struct str s)
{
	assert(s.n <= q->cap - q->end);
	if (s.n)
		memcpy(q->p + q->end, s.p, s.n);
	q->end += s.n;
}

char *queue_tail(struct queue *q, size_t *ret_n)
{
	*ret_n = q->cap - q->end;
	return q->p + q->end;
}

void queue_filled(struct queue *q, size_t n)
{
	assert(n <= q->cap - q->end);
	q->end += n;
}

struct str queue_bytes(const struct queue *q)
{
	return (struct str){ q->p ? q->p + q->start : NULL, q->end - q->start };
}

void queue_take(struct queue *q, size_t n)
{
	assert(n <= q->end - q->start);
	q->start += n;
	if (q->start == q->end)
		q->start = q->end = 0;
}

void queue_free(struct queue *q)
{
	free(q->p);
	*q = (struct queue){ 0 };
}
