/* audit_fuzz.c - the reader of records, and of notes and keys
 *
 * What the reader takes, written again by the writer, must be the same bytes: there is only one
 * way to write a record.
 */
#include "audit/json.h"
#include "audit/note.h"
#include "base/reader.h"

#include <stdlib.h>

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
	auto_buf text;

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

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct str text = str_make(data, size), body, signatures, name;
	struct json_object o;
	uint8_t key[NOTE_KEY_BYTES] = { 1 };
	auto_buf again;

	buf_init(&again, 1u << 20);
	if (size < (1u << 16) && json_object_read(text, &o) == ERR_OK) {
		write_object(&o, &again);
		check(!buf_err(&again) && str_eq(buf_str(&again), text));
	}
	if (note_split(text, &body, &signatures))
		(void)!note_verify(body, signatures, key);
	(void)!note_read_verifier(text, &name, key);
	return 0;
}
