/* port.c - see port.h
 *
 * Theory of operation: bytes are read from the port only while the link wants input, whole
 * frames go to the stream's owner, output is written as far as the port takes it. Memory is
 * bounded by the link's limits. The host is trusted to be honest, but a broken link is not
 * repaired: any error ends in `lost`, and with it the machine (I8).
 */
#include "guest/port.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

static char input[65536];	/* one thread, and every frame is handled before the next read */

static void update(struct port *p)
{
	uint32_t events = 0;

	if (link_wants_input(p->link))
		events |= EPOLLIN;
	if (link_output(p->link).n)
		events |= EPOLLOUT;
	if (loop_watch(p->loop, &p->watch, events))
		p->lost(p, ERR_LOCAL);
}

static void handle(struct port *p, const struct link_frame *f)
{
	struct stream *s;

	if (f->type == LINK_HELLO) {
		if (p->ready)
			p->ready(p);
		return;
	}
	if (f->type == LINK_OPEN) {
		if (p->opened)
			p->opened(p, f);
		else
			link_reset(p->link, f->stream, ERR_STATE);
		return;
	}
	s = link_user(p->link, f->stream);
	if (!s)
		link_consumed(p->link, f->stream, f->payload.n);
	else if (f->type == LINK_CREDIT)
		s->resume(s);
	else
		s->frame(s, f);
}

static void receive(struct port *p)
{
	ssize_t n = read(p->watch.fd, input, sizeof input);
	struct link_frame f;
	struct str bytes;
	enum err e;

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n <= 0) {
		p->lost(p, ERR_CLOSED);
		return;
	}
	bytes = str_make(input, (size_t)n);
	while ((e = link_receive(p->link, &bytes, &f)) == ERR_OK)
		handle(p, &f);
	if (e != ERR_MORE)
		p->lost(p, e);
}

static void resume_one(void *ctx, uint32_t stream, void *user)
{
	struct stream *s = user;

	(void)ctx;
	(void)stream;
	if (s)
		s->resume(s);
}

static void send_output(struct port *p)
{
	for (;;) {
		struct str out = link_output(p->link);
		ssize_t n;

		if (!out.n)
			return;
		n = write(p->watch.fd, out.p, out.n);
		if (n < 0 && (errno == EAGAIN || errno == EINTR))
			return;
		if (n <= 0) {
			p->lost(p, ERR_CLOSED);
			return;
		}
		link_sent(p->link, (size_t)n);
	}
}

static void port_ready(struct watch *w, uint32_t events)
{
	struct port *p = (struct port *)w;

	if (events & EPOLLOUT)
		send_output(p);
	if (p->hungry && link_output(p->link).n < LINK_PAYLOAD_MAX) {
		p->hungry = false;
		link_each(p->link, resume_one, NULL);
	}
	if (events & (EPOLLIN | EPOLLHUP | EPOLLERR))
		receive(p);
	port_flush(p);
}

size_t port_room(struct port *p, uint32_t stream)
{
	size_t n = link_sendable(p->link, stream);

	if (n == 0)
		p->hungry = true;
	return n;
}

void port_flush(struct port *p)
{
	send_output(p);
	update(p);
}

enum err port_init(struct port *p, struct loop *loop, int fd, const struct link_limits *limits)
{
	*p = (struct port){ .watch = { .fd = fd, .ready = port_ready }, .loop = loop };
	if (fcntl(fd, F_SETFL, O_NONBLOCK) || fcntl(fd, F_SETFD, FD_CLOEXEC))
		return ERR_LOCAL;
	p->link = link_new(LINK_LOWER, limits);
	return p->link ? ERR_OK : ERR_MEMORY;
}
