/* session_peers.h - who hears what a session of the inspector's says: its courier, and its HTTP/2 client
 *
 * For fuzz/session_fuzz.c, which moves the bytes and speaks for both. Here each believes nothing: it aborts
 * where the inspector breaks the form of what it says, or goes on where it may not.
 */
#pragma once

#include "http2_frames.h"

#include "inspector/session_private.h"
#include "wire/websocket.h"

#define ASKED_MAX 1024u		/* exchanges of one input */
#define SAID_MAX 1024u		/* streams that are watched, of one connection */

/** struct asked - one exchange, as the courier sees it */
struct asked {
	uint32_t stream;
	bool headed, trailed, trailers, websocket, granted;
	bool ended, over;		/* by the inspector; by either */
	enum head_framing framing;
	uint64_t left;			/* of a body of known length */
	size_t held;			/* received, its credit not given back */
	char message[WEBSOCKET_HEADER_BYTES];	/* of a WebSocket: the next one's, as far as it is here */
	size_t message_bytes;
	uint32_t message_left;
};

static struct courier {
	struct link *link;		/* the upper end */
	struct asked asked[ASKED_MAX];
	unsigned count;
	bool keeps;			/* the credit */
} courier;

/** struct said - what the inspector said on one stream of the client's */
struct said {
	uint32_t stream;
	bool final, ended;
};

static struct client {
	struct ear ear;
	struct said said[SAID_MAX];
	unsigned said_count;
	bool goaway;
	uint32_t goaway_stream;
} client;

/* -- the courier -------------------------------------------------------------------------- */

static void give_credit(struct asked *a)
{
	if (courier.keeps)
		return;
	link_consumed(courier.link, a->stream, a->held);
	a->held = 0;
}

static void opened(const struct link_frame *f)
{
	struct asked *a = &courier.asked[courier.count];
	struct msg_connect m;

	if (f->kind == LINK_KIND_CLAIMS)
		return;
	check(f->kind == LINK_KIND_EXCHANGE && !client.goaway && courier.count < ASKED_MAX);
	check(msg_get_connect(f->payload, &m) == ERR_OK);
	check(str_eq(m.host, STR("api.example")) && m.port == 443 && m.scheme == HEAD_HTTPS);
	*a = (struct asked){ .stream = f->stream };
	link_set_user(courier.link, f->stream, a);
	courier.count++;
}

static void head_came(struct asked *a, struct str payload)
{
	static struct head h;

	check(head_decode(payload, &h) == ERR_OK && head_check(&h) == ERR_OK);
	if (a->headed) {
		check(h.kind == HEAD_TRAILERS && a->trailers && !a->trailed);
		a->trailed = true;
		return;
	}
	check(h.kind == HEAD_REQUEST && str_eq(h.host, STR("api.example")) && h.port == 443);
	a->headed = true;
	a->websocket = h.websocket;
	a->trailers = h.trailers;
	a->framing = h.framing;
	a->left = h.length;
}

/* A WebSocket's messages, in the link's form. */
static void messages_came(struct asked *a, struct str bytes)
{
	enum websocket_opcode opcode;

	check(a->granted);
	while (bytes.n) {
		bool in_head = a->message_left == 0;
		size_t n = in_head ? sizeof a->message - a->message_bytes : a->message_left;
		struct str piece = str_head(bytes, n);

		bytes = str_from(bytes, piece.n);
		if (!in_head) {
			a->message_left -= (uint32_t)piece.n;
			continue;
		}
		memcpy(a->message + a->message_bytes, piece.p, piece.n);
		a->message_bytes += piece.n;
		if (a->message_bytes < sizeof a->message)
			return;
		check(websocket_message_head(str_make(a->message, sizeof a->message), WEBSOCKET_MESSAGE_MAX,
					     &opcode, &a->message_left) == ERR_OK);
		a->message_bytes = 0;
	}
}

static void data_came(struct asked *a, struct str bytes)
{
	check(a->headed && !a->trailed);
	if (a->websocket) {
		messages_came(a, bytes);
		return;
	}
	check(a->framing == HEAD_BODY_STREAMED || (a->framing == HEAD_BODY_LENGTH && bytes.n <= a->left));
	a->left -= a->framing == HEAD_BODY_LENGTH ? bytes.n : 0;
}

static void courier_hears(const struct link_frame *f)
{
	struct asked *a = f->type == LINK_OPEN ? NULL : link_user(courier.link, f->stream);
	struct msg_claim claim;

	if (f->type == LINK_OPEN) {
		opened(f);
	} else if (!a) {
		if (f->type == LINK_HEAD)
			check(msg_get_claim(f->payload, &claim) == ERR_OK);
		link_consumed(courier.link, f->stream, f->payload.n);
	} else if (f->type == LINK_HEAD || f->type == LINK_DATA) {
		a->held += f->payload.n;
		if (f->type == LINK_HEAD)
			head_came(a, f->payload);
		else
			data_came(a, f->payload);
		give_credit(a);
	} else if (f->type == LINK_END) {
		check(a->headed && (a->framing != HEAD_BODY_LENGTH || a->left == 0));
		check(a->message_left == 0 && a->message_bytes == 0);
		a->ended = true;
	} else if (f->type == LINK_RESET) {
		check(f->reason != ERR_OK);
		a->over = true;
	}
}

/* -- the client --------------------------------------------------------------------------- */

static void from_inspector(void);	/* the courier hears what is on its way to it */

/* NULL: there were too many to watch. */
static struct said *said_on(uint32_t stream)
{
	for (unsigned i = client.said_count; i > 0; i--)
		if (client.said[i - 1].stream == stream)
			return &client.said[i - 1];
	if (client.said_count == SAID_MAX)
		return NULL;
	client.said[client.said_count] = (struct said){ .stream = stream };
	return &client.said[client.said_count++];
}

/* A status first, but for trailers. */
static void client_field(uint32_t stream, bool first, struct str name, struct str value)
{
	struct said *on = said_on(stream);
	uint64_t status = 0;

	check(!on || !on->ended);
	if (!first || (on && on->final)) {
		check(field_name_check(name) && field_value_check(value));
	} else if (on) {
		check(str_eq(name, STR(":status")) && str_decimal(value, 599, &status) && status >= 100);
		on->final = status >= 200;
	}
}

static void goaway_heard(struct str payload)
{
	uint32_t stream;

	check(payload.n >= 8);
	stream = big_endian(payload.p);
	check(!client.goaway || stream <= client.goaway_stream);
	from_inspector();	/* what had begun before */
	client.goaway = true;
	client.goaway_stream = stream;
}

static void client_frame(uint8_t type, uint8_t flags, uint32_t stream, struct str payload)
{
	bool of_stream = type == NGHTTP2_DATA || type == NGHTTP2_HEADERS || type == NGHTTP2_RST_STREAM;
	struct said *on = of_stream ? said_on(stream) : NULL;

	switch (type) {
	case NGHTTP2_DATA:
		check(stream % 2 == 1 && (!on || (on->final && !on->ended)));
		if (on)
			on->ended = flags & NGHTTP2_FLAG_END_STREAM;
		break;
	case NGHTTP2_HEADERS:
		if (on)
			on->ended = flags & NGHTTP2_FLAG_END_STREAM;
		break;
	case NGHTTP2_RST_STREAM:
		check(stream && payload.n == 4);
		if (on)
			on->ended = true;
		break;
	case NGHTTP2_GOAWAY:
		goaway_heard(payload);
		break;
	case NGHTTP2_WINDOW_UPDATE:
		check(payload.n == 4 && big_endian(payload.p) > 0);
		break;
	default:
		check(type == NGHTTP2_SETTINGS || (type == NGHTTP2_PING && flags == NGHTTP2_FLAG_ACK));
		check(stream == 0);
		break;
	}
}
