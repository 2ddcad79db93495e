/* auto.h - descriptors that close themselves */
#pragma once

#include <unistd.h>

static inline void auto_fd_close(int *fd)
{
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
}

#define auto_fd __attribute__((cleanup(auto_fd_close))) int

/** fd_take() - the descriptor leaves its owner, who will not close it */
static inline int fd_take(int *fd)
{
	int taken = *fd;

	*fd = -1;
	return taken;
}
