/* registry_pypi.c - a Python project's files, in JSON:
 * the simple API's and the older one of /pypi/<name>/json
 *
 * Theory of operation: "files" and "urls" are lists of files, "releases" has one for each version;
 * each file is taken, looked at by its name, and written as it came or left out. All else is copied.
 * Source: PEP 691, 700, 592; docs.pypi.org/api/json.
 */
#include "decoder/registry_readers.h"

#include "decoder/json_walk.h"

#include <jansson.h>
#include <stdlib.h>

struct pypi {
	struct registry_reader *reader;
	struct json_walk *walk;
};

static enum json_choice choose(void *user, struct json_walk *w, struct str key)
{
	struct pypi *p = user;
	enum json_choice otherwise = p->reader->ops->output ? JSON_WALK_COPY : JSON_WALK_DROP;
	struct str of;

	switch (json_walk_depth(w)) {
	case 0:
		return JSON_WALK_ENTER;
	case 1:
		return str_eq(key, STR("files")) || str_eq(key, STR("urls")) || str_eq(key, STR("releases"))
			       ? JSON_WALK_ENTER : otherwise;
	case 2:
		of = json_walk_key(w, 1);
		return str_eq(of, STR("releases")) ? JSON_WALK_ENTER : JSON_WALK_TAKE;
	default:
		return JSON_WALK_TAKE;
	}
}

static const char *text_of(json_t *o, const char *name) { return json_string_value(json_object_get(o, name)); }

static enum err tell(struct pypi *p, json_t *file, struct str name)
{
	const char *time = text_of(file, "upload-time"),
		   *hash = text_of(json_object_get(file, "hashes"), "sha256");
	json_t *yanked = json_object_get(file, "yanked");
	struct registry_release r = { .item = name, .published = -1 };

	if (!time)
		time = text_of(file, "upload_time_iso_8601");
	if (!hash)
		hash = text_of(json_object_get(file, "digests"), "sha256");
	if (time)
		r.published = registry_time(str_of(time));
	if (hash) {
		r.algorithm = STR("sha256");
		r.digest = str_of(hash);
	}
	r.yanked = json_is_true(yanked) || json_is_string(yanked);
	return registry_release(p->reader, &r);
}

static enum err taken(void *user, struct json_walk *w, struct str key, struct str value)
{
	struct pypi *p = user;
	json_t *file = json_loadb(value.p, value.n, 0, NULL);
	struct str name = str_of(text_of(file, "filename"));
	enum err e = ERR_OK;

	(void)key;
	if (file && name.n && registry_file_passes(p->reader, name)) {
		e = tell(p, file, name);
		if (e == ERR_OK)
			e = json_walk_put(w, STR(""), value);
	}
	json_decref(file);
	return e;
}

static enum err output(void *user, struct str bytes)
{
	struct pypi *p = user;

	return registry_output(p->reader, bytes);
}

static void destroy(void *state)
{
	struct pypi *p = state;

	json_walk_free(p->walk);
	free(p);
}

static void *create(struct registry_reader *r)
{
	static const struct json_walk_ops ops = { .choose = choose, .taken = taken, .output = output };
	struct pypi *p = calloc(1, sizeof *p);

	if (!p)
		return NULL;
	p->reader = r;
	p->walk = json_walk_new(&ops, p);
	if (p->walk)
		return p;
	free(p);
	return NULL;
}

static enum err feed(struct registry_reader *r, struct str bytes)
{
	struct pypi *p = r->state;

	return json_walk_feed(p->walk, bytes);
}

static enum err end(struct registry_reader *r)
{
	struct pypi *p = r->state;

	return json_walk_end(p->walk);
}

const struct registry_reader_kind registry_reader_pypi_json = { create, destroy, feed, end };
