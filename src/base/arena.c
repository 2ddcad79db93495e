/* arena.c - a list of blocks; an object never moves; see arena.h */
#include "base/arena.h"

#include <stdalign.h>
#include <stdlib.h>
#include <sys/mman.h>

#define BLOCK_BYTES 4000
#define LARGE_PAGE  ((size_t)2 << 20)

struct block {
	struct block *next;
	size_t used, cap;
	alignas(max_align_t) char data[];
};

struct arena {
	struct block *blocks;
	size_t left, taken;
	bool large;
};

struct arena *arena_new(size_t max)
{
	struct arena *a = calloc(1, sizeof *a);

	if (a)
		a->left = max;
	return a;
}

struct arena *arena_new_large(size_t max)
{
	struct arena *a = arena_new(max);

	if (a)
		a->large = true;
	return a;
}

/* Whole large pages, asked for before they are touched. It is a hint: without, all works as well, slower. */
static struct block *large_block(size_t bytes)
{
	size_t whole = (bytes + LARGE_PAGE - 1) / LARGE_PAGE * LARGE_PAGE;
	struct block *b = whole < bytes ? NULL : aligned_alloc(LARGE_PAGE, whole);

	if (!b)
		return NULL;
	(void)madvise(b, whole, MADV_HUGEPAGE);
	memset(b, 0, whole);
	b->cap = whole - sizeof *b;
	return b;
}

/* Of a large arena blocks grow with it, to a large page. */
static size_t usual_bytes(const struct arena *a)
{
	size_t quarter = a->taken / 4, most = LARGE_PAGE - sizeof(struct block);

	if (!a->large || quarter < BLOCK_BYTES)
		return BLOCK_BYTES;
	return quarter < most ? quarter : most;
}

/* Room for @n and more. One that @n fills alone goes behind the block that is being filled. */
static struct block *add_block(struct arena *a, size_t n)
{
	size_t usual = usual_bytes(a), cap = n > usual ? n : usual;
	struct block *b;

	if (a->large && cap >= LARGE_PAGE - sizeof *b)
		b = large_block(sizeof *b + cap);
	else
		b = calloc(1, sizeof *b + cap);
	if (!b)
		return NULL;
	if (b->cap == 0)
		b->cap = cap;
	if (n > usual && a->blocks) {
		b->next = a->blocks->next;
		a->blocks->next = b;
	} else {
		b->next = a->blocks;
		a->blocks = b;
	}
	return b;
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
		b = add_block(a, n);
		if (!b)
			return NULL;
	}
	p = b->data + b->used;
	b->used += n;
	a->left -= n;
	a->taken += n;
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
