/* link_fault_test.c - a conversation over a link in which each allocation fails in turn
 *
 * Whichever fails, the link says so (NULL, ERR_MEMORY, a stream refused), and nothing is lost
 * silently: bytes that arrive are those that were sent, in order.
 */
#include "fail_alloc.h"
#include "wire/link.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#define STREAMS 40

struct talk {
	struct link *a, *b;
	unsigned opened, refused, arrived, next;
	bool broken;
};

/* All that @from has to say, in pieces, so that frames are put together in memory */
static void carry(struct talk *t, struct link *from, struct link *to)
{
	struct str out = link_output(from), rest = out;

	while (rest.n && !t->broken) {
		struct str part = str_head(rest, 1000);
		struct link_frame f;
		enum err e;

		rest = str_from(rest, part.n);
		while (!(e = link_receive(to, &part, &f))) {
			if (f.type == LINK_RESET)
				t->refused++;
			if (f.type == LINK_DATA) {
				assert_int_equal(f.payload.n, 3000);
				assert_true((unsigned)f.payload.p[0] >=
					    t->next); /* a refused one is left out */
				t->next = (unsigned)f.payload.p[0] + 1;
				t->arrived++;
			}
		}
		assert_true(e == ERR_MORE || e == ERR_MEMORY);
		t->broken = e == ERR_MEMORY;
	}
	link_sent(from, out.n);
}

static void talk(struct talk *t)
{
	static char bytes[3000];
	unsigned sent = 0;
	uint32_t stream;

	carry(t, t->a, t->b);
	carry(t, t->b, t->a);
	for (unsigned i = 0; i < STREAMS && !t->broken; i++) {
		enum err e = link_open(t->a, LINK_KIND_TCP, STR("fields"), &stream);

		assert_true(e == ERR_OK || e == ERR_MEMORY);
		if (e)
			continue;
		t->opened++;
		bytes[0] = (char)sent;
		e = link_data(t->a, stream, 0, str_make(bytes, sizeof bytes));
		assert_true(e == ERR_OK || e == ERR_MEMORY);
		sent += e == ERR_OK;
	}
	carry(t, t->a, t->b);
	carry(t, t->b, t->a);
	if (!t->broken && t->refused == 0)
		assert_int_equal(t->arrived, sent);
}

static void every_allocation_may_fail(void **state)
{
	(void)state;
	bool failed = true;

	for (long n = 1; failed && n < 1000; n++) {
		struct talk t = { 0 };

		calls = 0;
		fail_at = FAULTS ? n : 0;
		t.a = link_new(LINK_LOWER, &LINK_LIMITS_DEFAULT);
		t.b = link_new(LINK_UPPER, &LINK_LIMITS_DEFAULT);
		if (t.a && t.b)
			talk(&t);
		failed = FAULTS && calls >= fail_at;
		fail_at = 0;
		assert_true(failed == (!t.a || !t.b || t.broken || t.refused || t.opened < STREAMS ||
				       t.arrived < STREAMS));
		link_free(t.a);
		link_free(t.b);
		if (!failed && FAULTS)
			assert_true(n > 10);
	}
	assert_false(failed);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_allocation_may_fail),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
