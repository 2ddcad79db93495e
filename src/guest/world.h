/* world.h - the agent's world: the namespaces and the tree that its processes live in
 *
 * One process, the keeper, is PID 1 of the agent's pid namespace. It builds the tree,
 * waits for orphans, and every command joins its namespaces. PID 1 of the guest stays
 * outside: the agent can neither see nor signal it.
 */
#pragma once

#include "guest/port.h"
#include "wire/msg.h"

#include <sys/types.h>

#define WORLD_ROOT "/world"		/* the agent's tree, as PID 1 sees it */
#define WORLD_UID_BASE 100000u		/* outer id of the agent's root where a range can be mapped */
#define WORLD_UID_COUNT 65536u
#define WORLD_CA_FILE "/run/paddock/ca.pem"		/* the sandbox CA alone */
#define WORLD_BUNDLE_FILE "/run/paddock/ca-bundle.pem"	/* the system's roots and it */

struct world {
	struct watch watch;		/* the keeper's reports, until it is ready */
	struct timer timer;
	struct loop *loop;
	struct port *files;
	bool single;			/* only one uid can be mapped: a namespace sandbox without root */
	bool ready;
	pid_t keeper;
	int keeper_fd;			/* pidfd */
	int cgroup_fd;			/* cgroup.procs of the agent's group, or -1 */
	void (*done)(struct world *w, enum err e, int error_number, struct str text);
	void *user;
};

/** world_start() - begins to build it: mounts, /dev, trust stores, the workspace. PID 1 goes
 *  on relaying, since the workspace answers through it; @w->done is called once.
 * @single: map one uid only
 * Return: ERR_OK; ERR_LOCAL with errno (done is not called) */
must_use enum err world_start(struct world *w, const struct msg_config *config, bool single);

/** world_map_ids() - writes @pid's uid_map and gid_map (under @proc) so that its root is @base */
must_use enum err world_map_ids(const char *proc, pid_t pid, uint32_t base, uint32_t count, bool single);
