/* input.c - standard input of the command                                    (see input.h)
 *
 * Theory of operation: a port and a queue. The owner takes bytes from the queue as the link
 * has credit, and calls input_watch() again, so a command that does not read holds up the
 * user's pipe. Trust: the bytes are the user's; nothing but Ctrl-C is looked for in them (keys.c).
 */
#include "terminal/input.h"

#include "base/clock.h"

#include <errno.h>

#define WAITING_MAX (256u * 1024)
#define READ_BYTES 32768
#define TWICE_MS 1000

static void watch_interrupts(struct input *in, struct str typed)
{
	uint64_t now = clock_ms();

	for (unsigned n = keys_interrupts(&in->keys, typed); n; n--) {
		if (in->interrupted_ms && now - in->interrupted_ms <= TWICE_MS) {
			in->interrupted_ms = 0;
			in->interrupted_twice(in->user);
		} else {
			in->interrupted_ms = now;
		}
	}
}

static void ready(void *user)
{
	static char bytes[READ_BYTES];
	struct input *in = user;
	ssize_t n = port_read(&in->port, bytes, sizeof bytes);

	if (n < 0 && (errno == EAGAIN || errno == EINTR)) {
		input_watch(in);
		return;
	}
	if (n <= 0) {		/* a terminal that hung up says EIO */
		in->ended = true;
	} else if (!queue_reserve(&in->waiting, (size_t)n)) {
		in->failed = true;
	} else {
		queue_put(&in->waiting, str_make(bytes, (size_t)n));
		if (in->raw)
			watch_interrupts(in, str_make(bytes, (size_t)n));
	}
	input_watch(in);
	in->arrived(in->user);
}

enum err input_init(struct input *in, uv_loop_t *loop, int fd)
{
	return port_init(&in->port, loop, fd, ready, in);
}

void input_watch(struct input *in)
{
	size_t waiting = queue_bytes(&in->waiting).n;

	port_watch(&in->port, !in->ended && !in->failed && waiting < (in->raw ? WAITING_MAX : 1), false);
}

void input_stop(struct input *in) { port_watch(&in->port, false, false); }

void input_free(struct input *in) { queue_free(&in->waiting); }
