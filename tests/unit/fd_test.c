/* fd_test.c - whole reads and writes; a descriptor comes with
 * its message, one at the most, and none is lost or left open */
#include "os/fd.h"

#include "base/auto.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include <dirent.h>
#include <fcntl.h>
#include <pthread.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>

static int pair[2];

static unsigned open_descriptors(void)
{
	DIR *d = opendir("/proc/self/fd");
	unsigned n = 0;

	assert_non_null(d);
	while (readdir(d))
		n++;
	closedir(d);
	return n;
}

static unsigned before;

static int set_up(void **state)
{
	(void)state;
	before = open_descriptors();
	return socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair);
}

/* Whatever a test did: nothing is open that was not before. */
static int tear_down(void **state)
{
	(void)state;
	auto_fd_close(&pair[0]);
	auto_fd_close(&pair[1]);
	return open_descriptors() == before ? 0 : 1;
}

static bool same_file(int a, int b)
{
	struct stat x, y;

	return fstat(a, &x) == 0 && fstat(b, &y) == 0 && x.st_dev == y.st_dev && x.st_ino == y.st_ino;
}

static void all_is_written_and_read(void **state)
{
	(void)state;
	static char big[300000];	/* more than a socket holds */
	auto_buf got = BUF_EMPTY;
	auto_fd file = memfd_create("fd_test", MFD_CLOEXEC);

	memset(big, 'x', sizeof big);
	buf_init(&got, sizeof big + 1);
	assert_int_equal(fd_write(file, str_make(big, sizeof big)), ERR_OK);
	assert_int_equal(fd_write(file, STR("")), ERR_OK);
	assert_int_equal(lseek(file, 0, SEEK_SET), 0);
	assert_int_equal(fd_read(file, &got, 10), ERR_OK);
	assert_int_equal(got.len, 10);
	assert_int_equal(fd_read(file, &got, 10), ERR_OK);	/* it has them already */
	assert_int_equal(got.len, 10);
	assert_int_equal(fd_read(file, &got, sizeof big + 1), ERR_OK);
	assert_true(str_eq(buf_str(&got), str_make(big, sizeof big)));
	assert_int_equal(fd_write(-1, STR("x")), ERR_LOCAL);
	assert_int_equal(fd_read(-1, &got, sizeof big + 1), ERR_LOCAL);
	assert_int_equal(fd_read(file, &got, sizeof big + 2), ERR_LIMIT);
	assert_int_equal(got.len, sizeof big);
}

static void *reader(void *arg)
{
	struct buf *b = arg;

	assert_int_equal(fd_read(pair[1], b, b->cap), ERR_OK);
	return NULL;
}

/* A stream that takes and gives a part at a time. */
static void parts_are_put_together(void **state)
{
	(void)state;
	static char big[1 << 20];
	auto_buf got = BUF_EMPTY;
	pthread_t thread;

	buf_init(&got, sizeof big);
	assert_int_equal(buf_reserve(&got, sizeof big), ERR_OK);
	auto_fd_close(&pair[0]);
	auto_fd_close(&pair[1]);
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
	for (size_t i = 0; i < sizeof big; i++)
		big[i] = (char)(i * 7 + i / 256);
	assert_int_equal(pthread_create(&thread, NULL, reader, &got), 0);
	assert_int_equal(fd_write(pair[0], str_make(big, sizeof big)), ERR_OK);
	assert_int_equal(pthread_join(thread, NULL), 0);
	assert_true(str_eq(buf_str(&got), str_make(big, sizeof big)));
}

static void a_descriptor_comes_with_its_message(void **state)
{
	(void)state;
	int pipe_ends[2];
	char text[16];
	size_t n;

	assert_int_equal(pipe(pipe_ends), 0);
	auto_fd out = pipe_ends[0], in = pipe_ends[1];
	auto_fd got = -1;

	assert_int_equal(fd_send(pair[0], STR("hello"), out), ERR_OK);
	assert_int_equal(fd_receive(pair[1], text, sizeof text, &n, &got), ERR_OK);
	assert_true(n == 5 && memcmp(text, "hello", 5) == 0);
	assert_true(got >= 0 && got != out && same_file(got, out) && !same_file(got, pair[1]));
	assert_int_equal(fcntl(got, F_GETFD), FD_CLOEXEC);
	auto_fd_close(&out);
	assert_int_equal(write(in, "x", 1), 1);		/* the copy is one of its own */
	assert_int_equal(read(got, text, 1), 1);
	auto_fd_close(&got);
	/* in order, each with its own, or with none */
	assert_int_equal(send(pair[0], "a", 1, 0), 1);
	assert_int_equal(fd_send(pair[0], STR("b"), in), ERR_OK);
	assert_int_equal(fd_receive(pair[1], text, 1, &n, &got), ERR_OK);
	assert_true(n == 1 && text[0] == 'a' && got == -1);
	assert_int_equal(fd_receive(pair[1], text, 1, &n, &got), ERR_OK);
	assert_true(n == 1 && text[0] == 'b' && same_file(got, in));
}

static void a_stream_gives_one_message_at_a_time(void **state)
{
	(void)state;
	char text[16];
	size_t n;
	int stream[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, stream), 0);
	auto_fd a = stream[0], b = stream[1];

	assert_int_equal(fd_send(a, STR("1"), pair[0]), ERR_OK);
	assert_int_equal(fd_send(a, STR("2"), pair[0]), ERR_OK);
	for (char i = '1'; i <= '2'; i++) {
		auto_fd got = -1;

		assert_int_equal(fd_receive(b, text, sizeof text, &n, &got), ERR_OK);
		assert_true(n == 1 && text[0] == i && same_file(got, pair[0]));
	}
}

/* As no sender of ours does it. */
static void send_many(const int *fds, size_t count, struct str bytes)
{
	struct iovec iov = { (char *)(uintptr_t)bytes.p, bytes.n };
	_Alignas(struct cmsghdr) char room[CMSG_SPACE(8 * sizeof(int))] = { 0 };
	struct msghdr m = { .msg_iov = &iov, .msg_iovlen = 1, .msg_control = room,
			    .msg_controllen = CMSG_SPACE(count * sizeof(int)) };
	struct cmsghdr *c = CMSG_FIRSTHDR(&m);

	assert_true(count <= 8);
	c->cmsg_level = SOL_SOCKET;
	c->cmsg_type = SCM_RIGHTS;
	c->cmsg_len = CMSG_LEN(count * sizeof(int));
	memcpy(CMSG_DATA(c), fds, count * sizeof(int));
	assert_int_equal(sendmsg(pair[0], &m, MSG_NOSIGNAL), (ssize_t)bytes.n);
}

static void surplus_descriptors_are_not_kept(void **state)
{
	(void)state;
	const int fds[8] = { pair[0], pair[0], pair[0], pair[0], pair[0], pair[0], pair[0], pair[0] };
	char text[16];

	for (size_t count = 2; count <= 8; count++) {
		const unsigned open = open_descriptors();
		size_t n = 99;
		int got = 99;

		send_many(fds, count, STR("x"));
		assert_int_equal(fd_receive(pair[1], text, sizeof text, &n, &got), ERR_INPUT);
		assert_true(n == 99 && got == 99);
		assert_int_equal(open_descriptors(), open);
	}
}

static void one_that_we_have_no_room_for_is_not_kept(void **state)
{
	(void)state;
	struct rlimit limit, none;
	char text[4];
	size_t n;
	int got = -1;
	enum err e;

	assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
	none = (struct rlimit){ 0, limit.rlim_max };
	assert_int_equal(fd_send(pair[0], STR("1"), pair[0]), ERR_OK);
	assert_int_equal(fd_send(pair[0], STR("2"), pair[0]), ERR_OK);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
	e = fd_receive(pair[1], text, sizeof text, &n, &got);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
	assert_int_equal(e, ERR_INPUT);
	assert_int_equal(fd_receive(pair[1], text, sizeof text, &n, &got), ERR_OK);
	assert_true(n == 1 && text[0] == '2' && same_file(got, pair[0]));
	auto_fd_close(&got);
}

static void a_message_that_is_too_long_leaves_nothing(void **state)
{
	(void)state;
	const unsigned open = open_descriptors();
	char text[4];
	size_t n;
	int got = -1;

	assert_int_equal(fd_send(pair[0], STR("12345"), pair[0]), ERR_OK);
	assert_int_equal(fd_send(pair[0], STR("1234"), pair[0]), ERR_OK);
	assert_int_equal(fd_receive(pair[1], text, sizeof text, &n, &got), ERR_INPUT);
	assert_int_equal(open_descriptors(), open);
	assert_int_equal(fd_receive(pair[1], text, sizeof text, &n, &got), ERR_OK);
	assert_int_equal(n, 4);
	auto_fd_close(&got);
}

static void neither_side_waits(void **state)
{
	(void)state;
	char text[4];
	size_t n, sent = 0;
	int got = -1;
	enum err e;

	assert_int_equal(fd_receive(pair[1], text, sizeof text, &n, &got), ERR_MORE);
	while ((e = fd_send(pair[0], STR("x"), pair[0])) == ERR_OK && sent < 100000)
		sent++;
	assert_int_equal(e, ERR_MORE);
	assert_true(sent > 0);
	for (; sent; sent--) {
		assert_int_equal(fd_receive(pair[1], text, sizeof text, &n, &got), ERR_OK);
		auto_fd_close(&got);
	}
	assert_int_equal(fd_receive(pair[1], text, sizeof text, &n, &got), ERR_MORE);
}

static void a_peer_that_has_gone_is_told(void **state)
{
	(void)state;
	char text[4];
	size_t n;
	int got = -1;

	auto_fd file = open("/dev/null", O_RDONLY | O_CLOEXEC);

	assert_int_equal(fd_send(pair[1], STR("x"), file), ERR_OK);
	auto_fd_close(&pair[1]);
	assert_int_equal(fd_send(pair[0], STR("x"), file), ERR_CLOSED);
	assert_int_equal(fd_receive(pair[0], text, sizeof text, &n, &got), ERR_OK); /* what it said before */
	auto_fd_close(&got);
	assert_int_equal(fd_receive(pair[0], text, sizeof text, &n, &got), ERR_CLOSED);
	assert_int_equal(fd_receive(-1, text, sizeof text, &n, &got), ERR_CLOSED);
	assert_int_equal(fd_send(pair[0], STR("x"), -1), ERR_CLOSED);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		T(all_is_written_and_read), T(parts_are_put_together), T(a_descriptor_comes_with_its_message),
		T(a_stream_gives_one_message_at_a_time), T(surplus_descriptors_are_not_kept),
		T(one_that_we_have_no_room_for_is_not_kept),
		T(a_message_that_is_too_long_leaves_nothing), T(neither_side_waits),
		T(a_peer_that_has_gone_is_told),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
