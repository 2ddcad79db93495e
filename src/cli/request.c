/* request.c - see request.h. What the inspector would refuse is refused here with a reason:
 * an explanation of a request that cannot exist would mislead. */
#include "cli/request.h"

#include "wire/canonical.h"

#define NAMES_MAX 8192

static enum err bad(struct buf *why, const char *text)
{
	buf_clear(why);
	buf_put_z(why, text);
	return ERR_INPUT;
}

/* A view of @n bytes that were just put; names was reserved whole, so that it never moves. */
static struct str last_of(const struct buf *b, size_t n) { return str_make(b->p + (b->len - n), n); }

static enum err take_authority(struct request *r, struct str authority, struct buf *why)
{
	struct head *h = &r->head;
	size_t close = authority.n && authority.p[0] == '[' ? str_find(authority, ']') + 1 : 0;
	size_t colon = close + str_find(str_from(authority, close), ':');

	if (str_find(authority, '@') < authority.n)
		return bad(why, "a URL with a user name in it is not sent by any rule: leave it away");
	if (host_canonical(str_head(authority, colon), r->host) != ERR_OK)
		return bad(why, "the URL has no valid host: expected a name (international ones as xn--...) "
				"or an IP address, IPv6 in brackets");
	if (canonical_authority(authority, canonical_port(h->scheme), r->host, &h->port) != ERR_OK)
		return bad(why, "the URL's port is not valid: expected 1 to 65535, without zeros before it");
	h->host = str_of(r->host);
	return ERR_OK;
}

/* wss:// and ws:// ask for a WebSocket over https and http. */
static enum err take_scheme(struct request *r, struct str *rest, struct buf *why)
{
	static const struct {
		struct str before;
		enum head_scheme scheme;
		bool websocket;
	} schemes[] = {
		{ STR_INIT("https://"), HEAD_HTTPS, false },
		{ STR_INIT("http://"), HEAD_HTTP, false },
		{ STR_INIT("wss://"), HEAD_HTTPS, true },
		{ STR_INIT("ws://"), HEAD_HTTP, true },
	};

	for (size_t i = 0; i < sizeof schemes / sizeof *schemes; i++) {
		if (!str_starts(*rest, schemes[i].before))
			continue;
		r->head.scheme = schemes[i].scheme;
		r->head.websocket = schemes[i].websocket;
		*rest = str_from(*rest, schemes[i].before.n);
		if (r->head.websocket && !str_eq(r->head.method, STR("GET")))
			return bad(why, "a WebSocket begins with a GET");
		return ERR_OK;
	}
	return bad(why,
		   "expected a URL that begins with https:// or http://, or wss:// or ws:// for a WebSocket");
}

static enum err take_url(struct request *r, const char *url, struct buf *why)
{
	struct str rest = str_of(url), authority;
	size_t end;
	enum err e;

	e = take_scheme(r, &rest, why);
	if (e != ERR_OK)
		return e;
	for (end = 0; end < rest.n && rest.p[end] != '/' && rest.p[end] != '?' && rest.p[end] != '#'; end++)
		;
	authority = str_head(rest, end);
	rest = str_from(rest, end);
	rest = str_head(rest, str_find(rest, '#')); /* a fragment is never sent */
	e = take_authority(r, authority, why);
	if (e != ERR_OK)
		return e;
	r->head.path = str_head(rest, str_find(rest, '?'));
	r->head.has_query = r->head.path.n < rest.n;
	r->head.query = r->head.has_query ? str_from(rest, r->head.path.n + 1) : STR("");
	if (r->head.path.n == 0)
		r->head.path = STR("/");
	if (!path_check(r->head.path))
		return bad(
			why,
			"this path would be refused as it stands: no '.' or '..' segments, no blanks, "
			"percent-encoding in upper case (%2F), nothing encoded that is a control character");
	if (!query_check(r->head.query))
		return bad(why,
			   "this query would be refused as it stands: percent-encode what a URL cannot have");
	return ERR_OK;
}

static enum err add_host(struct request *r)
{
	bool six = str_find(r->head.host, ':') < r->head.host.n;
	bool usual = r->head.port == (r->head.scheme == HEAD_HTTPS ? 443 : 80);
	size_t before = r->names.len;

	buf_printf(&r->names, "%s%s%s", six ? "[" : "", r->host, six ? "]" : "");
	if (!usual)
		buf_printf(&r->names, ":%u", r->head.port);
	if (buf_err(&r->names) != ERR_OK)
		return ERR_LIMIT;
	return head_add(&r->head, STR("host"), last_of(&r->names, r->names.len - before));
}

enum err request_target(struct request *r, const char *target, struct buf *why)
{
	struct str authority = str_of(target);
	size_t close = authority.n && authority.p[0] == '[' ? str_find(authority, ']') : 0;

	*r = (struct request) { .head = { .scheme = HEAD_HTTPS } };
	if (close + str_find(str_from(authority, close), ':') == authority.n || strstr(target, "//"))
		return bad(why, "expected CONNECT HOST:PORT");
	return take_authority(r, authority, why);
}

enum err request_make(struct request *r, const char *method, const char *url, struct buf *why)
{
	enum err e;

	*r = (struct request) { .head = { .kind = HEAD_REQUEST, .method = str_of(method) } };
	buf_init(&r->names, NAMES_MAX);
	e = buf_reserve(&r->names, NAMES_MAX);
	if (e != ERR_OK)
		return bad(why, err_text(e));
	if (!method_check(str_of(method)))
		return bad(why, "expected a method such as GET (and CONNECT never leaves a sandbox)");
	e = take_url(r, url, why);
	if (e != ERR_OK)
		return e;
	e = add_host(r);
	if (e == ERR_OK)
		e = head_check(&r->head);
	return e == ERR_OK ? ERR_OK : bad(why, err_text(e));
}

enum err request_header(struct request *r, const char *header, struct buf *why)
{
	struct str whole = str_of(header), name = str_head(whole, str_find(whole, ':'));
	struct str value = str_from(whole, name.n + 1);

	while (value.n && value.p[0] == ' ')
		value = str_from(value, 1);
	if (name.n == whole.n || name.n > buf_room(&r->names))
		return bad(why, "expected --header NAME:VALUE");
	for (size_t i = 0; i < name.n; i++)
		buf_put_byte(&r->names, (uint8_t)ascii_lower(name.p[i]));
	name = last_of(&r->names, name.n);
	if (str_eq(name, STR("host")))
		return bad(why, "host follows from the URL");
	if (head_add(&r->head, name, value) != ERR_OK || head_check(&r->head) != ERR_OK)
		return bad(why, "this header would be refused, or is not passed on");
	return ERR_OK;
}

void request_free(struct request *r) { buf_free(&r->names); }
