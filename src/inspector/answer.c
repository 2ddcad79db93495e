/* answer.c - the answers that the inspector gives itself
 *
 * The shape is the one that clients of LLM APIs know how to print; other programs show it as text.
 */
#include "inspector/answer.h"

static const char *error_type(enum err why, uint16_t status)
{
	if (status == 403 || status == 421 || status == 426)
		return "permission_error";
	return err_fault(why) == FAULT_AGENT ? "invalid_request_error" : "api_error";
}

void answer_put(struct buf *b, enum err why, uint16_t status, const char *text)
{
	buf_printf(b, "{\"type\":\"error\",\"error\":{\"type\":\"%s\",\"message\":\"Paddock: %s%s%s\"},"
		      "\"paddock\":{\"error\":\"%s\"}}\n",
		   error_type(why, status), err_text(why), *text ? ": " : "", text, err_name(why));
}
