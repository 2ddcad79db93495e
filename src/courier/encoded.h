/* encoded.h - a body in a content coding, that passes as it came once its plain form has been searched
 *
 * A copy of the body goes to paddock-decoder; the plain bytes come back and go to the owner's search. The
 * decoder's marks tell how much of the input is reflected in the plain bytes so far: what was searched, and
 * could not still become what is searched for, sets that much of the input free. The owner holds the encoded
 * bytes.
 */
#pragma once

#include "courier/decode.h"
#include "wire/head.h"

struct encoded;

/** struct encoded_ops - called from the loop; each may call encoded_free(), @done must */
struct encoded_ops {
	/** the next plain bytes; *ret_held: how many of the last of all of them may not
	 *  be taken as searched yet. An error ends it: `done` is called with that error. */
	enum err (*search)(void *user, struct str plain, size_t *ret_held);
	void (*clear)(void *user);		/* encoded_clear() has grown, or
						   encoded_room() is no longer 0 */
	/** last: ERR_OK, the body was whole and good, all of it
	 *  is clear; what `search` returned; what decode.h says.
	 *  @reason: valid for the call */
	void (*done)(void *user, enum err e, const char *reason);
};

/** encoded_coding() - the content coding of the body under @h: 0 is none (or identity)
 * Return: ERR_OK; ERR_CANNOT_SCRUB: one that nothing here decodes, or several on top of each other */
must_use enum err encoded_coding(const struct head *h, enum decoder_job *ret);

/** encoded_start() - as decode_start() */
must_use enum err encoded_start(struct courier *c, enum decoder_job coding, const struct encoded_ops *ops,
				void *user, struct encoded **ret);
/** encoded_room() - bytes that encoded_input() takes now */
size_t encoded_room(const struct encoded *e);
must_use enum err encoded_input(struct encoded *e, struct str bytes);
void encoded_end(struct encoded *e);
/** encoded_clear() - so many of the first bytes that were put in may pass */
uint64_t encoded_clear(const struct encoded *e);
/** encoded_free() - at any time; NULL is fine */
void encoded_free(struct encoded *e);
