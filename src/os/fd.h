/* fd.h - whole reads and writes, and one descriptor along with a message */
#pragma once

#include "base/buf.h"
#include "base/err.h"

/** fd_write() - all of @s, however often that takes. Return:
 * ERR_OK; ERR_LOCAL (errno; some of it may be written) */
must_use enum err fd_write(int fd, struct str s);

/** fd_read() - appends to @b until @fd ends or @b holds @max bytes; room for them
 * all is made first, so that no secret is left behind by a buffer that grows
 * Return: ERR_OK; ERR_LOCAL (errno); ERR_MEMORY, ERR_LIMIT of @b */
must_use enum err fd_read(int fd, struct buf *b, size_t max);

/* Over AF_UNIX sockets between our own processes. Neither waits, whatever the socket's own flags say. */

/** fd_send() - @bytes, at least one, and with them a copy of @fd, which stays the caller's
 * Of a seqpacket or datagram socket the message goes whole; of a stream one byte is what should be sent.
 * Return: ERR_OK; ERR_MORE (the socket is full, or too many
 * descriptors are under way: try again later); ERR_CLOSED */
must_use enum err fd_send(int socket, struct str bytes, int fd);

/** fd_receive() - one message, and the descriptor that came with it
 * @max:       bytes that @into has room for, at least one
 * @ret_bytes: how many came, at least one
 * @ret_fd:    close-on-exec, the caller's to close; -1: none came
 * Return: ERR_OK; ERR_MORE (nothing is there yet); ERR_INPUT (a message longer than @max, several
 * descriptors, or one that we may not open any more: the message is gone, and whatever came with it is
 * closed); ERR_CLOSED (the peer has gone, or the socket failed) */
must_use enum err fd_receive(int socket, void *into, size_t max, size_t *ret_bytes, int *ret_fd);
