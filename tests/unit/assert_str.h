/* assert_str.h - a view against a string, with both in the message */
#pragma once

#include "base/str.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static inline void assert_str(struct str s, const char *z)
{
	if (!str_eq(s, str_of(z)))
		fail_msg("\"%.*s\" is not \"%s\"", STR_FMT(s), z);
}
