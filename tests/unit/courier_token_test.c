/* courier_token_test.c - tokens that the courier fetches, through the real courier: what a token endpoint may answer */
#include "../path/courier_world.h"

#define TOKEN "at-0123456789-abcdefghij"

static const char policy[] =
	"version: 1\n"
	"credentials:\n"
	"  api:\n"
	"    source: {environment: API_KEY}\n"
	"    hosts: [api.test]\n"
	"    strategy: token\n"
	"    token: {grant: client_credentials, endpoint: \"https://other.test/token\", client_id: svc}\n"
	"    placeholder: {environment: API_KEY, value: " PLACEHOLDER "}\n"
	"network:\n"
	"  - {hosts: [api.test], methods: [GET], credential: api}\n";

static struct rig rig;
static const char *expires;		/* what the endpoint says of its token's life */
static unsigned asked;			/* how often it was asked */

static bool answer(SSL *s, const char *path)
{
	char body[256], text[512];

	if (strcmp(path, "/token") != 0)
		return false;
	__atomic_fetch_add(&asked, 1, __ATOMIC_SEQ_CST);
	int n = snprintf(body, sizeof body, "{\"access_token\":\"" TOKEN "%u\",\"token_type\":\"Bearer\"%s}", asked, expires);

	snprintf(text, sizeof text, "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n%s", n,
		 body);
	usleep(100000);		/* several wait for it */
	world_say(s, text);
	return true;
}

static int setup(void **state)
{
	(void)state;
	world.requests = 0;
	world.log_bytes = 0;
	world.log[0] = '\0';
	asked = 0;
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

/* It serves those who waited for it, and a while longer: whoever asks then does not set off another request each. */
static void a_token_without_a_life_serves_who_waited(void **state)
{
	(void)state;
	static const char *const lives[] = { ",\"expires_in\":0", ",\"expires_in\":\"0\"", ",\"expires_in\":0.5" };

	for (size_t i = 0; i < sizeof lives / sizeof *lives; i++) {
		if (i) {
			rig_free(&rig);
			setup(NULL);
		}
		expires = lives[i];
		uint32_t s[3];

		for (int k = 0; k < 3; k++)
			s[k] = ask(&rig, &(struct ask){ .path = "/" });
		for (int k = 0; k < 3; k++)
			assert_int_equal(rig_wait(&rig, s[k])->head.status, 200);
		assert_int_equal(ask_wait(&rig, &(struct ask){ .path = "/" })->head.status, 200);
		assert_int_equal(asked, 1);
		assert_non_null(strstr(world.log, "authorization: Bearer " TOKEN "1"));
	}
	rig_stop(&rig);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		T(a_token_without_a_life_serves_who_waited),
	};

	world_start();
	world.answer = answer;
	return world_end(cmocka_run_group_tests(tests, NULL, NULL));
}
