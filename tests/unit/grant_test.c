/* grant_test.c - what is asked of a token endpoint, and what it may answer */
#include "credential/grant.h"

#include "base/clock.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

static void forms_and_client_authentication(void **state)
{
	(void)state;
	static const struct {
		struct policy_token t;
		struct grant_material m;
		const char *body, *authorization;
	} cases[] = {
		{ { .grant = POLICY_GRANT_CLIENT_CREDENTIALS, .client_id = STR_INIT("me"),
		    .client_basic = true,
		    .scope = STR_INIT("read write"), .audience = STR_INIT("https://a/b") },
		  { .source = STR_INIT("s+cr&t=%") },
		  "grant_type=client_credentials&scope=read%20write&audience=https%3A%2F%2Fa%2Fb",
		  "Basic bWU6cyUyQmNyJTI2dCUzRCUyNQ==" },
		{ { .grant = POLICY_GRANT_CLIENT_CREDENTIALS, .client_id = STR_INIT("me") },
		  { .source = STR_INIT("s&t") },
		  "grant_type=client_credentials&client_id=me&client_secret=s%26t", "" },
		{ { .grant = POLICY_GRANT_REFRESH_TOKEN, .client_id = STR_INIT("me"), .client_basic = true },
		  { .source = STR_INIT("refresh") },
		  "grant_type=refresh_token&refresh_token=refresh&client_id=me", "" },
		{ { .grant = POLICY_GRANT_REFRESH_TOKEN, .client_id = STR_INIT("me"), .client_basic = true },
		  { .source = STR_INIT("refresh"), .client_secret = STR_INIT("x") },
		  "grant_type=refresh_token&refresh_token=refresh", "Basic bWU6eA==" },
		{ { .grant = POLICY_GRANT_TOKEN_EXCHANGE, .subject_token_type = STR_INIT("urn:x"),
		    .resource = STR_INIT("r") },
		  { .source = STR_INIT("subject"), .actor_token = STR_INIT("actor") },
		  "grant_type=urn%3Aietf%3Aparams%3Aoauth%3Agrant-type%3Atoken-exchange&subject_token=subject&"
		  "subject_token_type=urn%3Ax&actor_token=actor&"
		  "actor_token_type=urn%3Aietf%3Aparams%3Aoauth%3Atoken-type%3Aaccess_token&resource=r", "" },
		{ { .grant = POLICY_GRANT_JWT_BEARER, .scope = STR_INIT("in the claims") },
		  { .assertion = STR_INIT("a.b.c") },
		  "grant_type=urn%3Aietf%3Aparams%3Aoauth%3Agrant-type%3Ajwt-bearer&assertion=a.b.c", "" },
		{ { .grant = POLICY_GRANT_GITHUB_APP }, { .assertion = STR_INIT("a.b.c") }, "",
		  "Bearer a.b.c" },
	};

	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		auto_buf body = BUF_EMPTY, authorization = BUF_EMPTY;

		buf_init_secret(&body, GRANT_BODY_MAX);
		buf_init_secret(&authorization, GRANT_BODY_MAX);
		assert_int_equal(grant_body(&cases[i].t, &cases[i].m, &body), ERR_OK);
		assert_int_equal(grant_authorization(&cases[i].t, &cases[i].m, &authorization), ERR_OK);
		if (!str_eq(buf_str(&body), str_of(cases[i].body)) ||
		    !str_eq(buf_str(&authorization), str_of(cases[i].authorization)))
			fail_msg("case %zu: %.*s | %.*s", i, STR_FMT(buf_str(&body)),
				 STR_FMT(buf_str(&authorization)));
	}
}

static void claims_are(const struct policy_token *t, const struct grant_account *a, const char *header,
		       const char *claims)
{
	auto_buf text = BUF_EMPTY, wanted = BUF_EMPTY;

	buf_init(&text, 8192);
	buf_init(&wanted, 8192);
	assert_int_equal(grant_claims(t, a, STR("https://id.test/token"), 1000000, &text), ERR_OK);
	buf_put_base64url(&wanted, str_of(header));
	buf_put_byte(&wanted, '.');
	buf_put_base64url(&wanted, str_of(claims));
	assert_true(str_eq(buf_str(&text), buf_str(&wanted)));
}

static void assertions(void **state)
{
	(void)state;
	struct policy_token t = { .grant = POLICY_GRANT_JWT_BEARER, .scope = STR("a b") };
	struct grant_account service = { .algorithm = STR("RS256"), .email = STR("s@p.test"),
					 .key_id = STR("k1") };
	struct grant_account plain = { .algorithm = STR("ES256") };
	auto_buf text = BUF_EMPTY;

	claims_are(&t, &service, "{\"alg\":\"RS256\",\"kid\":\"k1\",\"typ\":\"JWT\"}",
		   "{\"aud\":\"https://id.test/"
		   "token\",\"exp\":1003600,\"iat\":1000000,\"iss\":\"s@p.test\",\"scope\":\"a b\"}");
	t.subject = STR("ann@p.test");
	claims_are(&t, &service, "{\"alg\":\"RS256\",\"kid\":\"k1\",\"typ\":\"JWT\"}",
		   "{\"aud\":\"https://id.test/"
		   "token\",\"exp\":1003600,\"iat\":1000000,\"iss\":\"s@p.test\",\"scope\":\"a b\","
		   "\"sub\":\"ann@p.test\"}");
	t = (struct policy_token){ .grant = POLICY_GRANT_JWT_BEARER, .issuer = STR("me"), .key_id = STR("k2"),
				   .audience = STR("aud") };
	claims_are(&t, &plain, "{\"alg\":\"ES256\",\"kid\":\"k2\",\"typ\":\"JWT\"}",
		   "{\"aud\":\"aud\",\"exp\":1003600,\"iat\":1000000,\"iss\":\"me\",\"sub\":\"me\"}");
	t = (struct policy_token){ .grant = POLICY_GRANT_GITHUB_APP, .app_id = STR("42") };
	claims_are(&t, &(struct grant_account){ .algorithm = STR("RS256") },
		  "{\"alg\":\"RS256\",\"typ\":\"JWT\"}", "{\"exp\":1000540,\"iat\":999940,\"iss\":\"42\"}");
	t = (struct policy_token){ .grant = POLICY_GRANT_JWT_BEARER };
	buf_init(&text, 4096);
	assert_int_equal(grant_claims(&t, &plain, STR("x"), 1, &text), ERR_INPUT);
}

#define TOKEN "0123456789abcdef"

static void answers(void **state)
{
	(void)state;
	static const struct { const char *body; bool github; enum err e; uint64_t expires_s; const char *refresh; } cases[] = {
		{ "{\"access_token\":\"" TOKEN "\",\"expires_in\":3600,\"refresh_token\":\"r" TOKEN "\"}",
		  false, ERR_OK, 3600,
		  "r" TOKEN },
		{ "{\"access_token\":\"" TOKEN "\"}", false, ERR_OK, GRANT_EXPIRES_DEFAULT_S, "" },
		{ "{\"access_token\":\"" TOKEN "\",\"expires_in\":\"120\"}", false, ERR_OK, 120, "" },
		{ "{\"access_token\":\"" TOKEN "\",\"expires_in\":3599.7}", false, ERR_OK, 3599, "" },
		{ "{\"access_token\":\"" TOKEN "\",\"expires_in\":-1}", false, ERR_OK,
		  GRANT_EXPIRES_DEFAULT_S, "" },
		{ "{\"access_token\":\"" TOKEN "\",\"expires_in\":1e300}", false, ERR_OK, 366ull * 86400,
		  "" },
		{ "{\"access_token\":\"" TOKEN "\",\"expires_in\":0}", false, ERR_OK, 0, "" },
		{ "{\"token\":\"ghs_" TOKEN "\",\"expires_at\":\"1970-01-12T14:46:40Z\"}", true, ERR_OK, 3600,
		  "" },
		{ "{\"token\":\"ghs_" TOKEN "\",\"expires_at\":\"soon\"}", true, ERR_OK,
		  GRANT_EXPIRES_DEFAULT_S, "" },
		{ "{\"access_token\":\"" TOKEN "\",\"access_token\":\"" TOKEN "\"}", false,
		  ERR_UPSTREAM_MALFORMED, 0, "" },
		{ "{\"access_token\":\"short\"}", false, ERR_UPSTREAM_MALFORMED, 0, "" },
		{ "{\"access_token\":\"" TOKEN "\\r\\nx: y\"}", false, ERR_UPSTREAM_MALFORMED, 0, "" },
		{ "{\"access_token\":\"" TOKEN " \"}", false, ERR_UPSTREAM_MALFORMED, 0, "" },
		{ "{\"access_token\":\"" TOKEN "\",\"refresh_token\":\"a b\"}", false, ERR_UPSTREAM_MALFORMED,
		  0, "" },
		{ "{\"access_token\":1}", false, ERR_UPSTREAM_MALFORMED, 0, "" },
		{ "[\"" TOKEN "\"]", false, ERR_UPSTREAM_MALFORMED, 0, "" },
		{ "<html>" TOKEN "</html>", false, ERR_UPSTREAM_MALFORMED, 0, "" },
		{ "", false, ERR_UPSTREAM_MALFORMED, 0, "" },
		{ "{\"access_token\":\"" TOKEN "\"} trailing", false, ERR_UPSTREAM_MALFORMED, 0, "" },
		{ "{\"access_token\":\"" TOKEN "\\u0000\"}", false, ERR_UPSTREAM_MALFORMED, 0, "" },
	};

	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct grant_answer a;
		enum err e = grant_parse(str_of(cases[i].body), cases[i].github, 1000000, &a);

		if (e != cases[i].e)
			fail_msg("case %zu: %s", i, err_name(e));
		if (e != ERR_OK)
			continue;
		assert_int_equal(a.expires_s, cases[i].expires_s);
		assert_true(str_eq(a.refresh, str_of(cases[i].refresh)));
		assert_true(str_ends(a.access, STR(TOKEN)));
		grant_answer_free(&a);
	}
}

static void nothing_but_a_code_is_taken_of_a_failure(void **state)
{
	(void)state;
	static const struct { const char *body, *code; } cases[] = {
		{ "{\"error\":\"invalid_client\",\"error_description\":\"no\"}", "invalid_client" },
		{ "{\"error\":{\"type\":\"authentication_error\"}}", "authentication_error" },
		{ "{\"error\":\"Invalid\"}", "" }, { "{\"error\":\"a b\"}", "" },
		{ "{\"error\":\"x\\ny\"}", "" },
		{ "{\"error\":\"<b>\"}", "" },
		{ "{\"error\":\"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\"}", "" },
		{ "{\"error\":1}", "" }, { "not found", "" }, { "", "" }, { "{}", "" },
	};

	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		char code[GRANT_ERROR_MAX + 1];

		grant_error(str_of(cases[i].body), code);
		assert_string_equal(code, cases[i].code);
	}
}

static void logins(void **state)
{
	(void)state;
	auto_buf claude = BUF_EMPTY, codex = BUF_EMPTY;
	size_t count;

	buf_init_secret(&claude, 4096);
	buf_init_secret(&codex, 4096);
	assert_int_equal(grant_login_body(POLICY_LOGIN_CLAUDE, STR("r\"t"), &claude), ERR_OK);
	assert_true(str_eq(buf_str(&claude), STR("{\"grant_type\":\"refresh_token\",\"client_id\":"
		"\"9d1c250a-e61b-44d9-88ed-5944d1962f5e\",\"refresh_token\":\"r\\\"t\"}")));
	assert_int_equal(grant_login_body(POLICY_LOGIN_CODEX, STR("rt"), &codex), ERR_OK);
	assert_non_null(memmem(codex.p, codex.len, "app_EMoamEEZ73f0CkXaXp7hrann", 28));
	assert_true(str_eq(grant_login_hosts(POLICY_LOGIN_CODEX, &count)[0], STR("auth.openai.com")));
	assert_int_equal(count, 1);
	assert_true(str_eq(grant_login_path(POLICY_LOGIN_CLAUDE), STR("/v1/oauth/token")));
}

static void dates(void **state)
{
	(void)state;
	assert_int_equal(clock_civil_s(1970, 1, 1, 0, 0, 0), 0);
	assert_int_equal(clock_civil_s(2000, 2, 29, 0, 0, 0), 951782400);
	assert_int_equal(clock_civil_s(2000, 3, 1, 0, 0, 0), 951868800);
	assert_int_equal(clock_civil_s(2015, 8, 30, 12, 36, 0), 1440938160);
	assert_int_equal(clock_civil_s(2100, 3, 1, 0, 0, 0), 4107542400);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(forms_and_client_authentication), cmocka_unit_test(assertions),
		cmocka_unit_test(answers), cmocka_unit_test(nothing_but_a_code_is_taken_of_a_failure),
		cmocka_unit_test(logins), cmocka_unit_test(dates),
	};

	grant_wipe_json();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
