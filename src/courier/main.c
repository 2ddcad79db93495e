/* main.c - paddock-courier: from its descriptors to its loop
 *
 * Descriptors: 2 log; 3 link of the inspector; 4 keeper (SOCK_SEQPACKET); 5, 6, 7 claims links of
 * supervisor, terminal, files; 8 the trail's directory; 9 configuration (config.h); 10 control
 * socket of the supervisor; 11 paddock-decoder (SOCK_SEQPACKET). 5, 6, 7, 10 and 11 may be absent.
 *
 * Order, each step before the first byte of any peer:
 *   1. not dumpable, no core: secrets will live here
 *   2. configuration, policy, CA bundle, resolver configuration, event loop: all that needs files
 *   3. confinement: own user, mount, ipc, uts namespaces (the network is the host's: it dials); a
 *      root with /etc/hosts alone; Landlock to that and the trail's directory; a system call
 *      allowlist that can neither execute nor make processes
 *   4. the trail's start record, then the links
 * Failure before 4 exits 1 with one line; after the stop record the exit code is 0.
 */
#include "base/log.h"
#include "base/secret.h"
#include "courier/courier.h"
#include "os/confine.h"

#include <errno.h>
#include <fcntl.h>
#include <malloc.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/stat.h>

enum {
	FD_INSPECTOR = 3, FD_KEEPER, FD_SUPERVISOR, FD_TERMINAL, FD_FILES, FD_TRAIL, FD_CONFIG, FD_CONTROL,
	FD_DECODER,
	FD_COUNT
};

#define DESCRIPTORS_MAX 2048	/* an upstream for each stream, kept ones, the resolver's, ours */
#define HOSTS_FILE "/etc/hosts"
#define KEPT_BYTES (1024 * 1024)	/* of memory that is free, kept for what comes next */

/* Which descriptors were given: asked first of all, as one that was not would soon be one of ours. */
static int given[FD_COUNT];

static void look_at_descriptors(void)
{
	for (int fd = 0; fd < FD_COUNT; fd++)
		given[fd] = fcntl(fd, F_GETFD) >= 0 ? fd : -1;
}

static enum err confine(void)
{
	static const struct confine_bind binds[] = {
		{ .source = HOSTS_FILE, .target = HOSTS_FILE, .optional = true },
	};
	struct confine_path paths[2] = { { .fd = FD_TRAIL, .write = true } };
	size_t count = 1;
	struct stat st;
	enum err e = confine_namespaces(0);

	if (e == ERR_OK)
		e = confine_root(binds, sizeof binds / sizeof *binds, false);
	if (stat(HOSTS_FILE, &st) == 0)
		paths[count++] = (struct confine_path){ .path = HOSTS_FILE, .fd = -1 };
	if (e == ERR_OK)
		e = confine_limits(DESCRIPTORS_MAX, 0);
	if (e == ERR_OK)
		e = confine_drop();
	if (e == ERR_OK)
		e = confine_landlock(paths, count, true, NULL);
	if (e == ERR_OK)
		e = confine_seccomp(CONFINE_BASE | CONFINE_SOCKET | CONFINE_FILES | CONFINE_PAIR);
	return e;
}

static void stopped(void *user)
{
	uv_stop(user);
}

static enum err prepare(uv_loop_t *loop, struct config **ret_config, struct courier **ret)
{
	struct courier_options o = {
		.loop = loop,
		.links = { FD_INSPECTOR, given[FD_SUPERVISOR], given[FD_TERMINAL], given[FD_FILES] },
		.keeper = FD_KEEPER, .directory = FD_TRAIL, .control = given[FD_CONTROL],
		.decoder = given[FD_DECODER],
		.stopped = stopped, .user = loop,
	};
	const char *problem = "";
	char text[1024];
	enum err e = config_read(FD_CONFIG, &o.config, &problem);

	if (e != ERR_OK) {
		log_error("configuration: %s", problem);
		return e;
	}
	close(FD_CONFIG);
	e = courier_prepare(&o, ret, text, sizeof text);
	if (e != ERR_OK) {
		log_error("%s", text);
		config_free(o.config);
		return e;
	}
	*ret_config = o.config;
	return ERR_OK;
}

int main(void)
{
	struct courier *courier;
	struct config *config;
	uv_loop_t loop;
	enum err e;

	/* buffers come and go with each request: asking the
	 * kernel each time costs more than what they hold */
	(void)mallopt(M_TRIM_THRESHOLD, KEPT_BYTES);
	(void)mallopt(M_TOP_PAD, KEPT_BYTES / 4);
	look_at_descriptors();
	log_init("paddock-courier");
	signal(SIGPIPE, SIG_IGN);
	signal(SIGXFSZ, SIG_IGN);	/* a full quota is an error of write(), as a full disk is */
	if (given[FD_INSPECTOR] < 0 || given[FD_KEEPER] < 0 || given[FD_TRAIL] < 0 || given[FD_CONFIG] < 0) {
		log_error("descriptors 3, 4, 8 and 9 must be given: this program is started by paddock");
		return 1;
	}
	if (secret_process() != ERR_OK || uv_loop_init(&loop)) {
		log_error("this process cannot be made private");
		return 1;
	}
	if (prepare(&loop, &config, &courier) != ERR_OK)
		return 1;
	e = confine();
	if (e != ERR_OK) {
		log_error("%s (errno %d)", err_text(e), errno);
		return 1;
	}
	e = courier_start(courier);
	if (e != ERR_OK) {
		log_error("%s (errno %d)", err_text(e), errno);
		return 1;
	}
	uv_run(&loop, UV_RUN_DEFAULT);
	courier_free(courier);
	uv_run(&loop, UV_RUN_DEFAULT);
	uv_loop_close(&loop);
	config_free(config);
	return 0;
}
