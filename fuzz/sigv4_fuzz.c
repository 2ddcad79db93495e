/* sigv4_fuzz.c - a request that says that AWS signed it: read, prepared, brought to canonical form
 *
 * Input: an encoded canonical head (head.h); else a query, then '\n', a path.
 * Properties: canonical query and S3 path of themselves are themselves; what is prepared and finished passes
 * head_check() and is read back as signed by our key, over the same scope; the agent's key is nowhere in it.
 */
#include "credential/attach.h"
#include "credential/sigv4.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define KEY STR("AKIDOURS0123456789")
#define TOKEN STR("session/token+of==ours")

static void must(bool b)
{
	if (!b)
		abort();
}

static void forms(struct str query, struct str path)
{
	auto_buf a = BUF_EMPTY, b = BUF_EMPTY, c = BUF_EMPTY, d = BUF_EMPTY;

	buf_init(&a, 1 << 18);
	buf_init(&b, 1 << 18);
	buf_init(&c, 1 << 18);
	buf_init(&d, 1 << 18);
	if (sigv4_put_query(str_head(query, HEAD_QUERY_MAX), &a) == ERR_OK && a.len <= HEAD_QUERY_MAX) {
		must(query_check(buf_str(&a)));
		must(sigv4_put_query(buf_str(&a), &b) == ERR_OK);
		must(str_eq(buf_str(&a), buf_str(&b)));
	}
	sigv4_put_path(str_head(path, HEAD_PATH_MAX), true, &c);
	sigv4_put_path(buf_str(&c), true, &d);
	must(c.len > HEAD_PATH_MAX || str_eq(buf_str(&c), buf_str(&d)));
}

static void again(const struct sigv4 *s, const struct head *sent)
{
	const char *reason;
	struct sigv4 t;
	enum err e = sigv4_parse(sent, &t, &reason);

	must(e == ERR_OK || e == ERR_MEMORY);
	if (e != ERR_OK)
		return;
	must(t.form == s->form && str_eq(t.key_id, KEY) && str_eq(t.region, s->region) &&
	     str_eq(t.service, s->service) && t.at_s == s->at_s && t.payload != SIGV4_CHUNKED);
	sigv4_free(&t);
}

static void resign(const struct sigv4 *s, const struct head *in)
{
	static const char signature[] = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";
	auto_buf out = BUF_EMPTY, hash = BUF_EMPTY, canonical = BUF_EMPTY, text = BUF_EMPTY;
	static struct head h;

	buf_init_secret(&out, 2 * (size_t)ATTACH_BYTES_MAX);
	buf_init(&hash, HEAD_MAX_BYTES);
	buf_init(&canonical, SIGV4_CANONICAL_MAX);
	buf_init(&text, 512);
	if (sigv4_prepare(s, in, KEY, TOKEN, &out, &h) != ERR_OK)
		return;
	must(head_check(&h) == ERR_OK);
	must(sigv4_payload_hash(s, &h, STR("body"), &hash) == ERR_OK);
	if (sigv4_canonical(s, &h, buf_str(&hash), &canonical) != ERR_OK)
		return;
	must(sigv4_string_to_sign(s, buf_str(&canonical), &text) == ERR_OK);
	if (sigv4_finish(s, KEY, str_of(signature), &out, &h) == ERR_OK) {
		must(head_check(&h) == ERR_OK);
		again(s, &h);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct str all = str_make(data, size);
	static struct head h;
	const char *reason;
	struct sigv4 s;

	if (head_decode(all, &h) != ERR_OK || h.kind != HEAD_REQUEST) {
		size_t line = str_find(all, '\n');

		forms(str_head(all, line), str_from(all, line + 1));
		return 0;
	}
	forms(h.query, h.path);
	if (sigv4_parse(&h, &s, &reason) != ERR_OK)
		return 0;
	if (s.form != SIGV4_UNSIGNED)
		resign(&s, &h);
	sigv4_free(&s);
	return 0;
}
