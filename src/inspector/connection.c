/* connection.c - a connection of the guest's: opening, bytes in and out, phases, the end
 *
 * Theory of operation: see connection.h for the phases. Bytes from the guest are kept as they come,
 * at most a window of them, as credit goes back only for what was taken. Plaintext for the guest is
 * kept in `out`; pump() turns it to ciphertext, a record at a time, and hands it to the link as far
 * as the guest's credit goes. So a guest that does not read stops the courier, and a courier that
 * does not read stops the guest's write() (I7).
 *
 * Trust: the address and every byte are the guest's, the process that asks is its claim. The name
 * is not: it is what this process gave the address for. Failure ends the connection with RESET, never
 * with an orderly end that a client could take for a whole answer.
 */
#include "inspector/connection.h"

#include "inspector/claims.h"

#include <arpa/inet.h>
#include <stdlib.h>

static void release(struct connection *c)
{
	struct inspector *i = c->inspector;

	*c->link = c->next;
	if (c->next)
		c->next->link = c->link;
	i->connection_count--;
	wait_clear(&c->wait);
	ask_cancel(c->ask);
	exchange_close(c, ERR_CANCELLED);
	guest_tls_free(c->tls);
	buf_free(&c->opened);
	buf_free(&c->in);
	buf_free(&c->text);
	buf_free(&c->out);
	link_set_user(net_link(i), c->number, NULL);
	free(c);
}

static void connection_end(struct connection *c)
{
	struct inspector *i = c->inspector;

	claims_put(i->claims, &(struct msg_claim){
		.kind = CLAIM_CONNECTION_END, .result = c->result, .connection = c->id,
		.bytes_in = c->bytes_in, .bytes_out = c->bytes_out });
	link_end(net_link(i), c->number);
	release(c);
}

void connection_claim(struct connection *c, enum err why, const char *text)
{
	c->result = why;
	claims_put(c->inspector->claims, &(struct msg_claim){
		.kind = CLAIM_REFUSED, .result = why, .text = str_of(text), .address = c->asked.address,
		.port = c->asked.port, .host = str_of(c->host), .connection = c->id,
		.process = c->asked.process });
}

enum step connection_refuse(struct connection *c, enum err why, const char *text)
{
	connection_claim(c, why, text);
	link_reset(net_link(c->inspector), c->number, why);
	return STEP_OVER;
}

/* -- bytes ------------------------------------------------------------------------------ */

static void take_in(struct connection *c, size_t n)
{
	buf_drop(&c->in, n);
	link_consumed(net_link(c->inspector), c->number, n);
}

/* Decrypts until there is no input or enough plaintext. */
static enum err decrypt(struct connection *c)
{
	while (buf_room(&c->text) >= GUEST_TLS_CHUNK) {
		size_t n;
		enum err e = buf_reserve(&c->text, GUEST_TLS_CHUNK);

		if (!e)
			e = guest_tls_read(c->tls, buf_tail(&c->text), GUEST_TLS_CHUNK, &n);
		if (e == ERR_OK) {
			c->text.len += n;
		} else if (e == ERR_MORE && c->in.len) {
			n = c->in.len < GUEST_TLS_CHUNK ? c->in.len : GUEST_TLS_CHUNK;
			e = guest_tls_input(c->tls, str_head(buf_str(&c->in), n));
			if (e)
				return e;
			take_in(c, n);
		} else if (e == ERR_CLOSED) {
			c->notified = true;
			return ERR_OK;
		} else {
			return e == ERR_MORE ? ERR_OK : e;
		}
	}
	return ERR_OK;
}

enum err connection_text(struct connection *c, struct str *ret)
{
	enum err e = c->tls ? decrypt(c) : ERR_OK;

	if (!e)
		*ret = buf_str(c->tls ? &c->text : &c->in);
	return e;
}

void connection_take(struct connection *c, size_t n)
{
	if (c->tls)
		buf_drop(&c->text, n);
	else
		take_in(c, n);
}

/* Ciphertext to the guest; false when it takes no more now. */
static bool pump_ciphertext(struct connection *c)
{
	static char record[GUEST_TLS_CHUNK];
	struct link *l = net_link(c->inspector);

	while (guest_tls_pending(c->tls)) {
		size_t room = link_sendable(l, c->number);
		size_t n = guest_tls_output(c->tls, record, room < sizeof record ? room : sizeof record);

		if (n == 0 || link_data(l, c->number, 0, str_make(record, n)))
			return false;
		c->bytes_out += n;
	}
	return true;
}

static void pump_tls(struct connection *c)
{
	while (pump_ciphertext(c) && c->out.len) {
		struct str plain = str_head(buf_str(&c->out), GUEST_TLS_CHUNK);

		if (guest_tls_write(c->tls, plain))
			return;		/* the next read says so too */
		buf_drop(&c->out, plain.n);
	}
}

static void pump_plain(struct connection *c)
{
	struct link *l = net_link(c->inspector);
	size_t n;

	while (c->out.len && (n = link_sendable(l, c->number))) {
		struct str bytes = str_head(buf_str(&c->out), n);

		if (link_data(l, c->number, 0, bytes))
			return;
		c->bytes_out += bytes.n;
		buf_drop(&c->out, bytes.n);
	}
}

/* Writes what can be written; true if anything moved. */
static bool pump(struct connection *c)
{
	uint64_t bytes = c->bytes_out;
	size_t plain = c->out.len;

	if (c->tls)
		pump_tls(c);
	else
		pump_plain(c);
	return c->out.len < plain || c->bytes_out != bytes;
}

static bool is_written(const struct connection *c)
{
	return c->out.len == 0 && (!c->tls || guest_tls_pending(c->tls) == 0);
}

/* -- phases ----------------------------------------------------------------------------- */

static void expired(struct wait *w);

void connection_deadline(struct connection *c, uint64_t ms)
{
	wait_set(&c->inspector->waits, &c->wait, ms, expired);
}

void connection_enter(struct connection *c, enum phase phase, uint64_t ms)
{
	c->phase = phase;
	connection_deadline(c, ms);
}

/* The first byte tells: a TLS handshake record, or the letter of an HTTP method. */
static enum step step_sniff(struct connection *c)
{
	const struct inspector_limits *limits = &c->inspector->limits;

	if (c->in.len == 0)
		return c->guest_ended ? STEP_OVER : STEP_WAIT;
	if (c->in.p[0] == 0x16) {
		if (guest_tls_new(c->inspector->tls, &c->tls))
			return connection_refuse(c, ERR_MEMORY, "no memory for TLS");
		c->scheme = HEAD_HTTPS;
		connection_enter(c, PHASE_hello, limits->handshake_ms);
	} else if (ascii_alpha(c->in.p[0])) {
		c->scheme = HEAD_HTTP;
		connection_enter(c, PHASE_head, limits->head_ms);
	} else {
		return connection_refuse(c, ERR_PROTOCOL_UNKNOWN, "the first byte is neither TLS nor HTTP");
	}
	return STEP_AGAIN;
}

static enum step step_finish(struct connection *c)
{
	if (!is_written(c))
		return STEP_WAIT;
	if (c->tls && !c->gone) {
		guest_tls_close(c->tls);
		if (!pump_ciphertext(c))
			return STEP_WAIT;
	}
	link_end(net_link(c->inspector), c->number);
	connection_enter(c, PHASE_linger, c->inspector->limits.linger_ms);
	return STEP_AGAIN;
}

static enum step step_linger(struct connection *c)
{
	take_in(c, c->in.len);
	return c->guest_ended ? STEP_OVER : STEP_WAIT;
}

static enum step (*const phase_step[PHASE_COUNT])(struct connection *c) = {
#define PHASE_STEP(name) [PHASE_##name] = step_##name,
	PHASES(PHASE_STEP)
#undef PHASE_STEP
};

void connection_run(struct connection *c)
{
	for (;;) {
		enum step s = c->gone ? STEP_OVER : phase_step[c->phase](c);

		if (s == STEP_OVER) {
			connection_end(c);
			return;
		}
		if (!pump(c) && s == STEP_WAIT)
			return;
	}
}

void connection_run_all(struct inspector *i)
{
	for (struct connection *c = i->connections, *next; c; c = next) {
		next = c->next;
		connection_run(c);
	}
}

void connection_stop(struct inspector *i)
{
	for (struct connection *c = i->connections, *next; c; c = next) {
		next = c->next;
		release(c);
	}
}

/* What a deadline means, by phase. */
static enum step late(struct connection *c)
{
	switch (c->phase) {
	case PHASE_sniff:
		return connection_refuse(c, ERR_PROTOCOL_UNKNOWN, "the client sent nothing: a protocol in which the "
								  "server speaks first?");
	case PHASE_hello:
	case PHASE_leaf:
	case PHASE_shake:
		return connection_refuse(c, ERR_TIMEOUT, "the TLS handshake took too long");
	case PHASE_head:
		if ((c->tls ? c->text.len : c->in.len) == 0) {	/* idle between requests */
			connection_enter(c, PHASE_finish, c->inspector->limits.linger_ms);
			return STEP_AGAIN;
		}
		return http_refuse(c, ERR_TIMEOUT, 408, "the request head took too long");
	case PHASE_open:
	case PHASE_relay:
		if (c->exchange.expect_continue)
			return relay_continue(c);
		return connection_refuse(c, ERR_TIMEOUT, "neither side moved");
	case PHASE_finish:
	case PHASE_linger:
	case PHASE_COUNT:
		break;
	}
	link_reset(net_link(c->inspector), c->number, ERR_TIMEOUT);
	return STEP_OVER;
}

static void expired(struct wait *w)
{
	struct connection *c = (struct connection *)((char *)w - offsetof(struct connection, wait));
	struct inspector *i = c->inspector;

	if (late(c) == STEP_OVER)
		connection_end(c);
	else
		connection_run(c);
	inspector_flush(i);
}

/* -- opening ---------------------------------------------------------------------------- */

static void frame(struct stream *s, const struct link_frame *f)
{
	struct connection *c = (struct connection *)s;

	switch (f->type) {
	case LINK_DATA:
		c->bytes_in += f->payload.n;
		buf_put(&c->in, f->payload);
		if (buf_err(&c->in)) {
			link_reset(net_link(c->inspector), c->number, ERR_MEMORY);
			c->gone = true;
		}
		break;
	case LINK_END:
		c->guest_ended = true;
		break;
	case LINK_RESET:
		c->gone = true;
		if (!c->result)
			c->result = f->reason;
		break;
	case LINK_CREDIT:
		break;
	case LINK_HEAD:
	case LINK_OPEN:
	case LINK_HELLO:
		link_reset(net_link(c->inspector), c->number, ERR_LINK_STATE);
		c->gone = true;
		break;
	}
	connection_run(c);
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
	buf_init(&c->opened, LINK_OPEN_MAX);
	buf_init(&c->in, INSPECTOR_GUEST_WINDOW);
	buf_init(&c->text, CONNECTION_TEXT_MAX);
	buf_init(&c->out, CONNECTION_OUT_MAX);
	buf_put(&c->opened, fields);
	return buf_err(&c->opened) ? buf_err(&c->opened) : msg_get_connect(buf_str(&c->opened), &c->asked);
}

static struct connection *connection_new(struct inspector *i, uint32_t number)
{
	struct connection *c = calloc(1, sizeof *c);

	if (!c)
		return NULL;
	*c = (struct connection){ .stream = { frame }, .inspector = i, .number = number,
				  .id = ++i->next_connection, .next = i->connections,
				  .link = &i->connections };
	if (c->next)
		c->next->link = &c->next;
	i->connections = c;
	i->connection_count++;
	exchange_open(&c->exchange);
	link_set_user(net_link(i), number, c);
	return c;
}

/* At the limit, the connection that has been idle between requests for longest makes room: its client
 * kept it in a pool, and must expect that it is closed. */
static void close_idlest(struct inspector *i)
{
	struct connection *idlest = NULL;

	for (struct connection *c = i->connections; c; c = c->next)
		if (c->phase == PHASE_head && c->requests && !c->head_begun && c->in.len == 0 && is_written(c) &&
		    (!idlest || c->wait.at_ms <= idlest->wait.at_ms))
			idlest = c;
	if (!idlest)
		return;
	if (idlest->tls)
		guest_tls_close(idlest->tls);
	(void)pump(idlest);
	connection_end(idlest);
}

void connection_open(struct inspector *i, uint32_t number, struct str fields)
{
	struct connection *c = NULL;
	enum err e;

	if (i->connection_count == i->limits.connections_max)
		close_idlest(i);
	if (i->connection_count < i->limits.connections_max)
		c = connection_new(i, number);
	if (!c) {
		if (!i->refused_connections)
			claims_put(i->claims, &(struct msg_claim){ .kind = CLAIM_LIMIT, .result = ERR_LIMIT,
					.text = STR("too many connections at once") });
		i->refused_connections = true;
		link_reset(net_link(i), number, ERR_LIMIT);
		return;
	}
	i->refused_connections = false;
	e = keep_open(c, fields);
	if (!e)
		e = find_host(c);
	claims_put(i->claims, &(struct msg_claim){
		.kind = CLAIM_CONNECTION, .address = c->asked.address, .port = c->asked.port,
		.host = str_of(c->host), .connection = c->id, .process = c->asked.process });
	if (e) {
		(void)connection_refuse(c, e, "this address was not given for a name, or is the sandbox's own");
		connection_end(c);
		return;
	}
	connection_enter(c, PHASE_sniff, i->limits.sniff_ms);
}
