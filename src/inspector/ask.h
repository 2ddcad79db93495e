/* ask.h - a question to the courier: may this name be spoken to; sign a leaf for it */
#pragma once

#include "inspector/inspector.h"

struct ask;

/** ask_done - the answer: ERR_OK and @status (borrowed), or why there is none. The ask is gone. */
typedef void ask_done(void *context, enum err e, const struct msg_status *status);

/** ask_start() - LINK_KIND_NAME or LINK_KIND_LEAF; @done is not called from within
 * Return: ERR_OK and *ret; else as link_open(), or ERR_MEMORY */
must_use enum err ask_start(struct inspector *i, enum link_kind kind, const struct msg_connect *m,
			    ask_done *done, void *context, struct ask **ret);
/** ask_cancel() - no answer is wanted any more; NULL is fine */
void ask_cancel(struct ask *a);
