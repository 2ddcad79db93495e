/* decode_test.c - the courier's side of the decoder: with
 * the real program, and with one that is captured (I2, I8) */
#include "courier/decode.h"

#include "../path/encode.h"

#include "../path/decoder_process.h"

#include "os/fd.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/wait.h>

static uv_loop_t loop;
static struct courier courier;
static pid_t server;

static int start(void **state)
{
	(void)state;
	signal(SIGPIPE, SIG_IGN);
	uv_loop_init(&loop);
	courier.options.loop = &loop;
	server = decoder_start(&courier.options.decoder);
	return 0;
}

static int stop(void **state)
{
	int status;

	(void)state;
	close(courier.options.decoder);
	assert_int_equal(waitpid(server, &status, 0), server);
	uv_run(&loop, UV_RUN_DEFAULT);
	assert_int_equal(uv_loop_close(&loop), 0);	/* no handle was forgotten */
	return !WIFEXITED(status) || WEXITSTATUS(status);
}

/* ---- an owner ---- */

struct owner {
	struct decode *d;
	struct buf output, facts;
	struct str body;		/* still to be put in */
	uint64_t mark;
	unsigned done;
	enum err e;
	char reason[200];
	bool busy;			/* within a function of decode.h */
	unsigned pause_each;		/* pause after each output, for so many turns of the loop */
	bool free_in_output;
};

static void on_output(void *user, struct str bytes)
{
	struct owner *o = user;

	assert_false(o->busy || o->done);
	buf_put(&o->output, bytes);
	if (o->pause_each)
		decode_pause(o->d, true);
	if (o->free_in_output) {
		decode_free(o->d);
		o->d = NULL;
	}
}

static void on_fact(void *user, struct str name, struct str value)
{
	struct owner *o = user;

	assert_false(o->busy || o->done);
	buf_put(&o->facts, name);
	buf_put(&o->facts, STR("="));
	buf_put(&o->facts, value);
}

static void on_mark(void *user, uint64_t bytes)
{
	struct owner *o = user;

	assert_false(o->busy || o->done);
	assert_true(bytes > o->mark);
	o->mark = bytes;
}

static void feed(struct owner *o)
{
	size_t n;

	o->busy = true;
	while (o->d && (n = decode_room(o->d)) && o->body.n) {
		struct str piece = str_head(o->body, n);

		assert_int_equal(decode_input(o->d, piece), ERR_OK);
		o->body = str_from(o->body, piece.n);
	}
	if (o->d && !o->body.n)
		decode_end(o->d);
	o->busy = false;
}

static void on_room(void *user)
{
	struct owner *o = user;

	assert_false(o->busy || o->done);
	feed(o);
}

static void on_done(void *user, enum err e, const char *reason)
{
	struct owner *o = user;

	assert_false(o->busy);
	o->done++;
	o->e = e;
	snprintf(o->reason, sizeof o->reason, "%s", reason);
}

static const struct decode_ops ops = { on_output, on_fact, on_mark, on_room, on_done };

static void owner_start(struct owner *o, enum decoder_job job, struct str body)
{
	buf_init(&o->output, 64 << 20);
	buf_init(&o->facts, 1 << 20);
	o->body = body;
	assert_int_equal(decode_start(&courier, job, STR(""), &ops, o, &o->d), ERR_OK);
}

static void owner_wait(struct owner *o)
{
	for (unsigned turns = 0; !o->done && o->d && turns < 200000; turns++) {
		uv_run(&loop, UV_RUN_NOWAIT);
		if (o->pause_each && turns % o->pause_each == 0 && o->d)
			decode_pause(o->d, false);
		usleep(o->done ? 0 : 20);
	}
}

static void owner_end(struct owner *o)
{
	decode_free(o->d);
	buf_free(&o->output);
	buf_free(&o->facts);
	uv_run(&loop, UV_RUN_DEFAULT);
	assert_int_equal(courier.decodes, 0);
}

static struct str large(void)
{
	static char text[3 << 20];
	uint32_t v = 7;

	for (size_t i = 0; i < sizeof text; i++) {
		v = v * 1664525 + 1013904223;
		text[i] = (char)('a' + (v >> 24) % 16);
	}
	return str_make(text, sizeof text);
}

/* ---- the real decoder ---- */

static void every_coding(void **state)
{
	(void)state;
	struct str text = large();

	for (size_t i = 0; i < ENCODINGS; i++)
		for (unsigned pause = 0; pause < 6; pause += 5) {
			struct owner o = { .pause_each = pause };
			auto_buf body = BUF_EMPTY;

			buf_init(&body, 8 << 20);
			encode(&body, &encodings[i], &text, 1);
			owner_start(&o, encodings[i].job, buf_str(&body));
			feed(&o);
			owner_wait(&o);
			assert_int_equal(o.done, 1);
			if (o.e)
				fail_msg("%s: %s: %s", encodings[i].name, err_name(o.e), o.reason);
			assert_true(str_eq(buf_str(&o.output), text));
			assert_int_equal(o.mark, body.len);
			owner_end(&o);
		}
}

/* A decoder whose output nobody takes stops taking input: nothing piles up (I7). */
static void nothing_piles_up(void **state)
{
	(void)state;
	struct str text = large();
	struct owner o = { .d = NULL };
	auto_buf body = BUF_EMPTY;

	buf_init(&body, 8 << 20);
	encode_zlib(&body, 31, 0, &text, 1);
	owner_start(&o, DECODER_GZIP, buf_str(&body));
	decode_pause(o.d, true);
	for (int i = 0; i < 300; i++) {
		feed(&o);
		uv_run(&loop, UV_RUN_NOWAIT);
		usleep(1000);
	}
	assert_int_equal(o.output.len, 0);
	assert_true(o.body.n > text.n / 2);	/* a socket's buffers, a payload, and no more */
	decode_pause(o.d, false);
	owner_wait(&o);
	assert_int_equal(o.e, ERR_OK);
	assert_true(str_eq(buf_str(&o.output), text));
	owner_end(&o);
}

static void failures_in_words(void **state)
{
	(void)state;
	struct owner o = { .d = NULL };

	owner_start(&o, DECODER_GZIP, STR("this is not gzip"));
	feed(&o);
	owner_wait(&o);
	assert_int_equal(o.e, ERR_DECODER);
	assert_string_equal(o.reason, "it is not what its encoding says");
	owner_end(&o);
	o = (struct owner){ .d = NULL };
	owner_start(&o, (enum decoder_job)0, STR("x"));
	feed(&o);
	owner_wait(&o);
	assert_int_equal(o.e, ERR_INPUT);
	owner_end(&o);
}

static void facts(void **state)
{
	(void)state;
	struct owner o = { .d = NULL };

	owner_start(&o, DECODER_AWS_CHUNKED, STR("1\r\nx\r\n0\r\nx-amz-checksum-crc32: AA==\r\n\r\n"));
	feed(&o);
	owner_wait(&o);
	assert_int_equal(o.e, ERR_OK);
	assert_true(str_eq(buf_str(&o.facts), STR("trailer=x-amz-checksum-crc32: AA==")));
	owner_end(&o);
}

static void freed_at_any_time(void **state)
{
	(void)state;
	struct str text = large();
	auto_buf body = BUF_EMPTY;

	buf_init(&body, 8 << 20);
	encode_zstd(&body, 1, &text, 1);
	for (unsigned turns = 0; turns < 20; turns++) {
		struct owner o = { .free_in_output = turns == 19 };

		owner_start(&o, DECODER_ZSTD, buf_str(&body));
		feed(&o);
		for (unsigned i = 0; i < turns; i++)
			uv_run(&loop, UV_RUN_NOWAIT);
		if (o.free_in_output)
			owner_wait(&o);
		owner_end(&o);
	}
}

static void no_more_than_there_may_be(void **state)
{
	(void)state;
	static struct owner o[DECODER_CHILDREN_MAX + 1];

	for (size_t i = 0; i < DECODER_CHILDREN_MAX; i++)
		owner_start(&o[i], DECODER_GZIP, STR(""));
	assert_int_equal(decode_start(&courier, DECODER_GZIP, STR(""), &ops, &o[DECODER_CHILDREN_MAX],
				      &o[DECODER_CHILDREN_MAX].d), ERR_LIMIT);
	for (size_t i = 0; i < DECODER_CHILDREN_MAX; i++) {
		feed(&o[i]);
		owner_wait(&o[i]);
		assert_int_equal(o[i].e, ERR_OK);
	}
	for (size_t i = 0; i < DECODER_CHILDREN_MAX; i++)
		decode_free(o[i].d);
	uv_run(&loop, UV_RUN_DEFAULT);
	assert_int_equal(courier.decodes, 0);
}

static void what_is_too_much(void **state)
{
	(void)state;
	static char long_text[DECODER_JOB_MAX + 1];
	struct owner o = { .d = NULL };
	struct decode *d;

	assert_int_equal(decode_start(&courier, DECODER_GZIP, str_make(long_text, sizeof long_text), &ops, &o,
				      &d),
			 ERR_INPUT);
	owner_start(&o, DECODER_GZIP, STR(""));
	assert_int_equal(decode_input(o.d, STR("")), ERR_STATE);
	assert_int_equal(decode_input(o.d, str_make(large().p, decode_room(o.d) + 1)), ERR_STATE);
	decode_end(o.d);
	assert_int_equal(decode_room(o.d), 0);
	assert_int_equal(decode_input(o.d, STR("x")), ERR_STATE);
	owner_end(&o);
}

/* ---- one that is captured, or gone ---- */

/* In place of the server: says @bytes to the one that asks, and nothing more. */
static void liar(struct owner *o, struct str bytes, struct str body, bool hangs_up)
{
	const int real = courier.options.decoder;
	char byte, sink[4096];
	size_t n;
	int pair[2], job;

	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair), 0);
	courier.options.decoder = pair[0];
	owner_start(o, DECODER_GZIP, body);
	courier.options.decoder = real;
	assert_int_equal(fd_receive(pair[1], &byte, 1, &n, &job), ERR_OK);
	feed(o);
	for (int i = 0; i < 5; i++) {
		uv_run(&loop, UV_RUN_NOWAIT);
		while (recv(job, sink, sizeof sink, MSG_DONTWAIT) > 0)
			;
	}
	assert_int_equal(send(job, bytes.p, bytes.n, MSG_NOSIGNAL), (ssize_t)bytes.n);
	if (hangs_up)
		close(job);
	owner_wait(o);
	if (!hangs_up)
		close(job);
	close(pair[0]);
	close(pair[1]);
}

static void a_decoder_that_lies(void **state)
{
	(void)state;
	static const struct { struct str says; enum err e; const char *reason; } lies[] = {
		{ STR_INIT("\1\0\0\0\1\0\0\0\1"), ERR_DECODER,
		  "the decoder is out of order" },		/* a JOB */
		{ STR_INIT("\0\0\0\0\0\0\0\0"), ERR_DECODER,
		  "the decoder is out of order" },		/* no type */
		{ STR_INIT("\2\0\0\0\1\0\1\0"), ERR_DECODER,
		  "the decoder is out of order" },		/* too long */
		{ STR_INIT("\2\0\0\0\0\0\0\0"), ERR_DECODER,
		  "the decoder is out of order" },		/* empty */
		{ STR_INIT("\5\0\0\0\1\0\0\0\1"), ERR_DECODER,
		  "the decoder is out of order" },		/* half a mark */
		{ STR_INIT("\5\0\0\0\x8\0\0\0\0\0\0\0\0\0\0\0"), ERR_DECODER, "the decoder is out of order" },
		{ STR_INIT("\5\0\0\0\x8\0\0\0\5\0\0\0\0\0\0\0"), ERR_DECODER, "the decoder is out of order" },
		/* not yet sent */
		{ STR_INIT("\5\0\0\0\x8\0\0\0\2\0\0\0\0\0\0\0\5\0\0\0\x8\0\0\0\2\0\0\0\0\0\0\0"), ERR_DECODER,
		  "the decoder is out of order" },
		{ STR_INIT("\4\0\0\0\1\0\0\0a"), ERR_DECODER,
		  "the decoder is out of order" },		/* no value */
		{ STR_INIT("\4\0\0\0\2\0\0\0\0a"), ERR_DECODER,
		  "the decoder is out of order" },	/* no name */
		{ STR_INIT("\3\0\0\0\1\0\0\0a"), ERR_DECODER, "the decoder is out of order" },
		{ STR_INIT("\6\0\0\0\1\0\0\0a"), ERR_DECODER,
		  "the decoder is out of order" },		/* half a reason */
		{ STR_INIT("\6\0\0\0\6\0\0\0\0\0fine"), ERR_DECODER,
		  "fine" },				/* OK is no failure */
		{ STR_INIT("\6\0\0\0\6\0\0\0\xff\xff\x1b[2J"), ERR_DECODER, "?[2J" },
		{ STR_INIT(""), ERR_DECODER, "the decoder ended before it was done" },
		{ STR_INIT("\2\0\0"), ERR_DECODER, "the decoder ended before it was done" },
		{ STR_INIT("\3\0\0\0\0\0\0\0"), ERR_OK,
		  "" },	/* what no check can find: it misjudges its own exchange */
	};

	for (size_t i = 0; i < sizeof lies / sizeof *lies; i++)
		for (int hangs_up = lies[i].says.n < 8; hangs_up < 2; hangs_up++) {
			struct owner o = { .d = NULL };

			liar(&o, lies[i].says, STR("body"), hangs_up);
			assert_int_equal(o.done, 1);
			assert_int_equal(o.e, lies[i].e);
			assert_string_equal(o.reason, lies[i].reason);
			owner_end(&o);
		}
}

/* An END before ours is none. */
static void a_decoder_that_is_done_too_early(void **state)
{
	(void)state;
	struct owner o = { .d = NULL };
	struct str text = large();

	liar(&o, STR("\3\0\0\0\0\0\0\0"), text, false);
	assert_int_equal(o.done, 1);
	assert_int_equal(o.e, ERR_DECODER);
	owner_end(&o);
}

static void no_decoder(void **state)
{
	(void)state;
	const int real = courier.options.decoder;
	struct decode *d;
	int pair[2];

	courier.options.decoder = -1;
	assert_int_equal(decode_start(&courier, DECODER_GZIP, STR(""), &ops, NULL, &d), ERR_DECODER);
	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair), 0);
	close(pair[1]);
	courier.options.decoder = pair[0];
	assert_int_equal(decode_start(&courier, DECODER_GZIP, STR(""), &ops, NULL, &d), ERR_DECODER);
	close(pair[0]);
	courier.options.decoder = real;
	assert_int_equal(courier.decodes, 0);
}

static void a_decoder_that_is_killed(void **state)
{
	(void)state;
	const int real = courier.options.decoder;
	struct owner o = { .d = NULL };
	struct str text = large();
	int fd;
	pid_t pid = decoder_start(&fd);
	auto_buf body = BUF_EMPTY;

	buf_init(&body, 8 << 20);
	encode_zlib(&body, 31, 6, &text, 1);
	courier.options.decoder = fd;
	owner_start(&o, DECODER_GZIP, buf_str(&body));
	o.busy = true;
	assert_int_equal(decode_input(o.d, str_head(o.body, 1000)), ERR_OK);
	o.busy = false;
	while (!o.output.len)
		uv_run(&loop, UV_RUN_ONCE);
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	owner_wait(&o);
	assert_int_equal(o.done, 1);
	assert_int_equal(o.e, ERR_DECODER);
	owner_end(&o);
	close(fd);
	courier.options.decoder = real;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_coding), cmocka_unit_test(nothing_piles_up),
		cmocka_unit_test(failures_in_words),
		cmocka_unit_test(facts), cmocka_unit_test(freed_at_any_time),
		cmocka_unit_test(no_more_than_there_may_be),
		cmocka_unit_test(what_is_too_much), cmocka_unit_test(a_decoder_that_lies),
		cmocka_unit_test(a_decoder_that_is_done_too_early), cmocka_unit_test(no_decoder),
		cmocka_unit_test(a_decoder_that_is_killed),
	};
	return cmocka_run_group_tests(tests, start, stop);
}
