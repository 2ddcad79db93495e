/* terminal_world.h - a session between a user played here (pipes, a pseudo-terminal), a guest
 * played here, and the supervisor's and courier's ends
 *
 * The session runs in a child process, with its descriptors where the supervisor puts them.
 */
#pragma once

#include "base/auto.h"
#include "base/clock.h"
#include "base/log.h"
#include "terminal/session.h"
#include "terminal/terminal.h"
#include "wire/link.h"
#include "wire/msg.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pty.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <termios.h>

#include <cmocka.h>

#define WAIT_MS 15000

struct world {
	pid_t pid;
	int in, out, err;		/* the user's ends; in == out for a terminal */
	int guest_fd, courier_fd, supervisor_fd;
	struct link *guest, *courier;
	uint32_t exec, events;
	struct buf input, output, errors, claims;	/* claims: texts and paths, a line each */
	struct msg_status last;		/* what the guest was last told on EXEC */
	bool input_ended, reset;
	uint16_t rows, columns;
	struct terminal_message messages[16];
	unsigned message_count;
	bool echo, hold_output, refuse_config;
	size_t to_send, sent;		/* bytes that the guest writes to standard output */
};

/* -- the child ------------------------------------------------------------------------ */

static int config_fd(bool terminal)
{
	struct msg_config c = { .hostname = STR("box"), .time_ns = 1 };
	static struct msg_exec x;
	auto_buf a = BUF_EMPTY, b = BUF_EMPTY, both = BUF_EMPTY;
	int fd = memfd_create("config", 0);

	x = (struct msg_exec){ .argument_count = 1, .arguments = { STR_INIT("cat") }, .terminal = terminal };
	buf_init(&a, 65536);
	buf_init(&b, 65536);
	buf_init(&both, 200000);
	msg_put_config(&a, &c);
	msg_put_exec(&b, &x);
	buf_put_u32le(&both, (uint32_t)a.len);
	buf_put(&both, buf_str(&a));
	buf_put_u32le(&both, (uint32_t)b.len);
	buf_put(&both, buf_str(&b));
	assert_int_equal(write(fd, both.p, both.len), (ssize_t)both.len);
	return fd;
}

static _Noreturn void child(const int *fds, bool confine)
{
	struct session *s;
	int high[7];

	for (int i = 1; i < 32; i++)	/* cmocka's handlers would go on with the tests */
		signal(i, SIG_DFL);
	log_init("terminal_test");
	for (int i = 0; i < 7; i++)
		high[i] = fcntl(fds[i], F_DUPFD_CLOEXEC, 100);
	for (int i = 0; i < 7; i++)
		dup2(high[i], i);
	if (close_range(7, ~0u, 0))
		_exit(101);
	if (session_new(&s))
		_exit(102);
	if (confine && session_confine())
		_exit(103);
	if (session_run(s))
		_exit(104);
	session_free(s);
	_exit(0);
}

static void world_start(struct world *w, bool terminal, bool confine)
{
	int guest[2], courier[2], supervisor[2], in[2], out[2], err[2], fds[7];

	*w = (struct world){ 0 };
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, guest), 0);
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, courier), 0);
	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, supervisor), 0);
	if (terminal) {
		struct winsize size = { .ws_row = 24, .ws_col = 80 };

		assert_int_equal(openpty(&out[0], &out[1], NULL, NULL, &size), 0);
		in[1] = out[0];
		in[0] = dup(out[1]);
		err[1] = dup(out[1]);
		err[0] = -1;
	} else {
		assert_int_equal(pipe2(in, O_CLOEXEC) | pipe2(out, O_CLOEXEC) | pipe2(err, O_CLOEXEC), 0);
	}
	memcpy(fds,
	       (int[]){ in[0], out[1], err[1], guest[1], courier[1], supervisor[1], config_fd(terminal) },
	       sizeof fds);
	w->pid = fork();
	if (w->pid == 0)
		child(fds, confine);
	for (int i = 0; i < 7; i++)
		if (!terminal || i > 2)
			close(fds[i]);	/* the terminal's own side stays open, as a shell's does */
	w->in = in[1];
	w->out = out[0];
	w->err = err[0];
	w->guest_fd = guest[0];
	w->courier_fd = courier[0];
	w->supervisor_fd = supervisor[0];
	w->guest = link_new(LINK_LOWER, &LINK_LIMITS_DEFAULT);
	w->courier = link_new(LINK_UPPER, &LINK_LIMITS_DEFAULT);
	buf_init(&w->input, 1 << 24);
	buf_init(&w->output, 1 << 24);
	buf_init(&w->errors, 1 << 24);
	buf_init(&w->claims, 1 << 16);
	fcntl(w->out, F_SETFL, O_NONBLOCK);
}

/* -- the guest and the courier -------------------------------------------------------- */

static void say(struct world *w, struct msg_status m)
{
	auto_buf b = BUF_EMPTY;

	buf_init(&b, 1000);
	msg_put_status(&b, &m);
	assert_int_equal(link_head(w->guest, w->exec, buf_str(&b)), ERR_OK);
}

static void answer_config(struct world *w, const struct link_frame *f)
{
	struct msg_status m = { .has_result = true };
	struct msg_config c;
	auto_buf b = BUF_EMPTY;

	buf_init(&b, 1000);
	assert_int_equal(msg_get_config(f->payload, &c), ERR_OK);
	if (w->refuse_config)
		m = (struct msg_status){ .has_result = true, .result = ERR_INPUT, .error_number = EINVAL,
					 .text = STR_INIT("bad mount") };
	msg_put_status(&b, &m);
	assert_int_equal(link_head(w->guest, f->stream, buf_str(&b)), ERR_OK);
	link_end(w->guest, f->stream);
}

static void guest_frame(struct world *w, const struct link_frame *f)
{
	static struct msg_exec x;

	if (f->type == LINK_OPEN && f->kind == LINK_KIND_EXEC)
		w->exec = f->stream;
	if (f->type == LINK_HEAD || f->type == LINK_DATA)
		link_consumed(w->guest, f->stream, f->payload.n);
	if (f->type == LINK_RESET && f->stream == w->exec)
		w->reset = true;
	if (f->type == LINK_HEAD && f->stream != w->exec)
		answer_config(w, f);
	if (f->stream != w->exec)
		return;
	if (f->type == LINK_DATA)
		buf_put(&w->input, f->payload);
	if (f->type == LINK_HEAD && w->columns == 0 && !msg_get_exec(f->payload, &x)) {
		w->rows = x.rows;
		w->columns = x.terminal ? x.columns : 1;
		say(w, (struct msg_status){ .has_started = true, .pid = 5 });
	} else if (f->type == LINK_HEAD) {
		assert_int_equal(msg_get_status(f->payload, &w->last), ERR_OK);
		w->input_ended = w->input_ended || w->last.has_input_end;
		if (w->last.has_resize) {
			w->rows = w->last.rows;
			w->columns = w->last.columns;
		}
	}
}

static void courier_frame(struct world *w, const struct link_frame *f)
{
	struct msg_claim m;

	if (f->type != LINK_HEAD)
		return;
	assert_int_equal(msg_get_claim(f->payload, &m), ERR_OK);
	buf_put(&w->claims, m.text);
	buf_put(&w->claims, m.path);
	buf_put_byte(&w->claims, '\n');
	link_consumed(w->courier, f->stream, f->payload.n);
}

static void exchange(struct world *w, int *fd, struct link *l,
		     void (*frame)(struct world *, const struct link_frame *))
{
	static char bytes[65536];
	struct link_frame f;
	struct str in, out;
	ssize_t n;

	if (*fd < 0)
		return;
	n = recv(*fd, bytes, sizeof bytes, MSG_DONTWAIT);
	if (n == 0) {
		auto_fd_close(fd);
		return;
	}
	in = str_make(bytes, n > 0 ? (size_t)n : 0);
	while (!link_receive(l, &in, &f))
		frame(w, &f);
	assert_int_equal(in.n, 0);
	out = link_output(l);
	n = out.n ? send(*fd, out.p, out.n, MSG_DONTWAIT | MSG_NOSIGNAL) : 0;
	if (n > 0)
		link_sent(l, (size_t)n);
}

static void drain(int fd, struct buf *b)
{
	char bytes[65536];
	ssize_t n;
	struct pollfd p = { .fd = fd, .events = POLLIN };

	if (fd < 0 || poll(&p, 1, 0) <= 0)
		return;
	n = read(fd, bytes, sizeof bytes);
	if (n > 0)
		buf_put(b, str_make(bytes, (size_t)n));
}

/* Byte @i of what the guest writes, or the user types */
static char byte_at(size_t i) { return (char)(i * 13 + i / 255); }

static void guest_writes(struct world *w)
{
	char bytes[5000];
	size_t n;

	while (w->exec && w->sent < w->to_send && (n = link_sendable(w->guest, w->exec)) > 100) {
		n -= 100;		/* room for a status */
		n = n < sizeof bytes ? n : sizeof bytes;
		n = n < w->to_send - w->sent ? n : w->to_send - w->sent;
		for (size_t i = 0; i < n; i++)
			bytes[i] = byte_at(w->sent + i);
		assert_int_equal(link_data(w->guest, w->exec, 0, str_make(bytes, n)), ERR_OK);
		w->sent += n;
	}
}

static void step(struct world *w)
{
	struct terminal_message m;

	exchange(w, &w->guest_fd, w->guest, guest_frame);
	exchange(w, &w->courier_fd, w->courier, courier_frame);
	guest_writes(w);
	if (!w->hold_output)
		drain(w->out, &w->output);
	drain(w->err, &w->errors);
	if (recv(w->supervisor_fd, &m, sizeof m, MSG_DONTWAIT) == (ssize_t)sizeof m) {
		assert_true(w->message_count < 16);
		w->messages[w->message_count++] = m;
	}
}

#define UNTIL(condition) do { \
		uint64_t end = clock_ms() + WAIT_MS; \
\
		while (!(condition)) { \
			if (clock_ms() > end) \
				fail_msg("waited too long for " #condition); \
			step(w); \
			(void)poll(NULL, 0, 1); \
		} \
	} while (0)

static bool told(const struct world *w, enum terminal_kind kind, uint32_t value)
{
	for (unsigned i = 0; i < w->message_count; i++)
		if (w->messages[i].kind == kind && w->messages[i].value == value)
			return true;
	return false;
}

static void order(struct world *w, enum terminal_kind kind, uint32_t value)
{
	struct terminal_message m = { .kind = kind, .value = value };

	assert_int_equal(send(w->supervisor_fd, &m, sizeof m, 0), (ssize_t)sizeof m);
}

static void guest_exit(struct world *w, uint8_t code)
{
	say(w, (struct msg_status){ .has_exit_code = true, .exit_code = code });
	link_end(w->guest, w->exec);
}

static void world_stop(struct world *w)
{
	int status;

	order(w, TERMINAL_QUIT, 0);
	assert_int_equal(waitpid(w->pid, &status, 0), w->pid);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 0);
	close(w->in);
	if (w->out != w->in)
		close(w->out);
	if (w->err >= 0)
		close(w->err);
	if (w->guest_fd >= 0)
		close(w->guest_fd);
	if (w->courier_fd >= 0)
		close(w->courier_fd);
	close(w->supervisor_fd);
	link_free(w->guest);
	link_free(w->courier);
	buf_free(&w->input);
	buf_free(&w->output);
	buf_free(&w->errors);
	buf_free(&w->claims);
}

static void check_bytes(const struct buf *b, size_t n)
{
	assert_int_equal(b->len, n);
	for (size_t i = 0; i < n; i++)
		if (b->p[i] != byte_at(i))
			fail_msg("byte %zu", i);
}
