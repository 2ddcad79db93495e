/* registry.c - the formats of metadata behind one interface, and what they share; see registry.h */
#include "decoder/registry_readers.h"

#include "base/clock.h"

#include <stdlib.h>

static const struct registry_reader_kind *const kinds[] = {
	[REGISTRY_FORMAT_NPM] = &registry_reader_npm,
	[REGISTRY_FORMAT_PYPI_JSON] = &registry_reader_pypi_json,
	[REGISTRY_FORMAT_PYPI_HTML] = &registry_reader_pypi_html,
	[REGISTRY_FORMAT_CRATES] = &registry_reader_crates,
};

struct registry_reader *registry_reader_new(enum registry_format format, const struct registry_filter *filter,
					    const struct registry_reader_ops *ops, void *user)
{
	struct registry_reader *r = calloc(1, sizeof *r);

	if (!r)
		return NULL;
	*r = (struct registry_reader){ .format = format, .filter = filter, .ops = ops, .user = user };
	r->state = kinds[format]->create(r);
	if (r->state)
		return r;
	free(r);
	return NULL;
}

void registry_reader_free(struct registry_reader *r)
{
	if (r)
		kinds[r->format]->destroy(r->state);
	free(r);
}

enum err registry_reader_feed(struct registry_reader *r, struct str bytes) { return kinds[r->format]->feed(r, bytes); }

enum err registry_reader_end(struct registry_reader *r) { return kinds[r->format]->end(r); }

enum err registry_output(const struct registry_reader *r, struct str bytes)
{
	return r->ops->output && bytes.n ? r->ops->output(r->user, bytes) : ERR_OK;
}

enum err registry_release(const struct registry_reader *r, const struct registry_release *release)
{
	return r->ops->release ? r->ops->release(r->user, release) : ERR_OK;
}

bool registry_passes(const struct registry_reader *r, struct str item, struct str version)
{
	return !r->filter || registry_filter_passes(r->filter, item, version);
}

bool registry_file_passes(const struct registry_reader *r, struct str file)
{
	struct registry_request q;

	return !r->filter || (registry_pypi_file(file, &q) && registry_passes(r, file, registry_version(&q)));
}

/* ---- times ---- */

static bool number(struct str *s, size_t digits, int64_t *ret)
{
	uint64_t v;

	if (!str_decimal(str_head(*s, digits), 9999, &v) || s->n < digits)
		return false;
	*s = str_from(*s, digits);
	*ret = (int64_t)v;
	return true;
}

static bool skip(struct str *s, const char *any)
{
	if (s->n == 0 || !strchr(any, s->p[0]))
		return false;
	*s = str_from(*s, 1);
	return true;
}

int64_t registry_time(struct str s)
{
	int64_t year, month, day, hour, minute, second, offset_hour = 0, offset_minute = 0;
	bool before;

	if (!number(&s, 4, &year) || !skip(&s, "-") || !number(&s, 2, &month) || !skip(&s, "-") ||
	    !number(&s, 2, &day) || !skip(&s, "Tt ") || !number(&s, 2, &hour) || !skip(&s, ":") ||
	    !number(&s, 2, &minute) || !skip(&s, ":") || !number(&s, 2, &second))
		return -1;
	if (skip(&s, "."))
		while (s.n && ascii_digit(s.p[0]))
			s = str_from(s, 1);
	before = s.n && s.p[0] == '-';
	if (!skip(&s, "Zz") && s.n &&
	    (!skip(&s, "+-") || !number(&s, 2, &offset_hour) || !skip(&s, ":") ||
	     !number(&s, 2, &offset_minute)))
		return -1;
	if (s.n || year < 1970 || month < 1 || month > 12 || day < 1 || day > 31 || hour > 23 ||
	    minute > 59 || second > 60)
		return -1;
	offset_minute += offset_hour * 60;
	return (int64_t)clock_civil_s((uint64_t)year, (uint64_t)month, (uint64_t)day, (uint64_t)hour,
				      (uint64_t)minute, (uint64_t)second) +
	       (before ? offset_minute : -offset_minute) * 60;
}
