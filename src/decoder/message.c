/* message.c - the messages of decoder.h, written and
 * read; both ends use it, and neither believes the other */
#include "decoder/decoder.h"

enum err decoder_put(struct buf *b, enum decoder_type type, struct str payload)
{
	buf_put_u32le(b, (uint32_t)type);
	buf_put_u32le(b, (uint32_t)payload.n);
	buf_put(b, payload);
	return buf_err(b);
}

enum err decoder_next(struct str *input, enum decoder_type *ret_type, struct str *ret_payload)
{
	const uint8_t *p = (const uint8_t *)input->p;
	uint32_t length;

	if (input->n < DECODER_HEADER_BYTES)
		return ERR_MORE;
	length = (uint32_t)p[4] | (uint32_t)p[5] << 8 | (uint32_t)p[6] << 16 | (uint32_t)p[7] << 24;
	if (p[0] < DECODER_JOB || p[0] > DECODER_FAIL || p[1] || p[2] || p[3] || length > DECODER_PAYLOAD_MAX)
		return ERR_LINK_MALFORMED;
	if (input->n - DECODER_HEADER_BYTES < length)
		return ERR_MORE;
	*ret_type = (enum decoder_type)p[0];
	*ret_payload = str_head(str_from(*input, DECODER_HEADER_BYTES), length);
	*input = str_from(*input, DECODER_HEADER_BYTES + length);
	return ERR_OK;
}
