/* filter.c - confine_seccomp(): the system calls that a process may make
 *
 * Theory of operation: an allowlist by purpose; whatever is not in it kills the process, which
 * closes the gate (I8). Memory can never become executable again: mmap and mprotect with
 * PROT_EXEC are refused, so a captured process has only the code that it came with. clone3
 * answers ENOSYS, so that the C library falls back to clone, whose flags can be seen.
 */
#include "os/confine.h"

#include "base/auto.h"

#include <asm/termbits.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/sched.h>
#include <linux/seccomp.h>
#include <seccomp.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#define COUNT(a) (sizeof(a) / sizeof *(a))

#if defined(__has_feature)
#if __has_feature(address_sanitizer)
#define SANITIZED_CLANG
#endif
#endif

static const int base_calls[] = {
	SCMP_SYS(read), SCMP_SYS(write), SCMP_SYS(readv), SCMP_SYS(writev), SCMP_SYS(close),
	SCMP_SYS(fstat), SCMP_SYS(newfstatat), SCMP_SYS(lseek), SCMP_SYS(munmap), SCMP_SYS(mremap),
	SCMP_SYS(madvise), SCMP_SYS(brk), SCMP_SYS(mlock), SCMP_SYS(mlock2), SCMP_SYS(munlock),
	SCMP_SYS(rt_sigaction), SCMP_SYS(rt_sigprocmask), SCMP_SYS(rt_sigreturn), SCMP_SYS(sigaltstack),
	SCMP_SYS(rt_sigpending), SCMP_SYS(clock_gettime), SCMP_SYS(clock_getres), SCMP_SYS(clock_nanosleep),
	SCMP_SYS(nanosleep), SCMP_SYS(gettimeofday), SCMP_SYS(time), SCMP_SYS(getpid), SCMP_SYS(gettid),
	SCMP_SYS(getuid), SCMP_SYS(geteuid), SCMP_SYS(getgid), SCMP_SYS(getegid),
	SCMP_SYS(exit), SCMP_SYS(exit_group), SCMP_SYS(futex), SCMP_SYS(poll), SCMP_SYS(ppoll),
	SCMP_SYS(select), SCMP_SYS(pselect6), SCMP_SYS(epoll_create1), SCMP_SYS(epoll_ctl),
	SCMP_SYS(epoll_wait), SCMP_SYS(epoll_pwait), SCMP_SYS(epoll_pwait2), SCMP_SYS(eventfd2),
	SCMP_SYS(timerfd_create), SCMP_SYS(timerfd_settime), SCMP_SYS(signalfd4), SCMP_SYS(pipe2),
	SCMP_SYS(recvfrom), SCMP_SYS(recvmsg), SCMP_SYS(sendto), SCMP_SYS(sendmsg), SCMP_SYS(shutdown),
	SCMP_SYS(getsockopt), SCMP_SYS(setsockopt), SCMP_SYS(getsockname), SCMP_SYS(getpeername),
	SCMP_SYS(dup), SCMP_SYS(getrandom), SCMP_SYS(sched_yield),
	SCMP_SYS(sched_getaffinity), SCMP_SYS(rseq), SCMP_SYS(set_robust_list), SCMP_SYS(restart_syscall),
	SCMP_SYS(uname), SCMP_SYS(sysinfo), SCMP_SYS(getrlimit), SCMP_SYS(membarrier), SCMP_SYS(getrusage),
};

/* what a job of the decoder is left with: one descriptor, and memory (mmap: below) */
static const int job_calls[] = {
	SCMP_SYS(read), SCMP_SYS(write), SCMP_SYS(exit), SCMP_SYS(exit_group), SCMP_SYS(brk),
	SCMP_SYS(munmap), SCMP_SYS(mremap),
#if defined(__SANITIZE_ADDRESS__) || defined(SANITIZED_CLANG)
	SCMP_SYS(madvise), SCMP_SYS(sigaltstack), SCMP_SYS(sched_yield),	/* the sanitizer's own */
#endif
};

static const int socket_calls[] = {
	SCMP_SYS(connect), SCMP_SYS(bind), SCMP_SYS(sendmmsg), SCMP_SYS(recvmmsg),
};

static const int files_calls[] = {
	SCMP_SYS(open), SCMP_SYS(openat), SCMP_SYS(stat), SCMP_SYS(lstat), SCMP_SYS(statx),
	SCMP_SYS(fallocate), SCMP_SYS(ftruncate), SCMP_SYS(fsync), SCMP_SYS(fdatasync), SCMP_SYS(pread64),
	SCMP_SYS(pwrite64), SCMP_SYS(renameat), SCMP_SYS(renameat2), SCMP_SYS(unlinkat), SCMP_SYS(mkdirat),
	SCMP_SYS(getdents64), SCMP_SYS(readlink), SCMP_SYS(readlinkat), SCMP_SYS(access),
	SCMP_SYS(faccessat), SCMP_SYS(faccessat2), SCMP_SYS(flock), SCMP_SYS(fadvise64),
};

#define FCHMODAT2 452	/* Linux 6.6; libseccomp 2.5 has no name for it */

static const int tree_calls[] = {
	FCHMODAT2,
	SCMP_SYS(openat2), SCMP_SYS(linkat), SCMP_SYS(symlinkat), SCMP_SYS(mknodat), SCMP_SYS(fchmod),
	SCMP_SYS(fchmodat), SCMP_SYS(fchown), SCMP_SYS(fchownat), SCMP_SYS(utimensat),
	SCMP_SYS(copy_file_range), SCMP_SYS(statfs), SCMP_SYS(fstatfs), SCMP_SYS(umask), SCMP_SYS(preadv),
	SCMP_SYS(pwritev), SCMP_SYS(preadv2), SCMP_SYS(pwritev2), SCMP_SYS(truncate), SCMP_SYS(chmod),
	SCMP_SYS(getxattr), SCMP_SYS(setxattr), SCMP_SYS(listxattr), SCMP_SYS(removexattr),
	SCMP_SYS(lgetxattr), SCMP_SYS(lsetxattr), SCMP_SYS(llistxattr), SCMP_SYS(lremovexattr),
	SCMP_SYS(fgetxattr),
	SCMP_SYS(fsetxattr), SCMP_SYS(flistxattr), SCMP_SYS(fremovexattr), SCMP_SYS(sync_file_range),
};

/* what no credential command needs; the keeper passes its filter on to what it runs */
static const int never_calls[] = {
	SCMP_SYS(ptrace), SCMP_SYS(process_vm_readv), SCMP_SYS(process_vm_writev), SCMP_SYS(mount),
	SCMP_SYS(umount2), SCMP_SYS(pivot_root), SCMP_SYS(move_mount), SCMP_SYS(open_tree), SCMP_SYS(fsopen),
	SCMP_SYS(fsmount), SCMP_SYS(mount_setattr), SCMP_SYS(chroot), SCMP_SYS(init_module),
	SCMP_SYS(finit_module), SCMP_SYS(delete_module), SCMP_SYS(kexec_load), SCMP_SYS(kexec_file_load),
	SCMP_SYS(bpf), SCMP_SYS(perf_event_open), SCMP_SYS(userfaultfd), SCMP_SYS(io_uring_setup),
	SCMP_SYS(reboot), SCMP_SYS(swapon), SCMP_SYS(swapoff), SCMP_SYS(settimeofday),
	SCMP_SYS(clock_settime), SCMP_SYS(sethostname), SCMP_SYS(setns), SCMP_SYS(unshare),
	SCMP_SYS(kcmp), SCMP_SYS(pidfd_getfd), SCMP_SYS(acct), SCMP_SYS(quotactl), SCMP_SYS(syslog),
};

/* what a machine has no use for: it was given its sockets */
static const int machine_calls[] = {
	SCMP_SYS(socket), SCMP_SYS(connect), SCMP_SYS(bind), SCMP_SYS(listen), SCMP_SYS(accept),
	SCMP_SYS(accept4),
	SCMP_SYS(process_madvise), SCMP_SYS(pidfd_open), SCMP_SYS(pidfd_send_signal), SCMP_SYS(add_key),
	SCMP_SYS(request_key), SCMP_SYS(keyctl), SCMP_SYS(open_by_handle_at), SCMP_SYS(fanotify_init),
};

static int add_all(scmp_filter_ctx f, uint32_t action, const int *calls, size_t count)
{
	int rc = 0;

	for (size_t i = 0; i < count && !rc; i++)
		rc = seccomp_rule_add(f, action, calls[i], 0);
	return rc;
}

static int add_memory(scmp_filter_ctx f)
{
	return seccomp_rule_add(f, SCMP_ACT_ALLOW, SCMP_SYS(mmap), 1,
				SCMP_A2(SCMP_CMP_MASKED_EQ, PROT_EXEC, 0));
}

/* Signals go to this process alone: others of the same user are in its pid namespace where it has none of its own. */
static int add_signals(scmp_filter_ctx f)
{
	/* F_SETOWN and F_SETSIG, which have the kernel send them, are not among these. Each is compared whole: the kernel
	 * reads the lower half of it alone, so that a range would let what it leaves out in by the upper one. */
	static const int commands[] = { F_DUPFD, F_DUPFD_CLOEXEC, F_GETFD, F_SETFD, F_GETFL, F_SETFL,
					F_OFD_GETLK, F_OFD_SETLK };
	int rc = seccomp_rule_add(f, SCMP_ACT_ALLOW, SCMP_SYS(tgkill), 1,
				  SCMP_A0(SCMP_CMP_EQ, (scmp_datum_t)getpid(), 0));

	for (size_t i = 0; i < COUNT(commands) && !rc; i++)
		rc = seccomp_rule_add(f, SCMP_ACT_ALLOW, SCMP_SYS(fcntl), 1,
				      SCMP_A1(SCMP_CMP_EQ, (scmp_datum_t)commands[i], 0));
	return rc;
}

static int add_base(scmp_filter_ctx f)
{
	static const unsigned long ioctls[] = { FIONREAD, FIONBIO, TCGETS, TIOCGWINSZ };
	int rc = add_all(f, SCMP_ACT_ALLOW, base_calls, COUNT(base_calls));

	for (size_t i = 0; i < COUNT(ioctls) && !rc; i++)
		rc = seccomp_rule_add(f, SCMP_ACT_ALLOW, SCMP_SYS(ioctl), 1,
				      SCMP_A1(SCMP_CMP_EQ, ioctls[i], 0));
	if (!rc)
		rc = add_signals(f);
	if (!rc)
		rc = add_memory(f);
	if (!rc)
		rc = seccomp_rule_add(f, SCMP_ACT_ALLOW, SCMP_SYS(mprotect), 1,
				      SCMP_A2(SCMP_CMP_MASKED_EQ, PROT_EXEC, 0));
	if (!rc)	/* limits may be read, not set */
		rc = seccomp_rule_add(f, SCMP_ACT_ALLOW, SCMP_SYS(prlimit64), 1, SCMP_A2(SCMP_CMP_EQ, 0, 0));
	if (!rc)
		rc = seccomp_rule_add(f, SCMP_ACT_ERRNO(ENOSYS), SCMP_SYS(clone3), 0);
	return rc;
}

static int add_socket(scmp_filter_ctx f)
{
	static const int families[] = { AF_INET, AF_INET6 };
	int rc = add_all(f, SCMP_ACT_ALLOW, socket_calls, COUNT(socket_calls));

	for (size_t i = 0; i < COUNT(families) && !rc; i++)
		rc = seccomp_rule_add(f, SCMP_ACT_ALLOW, SCMP_SYS(socket), 1,
				      SCMP_A0(SCMP_CMP_EQ, (scmp_datum_t)families[i], 0));
	if (!rc)	/* others (netlink, packet) fail instead: resolvers try them and cope */
		rc = seccomp_rule_add(f, SCMP_ACT_ERRNO(EAFNOSUPPORT), SCMP_SYS(socket), 1,
				      SCMP_A0(SCMP_CMP_GT, AF_INET6, 0));
	return rc;
}

static int add_tty(scmp_filter_ctx f)
{
	static const unsigned long ioctls[] = { TCSETS, TCSETSW, TCSETSF };
	int rc = 0;

	for (size_t i = 0; i < COUNT(ioctls) && !rc; i++)
		rc = seccomp_rule_add(f, SCMP_ACT_ALLOW, SCMP_SYS(ioctl), 1,
				      SCMP_A1(SCMP_CMP_EQ, ioctls[i], 0));
	return rc;
}

static int add_threads(scmp_filter_ctx f)
{
	return seccomp_rule_add(f, SCMP_ACT_ALLOW, SCMP_SYS(clone), 1,
				SCMP_A0(SCMP_CMP_MASKED_EQ, CLONE_THREAD | CLONE_NEWUSER, CLONE_THREAD));
}

static int add_fork(scmp_filter_ctx f)
{
	const scmp_datum_t made_of = CLONE_THREAD | CLONE_VM | CLONE_FILES | CLONE_FS | CLONE_NEWUSER |
				     CLONE_NEWNS | CLONE_NEWPID | CLONE_NEWNET | CLONE_NEWIPC | CLONE_NEWUTS |
				     CLONE_NEWCGROUP;
	int rc = seccomp_rule_add(f, SCMP_ACT_ALLOW, SCMP_SYS(clone), 1,
				  SCMP_A0(SCMP_CMP_MASKED_EQ, made_of, 0));

	if (!rc)
		rc = seccomp_rule_add(f, SCMP_ACT_ALLOW, SCMP_SYS(wait4), 0);
	if (!rc)
		rc = seccomp_rule_add(f, SCMP_ACT_ALLOW, SCMP_SYS(close_range), 0);
	if (!rc)
		rc = seccomp_rule_add(f, SCMP_ACT_ALLOW, SCMP_SYS(prctl), 1,
				      SCMP_A0(SCMP_CMP_EQ, PR_SET_PDEATHSIG, 0));
	if (!rc)	/* one's own limits: without a capability they go down alone */
		rc = seccomp_rule_add(f, SCMP_ACT_ALLOW, SCMP_SYS(prlimit64), 1, SCMP_A0(SCMP_CMP_EQ, 0, 0));
	if (!rc)
		rc = seccomp_rule_add(f, SCMP_ACT_ALLOW, SCMP_SYS(seccomp), 2,
				      SCMP_A0(SCMP_CMP_EQ, SECCOMP_SET_MODE_FILTER, 0),
				      SCMP_A1(SCMP_CMP_EQ, 0, 0));
	return rc;
}

static int add_sets(scmp_filter_ctx f, unsigned sets)
{
	int rc;

	if (sets == CONFINE_JOB) {
		rc = add_all(f, SCMP_ACT_ALLOW, job_calls, COUNT(job_calls));
		return rc ? rc : add_memory(f);
	}
	rc = add_base(f);

	if (!rc && (sets & CONFINE_SOCKET))
		rc = add_socket(f);
	if (!rc && (sets & (CONFINE_FILES | CONFINE_TREE)))
		rc = add_all(f, SCMP_ACT_ALLOW, files_calls, COUNT(files_calls));
	if (!rc && (sets & CONFINE_TREE))
		rc = add_all(f, SCMP_ACT_ALLOW, tree_calls, COUNT(tree_calls));
	if (!rc && (sets & CONFINE_TTY))
		rc = add_tty(f);
	if (!rc && (sets & CONFINE_THREADS))
		rc = add_threads(f);
	if (!rc && (sets & CONFINE_PAIR))
		rc = seccomp_rule_add(f, SCMP_ACT_ALLOW, SCMP_SYS(socketpair), 1,
				      SCMP_A0(SCMP_CMP_EQ, AF_UNIX, 0));
	if (!rc && (sets & CONFINE_FORK))
		rc = add_fork(f);
	return rc;
}

static scmp_filter_ctx make(unsigned sets, int *ret_rc)
{
	bool refuse = sets & (CONFINE_SPAWN | CONFINE_MACHINE);
	scmp_filter_ctx f = seccomp_init(refuse ? SCMP_ACT_ALLOW : SCMP_ACT_KILL_PROCESS);
	int rc = f ? 0 : -ENOMEM;

	if (!rc && refuse)
		rc = add_all(f, SCMP_ACT_ERRNO(EPERM), never_calls, COUNT(never_calls));
	if (!rc && (sets & CONFINE_MACHINE))
		rc = add_all(f, SCMP_ACT_ERRNO(EPERM), machine_calls, COUNT(machine_calls));
	if (!rc && !refuse)
		rc = add_sets(f, sets);
	*ret_rc = rc;
	return f;
}

static enum err made(scmp_filter_ctx f, int rc)
{
	if (f)
		seccomp_release(f);
	if (!rc)
		return ERR_OK;
	errno = rc < 0 ? -rc : rc;
	return ERR_CONFINE;
}

enum err confine_seccomp(unsigned sets)
{
	int rc;
	scmp_filter_ctx f = make(sets, &rc);

	if (!rc)
		rc = seccomp_load(f);
	return made(f, rc);
}

/* ---- made ahead ---- */

static enum err read_code(int fd, struct confine_filter *ret)
{
	ssize_t n = pread(fd, ret->code, sizeof ret->code, 0);

	if (n <= 0 || (size_t)n == sizeof ret->code || (size_t)n % sizeof(struct sock_filter))
		return ERR_CONFINE;
	ret->count = (unsigned short)((size_t)n / sizeof(struct sock_filter));
	return ERR_OK;
}

enum err confine_seccomp_make(unsigned sets, struct confine_filter *ret)
{
	auto_fd fd = memfd_create("filter", MFD_CLOEXEC);
	int rc;
	scmp_filter_ctx f = make(sets, &rc);

	if (!rc)
		rc = fd < 0 ? -errno : seccomp_export_bpf(f, fd);
	return made(f, rc) ? ERR_CONFINE : read_code(fd, ret);
}

enum err confine_seccomp_load(const struct confine_filter *f)
{
	const struct sock_fprog program = { f->count, (struct sock_filter *)(uintptr_t)f->code };

	return syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &program) ? ERR_CONFINE : ERR_OK;
}
