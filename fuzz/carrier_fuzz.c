/* carrier_fuzz.c - any HTTP/2 upstream, the courier's sessions and streams with it, and the streams' owners
 *
 * The connection is played here (carrier_upstream.h, without a socket and always with HTTP/2), and so are the
 * exchanges that own a carrier, and the clock. Input: one byte of choices, then moves (enum move) of the
 * upstream, of the owners and of time, each with its operands. The upstream's frames come raw, or with a
 * header that is made here.
 *
 * Whatever comes: what goes to the upstream is frames that can be read, of streams in order, none after its
 * end, and no more of a body than was taken of its owner; what an owner gets is canonical heads, a final one
 * before any body, and a body of the length that its head said; queues stay within their limits; when the
 * connections are over each owner has an end, each connection was given back once, and nothing is left.
 */
#include "carrier_upstream.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define OWNERS_MAX 256u
#define FED_MAX (4u * 1024 * 1024)	/* bytes of the upstream's, of one input */
/* Frames in nghttp2 that wait for room: what it acknowledges, and what a budget of glitches can cause */
#define QUEUE_BOUND (4u * HTTP2_GLITCHES_BURST)

enum move {
	MOVE_BYTES,	/* u16 n, n bytes: the upstream's, as they are */
	MOVE_FRAME,	/* u8 type, u8 flags, u8 stream, u16 n, n bytes of payload */
	MOVE_FILLED,	/* u8 type, u8 flags, u8 stream, u16 n: its payload is zeros */
	MOVE_REPEAT,	/* u8 times / 8, u8 how many of the last frames, u8 by which their streams rise */
	MOVE_READS,	/* u8 how much more the upstream reads; 255: all */
	MOVE_CLOSE,	/* u8 how: the connection ends, once what came is read */
	MOVE_TIME,	/* u8 how much of it passes */
	MOVE_DROP,	/* u8 credential */
	MOVE_ASK,	/* u8 kind of request, u16 length of its body */
	MOVE_SEND,	/* u8 which, u16 n, u8 last: more of a body */
	MOVE_TRAILERS,	/* u8 which */
	MOVE_TAKE,	/* u8 which, u16 n: that much of the answer */
	MOVE_RELEASE,	/* u8 which */
	MOVES
};

/* The choices */
#define CHOICE_ENDING 0x03u	/* enum ending */
#define CHOICE_DEAF_UPSTREAM 0x04u
#define CHOICE_EAGER 0x08u	/* owners take all that comes */

enum ending { ENDING_CLOSE, ENDING_BROKEN, ENDING_RELEASE, ENDING_IDLE };

/* Kinds of requests */
#define KIND_METHOD 0x03u	/* GET, POST of a known length, POST that streams, HEAD */
#define KIND_WEBSOCKET 0x04u
#define KIND_SECRET 0x08u
#define KIND_FRESH 0x10u

/** struct owner - an exchange, as far as a carrier can tell */
struct owner {
	struct carrier *carrier;
	struct head head;
	bool told, asked, last, trailers, framed;
	size_t offered;			/* of the body: here, and not yet taken */
	uint64_t unsaid;		/* of a body of known length: not yet offered */
	bool final, body;
	enum head_framing framing;
	uint64_t left;			/* of the answer's body */
};

static uint64_t now_ms;
static uv_loop_t loop;
static struct carriers *carriers;
static struct owner owners[OWNERS_MAX];
static unsigned owner_count;
static size_t fed;
static bool held_back;		/* the upstream did not read all */
static uint64_t body_given;	/* bytes that carriers took of their owners */
static uint8_t choices;

uint64_t clock_ms(void);	/* in place of base/clock.c */
uint64_t clock_ms(void) { return now_ms; }

/* -- the owners --------------------------------------------------------------------------- */

static void release(struct owner *o, bool clean)
{
	struct carrier *c = o->carrier;

	o->carrier = NULL;
	carrier_release(c, clean);
}

static void take_head(struct owner *o, const struct carrier_event *e)
{
	check(!o->final && head_check(e->head) == ERR_OK && e->head->kind == HEAD_RESPONSE);
	check(!e->head->websocket || o->head.websocket);
	o->final = e->head->final;
	o->body = e->body;
	o->framing = e->head->framing;
	o->left = e->head->length;
}

/* The next of the answer, and @n bytes of its body at most; false: there is no more now. */
static bool take_next(struct owner *o, size_t *n)
{
	struct carrier_event event;
	enum err e = carrier_next(o->carrier, &event);
	size_t take;

	if (e == ERR_MORE)
		return false;
	if (e != ERR_OK) {
		check(carrier_reason(o->carrier));
		(void)carrier_again(o->carrier);
		release(o, false);
		return false;
	}
	if (event.type == CARRIER_HEAD) {
		take_head(o, &event);
		return true;
	}
	check(o->final);
	if (event.type == CARRIER_DATA) {
		take = event.data.n < *n ? event.data.n : *n;
		check(event.data.n && o->body);
		check(o->framing != HEAD_BODY_LENGTH || take <= o->left);
		o->left -= o->framing == HEAD_BODY_LENGTH ? take : 0;
		carrier_taken(o->carrier, take);
		*n -= take;
		return *n > 0;
	}
	check(o->framing != HEAD_BODY_LENGTH || o->left == 0 || !o->body);
	check(!event.head || (event.head->kind == HEAD_TRAILERS && head_check(event.head) == ERR_OK));
	release(o, o->framed && carrier_sent(o->carrier));
	return false;
}

static void take(struct owner *o, size_t n)
{
	while (o->carrier && o->asked && take_next(o, &n))
		;
}

/* As far as it goes: a place, the head, then the body. */
static void push(struct owner *o)
{
	static const char zeros[65536];
	enum err e = o->asked ? ERR_OK : carrier_status(o->carrier);
	size_t n = 0;

	if (e == ERR_OK && !o->asked) {
		o->asked = true;
		e = carrier_send_head(o->carrier, &o->head);
	}
	if (e == ERR_MORE)
		return;
	if (e != ERR_OK) {
		release(o, false);
		return;
	}
	do {
		struct str piece = str_head(str_make(zeros, sizeof zeros), o->offered);
		bool last = o->last && piece.n == o->offered;

		e = carrier_send(o->carrier, piece, last && !o->trailers, &n);
		if (e != ERR_OK)
			return;		/* the answer may still come, or say why */
		check(n <= piece.n);
		o->offered -= n;
		body_given += n;
		if (!last || o->offered || o->framed)
			continue;
		o->framed = true;
		if (o->trailers) {
			static struct head h;

			head_clear(&h);
			h.kind = HEAD_TRAILERS;
			check(head_add(&h, STR("x-sum"), STR("7")) == ERR_OK);
			if (carrier_send_trailers(o->carrier, &h))
				return;
		}
	} while (n && o->offered);
}

static void changed(void *user)
{
	struct owner *o = user;

	o->told = true;
}

/* Of an answer: a window, and what comes with one read before nghttp2 has said that it was too much; to an
 * upstream that does not read, it cannot say so, and the queue's own limit holds. */
static size_t data_bound(void)
{
	return held_back ? 2 * (size_t)HTTP2_WINDOW_BYTES : HTTP2_WINDOW_BYTES + sizeof carriers->input;
}

static void bounds(void)
{
	check(body_heard <= body_given);
	for (const struct http2_session *s = carriers->sessions; s; s = s->next) {
		uint32_t count = 0;

		check(s->count <= HTTP2_STREAMS_MAX && queue_bytes(&s->out) <= 2 * HTTP2_OUTPUT_MAX);
		check(nghttp2_session_get_outbound_queue_size(s->ng) <= QUEUE_BOUND);
		for (const struct http2_stream *st = s->streams; st; st = st->next) {
			count++;
			check(queue_bytes(&st->data) <= data_bound());
			check(st->heads.len <= HTTP2_HEADS_MAX);
		}
		check(count == s->count);
	}
}

static bool tell_connection(struct upstream_connection *c)
{
	bool readable = c->starved && (c->in.len > c->in_at || c->end), writable = c->blocked && c->room;

	if (!c->used || c->released || !(readable || writable))
		return false;
	c->starved &= !readable;
	c->blocked &= !writable;
	c->changed(c->user);
	return true;
}

static bool tell_owner(struct owner *o)
{
	if (!o->carrier || !o->told)
		return false;
	o->told = false;
	push(o);
	if (o->carrier && (choices & CHOICE_EAGER))
		take(o, SIZE_MAX);
	return true;
}

/* Until nobody has anything to say. */
static void settle(void)
{
	bool moved;

	do {
		moved = carriers->due;
		(void)uv_run(&loop, UV_RUN_NOWAIT);
		bounds();
		for (unsigned i = 0; i < connection_count; i++)
			moved |= tell_connection(&connections[i]);
		for (unsigned i = 0; i < owner_count; i++)
			moved |= tell_owner(&owners[i]);
	} while (moved);
}

/* -- moves -------------------------------------------------------------------------------- */

/* The newest connection that is there. */
static struct upstream_connection *upstream(void)
{
	for (unsigned i = connection_count; i > 0; i--)
		if (!connections[i - 1].released && !connections[i - 1].http1_only)
			return &connections[i - 1];
	return NULL;
}

static bool say(struct str bytes)
{
	struct upstream_connection *c = upstream();

	if (!c || c->end || bytes.n > FED_MAX - fed || bytes.n > buf_room(&c->in))
		return false;
	fed += bytes.n;
	buf_put(&c->in, bytes);
	check(!buf_err(&c->in));
	return true;
}

static struct mouth mouth = { .say = say, .wait = settle };

static void ask_move(struct reader *r, uint8_t kind)
{
	static const struct str methods[] = { STR_INIT("GET"), STR_INIT("POST"), STR_INIT("POST"),
					      STR_INIT("HEAD") };
	static const enum head_framing framings[] = { HEAD_BODY_NONE, HEAD_BODY_LENGTH, HEAD_BODY_STREAMED,
						      HEAD_BODY_NONE };
	struct owner *o = &owners[owner_count];
	bool websocket = kind & KIND_WEBSOCKET;
	uint8_t method = websocket ? 0 : kind & KIND_METHOD;
	struct upstream_target t = { .scheme = HEAD_HTTPS, .host = STR("api.example"), .port = 443,
				     .websocket = websocket, .fresh = kind & KIND_FRESH };
	uint16_t length;

	if (owner_count == OWNERS_MAX || !reader_u16le(r, &length))
		return;
	if (kind & KIND_SECRET) {
		t.pool = 1;
		t.credential = 1;
	}
	memset(o, 0, sizeof *o);
	o->head = (struct head){ .kind = HEAD_REQUEST, .scheme = HEAD_HTTPS, .port = 443, .path = STR("/a"),
				 .method = methods[method], .framing = framings[method],
				 .host = STR("api.example"), .websocket = websocket };
	o->head.length = o->head.framing == HEAD_BODY_LENGTH ? length : 0;
	o->head.trailers = o->head.framing == HEAD_BODY_STREAMED;
	o->unsaid = o->head.length;
	o->last = !websocket && o->head.framing != HEAD_BODY_STREAMED && o->head.length == 0;
	check(head_add(&o->head, STR("host"), STR("api.example")) == ERR_OK);
	check(head_add(&o->head, STR("authorization"), STR("Bearer abc")) == ERR_OK);
	check(head_check(&o->head) == ERR_OK);
	if (carrier_dial(carriers, &t, changed, o, &o->carrier))
		return;
	owner_count++;
	o->told = true;
}

/* More of a body: no more than was said, and the end where it is reached. */
static void send_move(struct owner *o, struct reader *r)
{
	uint16_t n;
	uint8_t last;

	if (!reader_u16le(r, &n) || !reader_u8(r, &last) || o->last ||
	    (o->head.framing == HEAD_BODY_NONE && !o->head.websocket))
		return;
	if (o->head.framing == HEAD_BODY_LENGTH) {
		n = n < o->unsaid ? n : (uint16_t)o->unsaid;
		o->unsaid -= n;
		o->last = o->unsaid == 0;
	} else {
		o->last = last & 1;
	}
	o->offered += n;
	o->told = true;
}

static void owner_move(enum move m, struct reader *r, uint8_t back)
{
	struct owner *o = owner_count ? &owners[owner_count - 1 - back % owner_count] : NULL;
	uint16_t n;

	if (!o || !o->carrier)
		return;
	if (m == MOVE_SEND) {
		send_move(o, r);
	} else if (m == MOVE_TRAILERS) {
		o->trailers = !o->last && o->head.framing == HEAD_BODY_STREAMED;
		o->last |= o->trailers;
		o->told = true;
	} else if (m == MOVE_RELEASE) {
		release(o, false);
	} else if (reader_u16le(r, &n)) {
		take(o, n ? n : SIZE_MAX);
	}
}

static void pass(uint64_t ms)
{
	now_ms += ms;
	carriers_tick(carriers, now_ms);
	settle();
}

static void upstream_move(enum move m, uint8_t v)
{
	static const enum err ends[] = { ERR_CLOSED, ERR_UPSTREAM_CLOSED, ERR_UPSTREAM_TLS, ERR_MEMORY };
	static const uint64_t ms[] = { 1, 100, 1000, HTTP2_SETTINGS_MS, HTTP2_SILENT_MS, HTTP2_IDLE_MS };
	struct upstream_connection *c = upstream();

	if (m == MOVE_TIME)
		pass(ms[v % 6] + v / 6u);
	if (m == MOVE_DROP)
		carriers_drop(carriers, v % 2);
	if (c && m == MOVE_READS) {
		held_back |= v < 255;
		c->room = v == 255 ? SIZE_MAX : v * 64u;
	}
	if (c && m == MOVE_CLOSE && !c->end)
		c->end = ends[v % 4];
}

static void play(struct reader *r)
{
	uint8_t m, v;

	while (reader_u8(r, &m)) {
		m %= MOVES;
		if (m == MOVE_BYTES)
			(void)say(payload_of(r, false));
		else if (m == MOVE_FRAME || m == MOVE_FILLED)
			mouth_frame(&mouth, r, m == MOVE_FILLED);
		else if (m == MOVE_REPEAT)
			mouth_repeat(&mouth, r);
		else if (!reader_u8(r, &v))
			break;
		else if (m == MOVE_ASK)
			ask_move(r, v);
		else if (m < MOVE_ASK)
			upstream_move(m, v);
		else
			owner_move(m, r, v);
		settle();
	}
}

/* -- an input ----------------------------------------------------------------------------- */

static void finish(enum ending ending)
{
	for (unsigned i = 0; i < connection_count && ending < ENDING_RELEASE; i++) {
		connections[i].end = ending == ENDING_CLOSE ? ERR_CLOSED : ERR_UPSTREAM_TLS;
		connections[i].room = SIZE_MAX;
	}
	settle();
	for (unsigned i = 0; i < owner_count; i++) {
		struct owner *o = &owners[i];

		if (o->carrier && ending < ENDING_RELEASE) {
			push(o);
			take(o, SIZE_MAX);
			check(!o->carrier);	/* an end, of whatever kind */
		}
		if (o->carrier)
			release(o, false);
	}
	if (ending == ENDING_IDLE) {
		settle();
		pass(HTTP2_IDLE_MS);
		check(!carriers->sessions);
	}
	carriers_free(carriers);
	check(uv_run(&loop, UV_RUN_DEFAULT) == 0);
	for (unsigned i = 0; i < connection_count; i++)
		check(connections[i].released);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct reader r = reader_of(str_make(data, size));

	if (!reader_u8(&r, &choices))
		return 0;
	if (!loop.data) {
		check(uv_loop_init(&loop) == 0);
		loop.data = &loop;
	}
	now_ms = 1000 * 1000;
	owner_count = connection_count = mouth.count = 0;
	fed = 0;
	body_given = body_heard = 0;
	held_back = choices & CHOICE_DEAF_UPSTREAM;
	room_at_first = held_back ? 0 : SIZE_MAX;
	carriers = carriers_new(&loop, NULL);
	check(carriers);
	play(&r);
	finish((enum ending)(choices & CHOICE_ENDING));
	return 0;
}
