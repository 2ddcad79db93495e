/* courier_clients_test.c - clients of an explicit proxy, through the real
 * courier: what one of them may take from the others, and what they share */
#include "../path/courier_world.h"

static const char policy[] =
	"version: 1\n"
	"credentials:\n"
	"  api:\n"
	"    source: {environment: API_KEY}\n"
	"    hosts: [api.test]\n"
	"    strategy: placeholder\n"
	"    placeholder: {environment: API_KEY, value: " PLACEHOLDER ", in: [header, body]}\n"
	"network:\n"
	"  - {hosts: [api.test], methods: [POST], credential: api}\n"
	"  - {hosts: [other.test], methods: [GET]}\n"
	"  - {hosts: [a.wild.test], ports: [443], tcp: true}\n";

#define AT_ONCE 128	/* of one client */

static struct rig rig;

static int setup(void **state)
{
	(void)state;
	world.requests = world.connections = 0;
	world.log_bytes = 0;
	rig_start_clients(&rig, policy, 0);
	rig_hello(&rig);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	rig_free(&rig);
	return 0;
}

/* A request whose body is waited for, and does not come. */
static uint32_t held(const char *token)
{
	return ask(&rig, &(struct ask){ .method = "POST", .path = "/held", .framing = HEAD_BODY_STREAMED,
					.unfinished = true,
					.name = "content-type", .value = "application/json", .body = "{",
					.token = token });
}

static uint32_t tunnel(const char *token)
{
	return ask_open(&rig, LINK_KIND_TUNNEL,
			&(struct msg_connect){
			       .host = STR_INIT("a.wild.test"), .port = 443, .token = str_of(token) });
}

static uint16_t status(const char *token)
{
	return ask_wait(&rig, &(struct ask){ .host = "other.test", .path = "/", .token = token })
	       ->head.status;
}

static void one_client_leaves_room_for_others(void **state)
{
	(void)state;
	uint32_t s[AT_ONCE], t = tunnel("token-of-ann"), refused;

	for (size_t i = 0; i < AT_ONCE - 1; i++)
		s[i] = held("token-of-ann");
	struct reply *p =
		ask_wait(&rig, &(struct ask){ .host = "other.test", .path = "/", .token = "token-of-ann" });

	assert_int_equal(p->head.status, 429);
	assert_non_null(memmem(p->body.p, p->body.len, "this client's requests at once", 30));
	refused = tunnel("token-of-ann");
	assert_true(rig_wait(&rig, refused)->reset);
	assert_int_equal(rig_reply(&rig, refused)->reason, ERR_LIMIT);
	assert_int_equal(status("token-of-bob"), 200);
	/* what has ended makes room, whatever it was */
	link_reset(rig.link, s[0], ERR_CANCELLED);
	assert_int_equal(status("token-of-ann"), 200);
	s[0] = held("token-of-ann");
	assert_int_equal(status("token-of-ann"), 429);
	link_reset(rig.link, t, ERR_CANCELLED);
	assert_int_equal(status("token-of-ann"), 200);
	assert_int_equal(status("token-of-eve"), 407);
	assert_int_equal(trail(&rig, "\"kind\":\"limit\"", "a client's requests at once", NULL), 1);
	for (size_t i = 0; i < AT_ONCE - 1; i++)
		link_reset(rig.link, s[i], ERR_CANCELLED);
	rig_stop(&rig);
}

/* What an upstream knows of a connection is of one client. */
static void connections_are_of_one_client(void **state)
{
	(void)state;
	assert_int_equal(status("token-of-ann"), 200);
	assert_int_equal(status("token-of-ann"), 200);
	assert_int_equal(world.connections, 1);
	assert_int_equal(status("token-of-bob"), 200);
	assert_int_equal(world.connections, 2);
	assert_int_equal(status("token-of-ann"), 200);
	assert_int_equal(status("token-of-bob"), 200);
	assert_int_equal(world.connections, 2);
	assert_int_equal(trail(&rig, "\"kind\":\"intent\"", "\"client\":\"ann\"", NULL), 3);
	assert_int_equal(trail(&rig, "\"kind\":\"intent\"", "\"client\":\"bob\"", NULL), 2);
	rig_stop(&rig);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		T(one_client_leaves_room_for_others), T(connections_are_of_one_client),
	};

	world_start();
	return world_end(cmocka_run_group_tests(tests, NULL, NULL));
}
