/* protocol_git.c - git's requests in an exchange: what a push changes is judged before it can take effect
 *
 * Theory of operation: the decoder reads the body as it comes. The commands of a push are judged one by one;
 * nothing of it leaves before all of them are known and allowed. Then the pack streams, but for its checksum,
 * without which no server applies it: that goes once the decoder has said of each update whether it loses
 * commits (where the rule forbids that). An LFS batch is read whole before it goes. A fetch has to be one of
 * the commands that are known. A push that is refused is answered as a server would that refuses every ref,
 * so that `git push` prints the reason beside each of them; everything else in plain text, which git shows as
 * the remote's words.
 */
#include "courier/protocol.h"

#include "base/buf.h"
#include "courier/relay.h"
#include "policy/protocol_git.h"

#include <stdio.h>

#define REFS_BYTES_MAX (256u * 1024)
#define REFS_RECORDED_MAX 32
#define LFS_BATCH_MAX (1024u * 1024)
#define COMMANDS_MAX 1024
#define REFUSAL_LINE_MAX 900

struct command {
	uint32_t at, bytes;		/* in refs */
	bool forced;			/* or not known not to be; once the pack was read */
};
struct git {
	struct git_request request;
	struct buf refs;		/* "update <old> <new> <ref>", one after another */
	uint32_t count;
	struct command commands[COMMANDS_MAX];
	uint32_t updates, histories;	/* commands that change a ref; of them those whose history is known */
	bool started;
	bool known;			/* all of them */
	bool report, side_band;		/* how the client wants to be told */
};

static struct str command_text(const struct git *g, uint32_t i)
{
	return str_make(g->refs.p + g->commands[i].at, g->commands[i].bytes);
}

/* The next word of a command. */
static struct str word(struct str *rest)
{
	struct str w = rest->p ? str_head(*rest, str_find(*rest, ' ')) : *rest;

	*rest = str_from(*rest, w.n + 1);
	return w;
}

static struct str ref_of(struct str command)
{
	for (int i = 0; i < 3; i++)
		(void)word(&command);
	return command;
}

/* ---- judging ---- */

/* One command, with what is known of its history (empty: nothing yet). */
static enum err judge_command(struct protocol_run *run, struct str text, struct str forced)
{
	struct git *g = run->state;
	struct str rest = text, change = word(&rest), old = word(&rest), new = word(&rest);
	struct protocol_facts f;
	enum err e;

	protocol_facts_init(&f);
	e = protocol_facts_add(&f, STR("git.repository"), g->request.repository);
	if (e == ERR_OK)
		e = protocol_facts_add(&f, STR("git.ref"), rest);
	if (e == ERR_OK)
		e = protocol_facts_add(&f, STR("git.change"), change);
	if (e == ERR_OK)
		e = protocol_facts_add(&f, STR("git.old"), old);
	if (e == ERR_OK)
		e = protocol_facts_add(&f, STR("git.new"), new);
	if (e == ERR_OK && forced.n)
		e = protocol_facts_add(&f, STR("git.forced"), forced);
	if (e == ERR_OK)
		e = protocol_judge(run, &f);
	protocol_facts_free(&f);
	return e;
}

static enum err take_command(struct protocol_run *run, struct str text)
{
	struct git *g = run->state;

	if (g->count == COMMANDS_MAX || g->request.body != GIT_BODY_PUSH)
		return g->count == COMMANDS_MAX ? ERR_LIMIT : ERR_OK;
	g->commands[g->count] = (struct command){ .at = (uint32_t)g->refs.len, .bytes = (uint32_t)text.n };
	buf_put(&g->refs, text);
	if (buf_err(&g->refs) != ERR_OK)
		return buf_err(&g->refs);
	g->count++;
	g->updates += str_starts(text, STR("update "));
	return judge_command(run, text, STR(""));
}

static enum err take_history(struct protocol_run *run, struct str text)
{
	struct git *g = run->state;
	struct str number = word(&text);
	uint64_t i;

	if (!str_decimal(number, COMMANDS_MAX, &i) || i >= g->count)
		return ERR_DECODER;
	g->histories++;
	g->commands[i].forced = !text.p || !str_eq(text, STR("no"));
	return judge_command(run, command_text(g, (uint32_t)i), text.n ? text : STR("unknown"));
}

static enum err take_operation(struct protocol_run *run, struct str text)
{
	struct git *g = run->state;
	struct protocol_facts f;
	enum err e;

	protocol_facts_init(&f);
	e = protocol_facts_add(&f, STR("git.repository"), g->request.repository);
	if (e == ERR_OK)
		e = protocol_facts_add(&f, STR("git.operation"), text);
	if (e == ERR_OK)
		e = protocol_judge(run, &f);
	protocol_facts_free(&f);
	return e;
}

static enum err fact(struct protocol_run *run, struct str name, struct str value)
{
	struct git *g = run->state;

	if (str_eq(name, STR("git.command")))
		return take_command(run, value);
	if (str_eq(name, STR("git.history")))
		return take_history(run, value);
	if (str_eq(name, STR("git.operation")))
		return take_operation(run, value);
	if (str_eq(name, STR("git.report"))) {
		g->report = true;
		g->side_band = str_eq(value, STR("side-band"));
	}
	g->known |= str_eq(name, STR("git.commands"));
	return ERR_OK;
}

static const char too_large[] = "the push is larger than pack_max";

/* The body is through: of a push whose history counts, every update must have been judged by it. */
static enum err read_whole(struct protocol_run *run)
{
	const struct git_rule *rule = run->data;
	struct git *g = run->state;

	if (g->request.body != GIT_BODY_PUSH)
		return ERR_OK;
	if (protocol_observes(run) && run->fed > rule->pack_max && protocol_denied(run, too_large) != ERR_OK)
		return ERR_CONTENT_DENIED;
	return g->known && (!protocol_git_needs_history(run->data) ||
			    g->histories == g->updates) ? ERR_OK : ERR_DECODER;
}

/* ---- the steps ---- */

static const struct head_field *coding_of(const struct head *head)
{
	return head_find(head, STR("content-encoding"));
}

static enum err start(struct protocol_run *run)
{
	struct git *g = run->state;
	const struct head_field *coding = coding_of(&run->x->head);
	bool gzip = coding && (str_eq_nocase(coding->value, STR("gzip")) ||
			       str_eq_nocase(coding->value, STR("x-gzip")));

	if (coding && (!gzip || g->request.body != GIT_BODY_FETCH))
		return ERR_DECODER;
	switch (g->request.body) {
	case GIT_BODY_PUSH:
		return protocol_read_body(run, DECODER_GIT_PUSH,
					  protocol_git_needs_history(run->data) ? STR("history") : STR(""),
					  0);
	case GIT_BODY_FETCH:
		return protocol_read_body(run, DECODER_GIT_FETCH, gzip ? STR("gzip") : STR(""), 0);
	case GIT_BODY_BATCH:
		return protocol_read_body(run, DECODER_GIT_LFS, STR(""), LFS_BATCH_MAX);
	case GIT_BODY_NONE:
		break;
	}
	return ERR_OK;
}

static enum step examine(struct protocol_run *run)
{
	const struct git_rule *rule = run->data;
	struct git *g = run->state;
	struct exchange *x = run->x;
	enum err e;

	if (!run->reading && !g->started) {
		g->started = true;
		buf_init(&g->refs, REFS_BYTES_MAX);
		if (!protocol_git_request(&x->head, &g->request))
			return exchange_fail(x, ERR_PROTOCOL_UNRECOGNISED, "");
		if (g->request.body == GIT_BODY_PUSH && !protocol_observes(run))
			run->body_max = rule->pack_max;
		e = start(run);
		if (e == ERR_BODY_TOO_LARGE ||
		    (x->head.framing == HEAD_BODY_LENGTH && x->head.length > run->body_max))
			return protocol_deny(run, too_large);
		if (e != ERR_OK)
			return exchange_fail(x, e, "a body that is not read");
	}
	if (!run->reading || run->read)
		return STEP_NEXT;
	return run->passable && (g->known || g->request.body == GIT_BODY_FETCH) ? STEP_NEXT : STEP_WAIT;
}

/* ---- words ---- */

static void packet(struct buf *out, struct str bytes)
{
	buf_printf(out, "%04x", (unsigned)bytes.n + 4);
	buf_put(out, bytes);
}

/* What a server that refuses each ref would say: gitprotocol-pack(5), "Report Status". */
static enum err report(const struct git *g, struct str reason, struct buf *out)
{
	auto_buf inner = BUF_EMPTY;
	auto_buf line = BUF_EMPTY;

	buf_init(&inner, 60000);
	buf_init(&line, 4096);
	packet(&inner, STR("unpack ok\n"));
	for (uint32_t i = 0; i < g->count && inner.len < 50000; i++) {
		buf_clear(&line);
		buf_put_z(&line, "ng ");
		buf_put(&line, ref_of(command_text(g, i)));
		buf_put_z(&line, " ");
		buf_put(&line, reason);
		buf_put_z(&line, "\n");
		packet(&inner, buf_str(&line));
	}
	buf_put_z(&inner, "0000");
	if (!g->side_band) {
		buf_put(out, buf_str(&inner));
		return buf_err(&inner);
	}
	buf_printf(out, "%04x\1", (unsigned)inner.len + 5);
	buf_put(out, buf_str(&inner));
	buf_put_z(out, "0000");
	return buf_err(&inner) == ERR_OK ? buf_err(out) : buf_err(&inner);
}

/* On one line. */
static void put_reason(struct protocol_run *run, struct buf *out)
{
	buf_put_z(out, "Paddock: ");
	buf_put_z(out, err_text(run->x->result));
	if (run->x->reason[0])
		buf_printf(out, ": %.600s", run->x->reason);
}

static bool refusal(struct protocol_run *run, struct head *head, struct buf *body)
{
	const struct git *g = run->state;
	auto_buf reason = BUF_EMPTY;

	buf_init(&reason, REFUSAL_LINE_MAX);
	put_reason(run, &reason);
	buf_clear(body);
	if (g && g->report && g->count && run->x->result == ERR_CONTENT_DENIED &&
	    report(g, buf_str(&reason), body) == ERR_OK) {
		head->status = 200;
		head->fields[0].value = STR("application/x-git-receive-pack-result");
		return true;
	}
	buf_clear(body);
	buf_put(body, buf_str(&reason));
	buf_put_z(body, "\n");
	head->fields[0].value = STR("text/plain; charset=utf-8");
	return true;
}

static void journal(const struct protocol_run *run, struct record *r)
{
	const struct git *g = run->state;
	struct str refs[REFS_RECORDED_MAX], forced[REFS_RECORDED_MAX];
	size_t count = 0, forced_count = 0;

	for (uint32_t i = 0; i < g->count && count < REFS_RECORDED_MAX; i++) {
		refs[count++] = str_head(command_text(g, i), 512);
		if (g->commands[i].forced)
			forced[forced_count++] = str_head(ref_of(command_text(g, i)), 256);
	}
	if (count)
		record_list(r, "git_refs", refs, count);
	if (forced_count)
		record_list(r, "git_forced", forced, forced_count);
}

static void git_free(struct protocol_run *run)
{
	struct git *g = run->state;

	buf_free(&g->refs);
}

const struct protocol_steps protocol_steps_git = {
	.state_bytes = sizeof(struct git), .examine = examine, .refusal = refusal, .journal = journal,
	.free = git_free, .fact = fact, .read = read_whole,
};
