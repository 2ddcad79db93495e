/* inode.c - what the guest's kernel knows: node numbers, names, open files
 *
 * Theory of operation: the table maps numbers to inodes (slots.h) and identities to inodes (a
 * chained hash). A directory's descriptor is opened through its parent's, one component at a
 * time, and checked against the identity that was seen when the guest looked it up: whoever
 * swaps a directory for a link or for another directory in between gets ESTALE, and the guest's
 * kernel looks again. At most directories_max such descriptors are kept; the one least recently
 * used goes, but never one that the request at hand has used.
 * Numbers come from the guest, which may be hostile: a number is looked up, never an index.
 * Invariants: a parent outlives its children (children counts); an inode with handles or
 * lookups stays; following parent always ends at a root.
 */
#include "files/inode.h"

#include "base/auto.h"
#include "files/fuse.h"
#include "files/slots.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdlib.h>
#include <sys/syscall.h>

struct inodes {
	struct inode_limits limits;
	struct slots numbers, handles;
	struct inode **buckets;
	uint32_t bucket_count;		/* a power of two */
	struct inode *newest, *oldest;	/* directories with a descriptor; roots are not among them */
	uint32_t open_count;
	uint64_t request;
};

int open_beneath(int directory, const char *name, uint64_t flags, mode_t mode, int *ret_fd)
{
	struct open_how how = {
		.flags = flags | O_CLOEXEC | O_NOFOLLOW,
		.mode = mode,
		.resolve = RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS | RESOLVE_NO_SYMLINKS,
	};
	long fd;

	for (unsigned tries = 0; tries < 64; tries++) {	/* EAGAIN: something was renamed meanwhile */
		fd = syscall(SYS_openat2, directory, name, &how, sizeof how);
		if (fd >= 0) {
			*ret_fd = (int)fd;
			return 0;
		}
		if (errno != EAGAIN && errno != EINTR)
			return errno;
	}
	return EBUSY;
}

struct inodes *inodes_new(const struct inode_limits *limits)
{
	struct inodes *t = calloc(1, sizeof *t);

	if (!t)
		return NULL;
	t->limits = *limits;
	t->numbers.max = limits->inodes_max;
	t->handles.max = limits->handles_max;
	t->bucket_count = 1024;
	t->buckets = calloc(t->bucket_count, sizeof *t->buckets);
	if (!t->buckets) {
		free(t);
		return NULL;
	}
	return t;
}

static void free_inode(struct inode *i)
{
	if (i->fd >= 0)
		close(i->fd);
	free((char *)(uintptr_t)i->name.p);
	free(i);
}

void inodes_free(struct inodes *t)
{
	if (!t)
		return;
	for (uint32_t n = 0; n < t->handles.used; n++) {
		struct handle *h = t->handles.at[n].p;

		if (h) {
			close(h->fd);
			free(h);
		}
	}
	for (uint32_t n = 0; n < t->numbers.used; n++)
		if (t->numbers.at[n].p)
			free_inode(t->numbers.at[n].p);
	slots_free(&t->handles);
	slots_free(&t->numbers);
	free(t->buckets);
	free(t);
}

void inodes_begin(struct inodes *t) { t->request++; }
uint32_t inodes_count(const struct inodes *t) { return t->numbers.count; }
uint32_t handles_count(const struct inodes *t) { return t->handles.count; }
struct inode *inode_get(const struct inodes *t, uint64_t number) { return slots_get(&t->numbers, number); }
struct handle *handle_get(const struct inodes *t, uint64_t number) { return slots_get(&t->handles, number); }

static uint32_t bucket_of(const struct inodes *t, uint32_t mount, dev_t device, ino_t inode)
{
	uint64_t h = ((uint64_t)inode ^ (uint64_t)device << 40 ^ (uint64_t)mount << 56) * 0x9e3779b97f4a7c15u;

	return (uint32_t)(h >> 32) & (t->bucket_count - 1);
}

static void chain_in(struct inodes *t, struct inode *i)
{
	struct inode **bucket = &t->buckets[bucket_of(t, i->mount, i->device, i->inode)];

	i->chain = *bucket;
	*bucket = i;
}

static void chain_out(struct inodes *t, struct inode *i)
{
	struct inode **p = &t->buckets[bucket_of(t, i->mount, i->device, i->inode)];

	while (*p && *p != i)
		p = &(*p)->chain;
	if (*p)
		*p = i->chain;
	i->chain = NULL;
}

static void grow_buckets(struct inodes *t)
{
	struct inode **old = t->buckets;
	uint32_t count = t->bucket_count;

	if (t->numbers.count < count || count > UINT32_MAX / 4)
		return;
	t->buckets = calloc((size_t)count * 2, sizeof *old);
	if (!t->buckets) {
		t->buckets = old;	/* longer chains, nothing worse */
		return;
	}
	t->bucket_count = count * 2;
	for (uint32_t b = 0; b < count; b++)
		for (struct inode *i = old[b], *next; i; i = next) {
			next = i->chain;
			chain_in(t, i);
		}
	free(old);
}

bool inode_is(const struct inode *i, const struct stat *st)
{
	return i->device == st->st_dev && i->inode == st->st_ino && i->type == (st->st_mode & S_IFMT);
}

struct inode *inode_find(const struct inodes *t, uint32_t mount, const struct stat *st)
{
	struct inode *i = t->buckets[bucket_of(t, mount, st->st_dev, st->st_ino)];

	while (i && !(i->mount == mount && i->device == st->st_dev && i->inode == st->st_ino))
		i = i->chain;
	return i;
}

static int new_inode(struct inodes *t, uint32_t mount, const struct stat *st, struct inode **ret)
{
	struct inode *i = calloc(1, sizeof *i);
	bool full;

	if (!i)
		return ENOMEM;
	*i = (struct inode){ .device = st->st_dev, .inode = st->st_ino, .type = st->st_mode & S_IFMT,
			     .mount = mount, .inner = -1, .nameless = true, .fd = -1 };
	i->number = slots_add(&t->numbers, i, &full);
	if (!i->number) {
		free(i);
		return full ? ENFILE : ENOMEM;
	}
	grow_buckets(t);
	chain_in(t, i);
	*ret = i;
	return 0;
}

int inode_add_root(struct inodes *t, uint32_t mount, const struct stat *st, int fd, struct inode **ret)
{
	int error = new_inode(t, mount, st, ret);

	if (error)
		return error;
	(*ret)->root = true;
	(*ret)->nameless = false;
	(*ret)->fd = fd;
	return 0;
}

/* The list of directories with a descriptor, newest first. */
static void list_out(struct inodes *t, struct inode *i)
{
	if (i->newer)
		i->newer->older = i->older;
	else
		t->newest = i->older;
	if (i->older)
		i->older->newer = i->newer;
	else
		t->oldest = i->newer;
	i->newer = i->older = NULL;
	t->open_count--;
}

static void list_in(struct inodes *t, struct inode *i)
{
	i->older = t->newest;
	if (t->newest)
		t->newest->newer = i;
	else
		t->oldest = i;
	t->newest = i;
	t->open_count++;
}

static void keep_descriptor(struct inodes *t, struct inode *i, int fd)
{
	i->fd = fd;
	i->used = t->request;
	list_in(t, i);
	/* @i is the newest, and used now: where this stops at the latest */
	while (t->open_count > t->limits.directories_max && t->oldest && t->oldest->used != t->request) {
		struct inode *old = t->oldest;

		list_out(t, old);
		close(old->fd);
		old->fd = -1;
	}
}

static void touch(struct inodes *t, struct inode *i)
{
	i->used = t->request;
	if (i->root || t->newest == i)
		return;
	list_out(t, i);
	list_in(t, i);
}

static int reopen(struct inodes *t, struct inode *i)
{
	auto_fd fd = -1;
	struct stat st;
	int error;

	if (!i->parent || i->parent->fd < 0)
		return ESTALE;
	error = open_beneath(i->parent->fd, i->name.p, O_PATH | O_DIRECTORY, 0, &fd);
	if (error)
		return error == ENOENT || error == ENOTDIR || error == ELOOP ? ESTALE : error;
	if (fstat(fd, &st))
		return errno;
	if (!inode_is(i, &st))
		return ESTALE;
	keep_descriptor(t, i, fd_take(&fd));
	return 0;
}

int inode_directory(struct inodes *t, struct inode *i, int *ret_fd)
{
	struct inode *closed[RULES_DEPTH_MAX];
	size_t n = 0;

	if (!S_ISDIR(i->type))
		return ENOTDIR;
	for (struct inode *up = i; up->fd < 0; up = up->parent) {
		if (up->nameless || !up->parent)
			return ESTALE;
		if (n == RULES_DEPTH_MAX)
			return ENAMETOOLONG;
		closed[n++] = up;
	}
	touch(t, n ? closed[n - 1]->parent : i);
	while (n > 0) {
		int error = reopen(t, closed[--n]);

		if (error)
			return error;
	}
	*ret_fd = i->fd;
	return 0;
}

int inode_path(const struct inode *i, struct rules_component *ret, size_t *ret_count)
{
	size_t depth = 0;

	for (const struct inode *up = i; !up->root; up = up->parent) {
		if (up->nameless || !up->parent)
			return ESTALE;
		if (++depth > RULES_DEPTH_MAX)
			return ENAMETOOLONG;
	}
	*ret_count = depth;
	for (const struct inode *up = i; !up->root; up = up->parent)
		ret[--depth] = (struct rules_component){ .name = up->folded, .made = up->made };
	return 0;
}

/* Leaves the parent, which may have waited for just that. */
static void leave_parent(struct inodes *t, struct inode *i)
{
	struct inode *parent = i->parent;

	i->parent = NULL;
	if (parent) {
		parent->children--;
		inode_settle(t, parent);
	}
}

void inode_settle(struct inodes *t, struct inode *i)
{
	while (i && !i->root && !i->lookups && !i->children && !i->handles) {
		struct inode *parent = i->parent;

		chain_out(t, i);
		if (i->fd >= 0)
			list_out(t, i);
		slots_remove(&t->numbers, i->number);
		free_inode(i);
		if (parent)
			parent->children--;
		i = parent;
	}
}

void inode_forget(struct inodes *t, struct inode *i, uint64_t n)
{
	i->lookups -= n < i->lookups ? n : i->lookups;
	inode_settle(t, i);
}

static bool is_above(const struct inode *i, const struct inode *below)
{
	for (; below; below = below->parent)
		if (below == i)
			return true;
	return false;
}

static int set_name(struct inode *i, struct str name)
{
	char folded[RULES_FOLD_BYTES];
	size_t n = rules_fold(name, folded);
	char *text = malloc(name.n + 1 + n + 1);

	if (!text)
		return ENOMEM;
	memcpy(text, name.p, name.n);
	text[name.n] = '\0';
	if (n)
		memcpy(text + name.n + 1, folded, n);
	free((char *)(uintptr_t)i->name.p);
	i->name = str_make(text, name.n);
	i->folded = str_make(text + name.n + 1, n);
	return 0;
}

int inode_rename(struct inodes *t, struct inode *i, struct inode *parent, struct str name)
{
	int error;

	if (i->parent == parent && !i->nameless && str_eq(i->name, name))
		return 0;
	if (i->root || is_above(i, parent))
		return ESTALE;
	parent->children++;	/* first: leaving must not free the new parent */
	error = set_name(i, name);
	leave_parent(t, i);
	if (error) {
		i->nameless = true;
		parent->children--;
		return error;
	}
	i->parent = parent;
	i->nameless = false;
	return 0;
}

int inode_name(struct inodes *t, struct inode *parent, struct str name, const struct stat *st,
	       struct inode **ret)
{
	struct inode *i = inode_find(t, parent->mount, st);
	int error;

	if (i && !inode_is(i, st)) {	/* the number was used again, for something else */
		inode_unname(t, i, true);
		i = NULL;
	}
	if (!i) {
		error = new_inode(t, parent->mount, st, &i);
		if (error)
			return error;
	}
	error = inode_rename(t, i, parent, name);
	if (error) {
		inode_settle(t, i);
		return error;
	}
	*ret = i;
	return 0;
}

void inode_unname(struct inodes *t, struct inode *i, bool gone)
{
	if (i->root)
		return;
	if (gone) {
		chain_out(t, i);
		/* a chain of its own: settling looks for it in a bucket, and finds nothing */
	}
	i->nameless = true;
	leave_parent(t, i);
	inode_settle(t, i);
}

int handle_new(struct inodes *t, struct inode *i, int fd, struct handle **ret)
{
	struct handle *h = calloc(1, sizeof *h);
	bool full;

	if (!h)
		return ENOMEM;
	h->number = slots_add(&t->handles, h, &full);
	if (!h->number) {
		free(h);
		return full ? ENFILE : ENOMEM;
	}
	h->fd = fd;
	h->inode = i;
	h->next = i->handles;
	if (h->next)
		h->next->previous = h;
	i->handles = h;
	*ret = h;
	return 0;
}

void handle_free(struct inodes *t, struct handle *h)
{
	if (h->next)
		h->next->previous = h->previous;
	if (h->previous)
		h->previous->next = h->next;
	else
		h->inode->handles = h->next;
	slots_remove(&t->handles, h->number);
	close(h->fd);
	inode_settle(t, h->inode);
	free(h);
}
