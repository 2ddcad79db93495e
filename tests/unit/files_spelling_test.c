/* files_spelling_test.c - workspaces on file systems that find files by other spellings, which are said to
 * be here by the calls that the code asks, in this file */
#include "files_kit.h"

#include "files/spelling.h"

#include <linux/fs.h>
#include <sys/ioctl.h>
#include <sys/statfs.h>
#include <sys/syscall.h>

static uint32_t pretended_type;		/* 0: what it is */
static ino_t pretended_where;		/* only there; 0: everywhere */
static bool pretended_folding, pretended_flag;

int fstatfs(int fd, struct statfs *ret)
{
	struct stat st;
	int done = (int)syscall(SYS_fstatfs, fd, ret);

	if (done == 0 && pretended_type &&
	    (!pretended_where || (fstat(fd, &st) == 0 && st.st_ino == pretended_where)))
		ret->f_type = pretended_type;
	return done;
}

int ioctl(int fd, unsigned long request, ...)
{
	int *flags;
	va_list list;

	(void)fd;
	va_start(list, request);
	flags = va_arg(list, int *);
	va_end(list);
	assert_int_equal(request, FS_IOC_GETFLAGS);
	*flags = pretended_flag ? 0x40000000 : 0;
	return 0;
}

/* A directory on another device: what a mount looks like. */
static ino_t pretended_mount;

int fstatat(int directory, const char *name, struct stat *ret, int flags)
{
	char lower[256];
	size_t n = strlen(name);
	int done = (int)syscall(SYS_newfstatat, directory, name, ret, flags);

	if (done && pretended_folding && n < sizeof lower) {
		for (size_t i = 0; i <= n; i++)
			lower[i] = ascii_lower(name[i]);
		done = (int)syscall(SYS_newfstatat, directory, lower, ret, flags);
	}
	if (done == 0 && pretended_mount && ret->st_ino == pretended_mount)
		ret->st_dev++;
	return done;
}

static int tear_down(void **state)
{
	(void)state;
	pretended_type = 0;
	pretended_where = pretended_mount = 0;
	pretended_folding = pretended_flag = false;
	return 0;
}

/* What is said about a mount with @members whose root is @k's. */
static const char *said(const struct kit *k, const char *members)
{
	static char text[TREE_TEXT_BYTES];
	char json[512], why[160];
	struct config c;
	auto_fd root = open(k->root, O_PATH | O_DIRECTORY | O_CLOEXEC);
	int n = snprintf(json, sizeof json, "{\"mounts\":[{\"path\":\"/w\",%s}],\"protected_files\":[%s]}",
			 members, strstr(members, "false") ? "" : "\"paddock.yaml\"");
	const char *error;

	assert_true(root >= 0 && n > 0 && n < (int)sizeof json);
	assert_int_equal(config_parse(str_make(json, (size_t)n), &c, why), ERR_OK);
	error = tree_root_error(&c, &c.mounts[0], root, text);
	config_free(&c);
	return error;
}

static void roots_are_refused(void **state)
{
	static const uint32_t types[] = { 0x4d44, 0x2011bab0, 0x5346544e, 0x7366746e, 0x01021997, 0x517b,
					  0xff534d42, 0xfe534d42 };
	struct kit k;

	(void)state;
	kit_root(&k);
	kit_host_file(&k, "file", "");
	assert_null(said(&k, "\"read_only\":false"));
	for (size_t i = 0; i < sizeof types / sizeof *types; i++) {
		pretended_type = types[i];
		assert_non_null(said(&k, "\"protect_git\":true"));
	}
	pretended_type = 0x4d44;
	assert_non_null(strstr(said(&k, "\"protect_git\":true"), "it is on FAT,"));
	assert_non_null(strstr(said(&k, "\"protect_git\":true"), "ext4"));	/* a way out */
	assert_non_null(said(&k, "\"read_only\":true,\"hidden\":[\".env\"]"));
	assert_non_null(said(&k, "\"protect_git\":false,\"read_only_globs\":[\"x\"]"));
	/* nothing depends on a name */
	assert_null(said(&k, "\"read_only\":true"));
	assert_null(said(&k, "\"protect_git\":false"));
	kit_end(&k);
}

static void directories_that_fold_case(void **state)
{
	struct kit k;

	(void)state;
	kit_root(&k);
	kit_host_file(&k, "file", "");
	pretended_flag = true;
	assert_non_null(said(&k, "\"protect_git\":true"));
	pretended_flag = false;
	pretended_folding = true;
	assert_non_null(said(&k, "\"protect_git\":true"));
	pretended_folding = false;
	/* two names of one file do not tell */
	assert_null(said(&k, "\"protect_git\":true"));
	auto_fd root = open(k.root, O_PATH | O_DIRECTORY | O_CLOEXEC);
	assert_int_equal(linkat(root, "file", root, "FILE", 0), 0);
	kit_host_file(&k, "1", "");
	kit_host_file(&k, "other", "");
	kit_host_file(&k, "OTHER", "");
	assert_null(said(&k, "\"protect_git\":true"));
	kit_end(&k);
}

/* Mounted beneath the root on the host: not there, for nothing beneath could be kept. */
static void a_file_system_beneath(void **state)
{
	struct kit k;
	struct stat st;

	(void)state;
	kit_root(&k);
	kit_host_directory(&k, "stick");
	kit_host_directory(&k, "own");
	kit_host_file(&k, "stick/f", "");
	assert_int_equal(stat(kit_path(&k, "stick"), &st), 0);
	kit_start(&k, "");
	assert_int_not_equal(kit_walk(&k, "stick/f"), 0);
	pretended_mount = st.st_ino;
	assert_int_not_equal(kit_walk(&k, "stick"), 0);	/* another of Linux's own */
	pretended_where = st.st_ino;
	pretended_type = 0x2011bab0;
	assert_int_equal(kit_walk(&k, "stick"), 0);
	assert_true(kit_reported(&k, "/work/stick|hidden: it is on exFAT,"));
	assert_int_equal(kit_rename(&k, k.top, "stick", k.top, "s", 0), ENOENT);
	assert_int_equal(kit_mkdir(&k, k.top, "stick"), EACCES);
	assert_int_not_equal(kit_walk(&k, "own"), 0);
	kit_end(&k);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_teardown(roots_are_refused, tear_down),
		cmocka_unit_test_teardown(directories_that_fold_case, tear_down),
		cmocka_unit_test_teardown(a_file_system_beneath, tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
