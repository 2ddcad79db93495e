/* files_links_test.c - files with several names: those that lead out of the workspace, into what is
 * read-only, or to what was not found */
#include "files_kit.h"

#include <linux/fs.h>

static char outside[64];	/* where the host keeps what no mount shows */

static int set_up(void **state)
{
	(void)state;
	snprintf(outside, sizeof outside, "/tmp/paddock-files-outside-XXXXXX");
	return mkdtemp(outside) ? 0 : 1;
}

static int tear_down(void **state)
{
	(void)state;
	return nftw(outside, kit_remove, 16, FTW_DEPTH | FTW_PHYS);
}

static const char *outer(const char *name)
{
	static char path[512];

	snprintf(path, sizeof path, "%s/%s", outside, name);
	return path;
}

/* The file @name, which the host keeps outside as well. */
static void stored(const struct kit *k, const char *name, const char *text, const char *store)
{
	(void)unlink(outer(store));
	kit_host_file(k, name, text);
	assert_int_equal(link(kit_path(k, name), outer(store)), 0);
}

static void hard_link(const struct kit *k, const char *from, const char *to)
{
	auto_fd root = open(k->root, O_PATH | O_DIRECTORY | O_CLOEXEC);

	assert_int_equal(linkat(root, from, root, to, 0), 0);
}

/* Each way of writing @node; its names are another matter. */
static void assert_writable(struct kit *k, uint64_t node, int error)
{
	struct fuse_setxattr_in xattr = { .size = 1 };
	uint64_t fh;

	assert_int_not_equal(node, 0);
	assert_int_equal(kit_open(k, node, O_RDONLY, &fh), 0);
	assert_int_equal(kit_release(k, node, fh), 0);
	assert_int_equal(kit_open(k, node, O_RDWR, &fh), error);
	assert_int_equal(kit_open(k, node, O_WRONLY | O_TRUNC, &fh), error);
	assert_int_equal(kit_open(k, node, O_RDONLY | O_TRUNC, &fh), error);
	assert_int_equal(kit_setattr(k, node, (struct fuse_setattr_in){ .valid = FATTR_SIZE }), error);
	assert_int_equal(kit_setattr(k, node, (struct fuse_setattr_in){ .valid = FATTR_MODE, .mode = 0755 }),
			 error);
	assert_int_equal(kit_setattr(k, node, (struct fuse_setattr_in){ .valid = FATTR_MTIME }), error);
	if (error) {
		assert_int_equal(kit_send(k, FUSE_SETXATTR, node, &xattr, 8, STR("user.x\0a")), error);
		assert_int_equal(kit_send(k, FUSE_REMOVEXATTR, node, NULL, 0, kit_z("user.x")), error);
		assert_int_equal(kit_link(k, node, k->top, "one-more"), error);
	}
}

static void assert_host_text(const char *path, const char *text)
{
	char bytes[64];
	auto_fd fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? -1 : read(fd, bytes, sizeof bytes);

	assert_true(n >= 0 && str_eq(str_make(bytes, (size_t)n), str_of(text)));
}

static void a_name_outside(void **state)
{
	(void)state;
	struct kit k;
	uint64_t fh;

	kit_root(&k);
	kit_host_directory(&k, "d");
	stored(&k, "d/f", "shared", "f");
	stored(&k, "d/g", "shared", "g");
	stored(&k, "d/h", "shared", "h");
	hard_link(&k, "d/h", "h2");		/* two here, one outside */
	kit_start(&k, "");
	assert_writable(&k, kit_walk(&k, "d/f"), EACCES);
	assert_writable(&k, kit_walk(&k, "d/h"), EACCES);
	assert_writable(&k, kit_walk(&k, "h2"), EACCES);
	assert_int_equal(kit_create(&k, kit_walk(&k, "d"), "f", O_RDWR | O_TRUNC, &fh), EACCES);
	assert_true(kit_reported(&k, "/work/d/f|read-only: not written: a hard link of it is outside"));
	/* the names are the agent's: moved, replaced, removed */
	assert_int_equal(kit_rename(&k, kit_walk(&k, "d"), "f", k.top, "moved", 0), 0);
	assert_writable(&k, kit_walk(&k, "moved"), EACCES);
	assert_int_equal(kit_create(&k, k.top, "new", O_RDWR, &fh), 0);
	assert_int_equal(kit_rename(&k, k.top, "new", k.top, "moved", 0), 0);
	assert_writable(&k, kit_walk(&k, "moved"), 0);
	assert_int_equal(kit_unlink(&k, kit_walk(&k, "d"), "g"), 0);
	assert_int_equal(kit_unlink(&k, k.top, "h2"), 0);
	assert_writable(&k, kit_walk(&k, "d/h"), EACCES);
	assert_int_equal(kit_rename(&k, k.top, "d", k.top, "e", 0), 0);
	assert_writable(&k, kit_walk(&k, "e/h"), EACCES);
	assert_host_text(outer("f"), "shared");
	assert_host_text(outer("g"), "shared");
	assert_host_text(outer("h"), "shared");
	kit_end(&k);
}

/* A handle outlives the name under which it was opened; the file may live on outside. */
static void a_handle_whose_name_is_gone(void **state)
{
	struct fuse_setattr_in mode = { .valid = FATTR_MODE, .mode = 0777 };
	struct kit k;
	struct stat st;
	uint64_t node, fh;

	(void)state;
	kit_root(&k);
	stored(&k, "f", "shared", "f");
	kit_host_file(&k, "own", "");
	hard_link(&k, "own", "own2");
	kit_start(&k, "");
	node = kit_walk(&k, "f");
	assert_int_equal(kit_open(&k, node, O_RDONLY, &fh), 0);
	assert_int_equal(kit_unlink(&k, k.top, "f"), 0);
	assert_int_equal(kit_setattr(&k, node, mode), EACCES);
	assert_int_equal(kit_setattr(&k, node, (struct fuse_setattr_in){ .valid = FATTR_MTIME }), EACCES);
	assert_int_equal(stat(outer("f"), &st), 0);
	assert_int_equal(st.st_mode & 0777, 0644);
	/* of two names here one is left */
	node = kit_walk(&k, "own");
	assert_int_equal(kit_open(&k, node, O_RDWR, &fh), 0);
	assert_int_equal(kit_unlink(&k, k.top, "own"), 0);
	assert_int_equal(kit_setattr(&k, node, mode), 0);
	assert_writable(&k, kit_walk(&k, "own2"), 0);
	assert_int_equal(kit_unlink(&k, k.top, "own2"), 0);
	assert_int_equal(kit_setattr(&k, node, mode), 0);
	kit_end(&k);
}

static void names_all_inside(void **state)
{
	(void)state;
	struct kit k;
	uint64_t fh;

	kit_root(&k);
	kit_host_directory(&k, "d");
	kit_host_file(&k, "a", "x");
	hard_link(&k, "a", "d/b");
	hard_link(&k, "a", "d/c");
	stored(&k, "look", "", "look");
	kit_start(&k, "");
	assert_writable(&k, kit_walk(&k, "a"), 0);
	assert_writable(&k, kit_walk(&k, "d/b"), 0);
	assert_int_equal(kit_unlink(&k, kit_walk(&k, "d"), "c"), 0);
	assert_writable(&k, kit_walk(&k, "d/b"), 0);
	/* those that the agent makes, as git does with each object and linkers with what they built */
	for (int i = 0; i < 3; i++) {
		assert_int_equal(kit_create(&k, k.top, "tmp", O_RDWR, &fh), 0);
		assert_int_equal(kit_link(&k, kit_walk(&k, "tmp"), k.top, "object"), 0);
		assert_writable(&k, kit_walk(&k, "object"), 0);
		assert_int_equal(kit_link(&k, kit_walk(&k, "tmp"), k.top, "third"), 0);
		assert_writable(&k, kit_walk(&k, "third"), 0);
		assert_int_equal(kit_unlink(&k, k.top, "tmp"), 0);
		assert_writable(&k, kit_walk(&k, "object"), 0);
		assert_int_equal(kit_rename(&k, k.top, "third", k.top, "over", 0), 0);
		assert_int_equal(kit_create(&k, k.top, "other", O_RDWR, &fh), 0);
		assert_int_equal(kit_rename(&k, k.top, "other", k.top, "over", 0), 0);
		assert_writable(&k, kit_walk(&k, "object"), 0);
		assert_int_equal(kit_unlink(&k, k.top, "object"), 0);
	}
	/* what the host links to outside meanwhile is no longer the agent's alone */
	(void)unlink(outer("late"));
	assert_int_equal(link(kit_path(&k, "a"), outer("late")), 0);
	assert_writable(&k, kit_walk(&k, "a"), EACCES);
	kit_end(&k);
}

/* A tree over several mounts: those of @json, whose roots are @names beneath k->root ("": itself). */
static void start_several(struct kit *k, const char *json, const char *const *names, uint32_t count)
{
	static const struct tree_ops ops = { kit_report };
	struct inode_limits limits = INODE_LIMITS_DEFAULT;
	struct fuse_init_in init = { .major = 7, .minor = 38 };
	char text[160];
	int roots[8];

	assert_int_equal(config_parse(str_of(json), &k->config, text), ERR_OK);
	assert_int_equal(k->config.mount_count, count);
	for (uint32_t i = 0; i < count; i++) {
		roots[i] = open(kit_path(k, names[i]),
				(k->config.mounts[i].file ? O_RDWR : O_PATH) | O_CLOEXEC);
		assert_true(roots[i] >= 0);
	}
	assert_int_equal(tree_new(&k->config, roots, &limits, &ops, k, &k->tree), ERR_OK);
	buf_init(&k->out, FUSE_REPLY_MAX);
	assert_int_equal(kit_send(k, FUSE_INIT, 0, &init, sizeof init, STR("")), 0);
	k->top = kit_lookup(k, FUSE_ROOT_ID, "0");
	assert_int_not_equal(k->top, 0);
}

/* One directory that two mounts show: its names are none the more for it. */
static void names_are_counted_once(void **state)
{
	static const char *const names[] = { "", "in", "in/deep" };
	struct kit k;

	(void)state;
	kit_root(&k);
	kit_host_directory(&k, "in");
	kit_host_directory(&k, "in/deep");
	stored(&k, "in/f", "shared", "f");
	stored(&k, "in/deep/g", "shared", "g");
	kit_host_file(&k, "in/deep/own", "");
	hard_link(&k, "in/deep/own", "own");
	start_several(&k, "{\"mounts\":[{\"path\":\"/w\"},{\"path\":\"/w/in\"},{\"path\":\"/w/in/deep\"}]}",
		      names, 3);
	assert_writable(&k, kit_walk(&k, "in/f"), EACCES);
	assert_writable(&k, kit_walk(&k, "in/deep/g"), EACCES);
	assert_writable(&k, kit_walk(&k, "own"), 0);
	k.top = kit_lookup(&k, FUSE_ROOT_ID, "2");
	assert_writable(&k, kit_walk(&k, "g"), EACCES);
	assert_writable(&k, kit_walk(&k, "own"), 0);
	kit_end(&k);
}

static void another_name_in_a_read_only_mount(void **state)
{
	static const char *const names[] = { "w", "w/in", "ro", "w/file", "lone" };
	struct kit k;

	(void)state;
	kit_root(&k);
	kit_host_directory(&k, "w");
	kit_host_directory(&k, "w/in");
	kit_host_directory(&k, "w/in/d");
	kit_host_directory(&k, "ro");
	kit_host_file(&k, "w/in/d/f", "kept");
	hard_link(&k, "w/in/d/f", "w/inner");
	kit_host_file(&k, "ro/f", "kept");
	hard_link(&k, "ro/f", "w/alias");
	kit_host_file(&k, "w/file", "kept");
	kit_host_file(&k, "lone", "kept");
	hard_link(&k, "lone", "w/lone2");
	start_several(&k,
		      "{\"mounts\":[{\"path\":\"/w\"},{\"path\":\"/w/in\",\"read_only\":true},"
		      "{\"path\":\"/ro\",\"read_only\":true},"
		      "{\"path\":\"/w/file\",\"file\":true,\"read_only\":true},"
		      "{\"path\":\"/lone\",\"file\":true,\"read_only\":true}]}",
		      names, 5);
	assert_writable(&k, kit_walk(&k, "inner"), EACCES);
	assert_writable(&k, kit_walk(&k, "alias"), EACCES);
	assert_writable(&k, kit_walk(&k, "file"), EACCES);
	assert_writable(&k, kit_walk(&k, "lone2"), EACCES);
	assert_int_not_equal(kit_unlink(&k, k.top, "file"), 0);	/* the mount is there */
	assert_int_equal(kit_unlink(&k, k.top, "alias"), 0);
	assert_int_equal(kit_rename(&k, k.top, "inner", k.top, "other", 0), 0);
	assert_writable(&k, kit_walk(&k, "other"), EACCES);
	assert_true(kit_host_is(&k, "ro/f", "kept"));
	assert_true(kit_host_is(&k, "w/file", "kept"));
	kit_end(&k);

	/* what is hidden there is hidden here */
	kit_root(&k);
	kit_host_directory(&k, "w");
	kit_host_directory(&k, "ro");
	kit_host_file(&k, "ro/key", "secret");
	hard_link(&k, "ro/key", "w/alias");
	start_several(&k, "{\"mounts\":[{\"path\":\"/w\"},"
			  "{\"path\":\"/ro\",\"read_only\":true,\"hidden\":[\"key\"]}]}",
		      (const char *const[]){ "w", "ro" }, 2);
	assert_int_equal(kit_walk(&k, "alias"), 0);
	kit_end(&k);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_name_outside),
		cmocka_unit_test(a_handle_whose_name_is_gone),
		cmocka_unit_test(names_all_inside),
		cmocka_unit_test(names_are_counted_once),
		cmocka_unit_test(another_name_in_a_read_only_mount),
	};

	umask(0);
	return cmocka_run_group_tests(tests, set_up, tear_down);
}
