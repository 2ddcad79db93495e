/* glob.h - wildcard patterns over paths and over plain text, in linear time
 *
 * '*' any bytes but '/', '**' any bytes, '?' one byte but '/'; every other byte is itself
 * and there is no escape. Over text (GLOB_TEXT) '/' is a byte like any other. Over the path of
 * a URL (GLOB_URL) '*' and '?' do not match "%2F" or "%5C" either, which many servers take for
 * a slash: these match themselves, and '**' matches them.
 */
#pragma once

#include "base/str.h"

#define GLOB_MAX 1024	/* bytes of a pattern; a longer one matches nothing */

enum glob_mode { GLOB_PATH, GLOB_TEXT, GLOB_URL };

/** glob_match() - does all of @text match @pattern? At most
 *  (text.n + 1) * (pattern.n + 1) steps, whatever the pattern. */
bool glob_match(struct str pattern, struct str text, enum glob_mode mode);
/** glob_match_steps() - the same; adds the steps taken to *@steps (for tests) */
bool glob_match_steps(struct str pattern, struct str text, enum glob_mode mode, uint64_t *steps);
/** glob_literal() - how many bytes of @pattern come before its first wildcard */
size_t glob_literal(struct str pattern);
/** glob_covers() - certainly matches everything that @narrow matches? False may mean "not
 *  known": equality, a literal @narrow, and a @wide of literal text and an ending that takes
 *  everything are what it recognises. */
bool glob_covers(struct str wide, struct str narrow, enum glob_mode mode);
