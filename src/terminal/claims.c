/* claims.c - claims on their way to the courier                             (see claims.h)
 *
 * Theory of operation: a queue of encoded claims, each with the stream of the guest's that it
 * came on (0: our own) and the bytes to give back there once it has gone on. So the guest's
 * credit bounds what it can queue, and our own are rate-limited.
 *
 * Trust: the guest's claims are hostile bytes; only a claim that decodes, and is of a kind
 * that PID 1 has reason to make, goes on, encoded by us. It stays a claim: nothing rests on it.
 * Failure: without a courier, or at the bound, claims are dropped; the supervisor sees to it
 * that a sandbox without a courier ends.
 */
#include "terminal/claims.h"

#include "base/clock.h"
#include "terminal/filter.h"

#define AGAIN_MS 10000

static void give_back(struct claims *c, uint32_t stream, uint32_t n)
{
	if (stream == 0 || !c->guest)
		return;
	link_consumed(channel_link(c->guest), stream, n);
	channel_flush(c->guest);
}

static void queue_claim(struct claims *c, const struct msg_claim *m, uint32_t stream, uint32_t guest_bytes)
{
	auto_buf b = BUF_EMPTY;

	buf_init(&b, LINK_PAYLOAD_MAX);
	buf_put_u32le(&b, stream);
	buf_put_u32le(&b, guest_bytes);
	buf_put_u32le(&b, 0);
	msg_put_claim(&b, m);
	if (!c->courier || buf_err(&b) || queue_bytes(&c->waiting).n + b.len > CLAIMS_QUEUE_MAX ||
	    !queue_reserve(&c->waiting, b.len)) {
		give_back(c, stream, guest_bytes);
		return;
	}
	for (size_t i = 0; i < 4; i++)
		b.p[8 + i] = (char)((b.len - 12) >> (8 * i));
	queue_put(&c->waiting, buf_str(&b));
}

static bool is_for_guest(enum claim_kind kind)
{
	return kind == CLAIM_EXEC || kind == CLAIM_EXIT || kind == CLAIM_LIMIT;
}

enum err claims_forward(struct claims *c, uint32_t stream, struct str payload)
{
	struct msg_claim m;
	enum err e = msg_get_claim(payload, &m);

	if (e)
		return e;
	if (!is_for_guest(m.kind))
		return ERR_LINK_MALFORMED;
	queue_claim(c, &m, stream, (uint32_t)payload.n);
	claims_run(c);
	return ERR_OK;
}

void claims_filtered(struct claims *c, unsigned drops)
{
	uint64_t now = clock_ms();

	for (unsigned i = 0; i < sizeof c->told_ms / sizeof *c->told_ms; i++) {
		auto_buf text = BUF_EMPTY;
		struct msg_claim m = { .kind = CLAIM_TERMINAL };

		buf_init(&text, 256);
		if (!(drops & 1u << i) || (c->told_ms[i] && now - c->told_ms[i] < AGAIN_MS))
			continue;
		c->told_ms[i] = now;
		buf_put_z(&text, "kept from the terminal: ");
		buf_put_z(&text, filter_drop_text(1u << i));
		m.text = buf_str(&text);
		queue_claim(c, &m, 0, 0);
	}
	claims_run(c);
}

/* Sends the first of the queue; false if it must wait, or there is none. */
static bool send_first(struct claims *c)
{
	struct reader r = reader_of(queue_bytes(&c->waiting));
	struct link *l = channel_link(c->courier);
	uint32_t stream, guest_bytes, n;
	struct str claim;

	if (!reader_u32le(&r, &stream) || !reader_u32le(&r, &guest_bytes) || !reader_u32le(&r, &n) ||
	    !reader_take(&r, n, &claim))
		return false;
	if (!link_is_open(l, c->stream) && link_open(l, LINK_KIND_CLAIMS, STR(""), &c->stream))
		return false;
	if (link_sendable(l, c->stream) < n || link_head(l, c->stream, claim))
		return false;
	queue_take(&c->waiting, 12 + n);
	give_back(c, stream, guest_bytes);
	return true;
}

void claims_run(struct claims *c)
{
	if (!c->courier)
		return;
	while (send_first(c))
		;
	channel_flush(c->courier);
}

void claims_free(struct claims *c) { queue_free(&c->waiting); }
