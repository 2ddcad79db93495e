/* tree.h - the served directories: FUSE requests in, replies out
 *
 * One tree serves all mounts of a sandbox. Synchronous, one thread: what a request checks
 * holds until it has acted, as far as the guest is concerned (the host's own processes may
 * race with it, and can at most make it fail).
 */
#pragma once

#include "files/config.h"
#include "files/fuse.h"
#include "files/inode.h"

struct tree;

struct tree_ops {
	/** a file rule fired, or something is to be told: @path as the guest knows it, @text for
	 *  people, @refused: it was not done. Bounded in number by the tree. */
	void (*report)(void *user, struct str path, struct str text, bool refused);
};

/** tree_root_error() - what is against serving the directory @root as @m, a line for people in @text, which is
 *  returned; NULL: nothing is. A file system that takes one name for another cannot keep what rules name.
 *  To be asked before confinement, for each mount that is no file. */
#define TREE_TEXT_BYTES 320
const char *tree_root_error(const struct config *config, const struct config_mount *m, int root,
			    char text[TREE_TEXT_BYTES]);

/** tree_new() - @config is borrowed as long as the tree lives. @roots: one descriptor a mount, in order
 *  (O_PATH|O_DIRECTORY, or for a "file" one that can be read, and written unless read-only);
 *  all are taken, also on failure.
 * Return: ERR_OK; ERR_INPUT (a pattern, or a root of the wrong kind), ERR_MEMORY, ERR_LOCAL */
must_use enum err tree_new(const struct config *config, const int *roots, const struct inode_limits *limits,
			   const struct tree_ops *ops, void *user, struct tree **ret);
void tree_free(struct tree *t);

/** tree_request() - serves one whole message; @out is cleared and holds the reply, or nothing if
 *  none is sent. @out must have been made with at least FUSE_REPLY_MAX.
 * Return: ERR_OK; ERR_LINK_MALFORMED, ERR_LINK_STATE (before INIT), ERR_MEMORY: the connection is over */
must_use enum err tree_request(struct tree *t, struct str message, struct buf *out);
