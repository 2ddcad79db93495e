/* refusal.c - the answer to a request that goes no further; see exchange.h */
#include "courier/deny.h"
#include "courier/exchange.h"
#include "courier/protocol.h"

enum err refusal_make(struct exchange *x)
{
	const struct deny d = {
		.result = x->result, .reason = x->reason, .rule = x->rule, .credential = x->foreign,
		.head = x->head.kind == HEAD_REQUEST ? &x->head : NULL, .request_id = x->request_id,
		.policy = x->snapshot ? snapshot_policy(x->snapshot) : NULL,
	};
	struct head h = { .kind = HEAD_RESPONSE, .framing = HEAD_BODY_LENGTH, .final = true };
	auto_buf body = BUF_EMPTY;

	buf_init(&body, REFUSAL_MAX);
	enum err e = deny_body(&d, &body);

	if (e != ERR_OK)
		return e;
	h.status = (uint16_t)err_http_status(x->result);
	h.fields[h.field_count++] = (struct head_field){ STR("content-type"), STR("application/json") };
	h.fields[h.field_count++] = (struct head_field){ STR("cache-control"), STR("no-store") };
	h.fields[h.field_count++] = (struct head_field){ STR("x-paddock-request"), str_of(x->request_id) };
	if (h.status == 403 || h.status == 429)
		h.fields[h.field_count++] = (struct head_field){ STR("x-should-retry"), STR("false") };
	protocol_refusal(x, &h, &body);
	h.length = body.len;
	buf_clear(&x->down.head);
	e = head_encode(&h, &x->down.head);
	if (e != ERR_OK)
		return e;
	queue_free(&x->down.clear);
	return x->head.kind == HEAD_REQUEST && str_eq(x->head.method, STR("HEAD"))
		       ? ERR_OK : queue_put(&x->down.clear, buf_str(&body));
}
