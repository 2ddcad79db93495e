/* relay_down.c - an answer, from the upstream to the link
 *
 * Theory of operation: carrier -> (a filter: answer.c) -> search for secrets -> link. Without a filter the
 * bytes go from where the carrier holds them to the link without a stop in between; only what could still
 * become a needle is held back in `clear`: not even a part of a secret passes, and a stream that pauses
 * (server-sent events) is held back by no byte more than that. The carrier is asked for more only when
 * everything that came before is on the link, so that the agent's pace is the upstream's (I7).
 * Bytes: bodies are searched and counted, never interpreted (I1). Every head is searched before it passes,
 * interim ones and trailers too. Alt-Svc never passes: it names ways around the gate.
 */
#include "courier/relay.h"

#include "courier/answer.h"
#include "courier/binding.h"

static enum err reflected(struct exchange *x, uint32_t hit)
{
	x->reflected = (int32_t)hit;
	return ERR_SECRET_REFLECTED;
}

/* The next bytes of the body. */
static enum err search(struct exchange *x, struct str bytes)
{
	uint32_t hit;

	return x->down.scrub && scrub_feed(x->down.scrub, bytes, &hit) ? reflected(x, hit) : ERR_OK;
}

/* A secret that was fetched while this answer runs is searched for from here on; what is held
 * back under the old set may be the beginning of one of its needles, so it is looked at again. */
static enum err follow_vault(struct exchange *x)
{
	struct relay_down *down = &x->down;

	if (vault_current(x->courier->vault) == down->set)
		return ERR_OK;
	vault_release(down->set);
	scrub_free(down->scrub);
	down->scrub = NULL;
	down->set = vault_acquire(x->courier->vault);
	if (!down->set)
		return ERR_OK;
	down->scrub = scrub_new(down->set->set);
	if (!down->scrub)
		return ERR_MEMORY;
	return search(x, str_from(queue_str(&down->clear), queue_bytes(&down->clear) - down->held));
}

static bool reveals(struct exchange *x, struct str bytes)
{
	uint32_t hit;

	if (!x->down.set || !scrub_search(x->down.set->set, bytes, &hit))
		return false;
	(void)reflected(x, hit);
	return true;
}

static bool head_reveals(struct exchange *x, const struct head *h)
{
	for (uint32_t i = 0; i < h->field_count; i++)
		if (reveals(x, h->fields[i].name) || reveals(x, h->fields[i].value))
			return true;
	return false;
}

/* ---- what passes ---- */

enum err relay_count(struct exchange *x, size_t n)
{
	x->down.bytes += n;
	if (x->down.bytes > x->rule->response_body_max)
		return ERR_BODY_TOO_LARGE;
	return exchange_count(x, n);
}

static size_t held_back(const struct exchange *x, size_t there)
{
	size_t held = x->down.scrub ? scrub_held(x->down.scrub) : 0;

	return held < there ? held : there;
}

bool relay_reveals(struct exchange *x, struct str bytes)
{
	return follow_vault(x) != ERR_OK || reveals(x, bytes);
}

enum err relay_search(struct exchange *x, struct str bytes)
{
	enum err e = follow_vault(x);

	return e == ERR_OK ? search(x, bytes) : e;
}

enum err relay_pass(struct exchange *x, struct str bytes, bool searched)
{
	struct relay_down *down = &x->down;
	enum err e = searched ? ERR_OK : relay_search(x, bytes);

	if (e == ERR_OK)
		e = relay_count(x, bytes.n);
	if (e == ERR_OK)
		e = queue_put(&down->clear, bytes);
	if (e == ERR_OK && !searched)
		down->held = held_back(x, queue_bytes(&down->clear));
	return e;
}

size_t relay_pending(const struct exchange *x) { return queue_bytes(&x->down.clear); }

/* Past `clear`, which is empty: *ret_n bytes are used up. */
static enum err pass_directly(struct exchange *x, struct str data, size_t *ret_n)
{
	struct relay_down *down = &x->down;
	enum err e = follow_vault(x);

	*ret_n = data.n;
	if (e == ERR_OK)
		e = relay_count(x, data.n);
	if (e == ERR_OK)
		e = search(x, data);
	if (e != ERR_OK)
		return e;
	size_t held = held_back(x, data.n);

	if (data.n > held)
		e = link_data(x->link, x->stream, 0, str_head(data, data.n - held));
	if (e == ERR_OK)
		e = queue_put(&down->clear, str_from(data, data.n - held));
	down->held = held;
	return e;
}

static enum step take_data(struct exchange *x, struct str data)
{
	struct relay_down *down = &x->down;
	enum err e;
	size_t n;

	if (down->filter) {
		n = down->filter->room(x, down->filter_of);
		data = str_head(data, n);
		if (data.n == 0)
			return STEP_WAIT;
		n = data.n;
		e = down->filter->input(x, down->filter_of, data);
	} else {
		data = str_head(data, link_sendable(x->link, x->stream));
		n = data.n;
		if (n == 0)
			return STEP_WAIT;
		e = queue_bytes(&down->clear) ? relay_pass(x, data, false) : pass_directly(x, data, &n);
	}
	if (e != ERR_OK)
		return exchange_fail(x, e, e == ERR_BODY_TOO_LARGE ? "the answer's" : "");
	carrier_taken(x->carrier, n);
	exchange_progress(x);
	return STEP_NEXT;
}

/* ---- heads ---- */

static enum step take_interim(struct exchange *x, struct head *h)
{
	if (++x->down.informational > EXCHANGE_INFORMATIONAL_MAX)
		return exchange_fail(x, ERR_UPSTREAM_MALFORMED, "too many informational answers");
	buf_clear(&x->down.head);
	enum err e = head_encode(h, &x->down.head);

	return e == ERR_OK ? STEP_NEXT : exchange_fail(x, e == ERR_MEMORY ? e : ERR_UPSTREAM_MALFORMED, "");
}

static enum step take_websocket(struct exchange *x, struct head *h)
{
	enum err e = relay_websocket_begin(x);

	if (e == ERR_OK)
		e = head_encode(h, &x->down.head);
	if (e != ERR_OK)
		return exchange_fail(x, e == ERR_MEMORY ? e : ERR_UPSTREAM_MALFORMED, "");
	x->down.status = h->status;
	x->down.head_parsed = true;
	exchange_progress(x);
	return STEP_NEXT;
}

static enum step take_head(struct exchange *x, struct head *h, bool body)
{
	struct relay_down *down = &x->down;
	enum err e = follow_vault(x);

	if (e != ERR_OK)
		return exchange_fail(x, e, "");
	if (head_reveals(x, h))
		return exchange_fail(x, ERR_SECRET_REFLECTED, "in a header field");
	head_remove(h, STR("alt-svc"));
	if (!h->final)
		return take_interim(x, h);
	if (h->websocket && (!x->head.websocket || !relay_websocket_offered(x, h)))
		return exchange_fail(x, ERR_UPSTREAM_MALFORMED, "a WebSocket that was not asked for");
	if (h->websocket)
		return take_websocket(x, h);
	if (body && h->framing == HEAD_BODY_LENGTH && h->length > x->rule->response_body_max)
		return exchange_fail(x, ERR_BODY_TOO_LARGE, "the answer's, by its length");
	enum step s = answer_begin(x, h, body);

	if (s != STEP_NEXT)
		return s;
	e = head_encode(h, &down->head);
	if (e != ERR_OK)
		return exchange_fail(x, e == ERR_MEMORY ? e : ERR_UPSTREAM_MALFORMED, "");
	down->status = h->status;
	down->head_parsed = true;
	if (h->status >= 400 && x->credential_attached)
		binding_refused(x->binding, h->status);
	exchange_progress(x);
	return STEP_NEXT;
}

static enum step take_end(struct exchange *x, struct head *trailers)
{
	struct relay_down *down = &x->down;
	enum err e = follow_vault(x);

	if (e != ERR_OK)
		return exchange_fail(x, e, "");
	down->whole = true;
	if (trailers && head_reveals(x, trailers))
		return exchange_fail(x, ERR_SECRET_REFLECTED, "in a trailer");
	if (trailers && head_encode(trailers, &down->trailers) != ERR_OK)
		return exchange_fail(x, ERR_UPSTREAM_MALFORMED, "its trailers");
	if (down->filter && down->filter->verify) {
		e = down->filter->verify(x, down->filter_of);
		if (e != ERR_OK)
			return exchange_fail(x, e,
					     e == ERR_CONTENT_DENIED ? "the answer is not what the registry's metadata says"
					     : e == ERR_BODY_TOO_LARGE ? "the answer's" : "");
	}
	if (down->filter)
		down->filter->end(x, down->filter_of);
	else
		down->filtered = true;
	return STEP_NEXT;
}

/* ---- to the link ---- */

static enum step push_head(struct exchange *x)
{
	struct relay_down *down = &x->down;

	if (link_sendable(x->link, x->stream) < down->head.len)
		return STEP_WAIT;
	if (link_head(x->link, x->stream, buf_str(&down->head)) != ERR_OK)
		return exchange_fail(x, ERR_MEMORY, "");
	down->head_sent = down->head_parsed;
	buf_free(&down->head);
	return STEP_NEXT;
}

static enum step push_clear(struct exchange *x)
{
	struct relay_down *down = &x->down;

	if (down->filtered)
		down->held = 0;
	for (;;) {
		struct str out = str_head(queue_str(&down->clear), queue_bytes(&down->clear) - down->held);

		if (out.n == 0)
			return STEP_NEXT;
		out = str_head(out, link_sendable(x->link, x->stream));
		if (out.n == 0)
			return STEP_WAIT;
		if (link_data(x->link, x->stream, 0, out) != ERR_OK)
			return exchange_fail(x, ERR_MEMORY, "");
		queue_drop(&down->clear, out.n);
		exchange_progress(x);
	}
}

/* As far as the link has credit: STEP_NEXT when nothing that may go waits. */
static enum step push(struct exchange *x)
{
	struct relay_down *down = &x->down;
	enum step s = STEP_NEXT;

	if (down->head_held)
		return STEP_NEXT;
	if (down->head.len)
		s = push_head(x);
	if (s == STEP_NEXT)
		s = push_clear(x);
	if (s != STEP_NEXT || !down->filtered || !down->trailers.len)
		return s;
	if (link_sendable(x->link, x->stream) < down->trailers.len)
		return STEP_WAIT;
	if (link_head(x->link, x->stream, buf_str(&down->trailers)) != ERR_OK)
		return exchange_fail(x, ERR_MEMORY, "");
	buf_free(&down->trailers);
	return STEP_NEXT;
}

static enum step take_next(struct exchange *x)
{
	struct carrier_event event;
	enum err e = carrier_next(x->carrier, &event);

	if (e == ERR_MORE)
		return STEP_WAIT;
	if (e != ERR_OK)
		return exchange_fail(x, e, carrier_reason(x->carrier));
	switch (event.type) {
	case CARRIER_HEAD: return take_head(x, event.head, event.body);
	case CARRIER_DATA: return take_data(x, event.data);
	case CARRIER_END: break;
	}
	return take_end(x, event.head);
}

enum step relay_down(struct exchange *x)
{
	for (;;) {
		enum step s = push(x);

		if (s != STEP_NEXT || x->websocket)
			return s == STEP_NEXT ? STEP_WAIT : s;
		if (x->down.filtered) {
			if (x->down.head_held)
				return STEP_WAIT;
			link_end(x->link, x->stream);
			return STEP_NEXT;
		}
		s = x->down.whole ? STEP_WAIT : take_next(x);
		if (s != STEP_NEXT)
			return s;
	}
}
