/* session.c - the control port of one sandbox, between the guest and the user
 *
 * Theory of operation: one loop over the guest's link (3), the courier's (4), the supervisor
 * (5) and the user's descriptors. In order: HELLO; a CONFIG stream, answered by RESULT (READY
 * to the supervisor); an EXEC stream with the command (STARTED, or FAILED with errno). Then
 * bytes flow: standard input into the stream's credit, DATA to standard output or error, and
 * credit back when they are written. The end of the stream with a status begins draining:
 * when the last byte is written, the user's terminal is restored, and the supervisor is told
 * EXITED. After that only claims are forwarded, until QUIT.
 *
 * A HEAD (signal, size, end of input) must always find credit, so input leaves RESERVE_BYTES
 * of it unused. The stream itself is not ended before the command has, since signals go there.
 *
 * When nobody reads the output any more, the command gets SIGPIPE, as it would have without
 * Paddock; if it goes on writing for BROKEN_MS, its stream is reset, which kills it.
 *
 * Trust: of the guest's, link.c and msg.c check the form and this file the order; a guest out
 * of order is lost. Output bytes are interpreted by the filter only. No secret is here.
 * Failure: any loss is told to the supervisor once; the terminal is restored on each way out
 * (the supervisor does it too, for the case that this process is killed).
 */
#include "terminal/session.h"

#include "base/log.h"
#include "terminal/claims.h"
#include "terminal/input.h"
#include "terminal/sink.h"
#include "terminal/terminal.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#define RESERVE_BYTES 4096u
#define BROKEN_MS 1000
#define CONFIG_MAX ((size_t)4 * 1024 * 1024)
#define SIGNALS_MAX 16
#define OUTPUT_MAX ((size_t)1024 * 1024)	/* each link */

enum phase { PHASE_HELLO, PHASE_CONFIG, PHASE_COMMAND, PHASE_DRAIN, PHASE_DONE };

struct session {
	uv_loop_t loop;
	enum phase phase;
	struct channel *guest;
	struct claims claims;		/* holds the courier's channel */
	uv_poll_t supervisor;
	uv_signal_t resized;
	uv_timer_t broken;

	struct buf config_text;		/* what both below point into */
	struct str config;
	struct msg_exec exec;
	uint32_t config_stream, exec_stream, events_stream;

	struct input in;
	struct sink out, err;
	bool told_input_end;
	uint8_t signals[SIGNALS_MAX];	/* that wait for credit */
	unsigned signal_count;
	bool resize;			/* a size waits for credit */

	struct termios saved;		/* while in.raw */
	bool has_status;
	struct terminal_message outcome;	/* told when all output is written */
};

/* -- the supervisor ------------------------------------------------------------------- */

static void tell(enum terminal_kind kind, uint32_t value, struct str text)
{
	struct terminal_message m = { .kind = kind, .value = value };

	text = str_head(text, TERMINAL_TEXT_MAX);
	m.text_bytes = (uint32_t)text.n;
	if (text.n)
		memcpy(m.text, text.p, text.n);
	if (send(TERMINAL_FD_SUPERVISOR, &m, sizeof m, MSG_NOSIGNAL | MSG_DONTWAIT) < 0)
		log_debug("supervisor: %s", strerror(errno));
}

static void restore(struct session *s)
{
	if (s->in.raw)
		port_restore(STDIN_FILENO, &s->saved);
	s->in.raw = false;
}

static void drained(struct session *s)
{
	if (s->phase != PHASE_DRAIN || !sink_is_empty(&s->out) || !sink_is_empty(&s->err))
		return;
	s->phase = PHASE_DONE;
	restore(s);
	tell((enum terminal_kind)s->outcome.kind, s->outcome.value,
	     str_make(s->outcome.text, s->outcome.text_bytes));
}

/* It is over, in this way; what is still to be written comes first. */
static void finish(struct session *s, enum terminal_kind kind, uint32_t value, const char *text)
{
	struct str t = str_head(str_of(text), TERMINAL_TEXT_MAX);

	if (s->phase >= PHASE_DRAIN)
		return;
	s->phase = PHASE_DRAIN;
	s->outcome = (struct terminal_message){ .kind = kind, .value = value, .text_bytes = (uint32_t)t.n };
	if (t.n)
		memcpy(s->outcome.text, t.p, t.n);
	input_stop(&s->in);
	uv_timer_stop(&s->broken);
	sink_undo(&s->out);
	sink_undo(&s->err);
	drained(s);
}

static void guest_lost(struct session *s, const char *why)
{
	if (s->guest) {
		s->claims.guest = NULL;
		channel_close(s->guest);
		s->guest = NULL;
	}
	finish(s, TERMINAL_GUEST_LOST, 0, why);
}

/* -- to the guest --------------------------------------------------------------------- */

static struct link *guest_link(struct session *s) { return channel_link(s->guest); }

static bool send_status(struct session *s, const struct msg_status *m)
{
	auto_buf b = BUF_EMPTY;

	buf_init(&b, 256);
	msg_put_status(&b, m);
	return !buf_err(&b) && link_sendable(guest_link(s), s->exec_stream) >= b.len &&
	       link_head(guest_link(s), s->exec_stream, buf_str(&b)) == ERR_OK;
}

static void send_signals(struct session *s)
{
	unsigned sent = 0;

	while (sent < s->signal_count &&
	       send_status(s, &(struct msg_status){ .has_signal = true, .signal = s->signals[sent] }))
		sent++;
	s->signal_count -= sent;
	memmove(s->signals, s->signals + sent, s->signal_count);
}

static void send_size(struct session *s)
{
	struct msg_status m = { .has_resize = true };

	if (!s->resize || !port_size(STDOUT_FILENO, &m.rows, &m.columns) || send_status(s, &m))
		s->resize = false;
}

static void send_input(struct session *s)
{
	size_t room = link_sendable(guest_link(s), s->exec_stream);
	struct str bytes = queue_bytes(&s->in.waiting);

	while (bytes.n && room > RESERVE_BYTES) {
		struct str piece = str_head(bytes, room - RESERVE_BYTES);

		if (link_data(guest_link(s), s->exec_stream, 0, piece))
			return;
		queue_take(&s->in.waiting, piece.n);
		bytes = queue_bytes(&s->in.waiting);
		room = link_sendable(guest_link(s), s->exec_stream);
	}
	if (s->in.ended && bytes.n == 0 && !s->told_input_end)
		s->told_input_end = send_status(s, &(struct msg_status){ .has_input_end = true });
}

/* Whatever waits goes out as far as there is credit, and input is read as far as it can go. */
static void update(struct session *s)
{
	if (s->phase != PHASE_COMMAND || !s->guest)
		return;
	send_signals(s);
	send_size(s);
	send_input(s);
	input_watch(&s->in);
	channel_flush(s->guest);
}

static void queue_signal(struct session *s, uint32_t number)
{
	if (s->phase != PHASE_COMMAND || number == 0 || number > 64 || s->signal_count == SIGNALS_MAX)
		return;
	s->signals[s->signal_count++] = (uint8_t)number;
	update(s);
}

/* -- the user ------------------------------------------------------------------------- */

static void on_input(void *user)
{
	struct session *s = user;

	if (s->in.failed)
		guest_lost(s, err_text(ERR_MEMORY));
	update(s);
}

static void on_interrupted_twice(void *user)
{
	(void)user;
	tell(TERMINAL_INTERRUPT_TWICE, 0, (struct str){ 0 });
}

static void on_resized(uv_signal_t *handle, int number)
{
	struct session *s = handle->data;

	(void)number;
	s->resize = s->exec.terminal;
	update(s);
}

static void on_broken(uv_timer_t *timer)
{
	struct session *s = timer->data;

	if (!s->guest || (!s->out.discarded && !s->err.discarded))
		return;		/* it may go on, as long as it writes nothing */
	link_reset(guest_link(s), s->exec_stream, ERR_CANCELLED);
	channel_flush(s->guest);
	finish(s, TERMINAL_EXITED, 256 + SIGPIPE, "");
}

static void output_broke(struct session *s, const struct sink *sink)
{
	if (s->phase != PHASE_COMMAND)
		return;
	if (sink->error_number != EPIPE && !uv_is_active((uv_handle_t *)&s->broken))
		log_error("standard %s: %s", sink == &s->out ? "output" : "error", strerror(sink->error_number));
	if (!uv_is_active((uv_handle_t *)&s->broken)) {
		queue_signal(s, SIGPIPE);
		uv_timer_start(&s->broken, on_broken, BROKEN_MS, BROKEN_MS);
	}
}

/* Output was written, or thrown away */
static void on_consumed(void *user, size_t n)
{
	struct session *s = user;

	if (s->guest && s->exec_stream) {
		link_consumed(guest_link(s), s->exec_stream, n);
		channel_flush(s->guest);
	}
	if (s->out.broken)
		output_broke(s, &s->out);
	if (s->err.broken)
		output_broke(s, &s->err);
	drained(s);
}

/* -- from the guest ------------------------------------------------------------------- */

static void begin_config(struct session *s)
{
	struct link *l = guest_link(s);

	if (link_open(l, LINK_KIND_CONFIG, STR(""), &s->config_stream) ||
	    link_head(l, s->config_stream, s->config)) {
		guest_lost(s, "the machine does not take its configuration");
		return;
	}
	link_end(l, s->config_stream);
	s->phase = PHASE_CONFIG;
}

static void begin_command(struct session *s)
{
	struct link *l = guest_link(s);
	bool sent;
	auto_buf b = BUF_EMPTY;

	if (s->exec.terminal) {
		(void)port_size(STDOUT_FILENO, &s->exec.rows, &s->exec.columns);
		s->in.raw = port_raw(STDIN_FILENO, &s->saved);
	}
	buf_init(&b, LINK_PAYLOAD_MAX);
	msg_put_exec(&b, &s->exec);
	if (buf_err(&b)) {
		finish(s, TERMINAL_FAILED, E2BIG, "");
		return;
	}
	sent = link_open(l, LINK_KIND_EXEC, STR(""), &s->exec_stream) == ERR_OK &&
	       link_head(l, s->exec_stream, buf_str(&b)) == ERR_OK;
	if (!sent) {
		guest_lost(s, "the machine does not take the command");
		return;
	}
	s->phase = PHASE_COMMAND;
}

static void config_frame(struct session *s, const struct link_frame *f)
{
	struct msg_status m;
	char text[TERMINAL_TEXT_MAX];

	if (f->type != LINK_HEAD || s->phase != PHASE_CONFIG) {
		if (f->type == LINK_RESET && s->phase == PHASE_CONFIG)
			guest_lost(s, err_text(f->reason));
		return;
	}
	link_consumed(guest_link(s), f->stream, f->payload.n);
	if (msg_get_status(f->payload, &m) || !m.has_result) {
		guest_lost(s, err_text(ERR_LINK_MALFORMED));
		return;
	}
	if (m.result) {
		log_escape(m.text.n ? m.text : str_of(err_text(m.result)), text, sizeof text);
		finish(s, TERMINAL_FAILED, m.error_number ? m.error_number : EIO, text);
		return;
	}
	tell(TERMINAL_READY, 0, (struct str){ 0 });
	begin_command(s);
}

static void exec_status(struct session *s, struct str payload)
{
	struct msg_status m;

	if (msg_get_status(payload, &m) || m.has_signal || m.has_resize || m.has_verdict) {
		guest_lost(s, err_text(ERR_LINK_MALFORMED));
	} else if (m.has_started) {
		tell(TERMINAL_STARTED, m.pid, (struct str){ 0 });
	} else if (m.has_exit_code || m.has_exit_signal) {
		s->has_status = true;
		s->outcome.value = m.has_exit_code ? m.exit_code : 256u + m.exit_signal;
	} else {
		finish(s, TERMINAL_FAILED, m.error_number ? m.error_number : EIO, "");
	}
}

static void exec_frame(struct session *s, const struct link_frame *f)
{
	struct sink *sink = (f->flags & LINK_FLAG_STDERR) ? &s->err : &s->out;

	switch (f->type) {
	case LINK_DATA:
		if (s->phase >= PHASE_DRAIN)	/* it said that it is over: what it adds does not hold up the end */
			link_consumed(guest_link(s), f->stream, f->payload.n);
		else if (sink_put(sink, f->payload))
			guest_lost(s, err_text(ERR_MEMORY));
		else
			claims_filtered(&s->claims, filter_take_drops(&sink->filter));
		break;
	case LINK_HEAD:
		link_consumed(guest_link(s), f->stream, f->payload.n);
		exec_status(s, f->payload);
		break;
	case LINK_END:
		finish(s, s->has_status ? TERMINAL_EXITED : TERMINAL_GUEST_LOST, s->outcome.value,
		       s->has_status ? "" : "the command ended without a status");
		link_end(guest_link(s), f->stream);
		break;
	case LINK_RESET:
		finish(s, TERMINAL_GUEST_LOST, 0, err_text(f->reason));
		break;
	case LINK_HELLO: case LINK_OPEN: case LINK_CREDIT:
		break;
	}
}

static void events_frame(struct session *s, const struct link_frame *f)
{
	if (f->type == LINK_END)
		link_end(guest_link(s), f->stream);
	if (f->type == LINK_END || f->type == LINK_RESET)
		s->events_stream = 0;
	if (f->type == LINK_DATA || (f->type == LINK_HEAD && claims_forward(&s->claims, f->stream, f->payload)))
		guest_lost(s, "an event of the machine is malformed");
}

static void on_guest_frame(void *user, const struct link_frame *f)
{
	struct session *s = user;

	if (f->type == LINK_HELLO) {
		begin_config(s);
	} else if (f->type == LINK_OPEN) {
		if (f->kind == LINK_KIND_EVENTS && !s->events_stream)
			s->events_stream = f->stream;
		else
			link_reset(guest_link(s), f->stream, ERR_LINK_STATE);
	} else if (f->stream == s->config_stream) {
		config_frame(s, f);
	} else if (f->stream == s->exec_stream) {
		exec_frame(s, f);
	} else if (f->stream == s->events_stream) {
		events_frame(s, f);
	}
	if (s->guest) {
		update(s);
		channel_flush(s->guest);
	}
}

static void on_guest_writable(void *user) { update(user); }

static void on_guest_closed(void *user, enum err why) { guest_lost(user, err_text(why)); }

/* -- the courier ---------------------------------------------------------------------- */

static void on_courier_frame(void *user, const struct link_frame *f)
{
	(void)f;	/* HELLO, credit, or our stream is over: another is then opened */
	claims_run(&((struct session *)user)->claims);
}

static void on_courier_writable(void *user) { claims_run(&((struct session *)user)->claims); }

static void on_courier_closed(void *user, enum err why)
{
	struct session *s = user;

	log_debug("courier: %s", err_text(why));
	channel_close(s->claims.courier);
	s->claims.courier = NULL;
}

/* -- start and end -------------------------------------------------------------------- */

static void quit(struct session *s)
{
	if (s->phase < PHASE_DRAIN) {
		sink_undo(&s->out);
		sink_undo(&s->err);
	}
	restore(s);
	uv_stop(&s->loop);
}

static void on_supervisor(uv_poll_t *handle, int status, int events)
{
	struct session *s = handle->data;
	struct terminal_message m;
	ssize_t n = status < 0 ? 0 : recv(TERMINAL_FD_SUPERVISOR, &m, sizeof m, MSG_DONTWAIT);

	(void)events;
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n != (ssize_t)sizeof m || m.kind == TERMINAL_QUIT)
		quit(s);	/* or it is gone */
	else if (m.kind == TERMINAL_SIGNAL)
		queue_signal(s, m.value);
}

static bool take_blob(struct reader *r, struct str *ret)
{
	uint32_t n;

	return reader_u32le(r, &n) && reader_take(r, n, ret);
}

static enum err read_config(struct session *s)
{
	struct msg_config unused;
	struct reader r;
	struct str exec;
	ssize_t n;

	buf_init(&s->config_text, CONFIG_MAX);
	do {
		if (buf_reserve(&s->config_text, 65536))
			return ERR_INPUT;
		n = pread(TERMINAL_FD_CONFIG, buf_tail(&s->config_text), 65536, (off_t)s->config_text.len);
		if (n < 0)
			return ERR_LOCAL;
		s->config_text.len += (size_t)n;
	} while (n > 0);
	close(TERMINAL_FD_CONFIG);
	r = reader_of(buf_str(&s->config_text));
	if (!take_blob(&r, &s->config) || !take_blob(&r, &exec) || !reader_done(&r) ||
	    s->config.n > LINK_PAYLOAD_MAX || msg_get_config(s->config, &unused) || msg_get_exec(exec, &s->exec))
		return ERR_INPUT;
	return ERR_OK;
}

static enum err open_channels(struct session *s)
{
	static const struct channel_ops guest = { .frame = on_guest_frame, .writable = on_guest_writable, .closed = on_guest_closed };
	static const struct channel_ops courier = { .frame = on_courier_frame, .writable = on_courier_writable, .closed = on_courier_closed };
	struct link_limits limits = { 16, LINK_WINDOW_BYTES, OUTPUT_MAX };
	struct link *l = link_new(LINK_UPPER, &limits);

	s->guest = l ? channel_new(&s->loop, TERMINAL_FD_GUEST, l, &guest, s) : NULL;
	if (!s->guest) {
		link_free(l);
		return ERR_MEMORY;
	}
	s->claims.guest = s->guest;
	l = link_new(LINK_LOWER, &limits);
	s->claims.courier = l ? channel_new(&s->loop, TERMINAL_FD_COURIER, l, &courier, s) : NULL;
	if (!s->claims.courier) {
		link_free(l);
		return ERR_MEMORY;
	}
	return ERR_OK;
}

static enum err watch_signals(struct session *s)
{
	static const int ignored[] = { SIGPIPE, SIGINT, SIGQUIT, SIGTERM, SIGHUP, SIGTTOU, SIGTTIN };

	/* In one group with the supervisor, which acts on what comes to the group, and tells. Reading in the
	 * background is an error then (port.c), not a stop. */
	for (size_t i = 0; i < sizeof ignored / sizeof *ignored; i++)
		signal(ignored[i], SIG_IGN);
	if (uv_signal_init(&s->loop, &s->resized) || uv_timer_init(&s->loop, &s->broken))
		return ERR_LOCAL;
	s->resized.data = s->broken.data = s;
	return uv_signal_start(&s->resized, on_resized, SIGWINCH) ? ERR_LOCAL : ERR_OK;
}

static enum err session_start(struct session *s)
{
	enum err e = read_config(s);

	if (e)
		return e;
	for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++)
		port_private(fd);
	if (uv_loop_init(&s->loop))
		return ERR_LOCAL;
	e = watch_signals(s);
	if (!e)
		e = input_init(&s->in, &s->loop, STDIN_FILENO);
	if (!e)
		e = sink_init(&s->out, &s->loop, STDOUT_FILENO, on_consumed, s);
	if (!e)
		e = sink_init(&s->err, &s->loop, STDERR_FILENO, on_consumed, s);
	if (!e && uv_poll_init(&s->loop, &s->supervisor, TERMINAL_FD_SUPERVISOR))
		e = ERR_LOCAL;
	s->in.arrived = on_input;
	s->in.interrupted_twice = on_interrupted_twice;
	s->in.user = s;
	s->supervisor.data = s;
	return e ? e : open_channels(s);
}

enum err session_new(struct session **ret)
{
	struct session *s = calloc(1, sizeof *s);
	enum err e;

	if (!s)
		return ERR_MEMORY;
	e = session_start(s);
	if (e) {
		session_free(s);
		return e;
	}
	*ret = s;
	return ERR_OK;
}

enum err session_run(struct session *s)
{
	int rc = uv_poll_start(&s->supervisor, UV_READABLE, on_supervisor);

	if (!rc)
		uv_run(&s->loop, UV_RUN_DEFAULT);
	restore(s);
	if (s->claims.courier)
		claims_run(&s->claims);		/* last words, as far as they fit */
	return rc ? ERR_LOCAL : ERR_OK;
}

/* The process ends with the session: what libuv holds goes with it. */
void session_free(struct session *s)
{
	sink_free(&s->out);
	sink_free(&s->err);
	input_free(&s->in);
	claims_free(&s->claims);
	buf_free(&s->config_text);
	free(s);
}
