/* place.c - a name in a directory: what is there, which rule holds, what may be done
 *
 * Theory of operation: see tree.c. A place is valid for the request at hand only. The rule of a
 * place is the strictest of: the path by which the guest came, the same path seen from an inner
 * mount, and the identity of a file with more than one name.
 */
#include "files/private.h"

#include "base/auto.h"
#include "files/spelling.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#define PATH_BYTES_MAX 4000	/* a path longer than this could not be named on the host either */

int tree_object(struct tree *t, uint64_t number, struct inode **ret)
{
	*ret = inode_get(t->inodes, number);
	if (!*ret || t->held_count == sizeof t->held / sizeof *t->held)
		return ESTALE;
	(*ret)->lookups++;
	t->held[t->held_count++] = *ret;
	return 0;
}

int tree_handle(const struct tree *t, uint64_t number, bool directory, struct handle **ret)
{
	*ret = handle_get(t->inodes, number);
	return *ret && (*ret)->directory == directory ? 0 : EBADF;
}

int32_t tree_inner(const struct tree *t, uint32_t mount, const struct stat *st)
{
	if (!t->nested)
		return -1;
	for (uint32_t i = 0; i < t->mount_count; i++)
		if (i != mount && inode_is(t->mounts[i].root, st))
			return (int32_t)i;
	return -1;
}

bool tree_read_only(const struct tree *t, const struct inode *i)
{
	bool read_only = t->mounts[i->mount].config->read_only;

	for (; i && !i->root; i = i->parent)
		read_only |= i->inner >= 0 && t->mounts[i->inner].config->read_only;
	return read_only;
}

enum rule tree_path_rule(const struct tree *t, const struct inode *above, size_t depth,
			 const struct rules_component *path, size_t count)
{
	enum rule strictest = rules_match(t->mounts[above->mount].rules, path, count);

	for (; t->nested && !above->root; above = above->parent, depth--)
		if (above->inner >= 0) {
			enum rule inner =
				rules_match(t->mounts[above->inner].rules, path + depth, count - depth);

			strictest = inner > strictest ? inner : strictest;
		}
	return strictest;
}

int tree_base(struct tree *t, struct inode *i, unsigned which, struct place *ret)
{
	int error;

	*ret = (struct place){ .parent = i, .path = t->paths[which] };
	error = inode_directory(t->inodes, i, &ret->directory);
	if (!error)
		error = inode_path(i, ret->path, &ret->count);
	for (size_t k = 0; !error && k < ret->count; k++)
		ret->bytes += ret->path[k].name.n + 1;
	ret->count++;		/* the name that is to come */
	return error;
}

int tree_named(struct tree *t, struct place *p, struct str name)
{
	struct str folded;

	if (p->bytes + name.n > PATH_BYTES_MAX)
		return ENAMETOOLONG;
	folded = str_make(p->folded, rules_fold(name, p->folded));
	p->name = name;
	p->exists = p->made = false;
	p->path[p->count - 1] = (struct rules_component){ .name = folded };
	p->rule = tree_path_rule(t, p->parent, p->count - 1, p->path, p->count);
	return 0;
}

int tree_place(struct tree *t, uint64_t number, struct str name, unsigned which, struct place *ret)
{
	struct inode *i;
	int error = number == FUSE_ROOT_ID ? EROFS : tree_object(t, number, &i);

	if (!error)
		error = tree_base(t, i, which, ret);
	return error ? error : tree_named(t, ret, name);
}

bool tree_rememberable(const struct tree *t, const struct place *p)
{
	if (!rules_protects_git(t->mounts[p->parent->mount].rules))
		return false;
	return rules_is_git(p->path[p->count - 1].name) || rules_git_nest(p->path, p->count);
}

/* Another file system begins at @p, mounted there on the host: can the mount's rules hold beneath? */
static bool is_foreign(struct tree *t, const struct place *p)
{
	auto_buf text = BUF_EMPTY;
	auto_fd fd = -1;
	const char *kind;

	if (!t->mounts[p->parent->mount].by_names || !S_ISDIR(p->st.st_mode) ||
	    p->st.st_dev == p->parent->device)
		return false;
	kind = open_beneath(p->directory, p->name.p, O_PATH | O_DIRECTORY, 0, &fd) ? "an unknown file system"
										    : spelling_loose(fd);
	if (!kind)
		return false;
	buf_init(&text, 120);
	buf_printf(&text, "hidden: it is on %s, where files are found by more names than they have", kind);
	tree_report(t, p->parent, p->name, buf_str(&text), true);
	return true;
}

int tree_see(struct tree *t, struct place *p)
{
	enum rule identity;

	p->exists = fstatat(p->directory, p->name.p, &p->st, AT_SYMLINK_NOFOLLOW) == 0;
	if (!p->exists)
		return errno == ENOENT ? 0 : errno;
	if (tree_rememberable(t, p) && marks_is_made(t->marks, &p->st)) {
		p->made = p->path[p->count - 1].made = true;
		p->rule = tree_path_rule(t, p->parent, p->count - 1, p->path, p->count);
	}
	if (p->rule == RULE_ANCHOR && !S_ISDIR(p->st.st_mode))
		p->rule = RULE_PROTECTED;
	identity = tree_identity_rule(t, &p->st);
	if (identity > p->rule)
		p->rule = identity;
	if (is_foreign(t, p))
		p->rule = RULE_HIDDEN;
	return 0;
}

int tree_refuse(struct tree *t, const struct inode *parent, struct str name, enum rule rule, const char *what)
{
	auto_buf text = BUF_EMPTY;

	buf_init(&text, 80);
	buf_put_z(&text, rule_name(rule));
	buf_put_z(&text, ": ");
	buf_put_z(&text, what);
	tree_report(t, parent, name, buf_str(&text), true);
	return EACCES;
}

int tree_may_make(struct tree *t, struct place *p)
{
	if (p->exists && p->rule != RULE_HIDDEN)
		return EEXIST;
	if (tree_read_only(t, p->parent))
		return EROFS;
	if (p->rule > RULE_ANCHOR)
		return tree_refuse(t, p->parent, p->name, p->rule, "cannot be made here");
	if (tree_rememberable(t, p) && marks_full(t->marks))
		return tree_refuse(t, p->parent, p->name, RULE_ANCHOR, "too many repositories were made");
	return 0;
}

int tree_may_change(struct tree *t, struct place *p)
{
	if (!p->exists || p->rule == RULE_HIDDEN)
		return ENOENT;
	if (tree_read_only(t, p->parent))
		return EROFS;
	if (p->rule != RULE_NONE)
		return tree_refuse(t, p->parent, p->name, p->rule, "not renamed, replaced or removed");
	if (tree_inner(t, p->parent->mount, &p->st) >= 0)
		return EBUSY;
	return 0;
}

int tree_may_write(struct tree *t, struct inode *i, const struct stat *st)
{
	struct rules_component *path = t->paths[2];
	enum rule rule = RULE_NONE, identity;
	size_t count;

	if (tree_read_only(t, i))
		return EROFS;
	/* What has no name any more was not protected under its name: that could not be removed. */
	if (!i->nameless && !i->root) {
		int error = inode_path(i, path, &count);

		if (error)
			return error;
		rule = tree_path_rule(t, i->parent, count - 1, path, count);
	}
	identity = tree_identity_rule(t, st);
	rule = identity > rule ? identity : rule;
	if (rule > RULE_ANCHOR || (rule == RULE_ANCHOR && !S_ISDIR(st->st_mode)))
		return tree_refuse(t, i->nameless ? NULL : i, (struct str){ NULL, 0 }, rule, "not written");
	if (tree_leads_out(t, st, !i->nameless))
		return tree_refuse(t, i->nameless ? NULL : i, (struct str){ NULL, 0 }, RULE_READ_ONLY,
				   "not written: a hard link of it is outside of what is writable");
	return 0;
}

int tree_made(struct tree *t, struct place *p)
{
	int fd, error = tree_see(t, p);

	if (error || !p->exists)
		return error ? error : ENOENT;
	if (p->made || !tree_rememberable(t, p))
		return 0;
	error = open_beneath(p->directory, p->name.p, O_PATH, 0, &fd);
	if (error)
		return error;
	if (marks_make(t->marks, fd)) {
		close(fd);
		return EMFILE;
	}
	if (rules_is_git(p->path[p->count - 1].name))
		tree_report(t, p->parent, p->name, STR("new repository"), false);
	return tree_see(t, p);
}

int tree_entry(struct tree *t, struct place *p, struct fuse_entry_out *ret)
{
	struct inode *i;
	int error = inode_name(t->inodes, p->parent, p->name, &p->st, &i);

	if (error)
		return error;
	i->made = p->made;
	i->inner = S_ISDIR(p->st.st_mode) ? tree_inner(t, i->mount, &p->st) : -1;
	i->lookups++;
	*ret = (struct fuse_entry_out){ .nodeid = i->number, .entry_valid = TREE_ATTRIBUTE_SECONDS,
					.attr_valid = TREE_ATTRIBUTE_SECONDS };
	tree_attributes(t, &p->st, &ret->attr);
	return 0;
}

void tree_attributes(const struct tree *t, const struct stat *st, struct fuse_attr *ret)
{
	bool own = st->st_uid == t->own;

	*ret = (struct fuse_attr){
		.ino = st->st_ino, .size = (uint64_t)st->st_size, .blocks = (uint64_t)st->st_blocks,
		.atime = (uint64_t)st->st_atim.tv_sec, .atimensec = (uint32_t)st->st_atim.tv_nsec,
		.mtime = (uint64_t)st->st_mtim.tv_sec, .mtimensec = (uint32_t)st->st_mtim.tv_nsec,
		.ctime = (uint64_t)st->st_ctim.tv_sec, .ctimensec = (uint32_t)st->st_ctim.tv_nsec,
		.mode = st->st_mode & ~(mode_t)(S_ISUID | S_ISGID), .nlink = (uint32_t)st->st_nlink,
		.uid = own ? t->config->uid : TREE_NOBODY, .gid = own ? t->config->gid : TREE_NOBODY,
		.blksize = 4096,	/* no device number: a node of the host's is none of the guest's */
	};
}

/* A descriptor that stands for a nameless inode: its own, or that of somebody who has it open. */
static int remaining_descriptor(const struct inode *i)
{
	return i->fd >= 0 ? i->fd : i->handles ? i->handles->fd : -1;
}

int tree_stat(struct tree *t, struct inode *i, struct stat *ret)
{
	int directory, error, fd = i->nameless ? remaining_descriptor(i) : i->fd;

	if (fd >= 0)
		return fstat(fd, ret) ? errno : 0;
	if (i->nameless)
		return ESTALE;
	error = inode_directory(t->inodes, i->parent, &directory);
	if (error)
		return error;
	if (fstatat(directory, i->name.p, ret, AT_SYMLINK_NOFOLLOW))
		return errno == ENOENT ? ESTALE : errno;
	return inode_is(i, ret) ? 0 : ESTALE;
}

static int open_root(const struct inode *i, int flags, int *ret_fd)
{
	if (S_ISDIR(i->type))
		return open_beneath(i->fd, ".", (uint64_t)flags | O_DIRECTORY, 0, ret_fd);
	*ret_fd = fcntl(i->fd, F_DUPFD_CLOEXEC, 0);
	return *ret_fd < 0 ? errno : 0;
}

int tree_open_flags(uint32_t flags)
{
	uint32_t kept = flags & (O_ACCMODE | O_APPEND | O_SYNC | O_DSYNC);

	if ((flags & O_TRUNC) && (flags & O_ACCMODE) == O_RDONLY)
		kept |= O_RDWR;
	return (int)kept;
}

int tree_open(struct tree *t, struct inode *i, int flags, int *ret_fd)
{
	int directory, fd, error;
	struct stat st;

	if (!S_ISREG(i->type) && !S_ISDIR(i->type))
		return S_ISLNK(i->type) ? ELOOP : ENXIO;
	if (i->root)
		return open_root(i, flags, ret_fd);
	if (i->nameless)
		return ESTALE;
	error = inode_directory(t->inodes, i->parent, &directory);
	if (!error)	/* were it a fifo by now, opening it would not wait */
		error = open_beneath(directory, i->name.p, (uint64_t)flags | O_NONBLOCK | O_NOCTTY, 0, &fd);
	if (error)
		return error == ENOENT || error == ELOOP ? ESTALE : error;
	error = fstat(fd, &st) ? errno : inode_is(i, &st) ? 0 : ESTALE;
	if (error)
		close(fd);
	else
		*ret_fd = fd;
	return error;
}
