/* git_push_fuzz.c - a push parsed in one piece and in pieces
 * says the same, and never lets its checksum go early */
#include "decoder/git.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void fact(void *user, struct str name, struct str value)
{
	struct buf *b = user;

	buf_put(b, name);
	buf_put(b, value);
}

static enum err parse(struct str body, size_t piece, bool history, struct buf *facts)
{
	struct git_sink sink = { .fact = fact, .user = facts };
	struct git_push *p = git_push_new(history, &sink);
	enum err e = ERR_OK;
	uint64_t fed = 0;

	if (!p)
		abort();
	while (body.n && e == ERR_OK) {
		struct str part = str_head(body, piece);

		e = git_push_feed(p, part);
		fed += part.n;
		if (git_push_passable(p) > fed)
			abort();
		body = str_from(body, piece);
	}
	if (e == ERR_OK)
		e = git_push_end(p);
	git_push_free(p);
	return e;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	auto_buf one = BUF_EMPTY;
	auto_buf many = BUF_EMPTY;
	struct str body = str_make(data, size);

	buf_init(&one, 1u << 24);
	buf_init(&many, 1u << 24);
	if (parse(body, SIZE_MAX, true, &one) != parse(body, 1 + size % 97, true, &many) ||
	    !str_eq(buf_str(&one), buf_str(&many)))
		abort();
	(void)parse(body, 4096, false, &one);
	return 0;
}
