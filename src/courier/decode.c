/* decode.c - the courier's side of paddock-decoder; see decode.h
 *
 * Theory of operation: a job is a socketpair, one end of which goes to the fork server with one packet; what
 * is written to the other end reaches a process that exists for this job alone. The pair is made here, and
 * not by the
 * server: so a job begins without a wait, no descriptor ever comes from a less trusted process, and all that
 * it costs the courier's confinement is socketpair(AF_UNIX), whose ends lead nowhere.
 * Messages wait in `out` until the socket takes them, and in `in` until they are whole; interest in the
 * socket follows from these and from `paused` alone (watch()). What was read already when a pause ends is
 * delivered from the loop (`again`).
 * Bytes: every message is checked for form, order and bounds. Its payload is the owner's to judge.
 * Failure: whatever goes wrong is one `done`, after which nothing comes.
 */
#include "courier/decode.h"

#include "base/auto.h"
#include "courier/queue.h"
#include "os/fd.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>

#define MESSAGE_MAX ((size_t)DECODER_HEADER_BYTES + DECODER_PAYLOAD_MAX)
#define FACTS_MAX 65536
#define REASON_BYTES 120

struct decode {
	struct courier *courier;
	const struct decode_ops *ops;
	void *user;
	int fd;
	uv_poll_t poll;
	uv_idle_t again;
	unsigned handles;		/* not closed yet */
	struct queue out, in;
	uint64_t taken, marked, output;	/* bytes of input, of it marked, of output */
	unsigned facts;
	bool ended;			/* END is in `out` */
	bool deaf;			/* the decoder takes no more: it may still say why */
	bool full;			/* its owner was told that there is no room */
	bool paused, finished, freed;
};

static void on_ready(uv_poll_t *handle, int status, int events);
static void on_again(uv_idle_t *handle);

static void watch(struct decode *d)
{
	int events = 0;

	if (d->finished || d->freed)
		return;
	if (!d->paused)
		events |= UV_READABLE;
	if (!d->deaf && queue_bytes(&d->out))
		events |= UV_WRITABLE;
	if (!events || uv_poll_start(&d->poll, events, on_ready))
		uv_poll_stop(&d->poll);
}

static void finish(struct decode *d, enum err e, const char *reason)
{
	if (d->finished || d->freed)
		return;
	d->finished = true;
	uv_poll_stop(&d->poll);
	uv_idle_stop(&d->again);
	d->ops->done(d->user, e, reason);
}

/* ---- what the decoder says ---- */

static enum err failure_of(uint32_t code)
{
	static const enum err known[] = { ERR_BODY_TOO_LARGE, ERR_LIMIT, ERR_MEMORY, ERR_INPUT,
					  ERR_PROTOCOL_UNRECOGNISED, ERR_CONTENT_DENIED };

	for (size_t i = 0; i < sizeof known / sizeof *known; i++)
		if ((uint32_t)known[i] == code)
			return known[i];
	return ERR_DECODER;
}

static void take_failure(struct decode *d, struct str p)
{
	char reason[REASON_BYTES];
	struct str words = str_head(str_from(p, 2), sizeof reason - 1);

	if (p.n < 2) {
		finish(d, ERR_DECODER, "the decoder is out of order");
		return;
	}
	for (size_t i = 0; i < words.n; i++)
		reason[i] = (char)(words.p[i] < ' ' || words.p[i] > '~' ? '?' : words.p[i]);
	reason[words.n] = 0;
	finish(d, failure_of((uint8_t)p.p[0] | (uint32_t)(uint8_t)p.p[1] << 8), reason);
}

static bool take_mark(struct decode *d, struct str p)
{
	uint64_t mark = 0;

	if (p.n != sizeof mark)
		return false;
	for (size_t i = sizeof mark; i-- > 0;)
		mark = mark << 8 | (uint8_t)p.p[i];
	if (mark <= d->marked || mark > d->taken)
		return false;
	d->marked = mark;
	if (d->ops->mark)
		d->ops->mark(d->user, mark);
	return true;
}

static bool take_fact(struct decode *d, struct str p)
{
	size_t name = str_find(p, 0);

	if (name == 0 || name == p.n || ++d->facts > FACTS_MAX)
		return false;
	if (d->ops->fact)
		d->ops->fact(d->user, str_head(p, name), str_from(p, name + 1));
	return true;
}

static bool take_output(struct decode *d, struct str p)
{
	d->output += p.n;
	if (p.n == 0 || d->output > DECODER_OUTPUT_MAX)
		return false;
	if (d->ops->output)
		d->ops->output(d->user, p);
	return true;
}

/* false: not what a decoder says here */
static bool take(struct decode *d, enum decoder_type type, struct str p)
{
	switch (type) {
	case DECODER_DATA: return take_output(d, p);
	case DECODER_FACT: return take_fact(d, p);
	case DECODER_MARK: return take_mark(d, p);
	case DECODER_FAIL: take_failure(d, p); return true;
	case DECODER_END:
		if (p.n || !d->ended || queue_bytes(&d->out))
			return false;
		finish(d, ERR_OK, "");
		return true;
	case DECODER_JOB: break;
	}
	return false;
}

/* All that is whole, until somebody says stop. */
static void deliver(struct decode *d)
{
	while (!d->paused && !d->finished && !d->freed) {
		struct str input = queue_str(&d->in), payload;
		size_t before = input.n;
		enum decoder_type type;
		enum err e = decoder_next(&input, &type, &payload);

		if (e == ERR_MORE)
			return;
		if (e != ERR_OK || !take(d, type, payload)) {
			finish(d, ERR_DECODER, "the decoder is out of order");
			return;
		}
		queue_drop(&d->in, before - input.n);
	}
}

/* ---- the socket ---- */

/* false: nothing more comes */
static bool receive(struct decode *d)
{
	queue_compact(&d->in);
	if (buf_reserve(&d->in.b, buf_room(&d->in.b)))
		return false;
	ssize_t n = recv(d->fd, buf_tail(&d->in.b), buf_room(&d->in.b), MSG_DONTWAIT);

	if (n < 0)
		return errno == EAGAIN || errno == EINTR;
	d->in.b.len += (size_t)n;
	return n > 0;
}

static void transmit(struct decode *d)
{
	while (!d->deaf && queue_bytes(&d->out)) {
		struct str out = queue_str(&d->out);
		ssize_t n = send(d->fd, out.p, out.n, MSG_DONTWAIT | MSG_NOSIGNAL);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && errno == EAGAIN)
			break;
		d->deaf = n < 0;
		queue_drop(&d->out, n < 0 ? out.n : (size_t)n);
	}
}

static void on_ready(uv_poll_t *handle, int status, int events)
{
	struct decode *d = handle->data;
	bool open = true;

	if (events & UV_WRITABLE)
		transmit(d);
	if ((events & UV_READABLE || status < 0) && !d->paused)
		open = receive(d);
	deliver(d);
	if (!open && !d->paused)
		finish(d, ERR_DECODER, "the decoder ended before it was done");
	if (d->full && !d->freed && !d->finished && decode_room(d)) {
		d->full = false;
		if (d->ops->room)
			d->ops->room(d->user);
	}
	watch(d);
}

static void on_again(uv_idle_t *handle)
{
	struct decode *d = handle->data;

	uv_idle_stop(handle);
	deliver(d);
	watch(d);
}

/* ---- beginning and end ---- */

static void handle_closed(uv_handle_t *handle)
{
	struct decode *d = handle->data;

	if (--d->handles)
		return;
	queue_free(&d->out);
	queue_free(&d->in);
	free(d);
}

/* One end of a new pair is with the fork server, the other in *ret_fd. */
static enum err ask_server(int server, int *ret_fd)
{
	int pair[2];
	enum err e;

	if (server < 0)
		return ERR_DECODER;
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair))
		return ERR_LOCAL;
	auto_fd ours = pair[0];
	auto_fd theirs = pair[1];

	e = fd_send(server, STR("j"), theirs);
	if (e)
		return e == ERR_MORE ? ERR_LIMIT : ERR_DECODER;
	*ret_fd = fd_take(&ours);
	return ERR_OK;
}

static enum err decode_new(struct courier *c, int *fd, struct decode **ret)
{
	struct decode *d = calloc(1, sizeof *d);

	if (!d)
		return ERR_MEMORY;
	if (uv_poll_init(c->options.loop, &d->poll, *fd)) {
		free(d);
		return ERR_LOCAL;
	}
	uv_idle_init(c->options.loop, &d->again);
	d->poll.data = d->again.data = d;
	d->handles = 2;
	d->fd = fd_take(fd);
	d->courier = c;
	c->decodes++;
	queue_init(&d->out, 3 * MESSAGE_MAX);	/* the job, a payload, the end */
	queue_init(&d->in, MESSAGE_MAX);
	*ret = d;
	return ERR_OK;
}

static enum err put(struct decode *d, enum decoder_type type, struct str payload)
{
	const size_t n = payload.n;
	char header[DECODER_HEADER_BYTES] = { (char)type, 0, 0, 0, (char)(n & 0xff), (char)(n >> 8 & 0xff),
					      (char)(n >> 16 & 0xff), 0 };
	enum err e = queue_put(&d->out, str_make(header, sizeof header));

	return e ? e : queue_put(&d->out, payload);
}

static enum err put_job(struct decode *d, enum decoder_job job, struct str parameters)
{
	auto_buf payload = BUF_EMPTY;

	buf_init(&payload, 1 + DECODER_JOB_MAX);
	buf_put_byte(&payload, (uint8_t)job);
	buf_put(&payload, parameters);
	return buf_err(&payload) ? buf_err(&payload) : put(d, DECODER_JOB, buf_str(&payload));
}

enum err decode_start(struct courier *c, enum decoder_job job, struct str parameters,
		      const struct decode_ops *ops, void *user, struct decode **ret)
{
	struct decode *d;
	auto_fd fd = -1;

	if (parameters.n > DECODER_JOB_MAX)
		return ERR_INPUT;
	if (c->decodes >= DECODER_CHILDREN_MAX)
		return ERR_LIMIT;
	enum err e = ask_server(c->options.decoder, &fd);

	if (!e)
		e = decode_new(c, &fd, &d);
	if (e)
		return e;
	d->ops = ops;
	d->user = user;
	e = put_job(d, job, parameters);
	if (e) {
		decode_free(d);
		return e;
	}
	transmit(d);
	watch(d);
	*ret = d;
	return ERR_OK;
}

size_t decode_room(const struct decode *d)
{
	size_t waiting = queue_bytes(&d->out);

	return d->ended || waiting >= DECODER_PAYLOAD_MAX ? 0 : DECODER_PAYLOAD_MAX - waiting;
}

enum err decode_input(struct decode *d, struct str bytes)
{
	if (bytes.n == 0 || bytes.n > decode_room(d))
		return ERR_STATE;
	d->taken += bytes.n;
	if (d->deaf || d->finished)
		return ERR_OK;		/* why is told by `done` */
	enum err e = put(d, DECODER_DATA, bytes);

	if (e)
		return e;
	transmit(d);
	d->full = decode_room(d) == 0;
	watch(d);
	return ERR_OK;
}

void decode_end(struct decode *d)
{
	if (d->ended)
		return;
	d->ended = true;
	if (put(d, DECODER_END, STR("")) != ERR_OK)
		d->deaf = true;		/* without an end it cannot end well */
	transmit(d);
	watch(d);
}

void decode_pause(struct decode *d, bool paused)
{
	if (d->paused == paused || d->finished || d->freed)
		return;
	d->paused = paused;
	if (!paused && queue_bytes(&d->in))
		uv_idle_start(&d->again, on_again);
	watch(d);
}

void decode_free(struct decode *d)
{
	if (!d || d->freed)
		return;
	d->freed = true;
	d->courier->decodes--;
	uv_close((uv_handle_t *)&d->poll, handle_closed);
	uv_close((uv_handle_t *)&d->again, handle_closed);
	close(d->fd);
	d->fd = -1;
}
