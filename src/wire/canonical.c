/* canonical.c - the steps to a canonical request head that HTTP/1.1 and HTTP/2 have in common
 *
 * Theory of operation: each step takes one part as it came and leaves its one form, or refuses. Nothing here
 * is the last word: head_check() follows and judges the whole. Every byte is hostile.
 * Source: RFC 9110 s4.2.3, s7.2; RFC 3986 s3.2.2, s6.2.2; RFC 9113 s8.2.3.
 */
#include "wire/canonical.h"

uint16_t canonical_port(enum head_scheme scheme)
{
	return scheme == HEAD_HTTPS ? 443 : 80;
}

enum err canonical_authority(struct str s, uint16_t port_default, char ret_host[HEAD_HOST_MAX + 1],
			     uint16_t *ret_port)
{
	size_t end = s.n && s.p[0] == '[' ? str_find(s, ']') + 1 : str_find(s, ':');
	struct str port = str_from(s, end);
	uint64_t v = port_default;

	if (end > s.n || end == 0)
		return ERR_HEAD_MALFORMED;
	if (port.n && (port.p[0] != ':' || port.n < 2 || port.p[1] == '0' ||
		       !str_decimal(str_from(port, 1), 65535, &v)))
		return ERR_HEAD_MALFORMED;
	if (v == 0)	/* one must be named, and is not */
		return ERR_HEAD_MALFORMED;
	*ret_port = (uint16_t)v;
	return host_canonical(str_head(s, end), ret_host);
}

/* Appends @s with upper-case hex and what RFC 3986 does not have raw as %XX; room is reserved. */
static struct str put_canonical(struct buf *b, struct str s, bool upper)
{
	static const char hex[] = "0123456789ABCDEF";
	size_t start = b->len;

	for (size_t i = 0; i < s.n; i++) {
		char c = s.p[i];

		if (c && strchr("[]{}|^`", c)) {
			char triple[3] = { '%', hex[(uint8_t)c >> 4], hex[c & 15] };

			buf_put(b, str_make(triple, 3));
			continue;
		}
		if (upper && c >= 'a' && c <= 'f' &&
		    ((i > 0 && s.p[i - 1] == '%') || (i > 1 && s.p[i - 2] == '%')))
			c = (char)(c - 32);
		buf_put_byte(b, (uint8_t)c);
	}
	return str_make(b->p + start, b->len - start);
}

enum err canonical_target(struct str target, struct buf *storage, struct head *h)
{
	size_t mark = str_find(target, '?');

	if (mark > HEAD_PATH_MAX || target.n - mark > HEAD_QUERY_MAX)
		return ERR_HEAD_TOO_LARGE;
	h->has_query = mark < target.n;
	h->path = put_canonical(storage, str_head(target, mark), true);
	if (h->has_query)
		h->query = put_canonical(storage, str_from(target, mark + 1), false);
	return buf_err(storage);
}

enum err canonical_host(struct head *h, const char *host, struct buf *storage)
{
	bool brackets = host_type(str_of(host)) == HOST_IPV6;
	size_t start = storage->len;

	if (brackets)
		buf_put_byte(storage, '[');
	h->host = str_make(storage->p + storage->len, strlen(host));
	buf_put_z(storage, host);
	if (brackets)
		buf_put_byte(storage, ']');
	if (h->port != canonical_port(h->scheme)) {
		buf_put_byte(storage, ':');
		buf_put_decimal(storage, h->port);
	}
	if (buf_err(storage))
		return buf_err(storage);
	if (h->field_count == HEAD_FIELDS_MAX)
		return ERR_HEAD_TOO_LARGE;
	memmove(h->fields + 1, h->fields, h->field_count * sizeof *h->fields);
	h->fields[0] = (struct head_field){ STR("host"), str_make(storage->p + start, storage->len - start) };
	h->field_count++;
	return ERR_OK;
}

enum err canonical_cookies(struct head *h, struct buf *storage)
{
	struct head_field *first = NULL;
	size_t start = storage->len;
	uint32_t kept = 0, count = 0;

	for (uint32_t i = 0; i < h->field_count; i++)
		count += str_eq(h->fields[i].name, STR("cookie"));
	if (count < 2)
		return ERR_OK;
	for (uint32_t i = 0; i < h->field_count; i++) {
		struct head_field *f = &h->fields[i];

		if (str_eq(f->name, STR("cookie"))) {
			if (f->value.n && storage->len > start)
				buf_put(storage, STR("; "));
			buf_put(storage, f->value);
			if (first)
				continue;
			first = &h->fields[kept];
		}
		h->fields[kept++] = *f;
	}
	h->field_count = kept;
	if (buf_err(storage))
		return buf_err(storage);
	first->value = str_make(storage->p + start, storage->len - start);
	return ERR_OK;
}

bool canonical_is_handshake(struct str lower_name)
{
	return str_eq(lower_name, STR("sec-websocket-key")) ||
	       str_eq(lower_name, STR("sec-websocket-version")) ||
	       str_eq(lower_name, STR("sec-websocket-accept")) ||
	       str_eq(lower_name, STR("sec-websocket-extensions"));
}
