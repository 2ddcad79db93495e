/* fuse.h - the codec of FUSE kernel messages: bytes to a checked request, and replies to bytes
 *
 * Pure: no I/O, no state. Layouts are those of <linux/fuse.h>; the integers are in the guest's
 * byte order, which is ours. What a request may hold is one table in fuse.c.
 */
#pragma once

#include "base/buf.h"

#include <linux/fuse.h>
#include <sys/stat.h>

#define FUSE_DATA_MAX (128u * 1024)	/* largest READ, WRITE and READDIR: 32 pages */
#define FUSE_MESSAGE_MAX (FUSE_DATA_MAX + 8192)	/* a WRITE with its headers; a name and a value of an xattr */
#define FUSE_REPLY_MAX (FUSE_DATA_MAX + sizeof(struct fuse_out_header))
#define FUSE_NAME_BYTES 255		/* longest component */
#define FUSE_TEXT_BYTES 4095		/* longest symlink target */
#define FUSE_MINOR_LEAST 31		/* what Linux 5.4 speaks; no older guest kernel is used */

/** struct fuse_request - a message whose every field was checked for presence and shape. @in
 *  is a copy; names and data are borrowed from the message, and each name is followed by a NUL. */
struct fuse_request {
	struct fuse_in_header header;
	const struct fuse_operation *operation;
	union {
		struct fuse_forget_in forget;
		struct fuse_getattr_in getattr;
		struct fuse_setattr_in setattr;
		struct fuse_mknod_in mknod;
		struct fuse_mkdir_in mkdir;
		struct fuse_rename_in rename;
		struct fuse_rename2_in rename2;
		struct fuse_link_in link;
		struct fuse_open_in open;
		struct fuse_create_in create;
		struct fuse_read_in read;
		struct fuse_write_in write;
		struct fuse_release_in release;
		struct fuse_flush_in flush;
		struct fuse_fsync_in fsync;
		struct fuse_setxattr_in setxattr;	/* only size and flags: the
							   long form is not negotiated */
		struct fuse_getxattr_in getxattr;
		struct fuse_access_in access;
		struct fuse_init_in init;
		struct fuse_interrupt_in interrupt;
		struct fuse_batch_forget_in batch_forget;
		struct fuse_fallocate_in fallocate;
		struct fuse_lseek_in lseek;
		struct fuse_copy_file_range_in copy;
	} in;
	struct str name, second;	/* components, or texts, by the operation */
	struct str data;
};

/** fuse_length() - how long the message is that begins with @start
 * Return: ERR_OK and *ret in [40, FUSE_MESSAGE_MAX]; ERR_MORE with fewer than 4 bytes;
 * ERR_LINK_MALFORMED for a length that no message has: the peer is broken */
must_use enum err fuse_length(struct str start, size_t *ret);

/** fuse_parse() - checks one whole @message
 * Return: ERR_OK with *ret_error 0 and *ret whole; or with the errno that answers it, and only
 * ret->header set: EINVAL or ENAMETOOLONG (malformed), ENOSYS, ENOTTY (not served).
 * ERR_LINK_MALFORMED if @message is not as long as it says. */
must_use enum err fuse_parse(struct str message, struct fuse_request *ret, int *ret_error);

/** fuse_answered() - false for FORGET, BATCH_FORGET and INTERRUPT: nothing is ever sent back */
bool fuse_answered(uint32_t opcode);

/** fuse_reply_begin() - room for the header in @out, which is cleared; fuse_reply_end() fills it
 *  in: with @error (a positive errno), the body is dropped. Bodies are appended in between. */
void fuse_reply_begin(struct buf *out);
void fuse_reply_end(struct buf *out, uint64_t unique, int error);

/** fuse_name_ok() - may @name be a component: 1..255 bytes, no '/', no NUL, not "." or ".." */
bool fuse_name_ok(struct str name);

/** fuse_direntry() - one entry of READDIR; false (and nothing written) if it does not fit in @max
 *  bytes of body counted from @start */
must_use bool fuse_direntry(struct buf *out, size_t start, size_t max, uint64_t inode, uint64_t next,
			    unsigned type, struct str name);
/** fuse_direntry_plus() - the same, for READDIRPLUS */
must_use bool fuse_direntry_plus(struct buf *out, size_t start, size_t max,
				 const struct fuse_entry_out *entry, uint64_t inode, uint64_t next,
				 unsigned type, struct str name);
/** fuse_direntry_plus_bytes() - room that an entry with a name of @n bytes takes */
static inline size_t fuse_direntry_plus_bytes(size_t n)
{
	return FUSE_DIRENT_ALIGN(FUSE_NAME_OFFSET_DIRENTPLUS + n);
}
