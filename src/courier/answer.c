/* answer.c - what the body of an answer passes through on its way to the agent
 *
 * Theory of operation: asked once for each final head. Without a filter the bytes pass as they came, searched
 * by relay_down.c. What cannot be searched where a credential went is refused (I4).
 */
#include "courier/answer.h"

static bool encoded(const struct head *h)
{
	for (uint32_t i = 0; i < h->field_count; i++)
		if (str_eq(h->fields[i].name, STR("content-encoding")) &&
		    !str_eq_nocase(h->fields[i].value, STR("identity")))
			return true;
	return false;
}

enum step answer_begin(struct exchange *x, struct head *head, bool body)
{
	(void)body;
	if (x->credential_attached && encoded(head))
		return exchange_fail(x, ERR_CANNOT_SCRUB, "");
	return STEP_NEXT;
}
