/* log.c - see log.h. One write per line, so that lines of several processes do not mix. */
#include "base/log.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static const char *program_name = "paddock";
static enum log_level threshold = LOG_LEVEL_NOTE;

void log_init(const char *program)
{
	const char *level = getenv("PADDOCK_LOG");

	program_name = program;
	if (level && !strcmp(level, "error"))
		threshold = LOG_LEVEL_ERROR;
	else if (level && !strcmp(level, "debug"))
		threshold = LOG_LEVEL_DEBUG;
}

void log_line(enum log_level level, const char *format, ...)
{
	char line[2048];
	va_list ap;
	int n, m;

	if (level > threshold)
		return;
	n = snprintf(line, sizeof line - 1, "%s: ", program_name);
	if (n < 0 || (size_t)n >= sizeof line - 1)
		return;
	va_start(ap, format);
	m = vsnprintf(line + n, sizeof line - 1 - (size_t)n, format, ap);
	va_end(ap);
	if (m < 0)
		return;
	size_t len = strlen(line);

	line[len++] = '\n';
	if (write(STDERR_FILENO, line, len) < 0)
		return;	/* nobody is left to tell */
}

const char *log_escape(struct str s, char *out, size_t cap)
{
	size_t o = 0;

	for (size_t i = 0; i < s.n; i++) {
		uint8_t c = (uint8_t)s.p[i];

		if (cap - o < 8) {
			memcpy(out + o, "...", 3);
			o += 3;
			break;
		}
		if (c >= 0x20 && c < 0x7f && c != '\\')
			out[o++] = (char)c;
		else
			o += (size_t)snprintf(out + o, 5, "\\x%02x", (unsigned)c);
	}
	out[o] = 0;
	return out;
}
