/* boot.c - what only the PID 1 of a virtual machine does
 *
 * Theory of operation: the initrd holds this program and, under /modules, the kernel modules
 * with lists that name them in order. After loading them nothing more may be loaded. PID 1
 * then leaves the initrd for a small tmpfs of its own (pivot_root, which the keeper needs, is
 * not possible from the first root), where it has /proc, /dev, /cgroup and the agent's tree
 * at /world: the erofs image with its ids shifted to the agent's (an id-mapped mount), under
 * an overlay in memory.
 *
 * There is no sysfs. Failure of any step ends the machine before any command exists.
 */
#include "guest/boot.h"

#include "base/auto.h"
#include "base/buf.h"
#include "base/clock.h"
#include "base/reader.h"
#include "guest/world.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/mount.h>
#include <linux/random.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <time.h>

/* <sys/mount.h> and <linux/mount.h> of different ages do not go together. */
int mount(const char *source, const char *target, const char *type, unsigned long flags, const void *data);
int umount2(const char *target, int flags);

#define DEVICES_TIMEOUT_MS 20000
#define DEVICE_NUMBERS 16
#define MODULES "/modules"

static bool write_text(const char *path, const char *text)
{
	auto_fd fd = open(path, O_WRONLY | O_CLOEXEC);

	return fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text);
}

static bool first_mounts(void)
{
	mkdir("/proc", 0555);
	mkdir("/dev", 0755);
	return !mount("proc", "/proc", "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL) &&
	       !mount("devtmpfs", "/dev", "devtmpfs", MS_NOSUID | MS_NOEXEC, "mode=755");
}

static bool load_module(int directory, struct str name)
{
	char file[129];
	auto_fd fd = -1;

	if (name.n == 0 || name.n >= sizeof file)
		return false;
	snprintf(file, sizeof file, "%.*s", STR_FMT(name));
	fd = openat(directory, file, O_RDONLY | O_CLOEXEC);
	if (fd < 0 || (syscall(SYS_finit_module, fd, "", 0) && errno != EEXIST))
		return false;
	return !unlinkat(directory, file, 0);	/* its memory comes back */
}

static bool load_list(int directory, const char *list)
{
	auto_fd fd = openat(directory, list, O_RDONLY | O_CLOEXEC);
	struct reader r;
	struct str name;
	char text[4096];
	ssize_t n = fd < 0 ? -1 : read(fd, text, sizeof text);

	if (n < 0)
		return false;
	r = reader_of(str_make(text, (size_t)n));
	while (reader_until(&r, '\n', &name))
		if (!load_module(directory, name))
			return false;
	return true;
}

/* The network's modules are of no use before the redirect is made: a child loads them on the second
 * processor while the machine's own are loaded and the image is mounted. Return: its pid, or -1 */
static pid_t load_network(int directory)
{
	pid_t pid = fork();

	if (pid == 0)
		_exit(load_list(directory, "list.network") ? 0 : 1);
	return pid;
}

static bool network_loaded(pid_t pid)
{
	int status;

	return waitpid(pid, &status, 0) == pid && WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

static void pause_briefly(void)
{
	const struct timespec pause = { .tv_nsec = 1000000 };

	nanosleep(&pause, NULL);
}

/* The node's first number is that of the device on its bus, which the board decides. */
static int open_port(int number)
{
	for (int device = 0; device < DEVICE_NUMBERS; device++) {
		char path[32];
		int fd;

		snprintf(path, sizeof path, "/dev/vport%dp%d", device, number);
		fd = open(path, O_RDWR | O_CLOEXEC | O_NONBLOCK);
		if (fd >= 0)
			return fd;
	}
	return -1;
}

/* Devices appear a little after their driver. */
static bool open_ports(int ports[BOOT_PORTS])
{
	uint64_t deadline = clock_ms() + DEVICES_TIMEOUT_MS;

	for (int i = 0; i < BOOT_PORTS; i++)
		while ((ports[i] = open_port(i + 1)) < 0) {
			if (clock_ms() >= deadline)
				return false;
			pause_briefly();
		}
	return true;
}

static bool disk_is_there(void)
{
	uint64_t deadline = clock_ms() + DEVICES_TIMEOUT_MS;

	while (access("/dev/vda", R_OK)) {
		if (clock_ms() >= deadline)
			return false;
		pause_briefly();
	}
	return true;
}

/* A root of PID 1's own, with the initrd left behind under it. */
static bool own_root(void)
{
	static const char *const moved[] = { "/proc", "/dev" };

	unlink("/init");
	mkdir("/own", 0755);
	if (mount("tmpfs", "/own", "tmpfs", MS_NOSUID | MS_NODEV, "mode=755,size=1m"))
		return false;
	for (size_t i = 0; i < 2; i++) {
		char to[32];

		snprintf(to, sizeof to, "/own%s", moved[i]);
		if (mkdir(to, 0755) || mount(moved[i], to, NULL, MS_MOVE, NULL))
			return false;
	}
	return !mkdir("/own/world", 0755) && !mkdir("/own/lower", 0755) && !mkdir("/own/upper", 0755) &&
	       !mkdir("/own/cgroup", 0755) && !chdir("/own") && !mount(".", "/", NULL, MS_MOVE, NULL) &&
	       !chroot(".") && !chdir("/");
}

/* A user namespace with the agent's map: only to say to the kernel which map is meant. */
static int mapped_namespace(void)
{
	int ends[2], fd = -1;
	char path[64], byte;
	pid_t pid;

	if (pipe2(ends, O_CLOEXEC))
		return -1;
	pid = fork();
	if (pid == 0) {
		if (unshare(CLONE_NEWUSER) || write(ends[1], "u", 1) != 1)
			_exit(1);
		pause();
		_exit(0);
	}
	close(ends[1]);
	if (pid > 0 && read(ends[0], &byte, 1) == 1 &&
	    !world_map_ids("/proc", pid, WORLD_UID_BASE, WORLD_UID_COUNT, false)) {
		snprintf(path, sizeof path, "/proc/%d/ns/user", (int)pid);
		fd = open(path, O_RDONLY | O_CLOEXEC);
	}
	close(ends[0]);
	if (pid > 0) {
		kill(pid, SIGKILL);
		waitpid(pid, NULL, 0);
	}
	return fd;
}

static bool shift_ids(const char *path)
{
	auto_fd ns = mapped_namespace();
	auto_fd tree = (int)syscall(SYS_open_tree, AT_FDCWD, path, OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC);
	struct mount_attr a = { .attr_set = MOUNT_ATTR_IDMAP };

	if (ns < 0 || tree < 0)
		return false;
	a.userns_fd = (unsigned)ns;
	if (syscall(SYS_mount_setattr, tree, "", AT_EMPTY_PATH, &a, sizeof a))
		return false;
	return !syscall(SYS_move_mount, tree, "", AT_FDCWD, path, MOVE_MOUNT_F_EMPTY_PATH);
}

static bool world_tree(void)
{
	if (!disk_is_there() || mount("/dev/vda", "/lower", "erofs", MS_RDONLY | MS_NODEV, NULL) ||
	    !shift_ids("/lower"))
		return false;
	if (mount("tmpfs", "/upper", "tmpfs", MS_NODEV, "mode=755,size=75%") || mkdir("/upper/upper", 0755) ||
	    mkdir("/upper/work", 0755) || chown("/upper/upper", WORLD_UID_BASE, WORLD_UID_BASE))
		return false;
	return !mount("overlay", WORLD_ROOT, "overlay", MS_NODEV,
		      "lowerdir=/lower,upperdir=/upper/upper,workdir=/upper/work");
}

static bool cgroups(void)
{
	return !mount("cgroup2", "/cgroup", "cgroup2", MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL) &&
	       write_text("/cgroup/cgroup.subtree_control", "+pids +memory");
}

/* What the kernel is told not to do any more. A kernel without one of these lacks the thing. */
static bool harden(void)
{
	static const char *const settings[][2] = {
		{ "/proc/sys/kernel/modules_disabled", "1" },
		{ "/proc/sys/kernel/kexec_load_disabled", "1" },
		{ "/proc/sys/kernel/sysrq", "0" },
		{ "/proc/sys/kernel/dmesg_restrict", "1" },
		{ "/proc/sys/kernel/kptr_restrict", "2" },
		{ "/proc/sys/kernel/perf_event_paranoid", "3" },
		{ "/proc/sys/kernel/unprivileged_bpf_disabled", "1" },
		{ "/proc/sys/kernel/core_pattern", "core" },
	};

	for (size_t i = 0; i < sizeof settings / sizeof settings[0]; i++)
		if (!write_text(settings[i][0], settings[i][1]) && errno != ENOENT && errno != EPERM)
			return false;
	return true;
}

const char *boot_machine(int ret_ports[BOOT_PORTS])
{
	auto_fd directory = -1;
	pid_t network;

	if (!first_mounts())
		return "first mounts";
	directory = open(MODULES, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	network = directory < 0 || !load_list(directory, "list.shared") ? -1 : load_network(directory);
	if (network < 0 || !load_list(directory, "list"))
		return "kernel modules";
	if (!own_root())
		return "own root";
	if (!open_ports(ret_ports))
		return "ports";
	if (!world_tree())
		return "image";
	if (!cgroups())
		return "cgroups";
	if (!network_loaded(network))
		return "network modules";
	if (!harden())
		return "kernel settings";
	return NULL;
}

enum err boot_clock(uint64_t unix_ns)
{
	struct timespec t = { .tv_sec = (time_t)(unix_ns / 1000000000u),
			      .tv_nsec = (long)(unix_ns % 1000000000u) };

	return clock_settime(CLOCK_REALTIME, &t) ? ERR_LOCAL : ERR_OK;
}

enum err boot_entropy(struct str seed)
{
	auto_fd fd = open("/dev/urandom", O_RDWR | O_CLOEXEC);
	struct {
		int entropy_bits, size;		/* struct rand_pool_info of
						   linux/random.h, with room for the bytes */
		char bytes[64];
	} pool = { 0 };

	if (fd < 0 || seed.n > sizeof pool.bytes)
		return ERR_LOCAL;
	pool.entropy_bits = (int)seed.n * 8;
	pool.size = (int)seed.n;
	memcpy(pool.bytes, seed.p, seed.n);
	return ioctl(fd, RNDADDENTROPY, &pool) || ioctl(fd, RNDRESEEDCRNG) ? ERR_LOCAL : ERR_OK;
}
