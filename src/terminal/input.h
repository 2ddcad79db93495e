/* input.h - standard input of the command, on its way from the user */
#pragma once

#include "terminal/keys.h"
#include "terminal/port.h"
#include "wire/queue.h"

struct input {
	struct port port;
	struct queue waiting;		/* read, not yet sent */
	bool ended, failed;		/* end of file; no memory */
	bool raw;			/* it is a terminal in raw mode: set by the owner */
	struct keys keys;
	uint64_t interrupted_ms;	/* when Ctrl-C last came, if raw */
	void (*arrived)(void *user);	/* ->waiting, ->ended or ->failed changed */
	void (*interrupted_twice)(void *user);
	void *user;
};

/** input_init() - does not read before input_watch(). ERR_LOCAL */
must_use enum err input_init(struct input *in, uv_loop_t *loop, int fd);
/** input_watch() - reads on if what waits leaves room: nothing may wait, or, from a raw
 *  terminal, less than 256 KiB, so that Ctrl-C is seen in any case */
void input_watch(struct input *in);
void input_stop(struct input *in);
void input_free(struct input *in);
