/* peer.c - see peer.h */
#include "harness/peer.h"

#include "base/clock.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

bool peer_start(struct peer *p, const struct machine_ops *ops, const char *image, int stderr_fd)
{
	struct machine_spec spec = { .name = "test", .image = image, .memory_bytes = 1024ull << 20, .cpus = 2,
				     .stderr_fd = stderr_fd, .run_directory = "/tmp" };
	struct link_limits limits = LINK_LIMITS_DEFAULT;
	auto_buf text = BUF_EMPTY;
	enum err e;

	limits.streams_max = 2048;
	*p = (struct peer){ .ops = ops };
	buf_init(&text, 1024);
	for (int i = 0; i < MACHINE_PORTS; i++) {
		int ends[2];

		if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends))
			return false;
		p->fd[i] = ends[0];
		spec.ports[i] = ends[1];
		fcntl(ends[0], F_SETFL, O_NONBLOCK);
		p->link[i] = link_new(LINK_UPPER, &limits);
	}
	e = ops->start(&spec, &p->machine, &text);
	for (int i = 0; i < MACHINE_PORTS; i++)
		close(spec.ports[i]);
	if (e)
		fprintf(stderr, "start: %s: %.*s\n", err_name(e), STR_FMT(buf_str(&text)));
	return !e;
}

static void receive(struct peer *p, enum machine_port port)
{
	static char bytes[MACHINE_PORTS][65536];
	ssize_t n = read(p->fd[port], bytes[port], sizeof bytes[port]);
	struct link_frame f;
	struct str s;
	enum err e;

	if (n < 0 && errno == EAGAIN)
		return;
	if (n <= 0) {
		p->lost = true;
		return;
	}
	s = str_make(bytes[port], (size_t)n);
	while ((e = link_receive(p->link[port], &s, &f)) == ERR_OK) {
		if (f.type == LINK_HELLO)
			p->hello[port] = true;
		else if (p->frame)
			p->frame(p, port, &f);
		if (f.type == LINK_DATA || f.type == LINK_HEAD)
			link_consumed(p->link[port], f.stream, f.payload.n);
	}
	if (e != ERR_MORE) {
		fprintf(stderr, "link on port %d: %s\n", (int)port, err_name(e));
		p->lost = true;
	}
}

static void send_all(struct peer *p, int port)
{
	struct str out = link_output(p->link[port]);
	ssize_t n = out.n ? send(p->fd[port], out.p, out.n, MSG_NOSIGNAL) : 0;

	if (n > 0)
		link_sent(p->link[port], (size_t)n);
	else if (n < 0 && errno != EAGAIN)
		p->lost = true;
}

bool peer_step(struct peer *p, int ms)
{
	struct pollfd fds[MACHINE_PORTS];

	for (int i = 0; i < MACHINE_PORTS; i++) {
		send_all(p, i);
		fds[i] = (struct pollfd){ .fd = p->fd[i], .events = POLLIN };
		if (link_output(p->link[i]).n)
			fds[i].events |= POLLOUT;
	}
	if (poll(fds, MACHINE_PORTS, ms) < 0)
		return !p->lost;
	for (int i = 0; i < MACHINE_PORTS && !p->lost; i++)
		if (fds[i].revents & (POLLIN | POLLHUP))
			receive(p, (enum machine_port)i);
	for (int i = 0; i < MACHINE_PORTS; i++)
		send_all(p, i);
	return !p->lost;
}

bool peer_until(struct peer *p, const bool *flag, int ms)
{
	uint64_t deadline = clock_ms() + (uint64_t)ms;

	while (!*flag && clock_ms() < deadline)
		if (!peer_step(p, 50))
			return *flag;
	return *flag;
}

static bool config_done, config_ok;

static void config_frame(struct peer *p, enum machine_port port, const struct link_frame *f)
{
	struct msg_status m;

	(void)p;
	if (port != MACHINE_CONTROL || f->type != LINK_HEAD || (f->stream & 1) ||
	    msg_get_status(f->payload, &m))
		return;
	config_done = true;
	config_ok = m.has_result && m.result == ERR_OK;
	if (!config_ok)
		fprintf(stderr, "configuration: %s %.*s: %s\n", err_name(m.result), STR_FMT(m.text),
			strerror((int)m.error_number));
}

bool peer_configure(struct peer *p, const struct msg_config *m, int ms)
{
	void (*before)(struct peer *, enum machine_port, const struct link_frame *) = p->frame;
	uint32_t stream;
	auto_buf b = BUF_EMPTY;

	config_done = config_ok = false;
	buf_init(&b, LINK_PAYLOAD_MAX);
	msg_put_config(&b, m);
	if (!peer_until(p, &p->hello[MACHINE_CONTROL], ms) || buf_err(&b) ||
	    link_open(p->link[MACHINE_CONTROL], LINK_KIND_CONFIG, (struct str){ 0 }, &stream) ||
	    link_head(p->link[MACHINE_CONTROL], stream, buf_str(&b)))
		return false;
	link_end(p->link[MACHINE_CONTROL], stream);
	if (!before)
		p->frame = config_frame;
	peer_until(p, &config_done, ms);
	p->frame = before;
	return config_ok;
}

bool peer_exec(struct peer *p, struct peer_run *r, const char *const *argv, const char *const *env,
	       bool terminal, const char *input)
{
	static struct msg_exec m;
	struct link *l = p->link[MACHINE_CONTROL];
	auto_buf b = BUF_EMPTY;

	m = (struct msg_exec){ .terminal = terminal, .rows = 24, .columns = 80 };
	*r = (struct peer_run){ .exit_code = -1, .exit_signal = -1 };
	buf_init(&r->out, 16u << 20);
	buf_init(&r->err, 1u << 20);
	for (; *argv; argv++)
		m.arguments[m.argument_count++] = str_of(*argv);
	for (; env && *env; env++)
		m.environment[m.environment_count++] = str_of(*env);
	buf_init(&b, LINK_PAYLOAD_MAX);
	msg_put_exec(&b, &m);
	if (buf_err(&b) || link_open(l, LINK_KIND_EXEC, (struct str){ 0 }, &r->stream) ||
	    link_head(l, r->stream, buf_str(&b)))
		return false;
	if (input && *input && link_data(l, r->stream, 0, str_of(input)))
		return false;
	if (input)
		link_end(l, r->stream);
	return true;
}

bool peer_exec_frame(struct peer *p, struct peer_run *r, enum machine_port port, const struct link_frame *f)
{
	struct msg_status m;

	(void)p;
	if (port != MACHINE_CONTROL || f->stream != r->stream)
		return false;
	if (f->type == LINK_DATA)
		buf_put(f->flags & LINK_FLAG_STDERR ? &r->err : &r->out, f->payload);
	if (f->type == LINK_HEAD && !msg_get_status(f->payload, &m)) {
		if (m.has_started)
			r->started_ms = clock_ms();
		r->started |= m.has_started;
		r->error_number = m.has_result ? (int)m.error_number : r->error_number;
		r->exit_code = m.has_exit_code ? m.exit_code : r->exit_code;
		r->exit_signal = m.has_exit_signal ? m.exit_signal : r->exit_signal;
	}
	if (f->type == LINK_END || f->type == LINK_RESET) {
		r->over = true;
		r->over_ms = clock_ms();
		link_end(p->link[MACHINE_CONTROL], r->stream);
	}
	return true;
}

void peer_stop(struct peer *p)
{
	if (p->machine) {
		p->ops->kill(p->machine);
		waitpid(p->ops->pid(p->machine), NULL, 0);
		p->ops->free(p->machine);
	}
	for (int i = 0; i < MACHINE_PORTS; i++) {
		close(p->fd[i]);
		link_free(p->link[i]);
	}
	p->machine = NULL;
}
