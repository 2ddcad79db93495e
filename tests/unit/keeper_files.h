/* keeper_files.h - a directory for one program's tests of the keeper */
#pragma once

#include "base/str.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

static char directory_path[64];
static int directory = -1;

static int make_directory(void **state)
{
	(void)state;
	snprintf(directory_path, sizeof directory_path, "/tmp/keeper-test-XXXXXX");
	if (!mkdtemp(directory_path))
		return 1;
	directory = open(directory_path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return directory < 0;
}

static int remove_directory(void **state)
{
	char command[128];

	(void)state;
	close(directory);
	snprintf(command, sizeof command, "rm -rf %s", directory_path);
	return system(command);
}

static const char *in_directory(const char *name)
{
	static char path[128];

	snprintf(path, sizeof path, "%s/%s", directory_path, name);
	return path;
}

static const char *write_file(const char *name, struct str text, mode_t mode)
{
	const char *path = in_directory(name);
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, mode);

	assert_true(fd >= 0 && write(fd, text.p, text.n) == (ssize_t)text.n && fchmod(fd, mode) == 0);
	close(fd);
	return path;
}
