/* connection.c - a client's connection: bytes in and out, phases, the end
 *
 * Theory of operation: see connection.h for the phases. Bytes from the client are kept as they come,
 * at most a window of them, as credit goes back only for what was taken. Plaintext for the client is
 * kept in `out`; pump() turns it to ciphertext, a record at a time, and hands it to the transport as far
 * as that takes it. So a client that does not read stops the courier, and a courier that
 * does not read stops the client's write() (I7).
 *
 * Trust: every byte is the client's. Failure ends the connection with a reset, never
 * with an orderly end that a client could take for a whole answer.
 */
#include "inspector/connection.h"

#include "base/clock.h"
#include "inspector/claims.h"
#include "inspector/session.h"
#include "wire/proxy_head.h"

#include <stdlib.h>

static void sleep_again(struct connection *c)
{
	if (!c->woken_link)
		return;
	*c->woken_link = c->woken_next;
	if (c->woken_next)
		c->woken_next->woken_link = c->woken_link;
	c->woken_next = NULL;
	c->woken_link = NULL;
}

static void release(struct connection *c)
{
	struct inspector *i = c->inspector;

	*c->link = c->next;
	if (c->next)
		c->next->link = c->link;
	i->connection_count--;
	sleep_again(c);
	wait_clear(&c->wait);
	ask_cancel(c->ask);
	http1_free(c);
	session_free(c->session);
	tunnel_free(c->tunnel);
	buf_free(&c->token);
	guest_tls_free(c->tls);
	buf_free(&c->opened);
	buf_free(&c->fields);
	buf_free(&c->in);
	buf_free(&c->text);
	buf_free(&c->out);
	if (c->transport.ops)
		c->transport.ops->release(&c->transport);
	free(c);
}

static struct str spoken(const struct connection *c)
{
	if (c->session)
		return STR("h2");
	return c->requests ? STR("http/1.1") : STR("");
}

void connection_end(struct connection *c)
{
	claims_put(c->inspector->claims, &(struct msg_claim){
		.kind = CLAIM_CONNECTION_END, .result = c->result, .connection = c->id,
		.bytes_in = c->bytes_in, .bytes_out = c->bytes_out, .protocol = spoken(c) });
	c->transport.ops->end(&c->transport);
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
	c->transport.ops->reset(&c->transport, why);
	return STEP_OVER;
}

/* -- bytes ------------------------------------------------------------------------------ */

static void take_in(struct connection *c, size_t n)
{
	buf_drop(&c->in, n);
	c->transport.ops->consumed(&c->transport, n);
}

/* Decrypts until there is no input or enough plaintext; by way of one buffer for all, so that a connection
 * holds no more than what came. */
static enum err decrypt(struct connection *c)
{
	static char plain[GUEST_TLS_CHUNK];

	while (buf_room(&c->text) >= sizeof plain) {
		size_t n;
		enum err e = guest_tls_read(c->tls, plain, sizeof plain, &n);

		if (e == ERR_OK) {
			buf_put(&c->text, str_make(plain, n));
			if (buf_err(&c->text))
				return buf_err(&c->text);
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

/* Ciphertext to the client; false when it takes no more now. */
static bool pump_ciphertext(struct connection *c)
{
	struct transport *t = &c->transport;
	struct str bytes;

	while ((bytes = guest_tls_output(c->tls)).n) {
		bytes = str_head(bytes, t->ops->sendable(t));
		if (bytes.n == 0 || t->ops->send(t, bytes))
			return false;
		guest_tls_sent(c->tls, bytes.n);
		c->bytes_out += bytes.n;
	}
	return true;
}

/* Records are made until there is enough for one write of the transport's. */
static bool encrypt(struct connection *c)
{
	size_t taken = 0;
	enum err e = ERR_OK;

	while (!e && taken < c->out.len && guest_tls_output(c->tls).n < CONNECTION_SEND_BYTES) {
		struct str plain = str_head(str_from(buf_str(&c->out), taken), GUEST_TLS_CHUNK);

		e = guest_tls_write(c->tls, plain);
		taken += e ? 0 : plain.n;
	}
	buf_drop(&c->out, taken);
	return taken;	/* what failed is met again by the next read */
}

static void pump_tls(struct connection *c)
{
	while (pump_ciphertext(c) && encrypt(c))
		;
}

size_t connection_waiting(const struct connection *c)
{
	return c->out.len + (c->tls ? guest_tls_output(c->tls).n : 0);
}

void connection_put(struct connection *c, struct str bytes)
{
	struct str piece = str_head(bytes, GUEST_TLS_CHUNK);

	while (c->tls && c->out.len == 0 && piece.n && !guest_tls_write(c->tls, piece)) {
		bytes = str_from(bytes, piece.n);
		piece = str_head(bytes, GUEST_TLS_CHUNK);
	}
	buf_put(&c->out, bytes);
}

static void pump_plain(struct connection *c)
{
	struct transport *t = &c->transport;
	size_t n;

	while (c->out.len && (n = t->ops->sendable(t))) {
		struct str bytes = str_head(buf_str(&c->out), n);

		if (t->ops->send(t, bytes))
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
	return connection_waiting(c) == 0 && c->transport.ops->flushed(&c->transport);
}

enum err connection_fields(struct connection *c, struct str *ret)
{
	struct msg_connect m = {
		.host = str_of(c->host), .port = c->asked.port, .scheme = (uint8_t)c->scheme,
		.connection = c->id, .process = c->asked.process, .token = connection_token(c),
	};
	enum err e = c->fields.len ? ERR_OK : put_connect(&c->fields, &m);

	*ret = buf_str(&c->fields);
	return e;
}

/* -- phases ----------------------------------------------------------------------------- */

static void expired(struct wait *w);

void connection_deadline(struct connection *c, uint64_t ms)
{
	if (ms)
		wait_set(&c->inspector->waits, &c->wait, ms, expired);
	else
		wait_clear(&c->wait);
}

void connection_enter(struct connection *c, enum phase phase, uint64_t ms)
{
	if (phase == PHASE_finish && ms > CONNECTION_FINISH_MS)
		ms = CONNECTION_FINISH_MS;
	c->phase = phase;
	c->phase_ms = ms;
	c->entered_ms = clock_ms();
	c->finish_out = c->bytes_out;
	c->entered_in = c->bytes_in;
	connection_deadline(c, ms);
}

/* The first byte tells: a TLS handshake record, or the letter of an HTTP method. */
static enum step step_sniff(struct connection *c)
{
	const struct inspector_limits *limits = &c->inspector->limits;

	if (c->in.len == 0)
		return c->ended ? STEP_OVER : STEP_WAIT;
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
	if (c->bytes_out != c->finish_out)	/* it takes some: its time begins anew */
		connection_enter(c, PHASE_finish, c->phase_ms);
	if (!is_written(c))
		return STEP_WAIT;
	if (c->tls && !c->gone) {
		guest_tls_close(c->tls);
		if (!pump_ciphertext(c) || !c->transport.ops->flushed(&c->transport))
			return STEP_WAIT;
	}
	c->transport.ops->end(&c->transport);
	connection_enter(c, PHASE_linger, c->inspector->limits.linger_ms);
	return STEP_AGAIN;
}

static enum step step_linger(struct connection *c)
{
	take_in(c, c->in.len);
	if (c->patient && c->bytes_in != c->entered_in) {
		c->transport.ops->reset(&c->transport, ERR_TIMEOUT);
		return STEP_OVER;
	}
	return c->ended ? STEP_OVER : STEP_WAIT;
}

/* A reset throws away what the kernels still hold for the client. One that only listens may be slow to take it. */
static enum step late_linger(struct connection *c)
{
	if (!c->patient && c->bytes_in == c->entered_in) {
		connection_enter(c, PHASE_linger, c->inspector->limits.stall_ms);
		c->patient = true;
		return STEP_WAIT;
	}
	c->transport.ops->reset(&c->transport, ERR_TIMEOUT);
	return STEP_OVER;
}

static enum step (*const phase_step[PHASE_COUNT])(struct connection *c) = {
#define PHASE_STEP(name) [PHASE_##name] = step_##name,
	PHASES(PHASE_STEP)
#undef PHASE_STEP
};

/* As far as it goes; @c may be gone afterwards. */
static void run(struct connection *c)
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

void connection_wake(struct connection *c)
{
	struct inspector *i = c->inspector;

	if (c->woken_link)
		return;
	c->woken_next = i->woken;
	c->woken_link = &i->woken;
	if (i->woken)
		i->woken->woken_link = &c->woken_next;
	i->woken = c;
}

void connection_wake_all(struct inspector *i)
{
	for (struct connection *c = i->connections; c; c = c->next) {
		session_room(c->session);
		connection_wake(c);
	}
}

void connection_run_woken(struct inspector *i)
{
	struct connection *c;

	while ((c = i->woken)) {
		sleep_again(c);	/* NOLINT(clang-analyzer-unix.Malloc):
				   release() took what is gone out of this list */
		run(c);
	}
}

/* Without waiting. What is said within TLS is said before TLS ends. */
static void say_goodbye(struct connection *c)
{
	session_say_goodbye(c->session);
	(void)pump(c);
	if (c->tls)
		guest_tls_close(c->tls);
	(void)pump(c);
}

void connection_stop(struct inspector *i)
{
	for (struct connection *c = i->connections, *next; c; c = next) {
		next = c->next;
		say_goodbye(c);
		release(c);
	}
}

/* What a deadline means, by phase. */
static enum step late(struct connection *c)
{
	switch (c->phase) {
	case PHASE_proxy:
		if (c->in.len)
			return http1_refuse(c, ERR_TIMEOUT, 408, "the request head took too long");
		connection_enter(c, PHASE_finish, c->inspector->limits.linger_ms);
		return STEP_AGAIN;
	case PHASE_route:
		return connection_refuse(c, ERR_TIMEOUT, "the courier did not answer");
	case PHASE_sniff:
		return connection_refuse(c, ERR_PROTOCOL_UNKNOWN,
					 "the client sent nothing: does the server speak first?");
	case PHASE_hello:
	case PHASE_leaf:
	case PHASE_shake:
		return connection_refuse(c, ERR_TIMEOUT, "the TLS handshake took too long");
	case PHASE_head:
		if ((c->tls ? c->text.len : c->in.len) == 0) {	/* idle between requests */
			connection_enter(c, PHASE_finish, c->inspector->limits.linger_ms);
			return STEP_AGAIN;
		}
		return http1_refuse(c, ERR_TIMEOUT, 408, "the request head took too long");
	case PHASE_relay:
		if (c->http1.expect_continue)
			return http1_continue(c);
		return connection_refuse(c, ERR_TIMEOUT, "neither side moved");
	case PHASE_messages:
		return connection_refuse(c, ERR_TIMEOUT, "neither side moved");
	case PHASE_session:
		return session_late(c->session);
	case PHASE_linger:
		return late_linger(c);
	case PHASE_tunnel:
	case PHASE_finish:
	case PHASE_COUNT:
		break;
	}
	c->transport.ops->reset(&c->transport, ERR_TIMEOUT);
	return STEP_OVER;
}

static void expired(struct wait *w)
{
	struct connection *c = (struct connection *)((char *)w - offsetof(struct connection, wait));

	if (late(c) == STEP_OVER)
		connection_end(c);
	else
		connection_wake(c);
}

/* -- what comes ------------------------------------------------------------------------- */

void connection_input(struct connection *c, struct str bytes)
{
	c->bytes_in += bytes.n;
	buf_put(&c->in, bytes);
	if (buf_err(&c->in)) {
		c->transport.ops->reset(&c->transport, ERR_MEMORY);
		c->gone = true;
	}
	connection_wake(c);
}

void connection_input_end(struct connection *c)
{
	c->ended = true;
	connection_wake(c);
}

void connection_lost(struct connection *c, enum err why)
{
	c->gone = true;
	if (!c->result)
		c->result = why;
	connection_wake(c);
}

/* Since when has it been waited for the client's first words, for the rest of a head, or for it to take some of
 * what is left for it? UINT64_MAX: it is not. */
static uint64_t waited_since(const struct connection *c)
{
	switch (c->phase) {
	case PHASE_proxy:
	case PHASE_sniff:
	case PHASE_hello:
	case PHASE_shake:
	case PHASE_finish:
		return c->entered_ms;
	case PHASE_linger:
		return c->patient ? c->entered_ms : UINT64_MAX;
	case PHASE_head:
		return c->http1.head_begun ? c->wait.at_ms - c->inspector->limits.head_ms : c->entered_ms;
	case PHASE_session:
		return c->requests ? UINT64_MAX : c->entered_ms;
	case PHASE_route:
	case PHASE_tunnel:
	case PHASE_leaf:
	case PHASE_relay:
	case PHASE_messages:
	case PHASE_COUNT:
		break;
	}
	return UINT64_MAX;
}

/* If none is idle, the client that has taken longest to say what it wants, or to take what is left for it: else
 * a few thousand that do nothing would keep out everybody who has something to say. */
static void refuse_slowest(struct inspector *i)
{
	uint64_t since = clock_ms() - i->limits.slow_ms;
	struct connection *slowest = NULL;

	for (struct connection *c = i->connections; c; c = c->next)
		if (waited_since(c) <= since) {
			since = waited_since(c);
			slowest = c;
		}
	if (!slowest)
		return;
	(void)connection_refuse(slowest, ERR_LIMIT,
				"too many connections at once, and this one was the slowest");
	connection_end(slowest);
}

/* At the limit, the connection that has been idle between requests for longest makes room: its client
 * kept it in a pool, and must expect that it is closed. */
static void close_idlest(struct inspector *i)
{
	struct connection *idlest = NULL;

	for (struct connection *c = i->connections; c; c = c->next)
		if ((c->phase == PHASE_session ? session_idle(c->session) : http1_idle(c)) &&
		    c->in.len == 0 && is_written(c) && (!idlest || c->wait.at_ms <= idlest->wait.at_ms))
			idlest = c;
	if (!idlest) {
		refuse_slowest(i);
		return;
	}
	say_goodbye(idlest);
	connection_end(idlest);
}

struct connection *connection_new(struct inspector *i)
{
	struct connection *c;

	if (i->connection_count == i->limits.connections_max)
		close_idlest(i);
	c = i->connection_count < i->limits.connections_max ? calloc(1, sizeof *c) : NULL;
	if (!c) {
		if (!i->refused_connections)
			claims_put(i->claims, &(struct msg_claim){ .kind = CLAIM_LIMIT, .result = ERR_LIMIT,
					.text = STR("too many connections at once") });
		i->refused_connections = true;
		return NULL;
	}
	i->refused_connections = false;
	*c = (struct connection){ .inspector = i, .id = ++i->next_connection, .next = i->connections,
				  .link = &i->connections };
	if (c->next)
		c->next->link = &c->next;
	i->connections = c;
	i->connection_count++;
	buf_init(&c->opened, LINK_OPEN_MAX);
	buf_init(&c->fields, LINK_OPEN_MAX - 1);
	buf_init(&c->in, INSPECTOR_GUEST_WINDOW);
	buf_init(&c->text, CONNECTION_TEXT_MAX);
	buf_init(&c->out, CONNECTION_OUT_MAX);
	buf_init(&c->token, PROXY_TOKEN_MAX);
	http1_init(c);
	return c;
}

void connection_begin(struct connection *c)
{
	claims_put(c->inspector->claims, &(struct msg_claim){
		.kind = CLAIM_CONNECTION, .address = c->asked.address, .port = c->asked.port,
		.host = str_of(c->host), .connection = c->id, .process = c->asked.process });
	if (c->literal || names_tunnelled(c->inspector->names, str_of(c->host)))
		connection_enter(c, PHASE_route, c->inspector->limits.ask_ms);
	else
		connection_enter(c, PHASE_sniff, c->inspector->limits.sniff_ms);
	connection_wake(c);
}

void connection_begin_proxy(struct connection *c)
{
	connection_enter(c, PHASE_proxy, c->inspector->limits.head_ms);
}

void connection_drop(struct connection *c) { release(c); }
