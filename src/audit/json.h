/* json.h - RFC 8785 canonical JSON: writing it, and reading back nothing but what we write
 *
 * The subset of the trail: objects whose names are [a-z][a-z0-9_]* in ascending order, lists,
 * strings, integers in [0, 2^53], true and false. No null, no fraction, no sign: a line that
 * has one is not ours.
 */
#pragma once

#include "base/buf.h"

#define JSON_INTEGER_MAX (UINT64_C(1) << 53)
#define JSON_DEPTH_MAX 8
#define JSON_MEMBERS_MAX 64

/** json_put_string() - @utf8 (well-formed) in quotes, escaped as RFC 8785 s3.2.2.2 says */
void json_put_string(struct buf *b, struct str utf8);
/** json_is_plain() - @s is ASCII that stands for itself within quotes; most text is */
bool json_is_plain(struct str s);
/** json_string_fit() - bytes of the longest prefix of @utf8 that ends between two characters
 *  and whose escaped form, without quotes, has at most @max bytes */
size_t json_string_fit(struct str utf8, size_t max);
/** json_name_is_ours() - [a-z][a-z0-9_]*, at most 64 bytes */
bool json_name_is_ours(struct str name);

enum json_type { JSON_STRING, JSON_INTEGER, JSON_BOOL, JSON_LIST, JSON_OBJECT };

struct json_value {
	enum json_type type;
	struct str text;	/* the value's bytes as they stand, quotes or brackets included */
};
struct json_object {
	size_t count;
	struct { struct str name; struct json_value value; } members[JSON_MEMBERS_MAX];
};

/** json_object_read() - the members of the canonical object that is the whole of @text; views
 *  into @text. Everything below is checked too.
 * Return: ERR_OK, or ERR_INPUT (*@ret is then of no use): not canonical, or not of this subset */
must_use enum err json_object_read(struct str text, struct json_object *ret);
/** json_member() - by name; NULL if there is none, or none of @type */
const struct json_value *json_member(const struct json_object *o, const char *name, enum json_type type);
/** json_text() - appends the unescaped bytes of a JSON_STRING; ERR_INPUT, or buf_err(@out) */
must_use enum err json_text(struct str value, struct buf *out);
/** json_integer_of() - of a JSON_INTEGER */
must_use bool json_integer_of(struct str value, uint64_t *ret);
/** json_list_next() - walks a JSON_LIST: *@rest is the list's text at first, then what is left;
 *  false at the end */
must_use bool json_list_next(struct str *rest, struct json_value *ret);
