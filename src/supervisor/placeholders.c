/* placeholders.c - see placeholders.h
 *
 * A file may hold several credentials (an AWS file two profiles): all that name one path are rendered
 * together, which the policy has checked to be of one kind. None may lie in a tree of the host's that the
 * guest sees: it would be the user's own file there that is replaced.
 */
#include "supervisor/placeholders.h"

#include "credential/render.h"
#include "supervisor/paths.h"

#include <stdlib.h>

#define ARENA_BYTES (16u * 1024 * 1024)

static enum err keep(struct arena *arena, const struct buf *b, struct str *ret)
{
	if (buf_err(b))
		return buf_err(b);
	*ret = arena_copy(arena, buf_str(b));
	return ret->p ? ERR_OK : ERR_MEMORY;
}

enum err placeholders_make(const struct policy *p, const struct keeper_start *keeper,
			   struct placeholders *ret)
{
	struct arena *arena = arena_new(ARENA_BYTES);
	enum err e = arena ? ERR_OK : ERR_MEMORY;

	for (uint32_t i = 0; !e && i < policy_credential_count(p); i++) {
		auto_buf value = BUF_EMPTY, second = BUF_EMPTY, id = BUF_EMPTY;

		buf_init(&value, RENDER_PLACEHOLDER_MAX);
		buf_init(&second, RENDER_PLACEHOLDER_MAX);
		buf_init(&id, RENDER_PLACEHOLDER_MAX);
		e = render_placeholders(policy_credential(p, i), &keeper->about[i], &value, &second, &id);
		if (!e)
			e = keep(arena, &value, &ret->value[i]);
		if (!e)
			e = keep(arena, &second, &ret->second[i]);
		if (!e)
			e = keep(arena, &id, &ret->id[i]);
	}
	ret->arena = arena;
	if (e)
		placeholders_free(ret);
	return e;
}

void placeholders_free(struct placeholders *p)
{
	arena_free(p->arena);
	p->arena = NULL;
	p->file_count = 0;
}

struct str placeholders_home(const struct spec *spec)
{
	const char *home = getenv("HOME");

	for (uint32_t i = 0; i < spec->environment_count; i++)
		if (str_starts(spec->environment[i], STR("HOME=/")))
			return str_from(spec->environment[i], 5);
	return home && home[0] == '/' ? str_of(home) : STR("/root");
}

static enum err path_of(const struct spec *spec, struct str named, struct arena *arena, struct str *ret)
{
	auto_buf path = BUF_EMPTY;

	buf_init(&path, PATHS_MAX);
	if (str_starts(named, STR("~/"))) {
		buf_put(&path, placeholders_home(spec));
		named = str_from(named, 1);
	}
	buf_put(&path, named);
	return keep(arena, &path, ret);
}

static bool is_mounted(const struct mounts *mounts, struct str path)
{
	for (uint32_t i = 0; i < mounts->count; i++)
		if (paths_is_below(path, mounts->entry[i].path))
			return true;
	return false;
}

/* All that stand in the file which the policy calls @named. */
static uint32_t collect(const struct spec *spec, const struct keeper_start *keeper,
			const struct placeholders *p, struct str named, struct render_item *items)
{
	uint32_t count = 0;

	for (uint32_t i = 0; i < policy_credential_count(spec->policy); i++) {
		const struct policy_credential *c = policy_credential(spec->policy, i);

		for (uint32_t k = 0; k < c->file_count; k++)
			if (str_eq(c->files[k].path, named))
				items[count++] = (struct render_item){
					.credential = c, .file = &c->files[k], .about = &keeper->about[i],
					.placeholder = p->value[i], .second = p->second[i], .id = p->id[i],
				};
	}
	return count;	/* at most one a credential: the policy names no path twice in one */
}

static enum err render_one(const struct spec *spec, const struct keeper_start *keeper,
			   const struct mounts *mounts, struct str named, struct placeholders *p,
			   struct buf *why)
{
	static struct render_item items[POLICY_CREDENTIALS_MAX];
	uint32_t count = collect(spec, keeper, p, named, items);
	struct msg_file *file = &p->files[p->file_count];
	const char *problem = "cannot be rendered";
	auto_buf text = BUF_EMPTY;
	enum err e;

	buf_init(&text, RENDER_FILE_MAX);
	if (p->file_count == MSG_FILES_MAX) {
		buf_printf(why, "the policy names more than %d credential files", MSG_FILES_MAX);
		return ERR_INPUT;
	}
	e = path_of(spec, named, p->arena, &file->path);
	if (!e && is_mounted(mounts, file->path)) {
		buf_printf(why, "the credential file %.300s would lie in a directory that the sandbox shows, and replace "
			   "your own: show less (--workspace, filesystem.visible), or give it another 'path'",
			   file->path.p);
		return ERR_INPUT;
	}
	if (!e)
		e = render_file(items, count, &text, &problem);
	if (!e)
		e = keep(p->arena, &text, &file->text);
	if (e == ERR_INPUT || e == ERR_LIMIT) {
		buf_printf(why, "credential %.*s: the file %.300s %s", STR_FMT(items[0].credential->name),
			   file->path.p, e == ERR_LIMIT ? "is too long" : problem);
		return ERR_INPUT;
	}
	p->file_count += e == ERR_OK;
	return e;
}

enum err placeholders_render(const struct spec *spec, const struct keeper_start *keeper,
			     const struct mounts *mounts, struct placeholders *p, struct buf *why)
{
	enum err e = ERR_OK;

	p->file_count = 0;
	for (uint32_t i = 0; !e && i < policy_credential_count(spec->policy); i++) {
		const struct policy_credential *c = policy_credential(spec->policy, i);

		for (uint32_t k = 0; !e && k < c->file_count; k++) {
			bool done = false;

			for (uint32_t j = 0; j < i && !done; j++)
				for (uint32_t m = 0; m < policy_credential(spec->policy, j)->file_count; m++)
					done |= str_eq(policy_credential(spec->policy, j)->files[m].path,
						       c->files[k].path);
			if (!done)
				e = render_one(spec, keeper, mounts, c->files[k].path, p, why);
		}
	}
	return e;
}
