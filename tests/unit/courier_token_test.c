/* courier_token_test.c - tokens that the courier fetches,
 * through the real courier: what a token endpoint may answer */
#include "../path/courier_world.h"

#include <semaphore.h>

#define TOKEN "at-0123456789-abcdefghij"
#define NEXT "rt-0123456789-abcdefghij-next"

#define POLICY(source, grant) \
	"version: 1\n" \
	"credentials:\n" \
	"  api:\n" \
	"    source: {" source "}\n" \
	"    hosts: [api.test]\n" \
	"    strategy: token\n" \
	"    token: {grant: " grant ", endpoint: \"https://other.test/token\", client_id: svc}\n" \
	"    placeholder: {environment: API_KEY, value: " PLACEHOLDER "}\n" \
	"network:\n" \
	"  - {hosts: [api.test], methods: [GET], credential: api}\n" \
	"  - {hosts: [a.wild.test], registry: {type: npm, min_age: 3d}}\n"

static const char policy[] = POLICY("environment: API_KEY", "client_credentials");

static struct rig rig;
static const char *expires;		/* what the endpoint says of its token's life, and besides */
static unsigned asked;			/* how often it was asked */
static sem_t metadata;			/* what registries' metadata waits for */

static bool answer(SSL *s, const char *path)
{
	char body[256], text[512];

	if (!strncmp(path, "/package", 8)) {
		sem_wait(&metadata);
		return false;
	}
	if (strcmp(path, "/token") != 0)
		return false;
	__atomic_fetch_add(&asked, 1, __ATOMIC_SEQ_CST);
	int n = snprintf(body, sizeof body, "{\"access_token\":\"" TOKEN "%u\",\"token_type\":\"Bearer\"%s}",
			 asked, expires);

	snprintf(text, sizeof text,
		 "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n%s", n,
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

/* It serves those who waited for it, and a while longer:
 * whoever asks then does not set off another request each. */
static void a_token_without_a_life_serves_who_waited(void **state)
{
	(void)state;
	static const char *const lives[] = { ",\"expires_in\":0", ",\"expires_in\":\"0\"",
					     ",\"expires_in\":0.5" };

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

/* Once it is spent nobody knows another: what comes of it is in its file before the end. */
static void the_end_waits_for_a_refresh(void **state)
{
	(void)state;
	rig_free(&rig);
	asked = 0;
	rig_start(&rig, POLICY("file: /w/refresh", "refresh_token"), 0);
	rig_hello(&rig);
	expires = ",\"refresh_token\":\"" NEXT "\"";
	(void)ask(&rig, &(struct ask){ .path = "/" });
	for (int i = 0; i < 200 && !__atomic_load_n(&asked, __ATOMIC_SEQ_CST); i++)
		rig_turn(&rig, 10);
	assert_int_equal(asked, 1);
	rig_stop(&rig);
	assert_non_null(strstr(keeper.replaced, NEXT));
}

/* Whatever registries take for their metadata: a token
 * that is not had fails the request that waits for it. */
static void metadata_leaves_room_for_tokens(void **state)
{
	(void)state;
	enum { MANY = 20 };

	expires = "";
	for (int i = 0; i < MANY; i++) {
		char path[16];

		snprintf(path, sizeof path, "/package%d", i);
		(void)ask(&rig, &(struct ask){ .host = "a.wild.test", .path = path });
	}
	for (int i = 0; i < 100; i++)
		rig_turn(&rig, 10);
	assert_int_equal(ask_wait(&rig, &(struct ask){ .path = "/" })->head.status, 200);
	assert_int_equal(trail(&rig, "\"kind\":\"intent\"", "\"purpose\":\"metadata\"", NULL), 12);
	for (int i = 0; i < MANY; i++)
		sem_post(&metadata);
	rig_stop(&rig);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		T(a_token_without_a_life_serves_who_waited), T(the_end_waits_for_a_refresh),
		T(metadata_leaves_room_for_tokens),
	};

	sem_init(&metadata, 0, 0);
	world_start();
	world.answer = answer;
	return world_end(cmocka_run_group_tests(tests, NULL, NULL));
}
