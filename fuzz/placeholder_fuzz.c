/* placeholder_fuzz.c - a placeholder is replaced if and only
 * if it stands where it may, and nothing else is changed
 *
 * Input: byte 0 the strategy, byte 1 the parts where it may stand, byte 2 and 3 lengths; then the secret;
 * then four texts with NUL between: a path, a query, a field's value, a body. In them 0xff stands for the
 * placeholder, 0xfe for the placeholder as Basic has it. The finder here looks at one byte after the other.
 */
#include "credential/attach.h"

#include <stdlib.h>

#define ROOM ((size_t)65536)
#define PLACEHOLDER "tok-0123456789abcdefPLACEHOLDER"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(bool holds)
{
	if (!holds)
		abort();
}

static bool is_word(char c) { return ascii_alpha(c) || ascii_digit(c); }

/* How often the placeholder stands in @s with no letter or digit at either side (in a path, letters
 * alone may stand between a slash and it). Those before it are seen from where the last one found ended. */
static unsigned count_whole(struct str s, bool path)
{
	struct str p = STR(PLACEHOLDER);
	unsigned found = 0;

	for (size_t i = 0; i + p.n <= s.n; i++) {
		size_t before = i;
		bool left;

		if (memcmp(s.p + i, p.p, p.n) != 0)
			continue;
		while (path && before && ascii_alpha(s.p[before - 1]))
			before--;
		left = before == 0 || !is_word(s.p[before - 1]) || (path && s.p[before - 1] == '/');
		if (path && before != i && before && s.p[before - 1] != '/')
			left = false;
		found += left && (i + p.n == s.n || !is_word(s.p[i + p.n]));
		i += p.n - 1;
	}
	return found;
}

static unsigned count(struct str s, struct str needle)
{
	unsigned found = 0;

	for (size_t i = 0; i + needle.n <= s.n; i++) {
		if (memcmp(s.p + i, needle.p, needle.n) != 0)
			continue;
		found++;
		i += needle.n - 1;
	}
	return found;
}

struct input {
	struct policy_credential credential;
	char secret[64];
	struct str secret_text;
	struct buf texts[4];
	unsigned type;
};

static void put_basic(struct buf *out)
{
	auto_buf pair = BUF_EMPTY;

	buf_init(&pair, 256);
	buf_put_z(&pair, "user:" PLACEHOLDER);
	buf_put_z(out, "Basic ");
	buf_put_base64(out, buf_str(&pair));
}

static void put_texts(struct input *in, struct str raw)
{
	unsigned n = 0;

	for (size_t i = 0; i < raw.n && n < 4; i++) {
		uint8_t c = (uint8_t)raw.p[i];

		if (c == 0)
			n++;
		else if (c == 0xff)
			buf_put_z(&in->texts[n], PLACEHOLDER);
		else if (c == 0xfe)
			put_basic(&in->texts[n]);
		else
			buf_put_byte(&in->texts[n], c);
	}
}

/* A secret that nothing else can be taken for: it has a
 * byte that the texts' own bytes never have in a row. */
static bool read_input(const uint8_t *data, size_t size, struct input *in)
{
	static const enum policy_strategy strategies[] = {
		POLICY_STRATEGY_PLACEHOLDER, POLICY_STRATEGY_PLACEHOLDER, POLICY_STRATEGY_PLACEHOLDER,
		POLICY_STRATEGY_HEADER, POLICY_STRATEGY_TOKEN, POLICY_STRATEGY_LOGIN, POLICY_STRATEGY_SIGV4,
	};
	size_t n;

	if (size < 4)
		return false;
	n = 16 + data[2] % 32u;
	in->type = data[2] / 32u % 4u;
	if (size < 4 + n)
		return false;
	in->credential = (struct policy_credential){
		.name = STR("fuzz"), .strategy = strategies[data[0] % 7u], .parts = data[1] & 63u,
		.scrub = true, .header_name = STR("x-key"), .header_format = STR("Bearer {secret}"),
	};
	for (size_t i = 0; i < n; i++)
		in->secret[i] = (char)(0x21 + data[4 + i] % 0x5eu);
	in->secret[0] = '\xee';
	in->secret[1] = '\xed';
	in->secret_text = str_make(in->secret, n);
	for (unsigned i = 0; i < 4; i++)
		buf_init(&in->texts[i], ROOM);
	put_texts(in, str_make(data + 4 + n, size - 4 - n));
	return true;
}

static struct head head_of(struct input *in, const char *field)
{
	static const char *const types[] = {
		"application/json", "application/x-www-form-urlencoded ; charset=utf-8", "application/x+json",
		"text/plain",
	};
	struct head h = {
		.kind = HEAD_REQUEST, .scheme = HEAD_HTTPS, .framing = HEAD_BODY_STREAMED, .port = 443,
		.has_query = true, .method = STR("POST"), .host = STR("api.example.test"),
		.path = buf_str(&in->texts[0]), .query = buf_str(&in->texts[1]),
	};

	check(!head_add(&h, STR("host"), STR("api.example.test")));
	check(!head_add(&h, str_of(field), buf_str(&in->texts[2])));
	check(!head_add(&h, STR("content-type"), str_of(types[in->type])));
	return h;
}

/* The secret as query and path have it, to count it there. */
static void put_percent(struct buf *b, struct str s, const char *keep)
{
	for (size_t i = 0; i < s.n; i++) {
		if (is_word(s.p[i]) || (s.p[i] && strchr(keep, s.p[i])))
			buf_put_byte(b, (uint8_t)s.p[i]);
		else
			buf_printf(b, "%%%02X", (uint8_t)s.p[i]);
	}
}

static void check_replaced(struct str before, struct str after, struct str secret, bool may, bool path)
{
	unsigned whole = may ? count_whole(before, path) : 0;

	if (count(before, secret))	/* the fuzzer guessed it */
		return;
	check(count(after, secret) == whole);
	check(count(after, STR(PLACEHOLDER)) == count(before, STR(PLACEHOLDER)) - whole);
	check(after.n == before.n + whole * secret.n - whole * (sizeof PLACEHOLDER - 1));
	check(whole || str_eq(before, after));
}

static void check_head(const struct input *in, const struct head *h, const struct head *sent, bool attached)
{
	unsigned parts = in->credential.parts;
	auto_buf query = BUF_EMPTY, path = BUF_EMPTY;
	struct str value = h->fields[1].value;

	check(head_check(sent) == ERR_OK && sent->field_count == h->field_count);
	check(str_eq(sent->method, h->method) && str_eq(sent->host, h->host));
	buf_init(&query, 256);
	buf_init(&path, 256);
	put_percent(&query, in->secret_text, "-._~");
	put_percent(&path, in->secret_text, "-._~:@");
	check_replaced(h->query, sent->query, buf_str(&query), parts & POLICY_IN_QUERY, false);
	check_replaced(h->path, sent->path, buf_str(&path), parts & POLICY_IN_PATH, true);
	check(str_eq(sent->fields[0].value, h->fields[0].value) &&
	      str_eq(sent->fields[2].value, h->fields[2].value));
	if (str_eq(h->fields[1].name, STR("x-any")))
		check_replaced(value, sent->fields[1].value, in->secret_text, parts & POLICY_IN_HEADER,
			       false);
	else if (str_eq(h->fields[1].name, STR("x-amz-meta-any")))
		check(str_eq(sent->fields[1].value, value));
	check(attached || (str_eq(sent->path, h->path) && str_eq(sent->query, h->query) &&
			   str_eq(sent->fields[1].value, value)));
}

/* header, token, login: one field, whatever the agent had there; and the secret nowhere else. */
static void check_header(const struct input *in, const struct head *h, const struct head *sent, bool attached)
{
	bool login = in->credential.strategy == POLICY_STRATEGY_LOGIN;
	unsigned fields = 0, before = 0, after = 0, keys = 0;

	check(attached == (!login || head_find(h, STR("x-key"))));
	check(str_eq(sent->path, h->path) && str_eq(sent->query, h->query) && head_check(sent) == ERR_OK);
	for (uint32_t i = 0; i < h->field_count; i++)
		before += str_eq(h->fields[i].name, STR("x-key")) ? 0 : count(h->fields[i].value,
									      in->secret_text);
	for (uint32_t i = 0; i < sent->field_count; i++) {
		bool key = str_eq(sent->fields[i].name, STR("x-key"));

		fields += key;
		*(key ? &keys : &after) += count(sent->fields[i].value, in->secret_text);
		check(!key || !attached || (str_starts(sent->fields[i].value, STR("Bearer ")) &&
		      str_eq(str_from(sent->fields[i].value, 7), in->secret_text)));
	}
	check(!attached || (fields == 1 && keys == 1 && after == before));
}

static void try_head(struct input *in, const char *field)
{
	static struct head h, sent;
	auto_buf out = BUF_EMPTY, own = BUF_EMPTY;
	bool attached = false;
	enum err e;

	h = head_of(in, field);
	if (head_check(&h) != ERR_OK )
		return;
	buf_init_secret(&out, ATTACH_BYTES_MAX);
	buf_init_secret(&own, ATTACH_OWN_MAX);
	if (attach_body_kind(&in->credential, &h) != ATTACH_BODY_NOT)
		check(in->type != 3 && (in->credential.parts & POLICY_IN_BODY));
	(void)attach_own(&in->credential, STR(PLACEHOLDER), &h, &own);
	e = attach_apply(&in->credential, in->secret_text, STR(PLACEHOLDER), &h, &out, &sent, &attached);
	check(e == ERR_OK || e == ERR_HEAD_TOO_LARGE || e == ERR_CREDENTIAL || e == ERR_MEMORY);
	if (e != ERR_OK)
		return;
	if (in->credential.strategy == POLICY_STRATEGY_PLACEHOLDER)
		check_head(in, &h, &sent, attached);
	else
		check_header(in, &h, &sent, attached);
}

static void try_body(struct input *in, enum attach_body kind)
{
	struct str before = buf_str(&in->texts[3]);
	auto_buf out = BUF_EMPTY, coded = BUF_EMPTY;
	bool changed = false;

	buf_init_secret(&out, 4 * ROOM);
	buf_init(&coded, 256);
	if (kind == ATTACH_BODY_FORM)
		put_percent(&coded, in->secret_text, "-._~");
	else
		for (size_t i = 0; i < in->secret_text.n; i++) {
			if (in->secret_text.p[i] == '"' || in->secret_text.p[i] == '\\')
				buf_put_byte(&coded, '\\');
			buf_put_byte(&coded, (uint8_t)in->secret_text.p[i]);
		}
	if (attach_text(kind, in->secret_text, STR(PLACEHOLDER), before, &out, &changed) != ERR_OK)
		return;
	check_replaced(before, buf_str(&out), buf_str(&coded), kind != ATTACH_BODY_NOT, false);
	check(changed == (kind != ATTACH_BODY_NOT && count_whole(before, false) > 0));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const char *const fields[] = { "x-any", "authorization", "x-amz-meta-any", "x-key", "cookie" };
	struct input in;

	if (!read_input(data, size, &in))
		return 0;
	check(attach_judge(buf_str(&in.texts[2])) <= ATTACH_OWN_REAL);
	try_head(&in, fields[data[3] % 5u]);
	try_body(&in, ATTACH_BODY_NOT);
	try_body(&in, ATTACH_BODY_JSON);
	try_body(&in, ATTACH_BODY_FORM);
	for (unsigned i = 0; i < 4; i++)
		buf_free(&in.texts[i]);
	return 0;
}
