/* keeper_source.c - environment, file, command; see keeper_source.h
 *
 * A command gets argv as it is, the environment that the supervisor named (HOME, PATH, USER),
 * no standard input, the keeper's log as standard error, and a process group of its own that
 * is killed at the deadline, and also afterwards: nothing of it stays. Its output is capped.
 * Files and output come from the user's own side and are trusted not to be hostile; still
 * only a regular file of bounded size is read.
 */
#include "credential/keeper_source.h"

#include "base/auto.h"
#include "base/clock.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>

#define READ_MAX (SECRET_MAX_BYTES + 2)		/* with "\r\n" */

static enum err take(struct buf *b, struct secret **ret_secret, const char **ret_reason)
{
	struct str s = buf_str(b);
	enum err e;

	if (s.n && s.p[s.n - 1] == '\n')
		s.n--;
	if (s.n && s.p[s.n - 1] == '\r')
		s.n--;
	e = secret_new(s.p, s.n, ret_secret);
	if (e == ERR_LIMIT) {
		*ret_reason = s.n ? "the secret is too long" : "the secret is empty";
		return ERR_CREDENTIAL;
	}
	return e;
}

/* Return: bytes read, 0 at the end, -1 on an error, -2 if the buffer is full already */
static ssize_t read_some(int fd, struct buf *b)
{
	ssize_t n;
	char more;

	if (b->len == READ_MAX) {
		n = read(fd, &more, 1);
		explicit_bzero(&more, 1);
		return n > 0 ? -2 : n;
	}
	n = read(fd, b->p + b->len, READ_MAX - b->len);
	if (n > 0)
		b->len += (size_t)n;
	return n;
}

static enum err read_file(const char *path, struct secret **ret_secret, const char **ret_reason)
{
	auto_fd fd = open(path, O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
	struct stat st;
	auto_buf b = BUF_EMPTY;
	ssize_t n;

	buf_init_secret(&b, READ_MAX);
	if (fd < 0 || fstat(fd, &st)) {
		*ret_reason = errno == ENOENT ? "the file does not exist" : "the file cannot be opened";
		return ERR_CREDENTIAL;
	}
	if (!S_ISREG(st.st_mode)) {
		*ret_reason = "it is not a regular file";
		return ERR_CREDENTIAL;
	}
	if (buf_reserve(&b, READ_MAX))
		return ERR_MEMORY;
	do
		n = read_some(fd, &b);
	while (n > 0 || (n == -1 && errno == EINTR));
	if (n < 0) {
		*ret_reason = n == -2 ? "the file is too long" : "the file cannot be read";
		return ERR_CREDENTIAL;
	}
	return take(&b, ret_secret, ret_reason);
}

/* execvpe() would look at our own PATH; this one looks at the command's */
static void exec_in_path(char *const *argv, char *const *environment)
{
	const char *path = "/usr/local/bin:/usr/bin:/bin";
	char full[4096];

	if (strchr(argv[0], '/')) {
		execve(argv[0], argv, environment);
		return;
	}
	for (size_t i = 0; environment[i]; i++)
		if (strncmp(environment[i], "PATH=", 5) == 0)
			path = environment[i] + 5;
	for (struct str rest = str_of(path); rest.n;) {
		struct str part = str_head(rest, str_find(rest, ':'));
		size_t name_n = strlen(argv[0]);

		rest = str_from(rest, part.n + 1);
		if (part.n == 0 || part.p[0] != '/' || name_n >= sizeof full ||
		    part.n >= sizeof full - 1 - name_n)
			continue;
		memcpy(full, part.p, part.n);
		full[part.n] = '/';
		memcpy(full + part.n + 1, argv[0], name_n + 1);
		execve(full, argv, environment);
	}
}

static _Noreturn void child(const struct keeper_source *s, char *const *environment, int output)
{
	int null = open("/dev/null", O_RDONLY | O_CLOEXEC);
	sigset_t none;

	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	signal(SIGPIPE, SIG_DFL);
	setpgid(0, 0);
	prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
	if (null < 0 || dup2(null, 0) < 0 || dup2(output, 1) < 0 || syscall(SYS_close_range, 3u, ~0u, 0u))
		_exit(126);
	exec_in_path(s->argv, environment);
	_exit(127);
}

/* collects output until its end or the deadline */
static enum err collect(int fd, uint64_t deadline_ms, struct buf *b, const char **ret_reason)
{
	for (;;) {
		struct pollfd p = { .fd = fd, .events = POLLIN };
		uint64_t now = clock_ms();
		ssize_t n;

		if (now >= deadline_ms) {
			*ret_reason = "the command did not end in time";
			return ERR_CREDENTIAL;
		}
		if (poll(&p, 1, (int)(deadline_ms - now)) <= 0)
			continue;
		n = read_some(fd, b);
		if (n == 0)
			return ERR_OK;
		if (n == -2 || (n == -1 && errno != EINTR)) {
			*ret_reason = n == -2 ? "the command's output is too long"
					      : "the command's output cannot be read";
			return ERR_CREDENTIAL;
		}
	}
}

/* the command may close its output before it ends: it still has until the deadline */
static bool reap(pid_t pid, uint64_t deadline_ms, int *ret_status)
{
	siginfo_t info = { 0 };

	for (;;) {
		struct timespec pause = { .tv_nsec = 2000000 };

		if (waitid(P_PID, (id_t)pid, &info, WEXITED | WNOHANG | WNOWAIT) == 0 && info.si_pid == pid)
			break;
		if (clock_ms() >= deadline_ms)
			return false;
		nanosleep(&pause, NULL);
	}
	*ret_status = info.si_code == CLD_EXITED ? info.si_status : 128 + info.si_status;
	return true;
}

static const char *status_reason(int status)
{
	if (status == 127)
		return "the command was not found";
	return status > 128 ? "a signal ended the command" : "the command's exit status is not 0";
}

static enum err run_command(const struct keeper_source *s, char *const *environment,
			    struct secret **ret_secret, const char **ret_reason)
{
	uint64_t deadline_ms = clock_ms() + s->timeout_ms;
	int ends[2], status = 0;
	auto_buf b = BUF_EMPTY;
	pid_t pid;
	enum err e;

	buf_init_secret(&b, READ_MAX);
	*ret_reason = "the command could not be started";
	if (buf_reserve(&b, READ_MAX))
		return ERR_MEMORY;
	if (pipe2(ends, O_CLOEXEC))
		return ERR_CREDENTIAL;
	pid = fork();
	if (pid == 0)
		child(s, environment, ends[1]);
	close(ends[1]);
	if (pid < 0) {
		close(ends[0]);
		return ERR_CREDENTIAL;
	}
	setpgid(pid, pid);	/* as the child does: whichever is first */
	e = collect(ends[0], deadline_ms, &b, ret_reason);
	close(ends[0]);
	if (!e && !reap(pid, deadline_ms, &status)) {
		*ret_reason = "the command did not end in time";
		e = ERR_CREDENTIAL;
	}
	/* the group's leader is not reaped yet, so that its number is still its own */
	kill(-pid, SIGKILL);
	while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
		;
	while (waitpid(-1, NULL, WNOHANG) > 0)	/* orphans, where the keeper is PID 1 */
		;
	if (!e && status) {
		*ret_reason = status_reason(status);
		e = ERR_CREDENTIAL;
	}
	return e ? e : take(&b, ret_secret, ret_reason);
}

enum err keeper_source_read(const struct keeper_source *s, char *const *environment,
			    struct secret **ret_secret, const char **ret_reason)
{
	switch (s->kind) {
	case KEEPER_FILE:
		return read_file(s->path, ret_secret, ret_reason);
	case KEEPER_COMMAND:
		return run_command(s, environment, ret_secret, ret_reason);
	case KEEPER_ENVIRONMENT:
		break;
	}
	if (s->value)
		return secret_new(secret_str(s->value).p, secret_str(s->value).n, ret_secret);
	*ret_reason = "its environment variable was not set when the run started";
	return ERR_CREDENTIAL;
}
