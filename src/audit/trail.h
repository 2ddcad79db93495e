/* trail.h - reading a trail line by line, also while it is being written */
#pragma once

#include "audit/audit.h"

struct trail;

#define TRAIL_SEGMENT_NAME_BYTES 16
/** trail_segment_name() - "000001.jsonl" and a NUL; @segment in [1, 999999] */
void trail_segment_name(uint32_t segment, char ret[TRAIL_SEGMENT_NAME_BYTES]);

/** trail_open() - at the first record of the trail in @directory (borrowed, stays open)
 * Return: ERR_OK (also when nothing is there yet), ERR_MEMORY */
must_use enum err trail_open(int directory, struct trail **ret);
void trail_free(struct trail *t);
/** trail_next() - the next line without its newline, a view until the next call
 * Return: ERR_OK; ERR_MORE: that is all as of now (call again when there may be more);
 * ERR_AUDIT_BROKEN: a segment is missing, a line is too long or ends inside of an earlier
 * segment (trail_fault() says which); ERR_LOCAL with errno */
must_use enum err trail_next(struct trail *t, struct str *ret_line);
/** trail_torn() - after ERR_MORE: bytes of a line without its newline are left */
bool trail_torn(const struct trail *t);
/** trail_is_being_written() - does a writer hold the last segment open? */
bool trail_is_being_written(const struct trail *t);
/** trail_fault() - after ERR_AUDIT_BROKEN: what is wrong, in words */
const char *trail_fault(const struct trail *t);

static inline void trail_freep(struct trail **t) { trail_free(*t); }
#define auto_trail __attribute__((cleanup(trail_freep))) struct trail *
