/* filter.h - what of a sandbox's output reaches the user's terminal
 *
 * A terminal obeys what it is shown: sequences fill the clipboard, move files, or make the
 * terminal type an answer, which whatever reads it next (the user's shell, once the sandbox
 * has ended) takes for typing. filter_put() passes text and the sequences that draw, byte for
 * byte, and drops the rest; a sequence passes whole or not at all. Pure.
 */
#pragma once

#include "base/buf.h"

#define FILTER_SEQUENCE_MAX 2048	/* bytes held back of a sequence that is not complete */

/*     bit  name         text of the claim */
#define FILTER_DROP_TABLE(X) \
	X(0, CLIPBOARD, "clipboard access (OSC 52)") \
	X(1, QUERY,     "a query that the terminal would answer by typing") \
	X(2, STRING,    "a device control, application or privacy string") \
	X(3, TRANSFER,  "a file transfer (OSC 1337)") \
	X(4, TITLE,     "a title with control bytes") \
	X(5, OTHER,     "an escape sequence that is not known to be harmless")

enum filter_drop {
#define FILTER_DROP_ENUM(bit, name, text) FILTER_##name = 1u << (bit),
	FILTER_DROP_TABLE(FILTER_DROP_ENUM)
#undef FILTER_DROP_ENUM
};

enum filter_state {
	FILTER_GROUND, FILTER_ESCAPE, FILTER_CSI, FILTER_OSC, FILTER_OSC_ESCAPE, FILTER_SWALLOW,
	FILTER_SWALLOW_ESCAPE, FILTER_PALETTE,
};

struct filter {
	enum filter_state state;
	unsigned drops;			/* enum filter_drop, or'ed: since filter_take_drops() */
	bool too_long, bad;		/* the sequence will be dropped: its length, a control byte in it */
	uint8_t utf8_left, utf8_low, utf8_high;	/* continuation bytes to come; range of the next */
	uint8_t held_count;		/* bytes of a character that is not whole yet */
	char held[4];
	uint8_t palette_left;
	size_t len;
	char sequence[FILTER_SEQUENCE_MAX];
	uint32_t modes;			/* that need undoing, and may be set: bits of a table */
	bool region;			/* some lines alone may scroll */
	bool modified_keys;		/* xterm's modifyOtherKeys may be on */
	bool alternate;			/* the other screen was shown */
	bool keyboard;			/* kitty's keyboard modes were pushed or set, on either screen */
};

void filter_init(struct filter *f);
/** filter_put() - appends to @out what of @in may be shown (at most in.n + FILTER_SEQUENCE_MAX
 *  bytes). A sequence may span calls. @out's error is the caller's to see. */
void filter_put(struct filter *f, struct str in, struct buf *out);
/** filter_take_drops() - what was dropped since the last call */
unsigned filter_take_drops(struct filter *f);
/** filter_drop_text() - for people; of the lowest bit in @drops */
const char *filter_drop_text(unsigned drops);
/** filter_undo() - appends what turns off the modes that the output may have left on (mouse, focus
 *  and paste reports, alternate screen, hidden cursor, other keys, insertion, a scroll region, ...); some
 *  350 bytes at most. Colours, character sets and the pointer's shape stay: they are seen, and harmless */
void filter_undo(const struct filter *f, struct buf *out);

/** sequence_csi() - @s is a whole control sequence, ESC [ ... final: 0 to pass it, or why not;
 *  sequence_escape(): ESC, intermediates, final; sequence_osc(): what is between ESC ] and the
 *  end of the string. (sequence.c) */
unsigned sequence_csi(struct str s);
unsigned sequence_escape(struct str s);
unsigned sequence_osc(struct str content);
