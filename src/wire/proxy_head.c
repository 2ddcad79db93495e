/* proxy_head.c - see proxy_head.h
 *
 * Theory of operation: the request line and the few fields that matter here are looked at line by line.
 * Nothing is taken from a line that http1.c would not have taken: for a CONNECT, which never gets there,
 * every field is checked here; for another request only this is decided: where to.
 */
#include "wire/proxy_head.h"
#include "wire/canonical.h"

static bool take_line(struct str *rest, struct str *ret)
{
	size_t end = str_find(*rest, '\r');

	if (end + 1 >= rest->n || rest->p[end + 1] != '\n')
		return false;
	*ret = str_head(*rest, end);
	*rest = str_from(*rest, end + 2);
	return true;
}

static bool take_word(struct str *line, struct str *ret)
{
	size_t end = str_find(*line, ' ');

	if (end == 0 || end == line->n)
		return false;
	*ret = str_head(*line, end);
	*line = str_from(*line, end + 1);
	return true;
}

static enum err check_version(struct str version)
{
	if (str_eq(version, STR("HTTP/1.1")) || str_eq(version, STR("HTTP/1.0")))
		return ERR_OK;
	return str_starts(version, STR("HTTP/")) ? ERR_HEAD_VERSION : ERR_HEAD_MALFORMED;
}

static enum err read_target(struct str target, struct proxy_head *h)
{
	const struct str http = STR("http://");

	if (h->connect)
		return canonical_authority(target, 0, h->host, &h->port);
	if (!str_eq_nocase(str_head(target, http.n), http))
		return memmem(target.p, target.n, "://", 3) ? ERR_PROTOCOL_UNKNOWN : ERR_HEAD_MALFORMED;
	target = str_from(target, http.n);
	target = str_head(target, str_find(target, '/'));
	target = str_head(target, str_find(target, '?'));
	return canonical_authority(target, canonical_port(HEAD_HTTP), h->host, &h->port);
}

/* Bearer's token, or the password of Basic, whose user name is for people. */
static enum err read_token(struct str value, struct buf *storage, struct str *ret)
{
	const struct str bearer = STR("Bearer "), basic = STR("Basic ");

	if (str_eq_nocase(str_head(value, bearer.n), bearer)) {
		*ret = str_from(value, bearer.n);
	} else if (str_eq_nocase(str_head(value, basic.n), basic)) {
		if (base64_decode(storage, str_from(value, basic.n)))
			return buf_err(storage) == ERR_MEMORY ? ERR_MEMORY : ERR_HEAD_MALFORMED;
		*ret = str_from(buf_str(storage), str_find(buf_str(storage), ':') + 1);
	} else {
		return ERR_HEAD_MALFORMED;
	}
	return ret->n && ret->n <= PROXY_TOKEN_MAX ? ERR_OK : ERR_HEAD_MALFORMED;
}

static enum err read_field(struct str line, struct buf *storage, bool *has_host, struct proxy_head *h)
{
	struct str name = str_head(line, str_find(line, ':')), value = str_trim(str_from(line, name.n + 1));

	if (name.n == line.n || name.n == 0)
		return ERR_HEAD_MALFORMED;
	if (str_eq_nocase(name, STR("proxy-authorization")))
		return h->token.n ? ERR_HEAD_MALFORMED : read_token(value, storage, &h->token);
	if (!h->connect)
		return ERR_OK;
	for (size_t i = 0; i < name.n; i++) {
		char lower = ascii_lower(name.p[i]);

		if (!field_name_check(str_make(&lower, 1)))
			return ERR_HEAD_MALFORMED;
	}
	if (!field_value_check(value))
		return ERR_HEAD_MALFORMED;
	if (str_eq_nocase(name, STR("content-length")) || str_eq_nocase(name, STR("transfer-encoding")))
		return ERR_BODY_FRAMING;
	if (str_eq_nocase(name, STR("host"))) {
		char host[HEAD_HOST_MAX + 1];
		uint16_t port;
		enum err e =
			*has_host ? ERR_HEAD_MALFORMED : canonical_authority(value, h->port, host, &port);

		*has_host = true;
		if (e)
			return e;
		return port == h->port && str_eq(str_of(host), str_of(h->host)) ? ERR_OK : ERR_NAME_MISMATCH;
	}
	return ERR_OK;
}

enum err proxy_head_parse(struct str bytes, struct buf *storage, struct proxy_head *ret)
{
	struct proxy_head h = { 0 };
	struct str line, method, target;
	bool has_host = false;
	enum err e;

	buf_clear(storage);
	if (!take_line(&bytes, &line) || !take_word(&line, &method) || !take_word(&line, &target))
		return ERR_HEAD_MALFORMED;
	e = check_version(line);
	h.connect = str_eq(method, STR("CONNECT"));
	if (!e)
		e = read_target(target, &h);
	while (!e) {
		if (!take_line(&bytes, &line))
			return ERR_HEAD_MALFORMED;
		if (line.n == 0)
			break;
		e = read_field(line, storage, &has_host, &h);
	}
	if (!e)
		*ret = h;
	return e;
}
