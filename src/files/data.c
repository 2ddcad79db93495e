/* data.c - contents: OPEN, READ, WRITE, FSYNC, FALLOCATE, LSEEK, COPY_FILE_RANGE, RELEASE
 *
 * Theory of operation: see tree.c. Rules are asked when a file is opened; a handle then stands for
 * that file and no other, and for no more than it was opened for. What the guest's kernel has in
 * its cache stays valid over an open only if the file has not changed since the last one, and not
 * so lately that a second change could have the same time.
 */
#include "files/private.h"

#include "base/auto.h"
#include "base/clock.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/falloc.h>

#define COPY_MAX (16u * 1024 * 1024)	/* at once: others wait meanwhile */
#define SETTLED_NS 2000000000u		/* no clock of a file system is coarser */

static bool same_time(struct timespec a, struct timespec b) { return a.tv_sec == b.tv_sec && a.tv_nsec == b.tv_nsec; }

/* May the guest keep what it has cached of @i? Remembers what it may from now on. */
static bool still_cached(struct inode *i, const struct stat *st)
{
	bool same = same_time(i->read_mtime, st->st_mtim) && same_time(i->read_ctime, st->st_ctim) &&
		    i->read_size == st->st_size;
	uint64_t changed = (uint64_t)st->st_ctim.tv_sec * 1000000000u + (uint64_t)st->st_ctim.tv_nsec;

	if (clock_unix_ns() < changed + SETTLED_NS) {
		i->read_mtime = i->read_ctime = (struct timespec){ 0, 0 };
		return false;
	}
	i->read_mtime = st->st_mtim;
	i->read_ctime = st->st_ctim;
	i->read_size = st->st_size;
	return same;
}

/* A descriptor of @i for what the guest's open @flags ask, and the attributes of what was opened. */
static int open_checked(struct tree *t, struct inode *i, uint32_t flags, struct stat *st, int *ret_fd)
{
	auto_fd fd = -1;
	bool writes = (flags & O_ACCMODE) != O_RDONLY || (flags & O_TRUNC);
	int error = S_ISDIR(i->type) ? EISDIR : tree_stat(t, i, st);

	if (!error && writes)
		error = tree_may_write(t, i, st);
	if (!error)
		error = tree_open(t, i, tree_open_flags(flags), &fd);
	if (!error && (flags & O_TRUNC) && ftruncate(fd, 0))
		error = errno;
	if (!error && fstat(fd, st))
		error = errno;
	if (!error)
		*ret_fd = fd_take(&fd);
	return error;
}

int tree_open_file(struct tree *t, const struct fuse_request *r, struct buf *out)
{
	uint32_t flags = r->in.open.flags;
	struct fuse_open_out reply = { 0 };
	struct handle *h;
	struct inode *i;
	struct stat st;
	int fd = -1, error = r->header.nodeid == FUSE_ROOT_ID ? EISDIR : tree_object(t, r->header.nodeid, &i);

	if ((flags & O_ACCMODE) == O_ACCMODE)
		return EINVAL;
	if (!error)
		error = open_checked(t, i, flags, &st, &fd);
	if (error)
		return error;
	error = handle_new(t->inodes, i, fd, &h);
	if (error) {
		close(fd);
		return error;
	}
	h->readable = (flags & O_ACCMODE) != O_WRONLY;
	h->writable = (flags & O_ACCMODE) != O_RDONLY;
	reply.fh = h->number;
	reply.open_flags = still_cached(i, &st) ? FOPEN_KEEP_CACHE : 0;
	buf_put(out, str_make(&reply, sizeof reply));
	return 0;
}

int tree_read(struct tree *t, const struct fuse_request *r, struct buf *out)
{
	const struct fuse_read_in *in = &r->in.read;
	struct handle *h;
	size_t done = 0;
	int error = tree_handle(t, in->fh, false, &h);

	if (error || !h->readable)
		return EBADF;
	if (in->size > FUSE_DATA_MAX || in->offset > (uint64_t)INT64_MAX - in->size)
		return EINVAL;
	if (buf_reserve(out, in->size))
		return ENOMEM;
	while (done < in->size) {
		ssize_t n = pread(h->fd, buf_tail(out) + done, in->size - done, (off_t)(in->offset + done));

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return errno;
		if (n == 0)
			break;
		done += (size_t)n;
	}
	out->len += done;
	return 0;
}

int tree_write(struct tree *t, const struct fuse_request *r, struct buf *out)
{
	const struct fuse_write_in *in = &r->in.write;
	struct fuse_write_out reply = { 0 };
	struct handle *h;
	int error = tree_handle(t, in->fh, false, &h);

	if (error || !h->writable)
		return EBADF;
	if (r->data.n != in->size || in->size > FUSE_DATA_MAX || in->offset > (uint64_t)INT64_MAX - in->size)
		return EINVAL;
	while (reply.size < in->size) {
		ssize_t n = pwrite(h->fd, r->data.p + reply.size, in->size - reply.size,
				   (off_t)(in->offset + reply.size));

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0 && reply.size == 0)
			return n < 0 ? errno : EIO;
		if (n <= 0)
			break;		/* what was written is told; the rest will be asked again */
		reply.size += (uint32_t)n;
	}
	buf_put(out, str_make(&reply, sizeof reply));
	return 0;
}

int tree_flush(struct tree *t, const struct fuse_request *r, struct buf *out)
{
	struct handle *h;

	(void)out;
	return tree_handle(t, r->in.flush.fh, false, &h);	/* nothing is held back here */
}

int tree_fsync(struct tree *t, const struct fuse_request *r, struct buf *out)
{
	bool directory = r->header.opcode == FUSE_FSYNCDIR;
	struct handle *h;
	int error;

	(void)out;
	if (directory && r->header.nodeid == FUSE_ROOT_ID)
		return 0;
	error = tree_handle(t, r->in.fsync.fh, directory, &h);
	if (error)
		return error;
	if (r->in.fsync.fsync_flags & FUSE_FSYNC_FDATASYNC)
		return fdatasync(h->fd) ? errno : 0;
	return fsync(h->fd) ? errno : 0;
}

/* RELEASE and RELEASEDIR */
int tree_release(struct tree *t, const struct fuse_request *r, struct buf *out)
{
	bool directory = r->header.opcode == FUSE_RELEASEDIR;
	struct handle *h;
	int error;

	(void)out;
	if (directory && r->header.nodeid == FUSE_ROOT_ID)
		return 0;
	error = tree_handle(t, r->in.release.fh, directory, &h);
	if (!error)
		handle_free(t->inodes, h);
	return error;
}

int tree_fallocate(struct tree *t, const struct fuse_request *r, struct buf *out)
{
	const struct fuse_fallocate_in *in = &r->in.fallocate;
	struct handle *h;
	int error = tree_handle(t, in->fh, false, &h);

	(void)out;
	if (error || !h->writable)
		return EBADF;
	if (in->mode & ~(uint32_t)(FALLOC_FL_KEEP_SIZE | FALLOC_FL_PUNCH_HOLE | FALLOC_FL_ZERO_RANGE))
		return EOPNOTSUPP;
	if (in->offset > INT64_MAX || in->length > INT64_MAX)
		return EFBIG;
	return fallocate(h->fd, (int)in->mode, (off_t)in->offset, (off_t)in->length) ? errno : 0;
}

int tree_lseek(struct tree *t, const struct fuse_request *r, struct buf *out)
{
	const struct fuse_lseek_in *in = &r->in.lseek;
	struct fuse_lseek_out reply;
	struct handle *h;
	int error = tree_handle(t, in->fh, false, &h);
	off_t at;

	if (error)
		return error;
	if ((in->whence != SEEK_DATA && in->whence != SEEK_HOLE) || in->offset > INT64_MAX)
		return EINVAL;
	at = lseek(h->fd, (off_t)in->offset, (int)in->whence);
	if (at < 0)
		return errno;
	reply.offset = (uint64_t)at;
	buf_put(out, str_make(&reply, sizeof reply));
	return 0;
}

int tree_copy(struct tree *t, const struct fuse_request *r, struct buf *out)
{
	const struct fuse_copy_file_range_in *in = &r->in.copy;
	struct fuse_write_out reply = { 0 };
	struct handle *from, *to;
	off_t from_at = (off_t)in->off_in, to_at = (off_t)in->off_out;
	ssize_t n;

	if (tree_handle(t, in->fh_in, false, &from) || tree_handle(t, in->fh_out, false, &to))
		return EBADF;
	if (!from->readable || !to->writable)
		return EBADF;
	if (in->flags || in->off_in > INT64_MAX || in->off_out > INT64_MAX)
		return EINVAL;
	n = copy_file_range(from->fd, &from_at, to->fd, &to_at, in->len < COPY_MAX ? in->len : COPY_MAX, 0);
	if (n < 0)
		return errno;
	reply.size = (uint32_t)n;
	buf_put(out, str_make(&reply, sizeof reply));
	return 0;
}
