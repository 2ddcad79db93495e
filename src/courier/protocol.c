/* protocol.c - the protocols in an exchange: which steps
 * a rule's has, and the reading of bodies; see protocol.h
 *
 * Theory of operation: what is read of a request's body is read by paddock-decoder, from the courier's own
 * copy: the bytes stay in x->up.body, as many of them are given to the decoder as it has room for, and no
 * byte goes on before the decoder has marked it (protocol_clear()). So a body streams as fast as it is read,
 * and what it says is judged before the byte that would make it count has left.
 */
#include "courier/protocol.h"

#include "courier/relay.h"

#include <stdlib.h>

static const struct protocol_steps *const steps_of[] = {
	[POLICY_PROTOCOL_GIT] = &protocol_steps_git, [POLICY_PROTOCOL_REGISTRY] = &protocol_steps_registry,
};

static enum err begin(struct exchange *x)
{
	const struct protocol *protocol = protocol_of(x->rule);
	struct protocol_run *run;

	if (!protocol || x->protocol)
		return ERR_OK;
	run = calloc(1, sizeof *run);
	if (!run)
		return ERR_MEMORY;
	*run = (struct protocol_run){ .x = x, .protocol = protocol, .data = x->rule->data,
				      .steps = steps_of[x->rule->protocol], .body_max = UINT64_MAX };
	buf_init(&run->reason, PROTOCOL_REASON_MAX);
	buf_init(&run->would_deny, PROTOCOL_REASON_MAX);
	run->state = calloc(1, run->steps->state_bytes);
	x->protocol = run;
	return run->state ? ERR_OK : ERR_MEMORY;
}

enum step protocol_examine(struct exchange *x)
{
	if (begin(x) != ERR_OK)
		return exchange_fail(x, ERR_MEMORY, "");
	return x->protocol && x->protocol->steps->examine ? x->protocol->steps->examine(x->protocol)
							  : STEP_NEXT;
}

enum step protocol_prepare(struct exchange *x)
{
	return x->protocol && x->protocol->steps->prepare ? x->protocol->steps->prepare(x->protocol)
							  : STEP_NEXT;
}

enum err protocol_answer(struct exchange *x, struct head *head, bool body, const char **ret_reason)
{
	struct protocol_run *run = x->protocol;
	enum err e;

	if (!run || !run->steps->answer)
		return ERR_OK;
	e = run->steps->answer(run, head, body);
	if (e != ERR_OK)
		*ret_reason = buf_z(&run->reason) ? buf_z(&run->reason) : "";
	return e;
}

void protocol_free(struct exchange *x)
{
	struct protocol_run *run = x->protocol;

	if (!run)
		return;
	x->protocol = NULL;
	decode_free(run->decode);
	if (run->steps->free && run->state)
		run->steps->free(run);
	free(run->state);
	buf_free(&run->reason);
	buf_free(&run->would_deny);
	free(run);
}

/* ---- saying no ---- */

static const char *words_of(struct protocol_run *run)
{
	const char *z = buf_z(&run->reason);

	return z ? z : "";
}

bool protocol_observes(const struct protocol_run *run) { return run->x->rule->verdict == POLICY_OBSERVE; }

enum err protocol_denied(struct protocol_run *run, const char *words)
{
	buf_put_z(&run->reason, words);
	if (!protocol_observes(run))
		return ERR_CONTENT_DENIED;
	if (!run->would_deny.len)
		buf_put(&run->would_deny, buf_str(&run->reason));
	buf_clear(&run->reason);
	return ERR_OK;
}

enum step protocol_deny(struct protocol_run *run, const char *words)
{
	enum err e = protocol_denied(run, words);

	return e == ERR_OK ? STEP_NEXT : exchange_fail(run->x, e, words_of(run));
}

enum err protocol_judge(struct protocol_run *run, const struct protocol_facts *facts)
{
	return run->protocol->judge(run->data, facts, &run->reason) == ERR_OK ? ERR_OK
									      : protocol_denied(run, "");
}

void protocol_end(struct exchange *x, enum err why, const char *reason)
{
	(void)exchange_fail(x, why, reason);
	x->stage = STAGE_outcome;
	exchange_run(x);
}

void protocol_refusal(struct exchange *x, struct head *head, struct buf *body)
{
	struct protocol_run run = { .x = x };
	const struct policy_rule *rule = x->rule;

	if (x->protocol) {
		if (x->protocol->steps->refusal)
			(void)x->protocol->steps->refusal(x->protocol, head, body);
		return;
	}
	if (x->head.kind != HEAD_REQUEST || !x->snapshot)
		return;
	if (!rule)
		rule = policy_refusing(snapshot_policy(x->snapshot), &x->head);
	if (!rule || !protocol_of(rule))
		return;
	run.protocol = protocol_of(rule);
	run.data = rule->data;
	run.steps = steps_of[rule->protocol];
	if (run.steps->refusal)
		(void)run.steps->refusal(&run, head, body);
}

/* ---- the record ---- */

/* "git.repository" to "git_repository" */
static void put_fact(struct record *r, const struct protocol_fact *f)
{
	char name[48];
	size_t n = f->name.n < sizeof name ? f->name.n : sizeof name - 1;

	for (size_t i = 0; i < n; i++)
		name[i] = (char)(f->name.p[i] == '.' ? '_' : f->name.p[i]);
	name[n] = 0;
	record_text(r, name, f->value, 512);
}

/* What an observing rule has against the head. */
static void put_would_deny(struct record *r, const struct protocol *protocol, const struct policy_rule *rule,
			   const struct head *head)
{
	auto_buf why = BUF_EMPTY;

	if (rule->verdict != POLICY_OBSERVE || protocol->match(rule->data, head) != PROTOCOL_NO)
		return;
	buf_init(&why, PROTOCOL_REASON_MAX);
	if (!protocol->why || !protocol->why(rule->data, head, &why))
		buf_put_z(&why, "it is not what the rule takes");
	record_text(r, "would_deny", buf_str(&why), 512);
}

static void put_outcome(struct record *r, const struct protocol_run *run)
{
	if (run->would_deny.len)
		record_text(r, "would_deny", buf_str(&run->would_deny), 512);
	if (run->steps->journal && run->state)
		run->steps->journal(run, r);
}

void protocol_journal(const struct exchange *x, struct record *r, bool outcome)
{
	const struct policy_rule *rule = x->rule;
	const struct protocol *protocol;
	struct protocol_facts facts;

	if (outcome) {
		if (x->protocol)
			put_outcome(r, x->protocol);
		return;
	}
	if (!rule && x->snapshot && x->head.kind == HEAD_REQUEST)
		rule = policy_refusing(snapshot_policy(x->snapshot), &x->head);
	protocol = rule ? protocol_of(rule) : NULL;
	if (!protocol)
		return;
	protocol_facts_init(&facts);
	if (protocol->facts(rule->data, &x->head, &facts) == PROTOCOL_YES)
		for (uint32_t i = 0; i < facts.count; i++)
			put_fact(r, &facts.items[i]);
	protocol_facts_free(&facts);
	put_would_deny(r, protocol, rule, &x->head);
}

/* ---- reading the request's body ---- */

static void on_fact(void *user, struct str name, struct str value)
{
	struct protocol_run *run = user;
	enum err e = run->steps->fact ? run->steps->fact(run, name, value) : ERR_OK;

	if (e != ERR_OK)
		protocol_end(run->x, e, words_of(run));
}

static void go_on(struct protocol_run *run)
{
	struct exchange *x = run->x;
	enum err e = protocol_feed(x);

	relay_recount(x);
	if (e == ERR_OK)
		exchange_run(x);
	else
		protocol_end(x, e, "");
}

static void on_mark(void *user, uint64_t input_bytes)
{
	struct protocol_run *run = user;

	run->passable = input_bytes;
	go_on(run);
}

static void on_room(void *user) { go_on(user); }

static void on_done(void *user, enum err e, const char *reason)
{
	struct protocol_run *run = user;
	struct exchange *x = run->x;

	decode_free(run->decode);
	run->decode = NULL;
	if (e == ERR_OK && run->steps->read)
		e = run->steps->read(run);
	else if (e != ERR_OK)
		buf_put_z(&run->reason, reason);
	if (e != ERR_OK) {
		protocol_end(x, e, words_of(run));
		return;
	}
	run->read = true;
	relay_recount(x);
	exchange_run(x);
}

enum err protocol_read_body(struct protocol_run *run, enum decoder_job job, struct str parameters,
			    size_t collect)
{
	static const struct decode_ops ops = { .fact = on_fact, .mark = on_mark, .room = on_room,
					       .done = on_done };
	enum err e = decode_start(run->x->courier, job, parameters, &ops, run, &run->decode);

	if (e != ERR_OK)
		return e;
	run->reading = true;
	if (collect)
		relay_collect(run->x, collect);
	e = protocol_feed(run->x);
	relay_recount(run->x);
	return e;
}

enum err protocol_feed(struct exchange *x)
{
	struct protocol_run *run = x->protocol;
	enum err e = ERR_OK;

	if (run && x->up.bytes > run->body_max)
		return ERR_BODY_TOO_LARGE;
	if (!run || !run->decode)
		return ERR_OK;
	while (e == ERR_OK && run->fed < x->up.bytes) {
		struct str more = str_from(relay_body(x), (size_t)(run->fed - x->up.taken));

		more = str_head(more, decode_room(run->decode));
		if (more.n == 0)
			break;
		e = decode_input(run->decode, more);
		run->fed += more.n;
	}
	if (x->up.complete && run->fed == x->up.bytes)
		decode_end(run->decode);
	return e;
}

size_t protocol_clear(const struct exchange *x)
{
	const struct protocol_run *run = x->protocol;

	if (!run || !run->reading || run->read)
		return SIZE_MAX;
	return run->passable > x->up.taken ? (size_t)(run->passable - x->up.taken) : 0;
}
