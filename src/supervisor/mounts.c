/* mounts.c - see mounts.h
 *
 * Opened once, before anything else is started: everything later is done with these descriptors. A path is believed
 * no further than to open it.
 */
#include "supervisor/mounts.h"

#include "base/auto.h"
#include "supervisor/paths.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

/* Another sandbox may serve a directory above this one, and have put a link in its place since its path was
 * looked at: what was opened is judged, not what the path said. Only what the policy names may lead through links. */
static bool is_what_was_named(int fd, struct str path, bool links)
{
	char self[32], real[PATHS_MAX];
	ssize_t n;

	(void)snprintf(self, sizeof self, "/proc/self/fd/%d", fd);
	n = readlink(self, real, sizeof real - 1);
	if (n <= 0 || n >= (ssize_t)sizeof real - 1)
		return false;
	real[n] = '\0';
	return str_eq(str_of(real), path) || (links && !paths_hold_ours(real) && !paths_hold_home(str_of(real)));
}

static enum err add_mount(struct mounts *m, struct str path, bool read_only, bool links, const char *what,
			  struct buf *why)
{
	struct stat st;

	for (uint32_t i = 0; i < m->count; i++)
		if (str_eq(m->entry[i].path, path))
			return ERR_OK;
	if (m->count == MOUNTS_MAX) {
		buf_printf(why, "%s: too many directories for one sandbox; at most %d", what,
			   MOUNTS_MAX);
		return ERR_INPUT;
	}
	if (!str_is_utf8(path)) {
		buf_printf(why, "%s: %.200s: its path is not UTF-8; rename it", what, path.p);
		return ERR_INPUT;
	}
	if (paths_hold_ours(path.p)) {
		buf_printf(why, "%s: %.200s: holds Paddock's own state, cache or configuration, which no sandbox may change; "
			   "name a directory without it", what, path.p);
		return ERR_INPUT;
	}
	auto_fd fd = open(path.p, O_PATH | O_CLOEXEC);
	if (fd < 0 || fstat(fd, &st)) {
		buf_printf(why, "%s: %.200s: %s", what, path.p, strerror(errno));
		return ERR_INPUT;
	}
	if (!is_what_was_named(fd, path, links)) {
		buf_printf(why, "%s: %.200s: a link leads it elsewhere, or to your home directory; name the directory itself",
			   what, path.p);
		return ERR_INPUT;
	}
	m->entry[m->count++] = (struct mount_entry){
		.path = path, .read_only = read_only, .file = !S_ISDIR(st.st_mode), .fd = fd_take(&fd),
	};
	return ERR_OK;
}

/* A parent's path is shorter than its child's, so that it is mounted first. */
static int shorter_first(const void *a, const void *b)
{
	const struct mount_entry *x = a, *y = b;

	return (x->path.n > y->path.n) - (x->path.n < y->path.n);
}

enum err mounts_open(const struct spec *spec, struct mounts *ret, struct buf *why)
{
	const struct policy_filesystem *f = policy_filesystem(spec->policy);
	struct str workspace = str_of(spec->workspace);
	enum err e;

	ret->count = 0;
	e = add_mount(ret, workspace, false, false, "--workspace", why);
	for (uint32_t i = 0; !e && i < f->visible_count; i++)
		e = add_mount(ret, f->visible[i].path, f->visible[i].mode == POLICY_MODE_READ,
			      true, "filesystem.visible", why);
	for (uint32_t i = 0; !e && i < spec->tool_count; i++)
		if (!paths_is_below(spec->tools[i], workspace))
			e = add_mount(ret, spec->tools[i], true, false, "COMMAND's installation", why);
	if (e) {
		mounts_close(ret);
		return e;
	}
	qsort(ret->entry, ret->count, sizeof ret->entry[0], shorter_first);
	return ERR_OK;
}

void mounts_close(struct mounts *m)
{
	for (uint32_t i = 0; i < m->count; i++)
		auto_fd_close(&m->entry[i].fd);
	m->count = 0;
}
