/* channel_test.c - links on socket pairs: bytes arrive whole and in order, a peer that goes is
 * told once, after its last bytes, and closing inside of callbacks is safe */
#include "os/channel.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#define TOTAL_BYTES (8u * 1024 * 1024)

struct end {
	uv_loop_t *loop;
	struct channel *channel;
	uint32_t stream;
	size_t sent, received;
	unsigned closed;
	enum err why;
	bool send, close_on_frame, got_end;
};

static char byte_at(size_t i) { return (char)(i * 7 + i / 251); }

/* as much as the link takes, of a stream that can be checked byte for byte */
static void pump(struct end *e)
{
	struct link *l = channel_link(e->channel);
	size_t n;

	while (e->send && e->sent < TOTAL_BYTES && (n = link_sendable(l, e->stream)) > 0) {
		char bytes[3000];

		if (n > sizeof bytes)
			n = sizeof bytes;
		if (n > TOTAL_BYTES - e->sent)
			n = TOTAL_BYTES - e->sent;
		for (size_t i = 0; i < n; i++)
			bytes[i] = byte_at(e->sent + i);
		assert_int_equal(link_data(l, e->stream, 0, str_make(bytes, n)), ERR_OK);
		e->sent += n;
	}
	if (e->send && e->sent == TOTAL_BYTES)
		link_end(l, e->stream);
	channel_flush(e->channel);
}

static void on_data(struct end *e, const struct link_frame *f)
{
	for (size_t i = 0; i < f->payload.n; i++)
		assert_int_equal(f->payload.p[i], byte_at(e->received + i));
	e->received += f->payload.n;
	link_consumed(channel_link(e->channel), f->stream, f->payload.n);
	channel_flush(e->channel);
}

static void on_frame(void *user, const struct link_frame *f)
{
	struct end *e = user;

	if (f->type == LINK_HELLO && e->send)
		assert_int_equal(link_open(channel_link(e->channel), LINK_KIND_TCP, STR(""), &e->stream),
				 ERR_OK);
	if (f->type == LINK_DATA)
		on_data(e, f);
	if (f->type == LINK_END)
		e->got_end = true;
	if (f->type == LINK_DATA && e->close_on_frame) {
		channel_close(e->channel);
		return;
	}
	pump(e);
}

static void on_writable(void *user) { pump(user); }

static void on_closed(void *user, enum err why)
{
	struct end *e = user;

	e->closed++;
	e->why = why;
	channel_close(e->channel);
}

static const struct channel_ops ops = { .frame = on_frame, .writable = on_writable, .closed = on_closed };

static void end_new(struct end *e, uv_loop_t *loop, int fd, enum link_side side)
{
	struct link *l = link_new(side, &LINK_LIMITS_DEFAULT);

	assert_non_null(l);
	e->loop = loop;
	e->channel = channel_new(loop, fd, l, &ops, e);
	assert_non_null(e->channel);
}

static void pair(int fds[2])
{
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
}

static void until(uv_loop_t *loop, const bool *flag)
{
	while (!*flag)
		uv_run(loop, UV_RUN_ONCE);
}

static void carries_bytes_in_order(void **state)
{
	(void)state;
	uv_loop_t loop;
	int fds[2];
	struct end a = { .send = true }, b = { 0 };

	uv_loop_init(&loop);
	pair(fds);
	end_new(&a, &loop, fds[0], LINK_LOWER);
	end_new(&b, &loop, fds[1], LINK_UPPER);
	until(&loop, &b.got_end);
	assert_int_equal(b.received, TOTAL_BYTES);
	channel_close(a.channel);	/* b then sees the end */
	uv_run(&loop, UV_RUN_DEFAULT);
	assert_int_equal(a.closed, 0);
	assert_int_equal(b.closed, 1);
	assert_int_equal(b.why, ERR_CLOSED);
	assert_int_equal(uv_loop_close(&loop), 0);
}

static void last_bytes_come_before_the_end(void **state)
{
	(void)state;
	uv_loop_t loop;
	int fds[2];
	struct end b = { .send = true };	/* it keeps writing, which fails */
	auto_link l = link_new(LINK_LOWER, &LINK_LIMITS_DEFAULT);
	struct link_frame f;
	struct str in;
	char bytes[4096];
	uint32_t stream;

	uv_loop_init(&loop);
	pair(fds);
	end_new(&b, &loop, fds[1], LINK_UPPER);
	uv_run(&loop, UV_RUN_NOWAIT);
	in = str_make(bytes, (size_t)read(fds[0], bytes, sizeof bytes));	/* its HELLO */
	assert_int_equal(link_receive(l, &in, &f), ERR_OK);
	assert_int_equal(link_open(l, LINK_KIND_TCP, STR(""), &stream), ERR_OK);
	for (size_t i = 0; i < 100; i++)
		bytes[i] = byte_at(i);
	assert_int_equal(link_data(l, stream, 0, str_make(bytes, 100)), ERR_OK);
	link_end(l, stream);
	in = link_output(l);
	assert_int_equal(write(fds[0], in.p, in.n), (ssize_t)in.n);
	close(fds[0]);
	uv_run(&loop, UV_RUN_DEFAULT);
	assert_int_equal(b.received, 100);
	assert_true(b.got_end);
	assert_int_equal(b.closed, 1);
	assert_int_equal(b.why, ERR_CLOSED);
	assert_int_equal(uv_loop_close(&loop), 0);
}

static void garbage_ends_it(void **state)
{
	(void)state;
	uv_loop_t loop;
	int fds[2];
	struct end b = { 0 };

	uv_loop_init(&loop);
	pair(fds);
	end_new(&b, &loop, fds[1], LINK_UPPER);
	assert_int_equal(write(fds[0], "GET / HTTP/1.1\r\n", 16), 16);
	uv_run(&loop, UV_RUN_DEFAULT);
	assert_int_equal(b.closed, 1);
	assert_int_equal(b.why, ERR_LINK_MALFORMED);
	close(fds[0]);
	assert_int_equal(uv_loop_close(&loop), 0);
}

static void may_be_closed_inside_of_a_frame(void **state)
{
	(void)state;
	uv_loop_t loop;
	int fds[2];
	struct end a = { .send = true }, b = { .close_on_frame = true };

	uv_loop_init(&loop);
	pair(fds);
	end_new(&a, &loop, fds[0], LINK_LOWER);
	end_new(&b, &loop, fds[1], LINK_UPPER);
	uv_run(&loop, UV_RUN_DEFAULT);
	assert_int_equal(b.closed, 0);
	assert_int_equal(a.closed, 1);
	assert_true(b.received > 0);
	assert_int_equal(uv_loop_close(&loop), 0);
}

/* A peer that shuts down its reading side is gone too, though it never sends an end. */
static void a_deaf_peer_is_gone(void **state)
{
	(void)state;
	uv_loop_t loop;
	int fds[2];
	struct end b = { 0 };

	uv_loop_init(&loop);
	pair(fds);
	assert_int_equal(shutdown(fds[0], SHUT_RD), 0);
	end_new(&b, &loop, fds[1], LINK_UPPER);
	uv_run(&loop, UV_RUN_DEFAULT);
	assert_int_equal(b.closed, 1);
	assert_int_equal(b.why, ERR_CLOSED);
	close(fds[0]);
	assert_int_equal(uv_loop_close(&loop), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(carries_bytes_in_order),
		cmocka_unit_test(last_bytes_come_before_the_end),
		cmocka_unit_test(garbage_ends_it),
		cmocka_unit_test(may_be_closed_inside_of_a_frame),
		cmocka_unit_test(a_deaf_peer_is_gone),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
