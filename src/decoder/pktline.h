/* pktline.h - git's packet lines, as they come
 *
 *   offset size   four hex digits: 0000 flush, 0001 delimiter, 0002 end of response, else length with themselves
 *   4      0..65516 payload
 */
#pragma once

#include "base/err.h"
#include "base/str.h"

#define PKTLINE_MAX 65520	/* with its length; gitprotocol-common(5) */

enum pktline_kind { PKTLINE_DATA, PKTLINE_FLUSH, PKTLINE_DELIMITER, PKTLINE_END };

struct pktline {
	char bytes[PKTLINE_MAX];
	size_t have;
};
/** pktline_next() - the next packet out of *@input, from which what was read is taken; *ret_payload is
 *  good until the next call. ERR_OK; ERR_MORE (all of @input is kept here); ERR_DECODER: no packet line */
must_use enum err pktline_next(struct pktline *p, struct str *input, enum pktline_kind *ret_kind,
			       struct str *ret_payload);
/** pktline_partial() - is part of a packet waiting for the rest? */
static inline bool pktline_partial(const struct pktline *p) { return p->have > 0; }
/** pktline_text() - @payload without one line feed at its end */
static inline struct str pktline_text(struct str payload)
{
	return str_head(payload, payload.n - (payload.n && payload.p[payload.n - 1] == '\n'));
}
