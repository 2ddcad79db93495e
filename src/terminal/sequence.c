/* sequence.c - which control sequences may reach the user's terminal          (see filter.h)
 *
 * Theory of operation: tables of what is known to draw, move, colour or switch modes, by
 * prefix, intermediate and final byte. All else is dropped; the reason told is a guess at its
 * purpose. Sources: ECMA-48; xterm's ctlseqs; kitty's keyboard protocol; iTerm2's OSC 1337.
 */
#include "terminal/filter.h"

static bool char_in(char c, const char *set) { return c && strchr(set, c); }

struct csi_rule {
	char prefix;		/* one of <=>? or 0 */
	char intermediate;	/* or 0 */
	const char *finals;	/* that pass */
};

static const struct csi_rule csi_rules[] = {
	{ 0, 0, "@ABCDEFGHIJKLMPSTXZ`abdefghjklmqrsu" },	/* i prints, c n x ask, t: below */
	{ '?', 0, "hlrsJKWc" },		/* c: cursor shape of the Linux console */
	{ '?', '$', "" },		/* p asks for a mode */
	{ '>', 0, "mnpsu" },
	{ '<', 0, "u" },
	{ '=', 0, "u" },
	{ 0, ' ', "q@A" },
	{ 0, '!', "p" },
	{ 0, '"', "q" },		/* p can make the terminal type 8-bit controls */
	{ 0, '#', "pq{}" },
	{ 0, '$', "rtvxz{" },
	{ 0, '*', "x" },
	{ 0, '\'', "}~" },
};

/* Window operations: only saving and restoring the title; the others report, move or resize. */
static bool is_title_stack(struct str parameters)
{
	struct str operation = str_head(parameters, str_find(parameters, ';'));

	return str_eq(operation, STR("22")) || str_eq(operation, STR("23"));
}

/* Modes that take the keyboard or the language away from whoever comes after the sandbox, and that no
 * mode can be undone from: a locked keyboard and no echo; VT52 and Tektronix, which know no ESC [. */
static bool locks_out(char prefix, struct str parameters)
{
	while (parameters.n) {
		size_t n = str_find(parameters, ';');
		struct str mode = str_head(parameters, n);
		uint64_t number = 0;

		if (mode.n && !str_decimal(mode, UINT16_MAX, &number))
			return true;
		if (number == 2 || number == (prefix ? 38 : 12))
			return true;
		parameters = str_from(parameters, n + 1);
	}
	return false;
}

unsigned sequence_csi(struct str s)
{
	char final = s.p[s.n - 1], prefix = 0, intermediate = 0;
	struct str middle = str_make(s.p + 2, s.n - 3);

	if (middle.n && char_in(middle.p[0], "<=>?")) {
		prefix = middle.p[0];
		middle = str_from(middle, 1);
	}
	if (middle.n && middle.p[middle.n - 1] < '0')
		intermediate = middle.p[--middle.n];
	for (size_t i = 0; i < middle.n; i++)
		if (!ascii_digit(middle.p[i]) && middle.p[i] != ';' && middle.p[i] != ':')
			return FILTER_OTHER;
	if (final == 't' && !prefix && !intermediate)
		return is_title_stack(middle) ? 0 : FILTER_QUERY;
	if (char_in(final, "hlrs") && !intermediate && (prefix == '?' || (!prefix && char_in(final, "hl"))) &&
	    locks_out(prefix, middle))
		return FILTER_OTHER;
	for (size_t i = 0; i < sizeof csi_rules / sizeof *csi_rules; i++)
		if (csi_rules[i].prefix == prefix && csi_rules[i].intermediate == intermediate)
			return char_in(final, csi_rules[i].finals) ? 0 :
			       char_in(final, "cnpqtuwxSmR") ? FILTER_QUERY : FILTER_OTHER;
	return FILTER_OTHER;
}

unsigned sequence_escape(struct str s)
{
	char final = s.p[s.n - 1];

	if (s.n == 2)
		return final == 'Z' ? FILTER_QUERY : char_in(final,
							     "6789=>DEHMNOcno|}~\\") ? 0 : FILTER_OTHER;
	if (s.n != 3)
		return FILTER_OTHER;
	if (s.p[1] == '%')	/* "ESC % @" would end UTF-8, and with it what we know of controls */
		return final == 'G' ? 0 : FILTER_OTHER;
	if (s.p[1] == '#')
		return char_in(final, "34568") ? 0 : FILTER_OTHER;
	return char_in(s.p[1], "()*+-./") ? 0 : FILTER_OTHER;
}

static bool asks(struct str fields)
{
	while (fields.n) {
		size_t n = str_find(fields, ';');

		if (str_starts(str_head(fields, n), STR("?")))
			return true;
		fields = str_from(fields, n + 1);
	}
	return false;
}

/* OSC 9 is a notification's text; with a number first it is ConEmu's language, which can run programs:
 * of that only progress. */
static bool is_command(struct str rest)
{
	struct str first = str_head(rest, str_find(rest, ';'));

	return first.n && ascii_digit(first.p[0]) && !str_eq(first, STR("4"));
}

unsigned sequence_osc(struct str content)
{
	size_t n = str_find(content, ';');
	struct str rest = str_from(content, n + 1);
	uint64_t number;

	if (!str_decimal(str_head(content, n), 9999, &number))
		return FILTER_OTHER;
	switch (number) {
	case 0: case 1: case 2:		/* titles */
	case 8:				/* hyperlinks */
	case 777:			/* notifications */
	case 133:			/* marks of prompts */
		return 0;
	case 9:				/* notifications, progress */
		return is_command(rest) ? FILTER_OTHER : 0;
	case 4: case 5: case 10: case 11: case 12: case 13: case 14: case 17: case 19: case 22:
		return asks(rest) ? FILTER_QUERY : 0;	/* colours, pointer shape */
	case 104: case 105: case 110: case 111: case 112: case 113: case 114: case 117: case 119:
		return 0;
	case 52:
		return FILTER_CLIPBOARD;
	case 1337:
		return FILTER_TRANSFER;
	default:
		return FILTER_OTHER;
	}
}
