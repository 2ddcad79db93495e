/* tree.c - the served directories: life of a tree, dispatch, and the rules at a name
 *
 * Theory of operation: every request names an inode by the guest's number, and at most one
 * component beneath it; the host's path is never walked further than that component, relative
 * to a descriptor, and no link is followed. Each handler has the same order: where (tree_place),
 * what is there (tree_see), may it (tree_may_*), do it, tell the guest's kernel (tree_entry).
 * Rules are asked for the path on which the guest came and for the identity of what is there,
 * so that neither a rename nor a hard link leads around them.
 * Every byte of a request is the guest's and hostile. A failure is an errno in the reply; the
 * tree is unchanged by a request that failed.
 * Handlers: lookup.c (names made and found), change.c (names changed), attr.c, data.c, dir.c.
 */
#include "files/private.h"

#include "base/clock.h"
#include "files/spelling.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define REPORTS_BURST 100
#define REPORTS_PER_SECOND 10

static tree_handler *handler_of(uint32_t opcode)
{
	static tree_handler *const handlers[] = {
		[FUSE_LOOKUP] = tree_lookup, [FUSE_FORGET] = tree_forget, [FUSE_GETATTR] = tree_getattr,
		[FUSE_SETATTR] = tree_setattr, [FUSE_READLINK] = tree_readlink, [FUSE_SYMLINK] = tree_symlink,
		[FUSE_MKNOD] = tree_mknod, [FUSE_MKDIR] = tree_mkdir, [FUSE_UNLINK] = tree_unlink,
		[FUSE_RMDIR] = tree_rmdir, [FUSE_RENAME] = tree_rename, [FUSE_LINK] = tree_link,
		[FUSE_OPEN] = tree_open_file, [FUSE_READ] = tree_read, [FUSE_WRITE] = tree_write,
		[FUSE_STATFS] = tree_statfs, [FUSE_RELEASE] = tree_release, [FUSE_FSYNC] = tree_fsync,
		[FUSE_SETXATTR] = tree_setxattr, [FUSE_GETXATTR] = tree_getxattr,
		[FUSE_LISTXATTR] = tree_listxattr, [FUSE_REMOVEXATTR] = tree_removexattr,
		[FUSE_FLUSH] = tree_flush, [FUSE_OPENDIR] = tree_opendir, [FUSE_READDIR] = tree_readdir,
		[FUSE_RELEASEDIR] = tree_release, [FUSE_FSYNCDIR] = tree_fsync, [FUSE_ACCESS] = tree_access,
		[FUSE_CREATE] = tree_create, [FUSE_BATCH_FORGET] = tree_batch_forget,
		[FUSE_FALLOCATE] = tree_fallocate, [FUSE_READDIRPLUS] = tree_readdirplus,
		[FUSE_RENAME2] = tree_rename2, [FUSE_LSEEK] = tree_lseek, [FUSE_COPY_FILE_RANGE] = tree_copy,
	};

	return opcode < sizeof handlers / sizeof *handlers ? handlers[opcode] : NULL;
}

/* The version and features; what the guest's kernel does not have is not asked of it. */
static int serve_init(struct tree *t, const struct fuse_request *r, struct buf *out)
{
	static const uint32_t wanted = FUSE_ASYNC_READ | FUSE_ATOMIC_O_TRUNC | FUSE_BIG_WRITES |
				       FUSE_AUTO_INVAL_DATA | FUSE_DO_READDIRPLUS | FUSE_READDIRPLUS_AUTO |
				       FUSE_PARALLEL_DIROPS | FUSE_HANDLE_KILLPRIV_V2 | FUSE_MAX_PAGES;
	const struct fuse_init_in *in = &r->in.init;
	struct fuse_init_out reply = {
		.major = FUSE_KERNEL_VERSION,
		.minor = in->minor < FUSE_KERNEL_MINOR_VERSION ? in->minor : FUSE_KERNEL_MINOR_VERSION,
		.max_readahead = in->max_readahead,
		.flags = in->flags & wanted,
		.max_background = 32,
		.congestion_threshold = 24,
		.max_write = FUSE_DATA_MAX,
		.time_gran = 1,
		.max_pages = FUSE_DATA_MAX / 4096,
	};

	/* A newer major version is answered with ours, and the kernel begins again. */
	if (in->major < FUSE_KERNEL_VERSION ||
	    (in->major == FUSE_KERNEL_VERSION && in->minor < FUSE_MINOR_LEAST))
		return EPROTO;
	t->begun = in->major == FUSE_KERNEL_VERSION;
	buf_put(out, str_make(&reply, sizeof reply));
	return 0;
}

static int dispatch(struct tree *t, const struct fuse_request *r, struct buf *out)
{
	tree_handler *handler;
	int error;

	if (r->header.opcode == FUSE_INIT)
		return t->begun ? EINVAL : serve_init(t, r, out);
	if (r->header.opcode == FUSE_DESTROY || r->header.opcode == FUSE_INTERRUPT)
		return 0;	/* nothing is ever under way when one comes */
	handler = handler_of(r->header.opcode);
	if (!handler)
		return ENOSYS;
	inodes_begin(t->inodes);
	error = handler(t, r, out);
	while (t->held_count > 0)
		inode_forget(t->inodes, t->held[--t->held_count], 1);
	return error;
}

enum err tree_request(struct tree *t, struct str message, struct buf *out)
{
	struct fuse_request r;
	int error;
	enum err e = fuse_parse(message, &r, &error);

	buf_clear(out);
	if (e)
		return e;
	if (!t->begun && r.header.opcode != FUSE_INIT)
		return ERR_LINK_STATE;
	fuse_reply_begin(out);
	if (!error)
		error = dispatch(t, &r, out);
	if (fuse_answered(r.header.opcode))
		fuse_reply_end(out, r.header.unique, error);
	else
		buf_clear(out);
	return buf_err(out);
}

/* Where @inner lies beneath @outer: the rest of its path, or an empty view. */
static struct str path_beneath(struct str outer, struct str inner)
{
	if (outer.n == 1)
		return str_from(inner, 1);
	if (inner.n > outer.n + 1 && str_starts(inner, outer) && inner.p[outer.n] == '/')
		return str_from(inner, outer.n + 1);
	return (struct str){ NULL, 0 };
}

static struct str base_name(struct str path)
{
	for (size_t i = path.n; i > 0; i--)
		if (path.p[i - 1] == '/')
			return str_from(path, i);
	return path;
}

/* The protected files as the mount at @path knows them: names, and paths relative to it. */
static enum err rules_of(const struct config *c, const struct config_mount *m, struct rules **ret)
{
	const struct config_globs *g = &c->protected_files;
	struct str names[CONFIG_GLOBS_MAX], paths[CONFIG_GLOBS_MAX];
	struct rules_options o = {
		.hidden = m->hidden.items, .hidden_count = m->hidden.count,
		.read_only = m->read_only_globs.items, .read_only_count = m->read_only_globs.count,
		.names = names, .paths = paths, .protect_git = m->protect_git,
	};

	for (size_t i = 0; i < g->count; i++) {
		struct str rest = path_beneath(m->path, g->items[i]);

		if (g->items[i].p[0] != '/')
			names[o.name_count++] = g->items[i];
		else if (rest.n)
			paths[o.path_count++] = rest;
	}
	return rules_new(&o, ret);
}

/* Does a rule of the mount depend on names? A mount that cannot be written has only its hidden ones. */
static bool goes_by_names(const struct config *c, const struct config_mount *m)
{
	return m->hidden.count > 0 ||
	       (!m->read_only && (m->read_only_globs.count || c->protected_files.count || m->protect_git));
}

const char *tree_root_error(const struct config *config, const struct config_mount *m, int root,
			    char text[TREE_TEXT_BYTES])
{
	const char *kind = goes_by_names(config, m) ? spelling_loose_root(root) : NULL;

	if (!kind)
		return NULL;
	snprintf(text, TREE_TEXT_BYTES,
		 "it is on %s, where files may be found by more names than they have, so nothing in it could be "
		 "kept hidden or protected: move it to one of Linux's own file systems (ext4, XFS, Btrfs); with "
		 "an empty list of hidden paths it can be visible with mode read",
		 kind);
	return text;
}

/* A file that is served by itself has no name beneath a mount: it is known by its identity. */
static enum err mark_file(struct tree *t, const struct tree_mount *m, const struct stat *st)
{
	char folded[RULES_FOLD_BYTES];
	struct str name = base_name(m->config->path);
	bool is_protected = rules_is_protected_name(m->rules, str_make(folded, rules_fold(name, folded)));

	for (size_t i = 0; i < t->config->protected_files.count; i++)
		is_protected |= str_eq(t->config->protected_files.items[i], m->config->path);
	if (is_protected || m->config->read_only)
		return marks_add(t->marks, st, is_protected ? RULE_PROTECTED : RULE_READ_ONLY);
	return ERR_OK;
}

/* What protected names at the root of the mount lead to, links followed, is protected as well:
 * the host's user may keep the policy elsewhere in the workspace. */
static enum err mark_targets(struct tree *t, const struct tree_mount *m)
{
	const struct config_globs *g = &t->config->protected_files;
	enum err e = ERR_OK;

	for (size_t i = 0; i < g->count && !e; i++) {
		bool absolute = g->items[i].p[0] == '/';
		struct str name = absolute ? path_beneath(m->config->path, g->items[i]) : g->items[i];
		struct stat st;

		if (name.n && fstatat(m->root->fd, name.p, &st, 0) == 0 && S_ISREG(st.st_mode))
			e = marks_add(t->marks, &st, RULE_PROTECTED);
	}
	return e;
}

static enum err add_mount(struct tree *t, const struct config_mount *config, int *root)
{
	struct tree_mount *m = &t->mounts[t->mount_count];
	struct stat st;
	enum err e;

	if (fstat(*root, &st))
		return ERR_LOCAL;
	if (config->file ? !S_ISREG(st.st_mode) : !S_ISDIR(st.st_mode))
		return ERR_INPUT;
	m->config = config;
	m->by_names = goes_by_names(t->config, config);
	e = rules_of(t->config, config, &m->rules);
	if (e)
		return e;
	t->mount_count++;
	t->hides |= config->hidden.count > 0;
	if (inode_add_root(t->inodes, t->mount_count - 1, &st, *root, &m->root))
		return ERR_MEMORY;
	*root = -1;
	return config->file ? mark_file(t, m, &st) : mark_targets(t, m);
}

static enum err add_mounts(struct tree *t, int *roots)
{
	for (uint32_t i = 0; i < t->config->mount_count; i++) {
		enum err e = add_mount(t, &t->config->mounts[i], &roots[i]);

		if (e)
			return e;
	}
	/* paths do not tell: one may lead through a link to what the other serves */
	t->nested = t->mount_count > 1;
	return ERR_OK;
}

enum err tree_new(const struct config *config, const int *roots, const struct inode_limits *limits,
		  const struct tree_ops *ops, void *user, struct tree **ret)
{
	struct tree *t = calloc(1, sizeof *t);
	int mine[CONFIG_MOUNTS_MAX];
	enum err e = ERR_MEMORY;

	memcpy(mine, roots, config->mount_count * sizeof *mine);
	if (t) {
		*t = (struct tree){ .config = config, .ops = ops, .user = user, .own = geteuid(),
				    .report_ms = clock_ms(), .report_tokens = REPORTS_BURST };
		t->inodes = inodes_new(limits);
		t->marks = marks_new();
		t->names = tally_new(TREE_NAMES_MAX);
		if (t->inodes && t->marks && t->names)
			e = add_mounts(t, mine);
	}
	if (!e) {
		*ret = t;
		return ERR_OK;
	}
	for (uint32_t i = 0; i < config->mount_count; i++)
		if (mine[i] >= 0)
			close(mine[i]);
	tree_free(t);
	return e;
}

void tree_free(struct tree *t)
{
	if (!t)
		return;
	inodes_free(t->inodes);
	marks_free(t->marks);
	tally_free(t->names);
	for (uint32_t i = 0; i < t->mount_count; i++)
		rules_free(t->mounts[i].rules);
	free(t);
}

/* Reports cost the trail a record each: so many at once, so many a second, none twice in a row. */
static bool report_due(struct tree *t, struct str path, struct str text)
{
	uint64_t now = clock_ms(), more = (now - t->report_ms) * REPORTS_PER_SECOND / 1000;
	uint64_t hash = str_hash(path) ^ str_hash(text);

	if (more) {
		t->report_ms = now;
		t->report_tokens = more > REPORTS_BURST - t->report_tokens
					   ? REPORTS_BURST
					   : t->report_tokens + (uint32_t)more;
	}
	if (t->report_tokens == 0 || hash == t->report_last)
		return false;
	t->report_tokens--;
	t->report_last = hash;
	return true;
}

void tree_report(struct tree *t, const struct inode *parent, struct str name, struct str text, bool refused)
{
	const struct inode *up[RULES_DEPTH_MAX];
	size_t n = 0;
	auto_buf path = BUF_EMPTY;

	buf_init(&path, RULES_PATH_BYTES * 2);
	if (!t->ops || !t->ops->report)
		return;
	for (; parent && !parent->root && n < RULES_DEPTH_MAX; parent = parent->parent)
		up[n++] = parent;
	if (parent)
		buf_put(&path, t->mounts[parent->mount].config->path);
	while (n > 0) {
		buf_put_byte(&path, '/');
		buf_put(&path, up[--n]->name);
	}
	if (name.n) {
		buf_put_byte(&path, '/');
		buf_put(&path, name);
	}
	if (report_due(t, buf_str(&path), text))
		t->ops->report(t->user, str_head(buf_str(&path), RULES_PATH_BYTES), text, refused);
}
