/* supervisor.h - a sandbox from its specification to its exit
 *
 * The parent of all of a sandbox's processes: it starts, confines, watches and ends them, and
 * reads no byte of the guest's. One call runs one sandbox.
 */
#pragma once

#include "supervisor/spec.h"

#define SUPERVISOR_EXIT_FAILURE 125	/* Paddock's own failure */
#define SUPERVISOR_EXIT_TIMEOUT 124	/* --timeout or limits.wall_time, as timeout(1) */

/** supervisor_run() - runs the sandbox and returns the exit code for the process: the command's,
 *  128 + signal, or 124, 125, 126, 127. Complaints and the summary go to standard error. */
int supervisor_run(const struct spec *spec);
