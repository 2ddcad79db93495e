/* main.c - paddock-inspector: setting up, confinement, the loop
 *
 * Theory of operation: descriptors are 3 the guest's net port, 4 the courier. The TLS context is
 * made and used once against itself, so that OpenSSL has loaded all that it loads late; then the
 * process gives everything away (no namespace with anything in it, an empty root, the base system
 * calls), and only then reads its first byte. Failure to confine ends it. It exits with 0 when the
 * guest's side has ended, else with 1; either way the sandbox has no way out any more (I8).
 */
#include "base/log.h"
#include "base/secret.h"
#include "inspector/inspector.h"
#include "os/confine.h"

#include <errno.h>
#include <malloc.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/resource.h>

#define NET_FD 3
#define COURIER_FD 4
#define DESCRIPTORS_MAX 16
#define KEPT_BYTES (1024 * 1024)	/* of memory that is free, kept for what comes next */
#define GATE_CONNECTIONS_MAX 8192 /* idle ones hold little; what each may hold is bounded as in a sandbox */

static enum err end_reason;

static void over(void *context, enum err why)
{
	(void)context;
	end_reason = why;
}

/* A ClientHello that fails: state machines, digests and the alert are then loaded. */
static enum err warm_up(struct guest_tls_context *tls)
{
	struct guest_tls *t;
	enum err e = guest_tls_new(tls, &t);

	if (e)
		return e;
	e = guest_tls_input(t, STR("\x16\x03\x01\x00\x01\x01"));
	if (!e && guest_tls_handshake(t) == ERR_OK)
		e = ERR_STATE;
	guest_tls_free(t);
	return e;
}

static enum err confine(unsigned descriptors)
{
	enum err e = confine_namespaces(CONFINE_NET_EMPTY);

	if (!e)
		e = confine_root(NULL, 0, false);
	if (!e)
		e = confine_limits(descriptors, 0);
	if (!e)
		e = confine_drop();
	if (!e)
		e = confine_landlock(NULL, 0, false, NULL);
	return e ? e : confine_seccomp(CONFINE_BASE);
}

/* As many as there are descriptors for: beyond, the one that is idle for longest makes room. */
static uint32_t gate_connections(void)
{
	struct rlimit hard;

	if (getrlimit(RLIMIT_NOFILE, &hard) || hard.rlim_max >= DESCRIPTORS_MAX + GATE_CONNECTIONS_MAX)
		return GATE_CONNECTIONS_MAX;
	return hard.rlim_max > DESCRIPTORS_MAX ? (uint32_t)hard.rlim_max - DESCRIPTORS_MAX : 1;
}

int main(void)
{
	static struct inspector inspector;
	struct inspector_limits limits = inspector_limits_default;
	bool gate = inspector_is_front(NET_FD);
	struct guest_tls_context *tls;
	uv_loop_t loop;
	enum err e;

	/* buffers come and go with each record: asking the kernel each time costs more than TLS itself */
	(void)mallopt(M_TRIM_THRESHOLD, KEPT_BYTES);
	(void)mallopt(M_TOP_PAD, KEPT_BYTES / 4);
	log_init("paddock-inspector");
	if (signal(SIGPIPE, SIG_IGN) == SIG_ERR || uv_loop_init(&loop)) {
		log_error("cannot start: %s", strerror(errno));
		return 1;
	}
	e = guest_tls_context_new(&tls);
	if (!e)
		e = warm_up(tls);
	if (e) {
		log_error("TLS cannot be set up: %s", err_text(e));
		return 1;
	}
	if (gate)
		limits.connections_max = gate_connections();
	e = confine(DESCRIPTORS_MAX + (gate ? GATE_CONNECTIONS_MAX : 0));
	if (e) {
		log_error("%s: %s", err_text(e), strerror(errno));
		return 1;
	}
	e = inspector_start(&inspector, &loop, NET_FD, COURIER_FD, tls, &limits, over, NULL);
	if (e) {
		log_error("cannot start: %s", err_text(e));
		return 1;
	}
	(void)uv_run(&loop, UV_RUN_DEFAULT);
	inspector_free(&inspector);
	guest_tls_context_free(tls);
	if (end_reason == ERR_CLOSED)	/* how every sandbox ends; the supervisor says what is unexpected */
		log_debug("ends: %s", err_text(end_reason));
	else if (end_reason)
		log_error("ends: %s", err_text(end_reason));
	return end_reason ? 1 : 0;
}
