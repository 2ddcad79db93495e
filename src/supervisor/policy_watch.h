/* policy_watch.h - the policy file, changed by the user's hand while it is in force
 *
 * A change is read, checked and handed to the courier; what the courier says
 * of it goes to the user's eyes. A text that is not valid changes nothing.
 */
#pragma once

#include "supervisor/spec.h"

#include <uv.h>

struct policy_watch;

/** policy_watch_new() - watches the policy of @spec, looks at once whether it changed since it was read, and
 *  listens to the courier on @courier_control (borrowed, as @spec is). NULL without memory. */
struct policy_watch *policy_watch_new(uv_loop_t *loop, const struct spec *spec, int courier_control);
/** policy_watch_free() - run the loop once more afterwards; NULL is fine */
void policy_watch_free(struct policy_watch *w);
