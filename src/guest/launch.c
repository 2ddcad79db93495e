/* launch.c - from PID 1 to the first instruction of a command in the agent's world
 *
 * Theory of operation: a fork of PID 1 joins the world's namespaces (setns through the
 * keeper's pidfd) and the agent's cgroup, then forks again with CLONE_PARENT, since only a
 * child is in the joined pid namespace; that child is so PID 1's own to wait for. It makes a
 * session, its terminal or pipes, the environment, and execs. Its reports are packets on a
 * socket pair that exec closes: 'p' pid (read here, at once), 't' with the terminal's master,
 * 'e' with errno.
 *
 * The command runs as root of the agent's user namespace: no capability that it holds counts
 * outside of that. With a user id of its own it gets one more namespace, in which that id is
 * the same user. Descriptors of PID 1 are all closed by exec.
 */
#include "guest/launch.h"

#include "base/auto.h"
#include "guest/furnish.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <termios.h>

#define JOIN_TIMEOUT_MS 10000
#define FILES_SOFT 4096
#define DEFAULT_PATH "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

/* Set unless the command's environment has them: clients.md of the trust stores in use. */
static const char *const defaults[] = {
	"PATH=" DEFAULT_PATH,
	"HOME=/root",
	"SSL_CERT_FILE=" WORLD_BUNDLE_FILE,
	"NODE_EXTRA_CA_CERTS=" WORLD_CA_FILE,
	"REQUESTS_CA_BUNDLE=" WORLD_BUNDLE_FILE,
	"CURL_CA_BUNDLE=" WORLD_BUNDLE_FILE,
	"GIT_SSL_CAINFO=" WORLD_BUNDLE_FILE,
	"PIP_CERT=" WORLD_BUNDLE_FILE,
	"CODEX_CA_CERTIFICATE=" WORLD_BUNDLE_FILE,
	"CARGO_HTTP_CAINFO=" WORLD_BUNDLE_FILE,
	"AWS_CA_BUNDLE=" WORLD_BUNDLE_FILE,
	"DENO_CERT=" WORLD_CA_FILE,
};
#define DEFAULT_COUNT (sizeof defaults / sizeof defaults[0])

struct child {
	const struct world *world;
	const struct msg_exec *exec;
	int report;
	int in, out, err;	/* ends of pipes; -1 with a terminal */
};

/* -- the child's side ----------------------------------------------------------------------- */

static _Noreturn void child_fail(const struct child *c)
{
	char message[1 + sizeof(int)] = { 'e' };
	int why = errno ? errno : EIO;

	memcpy(message + 1, &why, sizeof why);
	if (send(c->report, message, sizeof message, MSG_NOSIGNAL) < 0)
		_exit(126);
	_exit(127);
}

/* A view as a C string that lives until exec; a NUL inside is an error. */
static char *string(const struct child *c, struct str s)
{
	bool whole = str_find(s, 0) == s.n;
	char *z = whole ? malloc(s.n + 1) : NULL;

	if (!z) {
		errno = whole ? ENOMEM : EINVAL;
		child_fail(c);
	}
	if (s.n)
		memcpy(z, s.p, s.n);
	z[s.n] = 0;
	return z;
}

/* Room for @n strings and the NULL after them. */
static char **strings(const struct child *c, size_t n)
{
	char **z = calloc(n + 1, sizeof *z);

	if (!z)
		child_fail(c);
	return z;
}

static char **arguments(const struct child *c)
{
	const struct msg_exec *m = c->exec;
	char **argv = strings(c, m->argument_count);

	for (uint32_t i = 0; i < m->argument_count; i++)
		argv[i] = string(c, m->arguments[i]);
	return argv;
}

static bool has_name(const struct msg_exec *m, const char *entry)
{
	struct str name = str_head(str_of(entry), str_find(str_of(entry), '=') + 1);

	for (uint32_t i = 0; i < m->environment_count; i++)
		if (str_starts(m->environment[i], name))
			return true;
	return false;
}

static char **environment(const struct child *c)
{
	const struct msg_exec *m = c->exec;
	char **env = strings(c, m->environment_count + DEFAULT_COUNT);
	uint32_t n = 0;

	for (uint32_t i = 0; i < m->environment_count; i++)
		env[n++] = string(c, m->environment[i]);
	for (size_t i = 0; i < DEFAULT_COUNT; i++)
		if (!has_name(m, defaults[i]))
			env[n++] = string(c, str_of(defaults[i]));
	return env;
}

/* One more user namespace in which this process, root so far, is user @id. */
static bool become_user(uint32_t id)
{
	char map[32];
	const char *const files[] = { "/proc/self/setgroups", "/proc/self/uid_map", "/proc/self/gid_map" };

	if (id == 0)
		return true;
	/* having changed its ids it is not dumpable, and its maps would belong to nobody */
	if (prctl(PR_SET_DUMPABLE, 1, 0, 0, 0) || unshare(CLONE_NEWUSER))
		return false;
	snprintf(map, sizeof map, "%u 0 1", (unsigned)id);
	for (size_t i = 0; i < 3; i++) {
		const char *text = i ? map : "deny";
		auto_fd fd = open(files[i], O_WRONLY | O_CLOEXEC);

		if (fd < 0 || write(fd, text, strlen(text)) < 0)
			return false;
	}
	return true;
}

static bool terminal(const struct child *c)
{
	struct winsize size = { .ws_row = c->exec->rows, .ws_col = c->exec->columns };
	auto_fd master = open("/dev/ptmx", O_RDWR | O_NOCTTY | O_CLOEXEC);
	auto_fd slave = -1;
	int unlocked = 0;

	if (master < 0 || ioctl(master, TIOCSPTLCK, &unlocked) || ioctl(master, TIOCSWINSZ, &size))
		return false;
	slave = ioctl(master, TIOCGPTPEER, O_RDWR | O_NOCTTY | O_CLOEXEC);
	return slave >= 0 && !ioctl(slave, TIOCSCTTY, 0) && dup2(slave, 0) == 0 && dup2(slave, 1) == 1 &&
	       dup2(slave, 2) == 2 && furnish_send(c->report, 't', master);
}

static bool descriptors(const struct child *c)
{
	if (c->exec->terminal)
		return terminal(c);
	return dup2(c->in, 0) == 0 && dup2(c->out, 1) == 1 && dup2(c->err, 2) == 2;
}

static void limits_and_signals(void)
{
	struct rlimit files, none = { 0, 0 };
	sigset_t empty;

	if (!getrlimit(RLIMIT_NOFILE, &files)) {
		files.rlim_cur = files.rlim_max < FILES_SOFT ? files.rlim_max : FILES_SOFT;
		setrlimit(RLIMIT_NOFILE, &files);
	}
	setrlimit(RLIMIT_CORE, &none);
	for (int n = 1; n < NSIG; n++)
		signal(n, SIG_DFL);
	sigemptyset(&empty);
	sigprocmask(SIG_SETMASK, &empty, NULL);
}

/* execvp() with the command's own PATH: the first that exists and may be run. */
static void exec_search(char **argv, char **env)
{
	const char *path = DEFAULT_PATH;
	struct reader r;
	struct str part;
	int why = ENOENT;

	if (!argv[0]) {		/* msg_get_exec() has seen to it that there is one */
		errno = EINVAL;
		return;
	}
	if (strchr(argv[0], '/')) {
		execve(argv[0], argv, env);
		return;
	}
	for (size_t i = 0; env[i]; i++)
		if (!strncmp(env[i], "PATH=", 5))
			path = env[i] + 5;
	r = reader_of(str_of(path));
	while (!reader_done(&r)) {
		char file[4096];
		int n;

		if (!reader_until(&r, ':', &part)) {
			part = reader_rest(&r);
			r.p = r.end;
		}
		n = snprintf(file, sizeof file, "%.*s/%s", (int)(part.n < 3000 ? part.n : 3000),
			     part.n ? part.p : ".", argv[0]);
		if (n < 0 || (size_t)n >= sizeof file)
			continue;
		execve(file, argv, env);
		if (errno != ENOENT && errno != ENOTDIR)
			why = errno;
	}
	errno = why;
}

/* Programs keep their settings in the home; the image need
 * not have it. Without one they run as well as they can. */
static void make_home(char *const *env)
{
	for (; *env; env++)
		if (!strncmp(*env, "HOME=/", 6))
			(void)furnish_path(*env + 5, true);
}

static _Noreturn void command_main(const struct child *c)
{
	char **argv = arguments(c), **env = environment(c);
	const char *directory = c->exec->directory.n ? string(c, c->exec->directory) : "/";

	errno = 0;
	if (setsid() < 0 || !become_user(c->exec->user_id) || !descriptors(c))
		child_fail(c);
	limits_and_signals();
	make_home(env);
	if (chdir(directory))
		child_fail(c);
	syscall(SYS_close_range, 3u, ~0u, 4u /* CLOSE_RANGE_CLOEXEC */);
	exec_search(argv, env);
	child_fail(c);
}

static _Noreturn void join_main(const struct child *c)
{
	const int world = CLONE_NEWUSER | CLONE_NEWNS | CLONE_NEWPID | CLONE_NEWIPC;
	char message[1 + sizeof(int)] = { 'p' };
	int pid;

	errno = 0;
	if (c->world->cgroup_fd >= 0 && write(c->world->cgroup_fd, "0", 1) != 1)
		child_fail(c);
	if (setns(c->world->keeper_fd, world) || setresgid(0, 0, 0) || setresuid(0, 0, 0))
		child_fail(c);
	if (!c->world->single && syscall(SYS_setgroups, 0, NULL))
		child_fail(c);
	pid = (int)syscall(SYS_clone, CLONE_PARENT | SIGCHLD, 0, 0, 0, 0);
	if (pid == 0)
		command_main(c);
	if (pid < 0)
		child_fail(c);
	memcpy(message + 1, &pid, sizeof pid);
	_exit(send(c->report, message, sizeof message, MSG_NOSIGNAL) == (ssize_t)sizeof message ? 0 : 1);
}

/* -- PID 1's side ----------------------------------------------------------------------------- */

static void close_all(int *fds, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (fds[i] >= 0)
			close(fds[i]);
}

static bool unblock(int fd) { return !fcntl(fd, F_SETFL, O_NONBLOCK); }

char launch_report(struct launch *l, int *ret_errno)
{
	_Alignas(struct cmsghdr) char control[CMSG_SPACE(sizeof(int))];
	char text[1 + sizeof(int)] = { 0 };
	struct iovec iov = { .iov_base = text, .iov_len = sizeof text };
	struct msghdr m = { .msg_iov = &iov, .msg_iovlen = 1, .msg_control = control,
			    .msg_controllen = sizeof control };
	ssize_t n = recvmsg(l->report, &m, MSG_CMSG_CLOEXEC | MSG_DONTWAIT);
	struct cmsghdr *c;

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return '?';
	if (n <= 0)
		return 0;
	c = CMSG_FIRSTHDR(&m);
	if (text[0] == 't' && c && c->cmsg_type == SCM_RIGHTS && c->cmsg_len == CMSG_LEN(sizeof(int)))
		memcpy(&l->terminal, CMSG_DATA(c), sizeof(int));
	if (text[0] == 't' && (l->terminal < 0 || !unblock(l->terminal))) {
		*ret_errno = EIO;
		return 'e';
	}
	if (n == (ssize_t)sizeof text)
		memcpy(text[0] == 'p' ? &l->pid : ret_errno, text + 1, sizeof(int));
	return text[0];
}

/* The pid comes at once: joining touches neither the workspace nor the host. */
static enum err wait_for_pid(struct launch *l)
{
	struct pollfd p = { .fd = l->report, .events = POLLIN };
	int why = EIO;
	char kind;

	for (;;) {
		if (poll(&p, 1, JOIN_TIMEOUT_MS) <= 0) {
			errno = ETIMEDOUT;
			return ERR_LOCAL;
		}
		kind = launch_report(l, &why);
		if (kind == 'p')
			return ERR_OK;
		if (kind == 't' || kind == '?')
			continue;	/* the command's own report can overtake */
		errno = why;
		return ERR_LOCAL;
	}
}

static bool pipes(int fds[6])
{
	for (size_t i = 0; i < 6; i += 2)
		if (pipe2(fds + i, O_CLOEXEC))
			return false;
	return unblock(fds[1]) && unblock(fds[2]) && unblock(fds[4]);
}

enum err launch_start(const struct world *w, const struct msg_exec *exec, struct launch *ret)
{
	int fds[6] = { -1, -1, -1, -1, -1, -1 }, ends[2];
	struct child c = { .world = w, .exec = exec };
	pid_t joiner;

	if (!exec->terminal && !pipes(fds)) {
		close_all(fds, 6);
		return ERR_LOCAL;
	}
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends)) {
		close_all(fds, 6);
		return ERR_LOCAL;
	}
	c.report = ends[1];
	c.in = fds[0];
	c.out = fds[3];
	c.err = fds[5];
	joiner = fork();
	if (joiner == 0)
		join_main(&c);
	close(ends[1]);
	close_all((int[]){ fds[0], fds[3], fds[5] }, 3);
	*ret = (struct launch){ .in = fds[1], .out = fds[2], .err = fds[4], .terminal = -1,
				.report = ends[0] };
	if (joiner < 0 || wait_for_pid(ret)) {
		int why = errno;

		close_all((int[]){ fds[1], fds[2], fds[4], ends[0] }, 4);
		errno = why;
		return ERR_LOCAL;
	}
	return ERR_OK;
}
