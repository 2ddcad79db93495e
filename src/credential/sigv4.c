/* sigv4.c - reading the agent's signature, and putting ours in its place; see sigv4.h
 *
 * Theory of operation: strict where AWS is: each part once, names of the letters that AWS uses, one time. The
 * agent's signature itself is not verified: it proves nothing that we would believe. What it says is only the
 * scope that it wants, which the policy's lists narrow.
 */
#include "credential/sigv4_internal.h"

#include "base/clock.h"
#include "credential/own.h"

void sigv4_free(struct sigv4 *s) { buf_free(&s->storage); }

/* ---- names and times ---- */

static bool is_name(struct str s)
{
	for (size_t i = 0; i < s.n; i++)
		if (!ascii_digit(s.p[i]) && !(s.p[i] >= 'a' && s.p[i] <= 'z') && s.p[i] != '-')
			return false;
	return s.n > 0 && s.n <= SIGV4_NAME_MAX;
}

static bool is_key_id(struct str s)
{
	for (size_t i = 0; i < s.n; i++)
		if (!ascii_digit(s.p[i]) && !ascii_alpha(s.p[i]) && !memchr("-_.", s.p[i], 3))
			return false;
	return s.n > 0 && s.n <= SIGV4_KEY_ID_MAX;
}

static bool parse_time(struct str s, struct sigv4 *ret)
{
	uint64_t year, month, day, hour, minute, second;

	if (s.n != 16 || s.p[8] != 'T' || s.p[15] != 'Z' || !str_decimal(str_make(s.p, 4), 9999, &year) ||
	    !str_decimal(str_make(s.p + 4, 2), 12, &month) || !str_decimal(str_make(s.p + 6, 2), 31, &day) ||
	    !str_decimal(str_make(s.p + 9, 2), 23, &hour) ||
	    !str_decimal(str_make(s.p + 11, 2), 59, &minute) ||
	    !str_decimal(str_make(s.p + 13, 2), 60, &second) || year < 1970 || month == 0 || day == 0)
		return false;
	memcpy(ret->time, s.p, 16);
	ret->time[16] = 0;
	ret->at_s = clock_civil_s(year, month, day, hour, minute, second);
	return true;
}

/* key/date/region/service/aws4_request */
static bool parse_scope(struct str s, struct sigv4 *ret, struct str *ret_date)
{
	struct str part[5];

	for (size_t i = 0; i < 5; i++) {
		size_t slash = str_find(s, '/');

		if ((slash == s.n) != (i == 4))
			return false;
		part[i] = str_head(s, slash);
		s = str_from(s, slash + 1);
	}
	ret->key_id = part[0];
	ret->region = part[2];
	ret->service = part[3];
	*ret_date = part[1];
	return is_key_id(part[0]) && part[1].n == 8 && is_name(part[2]) && is_name(part[3]) &&
	       str_eq(part[4], SIGV4_TERMINATOR);
}

static bool is_header_list(struct str s)
{
	if (s.n == 0)
		return false;
	while (s.n) {
		struct str one = str_head(s, str_find(s, ';'));

		if (!field_name_check(one) || one.n + 1 == s.n)
			return false;
		s = str_from(s, one.n + 1);
	}
	return true;
}

static bool is_signature(struct str s)
{
	for (size_t i = 0; i < s.n; i++)
		if (ascii_hex(s.p[i]) < 0)
			return false;
	return s.n == SIGV4_SIGNATURE_BYTES;
}

/* ---- the two forms ---- */

static bool take(struct str *at, struct str value)
{
	if (at->n)	/* a second one */
		return false;
	*at = value;
	return true;
}

static bool parse_authorization(const struct head *h, struct str value, struct sigv4 *ret)
{
	struct str rest = str_from(value, SIGV4_ALGORITHM.n), scope = { 0 }, signature = { 0 }, date;
	const struct head_field *time = head_find(h, STR("x-amz-date"));

	if (rest.n == 0 || rest.p[0] != ' ' || !time || !parse_time(time->value, ret))
		return false;
	while (rest.n) {
		struct str part = str_trim(str_head(rest, str_find(rest, ',')));
		struct str of = str_from(part, str_find(part, '=') + 1);
		bool good = str_starts(part, STR("Credential=")) ? take(&scope, of)
			    : str_starts(part, STR("SignedHeaders=")) ? take(&ret->signed_headers, of)
			    : str_starts(part, STR("Signature=")) && take(&signature, of);

		if (!good)
			return false;
		rest = str_from(rest, str_find(rest, ',') + 1);
	}
	ret->form = SIGV4_HEADER;
	return is_header_list(ret->signed_headers) && is_signature(signature) &&
	       parse_scope(scope, ret, &date) && str_eq(date, str_make(ret->time, 8));
}

/* the decoded value of one parameter of ours, kept in the storage */
static struct str keep(struct sigv4 *s, struct str encoded)
{
	size_t from = s->storage.len;

	sigv4_put_decoded(encoded, &s->storage);
	return s->storage.err ? (struct str){ NULL, 0 } : str_from(buf_str(&s->storage), from);
}

static const char *const presigned_names[] = {
	"X-Amz-Algorithm", "X-Amz-Credential", "X-Amz-Date", "X-Amz-Expires", "X-Amz-SignedHeaders", "X-Amz-Signature",
};

/* The spelling of a parameter that could be of a signature: one that only some readers take for it is none
 * that can be judged. */
enum spelling {
	OTHER,		/* it is about something else */
	PLAIN,
	STRANGE,	/* with escapes, or in other letters */
};

static enum spelling spelling(struct str name)
{
	static const struct {
		const char *meaning;
		struct str plain;
	} names[] = {
		{ "x-amz-algorithm", STR_INIT("X-Amz-Algorithm") }, { "x-amz-credential", STR_INIT("X-Amz-Credential") },
		{ "x-amz-signature", STR_INIT("X-Amz-Signature") }, { "awsaccesskeyid", STR_INIT("AWSAccessKeyId") },
	};

	for (size_t i = 0; i < sizeof names / sizeof *names; i++)
		if (own_means(name, names[i].meaning))
			return str_eq(name, names[i].plain) ? PLAIN : STRANGE;
	return OTHER;
}

static bool parse_presigned(const struct head *h, struct sigv4 *ret)
{
	struct str values[6] = { { 0 } }, query = h->query, name, value, date;

	while (sigv4_parameter(&query, &name, &value))
		for (size_t i = 0; i < 6; i++)
			if (str_eq(name, str_of(presigned_names[i])) && !take(&values[i], keep(ret, value)))
				return false;
	ret->form = SIGV4_QUERY;
	ret->signed_headers = values[4];
	return str_eq(values[0], SIGV4_ALGORITHM) && parse_time(values[2], ret) &&
	       str_decimal(values[3], SIGV4_EXPIRES_MAX_S, &ret->expires_s) && is_header_list(values[4]) &&
	       is_signature(values[5]) && parse_scope(values[1], ret, &date) &&
	       str_eq(date, str_make(ret->time, 8));
}

/* ---- the payload ---- */

static bool parse_payload(const struct head *h, struct sigv4 *ret, const char **ret_reason)
{
	const struct head_field *stated = head_find(h, SIGV4_CONTENT_HASH);
	const struct head_field *length = head_find(h, STR("x-amz-decoded-content-length"));

	ret->payload = stated || (ret->form == SIGV4_QUERY && sigv4_is_s3(ret->service)) ? SIGV4_STATED
											 : SIGV4_OF_BODY;
	if (!stated || is_signature(stated->value) || str_eq(stated->value, SIGV4_UNSIGNED_PAYLOAD) ||
	    str_eq(stated->value, STR("STREAMING-UNSIGNED-PAYLOAD-TRAILER")))
		return true;
	if (!str_eq(stated->value, STR("STREAMING-AWS4-HMAC-SHA256-PAYLOAD")) &&
	    !str_eq(stated->value, STR("STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER"))) {
		*ret_reason = "its x-amz-content-sha256 is of a kind that is not signed anew";
		return false;
	}
	ret->payload = SIGV4_CHUNKED;
	*ret_reason = "its x-amz-decoded-content-length is missing";
	return length && h->framing != HEAD_BODY_NONE &&
	       str_decimal(length->value, INT64_MAX, &ret->decoded_length);
}

enum err sigv4_parse(const struct head *h, struct sigv4 *ret, const char **ret_reason)
{
	struct sigv4 s = { .form = SIGV4_UNSIGNED };
	const struct head_field *authorization = head_find(h, STR("authorization"));
	struct str query = h->query, name, value;
	bool header = authorization && str_starts(authorization->value, STR("AWS")), presigned = false,
	     good = true;

	while (sigv4_parameter(&query, &name, &value)) {
		presigned |= spelling(name) != OTHER;
		good &= spelling(name) != STRANGE;
	}
	buf_init(&s.storage, HEAD_QUERY_MAX);
	*ret_reason = "its AWS signature cannot be read, or is not AWS4-HMAC-SHA256";
	enum err e = presigned ? buf_reserve(&s.storage, HEAD_QUERY_MAX) : ERR_OK;	/* views must not move */

	if (e != ERR_OK)
		return e;
	if (header)
		good = good && !presigned && str_starts(authorization->value, SIGV4_ALGORITHM) &&
		       parse_authorization(h, authorization->value, &s);
	else if (presigned)
		good = good && !authorization && parse_presigned(h, &s);
	if (good && s.form != SIGV4_UNSIGNED)
		good = parse_payload(h, &s, ret_reason);
	if (!good) {
		sigv4_free(&s);
		return ERR_HEAD_MALFORMED;
	}
	*ret = s;
	return ERR_OK;
}

static bool in_list(const struct str *list, uint32_t count, struct str name)
{
	for (uint32_t i = 0; i < count; i++)
		if (str_eq(list[i], name))
			return true;
	return count == 0;
}

enum err sigv4_check(const struct sigv4 *s, const struct policy_credential *c, const struct head *h,
		     uint64_t now_s, const char **ret_reason)
{
	uint64_t until = s->at_s + (s->form == SIGV4_QUERY ? s->expires_s : SIGV4_SKEW_S);

	*ret_reason = "AWS requests are signed over https only";
	if (h->scheme != HEAD_HTTPS)
		return ERR_CREDENTIAL;
	*ret_reason = "the credential's aws services do not include this one";
	if (!in_list(c->aws_services, c->aws_service_count, s->service))
		return ERR_POLICY_DENIED;
	*ret_reason = "the credential's aws regions do not include this one";
	if (!in_list(c->aws_regions, c->aws_region_count, s->region))
		return ERR_POLICY_DENIED;
	*ret_reason = "the time of its AWS signature is not now";
	return now_s + SIGV4_SKEW_S < s->at_s || now_s > until ? ERR_HEAD_MALFORMED : ERR_OK;
}

/* ---- what is sent ---- */

static struct str written(const struct buf *out, size_t from)
{
	return out->err ? (struct str){ NULL, 0 } : str_from(buf_str(out), from);
}

static void put_scope(const struct sigv4 *s, struct str key_id, struct buf *out)
{
	buf_put(out, key_id);
	buf_printf(out, "/%.8s/%.*s/%.*s/aws4_request", s->time, STR_FMT(s->region), STR_FMT(s->service));
}

/* "aws-chunked,gzip" without aws-chunked */
static enum err drop_chunked_coding(struct head *h, struct buf *out)
{
	const struct head_field *field = head_find(h, STR("content-encoding"));
	struct str rest = field ? field->value : STR("");
	size_t from = out->len;

	while (rest.n) {
		struct str one = str_trim(str_head(rest, str_find(rest, ',')));

		rest = str_from(rest, str_find(rest, ',') + 1);
		if (str_eq_nocase(one, STR("aws-chunked")))
			continue;
		buf_put(out, out->len > from ? STR(",") : STR(""));
		buf_put(out, one);
	}
	struct str left = written(out, from);

	(void)head_remove(h, STR("content-encoding"));
	return left.n ? head_add(h, STR("content-encoding"), left) : ERR_OK;
}

static enum err prepare_chunked(const struct sigv4 *s, struct head *h, struct buf *out)
{
	static const char *const gone[] = { "x-amz-content-sha256", "x-amz-decoded-content-length",
					    "x-amz-trailer", "x-amz-sdk-checksum-algorithm" };

	for (size_t i = 0; i < sizeof gone / sizeof *gone; i++)
		(void)head_remove(h, str_of(gone[i]));
	h->framing = HEAD_BODY_LENGTH;
	h->length = s->decoded_length;
	h->trailers = false;
	enum err e = drop_chunked_coding(h, out);

	return e == ERR_OK ? head_add(h, SIGV4_CONTENT_HASH, SIGV4_UNSIGNED_PAYLOAD) : e;
}

/* The query without what is ours to say, then that. */
static void prepare_query(const struct sigv4 *s, struct str key_id, struct str token, struct head *h,
			  struct buf *out)
{
	struct str query = h->query, name, value;
	auto_buf names = BUF_EMPTY, scope = BUF_EMPTY;
	size_t from = out->len;

	buf_init(&names, HEAD_MAX_BYTES);
	buf_init(&scope, SIGV4_KEY_ID_MAX + 4 * (size_t)SIGV4_NAME_MAX);
	while (sigv4_parameter(&query, &name, &value)) {
		if (str_eq(name, STR("X-Amz-Signature")) || str_eq(name, STR("X-Amz-Security-Token")) ||
		    str_eq(name, STR("X-Amz-Credential")) || str_eq(name, STR("X-Amz-SignedHeaders")))
			continue;
		buf_put(out, out->len > from ? STR("&") : STR(""));
		buf_put(out, name);
		buf_put_byte(out, '=');
		buf_put(out, value);
	}
	put_scope(s, key_id, &scope);
	sigv4_put_signed_headers(s, h, &names);
	buf_put_z(out, "&X-Amz-Credential=");
	sigv4_put_encoded(buf_str(&scope), false, out);
	buf_put_z(out, "&X-Amz-SignedHeaders=");
	sigv4_put_encoded(buf_str(&names), false, out);
	if (token.n) {
		buf_put_z(out, "&X-Amz-Security-Token=");
		sigv4_put_encoded(token, false, out);
	}
	if (!out->err && (names.err || scope.err))
		out->err = names.err ? names.err : scope.err;
	h->query = written(out, from);
}

static enum err settle(const struct buf *out, const struct head *h, enum err e)
{
	if (e != ERR_OK)
		return e;
	if (buf_err(out))
		return buf_err(out) == ERR_LIMIT ? ERR_HEAD_TOO_LARGE : buf_err(out);
	e = head_check(h);
	return e == ERR_HEAD_MALFORMED ? ERR_CREDENTIAL : e;
}

enum err sigv4_prepare(const struct sigv4 *s, const struct head *in, struct str key_id, struct str token,
		       struct buf *out, struct head *ret_head)
{
	struct head h = *in;
	enum err e = buf_reserve(out, buf_room(out));	/* views must not move */

	if (e == ERR_OK && (!is_key_id(key_id) || s->form == SIGV4_UNSIGNED))
		e = ERR_CREDENTIAL;
	if (e != ERR_OK)
		return e;
	(void)head_remove(&h, STR("authorization"));
	(void)head_remove(&h, STR("x-amz-security-token"));
	if (s->payload == SIGV4_CHUNKED)
		e = prepare_chunked(s, &h, out);
	if (e == ERR_OK && s->form == SIGV4_HEADER && token.n) {
		size_t from = out->len;

		buf_put(out, token);
		e = head_add(&h, STR("x-amz-security-token"), written(out, from));
	} else if (e == ERR_OK && s->form == SIGV4_QUERY) {
		prepare_query(s, key_id, token, &h, out);
	}
	e = settle(out, &h, e);
	if (e == ERR_OK)
		*ret_head = h;
	return e;
}

enum err sigv4_finish(const struct sigv4 *s, struct str key_id, struct str signature, struct buf *out,
		      struct head *head)
{
	struct head h = *head;
	size_t from = out->len;
	enum err e = ERR_OK;

	if (!is_signature(signature))
		return ERR_CREDENTIAL;
	if (s->form == SIGV4_HEADER) {
		buf_put(out, SIGV4_ALGORITHM);
		buf_put_z(out, " Credential=");
		put_scope(s, key_id, out);
		buf_put_z(out, ", SignedHeaders=");
		sigv4_put_signed_headers(s, head, out);
		buf_put_z(out, ", Signature=");
		buf_put(out, signature);
		e = head_add(&h, STR("authorization"), written(out, from));
	} else {
		buf_put(out, h.query);
		buf_put_z(out, "&X-Amz-Signature=");
		buf_put(out, signature);
		h.query = written(out, from);
	}
	e = settle(out, &h, e);
	if (e == ERR_OK)
		*head = h;
	return e;
}
