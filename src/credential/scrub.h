/* scrub.h - finds given byte strings in a stream, across any split
 *
 * Used in both directions: secrets in answers, placeholders in requests. Each needle is
 * searched in these forms: raw, base64 in the three alignments (standard and URL-safe
 * alphabets), percent-encoded (fully, and as encodeURIComponent does), hex (both cases), and
 * JSON-escaped (also with \/ and \u00XX). Aho-Corasick over all forms, so time is linear in
 * the input whatever the number of needles.
 */
#pragma once

#include "base/buf.h"

#define SCRUB_NEEDLE_MIN 8
#define SCRUB_NEEDLES_MAX 512
#define SCRUB_BYTES_MAX 299592	/* of all needles together */

struct scrub_set;	/* immutable once built; holds the needles in secret memory */
struct scrub;		/* one stream's state */

struct scrub_set *scrub_set_new(void);
void scrub_set_free(struct scrub_set *s);
/** scrub_set_add() - ERR_LIMIT for needles under SCRUB_NEEDLE_MIN or too many; @id is what a hit reports */
must_use enum err scrub_set_add(struct scrub_set *s, struct str needle, uint32_t id);
must_use enum err scrub_set_build(struct scrub_set *s);
bool scrub_set_empty(const struct scrub_set *s);

struct scrub *scrub_new(const struct scrub_set *set);
void scrub_free(struct scrub *s);
/** scrub_feed() - looks at the next bytes
 * Return: true if a needle ends in them; *ret_id which. */
bool scrub_feed(struct scrub *s, struct str bytes, uint32_t *ret_id);
/** scrub_held() - how many of the last bytes fed could still be the beginning of a needle:
 *  a caller that must not let even a part of a secret pass holds these back until more has
 *  come or the stream has ended */
size_t scrub_held(const struct scrub *s);
void scrub_reset(struct scrub *s);
/** scrub_search() - one-shot */
bool scrub_search(const struct scrub_set *set, struct str bytes, uint32_t *ret_id);
