/* marks.h - objects of the host's file system that are remembered by identity
 *
 * Two sets. *Identities*: files that a rule covers under one name and that may have another (hard
 * links). *Made*: the .git directories, files and links that were made from inside in this run;
 * each keeps a descriptor, so that its number cannot be given to another object meanwhile.
 */
#pragma once

#include "files/rules.h"

#include <sys/stat.h>

#define MARKS_IDENTITIES_MAX 65536
#define MARKS_MADE_MAX 512

struct marks;
struct marks *marks_new(void);	/* NULL without memory */
void marks_free(struct marks *m);

/** marks_add() - the object of @st is under @rule, whatever it is called; the strictest stays
 * Return: ERR_LIMIT, ERR_MEMORY */
must_use enum err marks_add(struct marks *m, const struct stat *st, enum rule rule);
enum rule marks_rule(const struct marks *m, const struct stat *st);

/** marks_make() - remembers @fd's object (O_PATH is enough), @fd is taken on ERR_OK
 * Return: ERR_LIMIT: MARKS_MADE_MAX are remembered; ERR_LOCAL */
must_use enum err marks_make(struct marks *m, int fd);
bool marks_is_made(const struct marks *m, const struct stat *st);
/** marks_unmake() - the object is gone; no-op for any other */
void marks_unmake(struct marks *m, const struct stat *st);
bool marks_full(const struct marks *m);
