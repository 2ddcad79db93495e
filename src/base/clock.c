/* clock.c - see clock.h */
#include "base/clock.h"

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

/* @v in @digits decimal digits and @after; where the next one goes */
static char *put_number(char *p, unsigned v, int digits, char after)
{
	for (int i = digits; i-- > 0; v /= 10)
		p[i] = (char)('0' + v % 10);
	p[digits] = after;
	return p + digits + 1;
}

void clock_rfc3339(uint64_t unix_ns, char ret[CLOCK_RFC3339_BYTES])
{
	time_t s = (time_t)(unix_ns / 1000000000u);
	struct tm tm = { 0 };
	char *p = ret;

	gmtime_r(&s, &tm);
	p = put_number(p, (unsigned)(tm.tm_year + 1900), 4, '-');
	p = put_number(p, (unsigned)(tm.tm_mon + 1), 2, '-');
	p = put_number(p, (unsigned)tm.tm_mday, 2, 'T');
	p = put_number(p, (unsigned)tm.tm_hour, 2, ':');
	p = put_number(p, (unsigned)tm.tm_min, 2, ':');
	p = put_number(p, (unsigned)tm.tm_sec, 2, '.');
	p = put_number(p, (unsigned)(unix_ns % 1000000000u / 1000u), 6, 'Z');
	*p = '\0';
}

uint64_t clock_civil_s(uint64_t year, uint64_t month, uint64_t day, uint64_t hour, uint64_t minute,
		       uint64_t second)
{
	year -= month <= 2;	/* years begin in March, so that the odd day is the last */
	uint64_t era = year / 400, of_era = year % 400;
	uint64_t of_year = (153 * (month > 2 ? month - 3 : month + 9) + 2) / 5 + day - 1;
	uint64_t days = era * 146097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719468;

	return ((days * 24 + hour) * 60 + minute) * 60 + second;
}
