/* probe.c - does KVM run a guest here?
 *
 * Theory of operation: a /dev/kvm that opens proves nothing: there are hosts whose KVM runs a
 * few instructions and then fails on a real kernel. So the guest's own kernel and initrd are
 * booted under it with no devices; paddock-init says PROBE_WORD on the console and ends the
 * machine. The answer is kept in the cache under the host's boot id and the names, sizes and
 * times of kernel, initrd and QEMU, and asked again when any of them changes.
 */
#include "machine/qemu.h"

#include "base/auto.h"
#include "base/clock.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/wait.h>

#define PROBE_WORD STR("paddock-init: this guest runs")
#define PROBE_TIMEOUT_MS 5000

static void describe_file(struct buf *b, const char *path)
{
	struct stat st;

	if (!stat(path, &st))
		buf_printf(b, " %s %lld %lld", path, (long long)st.st_size, (long long)st.st_mtime);
}

/* What the answer depends on, one line. */
static bool circumstances(const char *kernel, const char *initrd, struct buf *b)
{
	if (kernel_read_file("/proc/sys/kernel/random/boot_id", b) || b->len == 0)
		return false;
	b->len--;	/* its line end */
	describe_file(b, kernel);
	describe_file(b, initrd);
	describe_file(b, QEMU_PROGRAM);
	return !buf_err(b);
}

static bool contains(struct str s, struct str word)
{
	for (; s.n >= word.n; s = str_from(s, 1))
		if (str_starts(s, word))
			return true;
	return false;
}

static bool wait_for_word(int fd)
{
	uint64_t deadline = clock_ms() + PROBE_TIMEOUT_MS;
	auto_buf text = BUF_EMPTY;

	buf_init(&text, 65536);
	for (;;) {
		struct pollfd p = { .fd = fd, .events = POLLIN };
		uint64_t now = clock_ms();
		ssize_t n;

		if (now >= deadline || poll(&p, 1, (int)(deadline - now)) <= 0 || buf_reserve(&text, 4096))
			return false;
		n = read(fd, buf_tail(&text), 4096);
		if (n <= 0)
			return false;
		text.len += (size_t)n;
		if (contains(buf_str(&text), PROBE_WORD))
			return true;
	}
}

static bool run_guest(const char *kernel, const char *initrd)
{
	struct qemu_plan p = { .kvm = true, .kernel = kernel, .initrd = initrd };
	int ends[2], pidfd = -1;
	pid_t pid = -1;
	bool works;

	if (pipe2(ends, O_CLOEXEC))
		return false;
	p.output_fd = ends[1];
	works = !qemu_spawn(&p, &pid, &pidfd);
	close(ends[1]);
	if (works) {
		works = wait_for_word(ends[0]);
		kill(pid, SIGKILL);
		waitpid(pid, NULL, 0);
		close(pidfd);
	}
	close(ends[0]);
	return works;
}

bool probe_kvm(const char *kernel, const char *initrd, struct buf *ret_text)
{
	char path[KERNEL_PATH_MAX];
	auto_buf now = BUF_EMPTY, before = BUF_EMPTY;
	bool works, known = false;
	auto_fd kvm = open("/dev/kvm", O_RDWR | O_CLOEXEC);

	buf_init(&now, 16384);
	buf_init(&before, 16384);
	if (kvm < 0) {
		buf_printf(ret_text, "/dev/kvm: %s", strerror(errno));
		return false;
	}
	if (!circumstances(kernel, initrd, &now) || kernel_cache("machine", path, sizeof path) ||
	    strlen(path) > sizeof path - 8) {
		buf_put_z(ret_text, "the answer of a KVM test cannot be kept in the cache");
		return false;
	}
	memcpy(path + strlen(path), "/kvm", 5);
	if (!kernel_read_file(path, &before) && before.len > 2)
		known = str_eq(str_from(buf_str(&before), 2), buf_str(&now));
	works = known ? before.p[0] == '1' : run_guest(kernel, initrd);
	if (!known) {
		buf_clear(&before);
		buf_put_z(&before, works ? "1 " : "0 ");
		buf_put(&before, buf_str(&now));
		if (buf_err(&before) || kernel_write_file(path, buf_str(&before)))
			unlink(path);	/* it is asked again next time */
	}
	if (!works)
		buf_put_z(ret_text, "KVM is there but did not boot the guest's kernel");
	return works;
}
