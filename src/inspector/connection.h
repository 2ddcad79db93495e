/* connection.h - one TCP connection of the guest's, from its first byte to its last
 *
 *   sniff    TLS or HTTP, by the first byte; anything else is refused
 *   hello    the ClientHello, its server name against the name that DNS gave
 *   leaf     the courier signs a certificate for that name, if there is none at hand
 *   shake    the rest of the TLS handshake
 *   head     a request head; canonical, its Host against the name that DNS gave
 *   open     an EXCHANGE with the courier, that head sent
 *   relay    body up, answer down, both with credit; then the next head, or
 *   finish   what is left to write is written
 *   linger   the guest's last bytes are thrown away, so that it can read ours
 *
 * connection_run() calls the phase's step until it waits, after anything that happened. A step
 * looks at state and moves on; it does not matter why it was called.
 */
#pragma once

#include "inspector/ask.h"
#include "inspector/inspector.h"
#include "wire/http1_body.h"

#define PHASES(X) X(sniff) X(hello) X(leaf) X(shake) X(head) X(open) X(relay) X(finish) X(linger)

enum phase {
#define PHASE_ENUM(name) PHASE_##name,
	PHASES(PHASE_ENUM)
#undef PHASE_ENUM
	PHASE_COUNT
};

enum step {
	STEP_AGAIN,	/* the phase has changed, or there is more to do in it */
	STEP_WAIT,	/* for an event or the deadline */
	STEP_OVER,	/* nothing is left: the connection goes */
};

/* Plaintext of the guest's that waits to be parsed: a head must fit. */
#define CONNECTION_TEXT_MAX (HTTP1_HEAD_MAX + GUEST_TLS_CHUNK)
/* Plaintext that waits to be written; heads and framing come on top of OUT_LOW. */
#define CONNECTION_OUT_MAX (256u * 1024)
#define CONNECTION_OUT_LOW (32u * 1024)
/* Interim answers (1xx) that one request may have. */
#define EXCHANGE_INTERIM_MAX 16

/** struct exchange - one request and its answer; zero between requests */
struct exchange {
	struct stream stream;		/* first; of the courier's link */
	uint32_t number;		/* 0: not open */
	struct buf head;		/* canonical request head, encoded, until it is sent */
	size_t method_bytes;
	char method[HEAD_METHOD_MAX];
	bool version_10, close, expect_continue;
	struct http1_body upload;
	bool upload_ended;		/* the whole request went to the courier */
	/* the answer */
	bool head_written;		/* its final head is in the connection's output */
	bool has_body, chunked, ended;
	enum err reset;			/* why the courier gave up; ERR_OK: it did not */
	unsigned interim;
	uint64_t left;			/* of a body of known length */
	enum head_framing framing;
	struct buf body;		/* came from the courier, not yet in the output */
	struct buf trailers;		/* encoded HEAD_TRAILERS */
};

struct connection {
	struct stream stream;		/* first; of the guest's link */
	struct inspector *inspector;
	struct connection *next, **link;
	uint32_t number;		/* of the guest's stream */
	enum phase phase;
	struct wait wait;
	struct buf opened;		/* OPEN as it came */
	struct msg_connect asked;	/* views into it */
	uint64_t id;			/* number for the courier's records */
	char host[HEAD_HOST_MAX + 1];	/* that DNS gave, or the address's canonical literal */
	bool literal;
	enum head_scheme scheme;
	struct guest_tls *tls;		/* NULL: plain */
	struct ask *ask;
	bool allowed;			/* the courier said that this literal may be spoken to */
	bool guest_ended;		/* the guest sends no more */
	bool gone;			/* its stream is over */
	bool notified;			/* close_notify was read */
	bool head_begun;		/* the first byte of the next request has come */
	size_t scanned;			/* of that head */
	unsigned requests;
	enum err result;		/* for the claim at the end */
	struct buf in;			/* from the guest, as it came; credit goes back as it is taken */
	struct buf text;		/* TLS: what was decrypted */
	struct buf out;			/* plaintext to the guest */
	uint64_t bytes_in, bytes_out;
	struct exchange exchange;
};

/* connection.c */

/** connection_open() - the guest opened TCP stream @number; @fields is its OPEN */
void connection_open(struct inspector *i, uint32_t number, struct str fields);
/** connection_run() - as far as it goes; @c may be gone afterwards */
void connection_run(struct connection *c);
/** connection_run_all() - after room came back on a link */
void connection_run_all(struct inspector *i);
/** connection_stop() - ends every connection, before the links go */
void connection_stop(struct inspector *i);

/** connection_enter() - to another phase, which may take @ms */
void connection_enter(struct connection *c, enum phase phase, uint64_t ms);
/** connection_deadline() - @ms from now, for the present phase */
void connection_deadline(struct connection *c, uint64_t ms);
/** connection_text() - the guest's plaintext that is not yet taken; decrypts what it can.
 *  ERR_TLS: broken, final */
must_use enum err connection_text(struct connection *c, struct str *ret);
/** connection_take() - the first @n bytes of it are used up */
void connection_take(struct connection *c, size_t n);
/** connection_refuse() - a claim, then RESET(@why) to the guest; the step is over */
enum step connection_refuse(struct connection *c, enum err why, const char *text);
/** connection_claim() - CLAIM_REFUSED */
void connection_claim(struct connection *c, enum err why, const char *text);

/* handshake.c, http.c, relay.c: the steps, and what they have in common */

enum step step_hello(struct connection *c);
enum step step_leaf(struct connection *c);
enum step step_shake(struct connection *c);
enum step step_head(struct connection *c);
enum step step_open(struct connection *c);
enum step step_relay(struct connection *c);

/** http_refuse() - an error of the inspector's own as the answer, a claim, and the end of the
 *  connection; @status 0: the error's own */
enum step http_refuse(struct connection *c, enum err why, uint16_t status, const char *text);
/** http_fail() - as http_refuse(), for what is no secret to the courier: no claim */
enum step http_fail(struct connection *c, enum err why, uint16_t status, const char *text);
/** relay_continue() - 100 Continue, which the client waits for, as nothing speaks against its body */
enum step relay_continue(struct connection *c);
/** http_next() - after an answer: the next request, or the end */
enum step http_next(struct connection *c);
/** exchange_open(), exchange_close() - idempotent; a stream that is still open is reset */
void exchange_open(struct exchange *x);
void exchange_close(struct connection *c, enum err why);
/** exchange_frame() - the courier's side of the present exchange */
void exchange_frame(struct stream *s, const struct link_frame *f);
