/* arena.h - memory of one exchange or one document: capped, freed whole */
#pragma once

#include "base/err.h"
#include "base/str.h"

struct arena;

/** arena_new() - an arena that hands out at most @max bytes; NULL without memory */
struct arena *arena_new(size_t max);
/** arena_free() - frees all that came from it; NULL is fine */
/** arena_new_large() - for many megabytes that are read here and there: blocks grow, and lie in large pages
 *  where the kernel has some (madvise(), so not in a process that may not call it) */
struct arena *arena_new_large(size_t max);
void arena_free(struct arena *a);
/** arena_alloc() - @n zeroed bytes aligned for any object; NULL at the cap or without memory */
void *arena_alloc(struct arena *a, size_t n);
/** arena_array() - @count elements of @size bytes; NULL also when the product overflows */
void *arena_array(struct arena *a, size_t count, size_t size);
/** arena_copy() - a copy of @s that lives as long as the arena; .p is NULL on failure.
 *  The copy is followed by a NUL so that it may be handed to system calls. */
struct str arena_copy(struct arena *a, struct str s);

static inline void arena_freep(struct arena **a) { arena_free(*a); }
#define auto_arena __attribute__((cleanup(arena_freep))) struct arena *
