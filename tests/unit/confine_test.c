/* confine_test.c - a confined child tries what it must not be able to do */
#include "os/confine.h"

#include "base/auto.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

/* Runs @body in a child; returns its exit code, or 1000 + the signal that ended it. */
static int in_child(int (*body)(void))
{
	pid_t pid = fork();
	int status;

	assert_true(pid >= 0);
	if (pid == 0)
		_exit(body());
	assert_int_equal(waitpid(pid, &status, 0), pid);
	return WIFSIGNALED(status) ? 1000 + WTERMSIG(status) : WEXITSTATUS(status);
}

static char shared[64] = "/tmp/confine-test-XXXXXX";

static enum err confine_all(unsigned sets)
{
	const struct confine_bind binds[] = {
		{ .source = shared, .target = "/spool/here", .writable = true },
		{ .source = "/nonexistent/thing", .target = "/no", .optional = true },
	};
	const struct confine_path paths[] = { { .path = "/spool/here", .write = true } };
	enum err e = confine_namespaces(CONFINE_NET_EMPTY);

	if (!e)
		e = confine_root(binds, 2, false);
	if (!e)
		e = confine_limits(64, 1);
	if (!e)
		e = confine_drop();
	if (!e)
		e = confine_landlock(paths, 1, false, NULL);
	if (!e)
		e = confine_seccomp(sets);
	return e;
}

#define NEEDS(condition) do { if (!(condition)) { perror(#condition); return __LINE__ % 250 + 1; } } while (0)

static int files_only_where_named(void)
{
	NEEDS(confine_all(CONFINE_BASE | CONFINE_FILES) == ERR_OK);
	NEEDS(open("/etc/passwd", O_RDONLY) < 0 && errno == ENOENT);
	NEEDS(open("/proc/self/maps", O_RDONLY) < 0);
	NEEDS(open("/new", O_CREAT | O_WRONLY, 0600) < 0);
	NEEDS(open("/spool/new", O_CREAT | O_WRONLY, 0600) < 0);
	int fd = open("/spool/here/x", O_CREAT | O_WRONLY, 0600);
	NEEDS(fd >= 0 && write(fd, "x", 1) == 1);
	NEEDS(access("/spool/here/../../etc", F_OK) < 0);
	return 0;
}

/* An image of the user's own can lie in a directory that is shown, read-only, as a whole. */
static int binds_lie_within_binds(void)
{
	char file[80], inner[80];
	struct stat st;

	snprintf(file, sizeof file, "%s/x", shared);
	snprintf(inner, sizeof inner, "%s/y", shared);
	auto_fd made = open(file, O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
	NEEDS(made >= 0 && write(made, "image", 5) == 5);
	NEEDS(mkdir(inner, 0700) == 0 || errno == EEXIST);
	const struct confine_bind binds[] = {
		{ .source = shared, .target = shared },
		{ .source = file, .target = file },
		{ .source = "/usr/share", .target = inner },
	};

	NEEDS(confine_namespaces(CONFINE_NET_EMPTY) == ERR_OK);
	NEEDS(confine_root(binds, 3, false) == ERR_OK);
	NEEDS(stat(file, &st) == 0 && st.st_size == 5);
	NEEDS(open(file, O_RDONLY) >= 0 && open(file, O_WRONLY) < 0 && errno == EROFS);
	NEEDS(stat(inner, &st) == 0 && st.st_nlink > 2);
	return 0;
}

static int no_capability_is_left(void)
{
	NEEDS(confine_namespaces(CONFINE_NET_EMPTY) == ERR_OK);
	NEEDS(confine_root(NULL, 0, false) == ERR_OK && confine_drop() == ERR_OK);
	NEEDS(prctl(PR_CAPBSET_READ, CAP_SYS_ADMIN, 0, 0, 0) == 0);
	NEEDS(prctl(PR_GET_DUMPABLE, 0, 0, 0, 0) == 0);
	NEEDS(prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) == 1);
	NEEDS(mount("tmpfs", "/", "tmpfs", 0, NULL) < 0 && errno == EPERM);
	NEEDS(sethostname("x", 1) < 0 && errno == EPERM);
	return 0;
}

static int the_network_is_empty(void)
{
	struct sockaddr local = { .sa_family = AF_UNSPEC };

	NEEDS(confine_namespaces(CONFINE_NET_EMPTY) == ERR_OK);
	auto_fd fd = socket(AF_INET, SOCK_STREAM, 0);
	NEEDS(fd >= 0);
	unsigned char loopback[16] = { AF_INET, 0, 0, 80, 127, 0, 0, 1 };
	memcpy(&local, loopback, sizeof local);
	NEEDS(connect(fd, &local, sizeof local) < 0 && errno == ENETUNREACH);
	return 0;
}

static int confined(void) { return confine_all(CONFINE_BASE) == ERR_OK ? 0 : 99; }

static int calls_socket(void) { return confined() ? 99 : (socket(AF_INET, SOCK_STREAM, 0), 0); }
static int calls_open(void) { return confined() ? 99 : ((void)open("/", O_RDONLY), 0); }
static int calls_fork(void) { return confined() ? 99 : ((void)fork(), 0); }
static int calls_exec(void) { return confined() ? 99 : (execl("/bin/true", "true", NULL), 0); }
static int calls_unshare(void) { return confined() ? 99 : ((void)unshare(CLONE_NEWUSER), 0); }
static int calls_ptrace(void) { return confined() ? 99 : ((void)syscall(SYS_ptrace, 0, 0, 0, 0), 0); }
static int calls_kill(void) { return confined() ? 99 : ((void)kill(1, 0), 0); }
static int calls_prctl(void) { return confined() ? 99 : (prctl(PR_SET_DUMPABLE, 1, 0, 0, 0), 0); }
/* others of the same user are in sight where there is no pid namespace */
static int signals_another(void) { return confined() ? 99 : ((void)syscall(SYS_tgkill, 1, 1, 0), 0); }
static int has_the_kernel_signal(void) { return confined() ? 99 : (fcntl(0, F_SETOWN, 1), 0); }
static int has_it_by_the_upper_half(void)
{
	return confined() ? 99 : ((void)syscall(SYS_fcntl, 0, (1ul << 32) | F_SETOWN, 1), 0);
}
static int calls_tiocsti(void)
{
	return confine_all(CONFINE_BASE | CONFINE_TTY) ? 99 : ((void)ioctl(0, TIOCSTI, "x"), 0);
}
static int maps_code(void)
{
	if (confined())
		return 99;
	return mmap(NULL, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) == MAP_FAILED;
}

static int base_work_goes_on(void)
{
	int ends[2];
	char c;

	NEEDS(!confined());
	NEEDS(pipe2(ends, O_CLOEXEC) == 0 && write(ends[1], "x", 1) == 1 && read(ends[0], &c, 1) == 1);
	void *p = malloc(1u << 20);

	NEEDS(p);
	free(p);
	NEEDS(signal(SIGUSR1, SIG_IGN) != SIG_ERR && raise(SIGUSR1) == 0);
	NEEDS(fcntl(ends[0], F_SETFL, O_NONBLOCK) == 0 && fcntl(ends[0], F_DUPFD_CLOEXEC, 0) > 0);
	return 0;
}

static void child_keeps_to_its_files(void **state) { (void)state; assert_int_equal(in_child(files_only_where_named), 0); }
static void child_has_binds_in_binds(void **state) { (void)state; assert_int_equal(in_child(binds_lie_within_binds), 0); }
static void child_has_no_capability(void **state) { (void)state; assert_int_equal(in_child(no_capability_is_left), 0); }
static void child_has_no_network(void **state) { (void)state; assert_int_equal(in_child(the_network_is_empty), 0); }
static void child_can_still_work(void **state) { (void)state; assert_int_equal(in_child(base_work_goes_on), 0); }

static void other_calls_kill(void **state)
{
	(void)state;
	static int (*const bodies[])(void) = { calls_socket, calls_open, calls_fork, calls_exec,
					       calls_unshare,
		calls_ptrace, calls_kill, calls_prctl, calls_tiocsti, maps_code,
		signals_another, has_the_kernel_signal, has_it_by_the_upper_half };

	for (size_t i = 0; i < sizeof bodies / sizeof *bodies; i++)
		assert_int_equal(in_child(bodies[i]), 1000 + SIGSYS);
}

static int make_shared(void **state)
{
	(void)state;
	return mkdtemp(shared) ? 0 : -1;
}

static int remove_shared(void **state)
{
	(void)state;
	auto_fd d = open(shared, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	unlinkat(d, "x", 0);
	unlinkat(d, "y", AT_REMOVEDIR);
	return rmdir(shared);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(child_keeps_to_its_files),
		cmocka_unit_test(child_has_binds_in_binds), cmocka_unit_test(child_has_no_capability),
		cmocka_unit_test(child_has_no_network), cmocka_unit_test(child_can_still_work),
		cmocka_unit_test(other_calls_kill),
	};

	return cmocka_run_group_tests_name("confine", tests, make_shared, remove_shared);
}
