/* furnish.c - the agent's tree: /proc, /dev, /run, names, trust stores, the workspace
 *
 * Theory of operation: steps in one table, in order. Until `pivot` the guest's own devices are
 * reachable and those that the agent may have are bound into its /dev; after it the root is
 * the agent's tree and every file is written as the agent's root, with no power over anything
 * else. The tree is the image's and not trusted: files are written after the pivot, when no
 * symbolic link can lead out of it.
 *
 * The agent gets no sysfs, no device but the harmless ones, no other port, and a /proc of its
 * own pid namespace only. /proc/sys is the kernel's to guard: the agent's root is not its
 * root. With a single uid it is not so sure, so what can be written there is masked.
 */
#include "guest/furnish.h"

#include "base/auto.h"
#include "guest/world.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#define FILES_POINT "/run/paddock/files"
#define BUNDLE_MAX_BYTES (8u * 1024 * 1024)
#define SYSTEM_BUNDLE "/etc/ssl/certs/ca-certificates.crt"

static bool touch(const char *path)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0644);

	return fd >= 0 && !close(fd);
}

static bool make_directory(const char *path, mode_t mode) { return !mkdir(path, mode) || errno == EEXIST; }

bool furnish_path(const char *path, bool whole)
{
	char part[4096];
	size_t n = strlen(path);

	if (n == 0 || n >= sizeof part || path[0] != '/') {
		errno = EINVAL;
		return false;
	}
	for (size_t i = 1; i <= n; i++) {
		if (path[i] != '/' && (path[i] || !whole))
			continue;
		memcpy(part, path, i);
		part[i] = 0;
		if (!make_directory(part, 0755))
			return false;
	}
	return true;
}

static bool separate(const struct furnish *f)
{
	(void)f;
	return !mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) &&
	       !mount(WORLD_ROOT, WORLD_ROOT, NULL, MS_BIND | MS_REC, NULL) && !chdir(WORLD_ROOT);
}

static bool proc(const struct furnish *f)
{
	(void)f;
	return make_directory("proc", 0555) &&
	       !mount("proc", "proc", "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL);
}

static bool device_nodes(void)
{
	static const char *const names[] = { "null", "zero", "full", "random", "urandom", "tty" };

	for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
		char from[32], to[32];

		snprintf(from, sizeof from, "/dev/%s", names[i]);
		snprintf(to, sizeof to, "dev/%s", names[i]);
		if (!touch(to) || mount(from, to, NULL, MS_BIND, NULL))
			return false;
	}
	return true;
}

static bool devices(const struct furnish *f)
{
	(void)f;
	return make_directory("dev", 0755) &&
	       !mount("tmpfs", "dev", "tmpfs", MS_NOSUID, "mode=755,size=64k") &&
	       device_nodes() && make_directory("dev/pts", 0755) && make_directory("dev/shm", 01777) &&
	       !mount("devpts", "dev/pts", "devpts", MS_NOSUID | MS_NOEXEC,
		      "newinstance,ptmxmode=0666,mode=620") &&
	       !mount("tmpfs", "dev/shm", "tmpfs", MS_NOSUID | MS_NODEV, "mode=1777") &&
	       !symlink("pts/ptmx", "dev/ptmx") && !symlink("/proc/self/fd", "dev/fd") &&
	       !symlink("fd/0", "dev/stdin") && !symlink("fd/1", "dev/stdout") &&
	       !symlink("fd/2", "dev/stderr");
}

static bool run(const struct furnish *f)
{
	(void)f;
	return make_directory("run", 0755) &&
	       !mount("tmpfs", "run", "tmpfs", MS_NOSUID | MS_NODEV, "mode=755") &&
	       make_directory("run/paddock", 0755) && make_directory("run/lock", 01777) &&
	       make_directory("tmp", 01777) && make_directory("etc", 0755) &&
	       (chmod("tmp", 01777) == 0 || f->single);
}

bool furnish_send(int socket, char kind, int fd)
{
	_Alignas(struct cmsghdr) char control[CMSG_SPACE(sizeof fd)] = { 0 };
	struct iovec iov = { .iov_base = &kind, .iov_len = 1 };
	struct msghdr m = { .msg_iov = &iov, .msg_iovlen = 1, .msg_control = control,
			    .msg_controllen = sizeof control };
	struct cmsghdr *c = CMSG_FIRSTHDR(&m);

	c->cmsg_level = SOL_SOCKET;
	c->cmsg_type = SCM_RIGHTS;
	c->cmsg_len = CMSG_LEN(sizeof fd);
	memcpy(CMSG_DATA(c), &fd, sizeof fd);
	return sendmsg(socket, &m, MSG_NOSIGNAL) == 1;
}

/* Its root answers once PID 1 has the descriptor; until then only the mount is made. */
static bool files(const struct furnish *f)
{
	char options[128];

	if (f->config->mount_count == 0)
		return true;
	snprintf(options, sizeof options,
		 "fd=%d,rootmode=40000,user_id=0,group_id=0,allow_other,default_permissions", f->fuse);
	return make_directory("run/paddock/files", 0755) &&
	       !mount("paddock", "run/paddock/files", "fuse", MS_NOSUID | MS_NODEV, options) &&
	       furnish_send(f->report, 'f', f->fuse);
}

static bool pivot(const struct furnish *f)
{
	(void)f;
	return !syscall(SYS_pivot_root, ".", ".") && !umount2(".", MNT_DETACH) && !chdir("/");
}

/* Replaces what is there, a symbolic link included (resolv.conf often is one). */
static bool write_file_mode(const char *path, struct str text, mode_t mode)
{
	auto_fd fd = -1;

	if (unlink(path) && errno != ENOENT)
		return false;
	fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, mode);
	while (fd >= 0 && text.n) {
		ssize_t n = write(fd, text.p, text.n);

		if (n <= 0)
			return false;
		text = str_from(text, (size_t)n);
	}
	return fd >= 0;
}

static bool write_file(const char *path, struct str text) { return write_file_mode(path, text, 0644); }

static bool names(const struct furnish *f)
{
	struct str hostname = f->config->hostname.n ? f->config->hostname : STR("paddock");
	auto_buf hosts = BUF_EMPTY;

	buf_init(&hosts, 1024);
	buf_put_z(&hosts, "127.0.0.1 localhost\n::1 localhost ip6-localhost ip6-loopback\n127.0.1.1 ");
	buf_put(&hosts, hostname);
	buf_put_byte(&hosts, '\n');
	return !buf_err(&hosts) && write_file("/etc/hosts", buf_str(&hosts)) &&
	       write_file("/etc/resolv.conf", STR("nameserver 127.0.0.1\noptions timeout:5 attempts:2\n")) &&
	       write_file("/etc/hostname", hostname);
}

static bool read_bundle(struct buf *b)
{
	auto_fd fd = open(SYSTEM_BUNDLE, O_RDONLY | O_CLOEXEC);

	if (fd < 0)
		return errno == ENOENT;	/* an image without one: the sandbox CA alone */
	for (;;) {
		ssize_t n;

		if (buf_reserve(b, 65536)) {
			errno = EFBIG;
			return false;
		}
		n = read(fd, buf_tail(b), 65536);
		if (n <= 0)
			return n == 0;
		b->len += (size_t)n;
	}
}

static bool trust(const struct furnish *f)
{
	auto_buf bundle = BUF_EMPTY;

	buf_init(&bundle, BUNDLE_MAX_BYTES);
	if (!f->config->ca_pem.n)
		return true;
	if (!read_bundle(&bundle))
		return false;
	if (bundle.len && bundle.p[bundle.len - 1] != '\n')
		buf_put_byte(&bundle, '\n');
	buf_put(&bundle, f->config->ca_pem);
	return !buf_err(&bundle) && write_file(WORLD_CA_FILE, f->config->ca_pem) &&
	       write_file(WORLD_BUNDLE_FILE, buf_str(&bundle)) && furnish_path(SYSTEM_BUNDLE, false) &&
	       write_file(SYSTEM_BUNDLE, buf_str(&bundle));
}

/* Before the workspace's mounts, so that none of these ever is a file of the user's. */
static bool credentials(const struct furnish *f)
{
	for (uint32_t i = 0; i < f->config->file_count; i++) {
		const struct msg_file *file = &f->config->files[i];
		char path[4096];

		if (file->path.n >= sizeof path) {
			errno = ENAMETOOLONG;
			return false;
		}
		memcpy(path, file->path.p, file->path.n);
		path[file->path.n] = 0;
		if (!furnish_path(path, false) || !write_file_mode(path, file->text, 0600))
			return false;
	}
	return true;
}

static bool workspace_mount(const struct msg_mount *m, uint32_t n)
{
	char path[4096], from[64];

	if (m->path.n == 0 || m->path.n >= sizeof path || memchr(m->path.p, 0, m->path.n)) {
		errno = EINVAL;
		return false;
	}
	memcpy(path, m->path.p, m->path.n);
	path[m->path.n] = 0;
	snprintf(from, sizeof from, FILES_POINT "/%u", (unsigned)n);
	if (!furnish_path(path, !(m->flags & MSG_MOUNT_FILE)) ||
	    ((m->flags & MSG_MOUNT_FILE) && !touch(path)))
		return false;
	if (mount(from, path, NULL, MS_BIND, NULL))
		return false;
	return !(m->flags & MSG_MOUNT_READ_ONLY) ||
	       !mount(NULL, path, NULL, MS_BIND | MS_REMOUNT | MS_RDONLY | MS_NOSUID | MS_NODEV, NULL);
}

static bool workspace(const struct furnish *f)
{
	for (uint32_t i = 0; i < f->config->mount_count; i++)
		if (!workspace_mount(&f->config->mounts[i], i))
			return false;
	return f->config->mount_count == 0 || !umount2(FILES_POINT, MNT_DETACH);
}

static bool mask(const struct furnish *f)
{
	static const char *const paths[] = { "/proc/sys", "/proc/bus", "/proc/fs", "/proc/irq",
					     "/proc/sysrq-trigger" };

	for (size_t i = 0; f->single && i < sizeof paths / sizeof paths[0]; i++) {
		if (access(paths[i], F_OK))
			continue;
		if (mount(paths[i], paths[i], NULL, MS_BIND | MS_REC, NULL) ||
		    mount(NULL, paths[i], NULL,
			  MS_BIND | MS_REMOUNT | MS_RDONLY | MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL))
			return false;
	}
	return true;
}

const char *furnish(const struct furnish *f)
{
	static const struct {
		const char *name;
		bool (*run)(const struct furnish *f);
	} steps[] = {
		{ "mount namespace", separate },
		{ "/proc", proc },
		{ "/dev", devices },
		{ "/run", run },
		{ "file system of the workspace", files },
		{ "root", pivot },
		{ "names", names },
		{ "trust stores", trust },
		{ "credential files", credentials },
		{ "workspace", workspace },
		{ "/proc/sys", mask },
	};

	umask(0);
	for (size_t i = 0; i < sizeof steps / sizeof steps[0]; i++)
		if (!steps[i].run(f))
			return steps[i].name;
	umask(022);
	return NULL;
}
