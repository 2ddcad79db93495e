/* fuse.c - the guest kernel's FUSE messages, carried to paddock-files
 *
 * Theory of operation: one read() of /dev/fuse is one request, one write() one reply; on the
 * stream they lie back to back, each beginning with its length (linux/fuse.h). One request
 * waits here until the link has taken all of it, one reply until it is whole; meanwhile the
 * kernel queues, or credit holds paddock-files back. Nothing of a message but its length is
 * looked at: the kernel asks, paddock-files decides.
 *
 * Failure: a length out of bounds, a reply that the kernel calls malformed, or the stream's
 * end closes /dev/fuse, which aborts the mount: accesses fail, none hangs.
 */
#include "guest/fuse.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/fuse.h>
#include <stdlib.h>
#include <unistd.h>

struct fuse {
	struct watch watch;
	struct stream stream;
	struct port *port;
	uint32_t number;
	size_t request_len, request_sent;
	size_t reply_len;
	char request[FUSE_CARRY_MAX], reply[FUSE_CARRY_MAX];
};

static void fuse_stop(struct fuse *f, enum err why)
{
	if (f->watch.fd < 0)
		return;
	loop_forget(f->port->loop, &f->watch);
	close(f->watch.fd);
	f->watch.fd = -1;
	link_set_user(f->port->link, f->number, NULL);
	link_reset(f->port->link, f->number, why);
}

/* What waits of the request goes out as far as credit lets it. */
static enum err push_request(struct fuse *f)
{
	while (f->request_sent < f->request_len) {
		size_t room = port_room(f->port, f->number), n = f->request_len - f->request_sent;
		enum err e;

		if (room == 0)
			return ERR_OK;
		n = n < room ? n : room;
		e = link_data(f->port->link, f->number, 0, str_make(f->request + f->request_sent, n));
		if (e)
			return e;
		f->request_sent += n;
	}
	f->request_len = f->request_sent = 0;
	return ERR_OK;
}

static void fuse_update(struct fuse *f)
{
	if (f->watch.fd >= 0 && loop_watch(f->port->loop, &f->watch, f->request_len ? 0 : EPOLLIN))
		fuse_stop(f, ERR_LOCAL);
}

static void fuse_ready(struct watch *w, uint32_t events)
{
	struct fuse *f = (struct fuse *)(void *)w;
	ssize_t n;
	enum err e = ERR_OK;

	if (events & EPOLLERR) {	/* unmounted */
		fuse_stop(f, ERR_CLOSED);
		port_flush(f->port);
		return;
	}
	for (int i = 0; i < 8 && !e && !f->request_len; i++) {
		n = read(w->fd, f->request, sizeof f->request);
		if (n < 0 && (errno == EAGAIN || errno == EINTR || errno == ENOENT))
			break;		/* ENOENT: it was interrupted before we read it */
		if (n < (ssize_t)sizeof(struct fuse_in_header)) {
			e = ERR_CLOSED;
			break;
		}
		f->request_len = (size_t)n;
		e = push_request(f);
	}
	if (e)
		fuse_stop(f, e);
	fuse_update(f);
	port_flush(f->port);
}

/* The whole reply in front of @f->reply goes to the kernel. */
static enum err deliver(struct fuse *f, size_t n)
{
	ssize_t written = write(f->watch.fd, f->reply, n);

	if (written < 0 && errno != ENOENT)	/* ENOENT: nobody waits for it any more */
		return ERR_LINK_MALFORMED;
	f->reply_len -= n;
	memmove(f->reply, f->reply + n, f->reply_len);
	return ERR_OK;
}

static enum err take_reply(struct fuse *f, struct str bytes)
{
	while (bytes.n || f->reply_len >= sizeof(uint32_t)) {
		size_t n = sizeof f->reply - f->reply_len;
		uint32_t length;
		enum err e;

		n = n < bytes.n ? n : bytes.n;
		memcpy(f->reply + f->reply_len, bytes.p, n);
		f->reply_len += n;
		bytes = str_from(bytes, n);
		if (f->reply_len < sizeof length)
			return ERR_OK;
		memcpy(&length, f->reply, sizeof length);
		if (length < sizeof(struct fuse_out_header) || length > sizeof f->reply)
			return ERR_LINK_MALFORMED;
		if (f->reply_len < length) {
			if (bytes.n == 0)
				return ERR_OK;
			continue;
		}
		e = deliver(f, length);
		if (e)
			return e;
	}
	return ERR_OK;
}

static void fuse_frame(struct stream *s, const struct link_frame *frame)
{
	struct fuse *f = (struct fuse *)(void *)((char *)s - offsetof(struct fuse, stream));
	enum err e;

	if (frame->type != LINK_DATA) {
		fuse_stop(f, ERR_CLOSED);
		return;
	}
	e = take_reply(f, frame->payload);
	link_consumed(f->port->link, f->number, frame->payload.n);
	if (e)
		fuse_stop(f, e);
}

static void fuse_resume(struct stream *s)
{
	struct fuse *f = (struct fuse *)(void *)((char *)s - offsetof(struct fuse, stream));

	if (push_request(f))
		fuse_stop(f, ERR_LOCAL);
	fuse_update(f);
}

struct fuse *fuse_start(struct port *files, int fd)
{
	struct fuse *f = calloc(1, sizeof *f);

	if (!f || fcntl(fd, F_SETFL, O_NONBLOCK) ||
	    link_open(files->link, LINK_KIND_FUSE, (struct str){ 0 }, &f->number)) {
		free(f);
		close(fd);
		return NULL;
	}
	f->watch = (struct watch){ .fd = fd, .ready = fuse_ready };
	f->stream = (struct stream){ .frame = fuse_frame, .resume = fuse_resume };
	f->port = files;
	link_set_user(files->link, f->number, &f->stream);
	fuse_update(f);
	port_flush(files);
	return f;
}
