/* git_commits.h - the commits of one pack: their ids, their
 * parents, and content while it may be a delta's base */
#pragma once

#include "decoder/git.h"

struct git_commit {
	uint64_t at;			/* offset in the pack */
	uint8_t id[GIT_ID_MAX];
	uint32_t parents, mark;
	uint8_t *parent;		/* ids, one after another */
	char *content;			/* NULL: not kept */
	size_t size;
};
struct git_commits;

struct git_commits *git_commits_new(unsigned id_bytes);
void git_commits_free(struct git_commits *s);
/** git_commits_add() - a commit's content, at @at, which
 * grows; what does not look like a commit is left out */
must_use enum err git_commits_add(struct git_commits *s, uint64_t at, struct str content);
/** git_commits_add_delta() - @delta applied to @base; ERR_DECODER: malformed */
must_use enum err git_commits_add_delta(struct git_commits *s, uint64_t at, const struct git_commit *base,
					struct str delta);
/** git_commits_at(), git_commits_find() - NULL if there is
 * none, or its content is not kept; good until the next add */
const struct git_commit *git_commits_at(const struct git_commits *s, uint64_t at);
const struct git_commit *git_commits_find(const struct git_commits *s, const uint8_t *id);
enum git_forced git_commits_forced(struct git_commits *s, const uint8_t *old, const uint8_t *new);
