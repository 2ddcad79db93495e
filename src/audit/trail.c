/* trail.c - the lines of a trail, across its segments
 *
 * Theory of operation: one segment is open at a time. At its end the next one is looked for; a
 * next segment without a byte does not count yet, since the writer makes it before it leaves the
 * last (spool.c). Once the next has bytes, the present one is final and is read once more to its
 * end. A gap in the numbers is a missing segment. The files may have been changed by anybody:
 * names are made from numbers, links are not followed, lines are bounded.
 * A writer holds a lock on the segment that it writes, so that a reader who waits can tell
 * whether anything can still come.
 */
#include "audit/trail.h"

#include "base/auto.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#define READ_BYTES 65536

struct trail {
	int directory, fd;
	uint32_t segment;	/* that is open, or the last one; 0: none yet */
	bool final;		/* nothing more will be written to it */
	size_t start, end;	/* bytes not yet handed out */
	char fault[128];
	char data[READ_BYTES];
};

void trail_segment_name(uint32_t segment, char ret[TRAIL_SEGMENT_NAME_BYTES])
{
	(void)snprintf(ret, TRAIL_SEGMENT_NAME_BYTES, "%06u.jsonl", segment % 1000000);
}

enum err trail_open(int directory, struct trail **ret)
{
	struct trail *t = malloc(sizeof *t);

	if (!t)
		return ERR_MEMORY;
	t->directory = directory;
	t->fd = -1;
	t->segment = 0;
	t->final = true;
	t->start = t->end = 0;
	t->fault[0] = 0;
	*ret = t;
	return ERR_OK;
}

void trail_free(struct trail *t)
{
	if (!t)
		return;
	if (t->fd >= 0)
		close(t->fd);
	free(t);
}

bool trail_torn(const struct trail *t) { return t->start < t->end; }
const char *trail_fault(const struct trail *t) { return t->fault; }

bool trail_is_being_written(const struct trail *t)
{
	struct flock lock = { .l_type = F_RDLCK, .l_whence = SEEK_SET };

	return t->fd >= 0 && fcntl(t->fd, F_OFD_GETLK, &lock) == 0 && lock.l_type == F_WRLCK;
}

/* Highest segment that is there; 0: none. */
static enum err highest_segment(const struct trail *t, uint32_t *ret)
{
	auto_fd fd = openat(t->directory, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *d = fd < 0 ? NULL : fdopendir(fd);
	uint32_t highest = 0;

	if (!d)
		return ERR_LOCAL;
	(void)fd_take(&fd);
	for (struct dirent *e; (e = readdir(d));) {
		struct str name = str_of(e->d_name);
		uint64_t n;

		if (name.n == 12 && str_eq(str_from(name, 6), STR(".jsonl")) &&
		    str_decimal(str_head(name, 6), 999999, &n) && n > highest)
			highest = (uint32_t)n;
	}
	closedir(d);
	*ret = highest;
	return ERR_OK;
}

/* The next segment is not there: is that the end, or a gap? */
static enum err end_or_gap(struct trail *t)
{
	uint32_t highest;
	enum err e = highest_segment(t, &highest);

	if (e)
		return e;
	if (highest <= t->segment + 1)	/* +1: made this instant; found by the next call */
		return ERR_MORE;
	(void)snprintf(t->fault, sizeof t->fault, "segment %06u.jsonl is missing", t->segment + 1);
	return ERR_AUDIT_BROKEN;
}

/* At the end of the present segment: on to the next. ERR_OK: there may be more to read. */
static enum err next_segment(struct trail *t)
{
	char name[TRAIL_SEGMENT_NAME_BYTES];
	struct stat st;

	trail_segment_name(t->segment + 1, name);
	auto_fd fd = openat(t->directory, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK);

	if (fd < 0)
		return errno == ENOENT ? end_or_gap(t) : ERR_LOCAL;
	if (fstat(fd, &st))
		return ERR_LOCAL;
	if (!S_ISREG(st.st_mode)) {
		(void)snprintf(t->fault, sizeof t->fault, "%s is not a regular file", name);
		return ERR_AUDIT_BROKEN;
	}
	if (st.st_size == 0 && t->segment > 0)
		return end_or_gap(t);
	if (!t->final) {
		t->final = true;	/* what came before the next segment did: read it first */
		return ERR_OK;
	}
	if (trail_torn(t)) {
		(void)snprintf(t->fault, sizeof t->fault, "segment %06u.jsonl ends inside of a line",
			       t->segment);
		return ERR_AUDIT_BROKEN;
	}
	if (t->fd >= 0)
		close(t->fd);
	t->fd = fd_take(&fd);
	t->segment++;
	t->final = false;
	return ERR_OK;
}

/* More bytes of the present segment; ERR_MORE at its end. */
static enum err fill(struct trail *t)
{
	ssize_t n;

	if (t->fd < 0)
		return ERR_MORE;
	memmove(t->data, t->data + t->start, t->end - t->start);
	t->end -= t->start;
	t->start = 0;
	do
		n = read(t->fd, t->data + t->end, sizeof t->data - t->end);
	while (n < 0 && errno == EINTR);
	if (n < 0)
		return ERR_LOCAL;
	t->end += (size_t)n;
	return n ? ERR_OK : ERR_MORE;
}

enum err trail_next(struct trail *t, struct str *ret_line)
{
	enum err e = ERR_OK;

	if (t->fault[0])
		return ERR_AUDIT_BROKEN;
	while (!e) {
		struct str left = str_make(t->data + t->start, t->end - t->start);
		size_t n = str_find(left, '\n');

		if (n >= AUDIT_RECORD_MAX) {
			(void)snprintf(t->fault, sizeof t->fault,
				       "segment %06u.jsonl has a line that is too long", t->segment);
			return ERR_AUDIT_BROKEN;
		}
		if (n < left.n) {
			t->start += n + 1;
			*ret_line = str_head(left, n);
			return ERR_OK;
		}
		e = fill(t);
		if (e == ERR_MORE)
			e = next_segment(t);
	}
	return e;
}

enum err audit_each(int directory, bool (*f)(void *ctx, struct str line), void *ctx)
{
	struct trail *t = NULL;	/* not auto_trail: the analyzer, which sees the malloc(), knows no cleanup */
	struct str line;
	enum err e = trail_open(directory, &t);

	if (e)
		return e;
	do
		e = trail_next(t, &line);
	while (!e && f(ctx, line));
	trail_free(t);
	return e == ERR_MORE ? ERR_OK : e;
}
