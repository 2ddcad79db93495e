/* channel.h - a link on a descriptor, driven by libuv
 *
 * Reads when link_wants_input(), writes when there is output, hands each frame to the
 * owner. Closing is idempotent; after `closed` no callback comes any more.
 */
#pragma once

#include "wire/link.h"

#include <uv.h>

struct channel;

struct channel_ops {
	/** a frame has come; its payload is borrowed for the call */
	void (*frame)(void *user, const struct link_frame *f);
	/** output went out: streams that waited for room may send */
	void (*writable)(void *user);
	/** the channel is over: ERR_CLOSED (peer ended), ERR_LINK_*, ERR_LOCAL. Called once. */
	void (*closed)(void *user, enum err why);
	/** output is about to go out: what must be done before
	 * its reader learns of it; adds none. May be NULL */
	void (*sending)(void *user);
};

/** channel_new() - takes @fd (a stream socket, made non-blocking) and @link
 * Return: NULL without memory (then @fd and @link stay the caller's) */
struct channel *channel_new(uv_loop_t *loop, int fd, struct link *link,
			    const struct channel_ops *ops, void *user);
struct link *channel_link(struct channel *c);
/** channel_flush() - output was added: write what can be written, arrange for the rest;
 *  never calls back synchronously */
void channel_flush(struct channel *c);
/** channel_close() - frees @c and its link once libuv lets go; `closed` is not called */
void channel_close(struct channel *c);
