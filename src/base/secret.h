/* secret.h - a credential in memory
 *
 * Locked pages, left out of core dumps, wiped in a forked child and on free. There
 * is no function that prints one, and none that copies one into ordinary memory:
 * secret_str() lends a view, and the buffer that it is written to must have been
 * made by buf_init_secret().
 */
#pragma once

#include "base/err.h"
#include "base/str.h"

#define SECRET_MAX_BYTES 16384

struct secret;

/** secret_new() - copies @n bytes at @p (1 <= n <= SECRET_MAX_BYTES); the caller wipes its own
 * Return: ERR_OK and *ret_secret (free with secret_free()), ERR_LIMIT, ERR_MEMORY */
must_use enum err secret_new(const void *p, size_t n, struct secret **ret_secret);
void secret_free(struct secret *s);
/** secret_str() - a borrowed view, valid until secret_free() */
struct str secret_str(const struct secret *s);
/** secret_eq() - in time that depends on the lengths only */
bool secret_eq(struct str a, struct str b);
/** secret_map() - @n (> 0) zeroed bytes of the same kind of memory, for tables from which a
 *  secret could be read; NULL without memory. secret_unmap() wipes; NULL is fine. */
void *secret_map(size_t n);
void secret_unmap(void *p, size_t n);
/** secret_process() - this process: no core dumps, not ptraceable by its user
 *  (PR_SET_DUMPABLE 0); call before the first secret is read. ERR_LOCAL with errno. */
must_use enum err secret_process(void);

static inline void secret_freep(struct secret **s) { secret_free(*s); }
#define auto_secret __attribute__((cleanup(secret_freep))) struct secret *
