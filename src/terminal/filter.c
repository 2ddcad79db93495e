/* filter.c - escape sequences of a sandbox, filtered on their way to a terminal (see filter.h)
 *
 * Theory of operation: a state machine after DEC's and xterm's, one byte at a time. Text passes
 * at once, a character when it is whole. From ESC on, bytes are held until the sequence is; then
 * sequence.c says whether it passes. Strings that never pass (DCS, APC, PM, SOS) are swallowed unheld.
 *
 * A terminal in UTF-8 mode takes U+0080..U+009F, and some take stray bytes 0x80..0x9f, for the
 * same controls as ESC and a letter: neither ever passes. (In a terminal that is not in UTF-8
 * mode every such byte is a control, also within characters: Paddock assumes UTF-8.)
 *
 * Trust: every byte is hostile. Invariant: what is emitted since the last ESC is text, or one
 * whole sequence that sequence.c passed. Failure: @out's.
 */
#include "terminal/filter.h"

#define ESC 0x1b
#define BEL 0x07
#define ENQ 0x05
#define CAN 0x18
#define SUB 0x1a

void filter_init(struct filter *f)
{
	*f = (struct filter){ .state = FILTER_GROUND };
}

unsigned filter_take_drops(struct filter *f)
{
	unsigned drops = f->drops;

	f->drops = 0;
	return drops;
}

const char *filter_drop_text(unsigned drops)
{
#define DROP_TEXT(bit, name, text) \
	if (drops & FILTER_##name) \
		return text;
	FILTER_DROP_TABLE(DROP_TEXT)
#undef DROP_TEXT
	return "nothing";
}

/* -- what is to be undone ------------------------------------------------------------- */

/* What the user's shell would suffer from. What the output says of a mode itself is believed; where it has the
 * terminal remember, it is not known what comes back, and the mode counts as set. Each is undone by itself:
 * a soft reset (ESC [ ! p) does some of them at once in xterm, but kitty and Linux's console do not know it,
 * and nobody's covers the rest. */
#define CURSOR_SAVED "\x1b" "7"
#define CURSOR_RESTORED "\x1b" "8"
#define ORIGIN 6
#define KEYPAD 66
static const struct mode {
	uint16_t number;
	char prefix;		/* '?', or 0: one of ECMA-48's */
	bool off;		/* it is what is off that needs undoing */
	const char *undo;	/* where it takes another sequence */
} modes[] = {
	{ .number = 4 },				/* insert: letters push others to the right */
	{ .number = 20 },				/* Return sends two bytes */
	{ .number = 1, .prefix = '?' },			/* arrow keys */
	{ .number = 5, .prefix = '?' },			/* reverse video */
	{ .number = ORIGIN, .prefix = '?', .undo = "\x1b[?6l\x1b[999H" },	/* the cursor goes home: not there */
	{ .number = 7, .prefix = '?', .off = true },	/* wrap of long lines */
	{ .number = 8, .prefix = '?', .off = true },	/* keys repeat */
	{ .number = 9, .prefix = '?' },
	{ .number = 25, .prefix = '?', .off = true },	/* the cursor is shown */
	{ .number = 47, .prefix = '?' },
	{ .number = KEYPAD, .prefix = '?', .undo = "\x1b>" },
	{ .number = 67, .prefix = '?' },		/* the backarrow key */
	{ .number = 69, .prefix = '?', .undo = CURSOR_SAVED "\x1b[?69l" CURSOR_RESTORED },	/* side margins */
	{ .number = 1000, .prefix = '?' }, { .number = 1001, .prefix = '?' },	/* mouse, focus */
	{ .number = 1002, .prefix = '?' }, { .number = 1003, .prefix = '?' },
	{ .number = 1004, .prefix = '?' }, { .number = 1005, .prefix = '?' },
	{ .number = 1006, .prefix = '?' }, { .number = 1015, .prefix = '?' },
	{ .number = 1016, .prefix = '?' },
	{ .number = 1047, .prefix = '?' }, { .number = 1049, .prefix = '?' },	/* the other screen */
	{ .number = 2004, .prefix = '?' },		/* brackets around what is pasted */
	{ .number = 2026, .prefix = '?' },		/* what is drawn waits */
	{ .number = 2031, .prefix = '?' }, { .number = 2048, .prefix = '?' },	/* reports of colours, sizes */
	{ .number = 9001, .prefix = '?' },		/* win32-input-mode */
};
#define MODES (sizeof modes / sizeof *modes)
_Static_assert(MODES < 32, "a bit each");

static void mode_changed(struct filter *f, char prefix, uint64_t number, char final)
{
	for (size_t i = 0; i < MODES; i++) {
		if (modes[i].number != number || modes[i].prefix != prefix)
			continue;
		if (final != (modes[i].off ? 'h' : 'l'))
			f->modes |= 1u << i;
		else if (number != ORIGIN)	/* it comes back with a saved cursor */
			f->modes &= ~(1u << i);
	}
	f->alternate |= prefix && (number == 47 || number == 1047 || number == 1049);
}

/* ESC [ ? 1 ; 2 h and the like; without a field, some terminals restore all that there are. */
static void modes_changed(struct filter *f, char prefix, char final, struct str fields)
{
	uint64_t number;

	if (fields.n == 0 && final == 'r') {
		for (size_t i = 0; i < MODES; i++)
			if (modes[i].prefix)
				f->modes |= 1u << i;
		f->alternate = true;
	}
	while (fields.n) {
		size_t n = str_find(fields, ';');

		if (str_decimal(str_head(fields, n), UINT16_MAX, &number))
			mode_changed(f, prefix, number, final);
		fields = str_from(fields, n + 1);
	}
}

/* ESC [ > 4 ; 2 m sets modifyOtherKeys; without a value, or with 0, it is off. What is no number is in doubt. */
static void modified_keys_changed(struct filter *f, struct str fields)
{
	size_t n = str_find(fields, ';');
	struct str rest = str_from(fields, n + 1), value = str_head(rest, str_find(rest, ';'));
	uint64_t number;
	bool known = str_decimal(str_head(fields, n), UINT16_MAX, &number);

	if (fields.n == 0 || (known && number != 4))
		return;
	f->modified_keys = !known || (value.n && (!str_decimal(value, UINT16_MAX, &number) || number));
}

/* A control sequence that passes. Keyboard modes are not counted: each screen has a stack of its own, so that
 * what takes them away again may do so on the other. */
static void remember(struct filter *f, struct str s)
{
	char final = s.p[s.n - 1], prefix = 0;
	struct str fields = str_make(s.p + 2, s.n - 3);

	if (fields.n && fields.p[0] >= '<') {
		prefix = fields.p[0];
		fields = str_from(fields, 1);
	}
	if (fields.n && fields.p[fields.n - 1] < '0')
		return;			/* with an intermediate byte it is another one */
	if (prefix == '?' && (final == 'h' || final == 'l' || final == 'r'))
		modes_changed(f, prefix, final, fields);
	else if (!prefix && (final == 'h' || final == 'l'))
		modes_changed(f, prefix, final, fields);
	else if (!prefix && final == 'r')
		f->region = fields.n > 0;
	else if (prefix == '>' && final == 'm')
		modified_keys_changed(f, fields);
	else if ((prefix == '>' || prefix == '=') && final == 'u')
		f->keyboard = true;
}

void filter_undo(const struct filter *f, struct buf *out)
{
	static const char plain_keys[] = "\x1b[<9u\x1b[=0u";	/* a stack has some eight places */

	for (size_t i = 0; i < MODES; i++)
		if (f->modes & 1u << i && modes[i].undo)
			buf_put_z(out, modes[i].undo);
		else if (f->modes & 1u << i)
			buf_printf(out, "\x1b[%s%u%c", modes[i].prefix ? "?" : "", modes[i].number,
				   modes[i].off ? 'h' : 'l');
	if (f->region)			/* on the user's screen by now; the cursor would go home */
		buf_put_z(out, CURSOR_SAVED "\x1b[r" CURSOR_RESTORED);
	if (f->modified_keys)
		buf_put_z(out, "\x1b[>4;m");	/* who takes it for colours resets them */
	if (f->keyboard && f->alternate)
		buf_printf(out, "\x1b[?1049h%s\x1b[?1049l", plain_keys);
	if (f->keyboard)
		buf_put_z(out, plain_keys);
}

/* -- sequences ------------------------------------------------------------------------ */

static void hold(struct filter *f, uint8_t c)
{
	if (f->len < sizeof f->sequence)
		f->sequence[f->len++] = (char)c;
	else
		f->too_long = true;
}

static void begin(struct filter *f)
{
	f->state = FILTER_ESCAPE;
	f->too_long = f->bad = false;
	f->len = 0;
	hold(f, ESC);
}

static void drop(struct filter *f, unsigned why)
{
	f->drops |= why;
	f->state = FILTER_GROUND;
}

/* The held sequence is whole; @why not to pass it, or 0 */
static void whole(struct filter *f, unsigned why, struct buf *out)
{
	if (f->too_long && !why)
		why = FILTER_OTHER;
	drop(f, why);
	if (!why)
		buf_put(out, str_make(f->sequence, f->len));
}

/* Bytes that act at once, also in the middle of a sequence, unless they end it */
static void control(struct filter *f, uint8_t c, struct buf *out)
{
	if (c == ESC)
		begin(f);
	else if (c == CAN || c == SUB)
		f->state = FILTER_GROUND;
	else if (c == ENQ)
		f->drops |= FILTER_QUERY;
	else
		buf_put_byte(out, c);
}

/* The character at hand broke off: of its bytes those pass that no terminal takes for a control. */
static void break_off(struct filter *f, struct buf *out)
{
	for (unsigned i = 0; i < f->held_count; i++)
		if ((uint8_t)f->held[i] >= 0xa0)
			buf_put_byte(out, (uint8_t)f->held[i]);
		else
			f->drops |= FILTER_OTHER;
	f->held_count = f->utf8_left = 0;
}

static void continue_character(struct filter *f, uint8_t c, struct buf *out)
{
	bool is_control = (uint8_t)f->held[0] == 0xc2 && c < 0xa0;	/* U+0080..U+009F */

	f->held[f->held_count++] = (char)c;
	f->utf8_low = 0x80;
	f->utf8_high = 0xbf;
	if (--f->utf8_left)
		return;
	if (is_control)
		f->drops |= FILTER_OTHER;
	else
		buf_put(out, str_make(f->held, f->held_count));
	f->held_count = 0;
}

/* A byte from 0x80 up. Characters pass whole: standard output and error may share a terminal, and what one
 * says in the middle of the other's character must not make a control of the rest. */
static void ground_utf8(struct filter *f, uint8_t c, struct buf *out)
{
	if (f->utf8_left && c >= f->utf8_low && c <= f->utf8_high) {
		continue_character(f, c, out);
		return;
	}
	break_off(f, out);
	if (c < 0xa0) {		/* a control, and no part of a character */
		f->drops |= FILTER_OTHER;
		return;
	}
	f->utf8_left = c < 0xc2 || c > 0xf4 ? 0 : c < 0xe0 ? 1 : c < 0xf0 ? 2 : 3;
	if (!f->utf8_left) {
		buf_put_byte(out, c);
		return;
	}
	f->utf8_low = c == 0xe0 ? 0xa0 : c == 0xf0 ? 0x90 : 0x80;
	f->utf8_high = c == 0xed ? 0x9f : c == 0xf4 ? 0x8f : 0xbf;
	f->held[f->held_count++] = (char)c;
}

static void ground(struct filter *f, uint8_t c, struct buf *out)
{
	if (c >= 0x80) {
		ground_utf8(f, c, out);
		return;
	}
	break_off(f, out);
	if (c < 0x20)
		control(f, c, out);
	else
		buf_put_byte(out, c);
}

static void escape(struct filter *f, uint8_t c, struct buf *out)
{
	bool first = f->len == 1;

	if (c < 0x20) {
		control(f, c, out);
		return;
	}
	if (c >= 0x7f) {
		drop(f, FILTER_OTHER);
		return;
	}
	hold(f, c);
	if (first && c == '[')
		f->state = FILTER_CSI;
	else if (first && c == ']')
		f->state = FILTER_OSC;
	else if (first && strchr("PX^_k", c))
		f->state = FILTER_SWALLOW;
	else if (c >= 0x30) {
		if (first && (c == '=' || c == '>'))
			mode_changed(f, '?', KEYPAD, c == '=' ? 'h' : 'l');
		whole(f, sequence_escape(str_make(f->sequence, f->len)), out);
	}
}

static void csi(struct filter *f, uint8_t c, struct buf *out)
{
	struct str s;
	unsigned why;

	if (c < 0x20) {
		control(f, c, out);
		return;
	}
	if (c == 0x7f)
		return;		/* terminals ignore it here */
	if (c > 0x7f) {
		drop(f, FILTER_OTHER);
		return;
	}
	hold(f, c);
	if (c < 0x40)
		return;
	s = str_make(f->sequence, f->len);
	why = f->too_long ? FILTER_OTHER : sequence_csi(s);
	if (!why)
		remember(f, s);
	whole(f, why, out);
}

/* -- strings -------------------------------------------------------------------------- */

/* Everything between ESC ] and the terminator is in the held bytes; @end bytes terminate it. */
static void osc_whole(struct filter *f, size_t end, struct buf *out)
{
	struct str content = str_make(f->sequence + 2, f->len > end + 2 ? f->len - end - 2 : 0);
	unsigned why = sequence_osc(str_head(content, f->too_long ? 64 : content.n));

	if (!why && (f->bad || !str_is_utf8(content)))
		why = FILTER_TITLE;
	whole(f, why, out);
}

/* The Linux console's palette: ESC ] P and seven digits, ESC ] R, without an end */
static bool is_palette(struct filter *f, uint8_t c)
{
	if (f->len != 2 || (c != 'P' && c != 'R'))
		return false;
	f->palette_left = c == 'P' ? 7 : 0;
	f->state = c == 'P' ? FILTER_PALETTE : FILTER_GROUND;
	f->drops |= FILTER_OTHER;
	return true;
}

static void osc(struct filter *f, uint8_t c, struct buf *out)
{
	bool after_c2 = f->len > 2 && (uint8_t)f->sequence[f->len - 1] == 0xc2;

	if (c == CAN || c == SUB) {
		f->state = FILTER_GROUND;
		return;
	}
	if (is_palette(f, c))
		return;
	if (c == ESC) {
		f->state = FILTER_OSC_ESCAPE;
		return;
	}
	hold(f, c);
	if (c == BEL)
		osc_whole(f, 1, out);
	else if (c == 0x9c && after_c2)		/* U+009C: string terminator */
		drop(f, FILTER_OTHER);
	else if (c < 0x20 || c == 0x7f || (c >= 0x80 && c < 0xa0 && after_c2))
		f->bad = true;
}

static void osc_escape(struct filter *f, uint8_t c, struct buf *out)
{
	if (c == '\\') {
		hold(f, ESC);
		hold(f, c);
		osc_whole(f, f->too_long ? 0 : 2, out);
		return;
	}
	begin(f);	/* the string is cut off, and a new sequence begins */
	escape(f, c, out);
}

static void swallow(struct filter *f, uint8_t c)
{
	if (c == CAN || c == SUB)
		drop(f, FILTER_STRING);
	else if (c == ESC)
		f->state = FILTER_SWALLOW_ESCAPE;
}

static void swallow_escape(struct filter *f, uint8_t c, struct buf *out)
{
	drop(f, FILTER_STRING);
	if (c == '\\')
		return;
	begin(f);
	escape(f, c, out);
}

static void palette(struct filter *f, uint8_t c, struct buf *out)
{
	if (ascii_hex((char)c) < 0) {	/* it is no palette after all */
		f->state = FILTER_GROUND;
		ground(f, c, out);
	} else if (--f->palette_left == 0) {
		f->state = FILTER_GROUND;
	}
}

void filter_put(struct filter *f, struct str in, struct buf *out)
{
	for (size_t i = 0; i < in.n; i++) {
		uint8_t c = (uint8_t)in.p[i];

		switch (f->state) {
		case FILTER_GROUND:
			ground(f, c, out);
			break;
		case FILTER_ESCAPE:
			escape(f, c, out);
			break;
		case FILTER_CSI:
			csi(f, c, out);
			break;
		case FILTER_OSC:
			osc(f, c, out);
			break;
		case FILTER_OSC_ESCAPE:
			osc_escape(f, c, out);
			break;
		case FILTER_SWALLOW:
			swallow(f, c);
			break;
		case FILTER_SWALLOW_ESCAPE:
			swallow_escape(f, c, out);
			break;
		case FILTER_PALETTE:
			palette(f, c, out);
			break;
		}
	}
}
