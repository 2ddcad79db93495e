/* inode.h - what the guest's kernel knows: node numbers, names, open files
 *
 * An inode is known by (mount, device, inode number) and found again through its parent and
 * name; only directories in use hold a descriptor, so that a million names cost no descriptor.
 * Numbers carry a generation and are never used twice. The guest's kernel counts its lookups;
 * an inode is freed when they, its children and its handles are all gone.
 */
#pragma once

#include "files/rules.h"

#include <sys/stat.h>

struct handle {
	uint64_t number;
	int fd;
	bool directory, readable, writable;
	off_t position;			/* of a directory's descriptor; -1: not known */
	struct inode *inode;
	struct handle *next, *previous;	/* of the inode */
};

struct inode {
	uint64_t number;
	dev_t device;
	ino_t inode;
	mode_t type;			/* S_IFMT */
	uint32_t mount;
	int32_t inner;			/* this directory is the root of that other mount; -1 */
	bool root;			/* of a mount: never freed, always has its descriptor */
	bool made;			/* in the set of what was made from inside: see rules.h */
	bool nameless;			/* unlinked, or its name went elsewhere */
	struct inode *parent;		/* NULL: a root, or nameless */
	struct str name, folded;	/* in one allocation; name is followed by a NUL */
	uint64_t lookups;
	uint32_t children;
	struct handle *handles;
	int fd;				/* directories: O_PATH, or -1 */
	uint64_t used;			/* request that last used @fd */
	struct inode *newer, *older;	/* of those with a descriptor */
	struct inode *chain;		/* of equal hash */
	struct timespec read_mtime, read_ctime;	/* what the guest may have cached, from its last open */
	off_t read_size;
};

struct inodes;
struct inode_limits {
	uint32_t inodes_max, handles_max, directories_max;	/* the last: descriptors
								   kept for directories */
};
#define INODE_LIMITS_DEFAULT ((struct inode_limits){ 1u << 20, 4096, 2048 })

struct inodes *inodes_new(const struct inode_limits *limits);	/* NULL without memory */
void inodes_free(struct inodes *t);
/** inodes_begin() - a request begins: descriptors of directories that it will use stay open till the next */
void inodes_begin(struct inodes *t);

/** inode_get() - by the guest's number; NULL if there is none such (ESTALE) */
struct inode *inode_get(const struct inodes *t, uint64_t number);
/** inode_find() - by identity; NULL */
struct inode *inode_find(const struct inodes *t, uint32_t mount, const struct stat *st);
/** inode_add_root() - the root of @mount; takes @fd
 * Return: errno: ENOMEM, ENFILE */
must_use int inode_add_root(struct inodes *t, uint32_t mount, const struct stat *st, int fd,
			    struct inode **ret);
/** inode_name() - @st was seen as @name in @parent: finds or makes the inode, which now has this
 *  name. No lookup is counted.
 * Return: errno: ENOMEM, ENFILE (full), ESTALE (it would be its own ancestor) */
must_use int inode_name(struct inodes *t, struct inode *parent, struct str name, const struct stat *st,
			struct inode **ret);
/** inode_rename() - @i is now @name in @parent: ENOMEM (then nameless), ESTALE */
must_use int inode_rename(struct inodes *t, struct inode *i, struct inode *parent, struct str name);
/** inode_unname() - the name is gone; @gone: the object too, so that its number may come again */
void inode_unname(struct inodes *t, struct inode *i, bool gone);
/** inode_forget() - the guest forgot @n lookups (more than it has: all); may free @i */
void inode_forget(struct inodes *t, struct inode *i, uint64_t n);
/** inode_settle() - frees @i if nothing refers to it */
void inode_settle(struct inodes *t, struct inode *i);

/** inode_directory() - an O_PATH descriptor of directory @i, borrowed until the next
 *  inodes_begin()
 * Return: errno: ENOTDIR, ESTALE (gone, or another by now), or that of openat2(2) */
must_use int inode_directory(struct inodes *t, struct inode *i, int *ret_fd);
/** inode_path() - components of @i from its mount's root; in RULES_DEPTH_MAX places. ESTALE for
 *  the nameless, ENAMETOOLONG */
must_use int inode_path(const struct inode *i, struct rules_component *ret, size_t *ret_count);
/** inode_is() - is @st the object that @i stands for? */
bool inode_is(const struct inode *i, const struct stat *st);

/** handle_new() - takes @fd; ENFILE, ENOMEM (then @fd stays the caller's) */
must_use int handle_new(struct inodes *t, struct inode *i, int fd, struct handle **ret);
struct handle *handle_get(const struct inodes *t, uint64_t number);	/* NULL */
/** handle_free() - closes; may free its inode */
void handle_free(struct inodes *t, struct handle *h);
/** inodes_count(), handles_count() - for tests and limits */
uint32_t inodes_count(const struct inodes *t);
uint32_t handles_count(const struct inodes *t);

/** open_beneath() - one component under @directory, no link of any kind followed
 * Return: errno, or 0 with *ret_fd */
must_use int open_beneath(int directory, const char *name, uint64_t flags, mode_t mode, int *ret_fd);
