/* upstream_bytes.c - what goes over a connection to an upstream, both ways
 *
 * Theory of operation: with TLS, what is to be sent is ciphertext in tls/upstream.h until the socket takes
 * it, and no more plaintext is taken before; what is received goes straight into it. Reading asks the socket
 * only when nothing that came before is left, and only when the loop said that there is something. ERR_MORE
 * notes which way the owner waits, which is what upstream_interest() goes by. An end without close_notify may
 * have been made by somebody in between, and is no orderly one.
 */
#include "courier/upstream_connection.h"

#include <errno.h>

#define INPUTS_MAX 16	/* of TLS, in one read */

enum err upstream_flush(struct upstream_connection *c)
{
	struct str out;

	while (c->tls && (out = upstream_tls_output(c->tls)).n) {
		ssize_t n = send(c->fd, out.p, out.n, MSG_NOSIGNAL);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return errno == EAGAIN || errno == EWOULDBLOCK ? ERR_MORE : ERR_UPSTREAM_CLOSED;
		upstream_tls_sent(c->tls, (size_t)n);
	}
	return ERR_OK;
}

static enum err receive(struct upstream_connection *c, char *p, size_t n, size_t *ret_n)
{
	ssize_t got;

	do
		got = recv(c->fd, p, n, 0);
	while (got < 0 && errno == EINTR);
	if (got < 0)
		return errno == EAGAIN || errno == EWOULDBLOCK ? ERR_MORE : ERR_UPSTREAM_CLOSED;
	if (got == 0) {
		c->eof = true;
		return ERR_CLOSED;
	}
	*ret_n = (size_t)got;
	return ERR_OK;
}

enum err upstream_feed(struct upstream_connection *c)
{
	size_t n, got;
	char *p;

	if (c->drained)
		return ERR_MORE;
	p = upstream_tls_room(c->tls, &n);
	if (!p)
		return ERR_MEMORY;
	enum err e = receive(c, p, n, &got);

	if (e == ERR_OK) {
		upstream_tls_received(c->tls, got);
		c->drained = got < n;
	}
	return e == ERR_CLOSED ? ERR_UPSTREAM_CLOSED : e;	/* without close_notify: it
								   may have been cut off */
}

/* Some inputs at most: records without a byte of plaintext could keep the loop from all others. What
 * is still in the socket then will call again. */
static enum err read_tls(struct upstream_connection *c, char *p, size_t n, size_t *ret_n)
{
	for (unsigned inputs = 0;; inputs++) {
		enum err e = upstream_tls_read(c->tls, p, n, ret_n), f = upstream_flush(c);

		if (e == ERR_CLOSED)
			c->eof = true;
		if (e != ERR_MORE || inputs == INPUTS_MAX)
			return e;
		if (f != ERR_OK && f != ERR_MORE)
			return f;
		e = upstream_feed(c);
		if (e != ERR_OK)
			return e;
	}
}

enum err upstream_read(struct upstream_connection *c, char *p, size_t n, size_t *ret_n)
{
	if (c->state != READY)
		return ERR_UPSTREAM_CLOSED;
	if (c->starved)
		return ERR_MORE;
	enum err e = c->tls ? read_tls(c, p, n, ret_n) : receive(c, p, n, ret_n);

	c->starved = e == ERR_MORE;
	c->quiet &= !c->starved;
	upstream_interest(c);
	return e;
}

enum err upstream_write(struct upstream_connection *c, struct str bytes, size_t *ret_n)
{
	enum err e;

	if (c->state != READY)
		return ERR_UPSTREAM_CLOSED;
	if (c->tls) {
		e = upstream_flush(c);
		if (e == ERR_OK)
			e = upstream_tls_write(c->tls, bytes, ret_n);
		if (e == ERR_OK) {
			enum err f = upstream_flush(c);

			if (f != ERR_OK && f != ERR_MORE)
				e = f;
		}
	} else {
		ssize_t n = send(c->fd, bytes.p, bytes.n, MSG_NOSIGNAL);

		e = n >= 0 ? ERR_OK
			   : errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR ? ERR_MORE
										 : ERR_UPSTREAM_CLOSED;
		if (e == ERR_OK)
			*ret_n = (size_t)n;
	}
	c->blocked = e == ERR_MORE;
	upstream_interest(c);
	return e;
}

void upstream_end(struct upstream_connection *c)
{
	if (c->state == READY && !c->tls)
		shutdown(c->fd, SHUT_WR);
}

bool upstream_pending(const struct upstream_connection *c)
{
	return c->state == READY && c->tls && upstream_tls_pending(c->tls);
}
