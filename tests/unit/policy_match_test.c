/* policy_match_test.c - which rule decides, that the index decides as a plain scan would, and
 * what explanations say */
#include "base/clock.h"
#include "policy/match.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#define COUNT(a) (sizeof(a) / sizeof(*(a)))

static struct policy *load(struct str text)
{
	struct policy_error e;
	struct policy *p;

	if (policy_load(text, "paddock.yaml", "/home/ann", &p, &e) != ERR_OK)
		fail_msg("%u:%u: %s", e.line, e.column, e.text);
	return p;
}

/* "GET https://host[:port]/path[?query]", canonical already */
static struct head head_of(const char *request)
{
	struct head h = { .kind = HEAD_REQUEST };
	struct str s = str_of(request), authority;
	uint64_t port;

	h.method = str_head(s, str_find(s, ' '));
	s = str_from(s, h.method.n + 1);
	h.scheme = str_starts(s, STR("https://")) ? HEAD_HTTPS : HEAD_HTTP;
	s = str_from(s, h.scheme == HEAD_HTTPS ? 8 : 7);
	authority = str_head(s, str_find(s, '/'));
	s = str_from(s, authority.n);
	h.port = h.scheme == HEAD_HTTPS ? 443 : 80;
	h.host = authority;
	if (authority.p[0] == '[') {
		h.host = str_head(str_from(authority, 1), str_find(authority, ']') - 1);
	} else if (str_find(authority, ':') < authority.n) {
		h.host = str_head(authority, str_find(authority, ':'));
		assert_true(str_decimal(str_from(authority, h.host.n + 1), 65535, &port));
		h.port = (uint16_t)port;
	}
	h.path = str_head(s, str_find(s, '?'));
	h.has_query = h.path.n < s.n;
	h.query = str_from(s, h.path.n + 1);
	return h;
}

static const char *decide(const struct policy *p, const struct head *h)
{
	const struct policy_rule *r;

	return policy_match(p, h, &r) == ERR_OK ? r->name.p : "-";
}

static const char policy_text[] =
	"version: 1\nnetwork:\n"
	"  - {name: no-admin, hosts: [\"*.corp.example\"], methods: [\"*\"], paths: [\"/admin/**\"], "
	"verdict: deny}\n"
	"  - {name: no-delete, hosts: [\"*.corp.example\"], methods: [\"*\"], query: {do: \"del*\"}, "
	"verdict: deny}\n"
	"  - {name: no-key, hosts: [\"*.corp.example\"], methods: [\"*\"], headers: {x-key: \"a*\"}, "
	"verdict: deny}\n"
	"  - {name: api, hosts: [api.corp.example], methods: [GET, POST], paths: [\"/v1/*\", \"/v2/**\"]}\n"
	"  - {name: query, hosts: [api.corp.example], methods: [GET], paths: [/q], query: {a: \"1*\", b: "
	"\"2\"}}\n"
	"  - {name: header, hosts: [api.corp.example], methods: [GET], paths: [/h], headers: {accept: "
	"\"text/*\"}}\n"
	"  - {name: any-corp, hosts: [\"*.corp.example\"], methods: [HEAD], schemes: [http, https]}\n"
	"  - {name: port, hosts: [db.example], methods: [GET], ports: [8443, 9000-9002]}\n"
	"  - {name: literal, hosts: [10.1.2.3, \"2001:db8::5\"], methods: [GET]}\n"
	"  - {name: blocked, hosts: [blocked.example], methods: [\"*\"], verdict: deny}\n"
	"  - {name: options, hosts: [o.example], methods: [OPTIONS], paths: [\"*\"]}\n"
	"  - {name: rest, hosts: [\"*\"], methods: [GET], paths: [/public/**], verdict: observe}\n";

static void the_first_match_wins(void **state)
{
	(void)state;
	static const struct {
		const char *request, *rule;
	} cases[] = {
		{ "GET https://api.corp.example/v1/a", "api" },
		{ "POST https://api.corp.example/v2/a/b", "api" },
		{ "GET https://api.corp.example/v1/a/b", "-" },
		{ "GET https://api.corp.example/v1/a%2Fb",
		  "-" }, /* what many servers read as the one above */
		{ "GET https://api.corp.example/v1/a%5Cb", "-" },
		{ "GET https://api.corp.example/v1/a%20b", "api" },
		{ "GET https://api.corp.example/v2/a%2Fb", "api" },
		{ "PUT https://api.corp.example/v1/a", "-" },
		{ "get https://api.corp.example/v1/a", "-" },
		{ "GET http://api.corp.example/v1/a", "-" },
		{ "GET https://api.corp.example:8443/v1/a", "-" },
		{ "GET https://api.corp.example/v2/%2E", "api" },
		{ "GET https://api.corp.example/admin/x", "no-admin" },
		{ "GET http://api.corp.example:99/admin/x", "no-admin" },
		{ "GET https://api.corp.example/%61dmin/x", "no-admin" },
		{ "GET https://api.corp.example/admin%2Fx", "no-admin" },
		{ "GET https://api.corp.example/v1/a?do=delete", "no-delete" },
		{ "GET https://api.corp.example/v1/a?do=x&do=delete", "no-delete" },
		{ "GET https://api.corp.example/v1/a?%64o=%64elete", "no-delete" },
		{ "GET https://api.corp.example/v1/a?do=x", "api" },
		{ "GET https://api.corp.example/q?a=1&b=2", "query" },
		{ "GET https://api.corp.example/q?b=2&a=1x&c", "query" },
		{ "GET https://api.corp.example/q?a=1", "-" },
		{ "GET https://api.corp.example/q?a=1&b=2&a=3", "-" },
		{ "GET https://api.corp.example/q?a=1&b=2&%61=3", "-" },
		{ "GET https://api.corp.example/q?a=1&b=%32", "-" },
		{ "GET https://api.corp.example/q?a=1&b", "-" },
		{ "GET https://api.corp.example/q", "-" },
		{ "GET https://api.corp.example/h", "-" },
		{ "HEAD http://x.corp.example/z", "any-corp" },
		{ "HEAD http://corp.example/z", "-" },
		{ "HEAD https://a.b.corp.example/z", "any-corp" },
		{ "HEAD https://xcorp.example/z", "-" },
		{ "GET https://db.example:8443/", "port" },
		{ "GET https://db.example:9001/", "port" },
		{ "GET https://db.example/", "-" },
		{ "GET https://db.example:9003/", "-" },
		{ "GET https://10.1.2.3/", "literal" },
		{ "GET https://[2001:db8::5]/", "literal" },
		{ "GET https://10.1.2.4/public/x", "-" },
		{ "GET https://[::1]/public/x", "-" },
		{ "GET https://blocked.example/public/x", "blocked" },
		{ "GET http://blocked.example:1/public/x", "blocked" },
		{ "GET https://w.example/public/x", "rest" },
		{ "GET https://api.corp.example/public/x", "rest" },
		{ "GET https://w.example/private", "-" },
	};
	struct policy *p = load(str_of(policy_text));
	struct head h;

	for (size_t i = 0; i < COUNT(cases); i++) {
		h = head_of(cases[i].request);
		if (strcmp(decide(p, &h), cases[i].rule) != 0)
			fail_msg("%s: %s, not %s", cases[i].request, decide(p, &h), cases[i].rule);
	}
	h = head_of("OPTIONS https://o.example/");
	assert_string_equal(decide(p, &h), "-");
	h.path = STR("*");
	assert_string_equal(decide(p, &h), "options");
	h.kind = HEAD_RESPONSE;
	assert_string_equal(decide(p, &h), "-");
	policy_free(p);
}

static void headers_agree_all_or_any(void **state)
{
	(void)state;
	struct policy *p = load(str_of(policy_text));
	struct head h = head_of("GET https://api.corp.example/h");

	h.fields[h.field_count++] = (struct head_field) { STR("accept"), STR("text/html") };
	assert_string_equal(decide(p, &h), "header");
	h.fields[h.field_count++] = (struct head_field) { STR("accept"), STR("image/png") };
	assert_string_equal(decide(p, &h), "-");
	h.fields[1].value = STR("text/a/b");
	assert_string_equal(decide(p, &h), "header");
	h.fields[h.field_count++] = (struct head_field) { STR("x-key"), STR("b") };
	assert_string_equal(decide(p, &h), "header");
	h.fields[h.field_count++] = (struct head_field) { STR("x-key"), STR("ab") };
	assert_string_equal(decide(p, &h), "no-key");
	h.fields[h.field_count - 1].name = STR("x_key");
	assert_string_equal(decide(p, &h), "no-key");
	h.fields[h.field_count - 1].name = STR("xxkey");
	assert_string_equal(decide(p, &h), "header");
	policy_free(p);
	p = load(STR("version: 1\nnetwork:\n  - {name: a, hosts: [h.example], methods: [GET], headers: "
		     "{x-key: \"1*\"}}\n"));
	h = head_of("GET https://h.example/");
	h.fields[h.field_count++] = (struct head_field) { STR("x_key"), STR("1") };
	assert_string_equal(decide(p, &h), "-");
	h.fields[h.field_count++] = (struct head_field) { STR("x-key"), STR("12") };
	assert_string_equal(decide(p, &h), "a");
	h.fields[1].value = STR("2");
	assert_string_equal(decide(p, &h), "-");
	policy_free(p);
}

static void names_that_no_rule_allows_are_not_named(void **state)
{
	(void)state;
	struct policy *p = load(STR("version: 1\nnetwork:\n"
				    "  - {hosts: [bad.a.example], methods: [\"*\"], verdict: deny}\n"
				    "  - {hosts: [half.a.example], methods: [POST], verdict: deny}\n"
				    "  - {hosts: [\"*.a.example\", 10.0.0.1], methods: [GET]}\n"));
	struct policy *none;

	assert_true(policy_host_named(p, STR("x.a.example")));
	assert_true(policy_host_named(p, STR("half.a.example")));
	assert_true(policy_host_named(p, STR("10.0.0.1")));
	assert_false(policy_host_named(p, STR("bad.a.example")));
	assert_false(policy_host_named(p, STR("a.example")));
	assert_false(policy_host_named(p, STR("xa.example")));
	assert_false(policy_host_named(p, STR("")));
	policy_free(p);
	assert_int_equal(policy_deny_all(&none), ERR_OK);
	assert_false(policy_host_named(none, STR("a.example")));
	policy_free(none);
}

static void host_patterns_match(void **state)
{
	(void)state;
	static const struct {
		const char *pattern, *host;
		bool match;
	} cases[] = {
		{ "a.example", "a.example", true },
		{ "a.example", "b.a.example", false },
		{ "*.example", "a.example", true },
		{ "*.example", "b.a.example", true },
		{ "*.example", "example", false },
		{ "*.example", "xexample", false },
		{ "*", "a", true },
		{ "*", "10.0.0.1", false },
		{ "*", "::1", false },
		{ "*.0.1", "10.0.0.1", false },
		{ "10.0.0.1", "10.0.0.1", true },
		{ "::1", "::1", true },
		{ "", "a", false },
		{ "*.", "a", false },
		{ "*", "", false },
	};

	for (size_t i = 0; i < COUNT(cases); i++)
		if (policy_host_matches(str_of(cases[i].pattern), str_of(cases[i].host)) != cases[i].match)
			fail_msg("%s against %s", cases[i].pattern, cases[i].host);
	assert_true(host_covers(STR("*.b"), STR("*.a.b")) && host_covers(STR("*"), STR("*.b")));
	assert_false(host_covers(STR("*.a.b"), STR("*.b")) || host_covers(STR("*.b"), STR("*")) ||
		     host_covers(STR("a.b"), STR("*.a.b")) || host_covers(STR("*.b"), STR("*.ab")));
}

/* --- the index against a plain scan, over made-up policies --- */

static const char *const hosts[] = { "a",   "b.a", "c.b.a", "d.c.b.a", "x.a",	  "10.0.0.1",
				     "::1", "*",   "*.a",   "*.b.a",   "*.c.b.a", "*.x" };
static const char *const methods[] = { "GET", "PUT", "\"*\"" };
static const char *const paths[] = { "/x", "/x/*", "/x/**", "/*/y" };
static const char *const asked[] = { "/x", "/x/y", "/x/y/z", "/z" };

static const char *pick(const char *const *of, size_t count) { return of[(size_t)random() % count]; }

static void made_up_policy(struct buf *b)
{
	unsigned rules = 1 + (unsigned)random() % 12;

	buf_clear(b);
	buf_put_z(b, "version: 1\nnetwork:\n");
	for (unsigned i = 0; i < rules; i++) {
		buf_printf(b, "  - {hosts: [\"%s\"", pick(hosts, COUNT(hosts)));
		if (random() % 3 == 0)
			buf_printf(b, ", \"q%ld.%s\"", random() % 3, "a");
		buf_printf(b, "], methods: [%s]", pick(methods, COUNT(methods)));
		if (random() % 2)
			buf_printf(b, ", paths: [\"%s\"]", pick(paths, COUNT(paths)));
		buf_printf(b, ", verdict: %s}\n", random() % 3 ? "allow" : "deny");
	}
	assert_int_equal(buf_err(b), ERR_OK);
}

static const struct compiled_rule *plain_scan(const struct policy *p, const struct head *h)
{
	for (uint32_t i = 0; i < p->rule_count; i++) {
		unsigned axis = 0;

		while (axis < MATCH_AXES && match_axis(&p->rules[i], h, (enum match_axis)axis))
			axis++;
		if (axis == MATCH_AXES)
			return &p->rules[i];
	}
	return NULL;
}

static void the_index_decides_as_a_scan_does(void **state)
{
	(void)state;
	unsigned loaded = 0, matched = 0, dead = 0;
	auto_buf b = BUF_EMPTY;

	buf_init(&b, 1 << 16);
	srandom(7);
	for (int round = 0; round < 4000; round++) {
		struct policy_error e;
		struct policy *p;
		enum err err;

		made_up_policy(&b);
		err = policy_load(buf_str(&b), "f", NULL, &p, &e);
		dead += err == ERR_POLICY_SYNTAX && strstr(e.text, "can never match");
		if (err != ERR_OK)
			continue;
		loaded++;
		for (int k = 0; k < 40; k++) {
			char host[64];
			const struct policy_rule *r = NULL;
			const struct compiled_rule *want;
			struct head h = { .kind = HEAD_REQUEST, .scheme = HEAD_HTTPS, .port = 443 };

			snprintf(host, sizeof host, "%s%s", random() % 3 ? "" : "q1.", hosts[random() % 7]);
			h.host = str_of(host);
			h.method = str_of(methods[random() % 2]);
			h.path = str_of(pick(asked, COUNT(asked)));
			want = plain_scan(p, &h);
			if ((policy_match(p, &h, &r) == ERR_OK) != (want != NULL) ||
			    (want && &want->rule != r))
				fail_msg("%s %s in\n%.*s", host, h.path.p, STR_FMT(buf_str(&b)));
			matched += want != NULL;
			if (want && want->rule.verdict != POLICY_DENY)
				assert_true(policy_host_named(p, h.host));
		}
		policy_free(p);
	}
	assert_true(loaded > 500 && dead > 500 && matched > 5000);
}

/* A rule that the loader calls dead is never the answer when it is let in. Its twin without
 * the rules before it shows what it would have matched. */
static void dead_rules_are_really_dead(void **state)
{
	(void)state;
	static const char *const pair =
		"version: 1\nnetwork:\n  - {hosts: [\"%s\"], methods: [%s], paths: [\"%s\"]}\n"
		"  - {hosts: [\"%s\"], methods: [%s], paths: [\"%s\"]}\n";
	unsigned checked = 0;
	auto_buf b = BUF_EMPTY;

	buf_init(&b, 4096);
	srandom(11);
	for (int round = 0; round < 20000; round++) {
		const char *h[2] = { pick(hosts, COUNT(hosts)), pick(hosts, COUNT(hosts)) };
		const char *m[2] = { pick(methods, COUNT(methods)), pick(methods, COUNT(methods)) };
		const char *g[2] = { pick(paths, COUNT(paths)), pick(paths, COUNT(paths)) };
		struct policy_error e;
		struct policy *p;

		buf_clear(&b);
		buf_printf(&b, pair, h[0], m[0], g[0], h[1], m[1], g[1]);
		if (policy_load(buf_str(&b), "f", NULL, &p, &e) == ERR_OK) {
			policy_free(p);
			continue;
		}
		assert_non_null(strstr(e.text, "can never match"));
		checked++;
		for (size_t i = 0; i < 7; i++)
			for (size_t k = 0; k < COUNT(asked); k++)
				if (policy_host_matches(str_of(h[1]), str_of(hosts[i])) &&
				    policy_glob(str_of(g[1]), str_of(asked[k]))) {
					assert_true(policy_host_matches(str_of(h[0]), str_of(hosts[i])));
					assert_true(policy_glob(str_of(g[0]), str_of(asked[k])));
				}
	}
	assert_true(checked > 300);
}

static void explanations_name_the_rule_and_the_change(void **state)
{
	(void)state;
	static const struct {
		const char *request, *text, *denial;
	} cases[] = {
		{ "GET https://api.corp.example/v1/a",
		  "allow  GET https://api.corp.example/v1/a\n"
		  "  by rule 'api' (paddock.yaml:6)\n",
		  NULL },
		{ "GET https://w.example/public/a",
		  "observe  GET https://w.example/public/a\n"
		  "  by rule 'rest' (paddock.yaml:14)\n",
		  NULL },
		{ "GET https://api.corp.example/admin/a",
		  "deny  GET https://api.corp.example/admin/a\n"
		  "  by rule 'no-admin' (paddock.yaml:3)\n",
		  "rule 'no-admin' (paddock.yaml:3) denies GET https://api.corp.example/admin/a" },
		{ "DELETE https://api.corp.example/v1/a",
		  "deny  DELETE https://api.corp.example/v1/a\n"
		  "  by default: no rule of paddock.yaml matches\n  nearest: rule 'api' (paddock.yaml:6)\n"
		  "    method: add DELETE to 'methods', which has GET, POST\n",
		  "no rule of paddock.yaml allows DELETE https://api.corp.example/v1/a; nearest: rule 'api' "
		  "(paddock.yaml:6), which differs in method: add DELETE to 'methods', which has GET, POST" },
		{ "GET https://db.example/x?y",
		  "deny  GET https://db.example/x?y\n"
		  "  by default: no rule of paddock.yaml matches\n  nearest: rule 'port' (paddock.yaml:10)\n"
		  "    port: add 443 to 'ports'\n",
		  NULL },
		{ "GET https://api.corp.example/q?a=1&b=3", NULL,
		  "no rule of paddock.yaml allows GET https://api.corp.example/q?a=1&b=3; nearest: rule "
		  "'api' "
		  "(paddock.yaml:6), which differs in path: add '/q' to 'paths'" },
		{ "GET https://10.1.2.4:99/",
		  "deny  GET https://10.1.2.4:99/\n"
		  "  by default: no rule of paddock.yaml names this host\n"
		  "  to allow it: add a rule with hosts: [10.1.2.4], methods: [GET]\n",
		  "no rule of paddock.yaml allows GET https://10.1.2.4:99/; no rule names this host: "
		  "add a rule with hosts: [10.1.2.4], methods: [GET]" },
	};
	struct policy *p = load(str_of(policy_text));
	auto_buf b = BUF_EMPTY;

	buf_init(&b, 8192);
	for (size_t i = 0; i < COUNT(cases); i++) {
		struct head h = head_of(cases[i].request);

		buf_clear(&b);
		assert_int_equal(policy_explain(p, &h, false, &b), ERR_OK);
		if (cases[i].text)
			assert_string_equal(buf_z(&b), cases[i].text);
		buf_clear(&b);
		assert_int_equal(policy_denial_text(p, &h, &b), ERR_OK);
		if (cases[i].denial)
			assert_string_equal(buf_z(&b), cases[i].denial);
	}
	policy_free(p);
}

static void explanations_are_json_too(void **state)
{
	(void)state;
	struct policy *p = load(STR(
		"version: 1\nnetwork:\n  - {name: a, hosts: [a.b], methods: [GET], query: {q: \"1\"}}\n"));
	struct policy *none;
	struct head h = head_of("PUT https://a.b/%22?q=2");
	auto_buf b = BUF_EMPTY;

	buf_init(&b, 8192);
	assert_int_equal(policy_explain(p, &h, true, &b), ERR_OK);
	assert_non_null(strstr(buf_z(&b), "{\"verdict\":\"deny\",\"file\":\"paddock.yaml\",\"digest\":\""));
	assert_non_null(strstr(
		buf_z(&b),
		"\"method\":\"PUT\",\"url\":\"https://a.b/%22?q=2\",\"rule\":null,"
		"\"credential\":null,\"host_named\":true,\"nearest\":{\"name\":\"a\",\"index\":0,\"line\":3,"
		"\"differs\":{\"method\":\"add PUT to 'methods', which has GET\","
		"\"query\":\"widen 'query', which wants every 'q' to match '1'\"}},\"tunnel\":null}\n"));
	buf_clear(&b);
	h = head_of("GET https://a.b/?q=1");
	assert_int_equal(policy_explain(p, &h, true, &b), ERR_OK);
	assert_non_null(strstr(buf_z(&b),
			       "\"rule\":{\"name\":\"a\",\"index\":0,\"line\":3},\"credential\":null,"
			       "\"protocol\":null,\"websocket\":null,\"unscrubbed\":false,\"refusal\":null,"
			       "\"may_refuse\":null,\"would_deny\":null,\"host_named\":true,\"nearest\":null,"
			       "\"tunnel\":null}\n"));
	policy_free(p);

	assert_int_equal(policy_deny_all(&none), ERR_OK);
	buf_clear(&b);
	assert_int_equal(policy_denial_text(none, &h, &b), ERR_OK);
	assert_string_equal(buf_z(&b), "no policy is in force, so everything is denied");
	policy_free(none);
}

/* A hundred thousand rules: the time of one decision does not depend on their number. The
 * bound is loose, for busy machines and sanitizers; a scan would take a thousand times more. */
static void many_rules_are_quick(void **state)
{
	(void)state;
	const struct policy_rule *r;
	unsigned decisions = 100000;
	struct policy *p;
	uint64_t start;
	auto_buf b = BUF_EMPTY;

	buf_init(&b, POLICY_BYTES_MAX);
	buf_put_z(&b, "version: 1\nnetwork:\n");
	for (unsigned i = 0; i < POLICY_RULES_MAX; i++)
		buf_printf(&b, "- {hosts: [\"%sh%u.x.example\"], methods: [GET]}\n", i % 2 ? "*." : "", i);
	p = load(buf_str(&b));
	assert_int_equal(policy_rule_count(p), POLICY_RULES_MAX);
	start = clock_ms();
	for (unsigned i = 0; i < decisions; i++) {
		char host[64];
		struct head h = { .kind = HEAD_REQUEST,
				  .scheme = HEAD_HTTPS,
				  .port = 443,
				  .method = STR("GET"),
				  .path = STR("/") };

		snprintf(host, sizeof host, "%sh%u.x.example", i % 2 ? "a." : "", i);
		h.host = str_of(host);
		assert_int_equal(policy_match(p, &h, &r), ERR_OK);
		assert_int_equal(r->index, i);
	}
	print_message("%u rules: %llu ns a decision\n", POLICY_RULES_MAX,
		      (unsigned long long)((clock_ms() - start) * 1000000 / decisions));
	assert_true(clock_ms() - start < 10000);
	policy_free(p);
}

static void too_many_rules_on_one_host_are_refused(void **state)
{
	(void)state;
	struct policy_error e;
	struct policy *p;
	auto_buf b = BUF_EMPTY;

	buf_init(&b, POLICY_BYTES_MAX);
	buf_put_z(&b, "version: 1\nnetwork:\n");
	for (unsigned i = 0; i <= INDEX_RULES_MAX; i++)
		buf_printf(&b, "- {hosts: [a.b], methods: [GET], paths: [/%u]}\n", i);
	assert_int_equal(policy_load(buf_str(&b), "f", NULL, &p, &e), ERR_POLICY_SYNTAX);
	assert_int_equal(e.line, INDEX_RULES_MAX + 3);
	assert_non_null(strstr(e.text, "more than 4096 rules name this host"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_first_match_wins),
		cmocka_unit_test(headers_agree_all_or_any),
		cmocka_unit_test(names_that_no_rule_allows_are_not_named),
		cmocka_unit_test(host_patterns_match),
		cmocka_unit_test(the_index_decides_as_a_scan_does),
		cmocka_unit_test(dead_rules_are_really_dead),
		cmocka_unit_test(explanations_name_the_rule_and_the_change),
		cmocka_unit_test(explanations_are_json_too),
		cmocka_unit_test(many_rules_are_quick),
		cmocka_unit_test(too_many_rules_on_one_host_are_refused),
	};

	return cmocka_run_group_tests_name("policy_match", tests, NULL, NULL);
}
