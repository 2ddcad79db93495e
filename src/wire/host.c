/* host.c - the canonical form of a host: name, IPv4, IPv6                    (see head.h)
 *
 * Theory of operation: one spelling exists for each host. host_canonical() folds what is
 * harmless (case, one trailing dot, brackets, the many forms of an IPv6 address) and refuses
 * what other software reads as something else (a last label that is a number, so 0x7f.1,
 * 017700000001, 127.1, 2130706433; zones; bytes that are not ASCII). host_type() accepts
 * exactly what host_canonical() produces.
 *
 * Trust: every byte is hostile. Sources: RFC 952, RFC 1123 s2.1, RFC 5952, RFC 3986 s3.2.2;
 * what counts as a number at the end is the WHATWG URL Standard's "ends in a number".
 */
#include "wire/head.h"

#include <arpa/inet.h>

#define LABEL_MAX 63
#define IPV6_TEXT_MAX 45

static bool is_label_char(char c)
{
	return (c >= 'a' && c <= 'z') || ascii_digit(c) || c == '-' || c == '_';
}

static bool label_check(struct str label)
{
	if (label.n == 0 || label.n > LABEL_MAX || label.p[0] == '-' || label.p[label.n - 1] == '-')
		return false;
	for (size_t i = 0; i < label.n; i++)
		if (!is_label_char(label.p[i]))
			return false;
	return true;
}

/* Digits, or 0x and hex digits or nothing: inet_aton() and browsers see an address in it. */
static bool is_number(struct str label)
{
	bool hex = str_starts(label, STR("0x"));

	for (size_t i = hex ? 2 : 0; i < label.n; i++)
		if (hex ? ascii_hex(label.p[i]) < 0 : !ascii_digit(label.p[i]))
			return false;
	return true;
}

static bool name_check(struct str name)
{
	struct str rest = name, label = { 0 };

	if (name.n == 0 || name.n > HEAD_HOST_MAX)
		return false;
	for (;;) {
		label = str_head(rest, str_find(rest, '.'));
		if (!label_check(label))
			return false;
		if (label.n == rest.n)
			return !is_number(label);
		rest = str_from(rest, label.n + 1);
	}
}

/* Four decimal parts of at most 255 without leading zeros: the one form that all agree on. */
static bool ipv4_check(struct str s)
{
	for (unsigned part = 0; part < 4; part++) {
		size_t n = part < 3 ? str_find(s, '.') : s.n;
		uint64_t v;

		if ((part < 3 && n == s.n) || n > 3 || !str_decimal(str_head(s, n), 255, &v))
			return false;
		if (n > 1 && s.p[0] == '0')
			return false;
		s = str_from(s, n + 1);
	}
	return true;
}

/* The longest run of two or more zero groups, the first of equals: RFC 5952 s4.2 */
static unsigned zero_run(const uint16_t group[8], unsigned *ret_length)
{
	unsigned best = 8, best_length = 1;

	for (unsigned i = 0; i < 8; i++) {
		unsigned n = 0;

		while (i + n < 8 && group[i + n] == 0)
			n++;
		if (n > best_length) {
			best = i;
			best_length = n;
		}
	}
	*ret_length = best < 8 ? best_length : 0;
	return best;
}

static void put_group(struct buf *b, uint16_t v)
{
	static const char digit[] = "0123456789abcdef";
	bool begun = false;

	for (int shift = 12; shift >= 0; shift -= 4) {
		unsigned d = ((unsigned)v >> shift) & 15u;

		begun = begun || d || shift == 0;
		if (begun)
			buf_put_byte(b, (uint8_t)digit[d]);
	}
}

static void put_ipv6(struct buf *b, const uint8_t address[16])
{
	static const uint8_t mapped[12] = { [10] = 0xff, [11] = 0xff };
	uint16_t group[8];
	unsigned run, length;

	if (memcmp(address, mapped, sizeof mapped) == 0) {	/* RFC 5952 s5 */
		buf_printf(b, "::ffff:%u.%u.%u.%u", address[12], address[13], address[14], address[15]);
		return;
	}
	for (size_t i = 0; i < 8; i++)
		group[i] = (uint16_t)(address[2 * i] << 8 | address[2 * i + 1]);
	run = zero_run(group, &length);
	for (unsigned i = 0; i < 8; i++) {
		if (i == run) {
			buf_put_z(b, "::");
			i += length - 1;
			continue;
		}
		if (i > 0 && i != run + length)
			buf_put_byte(b, ':');
		put_group(b, group[i]);
	}
}

/* Any valid spelling of an IPv6 address to the canonical one */
static bool ipv6_canonical(struct str s, struct buf *b)
{
	char text[IPV6_TEXT_MAX + 1];
	uint8_t address[16];

	if (s.n > IPV6_TEXT_MAX || str_find(s, ':') == s.n || str_find(s, 0) != s.n)
		return false;
	memcpy(text, s.p, s.n);
	text[s.n] = 0;
	if (inet_pton(AF_INET6, text, address) != 1)
		return false;
	put_ipv6(b, address);
	return buf_err(b) == ERR_OK;
}

static bool ipv6_check(struct str s)
{
	auto_buf b = BUF_EMPTY;

	buf_init(&b, IPV6_TEXT_MAX);
	return ipv6_canonical(s, &b) && str_eq(buf_str(&b), s);
}

enum host_type host_type(struct str host)
{
	if (name_check(host))
		return HOST_NAME;
	if (ipv4_check(host))
		return HOST_IPV4;
	return ipv6_check(host) ? HOST_IPV6 : HOST_INVALID;
}

enum err host_canonical(struct str raw, char ret[HEAD_HOST_MAX + 1])
{
	bool bracketed = raw.n >= 2 && raw.p[0] == '[' && raw.p[raw.n - 1] == ']';
	auto_buf b = BUF_EMPTY;

	buf_init(&b, HEAD_HOST_MAX);
	if (bracketed)
		raw = str_make(raw.p + 1, raw.n - 2);
	if (bracketed || str_find(raw, ':') < raw.n) {
		if (!ipv6_canonical(raw, &b))
			return ERR_HEAD_MALFORMED;
	} else {
		if (raw.n && raw.p[raw.n - 1] == '.')
			raw.n--;
		for (size_t i = 0; i < raw.n; i++)
			buf_put_byte(&b, (uint8_t)ascii_lower(raw.p[i]));
		if (buf_err(&b) || (!name_check(buf_str(&b)) && !ipv4_check(buf_str(&b))))
			return ERR_HEAD_MALFORMED;
	}
	memcpy(ret, b.p, b.len);
	ret[b.len] = 0;
	return ERR_OK;
}
