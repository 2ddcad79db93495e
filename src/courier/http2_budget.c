/* http2_budget.c - what an upstream may send that is of no use to anybody
 *
 * A bucket of glitches that fills with time, and with each piece of an answer; a frame that carries none
 * takes one out, and so do bytes that nghttp2 took for no frame of use: it tells of none that it ignores, so
 * those are what remains of all bytes received when the frames that it told of are taken off.
 */
#include "courier/http2_session.h"

#include "base/clock.h"

#define PAID 1000u		/* a glitch */
#define IN_FLIGHT_MAX ((int64_t)2 * HTTP2_STREAMS_MAX * HTTP2_WINDOW_BYTES)

static void fill(struct http2_session *s, uint64_t thousandths)
{
	uint64_t most = (uint64_t)HTTP2_GLITCHES_BURST * PAID;

	s->glitches = thousandths < most - s->glitches ? s->glitches + thousandths : most;
}

void http2_earn(struct http2_session *s, uint64_t glitches) { fill(s, glitches * PAID); }

bool http2_pay(struct http2_session *s)
{
	if (s->glitches < PAID) {
		uint64_t now = clock_ms(), passed = now - s->glitches_ms;

		s->glitches_ms = now;
		fill(s, passed * HTTP2_GLITCHES_PER_SECOND * PAID / 1000);
	}
	if (s->glitches < PAID)
		return false;
	s->glitches -= PAID;
	return true;
}

bool http2_pay_bytes(struct http2_session *s, size_t n)
{
	s->useful -= (int64_t)n;
	for (; s->useful <= -HTTP2_GLITCH_BYTES; s->useful += HTTP2_GLITCH_BYTES)
		if (!http2_pay(s))
			return false;
	if (s->useful > IN_FLIGHT_MAX)
		s->useful = IN_FLIGHT_MAX;
	return true;
}
