/* deny.c - what an agent reads when its request ends in Paddock
 *
 * Theory of operation: the outer form is the one that LLM clients know ("permission_error" ends
 * their retries), the inner object is for people and programs who want to know which rule of
 * which file said no, and what would have to change. It repeats nothing of a credential and
 * nothing of an upstream's bytes; the agent's own method, host and path come back escaped.
 */
#include "courier/deny.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>

#define TEXT_MAX 1024
#define CHANGE_MAX 4096

static const char *type_of(enum err e)
{
	switch (err_http_status(e)) {
	case 403: return "permission_error";
	case 413: return "request_too_large";
	case 429: return "rate_limit_error";
	default: return err_fault(e) == FAULT_AGENT ? "invalid_request_error" : "api_error";
	}
}

static bool by_policy(const struct deny *d)
{
	return d->result == ERR_POLICY_DENIED || d->result == ERR_PROTOCOL_UNRECOGNISED ||
	       (d->result == ERR_UPGRADE_REFUSED && d->rule && !d->rule->websocket);
}

static void put_message(const struct deny *d, struct buf *b)
{
	buf_put_z(b, "Paddock: ");
	buf_put_z(b, err_text(d->result));
	if (d->reason[0]) {
		buf_put_z(b, " (");
		buf_put_z(b, d->reason);
		buf_put_z(b, ")");
	}
	if (d->head)
		buf_printf(b, ": %.*s %.*s%.*s", STR_FMT(d->head->method), STR_FMT(d->head->host),
			   STR_FMT(str_head(d->head->path, 256)));
	if (by_policy(d) && d->policy)
		buf_printf(b, "; policy %.400s", policy_file(d->policy));
	if (by_policy(d) && d->rule)
		buf_printf(b, ", line %u", d->rule->line);
}

/* A string of ours or of the agent's; what is not UTF-8 is left out rather than repaired. */
static void set(json_t *o, const char *name, struct str s)
{
	json_t *v = s.n ? json_stringn(s.p, s.n) : NULL;

	if (v)
		json_object_set_new(o, name, v);
}

static void set_change(json_t *o, const struct deny *d)
{
	auto_buf text = BUF_EMPTY;

	buf_init(&text, CHANGE_MAX);
	if (by_policy(d) && d->policy && d->head &&
	    policy_denial_text(d->policy, d->head, &text) == ERR_OK && text.len)
		set(o, "change", buf_str(&text));
	else if (d->result == ERR_ADDRESS_REFUSED)
		set(o, "change",
		    STR("name the address in the rule's addresses, if it is meant to be reached"));
	else if (d->result == ERR_PLACEHOLDER_BLOCKED)
		set(o, "change", STR("send this credential only to the hosts that it is for"));
}

enum err deny_body(const struct deny *d, struct buf *out)
{
	json_t *root = json_object(), *error = json_object(), *paddock = json_object();
	auto_buf message = BUF_EMPTY;

	buf_init(&message, TEXT_MAX);
	put_message(d, &message);
	json_object_set_new(root, "type", json_string("error"));
	json_object_set_new(error, "type", json_string(type_of(d->result)));
	set(error, "message", buf_err(&message) == ERR_OK ? buf_str(&message) : str_of(err_text(d->result)));
	json_object_set_new(paddock, "verdict",
			    json_string(err_http_status(d->result) == 403 ? "deny" : "error"));
	json_object_set_new(paddock, "result", json_string(err_name(d->result)));
	set(paddock, "request_id", str_of(d->request_id));
	set(paddock, "credential", d->credential);
	if (d->policy)
		set(paddock, "policy", str_of(policy_file(d->policy)));
	if (d->rule) {
		set(paddock, "rule", d->rule->name);
		json_object_set_new(paddock, "line", json_integer(d->rule->line));
	}
	set_change(paddock, d);
	json_object_set_new(root, "error", error);
	json_object_set_new(root, "paddock", paddock);
	char *text = json_dumps(root, JSON_COMPACT | JSON_SORT_KEYS);

	json_decref(root);
	if (!text)
		return ERR_MEMORY;
	buf_put_z(out, text);
	buf_put_z(out, "\n");
	free(text);
	return buf_err(out);
}
