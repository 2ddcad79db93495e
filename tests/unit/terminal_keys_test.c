/* terminal_keys_test.c - Ctrl-C in each way in which a terminal says it, and what only looks like it */
#include "terminal/keys.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

/* The same in one piece and in pieces */
static void expect(struct str typed, unsigned want)
{
	for (size_t piece = 1; piece <= typed.n; piece++) {
		struct keys k = { 0 };
		struct str rest = typed;
		unsigned n = 0;

		while (rest.n) {
			n += keys_interrupts(&k, str_head(rest, piece));
			rest = str_from(rest, piece);
		}
		if (n != want)
			fail_msg("%.*s in pieces of %zu: %u times", STR_FMT(typed), piece, n);
	}
}

#define TIMES(n, literal) expect(STR(literal), n)

static void a_control_byte_counts_anywhere(void **state)
{
	(void)state;
	TIMES(1, "\x03");
	TIMES(3, "a\x03\x03text\x03");
	TIMES(1, "\x1b\x03");			/* with Alt */
	TIMES(1, "\x1b[99;\x03");
	TIMES(2, "\x1b[99;\x03" "5u\x1b[99;5u");
	TIMES(1, "\x1b[200~pasted \x03\x1b[201~");
}

static void kitty(void **state)
{
	(void)state;
	TIMES(1, "\x1b[99;5u");
	TIMES(1, "\x1b[99;5:1u");
	TIMES(1, "\x1b[99;5:u");
	TIMES(1, "\x1b[99:67;6u");		/* Shift, and alternate keys */
	TIMES(1, "\x1b[99:67:99;6:1u");
	TIMES(1, "\x1b[99;69u");		/* caps lock */
	TIMES(1, "\x1b[99;133u");		/* num lock */
	TIMES(1, "\x1b[99;197:1u");		/* both */
	TIMES(1, "\x1b[99;7u");			/* Alt */
	TIMES(1, "\x1b[99;5;3u");		/* and text */
	TIMES(1, "\x1b[1089::99;5u");		/* a Cyrillic layout */
	TIMES(1, "\x1b[1089;5u");
	TIMES(1, "\x1b[57442;5u\x1b[99;5u\x1b[99;5:3u\x1b[57442;5:3u");
	TIMES(2, "\x1b[99;5:1u\x1b[99;5:3u\x1b[99;5:1u\x1b[99;5:3u");
	TIMES(1, "\x1b[99;5:1u\x1b[99;5:2u\x1b[99;5:2u\x1b[99;5:3u");	/* held down */
	TIMES(1, "\x1b\x1b[99;5u");
	TIMES(1, "\x1b[99\x1b[99;5u");

	TIMES(0, "\x1b[99u");
	TIMES(0, "\x1b[99;1u");
	TIMES(0, "\x1b[99;2u");
	TIMES(0, "\x1b[99;3u");
	TIMES(0, "\x1b[99;65u");		/* caps lock alone */
	TIMES(0, "\x1b[99;0u");
	TIMES(0, "\x1b[97;5u");
	TIMES(0, "\x1b[106::106;5u");
	TIMES(0, "\x1b[99::106;5u");		/* a layout whose c writes from another key's place: Dvorak's j */
	TIMES(0, "\x1b[97;5;99u");
	TIMES(0, "\x1b[99;5v");
	TIMES(0, "\x1b[?99;5u");
	TIMES(0, "[99;5u");
	TIMES(0, "\x1b]99;5u");
	TIMES(0, "\x1b[99;4294967301u");
	TIMES(0, "\x1b[99;-3u");
}

static void xterm(void **state)
{
	(void)state;
	TIMES(1, "\x1b[27;5;99~");
	TIMES(1, "\x1b[27;6;67~");
	TIMES(1, "\x1b[27;7;99~");
	TIMES(1, "\x1b[67;6u");			/* formatOtherKeys */
	TIMES(2, "\x1b[27;5;99~\x1b[27;5;99~");
	TIMES(0, "\x1b[27;5;97~");
	TIMES(0, "\x1b[27;2;99~");
	TIMES(0, "\x1b[99;5~");
	TIMES(0, "\x1b[3;5~");			/* Ctrl-Delete */
	TIMES(0, "\x1b[27~\x1b[1;5C\x1b[15;5~");
}

static void win32(void **state)
{
	(void)state;
	TIMES(1, "\x1b[67;46;3;1;8;1_");
	TIMES(1, "\x1b[67;46;3;1;4;1_");	/* the Ctrl on the right */
	TIMES(1, "\x1b[67;46;3;1;8_");
	TIMES(1, "\x1b[67;46;3;1;168;1_");	/* caps lock and num lock */
	TIMES(1, "\x1b[67;46;0;1;24;1_");	/* Shift */
	TIMES(1, "\x1b[67;;3;1;8;1_");
	TIMES(1, "\x1b[0;0;3;1;0;1_");		/* no key: a program typed it */
	TIMES(1, "\x1b[17;29;0;1;8;1_\x1b[67;46;3;1;8;1_\x1b[67;46;3;0;8;1_\x1b[17;29;0;0;0;1_");
	TIMES(2, "\x1b[67;46;3;1;8;1_\x1b[67;46;3;0;8;1_\x1b[67;46;3;1;8;1_");
	TIMES(0, "\x1b[67;46;3;0;8;1_");
	TIMES(0, "\x1b[67;46;99;1;0;1_");
	TIMES(0, "\x1b[67;46;263;1;9;1_");	/* AltGr */
	TIMES(0, "\x1b[88;45;24;1;8;1_");
	TIMES(0, "\x1b[67;46;3_");
}

static void long_sequences_are_none(void **state)
{
	char typed[8192];
	struct keys k = { 0 };

	(void)state;
	memset(typed, '0', sizeof typed);
	memcpy(typed, "\x1b[99;5;", 7);
	for (size_t i = 7; i < 300; i++) {
		assert_int_equal(keys_interrupts(&k, str_make(typed, i)), 0);
		assert_int_equal(keys_interrupts(&k, STR("u")), i - 1 <= KEYS_SEQUENCE_MAX);
	}
	assert_int_equal(keys_interrupts(&k, str_make(typed, sizeof typed)), 0);
	assert_int_equal(keys_interrupts(&k, STR("u\x1b[99;5u")), 1);
	memset(typed, ';', sizeof typed);
	assert_int_equal(keys_interrupts(&k, STR("\x1b[99;5")), 0);
	assert_int_equal(keys_interrupts(&k, str_make(typed, sizeof typed)), 0);
	assert_int_equal(keys_interrupts(&k, STR("u_~\x1b[27;5;99~")), 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_control_byte_counts_anywhere), cmocka_unit_test(kitty),
		cmocka_unit_test(xterm), cmocka_unit_test(win32), cmocka_unit_test(long_sequences_are_none),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
