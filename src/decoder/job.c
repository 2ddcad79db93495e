/* job.c - runs one job: the courier's messages in, the job's findings out, under caps
 *
 * Theory of operation: a job is started by its first message, fed by those that follow, and over with an END
 * or a FAIL of its own, after which it takes nothing. Output is gathered to messages of at most
 * DECODER_PAYLOAD_MAX and handed to the sink before anything that refers to it (a mark, a fact, the end) and
 * at the latest when the courier's message has been dealt with, so that nothing waits here for input that
 * does not come.
 * Bytes: messages come from the courier and are checked
 * all the same; payloads are hostile, and the kinds' own.
 * Failure: one, the first, is told; a sink that takes no more ends the job without a word.
 */
#include "decoder/job.h"

#include <stdlib.h>

enum job_stage { JOB_IDLE, JOB_RUNS, JOB_OVER };

struct job {
	struct job_sink sink;
	enum job_stage stage;
	const struct job_kind *kind;
	void *state;
	uint64_t taken, output, marked;
	unsigned facts;
	struct buf gathered;		/* output that has not been handed over */
	enum err failed;
	const char *words;
};

struct job *job_new(const struct job_sink *sink)
{
	struct job *j = calloc(1, sizeof *j);

	if (!j)
		return NULL;
	j->sink = *sink;
	j->words = "";
	buf_init(&j->gathered, DECODER_PAYLOAD_MAX);
	return j;
}

void job_free(struct job *j)
{
	if (!j)
		return;
	if (j->kind && j->kind->free && j->state)
		j->kind->free(j);
	free(j->state);
	buf_free(&j->gathered);
	free(j);
}

void *job_state(struct job *j) { return j->state; }

uint64_t job_taken(const struct job *j) { return j->taken; }

enum err job_fail(struct job *j, enum err e, const char *words)
{
	if (!j->failed) {
		j->failed = e;
		j->words = words;
	}
	return j->failed;
}

static enum err say(struct job *j, enum decoder_type type, struct str payload)
{
	auto_buf message = BUF_EMPTY;

	buf_init(&message, DECODER_HEADER_BYTES + DECODER_PAYLOAD_MAX);
	if (decoder_put(&message, type, payload))
		return job_fail(j, ERR_MEMORY, "no memory");
	return j->sink.write(j->sink.user, buf_str(&message)) ? ERR_OK
							      : job_fail(j, ERR_CLOSED, "nobody listens");
}

static enum err flush(struct job *j)
{
	enum err e = j->gathered.len ? say(j, DECODER_DATA, buf_str(&j->gathered)) : ERR_OK;

	buf_clear(&j->gathered);
	return e;
}

enum err job_output(struct job *j, struct str bytes)
{
	j->output += bytes.n;
	if (j->output > DECODER_OUTPUT_MAX)
		return job_fail(j, ERR_BODY_TOO_LARGE, "more than a body may hold once it is decoded");
	if (j->output > JOB_RATIO_FREE && j->output / DECODER_RATIO_MAX > j->taken)
		return job_fail(j, ERR_DECODER, "it expands beyond all measure");
	while (bytes.n) {
		struct str piece = str_head(bytes, buf_room(&j->gathered));

		buf_put(&j->gathered, piece);
		if (buf_err(&j->gathered))
			return job_fail(j, ERR_MEMORY, "no memory");
		bytes = str_from(bytes, piece.n);
		if (buf_room(&j->gathered) == 0 && flush(j))
			return j->failed;
	}
	return ERR_OK;
}

enum err job_fact(struct job *j, struct str name, struct str value)
{
	auto_buf fact = BUF_EMPTY;

	if (++j->facts > JOB_FACTS_MAX || name.n == 0 || name.n > JOB_FACT_NAME_MAX ||
	    str_find(name, 0) != name.n || value.n > DECODER_PAYLOAD_MAX - name.n - 1)
		return job_fail(j, ERR_LIMIT, "more was found than can be told");
	buf_init(&fact, DECODER_PAYLOAD_MAX);
	buf_put(&fact, name);
	buf_put_byte(&fact, 0);
	buf_put(&fact, value);
	if (buf_err(&fact))
		return job_fail(j, ERR_MEMORY, "no memory");
	enum err e = flush(j);
	return e ? e : say(j, DECODER_FACT, buf_str(&fact));
}

enum err job_mark(struct job *j, uint64_t input_bytes)
{
	auto_buf mark = BUF_EMPTY;
	enum err e;

	if (input_bytes <= j->marked || input_bytes > j->taken)
		return ERR_OK;
	j->marked = input_bytes;
	e = flush(j);
	buf_init(&mark, sizeof(uint64_t));
	buf_put_u64le(&mark, input_bytes);
	return e ? e : say(j, DECODER_MARK, buf_str(&mark));
}

/* ---- running ---- */

static enum err begin(struct job *j, struct str payload)
{
	uint8_t number = payload.n ? (uint8_t)payload.p[0] : 0;
	const struct job_kind *kind = number < DECODER_JOBS ? job_kinds[number] : NULL;

	if (!kind || payload.n - 1 > DECODER_JOB_MAX)
		return job_fail(j, ERR_INPUT, "no such job");
	j->state = calloc(1, kind->state_bytes ? kind->state_bytes : 1);
	if (!j->state)
		return job_fail(j, ERR_MEMORY, "no memory");
	j->kind = kind;
	j->stage = JOB_RUNS;
	return kind->start ? kind->start(j, str_from(payload, 1)) : ERR_OK;
}

static enum err feed(struct job *j, struct str bytes)
{
	if (bytes.n == 0)
		return job_fail(j, ERR_INPUT, "empty data");
	j->taken += bytes.n;
	return j->kind->input ? j->kind->input(j, bytes) : ERR_OK;
}

static enum err end(struct job *j)
{
	enum err e = j->kind->end ? j->kind->end(j) : ERR_OK;

	if (!e)
		e = job_mark(j, j->taken);	/* nothing can come: all of it is in the output */
	if (!e)
		e = flush(j);
	if (!e)
		e = say(j, DECODER_END, STR(""));
	j->stage = JOB_OVER;
	return e;
}

static enum err dispatch(struct job *j, enum decoder_type type, struct str payload)
{
	if (j->stage == JOB_IDLE && type == DECODER_JOB)
		return begin(j, payload);
	if (j->stage == JOB_RUNS && type == DECODER_DATA)
		return feed(j, payload);
	if (j->stage == JOB_RUNS && type == DECODER_END && payload.n == 0)
		return end(j);
	return job_fail(j, ERR_INPUT, "a message out of order");
}

/* What was found up to the failure is told before it. */
static void say_failure(struct job *j, enum err e)
{
	auto_buf failure = BUF_EMPTY;
	struct str words = str_of(j->words);

	j->stage = JOB_OVER;
	if (j->failed == ERR_CLOSED || flush(j))
		return;
	buf_init(&failure, 2 + words.n);
	buf_put_u16le(&failure, (uint16_t)e);
	buf_put(&failure, words);
	(void)!say(j, DECODER_FAIL, buf_str(&failure));
}

enum err job_message(struct job *j, enum decoder_type type, struct str payload)
{
	enum err e;

	if (j->stage == JOB_OVER)
		return ERR_CLOSED;
	e = dispatch(j, type, payload);
	if (!e && !j->failed)
		e = flush(j);
	if (e || j->failed)
		say_failure(j, j->failed ? j->failed : e);
	return j->stage == JOB_OVER ? ERR_CLOSED : ERR_OK;
}
