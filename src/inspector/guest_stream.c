/* guest_stream.c - TCP connections of the guest's, each a stream of its link
 *
 * Theory of operation: an OPEN says the address that was dialled and who asks; the address gives the name, as
 * this process handed it out (I6). Address and bytes are the guest's, the process that asks is its claim; the
 * name is not. What was never handed out, or is the guest's own, is refused at once.
 */
#include "inspector/guest_stream.h"

#include "inspector/claims.h"
#include "inspector/connection.h"

#include <arpa/inet.h>

static size_t sendable(const struct transport *t)
{
	return link_sendable(net_link(t->inspector), t->number);
}

static enum err send_bytes(struct transport *t, struct str bytes)
{
	return link_data(net_link(t->inspector), t->number, 0, bytes);
}

static void consumed(struct transport *t, size_t n)
{
	link_consumed(net_link(t->inspector), t->number, n);
}

static void end(struct transport *t)
{
	link_end(net_link(t->inspector), t->number);
}

static void reset(struct transport *t, enum err why)
{
	link_reset(net_link(t->inspector), t->number, why);
}

static void release(struct transport *t)
{
	link_set_user(net_link(t->inspector), t->number, NULL);
}

/* The link keeps what it took, whatever becomes of us. */
static bool flushed(const struct transport *t)
{
	(void)t;
	return true;
}

static const struct transport_ops ops = { sendable, send_bytes, flushed, consumed, end, reset, release };

static void frame(struct stream *s, const struct link_frame *f)
{
	struct connection *c = (struct connection *)s;

	switch (f->type) {
	case LINK_DATA:
		connection_input(c, f->payload);
		break;
	case LINK_END:
		connection_input_end(c);
		break;
	case LINK_RESET:
		connection_lost(c, f->reason);
		break;
	case LINK_CREDIT:
		connection_wake(c);
		break;
	case LINK_HEAD:
	case LINK_OPEN:
	case LINK_HELLO:
		reset(&c->transport, ERR_LINK_STATE);
		connection_lost(c, ERR_LINK_STATE);
		break;
	}
}

/* Where it goes: the name that DNS gave, or the literal. ERR_ADDRESS_REFUSED for what is the guest's
 * own (its redirect port among it) or was never given to it. */
static enum err find_host(struct connection *c)
{
	static const uint8_t mapped[12] = { 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff };
	struct str a = c->asked.address;
	char text[INET6_ADDRSTRLEN];

	if (a.n == 16 && memcmp(a.p, mapped, sizeof mapped) == 0)
		a = str_from(a, 12);
	if ((a.n != 4 && a.n != 16) || c->asked.port == 0)
		return ERR_LINK_MALFORMED;
	if (names_is_synthetic(a)) {
		struct str host = names_host(c->inspector->names, a);

		if (host.n == 0)
			return ERR_ADDRESS_REFUSED;
		memcpy(c->host, host.p, host.n);
		return ERR_OK;
	}
	c->literal = true;
	if (!inet_ntop(a.n == 4 ? AF_INET : AF_INET6, a.p, text, sizeof text) ||
	    host_canonical(str_of(text), c->host))
		return ERR_LINK_MALFORMED;
	if ((a.n == 4 && (a.p[0] == 127 || a.p[0] == 0)) || str_eq(str_of(c->host), STR("::1")) ||
	    str_eq(str_of(c->host), STR("::")))
		return ERR_ADDRESS_REFUSED;
	return ERR_OK;
}

static enum err keep_open(struct connection *c, struct str fields)
{
	buf_put(&c->opened, fields);
	return buf_err(&c->opened) ? buf_err(&c->opened) : msg_get_connect(buf_str(&c->opened), &c->asked);
}

void guest_stream_open(struct inspector *i, uint32_t number, struct str fields)
{
	struct connection *c = connection_new(i);
	enum err e;

	if (!c) {
		link_reset(net_link(i), number, ERR_LIMIT);
		return;
	}
	c->transport = (struct transport){ { frame }, &ops, i, number, NULL };
	link_set_user(net_link(i), number, c);
	e = keep_open(c, fields);
	if (!e)
		e = find_host(c);
	connection_begin(c);
	if (e) {
		(void)connection_refuse(c, e,
					"this address was not given for a name, or is the sandbox's own");
		connection_end(c);
	}
}
