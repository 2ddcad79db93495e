/* socket.c - see socket.h
 *
 * Theory of operation: a connected socket is a transport like a stream of the guest's link. What was read and
 * not yet used up is bounded by the same window: over it, the socket is not read. What the kernel did not
 * take is kept, a piece at most, and nothing more is sendable until it is gone. The poll handle outlives the
 * connection until libuv lets go.
 */
#include "inspector/socket.h"

#include "inspector/connection.h"
#include "os/fd.h"

#include <errno.h>
#include <stdlib.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

#define PIECE 65536u
#define ACCEPTS_A_TURN 64

struct socket {
	uv_poll_t poll;
	int fd, events;
	struct connection *connection;	/* NULL: it has gone */
	size_t held;			/* read, and not yet used up */
	struct buf rest;		/* that the kernel did not take */
	bool ending, ended;		/* no more from us, once the rest is gone; no more from the client */
};

struct front {
	uv_poll_t poll;
	struct inspector *inspector;
	int fd;
};

static void happened(uv_poll_t *poll, int status, int events);

static void interest(struct socket *s)
{
	int events = (!s->ended && s->held < INSPECTOR_GUEST_WINDOW ? UV_READABLE : 0) |
		     (s->rest.len ? UV_WRITABLE : 0);

	if (events == s->events)
		return;
	s->events = events;
	if (events)
		(void)uv_poll_start(&s->poll, events, happened);
	else
		(void)uv_poll_stop(&s->poll);
}

static struct socket *socket_of(const struct transport *t) { return t->socket; }

static size_t sendable(const struct transport *t)
{
	const struct socket *s = socket_of(t);

	return s->rest.len || s->ending ? 0 : PIECE;
}

/* ERR_CLOSED: the client has gone */
static enum err write_some(struct socket *s, struct str *bytes)
{
	while (bytes->n) {
		ssize_t n = send(s->fd, bytes->p, bytes->n, MSG_NOSIGNAL | MSG_DONTWAIT);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return errno == EAGAIN || errno == EWOULDBLOCK ? ERR_OK : ERR_CLOSED;
		*bytes = str_from(*bytes, (size_t)n);
	}
	return ERR_OK;
}

static enum err send_bytes(struct transport *t, struct str bytes)
{
	struct socket *s = socket_of(t);
	enum err e = write_some(s, &bytes);

	if (!e) {
		buf_put(&s->rest, bytes);
		e = buf_err(&s->rest);
	}
	if (e)	/* a client that had ended its side is not read any more: nothing else would say that it has gone */
		connection_lost(s->connection, ERR_CANCELLED);
	else
		interest(s);
	return e;
}

static bool flushed(const struct transport *t) { return socket_of(t)->rest.len == 0; }

static void consumed(struct transport *t, size_t n)
{
	struct socket *s = socket_of(t);

	s->held -= n;
	interest(s);
}

static void end(struct transport *t)
{
	struct socket *s = socket_of(t);

	if (!s->ending && s->rest.len == 0)
		(void)shutdown(s->fd, SHUT_WR);
	s->ending = true;
}

static void reset(struct transport *t, enum err why)
{
	const struct linger at_once = { .l_onoff = 1 };

	(void)why;
	socket_of(t)->ending = true;	/* no orderly end before it */
	(void)setsockopt(socket_of(t)->fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
}

static void freed(uv_handle_t *handle)
{
	struct socket *s = (struct socket *)handle;

	close(s->fd);
	buf_free(&s->rest);
	free(s);
}

static void release(struct transport *t)
{
	struct socket *s = socket_of(t);

	s->connection = NULL;
	uv_close((uv_handle_t *)&s->poll, freed);
}

static const struct transport_ops ops = { sendable, send_bytes, flushed, consumed, end, reset, release };

static void readable(struct socket *s)
{
	static char bytes[PIECE];
	size_t room = INSPECTOR_GUEST_WINDOW - s->held;
	ssize_t n = recv(s->fd, bytes, room < sizeof bytes ? room : sizeof bytes, MSG_DONTWAIT);

	if (n > 0) {
		s->held += (size_t)n;
		connection_input(s->connection, str_make(bytes, (size_t)n));
	} else if (n == 0) {
		s->ended = true;
		connection_input_end(s->connection);
	} else if (errno != EAGAIN && errno != EWOULDBLOCK && errno != EINTR) {
		s->ended = true;
		connection_lost(s->connection, ERR_CANCELLED);
	}
}

static void writable(struct socket *s)
{
	struct str left = buf_str(&s->rest);
	size_t before = left.n;

	if (write_some(s, &left)) {
		connection_lost(s->connection, ERR_CANCELLED);
		buf_clear(&s->rest);
		return;
	}
	buf_drop(&s->rest, before - left.n);
	if (s->rest.len)
		return;
	if (s->ending)
		(void)shutdown(s->fd, SHUT_WR);
	connection_wake(s->connection);
}

static void happened(uv_poll_t *poll, int status, int events)
{
	struct socket *s = (struct socket *)poll;

	if (!s->connection)
		return;
	if (status < 0)
		events = UV_READABLE | UV_WRITABLE;	/* the call meets the failure */
	if (events & UV_WRITABLE)
		writable(s);
	if (events & UV_READABLE && s->held < INSPECTOR_GUEST_WINDOW)
		readable(s);
	interest(s);
}

/* -- the front -------------------------------------------------------------------------- */

static void begin(struct inspector *i, int fd)
{
	struct socket *s = calloc(1, sizeof *s);
	struct connection *c = s ? connection_new(i) : NULL;
	int one = 1;

	if (!c || uv_poll_init(i->loop, &s->poll, fd)) {
		if (c)
			connection_drop(c);
		close(fd);
		free(s);
		return;
	}
	(void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
	s->fd = fd;
	s->connection = c;
	buf_init(&s->rest, PIECE);
	c->transport = (struct transport){ .ops = &ops, .inspector = i, .socket = s };
	connection_begin_proxy(c);
	interest(s);
}

static void accepted(uv_poll_t *poll, int status, int events)
{
	struct front *f = (struct front *)poll;
	enum err e = ERR_OK;

	(void)status, (void)events;
	for (int i = 0; i < ACCEPTS_A_TURN && e != ERR_MORE && e != ERR_CLOSED; i++) {
		int fd = -1;
		size_t n;
		char byte;

		e = fd_receive(f->fd, &byte, 1, &n, &fd);
		if (fd >= 0)
			begin(f->inspector, fd);
	}
	if (e == ERR_CLOSED) {	/* the supervisor has gone */
		(void)uv_poll_stop(&f->poll);
		inspector_front_over(f->inspector);
	}
}

enum err front_start(struct inspector *i, int fd, struct front **ret)
{
	struct front *f = calloc(1, sizeof *f);

	if (!f || uv_poll_init(i->loop, &f->poll, fd)) {
		free(f);
		return ERR_MEMORY;
	}
	f->inspector = i;
	f->fd = fd;
	(void)uv_poll_start(&f->poll, UV_READABLE, accepted);
	*ret = f;
	return ERR_OK;
}

static void front_freed(uv_handle_t *handle)
{
	struct front *f = (struct front *)handle;

	close(f->fd);
	free(f);
}

void front_stop(struct front *f)
{
	if (f)
		uv_close((uv_handle_t *)&f->poll, front_freed);
}
