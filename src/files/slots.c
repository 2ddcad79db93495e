/* slots.c - a table of numbers that are never used twice                 (see slots.h) */
#include "files/slots.h"

#include <stdlib.h>

static bool grow(struct slots *s)
{
	uint32_t size = s->size ? s->size : 32;
	struct slot *at;

	size = size > s->max / 2 ? s->max : size * 2;
	if (size <= s->size)
		return false;
	at = reallocarray(s->at, size, sizeof *at);
	if (!at)
		return false;
	s->at = at;
	s->size = size;
	return true;
}

uint64_t slots_add(struct slots *s, void *p, bool *ret_full)
{
	uint32_t i;

	*ret_full = s->count >= s->max;
	if (*ret_full)
		return 0;
	if (s->free) {
		i = s->free - 1;
		s->free = s->at[i].next_free;
	} else {
		if (s->used == s->size && !grow(s))
			return 0;
		i = s->used++;
		s->at[i].generation = 1;
	}
	s->at[i].p = p;
	s->count++;
	return (uint64_t)s->at[i].generation << 32 | (i + 1);
}

static struct slot *find(const struct slots *s, uint64_t number)
{
	uint32_t i = (uint32_t)number - 1;	/* 0 wraps to an index that no table has */

	if (i >= s->used || s->at[i].generation != number >> 32 || !s->at[i].p)
		return NULL;
	return &s->at[i];
}

void *slots_get(const struct slots *s, uint64_t number)
{
	const struct slot *slot = find(s, number);

	return slot ? slot->p : NULL;
}

void slots_remove(struct slots *s, uint64_t number)
{
	struct slot *slot = find(s, number);

	if (!slot)
		return;
	slot->p = NULL;
	s->count--;
	if (++slot->generation == 0)
		return;		/* 2^32 uses: the slot retires */
	slot->next_free = s->free;
	s->free = (uint32_t)(slot - s->at) + 1;
}

void slots_free(struct slots *s)
{
	free(s->at);
	*s = (struct slots){ .max = s->max };
}
