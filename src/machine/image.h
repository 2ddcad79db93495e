/* image.h - the guest's root: erofs images, built once and cached
 *
 *   host              the host's own toolchain (image_host.c has the list)
 *   debian            a minimal Debian by mmdebstrap, from the host's own apt sources
 *   debian:PKG,PKG    with these packages added
 *   /path, ./path     an erofs image, used as it is
 *
 * Cached as CACHE/images/<kind>-<key>.erofs, where the key is a digest over what went in.
 */
#pragma once

#include "base/buf.h"

#define IMAGE_PATH_MAX 4096
#define IMAGE_TEXT_MAX 1024

/** image_progress - called a few times a second while an image is built or waited for
 * @what:  a few words
 * @done, @total: bytes; @total 0: not known */
typedef void image_progress(void *ctx, const char *what, uint64_t done, uint64_t total);

struct image_options {
	const char *cache;	/* absolute directory, exists ($XDG_CACHE_HOME/paddock) */
	const char *exclude;	/* host: further globs of absolute paths, colon-separated; or NULL */
	const char *directories;/* host: further absolute directories, colon-separated; or NULL */
	image_progress *progress;	/* may be NULL */
	void *ctx;
};

/** image_ensure() - finds or builds the image of @reference
 * @ret_path: absolute; IMAGE_PATH_MAX bytes
 * @ret_text: made by the caller, IMAGE_TEXT_MAX or more: on failure one line for the user, with the
 *            mend; on success what is worth saying (files left out), or nothing
 * Return: ERR_OK; ERR_INPUT (@reference, or the file, is not valid); ERR_LOCAL (a program is
 * missing, failed, or the disk is full); ERR_MEMORY */
must_use enum err image_ensure(const char *reference, const struct image_options *o,
			       char ret_path[IMAGE_PATH_MAX], struct buf *ret_text);
/** image_check() - does @path begin like an erofs file
 * system? ERR_OK, ERR_INPUT, with the reason in @ret_text */
must_use enum err image_check(const char *path, struct buf *ret_text);
/** image_host_contains() - is @path (absolute, resolved) in the host image as it is by default? */
bool image_host_contains(const char *path);

#define IMAGE_TREES_MAX 16

/** struct image_trees - what must be visible, besides the host image, for a command to run */
struct image_trees {
	char executable[IMAGE_PATH_MAX];	/* what to execute: the path found if it is in the image, else the
						   file that it resolves to */
	char withheld[IMAGE_PATH_MAX];		/* a tree that is needed and not named below, because what says so
						   could be an agent's; or "" */
	uint32_t count;
	struct image_tree {
		char path[IMAGE_PATH_MAX];	/* absolute, resolved */
		bool directory;			/* else a single file */
	} trees[IMAGE_TREES_MAX];
};

/** image_command_trees() - resolves @command (as a shell would, over @search, a PATH) and its
 *  script interpreters, and names the narrowest installation tree of each that is not in the
 *  host image: the outermost node_modules; a Python or conda environment; a prefix with bin
 *  and lib; a version manager with its shims; a directory with package.json; else the file
 *  alone. Never the home, what contains it, or a dot directory that is a home of settings.
 *  Once a file, link or script on the way lies in one of @agents, only what lies there too.
 * @home:     absolute, or NULL
 * @agents:   directories that agents write (the workspace), canonical; NULL ends them
 * @ret_text: on failure one line for the user
 * Return: ERR_OK; ERR_INPUT (not found, not executable, too many interpreters) */
must_use enum err image_command_trees(const char *command, const char *search, const char *home,
				      const char *const *agents, struct image_trees *ret, struct buf *ret_text);
