/* private.h - what the parts of the tree share; included by them only */
#pragma once

#include "files/marks.h"
#include "files/tally.h"
#include "files/tree.h"

#define TREE_ATTRIBUTE_SECONDS 1	/* how long the guest may believe a name and its attributes */
#define TREE_SCAN_RENAME_MAX 200000u	/* entries looked at for one rename of a directory */
#define TREE_SCAN_LINKS_MAX 2000000u	/* entries looked at, once, for names of files with several */
#define TREE_SCAN_COUNTED_MAX 524288u	/* directories with such files */
#define TREE_NAMES_MAX 524288u		/* files that have several names in the workspace */
#define TREE_NOBODY 65534

struct tree_mount {
	const struct config_mount *config;
	bool by_names;			/* it has rules that depend on how something is called */
	struct rules *rules;
	struct inode *root;
};

struct tree {
	const struct config *config;
	const struct tree_ops *ops;
	void *user;
	struct inodes *inodes;
	struct marks *marks;
	struct tally *names;		/* of files with several: those that are known; see links.c */
	uint32_t mount_count;
	struct tree_mount mounts[CONFIG_MOUNTS_MAX];
	uid_t own;			/* the serving user, as fstat() shows it */
	bool begun;			/* INIT was answered */
	bool nested;			/* a mount's root may be beneath another's */
	bool hides;			/* a mount has hidden files */
	enum { LINKS_UNKNOWN, LINKS_KNOWN, LINKS_DOUBTFUL } links;	/* see tree_links() */
	struct inode *held[4];		/* by the request at hand: not freed before it ends */
	unsigned held_count;
	uint64_t report_ms;		/* when report_tokens was last filled */
	uint32_t report_tokens;
	uint64_t report_last;		/* hash of the last one */
	struct rules_component paths[3][RULES_DEPTH_MAX + 1];	/* of the places at hand; [2] is scratch */
};

/** struct place - a name in a directory, and the rule that holds there. It need not exist. */
struct place {
	struct inode *parent;
	int directory;			/* borrowed, O_PATH */
	struct str name;		/* followed by a NUL: name.p is a C string */
	struct rules_component *path;
	size_t count;
	size_t bytes;			/* of the path up to the directory */
	enum rule rule;			/* by path; ANCHOR is resolved by tree_see() */
	bool exists;			/* tree_see(): @st is filled in */
	bool made;			/* made from inside: see marks.h */
	struct stat st;
	char folded[RULES_FOLD_BYTES];
};

/** All of these answer an errno, 0 if it went well. */
typedef int tree_handler(struct tree *t, const struct fuse_request *r, struct buf *out);

/** tree_base() - a place in directory @i whose name is not known yet; tree_named() gives it one. @which:
 *  0, or 1 for the second of two places at once. EACCES if the directory cannot be opened, ESTALE,
 *  ENOTDIR, ENAMETOOLONG */
must_use int tree_base(struct tree *t, struct inode *i, unsigned which, struct place *ret);
must_use int tree_named(struct tree *t, struct place *p, struct str name);
/** tree_place() - both of these: @name in the directory
 * with the guest's @number; EROFS in the synthetic root */
must_use int tree_place(struct tree *t, uint64_t number, struct str name, unsigned which, struct place *ret);
/** tree_see() - looks at what is there. The rule becomes that of the object too (hard links, a
 *  .git made from inside). Absence is no error. What is hidden exists all the same: tree_hides(). */
must_use int tree_see(struct tree *t, struct place *p);
/** tree_may_make() - may something new stand at @p, which was seen? EROFS, EACCES (reported), EEXIST */
must_use int tree_may_make(struct tree *t, struct place *p);
/** tree_may_change() - may the entry at @p, which was seen, be removed, renamed or replaced?
 *  ENOENT, EROFS, EACCES (reported) */
must_use int tree_may_change(struct tree *t, struct place *p);
/** tree_may_write() - may the object @i (attributes @st) be written, truncated, linked, its
 *  attributes changed? EROFS, EACCES (reported) */
must_use int tree_may_write(struct tree *t, struct inode *i, const struct stat *st);
/** tree_made() - something new stands at @p: sees it, remembers and reports a repository */
must_use int tree_made(struct tree *t, struct place *p);
/** tree_entry() - gives the guest the object at @p, which was seen: counts a lookup */
must_use int tree_entry(struct tree *t, struct place *p, struct fuse_entry_out *ret);
void tree_report(struct tree *t, const struct inode *parent, struct str name, struct str text, bool refused);
/** tree_read_only() - is the mount, or an inner one at or above @i, served read-only? */
bool tree_read_only(const struct tree *t, const struct inode *i);

/** tree_inner() - the other mount whose root is the directory of @st, beneath a directory of @mount; -1 */
int32_t tree_inner(const struct tree *t, uint32_t mount, const struct stat *st);
/** tree_rememberable() - is @p a .git, or a nest of one, so that it matters who made it? */
bool tree_rememberable(const struct tree *t, const struct place *p);

/** tree_attributes() - as the guest sees them; tree_stat() - of @i by its name, by a handle if
 *  it has none any more; ESTALE if another object stands there by now */
void tree_attributes(const struct tree *t, const struct stat *st, struct fuse_attr *ret);
must_use int tree_stat(struct tree *t, struct inode *i, struct stat *ret);
/** tree_open() - a descriptor of the object @i itself; never one of another
 *  ESTALE, EACCES, ELOOP, ENXIO (neither file nor directory) ... */
must_use int tree_open(struct tree *t, struct inode *i, int flags, int *ret_fd);
/** tree_open_flags() - of the guest's open @flags those that the host is asked for; O_TRUNC never:
 *  the file that was opened is truncated once it is known to be the right one */
int tree_open_flags(uint32_t flags);
/** tree_object() - the inode with the guest's @number, which stays until the request ends: ESTALE */
must_use int tree_object(struct tree *t, uint64_t number, struct inode **ret);
/** tree_handle() - the guest's file handle: EBADF if there is none, or of the wrong kind */
must_use int tree_handle(const struct tree *t, uint64_t number, bool directory, struct handle **ret);

/** tree_path_rule() - the rule of @path by the rules of the mount, and of inner mounts at or above the
 *  directory @above, which is its first @depth components */
enum rule tree_path_rule(const struct tree *t, const struct inode *above, size_t depth,
			 const struct rules_component *path, size_t count);
/** tree_refuse() - reports that @rule held, and is EACCES. @parent may be NULL: no path is known */
int tree_refuse(struct tree *t, const struct inode *parent, struct str name, enum rule rule,
		const char *what);

/** scan.c: tree_scan_rename() - @from is a directory that is to become @to: does anything
 *  beneath have a rule, here or there? EACCES (reported), also if there is too much to look at. */
must_use int tree_scan_rename(struct tree *t, struct place *from, struct place *to);
/** tree_links() - once: identities of what rules cover and what has more than one name are collected, and
 *  the names of others counted; LINKS_DOUBTFUL if not everything could be looked at */
void tree_links(struct tree *t);

/** links.c: tree_identity_rule() - the rule of the file of @st whatever it is called */
enum rule tree_identity_rule(struct tree *t, const struct stat *st);
/** tree_leads_out() - has the file of @st a name besides those that the agent may change? @named: it was
 *  just seen under one of these */
bool tree_leads_out(struct tree *t, const struct stat *st, bool named);
/** tree_name_added(), tree_name_removed() - the agent has done so; @before: seen just before. @nameless: the
 *  guest holds the object under the name that was removed */
void tree_name_added(struct tree *t, const struct stat *before);
void tree_name_removed(struct tree *t, const struct stat *before, bool nameless);

tree_handler tree_lookup, tree_forget, tree_batch_forget, tree_getattr, tree_setattr, tree_readlink,
tree_symlink,
	tree_mknod, tree_mkdir, tree_unlink, tree_rmdir, tree_rename, tree_rename2, tree_link, tree_open_file,
	tree_read, tree_write, tree_statfs, tree_release, tree_fsync, tree_setxattr, tree_getxattr,
	tree_listxattr, tree_removexattr, tree_flush, tree_opendir, tree_readdir, tree_readdirplus,
	tree_access,
	tree_create, tree_fallocate, tree_lseek, tree_copy;
