/* control.c - see control.h. Requests are handled one at a time and at once: a line is short,
 * and a peer that does not send it within a moment is dropped. */
#include "supervisor/control.h"

#include "base/auto.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>

#define LINE_MAX_BYTES 256
#define PATIENCE_MS 500

struct control {
	uv_poll_t poll;
	int fd;
	void (*stop)(void *ctx);
	void *ctx;
};

/* The path of a socket is 107 bytes at most; through the directory's descriptor it always fits. */
static bool socket_address(int directory, struct sockaddr_un *ret)
{
	*ret = (struct sockaddr_un){ .sun_family = AF_UNIX };
	return snprintf(ret->sun_path, sizeof ret->sun_path, "/proc/self/fd/%d/control.sock", directory) <
	       (int)sizeof ret->sun_path;
}

static struct str read_line(int fd, char *line, size_t cap)
{
	size_t n = 0;

	while (n < cap) {
		struct pollfd p = { .fd = fd, .events = POLLIN };
		ssize_t r;

		if (poll(&p, 1, PATIENCE_MS) != 1)
			break;
		r = recv(fd, line + n, cap - n, MSG_DONTWAIT);
		if (r <= 0)
			break;
		n += (size_t)r;
		if (line[n - 1] == '\n')
			return str_make(line, n - 1);
	}
	return (struct str){ NULL, 0 };
}

static bool peer_is_us(int fd)
{
	struct ucred peer;
	socklen_t n = sizeof peer;

	return getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &n) == 0 && peer.uid == getuid();
}

static void on_connection(uv_poll_t *handle, int status, int events)
{
	struct control *c = handle->data;
	char line[LINE_MAX_BYTES];
	struct str answer = STR("error: unknown request; known: stop\n");

	(void)status, (void)events;
	auto_fd fd = accept4(c->fd, NULL, NULL, SOCK_CLOEXEC);
	if (fd < 0 || !peer_is_us(fd))
		return;
	if (str_eq(read_line(fd, line, sizeof line), STR("stop"))) {
		c->stop(c->ctx);
		answer = STR("ok\n");
	}
	(void)!send(fd, answer.p, answer.n, MSG_NOSIGNAL | MSG_DONTWAIT);
}

struct control *control_new(uv_loop_t *loop, const struct rundir *run, void (*stop)(void *ctx), void *ctx)
{
	struct sockaddr_un address;
	struct control *c;
	auto_fd fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	if (fd < 0 || !socket_address(run->fd, &address) ||
	    bind(fd, (struct sockaddr *)&address, sizeof address) || listen(fd, 8))
		return NULL;
	c = calloc(1, sizeof *c);
	if (!c)
		return NULL;
	*c = (struct control){ .fd = fd_take(&fd), .stop = stop, .ctx = ctx };
	uv_poll_init(loop, &c->poll, c->fd);
	c->poll.data = c;
	uv_poll_start(&c->poll, UV_READABLE, on_connection);
	return c;
}

static void on_closed(uv_handle_t *handle)
{
	struct control *c = handle->data;

	close(c->fd);
	free(c);
}

void control_free(struct control *c)
{
	if (c)
		uv_close((uv_handle_t *)&c->poll, on_closed);
}

enum err control_request(const char *path, struct str line, struct buf *ret_answer)
{
	struct sockaddr_un address;
	char text[LINE_MAX_BYTES];
	struct str answer;

	auto_fd directory = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
	auto_fd fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (directory < 0 || fd < 0 || !socket_address(directory, &address) ||
	    connect(fd, (struct sockaddr *)&address, sizeof address))
		return ERR_LOCAL;
	if (send(fd, line.p, line.n, MSG_NOSIGNAL) != (ssize_t)line.n || send(fd, "\n", 1, MSG_NOSIGNAL) != 1)
		return ERR_LOCAL;
	answer = read_line(fd, text, sizeof text);
	buf_put(ret_answer, answer);
	return str_eq(answer, STR("ok")) ? ERR_OK : ERR_STATE;
}
