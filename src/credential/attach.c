/* attach.c - where a secret enters a request; see attach.h
 *
 * Theory of operation: the courier has decided over a canonical head. Here that head is
 * copied, view by view, and the fields that are to carry the secret get values that are
 * written into a buffer which is wiped. Nothing but field values changes, so what was
 * decided on (host, method, path, query) is what is sent. The agent's bytes are only searched
 * for the placeholder and, in Basic, decoded from base64: a whole value, strictly, or it is
 * left alone.
 * Invariant: *ret_head is canonical; the secret is in @out and nowhere else.
 * Source: RFC 9110 s5.5; RFC 7617.
 */
#include "credential/attach.h"

#include "base/secret.h"

#include <sys/random.h>

#define MARK STR("{secret}")
#define BASIC STR("basic ")
#define DECODED_MAX 8192	/* of one Basic value */

bool credential_allowed_host(const struct policy_credential *c, struct str host)
{
	if (host_type(host) == HOST_INVALID)
		return false;
	for (uint32_t i = 0; i < c->host_count; i++)
		if (policy_host_matches(c->hosts[i], host))
			return true;
	return false;
}

enum err credential_check_secret(const struct policy_credential *c, struct str secret, const char **ret_reason)
{
	if (secret.n == 0)
		*ret_reason = "it is empty";
	else if (c->scrub && secret.n < CREDENTIAL_SECRET_MIN)
		*ret_reason = "it is shorter than 16 bytes, too short to be searched for in answers "
			      "(\"scrub: false\" allows it)";
	else if (!field_value_check(secret))
		*ret_reason = "it holds a control character or begins or ends with white space";
	else
		return ERR_OK;
	return ERR_CREDENTIAL;
}

/* letters and digits, '-', '_' and '.': what no encoding escapes */
static bool is_plain(struct str s)
{
	for (size_t i = 0; i < s.n; i++)
		if (!ascii_alpha(s.p[i]) && !ascii_digit(s.p[i]) && !memchr("-_.", s.p[i], 3))
			return false;
	return true;
}

enum err credential_placeholder(const struct policy_credential *c, struct buf *out)
{
	static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
	struct str fixed = c->placeholder.n ? c->placeholder : c->placeholder_prefix;
	char text[CREDENTIAL_PLACEHOLDER_RANDOM];
	size_t n = 0;

	if (!is_plain(fixed) || fixed.n > CREDENTIAL_PLACEHOLDER_MAX - CREDENTIAL_PLACEHOLDER_RANDOM ||
	    (c->placeholder.n && fixed.n < CREDENTIAL_PLACEHOLDER_MIN))
		return ERR_INPUT;
	buf_put(out, fixed);
	if (c->placeholder.n)
		return buf_err(out);
	while (n < sizeof text) {
		uint8_t byte;

		if (getrandom(&byte, 1, 0) != 1)
			return ERR_LOCAL;
		if (byte < 4 * 62)	/* each letter equally likely */
			text[n++] = letters[byte % 62];
	}
	buf_put(out, str_make(text, sizeof text));
	return buf_err(out);
}

/* index of @needle in @s from @from on, or s.n */
static size_t find(struct str s, size_t from, struct str needle)
{
	const char *hit = from < s.n ? memmem(s.p + from, s.n - from, needle.p, needle.n) : NULL;

	return hit ? (size_t)(hit - s.p) : s.n;
}

/* a placeholder stands whole when no letter or digit continues it on either side */
static bool stands_whole(struct str s, size_t at, size_t n)
{
	bool before = at > 0 && (ascii_alpha(s.p[at - 1]) || ascii_digit(s.p[at - 1]));
	bool after = at + n < s.n && (ascii_alpha(s.p[at + n]) || ascii_digit(s.p[at + n]));

	return !before && !after;
}

/* appends @value with each whole @placeholder replaced; Return: were there any? */
static bool put_replaced(struct buf *out, struct str value, struct str placeholder, struct str secret)
{
	size_t from = 0, search = 0;
	bool any = false;

	for (;;) {
		size_t at = find(value, search, placeholder);

		if (at == value.n)
			break;
		search = at + placeholder.n;
		if (!stands_whole(value, at, placeholder.n))
			continue;
		buf_put(out, str_make(value.p + from, at - from));
		buf_put(out, secret);
		from = search;
		any = true;
	}
	buf_put(out, str_from(value, from));
	return any;
}

/* "Basic base64(user:password)" with user or password the placeholder: appends the new value.
 * Return: was it so? If not, nothing is appended. */
static bool put_basic(struct buf *out, struct str value, struct str placeholder, struct str secret)
{
	auto_buf old = BUF_EMPTY, new = BUF_EMPTY;
	struct str user, password;
	size_t colon;

	buf_init(&old, DECODED_MAX);
	buf_init_secret(&new, DECODED_MAX + 2 * SECRET_MAX_BYTES);
	if (!str_eq_nocase(str_head(value, BASIC.n), BASIC))
		return false;
	value = str_from(value, BASIC.n);
	while (value.n && value.p[0] == ' ')
		value = str_from(value, 1);
	if (base64_decode(&old, value))
		return false;
	colon = str_find(buf_str(&old), ':');
	if (colon == old.len)
		return false;
	user = str_head(buf_str(&old), colon);
	password = str_from(buf_str(&old), colon + 1);
	if (!str_eq(user, placeholder) && !str_eq(password, placeholder))
		return false;
	buf_put(&new, str_eq(user, placeholder) ? secret : user);
	buf_put_z(&new, ":");
	buf_put(&new, str_eq(password, placeholder) ? secret : password);
	buf_put_z(out, "Basic ");
	buf_put_base64(out, buf_str(&new));
	if (buf_err(&new) && !out->err)
		out->err = buf_err(&new);
	return true;
}

/* the bytes appended to @out since @from */
static struct str written(const struct buf *out, size_t from)
{
	static const struct str nothing = { NULL, 0 };

	return out->err ? nothing : str_from(buf_str(out), from);
}

static enum err set_header(const struct policy_credential *c, struct str secret, struct buf *out,
			   struct head *head)
{
	size_t mark = find(c->header_format, 0, MARK);

	if (mark == c->header_format.n || !field_name_check(c->header_name) ||
	    field_is_hop_by_hop(c->header_name) || str_eq(c->header_name, STR("host")))
		return ERR_CREDENTIAL;
	buf_put(out, str_head(c->header_format, mark));
	buf_put(out, secret);
	buf_put(out, str_from(c->header_format, mark + MARK.n));
	(void)head_remove(head, c->header_name);
	return head_add(head, c->header_name, written(out, 0));
}

/* Fields that no server takes a credential from, and that it may store where others read (an object's
 * metadata, at a host of many tenants) or follow (a Referer): there, the placeholder stays one. */
static bool may_carry(struct str name)
{
	static const char *const never[] = {
		"host", "referer", "origin", "user-agent", "via", "from", "link", "content-type",
		"content-disposition", "content-language", "if-match", "if-none-match",
	};
	static const char *const parts[] = { "-meta-", "metadata", "tagging", "redirect", "forwarded" };

	for (size_t i = 0; i < sizeof never / sizeof *never; i++)
		if (str_eq(name, str_of(never[i])))
			return false;
	for (size_t i = 0; i < sizeof parts / sizeof *parts; i++)
		if (find(name, 0, str_of(parts[i])) < name.n)
			return false;
	return true;
}

static bool substitute(const struct policy_credential *c, struct str secret, struct str placeholder,
		       struct buf *out, struct head *head)
{
	bool any = false;

	for (uint32_t i = 0; i < head->field_count; i++) {
		struct head_field *f = &head->fields[i];
		size_t from = out->len;
		bool done;

		if (!may_carry(f->name))
			continue;
		done = (c->parts & POLICY_IN_BASIC) && str_eq(f->name, STR("authorization")) &&
		       put_basic(out, f->value, placeholder, secret);
		if (!done && (c->parts & POLICY_IN_HEADER) && find(f->value, 0, placeholder) < f->value.n) {
			done = put_replaced(out, f->value, placeholder, secret);
			if (!done && !out->err)	/* it stood there, but not whole */
				out->len = from;
		}
		if (done)
			f->value = written(out, from);
		any |= done;
	}
	return any;
}

enum err attach_apply(const struct policy_credential *c, struct str secret, struct str placeholder,
		      const struct head *in, struct buf *out, struct head *ret_head, bool *ret_attached)
{
	struct head head = *in;
	bool attached = true;
	enum err e;

	if (!field_value_check(secret) || secret.n == 0)
		return ERR_CREDENTIAL;
	/* all of it at once: the views must not move when the buffer grows */
	e = buf_reserve(out, buf_room(out));
	if (e)
		return e;
	if (c->strategy == POLICY_STRATEGY_HEADER)
		e = set_header(c, secret, out, &head);
	else if (placeholder.n < CREDENTIAL_PLACEHOLDER_MIN)
		e = ERR_CREDENTIAL;
	else
		attached = substitute(c, secret, placeholder, out, &head);
	if (e)
		return e;
	if (buf_err(out))
		return buf_err(out) == ERR_LIMIT ? ERR_HEAD_TOO_LARGE : buf_err(out);
	e = head_check(&head);
	if (e)
		return e == ERR_HEAD_TOO_LARGE ? e : ERR_CREDENTIAL;
	*ret_head = head;
	*ret_attached = attached;
	return ERR_OK;
}
