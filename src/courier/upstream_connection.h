/* upstream_connection.h - one connection to an upstream, as the files upstream*.c see it */
#pragma once

#include "courier/upstream.h"

enum upstream_state { RESOLVE, CONNECT, HANDSHAKE, READY, IDLE, FAILED };

struct upstream_connection {
	struct upstream *upstream;
	struct upstream_connection *next, **at;	/* list of all */
	enum upstream_state state;
	enum err error;
	const char *reason;
	void (*changed)(void *user);
	void *user;

	enum head_scheme scheme;
	uint16_t port, dial_port;
	uint64_t pool;
	const void *client;
	uint32_t credential;
	struct str certificate;
	bool http1_only;
	bool reused, overridden;
	char host[HEAD_HOST_MAX + 1];
	size_t host_bytes;
	const struct policy_rule *rule;

	struct resolve *query;
	struct address addresses[RESOLVE_ADDRESSES_MAX];
	uint32_t address_count, address_next;	/* the one in use is address_next - 1 */
	uint64_t deadline_ms, attempt_deadline_ms;

	int fd;
	uv_poll_t *poll;
	int events;
	bool starved, blocked;			/* the last read, write said
						   ERR_MORE, and nothing came since */
	bool quiet;				/* something came, and the owner has yet to ask for it */
	bool drained;				/* the last of what the socket had
						   was read, and nothing came since */
	bool eof;
	struct upstream_tls *tls;
};

/** upstream_interest() - what the connection wants to hear of, from its state */
void upstream_interest(struct upstream_connection *c);
/** upstream_flush() - ciphertext that waits. ERR_MORE, ERR_UPSTREAM_CLOSED */
must_use enum err upstream_flush(struct upstream_connection *c);
/** upstream_feed() - the next ciphertext from the socket.
 * ERR_MORE, ERR_UPSTREAM_CLOSED, ERR_LIMIT, ERR_MEMORY */
must_use enum err upstream_feed(struct upstream_connection *c);
