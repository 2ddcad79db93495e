/* address.c - may this address be dialled?
 *
 * Theory of operation: what a name resolves to is chosen by whoever owns the name, so an agent
 * that may speak to any host of its own could otherwise reach the host's loopback, its network
 * or a cloud's metadata service (DNS rebinding). Each address is judged when it has been resolved,
 * and the very same bytes are dialled: there is no second look-up in between (I6).
 * IPv6 is an allowlist (2000::/3 less its special parts), IPv4 a list of what is special.
 * A form that embeds an IPv4 address is judged as that address or refused.
 * Source: IANA IPv4 and IPv6 Special-Purpose Address Registries; RFC 6890, 6052, 3056, 9637.
 */
#include "courier/address.h"

#include <arpa/inet.h>

static const uint8_t mapped_prefix[12] = { [10] = 0xff, [11] = 0xff };

struct network4 {
	uint8_t bytes[4];
	unsigned prefix;
};

static const struct network4 special4[] = {
	{ { 0, 0, 0, 0 }, 8 },		/* "this network" */
	{ { 10, 0, 0, 0 }, 8 },		/* private */
	{ { 100, 64, 0, 0 }, 10 },	/* carrier NAT; Alibaba's metadata service */
	{ { 127, 0, 0, 0 }, 8 },	/* loopback */
	{ { 168, 63, 129, 16 }, 32 },	/* Azure's host agent, in public space */
	{ { 169, 254, 0, 0 }, 16 },	/* link-local; the metadata services of most clouds */
	{ { 172, 16, 0, 0 }, 12 },	/* private */
	{ { 192, 0, 0, 0 }, 24 },	/* protocol assignments; Oracle's metadata service */
	{ { 192, 0, 2, 0 }, 24 },	/* documentation */
	{ { 192, 88, 99, 0 }, 24 },	/* 6to4 relays */
	{ { 192, 168, 0, 0 }, 16 },	/* private */
	{ { 198, 18, 0, 0 }, 15 },	/* benchmarks; our own synthetic addresses */
	{ { 198, 51, 100, 0 }, 24 },	/* documentation */
	{ { 203, 0, 113, 0 }, 24 },	/* documentation */
	{ { 224, 0, 0, 0 }, 4 },	/* multicast */
	{ { 240, 0, 0, 0 }, 4 },	/* reserved, broadcast */
};

struct network6 {
	uint8_t bytes[4];
	unsigned prefix;
};

static const struct network6 special6[] = {	/* within 2000::/3 */
	{ { 0x20, 0x01, 0x00, 0x00 }, 23 },	/* protocol assignments, Teredo, ORCHID */
	{ { 0x20, 0x01, 0x0d, 0xb8 }, 32 },	/* documentation */
	{ { 0x20, 0x02, 0x00, 0x00 }, 16 },	/* 6to4 */
	{ { 0x3f, 0xff, 0x00, 0x00 }, 20 },	/* documentation */
};

static bool prefix_eq(const uint8_t *a, const uint8_t *b, unsigned bits)
{
	unsigned whole = bits / 8, rest = bits % 8;
	uint8_t mask = (uint8_t)(0xff00u >> rest);

	return memcmp(a, b, whole) == 0 && (rest == 0 || ((a[whole] ^ b[whole]) & mask) == 0);
}

static bool public4(const uint8_t a[4])
{
	for (size_t i = 0; i < sizeof special4 / sizeof *special4; i++)
		if (prefix_eq(a, special4[i].bytes, special4[i].prefix))
			return false;
	return true;
}

static bool public6(const uint8_t a[16])
{
	static const uint8_t nat64[12] = { 0x00, 0x64, 0xff, 0x9b };

	if (memcmp(a, nat64, sizeof nat64) == 0)	/* DNS64 on a network without IPv4 */
		return public4(a + 12);
	if ((a[0] & 0xe0) != 0x20)
		return false;
	for (size_t i = 0; i < sizeof special6 / sizeof *special6; i++)
		if (prefix_eq(a, special6[i].bytes, special6[i].prefix))
			return false;
	return true;
}

bool address_is_ipv4(const struct address *a)
{
	return memcmp(a->bytes, mapped_prefix, sizeof mapped_prefix) == 0;
}

bool address_is_public(const struct address *a)
{
	return address_is_ipv4(a) ? public4(a->bytes + 12) : public6(a->bytes);
}

enum err address_admit(const struct address *a, const struct policy_rule *rule)
{
	if (address_is_public(a))
		return ERR_OK;
	for (uint32_t i = 0; rule && i < rule->address_count; i++)
		if (rule->addresses[i].prefix <= 128 &&
		    prefix_eq(a->bytes, rule->addresses[i].address, rule->addresses[i].prefix))
			return ERR_OK;
	return ERR_ADDRESS_REFUSED;
}

bool address_of(struct str bytes, struct address *ret)
{
	struct address a;

	if (bytes.n == 4) {
		memcpy(a.bytes, mapped_prefix, sizeof mapped_prefix);
		memcpy(a.bytes + 12, bytes.p, 4);
	} else if (bytes.n == 16) {
		memcpy(a.bytes, bytes.p, 16);
	} else {
		return false;
	}
	*ret = a;
	return true;
}

bool address_parse(struct str text, struct address *ret)
{
	char z[ADDRESS_TEXT_BYTES];
	uint8_t raw[16];

	if (text.n == 0 || text.n >= sizeof z || str_find(text, '\0') != text.n)
		return false;
	memcpy(z, text.p, text.n);
	z[text.n] = '\0';
	if (inet_pton(AF_INET, z, raw) == 1)
		return address_of(str_make(raw, 4), ret);
	if (inet_pton(AF_INET6, z, raw) == 1)
		return address_of(str_make(raw, 16), ret);
	return false;
}

const char *address_text(const struct address *a, char ret[ADDRESS_TEXT_BYTES])
{
	const char *z = address_is_ipv4(a) ? inet_ntop(AF_INET, a->bytes + 12, ret, ADDRESS_TEXT_BYTES)
					   : inet_ntop(AF_INET6, a->bytes, ret, ADDRESS_TEXT_BYTES);

	if (!z)
		ret[0] = '\0';
	return ret;
}

socklen_t address_socket(const struct address *a, uint16_t port, struct sockaddr_storage *ret)
{
	*ret = (struct sockaddr_storage){ 0 };
	if (address_is_ipv4(a)) {
		struct sockaddr_in in = { .sin_family = AF_INET, .sin_port = htons(port) };

		memcpy(&in.sin_addr, a->bytes + 12, 4);
		memcpy(ret, &in, sizeof in);
		return sizeof in;
	}
	struct sockaddr_in6 in6 = { .sin6_family = AF_INET6, .sin6_port = htons(port) };

	memcpy(&in6.sin6_addr, a->bytes, 16);
	memcpy(ret, &in6, sizeof in6);
	return sizeof in6;
}
