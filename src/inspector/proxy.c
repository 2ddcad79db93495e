/* proxy.c - the explicit proxy in front of a connection: CONNECT, and requests in absolute form
 *
 * Theory of operation: the first head says where to and who asks. The courier is asked once for each place
 * (step_route()): it knows the tokens, and says how the connection passes. After a CONNECT what follows is a
 * connection like the guest's; requests in absolute form come here one by one, as each may name another host.
 * Only plain HTTP is spoken to the proxy itself: it listens on loopback or behind somebody's TLS.
 */
#include "inspector/claims.h"
#include "inspector/connection.h"
#include "wire/proxy_head.h"

static const char established[] = "HTTP/1.1 200 Connection established\r\n\r\n";

struct str connection_token(const struct connection *c) { return buf_str(&c->token); }

static void announce(struct connection *c)
{
	claims_put(c->inspector->claims, &(struct msg_claim){
		.kind = CLAIM_CONNECTION, .port = c->asked.port, .host = str_of(c->host),
		.connection = c->id });
}

/* Is it the place and the client that the last request was for? */
static bool is_same(const struct connection *c, const struct proxy_head *h)
{
	return c->routed && c->named && c->asked.port == h->port &&
	       str_eq(str_of(c->host), str_of(h->host)) && str_eq(buf_str(&c->token), h->token);
}

static enum err go(struct connection *c, const struct proxy_head *h)
{
	memcpy(c->host, h->host, sizeof c->host);
	c->asked.port = h->port;
	c->literal = host_type(str_of(c->host)) != HOST_NAME;
	c->routed = c->named = c->allowed = false;
	c->passes = MSG_TUNNEL_OPENED;
	buf_clear(&c->fields);
	buf_clear(&c->token);
	buf_put(&c->token, h->token);
	return buf_err(&c->token);
}

static enum step take(struct connection *c, struct str bytes)
{
	struct proxy_head h;
	enum err e = proxy_head_parse(bytes, &c->inspector->storage, &h);

	if (e)
		return http1_refuse(c, e, 0,
				    "this is an explicit proxy: CONNECT host:port, or http://... as the target");
	c->proxy = h.connect ? PROXY_CONNECT : PROXY_ABSOLUTE;
	c->scheme = HEAD_HTTP;
	if (h.connect || !is_same(c, &h)) {
		e = go(c, &h);
		if (e)
			return http1_refuse(c, e, 0, "");
		announce(c);
	}
	if (h.connect)
		connection_take(c, bytes.n);
	connection_enter(c, PHASE_route, c->inspector->limits.handshake_ms);
	return STEP_AGAIN;
}

enum step step_proxy(struct connection *c)
{
	const struct inspector_limits *limits = &c->inspector->limits;
	struct str text = buf_str(&c->in);
	size_t bytes;
	enum err e;

	if (text.n && !c->http1.head_begun) {
		c->http1.head_begun = true;
		connection_deadline(c, limits->head_ms);
	}
	e = http1_head_end(text, &c->http1.scanned, &bytes);
	if (e == ERR_OK) {
		c->http1.scanned = 0;
		return take(c, str_head(text, bytes));
	}
	if (e != ERR_MORE)
		return http1_refuse(c, e, 0, "");
	if (!c->ended)
		return STEP_WAIT;
	connection_enter(c, PHASE_finish, limits->stall_ms);
	return STEP_AGAIN;
}

enum step proxy_routed(struct connection *c)
{
	if (c->result)
		return http1_refuse(c, c->result, 0, "");
	if (!c->named)
		return http1_refuse(c, ERR_POLICY_DENIED, 0, "no rule of the policy names this host");
	if (c->proxy == PROXY_CONNECT) {
		c->http1.head_begun = false;
		buf_put(&c->out, str_of(established));
		return connection_pass(c);
	}
	if (c->passes != MSG_TUNNEL_OPENED)
		return http1_refuse(c, ERR_POLICY_DENIED, 0,
				    "a rule lets this host pass unopened: CONNECT to it");
	connection_enter(c, PHASE_head, c->inspector->limits.head_ms);
	return STEP_AGAIN;
}
