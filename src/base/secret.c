/* secret.c - each secret has pages of its own; see secret.h
 *
 * mlock may be refused (RLIMIT_MEMLOCK); a host without swap loses nothing by it, so
 * that failure alone is tolerated. Everything else is required.
 */
#include "base/secret.h"

#include <stdlib.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

#ifndef MADV_WIPEONFORK
#define MADV_WIPEONFORK 18
#endif

struct secret {
	size_t mapped, n;
	char bytes[];
};

static size_t whole_pages(size_t n)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE);

	return (n + page - 1) / page * page;
}

void *secret_map(size_t n)
{
	size_t mapped;
	void *p;

	if (n == 0 || n > SIZE_MAX / 2)
		return NULL;
	mapped = whole_pages(n);
	p = mmap(NULL, mapped, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (p == MAP_FAILED)
		return NULL;
	if (madvise(p, mapped, MADV_DONTDUMP) || madvise(p, mapped, MADV_WIPEONFORK)) {
		munmap(p, mapped);
		return NULL;
	}
	(void)mlock(p, mapped);
	return p;
}

void secret_unmap(void *p, size_t n)
{
	if (!p)
		return;
	explicit_bzero(p, n);
	munmap(p, whole_pages(n));
}

enum err secret_new(const void *p, size_t n, struct secret **ret_secret)
{
	struct secret *s;

	if (n == 0 || n > SECRET_MAX_BYTES)
		return ERR_LIMIT;
	s = secret_map(sizeof *s + n);
	if (!s)
		return ERR_MEMORY;
	s->mapped = sizeof *s + n;
	s->n = n;
	memcpy(s->bytes, p, n);
	*ret_secret = s;
	return ERR_OK;
}

void secret_free(struct secret *s)
{
	if (s)
		secret_unmap(s, s->mapped);
}

struct str secret_str(const struct secret *s) { return (struct str){ s->bytes, s->n }; }

bool secret_eq(struct str a, struct str b)
{
	volatile uint8_t diff = 0;

	if (a.n != b.n)
		return false;
	for (size_t i = 0; i < a.n; i++)
		diff = (uint8_t)(diff | (uint8_t)(a.p[i] ^ b.p[i]));
	return diff == 0;
}

enum err secret_process(void)
{
	struct rlimit none = { 0, 0 };

	if (setrlimit(RLIMIT_CORE, &none) || prctl(PR_SET_DUMPABLE, 0, 0, 0, 0))
		return ERR_LOCAL;
	return ERR_OK;
}
