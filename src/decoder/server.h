/* server.h - the fork server: a fresh, confined child for each job */
#pragma once

#include "base/err.h"

/** server_prepare() - what must be made before confinement:
 * the children's filter, descriptors. ERR_CONFINE, ERR_LOCAL */
must_use enum err server_prepare(void);
/** server_run() - serves @fd (SOCK_SEQPACKET, see decoder.h) until its other end is gone
 * Return: ERR_CLOSED then; ERR_LOCAL with errno */
enum err server_run(int fd);
