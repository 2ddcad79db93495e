/* keeper_test.c - the keeper answers what it should, and nothing else */
#include "keeper_world.h"

struct fixture {
	struct keeper keeper;
	struct keeper_config config;
	struct keeper_key *key;
	struct mint *mint;
	struct secret *value;
	unsigned answers;
	enum err result;
	struct buf data;
	const char *reason;
};

static void note_answer(void *user, enum err result, uint32_t sequence, struct str data, const char *name,
			const char *reason)
{
	struct fixture *f = user;

	assert_int_equal(sequence, 77);
	assert_non_null(name);
	assert_true(!result == !reason);
	assert_true(!result || data.n == 0);
	f->answers++;
	f->result = result;
	f->reason = reason;
	buf_clear(&f->data);
	buf_put(&f->data, data);
}

static int make_fixture(void **state)
{
	static struct fixture f;
	int fd;

	f = (struct fixture){ .config = { .sandbox = "quiet-otter", .credential_count = 2,
					  .environment = NULL } };
	if (keeper_installation_key(directory, &fd) || keeper_key_read(fd, &f.key) ||
	    mint_new(STR("quiet-otter"), clock_unix_ns() / 1000000000, 1, &f.mint) ||
	    secret_new(SECRET.p, SECRET.n, &f.value))
		return 1;
	close(fd);
	buf_init(&f.data, KEEPER_DATA_MAX);
	f.config.credentials[0] = (struct keeper_credential){ .name = "a", .source = { .value = f.value } };
	f.config.credentials[1] =
		(struct keeper_credential){ .name = "b", .source = { .missing = "it was not set" } };
	f.keeper = (struct keeper){
		.config = &f.config, .key = f.key, .mint = f.mint, .answer = note_answer, .user = &f,
	};
	*state = &f;
	return 0;
}

static int free_fixture(void **state)
{
	struct fixture *f = *state;

	keeper_end(&f->keeper);
	keeper_key_free(f->key);
	mint_free(f->mint);
	secret_free(f->value);
	buf_free(&f->data);
	return 0;
}

/* Hands over one request; what was answered at once is in the fixture. */
static void take(struct fixture *f, struct keeper_request head, struct str text)
{
	static struct keeper_request r;

	r = head;
	r.sequence = 77;
	assert_true(text.n <= sizeof r.text);
	if (text.n)
		memcpy(r.text, text.p, text.n);
	assert_int_equal(keeper_take(&f->keeper, &r, KEEPER_REQUEST_HEAD + text.n), ERR_OK);
}

static enum err answer(struct fixture *f, struct keeper_request head, struct str text)
{
	unsigned before = f->answers;

	take(f, head, text);
	assert_int_equal(f->answers, before + 1);
	return f->result;
}

static enum err answer_leaf(struct fixture *f, const char *host, const uint8_t *point)
{
	auto_buf text = BUF_EMPTY;

	buf_init(&text, 512);
	buf_put(&text, str_make(point, KEEPER_POINT_BYTES));
	buf_put_z(&text, host);
	return answer(f, (struct keeper_request){ .op = KEEPER_LEAF }, buf_str(&text));
}

static void only_the_first_key_is_certified(void **state)
{
	struct fixture *f = *state;
	uint8_t bad[KEEPER_POINT_BYTES] = { 4 };

	assert_int_equal(answer_leaf(f, "api.example.com", bad), ERR_INPUT);
	assert_int_equal(answer_leaf(f, "API.example.com", points[0]), ERR_INPUT);
	assert_int_equal(answer_leaf(f, "api.example.com", points[0]), ERR_OK);
	assert_true(f->data.len > 200);
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
		"paddock/trail/quiet-otter\n12\n" HASH "\nmore\n",
		"paddock/trail/quiet-otter\n-1\n" HASH "\n",
		"paddock/trail/quiet-otter\n012\n" HASH "\n", "paddock/trail/quiet-otter\n12\nAAAA\n",
		"paddock/trail/quiet-otter\n12\n", "x", " paddock/trail/quiet-otter\n12\n" HASH "\n",
		"paddock/trail/quiet-otter\n12\n" HASH "\n\n",
	};
	struct keeper_request r = { .op = KEEPER_SIGN };

	assert_int_equal(answer(f, r, STR("paddock/trail/quiet-otter\n12\n" HASH "\n")), ERR_OK);
	assert_int_equal(f->data.len, 64);
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
		assert_int_equal(answer(f, r, str_of(bad[i])), ERR_INPUT);
	assert_int_equal(answer(f, r, STR("")), ERR_INPUT);
}

static enum err answer_secret(struct fixture *f, uint32_t credential, struct str stamp)
{
	return answer(f, (struct keeper_request){ .op = KEEPER_SECRET, .credential = credential }, stamp);
}

static struct str answered_secret(const struct fixture *f)
{
	return str_from(buf_str(&f->data), KEEPER_STAMP_BYTES);
}

static void secrets_are_given_by_index(void **state)
{
	struct fixture *f = *state;
	uint8_t stamp[KEEPER_STAMP_BYTES];

	assert_int_equal(answer_secret(f, 0, STR("")), ERR_OK);
	assert_true(str_eq(answered_secret(f), SECRET));
	memcpy(stamp, f->data.p, sizeof stamp);
	assert_int_equal(answer_secret(f, 0, str_make(stamp, sizeof stamp)), ERR_OK);
	assert_int_equal(f->data.len, KEEPER_STAMP_BYTES);	/* the same */
	stamp[0] ^= 1;
	assert_int_equal(answer_secret(f, 0, str_make(stamp, sizeof stamp)), ERR_OK);
	assert_true(str_eq(answered_secret(f), SECRET));
	assert_int_equal(answer_secret(f, 1, STR("")), ERR_CREDENTIAL);
	assert_non_null(strstr(f->reason, "not set"));
	assert_int_equal(answer_secret(f, 2, STR("")), ERR_INPUT);
	assert_int_equal(answer_secret(f, UINT32_MAX, STR("")), ERR_INPUT);
}

static void malformed_requests_are_refused(void **state)
{
	struct fixture *f = *state;
	static const struct keeper_request bad[] = {
		{ .op = 0 }, { .op = KEEPER_OP_END }, { .op = UINT32_MAX },
		{ .op = KEEPER_SECRET, .part = KEEPER_PARTS }, { .op = KEEPER_SECRET, .flags = 2 },
		{ .op = KEEPER_SECRET, .zero = { 1 } }, { .op = KEEPER_SECRET, .zero = { 0, 1 } },
		{ .op = KEEPER_LEAF, .credential = 1 }, { .op = KEEPER_SIGN, .flags = KEEPER_AGAIN },
		{ .op = KEEPER_SIGN, .part = 1 }, { .op = KEEPER_SIGV4, .part = 1 },
	};
	struct keeper_request r = { .op = KEEPER_SECRET };

	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
		assert_int_equal(answer(f, bad[i], STR("")), ERR_INPUT);
		assert_string_equal(f->reason, "a malformed request");
	}
	assert_int_equal(answer(f, r, STR("1234567")), ERR_INPUT);
	assert_int_equal(answer(f, r, STR("123456789")), ERR_INPUT);
	r.op = KEEPER_CERTIFICATE;
	assert_int_equal(answer(f, r, STR("1234567")), ERR_INPUT);
	assert_string_equal(f->reason, "a malformed request");
	assert_int_equal(keeper_take(&f->keeper, &r, KEEPER_REQUEST_HEAD - 1), ERR_INPUT);
	assert_int_equal(keeper_take(&f->keeper, &r, sizeof r + 1), ERR_INPUT);
}

/* A captured courier gets of each credential what its strategy needs, and nothing else. */
static void a_credential_is_used_for_what_it_is_for(void **state)
{
	struct fixture *f = *state;
	static const struct { enum keeper_use use; uint32_t ops; } cases[] = {
		{ KEEPER_USE_SECRET, 1 << KEEPER_SECRET },
		{ KEEPER_USE_REFRESH, 1 << KEEPER_SECRET | 1 << KEEPER_LEASE | 1 << KEEPER_REPLACE },
		{ KEEPER_USE_SIGV4, 1 << KEEPER_SIGV4 },
		{ KEEPER_USE_JWT, 1 << KEEPER_ACCOUNT | 1 << KEEPER_JWT },
		{ KEEPER_USE_CLAUDE, 1 << KEEPER_LOGIN | 1 << KEEPER_LEASE | 1 << KEEPER_REPLACE },
		{ KEEPER_USE_CODEX, 1 << KEEPER_LOGIN | 1 << KEEPER_LEASE | 1 << KEEPER_REPLACE },
		{ KEEPER_USE_CERTIFICATE, 1 << KEEPER_CERTIFICATE },
	};

	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		f->config.credentials[0].use = cases[i].use;
		for (uint32_t op = KEEPER_SECRET; op < KEEPER_OP_END; op++) {
			enum err e = answer(f, (struct keeper_request){ .op = op }, STR(""));
			bool refused = e && strcmp(f->reason, "it was asked for what it is not for") == 0;

			assert_int_equal(refused, !(cases[i].ops >> op & 1));
			assert_true(!refused || e == ERR_INPUT);
		}
	}
	/* a token's other secrets are given where the key is not */
	f->config.credentials[0].use = KEEPER_USE_JWT;
	f->config.credentials[0].parts[KEEPER_PART_CLIENT_SECRET].value = f->value;
	assert_int_equal(answer(f,
				(struct keeper_request){ .op = KEEPER_SECRET,
							 .part = KEEPER_PART_CLIENT_SECRET },
				STR("")), ERR_OK);
	assert_true(str_eq(answered_secret(f), SECRET));
	assert_int_equal(answer(f,
				(struct keeper_request){ .op = KEEPER_SECRET,
							 .part = KEEPER_PART_ACTOR_TOKEN },
				STR("")), ERR_CREDENTIAL);
}

/* ---- commands, beside everything else ---- */

/* PEM of a certificate and its key, as a source's value */
static struct secret *client_certificate(void)
{
	EVP_PKEY *key = EVP_EC_gen("P-256");
	BIO *bio = BIO_new(BIO_s_mem());
	X509 *x = X509_new();
	struct secret *s;
	char *p;

	X509_gmtime_adj(X509_getm_notBefore(x), 0);
	X509_gmtime_adj(X509_getm_notAfter(x), 1000);
	X509_set_pubkey(x, key);
	assert_true(X509_sign(x, key, EVP_sha256()) > 0 && PEM_write_bio_X509(bio, x) == 1 &&
		    PEM_write_bio_PrivateKey(bio, key, NULL, NULL, 0, NULL, NULL) == 1);
	size_t n = (size_t)BIO_get_mem_data(bio, &p);

	assert_int_equal(secret_new(p, n, &s), ERR_OK);
	BIO_free(bio);
	X509_free(x);
	EVP_PKEY_free(key);
	return s;
}

/* It is asked for by each request: what is known goes without saying. */
static void a_certificate_that_is_known_is_not_given_again(void **state)
{
	struct fixture *f = *state;
	const struct keeper_request r = { .op = KEEPER_CERTIFICATE };
	char stamp[KEEPER_STAMP_BYTES];

	secret_free(f->value);
	f->value = client_certificate();
	f->config.credentials[0] = (struct keeper_credential){ .name = "a", .use = KEEPER_USE_CERTIFICATE,
							       .source = { .value = f->value } };
	assert_int_equal(answer(f, r, STR("")), ERR_OK);
	assert_true(str_eq(answered_secret(f), secret_str(f->value)));
	memcpy(stamp, f->data.p, sizeof stamp);
	assert_int_equal(answer(f, r, str_make(stamp, sizeof stamp)), ERR_OK);
	assert_true(str_eq(buf_str(&f->data), str_make(stamp, sizeof stamp)));
	assert_int_equal(answer(f, r, STR("87654321")), ERR_OK);
	assert_true(str_eq(answered_secret(f), secret_str(f->value)));
}

static void step_until(struct fixture *f, unsigned answers)
{
	while (f->answers < answers) {
		struct pollfd fds[KEEPER_SOURCES_MAX];
		uint64_t deadline_ms;
		size_t count = keeper_wants(&f->keeper, fds, &deadline_ms);

		assert_true(count > 0 && deadline_ms != UINT64_MAX);
		poll(fds, count, 1000);
		keeper_step(&f->keeper);
	}
}

static void nothing_waits_for_a_command(void **state)
{
	struct fixture *f = *state;
	char sh[] = "sh", c[] = "-c", script[256];
	char *argv[] = { sh, c, script, NULL }, *none[] = { NULL };
	const struct keeper_request slow = { .op = KEEPER_SECRET, .credential = 1 };
	auto_buf first = BUF_EMPTY;

	snprintf(script, sizeof script, "while [ ! -e %s ]; do sleep 0.02; done; echo run-$$-token",
		 in_directory("go"));
	f->config.environment = none;
	f->config.credentials[1].source = (struct keeper_source){
		.kind = KEEPER_COMMAND, .argv = argv, .timeout_ms = 5000 };
	take(f, slow, STR(""));
	for (unsigned i = 0; i < 100; i++) {
		assert_int_equal(answer_leaf(f, "api.example.com", points[0]), ERR_OK);
		assert_int_equal(answer_secret(f, 0, STR("")), ERR_OK);
	}
	take(f, slow, STR(""));
	keeper_step(&f->keeper);
	assert_int_equal(f->answers, 200);
	(void)write_file("go", STR(""), 0600);
	step_until(f, 202);	/* one run for both */
	assert_int_equal(f->result, ERR_OK);
	buf_init(&first, 256);
	buf_put(&first, buf_str(&f->data));
	take(f, slow, STR(""));
	step_until(f, 203);
	assert_false(str_eq(buf_str(&first), buf_str(&f->data)));
	keeper_end(&f->keeper);
	keeper_end(&f->keeper);
}

static void the_table_of_waits_is_bounded(void **state)
{
	struct fixture *f = *state;
	char sleeps[] = "sleep", time[] = "100";
	char *argv[] = { sleeps, time, NULL }, *none[] = { NULL };

	f->config.environment = none;
	f->config.credentials[1].source = (struct keeper_source){
		.kind = KEEPER_COMMAND, .argv = argv, .timeout_ms = 60000 };
	for (unsigned i = 0; i < KEEPER_CALLS_MAX; i++)
		take(f, (struct keeper_request){ .op = KEEPER_SECRET, .credential = 1 }, STR(""));
	assert_int_equal(f->answers, 0);
	assert_int_equal(answer_secret(f, 1, STR("")), ERR_LIMIT);
	assert_int_equal(answer_secret(f, 0, STR("")), ERR_OK);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, make_fixture, free_fixture)
	const struct CMUnitTest tests[] = {
		T(only_the_first_key_is_certified), T(only_this_sandboxs_checkpoints_are_signed),
		T(secrets_are_given_by_index), T(malformed_requests_are_refused),
		T(a_credential_is_used_for_what_it_is_for),
		T(a_certificate_that_is_known_is_not_given_again), T(nothing_waits_for_a_command),
		T(the_table_of_waits_is_bounded),
	};

	return cmocka_run_group_tests(tests, set_up, remove_directory);
}
