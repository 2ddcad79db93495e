/* attach_test.c - placeholders in query, path, bodies
 * and messages; credentials that the agent brings itself */
#include "credential/attach.h"

#include "base/secret.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#define PH "pk-PLACEHOLDER0123456789"
#define PLACEHOLDER STR(PH)
#define SECRET STR("s/e?c&r=t\"k\\e y:@%")	/* what each coding has to escape */
#define FORM "s%2Fe%3Fc%26r%3Dt%22k%5Ce%20y%3A%40%25"
#define IN_PATH "s%2Fe%3Fc%26r%3Dt%22k%5Ce%20y:@%25"
#define IN_JSON "s/e?c&r=t\\\"k\\\\e y:@%"

static struct policy_credential credential(unsigned parts)
{
	return (struct policy_credential){ .name = STR("c"), .strategy = POLICY_STRATEGY_PLACEHOLDER,
					   .parts = parts, .scrub = true };
}

static struct policy_credential header(const char *name, const char *format)
{
	return (struct policy_credential){ .name = STR("c"), .strategy = POLICY_STRATEGY_HEADER,
					   .scrub = true,
					   .header_name = str_of(name), .header_format = str_of(format) };
}

static struct head request(const char *path, const char *query)
{
	struct head h = { .kind = HEAD_REQUEST, .scheme = HEAD_HTTPS, .port = 443, .method = STR("GET"),
			  .host = STR("api.test"), .path = str_of(path), .has_query = query != NULL,
			  .query = str_of(query) };

	assert_int_equal(head_add(&h, STR("host"), STR("api.test")), ERR_OK);
	assert_int_equal(head_check(&h), ERR_OK);
	return h;
}

static enum err apply(const struct policy_credential *c, struct str secret, const struct head *in,
		      struct buf *b, struct head *out, bool *attached)
{
	buf_init_secret(b, ATTACH_BYTES_MAX);
	enum err e = attach_apply(c, secret, PLACEHOLDER, in, b, out, attached);

	if (e == ERR_OK)
		assert_int_equal(head_check(out), ERR_OK);
	return e;
}

/* As git wants a token over HTTPS: the agent's own Basic, of a placeholder, is replaced whole. */
static void a_header_with_a_user_is_basic(void **state)
{
	(void)state;
	struct policy_credential c = header("authorization", "Basic {secret}");
	struct head in = request("/", NULL), out;
	const struct head_field *f;
	auto_buf b = BUF_EMPTY, plain = BUF_EMPTY;
	bool attached;

	c.header_user = STR("x-access-token");
	assert_int_equal(head_add(&in, STR("authorization"), STR("Basic eDp5")), ERR_OK);
	assert_int_equal(apply(&c, SECRET, &in, &b, &out, &attached), ERR_OK);
	f = head_find(&out, STR("authorization"));
	assert_true(attached && f && str_starts(f->value, STR("Basic ")));
	buf_init(&plain, 1024);
	assert_int_equal(base64_decode(&plain, str_from(f->value, 6)), ERR_OK);
	assert_true(str_starts(buf_str(&plain), STR("x-access-token:")));
	assert_true(str_eq(str_from(buf_str(&plain), 15), SECRET));
}

static void a_query_takes_the_secret_as_one_value(void **state)
{
	(void)state;
	static const struct { const char *query, *wanted; } cases[] = {
		{ "key=" PH, "key=" FORM },
		{ "a=b&key=" PH "&c=d", "a=b&key=" FORM "&c=d" },
		{ PH, FORM },
		{ "sig=x-" PH "-y", "sig=x-" FORM "-y" },
		{ "key=" PH "0", NULL },
		{ "key=x" PH, NULL },
		{ "key=%41" PH, NULL },		/* a digit before it: who knows */
		{ "key=" PH "&key=" PH, "key=" FORM "&key=" FORM },
		{ "key=", NULL },
	};

	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct policy_credential c = credential(POLICY_IN_QUERY);
		struct head in = request("/" PH, cases[i].query), out;
		auto_buf b = BUF_EMPTY;
		bool attached;

		assert_int_equal(apply(&c, SECRET, &in, &b, &out, &attached), ERR_OK);
		assert_int_equal(attached, cases[i].wanted != NULL);
		assert_true(str_eq(out.query, str_of(cases[i].wanted ? cases[i].wanted : cases[i].query)));
		assert_true(str_eq(out.path, STR("/" PH)));
	}
}

static void a_path_takes_the_secret_as_one_segment(void **state)
{
	(void)state;
	static const struct { const char *path, *wanted; } cases[] = {
		{ "/bot" PH "/sendMessage", "/bot" IN_PATH "/sendMessage" },
		{ "/" PH, "/" IN_PATH },
		{ "/a/" PH "/b", "/a/" IN_PATH "/b" },
		{ "/a;k=" PH "/b", "/a;k=" IN_PATH "/b" },
		{ "/bot1" PH "/x", NULL },
		{ "/a.b" PH, NULL },
		{ "/" PH "x/y", NULL },
		{ "/none", NULL },
	};

	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct policy_credential c = credential(POLICY_IN_PATH);
		struct head in = request(cases[i].path, "k=" PH), out;
		auto_buf b = BUF_EMPTY;
		bool attached;

		assert_int_equal(apply(&c, SECRET, &in, &b, &out, &attached), ERR_OK);
		assert_int_equal(attached, cases[i].wanted != NULL);
		assert_true(str_eq(out.path, str_of(cases[i].wanted ? cases[i].wanted : cases[i].path)));
		assert_true(str_eq(out.query, STR("k=" PH)));
	}
}

static void a_secret_cannot_walk_the_path(void **state)
{
	(void)state;
	static const char *const secrets[] = { "..", ".", "../admin", "x/../../admin", "a/..", "..\\admin" };
	struct policy_credential c = credential(POLICY_IN_PATH);
	struct head in = request("/v1/" PH "/x", NULL), out;

	for (size_t i = 0; i < sizeof secrets / sizeof *secrets; i++) {
		auto_buf b = BUF_EMPTY;
		bool attached;

		assert_int_equal(apply(&c, str_of(secrets[i]), &in, &b, &out, &attached), ERR_CREDENTIAL);
	}
}

static void no_secret_ends_a_field_a_line_or_a_head(void **state)
{
	(void)state;
	static const char *const secrets[] = { "a\r\nx: y", "a\nb", "a\rb", " a", "a ", "a\tb\n", "",
					       "\x7f" };
	static const unsigned parts[] = { POLICY_IN_HEADER, POLICY_IN_BASIC, POLICY_IN_QUERY,
					  POLICY_IN_PATH };

	for (size_t i = 0; i < sizeof secrets / sizeof *secrets; i++)
		for (size_t k = 0; k < sizeof parts / sizeof *parts; k++) {
			struct policy_credential c = credential(parts[k]);
			struct head in = request("/" PH, "k=" PH), out;
			auto_buf b = BUF_EMPTY;
			bool attached;

			assert_int_equal(head_add(&in, STR("x-key"), PLACEHOLDER), ERR_OK);
			assert_int_equal(apply(&c, str_of(secrets[i]), &in, &b, &out, &attached),
					 ERR_CREDENTIAL);
		}
}

static void only_the_named_fields_carry_it(void **state)
{
	(void)state;
	static const struct str fields[] = { STR_INIT("private-token"), STR_INIT("referer"),
					     STR_INIT("host") };
	struct policy_credential c = credential(POLICY_IN_HEADER);
	struct head in = request("/", NULL), out;
	auto_buf b = BUF_EMPTY;
	bool attached;

	c.placeholder_field_count = 3;
	c.placeholder_fields = fields;
	assert_int_equal(head_add(&in, STR("private-token"), PLACEHOLDER), ERR_OK);
	assert_int_equal(head_add(&in, STR("authorization"), STR("Bearer " PH)), ERR_OK);
	assert_int_equal(head_add(&in, STR("referer"), STR("/" PH)), ERR_OK);
	assert_int_equal(apply(&c, STR("real-secret-0123456789"), &in, &b, &out, &attached), ERR_OK);
	assert_true(attached);
	assert_true(str_eq(head_find(&out, STR("private-token"))->value, STR("real-secret-0123456789")));
	assert_true(str_eq(head_find(&out, STR("authorization"))->value, STR("Bearer " PH)));
	assert_true(str_eq(head_find(&out, STR("referer"))->value, STR("/real-secret-0123456789")));
	assert_true(str_eq(head_find(&out, STR("host"))->value, STR("api.test")));
}

static enum attach_body kind(unsigned parts, const char *type, const char *second, const char *encoding)
{
	struct policy_credential c = credential(parts);
	struct head h = request("/", NULL);

	h.framing = HEAD_BODY_STREAMED;
	if (type)
		assert_int_equal(head_add(&h, STR("content-type"), str_of(type)), ERR_OK);
	if (second)
		assert_int_equal(head_add(&h, STR("content-type"), str_of(second)), ERR_OK);
	if (encoding)
		assert_int_equal(head_add(&h, STR("content-encoding"), str_of(encoding)), ERR_OK);
	return attach_body_kind(&c, &h);
}

static void bodies_are_told_apart_by_their_type(void **state)
{
	(void)state;
	const unsigned in = POLICY_IN_BODY;

	assert_int_equal(kind(in, "application/json", NULL, NULL), ATTACH_BODY_JSON);
	assert_int_equal(kind(in, "Application/JSON; charset=utf-8", NULL, NULL), ATTACH_BODY_JSON);
	assert_int_equal(kind(in, "application/vnd.api+json", NULL, NULL), ATTACH_BODY_JSON);
	assert_int_equal(kind(in, "application/x-www-form-urlencoded ;a=b", NULL, NULL), ATTACH_BODY_FORM);
	assert_int_equal(kind(in, "application/jsonp", NULL, NULL), ATTACH_BODY_NOT);
	assert_int_equal(kind(in, "text/plain; application/json", NULL, NULL), ATTACH_BODY_NOT);
	assert_int_equal(kind(in, "multipart/form-data; boundary=x", NULL, NULL), ATTACH_BODY_NOT);
	assert_int_equal(kind(in, "application/json", "text/plain", NULL), ATTACH_BODY_NOT);
	assert_int_equal(kind(in, "application/json", NULL, "gzip"), ATTACH_BODY_NOT);
	assert_int_equal(kind(in, NULL, NULL, NULL), ATTACH_BODY_NOT);
	assert_int_equal(kind(POLICY_IN_HEADER, "application/json", NULL, NULL), ATTACH_BODY_NOT);
}

static void text_is_escaped_as_its_kind_has_it(void **state)
{
	(void)state;
	static const struct { enum attach_body kind; const char *text, *wanted; } cases[] = {
		{ ATTACH_BODY_JSON, "{\"k\":\"" PH "\"}", "{\"k\":\"" IN_JSON "\"}" },
		{ ATTACH_BODY_JSON, "{\"k\":\"a" PH "\"}", NULL },
		{ ATTACH_BODY_JSON, "{\"k\":\"\\u0070k-PLACEHOLDER0123456789\"}", NULL },
		{ ATTACH_BODY_JSON, "\"" PH " " PH "\"", "\"" IN_JSON " " IN_JSON "\"" },
		{ ATTACH_BODY_FORM, "a=1&k=" PH "&b=2", "a=1&k=" FORM "&b=2" },
		{ ATTACH_BODY_FORM, "k=" PH "2", NULL },
		{ ATTACH_BODY_NOT, PH, NULL },
		{ ATTACH_BODY_JSON, "", NULL },
	};

	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		auto_buf b = BUF_EMPTY;
		bool changed = false;

		buf_init_secret(&b, 4096);
		assert_int_equal(attach_text(cases[i].kind, SECRET, PLACEHOLDER, str_of(cases[i].text), &b,
					     &changed),
				 ERR_OK);
		assert_int_equal(changed, cases[i].wanted != NULL);
		assert_true(str_eq(buf_str(&b), str_of(cases[i].wanted ? cases[i].wanted : cases[i].text)));
	}
	auto_buf b = BUF_EMPTY;
	bool changed = false;

	buf_init_secret(&b, 4096);
	assert_int_equal(attach_text(ATTACH_BODY_JSON, STR("a\tb\x01"), PLACEHOLDER, PLACEHOLDER, &b,
				     &changed), ERR_OK);
	assert_true(str_eq(buf_str(&b), STR("a\\u0009b\\u0001")));
	auto_buf small = BUF_EMPTY;

	buf_init_secret(&small, 8);
	assert_int_equal(attach_text(ATTACH_BODY_JSON, SECRET, PLACEHOLDER, PLACEHOLDER, &small, &changed),
			 ERR_LIMIT);
}

/* ---- the agent's own ---- */

static enum attach_own own_of(const struct policy_credential *c, const char *name, const char *value,
			      const char *query, const char *wanted)
{
	struct head h = request("/", query);
	auto_buf own = BUF_EMPTY;

	buf_init_secret(&own, ATTACH_OWN_MAX);
	if (name)
		assert_int_equal(head_add(&h, str_of(name), str_of(value)), ERR_OK);
	enum attach_own is = attach_own(c, PLACEHOLDER, &h, &own);

	if (wanted && !str_eq(buf_str(&own), str_of(wanted)))
		fail_msg("own: %.*s", STR_FMT(buf_str(&own)));
	return is;
}

static void where_our_header_would_stand(void **state)
{
	(void)state;
	struct policy_credential c = header("authorization", "Bearer {secret}");

	assert_int_equal(own_of(&c, NULL, NULL, NULL, ""), ATTACH_OWN_NONE);
	assert_int_equal(own_of(&c, "authorization", "Bearer " PH, NULL, ""), ATTACH_OWN_NONE);
	assert_int_equal(own_of(&c, "authorization", PH, NULL, ""), ATTACH_OWN_NONE);
	assert_int_equal(own_of(&c, "authorization", "Basic eDpway1QTEFDRUhPTERFUjAxMjM0NTY3ODk=", NULL, ""),
			 ATTACH_OWN_NONE);
	assert_int_equal(own_of(&c, "authorization", "Bearer x", NULL, "x"), ATTACH_OWN_DUMMY);
	assert_int_equal(own_of(&c, "authorization", "Bearer dummy", NULL, "dummy"), ATTACH_OWN_DUMMY);
	assert_int_equal(own_of(&c, "authorization", "none", NULL, "none"), ATTACH_OWN_DUMMY);
	assert_int_equal(own_of(&c, "authorization", "Bearer xxxxxxxxxxxxxxxxxxxxxxxxxxxx", NULL, NULL),
			 ATTACH_OWN_DUMMY);
	assert_int_equal(own_of(&c, "authorization", "Bearer ghp_realtokenrealtoken1234", NULL,
				"ghp_realtokenrealtoken1234"), ATTACH_OWN_REAL);
	assert_int_equal(own_of(&c, "authorization", "Bearer a1b2c3d4", NULL, "a1b2c3d4"), ATTACH_OWN_REAL);
	assert_int_equal(own_of(&c, "authorization", "Basic dXNlcjpwYXNzd29yZDEyMw==", NULL, "password123"),
			 ATTACH_OWN_REAL);
}

/* A service that takes several kinds of credential would go by any of them. */
static void beside_where_our_header_would_stand(void **state)
{
	(void)state;
	static const char *const fields[] = { "authorization", "api-key", "apikey", "x-goog-api-key",
					      "private-token",
					      "x-auth-token", "x-access-token" };
	static const char *const queries[] = { "key=ghp_realtokenrealtoken1234",
					       "a=b&api_key=ghp_realtokenrealtoken1234",
					       "%61ccess%5Ftoken=ghp_realtokenrealtoken1234",
					       "API_KEY=ghp_realtokenrealtoken1234&z" };
	struct policy_credential c = header("x-api-key", "{secret}");

	for (size_t i = 0; i < sizeof fields / sizeof *fields; i++) {
		assert_int_equal(own_of(&c, fields[i], "Bearer ghp_realtokenrealtoken1234", NULL, ""),
				 ATTACH_OWN_BESIDE);
		assert_int_equal(own_of(&c, fields[i], "Basic dXNlcjpwYXNzd29yZDEyMw==", NULL, ""),
				 ATTACH_OWN_BESIDE);
		assert_int_equal(own_of(&c, fields[i], "Bearer " PH, NULL, ""), ATTACH_OWN_NONE);
		assert_int_equal(own_of(&c, fields[i], "Bearer dummy", NULL, ""), ATTACH_OWN_NONE);
	}
	assert_int_equal(own_of(&c, "x-request-id", "0123456789abcdef0123456789abcdef", NULL, ""),
			 ATTACH_OWN_NONE);
	for (size_t i = 0; i < sizeof queries / sizeof *queries; i++)
		assert_int_equal(own_of(&c, NULL, NULL, queries[i], ""), ATTACH_OWN_BESIDE);
	assert_int_equal(own_of(&c, NULL, NULL, "page=ghp_realtokenrealtoken1234", ""), ATTACH_OWN_NONE);
	assert_int_equal(own_of(&c, NULL, NULL, "keys=ghp_realtokenrealtoken1234", ""), ATTACH_OWN_NONE);
	assert_int_equal(own_of(&c, NULL, NULL, "key=1234567&token", ""), ATTACH_OWN_NONE);
	assert_int_equal(own_of(&c, NULL, NULL, "key=" PH, ""), ATTACH_OWN_NONE); /* is blocked as one */
	/* where ours is to be set whatever there is, the others go; what is in a query cannot */
	c.own = POLICY_OWN_REPLACE;
	assert_int_equal(own_of(&c, "authorization", "Bearer ghp_realtokenrealtoken1234", NULL, ""),
			 ATTACH_OWN_NONE);
	assert_int_equal(own_of(&c, NULL, NULL, queries[0], ""), ATTACH_OWN_BESIDE);
	c.strategy = POLICY_STRATEGY_LOGIN;	/* sets nothing where the agent sent nothing */
	assert_int_equal(own_of(&c, "authorization", "Bearer ghp_realtokenrealtoken1234", NULL, ""),
			 ATTACH_OWN_BESIDE);
}

/* As examples/claude.yaml has it. */
static void a_placeholder_does_not_cover_another_key(void **state)
{
	(void)state;
	static const struct str fields[] = { STR_INIT("x-api-key"), STR_INIT("authorization") };
	struct policy_credential c = credential(POLICY_IN_HEADER);
	struct head h = request("/v1/messages", NULL);
	auto_buf own = BUF_EMPTY;

	c.placeholder_field_count = 2;
	c.placeholder_fields = fields;
	assert_int_equal(own_of(&c, "authorization", "Bearer sk-ant-api03-somebodys0123", NULL,
				"sk-ant-api03-somebodys0123"), ATTACH_OWN_REAL);
	assert_int_equal(own_of(&c, "x-goog-api-key", "sk-ant-api03-somebodys0123", NULL, ""),
			 ATTACH_OWN_BESIDE);
	assert_int_equal(own_of(&c, NULL, NULL, "api_key=sk-ant-api03-somebodys0123", ""), ATTACH_OWN_BESIDE);
	buf_init_secret(&own, ATTACH_OWN_MAX);
	assert_int_equal(head_add(&h, STR("x-api-key"), PLACEHOLDER), ERR_OK);
	assert_int_equal(attach_own(&c, PLACEHOLDER, &h, &own), ATTACH_OWN_NONE);
	assert_int_equal(head_add(&h, STR("authorization"), STR("Bearer sk-ant-api03-somebodys0123")),
			 ERR_OK);
	assert_int_equal(attach_own(&c, PLACEHOLDER, &h, &own), ATTACH_OWN_BESIDE);
	assert_int_equal(own.len, 0);
	c.own = POLICY_OWN_REPLACE;		/* one of the two could be */
	assert_int_equal(attach_own(&c, PLACEHOLDER, &h, &own), ATTACH_OWN_BESIDE);
	c.own = POLICY_OWN_PASS;
	assert_int_equal(attach_own(&c, PLACEHOLDER, &h, &own), ATTACH_OWN_NONE);
}

/* A service behind a gateway that makes variables of names reads '_' as '-'; others end a parameter at ';'. */
static void other_spellings_are_beside_it(void **state)
{
	(void)state;
	struct policy_credential c = header("x-service-key", "{secret}");
	struct head h = request("/", NULL), out;
	auto_buf bytes = BUF_EMPTY;
	bool attached;

	assert_int_equal(own_of(&c, "x_service_key", "somebodys0123456789", NULL, ""), ATTACH_OWN_BESIDE);
	assert_int_equal(own_of(&c, "x_api_key", "somebodys0123456789", NULL, ""), ATTACH_OWN_BESIDE);
	assert_int_equal(own_of(&c, NULL, NULL, "a=1;api_key=somebodys0123456789", ""), ATTACH_OWN_BESIDE);
	assert_int_equal(own_of(&c, NULL, NULL, "a=1;b=2;api%5Fkey=somebodys0123456789;c", ""), ATTACH_OWN_BESIDE);
	assert_int_equal(own_of(&c, NULL, NULL, "a=1;b=somebodys0123456789", ""), ATTACH_OWN_NONE);
	c.own = POLICY_OWN_REPLACE;
	assert_int_equal(head_add(&h, STR("x_service_key"), STR("somebodys0123456789")), ERR_OK);
	assert_int_equal(head_add(&h, STR("x_api_key"), STR("somebodys0123456789")), ERR_OK);
	buf_init_secret(&bytes, HEAD_MAX_BYTES);
	assert_int_equal(attach_apply(&c, SECRET, PLACEHOLDER, &h, &bytes, &out, &attached), ERR_OK);
	assert_null(head_find(&out, STR("x_service_key")));
	assert_null(head_find(&out, STR("x_api_key")));
	assert_non_null(head_find(&out, STR("x-service-key")));
}

static void what_is_not_signed_is_looked_at(void **state)
{
	(void)state;
	struct policy_credential c = { .strategy = POLICY_STRATEGY_SIGV4 };

	assert_int_equal(own_of(&c, NULL, NULL, NULL, ""), ATTACH_OWN_NONE);
	assert_int_equal(own_of(&c, "authorization", "Bearer somebodys0123456789", NULL, ""), ATTACH_OWN_BESIDE);
	assert_int_equal(own_of(&c, "authorization", "Basic dXNlcjpwYXNzd29yZDEyMw==", NULL, ""), ATTACH_OWN_BESIDE);
	assert_int_equal(own_of(&c, "x-api-key", "somebodys0123456789", NULL, ""), ATTACH_OWN_BESIDE);
	assert_int_equal(own_of(&c, NULL, NULL, "token=somebodys0123456789", ""), ATTACH_OWN_BESIDE);
	assert_int_equal(own_of(&c, "x-amz-acl", "public-read-somebodys01", NULL, ""), ATTACH_OWN_NONE);
}

static void where_a_placeholder_would_stand(void **state)
{
	(void)state;
	struct policy_credential c = credential(POLICY_IN_HEADER | POLICY_IN_BASIC | POLICY_IN_QUERY);

	assert_int_equal(own_of(&c, "authorization", "token ghp_realtokenrealtoken1234", NULL,
				"ghp_realtokenrealtoken1234"), ATTACH_OWN_REAL);
	assert_int_equal(own_of(&c, "authorization", "Basic dXNlcjpwYXNzd29yZDEyMw==", NULL, "password123"),
			 ATTACH_OWN_REAL);
	assert_int_equal(own_of(&c, "x-request-id", "0123456789abcdef0123456789abcdef", NULL, ""),
			 ATTACH_OWN_NONE);
	assert_int_equal(own_of(&c, NULL, NULL, "a=b&API_KEY=AIzaSyB-0123456789abc", "AIzaSyB-0123456789abc"),
			 ATTACH_OWN_REAL);
	assert_int_equal(own_of(&c, NULL, NULL, "page=AIzaSyB-0123456789abc", ""), ATTACH_OWN_NONE);
	/* ours is there too: both would go */
	assert_int_equal(own_of(&c, "authorization", "token ghp_realtokenrealtoken1234", "key=" PH, ""),
			 ATTACH_OWN_BESIDE);
	assert_int_equal(own_of(&c, "authorization", "token dummy", "key=" PH, NULL), ATTACH_OWN_NONE);
	c.parts = POLICY_IN_BASIC;
	assert_int_equal(own_of(&c, "authorization", "token ghp_realtokenrealtoken1234", NULL, ""),
			 ATTACH_OWN_BESIDE);
	c.parts = POLICY_IN_BODY;
	assert_int_equal(own_of(&c, "authorization", "Basic dXNlcjpwYXNzd29yZDEyMw==", NULL, ""),
			 ATTACH_OWN_BESIDE);
	assert_int_equal(own_of(&c, NULL, NULL, "key=abcdefghijkl1234", ""), ATTACH_OWN_BESIDE);
}

static void an_own_credential_is_replaced_like_a_placeholder(void **state)
{
	(void)state;
	struct policy_credential c = credential(POLICY_IN_HEADER | POLICY_IN_BASIC);
	struct head in = request("/", NULL), out;
	auto_buf own = BUF_EMPTY, b = BUF_EMPTY;
	bool attached;

	buf_init_secret(&own, ATTACH_OWN_MAX);
	buf_init_secret(&b, ATTACH_BYTES_MAX);
	assert_int_equal(head_add(&in, STR("authorization"), STR("Basic dXNlcjpwYXNzd29yZDEyMw==")), ERR_OK);
	assert_int_equal(attach_own(&c, PLACEHOLDER, &in, &own), ATTACH_OWN_REAL);
	assert_int_equal(attach_apply(&c, STR("real"), buf_str(&own), &in, &b, &out, &attached), ERR_OK);
	assert_true(attached);
	assert_true(str_eq(head_find(&out, STR("authorization"))->value, STR("Basic dXNlcjpyZWFs")));
}

/* A client that puts its key into another header: ours is set, and the placeholder does not go out. */
static void a_placeholder_in_a_sibling_header_goes(void **state)
{
	(void)state;
	struct policy_credential c = header("x-api-key", "{secret}");
	struct head in = request("/", NULL), out;
	auto_buf b = BUF_EMPTY;
	bool attached;

	assert_int_equal(head_add(&in, STR("authorization"), STR("Bearer " PH)), ERR_OK);
	assert_int_equal(head_add(&in, STR("private-token"), STR("another-0123456789")), ERR_OK);
	assert_int_equal(head_add(&in, STR("x-note"), PLACEHOLDER), ERR_OK);
	assert_int_equal(apply(&c, STR("real"), &in, &b, &out, &attached), ERR_OK);
	assert_null(head_find(&out, STR("authorization")));
	assert_non_null(head_find(&out, STR("private-token")));
	assert_non_null(head_find(&out, STR("x-note")));
	assert_true(str_eq(head_find(&out, STR("x-api-key"))->value, STR("real")));
	auto_buf again = BUF_EMPTY;

	c.own = POLICY_OWN_REPLACE;
	assert_int_equal(apply(&c, STR("real"), &in, &again, &out, &attached), ERR_OK);
	assert_null(head_find(&out, STR("private-token")));
	assert_non_null(head_find(&out, STR("x-note")));
}

static void a_login_takes_the_place_of_what_the_agent_sent(void **state)
{
	(void)state;
	struct policy_credential c = header("authorization", "Bearer {secret}");
	struct head in = request("/", NULL), out;
	auto_buf one = BUF_EMPTY, two = BUF_EMPTY;
	bool attached;

	c.strategy = POLICY_STRATEGY_LOGIN;
	assert_int_equal(apply(&c, STR("real"), &in, &one, &out, &attached), ERR_OK);
	assert_false(attached);
	assert_null(head_find(&out, STR("authorization")));
	assert_int_equal(head_add(&in, STR("authorization"), STR("Bearer " PH)), ERR_OK);
	assert_int_equal(apply(&c, STR("real"), &in, &two, &out, &attached), ERR_OK);
	assert_true(attached);
	assert_true(str_eq(head_find(&out, STR("authorization"))->value, STR("Bearer real")));
}

static void a_secret_of_another_kind_may_have_lines(void **state)
{
	(void)state;
	struct policy_credential c = header("authorization", "Bearer {secret}");
	const char *reason = "";

	assert_int_equal(credential_check_secret(&c, STR("-----BEGIN\nPRIVATE KEY"), &reason),
			 ERR_CREDENTIAL);
	c.strategy = POLICY_STRATEGY_CERTIFICATE;
	assert_int_equal(credential_check_secret(&c, STR("-----BEGIN\nPRIVATE KEY"), &reason), ERR_OK);
	assert_int_equal(credential_check_secret(&c, STR(""), &reason), ERR_CREDENTIAL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_header_with_a_user_is_basic),
		cmocka_unit_test(a_query_takes_the_secret_as_one_value),
		cmocka_unit_test(a_path_takes_the_secret_as_one_segment),
		cmocka_unit_test(a_secret_cannot_walk_the_path),
		cmocka_unit_test(no_secret_ends_a_field_a_line_or_a_head),
		cmocka_unit_test(only_the_named_fields_carry_it),
		cmocka_unit_test(bodies_are_told_apart_by_their_type),
		cmocka_unit_test(text_is_escaped_as_its_kind_has_it),
		cmocka_unit_test(where_our_header_would_stand),
		cmocka_unit_test(beside_where_our_header_would_stand),
		cmocka_unit_test(other_spellings_are_beside_it),
		cmocka_unit_test(what_is_not_signed_is_looked_at),
		cmocka_unit_test(where_a_placeholder_would_stand),
		cmocka_unit_test(a_placeholder_does_not_cover_another_key),
		cmocka_unit_test(an_own_credential_is_replaced_like_a_placeholder),
		cmocka_unit_test(a_placeholder_in_a_sibling_header_goes),
		cmocka_unit_test(a_login_takes_the_place_of_what_the_agent_sent),
		cmocka_unit_test(a_secret_of_another_kind_may_have_lines),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
