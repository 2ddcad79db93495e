/* namespace.c - see namespace.h
 *
 * Theory of operation: one clone into user, mount, pid, network, ipc and uts namespaces. The
 * child makes a tmpfs root in the layout of guest/world.h (/proc, /dev, the agent's tree at
 * /world), pivots into it, and execs paddock-init with the ports as descriptors 3, 4, 5.
 * As root a range of ids is mapped, so that the agent gets an id of its own as in a VM;
 * otherwise the one that we have.
 */
#include "harness/namespace.h"

#include "base/auto.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/mount.h>
#include <linux/sched.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>

int mount(const char *source, const char *target, const char *type, unsigned long flags, const void *data);
int umount2(const char *target, int flags);

#define DETACH 2	/* MNT_DETACH */

#define AGENT_BASE 100000u	/* as WORLD_UID_BASE and _COUNT of guest/world.h */
#define AGENT_COUNT 65536u
#define ROOT "/tmp"		/* where the tmpfs is built; hidden by it */

struct machine {
	pid_t pid;
	int pidfd;
};

struct plan {
	const struct machine_spec *spec;
	int init_fd, go;
	bool range;
};

static bool put_file(const char *path, const char *text)
{
	auto_fd fd = open(path, O_WRONLY | O_CLOEXEC | O_CREAT, 0644);

	return fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text);
}

/* Creates the directories above @path, and @path as a directory or an empty file. */
static bool make_target(const char *path, bool directory)
{
	char part[4096];

	snprintf(part, sizeof part, "%s", path);
	for (char *p = part + 1; *p; p++) {
		if (*p != '/')
			continue;
		*p = 0;
		if (mkdir(part, 0755) && errno != EEXIST)
			return false;
		*p = '/';
	}
	if (directory)
		return !mkdir(path, 0755) || errno == EEXIST;
	return put_file(path, "");
}

/* @source at the same place under @root; a symbolic link is copied; what is not there, is not. */
static bool bring(const char *root, const char *source, bool read_only)
{
	struct mount_attr a = { .attr_set = MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID };
	char target[4096], link[4096];
	struct stat st;
	ssize_t n;

	snprintf(target, sizeof target, "%s%s", root, source);
	if (lstat(source, &st))
		return errno == ENOENT || errno == EACCES;
	if (S_ISLNK(st.st_mode)) {
		n = readlink(source, link, sizeof link - 1);
		if (n < 0)
			return false;
		link[n] = 0;
		return !symlink(link, target) || errno == EEXIST;
	}
	if (!make_target(target, S_ISDIR(st.st_mode)) || mount(source, target, NULL, MS_BIND | MS_REC, NULL))
		return false;
	return !read_only || !syscall(SYS_mount_setattr, AT_FDCWD, target, AT_RECURSIVE, &a, sizeof a);
}

static bool bring_all(const char *root, const char *const *paths, bool read_only)
{
	for (; *paths; paths++)
		if (!bring(root, *paths, read_only))
			return false;
	return true;
}

static bool copy_file(const char *from, const char *to)
{
	auto_fd in = open(from, O_RDONLY | O_CLOEXEC);
	auto_fd out = -1;
	char bytes[65536];
	ssize_t n;

	if (in < 0)
		return errno == ENOENT;
	out = open(to, O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
	while (out >= 0 && (n = read(in, bytes, sizeof bytes)) > 0)
		if (write(out, bytes, (size_t)n) != n)
			return false;
	return out >= 0;
}

static bool extra_directories(const char *image)
{
	const char *at = strchr(image, ':');

	while (at) {
		const char *end = strchr(at + 1, ':');
		char path[4096];

		snprintf(path, sizeof path, "%.*s", end ? (int)(end - at - 1) : 4095, at + 1);
		if (!bring(ROOT "/world", path, true))
			return false;
		at = end;
	}
	return true;
}

static bool own_directories(bool range)
{
	static const char *const made[] = { "", "/etc", "/etc/ssl", "/etc/ssl/certs", "/tmp", "/root",
					    "/home", "/var",
					    "/var/tmp", "/run", "/dev", "/proc", "/work" };
	const unsigned id = range ? AGENT_BASE : 0;

	for (size_t i = 0; i < sizeof made / sizeof made[0]; i++) {
		char path[128];

		snprintf(path, sizeof path, ROOT "/world%s", made[i]);
		if ((mkdir(path, 0755) && errno != EEXIST) || chown(path, id, id))
			return false;
	}
	return true;
}

static bool build_world(const struct plan *p)
{
	static const char *const system[] = { "/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32",
					      "/opt",
					      NULL };
	static const char *const etc[] = {
		"/etc/passwd", "/etc/group", "/etc/nsswitch.conf", "/etc/ld.so.cache", "/etc/ld.so.conf",
		"/etc/ld.so.conf.d", "/etc/alternatives", "/etc/protocols", "/etc/services",
		"/etc/mime.types",
		"/etc/host.conf", "/etc/gai.conf", "/etc/python3", "/etc/python3.11", "/etc/localtime",
		"/etc/timezone",
		"/etc/ssl/openssl.cnf", "/etc/profile", "/etc/bash.bashrc", "/etc/terminfo", "/etc/npmrc",
		NULL };

	return own_directories(p->range) && bring_all(ROOT "/world", system, true) &&
	       bring_all(ROOT "/world", etc, true) &&
	       copy_file("/etc/ssl/certs/ca-certificates.crt",
			 ROOT "/world/etc/ssl/certs/ca-certificates.crt") &&
	       extra_directories(p->spec->image);
}

static bool build_root(const struct plan *p)
{
	static const char *const devices[] = { "/dev/null", "/dev/zero", "/dev/full", "/dev/random",
					       "/dev/urandom",
					       "/dev/tty", "/dev/fuse", NULL };

	umask(022);
	return !mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) &&
	       !mount("tmpfs", ROOT, "tmpfs", MS_NOSUID, "mode=755") && make_target(ROOT "/world", true) &&
	       make_target(ROOT "/proc", true) &&
	       !mount("proc", ROOT "/proc", "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL) &&
	       bring_all(ROOT, devices, false) && build_world(p) && !chdir(ROOT) &&
	       !syscall(SYS_pivot_root, ".", ".") && !umount2(".", DETACH) && !chdir("/");
}

static bool place_ports(const struct plan *p, int *init_fd)
{
	int high[MACHINE_PORTS + 2];

	*init_fd = fcntl(p->init_fd, F_DUPFD_CLOEXEC, 100);
	high[MACHINE_PORTS] = fcntl(p->spec->stderr_fd, F_DUPFD_CLOEXEC, 100);
	high[MACHINE_PORTS + 1] = open("/dev/null", O_RDWR | O_CLOEXEC);
	for (int i = 0; i < MACHINE_PORTS; i++)
		high[i] = fcntl(p->spec->ports[i], F_DUPFD_CLOEXEC, 100);
	syscall(SYS_close_range, 3u, ~0u, 4u);
	for (int i = 0; i < MACHINE_PORTS; i++)
		if (high[i] < 0 || dup2(high[i], 3 + i) < 0)
			return false;
	return *init_fd >= 0 && dup2(high[MACHINE_PORTS + 1], 0) == 0 &&
	       dup2(high[MACHINE_PORTS + 1], 1) == 1 && dup2(high[MACHINE_PORTS], 2) == 2;
}

static _Noreturn void child(const struct plan *p)
{
	char *argv[] = { (char[]){ "paddock-init" }, (char[]){ "--namespace" }, NULL };
	char *level = getenv("PADDOCK_LOG"), setting[64];
	char *env[] = { setting, NULL };
	int init_fd;
	char byte;

	snprintf(setting, sizeof setting, "PADDOCK_LOG=%s", level ? level : "note");
	prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
	if (read(p->go, &byte, 1) == 1 && !setresgid(0, 0, 0) && !setresuid(0, 0, 0) && build_root(p) &&
	    place_ports(p, &init_fd))
		syscall(SYS_execveat, init_fd, "", argv, env, AT_EMPTY_PATH);
	dprintf(2, "namespace machine: %s\n", strerror(errno));
	_exit(127);
}

static bool map_ids(pid_t pid, bool *ret_range)
{
	char path[64], map[64];
	const unsigned uid = geteuid(), gid = getegid();
	bool range = uid == 0;

	snprintf(path, sizeof path, "/proc/%d/uid_map", (int)pid);
	snprintf(map, sizeof map, "0 0 %u", AGENT_BASE + AGENT_COUNT);
	if (range && put_file(path, map)) {
		snprintf(path, sizeof path, "/proc/%d/gid_map", (int)pid);
		*ret_range = true;
		return put_file(path, map);
	}
	snprintf(map, sizeof map, "0 %u 1", uid);
	if (!put_file(path, map))
		return false;
	snprintf(path, sizeof path, "/proc/%d/setgroups", (int)pid);
	if (!put_file(path, "deny"))
		return false;
	snprintf(path, sizeof path, "/proc/%d/gid_map", (int)pid);
	snprintf(map, sizeof map, "0 %u 1", gid);
	*ret_range = false;
	return put_file(path, map);
}

static enum err namespace_start(const struct machine_spec *spec, struct machine **ret, struct buf *ret_text)
{
	struct clone_args args = { .flags = CLONE_NEWUSER | CLONE_NEWNS | CLONE_NEWPID | CLONE_NEWNET |
					    CLONE_NEWIPC | CLONE_NEWUTS | CLONE_PIDFD,
				   .exit_signal = SIGCHLD };
	struct plan p = { .spec = spec, .range = geteuid() == 0 };
	auto_fd init_fd = -1;
	int go[2], pidfd = -1;
	struct machine *m;
	long pid;
	char path[4096];
	enum err e = machine_init_path(path, sizeof path);

	if (e)
		return e;
	init_fd = open(path, O_PATH | O_CLOEXEC);
	m = init_fd >= 0 ? calloc(1, sizeof *m) : NULL;
	if (!m || pipe2(go, O_CLOEXEC)) {
		free(m);
		return ERR_LOCAL;
	}
	p.init_fd = init_fd;
	p.go = go[0];
	args.pidfd = (uint64_t)(uintptr_t)&pidfd;
	pid = syscall(SYS_clone3, &args, sizeof args);
	if (pid == 0) {
		close(go[1]);
		child(&p);
	}
	close(go[0]);
	if (pid > 0 && (!map_ids((pid_t)pid, &p.range) || write(go[1], "g", 1) != 1)) {
		kill((pid_t)pid, SIGKILL);
		waitpid((pid_t)pid, NULL, 0);
		close(pidfd);
		pid = -1;
	}
	close(go[1]);
	if (pid < 0) {
		buf_printf(ret_text, "namespaces: %s", strerror(errno));
		free(m);
		return ERR_LOCAL;
	}
	*m = (struct machine){ .pid = (pid_t)pid, .pidfd = pidfd };
	*ret = m;
	return ERR_OK;
}

static enum err namespace_probe(struct buf *ret_text)
{
	buf_put_z(ret_text, "Linux namespaces: for tests, no VM boundary");
	return buf_err(ret_text);
}

static pid_t namespace_pid(const struct machine *m) { return m->pid; }
static int namespace_pidfd(const struct machine *m) { return m->pidfd; }

static void namespace_kill(struct machine *m)
{
	if (m->pid > 0)
		kill(m->pid, SIGKILL);
}

static void namespace_free(struct machine *m)
{
	if (!m)
		return;
	close(m->pidfd);
	free(m);
}

const struct machine_ops machine_namespace = {
	.name = "namespace",
	.probe = namespace_probe,
	.start = namespace_start,
	.pid = namespace_pid,
	.pidfd = namespace_pidfd,
	.kill = namespace_kill,
	.free = namespace_free,
};
