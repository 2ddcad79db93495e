/* terminal_test.c - a user's terminal and pipes: every byte,
 * each end, signals, sizes, and the terminal as it was */
#include "terminal_world.h"

#define MANY_BYTES 3000000u

/* As the program does it, confined */
static void pipes_carry_exact_bytes(void **state)
{
	struct world world, *w = &world;
	size_t typed = 0;

	(void)state;
	world_start(w, false, true);
	w->to_send = MANY_BYTES;
	fcntl(w->in, F_SETFL, O_NONBLOCK);
	while (typed < MANY_BYTES) {
		char bytes[1000];
		ssize_t n;

		for (size_t i = 0; i < sizeof bytes; i++)
			bytes[i] = byte_at(typed + i);
		n = write(w->in, bytes, sizeof bytes);
		typed += n > 0 ? (size_t)n : 0;
		step(w);
	}
	close(w->in);
	w->in = open("/dev/null", O_RDONLY);
	UNTIL(w->input_ended && w->sent == MANY_BYTES);
	check_bytes(&w->input, MANY_BYTES);
	assert_int_equal(link_data(w->guest, w->exec, LINK_FLAG_STDERR, STR("\x1b]52;c;x\a error")), ERR_OK);
	guest_exit(w, 7);
	UNTIL(w->message_count >= 3);
	step(w);
	assert_true(told(w, TERMINAL_READY, 0) && told(w, TERMINAL_STARTED, 5) &&
		    told(w, TERMINAL_EXITED, 7));
	UNTIL(w->output.len == MANY_BYTES);
	check_bytes(&w->output, MANY_BYTES);
	assert_true(str_eq(buf_str(&w->errors), STR("\x1b]52;c;x\a error")));	/* no terminal: no filter */
	world_stop(w);
}

static void a_slow_reader_loses_nothing(void **state)
{
	struct world world, *w = &world;

	(void)state;
	world_start(w, false, false);
	w->hold_output = true;
	w->to_send = 10000000;
	UNTIL(told(w, TERMINAL_STARTED, 5));
	for (unsigned i = 0; i < 200; i++) {
		step(w);
		(void)poll(NULL, 0, 1);
	}
	assert_in_range(w->sent, LINK_WINDOW_BYTES - 200,
			LINK_WINDOW_BYTES + 100000); /* a window and a pipe */
	w->to_send = w->sent;
	guest_exit(w, 0);
	for (unsigned i = 0; i < 200; i++)
		step(w);
	assert_false(told(w, TERMINAL_EXITED, 0));
	order(w, TERMINAL_SIGNAL, 15);		/* nothing to deliver it to: harmless */
	w->hold_output = false;
	UNTIL(told(w, TERMINAL_EXITED, 0));
	UNTIL(w->output.len == w->sent);
	check_bytes(&w->output, w->sent);
	world_stop(w);
}

static void a_gone_reader_ends_the_command(void **state)
{
	struct world world, *w = &world;

	(void)state;
	world_start(w, false, false);
	UNTIL(told(w, TERMINAL_STARTED, 5));
	close(w->out);
	w->out = open("/dev/null", O_RDONLY);
	w->to_send = 100;
	UNTIL(w->last.has_signal && w->last.signal == SIGPIPE);
	assert_false(w->reset);
	w->to_send = 1000;		/* it ignores the signal and goes on */
	UNTIL(w->reset);
	UNTIL(told(w, TERMINAL_EXITED, 256 + SIGPIPE));
	world_stop(w);
}

static void signals_reach_the_command(void **state)
{
	struct world world, *w = &world;

	(void)state;
	world_start(w, false, false);
	UNTIL(told(w, TERMINAL_STARTED, 5));
	order(w, TERMINAL_SIGNAL, SIGTERM);
	UNTIL(w->last.signal == SIGTERM);
	close(w->in);
	w->in = open("/dev/null", O_RDONLY);
	UNTIL(w->input_ended);
	order(w, TERMINAL_SIGNAL, SIGINT);	/* also after the end of its input */
	UNTIL(w->last.signal == SIGINT);
	say(w, (struct msg_status){ .has_exit_signal = true, .exit_signal = SIGINT });
	link_end(w->guest, w->exec);
	UNTIL(told(w, TERMINAL_EXITED, 256 + SIGINT));
	world_stop(w);
}

static void failures_are_told(void **state)
{
	struct world world, *w = &world;

	(void)state;
	world_start(w, false, false);
	UNTIL(w->exec);
	say(w, (struct msg_status){ .has_result = true, .result = ERR_INPUT, .error_number = ENOENT });
	link_end(w->guest, w->exec);
	UNTIL(told(w, TERMINAL_FAILED, ENOENT));
	world_stop(w);

	world_start(w, false, false);
	w->refuse_config = true;
	UNTIL(told(w, TERMINAL_FAILED, EINVAL));
	assert_true(str_eq(str_make(w->messages[0].text, w->messages[0].text_bytes), STR("bad mount")));
	world_stop(w);

	world_start(w, false, false);
	UNTIL(told(w, TERMINAL_STARTED, 5));
	assert_int_equal(link_data(w->guest, w->exec, 0, STR("last words")), ERR_OK);
	step(w);
	auto_fd_close(&w->guest_fd);
	UNTIL(told(w, TERMINAL_GUEST_LOST, 0));
	UNTIL(w->output.len == 10);
	world_stop(w);

	world_start(w, false, false);
	UNTIL(told(w, TERMINAL_STARTED, 5));
	assert_int_equal(send(w->guest_fd, "broken frame", 12, 0), 12);
	UNTIL(told(w, TERMINAL_GUEST_LOST, 0));
	world_stop(w);
}

static void claim(struct world *w, enum claim_kind kind)
{
	struct msg_claim m = { .kind = kind, .path = STR_INIT("/bin/ls") };
	auto_buf b = BUF_EMPTY;

	buf_init(&b, 1000);
	msg_put_claim(&b, &m);
	assert_int_equal(link_head(w->guest, w->events, buf_str(&b)), ERR_OK);
}

static void events_go_to_the_courier(void **state)
{
	struct world world, *w = &world;

	(void)state;
	world_start(w, false, false);
	UNTIL(told(w, TERMINAL_STARTED, 5));
	assert_int_equal(link_open(w->guest, LINK_KIND_EVENTS, STR(""), &w->events), ERR_OK);
	for (unsigned i = 0; i < 3000; i++) {	/* many windows of them */
		UNTIL(link_sendable(w->guest, w->events) > 100);
		claim(w, CLAIM_EXEC);
		step(w);
	}
	UNTIL(w->claims.len == 3000 * 8);
	claim(w, CLAIM_STOP);			/* not the guest's to say */
	UNTIL(told(w, TERMINAL_GUEST_LOST, 0));
	world_stop(w);
}

static void a_terminal_is_raw_filtered_and_restored(void **state)
{
	struct world world, *w = &world;
	struct termios before, during, after;
	struct winsize size = { .ws_row = 50, .ws_col = 132 };

	(void)state;
	world_start(w, true, true);
	assert_int_equal(tcgetattr(w->in, &before), 0);
	UNTIL(told(w, TERMINAL_STARTED, 5));
	assert_int_equal(w->rows, 24);
	assert_int_equal(w->columns, 80);
	assert_int_equal(tcgetattr(w->in, &during), 0);
	assert_int_equal(during.c_lflag & (tcflag_t)(ICANON | ECHO | ISIG), 0);
	assert_int_equal(ioctl(w->in, TIOCSWINSZ, &size), 0);
	assert_int_equal(kill(w->pid, SIGWINCH), 0);
	UNTIL(w->rows == 50 && w->columns == 132);
	assert_int_equal(link_data(w->guest, w->exec, 0,
				   STR("\x1b[31mred\r\n\x1b]52;c;eA==\a\x1b[c\x1b[?1000h")), ERR_OK);
	UNTIL(w->claims.len > 0 && w->output.len >= 18);
	assert_true(str_eq(buf_str(&w->output), STR("\x1b[31mred\r\n\x1b[?1000h")));
	assert_non_null(memmem(w->claims.p, w->claims.len, "OSC 52", 6));
	assert_int_equal(write(w->in, "a\x03", 2), 2);
	UNTIL(w->input.len == 2);
	assert_false(told(w, TERMINAL_INTERRUPT_TWICE, 0));
	assert_int_equal(write(w->in, "\x03", 1), 1);
	UNTIL(told(w, TERMINAL_INTERRUPT_TWICE, 0));
	UNTIL(w->input.len == 3);
	guest_exit(w, 0);
	UNTIL(told(w, TERMINAL_EXITED, 0));
	assert_int_equal(tcgetattr(w->in, &after), 0);
	assert_int_equal(after.c_lflag, before.c_lflag);
	assert_int_equal(after.c_oflag, before.c_oflag);
	UNTIL(w->output.len == 26);
	assert_true(str_ends(buf_str(&w->output), STR("\x1b[?1000l")));	/* what it left on */
	world_stop(w);
}

/* By whatever name the command has the terminal call it, and wherever a read ends. */
static void ctrl_c_ends_it_in_every_mode(void **state)
{
	static const char *const typed[][2] = {
		{ "\x1b[99;5u", "\x1b[99;5u" },		/* ESC [ > 1 u, ESC [ = 1 u */
		{ "\x1b[99;5:1u\x1b[99;5:3u\x1b[99;", "5:1u" },
		{ "\x1b[27;5;99~", "\x1b[27;5;99~" },	/* ESC [ > 4 ; 2 m */
		{ "\x1b[67;46;3;1;8;1_\x1b[67;46;3;0;8;1_\x1b[67;46;3;1", ";8;1_" },	/* ESC [ ? 9001 h */
	};

	(void)state;
	for (size_t i = 0; i < sizeof typed / sizeof *typed; i++) {
		struct world world, *w = &world;

		world_start(w, true, true);
		UNTIL(told(w, TERMINAL_STARTED, 5));
		assert_int_equal(write(w->in, typed[i][0], strlen(typed[i][0])), strlen(typed[i][0]));
		UNTIL(w->input.len == strlen(typed[i][0]));
		assert_false(told(w, TERMINAL_INTERRUPT_TWICE, 0));
		assert_int_equal(write(w->in, typed[i][1], strlen(typed[i][1])), strlen(typed[i][1]));
		UNTIL(told(w, TERMINAL_INTERRUPT_TWICE, 0));
		guest_exit(w, 0);
		UNTIL(told(w, TERMINAL_EXITED, 0));
		world_stop(w);
	}
}

/* Whoever ends it: the terminal is as before. */
static void it_is_restored_on_each_way_out(void **state)
{
	(void)state;
	for (unsigned way = 0; way < 4; way++) {
		struct world world, *w = &world;
		struct termios before, after;
		int status;

		world_start(w, true, false);
		assert_int_equal(tcgetattr(w->in, &before), 0);
		UNTIL(told(w, TERMINAL_STARTED, 5));
		if (way == 0) {		/* as to the whole group: the supervisor hears of it too */
			kill(w->pid, SIGTERM);
			kill(w->pid, SIGHUP);
			guest_exit(w, 0);
			UNTIL(told(w, TERMINAL_EXITED, 0));
			order(w, TERMINAL_QUIT, 0);
		}
		if (way == 1)
			auto_fd_close(&w->supervisor_fd);
		if (way == 2)
			auto_fd_close(&w->guest_fd);
		if (way == 3)
			order(w, TERMINAL_QUIT, 0);
		if (way == 2) {
			UNTIL(told(w, TERMINAL_GUEST_LOST, 0));
			order(w, TERMINAL_QUIT, 0);
		}
		assert_int_equal(waitpid(w->pid, &status, 0), w->pid);
		assert_int_equal(status, 0);
		assert_int_equal(tcgetattr(w->in, &after), 0);
		assert_int_equal(after.c_lflag, before.c_lflag);
		link_free(w->guest);
		link_free(w->courier);
		close(w->in);
		auto_fd_close(&w->guest_fd);
		auto_fd_close(&w->courier_fd);
		auto_fd_close(&w->supervisor_fd);
	}
}

/* The files that the user's descriptors share with others stay blocking. */
static void shared_files_stay_as_they_are(void **state)
{
	struct world world, *w = &world;

	(void)state;
	world_start(w, true, false);
	UNTIL(told(w, TERMINAL_STARTED, 5));
	for (int fd = 3; fd < 64; fd++)		/* the slave's, which world_start() left open here */
		if (isatty(fd) && fd != w->in)
			assert_int_equal(fcntl(fd, F_GETFL) & O_NONBLOCK, 0);
	guest_exit(w, 0);
	UNTIL(told(w, TERMINAL_EXITED, 0));
	world_stop(w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(pipes_carry_exact_bytes),
		cmocka_unit_test(a_slow_reader_loses_nothing),
		cmocka_unit_test(a_gone_reader_ends_the_command),
		cmocka_unit_test(signals_reach_the_command),
		cmocka_unit_test(failures_are_told),
		cmocka_unit_test(events_go_to_the_courier),
		cmocka_unit_test(a_terminal_is_raw_filtered_and_restored),
		cmocka_unit_test(ctrl_c_ends_it_in_every_mode),
		cmocka_unit_test(it_is_restored_on_each_way_out),
		cmocka_unit_test(shared_files_stay_as_they_are),
	};

	signal(SIGPIPE, SIG_IGN);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
