/* decoder_client.h - the real paddock-decoder, started as a supervisor would, and jobs on it, spoken by hand
 *
 * Included by the tests that need it.
 */
#pragma once

#include "decoder/decoder.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

static const char *decoder_program(void)
{
	static char path[4200];
	ssize_t n = readlink("/proc/self/exe", path, 4096);
	char *slash = n > 0 ? memrchr(path, '/', (size_t)n) : NULL;

	assert_non_null(slash);
	snprintf(slash + 1, sizeof path - (size_t)(slash + 1 - path), "paddock-decoder");
	return path;
}

/* Starts it; *ret_fd is the courier's end. */
static pid_t decoder_start(int *ret_fd)
{
	int pair[2];
	pid_t pid;

	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair), 0);
	pid = fork();
	if (pid == 0) {
		char *const argv[] = { (char[]){ "paddock-decoder" }, NULL };
		char *const env[] = { (char[]){ "PADDOCK_LOG=error" },
				      (char[]){ "ASAN_OPTIONS=detect_leaks=0:abort_on_error=1" }, NULL };

		dup2(pair[1], 3);
		close_range(4, ~0u, 0);
		execve(decoder_program(), argv, env);
		_exit(127);
	}
	close(pair[1]);
	*ret_fd = pair[0];
	return pid;
}

/* One end of a new job's socket to the decoder, the other to the caller. */
static int decoder_ask(int fd)
{
	union {
		struct cmsghdr align;
		char bytes[CMSG_SPACE(sizeof(int))];
	} control = { .bytes = { 0 } };
	struct iovec iov = { (char[]){ "j" }, 1 };
	struct msghdr m = { .msg_iov = &iov, .msg_iovlen = 1, .msg_control = control.bytes,
			    .msg_controllen = sizeof control.bytes };
	struct cmsghdr *c = CMSG_FIRSTHDR(&m);
	int pair[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
	c->cmsg_level = SOL_SOCKET;
	c->cmsg_type = SCM_RIGHTS;
	c->cmsg_len = CMSG_LEN(sizeof(int));
	memcpy(CMSG_DATA(c), &pair[1], sizeof(int));
	assert_int_equal(sendmsg(fd, &m, MSG_NOSIGNAL), 1);
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
	while ((type = decoder_hear(job, &payload)) == DECODER_DATA || type == DECODER_MARK || type == DECODER_FACT)
		if (type == DECODER_DATA)
			buf_put(output, buf_str(&payload));
	return type;
}
