/* http1_request_fuzz.c - a request that parses is canonical, and written and parsed again it is the
 * same request; the body that follows it does not depend on how it is cut into pieces */
#include "wire/http1_body.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(bool holds)
{
	if (!holds)
		abort();
}

static enum err parse(struct str bytes, struct buf *storage, struct http1_request *ret, size_t *ret_end)
{
	size_t scanned = 0;
	enum err e = http1_head_end(bytes, &scanned, ret_end);

	return e ? e : http1_parse_request(str_head(bytes, *ret_end), HEAD_HTTP, storage, ret);
}

static void same_head(const struct head *a, const struct head *b)
{
	check(str_eq(a->method, b->method) && str_eq(a->host, b->host) && a->port == b->port);
	check(str_eq(a->path, b->path) && a->has_query == b->has_query && str_eq(a->query, b->query));
	check(a->framing == b->framing && a->length == b->length && a->field_count == b->field_count);
	for (uint32_t i = 0; i < a->field_count; i++)
		check(str_eq(a->fields[i].name, b->fields[i].name) &&
		      str_eq(a->fields[i].value, b->fields[i].value));
}

/* Body bytes and what was left over, with the input given @step bytes at a time. */
static enum err body(const struct head *h, struct str text, size_t step, struct buf *out, size_t *ret_taken)
{
	struct http1_body b;
	enum err e;
	size_t taken = 0, given = step < text.n ? step : text.n;

	http1_body_of_request(&b, h);
	for (;;) {
		struct str input = str_head(str_from(text, taken), given - taken), piece;
		size_t before = input.n;

		e = http1_body_next(&b, &input, &piece);
		taken += before - input.n;
		if (e == ERR_MORE && given < text.n)
			given = step < text.n - given ? given + step : text.n;
		else if (e || piece.n == 0)
			break;
		else
			buf_put(out, piece);
	}
	if (e == ERR_OK) {
		struct head trailers;

		check(b.done);
		if (http1_body_trailers(&b, &trailers) == ERR_OK)
			check(trailers.kind == HEAD_TRAILERS);
	}
	*ret_taken = taken;
	http1_body_free(&b);
	return e;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct http1_request first, second;
	struct str bytes = str_make(data, size), rest;
	auto_buf a = BUF_EMPTY, b = BUF_EMPTY, written = BUF_EMPTY, whole = BUF_EMPTY, pieces = BUF_EMPTY;
	size_t end, taken, taken_in_pieces;
	enum err e;

	buf_init(&a, HTTP1_STORAGE_MAX);
	buf_init(&b, HTTP1_STORAGE_MAX);
	buf_init(&written, 2 * HTTP1_STORAGE_MAX);
	buf_init(&whole, size);
	buf_init(&pieces, size);
	if (parse(bytes, &a, &first, &end))
		return 0;
	check(end <= size && head_check(&first.head) == ERR_OK);
	check(http1_put_request(&written, &first.head, first.close) == ERR_OK);
	if (first.head.field_count > HEAD_FIELDS_MAX - 2)	/* framing and Connection came on top */
		return 0;
	check(parse(buf_str(&written), &b, &second, &taken) == ERR_OK && taken == written.len);
	same_head(&first.head, &second.head);
	check(first.close == second.close);
	rest = str_from(bytes, end);
	e = body(&first.head, rest, SIZE_MAX, &whole, &taken);
	check(body(&first.head, rest, 1, &pieces, &taken_in_pieces) == e);
	check(str_eq(buf_str(&whole), buf_str(&pieces)));
	if (e == ERR_OK)	/* a malformed trailer section is seen at different places */
		check(taken == taken_in_pieces);
	if (e == ERR_OK && first.head.framing == HEAD_BODY_LENGTH)
		check(whole.len == first.head.length && taken == whole.len);
	return 0;
}
