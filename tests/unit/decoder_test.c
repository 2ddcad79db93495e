/* decoder_test.c - the jobs of paddock-decoder, run in this process: every coding, every
 * split, marks that are true, and what is malformed, cut off, too large, or a dictionary's */
#include "../path/encode.h"
#include "decoder/job.h"

#include <stdio.h>
#include <stdlib.h>

/* ---- a job and what it said ---- */

struct told {
	struct buf output, facts;	/* facts: "name=value\n" */
	uint64_t mark;
	bool ended, failed, deaf;
	enum err e;
	char words[128];
	unsigned messages;
	/* the output that there was at each mark */
	struct { uint64_t mark; size_t output; } marks[4096];
	unsigned mark_count;
};

static void told_fact(struct told *t, struct str payload)
{
	size_t name = str_find(payload, 0);

	assert_true(name < payload.n);
	buf_put(&t->facts, str_head(payload, name));
	buf_put(&t->facts, STR("="));
	buf_put(&t->facts, str_from(payload, name + 1));
	buf_put(&t->facts, STR("\n"));
}

static void told_message(struct told *t, enum decoder_type type, struct str p)
{
	const uint8_t *u = (const uint8_t *)p.p;

	t->messages++;
	assert_false(t->ended || t->failed);	/* nothing follows either */
	if (type == DECODER_DATA) {
		assert_true(p.n > 0);
		buf_put(&t->output, p);
	} else if (type == DECODER_FACT) {
		told_fact(t, p);
	} else if (type == DECODER_MARK) {
		uint64_t mark = 0;

		assert_int_equal(p.n, 8);
		for (int i = 7; i >= 0; i--)
			mark = mark << 8 | u[i];
		assert_true(mark > t->mark);
		t->mark = mark;
		if (t->mark_count < 4096) {
			t->marks[t->mark_count].mark = mark;
			t->marks[t->mark_count++].output = t->output.len;
		}
	} else if (type == DECODER_END) {
		assert_int_equal(p.n, 0);
		t->ended = true;
	} else {
		assert_int_equal(type, DECODER_FAIL);
		assert_true(p.n >= 2);
		t->failed = true;
		t->e = (enum err)(u[0] | u[1] << 8);
		snprintf(t->words, sizeof t->words, "%.*s", (int)p.n - 2, p.p + 2);
	}
}

static bool told_write(void *user, struct str messages)
{
	struct told *t = user;
	enum decoder_type type;
	struct str payload;

	while (decoder_next(&messages, &type, &payload) == ERR_OK)
		told_message(t, type, payload);
	assert_int_equal(messages.n, 0);
	return !t->deaf;
}

static struct told *told_new(void)
{
	struct told *t = calloc(1, sizeof *t);

	assert_non_null(t);
	buf_init(&t->output, 64 << 20);
	buf_init(&t->facts, 1 << 20);
	return t;
}

static void told_free(struct told *t)
{
	buf_free(&t->output);
	buf_free(&t->facts);
	free(t);
}

static struct job *begin(struct told *t, enum decoder_job kind)
{
	const struct job_sink sink = { told_write, t };
	struct job *j = job_new(&sink);
	const char number = (char)kind;

	assert_non_null(j);
	assert_int_equal(job_message(j, DECODER_JOB, str_make(&number, 1)), ERR_OK);
	return j;
}

static struct told *run(enum decoder_job kind, struct str body, size_t step)
{
	struct told *t = told_new();
	struct job *j = begin(t, kind);
	enum err e = ERR_OK;

	for (size_t at = 0; at < body.n && !e; at += step)
		e = job_message(j, DECODER_DATA, str_head(str_from(body, at), step));
	if (!e)
		e = job_message(j, DECODER_END, STR(""));
	assert_int_equal(e, ERR_CLOSED);
	assert_true(t->ended != t->failed);
	job_free(j);
	return t;
}

static void decodes_to(enum decoder_job kind, struct str body, struct str expected)
{
	static const size_t steps[] = { 1, 2, 3, 7, 64, 1000, DECODER_PAYLOAD_MAX };

	for (size_t i = 0; i < sizeof steps / sizeof *steps; i++) {
		struct told *t = run(kind, body, steps[i]);

		if (t->failed)
			fail_msg("job %d, step %zu: %s: %s", kind, steps[i], err_name(t->e), t->words);
		assert_true(str_eq(buf_str(&t->output), expected));
		assert_int_equal(t->mark, body.n);
		told_free(t);
	}
}

static void refused(enum decoder_job kind, struct str body, enum err e, const char *words)
{
	static const size_t steps[] = { 1, 5, DECODER_PAYLOAD_MAX };

	for (size_t i = 0; i < sizeof steps / sizeof *steps; i++) {
		struct told *t = run(kind, body, steps[i]);

		if (!t->failed || t->e != e || strcmp(t->words, words) != 0)
			fail_msg("job %d, step %zu: %s: %s", kind, steps[i], err_name(t->e), t->words);
		told_free(t);
	}
}

static const char *lorem(size_t n)
{
	static char text[300000];
	uint32_t state = 1;

	for (size_t i = 0; i < sizeof text; i++) {
		state = state * 1103515245 + 12345;
		text[i] = i % 64 > 40 ? text[i - 41] : (char)('a' + (state >> 16) % 26);
	}
	return n <= sizeof text ? text : NULL;
}

/* ---- the codings ---- */

static void every_coding(void **state)
{
	(void)state;
	static const size_t sizes[] = { 0, 1, 5, 1000, 65536, 300000 };

	for (size_t i = 0; i < ENCODINGS; i++)
		for (size_t k = 0; k < sizeof sizes / sizeof *sizes; k++) {
			struct str text = str_make(lorem(sizes[k]), sizes[k]);
			auto_buf body = BUF_EMPTY;

			buf_init(&body, 1 << 20);
			encode(&body, &encodings[i], &text, 1);
			if (sizes[k] < 65536)
				decodes_to(encodings[i].job, buf_str(&body), text);
			struct told *t = run(encodings[i].job, buf_str(&body), 16384);

			assert_true(t->ended && str_eq(buf_str(&t->output), text));
			told_free(t);
		}
}

static void an_empty_body_has_no_encoding(void **state)
{
	(void)state;
	for (size_t i = 0; i < ENCODINGS; i++)
		decodes_to(encodings[i].job, STR(""), STR(""));
}

/* What a streaming server flushes is decoded, and marked, when its last byte is here. */
static void flushed_parts_come_at_once(void **state)
{
	(void)state;
	static const struct str events[] = { STR_INIT("data: one\n\n"),
					     STR_INIT("data: two, a longer one\n\n"),
					     STR_INIT("data: three\n\n") };

	for (size_t i = 0; i < ENCODINGS; i++) {
		struct told *t = told_new();
		struct job *j = begin(t, encodings[i].job);
		size_t fed = 0, output = 0;
		auto_buf whole = BUF_EMPTY;

		buf_init(&whole, 1 << 16);
		encode(&whole, &encodings[i], events, 3);
		for (size_t k = 0; k < 2; k++) {
			auto_buf so_far = BUF_EMPTY;
			struct str piece;

			/* k + 1 flushed parts and an empty one that ends it:
			 * a prefix of the whole but for that */
			buf_init(&so_far, 1 << 16);
			encode(&so_far, &encodings[i], events, k + 2);
			output += events[k].n;
			while (t->output.len < output && fed < whole.len) {
				piece = str_head(str_from(buf_str(&whole), fed++), 1);
				assert_int_equal(job_message(j, DECODER_DATA, piece), ERR_OK);
			}
			assert_int_equal(t->output.len, output);
			/* the rest of the flush, up to where the next part's bytes begin */
			while (t->mark < fed) {
				piece = str_head(str_from(buf_str(&whole), fed++), 1);
				assert_int_equal(job_message(j, DECODER_DATA, piece), ERR_OK);
				assert_true(fed < whole.len);
			}
			assert_int_equal(t->output.len, output);
		}
		job_free(j);
		told_free(t);
	}
}

/* The bytes up to a mark, decoded by another decoder, give no more than what had come by then. */
static void marks_are_true(void **state)
{
	(void)state;
	struct str parts[] = { str_make(lorem(70000), 70000), STR("secret-secret-secret"),
			       str_make(lorem(300000) + 200000, 9000) };

	for (size_t i = 0; i < ENCODINGS; i++) {
		auto_buf body = BUF_EMPTY;

		buf_init(&body, 1 << 20);
		encode(&body, &encodings[i], parts, 3);
		struct told *t = run(encodings[i].job, buf_str(&body), 97);

		if (!t->ended || t->mark_count < 2)
			fail_msg("%s: %u marks, %s", encodings[i].name, t->mark_count, t->words);
		for (unsigned k = 0; k + 1 < t->mark_count; k++) {
			struct told *again = told_new();
			struct job *j = begin(again, encodings[i].job);
			struct str known = str_head(buf_str(&body), (size_t)t->marks[k].mark);

			while (known.n) {
				assert_int_equal(job_message(j, DECODER_DATA, str_head(known, 65536)),
						 ERR_OK);
				known = str_from(known, 65536);
			}
			assert_true(again->output.len <= t->marks[k].output);
			job_free(j);
			told_free(again);
		}
		told_free(t);
	}
}

/* Blocks of zstd hold their literals before they are decoded: a part of one is never marked. */
static void zstd_marks_blocks_alone(void **state)
{
	(void)state;
	static const struct str text = STR_INIT("incompressible: 0123456789abcdefghijklmnopqrstuvwxyz");
	struct told *t = told_new();
	struct job *j = begin(t, DECODER_ZSTD);
	auto_buf body = BUF_EMPTY;

	buf_init(&body, 1000);
	encode_zstd(&body, 1, &text, 1);
	for (size_t i = 0; i + 4 < body.len; i++) {	/* without the checksum */
		assert_int_equal(t->mark, 0);
		assert_int_equal(job_message(j, DECODER_DATA, str_make(body.p + i, 1)), ERR_OK);
	}
	assert_int_equal(t->mark, body.len - 4);
	assert_true(str_eq(buf_str(&t->output), text));
	job_free(j);
	told_free(t);
}

static void members_and_frames(void **state)
{
	(void)state;
	static const struct str a = STR_INIT("first "), b = STR_INIT("second"), none = STR_INIT("");
	auto_buf body = BUF_EMPTY;

	buf_init(&body, 10000);
	encode_zlib(&body, 31, 6, &a, 1);
	encode_zlib(&body, 31, 6, &none, 1);
	encode_zlib(&body, 31, 0, &b, 1);
	decodes_to(DECODER_GZIP, buf_str(&body), STR("first second"));
	buf_clear(&body);
	encode_zstd(&body, 1, &a, 1);
	buf_put(&body, STR("\x5e\x2a\x4d\x18\x05\0\0\0skip!"));
	encode_zstd(&body, 19, &none, 1);
	encode_zstd(&body, 19, &b, 1);
	decodes_to(DECODER_ZSTD, buf_str(&body), STR("first second"));
}

static void cut_off(void **state)
{
	(void)state;
	struct str text = str_make(lorem(3000), 3000);

	for (size_t i = 0; i < ENCODINGS; i++) {
		auto_buf body = BUF_EMPTY;

		buf_init(&body, 10000);
		encode(&body, &encodings[i], &text, 1);
		for (size_t n = 1; n < body.len; n += n < body.len - 40 && n > 40 ? 37 : 1) {
			struct told *t = run(encodings[i].job, str_head(buf_str(&body), n), 512);

			assert_true(t->failed);
			assert_int_equal(t->e, ERR_DECODER);
			assert_string_equal(t->words, "it is cut off");
			told_free(t);
		}
	}
}

/* What follows the end would pass unread. */
static void trailing_garbage(void **state)
{
	(void)state;
	static const struct str text = STR_INIT("some text"), tails[] = { STR_INIT("x"), STR_INIT("\0"),
									   STR_INIT("sk-secret") };

	for (size_t i = 0; i < ENCODINGS; i++)
		for (size_t k = 0; k < 3; k++)
			for (size_t step = 1; step < 100; step += 98) {
				auto_buf body = BUF_EMPTY;

				buf_init(&body, 10000);
				encode(&body, &encodings[i], &text, 1);
				buf_put(&body, tails[k]);
				struct told *t = run(encodings[i].job, buf_str(&body), step);

				assert_true(t->failed);
				assert_int_equal(t->e, ERR_DECODER);
				told_free(t);
			}
}

static void damaged(void **state)
{
	(void)state;
	struct str text = str_make(lorem(500), 500);

	for (size_t i = 0; i < ENCODINGS; i++) {
		auto_buf body = BUF_EMPTY;

		buf_init(&body, 10000);
		encode(&body, &encodings[i], &text, 1);
		for (size_t at = 0; at < body.len; at++) {
			body.p[at] ^= 0x55;
			struct told *t = run(encodings[i].job, buf_str(&body), 100);

			assert_true(t->ended || t->e == ERR_DECODER);
			if (t->ended && encodings[i].job == DECODER_ZSTD)	/* it has a checksum */
				assert_true(str_eq(buf_str(&t->output), text));
			told_free(t);
			body.p[at] ^= 0x55;
		}
	}
	refused(DECODER_GZIP, STR("not gzip at all"), ERR_DECODER, "it is not what its encoding says");
	refused(DECODER_ZSTD, STR("not zstd at all"), ERR_DECODER, "it is not what its encoding says");
}

/* ---- caps ---- */

static void dictionaries(void **state)
{
	(void)state;
	z_stream z = { 0 };
	static const char dictionary[] = "a preset dictionary", text[] = "a preset dictionary again";
	char out[200];

	deflateInit(&z, 6);
	deflateSetDictionary(&z, (const Bytef *)dictionary, sizeof dictionary);
	z.next_in = (Bytef *)(uintptr_t)text;
	z.avail_in = sizeof text;
	z.next_out = (Bytef *)out;
	z.avail_out = sizeof out;
	assert_int_equal(deflate(&z, Z_FINISH), Z_STREAM_END);
	refused(DECODER_DEFLATE, str_make(out, sizeof out - z.avail_out), ERR_DECODER,
		"it needs a dictionary");
	deflateEnd(&z);
	/* magic, descriptor with one byte of dictionary id, window, id 7 */
	refused(DECODER_ZSTD, STR("\x28\xb5\x2f\xfd\x01\x58\x07\x01\x00\x00"), ERR_DECODER,
		"it needs a dictionary");
	/* id 0 is none */
	decodes_to(DECODER_ZSTD, STR("\x28\xb5\x2f\xfd\x01\x58\x00\x01\x00\x00"), STR(""));
}

static void windows(void **state)
{
	(void)state;
	/* windows of 8 MiB and of 16 MiB, each an empty last block */
	decodes_to(DECODER_ZSTD, STR("\x28\xb5\x2f\xfd\x00\x68\x01\x00\x00"), STR(""));
	refused(DECODER_ZSTD, STR("\x28\xb5\x2f\xfd\x00\x70\x01\x00\x00"), ERR_DECODER,
		"its window is over 8 MiB");
	/* brotli's "large window": bits 0x11, then 30 */
	refused(DECODER_BROTLI, STR("\x11\x1e\x00\x00\x00\x00\x00"), ERR_DECODER,
		"it is not what its encoding says");
}

static void bombs(void **state)
{
	(void)state;
	static char zeros[1 << 20];

	for (size_t i = 0; i < ENCODINGS; i++) {
		struct str parts[8];
		auto_buf body = BUF_EMPTY;

		if (str_eq(str_of(encodings[i].name), STR("gzip-stored")))
			continue;
		for (size_t k = 0; k < 8; k++)
			parts[k] = str_make(zeros, sizeof zeros);
		buf_init(&body, 1 << 20);
		encode(&body, &encodings[i], parts, 8);
		struct told *t = run(encodings[i].job, buf_str(&body), 65536);

		assert_true(t->failed);
		assert_int_equal(t->e, ERR_DECODER);
		assert_string_equal(t->words, "it expands beyond all measure");
		/* a megabyte is free, and 200 to one after that, and one piece of output over it */
		assert_true(t->output.len <= (1 << 20) + 200 * body.len + 70000);
		told_free(t);
		/* a megabyte of nothing is no bomb */
		buf_clear(&body);
		encode(&body, &encodings[i], parts, 1);
		t = run(encodings[i].job, buf_str(&body), 65536);
		assert_true(t->ended && t->output.len == sizeof zeros);
		told_free(t);
	}
}

/* ---- aws-chunked ---- */

static void aws_chunked(void **state)
{
	(void)state;
	decodes_to(DECODER_AWS_CHUNKED,
		   STR("5;chunk-signature=ad80c730a21e5b8d04586a2213dd63b9a0e99e0e2307b0ade35a65485a"
		       "288648\r\nhello\r\n6;chunk-signature=b6\r\n world\r\n"
		       "0;chunk-signature=b6c6ea8a5354eaf15b3cb7646744f4275b71ea724fed81ceb9323e279d"
		       "449df9\r\n\r\n"),
		   STR("hello world"));
	struct told *t =
		run(DECODER_AWS_CHUNKED, STR("3\r\nabc\r\n0\r\nx-amz-checksum-crc32: AAAA==\r\n\r\n"), 4);

	assert_true(t->ended && str_eq(buf_str(&t->output), STR("abc")));
	assert_true(str_eq(buf_str(&t->facts), STR("trailer=x-amz-checksum-crc32: AAAA==\n")));
	told_free(t);
	refused(DECODER_AWS_CHUNKED, STR("5;chunk-signature=x\r\nhel"), ERR_DECODER, "it is cut off");
	refused(DECODER_AWS_CHUNKED, STR("5\nhello\n0\n\n"), ERR_DECODER, "malformed aws-chunked framing");
	refused(DECODER_AWS_CHUNKED, STR("0\r\n\r\nx"), ERR_DECODER, "something follows its end");
	refused(DECODER_AWS_CHUNKED, STR("plain text"), ERR_DECODER, "malformed aws-chunked framing");
	refused(DECODER_AWS_CHUNKED, STR("0\r\nhost: x\r\n\r\n"), ERR_DECODER,
		"malformed aws-chunked trailers");
}

/* A signature a chunk: many chunks are no flood of extensions. */
static void aws_chunked_goes_on(void **state)
{
	(void)state;
	auto_buf body = BUF_EMPTY;

	buf_init(&body, 1 << 20);
	for (int i = 0; i < 2000; i++)
		buf_put(&body, STR("1;chunk-signature=ad80c730a21e5b8d04586a2213dd63b9a0e99e0e2307b0ade35a65485a2886\r\nx\r\n"));
	buf_put(&body, STR("0\r\n\r\n"));
	struct told *t = run(DECODER_AWS_CHUNKED, buf_str(&body), 65536);

	assert_true(t->ended && t->output.len == 2000);
	told_free(t);
}

/* ---- the runner ---- */

static void messages_in_order(void **state)
{
	(void)state;
	static const struct { enum decoder_type type; struct str payload; } bad[] = {
		{ DECODER_DATA, STR_INIT("x") }, { DECODER_END, STR_INIT("") }, { DECODER_JOB, STR_INIT("") },
		{ DECODER_JOB, STR_INIT("\0") }, { DECODER_JOB, STR_INIT("\xff") },
		{ DECODER_MARK, STR_INIT("12345678") }, { DECODER_FAIL, STR_INIT("\0\0") },
		{ DECODER_FACT, STR_INIT("a\0b") },
	};

	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
		struct told *t = told_new();
		struct job_sink sink = { told_write, t };
		struct job *j = job_new(&sink);

		assert_int_equal(job_message(j, bad[i].type, bad[i].payload), ERR_CLOSED);
		assert_true(t->failed && t->e == ERR_INPUT);
		assert_int_equal(job_message(j, DECODER_JOB, STR("\1")), ERR_CLOSED);	/* over is over */
		assert_int_equal(t->messages, 1);
		job_free(j);
		told_free(t);
	}
	struct told *t = told_new();
	struct job *j = begin(t, DECODER_GZIP);

	assert_int_equal(job_message(j, DECODER_JOB, STR("\1")), ERR_CLOSED);	/* a second job */
	assert_true(t->failed);
	job_free(j);
	told_free(t);
	t = told_new();
	j = begin(t, DECODER_GZIP);
	assert_int_equal(job_message(j, DECODER_DATA, STR("")), ERR_CLOSED);
	assert_true(t->failed);
	job_free(j);
	told_free(t);
}

static void nobody_listens(void **state)
{
	(void)state;
	struct told *t = told_new();
	struct job *j = begin(t, DECODER_AWS_CHUNKED);

	t->deaf = true;
	assert_int_equal(job_message(j, DECODER_DATA, STR("3\r\nabc\r\n")), ERR_CLOSED);
	assert_int_equal(t->messages, 1);	/* and it did not go on about it */
	job_free(j);
	told_free(t);
}

static void messages_are_checked(void **state)
{
	(void)state;
	static const struct str bad[] = {
		STR_INIT("\0\0\0\0\0\0\0\0"), STR_INIT("\7\0\0\0\0\0\0\0"), STR_INIT("\2\1\0\0\0\0\0\0"),
		STR_INIT("\2\0\1\0\0\0\0\0"), STR_INIT("\2\0\0\1\0\0\0\0"), STR_INIT("\2\0\0\0\1\0\1\0"),
		STR_INIT("\2\0\0\0\xff\xff\xff\xff"),
	};
	enum decoder_type type;
	struct str payload, input;

	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
		input = bad[i];
		assert_int_equal(decoder_next(&input, &type, &payload), ERR_LINK_MALFORMED);
		for (size_t n = 0; n < 8; n++) {
			input = str_head(bad[i], n);
			assert_int_equal(decoder_next(&input, &type, &payload), ERR_MORE);
		}
	}
	input = STR("\2\0\0\0\3\0\0\0abcd");
	assert_int_equal(decoder_next(&input, &type, &payload), ERR_OK);
	assert_true(type == DECODER_DATA && str_eq(payload, STR("abc")) && str_eq(input, STR("d")));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_coding), cmocka_unit_test(an_empty_body_has_no_encoding),
		cmocka_unit_test(flushed_parts_come_at_once), cmocka_unit_test(marks_are_true),
		cmocka_unit_test(zstd_marks_blocks_alone), cmocka_unit_test(members_and_frames),
		cmocka_unit_test(cut_off),
		cmocka_unit_test(trailing_garbage), cmocka_unit_test(damaged), cmocka_unit_test(dictionaries),
		cmocka_unit_test(windows), cmocka_unit_test(bombs), cmocka_unit_test(aws_chunked),
		cmocka_unit_test(aws_chunked_goes_on), cmocka_unit_test(messages_in_order),
		cmocka_unit_test(nobody_listens), cmocka_unit_test(messages_are_checked),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
