/* clock.h - time, by its purpose */
#pragma once

#include <stdint.h>

/** clock_ms() - CLOCK_MONOTONIC in milliseconds: deadlines */
uint64_t clock_ms(void);
/** clock_boot_ms() - CLOCK_BOOTTIME in milliseconds: counts while suspended */
uint64_t clock_boot_ms(void);
/** clock_unix_ns() - CLOCK_REALTIME in nanoseconds since 1970: records */
uint64_t clock_unix_ns(void);
/** clock_rfc3339() - @unix_ns as "2026-11-22T01:02:03.004005Z" (27 bytes and a NUL) */
#define CLOCK_RFC3339_BYTES 28
void clock_rfc3339(uint64_t unix_ns, char ret[CLOCK_RFC3339_BYTES]);
/** clock_civil_s() - seconds since 1970 of a date and time of day, UTC,
 *  Gregorian; @year >= 1970, @month and @day from 1, all in their ranges */
uint64_t clock_civil_s(uint64_t year, uint64_t month, uint64_t day, uint64_t hour, uint64_t minute,
		       uint64_t second);
