/* http1_body_test.c - bodies of HTTP/1.1: chunks in pieces
 * of every size, what is no chunk, trailers, their limits */
#include "assert_str.h"
#include "wire/http1_body.h"

/* The body of @text, read in pieces of @step bytes; what is left goes to *rest. */
static enum err read_body(struct http1_body *b, struct str text, size_t step, struct buf *out,
			  struct str *rest)
{
	struct str given = str_head(text, step);
	size_t taken = 0;

	for (;;) {
		struct str input = str_from(given, 0), data;
		enum err e = http1_body_next(b, &input, &data);

		taken += given.n - input.n;
		if (e == ERR_MORE && taken < text.n)
			;
		else if (e)
			return e;
		else if (data.n == 0) {
			*rest = str_from(text, taken);
			return ERR_OK;
		} else {
			buf_put(out, data);
		}
		given = str_head(str_from(text, taken), step);
	}
}

static void chunked_body_in_pieces_of_every_size(void **state)
{
	(void)state;
	struct str text = STR("5\r\nhello\r\nA;name=\"v\"; x\r\n, world. 1\r\n000\r\nX-Sum: 1 \r\n\r\nGET /");

	for (size_t step = 1; step <= text.n; step++) {
		struct http1_body b;
		struct head trailers;
		struct str rest;
		auto_buf out = BUF_EMPTY;

		buf_init(&out, 100);
		http1_body_init(&b, HTTP1_CHUNKED, 0);
		assert_int_equal(read_body(&b, text, step, &out, &rest), ERR_OK);
		assert_str(buf_str(&out), "hello, world. 1");
		assert_str(rest, "GET /");
		assert_int_equal(http1_body_trailers(&b, &trailers), ERR_OK);
		assert_int_equal(trailers.field_count, 1);
		assert_str(trailers.fields[0].name, "x-sum");
		assert_str(trailers.fields[0].value, "1");
		http1_body_free(&b);
	}
}

static void bad_chunks_are_refused(void **state)
{
	(void)state;
	static const char *const bad[] = {
		"\r\n", "x\r\n", "5 \r\nhello\r\n", " 5\r\nhello", "5\nhello", "5\r\nhelloX", "5\r\nhello\n",
		"0x5\r\nhello", "-1\r\n", "11111111111111111\r\n", "ffffffffffffffff\r\n", "5;\n",
		"5;a\x01\r\n", "5\rX", "0\r\nA: b\n\n", "0\r\nA: \x01\r\n\r\n",
	};

	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
		struct http1_body b;
		struct str rest, input = STR("5\r\n"), data;
		auto_buf out = BUF_EMPTY;

		buf_init(&out, 100);
		http1_body_init(&b, HTTP1_CHUNKED, 0);
		if (read_body(&b, str_of(bad[i]), 100, &out, &rest) != ERR_BODY_FRAMING)
			fail_msg("%s", bad[i]);
		assert_int_equal(http1_body_next(&b, &input, &data), ERR_BODY_FRAMING);	/* final */
		http1_body_free(&b);
	}
}

static void bad_trailers_are_refused(void **state)
{
	(void)state;
	static const char *const bad[] = { "0\r\nHost: b\r\n\r\n", "0\r\nTransfer-Encoding: x\r\n\r\n",
					   "0\r\nx\r\n\r\n",
		"0\r\nAuthorization: x\r\n\r\n", "0\r\nA : b\r\n\r\n", "0\r\n folded: x\r\n\r\n" };

	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
		struct http1_body b;
		struct head trailers;
		struct str rest;
		auto_buf out = BUF_EMPTY;

		buf_init(&out, 100);
		http1_body_init(&b, HTTP1_CHUNKED, 0);
		assert_int_equal(read_body(&b, str_of(bad[i]), 100, &out, &rest), ERR_OK);
		if (http1_body_trailers(&b, &trailers) != ERR_HEAD_MALFORMED)
			fail_msg("%s", bad[i]);
		http1_body_free(&b);
	}
}

static void chunk_overhead_is_limited(void **state)
{
	(void)state;
	struct http1_body b;
	struct str rest;
	auto_buf text = BUF_EMPTY, out = BUF_EMPTY;

	buf_init(&text, 1024 * 1024);
	buf_init(&out, 1024 * 1024);
	for (unsigned i = 0; i < 400; i++)
		buf_put_z(&text, "1;aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\r\nx\r\n");
	http1_body_init(&b, HTTP1_CHUNKED, 0);
	assert_int_equal(read_body(&b, buf_str(&text), 4096, &out, &rest), ERR_LIMIT);
	http1_body_free(&b);
	buf_clear(&text);
	buf_put_z(&text, "0\r\n");
	for (unsigned i = 0; i < 1000; i++)
		buf_put_z(&text, "A: bbbbbbbbbb\r\n");
	http1_body_init(&b, HTTP1_CHUNKED, 0);
	assert_int_equal(read_body(&b, buf_str(&text), 4096, &out, &rest), ERR_LIMIT);
	http1_body_free(&b);
}

static void length_and_close_frame_a_body(void **state)
{
	(void)state;
	struct http1_body b;
	struct str rest, input = STR("abc"), data;
	auto_buf out = BUF_EMPTY;

	buf_init(&out, 100);
	http1_body_init(&b, HTTP1_LENGTH, 3);
	assert_int_equal(read_body(&b, STR("abcd"), 2, &out, &rest), ERR_OK);
	assert_str(rest, "d");
	assert_int_equal(http1_body_eof(&b), ERR_OK);
	http1_body_init(&b, HTTP1_LENGTH, 4);
	assert_int_equal(read_body(&b, STR("abc"), 2, &out, &rest), ERR_MORE);
	assert_int_equal(http1_body_eof(&b), ERR_BODY_FRAMING);
	http1_body_init(&b, HTTP1_UNTIL_CLOSE, 0);
	assert_int_equal(http1_body_next(&b, &input, &data), ERR_OK);
	assert_str(data, "abc");
	assert_false(b.done);
	assert_int_equal(http1_body_eof(&b), ERR_OK);
	http1_body_init(&b, HTTP1_NONE, 0);
	assert_true(b.done);
}

static void chunks_are_written(void **state)
{
	(void)state;
	struct head trailers = { .kind = HEAD_TRAILERS };
	auto_buf out = BUF_EMPTY;

	buf_init(&out, 100);
	http1_put_chunk(&out, STR(""));
	http1_put_chunk(&out, STR("0123456789abcdefg"));
	assert_int_equal(head_add(&trailers, STR("x"), STR("y")), ERR_OK);
	assert_int_equal(http1_put_last_chunk(&out, &trailers), ERR_OK);
	assert_str(buf_str(&out), "11\r\n0123456789abcdefg\r\n0\r\nx: y\r\n\r\n");
}
int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(chunked_body_in_pieces_of_every_size),
		cmocka_unit_test(bad_chunks_are_refused),
		cmocka_unit_test(bad_trailers_are_refused), cmocka_unit_test(chunk_overhead_is_limited),
		cmocka_unit_test(length_and_close_frame_a_body), cmocka_unit_test(chunks_are_written),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
