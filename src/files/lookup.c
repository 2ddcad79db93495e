/* lookup.c - names found and names made: LOOKUP, FORGET, CREATE, MKNOD, MKDIR, SYMLINK, LINK, READLINK
 *
 * Theory of operation: see tree.c. What is absent is answered with a name that means nothing, for as
 * long as an entry is believed; so is what is hidden, so that nobody can tell the two apart. The
 * bits that give a program another user's rights are never set, and no device is ever made.
 */
#include "files/private.h"

#include "base/auto.h"

#include <errno.h>
#include <fcntl.h>

#define MODE_BITS 01777u

static int put_entry(struct tree *t, struct place *p, struct buf *out)
{
	struct fuse_entry_out entry;
	int error = tree_entry(t, p, &entry);

	if (!error)
		buf_put(out, str_make(&entry, sizeof entry));
	return error;
}

/* The names of the synthetic root are the numbers of the mounts. */
static int lookup_mount(struct tree *t, struct str name, struct buf *out)
{
	struct fuse_entry_out entry = { .entry_valid = 3600, .attr_valid = TREE_ATTRIBUTE_SECONDS };
	uint64_t n;
	struct stat st;
	int error;

	if (!str_decimal(name, t->mount_count - 1, &n) || (name.n > 1 && name.p[0] == '0'))
		return ENOENT;
	error = tree_stat(t, t->mounts[n].root, &st);
	if (error)
		return error;
	entry.nodeid = t->mounts[n].root->number;
	tree_attributes(t, &st, &entry.attr);
	buf_put(out, str_make(&entry, sizeof entry));
	return 0;
}

int tree_lookup(struct tree *t, const struct fuse_request *r, struct buf *out)
{
	struct fuse_entry_out nothing = { .entry_valid = TREE_ATTRIBUTE_SECONDS };
	struct place p;
	int error;

	if (r->header.nodeid == FUSE_ROOT_ID)
		return lookup_mount(t, r->name, out);
	error = tree_place(t, r->header.nodeid, r->name, 0, &p);
	if (!error)
		error = tree_see(t, &p);
	if (error)
		return error;
	if (p.exists && p.rule != RULE_HIDDEN)
		return put_entry(t, &p, out);
	buf_put(out, str_make(&nothing, sizeof nothing));
	return 0;
}

static void forget(struct tree *t, uint64_t number, uint64_t lookups)
{
	struct inode *i = inode_get(t->inodes, number);

	if (i && !i->root)
		inode_forget(t->inodes, i, lookups);
}

int tree_forget(struct tree *t, const struct fuse_request *r, struct buf *out)
{
	(void)out;
	forget(t, r->header.nodeid, r->in.forget.nlookup);
	return 0;
}

int tree_batch_forget(struct tree *t, const struct fuse_request *r, struct buf *out)
{
	struct fuse_forget_one one;
	struct str rest = r->data;

	(void)out;
	if (rest.n / sizeof one < r->in.batch_forget.count)
		return EINVAL;
	for (uint32_t k = 0; k < r->in.batch_forget.count; k++) {
		memcpy(&one, rest.p, sizeof one);
		rest = str_from(rest, sizeof one);
		forget(t, one.nodeid, one.nlookup);
	}
	return 0;
}

/* A place where something may be made. */
static int place_to_make(struct tree *t, uint64_t number, struct str name, struct place *ret)
{
	int error = tree_place(t, number, name, 0, ret);

	if (!error)
		error = tree_see(t, ret);
	return error ? error : tree_may_make(t, ret);
}

/* It was made: @done is what the system call said. */
static int finish(struct tree *t, struct place *p, int done, struct buf *out)
{
	int error = done ? errno : tree_made(t, p);

	return error ? error : put_entry(t, p, out);
}

int tree_mknod(struct tree *t, const struct fuse_request *r, struct buf *out)
{
	mode_t type = r->in.mknod.mode & S_IFMT;
	struct place p;
	int error;

	if (type != 0 && type != S_IFREG && type != S_IFIFO && type != S_IFSOCK)
		return EPERM;
	error = place_to_make(t, r->header.nodeid, r->name, &p);
	if (error)
		return error;
	return finish(t, &p, mknodat(p.directory, p.name.p, type | (r->in.mknod.mode & MODE_BITS), 0), out);
}

int tree_mkdir(struct tree *t, const struct fuse_request *r, struct buf *out)
{
	struct place p;
	int error = place_to_make(t, r->header.nodeid, r->name, &p);

	if (error)
		return error;
	return finish(t, &p, mkdirat(p.directory, p.name.p, r->in.mkdir.mode & MODE_BITS), out);
}

int tree_symlink(struct tree *t, const struct fuse_request *r, struct buf *out)
{
	struct place p;
	int error = place_to_make(t, r->header.nodeid, r->name, &p);

	if (error)
		return error;
	return finish(t, &p, symlinkat(r->second.p, p.directory, p.name.p), out);
}

int tree_readlink(struct tree *t, const struct fuse_request *r, struct buf *out)
{
	char target[FUSE_TEXT_BYTES + 1];
	struct inode *i;
	int directory, error = tree_object(t, r->header.nodeid, &i);
	struct stat st;
	ssize_t n;

	if (error)
		return error;
	if (!S_ISLNK(i->type))
		return EINVAL;
	error = tree_stat(t, i, &st);	/* is it still the one that was looked up? */
	if (!error)
		error = inode_directory(t->inodes, i->parent, &directory);
	if (error)
		return error;
	n = readlinkat(directory, i->name.p, target, sizeof target);
	if (n < 0)
		return errno;
	buf_put(out, str_make(target, (size_t)n));
	return 0;
}

/* The file that is to get another name: found, and allowed to. */
static int link_source(struct tree *t, uint64_t number, struct inode **ret, struct stat *st)
{
	int error = tree_object(t, number, ret);

	if (error)
		return error;
	if (S_ISDIR((*ret)->type))
		return EPERM;
	if ((*ret)->root)
		return EXDEV;
	if ((*ret)->nameless)
		return ENOENT;
	error = tree_stat(t, *ret, st);
	return error ? error : tree_may_write(t, *ret, st);
}

int tree_link(struct tree *t, const struct fuse_request *r, struct buf *out)
{
	struct inode *source;
	struct place p;
	struct stat st;
	int directory, error = link_source(t, r->in.link.oldnodeid, &source, &st);

	if (!error)
		error = place_to_make(t, r->header.nodeid, r->name, &p);
	if (error)
		return error;
	if (source->mount != p.parent->mount)
		return EXDEV;
	error = inode_directory(t->inodes, source->parent, &directory);
	if (error)
		return error;
	if (linkat(directory, source->name.p, p.directory, p.name.p, 0))
		return errno;
	tree_name_added(t, &st);
	return finish(t, &p, 0, out);
}

/* The file at @p was opened as @fd: gives the guest its entry and a handle. Takes @fd. */
static int give_handle(struct tree *t, struct place *p, int taken, uint32_t flags, struct buf *out)
{
	auto_fd fd = taken;
	struct fuse_entry_out entry;
	struct fuse_open_out opened = { 0 };
	struct handle *h;
	struct stat st;
	int error = fstat(fd, &st) ? errno : 0;

	if (!error && (st.st_ino != p->st.st_ino || st.st_dev != p->st.st_dev))
		error = ESTALE;		/* the host put another file there at this moment */
	if (!error)
		error = tree_entry(t, p, &entry);
	if (error)
		return error;
	error = handle_new(t->inodes, inode_get(t->inodes, entry.nodeid), fd, &h);
	if (error) {
		forget(t, entry.nodeid, 1);
		return error;
	}
	(void)fd_take(&fd);
	h->readable = (flags & O_ACCMODE) != O_WRONLY;
	h->writable = (flags & O_ACCMODE) != O_RDONLY;
	opened.fh = h->number;
	buf_put(out, str_make(&entry, sizeof entry));
	buf_put(out, str_make(&opened, sizeof opened));
	return 0;
}

/* CREATE of what exists already (the guest's kernel did not know): opened as it is. */
static int create_existing(struct tree *t, struct place *p, uint32_t flags, struct buf *out)
{
	bool writes = (flags & O_ACCMODE) != O_RDONLY || (flags & O_TRUNC);
	struct fuse_entry_out entry;
	struct inode *i;
	int fd, error = tree_entry(t, p, &entry);

	if (error)
		return error;
	i = inode_get(t->inodes, entry.nodeid);
	error = writes ? tree_may_write(t, i, &p->st) : 0;
	if (!error && !S_ISREG(i->type))
		error = S_ISDIR(i->type) ? EISDIR : EEXIST;
	if (!error)
		error = tree_open(t, i, tree_open_flags(flags), &fd);
	if (!error && (flags & O_TRUNC) && ftruncate(fd, 0)) {
		error = errno;
		close(fd);
	}
	if (!error)
		error = give_handle(t, p, fd, flags, out);
	forget(t, entry.nodeid, 1);
	return error;
}

int tree_create(struct tree *t, const struct fuse_request *r, struct buf *out)
{
	uint32_t flags = r->in.create.flags;
	struct place p;
	int fd, error = tree_place(t, r->header.nodeid, r->name, 0, &p);

	if ((flags & O_ACCMODE) == O_ACCMODE)
		return EINVAL;
	if (!error)
		error = tree_see(t, &p);
	if (!error && p.exists && p.rule != RULE_HIDDEN && !(flags & O_EXCL))
		return create_existing(t, &p, flags, out);
	if (!error)
		error = tree_may_make(t, &p);
	if (!error)
		error = open_beneath(p.directory, p.name.p,
				     (uint64_t)tree_open_flags(flags & ~(uint32_t)O_TRUNC) | O_CREAT | O_EXCL,
				     r->in.create.mode & 0777, &fd);
	if (error)
		return error;
	error = tree_made(t, &p);
	if (error) {
		close(fd);
		return error;
	}
	return give_handle(t, &p, fd, flags, out);
}
