/* journal.c - what the courier puts on record of its own doing
 *
 * Theory of operation: one function a kind of record; the members are those of audit.h. A record
 * holds names of header fields, never their values: those may be credentials of the agent's own.
 * What cannot be stored stops what it would have recorded, where that is still possible (an
 * intent, a name); for the rest, the operator's log says that the trail is broken.
 */
#include "courier/journal.h"

#include "base/clock.h"
#include "base/log.h"
#include "courier/detach.h"
#include "courier/binding.h"
#include "courier/protocol.h"
#include "courier/relay.h"

#include <stdio.h>

#define URL_MAX 4096

static const struct str ourselves = STR_INIT("courier");

static void store(struct courier *c, struct record *r)
{
	if (!r || spool_append(c->spool, r, NULL) != ERR_OK)
		log_error("a record could not be stored");
}

static void put_text(struct record *r, const char *name, struct str value, size_t max)
{
	if (value.n)
		record_text(r, name, value, max);
}

struct str journal_peer(enum courier_peer peer)
{
	switch (peer) {
	case COURIER_INSPECTOR: return STR("inspector");
	case COURIER_SUPERVISOR: return STR("supervisor");
	case COURIER_TERMINAL: return STR("terminal");
	case COURIER_FILES: return STR("files");
	case COURIER_PEERS: break;
	}
	return STR("unknown");
}

void journal_url(const struct head *h, struct buf *out)
{
	bool https = h->scheme == HEAD_HTTPS, ipv6 = str_find(h->host, ':') != h->host.n;

	buf_put(out, https ? STR("https://") : STR("http://"));
	buf_put(out, ipv6 ? STR("[") : STR(""));
	buf_put(out, h->host);
	buf_put(out, ipv6 ? STR("]") : STR(""));
	if (h->port != (https ? 443 : 80)) {
		buf_put_byte(out, ':');
		buf_put_decimal(out, h->port);
	}
	buf_put(out, h->path);
	if (h->has_query) {
		buf_put_byte(out, '?');
		buf_put(out, h->query);
	}
}

/* ---- the sandbox ---- */

static void put_overrides(struct record *r, const struct config *f)
{
	char text[RESOLVE_OVERRIDES_MAX][HEAD_HOST_MAX + ADDRESS_TEXT_BYTES + 24];
	char address[ADDRESS_TEXT_BYTES];
	struct str list[RESOLVE_OVERRIDES_MAX];

	for (uint32_t i = 0; i < f->resolve_count; i++) {
		const struct resolve_override *o = &f->resolve[i];

		snprintf(text[i], sizeof text[i], "%.*s:%u:%s:%u", STR_FMT(o->host), o->port,
			 address_text(&o->address, address), o->to_port);
		list[i] = str_of(text[i]);
	}
	if (f->resolve_count)
		record_list(r, "resolve", list, f->resolve_count);
}

enum err journal_start(struct courier *c)
{
	const struct config *f = c->options.config;
	const struct policy *p = snapshot_policy(c->snapshot);
	auto_record r = record_new(STR("start"), ourselves);

	if (!r)
		return ERR_AUDIT;
	record_text(r, "sandbox", f->sandbox, 64);
	put_text(r, "name", f->name, 256);
	put_text(r, "person", f->person, 256);
	put_text(r, "image", f->image, 512);
	put_text(r, "machine", f->machine, 512);
	record_text(r, "policy", f->policy_file, 1024);
	record_text(r, "policy_digest", str_of(policy_digest(p)), 64);
	put_text(r, "policy_name", policy_name(p), 256);
	record_bool(r, "durable", policy_durable(p));
	record_bool(r, "upstream_ca", f->upstream_ca.n > 0);
	put_overrides(r, f);
	if (f->command_count)
		record_list(r, "command", f->command, f->command_count);
	return spool_append(c->spool, r, NULL);
}

struct record *journal_stop(const struct courier *c, struct str result, int exit_code)
{
	struct record *r = record_new(STR("stop"), ourselves);
	uint64_t dropped = 0;

	if (!r)
		return NULL;
	for (int i = 0; i < COURIER_PEERS; i++)
		dropped += c->links[i].dropped_total;
	record_text(r, "result", result.n ? result : STR("OK"), 256);
	if (exit_code >= 0)
		record_integer(r, "exit_code", (uint64_t)exit_code);
	record_integer(r, "allowed", c->allowed);
	record_integer(r, "denied", c->denied);
	record_integer(r, "bytes", c->bytes);
	if (c->limited)
		record_integer(r, "limited", c->limited);
	if (dropped)
		record_integer(r, "claims_dropped", dropped);
	return r;
}

void journal_reload(struct courier *c, enum err result, const char *digest, struct str text)
{
	auto_record r = record_new(STR("reload"), ourselves);

	if (r) {
		record_text(r, "result", str_of(err_name(result)), 64);
		record_text(r, "policy_digest", str_of(digest), 64);
		record_bool(r, "durable", policy_durable(snapshot_policy(c->snapshot)));
		put_text(r, "text", text, 600);
	}
	store(c, r);
}

void journal_limit(struct courier *c, const char *text)
{
	auto_record r = record_new(STR("limit"), ourselves);

	if (r)
		record_text(r, "text", str_of(text), 256);
	store(c, r);
}

/* ---- what others ask and say ---- */

enum err journal_dns(struct courier *c, const struct msg_connect *asked, bool verdict)
{
	auto_record r = record_new(STR("dns"), ourselves);

	if (!r)
		return ERR_AUDIT;
	record_text(r, "host", asked->host, HEAD_HOST_MAX);
	if (asked->query_type)
		record_integer(r, "query_type", asked->query_type);
	record_text(r, "verdict", verdict ? STR("yes") : STR("no"), 8);
	record_process(r, &asked->process);
	return spool_append(c->spool, r, NULL);
}

/* An inspector knows of the network, a supervisor of start and stop: a kind of record that its
 * sender has no business with stays a plain claim, so that no reader takes it for more. */
static struct str claim_kind(enum courier_peer peer, enum claim_kind kind)
{
	if (peer == COURIER_INSPECTOR)
		return record_claim_kind(kind);
	return kind == CLAIM_LIMIT ? STR("limit") : STR("claim");
}

void journal_claim(struct courier *c, enum courier_peer peer, const struct msg_claim *claim)
{
	auto_record r = record_new(claim_kind(peer, claim->kind), journal_peer(peer));

	if (r)
		record_claim(r, claim);
	store(c, r);
}

void journal_dropped(struct courier *c, enum courier_peer peer, uint64_t count)
{
	auto_record r = record_new(STR("limit"), ourselves);

	if (r) {
		record_text(r, "text", STR("records that came too fast were counted, not stored"), 128);
		record_text(r, "of", journal_peer(peer), 32);
		record_integer(r, "count", count);
	}
	store(c, r);
}

/* ---- one exchange ---- */

static void put_request(struct record *r, const struct exchange *x)
{
	auto_buf url = BUF_EMPTY;

	buf_init(&url, HEAD_PATH_MAX + HEAD_QUERY_MAX + 512);
	record_text(r, "request", str_of(x->request_id), sizeof x->request_id);
	if (x->head.kind == HEAD_REQUEST) {
		journal_url(&x->head, &url);
		record_text(r, "method", x->head.method, HEAD_METHOD_MAX);
		record_text(r, "url", buf_str(&url), URL_MAX);
	} else {
		put_text(r, "host", x->asked.host, HEAD_HOST_MAX);
	}
	if (x->asked.connection)
		record_integer(r, "connection", x->asked.connection);
	if (x->rule) {
		record_text(r, "rule", x->rule->name, 128);
		record_integer(r, "line", x->rule->line);
	}
	if (x->client)
		record_text(r, "client", x->client->name, 128);
	protocol_journal(x, r, false);
	record_process(r, &x->asked.process);
}

enum err journal_intent(struct exchange *x)
{
	auto_record r = record_new(STR("intent"), ourselves);
	struct str names[HEAD_FIELDS_MAX];

	if (!r)
		return ERR_AUDIT;
	put_request(r, x);
	record_text(r, "verdict", x->rule->verdict == POLICY_OBSERVE ? STR("observe") : STR("allow"), 16);
	record_text(r, "policy_digest", str_of(policy_digest(snapshot_policy(x->snapshot))), 64);
	if (x->credential)
		record_text(r, "credential", x->credential->name, 128);
	for (uint32_t i = 0; i < x->head.field_count; i++)
		names[i] = str_head(x->head.fields[i].name, 64);
	record_list(r, "header_names", names, x->head.field_count);
	return spool_intent(x->courier->spool, r, NULL);
}

enum err journal_message(struct exchange *x, uint64_t number, const struct websocket_message *m, bool allowed)
{
	auto_record r = record_new(STR("message"), ourselves);

	if (!r)
		return ERR_AUDIT;
	record_text(r, "request", str_of(x->request_id), sizeof x->request_id);
	record_integer(r, "message", number);
	record_text(r, "type", m->opcode == WEBSOCKET_TEXT ? STR("text") : STR("binary"), 8);
	record_integer(r, "bytes_out", m->payload.n);
	record_text(r, "verdict", allowed ? STR("allow") : STR("deny"), 8);
	return spool_append(x->courier->spool, r, NULL);
}

static void put_result(struct record *r, const struct exchange *x)
{
	record_text(r, "result", str_of(err_name(x->result)), 64);
	put_text(r, "text", str_of(x->reason), 256);
	put_text(r, "placeholder_of", x->foreign, 128);
	if (detach_credential(x))
		record_text(r, "secret_of", detach_credential(x)->name, 128);
	record_integer(r, "duration_ms", clock_ms() - x->started_ms);
}

static void put_traffic(struct record *r, const struct exchange *x)
{
	char address[ADDRESS_TEXT_BYTES];

	record_integer(r, "bytes_in", x->down.bytes);
	record_integer(r, "bytes_out", x->up.bytes);
	if (x->down.status)
		record_integer(r, "status", x->down.status);
	if (x->has_address)
		record_text(r, "address", str_of(address_text(&x->address, address)), sizeof address);
	if (x->spoken)
		record_text(r, "protocol", str_of(x->spoken), 16);
	if (x->credential_attached && binding_generation(x->binding))
		record_integer(r, "credential_generation", binding_generation(x->binding));
	if (x->local)
		record_bool(r, "answered_here", true);
	if (x->result != ERR_OK && x->down.head_sent)
		record_bool(r, "cut_off", true);
	if (!x->up.complete)
		record_bool(r, "request_incomplete", true);
}

void journal_end(struct exchange *x)
{
	auto_record r = record_new(x->intent_stored ? STR("outcome") : STR("denial"), ourselves);
	enum err e = ERR_MEMORY;

	if (r && x->intent_stored) {
		record_text(r, "request", str_of(x->request_id), sizeof x->request_id);
		put_result(r, x);
		put_traffic(r, x);
		protocol_journal(x, r, true);
		relay_websocket_journal(x, r);
		e = spool_outcome(x->courier->spool, r);
	} else if (r) {
		put_request(r, x);
		put_result(r, x);
		e = spool_append(x->courier->spool, r, NULL);
	}
	if (e != ERR_OK)
		log_error("the %s of request %s could not be stored", x->intent_stored ? "outcome" : "denial",
			  x->request_id);
}
