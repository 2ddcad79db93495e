/* change.c - names removed and moved: UNLINK, RMDIR, RENAME
 *
 * Theory of operation: see tree.c. A directory moves only after a look at everything beneath it
 * (scan.c). The table of inodes follows what was done, so that an open file keeps its number.
 */
#include "files/private.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

/* What stood at @p is no longer there under that name. */
static void removed(struct tree *t, const struct place *p)
{
	struct inode *i = inode_find(t->inodes, p->parent->mount, &p->st);
	bool gone = S_ISDIR(p->st.st_mode) || p->st.st_nlink <= 1;
	bool named = i && !i->nameless && i->parent == p->parent && str_eq(i->name, p->name);

	if (gone)
		marks_unmake(t->marks, &p->st);
	tree_name_removed(t, &p->st, i && (named || i->nameless));
	if (i && (gone || named))
		inode_unname(t->inodes, i, gone);
}

static int place_to_change(struct tree *t, uint64_t number, struct str name, struct place *ret)
{
	int error = tree_place(t, number, name, 0, ret);

	if (!error)
		error = tree_see(t, ret);
	return error ? error : tree_may_change(t, ret);
}

static int take_away(struct tree *t, const struct fuse_request *r, int flags)
{
	struct place p;
	int error = place_to_change(t, r->header.nodeid, r->name, &p);

	if (error)
		return error;
	if (unlinkat(p.directory, p.name.p, flags))
		return errno;
	removed(t, &p);
	return 0;
}

int tree_unlink(struct tree *t, const struct fuse_request *r, struct buf *out)
{
	(void)out;
	return take_away(t, r, 0);
}

int tree_rmdir(struct tree *t, const struct fuse_request *r, struct buf *out)
{
	(void)out;
	return take_away(t, r, AT_REMOVEDIR);
}

/* May what stands at @from, a directory perhaps, move to @to? */
static int may_move(struct tree *t, struct place *from, struct place *to)
{
	int error = tree_may_change(t, from);

	return error || !S_ISDIR(from->st.st_mode) ? error : tree_scan_rename(t, from, to);
}

static int may_rename(struct tree *t, struct place *from, struct place *to, unsigned flags)
{
	int error;

	if (from->parent->mount != to->parent->mount)
		return EXDEV;
	if (!from->exists || from->rule == RULE_HIDDEN)
		return ENOENT;
	if (to->rule == RULE_HIDDEN)
		to->exists = false;	/* for the guest; tree_may_make() refuses */
	if (flags == RENAME_EXCHANGE)
		error = may_move(t, to, from);
	else if (to->exists && flags == RENAME_NOREPLACE)
		return EEXIST;
	else
		error = to->exists ? tree_may_change(t, to) : tree_may_make(t, to);
	return error ? error : may_move(t, from, to);
}

/* The object that stood at @from has moved to @to. An inode that cannot be told is left without a
 * name, and the guest's kernel looks again. */
static void moved(struct tree *t, const struct stat *st, const struct place *to)
{
	struct inode *i = inode_find(t->inodes, to->parent->mount, st);

	if (i && inode_rename(t->inodes, i, to->parent, to->name))
		inode_unname(t->inodes, i, false);
}

static int exchanged(struct tree *t, struct place *from, struct place *to)
{
	int error;

	moved(t, &from->st, to);
	moved(t, &to->st, from);
	error = tree_made(t, to);
	return error ? error : tree_made(t, from);
}

static int rename_places(struct tree *t, struct place *from, struct place *to, unsigned flags)
{
	bool same = to->exists && from->st.st_dev == to->st.st_dev && from->st.st_ino == to->st.st_ino;

	if (renameat2(from->directory, from->name.p, to->directory, to->name.p, flags))
		return errno;
	if (same)
		return 0;	/* two names of one file: nothing was done */
	if (flags == RENAME_EXCHANGE)
		return exchanged(t, from, to);
	if (to->exists)
		removed(t, to);
	moved(t, &from->st, to);
	return tree_made(t, to);
}

static int do_rename(struct tree *t, const struct fuse_request *r, uint64_t directory, unsigned flags)
{
	struct place from, to;
	int error;

	if (flags != 0 && flags != RENAME_NOREPLACE && flags != RENAME_EXCHANGE)
		return EINVAL;
	error = tree_place(t, r->header.nodeid, r->name, 0, &from);
	if (!error)
		error = tree_place(t, directory, r->second, 1, &to);
	if (!error)
		error = tree_see(t, &from);
	if (!error)
		error = tree_see(t, &to);
	if (!error)
		error = may_rename(t, &from, &to, flags);
	return error ? error : rename_places(t, &from, &to, flags);
}

int tree_rename(struct tree *t, const struct fuse_request *r, struct buf *out)
{
	(void)out;
	return do_rename(t, r, r->in.rename.newdir, 0);
}

int tree_rename2(struct tree *t, const struct fuse_request *r, struct buf *out)
{
	(void)out;
	return do_rename(t, r, r->in.rename2.newdir, r->in.rename2.flags);
}
