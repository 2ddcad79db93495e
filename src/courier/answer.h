/* answer.h - what the body of an answer passes through on its way to the agent */
#pragma once

#include "courier/exchange.h"

/** answer_begin() - the head of the final answer is known, searched, and not yet on its way
 * @head: may be changed: what a filter makes longer or shorter is HEAD_BODY_STREAMED and bears no digest.
 * @body: a body follows
 * It may set x->down.filter, and x->down.head_held: the head then waits until that is false again.
 * Return: STEP_NEXT, or what exchange_fail() returned */
enum step answer_begin(struct exchange *x, struct head *head, bool body);
