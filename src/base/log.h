/* log.h - words for an operator, on standard error
 *
 * Called only at the top of a process (main and its event handlers); libraries
 * return errors. A peer's bytes go through log_escape() first. Audit is not logging.
 */
#pragma once

#include "base/str.h"

enum log_level { LOG_LEVEL_ERROR, LOG_LEVEL_NOTE, LOG_LEVEL_DEBUG };

/** log_init() - the program's name, put before each line; level from $PADDOCK_LOG
 *  ("error", "note" (default), "debug") */
void log_init(const char *program);
void log_line(enum log_level level, const char *format, ...) __attribute__((format(printf, 2, 3)));
#define log_error(...) log_line(LOG_LEVEL_ERROR, __VA_ARGS__)
#define log_note(...) log_line(LOG_LEVEL_NOTE, __VA_ARGS__)
#define log_debug(...) log_line(LOG_LEVEL_DEBUG, __VA_ARGS__)
/** log_escape() - @s with every byte outside of printable ASCII, and the backslash, as
 *  \xNN, cut to fit @cap (>= 8) with "..." at the end; returns @out */
const char *log_escape(struct str s, char *out, size_t cap);
