/* link_fuzz.c - a hostile peer's bytes, in one piece and in many: both must give the same
 * frames, the same answers and the same end, within the link's bounds
 *
 * Input: one byte of choices, then what the peer sends. The owner played here answers each
 * frame, so that sending is reached too.
 */
#include "wire/link.h"

#include <stdlib.h>

#define WINDOW LINK_PAYLOAD_MAX
#define OUTPUT_MAX (2u * LINK_PAYLOAD_MAX)
#define CONTROL_MAX (1100u * 1024)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct run {
	struct link *l;
	uint64_t trace;		/* of all that was seen */
	uint8_t choices;
	enum err end;
};

static void check(bool ok)
{
	if (!ok)
		abort();
}

static void note(struct run *r, struct str s)
{
	for (size_t i = 0; i < s.n; i++)
		r->trace = (r->trace ^ (uint8_t)s.p[i]) * 0x100000001b3u;
}

static void note_number(struct run *r, uint64_t v) { note(r, str_make(&v, sizeof v)); }

static void answer(struct run *r, const struct link_frame *f)
{
	struct str bytes = str_head(f->payload, link_sendable(r->l, f->stream));
	uint32_t stream;

	check(link_sendable(r->l, f->stream) <= LINK_PAYLOAD_MAX);
	if (f->type == LINK_HELLO || (r->choices & 0x10)) {
		if (!link_open(r->l, LINK_KIND_TCP, STR("x"), &stream))
			link_set_user(r->l, stream, r);
	}
	if (f->type == LINK_OPEN)
		link_set_user(r->l, f->stream, r);
	if (link_is_open(r->l, f->stream))
		check(link_user(r->l, f->stream) == r);
	if (f->type == LINK_DATA || f->type == LINK_HEAD) {
		enum err e = (r->choices & 0x20) ? link_head(r->l, f->stream, bytes)
						 : link_data(r->l, f->stream, 0, bytes);

		check(e == ERR_OK || e == ERR_STATE);
		if (r->choices & 0x40)
			link_consumed(r->l, f->stream, f->payload.n);
	}
	if (f->type == LINK_END)
		link_end(r->l, f->stream);
	if (f->type == LINK_RESET || f->type == LINK_END) {	/* over, or nearly: still the owner's while it looks */
		link_set_user(r->l, f->stream, NULL);
		check(!link_user(r->l, f->stream));
		link_set_user(r->l, f->stream, r);
	}
	if (f->type == LINK_DATA && f->payload.p[0] == 'R')
		link_reset(r->l, f->stream, ERR_CANCELLED);
}

static void feed(struct run *r, struct str bytes, size_t piece)
{
	struct link_frame f = { 0 };

	while (bytes.n && (r->end == ERR_OK || r->end == ERR_MORE)) {
		struct str part = str_head(bytes, piece);

		bytes = str_from(bytes, part.n);
		while (!(r->end = link_receive(r->l, &part, &f))) {
			note_number(r, f.type);
			note_number(r, f.stream);
			note_number(r, f.kind);
			note_number(r, f.reason);
			note(r, f.payload);
			answer(r, &f);
		}
	}
	note_number(r, link_wants_input(r->l));
	note_number(r, r->end);
	note_number(r, link_streams(r->l));
	note(r, link_output(r->l));
	check(link_output(r->l).n <= OUTPUT_MAX + CONTROL_MAX);
}

static void count(void *ctx, uint32_t stream, void *user)
{
	struct run *r = ctx;

	(void)user;
	link_reset(r->l, stream, ERR_OK);
}

static uint64_t run(const uint8_t *data, size_t size, size_t piece)
{
	struct link_limits limits = { 5, WINDOW, OUTPUT_MAX };
	struct run r = { .choices = data[0] };

	r.l = link_new((data[0] & 1) ? LINK_LOWER : LINK_UPPER, &limits);
	if (!r.l)
		return 0;
	feed(&r, str_make(data + 1, size - 1), piece);
	check(link_streams(r.l) <= 5);
	link_sent(r.l, link_output(r.l).n);
	link_each(r.l, count, &r);
	check(link_streams(r.l) == 0);
	link_free(r.l);
	return r.trace;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const size_t pieces[] = { 1, 7, 12, 13, 100, 4096, 65535, 65536 };

	if (size < 2)
		return 0;
	check(run(data, size, size) == run(data, size, pieces[(data[0] >> 1) & 7]));
	return 0;
}
