/* decoder_fuzz.c - the decoder's jobs over hostile bodies: caps hold, marks go forward and not past the
 * input, a job says one end and nothing after it, and what it says does not depend on how the body was cut.
 * The first byte is the job; bodies of gzip begin with it changed, so that the fuzzer need not find CRCs:
 * with the top bit set the rest is compressed first, and must come out as it was.
 */
#include "decoder/job.h"

#include <stdlib.h>
#include <zlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct heard {
	struct buf output, facts;
	uint64_t taken, mark;
	bool over, failed;
	enum err e;
};

static void check(bool holds)
{
	if (!holds)
		abort();
}

static bool hear(void *user, struct str messages)
{
	struct heard *h = user;
	enum decoder_type type;
	struct str p;

	while (decoder_next(&messages, &type, &p) == ERR_OK) {
		check(!h->over);
		if (type == DECODER_DATA) {
			check(p.n > 0);
			buf_put(&h->output, p);
		} else if (type == DECODER_FACT) {
			check(str_find(p, 0) < p.n && str_find(p, 0) > 0);
			buf_put(&h->facts, p);
		} else if (type == DECODER_MARK) {
			uint64_t mark = 0;

			check(p.n == 8);
			for (int i = 7; i >= 0; i--)
				mark = mark << 8 | (uint8_t)p.p[i];
			check(mark > h->mark && mark <= h->taken);
			h->mark = mark;
		} else {
			check(type == DECODER_END || (type == DECODER_FAIL && p.n >= 2));
			h->over = true;
			h->failed = type == DECODER_FAIL;
			h->e = h->failed ? (enum err)((uint8_t)p.p[0] | (uint8_t)p.p[1] << 8) : ERR_OK;
			check(!h->failed || (h->e != ERR_OK && h->e < ERR_COUNT));
		}
	}
	check(messages.n == 0);
	return true;
}

static void run(char kind, struct str body, size_t step, struct heard *h)
{
	struct job_sink sink = { hear, h };
	struct job *j = job_new(&sink);
	enum err e;

	check(j);
	*h = (struct heard){ .taken = 0 };
	buf_init(&h->output, 2 * DECODER_RATIO_MAX * (body.n + 1) + 4 * JOB_RATIO_FREE);
	buf_init(&h->facts, 64u << 20);
	e = job_message(j, DECODER_JOB, str_make(&kind, 1));
	while (!e && body.n) {
		struct str piece = str_head(body, step);

		h->taken += piece.n;
		e = job_message(j, DECODER_DATA, piece);
		body = str_from(body, piece.n);
	}
	if (!e)
		check(job_message(j, DECODER_END, STR("")) == ERR_CLOSED);
	check(h->over && !buf_err(&h->output));
	check(h->output.len <= JOB_RATIO_FREE + DECODER_RATIO_MAX * (h->taken + 1) + 2 * DECODER_PAYLOAD_MAX);
	job_free(j);
}

static void heard_free(struct heard *h)
{
	buf_free(&h->output);
	buf_free(&h->facts);
}

static void round_trip(struct str text, size_t step)
{
	static uint8_t packed[1 << 17];
	struct heard h;
	z_stream z = { 0 };

	text = str_head(text, 65536);
	check(deflateInit2(&z, 6, Z_DEFLATED, 31, 8, Z_DEFAULT_STRATEGY) == Z_OK);
	z.next_in = (Bytef *)(uintptr_t)text.p;
	z.avail_in = (uInt)text.n;
	z.next_out = packed;
	z.avail_out = sizeof packed;
	check(deflate(&z, Z_FINISH) == Z_STREAM_END);
	run(DECODER_GZIP, str_make(packed, sizeof packed - z.avail_out), step, &h);
	check(!h.failed && str_eq(buf_str(&h.output), text));
	heard_free(&h);
	deflateEnd(&z);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct heard whole, cut;

	if (size < 2)
		return 0;
	char kind = (char)(data[0] & 0x7f);
	size_t step = data[1] % 61u + 1;
	struct str body = str_make(data + 2, size - 2);

	if (data[0] & 0x80) {
		round_trip(body, step);
		return 0;
	}
	run(kind, body, DECODER_PAYLOAD_MAX, &whole);
	run(kind, body, step, &cut);
	check(whole.failed == cut.failed);
	if (!whole.failed)
		check(str_eq(buf_str(&whole.output), buf_str(&cut.output)) &&
		      str_eq(buf_str(&whole.facts), buf_str(&cut.facts)));
	heard_free(&whole);
	heard_free(&cut);
	return 0;
}
