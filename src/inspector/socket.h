/* socket.h - clients that came by TCP to `paddock gate`
 *
 * The process has no network: its supervisor accepts, and passes each connection here, a message with one
 * descriptor on the front socket (SOCK_SEQPACKET).
 */
#pragma once

#include "inspector/inspector.h"

struct front;

/** front_start() - takes @fd; each client becomes a connection in the phase proxy. ERR_MEMORY */
must_use enum err front_start(struct inspector *i, int fd, struct front **ret);
void front_stop(struct front *f);
