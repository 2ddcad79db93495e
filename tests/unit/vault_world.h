/* vault_world.h - a vault whose keeper is the test: it takes requests from the other end
 * of the socket pair and answers as it likes. Included by the one file of each test. */
#pragma once

#include "courier/vault.h"

#include "base/clock.h"

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

static const char text[] =
	"version: 1\n"
	"credentials:\n"
	"  env:\n    source: {environment: A}\n    hosts: [api.test]\n    header: {name: x-a}\n"
	"  file:\n    source: {file: /tmp/f}\n    hosts: [api.test]\n    header: {name: x-b}\n"
	"  short:\n    source: {environment: S}\n    hosts: [api.test]\n    header: {name: x-c}\n"
	"  marked:\n    source: {file: /tmp/g}\n    hosts: [api.test]\n    scrub: false\n    header: {name: "
	"x-d}\n"
	"network:\n"
	"  - {hosts: [api.test], methods: [GET], paths: [/a], credential: env}\n"
	"  - {hosts: [api.test], methods: [GET], paths: [/b], credential: file}\n"
	"  - {hosts: [api.test], methods: [GET], paths: [/c], credential: short}\n"
	"  - {hosts: [api.test], methods: [GET], paths: [/d], credential: marked}\n";

static uv_loop_t loop;
static struct policy *policy;
static struct keeper_client *client;
static struct vault *vault;
static int ends[2] = { -1, -1 };
static struct keeper_request request;

static int set_up(void **state)
{
	struct policy_error where = { .line = 0 };

	(void)state;
	signal(SIGPIPE, SIG_IGN);
	if (uv_loop_init(&loop) || socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends))
		return 1;
	if (policy_load(str_of(text), "p", "/root", &policy, &where)) {
		fprintf(stderr, "%u: %s\n", where.line, where.text);
		return 1;
	}
	client = keeper_client_new(&loop, ends[0]);
	vault = vault_new(client, policy);
	return !vault;
}

static int tear_down(void **state)
{
	(void)state;
	vault_free(vault);
	keeper_client_free(client);
	while (uv_run(&loop, UV_RUN_NOWAIT))
		;
	assert_int_equal(uv_loop_close(&loop), 0);
	close(ends[0]);
	if (ends[1] >= 0)
		close(ends[1]);
	policy_free(policy);
	return 0;
}

static void turn(void)
{
	for (int i = 0; i < 5; i++)
		uv_run(&loop, UV_RUN_NOWAIT);
}

/* The next request; how much text it has. -1: there is none. */
static ssize_t take(void)
{
	ssize_t n;

	turn();
	n = recv(ends[1], &request, sizeof request, MSG_DONTWAIT);
	return n < 0 ? -1 : n - (ssize_t)KEEPER_REQUEST_HEAD;
}

static void give(uint32_t sequence, enum err result, struct str data)
{
	static struct keeper_reply reply;

	reply.result = (uint32_t)result;
	reply.sequence = sequence;
	if (data.n)
		memcpy(reply.data, data.p, data.n);
	assert_true(write(ends[1], &reply, KEEPER_REPLY_HEAD + data.n) > 0);
	turn();
}
