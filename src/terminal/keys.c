/* keys.c - Ctrl-C among what a terminal sends                                   (see keys.h)
 *
 * Theory of operation: a control byte counts wherever it stands. From ESC [ to the final byte a sequence
 * is kept, also over several reads, and then looked at as one of
 *
 *   ESC [ CODE:SHIFTED:BASE ; 1+MODIFIERS:EVENT ; TEXT u    kitty's keyboard protocol, CSI u
 *   ESC [ 27 ; 1+MODIFIERS ; CODE ~                         xterm's modifyOtherKeys
 *   ESC [ VK ; SCAN ; CHARACTER ; DOWN ; STATE ; REPEAT _   win32-input-mode
 *
 * Any modifiers may be held beside Ctrl, as with the control byte, and the locks may be on. What a
 * terminal does not tell apart from a press (a key that repeats, without kitty's event types) counts as
 * one, again as with the control byte. Nothing is remembered of a key that is down: the command can turn
 * reports of its release off.
 *
 * Trust: the bytes are the user's, but in the form that the command chose. A doubt (a number that is
 * none) is no Ctrl-C: the byte of it stays one in every mode but these.
 * Sources: kitty's keyboard protocol; xterm's ctlseqs; microsoft/terminal, spec #4999.
 */
#include "terminal/keys.h"

#define ESC 0x1b
#define CTRL_C 0x03

enum state { GROUND, ESCAPE, SEQUENCE };

#define MODIFIER_CTRL 4u		/* of kitty and xterm */
#define EVENT_PRESS 1u
#define WIN32_VK_C 67u
#define WIN32_ALT 3u			/* right 1, left 2: with Ctrl it is AltGr, and makes another character */
#define WIN32_CTRL 12u

/* the next of @fields, which @separator parts; *@ret is @absent if there is none. False: no number */
static bool next_number(struct str *fields, char separator, uint64_t absent, uint64_t *ret)
{
	struct str field = str_head(*fields, str_find(*fields, separator));

	*fields = str_from(*fields, field.n + 1);
	*ret = absent;
	return field.n == 0 || str_decimal(field, UINT32_MAX, ret);
}

/* The key with a Latin c on it, by what it writes: with modifyOtherKeys Shift shows, and without kitty's
 * alternate keys a layout of another script shows nothing else. */
static bool is_c(uint64_t code)
{
	switch (code) {
	case 'c': case 'C': case CTRL_C:
	case 0x441: case 0x421:		/* Cyrillic es */
	case 0x3c8: case 0x3a8:		/* Greek psi */
	case 0x5d1:			/* Hebrew bet */
		return true;
	default:
		return false;
	}
}

static struct str next_field(struct str *fields)
{
	struct str field = str_head(*fields, str_find(*fields, ';'));

	*fields = str_from(*fields, field.n + 1);
	return field;
}

/* MODIFIERS and EVENT: is Ctrl held, and is it a press? */
static bool is_ctrl_press(struct str field)
{
	uint64_t modifiers, event;

	return next_number(&field, ':', 1, &modifiers) && next_number(&field, ':', EVENT_PRESS, &event) &&
	       modifiers && (modifiers - 1) & MODIFIER_CTRL && event == EVENT_PRESS;
}

static bool is_interrupt_kitty(struct str fields)
{
	struct str key = next_field(&fields);
	uint64_t code, shifted, base;

	return next_number(&key, ':', 1, &code) && next_number(&key, ':', 0, &shifted) &&
	       next_number(&key, ':', 0, &base) && is_ctrl_press(next_field(&fields)) &&
	       (base ? base == 'c' : is_c(code));
}

static bool is_interrupt_xterm(struct str fields)
{
	struct str modifiers;
	uint64_t kind, code;

	if (!next_number(&fields, ';', 0, &kind) || kind != 27)
		return false;
	modifiers = next_field(&fields);
	return is_ctrl_press(modifiers) && next_number(&fields, ';', 0, &code) && is_c(code);
}

static bool is_interrupt_win32(struct str fields)
{
	uint64_t key, scan, character, down, state;

	if (!next_number(&fields, ';', 0, &key) || !next_number(&fields, ';', 0, &scan) ||
	    !next_number(&fields, ';', 0, &character) || !next_number(&fields, ';', 0, &down) ||
	    !next_number(&fields, ';', 0, &state) || down != 1)
		return false;
	return character == CTRL_C || (key == WIN32_VK_C && state & WIN32_CTRL && !(state & WIN32_ALT));
}

/* @s: parameters and the final byte */
static bool is_interrupt(struct str s)
{
	struct str fields = str_head(s, s.n - 1);

	switch (s.p[s.n - 1]) {
	case 'u':
		return is_interrupt_kitty(fields);
	case '~':
		return is_interrupt_xterm(fields);
	case '_':
		return is_interrupt_win32(fields);
	default:
		return false;
	}
}

static bool put(struct keys *k, char c)
{
	bool found = false;

	if (c == CTRL_C || c == ESC) {
		k->state = c == ESC ? ESCAPE : GROUND;
		return c == CTRL_C;
	}
	switch ((enum state)k->state) {
	case GROUND:
		break;
	case ESCAPE:
		k->state = c == '[' ? SEQUENCE : GROUND;
		k->len = 0;
		break;
	case SEQUENCE:
		if (k->len < sizeof k->sequence)
			k->sequence[k->len++] = c;
		if (c >= 0x20 && c < 0x40)
			break;
		found = k->sequence[k->len - 1] == c && is_interrupt(str_make(k->sequence, k->len));
		k->state = GROUND;
		break;
	}
	return found;
}

unsigned keys_interrupts(struct keys *k, struct str typed)
{
	unsigned n = 0;

	for (size_t i = 0; i < typed.n; i++)
		n += put(k, typed.p[i]);
	return n;
}
