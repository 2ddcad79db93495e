/* explain_json.c - an explanation as one JSON object */
#include "policy/explain.h"

void explain_put_json(struct buf *b, struct str s)
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

void explain_put_json_rule(struct buf *b, const struct policy_rule *r)
{
	buf_put_z(b, "{\"name\":");
	explain_put_json(b, r->name);
	buf_printf(b, ",\"index\":%u,\"line\":%u", r->index, r->line);
}

static void put_json_nearest(struct buf *b, const struct head *h, const struct explain *w)
{
	auto_buf change = BUF_EMPTY;
	bool first = true;

	buf_init(&change, 2048);
	explain_put_json_rule(b, &w->nearest->rule);
	buf_put_z(b, ",\"differs\":{");
	for (unsigned axis = 0; axis < MATCH_AXES; axis++) {
		if (!w->differs[axis])
			continue;
		buf_clear(&change);
		explain_put_change(&change, w->nearest, h, (enum match_axis)axis);
		buf_printf(b, "%s\"%s\":", first ? "" : ",", explain_axes[axis]);
		explain_put_json(b, buf_str(&change));
		first = false;
	}
	buf_put_z(b, "}}");
}

/* What the rule's protocol sees in the request, and what the rule asks for. */
static void put_protocol(struct buf *b, const struct policy_rule *r, const struct head *h)
{
	const struct protocol *protocol = protocol_of(r);
	struct protocol_facts facts;
	auto_buf words = BUF_EMPTY;

	if (!protocol) {
		buf_put_z(b, "null");
		return;
	}
	buf_init(&words, 4096);
	protocol->describe(r->data, &words);
	buf_printf(b, "{\"name\":\"%s\",\"rule\":", protocol->name);
	explain_put_json(b, buf_str(&words));
	buf_put_z(b, ",\"facts\":{");
	protocol_facts_init(&facts);
	if (protocol->facts(r->data, h, &facts) == PROTOCOL_YES)
		for (uint32_t i = 0; i < facts.count; i++) {
			buf_put_z(b, i ? "," : "");
			explain_put_json(b, facts.items[i].name);
			buf_put_z(b, ":");
			explain_put_json(b, facts.items[i].value);
		}
	protocol_facts_free(&facts);
	buf_put_z(b, "}}");
}

static void put_texts(struct buf *b, const char *name, const struct str *items, uint32_t count)
{
	buf_printf(b, "\"%s\":[", name);
	for (uint32_t i = 0; i < count; i++) {
		buf_put_z(b, i ? "," : "");
		explain_put_json(b, items[i]);
	}
	buf_put_z(b, "],");
}

static void put_websocket(struct buf *b, const struct policy_websocket *w)
{
	if (!w) {
		buf_put_z(b, "null");
		return;
	}
	buf_put_z(b, "{");
	put_texts(b, "allow", w->allow, w->allow_count);
	put_texts(b, "deny", w->deny, w->deny_count);
	buf_printf(b, "\"binary\":%s,\"message_max\":%llu}", w->binary ? "true" : "false",
		   (unsigned long long)w->message_max);
}

/* null, if there is none */
static void put_text(struct buf *b, struct str s)
{
	if (s.n)
		explain_put_json(b, s);
	else
		buf_put_z(b, "null");
}

static void put_decision(struct buf *b, const struct policy *p, const struct head *h, const struct explain *w)
{
	const struct policy_rule *r = &w->rule->rule;
	auto_buf why = BUF_EMPTY;

	buf_init(&why, 4096);
	explain_put_json_rule(b, r);
	buf_put_z(b, "},\"credential\":");
	if (r->credential >= 0)
		explain_put_json(b, p->credentials[r->credential].name);
	else
		buf_put_z(b, "null");
	buf_put_z(b, ",\"protocol\":");
	put_protocol(b, r, h);
	buf_put_z(b, ",\"websocket\":");
	put_websocket(b, r->websocket);
	buf_printf(b, ",\"unscrubbed\":%s,\"refusal\":", r->unscrubbed ? "true" : "false");
	explain_put_refusal(&why, w);
	if (w->answer == PROTOCOL_REFUSES && r->verdict == POLICY_ALLOW)
		buf_put(&why, buf_str(&w->words));
	put_text(b, buf_str(&why));
	buf_put_z(b, ",\"may_refuse\":");
	put_text(b, w->answer == PROTOCOL_OPEN ? buf_str(&w->words) : STR(""));
	buf_put_z(b, ",\"would_deny\":");
	put_text(b, w->answer == PROTOCOL_REFUSES && r->verdict == POLICY_OBSERVE ? buf_str(&w->words)
										  : STR(""));
}

void explain_object(struct buf *b, const struct policy *p, const struct head *h, const struct explain *w)
{
	auto_buf url = BUF_EMPTY;

	buf_init(&url, 2048);
	explain_put_url(&url, h);
	buf_printf(b, "{\"verdict\":\"%s\",\"file\":", explain_word(w));
	explain_put_json(b, str_of(p->file));
	buf_printf(b, ",\"digest\":\"%s\",\"method\":", p->digest);
	explain_put_json(b, h->method);
	buf_put_z(b, ",\"url\":");
	explain_put_json(b, buf_str(&url));
	buf_put_z(b, ",\"rule\":");
	if (w->rule)
		put_decision(b, p, h, w);
	else
		buf_put_z(b, "null,\"credential\":null");
	buf_printf(b, ",\"host_named\":%s,\"nearest\":", w->rule || w->host_named ? "true" : "false");
	if (w->nearest)
		put_json_nearest(b, h, w);
	else
		buf_put_z(b, "null");
	buf_put_z(b, ",\"tunnel\":");
	if (w->tunnel) {
		explain_put_json_rule(b, &w->tunnel->rule);
		buf_put_z(b, "}");
	} else {
		buf_put_z(b, "null");
	}
	buf_put_z(b, "}\n");
}
