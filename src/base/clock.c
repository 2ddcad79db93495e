/* clock.c - see clock.h */
#include "base/clock.h"

#include <stdio.h>
#include <time.h>

static uint64_t now_ns(clockid_t id)
{
	struct timespec t = { 0, 0 };

	clock_gettime(id, &t);
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

uint64_t clock_ms(void) { return now_ns(CLOCK_MONOTONIC) / 1000000u; }
uint64_t clock_boot_ms(void) { return now_ns(CLOCK_BOOTTIME) / 1000000u; }
uint64_t clock_unix_ns(void) { return now_ns(CLOCK_REALTIME); }

void clock_rfc3339(uint64_t unix_ns, char ret[CLOCK_RFC3339_BYTES])
{
	time_t s = (time_t)(unix_ns / 1000000000u);
	struct tm tm = { 0 };

	gmtime_r(&s, &tm);
	/* the modulo tells the compiler (and the reader) that each field has its width */
	snprintf(ret, CLOCK_RFC3339_BYTES, "%04u-%02u-%02uT%02u:%02u:%02u.%06uZ",
		 (unsigned)(tm.tm_year + 1900) % 10000u, (unsigned)(tm.tm_mon + 1) % 100u,
		 (unsigned)tm.tm_mday % 100u, (unsigned)tm.tm_hour % 100u,
		 (unsigned)tm.tm_min % 100u, (unsigned)tm.tm_sec % 100u,
		 (unsigned)(unix_ns % 1000000000u / 1000u));
}
