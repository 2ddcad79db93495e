/* marks.c - objects remembered by identity                               (see marks.h)
 *
 * Identities are an open-addressed table that is never more than half full and only grows;
 * what was made is few, and a plain list.
 */
#include "files/marks.h"

#include <stdlib.h>
#include <unistd.h>

struct identity {
	dev_t device;
	ino_t inode;
	enum rule rule;		/* RULE_NONE: the place is free */
};

struct made {
	dev_t device;
	ino_t inode;
	int fd;
};

struct marks {
	struct identity *table;
	size_t size, count;	/* size: a power of two */
	size_t made_count;
	struct made made[MARKS_MADE_MAX];
};

struct marks *marks_new(void) { return calloc(1, sizeof(struct marks)); }

void marks_free(struct marks *m)
{
	if (!m)
		return;
	for (size_t i = 0; i < m->made_count; i++)
		close(m->made[i].fd);
	free(m->table);
	free(m);
}

/* The place of (@device, @inode) in a table that has room. */
static struct identity *place(struct identity *table, size_t size, dev_t device, ino_t inode)
{
	size_t i = (size_t)(((uint64_t)inode ^ (uint64_t)device << 40) * 0x9e3779b97f4a7c15u >> 32);

	for (;; i++) {
		struct identity *at = &table[i & (size - 1)];

		if (at->rule == RULE_NONE || (at->device == device && at->inode == inode))
			return at;
	}
}

static enum err grow(struct marks *m)
{
	size_t size = m->size ? m->size * 2 : 64;
	struct identity *table = calloc(size, sizeof *table);

	if (!table)
		return ERR_MEMORY;
	for (size_t i = 0; i < m->size; i++)
		if (m->table[i].rule != RULE_NONE)
			*place(table, size, m->table[i].device, m->table[i].inode) = m->table[i];
	free(m->table);
	m->table = table;
	m->size = size;
	return ERR_OK;
}

enum err marks_add(struct marks *m, const struct stat *st, enum rule rule)
{
	struct identity *at;

	if (rule == RULE_NONE)
		return ERR_OK;
	if (m->count >= MARKS_IDENTITIES_MAX)
		return ERR_LIMIT;
	if (m->count >= m->size / 2) {
		enum err e = grow(m);

		if (e)
			return e;
	}
	at = place(m->table, m->size, st->st_dev, st->st_ino);
	if (at->rule == RULE_NONE)
		m->count++;
	if (rule > at->rule)
		*at = (struct identity){ st->st_dev, st->st_ino, rule };
	return ERR_OK;
}

enum rule marks_rule(const struct marks *m, const struct stat *st)
{
	return m->size ? place(m->table, m->size, st->st_dev, st->st_ino)->rule : RULE_NONE;
}

enum err marks_make(struct marks *m, int fd)
{
	struct stat st;

	if (fstat(fd, &st))
		return ERR_LOCAL;
	if (m->made_count == MARKS_MADE_MAX)
		return ERR_LIMIT;
	m->made[m->made_count++] = (struct made){ st.st_dev, st.st_ino, fd };
	return ERR_OK;
}

static size_t find(const struct marks *m, const struct stat *st)
{
	size_t i = 0;

	while (i < m->made_count && !(m->made[i].inode == st->st_ino && m->made[i].device == st->st_dev))
		i++;
	return i;
}

bool marks_is_made(const struct marks *m, const struct stat *st) { return find(m, st) < m->made_count; }
bool marks_full(const struct marks *m) { return m->made_count == MARKS_MADE_MAX; }

void marks_unmake(struct marks *m, const struct stat *st)
{
	size_t i = find(m, st);

	if (i == m->made_count)
		return;
	close(m->made[i].fd);
	m->made[i] = m->made[--m->made_count];
}
