/* explain.c - why: the rule, its line, and what would have to change
 *
 * Theory of operation: the decision is policy_match()'s own, never a second opinion. For a
 * denial by default the rules that name the host are looked at once more, and the one that
 * differs on the fewest axes is the nearest; if none names the host, that is the answer. So
 * a denial costs no more than a match, and an agent cannot make it cost more.
 * What is printed of the request is canonical (no control byte) and cut to a length.
 */
#include "policy/match.h"

#define SHOWN_MAX  160 /* bytes of a path, and of a query */
#define LISTED_MAX 8   /* methods named before "..." */

static const char *const axis_name[MATCH_AXES] = {
	[MATCH_HOST] = "host", [MATCH_METHOD] = "method", [MATCH_SCHEME] = "scheme",   [MATCH_PORT] = "port",
	[MATCH_PATH] = "path", [MATCH_QUERY] = "query",	  [MATCH_HEADERS] = "headers",
};

struct reason {
	const struct compiled_rule *rule;    /* that matched, or NULL */
	const struct compiled_rule *nearest; /* if none did and one is near, else NULL */
	bool differs[MATCH_AXES];	     /* of the nearest */
	bool host_named;
};

static void put_cut(struct buf *b, struct str s)
{
	buf_put(b, str_head(s, SHOWN_MAX));
	if (s.n > SHOWN_MAX)
		buf_put_z(b, "...");
}

static void put_url(struct buf *b, const struct head *h)
{
	bool six = str_find(h->host, ':') < h->host.n;

	buf_put_z(b, h->scheme == HEAD_HTTPS ? "https://" : "http://");
	buf_put_z(b, six ? "[" : "");
	buf_put(b, h->host);
	buf_put_z(b, six ? "]" : "");
	if (h->port != (h->scheme == HEAD_HTTPS ? 443 : 80))
		buf_printf(b, ":%u", h->port);
	put_cut(b, h->path);
	if (h->has_query) {
		buf_put_z(b, "?");
		put_cut(b, h->query);
	}
}

/* JSON text; what is not UTF-8 (a file's name) becomes '?' byte by byte. */
static void put_json(struct buf *b, struct str s)
{
	bool utf8 = str_is_utf8(s);

	buf_put_byte(b, '"');
	for (size_t i = 0; i < s.n; i++) {
		uint8_t c = (uint8_t)s.p[i];

		if (c == '"' || c == '\\')
			buf_put_byte(b, '\\');
		if (c < 0x20 || c == 0x7f)
			buf_printf(b, "\\u%04x", c);
		else
			buf_put_byte(b, c >= 0x80 && !utf8 ? '?' : c);
	}
	buf_put_byte(b, '"');
}

static void find_reason(const struct policy *p, const struct head *head, struct reason *ret)
{
	const struct policy_rule *rule = NULL;
	struct index_walk walk;
	unsigned best = MATCH_AXES;
	uint32_t i;

	*ret = (struct reason) { 0 };
	if (policy_match(p, head, &rule) == ERR_OK) {
		ret->rule = &p->rules[rule->index];
		return;
	}
	index_find(&p->index, head->host, &walk);
	while (index_next(&walk, &i)) {
		bool differs[MATCH_AXES] = { false };
		unsigned count = 0;

		ret->host_named = true;
		if (p->rules[i].rule.verdict == POLICY_DENY)
			continue;
		for (unsigned axis = MATCH_METHOD; axis < MATCH_AXES; axis++) {
			differs[axis] = !match_axis(&p->rules[i], head, (enum match_axis)axis);
			count += differs[axis];
		}
		if (count < best) {
			best = count;
			ret->nearest = &p->rules[i];
			memcpy(ret->differs, differs, sizeof differs);
		}
	}
}

static void put_methods(struct buf *b, const struct compiled_rule *r)
{
	for (uint32_t i = 0; i < r->method_count && i < LISTED_MAX; i++) {
		buf_put_z(b, i ? ", " : "");
		buf_put(b, r->methods[i]);
	}
	if (r->method_count > LISTED_MAX)
		buf_put_z(b, ", ...");
}

/* The first condition that the head does not meet. */
static void put_condition(struct buf *b, const struct compiled_rule *r, const struct head *h, bool query)
{
	uint32_t count = query ? r->query_count : r->header_count;

	for (uint32_t i = 0; i < count; i++) {
		const struct compiled_condition *c = query ? &r->query[i] : &r->headers[i];

		if (query ? match_query(c, h, false) : match_header(c, h, false))
			continue;
		buf_put_z(b, query ? "widen 'query', which wants every '"
				   : "widen 'headers', which wants every '");
		buf_put(b, c->name);
		buf_put_z(b, "' to match '");
		put_cut(b, c->glob);
		buf_put_z(b, "'");
		return;
	}
}

/* What would have to change in @r for it to agree with @h on @axis. */
static void put_change(struct buf *b, const struct compiled_rule *r, const struct head *h,
		       enum match_axis axis)
{
	switch (axis) {
	case MATCH_METHOD:
		buf_put_z(b, "add ");
		buf_put(b, h->method);
		buf_put_z(b, " to 'methods', which has ");
		put_methods(b, r);
		break;
	case MATCH_SCHEME:
		buf_printf(b, "add %s to 'schemes'", h->scheme == HEAD_HTTPS ? "https" : "http");
		break;
	case MATCH_PORT:
		buf_printf(b, "add %u to 'ports'", h->port);
		break;
	case MATCH_PATH:
		buf_put_z(b, "add '");
		put_cut(b, h->path);
		buf_put_z(b, "' to 'paths'");
		break;
	case MATCH_QUERY:
	case MATCH_HEADERS:
		put_condition(b, r, h, axis == MATCH_QUERY);
		break;
	case MATCH_HOST:
	case MATCH_AXES:
		break;
	}
}

static void put_rule(struct buf *b, const struct policy *p, const struct policy_rule *r)
{
	buf_put_z(b, "rule '");
	buf_put(b, r->name);
	buf_printf(b, "' (%s:%u)", p->file, r->line);
}

static void put_new_rule(struct buf *b, const struct head *h)
{
	buf_put_z(b, "add a rule with hosts: [");
	buf_put(b, h->host);
	buf_put_z(b, "], methods: [");
	buf_put(b, h->method);
	buf_put_z(b, "]");
}

static void put_differences(struct buf *b, const struct reason *w, const struct head *h, const char *before)
{
	bool first = true;

	for (unsigned axis = 0; axis < MATCH_AXES; axis++) {
		if (!w->differs[axis])
			continue;
		buf_put_z(b, first && before[0] != '\n' ? "" : before);
		buf_put_z(b, axis_name[axis]);
		buf_put_z(b, ": ");
		put_change(b, w->nearest, h, (enum match_axis)axis);
		first = false;
	}
}

static void put_text(struct buf *b, const struct policy *p, const struct head *h, const struct reason *w)
{
	static const char *const verdicts[] = {
		[POLICY_DENY] = "deny",
		[POLICY_ALLOW] = "allow",
		[POLICY_OBSERVE] = "observe",
	};
	const struct policy_rule *r = w->rule ? &w->rule->rule : NULL;

	buf_put_z(b, verdicts[r ? r->verdict : POLICY_DENY]);
	buf_put_z(b, "  ");
	buf_put(b, h->method);
	buf_put_z(b, " ");
	put_url(b, h);
	buf_put_z(b, "\n  ");
	if (r) {
		buf_put_z(b, "by ");
		put_rule(b, p, r);
		if (r->credential >= 0) {
			buf_put_z(b, ", with credential '");
			buf_put(b, p->credentials[r->credential].name);
			buf_put_z(b, "'");
		}
	} else if (p->none) {
		buf_put_z(b, "no policy is in force");
	} else if (!w->nearest) {
		buf_printf(b, "by default: no rule of %s %s this host\n  to allow it: ", p->file,
			   w->host_named ? "allows anything on" : "names");
		put_new_rule(b, h);
	} else {
		buf_printf(b, "by default: no rule of %s matches\n  nearest: ", p->file);
		put_rule(b, p, &w->nearest->rule);
		put_differences(b, w, h, "\n    ");
	}
	buf_put_z(b, "\n");
}

static void put_json_rule(struct buf *b, const struct policy_rule *r)
{
	buf_put_z(b, "{\"name\":");
	put_json(b, r->name);
	buf_printf(b, ",\"index\":%u,\"line\":%u", r->index, r->line);
}

static void put_json_nearest(struct buf *b, const struct head *h, const struct reason *w)
{
	auto_buf change = BUF_EMPTY;
	bool first = true;

	buf_init(&change, 2048);
	put_json_rule(b, &w->nearest->rule);
	buf_put_z(b, ",\"differs\":{");
	for (unsigned axis = 0; axis < MATCH_AXES; axis++) {
		if (!w->differs[axis])
			continue;
		buf_clear(&change);
		put_change(&change, w->nearest, h, (enum match_axis)axis);
		buf_printf(b, "%s\"%s\":", first ? "" : ",", axis_name[axis]);
		put_json(b, buf_str(&change));
		first = false;
	}
	buf_put_z(b, "}}");
}

static void put_object(struct buf *b, const struct policy *p, const struct head *h, const struct reason *w)
{
	static const char *const verdicts[] = {
		[POLICY_DENY] = "deny",
		[POLICY_ALLOW] = "allow",
		[POLICY_OBSERVE] = "observe",
	};
	const struct policy_rule *r = w->rule ? &w->rule->rule : NULL;
	auto_buf url = BUF_EMPTY;

	buf_init(&url, 2048);
	put_url(&url, h);
	buf_printf(b, "{\"verdict\":\"%s\",\"file\":", verdicts[r ? r->verdict : POLICY_DENY]);
	put_json(b, str_of(p->file));
	buf_printf(b, ",\"digest\":\"%s\",\"method\":", p->digest);
	put_json(b, h->method);
	buf_put_z(b, ",\"url\":");
	put_json(b, buf_str(&url));
	buf_put_z(b, ",\"rule\":");
	if (r) {
		put_json_rule(b, r);
		buf_put_z(b, "}");
	} else {
		buf_put_z(b, "null");
	}
	buf_put_z(b, ",\"credential\":");
	if (r && r->credential >= 0)
		put_json(b, p->credentials[r->credential].name);
	else
		buf_put_z(b, "null");
	buf_printf(b, ",\"host_named\":%s,\"nearest\":", r || w->host_named ? "true" : "false");
	if (w->nearest)
		put_json_nearest(b, h, w);
	else
		buf_put_z(b, "null");
	buf_put_z(b, "}\n");
}

enum err policy_explain(const struct policy *p, const struct head *head, bool json, struct buf *out)
{
	struct reason w;

	find_reason(p, head, &w);
	if (json)
		put_object(out, p, head, &w);
	else
		put_text(out, p, head, &w);
	return buf_err(out);
}

enum err policy_denial_text(const struct policy *p, const struct head *head, struct buf *out)
{
	struct reason w;

	find_reason(p, head, &w);
	if (p->none) {
		buf_put_z(out, "no policy is in force, so everything is denied");
		return buf_err(out);
	}
	if (w.rule) {
		put_rule(out, p, &w.rule->rule);
		buf_put_z(out, w.rule->rule.verdict == POLICY_DENY ? " denies " : " allows ");
	} else {
		buf_printf(out, "no rule of %s allows ", p->file);
	}
	buf_put(out, head->method);
	buf_put_z(out, " ");
	put_url(out, head);
	if (w.nearest) {
		buf_put_z(out, "; nearest: ");
		put_rule(out, p, &w.nearest->rule);
		buf_put_z(out, ", which differs in ");
		put_differences(out, &w, head, "; ");
	} else if (!w.rule) {
		buf_put_z(out, w.host_named ? "; no rule allows anything on this host: "
					    : "; no rule names this host: ");
		put_new_rule(out, head);
	}
	return buf_err(out);
}
