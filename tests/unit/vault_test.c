/* vault_test.c - questions to the keeper, many at a time; secrets that come, change, fail and go
 *
 * The test is the keeper: it takes requests from the other end of the socket pair and answers as it likes.
 */
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

#define OLD STR("secret-number-one-0123456789")
#define NEW STR("secret-number-two-0123456789")

static const char text[] =
	"version: 1\n"
	"credentials:\n"
	"  env:\n    source: {environment: A}\n    hosts: [api.test]\n    header: {name: x-a}\n"
	"  file:\n    source: {file: /tmp/f}\n    hosts: [api.test]\n    header: {name: x-b}\n"
	"  short:\n    source: {environment: S}\n    hosts: [api.test]\n    header: {name: x-c}\n"
	"network:\n"
	"  - {hosts: [api.test], methods: [GET], paths: [/a], credential: env}\n"
	"  - {hosts: [api.test], methods: [GET], paths: [/b], credential: file}\n"
	"  - {hosts: [api.test], methods: [GET], paths: [/c], credential: short}\n";

static uv_loop_t loop;
static struct policy *policy;
static struct keeper_client *client;
static struct vault *vault;
static int ends[2] = { -1, -1 };
static struct keeper_request request;
static unsigned changes;

static int set_up(void **state)
{
	struct policy_error where = { .line = 0 };

	(void)state;
	changes = 0;
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

static const struct policy_credential *credential(const char *name)
{
	for (uint32_t i = 0; i < policy_credential_count(policy); i++)
		if (str_eq(policy_credential(policy, i)->name, str_of(name)))
			return policy_credential(policy, i);
	fail_msg("%s", name);
	return NULL;
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

/* a stamp and a secret */
static void give_secret(struct str stamp, struct str secret)
{
	auto_buf data = BUF_EMPTY;

	buf_init(&data, KEEPER_DATA_MAX);
	assert_int_equal(stamp.n, KEEPER_STAMP_BYTES);
	buf_put(&data, stamp);
	buf_put(&data, secret);
	give(request.sequence, ERR_OK, buf_str(&data));
}

/* ---- the client ---- */

struct answer { unsigned count; enum err result; char text[64]; struct keeper_call *cancel; };

static void answered(void *user, enum err e, struct str reply)
{
	struct answer *a = user;

	a->count++;
	a->result = e;
	snprintf(a->text, sizeof a->text, "%.*s", STR_FMT(reply));
	keeper_cancel(a->cancel);
	a->cancel = NULL;
}

static struct keeper_call *call(struct answer *a, enum keeper_op op, struct str asked, uint64_t timeout_ms)
{
	const struct keeper_question q = { .op = op, .credential = 7, .text = asked, .timeout_ms = timeout_ms };
	struct keeper_call *c = NULL;

	assert_int_equal(keeper_call(client, &q, answered, a, &c), ERR_OK);
	return c;
}

static void answers_come_in_any_order(void **state)
{
	(void)state;
	struct answer a = { 0 }, b = { 0 }, c = { 0 };
	uint32_t first;

	call(&a, KEEPER_LEAF, STR("one"), 0);
	call(&b, KEEPER_SIGV4, STR("two"), 0);
	call(&c, KEEPER_LOGIN, STR(""), 0);
	assert_int_equal(take(), 3);
	first = request.sequence;
	assert_int_equal(request.op, KEEPER_LEAF);
	assert_int_equal(request.credential, 7);
	assert_memory_equal(request.text, "one", 3);
	assert_int_equal(take(), 3);
	give(request.sequence, ERR_OK, STR("second"));
	assert_true(b.count == 1 && a.count == 0);
	assert_string_equal(b.text, "second");
	assert_int_equal(take(), 0);
	give(request.sequence, ERR_CREDENTIAL, STR(""));
	assert_true(c.count == 1 && c.result == ERR_CREDENTIAL);
	give(first, ERR_OK, STR("first"));
	assert_string_equal(a.text, "first");
	give(first, ERR_OK, STR("again"));	/* nobody's any more */
	assert_int_equal(a.count, 1);
}

static void a_call_can_be_cancelled_and_times_out(void **state)
{
	(void)state;
	struct answer a = { 0 }, b = { 0 }, c = { 0 };

	keeper_cancel(call(&a, KEEPER_LEAF, STR("x"), 0));
	call(&b, KEEPER_LEAF, STR("y"), 30);
	take();
	give(request.sequence, ERR_OK, STR("for the cancelled"));
	take();
	usleep(50000);
	turn();
	assert_int_equal(a.count, 0);
	assert_true(b.count == 1 && b.result == ERR_TIMEOUT);
	give(request.sequence, ERR_OK, STR("late"));
	assert_int_equal(b.count, 1);
	/* an answer's owner cancels another, which is answered too */
	b = (struct answer){ 0 };
	call(&b, KEEPER_LEAF, STR("y"), 0);
	b.cancel = call(&c, KEEPER_LEAF, STR("z"), 0);
	take();
	give(request.sequence, ERR_OK, STR("yes"));
	take();
	give(request.sequence, ERR_OK, STR("no"));
	assert_true(b.count == 1 && c.count == 0);
}

static void waiting_for_one_keeps_the_others(void **state)
{
	(void)state;
	struct answer a = { 0 };
	const struct keeper_question q = { .op = KEEPER_SIGN, .text = STR("note"), .timeout_ms = 2000 };
	struct keeper_reply reply = { .result = ERR_OK };
	auto_buf out = BUF_EMPTY;

	buf_init(&out, 64);
	call(&a, KEEPER_LEAF, STR("x"), 0);
	take();
	/* sequences count up by one, so that both answers can be there before the second question */
	reply.sequence = request.sequence;
	memcpy(reply.data, "leaf", 4);
	assert_true(write(ends[1], &reply, KEEPER_REPLY_HEAD + 4) > 0);
	reply.sequence++;
	memcpy(reply.data, "sign", 4);
	assert_true(write(ends[1], &reply, KEEPER_REPLY_HEAD + 4) > 0);
	assert_int_equal(keeper_client_wait(client, &q, &out), ERR_OK);
	assert_true(str_eq(buf_str(&out), STR("sign")));
	assert_int_equal(a.count, 0);	/* from the loop alone */
	turn();
	assert_string_equal(a.text, "leaf");
	const struct keeper_question hurried = { .op = KEEPER_SIGN, .text = STR("note"), .timeout_ms = 20 };

	assert_int_equal(keeper_client_wait(client, &hurried, &out), ERR_TIMEOUT);
}

static void what_is_no_answer_ends_those_that_wait(void **state)
{
	(void)state;
	static const struct { uint32_t result; size_t bytes; } bad[] = {
		{ ERR_OK, KEEPER_REPLY_HEAD - 1 }, { ERR_COUNT, KEEPER_REPLY_HEAD },
		{ ERR_CREDENTIAL, KEEPER_REPLY_HEAD + 1 }, { UINT32_MAX, KEEPER_REPLY_HEAD + 8 },
	};

	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
		struct answer a = { 0 }, b = { 0 };
		static struct keeper_reply reply;

		call(&a, KEEPER_LEAF, STR("x"), 0);
		take();
		reply.result = bad[i].result;
		reply.sequence = request.sequence;
		assert_true(write(ends[1], &reply, bad[i].bytes) > 0);
		turn();
		assert_true(a.count == 1 && a.result == ERR_CLOSED);
		call(&b, KEEPER_LEAF, STR("y"), 0);	/* and goes on */
		take();
		give(request.sequence, ERR_OK, STR("fine"));
		assert_int_equal(b.result, ERR_OK);
	}
}

static void without_a_keeper_every_call_ends(void **state)
{
	(void)state;
	struct answer a = { 0 };
	const struct keeper_question q = { .op = KEEPER_SIGN, .text = STR("note") };
	auto_buf out = BUF_EMPTY;

	buf_init(&out, 64);
	call(&a, KEEPER_LEAF, STR("x"), 0);
	close(ends[1]);
	ends[1] = -1;
	turn();
	assert_true(a.count == 1 && a.result == ERR_CLOSED);
	assert_int_equal(keeper_call(client, &q, answered, &a, NULL), ERR_CLOSED);
	assert_int_equal(keeper_client_wait(client, &q, &out), ERR_CLOSED);
}

static void calls_are_bounded_and_wait_for_room(void **state)
{
	(void)state;
	static struct answer a;
	static char big[KEEPER_TEXT_MAX + 1];
	struct keeper_question q = { .op = KEEPER_JWT, .text = { big, sizeof big } };
	unsigned taken = 0;

	a = (struct answer){ 0 };
	assert_int_equal(keeper_call(client, &q, answered, &a, NULL), ERR_INPUT);
	q.text.n = KEEPER_TEXT_MAX;
	for (unsigned i = 0; i < KEEPER_CALLS_MAX; i++)	/* 32 MiB: far more than the socket takes */
		assert_int_equal(keeper_call(client, &q, answered, &a, NULL), ERR_OK);
	assert_int_equal(keeper_call(client, &q, answered, &a, NULL), ERR_LIMIT);
	while (taken < KEEPER_CALLS_MAX) {
		assert_int_equal(take(), KEEPER_TEXT_MAX);
		give(request.sequence, ERR_OK, STR("x"));
		taken++;
	}
	assert_int_equal(a.count, KEEPER_CALLS_MAX);
}

/* ---- the vault ---- */

static void changed(void *user)
{
	(void)user;
	changes++;
}

static enum err ask(const char *name, struct vault_wait *w, const struct vault_secret **ret)
{
	const char *reason = NULL;
	enum err e = vault_ask(vault, credential(name), KEEPER_PART_SOURCE, w, changed, NULL, ret, &reason);

	assert_true((e == ERR_CREDENTIAL) == (reason != NULL));
	return e;
}

/* Asks until it is there, once; the keeper gives @secret. */
static const struct vault_secret *obtain(const char *name, struct str stamp, struct str secret)
{
	struct vault_wait w = { .next = NULL };
	const struct vault_secret *s = NULL;

	assert_int_equal(ask(name, &w, &s), ERR_MORE);
	assert_true(take() >= 0);
	assert_int_equal(request.op, KEEPER_SECRET);
	give_secret(stamp, secret);
	assert_int_equal(ask(name, &w, &s), ERR_OK);
	return s;
}

static bool is_searched(struct str secret)
{
	uint32_t found = 99;

	return vault_current(vault) && scrub_search(vault_current(vault)->set, secret, &found);
}

static void a_source_is_asked_once_for_all(void **state)
{
	(void)state;
	struct vault_wait w[3] = { { .next = NULL } };
	const struct vault_secret *s = NULL, *again = NULL;

	for (int i = 0; i < 3; i++)
		assert_int_equal(ask("env", &w[i], &s), ERR_MORE);
	assert_int_equal(ask("env", &w[0], &s), ERR_MORE);	/* asked twice is waiting once */
	vault_wait_end(&w[1]);
	vault_wait_end(&w[1]);
	assert_int_equal(take(), 0);
	assert_int_equal(request.credential, 0);
	assert_int_equal(take(), -1);
	assert_false(is_searched(OLD));
	give_secret(STR("stamp-01"), OLD);
	assert_int_equal(changes, 2);
	assert_int_equal(ask("env", &w[0], &s), ERR_OK);
	assert_int_equal(ask("env", &w[2], &again), ERR_OK);
	assert_true(s == again && str_eq(secret_str(s->secret), OLD));
	assert_true(is_searched(OLD));
	assert_int_equal(take(), -1);
	usleep((VAULT_CHECK_MS + 20) * 1000);
	vault_secret_release(again);
	assert_int_equal(ask("env", &w[0], &again), ERR_OK);	/* a variable does not change */
	vault_secret_release(s);
	vault_secret_release(again);
}

static void a_file_is_looked_at_again(void **state)
{
	(void)state;
	const struct vault_secret *first = obtain("file", STR("stamp-01"), OLD), *second = NULL, *third = NULL;
	struct vault_wait w = { .next = NULL };

	assert_int_equal(ask("file", &w, &second), ERR_OK);	/* just looked at */
	assert_true(second == first);
	vault_secret_release(second);
	usleep((VAULT_CHECK_MS + 20) * 1000);
	assert_int_equal(ask("file", &w, &second), ERR_MORE);
	assert_int_equal(take(), KEEPER_STAMP_BYTES);
	assert_memory_equal(request.text, "stamp-01", 8);
	give_secret(STR("stamp-01"), STR(""));	/* the same */
	assert_int_equal(ask("file", &w, &second), ERR_OK);
	assert_true(second == first);
	vault_secret_release(second);
	usleep((VAULT_CHECK_MS + 20) * 1000);
	second = obtain("file", STR("stamp-02"), NEW);
	assert_true(second->generation > first->generation);
	assert_true(str_eq(secret_str(second->secret), NEW));
	assert_true(str_eq(secret_str(first->secret), OLD));	/* as long as it is held */
	assert_true(is_searched(OLD) && is_searched(NEW));
	usleep((VAULT_CHECK_MS + 20) * 1000);
	third = obtain("file", STR("stamp-03"), NEW);	/* touched, not changed */
	assert_true(third == second);
	vault_secret_release(first);
	vault_secret_release(second);
	vault_secret_release(third);
}

static void old_secrets_are_searched_for_some_time(void **state)
{
	(void)state;
	char secret[64];

	for (int i = 0; i < VAULT_OLD_MAX + 3; i++) {
		if (i)
			usleep((VAULT_CHECK_MS + 5) * 1000);
		snprintf(secret, sizeof secret, "rotating-secret-number-%d", i);
		vault_secret_release(obtain("file", STR("stamp-xx"), str_of(secret)));
	}
	for (int i = 0; i < VAULT_OLD_MAX + 3; i++) {
		snprintf(secret, sizeof secret, "rotating-secret-number-%d", i);
		assert_int_equal(is_searched(str_of(secret)), i >= 2);
	}
}

static void a_file_may_fail_once(void **state)
{
	(void)state;
	struct vault_wait w = { .next = NULL };
	const struct vault_secret *s = obtain("file", STR("stamp-01"), OLD);

	vault_secret_release(s);
	for (int i = 0; i < 3; i++) {	/* half written; gone; back */
		usleep((VAULT_CHECK_MS + 20) * 1000);
		assert_int_equal(ask("file", &w, &s), ERR_MORE);
		take();
		if (i < 2)
			give(request.sequence, ERR_CREDENTIAL, STR(""));
		else
			give_secret(STR("stamp-02"), NEW);
		assert_int_equal(ask("file", &w, &s), i == 1 ? ERR_CREDENTIAL : ERR_OK);
		if (i != 1)
			vault_secret_release(s);
	}
}

static void a_failure_is_kept_for_a_moment(void **state)
{
	(void)state;
	struct vault_wait w = { .next = NULL };
	const struct vault_secret *s;

	assert_int_equal(ask("env", &w, &s), ERR_MORE);
	take();
	give(request.sequence, ERR_CREDENTIAL, STR(""));
	for (int i = 0; i < 10; i++)
		assert_int_equal(ask("env", &w, &s), ERR_CREDENTIAL);
	assert_int_equal(take(), -1);
}

static void what_cannot_be_searched_for_is_not_used(void **state)
{
	(void)state;
	static const struct str bad[] = { STR_INIT("short"), STR_INIT("fifteen-bytes-x") };
	struct vault_wait w = { .next = NULL };
	const struct vault_secret *s;

	for (size_t i = 0; i < 2; i++) {
		assert_int_equal(ask(i ? "short" : "env", &w, &s), ERR_MORE);
		take();
		give_secret(STR("stamp-01"), bad[i]);
		assert_int_equal(ask(i ? "short" : "env", &w, &s), ERR_CREDENTIAL);
	}
}

static void a_refused_secret_is_asked_for_anew(void **state)
{
	(void)state;
	struct vault_wait w = { .next = NULL };
	const struct vault_secret *s = obtain("env", STR("stamp-01"), OLD);
	uint64_t generation = s->generation;

	vault_secret_release(s);
	vault_invalidate(vault, credential("env"), generation + 1);
	assert_int_equal(ask("env", &w, &s), ERR_OK);
	vault_secret_release(s);
	vault_invalidate(vault, credential("env"), generation);
	assert_int_equal(ask("env", &w, &s), ERR_MORE);
	assert_int_equal(take(), 0);
	assert_int_equal(request.flags, KEEPER_AGAIN);
	give_secret(STR("stamp-01"), OLD);
	assert_int_equal(ask("env", &w, &s), ERR_OK);
	assert_int_equal(s->generation, generation);
	vault_secret_release(s);
	vault_invalidate(vault, credential("env"), generation);	/* not again at once */
	assert_int_equal(ask("env", &w, &s), ERR_OK);
	vault_secret_release(s);
}

static int32_t told = -1;

static void detached(void *user, int32_t number)
{
	(void)user;
	told = number;
}

static void what_is_detached_is_given_to_nobody(void **state)
{
	(void)state;
	struct vault_wait w = { .next = NULL };
	const struct vault_secret *held_one = obtain("file", STR("stamp-01"), OLD), *s;

	vault_on_detach(vault, detached, NULL);
	vault_detach(vault, credential("file"));
	assert_int_equal(told, 1);
	told = -1;
	vault_detach(vault, credential("file"));
	assert_int_equal(told, -1);
	assert_true(vault_detached(vault, credential("file")));
	assert_false(vault_detached(vault, credential("env")));
	assert_int_equal(ask("file", &w, &s), ERR_CREDENTIAL);
	assert_true(is_searched(OLD));
	vault_secret_release(held_one);
}

static void what_is_learnt_is_searched_for(void **state)
{
	(void)state;
	const struct vault_secret *s = NULL, *again = NULL;
	char secret[64];

	assert_int_equal(vault_learn(vault, credential("env"), OLD, &s), ERR_OK);
	assert_int_equal(vault_learn(vault, credential("env"), OLD, &again), ERR_OK);
	assert_true(s == again && is_searched(OLD));
	assert_int_equal(vault_learn(vault, credential("env"), STR("abc"), NULL), ERR_CREDENTIAL);
	assert_true(is_searched(OLD));
	for (int i = 0; i < 4 * VAULT_OLD_MAX; i++) {
		snprintf(secret, sizeof secret, "learnt-secret-number-%d", i);
		assert_int_equal(vault_learn(vault, credential("env"), str_of(secret), NULL), ERR_OK);
		assert_true(is_searched(str_of(secret)));
	}
	assert_false(is_searched(OLD));
	assert_true(str_eq(secret_str(s->secret), OLD));
	vault_secret_release(s);
	vault_secret_release(again);
}

static void later_policies_name_the_same_sources(void **state)
{
	(void)state;
	struct policy_credential other = *credential("env");

	assert_true(vault_knows(vault, credential("env")));
	assert_int_equal(vault_number(vault, credential("file")), 1);
	other.environment = STR("B");
	assert_false(vault_knows(vault, &other));
	other = *credential("env");
	other.strategy = POLICY_STRATEGY_CERTIFICATE;	/* would be another use of the same secret */
	assert_false(vault_knows(vault, &other));
	other = *credential("env");
	other.name = STR("unknown");
	assert_int_equal(vault_number(vault, &other), -1);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		T(answers_come_in_any_order), T(a_call_can_be_cancelled_and_times_out),
		T(waiting_for_one_keeps_the_others), T(what_is_no_answer_ends_those_that_wait),
		T(without_a_keeper_every_call_ends), T(calls_are_bounded_and_wait_for_room),
		T(a_source_is_asked_once_for_all), T(a_file_is_looked_at_again),
		T(old_secrets_are_searched_for_some_time), T(a_file_may_fail_once), T(a_failure_is_kept_for_a_moment),
		T(what_cannot_be_searched_for_is_not_used), T(a_refused_secret_is_asked_for_anew),
		T(what_is_detached_is_given_to_nobody), T(what_is_learnt_is_searched_for),
		T(later_policies_name_the_same_sources),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
