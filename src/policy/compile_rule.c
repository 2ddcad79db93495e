/* compile_rule.c - network rules, judged and indexed
 *
 * Besides the values themselves, a rule is refused when it could never do what it says: a
 * path no canonical head can have, a condition on a header that no head carries, a
 * credential that may not go where the rule goes, and what deny or observe have no use for.
 */
#include "policy/compile.h"

#include "base/glob.h"
#include "base/nearest.h"
#include "wire/head.h"

#include <stdlib.h>

static enum err check_method(struct compile *c, const struct document_text *t)
{
	bool lower = false;

	for (size_t i = 0; i < t->text.n; i++)
		lower = lower || (t->text.p[i] >= 'a' && t->text.p[i] <= 'z');
	if (str_eq(t->text, STR("*")))
		return compile_fail(c, t->at, "any method is said by [\"*\"] alone");
	if (str_eq(t->text, STR("CONNECT")))
		return compile_fail(c, t->at, "CONNECT never leaves a sandbox");
	if (lower || !method_check(t->text))
		return compile_fail(c, t->at,
				    "'%.*s' is not a method: expected upper case, such as GET, or \"*\"",
				    STR_FMT(node_quote(t->text)));
	return ERR_OK;
}

static enum err rule_methods(struct compile *c, const struct document_rule *in, struct compiled_rule *out)
{
	if (!in->methods.at.line && (in->git || in->registry))
		return ERR_OK; /* the protocol says which */
	if (!in->methods.at.line)
		return compile_fail(c, in->at,
				    "this rule needs 'methods', such as [GET, POST], or [\"*\"] for any");
	if (in->methods.count == 1 && str_eq(in->methods.items[0].text, STR("*")))
		return ERR_OK;
	return compile_texts(c, &in->methods, "methods", check_method, &out->method_count, &out->methods);
}

static enum err rule_schemes(struct compile *c, const struct document_rule *in, struct compiled_rule *out)
{
	static const char *const words[] = { "http", "https" };
	unsigned scheme;

	out->schemes = 1u << HEAD_HTTPS;
	if (out->rule.verdict == POLICY_DENY)
		out->schemes |= 1u << HEAD_HTTP;
	if (!in->schemes.at.line)
		return ERR_OK;
	if (in->schemes.count == 0)
		return compile_fail(c, in->schemes.at, "'schemes' is an empty list: expected http, https");
	out->schemes = 0;
	for (uint32_t i = 0; i < in->schemes.count; i++) {
		enum err err = compile_choice(c, &in->schemes.items[i], "schemes", words, 2, 0, &scheme);

		if (err != ERR_OK)
			return err;
		scheme = scheme ? HEAD_HTTPS : HEAD_HTTP;
		if (out->schemes & (1u << scheme))
			return compile_fail(c, in->schemes.items[i].at, "'%s' is in 'schemes' twice",
					    words[scheme == HEAD_HTTPS]);
		out->schemes |= 1u << scheme;
	}
	return ERR_OK;
}

static enum err rule_ports(struct compile *c, const struct document_rule *in, struct compiled_rule *out)
{
	static const struct value_ports every = { 1, 65535 };
	struct value_ports *ports = arena_array(c->a, in->ports.count, sizeof *ports);

	if (!ports)
		return ERR_MEMORY;
	if (!in->ports.at.line) {
		out->ports = out->rule.verdict == POLICY_DENY ? &every : NULL;
		out->port_count = out->rule.verdict == POLICY_DENY;
		return ERR_OK;
	}
	if (in->ports.count == 0)
		return compile_fail(c, in->ports.at,
				    "'ports' is an empty list: leave it away for the scheme's own");
	for (uint32_t i = 0; i < in->ports.count; i++)
		if (!value_ports(in->ports.items[i].text, &ports[i]))
			return compile_fail(c, in->ports.items[i].at,
					    "'%.*s' is not a port: expected 1 to 65535, a "
					    "range such as 8000-8080, or \"*\"",
					    STR_FMT(node_quote(in->ports.items[i].text)));
	out->ports = ports;
	out->port_count = in->ports.count;
	return ERR_OK;
}

/* With a letter for each wildcard, a path glob is a canonical path, or it could match none. */
static enum err check_path(struct compile *c, const struct document_text *t)
{
	struct str query = str_from(t->text, str_find(t->text, '?'));
	char sample[GLOB_MAX + 1] = "/";
	size_t n = t->text.n > 0 && t->text.p[0] == '*' ? 1 : 0;

	if (t->text.n == 0 || (t->text.p[0] != '/' && t->text.p[0] != '*'))
		return compile_fail(c, t->at, "'%.*s': a path begins with '/'", STR_FMT(node_quote(t->text)));
	if (t->text.n > GLOB_MAX - 1)
		return compile_fail(c, t->at, "a path pattern of more than %d bytes", GLOB_MAX - 1);
	if (str_find(query, '=') < query.n)
		return compile_fail(c, t->at, "'%.*s': a query is not part of a path: use 'query'",
				    STR_FMT(node_quote(t->text)));
	for (size_t i = 0; i < t->text.n; i++)
		sample[n++] = (char)(t->text.p[i] == '*' || t->text.p[i] == '?' ? 'x' : t->text.p[i]);
	if (!path_check(str_make(sample, n)))
		return compile_fail(c, t->at,
				    "'%.*s' could match no path: expected the characters of a URL, "
				    "upper-case %%XX, no '.' or '..' segment",
				    STR_FMT(node_quote(t->text)));
	return ERR_OK;
}

static enum err check_query(struct compile *c, const struct document_pair *pair)
{
	static const char *const never = "&=%+";
	struct str name = pair->name.text, glob = pair->value.text;

	for (size_t i = 0; never[i]; i++)
		if (str_find(name, never[i]) < name.n)
			name.n = 0;
	if (name.n == 0 || !query_check(name))
		return compile_fail(c, pair->name.at,
				    "'%.*s' is not a parameter's name: expected the characters of "
				    "a URL without & = %% +",
				    STR_FMT(node_quote(pair->name.text)));
	if (!query_check(glob) || str_find(glob, '&') < glob.n || glob.n > GLOB_MAX)
		return compile_fail(c, pair->value.at,
				    "'%.*s' could match no value: expected the characters of a "
				    "URL as they are sent, without &",
				    STR_FMT(node_quote(glob)));
	return ERR_OK;
}

static enum err check_header(struct compile *c, const struct document_pair *pair)
{
	struct str name = pair->name.text, glob = pair->value.text;

	if (!field_name_check(name))
		return compile_fail(c, pair->name.at,
				    "'%.*s' is not a header's name: expected it in lower case, such "
				    "as content-type",
				    STR_FMT(node_quote(name)));
	if ((field_is_hop_by_hop(name) && !str_eq(name, STR("te"))) || str_eq(name, STR("content-length")))
		return compile_fail(c, pair->name.at,
				    "'%.*s' concerns one connection and is never there to be "
				    "compared",
				    STR_FMT(node_quote(name)));
	if (!field_value_check(glob) || glob.n > GLOB_MAX)
		return compile_fail(c, pair->value.at,
				    "'%.*s' could match no header: expected text without a blank "
				    "at either end",
				    STR_FMT(node_quote(glob)));
	return ERR_OK;
}

static enum err conditions(struct compile *c, const struct document_pairs *in, const char *what,
			   enum err (*check)(struct compile *, const struct document_pair *),
			   uint32_t *ret_count, const struct compiled_condition **ret)
{
	struct compiled_condition *out = arena_array(c->a, in->count, sizeof *out);

	if (!out)
		return ERR_MEMORY;
	if (in->at.line && in->count == 0)
		return compile_fail(c, in->at, "'%s' is empty: leave it away to match everything", what);
	for (uint32_t i = 0; i < in->count; i++) {
		enum err err = check(c, &in->items[i]);

		if (err == ERR_OK)
			err = compile_text(c, in->items[i].name.text, &out[i].name);
		if (err == ERR_OK)
			err = compile_text(c, in->items[i].value.text, &out[i].glob);
		if (err != ERR_OK)
			return err;
	}
	*ret_count = in->count;
	*ret = out;
	return ERR_OK;
}

enum err compile_addresses(struct compile *c, const struct document_texts *in, uint32_t *ret_count,
			   const struct policy_cidr **ret)
{
	struct policy_cidr *ranges = arena_array(c->a, in->count, sizeof *ranges);

	if (!ranges)
		return ERR_MEMORY;
	if (in->at.line && in->count == 0)
		return compile_fail(c, in->at,
				    "'addresses' is an empty list: leave it away for public "
				    "addresses only");
	for (uint32_t i = 0; i < in->count; i++) {
		const struct document_text *t = &in->items[i];
		const char *expected = value_cidr(t->text, &ranges[i]);

		if (expected)
			return compile_fail(c, t->at, "'%.*s': %s", STR_FMT(node_quote(t->text)), expected);
	}
	*ret = ranges;
	*ret_count = in->count;
	return ERR_OK;
}

/* `deny` sends nothing, `observe` opens nothing: keys that say otherwise are mistakes. */
static enum err rule_extras(struct compile *c, const struct document_rule *in,
			    const struct compiled_rule *out)
{
	const struct {
		const char *name;
		struct place at;
		bool for_observe;
	} keys[] = {
		{ "credential", in->credential.at, false },
		{ "addresses", in->addresses.at, false },
		{ "request_body_max", in->request_body_max.at, true },
		{ "response_body_max", in->response_body_max.at, true },
		{ "unscrubbed", in->unscrubbed.at, true },
		{ "websocket", in->websocket ? in->websocket->at : (struct place) { 0, 0 }, true },
	};

	if (out->rule.verdict == POLICY_ALLOW)
		return ERR_OK;
	for (size_t i = 0; i < sizeof keys / sizeof *keys; i++)
		if (keys[i].at.line && !(keys[i].for_observe && out->rule.verdict == POLICY_OBSERVE))
			return compile_fail(
				c, keys[i].at,
				out->rule.verdict == POLICY_DENY
					? "a rule that denies has no use for '%s'"
					: "a rule that observes may not have '%s': it only marks what passes",
				keys[i].name);
	return ERR_OK;
}

static enum err unknown_credential(struct compile *c, const struct document_text *t)
{
	const char *names[POLICY_CREDENTIALS_MAX], *near;

	for (uint32_t i = 0; i < c->p->credential_count; i++)
		names[i] = c->p->credentials[i].name.p; /* arena_copy() ends it with a NUL */
	near = nearest(t->text, names, c->p->credential_count);
	return compile_fail(c, t->at,
			    near ? "no credential is called '%.*s': did you mean '%s'?"
				 : "no credential is called '%.*s': expected a name from 'credentials'%s",
			    STR_FMT(node_quote(t->text)), near ? near : "");
}

static enum err rule_credential(struct compile *c, const struct document_rule *in, struct compiled_rule *out)
{
	const struct policy_credential *k = c->p->credentials;
	uint32_t index = 0;

	out->rule.credential = -1;
	if (!in->credential.at.line)
		return ERR_OK;
	while (index < c->p->credential_count && !str_eq(k[index].name, in->credential.text))
		index++;
	if (index == c->p->credential_count)
		return unknown_credential(c, &in->credential);
	for (uint32_t i = 0; i < out->host_count; i++) {
		uint32_t j = 0;

		while (j < k[index].host_count && !host_covers(k[index].hosts[j], out->hosts[i]))
			j++;
		if (j == k[index].host_count)
			return compile_fail(
				c, in->hosts.items[i].at,
				"credential '%.*s' may not go to '%.*s': add it to "
				"the credential's hosts, or give this host a rule without the credential",
				STR_FMT(node_quote(k[index].name)), STR_FMT(node_quote(out->hosts[i])));
	}
	if ((out->schemes & (1u << HEAD_HTTP)) && k[index].strategy == POLICY_STRATEGY_CERTIFICATE)
		return compile_fail(c, in->credential.at,
				    "a client certificate is part of TLS: leave http out of 'schemes'");
	if ((out->schemes & (1u << HEAD_HTTP)) && out->rule.address_count == 0)
		return compile_fail(c, in->credential.at,
				    "a credential does not cross the public network in clear "
				    "text: leave http out of 'schemes' (or name private 'addresses')");
	c->credential_used[index] = true;
	out->rule.credential = (int32_t)index;
	return ERR_OK;
}

static enum err rule_verdict(struct compile *c, const struct document_rule *in, struct compiled_rule *out)
{
	static const char *const words[] = {
		[POLICY_DENY] = "deny",
		[POLICY_ALLOW] = "allow",
		[POLICY_OBSERVE] = "observe",
	};
	unsigned verdict;
	enum err err;

	if (str_eq(in->verdict.text, STR("ask")))
		return compile_fail(c, in->verdict.at,
				    "'ask': approvals do not exist in version 1: expected allow, "
				    "deny or observe");
	err = compile_choice(c, &in->verdict, "verdict", words, 3, POLICY_ALLOW, &verdict);
	if (err == ERR_OK)
		out->rule.verdict = (enum policy_verdict)verdict;
	return err;
}

static enum err rule_name(struct compile *c, const struct document_rule *in, struct compiled_rule *out)
{
	auto_buf made = BUF_EMPTY;

	buf_init(&made, 32);
	if (in->name.at.line)
		return compile_name(c, &in->name, "the name of a rule", &out->rule.name);
	buf_printf(&made, "rule %u", out->rule.index + 1);
	return buf_err(&made) == ERR_OK ? compile_text(c, buf_str(&made), &out->rule.name) : ERR_MEMORY;
}

/* What a request must be to match; a tunnel carries none. */
static enum err rule_conditions(struct compile *c, const struct document_rule *in, struct compiled_rule *out)
{
	enum err err = rule_methods(c, in, out);

	if (err == ERR_OK)
		err = rule_schemes(c, in, out);
	if (err == ERR_OK && in->paths.at.line)
		err = compile_texts(c, &in->paths, "paths", check_path, &out->path_count, &out->paths);
	if (err == ERR_OK && out->path_count == 1) {
		out->path = out->paths[0];
		out->paths = &out->path; /* a decision finds it where the rest of the rule is */
	}
	if (err == ERR_OK)
		err = conditions(c, &in->query, "query", check_query, &out->query_count, &out->query);
	if (err == ERR_OK)
		err = conditions(c, &in->headers, "headers", check_header, &out->header_count, &out->headers);
	return err;
}

/* In this order: schemes and ports have defaults by verdict and kind, a credential looks at
 * hosts, schemes and addresses. */
static enum err compile_one(struct compile *c, const struct document_rule *in, struct compiled_rule *out)
{
	enum err err = rule_name(c, in, out);

	if (err == ERR_OK)
		err = rule_verdict(c, in, out);
	if (err == ERR_OK && !in->hosts.at.line)
		return compile_fail(c, in->at,
				    "this rule needs 'hosts', such as [api.example.com, \"*.example.com\"]");
	if (err == ERR_OK)
		err = compile_texts(c, &in->hosts, "hosts", compile_host, &out->host_count, &out->hosts);
	if (err == ERR_OK)
		err = compile_kind(c, in, out);
	if (err == ERR_OK && out->rule.kind == POLICY_KIND_HTTP)
		err = rule_conditions(c, in, out);
	if (err == ERR_OK)
		err = rule_ports(c, in, out);
	if (err == ERR_OK)
		err = compile_addresses(c, &in->addresses, &out->rule.address_count, &out->rule.addresses);
	if (err == ERR_OK)
		err = rule_extras(c, in, out);
	if (err == ERR_OK)
		err = rule_credential(c, in, out);
	if (err == ERR_OK)
		err = compile_parts(c, in, out);
	out->rule.request_body_max = in->request_body_max.at.line ? in->request_body_max.value : UINT64_MAX;
	out->rule.response_body_max =
		in->response_body_max.at.line ? in->response_body_max.value : UINT64_MAX;
	return err;
}

static enum err build_index(struct compile *c)
{
	const struct document_rule *items = c->d->network.items;
	struct policy *p = c->p;
	size_t patterns = 0;
	enum err err;

	for (uint32_t i = 0; i < p->rule_count; i++)
		patterns += p->rules[i].host_count;
	err = index_init(&p->index, c->a, patterns);
	for (uint32_t i = 0; i < p->rule_count && err == ERR_OK; i++)
		for (uint32_t k = 0; k < p->rules[i].host_count && err == ERR_OK; k++) {
			err = index_count(&p->index, p->rules[i].hosts[k]);
			if (err == ERR_LIMIT)
				return compile_fail(c, items[i].hosts.items[k].at,
						    "more than %d rules name this "
						    "host: put their paths together",
						    INDEX_RULES_MAX);
		}
	if (err != ERR_OK)
		return err;
	index_place(&p->index);
	for (uint32_t i = 0; i < p->rule_count; i++) {
		struct index_item item = { .sieve = sieve_of_rule(&p->rules[i]), .rule = i };

		for (uint32_t k = 0; k < p->rules[i].host_count; k++)
			index_add(&p->index, p->rules[i].hosts[k], item);
	}
	return ERR_OK;
}

static int name_order(const void *a, const void *b)
{
	const struct policy_rule *x = *(const struct policy_rule *const *)a;
	const struct policy_rule *y = *(const struct policy_rule *const *)b;
	int order = str_compare(x->name, y->name);

	if (order)
		return order;
	return (x->index > y->index) - (x->index < y->index);
}

/* A record that names a rule must name one rule. */
static enum err refuse_same_names(struct compile *c)
{
	const struct document_rule *items = c->d->network.items;
	const struct policy_rule **sorted =
		arena_array(c->a, c->p->rule_count, sizeof(const struct policy_rule *));

	if (!sorted)
		return ERR_MEMORY;
	for (uint32_t i = 0; i < c->p->rule_count; i++)
		sorted[i] = &c->p->rules[i].rule;
	qsort(sorted, c->p->rule_count, sizeof *sorted, name_order);
	for (uint32_t i = 1; i < c->p->rule_count; i++)
		if (str_eq(sorted[i]->name, sorted[i - 1]->name))
			return compile_fail(c, items[sorted[i]->index].name.at,
					    "the rule in line %u is called '%.*s' "
					    "already",
					    sorted[i - 1]->line, STR_FMT(node_quote(sorted[i]->name)));
	return ERR_OK;
}

static enum err refuse_unused(struct compile *c)
{
	const struct document_credential *items = c->d->credentials.items;

	for (uint32_t i = 0; i < c->p->credential_count; i++)
		if (!c->credential_used[i])
			return compile_fail(c, items[i].key.at,
					    "no rule uses the credential '%.*s': name it in a "
					    "rule's 'credential', or remove it",
					    STR_FMT(node_quote(items[i].key.text)));
	return ERR_OK;
}

enum err compile_rules(struct compile *c)
{
	const struct document_objects *in = &c->d->network;
	const struct document_rule *items = in->items;
	struct policy *p = c->p;
	enum err err = ERR_OK;

	if (in->count > POLICY_RULES_MAX)
		return compile_fail(c, in->at, "more than %d rules", POLICY_RULES_MAX);
	p->rules = arena_array(c->a, in->count, sizeof *p->rules);
	if (!p->rules)
		return ERR_MEMORY;
	for (uint32_t i = 0; i < in->count && err == ERR_OK; i++) {
		p->rules[i].rule.index = i;
		p->rules[i].rule.line = items[i].at.line;
		err = compile_one(c, &items[i], &p->rules[i]);
	}
	p->rule_count = in->count;
	if (err == ERR_OK)
		err = refuse_same_names(c);
	if (err == ERR_OK)
		err = build_index(c);
	if (err == ERR_OK)
		err = compile_shadows(c);
	return err == ERR_OK ? refuse_unused(c) : err;
}
