/* git.h - what a body of git's says: pure parsers, fed in pieces, whose finds go to a sink
 *
 * Facts, in the order in which they are found:
 *   push   git.report      "side-band", "plain": the client wants to read what became of each ref, and in which form
 *          git.command     "create|update|delete <old> <new> <ref>", once for each
 *          git.option      a push option, for the record
 *          git.commands    how many commands there were: all of them are known now, before the pack
 *          git.history     "<command from 0> no|yes|unknown": does this update lose commits? After the pack
 *   fetch  git.command     "ls-refs", "fetch", "object-info" (protocol 2), "want" (0 and 1)
 *   lfs    git.operation   "upload", "download"
 *          git.objects     how many
 * Every failure means that the body is not what git sends: ERR_DECODER with static words; ERR_MEMORY.
 */
#pragma once

#include "base/buf.h"

#define GIT_COMMANDS_BYTES_MAX (192u * 1024)	/* packet lines before the pack: they fit into a link's window */
#define GIT_COMMANDS_MAX 1024
#define GIT_COMMITS_MAX 200000			/* of a pack; more: no verdict about its history */
#define GIT_COMMIT_BYTES_MAX (32u * 1024 * 1024)	/* of them kept, as bases of deltas */
#define GIT_ID_MAX 32
#define GIT_LFS_BYTES_MAX (1024u * 1024)

struct git_sink {
	void (*fact)(void *user, struct str name, struct str value);
	void *user;
	const char *reason;			/* set on failure: static */
};

/** git_prepare() - before confinement: what a digest needs of the library. ERR_LOCAL */
must_use enum err git_prepare(void);

struct git_push;
/** git_push_new() - @history: read the pack too. NULL without memory; @sink is borrowed */
struct git_push *git_push_new(bool history, struct git_sink *sink);
void git_push_free(struct git_push *p);
must_use enum err git_push_feed(struct git_push *p, struct str bytes);
must_use enum err git_push_end(struct git_push *p);
/** git_push_passable() - bytes of the input that may go on before the end: none before the commands are
 *  known, and never the checksum of a pack whose history is asked for, without which no server applies it */
uint64_t git_push_passable(const struct git_push *p);

struct git_fetch;
/** git_fetch_new() - @gzip: the body is compressed */
struct git_fetch *git_fetch_new(bool gzip, struct git_sink *sink);
void git_fetch_free(struct git_fetch *f);
must_use enum err git_fetch_feed(struct git_fetch *f, struct str bytes);
must_use enum err git_fetch_end(struct git_fetch *f);
uint64_t git_fetch_passable(const struct git_fetch *f);

/** git_lfs_batch() - over the whole of a batch request */
must_use enum err git_lfs_batch(struct str json, struct git_sink *sink);

struct git_pack;
/** git_pack_new() - @id_bytes: 20 or 32, by the repository's object format */
struct git_pack *git_pack_new(unsigned id_bytes, struct git_sink *sink);
void git_pack_free(struct git_pack *p);
must_use enum err git_pack_feed(struct git_pack *p, struct str bytes);
/** git_pack_end() - ERR_OK: the pack was whole */
must_use enum err git_pack_end(struct git_pack *p);
/** git_pack_passable() - bytes of the pack before its checksum */
uint64_t git_pack_passable(const struct git_pack *p);
enum git_forced { GIT_FORCED_NO, GIT_FORCED_YES, GIT_FORCED_UNKNOWN };
/** git_pack_forced() - after the end: is @old reachable from @new through commits of the pack? NO: it is;
 *  YES: all of the history of @new is here, and it is not; UNKNOWN: it goes on in what only the server has */
enum git_forced git_pack_forced(struct git_pack *p, const uint8_t *old, const uint8_t *new);
