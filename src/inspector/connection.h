/* connection.h - one TCP connection of a client's, from its first byte to its last
 *
 *   proxy    of an explicit proxy: where to, and who asks                                    (proxy.c)
 *   route    the courier says how it passes, where that is in question                       (tunnel.c)
 *   tunnel   unopened: bytes both ways                                                       (tunnel.c)
 *   sniff    TLS or HTTP, by the first byte; anything else is refused
 *   hello    the ClientHello, its server name against the name that DNS gave
 *   leaf     the courier signs a certificate for that name, if there is none at hand
 *   shake    the rest of the TLS handshake; ALPN says which front follows
 *   head     HTTP/1.1: a request head; canonical, its Host against the name that DNS gave    (http1.c)
 *   relay    HTTP/1.1: body up, answer down, both with credit; then the next head            (http1_relay.c)
 *   messages HTTP/1.1: after 101, a WebSocket                                              (http1_messages.c)
 *   session  HTTP/2: all of it                                                              (session.h)
 *   finish   what is left to write is written, while the client goes on taking it
 *   linger   the client's last bytes are thrown away, so that it can read ours
 *
 * connection_run() calls the phase's step until it waits, once a turn of the loop, after anything that
 * happened (connection_wake()). A step looks at state and moves on; it does not matter why it was called.
 */
#pragma once

#include "inspector/ask.h"
#include "inspector/exchange.h"
#include "inspector/transport.h"
#include "inspector/tunnel.h"
#include "wire/http1_body.h"
#include "wire/websocket.h"

#define PHASES(X) X(proxy) X(route) X(tunnel) X(sniff) X(hello) X(leaf) X(shake) \
	X(head) X(relay) X(messages) X(session) X(finish) X(linger)

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

/* Plaintext of the client's that waits to be parsed: a head must fit. */
#define CONNECTION_TEXT_MAX (HTTP1_HEAD_MAX + GUEST_TLS_CHUNK)
/* Plaintext that waits to be written; heads and framing come on top of OUT_LOW. */
#define CONNECTION_OUT_MAX (256u * 1024)
#define CONNECTION_OUT_LOW (32u * 1024)
/* A client that takes nothing of the last that there is for it: nobody else waits for it any more. */
#define CONNECTION_FINISH_MS (60u * 1000)
#define CONNECTION_SEND_BYTES (48u * 1024)	/* of ciphertext: enough for one write */

/** struct http1 - what HTTP/1.1 knows of the present request, and of the next head */
struct http1 {
	struct exchange exchange;
	bool version_10, close, expect_continue;
	bool head_written, chunked;	/* the answer's final head is in the output */
	bool head_begun;		/* the first byte of the next request has come */
	size_t scanned;			/* of that head */
	size_t first_line;		/* of the connection: as far as it has been looked at, or its length */
	struct http1_body upload;
	char accept[WEBSOCKET_ACCEPT_BYTES + 1];	/* of a WebSocket's handshake */
	struct messages *messages;	/* the WebSocket that this connection has become, else NULL */
};

enum proxy { PROXY_NONE, PROXY_CONNECT, PROXY_ABSOLUTE };

struct connection {
	struct transport transport;	/* first */
	struct inspector *inspector;
	struct connection *next, **link;
	struct connection *woken_next, **woken_link;	/* NULL link: it sleeps */
	enum phase phase;
	uint64_t entered_ms, phase_ms;	/* into that phase; that it may take */
	uint64_t finish_out;		/* finish: bytes_out when its client last took any */
	uint64_t entered_in;		/* bytes_in when the phase began */
	bool patient;			/* linger: its client only listens, and may be slow */
	struct wait wait;
	struct buf opened;		/* OPEN as it came */
	struct msg_connect asked;	/* views into it */
	struct buf fields;		/* OPEN of each of its exchanges */
	uint64_t id;			/* number for the courier's records */
	char host[HEAD_HOST_MAX + 1];	/* that DNS gave, or the address's canonical literal */
	bool literal;
	enum head_scheme scheme;
	struct guest_tls *tls;		/* NULL: plain */
	struct ask *ask;
	bool allowed;			/* the courier said that this literal may be spoken to */
	enum proxy proxy;		/* NONE: it came by itself */
	struct buf token;		/* of the proxy's client */
	bool routed, named;		/* the courier said how it passes; a rule names its host */
	enum msg_tunnel passes;
	bool ended;			/* the client sends no more */
	bool gone;			/* its transport is over */
	bool notified;			/* close_notify was read */
	unsigned requests;
	enum err result;		/* for the claim at the end */
	struct buf in;			/* from the client, as it came; credit goes back as it is taken */
	struct buf text;		/* TLS: what was decrypted */
	struct buf out;			/* plaintext to the client */
	uint64_t bytes_in, bytes_out;
	struct http1 http1;
	struct session *session;	/* HTTP/2, else NULL */
	struct tunnel *tunnel;		/* that passes unopened, else NULL */
};

/* connection.c */

/** connection_new() - in the phase sniff, its transport still to be set; NULL: too many, or no memory (the
 * idlest had to go first, and there was none). The caller says connection_begin() when host and port are
 * known. */
struct connection *connection_new(struct inspector *i);
void connection_begin(struct connection *c);
/** connection_begin_proxy() - instead: its first head says where to; connection_drop(): it never began */
void connection_begin_proxy(struct connection *c);
void connection_drop(struct connection *c);
/** connection_input() - @bytes came; connection_input_end(): no more will; connection_lost(): the transport
 * is over. Each wakes. */
void connection_input(struct connection *c, struct str bytes);
void connection_input_end(struct connection *c);
void connection_lost(struct connection *c, enum err why);
/** connection_wake() - to be run at the end of this turn */
void connection_wake(struct connection *c);
/** connection_wake_all() - after room came back on a link */
void connection_wake_all(struct inspector *i);
/** connection_run_woken() - each as far as it goes */
void connection_run_woken(struct inspector *i);
/** connection_stop() - ends every connection, before the links go */
void connection_stop(struct inspector *i);
/** connection_end() - a claim, and all of it is freed */
void connection_end(struct connection *c);

/** connection_enter() - to another phase, which may take @ms; PHASE_finish CONNECTION_FINISH_MS at most */
void connection_enter(struct connection *c, enum phase phase, uint64_t ms);
/** connection_deadline() - @ms from now, for the present phase; 0: none */
void connection_deadline(struct connection *c, uint64_t ms);
/** connection_text() - the client's plaintext that is not yet taken; decrypts what it can.
 *  ERR_TLS: broken, final */
must_use enum err connection_text(struct connection *c, struct str *ret);
/** connection_take() - the first @n bytes of it are used up */
void connection_take(struct connection *c, size_t n);
/** connection_put() - plaintext for the client, behind what waits: c->out says whether it failed.
 *  connection_waiting(): bytes that wait to be written */
void connection_put(struct connection *c, struct str bytes);
size_t connection_waiting(const struct connection *c);
/** connection_refuse() - a claim, then the transport is reset; the step is over */
enum step connection_refuse(struct connection *c, enum err why, const char *text);
/** connection_claim() - CLAIM_REFUSED */
void connection_claim(struct connection *c, enum err why, const char *text);
/** connection_fields() - OPEN's of an exchange. ERR_MEMORY */
must_use enum err connection_fields(struct connection *c, struct str *ret);
/** connection_has_left() - a TLS client that closes has gone, and waits for nothing */
static inline bool connection_has_left(const struct connection *c) { return c->ended || c->notified; }

/* handshake.c, http1.c, http1_relay.c, session.c, tunnel.c, proxy.c: the steps, what they share */

enum step step_proxy(struct connection *c);
enum step step_route(struct connection *c);
enum step step_tunnel(struct connection *c);
/** connection_pass() - as the courier said: unopened, or to be opened; proxy_routed() - the same for a
 * proxy's client, which gets an answer; connection_token() - what it says who it is */
enum step connection_pass(struct connection *c);
enum step proxy_routed(struct connection *c);
struct str connection_token(const struct connection *c);
enum step step_hello(struct connection *c);
enum step step_leaf(struct connection *c);
enum step step_shake(struct connection *c);
enum step step_head(struct connection *c);
enum step step_relay(struct connection *c);
enum step step_messages(struct connection *c);
enum step step_session(struct connection *c);

/** http1_init(), http1_free() - the part of a connection; http1_idle(): between requests, nothing begun */
void http1_init(struct connection *c);
void http1_free(struct connection *c);
bool http1_idle(const struct connection *c);
/** http1_refuse() - an error of the inspector's own as the answer, a claim, and the end of the
 *  connection; @status 0: the error's own */
enum step http1_refuse(struct connection *c, enum err why, uint16_t status, const char *text);
/** http1_fail() - as http1_refuse(), for what is no secret to the courier: no claim */
enum step http1_fail(struct connection *c, enum err why, uint16_t status, const char *text);
/** http1_continue() - 100 Continue, which the client waits for, as nothing speaks against its body */
enum step http1_continue(struct connection *c);
/** http1_next() - after an answer: the next request, or the end */
enum step http1_next(struct connection *c);
/** http1_messages_begin() - 101 was written */
enum step http1_messages_begin(struct connection *c);
extern const struct exchange_ops http1_exchange_ops;
