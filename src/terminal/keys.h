/* keys.h - Ctrl-C among what a terminal sends
 *
 * What the command prints can have the terminal say keys in other ways than by control bytes: kitty's
 * keyboard protocol, xterm's modifyOtherKeys, Windows Terminal's win32-input-mode. Agents use them,
 * so they are let through; Ctrl-C is known in each. Pure.
 */
#pragma once

#include "base/str.h"

#define KEYS_SEQUENCE_MAX 96	/* bytes of a sequence that are kept; a longer one is no Ctrl-C */

struct keys {
	uint8_t state;			/* private; {0} is the start */
	uint8_t len;
	char sequence[KEYS_SEQUENCE_MAX];
};

/** keys_interrupts() - how often @typed, which goes on where the last call ended, presses Ctrl-C; a key that
 *  comes up counts for nothing, nor one that repeats where the terminal tells */
unsigned keys_interrupts(struct keys *k, struct str typed);
