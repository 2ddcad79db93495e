/* link.h - the multiplexing protocol of every hop inside Paddock
 *
 * One format carries guest <-> inspector (net), guest <-> terminal (control),
 * guest <-> files (files), and inspector <-> courier. Pure codec and state, no I/O.
 *
 *   offset size  field     little-endian
 *   0      4     stream    0: the link itself (HELLO); else the stream's number
 *   4      1     type      enum link_type
 *   5      1     flags     by type; bits that a type does not define must be 0
 *   6      2     zero
 *   8      4     length    bytes of payload that follow, <= LINK_PAYLOAD_MAX
 *   12     ...   payload
 *
 *   type    payload                     flags                   rules
 *   HELLO   magic "PDLK", u16 version,  -                       first frame each way, stream 0, once;
 *           u16 0, u32 window,                                  window: credit given per stream at its start
 *           u32 streams_max
 *   OPEN    u8 kind (enum link_kind),   -                       the opener's next number: they rise
 *           then fields (msg.h)                                 by two, from 1 at the side nearer to the
 *                                                               agent (LINK_LOWER), from 2 at the other;
 *                                                               at most LINK_OPEN_MAX bytes
 *   HEAD    one whole message, by kind  -                       uses credit; 1 byte at least
 *   DATA    bytes                       LINK_FLAG_STDERR        uses credit; 1 byte at least
 *   END     -                           -                       this side sends no more on the stream
 *   RESET   u32 enum err                -                       the stream is over, both ways, at once
 *   CREDIT  u32 bytes, > 0              -                       the receiver of DATA and HEAD gives so much back
 *
 * A stream is over when both sides have sent END, or either sent RESET. Frames for a
 * stream that was once open and is over are dropped (they crossed a RESET); frames for
 * one that was never opened end the link. So does everything else out of this table,
 * credit for more than was sent included: a broken peer is not repaired (I4, I8). An OPEN
 * above streams_max is answered by RESET (LIMIT), as both sides can open at once.
 *
 * Memory (I7): one partial frame in, at most output_max + 1 MiB of control frames out;
 * link_wants_input() turns false while the peer does not read and control frames pile up
 * (payload alone never turns it: two full sides must not wait for each other).
 */
#pragma once

#include "base/buf.h"

#define LINK_HEADER_BYTES 12
#define LINK_PAYLOAD_MAX 65536
#define LINK_OPEN_MAX 8192
#define LINK_VERSION 1
#define LINK_WINDOW_BYTES (256u * 1024)	/* the usual window; >= LINK_PAYLOAD_MAX */
#define LINK_FLAG_STDERR 0x01		/* DATA on EXEC: the bytes are standard error's */

enum link_side { LINK_LOWER, LINK_UPPER };	/* lower: nearer to the agent; odd numbers */

enum link_type {
	LINK_HELLO = 1, LINK_OPEN, LINK_HEAD, LINK_DATA, LINK_END, LINK_RESET, LINK_CREDIT,
};

enum link_kind {
	/* net: guest -> inspector */
	LINK_KIND_TCP = 1,	/* connect to address:port; DATA both ways */
	LINK_KIND_DNS = 2,	/* DATA: one query, END; back one answer, END */
	/* inspector -> courier */
	LINK_KIND_EXCHANGE = 16,/* HEAD request, DATA.., END; back HEAD(s), DATA.., END */
	LINK_KIND_NAME = 17,	/* may this name be spoken to? back HEAD: fields VERDICT.. */
	LINK_KIND_LEAF = 18,	/* sign a leaf; back HEAD: fields CERTIFICATE */
	LINK_KIND_TUNNEL = 19,	/* an unopened connection to host:port; DATA both ways */
	/* anybody -> courier */
	LINK_KIND_CLAIMS = 24,	/* HEAD: one claim each */
	/* control: terminal -> guest */
	LINK_KIND_CONFIG = 32,	/* HEAD: fields of the boot configuration, once; back HEAD: fields RESULT */
	LINK_KIND_EXEC = 33,	/* HEAD: fields of the command; DATA stdin; back DATA out/err, HEAD status */
	/* control: guest -> terminal */
	LINK_KIND_EVENTS = 40,	/* HEAD: one claim each */
	/* files: guest -> paddock-files */
	LINK_KIND_FUSE = 48,	/* DATA both ways: FUSE messages back to back, each begins with its length */
};

struct link_limits {
	uint32_t streams_max;	/* open at once, both directions together; <= 65536 */
	uint32_t window_bytes;	/* credit we give per stream; >= LINK_PAYLOAD_MAX */
	size_t output_max;	/* bytes queued before link_sendable() is 0; >= 2 * LINK_PAYLOAD_MAX */
};
#define LINK_LIMITS_DEFAULT ((struct link_limits){ 1024, LINK_WINDOW_BYTES, 1024ul * 1024 })

struct link;

/** struct link_frame - what link_receive() found. For OPEN, @kind is set and @payload is
 *  what follows it; for RESET, @reason. @payload is borrowed until the next call.
 *  CREDIT means: this stream may be sent on again. HELLO: any stream may. */
struct link_frame {
	enum link_type type;
	enum link_kind kind;
	uint8_t flags;
	uint32_t stream;
	enum err reason;
	struct str payload;
};

/** link_new() - a link whose HELLO is already in its output; NULL without memory */
struct link *link_new(enum link_side side, const struct link_limits *limits);
void link_free(struct link *l);
static inline void link_freep(struct link **l) { link_free(*l); }
#define auto_link __attribute__((cleanup(link_freep))) struct link *

/** link_receive() - takes bytes from the front of @input until a frame is whole
 * Return: ERR_OK with *ret (call again: @input may hold more); ERR_MORE when @input is
 * used up; ERR_LINK_* when the peer broke the rules, ERR_MEMORY or ERR_LIMIT when a frame
 * of our own could not be queued or our numbers are used up; these are final: close the link. */
must_use enum err link_receive(struct link *l, struct str *input, struct link_frame *ret);

/** link_wants_input() - false while too much output waits: stop reading the peer. True of a link that has
 *  failed until link_receive() has said so */
bool link_wants_input(const struct link *l);

/** link_output() - bytes to write now (may be empty); link_sent() - @n of them are written */
struct str link_output(struct link *l);
void link_sent(struct link *l, size_t n);

/** link_open() - starts a stream; @fields <= LINK_OPEN_MAX - 1 bytes
 * Return: ERR_OK and *ret_stream; ERR_LIMIT (streams, the peer's cap, or output_max bytes
 * wait already), ERR_MEMORY,
 * ERR_STATE (no HELLO from the peer yet, the link has failed, or numbers are used up: then it
 * fails, with ERR_LIMIT, and the peer ends its side too) */
must_use enum err link_open(struct link *l, enum link_kind kind, struct str fields,
			    uint32_t *ret_stream);

/** link_sendable() - payload bytes that link_data()/link_head() will take now on @stream:
 *  the least of credit, LINK_PAYLOAD_MAX and output room; 0 if it is not open for sending */
size_t link_sendable(const struct link *l, uint32_t stream);

/** link_head(), link_data() - ERR_LINK_CREDIT if more than link_sendable(), ERR_STATE if the
 *  stream cannot be sent on, ERR_MEMORY */
must_use enum err link_head(struct link *l, uint32_t stream, struct str message);
must_use enum err link_data(struct link *l, uint32_t stream, uint8_t flags, struct str bytes);
/** link_end() - no more from us; idempotent; no-op on a stream that is over */
void link_end(struct link *l, uint32_t stream);
/** link_reset() - over, both ways; idempotent */
void link_reset(struct link *l, uint32_t stream, enum err reason);
/** link_consumed() - @n received payload bytes of @stream were used up: credit goes back
 *  (batched). Must be called for every DATA and HEAD payload byte sooner or later. */
void link_consumed(struct link *l, uint32_t stream, size_t n);

/** link_set_user(), link_user() - the caller's pointer for an open stream; NULL if none. For
 *  the stream that an END or RESET just received has ended it is known until the next
 *  link_receive(). */
void link_set_user(struct link *l, uint32_t stream, void *user);
void *link_user(const struct link *l, uint32_t stream);
/** link_is_open() - neither over nor never opened */
bool link_is_open(const struct link *l, uint32_t stream);
/** link_each() - calls @f for every open stream (which may reset it) */
void link_each(struct link *l, void (*f)(void *ctx, uint32_t stream, void *user), void *ctx);
/** link_streams() - number of open streams */
uint32_t link_streams(const struct link *l);
