/* rules.c - hidden, read-only and protected paths
 *
 * Theory of operation: patterns are folded once, when they are loaded, names when an inode
 * learns its name; after that everything is a comparison of bytes. Each component and each
 * prefix of the path is held against the patterns, because what matches covers its subtree. The
 * names come from the agent, the patterns from the policy; matching takes linear time.
 *
 * git: what a .git directory holds that git runs or obeys (hooks, config, and commondir, which
 * moves both elsewhere) is protected unless that .git was made from inside in this run; so is
 * what submodules and work trees keep under .git/modules and .git/worktrees. A .git that is a
 * file or a link is protected whole. References may be called "config" or "hooks": beneath refs/heads
 * and the like no name means anything. (Not beneath every "refs" or "logs": so may a submodule be called.)
 * Sources: gitrepository-layout(5); fs/unicode of Linux (what case-folding directories fold).
 */
#include "files/rules.h"

#include "base/buf.h"
#include "base/glob.h"

#include <stdlib.h>

/* Most patterns are a name at the root, or "**" and a name: those are held against one component or
 * each, which is much quicker than a glob over every prefix of the path, and means the same. */
enum against { THE_FIRST, ALL_BUT_THE_FIRST, EACH, EACH_PREFIX };

struct pattern {
	enum rule rule;
	enum against against;
	struct str text;
};

struct rules {
	bool protect_git;
	size_t count;
	struct pattern patterns[RULES_PATTERNS_MAX];
	struct buf text;	/* where all patterns' bytes are; never grows after rules_new() */
};

const char *rule_name(enum rule r)
{
	static const char *const names[] = { "allowed", "git repository", "read-only", "protected",
					     "hidden" };

	return (size_t)r < sizeof names / sizeof *names ? names[r] : "protected";
}

/* Ranges that case-folding file systems ignore: Default_Ignorable_Code_Point of Unicode 12. */
static bool ignorable(uint32_t c)
{
	static const uint32_t ranges[][2] = {
		{ 0xad, 0xad }, { 0x34f, 0x34f }, { 0x61c, 0x61c }, { 0x115f, 0x1160 }, { 0x17b4, 0x17b5 },
		{ 0x180b, 0x180e }, { 0x200b, 0x200f }, { 0x202a, 0x202e }, { 0x2060, 0x206f },
		{ 0x3164, 0x3164 }, { 0xfe00, 0xfe0f }, { 0xfeff, 0xfeff }, { 0xffa0, 0xffa0 },
		{ 0xfff0, 0xfff8 }, { 0x1bca0, 0x1bca3 }, { 0x1d173, 0x1d17a }, { 0xe0000, 0xe0fff },
	};

	for (size_t i = 0; i < sizeof ranges / sizeof *ranges; i++)
		if (c >= ranges[i][0] && c <= ranges[i][1])
			return true;
	return false;
}

/* Letters outside of ASCII that fold to ASCII ones; NULL if @c is none. */
static const char *ascii_of(uint32_t c)
{
	static const struct { uint32_t c; const char *to; } letters[] = {
		{ 0xdf, "ss" }, { 0x17f, "s" }, { 0x1e9e, "ss" }, { 0x212a, "k" }, { 0xfb00, "ff" },
		{ 0xfb01, "fi" }, { 0xfb02, "fl" }, { 0xfb03, "ffi" }, { 0xfb04, "ffl" }, { 0xfb05, "st" },
		{ 0xfb06, "st" },
	};

	for (size_t i = 0; i < sizeof letters / sizeof *letters; i++)
		if (letters[i].c == c)
			return letters[i].to;
	return NULL;
}

/* The code point at @i of @s and its length in bytes; what is not UTF-8 is a byte of its own. */
static uint32_t decode(struct str s, size_t i, size_t *ret_n)
{
	uint8_t lead = (uint8_t)s.p[i];
	size_t n = lead >= 0xf0 ? 4 : lead >= 0xe0 ? 3 : lead >= 0xc0 ? 2 : 1;
	uint32_t c = n == 4 ? lead & 7u : n == 3 ? lead & 15u : n == 2 ? lead & 31u : lead;

	*ret_n = 1;
	if (n == 1 || n > s.n - i || !str_is_utf8(str_make(s.p + i, n)))
		return 0;	/* ASCII, or not UTF-8: copied as it is */
	for (size_t k = 1; k < n; k++)
		c = c << 6 | ((uint8_t)s.p[i + k] & 63u);
	*ret_n = n;
	return c;
}

static size_t put(char ret[RULES_FOLD_BYTES], size_t length, const char *p, size_t n)
{
	for (size_t i = 0; i < n && length < RULES_FOLD_BYTES; i++)
		ret[length++] = ascii_lower(p[i]);
	return length;
}

size_t rules_fold(struct str name, char ret[RULES_FOLD_BYTES])
{
	size_t length = 0, n;

	for (size_t i = 0; i < name.n; i += n) {
		uint32_t c = decode(name, i, &n);
		const char *to = c ? ascii_of(c) : NULL;

		if (to)
			length = put(ret, length, to, strlen(to));
		else if (!c || !ignorable(c))
			length = put(ret, length, name.p + i, n);
	}
	return length;
}

/* Folds each component of @text into the rules' own memory; false if one is longer than a name. */
static bool keep_folded(struct rules *r, struct str text, struct str *ret)
{
	char folded[RULES_FOLD_BYTES];
	size_t start = r->text.len;

	while (text.n) {
		size_t n = str_find(text, '/');

		if (n > RULES_FOLD_BYTES)
			return false;
		buf_put(&r->text, str_make(folded, rules_fold(str_head(text, n), folded)));
		if (n < text.n)
			buf_put_byte(&r->text, '/');
		text = str_from(text, n + 1);
	}
	if (buf_err(&r->text))
		return false;
	*ret = str_make(r->text.p + start, r->text.len - start);
	return true;
}

/* A name, which no glob leads out of. */
static bool is_name(struct str text)
{
	for (size_t i = 0; i + 1 < text.n; i++)
		if (text.p[i] == '*' && text.p[i + 1] == '*')
			return false;
	return str_find(text, '/') == text.n;
}

static enum against against_of(struct str *text)
{
	if (is_name(*text))
		return THE_FIRST;
	if (!str_starts(*text, STR("**/")) || !is_name(str_from(*text, 3)))
		return EACH_PREFIX;
	*text = str_from(*text, 3);
	return ALL_BUT_THE_FIRST;
}

static enum err add(struct rules *r, enum rule rule, struct str text, bool at_any_depth)
{
	struct pattern *p;

	if (str_starts(text, STR("/")))
		text = str_from(text, 1);
	if (str_ends(text, STR("/")))
		text = str_head(text, text.n - 1);
	if (text.n == 0 || text.n > GLOB_MAX || r->count == RULES_PATTERNS_MAX)
		return ERR_INPUT;
	p = &r->patterns[r->count];
	p->rule = rule;
	p->against = at_any_depth ? EACH : against_of(&text);
	if (!keep_folded(r, text, &p->text))
		return ERR_INPUT;
	r->count++;
	return ERR_OK;
}

static enum err add_all(struct rules *r, enum rule rule, const struct str *texts, size_t count,
			bool at_any_depth)
{
	enum err e = ERR_OK;

	for (size_t i = 0; i < count && !e; i++)
		e = add(r, rule, texts[i], at_any_depth);
	return e;
}

enum err rules_new(const struct rules_options *o, struct rules **ret)
{
	struct rules *r = calloc(1, sizeof *r);
	enum err e;

	if (!r)
		return ERR_MEMORY;
	r->protect_git = o->protect_git;
	buf_init(&r->text, RULES_PATTERNS_MAX * (GLOB_MAX + 1));
	/* Views into the buffer are kept: it must not move. */
	e = buf_reserve(&r->text, RULES_PATTERNS_MAX * (GLOB_MAX + 1));
	if (!e)
		e = add_all(r, RULE_HIDDEN, o->hidden, o->hidden_count, false);
	if (!e)
		e = add_all(r, RULE_PROTECTED, o->names, o->name_count, true);
	if (!e)
		e = add_all(r, RULE_PROTECTED, o->paths, o->path_count, false);
	if (!e)
		e = add_all(r, RULE_READ_ONLY, o->read_only, o->read_only_count, false);
	if (e) {
		rules_free(r);
		return e;
	}
	*ret = r;
	return ERR_OK;
}

void rules_free(struct rules *r)
{
	if (!r)
		return;
	buf_free(&r->text);
	free(r);
}

static bool is_one_of(struct str name, const struct str *names, size_t count)
{
	for (size_t i = 0; i < count; i++)
		if (str_eq(name, names[i]))
			return true;
	return false;
}

static bool obeyed_by_git(struct str name)
{
	static const struct str names[] = { STR_INIT("hooks"), STR_INIT("config"),
					    STR_INIT("config.worktree"), STR_INIT("commondir") };

	return is_one_of(name, names, sizeof names / sizeof *names);
}

/* Is path[i] where a repository keeps references, or
 * their logs, so that what is beneath is named by people? */
static bool holds_references(const struct rules_component *path, size_t count, size_t i)
{
	static const struct str kinds[] = { STR_INIT("heads"), STR_INIT("tags"), STR_INIT("remotes"),
					    STR_INIT("notes"), STR_INIT("changes"), STR_INIT("pull"),
					    STR_INIT("stash") };

	if (i + 2 < count && str_eq(path[i].name, STR("logs")))
		i++;
	return i + 1 < count && str_eq(path[i].name, STR("refs")) &&
	       is_one_of(path[i + 1].name, kinds, sizeof kinds / sizeof *kinds);
}

/* What holds for path[git + 1 ..] beneath the directory path[git], which is a .git. */
static enum rule beneath_git(const struct rules_component *path, size_t count, size_t git)
{
	bool modules = str_eq(path[git + 1].name, STR("modules"));
	bool worktrees = str_eq(path[git + 1].name, STR("worktrees"));

	if (obeyed_by_git(path[git + 1].name))
		return RULE_PROTECTED;
	if (modules || worktrees)
		for (size_t i = git + 2; i < count; i++) {
			if (path[i].made || holds_references(path, count, i))
				return RULE_NONE;
			if (obeyed_by_git(path[i].name) && (modules || i == git + 3))
				return RULE_PROTECTED;
		}
	return RULE_NONE;
}

static enum rule git_rule(const struct rules_component *path, size_t count)
{
	enum rule strictest = RULE_NONE;

	for (size_t i = 0; i < count; i++) {
		enum rule rule;

		if (!rules_is_git(path[i].name) || path[i].made)
			continue;
		rule = i + 1 == count ? RULE_ANCHOR : beneath_git(path, count, i);
		if (rule > strictest)
			strictest = rule;
	}
	return strictest;
}

bool rules_protects_git(const struct rules *r) { return r->protect_git; }

bool rules_git_nest(const struct rules_component *path, size_t count)
{
	for (size_t i = 0; i + 2 < count; i++)
		if (rules_is_git(path[i].name) && !path[i].made &&
		    (str_eq(path[i + 1].name, STR("modules")) ||
		     (str_eq(path[i + 1].name, STR("worktrees")) && i + 3 == count)))
			return true;
	return false;
}

bool rules_is_protected_name(const struct rules *r, struct str folded)
{
	for (size_t i = 0; i < r->count; i++)
		if (r->patterns[i].rule == RULE_PROTECTED && r->patterns[i].against == EACH &&
		    glob_match(r->patterns[i].text, folded, GLOB_PATH))
			return true;
	return false;
}

static bool matches(const struct pattern *p, struct str name, struct str prefix, bool first)
{
	switch (p->against) {
	case THE_FIRST:
		return first && glob_match(p->text, name, GLOB_PATH);
	case ALL_BUT_THE_FIRST:
		return !first && glob_match(p->text, name, GLOB_PATH);
	case EACH:
		return glob_match(p->text, name, GLOB_PATH);
	case EACH_PREFIX:
		return glob_match(p->text, prefix, GLOB_PATH);
	}
	return true;
}

/* The strictest of the patterns for the component @name, whose path from the root is @prefix. */
static enum rule pattern_rule(const struct rules *r, struct str name, struct str prefix, enum rule strictest)
{
	bool first = name.n == prefix.n;

	for (size_t i = 0; i < r->count; i++)
		if (r->patterns[i].rule > strictest && matches(&r->patterns[i], name, prefix, first))
			strictest = r->patterns[i].rule;
	return strictest;
}

enum rule rules_match(const struct rules *r, const struct rules_component *path, size_t count)
{
	char text[RULES_PATH_BYTES];
	size_t length = 0;
	enum rule strictest = r->protect_git ? git_rule(path, count) : RULE_NONE;

	for (size_t i = 0; i < count; i++) {
		struct str name = path[i].name;

		if (name.n + 1 > sizeof text - length)
			return RULE_PROTECTED;
		if (i)
			text[length++] = '/';
		if (name.n)
			memcpy(text + length, name.p, name.n);
		length += name.n;
		strictest = pattern_rule(r, name, str_make(text, length), strictest);
	}
	return strictest;
}
