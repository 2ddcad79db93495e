/* slots.h - a table of numbers that are never used twice
 *
 * number = generation << 32 | index + 1; the generation of a slot rises each time it is freed,
 * so that a stale number finds nothing. No number is below 2^32.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

struct slot {
	void *p;
	uint32_t generation, next_free;
};

struct slots {
	struct slot *at;
	uint32_t used, size, max, count, free;	/* free: index + 1 of the first free slot below used */
};

/** slots_add() - 0 if the table is full or there is no memory (*ret_full tells) */
uint64_t slots_add(struct slots *s, void *p, bool *ret_full);
void *slots_get(const struct slots *s, uint64_t number);	/* NULL */
void slots_remove(struct slots *s, uint64_t number);
void slots_free(struct slots *s);
