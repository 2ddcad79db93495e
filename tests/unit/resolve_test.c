/* resolve_test.c - a name is looked up as it is (I6), and not too many at once for one asker: in
 * a network namespace of its own, with a name server and a resolver configuration of the test's.
 */
#include "courier/resolve.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <net/if.h>
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#define QUERY_MAX 512
#define SKIPPED 77

static struct {
	int fd;
	char asked[4096];		/* names, each after a blank */
	size_t asked_bytes;
} server;

/* The name of the one question, dotted; its end in the packet. */
static size_t question(const uint8_t *p, size_t n, char ret_name[QUERY_MAX])
{
	size_t at = 12, out = 0;

	while (at < n && p[at] && at + p[at] + 1u < n) {
		memcpy(ret_name + out, p + at + 1, p[at]);
		out += p[at];
		ret_name[out++] = '.';
		at += p[at] + 1u;
	}
	ret_name[out ? out - 1 : 0] = '\0';
	return at + 5;
}

/* Below evil.test everything has an address, and nothing else but exact.test has. */
static void *serve(void *arg)
{
	static const uint8_t answer[] = { 0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4, 203, 0, 114, 7 };
	struct sockaddr_in from;
	socklen_t size = sizeof from;
	uint8_t p[QUERY_MAX + sizeof answer];
	ssize_t got;

	(void)arg;
	while ((got = recvfrom(server.fd, p, QUERY_MAX, 0, (struct sockaddr *)&from, &size)) > 16) {
		char name[QUERY_MAX];
		size_t n = question(p, (size_t)got, name);
		bool exists = str_ends(str_of(name), STR(".evil.test")) || !strcmp(name, "exact.test");
		bool ipv4 = p[n - 3] == 1;

		if (str_ends(str_of(name), STR("silent.test")))
			continue;
		server.asked_bytes += (size_t)snprintf(server.asked + server.asked_bytes,
						       sizeof server.asked - server.asked_bytes, " %s", name);
		p[2] = 0x81;
		p[3] = exists ? 0x80 : 0x83;
		p[7] = exists && ipv4;
		p[9] = p[11] = 0;
		memcpy(p + n, answer, sizeof answer);
		sendto(server.fd, p, exists && ipv4 ? n + sizeof answer : n, 0, (struct sockaddr *)&from,
		       size);
	}
	return NULL;
}

static bool write_file(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
	bool ok = fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text);

	if (fd >= 0)
		close(fd);
	return ok;
}

/* Own namespaces, loopback up, the server on port 53, and a resolv.conf that would search. */
static bool prepare(void)
{
	char map[64], path[] = "/tmp/resolve-test-XXXXXX";
	struct sockaddr_in at = { .sin_family = AF_INET, .sin_port = htons(53),
				  .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	struct ifreq up = { .ifr_name = "lo", .ifr_flags = IFF_UP };
	pthread_t thread;
	bool ok;

	snprintf(map, sizeof map, "0 %u 1\n", (unsigned)geteuid());
	if (unshare(CLONE_NEWUSER | CLONE_NEWNET | CLONE_NEWNS) || !write_file("/proc/self/uid_map", map))
		return false;
	int file = mkstemp(path);

	close(file);
	ok = write_file(path, "nameserver 127.0.0.1\nsearch evil.test\noptions ndots:5\n") &&
	     mount(path, "/etc/resolv.conf", NULL, MS_BIND, NULL) == 0;
	unlink(path);
	server.fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	return ok && ioctl(server.fd, SIOCSIFFLAGS, &up) == 0 &&
	       bind(server.fd, (struct sockaddr *)&at, sizeof at) == 0 &&
	       pthread_create(&thread, NULL, serve, NULL) == 0;
}

struct outcome {
	enum err result;
	uint32_t count;
};

static void done(void *user, enum err result, const struct address *addresses, uint32_t count)
{
	struct outcome *o = user;

	(void)addresses;
	*o = (struct outcome){ result, count };
}

static struct outcome look_up(uv_loop_t *loop, struct resolver *r, struct str host)
{
	struct outcome o = { ERR_MORE, 0 };
	struct resolve *query;

	assert_int_equal(resolve_start(r, host, NULL, done, &o, &query), ERR_OK);
	while (o.result == ERR_MORE)
		uv_run(loop, UV_RUN_ONCE);
	return o;
}

/* One of those who ask does not keep the others from it, nor by giving up. */
static void ask_much(struct resolver *r)
{
	struct resolve *queries[RESOLVE_ASKER_MAX], *query;
	struct outcome o = { ERR_MORE, 0 };
	const int one = 1, other = 2;
	char name[32];

	for (int i = 0; i < RESOLVE_ASKER_MAX; i++) {
		snprintf(name, sizeof name, "n%d.silent.test", i);
		assert_int_equal(resolve_start(r, str_of(name), &one, done, &o, &queries[i]), ERR_OK);
	}
	assert_int_equal(resolve_start(r, STR("exact.test"), &one, done, &o, &query), ERR_LIMIT);
	for (int i = 0; i < RESOLVE_ASKER_MAX; i++)
		resolve_cancel(queries[i]);
	assert_int_equal(resolve_start(r, STR("exact.test"), &one, done, &o, &query), ERR_LIMIT);
	assert_int_equal(resolve_start(r, STR("exact.test"), &other, done, &o, &query), ERR_OK);
	resolve_cancel(query);
	assert_int_equal(resolve_start(r, STR("exact.test"), NULL, done, &o, &query), ERR_OK);
	resolve_cancel(query);
	assert_int_equal(o.result, ERR_MORE);
}

static void child(void)
{
	struct resolver *r;
	uv_loop_t loop;

	if (!prepare())
		_exit(SKIPPED);
	assert_int_equal(uv_loop_init(&loop), 0);
	assert_int_equal(resolver_new(&loop, &r), ERR_OK);
	assert_int_equal(look_up(&loop, r, STR("api.test")).result, ERR_RESOLVE);
	assert_int_equal(look_up(&loop, r, STR("intranet")).result, ERR_RESOLVE);
	assert_int_equal(look_up(&loop, r, STR("exact.test")).count, 1);
	ask_much(r);
	resolver_free(r);
	uv_run(&loop, UV_RUN_DEFAULT);
	assert_non_null(strstr(server.asked, " api.test"));
	assert_null(strstr(server.asked, "evil"));
	_exit(0);
}

static void names_are_looked_up_as_they_are_and_not_too_many_for_one(void **state)
{
	pid_t pid = fork();
	int status = 0;

	(void)state;
	if (pid == 0)
		child();
	assert_int_equal(waitpid(pid, &status, 0), pid);
	if (WIFEXITED(status) && WEXITSTATUS(status) == SKIPPED)
		skip();
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(names_are_looked_up_as_they_are_and_not_too_many_for_one) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
