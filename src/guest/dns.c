/* dns.c - DNS queries of the agent, each a stream to the inspector
 *
 * Theory of operation: a query that comes over UDP or TCP (length-prefixed, RFC 1035 s4.2.2)
 * is carried as one stream: DATA and END out, the answer's DATA and END back. PID 1 reads of
 * a message only what SERVFAIL needs: the first four bytes. Without an answer within
 * DNS_TIMEOUT_MS, without room, or after a RESET the query is answered SERVFAIL, so that no
 * resolver waits. A TCP connection has one query under way at a time.
 *
 * Bounds: DNS_QUERIES_MAX under way, CONNECTIONS_MAX TCP connections, DNS_MESSAGE_MAX bytes.
 */
#include "guest/dns.h"

#include "base/auto.h"
#include "guest/netlink.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>

#define CONNECTIONS_MAX 64
#define HEADER_BYTES 12
#define IDLE_MS 10000

struct dns_socket {		/* a UDP socket or a TCP listener */
	struct watch watch;
	struct guest_net *net;
};

struct connection;

struct query {
	struct stream stream;
	struct timer timer;
	struct guest_net *net;
	uint32_t number;
	int udp;			/* socket to answer on, or -1 */
	struct connection *connection;	/* to answer on, or NULL */
	struct sockaddr_storage peer;
	uint8_t text[DNS_MESSAGE_MAX];
	size_t text_len;
	struct buf answer;
};

struct connection {
	struct watch watch;
	struct timer timer;
	struct guest_net *net;
	struct sockaddr_storage peer;
	struct query *query;		/* under way, or NULL */
	uint8_t in[2 + DNS_MESSAGE_MAX];
	size_t in_len;
	struct buf out;
};

static uint32_t query_count, connection_count;

static void connection_answer(struct connection *c, struct str answer);

static void query_free(struct query *q)
{
	loop_disarm(q->net->loop, &q->timer);
	if (q->number)
		link_set_user(q->net->port->link, q->number, NULL);
	buf_free(&q->answer);
	free(q);
	query_count--;
}

static void query_finish(struct query *q, struct str answer)
{
	struct connection *c = q->connection;

	if (q->udp >= 0) {
		socklen_t n = q->peer.ss_family == AF_INET ? sizeof(struct sockaddr_in)
							   : sizeof(struct sockaddr_in6);

		/* a lost datagram is asked for again */
		if (sendto(q->udp, answer.p, answer.n, MSG_DONTWAIT, (struct sockaddr *)&q->peer, n) < 0)
			answer.n = 0;
	} else if (c) {
		c->query = NULL;
		connection_answer(c, answer);
	}
	query_free(q);
}

/* SERVFAIL: the query itself with QR set and RCODE 2. RFC 1035 s4.1.1. */
static void query_fail(struct query *q)
{
	q->text[2] = (uint8_t)(q->text[2] | 0x80);
	q->text[3] = (uint8_t)((q->text[3] & 0x70) | 0x82);
	query_finish(q, str_make(q->text, q->text_len));
}

static void query_late(struct timer *t)
{
	struct query *q = (struct query *)(void *)((char *)t - offsetof(struct query, timer));
	struct port *port = q->net->port;

	link_reset(port->link, q->number, ERR_TIMEOUT);
	query_fail(q);
	port_flush(port);
}

static void query_frame(struct stream *s, const struct link_frame *f)
{
	struct query *q = (struct query *)(void *)s;

	switch (f->type) {
	case LINK_DATA:
		link_consumed(q->net->port->link, q->number, f->payload.n);
		buf_put(&q->answer, f->payload);
		return;
	case LINK_END:
		if (!buf_err(&q->answer) && q->answer.len >= HEADER_BYTES)
			query_finish(q, buf_str(&q->answer));
		else
			query_fail(q);
		return;
	case LINK_RESET:
		query_fail(q);
		return;
	case LINK_HEAD: case LINK_HELLO: case LINK_OPEN: case LINK_CREDIT:
		link_reset(q->net->port->link, q->number, ERR_LINK_STATE);
		query_fail(q);
		return;
	}
}

static void query_resume(struct stream *s) { (void)s; }

static enum err query_send(struct query *q)
{
	struct asker *k = &q->net->asker;
	struct link *l = q->net->port->link;
	struct msg_connect m = { 0 };
	auto_buf fields = BUF_EMPTY;
	enum err e;

	asker_find(k, "/proc", q->udp >= 0 ? IPPROTO_UDP : IPPROTO_TCP, &q->peer, NULL, q->net->uid_base);
	m.process = k->process;
	m.process.ancestor_count = 0;	/* a connection that follows names them */
	buf_init(&fields, LINK_OPEN_MAX - 1);
	msg_put_connect(&fields, &m);
	e = buf_err(&fields);
	if (!e)
		e = link_open(l, LINK_KIND_DNS, buf_str(&fields), &q->number);
	if (e)
		return e;
	e = link_data(l, q->number, 0, str_make(q->text, q->text_len));
	if (e) {
		link_reset(l, q->number, e);
		return e;
	}
	link_end(l, q->number);
	link_set_user(l, q->number, &q->stream);
	loop_arm(q->net->loop, &q->timer, DNS_TIMEOUT_MS);
	return ERR_OK;
}

/* Takes a query of HEADER_BYTES to DNS_MESSAGE_MAX; NULL: no memory, and no answer. */
static void query_new(struct guest_net *net, int udp, struct connection *c,
		      const struct sockaddr_storage *peer, struct str text)
{
	struct query *q = calloc(1, sizeof *q);

	if (!q)
		return;
	query_count++;
	*q = (struct query){ .stream = { .frame = query_frame, .resume = query_resume },
			     .timer = { .fire = query_late }, .net = net, .udp = udp, .connection = c,
			     .peer = *peer, .text_len = text.n };
	memcpy(q->text, text.p, text.n);
	buf_init(&q->answer, c ? 65535 : DNS_MESSAGE_MAX);
	if (c)
		c->query = q;
	if (query_count > DNS_QUERIES_MAX || query_send(q))
		query_fail(q);
}

static void udp_ready(struct watch *w, uint32_t events)
{
	struct dns_socket *s = (struct dns_socket *)(void *)w;

	(void)events;
	for (int i = 0; i < 16; i++) {
		char text[DNS_MESSAGE_MAX];
		struct sockaddr_storage peer = { 0 };
		socklen_t peer_len = sizeof peer;
		ssize_t n = recvfrom(w->fd, text, sizeof text, MSG_DONTWAIT | MSG_TRUNC,
				     (struct sockaddr *)&peer, &peer_len);

		if (n < 0)
			break;
		if (n >= HEADER_BYTES && (size_t)n <= sizeof text)
			query_new(s->net, w->fd, NULL, &peer, str_make(text, (size_t)n));
	}
	port_flush(s->net->port);
}

/* -- TCP ------------------------------------------------------------------------------ */

static void connection_free(struct connection *c)
{
	loop_forget(c->net->loop, &c->watch);
	loop_disarm(c->net->loop, &c->timer);
	close(c->watch.fd);
	if (c->query)
		c->query->connection = NULL;	/* its answer goes nowhere */
	buf_free(&c->out);
	free(c);
	connection_count--;
}

static void connection_idle(struct timer *t)
{
	connection_free((struct connection *)(void *)((char *)t - offsetof(struct connection, timer)));
}

/* One query whole and none under way: it is asked. False if the connection is over. */
static bool connection_ask(struct connection *c)
{
	size_t n;

	if (c->query || c->in_len < 2)
		return true;
	n = (size_t)c->in[0] << 8 | c->in[1];
	if (n < HEADER_BYTES || n > DNS_MESSAGE_MAX)
		return false;
	if (c->in_len - 2 < n)
		return true;
	query_new(c->net, -1, c, &c->peer, str_make(c->in + 2, n));
	c->in_len -= 2 + n;
	memmove(c->in, c->in + 2 + n, c->in_len);
	return true;
}

static bool connection_write(struct connection *c)
{
	ssize_t n;

	if (!c->out.len)
		return true;
	n = send(c->watch.fd, c->out.p, c->out.len, MSG_NOSIGNAL);
	if (n > 0)
		buf_drop(&c->out, (size_t)n);
	return n > 0 || errno == EAGAIN;
}

static bool connection_update(struct connection *c)
{
	uint32_t events = c->out.len ? EPOLLOUT : 0;

	if (!c->query && !c->out.len && c->in_len < sizeof c->in)
		events |= EPOLLIN;
	loop_arm(c->net->loop, &c->timer, IDLE_MS);
	return !loop_watch(c->net->loop, &c->watch, events);
}

static void connection_answer(struct connection *c, struct str answer)
{
	buf_put_u16be(&c->out, (uint16_t)answer.n);
	buf_put(&c->out, answer);
	/* Nothing is freed here: the caller may be inside of query_new(). EPOLLOUT goes on. */
	if (!buf_err(&c->out) && loop_watch(c->net->loop, &c->watch, EPOLLOUT))
		loop_arm(c->net->loop, &c->timer, 0);
}

static void connection_ready(struct watch *w, uint32_t events)
{
	struct connection *c = (struct connection *)(void *)w;
	struct port *port = c->net->port;
	bool alive = true;

	if (events & EPOLLIN) {
		ssize_t n = read(w->fd, c->in + c->in_len, sizeof c->in - c->in_len);

		if (n > 0)
			c->in_len += (size_t)n;
		alive = n > 0 || (n < 0 && errno == EAGAIN);
	} else if (events & (EPOLLERR | EPOLLHUP)) {
		alive = false;
	}
	if (alive)
		alive = connection_write(c) && !buf_err(&c->out);
	if (alive && !c->out.len)
		alive = connection_ask(c);
	if (!alive || !connection_update(c))
		connection_free(c);
	port_flush(port);
}

void dns_adopt(struct guest_net *net, int fd, const struct sockaddr_storage *peer)
{
	struct connection *c = connection_count < CONNECTIONS_MAX ? calloc(1, sizeof *c) : NULL;

	if (!c) {
		close(fd);
		return;
	}
	*c = (struct connection){ .watch = { .fd = fd, .ready = connection_ready },
				  .timer = { .fire = connection_idle }, .net = net, .peer = *peer };
	buf_init(&c->out, 2 + 65535);
	connection_count++;
	if (!connection_update(c))
		connection_free(c);
}

static void tcp_ready(struct watch *w, uint32_t events)
{
	struct dns_socket *s = (struct dns_socket *)(void *)w;
	struct sockaddr_storage peer = { 0 };
	socklen_t n = sizeof peer;
	int fd = accept4(w->fd, (struct sockaddr *)&peer, &n, SOCK_CLOEXEC | SOCK_NONBLOCK);

	(void)events;
	if (fd >= 0)
		dns_adopt(s->net, fd, &peer);
}

/* -- sockets ---------------------------------------------------------------------------- */

static enum err socket_open(struct dns_socket *s, int type, const struct sockaddr *a, socklen_t n)
{
	auto_fd fd = socket(a->sa_family, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	const int one = 1;

	if (fd < 0)
		return ERR_LOCAL;
	if (a->sa_family == AF_INET6 && setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &one, sizeof one))
		return ERR_LOCAL;
	if (bind(fd, a, n) || (type == SOCK_STREAM && listen(fd, CONNECTIONS_MAX)))
		return ERR_LOCAL;
	s->watch = (struct watch){ .fd = fd_take(&fd), .ready = type == SOCK_STREAM ? tcp_ready : udp_ready };
	return loop_watch(s->net->loop, &s->watch, EPOLLIN);
}

enum err dns_listen(struct guest_net *net)
{
	static struct dns_socket sockets[4];
	const int types[2] = { SOCK_DGRAM, SOCK_STREAM };
	struct sockaddr_in in = { .sin_family = AF_INET, .sin_port = htons(NETLINK_DNS_PORT),
				  .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	struct sockaddr_in6 in6 = { .sin6_family = AF_INET6, .sin6_port = htons(NETLINK_DNS_PORT),
				    .sin6_addr = IN6ADDR_LOOPBACK_INIT };

	for (size_t i = 0; i < 2; i++) {
		sockets[i].net = sockets[i + 2].net = net;
		if (socket_open(&sockets[i], types[i], (struct sockaddr *)&in, sizeof in))
			return ERR_LOCAL;
		if (socket_open(&sockets[i + 2], types[i], (struct sockaddr *)&in6, sizeof in6) &&
		    errno != EAFNOSUPPORT && errno != EADDRNOTAVAIL)
			return ERR_LOCAL;
	}
	return ERR_OK;
}
