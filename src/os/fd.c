/* fd.c - see fd.h
 *
 * Theory of operation of the messages: the kernel makes descriptors for as many as the control buffer has
 * room for, so a receiver that takes too few of them out of it loses the rest for good. The room that we
 * state is that of exactly one: surplus ones never exist here, and the kernel says that there were some
 * (MSG_CTRUNC).
 * Source: unix(7), cmsg(3).
 */
#include "os/fd.h"

#include "base/auto.h"

#include <errno.h>
#include <sys/socket.h>

enum err fd_write(int fd, struct str s)
{
	while (s.n) {
		ssize_t n = write(fd, s.p, s.n);

		if (n == 0 || (n < 0 && errno != EINTR))
			return ERR_LOCAL;
		s = str_from(s, n > 0 ? (size_t)n : 0);
	}
	return ERR_OK;
}

enum err fd_read(int fd, struct buf *b, size_t max)
{
	enum err e = b->len < max ? buf_reserve(b, max - b->len) : ERR_OK;
	ssize_t n = 1;

	while (e == ERR_OK && n && b->len < max) {
		n = read(fd, buf_tail(b), max - b->len);
		if (n < 0 && errno != EINTR)
			e = ERR_LOCAL;
		else
			b->len += n > 0 ? (size_t)n : 0;
	}
	return e;
}

/* CMSG_SPACE() rounds up, to where a second descriptor would fit: the length to state is CMSG_LEN(). */
union room {
	struct cmsghdr align;
	char bytes[CMSG_SPACE(sizeof(int))];
};

static bool may_try_again(int error)
{
	return error == EAGAIN || error == EWOULDBLOCK || error == EINTR || error == ENOBUFS ||
	       error == ETOOMANYREFS;
}

enum err fd_send(int socket, struct str bytes, int fd)
{
	struct iovec iov = { (char *)(uintptr_t)bytes.p, bytes.n };
	union room room = { .bytes = { 0 } };
	struct msghdr m = { .msg_iov = &iov, .msg_iovlen = 1, .msg_control = room.bytes,
			    .msg_controllen = sizeof room.bytes };
	struct cmsghdr *c = CMSG_FIRSTHDR(&m);
	ssize_t n;

	c->cmsg_level = SOL_SOCKET;
	c->cmsg_type = SCM_RIGHTS;
	c->cmsg_len = CMSG_LEN(sizeof fd);
	memcpy(CMSG_DATA(c), &fd, sizeof fd);
	n = sendmsg(socket, &m, MSG_DONTWAIT | MSG_NOSIGNAL);
	if (n < 0)
		return may_try_again(errno) ? ERR_MORE : ERR_CLOSED;
	return (size_t)n == bytes.n ? ERR_OK : ERR_CLOSED;
}

enum err fd_receive(int socket, void *into, size_t max, size_t *ret_bytes, int *ret_fd)
{
	struct iovec iov = { into, max };
	union room room;
	struct msghdr m = { .msg_iov = &iov, .msg_iovlen = 1, .msg_control = room.bytes,
			    .msg_controllen = CMSG_LEN(sizeof(int)) };
	ssize_t n = recvmsg(socket, &m, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
	struct cmsghdr *c = n < 0 ? NULL : CMSG_FIRSTHDR(&m);
	auto_fd fd = -1;

	if (n < 0)
		return may_try_again(errno) ? ERR_MORE : ERR_CLOSED;
	if (c && c->cmsg_level == SOL_SOCKET && c->cmsg_type == SCM_RIGHTS &&
	    c->cmsg_len == CMSG_LEN(sizeof fd))
		memcpy(&fd, CMSG_DATA(c), sizeof fd);
	if (n == 0)
		return ERR_CLOSED;
	if (m.msg_flags & (MSG_TRUNC | MSG_CTRUNC))
		return ERR_INPUT;
	*ret_bytes = (size_t)n;
	*ret_fd = fd_take(&fd);
	return ERR_OK;
}
