/* request_encoded.h - requests whose body comes in a content coding, though placeholders are searched for */
#pragma once

#include "courier/exchange.h"

/** request_encoded_begin() - if the body has a content
 * coding: x->up.encoded is set. @set: built, and outlives @x
 * Return: ERR_OK; ERR_CANNOT_SCRUB (a coding that nothing here decodes, or several); as decode_start() */
must_use enum err request_encoded_begin(struct exchange *x, const struct scrub_set *set);
/** request_encoded_feed() - after bytes were added to the body, or it is complete. ERR_MEMORY */
must_use enum err request_encoded_feed(struct exchange *x);
/** request_encoded_clear() - bytes at the front of x->up.body that may go to the upstream */
size_t request_encoded_clear(const struct exchange *x);
/** request_encoded_free() - NULL is fine */
void request_encoded_free(struct request_encoded *r);
