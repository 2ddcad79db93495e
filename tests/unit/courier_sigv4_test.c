/* courier_sigv4_test.c - AWS requests through the real courier: when the keeper is asked for other keys */
#include "../path/courier_world.h"

static const char policy[] =
	"version: 1\n"
	"credentials:\n"
	"  api:\n"
	"    source: {command: [keys]}\n"
	"    hosts: [api.test]\n"
	"    strategy: sigv4\n"
	"    sigv4: {services: [s3], regions: [us-east-1]}\n"
	"    placeholder: {files: [{kind: aws}]}\n"
	"network:\n"
	"  - {hosts: [api.test], methods: [GET], credential: api}\n";

static struct rig rig;

static bool answer(SSL *s, const char *path)
{
	if (strcmp(path, "/over") != 0)
		return false;
	world_say(s, "HTTP/1.1 403 Forbidden\r\ncontent-length: 0\r\n\r\n");
	return true;
}

static int setup(void **state)
{
	(void)state;
	world.requests = 0;
	world.log_bytes = 0;
	world.log[0] = '\0';
	rig_start(&rig, policy, 0);
	rig_hello(&rig);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	rig_free(&rig);
	return 0;
}

/* Signed with the placeholder, as a client in the sandbox does it. */
static uint16_t status_of(const char *path)
{
	const struct msg_connect m = { .host = STR_INIT("api.test"), .port = 443, .scheme = HEAD_HTTPS,
				       .connection = 1 };
	struct head h = ask_head(&(struct ask){ .path = path });
	char time[20], authorization[512];
	time_t now = (time_t)(clock_unix_ns() / 1000000000);
	auto_buf head = BUF_EMPTY;
	struct tm tm;

	gmtime_r(&now, &tm);
	strftime(time, sizeof time, "%Y%m%dT%H%M%SZ", &tm);
	snprintf(authorization, sizeof authorization, "AWS4-HMAC-SHA256 Credential=" PLACEHOLDER
		 "/%.8s/us-east-1/s3/aws4_request, SignedHeaders=host;x-amz-date, Signature=" KEEPER_SIGNATURE, time);
	assert_int_equal(head_add(&h, STR("x-amz-date"), str_of(time)), ERR_OK);
	assert_int_equal(head_add(&h, STR("authorization"), str_of(authorization)), ERR_OK);
	uint32_t s = ask_open(&rig, LINK_KIND_EXCHANGE, &m);

	buf_init(&head, HEAD_MAX_BYTES);
	assert_int_equal(head_encode(&h, &head), ERR_OK);
	assert_int_equal(link_head(rig.link, s, buf_str(&head)), ERR_OK);
	link_end(rig.link, s);
	return rig_wait(&rig, s)->head.status;
}

/* A refusal may mean that the keys are over, whatever its
 * words are: then others are asked for, but not each time. */
static void keys_that_may_be_over_are_asked_for_anew(void **state)
{
	(void)state;
	assert_int_equal(status_of("/"), 200);
	assert_non_null(strstr(world.log, "Credential=AKIATEST/"));
	assert_int_equal(keeper.again, 0);
	assert_int_equal(status_of("/over"), 403);
	assert_int_equal(keeper.again, 0);
	assert_int_equal(status_of("/"), 200);
	assert_int_equal(keeper.again, 1);
	for (int i = 0; i < 3; i++)
		assert_int_equal(status_of("/over"), 403);
	assert_int_equal(status_of("/"), 200);
	assert_int_equal(keeper.again, 1);
	assert_int_equal(keeper.signatures, 7);
	rig_stop(&rig);
}

static void without_others_those_that_are_kept_serve(void **state)
{
	(void)state;
	keeper.again_fails = true;
	assert_int_equal(status_of("/over"), 403);
	assert_int_equal(status_of("/"), 200);
	assert_int_equal(keeper.again, 1);
	rig_stop(&rig);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		T(keys_that_may_be_over_are_asked_for_anew), T(without_others_those_that_are_kept_serve),
	};

	world_start();
	world.answer = answer;
	return world_end(cmocka_run_group_tests(tests, NULL, NULL));
}
