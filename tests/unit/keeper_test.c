/* keeper_test.c - the keeper answers what it should, and nothing else; run as a process too */
#include "base/auto.h"
#include "base/clock.h"
#include "credential/keeper_server.h"
#include "os/spawn.h"

#include <fcntl.h>
#include <limits.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include <cmocka.h>
#define ERR_STATE OPENSSL_ERR_STATE	/* OpenSSL has a type of that name, which nobody needs */
#include <openssl/core_names.h>
#include <openssl/ec.h>
#include <openssl/evp.h>
#undef ERR_STATE

#define SECRET STR("ghp_0123456789abcdefABCDEF")
#define HASH "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="

static char directory_path[64];
static int directory = -1;
static uint8_t points[2][KEEPER_POINT_BYTES];

static int set_up(void **state)
{
	(void)state;
	snprintf(directory_path, sizeof directory_path, "/tmp/keeper-test-XXXXXX");
	if (!mkdtemp(directory_path))
		return 1;
	directory = open(directory_path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	for (int i = 0; i < 2; i++) {
		EVP_PKEY *key = EVP_EC_gen("P-256");
		size_t n = 0;

		if (!key || EVP_PKEY_get_octet_string_param(key, OSSL_PKEY_PARAM_PUB_KEY, points[i],
							    sizeof points[i], &n) != 1)
			return 1;
		EVP_PKEY_free(key);
	}
	return directory < 0;
}

static int tear_down(void **state)
{
	char command[128];

	(void)state;
	close(directory);
	snprintf(command, sizeof command, "rm -rf %s", directory_path);
	return system(command);
}

static const char *in_directory(const char *name)
{
	static char path[128];

	snprintf(path, sizeof path, "%s/%s", directory_path, name);
	return path;
}

static const char *write_file(const char *name, struct str text, mode_t mode)
{
	const char *path = in_directory(name);
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, mode);

	assert_true(fd >= 0 && write(fd, text.p, text.n) == (ssize_t)text.n && fchmod(fd, mode) == 0);
	close(fd);
	return path;
}

/* ---- answers ---- */

struct fixture {
	struct keeper keeper;
	struct keeper_config config;
	struct keeper_key *key;
	struct mint *mint;
	struct secret *value;
	struct keeper_reply reply;
	const char *reason;
};

static int make_fixture(void **state)
{
	static struct fixture f;
	int fd;

	f = (struct fixture){ .config = { .sandbox = "quiet-otter", .source_count = 2, .environment = NULL } };
	if (keeper_installation_key(directory, &fd) || keeper_key_read(fd, &f.key) ||
	    mint_new(STR("quiet-otter"), clock_unix_ns() / 1000000000, 1, &f.mint) ||
	    secret_new(SECRET.p, SECRET.n, &f.value))
		return 1;
	close(fd);
	f.config.sources[0] = (struct keeper_source){ .kind = KEEPER_ENVIRONMENT, .name = "a", .value = f.value };
	f.config.sources[1] = (struct keeper_source){ .kind = KEEPER_ENVIRONMENT, .name = "b" };
	f.keeper = (struct keeper){ .config = &f.config, .key = f.key, .mint = f.mint };
	*state = &f;
	return 0;
}

static int free_fixture(void **state)
{
	struct fixture *f = *state;

	keeper_key_free(f->key);
	mint_free(f->mint);
	secret_free(f->value);
	return 0;
}

static enum err answer(struct fixture *f, struct keeper_request r, const char *text)
{
	size_t n = text ? strlen(text) : 0;

	if (n) {
		memcpy(r.text, text, n);
		r.text_bytes = (uint32_t)n;
	}
	r.sequence = 77;
	keeper_answer(&f->keeper, &r, &f->reply, &f->reason);
	assert_int_equal(f->reply.sequence, 77);
	assert_true(!f->reply.result == !f->reason);
	assert_true(!f->reply.result || f->reply.data_bytes == 0);
	return (enum err)f->reply.result;
}

static enum err answer_leaf(struct fixture *f, const char *host, const uint8_t *point)
{
	struct keeper_request r = { .op = KEEPER_LEAF };

	memcpy(r.point, point, sizeof r.point);
	return answer(f, r, host);
}

static void only_the_first_key_is_certified(void **state)
{
	struct fixture *f = *state;
	uint8_t bad[KEEPER_POINT_BYTES] = { 4 };

	assert_int_equal(answer_leaf(f, "api.example.com", bad), ERR_INPUT);
	assert_int_equal(answer_leaf(f, "API.example.com", points[0]), ERR_INPUT);
	assert_int_equal(answer_leaf(f, "api.example.com", points[0]), ERR_OK);
	assert_true(f->reply.data_bytes > 200);
	assert_int_equal(answer_leaf(f, "other.example.com", points[0]), ERR_OK);
	assert_int_equal(answer_leaf(f, "api.example.com", points[1]), ERR_INPUT);
	assert_int_equal(answer_leaf(f, "", points[0]), ERR_INPUT);
}

static void only_this_sandboxs_checkpoints_are_signed(void **state)
{
	struct fixture *f = *state;
	static const char *const bad[] = {
		"paddock/trail/other\n12\n" HASH "\n", "paddock/trail/quiet-otte\n12\n" HASH "\n",
		"paddock/trail/quiet-otter2\n12\n" HASH "\n", "paddock/trail/quiet-otter\n12\n" HASH,
		"paddock/trail/quiet-otter\n12\n" HASH "\nmore\n", "paddock/trail/quiet-otter\n-1\n" HASH "\n",
		"paddock/trail/quiet-otter\n012\n" HASH "\n", "paddock/trail/quiet-otter\n12\nAAAA\n",
		"paddock/trail/quiet-otter\n12\n", "x", " paddock/trail/quiet-otter\n12\n" HASH "\n",
		"paddock/trail/quiet-otter\n12\n" HASH "\n\n",
	};
	struct keeper_request r = { .op = KEEPER_SIGN };

	assert_int_equal(answer(f, r, "paddock/trail/quiet-otter\n12\n" HASH "\n"), ERR_OK);
	assert_int_equal(f->reply.data_bytes, 64);
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
		assert_int_equal(answer(f, r, bad[i]), ERR_INPUT);
	assert_int_equal(answer(f, r, NULL), ERR_INPUT);
}

static void secrets_are_given_by_index(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(answer(f, (struct keeper_request){ .op = KEEPER_SECRET }, NULL), ERR_OK);
	assert_true(str_eq(str_make(f->reply.data, f->reply.data_bytes), SECRET));
	assert_int_equal(answer(f, (struct keeper_request){ .op = KEEPER_SECRET, .credential = 1 }, NULL),
			 ERR_CREDENTIAL);
	assert_non_null(strstr(f->reason, "not set"));
	assert_int_equal(answer(f, (struct keeper_request){ .op = KEEPER_SECRET, .credential = 2 }, NULL),
			 ERR_INPUT);
	assert_int_equal(answer(f, (struct keeper_request){ .op = KEEPER_SECRET, .credential = UINT32_MAX }, NULL),
			 ERR_INPUT);
}

static void malformed_requests_are_refused(void **state)
{
	struct fixture *f = *state;
	struct keeper_request r = { .op = KEEPER_SECRET };

	assert_int_equal(answer(f, (struct keeper_request){ .op = 0 }, NULL), ERR_INPUT);
	assert_int_equal(answer(f, (struct keeper_request){ .op = 4 }, NULL), ERR_INPUT);
	r.text_bytes = KEEPER_TEXT_MAX + 1;
	assert_int_equal(answer(f, r, NULL), ERR_INPUT);
	r.text_bytes = 0;
	r.text[511] = 1;
	assert_int_equal(answer(f, r, NULL), ERR_INPUT);
	r.text[511] = 0;
	r.pad[2] = 1;
	assert_int_equal(answer(f, r, NULL), ERR_INPUT);
	r.pad[2] = 0;
	r.point[0] = 4;
	assert_int_equal(answer(f, r, NULL), ERR_INPUT);
}

/* ---- the client ---- */

static void an_answer_that_is_late_is_dropped(void **state)
{
	struct keeper_request r;
	struct keeper_reply late = { .result = ERR_OK, .data_bytes = 5 };
	struct secret *secret = NULL;
	int ends[2];

	(void)state;
	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends), 0);
	assert_int_equal(keeper_secret(ends[0], 3, 20, &secret), ERR_TIMEOUT);
	assert_int_equal(read(ends[1], &r, sizeof r), sizeof r);
	assert_int_equal(r.op, KEEPER_SECRET);
	assert_int_equal(r.credential, 3);
	late.sequence = r.sequence;
	memcpy(late.data, "right", 5);
	assert_int_equal(write(ends[1], &late, KEEPER_REPLY_HEAD + 5), KEEPER_REPLY_HEAD + 5);
	assert_int_equal(keeper_secret(ends[0], 4, 20, &secret), ERR_TIMEOUT);
	assert_null(secret);

	/* the number of the next request is known, so that its answer can be there first */
	late.sequence = r.sequence + 2;
	assert_int_equal(write(ends[1], &late, KEEPER_REPLY_HEAD + 5), KEEPER_REPLY_HEAD + 5);
	assert_int_equal(keeper_secret(ends[0], 5, 20, &secret), ERR_OK);
	assert_true(str_eq(secret_str(secret), STR("right")));
	secret_free(secret);

	/* a length that is not that of the packet */
	late.sequence++;
	late.data_bytes = 6;
	assert_int_equal(write(ends[1], &late, KEEPER_REPLY_HEAD + 5), KEEPER_REPLY_HEAD + 5);
	assert_int_equal(keeper_secret(ends[0], 5, 20, &secret), ERR_CLOSED);
	close(ends[1]);
	signal(SIGPIPE, SIG_IGN);
	assert_int_equal(keeper_secret(ends[0], 5, 20, &secret), ERR_CLOSED);
	close(ends[0]);
}

/* ---- the process ---- */

static bool in_namespace;	/* started in a user and pid namespace of its own */

struct process {
	pid_t pid;
	int link, pidfd, config;
	struct keeper_start start;
};

static int config_of(struct str credentials)
{
	int fd = memfd_create("config", MFD_CLOEXEC);
	auto_buf b = BUF_EMPTY;

	buf_init(&b, 65536);
	buf_put_z(&b, "{\"sandbox\":\"quiet-otter\",\"ca_days\":1,\"checkpoint_key_fd\":6,"
		      "\"environment\":[\"PATH=/usr/bin:/bin\",\"HOME=/nowhere\"],\"credentials\":[");
	buf_put(&b, credentials);
	buf_put_z(&b, "]}");
	assert_int_equal(write(fd, b.p, b.len), b.len);
	return fd;
}

static enum err process_start(struct str credentials, struct process *p)
{
	char program[PATH_MAX], name[] = "paddock-keeper";
	char *argv[] = { name, NULL };
	ssize_t n = readlink("/proc/self/exe", program, sizeof program - 32);
	int link[2], start[2], key;
	struct spawn s = { .program = program, .argv = argv, .fd_count = 4, .pid_namespace = in_namespace };
	enum err e;

	assert_true(n > 0);
	while (program[n - 1] != '/')
		n--;
	memcpy(program + n, name, sizeof name);
	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, link), 0);
	assert_int_equal(pipe2(start, O_CLOEXEC), 0);
	assert_int_equal(keeper_installation_key(directory, &key), ERR_OK);
	p->config = config_of(credentials);
	p->link = link[0];
	s.fds[0] = (struct spawn_fd){ link[1], KEEPER_LINK_FD };
	s.fds[1] = (struct spawn_fd){ p->config, KEEPER_CONFIG_FD };
	s.fds[2] = (struct spawn_fd){ start[1], KEEPER_START_FD };
	s.fds[3] = (struct spawn_fd){ key, KEEPER_KEY_FD };
	assert_int_equal(spawn_start(&s, &p->pid, &p->pidfd), ERR_OK);
	close(link[1]);
	close(start[1]);
	close(key);
	e = keeper_start_read(start[0], 10000, &p->start);
	close(start[0]);
	return e;
}

static int process_end(struct process *p)
{
	int status = -1;

	close(p->link);
	assert_int_equal(waitpid(p->pid, &status, 0), p->pid);
	close(p->pidfd);
	close(p->config);
	keeper_start_free(&p->start);
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

static void expect_secret(const struct process *p, uint32_t index, enum err wanted, struct str value)
{
	struct secret *secret = NULL;

	assert_int_equal(keeper_secret(p->link, index, 5000, &secret), wanted);
	if (!wanted) {
		assert_true(str_eq(secret_str(secret), value));
		secret_free(secret);
	}
}

static void expect_config_gone(const struct process *p)
{
	struct stat st;

	assert_true(fstat(p->config, &st) == 0 && st.st_size == 0);
}

/* also: its memory is not to be had through /proc */
static void expect_private(const struct process *p)
{
	char text[64];
	int fd;

	expect_config_gone(p);
	snprintf(text, sizeof text, "/proc/%d/maps", (int)p->pid);
	fd = open(text, O_RDONLY | O_CLOEXEC);
	/* whoever made a user namespace may look into what was executed inside of it */
	assert_true(fd < 0 || geteuid() == 0 || in_namespace);
	if (fd >= 0)
		close(fd);
}

static void it_serves_environment_confined(void **state)
{
	(void)state;
	struct process p = { 0 };
	uint8_t signature[64];
	auto_buf der = BUF_EMPTY;

	assert_int_equal(process_start(STR("{\"name\":\"a\",\"source\":\"environment\",\"value\":"
					   "\"Z2hwXzAxMjM0NTY3ODlhYmNkZWZBQkNERUY=\"},"
					   "{\"name\":\"b\",\"source\":\"environment\"}"), &p), ERR_OK);
	buf_init(&der, 4096);
	expect_private(&p);
	assert_true(str_starts(buf_str(&p.start.ca_pem), STR("-----BEGIN CERTIFICATE-----\n")));
	assert_true(str_starts(str_of(p.start.key_name), STR("paddock/")));
	assert_int_equal(keeper_leaf(p.link, STR("api.example.com"), points[0], 5000, &der), ERR_OK);
	assert_int_equal(keeper_leaf(p.link, STR("api.example.com"), points[1], 5000, &der), ERR_INPUT);
	assert_int_equal(keeper_sign(p.link, STR("paddock/trail/quiet-otter\n1\n" HASH "\n"), 5000, signature),
			 ERR_OK);
	assert_int_equal(keeper_sign(p.link, STR("anything"), 5000, signature), ERR_INPUT);
	expect_secret(&p, 0, ERR_OK, SECRET);
	expect_secret(&p, 1, ERR_CREDENTIAL, STR(""));
	expect_secret(&p, 2, ERR_INPUT, STR(""));
	assert_int_equal(process_end(&p), 0);
}

static void it_sees_a_file_that_was_replaced(void **state)
{
	(void)state;
	struct process p = { 0 };
	auto_buf b = BUF_EMPTY;

	buf_init(&b, 1024);
	buf_printf(&b, "{\"name\":\"f\",\"source\":\"file\",\"path\":\"%s\"},"
		       "{\"name\":\"g\",\"source\":\"file\",\"path\":\"/etc/hostname\"}",
		   write_file("refreshed", STR("first-token\n"), 0600));
	assert_int_equal(process_start(buf_str(&b), &p), ERR_OK);
	expect_private(&p);
	expect_secret(&p, 0, ERR_OK, STR("first-token"));
	write_file("new", STR("second-token\n"), 0600);
	assert_int_equal(renameat(directory, "new", directory, "refreshed"), 0);
	expect_secret(&p, 0, ERR_OK, STR("second-token"));
	assert_int_equal(unlinkat(directory, "refreshed", 0), 0);
	expect_secret(&p, 0, ERR_CREDENTIAL, STR(""));
	assert_int_equal(process_end(&p), 0);
}

static void it_runs_commands(void **state)
{
	(void)state;
	struct process p = { 0 };

	assert_int_equal(process_start(STR("{\"name\":\"c\",\"source\":\"command\",\"argv\":"
					   "[\"sh\",\"-c\",\"echo token-$HOME\"],\"timeout_ms\":5000},"
					   "{\"name\":\"d\",\"source\":\"command\",\"argv\":[\"false\"],"
					   "\"timeout_ms\":5000}"), &p), ERR_OK);
	expect_private(&p);
	expect_secret(&p, 0, ERR_OK, STR("token-/nowhere"));
	expect_secret(&p, 1, ERR_CREDENTIAL, STR(""));
	expect_secret(&p, 0, ERR_OK, STR("token-/nowhere"));
	assert_int_equal(process_end(&p), 0);
}

static void it_refuses_a_bad_configuration(void **state)
{
	(void)state;
	static const char *const bad[] = {
		"{\"name\":\"a\",\"source\":\"environment\",\"value\":\"!\"}",
		"{\"name\":\"a\",\"source\":\"vault\"}",
		"{\"name\":\"a\",\"source\":\"file\",\"path\":\"relative\"}",
		"{\"name\":\"a\",\"source\":\"file\",\"path\":\"/x\",\"extra\":1}",
		"{\"name\":\"a\",\"source\":\"command\",\"argv\":[],\"timeout_ms\":5}",
		"{\"name\":\"a\",\"source\":\"command\",\"argv\":[1],\"timeout_ms\":5}",
		"{\"name\":\"a\",\"source\":\"command\",\"argv\":[\"x\"],\"timeout_ms\":0}",
		"{\"name\":\"a\",\"name\":\"b\",\"source\":\"environment\"}",
		"{", "7",
	};

	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
		struct process p = { 0 };

		assert_int_equal(process_start(str_of(bad[i]), &p), ERR_CLOSED);
		expect_config_gone(&p);
		assert_int_equal(process_end(&p), 1);
	}
}

static void it_ends_at_a_request_of_the_wrong_size(void **state)
{
	(void)state;
	struct process p = { 0 };

	assert_int_equal(process_start(STR(""), &p), ERR_OK);
	assert_int_equal(write(p.link, "short", 5), 5);
	assert_int_equal(process_end(&p), 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(only_the_first_key_is_certified, make_fixture, free_fixture),
		cmocka_unit_test_setup_teardown(only_this_sandboxs_checkpoints_are_signed, make_fixture, free_fixture),
		cmocka_unit_test_setup_teardown(secrets_are_given_by_index, make_fixture, free_fixture),
		cmocka_unit_test_setup_teardown(malformed_requests_are_refused, make_fixture, free_fixture),
		cmocka_unit_test(an_answer_that_is_late_is_dropped),
	};

	const struct CMUnitTest processes[] = {
		cmocka_unit_test(it_serves_environment_confined),
		cmocka_unit_test(it_sees_a_file_that_was_replaced),
		cmocka_unit_test(it_runs_commands),
		cmocka_unit_test(it_refuses_a_bad_configuration),
		cmocka_unit_test(it_ends_at_a_request_of_the_wrong_size),
	};
	int failed = cmocka_run_group_tests(tests, set_up, tear_down) +
		     cmocka_run_group_tests(processes, set_up, tear_down);

	in_namespace = true;
	return failed + cmocka_run_group_tests(processes, set_up, tear_down);
}
