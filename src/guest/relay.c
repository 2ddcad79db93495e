/* relay.c - TCP connections of the agent, carried to the inspector
 *
 * Theory of operation: the kernel redirects every connect() to our listeners. For each
 * connection the original destination and the asking process go into OPEN, then bytes are
 * carried both ways as far as credit and the socket's buffer let them, so that backpressure
 * runs through. A half-close is END, RESET is a reset (SO_LINGER 0), and the other way
 * round. PID 1 decides nothing: what may be spoken to is the courier's to say.
 *
 * States of a relay: socket_ended (the agent sends no more; END was sent) and host_ended
 * (the host sends no more; the socket is shut down for writing once `pending` is out).
 * With both it is over. Interest in events is computed from these in one place.
 *
 * Bounds: RELAY_CONNECTIONS_MAX, more are reset at once; one link window pending for each.
 */
#include "guest/relay.h"

#include "base/auto.h"
#include "guest/dns.h"
#include "guest/netlink.h"

#include <errno.h>
#include <linux/netfilter_ipv4.h>
#include <stdlib.h>
#include <sys/socket.h>

#define IP6_ORIGINAL_DESTINATION 80	/* IP6T_SO_ORIGINAL_DST of linux/netfilter_ipv6/ip6_tables.h */
#define BACKLOG 512

struct listener {
	struct watch watch;
	struct guest_net *net;
};

struct relay {
	struct watch watch;
	struct stream stream;
	struct guest_net *net;
	uint32_t number;
	struct buf pending;	/* from the host, for the socket */
	bool socket_ended, host_ended, shut;
};

static uint32_t relay_count;
static char chunk[LINK_PAYLOAD_MAX];

static struct relay *relay_of(struct stream *s)
{
	return (struct relay *)(void *)((char *)s - offsetof(struct relay, stream));
}

static void reset_socket(int fd)
{
	struct linger now = { .l_onoff = 1 };

	setsockopt(fd, SOL_SOCKET, SO_LINGER, &now, sizeof now);
	close(fd);
}

static void relay_free(struct relay *r, bool reset)
{
	loop_forget(r->net->loop, &r->watch);
	if (reset)
		reset_socket(r->watch.fd);
	else
		close(r->watch.fd);
	link_set_user(r->net->port->link, r->number, NULL);
	buf_free(&r->pending);
	free(r);
	relay_count--;
}

/* The agent's side failed: both sides are told. */
static void relay_fail(struct relay *r, enum err why)
{
	link_reset(r->net->port->link, r->number, why);
	relay_free(r, true);
}

/* Interest from state; frees @r when it is over. */
static void relay_update(struct relay *r)
{
	uint32_t events = 0;

	if (r->host_ended && !r->pending.len && !r->shut) {
		shutdown(r->watch.fd, SHUT_WR);
		r->shut = true;
	}
	if (r->socket_ended && r->shut) {
		relay_free(r, false);
		return;
	}
	if (!r->socket_ended && port_room(r->net->port, r->number) > 0)
		events |= EPOLLIN;
	if (r->pending.len)
		events |= EPOLLOUT;
	if (loop_watch(r->net->loop, &r->watch, events))
		relay_fail(r, ERR_LOCAL);
}

static enum err relay_read(struct relay *r)
{
	size_t room = port_room(r->net->port, r->number);
	ssize_t n;

	if (room == 0 || r->socket_ended)
		return ERR_OK;
	n = read(r->watch.fd, chunk, room < sizeof chunk ? room : sizeof chunk);
	if (n < 0)
		return errno == EAGAIN || errno == EINTR ? ERR_OK : ERR_CLOSED;
	if (n == 0) {
		r->socket_ended = true;
		link_end(r->net->port->link, r->number);
		return ERR_OK;
	}
	return link_data(r->net->port->link, r->number, 0, str_make(chunk, (size_t)n));
}

static enum err relay_write(struct relay *r)
{
	ssize_t n;

	if (!r->pending.len)
		return ERR_OK;
	n = send(r->watch.fd, r->pending.p, r->pending.len, MSG_NOSIGNAL);
	if (n < 0)
		return errno == EAGAIN || errno == EINTR ? ERR_OK : ERR_CLOSED;
	buf_drop(&r->pending, (size_t)n);
	link_consumed(r->net->port->link, r->number, (size_t)n);
	return ERR_OK;
}

static void relay_ready(struct watch *w, uint32_t events)
{
	struct relay *r = (struct relay *)(void *)w;
	struct port *port = r->net->port;
	enum err e = ERR_OK;

	if (events & (EPOLLOUT | EPOLLERR | EPOLLHUP))
		e = relay_write(r);
	if (!e && (events & (EPOLLIN | EPOLLERR | EPOLLHUP)))
		e = relay_read(r);
	if (e)
		relay_fail(r, e);
	else
		relay_update(r);
	port_flush(port);
}

static void relay_frame(struct stream *s, const struct link_frame *f)
{
	struct relay *r = relay_of(s);
	enum err e = ERR_OK;

	switch (f->type) {
	case LINK_DATA:
		buf_put(&r->pending, f->payload);
		e = buf_err(&r->pending) ? buf_err(&r->pending) : relay_write(r);
		break;
	case LINK_END:
		r->host_ended = true;
		break;
	case LINK_RESET:
		relay_free(r, true);
		return;
	case LINK_HEAD: case LINK_HELLO: case LINK_OPEN: case LINK_CREDIT:
		e = ERR_LINK_STATE;
		break;
	}
	if (e)
		relay_fail(r, e);
	else
		relay_update(r);
}

static void relay_resume(struct stream *s) { relay_update(relay_of(s)); }

static bool original_destination(int fd, struct sockaddr_storage *ret)
{
	struct sockaddr_storage local = { 0 };
	socklen_t n = sizeof local;

	if (getsockname(fd, (struct sockaddr *)&local, &n))
		return false;
	n = sizeof *ret;
	if (local.ss_family == AF_INET)
		return !getsockopt(fd, IPPROTO_IP, SO_ORIGINAL_DST, ret, &n);
	return !getsockopt(fd, IPPROTO_IPV6, IP6_ORIGINAL_DESTINATION, ret, &n);
}

/* False for what was not redirected: somebody dialled the listener itself. */
static bool destination_fields(const struct sockaddr_storage *a, struct msg_connect *m)
{
	if (a->ss_family == AF_INET) {
		const struct sockaddr_in *in = (const struct sockaddr_in *)a;

		m->address = str_make(&in->sin_addr, 4);
		m->port = ntohs(in->sin_port);
		return ((const uint8_t *)&in->sin_addr)[0] != 127;
	}
	if (a->ss_family == AF_INET6) {
		const struct sockaddr_in6 *in6 = (const struct sockaddr_in6 *)a;

		m->address = str_make(&in6->sin6_addr, 16);
		m->port = ntohs(in6->sin6_port);
		return !IN6_IS_ADDR_LOOPBACK(&in6->sin6_addr);
	}
	return false;
}

static enum err relay_new(struct guest_net *net, int fd, const struct msg_connect *m)
{
	struct relay *r;
	auto_buf fields = BUF_EMPTY;
	enum err e;

	if (relay_count >= RELAY_CONNECTIONS_MAX)
		return ERR_LIMIT;
	r = calloc(1, sizeof *r);
	if (!r)
		return ERR_MEMORY;
	*r = (struct relay){ .watch = { .fd = fd, .ready = relay_ready },
			     .stream = { .frame = relay_frame, .resume = relay_resume }, .net = net };
	buf_init(&r->pending, LINK_WINDOW_BYTES);
	buf_init(&fields, LINK_OPEN_MAX - 1);
	msg_put_connect(&fields, m);
	e = buf_err(&fields);
	if (!e)
		e = link_open(net->port->link, LINK_KIND_TCP, buf_str(&fields), &r->number);
	if (e) {
		free(r);
		return e;
	}
	link_set_user(net->port->link, r->number, &r->stream);
	relay_count++;
	relay_update(r);
	return ERR_OK;
}

/* Long paths must not keep a connection from being made: ancestors go first, then all. */
static void fit(struct msg_process *p)
{
	size_t n = p->exe.n;

	for (uint32_t i = 0; i < p->ancestor_count; i++) {
		n += p->ancestors[i].n;
		if (n > LINK_OPEN_MAX - 1024) {
			p->ancestor_count = i;
			return;
		}
	}
}

static void accepted(struct guest_net *net, int fd, const struct sockaddr_storage *peer)
{
	struct sockaddr_storage destination = { 0 };
	struct msg_connect m = { 0 };

	if (!original_destination(fd, &destination) || !destination_fields(&destination, &m)) {
		reset_socket(fd);
		return;
	}
	if (m.port == NETLINK_DNS_PORT) {
		dns_adopt(net, fd, peer);
		return;
	}
	asker_find(&net->asker, "/proc", IPPROTO_TCP, peer, &destination, net->uid_base);
	m.process = net->asker.process;
	fit(&m.process);
	if (relay_new(net, fd, &m))
		reset_socket(fd);
}

static void listener_ready(struct watch *w, uint32_t events)
{
	struct listener *l = (struct listener *)(void *)w;

	(void)events;
	for (int i = 0; i < 16; i++) {
		struct sockaddr_storage peer = { 0 };
		socklen_t n = sizeof peer;
		int fd = accept4(w->fd, (struct sockaddr *)&peer, &n, SOCK_CLOEXEC | SOCK_NONBLOCK);

		if (fd < 0)
			break;	/* EMFILE too: the backlog waits until a relay ends */
		accepted(l->net, fd, &peer);
	}
	port_flush(l->net->port);
}

static enum err listen_on(struct listener *l, const struct sockaddr *a, socklen_t n)
{
	auto_fd fd = socket(a->sa_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	const int one = 1;

	if (fd < 0)
		return ERR_LOCAL;
	if (a->sa_family == AF_INET6 && setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &one, sizeof one))
		return ERR_LOCAL;
	if (bind(fd, a, n) || listen(fd, BACKLOG))
		return ERR_LOCAL;
	l->watch = (struct watch){ .fd = fd_take(&fd), .ready = listener_ready };
	return loop_watch(l->net->loop, &l->watch, EPOLLIN);
}

enum err relay_listen(struct guest_net *net)
{
	static struct listener listeners[2];
	struct sockaddr_in in = { .sin_family = AF_INET, .sin_port = htons(NETLINK_RELAY_PORT),
				  .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	struct sockaddr_in6 in6 = { .sin6_family = AF_INET6, .sin6_port = htons(NETLINK_RELAY_PORT),
				    .sin6_addr = IN6ADDR_LOOPBACK_INIT };
	enum err e;

	listeners[0].net = listeners[1].net = net;
	e = listen_on(&listeners[0], (struct sockaddr *)&in, sizeof in);
	if (!e && listen_on(&listeners[1], (struct sockaddr *)&in6, sizeof in6) && errno != EAFNOSUPPORT &&
	    errno != EADDRNOTAVAIL)
		e = ERR_LOCAL;	/* without IPv6 in the kernel there is nothing to listen for */
	return e;
}
