/* gate.c - see gate.h
 *
 * Theory of operation: this process listens, accepts, and hands each connection to the inspector, which has
 * no network of its own; it reads no byte of a client's. One connection at most waits here while the
 * inspector's socket is
 * full: then nothing is accepted, and the kernel's queue and the clients wait. What clients need to know
 * (where the proxy is, its CA, what stands for each credential) is written to files of the run, and to
 * --env-file.
 * The end of any of its processes ends the gate (I8).
 */
#include "supervisor/gate.h"

#include "base/auto.h"
#include "base/log.h"
#include "os/fd.h"
#include "supervisor/children.h"
#include "supervisor/control.h"
#include "supervisor/front.h"
#include "supervisor/paths.h"
#include "supervisor/policy_watch.h"
#include "supervisor/state.h"
#include "supervisor/summary.h"
#include "supervisor/supervisor.h"
#include "supervisor/words.h"
#include "wire/head.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#define BACKLOG 1024
#define ACCEPTS_A_TURN 64
#define RETRY_MS 5
#define CLOSE_MS 10000
#define LISTEN_TEXT_MAX 80

static const int signals[] = { SIGINT, SIGTERM, SIGHUP };
#define SIGNALS (sizeof signals / sizeof *signals)

struct gate {
	uv_loop_t loop;
	const struct spec *spec;
	struct rundir run;
	struct children children;
	struct words *words;
	struct control *control;
	struct policy_watch *policy_watch;
	int listener, waiting;		/* waiting: accepted, and not yet handed over; or -1 */
	char listen[LISTEN_TEXT_MAX];
	char reason[128];
	int exit_code;
	bool closing;
	uv_poll_t accept, watch[CHILD_COUNT];
	uv_timer_t retry, deadline;
	uv_signal_t signal[SIGNALS];
};

/* -- the end ---------------------------------------------------------------------------- */

static void on_deadline(uv_timer_t *timer)
{
	struct gate *g = timer->data;

	children_kill_all(&g->children);
	uv_stop(&g->loop);
}

/* Nobody new; the courier records the end, and its own ends the loop. */
static void finish(struct gate *g, int code, const char *reason)
{
	if (g->closing)
		return;
	g->closing = true;
	g->exit_code = code;
	(void)snprintf(g->reason, sizeof g->reason, "%s", reason);
	uv_poll_stop(&g->accept);
	uv_timer_stop(&g->retry);
	uv_timer_start(&g->deadline, on_deadline, CLOSE_MS, 0);
	auto_fd_close(&g->children.front);	/* the inspector ends its connections */
	if (g->children.process[CHILD_COURIER].pid <= 0) {
		uv_stop(&g->loop);
		return;
	}
	if (!children_end_trail(&g->children, g->reason, code))
		uv_stop(&g->loop);
}

static void on_signal(uv_signal_t *handle, int number)
{
	struct gate *g = handle->data;
	char reason[32];

	(void)snprintf(reason, sizeof reason, "signal %d", number);
	if (g->closing)
		uv_stop(&g->loop);	/* asked once more */
	finish(g, 0, reason);
}

static void on_stop_request(void *ctx) { finish(ctx, 0, "paddock stop"); }

static void on_child(uv_poll_t *handle, int status, int events)
{
	struct gate *g = handle->data;
	enum child which = (enum child)(handle - g->watch);
	char reason[128];
	int ended;

	(void)status, (void)events;
	if (!children_reap(&g->children, which, &ended))
		return;
	uv_poll_stop(handle);
	if (!g->closing) {
		(void)snprintf(reason, sizeof reason, "%s ended unexpectedly (%s %d)", child_name(which),
			       WIFSIGNALED(ended) ? "signal" : "exit code",
			       WIFSIGNALED(ended) ? WTERMSIG(ended) : WEXITSTATUS(ended));
		log_error("%s: the gate is closed", reason);
		finish(g, SUPERVISOR_EXIT_FAILURE, reason);
	}
	if (which == CHILD_COURIER)
		uv_stop(&g->loop);
}

/* -- clients ---------------------------------------------------------------------------- */

static void on_accept(uv_poll_t *handle, int status, int events);

static void on_retry(uv_timer_t *timer)
{
	struct gate *g = timer->data;

	if (fd_send(g->children.front, STR("c"), g->waiting) == ERR_MORE)
		return;
	auto_fd_close(&g->waiting);
	uv_timer_stop(&g->retry);
	uv_poll_start(&g->accept, UV_READABLE, on_accept);
}

static void on_accept(uv_poll_t *handle, int status, int events)
{
	struct gate *g = handle->data;

	(void)status, (void)events;
	for (int i = 0; i < ACCEPTS_A_TURN; i++) {
		auto_fd fd = accept4(g->listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

		if (fd < 0 && (errno == EMFILE || errno == ENFILE || errno == ENOMEM)) {
			uv_poll_stop(handle);	/* the queue waits */
			uv_timer_start(&g->retry, on_retry, RETRY_MS, RETRY_MS);
		}
		if (fd < 0)
			return;
		if (fd_send(g->children.front, STR("c"), fd) == ERR_MORE) {
			g->waiting = fd_take(&fd);
			uv_poll_stop(handle);
			uv_timer_start(&g->retry, on_retry, RETRY_MS, RETRY_MS);
			return;
		}
	}
}

/* "127.0.0.1:3128", "[::1]:0", to a socket that listens, and the address that it has in @g->listen */
static bool listen_at(struct gate *g, struct buf *why)
{
	union { struct sockaddr any; struct sockaddr_in v4; struct sockaddr_in6 v6; } a = { .v4 = { .sin_family = AF_INET } };
	struct str text = str_of(g->spec->listen), port_text;
	char host[64], shown[INET6_ADDRSTRLEN];
	socklen_t bytes = sizeof a;
	size_t colon = text.n;
	uint64_t port;
	int one = 1;

	while (colon > 0 && text.p[colon - 1] != ':')
		colon--;
	port_text = str_from(text, colon);
	text = str_head(text, colon ? colon - 1 : 0);
	if (text.n > 2 && text.p[0] == '[' && text.p[text.n - 1] == ']')
		text = str_make(text.p + 1, text.n - 2);
	if (colon == 0 || text.n >= sizeof host || !str_decimal(port_text, 65535, &port))
		goto unclear;
	(void)snprintf(host, sizeof host, "%.*s", STR_FMT(text));
	if (inet_pton(AF_INET, host, &a.v4.sin_addr) == 1)
		a.v4.sin_port = htons((uint16_t)port);
	else if (inet_pton(AF_INET6, host, &a.v6.sin6_addr) == 1)
		a.v6 = (struct sockaddr_in6){ .sin6_family = AF_INET6, .sin6_port = htons((uint16_t)port),
					      .sin6_addr = a.v6.sin6_addr };
	else
		goto unclear;
	if (!g->spec->client_count &&
	    (a.any.sa_family == AF_INET ? (ntohl(a.v4.sin_addr.s_addr) >> 24) != 127
					: !IN6_IS_ADDR_LOOPBACK(&a.v6.sin6_addr))) {
		buf_printf(why, "--listen %s: others could reach it, and use your credentials: give --clients FILE, or listen on 127.0.0.1",
			   g->spec->listen);
		return false;
	}
	g->listener = socket(a.any.sa_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	bytes = a.any.sa_family == AF_INET ? sizeof a.v4 : sizeof a.v6;
	if (g->listener < 0 || setsockopt(g->listener, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one) ||
	    bind(g->listener, &a.any, bytes) || listen(g->listener, BACKLOG) ||
	    getsockname(g->listener, &a.any, &bytes)) {
		buf_printf(why, "--listen %s: %s", g->spec->listen, strerror(errno));
		return false;
	}
	if (a.any.sa_family == AF_INET)
		(void)snprintf(g->listen, sizeof g->listen, "%s:%u",
			       inet_ntop(AF_INET, &a.v4.sin_addr, shown, sizeof shown), ntohs(a.v4.sin_port));
	else
		(void)snprintf(g->listen, sizeof g->listen, "[%s]:%u",
			       inet_ntop(AF_INET6, &a.v6.sin6_addr, shown, sizeof shown),
			       ntohs(a.v6.sin6_port));
	return true;
unclear:
	buf_printf(why, "--listen %s: expected ADDRESS:PORT with a numeric address, such as 127.0.0.1:3128 or [::1]:3128",
		   g->spec->listen);
	return false;
}

/* -- what clients need ------------------------------------------------------------------ */

static void put_variables(const struct gate *g, struct buf *b)
{
	static const char *const proxies[] = { "HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy" };
	static const char *const bundles[] = { "SSL_CERT_FILE", "CURL_CA_BUNDLE", "REQUESTS_CA_BUNDLE",
					       "GIT_SSL_CAINFO",
					       "PIP_CERT", "CARGO_HTTP_CAINFO", "AWS_CA_BUNDLE",
					       "npm_config_cafile" };

	for (size_t i = 0; i < sizeof proxies / sizeof *proxies; i++)
		buf_printf(b, "%s=http://%s\n", proxies[i], g->listen);
	for (size_t i = 0; i < sizeof bundles / sizeof *bundles; i++)
		buf_printf(b, "%s=%s/bundle.pem\n", bundles[i], g->run.path);
	buf_printf(b, "NODE_EXTRA_CA_CERTS=%s/ca.pem\nNODE_USE_ENV_PROXY=1\n", g->run.path);
	buf_put(b, buf_str(&g->children.gate_environment));
}

/* ca.pem, bundle.pem (with the system's), environment */
static bool write_files(struct gate *g, struct buf *why)
{
	auto_buf bundle = BUF_EMPTY, variables = BUF_EMPTY;
	struct str ca = buf_str(&g->children.ca_pem);

	buf_init(&bundle, 4 * 1024 * 1024);
	buf_init(&variables, 2 * 1024 * 1024);
	if (paths_read("/etc/ssl/certs/ca-certificates.crt", 2 * 1024 * 1024, &bundle))
		buf_clear(&bundle);	/* a host without one: only what the gate opens can be verified */
	buf_put(&bundle, ca);
	put_variables(g, &variables);
	if (buf_err(&bundle) || buf_err(&variables) || rundir_write(&g->run, "ca.pem", ca) ||
	    rundir_write(&g->run, "bundle.pem", buf_str(&bundle)) ||
	    rundir_write(&g->run, "environment", buf_str(&variables))) {
		buf_printf(why, "%s cannot be written: %s", g->run.path, strerror(errno));
		return false;
	}
	if (g->spec->environment_file) {
		auto_fd fd = open(g->spec->environment_file, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

		if (fd < 0 || write(fd, variables.p, variables.len) != (ssize_t)variables.len) {
			buf_printf(why, "--env-file %s: %s", g->spec->environment_file, strerror(errno));
			return false;
		}
	}
	return true;
}

/* -- one gate --------------------------------------------------------------------------- */

static void watch_all(struct gate *g)
{
	uv_timer_init(&g->loop, &g->retry);
	uv_timer_init(&g->loop, &g->deadline);
	uv_poll_init(&g->loop, &g->accept, g->listener);
	g->retry.data = g->deadline.data = g->accept.data = g;
	uv_poll_start(&g->accept, UV_READABLE, on_accept);
	for (size_t i = 0; i < SIGNALS; i++) {
		uv_signal_init(&g->loop, &g->signal[i]);
		g->signal[i].data = g;
		if (!front_is_deaf(signals[i]))
			uv_signal_start(&g->signal[i], on_signal, signals[i]);
	}
	for (int c = 0; c < CHILD_COUNT; c++) {
		if (g->children.process[c].pid <= 0)
			continue;
		uv_poll_init(&g->loop, &g->watch[c], g->children.process[c].pidfd);
		g->watch[c].data = g;
		uv_poll_start(&g->watch[c], UV_READABLE, on_child);
	}
	g->control = control_new(&g->loop, &g->run, on_stop_request, g);
	g->policy_watch = policy_watch_new(&g->loop, g->spec, g->children.courier_control);
}

static void close_all(struct gate *g)
{
	control_free(g->control);
	policy_watch_free(g->policy_watch);
	uv_close((uv_handle_t *)&g->retry, NULL);
	uv_close((uv_handle_t *)&g->deadline, NULL);
	uv_close((uv_handle_t *)&g->accept, NULL);
	for (size_t i = 0; i < SIGNALS; i++)
		uv_close((uv_handle_t *)&g->signal[i], NULL);
	for (int c = 0; c < CHILD_COUNT; c++)
		if (g->watch[c].data)
			uv_close((uv_handle_t *)&g->watch[c], NULL);
	uv_run(&g->loop, UV_RUN_DEFAULT);
}

static int run(struct gate *g)
{
	auto_buf why = BUF_EMPTY;

	buf_init(&why, 4096);
	if (!listen_at(g, &why) || children_start(&g->children, g->spec, &g->run, &why) ||
	    !write_files(g, &why)) {
		children_fail(&g->children, "the start failed");
		words_print(g->words);
		log_error("%s", buf_z(&why) && why.len ? buf_z(&why) : "the gate could not be started");
		return SUPERVISOR_EXIT_FAILURE;
	}
	watch_all(g);
	if (state_write(&g->run, g->spec, &g->children))
		log_error("state.json could not be written: %s", strerror(errno));
	(void)printf("{\"listen\":\"%s\",\"id\":\"%s\",\"ca\":\"%s/ca.pem\",\"environment\":\"%s/environment\"}\n", g->listen,
		     g->run.id, g->run.path, g->run.path);
	(void)fflush(stdout);
	if (!g->spec->quiet)
		log_note("listening on %s; for clients: set -a; . %s/environment", g->listen, g->run.path);
	uv_run(&g->loop, UV_RUN_DEFAULT);
	children_kill_all(&g->children);
	close_all(g);
	return g->exit_code;
}

int gate_run(const struct spec *spec)
{
	struct gate g = { .spec = spec, .run = { .fd = -1, .lock = -1 }, .listener = -1, .waiting = -1 };
	auto_buf why = BUF_EMPTY;
	int code;

	buf_init(&why, 4096);
	(void)rundir_sweep();
	if (rundir_create(&g.run, &why)) {
		log_error("the run's directory could not be made: %s: %s", buf_z(&why) ? buf_z(&why) : "",
			  strerror(errno));
		return SUPERVISOR_EXIT_FAILURE;
	}
	signal(SIGPIPE, SIG_IGN);
	if (uv_loop_init(&g.loop) || words_new(&g.loop, &g.words)) {
		log_error("the gate could not be started: %s", strerror(errno));
		rundir_remove(&g.run);
		return SUPERVISOR_EXIT_FAILURE;
	}
	children_init(&g.children, words_fd(g.words));
	code = run(&g);
	words_free(g.words);
	uv_run(&g.loop, UV_RUN_DEFAULT);
	uv_loop_close(&g.loop);
	if (!spec->quiet && g.children.ca_pem.len)
		summary_print(g.run.id);
	auto_fd_close(&g.listener);
	auto_fd_close(&g.waiting);
	children_free(&g.children);
	rundir_remove(&g.run);
	return code;
}
