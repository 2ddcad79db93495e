/* kernel.h - the guest's kernel: a packaged Debian cloud kernel, found and made ready */
#pragma once

#include "base/buf.h"

#define KERNEL_PATH_MAX 4096

/** struct kernel - one extracted linux-image-*-cloud-amd64 package (its boot/ and lib/modules/) */
struct kernel {
	char version[128];			/* "6.1.0-56-cloud-amd64" */
	char image[KERNEL_PATH_MAX];		/* bzImage */
	char modules[KERNEL_PATH_MAX];		/* .../lib/modules/VERSION */
};

/** kernel_find() - $PADDOCK_KERNEL, $XDG_CACHE_HOME/paddock/kernel/NAME (each), /usr/lib/paddock/kernel, or
 *  the host's own: the first place that has one; in it the newest
 * Return: ERR_OK; ERR_INPUT with a sentence in @ret_text (what to do) */
must_use enum err kernel_find(struct kernel *ret, struct buf *ret_text);

/** kernel_prepare() - the uncompressed kernel and the initrd, made once and cached by content
 *  in $XDG_CACHE_HOME/paddock/machine/
 * @init: path of paddock-init
 * @ret_kernel, @ret_initrd: paths, KERNEL_PATH_MAX bytes each
 * Return: ERR_OK; ERR_LOCAL, ERR_INPUT, ERR_LIMIT, ERR_MEMORY with a sentence in @ret_text */
must_use enum err kernel_prepare(const struct kernel *k, const char *init, char *ret_kernel,
				 char *ret_initrd, struct buf *ret_text);

/** kernel_unpack() - the ELF kernel inside of a bzImage. Appends to @b.
 * Return: ERR_OK; ERR_INPUT if it is not one or its compression is another than LZ4; ERR_MEMORY, ERR_LIMIT */
must_use enum err kernel_unpack(struct str image, struct buf *b);

/** kernel_cache() - "$XDG_CACHE_HOME/paddock/@name" (or ~/.cache), its directories made
 * Return: ERR_OK; ERR_LIMIT (@cap); ERR_INPUT: no home; ERR_LOCAL with errno */
must_use enum err kernel_cache(const char *name, char *path, size_t cap);
/** kernel_read_file() - all of @path, appended. ERR_LOCAL with errno, buf_err() */
must_use enum err kernel_read_file(const char *path, struct buf *b);
/** kernel_write_file() - @path as a whole or not at all (a new file is renamed over it) */
must_use enum err kernel_write_file(const char *path, struct str bytes);
