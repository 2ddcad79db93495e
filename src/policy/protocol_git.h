/* protocol_git.h - git over HTTPS: what a request's head says, and what a push may change
 *
 * Facts of the head: git.repository ("acme/site": the path without ".git"), git.service (fetch, push, lfs).
 * Facts of a push, once for each command: git.ref, git.old, git.new, git.change (create, update, delete) and,
 * when the pack was read, git.forced (no, yes, unknown). Of an LFS batch: git.operation (upload, download).
 * Of the pack: git.pack_bytes.
 */
#pragma once

#include "policy/compile.h"
#include "policy/protocol.h"

#define GIT_REPOSITORY_MAX 512
#define GIT_REF_MAX 1024

enum git_service { GIT_FETCH, GIT_PUSH, GIT_LFS };	/* LFS: fetch or push, as its body says */
enum git_body {						/* what has to be read of it */
	GIT_BODY_NONE, GIT_BODY_FETCH, GIT_BODY_PUSH, GIT_BODY_BATCH,
};
struct git_request {
	struct str repository;		/* view into the head's path */
	enum git_service service;
	enum git_body body;
	bool lfs;			/* beneath info/lfs/, whichever service that is */
};
/** protocol_git_request() - false: not a request that git makes over smart HTTP */
must_use bool protocol_git_request(const struct head *head, struct git_request *ret);

struct git_rule {
	uint32_t repository_count, push_count, ref_count;
	const struct str *repositories;	/* globs */
	const struct str *push;		/* globs: which of them may be pushed to; none: each */
	const struct str *refs;		/* globs over whole names: "refs/heads/agent/<star>" */
	bool fetch, push_access, lfs;
	bool force, delete, create;
	bool denies;			/* the rule's verdict: doubt counts as a match */
	uint64_t pack_max;		/* UINT64_MAX: no cap */
};
/** protocol_git_compile() - the rule's part from the document; ERR_POLICY_SYNTAX, ERR_MEMORY */
must_use enum err protocol_git_compile(struct compile *c, const struct document_git *in,
				       enum policy_verdict verdict, const void **ret);
/** protocol_git_needs_history() - must the pack be read, to tell a fast-forward from a forced push? */
bool protocol_git_needs_history(const struct git_rule *rule);

extern const struct protocol protocol_git;
