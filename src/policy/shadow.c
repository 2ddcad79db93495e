/* shadow.c - refuses rules to which an earlier rule leaves nothing
 *
 * Theory of operation: a rule is dead if one earlier rule is the same or wider on every
 * axis. The index gives the earlier rules that can be so on hosts. Patterns are compared as
 * patterns, so only the certain is refused: a rule that several earlier ones bury together
 * passes. Rules for requests and for tunnels bury each other by hosts and ports alone, since the
 * first that names them decides what becomes of a connection. A protocol's rule buries those of
 * its own protocol, as the protocol says; what it does not recognise it denies, but that is not
 * certain to be all that a later rule is for. A denying rule also matches other spellings of what it names
 * (match.c); that an earlier rule leaves it those does not save it: it would not do what it was written for.
 */
#include "policy/compile.h"

#include "base/glob.h"
#include "policy/protocol.h"

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

/* Of raw bytes nobody knows what they carry: either scheme of the wider rule will do. */
static bool takes_ports(const struct compiled_rule *wide, const struct compiled_rule *narrow, unsigned scheme,
			struct value_ports ports)
{
	if (narrow->rule.kind != POLICY_KIND_TCP)
		return (wide->schemes & (1u << scheme)) && has_ports(wide, scheme, ports);
	return ((wide->schemes & (1u << HEAD_HTTP)) && has_ports(wide, HEAD_HTTP, ports)) ||
	       ((wide->schemes & (1u << HEAD_HTTPS)) && has_ports(wide, HEAD_HTTPS, ports));
}

static bool schemes_and_ports_cover(const struct compiled_rule *wide, const struct compiled_rule *narrow)
{
	for (unsigned scheme = HEAD_HTTP; scheme <= HEAD_HTTPS; scheme++) {
		uint16_t own = scheme == HEAD_HTTPS ? 443 : 80;

		if (!(narrow->schemes & (1u << scheme)))
			continue;
		if (narrow->port_count == 0 &&
		    !takes_ports(wide, narrow, scheme, (struct value_ports) { own, own }))
			return false;
		for (uint32_t i = 0; i < narrow->port_count; i++)
			if (!takes_ports(wide, narrow, scheme, narrow->ports[i]))
				return false;
	}
	return true;
}

static bool paths_cover(const struct compiled_rule *wide, const struct compiled_rule *narrow)
{
	enum glob_mode mode = wide->rule.verdict == POLICY_DENY ? GLOB_PATH : GLOB_URL;	/* as match.c has it */

	if (wide->path_count == 0)
		return true;
	for (uint32_t i = 0; i < narrow->path_count; i++) {
		uint32_t k = 0;

		while (k < wide->path_count && !glob_covers(wide->paths[k], narrow->paths[i], mode))
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

static bool protocols_cover(const struct compiled_rule *wide, const struct compiled_rule *narrow)
{
	const struct protocol *protocol = protocol_of(&wide->rule);

	if (!protocol)
		return true;
	return protocol_of(&narrow->rule) == protocol && protocol->covers &&
	       protocol->covers(wide->rule.data, narrow->rule.data);
}

static bool covers(const struct compiled_rule *wide, const struct compiled_rule *narrow)
{
	bool tunnel = wide->rule.kind != POLICY_KIND_HTTP || narrow->rule.kind != POLICY_KIND_HTTP;

	if (!tunnel &&
	    !(methods_cover(wide, narrow) && paths_cover(wide, narrow) && protocols_cover(wide, narrow) &&
	      conditions_cover(wide->query, wide->query_count, narrow->query, narrow->query_count) &&
	      conditions_cover(wide->headers, wide->header_count, narrow->headers, narrow->header_count)))
		return false;
	return schemes_and_ports_cover(wide, narrow) && hosts_cover(wide, narrow);
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

/* Why @r, of which @usual is what it is for, has nothing left. */
static enum err fail(struct compile *c, struct place at, const struct compiled_rule *first,
		     const struct compiled_rule *r)
{
	bool tunnels = first->rule.kind != POLICY_KIND_HTTP, opens = r->rule.kind == POLICY_KIND_HTTP;
	bool late = !covers(first, r);
	const char *why = "matches all that it does";

	if (late)
		why = "matches the same; put this one first, or give it 'schemes' and 'ports'";
	else if (tunnels && opens)
		why = "lets the same connections pass unopened";
	else if (!tunnels && !opens)
		why = "has the same connections opened, to judge their requests";
	return compile_fail(c, at, "this rule %s: '%.*s' in line %u comes before it and %s",
			    late ? "denies too late" : "can never match",
			    STR_FMT(node_quote(first->rule.name)), first->rule.line, why);
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
		while (index_next(&walk, &k) && k < i)
			if (covers(&c->p->rules[k], &usual))
				return fail(c, items[i].at, &c->p->rules[k], r);
	}
	return ERR_OK;
}
