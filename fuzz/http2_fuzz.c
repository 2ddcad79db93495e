/* http2_fuzz.c - HTTP/1.1 and HTTP/2 forms of a request agree
 *
 * First byte even: a canonical head (encoded). Written as HTTP/1.1 and parsed, and written as HTTP/2 fields
 * and read back, it must give the same canonical head. First byte odd: a list of fields (u8 name length, u16
 * value length, little-endian, bytes) as an HTTP/2 peer may send it. What http2_request() accepts, printed as
 * HTTP/1.1 and parsed, must be the same request. The list is read as an answer and as trailers too.
 */
#include "base/reader.h"
#include "wire/http1.h"
#include "wire/http2.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct http2_fields fields;
static struct head first, second;
static struct http1_request parsed;
static struct http2_nv nv[HTTP2_NV_MAX];

static void check(bool holds)
{
	if (!holds)
		abort();
}

static void same_head(const struct head *a, const struct head *b)
{
	auto_buf x = BUF_EMPTY, y = BUF_EMPTY;

	buf_init(&x, HEAD_MAX_BYTES);
	buf_init(&y, HEAD_MAX_BYTES);
	check(head_encode(a, &x) == ERR_OK && head_encode(b, &y) == ERR_OK);
	check(str_eq(buf_str(&x), buf_str(&y)));
}

/* Through HTTP/1.1: false where one head is over a limit that the other form does not have. */
static bool through_http1(const struct head *h, struct buf *storage)
{
	auto_buf text = BUF_EMPTY;
	size_t scanned = 0, end;
	struct str key = STR("dGhlIHNhbXBsZSBub25jZQ==");
	enum err e;

	buf_init(&text, 2 * HTTP1_STORAGE_MAX);
	e = h->websocket ? http1_put_handshake(&text, h, key) : http1_put_request(&text, h, false);
	check(e == ERR_OK);
	if (text.len >= HTTP1_HEAD_MAX || h->field_count > HEAD_FIELDS_MAX - 6 ||
	    h->length > HTTP1_LENGTH_MAX)
		return false;
	check(http1_head_end(buf_str(&text), &scanned, &end) == ERR_OK && end == text.len);
	check(http1_parse_request(buf_str(&text), h->scheme, storage, &parsed) == ERR_OK);
	check(!parsed.upgrade && parsed.head.websocket == h->websocket);
	return true;
}

static void fuzz_head(struct str bytes)
{
	auto_buf storage = BUF_EMPTY, put = BUF_EMPTY;
	size_t count;

	buf_init(&storage, HTTP1_STORAGE_MAX);
	buf_init(&put, HTTP2_PUT_STORAGE_MAX);
	if (head_decode(bytes, &first))
		return;
	if (first.kind == HEAD_TRAILERS)
		check(http2_put_trailers(&first, nv, &count) == ERR_OK);
	if (first.kind == HEAD_RESPONSE)
		check(http2_put_response(&first, &put, nv, &count) == ERR_OK);
	if (first.kind != HEAD_REQUEST || !through_http1(&first, &storage))
		return;
	check(http2_put_request(&first, &put, nv, &count) == ERR_OK && count <= HTTP2_NV_MAX);
	http2_fields_clear(&fields);
	for (size_t i = 0; i < count; i++)
		http2_fields_add(&fields, nv[i].name, nv[i].value);
	if (fields.failure == ERR_HEAD_TOO_LARGE)
		return;
	check(http2_request(&fields, first.scheme, first.framing == HEAD_BODY_NONE && !first.websocket,
			    &second) == ERR_OK);
	same_head(&parsed.head, &second);
}

static void fuzz_fields(struct str bytes, bool end_stream)
{
	struct reader r = reader_of(bytes);
	auto_buf storage = BUF_EMPTY;
	struct str name, value;
	uint16_t value_bytes;
	uint8_t name_bytes;
	size_t count;

	buf_init(&storage, HTTP1_STORAGE_MAX);
	http2_fields_clear(&fields);
	while (reader_u8(&r, &name_bytes) && reader_u16le(&r, &value_bytes) &&
	       reader_take(&r, name_bytes, &name) && reader_take(&r, value_bytes, &value))
		http2_fields_add(&fields, name, value);
	if (http2_trailers(&fields, &first) == ERR_OK)
		check(http2_put_trailers(&first, nv, &count) == ERR_OK && count == first.field_count);
	if (http2_response(&fields, end_stream ? STR("GET") : STR("CONNECT"), end_stream, &first) == ERR_OK) {
		check(http2_put_response(&first, &storage, nv, &count) == ERR_OK);
		check(first.websocket <= !end_stream);
	}
	if (http2_request(&fields, HEAD_HTTPS, end_stream, &first))
		return;
	check(head_check(&first) == ERR_OK);
	check(first.framing != HEAD_BODY_STREAMED || !end_stream);
	if (through_http1(&first, &storage))
		same_head(&parsed.head, &first);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct str rest = str_from(str_make(data, size), 1);

	if (size == 0)
		return 0;
	if (!fields.storage.max)
		http2_fields_init(&fields);
	if (data[0] & 1)
		fuzz_fields(rest, data[0] & 2);
	else
		fuzz_head(rest);
	return 0;
}
