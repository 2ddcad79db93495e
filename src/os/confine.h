/* confine.h - what a process can no longer do
 *
 * Each of Paddock's processes calls these in this order, after it has loaded what it
 * needs and before it reads its first byte from anybody:
 *   1. confine_namespaces()  user, mount, ipc, uts, cgroup (and net) of its own
 *   2. confine_root()        an empty read-only root, with only the named binds
 *   3. confine_limits()      descriptors, processes, core
 *   4. confine_drop()        capabilities, no_new_privs, dumpable off
 *   5. confine_landlock()    as far as the kernel has it
 *   6. confine_seccomp()     allowlist; anything else kills the process
 * (The pid namespace is made by whoever clones: os/spawn.h.) Any failure is ERR_CONFINE
 * with errno, and the caller exits: there is no running half-confined.
 */
#pragma once

#include "base/err.h"
#include "base/str.h"

#include <sys/types.h>

#define CONFINE_NET_EMPTY 0x01	/* a network namespace of its own, with nothing in it, not even lo up */
must_use enum err confine_namespaces(unsigned flags);

/** confine_map_ids() - uid and gid 0 of the user namespace just entered are @uid and @gid outside */
must_use enum err confine_map_ids(uid_t uid, gid_t gid);

struct confine_bind {
	const char *source;	/* on the host */
	const char *target;	/* in the new root, absolute; created */
	bool writable;
	bool device;		/* device nodes in it can be opened (/dev/kvm) */
	bool optional;		/* no error if the source does not exist */
};
/** confine_root() - tmpfs root with the binds (and /proc if @proc), pivoted into, old root
 *  detached, remounted read-only */
must_use enum err confine_root(const struct confine_bind *binds, size_t count, bool proc);

/** confine_tree() - replaces *@fd, the directory at @path on the host, by one that is the root of a mount of
 *  its own: ".." from it leads nowhere, nothing in it is executed or a device, and without @write nothing
 *  is changed. After confine_namespaces(), before confine_root(). ERR_CONFINE also (ESTALE) if @path is
 *  another directory by now. */
must_use enum err confine_tree(const char *path, bool write, int *fd);

/** confine_limits() - RLIMIT_NOFILE, RLIMIT_NPROC (counted in our own user namespace), no core */
must_use enum err confine_limits(unsigned descriptors_max, unsigned processes_max);
/** confine_drop() - empty capability sets and bounding set, securebits locked so that uid 0 of the
 *  namespace means nothing, no_new_privs, not dumpable, killed when the parent dies */
must_use enum err confine_drop(void);

struct confine_path {
	const char *path;	/* or, if NULL: */
	int fd;			/* an open directory, O_PATH is enough */
	bool write;
};
/** confine_landlock() - only these trees can be opened; none with count 0. ABI of the
 *  running kernel is used as far as it goes, network and scoping rules included where
 *  present (@net_connect: TCP connect stays allowed); no Landlock at all is not an error:
 *  *ret_abi (may be NULL) says 0. */
must_use enum err confine_landlock(const struct confine_path *paths, size_t count,
				   bool net_connect, int *ret_abi);

/** Named sets of system calls, or'ed; CONFINE_BASE is in each. Arguments are checked where
 *  that matters (mprotect PROT_EXEC, ioctl numbers, socket families, clone flags). */
#define CONFINE_BASE	0x0001u	/* memory, clocks, read/write/poll/epoll on what is open, exit, own signals, futex */
#define CONFINE_SOCKET	0x0002u	/* TCP and UDP client sockets: courier */
#define CONFINE_FILES	0x0004u	/* openat, fstat, fallocate, fsync, rename: a spool */
#define CONFINE_TREE	0x0008u	/* openat2 and the *at family: paddock-files */
#define CONFINE_TTY	0x0010u	/* TCGETS, TCSETS*, TIOCGWINSZ; never TIOCSTI: terminal */
#define CONFINE_THREADS	0x0020u	/* clone of threads (libuv's pool) */
#define CONFINE_SPAWN	0x0040u	/* keeper's credential commands, which inherit the filter: not an allowlist but a
				   refusal (EPERM) of what no such command needs: mounts, modules, bpf, ptrace, ... */
#define CONFINE_PAIR	0x0100u	/* socketpair(AF_UNIX), whose ends lead nowhere but to whom they are given: courier */
#define CONFINE_FORK	0x0200u	/* fork() without a namespace or thread, wait4, close_range; its children may lower their
				   limits and add a filter: the decoder's server */
#define CONFINE_JOB	0x0400u	/* alone, without CONFINE_BASE: read, write, exit, and memory that cannot be executed */
#define CONFINE_MACHINE	0x0080u	/* QEMU, beside its own -sandbox: the refusals of CONFINE_SPAWN, and any new socket */
must_use enum err confine_seccomp(unsigned sets);

/** struct confine_filter - a filter made ahead, for a child that is to load it in one system call */
#define CONFINE_FILTER_BYTES 2048
struct confine_filter {
	uint64_t code[CONFINE_FILTER_BYTES / sizeof(uint64_t)];
	unsigned short count;
};
/** confine_seccomp_make() - what confine_seccomp(@sets) would load */
must_use enum err confine_seccomp_make(unsigned sets, struct confine_filter *ret);
/** confine_seccomp_load() - loads it: ERR_CONFINE with errno. Asks for no_new_privs (confine_drop()) */
must_use enum err confine_seccomp_load(const struct confine_filter *f);
