/* image_walk.c - what of a staged tree can go into an image
 *
 * mkfs.erofs gives up at the first file that it cannot read, and takes exclusions by exact
 * path only; so the tree is walked first. Left out are what the job says, what this user
 * cannot read, and sockets, pipes and device nodes; of the host's own files also what is closed
 * to others than its owner and group, whoever runs this: in the image everybody can read it. The
 * walk also adds up what there will be.
 */
#include "machine/image_parts.h"

#include "base/auto.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#define DEPTH_MAX 128
#define BLOCK 4096u

static bool exclude(struct image_walk *w, const char *path)
{
	if (w->excluded_count == IMAGE_EXCLUDED_MAX) {
		image_complain("more than %d files have to be left out", IMAGE_EXCLUDED_MAX);
		return false;
	}
	w->excluded[w->excluded_count] = strdup(path);
	return w->excluded[w->excluded_count++] != NULL;
}

static bool may_be_read(const struct image_job *j, int directory, const char *name, const struct stat *st)
{
	mode_t others = S_ISDIR(st->st_mode) ? S_IROTH | S_IXOTH : S_IROTH;
	int access = S_ISDIR(st->st_mode) ? R_OK | X_OK : R_OK;

	if (S_ISLNK(st->st_mode))
		return true;
	return (j->closed_too || (st->st_mode & others) == others) &&
	       faccessat(directory, name, access, AT_EACCESS) == 0;
}

static bool walk_directory(const struct image_job *j, struct image_walk *w, int fd, char *path, size_t n,
			   unsigned depth);

static bool walk_entry(const struct image_job *j, struct image_walk *w, int directory, const char *name,
		       char *path, size_t n, unsigned depth)
{
	struct stat st;
	int fd;

	if (fstatat(directory, name, &st, AT_SYMLINK_NOFOLLOW))
		return errno == ENOENT;		/* it went away while we looked */
	if (j->left_out(j, path))
		return exclude(w, path);
	if (!may_be_read(j, directory, name, &st)) {
		w->closed++;
		return exclude(w, path);
	}
	if (S_ISREG(st.st_mode))
		w->bytes += ((uint64_t)st.st_size + BLOCK - 1) / BLOCK * BLOCK;
	else if (!S_ISDIR(st.st_mode) && !S_ISLNK(st.st_mode))
		return exclude(w, path);
	if (!S_ISDIR(st.st_mode))
		return true;
	fd = openat(directory, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	return fd >= 0 ? walk_directory(j, w, fd, path, n, depth + 1) : exclude(w, path);
}

/* takes @fd; @path[0..n) is the directory's path relative to the stage.
 * NOLINTNEXTLINE(misc-no-recursion): no deeper than DEPTH_MAX */
static bool walk_directory(const struct image_job *j, struct image_walk *w, int fd, char *path, size_t n,
			   unsigned depth)
{
	DIR *d = depth < DEPTH_MAX ? fdopendir(fd) : NULL;
	bool ok = true;

	if (!d) {
		close(fd);
		return exclude(w, path);
	}
	for (struct dirent *e; ok && (e = readdir(d));) {
		size_t name_n = strlen(e->d_name);

		if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0)
			continue;
		if (name_n > IMAGE_PATH_MAX - 2 - n) {
			ok = false;
			break;
		}
		if (n)
			path[n] = '/';
		memcpy(path + n + (n ? 1 : 0), e->d_name, name_n + 1);
		ok = walk_entry(j, w, dirfd(d), e->d_name, path, n + (n ? 1 : 0) + name_n, depth);
	}
	path[n] = 0;
	closedir(d);
	return ok;
}

bool image_walk(const struct image_job *j, const char *stage, struct image_walk *ret)
{
	char path[IMAGE_PATH_MAX] = "";
	int fd = open(stage, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	return fd >= 0 && walk_directory(j, ret, fd, path, 0, 0);
}

/* ---- making a stage ---- */

static bool join(const char *stage, const char *path, char ret[IMAGE_PATH_MAX])
{
	return snprintf(ret, IMAGE_PATH_MAX, "%s%s", stage, path) < IMAGE_PATH_MAX;
}

/* the parents of @path, which is in the stage */
static bool make_parents(const char *stage, const char *path)
{
	char full[IMAGE_PATH_MAX];
	size_t n = strlen(stage);

	if (!join(stage, path, full))
		return false;
	for (char *p = full + n + 1; *p; p++) {
		if (*p != '/')
			continue;
		*p = 0;
		if (mkdir(full, 0755) && errno != EEXIST)
			return false;
		*p = '/';
	}
	return true;
}

bool image_make_directory(const char *stage, const char *path, mode_t mode)
{
	char full[IMAGE_PATH_MAX];

	return join(stage, path, full) && make_parents(stage, path) &&
	       (mkdir(full, mode) == 0 || errno == EEXIST) && chmod(full, mode) == 0;
}

bool image_append_file(const char *stage, const char *path, struct str text)
{
	char full[IMAGE_PATH_MAX];

	if (!join(stage, path, full) || !make_parents(stage, path))
		return false;
	auto_fd fd = open(full, O_WRONLY | O_CREAT | O_APPEND | O_NOFOLLOW | O_CLOEXEC, 0644);

	return fd >= 0 && write(fd, text.p, text.n) == (ssize_t)text.n;
}

bool image_make_file(const char *stage, const char *path, struct str text)
{
	char full[IMAGE_PATH_MAX];

	if (!join(stage, path, full) || !make_parents(stage, path))
		return false;
	(void)unlink(full);	/* it may be a link */
	auto_fd fd = open(full, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);

	return fd >= 0 && write(fd, text.p, text.n) == (ssize_t)text.n;
}

/* a symbolic link is made again; a file or directory is bound. Recursive: a user namespace
 * may not show what a mount covers. */
bool image_bind(const char *stage, const char *source)
{
	char full[IMAGE_PATH_MAX], target[IMAGE_PATH_MAX];
	struct stat st;
	ssize_t n;

	if (lstat(source, &st))
		return errno == ENOENT || errno == EACCES;
	if (!join(stage, source, full) || !make_parents(stage, source))
		return false;
	if (S_ISLNK(st.st_mode)) {
		n = readlink(source, target, sizeof target - 1);
		if (n < 0)
			return false;
		target[n] = 0;
		return symlink(target, full) == 0 || errno == EEXIST;
	}
	if (S_ISDIR(st.st_mode) ? mkdir(full, 0755) && errno != EEXIST
				: mknod(full, S_IFREG | 0644, 0) && errno != EEXIST)
		return false;
	if (mount(source, full, NULL, MS_BIND | MS_REC, NULL) == 0)
		return true;
	image_complain("%s cannot be bound: %s", source, strerror(errno));
	return false;
}
