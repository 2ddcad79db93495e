/* courier.h - the process that decides: its links, and what they ask of it
 *
 * courier_prepare() does all that needs files, before confinement; courier_start() reads the first
 * byte of a peer's, after it. What goes on in one request is in exchange.c.
 *
 * Control socket (SOCK_SEQPACKET, JSON), from the supervisor:
 *   {"op":"reload","policy":"text"}   or without "policy", and the text in a file that comes with it (SCM_RIGHTS)
 *   {"op":"stop","result":"...","exit_code":0}     result and exit_code are optional
 * and to it, without waiting for it:
 *   {"op":"ready"}   {"op":"reloaded","policy_digest":"..."}   {"op":"reload-refused","text":"..."}
 */
#pragma once

#include "audit/audit.h"
#include "courier/carrier.h"
#include "courier/config.h"
#include "courier/keeper_client.h"
#include "courier/snapshot.h"
#include "courier/vault.h"
#include "os/channel.h"

#define COURIER_CONTROL_MAX (64ul * 1024)	/* one control message; a longer policy comes as a file */
#define COURIER_REQUESTS_DEFAULT 1000000	/* limits.requests when the policy has none */
#define COURIER_BYTES_DEFAULT (1ull << 40)	/* limits.bytes, both directions together */
#define COURIER_STREAMS_MAX 512			/* exchanges and questions at once */
#define COURIER_CLIENT_STREAMS_MAX 128		/* exchanges and tunnels at once of one client of an explicit proxy */
#define COURIER_BODIES_MAX (256ull << 20)	/* bytes of bodies and messages that wait here, of all exchanges */
#define COURIER_CHECKPOINT_MS 60000
#define COURIER_STOP_MS 5000			/* the end waits so long for refresh tokens that are spent: token.h */
#define COURIER_RESULT_MAX 256			/* of a stop record */

enum courier_peer { COURIER_INSPECTOR, COURIER_SUPERVISOR, COURIER_TERMINAL, COURIER_FILES, COURIER_PEERS };

struct courier_options {
	uv_loop_t *loop;
	struct config *config;			/* borrowed */
	int links[COURIER_PEERS];		/* taken; -1: not there */
	int keeper, directory, control;		/* borrowed; control -1: none */
	int decoder;				/* borrowed; -1: none, and what needs one is refused */
	/** the courier has ended: nothing more will be recorded. May be NULL. */
	void (*stopped)(void *user);
	void *user;
};

struct exchange;
struct tunnel;
struct courier;

/** struct courier_stream - what stands behind a stream's user
 *  pointer on the inspector's link: the first member of its owner */
struct courier_stream {
	void (*frame)(struct courier_stream *s, const struct link_frame *f);
};

/** struct courier_doubt - an upstream may have refused keys that only sign: when; the keeper is to be told */
struct courier_doubt {
	uint64_t at_ms;
	bool due;
};

struct answer;
struct leaf_wait;

/** struct courier_link - one link, and how much its sender may still put on record (questions.c) */
struct courier_link {
	struct courier *courier;
	enum courier_peer peer;
	struct channel *channel;		/* NULL: not there, or over */
	struct answer *answers, **answers_end;	/* that wait for room on the link, oldest first */
	struct leaf_wait *leaf_waits;		/* certificates that the keeper makes */
	uint64_t tokens, tokens_at_ms;		/* thousandths of a record */
	uint64_t dropped, dropped_total;
};

struct courier {
	struct courier_options options;
	struct courier_link links[COURIER_PEERS];
	struct upstream_tls_context *tls;
	struct upstream *upstream;		/* connections, and */
	struct carriers *carriers;		/* what exchanges have of them */
	struct keeper_client *keeper;
	struct vault *vault;
	struct spool *spool;
	struct snapshot *snapshot;		/* in force */
	struct leaves *leaves;
	struct exchange *exchanges;		/* all that run */
	struct exchange_cursor *cursor;		/* exchange_each() that runs now */
	struct tunnel *tunnels;
	struct tokens *tokens;			/* got for the agent */
	struct certificates *certificates;
	struct fetch *fetches;			/* the courier's own requests that run */
	uint32_t fetch_count;
	uint64_t fetch_number;
	struct registry_table *registry_tables;	/* what registries' metadata says: registry_table.h */
	struct waiter *registry_waits;	/* exchanges that wait for room there */
	unsigned registry_busy;			/* tables that are fetched, or read */
	unsigned registry_filters;		/* answers that are, or will be, filtered */
	unsigned decodes;			/* jobs of the decoder that run: decode.h */
	uint64_t bodies;			/* bytes that wait, against COURIER_BODIES_MAX */
	uint64_t request_number, bytes;		/* counted against the limits */
	uint16_t client_streams[CONFIG_CLIENTS_MAX];	/* exchanges and tunnels that run,
							   of each of config->clients */
	uint32_t reflections[POLICY_CREDENTIALS_MAX];	/* answers that held a secret,
							   by vault_number(): detach.c */
	uint64_t detached[POLICY_CREDENTIALS_MAX / 64];
	bool detach_due;
	struct courier_doubt doubts[POLICY_CREDENTIALS_MAX];	/* by vault_number() */
	uint64_t allowed, denied, limited;	/* for the stop record */
	bool limit_recorded, client_limit_recorded;
	bool stopping;
	char result[COURIER_RESULT_MAX + 1];	/* what courier_stop() said, while that waits */
	int exit_code;
	uint64_t stop_by_ms;
	bool store_failed;
	uv_timer_t tick;
	uv_prepare_t turn;
	uv_poll_t control;
	unsigned handles_open;
	char *control_message;
	uint64_t checkpoint_at_ms, checkpoint_seq, last_seq;
};

/** courier_prepare() - policy, trust store, resolver; *ret_problem: words for the operator
 * Return: ERR_OK; ERR_POLICY_SYNTAX, ERR_INPUT, ERR_LOCAL, ERR_MEMORY */
must_use enum err courier_prepare(const struct courier_options *o, struct courier **ret, char *ret_problem,
				  size_t problem_bytes);
/** courier_start() - opens the trail, writes the start record, and listens. ERR_AUDIT, ERR_LOCAL,
 *  ERR_MEMORY; then courier_free() is the only call left */
must_use enum err courier_start(struct courier *c);
/** courier_stop() - ends every exchange, writes the stop record and the last checkpoint; `stopped`
 *  is called. At once, or, while a refresh is under way, when that is over or COURIER_STOP_MS have
 *  passed; another call waits no longer. @result, @exit_code (-1: unknown) go into the record. */
void courier_stop(struct courier *c, struct str result, int exit_code);
/** courier_free() - run the loop once more afterwards, so that its handles close; NULL is fine */
void courier_free(struct courier *c);

/** courier_reload() - another policy text; the old one stays on failure, which is recorded */
void courier_reload(struct courier *c, struct str text);
/** courier_limit_requests(), courier_limit_bytes() - of the policy in force */
uint64_t courier_limit_requests(const struct courier *c);
uint64_t courier_limit_bytes(const struct courier *c);
/** courier_limit_reached() - recorded once, counted from then on */
void courier_limit_reached(struct courier *c, const char *what);
/** courier_client_enter() - a request that brings @token begins:
 * courier_client_leave() when it is over (NULL is fine)
 * Return: ERR_OK and *ret as config_client(); ERR_UNAUTHORIZED;
 * ERR_LIMIT: that client has too many; ERR_MEMORY */
must_use enum err courier_client_enter(struct courier *c, struct str token, const struct config_client **ret);
void courier_client_leave(struct courier *c, const struct config_client *client);
