/* command.h - EXEC streams: a command's standard streams, signals, and its end */
#pragma once

#include "guest/world.h"

#define COMMANDS_MAX 16

struct commands {
	struct loop *loop;
	struct port *control;
	struct world *world;
	uint32_t events;		/* LINK_KIND_EVENTS stream for claims, or 0 */
	uint32_t uid_base;
};

/** command_open() - the host opened EXEC stream @number */
void command_open(struct commands *all, uint32_t number);
/** command_reaped() - child @pid ended with wait status @status; others than commands are ignored */
void command_reaped(pid_t pid, int status);
