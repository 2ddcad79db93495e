/* keeper_process_test.c - paddock-keeper as the confined
 * process that it is, with and without namespaces of its own */
#include "keeper_world.h"

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

/* one request, one answer */
static enum err ask(const struct process *p, struct keeper_request head, struct str text,
		    struct buf *ret_data)
{
	static struct keeper_request r;
	static struct keeper_reply reply;
	static uint32_t sequence = 1000;
	ssize_t n;

	r = head;
	r.sequence = ++sequence;
	if (text.n)
		memcpy(r.text, text.p, text.n);
	assert_int_equal(write(p->link, &r, KEEPER_REQUEST_HEAD + text.n), KEEPER_REQUEST_HEAD + text.n);
	n = read(p->link, &reply, sizeof reply);
	assert_true(n >= (ssize_t)KEEPER_REPLY_HEAD);
	assert_int_equal(reply.sequence, sequence);
	buf_clear(ret_data);
	buf_put(ret_data, str_make(reply.data, (size_t)n - KEEPER_REPLY_HEAD));
	return (enum err)reply.result;
}

static void expect_secret(const struct process *p, uint32_t index, enum err wanted, struct str value)
{
	auto_buf data = BUF_EMPTY;

	buf_init(&data, KEEPER_DATA_MAX);
	assert_int_equal(ask(p, (struct keeper_request){ .op = KEEPER_SECRET, .credential = index }, STR(""),
			     &data),
			 wanted);
	assert_true(wanted || str_eq(str_from(buf_str(&data), KEEPER_STAMP_BYTES), value));
}

static void expect_leaf(const struct process *p, const char *host, const uint8_t *point, enum err wanted)
{
	auto_buf text = BUF_EMPTY, der = BUF_EMPTY;

	buf_init(&text, 512);
	buf_init(&der, KEEPER_DATA_MAX);
	buf_put(&text, str_make(point, KEEPER_POINT_BYTES));
	buf_put_z(&text, host);
	assert_int_equal(ask(p, (struct keeper_request){ .op = KEEPER_LEAF }, buf_str(&text), &der), wanted);
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
	const struct keeper_request sign = { .op = KEEPER_SIGN };
	auto_buf signature = BUF_EMPTY;

	assert_int_equal(process_start(STR("{\"name\":\"a\",\"use\":\"secret\",\"source\":\"environment\",\"value\":"
					   "\"Z2hwXzAxMjM0NTY3ODlhYmNkZWZBQkNERUY=\"},"
					   "{\"name\":\"b\",\"use\":\"secret\",\"source\":\"environment\"}"),
					   &p), ERR_OK);
	buf_init(&signature, 4096);
	expect_private(&p);
	assert_true(str_starts(buf_str(&p.start.ca_pem), STR("-----BEGIN CERTIFICATE-----\n")));
	assert_true(str_starts(str_of(p.start.key_name), STR("paddock/")));
	expect_leaf(&p, "api.example.com", points[0], ERR_OK);
	expect_leaf(&p, "api.example.com", points[1], ERR_INPUT);
	assert_int_equal(ask(&p, sign, STR("paddock/trail/quiet-otter\n1\n" HASH "\n"), &signature), ERR_OK);
	assert_int_equal(signature.len, KEEPER_SIGNATURE_BYTES);
	assert_int_equal(ask(&p, sign, STR("anything"), &signature), ERR_INPUT);
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
	buf_printf(&b, "{\"name\":\"f\",\"use\":\"secret\",\"source\":\"file\",\"path\":\"%s\"},"
		       "{\"name\":\"g\",\"use\":\"secret\",\"source\":\"file\",\"path\":\"/etc/hostname\"}",
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

/* What signs and what writes, behind the same walls. */
static void it_signs_and_replaces_confined(void **state)
{
	(void)state;
	static const char login[] = "{\"tokens\":{\"access_token\":\"a\",\"refresh_token\":\"r\"}}";
	EVP_PKEY *key = EVP_EC_gen("P-256");
	BIO *bio = BIO_new(BIO_s_mem());
	struct process p = { 0 };
	auto_buf b = BUF_EMPTY, out = BUF_EMPTY, asked = BUF_EMPTY;
	char *pem;
	struct str fields[8];

	buf_init(&b, 65536);
	buf_init(&out, KEEPER_DATA_MAX);
	buf_init(&asked, 1024);
	PEM_write_bio_PrivateKey(bio, key, NULL, NULL, 0, NULL, NULL);
	long n = BIO_get_mem_data(bio, &pem);

	buf_printf(&b, "{\"name\":\"f\",\"use\":\"codex\",\"source\":\"file\",\"path\":\"%s\"},",
		   write_file("auth.json", str_of(login), 0600));
	buf_put_z(&b, "{\"name\":\"s\",\"use\":\"sigv4\",\"source\":\"environment\",\"value\":"
		      "\"QUtJRDpzZWNyZXQ=\"},");
	buf_put_z(&b, "{\"name\":\"j\",\"use\":\"jwt\",\"source\":\"environment\",\"issuer\":\"me\",\"value\":\"");
	buf_put_base64(&b, str_make(pem, (size_t)n));
	buf_put_z(&b, "\"}");
	assert_int_equal(process_start(buf_str(&b), &p), ERR_OK);
	assert_int_equal(ask(&p, (struct keeper_request){ .op = KEEPER_SIGV4, .credential = 1 }, STR(
		"AWS4-HMAC-SHA256\n20150830T123600Z\n20150830/us-east-1/iam/aws4_request\n"
		"f536975d06c0309214f805bb90ccff089219ecd68b2577efef23edd43b7e1a59"), &out), ERR_OK);
	assert_true(keeper_fields(buf_str(&out), fields, 3));
	assert_int_equal(fields[2].n, 64);
	assert_int_equal(ask(&p, (struct keeper_request){ .op = KEEPER_ACCOUNT, .credential = 2 }, STR(""),
			     &out), ERR_OK);
	assert_int_equal(ask(&p, (struct keeper_request){ .op = KEEPER_JWT, .credential = 2 }, STR("a.b"),
			     &out), ERR_INPUT);
	buf_put_base64url(&asked, STR("{\"alg\":\"ES256\"}"));
	buf_put_z(&asked, ".");
	buf_clear(&b);
	buf_printf(&b, "{\"iss\":\"me\",\"iat\":%lu,\"exp\":%lu}",
		   (unsigned long)(clock_unix_ns() / 1000000000),
		   (unsigned long)(clock_unix_ns() / 1000000000 + 600));
	buf_put_base64url(&asked, buf_str(&b));
	assert_int_equal(ask(&p, (struct keeper_request){ .op = KEEPER_JWT, .credential = 2 },
			     buf_str(&asked), &out),
			 ERR_OK);
	assert_int_equal(out.len, 86);
	/* a captured courier asks for the keys themselves */
	assert_int_equal(ask(&p, (struct keeper_request){ .op = KEEPER_SECRET, .credential = 1 }, STR(""),
			     &out), ERR_INPUT);
	assert_int_equal(ask(&p, (struct keeper_request){ .op = KEEPER_SECRET, .credential = 2 }, STR(""),
			     &out), ERR_INPUT);
	assert_int_equal(ask(&p, (struct keeper_request){ .op = KEEPER_CERTIFICATE, .credential = 2 },
			     STR(""), &out),
			 ERR_INPUT);

	assert_int_equal(ask(&p, (struct keeper_request){ .op = KEEPER_LOGIN }, STR(""), &out), ERR_OK);
	buf_clear(&asked);
	keeper_put_field(&asked, str_of("454349e422f05297191ead13e21d3db520e5abef52055e4964b82fb213f593a1"));
	keeper_put_field(&asked, STR("a2"));
	keeper_put_field(&asked, STR("r2"));
	keeper_put_field(&asked, STR(""));
	keeper_put_field(&asked, STR(""));
	assert_int_equal(ask(&p, (struct keeper_request){ .op = KEEPER_REPLACE }, buf_str(&asked), &out),
			ERR_OK);
	assert_true(str_starts(buf_str(&out), STR("replaced\0a2\0r2\0")));
	assert_int_equal(ask(&p, (struct keeper_request){ .op = KEEPER_REPLACE }, buf_str(&asked), &out),
			ERR_OK);
	assert_true(str_starts(buf_str(&out), STR("other\0a2\0r2\0")));
	assert_int_equal(ask(&p, (struct keeper_request){ .op = KEEPER_REPLACE }, STR("r\0"), &out),
			ERR_INPUT);
	assert_int_equal(process_end(&p), 0);
	assert_int_equal(unlinkat(directory, "auth.json", 0), 0);
	EVP_PKEY_free(key);
	BIO_free(bio);
}

/* The whole of it, with a command of some seconds: leafs, secrets and checkpoints go on. */
static void it_answers_while_a_command_runs(void **state)
{
	(void)state;
	struct process p = { 0 };
	struct keeper_request slow = { .op = KEEPER_SECRET, .credential = 1, .sequence = 7 };
	struct keeper_reply reply;
	uint64_t started;

	assert_int_equal(process_start(STR("{\"name\":\"a\",\"use\":\"secret\",\"source\":\"environment\",\"value\":"
					   "\"Z2hwXzAxMjM0NTY3ODlhYmNkZWZBQkNERUY=\"},"
					   "{\"name\":\"c\",\"use\":\"secret\",\"source\":\"command\",\"argv\":"
					   "[\"sh\",\"-c\",\"sleep 3; echo token\"],\"timeout_ms\":9000}"),
					   &p), ERR_OK);
	started = clock_ms();
	assert_int_equal(write(p.link, &slow, KEEPER_REQUEST_HEAD), KEEPER_REQUEST_HEAD);
	for (unsigned i = 0; i < 50; i++) {
		expect_leaf(&p, "api.example.com", points[0], ERR_OK);
		expect_secret(&p, 0, ERR_OK, SECRET);
	}
	assert_true(clock_ms() - started < 2500);
	assert_true(read(p.link, &reply, sizeof reply) > (ssize_t)KEEPER_REPLY_HEAD);
	assert_int_equal(reply.sequence, 7);
	assert_true(clock_ms() - started >= 3000);
	assert_int_equal(process_end(&p), 0);
}

static void it_runs_commands(void **state)
{
	(void)state;
	struct process p = { 0 };

	assert_int_equal(process_start(STR("{\"name\":\"c\",\"use\":\"secret\",\"source\":\"command\",\"argv\":"
					   "[\"sh\",\"-c\",\"echo token-$HOME\"],\"timeout_ms\":5000},"
					   "{\"name\":\"d\",\"use\":\"secret\",\"source\":\"command\",\"argv\":[\"false\"],"
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
		"{\"name\":\"a\",\"use\":\"secret\",\"source\":\"environment\",\"value\":\"!\"}",
		"{\"name\":\"a\",\"use\":\"secret\",\"source\":\"vault\"}",
		"{\"name\":\"a\",\"use\":\"secret\",\"source\":\"file\",\"path\":\"relative\"}",
		"{\"name\":\"a\",\"use\":\"secret\",\"source\":\"file\",\"path\":\"/x\",\"extra\":1}",
		"{\"name\":\"a\",\"use\":\"secret\",\"source\":\"command\",\"argv\":[],\"timeout_ms\":5}",
		"{\"name\":\"a\",\"use\":\"secret\",\"source\":\"command\",\"argv\":[1],\"timeout_ms\":5}",
		"{\"name\":\"a\",\"use\":\"secret\",\"source\":\"command\",\"argv\":[\"x\"],\"timeout_ms\":0}",
		"{\"name\":\"a\",\"name\":\"b\",\"use\":\"secret\",\"source\":\"environment\"}",
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
		cmocka_unit_test(it_serves_environment_confined),
		cmocka_unit_test(it_sees_a_file_that_was_replaced),
		cmocka_unit_test(it_signs_and_replaces_confined),
		cmocka_unit_test(it_runs_commands),
		cmocka_unit_test(it_answers_while_a_command_runs),
		cmocka_unit_test(it_refuses_a_bad_configuration),
		cmocka_unit_test(it_ends_at_a_request_of_the_wrong_size),
	};
	int failed = cmocka_run_group_tests(tests, set_up, remove_directory);

	in_namespace = true;
	return failed + cmocka_run_group_tests(tests, set_up, remove_directory);
}
