/* compile.c - from the typed document to a policy                 (stage 3 of loading)
 *
 * Theory of operation: every value is judged (compile.c: filesystem, limits and what the
 * parts share; compile_credential.c; compile_rule.c), the rules are indexed, and rules that
 * can never match are refused (shadow.c). A policy is only made whole: the first mistake
 * ends the load with its place. The document's arena is freed when the policy stands.
 */
#include "policy/compile.h"

#include "base/glob.h"
#include "policy/digest.h"
#include "wire/head.h"

#include <stdlib.h>

#define DOCUMENT_ARENA_MAX ((size_t)1 << 30)
#define POLICY_ARENA_MAX   ((size_t)1 << 29)

/* Hidden in the workspace unless the policy says otherwise: where people and tools keep
 * secrets. What is hidden cannot be made either, so below the top only names that no package
 * or repository ships (`.env.example` must be installable). docs/policy.md lists them too. */
static const struct str hidden_default[] = {
#define ANYWHERE(name) STR_INIT(name), STR_INIT("**/" name)
	STR_INIT(".env*"), STR_INIT("**/.env"), STR_INIT("**/.env.local"), STR_INIT("**/.env.*.local"),
	STR_INIT("**/.env.production"),
	ANYWHERE(".netrc"),  ANYWHERE(".git-credentials"),
	ANYWHERE(".pypirc"), ANYWHERE(".pgpass"),  ANYWHERE(".ssh"),
	ANYWHERE(".aws"),    ANYWHERE(".gnupg"),   ANYWHERE(".kube"),
	ANYWHERE("id_rsa"),  ANYWHERE("id_ecdsa"), ANYWHERE("id_ed25519"),
};
/* Never written, whatever the policy says: a policy must not be the agent's to change. */
static const struct str read_only_always[] = { ANYWHERE("paddock.yaml") };
/* What editors run without asking, where they look for it; can be replaced. */
static const struct str read_only_default[] = { STR_INIT(".vscode"), STR_INIT(".idea") };

#define COUNT(a) ((uint32_t)(sizeof(a) / sizeof(*(a))))

enum err compile_text(struct compile *c, struct str s, struct str *ret)
{
	struct str copy = arena_copy(c->a, s);

	if (!copy.p)
		return ERR_MEMORY;
	*ret = copy;
	return ERR_OK;
}

static int text_order(const void *a, const void *b)
{
	const struct document_text *x = *(const struct document_text *const *)a;
	const struct document_text *y = *(const struct document_text *const *)b;
	int order = str_compare(x->text, y->text);

	if (order)
		return order;
	return (x->at.line > y->at.line) - (x->at.line < y->at.line);
}

static enum err refuse_twice(struct compile *c, const struct document_texts *in, const char *what)
{
	const struct document_text **sorted =
		arena_array(c->a, in->count, sizeof(const struct document_text *));

	if (!sorted)
		return ERR_MEMORY;
	for (uint32_t i = 0; i < in->count; i++)
		sorted[i] = &in->items[i];
	qsort(sorted, in->count, sizeof *sorted, text_order);
	for (uint32_t i = 1; i < in->count; i++)
		if (str_eq(sorted[i]->text, sorted[i - 1]->text))
			return compile_fail(c, sorted[i]->at, "'%.*s' is in '%s' twice",
					    STR_FMT(node_quote(sorted[i]->text)), what);
	return ERR_OK;
}

enum err compile_texts(struct compile *c, const struct document_texts *in, const char *what,
		       compile_check *check, uint32_t *ret_count, const struct str **ret)
{
	struct str *out = arena_array(c->a, in->count, sizeof *out);
	enum err err;

	if (!out)
		return ERR_MEMORY;
	if (in->count == 0)
		return compile_fail(c, in->at, "'%s' is an empty list: expected at least one entry", what);
	for (uint32_t i = 0; i < in->count; i++) {
		err = check ? check(c, &in->items[i]) : ERR_OK;
		if (err == ERR_OK)
			err = compile_text(c, in->items[i].text, &out[i]);
		if (err != ERR_OK)
			return err;
	}
	err = refuse_twice(c, in, what);
	if (err != ERR_OK)
		return err;
	*ret = out;
	*ret_count = in->count;
	return ERR_OK;
}

enum err compile_name(struct compile *c, const struct document_text *t, const char *what, struct str *ret)
{
	if (!value_name(t->text))
		return compile_fail(c, t->at, "'%.*s' cannot be %s: expected 1 to 64 of A-Z a-z 0-9 . _ -",
				    STR_FMT(node_quote(t->text)), what);
	return compile_text(c, t->text, ret);
}

enum err compile_choice(struct compile *c, const struct document_text *t, const char *what,
			const char *const *words, unsigned count, unsigned fallback, unsigned *ret)
{
	char list[128];
	size_t used = 0;

	if (!t->at.line) {
		*ret = fallback;
		return ERR_OK;
	}
	for (unsigned i = 0; i < count; i++) {
		struct str word = str_of(words[i]);

		if (str_eq(t->text, word)) {
			*ret = i;
			return ERR_OK;
		}
		if (used)
			memcpy(list + used, ", ", 2);
		used += used ? 2 : 0;
		memcpy(list + used, word.p, word.n);
		used += word.n;
	}
	return compile_fail(c, t->at, "'%s' is '%.*s': expected one of %.*s", what,
			    STR_FMT(node_quote(t->text)), (int)used, list);
}

/* "a/./b", "a/../b", "a//b" and a slash at the end have another, plain spelling. */
static bool path_is_plain(struct str path)
{
	struct str rest = path;

	while (rest.n) {
		struct str segment = str_head(rest, str_find(rest, '/'));

		if (segment.n == 0 || str_eq(segment, STR(".")) || str_eq(segment, STR("..")))
			return false;
		if (rest.n == segment.n + 1)
			return false;
		rest = str_from(rest, segment.n + 1);
	}
	return true;
}

enum err compile_path(struct compile *c, const struct document_text *t, struct str *ret)
{
	struct str path = t->text;
	auto_buf whole = BUF_EMPTY;
	enum err err;

	buf_init(&whole, 4096);
	if (str_starts(path, STR("~/"))) {
		if (!c->home || c->home[0] != '/')
			return compile_fail(c, t->at, "'~' cannot be expanded: there is no HOME");
		buf_put_z(&whole, c->home);
		while (whole.len > 1 && whole.p[whole.len - 1] == '/')
			whole.len--;
		path = str_from(path, 1);
	}
	buf_put(&whole, path);
	if (buf_err(&whole) == ERR_MEMORY)
		return ERR_MEMORY;
	if (buf_err(&whole) != ERR_OK || path.n < 2 || whole.p[0] != '/' || !path_is_plain(str_from(path, 1)))
		return compile_fail(c, t->at,
				    "'%.*s' is not a plain absolute path: expected /... or ~/..., "
				    "without '.', '..', '//' or a slash at the end",
				    STR_FMT(node_quote(t->text)));
	err = compile_text(c, buf_str(&whole), ret);
	return err;
}

enum err compile_guest_path(struct compile *c, const struct document_text *t, struct str *ret)
{
	struct str rest = str_from(t->text, str_starts(t->text, STR("~/")) ? 2 : 1);

	if (t->text.n < 2 || t->text.n > 4095 || (t->text.p[0] != '/' && !str_starts(t->text, STR("~/"))) ||
	    rest.n == 0 || !path_is_plain(rest))
		return compile_fail(c, t->at,
				    "'%.*s' is not a plain path in the sandbox: expected /... or ~/..., "
				    "without '.', '..', '//' or a slash at the end",
				    STR_FMT(node_quote(t->text)));
	return compile_text(c, t->text, ret);
}

enum err compile_host(struct compile *c, const struct document_text *t)
{
	char canonical[HEAD_HOST_MAX + 1];
	struct str host = t->text, part;

	if (str_eq(host, STR("*")))
		return ERR_OK;
	part = str_starts(host, STR("*.")) ? str_from(host, 2) : host;
	if (str_find(part, '*') < part.n)
		return compile_fail(c, t->at,
				    "'%.*s': '*' may only stand alone or first, as in '*.example.com'",
				    STR_FMT(node_quote(host)));
	if (str_find(part, '/') < part.n)
		return compile_fail(c, t->at, "'%.*s': expected a host alone, without scheme or path",
				    STR_FMT(node_quote(host)));
	if (host_type(part) == HOST_NAME || (part.n == host.n && host_type(part) != HOST_INVALID))
		return ERR_OK;
	if (host_canonical(part, canonical) == ERR_OK &&
	    (part.n == host.n || host_type(str_of(canonical)) == HOST_NAME))
		return compile_fail(c, t->at, "'%.*s': write it as '%s%s'", STR_FMT(node_quote(host)),
				    part.n == host.n ? "" : "*.", canonical);
	if (str_find(part, ':') < part.n)
		return compile_fail(c, t->at, "'%.*s': expected a host alone; a port belongs in 'ports'",
				    STR_FMT(node_quote(host)));
	return compile_fail(c, t->at,
			    "'%.*s' is not a host: expected a name (international ones as xn--...), "
			    "'*.name', or an IP address",
			    STR_FMT(node_quote(host)));
}

static bool is_within(struct str path, struct str tree)
{
	return str_starts(path, tree) && (path.n == tree.n || path.p[tree.n] == '/');
}

/* Trust and keys live there: what an agent could read or write would be worth nothing. */
static bool is_our_own(struct compile *c, struct str path)
{
	static const char *const own[] = { "/.config/paddock", "/.local/state/paddock" };

	for (size_t i = 0; c->home && i < COUNT(own); i++) {
		auto_buf tree = BUF_EMPTY;

		buf_init(&tree, 4096);
		buf_put_z(&tree, c->home);
		buf_put_z(&tree, own[i]);
		if (buf_err(&tree) == ERR_OK &&
		    (is_within(path, buf_str(&tree)) || is_within(buf_str(&tree), path)))
			return true;
	}
	return false;
}

static enum err visible_path(struct compile *c, const struct document_visible *in, struct policy_visible *out)
{
	static const char *const modes[] = { [POLICY_MODE_READ] = "read", [POLICY_MODE_WRITE] = "write" };
	static const char *const never[] = { "/proc", "/sys", "/dev", "/run" };
	unsigned mode;
	enum err err;

	if (!in->path.at.line)
		return compile_fail(c, in->at, "a visible path needs 'path'");
	err = compile_path(c, &in->path, &out->path);
	if (err == ERR_OK)
		err = compile_choice(c, &in->mode, "mode", modes, COUNT(modes), POLICY_MODE_READ, &mode);
	if (err != ERR_OK)
		return err;
	for (size_t i = 0; i < COUNT(never); i++)
		if (is_within(out->path, str_of(never[i])))
			return compile_fail(c, in->path.at,
					    "%s is the kernel's or the system's, and is never made visible",
					    never[i]);
	if (is_our_own(c, out->path))
		return compile_fail(c, in->path.at,
				    "Paddock's own settings and keys are there, and are never made visible: "
				    "name what is needed below it");
	out->mode = (enum policy_mode)mode;
	out->line = in->at.line;
	return ERR_OK;
}

static enum err compile_visible(struct compile *c)
{
	const struct document_objects *in = &c->d->filesystem.visible;
	const struct document_visible *items = in->items;
	struct policy_visible *out = arena_array(c->a, in->count, sizeof *out);

	if (!out)
		return ERR_MEMORY;
	for (uint32_t i = 0; i < in->count; i++) {
		enum err err = visible_path(c, &items[i], &out[i]);

		if (err != ERR_OK)
			return err;
		for (uint32_t k = 0; k < i; k++)
			if (str_eq(out[k].path, out[i].path))
				return compile_fail(c, items[i].path.at, "'%.*s' is visible already: line %u",
						    STR_FMT(node_quote(out[i].path)), out[k].line);
	}
	c->p->filesystem.visible = out;
	c->p->filesystem.visible_count = in->count;
	return ERR_OK;
}

static enum err check_file_glob(struct compile *c, const struct document_text *t)
{
	if (t->text.n == 0 || t->text.n > GLOB_MAX || t->text.p[0] == '/' || t->text.p[0] == '~' ||
	    !path_is_plain(t->text))
		return compile_fail(c, t->at,
				    "'%.*s': expected a pattern for paths inside of the workspace, such "
				    "as 'secrets' or '**/*.key'",
				    STR_FMT(node_quote(t->text)));
	return ERR_OK;
}

/* The globs of the file, or the defaults if it gives none; an empty list is none at all. */
static enum err file_globs(struct compile *c, const struct document_texts *in, const char *what,
			   const struct str *fallback, uint32_t fallback_count, const struct str *always,
			   uint32_t always_count, uint32_t *ret_count, const struct str **ret)
{
	const struct str *own = fallback;
	uint32_t count = in->at.line ? 0 : fallback_count;
	struct str *all;
	enum err err;

	if (in->at.line && in->count) {
		err = compile_texts(c, in, what, check_file_glob, &count, &own);
		if (err != ERR_OK)
			return err;
	}
	all = arena_array(c->a, (size_t)count + always_count, sizeof *all);
	if (!all)
		return ERR_MEMORY;
	if (count)
		memcpy(all, own, count * sizeof *all);
	if (always_count)
		memcpy(all + count, always, always_count * sizeof *all);
	*ret_count = count + always_count;
	*ret = all;
	return ERR_OK;
}

static enum err compile_filesystem(struct compile *c)
{
	const struct document_filesystem *in = &c->d->filesystem;
	struct policy_filesystem *out = &c->p->filesystem;
	enum err err = compile_visible(c);

	if (err == ERR_OK)
		err = file_globs(c, &in->hidden, "hidden", hidden_default, COUNT(hidden_default), NULL, 0,
				 &out->hidden_count, &out->hidden);
	if (err == ERR_OK)
		err = file_globs(c, &in->read_only, "read_only", read_only_default, COUNT(read_only_default),
				 read_only_always, COUNT(read_only_always), &out->read_only_count,
				 &out->read_only);
	out->protect_git = !in->protect_git.at.line || in->protect_git.value;
	return err;
}

static enum err limit(struct compile *c, const struct document_number *n, const char *what, uint64_t least,
		      uint64_t most, const char *expected, uint64_t *ret)
{
	if (n->at.line && (n->value < least || n->value > most))
		return compile_fail(c, n->at, "'%s' is out of range: expected %s", what, expected);
	*ret = n->at.line ? n->value : 0;
	return ERR_OK;
}

static enum err compile_limits(struct compile *c)
{
	const struct document_limits *in = &c->d->limits;
	struct policy_limits *out = &c->p->limits;
	uint64_t cpus = 0, processes = 0;
	enum err err = limit(c, &in->memory, "memory", 128ull << 20, 1ull << 40, "128MiB to 1TiB",
			     &out->memory_bytes);

	if (err == ERR_OK)
		err = limit(c, &in->cpus, "cpus", 1, 256, "1 to 256", &cpus);
	if (err == ERR_OK)
		err = limit(c, &in->processes, "processes", 16, 1000000, "16 to 1000000", &processes);
	if (err == ERR_OK)
		err = limit(c, &in->wall_time, "wall_time", 1000, POLICY_WALL_DAYS_MAX * 86400000ull, "1s to 365d",
			    &out->wall_time_ms);
	if (err == ERR_OK)
		err = limit(c, &in->requests, "requests", 1, INT64_MAX, "at least 1", &out->requests);
	if (err == ERR_OK)
		err = limit(c, &in->bytes, "bytes", 1, INT64_MAX, "at least 1", &out->bytes);
	out->cpus = (uint32_t)cpus;
	out->processes = (uint32_t)processes;
	return err;
}

static enum err compile(struct compile *c, struct str text, const char *file)
{
	struct str copy = arena_copy(c->a, str_of(file));
	enum err err = ERR_OK;

	if (!copy.p || !digest_hex(text.p, text.n, c->p->digest))
		return ERR_MEMORY;
	c->p->file = copy.p;
	c->p->name = STR("");
	if (c->d->name.at.line)
		err = compile_name(c, &c->d->name, "the name of a policy", &c->p->name);
	if (err == ERR_OK)
		err = compile_credentials(c);
	if (err == ERR_OK)
		err = compile_rules(c);
	if (err == ERR_OK)
		err = compile_filesystem(c);
	if (err == ERR_OK)
		err = compile_limits(c);
	c->p->durable = c->d->audit.durable.value;
	return err;
}

enum err policy_load(struct str text, const char *file, const char *home, struct policy **ret,
		     struct policy_error *ret_error)
{
	auto_arena document_arena = arena_new(DOCUMENT_ARENA_MAX);
	struct arena *a = arena_new_large(POLICY_ARENA_MAX);
	struct policy *p = a ? arena_alloc(a, sizeof *p) : NULL;
	struct document d;
	struct compile c = { .p = p, .a = a, .d = &d, .error = ret_error, .home = home };
	enum err err = ERR_MEMORY;

	if (document_arena && p) {
		p->arena = a;
		err = document_read(document_arena, text, &d, ret_error);
	}
	if (err == ERR_OK)
		err = compile(&c, text, file);
	if (err == ERR_OK)
		*ret = p;
	else
		arena_free(a);
	return err;
}

enum err policy_deny_all(struct policy **ret)
{
	struct policy_error error;
	struct policy *p;
	enum err err = policy_load(STR("version: 1\n"), "no policy", NULL, &p, &error);

	if (err != ERR_OK)
		return ERR_MEMORY;
	p->none = true;
	*ret = p;
	return ERR_OK;
}

void policy_free(struct policy *p)
{
	if (p)
		arena_free(p->arena);
}
