/* main.c - paddock-terminal: alone holds the user's terminal or pipes, and the control port
 *
 * Started by the supervisor with the descriptors that session.h names, in the session and
 * foreground group of the user's terminal. It confines itself before it reads the guest's
 * first byte: no network, no file, no process, no terminal control but size and modes (never
 * TIOCSTI, which would type).
 */
#include "base/log.h"
#include "terminal/session.h"

#include <errno.h>
#include <string.h>

int main(void)
{
	struct session *s;
	enum err e;

	log_init("paddock-terminal");
	e = session_new(&s);
	if (e) {
		log_error("cannot start: %s", err_text(e));
		return 1;
	}
	e = session_confine();
	if (e) {
		log_error("%s: %s", err_text(e), strerror(errno));
		return 1;
	}
	e = session_run(s);
	session_free(s);
	return e ? 1 : 0;
}
