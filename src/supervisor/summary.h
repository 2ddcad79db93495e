/* summary.h - what a run did, in a few lines, from its own trail */
#pragma once

/** summary_print() - to standard error: requests allowed and denied, by host; what else is worth a
 *  look (repositories made inside, cut answers); where the trail is */
void summary_print(const char *sandbox_id);
