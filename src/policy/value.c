/* value.c - sizes, durations, ports, address ranges; see value.h. Pure; whole text or nothing. */
#include "policy/value.h"

#include <arpa/inet.h>

struct unit {
	struct str name;
	uint64_t factor;
};

static bool scaled(struct str s, const struct unit *units, size_t count, uint64_t *ret)
{
	size_t digits = 0;
	struct str unit;
	uint64_t v;

	while (digits < s.n && ascii_digit(s.p[digits]))
		digits++;
	unit = str_from(s, digits);
	if (unit.n && unit.p[0] == ' ')
		unit = str_from(unit, 1);
	if (!str_decimal(str_head(s, digits), INT64_MAX, &v))
		return false;
	for (size_t i = 0; i < count; i++)
		if (str_eq(unit, units[i].name)) {
			if (__builtin_mul_overflow(v, units[i].factor, &v) || v > INT64_MAX)
				return false;
			*ret = v;
			return true;
		}
	return false;
}

bool value_size(struct str s, uint64_t *ret_bytes)
{
	static const struct unit units[] = {
		{ STR_INIT(""), 1 },	       { STR_INIT("B"), 1 },	      { STR_INIT("KiB"), 1u << 10 },
		{ STR_INIT("MiB"), 1u << 20 }, { STR_INIT("GiB"), 1u << 30 }, { STR_INIT("TiB"), 1ull << 40 },
	};

	return scaled(s, units, sizeof units / sizeof *units, ret_bytes);
}

bool value_duration(struct str s, uint64_t *ret_ms)
{
	static const struct unit units[] = {
		{ STR_INIT("ms"), 1 },	    { STR_INIT("s"), 1000 },	 { STR_INIT("m"), 60000 },
		{ STR_INIT("h"), 3600000 }, { STR_INIT("d"), 86400000 },
	};

	return scaled(s, units, sizeof units / sizeof *units, ret_ms);
}

bool value_ports(struct str s, struct value_ports *ret)
{
	size_t dash = str_find(s, '-');
	uint64_t low, high;

	if (str_eq(s, STR("*"))) {
		*ret = (struct value_ports) { 1, 65535 };
		return true;
	}
	if (!str_decimal(str_head(s, dash), 65535, &low) || low == 0)
		return false;
	high = low;
	if (dash < s.n && (!str_decimal(str_from(s, dash + 1), 65535, &high) || high < low))
		return false;
	*ret = (struct value_ports) { (uint16_t)low, (uint16_t)high };
	return true;
}

static bool bit(const uint8_t *a, unsigned i) { return (a[i / 8] >> (7 - i % 8)) & 1; }

const char *value_cidr(struct str s, struct policy_cidr *ret)
{
	static const uint8_t mapped[12] = { [10] = 0xff, [11] = 0xff };
	struct policy_cidr c = { .address = { [10] = 0xff, [11] = 0xff } };
	size_t slash = str_find(s, '/');
	char text[INET6_ADDRSTRLEN];
	unsigned common = 0;
	uint64_t prefix;
	bool four;

	if (slash >= sizeof text)
		return "expected an address range such as 127.0.0.0/8 or fd00::/8";
	memcpy(text, s.p, slash);
	text[slash] = '\0';
	four = str_find(str_make(text, slash), ':') == slash;
	if (inet_pton(four ? AF_INET : AF_INET6, text, four ? c.address + 12 : c.address) != 1)
		return "expected an address range such as 127.0.0.0/8 or fd00::/8";
	prefix = four ? 32 : 128;
	if (slash < s.n && !str_decimal(str_from(s, slash + 1), prefix, &prefix))
		return four ? "expected a prefix of 8 to 32 bits" : "expected a prefix of 7 to 128 bits";
	if (prefix < (four ? 8u : 7u))
		return four ? "too wide: expected a prefix of 8 to 32 bits"
			    : "too wide: expected a prefix of 7 to 128 bits";
	c.prefix = (uint8_t)(prefix + (four ? 96 : 0));
	for (unsigned i = c.prefix; i < 128; i++)
		if (bit(c.address, i))
			return "there are bits set beyond the prefix: expected the first address of the "
			       "range";
	/* IPv4 is kept as ::ffff:a.b.c.d: a range of IPv6
	 * around or in that would pass by the bounds of IPv4. */
	while (common < 96 && bit(c.address, common) == bit(mapped, common))
		common++;
	if (!four && (common == 96 || common >= c.prefix))
		return "this range takes in IPv4 addresses: name IPv4 ranges as such";
	*ret = c;
	return NULL;
}

bool value_name(struct str s)
{
	for (size_t i = 0; i < s.n; i++)
		if (!ascii_alpha(s.p[i]) && !ascii_digit(s.p[i]) && s.p[i] != '.' && s.p[i] != '_' &&
		    s.p[i] != '-')
			return false;
	return s.n > 0 && s.n <= 64;
}

bool value_variable(struct str s)
{
	for (size_t i = 0; i < s.n; i++)
		if (!ascii_alpha(s.p[i]) && s.p[i] != '_' && (i == 0 || !ascii_digit(s.p[i])))
			return false;
	return s.n > 0 && s.n <= 128;
}
