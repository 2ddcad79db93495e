/* sigv4_test.c - AWS's published examples, and what must not be signed */
#include "credential/sigv4.h"
#include "credential/attach.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#define ERR_STATE OPENSSL_ERR_STATE
#include <openssl/evp.h>
#include <openssl/hmac.h>
#undef ERR_STATE

#include <cmocka.h>

#define ANY_SIGNATURE "0000000000000000000000000000000000000000000000000000000000000000"
#define EMPTY_HASH "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
#define PH "AKIDPLACEHOLDER"
#define SECRET_IAM "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"
#define SECRET_S3 "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"

struct fields {
	const char *name, *value;
};

static struct head request(const char *method, const char *host, const char *path, const char *query,
			   const struct fields *fields)
{
	struct head h = { .kind = HEAD_REQUEST, .scheme = HEAD_HTTPS, .port = 443, .method = str_of(method),
			  .host = str_of(host), .path = str_of(path), .has_query = query != NULL,
			  .query = str_of(query) };

	assert_int_equal(head_add(&h, STR("host"), str_of(host)), ERR_OK);
	for (; fields && fields->name; fields++)
		assert_int_equal(head_add(&h, str_of(fields->name), str_of(fields->value)), ERR_OK);
	assert_int_equal(head_check(&h), ERR_OK);
	return h;
}

static void hmac(const void *key, size_t n, const char *text, size_t text_n, uint8_t out[32])
{
	unsigned int got = 32;

	assert_non_null(HMAC(EVP_sha256(), key, (int)n, (const uint8_t *)text, text_n, out, &got));
}

/* What the keeper does with the key that it keeps. */
static void sign(const struct sigv4 *s, const char *secret, struct str text, char hex[65])
{
	char first[128], region[65], service[65];
	uint8_t a[32], b[32];

	snprintf(first, sizeof first, "AWS4%s", secret);
	snprintf(region, sizeof region, "%.*s", STR_FMT(s->region));
	snprintf(service, sizeof service, "%.*s", STR_FMT(s->service));
	hmac(first, strlen(first), s->time, 8, a);
	hmac(a, 32, region, strlen(region), b);
	hmac(b, 32, service, strlen(service), a);
	hmac(a, 32, "aws4_request", 12, b);
	hmac(b, 32, text.p, text.n, a);
	for (int i = 0; i < 32; i++)
		snprintf(hex + (size_t)i * 2, 3, "%02x", a[i]);
}

struct result {
	struct buf bytes, canonical;
	struct head head;
	char signature[65];
};

static void result_free(struct result *r)
{
	buf_free(&r->bytes);
	buf_free(&r->canonical);
}

/* The whole way of one request, with the keeper's part. */
static void resign(const struct head *in, const char *key_id, const char *secret, const char *token,
		   const char *body, struct result *r)
{
	auto_buf hash = BUF_EMPTY, text = BUF_EMPTY;
	const char *reason = "";
	struct sigv4 s;

	assert_int_equal(sigv4_parse(in, &s, &reason), ERR_OK);
	buf_init_secret(&r->bytes, ATTACH_BYTES_MAX);
	buf_init_secret(&r->canonical, SIGV4_CANONICAL_MAX);
	buf_init(&hash, 128);
	buf_init(&text, 512);
	assert_int_equal(sigv4_prepare(&s, in, str_of(key_id), str_of(token), &r->bytes, &r->head), ERR_OK);
	assert_int_equal(sigv4_payload_hash(&s, &r->head, str_of(body), &hash), ERR_OK);
	assert_int_equal(sigv4_canonical(&s, &r->head, buf_str(&hash), &r->canonical), ERR_OK);
	assert_int_equal(sigv4_string_to_sign(&s, buf_str(&r->canonical), &text), ERR_OK);
	sign(&s, secret, buf_str(&text), r->signature);
	assert_int_equal(sigv4_finish(&s, str_of(key_id), str_make(r->signature, 64), &r->bytes, &r->head),
			 ERR_OK);
	assert_int_equal(head_check(&r->head), ERR_OK);
	sigv4_free(&s);
}

#define AUTH(scope, headers) "AWS4-HMAC-SHA256 Credential=" PH "/" scope "/aws4_request, SignedHeaders=" headers \
			     ", Signature=" ANY_SIGNATURE
#define TEST_AUTH(headers) AUTH("20150830/us-east-1/service", headers)
#define S3_AUTH(headers) AUTH("20130524/us-east-1/s3", headers)

static void published_examples(void **state)
{
	(void)state;
	static const struct {
		const char *method, *host, *path, *query;
		struct fields fields[8];
		const char *key_id, *secret, *signature;
	} cases[] = {
		{ "GET", "example.amazonaws.com", "/", NULL,
		  { { "x-amz-date", "20150830T123600Z" }, { "authorization", TEST_AUTH("host;x-amz-date") } },
		  "AKIDEXAMPLE", SECRET_IAM,
		  "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31" },
		{ "GET", "example.amazonaws.com", "/", "Param2=value2&Param1=value1",
		  { { "x-amz-date", "20150830T123600Z" }, { "authorization", TEST_AUTH("host;x-amz-date") } },
		  "AKIDEXAMPLE", SECRET_IAM,
		  "b97d918cfa904a5beff61c982a1b6f458b799221646efd99d3219ec94cdf2500" },
		{ "GET", "iam.amazonaws.com", "/", "Action=ListUsers&Version=2010-05-08",
		  { { "content-type", "application/x-www-form-urlencoded; charset=utf-8" },
		    { "x-amz-date", "20150830T123600Z" },
		    { "authorization", AUTH("20150830/us-east-1/iam", "content-type;host;x-amz-date") } },
		  "AKIDEXAMPLE", SECRET_IAM,
		  "5d672d79c15b13162d9279b0855cfba6789a8edb4c82c400e06b5924a6f2b5d7" },
		{ "GET", "examplebucket.s3.amazonaws.com", "/test.txt", NULL,
		  { { "range", "bytes=0-9" }, { "x-amz-content-sha256", EMPTY_HASH },
		    { "x-amz-date", "20130524T000000Z" },
		    { "authorization", S3_AUTH("host;range;x-amz-content-sha256;x-amz-date") } },
		  "AKIAIOSFODNN7EXAMPLE", SECRET_S3,
		  "f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41" },
		{ "PUT", "examplebucket.s3.amazonaws.com", "/test%24file.text", NULL,
		  { { "date", "Fri, 24 May 2013 00:00:00 GMT" }, { "x-amz-date", "20130524T000000Z" },
		    { "x-amz-storage-class", "REDUCED_REDUNDANCY" },
		    { "x-amz-content-sha256",
		      "44ce7dd67c959e0d3524ffac1771dfbba87d2b6b4b4e99e42034a8b803f8b072" },
		    { "authorization",
		      S3_AUTH("date;host;x-amz-content-sha256;x-amz-date;x-amz-storage-class") } },
		  "AKIAIOSFODNN7EXAMPLE", SECRET_S3,
		  "98ad721746da40c64f1a55b78f14c238d841ea1380cd77a1b5971af0ece108bd" },
		{ "GET", "examplebucket.s3.amazonaws.com", "/", "lifecycle",
		  { { "x-amz-content-sha256", EMPTY_HASH }, { "x-amz-date", "20130524T000000Z" },
		    { "authorization", S3_AUTH("host;x-amz-content-sha256;x-amz-date") } },
		  "AKIAIOSFODNN7EXAMPLE", SECRET_S3,
		  "fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543" },
		{ "GET", "examplebucket.s3.amazonaws.com", "/", "prefix=J&max-keys=2",
		  { { "x-amz-content-sha256", EMPTY_HASH }, { "x-amz-date", "20130524T000000Z" },
		    { "authorization", S3_AUTH("host;x-amz-content-sha256;x-amz-date") } },
		  "AKIAIOSFODNN7EXAMPLE", SECRET_S3,
		  "34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7" },
		{ "GET", "examplebucket.s3.amazonaws.com", "/test.txt",
		  "X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=" PH "%2F20130524%2Fus-east-1%2Fs3%2Faws4_request"
		  "&X-Amz-Date=20130524T000000Z&X-Amz-Expires=86400&X-Amz-SignedHeaders=host&X-Amz-Signature=" ANY_SIGNATURE,
		  { { NULL, NULL } },
		  "AKIAIOSFODNN7EXAMPLE", SECRET_S3,
		  "aeeed9bbccd4d02ee5c0109b86d86835f995330da4c265957d157751f604d404" },
	};

	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct head in = request(cases[i].method, cases[i].host, cases[i].path, cases[i].query,
					 cases[i].fields);
		struct result r;

		resign(&in, cases[i].key_id, cases[i].secret, "", "", &r);
		if (strcmp(r.signature, cases[i].signature) != 0)
			fail_msg("case %zu: %s over\n%.*s", i, r.signature, STR_FMT(buf_str(&r.canonical)));
		result_free(&r);
	}
}

static void the_whole_header(void **state)
{
	(void)state;
	struct head in = request("GET", "example.amazonaws.com", "/", NULL, (const struct fields[]){
		{ "x-amz-date", "20150830T123600Z" }, { "x-amz-security-token", "agents-own" },
		{ "authorization", TEST_AUTH("host;x-amz-date;x-gone") }, { 0 } });
	struct result r;

	resign(&in, "AKIDEXAMPLE", SECRET_IAM, "session+token/==", "", &r);
	char wanted[512];

	snprintf(wanted, sizeof wanted,
		 "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20150830/us-east-1/service/aws4_request, "
		 "SignedHeaders=host;x-amz-date;x-amz-security-token, Signature=%s", r.signature);
	assert_true(str_eq(head_find(&r.head, STR("authorization"))->value, str_of(wanted)));
	assert_true(str_eq(head_find(&r.head, STR("x-amz-security-token"))->value, STR("session+token/==")));
	assert_int_equal(r.head.field_count, 4);
	result_free(&r);
}

static void a_presigned_query_is_made_anew(void **state)
{
	(void)state;
	struct head in = request("GET", "b.s3.amazonaws.com", "/k",
				 "versionId=1&X-Amz-Algorithm=AWS4-HMAC-SHA256&"
		"X-Amz-Security-Token=agents&X-Amz-Credential=" PH "%2F20130524%2Feu-west-1%2Fs3%2Faws4_request"
		"&X-Amz-Date=20130524T000000Z&X-Amz-Expires=60&X-Amz-SignedHeaders=host&X-Amz-Signature=" ANY_SIGNATURE,
		NULL);
	struct result r;
	char wanted[512];

	resign(&in, "AKIDEXAMPLE", SECRET_S3, "to/k=", "", &r);
	snprintf(wanted, sizeof wanted,
		 "versionId=1&X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Date=20130524T000000Z&"
		 "X-Amz-Expires=60&X-Amz-Credential=AKIDEXAMPLE%%2F20130524%%2Feu-west-1%%2Fs3%%2Faws4_request&"
		 "X-Amz-SignedHeaders=host&X-Amz-Security-Token=to%%2Fk%%3D&X-Amz-Signature=%s", r.signature);
	assert_true(str_eq(r.head.query, str_of(wanted)));
	assert_null(head_find(&r.head, STR("authorization")));
	result_free(&r);
}

static void a_body_without_a_stated_hash_is_hashed(void **state)
{
	(void)state;
	struct head in = request("POST", "sts.amazonaws.com", "/", NULL, (const struct fields[]){
		{ "content-type", "application/x-www-form-urlencoded; charset=utf-8" },
		{ "x-amz-date", "20150830T123600Z" },
		{ "authorization", AUTH("20150830/us-east-1/sts", "content-type;host;x-amz-date") }, { 0 } });
	struct result r;

	resign(&in, "AKIDEXAMPLE", SECRET_IAM, "", "Action=GetCallerIdentity&Version=2011-06-15", &r);
	assert_true(str_ends(buf_str(&r.canonical),
			     STR("\nab821ae955788b0e33ebd34c208442ccfc2d406e2edc5e7a39bd6458fbb4f843")));
	result_free(&r);
}

static void a_chunked_body_is_decoded_and_unsigned(void **state)
{
	(void)state;
	struct head in = request("PUT", "b.s3.amazonaws.com", "/k", NULL, (const struct fields[]){
		{ "content-encoding", "aws-chunked,gzip" }, { "x-amz-date", "20130524T000000Z" },
		{ "x-amz-content-sha256", "STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER" },
		{ "x-amz-decoded-content-length", "66560" }, { "x-amz-trailer", "x-amz-checksum-crc32" },
		{ "x-amz-sdk-checksum-algorithm", "CRC32" },
		{ "authorization", S3_AUTH("content-encoding;host;x-amz-content-sha256;x-amz-date;"
					   "x-amz-decoded-content-length;x-amz-trailer;x-amz-sdk-checksum-algorithm") },
		{ 0 } });
	const char *reason;
	struct sigv4 s;
	struct result r;

	in.framing = HEAD_BODY_LENGTH;
	in.length = 66824;
	assert_int_equal(sigv4_parse(&in, &s, &reason), ERR_OK);
	assert_int_equal(s.payload, SIGV4_CHUNKED);
	sigv4_free(&s);
	resign(&in, "AKIDEXAMPLE", SECRET_S3, "", "", &r);
	assert_int_equal(r.head.framing, HEAD_BODY_LENGTH);
	assert_int_equal(r.head.length, 66560);
	assert_true(str_eq(head_find(&r.head, STR("content-encoding"))->value, STR("gzip")));
	assert_true(str_eq(head_find(&r.head, STR("x-amz-content-sha256"))->value, STR("UNSIGNED-PAYLOAD")));
	assert_null(head_find(&r.head, STR("x-amz-trailer")));
	assert_null(head_find(&r.head, STR("x-amz-decoded-content-length")));
	assert_true(str_ends(buf_str(&r.canonical),
			     STR("\ncontent-encoding;host;x-amz-content-sha256;x-amz-date\n"
				 "UNSIGNED-PAYLOAD")));
	result_free(&r);
}

static void what_cannot_be_read_is_refused(void **state)
{
	(void)state;
	static const struct { const char *authorization, *date, *hash; } cases[] = {
		{ "AWS AKIDEXAMPLE:frJIUN8DYpKDtOLCwo//yllqDzg=", "20150830T123600Z", NULL },
		{ "AWS4-ECDSA-P256-SHA256 Credential=" PH, "20150830T123600Z", NULL },
		{ "AWS4-HMAC-SHA256", "20150830T123600Z", NULL },
		{ TEST_AUTH("host"), NULL, NULL },
		{ TEST_AUTH("host"), "20150831T123600Z", NULL },	/* another day than the scope */
		{ TEST_AUTH("host"), "20150830T123600", NULL },
		{ TEST_AUTH("host"), "20151330T123600Z", NULL },
		{ TEST_AUTH("host") ", Signature=" ANY_SIGNATURE, "20150830T123600Z", NULL },
		{ TEST_AUTH("host\ttab"), "20150830T123600Z", NULL },
		{ AUTH("20150830/us-east-1", "host"), "20150830T123600Z", NULL },
		{ AUTH("20150830/us-east-1/a/b", "host"), "20150830T123600Z", NULL },
		{ AUTH("20150830/US-east-1/s3", "host"), "20150830T123600Z", NULL },
		{ AUTH("20150830//s3", "host"), "20150830T123600Z", NULL },
		{ TEST_AUTH("host"), "20150830T123600Z", "STREAMING-AWS4-HMAC-SHA256-EVENTS" },
		{ TEST_AUTH("host"), "20150830T123600Z",
		  "STREAMING-AWS4-HMAC-SHA256-PAYLOAD" },	/* no length */
		{ TEST_AUTH("host"), "20150830T123600Z", "abc" },
	};

	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct head h = request("GET", "a.test", "/", NULL, NULL);
		const char *reason = NULL;
		struct sigv4 s;

		assert_int_equal(head_add(&h, STR("authorization"), str_of(cases[i].authorization)), ERR_OK);
		if (cases[i].date)
			assert_int_equal(head_add(&h, STR("x-amz-date"), str_of(cases[i].date)), ERR_OK);
		if (cases[i].hash)
			assert_int_equal(head_add(&h, STR("x-amz-content-sha256"), str_of(cases[i].hash)),
					 ERR_OK);
		if (sigv4_parse(&h, &s, &reason) != ERR_HEAD_MALFORMED)
			fail_msg("case %zu", i);
		assert_non_null(reason);
	}
	/* both forms at once, a parameter twice */
	const char *reason;
	struct sigv4 s;
	struct head h = request("GET", "a.test", "/", "X-Amz-Signature=" ANY_SIGNATURE,
				(const struct fields[]){
		{ "x-amz-date", "20150830T123600Z" }, { "authorization", TEST_AUTH("host") }, { 0 } });

	assert_int_equal(sigv4_parse(&h, &s, &reason), ERR_HEAD_MALFORMED);
	h = request("GET", "a.test", "/", "X-Amz-Expires=1&X-Amz-Expires=2&X-Amz-Signature=" ANY_SIGNATURE,
		    NULL);
	assert_int_equal(sigv4_parse(&h, &s, &reason), ERR_HEAD_MALFORMED);
	h = request("GET", "a.test", "/", NULL,
		    (const struct fields[]){ { "authorization", "Bearer x" }, { 0 } });
	assert_int_equal(sigv4_parse(&h, &s, &reason), ERR_OK);
	assert_int_equal(s.form, SIGV4_UNSIGNED);
	sigv4_free(&s);
}

/* A server that undoes the escapes, or folds the case, would see a signature that nobody judged. */
static void parameters_in_other_spellings_are_refused(void **state)
{
	(void)state;
	static const char *const strange[] = {
		"X%2DAmz-Signature=" ANY_SIGNATURE, "a=b&x-amz-signature=" ANY_SIGNATURE, "X-Amz-Algorith%6d=x",
		"AWSAccessKeyI%64=AKIAOTHER", "awsaccesskeyid=AKIAOTHER", "%58-Amz-Credential=x",
	};
	const char *reason;
	struct sigv4 s;

	for (size_t i = 0; i < sizeof strange / sizeof *strange; i++) {
		struct head h = request("GET", "a.test", "/", strange[i], NULL);

		assert_int_equal(sigv4_parse(&h, &s, &reason), ERR_HEAD_MALFORMED);
		h = request("GET", "a.test", "/", strange[i], (const struct fields[]){
			{ "x-amz-date", "20150830T123600Z" }, { "authorization", TEST_AUTH("host") }, { 0 } });
		assert_int_equal(sigv4_parse(&h, &s, &reason), ERR_HEAD_MALFORMED);
	}
}

static void scope_and_time_are_checked(void **state)
{
	(void)state;
	static const struct str services[] = { STR_INIT("s3"), STR_INIT("sts") },
				regions[] = { STR_INIT("us-east-1") };
	struct policy_credential c = { .strategy = POLICY_STRATEGY_SIGV4, .aws_service_count = 2,
				       .aws_services = services, .aws_region_count = 1,
				       .aws_regions = regions };
	struct head h = request("GET", "a.test", "/", NULL, (const struct fields[]){
		{ "x-amz-date", "20150830T123600Z" },
		{ "authorization", AUTH("20150830/us-east-1/s3", "host") }, { 0 } });
	const uint64_t at = 1440938160;		/* date -d 2015-08-30T12:36:00Z +%s */
	const char *reason = "";
	struct sigv4 s;

	assert_int_equal(sigv4_parse(&h, &s, &reason), ERR_OK);
	assert_int_equal(s.at_s, at);
	assert_int_equal(sigv4_check(&s, &c, &h, at, &reason), ERR_OK);
	assert_int_equal(sigv4_check(&s, &c, &h, at + SIGV4_SKEW_S, &reason), ERR_OK);
	assert_int_equal(sigv4_check(&s, &c, &h, at - SIGV4_SKEW_S, &reason), ERR_OK);
	assert_int_equal(sigv4_check(&s, &c, &h, at + SIGV4_SKEW_S + 1, &reason), ERR_HEAD_MALFORMED);
	assert_int_equal(sigv4_check(&s, &c, &h, at - SIGV4_SKEW_S - 1, &reason), ERR_HEAD_MALFORMED);
	h.scheme = HEAD_HTTP;
	assert_int_equal(sigv4_check(&s, &c, &h, at, &reason), ERR_CREDENTIAL);
	h.scheme = HEAD_HTTPS;
	c.aws_services++;
	c.aws_service_count = 1;
	assert_int_equal(sigv4_check(&s, &c, &h, at, &reason), ERR_POLICY_DENIED);
	c.aws_service_count = 0;
	s.region = STR("eu-west-1");
	assert_int_equal(sigv4_check(&s, &c, &h, at, &reason), ERR_POLICY_DENIED);
	c.aws_region_count = 0;
	assert_int_equal(sigv4_check(&s, &c, &h, at, &reason), ERR_OK);
	s.form = SIGV4_QUERY;
	s.expires_s = 3600;
	assert_int_equal(sigv4_check(&s, &c, &h, at + 3600, &reason), ERR_OK);
	assert_int_equal(sigv4_check(&s, &c, &h, at + 3601, &reason), ERR_HEAD_MALFORMED);
	sigv4_free(&s);
}

static void canonical_forms(void **state)
{
	(void)state;
	static const struct { const char *query, *wanted; } queries[] = {
		{ "b=2&a=1", "a=1&b=2" }, { "a=2&a=1", "a=1&a=2" }, { "a", "a=" }, { "", "" },
		{ "&&a=&", "a=" },
		{ "a-b=1&a=2", "a=2&a-b=1" }, { "k=%7e%2f", "k=~%2F" }, { "k=a/b:c", "k=a%2Fb%3Ac" },
		{ "k=a=b", "k=a%3Db" }, { "k=%zz", "k=%25zz" }, { "k=1&X-Amz-Signature=00", "k=1" },
		{ "k=\xc3\xa9", "k=%C3%A9" }, { "k=a+b", "k=a%2Bb" }, { "B=1&a=1&A=1", "A=1&B=1&a=1" },
	};
	static const struct { const char *path, *s3, *other; } paths[] = {
		{ "/", "/", "/" }, { "/a b", "/a%20b", "/a%20b" }, { "/a%20b", "/a%20b", "/a%2520b" },
		{ "/a//b", "/a//b", "/a/b" }, { "/a%2Fb", "/a%2Fb", "/a%252Fb" }, { "/a/", "/a/", "/a/" },
		{ "/(a)*'", "/%28a%29%2A%27", "/%28a%29%2A%27" }, { "/~a-_.", "/~a-_.", "/~a-_." },
		{ "/model/a.b:0/converse", "/model/a.b%3A0/converse", "/model/a.b%3A0/converse" },
		{ "/model/a.b%3A0/converse", "/model/a.b%3A0/converse", "/model/a.b%253A0/converse" },
	};

	for (size_t i = 0; i < sizeof queries / sizeof *queries; i++) {
		auto_buf b = BUF_EMPTY;

		buf_init(&b, 1024);
		assert_int_equal(sigv4_put_query(str_of(queries[i].query), &b), ERR_OK);
		if (!str_eq(buf_str(&b), str_of(queries[i].wanted)))
			fail_msg("%s: %.*s", queries[i].query, STR_FMT(buf_str(&b)));
	}
	for (size_t i = 0; i < sizeof paths / sizeof *paths; i++) {
		auto_buf a = BUF_EMPTY, b = BUF_EMPTY;

		buf_init(&a, 1024);
		buf_init(&b, 1024);
		sigv4_put_path(str_of(paths[i].path), true, &a);
		sigv4_put_path(str_of(paths[i].path), false, &b);
		if (!str_eq(buf_str(&a), str_of(paths[i].s3)) || !str_eq(buf_str(&b), str_of(paths[i].other)))
			fail_msg("%s: %.*s, %.*s", paths[i].path, STR_FMT(buf_str(&a)), STR_FMT(buf_str(&b)));
	}
}

static void a_key_that_cannot_stand_there_is_refused(void **state)
{
	(void)state;
	static const char *const keys[] = { "", "AKID EXAMPLE", "AKID/x", "AKID\r\nx: y",
					    "AKID,Signature=0" };
	struct head h = request("GET", "a.test", "/", NULL, (const struct fields[]){
		{ "x-amz-date", "20150830T123600Z" }, { "authorization", TEST_AUTH("host") }, { 0 } }), out;
	const char *reason;
	struct sigv4 s;

	assert_int_equal(sigv4_parse(&h, &s, &reason), ERR_OK);
	for (size_t i = 0; i < sizeof keys / sizeof *keys; i++) {
		auto_buf b = BUF_EMPTY;

		buf_init_secret(&b, ATTACH_BYTES_MAX);
		assert_int_equal(sigv4_prepare(&s, &h, str_of(keys[i]), STR(""), &b, &out), ERR_CREDENTIAL);
	}
	auto_buf b = BUF_EMPTY;

	buf_init_secret(&b, ATTACH_BYTES_MAX);
	assert_int_equal(sigv4_prepare(&s, &h, STR("AKID"), STR("to\r\nken"), &b, &out), ERR_CREDENTIAL);
	assert_int_equal(sigv4_prepare(&s, &h, STR("AKID"), STR(""), &b, &out), ERR_OK);
	assert_int_equal(sigv4_finish(&s, STR("AKID"), STR("00"), &b, &out), ERR_CREDENTIAL);
	sigv4_free(&s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(published_examples),
		cmocka_unit_test(the_whole_header),
		cmocka_unit_test(a_presigned_query_is_made_anew),
		cmocka_unit_test(a_body_without_a_stated_hash_is_hashed),
		cmocka_unit_test(a_chunked_body_is_decoded_and_unsigned),
		cmocka_unit_test(what_cannot_be_read_is_refused),
		cmocka_unit_test(parameters_in_other_spellings_are_refused),
		cmocka_unit_test(scope_and_time_are_checked),
		cmocka_unit_test(canonical_forms),
		cmocka_unit_test(a_key_that_cannot_stand_there_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
