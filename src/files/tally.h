/* tally.h - a number for each of many objects of the host's file system
 *
 * An object is known by device and inode number. What has no number has 0. At most as many objects
 * as were asked for have one: 0 must mean what is safe.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/stat.h>

struct tally;
struct tally *tally_new(uint32_t max);	/* NULL without memory */
void tally_free(struct tally *t);

uint32_t tally_get(const struct tally *t, const struct stat *st);
/** tally_set() - the object of @st has @number from now on; 0 forgets it. What has a number already can be
 *  given another; without room, or memory, any other stays at 0. */
void tally_set(struct tally *t, const struct stat *st, uint32_t number);
/** tally_drop() - forgets each object that has @number, which is not 0 (without memory: none) */
void tally_drop(struct tally *t, uint32_t number);
uint32_t tally_count(const struct tally *t);
