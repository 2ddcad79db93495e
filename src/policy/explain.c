/* explain.c - why: the rule, its line, and what would have to change
 *
 * Theory of operation: the decision is policy_match()'s own, never a second opinion. For a
 * denial by default the rules that name the host are looked at once more, and the one that
 * differs on the fewest axes is the nearest; if none names the host, that is the answer. So
 * a denial costs no more than a match, and an agent cannot make it cost more.
 * What a body or a registry's metadata would add is asked of the rule's protocol, with what was told of them;
 * what was not told is not guessed: the verdict is "undecided" then. A rule that observes refuses nothing,
 * and it is said what it would have refused.
 * What is printed of the request is canonical (no control byte) and cut to a length.
 */
#include "policy/explain.h"

#define SHOWN_MAX  160 /* bytes of a path, and of a query */
#define LISTED_MAX 8   /* methods named before "..." */

const char *const explain_axes[MATCH_AXES] = {
	[MATCH_HOST] = "host",	     [MATCH_METHOD] = "method",	    [MATCH_SCHEME] = "scheme",
	[MATCH_PORT] = "port",	     [MATCH_PATH] = "path",	    [MATCH_QUERY] = "query",
	[MATCH_HEADERS] = "headers", [MATCH_PROTOCOL] = "protocol",
};
const char *const explain_verdicts[] = {
	[POLICY_DENY] = "deny",
	[POLICY_ALLOW] = "allow",
	[POLICY_OBSERVE] = "observe",
};

static void put_cut(struct buf *b, struct str s)
{
	buf_put(b, str_head(s, SHOWN_MAX));
	if (s.n > SHOWN_MAX)
		buf_put_z(b, "...");
}

void explain_put_url(struct buf *b, const struct head *h)
{
	bool six = str_find(h->host, ':') < h->host.n;

	if (h->websocket)
		buf_put_z(b, h->scheme == HEAD_HTTPS ? "wss://" : "ws://");
	else
		buf_put_z(b, h->scheme == HEAD_HTTPS ? "https://" : "http://");
	buf_put_z(b, six ? "[" : "");
	buf_put(b, h->host);
	buf_put_z(b, six ? "]" : "");
	if (h->port != (h->scheme == HEAD_HTTPS ? 443 : 80))
		buf_printf(b, ":%u", h->port);
	put_cut(b, h->path);
	if (h->has_query) {
		buf_put_z(b, "?");
		put_cut(b, h->query);
	}
}

/* The rule that differs on the fewest axes, of those that allow something; of two, the one whose protocol
 * alone says no. */
static void find_nearest(const struct policy *p, const struct head *head, struct explain *ret)
{
	unsigned best = 2 * MATCH_AXES;
	struct index_walk walk;
	uint32_t i;

	index_find(&p->index, head->host, &walk);
	while (index_next(&walk, &i)) {
		const struct compiled_rule *r = &p->rules[i];
		bool differs[MATCH_AXES] = { false };
		unsigned count = 0;

		ret->host_named = true;
		if (r->rule.kind != POLICY_KIND_HTTP && !ret->tunnel)
			ret->tunnel = r;
		if (r->rule.kind != POLICY_KIND_HTTP || r->rule.verdict == POLICY_DENY)
			continue;
		for (unsigned axis = MATCH_METHOD; axis < MATCH_AXES; axis++) {
			differs[axis] = !match_axis(r, head, (enum match_axis)axis);
			count += differs[axis] ? axis == MATCH_PROTOCOL ? 1 : 2 : 0;
		}
		if (count < best) {
			best = count;
			ret->nearest = r;
			memcpy(ret->differs, differs, sizeof differs);
		}
	}
}

void explain_find(const struct policy *p, const struct head *head, struct explain *ret)
{
	const struct policy_rule *rule = NULL;
	enum err err = policy_match(p, head, &rule);

	*ret = (struct explain) { 0 };
	if (!rule) {
		find_nearest(p, head, ret);
		return;
	}
	ret->rule = &p->rules[rule->index];
	ret->unrecognised = err == ERR_PROTOCOL_UNRECOGNISED;
	ret->websocket_refused =
		err == ERR_OK && rule->verdict != POLICY_DENY && head->websocket && !rule->websocket;
}

enum policy_verdict explain_verdict(const struct explain *w)
{
	return !w->rule || w->unrecognised || w->websocket_refused ? POLICY_DENY : w->rule->rule.verdict;
}

static bool passes(const struct explain *w) { return explain_verdict(w) != POLICY_DENY; }

void explain_ask(struct explain *w, const struct head *head, const struct protocol_facts *told)
{
	const struct protocol *protocol = w->rule && passes(w) ? protocol_of(&w->rule->rule) : NULL;
	const void *data = protocol ? w->rule->rule.data : NULL;

	buf_init(&w->words, 2048);
	if (protocol && protocol->match(data, head) == PROTOCOL_NO) {	/* observed, then */
		w->answer = PROTOCOL_REFUSES;
		if (!protocol->why || !protocol->why(data, head, &w->words))
			buf_put_z(&w->words, "it is not what the rule takes");
	} else if (protocol) {
		w->answer = protocol->ask(data, head, told, &w->words);
	} else if (told->count && w->rule && passes(w)) {
		w->answer = PROTOCOL_FOREIGN;
		buf_put_z(&w->words, "the rule that decides has neither 'git' nor 'registry'");
	}
}

void explain_free(struct explain *w) { buf_free(&w->words); }

const char *explain_word(const struct explain *w)
{
	enum policy_verdict verdict = explain_verdict(w);

	if (verdict == POLICY_ALLOW && w->answer == PROTOCOL_REFUSES)
		return explain_verdicts[POLICY_DENY];
	return verdict == POLICY_ALLOW && w->answer == PROTOCOL_OPEN ? "undecided"
								     : explain_verdicts[verdict];
}

const char *explain_note(const struct explain *w)
{
	bool observed = explain_verdict(w) == POLICY_OBSERVE;

	switch (w->answer) {
	case PROTOCOL_REFUSES:
		return observed ? "would be denied" : "refused";
	case PROTOCOL_OPEN:
		return observed ? "would still be judged by" : "may still be refused by";
	case PROTOCOL_PASSES:
	case PROTOCOL_FOREIGN:
		break;
	}
	return NULL;
}

bool policy_allows(const struct policy *p, const struct head *head)
{
	struct explain w;

	explain_find(p, head, &w);
	return explain_verdict(&w) != POLICY_DENY;
}

static void put_methods(struct buf *b, const struct compiled_rule *r)
{
	for (uint32_t i = 0; i < r->method_count && i < LISTED_MAX; i++) {
		buf_put_z(b, i ? ", " : "");
		buf_put(b, r->methods[i]);
	}
	if (r->method_count > LISTED_MAX)
		buf_put_z(b, ", ...");
}

/* The first condition that the head does not meet. */
static void put_condition(struct buf *b, const struct compiled_rule *r, const struct head *h, bool query)
{
	uint32_t count = query ? r->query_count : r->header_count;

	for (uint32_t i = 0; i < count; i++) {
		const struct compiled_condition *c = query ? &r->query[i] : &r->headers[i];

		if (query ? match_query(c, h, false) : match_header(c, h, false))
			continue;
		buf_put_z(b, query ? "widen 'query', which wants every '"
				   : "widen 'headers', which wants every '");
		buf_put(b, c->name);
		buf_put_z(b, "' to match '");
		put_cut(b, c->glob);
		buf_put_z(b, "'");
		return;
	}
}

static void put_protocol_change(struct buf *b, const struct policy_rule *r, const struct head *h)
{
	const struct protocol *protocol = protocol_of(r);
	auto_buf why = BUF_EMPTY;

	buf_init(&why, 1024);
	buf_printf(b, "widen '%s', which has ", protocol->name);
	protocol->describe(r->data, b);
	if (protocol->why && protocol->why(r->data, h, &why)) {
		buf_put_z(b, ": ");
		put_cut(b, buf_str(&why));
	}
}

/* What would have to change in @r for it to agree with @h on @axis. */
void explain_put_change(struct buf *b, const struct compiled_rule *r, const struct head *h,
			enum match_axis axis)
{
	switch (axis) {
	case MATCH_METHOD:
		buf_put_z(b, "add ");
		buf_put(b, h->method);
		buf_put_z(b, " to 'methods', which has ");
		put_methods(b, r);
		break;
	case MATCH_SCHEME:
		buf_printf(b, "add %s to 'schemes'", h->scheme == HEAD_HTTPS ? "https" : "http");
		break;
	case MATCH_PORT:
		buf_printf(b, "add %u to 'ports'", h->port);
		break;
	case MATCH_PATH:
		buf_put_z(b, "add '");
		put_cut(b, h->path);
		buf_put_z(b, "' to 'paths'");
		break;
	case MATCH_QUERY:
	case MATCH_HEADERS:
		put_condition(b, r, h, axis == MATCH_QUERY);
		break;
	case MATCH_PROTOCOL:
		put_protocol_change(b, &r->rule, h);
		break;
	case MATCH_HOST:
	case MATCH_AXES:
		break;
	}
}

void explain_put_rule(struct buf *b, const struct policy *p, const struct policy_rule *r)
{
	buf_put_z(b, "rule '");
	buf_put(b, r->name);
	buf_printf(b, "' (%s:%u)", p->file, r->line);
}

static void put_new_rule(struct buf *b, const struct head *h)
{
	buf_put_z(b, "add a rule with hosts: [");
	buf_put(b, h->host);
	buf_put_z(b, "], methods: [");
	buf_put(b, h->method);
	buf_put_z(b, "]");
}

static void put_differences(struct buf *b, const struct explain *w, const struct head *h, const char *before)
{
	bool first = true;

	for (unsigned axis = 0; axis < MATCH_AXES; axis++) {
		if (!w->differs[axis])
			continue;
		buf_put_z(b, first && before[0] != '\n' ? "" : before);
		buf_put_z(b, explain_axes[axis]);
		buf_put_z(b, ": ");
		explain_put_change(b, w->nearest, h, (enum match_axis)axis);
		first = false;
	}
}

void explain_put_refusal(struct buf *b, const struct explain *w)
{
	if (w->unrecognised)
		buf_printf(b,
			   "'%s' is all that it takes, and this is no such request: put a rule for it before "
			   "this "
			   "one, or give this one 'paths'",
			   protocol_of(&w->rule->rule)->name);
	if (w->websocket_refused)
		buf_put_z(b, "it allows the GET, but not to go on as a WebSocket: add 'websocket: true'");
}

/* What the rule's protocol sees in the request; a body may still narrow it. */
static void put_protocol(struct buf *b, const struct policy_rule *r, const struct head *h)
{
	const struct protocol *protocol = protocol_of(r);
	struct protocol_facts facts;

	buf_printf(b, "\n  %s: ", protocol->name);
	protocol->describe(r->data, b);
	protocol_facts_init(&facts);
	if (protocol->facts(r->data, h, &facts) == PROTOCOL_YES)
		for (uint32_t i = 0; i < facts.count; i++) {
			buf_put_z(b, "\n    ");
			buf_put(b, facts.items[i].name);
			buf_put_z(b, ": ");
			put_cut(b, facts.items[i].value);
		}
	protocol_facts_free(&facts);
}

static void put_websocket(struct buf *b, const struct policy_websocket *w)
{
	buf_printf(b, "\n  websocket: text%s, messages of at most %llu bytes", w->binary ? " and binary" : "",
		   (unsigned long long)w->message_max);
	for (uint32_t i = 0; i < w->allow_count && i < LISTED_MAX; i++) {
		buf_put_z(b, i ? ", '" : "; allow '");
		put_cut(b, w->allow[i]);
		buf_put_z(b, "'");
	}
	for (uint32_t i = 0; i < w->deny_count && i < LISTED_MAX; i++) {
		buf_put_z(b, i ? ", '" : "; deny '");
		put_cut(b, w->deny[i]);
		buf_put_z(b, "'");
	}
}

/* The rule that matched, and what it says beyond its verdict. */
static void put_decision(struct buf *b, const struct policy *p, const struct head *h, const struct explain *w)
{
	const struct policy_rule *r = &w->rule->rule;

	buf_put_z(b, "by ");
	explain_put_rule(b, p, r);
	if (r->credential >= 0) {
		buf_put_z(b, ", with credential '");
		buf_put(b, p->credentials[r->credential].name);
		buf_put_z(b, "'");
	}
	if (w->unrecognised || w->websocket_refused) {
		buf_put_z(b, "\n    ");
		explain_put_refusal(b, w);
	} else {
		if (r->protocol != POLICY_PROTOCOL_NONE)
			put_protocol(b, r, h);
		if (explain_note(w)) {
			buf_printf(b, "\n  %s: ", explain_note(w));
			buf_put(b, buf_str(&w->words));
		}
		if (h->websocket && r->websocket)
			put_websocket(b, r->websocket);
		if (r->unscrubbed)
			buf_put_z(b, "\n  an answer that cannot be searched for secrets passes");
	}
}

static void put_text(struct buf *b, const struct policy *p, const struct head *h, const struct explain *w)
{
	buf_put_z(b, explain_word(w));
	buf_put_z(b, "  ");
	buf_put(b, h->method);
	buf_put_z(b, " ");
	explain_put_url(b, h);
	buf_put_z(b, "\n  ");
	if (w->rule) {
		put_decision(b, p, h, w);
	} else if (p->none) {
		buf_put_z(b, "no policy is in force");
	} else if (!w->nearest) {
		buf_printf(b, "by default: no rule of %s %s this host\n  to allow it: ", p->file,
			   w->host_named ? "allows anything on" : "names");
		put_new_rule(b, h);
	} else {
		buf_printf(b, "by default: no rule of %s matches\n  nearest: ", p->file);
		explain_put_rule(b, p, &w->nearest->rule);
		put_differences(b, w, h, "\n    ");
	}
	if (w->tunnel) {
		buf_put_z(b, "\n  ");
		explain_put_rule(b, p, &w->tunnel->rule);
		buf_put_z(b,
			  " passes connections to this host unopened: there is no request to be judged then");
	}
	buf_put_z(b, "\n");
}

static enum policy_answer answer_of(const struct explain *w)
{
	if (w->answer == PROTOCOL_FOREIGN)
		return POLICY_ANSWER_FOREIGN;
	if (explain_verdict(w) == POLICY_OBSERVE)
		return POLICY_ANSWER_PASSES;
	if (explain_verdict(w) == POLICY_DENY || w->answer == PROTOCOL_REFUSES)
		return POLICY_ANSWER_DENIED;
	return w->answer == PROTOCOL_OPEN ? POLICY_ANSWER_UNDECIDED : POLICY_ANSWER_PASSES;
}

enum err policy_explain_told(const struct policy *p, const struct head *head,
			     const struct protocol_facts *told, bool json, struct buf *out,
			     enum policy_answer *ret)
{
	struct explain w;
	enum err err;

	explain_find(p, head, &w);
	explain_ask(&w, head, told);
	err = buf_err(&w.words);
	if (w.answer == PROTOCOL_FOREIGN)
		buf_put(out, buf_str(&w.words));
	else if (json)
		explain_object(out, p, head, &w);
	else
		put_text(out, p, head, &w);
	if (err == ERR_OK)
		err = buf_err(out);
	if (err == ERR_OK)
		*ret = answer_of(&w);
	explain_free(&w);
	return err;
}

enum err policy_explain(const struct policy *p, const struct head *head, bool json, struct buf *out)
{
	static const struct protocol_facts nothing = { .count = 0 };
	enum policy_answer answer;

	return policy_explain_told(p, head, &nothing, json, out, &answer);
}

enum err policy_denial_text(const struct policy *p, const struct head *head, struct buf *out)
{
	struct explain w;

	explain_find(p, head, &w);
	if (p->none) {
		buf_put_z(out, "no policy is in force, so everything is denied");
		return buf_err(out);
	}
	if (w.rule) {
		explain_put_rule(out, p, &w.rule->rule);
		buf_put_z(out, explain_verdict(&w) == POLICY_DENY ? " denies " : " allows ");
	} else {
		buf_printf(out, "no rule of %s allows ", p->file);
	}
	buf_put(out, head->method);
	buf_put_z(out, " ");
	explain_put_url(out, head);
	if (w.unrecognised || w.websocket_refused) {
		buf_put_z(out, ": ");
		explain_put_refusal(out, &w);
	} else if (w.nearest) {
		buf_put_z(out, "; nearest: ");
		explain_put_rule(out, p, &w.nearest->rule);
		buf_put_z(out, ", which differs in ");
		put_differences(out, &w, head, "; ");
	} else if (w.tunnel) {
		buf_put_z(out, "; ");
		explain_put_rule(out, p, &w.tunnel->rule);
		buf_put_z(out, " passes connections to this host unopened, and allows no requests");
	} else if (!w.rule) {
		buf_put_z(out, w.host_named ? "; no rule allows anything on this host: "
					    : "; no rule names this host: ");
		put_new_rule(out, head);
	}
	return buf_err(out);
}
