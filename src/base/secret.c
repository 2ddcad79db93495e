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

enum err secret_new(const void *p, size_t n, struct secret **ret_secret)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE), mapped;
	struct secret *s;

	if (n == 0 || n > SECRET_MAX_BYTES)
		return ERR_LIMIT;
	mapped = (sizeof *s + n + page - 1) / page * page;
	s = mmap(NULL, mapped, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (s == MAP_FAILED)
		return ERR_MEMORY;
	if (madvise(s, mapped, MADV_DONTDUMP) || madvise(s, mapped, MADV_WIPEONFORK)) {
		munmap(s, mapped);
		return ERR_MEMORY;
	}
	(void)mlock(s, mapped);
	s->mapped = mapped;
	s->n = n;
	memcpy(s->bytes, p, n);
	*ret_secret = s;
	return ERR_OK;
}

void secret_free(struct secret *s)
{
	if (!s)
		return;
	size_t mapped = s->mapped;

	explicit_bzero(s, mapped);
	munmap(s, mapped);
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
