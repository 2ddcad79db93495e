/* world.c - see world.h
 *
 * Theory of operation. world_start() clones the keeper into a user, mount, pid and ipc
 * namespace of its own (never a network namespace: the redirect is the agent's only way
 * out), maps its ids, and lets it run furnish.c. The keeper opens /dev/fuse there, since a
 * mount must come from the namespace that opened it, and passes the descriptor to PID 1,
 * which carries it; so lookups in the workspace are answered while the keeper mounts it.
 * Last, the keeper enters a second user and mount namespace: what it mounted in the first
 * is locked in the second, where the agent lives, and cannot be unmounted or made writable.
 *
 * Reports of the keeper are packets on a socket pair: 'f' with the FUSE descriptor, 'o' when
 * the world is ready, 'e' with errno and the step that failed. Nothing of the agent's runs
 * yet, so they can be believed.
 *
 * Failure: the keeper's end ends everything in the world; PID 1 reports it or ends too.
 */
#include "guest/world.h"

#include "base/auto.h"
#include "guest/fuse.h"
#include "guest/furnish.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#define BUILD_TIMEOUT_MS 60000
#define PROCESSES_MAX_DEFAULT 4096

static enum err write_file(const char *path, const char *text)
{
	auto_fd fd = open(path, O_WRONLY | O_CLOEXEC);
	size_t n = strlen(text);

	return fd >= 0 && write(fd, text, n) == (ssize_t)n ? ERR_OK : ERR_LOCAL;
}

enum err world_map_ids(const char *proc, pid_t pid, uint32_t base, uint32_t count, bool single)
{
	char path[64], map[64];

	snprintf(map, sizeof map, "0 %u %u", (unsigned)base, (unsigned)count);
	if (single) {
		snprintf(path, sizeof path, "%s/%d/setgroups", proc, (int)pid);
		if (write_file(path, "deny"))
			return ERR_LOCAL;
	}
	snprintf(path, sizeof path, "%s/%d/uid_map", proc, (int)pid);
	if (write_file(path, map))
		return ERR_LOCAL;
	snprintf(path, sizeof path, "%s/%d/gid_map", proc, (int)pid);
	return write_file(path, map);
}

/* -- the keeper's side -------------------------------------------------------------------- */

/* A helper in the first namespace writes the maps of the second; the keeper waits for it. */
static bool map_from_outside(bool single, pid_t *ret_helper, int *ret_go)
{
	int go[2];
	pid_t helper;
	char byte;

	if (pipe2(go, O_CLOEXEC))
		return false;
	helper = fork();
	if (helper < 0)
		return false;
	if (helper == 0) {
		close(go[1]);
		if (read(go[0], &byte, 1) != 1)
			_exit(1);
		_exit(world_map_ids("/proc", getppid(), 0, single ? 1 : WORLD_UID_COUNT, single) ? 1 : 0);
	}
	close(go[0]);
	*ret_helper = helper;
	*ret_go = go[1];
	return true;
}

static bool lock_mounts(bool single)
{
	pid_t helper = -1;
	auto_fd go = -1;
	int status = 0;

	/* a process that changed its ids is not dumpable, and then its maps belong to nobody */
	if (prctl(PR_SET_DUMPABLE, 1, 0, 0, 0) || !map_from_outside(single, &helper, &go) ||
	    unshare(CLONE_NEWUSER | CLONE_NEWNS))
		return false;
	return write(go, "g", 1) == 1 && waitpid(helper, &status, 0) == helper && status == 0;
}

static _Noreturn void keep(void)
{
	sigset_t all;

	sigfillset(&all);
	sigprocmask(SIG_SETMASK, &all, NULL);
	for (;;) {
		int n;

		if (sigwait(&all, &n) || n != SIGCHLD)
			continue;
		while (waitpid(-1, NULL, WNOHANG) > 0)
			;
	}
}

/* /dev/fuse is opened with PID 1's user id, which may, in the keeper's namespace, which must. */
static bool become_root(struct furnish *f)
{
	char byte;

	if (read(f->report, &byte, 1) != 1)
		return false;
	if (f->config->mount_count) {
		f->fuse = open("/dev/fuse", O_RDWR | O_CLOEXEC);
		if (f->fuse < 0)
			return false;
	}
	return !setresgid(0, 0, 0) && (f->single || !syscall(SYS_setgroups, 0, NULL)) && !setresuid(0, 0, 0);
}

/* The tree; *@step says what was being done, here and after it. */
static bool built(struct furnish *f, const char **step)
{
	const char *failed = furnish(f);

	*step = failed ? failed : "namespaces";
	return !failed;
}

static _Noreturn void keeper_main(int report, const struct msg_config *config, bool single)
{
	const char *step = "ids and /dev/fuse";
	struct furnish f = { .config = config, .single = single, .report = report, .fuse = -1 };
	char message[256] = { 'e' };
	int why, n;

	errno = 0;
	if (become_root(&f) && built(&f, &step) && lock_mounts(single)) {
		prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
		prctl(PR_SET_NAME, "paddock-keeper", 0, 0, 0);
		if (send(report, "o", 1, 0) == 1) {
			syscall(SYS_close_range, 0u, ~0u, 0u);
			keep();
		}
	}
	why = errno;
	memcpy(message + 1, &why, sizeof why);
	n = snprintf(message + 1 + sizeof why, sizeof message - 1 - sizeof why, "%s", step);
	if (send(report, message, 1 + sizeof why + (size_t)n, 0) < 0)
		_exit(2);
	_exit(1);
}

/* -- PID 1's side --------------------------------------------------------------------------- */

static void finish(struct world *w, enum err e, int error_number, struct str text)
{
	int fd = w->watch.fd;

	if (fd < 0)
		return;
	loop_forget(w->loop, &w->watch);
	loop_disarm(w->loop, &w->timer);
	close(fd);
	w->watch.fd = -1;
	w->ready = !e;
	w->done(w, e, error_number, text);
}

/* The descriptor that came with @m, or -1. */
static int passed_fd(struct msghdr *m)
{
	struct cmsghdr *c = CMSG_FIRSTHDR(m);
	int fd = -1;

	if (c && c->cmsg_level == SOL_SOCKET && c->cmsg_type == SCM_RIGHTS &&
	    c->cmsg_len == CMSG_LEN(sizeof fd))
		memcpy(&fd, CMSG_DATA(c), sizeof fd);
	return fd;
}

static void report_ready(struct watch *watch, uint32_t events)
{
	struct world *w = (struct world *)(void *)watch;
	_Alignas(struct cmsghdr) char control[CMSG_SPACE(sizeof(int))];
	char text[256] = { 0 };
	struct iovec iov = { .iov_base = text, .iov_len = sizeof text };
	struct msghdr m = { .msg_iov = &iov, .msg_iovlen = 1, .msg_control = control,
			    .msg_controllen = sizeof control };
	ssize_t n = recvmsg(watch->fd, &m, MSG_CMSG_CLOEXEC);
	int why = 0;

	(void)events;
	if (n > 0 && text[0] == 'f') {
		int fd = passed_fd(&m);

		if (fd < 0 || !fuse_start(w->files, fd))
			finish(w, ERR_LOCAL, errno, STR("workspace channel"));
		return;
	}
	if (n > 0 && text[0] == 'o') {
		finish(w, ERR_OK, 0, (struct str){ 0 });
		return;
	}
	if (n >= (ssize_t)(1 + sizeof why) && text[0] == 'e') {
		memcpy(&why, text + 1, sizeof why);
		finish(w, ERR_LOCAL, why, str_make(text + 1 + sizeof why, (size_t)n - 1 - sizeof why));
		return;
	}
	finish(w, ERR_LOCAL, ECHILD, STR("the keeper ended"));
}

static void build_late(struct timer *t)
{
	struct world *w = (struct world *)(void *)((char *)t - offsetof(struct world, timer));

	finish(w, ERR_TIMEOUT, ETIMEDOUT, STR("the workspace did not answer"));
}

/* Caps on processes and memory, where the kernel lets us: in a VM. */
static void cgroup_setup(struct world *w, const struct msg_config *config)
{
	char text[32];
	int fd;

	w->cgroup_fd = -1;
	if (mkdir("/cgroup/agent", 0755) && errno != EEXIST)
		return;
	snprintf(text, sizeof text, "%u",
		 (unsigned)(config->processes_max ? config->processes_max : PROCESSES_MAX_DEFAULT));
	if (write_file("/cgroup/agent/pids.max", text))
		return;
	if (config->memory_max) {
		snprintf(text, sizeof text, "%llu", (unsigned long long)config->memory_max);
		if (write_file("/cgroup/agent/memory.max", text))
			return;
	}
	fd = open("/cgroup/agent/cgroup.procs", O_WRONLY | O_CLOEXEC);
	w->cgroup_fd = fd;
}

enum err world_start(struct world *w, const struct msg_config *config, bool single)
{
	const unsigned long flags = CLONE_NEWUSER | CLONE_NEWNS | CLONE_NEWPID | CLONE_NEWIPC | SIGCHLD;
	int ends[2];
	long pid;

	w->single = single;
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends))
		return ERR_LOCAL;
	cgroup_setup(w, config);
	pid = syscall(SYS_clone, flags, 0, 0, 0, 0);
	if (pid == 0) {
		close(ends[0]);
		keeper_main(ends[1], config, single);
	}
	close(ends[1]);
	w->watch = (struct watch){ .fd = ends[0], .ready = report_ready };
	w->timer.fire = build_late;
	w->keeper = (pid_t)pid;
	if (pid > 0)
		w->keeper_fd = (int)syscall(SYS_pidfd_open, (pid_t)pid, 0);
	if (pid < 0 || w->keeper_fd < 0 ||
	    world_map_ids("/proc", (pid_t)pid, single ? 0 : WORLD_UID_BASE, single ? 1 : WORLD_UID_COUNT,
			  single) ||
	    send(ends[0], "g", 1, 0) != 1 || loop_watch(w->loop, &w->watch, EPOLLIN)) {
		close(ends[0]);
		w->watch.fd = -1;
		return ERR_LOCAL;
	}
	loop_arm(w->loop, &w->timer, BUILD_TIMEOUT_MS);
	return ERR_OK;
}
