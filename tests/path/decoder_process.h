/* decoder_process.h - the real paddock-decoder, started as a supervisor would
 *
 * Included by the tests that need it.
 */
#pragma once

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

static const char *decoder_program(void)
{
	static char path[4200];
	ssize_t n = readlink("/proc/self/exe", path, 4096);
	char *slash = n > 0 ? memrchr(path, '/', (size_t)n) : NULL;

	assert_non_null(slash);
	snprintf(slash + 1, sizeof path - (size_t)(slash + 1 - path), "paddock-decoder");
	return path;
}

/* Starts it; *ret_fd is the courier's end. */
static pid_t decoder_start(int *ret_fd)
{
	int pair[2];
	pid_t pid;

	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair), 0);
	pid = fork();
	if (pid == 0) {
		char *const argv[] = { (char[]){ "paddock-decoder" }, NULL };
		char *const env[] = { (char[]){ "PADDOCK_LOG=error" },
				      (char[]){ "ASAN_OPTIONS=detect_leaks=0:abort_on_error=1" }, NULL };

		dup2(pair[1], 3);
		close_range(4, ~0u, 0);
		execve(decoder_program(), argv, env);
		_exit(127);
	}
	close(pair[1]);
	*ret_fd = pair[0];
	return pid;
}
