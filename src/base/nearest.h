/* nearest.h - "did you mean": the known word that is closest to a mistyped one */
#pragma once

#include "base/str.h"

/** nearest_distance() - edits (insert, drop, change, swap neighbours) between two words, or
 *  SIZE_MAX if either is longer than 64 bytes */
size_t nearest_distance(struct str a, struct str b);
/** nearest() - the closest of @count words, or NULL if none is close: at most a third of the
 *  word's bytes differ, and at least one edit is always forgiven */
const char *nearest(struct str word, const char *const *words, size_t count);
