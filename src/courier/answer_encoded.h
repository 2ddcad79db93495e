/* answer_encoded.h - answers that come in a content coding, though a secret is searched for */
#pragma once

#include "courier/exchange.h"

/** answer_encoded_begin() - if @head has a content coding,
 * and there are secrets that its body could hold: its filter
 * Return: ERR_OK; ERR_CANNOT_SCRUB (not a coding that is known here, or another
 * filter has the body already; and the rule does not let it pass); as decode_start() */
must_use enum err answer_encoded_begin(struct exchange *x, const struct head *head);
