/* render_test.c - files that tools insist on: shapes, and what is in them (their real tools: tests/system) */
#include "credential/render.h"

#include "credential/keeper_login.h"
#include "credential/keeper_ops.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

static struct buf out, placeholder, second, id;
static const char *problem;

static int set_up(void **state)
{
	(void)state;
	buf_init(&out, RENDER_FILE_MAX);
	buf_init(&placeholder, RENDER_PLACEHOLDER_MAX);
	buf_init(&second, RENDER_PLACEHOLDER_MAX);
	buf_init(&id, RENDER_PLACEHOLDER_MAX);
	problem = NULL;
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	buf_free(&out);
	buf_free(&placeholder);
	buf_free(&second);
	buf_free(&id);
	return 0;
}

static const struct str hosts[] = { STR_INIT("*.example.com"), STR_INIT("api.github.com"),
				    STR_INIT("github.com") };
static const struct keeper_public nothing;

static void file_is(enum policy_render kind, struct policy_credential *c, const char *user,
		    const char *wanted)
{
	const struct policy_file file = { .kind = kind, .path = STR("~/x"), .user = str_of(user) };
	const struct render_item item = {
		.credential = c, .file = &file, .about = &nothing, .placeholder = STR("PLACEHOLDER"),
		.second = STR("SECOND"),
	};

	if (!c->host_count) {
		c->hosts = hosts;
		c->host_count = 3;
	}
	buf_clear(&out);
	assert_int_equal(render_file(&item, 1, &out, &problem), ERR_OK);
	if (!str_eq(buf_str(&out), str_of(wanted)))
		fail_msg("%.*s", STR_FMT(buf_str(&out)));
}

static void each_kind_has_its_form(void **state)
{
	(void)state;
	static const struct str regions[] = { STR_INIT("eu-west-1") }, hub[] = { STR_INIT("auth.docker.io"),
		STR_INIT("registry-1.docker.io"), STR_INIT("ghcr.io") };
	struct policy_credential c = { .name = STR("cred") }, d = { .hosts = hub, .host_count = 3 };

	file_is(POLICY_RENDER_NETRC, &c, "",
		"machine api.github.com\n  login x-access-token\n  password PLACEHOLDER\n"
		"machine github.com\n  login x-access-token\n  password PLACEHOLDER\n");
	file_is(POLICY_RENDER_NPMRC, &c, "",
		"//api.github.com/:_authToken=PLACEHOLDER\n//github.com/:_authToken=PLACEHOLDER\n");
	file_is(POLICY_RENDER_GH, &c, "me",
		"github.com:\n    oauth_token: \"PLACEHOLDER\"\n    user: \"me\"\n"
		"    git_protocol: https\n");
	file_is(POLICY_RENDER_DOCKER, &d, "u",
		"{\n\t\"auths\": {\n\t\t\"https://index.docker.io/v1/\": {\n\t\t\t\"auth\": "
		"\"dTpQTEFDRUhPTERFUg==\"\n\t\t},\n\t\t\"ghcr.io\": {\n\t\t\t\"auth\": "
		"\"dTpQTEFDRUhPTERFUg==\"\n\t\t}\n\t}\n}\n");
	file_is(POLICY_RENDER_KUBECONFIG, &c, "me",
		"apiVersion: v1\nkind: Config\nclusters:\n- name: paddock\n  cluster:\n    server: \"https://api.github.com\"\n"
		"users:\n- name: \"me\"\n  user:\n    token: \"PLACEHOLDER\"\ncontexts:\n- name: paddock\n  context:\n"
		"    cluster: paddock\n    user: \"me\"\ncurrent-context: paddock\n");
	file_is(POLICY_RENDER_AWS, &c, "",
		"[default]\naws_access_key_id = PLACEHOLDER\naws_secret_access_key = SECOND\n");
	c.aws_profile = STR("work");
	c.aws_regions = regions;
	c.aws_region_count = 1;
	file_is(POLICY_RENDER_AWS, &c, "",
		"[work]\naws_access_key_id = PLACEHOLDER\naws_secret_access_key = SECOND\n"
		"region = eu-west-1\n");
}

static void two_credentials_share_a_file(void **state)
{
	(void)state;
	static const struct str one[] = { STR_INIT("a.test") }, two[] = { STR_INIT("b.test") };
	const struct policy_credential a = { .name = STR("first"), .hosts = one, .host_count = 1 };
	const struct policy_credential b = { .name = STR("second"), .hosts = two, .host_count = 1 };
	struct policy_file file = { .kind = POLICY_RENDER_NETRC, .path = STR("~/x"), .user = STR("") };
	struct render_item items[] = {
		{ .credential = &a, .file = &file, .about = &nothing, .placeholder = STR("P1") },
		{ .credential = &b, .file = &file, .about = &nothing, .placeholder = STR("P2") },
	};

	assert_int_equal(render_file(items, 2, &out, &problem), ERR_OK);
	assert_non_null(memmem(out.p, out.len, "machine b.test\n  login x-access-token\n  password P2", 49));
	buf_clear(&out);
	file.kind = POLICY_RENDER_AWS;
	assert_int_equal(render_file(items, 2, &out, &problem), ERR_OK);
	assert_non_null(memmem(out.p, out.len, "[default]", 9));
	assert_non_null(memmem(out.p, out.len, "[second]", 8));
}

static void patterns_alone_name_no_host(void **state)
{
	(void)state;
	static const enum policy_render kinds[] = { POLICY_RENDER_NETRC, POLICY_RENDER_NPMRC,
						    POLICY_RENDER_GH, POLICY_RENDER_DOCKER,
						    POLICY_RENDER_KUBECONFIG };
	const struct policy_credential c = { .hosts = hosts, .host_count = 1 };

	for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
		const struct policy_file file = { .kind = kinds[i], .path = STR("~/x"), .user = STR("") };
		const struct render_item item = { .credential = &c, .file = &file, .about = &nothing,
						  .placeholder = STR("P") };

		assert_int_equal(render_file(&item, 1, &out, &problem), ERR_INPUT);
		assert_non_null(problem);
	}
}

/* ---- what the agents' own parsers look for: ours is as strict ---- */

static void render_login_of(enum policy_login login, const struct keeper_public *about, enum keeper_use use,
			    struct keeper_login_file *ret)
{
	const struct policy_credential c = { .strategy = POLICY_STRATEGY_LOGIN, .login = login };
	const struct policy_file file = { .kind = login == POLICY_LOGIN_CODEX ? POLICY_RENDER_CODEX
									      : POLICY_RENDER_CLAUDE,
					  .path = STR("~/x") };
	struct render_item item = { .credential = &c, .file = &file, .about = about };
	const char *reason;

	assert_int_equal(render_placeholders(&c, about, &placeholder, &second, &id), ERR_OK);
	item.placeholder = buf_str(&placeholder);
	item.second = buf_str(&second);
	item.id = buf_str(&id);
	assert_int_equal(render_file(&item, 1, &out, &problem), ERR_OK);
	assert_int_equal(keeper_login_parse(use, buf_str(&out), ret, &reason), ERR_OK);
	assert_true(str_eq(ret->login.access, item.placeholder));
	assert_true(str_eq(ret->login.refresh, item.second));
	assert_true(str_eq(ret->login.id_token, item.id));
	assert_true(ret->login.expires_ms.n == 13);
}

static void a_claude_login_has_its_shape(void **state)
{
	(void)state;
	const struct keeper_public about = { .scopes = STR("user:inference org:x"),
					     .subscription = STR("max") };
	struct keeper_login_file f;

	render_login_of(POLICY_LOGIN_CLAUDE, &about, KEEPER_USE_CLAUDE, &f);
	assert_true(str_starts(f.login.access, STR("sk-ant-oat01-")));
	assert_true(str_starts(f.login.refresh, STR("sk-ant-ort01-")));
	assert_true(str_eq(f.login.scopes, about.scopes));
	assert_true(str_eq(f.login.subscription, about.subscription));
	keeper_login_close(&f);
}

static void a_codex_login_shows_the_claims_of_the_real_one(void **state)
{
	(void)state;
	const struct keeper_public about = { .account_id = STR("acc"),
					     .id_claims = STR("{\"email\":\"me@x.test\"}") };
	auto_buf claims = BUF_EMPTY;
	struct keeper_login_file f;

	render_login_of(POLICY_LOGIN_CODEX, &about, KEEPER_USE_CODEX, &f);
	buf_init(&claims, 1024);
	assert_int_equal(keeper_login_claims(f.login.id_token, &claims), ERR_OK);
	assert_true(str_eq(buf_str(&claims), about.id_claims));
	assert_true(str_eq(f.login.account_id, STR("acc")));
	assert_non_null(memmem(out.p, out.len, "\"OPENAI_API_KEY\": null", 22));
	keeper_login_close(&f);
	/* of nobody that is known */
	buf_clear(&out);
	buf_clear(&placeholder);
	buf_clear(&second);
	buf_clear(&id);
	render_login_of(POLICY_LOGIN_CODEX, &nothing, KEEPER_USE_CODEX, &f);
	keeper_login_close(&f);
}

static void a_service_account_has_a_key_of_its_own(void **state)
{
	(void)state;
	const struct policy_token token = { .grant = POLICY_GRANT_JWT_BEARER, .host = STR("t.test"),
					    .path = STR("/tok"),
					    .port = 8443, .scheme = HEAD_HTTPS };
	const struct policy_credential c = { .strategy = POLICY_STRATEGY_TOKEN, .token = &token };
	const struct policy_file file = { .kind = POLICY_RENDER_SERVICE_ACCOUNT, .path = STR("~/x") };
	const struct keeper_public about = { .client_email = STR("me@p.test"), .project_id = STR("p"),
					     .private_key_id = STR("kid"),
					     .token_uri = STR("https://oauth2.test/token") };
	struct render_item item = { .credential = &c, .file = &file, .about = &about,
				    .placeholder = STR("P") };
	const struct keeper_credential k = { .use = KEEPER_USE_JWT };
	auto_buf answer = BUF_EMPTY;
	struct str f[5];
	const char *reason;

	buf_init_secret(&answer, KEEPER_DATA_MAX);
	assert_int_equal(render_file(&item, 1, &out, &problem), ERR_OK);
	assert_int_equal(keeper_op_account(&k, buf_str(&out), &answer, &reason), ERR_OK);
	assert_true(keeper_fields(buf_str(&answer), f, 5));
	assert_true(str_eq(f[0], STR("RS256")) && str_eq(f[1], about.client_email) &&
		    str_eq(f[2], about.private_key_id));
	assert_true(str_eq(f[3], STR("https://t.test:8443/tok")) && str_eq(f[4], about.project_id));
}

static void placeholders_have_the_shape_of_what_they_stand_for(void **state)
{
	(void)state;
	const struct policy_credential aws = { .strategy = POLICY_STRATEGY_SIGV4 };
	const struct policy_credential own = { .strategy = POLICY_STRATEGY_SIGV4,
					       .placeholder_prefix = STR("AKIAX") };
	const struct policy_credential plain = { .strategy = POLICY_STRATEGY_HEADER,
						 .placeholder_prefix = STR("ghp_") };

	assert_int_equal(render_placeholders(&aws, &nothing, &placeholder, &second, &id), ERR_OK);
	assert_true(placeholder.len == 20 && str_starts(buf_str(&placeholder), STR("AKIA")) &&
		    second.len == 40);
	buf_clear(&placeholder);
	assert_int_equal(render_placeholders(&own, &nothing, &placeholder, &second, &id), ERR_OK);
	assert_true(str_starts(buf_str(&placeholder), STR("AKIAX")));
	buf_clear(&placeholder);
	buf_clear(&second);
	assert_int_equal(render_placeholders(&plain, &nothing, &placeholder, &second, &id), ERR_OK);
	assert_true(str_starts(buf_str(&placeholder), STR("ghp_")) && second.len == 0 && id.len == 0);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		T(each_kind_has_its_form), T(two_credentials_share_a_file), T(patterns_alone_name_no_host),
		T(a_claude_login_has_its_shape), T(a_codex_login_shows_the_claims_of_the_real_one),
		T(a_service_account_has_a_key_of_its_own),
		T(placeholders_have_the_shape_of_what_they_stand_for),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
