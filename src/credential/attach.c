/* attach.c - where a secret enters a request's head; see attach.h
 *
 * Theory of operation: the courier has decided over a canonical head. Here that head is
 * copied, view by view, and the fields that are to carry the secret get values that are
 * written into a buffer which is wiped. Nothing else changes, but for path and query where a policy
 * has the placeholder stand there: so what was decided on is what is sent. The agent's bytes are only
 * searched for the placeholder and, in Basic, decoded from base64: a whole value, strictly, or it is
 * left alone.
 * Invariant: *ret_head is canonical; the secret is in @out and nowhere else.
 * Source: RFC 9110 s5.5; RFC 7617.
 */
#include "credential/attach.h"

#include "base/secret.h"
#include "credential/attach_text.h"
#include "credential/own.h"

#define MARK STR("{secret}")
#define BASIC STR("basic ")

/* the bytes appended to @out since @from */
static struct str written(const struct buf *out, size_t from)
{
	static const struct str nothing = { NULL, 0 };

	return out->err ? nothing : str_from(buf_str(out), from);
}

/* ---- one header ---- */

static bool format_is_sound(const struct policy_credential *c)
{
	return attach_find(c->header_format, 0, MARK) < c->header_format.n &&
	       field_name_check(c->header_name) && !field_is_hop_by_hop(c->header_name) &&
	       !str_eq(c->header_name, STR("host"));
}

/* A client of the same service that puts its key elsewhere: the placeholder
 * is of no use there, and a key of the agent's own is to be replaced by ours. */
static void drop_siblings(const struct policy_credential *c, struct str placeholder, struct head *head)
{
	uint32_t kept = 0;

	for (uint32_t i = 0; i < head->field_count; i++) {
		const struct head_field *f = &head->fields[i];

		if ((own_usual_field(f->name) || own_same_name(f->name, c->header_name)) &&
		    !str_eq(f->name, c->header_name) &&
		    (c->own == POLICY_OWN_REPLACE ||
		     (placeholder.n && str_eq(own_bare(f->value), placeholder))))
			continue;
		head->fields[kept++] = *f;
	}
	head->field_count = kept;
}

/* With a user, as RFC 7617 has it. */
static void put_secret(struct buf *out, struct str user, struct str secret)
{
	auto_buf both = BUF_EMPTY;

	if (user.n == 0) {
		buf_put(out, secret);
		return;
	}
	buf_init_secret(&both, OWN_BASIC_MAX + SECRET_MAX_BYTES);
	buf_put(&both, user);
	buf_put_z(&both, ":");
	buf_put(&both, secret);
	buf_put_base64(out, buf_str(&both));
	if (buf_err(&both) && !out->err)
		out->err = buf_err(&both);
}

static enum err set_header(const struct policy_credential *c, struct str secret, struct str placeholder,
			   struct buf *out, struct head *head)
{
	size_t mark = attach_find(c->header_format, 0, MARK), from = out->len;

	if (!format_is_sound(c))
		return ERR_CREDENTIAL;
	buf_put(out, str_head(c->header_format, mark));
	put_secret(out, c->header_user, secret);
	buf_put(out, str_from(c->header_format, mark + MARK.n));
	(void)head_remove(head, c->header_name);
	drop_siblings(c, placeholder, head);
	return head_add(head, c->header_name, written(out, from));
}

/* ---- placeholders ---- */

/* "Basic base64(user:password)" with user or password the placeholder: appends the new value.
 * Return: was it so? If not, nothing is appended. */
static bool put_basic(struct buf *out, struct str value, struct str placeholder, struct str secret)
{
	auto_buf old = BUF_EMPTY, new = BUF_EMPTY;
	struct str user, password;

	buf_init_secret(&old, OWN_BASIC_MAX);
	buf_init_secret(&new, OWN_BASIC_MAX + 2 * SECRET_MAX_BYTES);
	if (!own_basic(value, &old, &user, &password) ||
	    (!str_eq(user, placeholder) && !str_eq(password, placeholder)))
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

/* Fields that no server takes a credential from, and that it may store where others read (an object's
 * metadata, at a host of many tenants) or follow (a Referer): there, the placeholder stays one. */
static bool never_carries(struct str name)
{
	static const char *const never[] = {
		"host", "referer", "origin", "user-agent", "via", "from", "link", "content-type",
		"content-disposition", "content-language", "if-match", "if-none-match",
	};
	static const char *const parts[] = { "-meta-", "metadata", "tagging", "redirect", "forwarded" };

	for (size_t i = 0; i < sizeof never / sizeof *never; i++)
		if (str_eq(name, str_of(never[i])))
			return true;
	for (size_t i = 0; i < sizeof parts / sizeof *parts; i++)
		if (attach_find(name, 0, str_of(parts[i])) < name.n)
			return true;
	return false;
}

static bool may_carry(const struct policy_credential *c, struct str name)
{
	for (uint32_t i = 0; i < c->placeholder_field_count; i++)
		if (str_eq(c->placeholder_fields[i], name))
			return !str_eq(name, STR("host"));
	return c->placeholder_field_count == 0 && !never_carries(name);
}

/* One view of the head with the placeholder replaced, if it stands there whole. */
static bool replace(enum attach_coding coding, struct str secret, struct str placeholder, struct buf *out,
		    struct str *view)
{
	size_t from = out->len;

	if (attach_find(*view, 0, placeholder) == view->n)
		return false;
	if (!attach_replace(coding, secret, placeholder, *view, out)) {
		if (!out->err && out->len > from) {	/* it stood there, but not whole */
			explicit_bzero(out->p + from, out->len - from);
			out->len = from;
		}
		return false;
	}
	*view = written(out, from);
	return true;
}

static bool substitute(const struct policy_credential *c, struct str secret, struct str placeholder,
		       struct buf *out, struct head *head)
{
	bool any = false;

	for (uint32_t i = 0; i < head->field_count; i++) {
		struct head_field *f = &head->fields[i];
		size_t from = out->len;

		if ((c->parts & POLICY_IN_BASIC) && str_eq(f->name, STR("authorization")) &&
		    put_basic(out, f->value, placeholder, secret)) {
			f->value = written(out, from);
			any = true;
		} else if ((c->parts & POLICY_IN_HEADER) && may_carry(c, f->name)) {
			any |= replace(ATTACH_RAW, secret, placeholder, out, &f->value);
		}
	}
	if (c->parts & POLICY_IN_QUERY)
		any |= replace(ATTACH_FORM, secret, placeholder, out, &head->query);
	if (c->parts & POLICY_IN_PATH)
		any |= replace(ATTACH_PATH, secret, placeholder, out, &head->path);
	return any;
}

/* ---- all of it ---- */

bool attach_sends_secret(const struct policy_credential *c)
{
	return c->strategy != POLICY_STRATEGY_SIGV4 && c->strategy != POLICY_STRATEGY_CERTIFICATE;
}

static enum err put(const struct policy_credential *c, struct str secret, struct str placeholder,
		    struct buf *out, struct head *head, bool *attached)
{
	switch (c->strategy) {
	case POLICY_STRATEGY_LOGIN:
		*attached = head_find(head, c->header_name) != NULL;
		return *attached ? set_header(c, secret, placeholder, out, head) : ERR_OK;
	case POLICY_STRATEGY_HEADER:
	case POLICY_STRATEGY_TOKEN:
		*attached = true;
		return set_header(c, secret, placeholder, out, head);
	case POLICY_STRATEGY_PLACEHOLDER:
		if (placeholder.n == 0)
			return ERR_CREDENTIAL;
		*attached = substitute(c, secret, placeholder, out, head);
		return ERR_OK;
	case POLICY_STRATEGY_SIGV4:
	case POLICY_STRATEGY_CERTIFICATE:
		break;
	}
	return ERR_CREDENTIAL;
}

enum err attach_apply(const struct policy_credential *c, struct str secret, struct str placeholder,
		      const struct head *in, struct buf *out, struct head *ret_head, bool *ret_attached)
{
	struct head head;
	bool attached = false;
	enum err e;

	if (!field_value_check(secret) || secret.n == 0)
		return ERR_CREDENTIAL;
	head_copy(&head, in);
	/* all of it at once: the views must not move when the buffer grows */
	e = buf_reserve(out, buf_room(out));
	if (e)
		return e;
	e = put(c, secret, placeholder, out, &head, &attached);
	if (e)
		return e;
	if (buf_err(out))
		return buf_err(out) == ERR_LIMIT ? ERR_HEAD_TOO_LARGE : buf_err(out);
	e = head_check(&head);
	if (e)
		return e == ERR_HEAD_TOO_LARGE ? e : ERR_CREDENTIAL;
	head_copy(ret_head, &head);
	*ret_attached = attached;
	return ERR_OK;
}
