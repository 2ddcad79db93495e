/* tunnel.h - a connection that passes unopened: `passthrough`
 * (TLS that nobody here opens) and `tcp` (raw bytes)
 *
 * There is no request in it: no method, no path, no credential. What can be judged is the name that DNS gave
 * and the port, and, for a passthrough, that the client's own ClientHello asks for this name, openly
 * (ERR_ECH). It has one intent and one outcome in the trail, and the sandbox's limits hold for it.
 */
#pragma once

#include "courier/courier.h"
#include "courier/queue.h"

#define TUNNEL_HELLO_MS 30000			/* until the ClientHello is whole */
#define TUNNEL_IDLE_MS (60 * 60 * 1000)		/* no byte either way: databases keep connections */
#define TUNNEL_HALF_MS (5 * 60 * 1000)		/* the same, once one side has ended */

struct tunnel;

/** tunnel_kind() - how a connection to @host and @port passes under the policy
 *  in force: POLICY_KIND_HTTP: it is opened, and its requests are judged */
enum policy_kind tunnel_kind(const struct courier *c, struct str host, uint16_t port);

/** tunnel_open() - a TUNNEL stream begins; resets it when it is refused */
void tunnel_open(struct courier *c, struct link *link, const struct link_frame *f);
/** tunnel_run() - after room came back on the link. May free @t. */
void tunnel_run(struct tunnel *t);
/** tunnel_run_all(), tunnel_tick(), tunnel_end_all() - for every tunnel of @c */
void tunnel_run_all(struct courier *c);
void tunnel_tick(struct courier *c, uint64_t now_ms);
void tunnel_end_all(struct courier *c, enum err why);
/** tunnel_judge_all() - after a reload: what the policy in force would
 *  not open is ended. Unlike an exchange, a tunnel has no end of its own. */
void tunnel_judge_all(struct courier *c);
