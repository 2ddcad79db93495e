/* request_chunked.c - bodies in signed chunks; see request_chunked.h
 *
 * Theory of operation: an AWS client that signs its body chunk by chunk has signed with a key that is
 * nobody's; so the framing comes off (paddock-decoder reads it, I1) and the payload goes on, of the length
 * that the client announced, over a connection that TLS protects. It is searched for placeholders as it comes
 * out, whatever chunks it came in. What the upstream does not take in time waits here, then in the decoder,
 * then at the agent (I7).
 */
#include "courier/request_chunked.h"

#include "courier/binding.h"
#include "courier/decode.h"
#include "courier/relay.h"

#include <stdlib.h>

#define OUT_PAUSE ((size_t)4 * DECODER_PAYLOAD_MAX)
#define OUT_MAX (OUT_PAUSE + (size_t)4 * DECODER_PAYLOAD_MAX)

struct request_chunked {
	struct exchange *x;
	struct decode *decode;		/* NULL: it is done */
	struct scrub *scrub;		/* NULL: there is nothing to search for */
	struct queue out;
	size_t held;			/* at the end of out: perhaps the beginning of a placeholder */
	uint64_t length, made;
	bool done, paused;
};

void request_chunked_free(struct request_chunked *r)
{
	if (!r)
		return;
	decode_free(r->decode);
	scrub_free(r->scrub);
	queue_free(&r->out);
	free(r);
}

bool request_chunked_expected(const struct exchange *x)
{
	const struct head_field *hash = head_find(&x->head, STR("x-amz-content-sha256"));

	return x->credential && x->credential->strategy == POLICY_STRATEGY_SIGV4 && hash &&
	       str_starts(hash->value, STR("STREAMING-AWS4-HMAC-SHA256-PAYLOAD"));
}

/* ---- from the loop: the exchange may be gone afterwards ---- */

static void end_exchange(struct exchange *x, enum err e, const char *reason)
{
	(void)exchange_fail(x, e, reason);
	x->stage = STAGE_outcome;
	exchange_run(x);
}

static enum err take(struct request_chunked *r, struct str bytes)
{
	uint32_t hit;

	r->made += bytes.n;
	if (r->made > r->length)
		return ERR_BODY_FRAMING;
	if (r->scrub && scrub_feed(r->scrub, bytes, &hit)) {
		r->x->foreign = snapshot_placeholder_name(r->x->snapshot, hit);
		return ERR_PLACEHOLDER_BLOCKED;
	}
	enum err e = queue_put(&r->out, bytes);
	size_t held = r->scrub ? scrub_held(r->scrub) : 0, there = queue_bytes(&r->out);

	r->held = held < there ? held : there;
	return e;
}

static void on_output(void *user, struct str bytes)
{
	struct request_chunked *r = user;
	struct exchange *x = r->x;
	enum err e = take(r, bytes);

	if (e != ERR_OK) {
		end_exchange(x, e, e == ERR_BODY_FRAMING ? "more than x-amz-decoded-content-length" : "");
		return;
	}
	r->paused = queue_bytes(&r->out) > OUT_PAUSE;
	decode_pause(r->decode, r->paused);
	exchange_run(x);
}

static void on_room(void *user)
{
	struct request_chunked *r = user;
	enum err e = request_chunked_feed(r->x);

	if (e == ERR_OK)
		exchange_run(r->x);
	else
		end_exchange(r->x, e, "");
}

static void on_done(void *user, enum err e, const char *reason)
{
	struct request_chunked *r = user;

	(void)reason;
	decode_free(r->decode);
	r->decode = NULL;
	r->held = 0;
	r->done = true;
	if (e != ERR_OK)
		end_exchange(r->x, e == ERR_MEMORY ? e : ERR_DECODER,
			     "the request's: its aws-chunked framing");
	else if (r->made != r->length)
		end_exchange(r->x, ERR_BODY_FRAMING, "less than x-amz-decoded-content-length");
	else
		exchange_run(r->x);
}

/* ---- from the exchange ---- */

enum err request_chunked_begin(struct exchange *x, uint64_t length)
{
	static const struct decode_ops ops = { .output = on_output, .room = on_room, .done = on_done };
	struct request_chunked *r = calloc(1, sizeof *r);
	const struct scrub_set *foreign;
	enum err e = r ? binding_foreign(x, &foreign) : ERR_MEMORY;

	if (e == ERR_OK && foreign) {
		r->scrub = scrub_new(foreign);
		e = r->scrub ? ERR_OK : ERR_MEMORY;
	}
	if (e == ERR_OK)
		e = decode_start(x->courier, DECODER_AWS_CHUNKED, STR(""), &ops, r, &r->decode);
	if (e != ERR_OK) {
		request_chunked_free(r);
		return e;
	}
	r->x = x;
	r->length = length;
	queue_init(&r->out, OUT_MAX);
	x->up.chunked = r;
	return request_chunked_feed(x);
}

enum err request_chunked_feed(struct exchange *x)
{
	struct request_chunked *r = x->up.chunked;
	enum err e = ERR_OK;

	while (e == ERR_OK && r->decode && relay_body(x).n) {
		struct str more = str_head(relay_body(x), decode_room(r->decode));

		if (more.n == 0)
			return ERR_OK;
		e = decode_input(r->decode, more);
		relay_drop(x, more.n);
	}
	if (r->decode && x->up.complete && relay_body(x).n == 0)
		decode_end(r->decode);
	return e;
}

struct str request_chunked_front(const struct exchange *x, bool *ret_all)
{
	const struct request_chunked *r = x->up.chunked;
	size_t there = queue_bytes(&r->out);

	*ret_all = r->done;
	return str_head(queue_str(&r->out), there - r->held);
}

void request_chunked_drop(struct exchange *x, size_t n)
{
	struct request_chunked *r = x->up.chunked;

	queue_drop(&r->out, n);
	if (r->paused && r->decode && queue_bytes(&r->out) <= OUT_PAUSE / 2) {
		r->paused = false;
		decode_pause(r->decode, false);
	}
}
