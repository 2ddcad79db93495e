/* msg_test.c - each message survives encoding; what is not in the table is refused */
#include "wire/msg.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#define CHECK_STR(a, b) assert_true(str_eq((a), (b)))

static const struct msg_process process = {
	.pid = 42, .uid = 1000, .exe = STR_INIT("/usr/bin/curl"), .ancestor_count = 2,
	.ancestors = { STR_INIT("/bin/bash"), STR_INIT("/usr/bin/node") },
};

static void check_process(const struct msg_process *p)
{
	assert_int_equal(p->pid, 42);
	assert_int_equal(p->uid, 1000);
	CHECK_STR(p->exe, process.exe);
	assert_int_equal(p->ancestor_count, 2);
	CHECK_STR(p->ancestors[1], process.ancestors[1]);
}

static void connect_survives(void **state)
{
	(void)state;
	static char key[65] = "\4key";
	struct msg_connect in = {
		.address = STR_INIT("\xc6\x12\0\1"), .port = 443, .host = STR_INIT("api.example.com"),
		.scheme = 2,
		.query_type = 28, .connection = UINT64_MAX, .process = process, .public_key = { key, 65 },
	}, out;
	auto_buf b = BUF_EMPTY;

	buf_init(&b, 65536);
	msg_put_connect(&b, &in);
	assert_int_equal(msg_get_connect(buf_str(&b), &out), ERR_OK);
	CHECK_STR(out.address, in.address);
	assert_int_equal(out.port, 443);
	CHECK_STR(out.host, in.host);
	assert_int_equal(out.scheme, 2);
	assert_int_equal(out.query_type, 28);
	assert_true(out.connection == UINT64_MAX);
	check_process(&out.process);
	CHECK_STR(out.public_key, in.public_key);
	assert_int_equal(msg_get_connect(STR(""), &out), ERR_OK);
	assert_int_equal(out.host.n, 0);
	for (size_t n = 1; n < b.len; n++) {	/* cut anywhere: an error, or fewer whole fields */
		enum err e = msg_get_connect(str_head(buf_str(&b), n), &out);

		assert_true(e == ERR_OK || e == ERR_LINK_MALFORMED);
	}
}

static void claim_survives(void **state)
{
	(void)state;
	struct msg_claim in = {
		.kind = CLAIM_CONNECTION_END, .result = ERR_POLICY_DENIED, .has_verdict = true,
		.verdict = true, .has_exit_code = true, .exit_code = 3, .has_exit_signal = true,
		.exit_signal = 9,
		.text = STR_INIT("h\xc3\xa9"), .address = STR_INIT("0123456789abcdef"),
		.host = STR_INIT("what?ever"),
		.path = STR_INIT("/a\xff"), .port = 1, .query_type = 2, .connection = 3, .bytes_in = 4,
		.bytes_out = 5, .process = process, .protocol = STR_INIT("http/1.1"),
	}, out;
	auto_buf b = BUF_EMPTY, empty = BUF_EMPTY;

	buf_init(&b, 65536);
	msg_put_claim(&b, &in);
	assert_int_equal(msg_get_claim(buf_str(&b), &out), ERR_OK);
	assert_int_equal(out.kind, CLAIM_CONNECTION_END);
	assert_int_equal(out.result, ERR_POLICY_DENIED);
	assert_true(out.has_verdict && out.verdict && out.has_exit_code && out.has_exit_signal);
	assert_int_equal(out.exit_code, 3);
	assert_int_equal(out.exit_signal, 9);
	CHECK_STR(out.text, in.text);
	CHECK_STR(out.address, in.address);
	CHECK_STR(out.host, in.host);
	CHECK_STR(out.path, in.path);
	CHECK_STR(out.protocol, in.protocol);
	assert_true(out.port == 1 && out.query_type == 2 && out.connection == 3);
	assert_true(out.bytes_in == 4 && out.bytes_out == 5);
	check_process(&out.process);
	buf_init(&empty, 100);
	in = (struct msg_claim){ .kind = 0 };
	msg_put_claim(&empty, &in);
	assert_int_equal(msg_get_claim(buf_str(&empty), &out), ERR_LINK_MALFORMED);
	assert_int_equal(msg_get_claim(STR(""), &out), ERR_LINK_MALFORMED);
}

static void config_and_exec_survive(void **state)
{
	(void)state;
	struct msg_config config = {
		.hostname = STR_INIT("sandbox"), .ca_pem = STR_INIT("-----BEGIN"),
		.seed = STR_INIT("0123456789abcdef0123456789abcdef"), .time_ns = 1, .memory_max = 2,
		.processes_max = 3, .mount_count = 2,
		.mounts = { { 0, STR_INIT("/work") },
			    { MSG_MOUNT_READ_ONLY | MSG_MOUNT_FILE, STR_INIT("/etc/x") } },
		.file_count = 2, .files = { { STR_INIT("/root/.netrc"), STR_INIT("machine x\n") },
					    { STR_INIT("/e"), { "", 0 } } },
	}, config_out;
	struct msg_exec exec = {
		.argument_count = 2, .arguments = { STR_INIT("sh"), STR_INIT("") }, .environment_count = 1,
		.environment = { STR_INIT("A=") }, .directory = STR_INIT("/work"), .terminal = true,
		.rows = 24, .columns = 80, .user_id = 1000,
	}, exec_out;
	auto_buf b = BUF_EMPTY;

	buf_init(&b, 65536);
	msg_put_config(&b, &config);
	assert_int_equal(msg_get_config(buf_str(&b), &config_out), ERR_OK);
	CHECK_STR(config_out.hostname, config.hostname);
	CHECK_STR(config_out.ca_pem, config.ca_pem);
	CHECK_STR(config_out.seed, config.seed);
	assert_true(config_out.time_ns == 1 && config_out.memory_max == 2 && config_out.processes_max == 3);
	assert_int_equal(config_out.mount_count, 2);
	assert_int_equal(config_out.mounts[1].flags, 3);
	CHECK_STR(config_out.mounts[1].path, STR("/etc/x"));
	assert_int_equal(config_out.file_count, 2);
	CHECK_STR(config_out.files[0].path, STR("/root/.netrc"));
	CHECK_STR(config_out.files[0].text, STR("machine x\n"));
	CHECK_STR(config_out.files[1].path, STR("/e"));
	assert_int_equal(config_out.files[1].text.n, 0);
	buf_clear(&b);
	msg_put_exec(&b, &exec);
	assert_int_equal(msg_get_exec(buf_str(&b), &exec_out), ERR_OK);
	assert_int_equal(exec_out.argument_count, 2);
	CHECK_STR(exec_out.arguments[0], STR("sh"));
	assert_int_equal(exec_out.arguments[1].n, 0);
	CHECK_STR(exec_out.environment[0], STR("A="));
	CHECK_STR(exec_out.directory, STR("/work"));
	assert_true(exec_out.terminal && exec_out.rows == 24 && exec_out.columns == 80);
	assert_int_equal(exec_out.user_id, 1000);
}

static void status_survives(void **state)
{
	(void)state;
	struct msg_status in = {
		.has_result = true, .has_input_end = true, .has_signal = true, .has_resize = true,
		.has_started = true, .has_exit_code = true,
		.has_exit_signal = true, .has_verdict = true, .result = ERR_LOCAL, .error_number = 2,
		.text = STR_INIT("no"), .certificate = STR_INIT("der"), .request_id = STR_INIT("r1"),
		.signal = 2,
		.exit_code = 127, .exit_signal = 15, .verdict = false, .rows = 65535, .columns = 1, .pid = 77,
	}, out;
	auto_buf b = BUF_EMPTY;

	buf_init(&b, 65536);
	msg_put_status(&b, &in);
	assert_int_equal(msg_get_status(buf_str(&b), &out), ERR_OK);
	assert_true(out.has_result && out.has_signal && out.has_resize && out.has_started &&
		    out.has_exit_code);
	assert_true(out.has_input_end && out.has_exit_signal && out.has_verdict && !out.verdict);
	assert_int_equal(out.result, ERR_LOCAL);
	assert_int_equal(out.error_number, 2);
	CHECK_STR(out.text, in.text);
	CHECK_STR(out.certificate, in.certificate);
	CHECK_STR(out.request_id, in.request_id);
	assert_true(out.signal == 2 && out.exit_code == 127 && out.exit_signal == 15);
	assert_true(out.rows == 65535 && out.columns == 1 && out.pid == 77);
}

static void texts_are_cut_at_a_character(void **state)
{
	(void)state;
	char long_text[600];
	struct msg_claim in = { .kind = CLAIM_LIMIT, .text = { long_text, sizeof long_text } }, out;
	auto_buf b = BUF_EMPTY;

	for (size_t i = 0; i < sizeof long_text; i += 3)
		memcpy(long_text + i, "\xe2\x82\xac", 3);
	buf_init(&b, 65536);
	msg_put_claim(&b, &in);
	assert_int_equal(msg_get_claim(buf_str(&b), &out), ERR_OK);
	assert_int_equal(out.text.n, 510);
}

static enum err get_any(struct str s)
{
	static struct msg_exec e;
	static struct msg_config c;
	struct msg_connect m;
	struct msg_claim l;
	struct msg_status t;

	if (!msg_get_exec(s, &e) || !msg_get_config(s, &c) || !msg_get_connect(s, &m) ||
	    !msg_get_claim(s, &l) || !msg_get_status(s, &t))
		return ERR_OK;
	return ERR_LINK_MALFORMED;
}

static void shapes_are_checked(void **state)
{
	(void)state;
	static const struct {
		enum msg_tag tag;
		struct str value;
	} bad[] = {
		{ MSG_RESULT, STR_INIT("\xff\xff") }, { MSG_RESULT, STR_INIT("\0") },
		{ MSG_TEXT, STR_INIT("\xff") },
		{ MSG_TEXT, STR_INIT("") }, { MSG_TEXT, STR_INIT("a\0b") },
		{ MSG_ADDRESS, STR_INIT("12345") },
		{ MSG_PORT, STR_INIT("1") }, { MSG_HOST, STR_INIT("A b") }, { MSG_SCHEME, STR_INIT("\3") },
		{ MSG_SCHEME, STR_INIT("\0") }, { MSG_PID, STR_INIT("123") }, { MSG_EXE, STR_INIT("a\0b") },
		{ MSG_VERDICT, STR_INIT("\2") }, { MSG_PUBLIC_KEY, STR_INIT("short") },
		{ MSG_HOSTNAME, STR_INIT("-") },
		{ MSG_SEED, STR_INIT("short") }, { MSG_MOUNT, STR_INIT("\0relative") },
		{ MSG_MOUNT, STR_INIT("\4/x") },
		{ MSG_MOUNT, STR_INIT("\0") }, { MSG_ENVIRONMENT, STR_INIT("=x") },
		{ MSG_ENVIRONMENT, STR_INIT("x") },
		{ MSG_DIRECTORY, STR_INIT("x") }, { MSG_TERMINAL, STR_INIT("123") },
		{ MSG_EXIT_CODE, STR_INIT("12") },
		{ MSG_ARGUMENT, STR_INIT("") }, { (enum msg_tag)99, STR_INIT("x") },
		{ (enum msg_tag)0, STR_INIT("x") },
	};

	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
		auto_buf b = BUF_EMPTY;

		buf_init(&b, 100);
		msg_put(&b, bad[i].tag, bad[i].value);
		if (get_any(buf_str(&b)) == ERR_OK)
			fail_msg("case %zu", i);
	}
}

static void order_and_repetition_are_checked(void **state)
{
	(void)state;
	struct msg_connect out;
	auto_buf b = BUF_EMPTY;

	buf_init(&b, 70000);
	msg_put_u16(&b, MSG_PORT, 1);
	msg_put(&b, MSG_ADDRESS, STR("1234"));
	assert_int_equal(msg_get_connect(buf_str(&b), &out), ERR_LINK_MALFORMED);	/* falling */
	buf_clear(&b);
	msg_put_u16(&b, MSG_PORT, 1);
	msg_put_u16(&b, MSG_PORT, 1);
	assert_int_equal(msg_get_connect(buf_str(&b), &out), ERR_LINK_MALFORMED);	/* twice */
	buf_clear(&b);
	for (unsigned i = 0; i < MSG_ANCESTORS_MAX; i++)
		msg_put(&b, MSG_ANCESTOR, STR("/x"));
	assert_int_equal(msg_get_connect(buf_str(&b), &out), ERR_OK);
	msg_put(&b, MSG_ANCESTOR, STR("/x"));
	assert_int_equal(msg_get_connect(buf_str(&b), &out), ERR_LINK_MALFORMED);	/* one too many */
	buf_clear(&b);
	msg_put_u16(&b, MSG_PORT, 1);
	b.p[1] = 1;
	assert_int_equal(msg_get_connect(buf_str(&b), &out), ERR_LINK_MALFORMED);	/* zero is not */
	buf_clear(&b);
	msg_put_u8(&b, MSG_VERDICT, 1);
	assert_int_equal(msg_get_connect(buf_str(&b), &out), ERR_LINK_MALFORMED); /* not of this message */
	buf_clear(&b);
	msg_put(&b, MSG_TEXT, str_make("", MSG_FIELD_MAX + 1));
	assert_int_equal(buf_err(&b), ERR_LIMIT);
}

static void files_of_a_config_are_whole(void **state)
{
	(void)state;
	static const struct str bad[] = {
		STR_INIT(""), STR_INIT("\x02"), STR_INIT("\x03\0/e"), STR_INIT("\x02\0ab"),
		STR_INIT("\x03\0/\0a"), STR_INIT("\0\0text"),
	};
	struct msg_config out;
	auto_buf b = BUF_EMPTY;

	buf_init(&b, 70000);
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
		buf_clear(&b);
		msg_put(&b, MSG_FILE, bad[i]);
		assert_int_equal(msg_get_config(buf_str(&b), &out), ERR_LINK_MALFORMED);
	}
	buf_clear(&b);
	for (unsigned i = 0; i <= MSG_FILES_MAX; i++) {
		assert_int_equal(msg_get_config(buf_str(&b), &out), ERR_OK);
		msg_put(&b, MSG_FILE, STR("\x02\0/ex"));
	}
	assert_int_equal(msg_get_config(buf_str(&b), &out), ERR_LINK_MALFORMED);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(connect_survives),
		cmocka_unit_test(claim_survives),
		cmocka_unit_test(config_and_exec_survive),
		cmocka_unit_test(files_of_a_config_are_whole),
		cmocka_unit_test(status_survives),
		cmocka_unit_test(texts_are_cut_at_a_character),
		cmocka_unit_test(shapes_are_checked),
		cmocka_unit_test(order_and_repetition_are_checked),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
