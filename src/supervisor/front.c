/* front.c - see front.h
 *
 * The terminal process cannot know: in a pid namespace of its own it sees no process group of the user's.
 */
#include "supervisor/front.h"

#include <signal.h>
#include <stddef.h>
#include <unistd.h>

bool front_is_ours(void)
{
	pid_t front = isatty(STDIN_FILENO) ? tcgetpgrp(STDIN_FILENO) : 0;

	/* a terminal that controls nobody here has no jobs */
	return isatty(STDIN_FILENO) && (front <= 0 || front == getpgrp());
}

void front_wait(void)
{
	if (!isatty(STDIN_FILENO) || !isatty(STDOUT_FILENO) || front_is_ours() || front_is_deaf(SIGTTOU))
		return;
	/* to the whole job, as the kernel does; one that is orphaned is not stopped by it */
	(void)kill(0, SIGTTOU);
}

bool front_is_deaf(int signal)
{
	struct sigaction now;

	return signal != SIGTERM && sigaction(signal, NULL, &now) == 0 && now.sa_handler == SIG_IGN;
}
