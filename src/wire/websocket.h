/* websocket.h - WebSocket frames (RFC 6455), and the messages that pass between inspector and courier
 *
 * Two codecs, both pure and strict. Frames: what a peer sends on its wire; masks, fragments, control frames
 * between fragments, reserved bits (none are ours: permessage-deflate is negotiated away), lengths in their
 * shortest form, UTF-8 in text and in close reasons, close codes that may be sent. Messages: what goes over
 * the link as DATA once the handshake's heads have passed, joined and unmasked, so
 * that a rule, the placeholder finder and the scrubber each see a whole message:
 *
 *   offset size field   little-endian
 *   0      1    opcode  1 text, 2 binary, 8 close, 9 ping, 10 pong
 *   1      3    zero
 *   4      4    length  <= WEBSOCKET_MESSAGE_MAX (text, binary), <= 125 (the others)
 *   8      ...  payload close: u16 code (big-endian, as on the wire) and reason, or empty
 */
#pragma once

#include "base/buf.h"

#define WEBSOCKET_MESSAGE_MAX (16u * 1024 * 1024)	/* a joined message; images in base64 fit */
#define WEBSOCKET_FRAMES_MAX 65536			/* fragments of one message: an empty one costs too */
#define WEBSOCKET_HEADER_BYTES 8
#define WEBSOCKET_KEY_BYTES 24				/* Sec-WebSocket-Key */
#define WEBSOCKET_ACCEPT_BYTES 28

enum websocket_opcode {
	WEBSOCKET_TEXT = 1, WEBSOCKET_BINARY = 2, WEBSOCKET_CLOSE = 8, WEBSOCKET_PING = 9,
	WEBSOCKET_PONG = 10,
};

/** struct websocket_message - @payload is borrowed until the next call on the reader */
struct websocket_message {
	enum websocket_opcode opcode;
	struct str payload;
};

/** struct websocket_reader - a peer's frames, joined to messages */
struct websocket_reader {
	bool masked;			/* the peer is a client: every frame
					   must be masked; else none may be */
	size_t message_max;
	struct buf message;		/* data frames so far */
	struct buf control;
	int state;			/* the rest is private to websocket.c */
	uint8_t header[14], header_bytes, opcode, message_opcode;
	uint32_t frames, utf8;
	uint64_t left;
	uint8_t mask[4], mask_at;
	bool final, closed;
	enum err failed;
	uint16_t failed_close;
};
void websocket_reader_init(struct websocket_reader *r, bool masked, size_t message_max);
void websocket_reader_free(struct websocket_reader *r);
/** websocket_read() - takes bytes from the front of @input until a message is whole
 * Return: ERR_OK with *ret; ERR_MORE: @input is used up; final: ERR_WEBSOCKET (malformed; *ret_close 1002 or
 * 1007), ERR_BODY_TOO_LARGE (*ret_close 1009), ERR_MEMORY (1011). A failure stays. What follows a close frame
 * is dropped: ERR_MORE. */
must_use enum err websocket_read(struct websocket_reader *r, struct str *input, struct websocket_message *ret,
				 uint16_t *ret_close);

/** websocket_put_frame() - one message as one unfragmented
 *  frame; @mask: 4 random bytes, or NULL for a server.
 *  @payload is what websocket_read() or websocket_next_message() gave. buf_err(b) */
must_use enum err websocket_put_frame(struct buf *b, enum websocket_opcode opcode, const uint8_t *mask,
				      struct str payload);
/** websocket_put_frame_head() - its header alone: a payload
 * of @length follows in pieces (masked by the caller) */
void websocket_put_frame_head(struct buf *b, enum websocket_opcode opcode, const uint8_t *mask,
			      uint64_t length);
/** websocket_put_close() - a close frame's payload; @code
 * 0: empty. The caller keeps @reason within 123 bytes. */
void websocket_put_close(struct buf *b, uint16_t code, struct str reason);

/** websocket_put_message() - the link's form, above. ERR_BODY_TOO_LARGE, buf_err(b) */
must_use enum err websocket_put_message(struct buf *b, enum websocket_opcode opcode, struct str payload);
/** websocket_next_message() - the message at the front of @input, which it leaves; *ret borrows from it.
 *  UTF-8 of text, close codes and reasons are checked here too. ERR_MORE until it is whole;
 *  ERR_LINK_MALFORMED */
must_use enum err websocket_next_message(struct str *input, size_t message_max,
					 struct websocket_message *ret);

/** websocket_message_head() - the header of the link's form alone, for who passes the payload on in pieces.
 *  ERR_MORE, ERR_LINK_MALFORMED */
must_use enum err websocket_message_head(struct str bytes, size_t message_max,
					 enum websocket_opcode *ret_opcode, uint32_t *ret_length);

/** websocket_accept() - Sec-WebSocket-Accept for a key; websocket_key() - is it 16 bytes in base64? */
void websocket_accept(struct str key, char ret[WEBSOCKET_ACCEPT_BYTES + 1]);
bool websocket_key_check(struct str key);
