/* rules.h - which paths of a workspace are hidden, read-only or protected; pure
 *
 * A path is given as its components from the root of the mount down. A pattern is a glob over
 * such a path (base/glob.h): "keys" is the one at the root, those further down are "**" and
 * "/keys". What matches covers everything beneath it. A leading or trailing '/' says nothing.
 *
 * Names are compared after folding (rules_fold()): upper case, the few other letters that
 * case-folding file systems take for ASCII ones, and characters that they ignore make no
 * difference. So "PADDOCK.YAML" is paddock.yaml here, whatever the host's file system thinks.
 */
#pragma once

#include "base/err.h"
#include "base/str.h"

#define RULES_PATTERNS_MAX 1024
#define RULES_PATH_BYTES 4096
#define RULES_DEPTH_MAX 512

/** enum rule - in ascending strictness of what is refused */
enum rule {
	RULE_NONE,
	RULE_ANCHOR,	/* a .git that was there at the start: stays
			   where it is, contents by their own rules */
	RULE_READ_ONLY,	/* never written, created, renamed, linked, removed */
	RULE_PROTECTED,	/* ditto: policy files, git's hooks and configuration */
	RULE_HIDDEN,	/* does not exist, and cannot be made */
};
/** rule_name() - for claims: "read-only", "protected", ... */
const char *rule_name(enum rule r);

struct rules_component {
	struct str name;	/* folded */
	bool made;		/* known to have been made from inside: git's rules do not hold beneath */
};

struct rules;
/** struct rules_options - borrowed for the call. @names: protected at any depth. @paths: relative
 *  to the root of the mount, protected there. */
struct rules_options {
	const struct str *hidden, *read_only, *names, *paths;
	size_t hidden_count, read_only_count, name_count, path_count;
	bool protect_git;
};
/** rules_new() - ERR_INPUT: a pattern that is empty, too long, or one too many; ERR_MEMORY */
must_use enum err rules_new(const struct rules_options *o, struct rules **ret);
void rules_free(struct rules *r);

/** rules_match() - the strictest rule that holds for the last of @count components
 *  (0: RULE_NONE). Paths over RULES_PATH_BYTES are RULE_PROTECTED: doubt is refusal. */
enum rule rules_match(const struct rules *r, const struct rules_component *path, size_t count);

/** rules_fold() - the folded form of @name in @ret (at most RULES_FOLD_BYTES); its length */
#define RULES_FOLD_BYTES 255
size_t rules_fold(struct str name, char ret[RULES_FOLD_BYTES]);
/** rules_is_git() - is the folded @name ".git"? */
static inline bool rules_is_git(struct str folded) { return str_eq(folded, STR(".git")); }
/** rules_is_protected_name() - is the folded @name one of @names, at any depth? */
bool rules_is_protected_name(const struct rules *r, struct str folded);
bool rules_protects_git(const struct rules *r);
/** rules_git_nest() - is the last of @count components a directory that git makes for a submodule
 *  or a work tree (.git/modules/.., .git/worktrees/x)? Made from inside, it is the agent's. */
bool rules_git_nest(const struct rules_component *path, size_t count);
