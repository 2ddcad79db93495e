/* policy_file.c - see policy_file.h. A policy's mistake is printed as compilers print
 * theirs, so that editors find the place. */
#include "cli/policy_file.h"

#include "supervisor/paths.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

bool policy_file_read(const char *path, struct buf *text)
{
	enum err e;

	buf_init(text, POLICY_BYTES_MAX + 8192); /* paths_read() reads a block beyond */
	e = paths_read(path, POLICY_BYTES_MAX, text);
	if (e == ERR_OK)
		return true;
	if (e == ERR_LIMIT)
		fprintf(stderr, "paddock: %s: has more than %d bytes\n", path, POLICY_BYTES_MAX);
	else
		fprintf(stderr, "paddock: %s: %s\n", path, e == ERR_LOCAL ? strerror(errno) : err_text(e));
	return false;
}

struct policy *policy_file_load(const char *path, struct buf *text)
{
	struct policy_error error;
	struct policy *p;
	enum err e;

	if (!policy_file_read(path, text))
		return NULL;
	e = policy_load(buf_str(text), path, getenv("HOME"), &p, &error);
	if (e == ERR_OK)
		return p;
	if (e != ERR_POLICY_SYNTAX)
		fprintf(stderr, "paddock: %s: %s\n", path, err_text(e));
	else if (error.line)
		fprintf(stderr, "%s:%u:%u: %s\n", path, error.line, error.column, error.text);
	else
		fprintf(stderr, "%s: %s\n", path, error.text);
	return NULL;
}
