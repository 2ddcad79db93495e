/* registry_npm.c - npm's packument: what is left of it, and what it says of each version
 *
 * Theory of operation: "versions" and "time" have a member for each version, which passes or does not;
 * everything else is copied, but for "dist-tags": it is held until the end, when all versions are known. A
 * tag whose version is gone goes with it, and "latest" points to the newest that is left: the highest up to
 * where it pointed, rather a release than a pre-release. The order of members has no meaning in JSON.
 * Abbreviated documents (no "time") are read in the same way.
 * Source: github.com/npm/registry docs/responses/package-metadata.md.
 */
#include "decoder/registry_readers.h"

#include "decoder/json_walk.h"

#include <jansson.h>
#include <stdlib.h>

#define VERSIONS_MAX 50000
#define ARENA_MAX (64u * 1024 * 1024)

struct known {
	struct str version, algorithm, digest;
	int64_t published;		/* -1: not known */
};
struct npm {
	struct registry_reader *reader;
	struct json_walk *walk;
	struct arena *arena;
	uint32_t count, room;
	struct known *items;		/* of versions, and of times, one after the other */
	char *tags;			/* "dist-tags" as it came, freed */
	size_t tags_bytes;
};

/* ---- what is known of versions ---- */

static struct known *add(struct npm *n, struct str version)
{
	struct known *k;

	if (n->count == VERSIONS_MAX)
		return NULL;
	if (n->count == n->room) {
		uint32_t more = n->room ? n->room * 2 : 256;

		k = reallocarray(n->items, more, sizeof *k);
		if (!k)
			return NULL;
		n->items = k;
		n->room = more;
	}
	k = &n->items[n->count];
	*k = (struct known){ .version = arena_copy(n->arena, version), .published = -1 };
	if (!k->version.p)
		return NULL;
	n->count++;
	return k;
}

/* "sha512-<base64>" (the first, if there are several), else the SHA-1 in hex. */
static enum err take_dist(struct npm *n, struct str version, struct str value)
{
	json_t *dist = json_loadb(value.p, value.n, 0, NULL);
	struct str integrity = str_of(json_string_value(json_object_get(dist, "integrity")));
	struct str shasum = str_of(json_string_value(json_object_get(dist, "shasum")));
	struct known *k = add(n, version);
	enum err e = k ? ERR_OK : ERR_MEMORY;

	integrity = str_head(integrity, str_find(integrity, ' '));
	if (k && str_find(integrity, '-') < integrity.n) {
		k->algorithm = arena_copy(n->arena, str_head(integrity, str_find(integrity, '-')));
		k->digest = arena_copy(n->arena, str_from(integrity, str_find(integrity, '-') + 1));
	} else if (k && shasum.n) {
		k->algorithm = STR("sha1");
		k->digest = arena_copy(n->arena, shasum);
	}
	json_decref(dist);
	return e;
}

static enum err take_time(struct npm *n, struct str version, struct str value)
{
	struct known *k = add(n, version);

	if (!k)
		return ERR_MEMORY;
	if (value.n > 2)
		k->published = registry_time(str_head(str_from(value, 1), value.n - 2));
	return ERR_OK;
}

static int by_version(const void *a, const void *b)
{
	return str_compare(((const struct known *)a)->version, ((const struct known *)b)->version);
}

/* Versions and their times stand side by side once sorted. */
static enum err tell_releases(struct npm *n)
{
	enum err e = ERR_OK;

	if (n->count)
		qsort(n->items, n->count, sizeof *n->items, by_version);
	for (uint32_t i = 0; i < n->count && e == ERR_OK; ) {
		struct registry_release r = { .item = n->items[i].version, .published = -1 };

		for (; i < n->count && str_eq(n->items[i].version, r.item); i++) {
			const struct known *k = &n->items[i];

			if (k->digest.n) {
				r.algorithm = k->algorithm;
				r.digest = k->digest;
			}
			r.published = k->published > r.published ? k->published : r.published;
		}
		if (version_valid(VERSION_NPM, r.item))
			e = registry_release(n->reader, &r);
	}
	return e;
}

/* ---- tags ---- */

static bool is_left(const struct npm *n, struct str version)
{
	for (uint32_t i = 0; i < n->count; i++)
		if (str_eq(n->items[i].version, version))
			return true;
	return false;
}

/* Is @a a better "latest" than @b? */
static bool better(struct str a, struct str b, struct str before)
{
	int of_a, of_b, order;
	bool pre_a, pre_b;

	if (!b.n)
		return true;
	if (!version_compare(VERSION_NPM, a, b, &order))
		return false;
	if (version_compare(VERSION_NPM, a, before, &of_a) &&
	    version_compare(VERSION_NPM, b, before, &of_b) && (of_a <= 0) != (of_b <= 0))
		return of_a <= 0;
	pre_a = version_prerelease(VERSION_NPM, a);
	pre_b = version_prerelease(VERSION_NPM, b);
	return pre_a != pre_b ? pre_b : order > 0;
}

static struct str newest(const struct npm *n, struct str before)
{
	struct str best = { NULL, 0 };

	for (uint32_t i = 0; i < n->count; i++)
		if (version_valid(VERSION_NPM, n->items[i].version) &&
		    better(n->items[i].version, best, before))
			best = n->items[i].version;
	return best;
}

static enum err put_tags(struct npm *n)
{
	json_t *tags = json_loadb(n->tags, n->tags_bytes, 0, NULL), *kept = json_object(), *value;
	const char *name;
	char *text;
	enum err e;

	json_object_foreach(tags, name, value) {
		struct str version = str_of(json_string_value(value));

		if (!is_left(n, version) && str_eq(str_of(name), STR("latest")))
			version = newest(n, version);
		if (is_left(n, version))
			json_object_set_new(kept, name, json_stringn(version.p, version.n));
	}
	text = json_dumps(kept, JSON_COMPACT);
	e = text ? json_walk_put(n->walk, STR("dist-tags"), str_of(text)) : ERR_MEMORY;
	free(text);
	json_decref(kept);
	json_decref(tags);
	return e;
}

/* ---- the document ---- */

static enum json_choice choose_member(struct npm *n, struct str key, bool write)
{
	if (str_eq(key, STR("versions")) || str_eq(key, STR("time")))
		return JSON_WALK_ENTER;
	if (!write)
		return JSON_WALK_DROP;
	(void)n;
	return str_eq(key, STR("dist-tags")) ? JSON_WALK_TAKE : JSON_WALK_COPY;
}

static enum json_choice choose(void *user, struct json_walk *w, struct str key)
{
	struct npm *n = user;
	bool write = n->reader->ops->output, versions;

	if (json_walk_depth(w) == 0)
		return JSON_WALK_ENTER;
	if (json_walk_depth(w) == 1)
		return choose_member(n, key, write);
	versions = str_eq(json_walk_key(w, 1), STR("versions"));
	if (json_walk_depth(w) == 3)
		return str_eq(key, STR("dist")) ? JSON_WALK_TAKE : JSON_WALK_DROP;
	if (!write)
		return versions ? JSON_WALK_ENTER : JSON_WALK_TAKE;
	if (!versions && !version_valid(VERSION_NPM, key))
		return JSON_WALK_COPY;		/* "created", "modified" */
	if (!registry_passes(n->reader, key, key))
		return JSON_WALK_DROP;
	if (versions && !add(n, key))
		return JSON_WALK_DROP;
	return JSON_WALK_COPY;
}

static enum err taken(void *user, struct json_walk *w, struct str key, struct str value)
{
	struct npm *n = user;

	if (json_walk_depth(w) == 3)
		return take_dist(n, json_walk_key(w, 2), value);
	if (json_walk_depth(w) == 2)
		return take_time(n, key, value);
	free(n->tags);		/* named twice: the last one counts, as for every reader */
	n->tags = malloc(value.n + 1);
	n->tags_bytes = value.n;
	if (n->tags)
		memcpy(n->tags, value.p, value.n);
	return n->tags ? ERR_OK : ERR_MEMORY;
}

static enum err leave(void *user, struct json_walk *w)
{
	struct npm *n = user;

	return json_walk_depth(w) == 1 && n->tags ? put_tags(n) : ERR_OK;
}

static enum err output(void *user, struct str bytes)
{
	struct npm *n = user;

	return registry_output(n->reader, bytes);
}

/* ---- the reader ---- */

static void destroy(void *state)
{
	struct npm *n = state;

	json_walk_free(n->walk);
	arena_free(n->arena);
	free(n->items);
	free(n->tags);
	free(n);
}

static void *create(struct registry_reader *r)
{
	static const struct json_walk_ops ops = { .choose = choose, .taken = taken, .leave = leave,
						  .output = output };
	struct npm *n = calloc(1, sizeof *n);

	if (!n)
		return NULL;
	n->reader = r;
	n->walk = json_walk_new(&ops, n);
	n->arena = arena_new(ARENA_MAX);
	if (n->walk && n->arena)
		return n;
	destroy(n);
	return NULL;
}

static enum err feed(struct registry_reader *r, struct str bytes)
{
	struct npm *n = r->state;

	return json_walk_feed(n->walk, bytes);
}

static enum err end(struct registry_reader *r)
{
	struct npm *n = r->state;
	enum err e = json_walk_end(n->walk);

	return e == ERR_OK && !r->ops->output ? tell_releases(n) : e;
}

const struct registry_reader_kind registry_reader_npm = { create, destroy, feed, end };
