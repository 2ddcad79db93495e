/* server.c - the fork server: a fresh, confined child for each job
 *
 * Theory of operation: the server waits for packets of one byte with one end of a stream socket, and for
 * children that have ended. For each packet it forks; the child keeps that socket and nothing else, lowers
 * its limits, loads a filter that leaves it read, write, exit and memory, and only then reads its first byte.
 * So a job begins with a clean memory image, cannot see another's, and what it was made to do by what it read
 * ends with it. The server itself never reads a byte of a body. It has a pid namespace of its own, so that
 * its end is theirs.
 * Bytes: packets come from the courier; one that is not of the form is dropped, with what came in it.
 * Failure: a job that cannot be had is a closed socket, which its asker takes for a refusal (I8). Over
 * CHILDREN_HELD at once the same: the courier asks for DECODER_CHILDREN_MAX at most, the rest are those about
 * to end. Limits of a child: DECODER_CPU_S of CPU, DECODER_MEMORY_MAX of address space, no further
 * descriptor, process or file.
 */
#include "decoder/server.h"

#include "base/auto.h"
#include "decoder/job.h"
#include "os/confine.h"
#include "os/fd.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/wait.h>

#define CHILDREN_HELD (2u * DECODER_CHILDREN_MAX)
#define READ_BYTES (DECODER_HEADER_BYTES + DECODER_PAYLOAD_MAX)

/* A sanitizer reserves terabytes of addresses. */
#if defined(__SANITIZE_ADDRESS__)
#define SANITIZED 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define SANITIZED 1
#endif
#endif
#ifndef SANITIZED
#define SANITIZED 0
#endif

static struct confine_filter filter;
static int children_fd = -1;	/* readable when a child has ended */
static unsigned children;

enum err server_prepare(void)
{
	enum err e = job_prepare();
	sigset_t ended;

	if (e)
		return e;
	sigemptyset(&ended);
	sigaddset(&ended, SIGCHLD);
	if (sigprocmask(SIG_BLOCK, &ended, NULL))
		return ERR_LOCAL;
	children_fd = signalfd(-1, &ended, SFD_CLOEXEC | SFD_NONBLOCK);
	if (children_fd < 0)
		return ERR_LOCAL;
	return confine_seccomp_make(CONFINE_JOB, &filter);
}

/* ---- the child ---- */

static bool lower(__rlimit_resource_t what, rlim_t to)
{
	const struct rlimit limit = { to, to };

	return setrlimit(what, &limit) == 0;
}

static bool confine_child(int fd)
{
	if (prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0) || (fd > 0 && close_range(0, (unsigned)fd - 1, 0)) ||
	    close_range((unsigned)fd + 1, ~0u, 0))
		return false;
	if (!lower(RLIMIT_CPU, DECODER_CPU_S) || !lower(RLIMIT_NPROC, 0) || !lower(RLIMIT_FSIZE, 0) ||
	    !lower(RLIMIT_NOFILE, 0) || (!SANITIZED && !lower(RLIMIT_AS, DECODER_MEMORY_MAX)))
		return false;
	return confine_seccomp_load(&filter) == ERR_OK;
}

static bool write_all(void *user, struct str s) { return fd_write(*(const int *)user, s) == ERR_OK; }

/* The messages that are whole in @b, given to the job; false: it is over. */
static bool give(struct job *j, struct buf *b)
{
	struct str input = buf_str(b), payload;
	enum decoder_type type;
	enum err e;

	while ((e = decoder_next(&input, &type, &payload)) == ERR_OK)
		if (job_message(j, type, payload) != ERR_OK)
			return false;
	buf_drop(b, b->len - input.n);
	return e == ERR_MORE;
}

static void run_job(int fd)
{
	const struct job_sink sink = { write_all, &fd };
	struct job *j = job_new(&sink);
	auto_buf in = BUF_EMPTY;
	bool goes_on = j != NULL;

	buf_init(&in, READ_BYTES);
	while (goes_on && buf_reserve(&in, buf_room(&in)) == ERR_OK) {
		ssize_t n = read(fd, buf_tail(&in), buf_room(&in));

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			break;
		in.len += (size_t)n;
		goes_on = give(j, &in);
	}
	job_free(j);
}

/* ---- the server ---- */

static void serve(int fd)
{
	pid_t pid = children < CHILDREN_HELD ? fork() : -1;

	if (pid == 0) {
		if (confine_child(fd))
			run_job(fd);
		_exit(0);
	}
	if (pid > 0)
		children++;
}

static void reap(void)
{
	struct signalfd_siginfo ended[16];

	while (read(children_fd, ended, sizeof ended) > 0)
		;
	while (waitpid(-1, NULL, WNOHANG) > 0)
		if (children)
			children--;
}

enum err server_run(int fd)
{
	struct pollfd wait[] = { { fd, POLLIN, 0 }, { children_fd, POLLIN, 0 } };

	while (true) {
		auto_fd given = -1;
		char byte = 0;
		size_t n;
		enum err e;

		if (poll(wait, 2, -1) < 0 && errno != EINTR)
			return ERR_LOCAL;
		reap();
		e = fd_receive(fd, &byte, 1, &n, &given);
		if (e == ERR_CLOSED)
			return e;
		if (given >= 0)
			serve(given);
	}
}
