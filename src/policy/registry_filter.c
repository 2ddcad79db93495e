/* registry_filter.c - see registry_filter.h
 *
 * Written by the courier and read by paddock-decoder, which is not trusted with more than
 * its own exchange: the file that the guest then asks for is judged by the courier itself.
 */
#include "policy/registry_filter.h"

#include "base/glob.h"

#include <stdlib.h>

struct span {
	struct str introduced, fixed, last;
};
struct list {
	uint32_t count, room;
	struct str *items;
};
struct registry_filter {
	const struct registry_ecosystem *ecosystem;
	struct list ranges, named, not, only;
	uint32_t span_count;
	struct span *spans;
	bool closed;			/* there was an "only" */
};

/* ---- writing ---- */

static bool one_word(struct str s)
{
	for (size_t i = 0; i < s.n; i++)
		if ((uint8_t)s.p[i] <= 0x20)
			return false;
	return s.n > 0;
}

static bool one_line(struct str s) { return s.n && str_find(s, '\n') == s.n; }

void registry_filter_put(const struct registry_rule *rule, struct str package, struct buf *out)
{
	buf_put_z(out, "type ");
	buf_put_z(out, rule->ecosystem->name);
	buf_put_z(out, "\n");
	for (uint32_t i = 0; i < rule->range_count; i++) {
		const struct registry_range *r = &rule->ranges[i];

		if (!registry_range_concerns(r, package) || !one_line(r->range))
			continue;
		buf_put_z(out, "range ");
		buf_put(out, r->range);
		buf_put_z(out, "\n");
	}
	if (rule->advisories)
		registry_advisories_put(rule->advisories, package, out);
}

/* ---- reading ---- */

static int by_bytes(const void *a, const void *b)
{
	return str_compare(*(const struct str *)a, *(const struct str *)b);
}

static enum err add(struct arena *a, struct list *l, struct str item)
{
	if (l->count == REGISTRY_FILTER_ITEMS_MAX)
		return ERR_INPUT;
	if (l->count == l->room) {
		uint32_t more = l->room ? l->room * 2 : 16;
		struct str *items = arena_array(a, more, sizeof *items);

		if (!items)
			return ERR_MEMORY;
		for (uint32_t i = 0; i < l->count; i++)
			items[i] = l->items[i];
		l->items = items;
		l->room = more;
	}
	l->items[l->count++] = item;
	return ERR_OK;
}

static struct str word(struct str *rest)
{
	struct str w = str_head(*rest, str_find(*rest, ' '));

	*rest = str_from(*rest, w.n + 1);
	return str_eq(w, STR("-")) ? (struct str){ NULL, 0 } : w;
}

static enum err add_span(struct registry_filter *f, uint32_t room, struct str rest)
{
	struct span s = { .introduced = word(&rest) };

	s.fixed = word(&rest);
	s.last = word(&rest);
	if (f->span_count == room || !s.introduced.n || rest.n)
		return ERR_INPUT;
	f->spans[f->span_count++] = s;
	return ERR_OK;
}

static enum err set_type(struct registry_filter *f, struct str name)
{
	for (unsigned i = 0; i < REGISTRY_TYPES; i++)
		if (str_eq(name, str_of(registry_ecosystem((enum registry_type)i)->name)))
			f->ecosystem = registry_ecosystem((enum registry_type)i);
	return f->ecosystem ? ERR_OK : ERR_INPUT;
}

static enum err read_line(struct arena *a, struct registry_filter *f, uint32_t spans, struct str line)
{
	struct str rest = line, key = word(&rest);

	if (str_eq(key, STR("type")))
		return set_type(f, rest);
	if (!f->ecosystem || !rest.n)
		return ERR_INPUT;
	if (str_eq(key, STR("range")))
		return add(a, &f->ranges, rest);
	if (str_eq(key, STR("named")))
		return add(a, &f->named, rest);
	if (str_eq(key, STR("span")))
		return add_span(f, spans, rest);
	if (str_eq(key, STR("not")))
		return add(a, &f->not, rest);
	f->closed = true;
	return str_eq(key, STR("only")) ? add(a, &f->only, rest) : ERR_INPUT;
}

enum err registry_filter_read(struct arena *a, struct str text, struct registry_filter **ret)
{
	struct registry_filter *f = arena_alloc(a, sizeof *f);
	struct str rest = text;
	uint32_t spans = 0;
	enum err e = ERR_OK;

	for (size_t i = 0; i < text.n; i++)
		spans += text.p[i] == '\n';
	if (!f || !(f->spans = arena_array(a, spans + 1, sizeof *f->spans)))
		return ERR_MEMORY;
	while (rest.n && e == ERR_OK) {
		struct str line = str_head(rest, str_find(rest, '\n'));

		rest = str_from(rest, line.n + 1);
		e = read_line(a, f, spans, line);
	}
	if (e != ERR_OK || !f->ecosystem)
		return e == ERR_OK ? ERR_INPUT : e;
	if (f->not.count)
		qsort(f->not.items, f->not.count, sizeof *f->not.items, by_bytes);
	if (f->only.count)
		qsort(f->only.items, f->only.count, sizeof *f->only.items, by_bytes);
	*ret = f;
	return ERR_OK;
}

const struct registry_ecosystem *registry_filter_ecosystem(const struct registry_filter *f) { return f->ecosystem; }

/* ---- asking ---- */

static bool within(enum version_scheme scheme, const struct span *s, struct str v)
{
	int order;

	if (!str_eq(s->introduced, STR("0")) && version_compare(scheme, v, s->introduced, &order) &&
	    order < 0)
		return false;
	if (s->fixed.n && version_compare(scheme, v, s->fixed, &order) && order >= 0)
		return false;
	return !s->last.n || !version_compare(scheme, v, s->last, &order) || order <= 0;
}

static bool listed(const struct list *l, struct str item)
{
	return l->count && bsearch(&item, l->items, l->count, sizeof *l->items, by_bytes);
}

bool registry_filter_passes(const struct registry_filter *f, struct str item, struct str version)
{
	enum version_scheme scheme = f->ecosystem->scheme;
	int order;

	if (listed(&f->not, item) || (f->closed && !listed(&f->only, item)))
		return false;
	for (uint32_t i = 0; i < f->ranges.count; i++)
		if (!version_in_range(scheme, f->ranges.items[i], version))
			return false;
	for (uint32_t i = 0; i < f->named.count; i++)
		if (str_eq(f->named.items[i], version) ||
		    (version_compare(scheme, f->named.items[i], version, &order) && order == 0))
			return false;
	for (uint32_t i = 0; i < f->span_count; i++)
		if (within(scheme, &f->spans[i], version))
			return false;
	return one_word(item);
}
