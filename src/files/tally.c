/* tally.c - a number for each of many objects                            (see tally.h)
 *
 * An open-addressed table with linear probing, at most half full. Whatever lies between an object and
 * the place where the search for it begins is taken: forgetting moves what follows into the gap.
 */
#include "files/tally.h"

#include <stdlib.h>

#define SIZE_LEAST 64

struct counted {
	dev_t device;
	ino_t inode;
	uint32_t number;	/* 0: the place is free */
};

struct tally {
	struct counted *table;
	size_t size;		/* a power of two */
	uint32_t count, max;
};

static struct counted *table_of(size_t size) { return calloc(size, sizeof(struct counted)); }

struct tally *tally_new(uint32_t max)
{
	struct tally *t = calloc(1, sizeof *t);

	if (!t)
		return NULL;
	t->max = max;
	t->size = SIZE_LEAST;
	t->table = table_of(t->size);
	if (!t->table) {
		free(t);
		return NULL;
	}
	return t;
}

void tally_free(struct tally *t)
{
	if (!t)
		return;
	free(t->table);
	free(t);
}

static size_t home(const struct tally *t, dev_t device, ino_t inode)
{
	uint64_t hash = ((uint64_t)inode ^ (uint64_t)device << 40) * 0x9e3779b97f4a7c15u;

	return (size_t)(hash >> 32) & (t->size - 1);
}

/* Where the object is, or would be: a free place. */
static size_t find(const struct tally *t, dev_t device, ino_t inode)
{
	size_t i = home(t, device, inode);

	while (t->table[i].number && !(t->table[i].inode == inode && t->table[i].device == device))
		i = (i + 1) & (t->size - 1);
	return i;
}

/* Puts all objects but those that have @dropped into a table of @size places, which is enough. */
static bool move(struct tally *t, size_t size, uint32_t dropped)
{
	struct counted *old = t->table;
	size_t old_size = t->size;

	t->table = table_of(size);
	if (!t->table) {
		t->table = old;
		return false;
	}
	t->size = size;
	t->count = 0;
	for (size_t i = 0; i < old_size; i++)
		if (old[i].number && old[i].number != dropped) {
			t->table[find(t, old[i].device, old[i].inode)] = old[i];
			t->count++;
		}
	free(old);
	return true;
}

/* The place @gap becomes free. Each object behind it moves there if its search begins at or before it. */
static void forget(struct tally *t, size_t gap)
{
	size_t mask = t->size - 1;

	for (size_t i = (gap + 1) & mask; t->table[i].number; i = (i + 1) & mask) {
		size_t begins = home(t, t->table[i].device, t->table[i].inode);

		if (((i - begins) & mask) >= ((i - gap) & mask)) {
			t->table[gap] = t->table[i];
			gap = i;
		}
	}
	t->table[gap].number = 0;
	t->count--;
}

uint32_t tally_get(const struct tally *t, const struct stat *st)
{
	return t->table[find(t, st->st_dev, st->st_ino)].number;
}

void tally_set(struct tally *t, const struct stat *st, uint32_t number)
{
	size_t i = find(t, st->st_dev, st->st_ino);

	if (t->table[i].number && !number)
		forget(t, i);
	if (!number)
		return;
	if (!t->table[i].number) {
		if (t->count >= t->max || (t->count >= t->size / 2 && !move(t, t->size * 2, 0)))
			return;
		i = find(t, st->st_dev, st->st_ino);
		t->count++;
	}
	t->table[i] = (struct counted){ st->st_dev, st->st_ino, number };
}

void tally_drop(struct tally *t, uint32_t number)
{
	size_t kept = 0, size = SIZE_LEAST;

	for (size_t i = 0; i < t->size; i++)
		kept += t->table[i].number && t->table[i].number != number;
	while (size / 2 < kept)
		size *= 2;
	(void)move(t, size, number);
}

uint32_t tally_count(const struct tally *t) { return t->count; }
