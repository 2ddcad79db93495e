/* links.c - files with several names: which rule holds for them, and which lead out of the workspace
 *
 * Theory of operation: a file that has other names than the one at hand may be under a rule by one of
 * them, and one may be outside of the workspace, where the host's user relies on it (a package manager's
 * store, another clone's objects): what the agent writes would be there too. So the names that the agent
 * may change are counted, in the one look of scan.c and whenever the agent makes or removes one since; a
 * file that has more names than these can be read, and its names be removed and replaced, but it cannot
 * be written. Names under a rule and in a read-only mount do not count.
 * Invariant: never more are known than there are. What was not counted (too much, a closed directory,
 * made by the host since) makes a file look as if it led out: any doubt is a refusal.
 */
#include "files/private.h"

/* How many of the names of the file of @st are known; @named: it was just seen under one of them, so that
 * one is known of what has no number. Names that the host removed are forgotten. */
static uint32_t known_names(struct tree *t, const struct stat *st, bool named)
{
	uint32_t number = tally_get(t->names, st);

	if (number > st->st_nlink) {
		number = (uint32_t)st->st_nlink;
		tally_set(t->names, st, number);
	}
	return number == 0 && named ? 1 : number;
}

bool tree_leads_out(struct tree *t, const struct stat *st, bool named)
{
	if (S_ISDIR(st->st_mode))
		return false;
	if (st->st_nlink > 1)
		tree_links(t);
	return st->st_nlink > known_names(t, st, named);
}

enum rule tree_identity_rule(struct tree *t, const struct stat *st)
{
	enum rule rule;

	if (!S_ISREG(st->st_mode))
		return RULE_NONE;
	if (st->st_nlink > 1)
		tree_links(t);
	rule = marks_rule(t->marks, st);
	if (rule != RULE_NONE || st->st_nlink < 2 || t->links != LINKS_DOUBTFUL)
		return rule;
	/* a name that was not found may be anything, unless all were found */
	if (!tree_leads_out(t, st, true))
		return RULE_NONE;
	return t->hides ? RULE_HIDDEN : RULE_READ_ONLY;
}

void tree_name_added(struct tree *t, const struct stat *before)
{
	if (t->links != LINKS_UNKNOWN)	/* else the look will find it */
		tally_set(t->names, before, known_names(t, before, true) + 1);
}

void tree_name_removed(struct tree *t, const struct stat *before, bool nameless)
{
	uint32_t left;

	if (S_ISDIR(before->st_mode))
		return;
	left = known_names(t, before, true) - 1;
	if (before->st_nlink < 2 || (left == 1 && !nameless))
		left = 0;	/* it is gone, or will be seen under the one that is left */
	tally_set(t->names, before, left);
}
