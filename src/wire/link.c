/* link.c - the multiplexing protocol of every hop; the format is the table in link.h
 *
 * Theory of operation: bytes from the peer go into link_receive(), which hands out one
 * checked frame at a time; a frame that lies whole in the caller's input is used in place,
 * one that does not is gathered in `partial`. What we send is appended to `output`, from
 * whose front the caller writes. Open streams are in a table (stream.c); numbers are handed
 * out one after the other on either side, so "was once open" is one comparison with the
 * highest number seen.
 *
 * Trust: every byte of the peer's is hostile. A frame outside of the table ends the link;
 * an OPEN that we have no room for is answered by RESET and forgotten (two honest sides can
 * open at the same moment, so it breaks no rule).
 *
 * Invariants: for each stream, receive_credit + held + pending <= window_bytes, so a peer
 * makes us hold at most one window; send_credit <= the peer's window; output holds at most
 * output_max of payload frames, and control frames above that up to CONTROL_HARD_BYTES.
 * A receiver keeps back less than `batch` bytes of credit, which leaves the sender room for
 * one whole HEAD: batching can delay nothing for ever.
 *
 * Failure: no memory for a control frame, or too many of them unread, is kept in `failed`
 * and returned by the next link_receive(): a link that lost a frame is over. So is one whose numbers are used
 * up, 2^31 on each side: it could open nothing for ever. Until it was told, such a link wants input; and the peer
 * gets an OPEN out of order, upon which it ends its side, so that there is an end to be read.
 */
#include "wire/link.h"
#include "wire/queue.h"
#include "wire/stream.h"

#include <assert.h>
#include <stdlib.h>

#define HELLO_BYTES 16
#define HELLO_MAGIC STR("PDLK")
#define WINDOW_MAX_BYTES (64u * 1024 * 1024)
#define STREAMS_MAX 65536u

/* Control frames (CREDIT, END, RESET) pass output_max, or two sides that are both full
 * would wait for each other. Past the soft bound we stop reading, past the hard one the
 * link fails; one read of the caller's (128 KiB) cannot lead from one to the other. */
#define CONTROL_SOFT_BYTES ((size_t)256 * 1024)
#define CONTROL_HARD_BYTES ((size_t)1024 * 1024)

struct link {
	struct link_limits limits;
	enum link_side side;
	enum err failed;		/* final */
	bool told;			/* link_receive() has said so */
	bool hello_received;
	uint32_t peer_window, peer_streams_max;
	uint32_t last_own, last_peer;	/* highest number opened by either side */
	uint32_t batch;			/* credit is given back in pieces of at least this */

	struct stream_table streams;
	uint32_t ended;			/* stream that the last received frame ended, and its user */
	void *ended_user;

	struct queue output;
	char *partial;			/* header and payload of a frame that came in pieces */
	size_t partial_len, partial_cap;
	bool partial_done;		/* the frame in partial was handed out */
};

static void put_little(uint8_t *p, uint32_t v, size_t n)
{
	for (size_t i = 0; i < n; i++)
		p[i] = (uint8_t)(v >> (8 * i));
}

static uint32_t get_little(const char *p, size_t n)
{
	uint32_t v = 0;

	for (size_t i = 0; i < n; i++)
		v |= (uint32_t)(uint8_t)p[i] << (8 * i);
	return v;
}

/* -- output ------------------------------------------------------------------------- */

static size_t output_queued(const struct link *l) { return queue_bytes(&l->output).n; }

/* Queues one frame whose payload is @a and @b back to back. */
static enum err frame(struct link *l, uint32_t stream, enum link_type type, uint8_t flags,
		      struct str a, struct str b)
{
	uint8_t header[LINK_HEADER_BYTES] = { 0 };
	size_t n = a.n + b.n;

	assert(n <= LINK_PAYLOAD_MAX);
	if (l->failed)
		return l->failed;
	if (output_queued(l) > l->limits.output_max + CONTROL_HARD_BYTES)
		return ERR_LIMIT;
	if (!queue_reserve(&l->output, sizeof header + n))
		return ERR_MEMORY;
	put_little(header, stream, 4);
	header[4] = (uint8_t)type;
	header[5] = flags;
	put_little(header + 8, (uint32_t)n, 4);
	queue_put(&l->output, str_make(header, sizeof header));
	queue_put(&l->output, a);
	queue_put(&l->output, b);
	return ERR_OK;
}

/* A frame that must not get lost: if it does, the link is over. */
static void control(struct link *l, uint32_t stream, enum link_type type, struct str payload)
{
	enum err e = frame(l, stream, type, 0, payload, (struct str){ 0 });

	if (e && !l->failed)
		l->failed = e;
}

static void control_u32(struct link *l, uint32_t stream, enum link_type type, uint32_t v)
{
	uint8_t payload[4];

	put_little(payload, v, 4);
	control(l, stream, type, str_make(payload, 4));
}

bool link_wants_input(const struct link *l)
{
	if (l->failed)
		return !l->told;
	return output_queued(l) < l->limits.output_max + CONTROL_SOFT_BYTES;
}

struct str link_output(struct link *l) { return queue_bytes(&l->output); }

void link_sent(struct link *l, size_t n) { queue_take(&l->output, n); }

/* -- streams ------------------------------------------------------------------------ */

static enum err stream_new(struct link *l, uint32_t number)
{
	struct stream *s;

	if (l->streams.open_count >= l->limits.streams_max)
		return ERR_LIMIT;
	s = stream_add(&l->streams, number);
	if (!s)
		return ERR_MEMORY;
	s->send_credit = l->peer_window;
	s->receive_credit = l->limits.window_bytes;
	return ERR_OK;
}

static bool is_own(const struct link *l, uint32_t number)
{
	return (number & 1) == (l->side == LINK_LOWER);
}

static bool was_opened(const struct link *l, uint32_t number)
{
	return number <= (is_own(l, number) ? l->last_own : l->last_peer);
}

/* -- receiving ---------------------------------------------------------------------- */

static bool kind_is_known(uint8_t kind)
{
	switch ((enum link_kind)kind) {
	case LINK_KIND_TCP: case LINK_KIND_DNS: case LINK_KIND_EXCHANGE: case LINK_KIND_NAME:
	case LINK_KIND_LEAF: case LINK_KIND_TUNNEL: case LINK_KIND_CLAIMS: case LINK_KIND_CONFIG: case LINK_KIND_EXEC:
	case LINK_KIND_EVENTS: case LINK_KIND_FUSE:
		return true;
	}
	return false;
}

/* What the table says about a header on its own. */
static bool header_is_valid(uint32_t stream, uint8_t type, uint8_t flags, uint32_t n)
{
	if ((stream == 0) != (type == LINK_HELLO) || (flags && type != LINK_DATA))
		return false;
	switch ((enum link_type)type) {
	case LINK_HELLO:
		return n == HELLO_BYTES;
	case LINK_OPEN:
		return n >= 1 && n <= LINK_OPEN_MAX;
	case LINK_DATA:
		return n >= 1 && n <= LINK_PAYLOAD_MAX && (flags & ~LINK_FLAG_STDERR) == 0;
	case LINK_HEAD:
		return n >= 1 && n <= LINK_PAYLOAD_MAX;
	case LINK_END:
		return n == 0;
	case LINK_RESET:
	case LINK_CREDIT:
		return n == 4;
	}
	return false;
}

static enum err header_read(const char *p, struct link_frame *f, size_t *ret_payload)
{
	uint32_t stream = get_little(p, 4), n = get_little(p + 8, 4);

	if (get_little(p + 6, 2) != 0 || !header_is_valid(stream, (uint8_t)p[4], (uint8_t)p[5], n))
		return ERR_LINK_MALFORMED;
	*f = (struct link_frame){ .type = (enum link_type)(uint8_t)p[4], .flags = (uint8_t)p[5],
				  .stream = stream };
	*ret_payload = n;
	return ERR_OK;
}

/* Takes bytes of @input until `partial` holds @need of them. */
static enum err gather(struct link *l, struct str *input, size_t need)
{
	size_t n = need - l->partial_len;
	char *p;

	if (need > l->partial_cap) {
		p = realloc(l->partial, need);
		if (!p)
			return ERR_MEMORY;
		l->partial = p;
		l->partial_cap = need;
	}
	if (n > input->n)
		n = input->n;
	if (n)
		memcpy(l->partial + l->partial_len, input->p, n);
	l->partial_len += n;
	*input = str_from(*input, n);
	return l->partial_len == need ? ERR_OK : ERR_MORE;
}

/* The next whole frame, its header checked, in place where possible. */
static enum err next_frame(struct link *l, struct str *input, struct link_frame *f)
{
	size_t n = 0;
	enum err e;

	if (l->partial_done) {
		l->partial_len = 0;
		l->partial_done = false;
	}
	if (l->partial_len == 0 && input->n >= LINK_HEADER_BYTES) {
		e = header_read(input->p, f, &n);
		if (e)
			return e;
		if (n <= input->n - LINK_HEADER_BYTES) {
			f->payload = str_make(input->p + LINK_HEADER_BYTES, n);
			*input = str_from(*input, LINK_HEADER_BYTES + n);
			return ERR_OK;
		}
	}
	if (l->partial_len < LINK_HEADER_BYTES) {
		e = gather(l, input, LINK_HEADER_BYTES);
		if (e)
			return e;
	}
	e = header_read(l->partial, f, &n);
	if (e)
		return e;
	e = gather(l, input, LINK_HEADER_BYTES + n);
	if (e)
		return e;
	f->payload = str_make(l->partial + LINK_HEADER_BYTES, n);
	l->partial_done = true;
	return ERR_OK;
}

static enum err receive_hello(struct link *l, const struct link_frame *f)
{
	const char *p = f->payload.p;
	uint32_t window = get_little(p + 8, 4), streams = get_little(p + 12, 4);

	if (l->hello_received)
		return ERR_LINK_STATE;
	if (!str_starts(f->payload, HELLO_MAGIC) || get_little(p + 4, 2) != LINK_VERSION ||
	    get_little(p + 6, 2) != 0 || window < LINK_PAYLOAD_MAX || window > WINDOW_MAX_BYTES ||
	    streams == 0 || streams > STREAMS_MAX)
		return ERR_LINK_MALFORMED;
	l->hello_received = true;
	l->peer_window = window;
	l->peer_streams_max = streams;
	return ERR_OK;
}

static enum err receive_open(struct link *l, struct link_frame *f)
{
	uint32_t expected = l->last_peer ? l->last_peer + 2 : l->side == LINK_LOWER ? 2 : 1;
	enum err e;

	if (f->stream != expected || expected < l->last_peer)
		return ERR_LINK_STATE;	/* not the next one, or the numbers are used up */
	if (!kind_is_known((uint8_t)f->payload.p[0]))
		return ERR_LINK_MALFORMED;
	f->kind = (enum link_kind)(uint8_t)f->payload.p[0];
	f->payload = str_from(f->payload, 1);
	l->last_peer = f->stream;
	e = stream_new(l, f->stream);
	if (!e)
		return ERR_OK;
	control_u32(l, f->stream, LINK_RESET, (uint32_t)e);
	return l->failed ? l->failed : ERR_MORE;
}

static enum err receive_payload(const struct link_frame *f, struct stream *s)
{
	uint32_t n = (uint32_t)f->payload.n;

	if (s->received_end)
		return ERR_LINK_STATE;
	if (n > s->receive_credit)
		return ERR_LINK_CREDIT;
	s->receive_credit -= n;
	s->held += n;
	return ERR_OK;
}

/* The stream is over by the peer's frame: its user stays known until the next call, so that
 * the owner can find what belongs to it. */
static void stream_over(struct link *l, struct stream *s)
{
	l->ended = s->number;
	l->ended_user = s->user;
	stream_remove(&l->streams, s);
}

static enum err receive_credit(const struct link *l, const struct link_frame *f, struct stream *s)
{
	uint32_t n = get_little(f->payload.p, 4);

	if (n == 0)
		return ERR_LINK_MALFORMED;
	if (n > l->peer_window - s->send_credit)
		return ERR_LINK_CREDIT;		/* more than we ever sent */
	s->send_credit += n;
	return s->sent_end ? ERR_MORE : ERR_OK;	/* nobody waits for it any more */
}

/* ERR_OK: hand the frame out. ERR_MORE: it was dealt with, or dropped. */
static enum err receive_on_stream(struct link *l, struct link_frame *f)
{
	struct stream *s = stream_find(&l->streams, f->stream);

	if (f->type == LINK_RESET) {
		uint32_t reason = get_little(f->payload.p, 4);

		if (reason >= ERR_COUNT)
			return ERR_LINK_MALFORMED;
		f->reason = (enum err)reason;
		f->payload = (struct str){ 0 };
	}
	if (!s)
		return was_opened(l, f->stream) ? ERR_MORE : ERR_LINK_STATE;
	if (f->type == LINK_HEAD || f->type == LINK_DATA)
		return receive_payload(f, s);
	if (f->type == LINK_CREDIT)
		return receive_credit(l, f, s);
	if (f->type == LINK_END && s->received_end)
		return ERR_LINK_STATE;
	s->received_end = true;
	if (f->type == LINK_RESET || s->sent_end)
		stream_over(l, s);
	return ERR_OK;
}

enum err link_receive(struct link *l, struct str *input, struct link_frame *ret)
{
	struct link_frame f;
	enum err e;

	l->ended = 0;
	l->ended_user = NULL;
	for (;;) {
		if (l->failed) {
			l->told = true;
			return l->failed;
		}
		e = next_frame(l, input, &f);
		if (e == ERR_MORE)
			return e;
		if (!e) {
			if (f.type == LINK_HELLO)
				e = receive_hello(l, &f);
			else if (!l->hello_received)
				e = ERR_LINK_STATE;
			else if (f.type == LINK_OPEN)
				e = receive_open(l, &f);
			else
				e = receive_on_stream(l, &f);
		}
		if (e == ERR_OK) {
			*ret = f;
			return ERR_OK;
		}
		if (e != ERR_MORE)
			l->failed = e;
	}
}

/* -- sending ------------------------------------------------------------------------ */

/* Of either side; the numbers are used up when the next one is not above the last. */
static uint32_t first_number(const struct link *l) { return l->side == LINK_LOWER ? 1 : 2; }

static void numbers_used_up(struct link *l, uint8_t kind)
{
	control(l, first_number(l), LINK_OPEN, str_make(&kind, 1));
	l->failed = ERR_LIMIT;
}

enum err link_open(struct link *l, enum link_kind kind, struct str fields, uint32_t *ret_stream)
{
	uint32_t number = l->last_own ? l->last_own + 2 : first_number(l);
	uint8_t first = (uint8_t)kind;
	enum err e;

	assert(kind_is_known(first) && fields.n <= LINK_OPEN_MAX - 1);
	if (!l->hello_received || l->failed)
		return ERR_STATE;
	if (number < l->last_own) {
		numbers_used_up(l, first);
		return ERR_STATE;
	}
	if (l->streams.open_count >= l->peer_streams_max || output_queued(l) >= l->limits.output_max)
		return ERR_LIMIT;
	e = stream_new(l, number);
	if (e)
		return e;
	e = frame(l, number, LINK_OPEN, 0, str_make(&first, 1), fields);
	if (e) {
		stream_remove(&l->streams, stream_find(&l->streams, number));
		return e;
	}
	l->last_own = number;
	*ret_stream = number;
	return ERR_OK;
}

size_t link_sendable(const struct link *l, uint32_t stream)
{
	const struct stream *s = stream_find(&l->streams, stream);
	size_t queued = output_queued(l) + LINK_HEADER_BYTES, n;

	if (!s || s->sent_end || l->failed || queued >= l->limits.output_max)
		return 0;
	n = l->limits.output_max - queued;
	if (n > LINK_PAYLOAD_MAX)
		n = LINK_PAYLOAD_MAX;
	return n < s->send_credit ? n : s->send_credit;
}

static enum err send_payload(struct link *l, uint32_t stream, enum link_type type, uint8_t flags,
			     struct str bytes)
{
	struct stream *s = stream_find(&l->streams, stream);
	enum err e;

	if (!s || s->sent_end || l->failed)
		return ERR_STATE;
	if (bytes.n > link_sendable(l, stream))
		return ERR_LINK_CREDIT;
	if (bytes.n == 0)
		return type == LINK_DATA ? ERR_OK : ERR_STATE;
	e = frame(l, stream, type, flags, bytes, (struct str){ 0 });
	if (!e)
		s->send_credit -= (uint32_t)bytes.n;
	return e;
}

enum err link_head(struct link *l, uint32_t stream, struct str message)
{
	return send_payload(l, stream, LINK_HEAD, 0, message);
}

enum err link_data(struct link *l, uint32_t stream, uint8_t flags, struct str bytes)
{
	assert((flags & ~LINK_FLAG_STDERR) == 0);
	return send_payload(l, stream, LINK_DATA, flags, bytes);
}

void link_end(struct link *l, uint32_t stream)
{
	struct stream *s = stream_find(&l->streams, stream);

	if (!s || s->sent_end)
		return;
	s->sent_end = true;
	control(l, stream, LINK_END, (struct str){ 0 });
	if (s->received_end)
		stream_remove(&l->streams, s);
}

void link_reset(struct link *l, uint32_t stream, enum err reason)
{
	struct stream *s = stream_find(&l->streams, stream);

	if (!s)
		return;
	stream_remove(&l->streams, s);
	control_u32(l, stream, LINK_RESET, (uint32_t)reason);
}

void link_consumed(struct link *l, uint32_t stream, size_t n)
{
	struct stream *s = stream_find(&l->streams, stream);

	if (!s)
		return;
	assert(n <= s->held);
	s->held -= (uint32_t)n;
	s->pending += (uint32_t)n;
	if (s->received_end || s->pending < l->batch)
		return;
	control_u32(l, stream, LINK_CREDIT, s->pending);
	s->receive_credit += s->pending;
	s->pending = 0;
}

/* -- the link as a whole ------------------------------------------------------------ */

static void hello(struct link *l)
{
	uint8_t payload[HELLO_BYTES] = { 0 };

	memcpy(payload, HELLO_MAGIC.p, HELLO_MAGIC.n);
	put_little(payload + 4, LINK_VERSION, 2);
	put_little(payload + 8, l->limits.window_bytes, 4);
	put_little(payload + 12, l->limits.streams_max, 4);
	control(l, 0, LINK_HELLO, str_make(payload, sizeof payload));
}

struct link *link_new(enum link_side side, const struct link_limits *limits)
{
	struct link *l = calloc(1, sizeof *l);
	uint32_t spare;

	assert(limits->streams_max >= 1 && limits->streams_max <= STREAMS_MAX);
	assert(limits->window_bytes >= LINK_PAYLOAD_MAX && limits->window_bytes <= WINDOW_MAX_BYTES);
	assert(limits->output_max >= (size_t)2 * LINK_PAYLOAD_MAX);
	if (!l)
		return NULL;
	l->side = side;
	l->limits = *limits;
	stream_table_init(&l->streams);
	spare = limits->window_bytes - LINK_PAYLOAD_MAX;
	l->batch = spare < limits->window_bytes / 4 ? spare : limits->window_bytes / 4;
	if (l->batch == 0)
		l->batch = 1;
	hello(l);
	if (l->failed) {
		link_free(l);
		return NULL;
	}
	return l;
}

void link_free(struct link *l)
{
	if (!l)
		return;
	stream_table_free(&l->streams);
	queue_free(&l->output);
	free(l->partial);
	free(l);
}

void link_set_user(struct link *l, uint32_t stream, void *user)
{
	struct stream *s = stream_find(&l->streams, stream);

	if (s)
		s->user = user;
	else if (stream == l->ended)
		l->ended_user = user;
}

void *link_user(const struct link *l, uint32_t stream)
{
	const struct stream *s = stream_find(&l->streams, stream);

	if (s)
		return s->user;
	return stream != 0 && stream == l->ended ? l->ended_user : NULL;
}

bool link_is_open(const struct link *l, uint32_t stream) { return stream_find(&l->streams, stream) != NULL; }

void link_each(struct link *l, void (*f)(void *ctx, uint32_t stream, void *user), void *ctx)
{
	const struct stream_table *t = &l->streams;

	for (uint32_t i = 0; i < t->slot_count; i++)	/* t may grow meanwhile, never shrinks */
		if (t->slots[i].number)
			f(ctx, t->slots[i].number, t->slots[i].user);
}

uint32_t link_streams(const struct link *l) { return l->streams.open_count; }
