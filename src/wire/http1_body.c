/* http1_body.c - body framing of HTTP/1.1, incremental
 *
 * Theory of operation: a state machine over the bytes as they come. Body bytes are handed on as
 * views; chunk lines are read byte by byte and kept nowhere; only the trailer section is collected,
 * under a cap. Chunk extensions are read over, under a cap for the whole body (a peer could
 * otherwise send megabytes of them around single bytes of body). A chunk's size is hex digits
 * followed at once by ';' or CR LF. Every byte is hostile; a failure is final.
 * Source: RFC 9112 s6, s7.1.
 */
#include "wire/http1_body.h"

#include "base/reader.h"

enum state {
	IN_BODY,	/* LENGTH, UNTIL_CLOSE: bytes of the body */
	IN_SIZE,	/* digits of a chunk's size */
	IN_EXTENSION,	/* after ';', up to CR */
	SIZE_LF,	/* LF that ends the chunk line */
	IN_CHUNK,	/* bytes of a chunk */
	CHUNK_CR,	/* CR, then */
	CHUNK_LF,	/* LF after a chunk's bytes */
	IN_TRAILERS,
	DONE,
	FAILED,
};

/* So that a trailer section is searched for its end as a head is, which has a first line. */
#define TRAILERS_FIRST_LINE "trailers\r\n"

void http1_body_init(struct http1_body *b, enum http1_framing framing, uint64_t length)
{
	*b = (struct http1_body){ .framing = framing };
	buf_init(&b->trailers, HTTP1_TRAILERS_MAX);
	if (framing == HTTP1_LENGTH)
		b->left = length;
	if (framing == HTTP1_CHUNKED)
		b->state = IN_SIZE;
	else if (framing == HTTP1_NONE || (framing == HTTP1_LENGTH && length == 0))
		b->state = DONE;
	b->done = b->state == DONE;
}

void http1_body_of_request(struct http1_body *b, const struct head *h)
{
	enum http1_framing framing = h->framing == HEAD_BODY_STREAMED ? HTTP1_CHUNKED
				   : h->framing == HEAD_BODY_LENGTH   ? HTTP1_LENGTH
								      : HTTP1_NONE;

	http1_body_init(b, framing, h->length);
}

void http1_body_free(struct http1_body *b)
{
	buf_free(&b->trailers);
}

static enum err fail(struct http1_body *b, enum err e)
{
	b->state = FAILED;
	return e;
}

/* As much of the body, or of the present chunk, as there is. */
static struct str take(struct http1_body *b, struct str *input)
{
	struct str data = *input;

	if (b->framing != HTTP1_UNTIL_CLOSE) {
		data = str_head(data, b->left > SIZE_MAX ? SIZE_MAX : (size_t)b->left);
		b->left -= data.n;
	}
	*input = str_from(*input, data.n);
	return data;
}

/* One byte of a chunk line or of the CR LF after a chunk. */
static enum err step(struct http1_body *b, char c)
{
	int digit;

	switch ((enum state)b->state) {
	case IN_SIZE:
		digit = ascii_hex(c);
		if (digit >= 0) {
			b->left = b->left << 4 | (uint64_t)digit;
			if (++b->digits > HTTP1_CHUNK_DIGITS_MAX || b->left > HTTP1_LENGTH_MAX)
				return ERR_BODY_FRAMING;
			return ERR_OK;
		}
		if (b->digits == 0 || (c != ';' && c != '\r'))
			return ERR_BODY_FRAMING;
		b->state = c == ';' ? IN_EXTENSION : SIZE_LF;
		return ERR_OK;
	case IN_EXTENSION:
		if (++b->extensions > HTTP1_EXTENSIONS_MAX)
			return ERR_LIMIT;
		if (c == '\r')
			b->state = SIZE_LF;
		else if (((uint8_t)c < 0x20 && c != '\t') || c == 0x7f)
			return ERR_BODY_FRAMING;
		return ERR_OK;
	case SIZE_LF:
		b->state = b->left ? IN_CHUNK : IN_TRAILERS;
		return c == '\n' ? ERR_OK : ERR_BODY_FRAMING;
	case CHUNK_CR:
		b->state = CHUNK_LF;
		return c == '\r' ? ERR_OK : ERR_BODY_FRAMING;
	case CHUNK_LF:
		b->state = IN_SIZE;
		b->digits = 0;
		return c == '\n' ? ERR_OK : ERR_BODY_FRAMING;
	case IN_BODY:
	case IN_CHUNK:
	case IN_TRAILERS:
	case DONE:
	case FAILED:
		break;
	}
	return ERR_BODY_FRAMING;
}

/* Collects the trailer section up to its empty line, and takes no byte behind that. */
static enum err collect_trailers(struct http1_body *b, struct str *input)
{
	size_t before, end;
	struct str some;
	enum err e;

	if (b->trailers.len == 0)
		buf_put(&b->trailers, STR(TRAILERS_FIRST_LINE));
	before = b->trailers.len;
	some = str_head(*input, buf_room(&b->trailers));
	buf_put(&b->trailers, some);
	if (buf_err(&b->trailers))
		return buf_err(&b->trailers);
	e = http1_head_end(buf_str(&b->trailers), &b->scanned, &end);
	if (e == ERR_MORE) {
		*input = str_from(*input, some.n);
		return buf_room(&b->trailers) ? ERR_MORE : ERR_LIMIT;
	}
	if (e)
		return ERR_BODY_FRAMING;
	*input = str_from(*input, end - before);
	b->trailers.len = end;
	b->state = DONE;
	b->done = true;
	return ERR_OK;
}

static void piece_taken(struct http1_body *b)
{
	if (b->left || b->framing == HTTP1_UNTIL_CLOSE)
		return;
	b->state = b->framing == HTTP1_CHUNKED ? CHUNK_CR : DONE;
	b->done = b->state == DONE;
}

enum err http1_body_next(struct http1_body *b, struct str *input, struct str *ret_data)
{
	enum err e = ERR_OK;

	while (b->state != DONE && b->state != FAILED) {
		if (input->n == 0)
			return ERR_MORE;
		if (b->state == IN_BODY || b->state == IN_CHUNK) {
			*ret_data = take(b, input);
			piece_taken(b);
			return ERR_OK;
		}
		if (b->state == IN_TRAILERS) {
			e = collect_trailers(b, input);
		} else {
			e = step(b, input->p[0]);
			*input = str_from(*input, 1);
		}
		if (e)
			return e == ERR_MORE ? e : fail(b, e);
	}
	if (b->state == FAILED)
		return ERR_BODY_FRAMING;
	*ret_data = (struct str){ NULL, 0 };
	return ERR_OK;
}

enum err http1_body_eof(struct http1_body *b)
{
	if (b->state == IN_BODY && b->framing == HTTP1_UNTIL_CLOSE) {
		b->state = DONE;
		b->done = true;
	}
	return b->done ? ERR_OK : fail(b, ERR_BODY_FRAMING);
}

/* Would change what was already decided, or how the message was read (RFC 9110 s6.5.1). */
static bool trailer_forbidden(struct str name)
{
	static const struct str forbidden[] = {
		STR_INIT("host"), STR_INIT("content-length"), STR_INIT("content-encoding"),
		STR_INIT("content-type"), STR_INIT("content-range"), STR_INIT("authorization"),
		STR_INIT("cookie"), STR_INIT("set-cookie"), STR_INIT("cache-control"), STR_INIT("te"),
	};

	if (field_is_hop_by_hop(name))
		return true;
	for (size_t i = 0; i < sizeof forbidden / sizeof *forbidden; i++)
		if (str_eq(name, forbidden[i]))
			return true;
	return false;
}

/* "Name: value" with the name folded in place: the bytes are ours. */
static enum err add_trailer(struct http1_body *b, struct str line, struct head *h)
{
	size_t colon = str_find(line, ':');
	char *name = b->trailers.p + (line.p - b->trailers.p);

	if (colon == line.n)
		return ERR_HEAD_MALFORMED;
	for (size_t i = 0; i < colon; i++)
		name[i] = ascii_lower(name[i]);
	if (trailer_forbidden(str_head(line, colon)))
		return ERR_HEAD_MALFORMED;
	return head_add(h, str_head(line, colon), str_trim(str_from(line, colon + 1)));
}

enum err http1_body_trailers(struct http1_body *b, struct head *ret)
{
	struct reader r = reader_of(str_from(buf_str(&b->trailers), sizeof TRAILERS_FIRST_LINE - 1));
	struct head h = { .kind = HEAD_TRAILERS };
	struct str line;
	enum err e;

	while (reader_until(&r, '\n', &line) && line.n > 1) {
		line.n--;	/* the CR, which http1_head_end() has seen */
		e = add_trailer(b, line, &h);
		if (e)
			return e;
	}
	e = head_check(&h);
	if (!e)
		*ret = h;
	return e;
}
