/* keeper_client_test.c - questions to the keeper, many at a time: answers in any order, late, wrong, never */
#include "vault_world.h"

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
	const struct keeper_question q = { .op = op, .credential = 7, .text = asked,
					   .timeout_ms = timeout_ms };
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

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		T(answers_come_in_any_order), T(a_call_can_be_cancelled_and_times_out),
		T(waiting_for_one_keeps_the_others), T(what_is_no_answer_ends_those_that_wait),
		T(without_a_keeper_every_call_ends), T(calls_are_bounded_and_wait_for_room),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
