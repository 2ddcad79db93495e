/* job_registry.c - package metadata as jobs
 *
 * DECODER_NPM, DECODER_PYPI_HTML, DECODER_PYPI_JSON, DECODER_CRATES: parameters
 * are a filter (policy/registry_filter.h); the output is what it leaves.
 * DECODER_METADATA: the parameter is a format ("npm", "pypi-html", "pypi-json", "crates"); no output, and a
 * fact "release" for each version or file: "<item> <published or -> <algorithm or -> <digest or -> <yanked or
 * ->".
 */
#include "decoder/kinds.h"
#include "decoder/registry.h"

#include <stdio.h>

#define FILTER_MEMORY_MAX (16u * 1024 * 1024)

struct registry_state {
	struct arena *arena;
	struct registry_filter *filter;
	struct registry_reader *reader;
};

static enum err output(void *user, struct str bytes) { return job_output(user, bytes); }

static bool one_word(struct str s)
{
	for (size_t i = 0; i < s.n; i++)
		if ((uint8_t)s.p[i] <= 0x20)
			return false;
	return s.n > 0 && s.n <= 512;
}

static enum err release(void *user, const struct registry_release *r)
{
	auto_buf line = BUF_EMPTY;
	bool digest = one_word(r->digest) && one_word(r->algorithm);

	if (!one_word(r->item))
		return ERR_OK;
	buf_init(&line, 2048);
	buf_put(&line, r->item);
	if (r->published < 0)
		buf_put_z(&line, " -");
	else
		buf_printf(&line, " %lld", (long long)r->published);
	buf_put_z(&line, " ");
	buf_put(&line, digest ? r->algorithm : STR("-"));
	buf_put_z(&line, " ");
	buf_put(&line, digest ? r->digest : STR("-"));
	buf_put_z(&line, r->yanked ? " yanked" : " -");
	return buf_err(&line) == ERR_OK ? job_fact(user, STR("release"), buf_str(&line)) : ERR_OK;
}

static enum err result(struct job *j, enum err e)
{
	if (e == ERR_DECODER || e == ERR_INPUT)
		return job_fail(j, ERR_DECODER, "it is not the metadata of a package");
	return e == ERR_MEMORY ? job_fail(j, e, "no memory") : e;
}

static enum err begin(struct job *j, enum registry_format format, const struct registry_reader_ops *ops)
{
	struct registry_state *s = job_state(j);

	s->reader = registry_reader_new(format, s->filter, ops, j);
	return result(j, s->reader ? ERR_OK : ERR_MEMORY);
}

static enum err filter_start(struct job *j, enum registry_format format, struct str parameters)
{
	static const struct registry_reader_ops ops = { .output = output };
	struct registry_state *s = job_state(j);
	struct str text;
	enum err e;

	s->arena = arena_new(FILTER_MEMORY_MAX);
	text = s->arena ? arena_copy(s->arena, parameters) : (struct str){ NULL, 0 };
	e = text.p ? registry_filter_read(s->arena, text, &s->filter) : ERR_MEMORY;
	return e == ERR_OK ? begin(j, format, &ops) : job_fail(j, e, "the filter cannot be read");
}

static enum err input(struct job *j, struct str bytes)
{
	struct registry_state *s = job_state(j);
	enum err e = result(j, registry_reader_feed(s->reader, bytes));

	return e == ERR_OK ? job_mark(j, job_taken(j)) : e;	/* so that who gives it more
								   knows what is under way */
}

static enum err end(struct job *j)
{
	struct registry_state *s = job_state(j);

	return result(j, registry_reader_end(s->reader));
}

static void registry_free(struct job *j)
{
	struct registry_state *s = job_state(j);

	registry_reader_free(s->reader);
	arena_free(s->arena);
}

static enum err npm_start(struct job *j, struct str p) { return filter_start(j, REGISTRY_FORMAT_NPM, p); }
static enum err html_start(struct job *j, struct str p) { return filter_start(j, REGISTRY_FORMAT_PYPI_HTML, p); }
static enum err json_start(struct job *j, struct str p) { return filter_start(j, REGISTRY_FORMAT_PYPI_JSON, p); }
static enum err crates_start(struct job *j, struct str p) { return filter_start(j, REGISTRY_FORMAT_CRATES, p); }

static enum err metadata_start(struct job *j, struct str parameters)
{
	static const struct registry_reader_ops ops = { .release = release };
	static const struct str names[] = {
		[REGISTRY_FORMAT_NPM] = STR_INIT("npm"), [REGISTRY_FORMAT_PYPI_JSON] = STR_INIT("pypi-json"),
		[REGISTRY_FORMAT_PYPI_HTML] = STR_INIT("pypi-html"),
		[REGISTRY_FORMAT_CRATES] = STR_INIT("crates"),
	};

	for (unsigned i = 0; i < sizeof names / sizeof *names; i++)
		if (str_eq(parameters, names[i]))
			return begin(j, (enum registry_format)i, &ops);
	return job_fail(j, ERR_INPUT, "no such format");
}

#define KIND(words, begins) { .name = words, .state_bytes = sizeof(struct registry_state), .start = begins, \
			      .input = input, .end = end, .free = registry_free }
const struct job_kind job_npm = KIND("npm metadata", npm_start);
const struct job_kind job_pypi_html = KIND("PyPI page", html_start);
const struct job_kind job_pypi_json = KIND("PyPI metadata", json_start);
const struct job_kind job_crates = KIND("crate index", crates_start);
const struct job_kind job_metadata = KIND("metadata", metadata_start);
