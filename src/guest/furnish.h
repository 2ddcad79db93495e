/* furnish.h - what the keeper does to the agent's tree before the agent is in it */
#pragma once

#include "wire/msg.h"

struct furnish {
	const struct msg_config *config;
	bool single;		/* one uid: the agent's is PID 1's own, so parts of /proc are masked */
	int report;		/* socket to PID 1: the FUSE descriptor goes there */
	int fuse;		/* /dev/fuse, opened in this user namespace; -1 without mounts */
};

/** furnish() - in a user and mount namespace of the keeper's own, over which it has all
 *  capabilities. On success the root is the agent's tree.
 * Return: NULL; or the step that failed, with errno */
const char *furnish(const struct furnish *f);

/** furnish_path() - makes the directories that lead to @path, an absolute one, and itself if @whole.
 * Return: false with errno */
bool furnish_path(const char *path, bool whole);
/** furnish_send() - one byte @kind with descriptor @fd over the socket @socket */
bool furnish_send(int socket, char kind, int fd);
