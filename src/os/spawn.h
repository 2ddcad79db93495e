/* spawn.h - starting one of Paddock's processes (or QEMU) with exactly the descriptors
 * it is to have
 */
#pragma once

#include "base/err.h"

#include <stdbool.h>

#include <sys/types.h>

#define SPAWN_FDS_MAX 96

struct spawn_fd {
	int fd;		/* in this process */
	int as;		/* number in the child */
};

struct spawn {
	const char *program;		/* absolute path */
	char *const *argv;
	char *const *env;		/* whole environment of the child; NULL: empty */
	struct spawn_fd fds[SPAWN_FDS_MAX];	/* everything else is closed; 0, 1 and 2 default to /dev/null */
	unsigned fd_count;
	bool deaf;			/* SIGTERM, SIGINT, SIGHUP and SIGQUIT are ignored: it ends with its parent, or
					   when told to, and not because somebody signals the whole group */
	bool new_session;		/* setsid(): no signal of the terminal reaches it */
	bool pid_namespace;		/* own user and pid namespace: the child is its PID 1 */
	/** runs in the child after the descriptors are in place, before exec; may confine
	 *  (QEMU, which cannot confine itself). A return other than ERR_OK ends the child. */
	enum err (*prepare)(void *ctx);
	void *prepare_ctx;
};

/** spawn_start() - starts it; the child dies (SIGKILL) when the parent's thread does
 * Return: ERR_OK, *ret_pid and *ret_pidfd (close-on-exec); ERR_LOCAL with errno, also when
 * the exec itself failed */
must_use enum err spawn_start(const struct spawn *s, pid_t *ret_pid, int *ret_pidfd);
