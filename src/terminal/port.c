/* port.c - the user's descriptors                                             (see port.h)
 *
 * Theory of operation: O_NONBLOCK belongs to the open file, which the user's shell and others
 * share, so it is not set there. Terminals and pipes are opened a second time through
 * /proc/self/fd; sockets take MSG_DONTWAIT in each call; regular files do not block. Where
 * opening anew is refused (a terminal of another user's) a write is kept to what a ready pipe
 * takes without blocking, PIPE_BUF.
 *
 * A terminal may belong to another job for now (`paddock run ... >log &`). SIGTTIN is ignored, so reading is EIO, as
 * it is after a hang-up; what has not hung up is looked at again a moment later.
 *
 * Trust: what is read is the user's. Failure: falls back, never fails.
 */
#include "terminal/port.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#define REST_MS 500

void port_private(int fd)
{
	int flags = fcntl(fd, F_GETFL), again;
	char path[32];
	struct stat st;

	if (flags < 0 || fstat(fd, &st) || (!isatty(fd) && !S_ISFIFO(st.st_mode)))
		return;
	if (snprintf(path, sizeof path, "/proc/self/fd/%d", fd) >= (int)sizeof path)
		return;
	again = open(path, (flags & O_ACCMODE) | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
	if (again < 0)
		return;
	(void)dup2(again, fd);
	close(again);
}

static void on_poll(uv_poll_t *poll, int status, int events)
{
	struct port *p = poll->data;

	(void)events;
	if (status < 0)
		p->watching = false;	/* libuv stopped it; reading or writing tells why */
	p->ready(p->user);
}

static void on_rested(uv_timer_t *rest)
{
	struct port *p = rest->data;

	if (p->watching)
		(void)uv_poll_start(&p->poll, UV_READABLE, on_poll);
}

static void on_idle(uv_idle_t *idle)
{
	struct port *p = idle->data;

	p->ready(p->user);
}

enum err port_init(struct port *p, uv_loop_t *loop, int fd, void (*ready)(void *user), void *user)
{
	struct stat st;
	int flags = fcntl(fd, F_GETFL);

	*p = (struct port){ .fd = fd, .ready = ready, .user = user };
	if (flags < 0 || fstat(fd, &st))
		return ERR_LOCAL;
	p->is_terminal = isatty(fd);
	p->is_socket = S_ISSOCK(st.st_mode);
	p->private = (flags & O_NONBLOCK) || S_ISREG(st.st_mode);
	p->pollable = p->is_terminal || p->is_socket || S_ISFIFO(st.st_mode);
	if (uv_idle_init(loop, &p->idle) || uv_timer_init(loop, &p->rest))
		return ERR_LOCAL;
	p->idle.data = p->rest.data = p;
	if (!p->pollable)
		return ERR_OK;
	/* libuv's uv_poll_init() would set O_NONBLOCK, and does so: it is undone for a shared file */
	if (uv_poll_init(loop, &p->poll, fd))
		return ERR_LOCAL;
	p->poll.data = p;
	if (!(flags & O_NONBLOCK))
		(void)fcntl(fd, F_SETFL, flags);
	return ERR_OK;
}

void port_watch(struct port *p, bool on, bool for_writing)
{
	if (on == p->watching)
		return;
	p->watching = on;
	uv_timer_stop(&p->rest);
	if (p->pollable && on)
		(void)uv_poll_start(&p->poll, for_writing ? UV_WRITABLE : UV_READABLE, on_poll);
	else if (p->pollable)
		uv_poll_stop(&p->poll);
	else if (on)
		uv_idle_start(&p->idle, on_idle);
	else
		uv_idle_stop(&p->idle);
}

ssize_t port_read(struct port *p, char *bytes, size_t n)
{
	ssize_t got = p->is_socket ? recv(p->fd, bytes, n, MSG_DONTWAIT) : read(p->fd, bytes, n);
	struct pollfd end = { .fd = p->fd };

	if (got < 0 && errno == EIO && p->is_terminal && poll(&end, 1, 0) >= 0 && !(end.revents & POLLHUP)) {
		uv_poll_stop(&p->poll);
		uv_timer_start(&p->rest, on_rested, REST_MS, 0);
		errno = EAGAIN;
	}
	return got;
}

ssize_t port_write(struct port *p, struct str bytes)
{
	struct pollfd ready = { .fd = p->fd, .events = POLLOUT };

	if (p->is_socket)
		return send(p->fd, bytes.p, bytes.n, MSG_DONTWAIT | MSG_NOSIGNAL);
	if (p->private || !p->pollable)
		return write(p->fd, bytes.p, bytes.n);
	if (poll(&ready, 1, 0) == 0) {
		errno = EAGAIN;
		return -1;
	}
	return write(p->fd, bytes.p, bytes.n < PIPE_BUF ? bytes.n : PIPE_BUF);
}

bool port_raw(int fd, struct termios *ret_saved)
{
	struct termios now;

	if (tcgetattr(fd, &now))
		return false;
	*ret_saved = now;
	cfmakeraw(&now);
	if (tcsetattr(fd, TCSANOW, &now) == 0)
		return true;
	port_restore(fd, ret_saved);
	return false;
}

void port_restore(int fd, const struct termios *saved)
{
	while (tcsetattr(fd, TCSANOW, saved) && errno == EINTR)
		;
}

bool port_size(int fd, uint16_t *ret_rows, uint16_t *ret_columns)
{
	struct winsize size;

	if (ioctl(fd, TIOCGWINSZ, &size))
		return false;
	*ret_rows = size.ws_row;
	*ret_columns = size.ws_col;
	return true;
}
