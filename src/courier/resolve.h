/* resolve.h - names of upstreams to addresses, by the host's own resolver
 *
 * Everything is opened that has to be before confinement: /etc/resolv.conf is read once.
 */
#pragma once

#include "courier/address.h"

#include <uv.h>

#define RESOLVE_ADDRESSES_MAX 8		/* of one answer; the rest is not looked at */
#define RESOLVE_OVERRIDES_MAX 64
#define RESOLVE_OUTSTANDING_MAX 512	/* queries at once, given-up ones included */
#define RESOLVE_ASKER_MAX 128		/* of them, those of one client of an explicit proxy */
#define RESOLVE_TRY_MS 2500		/* per server and try; three tries */

/** struct resolve_override - "HOST:PORT:ADDRESS[:PORT]" of the user's: @host and @port go to
 *  @address and @to_port. It counts as the user naming that address. */
struct resolve_override {
	struct str host;		/* canonical */
	uint16_t port, to_port;
	struct address address;
};

struct resolver;
struct resolve;				/* one query */

/** resolve_done - @result: ERR_OK with @count >= 1 addresses, in the order to be tried; ERR_RESOLVE */
typedef void resolve_done(void *user, enum err result, const struct address *addresses, uint32_t count);

/** resolver_new() - reads the host's configuration. ERR_LOCAL, ERR_MEMORY */
must_use enum err resolver_new(uv_loop_t *loop, struct resolver **ret);
/** resolver_free() - outstanding queries end without a call; run the loop once more afterwards */
void resolver_free(struct resolver *r);
/** resolve_start() - asks for the addresses of @host, a canonical name. @done may be called
 *  before it returns, and is called at most once, never after resolve_cancel().
 * @asker: for whom, of those who leave room to each other; NULL: nobody such
 * Return: ERR_OK and *ret_query, which is valid until @done is called; ERR_LIMIT, ERR_MEMORY */
must_use enum err resolve_start(struct resolver *r, struct str host, const void *asker, resolve_done *done,
				void *user, struct resolve **ret_query);
void resolve_cancel(struct resolve *query);
