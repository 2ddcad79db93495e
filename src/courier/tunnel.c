/* tunnel.c - see tunnel.h
 *
 * Theory of operation: phases in order. `hello` waits for the whole ClientHello of a passthrough, and judges
 * its name; `dial` stores the intent (I3) and connects; `relay` moves bytes both ways, each as far as the
 * other side takes them (I7), and passes half-closes on. Whatever ends it, over() records the outcome.
 * In raw TCP the agent's bytes are searched for placeholders, all of which are foreign here: a credential
 * cannot be used in a tunnel, but its stand-in shall not wander off either. TLS hides them; so they stay
 * useless.
 * Trust: as in exchange.c. Of the peer's bytes nothing but the ClientHello is read.
 */
#include "courier/tunnel.h"

#include "base/clock.h"
#include "base/log.h"
#include "courier/exchange.h"
#include "wire/client_hello.h"

#include <stdio.h>
#include <stdlib.h>

#define PIECE_BYTES 16384u

enum phase { PHASE_HELLO, PHASE_DIAL, PHASE_RELAY };

struct tunnel {
	struct courier_stream stream;		/* first */
	struct courier *courier;
	struct tunnel *next, **at;
	struct link *link;
	uint32_t number;
	enum phase phase;
	struct buf opened;
	struct msg_connect asked;		/* views into it */
	const struct config_client *client;	/* once it is counted; or NULL */
	struct snapshot *snapshot;
	const struct policy_rule *rule;
	char request_id[EXCHANGE_REQUEST_ID_BYTES];
	struct upstream_connection *connection;
	struct scrub *scrub;			/* raw TCP: for placeholders */
	struct str foreign;
	struct queue up;			/* from the agent */
	size_t clear;				/* of it, searched */
	struct queue down;
	bool agent_ended, upstream_ended, end_passed;
	bool intent_stored;
	bool beyond_limit;			/* opened when limits.requests was used up */
	bool gone;				/* the stream is over */
	enum err result;
	const char *reason;
	uint64_t bytes_in, bytes_out, started_ms, deadline_ms;
};

/* -- records ---------------------------------------------------------------------------- */

static void put_place(struct record *r, const struct tunnel *t)
{
	char url[HEAD_HOST_MAX + 32];
	bool ipv6 = host_type(t->asked.host) == HOST_IPV6;

	snprintf(url, sizeof url, "%s://%s%.*s%s:%u",
		 t->rule && t->rule->kind == POLICY_KIND_PASSTHROUGH ? "tls" : "tcp", ipv6 ? "[" : "",
		 STR_FMT(t->asked.host), ipv6 ? "]" : "", t->asked.port);
	record_text(r, "request", str_of(t->request_id), sizeof t->request_id);
	record_text(r, "method", STR("CONNECT"), 8);
	record_text(r, "url", str_of(url), sizeof url);
	if (t->asked.connection)
		record_integer(r, "connection", t->asked.connection);
	if (t->rule) {
		record_text(r, "rule", t->rule->name, 128);
		record_integer(r, "line", t->rule->line);
	}
	if (t->client)
		record_text(r, "client", t->client->name, 128);
	record_process(r, &t->asked.process);
}

static enum err record_intent(struct tunnel *t)
{
	auto_record r = record_new(STR("intent"), STR("courier"));

	if (!r)
		return ERR_AUDIT;
	put_place(r, t);
	record_text(r, "verdict", t->rule->verdict == POLICY_OBSERVE ? STR("observe") : STR("allow"), 16);
	record_text(r, "policy_digest", str_of(policy_digest(snapshot_policy(t->snapshot))), 64);
	record_bool(r, "opened", false);
	return spool_intent(t->courier->spool, r, NULL);
}

static void record_end(struct tunnel *t)
{
	auto_record r = record_new(t->intent_stored ? STR("outcome") : STR("denial"), STR("courier"));
	char address[ADDRESS_TEXT_BYTES];
	enum err e = ERR_MEMORY;

	if (r) {
		if (t->intent_stored)
			record_text(r, "request", str_of(t->request_id), sizeof t->request_id);
		else
			put_place(r, t);
		record_text(r, "result", str_of(err_name(t->result)), 64);
		if (*t->reason)
			record_text(r, "text", str_of(t->reason), 256);
		if (t->foreign.n)
			record_text(r, "placeholder_of", t->foreign, 128);
		record_integer(r, "duration_ms", clock_ms() - t->started_ms);
	}
	if (r && t->intent_stored) {
		record_integer(r, "bytes_in", t->bytes_in);
		record_integer(r, "bytes_out", t->bytes_out);
		if (t->connection && upstream_status(t->connection) == ERR_OK)
			record_text(r, "address",
				    str_of(address_text(upstream_address(t->connection), address)),
				    sizeof address);
		e = spool_outcome(t->courier->spool, r);
	} else if (r) {
		e = spool_append(t->courier->spool, r, NULL);
	}
	if (e != ERR_OK)
		log_error("the end of tunnel %s could not be stored", t->request_id);
}

/* -- the end ---------------------------------------------------------------------------- */

/* On record, both sides told, freed. */
static void over(struct tunnel *t, enum err why, const char *reason)
{
	t->result = why;
	t->reason = reason;
	if (!t->intent_stored)
		t->courier->denied++;
	if (t->intent_stored || !t->beyond_limit)
		record_end(t);		/* the others are counted: courier_limit_reached() */
	courier_client_leave(t->courier, t->client);
	if (t->connection)
		upstream_release(t->connection, false);
	link_consumed(t->link, t->number, queue_bytes(&t->up));
	link_set_user(t->link, t->number, NULL);
	if (!t->gone && why != ERR_OK)
		link_reset(t->link, t->number, why);
	else if (!t->gone)
		link_end(t->link, t->number);
	*t->at = t->next;
	if (t->next)
		t->next->at = t->at;
	scrub_free(t->scrub);
	snapshot_release(t->snapshot);
	queue_free(&t->up);
	queue_free(&t->down);
	buf_free(&t->opened);
	free(t);
}

static void progress(struct tunnel *t)
{
	t->deadline_ms = clock_ms() + (t->agent_ended || t->upstream_ended ? TUNNEL_HALF_MS : TUNNEL_IDLE_MS);
}

static enum err count(struct tunnel *t, size_t n)
{
	struct courier *c = t->courier;

	c->bytes += n;
	if (c->bytes <= courier_limit_bytes(c))
		return ERR_OK;
	courier_limit_reached(c, "limits.bytes");
	return ERR_LIMIT;
}

/* -- the policy ------------------------------------------------------------------------- */

/* The rule of @p that lets it pass. */
static enum err decide(const struct tunnel *t, const struct policy *p, const struct policy_rule **ret)
{
	enum err e = policy_match_tunnel(p, POLICY_KIND_PASSTHROUGH, t->asked.host, t->asked.port, ret);

	if (e)
		e = policy_match_tunnel(p, POLICY_KIND_TCP, t->asked.host, t->asked.port, ret);
	return e ? e : (*ret)->verdict == POLICY_DENY ? ERR_POLICY_DENIED : ERR_OK;
}

/* Would it be opened under @p, to the address that it has? */
static enum err decide_again(const struct tunnel *t, const struct policy *p)
{
	const struct policy_rule *rule;
	enum err e = decide(t, p, &rule);

	if (!e && rule->kind != t->rule->kind)
		e = ERR_POLICY_DENIED;
	if (!e && t->phase == PHASE_RELAY && !upstream_overridden(t->connection))
		e = address_admit(upstream_address(t->connection), rule);
	return e;
}

/* -- hello, dial ------------------------------------------------------------------------ */

static enum err judge_hello(struct tunnel *t, const char **ret_reason)
{
	auto_buf storage = BUF_EMPTY;
	struct client_hello hello;
	enum err e;

	buf_init(&storage, CLIENT_HELLO_MAX);
	*ret_reason = "the ClientHello";
	e = client_hello_parse(queue_str(&t->up), &storage, &hello);
	if (e)
		return e;
	if (hello.encrypted)
		return ERR_ECH;
	*ret_reason = "the TLS server name is not the name that DNS gave";
	if (hello.host[0] == '\0')
		return host_type(t->asked.host) == HOST_NAME ? ERR_NAME_MISMATCH : ERR_OK;
	return str_eq(str_of(hello.host), t->asked.host) ? ERR_OK : ERR_NAME_MISMATCH;
}

static void changed(void *user)
{
	tunnel_run(user);
}

static enum err dial(struct tunnel *t)
{
	const struct upstream_target target = {
		.scheme = HEAD_HTTP,	/* as it comes: TLS, if there is any, is the agent's own */
		.client = t->client,
		.host = t->asked.host, .port = t->asked.port, .http1_only = true, .rule = t->rule,
		.fresh = true,
	};

	if (record_intent(t) != ERR_OK)
		return ERR_AUDIT;
	t->intent_stored = true;
	t->courier->allowed++;
	t->deadline_ms = UINT64_MAX;	/* the upstream's own, while it is being dialled */
	return upstream_dial(t->courier->upstream, &target, changed, t, &t->connection);
}

/* -- relay ------------------------------------------------------------------------------ */

/* ERR_MORE: nothing can be moved upwards now */
static enum err relay_upwards(struct tunnel *t)
{
	for (;;) {
		struct str out = str_head(queue_str(&t->up), t->clear);
		size_t n;
		enum err e;

		if (out.n == 0 && t->agent_ended && !t->end_passed) {
			upstream_end(t->connection);
			t->end_passed = true;
		}
		if (out.n == 0)
			return ERR_MORE;
		e = upstream_write(t->connection, out, &n);
		if (e)
			return e;
		queue_drop(&t->up, n);
		t->clear -= n;
		link_consumed(t->link, t->number, n);
		progress(t);
	}
}

static enum err push(struct tunnel *t)
{
	for (;;) {
		struct str out = str_head(queue_str(&t->down), link_sendable(t->link, t->number));
		enum err e;

		if (out.n == 0)
			return ERR_OK;
		e = link_data(t->link, t->number, 0, out);
		if (e)
			return e;
		queue_drop(&t->down, out.n);
		progress(t);
	}
}

/* ERR_MORE: nothing can be moved downwards now */
static enum err relay_downwards(struct tunnel *t)
{
	while (!t->upstream_ended) {
		size_t n;
		enum err e = push(t);

		if (e || queue_bytes(&t->down))
			return e ? e : ERR_MORE;
		e = buf_reserve(&t->down.b, PIECE_BYTES);
		if (!e)
			e = upstream_read(t->connection, buf_tail(&t->down.b), PIECE_BYTES, &n);
		if (e == ERR_CLOSED) {
			t->upstream_ended = true;
			link_end(t->link, t->number);
			progress(t);
			return ERR_MORE;
		}
		if (e)
			return e;
		t->down.b.len += n;
		t->bytes_in += n;
		if (count(t, n))
			return ERR_LIMIT;
	}
	return ERR_MORE;
}

void tunnel_run(struct tunnel *t)
{
	const char *reason = "";
	enum err e = ERR_OK;

	if (t->phase == PHASE_HELLO) {
		e = judge_hello(t, &reason);
		if (e == ERR_OK) {
			t->clear = queue_bytes(&t->up);
			t->phase = PHASE_DIAL;
			e = dial(t);
		} else if (e == ERR_MORE && t->agent_ended) {
			e = ERR_TLS;
		}
	}
	if (!e && t->phase == PHASE_DIAL) {
		e = upstream_status(t->connection);
		if (e == ERR_OK) {
			t->phase = PHASE_RELAY;
			progress(t);
			e = decide_again(t, snapshot_policy(t->courier->snapshot));
			reason = e ? "the policy has changed, and does not let it pass any more" : "";
		} else if (e != ERR_MORE) {
			reason = upstream_reason(t->connection);
		}
	}
	if (!e && t->phase == PHASE_RELAY) {
		e = relay_upwards(t);
		if (e == ERR_MORE)
			e = relay_downwards(t);
	}
	if (e == ERR_MORE && t->upstream_ended && t->end_passed && queue_bytes(&t->down) == 0)
		over(t, ERR_OK, "");
	else if (e != ERR_MORE)
		over(t, e, reason);
}

/* -- frames ----------------------------------------------------------------------------- */

static enum err receive(struct tunnel *t, struct str bytes)
{
	enum err e = queue_put(&t->up, bytes);
	size_t held;
	uint32_t hit;

	if (e)
		return e;
	t->bytes_out += bytes.n;
	if (count(t, bytes.n))
		return ERR_LIMIT;
	if (t->scrub && scrub_feed(t->scrub, bytes, &hit)) {
		t->foreign = snapshot_placeholder_name(t->snapshot, hit);
		return ERR_PLACEHOLDER_BLOCKED;
	}
	held = t->scrub ? scrub_held(t->scrub) : 0;
	if (t->phase != PHASE_HELLO)
		t->clear = queue_bytes(&t->up) - (held < queue_bytes(&t->up) ? held : queue_bytes(&t->up));
	return ERR_OK;
}

static void frame(struct courier_stream *s, const struct link_frame *f)
{
	struct tunnel *t = (struct tunnel *)s;
	enum err e = ERR_OK;

	switch (f->type) {
	case LINK_DATA:
		e = t->agent_ended ? ERR_LINK_STATE : receive(t, f->payload);
		break;
	case LINK_END:
		t->agent_ended = true;
		t->clear = t->phase == PHASE_HELLO ? 0 : queue_bytes(&t->up);
		break;
	case LINK_RESET:
		t->gone = true;
		e = ERR_CANCELLED;
		break;
	case LINK_CREDIT:
		break;
	case LINK_HEAD:
		link_consumed(t->link, t->number, f->payload.n);
		e = ERR_LINK_STATE;
		break;
	case LINK_OPEN:
	case LINK_HELLO:
		e = ERR_LINK_STATE;
		break;
	}
	if (e)
		over(t, e, "");
	else
		tunnel_run(t);
}

/* -- opening ---------------------------------------------------------------------------- */

enum policy_kind tunnel_kind(const struct courier *c, struct str host, uint16_t port)
{
	const struct policy *p = snapshot_policy(c->snapshot);
	const struct policy_rule *rule;

	if (policy_match_tunnel(p, POLICY_KIND_PASSTHROUGH, host, port, &rule) == ERR_OK &&
	    rule->verdict != POLICY_DENY)
		return POLICY_KIND_PASSTHROUGH;
	if (policy_match_tunnel(p, POLICY_KIND_TCP, host, port, &rule) == ERR_OK &&
	    rule->verdict != POLICY_DENY)
		return POLICY_KIND_TCP;
	return POLICY_KIND_HTTP;
}

static enum err admit(struct tunnel *t, const char **ret_reason)
{
	struct courier *c = t->courier;
	const struct scrub_set *foreign = NULL;
	enum err e;

	if (c->stopping)
		return ERR_STATE;
	if (t->beyond_limit) {
		courier_limit_reached(c, "limits.requests");
		*ret_reason = "limits.requests";
		return ERR_LIMIT;
	}
	e = courier_client_enter(c, t->asked.token, &t->client);
	if (e == ERR_LIMIT)
		*ret_reason = "this client's requests at once";
	if (!e)
		e = decide(t, snapshot_policy(t->snapshot), &t->rule);
	if (e)
		return e;
	if (t->rule->kind == POLICY_KIND_PASSTHROUGH)
		return ERR_OK;
	e = snapshot_foreign(t->snapshot, STR(""), NULL, SNAPSHOT_BODY, &foreign);
	if (!e && foreign) {
		t->scrub = scrub_new(foreign);
		e = t->scrub ? ERR_OK : ERR_MEMORY;
	}
	return e;
}

void tunnel_open(struct courier *c, struct link *link, const struct link_frame *f)
{
	struct tunnel *t = calloc(1, sizeof *t);
	const char *reason = "";
	enum err e;

	if (!t) {
		link_reset(link, f->stream, ERR_MEMORY);
		return;
	}
	*t = (struct tunnel){ .stream = { frame }, .courier = c, .link = link, .number = f->stream,
			      .reason = "",
			      .next = c->tunnels, .at = &c->tunnels };
	if (t->next)
		t->next->at = &t->next;
	c->tunnels = t;
	t->started_ms = clock_ms();
	t->deadline_ms = t->started_ms + TUNNEL_HELLO_MS;
	t->beyond_limit = ++c->request_number > courier_limit_requests(c);
	t->snapshot = snapshot_acquire(c->snapshot);
	snprintf(t->request_id, sizeof t->request_id, "%.*s-%u", STR_FMT(c->options.config->sandbox),
		 f->stream);
	buf_init(&t->opened, LINK_OPEN_MAX);
	queue_init(&t->up, 2 * (size_t)LINK_WINDOW_BYTES);
	queue_init(&t->down, 2 * PIECE_BYTES);
	buf_put(&t->opened, f->payload);
	e = buf_err(&t->opened);
	if (!e)
		e = msg_get_connect(buf_str(&t->opened), &t->asked);
	if (!e && (host_type(t->asked.host) == HOST_INVALID || t->asked.port == 0))
		e = ERR_LINK_MALFORMED;
	if (!e)
		e = admit(t, &reason);
	link_set_user(link, f->stream, t);
	if (!e && t->rule->kind == POLICY_KIND_TCP) {
		t->phase = PHASE_DIAL;
		e = dial(t);
	}
	if (e)
		over(t, e, reason);
	else if (t->phase == PHASE_DIAL)
		tunnel_run(t);
}

void tunnel_run_all(struct courier *c)
{
	for (struct tunnel *t = c->tunnels, *next; t; t = next) {
		next = t->next;
		tunnel_run(t);	/* NOLINT(clang-analyzer-unix.Malloc): @next
				   was taken first, and nothing frees another */
	}
}

void tunnel_tick(struct courier *c, uint64_t now_ms)
{
	for (struct tunnel *t = c->tunnels, *next; t; t = next) {
		next = t->next;
		if (now_ms >= t->deadline_ms)
			over(t, ERR_TIMEOUT,
			     t->phase == PHASE_HELLO ? "no whole ClientHello came" : "neither side moved");
	}
}

void tunnel_judge_all(struct courier *c)
{
	const struct policy *p = snapshot_policy(c->snapshot);

	for (struct tunnel *t = c->tunnels, *next; t; t = next) {
		enum err e = decide_again(t, p);

		next = t->next;
		if (e)
			over(t, e, "the policy has changed, and does not let it pass any more");
	}
}

void tunnel_end_all(struct courier *c, enum err why)
{
	for (struct tunnel *t = c->tunnels, *next; t; t = next) {
		next = t->next;
		t->gone = why == ERR_CLOSED;
		over(t, why, "");
	}
}
