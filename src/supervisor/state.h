/* state.h - what a supervisor writes for others: state.json, messages to the courier, words
 * of the machine's log */
#pragma once

#include "supervisor/children.h"

/** state_write() - RUN/state.json: {id, name, pid, started, workspace, policy, policy_digest,
 *  machine, command, processes: {name: pid}} */
must_use enum err state_write(const struct rundir *run, const struct spec *spec, const struct children *c);
/** state_stop_message() - {"op":"stop","result":...,"exit_code":n} */
void state_stop_message(struct buf *b, const char *reason, int exit_code);
/** state_changed_policy() - reads the policy file again into @text, which is left empty if its digest is
 *  still @seen (64 hex digits and NUL, updated)
 * Return: ERR_OK; or an error (and a log line): the policy in force stays, since the file cannot be read, or
 * is not valid; or ERR_POLICY_DENIED: nobody has trusted it (yet), @seen is its digest */
must_use enum err state_changed_policy(const struct spec *spec, char seen[65], struct buf *text);
/** state_print_log() - the last lines of RUN/machine.log to standard error, escaped */
void state_print_log(const struct rundir *run);
