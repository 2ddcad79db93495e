/* websocket.c - WebSocket frames to messages and back; see websocket.h
 *
 * Theory of operation: the reader is a machine of three states (a frame's header, its payload, a message
 * that was handed out) which takes whatever bytes there are. Data frames are joined in one buffer, control
 * frames, which may come between them, in another. Each rule of the RFC is checked at the first byte that
 * breaks it, so that nothing is collected for a message that can no longer become one: a length over the cap
 * is refused by the header that announces it, and text is checked as UTF-8 while it comes, across frames.
 * Every input byte is hostile. A malformed peer's stream ends there: nothing is repaired, and each later
 * call answers the same. What follows a close frame is dropped unread.
 * Invariants: message.len + left <= message_max while a data frame comes; control.len + left <= 125.
 * Source: RFC 6455 s5 (frames), s7.4 (close codes; 1012 to
 * 1014 from the registry that it set up), s8.1 (UTF-8).
 */
#include "wire/websocket.h"

#define CONTROL_MAX 125u
#define KEEP_BYTES ((size_t)65536)	/* a buffer that had to be larger is given back after its message */

#define CLOSE_PROTOCOL 1002
#define CLOSE_NOT_UTF8 1007
#define CLOSE_TOO_LARGE 1009
#define CLOSE_INTERNAL 1011

enum { STATE_HEADER, STATE_PAYLOAD, STATE_DATA_OUT, STATE_CONTROL_OUT, STATE_FAILED };

void websocket_reader_init(struct websocket_reader *r, bool masked, size_t message_max)
{
	*r = (struct websocket_reader){ .masked = masked, .message_max = message_max };
	buf_init(&r->message, message_max);
	buf_init(&r->control, CONTROL_MAX);
}

void websocket_reader_free(struct websocket_reader *r)
{
	buf_free(&r->message);
	buf_free(&r->control);
}

/* ---- UTF-8, byte by byte ---- */

/* What may come next: how many continuation bytes, and
 * the bounds of the first of them. 0: a character begins. */
static uint32_t utf8_state(uint32_t left, uint8_t low, uint8_t high)
{
	return left | (uint32_t)low << 8 | (uint32_t)high << 16;
}

static bool utf8_begin(uint8_t c, uint32_t *state)
{
	if (c < 0x80)
		return true;
	if (c < 0xc2 || c > 0xf4)
		return false;
	if (c < 0xe0)
		*state = utf8_state(1, 0x80, 0xbf);
	else if (c < 0xf0)
		*state = utf8_state(2, c == 0xe0 ? 0xa0 : 0x80, c == 0xed ? 0x9f : 0xbf);
	else
		*state = utf8_state(3, c == 0xf0 ? 0x90 : 0x80, c == 0xf4 ? 0x8f : 0xbf);
	return true;
}

static bool utf8_continue(uint8_t c, uint32_t *state)
{
	uint32_t left = *state & 0xff;

	if (c < (*state >> 8 & 0xff) || c > *state >> 16)
		return false;
	*state = left > 1 ? utf8_state(left - 1, 0x80, 0xbf) : 0;
	return true;
}

static bool utf8_feed(uint32_t *state, struct str s)
{
	const uint64_t high_bits = 0x8080808080808080u;
	size_t i = 0;
	uint64_t eight;

	while (i < s.n) {
		if (*state == 0 && s.n - i >= sizeof eight) {
			memcpy(&eight, s.p + i, sizeof eight);
			if (!(eight & high_bits)) {
				i += sizeof eight;
				continue;
			}
		}
		uint8_t c = (uint8_t)s.p[i++];

		if (*state ? !utf8_continue(c, state) : !utf8_begin(c, state))
			return false;
	}
	return true;
}

/* ---- masks ---- */

/* @p: the bytes from @at on of a payload under @mask */
static void apply_mask(char *p, size_t n, const uint8_t mask[4], size_t at)
{
	uint8_t turned[8];
	uint64_t eight, mask8;
	size_t i = 0;

	for (size_t k = 0; k < sizeof turned; k++)
		turned[k] = mask[(at + k) % 4];
	memcpy(&mask8, turned, sizeof mask8);
	for (; n - i >= sizeof eight; i += sizeof eight) {
		memcpy(&eight, p + i, sizeof eight);
		eight ^= mask8;
		memcpy(p + i, &eight, sizeof eight);
	}
	for (; i < n; i++)
		p[i] = (char)((uint8_t)p[i] ^ turned[i % 8]);
}

/* ---- reading ---- */

static enum err fail(struct websocket_reader *r, enum err e, uint16_t close)
{
	r->state = STATE_FAILED;
	r->failed = e;
	r->failed_close = close;
	buf_free(&r->message);
	buf_free(&r->control);
	return e;
}

static bool is_control(uint8_t opcode) { return opcode & 8; }

/* How long the header is, as far as its first two bytes say; checks these. 0: malformed. */
static size_t header_length(const struct websocket_reader *r)
{
	uint8_t first = r->header[0], second = r->header[1], opcode = first & 15, length = second & 127;
	bool final = first & 0x80;

	if (first & 0x70 || (bool)(second & 0x80) != r->masked)
		return 0;
	if (is_control(opcode)) {
		if (opcode > WEBSOCKET_PONG || !final || length > CONTROL_MAX)
			return 0;
	} else if (opcode > WEBSOCKET_BINARY || (opcode == 0) != (r->message_opcode != 0)) {
		return 0;	/* unknown; or a continuation of nothing, or a message within another */
	}
	return 2u + (length == 126 ? 2u : length == 127 ? 8u : 0u) + (r->masked ? 4u : 0u);
}

/* The length that a whole header says; false if it could have been said in fewer bytes. */
static bool header_payload(const struct websocket_reader *r, uint64_t *ret)
{
	uint8_t length = r->header[1] & 127;
	size_t bytes = length == 126 ? 2 : length == 127 ? 8 : 0;
	uint64_t v = 0;

	if (bytes == 0) {
		*ret = length;
		return true;
	}
	for (size_t i = 0; i < bytes; i++)
		v = v << 8 | r->header[2 + i];
	if (v <= (bytes == 2 ? CONTROL_MAX : UINT16_MAX) || v > INT64_MAX)
		return false;
	*ret = v;
	return true;
}

static enum err begin_frame(struct websocket_reader *r)
{
	uint8_t opcode = r->header[0] & 15;
	uint64_t length;

	if (!header_payload(r, &length))
		return fail(r, ERR_WEBSOCKET, CLOSE_PROTOCOL);
	r->opcode = opcode;
	r->final = r->header[0] & 0x80;
	r->left = length;
	r->mask_at = 0;
	if (r->masked)
		memcpy(r->mask, r->header + r->header_bytes - 4, 4);
	r->header_bytes = 0;
	r->state = STATE_PAYLOAD;
	if (is_control(opcode))
		return ERR_OK;
	if (opcode) {
		r->message_opcode = opcode;
		r->frames = 0;
		r->utf8 = 0;
	}
	if (length > r->message_max - r->message.len || ++r->frames > WEBSOCKET_FRAMES_MAX)
		return fail(r, ERR_BODY_TOO_LARGE, CLOSE_TOO_LARGE);
	return ERR_OK;
}

/* ERR_OK: a frame has begun; ERR_MORE */
static enum err read_header(struct websocket_reader *r, struct str *input)
{
	size_t want = r->header_bytes < 2 ? 2 : header_length(r);

	while (r->header_bytes < want) {
		if (input->n == 0)
			return ERR_MORE;
		r->header[r->header_bytes++] = (uint8_t)input->p[0];
		*input = str_from(*input, 1);
		if (r->header_bytes == 2)
			want = header_length(r);
		if (want == 0)
			return fail(r, ERR_WEBSOCKET, CLOSE_PROTOCOL);
	}
	return begin_frame(r);
}

/* Codes that may stand in a close frame. */
static bool close_code(uint16_t code)
{
	if (code >= 3000)
		return code <= 4999;
	return (code >= 1000 && code <= 1003) || (code >= 1007 && code <= 1014);
}

static enum err check_close(struct websocket_reader *r)
{
	struct str payload = buf_str(&r->control);

	if (payload.n == 0)
		return ERR_OK;
	if (payload.n == 1 || !close_code((uint16_t)((uint8_t)payload.p[0] << 8 | (uint8_t)payload.p[1])))
		return fail(r, ERR_WEBSOCKET, CLOSE_PROTOCOL);
	return str_is_utf8(str_from(payload, 2)) ? ERR_OK : fail(r, ERR_WEBSOCKET, CLOSE_NOT_UTF8);
}

/* A frame's last byte is here. ERR_OK with a message, or ERR_MORE: on to the next frame */
static enum err end_frame(struct websocket_reader *r, struct websocket_message *ret)
{
	if (is_control(r->opcode)) {
		enum err e = r->opcode == WEBSOCKET_CLOSE ? check_close(r) : ERR_OK;

		if (e)
			return e;
		r->closed = r->opcode == WEBSOCKET_CLOSE;
		*ret = (struct websocket_message){ (enum websocket_opcode)r->opcode, buf_str(&r->control) };
		r->state = STATE_CONTROL_OUT;
		return ERR_OK;
	}
	r->state = STATE_HEADER;
	if (!r->final)
		return ERR_MORE;
	if (r->utf8)
		return fail(r, ERR_WEBSOCKET, CLOSE_NOT_UTF8);
	*ret = (struct websocket_message){ (enum websocket_opcode)r->message_opcode, buf_str(&r->message) };
	r->message_opcode = 0;
	r->state = STATE_DATA_OUT;
	return ERR_OK;
}

static enum err read_payload(struct websocket_reader *r, struct str *input)
{
	struct buf *b = is_control(r->opcode) ? &r->control : &r->message;
	struct str piece = str_head(*input, r->left < input->n ? (size_t)r->left : input->n);
	size_t before = b->len;

	buf_put(b, piece);
	if (buf_err(b))
		return fail(r, ERR_MEMORY, CLOSE_INTERNAL);
	if (r->masked && piece.n)
		apply_mask(b->p + before, piece.n, r->mask, r->mask_at);
	r->mask_at = (uint8_t)((r->mask_at + piece.n) % 4);
	r->left -= piece.n;
	*input = str_from(*input, piece.n);
	if (b == &r->message && r->message_opcode == WEBSOCKET_TEXT &&
	    !utf8_feed(&r->utf8, str_from(buf_str(b), before)))
		return fail(r, ERR_WEBSOCKET, CLOSE_NOT_UTF8);
	return r->left ? ERR_MORE : ERR_OK;
}

/* What was handed out is done with. */
static void take_back(struct websocket_reader *r)
{
	struct buf *b = r->state == STATE_DATA_OUT ? &r->message : &r->control;

	if (r->state != STATE_DATA_OUT && r->state != STATE_CONTROL_OUT)
		return;
	if (b->cap > KEEP_BYTES)
		buf_free(b);
	else
		buf_clear(b);
	r->state = STATE_HEADER;
}

enum err websocket_read(struct websocket_reader *r, struct str *input, struct websocket_message *ret,
			uint16_t *ret_close)
{
	enum err e = ERR_MORE;

	take_back(r);
	if (r->closed) {
		*input = str_from(*input, input->n);
		return ERR_MORE;
	}
	while (e == ERR_MORE && r->state != STATE_FAILED) {
		if (r->state == STATE_HEADER && (e = read_header(r, input)) != ERR_OK)
			break;
		e = read_payload(r, input);
		if (e == ERR_MORE)
			break;
		if (e == ERR_OK)
			e = end_frame(r, ret);
	}
	if (r->state == STATE_FAILED) {
		*ret_close = r->failed_close;
		return r->failed;
	}
	return e;
}

/* ---- writing ---- */

void websocket_put_frame_head(struct buf *b, enum websocket_opcode opcode, const uint8_t *mask,
			      uint64_t length)
{
	uint8_t bit = mask ? 0x80 : 0;

	buf_put_byte(b, (uint8_t)(0x80 | opcode));
	if (length <= CONTROL_MAX) {
		buf_put_byte(b, (uint8_t)(bit | length));
	} else if (length <= UINT16_MAX) {
		buf_put_byte(b, bit | 126);
		buf_put_u16be(b, (uint16_t)length);
	} else {
		buf_put_byte(b, bit | 127);
		buf_put_u32be(b, (uint32_t)(length >> 32));
		buf_put_u32be(b, (uint32_t)length);
	}
	if (mask)
		buf_put(b, str_make(mask, 4));
}

enum err websocket_put_frame(struct buf *b, enum websocket_opcode opcode, const uint8_t *mask,
			     struct str payload)
{
	websocket_put_frame_head(b, opcode, mask, payload.n);
	buf_put(b, payload);
	if (buf_err(b))
		return buf_err(b);
	if (mask && payload.n)
		apply_mask(b->p + b->len - payload.n, payload.n, mask, 0);
	return ERR_OK;
}

void websocket_put_close(struct buf *b, uint16_t code, struct str reason)
{
	if (code == 0)
		return;
	buf_put_u16be(b, code);
	buf_put(b, reason);
}

/* ---- the link's form ---- */

static bool message_fits(uint8_t opcode, uint64_t length, size_t message_max)
{
	if (opcode == WEBSOCKET_TEXT || opcode == WEBSOCKET_BINARY)
		return length <= message_max;
	return opcode >= WEBSOCKET_CLOSE && opcode <= WEBSOCKET_PONG && length <= CONTROL_MAX;
}

enum err websocket_put_message(struct buf *b, enum websocket_opcode opcode, struct str payload)
{
	if (!message_fits((uint8_t)opcode, payload.n, WEBSOCKET_MESSAGE_MAX))
		return ERR_BODY_TOO_LARGE;
	buf_put_u32le(b, (uint32_t)opcode);
	buf_put_u32le(b, (uint32_t)payload.n);
	buf_put(b, payload);
	return buf_err(b);
}

enum err websocket_message_head(struct str bytes, size_t message_max, enum websocket_opcode *ret_opcode,
				uint32_t *ret_length)
{
	const uint8_t *p = (const uint8_t *)bytes.p;
	uint32_t length;

	if (bytes.n < WEBSOCKET_HEADER_BYTES)
		return ERR_MORE;
	length = (uint32_t)p[4] | (uint32_t)p[5] << 8 | (uint32_t)p[6] << 16 | (uint32_t)p[7] << 24;
	if (p[1] || p[2] || p[3] || !message_fits(p[0], length, message_max))
		return ERR_LINK_MALFORMED;
	*ret_opcode = (enum websocket_opcode)p[0];
	*ret_length = length;
	return ERR_OK;
}

/* The link's peer may be captured: what it hands over as text or as a close is checked again. */
static bool payload_is_sound(uint8_t opcode, struct str payload)
{
	if (opcode == WEBSOCKET_TEXT)
		return str_is_utf8(payload);
	if (opcode != WEBSOCKET_CLOSE || payload.n == 0)
		return true;
	return payload.n >= 2 && close_code((uint16_t)((uint8_t)payload.p[0] << 8 | (uint8_t)payload.p[1])) &&
	       str_is_utf8(str_from(payload, 2));
}

enum err websocket_next_message(struct str *input, size_t message_max, struct websocket_message *ret)
{
	enum websocket_opcode opcode;
	struct str payload;
	uint32_t length;
	enum err e = websocket_message_head(*input, message_max, &opcode, &length);

	if (e)
		return e;
	if (input->n - WEBSOCKET_HEADER_BYTES < length)
		return ERR_MORE;
	payload = str_head(str_from(*input, WEBSOCKET_HEADER_BYTES), length);
	if (!payload_is_sound((uint8_t)opcode, payload))
		return ERR_LINK_MALFORMED;
	*ret = (struct websocket_message){ opcode, payload };
	*input = str_from(*input, WEBSOCKET_HEADER_BYTES + length);
	return ERR_OK;
}
