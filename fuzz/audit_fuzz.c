/* audit_fuzz.c - the reader of records, and of notes and keys
 *
 * What the reader takes, written again by the writer, must be the same bytes: there is only one
 * way to write a record. A note comes apart as it was put together.
 */
#include "audit/json.h"
#include "audit/note.h"
#include "base/reader.h"

#include <stdlib.h>

/* of the note in the corpus */
#define KNOWN_KEY "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(bool ok)
{
	if (!ok)
		abort();
}

static void write_value(struct json_value v, struct buf *b);

static void write_object(const struct json_object *o, struct buf *b)
{
	buf_put_byte(b, '{');
	for (size_t i = 0; i < o->count; i++) {
		if (i)
			buf_put_byte(b, ',');
		json_put_string(b, o->members[i].name);
		buf_put_byte(b, ':');
		write_value(o->members[i].value, b);
	}
	buf_put_byte(b, '}');
}

static void write_list(struct str rest, struct buf *b)
{
	struct json_value v;
	const char *comma = "";

	buf_put_byte(b, '[');
	while (json_list_next(&rest, &v)) {
		buf_put_z(b, comma);
		write_value(v, b);
		comma = ",";
	}
	buf_put_byte(b, ']');
}

static void write_value(struct json_value v, struct buf *b)
{
	struct json_object o;
	uint64_t n;
	auto_buf text = BUF_EMPTY;

	buf_init(&text, 1u << 20);
	switch (v.type) {
	case JSON_STRING:
		check(json_text(v.text, &text) == ERR_OK && str_is_utf8(buf_str(&text)));
		json_put_string(b, buf_str(&text));
		break;
	case JSON_INTEGER:
		check(json_integer_of(v.text, &n));
		buf_put_decimal(b, n);
		break;
	case JSON_BOOL:
		buf_put(b, v.text);
		break;
	case JSON_LIST:
		write_list(v.text, b);
		break;
	case JSON_OBJECT:
		if (json_object_read(v.text, &o) == ERR_OK)
			write_object(&o, b);
		else	/* more members than json_object_read() hands out */
			buf_put(b, v.text);
		break;
	}
}

/* A prefix that is said to fit does, and one more character would not. */
static void fit_is_what_is_written(struct str text)
{
	size_t max = text.n / 2, n;
	auto_buf b = BUF_EMPTY;

	buf_init(&b, 1u << 20);
	if (text.n > 4096 || !str_is_utf8(text))
		return;
	n = json_string_fit(text, max);
	json_put_string(&b, str_head(text, n));
	check(!buf_err(&b) && b.len <= max + 2 && str_is_utf8(str_head(text, n)));
	buf_clear(&b);
	json_put_string(&b, str_head(text, n + 4));
	check(n == text.n || b.len > max + 2);
}

/* Plain text stands for itself, and no other does without being looked at. */
static void plain_is_what_is_written_as_it_is(struct str text)
{
	bool ascii = true, same;
	auto_buf b = BUF_EMPTY;

	buf_init(&b, 1u << 20);
	if (text.n > 4096 || !str_is_utf8(text))
		return;
	for (size_t i = 0; i < text.n; i++)
		ascii = ascii && (uint8_t)text.p[i] < 0x80;
	json_put_string(&b, text);
	same = b.len == text.n + 2 && str_eq(str_make(b.p + 1, text.n), text);
	check(!buf_err(&b) && json_is_plain(text) == (ascii && same));
}

static void members_are_found(const struct json_object *o)
{
	for (size_t i = 0; i < o->count; i++) {
		const struct json_value *v = &o->members[i].value;
		auto_buf name = BUF_EMPTY;

		buf_init(&name, 100);
		buf_put(&name, o->members[i].name);
		check(json_member(o, buf_z(&name), v->type) == v);
		check(!json_member(o, buf_z(&name), v->type == JSON_BOOL ? JSON_LIST : JSON_BOOL));
	}
	check(!json_member(o, "A", JSON_STRING));
}

/* A checkpoint comes apart as it was put together, and its signature, which nobody made, does not verify. */
static void notes_come_apart(struct str name)
{
	static const uint8_t key[NOTE_KEY_BYTES] = { 1 }, hash[32] = { 2 },
			     signature[NOTE_SIGNATURE_BYTES] = { 3 };
	struct str body, signatures;
	auto_buf note = BUF_EMPTY, wanted = BUF_EMPTY;

	if (!note_key_name_is_valid(name))
		return;
	buf_init(&note, NOTE_MAX);
	buf_init(&wanted, NOTE_MAX);
	note_put_checkpoint(&wanted, name, name.n, hash);
	buf_put(&note, buf_str(&wanted));
	check(note_put_signature(&note, name, key, signature) == ERR_OK);
	check(note_split(buf_str(&note), &body, &signatures) && str_eq(body, buf_str(&wanted)));
	check(note_verify(body, signatures, key) == ERR_AUDIT_BROKEN);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct str text = str_make(data, size), body, signatures, name;
	struct json_object o;
	uint8_t key[NOTE_KEY_BYTES], other[NOTE_KEY_BYTES];
	auto_buf again = BUF_EMPTY;

	buf_init(&again, 1u << 20);
	if (size < (1u << 16) && json_object_read(text, &o) == ERR_OK) {
		write_object(&o, &again);
		check(!buf_err(&again) && str_eq(buf_str(&again), text));
		members_are_found(&o);
	}
	fit_is_what_is_written(text);
	plain_is_what_is_written_as_it_is(text);
	notes_come_apart(str_head(text, 60));
	check(note_read_verifier(STR(KNOWN_KEY), &name, key) == ERR_OK);
	if (note_split(text, &body, &signatures))
		(void)!note_verify(body, signatures, key);
	if (note_read_verifier(text, &name, other) == ERR_OK) {
		buf_clear(&again);
		check(note_put_verifier(&again, name, other) == ERR_OK && str_starts(text, buf_str(&again)));
	}
	return 0;
}
