/* dir.c - directories: OPENDIR, READDIR, READDIRPLUS
 *
 * Theory of operation: see tree.c. A position in a directory is the host's (d_off), which the
 * guest's kernel gives back; one that the guest made up leads to an error or to other entries of
 * the same directory. What is hidden is left out. READDIRPLUS answers a lookup with each entry;
 * an entry that cannot be looked up is given as a bare name.
 */
#include "files/private.h"

#include "base/auto.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sys/syscall.h>

struct listing {
	struct tree *t;
	struct buf *out;
	size_t start, max;	/* of the reply's body */
	bool plus;
	struct place place;	/* the entry at hand */
};

struct host_entry {
	uint64_t inode, next;
	unsigned type;
	struct str name;	/* followed by a NUL */
};

int tree_opendir(struct tree *t, const struct fuse_request *r, struct buf *out)
{
	struct fuse_open_out reply = { 0 };
	struct handle *h;
	struct inode *i;
	auto_fd fd = -1;
	int error;

	if (r->header.nodeid != FUSE_ROOT_ID) {
		error = tree_object(t, r->header.nodeid, &i);
		if (!error)
			error = S_ISDIR(i->type) ? tree_open(t, i, O_RDONLY | O_DIRECTORY, &fd) : ENOTDIR;
		if (!error)
			error = handle_new(t->inodes, i, fd, &h);
		if (error)
			return error;
		(void)fd_take(&fd);
		h->directory = true;
		reply.fh = h->number;
	}
	buf_put(out, str_make(&reply, sizeof reply));
	return 0;
}

static bool is_dot(struct str name) { return str_eq(name, STR(".")) || str_eq(name, STR("..")); }

/* READDIRPLUS: the entry with a lookup, if there is room for both. */
static bool put_plus(struct listing *l, const struct host_entry *e)
{
	struct fuse_entry_out entry = { 0 };
	size_t before = l->out->len;

	if (fuse_direntry_plus_bytes(e->name.n) > l->max - (before - l->start))
		return false;	/* before a lookup is counted that the guest does not hear of */
	if (!is_dot(e->name) && (!l->place.exists || tree_entry(l->t, &l->place, &entry)))
		entry = (struct fuse_entry_out){ 0 };
	return fuse_direntry_plus(l->out, l->start, l->max, &entry, e->inode, e->next, e->type, e->name);
}

/* False if the reply is full. */
static bool put_host_entry(struct listing *l, const struct host_entry *e)
{
	bool dot = is_dot(e->name);

	if (!dot) {
		if (!fuse_name_ok(e->name) || tree_named(l->t, &l->place, e->name))
			return true;	/* not reachable, so not there */
		if (l->place.rule == RULE_HIDDEN)
			return true;
		if (l->plus && (tree_see(l->t, &l->place) || l->place.rule == RULE_HIDDEN))
			return true;
	}
	if (l->plus)
		return put_plus(l, e);
	return fuse_direntry(l->out, l->start, l->max, e->inode, e->next, e->type, e->name);
}

/* Puts the entries of one getdents64() answer; false if the reply was full before its end. */
static bool put_entries(struct listing *l, const char *p, size_t n, bool *ret_any)
{
	struct {
		uint64_t inode, next;
		uint16_t length;
		uint8_t type;
	} __attribute__((packed)) head;

	for (size_t at = 0; at < n; at += head.length) {
		struct host_entry e;

		memcpy(&head, p + at, sizeof head);
		e = (struct host_entry){ head.inode, head.next, head.type, str_of(p + at + sizeof head) };
		if (!put_host_entry(l, &e))
			return false;
		*ret_any = true;
	}
	return true;
}

static int list(struct listing *l, struct handle *h, uint64_t offset)
{
	static char entries[16384] __attribute__((aligned(16)));	/* one thread */
	/* an entry with a lookup takes several times the room of the host's */
	size_t want = l->plus ? l->max / 3 : l->max;
	bool any = false;
	long n;

	want = want < 1024 ? 1024 : want > sizeof entries ? sizeof entries : want;
	if (h->position != (off_t)offset && lseek(h->fd, (off_t)offset, SEEK_SET) < 0)
		return errno;
	h->position = -1;
	for (;;) {
		n = syscall(SYS_getdents64, h->fd, entries, want);
		if (n < 0)
			return any ? 0 : errno;
		if (n == 0 || !put_entries(l, entries, (size_t)n, &any))
			break;
	}
	return n > 0 && l->out->len == l->start ? EINVAL : 0;	/* not even one fits */
}

/* The synthetic root: an entry a mount. */
static int list_root(struct listing *l, uint64_t offset)
{
	for (uint64_t n = offset; n < l->t->mount_count; n++) {
		const struct inode *root = l->t->mounts[n].root;
		struct fuse_entry_out nothing = { 0 };
		char digits[3] = { (char)('0' + n / 10), (char)('0' + n % 10), '\0' };
		struct str name = str_of(n < 10 ? digits + 1 : digits);
		unsigned type = S_ISDIR(root->type) ? DT_DIR : DT_REG;

		if (l->plus ? !fuse_direntry_plus(l->out, l->start, l->max, &nothing, root->inode, n + 1,
						  type, name)
			    : !fuse_direntry(l->out, l->start, l->max, root->inode, n + 1, type, name))
			break;
	}
	return 0;
}

static int read_directory(struct tree *t, const struct fuse_request *r, struct buf *out, bool plus)
{
	struct listing l = { .t = t, .out = out, .start = out->len, .max = r->in.read.size, .plus = plus };
	struct handle *h;
	int error;

	if (l.max > FUSE_DATA_MAX || r->in.read.offset > INT64_MAX)
		return EINVAL;
	if (r->header.nodeid == FUSE_ROOT_ID)
		return list_root(&l, r->in.read.offset);
	error = tree_handle(t, r->in.read.fh, true, &h);
	if (!error)
		error = tree_base(t, h->inode, 0, &l.place);
	return error ? error : list(&l, h, r->in.read.offset);
}

int tree_readdir(struct tree *t, const struct fuse_request *r, struct buf *out)
{
	return read_directory(t, r, out, false);
}

int tree_readdirplus(struct tree *t, const struct fuse_request *r, struct buf *out)
{
	return read_directory(t, r, out, true);
}
