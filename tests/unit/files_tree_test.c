/* files_tree_test.c - each operation against a directory, as the guest's kernel would send it */
#include "files_kit.h"

#include <linux/fs.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/resource.h>

static void a_file_from_birth_to_death(void **state)
{
	(void)state;
	struct kit k;
	uint64_t fh, node;
	struct fuse_read_in read_in = { .size = 100 };
	struct fuse_attr_out attr;
	struct fuse_getattr_in getattr = { 0 };

	kit_root(&k);
	kit_start(&k, "");
	assert_int_equal(kit_create(&k, k.top, "a", O_RDWR | O_CREAT, &fh), 0);
	node = kit_entry_node(&k);
	assert_int_equal(kit_write(&k, node, fh, 0, "hello world"), 0);
	assert_int_equal(kit_write(&k, node, fh, 6, "W"), 0);
	read_in.fh = fh;
	assert_int_equal(kit_send(&k, FUSE_READ, node, &read_in, sizeof read_in, STR("")), 0);
	assert_true(str_eq(kit_body(&k), STR("hello World")));
	assert_true(kit_host_is(&k, "a", "hello World"));
	assert_int_equal(kit_setattr(&k, node, (struct fuse_setattr_in){ .valid = FATTR_SIZE, .size = 5 }),
			0);
	assert_true(kit_host_is(&k, "a", "hello"));
	assert_int_equal(kit_setattr(&k, node,
				     (struct fuse_setattr_in){ .valid = FATTR_MODE, .mode = 06755 }), 0);
	assert_int_equal(kit_send(&k, FUSE_GETATTR, node, &getattr, sizeof getattr, STR("")), 0);
	memcpy(&attr, kit_body(&k).p, sizeof attr);
	assert_int_equal(attr.attr.mode, S_IFREG | 0755);	/* no set-user-ID */
	assert_int_equal(attr.attr.uid, 0);
	assert_int_equal(attr.attr.size, 5);
	/* unlinked while open: still there for who has it open */
	assert_int_equal(kit_unlink(&k, k.top, "a"), 0);
	assert_false(kit_host_has(&k, "a"));
	assert_int_equal(kit_send(&k, FUSE_GETATTR, node, &getattr, sizeof getattr, STR("")), 0);
	assert_int_equal(kit_setattr(&k, node, (struct fuse_setattr_in){ .valid = FATTR_SIZE, .size = 1 }),
			0);
	assert_int_equal(kit_send(&k, FUSE_READ, node, &read_in, sizeof read_in, STR("")), 0);
	assert_true(str_eq(kit_body(&k), STR("h")));
	assert_int_equal(kit_release(&k, node, fh), 0);
	assert_int_equal(kit_release(&k, node, fh), EBADF);
	assert_int_equal(kit_send(&k, FUSE_READ, node, &read_in, sizeof read_in, STR("")), EBADF);
	assert_int_equal(kit_lookup(&k, k.top, "a"), 0);
	kit_end(&k);
}

static void directories_and_names(void **state)
{
	(void)state;
	struct kit k;
	uint64_t d, e, fh;
	struct fuse_mknod_in device = { .mode = S_IFCHR | 0666, .rdev = 0x103 },
			     fifo = { .mode = S_IFIFO | 0600 };

	kit_root(&k);
	kit_start(&k, "");
	assert_int_equal(kit_mkdir(&k, k.top, "d"), 0);
	assert_int_equal(kit_mkdir(&k, k.top, "d"), EEXIST);
	d = kit_walk(&k, "d");
	assert_int_equal(kit_mkdir(&k, d, "e"), 0);
	e = kit_walk(&k, "d/e");
	assert_int_equal(kit_create(&k, e, "f", O_WRONLY | O_CREAT, &fh), 0);
	assert_int_equal(kit_create(&k, e, "f", O_WRONLY | O_CREAT | O_EXCL, &fh), EEXIST);
	assert_int_equal(kit_send(&k, FUSE_RMDIR, k.top, NULL, 0, kit_z("d")), ENOTEMPTY);
	assert_int_equal(kit_unlink(&k, k.top, "d"), EISDIR);
	assert_int_equal(kit_rename(&k, k.top, "d", k.top, "x", 0), 0);
	assert_true(kit_host_has(&k, "x/e/f"));
	assert_int_equal(kit_mkdir(&k, e, "still"), 0);		/* the node follows its parent */
	assert_true(kit_host_has(&k, "x/e/still"));
	assert_int_equal(kit_rename(&k, k.top, "x", e, "y", 0), EINVAL);	/* into itself */
	assert_int_equal(kit_rename(&k, k.top, "no", k.top, "y", 0), ENOENT);
	assert_int_equal(kit_mkdir(&k, k.top, "z"), 0);
	assert_int_equal(kit_rename(&k, k.top, "x", k.top, "z", RENAME_NOREPLACE), EEXIST);
	assert_int_equal(kit_rename(&k, k.top, "x", k.top, "z", RENAME_EXCHANGE), 0);
	assert_true(kit_host_has(&k, "z/e/f"));
	assert_int_equal(kit_rename(&k, k.top, "x", k.top, "z", RENAME_WHITEOUT), EINVAL);
	assert_int_equal(kit_link(&k, kit_walk(&k, "z/e/f"), k.top, "hard"), 0);
	assert_true(kit_host_has(&k, "hard"));
	assert_int_equal(kit_link(&k, e, k.top, "hard2"), EPERM);
	assert_int_equal(kit_symlink(&k, k.top, "link", "../../etc/passwd"), 0);
	assert_int_equal(kit_send(&k, FUSE_READLINK, kit_walk(&k, "link"), NULL, 0, STR("")), 0);
	assert_true(str_eq(kit_body(&k), STR("../../etc/passwd")));
	assert_int_equal(kit_open(&k, kit_walk(&k, "link"), O_RDONLY, &fh), ELOOP);
	assert_int_equal(kit_lookup(&k, kit_walk(&k, "link"), "x"), 0);		/* no directory */
	assert_int_equal(kit_send(&k, FUSE_MKNOD, k.top, &device, sizeof device, kit_z("dev")), EPERM);
	assert_int_equal(kit_send(&k, FUSE_MKNOD, k.top, &fifo, sizeof fifo, kit_z("fifo")), 0);
	assert_int_equal(kit_open(&k, kit_walk(&k, "fifo"), O_RDONLY, &fh), ENXIO);
	kit_end(&k);
}

/* All names of @node, each once, read @size bytes at a time. */
static unsigned count_names(struct kit *k, uint64_t node, uint32_t opcode, uint32_t size)
{
	struct fuse_open_in open_in = { 0 };
	struct fuse_open_out opened;
	struct fuse_read_in in = { .size = size };
	size_t skip = opcode == FUSE_READDIRPLUS ? sizeof(struct fuse_entry_out) : 0;
	unsigned count = 0;

	assert_int_equal(kit_send(k, FUSE_OPENDIR, node, &open_in, sizeof open_in, STR("")), 0);
	memcpy(&opened, kit_body(k).p, sizeof opened);
	in.fh = opened.fh;
	for (;;) {
		struct fuse_dirent entry;
		struct str rest;

		assert_int_equal(kit_send(k, opcode, node, &in, sizeof in, STR("")), 0);
		rest = kit_body(k);
		assert_true(rest.n <= size);
		if (rest.n == 0)
			break;
		while (rest.n) {
			assert_true(rest.n >= skip + FUSE_NAME_OFFSET);
			memcpy(&entry, rest.p + skip, FUSE_NAME_OFFSET);
			count += rest.p[skip + FUSE_NAME_OFFSET] != '.';
			in.offset = entry.off;
			rest = str_from(rest, skip + FUSE_DIRENT_ALIGN(FUSE_NAME_OFFSET + entry.namelen));
		}
	}
	struct fuse_release_in release = { .fh = opened.fh };
	assert_int_equal(kit_send(k, FUSE_RELEASEDIR, node, &release, sizeof release, STR("")), 0);
	return count;
}

static void listing(void **state)
{
	(void)state;
	struct kit k;
	char name[40];

	kit_root(&k);
	for (int i = 0; i < 500; i++) {
		snprintf(name, sizeof name, "file-%d", i);
		kit_host_file(&k, name, "");
	}
	kit_host_file(&k, ".env", "");
	kit_start(&k, "\"hidden\":[\".env\",\"file-7\"]");
	assert_int_equal(count_names(&k, k.top, FUSE_READDIR, 4096), 499);
	assert_int_equal(count_names(&k, k.top, FUSE_READDIRPLUS, 4096), 499);
	assert_int_equal(count_names(&k, k.top, FUSE_READDIR, 48), 499);
	assert_int_equal(count_names(&k, k.top, FUSE_READDIRPLUS, 65536), 499);
	assert_int_equal(count_names(&k, FUSE_ROOT_ID, FUSE_READDIR, 4096), 1);
	assert_int_equal(count_names(&k, FUSE_ROOT_ID, FUSE_READDIRPLUS, 4096), 1);
	struct fuse_read_in tiny = { .fh = 0, .size = 8 };
	assert_int_equal(kit_send(&k, FUSE_READDIR, k.top, &tiny, sizeof tiny, STR("")), EBADF);
	kit_end(&k);
}

static void attributes(void **state)
{
	(void)state;
	struct kit k;
	uint64_t node;
	struct fuse_setattr_in owner = { .valid = FATTR_UID | FATTR_GID, .uid = 0, .gid = 0 };
	struct fuse_setxattr_in set = { .size = 3 };
	struct fuse_getxattr_in get = { .size = 100 }, ask = { 0 };
	struct stat st;

	kit_root(&k);
	kit_host_file(&k, "a", "x");
	kit_start(&k, "");
	node = kit_walk(&k, "a");
	assert_int_equal(kit_setattr(&k, node, owner), 0);
	owner.uid = 1;
	assert_int_equal(kit_setattr(&k, node, owner), EPERM);
	assert_int_equal(kit_setattr(&k, node,
				     (struct fuse_setattr_in){ .valid = FATTR_MTIME, .mtime = 1234 }), 0);
	assert_int_equal(stat(kit_path(&k, "a"), &st), 0);
	assert_int_equal(st.st_mtime, 1234);
	assert_int_equal(kit_setattr(&k, node, (struct fuse_setattr_in){ .valid = FATTR_MTIME,
									 .mtimensec = UTIME_NOW }), EINVAL);
	assert_int_equal(kit_setattr(&k, node,
				     (struct fuse_setattr_in){ .valid = FATTR_SIZE, .size = UINT64_MAX }),
			 EFBIG);
	assert_int_equal(kit_setattr(&k, FUSE_ROOT_ID, (struct fuse_setattr_in){ .valid = FATTR_MODE }),
			EROFS);
	assert_int_equal(kit_send(&k, FUSE_SETXATTR, node, &set, 8, STR("security.x\0abc")), EOPNOTSUPP);
	assert_int_equal(kit_send(&k, FUSE_SETXATTR, node, &set, 8, STR("user.\0abc")), EOPNOTSUPP);
	assert_int_equal(kit_send(&k, FUSE_SETXATTR, node, &set, 8, STR("user.x\0abcd")), EINVAL);
	int error = kit_send(&k, FUSE_SETXATTR, node, &set, 8, STR("user.x\0abc"));
	if (error != EOPNOTSUPP) {	/* not every file system has them */
		assert_int_equal(error, 0);
		assert_int_equal(kit_send(&k, FUSE_GETXATTR, node, &get, sizeof get, kit_z("user.x")), 0);
		assert_true(str_eq(kit_body(&k), STR("abc")));
		assert_int_equal(kit_send(&k, FUSE_LISTXATTR, node, &ask, sizeof ask, STR("")), 0);
		assert_int_equal(kit_body(&k).p[0], 7);
		get.size = 2;
		assert_int_equal(kit_send(&k, FUSE_GETXATTR, node, &get, sizeof get, kit_z("user.x")),
				 ERANGE);
		assert_int_equal(kit_send(&k, FUSE_REMOVEXATTR, node, NULL, 0, kit_z("user.x")), 0);
	}
	assert_int_equal(kit_send(&k, FUSE_STATFS, node, NULL, 0, STR("")), 0);
	kit_end(&k);
}

/* What the guest makes up finds nothing, and no hold is lost. */
static void made_up_numbers(void **state)
{
	(void)state;
	struct kit k;
	uint64_t fh, node;
	struct fuse_forget_in forget = { .nlookup = UINT64_MAX };
	struct fuse_write_in write_in = { 0 };
	struct fuse_read_in read_in = { 0 };

	kit_root(&k);
	kit_start(&k, "");
	static const uint64_t numbers[] = { 0, 2, 3, 0xffffffff, 0x100000000, 0x200000001, UINT64_MAX };
	for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++) {
		struct fuse_getattr_in getattr = { 0 };

		assert_int_equal(kit_send(&k, FUSE_GETATTR, numbers[i], &getattr, sizeof getattr, STR("")),
				 ESTALE);
		assert_int_equal(kit_open(&k, numbers[i], O_RDONLY, &fh), ESTALE);
		write_in.fh = read_in.fh = numbers[i];
		assert_int_equal(kit_send(&k, FUSE_WRITE, k.top, &write_in, sizeof write_in, STR("")), EBADF);
		assert_int_equal(kit_send(&k, FUSE_READ, k.top, &read_in, sizeof read_in, STR("")), EBADF);
	}
	assert_int_equal(kit_create(&k, k.top, "a", O_WRONLY, &fh), 0);
	node = kit_entry_node(&k);
	read_in.fh = fh;
	assert_int_equal(kit_send(&k, FUSE_READ, node, &read_in, sizeof read_in, STR("")),
			 EBADF); /* write only */
	assert_int_equal(kit_send(&k, FUSE_READDIR, node, &read_in, sizeof read_in, STR("")), EBADF);
	write_in = (struct fuse_write_in){ .fh = fh, .size = 5 };
	assert_int_equal(kit_send(&k, FUSE_WRITE, node, &write_in, sizeof write_in, STR("four")), EINVAL);
	write_in = (struct fuse_write_in){ .fh = fh, .size = 4, .offset = UINT64_MAX - 1 };
	assert_int_equal(kit_send(&k, FUSE_WRITE, node, &write_in, sizeof write_in, STR("four")), EINVAL);
	assert_int_equal(kit_send(&k, FUSE_FORGET, node, &forget, sizeof forget, STR("")), 0);
	assert_int_equal(kit_write(&k, node, fh, 0, "x"), 0);	/* the handle holds it */
	assert_int_equal(kit_release(&k, node, fh), 0);
	assert_int_equal(kit_open(&k, node, O_RDONLY, &fh), ESTALE);
	assert_int_equal(kit_send(&k, FUSE_FORGET, k.top, &forget, sizeof forget, STR("")), 0);
	assert_int_not_equal(kit_walk(&k, "a"), 0);		/* a root is never forgotten */
	struct fuse_batch_forget_in many = { .count = UINT32_MAX };
	assert_int_equal(kit_send(&k, FUSE_BATCH_FORGET, 0, &many, sizeof many, STR("12345678")), 0);
	assert_int_equal(kit_rename(&k, UINT64_MAX, "a", k.top, "b", 0), ESTALE);
	assert_int_equal(kit_rename(&k, k.top, "a", FUSE_ROOT_ID, "b", 0), EROFS);
	kit_end(&k);
}

/* A directory that the guest forgot while a child of it was still known. */
static void a_forgotten_parent(void **state)
{
	(void)state;
	struct kit k;
	struct fuse_forget_in forget = { .nlookup = 1 };
	uint64_t d, c;

	kit_root(&k);
	kit_host_directory(&k, "d");
	kit_host_file(&k, "d/c", "");
	kit_host_file(&k, "d/b", "");
	kit_start(&k, "");
	d = kit_walk(&k, "d");
	c = kit_lookup(&k, d, "c");
	assert_int_equal(kit_send(&k, FUSE_FORGET, d, &forget, sizeof forget, STR("")), 0);
	assert_int_equal(kit_rename(&k, d, "c", k.top, "c", 0), 0);	/* the last child leaves */
	assert_int_equal(kit_mkdir(&k, d, "x"), ESTALE);
	assert_int_equal(kit_send(&k, FUSE_FORGET, c, &forget, sizeof forget, STR("")), 0);
	d = kit_walk(&k, "d");
	c = kit_lookup(&k, d, "b");
	assert_int_equal(kit_send(&k, FUSE_FORGET, d, &forget, sizeof forget, STR("")), 0);
	assert_int_equal(kit_unlink(&k, d, "b"), 0);
	assert_int_equal(kit_mkdir(&k, d, "x"), ESTALE);
	kit_end(&k);
}

static void tables_have_an_end(void **state)
{
	(void)state;
	static const struct inode_limits limits = { .inodes_max = 50, .handles_max = 5,
						    .directories_max = 4 };
	struct kit k;
	char name[20];
	uint64_t fh[6], node;
	int made = 0;

	kit_root(&k);
	kit_start_limited(&k, "", &limits);
	node = k.top;
	for (int depth = 0; depth < 20; depth++) {	/* deeper than descriptors are kept */
		assert_int_equal(kit_mkdir(&k, node, "d"), 0);
		node = kit_entry_node(&k);
	}
	assert_int_equal(kit_mkdir(&k, kit_walk(&k, "d/d"), "e"), 0);
	assert_int_equal(kit_mkdir(&k, node, "e"), 0);
	for (int i = 0; i < 5; i++)
		assert_int_equal(kit_create(&k, k.top, "f", O_RDWR, &fh[i]), 0);
	assert_int_equal(kit_create(&k, k.top, "f", O_RDWR, &fh[5]), ENFILE);
	for (int i = 0; i < 60; i++) {
		snprintf(name, sizeof name, "n%d", i);
		made += kit_mkdir(&k, k.top, name) == 0;
	}
	assert_int_equal(made, 50 - 1 - 20 - 2 - 1);
	assert_int_not_equal(kit_walk(&k, "f"), 0);	/* what is known stays known */
	kit_end(&k);
}

static void the_host_swaps(void **state)
{
	(void)state;
	struct kit k;
	uint64_t d, f, fh;
	struct fuse_getattr_in getattr = { 0 };

	kit_root(&k);
	kit_host_directory(&k, "d");
	kit_host_directory(&k, "other");
	kit_host_file(&k, "d/f", "one");
	kit_start(&k, "");
	d = kit_walk(&k, "d");
	f = kit_walk(&k, "d/f");
	/* the file becomes a link out of the tree */
	assert_int_equal(unlink(kit_path(&k, "d/f")), 0);
	assert_int_equal(symlink("/etc/passwd", kit_path(&k, "d/f")), 0);
	assert_int_equal(kit_open(&k, f, O_RDONLY, &fh), ESTALE);
	assert_int_equal(kit_setattr(&k, f, (struct fuse_setattr_in){ .valid = FATTR_SIZE }), ESTALE);
	assert_int_equal(kit_setattr(&k, f, (struct fuse_setattr_in){ .valid = FATTR_MODE, .mode = 0777 }),
			ESTALE);
	assert_int_equal(kit_create(&k, d, "f", O_RDWR | O_TRUNC, &fh),
			 EEXIST); /* a link: the guest follows it */
	kit_end(&k);

	/* a directory without a descriptor becomes a link */
	static const struct inode_limits one = { .inodes_max = 50, .handles_max = 5, .directories_max = 0 };
	kit_root(&k);
	kit_host_directory(&k, "d");
	kit_host_directory(&k, "d/e");
	kit_start_limited(&k, "", &one);
	d = kit_walk(&k, "d/e");
	assert_int_equal(kit_mkdir(&k, d, "in"), 0);
	assert_int_equal(kit_mkdir(&k, k.top, "evict"), 0);
	(void)kit_walk(&k, "evict/none");
	assert_int_equal(rename(kit_path(&k, "d"), "/tmp/paddock-files-moved"), 0);
	assert_int_equal(symlink("/tmp/paddock-files-moved", kit_path(&k, "d")), 0);
	assert_int_equal(kit_mkdir(&k, d, "out"), ESTALE);
	assert_int_equal(kit_send(&k, FUSE_GETATTR, d, &getattr, sizeof getattr, STR("")), ESTALE);
	assert_int_equal(kit_create(&k, d, "out", O_RDWR, &fh), ESTALE);
	assert_true(access("/tmp/paddock-files-moved/e/out", F_OK) != 0);
	nftw("/tmp/paddock-files-moved", kit_remove, 16, FTW_DEPTH | FTW_PHYS);
	kit_end(&k);
}

struct swapper {
	char directory[100], link[100], aside[100];
	atomic_bool stop;
	unsigned turns;
};

/* Exchanges a directory and a link out of the tree as fast as it can. */
static void *swap(void *arg)
{
	struct swapper *s = arg;

	while (!atomic_load(&s->stop)) {
		renameat2(AT_FDCWD, s->directory, AT_FDCWD, s->link, RENAME_EXCHANGE);
		s->turns++;
	}
	return NULL;
}

static void races_stay_inside(void **state)
{
	(void)state;
	static const struct inode_limits none = { .inodes_max = 1000, .handles_max = 50,
						  .directories_max = 0 };
	static struct swapper s;
	struct kit k;
	pthread_t thread;
	uint64_t fh, d;
	unsigned inside = 0;
	char outside[] = "/tmp/paddock-files-outside-XXXXXX", path[200];

	assert_non_null(mkdtemp(outside));
	kit_root(&k);
	kit_host_directory(&k, "d");
	snprintf(s.directory, sizeof s.directory, "%s/d", k.root);
	snprintf(s.link, sizeof s.link, "%s/l", k.root);
	assert_int_equal(symlink(outside, s.link), 0);
	kit_start_limited(&k, "", &none);
	assert_int_equal(pthread_create(&thread, NULL, swap, &s), 0);
	for (int i = 0; i < 3000; i++) {
		d = kit_walk(&k, "d");
		if (!d)
			continue;
		if (kit_create(&k, d, "f", O_RDWR | O_TRUNC, &fh) == 0) {
			inside++;
			assert_int_equal(kit_write(&k, d, fh, 0, "x"), 0);
			(void)kit_release(&k, d, fh);
		}
		(void)kit_mkdir(&k, d, "sub");
		(void)kit_symlink(&k, d, "s", "t");
		(void)kit_unlink(&k, d, "f");
	}
	atomic_store(&s.stop, true);
	pthread_join(thread, NULL);
	assert_true(s.turns > 0 && inside > 0);
	snprintf(path, sizeof path, "%s/f", outside);
	assert_true(access(path, F_OK) != 0);
	snprintf(path, sizeof path, "%s/sub", outside);
	assert_true(access(path, F_OK) != 0);
	assert_int_equal(rmdir(outside), 0);
	kit_end(&k);
}

static void nothing_before_init(void **state)
{
	(void)state;
	struct kit k;
	struct fuse_in_header header = { .len = sizeof header, .opcode = FUSE_STATFS, .nodeid = 1 };
	struct fuse_init_in old = { .major = 7, .minor = 12 }, newer = { .major = 8 };
	struct fuse_init_out reply;
	struct tree *t = NULL;
	int root;

	kit_root(&k);
	kit_start(&k, "");
	root = open(k.root, O_PATH | O_DIRECTORY | O_CLOEXEC);
	struct inode_limits limits = INODE_LIMITS_DEFAULT;
	assert_int_equal(tree_new(&k.config, &root, &limits, NULL, NULL, &t), ERR_OK);
	tree_free(k.tree);
	k.tree = t;
	assert_int_equal(tree_request(t, str_make(&header, sizeof header), &k.out), ERR_LINK_STATE);
	assert_int_equal(kit_send(&k, FUSE_INIT, 0, &old, 16, STR("")), EPROTO);
	assert_int_equal(kit_send(&k, FUSE_INIT, 0, &newer, 16, STR("")), 0);
	memcpy(&reply, kit_body(&k).p, sizeof reply);
	assert_int_equal(reply.major, 7);
	old.minor = 45;
	assert_int_equal(kit_send(&k, FUSE_INIT, 0, &old, sizeof old, STR("")), 0);
	memcpy(&reply, kit_body(&k).p, sizeof reply);
	assert_int_equal(reply.minor, FUSE_KERNEL_MINOR_VERSION);
	assert_int_equal(reply.max_write, FUSE_DATA_MAX);
	assert_int_equal(kit_send(&k, FUSE_INIT, 0, &old, sizeof old, STR("")), EINVAL);
	kit_end(&k);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_file_from_birth_to_death),
		cmocka_unit_test(directories_and_names),
		cmocka_unit_test(listing),
		cmocka_unit_test(attributes),
		cmocka_unit_test(made_up_numbers),
		cmocka_unit_test(a_forgotten_parent),
		cmocka_unit_test(tables_have_an_end),
		cmocka_unit_test(the_host_swaps),
		cmocka_unit_test(races_stay_inside),
		cmocka_unit_test(nothing_before_init),
	};

	umask(0);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
