/* courier_registry_test.c - whose word counts about a package's digests and ages, through the real courier:
 * which registry is asked, with whose credentials, and who is told what another's question was answered */
#include "../path/courier_world.h"

#define GOOD "Basic Z29vZDpnb29k"
#define BAD "Basic YmFkOmJhZA=="
#define RIGHT "01b604e4452a9b30f93dbcd9bea19e3ca916a4d9"	/* SHA-1 of the file */
#define WRONG "0000000000000000000000000000000000000000"

#define METADATA "/hay"
#define FILE_OF_IT "/hay/-/hay-1.0.0.tgz"

#define WITH_SECRET \
	"version: 1\n" \
	"credentials:\n" \
	"  api:\n" \
	"    source: {environment: API_KEY}\n" \
	"    hosts: [api.test]\n" \
	"    header: {name: authorization, format: \"Bearer {secret}\"}\n" \
	"    placeholder: {environment: API_KEY, value: " PLACEHOLDER "}\n" \
	"network:\n"
#define AGED "registry: {type: npm, min_age: 3d}"

static struct rig rig;
static struct {
	bool private;			/* without the good token there is no metadata */
	bool fails;			/* there is none for anybody */
	const char *wrong_at;		/* the host whose metadata has another digest; or NULL */
} registry;

/* ---- the upstream: a registry at each of its names ---- */

static unsigned requests_with(const char *a, const char *b)
{
	unsigned count = 0;

	pthread_mutex_lock(&world.lock);
	for (char *head = world.log, *end; (end = strstr(head, "\r\n\r\n")); head = end + 4) {
		*end = '\0';
		count += strstr(head, a) && strstr(head, b);
		*end = '\r';
	}
	pthread_mutex_unlock(&world.lock);
	return count;
}

static bool last_has(const char *text)
{
	pthread_mutex_lock(&world.lock);
	const char *last = world.log;

	for (const char *end; (end = strstr(last, "\r\n\r\n")) && end[4]; last = end + 4)
		;
	bool found = strstr(last, text) != NULL;

	pthread_mutex_unlock(&world.lock);
	return found;
}

static void say(SSL *s, const char *status, const char *body)
{
	char text[600];

	snprintf(text, sizeof text,
		 "HTTP/1.1 %s\r\ncontent-type: application/json\r\ncontent-length: %zu\r\n\r\n%s", status,
		 strlen(body), body);
	world_say(s, text);
}

static bool answer(SSL *s, const char *path)
{
	char body[400];

	if (strstr(path, ".tgz")) {
		say(s, "200 OK", "the file");
	} else if (registry.private && !last_has("authorization: " GOOD)) {
		say(s, "404 Not Found", "{}");
	} else if (registry.fails) {
		say(s, "500 Internal Server Error", "{}");
	} else {
		snprintf(body, sizeof body,
			 "{\"name\":\"hay\",\"versions\":{\"1.0.0\":{\"dist\":{\"shasum\":\"%s\"}}},"
			 "\"time\":{\"1.0.0\":\"2020-01-01T00:00:00.000Z\"},"
			 "\"dist-tags\":{\"latest\":\"1.0.0\"}}",
			 registry.wrong_at && last_has(registry.wrong_at) ? WRONG : RIGHT);
		say(s, "200 OK", body);
	}
	return true;
}

/* ---- the courier, and what is asked of it ---- */

static void start(const char *policy, bool clients)
{
	if (clients)
		rig_start_clients(&rig, policy, 0);
	else
		rig_start(&rig, policy, 0);
	rig_hello(&rig);
}

static void forget_requests(void)
{
	world.requests = 0;
	world.log_bytes = 0;
	world.log[0] = '\0';
}

static int setup(void **state)
{
	(void)state;
	forget_requests();
	registry = (typeof(registry)){ .private = false };
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	rig_free(&rig);
	return 0;
}

/* The answer's status; 0: it was cut off. */
static uint16_t get(const char *client, const char *host, const char *path, const char *authorization)
{
	struct reply *p =
		ask_wait(&rig, &(struct ask){ .host = host, .path = path, .token = client,
					      .name = authorization ? "authorization" : NULL,
					      .value = authorization });

	return p->ended ? p->head.status : 0;
}

/* ---- the tests ---- */

/* Both policies call their rule "rule 1". */
static void another_policy_asks_its_own_registry(void **state)
{
	(void)state;
	start(WITH_SECRET "  - {hosts: [other.test], " AGED "}\n"
			  "  - {hosts: [api.test], methods: [GET], credential: api}\n", false);
	registry.wrong_at = "host: other.test";
	assert_int_equal(get(NULL, "other.test", METADATA, NULL), 200);
	assert_int_equal(world.requests, 2);
	forget_requests();
	rig_reload(&rig, WITH_SECRET "  - {hosts: [api.test], credential: api, " AGED "}\n");
	assert_int_equal(get(NULL, "api.test", FILE_OF_IT, NULL), 200);
	assert_int_equal(world.requests, 2);
	assert_int_equal(requests_with("GET " METADATA " ", "authorization: Bearer " SECRET), 1);
	assert_int_equal(requests_with("host: other.test", ""), 0);
	rig_stop(&rig);
}

/* Where the agent asked is another host than the one for which it has something to show. */
static void credentials_go_to_the_host_they_are_for(void **state)
{
	(void)state;
	start("version: 1\nnetwork:\n  - {hosts: [other.test, api.test], " AGED "}\n", false);
	registry.fails = true;
	assert_int_equal(get(NULL, "other.test", METADATA, BAD), 403);
	registry.fails = false;
	forget_requests();
	assert_int_equal(get(NULL, "api.test", FILE_OF_IT, GOOD), 200);
	assert_int_equal(requests_with("host: other.test", "GET " METADATA " "), 1);
	assert_int_equal(requests_with("host: other.test", GOOD), 0);
	assert_int_equal(requests_with("host: api.test", GOOD), 1);
	rig_stop(&rig);
}

/* Who is told that there is no such package takes no digest, and no age, from others. */
static void a_bad_token_is_its_own_harm(void **state)
{
	(void)state;
	static const char *const policies[] = {
		"version: 1\nnetwork:\n  - {hosts: [other.test], registry: {type: npm}}\n",
		"version: 1\nnetwork:\n  - {hosts: [other.test], " AGED "}\n",
	};

	for (unsigned i = 0; i < 4; i++) {
		bool clients = i & 1, aged = i & 2;
		const char *ann = clients ? "token-of-ann" : NULL, *bob = clients ? "token-of-bob" : NULL;

		if (i)
			rig_free(&rig);
		start(policies[aged], clients);
		registry = (typeof(registry)){ .private = true };
		assert_int_equal(get(ann, "other.test", FILE_OF_IT, BAD), aged ? 403 : 200);
		assert_int_equal(get(bob, "other.test", FILE_OF_IT, GOOD), 200);
		assert_int_equal(get(bob, "other.test", FILE_OF_IT, GOOD), 200);
		assert_int_equal(requests_with("GET " METADATA " ", ""), 2);
		registry.wrong_at = "host: other.test";
		assert_int_equal(get(ann, "other.test", "/straw/-/straw-1.0.0.tgz", BAD), aged ? 403 : 200);
		assert_int_equal(get(bob, "other.test", "/straw/-/straw-1.0.0.tgz", GOOD), 0);
		rig_stop(&rig);
		forget_requests();
	}
}

static void where_one_client_asked_says_nothing_to_another(void **state)
{
	(void)state;
	start("version: 1\nnetwork:\n  - {hosts: [other.test, api.test], " AGED "}\n", true);
	registry.wrong_at = "host: other.test";
	assert_int_equal(get("token-of-ann", "other.test", METADATA, NULL), 200);
	forget_requests();
	assert_int_equal(get("token-of-bob", "api.test", FILE_OF_IT, NULL), 200);
	assert_int_equal(requests_with("host: api.test", "GET " METADATA " "), 1);
	assert_int_equal(requests_with("host: other.test", ""), 0);
	assert_int_equal(get("token-of-ann", "api.test", FILE_OF_IT, NULL), 0);
	rig_stop(&rig);
}

/* Files on a host of their own, to which nothing is shown: the private index has been asked already. */
static void an_index_is_asked_once_for_files_elsewhere(void **state)
{
	(void)state;
	start("version: 1\nnetwork:\n  - {hosts: [other.test, api.test], " AGED "}\n", false);
	registry.private = true;
	assert_int_equal(get(NULL, "other.test", METADATA, GOOD), 200);
	assert_int_equal(get(NULL, "api.test", FILE_OF_IT, NULL), 200);
	assert_int_equal(get(NULL, "api.test", FILE_OF_IT, BAD), 200);
	assert_int_equal(requests_with("GET " METADATA " ", ""), 2);	/* the agent's own is one */
	rig_stop(&rig);
}

static void a_host_that_was_asked_judges_its_own_files(void **state)
{
	(void)state;
	start("version: 1\nnetwork:\n  - {hosts: [other.test, api.test], " AGED "}\n", false);
	registry.wrong_at = "host: other.test";
	assert_int_equal(get(NULL, "api.test", METADATA, NULL), 200);
	assert_int_equal(get(NULL, "other.test", METADATA, NULL), 200);
	assert_int_equal(get(NULL, "api.test", FILE_OF_IT, NULL), 200);
	assert_int_equal(get(NULL, "other.test", FILE_OF_IT, NULL), 0);
	rig_stop(&rig);
}

/* However many tokens somebody tries, and one more than are kept. */
static void tables_are_bounded_whoever_asks(void **state)
{
	(void)state;
	char token[64];

	start("version: 1\nnetwork:\n  - {hosts: [other.test], registry: {type: npm}}\n", false);
	world.trail = -1;	/* which it would read for each of so many */
	for (unsigned i = 0; i < 520; i++) {
		snprintf(token, sizeof token, "Bearer %u", i);
		assert_int_equal(get(NULL, "other.test", FILE_OF_IT, token), 200);
	}
	forget_requests();
	assert_int_equal(get(NULL, "other.test", FILE_OF_IT, "Bearer 519"), 200);
	assert_int_equal(world.requests, 1);	/* one that is kept */
	assert_int_equal(get(NULL, "other.test", FILE_OF_IT, "Bearer 0"), 200);
	assert_int_equal(world.requests, 3);	/* one that went */
	rig_stop(&rig);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		T(another_policy_asks_its_own_registry),
		T(credentials_go_to_the_host_they_are_for),
		T(a_bad_token_is_its_own_harm),
		T(where_one_client_asked_says_nothing_to_another),
		T(an_index_is_asked_once_for_files_elsewhere),
		T(a_host_that_was_asked_judges_its_own_files),
		T(tables_are_bounded_whoever_asks),
	};

	world_start();
	world.answer = answer;
	return world_end(cmocka_run_group_tests(tests, NULL, NULL));
}
