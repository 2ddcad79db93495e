/* protocol_filter.c - an answer whose body passes through a job of paddock-decoder and comes out as another
 *
 * Theory of operation: what comes is given to the decoder as far as it has room; what comes out is searched
 * for secrets and passed on (relay_pass()). No more is given to it than it has marked as read and the agent
 * has taken, but for UNDER_WAY_MAX bytes: with what a job keeps back at most (decoder/json_walk.h) that fits
 * into the relay's queue (I7). The head waits until the first output, so that a document which cannot be read
 * is refused in words.
 */
#include "courier/protocol.h"

#include "courier/relay.h"

#include <stdlib.h>

#define UNDER_WAY_MAX ((size_t)LINK_PAYLOAD_MAX)

struct protocol_filter {
	struct exchange *x;
	struct decode *decode;
	uint64_t given, marked;		/* bytes of the answer: to the decoder; read by it */
};

static void filter_free(void *filter)
{
	struct protocol_filter *f = filter;

	decode_free(f->decode);
	free(f);
}

static void on_output(void *user, struct str bytes)
{
	struct protocol_filter *f = user;
	struct exchange *x = f->x;
	enum err e = relay_pass(x, bytes, false);

	if (e != ERR_OK) {
		protocol_end(x, e, e == ERR_BODY_TOO_LARGE ? "the answer's" : "");
		return;
	}
	x->down.head_held = false;
	exchange_progress(x);
	exchange_run(x);
}

static void on_mark(void *user, uint64_t input_bytes)
{
	struct protocol_filter *f = user;

	f->marked = input_bytes;
	exchange_run(f->x);
}

static void on_room(void *user)
{
	struct protocol_filter *f = user;

	exchange_run(f->x);
}

static void on_done(void *user, enum err e, const char *reason)
{
	struct protocol_filter *f = user;
	struct exchange *x = f->x;
	struct protocol_run *run = x->protocol;

	decode_free(f->decode);
	f->decode = NULL;
	if (e != ERR_OK) {
		buf_put_z(&run->reason, reason);
		protocol_end(x, e, buf_z(&run->reason) ? buf_z(&run->reason) : "");
		return;
	}
	x->down.head_held = false;
	x->down.filtered = true;
	exchange_run(x);
}

static size_t filter_room(struct exchange *x, void *filter)
{
	const struct protocol_filter *f = filter;
	uint64_t under_way = f->given - f->marked + relay_pending(x);
	size_t room = f->decode ? decode_room(f->decode) : 0;

	if (under_way >= UNDER_WAY_MAX)
		return 0;
	return room < UNDER_WAY_MAX - under_way ? room : (size_t)(UNDER_WAY_MAX - under_way);
}

static enum err filter_input(struct exchange *x, void *filter, struct str bytes)
{
	struct protocol_filter *f = filter;

	(void)x;
	f->given += bytes.n;
	return decode_input(f->decode, bytes);
}

static void filter_end(struct exchange *x, void *filter)
{
	struct protocol_filter *f = filter;

	(void)x;
	decode_end(f->decode);
}

enum err protocol_filter_answer(struct protocol_run *run, enum decoder_job job, struct str parameters)
{
	static const struct decode_ops ops = { .output = on_output, .mark = on_mark, .room = on_room,
						 .done = on_done };
	static const struct filter_ops filter = {
		.room = filter_room, .input = filter_input, .end = filter_end, .free = filter_free
	};
	struct protocol_filter *f = calloc(1, sizeof *f);
	enum err e;

	if (!f)
		return ERR_MEMORY;
	f->x = run->x;
	e = decode_start(run->x->courier, job, parameters, &ops, f, &f->decode);
	if (e != ERR_OK) {
		free(f);
		return e;
	}
	run->x->down.filter = &filter;
	run->x->down.filter_of = f;
	run->x->down.head_held = true;
	return ERR_OK;
}
