/* files_guard_test.c - attacks on hidden, read-only and protected paths */
#include "files_kit.h"

#include <linux/fs.h>

/* Every way of changing the file @name in @parent. */
static void assert_unchangeable(struct kit *k, uint64_t parent, const char *name)
{
	uint64_t node = kit_lookup(k, parent, name), fh;
	struct fuse_mknod_in mknod = { .mode = S_IFREG | 0644 };
	struct fuse_setxattr_in xattr = { .size = 1 };

	assert_int_not_equal(node, 0);
	assert_int_equal(kit_open(k, node, O_WRONLY, &fh), EACCES);
	assert_int_equal(kit_open(k, node, O_RDWR, &fh), EACCES);
	assert_int_equal(kit_open(k, node, O_RDONLY | O_TRUNC, &fh), EACCES);
	assert_int_equal(kit_create(k, parent, name, O_RDWR, &fh), EACCES);
	assert_int_equal(kit_create(k, parent, name, O_RDONLY | O_TRUNC, &fh), EACCES);
	assert_int_equal(kit_create(k, parent, name, O_RDWR | O_EXCL, &fh), EEXIST);
	assert_int_equal(kit_setattr(k, node, (struct fuse_setattr_in){ .valid = FATTR_SIZE }), EACCES);
	assert_int_equal(kit_setattr(k, node, (struct fuse_setattr_in){ .valid = FATTR_MODE, .mode = 0777 }),
			EACCES);
	assert_int_equal(kit_setattr(k, node, (struct fuse_setattr_in){ .valid = FATTR_MTIME }), EACCES);
	assert_int_equal(kit_send(k, FUSE_SETXATTR, node, &xattr, 8, STR("user.x\0a")), EACCES);
	assert_int_equal(kit_send(k, FUSE_REMOVEXATTR, node, NULL, 0, kit_z("user.x")), EACCES);
	assert_int_equal(kit_unlink(k, parent, name), EACCES);
	assert_int_equal(kit_rename(k, parent, name, k->top, "elsewhere", 0), EACCES);
	assert_int_equal(kit_rename(k, k->top, "plain", parent, name, 0), EACCES);
	assert_int_equal(kit_rename(k, k->top, "plain", parent, name, RENAME_EXCHANGE), EACCES);
	assert_int_equal(kit_rename(k, parent, name, k->top, "plain", RENAME_EXCHANGE), EACCES);
	assert_int_equal(kit_rename(k, k->top, "plain", parent, name, RENAME_NOREPLACE), EEXIST);
	assert_int_equal(kit_link(k, node, k->top, "elsewhere"), EACCES);
	assert_int_equal(kit_link(k, kit_walk(k, "plain"), parent, name), EEXIST);
	assert_int_equal(kit_symlink(k, parent, name, "plain"), EEXIST);
	assert_int_equal(kit_send(k, FUSE_MKNOD, parent, &mknod, sizeof mknod, kit_z(name)), EEXIST);
	/* it can be read all the same */
	assert_int_equal(kit_open(k, node, O_RDONLY, &fh), 0);
	assert_int_equal(kit_write(k, node, fh, 0, "x"), EBADF);
	struct fuse_fallocate_in fallocate_in = { .fh = fh, .length = 10 };
	assert_int_equal(kit_send(k, FUSE_FALLOCATE, node, &fallocate_in, sizeof fallocate_in, STR("")),
			 EBADF);
	struct fuse_copy_file_range_in copy = { .fh_in = fh, .fh_out = fh, .nodeid_out = node, .len = 1 };
	assert_int_equal(kit_send(k, FUSE_COPY_FILE_RANGE, node, &copy, sizeof copy, STR("")), EBADF);
	assert_int_equal(kit_release(k, node, fh), 0);
}

/* Every way of making @name in @parent, where nothing is yet. */
static void assert_unmakeable(struct kit *k, uint64_t parent, const char *name)
{
	struct fuse_mknod_in mknod = { .mode = S_IFREG | 0644 };
	uint64_t fh;

	assert_int_equal(kit_create(k, parent, name, O_RDWR, &fh), EACCES);
	assert_int_equal(kit_mkdir(k, parent, name), EACCES);
	assert_int_equal(kit_symlink(k, parent, name, "plain"), EACCES);
	assert_int_equal(kit_send(k, FUSE_MKNOD, parent, &mknod, sizeof mknod, kit_z(name)), EACCES);
	assert_int_equal(kit_link(k, kit_walk(k, "plain"), parent, name), EACCES);
	assert_int_equal(kit_rename(k, k->top, "plain", parent, name, 0), EACCES);
	assert_int_equal(kit_rename(k, k->top, "plain", parent, name, RENAME_NOREPLACE), EACCES);
	assert_int_not_equal(kit_rename(k, k->top, "plain", parent, name, RENAME_EXCHANGE), 0);
	assert_true(kit_host_has(k, "plain"));
}

static void the_policy_cannot_be_touched(void **state)
{
	(void)state;
	struct kit k;

	kit_root(&k);
	kit_host_file(&k, "plain", "plain");
	kit_host_file(&k, "paddock.yaml", "version: 1\n");
	kit_host_directory(&k, "a");
	kit_host_directory(&k, "a/b");
	kit_host_directory(&k, "empty");
	kit_host_file(&k, "a/b/Paddock.yaml", "version: 1\n");
	kit_start(&k, "");
	assert_unchangeable(&k, k.top, "paddock.yaml");
	assert_unchangeable(&k, kit_walk(&k, "a/b"), "Paddock.yaml");
	assert_unmakeable(&k, kit_walk(&k, "a"), "paddock.yaml");
	assert_unmakeable(&k, kit_walk(&k, "empty"), "PADDOCK.YAML");
	assert_unmakeable(&k, k.top, "paddoc\xe2\x84\xaa.yaml");
	/* its ancestors stay where they are */
	assert_int_equal(kit_rename(&k, kit_walk(&k, "a"), "b", k.top, "b", 0), EACCES);
	assert_int_equal(kit_rename(&k, k.top, "a", k.top, "c", 0), EACCES);
	assert_int_equal(kit_rename(&k, k.top, "empty", k.top, "a", RENAME_EXCHANGE), EACCES);
	assert_int_equal(kit_rename(&k, k.top, "a", k.top, "empty", RENAME_EXCHANGE), EACCES);
	assert_int_equal(kit_rename(&k, k.top, "empty", k.top, "fine", 0), 0);
	assert_true(kit_host_is(&k, "paddock.yaml", "version: 1\n"));
	assert_true(kit_host_is(&k, "a/b/Paddock.yaml", "version: 1\n"));
	assert_true(kit_reported(&k, "/work/paddock.yaml|protected: not written"));
	assert_true(kit_reported(&k, "/work/a|protected: is beneath"));
	kit_end(&k);
}

static void other_names_of_the_policy(void **state)
{
	(void)state;
	struct kit k;
	uint64_t fh;

	kit_root(&k);
	kit_host_file(&k, "plain", "plain");
	kit_host_directory(&k, "deep");
	kit_host_file(&k, "deep/paddock.yaml", "deep");
	assert_int_equal(link(kit_path(&k, "deep/paddock.yaml"), "/tmp/paddock-files-link"), 0);
	assert_int_equal(rename("/tmp/paddock-files-link", kit_path(&k, "innocent")), 0);
	kit_host_file(&k, "real.yaml", "real");
	assert_int_equal(symlink("real.yaml", kit_path(&k, "paddock.yaml")), 0);
	kit_start(&k, "");
	assert_unchangeable(&k, k.top, "innocent");	/* a hard link that was there */
	assert_unchangeable(&k, k.top, "real.yaml");	/* where the policy's link leads */
	assert_int_equal(kit_unlink(&k, k.top, "paddock.yaml"), EACCES);
	assert_int_equal(kit_rename(&k, k.top, "plain", k.top, "paddock.yaml", 0), EACCES);
	/* hard links of what is not protected work */
	assert_int_equal(kit_link(&k, kit_walk(&k, "plain"), k.top, "plain2"), 0);
	assert_int_equal(kit_open(&k, kit_walk(&k, "plain2"), O_WRONLY, &fh), 0);
	kit_end(&k);
}

static void hidden_is_absent(void **state)
{
	(void)state;
	struct kit k;
	uint64_t fh;

	kit_root(&k);
	kit_host_file(&k, "plain", "plain");
	kit_host_file(&k, ".env", "SECRET");
	kit_host_directory(&k, "keys");
	kit_host_file(&k, "keys/id", "SECRET");
	kit_host_directory(&k, "app");
	kit_host_file(&k, "app/.env.local", "SECRET");
	kit_host_file(&k, "app/code", "");
	assert_int_equal(link(kit_path(&k, ".env"), "/tmp/paddock-files-link"), 0);
	assert_int_equal(rename("/tmp/paddock-files-link", kit_path(&k, "copy")), 0);
	kit_start(&k, "\"hidden\":[\".env*\",\"**/.env*\",\"/keys\"]");
	assert_int_equal(kit_walk(&k, ".env"), 0);
	assert_int_equal(kit_walk(&k, ".ENV"), 0);
	assert_int_equal(kit_walk(&k, "keys"), 0);
	assert_int_equal(kit_walk(&k, "app/.env.local"), 0);
	assert_int_equal(kit_walk(&k, "copy"), 0);		/* its other name */
	assert_int_equal(kit_unlink(&k, k.top, ".env"), ENOENT);
	assert_int_equal(kit_send(&k, FUSE_RMDIR, k.top, NULL, 0, kit_z("keys")), ENOENT);
	assert_int_equal(kit_rename(&k, k.top, ".env", k.top, "env", 0), ENOENT);
	assert_int_equal(kit_rename(&k, k.top, "plain", k.top, ".env", RENAME_EXCHANGE), ENOENT);
	assert_int_equal(kit_rename(&k, k.top, "keys", k.top, "k", 0), ENOENT);
	assert_int_equal(kit_rename(&k, k.top, "plain", k.top, ".env", 0), EACCES);
	assert_int_equal(kit_create(&k, k.top, ".env", O_RDWR, &fh), EACCES);
	assert_unmakeable(&k, k.top, ".envrc");
	assert_unmakeable(&k, kit_walk(&k, "app"), ".env");
	assert_int_equal(kit_rename(&k, k.top, "app", k.top, "app2", 0), EACCES);
	assert_int_equal(kit_symlink(&k, k.top, "s", ".env"), 0);	/* leads to what is absent */
	assert_true(kit_host_is(&k, ".env", "SECRET"));
	kit_end(&k);
}

static void read_only(void **state)
{
	(void)state;
	struct kit k;
	uint64_t fh;

	kit_root(&k);
	kit_host_file(&k, "plain", "plain");
	kit_host_directory(&k, "vendor");
	kit_host_directory(&k, "vendor/a");
	kit_host_file(&k, "vendor/a/f", "kept");
	kit_start(&k, "\"read_only_globs\":[\"vendor/**\",\"gen/x\"]");
	assert_unchangeable(&k, kit_walk(&k, "vendor/a"), "f");
	assert_unmakeable(&k, kit_walk(&k, "vendor/a"), "new");
	assert_int_equal(kit_rename(&k, k.top, "vendor", k.top, "v", 0), EACCES);
	assert_int_equal(kit_mkdir(&k, k.top, "other"), 0);
	assert_int_equal(kit_create(&k, kit_walk(&k, "other"), "x", O_RDWR, &fh), 0);
	assert_int_equal(kit_rename(&k, k.top, "other", k.top, "gen", 0), EACCES); /* it would be gen/x */
	kit_end(&k);

	kit_root(&k);
	kit_host_file(&k, "f", "kept");
	kit_start(&k, "\"read_only\":true");
	assert_int_equal(kit_open(&k, kit_walk(&k, "f"), O_RDONLY, &fh), 0);
	assert_int_equal(kit_open(&k, kit_walk(&k, "f"), O_RDWR, &fh), EROFS);
	assert_int_equal(kit_open(&k, kit_walk(&k, "f"), O_RDONLY | O_TRUNC, &fh), EROFS);
	assert_int_equal(kit_create(&k, k.top, "n", O_RDWR, &fh), EROFS);
	assert_int_equal(kit_mkdir(&k, k.top, "n"), EROFS);
	assert_int_equal(kit_unlink(&k, k.top, "f"), EROFS);
	assert_int_equal(kit_rename(&k, k.top, "f", k.top, "g", 0), EROFS);
	assert_int_equal(kit_link(&k, kit_walk(&k, "f"), k.top, "g"), EROFS);
	assert_int_equal(kit_symlink(&k, k.top, "s", "f"), EROFS);
	assert_int_equal(kit_setattr(&k, kit_walk(&k, "f"), (struct fuse_setattr_in){ .valid = FATTR_SIZE }),
			EROFS);
	kit_end(&k);
}

static void repositories_that_were_there(void **state)
{
	(void)state;
	struct kit k;
	uint64_t git, fh;

	kit_root(&k);
	kit_host_file(&k, "plain", "plain");
	kit_host_directory(&k, "p");
	kit_host_directory(&k, "p/.git");
	kit_host_directory(&k, "p/.git/hooks");
	kit_host_file(&k, "p/.git/config", "[core]\n");
	kit_host_file(&k, "p/.git/hooks/sample", "#!");
	kit_host_directory(&k, "sub");
	kit_host_file(&k, "sub/.git", "gitdir: ../p/.git/modules/sub\n");
	kit_start(&k, "");
	git = kit_walk(&k, "p/.git");
	assert_unchangeable(&k, git, "config");
	assert_unchangeable(&k, kit_walk(&k, "p/.git/hooks"), "sample");
	assert_unchangeable(&k, kit_walk(&k, "sub"), ".git");
	assert_unmakeable(&k, kit_walk(&k, "p/.git/hooks"), "pre-commit");
	assert_unmakeable(&k, git, "commondir");
	assert_unmakeable(&k, git, "config.worktree");
	assert_int_equal(kit_rename(&k, k.top, "p", k.top, "q", 0), EACCES);
	assert_int_equal(kit_rename(&k, k.top, "sub", k.top, "q", 0), EACCES);
	assert_int_equal(kit_rename(&k, kit_walk(&k, "p"), ".git", k.top, "g", 0), EACCES);
	assert_int_equal(kit_rename(&k, git, "hooks", k.top, "h", 0), EACCES);
	assert_int_equal(kit_send(&k, FUSE_RMDIR, kit_walk(&k, "p"), NULL, 0, kit_z(".git")), EACCES);
	/* another directory does not come in its place */
	assert_int_equal(kit_mkdir(&k, k.top, "evil"), 0);
	assert_int_equal(kit_mkdir(&k, kit_walk(&k, "evil"), "hooks"), 0);
	assert_int_equal(kit_rename(&k, k.top, "evil", kit_walk(&k, "p"), ".git", 0), EACCES);
	assert_int_equal(kit_rename(&k, k.top, "evil", kit_walk(&k, "p"), ".git", RENAME_EXCHANGE), EACCES);
	assert_int_equal(kit_rename(&k, kit_walk(&k, "evil"), "hooks", git, "hooks", 0), EACCES);
	/* work goes on */
	assert_int_equal(kit_create(&k, git, "index.lock", O_RDWR | O_EXCL, &fh), 0);
	assert_int_equal(kit_rename(&k, git, "index.lock", git, "index", 0), 0);
	assert_int_equal(kit_create(&k, git, "config.lock", O_RDWR | O_EXCL, &fh), 0);
	assert_int_equal(kit_rename(&k, git, "config.lock", git, "config", 0), EACCES);
	assert_false(kit_reported(&k, "new repository"));
	kit_end(&k);
}

/* A submodule can be called as what git keeps beside its hooks. */
static void submodules_with_names_of_gits(void **state)
{
	static const char *const names[] = { "logs", "refs", "refs/sub" };

	(void)state;
	for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
		struct kit k;
		char path[128];
		uint64_t module, fh;

		kit_root(&k);
		kit_host_file(&k, "plain", "plain");
		kit_host_directory(&k, ".git");
		kit_host_directory(&k, ".git/modules");
		if (i == 2)
			kit_host_directory(&k, ".git/modules/refs");
		snprintf(path, sizeof path, ".git/modules/%s", names[i]);
		kit_host_directory(&k, path);
		snprintf(path, sizeof path, ".git/modules/%s/config", names[i]);
		kit_host_file(&k, path, "[core]\n");
		snprintf(path, sizeof path, ".git/modules/%s/refs", names[i]);
		kit_host_directory(&k, path);
		snprintf(path, sizeof path, ".git/modules/%s/refs/heads", names[i]);
		kit_host_directory(&k, path);
		kit_start(&k, "");
		snprintf(path, sizeof path, ".git/modules/%s", names[i]);
		module = kit_walk(&k, path);
		assert_unchangeable(&k, module, "config");
		assert_unmakeable(&k, module, "hooks");
		/* a branch can be called as what git obeys */
		snprintf(path, sizeof path, ".git/modules/%s/refs/heads", names[i]);
		assert_int_equal(kit_create(&k, kit_walk(&k, path), "config", O_RDWR, &fh), 0);
		kit_end(&k);
	}
}

/* The look for other names is not led past a directory that the agent closed for the moment, whether it can
 * still be listed or not: what it may have missed is hidden, or read-only if nothing is. All else is found. */
static void closed_while_looking(void **state)
{
	static const struct { const char *members; mode_t mode; } ways[] = {
		{ "\"hidden\":[\"conf/key\"]", 0 }, { "\"hidden\":[\"conf/key\"]", 0444 },
		{ "", 0 }, { "", 0444 },
	};
	const uid_t user = geteuid();

	(void)state;
	if (user == 0)	/* root may look into all */
		assert_int_equal(seteuid(65534), 0);
	for (size_t i = 0; i < sizeof ways / sizeof *ways; i++) {
		struct fuse_setattr_in mode = { .valid = FATTR_MODE, .mode = ways[i].mode };
		struct kit k;
		uint64_t fh, conf, alias;

		kit_root(&k);
		kit_host_directory(&k, "conf");
		kit_host_file(&k, "conf/paddock.yaml", "version: 1\n");
		kit_host_file(&k, "conf/key", "secret");
		kit_host_file(&k, "build", "");
		auto_fd root = open(k.root, O_PATH | O_DIRECTORY | O_CLOEXEC);
		assert_int_equal(linkat(root, "conf/paddock.yaml", root, "policy", 0), 0);
		assert_int_equal(linkat(root, "conf/key", root, "alias", 0), 0);
		assert_int_equal(linkat(root, "build", root, "build2", 0), 0);
		for (char name[] = "a/paddock.yaml"; name[0] <= 'z'; name[0]++) {	/* some after it */
			char directory[] = { name[0], '\0' }, other[] = { name[0], '2', '\0' };

			kit_host_directory(&k, directory);
			kit_host_file(&k, name, "");
			assert_int_equal(linkat(root, name, root, other, 0), 0);
		}
		kit_start(&k, ways[i].members);
		conf = kit_walk(&k, "conf");
		assert_int_equal(kit_setattr(&k, conf, mode), 0);
		alias = kit_lookup(&k, k.top, "alias");
		mode.mode = 0755;
		assert_int_equal(kit_setattr(&k, conf, mode), 0);
		if (*ways[i].members) {
			assert_int_equal(alias, 0);
			assert_int_equal(kit_walk(&k, "alias"), 0);
			assert_int_equal(kit_walk(&k, "policy"), 0);
			assert_int_equal(kit_unlink(&k, k.top, "policy"), ENOENT);
		} else {
			assert_int_equal(kit_open(&k, kit_walk(&k, "policy"), O_RDWR, &fh), EACCES);
			assert_int_equal(kit_unlink(&k, k.top, "policy"), EACCES);
		}
		assert_true(kit_reported(&k, "files of which not every name was found"));
		k.reports = 0;
		for (char name[] = "a2"; name[0] <= 'z'; name[0]++) {
			assert_int_equal(kit_open(&k, kit_walk(&k, name), O_RDONLY, &fh), 0);
			assert_int_equal(kit_release(&k, kit_walk(&k, name), fh), 0);
			assert_int_equal(kit_open(&k, kit_walk(&k, name), O_RDWR, &fh), EACCES);
		}
		assert_true(kit_reported(&k, "/work/z2|protected"));
		assert_int_equal(kit_open(&k, kit_walk(&k, "build2"), O_RDWR, &fh), 0);	/* all were found */
		kit_end(&k);
	}
	if (user == 0)
		assert_int_equal(seteuid(0), 0);
}

static void repositories_made_inside(void **state)
{
	(void)state;
	struct kit k;
	uint64_t n, git, fh;

	kit_root(&k);
	kit_host_file(&k, "plain", "plain");
	kit_start(&k, "");
	assert_int_equal(kit_mkdir(&k, k.top, "n"), 0);
	n = kit_walk(&k, "n");
	assert_int_equal(kit_mkdir(&k, n, ".git"), 0);
	assert_true(kit_reported(&k, "/work/n/.git|new repository"));
	git = kit_walk(&k, "n/.git");
	assert_int_equal(kit_create(&k, git, "config", O_RDWR, &fh), 0);
	assert_int_equal(kit_mkdir(&k, git, "hooks"), 0);
	assert_int_equal(kit_create(&k, kit_walk(&k, "n/.git/hooks"), "pre-commit", O_RDWR, &fh), 0);
	assert_int_equal(kit_rename(&k, k.top, "n", k.top, "m", 0), 0);
	git = kit_walk(&k, "m/.git");
	assert_int_equal(kit_unlink(&k, git, "config"), 0);
	/* made under another name, then moved */
	k.reports = 0;
	assert_int_equal(kit_mkdir(&k, k.top, "x"), 0);
	assert_int_equal(kit_mkdir(&k, kit_walk(&k, "x"), "tmp"), 0);
	assert_int_equal(kit_rename(&k, kit_walk(&k, "x"), "tmp", kit_walk(&k, "x"), ".git", 0), 0);
	assert_true(kit_reported(&k, "/work/x/.git|new repository"));
	assert_int_equal(kit_create(&k, kit_walk(&k, "x/.git"), "config", O_RDWR, &fh), 0);
	/* a work tree's file and a link */
	k.reports = 0;
	assert_int_equal(kit_mkdir(&k, k.top, "w"), 0);
	assert_int_equal(kit_create(&k, kit_walk(&k, "w"), ".git", O_RDWR, &fh), 0);
	assert_true(kit_reported(&k, "/work/w/.git|new repository"));
	assert_int_equal(kit_open(&k, kit_walk(&k, "w/.git"), O_RDWR, &fh), 0);
	assert_int_equal(kit_unlink(&k, kit_walk(&k, "w"), ".git"), 0);
	assert_int_equal(kit_symlink(&k, kit_walk(&k, "w"), ".git", "../x/.git"), 0);
	assert_int_equal(kit_unlink(&k, kit_walk(&k, "w"), ".git"), 0);
	kit_end(&k);
}

static void the_knob(void **state)
{
	(void)state;
	struct kit k;
	uint64_t fh;

	kit_root(&k);
	kit_host_directory(&k, ".git");
	kit_host_file(&k, ".git/config", "");
	kit_start(&k, "\"protect_git\":false");
	assert_int_equal(kit_open(&k, kit_walk(&k, ".git/config"), O_RDWR, &fh), 0);
	assert_int_equal(kit_rename(&k, k.top, ".git", k.top, "g", 0), 0);
	kit_end(&k);
}

/* A mount within a mount: its rules hold on the way through the outer one too. */
static void mounts_within_mounts(void **state)
{
	(void)state;
	static const char json[] =
		"{\"mounts\":[{\"path\":\"/w\"},{\"path\":\"/w/in\",\"read_only\":true,\"hidden\":[\"top\"]},"
		"{\"path\":\"/w/f\",\"file\":true}],\"protected_files\":[\"paddock.yaml\",\"/w/conf/"
		"policy\",\"/w/f\"]}";
	struct inode_limits limits = INODE_LIMITS_DEFAULT;
	struct fuse_init_in init = { .major = 7, .minor = 38 };
	struct kit k;
	char text[160];
	int roots[3];
	uint64_t fh;

	kit_root(&k);
	kit_host_directory(&k, "in");
	kit_host_directory(&k, "in/d");
	kit_host_directory(&k, "conf");
	kit_host_directory(&k, "up");
	kit_host_file(&k, "conf/policy", "");
	kit_host_file(&k, "plain", "");
	kit_host_file(&k, "f", "file");
	kit_host_file(&k, "in/top", "");
	kit_host_file(&k, "in/d/x", "");
	roots[0] = open(k.root, O_PATH | O_CLOEXEC);
	roots[1] = open(kit_path(&k, "in"), O_PATH | O_CLOEXEC);
	roots[2] = open(kit_path(&k, "f"), O_RDWR | O_CLOEXEC);
	assert_int_equal(config_parse(str_of(json), &k.config, text), ERR_OK);
	assert_int_equal(tree_new(&k.config, roots, &limits, NULL, NULL, &k.tree), ERR_OK);
	buf_init(&k.out, FUSE_REPLY_MAX);
	assert_int_equal(kit_send(&k, FUSE_INIT, 0, &init, sizeof init, STR("")), 0);
	k.top = kit_lookup(&k, FUSE_ROOT_ID, "0");
	assert_int_equal(kit_create(&k, kit_walk(&k, "in/d"), "n", O_RDWR, &fh), EROFS);
	assert_int_equal(kit_open(&k, kit_walk(&k, "in/d/x"), O_RDWR, &fh), EROFS);
	assert_int_equal(kit_walk(&k, "in/top"), 0);
	assert_int_equal(kit_rename(&k, k.top, "in", k.top, "out", 0), EBUSY);	/* a mount stays */
	assert_int_equal(kit_open(&k, kit_walk(&k, "conf/policy"), O_RDWR, &fh), EACCES);
	assert_int_equal(kit_rename(&k, k.top, "conf", k.top, "c", 0), EACCES);
	assert_int_equal(kit_open(&k, kit_walk(&k, "f"), O_RDWR, &fh), EACCES);
	/* the file by itself */
	k.top = kit_lookup(&k, FUSE_ROOT_ID, "2");
	assert_int_not_equal(k.top, 0);
	assert_int_equal(kit_open(&k, k.top, O_RDONLY, &fh), 0);
	assert_int_equal(kit_open(&k, k.top, O_RDWR, &fh), EACCES);
	assert_int_equal(kit_lookup(&k, k.top, "x"), 0);
	/* names of the root are numbers, and no others */
	assert_int_equal(kit_lookup(&k, FUSE_ROOT_ID, "3"), 0);
	assert_int_equal(kit_lookup(&k, FUSE_ROOT_ID, "00"), 0);
	assert_int_equal(kit_lookup(&k, FUSE_ROOT_ID, "-1"), 0);
	/* from one mount to another nothing moves */
	uint64_t one = kit_lookup(&k, FUSE_ROOT_ID, "1"), zero = kit_lookup(&k, FUSE_ROOT_ID, "0");
	assert_int_equal(kit_rename(&k, zero, "plain", one, "plain", 0), EXDEV);
	assert_int_equal(kit_mkdir(&k, FUSE_ROOT_ID, "9"), EROFS);
	kit_end(&k);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_policy_cannot_be_touched),
		cmocka_unit_test(other_names_of_the_policy),
		cmocka_unit_test(hidden_is_absent),
		cmocka_unit_test(read_only),
		cmocka_unit_test(repositories_that_were_there),
		cmocka_unit_test(submodules_with_names_of_gits),
		cmocka_unit_test(closed_while_looking),
		cmocka_unit_test(repositories_made_inside),
		cmocka_unit_test(the_knob),
		cmocka_unit_test(mounts_within_mounts),
	};

	umask(0);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
