/* children.h - the processes of one sandbox and the descriptors between them
 *
 *   machine --net--> inspector --link--> courier --seqpacket--> keeper, decoder
 *   machine --control--> terminal --claims--> courier
 *   machine --files--> files --claims--> courier
 *   supervisor --seqpacket--> courier, terminal
 *
 * A gate (spec->gate) has no machine, files and terminal; the inspector's net port is then a SEQPACKET socket
 * on which this process hands over the connections that it accepts.
 */
#pragma once

#include "machine/machine.h"
#include "supervisor/rundir.h"
#include "supervisor/spec.h"

#include <sys/types.h>

/* in the order in which they start */
#define CHILD_TABLE(X) \
	X(KEEPER, "paddock-keeper") \
	X(DECODER, "paddock-decoder") \
	X(COURIER, "paddock-courier") \
	X(INSPECTOR, "paddock-inspector") \
	X(FILES, "paddock-files") \
	X(TERMINAL, "paddock-terminal") \
	X(MACHINE, "machine")

enum child {
#define CHILD_ENUM(name, program) CHILD_##name,
	CHILD_TABLE(CHILD_ENUM)
#undef CHILD_ENUM
	CHILD_COUNT
};

const char *child_name(enum child c);

struct children {
	struct {
		pid_t pid;	/* 0: not running */
		int pidfd;	/* -1: none */
	} process[CHILD_COUNT];
	const struct machine_ops *machine_ops;
	struct machine *machine;
	int courier_control;	/* SEQPACKET to the courier */
	int terminal_control;	/* SEQPACKET to the terminal */
	int words;		/* what children write their complaints to; borrowed */
	int front;		/* of a gate: SEQPACKET to the inspector, for accepted connections; else -1 */
	struct buf gate_environment;	/* of a gate: NAME=placeholder lines */
	struct buf ca_pem;		/* the sandbox's CA */
	char ca_fingerprint[65];
	struct buf machine_text;	/* how the machine runs, for people and the trail */
};

/** children_init() - @words: words_fd() */
void children_init(struct children *c, int words);
/** children_start() - starts all of them, or none: on failure as children_fail()
 * Return: ERR_OK, or an error with one line in @why */
must_use enum err children_start(struct children *c, const struct spec *spec, const struct rundir *run,
				 struct buf *why);
/** children_end_trail() - the courier, which runs, is told to write the trail's end and to go. False: it cannot be */
must_use bool children_end_trail(struct children *c, const char *reason, int exit_code);
/** children_fail() - what was started is not wanted: the trail gets its end, with @reason, and all are killed */
void children_fail(struct children *c, const char *reason);
/** children_started() - the command runs: the machine is held to what it needs from then on */
void children_started(struct children *c);
/** children_kill() - SIGKILL to one; children_kill_all() to all that are left, and reaps them */
void children_kill(struct children *c, enum child which);
void children_kill_all(struct children *c);
/** children_pause(), children_resume() - the machine stands still while this process is stopped */
void children_pause(struct children *c);
void children_resume(struct children *c);
/** children_reap() - the process has ended: collects it; *ret_status as waitpid() */
bool children_reap(struct children *c, enum child which, int *ret_status);
void children_free(struct children *c);
