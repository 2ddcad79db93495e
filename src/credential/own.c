/* own.c - a credential that the agent brings itself; see attach_own()
 *
 * Theory of operation: the places where the bound credential would stand are looked at, and those beside it
 * that services commonly take a credential from: a service that takes several kinds would go by either. A
 * field that means something else to the service is the agent's business. What is found is either the
 * placeholder, or a dummy that its maker put there because a client would not start without, or it looks like
 * a secret: somebody else's account, which the policy is asked about. A wrong guess costs a refusal with
 * words.
 */
#include "credential/own.h"

#include "credential/attach.h"
#include "credential/attach_text.h"

#define BASIC STR("basic ")

bool own_same_name(struct str a, struct str b)
{
	if (a.n != b.n)
		return false;
	for (size_t i = 0; i < a.n; i++)
		if ((a.p[i] == '_' ? '-' : a.p[i]) != (b.p[i] == '_' ? '-' : b.p[i]))
			return false;
	return true;
}

bool own_usual_field(struct str name)
{
	static const char *const usual[] = {
		"authorization", "x-api-key", "api-key", "apikey", "x-goog-api-key", "private-token",
		"job-token", "x-auth-token", "x-auth-key", "x-access-token", "x-vault-token",
	};

	for (size_t i = 0; i < sizeof usual / sizeof *usual; i++)
		if (own_same_name(name, str_of(usual[i])))
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
	return different > 5 && (s.n >= 16 || (s.n >= 8 && letters && digits)) ? ATTACH_OWN_REAL
									       : ATTACH_OWN_DUMMY;
}

/* One look at a request: what was found, the gravest of it. */
struct look {
	const struct policy_credential *credential;
	struct str placeholder;
	enum attach_own found;
	struct buf *own;		/* ret_own */
};

static void note(struct look *l, struct str s)
{
	enum attach_own is = attach_judge(s);

	if (is <= l->found)
		return;
	l->found = is;
	buf_clear(l->own);
	buf_put(l->own, s);
}

static void note_beside(struct look *l, struct str s)
{
	if (attach_judge(s) == ATTACH_OWN_REAL)
		l->found = ATTACH_OWN_BESIDE;
}

static bool holds_placeholder(const struct look *l, struct str value)
{
	return l->placeholder.n && attach_find(value, 0, l->placeholder) < value.n;
}

/* One field where the credential could stand: as user or password of Basic, as another value.
 * Return: it holds the placeholder. */
static bool look_at_field(struct look *l, struct str value, bool basic, bool other)
{
	auto_buf storage = BUF_EMPTY;
	struct str user, password;

	if (holds_placeholder(l, value))
		return true;
	buf_init_secret(&storage, OWN_BASIC_MAX);
	if (!own_basic(value, &storage, &user, &password)) {
		if (other)
			note(l, own_bare(value));
		else
			note_beside(l, own_bare(value));
		return false;
	}
	if (l->placeholder.n && (str_eq(user, l->placeholder) || str_eq(password, l->placeholder)))
		return true;
	if (basic || other)
		note(l, password.n ? password : user);
	else
		note_beside(l, password.n ? password : user);
	return false;
}

/* ---- the query ---- */

/* The next byte that @s means, which loses it. */
static char next_byte(struct str *s)
{
	char c = s->p[0];

	if (c == '%' && s->n >= 3 && ascii_hex(s->p[1]) >= 0 && ascii_hex(s->p[2]) >= 0) {
		c = (char)(ascii_hex(s->p[1]) * 16 + ascii_hex(s->p[2]));
		*s = str_from(*s, 3);
		return c;
	}
	*s = str_from(*s, 1);
	return c;
}

bool own_means(struct str encoded, const char *name)
{
	while (encoded.n && *name)
		if (ascii_lower(next_byte(&encoded)) != *name++)
			return false;
	return encoded.n == 0 && !*name;
}

static bool is_key_parameter(struct str name)
{
	static const char *const usual[] = {
		"key", "api_key", "apikey", "api-key", "access_token", "token", "auth_token", "private_token",
	};

	for (size_t i = 0; i < sizeof usual / sizeof *usual; i++)
		if (own_means(name, usual[i]))
			return true;
	return false;
}

static void look_at_parameter(struct look *l, struct str pair, bool ours)
{
	size_t equals = str_find(pair, '=');
	struct str value = str_from(pair, equals + 1);

	if (!is_key_parameter(str_head(pair, equals)) || holds_placeholder(l, value))
		return;
	if (ours)
		note(l, value);
	else
		note_beside(l, value);
}

/* @ours: a parameter is one of the places where the credential would stand. Some servers
 * end one at ';' too: what such a one sees is beside it. */
static void look_at_query(struct look *l, struct str query, bool ours)
{
	while (query.n) {
		struct str pair = str_head(query, str_find(query, '&')), part = pair;

		query = str_from(query, pair.n + 1);
		look_at_parameter(l, pair, ours);
		while (str_find(part, ';') < part.n) {
			part = str_from(part, str_find(part, ';') + 1);
			look_at_parameter(l, str_head(part, str_find(part, ';')), false);
		}
	}
}

/* ---- by strategy ---- */

static bool is_beside(const struct policy_credential *c, struct str name)
{
	return own_usual_field(name) || own_same_name(name, c->header_name);
}

static void look_for_header(struct look *l, const struct head *h)
{
	const struct policy_credential *c = l->credential;
	/* those beside it go when it is set: attach_apply() */
	bool gone = c->own == POLICY_OWN_REPLACE &&
		    (c->strategy != POLICY_STRATEGY_LOGIN || head_find(h, c->header_name));

	for (uint32_t i = 0; i < h->field_count; i++) {
		bool its = str_eq(h->fields[i].name, c->header_name);

		if (its || (!gone && is_beside(c, h->fields[i].name)))
			(void)look_at_field(l, h->fields[i].value, its, its);
	}
	look_at_query(l, h->query, false);
}

/* A request that is not signed: what else services take a credential from. */
static void look_for_unsigned(struct look *l, const struct head *h)
{
	for (uint32_t i = 0; i < h->field_count; i++)
		if (own_usual_field(h->fields[i].name))
			(void)look_at_field(l, h->fields[i].value, false, false);
	look_at_query(l, h->query, false);
}

static bool in_list(const struct policy_credential *c, struct str name)
{
	for (uint32_t i = 0; i < c->placeholder_field_count; i++)
		if (str_eq(c->placeholder_fields[i], name))
			return true;
	return c->placeholder_field_count == 0 && own_usual_field(name);
}

static void look_for_placeholder(struct look *l, const struct head *h)
{
	const struct policy_credential *c = l->credential;
	bool basic = c->parts & POLICY_IN_BASIC, header = c->parts & POLICY_IN_HEADER;
	bool ours = holds_placeholder(l, h->query) || holds_placeholder(l, h->path);

	for (uint32_t i = 0; i < h->field_count; i++) {
		struct str name = h->fields[i].name;

		if (in_list(c, name) || own_usual_field(name))
			ours |= look_at_field(l, h->fields[i].value,
					      basic && str_eq(name, STR("authorization")),
					      header && in_list(c, name));
		else
			ours |= holds_placeholder(l, h->fields[i].value);
	}
	look_at_query(l, h->query, c->parts & POLICY_IN_QUERY);
	if (!ours)
		return;
	if (l->found < ATTACH_OWN_REAL || c->own == POLICY_OWN_PASS)
		l->found = ATTACH_OWN_NONE;	/* ours is attached, whatever else there is */
	else
		l->found = ATTACH_OWN_BESIDE;
}

enum attach_own attach_own(const struct policy_credential *c, struct str placeholder, const struct head *h,
			   struct buf *ret_own)
{
	struct look l = { .credential = c, .placeholder = placeholder, .found = ATTACH_OWN_NONE,
			  .own = ret_own };

	switch (c->strategy) {
	case POLICY_STRATEGY_HEADER:
	case POLICY_STRATEGY_TOKEN:
	case POLICY_STRATEGY_LOGIN:
		look_for_header(&l, h);
		break;
	case POLICY_STRATEGY_PLACEHOLDER:
		look_for_placeholder(&l, h);
		break;
	case POLICY_STRATEGY_SIGV4:
		look_for_unsigned(&l, h);
		break;
	case POLICY_STRATEGY_CERTIFICATE:
		break;
	}
	if (l.found == ATTACH_OWN_NONE || l.found == ATTACH_OWN_BESIDE)
		buf_clear(ret_own);
	return l.found;
}
