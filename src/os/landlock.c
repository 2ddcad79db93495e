/* landlock.c - confine_landlock(): file, network and scope rules of the running kernel
 *
 * Theory of operation: everything that the kernel's ABI knows is handled (refused) and only
 * the named trees are given back. Names are those of linux/landlock.h; the header of the
 * oldest supported system knows ABI 2 only, so later bits are spelled out here, and masked by
 * what the running kernel says it has.
 * Source: Documentation/userspace-api/landlock.rst.
 */
#include "os/confine.h"

#include "base/auto.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/landlock.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>

/* struct landlock_ruleset_attr as of ABI 6; a shorter one is given to older kernels */
struct ruleset_attr {
	uint64_t handled_access_fs, handled_access_net, scoped;
};

enum {
	FS_ABI1 = (1 << 13) - 1,	/* EXECUTE .. MAKE_SYM */
	FS_REFER = 1 << 13,		/* ABI 2 */
	FS_TRUNCATE = 1 << 14,		/* ABI 3 */
	FS_IOCTL_DEV = 1 << 15,		/* ABI 5 */
	NET_BIND_TCP = 1 << 0,		/* ABI 4 */
	NET_CONNECT_TCP = 1 << 1,
	SCOPE_ABSTRACT_UNIX = 1 << 0,	/* ABI 6 */
	SCOPE_SIGNAL = 1 << 1,
};

#define FS_READ (LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_READ_DIR)
#define FS_DEVICES (LANDLOCK_ACCESS_FS_MAKE_CHAR | LANDLOCK_ACCESS_FS_MAKE_BLOCK)
/* rights that make sense on a file; the kernel refuses a file rule with others */
#define FS_FILE (LANDLOCK_ACCESS_FS_EXECUTE | LANDLOCK_ACCESS_FS_WRITE_FILE | LANDLOCK_ACCESS_FS_READ_FILE | \
		 FS_TRUNCATE | FS_IOCTL_DEV)

static uint64_t fs_of_abi(long abi)
{
	uint64_t fs = FS_ABI1;

	if (abi >= 2)
		fs |= FS_REFER;
	if (abi >= 3)
		fs |= FS_TRUNCATE;
	if (abi >= 5)
		fs |= FS_IOCTL_DEV;
	return fs;
}

static enum err allow(int ruleset, const struct confine_path *path, uint64_t handled)
{
	auto_fd opened = path->path ? open(path->path, O_PATH | O_CLOEXEC) : -1;
	struct landlock_path_beneath_attr rule = { .parent_fd = path->path ? opened : path->fd };
	uint64_t access =
		path->write ? handled & ~(uint64_t)(FS_DEVICES | FS_IOCTL_DEV | LANDLOCK_ACCESS_FS_EXECUTE)
			    : FS_READ;
	struct stat st;

	if (rule.parent_fd < 0 || fstat(rule.parent_fd, &st))
		return ERR_CONFINE;
	rule.allowed_access = S_ISDIR(st.st_mode) ? access : access & FS_FILE;
	if (syscall(SYS_landlock_add_rule, ruleset, LANDLOCK_RULE_PATH_BENEATH, &rule, 0))
		return ERR_CONFINE;
	return ERR_OK;
}

enum err confine_landlock(const struct confine_path *paths, size_t count, bool net_connect, int *ret_abi)
{
	long abi = syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_CREATE_RULESET_VERSION);
	struct ruleset_attr attr = { 0, 0, 0 };
	size_t size = sizeof attr.handled_access_fs;

	if (ret_abi)
		*ret_abi = abi > 0 ? (int)abi : 0;
	if (abi <= 0)
		return ERR_OK;
	attr.handled_access_fs = fs_of_abi(abi);
	if (abi >= 4) {
		attr.handled_access_net = NET_BIND_TCP | (net_connect ? 0 : NET_CONNECT_TCP);
		size += sizeof attr.handled_access_net;
	}
	if (abi >= 6) {
		attr.scoped = SCOPE_ABSTRACT_UNIX | SCOPE_SIGNAL;
		size += sizeof attr.scoped;
	}
	auto_fd ruleset = (int)syscall(SYS_landlock_create_ruleset, &attr, size, 0);
	if (ruleset < 0)
		return ERR_CONFINE;
	for (size_t i = 0; i < count; i++) {
		enum err e = allow(ruleset, &paths[i], attr.handled_access_fs);

		if (e)
			return e;
	}
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) || syscall(SYS_landlock_restrict_self, ruleset, 0))
		return ERR_CONFINE;
	return ERR_OK;
}
