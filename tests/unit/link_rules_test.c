/* link_rules_test.c - each rule of link.h's table broken in turn */
#include "link_world.h"

static void put_u32_frame(struct buf *b, uint32_t stream, uint8_t type, uint32_t v)
{
	uint8_t x[4] = { (uint8_t)v, (uint8_t)(v >> 8), (uint8_t)(v >> 16), (uint8_t)(v >> 24) };

	put_frame(b, stream, type, 0, str_make(x, 4));
}

struct broken {
	const char *name;
	void (*put)(struct buf *b);	/* after a good HELLO and OPEN 1 */
	enum err want;
};

static void wrong_second_hello(struct buf *b) { put_hello(b, LINK_WINDOW_BYTES, 10); }
static void wrong_type_0(struct buf *b) { put_frame(b, 1, 0, 0, STR("")); }
static void wrong_type_8(struct buf *b) { put_frame(b, 1, 8, 0, STR("")); }
static void wrong_flags(struct buf *b) { put_frame(b, 1, LINK_DATA, 2, STR("x")); }
static void wrong_flags_head(struct buf *b) { put_frame(b, 1, LINK_HEAD, 1, STR("x")); }
static void wrong_zero(struct buf *b)
{
	put_frame(b, 1, LINK_END, 0, STR(""));
	b->p[b->len - 6] = 1;
}
static void wrong_length(struct buf *b)
{
	put_frame(b, 1, LINK_DATA, 0, STR(""));
	b->p[b->len - 2] = 1;	/* 65536, which is right, and one more */
	b->p[b->len - 4] = 1;
}
static void wrong_stream_0(struct buf *b) { put_frame(b, 0, LINK_DATA, 0, STR("x")); }
static void wrong_hello_stream(struct buf *b) { put_frame(b, 1, LINK_HELLO, 0, STR("0123456789abcdef")); }
static void wrong_own_number(struct buf *b) { put_frame(b, 2, LINK_OPEN, 0, TCP); }
static void wrong_number_again(struct buf *b) { put_frame(b, 1, LINK_OPEN, 0, TCP); }
static void wrong_number_skipped(struct buf *b) { put_frame(b, 5, LINK_OPEN, 0, TCP); }
static void wrong_kind(struct buf *b) { put_frame(b, 3, LINK_OPEN, 0, STR("\x03")); }
static void wrong_empty_open(struct buf *b) { put_frame(b, 3, LINK_OPEN, 0, STR("")); }
static void wrong_long_open(struct buf *b)
{
	static char bytes[LINK_OPEN_MAX + 1] = { LINK_KIND_TCP };

	put_frame(b, 3, LINK_OPEN, 0, str_make(bytes, sizeof bytes));
}
static void wrong_never_opened(struct buf *b) { put_frame(b, 3, LINK_DATA, 0, STR("x")); }
static void wrong_never_opened_ours(struct buf *b) { put_frame(b, 2, LINK_END, 0, STR("")); }
static void wrong_empty_data(struct buf *b) { put_frame(b, 1, LINK_DATA, 0, STR("")); }
static void wrong_empty_head(struct buf *b) { put_frame(b, 1, LINK_HEAD, 0, STR("")); }
static void wrong_end_payload(struct buf *b) { put_frame(b, 1, LINK_END, 0, STR("x")); }
static void wrong_reset_payload(struct buf *b) { put_frame(b, 1, LINK_RESET, 0, STR("xxx")); }
static void wrong_reason(struct buf *b) { put_u32_frame(b, 1, LINK_RESET, ERR_COUNT); }
static void wrong_credit_0(struct buf *b) { put_u32_frame(b, 1, LINK_CREDIT, 0); }
static void wrong_credit_unsent(struct buf *b) { put_u32_frame(b, 1, LINK_CREDIT, 1); }
static void wrong_data_after_end(struct buf *b)
{
	put_frame(b, 1, LINK_END, 0, STR(""));
	put_frame(b, 1, LINK_DATA, 0, STR("x"));
}
static void wrong_two_ends(struct buf *b)
{
	put_frame(b, 1, LINK_END, 0, STR(""));
	put_frame(b, 1, LINK_END, 0, STR(""));
}
static void wrong_credit_exceeded(struct buf *b)
{
	static char bytes[LINK_PAYLOAD_MAX];

	put_frame(b, 1, LINK_DATA, 0, str_make(bytes, sizeof bytes));
	put_frame(b, 1, LINK_DATA, 0, STR("x"));	/* the window is LINK_PAYLOAD_MAX */
}

static const struct broken broken[] = {
	{ "second HELLO", wrong_second_hello, ERR_LINK_STATE },
	{ "type 0", wrong_type_0, ERR_LINK_MALFORMED },
	{ "type 8", wrong_type_8, ERR_LINK_MALFORMED },
	{ "unknown flag", wrong_flags, ERR_LINK_MALFORMED },
	{ "flag on HEAD", wrong_flags_head, ERR_LINK_MALFORMED },
	{ "zero is not", wrong_zero, ERR_LINK_MALFORMED },
	{ "length", wrong_length, ERR_LINK_MALFORMED },
	{ "DATA on 0", wrong_stream_0, ERR_LINK_MALFORMED },
	{ "HELLO on 1", wrong_hello_stream, ERR_LINK_MALFORMED },
	{ "our number", wrong_own_number, ERR_LINK_STATE },
	{ "number again", wrong_number_again, ERR_LINK_STATE },
	{ "number skipped", wrong_number_skipped, ERR_LINK_STATE },
	{ "kind", wrong_kind, ERR_LINK_MALFORMED },
	{ "empty OPEN", wrong_empty_open, ERR_LINK_MALFORMED },
	{ "long OPEN", wrong_long_open, ERR_LINK_MALFORMED },
	{ "never opened", wrong_never_opened, ERR_LINK_STATE },
	{ "never opened by us", wrong_never_opened_ours, ERR_LINK_STATE },
	{ "empty DATA", wrong_empty_data, ERR_LINK_MALFORMED },
	{ "empty HEAD", wrong_empty_head, ERR_LINK_MALFORMED },
	{ "END with payload", wrong_end_payload, ERR_LINK_MALFORMED },
	{ "short RESET", wrong_reset_payload, ERR_LINK_MALFORMED },
	{ "reason", wrong_reason, ERR_LINK_MALFORMED },
	{ "CREDIT 0", wrong_credit_0, ERR_LINK_MALFORMED },
	{ "CREDIT for nothing", wrong_credit_unsent, ERR_LINK_CREDIT },
	{ "DATA after END", wrong_data_after_end, ERR_LINK_STATE },
	{ "two ENDs", wrong_two_ends, ERR_LINK_STATE },
	{ "credit exceeded", wrong_credit_exceeded, ERR_LINK_CREDIT },
};

static void each_rule_is_kept(void **state)
{
	(void)state;
	static const size_t pieces[] = { 1, 11, 12, 13, 1000, 1000000 };

	for (size_t i = 0; i < sizeof broken / sizeof *broken; i++) {
		for (size_t k = 0; k < sizeof pieces / sizeof *pieces; k++) {
			auto_link l = link_new(LINK_UPPER, &SMALL);
			auto_buf b = BUF_EMPTY;
			unsigned frames = 0;
			struct str more = STR("\0\0\0\0");
			struct link_frame f;

			buf_init(&b, 300000);
			put_hello(&b, LINK_WINDOW_BYTES, 10);
			put_frame(&b, 1, LINK_OPEN, 0, TCP);
			broken[i].put(&b);
			assert_int_equal(buf_err(&b), ERR_OK);
			if (feed(l, buf_str(&b), pieces[k], &frames) != broken[i].want)
				fail_msg("%s in pieces of %zu", broken[i].name, pieces[k]);
			assert_in_range(frames, 2, 3);
			/* it is final, and nothing is taken any more */
			assert_int_equal(link_receive(l, &more, &f), broken[i].want);
			assert_false(link_wants_input(l));
			assert_int_equal(link_sendable(l, 1), 0);
		}
	}
}

static void hello_comes_first_and_is_checked(void **state)
{
	(void)state;
	static const uint32_t bad[][2] = {
		{ LINK_PAYLOAD_MAX - 1, 10 }, { 0, 10 }, { UINT32_MAX, 10 }, { LINK_WINDOW_BYTES, 0 },
		{ LINK_WINDOW_BYTES, 65537 },
	};
	unsigned frames = 0;

	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
		auto_link l = link_new(LINK_UPPER, &SMALL);
		auto_buf b = BUF_EMPTY;

		buf_init(&b, 100);
		put_hello(&b, bad[i][0], bad[i][1]);
		assert_int_equal(feed(l, buf_str(&b), 100, &frames), ERR_LINK_MALFORMED);
	}
	for (size_t at = 12; at < 20; at++) {	/* magic, version, zero */
		auto_link l = link_new(LINK_UPPER, &SMALL);
		auto_buf b = BUF_EMPTY;

		buf_init(&b, 100);
		put_hello(&b, LINK_WINDOW_BYTES, 10);
		b.p[at] ^= 4;
		assert_int_equal(feed(l, buf_str(&b), 100, &frames), ERR_LINK_MALFORMED);
	}
	auto_link l = link_new(LINK_UPPER, &SMALL);
	auto_buf b = BUF_EMPTY;
	uint32_t stream;

	buf_init(&b, 100);
	put_frame(&b, 1, LINK_OPEN, 0, TCP);
	assert_int_equal(link_open(l, LINK_KIND_TCP, STR(""), &stream), ERR_STATE);
	assert_int_equal(feed(l, buf_str(&b), 100, &frames), ERR_LINK_STATE);
	assert_int_equal(frames, 0);
}
int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_rule_is_kept),
		cmocka_unit_test(hello_comes_first_and_is_checked),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
