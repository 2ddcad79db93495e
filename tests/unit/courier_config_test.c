/* courier_config_test.c - what the supervisor may tell the courier, and what an agent is told */
#include "courier/config.h"
#include "courier/deny.h"
#include "courier/queue.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

#define KEY "\"public_key\":\"00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff\""
#define NEEDED "\"version\":1,\"sandbox\":\"s-1\",\"policy\":\"version: 1\",\"policy_file\":\"/p\"," \
	       "\"key_name\":\"k\"," KEY

static void a_whole_configuration_is_read(void **state)
{
	(void)state;
	struct config *c;
	const char *problem;

	assert_int_equal(config_parse(STR("{" NEEDED ",\"person\":\"ann\",\"command\":[\"a\",\"b\"],"
					  "\"placeholders\":{\"api\":\"pk-1\"},"
					  "\"resolve\":[{\"host\":\"API.test\",\"port\":443,"
					  "\"address\":\"127.0.0.1\",\"to_port\":8443}]}"), &c, &problem),
					  ERR_OK);
	assert_true(str_eq(c->sandbox, STR("s-1")) && str_eq(c->person, STR("ann")));
	assert_int_equal(c->command_count, 2);
	assert_int_equal(c->public_key[31], 0xff);
	assert_true(str_eq(config_placeholder(c, STR("api")), STR("pk-1")));
	assert_int_equal(config_placeholder(c, STR("none")).n, 0);
	assert_true(str_eq(c->resolve[0].host, STR("api.test")));
	assert_int_equal(c->resolve[0].to_port, 8443);
	config_free(c);
}

static void what_is_wrong_is_refused(void **state)
{
	(void)state;
	static const char *const wrong[] = {
		"", "[]", "{}", "{" NEEDED ",}", "{" NEEDED ",\"sandbox\":\"twice\"}",
		"{" NEEDED ",\"unknown\":1}",
		"{" NEEDED ",\"person\":1}", "{" NEEDED ",\"durable\":true}",
		"{" NEEDED ",\"command\":\"a\"}", "{" NEEDED ",\"placeholders\":[]}",
		"{" NEEDED ",\"placeholders\":{\"a\":1}}", "{" NEEDED ",\"checkpoint_every\":-1}",
		"{" NEEDED ",\"resolve\":[{}]}",
		"{" NEEDED ",\"resolve\":[{\"host\":\"a\",\"port\":0,\"address\":\"1.1.1.1\",\"to_port\":1}]}",
		"{" NEEDED ",\"resolve\":[{\"host\":\"a\",\"port\":1,\"address\":\"localhost\",\"to_port\":1}]}",
		"{" NEEDED ",\"resolve\":[{\"host\":\"a/b\",\"port\":1,\"address\":\"1.1.1.1\",\"to_port\":1}]}",
		"{\"version\":2,\"sandbox\":\"s\",\"policy\":\"\",\"policy_file\":\"\",\"key_name\":\"k\"," KEY "}",
		"{\"version\":1,\"sandbox\":\"../s\",\"policy\":\"\",\"policy_file\":\"\",\"key_name\":\"k\"," KEY "}",
		"{\"version\":1,\"sandbox\":\"\",\"policy\":\"\",\"policy_file\":\"\",\"key_name\":\"k\"," KEY "}",
		("{\"version\":1,\"sandbox\":\"s\",\"policy\":\"\",\"policy_file\":\"\",\"key_name\":\"k\","
		 "\"public_key\":\"0011\"}"),
	};

	for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
		struct config *c = NULL;
		const char *problem = "";

		if (config_parse(str_of(wrong[i]), &c, &problem) != ERR_INPUT)
			fail_msg("this is taken: %s", wrong[i]);
		assert_null(c);
		assert_true(problem[0] != '\0');
	}
}

static void a_refusal_is_json_whatever_the_agent_sent(void **state)
{
	(void)state;
	struct head h = { .kind = HEAD_REQUEST, .method = STR_INIT("GET"), .host = STR_INIT("a.test"),
			  .path = STR_INIT("/\"}\\"), .port = 443, .scheme = HEAD_HTTPS };
	auto_buf out = BUF_EMPTY;

	buf_init(&out, 32768);
	for (int e = ERR_MEMORY; e < ERR_COUNT; e++) {
		buf_clear(&out);
		assert_int_equal(deny_body(&(struct deny){ .result = (enum err)e, .reason = "why", .head = &h,
							   .request_id = "s-1-1" }, &out), ERR_OK);
		buf_put_byte(&out, 0);
		assert_non_null(strstr(out.p, "\"type\":\"error\""));
		assert_non_null(strstr(out.p, "\"request_id\":\"s-1-1\""));
		assert_non_null(strstr(out.p, err_name((enum err)e)));
		assert_non_null(strstr(out.p, "/\\\"}\\\\"));
	}
}

static void a_queue_keeps_order_and_bound(void **state)
{
	(void)state;
	struct queue q;
	unsigned in = 0, out = 0;

	queue_init(&q, 100);
	for (int i = 0; i < 1000; i++) {
		while (queue_room(&q) >= 7) {
			char text[8];

			snprintf(text, sizeof text, "%07u", in++);
			assert_int_equal(queue_put(&q, str_make(text, 7)), ERR_OK);
		}
		for (int j = 0; j < i % 14 && queue_bytes(&q); j++) {
			char text[8];

			snprintf(text, sizeof text, "%07u", out++);
			assert_true(str_starts(queue_str(&q), str_make(text, 7)));
			queue_drop(&q, 7);
		}
	}
	assert_int_equal(queue_put(&q, str_make("01234567890123456789012345678901234567890123456789"
						"01234567890123456789012345678901234567890123456789_", 101)),
						ERR_LIMIT);
	queue_free(&q);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_whole_configuration_is_read),
		cmocka_unit_test(what_is_wrong_is_refused),
		cmocka_unit_test(a_refusal_is_json_whatever_the_agent_sent),
		cmocka_unit_test(a_queue_keeps_order_and_bound),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
