/* http1.c - strict HTTP/1.1 head parser
 *
 * Theory of operation: http1_head_end() looks at each byte once and finds the empty line, so that
 * a slow sender costs nothing twice. The parse then works on a copy (the storage), in which names
 * are folded to lower case in place; behind the copy stand the rewritten path, query and host.
 * Fields are walked twice: survey() learns what frames and routes the message, keep() copies the
 * fields that go on. Every byte is hostile, from the guest and from the upstream alike. Any doubt
 * is a refusal. The last step is head_check(): a head leaves here canonical or not at all.
 * Source: RFC 9112; RFC 9110 s5, s7.6, s7.8, s10.1.1.
 */
#include "wire/http1.h"
#include "base/reader.h"
#include "wire/canonical.h"

/* More connection options than this is an attempt at something: each costs a look per field. */
#define OPTIONS_MAX 16

/** struct survey - what the fields of one message say about the message and its connection */
struct survey {
	struct str host, length, key, accept, options[OPTIONS_MAX];
	unsigned hosts, lengths, codings, option_count, keys, accepts, versions;
	bool chunked, close, expect_continue, version_13, upgrade, websocket, other_protocol;
};

enum err http1_head_end(struct str bytes, size_t *scanned, size_t *ret_bytes)
{
	struct str s = str_head(bytes, HTTP1_HEAD_MAX);
	size_t i = *scanned;

	for (; i < s.n; i++) {
		uint8_t c = (uint8_t)s.p[i];

		if (c == '\r') {
			if (i + 1 == s.n)
				break;
			if (s.p[i + 1] != '\n' || i == 0)
				return ERR_HEAD_MALFORMED;
			if (s.p[i - 1] == '\n') {
				*ret_bytes = i + 2;
				return ERR_OK;
			}
			i++;
		} else if ((c < 0x20 && c != '\t') || c == 0x7f) {
			return ERR_HEAD_MALFORMED;
		}
	}
	*scanned = i;
	return s.n == HTTP1_HEAD_MAX ? ERR_HEAD_TOO_LARGE : ERR_MORE;
}

/* The next line without its CRLF. Its bytes are judged by whoever uses them: no part of a head may
 * hold a CR or LF. */
static bool next_line(struct reader *r, struct str *ret)
{
	struct str line;

	if (!reader_until(r, '\n', &line) || line.n == 0 || line.p[line.n - 1] != '\r')
		return false;
	line.n--;
	*ret = line;
	return true;
}

/* The next element of a comma-separated list; false at its end. Empty elements are skipped. */
static bool next_element(struct str *list, struct str *ret)
{
	while (list->n) {
		size_t comma = str_find(*list, ',');
		struct str element = str_trim(str_head(*list, comma));

		*list = str_from(*list, comma + 1);
		if (element.n) {
			*ret = element;
			return true;
		}
	}
	return false;
}

static enum err survey_connection(struct survey *s, struct str list)
{
	struct str option;

	while (next_element(&list, &option)) {
		if (str_eq_nocase(option, STR("close")))
			s->close = true;
		else if (str_eq_nocase(option, STR("upgrade")))
			s->upgrade = true;
		else if (str_eq_nocase(option, STR("host")) || str_eq_nocase(option, STR("content-length")) ||
			 str_eq_nocase(option, STR("transfer-encoding")))
			return ERR_BODY_FRAMING;	/* would take the routing or the framing away */
		if (s->option_count == OPTIONS_MAX)
			return ERR_HEAD_TOO_LARGE;
		s->options[s->option_count++] = option;
	}
	return ERR_OK;
}

static void survey_upgrade(struct survey *s, struct str list)
{
	struct str protocol;

	while (next_element(&list, &protocol)) {
		if (str_eq_nocase(protocol, STR("websocket")))
			s->websocket = true;
		else if (!str_eq_nocase(protocol, STR("h2c")))
			s->other_protocol = true;
	}
}

static enum err survey_field(struct survey *s, const struct head_field *f)
{
	if (str_eq(f->name, STR("host"))) {
		s->host = f->value;
		s->hosts++;
	} else if (str_eq(f->name, STR("content-length"))) {
		s->length = f->value;
		s->lengths++;
	} else if (str_eq(f->name, STR("transfer-encoding"))) {
		s->chunked = str_eq_nocase(f->value, STR("chunked"));
		s->codings++;
	} else if (str_eq(f->name, STR("connection"))) {
		return survey_connection(s, f->value);
	} else if (str_eq(f->name, STR("expect"))) {
		if (!str_eq_nocase(f->value, STR("100-continue")))
			return ERR_HEAD_MALFORMED;
		s->expect_continue = true;
	} else if (str_eq(f->name, STR("upgrade"))) {
		survey_upgrade(s, f->value);
	} else if (str_eq(f->name, STR("sec-websocket-key"))) {
		s->key = f->value;
		s->keys++;
	} else if (str_eq(f->name, STR("sec-websocket-accept"))) {
		s->accept = f->value;
		s->accepts++;
	} else if (str_eq(f->name, STR("sec-websocket-version"))) {
		s->version_13 = str_eq(f->value, STR("13"));
		s->versions++;
	}
	return ERR_OK;
}

/* One field line, its name folded in place (the storage is ours to write to). */
static enum err parse_field(struct str line, char *storage, const char *base, struct head_field *ret)
{
	size_t colon = str_find(line, ':');
	char *name = storage + (line.p - base);

	if (colon == line.n)
		return ERR_HEAD_MALFORMED;
	for (size_t i = 0; i < colon; i++)
		name[i] = ascii_lower(name[i]);
	ret->name = str_head(line, colon);
	ret->value = str_trim(str_from(line, colon + 1));
	if (!field_name_check(ret->name) || !field_value_check(ret->value))
		return ERR_HEAD_MALFORMED;
	return ERR_OK;
}

/* All field lines up to the empty one, which must be the last thing there is. */
static enum err parse_fields(struct reader *r, struct buf *storage, struct head *h, struct survey *s)
{
	struct str line;
	enum err e;

	while (next_line(r, &line)) {
		struct head_field f;

		if (line.n == 0)
			return reader_done(r) ? ERR_OK : ERR_HEAD_MALFORMED;
		e = parse_field(line, storage->p, storage->p, &f);
		if (!e)
			e = survey_field(s, &f);
		if (!e)
			e = head_add(h, f.name, f.value);
		if (e)
			return e;
	}
	return ERR_HEAD_MALFORMED;
}

/* Te says one thing that goes on: that trailers are welcome; gRPC asks for it. */
static bool goes_on(const struct survey *s, const struct head_field *f)
{
	if (str_eq(f->name, STR("te")))
		return str_eq(f->value, STR("trailers"));
	if (field_is_hop_by_hop(f->name) || str_eq(f->name, STR("http2-settings")) ||
	    str_eq(f->name, STR("host")) || str_eq(f->name, STR("content-length")))
		return false;
	for (unsigned i = 0; i < s->option_count; i++)
		if (str_eq_nocase(f->name, s->options[i]))
			return false;
	return true;
}

static void keep(struct head *h, const struct survey *s)
{
	uint32_t kept = 0;

	for (uint32_t i = 0; i < h->field_count; i++)
		if (goes_on(s, &h->fields[i]))
			h->fields[kept++] = h->fields[i];
	h->field_count = kept;
}

/* Content-Length and Transfer-Encoding, which must not contradict each other or themselves. */
static enum err framing(const struct survey *s, bool version_10, struct head *h)
{
	if (s->lengths + s->codings > 1 || (s->codings && (!s->chunked || version_10)))
		return ERR_BODY_FRAMING;
	if (s->codings) {
		h->framing = HEAD_BODY_STREAMED;
		h->trailers = true;
	} else if (s->lengths) {
		if (!str_decimal(s->length, UINT64_MAX, &h->length))
			return ERR_BODY_FRAMING;
		if (h->length > HTTP1_LENGTH_MAX)
			return ERR_BODY_TOO_LARGE;
		h->framing = HEAD_BODY_LENGTH;
	}
	return ERR_OK;
}

/* What the target says about the authority (absolute-form) must be what Host says. */
static enum err target_authority(struct str *target, enum head_scheme scheme, const struct head *h,
				 const char *host)
{
	struct str prefix = scheme == HEAD_HTTPS ? STR("https://") : STR("http://");
	char named[HEAD_HOST_MAX + 1];
	struct str authority;
	uint16_t port;
	size_t end = 0;
	enum err e;

	if (target->n < prefix.n || !str_eq_nocase(str_head(*target, prefix.n), prefix))
		return ERR_HEAD_MALFORMED;
	authority = str_from(*target, prefix.n);
	while (end < authority.n && authority.p[end] != '/' && authority.p[end] != '?')
		end++;
	e = canonical_authority(str_head(authority, end), canonical_port(scheme), named, &port);
	if (e)
		return e;
	if (port != h->port || !str_eq(str_of(named), str_of(host)))
		return ERR_NAME_MISMATCH;
	*target = str_from(authority, end);
	return ERR_OK;
}

/* origin-form, absolute-form, or asterisk-form, to path and query */
static enum err parse_target(struct str target, const char *host, struct buf *storage, struct head *h)
{
	enum err e;

	if (target.n == 0 || target.p[0] == '/' || str_eq(target, STR("*")))
		return canonical_target(target, storage, h);
	e = target_authority(&target, h->scheme, h, host);
	if (!e)
		e = canonical_target(target, storage, h);
	if (!e && h->path.n == 0)
		h->path = str_eq(h->method, STR("OPTIONS")) && !h->has_query ? STR("*") : STR("/");
	return e;
}

/* A copy that may be written to, with @room behind it: appends up to that move nothing. */
static enum err store(struct buf *storage, struct str bytes, size_t room)
{
	enum err e;

	buf_clear(storage);
	if (bytes.n > HTTP1_HEAD_MAX)
		return ERR_HEAD_TOO_LARGE;
	e = buf_reserve(storage, bytes.n + room);
	if (!e)
		buf_put(storage, bytes);
	return e;
}

static enum err request_line(struct reader *r, struct http1_request *m, struct str *ret_target)
{
	struct str line, version;
	struct reader words;

	if (!next_line(r, &line))
		return ERR_HEAD_MALFORMED;
	words = reader_of(line);
	if (!reader_until(&words, ' ', &m->head.method) || !reader_until(&words, ' ', ret_target))
		return ERR_HEAD_MALFORMED;
	version = reader_rest(&words);
	if (version.n != 8 || !str_starts(version, STR("HTTP/")) || !ascii_digit(version.p[5]) ||
	    version.p[6] != '.' || !ascii_digit(version.p[7]))
		return ERR_HEAD_MALFORMED;
	m->version_10 = str_eq(version, STR("HTTP/1.0"));
	if (!m->version_10 && !str_eq(version, STR("HTTP/1.1")))
		return ERR_HEAD_VERSION;
	return method_check(m->head.method) ? ERR_OK : ERR_HEAD_MALFORMED;
}

/* RFC 6455 s4.2.1: a handshake that is whole becomes an ordinary GET with a mark; what is not, or asks for
 * something else, is an upgrade that is not made. */
static void take_handshake(const struct survey *s, struct http1_request *m)
{
	struct head *h = &m->head;
	uint32_t kept = 0;

	m->upgrade = s->websocket || s->other_protocol;
	if (!s->websocket || s->other_protocol || !s->upgrade || m->version_10 || s->keys != 1 ||
	    s->versions != 1 || !s->version_13 || h->framing != HEAD_BODY_NONE ||
	    !str_eq(h->method, STR("GET")))
		return;
	for (uint32_t i = 0; i < h->field_count; i++)
		if (!canonical_is_handshake(h->fields[i].name))
			h->fields[kept++] = h->fields[i];
	h->field_count = kept;
	h->websocket = true;
	m->upgrade = false;
	m->websocket_key = s->key;
}

static enum err request_parts(struct str target, struct buf *storage, const struct survey *s,
			      struct http1_request *m)
{
	char host[HEAD_HOST_MAX + 1];
	enum err e;

	if (s->hosts != 1)
		return ERR_HEAD_MALFORMED;
	e = framing(s, m->version_10, &m->head);
	if (!e)
		e = canonical_authority(s->host, canonical_port(m->head.scheme), host, &m->head.port);
	if (e)
		return e;
	keep(&m->head, s);
	take_handshake(s, m);
	e = parse_target(target, host, storage, &m->head);
	if (!e)
		e = canonical_cookies(&m->head, storage);
	if (!e)
		e = canonical_host(&m->head, host, storage);
	if (e)
		return e;
	m->close = s->close || m->version_10;
	m->expect_continue = s->expect_continue && !m->version_10;
	return head_check(&m->head);
}

enum err http1_parse_request(struct str bytes, enum head_scheme scheme, struct buf *storage,
			     struct http1_request *ret)
{
	struct survey s = { 0 };
	struct str target;
	struct reader r = reader_of(bytes);
	enum err e;

	head_clear(&ret->head);
	ret->head.kind = HEAD_REQUEST;
	ret->head.scheme = scheme;
	ret->version_10 = ret->close = ret->expect_continue = ret->upgrade = false;
	ret->websocket_key = STR("");

	/* the target is looked at first, for its length alone: what it can grow to is reserved */
	e = request_line(&r, ret, &target);
	if (!e && target.n > CANONICAL_TARGET_MAX)
		e = ERR_HEAD_TOO_LARGE;
	if (!e)
		e = store(storage, bytes, bytes.n + 3 * target.n + CANONICAL_HOST_MAX);
	if (e)
		return e;
	r = reader_of(buf_str(storage));
	e = request_line(&r, ret, &target);
	if (!e)
		e = parse_fields(&r, storage, &ret->head, &s);
	if (!e)
		e = request_parts(target, storage, &s, ret);
	return e;
}

bool http1_status_has_body(struct str method, uint16_t status)
{
	return status >= 200 && status != 204 && status != 304 && !str_eq(method, STR("HEAD"));
}

static enum err status_line(struct reader *r, struct http1_response *m, bool *ret_version_10)
{
	struct str line, reason;
	uint64_t status;

	if (!next_line(r, &line) || line.n < 12 || line.p[8] != ' ' || !field_value_check(str_trim(line)))
		return ERR_HEAD_MALFORMED;
	*ret_version_10 = str_eq(str_head(line, 8), STR("HTTP/1.0"));
	if (!*ret_version_10 && !str_eq(str_head(line, 8), STR("HTTP/1.1")))
		return ERR_HEAD_VERSION;
	if (!str_decimal(str_make(line.p + 9, 3), 599, &status) || status < 100)
		return ERR_HEAD_MALFORMED;
	reason = str_from(line, 12);
	if (reason.n && reason.p[0] != ' ')
		return ERR_HEAD_MALFORMED;
	m->head.status = (uint16_t)status;
	m->head.final = status >= 200;
	return ERR_OK;
}

/* RFC 9112 s6.3. Only 204 is forgiven a length, if it is 0: so many servers send it. */
static enum err response_framing(struct str method, bool version_10, const struct survey *s,
				 struct http1_response *m)
{
	struct head *h = &m->head;
	enum err e = framing(s, version_10, h);

	if (e)
		return e;
	m->close = s->close || version_10;
	if (http1_status_has_body(method, h->status)) {
		static const enum http1_framing on_wire[] = {
			[HEAD_BODY_NONE] = HTTP1_UNTIL_CLOSE,
			[HEAD_BODY_LENGTH] = HTTP1_LENGTH,
			[HEAD_BODY_STREAMED] = HTTP1_CHUNKED,
		};

		m->framing = on_wire[h->framing];
		m->close |= m->framing == HTTP1_UNTIL_CLOSE;
		if (m->framing == HTTP1_UNTIL_CLOSE)
			h->framing = HEAD_BODY_STREAMED;
		return ERR_OK;
	}
	if (h->status < 200 || h->status == 204) {
		if (s->codings || h->length)
			return ERR_BODY_FRAMING;
		h->framing = HEAD_BODY_NONE;
	}
	if (h->framing == HEAD_BODY_STREAMED) {
		h->framing = HEAD_BODY_NONE;
		h->trailers = false;
	}
	return ERR_OK;
}

/* 101 where it was asked for: the canonical form of "granted" is 200, as HTTP/2 has it. */
static enum err take_switching(const struct survey *s, struct str accept, bool version_10,
			       struct http1_response *m)
{
	if (!accept.n || version_10 || !s->websocket || s->other_protocol || !s->upgrade || s->accepts != 1 ||
	    !str_eq(s->accept, accept) || s->codings || s->lengths)
		return ERR_HEAD_MALFORMED;
	m->head.status = 200;
	m->head.final = m->head.websocket = true;
	(void)head_remove(&m->head, STR("sec-websocket-accept"));
	return ERR_OK;
}

static enum err parse_response(struct str method, struct str accept, struct buf *storage,
			       struct http1_response *m)
{
	struct reader r = reader_of(buf_str(storage));
	struct survey s = { 0 };
	bool version_10 = false;
	enum err e = status_line(&r, m, &version_10);

	if (!e)
		e = parse_fields(&r, storage, &m->head, &s);
	if (!e)
		e = m->head.status == 101 ? take_switching(&s, accept, version_10, m)
					  : response_framing(method, version_10, &s, m);
	if (e)
		return e;
	keep(&m->head, &s);
	return head_check(&m->head);
}

static enum err parse_answer(struct str bytes, struct str method, struct str accept, struct buf *storage,
			     struct http1_response *ret)
{
	enum err e = store(storage, bytes, 0);

	head_clear(&ret->head);
	ret->head.kind = HEAD_RESPONSE;
	ret->framing = HTTP1_NONE;
	ret->close = false;
	if (!e)
		e = parse_response(method, accept, storage, ret);
	return e == ERR_OK || e == ERR_MEMORY ? e : ERR_UPSTREAM_MALFORMED;
}

enum err http1_parse_response(struct str bytes, struct str method, struct buf *storage,
			      struct http1_response *ret)
{
	return parse_answer(bytes, method, STR(""), storage, ret);
}

enum err http1_parse_handshake(struct str bytes, struct str accept, struct buf *storage,
			       struct http1_response *ret)
{
	return parse_answer(bytes, STR("GET"), accept, storage, ret);
}
