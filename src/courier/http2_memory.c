/* http2_memory.c - memory for nghttp2, wiped when it is given back
 *
 * Heads that carry a credential pass through nghttp2: it copies fields, packs frames and keeps a table.
 * None of that memory comes back to the process with a secret in it. Source: nghttp2_mem in nghttp2.h.
 */
#include "courier/http2_session.h"

#include <malloc.h>
#include <stdlib.h>

static void *wiped_malloc(size_t n, void *user)
{
	(void)user;
	return malloc(n);
}

static void *wiped_calloc(size_t count, size_t n, void *user)
{
	(void)user;
	return calloc(count, n);
}

static void wiped_free(void *p, void *user)
{
	(void)user;
	if (p)
		explicit_bzero(p, malloc_usable_size(p));
	free(p);
}

static void *wiped_realloc(void *p, size_t n, void *user)
{
	void *fresh = malloc(n);
	size_t had = p ? malloc_usable_size(p) : 0;

	if (!fresh)
		return NULL;
	if (p)
		memcpy(fresh, p, had < n ? had : n);
	wiped_free(p, user);
	return fresh;
}

nghttp2_mem http2_memory(void)
{
	return (nghttp2_mem){ NULL, wiped_malloc, wiped_free, wiped_calloc, wiped_realloc };
}
