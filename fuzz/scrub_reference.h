/* scrub_reference.h - a search that decodes whole buffers and looks: what scrub.c is held against
 *
 * Slow and plain on purpose. For one translation unit: what is decoded stands in static memory.
 */
#pragma once

#include "credential/scrub.h"

#include <stdlib.h>

#define TEXT_MAX 8192
#define FORMS 9	/* plain, hex in both cases, base64 in three alignments and two alphabets */

static void require(bool true_here)
{
	if (!true_here)
		abort();
}

/* a decoded text, and where each of its bytes began */
struct decoded {
	size_t n;
	uint8_t bytes[TEXT_MAX * 3];
	size_t starts[TEXT_MAX * 3];
};
static struct decoded plain, percent, json;

static void put(struct decoded *d, uint32_t byte, size_t start)
{
	d->bytes[d->n] = (uint8_t)byte;
	d->starts[d->n++] = start;
}

static int hex_at(struct str s, size_t at) { return at < s.n ? ascii_hex(s.p[at]) : -2; }

static void decode_percent(struct str s)
{
	percent.n = 0;
	for (size_t i = 0; i < s.n;) {
		int high = s.p[i] == '%' ? hex_at(s, i + 1) : -1, low = high >= 0 ? hex_at(s, i + 2) : -1;

		if (high == -2 || low == -2)
			return;		/* an escape that has not ended */
		put(&percent, high >= 0 && low >= 0 ? (uint32_t)(high * 16 + low) : (uint8_t)s.p[i], i);
		i += high >= 0 && low >= 0 ? 3 : 1;
	}
}

static void put_utf8(struct decoded *d, uint32_t code, size_t start)
{
	if (code >= 0x800)
		put(d, 0xe0 | code >> 12, start);
	if (code >= 0x80)
		put(d, code >= 0x800 ? 0x80 | (code >> 6 & 63) : 0xc0 | code >> 6, start);
	put(d, code >= 0x80 ? 0x80 | (code & 63) : code, start);
}

/* Return: bytes that the escape at @at takes, 0 if it is none, SIZE_MAX if it has not ended */
static size_t json_escape(struct str s, size_t at, uint32_t *ret_code)
{
	static const char from[] = "\"\\/bfnrt", to[] = "\"\\/\b\f\n\r\t";
	uint32_t code = 0;

	if (s.n - at < 2)
		return SIZE_MAX;
	for (size_t k = 0; k < 8; k++)
		if (s.p[at + 1] == from[k]) {
			*ret_code = (uint8_t)to[k];
			return 2;
		}
	if (s.p[at + 1] != 'u')
		return 0;
	for (size_t k = 2; k < 6; k++) {
		int v = hex_at(s, at + k);

		if (v < 0)
			return v == -2 ? SIZE_MAX : 0;
		code = code * 16 + (uint32_t)v;
	}
	*ret_code = code;
	return 6;
}

static void decode_json(struct str s)
{
	json.n = 0;
	for (size_t i = 0; i < s.n;) {
		uint32_t code = 0;
		size_t n = s.p[i] == '\\' ? json_escape(s, i, &code) : 0;

		if (n == SIZE_MAX)
			return;
		if (n)
			put_utf8(&json, code, i);
		else
			put(&json, (uint8_t)s.p[i], i);
		i += n ? n : 1;
	}
}

static void find(const struct decoded *d, struct str form, size_t *first)
{
	for (size_t i = 0; i + form.n <= d->n; i++)
		if (memcmp(d->bytes + i, form.p, form.n) == 0) {
			if (d->starts[i] < *first)
				*first = d->starts[i];
			return;
		}
}

/* The needle in form @k, one of FORMS. */
static void form_of(struct str needle, unsigned k, struct buf *out)
{
	struct buf whole;

	buf_clear(out);
	if (k == 0) {
		buf_put(out, needle);
		return;
	}
	if (k <= 2) {
		for (size_t i = 0; i < needle.n; i++)
			buf_printf(out, k == 1 ? "%02x" : "%02X", (uint8_t)needle.p[i]);
		return;
	}
	buf_init(&whole, TEXT_MAX);
	buf_put(&whole, str_make("\xff\xff", (k - 3) % 3));
	buf_put(&whole, needle);
	if (k < 6)
		buf_put_base64(out, buf_str(&whole));
	else
		buf_put_base64url(out, buf_str(&whole));
	/* whole characters of the needle only */
	out->len = (whole.len * 8) / 6;
	buf_drop(out, ((k - 3) % 3 * 8 + 5) / 6);
	buf_free(&whole);
}

/* Where the first occurrence of the needle in any form begins, or SIZE_MAX. */
static size_t first_start(struct str needle, struct str text)
{
	size_t first = SIZE_MAX;
	struct buf form;

	plain.n = 0;
	for (size_t i = 0; i < text.n; i++)
		put(&plain, (uint8_t)text.p[i], i);
	decode_percent(text);
	decode_json(text);
	buf_init(&form, TEXT_MAX);
	for (unsigned k = 0; k < FORMS; k++) {
		form_of(needle, k, &form);
		find(&plain, buf_str(&form), &first);
		find(&percent, buf_str(&form), &first);
		find(&json, buf_str(&form), &first);
	}
	buf_free(&form);
	return first;
}

