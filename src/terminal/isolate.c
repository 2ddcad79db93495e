/* isolate.c - paddock-terminal's confinement, in the order that os/confine.h gives */
#include "os/confine.h"
#include "terminal/session.h"

#define DESCRIPTORS_MAX 64

enum err session_confine(void)
{
	enum err e = confine_namespaces(CONFINE_NET_EMPTY);

	if (!e)
		e = confine_root(NULL, 0, false);
	if (!e)
		e = confine_limits(DESCRIPTORS_MAX, 1);
	if (!e)
		e = confine_drop();
	if (!e)
		e = confine_landlock(NULL, 0, false, NULL);
	if (!e)
		e = confine_seccomp(CONFINE_BASE | CONFINE_TTY);
	return e;
}
