/* proxy_head_fuzz.c - where the client of an explicit proxy goes, and who it is, can be read in one way only
 *
 * What is accepted reads the same when it is written again. It names one place: beside it no other Host and
 * no other target passes, and the HTTP/1.1 parser takes the request for no other. The token comes from the
 * one field that may hold it, a second one never passes, and no head that goes on has that field. What is
 * refused tells nothing.
 */
#include "wire/proxy_head.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(bool holds)
{
	if (!holds)
		abort();
}

/* The first head in @bytes; a refusal must leave *ret as it was. */
static enum err parse(struct str bytes, struct buf *storage, struct proxy_head *ret)
{
	struct proxy_head h = { .port = 7 };
	size_t scanned = 0, end = 0;
	enum err e = http1_head_end(bytes, &scanned, &end);

	if (!e)
		e = proxy_head_parse(str_head(bytes, end), storage, &h);
	check(!e || (h.port == 7 && !h.connect && !h.host[0] && !h.token.n));
	if (!e)
		*ret = h;
	return e;
}

static void put_authority(struct buf *b, const struct proxy_head *h)
{
	bool is_ipv6 = str_find(str_of(h->host), ':') < strlen(h->host);

	buf_put_z(b, is_ipv6 ? "[" : "");
	buf_put_z(b, h->host);
	buf_printf(b, "%s:%u", is_ipv6 ? "]" : "", h->port);
}

static void put_head(struct buf *b, const struct proxy_head *h)
{
	buf_put_z(b, h->connect ? "CONNECT " : "GET http://");
	put_authority(b, h);
	buf_put_z(b, h->connect ? " HTTP/1.1\r\nHost: " : "/ HTTP/1.1\r\nHost: ");
	put_authority(b, h);
	if (h->token.n) {
		auto_buf text = BUF_EMPTY;

		buf_init(&text, PROXY_TOKEN_MAX + 1);
		buf_put_z(&text, ":");
		buf_put(&text, h->token);
		buf_put_z(b, "\r\nProxy-Authorization: Basic ");
		buf_put_base64(b, buf_str(&text));
	}
	buf_put_z(b, "\r\n\r\n");
}

/* @bytes with another line in front of the fields; false: a head of that length is refused for it alone. */
static bool with_line(struct str bytes, const char *line, struct buf *ret)
{
	size_t first = str_find(bytes, '\n') + 1;

	buf_clear(ret);
	buf_put(ret, str_head(bytes, first));
	buf_put_z(ret, line);
	buf_put(ret, str_from(bytes, first));
	return ret->len < HTTP1_HEAD_MAX;
}

/* Behind the request line. */
static unsigned count_fields(struct str bytes, struct str name)
{
	unsigned n = 0;

	while ((bytes = str_from(bytes, str_find(bytes, '\n') + 1)).n)
		n += str_eq_nocase(str_head(bytes, name.n), name);
	return n;
}

static void no_other_place(struct str bytes, const struct proxy_head *h, struct buf *storage)
{
	const char *other = strcmp(h->host, "a.other") == 0 ? "Host: b.other:1\r\n" : "Host: a.other:1\r\n";
	static struct http1_request request;
	struct proxy_head again;
	auto_buf b = BUF_EMPTY;

	buf_init(&b, 2 * HTTP1_HEAD_MAX);
	(void)with_line(bytes, other, &b);
	if (h->connect) {
		check(parse(buf_str(&b), storage, &again) != ERR_OK);
		check(http1_parse_request(bytes, HEAD_HTTP, storage, &request) != ERR_OK);
		if (count_fields(bytes, STR("host:")) == 0)
			return;
		buf_clear(&b);
		buf_printf(&b, "CONNECT %s HTTP/1.1\r\n",
			   strcmp(h->host, "a.other") ? "a.other:1" : "b.other:1");
		buf_put(&b, str_from(bytes, str_find(bytes, '\n') + 1));
		check(parse(buf_str(&b), storage, &again) != ERR_OK);
		return;
	}
	check(http1_parse_request(buf_str(&b), HEAD_HTTP, storage, &request) != ERR_OK);
	if (http1_parse_request(bytes, HEAD_HTTP, storage, &request))
		return;
	check(request.head.port == h->port && str_eq(request.head.host, str_of(h->host)));
	for (uint32_t i = 0; i < request.head.field_count; i++)
		check(!str_eq(request.head.fields[i].name, STR("proxy-authorization")));
}

static void no_other_token(struct str bytes, const struct proxy_head *h, struct buf *storage)
{
	static const char line[] = "pRoxy-aUthorization:\tbearer  t\r\n";
	struct proxy_head again;
	auto_buf b = BUF_EMPTY;

	check(h->token.n <= PROXY_TOKEN_MAX);
	check(count_fields(bytes, STR("proxy-authorization:")) == (h->token.n ? 1 : 0));
	buf_init(&b, 2 * HTTP1_HEAD_MAX);
	if (with_line(bytes, line, &b))
		check((parse(buf_str(&b), storage, &again) == ERR_OK) == (h->token.n == 0));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	auto_buf storage = BUF_EMPTY, other = BUF_EMPTY, written = BUF_EMPTY;
	struct str bytes = str_make(data, size);
	struct proxy_head h, again;
	size_t scanned = 0, end = 0;

	buf_init(&storage, HTTP1_STORAGE_MAX);
	buf_init(&other, HTTP1_STORAGE_MAX);
	buf_init(&written, 4096);
	if (parse(bytes, &storage, &h))
		return 0;
	check(http1_head_end(bytes, &scanned, &end) == ERR_OK);
	bytes = str_head(bytes, end);
	check(h.port != 0 && host_type(str_of(h.host)) != HOST_INVALID);
	put_head(&written, &h);
	check(parse(buf_str(&written), &other, &again) == ERR_OK);
	check(h.connect == again.connect && h.port == again.port && strcmp(h.host, again.host) == 0);
	check(str_eq(h.token, again.token));
	no_other_place(bytes, &h, &other);
	no_other_token(bytes, &h, &other);
	return 0;
}
