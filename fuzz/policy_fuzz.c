/* policy_fuzz.c - any bytes as a policy file; what loads then decides some requests
 *
 * A load either makes a policy or names a place and a mistake. Explanations agree with the
 * decision, fit their bounds, and a host that a request was allowed to is a named host.
 */
#include "policy/policy.h"

#include <stdio.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(bool good, const char *what)
{
	if (!good) {
		fputs(what, stderr);
		abort();
	}
}

static void decide(const struct policy *p, struct str host, const char *path, const char *query)
{
	struct head h = { .kind = HEAD_REQUEST,
			  .scheme = HEAD_HTTPS,
			  .port = 443,
			  .method = STR("GET"),
			  .host = host,
			  .path = str_of(path),
			  .query = str_of(query),
			  .has_query = true };
	const struct policy_rule *rule = NULL;
	auto_buf b = BUF_EMPTY;

	buf_init(&b, 16384);
	h.fields[h.field_count++] = (struct head_field) { STR("accept"), STR("text/html") };
	if (policy_match(p, &h, &rule) == ERR_OK) {
		check(rule == policy_rule(p, rule->index), "a rule of another policy");
		check(rule->verdict == POLICY_DENY || policy_host_named(p, host), "allowed and not named");
		check(rule->credential < (int32_t)policy_credential_count(p),
		      "a credential that is not there");
		check(rule->verdict == POLICY_ALLOW || rule->credential < 0, "a credential without allow");
	}
	check(policy_explain(p, &h, false, &b) == ERR_OK, "explanation");
	buf_clear(&b);
	check(policy_explain(p, &h, true, &b) == ERR_OK && str_is_utf8(buf_str(&b)), "JSON");
	buf_clear(&b);
	check(policy_denial_text(p, &h, &b) == ERR_OK && str_find(buf_str(&b), '\n') == b.len, "denial");
}

/* A host that the pattern matches: what stands for the star is a label. */
static void decide_pattern(const struct policy *p, struct str pattern)
{
	char host[512];
	int n = pattern.p[0] == '*' ? snprintf(host, sizeof host, "a%.*s", (int)pattern.n - 1, pattern.p + 1)
				    : snprintf(host, sizeof host, "%.*s", STR_FMT(pattern));

	check(n > 0 && (size_t)n < sizeof host, "a long host");
	decide(p, str_of(host), "/v1/messages", "beta=true&a=%31");
	decide(p, str_of(host), "/%61dmin/x", "");
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
	decide(p, STR("api.anthropic.com"), "/v1/messages", "beta=true");
	decide(p, STR("a"), "/", "");
	decide(p, STR("10.0.0.1"), "/", "");
	for (uint32_t i = 0; i < policy_credential_count(p); i++)
		for (uint32_t k = 0; k < policy_credential(p, i)->host_count; k++)
			decide_pattern(p, policy_credential(p, i)->hosts[k]);
	for (uint32_t i = 0; i < policy_filesystem(p)->hidden_count; i++)
		(void)policy_glob(policy_filesystem(p)->hidden[i], STR("a/b/.env.local"));
	policy_free(p);
	return 0;
}
