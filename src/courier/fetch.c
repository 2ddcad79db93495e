/* fetch.c - the courier's own requests; see fetch.h
 *
 * Theory of operation: an exchange without an agent. Intent on record, then dial, send, receive, all through
 * a carrier of its own that nobody shares; then the outcome on record, then the owner is told. What fails
 * anywhere leads to finish(). The whole answer is kept: it is small, and its taker reads it once.
 * Trust: the answer is an upstream's: bounded, parsed by the carrier, and no more believed than any.
 */
#include "courier/fetch.h"

#include "base/arena.h"
#include "base/clock.h"
#include "base/log.h"
#include "courier/journal.h"

#include <stdio.h>
#include <stdlib.h>

#define COPIES_MAX (2 * (size_t)HEAD_MAX_BYTES)
#define INTERIM_MAX 16

struct fetch {
	struct courier *courier;
	struct fetch *next, **at;
	fetch_done *done;
	void *user;
	const char *purpose;
	char request[EXCHANGE_REQUEST_ID_BYTES];

	struct buf copies;		/* what head and the rest of the request point into */
	struct head head;
	struct str body, credential;
	struct policy_cidr *addresses;
	struct policy_rule rule;	/* nothing but the addresses that may be dialled */
	struct carrier *carrier;
	bool sent, broken;		/* the head; and the upstream takes no more */
	size_t body_sent;

	size_t answer_max;
	struct buf answer_head, answer;	/* the head encoded */
	unsigned interim;
	uint64_t started_ms, deadline_ms;
	bool starting;			/* within fetch_start(): the owner is told by the tick */
	bool over;
	enum err result;
	const char *reason;
};

/* ---- on record ---- */

static enum err record_intent(struct fetch *f, struct str parent)
{
	auto_record r = record_new(STR("intent"), STR("courier"));
	auto_buf url = BUF_EMPTY;
	struct str names[HEAD_FIELDS_MAX];

	if (!r)
		return ERR_AUDIT;
	buf_init(&url, HEAD_PATH_MAX + HEAD_QUERY_MAX + 512);
	journal_url(&f->head, &url);
	record_text(r, "request", str_of(f->request), sizeof f->request);
	record_text(r, "purpose", str_of(f->purpose), 32);
	if (parent.n)
		record_text(r, "serves", parent, EXCHANGE_REQUEST_ID_BYTES);
	record_text(r, "method", f->head.method, HEAD_METHOD_MAX);
	record_text(r, "url", buf_str(&url), 4096);
	record_text(r, "verdict", STR("allow"), 16);
	record_text(r, "policy_digest", str_of(policy_digest(snapshot_policy(f->courier->snapshot))), 64);
	if (f->credential.n)
		record_text(r, "credential", f->credential, 128);
	for (uint32_t i = 0; i < f->head.field_count; i++)
		names[i] = str_head(f->head.fields[i].name, 64);
	record_list(r, "header_names", names, f->head.field_count);
	return spool_intent(f->courier->spool, r, NULL);
}

static void record_outcome(struct fetch *f)
{
	auto_record r = record_new(STR("outcome"), STR("courier"));
	char address[ADDRESS_TEXT_BYTES];
	struct head head;

	if (r) {
		record_text(r, "request", str_of(f->request), sizeof f->request);
		record_text(r, "result", str_of(err_name(f->result)), 64);
		if (f->reason[0])
			record_text(r, "text", str_of(f->reason), 256);
		record_integer(r, "duration_ms", clock_ms() - f->started_ms);
		record_integer(r, "bytes_in", f->answer.len);
		record_integer(r, "bytes_out", f->body_sent);
		if (f->answer_head.len && head_decode(buf_str(&f->answer_head), &head) == ERR_OK)
			record_integer(r, "status", head.status);
		if (f->sent) {
			record_text(r, "address", str_of(address_text(carrier_address(f->carrier), address)),
				    sizeof address);
			record_text(r, "protocol", str_of(carrier_protocol(f->carrier)), 16);
		}
	}
	if (!r || spool_outcome(f->courier->spool, r) != ERR_OK)
		log_error("the outcome of request %s could not be stored", f->request);
}

/* ---- the end ---- */

static void destroy(struct fetch *f)
{
	if (f->carrier)
		carrier_release(f->carrier, false);
	*f->at = f->next;
	if (f->next)
		f->next->at = f->at;
	f->courier->fetch_count--;
	buf_free(&f->copies);
	buf_free(&f->answer_head);
	buf_free(&f->answer);
	free(f->addresses);
	free(f);
}

/* The owner is told, and the fetch is gone. */
static void tell(struct fetch *f)
{
	struct head head;
	enum err e = f->result;

	if (e == ERR_OK && head_decode(buf_str(&f->answer_head), &head) != ERR_OK)
		e = ERR_UPSTREAM_MALFORMED;
	f->done(f->user, e, f->reason, e == ERR_OK ? &head : NULL,
		e == ERR_OK ? buf_str(&f->answer) : STR(""));
	destroy(f);
}

static void finish(struct fetch *f, enum err e, const char *reason)
{
	f->over = true;
	f->result = e;
	f->reason = reason;
	record_outcome(f);
	carrier_release(f->carrier, false);
	f->carrier = NULL;
	if (!f->starting)
		tell(f);
}

void fetch_cancel(struct fetch *f)
{
	if (!f)
		return;
	if (!f->over) {
		f->result = ERR_CANCELLED;
		record_outcome(f);
	}
	destroy(f);
}

/* ---- the way ---- */

static enum err count(struct fetch *f, size_t n)
{
	struct courier *c = f->courier;

	c->bytes += n;
	if (c->bytes <= courier_limit_bytes(c))
		return ERR_OK;
	courier_limit_reached(c, "limits.bytes");
	return ERR_LIMIT;
}

static enum err send_head(struct fetch *f)
{
	if (f->head.scheme == HEAD_HTTP && f->credential.n && address_is_public(carrier_address(f->carrier)))
		return ERR_CREDENTIAL;
	f->sent = true;
	enum err e = carrier_send_head(f->carrier, &f->head);

	return e == ERR_OK ? count(f, f->body.n) : e;
}

static enum err send_body(struct fetch *f)
{
	struct str rest = str_from(f->body, f->body_sent);
	size_t n;

	if (f->broken)
		return ERR_OK;
	enum err e = carrier_send(f->carrier, rest, true, &n);

	if (e == ERR_OK)
		f->body_sent += n;
	f->broken = e != ERR_OK;	/* its answer may say why */
	return e == ERR_MEMORY ? e : ERR_OK;
}

static enum err take_head(struct fetch *f, const struct head *h)
{
	if (!h->final)
		return ++f->interim > INTERIM_MAX ? ERR_UPSTREAM_MALFORMED : ERR_OK;
	if (h->framing == HEAD_BODY_LENGTH && h->length > f->answer_max &&
	    !str_eq(f->head.method, STR("HEAD")))
		return ERR_BODY_TOO_LARGE;
	return head_encode(h, &f->answer_head);
}

static enum err take_data(struct fetch *f, struct str data)
{
	if (data.n > f->answer_max - f->answer.len)
		return ERR_BODY_TOO_LARGE;
	buf_put(&f->answer, data);
	carrier_taken(f->carrier, data.n);
	return buf_err(&f->answer) ? buf_err(&f->answer) : count(f, data.n);
}

/* ERR_CLOSED: all of the answer is here */
static enum err receive(struct fetch *f)
{
	for (;;) {
		struct carrier_event event;
		enum err e = carrier_next(f->carrier, &event);

		if (e != ERR_OK)
			return e;
		if (event.type == CARRIER_END)
			return ERR_CLOSED;
		e = event.type == CARRIER_HEAD ? take_head(f, event.head) : take_data(f, event.data);
		if (e != ERR_OK)
			return e;
	}
}

static void run(void *user)
{
	struct fetch *f = user;
	enum err e = carrier_status(f->carrier);

	if (e == ERR_OK && !f->sent)
		e = send_head(f);
	if (e == ERR_OK)
		e = send_body(f);
	if (e == ERR_OK)
		e = receive(f);
	if (e == ERR_MORE)
		return;
	if (e == ERR_CLOSED)
		finish(f, ERR_OK, "");
	else if (e == ERR_CREDENTIAL)
		finish(f, e, "no credential crosses a public network in clear text");
	else
		finish(f, e, carrier_reason(f->carrier));
}

/* ---- the beginning ---- */

static struct str keep(struct fetch *f, struct str s)
{
	size_t from = f->copies.len;

	buf_put(&f->copies, s);
	return f->copies.err ? (struct str){ NULL, 0 } : str_from(buf_str(&f->copies), from);
}

static struct str keep_authority(struct fetch *f, const struct fetch_request *r)
{
	bool ipv6 = str_find(r->host, ':') < r->host.n;
	size_t from = f->copies.len;

	buf_put(&f->copies, ipv6 ? STR("[") : STR(""));
	buf_put(&f->copies, r->host);
	buf_put(&f->copies, ipv6 ? STR("]") : STR(""));
	if (r->port != (r->scheme == HEAD_HTTPS ? 443 : 80)) {
		buf_put_byte(&f->copies, ':');
		buf_put_decimal(&f->copies, r->port);
	}
	return f->copies.err ? (struct str){ NULL, 0 } : str_from(buf_str(&f->copies), from);
}

static bool takes_body(struct str method)
{
	return str_eq(method, STR("POST")) || str_eq(method, STR("PUT")) || str_eq(method, STR("PATCH"));
}

static enum err copy(struct fetch *f, const struct fetch_request *r)
{
	struct head *h = &f->head;
	size_t room = COPIES_MAX + r->body.n;

	buf_init_secret(&f->copies, room);
	enum err e = buf_reserve(&f->copies, room);	/* views must not move */

	if (e != ERR_OK)
		return e;
	*h = (struct head){ .kind = HEAD_REQUEST, .scheme = r->scheme, .port = r->port,
			    .has_query = r->has_query };
	h->method = keep(f, r->method);
	h->host = keep(f, r->host);
	h->path = keep(f, r->path);
	h->query = r->has_query ? keep(f, r->query) : h->query;
	if (r->body.n || takes_body(r->method)) {
		h->framing = HEAD_BODY_LENGTH;
		h->length = r->body.n;
	}
	e = head_add(h, STR("host"), keep_authority(f, r));
	for (uint32_t i = 0; e == ERR_OK && i < r->field_count; i++)
		e = head_add(h, keep(f, r->fields[i].name), keep(f, r->fields[i].value));
	f->body = keep(f, r->body);
	f->credential = keep(f, r->credential);
	if (e == ERR_OK && buf_err(&f->copies) == ERR_OK)
		e = head_check(h);
	else
		e = ERR_HEAD_TOO_LARGE;
	if (e != ERR_OK)
		return ERR_INPUT;
	f->addresses = calloc(r->address_count ? r->address_count : 1, sizeof *f->addresses);
	if (!f->addresses)
		return ERR_MEMORY;
	for (uint32_t i = 0; i < r->address_count; i++)
		f->addresses[i] = r->addresses[i];
	f->rule = (struct policy_rule){ .verdict = POLICY_ALLOW, .credential = -1,
					.address_count = r->address_count,
					.addresses = f->addresses };
	return ERR_OK;
}

static enum err may_start(struct courier *c)
{
	if (c->stopping || !c->spool)
		return ERR_STATE;
	if (c->fetch_count >= FETCH_AT_ONCE)
		return ERR_LIMIT;
	if (++c->request_number <= courier_limit_requests(c))
		return ERR_OK;
	courier_limit_reached(c, "limits.requests");
	return ERR_LIMIT;
}

static struct fetch *make(struct courier *c, const struct fetch_request *r)
{
	struct fetch *f = calloc(1, sizeof *f);

	if (!f)
		return NULL;
	f->courier = c;
	f->purpose = r->purpose;
	f->reason = "";
	f->starting = true;
	f->started_ms = clock_ms();
	f->deadline_ms = f->started_ms + (r->timeout_ms ? r->timeout_ms : FETCH_TIMEOUT_MS);
	f->answer_max = r->answer_max < FETCH_ANSWER_MAX ? r->answer_max : FETCH_ANSWER_MAX;
	buf_init_secret(&f->answer, f->answer_max);
	buf_init_secret(&f->answer_head, HEAD_MAX_BYTES);
	snprintf(f->request, sizeof f->request, "%.*s-f%llu", STR_FMT(c->options.config->sandbox),
		 (unsigned long long)++c->fetch_number);
	f->next = c->fetches;
	f->at = &c->fetches;
	if (f->next)
		f->next->at = &f->next;
	c->fetches = f;
	c->fetch_count++;
	return f;
}

enum err fetch_start(struct courier *c, const struct fetch_request *r, fetch_done *done, void *user,
		     struct fetch **ret)
{
	enum err e = may_start(c);
	struct fetch *f = e == ERR_OK ? make(c, r) : NULL;

	if (!f)
		return e == ERR_OK ? ERR_MEMORY : e;
	f->done = done;
	f->user = user;
	e = copy(f, r);
	if (e == ERR_OK)
		e = record_intent(f, r->parent) == ERR_OK ? ERR_OK : ERR_AUDIT;
	if (e != ERR_OK) {
		destroy(f);
		return e;
	}
	const struct upstream_target target = {
		.scheme = r->scheme, .host = f->head.host, .port = r->port, .http1_only = true, .fresh = true,
		.secret = true, .rule = &f->rule,
	};

	e = carrier_dial(c->carriers, &target, run, f, &f->carrier);
	if (e != ERR_OK) {
		f->result = e;
		record_outcome(f);
		destroy(f);
		return e;
	}
	if (carrier_status(f->carrier) != ERR_MORE)
		run(f);
	/* NOLINTNEXTLINE(clang-analyzer-unix.Malloc): while it is starting, run() does not free it */
	f->starting = false;
	*ret = f;
	return ERR_OK;
}

/* ---- time ---- */

void fetch_tick(struct courier *c, uint64_t now_ms)
{
	for (struct fetch *f = c->fetches, *next; f; f = next) {
		next = f->next;	/* NOLINT(clang-analyzer-unix.Malloc): what
				   was freed is not in the list any more */
		if (f->over)
			tell(f);
		else if (now_ms >= f->deadline_ms)
			finish(f, ERR_UPSTREAM_TIMEOUT, "");
		else
			continue;
		next = c->fetches;	/* an owner may have started and cancelled others */
	}
}

void fetch_end_all(struct courier *c)
{
	for (struct fetch *f = c->fetches, *next; f; f = next) {
		next = f->next;
		fetch_cancel(f);
	}
}
