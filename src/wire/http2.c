/* http2.c - HTTP/2 fields to canonical heads, and back
 *
 * Theory of operation: fields are collected as they are decoded, by offset, as the storage may move while it
 * grows. When the block is whole, room for everything that is still to be rewritten is reserved, views are
 * made, and one walk tells pseudo-headers from fields, what frames the message, and what goes on. Then the
 * steps of canonical.h follow, the same as for HTTP/1.1, and head_check() has the last word.
 *
 * Every byte is hostile, the guest's and the upstream's alike. What is wrong while fields are collected is
 * kept and said at the end, as HPACK's state wants the whole block to be decoded anyway.
 * Source: RFC 9113 s8.1.1, s8.2, s8.3; RFC 8441 s4; RFC 9110 s6.5.1.
 */
#include "wire/http2.h"

#include "wire/canonical.h"
#include "wire/http1.h"

#define FIELD_OVERHEAD 32	/* RFC 9113 s6.5.2 */

/* -- collecting ------------------------------------------------------------------------- */

void http2_fields_init(struct http2_fields *f)
{
	buf_init(&f->storage, HTTP2_STORAGE_MAX);
	f->count = 0;
	f->list_bytes = 0;
	f->failure = ERR_OK;
	f->expect_continue = false;
}

void http2_fields_clear(struct http2_fields *f)
{
	buf_clear(&f->storage);
	f->count = 0;
	f->list_bytes = 0;
	f->failure = ERR_OK;
	f->expect_continue = false;
}

void http2_fields_free(struct http2_fields *f)
{
	buf_free(&f->storage);
	http2_fields_clear(f);
}

void http2_fields_add(struct http2_fields *f, struct str name, struct str value)
{
	size_t bytes = name.n + value.n + FIELD_OVERHEAD;

	if (f->failure)
		return;
	if (f->count == sizeof f->at / sizeof *f->at || name.n > HTTP2_HEADER_LIST_MAX ||
	    value.n > HTTP2_HEADER_LIST_MAX || bytes > HTTP2_HEADER_LIST_MAX - f->list_bytes) {
		f->failure = ERR_HEAD_TOO_LARGE;
		return;
	}
	f->list_bytes += bytes;
	f->at[f->count].name = (uint32_t)f->storage.len;
	f->at[f->count].name_bytes = (uint32_t)name.n;
	buf_put(&f->storage, name);
	f->at[f->count].value = (uint32_t)f->storage.len;
	f->at[f->count].value_bytes = (uint32_t)value.n;
	buf_put(&f->storage, value);
	f->count++;
	if (buf_err(&f->storage))
		f->failure = ERR_MEMORY;
}

static struct head_field field_at(const struct http2_fields *f, uint32_t i)
{
	return (struct head_field){
		str_make(f->storage.p + f->at[i].name, f->at[i].name_bytes),
		str_make(f->storage.p + f->at[i].value, f->at[i].value_bytes),
	};
}

/* -- reading ---------------------------------------------------------------------------- */

enum pseudo { METHOD, SCHEME, AUTHORITY, PATH, PROTOCOL, STATUS, PSEUDO_COUNT };
static const struct str pseudo_names[PSEUDO_COUNT] = {
	STR_INIT(":method"), STR_INIT(":scheme"),   STR_INIT(":authority"),
	STR_INIT(":path"),   STR_INIT(":protocol"), STR_INIT(":status"),
};

/** struct survey - what the fields of one block say about the message */
struct survey {
	struct str pseudo[PSEUDO_COUNT];
	bool has[PSEUDO_COUNT];
	struct str host, length;
	bool has_host, has_length, other_version, expect_continue;
};

static enum err survey_pseudo(struct survey *s, const struct head_field *f)
{
	for (unsigned i = 0; i < PSEUDO_COUNT; i++) {
		if (!str_eq(f->name, pseudo_names[i]))
			continue;
		if (s->has[i])
			return ERR_HEAD_MALFORMED;
		s->has[i] = true;
		s->pseudo[i] = f->value;
		return ERR_OK;
	}
	return ERR_HEAD_MALFORMED;
}

/* RFC 9113 s8.2.2: their presence makes a message malformed; proxies have been split by them. */
static bool is_connection_specific(struct str name)
{
	return str_eq(name, STR("connection")) || str_eq(name, STR("keep-alive")) ||
	       str_eq(name, STR("proxy-connection")) || str_eq(name, STR("transfer-encoding")) ||
	       str_eq(name, STR("upgrade"));
}

/* One field that is not a pseudo-header; *ret_keep: it goes on. */
static enum err survey_field(struct survey *s, const struct head_field *f, bool *ret_keep)
{
	bool keep = false;

	if (!field_name_check(f->name) || !field_value_check(f->value) || is_connection_specific(f->name))
		return ERR_HEAD_MALFORMED;
	if (str_eq(f->name, STR("host"))) {
		if (s->has_host)
			return ERR_HEAD_MALFORMED;
		s->has_host = true;
		s->host = f->value;
	} else if (str_eq(f->name, STR("content-length"))) {
		if (s->has_length)
			return ERR_BODY_FRAMING;
		s->has_length = true;
		s->length = f->value;
	} else if (str_eq(f->name, STR("te"))) {
		keep = str_eq(f->value, STR("trailers"));
		if (!keep)
			return ERR_HEAD_MALFORMED;
	} else if (str_eq(f->name, STR("expect"))) {
		if (!str_eq_nocase(f->value, STR("100-continue")))
			return ERR_HEAD_MALFORMED;
		s->expect_continue = true;
	} else {
		s->other_version |=
			str_eq(f->name, STR("sec-websocket-version")) && !str_eq(f->value, STR("13"));
		keep = !field_is_hop_by_hop(f->name) && !str_eq(f->name, STR("http2-settings"));
	}
	*ret_keep = keep;
	return ERR_OK;
}

static enum err survey(const struct http2_fields *f, struct survey *s, struct head *h)
{
	bool regular = false;
	enum err e = f->failure;

	for (uint32_t i = 0; i < f->count && !e; i++) {
		struct head_field field = field_at(f, i);
		bool keep = false;

		if (str_starts(field.name, STR(":"))) {
			e = regular ? ERR_HEAD_MALFORMED : survey_pseudo(s, &field);
			continue;
		}
		regular = true;
		e = survey_field(s, &field, &keep);
		if (!e && keep)
			e = head_add(h, field.name, field.value);
	}
	return e;
}

static enum err request_framing(const struct survey *s, bool end_stream, struct head *h)
{
	if (s->has_length) {
		if (!str_decimal(s->length, UINT64_MAX, &h->length) || (end_stream && h->length))
			return ERR_BODY_FRAMING;
		if (h->length > HTTP1_LENGTH_MAX)
			return ERR_BODY_TOO_LARGE;
		h->framing = HEAD_BODY_LENGTH;
	} else if (!end_stream) {
		h->framing = HEAD_BODY_STREAMED;
		h->trailers = true;
	}
	return ERR_OK;
}

static void drop_handshake(struct head *h)
{
	uint32_t kept = 0;

	for (uint32_t i = 0; i < h->field_count; i++)
		if (!canonical_is_handshake(h->fields[i].name))
			h->fields[kept++] = h->fields[i];
	h->field_count = kept;
}

/* RFC 8441: an extended CONNECT for a WebSocket is what a GET with Upgrade is in HTTP/1.1. Its DATA is the
 * WebSocket's, so that the head frames no body. */
static enum err take_connect(const struct survey *s, bool end_stream, struct head *h)
{
	if (!s->has[PROTOCOL] || !str_eq_nocase(s->pseudo[PROTOCOL], STR("websocket")) || s->other_version)
		return ERR_UPGRADE_REFUSED;
	if (end_stream || s->has_length)
		return ERR_BODY_FRAMING;
	drop_handshake(h);
	h->method = STR("GET");
	h->framing = HEAD_BODY_NONE;
	h->trailers = false;
	h->websocket = true;
	return ERR_OK;
}

static enum err request_line(const struct survey *s, bool end_stream, struct head *h)
{
	struct str scheme = h->scheme == HEAD_HTTPS ? STR("https") : STR("http");
	enum err e;

	if (!s->has[METHOD] || s->has[STATUS])
		return ERR_HEAD_MALFORMED;
	h->method = s->pseudo[METHOD];
	if (str_eq(h->method, STR("CONNECT")) && !s->has[PROTOCOL])
		return ERR_UPGRADE_REFUSED;
	if (!s->has[SCHEME] || !str_eq_nocase(s->pseudo[SCHEME], scheme) || !s->has[PATH])
		return ERR_HEAD_MALFORMED;
	if (str_eq(h->method, STR("CONNECT")))
		return take_connect(s, end_stream, h);
	if (s->has[PROTOCOL])
		return ERR_HEAD_MALFORMED;
	e = request_framing(s, end_stream, h);
	return e ? e : method_check(h->method) ? ERR_OK : ERR_HEAD_MALFORMED;
}

/* :authority and host: one of them at least, and both the same. */
static enum err request_host(const struct survey *s, char ret_host[HEAD_HOST_MAX + 1], struct head *h)
{
	struct str named = s->has[AUTHORITY] ? s->pseudo[AUTHORITY] : s->host;
	char other[HEAD_HOST_MAX + 1];
	uint16_t port;
	enum err e;

	if (!s->has[AUTHORITY] && !s->has_host)
		return ERR_HEAD_MALFORMED;
	e = canonical_authority(named, canonical_port(h->scheme), ret_host, &h->port);
	if (e || !s->has[AUTHORITY] || !s->has_host)
		return e;
	e = canonical_authority(s->host, canonical_port(h->scheme), other, &port);
	if (!e && (port != h->port || !str_eq(str_of(other), str_of(ret_host))))
		e = ERR_NAME_MISMATCH;
	return e;
}

static enum err request_parts(struct http2_fields *f, const struct survey *s, bool end_stream, struct head *h)
{
	char host[HEAD_HOST_MAX + 1];
	enum err e = request_line(s, end_stream, h);

	if (!e)
		e = request_host(s, host, h);
	if (!e)
		e = canonical_target(s->pseudo[PATH], &f->storage, h);
	if (!e)
		e = canonical_cookies(h, &f->storage);
	if (!e)
		e = canonical_host(h, host, &f->storage);
	return e ? e : head_check(h);
}

/* Reserves before views are made: a target can grow threefold, cookies are copied once. */
static enum err reserve(struct http2_fields *f)
{
	size_t room = 3 * CANONICAL_TARGET_MAX;

	if (f->failure)
		return f->failure;
	for (uint32_t i = 0; i < f->count; i++)
		if (f->at[i].name_bytes == pseudo_names[PATH].n &&
		    str_eq(field_at(f, i).name, pseudo_names[PATH]))
			room = 3 * f->at[i].value_bytes;
	if (room > 3 * CANONICAL_TARGET_MAX)
		return ERR_HEAD_TOO_LARGE;
	return buf_reserve(&f->storage, room + f->list_bytes + CANONICAL_HOST_MAX);
}

enum err http2_request(struct http2_fields *f, enum head_scheme scheme, bool end_stream, struct head *ret)
{
	struct survey s = { 0 };
	enum err e = reserve(f);

	if (e)
		return e;
	*ret = (struct head){ .kind = HEAD_REQUEST, .scheme = scheme };
	e = survey(f, &s, ret);
	if (!e)
		e = request_parts(f, &s, end_stream, ret);
	f->expect_continue = !e && s.expect_continue;
	return e;
}

static enum err response_framing(struct str method, const struct survey *s, bool end_stream, struct head *h)
{
	bool body = http1_status_has_body(method, h->status);

	if (s->has_length &&
	    (!str_decimal(s->length, UINT64_MAX, &h->length) || h->length > HTTP1_LENGTH_MAX))
		return ERR_BODY_FRAMING;
	if (h->status < 200 || h->status == 204)	/* 204 is forgiven a length of 0 */
		return h->length || (h->status < 200 && end_stream) ? ERR_BODY_FRAMING : ERR_OK;
	if (s->has_length) {
		if (body && end_stream && h->length)
			return ERR_BODY_FRAMING;
		h->framing = HEAD_BODY_LENGTH;
	} else if (body && !end_stream) {
		h->framing = HEAD_BODY_STREAMED;
		h->trailers = true;
	}
	return ERR_OK;
}

static enum err response_parts(const struct survey *s, struct str method, bool end_stream, struct head *h)
{
	bool connect = str_eq(method, STR("CONNECT"));
	uint64_t status;
	enum err e;

	for (unsigned i = 0; i < STATUS; i++)
		if (s->has[i])
			return ERR_HEAD_MALFORMED;
	if (!s->has[STATUS] || s->pseudo[STATUS].n != 3 || !str_decimal(s->pseudo[STATUS], 599, &status) ||
	    status < 100 || status == 101)
		return ERR_HEAD_MALFORMED;
	h->status = (uint16_t)status;
	h->final = status >= 200;
	if (connect && status == 200) {
		h->websocket = true;
		(void)head_remove(h, STR("sec-websocket-accept"));
		return s->has_length || end_stream ? ERR_HEAD_MALFORMED : head_check(h);
	}
	e = connect && status > 200 && status < 300 ? ERR_HEAD_MALFORMED
						    : response_framing(method, s, end_stream, h);
	return e ? e : head_check(h);
}

enum err http2_response(struct http2_fields *f, struct str method, bool end_stream, struct head *ret)
{
	struct survey s = { 0 };
	enum err e;

	*ret = (struct head){ .kind = HEAD_RESPONSE };
	e = survey(f, &s, ret);
	if (!e)
		e = response_parts(&s, method, end_stream, ret);
	return !e || e == ERR_MEMORY ? e : ERR_UPSTREAM_MALFORMED;
}

enum err http2_trailers(struct http2_fields *f, struct head *ret)
{
	enum err e = f->failure;

	*ret = (struct head){ .kind = HEAD_TRAILERS };
	for (uint32_t i = 0; i < f->count && !e; i++) {
		struct head_field field = field_at(f, i);

		e = head_add(ret, field.name, field.value);
	}
	if (!e)
		e = head_check(ret);
	return !e || e == ERR_MEMORY ? e : ERR_HEAD_MALFORMED;
}

/* -- writing ---------------------------------------------------------------------------- */

static void put(struct http2_nv *ret, size_t *count, struct str name, struct str value)
{
	bool secret = str_eq(name, STR("authorization")) || str_eq(name, STR("cookie"));

	ret[(*count)++] = (struct http2_nv){ name, value, secret };
}

static void put_fields(const struct head *h, const struct head_field *except, struct http2_nv *ret,
		       size_t *count)
{
	for (uint32_t i = 0; i < h->field_count; i++)
		if (&h->fields[i] != except)
			put(ret, count, h->fields[i].name, h->fields[i].value);
}

/* In digits behind whatever else is in the storage, which has the room. */
static struct str put_number(struct buf *storage, uint64_t v)
{
	size_t start = storage->len;

	buf_put_decimal(storage, v);
	return str_make(storage->p + start, storage->len - start);
}

static struct str put_path(struct buf *storage, const struct head *h)
{
	if (!h->has_query)
		return h->path;
	buf_put(storage, h->path);
	buf_put_byte(storage, '?');
	buf_put(storage, h->query);
	return buf_str(storage);
}

static enum err begin(const struct head *h, enum head_kind kind, struct buf *storage)
{
	enum err e = h->kind == kind ? head_check(h) : ERR_HEAD_MALFORMED;

	if (e)
		return e;
	buf_clear(storage);
	return buf_reserve(storage, h->path.n + h->query.n + 32);
}

enum err http2_put_request(const struct head *h, struct buf *storage, struct http2_nv *ret, size_t *ret_count)
{
	enum err e = begin(h, HEAD_REQUEST, storage);
	const struct head_field *host;
	size_t count = 0;

	if (e)
		return e;
	host = head_find(h, STR("host"));
	put(ret, &count, pseudo_names[METHOD], h->websocket ? STR("CONNECT") : h->method);
	if (h->websocket)
		put(ret, &count, pseudo_names[PROTOCOL], STR("websocket"));
	put(ret, &count, pseudo_names[SCHEME], h->scheme == HEAD_HTTPS ? STR("https") : STR("http"));
	put(ret, &count, pseudo_names[AUTHORITY], host->value);
	put(ret, &count, pseudo_names[PATH], put_path(storage, h));
	put_fields(h, host, ret, &count);
	if (h->framing == HEAD_BODY_LENGTH)
		put(ret, &count, STR("content-length"), put_number(storage, h->length));
	if (h->websocket)
		put(ret, &count, STR("sec-websocket-version"), STR("13"));
	*ret_count = count;
	return ERR_OK;
}

enum err http2_put_response(const struct head *h, struct buf *storage, struct http2_nv *ret,
			    size_t *ret_count)
{
	enum err e = begin(h, HEAD_RESPONSE, storage);
	size_t count = 0;

	if (e)
		return e;
	put(ret, &count, pseudo_names[STATUS], put_number(storage, h->status));
	put_fields(h, NULL, ret, &count);
	if (h->framing == HEAD_BODY_LENGTH && h->status >= 200 && h->status != 204)
		put(ret, &count, STR("content-length"), put_number(storage, h->length));
	*ret_count = count;
	return ERR_OK;
}

enum err http2_put_trailers(const struct head *h, struct http2_nv *ret, size_t *ret_count)
{
	enum err e = h->kind == HEAD_TRAILERS ? head_check(h) : ERR_HEAD_MALFORMED;
	size_t count = 0;

	if (e)
		return e;
	put_fields(h, NULL, ret, &count);
	*ret_count = count;
	return ERR_OK;
}
