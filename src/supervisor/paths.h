/* paths.h - where Paddock keeps what, by the XDG base directory rules
 *
 *   state    $XDG_STATE_HOME/paddock    (~/.local/state)  trails, keys: kept
 *   cache    $XDG_CACHE_HOME/paddock    (~/.cache)        images, kernels: can be made again
 *   config   $XDG_CONFIG_HOME/paddock   (~/.config)       trusted policy digests
 *   runtime  $XDG_RUNTIME_DIR/paddock   (else a 0700 directory of ours under $TMPDIR or /tmp)
 */
#pragma once

#include "base/buf.h"

enum paths_kind { PATHS_STATE, PATHS_CACHE, PATHS_CONFIG, PATHS_RUNTIME };

#define PATHS_MAX 4096

/** paths_directory() - makes the directory (0700, parents as needed) and writes its path
 * Return: ERR_OK; ERR_INPUT (no home, or a relative variable; @ret says which); ERR_LOCAL with
 * errno: @ret holds the path that failed. One that is another user's, or (runtime: links not
 * followed) open to others, is refused: ERR_LOCAL, EPERM. */
must_use enum err paths_directory(enum paths_kind kind, struct buf *ret);
/** paths_is_below() - is @path, canonical as @directory is, that directory or beneath it? */
bool paths_is_below(struct str path, struct str directory);
/** paths_hold_ours() - does the tree at @path hold one of our directories, or lie in one? Then what is
 *  served of it could change trails, keys, trusted digests or images. */
bool paths_hold_ours(const char *path);
/** paths_hold_home() - is @path, canonical, the user's home directory, or above it? */
bool paths_hold_home(struct str path);
/** paths_make() - mkdir -p with mode 0700 for what is missing; ERR_LOCAL with errno */
must_use enum err paths_make(const char *path);
/** paths_read() - a whole regular file of at most @max bytes into @ret; ERR_LOCAL, ERR_LIMIT */
must_use enum err paths_read(const char *path, size_t max, struct buf *ret);
