/* questions.c - names, leaf certificates, claims
 *
 * Theory of operation: a NAME or LEAF is wholly in its OPEN and is answered at once: one HEAD and
 * END, or, if the link has no room at the moment, when it has (each waiting answer is a stream that
 * the link counts, so their number is bounded). A leaf is signed for a host that the policy names
 * and for no other, whoever asks; the keeper is asked synchronously, and its certificates are kept,
 * because a client opens many connections to a few hosts.
 * A claim is the sender's word, recorded as such. A sender has a budget of records for claims and
 * names, refilled with time; what is over it is counted, and the count is recorded (I7). That loses
 * no request: a name that may be spoken to gets a synthetic address from the inspector and nothing
 * more, and what is then asked of it is decided, and recorded, as an exchange. When the trail
 * cannot be written, though, every name is refused.
 */
#include "courier/questions.h"

#include "base/clock.h"
#include "courier/journal.h"

#include <stdlib.h>

#define POINT_BYTES 65
#define ANSWER_MAX 8192

struct leaf {
	char host[HEAD_HOST_MAX + 1];
	size_t host_bytes;
	uint8_t point[POINT_BYTES];
	struct buf der;
	uint64_t used;
};

struct leaves {
	struct leaf leaf[QUESTION_LEAVES_MAX];
	uint64_t clock;
};

struct answer {
	struct answer *next;
	uint32_t stream;
	struct buf message;
};

/* ---- answers ---- */

static bool answer_send(struct link *l, struct answer *a)
{
	if (link_is_open(l, a->stream) && link_sendable(l, a->stream) < a->message.len)
		return false;
	if (link_head(l, a->stream, buf_str(&a->message)) != ERR_OK)
		link_reset(l, a->stream, ERR_MEMORY);
	link_end(l, a->stream);
	return true;
}

static void answer_free(struct answer *a)
{
	buf_free(&a->message);
	free(a);
}

static void answer(struct courier_link *link, uint32_t stream, const struct msg_status *status)
{
	struct link *l = channel_link(link->channel);
	struct answer *a = calloc(1, sizeof *a);

	if (!a) {
		link_reset(l, stream, ERR_MEMORY);
		return;
	}
	a->stream = stream;
	buf_init(&a->message, ANSWER_MAX);
	msg_put_status(&a->message, status);
	if (buf_err(&a->message) != ERR_OK) {
		link_reset(l, stream, ERR_MEMORY);
		answer_free(a);
	} else if (!link->answers && answer_send(l, a)) {
		answer_free(a);
	} else {
		if (!link->answers)
			link->answers_end = &link->answers;
		*link->answers_end = a;
		link->answers_end = &a->next;
	}
}

void question_writable(struct courier_link *link)
{
	struct answer *a;

	while ((a = link->answers) && answer_send(channel_link(link->channel), a)) {
		link->answers = a->next;
		answer_free(a);
	}
}

void question_closed(struct courier_link *link)
{
	for (struct answer *a = link->answers, *next; a; a = next) {
		next = a->next;
		answer_free(a);
	}
	link->answers = NULL;
}

/* ---- the budget of records ---- */

static bool take_token(struct courier_link *link)
{
	uint64_t now = clock_ms(), full = CLAIMS_BURST * 1000ull;
	uint64_t refill = link->tokens_at_ms ? (now - link->tokens_at_ms) * CLAIMS_PER_SECOND : full;

	link->tokens_at_ms = now;
	link->tokens = refill > full - link->tokens ? full : link->tokens + refill;
	if (link->tokens < 1000) {
		link->dropped++;
		link->dropped_total++;
		return false;
	}
	link->tokens -= 1000;
	return true;
}

void question_dropped(struct courier_link *link)
{
	if (link->dropped)
		journal_dropped(link->courier, link->peer, link->dropped);
	link->dropped = 0;
}

/* ---- names ---- */

void question_name(struct courier_link *link, const struct link_frame *f)
{
	struct courier *c = link->courier;
	struct msg_status status = { .has_verdict = true };
	struct msg_connect asked;

	if (msg_get_connect(f->payload, &asked) != ERR_OK || host_type(asked.host) == HOST_INVALID) {
		link_reset(channel_link(link->channel), f->stream, ERR_LINK_MALFORMED);
		return;
	}
	status.verdict = policy_host_named(snapshot_policy(c->snapshot), asked.host);
	if (take_token(link) && journal_dns(c, &asked, status.verdict) != ERR_OK)
		status.verdict = false;
	answer(link, f->stream, &status);
}

/* ---- leaf certificates ---- */

struct leaves *leaves_new(void) { return calloc(1, sizeof(struct leaves)); }

void leaves_free(struct leaves *l)
{
	for (int i = 0; l && i < QUESTION_LEAVES_MAX; i++)
		buf_free(&l->leaf[i].der);
	free(l);
}

/* The one that is kept for @host and @point, or the place of the one that was used least recently. */
static struct leaf *leaf_find(struct leaves *l, struct str host, struct str point, bool *ret_kept)
{
	struct leaf *oldest = &l->leaf[0];

	for (int i = 0; i < QUESTION_LEAVES_MAX; i++) {
		struct leaf *at = &l->leaf[i];

		*ret_kept = at->der.len && str_eq(str_make(at->host, at->host_bytes), host) &&
			    !memcmp(at->point, point.p, POINT_BYTES);
		if (*ret_kept)
			return at;
		if (at->used < oldest->used)
			oldest = at;
	}
	return oldest;
}

static enum err leaf_for(struct courier *c, struct str host, struct str point, struct str *ret_der)
{
	bool is_kept;
	struct leaf *at = leaf_find(c->leaves, host, point, &is_kept);

	if (!is_kept) {
		uint8_t key[POINT_BYTES];
		struct buf der;

		buf_init(&der, KEEPER_DATA_MAX);
		memcpy(key, point.p, POINT_BYTES);
		enum err e = keeper_leaf(c->options.keeper, host, key, COURIER_KEEPER_MS, &der);

		if (e != ERR_OK) {
			buf_free(&der);
			return e;
		}
		buf_free(&at->der);
		at->der = der;
		at->host_bytes = host.n;
		memcpy(at->host, host.p, host.n);
		memcpy(at->point, key, POINT_BYTES);
	}
	at->used = ++c->leaves->clock;
	*ret_der = buf_str(&at->der);
	return ERR_OK;
}

void question_leaf(struct courier_link *link, const struct link_frame *f)
{
	struct courier *c = link->courier;
	struct msg_status status = { .has_verdict = false };
	struct msg_connect asked;
	enum err e = msg_get_connect(f->payload, &asked);

	if (e == ERR_OK && (host_type(asked.host) == HOST_INVALID || asked.host.n > HEAD_HOST_MAX ||
			    asked.public_key.n != POINT_BYTES))
		e = ERR_LINK_MALFORMED;
	if (e == ERR_OK && !policy_host_named(snapshot_policy(c->snapshot), asked.host))
		e = ERR_POLICY_DENIED;
	if (e == ERR_OK)
		e = leaf_for(c, asked.host, asked.public_key, &status.certificate);
	if (e != ERR_OK)
		link_reset(channel_link(link->channel), f->stream, e);
	else
		answer(link, f->stream, &status);
}

/* ---- claims ---- */

enum err question_claim(struct courier_link *link, struct str message)
{
	struct msg_claim claim;

	if (msg_get_claim(message, &claim) != ERR_OK)
		return ERR_LINK_MALFORMED;
	if (take_token(link))
		journal_claim(link->courier, link->peer, &claim);
	return ERR_OK;
}
