/* git_fetch_fuzz.c - a fetch request (first byte '1':
 * compressed) and an LFS batch, in one piece and in pieces */
#include "decoder/git.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void fact(void *user, struct str name, struct str value)
{
	buf_put(user, name);
	buf_put(user, value);
}

static enum err parse(struct str body, bool gzip, size_t piece, struct buf *facts)
{
	struct git_sink sink = { .fact = fact, .user = facts };
	struct git_fetch *p = git_fetch_new(gzip, &sink);
	enum err e = ERR_OK;

	if (!p)
		abort();
	while (body.n && e == ERR_OK) {
		e = git_fetch_feed(p, str_head(body, piece));
		body = str_from(body, piece);
	}
	if (e == ERR_OK)
		e = git_fetch_end(p);
	git_fetch_free(p);
	return e;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	auto_buf one = BUF_EMPTY;
	auto_buf many = BUF_EMPTY;
	struct git_sink sink = { .fact = fact, .user = &one };
	struct str body = str_make(data + 1, size ? size - 1 : 0);
	enum err e;

	if (size == 0)
		return 0;
	buf_init(&one, 1u << 24);
	buf_init(&many, 1u << 24);
	e = parse(body, data[0] == '1', SIZE_MAX, &one);
	/* what goes wrong at its end may have been told of in part before */
	if (e != parse(body, data[0] == '1', 1 + size % 97, &many) ||
	    (e == ERR_OK && !str_eq(buf_str(&one), buf_str(&many))))
		abort();
	if (git_lfs_batch(body, &sink) == ERR_OK && one.len == 0)
		abort();
	return 0;
}
