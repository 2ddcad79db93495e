/* link_test.c - both ends of a link over a simulated pipe */
#include "link_world.h"

#include "wire/link.c"	/* whole, so that numbers can be near their end */

static uint64_t random_state;

static uint32_t random_below(uint32_t n)
{
	random_state = random_state * 6364136223846793005u + 1442695040888963407u;
	return (uint32_t)(random_state >> 33) % n;
}
#define STREAMS 40

struct side {
	struct link *l;
	struct {
		uint32_t number;
		uint32_t sent, received, held, user_value;
		bool ended, got_end, reset;
	} stream[STREAMS];
	uint32_t count;
};

static void side_add(struct side *s, uint32_t number)
{
	assert_true(s->count < STREAMS);
	s->stream[s->count].number = number;
	link_set_user(s->l, number, &s->stream[s->count]);
	s->count++;
}

static uint32_t side_index(const struct side *s, uint32_t number)
{
	uint32_t i = 0;

	while (s->stream[i].number != number)
		i++;
	assert_true(i < s->count);
	return i;
}

/* Byte i of what is sent on a stream, whichever way */
static char byte_at(uint32_t number, uint32_t i) { return (char)(number * 31 + i * 7 + i / 256); }

static void side_frame(struct side *s, const struct link_frame *f)
{
	uint32_t i;

	if (f->type == LINK_HELLO)
		return;
	if (f->type == LINK_OPEN) {
		assert_int_equal(f->kind, LINK_KIND_EXEC);
		assert_true(str_eq(f->payload, STR("fields")));
		side_add(s, f->stream);
		return;
	}
	i = side_index(s, f->stream);
	assert_ptr_equal(link_user(s->l, f->stream), &s->stream[i]);	/* also when it has just ended */
	if (f->type == LINK_END)
		s->stream[i].got_end = true;
	if (f->type == LINK_RESET)
		s->stream[i].reset = true;
	if (f->type != LINK_DATA && f->type != LINK_HEAD)
		return;
	for (uint32_t k = 0; k < f->payload.n; k++)
		if (f->payload.p[k] != byte_at(f->stream, s->stream[i].received + k))
			fail_msg("byte %u of stream %u", s->stream[i].received + k, f->stream);
	s->stream[i].received += (uint32_t)f->payload.n;
	s->stream[i].held += (uint32_t)f->payload.n;
	assert_true(s->stream[i].held <= LINK_PAYLOAD_MAX);	/* never more than the window */
}

/* One random act of an honest owner */
static void side_act(struct side *s)
{
	static char bytes[LINK_PAYLOAD_MAX];
	uint32_t i, n, number;
	size_t room;

	if (s->count < STREAMS / 2 && random_below(8) == 0 &&
	    !link_open(s->l, LINK_KIND_EXEC, STR("fields"), &number)) {
		side_add(s, number);
		return;
	}
	if (s->count == 0)
		return;
	i = random_below(s->count);
	number = s->stream[i].number;
	switch (random_below(4)) {
	case 0:
	case 1:
		room = link_sendable(s->l, number);
		if (room == 0)
			return;
		n = 1 + random_below((uint32_t)room);
		for (uint32_t k = 0; k < n; k++)
			bytes[k] = byte_at(number, s->stream[i].sent + k);
		if (random_below(2))
			assert_int_equal(link_data(s->l, number, LINK_FLAG_STDERR, str_make(bytes, n)),
					 ERR_OK);
		else
			assert_int_equal(link_head(s->l, number, str_make(bytes, n)), ERR_OK);
		s->stream[i].sent += n;
		return;
	case 2:
		n = random_below(s->stream[i].held + 1);
		link_consumed(s->l, number, n);
		s->stream[i].held -= n;
		return;
	default:
		if (random_below(60) == 0 && !s->stream[i].ended && link_is_open(s->l, number)) {
			s->stream[i].ended = true;
			link_end(s->l, number);
		}
	}
}

/* Moves a random piece of what one side has to say to the other */
static void carry(struct side *from, struct side *to, bool all)
{
	struct str out = link_output(from->l), part;
	struct link_frame f;
	enum err e;

	if (!all)
		out = str_head(out, random_below(random_below(2) ? 40 : 100000) + 1);
	part = out;
	while (!(e = link_receive(to->l, &part, &f)))
		side_frame(to, &f);
	assert_int_equal(e, ERR_MORE);
	assert_int_equal(part.n, 0);
	link_sent(from->l, out.n);
}

static void finish(struct side *a, struct side *b)
{
	for (unsigned round = 0; round < 4; round++) {
		carry(a, b, true);
		carry(b, a, true);
		for (uint32_t i = 0; i < a->count; i++)
			link_end(a->l, a->stream[i].number);
		for (uint32_t i = 0; i < b->count; i++)
			link_end(b->l, b->stream[i].number);
	}
}

static void two_ends_agree(void **state)
{
	(void)state;
	struct link_limits limits = { STREAMS, LINK_PAYLOAD_MAX, 2 * LINK_PAYLOAD_MAX };

	for (uint64_t seed = 1; seed <= 12; seed++) {
		struct side a = { .l = link_new(LINK_LOWER, &limits) };
		struct side b = { .l = link_new(LINK_UPPER, &limits) };

		random_state = seed;
		for (unsigned step = 0; step < 2000; step++) {
			side_act(random_below(2) ? &a : &b);
			if (random_below(2))
				carry(&a, &b, false);
			else
				carry(&b, &a, false);
			assert_true(link_output(a.l).n <= limits.output_max + 65536);
		}
		finish(&a, &b);
		assert_true(a.count > 10);
		assert_int_equal(a.count, b.count);
		for (uint32_t i = 0; i < a.count; i++) {
			uint32_t k = side_index(&b, a.stream[i].number);

			assert_int_equal(a.stream[i].sent, b.stream[k].received);
			assert_int_equal(b.stream[k].sent, a.stream[i].received);
			assert_true(a.stream[i].got_end && b.stream[k].got_end);
			assert_false(a.stream[i].reset || b.stream[k].reset);
		}
		assert_int_equal(link_streams(a.l), 0);
		assert_int_equal(link_streams(b.l), 0);
		link_free(a.l);
		link_free(b.l);
	}
}

static void connect_links(struct link *a, struct link *b)
{
	struct link_frame f;

	for (unsigned i = 0; i < 2; i++) {
		struct link *from = i ? b : a, *to = i ? a : b;
		struct str out = link_output(from);
		size_t n = out.n;

		while (!link_receive(to, &out, &f))
			;
		link_sent(from, n);
	}
}

/* A whole HEAD fits for ever after, however credit is batched. */
static void batching_starves_no_head(void **state)
{
	(void)state;
	static const uint32_t windows[] = { LINK_PAYLOAD_MAX, LINK_PAYLOAD_MAX + 1, 100000,
					    LINK_WINDOW_BYTES };
	static char bytes[LINK_PAYLOAD_MAX];

	for (size_t w = 0; w < sizeof windows / sizeof *windows; w++) {
		struct link_limits limits = { 4, windows[w], 1 << 20 };
		auto_link a = link_new(LINK_LOWER, &limits);
		auto_link b = link_new(LINK_UPPER, &limits);
		uint32_t stream;

		connect_links(a, b);
		assert_int_equal(link_open(a, LINK_KIND_EXCHANGE, STR(""), &stream), ERR_OK);
		for (unsigned i = 0; i < 200; i++) {
			struct link_frame f;
			struct str out;

			assert_int_equal(link_data(a, stream, 0, str_make(bytes, 1 + i * 37)), ERR_OK);
			out = link_output(a);
			link_sent(a, out.n);
			while (!link_receive(b, &out, &f))
				if (f.type == LINK_DATA)
					link_consumed(b, stream, f.payload.n);
			out = link_output(b);
			link_sent(b, out.n);
			while (!link_receive(a, &out, &f))
				;
			assert_int_equal(link_sendable(a, stream), LINK_PAYLOAD_MAX);
		}
	}
}

static void streams_are_capped_both_ways(void **state)
{
	(void)state;
	struct link_limits many = { 65536, LINK_WINDOW_BYTES, 1 << 20 };
	auto_link a = link_new(LINK_LOWER, &many);
	auto_link b = link_new(LINK_UPPER, &SMALL);
	uint32_t stream, opened = 0;
	auto_buf hostile = BUF_EMPTY;
	struct link_frame f;
	struct str in;
	unsigned frames = 0;

	connect_links(a, b);
	while (!link_open(a, LINK_KIND_TCP, STR(""), &stream))
		opened++;
	assert_int_equal(opened, 8);	/* an honest side keeps the peer's cap */
	buf_init(&hostile, 1 << 20);
	put_hello(&hostile, LINK_WINDOW_BYTES, 10);
	for (uint32_t i = 1; i < 5000; i += 2)
		put_frame(&hostile, i, LINK_OPEN, 0, TCP);
	put_frame(&hostile, 4999, LINK_DATA, 0, STR("dropped"));
	auto_link c = link_new(LINK_UPPER, &SMALL);
	assert_int_equal(feed(c, buf_str(&hostile), 777, &frames), ERR_MORE);
	assert_int_equal(frames, 1 + 8);
	assert_int_equal(link_streams(c), 8);
	auto_link d = link_new(LINK_LOWER, &many); /* reads the refusals: of numbers that it never opened */
	in = link_output(c);
	assert_int_equal(link_receive(d, &in, &f), ERR_OK);
	assert_int_equal(link_receive(d, &in, &f), ERR_LINK_STATE);
}

/* A peer that makes us answer and never reads is not read any more, and at last dropped. */
static void unread_answers_are_bounded(void **state)
{
	(void)state;
	auto_link l = link_new(LINK_UPPER, &SMALL);
	auto_buf b = BUF_EMPTY;
	unsigned frames = 0;
	enum err e = ERR_MORE;
	bool wanted = true;

	buf_init(&b, 100000);
	put_hello(&b, LINK_WINDOW_BYTES, 10);
	for (uint32_t i = 1; e == ERR_MORE; i += 2) {
		put_frame(&b, i, LINK_OPEN, 0, TCP);
		e = feed(l, buf_str(&b), 1000, &frames);
		buf_clear(&b);
		wanted = wanted && link_wants_input(l);
		if (!wanted)
			assert_false(link_wants_input(l));
		else
			assert_true(link_output(l).n < 600000);
	}
	assert_int_equal(e, ERR_LIMIT);
	assert_false(wanted);
	assert_true(link_output(l).n < 2 * LINK_PAYLOAD_MAX + 1024 * 1024 + 100);
}

static void frames_that_cross_a_reset_are_dropped(void **state)
{
	(void)state;
	auto_link a = link_new(LINK_LOWER, &LINK_LIMITS_DEFAULT);
	auto_link b = link_new(LINK_UPPER, &LINK_LIMITS_DEFAULT);
	uint32_t stream, other;
	struct link_frame f;
	struct str out;

	connect_links(a, b);
	assert_int_equal(link_open(a, LINK_KIND_TCP, STR(""), &stream), ERR_OK);
	out = link_output(a);
	assert_int_equal(link_receive(b, &out, &f), ERR_OK);
	link_sent(a, link_output(a).n);
	link_reset(b, stream, ERR_DIAL);
	link_reset(b, stream, ERR_DIAL);	/* idempotent */
	assert_int_equal(link_data(b, stream, 0, STR("x")), ERR_STATE);
	assert_int_equal(link_data(a, stream, 0, STR("crossing")), ERR_OK);
	link_end(a, stream);
	link_end(a, stream);
	assert_int_equal(link_data(a, stream, 0, STR("x")), ERR_STATE);
	assert_int_equal(link_open(a, LINK_KIND_TCP, STR(""), &other), ERR_OK);
	out = link_output(a);
	assert_int_equal(link_receive(b, &out, &f), ERR_OK);	/* the other's OPEN is the next one seen */
	assert_int_equal(f.type, LINK_OPEN);
	assert_int_equal(f.stream, other);
	out = link_output(b);
	assert_int_equal(link_receive(a, &out, &f), ERR_OK);
	assert_int_equal(f.type, LINK_RESET);
	assert_int_equal(f.reason, ERR_DIAL);
	assert_int_equal(link_receive(a, &out, &f), ERR_MORE);	/* one RESET, not two */
	assert_false(link_is_open(a, stream));
	link_consumed(b, stream, 8);	/* harmless on a stream that is over */
}

static void more_than_sendable_is_refused(void **state)
{
	(void)state;
	static char bytes[LINK_PAYLOAD_MAX];
	auto_link a = link_new(LINK_LOWER, &SMALL);
	auto_link b = link_new(LINK_UPPER, &SMALL);
	uint32_t stream;

	connect_links(a, b);
	assert_int_equal(link_sendable(a, 1), 0);
	assert_int_equal(link_open(a, LINK_KIND_TCP, STR(""), &stream), ERR_OK);
	assert_int_equal(link_sendable(a, stream), LINK_PAYLOAD_MAX);
	assert_int_equal(link_data(a, stream, 0, str_make(bytes, 10)), ERR_OK);
	assert_int_equal(link_sendable(a, stream), LINK_PAYLOAD_MAX - 10);
	assert_int_equal(link_head(a, stream, str_make(bytes, LINK_PAYLOAD_MAX - 9)), ERR_LINK_CREDIT);
	assert_int_equal(link_head(a, stream, str_make(bytes, LINK_PAYLOAD_MAX - 10)), ERR_OK);
	assert_int_equal(link_data(a, stream, 0, STR("x")), ERR_LINK_CREDIT);
	assert_int_equal(link_data(a, stream, 0, STR("")), ERR_OK);
}

static enum err receive_all(struct link *l, struct str in)
{
	struct link_frame f;
	enum err e;

	while (!(e = link_receive(l, &in, &f)))
		;
	return e;
}

/* A link that could open no stream any more, and stayed, would refuse everything for ever. */
static void numbers_that_are_used_up_end_the_link(void **state)
{
	(void)state;
	for (unsigned side = LINK_LOWER; side <= LINK_UPPER; side++) {
		auto_link a = link_new((enum link_side)side, &LINK_LIMITS_DEFAULT);
		auto_link b = link_new(side == LINK_LOWER ? LINK_UPPER : LINK_LOWER, &LINK_LIMITS_DEFAULT);
		uint32_t stream, last = side == LINK_LOWER ? UINT32_MAX : UINT32_MAX - 1;

		connect_links(a, b);
		a->last_own = b->last_peer = last - 2;
		assert_int_equal(link_open(a, LINK_KIND_TCP, STR(""), &stream), ERR_OK);
		assert_int_equal(stream, last);
		connect_links(a, b);
		assert_int_equal(link_data(b, stream, 0, STR("back")), ERR_OK);
		for (unsigned i = 0; i < 3; i++)
			assert_int_equal(link_open(a, LINK_KIND_TCP, STR(""), &stream), ERR_STATE);
		assert_int_equal(stream, last);
		assert_int_equal(link_output(a).n, LINK_HEADER_BYTES + 1);
		assert_int_equal(receive_all(b, link_output(a)), ERR_LINK_STATE);
		assert_true(link_wants_input(a));	/* or its owner would never hear of it */
		assert_int_equal(receive_all(a, link_output(b)), ERR_LIMIT);
		assert_false(link_wants_input(a));
		assert_int_equal(link_sendable(a, last), 0);
	}
}

static void reset_it(void *ctx, uint32_t stream, void *user)
{
	(void)user;
	link_reset(ctx, stream, ERR_CANCELLED);
}

static void each_may_reset(void **state)
{
	(void)state;
	auto_link a = link_new(LINK_LOWER, &LINK_LIMITS_DEFAULT);
	auto_link b = link_new(LINK_UPPER, &LINK_LIMITS_DEFAULT);
	uint32_t stream;

	connect_links(a, b);
	for (unsigned i = 0; i < 1000; i++)
		assert_int_equal(link_open(a, LINK_KIND_TCP, STR(""), &stream), ERR_OK);
	assert_int_equal(stream, 1999);
	assert_int_equal(link_streams(a), 1000);
	link_each(a, reset_it, a);
	assert_int_equal(link_streams(a), 0);
	assert_int_equal(link_open(a, LINK_KIND_TCP, STR(""), &stream), ERR_OK);
	assert_int_equal(stream, 2001);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(two_ends_agree),
		cmocka_unit_test(batching_starves_no_head),
		cmocka_unit_test(streams_are_capped_both_ways),
		cmocka_unit_test(unread_answers_are_bounded),
		cmocka_unit_test(frames_that_cross_a_reset_are_dropped),
		cmocka_unit_test(more_than_sendable_is_refused),
		cmocka_unit_test(each_may_reset),
		cmocka_unit_test(numbers_that_are_used_up_end_the_link),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
