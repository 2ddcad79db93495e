/* words_test.c - what a sandbox's processes complain of reaches the user's terminal as plain lines, and not without end */
#include "supervisor/words.h"

#include "base/auto.h"
#include "base/str.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

struct rig {
	uv_loop_t loop;
	struct words *words;
	int saved, file;
};

static void rig_start(struct rig *r)
{
	char path[] = "/tmp/paddock-words-XXXXXX";

	r->file = mkstemp(path);
	assert_true(r->file >= 0);
	unlink(path);
	r->saved = dup(STDERR_FILENO);
	assert_int_equal(uv_loop_init(&r->loop), 0);
	assert_int_equal(words_new(&r->loop, &r->words), ERR_OK);
	assert_true(dup2(r->file, STDERR_FILENO) >= 0);
}

/* What was printed, at its end. */
static char *rig_end(struct rig *r)
{
	static char text[4u << 20];
	ssize_t n;

	words_free(r->words);
	uv_run(&r->loop, UV_RUN_DEFAULT);
	assert_int_equal(uv_loop_close(&r->loop), 0);
	assert_true(dup2(r->saved, STDERR_FILENO) >= 0);
	close(r->saved);
	n = pread(r->file, text, sizeof text - 1, 0);
	assert_true(n >= 0);
	text[n] = '\0';
	close(r->file);
	return text;
}

static void say(struct rig *r, const char *z)
{
	assert_int_equal(write(words_fd(r->words), z, strlen(z)), strlen(z));
	words_print(r->words);
}

static void a_line_is_printed_without_what_moves_a_cursor(void **state)
{
	struct rig r;

	(void)state;
	rig_start(&r);
	say(&r, "paddock-inspector: all is \x1b]52;c;eA==\x07well\n");
	say(&r, "in two ");
	say(&r, "pieces\nan escape of its own: \\x1b\n\n\n\xc2\x9b" "31m");
	assert_string_equal(rig_end(&r), "paddock-inspector: all is \\x1b]52;c;eA==\\x07well\nin two pieces\n"
					 "an escape of its own: \\x1b\n\\xc2\\x9b31m\n");
}

static void a_prompt_without_an_end_is_shown_after_a_moment(void **state)
{
	struct rig r;
	uv_timer_t long_enough;
	off_t before;

	(void)state;
	rig_start(&r);
	uv_timer_init(&r.loop, &long_enough);
	uv_timer_start(&long_enough, (uv_timer_cb)(void (*)(void))uv_stop, 3000, 0);
	assert_int_equal(write(words_fd(r.words), "passphrase: ", 12), 12);
	before = lseek(r.file, 0, SEEK_END);
	while (lseek(r.file, 0, SEEK_END) == before && uv_is_active((uv_handle_t *)&long_enough))
		uv_run(&r.loop, UV_RUN_ONCE);
	assert_true(uv_is_active((uv_handle_t *)&long_enough));
	uv_close((uv_handle_t *)&long_enough, NULL);
	assert_string_equal(rig_end(&r), "passphrase: \n");
}

static void a_flood_is_dropped_and_owned_up_to(void **state)
{
	struct rig r;
	char *text;
	size_t lines = 0;

	(void)state;
	rig_start(&r);
	for (int i = 0; i < 20000; i++)
		say(&r, "again\n");
	usleep(50000);		/* some may be said again by then */
	say(&r, "the last\n");
	text = rig_end(&r);
	for (const char *p = text; (p = strchr(p, '\n')) != NULL; p++)
		lines++;
	assert_true(lines >= 1000 && lines < 10000);
	assert_non_null(strstr(text, "lines of its processes were dropped\n"));
}

static void nobody_waits_for_the_reader(void **state)
{
	struct rig r;
	char page[4096];
	ssize_t n = 0;

	(void)state;
	rig_start(&r);
	memset(page, 'x', sizeof page);
	for (int i = 0; i < 1000 && n >= 0; i++)
		n = write(words_fd(r.words), page, sizeof page);
	assert_true(n < 0 && errno == EAGAIN);
	(void)rig_end(&r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_line_is_printed_without_what_moves_a_cursor),
		cmocka_unit_test(a_prompt_without_an_end_is_shown_after_a_moment),
		cmocka_unit_test(a_flood_is_dropped_and_owned_up_to),
		cmocka_unit_test(nobody_waits_for_the_reader),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
