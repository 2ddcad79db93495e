/* audit_find.h - which trail is meant */
#pragma once

#include "base/buf.h"

#define AUDIT_ID_MAX 128

struct audit_found {
	int directory;			/* O_DIRECTORY of the trail; the caller closes it */
	char id[AUDIT_ID_MAX + 1];
};

/** audit_find() - below @trails (O_DIRECTORY): the trail whose id is @id, or the only one whose
 *  id begins with it; with @name, the newest of the sandboxes of that name; else the newest.
 *  Newest is by the time of the first record.
 * Return: ERR_OK; ERR_INPUT or ERR_LOCAL with one line in @why */
must_use enum err audit_find(int trails, const char *id, const char *name, struct audit_found *ret,
			     struct buf *why);

/** audit_find_each() - every trail in the order of their ids, until @f returns false; @found
 *  is closed afterwards
 * Return: ERR_OK; ERR_LOCAL with one line in @why */
must_use enum err audit_find_each(int trails, bool (*f)(void *ctx, const struct audit_found *found),
				  void *ctx, struct buf *why);
