/* children.c - starts a sandbox's processes with exactly their descriptors; see children.h
 *
 * Order: the keeper first, since the courier's configuration and the guest's trust store need
 * what it makes (the checkpoint key's name, the sandbox's CA); the machine last, since it is
 * the only hostile one. Every descriptor is made here and given away: after children_start()
 * this process keeps two sockets, to the courier and to the terminal process.
 * Keeper and courier hold secrets, and get no pid namespace of their own: it comes with a user
 * namespace, whose maker (any process of this user) may trace what is executed in it, dumpable
 * or not. Executed outside of one, "not dumpable" holds; they enter their namespaces themselves.
 * Descriptor numbers in each child are part of that program's contract (docs/architecture.md).
 */
#include "supervisor/children.h"

#include "base/auto.h"
#include "base/log.h"
#include "credential/keeper_key.h"
#include "os/spawn.h"
#include "supervisor/configure.h"
#include "supervisor/paths.h"
#include "supervisor/placeholders.h"
#include "supervisor/state.h"
#include "supervisor/supervisor.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#define KEEPER_HELLO_MS 10000
#define FAIL_MS 3000
#define CONTROL_BYTES (2 * 1024 * 1024)	/* a policy fits one message, where the host allows it */

static const char *const names[CHILD_COUNT] = {
#define CHILD_NAME(name, program) [CHILD_##name] = program,
	CHILD_TABLE(CHILD_NAME)
#undef CHILD_NAME
};

const char *child_name(enum child c) { return names[c]; }

void children_init(struct children *c, int words)
{
	*c = (struct children){ .courier_control = -1, .terminal_control = -1, .front = -1, .words = words };
	for (int i = 0; i < CHILD_COUNT; i++)
		c->process[i].pidfd = -1;
	buf_init(&c->machine_text, 1024);
	buf_init(&c->gate_environment, 1024 * 1024);
	buf_init(&c->ca_pem, 65536);
}

/* Everything that exists between the first socket and the last child. */
struct wiring {
	int net[2], control[2], files[2];	/* [0] the machine's end */
	int link[2];				/* inspector, courier */
	int keeper[2];				/* keeper, courier */
	int decoder[2];				/* decoder, courier */
	int terminal_claims[2], files_claims[2];/* the sender's end, courier */
	int courier_control[2], terminal_control[2]; /* ours, theirs */
	int trail, key, log;
	int files_config, terminal_config;	/* of a sandbox: made before anything is recorded */
	struct mounts mounts;
	struct placeholders placeholders;
	struct keeper_start keeper_start;	/* its first words: CA, checkpoint key's public half */
};

static void close_pair(int pair[2])
{
	auto_fd_close(&pair[0]);
	auto_fd_close(&pair[1]);
}

static void wiring_init(struct wiring *w)
{
	int *const pairs[] = { w->net, w->control, w->files, w->link, w->keeper, w->decoder,
			       w->terminal_claims, w->files_claims, w->courier_control, w->terminal_control };

	for (size_t i = 0; i < sizeof pairs / sizeof *pairs; i++)
		pairs[i][0] = pairs[i][1] = -1;
	w->trail = w->key = w->log = w->files_config = w->terminal_config = -1;
	w->mounts.count = 0;
	w->placeholders.arena = NULL;
	w->keeper_start = (struct keeper_start){ .ca_pem = { .p = NULL } };
}

static void wiring_close(struct wiring *w)
{
	close_pair(w->net);
	close_pair(w->control);
	close_pair(w->files);
	close_pair(w->link);
	close_pair(w->keeper);
	close_pair(w->decoder);
	close_pair(w->terminal_claims);
	close_pair(w->files_claims);
	close_pair(w->courier_control);
	close_pair(w->terminal_control);
	auto_fd_close(&w->trail);
	auto_fd_close(&w->key);
	auto_fd_close(&w->log);
	auto_fd_close(&w->files_config);
	auto_fd_close(&w->terminal_config);
	mounts_close(&w->mounts);
	placeholders_free(&w->placeholders);
	keeper_start_free(&w->keeper_start);
}

static bool make_pairs(struct wiring *w, bool gate)
{
	const int stream = SOCK_STREAM | SOCK_CLOEXEC, packet = SOCK_SEQPACKET | SOCK_CLOEXEC;
	const int size = CONTROL_BYTES;

	if (socketpair(AF_UNIX, gate ? packet : stream, 0, w->net) ||
	    socketpair(AF_UNIX, stream, 0, w->control) ||
	    socketpair(AF_UNIX, stream, 0, w->files) || socketpair(AF_UNIX, stream, 0, w->link) ||
	    socketpair(AF_UNIX, stream, 0, w->terminal_claims) ||
	    socketpair(AF_UNIX, stream, 0, w->files_claims) ||
	    socketpair(AF_UNIX, packet, 0, w->keeper) || socketpair(AF_UNIX, packet, 0, w->decoder) ||
	    socketpair(AF_UNIX, packet, 0, w->courier_control) ||
	    socketpair(AF_UNIX, packet, 0, w->terminal_control))
		return false;
	(void)setsockopt(w->courier_control[0], SOL_SOCKET, SO_SNDBUF, &size, sizeof size);
	return true;
}

/* STATE/trails/<id>, and the installation's checkpoint key beside it */
static enum err open_state(struct wiring *w, const struct rundir *run, struct buf *why)
{
	auto_buf path = BUF_EMPTY;
	enum err e;

	buf_init(&path, PATHS_MAX);
	e = paths_directory(PATHS_STATE, &path);
	auto_fd state = e || !buf_z(&path) ? -1 : open(buf_z(&path), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (!e && state >= 0)
		e = keeper_installation_key(state, &w->key);
	if (!e) {
		buf_printf(&path, "/trails/%s", run->id);
		e = buf_z(&path) ? paths_make(buf_z(&path)) : ERR_LIMIT;
	}
	if (!e)
		w->trail = open(buf_z(&path), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (e || w->trail < 0) {
		buf_printf(why, "the audit trail cannot be written, so nothing is started: %.300s: %s",
			   buf_z(&path) ? buf_z(&path) : "", strerror(errno));
		return e ? e : ERR_LOCAL;
	}
	w->log = openat(run->fd, "machine.log", O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
	return w->log < 0 ? ERR_LOCAL : ERR_OK;
}

/* Beside this program in a build directory, else in ../libexec/paddock. */
static bool find_program(const char *name, char ret[PATH_MAX])
{
	static const char *const places[] = { "", "../libexec/paddock/" };
	char self[PATH_MAX];
	ssize_t n = readlink("/proc/self/exe", self, sizeof self - 1);

	if (n <= 0)
		return false;
	while (n > 0 && self[n - 1] != '/')
		n--;
	for (size_t i = 0; i < 2; i++) {
		auto_buf path = BUF_EMPTY;

		buf_init(&path, PATH_MAX - 1);
		buf_put(&path, str_make(self, (size_t)n));
		buf_put_z(&path, places[i]);
		buf_put_z(&path, name);
		if (!buf_z(&path) || access(buf_z(&path), X_OK))
			continue;
		memcpy(ret, buf_z(&path), path.len + 1);
		return true;
	}
	return false;
}

static enum err start(struct children *c, enum child which, struct spawn s, struct buf *why)
{
	static char log_variable[64];
	char path[PATH_MAX];
	char *argv[] = { (char *)(uintptr_t)names[which], NULL };
	char *env[] = { NULL, NULL };
	const char *level = getenv("PADDOCK_LOG");

	if (level && strlen(level) < 16) {
		memcpy(log_variable, "PADDOCK_LOG=", 12);
		memcpy(log_variable + 12, level, strlen(level) + 1);
		env[0] = log_variable;
	}
	if (!find_program(names[which], path)) {
		buf_printf(why, "%s is not installed beside this program: build or install Paddock again",
			   names[which]);
		return ERR_LOCAL;
	}
	if (which != CHILD_TERMINAL)	/* nobody else has the user's terminal */
		s.fds[s.fd_count++] = (struct spawn_fd){ c->words, STDERR_FILENO };
	s.program = path;
	s.argv = argv;
	s.env = env;
	s.deaf = true;
	if (spawn_start(&s, &c->process[which].pid, &c->process[which].pidfd)) {
		buf_printf(why, "%s could not be started: %s", names[which], strerror(errno));
		c->process[which].pid = 0;
		return ERR_LOCAL;
	}
	return ERR_OK;
}

static enum err start_keeper(struct children *c, struct wiring *w, const struct spec *spec,
			     const struct rundir *run, struct buf *why)
{
	struct spawn s = { .new_session = true };
	auto_fd config = -1, seal_key = -1;
	int hello[2];
	enum err e = configure_keeper(spec, run, why, &config, &seal_key);

	if (e)
		return e;
	if (pipe2(hello, O_CLOEXEC))
		return ERR_LOCAL;
	s.fds[s.fd_count++] = (struct spawn_fd){ w->keeper[0], KEEPER_LINK_FD };
	s.fds[s.fd_count++] = (struct spawn_fd){ config, KEEPER_CONFIG_FD };
	s.fds[s.fd_count++] = (struct spawn_fd){ hello[1], KEEPER_START_FD };
	s.fds[s.fd_count++] = (struct spawn_fd){ w->key, KEEPER_KEY_FD };
	if (seal_key >= 0)
		s.fds[s.fd_count++] = (struct spawn_fd){ seal_key, KEEPER_SEAL_FD };
	e = start(c, CHILD_KEEPER, s, why);
	close(hello[1]);
	if (!e && (e = keeper_start_read(hello[0], KEEPER_HELLO_MS, &w->keeper_start)) != ERR_OK)
		buf_put_z(why, "paddock-keeper did not come up");
	close(hello[0]);
	return e;
}

static enum err start_courier(struct children *c, struct wiring *w, const struct spec *spec,
			      const struct rundir *run, struct buf *why)
{
	auto_fd config = -1;
	enum err e = configure_courier(spec, run, &w->placeholders, buf_str(&c->machine_text),
				       &w->keeper_start, &config);

	if (e)
		return e;
	return start(c, CHILD_COURIER, (struct spawn){
		.fds = { { w->link[1], 3 }, { w->keeper[1], 4 }, { w->terminal_claims[1], 6 },
			 { w->files_claims[1], 7 }, { w->trail, 8 }, { config, 9 },
			 { w->courier_control[1], 10 }, { w->decoder[1], 11 } },
		.fd_count = 8, .new_session = true }, why);
}

/* Whatever can be wrong with what the user asked for, before a trail begins. */
static enum err prepare_sandbox(struct wiring *w, const struct spec *spec, const struct rundir *run, struct buf *why)
{
	enum err e = placeholders_render(spec, &w->keeper_start, &w->mounts, &w->placeholders, why);

	if (!e)
		e = configure_files(spec, &w->mounts, &w->files_config);
	if (!e)
		e = configure_terminal(spec, run, &w->mounts, &w->placeholders,
				       buf_str(&w->keeper_start.ca_pem), why, &w->terminal_config);
	return e;
}

static enum err start_files(struct children *c, struct wiring *w, struct buf *why)
{
	struct spawn s = { .fds = { { w->files[1], 3 }, { w->files_claims[0], 4 }, { w->files_config, 5 } },
			   .fd_count = 3, .new_session = true, .pid_namespace = true };

	for (uint32_t i = 0; i < w->mounts.count; i++)
		s.fds[s.fd_count++] = (struct spawn_fd){ w->mounts.entry[i].fd, 6 + (int)i };
	return start(c, CHILD_FILES, s, why);
}

static enum err start_terminal(struct children *c, struct wiring *w, struct buf *why)
{
	/* in the session of the user's terminal, which it must be able to set */
	return start(c, CHILD_TERMINAL, (struct spawn){
		.fds = { { STDIN_FILENO, 0 }, { STDOUT_FILENO, 1 }, { STDERR_FILENO, 2 },
			 { w->control[1], 3 },
			 { w->terminal_claims[0], 4 }, { w->terminal_control[1], 5 },
			 { w->terminal_config, 6 } },
		.fd_count = 7, .pid_namespace = true }, why);
}

static enum err start_machine(struct children *c, struct wiring *w, const struct spec *spec,
			      const struct rundir *run, struct buf *why)
{
	struct machine_spec m = {
		.name = run->id, .run_directory = run->path, .image = spec->image_path,
		.memory_bytes = spec->memory_bytes, .cpus = spec->cpus,
		.ports = { [MACHINE_NET] = w->net[0], [MACHINE_CONTROL] = w->control[0],
			   [MACHINE_FILES] = w->files[0] },
		.stderr_fd = w->log,
	};
	enum err e = c->machine_ops->start(&m, &c->machine, why);

	if (e)
		return e;
	c->process[CHILD_MACHINE].pid = c->machine_ops->pid(c->machine);
	c->process[CHILD_MACHINE].pidfd = c->machine_ops->pidfd(c->machine);
	return ERR_OK;
}

/* What clients of a gate have in place of credentials. */
static void put_environment(struct children *c, const struct spec *spec, const struct wiring *w)
{
	for (uint32_t i = 0; i < policy_credential_count(spec->policy); i++) {
		struct str name = policy_credential(spec->policy, i)->placeholder_environment;

		if (name.n)
			buf_printf(&c->gate_environment, "%.*s=%.*s\n", STR_FMT(name),
				   STR_FMT(w->placeholders.value[i]));
	}
}

/* What a gate and a sandbox have in common: who holds, who decides, who reads. */
static enum err start_gate(struct children *c, struct wiring *w, const struct spec *spec,
			   const struct rundir *run, struct buf *why)
{
	enum err e = open_state(w, run, why);

	if (!e)
		e = start_keeper(c, w, spec, run, why);
	if (!e)
		e = placeholders_make(spec->policy, &w->keeper_start, &w->placeholders);
	if (!e && !spec->gate)
		e = prepare_sandbox(w, spec, run, why);
	if (!e)
		e = start(c, CHILD_DECODER, (struct spawn){
			.fds = { { w->decoder[0], 3 } }, .fd_count = 1, .new_session = true,
			.pid_namespace = true }, why);
	if (!e)
		e = start_courier(c, w, spec, run, why);
	if (e)
		return e;
	put_environment(c, spec, w);
	buf_put(&c->ca_pem, buf_str(&w->keeper_start.ca_pem));
	return start(c, CHILD_INSPECTOR, (struct spawn){
		.fds = { { w->net[1], 3 }, { w->link[0], 4 } }, .fd_count = 2,
		.new_session = true, .pid_namespace = true }, why);
}

static enum err start_all(struct children *c, struct wiring *w, const struct spec *spec,
			  const struct rundir *run, struct buf *why)
{
	enum err e;

	if (!make_pairs(w, spec->gate))
		return ERR_LOCAL;
	if (spec->gate) {
		buf_put_z(&c->machine_text, "none: an explicit proxy");
		return start_gate(c, w, spec, run, why);
	}
	c->machine_ops = machine_find(str_of(spec->machine));
	if (!c->machine_ops) {
		buf_printf(why, "--machine %.60s: no such driver", spec->machine);
		return ERR_INPUT;
	}
	e = c->machine_ops->probe(&c->machine_text);
	if (e) {
		buf_put(why, buf_str(&c->machine_text));
		return e;
	}
	e = mounts_open(spec, &w->mounts, why);	/* what the user named, before anything is left behind */
	if (!e)
		e = start_gate(c, w, spec, run, why);
	if (!e)
		e = start_files(c, w, why);
	if (!e)
		e = start_terminal(c, w, why);
	return e ? e : start_machine(c, w, spec, run, why);
}

bool children_end_trail(struct children *c, const char *reason, int exit_code)
{
	auto_buf message = BUF_EMPTY;

	buf_init(&message, 4096);
	state_stop_message(&message, reason, exit_code);
	return send(c->courier_control, message.p, message.len, MSG_NOSIGNAL | MSG_DONTWAIT) ==
	       (ssize_t)message.len;
}

void children_fail(struct children *c, const char *reason)
{
	struct pollfd end = { .fd = c->process[CHILD_COURIER].pidfd, .events = POLLIN };

	if (c->process[CHILD_COURIER].pid > 0 && children_end_trail(c, reason, SUPERVISOR_EXIT_FAILURE))
		(void)poll(&end, 1, FAIL_MS);
	children_kill_all(c);
}

enum err children_start(struct children *c, const struct spec *spec, const struct rundir *run,
			struct buf *why)
{
	struct wiring w;
	enum err e;

	wiring_init(&w);
	errno = 0;
	e = start_all(c, &w, spec, run, why);
	if (!e) {
		c->courier_control = fd_take(&w.courier_control[0]);
		c->terminal_control = fd_take(&w.terminal_control[0]);
		if (spec->gate)
			c->front = fd_take(&w.net[0]);
	} else {
		if (!why->len)
			buf_printf(why, "the sandbox could not be started: %s",
				   errno ? strerror(errno) : err_text(e));
		c->courier_control = fd_take(&w.courier_control[0]);
		children_fail(c, "the start failed");
	}
	wiring_close(&w);
	return e;
}

void children_started(struct children *c)
{
	if (c->process[CHILD_MACHINE].pid > 0 && c->machine_ops->started)
		c->machine_ops->started(c->machine);
}

void children_kill(struct children *c, enum child which)
{
	if (c->process[which].pid <= 0)
		return;
	if (which == CHILD_MACHINE)
		c->machine_ops->kill(c->machine);
	else
		kill(c->process[which].pid, SIGKILL);
}

static void signal_machine(struct children *c, int number)
{
	if (c->process[CHILD_MACHINE].pid > 0)
		kill(c->process[CHILD_MACHINE].pid, number);
}

void children_pause(struct children *c) { signal_machine(c, SIGSTOP); }
void children_resume(struct children *c) { signal_machine(c, SIGCONT); }

bool children_reap(struct children *c, enum child which, int *ret_status)
{
	if (c->process[which].pid <= 0 ||
	    waitpid(c->process[which].pid, ret_status, WNOHANG) != c->process[which].pid)
		return false;
	c->process[which].pid = 0;
	return true;
}

void children_kill_all(struct children *c)
{
	for (int i = CHILD_COUNT - 1; i >= 0; i--) {
		if (c->process[i].pid <= 0)
			continue;
		children_kill(c, (enum child)i);
		waitpid(c->process[i].pid, NULL, 0);
		c->process[i].pid = 0;
	}
}

void children_free(struct children *c)
{
	children_kill_all(c);
	for (int i = 0; i < CHILD_COUNT; i++)
		if (i != CHILD_MACHINE)
			auto_fd_close(&c->process[i].pidfd);
	if (c->machine)
		c->machine_ops->free(c->machine);
	c->machine = NULL;
	auto_fd_close(&c->courier_control);
	auto_fd_close(&c->terminal_control);
	auto_fd_close(&c->front);
	buf_free(&c->machine_text);
	buf_free(&c->gate_environment);
	buf_free(&c->ca_pem);
}
