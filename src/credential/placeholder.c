/* placeholder.c - what a credential may be, where it may go, and what stands for it; see attach.h
 *
 * Theory of operation: a placeholder is letters, digits, '-', '_' and '.', so that it reads the same in every
 * encoding that a client may wrap it in; random ones carry 238 bits, so that none is met by chance.
 */
#include "credential/attach.h"

#include <sys/random.h>

bool credential_allowed_host(const struct policy_credential *c, struct str host)
{
	if (host_type(host) == HOST_INVALID)
		return false;
	for (uint32_t i = 0; i < c->host_count; i++)
		if (policy_host_matches(c->hosts[i], host))
			return true;
	return false;
}

/* Does the source's own text go into a request? Keys, files and client secrets are used otherwise. */
static bool goes_as_it_is(const struct policy_credential *c)
{
	return c->strategy == POLICY_STRATEGY_HEADER || c->strategy == POLICY_STRATEGY_PLACEHOLDER;
}

enum err credential_check_secret(const struct policy_credential *c, struct str secret,
				 const char **ret_reason)
{
	if (secret.n == 0)
		*ret_reason = "it is empty";
	else if (c->scrub && secret.n < CREDENTIAL_SECRET_MIN)
		*ret_reason = "it is shorter than 16 bytes, too short to be searched for in answers "
			      "(\"scrub: false\" allows it)";
	else if (goes_as_it_is(c) && !field_value_check(secret))
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
