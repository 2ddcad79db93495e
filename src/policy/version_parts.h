/* version_parts.h - what version.c has of each ecosystem; for version*.c only */
#pragma once

#include "policy/version.h"

struct version_ops {
	bool (*valid)(struct str v);
	bool (*compare)(struct str a, struct str b, int *ret);
	bool (*prerelease)(struct str v);
	/** @v NULL: is it a range at all? Else: is *@v, which is valid, in it? */
	bool (*range)(struct str range, const struct str *v);
};
extern const struct version_ops version_npm, version_cargo, version_pypi, version_debian;

/** version_token() - the next part of *@rest up to any byte of @ends (dropped), without spaces
 *  around it; false when nothing is left. An empty part between two ends is given as empty. */
bool version_token(struct str *rest, char end, struct str *ret);
/** version_order() - of two numbers */
static inline int version_order(uint64_t a, uint64_t b) { return (a > b) - (a < b); }
