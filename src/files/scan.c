/* scan.c - looking through a subtree for what has a rule
 *
 * Theory of operation: two questions need a walk. *Rename*: a directory may only move if nothing
 * beneath it has a rule, where it is or where it would be; otherwise a protected path could be
 * led away with its parent, or another be put in its place. *Links*: a file that a rule covers
 * may have another name where no rule looks; the first time that the guest meets a file with
 * several names, all that is covered is looked up once and remembered by identity.
 * Both are bounded in entries and depth, and both take too much for a refusal (I4). The guest
 * waits meanwhile, so that it cannot change what was looked at.
 */
#include "files/private.h"

#include "base/auto.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/syscall.h>

#define LEVELS_MAX 256

struct level {
	struct level *up;
	int fd;
	long position, length;
	char folded[RULES_FOLD_BYTES];	/* of the entry at hand */
	char entries[16384] __attribute__((aligned(16)));
};

struct entry {
	int directory;
	const char *name;
	struct str folded;
	unsigned char type;
	size_t level;		/* 0: right beneath the start */
};

struct walk {
	struct tree *t;
	uint32_t budget;
	bool skip_closed;	/* other users' directories that cannot be opened are passed over */
	int (*visit)(struct walk *w, struct entry *e);	/* errno to stop */
	struct place *from, *to;	/* rename */
	uint32_t mount;			/* links */
};

struct dirent64_head {	/* struct linux_dirent64 without its name */
	uint64_t inode;
	int64_t next;
	uint16_t length;
	unsigned char type;
} __attribute__((packed));

static int push(struct level **top, int directory, const char *name)
{
	struct level *l;
	int fd, error = open_beneath(directory, name, O_RDONLY | O_DIRECTORY, 0, &fd);

	if (error)
		return error;
	l = malloc(sizeof *l);
	if (!l) {
		close(fd);
		return ENOMEM;
	}
	l->up = *top;
	l->fd = fd;
	l->position = l->length = 0;
	*top = l;
	return 0;
}

static void pop(struct level **top)
{
	struct level *l = *top;

	*top = l->up;
	close(l->fd);
	free(l);
}

/* The next entry of @l; false at its end. */
static bool next_entry(struct level *l, struct entry *ret, int *ret_error)
{
	struct dirent64_head head;

	*ret_error = 0;
	do {
		if (l->position >= l->length) {
			l->length = syscall(SYS_getdents64, l->fd, l->entries, sizeof l->entries);
			l->position = 0;
			if (l->length < 0)
				*ret_error = errno;
			if (l->length <= 0)
				return false;
		}
		memcpy(&head, l->entries + l->position, sizeof head);
		ret->name = l->entries + l->position + sizeof head;
		l->position += head.length;
	} while (!strcmp(ret->name, ".") || !strcmp(ret->name, ".."));
	ret->directory = l->fd;
	ret->type = head.type;
	ret->folded = str_make(l->folded, rules_fold(str_of(ret->name), l->folded));
	return true;
}

static int visit(struct walk *w, struct entry *e)
{
	struct stat st;

	if (w->budget == 0)
		return E2BIG;
	w->budget--;
	if (e->type == DT_UNKNOWN) {
		if (fstatat(e->directory, e->name, &st, AT_SYMLINK_NOFOLLOW))
			return errno == ENOENT ? 0 : errno;
		e->type = S_ISDIR(st.st_mode) ? DT_DIR : DT_REG;
	}
	return w->visit(w, e);
}

/* A directory of ours that cannot be opened may have been closed by the agent (chmod), who opens it again
 * when the look is over; in one of another user's nothing could be changed anyway. */
static bool may_pass_over(const struct walk *w, const struct entry *e)
{
	struct stat st;

	return w->skip_closed && fstatat(e->directory, e->name, &st, AT_SYMLINK_NOFOLLOW) == 0 &&
	       st.st_uid != w->t->own;
}

static int walk(struct walk *w, int directory, const char *name)
{
	struct level *top = NULL;
	size_t depth = 1;
	struct entry e;
	int error = push(&top, directory, name);

	while (!error && top) {
		if (!next_entry(top, &e, &error)) {
			pop(&top);
			depth--;
			continue;
		}
		e.level = depth - 1;
		error = visit(w, &e);
		if (error || e.type != DT_DIR)
			continue;
		if (depth == LEVELS_MAX) {
			error = E2BIG;
			continue;
		}
		error = push(&top, e.directory, e.name);
		if (!error)
			depth++;
		else if (error == ENOENT || (error == EACCES && may_pass_over(w, &e)))
			error = 0;
	}
	while (top)
		pop(&top);
	return error;
}

/* Writes the entry at its depth beneath the path of @p, which is that of the start. */
static enum rule rule_beneath(struct walk *w, const struct place *p, const struct entry *e)
{
	size_t at = p->count + e->level;
	struct rules_component *component = &p->path[at];
	struct stat st;

	if (at >= RULES_DEPTH_MAX)
		return RULE_PROTECTED;
	*component = (struct rules_component){ .name = e->folded };
	if ((rules_is_git(e->folded) || rules_git_nest(p->path, at + 1)) &&
	    fstatat(e->directory, e->name, &st, AT_SYMLINK_NOFOLLOW) == 0)
		component->made = marks_is_made(w->t->marks, &st);
	return tree_path_rule(w->t, p->parent, p->count - 1, p->path, at + 1);
}

static int visit_renamed(struct walk *w, struct entry *e)
{
	enum rule here = rule_beneath(w, w->from, e), there = rule_beneath(w, w->to, e);
	struct stat st;

	if (here != RULE_NONE || there != RULE_NONE)
		return tree_refuse(w->t, w->from->parent, w->from->name, here > there ? here : there,
				   "is beneath a directory that was to be renamed");
	if (w->t->nested && e->type == DT_DIR &&
	    fstatat(e->directory, e->name, &st, AT_SYMLINK_NOFOLLOW) == 0 &&
	    tree_inner(w->t, w->from->parent->mount, &st) >= 0)
		return EBUSY;
	return 0;
}

int tree_scan_rename(struct tree *t, struct place *from, struct place *to)
{
	struct walk w = { .t = t, .budget = TREE_SCAN_RENAME_MAX, .visit = visit_renamed, .from = from,
			  .to = to };
	int error = walk(&w, from->directory, from->name.p);

	if (error == E2BIG) {
		tree_report(t, from->parent, from->name,
			    STR("not renamed: too large to look for protected files in it"), true);
		return EACCES;
	}
	return error;
}

static int visit_links(struct walk *w, struct entry *e)
{
	struct tree *t = w->t;
	struct rules_component *path = t->paths[2];
	enum rule rule;
	struct stat st;

	if (e->level >= RULES_DEPTH_MAX)
		return E2BIG;
	path[e->level] = (struct rules_component){ .name = e->folded };
	if ((rules_is_git(e->folded) || rules_git_nest(path, e->level + 1)) &&
	    fstatat(e->directory, e->name, &st, AT_SYMLINK_NOFOLLOW) == 0)
		path[e->level].made = marks_is_made(t->marks, &st);
	rule = rules_match(t->mounts[w->mount].rules, path, e->level + 1);
	if (e->type == DT_DIR || rule < RULE_ANCHOR)
		return 0;
	if (fstatat(e->directory, e->name, &st, AT_SYMLINK_NOFOLLOW) || !S_ISREG(st.st_mode) ||
	    st.st_nlink < 2)
		return 0;
	return marks_add(t->marks, &st, rule == RULE_ANCHOR ? RULE_PROTECTED : rule) ? E2BIG : 0;
}

void tree_links(struct tree *t)
{
	struct walk w = { .t = t, .budget = TREE_SCAN_LINKS_MAX, .skip_closed = true, .visit = visit_links };

	if (t->links != LINKS_UNKNOWN)
		return;
	t->links = LINKS_KNOWN;
	for (w.mount = 0; w.mount < t->mount_count; w.mount++)
		if (S_ISDIR(t->mounts[w.mount].root->type) && walk(&w, t->mounts[w.mount].root->fd, "."))
			t->links = LINKS_DOUBTFUL;
	if (t->links == LINKS_DOUBTFUL)
		tree_report(t, t->mounts[0].root, (struct str){ NULL, 0 },
			    STR("files with several names are read-only: too much to look for protected ones"),
			    false);
}
