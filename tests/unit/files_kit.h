/* files_kit.h - raw FUSE messages against a tree on a temporary directory */
#pragma once

#include "base/auto.h"
#include "files/config.h"
#include "files/tree.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#define KIT_REPORTS 64

struct kit {
	char root[64];			/* the served directory, on the host */
	struct config config;
	struct tree *tree;
	struct buf out;
	uint64_t top;			/* node number of mount 0 */
	unsigned reports;
	char report[KIT_REPORTS][256];	/* "path|text" */
};

static inline void kit_report(void *user, struct str path, struct str text, bool refused)
{
	struct kit *k = user;

	(void)refused;
	if (k->reports < KIT_REPORTS)
		snprintf(k->report[k->reports++], 256, "%.*s|%.*s", STR_FMT(path), STR_FMT(text));
}

static inline bool kit_reported(const struct kit *k, const char *part)
{
	for (unsigned i = 0; i < k->reports; i++)
		if (strstr(k->report[i], part))
			return true;
	return false;
}

/* Sends one request: the fixed part, then texts with their NULs, then bytes.
 * Return: errno of the reply; its body is kit_body() */
static inline int kit_send(struct kit *k, uint32_t opcode, uint64_t node, const void *fixed, size_t fixed_n,
		    struct str tail)
{
	struct fuse_in_header header = { .len = (uint32_t)(sizeof header + fixed_n + tail.n),
					 .opcode = opcode,
					 .unique = 77, .nodeid = node };
	struct fuse_out_header reply;
	auto_buf message = BUF_EMPTY;

	buf_init(&message, FUSE_MESSAGE_MAX);
	buf_put(&message, str_make(&header, sizeof header));
	buf_put(&message, str_make(fixed, fixed_n));
	buf_put(&message, tail);
	assert_int_equal(buf_err(&message), ERR_OK);
	/* exactly as long as the message, for the sanitizer */
	char *exact = malloc(message.len);
	assert_non_null(exact);
	memcpy(exact, message.p, message.len);
	assert_int_equal(tree_request(k->tree, str_make(exact, message.len), &k->out), ERR_OK);
	free(exact);
	if (k->out.len == 0)
		return 0;
	assert_true(k->out.len >= sizeof reply);
	memcpy(&reply, k->out.p, sizeof reply);
	assert_int_equal(reply.len, k->out.len);
	assert_int_equal(reply.unique, 77);
	assert_true(reply.error <= 0);
	return -reply.error;
}

static inline struct str kit_body(const struct kit *k)
{
	return str_from(buf_str(&k->out), sizeof(struct fuse_out_header));
}

/* A name as it travels, with its NUL. */
static inline struct str kit_z(const char *name) { return str_make(name, strlen(name) + 1); }

/* The node of @name in @parent; 0 if it does not exist. */
static inline uint64_t kit_lookup(struct kit *k, uint64_t parent, const char *name)
{
	struct fuse_entry_out entry;

	if (kit_send(k, FUSE_LOOKUP, parent, NULL, 0, kit_z(name)))
		return 0;
	assert_int_equal(kit_body(k).n, sizeof entry);
	memcpy(&entry, kit_body(k).p, sizeof entry);
	return entry.nodeid;
}

/* The node at "a/b/c" beneath the mount. */
static inline uint64_t kit_walk(struct kit *k, const char *path)
{
	uint64_t node = k->top;
	char name[256];

	while (*path && node) {
		size_t n = strcspn(path, "/");

		memcpy(name, path, n);
		name[n] = '\0';
		node = kit_lookup(k, node, name);
		path += n + (path[n] == '/');
	}
	return node;
}

static inline uint64_t kit_entry_node(const struct kit *k)
{
	struct fuse_entry_out entry;

	assert_true(kit_body(k).n >= sizeof entry);
	memcpy(&entry, kit_body(k).p, sizeof entry);
	return entry.nodeid;
}

static inline int kit_create(struct kit *k, uint64_t parent, const char *name, uint32_t flags,
			     uint64_t *ret_fh)
{
	struct fuse_create_in in = { .flags = flags, .mode = S_IFREG | 0644 };
	struct fuse_open_out opened;
	int error = kit_send(k, FUSE_CREATE, parent, &in, sizeof in, kit_z(name));

	*ret_fh = 0;
	if (error)
		return error;
	assert_int_equal(kit_body(k).n, sizeof(struct fuse_entry_out) + sizeof opened);
	memcpy(&opened, kit_body(k).p + sizeof(struct fuse_entry_out), sizeof opened);
	*ret_fh = opened.fh;
	return 0;
}

static inline int kit_open(struct kit *k, uint64_t node, uint32_t flags, uint64_t *ret_fh)
{
	struct fuse_open_in in = { .flags = flags };
	struct fuse_open_out opened;
	int error = kit_send(k, FUSE_OPEN, node, &in, sizeof in, (struct str){ NULL, 0 });

	*ret_fh = 0;
	if (error)
		return error;
	memcpy(&opened, kit_body(k).p, sizeof opened);
	*ret_fh = opened.fh;
	return 0;
}

static inline int kit_release(struct kit *k, uint64_t node, uint64_t fh)
{
	struct fuse_release_in in = { .fh = fh };

	return kit_send(k, FUSE_RELEASE, node, &in, sizeof in, (struct str){ NULL, 0 });
}

static inline int kit_write(struct kit *k, uint64_t node, uint64_t fh, uint64_t offset, const char *text)
{
	struct fuse_write_in in = { .fh = fh, .offset = offset, .size = (uint32_t)strlen(text) };

	return kit_send(k, FUSE_WRITE, node, &in, sizeof in, str_of(text));
}

static inline int kit_mkdir(struct kit *k, uint64_t parent, const char *name)
{
	struct fuse_mkdir_in in = { .mode = 0755 };

	return kit_send(k, FUSE_MKDIR, parent, &in, sizeof in, kit_z(name));
}

static inline int kit_unlink(struct kit *k, uint64_t parent, const char *name)
{
	return kit_send(k, FUSE_UNLINK, parent, NULL, 0, kit_z(name));
}

/* Two texts, each with its NUL, in static memory. */
static inline struct str kit_two(const char *a, const char *b)
{
	static char both[1024];
	int n = snprintf(both, sizeof both, "%s%c%s", a, 0, b);

	return str_make(both, (size_t)n + 1);
}

static inline int kit_rename(struct kit *k, uint64_t from, const char *a, uint64_t to, const char *b,
			     uint32_t flags)
{
	struct fuse_rename2_in in = { .newdir = to, .flags = flags };

	return kit_send(k, FUSE_RENAME2, from, &in, sizeof in, kit_two(a, b));
}

static inline int kit_symlink(struct kit *k, uint64_t parent, const char *name, const char *target)
{
	return kit_send(k, FUSE_SYMLINK, parent, NULL, 0, kit_two(name, target));
}

static inline int kit_link(struct kit *k, uint64_t node, uint64_t parent, const char *name)
{
	struct fuse_link_in in = { .oldnodeid = node };

	return kit_send(k, FUSE_LINK, parent, &in, sizeof in, kit_z(name));
}

static inline int kit_setattr(struct kit *k, uint64_t node, struct fuse_setattr_in in)
{
	return kit_send(k, FUSE_SETATTR, node, &in, sizeof in, (struct str){ NULL, 0 });
}

/* -- the host's side ---------------------------------------------------------------- */

static inline const char *kit_path(const struct kit *k, const char *name)
{
	static char path[512];

	snprintf(path, sizeof path, "%s/%s", k->root, name);
	return path;
}

static inline void kit_host_file(const struct kit *k, const char *name, const char *text)
{
	auto_fd fd = open(kit_path(k, name), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, strlen(text)), (ssize_t)strlen(text));
}

static inline void kit_host_directory(const struct kit *k, const char *name)
{
	assert_int_equal(mkdir(kit_path(k, name), 0755), 0);
}

static inline bool kit_host_is(const struct kit *k, const char *name, const char *text)
{
	char bytes[512];
	auto_fd fd = open(kit_path(k, name), O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? -1 : read(fd, bytes, sizeof bytes);

	return n >= 0 && str_eq(str_make(bytes, (size_t)n), str_of(text));
}

static inline bool kit_host_has(const struct kit *k, const char *name)
{
	struct stat st;

	return lstat(kit_path(k, name), &st) == 0;
}

static inline void kit_root(struct kit *k)
{
	*k = (struct kit){ 0 };
	snprintf(k->root, sizeof k->root, "/tmp/paddock-files-XXXXXX");
	assert_non_null(mkdtemp(k->root));
}

/* Starts the tree over k->root with the members of a mount, for example "\"read_only\":true". */
static inline void kit_start_limited(struct kit *k, const char *members, const struct inode_limits *limits)
{
	static const struct tree_ops ops = { kit_report };
	struct fuse_init_in init = { .major = 7, .minor = 38, .max_readahead = 131072, .flags = UINT32_MAX };
	char json[2048], text[160];
	int n = snprintf(json, sizeof json,
			 "{\"mounts\":[{\"path\":\"/work\"%s%s}],\"protected_files\":[\"paddock.yaml\"]}",
			 *members ? "," : "", members);
	int root = open(k->root, O_PATH | O_DIRECTORY | O_CLOEXEC);

	assert_true(n > 0 && n < (int)sizeof json && root >= 0);
	assert_int_equal(config_parse(str_make(json, (size_t)n), &k->config, text), ERR_OK);
	assert_int_equal(tree_new(&k->config, &root, limits, &ops, k, &k->tree), ERR_OK);
	buf_init(&k->out, FUSE_REPLY_MAX);
	assert_int_equal(kit_send(k, FUSE_INIT, 0, &init, sizeof init, (struct str){ NULL, 0 }), 0);
	k->top = kit_lookup(k, FUSE_ROOT_ID, "0");
	assert_int_not_equal(k->top, 0);
}

static inline void kit_start(struct kit *k, const char *members)
{
	struct inode_limits limits = INODE_LIMITS_DEFAULT;

	kit_start_limited(k, members, &limits);
}

static int kit_remove(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	(void)st;
	(void)type;
	(void)ftw;
	return remove(path);
}

static inline void kit_end(struct kit *k)
{
	tree_free(k->tree);
	config_free(&k->config);
	buf_free(&k->out);
	nftw(k->root, kit_remove, 16, FTW_DEPTH | FTW_PHYS);
}
