/* explain_tunnel.c - why a connection would pass unopened, or would not
 *
 * The decision is policy_match_tunnel()'s own, asked for both kinds: whether a connection carries TLS is not
 * known before its first bytes.
 */
#include "policy/explain.h"

struct answer {
	enum policy_kind kind;		 /* HTTP: no tunnel */
	const struct policy_rule *rule;	 /* that decides, or NULL */
	const struct policy_rule *first; /* if none decides: the first that names host and port, or NULL */
};

static void put_target(struct buf *b, struct str host, uint16_t port)
{
	bool six = str_find(host, ':') < host.n;

	buf_put_z(b, six ? "[" : "");
	buf_put(b, host);
	buf_printf(b, "%s:%u", six ? "]" : "", port);
}

static void find(const struct policy *p, struct str host, uint16_t port, struct answer *ret)
{
	static const enum policy_kind kinds[] = { POLICY_KIND_TCP, POLICY_KIND_PASSTHROUGH };

	*ret = (struct answer) { .kind = POLICY_KIND_HTTP };
	for (size_t i = 0; i < 2 && !ret->rule; i++)
		if (policy_match_tunnel(p, kinds[i], host, port, &ret->rule) == ERR_OK)
			ret->kind = ret->rule->kind;
	if (!ret->rule)
		ret->first = match_first_named(p, host, port);
}

static const char *consequence(enum policy_kind kind)
{
	return kind == POLICY_KIND_PASSTHROUGH
		       ? "TLS is not opened: no method, path or credential is possible; the name in it must "
			 "be this"
		       : "the bytes are not looked into: no method, path or credential is possible";
}

static void put_text(struct buf *b, const struct policy *p, struct str host, uint16_t port,
		     const struct answer *a)
{
	buf_put_z(b, explain_verdicts[a->rule ? a->rule->verdict : POLICY_DENY]);
	buf_put_z(b, "  CONNECT ");
	put_target(b, host, port);
	buf_put_z(b, "\n  ");
	if (p->none) {
		buf_put_z(b, "no policy is in force");
	} else if (a->rule) {
		buf_put_z(b, "by ");
		explain_put_rule(b, p, a->rule);
		buf_put_z(b, "\n    ");
		buf_put_z(b, a->kind == POLICY_KIND_HTTP ? "it denies every request, and so every tunnel"
							 : consequence(a->kind));
	} else if (a->first) {
		buf_put_z(b, "by ");
		explain_put_rule(b, p, a->first);
		buf_put_z(b,
			  "\n    it has such connections opened, to judge each request: explain one of them");
	} else {
		buf_printf(b,
			   "by default: no rule of %s names this host and port\n  to allow it unopened: add "
			   "a rule "
			   "with hosts: [",
			   p->file);
		buf_put(b, host);
		buf_printf(b, "], ports: [%u], and passthrough: true (TLS) or tcp: true", port);
	}
	buf_put_z(b, "\n");
}

static void put_object(struct buf *b, const struct policy *p, struct str host, uint16_t port,
		       const struct answer *a)
{
	const struct policy_rule *r = a->rule ? a->rule : a->first;
	auto_buf target = BUF_EMPTY;

	buf_init(&target, 512);
	put_target(&target, host, port);
	buf_printf(b, "{\"verdict\":\"%s\",\"file\":",
		   explain_verdicts[a->rule ? a->rule->verdict : POLICY_DENY]);
	explain_put_json(b, str_of(p->file));
	buf_printf(b, ",\"digest\":\"%s\",\"method\":\"CONNECT\",\"target\":", p->digest);
	explain_put_json(b, buf_str(&target));
	buf_put_z(b, ",\"rule\":");
	if (r) {
		explain_put_json_rule(b, r);
		buf_put_z(b, "}");
	} else {
		buf_put_z(b, "null");
	}
	buf_printf(b, ",\"tunnel\":%s,\"opened\":%s}\n",
		   a->kind == POLICY_KIND_PASSTHROUGH ? "\"passthrough\""
		   : a->kind == POLICY_KIND_TCP	      ? "\"tcp\""
						      : "null",
		   a->first ? "true" : "false");
}

enum err policy_explain_tunnel(const struct policy *p, struct str host, uint16_t port, bool json,
			       struct buf *out)
{
	struct answer a;

	find(p, host, port, &a);
	if (json)
		put_object(out, p, host, port, &a);
	else
		put_text(out, p, host, port, &a);
	return buf_err(out);
}
