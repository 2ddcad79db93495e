/* terminal_filter_fuzz.c - whatever comes in, what goes out is harmless to a terminal, does not
 * depend on how it was cut, and passes the filter again unchanged */
#include "terminal/filter.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(bool ok)
{
	if (!ok)
		abort();
}

static unsigned filter(struct str in, size_t piece, struct buf *out)
{
	struct filter f;
	auto_buf undo = BUF_EMPTY;

	filter_init(&f);
	while (in.n) {
		size_t before = out->len;

		filter_put(&f, str_head(in, piece), out);
		check(out->len - before <= piece + FILTER_SEQUENCE_MAX);
		in = str_from(in, piece);
	}
	buf_init(&undo, 1024);
	filter_undo(&f, &undo);
	check(buf_err(&undo) == ERR_OK && buf_err(out) == ERR_OK);
	return filter_take_drops(&f);
}

static bool contains(struct str s, struct str what)
{
	return s.n && memmem(s.p, s.n, what.p, what.n);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct str in = str_make(data, size);
	auto_buf out = BUF_EMPTY, pieces = BUF_EMPTY, again = BUF_EMPTY;

	buf_init(&out, 2 * size + FILTER_SEQUENCE_MAX);
	buf_init(&pieces, 2 * size + FILTER_SEQUENCE_MAX);
	buf_init(&again, 2 * size + FILTER_SEQUENCE_MAX);
	check(filter(in, size ? size : 1, &out) == filter(in, size % 7 + 1, &pieces));
	check(out.len <= size && str_eq(buf_str(&out), buf_str(&pieces)));
	check(!contains(buf_str(&out), STR("\x1b]52")) && !contains(buf_str(&out), STR("\x1b]1337")));
	check(!contains(buf_str(&out), STR("\x1bP")) && !contains(buf_str(&out), STR("\x1b_")));
	check(!contains(buf_str(&out), STR("\x1b[c")) && !contains(buf_str(&out), STR("\x1b[6n")));
	check(!contains(buf_str(&out), STR("\xc2\x9b")) && !contains(buf_str(&out), STR("\x05")));
	filter(buf_str(&out), 100000, &again);
	check(again.len == out.len || (out.len && (uint8_t)out.p[out.len - 1] >= 0x80));
	return 0;
}
