/* attr.c - attributes: GETATTR, SETATTR, ACCESS, STATFS and extended ones
 *
 * Theory of operation: see tree.c. In the guest the serving user's files belong to one user (root,
 * usually) and all others to nobody; a change of owner succeeds only where it changes nothing.
 * Of the extended attributes only user.* exist: the others mean something to the host's kernel.
 */
#include "files/private.h"

#include "base/auto.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/limits.h>
#include <sys/statfs.h>
#include <sys/syscall.h>
#include <sys/xattr.h>

#ifndef SYS_fchmodat2
#define SYS_fchmodat2 452	/* Linux 6.6 */
#endif

static void put_attributes(struct tree *t, const struct stat *st, struct buf *out)
{
	struct fuse_attr_out reply = { .attr_valid = TREE_ATTRIBUTE_SECONDS };

	tree_attributes(t, st, &reply.attr);
	buf_put(out, str_make(&reply, sizeof reply));
}

/* The synthetic root: a read-only directory that holds a directory a mount. */
static void put_root(struct tree *t, struct buf *out)
{
	struct fuse_attr_out reply = { .attr_valid = 3600 };

	reply.attr = (struct fuse_attr){ .ino = FUSE_ROOT_ID, .mode = S_IFDIR | 0555, .blksize = 4096,
					 .nlink = 2 + t->mount_count };
	buf_put(out, str_make(&reply, sizeof reply));
}

int tree_getattr(struct tree *t, const struct fuse_request *r, struct buf *out)
{
	struct inode *i;
	struct stat st;
	int error;

	if (r->header.nodeid == FUSE_ROOT_ID) {
		put_root(t, out);
		return 0;
	}
	error = tree_object(t, r->header.nodeid, &i);
	if (!error)
		error = tree_stat(t, i, &st);
	if (!error)
		put_attributes(t, &st, out);
	return error;
}

/* A descriptor of @i that is open already, or -1. A nameless file has no other. */
static int descriptor_at_hand(const struct inode *i, bool writable)
{
	if (i->root && !S_ISDIR(i->type))
		return i->fd;
	for (const struct handle *h = i->handles; h; h = h->next)
		if (h->writable || !writable)
			return h->fd;
	return -1;
}

static int set_size(struct tree *t, struct inode *i, uint64_t size)
{
	int borrowed = descriptor_at_hand(i, true), error;
	auto_fd fd = -1;

	if (size > INT64_MAX)
		return EFBIG;
	if (S_ISDIR(i->type))
		return EISDIR;
	if (borrowed < 0) {
		error = tree_open(t, i, O_WRONLY, &fd);
		if (error)
			return error;
		borrowed = fd;
	}
	return ftruncate(borrowed, (off_t)size) ? errno : 0;
}

/* Linux before 6.6 cannot change the mode of what it only has a name for without following links:
 * there the file is opened. One that its owner may neither read nor write keeps its mode. */
static int set_mode_opened(struct tree *t, struct inode *i, mode_t mode)
{
	auto_fd fd = -1;
	int error = tree_open(t, i, O_RDONLY, &fd);

	if (error == EACCES && S_ISREG(i->type))
		error = tree_open(t, i, O_WRONLY, &fd);
	if (error)
		return error;
	return fchmod(fd, mode) ? errno : 0;
}

static int set_mode(struct tree *t, struct inode *i, uint32_t wanted)
{
	mode_t mode = wanted & 01777;
	int directory, error, borrowed = descriptor_at_hand(i, false);

	if (S_ISLNK(i->type))
		return EOPNOTSUPP;
	if (borrowed >= 0)
		return fchmod(borrowed, mode) ? errno : 0;
	if (i->root || i->nameless)
		return set_mode_opened(t, i, mode);
	error = inode_directory(t->inodes, i->parent, &directory);
	if (error)
		return error;
	if (syscall(SYS_fchmodat2, directory, i->name.p, mode, AT_SYMLINK_NOFOLLOW) == 0)
		return 0;
	return errno == ENOSYS ? set_mode_opened(t, i, mode) : errno;
}

static struct timespec time_of(const struct fuse_setattr_in *in, uint32_t set, uint32_t now, uint64_t seconds,
			       uint32_t nanoseconds)
{
	if (in->valid & now)
		return (struct timespec){ .tv_nsec = UTIME_NOW };
	if (in->valid & set)
		return (struct timespec){ .tv_sec = (time_t)seconds, .tv_nsec = nanoseconds };
	return (struct timespec){ .tv_nsec = UTIME_OMIT };
}

static int set_times(struct tree *t, struct inode *i, const struct fuse_setattr_in *in)
{
	struct timespec times[2] = {
		time_of(in, FATTR_ATIME, FATTR_ATIME_NOW, in->atime, in->atimensec),
		time_of(in, FATTR_MTIME, FATTR_MTIME_NOW, in->mtime, in->mtimensec),
	};
	int directory, error, borrowed = descriptor_at_hand(i, false);

	if (in->atimensec >= 1000000000 || in->mtimensec >= 1000000000)
		return EINVAL;
	if (borrowed >= 0)
		return futimens(borrowed, times) ? errno : 0;
	if (i->root)
		return utimensat(i->fd, ".", times, 0) ? errno : 0;
	if (i->nameless)
		return ESTALE;
	error = inode_directory(t->inodes, i->parent, &directory);
	if (error)
		return error;
	return utimensat(directory, i->name.p, times, AT_SYMLINK_NOFOLLOW) ? errno : 0;
}

static int may_own(const struct tree *t, const struct fuse_setattr_in *in, const struct stat *st)
{
	struct fuse_attr now;

	tree_attributes(t, st, &now);
	if (((in->valid & FATTR_UID) && in->uid != now.uid) ||
	    ((in->valid & FATTR_GID) && in->gid != now.gid))
		return EPERM;
	return 0;
}

static int set_attributes(struct tree *t, struct inode *i, const struct fuse_setattr_in *in)
{
	int error = 0;

	if (in->valid & FATTR_SIZE)
		error = set_size(t, i, in->size);
	if (!error && (in->valid & FATTR_MODE))
		error = set_mode(t, i, in->mode);
	if (!error && (in->valid & (FATTR_ATIME | FATTR_MTIME | FATTR_ATIME_NOW | FATTR_MTIME_NOW)))
		error = set_times(t, i, in);
	return error;
}

int tree_setattr(struct tree *t, const struct fuse_request *r, struct buf *out)
{
	struct inode *i;
	struct stat st;
	int error = r->header.nodeid == FUSE_ROOT_ID ? EROFS : tree_object(t, r->header.nodeid, &i);

	if (!error)
		error = tree_stat(t, i, &st);
	if (!error)
		error = tree_may_write(t, i, &st);
	if (!error)
		error = may_own(t, &r->in.setattr, &st);
	if (!error)
		error = set_attributes(t, i, &r->in.setattr);
	if (!error)
		error = tree_stat(t, i, &st);
	if (!error)
		put_attributes(t, &st, out);
	return error;
}

/* Asked only where the guest's kernel does not judge by the mode itself. */
int tree_access(struct tree *t, const struct fuse_request *r, struct buf *out)
{
	struct inode *i;
	struct stat st;
	uint32_t has;
	int error;

	(void)out;
	if (r->header.nodeid == FUSE_ROOT_ID)
		return r->in.access.mask & W_OK ? EROFS : 0;
	error = tree_object(t, r->header.nodeid, &i);
	if (!error)
		error = tree_stat(t, i, &st);
	if (error)
		return error;
	if ((r->in.access.mask & W_OK) && tree_read_only(t, i))
		return EROFS;
	has = (st.st_uid == t->own ? st.st_mode >> 6 : st.st_mode) & 7u;
	return r->in.access.mask & 7u & ~has ? EACCES : 0;
}

int tree_statfs(struct tree *t, const struct fuse_request *r, struct buf *out)
{
	struct inode *i = t->mounts[0].root;
	struct fuse_statfs_out reply = { 0 };
	struct statfs s;
	int error = r->header.nodeid == FUSE_ROOT_ID ? 0 : tree_object(t, r->header.nodeid, &i);

	if (error)
		return error;
	if (fstatfs(t->mounts[i->mount].root->fd, &s))
		return errno;
	reply.st = (struct fuse_kstatfs){
		.blocks = s.f_blocks, .bfree = s.f_bfree, .bavail = s.f_bavail, .files = s.f_files,
		.ffree = s.f_ffree, .bsize = (uint32_t)s.f_bsize, .frsize = (uint32_t)s.f_frsize,
		.namelen = FUSE_NAME_BYTES,
	};
	buf_put(out, str_make(&reply, sizeof reply));
	return 0;
}

/* A descriptor for extended attributes of the guest's @number; @writes: it will change one. */
static int open_for_xattr(struct tree *t, uint64_t number, bool writes, int *ret_fd)
{
	struct inode *i;
	struct stat st;
	int error = number == FUSE_ROOT_ID ? EOPNOTSUPP : tree_object(t, number, &i);

	if (error)
		return error;
	if (!S_ISREG(i->type) && !S_ISDIR(i->type))
		return EOPNOTSUPP;
	error = tree_stat(t, i, &st);
	if (!error && writes)
		error = tree_may_write(t, i, &st);
	return error ? error : tree_open(t, i, O_RDONLY, ret_fd);
}

static bool is_served(struct str name) { return str_starts(name, STR("user.")) && name.n > 5; }

int tree_setxattr(struct tree *t, const struct fuse_request *r, struct buf *out)
{
	auto_fd fd = -1;
	int error;

	(void)out;
	if (!is_served(r->name))
		return EOPNOTSUPP;
	if (r->data.n != r->in.setxattr.size ||
	    (r->in.setxattr.flags & ~(uint32_t)(XATTR_CREATE | XATTR_REPLACE)))
		return EINVAL;
	if (r->data.n > XATTR_SIZE_MAX)
		return E2BIG;
	error = open_for_xattr(t, r->header.nodeid, true, &fd);
	if (error)
		return error;
	return fsetxattr(fd, r->name.p, r->data.p, r->data.n, (int)r->in.setxattr.flags) ? errno : 0;
}

/* @n bytes of an answer, of which the guest wants at most @size, or with 0 the length. */
static int put_value(struct buf *out, struct str value, uint32_t size)
{
	struct fuse_getxattr_out length = { .size = (uint32_t)value.n };

	if (size && value.n > size)
		return ERANGE;
	buf_put(out, size ? value : str_make(&length, sizeof length));
	return 0;
}

int tree_getxattr(struct tree *t, const struct fuse_request *r, struct buf *out)
{
	static char value[XATTR_SIZE_MAX];	/* one thread */
	auto_fd fd = -1;
	ssize_t n;
	int error;

	if (!is_served(r->name))
		return EOPNOTSUPP;
	error = open_for_xattr(t, r->header.nodeid, false, &fd);
	if (error)
		return error;
	n = fgetxattr(fd, r->name.p, value, sizeof value);
	return n < 0 ? errno : put_value(out, str_make(value, (size_t)n), r->in.getxattr.size);
}

int tree_listxattr(struct tree *t, const struct fuse_request *r, struct buf *out)
{
	static char list[XATTR_LIST_MAX], served[XATTR_LIST_MAX];	/* one thread */
	auto_fd fd = -1;
	size_t n = 0;
	ssize_t all;
	int error = open_for_xattr(t, r->header.nodeid, false, &fd);

	if (error)
		return error;
	all = flistxattr(fd, list, sizeof list);
	if (all < 0)
		return errno;
	for (struct str rest = str_make(list, (size_t)all); rest.n;) {
		struct str name = str_head(rest, str_find(rest, '\0'));

		if (is_served(name)) {
			memcpy(served + n, name.p, name.n);
			served[n + name.n] = '\0';
			n += name.n + 1;
		}
		rest = str_from(rest, name.n + 1);
	}
	return put_value(out, str_make(served, n), r->in.getxattr.size);
}

int tree_removexattr(struct tree *t, const struct fuse_request *r, struct buf *out)
{
	auto_fd fd = -1;
	int error;

	(void)out;
	if (!is_served(r->name))
		return EOPNOTSUPP;
	error = open_for_xattr(t, r->header.nodeid, true, &fd);
	if (error)
		return error;
	return fremovexattr(fd, r->name.p) ? errno : 0;
}
