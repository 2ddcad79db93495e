/* json.c - RFC 8785 canonical JSON of the trail
 *
 * Theory of operation: there is one way to write each value, so that the bytes can be hashed.
 * The reader takes that one way and no other: no white space, names ascending (ASCII only, so
 * that the order by bytes is the RFC's order by UTF-16 units), each string escaped exactly as
 * the writer does it, which is shown by writing it again. It reads files that an attacker may
 * have changed, so depth and members are bounded and nothing is allocated from a length found
 * there. Sources: RFC 8785 s3.2; RFC 8259.
 */
#include "audit/json.h"

#include "base/reader.h"

#define STRING_MAX 65536	/* longest that is read back; a line is shorter */

/* The escape of @c, or 0 if it stands for itself; 'u' for the long form. */
static char escape_of(char c)
{
	switch (c) {
	case '\b': return 'b';
	case '\t': return 't';
	case '\n': return 'n';
	case '\f': return 'f';
	case '\r': return 'r';
	case '"':
	case '\\': return c;
	default: return (unsigned char)c < 0x20 ? 'u' : 0;
	}
}

/* Whether some byte of @x is 0. */
static bool has_zero(uint64_t x) { return (x - UINT64_C(0x0101010101010101)) & ~x & UINT64_C(0x8080808080808080); }

bool json_is_plain(struct str s)
{
	size_t i = 0;

	for (; s.n - i >= 8; i += 8) {
		uint64_t x;

		memcpy(&x, s.p + i, sizeof x);
		if ((x & UINT64_C(0x8080808080808080)) || has_zero(x & UINT64_C(0xe0e0e0e0e0e0e0e0)) ||
		    has_zero(x ^ UINT64_C(0x2222222222222222)) || has_zero(x ^ UINT64_C(0x5c5c5c5c5c5c5c5c)))
			return false;
	}
	for (; i < s.n; i++)
		if ((unsigned char)s.p[i] >= 0x80 || escape_of(s.p[i]))
			return false;
	return true;
}

void json_put_string(struct buf *b, struct str utf8)
{
	size_t plain = 0;

	buf_put_byte(b, '"');
	for (size_t i = 0; i < utf8.n; i++) {
		char e = escape_of(utf8.p[i]);

		if (!e)
			continue;
		buf_put(b, str_make(utf8.p + plain, i - plain));
		plain = i + 1;
		if (e == 'u') {
			buf_put_z(b, "\\u00");
			buf_put_hex(b, str_make(utf8.p + i, 1));
		} else {
			buf_put_byte(b, '\\');
			buf_put_byte(b, (uint8_t)e);
		}
	}
	buf_put(b, str_from(utf8, plain));
	buf_put_byte(b, '"');
}

size_t json_string_fit(struct str utf8, size_t max)
{
	size_t i = 0, used = 0, boundary = 0;

	for (; i < utf8.n; i++) {
		char e = escape_of(utf8.p[i]);
		size_t cost = e == 'u' ? 6 : e ? 2 : 1;

		if (((unsigned char)utf8.p[i] & 0xc0) != 0x80)
			boundary = i;
		if (cost > max - used)
			return boundary;
		used += cost;
	}
	return utf8.n;
}

bool json_name_is_ours(struct str name)
{
	if (name.n == 0 || name.n > 64 || name.p[0] < 'a' || name.p[0] > 'z')
		return false;
	for (size_t i = 0; i < name.n; i++) {
		char c = name.p[i];

		if (!(c >= 'a' && c <= 'z') && !ascii_digit(c) && c != '_')
			return false;
	}
	return true;
}

/* One escape after its backslash; only those that the writer makes are known. */
static bool read_escape(struct reader *r, struct buf *out)
{
	static const char codes[] = "btnfr\"\\", bytes[] = "\b\t\n\f\r\"\\";
	struct str one, digits;
	const char *code;

	if (!reader_take(r, 1, &one))
		return false;
	if (*one.p == 'u') {
		if (!reader_literal(r, STR("00")) || !reader_take(r, 2, &digits) ||
		    ascii_hex(digits.p[0]) < 0 || ascii_hex(digits.p[1]) < 0)
			return false;
		buf_put_byte(out, (uint8_t)(ascii_hex(digits.p[0]) << 4 | ascii_hex(digits.p[1])));
		return true;
	}
	code = memchr(codes, *one.p, sizeof codes - 1);
	if (!code)
		return false;
	buf_put_byte(out, (uint8_t)bytes[code - codes]);
	return true;
}

/* The bytes between the quotes, unescaped. */
static bool unescape(struct str inner, struct buf *out)
{
	struct reader r = reader_of(inner);
	struct str plain;

	while (reader_until(&r, '\\', &plain)) {
		buf_put(out, plain);
		if (!read_escape(&r, out))
			return false;
	}
	buf_put(out, reader_rest(&r));
	return true;
}

/* Written again, the string must be the same bytes. */
static bool string_is_canonical(struct str quoted, struct str inner)
{
	auto_buf plain = BUF_EMPTY, again = BUF_EMPTY;

	buf_init(&plain, STRING_MAX);
	buf_init(&again, STRING_MAX * 6 + 2);
	if (!unescape(inner, &plain) || buf_err(&plain) || !str_is_utf8(buf_str(&plain)))
		return false;
	json_put_string(&again, buf_str(&plain));
	return !buf_err(&again) && str_eq(buf_str(&again), quoted);
}

static bool read_string(struct reader *r)
{
	const char *start = r->p;
	bool plain = true;
	struct str inner;

	if (!reader_literal(r, STR("\"")))
		return false;
	for (; r->p < r->end && *r->p != '"'; r->p++) {
		if ((unsigned char)*r->p < 0x20)
			return false;
		if (*r->p == '\\') {
			plain = false;
			if (++r->p == r->end)
				return false;
		}
	}
	inner = str_make(start + 1, (size_t)(r->p - start) - 1);
	if (!reader_literal(r, STR("\"")))
		return false;
	return plain ? str_is_utf8(inner) : string_is_canonical(str_make(start, inner.n + 2), inner);
}

static bool read_integer(struct reader *r)
{
	const char *start = r->p;
	uint64_t v;

	while (r->p < r->end && ascii_digit(*r->p))
		r->p++;
	if (r->p - start > 1 && *start == '0')
		return false;
	return str_decimal(str_make(start, (size_t)(r->p - start)), JSON_INTEGER_MAX, &v);
}

static bool read_value(struct reader *r, unsigned depth, struct json_value *ret);

static bool read_list(struct reader *r, unsigned depth)
{
	struct json_value v;

	if (!reader_literal(r, STR("[")))
		return false;
	if (reader_literal(r, STR("]")))
		return true;
	do {
		if (!read_value(r, depth, &v))
			return false;
	} while (reader_literal(r, STR(",")));
	return reader_literal(r, STR("]"));
}

/* @ret may be NULL: then the members are only checked. */
static bool read_object(struct reader *r, unsigned depth, struct json_object *ret)
{
	struct str name, last = { NULL, 0 };
	struct json_value v;

	if (!reader_literal(r, STR("{")))
		return false;
	if (reader_literal(r, STR("}")))
		return true;
	do {
		if (!reader_literal(r, STR("\"")) || !reader_until(r, '"', &name) ||
		    !json_name_is_ours(name) || str_compare(last, name) >= 0 ||
		    !reader_literal(r, STR(":")) || !read_value(r, depth, &v))
			return false;
		last = name;
		if (!ret)
			continue;
		if (ret->count == JSON_MEMBERS_MAX)
			return false;
		ret->members[ret->count].name = name;
		ret->members[ret->count++].value = v;
	} while (reader_literal(r, STR(",")));
	return reader_literal(r, STR("}"));
}

static bool read_value(struct reader *r, unsigned depth, struct json_value *ret)
{
	const char *start = r->p;
	bool ok;

	if (reader_done(r) || depth == JSON_DEPTH_MAX)
		return false;
	switch (*r->p) {
	case '"':
		ret->type = JSON_STRING;
		ok = read_string(r);
		break;
	case '{':
		ret->type = JSON_OBJECT;
		ok = read_object(r, depth + 1, NULL);
		break;
	case '[':
		ret->type = JSON_LIST;
		ok = read_list(r, depth + 1);
		break;
	case 't':
	case 'f':
		ret->type = JSON_BOOL;
		ok = reader_literal(r, STR("true")) || reader_literal(r, STR("false"));
		break;
	default:
		ret->type = JSON_INTEGER;
		ok = read_integer(r);
	}
	ret->text = str_make(start, (size_t)(r->p - start));
	return ok;
}

enum err json_object_read(struct str text, struct json_object *ret)
{
	struct reader r = reader_of(text);

	ret->count = 0;
	return read_object(&r, 1, ret) && reader_done(&r) ? ERR_OK : ERR_INPUT;
}

const struct json_value *json_member(const struct json_object *o, const char *name, enum json_type type)
{
	for (size_t i = 0; i < o->count; i++)
		if (str_eq(o->members[i].name, str_of(name)))
			return o->members[i].value.type == type ? &o->members[i].value : NULL;
	return NULL;
}

enum err json_text(struct str value, struct buf *out)
{
	if (value.n < 2 || value.p[0] != '"' || value.p[value.n - 1] != '"' ||
	    !unescape(str_make(value.p + 1, value.n - 2), out))
		return ERR_INPUT;
	return buf_err(out);
}

bool json_integer_of(struct str value, uint64_t *ret) { return str_decimal(value, JSON_INTEGER_MAX, ret); }

bool json_list_next(struct str *rest, struct json_value *ret)
{
	struct reader r = reader_of(*rest);

	if (!reader_literal(&r, STR("[")) && !reader_literal(&r, STR(",")))
		return false;
	if (!read_value(&r, 1, ret))
		return false;
	*rest = reader_rest(&r);
	return true;
}
