/* token_test.c - one token a credential: shared, got anew shortly before its end, left alone after failures
 *
 * The test is the way to a token (token_step()): it counts attempts, and
 * ends them as it likes. Time passes by moving what a token's times say.
 */
#include "courier/token_internal.h"

#include "base/clock.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#define FIRST STR("token-number-one-0123456789")
#define SECOND STR("token-number-two-0123456789")

#define POLICY(scope) \
	"version: 1\n" \
	"credentials:\n  api:\n    source: {environment: A}\n    hosts: [api.test]\n    strategy: token\n" \
	"    token: {grant: client_credentials, endpoint: \"https://id.test/token\", client_id: me, scope: " scope "}\n" \
	"network:\n  - {hosts: [api.test], methods: [GET], credential: api}\n"

static uv_loop_t loop;
static struct config config;
static struct courier courier;
static struct token *k;
static unsigned attempts, changes;
static int ends[2];

void token_step(struct token *of)
{
	k = of;
	attempts++;
}

void token_step_login(struct token *of) { token_step(of); }

static struct policy *policy_of(const char *text)
{
	struct policy_error where = { .line = 0 };
	struct policy *p = NULL;

	if (policy_load(str_of(text), "p", "/root", &p, &where))
		fail_msg("%u: %s", where.line, where.text);
	return p;
}

static void put_in_force(const char *text)
{
	snapshot_release(courier.snapshot);
	assert_int_equal(snapshot_new(policy_of(text), &config, &courier.snapshot), ERR_OK);
}

static int set_up(void **state)
{
	(void)state;
	attempts = changes = 0;
	k = NULL;
	memset(&courier, 0, sizeof courier);
	if (uv_loop_init(&loop) || socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends))
		return 1;
	put_in_force(POLICY("read"));
	courier.keeper = keeper_client_new(&loop, ends[0]);
	courier.vault = vault_new(courier.keeper, snapshot_policy(courier.snapshot));
	courier.tokens = tokens_new(&courier);
	return !courier.vault || !courier.tokens;
}

static int tear_down(void **state)
{
	(void)state;
	tokens_free(courier.tokens);
	vault_free(courier.vault);
	keeper_client_free(courier.keeper);
	snapshot_release(courier.snapshot);
	while (uv_run(&loop, UV_RUN_NOWAIT))
		;
	assert_int_equal(uv_loop_close(&loop), 0);
	close(ends[0]);
	close(ends[1]);
	return 0;
}

static void earlier(uint64_t *at_ms, uint64_t ms) { *at_ms = *at_ms > ms ? *at_ms - ms : 0; }

static void pass(uint64_t seconds)
{
	earlier(&k->renew_ms, seconds * 1000);
	earlier(&k->expires_ms, seconds * 1000);
	earlier(&k->refused_ms, seconds * 1000);
	earlier(&k->failed_until_ms, seconds * 1000);
}

static void changed(void *user)
{
	(void)user;
	changes++;
}

static enum err ask(struct waiter *w, const struct vault_secret **ret, const char **ret_reason)
{
	return token_ask(courier.tokens, policy_credential(snapshot_policy(courier.snapshot), 0),
			 STR("request-1"), w, changed, NULL, ret, ret_reason);
}

/* Is @token what there is? */
static bool has(struct str token)
{
	struct waiter w = { .next = NULL };
	const struct vault_secret *s = NULL;
	const char *reason;
	bool same = ask(&w, &s, &reason) == ERR_OK && str_eq(secret_str(s->secret), token);

	vault_secret_release(s);
	waiter_end(&w);
	return same;
}

static bool fails(const char *words)
{
	struct waiter w = { .next = NULL };
	const struct vault_secret *s;
	const char *reason = "";

	return ask(&w, &s, &reason) == ERR_CREDENTIAL && !strcmp(reason, words);
}

static bool waits(struct waiter *w)
{
	const struct vault_secret *s;
	const char *reason;

	return ask(w, &s, &reason) == ERR_MORE;
}

/* An attempt that @token comes of. */
static void get(struct str token, uint64_t life_s)
{
	struct waiter w = { .next = NULL };
	unsigned before = attempts;

	assert_true(waits(&w));
	assert_int_equal(attempts, before + 1);
	token_good(k, token, life_s, TOKEN_EARLY_S, false);
	assert_null(w.at);
	assert_true(has(token));
}

static void one_attempt_is_everybodys(void **state)
{
	(void)state;
	struct waiter w[3] = { { .next = NULL } };
	uint32_t hit;

	for (int i = 0; i < 3; i++)
		assert_true(waits(&w[i]));
	waiter_end(&w[1]);
	assert_int_equal(attempts, 1);
	assert_string_equal(k->parent, "request-1");
	token_good(k, FIRST, 3600, TOKEN_EARLY_S, false);
	assert_int_equal(changes, 2);
	assert_true(has(FIRST) && has(FIRST));
	assert_int_equal(attempts, 1);
	assert_true(scrub_search(vault_current(courier.vault)->set, FIRST, &hit)); /* before anybody had it */
}

static void another_is_got_shortly_before_the_end(void **state)
{
	(void)state;
	static const struct { uint64_t life_s, early_s; } cases[] = { { 3600, TOKEN_EARLY_S }, { 100, 10 },
								      { 600, 60 } };

	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		get(FIRST, cases[i].life_s);
		unsigned before = attempts;

		pass(cases[i].life_s - cases[i].early_s - 2);
		assert_true(has(FIRST));
		assert_int_equal(attempts, before);
		pass(2);
		assert_true(has(FIRST));	/* serves while the other is got */
		assert_int_equal(attempts, before + 1);
		assert_true(has(FIRST));
		assert_int_equal(attempts, before + 1);
		token_good(k, SECOND, 3600, TOKEN_EARLY_S, false);
		assert_true(has(SECOND));
		pass(3601);
		assert_false(has(SECOND));	/* that began one more, for which all wait */
		token_good(k, FIRST, 1, TOKEN_EARLY_S, false);
		pass(1);
	}
}

/* Until its end: then there is none. */
static void a_token_serves_while_no_other_is_to_be_had(void **state)
{
	(void)state;
	get(FIRST, 3600);
	pass(3600 - 30);
	assert_true(has(FIRST));
	token_bad(k, "out of %s", "order");
	assert_true(has(FIRST));
	assert_int_equal(attempts, 2);
	pass(6);
	assert_true(has(FIRST));
	assert_int_equal(attempts, 3);
	token_bad(k, "still");
	pass(25);
	k->failed_until_ms = UINT64_MAX;
	assert_true(fails("still"));
}

static void failures_make_for_pauses_that_double(void **state)
{
	(void)state;
	static const uint64_t pauses[] = { 5, 10, 20, 40, 80, 160, 300, 300, 300 };
	struct waiter w = { .next = NULL };

	assert_true(waits(&w));
	for (size_t i = 0; i < sizeof pauses / sizeof *pauses; i++) {
		assert_int_equal(attempts, i + 1);
		token_bad(k, "failure %zu", i);
		assert_int_equal(changes, i + 1);
		pass(pauses[i] - 2);
		char words[32];

		snprintf(words, sizeof words, "failure %zu", i);
		assert_true(fails(words) && fails(words));
		assert_int_equal(attempts, i + 1);
		pass(2);
		assert_true(waits(&w));
	}
	token_good(k, FIRST, 3600, TOKEN_EARLY_S, false);
	pass(3600);
	assert_true(waits(&w));
	token_bad(k, "anew");
	pass(pauses[0]);		/* a success was in between: it begins at the start */
	assert_true(waits(&w));
	waiter_end(&w);
}

static void a_refused_token_is_replaced_but_not_each_time(void **state)
{
	(void)state;
	const struct policy_credential *c = policy_credential(snapshot_policy(courier.snapshot), 0);

	get(FIRST, 3600);
	token_refused(courier.tokens, c, k->current->generation + 1);	/* another one's */
	assert_true(has(FIRST));
	token_refused(courier.tokens, c, k->current->generation);
	get(SECOND, 3600);
	token_refused(courier.tokens, c, k->current->generation); /* at once again: it is not the token */
	assert_true(has(SECOND));
	pass(TOKEN_REFUSED_MS / 1000);
	token_refused(courier.tokens, c, k->current->generation);
	assert_false(has(SECOND));
	assert_int_equal(attempts, 3);
}

/* While the end of an attempt is still written to a file: who asks then waits for it, and is told. */
static void who_asks_at_the_end_of_an_attempt_is_told(void **state)
{
	(void)state;
	const struct policy_credential *c = policy_credential(snapshot_policy(courier.snapshot), 0);
	struct waiter w = { .next = NULL }, late = { .next = NULL };

	assert_true(waits(&w));
	token_good(k, FIRST, 3600, TOKEN_EARLY_S, true);
	token_refused(courier.tokens, c, k->current->generation);
	assert_true(waits(&late));
	assert_int_equal(attempts, 1);
	changes = 0;
	token_over(k);
	assert_int_equal(changes, 1);
	assert_null(late.at);
	assert_true(waits(&late));
	assert_int_equal(attempts, 2);
	waiter_end(&late);
}

/* A policy that is loaded may ask for less; one that has it no more gives it to nobody. */
static void the_policy_in_force_says_which_token(void **state)
{
	(void)state;
	struct waiter w = { .next = NULL };

	get(FIRST, 3600);
	put_in_force(POLICY("read"));
	assert_true(has(FIRST));
	put_in_force(POLICY("less"));
	assert_true(waits(&w));
	assert_true(str_eq(k->credential->token->scope, STR("less")));
	token_good(k, SECOND, 3600, TOKEN_EARLY_S, false);
	assert_true(has(SECOND));

	struct policy *before = policy_of(POLICY("less"));
	const struct vault_secret *s;
	const char *reason = "";

	put_in_force("version: 1\nnetwork:\n  - {hosts: [api.test], methods: [GET]}\n");
	assert_int_equal(token_ask(courier.tokens, policy_credential(before, 0), STR("request-2"), &w,
				   changed, NULL, &s, &reason),
			 ERR_CREDENTIAL);
	policy_free(before);
	assert_string_equal(reason, "the policy in force, or the run's keeper, does not know it");
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		T(one_attempt_is_everybodys),
		T(another_is_got_shortly_before_the_end),
		T(a_token_serves_while_no_other_is_to_be_had),
		T(failures_make_for_pauses_that_double),
		T(a_refused_token_is_replaced_but_not_each_time),
		T(who_asks_at_the_end_of_an_attempt_is_told),
		T(the_policy_in_force_says_which_token),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
