/* transport.h - what carries a client's bytes to the inspector and back
 *
 * A stream of the guest's link is one (guest_stream.c); a connection sees nothing but these calls, and is
 * told of what comes by connection_input(), connection_input_end(), connection_lost() and connection_wake().
 */
#pragma once

#include "inspector/inspector.h"

struct transport;
struct socket;

struct transport_ops {
	/** bytes that send() will take now */
	size_t (*sendable)(const struct transport *t);
	/** @bytes, at most sendable(), are copied */
	enum err (*send)(struct transport *t, struct str bytes);
	/** nothing of what send() took waits in this process: what waits is lost with the connection */
	bool (*flushed)(const struct transport *t);
	/** @n bytes that came were used up: the client may send as many more */
	void (*consumed)(struct transport *t, size_t n);
	/** no more from us; idempotent */
	void (*end)(struct transport *t);
	/** over, both ways, and the client sees that it is not an orderly end; idempotent */
	void (*reset)(struct transport *t, enum err why);
	/** the connection goes: nothing more is told to it */
	void (*release)(struct transport *t);
};

/** struct transport - the first member of a connection */
struct transport {
	struct stream stream;		/* first; of the guest's link */
	const struct transport_ops *ops;
	struct inspector *inspector;
	uint32_t number;		/* of the guest's stream */
	struct socket *socket;		/* or of a client that came by TCP */
};
