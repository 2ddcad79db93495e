/* carrier_format.h - what is behind a carrier; for carrier*.c and http2_session.c alone */
#pragma once

#include "courier/carrier.h"

#define CARRIER_HTTP1_KNOWN 64		/* places remembered to have chosen HTTP/1.1 */

struct http2_session;

/** struct carrier_ops - see the functions of the same names in carrier.h */
struct carrier_ops {
	const char *name;
	enum err (*status)(struct carrier *c);	/* NULL: ready at once */
	enum err (*send_head)(struct carrier *c, const struct head *h);
	enum err (*send)(struct carrier *c, struct str bytes, bool last, size_t *ret_n);
	enum err (*send_trailers)(struct carrier *c, const struct head *trailers);
	bool (*sent)(const struct carrier *c);
	enum err (*next)(struct carrier *c, struct carrier_event *ret);
	void (*taken)(struct carrier *c, size_t n);
	enum carrier_again (*again)(const struct carrier *c);
	void (*release)(struct carrier *c, bool clean);	/* frees c->format, not @c */
};

struct carrier {
	const struct carrier_ops *ops;		/* NULL until there is a connection, or a stream of one */
	void *format;				/* the format's own */
	struct carriers *pool;
	void (*changed)(void *user);
	void *user;
	const char *reason;
	struct address address;

	/* until ops is set */
	struct carrier *next, **at;		/* list of those that have no ops yet */
	struct upstream_target target;		/* borrows as that of carrier_dial() does */
	struct upstream_connection *connection;	/* its own, being dialled; */
	struct carrier *lead;			/* or it waits for what becomes of this one's */
	enum err failed;
};

struct carriers {
	uv_loop_t *loop;
	struct upstream *upstream;
	struct carrier *dialling;
	struct http2_session *sessions;		/* all */
	struct http2_session *due;		/* that have something to do before the loop waits again */
	uv_idle_t *later;			/* runs while there are any */
	uint64_t http1_known[CARRIER_HTTP1_KNOWN];
	char input[32768];			/* one read of a session */
};

/** carrier_http1_new() - over a READY connection, which is the carrier's from now on. ERR_MEMORY */
must_use enum err carrier_http1_new(struct carrier *c, struct upstream_connection *connection);
/** carrier_http2_new() - a stream of @s, which http2_session_find() gave. ERR_MEMORY */
must_use enum err carrier_http2_new(struct carrier *c, struct http2_session *s);
