/* control.h - the supervisor's socket: its words are in courier.h */
#pragma once

#include "courier/courier.h"

/** control_start() - listens, and says "ready"; nothing
 * to do without a control socket. ERR_LOCAL, ERR_MEMORY */
must_use enum err control_start(struct courier *c);
/** control_reloaded() - how a reload went; @text: the digest, or why not */
void control_reloaded(struct courier *c, enum err result, const char *text);
