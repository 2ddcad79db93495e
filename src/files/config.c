/* config.c - the configuration of paddock-files, from JSON               (see config.h)
 *
 * Written by the supervisor, so trusted; checked all the same, because what is misread here is
 * a file served that should not be.
 */
#include "files/config.h"

#include <jansson.h>
#include <stdio.h>

#define ARENA_BYTES (8u * 1024 * 1024)

struct parse {
	struct config *c;
	char *text;
};

static enum err bad(struct parse *p, const char *what)
{
	snprintf(p->text, 160, "%s", what);
	return ERR_INPUT;
}

static bool copy(struct parse *p, const json_t *value, struct str *ret)
{
	*ret = arena_copy(p->c->arena, str_make(json_string_value(value), json_string_length(value)));
	return ret->p != NULL;
}

static enum err read_bool(struct parse *p, const json_t *value, bool *ret)
{
	if (!json_is_boolean(value))
		return bad(p, "a flag is neither true nor false");
	*ret = json_is_true(value);
	return ERR_OK;
}

static enum err read_id(struct parse *p, const json_t *value, uint32_t *ret)
{
	if (!json_is_integer(value) || json_integer_value(value) < 0 ||
	    json_integer_value(value) >= UINT32_MAX)
		return bad(p, "uid or gid is not a number");
	*ret = (uint32_t)json_integer_value(value);
	return ERR_OK;
}

static enum err read_globs(struct parse *p, const json_t *value, struct config_globs *ret)
{
	size_t count = json_array_size(value);

	if (!json_is_array(value) || count > CONFIG_GLOBS_MAX)
		return bad(p, "a list of patterns is no list, or too long");
	ret->items = arena_array(p->c->arena, count ? count : 1, sizeof *ret->items);
	if (!ret->items)
		return ERR_MEMORY;
	for (size_t i = 0; i < count; i++) {
		const json_t *item = json_array_get(value, i);

		if (!json_is_string(item) || json_string_length(item) == 0)
			return bad(p, "a pattern is no text, or empty");
		if (!copy(p, item, &ret->items[i]))
			return ERR_MEMORY;
	}
	ret->count = count;
	return ERR_OK;
}

static enum err read_path(struct parse *p, const json_t *value, struct str *ret)
{
	if (!json_is_string(value) || json_string_value(value)[0] != '/' || json_string_length(value) > 4095)
		return bad(p, "a mount's path is not absolute, or too long");
	return copy(p, value, ret) ? ERR_OK : ERR_MEMORY;
}

static enum err read_mount(struct parse *p, json_t *value, struct config_mount *m)
{
	const char *key;
	json_t *member;

	*m = (struct config_mount){ .protect_git = true };
	json_object_foreach(value, key, member) {
		enum err e;

		if (!strcmp(key, "path"))
			e = read_path(p, member, &m->path);
		else if (!strcmp(key, "read_only"))
			e = read_bool(p, member, &m->read_only);
		else if (!strcmp(key, "file"))
			e = read_bool(p, member, &m->file);
		else if (!strcmp(key, "protect_git"))
			e = read_bool(p, member, &m->protect_git);
		else if (!strcmp(key, "hidden"))
			e = read_globs(p, member, &m->hidden);
		else if (!strcmp(key, "read_only_globs"))
			e = read_globs(p, member, &m->read_only_globs);
		else
			e = bad(p, "unknown member in a mount");
		if (e)
			return e;
	}
	return m->path.p ? ERR_OK : bad(p, "a mount has no path");
}

static enum err read_mounts(struct parse *p, const json_t *value)
{
	size_t count = json_array_size(value);

	if (!json_is_array(value) || count == 0 || count > CONFIG_MOUNTS_MAX)
		return bad(p, "\"mounts\" is not a list of 1 to 64 mounts");
	for (size_t i = 0; i < count; i++) {
		enum err e;

		if (!json_is_object(json_array_get(value, i)))
			return bad(p, "a mount is no object");
		e = read_mount(p, json_array_get(value, i), &p->c->mounts[i]);
		if (e)
			return e;
	}
	p->c->mount_count = (uint32_t)count;
	return ERR_OK;
}

static enum err read_root(struct parse *p, json_t *root)
{
	const char *key;
	json_t *member;

	json_object_foreach(root, key, member) {
		enum err e;

		if (!strcmp(key, "mounts"))
			e = read_mounts(p, member);
		else if (!strcmp(key, "uid"))
			e = read_id(p, member, &p->c->uid);
		else if (!strcmp(key, "gid"))
			e = read_id(p, member, &p->c->gid);
		else if (!strcmp(key, "protected_files"))
			e = read_globs(p, member, &p->c->protected_files);
		else
			e = bad(p, "unknown member");
		if (e)
			return e;
	}
	return p->c->mount_count ? ERR_OK : bad(p, "no \"mounts\"");
}

enum err config_parse(struct str json, struct config *ret, char text[160])
{
	struct config c = { .arena = arena_new(ARENA_BYTES) };
	struct parse p = { &c, text };
	json_error_t error;
	json_t *root;
	enum err e;

	if (!c.arena)
		return ERR_MEMORY;
	root = json_loadb(json.p ? json.p : "", json.n, JSON_REJECT_DUPLICATES, &error);
	e = json_is_object(root) ? read_root(&p, root) : bad(&p, "not a JSON object");
	json_decref(root);
	if (e) {
		config_free(&c);
		return e;
	}
	*ret = c;
	return ERR_OK;
}

void config_free(struct config *c)
{
	arena_free(c->arena);
	*c = (struct config){ 0 };
}
