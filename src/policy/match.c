/* match.c - the decision                                        (pure: policy, head -> rule)
 *
 * Theory of operation: the index gives the rules that name the head's host, in file order;
 * the first that agrees on every axis is the answer, none is a denial. Nothing is allocated.
 * What a rule's sieve turns away is not looked at. A rule's protocol is asked last: what it does not
 * recognise ends the walk (I5). Where the protocol's part of an observing rule says no, the rules below are
 * asked, and if none of them decides, the request passes by the observing one: it takes what an allowing one
 * in its place takes, and what that would leave to the default. Rules for tunnels match no request;
 * policy_match_tunnel() walks the same lists for them.
 *
 * Doubt goes against the request. Where one meaning can be written in two ways (percent
 * encoding, a parameter or header given twice) a rule that allows must agree with every
 * reading, and a rule that denies needs to agree with one:
 *   path     allow: the raw path, and no wildcard of one segment takes %2F or %5C
 *            deny: the raw path, the decoded one, or that as servers fold it: '\\' is '/', no
 *            parameters after ';', many slashes are one
 *   query    allow: every parameter whose name, raw or decoded, is the condition's has a raw
 *            value that matches, and there is one; what ';' would separate matches too
 *            deny: any such parameter, its value raw or decoded, separated by '&' or ';'
 *   headers  allow: every field of the name, and there is one      deny: any
 *            '_' may be read as '-' (CGI, WSGI): such a field is of the name too, but is not the one
 * The head is canonical: head_check() has seen it in this process.
 */
#include "policy/match.h"

#include "base/glob.h"
#include "policy/protocol.h"

/* Decodes %XX into @out (@cap bytes); false if it does not fit. Malformed: left as it is. */
static bool decode(struct str s, char *out, size_t cap, struct str *ret)
{
	size_t n = 0;

	for (size_t i = 0; i < s.n; i++) {
		char c = s.p[i];

		if (c == '%' && s.n - i > 2 && ascii_hex(s.p[i + 1]) >= 0 && ascii_hex(s.p[i + 2]) >= 0) {
			c = (char)(ascii_hex(s.p[i + 1]) * 16 + ascii_hex(s.p[i + 2]));
			i += 2;
		}
		if (n == cap)
			return false;
		out[n++] = c;
	}
	*ret = str_make(out, n);
	return true;
}

/* A decoded path as many servers fold it, in place. */
static struct str fold_path(char *p, size_t n)
{
	bool parameter = false;
	size_t kept = 0;

	for (size_t i = 0; i < n; i++) {
		char c = p[i];

		if (c == '\\')
			c = '/';
		parameter = c == ';' || (parameter && c != '/');
		if (!parameter && !(c == '/' && kept && p[kept - 1] == '/'))
			p[kept++] = c;
	}
	return str_make(p, kept);
}

/* Apart, so that only who needs it pays for clearing the buffer. What does not fit is
 * doubt, and counts as a match of the denying rule. */
static __attribute__((noinline)) bool glob_decoded(struct str glob, struct str s, enum glob_mode mode)
{
	char bytes[HEAD_PATH_MAX];
	struct str decoded;

	return !decode(s, bytes, sizeof bytes, &decoded) || glob_match(glob, decoded, mode) ||
	       (mode == GLOB_PATH && glob_match(glob, fold_path(bytes, decoded.n), mode));
}

/* Is there another way to read @s? */
static bool is_ambiguous(struct str s, enum glob_mode mode)
{
	return str_find(s, '%') < s.n ||
	       (mode == GLOB_PATH && (str_find(s, ';') < s.n || memmem(s.p, s.n, "//", 2)));
}

static bool agrees(struct str glob, struct str s, enum glob_mode mode, bool denies)
{
	return glob_match(glob, s, mode) || (denies && is_ambiguous(s, mode) && glob_decoded(glob, s, mode));
}

/* Is @raw the name @name, or could it be read as that? */
static bool names(struct str raw, struct str name)
{
	size_t j = 0;

	for (size_t i = 0; i < raw.n; i++, j++) {
		char c = raw.p[i];

		if (c == '%' && raw.n - i > 2 && ascii_hex(raw.p[i + 1]) >= 0 &&
		    ascii_hex(raw.p[i + 2]) >= 0) {
			c = (char)(ascii_hex(raw.p[i + 1]) * 16 + ascii_hex(raw.p[i + 2]));
			i += 2;
		}
		if (j == name.n || name.p[j] != c)
			return false;
	}
	return j == name.n;
}

/* The parameters of the condition's name: does any match, does any not? */
static void survey_query(const struct compiled_condition *c, struct str rest, bool semicolons, bool denies,
			 bool *ret_any, bool *ret_no)
{
	while (rest.n) {
		struct str part = str_head(rest, str_find(rest, '&'));

		if (semicolons)
			part = str_head(part, str_find(part, ';'));
		size_t equals = str_find(part, '=');

		rest = str_from(rest, part.n + 1);
		if (!names(str_head(part, equals), c->name))
			continue;
		*(agrees(c->glob, str_from(part, equals + 1), GLOB_TEXT, denies) ? ret_any : ret_no) = true;
	}
}

bool match_query(const struct compiled_condition *c, const struct head *head, bool denies)
{
	bool any = false, no = false, any_other = false;

	survey_query(c, head->query, false, denies, &any, &no);
	if (str_find(head->query, ';') < head->query.n)		/* which some servers split at, too */
		survey_query(c, head->query, true, denies, &any_other, &no);
	return denies ? any || any_other : any && !no;
}

/* Gateways that make variables of names read "x_key" and "x-key" as one. */
static char as_variable(char c) { return (char)(c == '_' ? '-' : c); }

static bool field_names(struct str raw, struct str name)
{
	for (size_t i = 0; i < raw.n && i < name.n; i++)
		if (as_variable(raw.p[i]) != as_variable(name.p[i]))
			return false;
	return raw.n == name.n;
}

bool match_header(const struct compiled_condition *c, const struct head *head, bool denies)
{
	bool found = false;

	for (uint32_t i = 0; i < head->field_count; i++) {
		struct str name = head->fields[i].name;

		if (!field_names(name, c->name))
			continue;
		if (glob_match(c->glob, head->fields[i].value, GLOB_TEXT) == denies)
			return denies;
		found = found || str_eq(name, c->name);
	}
	return !denies && found;
}

static bool host_agrees(const struct compiled_rule *r, struct str host)
{
	for (uint32_t i = 0; i < r->host_count; i++)
		if (policy_host_matches(r->hosts[i], host))
			return true;
	return false;
}

static bool method_agrees(const struct compiled_rule *r, struct str method)
{
	for (uint32_t i = 0; i < r->method_count; i++)
		if (str_eq(r->methods[i], method))
			return true;
	return r->method_count == 0;
}

static bool port_listed(const struct compiled_rule *r, uint16_t port)
{
	for (uint32_t i = 0; i < r->port_count; i++)
		if (port >= r->ports[i].low && port <= r->ports[i].high)
			return true;
	return false;
}

static bool port_agrees(const struct compiled_rule *r, const struct head *head)
{
	return r->port_count ? port_listed(r, head->port)
			     : head->port == (head->scheme == HEAD_HTTPS ? 443 : 80);
}

static bool path_agrees(const struct compiled_rule *r, struct str path)
{
	bool denies = r->rule.verdict == POLICY_DENY;

	for (uint32_t i = 0; i < r->path_count; i++)
		if (denies ? agrees(r->paths[i], path, GLOB_PATH, true)
			   : glob_match(r->paths[i], path, GLOB_URL))
			return true;
	return r->path_count == 0;
}

static enum protocol_match protocol_match(const struct compiled_rule *r, const struct head *head)
{
	const struct protocol *protocol = protocol_of(&r->rule);

	return protocol ? protocol->match(r->rule.data, head) : PROTOCOL_YES;
}

bool match_axis(const struct compiled_rule *r, const struct head *head, enum match_axis axis)
{
	bool denies = r->rule.verdict == POLICY_DENY;

	switch (axis) {
	case MATCH_HOST:
		return host_agrees(r, head->host);
	case MATCH_METHOD:
		return method_agrees(r, head->method);
	case MATCH_SCHEME:
		return r->schemes & (1u << head->scheme);
	case MATCH_PORT:
		return port_agrees(r, head);
	case MATCH_PATH:
		return path_agrees(r, head->path);
	case MATCH_QUERY:
		for (uint32_t i = 0; i < r->query_count; i++)
			if (!match_query(&r->query[i], head, denies))
				return false;
		return true;
	case MATCH_HEADERS:
		for (uint32_t i = 0; i < r->header_count; i++)
			if (!match_header(&r->headers[i], head, denies))
				return false;
		return true;
	case MATCH_PROTOCOL:
		return protocol_match(r, head) == PROTOCOL_YES;
	case MATCH_AXES:
		break;
	}
	return false;
}

/* The index vouches for the host, and the sieve often for the method. */
static bool axes_agree(const struct compiled_rule *r, const struct head *head, bool method_agrees_already)
{
	unsigned axis = method_agrees_already ? MATCH_SCHEME : MATCH_METHOD;

	while (axis < MATCH_PROTOCOL && match_axis(r, head, (enum match_axis)axis))
		axis++;
	return axis == MATCH_PROTOCOL;
}

enum err policy_match(const struct policy *p, const struct head *head, const struct policy_rule **ret_rule)
{
	struct index_walk walk __attribute__((uninitialized)); /* 2 KiB, of which index_find()
								  sets what is read */
	const struct policy_rule *observing = NULL;
	const struct index_item *item;
	struct sieve_key key;

	if (head->kind != HEAD_REQUEST)
		return ERR_POLICY_DENIED;
	key = sieve_of_head(head, is_ambiguous(head->path, GLOB_PATH));
	index_find(&p->index, head->host, &walk);
	while ((item = index_step(&walk))) {
		const struct compiled_rule *r = &p->rules[item->rule];

		if (!sieve_passes(&item->sieve, &key) || !axes_agree(r, head, sieve_knows_method(&key)))
			continue;
		switch (protocol_match(r, head)) {
		case PROTOCOL_YES:
			*ret_rule = &r->rule;
			return ERR_OK;
		case PROTOCOL_UNRECOGNISED:
			*ret_rule = &r->rule;
			return ERR_PROTOCOL_UNRECOGNISED;
		case PROTOCOL_NO:
			if (!observing && r->rule.verdict == POLICY_OBSERVE)
				observing = &r->rule;
			break;
		}
	}
	if (!observing)
		return ERR_POLICY_DENIED;
	*ret_rule = observing;
	return ERR_OK;
}

const struct policy_rule *policy_refusing(const struct policy *p, const struct head *head)
{
	struct index_walk walk;
	uint32_t i;

	index_find(&p->index, head->host, &walk);
	while (head->kind == HEAD_REQUEST && index_next(&walk, &i)) {
		const struct compiled_rule *r = &p->rules[i];

		if (r->rule.kind == POLICY_KIND_HTTP && r->rule.verdict != POLICY_DENY &&
		    protocol_of(&r->rule) && axes_agree(r, head, false) &&
		    protocol_match(r, head) != PROTOCOL_YES)
			return &r->rule;
	}
	return NULL;
}

/* A denying rule for requests without any condition on them. */
static bool denies_every_request(const struct compiled_rule *r)
{
	return r->rule.kind == POLICY_KIND_HTTP && r->rule.verdict == POLICY_DENY &&
	       r->rule.protocol == POLICY_PROTOCOL_NONE && r->method_count == 0 && r->path_count == 0 &&
	       r->query_count == 0 && r->header_count == 0;
}

/* Does the rule speak of such connections? TLS may carry https; of raw bytes nobody knows what they carry. */
static bool takes_connection(const struct compiled_rule *r, enum policy_kind kind, uint16_t port)
{
	bool tls = r->schemes & (1u << HEAD_HTTPS);
	bool clear = kind == POLICY_KIND_TCP && (r->schemes & (1u << HEAD_HTTP));

	if (r->port_count)
		return (tls || clear) && port_listed(r, port);
	return (tls && port == 443) || (clear && port == 80);
}

/* The first rule that speaks of connections of this kind to there, or NULL. */
static const struct compiled_rule *first_named(const struct policy *p, enum policy_kind kind, struct str host,
					       uint16_t port)
{
	struct index_walk walk;
	uint32_t i;

	index_find(&p->index, host, &walk);
	while (index_next(&walk, &i))
		if (takes_connection(&p->rules[i], kind, port))
			return &p->rules[i];
	return NULL;
}

enum err policy_match_tunnel(const struct policy *p, enum policy_kind kind, struct str host, uint16_t port,
			     const struct policy_rule **ret_rule)
{
	const struct compiled_rule *r = kind == POLICY_KIND_HTTP ? NULL : first_named(p, kind, host, port);

	if (!r || (r->rule.kind != kind && !denies_every_request(r)))
		return ERR_POLICY_DENIED;
	*ret_rule = &r->rule;
	return ERR_OK;
}

const struct policy_rule *match_first_named(const struct policy *p, struct str host, uint16_t port)
{
	const struct compiled_rule *r = first_named(p, POLICY_KIND_TCP, host, port);

	return r ? &r->rule : NULL;
}

/* A denying rule without any condition but its hosts. */
static bool denies_whole_host(const struct compiled_rule *r)
{
	return denies_every_request(r) && r->schemes == (1u << HEAD_HTTP | 1u << HEAD_HTTPS) &&
	       r->port_count == 1 && r->ports[0].low == 1 && r->ports[0].high == 65535;
}

bool policy_host_named(const struct policy *p, struct str host)
{
	struct index_walk walk;
	uint32_t i;

	index_find(&p->index, host, &walk);
	while (index_next(&walk, &i)) {
		if (p->rules[i].rule.verdict != POLICY_DENY)
			return true;
		if (denies_whole_host(&p->rules[i]))
			return false;
	}
	return false;
}

bool policy_host_tunnelled(const struct policy *p, struct str host)
{
	struct index_walk walk;
	uint32_t i;

	index_find(&p->index, host, &walk);
	while (index_next(&walk, &i))
		if (p->rules[i].rule.kind != POLICY_KIND_HTTP && p->rules[i].rule.verdict != POLICY_DENY)
			return true;
	return false;
}

bool policy_host_matches(struct str pattern, struct str host)
{
	if (pattern.n == 0 || pattern.p[0] != '*')
		return str_eq(pattern, host);
	if (host.n == 0 || host_is_literal(host))
		return false;
	return pattern.n == 1 ||
	       (pattern.n > 2 && host.n > pattern.n - 1 && str_ends(host, str_from(pattern, 1)));
}

bool policy_glob(struct str pattern, struct str path) { return glob_match(pattern, path, GLOB_URL); }

bool host_covers(struct str wide, struct str narrow)
{
	if (str_eq(wide, narrow))
		return true;
	if (narrow.n == 0 || narrow.p[0] != '*')
		return policy_host_matches(wide, narrow);
	if (wide.n == 0 || wide.p[0] != '*' || narrow.n == 1)
		return false;
	return wide.n == 1 || (narrow.n > wide.n && str_ends(narrow, str_from(wide, 1)));
}
