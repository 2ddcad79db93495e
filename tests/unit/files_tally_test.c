/* files_tally_test.c - numbers of objects against a plain list of them */
#include "files/tally.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#define OBJECTS 3000u

static struct stat object(uint32_t i)
{
	return (struct stat){ .st_dev = i % 3, .st_ino = i / 3 + 1 };
}

static uint32_t random_of(uint32_t *state, uint32_t n)
{
	*state = *state * 1664525u + 1013904223u;
	return (*state >> 8) % n;
}

static void assert_same(const struct tally *t, const uint32_t *model)
{
	uint32_t count = 0;

	for (uint32_t i = 0; i < OBJECTS; i++) {
		struct stat st = object(i);

		assert_int_equal(tally_get(t, &st), model[i]);
		count += model[i] != 0;
	}
	assert_int_equal(tally_count(t), count);
}

static void numbers_come_and_go(void **state)
{
	static uint32_t model[OBJECTS];
	struct tally *t = tally_new(OBJECTS);
	uint32_t seed = 1;

	(void)state;
	assert_non_null(t);
	for (uint32_t turn = 0; turn < 60000; turn++) {
		uint32_t i = random_of(&seed, OBJECTS), number = random_of(&seed, 4);
		struct stat st = object(i);

		model[i] = number;
		tally_set(t, &st, number);
		if (turn % 3000 == 0)
			assert_same(t, model);
	}
	tally_drop(t, 2);
	for (uint32_t i = 0; i < OBJECTS; i++)
		model[i] = model[i] == 2 ? 0 : model[i];
	assert_same(t, model);
	for (uint32_t i = 0; i < OBJECTS; i++) {
		struct stat st = object(i);

		model[i] = 0;
		tally_set(t, &st, 0);
	}
	assert_same(t, model);
	tally_free(t);
}

static void what_finds_no_room_has_no_number(void **state)
{
	struct tally *t = tally_new(100);

	(void)state;
	assert_non_null(t);
	for (uint32_t i = 0; i < 150; i++) {
		struct stat st = object(i);

		tally_set(t, &st, 7);
		assert_int_equal(tally_get(t, &st), i < 100 ? 7 : 0);
	}
	struct stat first = object(0), next = object(149);

	tally_set(t, &first, 8);	/* it has its place */
	assert_int_equal(tally_get(t, &first), 8);
	tally_set(t, &first, 0);
	tally_set(t, &next, 7);
	assert_int_equal(tally_get(t, &next), 7);
	assert_int_equal(tally_count(t), 100);
	tally_free(t);
	tally_free(NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(numbers_come_and_go),
		cmocka_unit_test(what_finds_no_room_has_no_number),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
