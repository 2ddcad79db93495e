/* attach_text.c - a placeholder in text, and what replaces it; see attach_text.h
 *
 * Theory of operation: the text is searched, never parsed: a placeholder reads the same in every coding, so
 * that finding its bytes is finding it, and what replaces it is escaped so that it cannot end the string,
 * parameter or segment that it stands in. Where an agent has wrapped the placeholder itself (\u0070, %70) it
 * is not found here; the search for what must not leave (scrub.h) finds it there.
 * Source: RFC 3986 s2.3, RFC 8259 s7.
 */
#include "credential/attach_text.h"

#include "credential/attach.h"

size_t attach_find(struct str s, size_t from, struct str needle)
{
	const char *hit = from < s.n && needle.n ? memmem(s.p + from, s.n - from, needle.p, needle.n) : NULL;

	return hit ? (size_t)(hit - s.p) : s.n;
}

static bool is_word(char c) { return ascii_alpha(c) || ascii_digit(c); }

/* "/bot<placeholder>/": the letters before it are part of the path, not of it */
static bool begins_segment(struct str path, size_t at)
{
	while (at && ascii_alpha(path.p[at - 1]))
		at--;
	return at == 0 || path.p[at - 1] == '/';
}

static bool stands_whole(enum attach_coding coding, struct str s, size_t at, size_t n)
{
	bool before = at > 0 && is_word(s.p[at - 1]), after = at + n < s.n && is_word(s.p[at + n]);

	if (before && coding == ATTACH_PATH)
		before = !begins_segment(s, at);
	return !before && !after;
}

static void put_percent(struct str secret, const char *also, struct buf *out)
{
	static const char digit[] = "0123456789ABCDEF";

	for (size_t i = 0; i < secret.n; i++) {
		char c = secret.p[i];
		uint8_t v = (uint8_t)c;
		char escaped[3] = { '%', digit[v >> 4], digit[v & 15] };

		if (c && (is_word(c) || strchr("-._~", c) || strchr(also, c)))
			buf_put_byte(out, v);
		else
			buf_put(out, str_make(escaped, 3));
	}
}

static void put_json(struct str secret, struct buf *out)
{
	for (size_t i = 0; i < secret.n; i++) {
		char c = secret.p[i];

		if (c == '"' || c == '\\')
			buf_put_byte(out, '\\');
		if ((uint8_t)c < 0x20)
			buf_printf(out, "\\u%04x", (unsigned)(uint8_t)c);
		else
			buf_put_byte(out, (uint8_t)c);
	}
}

static void put_coded(enum attach_coding coding, struct str secret, struct buf *out)
{
	switch (coding) {
	case ATTACH_RAW: buf_put(out, secret); break;
	case ATTACH_JSON: put_json(secret, out); break;
	case ATTACH_FORM: put_percent(secret, "", out); break;
	case ATTACH_PATH: put_percent(secret, ":@", out); break;
	}
}

bool attach_replace(enum attach_coding coding, struct str secret, struct str placeholder, struct str text,
		    struct buf *out)
{
	size_t from = 0, search = 0;
	bool any = false;

	for (;;) {
		size_t at = attach_find(text, search, placeholder);

		if (at == text.n)
			break;
		search = at + placeholder.n;
		if (!stands_whole(coding, text, at, placeholder.n))
			continue;
		buf_put(out, str_make(text.p + from, at - from));
		put_coded(coding, secret, out);
		from = search;
		any = true;
	}
	buf_put(out, str_from(text, from));
	return any;
}

/* ---- bodies and messages ---- */

enum attach_body attach_body_kind(const struct policy_credential *c, const struct head *h)
{
	const struct head_field *type = NULL;

	if (c->strategy != POLICY_STRATEGY_PLACEHOLDER || !(c->parts & POLICY_IN_BODY) ||
	    h->framing == HEAD_BODY_NONE || h->websocket)
		return ATTACH_BODY_NOT;
	for (uint32_t i = 0; i < h->field_count; i++) {
		if (str_eq(h->fields[i].name, STR("content-encoding")))
			return ATTACH_BODY_NOT;
		if (str_eq(h->fields[i].name, STR("content-type"))) {
			if (type)
				return ATTACH_BODY_NOT;	/* two of them: who knows which is meant */
			type = &h->fields[i];
		}
	}
	if (!type)
		return ATTACH_BODY_NOT;
	struct str media = str_trim(str_head(type->value, str_find(type->value, ';')));

	if (str_eq_nocase(media, STR("application/x-www-form-urlencoded")))
		return ATTACH_BODY_FORM;
	if (str_eq_nocase(media, STR("application/json")) ||
	    (media.n > 5 && str_eq_nocase(str_from(media, media.n - 5), STR("+json"))))
		return ATTACH_BODY_JSON;
	return ATTACH_BODY_NOT;
}

enum err attach_text(enum attach_body kind, struct str secret, struct str placeholder, struct str text,
		     struct buf *out, bool *ret_changed)
{
	enum attach_coding coding = kind == ATTACH_BODY_FORM ? ATTACH_FORM : ATTACH_JSON;
	bool changed = false;

	if (kind == ATTACH_BODY_NOT || placeholder.n < CREDENTIAL_PLACEHOLDER_MIN)
		buf_put(out, text);
	else
		changed = attach_replace(coding, secret, placeholder, text, out);
	if (buf_err(out) == ERR_OK)
		*ret_changed = changed;
	return buf_err(out);
}
