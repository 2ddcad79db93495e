/* spawn_test.c - a child gets what was named and nothing else, and dies with its parent */
#include "os/spawn.h"

#include "base/auto.h"
#include "base/str.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

/* Runs a shell line with its fd 1 on a pipe; returns its exit code, output in @out. */
static int run_shell(const char *line, struct spawn s, char *out, size_t cap)
{
	char *const argv[] = { (char *)(uintptr_t) "sh", (char *)(uintptr_t) "-c", (char *)(uintptr_t)line,
			       NULL };
	int ends[2], pidfd, status;
	size_t n = 0;
	pid_t pid;

	assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
	s.program = "/bin/sh";
	s.argv = argv;
	s.fds[s.fd_count++] = (struct spawn_fd){ ends[1], 1 };
	assert_int_equal(spawn_start(&s, &pid, &pidfd), ERR_OK);
	close(ends[1]);
	for (ssize_t r; n < cap - 1 && (r = read(ends[0], out + n, cap - 1 - n)) > 0;)
		n += (size_t)r;
	out[n] = 0;
	close(ends[0]);
	close(pidfd);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	return WEXITSTATUS(status);
}

static void only_named_descriptors_pass(void **state)
{
	(void)state;
	char out[256];
	int leak = open("/dev/null", O_RDONLY);		/* deliberately without O_CLOEXEC */
	int given = open("/dev/zero", O_RDONLY | O_CLOEXEC);
	struct spawn s = { .fds = { { given, 5 } }, .fd_count = 1 };

	assert_int_equal(run_shell("cd /proc/self/fd; for f in *; do readlink $f; done | grep -c null; readlink 5; env",
				   s, out, sizeof out), 0);
	assert_non_null(strstr(out, "/dev/zero"));
	assert_non_null(strstr(out, "2\n"));	/* what was not named of 0, 1 and 2 is /dev/null */
	assert_null(strstr(out, "HOME="));
	close(leak);
	close(given);
}

static void a_pid_namespace_has_one_process(void **state)
{
	(void)state;
	char out[64];
	struct spawn s = { .pid_namespace = true };

	assert_int_equal(run_shell("echo $$; id -u", s, out, sizeof out), 0);
	assert_string_equal(out, "1\n0\n");
}

static void a_failed_exec_is_reported(void **state)
{
	(void)state;
	char *const argv[] = { (char *)(uintptr_t)"x", NULL };
	struct spawn s = { .program = "/nonexistent", .argv = argv };
	pid_t pid = 77;
	int pidfd = 78;

	assert_int_equal(spawn_start(&s, &pid, &pidfd), ERR_LOCAL);
	assert_int_equal(errno, ENOENT);
	assert_int_equal(pid, 77);
}

static void a_child_dies_with_its_parent(void **state)
{
	(void)state;
	char *const argv[] = { (char *)(uintptr_t)"sleep", (char *)(uintptr_t)"1000", NULL };
	int ends[2];
	pid_t parent;

	assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
	parent = fork();
	if (parent == 0) {
		struct spawn s = { .program = "/bin/sleep", .argv = argv, .fds = { { ends[1], 3 } },
				   .fd_count = 1,
				   .pid_namespace = true };
		pid_t pid;
		int pidfd;

		if (spawn_start(&s, &pid, &pidfd))
			_exit(1);
		raise(SIGKILL);
	}
	close(ends[1]);
	waitpid(parent, NULL, 0);
	/* the grandchild held the other end of the pipe: its death shows as a hang-up */
	struct pollfd p = { .fd = ends[0], .events = POLLIN };

	assert_int_equal(poll(&p, 1, 10000), 1);
	assert_true(p.revents & POLLHUP);
	close(ends[0]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(only_named_descriptors_pass),
		cmocka_unit_test(a_pid_namespace_has_one_process),
		cmocka_unit_test(a_failed_exec_is_reported), cmocka_unit_test(a_child_dies_with_its_parent),
	};

	return cmocka_run_group_tests_name("spawn", tests, NULL, NULL);
}
