/* registry_filter.h - what of a package's metadata may be shown:
 * the question, as the courier puts it to paddock-decoder
 *
 * Text, one line each, in any order but `type` first:
 *   type npm                 the ecosystem
 *   range ^4.17              versions outside of it are dropped; each of them
 *   named 4.17.20            versions that an advisory names, equal in the ecosystem's order
 *   span 0 4.17.20 -         from introduced, before fixed, up to last; "-": not given
 *   not <item>               items that are dropped: a version, or a file's name (pypi)
 *   only <item>              with any: items that do not stand in one are dropped
 */
#pragma once

#include "policy/registry.h"

#define REGISTRY_FILTER_ITEMS_MAX 20000

struct registry_filter;

/** registry_filter_put() - type, ranges and advisories of
 * @rule for @package; buf_err(@out) says whether it fits */
void registry_filter_put(const struct registry_rule *rule, struct str package, struct buf *out);
/** registry_advisories_put() - its part of that */
void registry_advisories_put(const struct registry_advisories *s, struct str package, struct buf *out);

/** registry_filter_read() - @text is borrowed; in @a. ERR_INPUT: malformed; ERR_MEMORY */
must_use enum err registry_filter_read(struct arena *a, struct str text, struct registry_filter **ret);
const struct registry_ecosystem *registry_filter_ecosystem(const struct registry_filter *f);
/** registry_filter_passes() - may @item (of @version, which is it but for pypi) be shown? */
bool registry_filter_passes(const struct registry_filter *f, struct str item, struct str version);
