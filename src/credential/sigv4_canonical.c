/* sigv4_canonical.c - one request, one text; see sigv4.h
 *
 * Theory of operation: the canonical request is made from the head that is sent, never from what the agent
 * signed: so that what AWS verifies is what policy saw.
 * Names are sorted by bytes after encoding, as AWS does.
 * Invariant: sigv4_put_query() of its own output is that output.
 */
#include "credential/sigv4_internal.h"

#include <stdlib.h>
#define ERR_STATE OPENSSL_ERR_STATE	/* openssl has a type of that name */
#include <openssl/evp.h>
#undef ERR_STATE

#define PARAMETERS_MAX 512	/* of one query */

static bool unreserved(char c) { return ascii_alpha(c) || ascii_digit(c) || (c && strchr("-._~", c)); }

void sigv4_put_encoded(struct str s, bool slash, struct buf *out)
{
	static const char digit[] = "0123456789ABCDEF";

	for (size_t i = 0; i < s.n; i++) {
		uint8_t v = (uint8_t)s.p[i];
		char escaped[3] = { '%', digit[v >> 4], digit[v & 15] };

		if (unreserved(s.p[i]) || (slash && v == '/'))
			buf_put_byte(out, v);
		else
			buf_put(out, str_make(escaped, 3));
	}
}

void sigv4_put_decoded(struct str s, struct buf *out)
{
	for (size_t i = 0; i < s.n; i++) {
		int high = s.n - i > 2 && s.p[i] == '%' ? ascii_hex(s.p[i + 1]) : -1;
		int low = high >= 0 ? ascii_hex(s.p[i + 2]) : -1;

		if (low >= 0) {
			buf_put_byte(out, (uint8_t)(high * 16 + low));
			i += 2;
		} else {
			buf_put_byte(out, (uint8_t)s.p[i]);
		}
	}
}

void sigv4_put_path(struct str path, bool s3, struct buf *out)
{
	if (!s3) {
		for (size_t i = 0; i < path.n; i++)	/* "//" is "/" to all but S3 */
			if (path.p[i] != '/' || i == 0 || path.p[i - 1] != '/')
				sigv4_put_encoded(str_make(path.p + i, 1), true, out);
		return;
	}
	while (path.n) {	/* segment by segment: an encoded slash stays one */
		struct str segment = str_head(path, str_find(path, '/'));
		auto_buf plain = BUF_EMPTY;

		buf_init(&plain, HEAD_PATH_MAX);
		sigv4_put_decoded(segment, &plain);
		sigv4_put_encoded(buf_str(&plain), false, out);
		if (buf_err(&plain) && !out->err)
			out->err = buf_err(&plain);
		if (segment.n < path.n)
			buf_put_byte(out, '/');
		path = str_from(path, segment.n + 1);
	}
}

bool sigv4_parameter(struct str *query, struct str *ret_name, struct str *ret_value)
{
	while (query->n) {
		struct str pair = str_head(*query, str_find(*query, '&'));
		size_t equals = str_find(pair, '=');

		*query = str_from(*query, pair.n + 1);
		if (pair.n == 0)
			continue;
		*ret_name = str_head(pair, equals);
		*ret_value = str_from(pair, equals + 1);
		return true;
	}
	return false;
}

struct parameter {
	struct str name, value;	/* encoded */
};

static int by_name_and_value(const void *a, const void *b)
{
	const struct parameter *x = a, *y = b;
	int order = str_compare(x->name, y->name);

	return order ? order : str_compare(x->value, y->value);
}

static struct str recode(struct str s, struct buf *storage)
{
	auto_buf plain = BUF_EMPTY;
	size_t from = storage->len;

	buf_init_secret(&plain, HEAD_QUERY_MAX);
	sigv4_put_decoded(s, &plain);
	sigv4_put_encoded(buf_str(&plain), false, storage);
	return storage->err ? (struct str){ NULL, 0 } : str_from(buf_str(storage), from);
}

enum err sigv4_put_query(struct str query, struct buf *out)
{
	struct parameter list[PARAMETERS_MAX];
	auto_buf storage = BUF_EMPTY;
	struct str name, value;
	size_t count = 0;

	buf_init_secret(&storage, 3 * (size_t)HEAD_QUERY_MAX);
	enum err e = buf_reserve(&storage, 3 * (size_t)HEAD_QUERY_MAX);	/* views must not move */

	if (e != ERR_OK)
		return e;
	while (sigv4_parameter(&query, &name, &value)) {
		if (count == PARAMETERS_MAX)
			return ERR_HEAD_TOO_LARGE;
		list[count].name = recode(name, &storage);
		list[count].value = recode(value, &storage);
		if (!str_eq(list[count].name, STR("X-Amz-Signature")))
			count++;
	}
	if (buf_err(&storage))
		return ERR_HEAD_TOO_LARGE;
	qsort(list, count, sizeof *list, by_name_and_value);
	for (size_t i = 0; i < count; i++) {
		buf_put(out, i ? STR("&") : STR(""));
		buf_put(out, list[i].name);
		buf_put_byte(out, '=');
		buf_put(out, list[i].value);
	}
	return buf_err(out);
}

/* ---- fields ---- */

static bool listed(struct str list, struct str name)
{
	while (list.n) {
		struct str one = str_head(list, str_find(list, ';'));

		if (str_eq_nocase(one, name))
			return true;
		list = str_from(list, one.n + 1);
	}
	return false;
}

/* content-length is made anew for each connection, and what is accepted is ours to say: neither is signed. */
static bool is_signed(const struct sigv4 *s, struct str name)
{
	if (str_eq(name, STR("content-length")) || str_eq(name, STR("accept-encoding")) ||
	    str_eq(name, STR("te")) || str_eq(name, STR("authorization")))
		return false;
	return str_eq(name, STR("host")) || str_starts(name, STR("x-amz-")) ||
	       listed(s->signed_headers, name);
}

static int by_bytes(const void *a, const void *b)
{
	const struct str *x = a, *y = b;

	return str_compare(*x, *y);
}

/* The names that are signed, sorted, each once. */
static size_t signed_names(const struct sigv4 *s, const struct head *h, struct str names[HEAD_FIELDS_MAX])
{
	size_t count = 0, kept = 0;

	for (uint32_t i = 0; i < h->field_count; i++)
		if (is_signed(s, h->fields[i].name))
			names[count++] = h->fields[i].name;
	if (count > 1)
		qsort(names, count, sizeof *names, by_bytes);
	for (size_t i = 0; i < count; i++)
		if (kept == 0 || !str_eq(names[kept - 1], names[i]))
			names[kept++] = names[i];
	return kept;
}

void sigv4_put_signed_headers(const struct sigv4 *s, const struct head *h, struct buf *out)
{
	struct str names[HEAD_FIELDS_MAX];
	size_t count = signed_names(s, h, names);

	for (size_t i = 0; i < count; i++) {
		buf_put(out, i ? STR(";") : STR(""));
		buf_put(out, names[i]);
	}
}

/* a value, with one space for each run of them */
static void put_value(struct str value, struct buf *out)
{
	for (size_t i = 0; i < value.n; i++)
		if (value.p[i] != ' ' || i == 0 || value.p[i - 1] != ' ')
			buf_put_byte(out, (uint8_t)value.p[i]);
}

static void put_headers(const struct sigv4 *s, const struct head *h, struct buf *out)
{
	struct str names[HEAD_FIELDS_MAX];
	size_t count = signed_names(s, h, names);

	for (size_t k = 0; k < count; k++) {
		bool first = true;

		buf_put(out, names[k]);
		buf_put_byte(out, ':');
		for (uint32_t i = 0; i < h->field_count; i++) {
			if (!str_eq(h->fields[i].name, names[k]))
				continue;
			buf_put(out, first ? STR("") : STR(","));
			put_value(h->fields[i].value, out);
			first = false;
		}
		buf_put_byte(out, '\n');
	}
}

/* ---- the whole ---- */

static enum err put_sha256(struct str s, struct buf *out)
{
	uint8_t digest[32];

	if (!EVP_Digest(s.p ? s.p : "", s.n, digest, NULL, EVP_sha256(), NULL))
		return ERR_MEMORY;
	buf_put_hex(out, str_make(digest, sizeof digest));
	return buf_err(out);
}

enum err sigv4_payload_hash(const struct sigv4 *s, const struct head *prepared, struct str body,
			    struct buf *out)
{
	const struct head_field *stated = head_find(prepared, SIGV4_CONTENT_HASH);

	if (stated)
		buf_put(out, stated->value);
	else if (s->form == SIGV4_QUERY && sigv4_is_s3(s->service))
		buf_put(out, SIGV4_UNSIGNED_PAYLOAD);
	else
		return put_sha256(body, out);
	return buf_err(out);
}

enum err sigv4_canonical(const struct sigv4 *s, const struct head *prepared, struct str payload_hash,
			 struct buf *out)
{
	buf_put(out, prepared->method);
	buf_put_byte(out, '\n');
	sigv4_put_path(prepared->path, sigv4_is_s3(s->service), out);
	buf_put_byte(out, '\n');
	enum err e = sigv4_put_query(prepared->query, out);

	if (e != ERR_OK)
		return e;
	buf_put_byte(out, '\n');
	put_headers(s, prepared, out);
	buf_put_byte(out, '\n');
	sigv4_put_signed_headers(s, prepared, out);
	buf_put_byte(out, '\n');
	buf_put(out, payload_hash);
	return buf_err(out);
}

enum err sigv4_string_to_sign(const struct sigv4 *s, struct str canonical, struct buf *out)
{
	buf_put(out, SIGV4_ALGORITHM);
	buf_printf(out, "\n%s\n%.8s/%.*s/%.*s/aws4_request\n", s->time, s->time, STR_FMT(s->region),
		   STR_FMT(s->service));
	return put_sha256(canonical, out);
}
