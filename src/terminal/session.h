/* session.h - the control port of one sandbox, between the guest and the user */
#pragma once

#include "base/err.h"

/* descriptors, besides the user's 0, 1 and 2 */
enum {
	TERMINAL_FD_GUEST = 3,		/* control port: a stream socket */
	TERMINAL_FD_COURIER,		/* claims */
	TERMINAL_FD_SUPERVISOR,		/* terminal.h's messages */
	TERMINAL_FD_CONFIG,		/* a memfd: terminal.h */
};

struct session;

/** session_new() - reads the configuration and makes what needs the file system, /proc or
 *  memory mappings: to be called before confinement. Reads nothing of the guest's.
 * Return: ERR_OK and *ret; ERR_INPUT (the configuration), ERR_LOCAL, ERR_MEMORY */
must_use enum err session_new(struct session **ret);
/** session_confine() - no network, no file, no process, no terminal control but size and modes
 *  from here on. ERR_CONFINE with errno: exit. */
must_use enum err session_confine(void);
/** session_run() - serves until the supervisor says quit, or is gone; the user's terminal is
 *  then as it was. ERR_OK, ERR_LOCAL */
must_use enum err session_run(struct session *s);
void session_free(struct session *s);
