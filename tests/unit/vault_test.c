/* vault_test.c - secrets that come, change, fail and go */
#include "vault_world.h"

#define OLD STR("secret-number-one-0123456789")
#define NEW STR("secret-number-two-0123456789")

static unsigned changes;

static const struct policy_credential *credential(const char *name)
{
	for (uint32_t i = 0; i < policy_credential_count(policy); i++)
		if (str_eq(policy_credential(policy, i)->name, str_of(name)))
			return policy_credential(policy, i);
	fail_msg("%s", name);
	return NULL;
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

static void changed(void *user)
{
	(void)user;
	changes++;
}

static enum err ask(const char *name, struct waiter *w, const struct vault_secret **ret)
{
	const char *reason = NULL;
	enum err e = vault_ask(vault, credential(name), KEEPER_PART_SOURCE, w, changed, NULL, ret, &reason);

	assert_true((e == ERR_CREDENTIAL) == (reason != NULL));
	return e;
}

/* Asks until it is there, once; the keeper gives @secret. */
static const struct vault_secret *obtain(const char *name, struct str stamp, struct str secret)
{
	struct waiter w = { .next = NULL };
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
	struct waiter w[3] = { { .next = NULL } };
	const struct vault_secret *s = NULL, *again = NULL;

	changes = 0;
	for (int i = 0; i < 3; i++)
		assert_int_equal(ask("env", &w[i], &s), ERR_MORE);
	assert_int_equal(ask("env", &w[0], &s), ERR_MORE);	/* asked twice is waiting once */
	waiter_end(&w[1]);
	waiter_end(&w[1]);
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

static void a_file_is_looked_at_for_each_that_asks(void **state)
{
	(void)state;
	const struct vault_secret *first = obtain("file", STR("stamp-01"), OLD), *second = NULL,
				  *third = NULL;
	struct waiter w = { .next = NULL };

	assert_int_equal(ask("file", &w, &second), ERR_MORE);
	assert_int_equal(take(), KEEPER_STAMP_BYTES);
	assert_memory_equal(request.text, "stamp-01", 8);
	give_secret(STR("stamp-01"), STR(""));	/* the same */
	assert_int_equal(ask("file", &w, &second), ERR_OK);
	assert_true(second == first);
	vault_secret_release(second);
	second = obtain("file", STR("stamp-02"), NEW);
	assert_true(second->generation > first->generation);
	assert_true(str_eq(secret_str(second->secret), NEW));
	assert_true(str_eq(secret_str(first->secret), OLD));	/* as long as it is held */
	assert_true(is_searched(OLD) && is_searched(NEW));
	third = obtain("file", STR("stamp-03"), NEW);	/* touched, not changed */
	assert_true(third == second);
	vault_secret_release(first);
	vault_secret_release(second);
	vault_secret_release(third);
}

/* The look that runs may have come before the change: who
 * asks then gets what another one finds, all together. */
static void a_look_that_runs_already_answers_nobody_else(void **state)
{
	(void)state;
	const struct vault_secret *first = obtain("file", STR("stamp-01"), OLD), *s = NULL;
	struct waiter early = { .next = NULL }, late[2] = { { .next = NULL } };

	changes = 0;

	assert_int_equal(ask("file", &early, &s), ERR_MORE);
	assert_int_equal(take(), KEEPER_STAMP_BYTES);
	for (int i = 0; i < 2; i++)
		assert_int_equal(ask("file", &late[i], &s), ERR_MORE);
	assert_int_equal(take(), -1);		/* one at a time */
	give_secret(STR("stamp-01"), STR(""));
	assert_int_equal(changes, 3);
	assert_int_equal(ask("file", &early, &s), ERR_OK);
	assert_true(s == first);
	vault_secret_release(s);
	for (int i = 0; i < 2; i++)
		assert_int_equal(ask("file", &late[i], &s), ERR_MORE);
	assert_int_equal(take(), KEEPER_STAMP_BYTES);
	give_secret(STR("stamp-02"), NEW);
	for (int i = 0; i < 2; i++) {
		assert_int_equal(ask("file", &late[i], &s), ERR_OK);
		assert_true(str_eq(secret_str(s->secret), NEW));
		vault_secret_release(s);
	}
	assert_int_equal(take(), -1);
	vault_secret_release(first);
}

static void old_secrets_are_searched_for_some_time(void **state)
{
	(void)state;
	char secret[64];

	for (int i = 0; i < VAULT_OLD_MAX + 3; i++) {
		snprintf(secret, sizeof secret, "rotating-secret-number-%d", i);
		vault_secret_release(obtain("file", STR("stamp-xx"), str_of(secret)));
	}
	for (int i = 0; i < VAULT_OLD_MAX + 3; i++) {
		snprintf(secret, sizeof secret, "rotating-secret-number-%d", i);
		assert_int_equal(is_searched(str_of(secret)), i >= 2);
	}
}

static void a_file_may_fail_for_a_moment(void **state)
{
	(void)state;
	struct waiter w = { .next = NULL };
	const struct vault_secret *s = obtain("file", STR("stamp-01"), OLD);

	vault_secret_release(s);
	for (int i = 0; i < 3; i++) {	/* half written, and half written; gone */
		if (i == 2)
			usleep((VAULT_CHECK_MS + 20) * 1000);
		assert_int_equal(ask("file", &w, &s), ERR_MORE);
		take();
		give(request.sequence, ERR_CREDENTIAL, STR(""));
		assert_int_equal(ask("file", &w, &s), i < 2 ? ERR_OK : ERR_CREDENTIAL);
		if (i < 2)
			vault_secret_release(s);
	}
	assert_int_equal(ask("file", &w, &s), ERR_CREDENTIAL);
	assert_int_equal(take(), -1);	/* not for each, now */
	usleep((VAULT_CHECK_MS + 20) * 1000);
	vault_secret_release(obtain("file", STR("stamp-02"), NEW));	/* back */
	assert_int_equal(ask("file", &w, &s), ERR_MORE);
	take();
	give(request.sequence, ERR_CREDENTIAL, STR(""));
	assert_int_equal(ask("file", &w, &s), ERR_OK);	/* the doubt is a new one */
	vault_secret_release(s);
}

static void a_failure_is_kept_for_a_moment(void **state)
{
	(void)state;
	struct waiter w = { .next = NULL };
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
	struct waiter w = { .next = NULL };
	const struct vault_secret *s;

	for (size_t i = 0; i < 2; i++) {
		assert_int_equal(ask(i ? "short" : "env", &w, &s), ERR_MORE);
		take();
		give_secret(STR("stamp-01"), bad[i]);
		assert_int_equal(ask(i ? "short" : "env", &w, &s), ERR_CREDENTIAL);
	}
	/* unless the policy says that it is not to be */
	s = obtain("marked", STR("stamp-01"), bad[0]);
	assert_true(str_eq(secret_str(s->secret), bad[0]));
	vault_secret_release(s);
	vault_secret_release(obtain("marked", STR("stamp-02"), OLD));
	assert_false(is_searched(bad[0]) || is_searched(OLD));
}

static void a_refused_secret_is_asked_for_anew(void **state)
{
	(void)state;
	struct waiter w = { .next = NULL };
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
	struct waiter w = { .next = NULL };
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

/* A refresh token stays what it is, while one access token after another comes of it. */
static void what_is_learnt_again_stays(void **state)
{
	(void)state;
	char secret[64];

	for (int i = 0; i < 8 * VAULT_OLD_MAX; i++) {
		snprintf(secret, sizeof secret, "access-token-number-%d", i);
		assert_int_equal(vault_learn(vault, credential("env"), OLD, NULL), ERR_OK);
		assert_int_equal(vault_learn(vault, credential("env"), str_of(secret), NULL), ERR_OK);
		assert_true(is_searched(OLD));
		assert_true(is_searched(str_of(secret)));
	}
	assert_false(is_searched(STR("access-token-number-0")));
}

/* A few large ones are as much as there is room for: the oldest former ones go, nothing is refused. */
static void large_secrets_make_room(void **state)
{
	(void)state;
	static char secret[SECRET_MAX_BYTES];

	memset(secret, 'x', sizeof secret);
	for (int i = 0; i < 32; i++) {	/* 16 learnt, 5 of the file: 336 KiB */
		const struct str s = str_make(secret, sizeof secret);

		memset(secret, 'a' + i, 16);
		if (i % 2)
			vault_secret_release(obtain("file", STR("stamp-xx"), s));
		else
			assert_int_equal(vault_learn(vault, credential("env"), s, NULL), ERR_OK);
		if (!is_searched(s))
			fail_msg("number %d", i);
	}
	memset(secret, 'a', 16);
	assert_false(is_searched(str_make(secret, sizeof secret)));
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
		T(a_source_is_asked_once_for_all), T(a_file_is_looked_at_for_each_that_asks),
		T(a_look_that_runs_already_answers_nobody_else),
		T(old_secrets_are_searched_for_some_time), T(a_file_may_fail_for_a_moment),
		T(a_failure_is_kept_for_a_moment), T(what_cannot_be_searched_for_is_not_used),
		T(a_refused_secret_is_asked_for_anew), T(what_is_detached_is_given_to_nobody),
		T(what_is_learnt_is_searched_for), T(what_is_learnt_again_stays), T(large_secrets_make_room),
		T(later_policies_name_the_same_sources),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
