/* courier_world.h - what the tests of paddock-courier run it in
 *
 * The courier is the real program, confined, on the descriptors that a supervisor would give it.
 * Around it: an upstream (TLS, in this process' threads, with a CA of its own), a keeper that
 * speaks keeper.h, and a client at the other end of the inspector's link, honest or not.
 * Included by the one file of each test.
 */
#pragma once

#include "audit/audit.h"
#include "base/clock.h"
#include "credential/keeper.h"
#include "wire/link.h"
#include "wire/head.h"
#include "wire/msg.h"

#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#define ERR_STATE OPENSSL_ERR_STATE
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#undef ERR_STATE

#include <cmocka.h>

#define SECRET "sk-test-0123456789abcdefSECRET"
#define PLACEHOLDER "pk-placeholder-AAAAAAAAAAAAAAAA"
#define BIG_BYTES (10u * 1024 * 1024)

#include "world_upstream.h"
#include "world_keeper.h"
#include "world_rig.h"
