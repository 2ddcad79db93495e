/* captured.c - stands in for paddock-init: a guest that is wholly the attacker's, on all three ports
 *
 * What it does is the ending of its own file's name (captured.MODE), since a guest gets no arguments. It is
 * polite as far as the mode needs, then breaks the one rule that it is named after, and goes on for ever:
 * the host must end the run, or the test's SIGTERM must, within its time.
 */
#include "base/buf.h"
#include "wire/link.h"
#include "wire/msg.h"

#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

enum { NET = 3, CONTROL, FILES };

static char mode[64];

static bool is(const char *name) { return !strcmp(mode, name); }

static void put_all(int fd, const char *p, size_t n)
{
	while (n > 0) {
		ssize_t done = write(fd, p, n);

		if (done <= 0)
			for (;;)
				pause();	/* the host hung up; it is for it to end us */
		p += done;
		n -= (size_t)done;
	}
}

static void frame(int fd, uint32_t stream, uint8_t type, uint8_t flags, uint32_t claimed, struct str payload)
{
	static char bytes[LINK_HEADER_BYTES + LINK_PAYLOAD_MAX];
	const uint32_t words[] = { stream, (uint32_t)type | (uint32_t)flags << 8, claimed };

	memcpy(bytes, words, sizeof words);
	if (payload.n)
		memcpy(bytes + sizeof words, payload.p, payload.n);
	put_all(fd, bytes, sizeof words + payload.n);
}

static void send_frame(int fd, uint32_t stream, uint8_t type, struct str payload)
{
	frame(fd, stream, type, 0, (uint32_t)payload.n, payload);
}

static void hello(int fd)
{
	static const char body[] = "PDLK\1\0\0\0\0\0\4\0\0\4\0\0";	/* 256 KiB, 1024 streams */

	send_frame(fd, 0, LINK_HELLO, str_make(body, sizeof body - 1));
}

static bool take_all(int fd, char *p, size_t n)
{
	while (n > 0) {
		ssize_t done = read(fd, p, n);

		if (done <= 0)
			return false;
		p += done;
		n -= (size_t)done;
	}
	return true;
}

/* Waits for a frame of @type on the control port: its stream. */
static uint32_t await(uint8_t type, uint8_t kind)
{
	static char payload[LINK_PAYLOAD_MAX];
	uint32_t head[3];

	while (take_all(CONTROL, (char *)head, sizeof head) && head[2] <= sizeof payload &&
	       take_all(CONTROL, payload, head[2]))
		if ((head[1] & 255) == type && (!kind || payload[0] == (char)kind))
			return head[0];
	for (;;)
		pause();
}

static void status(uint32_t stream, const struct msg_status *m)
{
	auto_buf b = BUF_EMPTY;

	buf_init(&b, 1024);
	msg_put_status(&b, m);
	send_frame(CONTROL, stream, LINK_HEAD, buf_str(&b));
}

/* Up to the running command, as paddock-init would. */
static uint32_t begin(void)
{
	uint32_t stream;

	hello(NET);
	hello(CONTROL);
	hello(FILES);
	if (is("silent-after-hello"))
		for (;;)
			pause();
	stream = await(LINK_OPEN, LINK_KIND_CONFIG);
	if (is("never-configured"))
		for (;;)
			pause();
	status(stream, &(struct msg_status){ .has_result = true });
	send_frame(CONTROL, stream, LINK_END, STR(""));
	stream = await(LINK_OPEN, LINK_KIND_EXEC);
	status(stream, &(struct msg_status){ .has_started = true, .pid = 7 });
	return stream;
}

static void flood(int fd, uint32_t stream, uint8_t type, uint32_t step, struct str payload)
{
	for (;; stream += step)
		send_frame(fd, stream, type, payload);
}

static void claims(void)
{
	struct msg_claim m = { .kind = CLAIM_EXEC, .text = STR("\x1b]52;c;eA==\a forged") };
	auto_buf b = BUF_EMPTY;

	buf_init(&b, 1024);
	msg_put_claim(&b, &m);
	send_frame(CONTROL, 1, LINK_OPEN, STR("\x28"));
	flood(CONTROL, 1, LINK_HEAD, 0, buf_str(&b));
}

static void attack(uint32_t exec)
{
	static char zeros[LINK_PAYLOAD_MAX];
	const struct str most = { zeros, sizeof zeros };

	if (is("hello-twice"))
		hello(CONTROL);
	if (is("hello-twice-net"))
		hello(NET);
	if (is("hello-twice-files"))
		hello(FILES);
	if (is("output-without-credit"))
		flood(CONTROL, exec, LINK_DATA, 0, most);
	if (is("too-long"))
		frame(CONTROL, exec, LINK_DATA, 0, UINT32_MAX, most);
	if (is("opens-control"))
		flood(CONTROL, 1, LINK_OPEN, 2, STR("\x28"));
	if (is("opens-net"))
		flood(NET, 1, LINK_OPEN, 2, STR("\1"));
	if (is("opens-files"))
		flood(FILES, 1, LINK_OPEN, 2, STR("\x30"));
	if (is("claims"))
		claims();
	if (is("exit-twice")) {
		status(exec, &(struct msg_status){ .has_exit_code = true, .exit_code = 3 });
		status(exec, &(struct msg_status){ .has_exit_code = true, .exit_code = 4 });
		send_frame(CONTROL, exec, LINK_END, STR(""));
	}
	if (is("exit-and-flood")) {
		status(exec, &(struct msg_status){ .error_number = 2 });
		flood(CONTROL, exec, LINK_DATA, 0, str_make(zeros, 100));
	}
	if (is("fuse-length")) {
		send_frame(FILES, 1, LINK_OPEN, STR("\x30"));
		send_frame(FILES, 1, LINK_DATA, STR("\xff\xff\xff\x7fxxxx"));
	}
	if (is("fuse-before-init")) {
		send_frame(FILES, 1, LINK_OPEN, STR("\x30"));
		send_frame(FILES, 1, LINK_DATA, STR("\x28\0\0\0\3\0\0\0\1\0\0\0\0\0\0\0\1\0\0\0\0\0\0\0"
						    "\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0"));
	}
	if (is("garbage"))
		put_all(FILES, "\xde\xad\xbe\xef\xde\xad\xbe\xef\xde\xad\xbe\xef", 12);
}

int main(void)
{
	char self[4096];
	ssize_t n = readlink("/proc/self/exe", self, sizeof self - 1);
	const char *dot;

	signal(SIGPIPE, SIG_IGN);
	self[n > 0 ? n : 0] = '\0';
	dot = strstr(self, "captured.");
	if (!dot || strlen(dot) - 9 >= sizeof mode)
		return 1;
	memcpy(mode, dot + 9, strlen(dot) - 8);
	*strchrnul(mode, ' ') = '\0';	/* "(deleted)" */
	if (!is("silent"))
		attack(begin());
	for (;;)
		pause();
}
