/* policy_part_test.c - what a rule is beyond its conditions: tunnels, WebSockets, protocols, and what that
 * does to the decision, to rules that come later, and to explanations */
#include "policy/policy.h"
#include "policy/protocol.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#define COUNT(a)   (sizeof(a) / sizeof(*(a)))
#define RULES(...) "version: 1\nnetwork:\n" __VA_ARGS__

static struct policy *load(const char *text)
{
	struct policy_error e = { 0 };
	struct policy *p = NULL;

	if (policy_load(str_of(text), "paddock.yaml", "/home/ann", &p, &e) != ERR_OK)
		fail_msg("%s\n%u:%u: %s", text, e.line, e.column, e.text);
	return p;
}

struct mistake {
	const char *text, *says;
	unsigned line;
};

static void refused(const struct mistake *cases, size_t count)
{
	unsigned wrong = 0;

	for (size_t i = 0; i < count; i++) {
		struct policy_error e = { 0 };
		struct policy *p = NULL;

		if (policy_load(str_of(cases[i].text), "f", "/home/ann", &p, &e) != ERR_POLICY_SYNTAX)
			fail_msg("this loads: %s", cases[i].text);
		if (strstr(e.text, cases[i].says) && e.line == cases[i].line && e.column > 1)
			continue;
		wrong++;
		print_error("%s\nsays %u:%u: %s\nnot  %u: %s\n", cases[i].text, e.line, e.column, e.text,
			    cases[i].line, cases[i].says);
	}
	assert_int_equal(wrong, 0);
}

static struct head request(const char *method, const char *host, const char *path, const char *query)
{
	return (struct head) { .kind = HEAD_REQUEST,
			       .scheme = HEAD_HTTPS,
			       .port = 443,
			       .method = str_of(method),
			       .host = str_of(host),
			       .path = str_of(path),
			       .has_query = query != NULL,
			       .query = str_of(query ? query : "") };
}

static const char *decide(const struct policy *p, const struct head *h)
{
	const struct policy_rule *r = NULL;
	enum err e = policy_match(p, h, &r);

	assert_true(e == ERR_OK || e == ERR_PROTOCOL_UNRECOGNISED || (e == ERR_POLICY_DENIED && !r));
	return !r ? "-" : e == ERR_OK ? r->name.p : "unrecognised";
}

static const char *tunnel(const struct policy *p, enum policy_kind kind, const char *host, uint16_t port)
{
	const struct policy_rule *r = NULL;

	if (policy_match_tunnel(p, kind, str_of(host), port, &r) != ERR_OK) {
		assert_null(r);
		return "-";
	}
	return r->name.p;
}

#define TCP	    POLICY_KIND_TCP
#define PASSTHROUGH POLICY_KIND_PASSTHROUGH

/* --- tunnels --- */

static void tunnels_go_by_name_and_port(void **state)
{
	(void)state;
	struct policy *p = load(RULES("  - {name: db, hosts: [db.example, 10.0.0.5], ports: [5432, "
				      "6000-6010], tcp: true, addresses: [10.0.0.0/8]}\n"
				      "  - {name: pin, hosts: [\"*.pinned.example\"], passthrough: true}\n"
				      "  - {name: odd, hosts: [odd.example], ports: [8443], passthrough: "
				      "true, verdict: observe}\n"));
	struct head h = request("GET", "a.pinned.example", "/", NULL);

	assert_string_equal(tunnel(p, TCP, "db.example", 5432), "db");
	assert_string_equal(tunnel(p, TCP, "10.0.0.5", 6010), "db");
	assert_string_equal(tunnel(p, TCP, "db.example", 443), "-");
	assert_string_equal(tunnel(p, PASSTHROUGH, "db.example", 5432), "-");
	assert_string_equal(tunnel(p, PASSTHROUGH, "a.pinned.example", 443), "pin");
	assert_string_equal(tunnel(p, PASSTHROUGH, "pinned.example", 443), "-");
	assert_string_equal(tunnel(p, PASSTHROUGH, "a.pinned.example", 444), "-");
	assert_string_equal(tunnel(p, TCP, "a.pinned.example", 443), "-");
	assert_string_equal(tunnel(p, PASSTHROUGH, "odd.example", 8443), "odd");
	assert_string_equal(tunnel(p, PASSTHROUGH, "odd.example", 443), "-");
	assert_string_equal(tunnel(p, POLICY_KIND_HTTP, "db.example", 5432), "-");
	assert_string_equal(decide(p, &h), "-");
	assert_true(policy_host_named(p, STR("a.pinned.example")) && policy_host_named(p, STR("db.example")));
	assert_false(policy_host_named(p, STR("pinned.example")));
	assert_true(policy_rule(p, 0)->kind == TCP && policy_rule(p, 0)->address_count == 1);
	assert_true(policy_rule(p, 1)->kind == PASSTHROUGH && policy_rule(p, 1)->credential == -1);
	policy_free(p);
}

/* The first rule that names a host and port says what becomes of a connection. */
static void the_first_rule_of_a_connection_decides(void **state)
{
	(void)state;
	struct policy *p = load(RULES(
		"  - {name: no, hosts: [bad.x.example], methods: [\"*\"], verdict: deny}\n"
		"  - {name: api, hosts: [api.x.example], methods: [GET], paths: [/v1/*]}\n"
		"  - {name: clear, hosts: [clear.x.example], methods: [GET], schemes: [http], ports: [443]}\n"
		"  - {name: some, hosts: [some.x.example], methods: [POST], verdict: deny}\n"
		"  - {name: pin, hosts: [\"*.x.example\"], passthrough: true}\n"
		"  - {name: rest, hosts: [\"*\"], methods: [GET]}\n"));
	struct head h = request("GET", "free.x.example", "/", NULL);

	assert_string_equal(tunnel(p, PASSTHROUGH, "free.x.example", 443), "pin");
	assert_string_equal(tunnel(p, PASSTHROUGH, "bad.x.example", 443), "no");
	assert_string_equal(tunnel(p, TCP, "bad.x.example", 22), "no");
	assert_string_equal(tunnel(p, PASSTHROUGH, "api.x.example", 443), "-");
	assert_string_equal(tunnel(p, PASSTHROUGH, "some.x.example", 443), "-");
	assert_string_equal(tunnel(p, PASSTHROUGH, "clear.x.example", 443), "pin");
	assert_string_equal(tunnel(p, TCP, "clear.x.example", 443), "-");
	assert_string_equal(tunnel(p, PASSTHROUGH, "other.example", 443), "-");
	assert_string_equal(decide(p, &h), "rest"); /* it is no connection's business what a request may be */
	assert_false(policy_host_named(p, STR("bad.x.example")));
	policy_free(p);
}

static void tunnels_that_would_be_more_are_refused(void **state)
{
	(void)state;
#define PASS(text) RULES("  - {hosts: [a.b], passthrough: true, " text "}\n")
	static const struct mistake cases[] = {
		{ PASS("methods: [GET]"), "'methods' is not possible with 'passthrough': TLS is not opened",
		  3 },
		{ PASS("schemes: [https]"), "'schemes' is not possible", 3 },
		{ PASS("paths: [/a]"), "'paths' is not possible", 3 },
		{ PASS("query: {a: b}"), "'query' is not possible", 3 },
		{ PASS("headers: {a: b}"), "'headers' is not possible", 3 },
		{ PASS("credential: k"), "'credential' is not possible", 3 },
		{ PASS("request_body_max: 1"), "'request_body_max' is not possible", 3 },
		{ PASS("response_body_max: 1"), "'response_body_max' is not possible", 3 },
		{ PASS("unscrubbed: pass"), "'unscrubbed' is not possible", 3 },
		{ PASS("websocket: true"), "'websocket' is not possible", 3 },
		{ PASS("git: {repositories: [a/b], access: fetch}"), "'git' is not possible", 3 },
		{ PASS("registry: {type: npm}"), "'registry' is not possible", 3 },
		{ PASS("tcp: true"), "expected one of 'passthrough' and 'tcp'", 3 },
		{ PASS("verdict: deny"), "what is denied needs no tunnel", 3 },
		{ PASS("verdict: observe, addresses: [10.0.0.1]"),
		  "a rule that observes may not have 'addresses'", 3 },
		{ RULES("  - {hosts: [\"*\"], passthrough: true}\n"), "nothing would be inspected", 3 },
		{ RULES("  - {hosts: [10.0.0.1], passthrough: true}\n"), "use 'tcp'", 3 },
		{ RULES("  - {hosts: [a.b], tcp: true}\n"), "needs 'ports'", 3 },
		{ RULES("  - {hosts: [a.b], tcp: true, ports: [1], methods: [GET]}\n"),
		  "'methods' is not possible with 'tcp'", 3 },
		{ RULES("  - {hosts: [\"*.a.b\"], tcp: true, ports: [1]}\n"),
		  "needs exact names or IP addresses", 3 },
		{ RULES("  - {hosts: [a.b], tcp: yes, ports: [1]}\n"), "expected true or false", 3 },
		{ RULES("  - {hosts: [a.b], passthrough: false}\n"), "this rule needs 'methods'", 3 },
	};

	refused(cases, COUNT(cases));
}

static void rules_that_a_tunnel_buries_are_refused(void **state)
{
	(void)state;
#define PIN "  - {name: pin, hosts: [\"*.x.example\"], passthrough: true}\n"
#define DB  "  - {name: db, hosts: [db.example], ports: [5000-5999], tcp: true}\n"
	static const struct mistake cases[] = {
		{ RULES(PIN "  - {hosts: [a.x.example], passthrough: true}\n"),
		  "'pin' in line 3 comes before it and matches all", 4 },
		{ RULES(PIN "  - {hosts: [a.x.example], methods: [GET]}\n"),
		  "lets the same connections pass unopened", 4 },
		{ RULES(PIN "  - {hosts: [a.x.example], methods: [GET], verdict: deny}\n"), "denies too late",
		  4 },
		{ RULES(PIN "  - {hosts: [a.x.example], ports: [443], tcp: true}\n"),
		  "can never match: 'pin'", 4 },
		{ RULES("  - {name: get, hosts: [\"*\"], methods: [GET], paths: [/a]}\n  - {hosts: [a.b], "
			"passthrough: true}\n"),
		  "'get' in line 3 comes before it and has the same connections opened", 4 },
		{ RULES("  - {name: no, hosts: [\"*\"], methods: [GET], verdict: deny}\n  - {hosts: [a.b], "
			"ports: [22], tcp: true}\n"),
		  "has the same connections opened", 4 },
		{ RULES(DB "  - {hosts: [db.example], ports: [5432], tcp: true}\n"),
		  "matches all that it does", 4 },
		{ RULES(DB "  - {hosts: [db.example], ports: [5432], methods: [GET], schemes: [http]}\n"),
		  "pass unopened", 4 },
		{ RULES(DB "  - {hosts: [db.example], ports: [5432], passthrough: true}\n"),
		  "matches all that it does", 4 },
	};

	refused(cases, COUNT(cases));
	policy_free(load(RULES(PIN "  - {hosts: [a.x.example], methods: [GET], schemes: [http]}\n")));
	policy_free(load(RULES(PIN "  - {hosts: [x.example], methods: [GET]}\n")));
	policy_free(load(RULES(PIN "  - {hosts: [a.x.example], ports: [443, 444], passthrough: true}\n")));
	policy_free(load(RULES(DB "  - {hosts: [db.example], methods: [GET]}\n")));
	policy_free(load(RULES(DB "  - {hosts: [db.example], ports: [5999-6000], tcp: true}\n")));
	policy_free(load(RULES("  - {hosts: [a.b], methods: [GET], schemes: [http], ports: [443]}\n"
			       "  - {hosts: [a.b], passthrough: true}\n")));
}

/* --- WebSockets --- */

static void websockets_are_for_rules_that_say_so(void **state)
{
	(void)state;
	struct policy *p = load(RULES(
		"  - {name: get, hosts: [a.b], methods: [GET]}\n"
		"  - {name: plain, hosts: [c.d], methods: [GET], websocket: true, unscrubbed: pass}\n"
		"  - {name: full, hosts: [e.f], methods: [\"*\"], verdict: observe, unscrubbed: refuse,\n"
		"     websocket: {allow: [\"*ping*\"], deny: [\"*drop*\", x], binary: true, message_max: "
		"64KiB}}\n"
		"  - {name: off, hosts: [g.h], methods: [GET], websocket: false}\n"));
	struct head h = request("GET", "a.b", "/", NULL);
	const struct policy_websocket *w = policy_rule(p, 1)->websocket;

	assert_true(policy_rule(p, 0)->websocket == NULL && !policy_rule(p, 0)->unscrubbed);
	assert_true(w && w->allow_count == 0 && w->deny_count == 0 && !w->binary &&
		    w->message_max == 16u << 20);
	assert_true(policy_rule(p, 1)->unscrubbed && !policy_rule(p, 2)->unscrubbed);
	w = policy_rule(p, 2)->websocket;
	assert_true(w->allow_count == 1 && w->deny_count == 2 && w->binary && w->message_max == 65536);
	assert_true(str_eq(w->deny[0], STR("*drop*")));
	assert_null(policy_rule(p, 3)->websocket);
	assert_true(policy_allows(p, &h));
	h.websocket = true;
	assert_string_equal(decide(p, &h), "get");
	assert_false(policy_allows(p, &h));
	h.host = STR("c.d");
	assert_true(policy_allows(p, &h));
	policy_free(p);
}

static void websockets_that_cannot_be_are_refused(void **state)
{
	(void)state;
	static const struct mistake cases[] = {
		{ RULES("  - {hosts: [a.b], methods: [POST], websocket: true}\n"),
		  "a WebSocket begins with a GET", 3 },
		{ RULES("  - {hosts: [a.b], methods: [GET], verdict: deny, websocket: true}\n"),
		  "has no use for 'websocket'", 3 },
		{ RULES("  - {hosts: [a.b], methods: [GET], verdict: deny, unscrubbed: pass}\n"),
		  "has no use for 'unscrubbed'", 3 },
		{ RULES("  - {hosts: [a.b], methods: [GET], unscrubbed: true}\n"),
		  "expected one of refuse, pass", 3 },
		{ RULES("  - {hosts: [a.b], methods: [GET], websocket: yes}\n"),
		  "expected true, false, or a mapping", 3 },
		{ RULES("  - {hosts: [a.b], methods: [GET], websocket: [a]}\n"),
		  "expected true, false, or a mapping", 3 },
		{ RULES("  - {hosts: [a.b], methods: [GET], websocket: {alow: [a]}}\n"),
		  "did you mean 'allow'?", 3 },
		{ RULES("  - {hosts: [a.b], methods: [GET], websocket: {allow: []}}\n"),
		  "'allow' is an empty list", 3 },
		{ RULES("  - {hosts: [a.b], methods: [GET], websocket: {deny: [\"\"]}}\n"),
		  "expected a text glob", 3 },
		{ RULES("  - {hosts: [a.b], methods: [GET], websocket: {message_max: 17MiB}}\n"),
		  "expected 1B to 16MiB", 3 },
		{ RULES("  - {hosts: [a.b], methods: [GET], websocket: {message_max: 0}}\n"),
		  "expected 1B to 16MiB", 3 },
		{ RULES("  - {hosts: [a.b], websocket: true, git: {repositories: [a/b], access: fetch}}\n"),
		  "no WebSocket is part of git", 3 },
		{ RULES("  - {hosts: [a.b], git: {repositories: [a/b], access: fetch}, registry: {type: "
			"npm}}\n"),
		  "expected one of 'git' and 'registry'", 3 },
	};

	refused(cases, COUNT(cases));
}

/* --- protocols --- */

static const char git_rules[] =
	RULES("  - {name: web, hosts: [git.example], methods: [GET], paths: [/about]}\n"
	      "  - {name: ours, hosts: [git.example], git: {repositories: [\"acme/*\"], access: fetch}}\n"
	      "  - {name: push, hosts: [git.example], git: {repositories: [acme/site], access: push, refs: "
	      "[\"agent/*\"]}}\n"
	      "  - {name: late, hosts: [git.example], methods: [GET], paths: [\"/x/**\"]}\n");

static void what_a_protocol_does_not_know_ends_the_walk(void **state)
{
	(void)state;
	struct policy *p = load(git_rules);
	struct head fetch =
		request("GET", "git.example", "/acme/site.git/info/refs", "service=git-upload-pack");
	struct head push =
		request("GET", "git.example", "/acme/site.git/info/refs", "service=git-receive-pack");
	struct head other =
		request("GET", "git.example", "/other/site.git/info/refs", "service=git-upload-pack");
	struct head page = request("GET", "git.example", "/acme/site", NULL);
	struct head about = request("GET", "git.example", "/about", NULL);
	struct head x = request("GET", "git.example", "/x/y", NULL);

	assert_string_equal(decide(p, &fetch), "ours");
	assert_string_equal(decide(p, &push), "push");
	assert_string_equal(decide(p, &other), "-");
	assert_string_equal(decide(p, &page), "unrecognised");
	assert_string_equal(decide(p, &about), "web");
	assert_string_equal(decide(p, &x), "unrecognised");
	assert_true(policy_allows(p, &fetch));
	assert_false(policy_allows(p, &page));
	assert_false(policy_allows(p, &other));
	assert_int_equal(policy_rule(p, 1)->protocol, POLICY_PROTOCOL_GIT);
	assert_non_null(policy_rule(p, 1)->data);
	policy_free(p);
}

static void rules_of_a_protocol_bury_what_they_cover(void **state)
{
	(void)state;
#define ANY "  - {name: any, hosts: [g.h], methods: [\"*\"]}\n"
	static const struct mistake cases[] = {
		{ RULES(ANY "  - {hosts: [g.h], git: {repositories: [a/b], access: fetch}}\n"),
		  "'any' in line 3 comes before it", 4 },
		{ RULES("  - {name: a, hosts: [g.h], git: {repositories: [\"a/*\"], access: [fetch, push], "
			"refs: [x]}}\n"
			"  - {hosts: [g.h], git: {repositories: [a/b], access: push, refs: [y]}}\n"),
		  "'a' in line 3 comes before it", 4 },
		{ RULES("  - {name: all, hosts: [g.h], registry: {type: npm, min_age: 3d}}\n"
			"  - {hosts: [g.h], registry: {type: npm, packages: [react]}}\n"),
		  "'all' in line 3 comes before it", 4 },
		{ RULES("  - {name: a, hosts: [g.h], registry: {type: npm, packages: [\"@acme/*\", vue]}}\n"
			"  - {hosts: [g.h], registry: {type: npm, packages: [\"@acme/x\"], versions: "
			"{\"@acme/x\": ^1}}}\n"),
		  "'a' in line 3 comes before it", 4 },
	};

	refused(cases, COUNT(cases));
	policy_free(load(RULES("  - {hosts: [g.h], registry: {type: npm, versions: {react: ^1}}}\n"
			       "  - {hosts: [g.h], registry: {type: npm, packages: [react]}}\n")));
	policy_free(load(RULES("  - {hosts: [g.h], registry: {type: npm, packages: [react]}}\n"
			       "  - {hosts: [g.h], registry: {type: npm}}\n"
			       "  - {hosts: [g.h], registry: {type: npm, access: publish}}\n")));
	policy_free(load(RULES("  - {hosts: [g.h], git: {repositories: [a/b], access: fetch}}\n"
			       "  - {hosts: [g.h], git: {repositories: [a/b], access: push, refs: [x]}}\n")));
	policy_free(load(RULES("  - {hosts: [g.h], git: {repositories: [a/b], access: fetch}}\n" ANY)));
	policy_free(load(RULES("  - {hosts: [g.h], methods: [GET]}\n"
			       "  - {hosts: [g.h], git: {repositories: [a/b], access: fetch}}\n")));
}

/* --- explanations --- */

static void explains(const struct policy *p, const struct head *h, bool json, const char *says)
{
	auto_buf b = BUF_EMPTY;

	buf_init(&b, 16384);
	assert_int_equal(policy_explain(p, h, json, &b), ERR_OK);
	if (!strstr(buf_z(&b), says))
		fail_msg("%s\ndoes not say %s", buf_z(&b), says);
}

static void explains_tunnel(const struct policy *p, const char *host, uint16_t port, bool json,
			    const char *says)
{
	auto_buf b = BUF_EMPTY;

	buf_init(&b, 16384);
	assert_int_equal(policy_explain_tunnel(p, str_of(host), port, json, &b), ERR_OK);
	if (!strstr(buf_z(&b), says))
		fail_msg("%s\ndoes not say %s", buf_z(&b), says);
}

static void explanations_know_protocols_and_websockets(void **state)
{
	(void)state;
	struct policy *p = load(git_rules);
	struct head fetch =
		request("GET", "git.example", "/acme/site.git/info/refs", "service=git-upload-pack");
	struct head page = request("GET", "git.example", "/acme/site", NULL);
	struct head other =
		request("GET", "git.example", "/other/site.git/info/refs", "service=git-upload-pack");
	struct head socket = request("GET", "git.example", "/about", NULL);
	auto_buf b = BUF_EMPTY;

	socket.websocket = true;
	explains(p, &fetch, false, "git.repository: acme/site");
	explains(p, &fetch, true, "\"protocol\":{\"name\":\"git\",\"rule\":\"fetch of acme/*\"");
	explains(p, &fetch, true, "\"facts\":{\"git.repository\":\"acme/site\",\"git.service\":\"fetch\"}");
	explains(p, &page, false,
		 "deny  GET https://git.example/acme/site\n  by rule 'ours' (paddock.yaml:4)\n    'git' is "
		 "all");
	explains(p, &page, true, "\"refusal\":\"'git' is all that it takes");
	explains(p, &other, false, "protocol: widen 'git', which has fetch of acme/*");
	explains(p, &other, true, "\"differs\":{\"protocol\":\"widen 'git'");
	explains(
		p, &socket, false,
		"deny  GET wss://git.example/about\n  by rule 'web' (paddock.yaml:3)\n    it allows the GET, "
		"but not to go on as a WebSocket: add 'websocket: true'");
	buf_init(&b, 4096);
	assert_int_equal(policy_denial_text(p, &page, &b), ERR_OK);
	assert_non_null(strstr(
		buf_z(&b),
		"rule 'ours' (paddock.yaml:4) denies GET https://git.example/acme/site: 'git' is all"));
	policy_free(p);
	p = load(RULES("  - {hosts: [git.example], methods: [GET], unscrubbed: pass, websocket: {deny: "
		       "[\"*x*\"], message_max: 100}}\n"));
	explains(p, &socket, false,
		 "websocket: text, messages of at most 100 bytes; deny '*x*'\n  an answer that cannot be "
		 "searched");
	explains(p, &socket, true,
		 "\"websocket\":{\"allow\":[],\"deny\":[\"*x*\"],\"binary\":false,\"message_max\":100},"
		 "\"unscrubbed\":true");
	policy_free(p);
}

static void explanations_say_what_a_tunnel_is_not(void **state)
{
	(void)state;
	struct policy *p =
		load(RULES("  - {name: no, hosts: [bad.x.example], methods: [\"*\"], verdict: deny}\n"
			   "  - {name: pin, hosts: [\"*.x.example\"], passthrough: true}\n"
			   "  - {name: db, hosts: [\"2001:db8::5\"], ports: [5432], tcp: true}\n"
			   "  - {name: web, hosts: [a.b], methods: [GET]}\n"));
	struct head h = request("GET", "a.x.example", "/", NULL);

	explains_tunnel(p, "a.x.example", 443, false,
			"allow  CONNECT a.x.example:443\n  by rule 'pin' (paddock.yaml:4)\n    "
			"TLS is not opened: no method, path or credential is possible");
	explains_tunnel(p, "a.x.example", 443, true, "\"verdict\":\"allow\"");
	explains_tunnel(p, "a.x.example", 443, true, "\"tunnel\":\"passthrough\",\"opened\":false}");
	explains_tunnel(p, "2001:db8::5", 5432, false, "allow  CONNECT [2001:db8::5]:5432\n  by rule 'db'");
	explains_tunnel(p, "2001:db8::5", 5432, true, "\"tunnel\":\"tcp\"");
	explains_tunnel(p, "bad.x.example", 443, false,
			"deny  CONNECT bad.x.example:443\n  by rule 'no' (paddock.yaml:3)\n    it denies");
	explains_tunnel(p, "a.b", 443, false,
			"deny  CONNECT a.b:443\n  by rule 'web' (paddock.yaml:6)\n    it has such "
			"connections opened");
	explains_tunnel(p, "a.b", 443, true, "\"tunnel\":null,\"opened\":true}");
	explains_tunnel(p, "a.b", 22, false, "no rule of paddock.yaml names this host and port");
	explains_tunnel(p, "a.b", 22, true, "\"rule\":null,\"tunnel\":null,\"opened\":false}");
	explains(p, &h, false, "rule 'pin' (paddock.yaml:4) passes connections to this host unopened");
	explains(p, &h, true, "\"nearest\":null,\"tunnel\":{\"name\":\"pin\",\"index\":1,\"line\":4}}");
	policy_free(p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(tunnels_go_by_name_and_port),
		cmocka_unit_test(the_first_rule_of_a_connection_decides),
		cmocka_unit_test(tunnels_that_would_be_more_are_refused),
		cmocka_unit_test(rules_that_a_tunnel_buries_are_refused),
		cmocka_unit_test(websockets_are_for_rules_that_say_so),
		cmocka_unit_test(websockets_that_cannot_be_are_refused),
		cmocka_unit_test(what_a_protocol_does_not_know_ends_the_walk),
		cmocka_unit_test(rules_of_a_protocol_bury_what_they_cover),
		cmocka_unit_test(explanations_know_protocols_and_websockets),
		cmocka_unit_test(explanations_say_what_a_tunnel_is_not),
	};

	return cmocka_run_group_tests_name("policy_part", tests, NULL, NULL);
}
