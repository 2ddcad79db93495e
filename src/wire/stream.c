/* stream.c - the table of a link's open streams                             (see stream.h)
 *
 * Theory of operation: an array of slots, doubled when every one is in use, with hash chains
 * through it. The hash is the number itself: the link hands numbers out one after the other
 * on either side, so chains stay short whatever the peer does. The caller bounds how many
 * streams there are; the table never shrinks.
 */
#include "wire/stream.h"

#include <stdlib.h>

#define SLOTS_FIRST 16u
#define NO_SLOT UINT32_MAX

void stream_table_init(struct stream_table *t)
{
	*t = (struct stream_table){ .first_free = NO_SLOT };
}

void stream_table_free(struct stream_table *t)
{
	free(t->slots);
	free(t->chains);
	stream_table_init(t);
}

static uint32_t *chain_of(const struct stream_table *t, uint32_t number)
{
	return &t->chains[number & (t->slot_count - 1)];
}

struct stream *stream_find(const struct stream_table *t, uint32_t number)
{
	if (number == 0 || t->slot_count == 0)
		return NULL;
	for (uint32_t i = *chain_of(t, number); i != NO_SLOT; i = t->slots[i].next)
		if (t->slots[i].number == number)
			return &t->slots[i];
	return NULL;
}

static void chain_insert(struct stream_table *t, uint32_t slot)
{
	uint32_t *head = chain_of(t, t->slots[slot].number);

	t->slots[slot].next = *head;
	*head = slot;
}

/* Twice as many slots; the chains are made anew. Called when every slot is in use. */
static bool grow(struct stream_table *t)
{
	uint32_t old = t->slot_count, count = old ? old * 2 : SLOTS_FIRST;
	struct stream *slots = reallocarray(t->slots, count, sizeof *slots);
	uint32_t *chains;

	if (!slots)
		return false;
	t->slots = slots;
	chains = reallocarray(t->chains, count, sizeof *chains);
	if (!chains)
		return false;	/* the larger array is kept, its new part unused */
	t->chains = chains;
	t->slot_count = count;
	for (uint32_t i = 0; i < count; i++)
		chains[i] = NO_SLOT;
	for (uint32_t i = 0; i < old; i++)
		chain_insert(t, i);
	for (uint32_t i = old; i < count; i++)
		slots[i] = (struct stream){ .next = i + 1 < count ? i + 1 : NO_SLOT };
	t->first_free = old;
	return true;
}

struct stream *stream_add(struct stream_table *t, uint32_t number)
{
	uint32_t slot;

	if (t->first_free == NO_SLOT && !grow(t))
		return NULL;
	slot = t->first_free;
	t->first_free = t->slots[slot].next;
	t->slots[slot] = (struct stream){ .number = number };
	chain_insert(t, slot);
	t->open_count++;
	return &t->slots[slot];
}

void stream_remove(struct stream_table *t, struct stream *s)
{
	uint32_t slot = (uint32_t)(s - t->slots);
	uint32_t *at = chain_of(t, s->number);

	while (*at != slot)
		at = &t->slots[*at].next;
	*at = s->next;
	*s = (struct stream){ .next = t->first_free };
	t->first_free = slot;
	t->open_count--;
}
