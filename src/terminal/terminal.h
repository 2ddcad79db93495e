/* terminal.h - what the supervisor and paddock-terminal say to each other
 *
 * One SOCK_SEQPACKET pair; each message is one struct terminal_message, whole. The terminal
 * process reads the guest's bytes, so the supervisor takes nothing from it but these numbers
 * and one short text, which it prints escaped.
 *
 * Configuration (a memfd): two blobs, each u32 length (little-endian) and bytes: an encoded
 * msg_config, an encoded msg_exec.
 */
#pragma once

#include "base/str.h"

enum terminal_kind {
	/* to the terminal */
	TERMINAL_SIGNAL = 1,	/* value: deliver this signal to the command's foreground group */
	TERMINAL_QUIT,		/* restore the user's terminal and exit */
	/* to the supervisor */
	TERMINAL_READY = 16,	/* the guest is configured */
	TERMINAL_STARTED,	/* the command's first instruction is next */
	TERMINAL_EXITED,	/* value: exit code 0..255, or 256 + signal; all output is written */
	TERMINAL_FAILED,	/* value: errno of the guest (ENOENT: no such command), text: what failed */
	TERMINAL_INTERRUPT_TWICE, /* Ctrl-C twice within a second */
	TERMINAL_GUEST_LOST,	/* the control port ended; text: why */
};

#define TERMINAL_TEXT_MAX 256

struct terminal_message {
	uint32_t kind;
	uint32_t value;
	uint32_t text_bytes;	/* <= TERMINAL_TEXT_MAX */
	char text[TERMINAL_TEXT_MAX];
};
