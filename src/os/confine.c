/* confine.c - namespaces, root, limits, capabilities                (see confine.h for the order)
 *
 * Theory of operation: a process isolates itself, as passt does, after the dynamic linker and
 * its own set-up have read what they need, so that the root it is left with can be empty. The
 * user namespace comes first: it gives an unprivileged user the right to the other steps, and
 * the rights over it are given up in confine_drop(). Nothing here reads a peer's byte.
 * Landlock is in landlock.c, the system call filter in filter.c.
 * Sources: user_namespaces(7), mount_setattr(2), pivot_root(2), capabilities(7).
 */
#include "os/confine.h"

#include "base/auto.h"
#include "base/buf.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <linux/mount.h>
#include <linux/securebits.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#define BINDS_MAX 64

static bool write_file(const char *path, const char *text)
{
	auto_fd fd = open(path, O_WRONLY | O_CLOEXEC);
	size_t n = strlen(text);

	return fd >= 0 && write(fd, text, n) == (ssize_t)n;
}

/* uid and gid 0 inside are the caller's outside; setgroups must be denied first (CVE-2014-8989) */
enum err confine_map_ids(uid_t uid, gid_t gid)
{
	int dumpable = prctl(PR_GET_DUMPABLE, 0, 0, 0, 0);
	auto_buf line = BUF_EMPTY;

	/* The maps of a process that is not dumpable belong to root: for these few calls it is. */
	if (prctl(PR_SET_DUMPABLE, 1, 0, 0, 0))
		return ERR_CONFINE;
	buf_init(&line, 64);
	buf_printf(&line, "0 %u 1\n", (unsigned)uid);
	if (!write_file("/proc/self/setgroups", "deny") || !buf_z(&line) ||
	    !write_file("/proc/self/uid_map", buf_z(&line)))
		return ERR_CONFINE;
	buf_clear(&line);
	buf_printf(&line, "0 %u 1\n", (unsigned)gid);
	if (!buf_z(&line) || !write_file("/proc/self/gid_map", buf_z(&line)))
		return ERR_CONFINE;
	if (dumpable != 1 && prctl(PR_SET_DUMPABLE, 0, 0, 0, 0))
		return ERR_CONFINE;
	return ERR_OK;
}

enum err confine_namespaces(unsigned flags)
{
	int unshared = CLONE_NEWUSER | CLONE_NEWNS | CLONE_NEWIPC | CLONE_NEWUTS | CLONE_NEWCGROUP;
	uid_t uid = geteuid();
	gid_t gid = getegid();

	if (flags & CONFINE_NET_EMPTY)
		unshared |= CLONE_NEWNET;
	return unshare(unshared) ? ERR_CONFINE : confine_map_ids(uid, gid);
}

/* A detached copy of the mount at @bind's source, with the flags that it will have. */
static enum err bind_open(const struct confine_bind *bind, int *ret_fd)
{
	struct mount_attr attr = { .attr_set = MOUNT_ATTR_NOSUID };
	auto_fd fd = (int)syscall(SYS_open_tree, AT_FDCWD, bind->source,
				  OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_RECURSIVE);

	*ret_fd = -1;
	if (fd < 0)
		return bind->optional && errno == ENOENT ? ERR_OK : ERR_CONFINE;
	if (!bind->writable)
		attr.attr_set |= MOUNT_ATTR_RDONLY;
	if (!bind->device)
		attr.attr_set |= MOUNT_ATTR_NODEV;
	if (syscall(SYS_mount_setattr, fd, "", AT_EMPTY_PATH | AT_RECURSIVE, &attr, sizeof attr))
		return ERR_CONFINE;
	*ret_fd = fd_take(&fd);
	return ERR_OK;
}

enum err confine_tree(const char *path, bool write, int *fd)
{
	const struct confine_bind bind = { .source = path, .writable = write };
	struct mount_attr attr = { .attr_set = MOUNT_ATTR_NOEXEC };
	struct stat given, found;
	auto_fd tree = -1;

	if (bind_open(&bind, &tree) || fstat(*fd, &given) || fstat(tree, &found))
		return ERR_CONFINE;
	if (given.st_dev != found.st_dev || given.st_ino != found.st_ino) {
		errno = ESTALE;
		return ERR_CONFINE;
	}
	if (syscall(SYS_mount_setattr, tree, "", AT_EMPTY_PATH | AT_RECURSIVE, &attr, sizeof attr))
		return ERR_CONFINE;
	close(*fd);
	*fd = fd_take(&tree);
	return ERR_OK;
}

/* Creates @path (absolute) under the current directory: its parents, then a directory or a file. */
static bool make_target(const char *path, bool directory)
{
	auto_buf part = BUF_EMPTY;

	buf_init(&part, 4096);
	for (const char *p = path + 1; *p; p++) {
		if (*p == '/') {
			const char *z = buf_z(&part);

			if (!z || (mkdir(z, 0755) && errno != EEXIST))
				return false;
		}
		buf_put_byte(&part, (uint8_t)*p);
	}
	if (!buf_z(&part))
		return false;
	if (directory)
		return mkdir(buf_z(&part), 0755) == 0 || errno == EEXIST;
	/* one in a tree that was bound before is there, and cannot be opened for writing */
	auto_fd there = open(buf_z(&part), O_PATH | O_CLOEXEC);
	if (there >= 0)
		return true;
	auto_fd fd = open(buf_z(&part), O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
	return fd >= 0;
}

static enum err bind_attach(const struct confine_bind *bind, int tree)
{
	struct stat st;

	if (bind->target[0] != '/' || fstat(tree, &st) ||
	    !make_target(bind->target, S_ISDIR(st.st_mode)))
		return ERR_CONFINE;
	if (syscall(SYS_move_mount, tree, "", AT_FDCWD, bind->target + 1, MOVE_MOUNT_F_EMPTY_PATH))
		return ERR_CONFINE;
	return ERR_OK;
}

static enum err attach_all(const struct confine_bind *binds, const int *trees, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		enum err e = trees[i] < 0 ? ERR_OK : bind_attach(&binds[i], trees[i]);

		if (e)
			return e;
	}
	return ERR_OK;
}

static enum err build_root(const struct confine_bind *binds, const int *trees, size_t count, bool proc)
{
	const char *base = "/tmp";	/* any directory does: it is covered for us alone */
	struct mount_attr attr = { .attr_set = MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID };

	if (mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL))
		return ERR_CONFINE;
	if (mount("tmpfs", base, "tmpfs", MS_NOSUID | MS_NOEXEC, "size=1m,nr_inodes=1024,mode=0755"))
		return ERR_CONFINE;
	if (chdir(base) || attach_all(binds, trees, count))
		return ERR_CONFINE;
	if (proc && (!make_target("/proc", true) ||
		     mount("proc", "proc", "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL)))
		return ERR_CONFINE;
	if (syscall(SYS_pivot_root, ".", ".") || umount2(".", MNT_DETACH) || chdir("/"))
		return ERR_CONFINE;
	if (syscall(SYS_mount_setattr, AT_FDCWD, "/", 0, &attr, sizeof attr))
		return ERR_CONFINE;
	return ERR_OK;
}

enum err confine_root(const struct confine_bind *binds, size_t count, bool proc)
{
	int trees[BINDS_MAX];
	size_t opened = 0;
	enum err e = count > BINDS_MAX ? ERR_CONFINE : ERR_OK;

	/* sources are opened before any of them can be covered */
	while (!e && opened < count) {
		e = bind_open(&binds[opened], &trees[opened]);
		if (!e)
			opened++;
	}
	if (!e)
		e = build_root(binds, trees, count, proc);
	for (size_t i = 0; i < opened; i++)
		if (trees[i] >= 0)
			close(trees[i]);
	return e;
}

enum err confine_limits(unsigned descriptors_max, unsigned processes_max)
{
	struct rlimit descriptors = { descriptors_max, descriptors_max };
	struct rlimit processes = { processes_max, processes_max };
	struct rlimit none = { 0, 0 };
	struct rlimit hard;

	if (getrlimit(RLIMIT_NOFILE, &hard))
		return ERR_CONFINE;
	if (hard.rlim_max < descriptors_max)
		descriptors = (struct rlimit){ hard.rlim_max, hard.rlim_max };
	if (setrlimit(RLIMIT_NOFILE, &descriptors) || setrlimit(RLIMIT_NPROC, &processes) ||
	    setrlimit(RLIMIT_CORE, &none))
		return ERR_CONFINE;
	return ERR_OK;
}

enum err confine_drop(void)
{
	struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct none[2] = { { 0, 0, 0 }, { 0, 0, 0 } };
	const int bits = SECBIT_NOROOT | SECBIT_NOROOT_LOCKED | SECBIT_NO_SETUID_FIXUP |
			 SECBIT_NO_SETUID_FIXUP_LOCKED | SECBIT_KEEP_CAPS_LOCKED |
			 SECBIT_NO_CAP_AMBIENT_RAISE | SECBIT_NO_CAP_AMBIENT_RAISE_LOCKED;

	for (int cap = 0; prctl(PR_CAPBSET_READ, cap, 0, 0, 0) >= 0; cap++)
		if (prctl(PR_CAPBSET_DROP, cap, 0, 0, 0))
			return ERR_CONFINE;
	if (prctl(PR_SET_SECUREBITS, bits, 0, 0, 0) ||
	    prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0) ||
	    syscall(SYS_capset, &header, none) ||
	    prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) ||
	    prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) ||
	    prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0))
		return ERR_CONFINE;
	return ERR_OK;
}
