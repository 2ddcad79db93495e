/* registry_crates.c - the sparse index's file of a crate: one JSON object a line, one line a version
 *
 * A line passes if its version does; a line that is no such object is refused with all the rest.
 * Source: doc.rust-lang.org/cargo/reference/registry-index.html ("pubtime": when it was published).
 */
#include "decoder/registry_readers.h"

#include <jansson.h>
#include <stdlib.h>

#define LINE_MAX_BYTES (128u * 1024)

struct crates {
	struct buf line;
};

static enum err line_over(struct registry_reader *r, struct str line)
{
	json_t *root = json_loadb(line.p, line.n, 0, NULL);
	const char *version = json_string_value(json_object_get(root, "vers"));
	const char *digest = json_string_value(json_object_get(root, "cksum"));
	const char *time = json_string_value(json_object_get(root, "pubtime"));
	struct registry_release release = {
		.item = str_of(version), .published = time ? registry_time(str_of(time)) : -1,
		.algorithm = STR("sha256"), .digest = str_of(digest),
		.yanked = json_is_true(json_object_get(root, "yanked")),
	};
	enum err e = version ? ERR_OK : ERR_DECODER;

	if (e == ERR_OK && version_valid(VERSION_CARGO, release.item) &&
	    registry_passes(r, release.item, release.item)) {
		e = registry_release(r, &release);
		if (e == ERR_OK)
			e = registry_output(r, line);
		if (e == ERR_OK)
			e = registry_output(r, STR("\n"));
	}
	json_decref(root);
	return e;
}

static enum err end(struct registry_reader *r)
{
	struct crates *c = r->state;
	enum err e = ERR_OK;

	if (buf_err(&c->line) != ERR_OK)
		return buf_err(&c->line) == ERR_MEMORY ? ERR_MEMORY : ERR_DECODER;
	if (c->line.len)
		e = line_over(r, buf_str(&c->line));
	buf_clear(&c->line);
	return e;
}

static enum err feed(struct registry_reader *r, struct str bytes)
{
	struct crates *c = r->state;
	enum err e = ERR_OK;

	while (bytes.n && e == ERR_OK) {
		struct str part = str_head(bytes, str_find(bytes, '\n'));

		buf_put(&c->line, part);
		if (part.n < bytes.n)
			e = end(r);
		bytes = str_from(bytes, part.n + 1);
	}
	return e;
}

static void *create(struct registry_reader *r)
{
	struct crates *c = calloc(1, sizeof *c);

	(void)r;
	if (c)
		buf_init(&c->line, LINE_MAX_BYTES);
	return c;
}

static void destroy(void *state)
{
	struct crates *c = state;

	buf_free(&c->line);
	free(c);
}

const struct registry_reader_kind registry_reader_crates = { create, destroy, feed, end };
