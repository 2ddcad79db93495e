/* compile_part.c - what a network rule is beyond its conditions, judged
 *
 * A rule for tunnels (passthrough, tcp) speaks of names, ports and addresses alone: every key that would
 * need the bytes to be opened is refused with that reason. A rule for requests may have a protocol, or say
 * what WebSockets may carry.
 */
#include "policy/compile.h"

#include "base/glob.h"
#include "policy/protocol_git.h"
#include "policy/registry.h"
#include "wire/websocket.h"

static enum err refuse_conditions(struct compile *c, const struct document_rule *in, enum policy_kind kind)
{
	const struct {
		const char *name;
		struct place at;
	} keys[] = {
		{ "methods", in->methods.at },
		{ "schemes", in->schemes.at },
		{ "paths", in->paths.at },
		{ "query", in->query.at },
		{ "headers", in->headers.at },
		{ "credential", in->credential.at },
		{ "request_body_max", in->request_body_max.at },
		{ "response_body_max", in->response_body_max.at },
		{ "unscrubbed", in->unscrubbed.at },
		{ "websocket", in->websocket ? in->websocket->at : (struct place) { 0, 0 } },
		{ "git", in->git ? in->git->at : (struct place) { 0, 0 } },
		{ "registry", in->registry ? in->registry->at : (struct place) { 0, 0 } },
	};

	for (size_t i = 0; i < sizeof keys / sizeof *keys; i++)
		if (keys[i].at.line)
			return compile_fail(
				c, keys[i].at,
				kind == POLICY_KIND_PASSTHROUGH
					? "'%s' is not possible with 'passthrough': TLS is not opened, so "
					  "that only names, ports and addresses can be judged"
					: "'%s' is not possible with 'tcp': the bytes are not looked into, "
					  "so that only names, ports and addresses can be judged",
				keys[i].name);
	return ERR_OK;
}

/* A tunnel must have a name to hold its other end to: a ClientHello names no address and no pattern. */
static enum err check_tunnel_host(struct compile *c, const struct document_text *t, enum policy_kind kind)
{
	enum host_type type = host_type(t->text);

	if (kind == POLICY_KIND_TCP && type == HOST_INVALID)
		return compile_fail(
			c, t->at,
			"'%.*s': a rule with 'tcp' needs exact names or IP addresses, one for each host",
			STR_FMT(node_quote(t->text)));
	if (kind == POLICY_KIND_PASSTHROUGH && str_eq(t->text, STR("*")))
		return compile_fail(c, t->at,
				    "with 'passthrough' on every host nothing would be inspected: name "
				    "the hosts that need it");
	if (kind == POLICY_KIND_PASSTHROUGH && (type == HOST_IPV4 || type == HOST_IPV6))
		return compile_fail(
			c, t->at,
			"'%.*s': 'passthrough' goes by the name that TLS tells, which is never an "
			"address: use 'tcp'",
			STR_FMT(node_quote(t->text)));
	return ERR_OK;
}

enum err compile_kind(struct compile *c, const struct document_rule *in, struct compiled_rule *out)
{
	enum err err;

	out->rule.kind = in->passthrough.value ? POLICY_KIND_PASSTHROUGH
			 : in->tcp.value       ? POLICY_KIND_TCP
					       : POLICY_KIND_HTTP;
	if (in->passthrough.value && in->tcp.value)
		return compile_fail(c, in->tcp.at, "expected one of 'passthrough' and 'tcp'");
	if (out->rule.kind == POLICY_KIND_HTTP)
		return ERR_OK;
	if (out->rule.verdict == POLICY_DENY)
		return compile_fail(
			c, in->verdict.at,
			"what is denied needs no tunnel: a rule with methods: [\"*\"] and no '%s' denies "
			"all that goes to a host",
			in->tcp.value ? "tcp" : "passthrough");
	out->schemes = 1u << HEAD_HTTPS | (in->tcp.value ? 1u << HEAD_HTTP : 0);
	err = refuse_conditions(c, in, out->rule.kind);
	if (err == ERR_OK && out->rule.kind == POLICY_KIND_TCP && !in->ports.at.line)
		return compile_fail(c, in->at, "a rule with 'tcp' needs 'ports', such as [5432]");
	for (uint32_t i = 0; i < in->hosts.count && err == ERR_OK; i++)
		err = check_tunnel_host(c, &in->hosts.items[i], out->rule.kind);
	return err;
}

static enum err check_message_glob(struct compile *c, const struct document_text *t)
{
	if (t->text.n == 0 || t->text.n > GLOB_MAX)
		return compile_fail(c, t->at, "expected a text glob of 1 to %d bytes, such as '*'", GLOB_MAX);
	return ERR_OK;
}

/* A handshake is a GET, whatever was asked for over it later. */
static bool can_begin(const struct compiled_rule *r)
{
	for (uint32_t i = 0; i < r->method_count; i++)
		if (str_eq(r->methods[i], STR("GET")))
			return true;
	return r->method_count == 0;
}

static enum err compile_websocket(struct compile *c, const struct document_websocket *in,
				  struct compiled_rule *out)
{
	struct policy_websocket *w = arena_alloc(c->a, sizeof *w);
	enum err err = ERR_OK;

	if (!w)
		return ERR_MEMORY;
	if (!can_begin(out))
		return compile_fail(c, in->at, "a WebSocket begins with a GET: add GET to 'methods'");
	if (in->message_max.at.line &&
	    (in->message_max.value == 0 || in->message_max.value > WEBSOCKET_MESSAGE_MAX))
		return compile_fail(c, in->message_max.at,
				    "'message_max' is out of range: expected 1B to %uMiB",
				    WEBSOCKET_MESSAGE_MAX >> 20);
	if (in->allow.at.line)
		err = compile_texts(c, &in->allow, "allow", check_message_glob, &w->allow_count, &w->allow);
	if (err == ERR_OK && in->deny.at.line)
		err = compile_texts(c, &in->deny, "deny", check_message_glob, &w->deny_count, &w->deny);
	w->binary = in->binary.value;
	w->message_max = in->message_max.at.line ? in->message_max.value : WEBSOCKET_MESSAGE_MAX;
	out->rule.websocket = w;
	return err;
}

enum err compile_parts(struct compile *c, const struct document_rule *in, struct compiled_rule *out)
{
	static const char *const words[] = { "refuse", "pass" };
	unsigned unscrubbed;
	enum err err = compile_choice(c, &in->unscrubbed, "unscrubbed", words, 2, 0, &unscrubbed);

	if (err != ERR_OK)
		return err;
	out->rule.unscrubbed = unscrubbed == 1;
	if (in->git && in->registry)
		return compile_fail(c, in->registry->at,
				    "expected one of 'git' and 'registry': give each a rule");
	if (in->websocket && (in->git || in->registry))
		return compile_fail(c, in->websocket->at,
				    "no WebSocket is part of git or a registry: give it a rule "
				    "of its own");
	if (in->git) {
		out->rule.protocol = POLICY_PROTOCOL_GIT;
		err = protocol_git_compile(c, in->git, out->rule.verdict, &out->rule.data);
	}
	if (in->registry) {
		out->rule.protocol = POLICY_PROTOCOL_REGISTRY;
		err = registry_compile(c, in->registry, out->rule.verdict, &out->rule.data);
	}
	if (err == ERR_OK && in->websocket)
		err = compile_websocket(c, in->websocket, out);
	return err;
}
