/* policy_told_test.c - explanations with what only a body or a registry tells, and rules that observe */
#include "policy/policy.h"

#include "policy/protocol.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

#define HOST "version: 1\nnetwork:\n- name: one\n  hosts: [h.example]\n"
#define PUSH "POST /acme/site.git/git-receive-pack"
#define YOUNG "86400"	/* seconds */
#define OLD   "2592000"

static struct policy *load(const char *text)
{
	struct policy_error e;
	struct policy *p;

	if (policy_load(str_of(text), "paddock.yaml", "/home/ann", &p, &e) != ERR_OK)
		fail_msg("%u:%u: %s\n%s", e.line, e.column, e.text, text);
	return p;
}

static struct head head_of(const char *request)
{
	struct head h = { .kind = HEAD_REQUEST, .scheme = HEAD_HTTPS, .port = 443, .host = STR("h.example") };
	struct str s = str_of(request);

	h.method = str_head(s, str_find(s, ' '));
	s = str_from(s, h.method.n + 1);
	h.path = str_head(s, str_find(s, '?'));
	h.has_query = h.path.n < s.n;
	h.query = str_from(s, h.path.n + 1);
	return h;
}

struct question {
	const char *request;
	const char *told[7];		/* name, value, .. */
	enum policy_answer answer;
	const char *says, *says_json;	/* NULL: is not looked at */
};

static void look(const struct question *q, struct buf *b, const char *says)
{
	if (says && !strstr(buf_z(b), says))
		fail_msg("%s\n%s\ndoes not say %s", q->request, buf_z(b), says);
}

static void ask(const struct policy *p, const struct question *q)
{
	struct head h = head_of(q->request);
	enum policy_answer answer;
	struct protocol_facts told;
	auto_buf b = BUF_EMPTY;

	buf_init(&b, 16384);
	protocol_facts_init(&told);
	for (size_t i = 0; q->told[i]; i += 2)
		assert_int_equal(protocol_facts_add(&told, str_of(q->told[i]), str_of(q->told[i + 1])),
				 ERR_OK);
	for (unsigned json = 0; json < 2; json++) {
		buf_clear(&b);
		assert_int_equal(policy_explain_told(p, &h, &told, json, &b, &answer), ERR_OK);
		if (answer != q->answer)
			fail_msg("%s: %d\n%s", q->request, (int)answer, buf_z(&b));
		look(q, &b, json ? q->says_json : q->says);
	}
	protocol_facts_free(&told);
}

static void ask_all(const char *text, const struct question *questions, size_t count)
{
	struct policy *p = load(text);

	for (size_t i = 0; i < count; i++)
		ask(p, &questions[i]);
	policy_free(p);
}
#define ASK(policy, questions) ask_all(policy, questions, sizeof(questions) / sizeof *(questions))

static void pushes(void **state)
{
	static const char some[] =
		HOST "  git: {repositories: [\"acme/*\"], access: [fetch, push], push: [acme/site], "
		     "refs: [\"agent/*\"], create: false}\n";
	static const struct question questions[] = {
		{ PUSH, { NULL }, POLICY_ANSWER_UNDECIDED,
		  "undecided  POST https://h.example/acme/site.git/git-receive-pack\n  by rule 'one'",
		  "\"may_refuse\":\"'refs', 'create', 'delete', 'force': which refs the push changes, and how\"" },
		{ PUSH, { NULL }, POLICY_ANSWER_UNDECIDED,
		  "\n  may still be refused by: 'refs', 'create', 'delete', 'force': which",
		  "{\"verdict\":\"undecided\"" },
		{ PUSH, { "git.ref", "refs/heads/main" }, POLICY_ANSWER_DENIED,
		  "\n  refused: refs/heads/main is not among the refs that may be pushed",
		  "\"refusal\":\"refs/heads/main is not among the refs that may be pushed\"" },
		{ PUSH, { "git.ref", "refs/heads/main" }, POLICY_ANSWER_DENIED, "deny  POST",
		  "{\"verdict\":\"deny\"" },
		{ PUSH, { "git.ref", "refs/heads/agent/x" }, POLICY_ANSWER_UNDECIDED,
		  "'create', 'delete', 'force': what the push does to the ref", NULL },
		{ PUSH, { "git.ref", "refs/heads/agent/x", "git.change", "create" }, POLICY_ANSWER_DENIED,
		  "may not be created", NULL },
		{ PUSH, { "git.ref", "refs/heads/agent/x", "git.change", "delete" }, POLICY_ANSWER_DENIED,
		  "may not be deleted", NULL },
		{ PUSH, { "git.ref", "refs/heads/agent/x", "git.change", "update", "git.forced", "yes" },
		  POLICY_ANSWER_DENIED,
		  "would lose commits", NULL },
		{ PUSH, { "git.ref", "refs/heads/agent/x", "git.change", "update", "git.forced", "no" },
		  POLICY_ANSWER_PASSES,
		  "allow  POST", "\"refusal\":null,\"may_refuse\":null,\"would_deny\":null" },
		{ "POST /acme/site.git/git-upload-pack", { NULL }, POLICY_ANSWER_PASSES, "allow", NULL },
		{ "POST /acme/site.git/git-upload-pack", { "git.ref", "refs/heads/x" }, POLICY_ANSWER_FOREIGN,
		  "refs are told of a push", NULL },
		{ PUSH, { "registry.age", "1" }, POLICY_ANSWER_FOREIGN, "nothing else", NULL },
		{ "POST /acme/site.git/info/lfs/objects/batch", { NULL }, POLICY_ANSWER_PASSES, "allow",
		  NULL },
		{ "POST /acme/other.git/info/lfs/objects/batch", { NULL }, POLICY_ANSWER_UNDECIDED,
		  "'access', which has downloads alone", NULL },
		{ "POST /acme/other.git/git-receive-pack", { "git.ref", "refs/heads/x" },
		  POLICY_ANSWER_DENIED,
		  "acme/other may not be pushed to", NULL },
		{ "POST /else/site.git/git-receive-pack", { NULL }, POLICY_ANSWER_DENIED,
		  "else/site is not among the repositories", NULL },
	};
	static const char any[] = HOST "  git: {repositories: [\"**\"], access: push, refs: [\"refs/**\"], "
				       "delete: true, force: true, "
				       "pack_max: 1MiB}\n";
	static const struct question any_questions[] = {
		{ PUSH, { NULL }, POLICY_ANSWER_PASSES, "packs of at most 1048576 bytes", NULL },
		{ "POST /acme/site.git/info/lfs/objects/batch", { NULL }, POLICY_ANSWER_UNDECIDED,
		  "uploads alone", NULL },
	};

	(void)state;
	ASK(some, questions);
	ASK(any, any_questions);
}

static void packages(void **state)
{
	static const char npm[] =
		HOST "  registry: {type: npm, access: [install, publish], min_age: 7d, deny: [evil], "
		     "versions: {hay: \"^1\"}}\n";
	static const struct question questions[] = {
		{ "GET /hay/-/hay-1.0.0.tgz", { NULL }, POLICY_ANSWER_UNDECIDED,
		  "may still be refused by: 'min_age': when",
		  "\"may_refuse\":\"'min_age': when it was published\"" },
		{ "GET /hay/-/hay-1.0.0.tgz", { "registry.age", OLD }, POLICY_ANSWER_PASSES, "allow", NULL },
		{ "GET /hay/-/hay-1.0.0.tgz", { "registry.age", YOUNG }, POLICY_ANSWER_DENIED,
		  "refused: hay 1.0.0 was published 1 days ago; 7 are asked for", NULL },
		{ "GET /hay/-/hay-2.0.0.tgz", { "registry.age", OLD }, POLICY_ANSWER_DENIED,
		  "outside of the versions", NULL },
		{ "GET /hay/-/hay-1.0.0.tgz", { "registry.version", "1.0.0" }, POLICY_ANSWER_FOREIGN,
		  "the address says it", NULL },
		{ "GET /hay", { NULL }, POLICY_ANSWER_UNDECIDED, "'min_age'", NULL },
		{ "GET /hay", { "registry.version", "1.0.0" }, POLICY_ANSWER_UNDECIDED, "'min_age'", NULL },
		{ "GET /hay", { "registry.version", "2.0.0" }, POLICY_ANSWER_DENIED,
		  "outside of the versions", NULL },
		{ "GET /hay", { "registry.version", "1.0.0", "registry.age", OLD }, POLICY_ANSWER_PASSES,
		  "allow", NULL },
		{ "GET /hay", { "registry.version", "1.0.0", "registry.age", "9" }, POLICY_ANSWER_DENIED,
		  "hay 1.0.0 was published 0", NULL },
		{ "GET /hay", { "registry.version", "new" }, POLICY_ANSWER_FOREIGN, "new is no version",
		  NULL },
		{ "GET /evil", { "registry.version", "1.0.0" }, POLICY_ANSWER_DENIED, "deny list", NULL },
		{ "GET /-/ping", { NULL }, POLICY_ANSWER_PASSES, "allow", NULL },
		{ "PUT /hay", { NULL }, POLICY_ANSWER_PASSES, "allow", NULL },
		{ "PUT /hay", { "registry.age", "1" }, POLICY_ANSWER_FOREIGN, "nothing else", NULL },
		{ "GET /hay", { "git.ref", "x" }, POLICY_ANSWER_FOREIGN, "nothing else", NULL },
	};
	static const char apt[] = HOST "  registry: {type: apt}\n";
	static const struct question apt_questions[] = {
		{ "GET /pool/hay_1.0_all.deb", { "registry.age", "1" }, POLICY_ANSWER_FOREIGN, NULL, NULL },
		{ "GET /pool/hay_1.0_all.deb", { NULL }, POLICY_ANSWER_PASSES, "allow", NULL },
	};
	static const char plain[] = HOST "  methods: [GET]\n";
	static const struct question plain_questions[] = {
		{ "GET /hay", { "registry.age", "1" }, POLICY_ANSWER_FOREIGN, "neither 'git' nor 'registry'",
		  NULL },
		{ "PUT /hay", { "registry.age", "1" }, POLICY_ANSWER_DENIED, "add PUT", NULL },
	};

	(void)state;
	ASK(npm, questions);
	ASK(apt, apt_questions);
	ASK(plain, plain_questions);
}

/* What a rule would deny that only observes, is said. */
static void observation(void **state)
{
	static const char npm[] =
		HOST "  verdict: observe\n  registry: {type: npm, min_age: 7d, deny: [evil]}\n";
	static const struct question questions[] = {
		{ "GET /evil", { NULL }, POLICY_ANSWER_PASSES,
		  "\n  would be denied: evil is on the rule's deny list",
		  "\"refusal\":null,\"may_refuse\":null,\"would_deny\":\"evil is on the rule's deny list\"" },
		{ "GET /evil", { NULL }, POLICY_ANSWER_PASSES, "observe  GET", "{\"verdict\":\"observe\"" },
		{ "PUT /hay", { NULL }, POLICY_ANSWER_PASSES,
		  "would be denied: hay: publishing is not allowed", NULL },
		{ "GET /hay", { NULL }, POLICY_ANSWER_PASSES, "would still be judged by: 'min_age'",
		  "\"may_refuse\":\"'min_age'" },
		{ "GET /hay/-/hay-1.0.0.tgz", { "registry.age", "1" }, POLICY_ANSWER_PASSES,
		  "would be denied: hay 1.0.0 was", NULL },
		{ "GET /hay/-/hay-1.0.0.tgz", { "registry.age", OLD }, POLICY_ANSWER_PASSES, "observe",
		  "\"would_deny\":null" },
		{ "GET /page.html?x", { NULL }, POLICY_ANSWER_DENIED, "'registry' is all that it takes",
		  NULL },
	};
	static const char git[] = HOST "  verdict: observe\n  git: {repositories: [\"acme/*\"], access: "
				       "[fetch, push], refs: [\"agent/*\"]}\n";
	static const struct question git_questions[] = {
		{ "POST /else/site.git/git-upload-pack", { NULL }, POLICY_ANSWER_PASSES,
		  "would be denied: else/site is not among the repositories", NULL },
		{ PUSH, { "git.ref", "refs/heads/main" }, POLICY_ANSWER_PASSES,
		  "would be denied: refs/heads/main is not", NULL },
		{ PUSH, { NULL }, POLICY_ANSWER_PASSES, "would still be judged by: 'refs', 'delete', 'force'",
		  NULL },
	};

	(void)state;
	ASK(npm, questions);
	ASK(git, git_questions);
}

/* It takes what a rule that allows would leave to the default, and nothing that a later rule decides. */
static void observation_leaves_the_rules_below_alone(void **state)
{
	static const char policy[] = HOST "  verdict: observe\n  git: {repositories: [acme/a], access: fetch}\n"
		"- {name: no, hosts: [h.example], verdict: deny, methods: [POST], paths: [\"/acme/no.git/**\"]}\n"
		"- {name: two, hosts: [h.example], git: {repositories: [acme/b], access: fetch}}\n"
		"- {name: three, hosts: [h.example], verdict: observe, git: {repositories: [acme/c], access: fetch}}\n";
	static const struct { const char *request, *rule; } cases[] = {
		{ "POST /acme/a.git/git-upload-pack", "one" }, { "POST /acme/b.git/git-upload-pack", "two" },
		{ "POST /acme/c.git/git-upload-pack", "three" },
		{ "POST /acme/no.git/git-upload-pack", "no" },
		{ "POST /acme/d.git/git-upload-pack", "one" }, { "POST /acme/a.git/git-receive-pack", "one" },
	};
	struct policy *p = load(policy);

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct head h = head_of(cases[i].request);
		const struct policy_rule *rule = NULL;

		assert_int_equal(policy_match(p, &h, &rule), ERR_OK);
		if (!str_eq(rule->name, str_of(cases[i].rule)))
			fail_msg("%s: %.*s", cases[i].request, STR_FMT(rule->name));
	}
	policy_free(p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(pushes), cmocka_unit_test(packages), cmocka_unit_test(observation),
		cmocka_unit_test(observation_leaves_the_rules_below_alone),
	};

	return cmocka_run_group_tests_name("policy_told", tests, NULL, NULL);
}
