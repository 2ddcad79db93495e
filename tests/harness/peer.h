/* peer.h - the host's end of a machine's three ports, for tests: plain poll, one step at a time */
#pragma once

#include "machine/machine.h"
#include "wire/link.h"
#include "wire/msg.h"

struct peer {
	int fd[MACHINE_PORTS];
	struct link *link[MACHINE_PORTS];
	struct machine *machine;
	const struct machine_ops *ops;
	bool hello[MACHINE_PORTS], lost;
	/** a frame on @port; set by the test, may change */
	void (*frame)(struct peer *p, enum machine_port port, const struct link_frame *f);
	void *user;
};

/** peer_start() - starts @ops with @image and links on its ports; false with a message on stderr */
bool peer_start(struct peer *p, const struct machine_ops *ops, const char *image, int stderr_fd);
/** peer_step() - moves bytes for at most @ms; false when a port is lost */
bool peer_step(struct peer *p, int ms);
/** peer_until() - steps until *@flag, or false after @ms */
bool peer_until(struct peer *p, const bool *flag, int ms);
/** peer_configure() - CONFIG with @m, true when the guest said OK within @ms */
bool peer_configure(struct peer *p, const struct msg_config *m, int ms);
void peer_stop(struct peer *p);

/** struct peer_run - an EXEC and what became of it */
struct peer_run {
	uint32_t stream;
	struct buf out, err;
	bool started, over;
	int error_number, exit_code, exit_signal;	/* codes -1: not */
	uint64_t started_ms, over_ms;			/* CLOCK_MONOTONIC */
};
/** peer_exec() - starts @argv (NULL at the end); @input is its standard input, ended after it,
 *  unless NULL. peer_exec_frame() handles frames of its stream: true if it was one. */
bool peer_exec(struct peer *p, struct peer_run *r, const char *const *argv, const char *const *env,
	       bool terminal, const char *input);
bool peer_exec_frame(struct peer *p, struct peer_run *r, enum machine_port port, const struct link_frame *f);
