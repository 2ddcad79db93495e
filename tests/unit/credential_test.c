/* credential_test.c - a secret enters a head where it may and nowhere else */
#include "credential/attach.h"

#include "base/secret.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#define SECRET STR("sk-real-0123456789abcdef")
#define PLACEHOLDER STR("sk-ant-PLACEHOLDER0123456789")

static const struct str hosts[] = { STR_INIT("api.example.com"), STR_INIT("*.example.org") };

static struct policy_credential header_credential(void)
{
	return (struct policy_credential){
		.name = STR("one"), .host_count = 2, .hosts = hosts, .strategy = POLICY_STRATEGY_HEADER,
		.header_name = STR("authorization"), .header_format = STR("Bearer {secret}"), .scrub = true,
	};
}

static struct policy_credential placeholder_credential(void)
{
	return (struct policy_credential){
		.name = STR("two"), .host_count = 2, .hosts = hosts, .strategy = POLICY_STRATEGY_PLACEHOLDER,
		.parts = POLICY_IN_HEADER | POLICY_IN_BASIC, .scrub = true,
	};
}

static struct head request(void)
{
	struct head h = {
		.kind = HEAD_REQUEST, .scheme = HEAD_HTTPS, .port = 443, .method = STR("GET"),
		.host = STR("api.example.com"), .path = STR("/v1"),
	};

	assert_int_equal(head_add(&h, STR("host"), STR("api.example.com")), ERR_OK);
	assert_int_equal(head_check(&h), ERR_OK);
	return h;
}

static void header_replaces_what_the_agent_sent(void **state)
{
	(void)state;
	struct policy_credential c = header_credential();
	struct head in = request(), out;
	bool attached = false;
	auto_buf b = BUF_EMPTY;

	buf_init_secret(&b, ATTACH_BYTES_MAX);
	assert_int_equal(head_add(&in, STR("authorization"), STR("Bearer mine")), ERR_OK);
	assert_int_equal(head_add(&in, STR("accept"), STR("*/*")), ERR_OK);
	assert_int_equal(head_add(&in, STR("authorization"), STR("Basic eDp5")), ERR_OK);
	assert_int_equal(attach_apply(&c, SECRET, (struct str){ 0 }, &in, &b, &out, &attached), ERR_OK);
	assert_true(attached);
	assert_int_equal(out.field_count, 3);
	assert_true(str_eq(head_find(&out, STR("authorization"))->value,
			   STR("Bearer sk-real-0123456789abcdef")));
	assert_true(str_eq(head_find(&out, STR("accept"))->value, STR("*/*")));
	assert_int_equal(head_check(&out), ERR_OK);
	assert_int_equal(in.field_count, 4);
	assert_true(str_eq(head_find(&in, STR("authorization"))->value, STR("Bearer mine")));
}

/* Return: the field's value after attaching, or NULL text if nothing was attached */
static struct str substituted(struct policy_credential *c, const char *name, const char *value, struct buf *b)
{
	static struct head out;
	struct head in = request();
	bool attached = false;

	buf_init_secret(b, ATTACH_BYTES_MAX);
	assert_int_equal(head_add(&in, str_of(name), str_of(value)), ERR_OK);
	assert_int_equal(attach_apply(c, SECRET, PLACEHOLDER, &in, b, &out, &attached), ERR_OK);
	assert_int_equal(head_check(&out), ERR_OK);
	if (!attached) {
		assert_true(str_eq(head_find(&out, str_of(name))->value, str_of(value)));
		return (struct str){ 0 };
	}
	return head_find(&out, str_of(name))->value;
}

static void placeholder_is_substituted_where_it_stands_whole(void **state)
{
	(void)state;
	static const struct { const char *name, *value, *wanted; } cases[] = {
		{ "x-api-key", "sk-ant-PLACEHOLDER0123456789", "sk-real-0123456789abcdef" },
		{ "authorization", "Bearer sk-ant-PLACEHOLDER0123456789", "Bearer sk-real-0123456789abcdef" },
		{ "cookie", "a=sk-ant-PLACEHOLDER0123456789; b=sk-ant-PLACEHOLDER0123456789; c",
		  "a=sk-real-0123456789abcdef; b=sk-real-0123456789abcdef; c" },
		{ "x", "sk-ant-PLACEHOLDER01234567890", NULL },
		{ "x", "zsk-ant-PLACEHOLDER0123456789", NULL },
		{ "x", "zsk-ant-PLACEHOLDER0123456789 sk-ant-PLACEHOLDER0123456789",
		  "zsk-ant-PLACEHOLDER0123456789 sk-real-0123456789abcdef" },
		{ "x", "sk-ant-PLACEHOLDER012345678", NULL },
		{ "accept", "*/*", NULL },
		/* stored with an object, or followed */
		{ "x-amz-meta-note", "sk-ant-PLACEHOLDER0123456789", NULL },
		{ "x-goog-meta-token", "sk-ant-PLACEHOLDER0123456789", NULL },
		{ "upload-metadata", "sk-ant-PLACEHOLDER0123456789", NULL },
		{ "x-amz-tagging", "k=sk-ant-PLACEHOLDER0123456789", NULL },
		{ "referer", "http://evil.test/sk-ant-PLACEHOLDER0123456789", NULL },
		{ "x-forwarded-host", "sk-ant-PLACEHOLDER0123456789.evil.test", NULL },
		{ "user-agent", "sk-ant-PLACEHOLDER0123456789", NULL },
		{ "x-metabase-session", "sk-ant-PLACEHOLDER0123456789", "sk-real-0123456789abcdef" },
		/* user:sk-ant-PLACEHOLDER0123456789 and back */
		{ "authorization", "Basic dXNlcjpzay1hbnQtUExBQ0VIT0xERVIwMTIzNDU2Nzg5",
		  "Basic dXNlcjpzay1yZWFsLTAxMjM0NTY3ODlhYmNkZWY=" },
		/* sk-ant-PLACEHOLDER0123456789:x-oauth-basic */
		{ "authorization", "basic  c2stYW50LVBMQUNFSE9MREVSMDEyMzQ1Njc4OTp4LW9hdXRoLWJhc2lj",
		  "Basic c2stcmVhbC0wMTIzNDU2Nzg5YWJjZGVmOngtb2F1dGgtYmFzaWM=" },
		/* user:sk-ant-PLACEHOLDER0123456789x is not it */
		{ "authorization", "Basic dXNlcjpzay1hbnQtUExBQ0VIT0xERVIwMTIzNDU2Nzg5eA==", NULL },
		{ "authorization", "Basic !!!!", NULL },
		{ "authorization", "Basic ", NULL },
		/* only authorization is Basic */
		{ "x-other", "Basic dXNlcjpzay1hbnQtUExBQ0VIT0xERVIwMTIzNDU2Nzg5", NULL },
	};

	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct policy_credential c = placeholder_credential();
		auto_buf b = BUF_EMPTY;
		struct str got;

		if (str_ends(str_of(cases[i].value), STR(" ")))
			continue;	/* not a canonical value */
		got = substituted(&c, cases[i].name, cases[i].value, &b);
		if (!str_eq(got, str_of(cases[i].wanted)))
			fail_msg("case %zu: %.*s", i, STR_FMT(got));
	}
}

static void placeholder_stays_where_the_policy_does_not_put_it(void **state)
{
	(void)state;
	struct policy_credential c = placeholder_credential();
	auto_buf one = BUF_EMPTY, two = BUF_EMPTY;

	c.parts = POLICY_IN_BASIC;
	assert_null(substituted(&c, "x-api-key", "sk-ant-PLACEHOLDER0123456789", &one).p);
	c.parts = POLICY_IN_HEADER;
	assert_null(substituted(&c, "authorization", "Basic dXNlcjpzay1hbnQtUExBQ0VIT0xERVIwMTIzNDU2Nzg5",
				&two).p);
}

static void a_secret_that_is_no_field_value_is_refused(void **state)
{
	(void)state;
	struct policy_credential c = header_credential();
	struct head in = request(), out;
	const char *reason = NULL;
	bool attached;
	auto_buf b = BUF_EMPTY;

	buf_init_secret(&b, ATTACH_BYTES_MAX);
	assert_int_equal(attach_apply(&c, STR("0123456789abcdef\r\nx: y"), PLACEHOLDER, &in, &b, &out,
				      &attached),
			 ERR_CREDENTIAL);
	assert_int_equal(credential_check_secret(&c, STR("0123456789abcdef\n"), &reason), ERR_CREDENTIAL);
	assert_non_null(strstr(reason, "control"));
	assert_int_equal(credential_check_secret(&c, STR("0123456789abcde"), &reason), ERR_CREDENTIAL);
	assert_non_null(strstr(reason, "16"));
	assert_int_equal(credential_check_secret(&c, STR(""), &reason), ERR_CREDENTIAL);
	assert_int_equal(credential_check_secret(&c, STR("0123456789abcdef"), &reason), ERR_OK);
	c.scrub = false;
	assert_int_equal(credential_check_secret(&c, STR("short"), &reason), ERR_OK);
	c.header_name = STR("connection");
	assert_int_equal(attach_apply(&c, SECRET, PLACEHOLDER, &in, &b, &out, &attached), ERR_CREDENTIAL);
	c.header_name = STR("x-key");
	c.header_format = STR("no mark");
	assert_int_equal(attach_apply(&c, SECRET, PLACEHOLDER, &in, &b, &out, &attached), ERR_CREDENTIAL);
}

static void substitution_is_bounded(void **state)
{
	(void)state;
	struct policy_credential c = placeholder_credential();
	struct head in = request(), out;
	static char secret[SECRET_MAX_BYTES];
	bool attached;
	auto_buf b = BUF_EMPTY, value = BUF_EMPTY;

	memset(secret, 's', sizeof secret);
	buf_init_secret(&b, ATTACH_BYTES_MAX);
	buf_init(&value, 4096);
	for (int i = 0; i < 5; i++) {
		buf_put(&value, PLACEHOLDER);
		buf_put_z(&value, ",");
	}
	assert_int_equal(head_add(&in, STR("x"), buf_str(&value)), ERR_OK);
	assert_int_equal(attach_apply(&c, str_make(secret, sizeof secret), PLACEHOLDER, &in, &b, &out,
				      &attached),
			 ERR_HEAD_TOO_LARGE);
}

static void hosts_are_the_credentials_own(void **state)
{
	(void)state;
	struct policy_credential c = header_credential();

	assert_true(credential_allowed_host(&c, STR("api.example.com")));
	assert_true(credential_allowed_host(&c, STR("a.example.org")));
	assert_false(credential_allowed_host(&c, STR("example.org")));
	assert_false(credential_allowed_host(&c, STR("api.example.com.evil.test")));
	assert_false(credential_allowed_host(&c, STR("API.example.com")));
	c.host_count = 0;
	assert_false(credential_allowed_host(&c, STR("api.example.com")));
}

static void placeholders_are_random_and_plain(void **state)
{
	(void)state;
	struct policy_credential c = placeholder_credential();
	auto_buf one = BUF_EMPTY, two = BUF_EMPTY;

	c.placeholder_prefix = STR("sk-ant-");
	buf_init(&one, CREDENTIAL_PLACEHOLDER_MAX);
	buf_init(&two, CREDENTIAL_PLACEHOLDER_MAX);
	assert_int_equal(credential_placeholder(&c, &one), ERR_OK);
	assert_int_equal(credential_placeholder(&c, &two), ERR_OK);
	assert_int_equal(one.len, 7 + CREDENTIAL_PLACEHOLDER_RANDOM);
	assert_true(str_starts(buf_str(&one), STR("sk-ant-")));
	assert_false(str_eq(buf_str(&one), buf_str(&two)));
	for (size_t i = 7; i < one.len; i++)
		assert_true(ascii_alpha(one.p[i]) || ascii_digit(one.p[i]));
	c.placeholder = STR("fixed-one");
	buf_clear(&one);
	assert_int_equal(credential_placeholder(&c, &one), ERR_OK);
	assert_true(str_eq(buf_str(&one), STR("fixed-one")));
	c.placeholder = STR("short");
	assert_int_equal(credential_placeholder(&c, &one), ERR_INPUT);
	c.placeholder = STR("with a space in it");
	assert_int_equal(credential_placeholder(&c, &one), ERR_INPUT);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(header_replaces_what_the_agent_sent),
		cmocka_unit_test(placeholder_is_substituted_where_it_stands_whole),
		cmocka_unit_test(placeholder_stays_where_the_policy_does_not_put_it),
		cmocka_unit_test(a_secret_that_is_no_field_value_is_refused),
		cmocka_unit_test(substitution_is_bounded),
		cmocka_unit_test(hosts_are_the_credentials_own),
		cmocka_unit_test(placeholders_are_random_and_plain),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
