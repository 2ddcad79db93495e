/* mounts.h - what of the host a guest sees: the workspace, what the policy makes visible, COMMAND's own tools */
#pragma once

#include "supervisor/spec.h"
#include "wire/msg.h"

#define MOUNTS_MAX MSG_MOUNTS_MAX

/** struct mount - one tree of the host that the guest sees; parents come before children */
struct mount_entry {
	struct str path;	/* the same on both sides */
	bool read_only, file;
	int fd;			/* O_PATH; closed by mounts_close() */
};

struct mounts {
	uint32_t count;
	struct mount_entry entry[MOUNTS_MAX];
};

/** mounts_open() - workspace, what the policy makes visible, COMMAND's own tools
 * Return: ERR_OK; ERR_INPUT with one line in @why */
must_use enum err mounts_open(const struct spec *spec, struct mounts *ret, struct buf *why);
void mounts_close(struct mounts *m);
