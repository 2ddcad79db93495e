/* image.c - which image, and is it there already?                    (see image.h)
 *
 * Theory of operation: a reference becomes a kind and a key, these a file name; if the file is
 * there it is used, and its time is set, so that what has not been used for a day can go when
 * a newer one of its kind is built. Otherwise one process builds, under a lock in the cache,
 * and the others wait and say so. A name in the cache is only ever given to a finished file.
 */
#include "machine/image_parts.h"

#include "base/auto.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>

#define MAGIC_OFFSET 1024
#define MAGIC "\xe2\xe1\xf5\xe0"	/* 0xE0F5E1E2, little-endian */
/* An image is as large as what it is made of; that of tools which have changed is never wanted again. */
#define UNUSED_SECONDS 3600
#define LOCK_POLL_MS 200

enum err image_check(const char *path, struct buf *ret_text)
{
	auto_fd fd = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
	struct stat st;
	char magic[4];

	if (fd < 0 || fstat(fd, &st))
		buf_printf(ret_text, "image %.900s: %s", path, strerror(errno));
	else if (!S_ISREG(st.st_mode))
		buf_printf(ret_text, "image %.900s: it is not a regular file", path);
	else if (pread(fd, magic, sizeof magic, MAGIC_OFFSET) != sizeof magic ||
		 memcmp(magic, MAGIC, sizeof magic) != 0)
		buf_printf(ret_text, "image %.900s: it is not an erofs image (make one with mkfs.erofs)",
			   path);
	else
		return ERR_OK;
	return ERR_INPUT;
}

static enum err own_image(const char *reference, char ret_path[IMAGE_PATH_MAX], struct buf *ret_text)
{
	char path[IMAGE_PATH_MAX];
	enum err e;

	if (!realpath(reference, path)) {
		buf_printf(ret_text, "image %.900s: %s", reference, strerror(errno));
		return ERR_INPUT;
	}
	e = image_check(path, ret_text);
	if (!e)
		memcpy(ret_path, path, sizeof path);
	return e;
}

/* marks it as used */
static bool is_there(const char *path)
{
	return utimensat(AT_FDCWD, path, NULL, 0) == 0;
}

static enum err take_lock(const char *images, const struct image_options *o, int *ret_fd,
			  struct buf *ret_text)
{
	char path[IMAGE_PATH_MAX];
	int fd = -1;

	if (snprintf(path, sizeof path, "%s/lock", images) < (int)sizeof path)
		fd = open(path, O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);
	while (fd >= 0 && flock(fd, LOCK_EX | LOCK_NB)) {
		struct timespec pause = { .tv_nsec = LOCK_POLL_MS * 1000000L };

		if (errno != EWOULDBLOCK && errno != EINTR) {
			close(fd);
			fd = -1;
			break;
		}
		if (o->progress)
			o->progress(o->ctx, "waiting for another run, which builds an image", 0, 0);
		nanosleep(&pause, NULL);
	}
	if (fd < 0) {
		buf_printf(ret_text, "%.900s cannot be locked: %s", images, strerror(errno));
		return ERR_LOCAL;
	}
	*ret_fd = fd;
	return ERR_OK;
}

/* under the lock: files of builds that were killed, and images of @kind that nobody has used for an
 * hour */
static void sweep(const char *images, const char *kind, const char *keep)
{
	DIR *d = opendir(images);
	time_t now = time(NULL);
	char stage[IMAGE_PATH_MAX];

	for (struct dirent *e; d && (e = readdir(d));) {
		struct str name = str_of(e->d_name);
		bool old_image = str_starts(name, str_of(kind)) && name.p[strlen(kind)] == '-' &&
				 strcmp(e->d_name, keep) != 0;
		struct stat st;

		if (str_starts(name, STR("tmp-")))
			(void)unlinkat(dirfd(d), e->d_name, 0);
		else if (str_starts(name, STR("stage-")) &&
			 snprintf(stage, sizeof stage, "%s/%s", images, e->d_name) < (int)sizeof stage)
			image_remove_tree(stage);
		else if (old_image && fstatat(dirfd(d), e->d_name, &st, AT_SYMLINK_NOFOLLOW) == 0 &&
			 st.st_mtime < now - UNUSED_SECONDS)
			(void)unlinkat(dirfd(d), e->d_name, 0);
	}
	if (d)
		closedir(d);
}

static enum err build_locked(const struct image_job *j, const char *images, const char *kind,
			     const char *path, struct buf *ret_text)
{
	uint64_t skipped = 0;
	auto_fd lock = -1;
	enum err e = take_lock(images, j->options, &lock, ret_text);

	if (e)
		return e;
	if (is_there(path))
		return ERR_OK;
	sweep(images, kind, strrchr(path, '/') + 1);
	e = image_build(j, images, path, &skipped, ret_text);
	if (!e && skipped)
		buf_printf(ret_text, "%llu files and directories are not in the image, because not everybody may read them",
			   (unsigned long long)skipped);
	return e;
}

static enum err key_of(const struct image_job *j, const char *kind, char ret[IMAGE_KEY_BYTES])
{
	struct image_key *k = image_key_new();
	enum err e;

	if (!k)
		return ERR_MEMORY;
	if (strcmp(kind, "host") == 0)
		image_host_key(k, j->options);
	else
		image_debian_key(k, j->packages);
	e = image_key_end(k, ret);
	image_key_free(k);
	return e;
}

static enum err cached(const struct image_job *j, const char *kind, char ret_path[IMAGE_PATH_MAX],
		       struct buf *ret_text)
{
	char images[IMAGE_PATH_MAX], path[IMAGE_PATH_MAX], key[IMAGE_KEY_BYTES];
	enum err e = key_of(j, kind, key);

	if (e)
		return e;
	if (snprintf(images, sizeof images, "%s/images", j->options->cache) >= (int)sizeof images ||
	    snprintf(path, sizeof path, "%s/%s-%s.erofs", images, kind, key) >= (int)sizeof path) {
		buf_put_z(ret_text, "the cache's path is too long");
		return ERR_INPUT;
	}
	if (mkdir(images, 0700) && errno != EEXIST) {
		buf_printf(ret_text, "%.900s: %s", images, strerror(errno));
		return ERR_LOCAL;
	}
	e = is_there(path) ? ERR_OK : build_locked(j, images, kind, path, ret_text);
	if (!e)
		memcpy(ret_path, path, sizeof path);
	return e;
}

enum err image_ensure(const char *reference, const struct image_options *o, char ret_path[IMAGE_PATH_MAX],
		      struct buf *ret_text)
{
	struct image_job host = { .what = "building the image of the host's tools", .stage = image_host_stage,
				  .left_out = image_host_left_out, .options = o, .user = getuid() };
	struct image_job debian = { .what = "building the Debian image", .stage = image_debian_stage,
				    .left_out = image_debian_left_out, .options = o, .user = getuid(),
				    .closed_too = true, .on_disk = true };

	if (strcmp(reference, "host") == 0)
		return cached(&host, "host", ret_path, ret_text);
	if (strcmp(reference, "debian") == 0)
		return cached(&debian, "debian", ret_path, ret_text);
	if (str_starts(str_of(reference), STR("debian:"))) {
		debian.packages = reference + 7;
		if (image_packages_check(debian.packages))
			return cached(&debian, "debian", ret_path, ret_text);
		buf_printf(ret_text,
			   "image \"%.200s\": expected package names, separated by commas, after \"debian:\"",
			   reference);
		return ERR_INPUT;
	}
	if (strchr(reference, '/'))
		return own_image(reference, ret_path, ret_text);
	buf_printf(ret_text,
		   "image \"%.200s\": expected host, debian, debian:PACKAGES, or the path of an erofs image",
		   reference);
	return ERR_INPUT;
}
