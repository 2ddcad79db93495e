/* keeper_run.c - credential commands; see keeper_run.h
 *
 * A command gets argv as it is, the environment that the supervisor named (HOME, PATH, USER),
 * no standard input, the keeper's log as standard error, and a process group of its own that
 * is killed at the deadline, and also afterwards: nothing of it stays. Its output is capped.
 * It is over when its output is at its end and it has ended itself, in this order: then the
 * descriptor that says so is polled.
 */
#include "credential/keeper_run.h"

#include "base/auto.h"
#include "base/clock.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>

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
	static const int ignored[] = { SIGPIPE, SIGTERM, SIGINT, SIGHUP, SIGQUIT };
	int null = open("/dev/null", O_RDONLY | O_CLOEXEC);
	sigset_t none;

	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	for (size_t i = 0; i < sizeof ignored / sizeof *ignored; i++)	/* which the keeper does */
		signal(ignored[i], SIG_DFL);
	setpgid(0, 0);
	prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
	if (null < 0 || dup2(null, 0) < 0 || dup2(output, 1) < 0 || syscall(SYS_close_range, 3u, ~0u, 0u))
		_exit(126);
	exec_in_path(s->argv, environment);
	_exit(127);
}

enum err keeper_run_start(const struct keeper_source *s, char *const *environment, struct keeper_run *r,
			  const char **ret_reason)
{
	int ends[2];

	*r = (struct keeper_run){ .output = -1, .pidfd = -1, .deadline_ms = clock_ms() + s->timeout_ms };
	buf_init_secret(&r->text, KEEPER_SOURCE_MAX);
	*ret_reason = "the command could not be started";
	if (buf_reserve(&r->text, KEEPER_SOURCE_MAX))
		return ERR_MEMORY;
	if (pipe2(ends, O_CLOEXEC)) {
		keeper_run_end(r);
		return ERR_CREDENTIAL;
	}
	r->pid = fork();
	if (r->pid == 0)
		child(s, environment, ends[1]);
	close(ends[1]);
	r->output = ends[0];
	if (r->pid > 0) {
		setpgid(r->pid, r->pid);	/* as the child does: whichever is first */
		r->pidfd = (int)syscall(SYS_pidfd_open, r->pid, 0);
	}
	if (r->pid < 0 || r->pidfd < 0 || fcntl(r->output, F_SETFL, O_NONBLOCK)) {
		keeper_run_end(r);
		return ERR_CREDENTIAL;
	}
	return ERR_OK;
}

struct pollfd keeper_run_wants(const struct keeper_run *r)
{
	return (struct pollfd){ .fd = r->output >= 0 ? r->output : r->pidfd, .events = POLLIN };
}

/* Return: ERR_OK at the output's end; ERR_MORE; ERR_CREDENTIAL */
static enum err collect(struct keeper_run *r, const char **ret_reason)
{
	for (;;) {
		char more;
		bool full = r->text.len == KEEPER_SOURCE_MAX;
		ssize_t n = full ? read(r->output, &more, 1)
				 : read(r->output, buf_tail(&r->text), KEEPER_SOURCE_MAX - r->text.len);

		if (n > 0 && full) {
			explicit_bzero(&more, 1);
			*ret_reason = "the command's output is too long";
			return ERR_CREDENTIAL;
		}
		if (n > 0)
			r->text.len += (size_t)n;
		else if (n == 0)
			return ERR_OK;
		else if (errno == EAGAIN)
			return ERR_MORE;
		else if (errno != EINTR) {
			*ret_reason = "the command's output cannot be read";
			return ERR_CREDENTIAL;
		}
	}
}

static enum err judge_status(const struct keeper_run *r, const char **ret_reason)
{
	siginfo_t info = { 0 };

	/* its number stays its own until keeper_run_end() */
	if (waitid(P_PID, (id_t)r->pid, &info, WEXITED | WNOHANG | WNOWAIT) || info.si_pid != r->pid)
		return ERR_MORE;
	if (info.si_code == CLD_EXITED && info.si_status == 0)
		return ERR_OK;
	if (info.si_code != CLD_EXITED)
		*ret_reason = "a signal ended the command";
	else if (info.si_status == 127)
		*ret_reason = "the command was not found";
	else
		*ret_reason = "the command's exit status is not 0";
	return ERR_CREDENTIAL;
}

enum err keeper_run_step(struct keeper_run *r, const char **ret_reason)
{
	enum err e = r->output >= 0 ? collect(r, ret_reason) : ERR_OK;

	if (e == ERR_OK) {
		auto_fd_close(&r->output);
		e = judge_status(r, ret_reason);
	}
	if (e == ERR_MORE && clock_ms() >= r->deadline_ms) {
		*ret_reason = "the command did not end in time";
		e = ERR_CREDENTIAL;
	}
	return e;
}

void keeper_run_end(struct keeper_run *r)
{
	if (r->pid > 0) {
		/* the group's leader is not reaped yet, so that its number is still its own */
		kill(-r->pid, SIGKILL);
		while (waitpid(r->pid, NULL, 0) < 0 && errno == EINTR)
			;
		auto_fd_close(&r->output);
		auto_fd_close(&r->pidfd);
	} else if (r->text.max) {
		auto_fd_close(&r->output);
	}
	buf_free(&r->text);
	*r = (struct keeper_run){ .pid = 0 };
}
