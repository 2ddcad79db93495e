/* messages.h - a WebSocket between a client's frames and the courier's link
 *
 * Up: frames are read strictly, unmasked and joined; each whole message goes to the courier, where rules, the
 * placeholder finder and the scrubber see it. Down: messages become frames as they come, in pieces. Either
 * front feeds in what its client sent and takes out frames; backpressure is the exchange's.
 */
#pragma once

#include "inspector/exchange.h"
#include "wire/websocket.h"

/* Bytes of joined messages that may wait in the whole inspector: four of the largest, or many small ones. */
#define MESSAGES_WAITING_MAX (64ul * 1024 * 1024)

/** struct messages - one WebSocket */
struct messages {
	struct exchange *exchange;
	struct websocket_reader reader;
	size_t counted;			/* of its memory in the inspector's sum */
	char head[WEBSOCKET_HEADER_BYTES];
	struct str waiting[2]; /* of the joined message: the link's header and payload still to be sent */
	char down_head[WEBSOCKET_HEADER_BYTES];
	size_t down_head_bytes;
	uint64_t down_left;		/* of the frame that is being written */
	enum websocket_opcode down_opcode;
	bool closing;			/* the client's close has gone up */
	bool closed;			/* a close frame has been written */
};

/** messages_new() - for an exchange whose WebSocket was granted; NULL without memory */
struct messages *messages_new(struct exchange *x);
void messages_free(struct messages *m);
/** messages_up() - takes from the front of @input as far as the courier takes it
 * Return: ERR_OK; final: ERR_WEBSOCKET, ERR_BODY_TOO_LARGE, ERR_LIMIT, ERR_MEMORY with *ret_close */
must_use enum err messages_up(struct messages *m, struct str *input, uint16_t *ret_close);
/** messages_ready() - does messages_up() take input now? */
bool messages_ready(struct messages *m);
/** messages_down() - frames for the client, until @out holds @full bytes; true if anything was put
 * Return: ERR_OK, ERR_UPSTREAM_MALFORMED (the courier broke the form), buf_err(out) */
must_use enum err messages_down(struct messages *m, struct buf *out, size_t full);
/** messages_over() - all that the courier had to say is written */
bool messages_over(const struct messages *m);
/** messages_close() - a close frame of our own, unless one has gone or a frame is half written; @code 0:
 *  as befits
 *  @why */
void messages_close(struct messages *m, struct buf *out, enum err why, uint16_t code);
