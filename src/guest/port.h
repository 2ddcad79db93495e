/* port.h - a link on one of the machine's three ports, driven by the loop */
#pragma once

#include "guest/loop.h"
#include "wire/link.h"

/** struct stream - the owner of an open stream of a port; embedded as its first member.
 *  frame: a frame for it (after RESET, or END when we have sent ours, the link has let go).
 *  resume: it may be able to send again. */
struct stream {
	void (*frame)(struct stream *s, const struct link_frame *f);
	void (*resume)(struct stream *s);
};

struct port {
	struct watch watch;
	struct loop *loop;
	struct link *link;
	/** a stream that the host opens; NULL: it may not, and is reset */
	void (*opened)(struct port *p, const struct link_frame *f);
	/** the host's HELLO came: streams can be opened */
	void (*ready)(struct port *p);
	/** the port is over: PID 1 ends the machine */
	void (*lost)(struct port *p, enum err why);
	void *user;
	bool hungry;		/* a stream found no room: resume all when output has gone out */
};

/** port_init() - @fd (made non-blocking) becomes LINK_LOWER of a link; the callbacks are set
 *  by the caller before the loop runs. ERR_MEMORY; ERR_LOCAL with errno */
must_use enum err port_init(struct port *p, struct loop *loop, int fd, const struct link_limits *limits);
/** port_room() - as link_sendable(); a stream that gets 0 is resumed when that changes */
size_t port_room(struct port *p, uint32_t stream);
/** port_flush() - output was added. Never calls an owner back. */
void port_flush(struct port *p);
