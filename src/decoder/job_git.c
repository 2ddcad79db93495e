/* job_git.c - git's bodies as jobs: the parsers of git.h, their facts, and marks for what may go on
 *
 * Parameters, one word or none: of a push "history" (read the pack too); of a fetch "gzip" (it is
 * compressed). A mark here is a permission: the courier passes no byte of a request on that is not before it
 * (git_*_passable()).
 */
#include "decoder/git.h"
#include "decoder/kinds.h"

struct git_state {
	struct git_sink sink;
	enum err failed;		/* of a fact that could not be told */
	struct git_push *push;
	struct git_fetch *fetch;
	struct buf batch;
};

static void fact(void *user, struct str name, struct str value)
{
	struct job *j = user;
	struct git_state *s = job_state(j);

	if (s->failed == ERR_OK)
		s->failed = job_fact(j, name, value);
}

static void begin(struct job *j)
{
	struct git_state *s = job_state(j);

	s->sink = (struct git_sink){ .fact = fact, .user = j, .reason = "it is not what git sends" };
}

/* What a parser returned, in the job's words. */
static enum err result(struct job *j, enum err e)
{
	struct git_state *s = job_state(j);

	if (s->failed != ERR_OK)
		return s->failed;
	return e == ERR_OK ? e : job_fail(j, e, e == ERR_MEMORY ? "no memory" : s->sink.reason);
}

static void git_free(struct job *j)
{
	struct git_state *s = job_state(j);

	git_push_free(s->push);
	git_fetch_free(s->fetch);
	buf_free(&s->batch);
}

/* ---- push ---- */

static enum err push_start(struct job *j, struct str parameters)
{
	struct git_state *s = job_state(j);

	begin(j);
	s->push = git_push_new(str_eq(parameters, STR("history")), &s->sink);
	return result(j, s->push ? ERR_OK : ERR_MEMORY);
}

static enum err push_input(struct job *j, struct str bytes)
{
	struct git_state *s = job_state(j);
	enum err e = result(j, git_push_feed(s->push, bytes));

	return e == ERR_OK ? job_mark(j, git_push_passable(s->push)) : e;
}

static enum err push_end(struct job *j)
{
	struct git_state *s = job_state(j);

	return result(j, git_push_end(s->push));
}

const struct job_kind job_git_push = {
	.name = "git push", .prepare = git_prepare, .state_bytes = sizeof(struct git_state),
	.start = push_start, .input = push_input, .end = push_end, .free = git_free,
};

/* ---- fetch ---- */

static enum err fetch_start(struct job *j, struct str parameters)
{
	struct git_state *s = job_state(j);

	begin(j);
	s->fetch = git_fetch_new(str_eq(parameters, STR("gzip")), &s->sink);
	return result(j, s->fetch ? ERR_OK : ERR_MEMORY);
}

static enum err fetch_input(struct job *j, struct str bytes)
{
	struct git_state *s = job_state(j);
	enum err e = result(j, git_fetch_feed(s->fetch, bytes));

	return e == ERR_OK ? job_mark(j, git_fetch_passable(s->fetch)) : e;
}

static enum err fetch_end(struct job *j)
{
	struct git_state *s = job_state(j);

	return result(j, git_fetch_end(s->fetch));
}

const struct job_kind job_git_fetch = {
	.name = "git fetch", .state_bytes = sizeof(struct git_state),
	.start = fetch_start, .input = fetch_input, .end = fetch_end, .free = git_free,
};

/* ---- LFS ---- */

static enum err lfs_start(struct job *j, struct str parameters)
{
	struct git_state *s = job_state(j);

	(void)parameters;
	begin(j);
	buf_init(&s->batch, GIT_LFS_BYTES_MAX);
	return ERR_OK;
}

static enum err lfs_input(struct job *j, struct str bytes)
{
	struct git_state *s = job_state(j);

	buf_put(&s->batch, bytes);
	s->sink.reason = "an LFS batch that is too long";
	return result(j, buf_err(&s->batch));
}

static enum err lfs_end(struct job *j)
{
	struct git_state *s = job_state(j);

	return result(j, git_lfs_batch(buf_str(&s->batch), &s->sink));
}

const struct job_kind job_git_lfs = {
	.name = "git lfs", .state_bytes = sizeof(struct git_state),
	.start = lfs_start, .input = lfs_input, .end = lfs_end, .free = git_free,
};
