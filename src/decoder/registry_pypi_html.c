/* registry_pypi_html.c - a Python project's files, in HTML
 *
 * Theory of operation: of the page only its anchors matter. What stands outside of them passes as it is; an
 * anchor ("<a ...>...</a>") is gathered whole, its href read (quotes, and the entities that a URL can have),
 * and the last segment of that URL is the file's name. It passes if the file does. An anchor that cannot be
 * read is left out: a page is convenience, the file's own request decides.
 * Source: PEP 503, 592.
 */
#include "decoder/registry_readers.h"

#include <stdlib.h>

#define ANCHOR_MAX 16384

struct html {
	struct buf anchor;		/* from its '<' */
	bool within;
};

/* ---- one anchor ---- */

/* The next attribute of a tag's text; false at the end. */
static bool attribute(struct str *rest, struct str *ret_name, struct str *ret_value)
{
	size_t i = 0, n;

	while (i < rest->n && strchr(" \t\r\n/", rest->p[i]))
		i++;
	*rest = str_from(*rest, i);
	for (i = 0; i < rest->n && !strchr(" \t\r\n/=", rest->p[i]); i++)
		;
	*ret_name = str_head(*rest, i);
	*rest = str_from(*rest, i);
	*ret_value = (struct str){ NULL, 0 };
	for (i = 0; i < rest->n && strchr(" \t\r\n", rest->p[i]); i++)
		;
	if (i == rest->n || rest->p[i] != '=')
		return ret_name->n > 0;
	for (i++; i < rest->n && strchr(" \t\r\n", rest->p[i]); i++)
		;
	*rest = str_from(*rest, i);
	if (rest->n && (rest->p[0] == '"' || rest->p[0] == '\'')) {
		struct str quoted = str_from(*rest, 1);

		n = str_find(quoted, rest->p[0]);
		*ret_value = str_head(quoted, n);
		*rest = str_from(quoted, n + 1);
		return true;
	}
	for (n = 0; n < rest->n && !strchr(" \t\r\n", rest->p[n]); n++)
		;
	*ret_value = str_head(*rest, n);
	*rest = str_from(*rest, n);
	return true;
}

/* The end of the tag at the front of @s, past its '>'; 0 if it is not here. */
static size_t tag_end(struct str s)
{
	char quote = 0;

	for (size_t i = 0; i < s.n; i++) {
		if (quote)
			quote = (char)(s.p[i] == quote ? 0 : quote);
		else if (s.p[i] == '"' || s.p[i] == '\'')
			quote = s.p[i];
		else if (s.p[i] == '>')
			return i + 1;
	}
	return 0;
}

/* "&amp;" alone is understood; a URL's file name has no other. */
static bool unescape(struct str s, char *out, size_t cap, size_t *ret_bytes)
{
	size_t n = 0;

	for (size_t i = 0; i < s.n; i++) {
		if (n == cap)
			return false;
		out[n++] = s.p[i];
		if (s.p[i] != '&')
			continue;
		if (!str_starts(str_from(s, i), STR("&amp;")))
			return false;
		i += 4;
	}
	*ret_bytes = n;
	return true;
}

static bool file_of(struct str href, char *out, size_t cap, struct str *ret)
{
	char url[ANCHOR_MAX];
	struct str s;
	size_t n;

	if (!unescape(href, url, sizeof url, &n))
		return false;
	s = str_make(url, n);
	s = str_head(s, str_find(s, '#'));
	s = str_head(s, str_find(s, '?'));
	for (size_t i = s.n; i-- > 0;)
		if (s.p[i] == '/') {
			s = str_from(s, i + 1);
			break;
		}
	if (!registry_decode(s, false, out, cap, &n) || n == 0)
		return false;
	*ret = str_make(out, n);
	return true;
}

static enum err anchor_over(struct registry_reader *r, struct str anchor)
{
	struct str tag = str_head(anchor, tag_end(anchor)), rest = str_head(str_from(tag, 2), tag.n - 3),
		   name, value;
	struct str href = { NULL, 0 }, file, hash;
	struct registry_release release = { .published = -1 };
	char bytes[REGISTRY_FILE_MAX];
	enum err e;

	while (attribute(&rest, &name, &value)) {
		if (str_eq_nocase(name, STR("href")) && !href.p)
			href = value;
		release.yanked |= str_eq_nocase(name, STR("data-yanked"));
	}
	if (!file_of(href, bytes, sizeof bytes, &file) || !registry_file_passes(r, file))
		return ERR_OK;
	hash = str_from(href, str_find(href, '#') + 1);
	release.item = file;
	if (str_starts(hash, STR("sha256="))) {
		release.algorithm = STR("sha256");
		release.digest = str_head(str_from(hash, 7), 64);
	}
	e = registry_release(r, &release);
	return e == ERR_OK ? registry_output(r, anchor) : e;
}

/* ---- the page ---- */

static bool begins_anchor(struct str s)
{
	return s.n > 2 && s.p[0] == '<' && ascii_lower(s.p[1]) == 'a' && strchr(" \t\r\n/>", s.p[2]);
}

static bool ends_anchor(struct str s)
{
	return s.n >= 4 && str_eq_nocase(str_from(s, s.n - 4), STR("</a>"));
}

static enum err take_byte(struct registry_reader *r, struct html *h, char c)
{
	struct str s;
	enum err e = ERR_OK;

	buf_put_byte(&h->anchor, (uint8_t)c);
	s = buf_str(&h->anchor);
	if (buf_err(&h->anchor) != ERR_OK)
		return buf_err(&h->anchor) == ERR_MEMORY ? ERR_MEMORY : ERR_DECODER;
	if (!h->within && s.n == 3 && begins_anchor(s)) {
		h->within = true;
		return ERR_OK;
	}
	if (h->within ? !ends_anchor(s) : s.n < 3 && (s.n < 2 || ascii_lower(s.p[1]) == 'a'))
		return ERR_OK;
	e = h->within ? anchor_over(r, s) : registry_output(r, s);
	buf_clear(&h->anchor);
	h->within = false;
	return e;
}

static enum err feed(struct registry_reader *r, struct str bytes)
{
	struct html *h = r->state;
	enum err e = ERR_OK;

	while (bytes.n && e == ERR_OK) {
		struct str plain = str_head(bytes, h->anchor.len ? 0 : str_find(bytes, '<'));

		if (plain.n) {
			e = registry_output(r, plain);
			bytes = str_from(bytes, plain.n);
			continue;
		}
		e = take_byte(r, h, bytes.p[0]);
		bytes = str_from(bytes, 1);
	}
	return e;
}

static enum err end(struct registry_reader *r)
{
	struct html *h = r->state;

	return h->within ? ERR_DECODER : registry_output(r, buf_str(&h->anchor));
}

static void *create(struct registry_reader *r)
{
	struct html *h = calloc(1, sizeof *h);

	(void)r;
	if (h)
		buf_init(&h->anchor, ANCHOR_MAX);
	return h;
}

static void destroy(void *state)
{
	struct html *h = state;

	buf_free(&h->anchor);
	free(h);
}

const struct registry_reader_kind registry_reader_pypi_html = { create, destroy, feed, end };
