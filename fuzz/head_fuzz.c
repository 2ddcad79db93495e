/* head_fuzz.c - what head_decode() takes is canonical: it encodes to the same bytes; and a host
 * in canonical form stays as it is */
#include "wire/head.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(bool ok)
{
	if (!ok)
		abort();
}

static void fuzz_head(struct str bytes)
{
	static struct head h;
	auto_buf b = BUF_EMPTY;

	buf_init(&b, HEAD_MAX_BYTES);
	if (head_decode(bytes, &h))
		return;
	check(head_check(&h) == ERR_OK);
	check(head_encode(&h, &b) == ERR_OK);
	check(str_eq(buf_str(&b), bytes));
	check(head_find(&h, STR("content-length")) == NULL);
	if (h.kind == HEAD_REQUEST) {
		check(head_remove(&h, STR("host")) == 1);
		check(head_check(&h) == ERR_HEAD_MALFORMED);
	}
}

static void fuzz_host(struct str raw)
{
	char once[HEAD_HOST_MAX + 1], twice[HEAD_HOST_MAX + 1];
	enum host_type type = host_type(raw);

	if (host_canonical(raw, once)) {
		check(type == HOST_INVALID);
		return;
	}
	check(host_type(str_of(once)) != HOST_INVALID);
	check(host_canonical(str_of(once), twice) == ERR_OK);
	check(str_eq(str_of(once), str_of(twice)));
	check((type != HOST_INVALID) == str_eq(raw, str_of(once)));
}

/* The parts, over any bytes; no '/', '?' or '#' may hide in what passes */
static void fuzz_parts(struct str s)
{
	if (path_check(s))
		check(s.p[0] == '/' && str_find(s, '?') == s.n && str_find(s, '#') == s.n &&
		      str_find(s, 0) == s.n);
	if (query_check(s))
		check(str_find(s, '#') == s.n && str_find(s, ' ') == s.n);
	if (method_check(s))
		check(str_find(s, ' ') == s.n);
	if (field_name_check(s))
		check(str_find(s, ':') == s.n);
	if (field_value_check(s))
		check(str_find(s, '\n') == s.n && str_find(s, '\r') == s.n && str_find(s, 0) == s.n);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct str s = str_make(data, size);

	fuzz_head(s);
	fuzz_host(s);
	fuzz_parts(s);
	return 0;
}
