/* attach_text.h - a placeholder in text, and what replaces it; for attach*.c alone */
#pragma once

#include "base/buf.h"

enum attach_coding {
	ATTACH_RAW,
	ATTACH_JSON,		/* inside of a JSON string, RFC 8259 s7 */
	ATTACH_FORM,		/* all but unreserved characters as %XX: query values, forms */
	ATTACH_PATH,		/* the same, but ':' and '@' stay; letters before it do not matter */
};

/** attach_find() - index of @needle in @s from @from on, or s.n */
size_t attach_find(struct str s, size_t from, struct str needle);
/** attach_replace() - appends @text with each whole @placeholder replaced by @secret as
 *  @coding has it; it stands whole when no letter or digit continues it on either side
 * Return: were there any? If not, @text is appended as it is. Failures are in buf_err(out). */
bool attach_replace(enum attach_coding coding, struct str secret, struct str placeholder, struct str text,
		    struct buf *out);
