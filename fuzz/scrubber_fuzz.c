/* scrubber_fuzz.c - a stream as the courier passes it on: what comes out
 * never contains a secret, and is what went in where there never was one
 *
 * Several needles at once, some of them the beginning or the end of another, searched for in one stream that
 * is cut anywhere; what could still become a needle is held back, and nothing passes once one was found.
 *
 * Input: byte 0 the sizes of the pieces, byte 1 how many needles (1..4) and of which length the first is;
 * then the needles; then the text, in which 0xe0..0xff stand for a needle in a form, each byte of it as a
 * coin decides plain, as %XX or as \u00XX.
 */
#include "scrub_reference.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define NEEDLES_MAX 4u

struct input {
	struct str needles[NEEDLES_MAX];
	unsigned count;
	struct str raw;
	unsigned pieces;
};

/* The second needle begins as the first does, the third ends in it: prefixes and suffixes of each other. */
static bool read_input(const uint8_t *data, size_t size, struct input *in)
{
	size_t length, need;

	if (size < 2)
		return false;
	length = 2 * SCRUB_NEEDLE_MIN + data[1] / 4u % 32u;
	need = 2 + 2 * length;
	if (size < need)
		return false;
	in->pieces = data[0];
	in->count = 1 + data[1] % NEEDLES_MAX;
	in->needles[0] = str_make(data + 2, length);
	in->needles[1] = str_make(data + 2, length - SCRUB_NEEDLE_MIN);
	in->needles[2] = str_make(data + 2 + length / 2, length);
	in->needles[3] = str_make(data + 2 + length, length);
	in->raw = str_make(data + need, size - need);
	return true;
}

static void put_mixed(struct buf *text, struct str form, unsigned coins)
{
	for (size_t i = 0; i < form.n; i++, coins = coins * 5 + 3) {
		uint8_t c = (uint8_t)form.p[i];

		if (coins / 4 % 3 == 0)
			buf_put_byte(text, c);
		else
			buf_printf(text, coins & 1 ? "%%%02x" : "%%%02X", c);
	}
}

static void put_needle(struct buf *text, struct str needle, unsigned op)
{
	auto_buf form = BUF_EMPTY;

	buf_init(&form, TEXT_MAX);
	if (op == 31) {
		for (size_t i = 0; i < needle.n; i++)
			buf_printf(text, i & 1 ? "\\u%04X" : "\\u%04x", (uint8_t)needle.p[i]);
	} else if (op >= FORMS) {
		form_of(needle, op % FORMS, &form);
		put_mixed(text, buf_str(&form), op);
	} else {
		form_of(needle, op, &form);
		buf_put(text, buf_str(&form));
	}
}

static void put_text(struct buf *text, const struct input *in)
{
	for (size_t i = 0; i < in->raw.n && text->len < TEXT_MAX / 4; i++) {
		uint8_t c = (uint8_t)in->raw.p[i];

		if (c < 0xe0 || i + 1 == in->raw.n)
			buf_put_byte(text, c);
		else
			put_needle(text, in->needles[(uint8_t)in->raw.p[++i] % in->count], c - 0xe0u);
	}
}

static bool contains(const struct input *in, unsigned needle, struct str text)
{
	return first_start(in->needles[needle], text) != SIZE_MAX;
}

static bool contains_any(const struct input *in, struct str text)
{
	for (unsigned i = 0; i < in->count; i++)
		if (contains(in, i, text))
			return true;
	return false;
}

/* As relay_down.c does it. Return: was a needle found? */
static bool pass(const struct scrub_set *set, struct str text, unsigned pieces, struct buf *out,
		 uint32_t *ret_id)
{
	struct scrub *s = scrub_new(set);
	auto_buf held = BUF_EMPTY;
	bool hit = false;
	size_t n;

	require(s);
	buf_init(&held, 2 * TEXT_MAX);
	while (text.n && !hit) {
		pieces = pieces * 7 + 3;
		n = 1 + pieces % 61;
		if (n > text.n)
			n = text.n;
		hit = scrub_feed(s, str_head(text, n), ret_id);
		buf_put(&held, str_head(text, n));
		text = str_from(text, n);
		if (hit)
			break;
		require(scrub_held(s) <= held.len);
		n = held.len - scrub_held(s);
		buf_put(out, str_head(buf_str(&held), n));
		buf_drop(&held, n);
	}
	if (!hit)
		buf_put(out, buf_str(&held));
	scrub_free(s);
	return hit;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct scrub_set *set;
	struct input in;
	auto_buf text = BUF_EMPTY, out = BUF_EMPTY;
	uint32_t id = 0, other = 0;
	bool hit;

	if (!read_input(data, size, &in))
		return 0;
	buf_init(&text, TEXT_MAX);
	buf_init(&out, TEXT_MAX);
	put_text(&text, &in);
	set = scrub_set_new();
	require(set && !buf_err(&text));
	for (unsigned i = 0; i < in.count; i++)
		require(!scrub_set_add(set, in.needles[i], 100 + i));
	require(!scrub_set_build(set));
	hit = pass(set, buf_str(&text), in.pieces, &out, &id);
	require(hit == contains_any(&in, buf_str(&text)));
	require(!contains_any(&in, buf_str(&out)));
	require(str_starts(buf_str(&text), buf_str(&out)));
	require(hit || out.len == text.len);
	require(!hit || (id >= 100 && id - 100 < in.count && contains(&in, id - 100, buf_str(&text))));
	require(scrub_search(set, buf_str(&text), &other) == hit && (!hit || other == id));
	scrub_set_free(set);
	return 0;
}
