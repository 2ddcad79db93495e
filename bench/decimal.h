/* decimal.h - a number at the front of a text; for what our own peers and callers say */
#pragma once

#include <stdint.h>

static inline uint64_t decimal(const char *p)
{
	uint64_t n = 0;

	while (*p == ' ')
		p++;
	for (; *p >= '0' && *p <= '9'; p++)
		n = n * 10 + (uint64_t)(*p - '0');
	return n;
}
