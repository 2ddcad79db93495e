/* registry_metadata_fuzz.c - metadata of each format ('0'..'3'), with a filter up to the first NUL:
 * in one piece and in pieces the same comes out, and what a filter left passes it again unchanged */
#include "decoder/registry.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static enum err output(void *user, struct str bytes)
{
	buf_put(user, bytes);
	return buf_err(user);
}

static enum err release(void *user, const struct registry_release *r)
{
	buf_put(user, r->item);
	buf_put(user, r->digest);
	buf_printf(user, "%lld", (long long)r->published);
	return buf_err(user);
}

static enum err run(enum registry_format format, const struct registry_filter *f, struct str text,
		    size_t piece, struct buf *out)
{
	static const struct registry_reader_ops reads = { .release = release },
						filters = { .output = output };
	struct registry_reader *r = registry_reader_new(format, f, f ? &filters : &reads, out);
	enum err e = ERR_OK;

	if (!r)
		abort();
	while (text.n && e == ERR_OK) {
		e = registry_reader_feed(r, str_head(text, piece));
		text = str_from(text, piece);
	}
	if (e == ERR_OK)
		e = registry_reader_end(r);
	registry_reader_free(r);
	return e;
}

static void both(enum registry_format format, const struct registry_filter *f, struct str text, bool again)
{
	auto_buf one = BUF_EMPTY;
	auto_buf many = BUF_EMPTY;
	auto_buf twice = BUF_EMPTY;
	enum err e;

	buf_init(&one, 1u << 24);
	buf_init(&many, 1u << 24);
	buf_init(&twice, 1u << 24);
	e = run(format, f, text, SIZE_MAX, &one);
	if (e != run(format, f, text, 1 + text.n % 31, &many) ||
	    (e == ERR_OK && !str_eq(buf_str(&one), buf_str(&many))))
		abort();
	if (e == ERR_OK && again &&
	    (run(format, f, buf_str(&one), 4096, &twice) != ERR_OK || twice.len > one.len))
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct str text = str_make(data + 1, size ? size - 1 : 0),
		   filter = str_head(text, str_find(text, '\0'));
	struct registry_filter *f;
	struct arena *a;

	if (size == 0 || data[0] < '0' || data[0] > '3')
		return 0;
	a = arena_new(1u << 22);
	if (!a)
		abort();
	text = str_from(text, filter.n + 1);
	both((enum registry_format)(data[0] - '0'), NULL, text, false);
	if (registry_filter_read(a, filter, &f) == ERR_OK)
		both((enum registry_format)(data[0] - '0'), f, text, true);
	arena_free(a);
	return 0;
}
