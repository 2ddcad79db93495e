/* configure.h - the configuration that each process reads before it is confined
 *
 * Every one is a memfd: nothing is left on disk. All but the keeper's are sealed: nobody can
 * change them afterwards; the keeper wipes its own.
 */
#pragma once

#include "credential/keeper_config.h"
#include "supervisor/mounts.h"
#include "supervisor/rundir.h"
#include "supervisor/spec.h"

struct placeholders;

/** configure_sealed() - @bytes in a memfd that can no
 * longer change, to be read from its beginning; ERR_LOCAL */
must_use enum err configure_sealed(struct str bytes, int *ret_fd);
/** configure_*() - a sealed memfd with the configuration of that process; ERR_LOCAL, ERR_MEMORY,
 *  ERR_INPUT with one line in @why */
/** configure_keeper() - *ret_seal_key: -1 before; the sealed
 * store's key file, if the policy needs it and it is there */
must_use enum err configure_keeper(const struct spec *spec, const struct rundir *run, struct buf *why,
				   int *ret_fd, int *ret_seal_key);
must_use enum err configure_courier(const struct spec *spec, const struct rundir *run,
				    const struct placeholders *placeholders, struct str machine,
				    const struct keeper_start *keeper, int *ret_fd);
must_use enum err configure_files(const struct spec *spec, const struct mounts *mounts, int *ret_fd);
must_use enum err configure_terminal(const struct spec *spec, const struct rundir *run,
				     const struct mounts *mounts, const struct placeholders *placeholders,
				     struct str ca_pem, struct buf *why, int *ret_fd);
