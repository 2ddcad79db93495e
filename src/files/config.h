/* config.h - what paddock-files serves: the configuration that the supervisor wrote
 *
 *   {"mounts": [{"path": "/home/u/p", "read_only": false, "file": false, "hidden": [".env*"],
 *                "read_only_globs": [], "protect_git": true}],
 *    "uid": 0, "gid": 0, "protected_files": ["paddock.yaml", "/home/u/p/conf/policy.yaml"]}
 *
 * uid and gid are what the guest sees as owner of the serving user's files. A protected file
 * without '/' is protected under that name at any depth of every mount; an absolute path where
 * it lies beneath a mount. Unknown members are errors; all but "mounts" and "path" may be absent
 * (false, empty, 0; protect_git: true).
 */
#pragma once

#include "base/arena.h"

#define CONFIG_MOUNTS_MAX 64
#define CONFIG_BYTES_MAX (4u * 1024 * 1024)
#define CONFIG_GLOBS_MAX 256

struct config_globs {
	size_t count;
	struct str *items;
};

struct config_mount {
	struct str path;
	bool read_only, file, protect_git;
	struct config_globs hidden, read_only_globs;
};

struct config {
	struct arena *arena;	/* owns everything */
	uint32_t mount_count;
	struct config_mount mounts[CONFIG_MOUNTS_MAX];
	uint32_t uid, gid;
	struct config_globs protected_files;
};

/** config_parse() - ERR_INPUT with one line in @text, which says what is wrong; ERR_MEMORY */
must_use enum err config_parse(struct str json, struct config *ret, char text[160]);
void config_free(struct config *c);	/* idempotent */
