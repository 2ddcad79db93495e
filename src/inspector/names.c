/* names.c - the synthetic addresses of a sandbox, and the names that they stand for
 *
 * Theory of operation: numbers rise from FIRST and are never given back; a table of numbers by hash
 * finds a name again. The number is the host part of both addresses. The table is keyed on names
 * that the guest chooses, so the hash is seeded: a guest that cannot know the seed cannot make its
 * names collide. Sources: RFC 2544 (198.18.0.0/15); RFC 4193 (unique local addresses).
 */
#include "inspector/names.h"

#include "base/arena.h"

#include <stdlib.h>
#include <sys/random.h>

#define FIRST 16u		/* keeps clear of the network's own address */
#define SLOTS (4u * NAMES_MAX)
#define ARENA_BYTES (NAMES_MAX * (HEAD_HOST_MAX + 1 + 32u))

struct names {
	struct arena *arena;
	uint64_t seed;
	uint32_t count;
	struct str hosts[NAMES_MAX];
	bool tunnelled[NAMES_MAX];
	uint32_t slots[SLOTS];	/* index into hosts, plus one; 0: empty */
};

static const uint8_t ipv6_prefix[12] = { 0xfd, 0x00, 'p', 'a', 'd', 'd' };

struct names *names_new(void)
{
	struct names *n = calloc(1, sizeof *n);

	if (!n)
		return NULL;
	n->arena = arena_new(ARENA_BYTES);
	if (!n->arena || getrandom(&n->seed, sizeof n->seed, 0) != sizeof n->seed) {
		names_free(n);
		return NULL;
	}
	return n;
}

void names_free(struct names *n)
{
	if (!n)
		return;
	arena_free(n->arena);
	free(n);
}

/* FNV-1a, started from the seed, with its bits mixed at the end. */
static uint32_t slot_of(const struct names *n, struct str host)
{
	uint64_t h = 0xcbf29ce484222325u ^ n->seed;

	for (size_t i = 0; i < host.n; i++)
		h = (h ^ (uint8_t)host.p[i]) * 0x100000001b3u;
	h ^= h >> 29;
	h *= 0xbf58476d1ce4e5b9u;
	return (uint32_t)(h >> 32) % SLOTS;
}

enum err names_give(struct names *n, struct str host, uint32_t *ret_number)
{
	uint32_t slot = slot_of(n, host);
	struct str copy;

	if (host_type(host) != HOST_NAME)
		return ERR_INPUT;
	for (; n->slots[slot]; slot = (slot + 1) % SLOTS) {
		if (str_eq(n->hosts[n->slots[slot] - 1], host)) {
			*ret_number = n->slots[slot] - 1;
			return ERR_OK;
		}
	}
	if (n->count == NAMES_MAX)
		return ERR_LIMIT;
	copy = arena_copy(n->arena, host);
	if (!copy.p)
		return ERR_LIMIT;
	n->hosts[n->count] = copy;
	n->slots[slot] = n->count + 1;
	*ret_number = n->count++;
	return ERR_OK;
}

void names_set_tunnelled(struct names *n, struct str host, bool tunnelled)
{
	uint32_t number;

	if (names_give(n, host, &number) == ERR_OK)
		n->tunnelled[number] = tunnelled;
}

bool names_tunnelled(struct names *n, struct str host)
{
	uint32_t number;

	return names_give(n, host, &number) == ERR_OK && n->tunnelled[number];
}

void names_ipv4(uint32_t number, uint8_t ret[NAMES_IPV4_BYTES])
{
	uint32_t v = (198u << 24 | 18u << 16) + FIRST + number;

	for (unsigned i = 0; i < 4; i++)
		ret[i] = (uint8_t)(v >> (24 - 8 * i));
}

void names_ipv6(uint32_t number, uint8_t ret[NAMES_IPV6_BYTES])
{
	uint32_t v = FIRST + number;

	memcpy(ret, ipv6_prefix, sizeof ipv6_prefix);
	for (unsigned i = 0; i < 4; i++)
		ret[12 + i] = (uint8_t)(v >> (24 - 8 * i));
}

bool names_is_synthetic(struct str address)
{
	const uint8_t *a = (const uint8_t *)address.p;

	if (address.n == NAMES_IPV4_BYTES)
		return a[0] == 198 && (a[1] & 0xfe) == 18;
	return address.n == NAMES_IPV6_BYTES && memcmp(a, ipv6_prefix, sizeof ipv6_prefix) == 0;
}

struct str names_host(const struct names *n, struct str address)
{
	const uint8_t *a = (const uint8_t *)address.p + (address.n - 4);
	uint32_t v;

	if (!names_is_synthetic(address))
		return (struct str){ NULL, 0 };
	v = (uint32_t)a[0] << 24 | (uint32_t)a[1] << 16 | (uint32_t)a[2] << 8 | a[3];
	if (address.n == NAMES_IPV4_BYTES)
		v -= 198u << 24 | 18u << 16;
	if (v < FIRST || v - FIRST >= n->count)
		return (struct str){ NULL, 0 };
	return n->hosts[v - FIRST];
}
