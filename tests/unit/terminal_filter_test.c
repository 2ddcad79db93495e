/* terminal_filter_test.c - what draws passes byte for byte; what asks, copies or hides does not */
#include "terminal/filter.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static void run(struct str in, size_t piece, struct buf *out, unsigned *ret_drops)
{
	struct filter f;

	filter_init(&f);
	while (in.n) {
		filter_put(&f, str_head(in, piece), out);
		in = str_from(in, piece);
	}
	assert_int_equal(buf_err(out), ERR_OK);
	*ret_drops = filter_take_drops(&f);
	assert_int_equal(filter_take_drops(&f), 0);
}

/* The same in one piece and byte by byte */
static void expect(struct str in, struct str want, unsigned want_drops)
{
	static const size_t pieces[] = { 1, 2, 3, 100000 };

	for (size_t i = 0; i < 4; i++) {
		unsigned drops;
		auto_buf out = BUF_EMPTY;

		buf_init(&out, in.n + FILTER_SEQUENCE_MAX);
		run(in, pieces[i], &out, &drops);
		if (!str_eq(buf_str(&out), want) || drops != want_drops)
			fail_msg("%.*s: passed %zu of %zu bytes, drops %x", STR_FMT(in), out.len, want.n,
				 drops);
	}
}

#define PASSES(literal) expect(STR(literal), STR(literal), 0)
#define DROPPED(literal, why) expect(STR("a" literal "b"), STR("ab"), why)

static void text_passes(void **state)
{
	(void)state;
	PASSES("plain\r\n\ttext\b\a\0\x0e\x0f\x7f");
	PASSES("caf\xc3\xa9 \xe2\x82\xac \xf0\x9f\x98\x80 \xc2\xa0 \xed\x9f\xbf \xf4\x8f\xbf\xbf");
	PASSES("\xe2\x9b\x84 \xe2\x80\x9d \xf0\x9f\x9b\x80"); /* characters whose bytes look like controls */
	PASSES("stray \xff\xfe\xbf\xa0 bytes");
	expect(STR("x\xc2"), STR("x"), 0);	/* held until it is known what comes after it */
	expect(STR("\xc2x\xc2\xc2\xa0"), STR("\xc2x\xc2\xc2\xa0"), 0);
}

static void drawing_passes(void **state)
{
	(void)state;
	PASSES("\x1b[31;1mred\x1b[0m\x1b[38;2;1;2;3m\x1b[4:3m\x1b[m");
	PASSES("\x1b[H\x1b[2J\x1b[10;20H\x1b[A\x1b[3B\x1b[K\x1b[1;24r\x1b[s\x1b[u\x1b[5L\x1b[2M\x1b[3P\x1b[4@"
	       "\x1b[2X");
	PASSES("\x1b[?1049h\x1b[?2004h\x1b[?1000h\x1b[?1006h\x1b[?25l\x1b[?25h\x1b[?1;2004l\x1b[?2026h");
	PASSES("\x1b" "7\x1b" "8\x1b=\x1b>\x1b(B\x1b)0\x1bM\x1b" "D\x1b" "E\x1bH\x1b" "c\x1b#8\x1b%G");
	PASSES("\x1b[4 q\x1b[!p\x1b[>4;2m\x1b[>1u\x1b[<u\x1b[=1;1u\x1b[22;0;0t\x1b[23;0t\x1b[?1c\x1b[>4n");
	PASSES("\x1b]0;title\a\x1b]2;caf\xc3\xa9\x1b\\\x1b]8;;https://example.com\x1b\\link\x1b]8;;\x1b\\");
	PASSES("\x1b]11;#ffffff\a\x1b]4;1;rgb:00/00/00\x1b\\\x1b]104\a\x1b]9;4;1;50\a");
	expect(STR("\x1b[3\r\n1m"), STR("\r\n\x1b[31m"), 0);	/* controls act at once, as in a terminal */
}

static void queries_are_dropped(void **state)
{
	(void)state;
	DROPPED("\x1b[6n", FILTER_QUERY);
	DROPPED("\x1b[5n", FILTER_QUERY);
	DROPPED("\x1b[?6n", FILTER_QUERY);
	DROPPED("\x1b[c", FILTER_QUERY);
	DROPPED("\x1b[0c", FILTER_QUERY);
	DROPPED("\x1b[>c", FILTER_QUERY);
	DROPPED("\x1b[=0c", FILTER_QUERY);
	DROPPED("\x1b[>0q", FILTER_QUERY);
	DROPPED("\x1b[?u", FILTER_QUERY);
	DROPPED("\x1b[?2026$p", FILTER_QUERY);
	DROPPED("\x1b[4$p", FILTER_QUERY);
	DROPPED("\x1b[x", FILTER_QUERY);
	DROPPED("\x1b[21t", FILTER_QUERY);
	DROPPED("\x1b[14t", FILTER_QUERY);
	DROPPED("\x1b[8;1;1t", FILTER_QUERY);
	DROPPED("\x1b[?1;1;0S", FILTER_QUERY);
	DROPPED("\x1b[?4m", FILTER_QUERY);
	DROPPED("\x1bZ", FILTER_QUERY);
	DROPPED("\x05", FILTER_QUERY);
	DROPPED("\x1b]10;?\a", FILTER_QUERY);
	DROPPED("\x1b]4;1;?\x1b\\", FILTER_QUERY);
	DROPPED("\x1b]11;#fff;?\a", FILTER_QUERY);
	DROPPED("\x1b]22;?__current__\a", FILTER_QUERY);
	DROPPED("\x1b[221t", FILTER_QUERY);	/* from 24 up: a size */
	DROPPED("\x1b[62;0\"p", FILTER_QUERY);	/* keys would come as 8-bit controls */
}

static void what_acts_is_dropped(void **state)
{
	(void)state;
	DROPPED("\x1b]52;c;aGVsbG8=\a", FILTER_CLIPBOARD);
	DROPPED("\x1b]52;c;?\x1b\\", FILTER_CLIPBOARD);
	DROPPED("\x1b]1337;File=name=eA==;inline=1:AAAA\a", FILTER_TRANSFER);
	DROPPED("\x1bP$qm\x1b\\", FILTER_STRING);
	expect(STR("\x1bPtmux;\x1b\x1b]52;c;eA==\a\x1b\\x"), STR("\x1b\\x"),
	       FILTER_STRING | FILTER_CLIPBOARD);
	DROPPED("\x1b_Gf=100;AAAA\x1b\\", FILTER_STRING);
	DROPPED("\x1b^private\x1b\\", FILTER_STRING);
	DROPPED("\x1bXstart\x1b\\", FILTER_STRING);
	DROPPED("\x1bktitle\x1b\\", FILTER_STRING);
	DROPPED("\x1b]2;evil\ntitle\a", FILTER_TITLE);
	DROPPED("\x1b]2;evil\xc2\x85title\a", FILTER_TITLE);
	DROPPED("\x1b]2;not utf-8 \xff\a", FILTER_TITLE);
	DROPPED("\x1b]7;file:///x\a", FILTER_OTHER);
	DROPPED("\x1b]50;font\a", FILTER_OTHER);
	DROPPED("\x1b]x\a", FILTER_OTHER);
	DROPPED("\x1b]P0123456", FILTER_OTHER);
	DROPPED("\x1b]R", FILTER_OTHER);
	DROPPED("\x1b[5i", FILTER_OTHER);
	DROPPED("\x1b%@", FILTER_OTHER);
	DROPPED("\x1b G", FILTER_OTHER);
	DROPPED("\x1b[1;2'w", FILTER_QUERY);
	DROPPED("\x1b[1?h", FILTER_OTHER);
	DROPPED("\x1b]9;7;\"cmd\"\a", FILTER_OTHER);	/* ConEmu runs it */
	DROPPED("\x1b[2h", FILTER_OTHER);		/* the keyboard, locked */
	DROPPED("\x1b[4;12l", FILTER_OTHER);
	DROPPED("\x1b[?2l", FILTER_OTHER);		/* VT52, which knows no way back that passes */
	DROPPED("\x1b[?25;02l", FILTER_OTHER);
	DROPPED("\x1b[?38h", FILTER_OTHER);		/* Tektronix */
	DROPPED("\xc2\x9b" "", FILTER_OTHER);		/* CSI as one character */
	DROPPED("\x9d", FILTER_OTHER);
}

static void overlong_forms_hide_nothing(void **state)
{
	(void)state;
	/* of an invalid sequence the bytes that could be controls are gone, the rest is noise */
	expect(STR("\xc1\x9b" "6n"), STR("\xc1" "6n"), FILTER_OTHER);
	expect(STR("\xf0\x82\x82\x9b"), STR("\xf0"), FILTER_OTHER);
	expect(STR("\xe2\x1b[6n\x9b"), STR("\xe2"), FILTER_QUERY | FILTER_OTHER);
}

/* Two streams on one terminal: what is between the pieces that one emits cannot be chosen by the other. */
static void characters_pass_whole(void **state)
{
	struct filter out, err;
	auto_buf shown = BUF_EMPTY;

	(void)state;
	buf_init(&shown, 100);
	filter_init(&out);
	filter_init(&err);
	filter_put(&out, STR("\xe2"), &shown);
	filter_put(&err, STR("x"), &shown);
	filter_put(&out, STR("\x9b"), &shown);
	assert_true(str_eq(buf_str(&shown), STR("x")));
	filter_put(&err, STR("y"), &shown);
	filter_put(&out, STR("\x84"), &shown);
	assert_true(str_eq(buf_str(&shown), STR("xy\xe2\x9b\x84")));
	expect(STR("\xe2\x9b" "c"), STR("\xe2" "c"), FILTER_OTHER);
}

static void sequences_are_cut_off(void **state)
{
	(void)state;
	expect(STR("\x1b[6\x1b[1mx"), STR("\x1b[1mx"), 0);
	expect(STR("\x1b[6\x18nx"), STR("nx"), 0);
	expect(STR("\x1b]0;a\x1b[1mx"), STR("\x1b[1mx"), 0);
	expect(STR("\x1b]52;c;\x18x"), STR("x"), 0);
	expect(STR("\x1bPabc\x1b[1mx"), STR("\x1b[1mx"), FILTER_STRING);
	expect(STR("\x1b[1"), STR(""), 0);
	expect(STR("\x1b\x1b[1m"), STR("\x1b[1m"), 0);
}

static void sequences_are_bounded(void **state)
{
	(void)state;
	auto_buf in = BUF_EMPTY, out = BUF_EMPTY;
	unsigned drops;

	buf_init(&in, 100000);
	buf_init(&out, 200000);
	buf_put_z(&in, "\x1b]0;");
	for (unsigned i = 0; i < 5000; i++)
		buf_put_byte(&in, 'x');
	buf_put_z(&in, "\a1\x1b[");
	for (unsigned i = 0; i < 5000; i++)
		buf_put_byte(&in, '1');
	buf_put_z(&in, "m2\x1b]52;c;");
	for (unsigned i = 0; i < 5000; i++)
		buf_put_byte(&in, 'A');
	buf_put_z(&in, "\x1b\\3");
	run(buf_str(&in), 1000, &out, &drops);
	assert_true(str_eq(buf_str(&out), STR("123")));
	assert_int_equal(drops, FILTER_OTHER | FILTER_CLIPBOARD);
}

static void undone_by(struct str in, struct str want)
{
	struct filter f;
	auto_buf out = BUF_EMPTY;

	buf_init(&out, 10000);
	filter_init(&f);
	filter_put(&f, in, &out);
	assert_true(str_eq(buf_str(&out), in) && filter_take_drops(&f) == 0);
	buf_clear(&out);
	filter_undo(&f, &out);
	if (!str_eq(buf_str(&out), want))
		fail_msg("%.*s: undone by %.*s", STR_FMT(in), STR_FMT(buf_str(&out)));
}

#define UNDONE(literal, want) undone_by(STR(literal), STR(want))
#define KEYS "\x1b[<9u\x1b[=0u"

static void modes_are_undone(void **state)
{
	(void)state;
	UNDONE("", "");
	UNDONE("\x1b[?1049;1004h\x1b[?25l\x1b[?2004h\x1b[?2004l\x1b[?7h\x1b[?1049h",
	       "\x1b[?25h\x1b[?1004l\x1b[?1049l");
	UNDONE("\x1b[?1049;1004h\x1b[?25l\x1b[?1049l\x1b[?1004l\x1b[?25h", "");
	UNDONE("\x1b[?9001h", "\x1b[?9001l");
	UNDONE("\x1b[>4;2m", "\x1b[>4;m");
	UNDONE("\x1b[>4;2m\x1b[>4;m", "");
	UNDONE("\x1b[>4;2m\x1b[>4m", "");
	UNDONE("\x1b[>4;1m\x1b[>4;0m", "");
	UNDONE("\x1b[>1;2m", "");
	UNDONE("\x1b[>1u", KEYS);
	UNDONE("\x1b[=1;1u", KEYS);
	UNDONE("\x1b[<u", "");
}

/* What a line editor, a keyboard and a screen of lines need to be as they were */
static void lines_and_keys_are_undone(void **state)
{
	(void)state;
	UNDONE("\x1b[4h", "\x1b[4l");
	UNDONE("\x1b[20h", "\x1b[20l");
	UNDONE("\x1b[20;4h\x1b[4l", "\x1b[20l");
	UNDONE("\x1b[4h\x1b[4l", "");
	UNDONE("\x1b[?4h\x1b[?20h", "");	/* smooth scrolling; nothing */
	UNDONE("\x1b[1h\x1b[5h\x1b[1049h", "");
	UNDONE("\x1b[?1h\x1b=", "\x1b[?1l\x1b>");
	UNDONE("\x1b[?1h\x1b=\x1b[?1l\x1b>", "");
	UNDONE("\x1b[?66h", "\x1b>");
	UNDONE("\x1b[?5h", "\x1b[?5l");
	UNDONE("\x1b[?67h", "\x1b[?67l");
	UNDONE("\x1b[?2026h", "\x1b[?2026l");
	UNDONE("\x1b[?2026h\x1b[?2026l", "");
	UNDONE("\x1b[?7;8l", "\x1b[?7h\x1b[?8h");
	UNDONE("\x1b[?7l\x1b[?7h", "");
	UNDONE("\x1b[2;20r", "\x1b" "7\x1b[r\x1b" "8");
	UNDONE("\x1b[;20r", "\x1b" "7\x1b[r\x1b" "8");
	UNDONE("\x1b[2;20r\x1b[r", "");
	UNDONE("\x1b[2;20r\x1b[1;2;3;4;7$r\x1b[?1049h", "\x1b[?1049l\x1b" "7\x1b[r\x1b" "8");
	UNDONE("\x1b[1;2;3;4;7$r", "");
	UNDONE("\x1b[?69h\x1b[5;9s", "\x1b" "7\x1b[?69l\x1b" "8");
	UNDONE("\x1b[?6h\x1b" "7\x1b[?6l\x1b" "8", "\x1b[?6l\x1b[999H");
}

/* Said in another way, or taken back elsewhere than it was set: it counts as set. */
static void what_is_undone_cannot_be_cheated(void **state)
{
	(void)state;
	UNDONE("\x1b[?1003h\x1b[?1003s\x1b[?1003l\x1b[?1003r", "\x1b[?1003l");
	UNDONE("\x1b[?2004h\x1b[?1049;2004s\x1b[?2004l\x1b[?1049;2004r", "\x1b[?1049l\x1b[?2004l");
	UNDONE("\x1b[?25l\x1b[?25s\x1b[?25h\x1b[?25r", "\x1b[?25h");
	UNDONE("\x1b[?r",	/* kitty: all of them */
	       "\x1b[?1l\x1b[?5l\x1b[?6l\x1b[999H\x1b[?7h\x1b[?8h\x1b[?9l\x1b[?25h\x1b[?47l\x1b>\x1b[?67l"
	       "\x1b" "7\x1b[?69l\x1b" "8"
	       "\x1b[?1000l\x1b[?1001l\x1b[?1002l\x1b[?1003l\x1b[?1004l\x1b[?1005l"
	       "\x1b[?1006l\x1b[?1015l\x1b[?1016l\x1b[?1047l\x1b[?1049l\x1b[?2004l\x1b[?2026l\x1b[?2031l\x1b[?2048l"
	       "\x1b[?9001l");
	UNDONE("\x1b[>1u\x1b[<0u", KEYS);
	UNDONE("\x1b[>1u\x1b[?1049h\x1b[<u\x1b[?1049l", "\x1b[?1049h" KEYS "\x1b[?1049l" KEYS);
	UNDONE("\x1b[?1049h\x1b[>1u\x1b[?1049l\x1b[<u", "\x1b[?1049h" KEYS "\x1b[?1049l" KEYS);
	UNDONE("\x1b[?47h\x1b[>1u", "\x1b[?47l\x1b[?1049h" KEYS "\x1b[?1049l" KEYS);
	UNDONE("\x1b[>04;2m", "\x1b[>4;m");
	UNDONE("\x1b[>4;02m", "\x1b[>4;m");
	UNDONE("\x1b[>65540;2m", "\x1b[>4;m");
	UNDONE("\x1b[>4;2m\x1b[>m", "\x1b[>4;m");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(text_passes),
		cmocka_unit_test(drawing_passes),
		cmocka_unit_test(queries_are_dropped),
		cmocka_unit_test(what_acts_is_dropped),
		cmocka_unit_test(overlong_forms_hide_nothing),
		cmocka_unit_test(characters_pass_whole),
		cmocka_unit_test(sequences_are_cut_off),
		cmocka_unit_test(sequences_are_bounded),
		cmocka_unit_test(modes_are_undone),
		cmocka_unit_test(lines_and_keys_are_undone),
		cmocka_unit_test(what_is_undone_cannot_be_cheated),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
