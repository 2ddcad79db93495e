/* policy_fuzz.c - any bytes as a policy file; what loads then decides some requests and connections
 *
 * A load either makes a policy or names a place and a mistake. The decision is that of a plain scan of all
 * rules (the index and the sieve leave nothing out); explanations agree with it and fit their bounds; a host
 * that anything was allowed to is a named host.
 */
#include "base/glob.h"
#include "policy/match.h"
#include "policy/protocol.h"

#include <stdio.h>
#include <stdlib.h>

#define RULES_TRIED 40

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(bool good, const char *what)
{
	if (!good) {
		fputs(what, stderr);
		abort();
	}
}

static const struct compiled_rule *compiled(const struct policy *p, uint32_t i)
{
	return (const struct compiled_rule *)policy_rule(p, i);
}

/* The decision as docs/policy.md has it, with nothing to make it fast. */
static enum err scan(const struct policy *p, const struct head *h, const struct policy_rule **ret)
{
	const struct policy_rule *observing = NULL;

	for (uint32_t i = 0; i < policy_rule_count(p); i++) {
		const struct compiled_rule *r = compiled(p, i);
		const struct protocol *protocol = protocol_of(&r->rule);
		enum protocol_match match = PROTOCOL_YES;
		unsigned axis = MATCH_HOST;

		while (axis < MATCH_PROTOCOL && match_axis(r, h, (enum match_axis)axis))
			axis++;
		if (r->rule.kind != POLICY_KIND_HTTP || axis < MATCH_PROTOCOL)
			continue;
		if (protocol)
			match = protocol->match(r->rule.data, h);
		if (match == PROTOCOL_NO && !observing && r->rule.verdict == POLICY_OBSERVE)
			observing = &r->rule;
		if (match == PROTOCOL_NO)
			continue;
		*ret = &r->rule;
		return match == PROTOCOL_YES ? ERR_OK : ERR_PROTOCOL_UNRECOGNISED;
	}
	if (observing)
		*ret = observing;
	return observing ? ERR_OK : ERR_POLICY_DENIED;
}

static void explain(const struct policy *p, const struct head *h, bool allowed)
{
	auto_buf b = BUF_EMPTY;

	buf_init(&b, 65536);
	check(policy_explain(p, h, false, &b) == ERR_OK, "explanation");
	check(allowed != str_starts(buf_str(&b), STR("deny")), "another verdict is explained");
	buf_clear(&b);
	check(policy_explain(p, h, true, &b) == ERR_OK && str_is_utf8(buf_str(&b)), "JSON");
	buf_clear(&b);
	check(policy_denial_text(p, h, &b) == ERR_OK && str_find(buf_str(&b), '\n') == b.len, "denial");
}

/* What is told of a body can refuse what the head passes, and nothing else. */
static void explain_told(const struct policy *p, const struct head *h, bool allowed)
{
	static const char *const facts[][2] = {
		{ "git.ref", "refs/heads/agent/x" }, { "git.change", "update" }, { "git.forced", "yes" },
		{ "registry.version", "1.0.0" },     { "registry.age", "86400" },
	};
	static const struct { size_t from, to; } asked[] = { { 0, 0 }, { 0, 1 }, { 0, 3 }, { 3, 4 }, { 3, 5 },
							     { 0, 5 } };
	auto_buf b = BUF_EMPTY;

	buf_init(&b, 65536);
	for (size_t i = 0; i < 2 * sizeof asked / sizeof *asked; i++) {
		enum policy_answer answer = POLICY_ANSWER_FOREIGN;
		struct protocol_facts told;

		protocol_facts_init(&told);
		for (size_t k = asked[i / 2].from; k < asked[i / 2].to; k++)
			check(protocol_facts_add(&told, str_of(facts[k][0]), str_of(facts[k][1])) == ERR_OK,
			      "facts");
		buf_clear(&b);
		check(policy_explain_told(p, h, &told, i % 2, &b, &answer) == ERR_OK && b.len,
		      "what was told");
		check(allowed || answer == POLICY_ANSWER_DENIED,
		      "the head is denied, and what is told allows it");
		check(answer != POLICY_ANSWER_FOREIGN || told.count, "nothing was told, and it is foreign");
		protocol_facts_free(&told);
	}
}

static void decide(const struct policy *p, const char *method, struct str host, struct str path,
		   struct str query, bool websocket)
{
	struct head h = { .kind = HEAD_REQUEST,
			  .scheme = HEAD_HTTPS,
			  .port = 443,
			  .method = str_of(method),
			  .host = host,
			  .path = path,
			  .query = query,
			  .has_query = query.n > 0,
			  .websocket = websocket };
	const struct policy_rule *rule = NULL, *scanned = NULL;
	enum err err;

	h.fields[h.field_count++] = (struct head_field) { STR("accept"), STR("text/html") };
	err = policy_match(p, &h, &rule);
	check(err == scan(p, &h, &scanned) && rule == scanned, "a scan decides otherwise");
	check((err == ERR_POLICY_DENIED) == !rule, "a rule, or none");
	if (err == ERR_OK) {
		check(rule == policy_rule(p, rule->index), "a rule of another policy");
		check(rule->verdict == POLICY_DENY || policy_host_named(p, host), "allowed and not named");
		check(rule->credential < (int32_t)policy_credential_count(p),
		      "a credential that is not there");
		check(rule->verdict == POLICY_ALLOW || rule->credential < 0, "a credential without allow");
	}
	check(policy_allows(p, &h) ==
		      (err == ERR_OK && rule->verdict != POLICY_DENY && (!websocket || rule->websocket)),
	      "what would be let through");
	explain(p, &h, policy_allows(p, &h));
	explain_told(p, &h, policy_allows(p, &h));
}

static void connect_to(const struct policy *p, struct str host, uint16_t port)
{
	static const enum policy_kind kinds[] = { POLICY_KIND_TCP, POLICY_KIND_PASSTHROUGH };
	auto_buf b = BUF_EMPTY;
	unsigned through = 0;

	for (size_t i = 0; i < 2; i++) {
		const struct policy_rule *rule = NULL;

		if (policy_match_tunnel(p, kinds[i], host, port, &rule) != ERR_OK)
			continue;
		check(rule->kind == kinds[i] ||
			      (rule->kind == POLICY_KIND_HTTP && rule->verdict == POLICY_DENY),
		      "a tunnel of another kind");
		check(rule->credential < 0, "a tunnel with a credential");
		through += rule->verdict != POLICY_DENY;
		check(rule->verdict == POLICY_DENY || policy_host_named(p, host), "through and not named");
	}
	check(through < 2, "two kinds of tunnel at once");
	buf_init(&b, 65536);
	check(policy_explain_tunnel(p, host, port, false, &b) == ERR_OK, "explanation");
	check((through > 0) != str_starts(buf_str(&b), STR("deny")), "another verdict of a tunnel");
	buf_clear(&b);
	check(policy_explain_tunnel(p, host, port, true, &b) == ERR_OK && str_is_utf8(buf_str(&b)), "JSON");
}

/* A host that the pattern matches: what stands for the star is a label. */
static void decide_pattern(const struct policy *p, struct str pattern)
{
	char host[512];
	int n = pattern.p[0] == '*' ? snprintf(host, sizeof host, "a%.*s", (int)pattern.n - 1, pattern.p + 1)
				    : snprintf(host, sizeof host, "%.*s", STR_FMT(pattern));

	check(n > 0 && (size_t)n < sizeof host, "a long host");
	decide(p, "GET", str_of(host), STR("/v1/messages"), STR("beta=true&a=%31"), false);
	decide(p, "GET", str_of(host), STR("/%61dmin/x"), STR(""), true);
	decide(p, "POST", str_of(host), STR("/acme/site/git-receive-pack"), STR(""), false);
	decide(p, "GET", str_of(host), STR("/hay/-/hay-1.0.0.tgz"), STR(""), false);
	decide(p, "GET", str_of(host), STR("/acme/site.git/info/refs"), STR("service=git-upload-pack"),
	       false);
	decide(p, "GET", str_of(host), STR("/@acme%2Fsite"), STR(""), false);
	connect_to(p, str_of(host), 443);
}

/* One that the rule should match, but for what its globs leave open. */
static void decide_rule(const struct policy *p, const struct compiled_rule *r)
{
	char path[GLOB_MAX];
	struct str glob = r->path_count ? r->paths[r->path_count - 1] : STR("/");
	size_t n = glob.n < sizeof path - 1 ? glob.n : sizeof path - 1;
	const char *method = r->method_count ? r->methods[r->method_count - 1].p : "LOCK";

	for (size_t i = 0; i < n; i++)
		path[i] = (char)(glob.p[i] == '*' ? 'x' : glob.p[i]);
	decide(p, method, r->hosts[0].p[0] == '*' ? STR("a.example") : r->hosts[0], str_make(path, n),
	       STR(""), false);
	decide_pattern(p, r->hosts[r->host_count - 1]);
	if (r->port_count && r->hosts[0].p[0] != '*')
		connect_to(p, r->hosts[0], r->ports[0].low);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct policy_error e = { 0 };
	struct policy *p = NULL;
	enum err err = policy_load(str_make(data, size), "paddock.yaml", "/home/ann", &p, &e);

	if (err != ERR_OK) {
		check(err == ERR_MEMORY || (err == ERR_POLICY_SYNTAX && e.text[0]), "an error without words");
		return 0;
	}
	decide(p, "GET", STR("api.anthropic.com"), STR("/v1/messages"), STR("beta=true"), false);
	decide(p, "GET", STR("10.0.0.1"), STR("/"), STR(""), false);
	connect_to(p, STR("db.example"), 5432);
	for (uint32_t i = 0; i < policy_rule_count(p) && i < RULES_TRIED; i++)
		decide_rule(p, compiled(p, i));
	for (uint32_t i = 0; i < policy_credential_count(p); i++)
		for (uint32_t k = 0; k < policy_credential(p, i)->host_count && k < RULES_TRIED; k++)
			decide_pattern(p, policy_credential(p, i)->hosts[k]);
	for (uint32_t i = 0; i < policy_filesystem(p)->hidden_count; i++)
		(void)policy_glob(policy_filesystem(p)->hidden[i], STR("a/b/.env.local"));
	policy_free(p);
	return 0;
}
