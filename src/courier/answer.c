/* answer.c - what the body of an answer passes through on its way to the agent
 *
 * Theory of operation: asked once for each final head. Without a filter the bytes pass as they came, searched
 * by relay_down.c; those in a content coding are decoded
 * for the search. What cannot be searched is refused (I4).
 */
#include "courier/answer.h"

#include "courier/answer_encoded.h"
#include "courier/protocol.h"

enum step answer_begin(struct exchange *x, struct head *head, bool body)
{
	const char *reason = "";
	enum err e = protocol_answer(x, head, body, &reason);

	head_remove(head, STR("x-paddock-reason"));	/* ours alone: protocol_registry.c */
	if (e != ERR_OK)
		return exchange_fail(x, e, reason);
	if (body)
		e = answer_encoded_begin(x, head);
	if (e == ERR_OK)
		return STEP_NEXT;
	return exchange_fail(x, e,
			     e == ERR_CANNOT_SCRUB ? "a content coding that is not known here, or several" : "");
}
