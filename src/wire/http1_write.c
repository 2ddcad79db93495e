/* http1_write.c - canonical heads, chunks and trailers to HTTP/1.1 bytes
 *
 * Theory of operation: every head is checked again before the first byte of it is written, so that
 * no caller can put a CR, a second Host or a second framing on the wire. Framing fields come from
 * head.framing alone. What the caller's buffer cannot hold is a sticky error of that buffer.
 * Source: RFC 9112 s3, s4, s6, s7.1.
 */
#include "wire/http1.h"

static void put_field(struct buf *b, struct str name, struct str value)
{
	buf_put(b, name);
	buf_put(b, STR(": "));
	buf_put(b, value);
	buf_put(b, STR("\r\n"));
}

static void put_length(struct buf *b, uint64_t length)
{
	buf_put(b, STR("content-length: "));
	buf_put_decimal(b, length);
	buf_put(b, STR("\r\n"));
}

static void put_fields(struct buf *b, const struct head *h, bool with_host)
{
	const struct head_field *host = with_host ? head_find(h, STR("host")) : NULL;

	if (host)
		put_field(b, host->name, host->value);
	for (uint32_t i = 0; i < h->field_count; i++)
		if (&h->fields[i] != host)
			put_field(b, h->fields[i].name, h->fields[i].value);
}

static enum err check(const struct head *h, enum head_kind kind)
{
	return h->kind == kind ? head_check(h) : ERR_HEAD_MALFORMED;
}

static void put_request_line(struct buf *b, const struct head *h)
{
	buf_put(b, h->method);
	buf_put_byte(b, ' ');
	buf_put(b, h->path);
	if (h->has_query) {
		buf_put_byte(b, '?');
		buf_put(b, h->query);
	}
	buf_put(b, STR(" HTTP/1.1\r\n"));
	put_fields(b, h, true);
}

/* RFC 9110 s10.1.4: te is of one hop, and Connection says so. */
static void put_connection(struct buf *b, bool te, struct str option)
{
	if (!te && option.n == 0)
		return;
	buf_put(b, STR("connection: "));
	buf_put(b, option);
	if (te)
		buf_put(b, option.n ? STR(", te") : STR("te"));
	buf_put(b, STR("\r\n"));
}

enum err http1_put_request(struct buf *b, const struct head *h, bool close)
{
	enum err e = h->websocket ? ERR_HEAD_MALFORMED : check(h, HEAD_REQUEST);

	if (e)
		return e;
	put_request_line(b, h);
	if (h->framing == HEAD_BODY_LENGTH)
		put_length(b, h->length);
	else if (h->framing == HEAD_BODY_STREAMED)
		buf_put(b, STR("transfer-encoding: chunked\r\n"));
	put_connection(b, head_find(h, STR("te")), close ? STR("close") : STR(""));
	buf_put(b, STR("\r\n"));
	return buf_err(b);
}

enum err http1_put_handshake(struct buf *b, const struct head *h, struct str key)
{
	enum err e = h->websocket ? check(h, HEAD_REQUEST) : ERR_HEAD_MALFORMED;

	if (e)
		return e;
	put_request_line(b, h);
	put_connection(b, head_find(h, STR("te")), STR("upgrade"));
	put_field(b, STR("upgrade"), STR("websocket"));
	put_field(b, STR("sec-websocket-version"), STR("13"));
	put_field(b, STR("sec-websocket-key"), key);
	buf_put(b, STR("\r\n"));
	return buf_err(b);
}

enum err http1_put_switching(struct buf *b, const struct head *h, struct str accept)
{
	enum err e = h->websocket ? check(h, HEAD_RESPONSE) : ERR_HEAD_MALFORMED;

	if (e)
		return e;
	buf_put(b, STR("HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\nconnection: upgrade\r\n"));
	put_field(b, STR("sec-websocket-accept"), accept);
	put_fields(b, h, false);
	buf_put(b, STR("\r\n"));
	return buf_err(b);
}

/* A reason for people who read traces; programs must not look at it. */
struct str http1_reason(uint16_t status)
{
	static const struct {
		uint16_t status;
		struct str text;
	} known[] = {
		{ 100, STR_INIT("Continue") }, { 103, STR_INIT("Early Hints") },
		{ 200, STR_INIT("OK") }, { 201, STR_INIT("Created") }, { 202, STR_INIT("Accepted") },
		{ 204, STR_INIT("No Content") }, { 206, STR_INIT("Partial Content") },
		{ 301, STR_INIT("Moved Permanently") }, { 302, STR_INIT("Found") },
		{ 303, STR_INIT("See Other") }, { 304, STR_INIT("Not Modified") },
		{ 307, STR_INIT("Temporary Redirect") }, { 308, STR_INIT("Permanent Redirect") },
		{ 400, STR_INIT("Bad Request") }, { 401, STR_INIT("Unauthorized") },
		{ 402, STR_INIT("Payment Required") }, { 403, STR_INIT("Forbidden") },
		{ 404, STR_INIT("Not Found") }, { 405, STR_INIT("Method Not Allowed") },
		{ 408, STR_INIT("Request Timeout") },
		{ 409, STR_INIT("Conflict") },
		{ 413, STR_INIT("Content Too Large") }, { 421, STR_INIT("Misdirected Request") },
		{ 422, STR_INIT("Unprocessable Content") }, { 426, STR_INIT("Upgrade Required") },
		{ 429, STR_INIT("Too Many Requests") },
		{ 431, STR_INIT("Request Header Fields Too Large") },
		{ 500, STR_INIT("Internal Server Error") }, { 501, STR_INIT("Not Implemented") },
		{ 502, STR_INIT("Bad Gateway") }, { 503, STR_INIT("Service Unavailable") },
		{ 504, STR_INIT("Gateway Timeout") }, { 505, STR_INIT("HTTP Version Not Supported") },
	};

	for (size_t i = 0; i < sizeof known / sizeof *known; i++)
		if (known[i].status == status)
			return known[i].text;
	return STR("");
}

static void put_response_framing(struct buf *b, const struct head *h, struct str method, bool version_10)
{
	bool body = http1_status_has_body(method, h->status);

	if (h->framing == HEAD_BODY_LENGTH) {
		if (body || (h->status >= 200 && h->status != 204))
			put_length(b, h->length);
	} else if (body && h->framing == HEAD_BODY_NONE) {
		put_length(b, 0);
	} else if (body && !version_10) {
		buf_put(b, STR("transfer-encoding: chunked\r\n"));
	}
}

/* Of a refusal of ours: the one line that some clients print (apt, pip). */
static struct str reason_of(const struct head *h)
{
	const struct head_field *own = h->status >= 400 ? head_find(h, STR("x-paddock-reason")) : NULL;

	for (size_t i = 0; own && i < own->value.n; i++)
		if ((uint8_t)own->value.p[i] < 0x20 || (uint8_t)own->value.p[i] >= 0x7f)
			return http1_reason(h->status);
	return own ? own->value : http1_reason(h->status);
}

enum err http1_put_response(struct buf *b, const struct head *h, struct str method, bool version_10,
			    bool close)
{
	enum err e = h->websocket ? ERR_HEAD_MALFORMED : check(h, HEAD_RESPONSE);

	if (e)
		return e;
	buf_put(b, STR("HTTP/1.1 "));
	buf_put_decimal(b, h->status);
	buf_put_byte(b, ' ');
	buf_put(b, reason_of(h));
	buf_put(b, STR("\r\n"));
	put_fields(b, h, false);
	put_response_framing(b, h, method, version_10);
	if (close && h->status >= 200)
		buf_put(b, STR("connection: close\r\n"));
	buf_put(b, STR("\r\n"));
	return buf_err(b);
}

void http1_put_chunk(struct buf *b, struct str data)
{
	static const char digit[] = "0123456789abcdef";
	char size[16];
	size_t i = sizeof size;

	if (data.n == 0)
		return;
	for (size_t n = data.n; n; n >>= 4)
		size[--i] = digit[n & 15];
	buf_put(b, str_make(size + i, sizeof size - i));
	buf_put(b, STR("\r\n"));
	buf_put(b, data);
	buf_put(b, STR("\r\n"));
}

enum err http1_put_last_chunk(struct buf *b, const struct head *trailers)
{
	enum err e = trailers ? check(trailers, HEAD_TRAILERS) : ERR_OK;

	if (e)
		return e;
	buf_put(b, STR("0\r\n"));
	if (trailers)
		put_fields(b, trailers, false);
	buf_put(b, STR("\r\n"));
	return buf_err(b);
}
