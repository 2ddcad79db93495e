/* keeper_world.h - secrets, and keys to certify, for the tests of the keeper */
#pragma once

#include "keeper_files.h"

#include "base/auto.h"
#include "base/clock.h"
#include "credential/keeper_server.h"
#include "os/spawn.h"

#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>

#define ERR_STATE OPENSSL_ERR_STATE	/* OpenSSL has a type of that name, which nobody needs */
#include <openssl/core_names.h>
#include <openssl/ec.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#undef ERR_STATE

#define SECRET STR("ghp_0123456789abcdefABCDEF")
#define HASH "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="

static uint8_t points[2][KEEPER_POINT_BYTES];

static int set_up(void **state)
{
	for (int i = 0; i < 2; i++) {
		EVP_PKEY *key = EVP_EC_gen("P-256");
		size_t n = 0;

		if (!key || EVP_PKEY_get_octet_string_param(key, OSSL_PKEY_PARAM_PUB_KEY, points[i],
							    sizeof points[i], &n) != 1)
			return 1;
		EVP_PKEY_free(key);
	}
	return make_directory(state);
}
