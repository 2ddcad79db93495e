/* head.c - the canonical head: encode, decode, and the check that both ends make
 *
 * Theory of operation: a head is a value whose views point into somebody's memory.
 * head_check() states what canonical means, part by part; head_encode() writes nothing that
 * it refuses and head_decode() hands out nothing that it refuses, so that one form, and only
 * one, exists of each head: decoding and encoding again gives the same bytes. Hosts are in
 * host.c.
 *
 * Trust: every byte may come from a captured inspector. Pure, no allocation but the
 * caller's buffer.
 *
 * Sources: RFC 9110 s5.6.2 (token), s5.5 (field values), s6.5.1 (trailers), s7.6.1
 * (hop-by-hop); RFC 3986 s3.3, s3.4.
 */
#include "base/reader.h"
#include "wire/head.h"

#define HEAD_VERSION 1
#define HEADER_BYTES 28

enum {
	FLAG_QUERY = 1,
	FLAG_TRAILERS = 2,
	FLAG_FINAL = 4,
	FLAG_WEBSOCKET = 8,
	FLAGS_ALL = FLAG_QUERY | FLAG_TRAILERS | FLAG_FINAL | FLAG_WEBSOCKET,
};

/* -- parts -------------------------------------------------------------------------- */

static bool char_in(char c, const char *set)
{
	return c && strchr(set, c);
}

/* Each byte of each head is looked up here, by both sides: what it may be part of. */
enum {
	TOKEN = 1,	/* RFC 9110 s5.6.2 */
	PCHAR = 2,	/* RFC 3986 s3.3, but for %XX */
	LOWER = 4,	/* a token's byte that is no capital */
};
static const uint8_t byte_class[256] = {
	['a' ... 'z'] = TOKEN | PCHAR | LOWER,
	['A' ... 'Z'] = TOKEN | PCHAR,
	['0' ... '9'] = TOKEN | PCHAR | LOWER,
	['!'] = TOKEN | PCHAR | LOWER,
	['$'] = TOKEN | PCHAR | LOWER,
	['&'] = TOKEN | PCHAR | LOWER,
	['\''] = TOKEN | PCHAR | LOWER,
	['*'] = TOKEN | PCHAR | LOWER,
	['+'] = TOKEN | PCHAR | LOWER,
	['-'] = TOKEN | PCHAR | LOWER,
	['.'] = TOKEN | PCHAR | LOWER,
	['_'] = TOKEN | PCHAR | LOWER,
	['~'] = TOKEN | PCHAR | LOWER,
	['#'] = TOKEN | LOWER,
	['%'] = TOKEN | LOWER,
	['^'] = TOKEN | LOWER,
	['`'] = TOKEN | LOWER,
	['|'] = TOKEN | LOWER,
	['('] = PCHAR,
	[')'] = PCHAR,
	[','] = PCHAR,
	[';'] = PCHAR,
	['='] = PCHAR,
	[':'] = PCHAR,
	['@'] = PCHAR,
};

static bool is_token_char(char c) { return byte_class[(uint8_t)c] & TOKEN; }
static bool is_pchar(char c) { return byte_class[(uint8_t)c] & PCHAR; }

bool method_check(struct str method)
{
	if (method.n == 0 || method.n > HEAD_METHOD_MAX || str_eq(method, STR("CONNECT")))
		return false;
	for (size_t i = 0; i < method.n; i++)
		if (!is_token_char(method.p[i]))
			return false;
	return true;
}

bool field_name_check(struct str name)
{
	if (name.n == 0 || name.n > UINT16_MAX)
		return false;
	for (size_t i = 0; i < name.n; i++)
		if (!(byte_class[(uint8_t)name.p[i]] & LOWER))
			return false;
	return true;
}

static bool is_blank(char c) { return c == ' ' || c == '\t'; }

bool field_value_check(struct str value)
{
	if (value.n > UINT16_MAX)
		return false;
	if (value.n && (is_blank(value.p[0]) || is_blank(value.p[value.n - 1])))
		return false;
	for (size_t i = 0; i < value.n; i++) {
		uint8_t c = (uint8_t)value.p[i];

		if (c == 0x7f || (c < ' ' && c != '\t'))
			return false;
	}
	return true;
}

/* The byte that %XX at @s stands for, or -1 if it is malformed. */
static int percent_value(struct str s)
{
	int high, low;

	if (s.n < 3 || s.p[0] != '%')
		return -1;
	high = ascii_hex(s.p[1]);
	low = ascii_hex(s.p[2]);
	return high < 0 || low < 0 ? -1 : high * 16 + low;
}

/* An encoded slash or backslash: itself to us, but many servers decode it and then walk the path. */
static bool begins_with_slash(struct str s)
{
	return str_starts(s, STR("%2F")) || str_starts(s, STR("%5C"));
}

/* "." or "..", with dots as such or as %2E, before the end, an encoded slash, or ';' (which
 * some servers cut off before they walk the path). */
static bool is_dot_segment(struct str segment)
{
	unsigned dots = 0;

	while (segment.n && segment.p[0] != ';' && !str_starts(segment, STR("%3B")) &&
	       !begins_with_slash(segment)) {
		if (segment.p[0] == '.')
			segment = str_from(segment, 1);
		else if (str_starts(segment, STR("%2E")))
			segment = str_from(segment, 3);
		else
			return false;
		dots++;
	}
	return dots == 1 || dots == 2;
}

static bool segment_check(struct str segment)
{
	if (is_dot_segment(segment))
		return false;
	for (size_t i = 0; i < segment.n; i++) {
		int v;

		if (is_pchar(segment.p[i]))
			continue;
		v = percent_value(str_from(segment, i));
		if (v < ' ' || v == 0x7f)
			return false;
		if (char_in(segment.p[i + 1], "abcdef") || char_in(segment.p[i + 2], "abcdef"))
			return false;
		if (begins_with_slash(str_from(segment, i)) && is_dot_segment(str_from(segment, i + 3)))
			return false;
		i += 2;
	}
	return true;
}

bool path_check(struct str path)
{
	struct str rest = path;

	if (path.n == 0 || path.n > HEAD_PATH_MAX || path.p[0] != '/')
		return false;
	while (rest.n) {
		struct str segment;

		rest = str_from(rest, 1);	/* the '/' */
		segment = str_head(rest, str_find(rest, '/'));
		if (!segment_check(segment))
			return false;
		rest = str_from(rest, segment.n);
	}
	return true;
}

bool query_check(struct str query)
{
	if (query.n > HEAD_QUERY_MAX)
		return false;
	for (size_t i = 0; i < query.n; i++) {
		if (is_pchar(query.p[i]) || query.p[i] == '/' || query.p[i] == '?')
			continue;
		if (percent_value(str_from(query, i)) < 0)
			return false;
		i += 2;
	}
	return true;
}

static bool name_in(struct str name, const struct str *list, size_t count)
{
	for (size_t i = 0; i < count; i++)
		if (str_eq(name, list[i]))
			return true;
	return false;
}
#define NAME_IN(name, list) name_in(name, list, sizeof(list) / sizeof *(list))

bool field_is_hop_by_hop(struct str lower_name)
{
	static const struct str names[] = {
		STR_INIT("connection"), STR_INIT("keep-alive"), STR_INIT("proxy-connection"),
		STR_INIT("transfer-encoding"), STR_INIT("te"), STR_INIT("upgrade"), STR_INIT("trailer"),
		STR_INIT("expect"), STR_INIT("proxy-authorization"),
	};

	return NAME_IN(lower_name, names);
}

/* RFC 9110 s6.5.1: fields that frame, route or authenticate have no place after the body,
 * where what decides has already been decided. */
static bool field_is_refused_in_trailers(struct str name)
{
	static const struct str names[] = {
		STR_INIT("host"),
		STR_INIT("te"),
		STR_INIT("authorization"),
		STR_INIT("cookie"),
		STR_INIT("set-cookie"),
		STR_INIT("content-type"),
		STR_INIT("content-encoding"),
		STR_INIT("content-range"),
	};

	return NAME_IN(name, names);
}

/* -- the whole ---------------------------------------------------------------------- */

/* host[:port], as the Host field of a request for @h must have it */
static bool host_field_check(const struct head *h, struct str value)
{
	bool default_port = h->port == (h->scheme == HEAD_HTTPS ? 443 : 80);
	bool bracketed = host_type(h->host) == HOST_IPV6;
	char room[HEAD_HOST_MAX + 16];
	struct buf b = { .p = room, .cap = sizeof room, .max = sizeof room };

	if (bracketed)
		buf_put_byte(&b, '[');
	buf_put(&b, h->host);
	if (bracketed)
		buf_put_byte(&b, ']');
	if (!default_port) {
		buf_put_byte(&b, ':');
		buf_put_decimal(&b, h->port);
	}
	return !buf_err(&b) && str_eq(value, buf_str(&b));
}

/* What frames the message, spelt with '_': gateways that make variables of names (CGI, WSGI) read
 * both spellings as one. */
static bool imitates_framing(struct str name)
{
	return str_eq(name, STR("content_length")) || str_eq(name, STR("transfer_encoding"));
}

static bool field_check(const struct head *h, const struct head_field *f)
{
	if (!field_name_check(f->name) || !field_value_check(f->value))
		return false;
	if (str_eq(f->name, STR("content-length")) || (h->kind == HEAD_REQUEST && imitates_framing(f->name)))
		return false;
	if (h->kind == HEAD_TRAILERS && field_is_refused_in_trailers(f->name))
		return false;
	if (str_eq(f->name, STR("te")))
		return str_eq(f->value, STR("trailers"));
	return !field_is_hop_by_hop(f->name);
}

static bool fields_check(const struct head *h)
{
	const struct head_field *host = NULL, *cookie = NULL;

	for (uint32_t i = 0; i < h->field_count; i++) {
		const struct head_field *f = &h->fields[i], **once = NULL;

		if (!field_check(h, f))
			return false;
		if (h->kind == HEAD_REQUEST && str_eq(f->name, STR("host")))
			once = &host;
		else if (h->kind == HEAD_REQUEST && str_eq(f->name, STR("cookie")))
			once = &cookie;
		if (!once)
			continue;
		if (*once)
			return false;
		*once = f;
	}
	return h->kind != HEAD_REQUEST || (host && host_field_check(h, host->value));
}

static bool request_line_check(const struct head *h)
{
	bool star = str_eq(h->path, STR("*"));

	if (h->status || h->final || (h->scheme != HEAD_HTTP && h->scheme != HEAD_HTTPS))
		return false;
	if (h->port == 0 || !method_check(h->method) || host_type(h->host) == HOST_INVALID)
		return false;
	if (star ? !str_eq(h->method, STR("OPTIONS")) || h->has_query : !path_check(h->path))
		return false;
	return query_check(h->query) && (h->has_query || h->query.n == 0);
}

static bool status_line_check(const struct head *h)
{
	bool informational = h->status < 200;

	if (h->scheme || h->port || h->method.n || h->host.n || h->path.n || h->query.n || h->has_query)
		return false;
	if (h->kind == HEAD_TRAILERS)
		return h->status == 0 && !h->final && h->framing == HEAD_BODY_NONE;
	return h->status >= 100 && h->status <= 599 && h->final == !informational &&
	       (!informational || h->framing == HEAD_BODY_NONE);
}

static bool framing_check(const struct head *h)
{
	if (h->trailers && h->framing != HEAD_BODY_STREAMED)
		return false;
	switch (h->framing) {
	case HEAD_BODY_NONE:
	case HEAD_BODY_STREAMED:
		return h->length == 0;
	case HEAD_BODY_LENGTH:
		return true;
	}
	return false;
}

/* The handshake's own fields are of one hop; what is asked for otherwise is a GET without a body. */
static bool websocket_check(const struct head *h)
{
	static const struct str names[] = {
		STR_INIT("sec-websocket-key"),
		STR_INIT("sec-websocket-version"),
		STR_INIT("sec-websocket-accept"),
		STR_INIT("sec-websocket-extensions"),
	};

	if (!h->websocket)
		return true;
	for (uint32_t i = 0; i < h->field_count; i++)
		if (NAME_IN(h->fields[i].name, names))
			return false;
	return h->framing == HEAD_BODY_NONE &&
	       (h->kind == HEAD_REQUEST ? str_eq(h->method, STR("GET")) && str_starts(h->path, STR("/"))
					: h->kind == HEAD_RESPONSE && h->status == 200);
}

static bool too_large(const struct head *h)
{
	size_t n = HEADER_BYTES;

	if (h->field_count > HEAD_FIELDS_MAX || h->path.n > HEAD_PATH_MAX || h->query.n > HEAD_QUERY_MAX ||
	    h->method.n > UINT16_MAX || h->host.n > UINT16_MAX)
		return true;
	n += h->method.n + h->host.n + h->path.n + h->query.n;
	for (uint32_t i = 0; i < h->field_count; i++) {
		if (h->fields[i].name.n > UINT16_MAX || h->fields[i].value.n > UINT16_MAX)
			return true;
		n += 4 + h->fields[i].name.n + h->fields[i].value.n;
	}
	return n > HEAD_MAX_BYTES;	/* no overflow: 128 fields of less than 128 KiB */
}

enum err head_check(const struct head *h)
{
	bool ok = false;

	if (too_large(h))
		return ERR_HEAD_TOO_LARGE;
	switch (h->kind) {
	case HEAD_REQUEST:
		ok = request_line_check(h);
		break;
	case HEAD_RESPONSE:
	case HEAD_TRAILERS:
		ok = status_line_check(h);
		break;
	}
	return ok && framing_check(h) && websocket_check(h) && fields_check(h) ? ERR_OK : ERR_HEAD_MALFORMED;
}

enum err head_encode(const struct head *h, struct buf *b)
{
	enum err e = head_check(h);
	unsigned flags = (h->has_query ? FLAG_QUERY : 0u) | (h->trailers ? FLAG_TRAILERS : 0u) |
			 (h->final ? FLAG_FINAL : 0u) | (h->websocket ? FLAG_WEBSOCKET : 0u);

	if (e)
		return e;
	buf_put_byte(b, HEAD_VERSION);
	buf_put_byte(b, (uint8_t)h->kind);
	buf_put_byte(b, (uint8_t)h->scheme);
	buf_put_byte(b, (uint8_t)h->framing);
	buf_put_u16le(b, h->port);
	buf_put_u16le(b, h->status);
	buf_put_u64le(b, h->length);
	buf_put_u16le(b, (uint16_t)flags);
	buf_put_u16le(b, (uint16_t)h->method.n);
	buf_put_u16le(b, (uint16_t)h->host.n);
	buf_put_u16le(b, (uint16_t)h->path.n);
	buf_put_u16le(b, (uint16_t)h->query.n);
	buf_put_u16le(b, (uint16_t)h->field_count);
	buf_put(b, h->method);
	buf_put(b, h->host);
	buf_put(b, h->path);
	buf_put(b, h->query);
	for (uint32_t i = 0; i < h->field_count; i++) {
		buf_put_u16le(b, (uint16_t)h->fields[i].name.n);
		buf_put_u16le(b, (uint16_t)h->fields[i].value.n);
		buf_put(b, h->fields[i].name);
		buf_put(b, h->fields[i].value);
	}
	return buf_err(b);
}

static bool decode_fixed(struct reader *r, struct head *h, uint16_t ret_sizes[4])
{
	uint8_t version, kind, scheme, framing;
	uint16_t flags, count;

	if (!reader_u8(r, &version) || !reader_u8(r, &kind) || !reader_u8(r, &scheme) ||
	    !reader_u8(r, &framing) || !reader_u16le(r, &h->port) || !reader_u16le(r, &h->status) ||
	    !reader_u64le(r, &h->length) || !reader_u16le(r, &flags))
		return false;
	for (size_t i = 0; i < 4; i++)
		if (!reader_u16le(r, &ret_sizes[i]))
			return false;
	if (!reader_u16le(r, &count) || version != HEAD_VERSION || (flags & ~FLAGS_ALL) ||
	    count > HEAD_FIELDS_MAX)
		return false;
	h->kind = (enum head_kind)kind;		/* head_check() looks at each */
	h->scheme = (enum head_scheme)scheme;
	h->framing = (enum head_framing)framing;
	h->has_query = flags & FLAG_QUERY;
	h->trailers = flags & FLAG_TRAILERS;
	h->final = flags & FLAG_FINAL;
	h->websocket = flags & FLAG_WEBSOCKET;
	h->field_count = count;
	return true;
}

static bool decode_field(struct reader *r, struct head_field *f)
{
	uint16_t name, value;

	return reader_u16le(r, &name) && reader_u16le(r, &value) && reader_take(r, name, &f->name) &&
	       reader_take(r, value, &f->value);
}

enum err head_decode(struct str bytes, struct head *ret)
{
	struct reader r = reader_of(bytes);
	uint16_t size[4];
	struct head h;
	enum err e;

	if (bytes.n > HEAD_MAX_BYTES)
		return ERR_HEAD_TOO_LARGE;
	head_clear(&h);
	if (!decode_fixed(&r, &h, size) || !reader_take(&r, size[0], &h.method) ||
	    !reader_take(&r, size[1], &h.host) || !reader_take(&r, size[2], &h.path) ||
	    !reader_take(&r, size[3], &h.query))
		return ERR_HEAD_MALFORMED;
	for (uint32_t i = 0; i < h.field_count; i++)
		if (!decode_field(&r, &h.fields[i]))
			return ERR_HEAD_MALFORMED;
	if (!reader_done(&r))
		return ERR_HEAD_MALFORMED;
	e = head_check(&h);
	if (e)
		return e;
	head_copy(ret, &h);
	return ERR_OK;
}

/* -- fields ------------------------------------------------------------------------- */

const struct head_field *head_find(const struct head *h, struct str name)
{
	for (uint32_t i = 0; i < h->field_count; i++)
		if (str_eq(h->fields[i].name, name))
			return &h->fields[i];
	return NULL;
}

enum err head_add(struct head *h, struct str name, struct str value)
{
	if (h->field_count >= HEAD_FIELDS_MAX)
		return ERR_HEAD_TOO_LARGE;
	h->fields[h->field_count++] = (struct head_field){ name, value };
	return ERR_OK;
}

uint32_t head_remove(struct head *h, struct str name)
{
	uint32_t kept = 0, count = h->field_count;

	for (uint32_t i = 0; i < count; i++)
		if (!str_eq(h->fields[i].name, name))
			h->fields[kept++] = h->fields[i];
	h->field_count = kept;
	return count - kept;
}
