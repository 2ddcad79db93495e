/* sink.c - output of the command, on its way to the user                      (see sink.h)
 *
 * Theory of operation: a queue in front of a port. Its bound is the link's credit: bytes are
 * reported as consumed only when they were written, so that a reader who does not read holds
 * up the command and nothing else. Bytes reach a pipe or file exactly, a terminal through the
 * filter. A write that fails for good breaks the sink: the owner sees it and tells the guest.
 *
 * Trust: the bytes are the command's, hostile to a terminal.
 */
#include "terminal/sink.h"

#include <errno.h>

static void report(struct sink *s, size_t written)
{
	size_t n = written < s->owed ? written : s->owed;

	if (sink_is_empty(s))
		n = s->owed;	/* the filter may have dropped what is left */
	s->owed -= n;
	if (n)
		s->consumed(s->user, n);
}

static void pump(void *user)
{
	struct sink *s = user;
	struct str bytes = queue_bytes(&s->waiting);
	ssize_t n = 0;

	if (bytes.n)
		n = port_write(&s->port, bytes);
	if (n < 0 && errno != EAGAIN && errno != EINTR) {
		s->broken = true;
		s->error_number = errno;
		n = (ssize_t)bytes.n;
	}
	if (n > 0)
		queue_take(&s->waiting, (size_t)n);
	port_watch(&s->port, !sink_is_empty(s), true);
	report(s, n > 0 ? (size_t)n : 0);
}

enum err sink_init(struct sink *s, uv_loop_t *loop, int fd, void (*consumed)(void *user, size_t n),
		   void *user)
{
	*s = (struct sink){ .consumed = consumed, .user = user };
	filter_init(&s->filter);
	return port_init(&s->port, loop, fd, pump, s);
}

static enum err put(struct sink *s, struct str bytes)
{
	if (!queue_reserve(&s->waiting, bytes.n))
		return ERR_MEMORY;
	queue_put(&s->waiting, bytes);
	return ERR_OK;
}

enum err sink_put(struct sink *s, struct str bytes)
{
	enum err e = ERR_OK;
	auto_buf shown = BUF_EMPTY;

	buf_init(&shown, bytes.n + FILTER_SEQUENCE_MAX);
	s->owed += bytes.n;
	if (s->broken) {
		s->discarded = true;
	} else if (s->port.is_terminal) {
		filter_put(&s->filter, bytes, &shown);
		e = buf_err(&shown);
		if (!e)
			e = put(s, buf_str(&shown));
	} else {
		e = put(s, bytes);
	}
	pump(s);
	return e;
}

void sink_undo(struct sink *s)
{
	auto_buf bytes = BUF_EMPTY;

	buf_init(&bytes, 1024);
	if (s->broken || !s->port.is_terminal)
		return;
	filter_undo(&s->filter, &bytes);
	if (!buf_err(&bytes) && put(s, buf_str(&bytes)) == ERR_OK)
		pump(s);
}

bool sink_is_empty(const struct sink *s) { return queue_bytes(&s->waiting).n == 0; }

void sink_free(struct sink *s)
{
	port_watch(&s->port, false, true);
	queue_free(&s->waiting);
}
