/* fuse.h - the guest kernel's FUSE messages, carried to paddock-files */
#pragma once

#include "guest/port.h"

#define FUSE_CARRY_MAX (256u * 1024)	/* one message: 128 KiB of data and its headers fit */

struct fuse;

/** fuse_start() - takes @fd (/dev/fuse, already named in a mount) and carries its messages on
 *  a stream of @files. NULL: no stream or memory (@fd is closed). Lives as long as PID 1.
 *  After a broken message or the stream's end @fd is closed: every access then fails. */
struct fuse *fuse_start(struct port *files, int fd);
