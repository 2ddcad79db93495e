/* policy_credential_test.c - every strategy, source, grant and file: what arrives, and what is refused */
#include "policy/policy.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#define COUNT(a) (sizeof(a) / sizeof(*(a)))
#define RULE	 "version: 1\nnetwork: [{hosts: [a.b], methods: [GET], credential: k}]\ncredentials:\n"
#define K(text)	 RULE "  k: {" text "}\n"
#define FROM	 "source: {environment: K}, hosts: [a.b], "
#define TOKEN(t) K(FROM "strategy: token, token: {" t "}")

static struct policy *load(const char *text)
{
	struct policy_error e = { 0 };
	struct policy *p = NULL;

	if (policy_load(str_of(text), "paddock.yaml", "/home/ann", &p, &e) != ERR_OK)
		fail_msg("%s\n%u:%u: %s", text, e.line, e.column, e.text);
	return p;
}

static bool is(struct str s, const char *z) { return s.p && str_eq(s, str_of(z)) && s.p[s.n] == '\0'; }

struct mistake {
	const char *text, *says, *at; /* what stands where the error points */
};

static const char *place(const char *text, const struct policy_error *e)
{
	for (unsigned line = 1; line < e->line; line++)
		text = strchr(text, '\n') + 1;
	return text + e->column - 1;
}

static void refused(const struct mistake *cases, size_t count)
{
	unsigned wrong = 0;

	for (size_t i = 0; i < count; i++) {
		struct policy_error e = { 0 };
		struct policy *p = NULL;

		if (policy_load(str_of(cases[i].text), "f", "/home/ann", &p, &e) != ERR_POLICY_SYNTAX)
			fail_msg("this loads: %s", cases[i].text);
		if (strstr(e.text, cases[i].says) &&
		    str_starts(str_of(place(cases[i].text, &e)), str_of(cases[i].at)))
			continue;
		wrong++;
		print_error("%s\nsays %u:%u (%.20s): %s\nnot  (%s): %s\n", cases[i].text, e.line, e.column,
			    place(cases[i].text, &e), e.text, cases[i].at, cases[i].says);
	}
	assert_int_equal(wrong, 0);
}

static void what_is_not_said_has_a_safe_default(void **state)
{
	(void)state;
	struct policy *p = load(K(FROM "header: {name: X-Key}"));
	const struct policy_credential *k = policy_credential(p, 0);

	assert_true(k->strategy == POLICY_STRATEGY_HEADER && k->own == POLICY_OWN_REFUSE && k->scrub);
	assert_int_equal(k->detach_after, 3);
	assert_int_equal(k->parts, 0);
	assert_int_equal(k->file_count + k->placeholder_host_count + k->placeholder_field_count, 0);
	assert_true(k->token == NULL && k->line == 4);
	assert_true(is(k->sealed, "") && is(k->file, "") && is(k->aws_profile, "") && is(k->placeholder, ""));
	policy_free(p);
	p = load(K(FROM "strategy: placeholder, placeholder: {environment: P}"));
	assert_int_equal(policy_credential(p, 0)->parts, POLICY_IN_HEADER | POLICY_IN_BASIC);
	assert_true(is(policy_credential(p, 0)->header_name, ""));
	policy_free(p);
}

static void a_placeholder_says_where_it_stands(void **state)
{
	(void)state;
	struct policy *p = load(
		K("source: {sealed: work.key}, hosts: [a.b], strategy: placeholder, own: replace, "
		  "detach_after: 0,\n"
		  "    placeholder: {environment: P, in: [header, basic, query, path, body, websocket],\n"
		  "      fields: [authorization, x-api-key], hosts: [\"*.seen.example\"],\n"
		  "      files: [{kind: netrc, user: ann}, {kind: gh}, {kind: npmrc, path: /etc/npmrc}, "
		  "{kind: docker},\n"
		  "        {kind: kubeconfig, path: ~/k}]}"));
	const struct policy_credential *k = policy_credential(p, 0);

	assert_true(k->source == POLICY_SOURCE_SEALED && is(k->sealed, "work.key"));
	assert_int_equal(k->parts, POLICY_IN_HEADER | POLICY_IN_BASIC | POLICY_IN_QUERY | POLICY_IN_PATH |
					   POLICY_IN_BODY | POLICY_IN_WEBSOCKET);
	assert_int_equal(k->placeholder_field_count, 2);
	assert_true(is(k->placeholder_fields[1], "x-api-key"));
	assert_true(k->placeholder_host_count == 1 && is(k->placeholder_hosts[0], "*.seen.example"));
	assert_true(k->own == POLICY_OWN_REPLACE && k->detach_after == 0);
	assert_int_equal(k->file_count, 5);
	assert_true(k->files[0].kind == POLICY_RENDER_NETRC && is(k->files[0].path, "~/.netrc") &&
		    is(k->files[0].user, "ann"));
	assert_true(k->files[1].kind == POLICY_RENDER_GH && is(k->files[1].path, "~/.config/gh/hosts.yml") &&
		    is(k->files[1].user, ""));
	assert_true(is(k->files[2].path, "/etc/npmrc") && is(k->files[3].path, "~/.docker/config.json") &&
		    is(k->files[4].path, "~/k"));
	policy_free(p);
}

static void a_signature_of_aws(void **state)
{
	(void)state;
	struct policy *p =
		load(K("source: {file: ~/.aws/credentials}, hosts: [\"*.b\", a.b], strategy: sigv4,\n"
		       "    sigv4: {profile: dev, services: [s3, sts], regions: [eu-central-1]},\n"
		       "    placeholder: {files: [{kind: aws}]}"));
	const struct policy_credential *k = policy_credential(p, 0);

	assert_true(k->strategy == POLICY_STRATEGY_SIGV4 && is(k->aws_profile, "dev"));
	assert_true(k->aws_service_count == 2 && is(k->aws_services[1], "sts"));
	assert_true(k->aws_region_count == 1 && is(k->aws_regions[0], "eu-central-1"));
	assert_true(k->files[0].kind == POLICY_RENDER_AWS && is(k->files[0].path, "~/.aws/credentials"));
	policy_free(p);
	p = load(K(FROM "strategy: sigv4"));
	assert_int_equal(policy_credential(p, 0)->aws_service_count, 0);
	policy_free(p);
}

static void tokens_by_grant(void **state)
{
	(void)state;
	struct policy *p =
		load(TOKEN("grant: client_credentials, endpoint: \"https://id.example:8443/t/%7E\", "
			   "client_id: me, scope: a b, client_auth: body, audience: x, resource: \"urn:y\""));
	const struct policy_token *t = policy_credential(p, 0)->token;

	assert_true(t->grant == POLICY_GRANT_CLIENT_CREDENTIALS && t->scheme == HEAD_HTTPS &&
		    t->port == 8443);
	assert_true(is(t->host, "id.example") && is(t->path, "/t/%7E") && is(t->client_id, "me") &&
		    is(t->scope, "a b"));
	assert_true(!t->client_basic && is(t->audience, "x") && is(t->resource, "urn:y") &&
		    is(t->subject, ""));
	assert_true(is(policy_credential(p, 0)->header_name, "authorization") &&
		    is(policy_credential(p, 0)->header_format, "Bearer {secret}"));
	policy_free(p);
	p = load(TOKEN("grant: refresh_token, endpoint: \"http://10.0.0.1/t\", addresses: [10.0.0.1], "
		       "client_id: me, "
		       "client_secret: {environment: S}"));
	t = policy_credential(p, 0)->token;
	assert_true(t->scheme == HEAD_HTTP && t->port == 80 && t->address_count == 1 && t->client_basic);
	assert_true(is(t->client_secret_environment, "S") && is(t->host, "10.0.0.1"));
	policy_free(p);
	p = load(TOKEN(
		"grant: token_exchange, endpoint: \"https://[2001:db8::1]\", actor_token: {environment: A}"));
	t = policy_credential(p, 0)->token;
	assert_true(is(t->host, "2001:db8::1") && is(t->path, "/") && is(t->actor_token_environment, "A"));
	assert_true(is(t->subject_token_type, "urn:ietf:params:oauth:token-type:access_token"));
	policy_free(p);
	p = load(TOKEN("grant: jwt_bearer, scope: \"https://www.googleapis.com/auth/cloud-platform\""));
	t = policy_credential(p, 0)->token;
	assert_true(is(t->host, "") && is(t->path, "") && is(t->issuer, "") && t->scheme == HEAD_HTTPS);
	policy_free(p);
	p = load(TOKEN("grant: github_app, app_id: 12, installation_id: 345"));
	t = policy_credential(p, 0)->token;
	assert_true(is(t->host, "api.github.com") && is(t->path, "/app/installations/345/access_tokens") &&
		    t->port == 443);
	policy_free(p);
	p = load(TOKEN("grant: github_app, app_id: Iv1.x, installation_id: 345, endpoint: "
		       "\"https://ghe.example/api/v3/\""));
	assert_true(is(policy_credential(p, 0)->token->path, "/api/v3/app/installations/345/access_tokens"));
	policy_free(p);
}

static void logins_know_their_hosts_and_files(void **state)
{
	(void)state;
	struct policy *p = load(
		"version: 1\nnetwork:\n  - {hosts: [api.anthropic.com], methods: [GET], credential: k}\n"
		"  - {hosts: [chatgpt.com], methods: [GET], credential: l}\n"
		"credentials: {k: {strategy: login, login: claude},\n"
		"  l: {strategy: login, login: codex, source: {file: /x/auth.json}, hosts: [chatgpt.com],\n"
		"      placeholder: {files: [{kind: codex, path: ~/codex.json}]}}}\n");
	const struct policy_credential *k = policy_credential(p, 0);

	assert_true(k->login == POLICY_LOGIN_CLAUDE && k->source == POLICY_SOURCE_FILE);
	assert_true(is(k->file, "/home/ann/.claude/.credentials.json") && k->host_count == 3);
	assert_true(k->file_count == 1 && k->files[0].kind == POLICY_RENDER_CLAUDE &&
		    is(k->files[0].path, "~/.claude/.credentials.json"));
	assert_true(is(k->header_format, "Bearer {secret}"));
	k = policy_credential(p, 1);
	assert_true(k->login == POLICY_LOGIN_CODEX && is(k->file, "/x/auth.json") && k->host_count == 1);
	assert_true(k->file_count == 1 && is(k->files[0].path, "~/codex.json"));
	policy_free(p);
}

static void a_header_may_be_basic(void **state)
{
	(void)state;
	struct policy *p = load(K(FROM "header: {name: authorization, user: x-access-token}"));

	assert_true(is(policy_credential(p, 0)->header_user, "x-access-token") &&
		    is(policy_credential(p, 0)->header_format, "Basic {secret}"));
	policy_free(p);
	p = load(TOKEN("grant: github_app, app_id: 1, installation_id: 2}, header: {name: authorization, "
		       "user: x-access-token"));
	assert_true(is(policy_credential(p, 0)->header_format, "Basic {secret}"));
	policy_free(p);
	refused(&(struct mistake) { K(FROM "header: {name: a, user: b, format: \"{secret}\"}"),
				    "'format' and 'user' exclude each other", "\"{secret}\"" },
		1);
	refused(&(struct mistake) { K(FROM "header: {name: a, user: \"b:c\"}"), "'b:c' cannot be a user",
				    "\"b:c\"" },
		1);
}

static void a_certificate(void **state)
{
	(void)state;
	struct policy *p = load(K("source: {file: /etc/me.pem}, hosts: [a.b], strategy: certificate"));

	assert_int_equal(policy_credential(p, 0)->strategy, POLICY_STRATEGY_CERTIFICATE);
	policy_free(p);
}

static void keys_that_do_not_suit_are_refused(void **state)
{
	(void)state;
	static const struct mistake cases[] = {
		{ K(FROM "strategy: magic"),
		  "expected one of header, placeholder, sigv4, token, login, certificate", "magic" },
		{ K("source: {environment: A, sealed: b}, hosts: [a.b]"),
		  "exactly one of environment, file, command, sealed", "source:" },
		{ K("source: {sealed: a/b}, hosts: [a.b]"), "cannot be the name of a sealed secret", "a/b" },
		{ K(FROM "header: {name: x}, own: maybe"), "expected one of refuse, replace, pass", "maybe" },
		{ K(FROM "header: {name: x}, detach_after: 1001"), "'detach_after' is out of range", "1001" },
		{ K(FROM "header: {name: x}, sigv4: {}"),
		  "'sigv4' is for strategy sigv4; the strategy here is header", "sigv4:" },
		{ K(FROM "header: {name: x}, token: {}"), "'token' is for strategy token", "token:" },
		{ K(FROM "header: {name: x}, login: claude"), "'login' is for strategy login", "claude" },
		{ K(FROM "strategy: sigv4, header: {name: x}"), "'header' is for strategies header and token",
		  "header:" },
		{ K(FROM "strategy: certificate, own: pass"), "'own' is for what stands in a request",
		  "pass" },
		{ K(FROM "strategy: certificate, placeholder: {environment: P}"),
		  "'placeholder' is for what stands", "placeholder:" },
		{ K(FROM "strategy: sigv4, sigv4: {services: [S3]}"), "'S3': expected lower case", "S3" },
		{ K(FROM "strategy: sigv4, sigv4: {regions: []}"), "'regions' is an empty list", "[]" },
		{ K("strategy: login"), "strategy login needs 'login': expected one of claude, codex", "k:" },
		{ K("strategy: login, login: gemini"), "expected one of claude, codex", "gemini" },
		{ K("strategy: login, login: claude, source: {environment: A}"),
		  "expected {file: ~/.claude/.credentials.json}", "source:" },
		{ K("strategy: login, login: claude, placeholder: {files: [{kind: codex}]}"),
		  "kind 'codex' is for 'login: codex'", "codex" },
	};

	refused(cases, COUNT(cases));
}

static void placeholders_that_cannot_work_are_refused(void **state)
{
	(void)state;
#define P(text) K(FROM "strategy: placeholder, placeholder: {" text "}")
	static const struct mistake cases[] = {
		{ P("prefix: x"), "needs 'placeholder' with 'environment'", "placeholder:" },
		{ P("environment: P, in: [body, body]"), "'body' is in 'in' twice", "body" },
		{ P("environment: P, in: []"), "'in' is an empty list", "[]" },
		{ P("environment: P, in: [query], fields: [x]"), "'fields' names headers", "[x]" },
		{ P("environment: P, fields: [X-Key]"), "'X-Key' is not a header that a placeholder",
		  "X-Key" },
		{ P("environment: P, fields: [host]"), "'host' is not a header", "host" },
		{ P("environment: P, hosts: [\"*\"]"), "not shown to every host", "\"*\"" },
		{ P("files: []"), "'files' is an empty list", "[]" },
		{ P("files: [{path: ~/x}]"), "a credential file needs 'kind'", "{path: ~" },
		{ P("files: [{kind: pgpass}]"), "expected one of aws, netrc, gh, npmrc, docker, kubeconfig",
		  "pgpass" },
		{ P("files: [{kind: aws}]"), "kind 'aws' is for strategy sigv4", "aws" },
		{ P("files: [{kind: claude}]"), "kind 'claude' is for strategy login", "claude" },
		{ P("files: [{kind: service_account}]"), "kind 'service_account' is for strategy token",
		  "service_account" },
		{ P("files: [{kind: npmrc, user: ann}]"), "kind 'npmrc' has no place for 'user'", "ann" },
		{ P("files: [{kind: netrc, user: \"a b\"}]"), "'a b' cannot be a user", "\"a b\"" },
		{ P("files: [{kind: netrc, path: x}]"), "not a plain path in the sandbox", "x" },
		{ P("files: [{kind: netrc, path: ~/../x}]"), "not a plain path in the sandbox", "~/../x" },
		{ P("files: [{kind: netrc}, {kind: npmrc, path: ~/.netrc}]"), "~/.netrc is in 'files' twice",
		  "{kind: npmrc" },
		{ P("prefix: \"a:\", files: [{kind: netrc}]"), "has A-Z a-z 0-9", "\"a:\"" },
		{ K(FROM "header: {name: x}, placeholder: {environment: P, fields: [x]}"),
		  "'fields' is for strategy placeholder", "[x]" },
		{ TOKEN("grant: github_app, app_id: 1, installation_id: 1}, placeholder: {files: [{kind: "
			"service_account}]"),
		  "kind 'service_account' is for grant jwt_bearer", "service_account" },
		{ "version: 1\nnetwork: [{hosts: [a.b], methods: [GET], credential: k}, {hosts: [a.c], "
		  "methods: [GET], credential: l}]\n"
		  "credentials:\n  k: {" FROM
		  "strategy: placeholder, placeholder: {files: [{kind: kubeconfig}]}}\n"
		  "  l: {source: {environment: L}, hosts: [a.c], strategy: placeholder, placeholder: {files: "
		  "[{kind: kubeconfig}]}}\n",
		  "credential 'k' has the file ~/.kube/config already", "{kind: kubeconfig" },
	};

	refused(cases, COUNT(cases));
	/* an .netrc has an entry for each */
	policy_free(load("version: 1\nnetwork: [{hosts: [a.b], methods: [GET], credential: k}, {hosts: "
			 "[a.c], methods: [GET], credential: l}]\n"
			 "credentials:\n  k: {" FROM
			 "strategy: placeholder, placeholder: {files: [{kind: netrc}]}}\n"
			 "  l: {source: {environment: L}, hosts: [a.c], strategy: placeholder, placeholder: "
			 "{files: [{kind: netrc}]}}\n"));
}

static void tokens_that_cannot_be_fetched_are_refused(void **state)
{
	(void)state;
	static const struct mistake cases[] = {
		{ K(FROM "strategy: token"), "strategy token needs 'token' with 'grant'", "k:" },
		{ TOKEN("endpoint: \"https://a.b/t\""), "strategy token needs 'token' with 'grant'",
		  "token:" },
		{ TOKEN("grant: password"), "expected one of client_credentials, refresh_token", "password" },
		{ TOKEN("grant: client_credentials, client_id: a"),
		  "grant client_credentials needs 'endpoint'", "token:" },
		{ TOKEN("grant: client_credentials, endpoint: \"https://a.b/t\""),
		  "grant client_credentials needs 'client_id'", "token:" },
		{ TOKEN("grant: client_credentials, endpoint: \"https://a.b/t\", client_id: a, "
			"client_secret: {environment: S}"),
		  "takes the client's secret from 'source'", "client_secret:" },
		{ TOKEN("grant: refresh_token, endpoint: \"https://a.b/t\""), "needs 'client_id'", "token:" },
		{ TOKEN("grant: refresh_token, endpoint: \"https://a.b/t\", client_id: a, client_secret: {}"),
		  "'client_secret': expected {environment: NAME}", "client_secret:" },
		{ TOKEN("grant: refresh_token, endpoint: \"https://a.b/t\", client_id: a, subject: x"),
		  "has no use for 'subject'", "x" },
		{ TOKEN("grant: token_exchange, endpoint: \"https://a.b/t\", client_secret: {environment: "
			"S}"),
		  "'client_id' is missing", "token:" },
		{ TOKEN("grant: jwt_bearer, app_id: 1"), "has no use for 'app_id'", "1" },
		{ TOKEN("grant: github_app, installation_id: 1"), "grant github_app needs 'app_id'",
		  "token:" },
		{ TOKEN("grant: github_app, app_id: 1"), "grant github_app needs 'installation_id'",
		  "token:" },
		{ TOKEN("grant: github_app, app_id: 1, installation_id: a"), "expected a number", "a" },
		{ TOKEN("grant: jwt_bearer, endpoint: \"http://a.b/t\""),
		  "does not cross the public network in clear text", "\"http://a.b/t\"" },
		{ TOKEN("grant: jwt_bearer, endpoint: \"https://A.b/t\""), "is not an endpoint",
		  "\"https://A.b/t\"" },
		{ TOKEN("grant: jwt_bearer, endpoint: \"https://u@a.b/t\""), "is not an endpoint",
		  "\"https://u@a.b/t\"" },
		{ TOKEN("grant: jwt_bearer, endpoint: \"https://a.b/t?x\""), "is not an endpoint",
		  "\"https://a.b/t?x\"" },
		{ TOKEN("grant: jwt_bearer, endpoint: \"https://a.b:0/t\""), "is not an endpoint",
		  "\"https://a.b:0/t\"" },
		{ TOKEN("grant: jwt_bearer, endpoint: \"https://[::1\""), "is not an endpoint",
		  "\"https://[::1\"" },
		{ TOKEN("grant: jwt_bearer, endpoint: \"https://[::1]x/\""), "is not an endpoint",
		  "\"https://[::1]x/\"" },
		{ TOKEN("grant: jwt_bearer, endpoint: \"https://::1/\""), "is not an endpoint",
		  "\"https://::1/\"" },
		{ TOKEN("grant: jwt_bearer, endpoint: \"https://[a.b]/\""), "is not an endpoint",
		  "\"https://[a.b]/\"" },
		{ TOKEN("grant: jwt_bearer, endpoint: \"https:///t\""), "is not an endpoint",
		  "\"https:///t\"" },
		{ TOKEN("grant: jwt_bearer, endpoint: \"https://a.b/../t\""), "is not an endpoint",
		  "\"https://a.b/../t\"" },
		{ TOKEN("grant: jwt_bearer, scope: \"\""), "'scope': expected 1 to 2048", "\"\"" },
		{ TOKEN("grant: jwt_bearer, scope: 'a\"b'"), "'scope': expected 1 to 2048", "'a\"b'" },
		{ TOKEN("grant: jwt_bearer, addresses: [0.0.0.0/0]"), "too wide", "0.0.0.0/0" },
	};

	refused(cases, COUNT(cases));
}

static void a_certificate_needs_tls(void **state)
{
	(void)state;
	static const struct mistake cases[] = {
		{ "version: 1\nnetwork: [{hosts: [a.b], methods: [GET], schemes: [http], addresses: "
		  "[10.0.0.1], credential: k}]\n"
		  "credentials: {k: {" FROM "strategy: certificate}}\n",
		  "a client certificate is part of TLS", "k" },
	};

	refused(cases, COUNT(cases));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_is_not_said_has_a_safe_default),
		cmocka_unit_test(a_placeholder_says_where_it_stands),
		cmocka_unit_test(a_signature_of_aws),
		cmocka_unit_test(tokens_by_grant),
		cmocka_unit_test(logins_know_their_hosts_and_files),
		cmocka_unit_test(a_header_may_be_basic),
		cmocka_unit_test(a_certificate),
		cmocka_unit_test(keys_that_do_not_suit_are_refused),
		cmocka_unit_test(placeholders_that_cannot_work_are_refused),
		cmocka_unit_test(tokens_that_cannot_be_fetched_are_refused),
		cmocka_unit_test(a_certificate_needs_tls),
	};

	return cmocka_run_group_tests_name("policy_credential", tests, NULL, NULL);
}
