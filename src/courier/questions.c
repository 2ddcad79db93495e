/* questions.c - names, leaf certificates, claims
 *
 * Theory of operation: a NAME or LEAF is wholly in its OPEN and is answered at once (a leaf that
 * is new, when the keeper has made it): one HEAD and END, or, if the link has no room at the moment, when
 * it has. What waits is bounded by the streams that the link lets be open, since a stream that is reset
 * waits no more, and by the calls to the keeper. A leaf is signed for a host that the policy names
 * and for no other, whoever asks. The keeper's certificates are kept, because a client opens many
 * connections to a few hosts; while one is made, every stream that asked for it waits for the one call.
 * A claim is the sender's word, recorded as such. A sender has a budget of records for claims and
 * names, refilled with time; what is over it is counted, and the count is recorded (I7). That loses
 * no request: a name that may be spoken to gets a synthetic address from the inspector and nothing
 * more, and what is then asked of it is decided, and recorded, as an exchange. When the trail
 * cannot be written, though, every name is refused.
 */
#include "courier/questions.h"

#include "base/clock.h"
#include "courier/journal.h"
#include "courier/tunnel.h"

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

static void answer_drop(struct courier_link *link, uint32_t stream)
{
	for (struct answer **at = &link->answers; *at; at = &(*at)->next) {
		struct answer *a = *at;

		if (a->stream != stream)
			continue;
		*at = a->next;
		if (!a->next)
			link->answers_end = at;
		answer_free(a);
		return;
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

static uint8_t tunnel_as(enum policy_kind kind)
{
	switch (kind) {
	case POLICY_KIND_HTTP: return MSG_TUNNEL_OPENED;
	case POLICY_KIND_PASSTHROUGH: return MSG_TUNNEL_TLS;
	case POLICY_KIND_TCP: return MSG_TUNNEL_TCP;
	}
	return MSG_TUNNEL_OPENED;
}

void question_name(struct courier_link *link, const struct link_frame *f)
{
	struct courier *c = link->courier;
	struct msg_status status = { .has_verdict = true };
	struct msg_connect asked;
	const struct config_client *client;

	if (msg_get_connect(f->payload, &asked) != ERR_OK || host_type(asked.host) == HOST_INVALID) {
		link_reset(channel_link(link->channel), f->stream, ERR_LINK_MALFORMED);
		return;
	}
	status.verdict = policy_host_named(snapshot_policy(c->snapshot), asked.host);
	if (asked.port && !asked.scheme && config_client(c->options.config, asked.token, &client) != ERR_OK) {
		status.has_result = true;
		status.result = ERR_UNAUTHORIZED;
		status.verdict = false;
	}
	status.has_tunnel = true;
	if (asked.port)
		status.tunnel = tunnel_as(tunnel_kind(c, asked.host, asked.port));
	else if (policy_host_tunnelled(snapshot_policy(c->snapshot), asked.host))
		status.tunnel = MSG_TUNNEL_TCP;
	/* how a connection passes is no question of a name: it has a record of its own */
	if (!(asked.port && !asked.scheme) && take_token(link) &&
	    journal_dns(c, &asked, status.verdict) != ERR_OK)
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

/* A stream that waits for a certificate; of those that wait for the same one the first has the call, also
 * after it was reset. */
struct leaf_wait {
	struct leaf_wait *next;
	struct courier_link *link;
	struct keeper_call *call;
	uint32_t stream;		/* 0: reset */
	char text[POINT_BYTES + HEAD_HOST_MAX];	/* point and host, as the keeper is asked */
	size_t text_bytes;
};

static bool same_leaf(const struct leaf_wait *a, const struct leaf_wait *b)
{
	return str_eq(str_make(a->text, a->text_bytes), str_make(b->text, b->text_bytes));
}

static void leaf_keep(struct leaves *leaves, struct str host, struct str point, struct str der)
{
	bool is_kept;
	struct leaf *at = leaf_find(leaves, host, point, &is_kept);

	buf_free(&at->der);
	buf_init(&at->der, KEEPER_DATA_MAX);
	buf_put(&at->der, der);
	if (buf_err(&at->der) != ERR_OK)
		buf_free(&at->der);
	at->host_bytes = host.n;
	memcpy(at->host, host.p, host.n);
	memcpy(at->point, point.p, POINT_BYTES);
	at->used = ++leaves->clock;
}

static void leaf_answer(struct courier_link *link, uint32_t stream, enum err e, struct str der)
{
	const struct msg_status status = { .certificate = der };

	if (e != ERR_OK)
		link_reset(channel_link(link->channel), stream, e);
	else
		answer(link, stream, &status);
}

static void leaf_made(void *user, enum err e, struct str der)
{
	struct leaf_wait *first = user, *w, **at = &first->link->leaf_waits;
	struct courier_link *link = first->link;
	struct str text = str_make(first->text, first->text_bytes);

	if (e == ERR_OK && der.n == 0)
		e = ERR_CLOSED;
	if (e == ERR_OK)
		leaf_keep(link->courier->leaves, str_from(text, POINT_BYTES), str_head(text, POINT_BYTES),
			  der);
	while ((w = *at)) {
		if (!same_leaf(w, first)) {
			at = &w->next;
			continue;
		}
		if (w->stream)
			leaf_answer(link, w->stream, e, der);
		*at = w->next;
		if (w != first)
			free(w);
	}
	free(first);
}

static enum err leaf_ask(struct courier_link *link, uint32_t stream, struct str host, struct str point)
{
	struct leaf_wait *w = calloc(1, sizeof *w), **at = &link->leaf_waits;
	bool is_asked = false;
	unsigned calls = 0;
	enum err e = ERR_OK;

	if (!w)
		return ERR_MEMORY;
	w->link = link;
	w->stream = stream;
	memcpy(w->text, point.p, POINT_BYTES);
	memcpy(w->text + POINT_BYTES, host.p, host.n);
	w->text_bytes = POINT_BYTES + host.n;
	for (; *at; at = &(*at)->next) {
		is_asked |= same_leaf(*at, w);
		calls += (*at)->call != NULL;
	}
	if (!is_asked && calls == QUESTION_CALLS_MAX) {
		e = ERR_LIMIT;
	} else if (!is_asked) {
		const struct keeper_question q = { .op = KEEPER_LEAF, .text = { w->text, w->text_bytes } };

		e = keeper_call(link->courier->keeper, &q, leaf_made, w, &w->call);
	}
	if (e != ERR_OK)
		free(w);
	else
		*at = w;
	return e;
}

void question_leaf(struct courier_link *link, const struct link_frame *f)
{
	struct courier *c = link->courier;
	struct msg_connect asked;
	struct leaf *kept = NULL;
	bool is_kept = false;
	enum err e = msg_get_connect(f->payload, &asked);

	if (e == ERR_OK && (host_type(asked.host) == HOST_INVALID || asked.host.n > HEAD_HOST_MAX ||
			    asked.public_key.n != POINT_BYTES))
		e = ERR_LINK_MALFORMED;
	if (e == ERR_OK && !policy_host_named(snapshot_policy(c->snapshot), asked.host))
		e = ERR_POLICY_DENIED;
	if (e == ERR_OK)
		kept = leaf_find(c->leaves, asked.host, asked.public_key, &is_kept);
	if (e == ERR_OK && !is_kept) {
		e = leaf_ask(link, f->stream, asked.host, asked.public_key);
		if (e == ERR_OK)
			return;
	}
	if (is_kept)
		kept->used = ++c->leaves->clock;
	leaf_answer(link, f->stream, e, is_kept ? buf_str(&kept->der) : (struct str){ NULL, 0 });
}

void question_reset(struct courier_link *link, uint32_t stream)
{
	answer_drop(link, stream);
	for (struct leaf_wait **at = &link->leaf_waits; *at; at = &(*at)->next) {
		struct leaf_wait *w = *at;

		if (w->stream != stream)
			continue;
		w->stream = 0;
		if (!w->call) {
			*at = w->next;
			free(w);
		}
		return;
	}
}

void question_closed(struct courier_link *link)
{
	for (struct answer *a = link->answers, *next; a; a = next) {
		next = a->next;
		answer_free(a);
	}
	for (struct leaf_wait *w = link->leaf_waits, *next; w; w = next) {
		next = w->next;
		keeper_cancel(w->call);
		free(w);
	}
	link->answers = NULL;
	link->leaf_waits = NULL;
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
