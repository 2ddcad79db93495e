/* stream.h - the open streams of one link: what link.c keeps of each, found by number */
#pragma once

#include "base/str.h"

struct stream {
	uint32_t number;		/* 0: free slot */
	uint32_t next;			/* slot in the same chain, or next free slot */
	uint32_t send_credit;		/* payload bytes we may send */
	uint32_t receive_credit;	/* payload bytes the peer may send */
	uint32_t held;			/* received, not yet consumed by our owner */
	uint32_t pending;		/* consumed, not yet given back */
	bool sent_end, received_end;
	void *user;
};

struct stream_table {
	struct stream *slots;
	uint32_t *chains;		/* slot_count heads: slot of the chain's first stream */
	uint32_t slot_count;		/* 0 or a power of two */
	uint32_t open_count, first_free;
};

void stream_table_init(struct stream_table *t);
void stream_table_free(struct stream_table *t);
/** stream_find() - the open stream @number, or NULL; valid until the next stream_add() */
struct stream *stream_find(const struct stream_table *t, uint32_t number);
/** stream_add() - a zeroed entry for @number (not 0, not in the table); NULL without memory */
struct stream *stream_add(struct stream_table *t, uint32_t number);
void stream_remove(struct stream_table *t, struct stream *s);
