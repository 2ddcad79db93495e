/* keeper_login_test.c - the user's login files: read,
 * leased to one asker, replaced if they are what was read */
#include "keeper_ops_world.h"

#include "credential/keeper_login.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define ERR_STATE OPENSSL_ERR_STATE	/* OpenSSL has a type of that name, which nobody needs */
#include <openssl/sha.h>
#undef ERR_STATE

#define CLAUDE "{\"mcpOAuth\":{\"x\":1},\"claudeAiOauth\":{\"accessToken\":\"sk-ant-oat01-old\",\"refreshToken\":" \
	       "\"sk-ant-ort01-old\",\"expiresAt\":1795323600123,\"scopes\":[\"user:inference\",\"user:profile\"]," \
	       "\"subscriptionType\":\"max\",\"rateLimitTier\":\"tier\"},\"last\":[1.5,null]}"
/* {"exp":1795323600} */
#define CODEX "{\n  \"OPENAI_API_KEY\": null,\n  \"tokens\": {\n    \"id_token\": \"h.eyJlbWFpbCI6Im1lQHgudGVzdCJ9.s\",\n" \
	      "    \"access_token\": \"h.eyJleHAiOjE3OTUzMjM2MDB9.s\",\n    \"refresh_token\": \"rt-old\",\n" \
	      "    \"account_id\": \"acc\"\n  },\n  \"last_refresh\": \"2026-01-01T00:00:00Z\"\n}"

static char directory[64], path[96];

static void put_file(const char *name, const char *text, mode_t mode)
{
	snprintf(path, sizeof path, "%s/%s", directory, name);
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, mode);

	assert_true(fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text) &&
		    fchmod(fd, mode) == 0);
	close(fd);
}

static const char *file_text(void)
{
	static char text[8192];
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n = read(fd, text, sizeof text - 1);

	assert_true(fd >= 0 && n >= 0);
	close(fd);
	text[n] = 0;
	return text;
}

static int make_directory(void **state)
{
	snprintf(directory, sizeof directory, "/tmp/keeper-ops-XXXXXX");
	return mkdtemp(directory) ? set_up(state) : 1;
}

static int remove_directory(void **state)
{
	char command[128];

	snprintf(command, sizeof command, "rm -rf %s", directory);
	return system(command) || tear_down(state);
}

static struct keeper_credential login_of(enum keeper_use use)
{
	return (struct keeper_credential){
		.use = use, .source = { .kind = KEEPER_FILE, .path = path, .real = path } };
}

static enum err replace(enum keeper_use use, const char *read, const char *access, const char *refresh,
			const char *id, const char *expires)
{
	const struct keeper_credential c = login_of(use);
	uint8_t digest[SHA256_DIGEST_LENGTH];
	auto_buf asked = BUF_EMPTY, hex = BUF_EMPTY;

	SHA256((const uint8_t *)read, strlen(read), digest);
	buf_init(&hex, 64);
	buf_init(&asked, KEEPER_TEXT_MAX);
	buf_put_hex(&hex, str_make(digest, sizeof digest));
	keeper_put_field(&asked, buf_str(&hex));
	keeper_put_field(&asked, str_of(access));
	keeper_put_field(&asked, str_of(refresh));
	keeper_put_field(&asked, str_of(id));
	keeper_put_field(&asked, str_of(expires));
	buf_clear(&out);
	return keeper_op_replace(&c, buf_str(&asked), &out, &reason);
}

static void logins_are_read(void **state)
{
	(void)state;
	struct keeper_credential c = login_of(KEEPER_USE_CLAUDE);
	static const char *const bad[] = {
		"", "{}", "[]", "{\"claudeAiOauth\":null}",
		"{\"claudeAiOauth\":{\"accessToken\":\"\",\"refreshToken\":\"\"}}",
		"{\"claudeAiOauth\":{\"accessToken\":\"a b\",\"refreshToken\":\"c\"}}",
		"{\"claudeAiOauth\":{\"accessToken\":\"a\\u0000b\",\"refreshToken\":\"c\"}}",
		"{\"claudeAiOauth\":{}",
	};

	assert_int_equal(keeper_op_login(&c, STR(CLAUDE), &out, &reason), ERR_OK);
	field_is(0, 7, "sk-ant-oat01-old");
	field_is(1, 7, "sk-ant-ort01-old");
	field_is(3, 7, "1795323600123");
	field_is(5, 7, "user:inference user:profile");
	field_is(6, 7, "max");
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
		assert_int_equal(keeper_op_login(&c, str_of(bad[i]), &out, &reason), ERR_CREDENTIAL);
	c.use = KEEPER_USE_CODEX;
	buf_clear(&out);
	assert_int_equal(keeper_op_login(&c, STR(CODEX), &out, &reason), ERR_OK);
	field_is(0, 7, "h.eyJleHAiOjE3OTUzMjM2MDB9.s");
	field_is(1, 7, "rt-old");
	field_is(2, 7, "h.eyJlbWFpbCI6Im1lQHgudGVzdCJ9.s");
	field_is(3, 7, "1795323600000");
	field_is(4, 7, "acc");
}

static void a_login_is_replaced_if_it_is_the_one_that_was_read(void **state)
{
	(void)state;
	struct stat before, after;

	put_file(".credentials.json", CLAUDE, 0640);
	assert_int_equal(stat(path, &before), 0);
	assert_int_equal(replace(KEEPER_USE_CLAUDE, "sk-ant-ort01-old", "oat-new", "ort-new", "",
				 "1800000000000"), ERR_OK);
	field_is(0, 8, "replaced");
	field_is(1, 8, "oat-new");
	field_is(2, 8, "ort-new");
	field_is(4, 8, "1800000000000");
	assert_string_equal(file_text(),
			    "{\"mcpOAuth\":{\"x\":1},\"claudeAiOauth\":{\"accessToken\":\"oat-new\","
			    "\"refreshToken\":\"ort-new\",\"expiresAt\":1800000000000,\"scopes\":[\"user:inference\","
			    "\"user:profile\"],\"subscriptionType\":\"max\",\"rateLimitTier\":\"tier\"},\"last\":[1.5,null]}");
	assert_int_equal(stat(path, &after), 0);
	assert_true(after.st_ino != before.st_ino && after.st_mode == before.st_mode);

	/* somebody else was first: their tokens are the answer, and stay */
	assert_int_equal(replace(KEEPER_USE_CLAUDE, "sk-ant-ort01-old", "oat-late", "ort-late", "", ""),
			 ERR_OK);
	field_is(0, 8, "other");
	field_is(1, 8, "oat-new");
	field_is(2, 8, "ort-new");
	assert_null(strstr(file_text(), "late"));

	/* the refresh token may stay the same */
	assert_int_equal(replace(KEEPER_USE_CLAUDE, "ort-new", "oat-newer", "", "", ""), ERR_OK);
	field_is(1, 8, "oat-newer");
	field_is(2, 8, "ort-new");

	put_file("auth.json", CODEX, 0600);
	assert_int_equal(replace(KEEPER_USE_CODEX, "rt-old", "h.e30.s", "rt-new", "h.e30.i", ""), ERR_OK);
	field_is(0, 8, "replaced");
	field_is(3, 8, "h.e30.i");
	assert_non_null(strstr(file_text(), "\"OPENAI_API_KEY\": null"));
	assert_non_null(strstr(file_text(), "\"refresh_token\": \"rt-new\""));
	assert_non_null(strstr(file_text(), "\"account_id\": \"acc\""));
	assert_null(strstr(file_text(), "2026-01-01"));
}

static void a_refresh_token_alone_is_replaced(void **state)
{
	(void)state;
	put_file("token", "old-refresh\n", 0600);
	assert_int_equal(replace(KEEPER_USE_REFRESH, "old-refresh", "", "new-refresh", "", ""), ERR_OK);
	field_is(0, 8, "replaced");
	field_is(2, 8, "new-refresh");
	assert_string_equal(file_text(), "new-refresh\n");
	assert_int_equal(replace(KEEPER_USE_REFRESH, "old-refresh", "", "newer", "", ""), ERR_OK);
	field_is(0, 8, "other");
	field_is(2, 8, "new-refresh");
	assert_int_equal(replace(KEEPER_USE_REFRESH, "new-refresh", "access", "newer", "", ""), ERR_INPUT);
	assert_int_equal(replace(KEEPER_USE_REFRESH, "new-refresh", "", "", "", ""), ERR_INPUT);
}

static void a_locked_file_is_not_touched(void **state)
{
	(void)state;
	char lock[128];
	const struct timespec old[2] = { { .tv_sec = time(NULL) - 60 }, { .tv_sec = time(NULL) - 60 } };

	put_file(".credentials.json", CLAUDE, 0600);
	snprintf(lock, sizeof lock, "%s/.storage-write.lock", directory);
	assert_int_equal(mkdir(lock, 0700), 0);
	assert_int_equal(replace(KEEPER_USE_CLAUDE, "sk-ant-ort01-old", "a", "b", "", ""), ERR_MORE);
	assert_string_equal(file_text(), CLAUDE);
	assert_int_equal(utimensat(AT_FDCWD, lock, old, 0), 0);	/* its owner is gone */
	assert_int_equal(replace(KEEPER_USE_CLAUDE, "sk-ant-ort01-old", "a", "b", "", ""), ERR_OK);
	assert_int_equal(access(lock, F_OK), -1);

	put_file("auth.json", CODEX, 0600);
	snprintf(lock, sizeof lock, "%s/.auth.json.lock", directory);
	int fd = open(lock, O_RDWR | O_CREAT | O_CLOEXEC, 0600);

	assert_int_equal(flock(fd, LOCK_EX), 0);
	assert_int_equal(replace(KEEPER_USE_CODEX, "rt-old", "h.e30.s", "b", "", ""), ERR_MORE);
	assert_string_equal(file_text(), CODEX);
	close(fd);
	assert_int_equal(replace(KEEPER_USE_CODEX, "rt-old", "h.e30.s", "b", "", ""), ERR_OK);
}

/* Of two sandboxes one refreshes at a time; Claude Code outside of them takes the same lock. */
static void a_lease_is_one_askers(void **state)
{
	(void)state;
	static const struct { enum keeper_use use; const char *name, *text, *lock; } cases[] = {
		{ KEEPER_USE_CLAUDE, ".credentials.json", CLAUDE, ".oauth_refresh.lock" },
		{ KEEPER_USE_CODEX, "auth.json", CODEX, NULL },
		{ KEEPER_USE_REFRESH, "token", "old-refresh\n", NULL },
	};

	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct keeper_lease one = { .directory = -1, .lock = -1 }, two = one;
		char lock[128];

		put_file(cases[i].name, cases[i].text, 0600);
		snprintf(lock, sizeof lock, "%s/%s", directory, cases[i].lock ? cases[i].lock : "none");
		const struct keeper_credential c = login_of(cases[i].use);

		buf_clear(&out);
		assert_int_equal(keeper_op_lease(&c, &one, &out, &reason), ERR_OK);
		field_is(0, 8, "taken");
		assert_int_equal(access(lock, F_OK), cases[i].lock ? 0 : -1);
		buf_clear(&out);
		assert_int_equal(keeper_op_lease(&c, &two, &out, &reason), ERR_OK);
		field_is(0, 8, "busy");
		field_is(2, 8, i == 0 ? "sk-ant-ort01-old" : i == 1 ? "rt-old" : "old-refresh");
		assert_int_equal(two.directory, -1);
		keeper_lease_leave(&one);
		keeper_lease_leave(&one);
		assert_int_equal(access(lock, F_OK), -1);
		buf_clear(&out);
		assert_int_equal(keeper_op_lease(&c, &two, &out, &reason), ERR_OK);
		field_is(0, 8, "taken");
		keeper_lease_leave(&two);
	}
}

/* Claude Code found ours stale (this host slept), and has made its own: that is not ours to take away. */
static void another_ones_lease_stays(void **state)
{
	(void)state;
	struct keeper_lease lease = { .directory = -1, .lock = -1 };
	const struct timespec moment = { .tv_nsec = 20000000 };
	char lock[128];

	put_file(".credentials.json", CLAUDE, 0600);
	snprintf(lock, sizeof lock, "%s/.oauth_refresh.lock", directory);
	const struct keeper_credential c = login_of(KEEPER_USE_CLAUDE);

	buf_clear(&out);
	assert_int_equal(keeper_op_lease(&c, &lease, &out, &reason), ERR_OK);
	assert_int_equal(rmdir(lock), 0);
	nanosleep(&moment, NULL);
	assert_int_equal(mkdir(lock, 0700), 0);
	keeper_lease_leave(&lease);
	assert_int_equal(access(lock, F_OK), 0);
	assert_int_equal(rmdir(lock), 0);
}

static void bad_replacements_are_refused(void **state)
{
	(void)state;
	static const char *const bad[][4] = {
		{ "a b", "c", "", "" }, { "a\"", "c", "", "" }, { "a\\", "c", "", "" },
		{ "a\n", "c", "", "" },
		{ "", "c", "", "" }, { "a", "c\x7f", "", "" }, { "a", "c", " ", "" }, { "a", "c", "", "-1" },
		{ "a", "c", "", "1.5" }, { "a", "c", "", "99999999999999999999" },
	};
	const struct keeper_credential c = login_of(KEEPER_USE_CLAUDE);
	struct keeper_credential value = c;

	put_file(".credentials.json", CLAUDE, 0600);
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
		assert_int_equal(replace(KEEPER_USE_CLAUDE, "sk-ant-ort01-old", bad[i][0], bad[i][1],
					 bad[i][2], bad[i][3]),
				 ERR_INPUT);
	assert_int_equal(keeper_op_replace(&c, STR("a\0b\0"), &out, &reason), ERR_INPUT);
	assert_int_equal(keeper_op_replace(&c, STR(""), &out, &reason), ERR_INPUT);
	value.source.kind = KEEPER_VALUE;
	assert_int_equal(keeper_op_replace(&value, STR("a\0b\0c\0d\0e\0"), &out, &reason), ERR_INPUT);
	assert_string_equal(file_text(), CLAUDE);
	put_file(".credentials.json", "{\"claudeAiOauth\":{\"accessToken\":", 0600);
	assert_int_equal(replace(KEEPER_USE_CLAUDE, "x", "a", "b", "", ""), ERR_CREDENTIAL);
	put_file(".credentials.json",
		 "{\"claudeAiOauth\":{\"accessToken\":\"a\",\"refreshToken\":\"b\",\"x\":"
		 "123456789012345678901234}}",
		 0600); /* a number that would not come back as it was */
	assert_int_equal(replace(KEEPER_USE_CLAUDE, "b", "c", "d", "", ""), ERR_CREDENTIAL);
}
int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)
#define D(f) cmocka_unit_test_setup_teardown(f, make_directory, remove_directory)
	const struct CMUnitTest tests[] = {
		T(logins_are_read), D(a_login_is_replaced_if_it_is_the_one_that_was_read),
		D(a_refresh_token_alone_is_replaced), D(a_locked_file_is_not_touched),
		D(a_lease_is_one_askers), D(another_ones_lease_stays),
		D(bad_replacements_are_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
