/* launch.h - from PID 1 to the first instruction of a command in the agent's world */
#pragma once

#include "guest/world.h"

/** struct launch - a started (or failed) command as PID 1 sees it */
struct launch {
	pid_t pid;
	int in, out, err;	/* its stdin, stdout, stderr; with a terminal all is `terminal` */
	int terminal;		/* master, or -1: comes as a report */
	int report;		/* packets: see launch.c; closed by exec */
};

/** launch_start() - forks the command into @w; whether it really starts is told on ->report
 * Return: ERR_OK and *ret (descriptors non-blocking); ERR_LOCAL with errno */
must_use enum err launch_start(const struct world *w, const struct msg_exec *exec, struct launch *ret);

/** launch_report() - the next packet: 't' the terminal's master is in @l, 'e' it failed with
 *  *ret_errno, 0 the report is over (exec has happened if no 'e' came), '?' nothing yet */
char launch_report(struct launch *l, int *ret_errno);
