/* shadow.c - refuses rules to which an earlier rule leaves nothing
 *
 * Theory of operation: a rule is dead if one earlier rule is the same or wider on every
 * axis. The index gives the earlier rules that can be so on hosts. Patterns are compared as
 * patterns, so only the certain is refused: a rule that several earlier ones bury together
 * passes. A denying rule also matches other spellings of what it names (match.c); that an
 * earlier rule leaves it those does not save it: it would not do what it was written for.
 */
#include "policy/compile.h"

#include "base/glob.h"

static bool hosts_cover(const struct compiled_rule *wide, const struct compiled_rule *narrow)
{
	for (uint32_t i = 0; i < narrow->host_count; i++) {
		uint32_t k = 0;

		while (k < wide->host_count && !host_covers(wide->hosts[k], narrow->hosts[i]))
			k++;
		if (k == wide->host_count)
			return false;
	}
	return true;
}

static bool methods_cover(const struct compiled_rule *wide, const struct compiled_rule *narrow)
{
	if (wide->method_count == 0)
		return true;
	for (uint32_t i = 0; i < narrow->method_count; i++) {
		uint32_t k = 0;

		while (k < wide->method_count && !str_eq(wide->methods[k], narrow->methods[i]))
			k++;
		if (k == wide->method_count)
			return false;
	}
	return narrow->method_count > 0;
}

static bool has_ports(const struct compiled_rule *r, unsigned scheme, struct value_ports ports)
{
	uint16_t own = scheme == HEAD_HTTPS ? 443 : 80;

	for (uint32_t i = 0; i < r->port_count; i++)
		if (r->ports[i].low <= ports.low && ports.high <= r->ports[i].high)
			return true;
	return r->port_count == 0 && ports.low == own && ports.high == own;
}

static bool schemes_and_ports_cover(const struct compiled_rule *wide, const struct compiled_rule *narrow)
{
	for (unsigned scheme = HEAD_HTTP; scheme <= HEAD_HTTPS; scheme++) {
		uint16_t own = scheme == HEAD_HTTPS ? 443 : 80;

		if (!(narrow->schemes & (1u << scheme)))
			continue;
		if (!(wide->schemes & (1u << scheme)))
			return false;
		if (narrow->port_count == 0 && !has_ports(wide, scheme, (struct value_ports) { own, own }))
			return false;
		for (uint32_t i = 0; i < narrow->port_count; i++)
			if (!has_ports(wide, scheme, narrow->ports[i]))
				return false;
	}
	return true;
}

static bool paths_cover(const struct compiled_rule *wide, const struct compiled_rule *narrow)
{
	if (wide->path_count == 0)
		return true;
	for (uint32_t i = 0; i < narrow->path_count; i++) {
		uint32_t k = 0;

		while (k < wide->path_count && !glob_covers(wide->paths[k], narrow->paths[i], GLOB_PATH))
			k++;
		if (k == wide->path_count)
			return false;
	}
	return narrow->path_count > 0;
}

/* Each condition of the wider rule follows from one of the narrower. */
static bool conditions_cover(const struct compiled_condition *wide, uint32_t wide_count,
			     const struct compiled_condition *narrow, uint32_t narrow_count)
{
	for (uint32_t i = 0; i < wide_count; i++) {
		uint32_t k = 0;

		while (k < narrow_count && !(str_eq(wide[i].name, narrow[k].name) &&
					     glob_covers(wide[i].glob, narrow[k].glob, GLOB_TEXT)))
			k++;
		if (k == narrow_count)
			return false;
	}
	return true;
}

static bool covers(const struct compiled_rule *wide, const struct compiled_rule *narrow)
{
	return methods_cover(wide, narrow) && schemes_and_ports_cover(wide, narrow) &&
	       paths_cover(wide, narrow) && hosts_cover(wide, narrow) &&
	       conditions_cover(wide->query, wide->query_count, narrow->query, narrow->query_count) &&
	       conditions_cover(wide->headers, wide->header_count, narrow->headers, narrow->header_count);
}

/* What a denying rule without 'schemes' or 'ports' denies of what is usually allowed: without
 * this, allowing all of /v1 and then denying /v1/admin would pass for the http that nobody allows. */
static struct compiled_rule usual_part(const struct compiled_rule *r, const struct document_rule *d)
{
	struct compiled_rule usual = *r;

	if (r->rule.verdict == POLICY_DENY && !d->schemes.at.line)
		usual.schemes = 1u << HEAD_HTTPS;
	if (r->rule.verdict == POLICY_DENY && !d->ports.at.line)
		usual.port_count = 0;
	return usual;
}

enum err compile_shadows(struct compile *c)
{
	const struct document_rule *items = c->d->network.items;

	for (uint32_t i = 0; i < c->p->rule_count; i++) {
		const struct compiled_rule *r = &c->p->rules[i];
		struct compiled_rule usual = usual_part(r, &items[i]);
		struct index_walk walk;
		uint32_t k;

		index_find_pattern(&c->p->index, r->hosts[0], &walk);
		while (index_next(&walk, &k) && k < i) {
			const struct policy_rule *first = &c->p->rules[k].rule;

			if (!covers(&c->p->rules[k], &usual))
				continue;
			return compile_fail(
				c, items[i].at,
				covers(&c->p->rules[k], r)
					? "this rule can never match: '%.*s' in line %u comes before it "
					  "and matches all that it does"
					: "this rule denies too late: '%.*s' in line %u comes before it "
					  "and matches the same; put this one first, or give it "
					  "'schemes' and 'ports'",
				STR_FMT(node_quote(first->name)), first->line);
		}
	}
	return ERR_OK;
}
