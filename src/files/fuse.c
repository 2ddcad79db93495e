/* fuse.c - the codec of FUSE kernel messages
 *
 * Theory of operation: a message is a header, a structure whose size the opcode gives, then
 * zero to two NUL-terminated names, then (for a few) bytes to the end. All of that is one table;
 * one function walks it, copies the fixed part once, and checks the copy. A byte too many is as
 * wrong as one too few. The sender is the guest's kernel, which the agent may have taken over:
 * every byte is hostile. A message whose length lies ends the connection; one that is malformed
 * inside is answered with EINVAL and changes nothing.
 * Source: linux/fuse.h, fs/fuse/dev.c, fs/fuse/dir.c, fs/fuse/file.c.
 */
#include "files/fuse.h"

#include <errno.h>

#define ERROR_END 512	/* the guest's kernel gives up the mount over an errno beyond */

enum shape {
	NO_NAME,
	ONE_NAME,	/* a component */
	TWO_NAMES,	/* two components */
	NAME_AND_TEXT,	/* a component, then a symlink's target */
	TEXT,		/* an attribute's name */
};

struct fuse_operation {
	uint32_t opcode;
	uint32_t fixed;		/* bytes of the structure after the header */
	enum shape shape;
	bool data;		/* bytes may follow */
};

static const struct fuse_operation operations[] = {
	{ FUSE_LOOKUP, 0, ONE_NAME, false },
	{ FUSE_FORGET, sizeof(struct fuse_forget_in), NO_NAME, false },
	{ FUSE_GETATTR, sizeof(struct fuse_getattr_in), NO_NAME, false },
	{ FUSE_SETATTR, sizeof(struct fuse_setattr_in), NO_NAME, false },
	{ FUSE_READLINK, 0, NO_NAME, false },
	{ FUSE_SYMLINK, 0, NAME_AND_TEXT, false },
	{ FUSE_MKNOD, sizeof(struct fuse_mknod_in), ONE_NAME, false },
	{ FUSE_MKDIR, sizeof(struct fuse_mkdir_in), ONE_NAME, false },
	{ FUSE_UNLINK, 0, ONE_NAME, false },
	{ FUSE_RMDIR, 0, ONE_NAME, false },
	{ FUSE_RENAME, sizeof(struct fuse_rename_in), TWO_NAMES, false },
	{ FUSE_LINK, sizeof(struct fuse_link_in), ONE_NAME, false },
	{ FUSE_OPEN, sizeof(struct fuse_open_in), NO_NAME, false },
	{ FUSE_READ, sizeof(struct fuse_read_in), NO_NAME, false },
	{ FUSE_WRITE, sizeof(struct fuse_write_in), NO_NAME, true },
	{ FUSE_STATFS, 0, NO_NAME, false },
	{ FUSE_RELEASE, sizeof(struct fuse_release_in), NO_NAME, false },
	{ FUSE_FSYNC, sizeof(struct fuse_fsync_in), NO_NAME, false },
	{ FUSE_SETXATTR, FUSE_COMPAT_SETXATTR_IN_SIZE, TEXT, true },
	{ FUSE_GETXATTR, sizeof(struct fuse_getxattr_in), TEXT, false },
	{ FUSE_LISTXATTR, sizeof(struct fuse_getxattr_in), NO_NAME, false },
	{ FUSE_REMOVEXATTR, 0, TEXT, false },
	{ FUSE_FLUSH, sizeof(struct fuse_flush_in), NO_NAME, false },
	{ FUSE_INIT, 16, NO_NAME, true },	/* what 7.36 added follows as data */
	{ FUSE_OPENDIR, sizeof(struct fuse_open_in), NO_NAME, false },
	{ FUSE_READDIR, sizeof(struct fuse_read_in), NO_NAME, false },
	{ FUSE_RELEASEDIR, sizeof(struct fuse_release_in), NO_NAME, false },
	{ FUSE_FSYNCDIR, sizeof(struct fuse_fsync_in), NO_NAME, false },
	{ FUSE_ACCESS, sizeof(struct fuse_access_in), NO_NAME, false },
	{ FUSE_CREATE, sizeof(struct fuse_create_in), ONE_NAME, false },
	{ FUSE_INTERRUPT, sizeof(struct fuse_interrupt_in), NO_NAME, false },
	{ FUSE_DESTROY, 0, NO_NAME, false },
	{ FUSE_BATCH_FORGET, sizeof(struct fuse_batch_forget_in), NO_NAME, true },
	{ FUSE_FALLOCATE, sizeof(struct fuse_fallocate_in), NO_NAME, false },
	{ FUSE_READDIRPLUS, sizeof(struct fuse_read_in), NO_NAME, false },
	{ FUSE_RENAME2, sizeof(struct fuse_rename2_in), TWO_NAMES, false },
	{ FUSE_LSEEK, sizeof(struct fuse_lseek_in), NO_NAME, false },
	{ FUSE_COPY_FILE_RANGE, sizeof(struct fuse_copy_file_range_in), NO_NAME, false },
};

static const struct fuse_operation *operation_of(uint32_t opcode)
{
	for (size_t i = 0; i < sizeof operations / sizeof *operations; i++)
		if (operations[i].opcode == opcode)
			return &operations[i];
	return NULL;
}

bool fuse_answered(uint32_t opcode)
{
	return opcode != FUSE_FORGET && opcode != FUSE_BATCH_FORGET && opcode != FUSE_INTERRUPT;
}

enum err fuse_length(struct str start, size_t *ret)
{
	uint32_t length;

	if (start.n < sizeof length)
		return ERR_MORE;
	memcpy(&length, start.p, sizeof length);
	if (length < sizeof(struct fuse_in_header) || length > FUSE_MESSAGE_MAX)
		return ERR_LINK_MALFORMED;
	*ret = length;
	return ERR_OK;
}

bool fuse_name_ok(struct str name)
{
	return name.n > 0 && name.n <= FUSE_NAME_BYTES && str_find(name, '/') == name.n &&
	       str_find(name, '\0') == name.n && !str_eq(name, STR(".")) && !str_eq(name, STR(".."));
}

/* Takes the bytes before the next NUL, which must be there. */
static int take_text(struct str *rest, size_t max, struct str *ret)
{
	size_t n = str_find(*rest, '\0');

	if (n == rest->n || n == 0)
		return EINVAL;
	if (n > max)
		return ENAMETOOLONG;
	*ret = str_head(*rest, n);
	*rest = str_from(*rest, n + 1);
	return 0;
}

static int take_name(struct str *rest, struct str *ret)
{
	int error = take_text(rest, FUSE_NAME_BYTES, ret);

	return error ? error : fuse_name_ok(*ret) ? 0 : EINVAL;
}

static int take_names(struct str *rest, enum shape shape, struct fuse_request *r)
{
	int error;

	switch (shape) {
	case NO_NAME:
		return 0;
	case TEXT:
		return take_text(rest, FUSE_NAME_BYTES, &r->name);
	case ONE_NAME:
		return take_name(rest, &r->name);
	case TWO_NAMES:
		error = take_name(rest, &r->name);
		return error ? error : take_name(rest, &r->second);
	case NAME_AND_TEXT:
		error = take_name(rest, &r->name);
		return error ? error : take_text(rest, FUSE_TEXT_BYTES, &r->second);
	}
	return EINVAL;
}

static int parse_body(struct str body, struct fuse_request *r)
{
	const struct fuse_operation *o = operation_of(r->header.opcode);
	int error;

	if (!o)
		return r->header.opcode == FUSE_IOCTL ? ENOTTY : ENOSYS;
	if (r->header.total_extlen != 0 || body.n < o->fixed)
		return EINVAL;
	if (o->fixed)
		memcpy(&r->in, body.p, o->fixed);
	body = str_from(body, o->fixed);
	error = take_names(&body, o->shape, r);
	if (error)
		return error;
	if (!o->data && body.n != 0)
		return EINVAL;
	r->data = body;
	r->operation = o;
	return 0;
}

enum err fuse_parse(struct str message, struct fuse_request *ret, int *ret_error)
{
	size_t length;

	if (fuse_length(message, &length) || length != message.n)
		return ERR_LINK_MALFORMED;
	*ret = (struct fuse_request){ 0 };
	memcpy(&ret->header, message.p, sizeof ret->header);
	*ret_error = parse_body(str_from(message, sizeof ret->header), ret);
	return ERR_OK;
}

void fuse_reply_begin(struct buf *out)
{
	static const char zeros[sizeof(struct fuse_out_header)];

	buf_clear(out);
	buf_put(out, str_make(zeros, sizeof zeros));
}

void fuse_reply_end(struct buf *out, uint64_t unique, int error)
{
	struct fuse_out_header header = { .unique = unique };

	if (buf_err(out) && !error)
		error = ENOMEM;
	if (error < 0 || error >= ERROR_END)
		error = EIO;
	if (error)
		fuse_reply_begin(out);
	if (buf_err(out))
		return;		/* not even the header: the caller sees the error of the buffer */
	header.len = (uint32_t)out->len;
	header.error = -error;
	memcpy(out->p, &header, sizeof header);
}

static void pad(struct buf *out, size_t n)
{
	for (; n % sizeof(uint64_t) != 0; n++)
		buf_put_byte(out, 0);
}

bool fuse_direntry(struct buf *out, size_t start, size_t max, uint64_t inode, uint64_t next, unsigned type,
		   struct str name)
{
	struct fuse_dirent entry = { .ino = inode, .off = next, .namelen = (uint32_t)name.n, .type = type };
	size_t need = FUSE_DIRENT_ALIGN(FUSE_NAME_OFFSET + name.n);

	if (out->len - start > max || need > max - (out->len - start))
		return false;
	buf_put(out, str_make(&entry, FUSE_NAME_OFFSET));
	buf_put(out, name);
	pad(out, FUSE_NAME_OFFSET + name.n);
	return buf_err(out) == ERR_OK;
}

bool fuse_direntry_plus(struct buf *out, size_t start, size_t max, const struct fuse_entry_out *entry,
			uint64_t inode, uint64_t next, unsigned type, struct str name)
{
	size_t need = fuse_direntry_plus_bytes(name.n);

	if (out->len - start > max || need > max - (out->len - start))
		return false;
	buf_put(out, str_make(entry, sizeof *entry));
	return fuse_direntry(out, start, max, inode, next, type, name);
}
