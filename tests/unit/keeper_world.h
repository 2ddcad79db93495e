/* keeper_world.h - a directory with an installation key and files, and keys to certify, for the tests of the keeper */
#pragma once

#include "base/auto.h"
#include "base/clock.h"
#include "credential/keeper_server.h"
#include "os/spawn.h"

#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include <cmocka.h>
#define ERR_STATE OPENSSL_ERR_STATE	/* OpenSSL has a type of that name, which nobody needs */
#include <openssl/core_names.h>
#include <openssl/ec.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#undef ERR_STATE

#define SECRET STR("ghp_0123456789abcdefABCDEF")
#define HASH "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="

static char directory_path[64];
static int directory = -1;
static uint8_t points[2][KEEPER_POINT_BYTES];

static int set_up(void **state)
{
	(void)state;
	snprintf(directory_path, sizeof directory_path, "/tmp/keeper-test-XXXXXX");
	if (!mkdtemp(directory_path))
		return 1;
	directory = open(directory_path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	for (int i = 0; i < 2; i++) {
		EVP_PKEY *key = EVP_EC_gen("P-256");
		size_t n = 0;

		if (!key || EVP_PKEY_get_octet_string_param(key, OSSL_PKEY_PARAM_PUB_KEY, points[i],
							    sizeof points[i], &n) != 1)
			return 1;
		EVP_PKEY_free(key);
	}
	return directory < 0;
}

static int tear_down(void **state)
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
