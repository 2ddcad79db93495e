/* guest_asker_test.c - which process asks: lines of /proc/net, and this very process */
#include "guest/asker.h"

#include <arpa/inet.h>
#include <setjmp.h>
#include <stdarg.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

static struct asker asker;

static void lines(void **state)
{
	struct asker_line l;
	const uint8_t loopback[4] = { 127, 0, 0, 1 }, six[16] = { [15] = 1 };

	(void)state;
	assert_true(asker_line(STR("   0: 0100007F:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000  1000"
				   "        0 12345 1 0000000000000000 100 0 0 10 0"), &l));
	assert_int_equal(l.address_len, 4);
	assert_memory_equal(l.address, loopback, 4);
	assert_int_equal(l.port, 8080);
	assert_int_equal(l.uid, 1000);
	assert_int_equal(l.inode, 12345);
	assert_true(asker_line(STR("  11: 00000000000000000000000001000000:0035 00000000000000000000000000000000:0000 07 "
				   "00000000:00000000 00:00000000 00000000     0        0 7 2 0 0"), &l));
	assert_int_equal(l.address_len, 16);
	assert_memory_equal(l.address, six, 16);
	assert_int_equal(l.port, 53);
}

static void other_lines(void **state)
{
	static const char *const bad[] = {
		"", " ", "sl local_address rem_address st", "0: 0100007F", "0: 0100007F:", "0: 0100007F:1F90",
		"0: 0100007G:1F90 x 0A x x x 1 0 1", "0: 0100007F:11F90 x 0A x x x 1 0 1",
		"0: 0100007F:1F90 x 0A x x x -1 0 1", "0: 0100007F:1F90 x 0A x x x 1 0 x",
		"0: 0100007F00:1F90 x 0A x x x 1 0 1",
	};
	struct asker_line l;

	(void)state;
	for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
		assert_false(asker_line(str_of(bad[i]), &l));
}

static void this_process_is_found(void **state)
{
	struct sockaddr_in a = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	struct sockaddr_storage local = { 0 };
	socklen_t n = sizeof local;
	char self[4096];
	ssize_t self_len = readlink("/proc/self/exe", self, sizeof self);
	int fd = socket(AF_INET, SOCK_DGRAM, 0);

	(void)state;
	assert_int_equal(bind(fd, (struct sockaddr *)&a, sizeof a), 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&local, &n), 0);
	for (int i = 0; i < 20 && asker.process.pid == 0; i++)	/* a busy machine may pass the deadline */
		asker_find(&asker, "/proc", IPPROTO_UDP, &local, NULL, 0);
	assert_int_equal(asker.process.pid, getpid());
	assert_int_equal(asker.process.uid, getuid());
	assert_true(str_eq(asker.process.exe, str_make(self, (size_t)self_len)));
	close(fd);
	asker_find(&asker, "/proc", IPPROTO_UDP, &local, NULL, 0);
	assert_int_equal(asker.process.pid, 0);
	assert_int_equal(asker.process.exe.n, 0);
	asker_find(&asker, "/nowhere", IPPROTO_UDP, &local, NULL, 0);
	assert_int_equal(asker.process.pid, 0);
}

static void a_connection_is_found_by_its_ends(void **state)
{
	struct sockaddr_in a = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	struct sockaddr_storage server = { 0 }, client = { 0 };
	socklen_t n = sizeof server, m = sizeof client;
	int listener = socket(AF_INET, SOCK_STREAM, 0), fd = socket(AF_INET, SOCK_STREAM, 0);

	(void)state;
	assert_int_equal(bind(listener, (struct sockaddr *)&a, sizeof a), 0);
	assert_int_equal(listen(listener, 1), 0);
	assert_int_equal(getsockname(listener, (struct sockaddr *)&server, &n), 0);
	assert_int_equal(connect(fd, (struct sockaddr *)&server, n), 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&client, &m), 0);
	for (int i = 0; i < 20 && (i == 0 || asker.process.pid == 0); i++)
		asker_find(&asker, "/proc", IPPROTO_TCP, &client, &server, 0);
	assert_int_equal(asker.process.pid, getpid());
	close(fd);
	close(listener);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(lines),
		cmocka_unit_test(other_lines),
		cmocka_unit_test(this_process_is_found),
		cmocka_unit_test(a_connection_is_found_by_its_ends),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
