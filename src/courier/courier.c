/* courier.c - the process that decides: its links, and what they ask of it
 *
 * Theory of operation: one loop, one link to the inspector, one to each other process that has
 * claims to make. A frame goes to the exchange that its stream carries, or is a question
 * (questions.c). Only the inspector's link may open exchanges, names and leafs. A tick twice a
 * second looks after every deadline. When a turn of the loop is over, what it recorded and then
 * what it wrote to the links goes, each in one go: nobody is told the end of an exchange whose
 * outcome is not stored.
 * The policy in force is a counted snapshot: a reload replaces it for exchanges to come, those that
 * run keep theirs; but what may last for ever, a tunnel or a WebSocket,
 * is judged anew, and ends if it would not be opened any more.
 * Failure: a link that breaks its protocol is closed and its exchanges get their outcomes; without
 * the inspector's link nothing is asked any more, and the courier waits to be stopped. The
 * supervisor's end (control) is our end too: nothing runs unsupervised (I8).
 */
#include "courier/courier.h"

#include "base/clock.h"
#include "base/log.h"
#include "courier/control.h"
#include "courier/detach.h"
#include "courier/exchange.h"
#include "courier/fetch.h"
#include "courier/certificate.h"
#include "courier/journal.h"
#include "courier/questions.h"
#include "courier/token.h"
#include "courier/registry_table.h"
#include "courier/tunnel.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define TICK_MS 500

/* ---- limits ---- */

uint64_t courier_limit_requests(const struct courier *c)
{
	uint64_t n = policy_limits(snapshot_policy(c->snapshot))->requests;

	return n ? n : COURIER_REQUESTS_DEFAULT;
}

uint64_t courier_limit_bytes(const struct courier *c)
{
	uint64_t n = policy_limits(snapshot_policy(c->snapshot))->bytes;

	return n ? n : COURIER_BYTES_DEFAULT;
}

void courier_limit_reached(struct courier *c, const char *what)
{
	c->limited++;
	if (!c->limit_recorded)
		journal_limit(c, what);
	c->limit_recorded = true;
}

/* So that one client of an explicit proxy leaves streams to the others. */
enum err courier_client_enter(struct courier *c, struct str token, const struct config_client **ret)
{
	const struct config *config = c->options.config;
	const struct config_client *client;
	enum err e = config_client(config, token, &client);

	if (e == ERR_OK && client &&
	    c->client_streams[client - config->clients]++ == COURIER_CLIENT_STREAMS_MAX) {
		courier_client_leave(c, client);
		if (!c->client_limit_recorded)
			journal_limit(c, "a client's requests at once");
		c->client_limit_recorded = true;
		c->limited++;
		e = ERR_LIMIT;
	}
	if (e == ERR_OK)
		*ret = client;
	return e;
}

void courier_client_leave(struct courier *c, const struct config_client *client)
{
	if (client)
		c->client_streams[client - c->options.config->clients]--;
}

/* ---- frames ---- */

static void opened(struct courier_link *link, const struct link_frame *f)
{
	struct link *l = channel_link(link->channel);

	if (f->kind == LINK_KIND_CLAIMS) {
		link_set_user(l, f->stream, link);
		return;
	}
	if (link->peer == COURIER_INSPECTOR && f->kind == LINK_KIND_EXCHANGE)
		exchange_open(link->courier, l, f);
	else if (link->peer == COURIER_INSPECTOR && f->kind == LINK_KIND_TUNNEL)
		tunnel_open(link->courier, l, f);
	else if (link->peer == COURIER_INSPECTOR && f->kind == LINK_KIND_NAME)
		question_name(link, f);
	else if (link->peer == COURIER_INSPECTOR && f->kind == LINK_KIND_LEAF)
		question_leaf(link, f);
	else
		link_reset(l, f->stream, ERR_LINK_STATE);
}

static void claims_frame(struct courier_link *link, const struct link_frame *f)
{
	struct link *l = channel_link(link->channel);

	if (f->type == LINK_HEAD || f->type == LINK_DATA)
		link_consumed(l, f->stream, f->payload.n);
	if (f->type == LINK_DATA || (f->type == LINK_HEAD && question_claim(link, f->payload) != ERR_OK))
		link_reset(l, f->stream, ERR_LINK_MALFORMED);
	else if (f->type == LINK_END)
		link_end(l, f->stream);
}

static void frame(void *user, const struct link_frame *f)
{
	struct courier_link *link = user;
	struct link *l = channel_link(link->channel);

	if (f->type == LINK_HELLO)
		return;
	if (f->type == LINK_OPEN) {
		opened(link, f);
	} else {
		void *of = link_user(l, f->stream);

		if (of == link)
			claims_frame(link, f);
		else if (of)
			((struct courier_stream *)of)->frame(of, f);
		else if (f->type == LINK_RESET)
			question_reset(link, f->stream);
		else if (f->type == LINK_HEAD || f->type == LINK_DATA)
			link_consumed(l, f->stream, f->payload.n);	/* of a request that is answered */
	}
}

static void run(struct exchange *x, void *user)
{
	(void)user;
	exchange_run(x);
}

static void writable(void *user)
{
	struct courier_link *link = user;

	question_writable(link);
	if (link->peer == COURIER_INSPECTOR)
		exchange_each(link->courier, run, NULL);
	if (link->peer == COURIER_INSPECTOR)
		tunnel_run_all(link->courier);
}

static void store_outcomes(struct courier *c)
{
	bool failed = c->spool && spool_flush(c->spool) != ERR_OK;

	if (failed && !c->store_failed)
		log_error("outcomes could not be stored: they wait, and nothing more may leave");
	c->store_failed = failed;
}

static void sending(void *user)
{
	struct courier_link *link = user;

	store_outcomes(link->courier);
}

static void turn_over(uv_prepare_t *turn)
{
	struct courier *c = turn->data;

	store_outcomes(c);
	for (int i = 0; i < COURIER_PEERS; i++)
		if (c->links[i].channel)
			channel_flush(c->links[i].channel);
}

static void end_exchanges(struct courier *c, enum err why)
{
	while (c->exchanges)
		exchange_end(c->exchanges, why, true);
	tunnel_end_all(c, why);
}

static void link_over(struct courier_link *link)
{
	question_closed(link);
	if (link->peer == COURIER_INSPECTOR)
		end_exchanges(link->courier, ERR_CLOSED);
	channel_close(link->channel);
	link->channel = NULL;
}

static void closed(void *user, enum err why)
{
	struct courier_link *link = user;

	if (why != ERR_CLOSED) {
		log_error("the link of the %.*s is closed: %s", STR_FMT(journal_peer(link->peer)),
			  err_text(why));
		journal_limit(link->courier, "a link was closed: its peer broke the protocol");
	}
	link_over(link);
}

/* ---- time ---- */

static void stop_finish(struct courier *c);

static void tick(struct exchange *x, void *now)
{
	exchange_tick(x, *(const uint64_t *)now);
}

static void ticked(uv_timer_t *timer)
{
	struct courier *c = timer->data;
	uint64_t now = clock_ms();

	if (c->stopping && (now >= c->stop_by_ms || !tokens_spent(c->tokens))) {
		stop_finish(c);
		return;
	}
	exchange_each(c, tick, &now);
	tunnel_tick(c, now);
	detach_tick(c);
	carriers_tick(c->carriers, now);
	fetch_tick(c, now);
	registry_tick(c);
	tokens_tick(c->tokens, now);
	for (int i = 0; i < COURIER_PEERS; i++)
		question_dropped(&c->links[i]);
	if (now >= c->checkpoint_at_ms) {
		c->checkpoint_at_ms = now + COURIER_CHECKPOINT_MS;
		if (spool_checkpoint(c->spool) != ERR_OK)
			log_error("a checkpoint could not be written");
	}
}

/* ---- policy ---- */

/* What has no end of its own, under the policy in force: a
 * WebSocket, also one that the upstream has not granted yet. */
static void judge_lasting(struct exchange *x, void *user)
{
	const struct policy *p = user;
	const struct policy_rule *rule;

	if (!x->rule || !x->head.websocket)
		return;
	if (policy_match(p, &x->head, &rule) != ERR_OK || rule->verdict == POLICY_DENY || !rule->websocket)
		exchange_end(x, ERR_POLICY_DENIED, false);
}

void courier_reload(struct courier *c, struct str text)
{
	const struct config *f = c->options.config;
	struct policy_error where = { .line = 0 };
	struct policy *policy = NULL;
	struct snapshot *fresh = NULL;
	char reason[640] = "";
	enum err e = policy_load(text, f->policy_file.p, f->home.p, &policy, &where);

	if (e == ERR_POLICY_SYNTAX)
		snprintf(reason, sizeof reason, "%u:%u: %s", where.line, where.column, where.text);
	for (uint32_t i = 0; e == ERR_OK && i < policy_credential_count(policy); i++)
		if (!vault_knows(c->vault, policy_credential(policy, i))) {
			snprintf(reason, sizeof reason, "credential %.128s: its source is new or has "
				 "changed, which needs a new run", policy_credential(policy, i)->name.p);
			e = ERR_INPUT;
		}
	if (e == ERR_OK)
		e = snapshot_new(policy, f, &fresh);
	if (e != ERR_OK) {
		policy_free(policy);
		journal_reload(c, e, policy_digest(snapshot_policy(c->snapshot)), str_of(reason));
		control_reloaded(c, e, reason);
		return;
	}
	struct snapshot *before = c->snapshot;

	c->snapshot = fresh;
	if (spool_durable(c->spool, policy_durable(policy)) != ERR_OK)
		log_error("the trail cannot be brought to disk: nothing more is let through");
	journal_reload(c, ERR_OK, policy_digest(policy), str_of(""));
	exchange_each(c, judge_lasting, policy);
	tunnel_judge_all(c);
	detach_reloaded(c, snapshot_policy(before));
	snapshot_release(before);
	control_reloaded(c, ERR_OK, policy_digest(policy));
}

/* ---- beginning and end ---- */

static enum err sign(void *user, struct str body, uint8_t ret_signature[64])
{
	const struct keeper_question q = { .op = KEEPER_SIGN, .text = body };
	struct courier *c = user;
	auto_buf reply = BUF_EMPTY;
	enum err e;

	buf_init(&reply, KEEPER_SIGNATURE_BYTES);
	e = keeper_client_wait(c->keeper, &q, &reply);
	if (e != ERR_OK || reply.len != KEEPER_SIGNATURE_BYTES)
		return e != ERR_OK ? e : ERR_CLOSED;
	memcpy(ret_signature, reply.p, KEEPER_SIGNATURE_BYTES);
	return ERR_OK;
}

static enum err load_policy(struct courier *c, char *problem, size_t problem_bytes)
{
	const struct config *f = c->options.config;
	struct policy_error where = { .line = 0 };
	struct policy *policy;
	enum err e = policy_load(f->policy, f->policy_file.p, f->home.p, &policy, &where);

	if (e != ERR_OK) {
		snprintf(problem, problem_bytes, "%s:%u:%u: %s", f->policy_file.p, where.line, where.column,
			 where.text);
		return e;
	}
	c->keeper = keeper_client_new(c->options.loop, c->options.keeper);
	c->vault = c->keeper ? vault_new(c->keeper, policy) : NULL;
	if (c->vault)
		detach_begin(c);
	e = c->vault ? snapshot_new(policy, f, &c->snapshot) : ERR_MEMORY;
	if (e != ERR_OK) {
		policy_free(policy);
		snprintf(problem, problem_bytes, "the policy's placeholders cannot be used");
	}
	return e;
}

static enum err load_upstream(struct courier *c, char *problem, size_t problem_bytes)
{
	const struct config *f = c->options.config;
	struct upstream_options o = { .loop = c->options.loop, .overrides = f->resolve,
				      .override_count = f->resolve_count };
	bool system_ca = false;
	enum err e = upstream_tls_context_new(f->upstream_ca, &c->tls, &system_ca);

	if (e != ERR_OK) {
		snprintf(problem, problem_bytes, "--upstream-ca holds no usable certificate");
		return e;
	}
	if (!system_ca)
		log_note("this host has no CA bundle: install ca-certificates");
	o.tls = c->tls;
	e = upstream_new(&o, &c->upstream);
	if (e != ERR_OK)
		snprintf(problem, problem_bytes, "the host's resolver configuration cannot be used");
	if (e != ERR_OK)
		return e;
	c->carriers = carriers_new(c->options.loop, c->upstream);
	return c->carriers ? ERR_OK : ERR_MEMORY;
}

enum err courier_prepare(const struct courier_options *o, struct courier **ret, char *ret_problem,
			 size_t problem_bytes)
{
	struct courier *c = calloc(1, sizeof *c);

	snprintf(ret_problem, problem_bytes, "out of memory");
	if (!c)
		return ERR_MEMORY;
	c->options = *o;
	for (int i = 0; i < COURIER_PEERS; i++)
		c->links[i] = (struct courier_link){ .courier = c, .peer = (enum courier_peer)i };
	c->leaves = leaves_new();
	c->tokens = tokens_new(c);
	c->certificates = certificates_new(c);
	enum err e = c->leaves && c->tokens && c->certificates ? load_policy(c, ret_problem, problem_bytes)
							       : ERR_MEMORY;

	if (e == ERR_OK)
		e = load_upstream(c, ret_problem, problem_bytes);
	if (e != ERR_OK) {
		courier_free(c);
		return e;
	}
	*ret = c;
	return ERR_OK;
}

static enum err listen_to(struct courier *c, struct courier_link *link)
{
	static const struct channel_ops ops = { .frame = frame, .writable = writable, .sending = sending,
						.closed = closed };
	struct link_limits limits = LINK_LIMITS_DEFAULT;
	int fd = c->options.links[link->peer];

	if (fd < 0)
		return ERR_OK;
	limits.streams_max = link->peer == COURIER_INSPECTOR ? COURIER_STREAMS_MAX : 16;
	struct link *l = link_new(LINK_UPPER, &limits);

	if (l)
		link->channel = channel_new(c->options.loop, fd, l, &ops, link);
	if (!link->channel) {
		link_free(l);
		close(fd);
		return ERR_MEMORY;
	}
	return ERR_OK;
}

enum err courier_start(struct courier *c)
{
	const struct config *f = c->options.config;
	struct spool_options o = {
		.directory = c->options.directory, .sandbox = f->sandbox, .key_name = f->key_name,
		.signer = sign, .signer_ctx = c, .durable = policy_durable(snapshot_policy(c->snapshot)),
		.checkpoint_every = f->checkpoint_every,
	};

	memcpy(o.public_key, f->public_key, sizeof o.public_key);
	enum err e = spool_open(&o, &c->spool);

	if (e == ERR_OK)
		e = journal_start(c);
	for (int i = 0; e == ERR_OK && i < COURIER_PEERS; i++)
		e = listen_to(c, &c->links[i]);
	if (e != ERR_OK)
		return e;
	c->checkpoint_at_ms = clock_ms() + COURIER_CHECKPOINT_MS;
	uv_timer_init(c->options.loop, &c->tick);
	c->tick.data = c;
	uv_prepare_init(c->options.loop, &c->turn);
	c->turn.data = c;
	c->handles_open += 2;
	uv_timer_start(&c->tick, ticked, TICK_MS, TICK_MS);
	uv_prepare_start(&c->turn, turn_over);
	return control_start(c);
}

static void stop_finish(struct courier *c)
{
	registry_tables_free(c);
	tokens_stop(c->tokens);
	fetch_end_all(c);
	for (int i = 0; i < COURIER_PEERS; i++) {
		question_dropped(&c->links[i]);
		if (c->links[i].channel)
			link_over(&c->links[i]);
	}
	auto_record r = journal_stop(c, str_of(c->result), c->exit_code);

	if (spool_close(c->spool, r) != ERR_OK)
		log_error("the trail's end could not be written");
	c->spool = NULL;
	uv_timer_stop(&c->tick);
	uv_prepare_stop(&c->turn);
	if (c->handles_open > 2)
		uv_poll_stop(&c->control);
	if (c->options.stopped)
		c->options.stopped(c->options.user);
}

void courier_stop(struct courier *c, struct str result, int exit_code)
{
	bool again = c->stopping;

	if (!c->spool)
		return;
	if (!again) {
		c->stopping = true;
		c->stop_by_ms = clock_ms() + COURIER_STOP_MS;
		snprintf(c->result, sizeof c->result, "%.*s", STR_FMT(result));
		c->exit_code = exit_code;
		end_exchanges(c, ERR_CANCELLED);
	}
	if (again || !tokens_spent(c->tokens))
		stop_finish(c);
}

static void handle_closed(uv_handle_t *h)
{
	struct courier *c = h->data;

	if (--c->handles_open == 0)
		free(c);
}

void courier_free(struct courier *c)
{
	if (!c)
		return;
	c->options.stopped = NULL;
	courier_stop(c, STR("ended"), -1);
	courier_stop(c, STR(""), -1);
	for (int i = 0; i < COURIER_PEERS; i++)
		if (c->links[i].channel)
			link_over(&c->links[i]);
	carriers_free(c->carriers);
	upstream_free(c->upstream);
	upstream_tls_context_free(c->tls);
	tokens_free(c->tokens);
	certificates_free(c->certificates);
	registry_tables_free(c);
	vault_free(c->vault);
	keeper_client_free(c->keeper);
	snapshot_release(c->snapshot);
	leaves_free(c->leaves);
	free(c->control_message);
	if (c->handles_open == 0) {
		free(c);
		return;
	}
	uv_close((uv_handle_t *)&c->tick, handle_closed);
	uv_close((uv_handle_t *)&c->turn, handle_closed);
	if (c->handles_open > 2)
		uv_close((uv_handle_t *)&c->control, handle_closed);
}
