/* keeper_source_test.c - the installation's key, and where secrets come from */
#include "keeper_files.h"

#include "base/auto.h"
#include "base/clock.h"
#include "credential/keeper_key.h"
#include "credential/keeper_run.h"

#include <errno.h>
#include <sys/mman.h>

#define ERR_STATE OPENSSL_ERR_STATE	/* OpenSSL has a type of that name, which nobody needs */
#include <openssl/evp.h>
#undef ERR_STATE

/* ---- the installation's key ---- */

static void the_key_is_made_once(void **state)
{
	(void)state;
	struct keeper_key *one = NULL, *two = NULL;
	struct stat st;
	uint8_t signature[64];
	int fd = -1;
	char public[512];
	ssize_t n;
	auto_buf verifier = BUF_EMPTY;

	assert_int_equal(keeper_installation_key(directory, &fd), ERR_OK);
	assert_int_equal(keeper_key_read(fd, &one), ERR_OK);
	close(fd);
	assert_int_equal(keeper_installation_key(directory, &fd), ERR_OK);
	assert_int_equal(keeper_key_read(fd, &two), ERR_OK);
	assert_true(fstat(fd, &st) == 0 && (st.st_mode & 07777) == 0600);
	close(fd);
	assert_memory_equal(keeper_key_public(one), keeper_key_public(two), 32);
	assert_true(str_starts(keeper_key_name(one), STR("paddock/")));

	buf_init(&verifier, 512);
	assert_int_equal(keeper_key_put_verifier(one, &verifier), ERR_OK);
	buf_put_z(&verifier, "\n");
	fd = openat(directory, KEEPER_PUBLIC_FILE, O_RDONLY | O_CLOEXEC);
	n = read(fd, public, sizeof public);
	close(fd);
	assert_true(n > 0 && str_eq(str_make(public, (size_t)n), buf_str(&verifier)));

	/* the public file comes back */
	assert_int_equal(unlinkat(directory, KEEPER_PUBLIC_FILE, 0), 0);
	assert_int_equal(keeper_installation_key(directory, &fd), ERR_OK);
	close(fd);
	assert_int_equal(faccessat(directory, KEEPER_PUBLIC_FILE, R_OK, 0), 0);

	EVP_PKEY *public_key =
		EVP_PKEY_new_raw_public_key(EVP_PKEY_ED25519, NULL, keeper_key_public(one), 32);
	EVP_MD_CTX *context = EVP_MD_CTX_new();

	assert_int_equal(keeper_key_sign(one, STR("text"), signature), ERR_OK);
	assert_int_equal(EVP_DigestVerifyInit(context, NULL, NULL, NULL, public_key), 1);
	assert_int_equal(EVP_DigestVerify(context, signature, 64, (const uint8_t *)"text", 4), 1);
	EVP_MD_CTX_free(context);
	EVP_PKEY_free(public_key);
	keeper_key_free(one);
	keeper_key_free(two);
}

static void a_key_that_others_can_read_is_refused(void **state)
{
	(void)state;
	int fd = -1;

	assert_int_equal(fchmodat(directory, KEEPER_KEY_FILE, 0644, 0), 0);
	assert_int_equal(keeper_installation_key(directory, &fd), ERR_LOCAL);
	assert_int_equal(errno, EPERM);
	assert_int_equal(fchmodat(directory, KEEPER_KEY_FILE, 0600, 0), 0);
	assert_int_equal(renameat(directory, KEEPER_KEY_FILE, directory, "elsewhere"), 0);
	assert_int_equal(symlinkat("elsewhere", directory, KEEPER_KEY_FILE), 0);
	assert_int_equal(keeper_installation_key(directory, &fd), ERR_LOCAL);
	assert_int_equal(renameat(directory, "elsewhere", directory, KEEPER_KEY_FILE), 0);
	assert_int_equal(fd, -1);
}

static void a_damaged_key_is_refused(void **state)
{
	(void)state;
	char text[512];
	int fd = -1;
	ssize_t n;

	assert_int_equal(keeper_installation_key(directory, &fd), ERR_OK);
	n = pread(fd, text, sizeof text, 0);
	close(fd);
	assert_true(n > 0);
	for (ssize_t i = 0; i < n; i++) {
		struct keeper_key *key = NULL;
		char was = text[i];
		int memory = memfd_create("key", MFD_CLOEXEC);

		text[i] = (char)(was ^ 1);
		assert_int_equal(write(memory, text, (size_t)n), n);
		assert_int_equal(keeper_key_read(memory, &key), ERR_INPUT);
		text[i] = was;
		close(memory);
	}
}

/* ---- sources ---- */

static char home[] = "HOME=/nowhere", path[] = "PATH=/usr/bin:/bin", user[] = "USER=me";
static char *const environment[] = { home, path, user, NULL };

/* The secret of @s as it is now, in @text; a command is waited for. */
static struct str source_value(const struct keeper_source *s, struct buf *text, const char **ret_reason)
{
	struct keeper_run run = { .pid = 0 };
	struct str secret = { NULL, 0 };
	uint64_t stamp;
	enum err e;

	buf_init_secret(text, KEEPER_SOURCE_MAX);
	if (s->kind != KEEPER_COMMAND) {
		e = keeper_source_read(s, text, &stamp, ret_reason);
	} else {
		e = keeper_run_start(s, environment, &run, ret_reason);
		while (!e && (e = keeper_run_step(&run, ret_reason)) == ERR_MORE) {
			struct pollfd p = keeper_run_wants(&run);
			uint64_t now = clock_ms();

			poll(&p, 1, run.deadline_ms > now ? (int)(run.deadline_ms - now) : 0);
			e = ERR_OK;
		}
		if (!e)
			buf_put(text, buf_str(&run.text));
		keeper_run_end(&run);
	}
	if (!e)
		e = keeper_source_line(buf_str(text), &secret, ret_reason);
	assert_true(!e || e == ERR_CREDENTIAL);
	return secret;
}

static void files_are_read_each_time(void **state)
{
	(void)state;
	static char big[KEEPER_SOURCE_MAX + 1];
	struct keeper_source s = { .kind = KEEPER_FILE, .path = in_directory("token") };
	static const struct { struct str text; const char *reason; struct str value; } cases[] = {
		{ STR_INIT("one\n"), NULL, STR_INIT("one") },
		{ STR_INIT("two"), NULL, STR_INIT("two") },
		{ STR_INIT("three\r\n"), NULL, STR_INIT("three") },
		{ STR_INIT("four\n\n"), NULL, STR_INIT("four\n") },
		{ STR_INIT(""), "empty", { NULL, 0 } },
		{ STR_INIT("\n"), "empty", { NULL, 0 } },
		{ { big, SECRET_MAX_BYTES + 1 }, "too long", { NULL, 0 } },
		{ { big, sizeof big }, "too long", { NULL, 0 } },
		{ { big, SECRET_MAX_BYTES }, NULL, { big, SECRET_MAX_BYTES } },
	};

	memset(big, 'b', sizeof big);
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		auto_buf secret = BUF_EMPTY;
		const char *reason = NULL;

		s.path = write_file("token", cases[i].text, 0600);
		assert_true(str_eq(source_value(&s, &secret, &reason), cases[i].value));
		if (cases[i].reason)
			assert_non_null(strstr(reason, cases[i].reason));
	}
	auto_buf secret = BUF_EMPTY;
	const char *reason = NULL;

	s.path = directory_path;
	assert_null(source_value(&s, &secret, &reason).p);
	assert_non_null(strstr(reason, "regular"));
	s.path = "/nowhere/token";
	assert_null(source_value(&s, &secret, &reason).p);
	assert_non_null(strstr(reason, "not exist"));
	assert_int_equal(mkfifo(in_directory("fifo"), 0600), 0);
	s.path = in_directory("fifo");
	assert_null(source_value(&s, &secret, &reason).p);
}

static void command(const char *script, uint64_t timeout_ms, struct str wanted, const char *wanted_reason)
{
	char name[] = "sh", option[] = "-c", *text = strdup(script);
	char *argv[] = { name, option, text, NULL };
	struct keeper_source s = { .kind = KEEPER_COMMAND, .argv = argv, .timeout_ms = timeout_ms };
	auto_buf secret = BUF_EMPTY;
	const char *reason = NULL;
	struct str value = source_value(&s, &secret, &reason);

	if (!str_eq(value, wanted))
		fail_msg("%s: %.*s, %s", script, STR_FMT(value), reason ? reason : "");
	if (wanted_reason && !strstr(reason, wanted_reason))
		fail_msg("%s: %s", script, reason);
	free(text);
}

static void commands_run_without_our_environment(void **state)
{
	(void)state;
	struct str none = { NULL, 0 };
	uint64_t started;

	setenv("PADDOCK_TEST_LEAK", "leak", 1);
	command("echo token-$HOME-$USER-$PADDOCK_TEST_LEAK", 5000, STR("token-/nowhere-me-"), NULL);
	command("ls /proc/self/fd | wc -l | tr -d '\\n'; cat", 5000, STR("4"), NULL); /* 0, 1, 2, ls's own */
	command("echo x; exit 3", 5000, none, "exit status");
	command("kill -9 $$", 5000, none, "signal");
	command("true", 5000, none, "empty");
	command("yes | head -c 100000", 5000, none, "too long");
	command("exec >&-; exit 0", 5000, none, "empty");
	started = clock_ms();
	command("echo early; exec >&-; sleep 20", 300, none, "in time");
	command("sleep 20", 300, none, "in time");
	/* a child that keeps the output open is killed with the group */
	command("sleep 20 & echo token", 300, none, "in time");
	assert_true(clock_ms() - started < 5000);
}

static void a_command_must_exist(void **state)
{
	(void)state;
	char name[] = "no-such-command-here";
	char *argv[] = { name, NULL };
	struct keeper_source s = { .kind = KEEPER_COMMAND, .argv = argv, .timeout_ms = 1000 };
	auto_buf secret = BUF_EMPTY;
	const char *reason = NULL;

	assert_null(source_value(&s, &secret, &reason).p);
	assert_non_null(strstr(reason, "not found"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_key_is_made_once),
		cmocka_unit_test(a_key_that_others_can_read_is_refused),
		cmocka_unit_test(a_damaged_key_is_refused),
		cmocka_unit_test(files_are_read_each_time),
		cmocka_unit_test(commands_run_without_our_environment),
		cmocka_unit_test(a_command_must_exist),
	};

	return cmocka_run_group_tests(tests, make_directory, remove_directory);
}
