/* decoder_registry_test.c - package metadata, filtered and read, in one piece and byte by byte */
#include "decoder/json_walk.h"
#include "decoder/registry.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

struct seen {
	struct buf output, releases;
};

static enum err output(void *user, struct str bytes)
{
	struct seen *s = user;

	buf_put(&s->output, bytes);
	return buf_err(&s->output);
}

static enum err release(void *user, const struct registry_release *r)
{
	struct seen *s = user;

	buf_printf(&s->releases, "%.*s %lld %.*s %.*s%s\n", STR_FMT(r->item), (long long)r->published,
		   STR_FMT(r->algorithm), STR_FMT(r->digest), r->yanked ? " yanked" : "");
	return buf_err(&s->releases);
}

static enum err run(enum registry_format format, const char *filter, struct str text, size_t piece,
		    struct seen *s)
{
	static const struct registry_reader_ops reads = { .release = release },
						filters = { .output = output };
	struct arena *a = arena_new(1 << 20);
	struct registry_filter *f = NULL;
	struct registry_reader *r;
	enum err e = ERR_OK;

	*s = (struct seen){ { 0 }, { 0 } };
	buf_init(&s->output, 1 << 20);
	buf_init(&s->releases, 1 << 20);
	if (filter)
		assert_int_equal(registry_filter_read(a, str_of(filter), &f), ERR_OK);
	r = registry_reader_new(format, f, filter ? &filters : &reads, s);
	assert_non_null(r);
	while (text.n && e == ERR_OK) {
		e = registry_reader_feed(r, str_head(text, piece));
		text = str_from(text, piece);
	}
	if (e == ERR_OK)
		e = registry_reader_end(r);
	registry_reader_free(r);
	arena_free(a);
	return e;
}

static void check(enum registry_format format, const char *filter, const char *text, const char *expected)
{
	for (size_t piece = 1; piece < 100000; piece = piece * 7 + 1) {
		struct seen s;

		assert_int_equal(run(format, filter, str_of(text), piece, &s), ERR_OK);
		if (!str_eq(buf_str(filter ? &s.output : &s.releases), str_of(expected)))
			fail_msg("%.*s\nis not\n%s", STR_FMT(buf_str(filter ? &s.output : &s.releases)),
				 expected);
		buf_free(&s.output);
		buf_free(&s.releases);
	}
}

static void check_bad(enum registry_format format, const char *filter, const char *text)
{
	struct seen s;

	if (run(format, filter, str_of(text), 4096, &s) != ERR_DECODER)
		fail_msg("taken: %s", text);
	buf_free(&s.output);
	buf_free(&s.releases);
}

static const char packument[] =
	"{ \"_id\":\"x\", \"dist-tags\": {\"latest\":\"2.0.0\",\"next\":\"3.0.0-a\",\"old\":\"1.0.0\"},\n"
	"\"versions\" : {\"1.0.0\":{\"a\":[1,{\"b\":\"}\\\"\"}],\"dist\":{\"shasum\":\"aa\"}}, "
	"\"1.1.0\":{\"dist\":{\"integrity\":\"sha512-QQ== sha1-x\",\"shasum\":\"bb\"}},"
	"\"3.0.0-a\":{}, \"2.0.0\":{\"dist\":{}}},\"time\":{\"created\":\"2020-01-01T00:00:00.000Z\","
	"\"1.0.0\":\"2020-01-01T00:00:00.000Z\",\"1.1.0\":\"2021-01-01T00:00:00.000Z\",\"2.0.0\":\"2026-01-"
	"01T00:00:00.000Z\"},"
	"\"readme\":\"\\\\\"}";

static void npm(void **state)
{
	(void)state;
	check(REGISTRY_FORMAT_NPM, NULL, packument,
	      "1.0.0 1577836800 sha1 aa\n1.1.0 1609459200 sha512 QQ==\n2.0.0 1767225600  \n");
	check(REGISTRY_FORMAT_NPM, "type npm\nrange <2\n", packument,
	      "{\"_id\":\"x\",\"versions\":{\"1.0.0\":{\"a\":[1,{\"b\":\"}\\\"\"}],\"dist\":{\"shasum\":\"aa\"}},"
	      "\"1.1.0\":{\"dist\":{\"integrity\":\"sha512-QQ== sha1-x\",\"shasum\":\"bb\"}}},"
	      "\"time\":{\"created\":\"2020-01-01T00:00:00.000Z\",\"1.0.0\":\"2020-01-01T00:00:00.000Z\","
	      "\"1.1.0\":\"2021-01-01T00:00:00.000Z\"},\"readme\":\"\\\\\",\"dist-tags\":{\"latest\":\"1.1.0\",\"old\":\"1.0.0\"}}");
	check(REGISTRY_FORMAT_NPM, "type npm\nnot 1.0.0\nnot 1.1.0\nspan 2.0.0 2.0.1 -\n",
	      "{\"versions\":{\"1.0.0\":{},\"1.1.0\":{},\"2.0.0\":{},\"3.0.0-a\":{}},\"dist-tags\":{"
	      "\"latest\":\"2.0.0\"}}",
	      "{\"versions\":{\"3.0.0-a\":{}},\"dist-tags\":{\"latest\":\"3.0.0-a\"}}");
	check(REGISTRY_FORMAT_NPM, "type npm\nonly 1.1.0\n",
	      "{\"v\\u0065rsions\":{\"1.0.0\":{},\"1.1.0\":1}}", "{\"v\\u0065rsions\":{\"1.1.0\":1}}");
	check(REGISTRY_FORMAT_NPM, "type npm\nnamed 1.0.0\n",
	      "{\"versions\":{\"1.0.0\":{},\"not a version\":{}},\"x\":[]}", "{\"versions\":{},\"x\":[]}");
	check_bad(REGISTRY_FORMAT_NPM, "type npm\n", "{\"versions\":{\"1.0.0\":{}");
	check_bad(REGISTRY_FORMAT_NPM, "type npm\n", "{\"versions\":{\"1.0.0\" {}}}");
	check_bad(REGISTRY_FORMAT_NPM, "type npm\n", "{} {}");
	check_bad(REGISTRY_FORMAT_NPM, "type npm\n", "{,}");
	check_bad(REGISTRY_FORMAT_NPM, "type npm\n", "<html>");
	check_bad(REGISTRY_FORMAT_NPM, "type npm\n", "");
}

static void pypi_json(void **state)
{
	static const char simple[] =
		"{\"meta\":{\"api-version\":\"1.1\"},\"name\":\"x\",\"files\":["
		"{\"filename\":\"x-1.0.tar.gz\",\"hashes\":{\"sha256\":\"aa\"},\"upload-time\":\"2020-01-"
		"01T00:00:00.5Z\",\"yanked\":\"bad\"},"
		"{\"filename\":\"x-2.0-py3-none-any.whl\",\"hashes\":{\"sha256\":\"bb\"},\"yanked\":false},"
		"{\"filename\":\"strange\"},{\"filename\":7}],\"versions\":[\"1.0\",\"2.0\"]}";
	static const char old[] =
		"{\"info\":{\"version\":\"2.0\"},\"releases\":{\"1.0\":[{\"filename\":\"x-1.0.tar.gz\",\"digests\":{\"sha256\":\"aa\"},"
		"\"upload_time_iso_8601\":\"2020-01-01T01:00:00+01:00\"}],\"2.0\":[{\"filename\":\"x-2.0.zip\"}]},"
		"\"urls\":[{\"filename\":\"x-2.0.zip\"}]}";

	(void)state;
	check(REGISTRY_FORMAT_PYPI_JSON, NULL, simple,
	      "x-1.0.tar.gz 1577836800 sha256 aa yanked\nx-2.0-py3-none-any.whl -1 sha256 bb\nstrange -1  "
	      "\n");
	check(REGISTRY_FORMAT_PYPI_JSON, "type pypi\nrange >=2\n", simple,
	      "{\"meta\":{\"api-version\":\"1.1\"},\"name\":\"x\",\"files\":["
	      "{\"filename\":\"x-2.0-py3-none-any.whl\",\"hashes\":{\"sha256\":\"bb\"},\"yanked\":false}],"
	      "\"versions\":[\"1.0\",\"2.0\"]}");
	check(REGISTRY_FORMAT_PYPI_JSON, NULL, old,
	      "x-1.0.tar.gz 1577836800 sha256 aa\nx-2.0.zip -1  \nx-2.0.zip -1  \n");
	check(REGISTRY_FORMAT_PYPI_JSON, "type pypi\nnot x-2.0.zip\n", old,
	      "{\"info\":{\"version\":\"2.0\"},\"releases\":{\"1.0\":[{\"filename\":\"x-1.0.tar.gz\","
	      "\"digests\":{\"sha256\":\"aa\"},"
	      "\"upload_time_iso_8601\":\"2020-01-01T01:00:00+01:00\"}],\"2.0\":[]},\"urls\":[]}");
}

static void pypi_html(void **state)
{
	static const char page[] =
		"<!DOCTYPE html><html><body>\n<h1>Links</h1>\n"
		"<a href=\"../../p/x-1.0.tar.gz#sha256=aa\" data-requires-python=\"&gt;=3\">x-1.0.tar.gz</a><br/>\n"
		"<A data-yanked='old > bad' HREF='https://f.example/x-2.0-py3-none-any.whl?a=1&amp;b#sha256=bb'>two</A>\n"
		"<abbr>a</abbr><a\nhref=x-3.0.zip>three</a><a name=\"x\">none</a></body></html>\n";

	(void)state;
	check(REGISTRY_FORMAT_PYPI_HTML, NULL, page,
	      "x-1.0.tar.gz -1 sha256 aa\nx-2.0-py3-none-any.whl -1 sha256 bb yanked\nx-3.0.zip -1  \n");
	check(REGISTRY_FORMAT_PYPI_HTML, "type pypi\nrange >=2\nnot x-3.0.zip\n", page,
	      "<!DOCTYPE html><html><body>\n<h1>Links</h1>\n<br/>\n"
	      "<A data-yanked='old > bad' "
	      "HREF='https://f.example/x-2.0-py3-none-any.whl?a=1&amp;b#sha256=bb'>two</A>\n"
	      "<abbr>a</abbr></body></html>\n");
	check_bad(REGISTRY_FORMAT_PYPI_HTML, "type pypi\n", "<a href=\"x-1.0.zip\">x");
}

static void crates(void **state)
{
	static const char index[] = "{\"name\":\"x\",\"vers\":\"1.0.0\",\"cksum\":\"aa\",\"yanked\":false,"
				    "\"pubtime\":\"2020-01-01T00:00:00Z\"}\n"
				    "{\"name\":\"x\",\"vers\":\"1.1.0\",\"cksum\":\"bb\",\"yanked\":true}\n";

	(void)state;
	check(REGISTRY_FORMAT_CRATES, NULL, index, "1.0.0 1577836800 sha256 aa\n1.1.0 -1 sha256 bb yanked\n");
	check(REGISTRY_FORMAT_CRATES, "type crates\nrange =1.1.0\n", index,
	      "{\"name\":\"x\",\"vers\":\"1.1.0\",\"cksum\":\"bb\",\"yanked\":true}\n");
	check_bad(REGISTRY_FORMAT_CRATES, "type crates\n", "{\"name\":\"x\"}\n");
	check_bad(REGISTRY_FORMAT_CRATES, "type crates\n", "<html>\n");
}

static void filters(void **state)
{
	static const char *const bad[] = { "", "range 1\n", "type cpan\n", "type npm\nother x\n",
					   "type npm\nspan 1\n \n",
					   "type npm\nrange \n" };
	struct arena *a = arena_new(1 << 20);
	struct registry_filter *f;

	(void)state;
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
		assert_int_equal(registry_filter_read(a, str_of(bad[i]), &f), ERR_INPUT);
	assert_int_equal(registry_filter_read(a, STR("type pypi\nnamed 1.0\nspan 2.0 - 2.5\n"), &f), ERR_OK);
	assert_false(registry_filter_passes(f, STR("x-1.0.0.zip"), STR("1.0.0")));
	assert_true(registry_filter_passes(f, STR("x-1.1.zip"), STR("1.1")));
	assert_false(registry_filter_passes(f, STR("x-2.5.zip"), STR("2.5")));
	assert_true(registry_filter_passes(f, STR("x-2.6.zip"), STR("2.6")));
	arena_free(a);
}

static void times(void **state)
{
	(void)state;
	assert_int_equal(registry_time(STR("1970-01-01T00:00:00Z")), 0);
	assert_int_equal(registry_time(STR("2000-02-29T12:34:56.789Z")), 951827696);
	assert_int_equal(registry_time(STR("2024-12-31T23:59:59-05:30")), 1735709399);
	assert_int_equal(registry_time(STR("2024-13-01T00:00:00Z")), -1);
	assert_int_equal(registry_time(STR("2024-01-01")), -1);
	assert_int_equal(registry_time(STR("")), -1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(npm), cmocka_unit_test(pypi_json), cmocka_unit_test(pypi_html),
		cmocka_unit_test(crates), cmocka_unit_test(filters), cmocka_unit_test(times),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
