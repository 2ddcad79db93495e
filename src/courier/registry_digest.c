/* registry_digest.c - see registry_digest.h
 *
 * Theory of operation: each piece is hashed, and passes when the next one comes; so the last one is here when
 * the file is over, and goes only if the digest is the metadata's. A client that got no end has got no file.
 */
#include "courier/registry_digest.h"

#include "audit/openssl.h"
#include "courier/relay.h"

#include <stdio.h>
#include <stdlib.h>

#define PIECE_MAX 16384u

struct registry_digest {
	struct protocol_run *run;
	void (*done)(void *user, const char *text, bool known, bool same);
	EVP_MD_CTX *context;
	char name[8];			/* of the algorithm */
	struct str expected;
	char last[PIECE_MAX];
	size_t last_bytes;
};

static void filter_free(void *filter)
{
	struct registry_digest *d = filter;

	EVP_MD_CTX_free(d->context);
	free(d);
}

static size_t filter_room(struct exchange *x, void *filter)
{
	(void)filter;
	return relay_pending(x) < 2 * (size_t)LINK_PAYLOAD_MAX ? PIECE_MAX : 0;
}

static enum err pass_last(struct exchange *x, struct registry_digest *d)
{
	enum err e = d->last_bytes ? relay_pass(x, str_make(d->last, d->last_bytes), false) : ERR_OK;

	d->last_bytes = 0;
	return e;
}

static enum err filter_input(struct exchange *x, void *filter, struct str bytes)
{
	struct registry_digest *d = filter;
	enum err e = pass_last(x, d);

	if (e != ERR_OK)
		return e;
	if (EVP_DigestUpdate(d->context, bytes.p, bytes.n) != 1)
		return ERR_MEMORY;
	memcpy(d->last, bytes.p, bytes.n);
	d->last_bytes = bytes.n;
	return ERR_OK;
}

/* In the form in which it was expected. */
static enum err text_of(struct registry_digest *d, bool hex, struct buf *out)
{
	unsigned char bytes[EVP_MAX_MD_SIZE];
	unsigned n;

	if (EVP_DigestFinal_ex(d->context, bytes, &n) != 1)
		return ERR_MEMORY;
	if (hex)
		buf_put_hex(out, str_make(bytes, n));
	else
		buf_put_base64(out, str_make(bytes, n));
	return buf_err(out);
}

static bool is_hex(struct str s)
{
	for (size_t i = 0; i < s.n; i++)
		if (ascii_hex(s.p[i]) < 0)
			return false;
	return true;
}

static enum err filter_verify(struct exchange *x, void *filter)
{
	struct registry_digest *d = filter;
	bool hex = d->expected.n == 0 ||
		   ((d->expected.n == 64 || d->expected.n == 40) && is_hex(d->expected));
	bool same;
	char text[REGISTRY_DIGEST_TEXT];
	auto_buf got = BUF_EMPTY;
	enum err e;

	buf_init(&got, sizeof text);
	e = text_of(d, hex, &got);
	if (e != ERR_OK)
		return e;
	same = hex ? str_eq_nocase(buf_str(&got), d->expected) : str_eq(buf_str(&got), d->expected);
	snprintf(text, sizeof text, "%s%s%.*s", d->name, hex ? ":" : "-", (int)got.len, got.p);
	d->done(d->run, text, d->expected.n > 0, same);
	if (d->expected.n && !same)
		e = protocol_denied(d->run,
				    "what was delivered has another digest than the registry's metadata says");
	return e == ERR_OK ? pass_last(x, d) : e;
}

static void filter_end(struct exchange *x, void *filter)
{
	(void)filter;
	x->down.filtered = true;
}

static const EVP_MD *algorithm_of(struct str name)
{
	return str_eq(name, STR("sha512")) ? EVP_sha512() : str_eq(name, STR("sha384")) ? EVP_sha384()
	     : str_eq(name, STR("sha1")) ? EVP_sha1() : EVP_sha256();
}

enum err registry_digest_answer(struct protocol_run *run, struct str algorithm, struct str digest,
				void (*done)(void *user, const char *text, bool known, bool same))
{
	static const struct filter_ops filter = { .room = filter_room, .input = filter_input,
						  .verify = filter_verify,
						  .end = filter_end, .free = filter_free };
	bool known = str_eq(algorithm, STR("sha512")) || str_eq(algorithm, STR("sha384")) ||
		     str_eq(algorithm, STR("sha256")) || str_eq(algorithm, STR("sha1"));
	struct registry_digest *d = calloc(1, sizeof *d);

	if (!d)
		return ERR_MEMORY;
	d->run = run;
	d->done = done;
	d->expected = known ? digest : (struct str){ NULL, 0 };
	snprintf(d->name, sizeof d->name, "%.*s", (int)(known ? algorithm.n : 6),
		 known ? algorithm.p : "sha256");
	d->context = EVP_MD_CTX_new();
	if (!d->context || EVP_DigestInit_ex(d->context, algorithm_of(algorithm), NULL) != 1) {
		filter_free(d);
		return ERR_MEMORY;
	}
	run->x->down.filter = &filter;
	run->x->down.filter_of = d;
	return ERR_OK;
}
