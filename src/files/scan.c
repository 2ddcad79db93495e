/* scan.c - looking through a subtree for what has a rule
 *
 * Theory of operation: two questions need a walk. *Rename*: a directory may only move if nothing
 * beneath it has a rule, where it is or where it would be; otherwise a protected path could be
 * led away with its parent, or another be put in its place. *Links*: a file that a rule covers
 * may have another name where no rule looks, and a file of the workspace another name outside of it; the
 * first time that the guest meets a file with several names, all that is covered is looked up once and
 * remembered by identity, and of the others the names that are found are counted (links.c).
 * Both are bounded in entries and depth, and both take too much for a refusal (I4); the second looks at as
 * much as it can before. The guest waits meanwhile, so that it cannot change what was looked at.
 */
#include "files/private.h"

#include "base/auto.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/syscall.h>

#define LEVELS_MAX 256

/* Do names in a directory count? Those of each directory do once, whichever way leads to it. */
enum names { NAMES_UNKNOWN, NAMES_COUNT, NAMES_DO_NOT };

struct level {
	struct level *up;
	int fd;
	size_t depth;		/* 0: the start */
	bool apart;		/* served read-only */
	enum names names;
	long position, length;
	char folded[RULES_FOLD_BYTES];	/* of the entry at hand */
	char entries[16384] __attribute__((aligned(16)));
};

struct entry {
	int directory;
	enum names *names;	/* of that directory */
	bool apart;		/* served read-only, as is what is beneath */
	const char *name;
	struct str folded;
	unsigned char type;
	size_t level;		/* 0: right beneath the start */
};

struct walk {
	struct tree *t;
	uint32_t budget;
	bool thorough;		/* goes on after what cannot be looked at; other users' closed
				   directories are passed over */
	int doubt;		/* errno of the last thing that could not be looked at */
	int (*visit)(struct walk *w, struct entry *e);	/* errno to stop */
	struct place *from, *to;	/* rename */
	uint32_t mount;			/* links */
	struct tally *counted;		/* directories whose names were counted */
};

struct dirent64_head {	/* struct linux_dirent64 without its name */
	uint64_t inode;
	int64_t next;
	uint16_t length;
	unsigned char type;
} __attribute__((packed));

static int push(struct level **top, int directory, const char *name, bool apart)
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
	l->depth = l->up ? l->up->depth + 1 : 0;
	l->apart = apart;
	l->names = apart ? NAMES_DO_NOT : NAMES_UNKNOWN;
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
	ret->level = l->depth;
	ret->names = &l->names;
	ret->apart = l->apart;
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
static bool may_pass_over(const struct walk *w, int directory, const char *name)
{
	struct stat st;

	return w->thorough && fstatat(directory, name, &st, AT_EMPTY_PATH | AT_SYMLINK_NOFOLLOW) == 0 &&
	       st.st_uid != w->t->own;
}

static int enter(struct walk *w, struct level **top, const struct entry *e)
{
	int error;

	if (e->level + 1 == LEVELS_MAX)
		return E2BIG;
	error = push(top, e->directory, e->name, e->apart);
	if (error == ENOENT || (error == EACCES && may_pass_over(w, e->directory, e->name)))
		return 0;
	return error;
}

/* What to do about @error: a thorough walk remembers it, and ends early only when its budget is used up. */
static int weigh(struct walk *w, int error)
{
	if (!error || !w->thorough || w->budget == 0)
		return error;
	w->doubt = error;
	return 0;
}

static int walk(struct walk *w, int directory, const char *name, bool apart)
{
	struct level *top = NULL;
	struct entry e;
	int error = push(&top, directory, name, apart);

	while (!error && top) {
		if (!next_entry(top, &e, &error)) {
			error = weigh(w, error);
			pop(&top);
			continue;
		}
		error = visit(w, &e);
		if (!error && e.type == DT_DIR)
			error = enter(w, &top, &e);
		error = weigh(w, error);
	}
	while (top)
		pop(&top);
	return error ? error : w->doubt;
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
	int error = walk(&w, from->directory, from->name.p, true);

	if (error == E2BIG) {
		tree_report(t, from->parent, from->name,
			    STR("not renamed: too large to look for protected files in it"), true);
		return EACCES;
	}
	return error;
}

/* The entry is a name of the file of @st, which has several. It counts if no rule covers it and it is in a
 * directory that can be written, through which no other way has led here before. */
static void count_name(struct walk *w, const struct entry *e, const struct stat *st)
{
	struct stat directory;

	if (*e->names == NAMES_UNKNOWN) {
		*e->names = NAMES_DO_NOT;
		if (fstat(e->directory, &directory) == 0 && !tally_get(w->counted, &directory)) {
			tally_set(w->counted, &directory, 1);
			if (tally_get(w->counted, &directory))
				*e->names = NAMES_COUNT;
		}
	}
	if (*e->names == NAMES_COUNT)
		tally_set(w->t->names, st, tally_get(w->t->names, st) + 1);
}

/* Sets the entry @e, a directory, apart if it is the root of a mount that is served read-only. */
static void look_inside(struct walk *w, struct entry *e)
{
	struct tree *t = w->t;
	struct stat st;
	int32_t inner;

	if (!t->nested || e->apart)
		return;
	if (fstatat(e->directory, e->name, &st, AT_SYMLINK_NOFOLLOW)) {
		e->apart = true;
		return;
	}
	inner = tree_inner(t, w->mount, &st);
	e->apart = inner >= 0 && t->mounts[inner].config->read_only;
}

static int visit_links(struct walk *w, struct entry *e)
{
	struct tree *t = w->t;
	struct rules_component *path = t->paths[2];
	const struct rules *rules = t->mounts[w->mount].rules;
	enum rule rule;
	struct stat st;

	if (e->level >= RULES_DEPTH_MAX)
		return E2BIG;
	path[e->level] = (struct rules_component){ .name = e->folded };
	if ((rules_is_git(e->folded) || rules_git_nest(path, e->level + 1)) &&
	    fstatat(e->directory, e->name, &st, AT_SYMLINK_NOFOLLOW) == 0)
		path[e->level].made = marks_is_made(t->marks, &st);
	if (e->type == DT_DIR) {
		look_inside(w, e);
		return 0;
	}
	if (e->apart && rules_match(rules, path, e->level + 1) == RULE_NONE)
		return 0;
	if (fstatat(e->directory, e->name, &st, AT_SYMLINK_NOFOLLOW))
		return errno == ENOENT || (errno == EACCES && may_pass_over(w, e->directory, "")) ? 0 : errno;
	if (st.st_nlink < 2)
		return 0;
	rule = rules_match(rules, path, e->level + 1);
	if (rule == RULE_NONE)
		count_name(w, e, &st);
	else if (S_ISREG(st.st_mode) &&
		 marks_add(t->marks, &st, rule == RULE_ANCHOR ? RULE_PROTECTED : rule))
		return E2BIG;
	return 0;
}

void tree_links(struct tree *t)
{
	struct walk w = { .t = t, .budget = TREE_SCAN_LINKS_MAX, .thorough = true, .visit = visit_links };

	if (t->links != LINKS_UNKNOWN)
		return;
	w.counted = tally_new(TREE_SCAN_COUNTED_MAX);
	t->links = w.counted ? LINKS_KNOWN : LINKS_DOUBTFUL;
	for (w.mount = 0; w.counted && w.mount < t->mount_count; w.mount++) {
		const struct tree_mount *m = &t->mounts[w.mount];

		if (S_ISDIR(m->root->type) && walk(&w, m->root->fd, ".", m->config->read_only))
			t->links = LINKS_DOUBTFUL;
	}
	tally_free(w.counted);
	tally_drop(t->names, 1);	/* as many as any name shows */
	if (t->links == LINKS_DOUBTFUL)
		tree_report(t, t->mounts[0].root, (struct str){ NULL, 0 },
			    t->hides ? STR("files of which not every name was found are hidden: a directory "
					   "was closed, or there was too much to look at")
				     : STR("files of which not every name was found are read-only: a directory "
					   "was closed, or there was too much to look at"),
			    false);
}
