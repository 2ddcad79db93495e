/* http1_body.h - the body of an HTTP/1.1 message, taken out of its framing as it comes
 *
 * Incremental, and without a copy: each piece is a view into the input.
 */
#pragma once

#include "wire/http1.h"

#define HTTP1_CHUNK_DIGITS_MAX 16	/* hex digits of a chunk's size */
#define HTTP1_EXTENSIONS_MAX 16384	/* chunk extensions (which are dropped) in a whole body */
#define HTTP1_TRAILERS_MAX 8192		/* the whole trailer section */

struct http1_body {
	enum http1_framing framing;
	int state;		/* private to http1_body.c */
	uint64_t left;		/* of the body, or of the present chunk */
	unsigned digits;	/* of the present chunk's size so far */
	size_t extensions;	/* bytes of chunk extensions so far, in the whole body */
	size_t scanned;		/* of the trailer section */
	struct buf trailers;
	bool done;
};

/** http1_body_init() - @length counts only for HTTP1_LENGTH */
void http1_body_init(struct http1_body *b, enum http1_framing framing, uint64_t length);
/** http1_body_of_request() - as the request's head says */
void http1_body_of_request(struct http1_body *b, const struct head *h);
void http1_body_free(struct http1_body *b);

/** http1_body_next() - the next piece of the body
 * Takes bytes from the front of @input; leaves those that follow the message.
 * Return: ERR_OK with *ret_data non-empty: a piece, call again; ERR_OK with *ret_data empty: the
 * body is whole (b->done); ERR_MORE: @input is used up; ERR_BODY_FRAMING: malformed, final;
 * ERR_LIMIT: chunk extensions or trailers too long, final; ERR_MEMORY. */
must_use enum err http1_body_next(struct http1_body *b, struct str *input, struct str *ret_data);

/** http1_body_eof() - the peer has closed: ERR_OK if the body is whole now (b->done), which it is
 * for HTTP1_UNTIL_CLOSE; else ERR_BODY_FRAMING: it was cut off */
must_use enum err http1_body_eof(struct http1_body *b);

/** http1_body_trailers() - after the end: trailer fields as a canonical HEAD_TRAILERS head
 * (field_count 0 if there were none); views point into @b. Fields that frame, route or
 * authenticate are refused: ERR_HEAD_MALFORMED. Source: RFC 9110 s6.5.1. */
must_use enum err http1_body_trailers(struct http1_body *b, struct head *ret);
