/* sink.h - standard output or error of the command, on its way to the user */
#pragma once

#include "terminal/filter.h"
#include "terminal/port.h"
#include "wire/queue.h"

struct sink {
	struct port port;
	struct queue waiting;
	size_t owed;		/* bytes that came in and were not yet reported as consumed */
	bool broken;		/* nobody reads it, or it cannot be written: what comes is thrown away */
	int error_number;	/* why */
	bool discarded;		/* bytes came after it broke */
	struct filter filter;	/* used where the port is a terminal */
	void (*consumed)(void *user, size_t n);
	void *user;
};

/** sink_init() - @consumed is called when @n bytes of those put are written, or thrown away */
must_use enum err sink_init(struct sink *s, uv_loop_t *loop, int fd, void (*consumed)(void *user, size_t n),
			    void *user);
/** sink_put() - filters if it is a terminal, queues, writes what can be written. The caller
 *  bounds what is owed. ERR_MEMORY: the bytes are lost. */
must_use enum err sink_put(struct sink *s, struct str bytes);
/** sink_undo() - queues what turns off the terminal modes that the output left on */
void sink_undo(struct sink *s);
bool sink_is_empty(const struct sink *s);
void sink_free(struct sink *s);
