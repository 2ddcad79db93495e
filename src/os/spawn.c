/* spawn.c - fork, descriptors, namespaces, exec; see spawn.h
 *
 * The child reports a failure through a close-on-exec pipe: an empty pipe at its end means
 * that exec happened. Every descriptor that was not named is closed by the exec itself, so
 * that one forgotten O_CLOEXEC in this process gives nothing away.
 */
#include "os/spawn.h"

#include "base/auto.h"
#include "os/confine.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/sched.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define FD_SPARE 200	/* first number for temporary duplicates; above every target */

static bool place_descriptors(const struct spawn *s, int *report)
{
	int moved[SPAWN_FDS_MAX];
	auto_fd null = open("/dev/null", O_RDWR | O_CLOEXEC);
	bool have[3] = { false, false, false };

	*report = fcntl(*report, F_DUPFD_CLOEXEC, FD_SPARE);
	if (*report < 0 || null < 0)
		return false;
	for (unsigned i = 0; i < s->fd_count; i++) {
		moved[i] = fcntl(s->fds[i].fd, F_DUPFD_CLOEXEC, FD_SPARE);
		if (moved[i] < 0)
			return false;
		if (s->fds[i].as >= 0 && s->fds[i].as < 3)
			have[s->fds[i].as] = true;
	}
	for (int fd = 0; fd < 3; fd++)
		if (!have[fd] && dup2(null, fd) < 0)
			return false;
	if (syscall(SYS_close_range, 3u, ~0u, 4u /* CLOSE_RANGE_CLOEXEC */))
		return false;
	for (unsigned i = 0; i < s->fd_count; i++)
		if (dup2(moved[i], s->fds[i].as) < 0)
			return false;
	return true;
}

static void reset_signals(void)
{
	sigset_t none;

	sigemptyset(&none);
	for (int n = 1; n < NSIG; n++)
		signal(n, SIG_DFL);	/* fails for the two that cannot be changed */
	sigprocmask(SIG_SETMASK, &none, NULL);
}

static void ignore_signals(void)
{
	static const int group[] = { SIGTERM, SIGINT, SIGHUP, SIGQUIT };

	for (size_t i = 0; i < sizeof group / sizeof *group; i++)
		signal(group[i], SIG_IGN);
}

static bool become(const struct spawn *s, int *report, uid_t uid, gid_t gid)
{
	struct pollfd parent;

	reset_signals();
	if (s->deaf)
		ignore_signals();
	if (prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0))
		return false;
	parent = (struct pollfd){ .fd = *report };
	if (poll(&parent, 1, 0) < 0 || (parent.revents & POLLERR))
		_exit(1);	/* the parent was gone before the signal was armed */
	if (s->pid_namespace && confine_map_ids(uid, gid))
		return false;
	if (s->new_session && setsid() < 0)
		return false;
	if (!place_descriptors(s, report))
		return false;
	if (s->prepare && s->prepare(s->prepare_ctx)) {
		if (!errno)
			errno = EPERM;
		return false;
	}
	return true;
}

static _Noreturn void child(const struct spawn *s, int report, uid_t uid, gid_t gid)
{
	static char *const empty[] = { NULL };
	int why;

	errno = 0;
	if (become(s, &report, uid, gid))
		execve(s->program, s->argv, s->env ? s->env : empty);
	why = errno ? errno : EIO;
	if (write(report, &why, sizeof why) < 0)
		_exit(126);
	_exit(127);
}

enum err spawn_start(const struct spawn *s, pid_t *ret_pid, int *ret_pidfd)
{
	int ends[2], why = 0, pidfd = -1;
	struct clone_args args = { .flags = CLONE_PIDFD, .exit_signal = SIGCHLD };
	uid_t uid = geteuid();
	gid_t gid = getegid();
	long pid;
	ssize_t n;

	if (s->fd_count > SPAWN_FDS_MAX || pipe2(ends, O_CLOEXEC))
		return ERR_LOCAL;
	if (s->pid_namespace)
		args.flags |= CLONE_NEWUSER | CLONE_NEWPID;
	args.pidfd = (uint64_t)(uintptr_t)&pidfd;
	pid = syscall(SYS_clone3, &args, sizeof args);
	if (pid == 0) {
		close(ends[0]);
		child(s, ends[1], uid, gid);
	}
	close(ends[1]);
	if (pid < 0) {
		close(ends[0]);
		return ERR_LOCAL;
	}
	do
		n = read(ends[0], &why, sizeof why);
	while (n < 0 && errno == EINTR);
	close(ends[0]);
	if (n != 0) {
		waitpid((pid_t)pid, NULL, 0);
		close(pidfd);
		errno = n == (ssize_t)sizeof why ? why : EIO;
		return ERR_LOCAL;
	}
	*ret_pid = (pid_t)pid;
	*ret_pidfd = pidfd;
	return ERR_OK;
}
