/* qemu.c - the machine driver "qemu"
 *
 * Theory of operation: one QEMU process is one machine: the `microvm` board, a kernel, an initrd
 * with paddock-init, a read-only disk, three virtio-serial ports on inherited sockets, a
 * balloon, a source of randomness, and no network card. QEMU's own seccomp filter is on, and
 * before exec the child confines itself (user, mount, pid, ipc, empty network namespace, a
 * root with only QEMU and its inputs), so that a captured QEMU is a process that can do nothing.
 *
 * KVM is used where probe.c has seen it run a guest, software emulation otherwise; which, is
 * said in the probe's text. Emulation is no security boundary of its own.
 *
 * Flags that decide whether it boots at all: acpi=on, or no virtio-mmio device is found; the
 * measured TSC rate under emulation, or the kernel hangs calibrating; rtc=on, or it waits two
 * seconds. The guest's console goes to the log: a panic can be read there.
 */
#include "machine/qemu.h"

#include "base/auto.h"
#include "os/confine.h"
#include "os/spawn.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <x86intrin.h>

#define ARGUMENTS_MAX 96
#define PORT_FD_FIRST 10
#define PROBE_MEMORY_MIB 256u
#define QEMU_NICE 5
#define OVERHEAD_BYTES (6ull << 30)	/* address space beside the guest's memory: code, translation cache, stacks */
#define TSC_MEASURE_NS 20000000
#define LOG_BYTES_MAX (4u << 20)

struct machine {
	pid_t pid;
	int pidfd;
};

/* -- arguments ------------------------------------------------------------------------------- */

/* A list of arguments whose text lives in one buffer; an overflow is found at the end. */
struct arguments {
	struct buf text;
	size_t offsets[ARGUMENTS_MAX];
	size_t count;
	char *argv[ARGUMENTS_MAX + 1];
};

static void add(struct arguments *a, const char *format, ...) __attribute__((format(printf, 2, 3)));

static void add(struct arguments *a, const char *format, ...)
{
	char text[8192];
	va_list ap;
	int n;

	va_start(ap, format);
	n = vsnprintf(text, sizeof text, format, ap);
	va_end(ap);
	if (n < 0 || (size_t)n >= sizeof text || a->count == ARGUMENTS_MAX) {
		a->text.err = ERR_LIMIT;
		return;
	}
	a->offsets[a->count++] = a->text.len;
	buf_put(&a->text, str_make(text, (size_t)n + 1));
}

static enum err finish(struct arguments *a)
{
	if (buf_err(&a->text))
		return buf_err(&a->text);
	for (size_t i = 0; i < a->count; i++)
		a->argv[i] = a->text.p + a->offsets[i];
	a->argv[a->count] = NULL;
	return ERR_OK;
}

/* The rate of the counter that emulation shows to the guest as its TSC. */
static unsigned tsc_khz(void)
{
	struct timespec begin, now;
	uint64_t ticks = __rdtsc();
	int64_t ns;

	clock_gettime(CLOCK_MONOTONIC_RAW, &begin);
	do {
		clock_gettime(CLOCK_MONOTONIC_RAW, &now);
		ns = (now.tv_sec - begin.tv_sec) * 1000000000 + (now.tv_nsec - begin.tv_nsec);
	} while (ns < TSC_MEASURE_NS);
	return (unsigned)((__rdtsc() - ticks) * 1000000 / (uint64_t)ns);
}

static void add_board(struct arguments *a, const struct qemu_plan *p, unsigned memory_mib, unsigned cpus)
{
	add(a, "-machine");
	add(a, "microvm,acpi=on,rtc=on,memory-backend=ram");
	add(a, "-accel");
	add(a, p->kvm ? "kvm" : "tcg,thread=multi,tb-size=256");
	add(a, "-cpu");
	add(a, p->kvm ? "host" : "max");
	add(a, "-smp");
	add(a, "%u", cpus);
	add(a, "-m");
	add(a, "%u", memory_mib);
	add(a, "-object");
	add(a, "memory-backend-memfd,id=ram,size=%uM", memory_mib);
	add(a, "-nodefaults");
	add(a, "-no-user-config");
	add(a, "-no-reboot");
	add(a, "-display");
	add(a, "none");
	add(a, "-global");
	add(a, "virtio-mmio.force-legacy=false");
	add(a, "-chardev");
	add(a, "stdio,id=console,signal=off");
	add(a, "-serial");
	add(a, "chardev:console");
	add(a, "-sandbox");
	add(a, "on,obsolete=deny,elevateprivileges=deny,spawn=deny,resourcecontrol=deny");
}

static void add_kernel(struct arguments *a, const struct qemu_plan *p)
{
	char clock[128] = "";

	if (!p->kvm)
		/* emulated, the guest has no speculation that its kernel could mitigate */
		snprintf(clock, sizeof clock, " tsc_early_khz=%u tsc=reliable mitigations=off no_timer_check",
			 tsc_khz());
	add(a, "-kernel");
	add(a, "%s", p->kernel);
	add(a, "-initrd");
	add(a, "%s", p->initrd);
	add(a, "-append");
	add(a, "console=ttyS0 quiet loglevel=1 panic=-1 reboot=t cryptomgr.notests rcupdate.rcu_expedited=1 "
	    "initcall_blacklist=init_kprobe_trace audit=0 8250.nr_uarts=1%s%s", clock,
	    p->spec ? "" : " -- --probe");
}

static void add_devices(struct arguments *a, const struct machine_spec *spec)
{
	static const char *const names[MACHINE_PORTS] = { "net", "control", "files" };

	add(a, "-blockdev");
	add(a, "driver=raw,node-name=root,read-only=on,file.driver=file,file.filename=%s,file.locking=off",
	    spec->image);
	add(a, "-device");
	add(a, "virtio-blk-device,drive=root");
	add(a, "-device");
	add(a, "virtio-serial-device,max_ports=%d", MACHINE_PORTS + 1);
	for (int i = 0; i < MACHINE_PORTS; i++) {
		add(a, "-chardev");
		add(a, "socket,id=%s,fd=%d", names[i], PORT_FD_FIRST + i);
		add(a, "-device");
		add(a, "virtserialport,chardev=%s,name=%s,nr=%d", names[i], names[i], i + 1);
	}
	add(a, "-device");
	add(a, "virtio-rng-device");
	add(a, "-device");
	add(a, "virtio-balloon-device,free-page-reporting=on,deflate-on-oom=on");
}

/* -- the child ---------------------------------------------------------------------------------- */

static enum err limit_memory(const struct qemu_plan *p)
{
	const uint64_t guest = p->spec ? p->spec->memory_bytes : (uint64_t)PROBE_MEMORY_MIB << 20;
	struct rlimit limit = { guest + OVERHEAD_BYTES, guest + OVERHEAD_BYTES };

	/* who runs us may have been nicer still, and it cannot be taken back */
	int now = getpriority(PRIO_PROCESS, 0);

	if (setrlimit(RLIMIT_AS, &limit))
		return ERR_CONFINE;
	return now < QEMU_NICE && setpriority(PRIO_PROCESS, 0, QEMU_NICE) ? ERR_CONFINE : ERR_OK;
}

static enum err confine(void *ctx)
{
	const struct qemu_plan *p = ctx;
	const struct confine_bind binds[] = {
		{ .source = QEMU_PROGRAM, .target = QEMU_PROGRAM },
		{ .source = "/usr/lib", .target = "/usr/lib" },
		{ .source = "/lib", .target = "/lib" },
		{ .source = "/lib64", .target = "/lib64", .optional = true },
		{ .source = "/etc/ld.so.cache", .target = "/etc/ld.so.cache", .optional = true },
		{ .source = "/usr/share/qemu", .target = "/usr/share/qemu" },
		{ .source = "/usr/share/seabios", .target = "/usr/share/seabios", .optional = true },
		{ .source = p->kernel, .target = p->kernel },
		{ .source = p->initrd, .target = p->initrd },
		{ .source = "/dev/null", .target = "/dev/null", .device = true, .writable = true },
		{ .source = p->spec ? p->spec->image : "/dev/null",
		  .target = p->spec ? p->spec->image : "/dev/zero" },
		{ .source = "/dev/kvm", .target = "/dev/kvm", .device = true, .writable = true },
	};
	const size_t count = sizeof binds / sizeof binds[0] - (p->kvm ? 0 : 1);
	enum err e = confine_namespaces(CONFINE_NET_EMPTY);

	signal(SIGXFSZ, SIG_IGN);	/* see qemu_started() */
	if (!e)
		e = confine_root(binds, count, false);
	if (!e)
		e = confine_limits(256, 64);
	if (!e)
		e = limit_memory(p);
	if (!e)
		e = confine_drop();
	return e ? e : confine_seccomp(CONFINE_MACHINE);
}

enum err qemu_spawn(const struct qemu_plan *p, pid_t *ret_pid, int *ret_pidfd)
{
	const unsigned memory_mib = p->spec ? (unsigned)(p->spec->memory_bytes >> 20) : PROBE_MEMORY_MIB;
	struct qemu_plan plan = *p;
	struct arguments *a = calloc(1, sizeof *a);
	struct spawn s = { .program = QEMU_PROGRAM, .new_session = true, .pid_namespace = true,
			   .prepare = confine,
			   .prepare_ctx = &plan };
	enum err e;

	if (!a)
		return ERR_MEMORY;
	buf_init(&a->text, 65536);
	add(a, "qemu-system-x86_64");
	add_board(a, p, memory_mib, p->spec ? p->spec->cpus : 1);
	add_kernel(a, p);
	if (p->spec)
		add_devices(a, p->spec);
	e = finish(a);
	s.argv = a->argv;
	s.fds[s.fd_count++] = (struct spawn_fd){ p->output_fd, 1 };
	s.fds[s.fd_count++] = (struct spawn_fd){ p->output_fd, 2 };
	for (int i = 0; p->spec && i < MACHINE_PORTS; i++)
		s.fds[s.fd_count++] = (struct spawn_fd){ p->spec->ports[i], PORT_FD_FIRST + i };
	if (!e)
		e = spawn_start(&s, ret_pid, ret_pidfd);
	buf_free(&a->text);
	free(a);
	return e;
}

/* -- the driver ----------------------------------------------------------------------------------- */

struct prepared {
	char kernel[KERNEL_PATH_MAX], initrd[KERNEL_PATH_MAX];
};

static enum err prepare(struct prepared *ret, struct buf *ret_text)
{
	char init[KERNEL_PATH_MAX];
	struct kernel k;
	enum err e;

	if (access(QEMU_PROGRAM, X_OK)) {
		buf_put_z(ret_text, QEMU_PROGRAM " is missing: install Debian's package qemu-system-x86");
		return ERR_INPUT;
	}
	if (machine_init_path(init, sizeof init)) {
		buf_put_z(ret_text, "paddock-init is not installed beside this program");
		return ERR_INPUT;
	}
	e = kernel_find(&k, ret_text);
	return e ? e : kernel_prepare(&k, init, ret->kernel, ret->initrd, ret_text);
}

static enum err qemu_probe(struct buf *ret_text)
{
	struct prepared files;
	enum err e = prepare(&files, ret_text);
	auto_buf why = BUF_EMPTY;

	if (e)
		return e;
	buf_init(&why, 512);
	if (probe_kvm(files.kernel, files.initrd, &why)) {
		buf_put_z(ret_text, "KVM");
	} else {
		buf_put_z(ret_text,
			  "software emulation, several times slower and no security boundary of its own: ");
		buf_put(ret_text, buf_str(&why));
	}
	return buf_err(ret_text);
}

static enum err qemu_start(const struct machine_spec *spec, struct machine **ret, struct buf *ret_text)
{
	struct prepared files;
	struct qemu_plan p = { .spec = spec, .kernel = files.kernel, .initrd = files.initrd,
			       .output_fd = spec->stderr_fd };
	struct machine *m;
	auto_buf why = BUF_EMPTY;
	enum err e = prepare(&files, ret_text);

	if (e)
		return e;
	if (access(spec->image, R_OK) || strchr(spec->image, ',')) {
		buf_printf(ret_text, "the image %s cannot be read", spec->image);
		return ERR_INPUT;
	}
	buf_init(&why, 512);
	p.kvm = probe_kvm(files.kernel, files.initrd, &why);
	m = calloc(1, sizeof *m);
	if (!m)
		return ERR_MEMORY;
	e = qemu_spawn(&p, &m->pid, &m->pidfd);
	if (e) {
		buf_printf(ret_text, "QEMU could not be started: %s", strerror(errno));
		free(m);
		return e;
	}
	*ret = m;
	return ERR_OK;
}

static pid_t qemu_pid(const struct machine *m) { return m->pid; }
static int qemu_pidfd(const struct machine *m) { return m->pidfd; }

/* The guest's kernel writes the console, and with it our log: it gets no more once its memory, a file too, is
 * made. What is beyond is lost (SIGXFSZ is ignored); the guest does not wait for it. */
static void qemu_started(struct machine *m)
{
	const struct rlimit limit = { LOG_BYTES_MAX, LOG_BYTES_MAX };

	if (m->pid > 0)
		(void)prlimit(m->pid, RLIMIT_FSIZE, &limit, NULL);
}

static void qemu_kill(struct machine *m)
{
	if (m->pid > 0)
		kill(m->pid, SIGKILL);
}

static void qemu_free(struct machine *m)
{
	if (!m)
		return;
	close(m->pidfd);
	free(m);
}

const struct machine_ops machine_qemu = {
	.name = "qemu",
	.probe = qemu_probe,
	.start = qemu_start,
	.pid = qemu_pid,
	.pidfd = qemu_pidfd,
	.started = qemu_started,
	.kill = qemu_kill,
	.free = qemu_free,
};
