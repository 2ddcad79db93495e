/* deny.h - what an agent reads when its request ends in Paddock */
#pragma once

#include "policy/policy.h"

struct deny {
	enum err result;
	const char *reason;		/* our own words; may be "" */
	const struct head *head;	/* NULL: the request was never understood */
	const struct policy *policy;	/* NULL: not decided */
	const struct policy_rule *rule;	/* NULL: none matched */
	struct str credential;		/* whose placeholder was blocked; or empty */
	const char *request_id;
};

/** deny_body() - appends the JSON of an answer with err_http_status(d->result):
 *  {"error":{"message":..,"type":..},"paddock":{"verdict","result","rule","policy","line",
 *  "request_id","change"},"type":"error"}
 * Return: ERR_OK, ERR_MEMORY, ERR_LIMIT */
must_use enum err deny_body(const struct deny *d, struct buf *out);
