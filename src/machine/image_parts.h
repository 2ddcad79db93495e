/* image_parts.h - between the files of the image builder; nobody else includes it */
#pragma once

#include "machine/image.h"

#include <sys/types.h>

/* ---- digests (image_key.c) ---- */
#define IMAGE_KEY_BYTES 17	/* 16 hex digits and a NUL */
struct image_key;
struct image_key *image_key_new(void);
void image_key_free(struct image_key *k);
/** image_key_put() - text, its length too; image_key_stat() - path, kind, size, mtime of what is there;
 *  image_key_file() - contents of a regular file; image_key_tree() - image_key_stat() of every
 *  directory down to @depth */
void image_key_put(struct image_key *k, struct str s);
void image_key_stat(struct image_key *k, const char *path);
void image_key_file(struct image_key *k, const char *path);
void image_key_tree(struct image_key *k, const char *path, unsigned depth);
must_use enum err image_key_end(struct image_key *k, char ret[IMAGE_KEY_BYTES]);

/* ---- the build (image_build.c) ---- */

/** struct image_job - how a staged tree comes about. Both functions run in the builder, a child,
 *  and complain on standard error. */
struct image_job {
	const char *what;		/* for the progress */
	/** makes the tree in the empty directory @stage */
	bool (*stage)(const struct image_job *j, const char *stage);
	/** is @path (relative to the stage) left out? */
	bool (*left_out)(const struct image_job *j, const char *path);
	const struct image_options *options;
	const char *packages;		/* debian */
	uid_t user;			/* whose image it is; inside of the namespace it is called 0 */
	bool closed_too;		/* what only its owner may read goes in: nobody's secrets are there */
	bool on_disk;			/* the stage is a directory of the cache, made before there are namespaces;
					   else it is memory, made within, and may have mounts */
};

/** image_build() - stages, writes, renames to @path, atomically; cleans up after itself
 * @ret_skipped: files and directories left out because not everybody may read them */
must_use enum err image_build(const struct image_job *j, const char *images, const char *path,
			      uint64_t *ret_skipped, struct buf *ret_text);
/** image_remove_tree() - all below @path, on its file system, and itself; as far as possible */
void image_remove_tree(const char *path);
/** image_complain() - from the builder to whoever waits */
void image_complain(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* ---- staging (image_walk.c, image_host.c, image_debian.c) ---- */

/** struct image_walk - what a walk over the stage found; paths to be excluded, relative */
#define IMAGE_EXCLUDED_MAX 8192
struct image_walk {
	uint64_t bytes, closed;	/* closed: files and directories of which may_be_read() is false */
	size_t excluded_count;
	char *excluded[IMAGE_EXCLUDED_MAX];
};
must_use bool image_walk(const struct image_job *j, const char *stage, struct image_walk *ret);

bool image_make_directory(const char *stage, const char *path, mode_t mode);
bool image_make_file(const char *stage, const char *path, struct str text);
bool image_append_file(const char *stage, const char *path, struct str text);
/** image_bind() - @source, read-only, at the same path in the stage */
bool image_bind(const char *stage, const char *source);
/** image_make_base() - empty directories, this user's account, and generated files that every root needs */
bool image_make_base(const struct image_job *j, const char *stage);

void image_host_key(struct image_key *k, const struct image_options *o);
bool image_host_stage(const struct image_job *j, const char *stage);
bool image_host_left_out(const struct image_job *j, const char *path);
void image_debian_key(struct image_key *k, const char *packages);
bool image_debian_stage(const struct image_job *j, const char *stage);
bool image_debian_left_out(const struct image_job *j, const char *path);
/** image_source_is_public() - has the apt source at @path, read whole, no URL with a user? Complains */
bool image_source_is_public(const char *path);
/** image_packages_check() - names separated by commas, by Debian policy 5.6.1 */
bool image_packages_check(const char *packages);
