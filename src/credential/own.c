/* own.c - a credential that the agent brings itself; see attach_own()
 *
 * Theory of operation: the places where the bound credential would stand are looked at, nothing else: a field
 * that means something else to the service is the agent's business. What is found there is either the
 * placeholder, or a dummy that its maker put there because a client would not start without, or it looks like a
 * secret: somebody else's account, which the policy is asked about. A wrong guess costs a refusal with words.
 */
#include "credential/own.h"

#include "credential/attach.h"
#include "credential/attach_text.h"

#define BASIC STR("basic ")

bool own_usual_field(struct str name)
{
	static const char *const usual[] = {
		"authorization", "x-api-key", "api-key", "x-goog-api-key", "private-token", "x-auth-token",
	};

	for (size_t i = 0; i < sizeof usual / sizeof *usual; i++)
		if (str_eq(name, str_of(usual[i])))
			return true;
	return false;
}

struct str own_bare(struct str value)
{
	size_t space = str_find(value, ' ');

	if (space == value.n)
		return value;
	value = str_from(value, space);
	while (value.n && value.p[0] == ' ')
		value = str_from(value, 1);
	return value;
}

bool own_basic(struct str value, struct buf *storage, struct str *ret_user, struct str *ret_password)
{
	if (!str_eq_nocase(str_head(value, BASIC.n), BASIC) || base64_decode(storage, own_bare(value)))
		return false;
	size_t colon = str_find(buf_str(storage), ':');

	if (colon == storage->len)
		return false;
	*ret_user = str_head(buf_str(storage), colon);
	*ret_password = str_from(buf_str(storage), colon + 1);
	return true;
}

/* 16 bytes or more that are not all alike, or 8 of both letters and digits */
enum attach_own attach_judge(struct str s)
{
	bool seen[256] = { false }, letters = false, digits = false;
	unsigned different = 0;

	if (s.n == 0)
		return ATTACH_OWN_NONE;
	for (size_t i = 0; i < s.n; i++) {
		different += !seen[(uint8_t)s.p[i]];
		seen[(uint8_t)s.p[i]] = true;
		letters |= ascii_alpha(s.p[i]);
		digits |= ascii_digit(s.p[i]);
	}
	return different > 5 && (s.n >= 16 || (s.n >= 8 && letters && digits)) ? ATTACH_OWN_REAL : ATTACH_OWN_DUMMY;
}

/* Keeps the graver of what was found and @s. */
static void note(struct str s, enum attach_own *found, struct buf *own)
{
	enum attach_own is = attach_judge(s);

	if (is <= *found)
		return;
	*found = is;
	buf_clear(own);
	buf_put(own, s);
}

static bool in_list(const struct policy_credential *c, struct str name)
{
	for (uint32_t i = 0; i < c->placeholder_field_count; i++)
		if (str_eq(c->placeholder_fields[i], name))
			return true;
	return c->placeholder_field_count == 0 && own_usual_field(name);
}

/* One field where the credential could stand. Return: it holds the placeholder. */
static bool look_at_field(struct str value, bool basic, bool other, struct str placeholder, enum attach_own *found,
			  struct buf *own)
{
	auto_buf storage = BUF_EMPTY;
	struct str user, password;

	if (placeholder.n && attach_find(value, 0, placeholder) < value.n)
		return true;
	buf_init_secret(&storage, OWN_BASIC_MAX);
	if (own_basic(value, &storage, &user, &password)) {
		if (placeholder.n && (str_eq(user, placeholder) || str_eq(password, placeholder)))
			return true;
		if (basic || other)
			note(password.n ? password : user, found, own);
	} else if (other) {
		note(own_bare(value), found, own);
	}
	return false;
}

static bool is_key_parameter(struct str name)
{
	static const char *const usual[] = {
		"key", "api_key", "apikey", "api-key", "access_token", "token", "auth_token", "private_token",
	};

	for (size_t i = 0; i < sizeof usual / sizeof *usual; i++)
		if (str_eq_nocase(name, str_of(usual[i])))
			return true;
	return false;
}

static void look_at_query(struct str query, enum attach_own *found, struct buf *own)
{
	while (query.n) {
		struct str pair = str_head(query, str_find(query, '&'));
		size_t equals = str_find(pair, '=');

		query = str_from(query, pair.n + 1);
		if (is_key_parameter(str_head(pair, equals)))
			note(str_from(pair, equals + 1), found, own);
	}
}

static enum attach_own own_of_header(const struct policy_credential *c, struct str placeholder,
				     const struct head *h, struct buf *own)
{
	enum attach_own found = ATTACH_OWN_NONE;

	for (uint32_t i = 0; i < h->field_count; i++)
		if (str_eq(h->fields[i].name, c->header_name))
			(void)look_at_field(h->fields[i].value, true, true, placeholder, &found, own);
	return found;
}

static enum attach_own own_of_placeholder(const struct policy_credential *c, struct str placeholder,
					  const struct head *h, struct buf *own)
{
	bool basic = c->parts & POLICY_IN_BASIC, header = c->parts & POLICY_IN_HEADER, ours;
	enum attach_own found = ATTACH_OWN_NONE;

	ours = attach_find(h->query, 0, placeholder) < h->query.n || attach_find(h->path, 0, placeholder) < h->path.n;
	for (uint32_t i = 0; i < h->field_count; i++) {
		struct str name = h->fields[i].name;
		bool authorization = str_eq(name, STR("authorization"));

		ours |= look_at_field(h->fields[i].value, basic && authorization, header && in_list(c, name),
				      placeholder, &found, own);
	}
	if (c->parts & POLICY_IN_QUERY)
		look_at_query(h->query, &found, own);
	return ours ? ATTACH_OWN_NONE : found;
}

enum attach_own attach_own(const struct policy_credential *c, struct str placeholder, const struct head *h,
			   struct buf *ret_own)
{
	enum attach_own found = ATTACH_OWN_NONE;

	switch (c->strategy) {
	case POLICY_STRATEGY_HEADER:
	case POLICY_STRATEGY_TOKEN:
	case POLICY_STRATEGY_LOGIN:
		found = own_of_header(c, placeholder, h, ret_own);
		break;
	case POLICY_STRATEGY_PLACEHOLDER:
		found = own_of_placeholder(c, placeholder, h, ret_own);
		break;
	case POLICY_STRATEGY_SIGV4:		/* its signature names a key: sigv4.h */
	case POLICY_STRATEGY_CERTIFICATE:
		break;
	}
	if (found == ATTACH_OWN_NONE)
		buf_clear(ret_own);
	return found;
}
