/* service.h - requests from the guest's link, replies to it, claims to the courier's */
#pragma once

#include "files/config.h"
#include "files/inode.h"

#include <uv.h>

struct service;

/** service_new() - takes @guest and @claims (sockets) and @roots (see tree.h), also on failure
 * Return: ERR_OK; what tree_new() returns */
must_use enum err service_new(uv_loop_t *loop, int guest, int claims, const struct config *config,
			      const int *roots, const struct inode_limits *limits, struct service **ret);
/** service_ended() - why the service stopped its loop:
 * ERR_CLOSED (the guest's end is gone), or what went wrong */
enum err service_ended(const struct service *s);
void service_free(struct service *s);	/* the loop still has to run what it closes */
