/* carrier_format.h - what a wire format has to do to be a carrier; for carrier*.c alone */
#pragma once

#include "courier/carrier.h"

struct http2_session;

/** struct carrier_ops - see the functions of the same names in carrier.h */
struct carrier_ops {
	const char *name;
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
	const struct carrier_ops *ops;		/* NULL until the connection is there */
	void *format;				/* the format's own */
	struct carriers *pool;
	void (*changed)(void *user);
	void *user;
	const char *reason;
	struct address address;

	/* while it is dialled: its own connection, or it waits for another's */
	struct upstream_connection *connection;
	enum err failed;
};

/** carrier_http1_new() - over a READY connection, which is the carrier's from now on. ERR_MEMORY */
must_use enum err carrier_http1_new(struct carrier *c, struct upstream_connection *connection);
