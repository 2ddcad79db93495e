/* keeper_ops_world.h - what one of the keeper's ops answered, for their tests */
#pragma once

#include "credential/keeper_ops.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

static struct buf out;
static const char *reason;

static int set_up(void **state)
{
	(void)state;
	buf_init_secret(&out, KEEPER_DATA_MAX);
	reason = NULL;
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	buf_free(&out);
	return 0;
}

static struct str field(size_t i, size_t count)
{
	static struct str fields[16];

	assert_true(count <= 16 && keeper_fields(buf_str(&out), fields, count));
	return fields[i];
}

static void field_is(size_t i, size_t count, const char *wanted)
{
	struct str got = field(i, count);

	if (!str_eq(got, str_of(wanted)))
		fail_msg("field %zu: '%.*s', not '%s'", i, STR_FMT(got), wanted);
}
