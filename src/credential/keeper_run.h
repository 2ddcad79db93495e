/* keeper_run.h - a credential command while it runs; nothing waits for it */
#pragma once

#include "credential/keeper_source.h"

#include <poll.h>
#include <sys/types.h>

/** struct keeper_run - zero while nothing runs */
struct keeper_run {
	pid_t pid;			/* of the command, and of its process group; 0: none */
	int output, pidfd;		/* output -1: at its end */
	uint64_t deadline_ms;
	struct buf text;		/* so far */
};

/** keeper_run_start() - starts @s's command
 * @environment: NULL-terminated; the whole of the command's
 * Return: ERR_OK, then keeper_run_step() until it says otherwise than ERR_MORE; ERR_CREDENTIAL with
 * *ret_reason, static text; ERR_MEMORY */
must_use enum err keeper_run_start(const struct keeper_source *s, char *const *environment,
				   struct keeper_run *r, const char **ret_reason);
/** keeper_run_wants() - what to poll for until r->deadline_ms */
struct pollfd keeper_run_wants(const struct keeper_run *r);
/** keeper_run_step() - goes on, without waiting
 * Return: ERR_MORE; ERR_OK: r->text is all of its output, and it ended with 0; ERR_CREDENTIAL with
 * *ret_reason. Unless ERR_MORE nothing of it runs any more, and keeper_run_end() is due. */
must_use enum err keeper_run_step(struct keeper_run *r, const char **ret_reason);
/** keeper_run_end() - kills what still runs, wipes and frees; *@r is zero then. Idempotent. */
void keeper_run_end(struct keeper_run *r);
