/* session.h - HTTP/2 with a client: one session of many exchanges
 *
 * nghttp2 does frames, HPACK and flow control; wire/http2.h makes the canonical heads; each stream is an
 * exchange (exchange.h). Files: session.c the connection's side, session_stream.c a stream's, session_guard.c
 * what a client may cost. The functions that take a session take NULL too, which is a connection that has
 * none.
 */
#pragma once

#include "inspector/connection.h"

#define SESSION_PREFACE "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"

struct session;

/** session_begin() - the connection goes over to HTTP/2; the preface is still to be read */
enum step session_begin(struct connection *c);
void session_free(struct session *s);
/** session_late() - the connection's deadline: idle, or in the middle of a head */
enum step session_late(struct session *s);
/** session_room() - there is room on the courier's link again */
void session_room(struct session *s);
/** session_idle() - no stream is open, and none begun */
bool session_idle(const struct session *s);
/** session_say_goodbye() - GOAWAY into the connection's output */
void session_say_goodbye(struct session *s);
