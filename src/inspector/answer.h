/* answer.h - the answers that the inspector gives itself: errors, in words that an agent can read */
#pragma once

#include "base/buf.h"

#define ANSWER_MAX 4096

/** answer_put() - the body, JSON, for an error; @text adds what was wrong, from tables of ours (nothing is
 * escaped) */
void answer_put(struct buf *b, enum err why, uint16_t status, const char *text);
/** answer_status() - @status, or if that is 0 the error's own */
static inline uint16_t answer_status(enum err why, uint16_t status)
{
	return status ? status : (uint16_t)err_http_status(why);
}
