/* fail_alloc.h - the program's own malloc() comes before the
 * C library's: one allocation, counted, can be made to fail
 *
 * A sanitizer has an allocator of its own: there FAULTS is 0, and none fails.
 */
#pragma once

#include <stdbool.h>
#include <stdlib.h>

#if defined(__SANITIZE_ADDRESS__)
#define FAULTS 0
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define FAULTS 0
#endif
#endif

static long fail_at;	/* which allocation fails, from 1; 0: none */
static long calls;

#ifndef FAULTS
#define FAULTS 1

void *__libc_malloc(size_t n);
void *__libc_calloc(size_t count, size_t n);
void *__libc_realloc(void *p, size_t n);

static bool fails(void) { return fail_at && ++calls == fail_at; }

void *malloc(size_t n) { return fails() ? NULL : __libc_malloc(n); }
void *calloc(size_t count, size_t n) { return fails() ? NULL : __libc_calloc(count, n); }
void *realloc(void *p, size_t n) { return fails() ? NULL : __libc_realloc(p, n); }
void *reallocarray(void *p, size_t count, size_t n) { return realloc(p, count * n); }
#endif
