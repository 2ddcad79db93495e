/* inspector.c - the two links of the inspector, and who gets which frame
 *
 * Theory of operation: the guest's link brings TCP connections and DNS queries; the courier's carries
 * exchanges, questions and claims. Every open stream has an owner behind its user pointer, whose first
 * member is a struct stream; a frame goes to that owner, and frames of streams without one are
 * dropped (their credit goes back). What an owner has to do for a connection waits for the end of the turn,
 * when all that came has been handed out: so small pieces leave together, in one TLS record and one write.
 * The guest is not read before the courier has said HELLO. The end of either link ends the process (I8): a
 * sandbox without its inspector has no way out.
 */
#include "inspector/inspector.h"

#include "inspector/claims.h"
#include "inspector/connection.h"
#include "inspector/guest_stream.h"
#include "inspector/resolver.h"
#include "inspector/socket.h"

#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

const struct inspector_limits inspector_limits_default = {
	.connections_max = 256,	    /* npm opens some 50; each may hold half a megabyte */
	.exchanges_max = 1024,	    /* each may hold a window of its answer */
	.lookups_max = 256,	    /* resolvers ask two at a time, per process */
	.sniff_ms = 10 * 1000,	    /* a client that speaks first does so at once */
	.handshake_ms = 30 * 1000,  /* several round trips, under emulation */
	.head_ms = 30 * 1000,	    /* a head is sent in one piece by all but slow attacks */
	.idle_ms = 5 * 60 * 1000,   /* longer than clients keep idle connections (5 s to 4 min) */
	.ask_ms = 4 * 1000,	    /* resolvers give up after 5 s: they shall hear SERVFAIL first */
	.continue_ms = 200,	    /* clients wait a second for 100 Continue; a denial comes sooner */
	.stall_ms = 30 * 60 * 1000, /* a model may think for long; the courier has its own deadlines */
	.slow_ms = 2 * 1000,	    /* without a request, before it may have to make room; see connection.c */
	.linger_ms = 2 * 1000,	    /* for a client that still sends to read our last bytes before a reset */
};

static void stop(struct inspector *i, enum err why)
{
	void (*over)(void *context, enum err why) = i->over;

	if (!over)
		return;
	i->over = NULL;
	inspector_stop(i);
	over(i->context, why);
}

enum err put_connect(struct buf *b, const struct msg_connect *m)
{
	struct msg_connect less = *m;

	msg_put_connect(b, m);
	if (buf_err(b) != ERR_LIMIT)
		return buf_err(b);
	less.process.ancestor_count = 0;
	buf_clear(b);
	msg_put_connect(b, &less);
	return buf_err(b);
}

void inspector_flush(struct inspector *i)
{
	if (i->net)
		channel_flush(i->net);
	if (i->courier)
		channel_flush(i->courier);
}

/* To its owner, or nowhere. */
static void dispatch(struct link *l, const struct link_frame *f)
{
	struct stream *s = link_user(l, f->stream);

	if (s)
		s->frame(s, f);
	else if (f->type == LINK_DATA || f->type == LINK_HEAD)
		link_consumed(l, f->stream, f->payload.n);
}

static void net_frame(void *user, const struct link_frame *f)
{
	struct inspector *i = user;

	if (f->type == LINK_OPEN && f->kind == LINK_KIND_TCP)
		guest_stream_open(i, f->stream, f->payload);
	else if (f->type == LINK_OPEN && f->kind == LINK_KIND_DNS)
		resolver_open(i, f->stream, f->payload);
	else if (f->type == LINK_OPEN)
		link_reset(net_link(i), f->stream, ERR_LINK_STATE);
	else if (f->type != LINK_HELLO)
		dispatch(net_link(i), f);
}

static void net_writable(void *user)
{
	connection_wake_all(user);
}

static void net_closed(void *user, enum err why)
{
	stop(user, why == ERR_CLOSED ? ERR_OK : why);
}

static const struct channel_ops net_ops = { .frame = net_frame, .writable = net_writable,
					    .closed = net_closed };

bool inspector_is_front(int fd)
{
	int type = 0;
	socklen_t n = sizeof type;

	return !getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &n) && type == SOCK_SEQPACKET;
}

void inspector_front_over(struct inspector *i) { stop(i, ERR_OK); }

/* The courier is there: now the guest may be read. */
static enum err begin(struct inspector *i)
{
	struct link_limits limits = LINK_LIMITS_DEFAULT;
	struct link *l;

	if (inspector_is_front(i->net_fd)) {
		enum err e = front_start(i, i->net_fd, &i->front);

		i->net_fd = e ? i->net_fd : -1;
		return e;
	}
	limits.window_bytes = INSPECTOR_GUEST_WINDOW;
	l = link_new(LINK_UPPER, &limits);
	if (!l)
		return ERR_MEMORY;
	i->net = channel_new(i->loop, i->net_fd, l, &net_ops, i);
	if (!i->net) {
		link_free(l);
		return ERR_MEMORY;
	}
	i->net_fd = -1;
	return ERR_OK;
}

static void courier_frame(void *user, const struct link_frame *f)
{
	struct inspector *i = user;

	if (f->type == LINK_HELLO && begin(i))
		stop(i, ERR_MEMORY);
	else if (f->type == LINK_OPEN)
		link_reset(courier_link(i), f->stream, ERR_LINK_STATE);
	else if (f->type != LINK_HELLO)
		dispatch(courier_link(i), f);
}

static void courier_writable(void *user)
{
	struct inspector *i = user;

	claims_run(i->claims);
	connection_wake_all(i);
}

static void courier_closed(void *user, enum err why)
{
	stop(user, why);
}

static const struct channel_ops courier_ops = { .frame = courier_frame, .writable = courier_writable,
						.closed = courier_closed };

static void turn(uv_prepare_t *prepare)
{
	struct inspector *i = prepare->data;

	connection_run_woken(i);
	inspector_flush(i);
}

enum err inspector_start(struct inspector *i, uv_loop_t *loop, int net_fd, int courier_fd,
			 struct guest_tls_context *tls, const struct inspector_limits *limits,
			 void (*over)(void *context, enum err why), void *context)
{
	struct link_limits link_limits = LINK_LIMITS_DEFAULT;
	struct link *l;

	*i = (struct inspector){ .loop = loop, .net_fd = net_fd, .tls = tls, .limits = *limits, .over = over,
				 .context = context };
	link_limits.streams_max = 2048;	/* exchanges and questions of 1024 streams, and claims */
	link_limits.window_bytes = INSPECTOR_COURIER_WINDOW;
	buf_init(&i->storage, HTTP1_STORAGE_MAX);
	buf_init(&i->scratch, HEAD_MAX_BYTES);
	waits_init(&i->waits, loop);
	(void)uv_prepare_init(loop, &i->turn);
	i->turn.data = i;
	(void)uv_prepare_start(&i->turn, turn);
	i->names = names_new();
	i->claims = claims_new(i);
	l = link_new(LINK_LOWER, &link_limits);
	if (i->names && i->claims && l)
		i->courier = channel_new(loop, courier_fd, l, &courier_ops, i);
	if (i->courier)
		return ERR_OK;
	link_free(l);
	close(courier_fd);
	i->over = NULL;
	inspector_stop(i);
	return ERR_MEMORY;
}

void inspector_stop(struct inspector *i)
{
	if (i->net) {
		connection_stop(i);
		resolver_stop(i);
		channel_close(i->net);
	}
	if (i->front) {
		connection_stop(i);
		front_stop(i->front);
		i->front = NULL;
	}
	if (i->courier)
		channel_close(i->courier);
	if (i->net_fd >= 0)
		close(i->net_fd);
	i->net = i->courier = NULL;
	i->net_fd = -1;
	if (!uv_is_closing((uv_handle_t *)&i->waits.timer)) {
		waits_close(&i->waits);
		uv_close((uv_handle_t *)&i->turn, NULL);
	}
}

void inspector_free(struct inspector *i)
{
	claims_free(i->claims);
	names_free(i->names);
	buf_free(&i->storage);
	buf_free(&i->scratch);
	i->claims = NULL;
	i->names = NULL;
}
