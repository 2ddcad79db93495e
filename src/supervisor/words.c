/* words.c - see words.h
 *
 * Theory of operation: one pipe for all of them, read a piece at a time. A line is printed when it is whole, when it
 * is as long as a line gets, or when nothing has followed for a moment (the prompt of a credential command). A process
 * that was taken over can say what it likes, but not move a cursor, nor more than LINES_A_SECOND for long: what is
 * dropped is counted, and said.
 */
#include "supervisor/words.h"

#include "base/auto.h"
#include "base/buf.h"
#include "base/clock.h"
#include "base/log.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <stdlib.h>
#include <unistd.h>

#define LINE_MAX_BYTES 2048
#define LINES_BURST 1000u
#define LINES_A_SECOND 100u
#define PAUSE_MS 200
#define READS_A_TURN 16

struct words {
	int from, to;
	uv_poll_t poll;
	uv_timer_t pause;
	unsigned handles_open;
	size_t length;
	char line[LINE_MAX_BYTES];
	uint64_t allowed, allowed_ms;	/* lines, in thousandths; since when */
	uint64_t dropped;
};

static bool may_print(struct words *w)
{
	uint64_t now = clock_ms(), full = LINES_BURST * 1000ull;

	w->allowed += (now - w->allowed_ms) * LINES_A_SECOND;
	w->allowed_ms = now;
	if (w->allowed > full)
		w->allowed = full;
	if (w->allowed < 1000) {
		w->dropped++;
		return false;
	}
	w->allowed -= 1000;
	return true;
}

/* As log_escape(), but for the backslash: it may be one of an escape that the process made itself. */
static void put_printable(struct buf *b, struct str s)
{
	for (size_t i = 0; i < s.n; i++) {
		if (s.p[i] >= 0x20 && s.p[i] < 0x7f)
			buf_put_byte(b, (uint8_t)s.p[i]);
		else
			buf_printf(b, "\\x%02x", (unsigned)(uint8_t)s.p[i]);
	}
	buf_put_byte(b, '\n');
}

/* Never waits: whoever does not read must not hold up what ends the sandbox. What a ready pipe takes at once is
 * PIPE_BUF. */
static bool write_now(struct str s)
{
	struct pollfd ready = { .fd = STDERR_FILENO, .events = POLLOUT };

	while (s.n) {
		ssize_t n = poll(&ready, 1, 0) == 1
				    ? write(STDERR_FILENO, s.p, s.n < PIPE_BUF ? s.n : PIPE_BUF) : -1;

		if (n <= 0)
			return false;
		s = str_from(s, (size_t)n);
	}
	return true;
}

static void print_line(struct words *w)
{
	auto_buf out = BUF_EMPTY;

	if (w->length && may_print(w)) {
		buf_init(&out, 4 * LINE_MAX_BYTES + 128);
		if (w->dropped)
			buf_printf(&out, "paddock: %llu lines of its processes were dropped\n",
				   (unsigned long long)w->dropped);
		w->dropped = 0;
		put_printable(&out, str_make(w->line, w->length));
		if (buf_err(&out) || !write_now(buf_str(&out)))
			w->dropped++;
	}
	w->length = 0;
}

static void take(struct words *w, struct str bytes)
{
	while (bytes.n) {
		struct str piece = str_head(bytes, str_find(bytes, '\n'));
		bool whole = piece.n < bytes.n;

		bytes = str_from(bytes, piece.n + whole);
		while (piece.n) {
			struct str part = str_head(piece, sizeof w->line - w->length);

			memcpy(w->line + w->length, part.p, part.n);
			w->length += part.n;
			piece = str_from(piece, part.n);
			if (w->length == sizeof w->line)
				print_line(w);
		}
		if (whole)
			print_line(w);
	}
}

void words_print(struct words *w)
{
	char bytes[4096];

	for (int i = 0; w && i < READS_A_TURN; i++) {
		ssize_t n = read(w->from, bytes, sizeof bytes);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			break;
		take(w, str_make(bytes, (size_t)n));
	}
}

static void on_pause(uv_timer_t *timer) { print_line(timer->data); }

static void on_words(uv_poll_t *handle, int status, int events)
{
	struct words *w = handle->data;

	(void)status, (void)events;
	words_print(w);
	if (w->length)
		uv_timer_start(&w->pause, on_pause, PAUSE_MS, 0);
}

enum err words_new(uv_loop_t *loop, struct words **ret)
{
	struct words *w = calloc(1, sizeof *w);
	int ends[2];

	if (!w)
		return ERR_MEMORY;
	if (pipe2(ends, O_CLOEXEC | O_NONBLOCK)) {
		free(w);
		return ERR_LOCAL;
	}
	*w = (struct words){ .from = ends[0], .to = ends[1], .allowed = LINES_BURST * 1000ull,
			     .allowed_ms = clock_ms(), .handles_open = 2 };
	w->poll.data = w->pause.data = w;
	uv_timer_init(loop, &w->pause);
	if (uv_poll_init(loop, &w->poll, w->from))
		abort();	/* a pipe can be polled */
	uv_poll_start(&w->poll, UV_READABLE, on_words);
	uv_unref((uv_handle_t *)&w->poll);
	uv_unref((uv_handle_t *)&w->pause);
	*ret = w;
	return ERR_OK;
}

int words_fd(const struct words *w) { return w ? w->to : -1; }

static void handle_closed(uv_handle_t *handle)
{
	struct words *w = handle->data;

	if (--w->handles_open == 0)
		free(w);
}

void words_free(struct words *w)
{
	if (!w)
		return;
	words_print(w);
	print_line(w);
	uv_close((uv_handle_t *)&w->poll, handle_closed);
	uv_close((uv_handle_t *)&w->pause, handle_closed);
	auto_fd_close(&w->from);
	auto_fd_close(&w->to);
}
