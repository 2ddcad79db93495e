/* answer_encoded.c - answers that come in a content coding, though a secret is searched for
 *
 * Theory of operation: the body passes in the encoding in which it came; its plain form, from
 * paddock-decoder, is searched before (encoded.c). What came waits here until that says that it may pass, and
 * is searched too, as it is: a gzip header has room for a name, zstd for frames that are skipped, and a
 * captured decoder could keep silent. Decoded is whatever comes encoded under a policy that has credentials,
 * and not only where one was attached: all that are known are searched for in every answer.
 * `unscrubbed: pass` in a rule lets pass what cannot be searched: an unknown coding, several, one that does
 * not decode. The head of an answer that says its length waits until the first of the body passes: one that
 * must be refused is then refused in words. The head of one that streams does not wait.
 * Bounded: ENCODED_MAX bytes here and in the relay together, over the
 * largest block of any coding. Trailers and the end wait for the last mark.
 */
#include "courier/answer_encoded.h"

#include "courier/encoded.h"
#include "courier/relay.h"
#include "courier/search.h"

#include <stdlib.h>

#define ENCODED_MAX ((size_t)4 * LINK_PAYLOAD_MAX)

struct answer_encoded {
	struct exchange *x;
	struct encoded *encoded;	/* NULL: all that comes passes as it is */
	struct search plain, raw;
	struct queue body;		/* encoded, not passed on yet */
	uint64_t taken, passed;
	bool ending;			/* no more comes */
};

static void answer_encoded_free(void *filter)
{
	struct answer_encoded *a = filter;

	encoded_free(a->encoded);
	search_free(&a->plain);
	search_free(&a->raw);
	queue_free(&a->body);
	free(a);
}

/* All that may pass by now. */
static enum err release(struct answer_encoded *a)
{
	uint64_t clear = a->ending && !a->encoded ? a->taken : a->taken - search_held(&a->raw);
	struct str out;
	enum err e;

	if (a->encoded && encoded_clear(a->encoded) < clear)
		clear = encoded_clear(a->encoded);
	if (clear <= a->passed)
		return ERR_OK;
	a->x->down.head_held = false;
	out = str_head(queue_str(&a->body), (size_t)(clear - a->passed));
	e = relay_pass(a->x, out, true);
	if (e != ERR_OK)
		return e;
	a->passed += out.n;
	queue_drop(&a->body, out.n);
	exchange_progress(a->x);
	return ERR_OK;
}

/* ---- from the loop: the exchange may be gone afterwards ---- */

static void end_exchange(struct answer_encoded *a, enum err e, const char *reason)
{
	struct exchange *x = a->x;

	(void)exchange_fail(x, e, reason);
	x->stage = STAGE_outcome;
	exchange_run(x);
}

static void go_on(struct answer_encoded *a)
{
	enum err e = release(a);

	if (e != ERR_OK) {
		end_exchange(a, e, e == ERR_BODY_TOO_LARGE ? "the answer's" : "");
		return;
	}
	if (!a->encoded) {
		a->x->down.head_held = false;
		a->x->down.filtered = a->ending;
	}
	exchange_run(a->x);
}

static enum err on_search(void *user, struct str plain, size_t *ret_held)
{
	struct answer_encoded *a = user;
	enum err e = search_feed(&a->plain, plain);

	if (e == ERR_SECRET_REFLECTED)
		a->x->reflected = (int32_t)a->plain.hit;
	*ret_held = search_held(&a->plain);
	return e;
}

static void on_clear(void *user)
{
	go_on(user);
}

static void on_done(void *user, enum err e, const char *reason)
{
	struct answer_encoded *a = user;

	(void)reason;
	encoded_free(a->encoded);
	a->encoded = NULL;
	if (e == ERR_OK || (e != ERR_SECRET_REFLECTED && e != ERR_MEMORY && a->x->rule->unscrubbed))
		go_on(a);
	else if (e == ERR_SECRET_REFLECTED || e == ERR_MEMORY)
		end_exchange(a, e, e == ERR_MEMORY ? "" : "in an encoded body");
	else
		end_exchange(a, ERR_CANNOT_SCRUB, "it does not decode, or is over the decoder's limits");
}

/* ---- as a filter ---- */

static size_t filter_room(struct exchange *x, void *filter)
{
	const struct answer_encoded *a = filter;
	size_t here = queue_bytes(&a->body) + relay_pending(x);
	size_t room = here < ENCODED_MAX ? ENCODED_MAX - here : 0;

	if (a->encoded && encoded_room(a->encoded) < room)
		room = encoded_room(a->encoded);
	return room;
}

static enum err filter_input(struct exchange *x, void *filter, struct str bytes)
{
	struct answer_encoded *a = filter;
	enum err e = search_feed(&a->raw, bytes);

	if (e == ERR_SECRET_REFLECTED)
		x->reflected = (int32_t)a->raw.hit;
	if (e == ERR_OK)
		e = queue_put(&a->body, bytes);
	if (e == ERR_OK && a->encoded)
		e = encoded_input(a->encoded, bytes);
	if (e != ERR_OK)
		return e;
	a->taken += bytes.n;
	return release(a);
}

/* What was held back as the beginning of a secret was none. */
static enum err filter_verify(struct exchange *x, void *filter)
{
	struct answer_encoded *a = filter;

	(void)x;
	a->ending = true;
	return a->encoded ? ERR_OK : release(a);
}

static void filter_end(struct exchange *x, void *filter)
{
	struct answer_encoded *a = filter;

	if (a->encoded)
		encoded_end(a->encoded);
	else
		x->down.filtered = true;	/* it has all passed */
}

/* ---- beginning ---- */

static bool secrets_to_search_for(const struct exchange *x)
{
	return x->credential_attached || vault_current(x->courier->vault) ||
	       policy_credential_count(snapshot_policy(x->snapshot)) > 0;
}

enum err answer_encoded_begin(struct exchange *x, const struct head *head)
{
	static const struct encoded_ops ops = { .search = on_search, .clear = on_clear, .done = on_done };
	static const struct filter_ops filter = { .room = filter_room, .input = filter_input,
						  .verify = filter_verify,
						  .end = filter_end, .free = answer_encoded_free };
	enum decoder_job coding = 0;
	struct answer_encoded *a;
	enum err e = secrets_to_search_for(x) ? encoded_coding(head, &coding) : ERR_OK;

	if (e != ERR_OK)
		return x->rule->unscrubbed ? ERR_OK : e;
	if (coding == 0)
		return ERR_OK;
	if (x->down.filter)	/* which asked for none, and searches what it lets pass as it is */
		return x->rule->unscrubbed ? ERR_OK : ERR_CANNOT_SCRUB;
	a = calloc(1, sizeof *a);
	if (!a)
		return ERR_MEMORY;
	a->x = x;
	queue_init(&a->body, ENCODED_MAX);
	search_init(&a->plain, x->courier->vault);
	search_init(&a->raw, x->courier->vault);
	e = encoded_start(x->courier, coding, &ops, a, &a->encoded);
	if (e != ERR_OK) {
		answer_encoded_free(a);
		return x->rule->unscrubbed ? ERR_OK : e;
	}
	x->down.filter = &filter;
	x->down.filter_of = a;
	x->down.head_held = head->framing == HEAD_BODY_LENGTH;	/* until the first of it
								   passes: no stream waits */
	return ERR_OK;
}
