/* token_internal.h - what token.c and its ways to a token (token_grant.c, token_login.c) share */
#pragma once

#include "courier/exchange.h"
#include "courier/fetch.h"
#include "courier/token.h"
#include "credential/grant.h"

#define TOKEN_BUSY_MS 300	/* between looks at a lease that somebody has */
#define TOKEN_BUSY_MAX 60

struct token {
	struct tokens *owner;
	int32_t number;				/* vault_number() */
	const struct policy_credential *credential;	/* of `snapshot`; valid while busy */
	struct snapshot *snapshot;		/* NULL: nothing is under way */
	char parent[EXCHANGE_REQUEST_ID_BYTES];	/* the request that it is got for */

	char terms[65];				/* hash of what the policy asks
						   for: another is another token */
	const struct vault_secret *current;	/* counted; NULL: none */
	uint64_t renew_ms, expires_ms;		/* clock_boot_ms() */
	bool stale;				/* an upstream refused it */
	uint64_t refused_ms;
	struct waiter *waits;

	unsigned failures;
	uint64_t failed_until_ms;
	char reason[TOKEN_REASON_BYTES];

	/* of the attempt that is under way */
	const struct vault_secret *parts[KEEPER_PARTS];
	struct waiter part_waits[KEEPER_PARTS];
	struct keeper_call *call;
	struct fetch *fetch;
	struct buf account;			/* secret: fields of the keeper's
						   ACCOUNT, LOGIN or LEASE reply */
	struct buf assertion;			/* secret */
	struct buf used;			/* secret: the refresh token that was sent */
	bool unsearched;			/* what came cannot be searched for: nobody gets it */
	bool leased;				/* the file's lease is ours */
	unsigned busy;				/* looks at a lease that somebody else had */
	uint64_t again_ms;			/* step() is called by the tick; 0: not */

	/* a refresh token that could not be written to where the first came from */
	struct buf rotated;			/* secret; empty: none */
	char rotated_hash[65];			/* SHA-256 of the refresh token that the source has instead */
};

struct tokens {
	struct courier *courier;
	struct token *all[POLICY_CREDENTIALS_MAX];	/* by number */
	bool stopped;
};

/** token_step() - what is next on the way to a token; called again whenever something was answered */
void token_step(struct token *k);
void token_step_login(struct token *k);
/** token_good() - @access is the token, for @life_s; @early_s
 *  before its end another is got. Ends the attempt unless
 *  @more is to be done in it; who waits is told. */
void token_good(struct token *k, struct str access, uint64_t life_s, uint64_t early_s, bool more);
/** token_over() - the attempt has ended */
void token_over(struct token *k);
/** token_bad() - the attempt has failed; @format: words for the agent */
void token_bad(struct token *k, const char *format, ...) __attribute__((format(printf, 2, 3)));
/** token_bad_answer() - the endpoint's answer was none that has a token */
void token_bad_answer(struct token *k, enum err e, const char *reason, const struct head *head,
		      struct str body);
/** token_call() - asks the keeper; its answer goes to @answered with @k. Failures end the attempt. */
void token_call(struct token *k, enum keeper_op op, struct str text, keeper_answered *answered);
/** token_post() - a POST to the endpoint; its answer goes to @done with @k. Failures end the attempt. */
struct token_endpoint {
	enum head_scheme scheme;
	struct str host, path;
	uint16_t port;
	uint32_t address_count;
	const struct policy_cidr *addresses;
};
void token_post(struct token *k, const struct token_endpoint *to, bool json, struct str authorization,
		struct str body, fetch_done *done);
/** token_rotated() - @refresh took the place of k->used; token_unrotated(): what is to be used for
 *  @source, the token that the source has: its successor, if it could not be written there, or itself */
void token_rotated(struct token *k, struct str refresh);
struct str token_unrotated(struct token *k, struct str source);
/** token_put_hash() - SHA-256 in hex, appended */
void token_put_hash(struct str s, struct buf *out);
