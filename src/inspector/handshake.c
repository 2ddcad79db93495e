/* handshake.c - TLS with the guest's client: hello, leaf, shake
 *
 * Theory of operation: the server name must be the very name that DNS gave for the address; only a
 * connection to an address literal may be without one. A literal is asked for first, as no DNS query
 * was: a client learns of a denial there by the alert access_denied. The certificate is signed by
 * the courier for this process's key, once a name.
 * Source: RFC 8446 s6.2; RFC 6066 s3.
 */
#include "inspector/connection.h"

#include "inspector/session.h"

/* Moves ciphertext in until OpenSSL is done, asks, fails, or wants more than there is. */
static enum err shake(struct connection *c)
{
	for (;;) {
		size_t n = c->in.len < GUEST_TLS_CHUNK ? c->in.len : GUEST_TLS_CHUNK;
		enum err e = guest_tls_handshake(c->tls);

		if (e != ERR_MORE || guest_tls_asks(c->tls) || n == 0)
			return e;
		e = guest_tls_input(c->tls, str_head(buf_str(&c->in), n));
		if (e)
			return e;
		buf_drop(&c->in, n);
		c->transport.ops->consumed(&c->transport, n);
	}
}

/* The alert goes out, then the connection ends. */
static enum step refuse(struct connection *c, enum err why, const char *text)
{
	connection_claim(c, why, text);
	guest_tls_refuse(c->tls, why);
	(void)shake(c);
	connection_enter(c, PHASE_finish, c->inspector->limits.linger_ms);
	return STEP_AGAIN;
}

static bool name_agrees(struct connection *c)
{
	struct str sni = guest_tls_server_name(c->tls);
	char name[HEAD_HOST_MAX + 1];

	if (sni.n == 0)
		return c->literal;
	return host_canonical(sni, name) == ERR_OK && str_eq(str_of(name), str_of(c->host));
}

enum step step_hello(struct connection *c)
{
	enum err e = shake(c);

	if (e == ERR_MORE && !guest_tls_asks(c->tls))
		return c->ended ? connection_refuse(c, ERR_TLS, "the ClientHello was cut off") : STEP_WAIT;
	if (e != ERR_MORE)
		return refuse(c, ERR_TLS, "malformed ClientHello");
	if (!name_agrees(c))
		return refuse(c, ERR_NAME_MISMATCH, "the TLS server name is not the name that DNS gave");
	connection_enter(c, PHASE_leaf, c->inspector->limits.handshake_ms);
	return STEP_AGAIN;
}

static void answered(void *context, enum err e, const struct msg_status *status)
{
	struct connection *c = context;
	bool name = c->literal && !c->allowed;

	c->ask = NULL;
	if (!e && status->has_result)
		e = status->result;
	if (!e && status->has_verdict && !status->verdict)
		e = ERR_POLICY_DENIED;
	if (!e && name)
		c->allowed = status->has_verdict;
	else if (!e)
		e = guest_tls_put_leaf(c->inspector->tls, str_of(c->host), status->certificate);
	if (e) {
		c->result = e;
		guest_tls_refuse(c->tls, e);
	}
	connection_wake(c);
}

static enum err ask(struct connection *c)
{
	struct msg_connect m = { .host = str_of(c->host), .port = c->asked.port, .scheme = HEAD_HTTPS,
				 .connection = c->id, .process = c->asked.process };

	if (c->literal && !c->allowed)
		return ask_start(c->inspector, LINK_KIND_NAME, &m, answered, c, &c->ask);
	m.public_key = guest_tls_public_key(c->inspector->tls);
	return ask_start(c->inspector, LINK_KIND_LEAF, &m, answered, c, &c->ask);
}

enum step step_leaf(struct connection *c)
{
	enum err e;

	if (c->ask)
		return STEP_WAIT;
	if (c->result)
		return refuse(c, c->result, "no certificate for this name");
	if ((!c->literal || c->allowed) && guest_tls_has_leaf(c->inspector->tls, str_of(c->host))) {
		e = guest_tls_accept(c->tls, str_of(c->host));
		if (e)
			return refuse(c, e, "the certificate cannot be used");
		connection_enter(c, PHASE_shake, c->inspector->limits.handshake_ms);
		return STEP_AGAIN;
	}
	e = ask(c);
	return e ? refuse(c, e, "the courier cannot be asked for a certificate") : STEP_WAIT;
}

enum step step_shake(struct connection *c)
{
	enum err e = shake(c);

	if (e == ERR_OK) {
		if (str_eq(guest_tls_protocol(c->tls), STR("h2")))
			return session_begin(c);
		connection_enter(c, PHASE_head, c->inspector->limits.head_ms);
		return STEP_AGAIN;
	}
	if (e != ERR_MORE)
		return refuse(c, ERR_TLS,
			      "the handshake failed (an untrusted certificate, or no HTTP offered?)");
	return c->ended ? connection_refuse(c, ERR_TLS, "the handshake was cut off") : STEP_WAIT;
}
