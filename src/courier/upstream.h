/* upstream.h - connections to upstreams: resolved, judged, dialled, verified, kept for reuse
 *
 * One connection carries one exchange at a time. An owner is told by `changed` that something
 * happened and then asks: upstream_status(), upstream_read(), upstream_write(). `changed` is
 * never called from within a function of this header.
 */
#pragma once

#include "courier/resolve.h"
#include "tls/upstream.h"

#define UPSTREAM_CONNECT_MS 10000	/* all addresses of one upstream together */
#define UPSTREAM_ATTEMPT_MS 4000	/* one address, while there are others */
#define UPSTREAM_TLS_MS 10000
#define UPSTREAM_IDLE_MS 30000		/* kept for reuse */
#define UPSTREAM_IDLE_BODY_MS 3000	/* reused for what cannot be tried again: under every common
					   server's own idle time (Node's is 5 s) */
#define UPSTREAM_IDLE_MAX 64

struct upstream;			/* all connections of the courier */
struct upstream_connection;

struct upstream_target {
	enum head_scheme scheme;
	struct str host;			/* canonical; copied */
	uint16_t port;
	uint64_t pool;				/* never shared between two numbers; 0: no credential */
	const void *client;			/* nor between two clients, whose answers and logins (of NTLM, which
						   is of a connection) are their own; NULL: there are none */
	uint32_t credential;			/* that goes over it, for upstream_drop():
						   vault_number() + 1; 0: none */
	struct str certificate;			/* PEM of a client certificate and its key, or empty; implied by
						   the pool's number; borrowed until READY or failed */
	bool http1_only;			/* HTTP/2 is not offered; whoever does not say so must be able to
						   speak it */
	const struct policy_rule *rule;		/* names addresses; borrowed until READY or failed */
	bool websocket;				/* for carrier_dial(): RFC 8441 where
						   it can be had, else http1_only */
	bool fresh;				/* no connection that was used before */
	bool secret;				/* for carrier_dial(), http1_only: the answer may hold one */
	bool repeatable;			/* can be tried again if a kept connection turns out dead */
};

struct upstream_options {
	uv_loop_t *loop;
	struct upstream_tls_context *tls;	/* borrowed */
	const struct resolve_override *overrides;	/* borrowed */
	uint32_t override_count;
};
/** upstream_new() - ERR_LOCAL, ERR_MEMORY */
must_use enum err upstream_new(const struct upstream_options *o, struct upstream **ret);
/** upstream_free() - all connections must have been released */
void upstream_free(struct upstream *u);
/** upstream_tick() - deadlines; at least once a second */
void upstream_tick(struct upstream *u, uint64_t now_ms);

/** upstream_drop() - idle connections with that credential are closed */
void upstream_drop(struct upstream *u, uint32_t credential);

/** upstream_dial() - a kept connection or a new one
 * Return: ERR_OK and *ret (see upstream_status()); ERR_LIMIT, ERR_MEMORY, ERR_LOCAL */
must_use enum err upstream_dial(struct upstream *u, const struct upstream_target *t,
				void (*changed)(void *user), void *user, struct upstream_connection **ret);
/** upstream_own() - from now on somebody else is told: who has the connection from whom had it dialled */
void upstream_own(struct upstream_connection *c, void (*changed)(void *user), void *user);
/** upstream_matches() - could @t have this connection, which is
 *  READY: same place, same pool, and an address that its rule admits? */
bool upstream_matches(const struct upstream_connection *c, const struct upstream_target *t);
/** upstream_status() - ERR_OK: ready; ERR_MORE: not yet; ERR_RESOLVE, ERR_ADDRESS_REFUSED,
 *  ERR_DIAL, ERR_UPSTREAM_TLS, ERR_UPSTREAM_TIMEOUT, ERR_MEMORY, ERR_LIMIT: it will never be */
must_use enum err upstream_status(const struct upstream_connection *c);
/** upstream_reason() - words for a failure, without bytes of the peer's; maybe empty */
const char *upstream_reason(const struct upstream_connection *c);
/** upstream_reused() - did it carry an exchange before this one? */
bool upstream_reused(const struct upstream_connection *c);
/** upstream_http2() - READY: did the upstream choose h2? */
bool upstream_http2(const struct upstream_connection *c);
/** upstream_no_protocol() - failed: because the upstream speaks no protocol that was offered to it? */
bool upstream_no_protocol(const struct upstream_connection *c);
/** upstream_address() - what was dialled, once ready */
const struct address *upstream_address(const struct upstream_connection *c);
/** upstream_overridden() - did the user's --resolve choose the address? */
bool upstream_overridden(const struct upstream_connection *c);

/** upstream_read() - up to @n bytes. ERR_OK with *ret_n > 0; ERR_MORE: `changed` will tell;
 *  ERR_CLOSED: an orderly end; ERR_UPSTREAM_CLOSED, ERR_UPSTREAM_TLS, ERR_MEMORY: broken off */
must_use enum err upstream_read(struct upstream_connection *c, char *p, size_t n, size_t *ret_n);
/** upstream_pending() - is there something to read that has been received already? */
bool upstream_pending(const struct upstream_connection *c);
/** upstream_write() - takes the front of @bytes. ERR_OK with *ret_n > 0; ERR_MORE: `changed` will
 *  tell; ERR_UPSTREAM_CLOSED, ERR_UPSTREAM_TLS, ERR_MEMORY */
must_use enum err upstream_write(struct upstream_connection *c, struct str bytes, size_t *ret_n);
/** upstream_end() - nothing more will be written: a plain connection says so to its peer, and is read on */
void upstream_end(struct upstream_connection *c);
/** upstream_release() - the owner is done; @keep: the exchange ended cleanly and another may follow */
void upstream_release(struct upstream_connection *c, bool keep);
