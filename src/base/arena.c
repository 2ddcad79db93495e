/* arena.c - a list of blocks; an object never moves; see arena.h */
#include "base/arena.h"

#include <stdalign.h>
#include <stdlib.h>

#define BLOCK_BYTES 4000

struct block {
	struct block *next;
	size_t used, cap;
	alignas(max_align_t) char data[];
};

struct arena {
	struct block *blocks;
	size_t left;
};

struct arena *arena_new(size_t max)
{
	struct arena *a = calloc(1, sizeof *a);

	if (a)
		a->left = max;
	return a;
}

void arena_free(struct arena *a)
{
	if (!a)
		return;
	for (struct block *b = a->blocks, *next; b; b = next) {
		next = b->next;
		free(b);
	}
	free(a);
}

void *arena_alloc(struct arena *a, size_t n)
{
	const size_t align = alignof(max_align_t);
	struct block *b = a->blocks;
	void *p;

	if (n == 0)
		n = 1;
	if (n > SIZE_MAX - align)
		return NULL;
	n = (n + align - 1) / align * align;
	if (n > a->left)
		return NULL;
	if (!b || n > b->cap - b->used) {
		size_t cap = n > BLOCK_BYTES ? n : BLOCK_BYTES;

		b = calloc(1, sizeof *b + cap);
		if (!b)
			return NULL;
		b->cap = cap;
		b->next = a->blocks;
		a->blocks = b;
	}
	p = b->data + b->used;
	b->used += n;
	a->left -= n;
	return p;
}

void *arena_array(struct arena *a, size_t count, size_t size)
{
	size_t n;

	if (__builtin_mul_overflow(count, size, &n))
		return NULL;
	return arena_alloc(a, n);
}

struct str arena_copy(struct arena *a, struct str s)
{
	char *p;

	if (s.n == SIZE_MAX)
		return (struct str){ NULL, 0 };
	p = arena_alloc(a, s.n + 1);
	if (!p)
		return (struct str){ NULL, 0 };
	if (s.n)
		memcpy(p, s.p, s.n);
	return (struct str){ p, s.n };
}
