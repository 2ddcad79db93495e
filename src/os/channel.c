/* channel.c - a link on a descriptor, driven by libuv                        (see channel.h)
 *
 * Theory of operation: one uv_poll watches the descriptor. What it is armed for is computed
 * in one place, arm(), from state: readable while the link wants input, writable while
 * output waits. A turn reads READ_BYTES at most, so that the channels of one loop share it
 * fairly, and hands out every frame that was in them; then it writes. channel_flush() writes
 * too, but calls nobody back: what a write met there is told by the next turn, for which the
 * channel stays armed. During a turn it leaves that to the turn's end, so that many frames
 * make one write, unless there is a lot.
 *
 * A peer that has gone may have left bytes for us to read (an exit status): when a write
 * fails, output is thrown away and reading goes on up to the end of the stream.
 *
 * The owner may close the channel inside of any callback: everything is freed by libuv's
 * close callback, which comes when no turn is on the stack.
 *
 * Trust: the bytes are the peer's; link.c checks them. Failure: any error, or the end of the
 * stream, is told once by `closed`; from then on nothing is read or written.
 */
#include "os/channel.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#define READ_BYTES (128u * 1024)

/* With less than this in the queue there is room for any payload, as a link's output_max is
 * at least twice LINK_PAYLOAD_MAX: with more, a stream may be waiting. */
#define CROWDED_BYTES (LINK_PAYLOAD_MAX / 2)

struct channel {
	uv_poll_t poll;
	int fd;
	struct link *link;
	struct channel_ops ops;
	void *user;
	int armed;		/* events that the poll watches */
	bool crowded;		/* streams may have waited for room: tell the owner */
	bool turning;		/* turn() is on the stack, and writes at its end */
	bool deaf;		/* the peer reads no more: output is thrown away */
	bool over;		/* `closed` was called */
	bool closing;		/* channel_close() was called */
};

static char input_bytes[READ_BYTES];	/* one for all: turns do not nest */

static void turn(uv_poll_t *poll, int status, int events);

static bool is_alive(const struct channel *c) { return !c->over && !c->closing; }

static void finish(struct channel *c, enum err why)
{
	if (!is_alive(c))
		return;
	c->over = true;
	uv_poll_stop(&c->poll);
	c->ops.closed(c->user, why);
}

/* Returns libuv's word, which is no only for a descriptor that already has a watcher. */
static int arm(struct channel *c)
{
	int events = 0;

	if (!is_alive(c))
		return 0;
	if (link_wants_input(c->link) || c->deaf)
		events |= UV_READABLE;
	if (link_output(c->link).n > 0 || c->crowded || c->deaf)
		events |= UV_WRITABLE;
	if (events == c->armed)
		return 0;
	c->armed = events;
	return uv_poll_start(&c->poll, events, turn);
}

/* Writes once what the descriptor takes. */
static void write_output(struct channel *c)
{
	struct str out = link_output(c->link);
	ssize_t n;

	if (out.n == 0)
		return;
	if (c->ops.sending)
		c->ops.sending(c->user);
	if (out.n >= CROWDED_BYTES)
		c->crowded = true;
	if (c->deaf) {
		link_sent(c->link, out.n);
		return;
	}
	do
		n = send(c->fd, out.p, out.n, MSG_NOSIGNAL | MSG_DONTWAIT);
	while (n < 0 && errno == EINTR);
	if (n > 0)
		link_sent(c->link, (size_t)n);
	else if (n < 0 && errno != EAGAIN && errno != ENOBUFS)
		c->deaf = true;
}

static void receive(struct channel *c, struct str input)
{
	struct link_frame f;
	enum err e;

	for (;;) {
		e = link_receive(c->link, &input, &f);
		if (e == ERR_MORE)
			return;
		if (e) {
			finish(c, e);
			return;
		}
		c->ops.frame(c->user, &f);
		if (!is_alive(c))
			return;
	}
}

static void read_input(struct channel *c)
{
	ssize_t n;

	do
		n = recv(c->fd, input_bytes, sizeof input_bytes, MSG_DONTWAIT);
	while (n < 0 && errno == EINTR);
	if (n > 0)
		receive(c, str_make(input_bytes, (size_t)n));
	else if (n == 0 || c->deaf || errno == ECONNRESET)
		finish(c, ERR_CLOSED);
	else if (errno != EAGAIN)
		finish(c, ERR_LOCAL);
}

static void turn(uv_poll_t *poll, int status, int events)
{
	struct channel *c = poll->data;

	if (status < 0) {	/* libuv stopped the poll: read to learn why */
		c->armed = 0;
		events |= UV_READABLE;
	}
	c->turning = true;
	if (c->deaf || ((events & UV_READABLE) && link_wants_input(c->link)))
		read_input(c);
	c->turning = false;
	if (is_alive(c))
		write_output(c);
	if (is_alive(c) && c->crowded && link_output(c->link).n < CROWDED_BYTES) {
		c->crowded = false;
		if (c->ops.writable)
			c->ops.writable(c->user);
		if (is_alive(c))
			write_output(c);
	}
	(void)arm(c);
}

static void freed(uv_handle_t *handle)
{
	struct channel *c = handle->data;

	if (c->fd >= 0)
		close(c->fd);
	link_free(c->link);
	free(c);
}

struct channel *channel_new(uv_loop_t *loop, int fd, struct link *link,
			    const struct channel_ops *ops, void *user)
{
	struct channel *c = calloc(1, sizeof *c);
	int flags;

	if (!c)
		return NULL;
	*c = (struct channel){ .fd = fd, .link = link, .ops = *ops, .user = user };
	flags = fcntl(fd, F_GETFL);
	if (flags < 0 || fcntl(fd, F_SETFL, flags | O_NONBLOCK) || uv_poll_init(loop, &c->poll, fd)) {
		free(c);
		return NULL;
	}
	c->poll.data = c;
	if (arm(c)) {
		c->fd = -1;	/* with @link, it stays the caller's */
		c->link = NULL;
		uv_close((uv_handle_t *)&c->poll, freed);
		return NULL;
	}
	return c;
}

struct link *channel_link(struct channel *c) { return c->link; }

void channel_flush(struct channel *c)
{
	if (!is_alive(c) || (c->turning && link_output(c->link).n < CROWDED_BYTES))
		return;
	write_output(c);
	(void)arm(c);
}

void channel_close(struct channel *c)
{
	if (!c || c->closing)
		return;
	if (!c->over)
		write_output(c);	/* last words, if they fit */
	c->closing = true;
	uv_close((uv_handle_t *)&c->poll, freed);
}
