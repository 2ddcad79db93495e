/* scrub_fuzz.c - the automaton against a search that decodes whole buffers and looks
 *
 * Input: byte 0 gives the needle's length, byte 1 the sizes of the pieces; then the needle,
 * then the text. In the text, byte 0xf0+k stands for the needle in form k, so that a fuzzer
 * soon meets hits.
 */
#include "scrub_reference.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void put_text(struct buf *text, struct str needle, struct str raw)
{
	struct buf form;

	buf_init(&form, TEXT_MAX);
	for (size_t i = 0; i < raw.n && text->len < TEXT_MAX / 2; i++) {
		uint8_t c = (uint8_t)raw.p[i];

		if (c < 0xf0) {
			buf_put_byte(text, c);
		} else if (c < 0xf0 + FORMS) {
			form_of(needle, c - 0xf0u, &form);
			buf_put(text, buf_str(&form));
		} else {
			for (size_t k = 0; k < needle.n; k++)
				buf_printf(text, c & 1 ? "%%%02x" : "\\u%04x", (uint8_t)needle.p[k]);
		}
	}
	buf_free(&form);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct str needle, raw;
	struct scrub_set *set;
	struct scrub *s;
	struct buf text;
	size_t first, gone = 0, at = 0, piece;
	bool hit = false;
	uint32_t id;

	if (size < 2 || size - 2 < SCRUB_NEEDLE_MIN + data[0] % 64u)
		return 0;
	needle = str_make(data + 2, SCRUB_NEEDLE_MIN + data[0] % 64u);
	raw = str_make(data + 2 + needle.n, size - 2 - needle.n);
	buf_init(&text, TEXT_MAX);
	put_text(&text, needle, raw);
	set = scrub_set_new();
	require(set && !buf_err(&text));
	require(!scrub_set_add(set, needle, 7) && !scrub_set_build(set));
	first = first_start(needle, buf_str(&text));
	s = scrub_new(set);
	require(s);
	for (piece = data[1]; at < text.len && !hit; at += piece) {
		piece = 1 + (piece * 7 + 3) % 61;
		if (piece > text.len - at)
			piece = text.len - at;
		hit = scrub_feed(s, str_make(text.p + at, piece), &id);
		if (hit)
			break;
		require(scrub_held(s) <= at + piece - gone);	/* what has gone is never asked for again */
		gone = at + piece - scrub_held(s);
	}
	require(hit == (first != SIZE_MAX));
	require(!hit || (id == 7 && gone <= first));
	scrub_free(s);
	scrub_set_free(set);
	buf_free(&text);
	return 0;
}
