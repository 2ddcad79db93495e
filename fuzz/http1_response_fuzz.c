/* http1_response_fuzz.c - an answer that parses is canonical, and written for a client and parsed
 * again it is the same answer; its body can be read in any framing without a fault */
#include "wire/http1_body.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(bool holds)
{
	if (!holds)
		abort();
}

static enum err parse(struct str bytes, struct str method, struct buf *storage, struct http1_response *ret,
		      size_t *ret_end)
{
	size_t scanned = 0;
	enum err e = http1_head_end(bytes, &scanned, ret_end);

	return e ? e : http1_parse_response(str_head(bytes, *ret_end), method, storage, ret);
}

static void written_again(const struct http1_response *first, struct str method)
{
	static struct http1_response second;
	bool close = first->close;
	auto_buf storage = BUF_EMPTY, out = BUF_EMPTY;
	size_t end;

	buf_init(&storage, HTTP1_STORAGE_MAX);
	buf_init(&out, 2 * HTTP1_STORAGE_MAX);
	check(http1_put_response(&out, &first->head, method, false, close) == ERR_OK);
	check(parse(buf_str(&out), method, &storage, &second, &end) == ERR_OK && end == out.len);
	check(second.head.status == first->head.status && second.head.final == first->head.final);
	check(second.head.length == first->head.length && second.head.field_count == first->head.field_count);
	check((second.framing == HTTP1_NONE) == (first->framing == HTTP1_NONE));
	check(second.framing != HTTP1_UNTIL_CLOSE);
	for (uint32_t i = 0; i < first->head.field_count; i++)
		check(str_eq(first->head.fields[i].name, second.head.fields[i].name) &&
		      str_eq(first->head.fields[i].value, second.head.fields[i].value));
}

/* As the guest gets it: chunked, and read again the same. */
static void chunked_again(struct str body, const struct head *trailers)
{
	struct http1_body b;
	struct head again;
	struct str text, piece;
	auto_buf out = BUF_EMPTY, whole = BUF_EMPTY;

	buf_init(&out, 2 * body.n + 2 * HTTP1_TRAILERS_MAX);
	buf_init(&whole, body.n);
	for (size_t at = 0, n = 1; at < body.n; at += n, n = n * 3 + 1)
		http1_put_chunk(&out, str_head(str_from(body, at), n));
	check(http1_put_last_chunk(&out, trailers) == ERR_OK);
	text = buf_str(&out);
	http1_body_init(&b, HTTP1_CHUNKED, 0);
	while (http1_body_next(&b, &text, &piece) == ERR_OK && piece.n)
		buf_put(&whole, piece);
	check(b.done && text.n == 0 && str_eq(buf_str(&whole), body));
	check(http1_body_trailers(&b, &again) == ERR_OK && again.field_count == trailers->field_count);
	http1_body_free(&b);
}

static void read_body(const struct http1_response *r, struct str text)
{
	struct http1_body b;
	size_t given = text.n;
	struct head trailers;
	struct str piece;
	auto_buf whole = BUF_EMPTY;

	buf_init(&whole, given);
	http1_body_init(&b, r->framing, r->head.length);
	while (http1_body_next(&b, &text, &piece) == ERR_OK && piece.n)
		buf_put(&whole, piece);
	check(buf_err(&whole) == ERR_OK);
	if (r->framing == HTTP1_NONE)
		check(b.done && text.n == given);
	if (http1_body_eof(&b) == ERR_OK) {
		check(b.done);
		if (http1_body_trailers(&b, &trailers) == ERR_OK)
			chunked_again(buf_str(&whole), &trailers);
	}
	http1_body_free(&b);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct http1_response first;
	struct str bytes = str_make(data, size);
	struct str method = size && data[size - 1] & 1 ? STR("HEAD") : STR("GET");
	auto_buf storage = BUF_EMPTY;
	size_t end;

	buf_init(&storage, HTTP1_STORAGE_MAX);
	if (parse(bytes, method, &storage, &first, &end))
		return 0;
	check(end <= size && head_check(&first.head) == ERR_OK);
	if (first.head.field_count <= HEAD_FIELDS_MAX - 2)	/* framing and Connection come on top */
		written_again(&first, method);
	read_body(&first, str_from(bytes, end));
	return 0;
}
