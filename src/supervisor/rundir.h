/* rundir.h - one run's directory: RUNTIME/<id>/, its state, and the sweeping of dead ones
 *
 *   lock          held (flock) by the supervisor as long as it lives: a free lock is a dead run
 *   state.json    what `paddock ps` shows; replaced atomically
 *   control.sock  `paddock stop` speaks to the supervisor here
 *   machine.log   what the machine driver complained about
 */
#pragma once

#include "base/buf.h"

#define RUNDIR_ID_MAX 32

struct rundir {
	char id[RUNDIR_ID_MAX];
	char path[4096];
	int fd;		/* O_DIRECTORY */
	int lock;
};

/** rundir_create() - a new directory with a fresh id ("20261122-015500-4f1a2b"), locked
 * Return: ERR_OK; ERR_LOCAL with errno; ERR_INPUT (see paths_directory(); words in @why) */
must_use enum err rundir_create(struct rundir *ret, struct buf *why);
/** rundir_remove() - deletes it and everything in it; idempotent */
void rundir_remove(struct rundir *r);
/** rundir_write() - replaces file @name in it atomically (0600) */
must_use enum err rundir_write(const struct rundir *r, const char *name, struct str content);
/** rundir_sweep() - removes what killed supervisors left; returns how many runs that were */
unsigned rundir_sweep(void);

/** struct rundir_entry - a live run, as rundir_each() shows it */
struct rundir_entry {
	const char *id, *path;
	struct str state;	/* text of state.json; empty if it is not there yet */
};
/** rundir_each() - calls @f for each live run until it returns false */
must_use enum err rundir_each(bool (*f)(void *ctx, const struct rundir_entry *e), void *ctx, struct buf *why);
