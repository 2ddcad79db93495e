/* job.h - one job of paddock-decoder, as its process runs it
 *
 * A kind of job is a row in the table (job_kinds, job_table.c) and a file of functions. They get the body
 * piece by piece and say what they find with the functions below. No job does any I/O, keeps a time or knows
 * which transport it is on: it runs the same way in the child of the fork server, in a unit test and under a
 * fuzzer. Every byte that a job sees is hostile; it runs in a process of its own, which ends with it.
 *
 * The functions of a kind return ERR_OK, or what job_fail()
 * gave, or what a job_*() of below gave: pass it on.
 */
#pragma once

#include "decoder/decoder.h"

#define JOB_FACTS_MAX 65536		/* of one job */
#define JOB_FACT_NAME_MAX 64
#define JOB_RATIO_FREE (1u << 20)	/* bytes of output before DECODER_RATIO_MAX counts */

struct job;

/** struct job_kind - @start, @input and @end may each be NULL: nothing to do there */
struct job_kind {
	const char *name;		/* for people; NULL: no such job */
	/** in the server, once, before it is confined: what a
	 * library would load late, which no child can. May be NULL */
	enum err (*prepare)(void);
	size_t state_bytes;		/* of job_state(), zeroed before @start */
	/** @parameters: JSON text or empty, <= DECODER_JOB_MAX; borrowed for the call */
	enum err (*start)(struct job *j, struct str parameters);
	/** @bytes: 1..DECODER_PAYLOAD_MAX of the body, borrowed for the call */
	enum err (*input)(struct job *j, struct str bytes);
	/** the body is complete: ERR_OK only if it was whole and good */
	enum err (*end)(struct job *j);
	/** also after a failed start; NULL: nothing to release */
	void (*free)(struct job *j);
};

/** job_kinds[] - by enum decoder_job; a row without a name is no job */
extern const struct job_kind *const job_kinds[DECODER_JOBS];

/* ---- for the kinds ---- */

void *job_state(struct job *j);
/** job_taken() - bytes of input handed to the job, those of the present call included */
uint64_t job_taken(const struct job *j);
/** job_output() - bytes of the output. ERR_BODY_TOO_LARGE
 *  over DECODER_OUTPUT_MAX, ERR_DECODER over the ratio,
 *  ERR_CLOSED: nobody listens any more, ERR_MEMORY */
must_use enum err job_output(struct job *j, struct str bytes);
/** job_fact() - what was found; @name without a NUL, both
 * within one message. ERR_LIMIT, ERR_CLOSED, ERR_MEMORY */
must_use enum err job_fact(struct job *j, struct str name, struct str value);
/** job_mark() - the first @input_bytes of the input are wholly reflected in the output so far (decoder.h):
 *  who passes them on reveals nothing that is not in it.
 *  <= job_taken(); a lower one than before is ignored */
must_use enum err job_mark(struct job *j, uint64_t input_bytes);
/** job_fail() - why the job failed, in @words (static);
 * returns @e. The first failure is the one that counts. */
must_use enum err job_fail(struct job *j, enum err e, const char *words);

/* ---- for who runs them ---- */

/** job_prepare() - of all kinds; also jansson's seed, for every kind that reads JSON */
must_use enum err job_prepare(void);

/** struct job_sink - takes whole messages of decoder.h; false: nobody listens any more */
struct job_sink {
	bool (*write)(void *user, struct str messages);
	void *user;
};

/** job_new() - a runner for one job; NULL without memory */
struct job *job_new(const struct job_sink *sink);
void job_free(struct job *j);
/** job_message() - the courier's next message. What the job says of it has gone to the sink when this
 *  returns. Return: ERR_OK; ERR_CLOSED: the job is over (END or FAIL has been said, or nobody listens) */
must_use enum err job_message(struct job *j, enum decoder_type type, struct str payload);
