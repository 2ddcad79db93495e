/* main.c - paddock-decoder: confinement, then the fork server
 *
 * Descriptors: 2 log; 3 the courier (SOCK_SEQPACKET). No arguments, no environment but PADDOCK_LOG.
 * The process gives everything away (no namespace with anything in it, an empty root, the base system calls
 * and fork) before it looks at its first packet, and never reads a body: its children do, each with less
 * (server.c). It exits with 0 when the courier's end has gone. Failure to confine ends it with 1.
 */
#include "base/log.h"
#include "base/secret.h"
#include "decoder/decoder.h"
#include "decoder/server.h"
#include "os/confine.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>

#define COURIER_FD 3
#define DESCRIPTORS_MAX 16
#define PROCESSES_MAX (2 * DECODER_CHILDREN_MAX + 8)

static enum err confine(void)
{
	enum err e = confine_namespaces(CONFINE_NET_EMPTY);

	if (!e)
		e = confine_root(NULL, 0, false);
	if (!e)
		e = confine_limits(DESCRIPTORS_MAX, PROCESSES_MAX);
	if (!e)
		e = confine_drop();
	if (!e)
		e = confine_landlock(NULL, 0, false, NULL);
	return e ? e : confine_seccomp(CONFINE_BASE | CONFINE_FORK);
}

int main(void)
{
	enum err e;

	log_init("paddock-decoder");
	if (fcntl(COURIER_FD, F_GETFD) < 0) {
		log_error("descriptor 3 must be given: this program is started by paddock");
		return 1;
	}
	if (signal(SIGPIPE, SIG_IGN) == SIG_ERR || secret_process() != ERR_OK || server_prepare() != ERR_OK) {
		log_error("cannot start (errno %d)", errno);
		return 1;
	}
	e = confine();
	if (e) {
		log_error("%s (errno %d)", err_text(e), errno);
		return 1;
	}
	e = server_run(COURIER_FD);
	if (e == ERR_CLOSED)
		return 0;
	log_error("%s (errno %d)", err_text(e), errno);
	return 1;
}
