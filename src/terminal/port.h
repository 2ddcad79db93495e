/* port.h - one of the user's descriptors (0, 1, 2), used without ever blocking and without
 * changing it for the processes that share it */
#pragma once

#include "base/err.h"
#include "base/str.h"

#include <sys/types.h>
#include <termios.h>
#include <uv.h>

struct port {
	int fd;
	bool is_terminal, is_socket;
	bool private;		/* an open file of our own, O_NONBLOCK */
	bool pollable;		/* a regular file is not: it is always ready */
	bool watching;
	void (*ready)(void *user);
	void *user;
	uv_poll_t poll;
	uv_idle_t idle;
	uv_timer_t rest;	/* a terminal that another job has: it is tried again */
};

/** port_private() - makes descriptor @fd non-blocking for this process alone, where the kernel
 *  lets us (terminals and pipes are opened anew through /proc): before confinement */
void port_private(int fd);
/** port_init() - @ready is called while port_watch() has turned it on and @p can be read or
 *  written. ERR_LOCAL */
must_use enum err port_init(struct port *p, uv_loop_t *loop, int fd, void (*ready)(void *user), void *user);
void port_watch(struct port *p, bool on, bool for_writing);
/** port_read(), port_write() - as read() and write(); they do not block (-1, EAGAIN) */
ssize_t port_read(struct port *p, char *bytes, size_t n);
ssize_t port_write(struct port *p, struct str bytes);

/** port_raw() - a terminal's input goes through byte by byte; *ret_saved is what it was before.
 *  False if @fd is not a terminal or refuses. port_restore() - undoes it. */
bool port_raw(int fd, struct termios *ret_saved);
void port_restore(int fd, const struct termios *saved);
/** port_size() - of the terminal at @fd; false if it has none */
bool port_size(int fd, uint16_t *ret_rows, uint16_t *ret_columns);
