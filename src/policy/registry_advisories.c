/* registry_advisories.c - which versions OSV records name
 *
 * Theory of operation: the file is walked object by object (one record, a list of them, or one a line: only
 * the braces outside of strings matter), so that no more than one record is ever a tree. What it says of the
 * ecosystem's packages becomes an array in the order of their names. A version is named by a record if it
 * stands in `versions`, or within the events of one of its ranges; a record that gives neither names every
 * version. Withdrawn records do not count. A parsed file stays for the life of the process: policies that are
 * loaded later, when no file can be read any more, find it here, and an unchanged file is not read twice.
 * Debian's records name source packages, and their versions have an epoch, which no file's name
 * has: it is left away. So is the number of a rebuild (+b1), which the source does not have.
 * The file is the operator's; all the same it is bounded and checked.
 * Source: ossf.github.io/osv-schema 1.6.
 */
#include "policy/registry_filter.h"

#include "base/auto.h"

#include <fcntl.h>
#include <jansson.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#define RECORD_BYTES_MAX (4u * 1024 * 1024)
#define ARENA_BYTES_MAX (256u * 1024 * 1024)
#define PATH_BYTES_MAX 4096

struct span {
	struct str introduced, fixed, last;	/* empty: not given */
};
struct advisory {
	struct str package, id;
	uint32_t version_count, span_count;
	struct str *versions;
	struct span *spans;
};
struct registry_advisories {
	const struct registry_ecosystem *ecosystem;
	struct arena *arena;
	uint32_t count, room;
	struct advisory *items;		/* by package */
	char path[PATH_BYTES_MAX];
	struct stat from;
	struct registry_advisories *next;
};

static struct registry_advisories *known;	/* of the process, newest first */

/* ---- reading ---- */

static struct str copy(struct registry_advisories *s, json_t *text)
{
	return arena_copy(s->arena, str_make(json_string_value(text), json_string_length(text)));
}

static struct str copy_version(struct registry_advisories *s, json_t *text)
{
	struct str whole = str_make(json_string_value(text), json_string_length(text));
	size_t colon = str_find(whole, ':');

	return arena_copy(s->arena,
			  s->ecosystem->sources && colon < whole.n ? str_from(whole, colon + 1) : whole);
}

static enum err read_versions(struct registry_advisories *s, json_t *list, struct advisory *a)
{
	size_t i;
	json_t *item;

	a->versions = arena_array(s->arena, json_array_size(list) + 1, sizeof *a->versions);
	if (!a->versions)
		return ERR_MEMORY;
	json_array_foreach(list, i, item) {
		if (!json_is_string(item))
			continue;
		a->versions[a->version_count] = copy_version(s, item);
		if (!a->versions[a->version_count++].p)
			return ERR_MEMORY;
	}
	return ERR_OK;
}

/* The events of one range: each "introduced" begins a span, the next "fixed" or "last_affected" ends it. */
static enum err read_events(struct registry_advisories *s, json_t *events, struct advisory *a)
{
	size_t i;
	json_t *event;

	json_array_foreach(events, i, event) {
		json_t *introduced = json_object_get(event, "introduced"),
		       *fixed = json_object_get(event, "fixed");
		json_t *last = json_object_get(event, "last_affected");
		struct span *open = a->span_count ? &a->spans[a->span_count - 1] : NULL;

		if (json_is_string(introduced))
			a->spans[a->span_count++].introduced = copy_version(s, introduced);
		else if (open && json_is_string(fixed) && !open->fixed.p && !open->last.p)
			open->fixed = copy_version(s, fixed);
		else if (open && json_is_string(last) && !open->fixed.p && !open->last.p)
			open->last = copy_version(s, last);
	}
	return ERR_OK;
}

static enum err read_ranges(struct registry_advisories *s, json_t *ranges, struct advisory *a)
{
	size_t events = 0, i;
	json_t *range;
	enum err e = ERR_OK;

	json_array_foreach(ranges, i, range)
		events += json_array_size(json_object_get(range, "events"));
	a->spans = arena_array(s->arena, events + 1, sizeof *a->spans);
	if (!a->spans)
		return ERR_MEMORY;
	json_array_foreach(ranges, i, range) {
		struct str type = str_of(json_string_value(json_object_get(range, "type")));

		if (!str_eq(type, STR("GIT")))
			e = read_events(s, json_object_get(range, "events"), a);
	}
	return e;
}

static enum err room(struct registry_advisories *s)
{
	uint32_t more = s->room ? s->room * 2 : 64;
	struct advisory *items;

	if (s->count < s->room)
		return ERR_OK;
	items = reallocarray(s->items, more, sizeof *items);
	if (!items)
		return ERR_MEMORY;
	s->items = items;
	s->room = more;
	return ERR_OK;
}

/* "Debian:12" is "Debian". */
static bool ours(const struct registry_advisories *s, json_t *package)
{
	struct str name = str_of(json_string_value(json_object_get(package, "ecosystem")));

	return str_eq(str_head(name, str_find(name, ':')), str_of(s->ecosystem->osv));
}

static enum err read_affected(struct registry_advisories *s, struct str id, json_t *affected)
{
	json_t *package = json_object_get(affected, "package"), *name = json_object_get(package, "name");
	char normal[REGISTRY_NAME_MAX];
	struct advisory a = { .id = id };
	size_t n;
	enum err e;

	if (!ours(s, package) || !json_is_string(name) ||
	    !s->ecosystem->normalise(str_of(json_string_value(name)), false, normal, &n))
		return ERR_OK;
	a.package = arena_copy(s->arena, str_make(normal, n));
	e = a.package.p ? read_versions(s, json_object_get(affected, "versions"), &a) : ERR_MEMORY;
	if (e == ERR_OK)
		e = read_ranges(s, json_object_get(affected, "ranges"), &a);
	if (e == ERR_OK)
		e = room(s);
	if (e == ERR_OK)
		s->items[s->count++] = a;
	return e;
}

static enum err read_record(struct registry_advisories *s, struct str text)
{
	json_t *root = json_loadb(text.p, text.n, 0, NULL), *affected = json_object_get(root, "affected"),
	       *item;
	json_t *id = json_object_get(root, "id");
	struct str name = json_string_length(id) ? copy(s, id) : STR("an advisory");	/* an empty one would say: none */
	enum err e = !root ? ERR_INPUT : name.n ? ERR_OK : ERR_MEMORY;
	size_t i;

	if (!json_is_string(json_object_get(root, "withdrawn")))
		json_array_foreach(affected, i, item)
			if (e == ERR_OK)
				e = read_affected(s, name, item);
	json_decref(root);
	return e;
}

/* The end of the object at the front of @text, 0 if it has none. */
static size_t object_end(struct str text)
{
	unsigned depth = 0;
	bool quoted = false;

	for (size_t i = 0; i < text.n; i++) {
		char c = text.p[i];

		if (quoted && c == '\\')
			i++;
		else if (c == '"')
			quoted = !quoted;
		else if (!quoted && c == '{')
			depth++;
		else if (!quoted && c == '}' && --depth == 0)
			return i + 1;
	}
	return 0;
}

static enum err read_all(struct registry_advisories *s, struct str text, const char **ret_reason)
{
	while (text.n) {
		size_t end;
		enum err e;

		if (text.p[0] != '{') {
			if (!strchr(" \t\r\n,[]", text.p[0])) {
				*ret_reason = "is not a list of OSV records (JSON)";
				return ERR_INPUT;
			}
			text = str_from(text, 1);
			continue;
		}
		end = object_end(text);
		*ret_reason = "has a record that is no JSON object, or one of more than 4 MiB";
		if (end == 0 || end > RECORD_BYTES_MAX)
			return ERR_INPUT;
		e = read_record(s, str_head(text, end));
		if (e != ERR_OK)
			return e;
		text = str_from(text, end);
	}
	return ERR_OK;
}

static int by_package(const void *a, const void *b)
{
	return str_compare(((const struct advisory *)a)->package, ((const struct advisory *)b)->package);
}

/* ---- the file ---- */

static enum err read_file(int fd, struct buf *out)
{
	for (;;) {
		ssize_t n;

		if (buf_room(out) == 0 ||
		    buf_reserve(out, buf_room(out) < 65536 ? buf_room(out) : 65536) != ERR_OK)
			return ERR_INPUT;
		n = read(fd, buf_tail(out), buf_room(out) < 65536 ? buf_room(out) : 65536);
		if (n < 0)
			return ERR_INPUT;
		if (n == 0)
			return ERR_OK;
		out->len += (size_t)n;
	}
}

static struct registry_advisories *find(const char *path, const struct registry_ecosystem *ecosystem,
					const struct stat *now)
{
	for (struct registry_advisories *s = known; s; s = s->next)
		if (s->ecosystem == ecosystem && strcmp(s->path, path) == 0 &&
		    (!now ||
		     (s->from.st_ino == now->st_ino && s->from.st_dev == now->st_dev &&
		      s->from.st_size == now->st_size && s->from.st_mtim.tv_sec == now->st_mtim.tv_sec &&
		      s->from.st_mtim.tv_nsec == now->st_mtim.tv_nsec)))
			return s;
	return NULL;
}

void registry_advisories_free(struct registry_advisories *s)
{
	arena_free(s->arena);
	free(s->items);
	free(s);
}

enum err registry_advisories_parse(struct str text, const struct registry_ecosystem *ecosystem,
				   struct registry_advisories **ret, const char **ret_reason)
{
	struct registry_advisories *s = calloc(1, sizeof *s);
	enum err e;

	if (!s)
		return ERR_MEMORY;
	s->ecosystem = ecosystem;
	s->arena = arena_new(ARENA_BYTES_MAX);
	e = s->arena ? read_all(s, text, ret_reason) : ERR_MEMORY;
	if (e != ERR_OK) {
		registry_advisories_free(s);
		return e;
	}
	if (s->count)
		qsort(s->items, s->count, sizeof *s->items, by_package);
	*ret = s;
	return ERR_OK;
}

static enum err load(int fd, const char *path, const struct registry_ecosystem *ecosystem,
		     const struct stat *from, const char **ret_reason)
{
	struct registry_advisories *s;
	auto_buf text = BUF_EMPTY;
	enum err e;

	buf_init(&text, ADVISORIES_BYTES_MAX);
	*ret_reason = "cannot be read, or has more than 64 MiB";
	e = read_file(fd, &text);
	if (e == ERR_OK)
		e = registry_advisories_parse(buf_str(&text), ecosystem, &s, ret_reason);
	if (e != ERR_OK)
		return e;
	s->from = *from;
	memcpy(s->path, path, strlen(path) + 1);
	s->next = known;
	known = s;
	return ERR_OK;
}

enum err registry_advisories_read(struct arena *a, struct str path,
				  const struct registry_ecosystem *ecosystem,
				  const struct registry_advisories **ret, const char **ret_reason)
{
	struct str z = arena_copy(a, path);
	struct stat now;
	enum err e = ERR_OK;

	*ret_reason = "has too long a path";
	if (!z.p || path.n >= PATH_BYTES_MAX)
		return z.p ? ERR_INPUT : ERR_MEMORY;
	auto_fd fd = open(z.p, O_RDONLY | O_CLOEXEC | O_NONBLOCK);

	if (fd >= 0 && (fstat(fd, &now) != 0 || !S_ISREG(now.st_mode))) {
		*ret_reason = "is not a file";
		return ERR_INPUT;
	}
	*ret = find(z.p, ecosystem, fd >= 0 ? &now : NULL);
	if (!*ret && fd < 0) {
		*ret_reason = "cannot be opened";
		return ERR_INPUT;
	}
	if (!*ret) {
		e = load(fd, z.p, ecosystem, &now, ret_reason);
		*ret = e == ERR_OK ? known : NULL;
	}
	return e;
}

/* ---- asking ---- */

/* A bound that is no version of the ecosystem ends nothing: doubt is for the record. */
static bool within(const struct registry_ecosystem *ecosystem, const struct span *s, struct str v)
{
	int order;

	if (!str_eq(s->introduced, STR("0")) &&
	    version_compare(ecosystem->scheme, v, s->introduced, &order) && order < 0)
		return false;
	if (s->fixed.p && version_compare(ecosystem->scheme, v, s->fixed, &order) && order >= 0)
		return false;
	return !s->last.p || !version_compare(ecosystem->scheme, v, s->last, &order) || order <= 0;
}

static bool names(const struct registry_ecosystem *ecosystem, const struct advisory *a, struct str v)
{
	int order;

	for (uint32_t i = 0; i < a->version_count; i++)
		if (str_eq(a->versions[i], v) ||
		    (version_compare(ecosystem->scheme, a->versions[i], v, &order) && order == 0))
			return true;
	for (uint32_t i = 0; i < a->span_count; i++)
		if (within(ecosystem, &a->spans[i], v))
			return true;
	return a->version_count == 0 && a->span_count == 0;
}

/* The first record of @package; s->count if there is none before another name. */
static uint32_t first(const struct registry_advisories *s, struct str package)
{
	uint32_t low = 0, high = s->count;

	while (low < high) {
		uint32_t middle = low + (high - low) / 2;

		if (str_compare(s->items[middle].package, package) < 0)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

/* "1.2-3+b1" is built from 1.2-3. */
static struct str without_rebuild(struct str v)
{
	size_t n = v.n;

	while (n && ascii_digit(v.p[n - 1]))
		n--;
	return n < v.n && n > 2 && v.p[n - 1] == 'b' && v.p[n - 2] == '+' ? str_head(v, n - 2) : v;
}

struct str registry_advisory(const struct registry_advisories *s, struct str package, struct str version)
{
	if (s->ecosystem->sources)
		version = without_rebuild(version);
	for (uint32_t i = first(s, package); i < s->count && str_eq(s->items[i].package, package); i++)
		if (names(s->ecosystem, &s->items[i], version))
			return s->items[i].id;
	return (struct str){ NULL, 0 };
}

/* A word of a line, or what stands for it if it cannot be one. */
static void put_word(struct buf *out, struct str s, const char *otherwise)
{
	bool good = s.n > 0 && !str_eq(s, STR("-"));

	for (size_t i = 0; i < s.n; i++)
		good = good && (uint8_t)s.p[i] > 0x20;
	buf_put_z(out, " ");
	buf_put(out, good ? s : str_of(otherwise));
}

static void put_advisory(const struct advisory *a, struct buf *out)
{
	for (uint32_t i = 0; i < a->version_count; i++) {
		buf_put_z(out, "named");
		put_word(out, a->versions[i], "-");
		buf_put_z(out, "\n");
	}
	for (uint32_t i = 0; i < a->span_count; i++) {
		buf_put_z(out, "span");
		put_word(out, a->spans[i].introduced, "0");
		put_word(out, a->spans[i].fixed, "-");
		put_word(out, a->spans[i].last, "-");
		buf_put_z(out, "\n");
	}
	if (a->version_count == 0 && a->span_count == 0)
		buf_put_z(out, "span 0 - -\n");
}

void registry_advisories_put(const struct registry_advisories *s, struct str package, struct buf *out)
{
	for (uint32_t i = first(s, package); i < s->count && str_eq(s->items[i].package, package); i++)
		put_advisory(&s->items[i], out);
}
