/* json_walk.c - see json_walk.h
 *
 * Theory of operation: one state machine over bytes. Within an entered object or list it knows each name,
 * colon and comma; a value that is not entered is passed over by counting brackets outside of strings, in
 * runs. Names are compared unescaped, as every reader does ("ver\u0073ions" is "versions").
 */
#include "decoder/json_walk.h"

#include <jansson.h>
#include <stdlib.h>

enum state {
	STATE_VALUE,		/* one begins */
	STATE_FIRST,		/* the first member, or the end */
	STATE_NAME,		/* a name begins */
	STATE_IN_NAME, STATE_COLON,
	STATE_STRING, STATE_NESTED, STATE_SCALAR,	/* within a value that is not entered */
	STATE_AFTER,		/* ',' or the end */
	STATE_OVER,
};

struct level {
	bool list;
	uint64_t written;	/* members */
	char key[JSON_WALK_KEY_MAX];
	size_t key_bytes;
};
struct json_walk {
	const struct json_walk_ops *ops;
	void *user;
	enum state state;
	unsigned depth;
	struct level levels[JSON_WALK_DEPTH_MAX + 1];	/* [0]: around the document */
	struct buf raw_key;	/* with its quotes */
	char key[JSON_WALK_KEY_MAX];
	size_t key_bytes;
	bool escaped;
	enum json_choice choice;
	unsigned nesting;	/* brackets open in the value */
	bool quoted;
	struct buf taken;
};

struct json_walk *json_walk_new(const struct json_walk_ops *ops, void *user)
{
	struct json_walk *w = calloc(1, sizeof *w);

	if (!w)
		return NULL;
	w->ops = ops;
	w->user = user;
	buf_init(&w->raw_key, JSON_WALK_KEY_MAX);
	buf_init(&w->taken, JSON_WALK_TAKEN_MAX);
	return w;
}

void json_walk_free(struct json_walk *w)
{
	if (!w)
		return;
	buf_free(&w->raw_key);
	buf_free(&w->taken);
	free(w);
}

unsigned json_walk_depth(const struct json_walk *w) { return w->depth; }

struct str json_walk_key(const struct json_walk *w, unsigned level)
{
	const struct level *l = &w->levels[level + 1 <= w->depth ? level + 1 : w->depth];

	return str_make(l->key, l->key_bytes);
}

static bool space(char c) { return c == ' ' || c == '\t' || c == '\n' || c == '\r'; }

/* ---- writing ---- */

static enum err put(struct json_walk *w, struct str s) { return s.n ? w->ops->output(w->user, s) : ERR_OK; }

/* The comma before a member, and its name as it was written. */
static enum err begin_member(struct json_walk *w, struct str raw_key)
{
	struct level *l = &w->levels[w->depth];
	enum err e = l->written++ ? put(w, STR(",")) : ERR_OK;

	if (e == ERR_OK && raw_key.n)
		e = put(w, raw_key);
	return e == ERR_OK && raw_key.n ? put(w, STR(":")) : e;
}

enum err json_walk_put(struct json_walk *w, struct str key, struct str value)
{
	json_t *name = w->depth && !w->levels[w->depth].list ? json_stringn(key.p ? key.p : "", key.n) : NULL;
	char *text = name ? json_dumps(name, JSON_ENCODE_ANY | JSON_ENSURE_ASCII) : NULL;
	enum err e = name && !text ? ERR_MEMORY : begin_member(w, str_of(text));

	json_decref(name);
	free(text);
	return e == ERR_OK ? put(w, value) : e;
}

/* ---- values ---- */

static enum err value_over(struct json_walk *w)
{
	enum err e = ERR_OK;

	w->state = w->depth ? STATE_AFTER : STATE_OVER;
	if (w->choice == JSON_WALK_TAKE) {
		e = buf_err(&w->taken) == ERR_OK
			? w->ops->taken(w->user, w, str_make(w->key, w->key_bytes), buf_str(&w->taken))
			: buf_err(&w->taken) == ERR_MEMORY ? ERR_MEMORY : ERR_DECODER;
		buf_clear(&w->taken);
	}
	return e;
}

/* Bytes of the value that is passed over. */
static enum err keep(struct json_walk *w, struct str bytes)
{
	if (w->choice == JSON_WALK_TAKE)
		buf_put(&w->taken, bytes);
	return w->choice == JSON_WALK_COPY ? put(w, bytes) : ERR_OK;
}

static enum err enter(struct json_walk *w, bool list)
{
	struct level *l = &w->levels[w->depth + 1];
	enum err e;

	if (w->depth == JSON_WALK_DEPTH_MAX)
		return ERR_DECODER;
	e = begin_member(w, buf_str(&w->raw_key));
	w->depth++;
	l->list = list;
	l->written = 0;
	memcpy(l->key, w->key, w->key_bytes);
	l->key_bytes = w->key_bytes;
	w->state = STATE_FIRST;
	return e == ERR_OK ? put(w, list ? STR("[") : STR("{")) : e;
}

static enum err value(struct json_walk *w, struct str *input)
{
	char c = input->p[0];
	bool nested = c == '{' || c == '[';

	if (!nested && c != '"' && c != '-' && !ascii_digit(c) && c != 't' && c != 'f' && c != 'n')
		return ERR_DECODER;
	w->choice = w->ops->choose(w->user, w, str_make(w->key, w->key_bytes));
	if (w->choice == JSON_WALK_ENTER && nested) {
		*input = str_from(*input, 1);
		return enter(w, c == '[');
	}
	if (w->choice == JSON_WALK_ENTER)
		w->choice = JSON_WALK_COPY;
	w->state = nested ? STATE_NESTED : c == '"' ? STATE_STRING : STATE_SCALAR;
	w->nesting = 0;
	w->quoted = w->escaped = false;
	return w->choice == JSON_WALK_COPY ? begin_member(w, buf_str(&w->raw_key)) : ERR_OK;
}

/* Up to the bracket that closes it. */
static enum err nested(struct json_walk *w, struct str *input)
{
	size_t i = 0;
	bool over = false;
	enum err e;

	for (; i < input->n && !over; i++) {
		char c = input->p[i];

		if (w->escaped) {
			w->escaped = false;
		} else if (w->quoted) {
			w->escaped = c == '\\';
			w->quoted = c != '"';
		} else if (c == '"') {
			w->quoted = true;
		} else if (c == '{' || c == '[') {
			w->nesting++;
		} else if (c == '}' || c == ']') {
			over = --w->nesting == 0;
		}
	}
	e = keep(w, str_head(*input, i));
	*input = str_from(*input, i);
	return e == ERR_OK && over ? value_over(w) : e;
}

static enum err string(struct json_walk *w, struct str *input)
{
	size_t i = 0;
	bool over = false;
	enum err e;

	for (; i < input->n && !over; i++) {
		if (w->escaped) {
			w->escaped = false;
			continue;
		}
		w->escaped = input->p[i] == '\\';
		over = input->p[i] == '"' && w->quoted;
		w->quoted = true;
	}
	e = keep(w, str_head(*input, i));
	*input = str_from(*input, i);
	return e == ERR_OK && over ? value_over(w) : e;
}

static enum err scalar(struct json_walk *w, struct str *input)
{
	size_t i = 0;
	enum err e;

	while (i < input->n && !space(input->p[i]) && input->p[i] != ',' && input->p[i] != '}' &&
	       input->p[i] != ']')
		i++;
	e = keep(w, str_head(*input, i));
	*input = str_from(*input, i);
	return e == ERR_OK && input->n ? value_over(w) : e;
}

/* ---- names and what is between ---- */

/* The bytes of a JSON string, unescaped; false: malformed, or too long. */
static bool unescape(struct str raw, char *out, size_t *ret_bytes)
{
	json_t *s = json_loadb(raw.p, raw.n, JSON_DECODE_ANY | JSON_ALLOW_NUL, NULL);
	size_t n = json_string_length(s);
	bool good = json_is_string(s) && n <= JSON_WALK_KEY_MAX;

	if (good) {
		memcpy(out, json_string_value(s), n);
		*ret_bytes = n;
	}
	json_decref(s);
	return good;
}

static enum err in_name(struct json_walk *w, struct str *input)
{
	size_t i = 0;
	bool over = false;

	for (; i < input->n && !over; i++) {
		over = !w->escaped && input->p[i] == '"';
		w->escaped = !w->escaped && input->p[i] == '\\';
	}
	buf_put(&w->raw_key, str_head(*input, i));
	*input = str_from(*input, i);
	if (buf_err(&w->raw_key) != ERR_OK ||
	    (over && !unescape(buf_str(&w->raw_key), w->key, &w->key_bytes)))
		return ERR_DECODER;
	if (over)
		w->state = STATE_COLON;
	return ERR_OK;
}

static enum err leave(struct json_walk *w)
{
	bool list = w->levels[w->depth].list;
	enum err e = w->ops->leave ? w->ops->leave(w->user, w) : ERR_OK;

	if (e == ERR_OK)
		e = put(w, list ? STR("]") : STR("}"));
	w->depth--;
	w->state = w->depth ? STATE_AFTER : STATE_OVER;
	return e;
}

/* A member of an entered list has no name. */
static enum err member(struct json_walk *w)
{
	buf_clear(&w->raw_key);
	w->key_bytes = 0;
	w->state = w->levels[w->depth].list ? STATE_VALUE : STATE_NAME;
	return ERR_OK;
}

/* One byte of what is between. */
static enum err mark(struct json_walk *w, struct str *input)
{
	char c = input->p[0];
	char close = w->levels[w->depth].list ? ']' : '}';

	if (w->state == STATE_FIRST && c != close)
		return member(w);	/* @c is its first byte */
	*input = str_from(*input, 1);
	if ((w->state == STATE_FIRST || w->state == STATE_AFTER) && c == close)
		return leave(w);
	if (w->state == STATE_AFTER && c == ',')
		return member(w);
	if (w->state == STATE_NAME && c == '"') {
		w->state = STATE_IN_NAME;
		w->escaped = false;
		buf_put_byte(&w->raw_key, '"');
		return ERR_OK;
	}
	if (w->state == STATE_COLON && c == ':') {
		w->state = STATE_VALUE;
		return ERR_OK;
	}
	return ERR_DECODER;
}

static enum err step(struct json_walk *w, struct str *input)
{
	switch (w->state) {
	case STATE_IN_NAME:
		return in_name(w, input);
	case STATE_NESTED:
		return nested(w, input);
	case STATE_STRING:
		return string(w, input);
	case STATE_SCALAR:
		return scalar(w, input);
	case STATE_VALUE:
	case STATE_FIRST:
	case STATE_NAME:
	case STATE_COLON:
	case STATE_AFTER:
	case STATE_OVER:
		break;
	}
	if (space(input->p[0])) {
		*input = str_from(*input, 1);
		return ERR_OK;
	}
	return w->state == STATE_VALUE ? value(w, input) : mark(w, input);
}

enum err json_walk_feed(struct json_walk *w, struct str bytes)
{
	enum err e = ERR_OK;

	while (bytes.n && e == ERR_OK)
		e = w->state == STATE_OVER && !space(bytes.p[0]) ? ERR_DECODER : step(w, &bytes);
	return e;
}

enum err json_walk_end(struct json_walk *w)
{
	if (w->state == STATE_SCALAR && w->depth == 0) {
		enum err e = value_over(w);

		if (e != ERR_OK)
			return e;
	}
	return w->state == STATE_OVER ? ERR_OK : ERR_DECODER;
}
