/* keeper_sigv4.c - AWS signatures; see keeper_ops.h
 *
 * Theory of operation: the source is read into id, secret and token, the string to sign is taken apart line
 * by line (it names date, region and service itself, which the key is derived from), and signed. What is
 * signed is of these forms only; what the hashes in it stand for is the courier's to answer for.
 * Source: AWS, "Create a signed AWS API request"; "Sigv4: Signature calculations for the
 * Authorization header: transferring payload in multiple chunks"; "Process credential provider".
 */
#include "credential/keeper_ops.h"

#include "base/clock.h"

#include <jansson.h>
#define ERR_STATE OPENSSL_ERR_STATE	/* OpenSSL has a type of that name, which nobody needs */
#include <openssl/evp.h>
#include <openssl/hmac.h>
#undef ERR_STATE

#define HASH_BYTES 32
#define KEY_ID_MAX 128
#define AWS_SECRET_MAX 256
#define HOUR_S 3600
#define EARLY_S 60

struct keys { struct str id, secret, token; };

/* ---- the source ---- */

static bool visible(struct str s)
{
	for (size_t i = 0; i < s.n; i++)
		if (s.p[i] <= ' ' || s.p[i] > '~')
			return false;
	return true;
}

/* A line's text, of a file that may come from Windows. */
static struct str trim(struct str s)
{
	return str_trim(s.n && s.p[s.n - 1] == '\r' ? str_head(s, s.n - 1) : s);
}

/* "[name]", and "[profile name]" as ~/.aws/config has it */
static bool is_section(struct str line, struct str profile)
{
	struct str name = trim(str_head(str_from(line, 1), str_find(str_from(line, 1), ']')));

	if (str_starts(name, STR("profile ")))
		name = trim(str_from(name, 8));
	return str_eq(name, profile);
}

static void read_ini(struct str text, struct str profile, struct keys *ret)
{
	bool inside = false;

	while (text.n) {
		struct str line = trim(str_head(text, str_find(text, '\n'))), name, value;

		text = str_from(text, str_find(text, '\n') + 1);
		if (str_starts(line, STR("[")))
			inside = is_section(line, profile);
		if (!inside || line.n == 0 || line.p[0] == '#' || line.p[0] == ';' || line.p[0] == '[')
			continue;
		name = trim(str_head(line, str_find(line, '=')));
		value = trim(str_from(line, str_find(line, '=') + 1));
		if (str_eq_nocase(name, STR("aws_access_key_id")))
			ret->id = value;
		else if (str_eq_nocase(name, STR("aws_secret_access_key")))
			ret->secret = value;
		else if (str_eq_nocase(name, STR("aws_session_token")))
			ret->token = value;
	}
}

static struct str member(json_t *o, const char *name)
{
	json_t *v = json_object_get(o, name);

	return str_make(json_string_value(v), json_string_length(v));
}

static void read_triple(struct str text, struct keys *ret)
{
	struct str line = trim(str_head(text, str_find(text, '\n')));

	ret->id = str_head(line, str_find(line, ':'));
	line = str_from(line, ret->id.n + 1);
	ret->secret = str_head(line, str_find(line, ':'));
	ret->token = str_from(line, ret->secret.n + 1);
}

/* @ret_json: what the views of *@ret are of, if it is JSON */
static enum err read_keys(const struct keeper_credential *c, struct str text, json_t **ret_json,
			  struct keys *ret)
{
	struct str profile = c->profile ? str_of(c->profile) : STR("default");

	*ret = (struct keys){ .id = { NULL, 0 } };
	*ret_json = NULL;
	if (str_starts(trim(text), STR("{"))) {
		*ret_json = json_loadb(text.p, text.n, JSON_REJECT_DUPLICATES, NULL);
		ret->id = member(*ret_json, "AccessKeyId");
		ret->secret = member(*ret_json, "SecretAccessKey");
		ret->token = member(*ret_json, "SessionToken");
	} else if (str_find(text, '[') != text.n) {
		read_ini(text, profile, ret);
	} else {
		read_triple(text, ret);
	}
	return ret->id.n && ret->id.n <= KEY_ID_MAX && ret->secret.n && ret->secret.n <= AWS_SECRET_MAX &&
			       visible(ret->id) && visible(ret->secret) && visible(ret->token)
		       ? ERR_OK : ERR_CREDENTIAL;
}

/* ---- what is to be signed ---- */

static bool all_of(struct str s, size_t min, size_t max, bool (*good)(char c))
{
	if (s.n < min || s.n > max)
		return false;
	for (size_t i = 0; i < s.n; i++)
		if (!good(s.p[i]))
			return false;
	return true;
}

static bool is_digit(char c) { return ascii_digit(c); }
static bool is_hex(char c) { return ascii_digit(c) || (c >= 'a' && c <= 'f'); }
static bool is_name(char c) { return ascii_digit(c) || ascii_alpha(c) || c == '-' || c == '_' || c == '.'; }

static struct str take(struct str *rest, char until)
{
	struct str part = str_head(*rest, str_find(*rest, until));

	*rest = str_from(*rest, part.n + 1);
	return part;
}

struct scope { struct str date, region, service; };

/* algorithm, time, scope, then hashes: one of the request, or three and two of a chunk and a trailer */
static bool read_string(struct str s, struct scope *ret)
{
	struct str algorithm = take(&s, '\n'), time = take(&s, '\n'), scope = take(&s, '\n');
	size_t hashes = str_eq(algorithm, STR("AWS4-HMAC-SHA256"))	   ? 1
			: str_eq(algorithm, STR("AWS4-HMAC-SHA256-PAYLOAD")) ? 3
			: str_eq(algorithm, STR("AWS4-HMAC-SHA256-TRAILER")) ? 2 : 0;

	*ret = (struct scope){ .date = take(&scope, '/'), .region = take(&scope, '/'),
			       .service = take(&scope, '/') };
	if (hashes == 0 || s.n != hashes * 64 + (hashes - 1) || !str_eq(scope, STR("aws4_request")) ||
	    !all_of(ret->date, 8, 8, is_digit) || !all_of(ret->region, 1, 64, is_name) ||
	    !all_of(ret->service, 1, 64, is_name) || time.n != 16 || !str_starts(time, ret->date) ||
	    time.p[8] != 'T' || time.p[15] != 'Z' || !all_of(str_make(time.p + 9, 6), 6, 6, is_digit))
		return false;
	while (hashes--)
		if (!all_of(take(&s, '\n'), 64, 64, is_hex))
			return false;
	return true;
}

static bool listed(char *const *list, struct str name)
{
	for (size_t i = 0; list && list[i]; i++)
		if (str_eq(str_of(list[i]), name))
			return true;
	return !list || !list[0];
}

static bool hmac(uint8_t key[HASH_BYTES], struct str data)
{
	uint8_t mac[HASH_BYTES];
	unsigned n = sizeof mac;
	bool ok = HMAC(EVP_sha256(), key, HASH_BYTES, (const uint8_t *)data.p, data.n, mac, &n) != NULL;

	memcpy(key, mac, sizeof mac);
	explicit_bzero(mac, sizeof mac);
	return ok;
}

static bool sign(struct str secret, const struct scope *scope, struct str text, uint8_t ret[HASH_BYTES])
{
	char first[4 + AWS_SECRET_MAX] = "AWS4";
	unsigned n = HASH_BYTES;
	bool ok;

	memcpy(first + 4, secret.p, secret.n);
	ok = HMAC(EVP_sha256(), first, (int)(4 + secret.n), (const uint8_t *)scope->date.p, scope->date.n,
		  ret, &n) &&
	     hmac(ret, scope->region) && hmac(ret, scope->service) && hmac(ret, STR("aws4_request")) &&
	     hmac(ret, text);
	explicit_bzero(first, sizeof first);
	return ok;
}

static enum err answer(const struct keeper_credential *c, const struct keys *keys, struct str asked,
		       struct buf *out, const char **ret_reason)
{
	uint8_t signature[HASH_BYTES];
	auto_buf hex = BUF_EMPTY;
	struct scope scope;

	buf_init(&hex, 2 * sizeof signature);
	*ret_reason = "what was to be signed is no AWS string to sign";
	if (asked.n && !read_string(asked, &scope))
		return ERR_INPUT;
	*ret_reason = "a signature was asked for a service or a region that it is not for";
	if (asked.n && (!listed(c->services, scope.service) || !listed(c->regions, scope.region)))
		return ERR_INPUT;
	*ret_reason = "OpenSSL could not sign";
	if (asked.n && !sign(keys->secret, &scope, asked, signature))
		return ERR_MEMORY;
	if (asked.n)
		buf_put_hex(&hex, str_make(signature, sizeof signature));
	keeper_put_field(out, keys->id);
	keeper_put_field(out, keys->token);
	keeper_put_field(out, buf_str(&hex));
	return buf_err(out);
}

enum err keeper_op_sigv4(const struct keeper_credential *c, struct str text, struct str asked,
			 struct buf *out, const char **ret_reason)
{
	struct keys keys;
	json_t *json;
	enum err e = read_keys(c, text, &json, &keys);

	if (e)
		*ret_reason = "it holds no AWS access key of its profile";
	else
		e = answer(c, &keys, asked, out, ret_reason);
	json_decref(json);
	return e;
}

/* ---- how long it lasts ---- */

/* "2026-11-22T05:00:00Z", also with a fraction or "+00:00": to seconds since 1970; 0 if it is none,
 * as it is of another place's time */
static uint64_t rfc3339_s(struct str s)
{
	uint64_t year, month, day, hour, minute, second;
	struct str zone = str_from(s, 19);

	if (s.n < 20 || s.p[4] != '-' || s.p[7] != '-' || s.p[10] != 'T' || s.p[13] != ':' ||
	    s.p[16] != ':' ||
	    !str_decimal(str_make(s.p, 4), 9999, &year) || !str_decimal(str_make(s.p + 5, 2), 12, &month) ||
	    !str_decimal(str_make(s.p + 8, 2), 31, &day) || !str_decimal(str_make(s.p + 11, 2), 23, &hour) ||
	    !str_decimal(str_make(s.p + 14, 2), 59, &minute) ||
	    !str_decimal(str_make(s.p + 17, 2), 60, &second) ||
	    year < 1970 || month < 1 || day < 1)
		return 0;
	if (zone.p[0] == '.')
		for (zone = str_from(zone, 1); zone.n && ascii_digit(zone.p[0]);)
			zone = str_from(zone, 1);
	if (!str_eq(zone, STR("Z")) && !str_eq(zone, STR("+00:00")))
		return 0;
	return clock_civil_s(year, month, day, hour, minute, second);
}

uint64_t keeper_text_expires_s(const struct keeper_credential *c, struct str text, uint64_t now_s)
{
	json_t *json =
		c->use == KEEPER_USE_SIGV4 ? json_loadb(text.p, text.n, JSON_REJECT_DUPLICATES, NULL) : NULL;
	uint64_t said = rfc3339_s(member(json, "Expiration"));

	json_decref(json);
	return said > EARLY_S ? said - EARLY_S : now_s + HOUR_S;
}
