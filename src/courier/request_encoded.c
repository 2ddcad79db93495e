/* request_encoded.c - requests whose body comes in a content coding, though placeholders are searched for
 *
 * Theory of operation: as for answers (answer_encoded.c), the other way: the body goes to the upstream as it
 * came, but no byte of it before its plain form has been searched for the placeholders that must not go
 * there. The encoded bytes stay where they are, in x->up.body, and are searched there too; this only says how
 * many are clear. Where the credential's strategy takes aws-chunked apart itself, to sign anew, that is left
 * to it.
 * A coding that cannot be decoded is refused: it would be the way around the search.
 */
#include "courier/request_encoded.h"

#include "courier/encoded.h"
#include "courier/relay.h"
#include "courier/request_chunked.h"

#include <stdlib.h>

struct request_encoded {
	struct exchange *x;
	struct encoded *encoded;
	struct scrub *scrub;		/* of the plain form */
	uint64_t fed;			/* of all that came */
};

void request_encoded_free(struct request_encoded *r)
{
	if (!r)
		return;
	encoded_free(r->encoded);
	scrub_free(r->scrub);
	free(r);
}

/* ---- from the loop: the exchange may be gone afterwards ---- */

static void end_exchange(struct exchange *x, enum err e, const char *reason)
{
	(void)exchange_fail(x, e, reason);
	x->stage = STAGE_outcome;
	exchange_run(x);
}

static enum err on_search(void *user, struct str plain, size_t *ret_held)
{
	struct request_encoded *r = user;
	uint32_t hit;

	if (scrub_feed(r->scrub, plain, &hit)) {
		r->x->foreign = snapshot_placeholder_name(r->x->snapshot, hit);
		return ERR_PLACEHOLDER_BLOCKED;
	}
	*ret_held = scrub_held(r->scrub);
	return ERR_OK;
}

static void on_clear(void *user)
{
	struct request_encoded *r = user;
	struct exchange *x = r->x;
	enum err e = request_encoded_feed(x);

	relay_recount(x);
	if (e == ERR_OK)
		exchange_run(x);
	else
		end_exchange(x, e, "");
}

static void on_done(void *user, enum err e, const char *reason)
{
	struct request_encoded *r = user;
	struct exchange *x = r->x;

	(void)reason;
	request_encoded_free(r);
	x->up.encoded = NULL;
	relay_recount(x);
	if (e == ERR_OK)
		exchange_run(x);
	else if (e == ERR_PLACEHOLDER_BLOCKED || e == ERR_MEMORY)
		end_exchange(x, e, "");
	else
		end_exchange(x, ERR_DECODER,
			     "the request's: it does not decode, or is over the decoder's limits");
}

/* ---- from the exchange ---- */

enum err request_encoded_begin(struct exchange *x, const struct scrub_set *set)
{
	static const struct encoded_ops ops = { .search = on_search, .clear = on_clear, .done = on_done };
	enum decoder_job coding = 0;
	struct request_encoded *r;
	enum err e;

	if (x->head.framing == HEAD_BODY_NONE || (x->head.framing == HEAD_BODY_LENGTH && x->head.length == 0))
		return ERR_OK;
	e = encoded_coding(&x->head, &coding);
	if (e != ERR_OK || coding == 0 || request_chunked_expected(x))
		return e;
	r = calloc(1, sizeof *r);
	if (!r)
		return ERR_MEMORY;
	r->x = x;
	r->scrub = scrub_new(set);
	e = r->scrub ? encoded_start(x->courier, coding, &ops, r, &r->encoded) : ERR_MEMORY;
	if (e == ERR_OK)
		x->up.encoded = r;
	else
		request_encoded_free(r);
	return e;
}

enum err request_encoded_feed(struct exchange *x)
{
	struct request_encoded *r = x->up.encoded;
	enum err e = ERR_OK;

	while (e == ERR_OK && r->fed < x->up.bytes) {
		struct str more = str_from(queue_str(&x->up.body), (size_t)(r->fed - x->up.taken));

		more = str_head(more, encoded_room(r->encoded));
		if (more.n == 0)
			break;
		e = encoded_input(r->encoded, more);
		r->fed += more.n;
	}
	if (x->up.complete && r->fed == x->up.bytes)
		encoded_end(r->encoded);
	return e;
}

size_t request_encoded_clear(const struct exchange *x)
{
	uint64_t clear = encoded_clear(x->up.encoded->encoded);

	return clear > x->up.taken ? (size_t)(clear - x->up.taken) : 0;
}
