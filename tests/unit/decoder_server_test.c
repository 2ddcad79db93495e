/* decoder_server_test.c - the real paddock-decoder: a child
 * for each job, what it has and what kills it (I1, I8) */
#include "../path/encode.h"

#include "../path/decoder_process.h"

#include "os/fd.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/user.h>
#include <sys/wait.h>

/* ---- jobs, spoken by hand ---- */

/* One end of a new job's socket to the decoder, the other to the caller. */
static int decoder_ask(int fd)
{
	int pair[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
	assert_int_equal(fd_send(fd, STR("j"), pair[1]), ERR_OK);
	close(pair[1]);
	return pair[0];
}

static bool decoder_say(int job, enum decoder_type type, struct str payload)
{
	auto_buf b = BUF_EMPTY;
	bool sent;

	buf_init(&b, DECODER_HEADER_BYTES + DECODER_PAYLOAD_MAX);
	assert_int_equal(decoder_put(&b, type, payload), ERR_OK);
	sent = send(job, b.p, b.len, MSG_NOSIGNAL) == (ssize_t)b.len;
	return sent;
}

static void decoder_say_job(int job, enum decoder_job kind)
{
	const char number = (char)kind;

	assert_true(decoder_say(job, DECODER_JOB, str_make(&number, 1)));
}

/* The next message, its payload in @ret; 0: the job has ended */
static enum decoder_type decoder_hear(int job, struct buf *ret)
{
	char header[DECODER_HEADER_BYTES];
	enum decoder_type type;
	uint32_t length;

	if (recv(job, header, sizeof header, MSG_WAITALL) != (ssize_t)sizeof header)
		return 0;
	type = (enum decoder_type)header[0];
	memcpy(&length, header + 4, 4);
	assert_true(length <= DECODER_PAYLOAD_MAX);
	buf_clear(ret);
	assert_int_equal(buf_reserve(ret, length), ERR_OK);
	assert_int_equal(recv(job, ret->p, length, MSG_WAITALL), (ssize_t)length);
	ret->len = length;
	return type;
}

/* The rest of what a job says: its output in @output; what it ended with */
static enum decoder_type decoder_rest(int job, struct buf *output)
{
	auto_buf payload = BUF_EMPTY;
	enum decoder_type type;

	buf_init(&payload, DECODER_PAYLOAD_MAX);
	while ((type = decoder_hear(job, &payload)) == DECODER_DATA || type == DECODER_MARK ||
	       type == DECODER_FACT)
		if (type == DECODER_DATA)
			buf_put(output, buf_str(&payload));
	return type;
}

/* ---- the server ---- */

static int server_fd;
static pid_t server;

static int start(void **state)
{
	(void)state;
	server = decoder_start(&server_fd);
	return 0;
}

static int stop(void **state)
{
	int status;

	(void)state;
	close(server_fd);
	assert_int_equal(waitpid(server, &status, 0), server);
	assert_true(WIFEXITED(status));
	return WEXITSTATUS(status);
}

/* The n-th child of the server, or 0 */
static pid_t child_of_server(unsigned n)
{
	char path[64], text[8192] = "", *at = text, *end;
	int fd;
	long pid = 0;

	snprintf(path, sizeof path, "/proc/%d/task/%d/children", server, server);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	assert_true(fd >= 0);
	assert_true(read(fd, text, sizeof text - 1) >= 0);
	close(fd);
	for (unsigned i = 0; i <= n; i++) {
		pid = 0;
		for (end = at; *end >= '0' && *end <= '9'; end++)
			pid = pid * 10 + (*end - '0');
		if (end == at)
			return 0;
		at = *end == ' ' ? end + 1 : end;
	}
	return (pid_t)pid;
}

static unsigned children(void)
{
	unsigned n = 0;

	while (child_of_server(n))
		n++;
	return n;
}

static void wait_for_children(unsigned n)
{
	for (int i = 0; i < 500 && children() != n; i++)
		usleep(10000);
	assert_int_equal(children(), n);
}

/* In read(), that is: its other calls do not wait. */
static bool waits(pid_t pid)
{
	char path[64], text[512] = "";
	int fd;

	snprintf(path, sizeof path, "/proc/%d/stat", pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	assert_true(fd >= 0 && read(fd, text, sizeof text - 1) > 0);
	close(fd);
	return strstr(text, ") S ") != NULL;
}

/* A job that has begun: its child is confined, and waits for more. */
static int begun(pid_t *ret_child)
{
	auto_buf text = BUF_EMPTY, output = BUF_EMPTY;
	int job = decoder_ask(server_fd);

	buf_init(&text, 8192);
	buf_init(&output, DECODER_PAYLOAD_MAX);
	const struct str hello = STR("hello");
	encode_zlib(&text, 31, 0, &hello, 1);
	decoder_say_job(job, DECODER_GZIP);
	assert_true(decoder_say(job, DECODER_DATA, buf_str(&text)));
	assert_int_equal(decoder_hear(job, &output), DECODER_DATA);
	assert_true(str_eq(buf_str(&output), hello));
	assert_int_equal(decoder_hear(job, &output), DECODER_MARK);
	*ret_child = child_of_server(0);
	assert_true(*ret_child > 0);
	for (int i = 0; i < 500 && !waits(*ret_child); i++)
		usleep(10000);
	return job;
}

static void jobs_in_children(void **state)
{
	(void)state;
	static char text[200000];

	memset(text, 'x', sizeof text);
	for (size_t i = 0; i < sizeof text; i += 7)
		text[i] = (char)('a' + (i * i) % 26);
	const struct str whole = { text, sizeof text };

	for (size_t i = 0; i < ENCODINGS; i++) {
		int job = decoder_ask(server_fd);
		auto_buf body = BUF_EMPTY, output = BUF_EMPTY;

		buf_init(&body, 1 << 20);
		buf_init(&output, 1 << 20);
		encode(&body, &encodings[i], &whole, 1);
		decoder_say_job(job, encodings[i].job);
		for (size_t at = 0; at < body.len; at += 5000)
			assert_true(decoder_say(job, DECODER_DATA,
						str_head(str_from(buf_str(&body), at), 5000)));
		assert_true(decoder_say(job, DECODER_END, STR("")));
		assert_int_equal(decoder_rest(job, &output), DECODER_END);
		assert_true(str_eq(buf_str(&output), whole));
		close(job);
	}
	wait_for_children(0);	/* ended, and reaped */
}

static void a_job_that_fails_says_so(void **state)
{
	(void)state;
	int job = decoder_ask(server_fd);
	auto_buf output = BUF_EMPTY;

	buf_init(&output, 1000);
	decoder_say_job(job, DECODER_GZIP);
	assert_true(decoder_say(job, DECODER_DATA, STR("not gzip")));
	assert_int_equal(decoder_rest(job, &output), DECODER_FAIL);
	assert_int_equal(recv(job, &(char){ 0 }, 1, 0), 0);	/* and that is its end */
	close(job);
	wait_for_children(0);
}

static void a_line_of(pid_t pid, const char *name, const char *expected)
{
	char path[64], text[8192] = "", *line;
	int fd;

	snprintf(path, sizeof path, "/proc/%d/status", pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	assert_true(fd >= 0 && read(fd, text, sizeof text - 1) > 0);
	close(fd);
	line = strstr(text, name);
	assert_non_null(line);
	line += strlen(name);
	line[strcspn(line, "\n")] = 0;
	assert_string_equal(line + strspn(line, "\t "), expected);
}

static unsigned descriptors_of(pid_t pid)
{
	char path[64];
	unsigned n = 0;
	struct dirent *e;
	DIR *d;

	snprintf(path, sizeof path, "/proc/%d/fd", pid);
	d = opendir(path);
	if (!d)
		return 1;	/* not ours to see: a process that is not dumpable */
	while ((e = readdir(d)))
		n += e->d_name[0] != '.';
	closedir(d);
	return n;
}

static void what_a_child_has(void **state)
{
	(void)state;
	pid_t pid;
	int job = begun(&pid);

	a_line_of(pid, "Seccomp:", "2");
	a_line_of(pid, "Seccomp_filters:", "2");	/* the server's and its own */
	a_line_of(pid, "NoNewPrivs:", "1");
	a_line_of(pid, "CapEff:", "0000000000000000");
	a_line_of(pid, "CapBnd:", "0000000000000000");
	a_line_of(pid, "Threads:", "1");
	assert_int_equal(descriptors_of(pid), 1);
	a_line_of(server, "Seccomp:", "2");
	a_line_of(server, "CapEff:", "0000000000000000");
	close(job);
	wait_for_children(0);
}

/* Makes a child that waits in read() do another system call instead. */
static int made_to_call(pid_t pid, unsigned long long number, unsigned long long a, unsigned long long b,
			unsigned long long c)
{
	struct user_regs_struct r;
	int status;

	assert_int_equal(ptrace(PTRACE_SEIZE, pid, NULL, NULL), 0);
	assert_int_equal(ptrace(PTRACE_INTERRUPT, pid, NULL, NULL), 0);
	assert_int_equal(waitpid(pid, &status, __WALL), pid);
	assert_int_equal(ptrace(PTRACE_GETREGS, pid, NULL, &r), 0);
	r.rip -= 2;		/* the instruction that it is in */
	r.rax = number;
	r.orig_rax = ~0ull;	/* no restart */
	r.rdi = a;
	r.rsi = b;
	r.rdx = c;
	assert_int_equal(ptrace(PTRACE_SETREGS, pid, NULL, &r), 0);
	assert_int_equal(ptrace(PTRACE_CONT, pid, NULL, NULL), 0);
	assert_int_equal(waitpid(pid, &status, __WALL), pid);
	return status;
}

/* A captured job: whatever it tries beyond its socket and its memory is its end. */
static void what_kills_a_child(void **state)
{
	(void)state;
	static const unsigned long long calls[][4] = {
		{ SYS_open, 0, O_RDONLY, 0 }, { SYS_openat, (unsigned long long)-100, 0, O_RDONLY },
		{ SYS_socket, AF_INET, SOCK_STREAM, 0 }, { SYS_socketpair, AF_UNIX, SOCK_STREAM, 0 },
		{ SYS_execve, 0, 0, 0 }, { SYS_execveat, 0, 0, 0 }, { SYS_clone, SIGCHLD, 0, 0 },
		{ SYS_fork, 0, 0, 0 },
		{ SYS_clone3, 0, 0, 0 }, { SYS_kill, 1, 9, 0 }, { SYS_ptrace, 0, 0, 0 },
		{ SYS_prctl, PR_SET_DUMPABLE, 1, 0 },
		{ SYS_dup, 3, 0, 0 }, { SYS_pipe2, 0, 0, 0 }, { SYS_memfd_create, 0, 0, 0 },
		{ SYS_sendmsg, 3, 0, 0 },
		{ SYS_recvmsg, 3, 0, 0 }, { SYS_ioctl, 3, 0, 0 }, { SYS_fcntl, 3, 0, 0 },
		{ SYS_mprotect, 0, 4096, 5 },
		{ SYS_mmap, 0, 4096, PROT_READ | PROT_EXEC }, { SYS_seccomp, 1, 0, 0 },
		{ SYS_prlimit64, 0, 0, 0 },
		{ SYS_clock_gettime, 0, 0, 0 }, { SYS_unshare, 0, 0, 0 }, { SYS_io_uring_setup, 0, 0, 0 },
	};

	if (geteuid() != 0)
		skip();		/* who may trace what is not dumpable */
	for (size_t i = 0; i < sizeof calls / sizeof *calls; i++) {
		pid_t pid;
		int job = begun(&pid);
		int status = made_to_call(pid, calls[i][0], calls[i][1], calls[i][2], calls[i][3]);

		if (!WIFSIGNALED(status) || WTERMSIG(status) != SIGSYS)
			fail_msg("system call %llu: status %x", calls[i][0], (unsigned)status);
		close(job);
		wait_for_children(0);
	}
}

static void the_server_is_confined(void **state)
{
	(void)state;
	pid_t pid;
	int fd, status;

	if (geteuid() != 0)
		skip();
	pid = decoder_start(&fd);
	for (int i = 0; i < 100; i++) {	/* it waits in poll() then */
		int job = decoder_ask(fd);

		decoder_say_job(job, DECODER_GZIP);
		assert_true(decoder_say(job, DECODER_DATA, STR("x")));
		recv(job, &(char){ 0 }, 1, 0);
		close(job);
	}
	for (int i = 0; i < 500 && !waits(pid); i++)
		usleep(10000);
	status = made_to_call(pid, SYS_execve, 0, 0, 0);
	assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGSYS);
	close(fd);
}

/* The asker hangs up: whatever the child is doing, it ends. */
static void hanging_up(void **state)
{
	(void)state;
	pid_t pid;
	int job = begun(&pid), more[20];

	close(job);
	wait_for_children(0);
	for (size_t i = 0; i < 20; i++) {
		more[i] = begun(&pid);
		assert_int_equal(children(), i + 1);
	}
	for (size_t i = 0; i < 20; i++)
		close(more[i]);
	wait_for_children(0);
}

/* One child's death is nobody else's. */
static void a_child_that_dies(void **state)
{
	(void)state;
	pid_t first, second;
	int a = begun(&first), b = begun(&second);
	auto_buf output = BUF_EMPTY;

	buf_init(&output, 1000);
	assert_int_equal(kill(first, SIGKILL), 0);
	wait_for_children(1);
	assert_int_equal(first == child_of_server(0), 0);
	bool one = recv(a, &(char){ 0 }, 1, MSG_DONTWAIT) == 0,
	    other = recv(b, &(char){ 0 }, 1, MSG_DONTWAIT) == 0;
	assert_true(one != other);
	int alive = one ? b : a;
	assert_true(decoder_say(alive, DECODER_END, STR("")));
	assert_int_equal(decoder_rest(alive, &output), DECODER_END);
	close(a);
	close(b);
	wait_for_children(0);
}

static void packets_of_another_form(void **state)
{
	(void)state;
	pid_t pid;

	assert_int_equal(send(server_fd, "no descriptor", 13, MSG_NOSIGNAL), 13);
	assert_int_equal(send(server_fd, "", 1, MSG_NOSIGNAL), 1);
	int job = begun(&pid);

	close(job);
	wait_for_children(0);
}

static void a_message_that_is_none(void **state)
{
	(void)state;
	static const char bad[] = "\1\1\1\1\1\1\1\1";
	int job = decoder_ask(server_fd);

	assert_int_equal(send(job, bad, 8, MSG_NOSIGNAL), 8);
	assert_int_equal(recv(job, &(char){ 0 }, 1, 0), 0);
	close(job);
	wait_for_children(0);
}

/* The server's end is its children's. */
static void the_server_dies(void **state)
{
	(void)state;
	pid_t pid;
	int fd, job;
	auto_buf output = BUF_EMPTY;

	buf_init(&output, 1000);
	pid = decoder_start(&fd);
	job = decoder_ask(fd);
	decoder_say_job(job, DECODER_AWS_CHUNKED);
	assert_true(decoder_say(job, DECODER_DATA, STR("1\r\nx\r\n")));
	assert_int_equal(decoder_hear(job, &output), DECODER_DATA);
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	assert_int_equal(decoder_rest(job, &output), 0);
	close(job);
	close(fd);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(jobs_in_children), cmocka_unit_test(a_job_that_fails_says_so),
		cmocka_unit_test(what_a_child_has), cmocka_unit_test(what_kills_a_child),
		cmocka_unit_test(the_server_is_confined), cmocka_unit_test(hanging_up),
		cmocka_unit_test(a_child_that_dies), cmocka_unit_test(packets_of_another_form),
		cmocka_unit_test(a_message_that_is_none), cmocka_unit_test(the_server_dies),
	};
	return cmocka_run_group_tests(tests, start, stop);
}
