/* websocket_key.c - the handshake's key and its answer
 *
 * The answer proves that the other end read the question as a WebSocket handshake, and nothing more: SHA-1
 * here is a fixed function of public bytes, no protection. It is spelled out because this layer has no
 * libraries.
 * Source: RFC 6455 s1.3, s4.2.2; FIPS 180-4 s6.1.
 */
#include "wire/websocket.h"

#define DIGEST_BYTES 20
#define MESSAGE_BYTES (WEBSOCKET_KEY_BYTES + 36)	/* the key and the RFC's constant */

static uint32_t rotate(uint32_t v, unsigned by) { return v << by | v >> (32 - by); }

static void sha1_block(uint32_t h[5], const uint8_t block[64])
{
	uint32_t w[80], a = h[0], b = h[1], c = h[2], d = h[3], e = h[4];

	for (size_t i = 0; i < 16; i++)
		w[i] = (uint32_t)block[4 * i] << 24 | (uint32_t)block[4 * i + 1] << 16 |
		       (uint32_t)block[4 * i + 2] << 8 | block[4 * i + 3];
	for (size_t i = 16; i < 80; i++)
		w[i] = rotate(w[i - 3] ^ w[i - 8] ^ w[i - 14] ^ w[i - 16], 1);
	for (size_t i = 0; i < 80; i++) {
		bool parity = (i >= 20 && i < 40) || i >= 60;
		uint32_t f = i < 20 ? (b & c) | (~b & d) : parity ? b ^ c ^ d : (b & c) | (b & d) | (c & d);
		uint32_t k = i < 20 ? 0x5a827999 : i < 40 ? 0x6ed9eba1 : i < 60 ? 0x8f1bbcdc : 0xca62c1d6;
		uint32_t next = rotate(a, 5) + f + e + k + w[i];

		e = d;
		d = c;
		c = rotate(b, 30);
		b = a;
		a = next;
	}
	h[0] += a;
	h[1] += b;
	h[2] += c;
	h[3] += d;
	h[4] += e;
}

/* MESSAGE_BYTES are over the 55 that leave room for the length: always two blocks. */
static void sha1(const uint8_t message[MESSAGE_BYTES], uint8_t ret[DIGEST_BYTES])
{
	uint32_t h[5] = { 0x67452301, 0xefcdab89, 0x98badcfe, 0x10325476, 0xc3d2e1f0 };
	uint8_t blocks[128] = { 0 };

	memcpy(blocks, message, MESSAGE_BYTES);
	blocks[MESSAGE_BYTES] = 0x80;
	blocks[126] = (uint8_t)(MESSAGE_BYTES * 8 >> 8);
	blocks[127] = (uint8_t)(MESSAGE_BYTES * 8 & 0xff);
	sha1_block(h, blocks);
	sha1_block(h, blocks + 64);
	for (size_t i = 0; i < DIGEST_BYTES; i++)
		ret[i] = (uint8_t)(h[i / 4] >> (24 - 8 * (i % 4)));
}

bool websocket_key_check(struct str key)
{
	auto_buf raw = BUF_EMPTY;

	buf_init(&raw, 18);
	return key.n == WEBSOCKET_KEY_BYTES && base64_decode(&raw, key) == ERR_OK && raw.len == 16;
}

void websocket_accept(struct str key, char ret[WEBSOCKET_ACCEPT_BYTES + 1])
{
	static const char constant[] = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
	uint8_t message[MESSAGE_BYTES] = { 0 }, digest[DIGEST_BYTES];
	struct str whole = str_head(key, WEBSOCKET_KEY_BYTES);
	auto_buf text = BUF_EMPTY;

	memset(ret, 0, WEBSOCKET_ACCEPT_BYTES + 1);
	if (whole.n)
		memcpy(message, whole.p, whole.n);
	memcpy(message + WEBSOCKET_KEY_BYTES, constant, sizeof constant - 1);
	sha1(message, digest);
	buf_init(&text, WEBSOCKET_ACCEPT_BYTES);
	buf_put_base64(&text, str_make(digest, sizeof digest));
	if (text.len == WEBSOCKET_ACCEPT_BYTES)
		memcpy(ret, text.p, text.len);
}
