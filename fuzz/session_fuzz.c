/* session_fuzz.c - any HTTP/2 client, one session of the inspector's, and a courier that answers by script
 *
 * The session is the inspector's own, with its link to the courier; what is played here is the client's
 * transport, the courier at the other end of the link, the channel between the two, and the clock. Input: one
 * byte of choices, then moves (enum move) of the client, of the courier and of time, each with its operands.
 * The client's frames come raw, or with a header that is made here.
 *
 * Whatever comes: the inspector breaks no rule of the link; heads, bodies and WebSocket messages on it are
 * well-formed, and a body is as long as its head said; what it says to the client is frames that can be read
 * (session_peers.h); streams and buffers stay within their limits; after GOAWAY no exchange begins; each that
 * began ends; every wait has an end, also with a client that no longer reads.
 */
#include "session_peers.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define FED_MAX (1024u * 1024)	/* bytes of the client's, of one input */
/* Frames in nghttp2 above which the session reads no more, and those that one more piece can cause */
#define QUEUE_BOUND (1000u + 16384u / FRAME_HEADER + SESSION_STREAMS_MAX)

enum move {
	MOVE_BYTES,	/* u16 n, n bytes: the client's, as they are */
	MOVE_FRAME,	/* u8 type, u8 flags, u8 stream, u16 n, n bytes of payload */
	MOVE_FILLED,	/* u8 type, u8 flags, u8 stream, u16 n: its payload is zeros */
	MOVE_REPEAT,	/* u8 times / 8, u8 how many of the last frames, u8 by which their streams rise */
	MOVE_READS,	/* u8 how much more the client reads; 255: all */
	MOVE_CLOSE,	/* u8: the client sends no more */
	MOVE_TIME,	/* u8 how much of it passes */
	MOVE_ROOM,	/* u8: there is room on the link again */
	MOVE_CREDIT,	/* u8 does the courier give credit back? */
	MOVE_ANSWER,	/* u8 which, u8 status, u8 framing and flags, u16 length */
	MOVE_HEAD,	/* u8 which, u16 n, n bytes: a head as it is */
	MOVE_DATA,	/* u8 which, u16 n, n bytes */
	MOVE_BODY,	/* u8 which, u16 n: zeros */
	MOVE_TRAILERS,	/* u8 which */
	MOVE_END,	/* u8 which */
	MOVE_RESET,	/* u8 which, u8 reason */
	MOVES
};

/* The choices */
#define CHOICE_ENDING 0x03u	/* enum ending */
#define CHOICE_NO_PREFACE 0x04u	/* the input has it, or something else */
#define CHOICE_FEW_EXCHANGES 0x08u
#define CHOICE_SMALL_WINDOW 0x10u
#define CHOICE_DEAF_CLIENT 0x20u
#define CHOICE_KEEPS_CREDIT 0x40u

enum ending { ENDING_CLOSE, ENDING_LOST, ENDING_STOP, ENDING_SILENCE };

/** struct channel - os/channel.h's, without a descriptor: the bytes are moved here */
struct channel {
	struct link *link;
	struct channel_ops ops;
	void *user;
};

static uint64_t now_ms;
static uv_loop_t loop;
static struct channel channels[2];	/* to the courier; to the guest's network, unused */
static unsigned channel_count;
static struct inspector inspector;
static struct connection *connection;	/* NULL: gone */
static size_t room, sent, taken;	/* bytes: what the client will read, what it sent, what was used up */

/* -- in place of base/clock.c and os/channel.c -------------------------------------------- */

uint64_t clock_ms(void);
uint64_t clock_ms(void) { return now_ms; }

struct channel *channel_new(uv_loop_t *l, int fd, struct link *link, const struct channel_ops *ops,
			    void *user)
{
	struct channel *c = &channels[channel_count++];

	(void)l;
	(void)fd;
	check(channel_count <= 2);
	*c = (struct channel){ .link = link, .ops = *ops, .user = user };
	return c;
}

struct link *channel_link(struct channel *c) { return c->link; }
void channel_flush(struct channel *c) { (void)c; }

void channel_close(struct channel *c)
{
	if (c == &channels[0])
		from_inspector();	/* last words */
	link_free(c->link);
	c->link = NULL;
}

static void from_inspector(void)
{
	struct str out = link_output(channels[0].link), rest = out;
	struct link_frame f;
	enum err e;

	while ((e = link_receive(courier.link, &rest, &f)) == ERR_OK)
		courier_hears(&f);
	check(e == ERR_MORE && rest.n == 0);
	link_sent(channels[0].link, out.n);
}

static void to_inspector(void)
{
	struct str out = link_output(courier.link), rest = out;
	struct link_frame f;
	enum err e;

	while ((e = link_receive(channels[0].link, &rest, &f)) == ERR_OK)
		channels[0].ops.frame(channels[0].user, &f);
	check(e == ERR_MORE && rest.n == 0);
	link_sent(courier.link, out.n);
}

/* -- the client's transport --------------------------------------------------------------- */

static size_t sendable(const struct transport *t)
{
	(void)t;
	return room;
}

static enum err send_bytes(struct transport *t, struct str bytes)
{
	(void)t;
	check(bytes.n <= room);
	room -= room == SIZE_MAX ? 0 : bytes.n;
	ear_hears(&client.ear, bytes);
	return ERR_OK;
}

static bool flushed(const struct transport *t)
{
	(void)t;
	return true;
}

static void consumed(struct transport *t, size_t n)
{
	(void)t;
	taken += n;
	check(taken <= sent);
}

static void end(struct transport *t) { (void)t; }

static void reset(struct transport *t, enum err why)
{
	(void)t;
	check(why != ERR_OK);
}

static void release(struct transport *t)
{
	(void)t;
	connection = NULL;
}

static const struct transport_ops transport_ops = { sendable, send_bytes, flushed, consumed,
						    end, reset, release };

/* -- turns -------------------------------------------------------------------------------- */

static void bounds(void)
{
	struct session *s = connection ? connection->session : NULL;
	uint32_t streams = 0;

	if (!s)
		return;
	check(connection->in.len <= INSPECTOR_GUEST_WINDOW && connection->out.len <= CONNECTION_OUT_MAX);
	check(nghttp2_session_get_outbound_queue_size(s->nghttp2) <= QUEUE_BOUND);
	for (struct session_stream *t = s->streams; t; t = t->next) {
		streams++;
		check(t->upload.len <= NGHTTP2_INITIAL_WINDOW_SIZE);
		check(exchange_body(&t->exchange).n <= INSPECTOR_COURIER_WINDOW);
	}
	check(streams == s->stream_count && streams <= SESSION_STREAMS_MAX);
	check(inspector.exchange_count <= streams);
}

/* Until nobody has anything to say. */
static void settle(void)
{
	do {
		connection_run_woken(&inspector);
		bounds();
		from_inspector();
		to_inspector();
	} while (inspector.woken || link_output(channels[0].link).n || link_output(courier.link).n);
}

static struct wait *next_due(void)
{
	struct wait *list = &inspector.waits.list;

	for (struct wait *w = list->next; w != list; w = w->next)
		if (w->at_ms <= now_ms)
			return w;
	return NULL;
}

static void pass(uint64_t ms)
{
	struct wait *w;

	now_ms += ms;
	while ((w = next_due())) {
		void (*fire)(struct wait *w) = w->fire;

		wait_clear(w);
		fire(w);
	}
	settle();
}

/* -- the client's moves ------------------------------------------------------------------- */

/* Bytes of the client's; false: its window is used up. */
static bool say(struct str bytes)
{
	if (!connection || connection->ended || bytes.n > FED_MAX - sent ||
	    bytes.n > INSPECTOR_GUEST_WINDOW - (sent - taken))
		return false;
	sent += bytes.n;
	connection_input(connection, bytes);
	return true;
}

static struct mouth mouth = { .say = say, .wait = settle };

static void client_move(enum move m, uint8_t v)
{
	if (m == MOVE_READS)
		room = v == 255 ? SIZE_MAX : v * 64u;
	if (!connection)
		return;
	connection_wake(connection);
	if (m == MOVE_CLOSE)
		connection_input_end(connection);
}

static void time_move(uint8_t v)
{
	const struct inspector_limits *l = &inspector.limits;
	const uint64_t ms[] = { 1, 100, 1000, l->continue_ms, l->linger_ms, l->head_ms, l->idle_ms,
				l->stall_ms };

	pass(ms[v % 8] + v / 8u);
}

/* -- the courier's moves ------------------------------------------------------------------ */

static void send_head(struct asked *a, struct str encoded)
{
	static struct head h;

	if (encoded.n == 0 || encoded.n > link_sendable(courier.link, a->stream))
		return;
	check(link_head(courier.link, a->stream, encoded) == ERR_OK);
	if (head_decode(encoded, &h) == ERR_OK && h.kind == HEAD_RESPONSE && h.websocket)
		a->granted = true;
}

static void answer_move(struct asked *a, struct reader *r)
{
	static const uint16_t statuses[] = { 200, 100, 103, 204, 304, 404, 101, 500 };
	static struct head h;
	auto_buf b = BUF_EMPTY;
	uint8_t status, choices;
	uint16_t length;

	if (!reader_u8(r, &status) || !reader_u8(r, &choices) || !reader_u16le(r, &length))
		return;
	head_clear(&h);
	h.kind = HEAD_RESPONSE;
	h.status = statuses[status % 8];
	h.final = h.status >= 200;
	h.websocket = choices & 4;
	h.framing = (enum head_framing)(choices % 4 % 3);
	h.length = h.framing == HEAD_BODY_LENGTH ? length : 0;
	h.trailers = h.framing == HEAD_BODY_STREAMED;
	buf_init(&b, HEAD_MAX_BYTES);
	if (!head_add(&h, STR("x-from"), STR("courier")) && !head_add(&h, STR("set-cookie"), STR("a=b")) &&
	    !head_encode(&h, &b))
		send_head(a, buf_str(&b));
}

static void trailers_move(struct asked *a)
{
	static struct head h;
	auto_buf b = BUF_EMPTY;

	head_clear(&h);
	h.kind = HEAD_TRAILERS;
	buf_init(&b, HEAD_MAX_BYTES);
	if (!head_add(&h, STR("x-sum"), STR("7")) && !head_encode(&h, &b))
		send_head(a, buf_str(&b));
}

/* On one of the exchanges; @back 0: the newest. */
static void courier_move(enum move m, struct reader *r, uint8_t back)
{
	struct asked *a = courier.count ? &courier.asked[courier.count - 1 - back % courier.count] : NULL;
	struct str bytes;
	uint8_t reason;

	if (!a)
		return;
	if (m == MOVE_ANSWER) {
		answer_move(a, r);
	} else if (m == MOVE_HEAD) {
		send_head(a, payload_of(r, false));
	} else if (m == MOVE_DATA || m == MOVE_BODY) {
		bytes = str_head(payload_of(r, m == MOVE_BODY), link_sendable(courier.link, a->stream));
		if (bytes.n)
			check(link_data(courier.link, a->stream, 0, bytes) == ERR_OK);
	} else if (m == MOVE_TRAILERS) {
		trailers_move(a);
	} else if (m == MOVE_END) {
		link_end(courier.link, a->stream);
	} else if (reader_u8(r, &reason)) {
		link_reset(courier.link, a->stream, (enum err)(reason % ERR_COUNT));
		a->over = true;
	}
}

static void credit_move(uint8_t v)
{
	courier.keeps = v & 1;
	for (unsigned i = 0; i < courier.count; i++)
		give_credit(&courier.asked[i]);
}

/* -- an input ----------------------------------------------------------------------------- */

static void play(struct reader *r)
{
	uint8_t m, v;

	/* one move cannot begin more than the other half */
	while (courier.count < ASKED_MAX / 2 && reader_u8(r, &m)) {
		m %= MOVES;
		if (m == MOVE_BYTES)
			(void)say(payload_of(r, false));
		else if (m == MOVE_FRAME || m == MOVE_FILLED)
			mouth_frame(&mouth, r, m == MOVE_FILLED);
		else if (m == MOVE_REPEAT)
			mouth_repeat(&mouth, r);
		else if (!reader_u8(r, &v))
			break;
		else if (m == MOVE_TIME)
			time_move(v);
		else if (m == MOVE_ROOM)
			channels[0].ops.writable(channels[0].user);
		else if (m == MOVE_CREDIT)
			credit_move(v);
		else if (m < MOVE_ANSWER)
			client_move(m, v);
		else
			courier_move(m, r, v);
		settle();
	}
}

static void begin(uint8_t choices)
{
	struct link_limits limits = LINK_LIMITS_DEFAULT;
	struct inspector_limits mine = inspector_limits_default;

	now_ms = 1000 * 1000;
	room = choices & CHOICE_DEAF_CLIENT ? 0 : SIZE_MAX;
	channel_count = mouth.count = 0;
	sent = taken = 0;
	courier.count = client.said_count = 0;
	courier.keeps = choices & CHOICE_KEEPS_CREDIT;
	client.goaway = false;
	client.ear.frame = client_frame;
	client.ear.field = client_field;
	ear_begin(&client.ear);
	if (choices & CHOICE_SMALL_WINDOW)
		limits.window_bytes = LINK_PAYLOAD_MAX;
	if (choices & CHOICE_FEW_EXCHANGES)
		mine.exchanges_max = 2;
	limits.streams_max = 2048;
	courier.link = link_new(LINK_UPPER, &limits);
	check(courier.link && inspector_start(&inspector, &loop, -1, -1, NULL, &mine, NULL, NULL) == ERR_OK);
	settle();
	connection = connection_new(&inspector);
	check(connection);
	connection->transport = (struct transport){ { NULL }, &transport_ops, &inspector, 0, NULL };
	connection->scheme = HEAD_HTTPS;
	connection->asked.port = 443;
	memcpy(connection->host, "api.example", sizeof "api.example");
	check(session_begin(connection) == STEP_AGAIN);
	if (!(choices & CHOICE_NO_PREFACE))
		(void)say(STR(SESSION_PREFACE));
}

/* The connection ends, in whatever way; what it had begun ends with it. */
static void finish(enum ending ending)
{
	if (connection && ending == ENDING_CLOSE)
		connection_input_end(connection);
	if (connection && ending == ENDING_LOST)
		connection_lost(connection, ERR_CANCELLED);
	if (ending == ENDING_STOP)
		inspector_stop(&inspector);
	else
		settle();
	for (unsigned i = 0; connection && i < 8; i++)
		pass(inspector.limits.stall_ms + 1);
	check(!connection && inspector.connection_count == 0 && inspector.exchange_count == 0);
	check(inspector.message_bytes == 0 && inspector.waits.list.next == &inspector.waits.list);
	for (unsigned i = 0; i < courier.count; i++) {
		check(courier.asked[i].ended || courier.asked[i].over);
		link_end(courier.link, courier.asked[i].stream);
	}
	check(link_streams(courier.link) <= 1);	/* the claims' */
	if (ending != ENDING_STOP) {
		settle();
		check(link_streams(channels[0].link) <= 1);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct reader r = reader_of(str_make(data, size));
	uint8_t choices;

	if (!reader_u8(&r, &choices))
		return 0;
	if (!loop.data) {
		check(uv_loop_init(&loop) == 0);
		loop.data = &loop;
	}
	begin(choices);
	play(&r);
	finish((enum ending)(choices & CHOICE_ENDING));
	inspector_stop(&inspector);
	check(uv_run(&loop, UV_RUN_DEFAULT) == 0);
	inspector_free(&inspector);
	link_free(courier.link);
	ear_end(&client.ear);
	return 0;
}
