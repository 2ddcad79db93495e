/* supervisor.c - watches one sandbox from its start to its exit
 *
 * Theory of operation: one loop, one phase, one deadline. Events (a message of the terminal
 * process, the end of a child, a signal, a request on control.sock, the clock) move the phase
 * forward and never back; each phase says what it waits for and how long:
 *
 *   START   the guest boots and is configured          START_MS to READY and STARTED
 *   RUN     the command runs                           the wall time limit
 *   TERM    the command was asked to end (SIGTERM)     3 s
 *   CLOSE   the machine is off; the others finish      10 s, then 10 s without the terminal process
 *   DONE    all is collected
 *
 * The end of any child in a phase that still needs it closes the sandbox (I8). The courier is
 * told to stop last, so that it records what the others saw. What this process reads of the
 * guest: nothing; of the terminal process: numbers and one escaped line (terminal.h); of the others:
 * lines for the user, which it escapes and does not look into (words.h).
 */
#include "supervisor/supervisor.h"

#include "audit/audit.h"
#include "base/auto.h"
#include "base/clock.h"
#include "base/log.h"
#include "supervisor/children.h"
#include "supervisor/control.h"
#include "supervisor/front.h"
#include "supervisor/policy_watch.h"
#include "supervisor/progress.h"
#include "supervisor/state.h"
#include "supervisor/summary.h"
#include "supervisor/words.h"
#include "terminal/terminal.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>
#include <uv.h>

#define START_MS 180000	/* a boot takes seconds; an emulated one on a busy host, a minute */
#define TERM_MS 3000
#define CLOSE_MS 10000
#define INTERRUPT_WINDOW_MS 2000

enum phase { PHASE_START, PHASE_RUN, PHASE_TERM, PHASE_CLOSE, PHASE_DONE };

static const int signals[] = { SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGTSTP };
#define SIGNALS (sizeof signals / sizeof *signals)

struct supervisor {
	uv_loop_t loop;
	const struct spec *spec;
	struct rundir run;
	struct children children;
	struct words *words;
	struct control *control;
	struct progress *progress;
	enum phase phase;
	int exit_code;
	char reason[128];		/* for the trail's stop record: why the sandbox ended */
	uint64_t interrupted_ms;
	bool stop_sent;
	bool forced;			/* who did not end in time was killed */
	bool started;			/* there is a trail to summarize */
	uv_timer_t deadline;
	uv_signal_t signal[SIGNALS];
	uv_poll_t watch[CHILD_COUNT], terminal;
	struct policy_watch *policy_watch;	/* while the command runs */
	bool has_termios;
	struct termios termios;
};

static void advance(struct supervisor *s, enum phase phase);

static void on_deadline(uv_timer_t *timer)
{
	struct supervisor *s = timer->data;

	switch (s->phase) {
	case PHASE_START:
		log_error("the guest did not start within %u s; its console: %s/machine.log",
			  START_MS / 1000u, s->run.path);
		s->exit_code = SUPERVISOR_EXIT_FAILURE;
		advance(s, PHASE_CLOSE);
		break;
	case PHASE_RUN:
		log_note("the time limit has passed: the sandbox ends");
		s->exit_code = SUPERVISOR_EXIT_TIMEOUT;
		(void)snprintf(s->reason, sizeof s->reason, "time limit");
		advance(s, PHASE_TERM);
		break;
	case PHASE_TERM:
		advance(s, PHASE_CLOSE);
		break;
	case PHASE_CLOSE:
		if (!s->forced && !s->stop_sent) {	/* whoever does not end costs the trail nothing */
			s->forced = true;
			children_kill(&s->children, CHILD_MACHINE);
			children_kill(&s->children, CHILD_TERMINAL);
			uv_timer_start(timer, on_deadline, CLOSE_MS, 0);
			break;
		}
		__attribute__((fallthrough));
	case PHASE_DONE:
		children_kill_all(&s->children);
		advance(s, PHASE_DONE);
		break;
	}
}

static void tell_terminal(struct supervisor *s, enum terminal_kind kind, uint32_t value)
{
	struct terminal_message m = { .kind = kind, .value = value };

	if (s->children.terminal_control >= 0)
		(void)!send(s->children.terminal_control, &m, sizeof m, MSG_NOSIGNAL | MSG_DONTWAIT);
}

static bool lives(const struct supervisor *s, enum child c) { return s->children.process[c].pid > 0; }

/* The courier is told last: when all whose words it records are gone. */
static void finish(struct supervisor *s)
{
	if (lives(s, CHILD_MACHINE) || lives(s, CHILD_TERMINAL))
		return;
	if (lives(s, CHILD_COURIER)) {
		if (s->stop_sent)
			return;
		s->stop_sent = true;
		if (!children_end_trail(&s->children, s->reason, s->exit_code))
			children_kill(&s->children, CHILD_COURIER);
		return;
	}
	children_kill_all(&s->children);
	advance(s, PHASE_DONE);
}

static uint64_t wall_time_ms(const struct spec *spec)
{
	uint64_t limit = policy_limits(spec->policy)->wall_time_ms;

	if (spec->timeout_ms && (!limit || spec->timeout_ms < limit))
		return spec->timeout_ms;
	return limit;
}

static void advance(struct supervisor *s, enum phase phase)
{
	if (phase <= s->phase)
		return;
	s->phase = phase;
	uv_timer_stop(&s->deadline);
	progress_end(s->progress);
	switch (phase) {
	case PHASE_START:
		break;
	case PHASE_RUN:
		s->policy_watch = policy_watch_new(&s->loop, s->spec, s->children.courier_control);
		if (wall_time_ms(s->spec))
			uv_timer_start(&s->deadline, on_deadline, wall_time_ms(s->spec), 0);
		break;
	case PHASE_TERM:
		tell_terminal(s, TERMINAL_SIGNAL, SIGTERM);
		uv_timer_start(&s->deadline, on_deadline, TERM_MS, 0);
		break;
	case PHASE_CLOSE:
		uv_timer_start(&s->deadline, on_deadline, CLOSE_MS, 0);
		children_kill(&s->children, CHILD_MACHINE);
		tell_terminal(s, TERMINAL_QUIT, 0);
		finish(s);
		break;
	case PHASE_DONE:
		uv_stop(&s->loop);
		break;
	}
}

static void fail(struct supervisor *s, const char *reason)
{
	s->exit_code = SUPERVISOR_EXIT_FAILURE;
	(void)snprintf(s->reason, sizeof s->reason, "%s", reason);
	advance(s, PHASE_CLOSE);
}

/* --- words of the terminal process --- */

static int code_of_failure(uint32_t guest_errno)
{
	if (guest_errno == ENOENT || guest_errno == ENOTDIR)
		return 127;
	return guest_errno == EACCES || guest_errno == ENOEXEC || guest_errno == EISDIR ? 126
		: SUPERVISOR_EXIT_FAILURE;
}

static void command_ended(struct supervisor *s, uint32_t value)
{
	if (s->phase >= PHASE_CLOSE)
		return;
	if (s->exit_code != SUPERVISOR_EXIT_TIMEOUT)
		s->exit_code = value < 256 ? (int)value : 128 + (int)(value & 127);
	if (!s->reason[0])
		(void)snprintf(s->reason, sizeof s->reason, "the command ended");
	advance(s, PHASE_CLOSE);
}

static void terminal_said(struct supervisor *s, const struct terminal_message *m)
{
	char text[3 * TERMINAL_TEXT_MAX];

	log_escape(str_make(m->text, m->text_bytes), text, sizeof text);
	switch ((enum terminal_kind)m->kind) {
	case TERMINAL_READY:
		progress_end(s->progress);	/* before the command can write: the line is its own then */
		break;
	case TERMINAL_STARTED:
		children_started(&s->children);
		advance(s, PHASE_RUN);
		break;
	case TERMINAL_EXITED:
		command_ended(s, m->value);
		break;
	case TERMINAL_FAILED:
		progress_end(s->progress);
		if (s->phase < PHASE_CLOSE) {
			log_error("%s: %s", text[0] ? text : s->spec->command[0],
				  m->value ? strerror((int)(m->value & 0xfff))
					   : "the command could not be started");
			s->exit_code = code_of_failure(m->value);
			(void)snprintf(s->reason, sizeof s->reason, "the command could not be started");
		}
		advance(s, PHASE_CLOSE);
		break;
	case TERMINAL_INTERRUPT_TWICE:
		(void)snprintf(s->reason, sizeof s->reason, "interrupted twice");
		advance(s, PHASE_TERM);
		break;
	case TERMINAL_GUEST_LOST:
		if (s->phase < PHASE_CLOSE) {
			log_error("the guest is gone (%s); the last words of its console:", text);
			state_print_log(&s->run);
			fail(s, "the guest was lost");
		}
		break;
	case TERMINAL_SIGNAL:
	case TERMINAL_QUIT:
	default:
		fail(s, "the terminal process broke its protocol");
	}
}

static void on_terminal(uv_poll_t *handle, int status, int events)
{
	struct supervisor *s = handle->data;
	struct terminal_message m;
	ssize_t n;

	(void)events;
	n = status < 0 ? 0 : recv(s->children.terminal_control, &m, sizeof m, MSG_DONTWAIT);
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n <= 0) {
		uv_poll_stop(handle);
		return;		/* its end is seen by its pidfd */
	}
	if (n != (ssize_t)sizeof m || m.text_bytes > TERMINAL_TEXT_MAX) {
		fail(s, "the terminal process broke its protocol");
		return;
	}
	terminal_said(s, &m);
}

/* --- ends of children --- */

static void describe_end(char *text, size_t cap, int status)
{
	if (WIFSIGNALED(status))
		(void)snprintf(text, cap, "killed by signal %d%s", WTERMSIG(status),
			       WTERMSIG(status) == SIGSYS ? " (a system call that it may not make)" : "");
	else
		(void)snprintf(text, cap, "exit code %d", WEXITSTATUS(status));
}

static void on_child(uv_poll_t *handle, int status, int events)
{
	struct supervisor *s = handle->data;
	enum child which = (enum child)(handle - s->watch);
	char how[80];
	int ended;

	(void)status, (void)events;
	if (which == CHILD_TERMINAL)	/* its last words may still be in the socket */
		for (struct terminal_message m;
		     recv(s->children.terminal_control, &m, sizeof m, MSG_DONTWAIT) == (ssize_t)sizeof m &&
		     m.text_bytes <= TERMINAL_TEXT_MAX;)
			terminal_said(s, &m);
	if (!children_reap(&s->children, which, &ended))
		return;
	uv_poll_stop(handle);
	describe_end(how, sizeof how, ended);
	if (s->phase < PHASE_CLOSE) {
		progress_end(s->progress);
		log_error("%s ended unexpectedly (%s): the sandbox is closed", child_name(which), how);
		if (which == CHILD_MACHINE)
			state_print_log(&s->run);
		s->exit_code = SUPERVISOR_EXIT_FAILURE;
		(void)snprintf(s->reason, sizeof s->reason, "%s ended unexpectedly: %s", child_name(which),
			       how);
		advance(s, PHASE_CLOSE);
	} else if (which == CHILD_COURIER && (!WIFEXITED(ended) || WEXITSTATUS(ended))) {
		log_error("%s ended badly (%s): verify the trail", child_name(which), how);
	}
	if (s->phase == PHASE_CLOSE)
		finish(s);
}

/* --- the user --- */

static void on_signal(uv_signal_t *handle, int number)
{
	struct supervisor *s = handle->data;
	uint64_t now = clock_ms();

	if (number == SIGTSTP) {	/* not before the machine is: it would go on without a time limit */
		children_pause(&s->children);
		raise(SIGSTOP);
		children_resume(&s->children);
		return;
	}
	if (number == SIGINT && s->phase == PHASE_RUN &&
	    (!s->interrupted_ms || now - s->interrupted_ms > INTERRUPT_WINDOW_MS)) {
		s->interrupted_ms = now;
		tell_terminal(s, TERMINAL_SIGNAL, SIGINT);
		return;
	}
	if (number == SIGQUIT && s->phase == PHASE_RUN) {
		tell_terminal(s, TERMINAL_SIGNAL, SIGQUIT);
		return;
	}
	if (!s->reason[0])
		(void)snprintf(s->reason, sizeof s->reason, "signal %d", number);
	if (s->phase < PHASE_TERM && s->exit_code != SUPERVISOR_EXIT_TIMEOUT)
		s->exit_code = 128 + number;
	if (s->phase == PHASE_RUN)
		advance(s, PHASE_TERM);
	else if (s->phase < PHASE_CLOSE)
		advance(s, PHASE_CLOSE);	/* nothing to be gentle with, or asked once more */
}

static void on_stop_request(void *ctx)
{
	struct supervisor *s = ctx;

	if (!s->reason[0])
		(void)snprintf(s->reason, sizeof s->reason, "paddock stop");
	if (s->phase < PHASE_TERM)
		s->exit_code = 128 + SIGTERM;
	advance(s, s->phase == PHASE_RUN ? PHASE_TERM : PHASE_CLOSE);
}

/* --- one run --- */

static void watch_all(struct supervisor *s)
{
	uv_timer_init(&s->loop, &s->deadline);
	s->deadline.data = s;
	uv_timer_start(&s->deadline, on_deadline, START_MS, 0);
	for (size_t i = 0; i < SIGNALS; i++) {
		uv_signal_init(&s->loop, &s->signal[i]);
		s->signal[i].data = s;
		if (!front_is_deaf(signals[i]))
			uv_signal_start(&s->signal[i], on_signal, signals[i]);
	}
	for (int c = 0; c < CHILD_COUNT; c++) {
		uv_poll_init(&s->loop, &s->watch[c], s->children.process[c].pidfd);
		s->watch[c].data = s;
		uv_poll_start(&s->watch[c], UV_READABLE, on_child);
	}
	uv_poll_init(&s->loop, &s->terminal, s->children.terminal_control);
	s->terminal.data = s;
	uv_poll_start(&s->terminal, UV_READABLE, on_terminal);
}

static void close_watches(struct supervisor *s)
{
	progress_end(s->progress);
	uv_close((uv_handle_t *)&s->deadline, NULL);
	policy_watch_free(s->policy_watch);
	uv_close((uv_handle_t *)&s->terminal, NULL);
	for (size_t i = 0; i < SIGNALS; i++)
		uv_close((uv_handle_t *)&s->signal[i], NULL);
	for (int c = 0; c < CHILD_COUNT; c++)
		uv_close((uv_handle_t *)&s->watch[c], NULL);
}

static int run(struct supervisor *s)
{
	auto_buf why = BUF_EMPTY;

	buf_init(&why, 4096);
	if (children_start(&s->children, s->spec, &s->run, &why)) {
		progress_end(s->progress);
		words_print(s->words);
		log_error("%s", buf_z(&why) ? buf_z(&why) : "the sandbox could not be started");
		return SUPERVISOR_EXIT_FAILURE;
	}
	s->started = true;
	if (!s->spec->quiet)
		log_note("%s: %.*s", s->children.machine_ops->name,
			 STR_FMT(buf_str(&s->children.machine_text)));
	watch_all(s);
	s->control = control_new(&s->loop, &s->run, on_stop_request, s);
	if (state_write(&s->run, s->spec, &s->children))
		log_error("state.json could not be written: %s", strerror(errno));
	progress_step(s->progress, "the machine boots");
	uv_run(&s->loop, UV_RUN_DEFAULT);
	children_kill_all(&s->children);
	control_free(s->control);
	close_watches(s);
	uv_run(&s->loop, UV_RUN_DEFAULT);
	return s->exit_code;
}

int supervisor_run(const struct spec *spec)
{
	struct supervisor s = { .spec = spec, .run = { .fd = -1, .lock = -1 } };
	auto_buf why = BUF_EMPTY;
	int code;

	buf_init(&why, 4096);
	front_wait();		/* before there is a run for others to see */
	(void)rundir_sweep();
	if (rundir_create(&s.run, &why)) {
		log_error("the run's directory could not be made: %s: %s", buf_z(&why) ? buf_z(&why) : "",
			  strerror(errno));
		return SUPERVISOR_EXIT_FAILURE;
	}
	signal(SIGPIPE, SIG_IGN);
	s.has_termios = tcgetattr(STDIN_FILENO, &s.termios) == 0;
	if (uv_loop_init(&s.loop) || words_new(&s.loop, &s.words)) {
		log_error("the run could not be started: %s", strerror(errno));
		rundir_remove(&s.run);
		return SUPERVISOR_EXIT_FAILURE;
	}
	children_init(&s.children, words_fd(s.words));
	s.progress = progress_new(&s.loop, spec->quiet);
	code = run(&s);
	words_free(s.words);
	progress_free(s.progress);
	uv_run(&s.loop, UV_RUN_DEFAULT);
	uv_loop_close(&s.loop);
	if (s.has_termios && front_is_ours())	/* also when the terminal process was killed in raw mode */
		tcsetattr(STDIN_FILENO, TCSANOW, &s.termios);
	if (!spec->quiet && s.started)
		summary_print(s.run.id);
	children_free(&s.children);
	rundir_remove(&s.run);
	return code;
}
