/* command.c - EXEC streams: a command's standard streams, signals, and its end
 *
 * Theory of operation: the stream's first HEAD is the command; it is launched at once, and a
 * HEAD says STARTED when exec has happened, or errno. Then DATA from the host is its standard
 * input (INPUT_END or END closes it), its output is DATA, HEADs from the host are signals and sizes. When
 * the command has ended, its output is read until its end, or, when a descendant still holds
 * it, until nothing came for GRACE_MS; then the exit status goes out, and END.
 *
 * Bounds: COMMANDS_MAX; one link window of input waiting for each; output is read only into
 * credit. The terminal's far end is the agent's: nothing that is read from it is believed.
 */
#include "guest/command.h"

#include "base/log.h"
#include "guest/launch.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

#define GRACE_MS 200

struct command;

struct pipe_end {
	struct watch watch;	/* fd -1: closed */
	struct command *command;
	uint8_t flags;		/* of its DATA */
	bool quiet;		/* the last read found nothing */
};

struct command {
	struct stream stream;
	struct commands *all;
	uint32_t number;
	struct launch launch;
	struct pipe_end report, in, out, err;	/* with a terminal, `out` is the master and takes input too */
	struct timer grace;
	struct buf pending;			/* for its standard input */
	char exe[256];
	bool used, launched, started, terminal, input_ended, ended, grace_over;
	int status;
};

static struct command table[COMMANDS_MAX];
static char chunk[LINK_PAYLOAD_MAX];

static struct link *link_of(const struct command *c) { return c->all->control->link; }

static void end_close(struct pipe_end *p)
{
	if (p->watch.fd < 0)
		return;
	loop_forget(p->command->all->loop, &p->watch);
	close(p->watch.fd);
	p->watch.fd = -1;
}

static void command_free(struct command *c)
{
	end_close(&c->report);
	end_close(&c->in);
	end_close(&c->out);
	end_close(&c->err);
	loop_disarm(c->all->loop, &c->grace);
	buf_free(&c->pending);
	if (c->number)
		link_set_user(link_of(c), c->number, NULL);
	c->number = 0;
	c->used = c->launched && !c->ended;	/* the slot is kept until the process is reaped */
}

static void kill_group(const struct command *c, int signal_number)
{
	pid_t group = 0;

	if (!c->launched || c->ended)
		return;
	if (c->terminal && c->out.watch.fd >= 0 && !ioctl(c->out.watch.fd, TIOCGPGRP, &group) && group > 1)
		kill(-group, signal_number);
	else if (kill(-c->launch.pid, signal_number))
		kill(c->launch.pid, signal_number);	/* it has not made its session yet */
}

/* The stream is over before the command is: nobody is left to see it. */
static void command_abandon(struct command *c, enum err why)
{
	link_reset(link_of(c), c->number, why);
	kill_group(c, SIGHUP);
	kill_group(c, SIGKILL);
	command_free(c);
}

static void claim(struct command *c, enum claim_kind kind)
{
	struct msg_claim m = { .kind = kind, .path = str_of(c->exe), .process.pid = (uint32_t)c->launch.pid };
	auto_buf b = BUF_EMPTY;

	buf_init(&b, 4096);
	if (kind == CLAIM_EXIT) {
		m.path = (struct str){ 0 };
		m.has_exit_code = WIFEXITED(c->status);
		m.has_exit_signal = WIFSIGNALED(c->status);
		m.exit_code = (uint8_t)WEXITSTATUS(c->status);
		m.exit_signal = (uint8_t)WTERMSIG(c->status);
	}
	msg_put_claim(&b, &m);
	if (c->all->events && !buf_err(&b) && link_sendable(link_of(c), c->all->events) >= b.len &&
	    link_head(link_of(c), c->all->events, buf_str(&b)))
		c->all->events = 0;
}

static void send_status(struct command *c, const struct msg_status *m)
{
	auto_buf b = BUF_EMPTY;

	buf_init(&b, 1024);
	msg_put_status(&b, m);
	if (buf_err(&b) || link_head(link_of(c), c->number, buf_str(&b)))
		command_abandon(c, ERR_LINK_CREDIT);
}

static void send_failure(struct command *c, int error_number, const char *text)
{
	struct msg_status m = { .has_result = true, .result = ERR_INPUT,
				.error_number = (uint32_t)error_number,
				.text = str_of(text) };

	send_status(c, &m);
	if (!c->number)
		return;
	link_end(link_of(c), c->number);
	kill_group(c, SIGKILL);
	command_free(c);
}

/* -- output, input --------------------------------------------------------------------------- */

static bool end_finished(const struct command *c, const struct pipe_end *p)
{
	return p->watch.fd < 0 || (c->grace_over && p->quiet);
}

static void command_update(struct command *c);

/* When all is out that will come: the status, END. */
static void finish_if_done(struct command *c)
{
	struct msg_status m = { 0 };

	if (!c->number || !c->ended || c->report.watch.fd >= 0 || !end_finished(c, &c->out) ||
	    !end_finished(c, &c->err))
		return;
	m.has_exit_code = WIFEXITED(c->status);
	m.has_exit_signal = WIFSIGNALED(c->status);
	m.exit_code = (uint8_t)WEXITSTATUS(c->status);
	m.exit_signal = (uint8_t)WTERMSIG(c->status);
	if (port_room(c->all->control, c->number) < 64)
		return;		/* resumed when there is room */
	send_status(c, &m);
	if (!c->number)
		return;
	link_end(link_of(c), c->number);
	command_free(c);
}

static void read_end(struct pipe_end *p)
{
	struct command *c = p->command;
	size_t room = port_room(c->all->control, c->number);
	ssize_t n;

	if (p->watch.fd < 0 || room == 0)
		return;
	n = read(p->watch.fd, chunk, room < sizeof chunk ? room : sizeof chunk);
	p->quiet = n < 0 && errno == EAGAIN;
	if (n > 0 && link_data(link_of(c), c->number, p->flags, str_make(chunk, (size_t)n)))
		n = 0;
	if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR))
		end_close(p);	/* a terminal whose last process closed it says EIO */
}

static void write_input(struct command *c)
{
	struct pipe_end *p = c->terminal ? &c->out : &c->in;
	size_t done = c->pending.len;
	ssize_t n;

	if (!c->pending.len)
		return;
	if (p->watch.fd >= 0) {
		n = write(p->watch.fd, c->pending.p, c->pending.len);
		if (n < 0 && (errno == EAGAIN || errno == EINTR))
			return;
		if (n >= 0)
			done = (size_t)n;
		else
			end_close(&c->in);	/* it reads no more: the rest goes nowhere */
	} else if (c->terminal && !c->ended && !c->started) {
		return;				/* the terminal is on its way */
	}
	buf_drop(&c->pending, done);
	link_consumed(link_of(c), c->number, done);
}

static void watch_end(struct pipe_end *p, uint32_t events)
{
	if (p->watch.fd >= 0 && loop_watch(p->command->all->loop, &p->watch, events))
		end_close(p);
}

static void command_update(struct command *c)
{
	uint32_t input, output;

	if (!c->number)
		return;
	output = port_room(c->all->control, c->number) > 0 ? EPOLLIN : 0;
	input = c->pending.len ? EPOLLOUT : 0;
	if (c->input_ended && !c->pending.len)
		end_close(&c->in);
	watch_end(&c->report, EPOLLIN);
	watch_end(&c->in, input);
	watch_end(&c->out, output | (c->terminal ? input : 0));
	watch_end(&c->err, output);
	if (c->ended && c->grace_over) {
		read_end(&c->out);
		read_end(&c->err);
	}
	finish_if_done(c);
}

static void end_ready(struct watch *w, uint32_t events)
{
	struct pipe_end *p = (struct pipe_end *)(void *)w;
	struct command *c = p->command;

	if (events & EPOLLOUT)
		write_input(c);
	if (p == &c->in && (events & (EPOLLERR | EPOLLHUP)))
		write_input(c);
	if (p != &c->in && (events & (EPOLLIN | EPOLLHUP | EPOLLERR)))
		read_end(p);
	if (c->ended && !c->grace_over && !p->quiet)
		loop_arm(c->all->loop, &c->grace, GRACE_MS);
	command_update(c);
	port_flush(c->all->control);
}

static void grace_over(struct timer *t)
{
	struct command *c = (struct command *)(void *)((char *)t - offsetof(struct command, grace));

	c->grace_over = true;
	command_update(c);
	port_flush(c->all->control);
}

/* -- start, end ------------------------------------------------------------------------------- */

static void report_over(struct command *c)
{
	struct msg_status m = { .has_started = true, .pid = (uint32_t)c->launch.pid };

	end_close(&c->report);
	c->started = true;
	claim(c, CLAIM_EXEC);
	if (c->ended)
		claim(c, CLAIM_EXIT);	/* it was quicker than its own report */
	send_status(c, &m);
}

static void report_ready(struct watch *w, uint32_t events)
{
	struct command *c = ((struct pipe_end *)(void *)w)->command;
	struct port *control = c->all->control;
	int why = EIO;

	(void)events;
	switch (launch_report(&c->launch, &why)) {
	case 't':
		c->out.watch.fd = c->launch.terminal;
		break;
	case 'e':
		send_failure(c, why, "the command could not be started");
		break;
	case 0:
		report_over(c);
		break;
	default:
		break;
	}
	if (c->number) {
		write_input(c);
		command_update(c);
	}
	port_flush(control);
}

static void pipe_end_init(struct pipe_end *p, struct command *c, int fd, uint8_t flags)
{
	*p = (struct pipe_end){ .watch = { .fd = fd, .ready = end_ready }, .command = c, .flags = flags };
}

static void start(struct command *c, struct str message)
{
	static struct msg_exec exec;	/* 32 KiB of views */

	if (msg_get_exec(message, &exec)) {
		command_abandon(c, ERR_LINK_MALFORMED);
		return;
	}
	if (!c->all->world->ready) {
		send_failure(c, EAGAIN, "the machine is not configured yet");
		return;
	}
	if (launch_start(c->all->world, &exec, &c->launch)) {
		send_failure(c, errno, "the sandbox cannot start a process");
		return;
	}
	c->launched = true;
	c->terminal = exec.terminal;
	log_escape(exec.arguments[0], c->exe, sizeof c->exe);
	pipe_end_init(&c->report, c, c->launch.report, 0);
	c->report.watch.ready = report_ready;
	pipe_end_init(&c->in, c, c->launch.in, 0);
	pipe_end_init(&c->out, c, c->launch.out, 0);
	pipe_end_init(&c->err, c, c->launch.err, LINK_FLAG_STDERR);
	command_update(c);
}

static void control_message(struct command *c, struct str message)
{
	struct msg_status m;

	if (msg_get_status(message, &m)) {
		command_abandon(c, ERR_LINK_MALFORMED);
		return;
	}
	if (m.has_input_end)
		c->input_ended = true;
	if (m.has_signal && m.signal > 0 && m.signal < NSIG)
		kill_group(c, m.signal);
	if (m.has_resize && c->terminal && c->out.watch.fd >= 0) {
		struct winsize size = { .ws_row = m.rows, .ws_col = m.columns };

		ioctl(c->out.watch.fd, TIOCSWINSZ, &size);
	}
}

static void command_frame(struct stream *s, const struct link_frame *f)
{
	struct command *c = (struct command *)(void *)s;

	switch (f->type) {
	case LINK_HEAD:
		link_consumed(link_of(c), c->number, f->payload.n);
		if (c->launched)
			control_message(c, f->payload);
		else
			start(c, f->payload);
		break;
	case LINK_DATA:
		buf_put(&c->pending, f->payload);
		if (buf_err(&c->pending) || !c->launched)
			command_abandon(c, ERR_LINK_STATE);
		else
			write_input(c);
		break;
	case LINK_END:
		c->input_ended = true;
		break;
	case LINK_RESET: case LINK_HELLO: case LINK_OPEN: case LINK_CREDIT:
		command_abandon(c, ERR_CANCELLED);
		break;
	}
	command_update(c);
}

static void command_resume(struct stream *s) { command_update((struct command *)(void *)s); }

void command_open(struct commands *all, uint32_t number)
{
	for (size_t i = 0; i < COMMANDS_MAX; i++) {
		struct command *c = &table[i];

		if (c->used)
			continue;
		*c = (struct command){ .stream = { .frame = command_frame, .resume = command_resume },
				       .all = all,
				       .number = number, .grace = { .fire = grace_over }, .used = true };
		pipe_end_init(&c->report, c, -1, 0);
		pipe_end_init(&c->in, c, -1, 0);
		pipe_end_init(&c->out, c, -1, 0);
		pipe_end_init(&c->err, c, -1, 0);
		buf_init(&c->pending, LINK_WINDOW_BYTES);
		link_set_user(all->control->link, number, &c->stream);
		return;
	}
	link_reset(all->control->link, number, ERR_LIMIT);
}

void command_reaped(pid_t pid, int status)
{
	for (size_t i = 0; i < COMMANDS_MAX; i++) {
		struct command *c = &table[i];

		if (!c->used || !c->launched || c->ended || c->launch.pid != pid)
			continue;
		c->ended = true;
		c->status = status;
		if (!c->number) {
			c->used = false;
			return;
		}
		if (c->started)
			claim(c, CLAIM_EXIT);
		loop_arm(c->all->loop, &c->grace, GRACE_MS);
		command_update(c);
		port_flush(c->all->control);
		return;
	}
}
