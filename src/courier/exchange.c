/* exchange.c - the way of one request. Read this first.
 *
 * Theory of operation: the stages below run in the order of STAGES (exchange.h), each until it
 * says NEXT; a WAIT is left when something changed (a frame, the upstream, a deadline). Whatever
 * goes wrong in any of them leads to `outcome`, with the reason in x->result, so that there is
 * one place where an exchange ends: on record, its upstream connection given back, the agent told.
 *
 *   admit       the head is decoded and checked here, whatever the inspector made of it; the name
 *               that DNS gave and the head must agree; the sandbox's limits
 *   decide      policy, over the very head that will be sent; placeholders that must not go there
 *   intent      on record, or nothing leaves: no DNS query, no connection (I3)
 *   examine     rules that must see the request's body before anything of it leaves
 *   credential  made ready, whatever its strategy takes: binding.c
 *   dial        resolve, judge the addresses, connect, verify; or a kept connection
 *   send        the head that was decided on, with the credential in its place
 *   reply       bodies both ways (relay_up.c, relay_down.c)
 *   outcome     on record; the agent gets the answer's end, a refusal, or a reset
 *
 * Trust: every byte of the inspector's is a request, not a fact (I2). Nothing of a request is
 * repaired. A peer's frames out of order end the exchange, never the process.
 */
#include "courier/exchange.h"

#include "base/clock.h"
#include "courier/binding.h"
#include "courier/detach.h"
#include "courier/journal.h"
#include "courier/protocol.h"
#include "courier/relay.h"
#include "courier/request_encoded.h"
#include "credential/attach.h"

#include <stdio.h>
#include <stdlib.h>

enum step exchange_fail(struct exchange *x, enum err why, const char *reason)
{
	x->result = why;
	x->reason = reason;
	return STEP_END;
}

void exchange_progress(struct exchange *x)
{
	bool awaiting = x->up.done && !x->down.head_parsed;

	x->deadline_ms = clock_ms() + (x->websocket ? EXCHANGE_WEBSOCKET_MS
				       : awaiting   ? EXCHANGE_ANSWER_MS : EXCHANGE_IDLE_MS);
}

enum err exchange_count(struct exchange *x, size_t n)
{
	x->courier->bytes += n;
	if (x->courier->bytes <= courier_limit_bytes(x->courier))
		return ERR_OK;
	courier_limit_reached(x->courier, "limits.bytes");
	return ERR_LIMIT;
}

/* ---- admit ---- */

static enum step stage_admit(struct exchange *x)
{
	struct courier *c = x->courier;

	if (!x->head_received)
		return STEP_WAIT;
	if (c->stopping)
		return exchange_fail(x, ERR_STATE, "the sandbox is ending");
	if (x->beyond_limit) {
		courier_limit_reached(c, "limits.requests");
		return exchange_fail(x, ERR_LIMIT, "limits.requests");
	}
	if (c->bytes >= courier_limit_bytes(c)) {
		x->beyond_limit = true;
		courier_limit_reached(c, "limits.bytes");
		return exchange_fail(x, ERR_LIMIT, "limits.bytes");
	}
	enum err e = head_decode(buf_str(&x->head_bytes), &x->head);

	if (e != ERR_OK)
		return exchange_fail(x, e, "");
	e = courier_client_enter(c, x->asked.token, &x->client);
	if (e != ERR_OK)
		return exchange_fail(x, e, e == ERR_LIMIT ? "this client's requests at once" : "");
	if (x->head.kind != HEAD_REQUEST) {
		x->head.kind = 0;
		return exchange_fail(x, ERR_HEAD_MALFORMED, "not a request");
	}
	if ((enum head_scheme)x->asked.scheme != x->head.scheme || x->asked.port != x->head.port ||
	    !str_eq(x->asked.host, x->head.host))
		return exchange_fail(x, ERR_NAME_MISMATCH, "");
	relay_admitted(x);
	return STEP_NEXT;
}

/* ---- decide ---- */

bool exchange_carries(struct exchange *x, const struct scrub_set *placeholders, const struct head *h)
{
	uint32_t hit;
	bool found = scrub_search(placeholders, h->host, &hit) || scrub_search(placeholders, h->path, &hit) ||
		     scrub_search(placeholders, h->query, &hit) ||
		     scrub_search(placeholders, h->method, &hit);

	for (uint32_t i = 0; !found && i < h->field_count; i++)
		found = scrub_search(placeholders, h->fields[i].name, &hit) ||
			scrub_search(placeholders, h->fields[i].value, &hit);
	if (found)
		x->foreign = snapshot_placeholder_name(x->snapshot, hit);
	return found;
}

/* observe never attaches one: it does not come here */
static enum step decide_credential(struct exchange *x)
{
	const struct policy *p = snapshot_policy(x->snapshot);

	x->local = binding_is_local(x);
	if (x->local || x->rule->credential < 0)
		return STEP_NEXT;
	if ((uint32_t)x->rule->credential >= policy_credential_count(p))
		return exchange_fail(x, ERR_CREDENTIAL, "");
	x->credential = policy_credential(p, (uint32_t)x->rule->credential);
	if (!credential_allowed_host(x->credential, x->head.host))
		return exchange_fail(x, ERR_CREDENTIAL, "its hosts do not include this one");
	return STEP_NEXT;
}

/* Placeholders where they must not stand: in the head now, in the body as it comes, if it is to go. What
 * gets no credential (a denial, an observation) is judged by its host alone, like a body. */
static enum step decide_placeholders(struct exchange *x, enum policy_verdict verdict)
{
	const struct scrub_set *foreign;
	enum snapshot_place place = verdict == POLICY_ALLOW ? SNAPSHOT_HEAD : SNAPSHOT_BODY;
	enum err e = snapshot_foreign(x->snapshot, x->head.host, x->credential, place, &foreign);

	if (e != ERR_OK)
		return exchange_fail(x, e, "");
	if (!x->local && foreign && exchange_carries(x, foreign, &x->head))
		return exchange_fail(x, ERR_PLACEHOLDER_BLOCKED, "");
	if (verdict == POLICY_DENY)
		return STEP_NEXT;
	e = binding_foreign(x, &foreign);
	if (e != ERR_OK)
		return exchange_fail(x, e, "");
	if (!foreign || x->local || x->head.framing == HEAD_BODY_NONE)
		return STEP_NEXT;
	x->up.scrub = scrub_new(foreign);
	e = x->up.scrub ? request_encoded_begin(x, foreign) : ERR_MEMORY;
	if (e == ERR_CANNOT_SCRUB)
		return exchange_fail(x, ERR_DECODER,
				     "the request's: a content coding that is not known here, or several");
	return e == ERR_OK ? STEP_NEXT : exchange_fail(x, e, "");
}

static enum step stage_decide(struct exchange *x)
{
	x->snapshot = snapshot_acquire(x->courier->snapshot);
	enum err e = policy_match(snapshot_policy(x->snapshot), &x->head, &x->rule);
	enum policy_verdict verdict = e == ERR_OK ? x->rule->verdict : POLICY_DENY;
	enum step s = verdict == POLICY_ALLOW ? decide_credential(x) : STEP_NEXT;

	if (s == STEP_NEXT)
		s = decide_placeholders(x, verdict);
	if (s != STEP_NEXT)
		return s;
	if (e != ERR_OK)
		return exchange_fail(x, e, x->rule ? "by a rule" : "no rule matches");
	if (verdict == POLICY_DENY)
		return exchange_fail(x, ERR_POLICY_DENIED, "by a rule");
	if (x->head.websocket && !x->rule->websocket)
		return exchange_fail(x, ERR_UPGRADE_REFUSED, "the rule has no 'websocket'");
	if (x->head.framing == HEAD_BODY_LENGTH && x->head.length > x->rule->request_body_max)
		return exchange_fail(x, ERR_BODY_TOO_LARGE, "");
	return binding_examine(x);
}

/* ---- intent, examine, credential ---- */

static enum step stage_intent(struct exchange *x)
{
	if (journal_intent(x) != ERR_OK)
		return exchange_fail(x, ERR_AUDIT, "");
	x->intent_stored = true;
	x->courier->allowed++;
	return STEP_NEXT;
}

/* What a rule must know of the body before the request may leave is found out here: relay_body() is what
 * has come of it, relay_collect() asks for all of it; a frame runs this again. It can deny, and nothing
 * else (I2). */
static enum step stage_examine(struct exchange *x)
{
	return protocol_examine(x);
}

static enum step stage_credential(struct exchange *x)
{
	const char *reason = "";

	if (!x->credential)
		return protocol_prepare(x);
	if (!x->binding && binding_start(x, &x->binding) != ERR_OK)
		return exchange_fail(x, ERR_MEMORY, "");
	enum err e = binding_run(x->binding, &reason);

	if (e == ERR_OK)
		return protocol_prepare(x);
	if (e != ERR_MORE)
		return exchange_fail(x, e, reason);
	x->deadline_ms = clock_ms() + EXCHANGE_CREDENTIAL_MS;
	return STEP_WAIT;
}

/* ---- dial ---- */

/* May it be sent twice, if a kept connection turns out to be dead before any byte of an answer? */
static bool repeatable(const struct exchange *x)
{
	return x->head.framing == HEAD_BODY_NONE &&
	       (str_eq(x->head.method, STR("GET")) || str_eq(x->head.method, STR("HEAD")) ||
		str_eq(x->head.method, STR("OPTIONS")));
}

static void carrier_changed(void *user)
{
	exchange_run(user);
}

static enum step stage_dial(struct exchange *x)
{
	if (x->local)
		return STEP_NEXT;
	if (!x->carrier) {
		const struct upstream_target target = {
			.scheme = x->head.scheme, .host = x->head.host, .port = x->head.port,
			.pool = x->binding ? binding_pool(x->binding) : 0, .client = x->client,
			.credential = x->credential ? (uint32_t)(vault_number(x->courier->vault,
									      x->credential) + 1) : 0,
			.certificate = x->binding ? binding_certificate(x->binding) : STR(""),
			.rule = x->rule,
			.websocket = x->head.websocket, .fresh = x->retried, .repeatable = repeatable(x),
		};
		enum err e = carrier_dial(x->courier->carriers, &target, carrier_changed, x, &x->carrier);

		if (e != ERR_OK)
			return exchange_fail(x, e, "");
		x->deadline_ms = UINT64_MAX;	/* the upstream's own, while it is being dialled */
	}
	enum err e = carrier_status(x->carrier);

	if (e == ERR_MORE)
		return STEP_WAIT;
	if (e != ERR_OK)
		return exchange_fail(x, e, carrier_reason(x->carrier));
	x->address = *carrier_address(x->carrier);
	x->has_address = true;
	x->spoken = carrier_protocol(x->carrier);
	return STEP_NEXT;
}

/* ---- send, reply ---- */

/* With a credential, the answer has to be searchable: no encoding, and no parts of a body
 * whose rest was asked for elsewhere, unless what it could give away is worth nothing. */
enum err exchange_plain_head(const struct exchange *x, struct head *ret)
{
	head_copy(ret, &x->head);
	if (x->up.replaced) {
		ret->framing = HEAD_BODY_LENGTH;
		ret->length = queue_bytes(&x->up.body);
		ret->trailers = false;
	}
	if (!x->credential)
		return ERR_OK;
	head_remove(ret, STR("accept-encoding"));
	if (attach_sends_secret(x->credential)) {
		head_remove(ret, STR("range"));
		head_remove(ret, STR("if-range"));
	}
	return head_add(ret, STR("accept-encoding"), STR("identity"));
}

static enum err head_to_send(struct exchange *x, struct buf *secret_values, struct head *ret)
{
	struct head plain;
	enum err e = exchange_plain_head(x, &plain);

	if (e != ERR_OK || !x->binding) {
		if (e == ERR_OK)
			head_copy(ret, &plain);
		return e;
	}
	x->credential_attached = true;
	return binding_apply(x->binding, &plain, secret_values, ret);
}

/* What is answered here and relayed to nobody; it goes the way of an upstream's answer. */
static enum step answer_locally(struct exchange *x)
{
	struct head h = { .kind = HEAD_RESPONSE, .framing = HEAD_BODY_LENGTH, .final = true };
	auto_buf body = BUF_EMPTY;

	relay_collect(x, BINDING_BODY_MAX);	/* and forgotten */
	if (!x->up.complete)
		return STEP_WAIT;
	buf_init(&body, REFUSAL_MAX);
	enum err e = binding_local_answer(x->binding, &h.status, &body);

	h.length = body.len;
	h.fields[h.field_count++] = (struct head_field){ STR("content-type"), STR("application/json") };
	h.fields[h.field_count++] = (struct head_field){ STR("cache-control"), STR("no-store") };
	if (e == ERR_OK)
		e = head_encode(&h, &x->down.head);
	if (e == ERR_OK)
		e = queue_put(&x->down.clear, buf_str(&body));
	if (e != ERR_OK)
		return exchange_fail(x, e, e == ERR_CREDENTIAL ? "it has no placeholder to answer with" : "");
	x->down.status = h.status;
	x->down.head_parsed = x->down.whole = x->down.filtered = true;
	x->up.done = true;
	return STEP_NEXT;
}

/* The values that carry secrets are in one buffer for all, as stages do not nest: it is wiped as
 * far as it was used, where one of its own would be made and wiped as a whole for each request. */
static enum err send_head(struct exchange *x)
{
	static struct buf secret_values;
	struct head sent;

	if (!secret_values.max)
		buf_init_secret(&secret_values, ATTACH_BYTES_MAX);
	enum err e = head_to_send(x, &secret_values, &sent);

	if (e == ERR_OK)
		e = carrier_send_head(x->carrier, &sent);
	buf_clear(&secret_values);
	return e;
}

static enum step stage_send(struct exchange *x)
{
	if (x->local)
		return answer_locally(x);
	if (x->credential && x->head.scheme == HEAD_HTTP && address_is_public(&x->address))
		return exchange_fail(x, ERR_CREDENTIAL,
				     "no credential crosses a public network in clear text");
	enum err e = send_head(x);

	if (e != ERR_OK)
		return exchange_fail(x, e, "");
	x->dialled = true;
	exchange_progress(x);
	return STEP_NEXT;
}

/* Nothing was answered, and it is as good as never sent. */
static bool try_again(struct exchange *x)
{
	if (x->retried || x->down.head_parsed || x->down.informational || x->result != ERR_UPSTREAM_CLOSED)
		return false;
	enum carrier_again again = carrier_again(x->carrier);

	if (again == CARRIER_AGAIN_NO || (again == CARRIER_AGAIN_IF_SAFE && !repeatable(x)) ||
	    !relay_again(x))
		return false;
	carrier_release(x->carrier, false);
	x->carrier = NULL;
	x->retried = true;
	x->result = ERR_OK;
	x->reason = "";
	return true;
}

static enum step stage_reply(struct exchange *x)
{
	enum step s = STEP_WAIT;

	if (!x->websocket)
		s = relay_up(x);
	if ((!x->websocket || x->down.head.len) && s != STEP_END)
		s = relay_down(x);
	if (x->websocket && !x->down.head.len && s != STEP_END)
		s = relay_websocket(x);
	if (s == STEP_END && try_again(x)) {
		x->stage = STAGE_credential;	/* whose next is dial */
		return STEP_NEXT;
	}
	return s;
}

/* ---- outcome ---- */

static void settle(struct exchange *x)
{
	x->recorded = true;
	relay_stop(x);
	if (vault_reveals(x->courier->vault, str_of(x->reason)))	/* words of a decoder's or a token endpoint's */
		x->reason = "";
	if (x->carrier) {
		carrier_release(x->carrier, x->result == ERR_OK && x->up.done);
		x->carrier = NULL;
	}
	if (x->result == ERR_SECRET_REFLECTED)
		detach_reflected(x);
	if (!x->intent_stored)
		x->courier->denied++;
	if (x->intent_stored || !x->beyond_limit)
		journal_end(x);		/* the others are counted: courier_limit_reached() */
	x->deadline_ms = clock_ms() + EXCHANGE_HEAD_MS;
	if (x->result != ERR_OK && !x->over && !x->down.head_sent && refusal_make(x) != ERR_OK)
		x->down.head_sent = true;	/* no memory for words: cut off */
}

static enum step stage_outcome(struct exchange *x)
{
	if (!x->recorded)
		settle(x);
	if (x->over || x->result == ERR_OK)
		return STEP_DONE;
	if (x->down.head_sent) {
		link_reset(x->link, x->stream, x->result);
		return STEP_DONE;
	}
	struct str body = queue_str(&x->down.clear);

	if (link_sendable(x->link, x->stream) < x->down.head.len + body.n)
		return STEP_WAIT;
	if (link_head(x->link, x->stream, buf_str(&x->down.head)) != ERR_OK ||
	    (body.n && link_data(x->link, x->stream, 0, body) != ERR_OK)) {
		link_reset(x->link, x->stream, x->result);
		return STEP_DONE;
	}
	link_end(x->link, x->stream);
	return STEP_DONE;
}

/* ---- the machine ---- */

static enum step (*const stage_step[STAGE_COUNT])(struct exchange *x) = {
#define STAGE_FUNCTION(name) stage_##name,
	STAGES(STAGE_FUNCTION)
#undef STAGE_FUNCTION
};

static void destroy(struct exchange *x)
{
	link_set_user(x->link, x->stream, NULL);
	courier_client_leave(x->courier, x->client);
	protocol_free(x);
	buf_free(&x->refusal);
	relay_free(x);
	if (x->carrier)
		carrier_release(x->carrier, false);
	binding_free(x->binding);
	snapshot_release(x->snapshot);
	buf_free(&x->open_bytes);
	buf_free(&x->head_bytes);
	exchange_list_drop(x);
	free(x);
}

void exchange_run(struct exchange *x)
{
	for (;;) {
		enum step s = stage_step[x->stage](x);

		if (s == STEP_WAIT)
			break;
		if (s == STEP_DONE) {
			destroy(x);
			break;
		}
		if (s == STEP_END)
			x->stage = STAGE_outcome;
		else
			x->stage++;
	}
}

void exchange_end(struct exchange *x, enum err why, bool silent)
{
	x->over |= silent;
	if (x->stage != STAGE_outcome) {
		(void)exchange_fail(x, why, "");
		x->stage = STAGE_outcome;
	}
	exchange_run(x);
}

void exchange_tick(struct exchange *x, uint64_t now_ms)
{
	bool on_agent = !x->head_received || queue_bytes(&x->down.clear) > x->down.held ||
			(x->down.head_parsed && link_sendable(x->link, x->stream) == 0) ||
			(!x->up.complete && !x->down.head_parsed);

	if (now_ms < x->deadline_ms)
		return;
	if (x->stage == STAGE_outcome) {	/* nobody takes the refusal */
		link_reset(x->link, x->stream, x->result);
		x->over = true;
	}
	exchange_end(x, on_agent ? ERR_TIMEOUT : ERR_UPSTREAM_TIMEOUT, false);
}

/* ---- frames of the inspector's ---- */

static void take_frame(struct courier_stream *s, const struct link_frame *f);

void exchange_open(struct courier *c, struct link *link, const struct link_frame *f)
{
	struct exchange *x = malloc(sizeof *x);

	if (!x) {
		link_reset(link, f->stream, ERR_MEMORY);
		return;
	}
	memset(x, 0, offsetof(struct exchange, head));
	head_clear(&x->head);
	x->owner.frame = take_frame;
	x->courier = c;
	x->link = link;
	x->stream = f->stream;
	x->reason = "";
	x->reflected = -1;
	x->started_ms = clock_ms();
	x->deadline_ms = x->started_ms + EXCHANGE_HEAD_MS;
	x->beyond_limit = ++c->request_number > courier_limit_requests(c);
	snprintf(x->request_id, sizeof x->request_id, "%.*s-%u", STR_FMT(c->options.config->sandbox),
		 f->stream);
	buf_init(&x->open_bytes, LINK_OPEN_MAX);
	buf_init(&x->head_bytes, HEAD_MAX_BYTES);
	relay_init(x);
	exchange_list_add(x);
	link_set_user(link, f->stream, x);
	buf_put(&x->open_bytes, f->payload);
	enum err e = buf_err(&x->open_bytes);

	if (e == ERR_OK)
		e = msg_get_connect(buf_str(&x->open_bytes), &x->asked);
	if (e != ERR_OK)
		exchange_end(x, e, false);
}

static enum err receive_head(struct exchange *x, struct str message)
{
	if (x->head_received)
		return relay_receive_trailers(x, message);
	buf_put(&x->head_bytes, message);
	x->head_received = true;
	return buf_err(&x->head_bytes);
}

/* HEAD, DATA, END, RESET, CREDIT on its stream. May free the exchange. */
static void take_frame(struct courier_stream *s, const struct link_frame *f)
{
	struct exchange *x = (struct exchange *)s;
	enum err e = ERR_OK;

	if (f->type == LINK_RESET) {
		exchange_end(x, ERR_CANCELLED, true);
		return;
	}
	if (f->type == LINK_HEAD)
		link_consumed(x->link, x->stream, f->payload.n);
	if (x->stage == STAGE_outcome) {	/* a refusal waits; the rest of the request does not matter */
		if (f->type == LINK_DATA)
			link_consumed(x->link, x->stream, f->payload.n);
		exchange_run(x);
		return;
	}
	if (f->type == LINK_HEAD)
		e = receive_head(x, f->payload);
	else if (f->type == LINK_DATA)
		e = relay_receive(x, f->payload);
	else if (f->type == LINK_END)
		e = relay_receive_end(x);
	if (e != ERR_OK)
		exchange_end(x, e, false);
	else
		exchange_run(x);
}
