/* client_hello.c - see client_hello.h
 *
 * Theory of operation: the handshake message is put together from its records, whose number is bounded by
 * their size, as an empty one is refused; then its vectors are walked to the extensions. Two extensions are
 * looked into. Every length is that of what it holds, to the byte: what one reader would take for a name
 * and another for something else is refused.
 */
#include "wire/client_hello.h"

#include "base/reader.h"

#define RECORD_HEADER 5
#define RECORD_MAX 16384
#define TYPE_HANDSHAKE 22
#define MESSAGE_CLIENT_HELLO 1
#define EXTENSION_SERVER_NAME 0
#define EXTENSION_ENCRYPTED_CLIENT_HELLO 0xfe0d
#define NAME_TYPE_HOST 0
#define EXTENSIONS_MAX 128

/* A vector of 1 or 2 bytes of length. */
static bool take_vector8(struct reader *r, struct str *ret)
{
	uint8_t n;

	return reader_u8(r, &n) && reader_take(r, n, ret);
}

static bool take_vector16(struct reader *r, struct str *ret)
{
	uint16_t n;

	return reader_u16be(r, &n) && reader_take(r, n, ret);
}

/* Bytes of the handshake message, its header included, once that is here; 0 before. */
static size_t message_bytes(const struct buf *b)
{
	const uint8_t *p = (const uint8_t *)b->p;

	return b->len < 4 ? 0 : 4 + ((size_t)p[1] << 16 | (size_t)p[2] << 8 | p[3]);
}

/* The handshake message without its record headers. */
static enum err join_records(struct str bytes, struct buf *message)
{
	struct reader r = reader_of(bytes);

	buf_clear(message);
	for (;;) {
		size_t whole = message_bytes(message);
		uint8_t type, major, minor;
		uint16_t length;
		struct str part;

		if (message->len && message->p[0] != MESSAGE_CLIENT_HELLO)
			return ERR_TLS;
		if (whole > CLIENT_HELLO_MAX || (whole && message->len > whole))
			return ERR_TLS;		/* too long; or more behind it, before any answer */
		if (whole && message->len == whole)
			return ERR_OK;
		if (!reader_u8(&r, &type))
			return ERR_MORE;
		if (type != TYPE_HANDSHAKE)
			return ERR_TLS;
		if (!reader_u8(&r, &major) || !reader_u8(&r, &minor) || !reader_u16be(&r, &length))
			return ERR_MORE;
		if (major != 3 || length == 0 || length > RECORD_MAX)
			return ERR_TLS;
		if (!reader_take(&r, length, &part))
			return bytes.n > CLIENT_HELLO_MAX ? ERR_TLS : ERR_MORE;
		buf_put(message, part);
		if (buf_err(message))
			return buf_err(message) == ERR_LIMIT ? ERR_TLS : ERR_MEMORY;
	}
}

/* RFC 6066 s3: a list of names, of which there is one, a host's. */
static bool read_server_name(struct str extension, struct client_hello *h)
{
	struct reader r = reader_of(extension), names;
	struct str list, name;
	uint8_t type;

	if (!take_vector16(&r, &list) || !reader_done(&r))
		return false;
	names = reader_of(list);
	return reader_u8(&names, &type) && type == NAME_TYPE_HOST && take_vector16(&names, &name) &&
	       reader_done(&names) && host_canonical(name, h->host) == ERR_OK;
}

static bool read_extensions(struct str extensions, struct client_hello *h)
{
	struct reader r = reader_of(extensions);
	uint16_t seen[EXTENSIONS_MAX], type;
	struct str body;

	for (size_t count = 0; !reader_done(&r); count++) {
		if (count == EXTENSIONS_MAX || !reader_u16be(&r, &type) || !take_vector16(&r, &body))
			return false;
		for (size_t i = 0; i < count; i++)
			if (seen[i] == type)
				return false;
		seen[count] = type;
		if (type == EXTENSION_SERVER_NAME && !read_server_name(body, h))
			return false;
		if (type == EXTENSION_ENCRYPTED_CLIENT_HELLO)
			h->encrypted = true;
	}
	return true;
}

enum err client_hello_parse(struct str bytes, struct buf *storage, struct client_hello *ret)
{
	enum err e = join_records(bytes, storage);
	struct client_hello h = { 0 };
	struct str skipped, extensions;
	struct reader r;

	if (e)	/* of many small records all count, as each time all of them are read */
		return e == ERR_MORE && bytes.n > CLIENT_HELLO_MAX ? ERR_TLS : e;
	r = reader_of(str_from(buf_str(storage), 4));
	/* legacy_version, random; session id, cipher suites, compression methods */
	if (!reader_take(&r, 2 + 32, &skipped) || !take_vector8(&r, &skipped) || skipped.n > 32 ||
	    !take_vector16(&r, &skipped) || skipped.n < 2 || skipped.n % 2 || !take_vector8(&r, &skipped) ||
	    skipped.n == 0)
		return ERR_TLS;
	if (!reader_done(&r) &&
	    (!take_vector16(&r, &extensions) || !reader_done(&r) || !read_extensions(extensions, &h)))
		return ERR_TLS;
	*ret = h;
	return ERR_OK;
}
