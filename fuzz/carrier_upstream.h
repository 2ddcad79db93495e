/* carrier_upstream.h - courier/upstream.h without a socket: connections to an upstream that speaks HTTP/2
 *
 * For fuzz/carrier_fuzz.c, which says what comes, how much is read, and when it ends. What goes to the
 * upstream is read here: frames in order, of streams that rise, none after its stream's end, and no request
 * after GOAWAY.
 */
#pragma once

#include "http2_frames.h"

#include "courier/http2_session.h"

#define CONNECTIONS_MAX 16u
#define SAID_MAX 1024u
#define WAITS_MAX (1024u * 1024)	/* bytes of the upstream's that wait to be read */
#define PREFACE STR("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")

/** struct said - what went to the upstream on one stream */
struct said {
	uint32_t stream;
	bool ended;
};

/** struct upstream_connection - courier/upstream.h's */
struct upstream_connection {
	bool used, http1_only, released;
	void (*changed)(void *user);
	void *user;
	uint64_t pool;
	struct buf in;
	size_t in_at;
	size_t room;
	bool starved, blocked;
	enum err end;			/* what is read after all that came */
	size_t preface;			/* bytes of it that came */
	struct ear ear;
	struct said said[SAID_MAX];
	unsigned said_count;
	uint32_t last_stream;
	bool goaway;
};

static struct upstream_connection connections[CONNECTIONS_MAX];
static unsigned connection_count;
static struct upstream_connection *hearing;	/* whose ear is told */
static size_t room_at_first;			/* of each connection */
static uint64_t body_heard;			/* bytes, of all connections */

/* -- the connection ----------------------------------------------------------------------- */

static void upstream_frame(uint8_t type, uint8_t flags, uint32_t stream, struct str payload);
static void upstream_field(uint32_t stream, bool first, struct str name, struct str value);

enum err upstream_dial(struct upstream *u, const struct upstream_target *t, void (*changed)(void *user),
		       void *user, struct upstream_connection **ret)
{
	struct upstream_connection *c = &connections[connection_count];

	(void)u;
	if (connection_count == CONNECTIONS_MAX)
		return ERR_LIMIT;
	connection_count++;
	c->used = true;
	c->http1_only = t->http1_only;
	c->released = c->starved = c->blocked = c->goaway = false;
	c->changed = changed;
	c->user = user;
	c->pool = t->pool;
	buf_init(&c->in, WAITS_MAX);
	c->in_at = c->preface = 0;
	c->room = room_at_first;
	c->end = ERR_OK;
	c->said_count = 0;
	c->last_stream = 0;
	c->ear.frame = upstream_frame;
	c->ear.field = upstream_field;
	ear_begin(&c->ear);
	*ret = c;
	return ERR_OK;
}

void upstream_own(struct upstream_connection *c, void (*changed)(void *user), void *user)
{
	c->changed = changed;
	c->user = user;
}

/* What is asked for HTTP/1.1 alone is refused, as by a place that speaks nothing but HTTP/2. */
enum err upstream_status(const struct upstream_connection *c)
{
	return c->http1_only ? ERR_UPSTREAM_TLS : ERR_OK;
}

bool upstream_no_protocol(const struct upstream_connection *c) { return c->http1_only; }
bool upstream_http2(const struct upstream_connection *c) { return !c->http1_only; }

bool upstream_matches(const struct upstream_connection *c, const struct upstream_target *t)
{
	return c->pool == t->pool;
}

const char *upstream_reason(const struct upstream_connection *c)
{
	(void)c;
	return "";
}

const struct address *upstream_address(const struct upstream_connection *c)
{
	static const struct address address;

	(void)c;
	return &address;
}

bool upstream_reused(const struct upstream_connection *c)
{
	(void)c;
	return false;
}

bool upstream_pending(const struct upstream_connection *c) { return c->in.len > c->in_at; }

void upstream_tick(struct upstream *u, uint64_t at_ms)
{
	(void)u;
	(void)at_ms;
}

void upstream_drop(struct upstream *u, uint32_t credential)
{
	(void)u;
	(void)credential;
}

enum err upstream_read(struct upstream_connection *c, char *p, size_t n, size_t *ret_n)
{
	struct str piece = str_head(str_from(buf_str(&c->in), c->in_at), n);

	check(c->used && !c->released);
	c->starved = piece.n == 0 && c->end == ERR_OK;
	if (piece.n == 0)
		return c->end ? c->end : ERR_MORE;
	memcpy(p, piece.p, piece.n);
	c->in_at += piece.n;
	if (c->in_at == c->in.len) {
		buf_clear(&c->in);
		c->in_at = 0;
	}
	*ret_n = piece.n;
	return ERR_OK;
}

enum err upstream_write(struct upstream_connection *c, struct str bytes, size_t *ret_n)
{
	struct str piece = str_head(bytes, c->room), preface;

	check(c->used && !c->released && bytes.n);
	if (c->end == ERR_UPSTREAM_TLS)
		return ERR_UPSTREAM_CLOSED;
	c->blocked = piece.n == 0;
	if (c->blocked)
		return ERR_MORE;
	*ret_n = piece.n;
	c->room -= c->room == SIZE_MAX ? 0 : piece.n;
	preface = str_head(str_from(PREFACE, c->preface), piece.n);
	check(str_eq(preface, str_head(piece, preface.n)));
	c->preface += preface.n;
	hearing = c;
	ear_hears(&c->ear, str_from(piece, preface.n));
	return ERR_OK;
}

void upstream_release(struct upstream_connection *c, bool keep)
{
	(void)keep;
	check(c->used && !c->released);
	c->released = true;
	ear_end(&c->ear);
	buf_free(&c->in);
}

/* -- what the upstream hears -------------------------------------------------------------- */

/* NULL: there were too many to watch. */
static struct said *said_on(uint32_t stream)
{
	struct upstream_connection *c = hearing;

	for (unsigned i = c->said_count; i > 0; i--)
		if (c->said[i - 1].stream == stream)
			return &c->said[i - 1];
	if (c->said_count == SAID_MAX)
		return NULL;
	c->said[c->said_count] = (struct said){ .stream = stream };
	return &c->said[c->said_count++];
}

static void upstream_field(uint32_t stream, bool first, struct str name, struct str value)
{
	static uint32_t trailers;	/* the stream whose trailers these are */
	static bool regular;

	check(!hearing->goaway);
	if (first) {
		trailers = stream <= hearing->last_stream ? stream : 0;
		check(trailers || str_eq(name, STR(":method")));
		hearing->last_stream = trailers ? hearing->last_stream : stream;
		regular = false;
	}
	regular |= !str_starts(name, STR(":"));
	check(regular ? field_name_check(name) : !trailers && field_name_check(str_from(name, 1)));
	check(field_value_check(value));
}

static void upstream_frame(uint8_t type, uint8_t flags, uint32_t stream, struct str payload)
{
	bool of_stream = type == NGHTTP2_DATA || type == NGHTTP2_HEADERS || type == NGHTTP2_RST_STREAM;
	struct said *on = of_stream ? said_on(stream) : NULL;

	switch (type) {
	case NGHTTP2_DATA:
		check(stream <= hearing->last_stream);
		body_heard += payload.n;
		__attribute__((fallthrough));
	case NGHTTP2_HEADERS:
		check(stream % 2 == 1 && (!on || !on->ended));
		if (on)
			on->ended = flags & NGHTTP2_FLAG_END_STREAM;
		break;
	case NGHTTP2_RST_STREAM:
		check(stream && payload.n == 4);
		if (on)
			on->ended = true;
		break;
	case NGHTTP2_GOAWAY:
		check(payload.n >= 8);
		hearing->goaway = true;
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
