/* init.c - paddock-init: PID 1 of a sandbox
 *
 * Theory of operation: in a virtual machine the kernel starts it, in a namespace sandbox
 * (argument --namespace) the driver does, with the three ports as descriptors 3, 4, 5 and
 * the tree of world.h already there. It sets up the network, says HELLO on each port, and
 * then only reacts: CONFIG builds the agent's world, EXEC starts a command in it, each
 * connection and query of the agent's goes out over the net port, each access to the
 * workspace over the files port. It informs (which process asks) and never decides.
 *
 * One thread, no allocation but for streams, every queue bounded. What it trusts: its host.
 * What it does not: every process of the agent's, which can reach it only through the
 * listeners, through /dev/fuse, and through the far ends of pipes and terminals.
 *
 * Failure (I8): anything unexpected, a lost port included, ends the machine: without PID 1 there
 * is neither network nor workspace, and nothing is left open.
 */
#include "base/auto.h"
#include "base/log.h"
#include "guest/boot.h"
#include "guest/command.h"
#include "guest/dns.h"
#include "guest/netlink.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/reboot.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define FILES_MAX 524288
#define PORT_FIRST 3	/* descriptors of a namespace sandbox: net, control, files */

enum { PORT_NET, PORT_CONTROL, PORT_FILES };

struct init {
	struct loop loop;
	struct port ports[BOOT_PORTS];
	struct watch children;		/* signalfd */
	struct guest_net net;
	struct world world;
	struct commands commands;
	bool machine;			/* in a VM, not a namespace */
	bool net_ready, files_ready;	/* who is there: the command must not come before the network */
	struct stream config_stream;
	uint32_t config;		/* CONFIG stream, until it is answered */
	struct buf config_text;
};

static struct init init;	/* what it controls is this process, and there is one */

static _Noreturn void end_machine(const char *what, int error_number)
{
	log_error("%s: %s", what, strerror(error_number));
	if (init.machine) {
		reboot(RB_AUTOBOOT);	/* with -no-reboot the machine is over */
		abort();		/* a PID 1 that dies is a panic, which ends it too */
	}
	_exit(1);
}

static void lost(struct port *p, enum err why)
{
	static const char *const names[] = { "net port", "control port", "files port" };
	size_t n = (size_t)(p - init.ports);

	if (p == &init.ports[PORT_CONTROL] && why == ERR_CLOSED)
		log_note("the control port was closed");
	end_machine(names[n], why == ERR_CLOSED ? EPIPE : EPROTO);
}

/* -- children ------------------------------------------------------------------------------- */

static void reap(struct watch *w, uint32_t events)
{
	struct signalfd_siginfo info;
	int status;
	pid_t pid;

	(void)events;
	while (read(w->fd, &info, sizeof info) > 0)
		;
	while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {
		if (pid == init.world.keeper && init.world.ready)
			end_machine("the keeper of the agent's world has ended", ECHILD);
		command_reaped(pid, status);
	}
}

static bool watch_children(void)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGCHLD);
	signal(SIGPIPE, SIG_IGN);
	if (sigprocmask(SIG_BLOCK, &set, NULL))
		return false;
	init.children = (struct watch){ .fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK), .ready = reap };
	return init.children.fd >= 0 && !loop_watch(&init.loop, &init.children, EPOLLIN);
}

/* -- CONFIG ----------------------------------------------------------------------------------- */

static void config_answer(enum err e, int error_number, struct str text)
{
	struct link *l = init.ports[PORT_CONTROL].link;
	struct msg_status m = { .has_result = true, .result = e, .error_number = (uint32_t)error_number,
				.text = str_head(text, 512) };
	auto_buf b = BUF_EMPTY;

	buf_init(&b, 1024);
	msg_put_status(&b, &m);
	if (buf_err(&b) || !link_is_open(l, init.config) || link_head(l, init.config, buf_str(&b)))
		end_machine("the configuration could not be answered", EPROTO);
	link_end(l, init.config);
	link_set_user(l, init.config, NULL);
	buf_free(&init.config_text);
	port_flush(&init.ports[PORT_CONTROL]);
}

static void world_done(struct world *w, enum err e, int error_number, struct str text)
{
	(void)w;
	if (e)
		log_error("the agent's world: %.*s: %s", STR_FMT(text), strerror(error_number));
	config_answer(e, error_number, text);
}

static enum err config_apply(const struct msg_config *m)
{
	if (m->hostname.n && (m->hostname.n > 63 || sethostname(m->hostname.p, m->hostname.n)))
		return ERR_LOCAL;
	if (init.machine && m->time_ns && boot_clock(m->time_ns))
		return ERR_LOCAL;
	if (init.machine && m->seed.n && boot_entropy(m->seed))
		return ERR_LOCAL;
	return ERR_OK;
}

/* The configuration is there, the network's end, and the workspace's server if there is one: build. */
static void config_try(void)
{
	static struct msg_config m;

	if (!init.config_text.len || init.world.keeper)
		return;
	if (msg_get_config(buf_str(&init.config_text), &m)) {
		config_answer(ERR_LINK_MALFORMED, 0, STR("malformed configuration"));
		return;
	}
	if (!init.net_ready || (m.mount_count && !init.files_ready))
		return;
	if (config_apply(&m) || world_start(&init.world, &m, init.net.uid_base == 0)) {
		config_answer(ERR_LOCAL, errno, STR("configuration"));
		init.world.keeper = -1;
	}
}

static void config_frame(struct stream *s, const struct link_frame *f)
{
	(void)s;
	if (f->type == LINK_END)
		return;
	if (f->type != LINK_HEAD || init.config_text.len)
		end_machine("configuration out of order", EPROTO);
	link_consumed(init.ports[PORT_CONTROL].link, f->stream, f->payload.n);
	buf_put(&init.config_text, f->payload);
	config_try();
}

static void config_resume(struct stream *s) { (void)s; }

/* -- ports ------------------------------------------------------------------------------------- */

static void control_opened(struct port *p, const struct link_frame *f)
{
	if (f->kind == LINK_KIND_EXEC) {
		command_open(&init.commands, f->stream);
	} else if (f->kind == LINK_KIND_CONFIG && !init.config) {
		init.config = f->stream;
		init.config_stream = (struct stream){ .frame = config_frame, .resume = config_resume };
		link_set_user(p->link, f->stream, &init.config_stream);
	} else {
		link_reset(p->link, f->stream, ERR_STATE);
	}
}

static void control_ready(struct port *p)
{
	/* without it there are no claims of commands; the host refuses it if it wants none */
	if (link_open(p->link, LINK_KIND_EVENTS, (struct str){ 0 }, &init.commands.events))
		init.commands.events = 0;
}

static void net_ready(struct port *p)
{
	(void)p;
	init.net_ready = true;
	config_try();
}

static void files_ready(struct port *p)
{
	(void)p;
	init.files_ready = true;
	config_try();
}

/* With only one id mapped, the agent's root can be no other than ours. */
static bool range_is_mapped(void)
{
	auto_fd fd = open("/proc/self/uid_map", O_RDONLY | O_CLOEXEC);
	uint64_t last = 0;
	char text[256];
	ssize_t n = fd < 0 ? -1 : read(fd, text, sizeof text);
	struct str s = n > 0 ? str_head(str_make(text, (size_t)n), str_find(str_make(text, (size_t)n), '\n'))
			     : STR("");

	for (size_t i = s.n; i > 0; i--)	/* "inside outside count" */
		if (s.p[i - 1] == ' ') {
			if (!str_decimal(str_from(s, i), UINT32_MAX, &last))
				return false;
			break;
		}
	return last >= (uint64_t)WORLD_UID_BASE + WORLD_UID_COUNT;
}

static const char *start(int fds[BOOT_PORTS])
{
	struct rlimit files = { FILES_MAX, FILES_MAX };

	if (setrlimit(RLIMIT_NOFILE, &files)) {	/* no power to raise it: as far as it goes */
		if (getrlimit(RLIMIT_NOFILE, &files))
			return "limits";
		files.rlim_cur = files.rlim_max;
		if (setrlimit(RLIMIT_NOFILE, &files))
			return "limits";
	}
	if (loop_init(&init.loop) || !watch_children())
		return "event loop";
	for (int i = 0; i < BOOT_PORTS; i++) {
		struct link_limits limits = LINK_LIMITS_DEFAULT;

		limits.streams_max = RELAY_CONNECTIONS_MAX + DNS_QUERIES_MAX + 16;
		if (port_init(&init.ports[i], &init.loop, fds[i], &limits))
			return "ports";
		init.ports[i].lost = lost;
	}
	buf_init(&init.config_text, LINK_PAYLOAD_MAX);
	init.net = (struct guest_net){ .loop = &init.loop, .port = &init.ports[PORT_NET],
				       .uid_base = range_is_mapped() ? WORLD_UID_BASE : 0 };
	init.world = (struct world){ .watch.fd = -1, .loop = &init.loop, .files = &init.ports[PORT_FILES],
				     .done = world_done };
	init.commands = (struct commands){ .loop = &init.loop, .control = &init.ports[PORT_CONTROL],
					   .world = &init.world };
	init.ports[PORT_CONTROL].opened = control_opened;
	init.ports[PORT_NET].ready = net_ready;
	init.ports[PORT_CONTROL].ready = control_ready;
	init.ports[PORT_FILES].ready = files_ready;
	if (netlink_setup())
		return "network";
	if (relay_listen(&init.net) || dns_listen(&init.net))
		return "listeners";
	for (int i = 0; i < BOOT_PORTS; i++)
		port_flush(&init.ports[i]);
	return NULL;
}

int main(int argc, char **argv)
{
	int fds[BOOT_PORTS] = { PORT_FIRST, PORT_FIRST + 1, PORT_FIRST + 2 };
	const char *step = NULL;

	log_init("paddock-init");
	init.machine = !(argc == 2 && !strcmp(argv[1], "--namespace"));
	if (init.machine && getpid() != 1) {
		log_error("this is PID 1 of a sandbox and nothing else");
		return 2;
	}
	umask(022);
	if (argc == 2 && !strcmp(argv[1], "--probe")) {
		log_note("this guest runs");	/* probe.c waits for this line */
		reboot(RB_AUTOBOOT);
	}
	if (init.machine)
		step = boot_machine(fds);
	if (!step)
		step = start(fds);
	if (step)
		end_machine(step, errno);
	for (;;)
		if (loop_once(&init.loop))
			end_machine("event loop", errno);
}
