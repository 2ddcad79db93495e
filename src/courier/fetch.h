/* fetch.h - the courier's own requests: tokens, package metadata
 *
 * Each is an exchange with an intent and an outcome of its own in the trail (I3), names the request of the
 * agent's that it serves, resolves, judges addresses, verifies and counts as theirs do. Requests and answers
 * may hold secrets: both live in secret memory and are wiped. HTTP/1.1 only, one request a
 * connection, at most FETCH_AT_ONCE at a time, no redirects (a redirect is an answer like another).
 */
#pragma once

#include "courier/courier.h"

#define FETCH_AT_ONCE 16
#define FETCH_ANSWER_MAX (32u * 1024 * 1024)
#define FETCH_TIMEOUT_MS 20000

struct fetch;

struct fetch_request {
	const char *purpose;			/* static: "token", "metadata"; for the record */
	struct str parent;			/* request id that it serves; copied */
	struct str credential;			/* name, for the record; may be empty. With one, nothing goes in
						   clear text to a public address */
	enum head_scheme scheme;
	struct str host, method, path, query;	/* canonical; copied */
	bool has_query;
	uint16_t port;
	uint32_t field_count;			/* besides host and content-length; copied */
	const struct head_field *fields;
	struct str body;			/* copied; with POST, PUT and
						   PATCH also an empty one is sent */
	uint32_t address_count;			/* private ranges that may be dialled */
	const struct policy_cidr *addresses;	/* copied */
	size_t answer_max;			/* <= FETCH_ANSWER_MAX; a longer
						   answer is ERR_BODY_TOO_LARGE */
	uint64_t timeout_ms;			/* 0: FETCH_TIMEOUT_MS */
};

/** fetch_done - once, never from within fetch_start(); @head and @body are borrowed for the call.
 *  @e: ERR_OK (whatever the status), else @head is NULL: ERR_RESOLVE, ERR_DIAL, ERR_ADDRESS_REFUSED,
 *  ERR_UPSTREAM_*, ERR_BODY_TOO_LARGE, ERR_LIMIT, ERR_CREDENTIAL (clear text),
 *  ERR_MEMORY; @reason: static words, maybe empty. It may start and cancel fetches. */
typedef void fetch_done(void *user, enum err e, const char *reason, const struct head *head, struct str body);

/** fetch_start() - ERR_OK and *ret; ERR_LIMIT (FETCH_AT_ONCE, or a limit of the sandbox's), ERR_INPUT (not
 *  canonical), ERR_AUDIT (its intent cannot be stored), ERR_STATE (the sandbox is ending), ERR_MEMORY */
must_use enum err fetch_start(struct courier *c, const struct fetch_request *r, fetch_done *done, void *user,
			      struct fetch **ret);
/** fetch_cancel() - @done will not be called; idempotent on NULL */
void fetch_cancel(struct fetch *f);

/** fetch_tick() - deadlines; at least once a second */
void fetch_tick(struct courier *c, uint64_t now_ms);
/** fetch_end_all() - the sandbox ends: outcomes are recorded, nobody is called */
void fetch_end_all(struct courier *c);
