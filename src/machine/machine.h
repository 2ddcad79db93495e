/* machine.h - a machine, by whatever driver
 *
 * The guest contract is the same for all drivers: a kernel (or the host's), paddock-init as
 * PID 1, three byte streams (net, control, files). A driver's types do not leak.
 */
#pragma once

#include "base/buf.h"

#include <sys/types.h>

enum machine_port { MACHINE_NET, MACHINE_CONTROL, MACHINE_FILES, MACHINE_PORTS };

struct machine_spec {
	const char *name;		/* sandbox id */
	const char *run_directory;	/* 0700, the run's own */
	const char *image;		/* image reference: "host", "debian", or a path of an erofs file */
	uint64_t memory_bytes;
	uint32_t cpus;
	int ports[MACHINE_PORTS];	/* our ends were given away; these are the machine's ends */
	int stderr_fd;			/* where its complaints go (a log file in the run directory) */
};

struct machine;		/* a started machine; opaque, the driver's */

struct machine_ops {
	const char *name;		/* "qemu" */
	/** can it run here, and how? Writes a sentence ("KVM", "software emulation: ..."). */
	enum err (*probe)(struct buf *ret_text);
	enum err (*start)(const struct machine_spec *spec, struct machine **ret, struct buf *ret_text);
	/** pid and pidfd to watch; borrowed */
	pid_t (*pid)(const struct machine *m);
	int (*pidfd)(const struct machine *m);
	/** the command runs: limits that only a start may exceed begin. May be NULL */
	void (*started)(struct machine *m);
	void (*kill)(struct machine *m);
	void (*free)(struct machine *m);
};

extern const struct machine_ops machine_qemu;
/** machine_find() - by name among the drivers of this build; NULL if there is none */
const struct machine_ops *machine_find(struct str name);

/** machine_register() - a driver that is not in the product joins those that machine_find()
 *  knows: the namespace driver of the tests. At most one. */
void machine_register(const struct machine_ops *ops);

/** machine_init_path() - where paddock-init is: $PADDOCK_INIT, else beside this program, in its
 *  build tree, or in ../libexec/paddock. ERR_INPUT if nowhere, ERR_LIMIT if @cap is too small */
must_use enum err machine_init_path(char *path, size_t cap);
