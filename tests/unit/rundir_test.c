/* rundir_test.c - runs come, are listed, and go; whoever lists them is in nobody's way */
#include "supervisor/rundir.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cmocka.h>

static char top[] = "/tmp/rundir-test-XXXXXX", runtime[64];

/* ---- a lister at the worst moment ---- */

static bool lists_before_locking, is_listing;
static int kept[16];		/* its locks, which it holds on to */
static unsigned kept_count, listings;

static bool count(void *ctx, const struct rundir_entry *e)
{
	unsigned *n = ctx;

	assert_true(e->id[0] >= '0' && e->id[0] <= '9');
	++*n;
	return true;
}

static unsigned live(void)
{
	auto_buf why = BUF_EMPTY;
	unsigned n = 0;

	buf_init(&why, 4096);
	is_listing = true;
	assert_int_equal(rundir_each(count, &n, &why), ERR_OK);
	is_listing = false;
	return n;
}

int flock(int fd, int operation)
{
	int result;

	if (lists_before_locking && !is_listing && operation & LOCK_EX) {
		listings++;
		(void)live();
	}
	result = (int)syscall(SYS_flock, fd, operation);
	if (is_listing && lists_before_locking && result == 0 && kept_count < 16)
		kept[kept_count++] = dup(fd);	/* the same open file: the lock stays */
	return result;
}

static void let_go(void)
{
	while (kept_count)
		close(kept[--kept_count]);
	lists_before_locking = false;
}

/* ---- */

static int set_up(void **state)
{
	(void)state;
	if (!mkdtemp(top) || setenv("XDG_RUNTIME_DIR", top, 1))
		return 1;
	snprintf(runtime, sizeof runtime, "%s/paddock", top);
	return 0;
}

static int tear_down(void **state)
{
	char command[128];

	(void)state;
	snprintf(command, sizeof command, "rm -r %s", top);
	return system(command);
}

static void create(struct rundir *r)
{
	auto_buf why = BUF_EMPTY;

	buf_init(&why, 4096);
	assert_int_equal(rundir_create(r, &why), ERR_OK);
}

static unsigned entries(void)
{
	DIR *d = opendir(runtime);
	unsigned n = 0;

	assert_non_null(d);
	for (struct dirent *e; (e = readdir(d));)
		n += strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0;
	closedir(d);
	return n;
}

static void runs_are_listed_while_they_live(void **state)
{
	struct rundir a, b;
	struct stat st;

	(void)state;
	create(&a);
	create(&b);
	assert_string_not_equal(a.id, b.id);
	assert_int_equal(stat(a.path, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0700);
	assert_non_null(strstr(a.path, a.id));
	assert_int_equal(rundir_write(&a, "state.json", STR("{}")), ERR_OK);
	assert_int_equal(live(), 2);
	assert_int_equal(rundir_sweep(), 0);
	rundir_remove(&b);
	rundir_remove(&b);
	assert_int_equal(live(), 1);
	close(a.lock);		/* killed */
	close(a.fd);
	assert_int_equal(live(), 0);
	assert_int_equal(entries(), 1);
	assert_int_equal(rundir_sweep(), 1);
	assert_int_equal(entries(), 0);
}

/* `paddock ps` asks by taking the lock for a moment: it must not be the moment of who starts. */
static void a_start_does_not_fail_because_somebody_lists(void **state)
{
	struct rundir r;

	(void)state;
	lists_before_locking = true;
	create(&r);
	assert_true(listings > 0);
	let_go();
	assert_int_equal(live(), 1);
	rundir_remove(&r);
	assert_int_equal(entries(), 0);
}

static void what_was_never_locked_is_swept(void **state)
{
	char path[128];
	struct rundir r;

	(void)state;
	create(&r);
	snprintf(path, sizeof path, "%s/.20261122-015500-4f1a2b", runtime);
	assert_int_equal(mkdir(path, 0700), 0);
	snprintf(path, sizeof path, "%s/.somebody-elses", runtime);
	assert_int_equal(mkdir(path, 0700), 0);
	assert_int_equal(live(), 1);
	assert_int_equal(rundir_sweep(), 1);
	assert_int_equal(entries(), 2);
	assert_int_equal(rmdir(path), 0);
	rundir_remove(&r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(runs_are_listed_while_they_live),
		cmocka_unit_test(a_start_does_not_fail_because_somebody_lists),
		cmocka_unit_test(what_was_never_locked_is_swept),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
