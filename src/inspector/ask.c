/* ask.c - one question to the courier, one answer, one deadline
 *
 * Theory of operation: OPEN carries the question and we END at once; the courier answers with one
 * HEAD, a msg_status. Anything else (END or RESET first, a message that does not parse, silence) is
 * an error and never a yes (I8).
 */
#include "inspector/ask.h"

#include <stdlib.h>

struct ask {
	struct stream stream;	/* first */
	struct inspector *inspector;
	struct wait wait;
	uint32_t number;
	ask_done *done;
	void *context;
};

/* Lets go of the stream; what still comes on it has no owner and is dropped. */
static void release(struct ask *a, bool reset)
{
	struct link *l = courier_link(a->inspector);

	wait_clear(&a->wait);
	link_set_user(l, a->number, NULL);
	if (reset)
		link_reset(l, a->number, ERR_CANCELLED);
	free(a);
}

static void answer(struct ask *a, enum err e, const struct msg_status *status, bool reset)
{
	ask_done *done = a->done;
	void *context = a->context;

	release(a, reset);
	done(context, e, status);
}

static void frame(struct stream *s, const struct link_frame *f)
{
	struct ask *a = (struct ask *)s;
	struct msg_status status;
	enum err e;

	if (f->type == LINK_CREDIT)
		return;
	if (f->type == LINK_HEAD) {
		e = msg_get_status(f->payload, &status);
		answer(a, e, e ? NULL : &status, false);
	} else if (f->type == LINK_RESET) {
		answer(a, f->reason ? f->reason : ERR_CANCELLED, NULL, false);
	} else {
		answer(a, ERR_LINK_STATE, NULL, true);
	}
}

static void expired(struct wait *w)
{
	struct ask *a = (struct ask *)((char *)w - offsetof(struct ask, wait));
	struct inspector *i = a->inspector;

	answer(a, ERR_TIMEOUT, NULL, true);
	inspector_flush(i);
}

enum err ask_start(struct inspector *i, enum link_kind kind, const struct msg_connect *m,
		   ask_done *done, void *context, struct ask **ret)
{
	struct ask *a = calloc(1, sizeof *a);
	auto_buf fields = BUF_EMPTY;
	enum err e;

	buf_init(&fields, LINK_OPEN_MAX - 1);
	if (!a)
		return ERR_MEMORY;
	*a = (struct ask){ .stream = { frame }, .inspector = i, .done = done, .context = context };
	e = put_connect(&fields, m);
	if (!e)
		e = link_open(courier_link(i), kind, buf_str(&fields), &a->number);
	if (e) {
		free(a);
		return e;
	}
	link_set_user(courier_link(i), a->number, a);
	link_end(courier_link(i), a->number);
	wait_set(&i->waits, &a->wait, i->limits.ask_ms, expired);
	*ret = a;
	return ERR_OK;
}

void ask_cancel(struct ask *a)
{
	if (a)
		release(a, true);
}
