/* inspector.h - the process that parses what the agent sends, and what its parts share
 *
 * It holds no secret, no network and no file (I1). Read connection.h for the way of a connection.
 */
#pragma once

#include "inspector/names.h"
#include "inspector/wait.h"
#include "os/channel.h"
#include "tls/guest.h"
#include "wire/msg.h"

/** struct inspector_limits - each with its reason in inspector.c; tests set their own */
struct inspector_limits {
	uint32_t connections_max, lookups_max, exchanges_max;
	uint64_t sniff_ms, handshake_ms, head_ms, idle_ms, ask_ms, continue_ms, stall_ms, linger_ms, slow_ms;
};
extern const struct inspector_limits inspector_limits_default;

/* Window that the guest gets for each stream: with connections_max, 32 MB at the very most. */
#define INSPECTOR_GUEST_WINDOW (128u * 1024)
/* Window that the courier gets for each: with exchanges_max, 128 MB at the very most. */
#define INSPECTOR_COURIER_WINDOW (128u * 1024)

/** struct stream - what stands behind a link stream's user pointer: the first member of its owner */
struct stream {
	void (*frame)(struct stream *s, const struct link_frame *f);
};

struct connection;
struct claims;
struct front;

struct inspector {
	uv_loop_t *loop;
	int net_fd;			/* until the courier has said HELLO */
	struct channel *net, *courier;	/* NULL: not there (yet, or any more) */
	struct front *front;		/* instead of net, for clients that come by TCP */
	struct guest_tls_context *tls;	/* borrowed */
	struct names *names;
	struct claims *claims;
	struct waits waits;
	uv_prepare_t turn; /* once per turn of the loop: what was woken runs, what was written goes */
	struct inspector_limits limits;
	struct connection *connections, *woken;
	struct lookup *lookups;
	uint32_t connection_count, lookup_count, exchange_count;
	uint64_t next_connection;	/* numbers begin at 1 */
	struct buf storage;		/* of the request head that is being parsed */
	struct buf scratch;		/* of the head that is being encoded */
	size_t message_bytes;		/* of joined WebSocket messages, all together */
	bool refused_connections, refused_lookups;	/* a limit was reached, and is not yet left */
	void (*over)(void *context, enum err why);
	void *context;
};

/** inspector_start() - takes both descriptors and begins; nothing is read from the guest before
 *  the courier is there
 * @over: called once: ERR_OK when the guest's side has ended, else why
 * Return: ERR_OK; ERR_MEMORY (the descriptors are then closed) */
must_use enum err inspector_start(struct inspector *i, uv_loop_t *loop, int net_fd, int courier_fd,
				  struct guest_tls_context *tls, const struct inspector_limits *limits,
				  void (*over)(void *context, enum err why), void *context);
/** inspector_is_front() - does `paddock gate` hand over connections on @fd? A machine's port is a stream. */
bool inspector_is_front(int fd);
/** inspector_front_over() - the supervisor of `paddock gate` has gone */
void inspector_front_over(struct inspector *i);
/** inspector_stop() - ends everything; idempotent; run the loop until it is empty, then free
 *  with inspector_free() */
void inspector_stop(struct inspector *i);
void inspector_free(struct inspector *i);

static inline struct link *net_link(struct inspector *i) { return channel_link(i->net); }
static inline struct link *courier_link(struct inspector *i) { return channel_link(i->courier); }

/** put_connect() - appends @m as fields of an OPEN, without who asks if that would not fit */
must_use enum err put_connect(struct buf *b, const struct msg_connect *m);
/** inspector_flush() - both channels; each turn of the loop does so by itself */
void inspector_flush(struct inspector *i);
