/* audit_find.c - the trails that are there, by id, by name, by age
 *
 * Directory names are taken for ids only if they look like ours; what a trail's first record
 * says of name and time is enough to choose by, and is not trusted for more.
 */
#include "cli/audit_find.h"

#include "audit/json.h"
#include "audit/trail.h"
#include "base/auto.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>

static bool id_is_ours(struct str id)
{
	if (id.n == 0 || id.n > AUDIT_ID_MAX)
		return false;
	for (size_t i = 0; i < id.n; i++)
		if (!ascii_alpha(id.p[i]) && !ascii_digit(id.p[i]) && id.p[i] != '-' && id.p[i] != '_')
			return false;
	return true;
}

static int is_trail(const struct dirent *e) { return id_is_ours(str_of(e->d_name)); }

static bool open_trail(int trails, const char *id, struct audit_found *ret)
{
	struct str s = str_of(id);
	int fd = openat(trails, id, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

	if (fd < 0)
		return false;
	ret->directory = fd;
	memcpy(ret->id, s.p, s.n);
	ret->id[s.n] = 0;
	return true;
}

enum err audit_find_each(int trails, bool (*f)(void *ctx, const struct audit_found *found), void *ctx,
			 struct buf *why)
{
	struct dirent **entries;
	int n = scandirat(trails, ".", &entries, is_trail, alphasort);
	bool more = true;

	if (n < 0) {
		buf_printf(why, "the trails cannot be listed: %s", strerror(errno));
		return ERR_LOCAL;
	}
	for (int i = 0; i < n; i++) {
		struct audit_found found;

		if (more && open_trail(trails, entries[i]->d_name, &found)) {
			more = f(ctx, &found);
			close(found.directory);
		}
		free(entries[i]);
	}
	free(entries);
	return ERR_OK;
}

/* --- by id --- */

struct by_prefix {
	struct str prefix;
	unsigned hits;
	char first[AUDIT_ID_MAX + 1], second[AUDIT_ID_MAX + 1];
};

static bool match_prefix(void *ctx, const struct audit_found *found)
{
	struct by_prefix *b = ctx;

	if (!str_starts(str_of(found->id), b->prefix))
		return true;
	memcpy(b->hits ? b->second : b->first, found->id, sizeof found->id);
	return ++b->hits < 2;
}

static enum err find_id(int trails, const char *id, struct audit_found *ret, struct buf *why)
{
	struct by_prefix b = { .prefix = str_of(id) };
	enum err e;

	if (!id_is_ours(b.prefix)) {
		buf_printf(why, "\"%.64s\" is not a sandbox id", id);
		return ERR_INPUT;
	}
	if (open_trail(trails, id, ret))
		return ERR_OK;
	e = audit_find_each(trails, match_prefix, &b, why);
	if (e)
		return e;
	if (b.hits == 1 && open_trail(trails, b.first, ret))
		return ERR_OK;
	if (b.hits == 2)
		buf_printf(why, "\"%s\" is the beginning of more than one id: %s, %s", id, b.first, b.second);
	else
		buf_printf(why, "no trail has an id that begins with \"%s\"", id);
	return ERR_INPUT;
}

/* --- by name, by age --- */

struct by_time {
	const char *name;	/* NULL: any */
	char time[40], id[AUDIT_ID_MAX + 1];
};

static bool member_is(const struct json_object *o, const char *member, const char *text)
{
	const struct json_value *v = json_member(o, member, JSON_STRING);
	bool same;
	auto_buf b = BUF_EMPTY;

	buf_init(&b, AUDIT_RECORD_MAX);
	same = v && json_text(v->text, &b) == ERR_OK && str_eq(buf_str(&b), str_of(text));
	return same;
}

static bool match_newest(void *ctx, const struct audit_found *found)
{
	struct by_time *b = ctx;
	const struct json_value *time;
	struct json_object o;
	auto_trail t = NULL;
	struct str line;

	if (trail_open(found->directory, &t) || trail_next(t, &line) || json_object_read(line, &o))
		return true;
	time = json_member(&o, "time", JSON_STRING);
	if (!time || time->text.n >= sizeof b->time || (b->name && !member_is(&o, "name", b->name)))
		return true;
	/* RFC 3339 in UTC with a fixed number of digits: the order of the bytes is the order of time */
	if (str_compare(time->text, str_of(b->time)) > 0) {
		memcpy(b->time, time->text.p, time->text.n);
		b->time[time->text.n] = 0;
		memcpy(b->id, found->id, sizeof found->id);
	}
	return true;
}

enum err audit_find(int trails, const char *id, const char *name, struct audit_found *ret, struct buf *why)
{
	struct by_time newest = { .name = name };
	enum err e;

	if (id)
		return find_id(trails, id, ret, why);
	e = audit_find_each(trails, match_newest, &newest, why);
	if (e)
		return e;
	if (newest.id[0] && open_trail(trails, newest.id, ret))
		return ERR_OK;
	if (name)
		buf_printf(why, "no sandbox named \"%.64s\" has left a trail", name);
	else
		buf_put_z(why, "there is no trail yet: `paddock run` writes the first");
	return ERR_INPUT;
}
