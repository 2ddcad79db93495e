/* rundir.c - see rundir.h
 *
 * A lock and not a pid says whether a run lives: the kernel gives it back whatever way the
 * supervisor ended, and no other process can be taken for it. Whoever asks takes the lock for a
 * moment; so a directory has its name, by which it is asked for, only once it is locked. Until
 * then the name has a dot before it.
 */
#include "supervisor/rundir.h"

#include "base/auto.h"
#include "base/clock.h"
#include "os/fd.h"
#include "supervisor/paths.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <time.h>

#define STATE_MAX 65536
#define DEPTH_MAX 8

static bool make_id(char ret[RUNDIR_ID_MAX])
{
	uint8_t random[3];
	time_t now = (time_t)(clock_unix_ns() / 1000000000u);
	struct tm tm;
	size_t n;

	if (getrandom(random, sizeof random, 0) != (ssize_t)sizeof random || !gmtime_r(&now, &tm))
		return false;
	n = strftime(ret, RUNDIR_ID_MAX, "%Y%m%d-%H%M%S", &tm);
	return n &&
	       snprintf(ret + n, RUNDIR_ID_MAX - n, "-%02x%02x%02x", random[0], random[1], random[2]) == 7;
}

/* As make_id() makes them, also before the lock is taken: nothing else is ever swept. */
static bool is_ours(const char *name)
{
	static const char form[] = "dddddddd-dddddd-xxxxxx";
	size_t i = 0;

	name += name[0] == '.';
	while (name[i] && form[i] &&
	       (form[i] == 'd' ? ascii_digit(name[i]) : form[i] == 'x' ? ascii_hex(name[i]) >= 0 : name[i] == '-'))
		i++;
	return !name[i] && !form[i];
}

/* Opens directory @name of @parent and takes its lock: -1 if somebody else holds it. */
static int lock_run(int parent, const char *name, int *ret_lock)
{
	auto_fd dir = openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

	if (dir < 0)
		return -1;
	auto_fd lock = openat(dir, "lock", O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (lock < 0 || flock(lock, LOCK_EX | LOCK_NB))
		return -1;
	*ret_lock = fd_take(&lock);
	return fd_take(&dir);
}

enum err rundir_create(struct rundir *ret, struct buf *why)
{
	enum err e = paths_directory(PATHS_RUNTIME, why);
	struct rundir r = { .fd = -1, .lock = -1 };
	char unlocked[RUNDIR_ID_MAX + 1] = ".";

	if (e)
		return e;
	auto_fd parent = open(buf_z(why), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	/* no sweep between the making of a directory and the taking of its lock */
	if (parent < 0 || flock(parent, LOCK_SH) || !make_id(r.id))
		return ERR_LOCAL;
	memcpy(unlocked + 1, r.id, sizeof r.id);
	if (snprintf(r.path, sizeof r.path, "%s/%s", buf_z(why), r.id) >= (int)sizeof r.path)
		return ERR_LIMIT;
	if (mkdirat(parent, unlocked, 0700))
		return ERR_LOCAL;
	r.fd = lock_run(parent, unlocked, &r.lock);
	if (r.fd < 0 || renameat(parent, unlocked, parent, r.id)) {
		int error = errno;

		auto_fd_close(&r.fd);
		auto_fd_close(&r.lock);
		errno = error;
		return ERR_LOCAL;
	}
	*ret = r;
	return ERR_OK;
}

/* Removes what is in @dir; a run's directory is flat but for what a driver put there. */
static void empty_directory(int dir, unsigned depth)
{
	DIR *d = fdopendir(dir);	/* takes dir */

	if (!d) {
		close(dir);
		return;
	}
	for (struct dirent *e; (e = readdir(d));) {
		if (!strcmp(e->d_name, ".") || !strcmp(e->d_name, ".."))
			continue;
		if (unlinkat(dirfd(d), e->d_name, 0) == 0 || depth == 0)
			continue;
		int sub = openat(dirfd(d), e->d_name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

		if (sub < 0)
			continue;
		empty_directory(sub, depth - 1);
		unlinkat(dirfd(d), e->d_name, AT_REMOVEDIR);
	}
	closedir(d);
}

void rundir_remove(struct rundir *r)
{
	if (r->fd < 0)
		return;
	empty_directory(fd_take(&r->fd), DEPTH_MAX);
	rmdir(r->path);
	close(r->lock);
	r->lock = -1;
}

enum err rundir_write(const struct rundir *r, const char *name, struct str content)
{
	char temporary[64];

	if (snprintf(temporary, sizeof temporary, ".%s.new", name) >= (int)sizeof temporary)
		return ERR_LIMIT;
	auto_fd fd = openat(r->fd, temporary, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (fd < 0 || fd_write(fd, content) != ERR_OK)
		return ERR_LOCAL;
	return renameat(r->fd, temporary, r->fd, name) ? ERR_LOCAL : ERR_OK;
}

static DIR *runs_open(struct buf *path)
{
	if (paths_directory(PATHS_RUNTIME, path))
		return NULL;
	return opendir(buf_z(path));
}

unsigned rundir_sweep(void)
{
	auto_buf path = BUF_EMPTY;
	unsigned swept = 0;
	DIR *d;

	buf_init(&path, PATHS_MAX);
	d = runs_open(&path);
	if (!d)
		return 0;
	/* somebody is at work there: what is dead can wait for the next command */
	for (struct dirent *e; flock(dirfd(d), LOCK_EX | LOCK_NB) == 0 && (e = readdir(d));) {
		auto_fd lock = -1;
		int dir;

		if (!is_ours(e->d_name))
			continue;
		dir = lock_run(dirfd(d), e->d_name, &lock);
		if (dir < 0)
			continue;
		empty_directory(dir, DEPTH_MAX);
		if (unlinkat(dirfd(d), e->d_name, AT_REMOVEDIR) == 0)
			swept++;
	}
	closedir(d);
	return swept;
}

/* A run lives if its lock cannot be had. */
static bool is_live(int parent, const char *name)
{
	auto_fd dir = openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (dir < 0)
		return false;
	auto_fd lock = openat(dir, "lock", O_RDWR | O_NOFOLLOW | O_CLOEXEC);
	return lock >= 0 && flock(lock, LOCK_SH | LOCK_NB) && errno == EWOULDBLOCK;
}

enum err rundir_each(bool (*f)(void *ctx, const struct rundir_entry *e), void *ctx, struct buf *why)
{
	enum err result = paths_directory(PATHS_RUNTIME, why);
	DIR *d = result ? NULL : opendir(buf_z(why));
	bool more = true;

	if (result)
		return result;
	if (!d)
		return ERR_LOCAL;
	for (struct dirent *e; more && (e = readdir(d));) {
		char path[PATHS_MAX], file[PATHS_MAX];
		auto_buf state = BUF_EMPTY;

		buf_init(&state, STATE_MAX);
		if (e->d_name[0] == '.' || !is_live(dirfd(d), e->d_name))
			continue;
		if (snprintf(path, sizeof path, "%s/%s", buf_z(why), e->d_name) >= (int)sizeof path ||
		    snprintf(file, sizeof file, "%s/state.json", path) >= (int)sizeof file)
			continue;
		if (paths_read(file, STATE_MAX - 4096, &state))
			buf_clear(&state);	/* it has not written it yet */
		more = f(ctx,
			 &(struct rundir_entry){ .id = e->d_name, .path = path, .state = buf_str(&state) });
	}
	closedir(d);
	return ERR_OK;
}
