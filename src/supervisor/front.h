/* front.h - is the user's terminal ours just now? And which signals did whoever started us take away? */
#pragma once

#include <stdbool.h>

/** front_is_ours() - is standard input a terminal, and this process in its foreground? */
bool front_is_ours(void);
/** front_wait() - if standard input and output are a terminal that another job has (`paddock run ... &`):
 *  stops, as whatever wants to set a terminal does in the background, until the shell brings this job to the
 *  front. Returns at once where nobody could do that; the terminal is then left alone. */
void front_wait(void);
/** front_is_deaf() - was @signal ignored when this process began (nohup, a script's background job)? Then it stays
 *  so; but not SIGTERM, by which whoever started it must be able to end it */
bool front_is_deaf(int signal);
