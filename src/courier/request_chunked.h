/* request_chunked.h - bodies in signed chunks (aws-chunked),
 * decoded on their way, since their signatures go */
#pragma once

#include "courier/exchange.h"

/** request_chunked_expected() - is @x's body one that its credential takes apart? */
bool request_chunked_expected(const struct exchange *x);
/** request_chunked_begin() - from now on the payload, of @length bytes, goes to
 *  the upstream instead of the body: x->up.chunked is set. As decode_start() */
must_use enum err request_chunked_begin(struct exchange *x, uint64_t length);
/** request_chunked_feed() - after bytes were added to the body, or it is complete. ERR_MEMORY */
must_use enum err request_chunked_feed(struct exchange *x);
/** request_chunked_front() - payload that may go; *ret_all: and that is all there will be */
struct str request_chunked_front(const struct exchange *x, bool *ret_all);
/** request_chunked_drop() - @n bytes of it are gone */
void request_chunked_drop(struct exchange *x, size_t n);
/** request_chunked_free() - NULL is fine */
void request_chunked_free(struct request_chunked *r);
