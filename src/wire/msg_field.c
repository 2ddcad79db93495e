/* msg_field.c - the fields that messages are made of: u8 tag, u8 zero, u16 length, bytes
 *
 * Theory of operation: msg_next() walks them and checks what holds in every message: a known
 * tag, tags in order, no tag twice unless it makes a list, a length within the payload.
 * Trust: every byte may come from the guest. Views point into the payload.
 */
#include "wire/msg.h"

void msg_put(struct buf *b, enum msg_tag tag, struct str value)
{
	if (value.n > MSG_FIELD_MAX) {
		if (!b->err)
			b->err = ERR_LIMIT;
		return;
	}
	if (buf_reserve(b, 4 + value.n))
		return;		/* sticky; no half of a field is written */
	buf_put_byte(b, (uint8_t)tag);
	buf_put_byte(b, 0);
	buf_put_u16le(b, (uint16_t)value.n);
	buf_put(b, value);
}

static void put_integer(struct buf *b, enum msg_tag tag, uint64_t v, size_t n)
{
	uint8_t x[8];

	for (size_t i = 0; i < n; i++)
		x[i] = (uint8_t)(v >> (8 * i));
	msg_put(b, tag, str_make(x, n));
}

void msg_put_u8(struct buf *b, enum msg_tag tag, uint8_t v) { put_integer(b, tag, v, 1); }
void msg_put_u16(struct buf *b, enum msg_tag tag, uint16_t v) { put_integer(b, tag, v, 2); }
void msg_put_u32(struct buf *b, enum msg_tag tag, uint32_t v) { put_integer(b, tag, v, 4); }
void msg_put_u64(struct buf *b, enum msg_tag tag, uint64_t v) { put_integer(b, tag, v, 8); }

bool msg_u8(struct str v, uint8_t *ret)
{
	struct reader r = reader_of(v);

	return v.n == 1 && reader_u8(&r, ret);
}

bool msg_u16(struct str v, uint16_t *ret)
{
	struct reader r = reader_of(v);

	return v.n == 2 && reader_u16le(&r, ret);
}

bool msg_u32(struct str v, uint32_t *ret)
{
	struct reader r = reader_of(v);

	return v.n == 4 && reader_u32le(&r, ret);
}

bool msg_u64(struct str v, uint64_t *ret)
{
	struct reader r = reader_of(v);

	return v.n == 8 && reader_u64le(&r, ret);
}

static bool tag_is_known(uint8_t tag)
{
	switch (tag) {
#define TAG_CASE(name, number) case number:
	MSG_TAG_TABLE(TAG_CASE)
#undef TAG_CASE
		return true;
	}
	return false;
}

static bool tag_is_list(uint8_t tag)
{
	return tag == MSG_ANCESTOR || tag == MSG_MOUNT || tag == MSG_FILE || tag == MSG_ARGUMENT ||
	       tag == MSG_ENVIRONMENT;
}

enum err msg_next(struct reader *r, uint8_t *last_tag, struct msg_field *ret)
{
	uint8_t tag, zero;
	uint16_t n;
	struct str value;

	if (reader_done(r))
		return ERR_MORE;
	if (!reader_u8(r, &tag) || !reader_u8(r, &zero) || !reader_u16le(r, &n) ||
	    !reader_take(r, n, &value))
		return ERR_LINK_MALFORMED;
	if (zero != 0 || !tag_is_known(tag) || tag < *last_tag || (tag == *last_tag && !tag_is_list(tag)))
		return ERR_LINK_MALFORMED;
	*last_tag = tag;
	*ret = (struct msg_field){ (enum msg_tag)tag, value };
	return ERR_OK;
}
